package campaign

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bsm/redislock"
	"github.com/govalues/decimal"

	"example.com/topup/enqueue"
	"example.com/topup/reloadly"
)

// Loader makes a checked file a campaign. Loading the same file again, or one that has
// some of the same rows, adds what is new and nothing else.
type Loader struct {
	Store  *Store
	Client *enqueue.Client
	// Limit is how many top-ups a number may get a day. Its zero value is none.
	Limit NumberLimit
	// Key keys the hashes of number and amount by which similar campaigns are told.
	Key []byte
}

// LoadOptions are the guards of a load. The zero value has the one against similar
// campaigns alone.
type LoadOptions struct {
	// ExpectRows is how many rows the file must have. Defaults to 0: any number.
	ExpectRows int
	// ExpectTotal is what the quote, or the amounts as they stand in the file, must add
	// up to. Not valid: anything.
	ExpectTotal reloadly.Amount
	// MaxAmount is what one top-up may cost in the account's currency; without a price, its
	// amount as it stands in the file. Not valid: anything.
	MaxAmount reloadly.Amount
	// MaxTotal is what all loads of the campaign may cost together in the account's
	// currency. Not valid: anything. It needs a quote.
	MaxTotal reloadly.Amount
	// AllowSimilar loads also what another campaign has to a half or more.
	AllowSimilar bool
	// RetryFailed sends the file's rows again whose jobs failed or were refunded.
	RetryFailed bool
}

// Loaded is what became of a load.
type Loaded struct {
	Campaign *Campaign // nil where the file has no rows and there was none
	New      int       // rows that were added
	Known    int       // rows that the campaign had
	// OtherTime counts those of which the file says another not_before, which changes nothing.
	OtherTime int
	Retried   int // rows that are sent again
	Refused   int // failed rows that cannot be sent again, see topup get of their jobs
}

// ErrGuard is what each refusal by a guard of the money matches. Nothing was loaded.
var ErrGuard = errors.New("refused by a guard")

// GuardError says which guard refused a load, what it saw and what it allows.
type GuardError struct {
	Guard   string // the flag or setting
	Problem string
	Fix     string
	Similar *Similar // of the guard against similar campaigns
}

func (e *GuardError) Error() string {
	return fmt.Sprintf("%s: %s, nothing was loaded (%s)", e.Guard, e.Problem, e.Fix)
}

// Is makes errors.Is(err, ErrGuard) true.
func (e *GuardError) Is(target error) bool { return target == ErrGuard }

// loadTries is how often a file is compared again because the campaign grew meanwhile.
const loadTries = 10

// Load adds the rows that the campaign does not have, all or none. An error matches [ErrGuard],
// [enqueue.ErrConflict] or [ErrCancelled] where nothing was loaded; after any other error
// load again: what was loaded is known then.
func (l *Loader) Load(ctx context.Context, f *File, name string, o LoadOptions) (*Loaded, error) {
	if err := f.guard(o); err != nil {
		return nil, err
	}
	places := &places{limit: l.Limit, name: name, file: f, reserved: newBits(f.Rows), now: time.Now()}
	for try := 1; ; try++ {
		loaded, err := l.try(ctx, f, name, o, places)
		if errors.Is(err, ErrChanged) && try < loadTries {
			continue
		}
		if err != nil {
			return nil, errors.Join(err, places.giveBack(ctx, err))
		}
		if o.RetryFailed && loaded.Campaign != nil {
			err = l.retry(ctx, f, loaded)
		}
		return loaded, err
	}
}

// Preview says what a load would find, and refuses what it would refuse but for the limits that
// a load takes from.
func (l *Loader) Preview(ctx context.Context, f *File, name string, o LoadOptions) (*Comparison, error) {
	if err := f.guard(o); err != nil {
		return nil, err
	}
	cmp, err := l.Compare(ctx, f, name)
	if err == nil && cmp.New > 0 {
		err = l.dissimilar(ctx, f, name, o)
	}
	return cmp, err
}

// try compares and loads once. [ErrChanged] says that somebody else was faster.
func (l *Loader) try(ctx context.Context, f *File, name string, o LoadOptions, places *places) (*Loaded, error) {
	cmp, err := l.Compare(ctx, f, name)
	if err != nil {
		return nil, err
	}
	places.known = cmp.known
	loaded := &Loaded{Campaign: cmp.Campaign, New: cmp.New, Known: cmp.Known, OtherTime: cmp.OtherTime}
	if cmp.New == 0 {
		return loaded, nil
	}
	if err := l.dissimilar(ctx, f, name, o); err != nil {
		return nil, err
	}
	loaded.Campaign, err = l.add(ctx, f, name, o, cmp, places)
	return loaded, err
}

// dissimilar refuses what looks like the same people paid again under another name.
func (l *Loader) dissimilar(ctx context.Context, f *File, name string, o LoadOptions) error {
	if o.AllowSimilar {
		return nil
	}
	similar, err := l.Similar(ctx, f, name)
	if err != nil || similar == nil {
		return err
	}
	return &GuardError{
		Guard:   "--allow-similar",
		Problem: fmt.Sprintf("campaign %s, loaded on %s, has %d %% of these payments (number, amount and currency)", similar.Campaign, similar.Loaded.Format(time.DateOnly), similar.Percent()),
		Fix:     "give the flag if these people are to be paid once more",
		Similar: similar,
	}
}

// Similar is another campaign of the last seven days that has half of the file's
// payments or more, or nil.
func (l *Loader) Similar(ctx context.Context, f *File, name string) (*Similar, error) {
	return l.Store.similar(ctx, name, f.pairs, time.Now())
}

// add stages the new rows and makes them the campaign's.
func (l *Loader) add(ctx context.Context, f *File, name string, o LoadOptions, cmp *Comparison, places *places) (*Campaign, error) {
	stage := l.Store.Stage(ctx, name)
	drop := func(err error) error {
		// Also where ctx has ended. What cannot be dropped is gone after a day.
		return errors.Join(err, stage.Drop(context.WithoutCancel(ctx)))
	}
	bill := bill{max: o.MaxTotal}
	pairs, hash := make([]uint64, 0, cmp.New), newPairHash(l.Key)
	err := f.spool.each(ctx, func(i int, r *Row) error {
		if cmp.known.has(i) {
			return nil
		}
		pairs = append(pairs, hash.of(r))
		bill.add(f, r)
		return stage.Add(ctx, r)
	})
	if err != nil {
		return nil, drop(err)
	}
	totals, err := bill.check(f, cmp.Campaign)
	if err == nil {
		err = places.reserve(ctx)
	}
	if err != nil {
		return nil, drop(err)
	}
	release, err := l.alone(ctx, o)
	if err != nil {
		return nil, drop(err)
	}
	defer release()
	if err := l.dissimilar(ctx, f, name, o); err != nil {
		return nil, drop(err)
	}
	commit := CommitOptions{File: f.Name, Header: f.Header.Names, Totals: totals, Pairs: pairs}
	if cmp.Campaign != nil {
		commit.Expect = cmp.Campaign.Version
	}
	c, err := stage.Commit(ctx, commit)
	if err != nil {
		return nil, drop(err)
	}
	return c, nil
}

// alone keeps two similar files that are loaded at the same moment from not seeing each
// other: between the last look and the commit a loader is the only one.
func (l *Loader) alone(ctx context.Context, o LoadOptions) (release func(), err error) {
	if o.AllowSimilar {
		return func() {}, nil
	}
	lock, err := redislock.New(l.Store.rdb).Obtain(ctx, loadingKey, loadingLife, &redislock.Options{
		RetryStrategy: redislock.LimitRetry(redislock.LinearBackoff(100*time.Millisecond), int(2*loadingLife/(100*time.Millisecond))),
	})
	if err != nil {
		return nil, fmt.Errorf("wait for another load to end: %w", err)
	}
	return func() { _ = lock.Release(context.WithoutCancel(ctx)) }, nil // it runs out by itself
}

// loadingLife is how long the load of a process that died keeps others waiting.
const loadingLife = 30 * time.Second

// guard is the part of the guards that needs the file alone.
func (f *File) guard(o LoadOptions) error {
	if o.ExpectRows > 0 && f.Rows != o.ExpectRows {
		return &GuardError{Guard: "--expect-rows", Problem: fmt.Sprintf("the file has %d good rows and %d are expected", f.Rows, o.ExpectRows), Fix: "is it the right file, and whole"}
	}
	if o.ExpectTotal.Valid {
		asked, err := f.Asked()
		if err != nil {
			return err
		}
		quoted := !f.Quote.Offline && f.Quote.NotPriced == 0 && f.Quote.Total.Equal(o.ExpectTotal.Decimal)
		if !quoted && !asked.Equal(o.ExpectTotal.Decimal) {
			problem := fmt.Sprintf("the amounts add up to %s", asked.Trim(0))
			if !f.Quote.Offline {
				problem += fmt.Sprintf(" and the quote to %s %s", f.Quote.Total, f.Quote.Currency)
			}
			return &GuardError{Guard: "--expect-total", Problem: fmt.Sprintf("%s, and %s is expected", problem, o.ExpectTotal.Decimal), Fix: "is it the right file, and whole"}
		}
	}
	if o.MaxAmount.Valid && f.largest.amount.Cmp(o.MaxAmount.Decimal) > 0 {
		return &GuardError{
			Guard:   "--max-amount",
			Problem: fmt.Sprintf("line %d costs %s %s, and one top-up may cost %s", f.largest.line, f.largest.amount, f.largest.currency, o.MaxAmount.Decimal),
			Fix:     "correct the row, or raise the limit if it is meant",
		}
	}
	return nil
}

// bill is what the new rows will cost.
type bill struct {
	max     reloadly.Amount
	total   exact
	unknown int // rows without a price
}

func (b *bill) add(f *File, r *Row) {
	price, ok := f.quoter.Price(r)
	if !ok || !price.Debited.Valid || price.Operator.SenderCurrencyCode != f.Quote.Currency {
		b.unknown++
		return
	}
	b.total.add(price.Debited.Decimal)
}

// check holds the bill and those of the earlier loads against the limit. It returns
// what is kept of it with the load. That no other load comes in between is seen to by the commit, which
// refuses a campaign of another version.
func (b *bill) check(f *File, c *Campaign) (map[string]string, error) {
	const guard = "--max-total"
	var totals map[string]string
	if b.unknown == 0 {
		total, err := b.total.decimal()
		if err != nil {
			return nil, err
		}
		totals = map[string]string{f.Quote.Currency: total.String()}
	} else if b.max.Valid {
		return nil, &GuardError{Guard: guard, Problem: fmt.Sprintf("the price of %d rows is not known", b.unknown), Fix: "load without --offline, or without this guard"}
	}
	if !b.max.Valid {
		return totals, nil
	}
	var sum exact
	sum.addExact(&b.total)
	if c != nil {
		for _, load := range c.Loads {
			before, err := decimal.Parse(load.Totals[f.Quote.Currency])
			if err != nil {
				return nil, &GuardError{Guard: guard, Problem: fmt.Sprintf("the price of %s, loaded before, is not known", load.File), Fix: "load without this guard, or under another name"}
			}
			sum.add(before)
		}
	}
	total, err := sum.decimal()
	if err != nil {
		return nil, err
	}
	if total.Cmp(b.max.Decimal) > 0 {
		return nil, &GuardError{
			Guard:   guard,
			Problem: fmt.Sprintf("the campaign would cost %s %s with all its loads, and %s is allowed", total, f.Quote.Currency, b.max.Decimal),
			Fix:     "load less, or raise the limit if it is meant",
		}
	}
	return totals, nil
}
