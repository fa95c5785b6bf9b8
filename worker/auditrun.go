package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/bsm/redislock"
	"github.com/redis/go-redis/v9"
)

// Redis keys of the fleet's looks at the report.
const (
	auditKey      = "topup:audit"       // the last one: at, since (ms), transactions, and new findings by verdict (hash)
	auditNamedKey = "topup:audit:named" // transactions that were named → when, in ms (zset)
	auditLock     = "topup:lock:audit"  // one look at a time (string with TTL). Two at once do no harm.
)

// LastAudit is what the fleet's last look at the report came to.
type LastAudit struct {
	At           time.Time // when it ended; before the first one, since when it is waited for
	Transactions int64
	New          map[Verdict]int64 // findings that no look before had named
}

// ReadLastAudit returns nil where no worker has been here yet.
func ReadLastAudit(ctx context.Context, rdb redis.UniversalClient) (*LastAudit, error) {
	fields, err := rdb.HGetAll(ctx, auditKey).Result()
	if err != nil {
		return nil, fmt.Errorf("audit: read the last one: %w", err)
	}
	if len(fields) == 0 {
		return nil, nil
	}
	number := func(name string) int64 {
		n, _ := strconv.ParseInt(fields[name], 10, 64) // what is missing is none
		return n
	}
	last := &LastAudit{At: time.UnixMilli(number("at")).UTC(), Transactions: number("transactions"), New: map[Verdict]int64{}}
	for _, v := range []Verdict{Reversed, Booked, Strange} {
		last.New[v] = number(string(v))
	}
	return last, nil
}

// note writes down what a whole look came to.
func (a *Auditor) note(ctx context.Context, audit *Audit) error {
	fields := []any{"at", time.Now().UnixMilli(), "since", audit.Since.UnixMilli(), "transactions", audit.Transactions}
	for _, v := range []Verdict{Reversed, Booked, Strange} {
		_, fresh := audit.Count(v)
		fields = append(fields, string(v), fresh)
	}
	pipe := a.rdb.Pipeline()
	pipe.HSet(ctx, auditKey, fields...)
	forgotten := time.Now().Add(-2 * (a.cfg.Reach + widest)).UnixMilli() // no report shows them any more
	pipe.ZRemRangeByScore(ctx, auditNamedKey, "-inf", strconv.FormatInt(forgotten, 10))
	if _, err := pipe.Exec(ctx); err != nil {
		return fmt.Errorf("audit: write down the look: %w", err)
	}
	return nil
}

// widest is by how much Reloadly's dates may be off ([reloadly.ReportQuery]).
const widest = 2 * 24 * time.Hour

// namedAs is what is kept of a finding.
func namedAs(transactionID int64, v Verdict) string {
	return strconv.FormatInt(transactionID, 10) + " " + string(v)
}

// named reports whether a look before this one told of a finding.
func (a *Auditor) named(ctx context.Context, transactionID int64, v Verdict) (bool, error) {
	err := a.rdb.ZScore(ctx, auditNamedKey, namedAs(transactionID, v)).Err()
	if err != nil && !errors.Is(err, redis.Nil) {
		return false, fmt.Errorf("audit: transaction %d: %w", transactionID, err)
	}
	return err == nil, nil
}

// name finds out whether a finding is new, and tells of it where it is.
func (a *Auditor) name(ctx context.Context, f *Finding) error {
	added, err := a.rdb.ZAddNX(ctx, auditNamedKey, redis.Z{
		Score: float64(time.Now().UnixMilli()), Member: namedAs(f.TransactionID, f.Verdict),
	}).Result()
	if err != nil {
		return fmt.Errorf("audit: name transaction %d: %w", f.TransactionID, err)
	}
	if f.New = added == 1; f.New {
		a.log.LogAttrs(ctx, slog.LevelError, "Reloadly's report and the ledger differ", slog.String("verdict", string(f.Verdict)),
			slog.Int64("transaction", f.TransactionID), slog.String("identifier", f.Identifier), slog.String("why", f.Why))
	}
	return nil
}

// Run looks once an interval, in the whole fleet, until ctx ends. After an error it tries again
// within the next hour.
func (a *Auditor) Run(ctx context.Context) error {
	locks := redislock.New(a.rdb)
	for {
		wait, err := a.due(ctx)
		if err == nil && wait <= 0 {
			err = a.locked(ctx, locks)
		}
		if err != nil && ctx.Err() == nil {
			a.log.ErrorContext(ctx, "the look at Reloadly's report ended early; it is repeated", "error", err)
		}
		timer := time.NewTimer(max(wait, a.cfg.Interval/24))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil
		}
	}
}

// due is the time until the next look. A fleet that starts anew has nothing to look at yet.
func (a *Auditor) due(ctx context.Context) (time.Duration, error) {
	if err := a.rdb.HSetNX(ctx, auditKey, "at", time.Now().UnixMilli()).Err(); err != nil {
		return 0, fmt.Errorf("audit: when was the last one: %w", err)
	}
	last, err := ReadLastAudit(ctx, a.rdb)
	if err != nil || last == nil {
		return 0, err
	}
	return time.Until(last.At.Add(a.cfg.Interval)), nil
}

// locked looks, unless another process is at it.
func (a *Auditor) locked(ctx context.Context, locks *redislock.Client) error {
	lock, err := locks.Obtain(ctx, auditLock, max(time.Second, a.cfg.Interval/24), nil)
	if errors.Is(err, redislock.ErrNotObtained) {
		return nil
	} else if err != nil {
		return fmt.Errorf("audit: lock: %w", err)
	}
	defer func() { _ = lock.Release(context.WithoutCancel(ctx)) }() // also at the end of ctx; otherwise it runs out
	if wait, err := a.due(ctx); err != nil || wait > 0 {
		return err
	}
	audit, err := a.Look(ctx)
	if err != nil {
		return err
	}
	a.log.InfoContext(ctx, "Reloadly's report was compared with the ledger", "since", audit.Since, "transactions", audit.Transactions, "findings", len(audit.Findings))
	return nil
}
