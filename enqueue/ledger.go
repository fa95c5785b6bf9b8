package enqueue

import (
	"cmp"
	"context"
	"embed"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

//go:embed lua/*.lua
var scriptFiles embed.FS

// LedgerConfig is how the ledger judges time. The zero value is the default;
// tests scale all of it by one factor.
type LedgerConfig struct {
	// Settle is how long after a send "not found" proves nothing. Defaults to 10 min.
	Settle time.Duration
	// SendWindow is how long a permission to send lives. Defaults to 10 s.
	SendWindow time.Duration
	// PostTimeout is how long a POST may take. Defaults to 90 s.
	PostTimeout time.Duration
	// AbsentAnswers is how many healthy empty answers prove that nothing was
	// executed. Defaults to 2.
	AbsentAnswers int
	// AbsentSpacing is the time between them. Defaults to 5 min.
	AbsentSpacing time.Duration
	// MaxSends is how often a job is sent. Defaults to 12.
	MaxSends int
	// Lifetime is how long a job may wait, time on hold not counted, when it says
	// nothing itself. Defaults to 24 h.
	Lifetime time.Duration
	// Patience is after how long without a fate a person decides. Defaults to 24 h.
	Patience time.Duration
	// ResendPause is the least time between a send, or the end of its transaction, and
	// the same job sent again by a person. Defaults to 30 min.
	ResendPause time.Duration
	// SweepGrace is how late a wake-up may be before the sweeper looks. Defaults to 15 s.
	SweepGrace time.Duration
	// ClockSkew is by how much Reloadly's clock may lag behind Redis'. Defaults to 2 s.
	ClockSkew time.Duration
	// Retention is how long the record of a final job is kept. Defaults to 90 days.
	Retention time.Duration
	// Memory is how long its id stays refused. Defaults to 400 days.
	Memory time.Duration
	// Epoch stands for the Redis process where Redis has no run_id (miniredis).
	// Leave it empty for a real Redis.
	Epoch string
	// Who signs the lines of the log: a worker's name, at most 12 characters.
	Who string
}

func (c LedgerConfig) withDefaults() LedgerConfig {
	c.Settle = cmp.Or(c.Settle, 10*time.Minute)
	c.SendWindow = cmp.Or(c.SendWindow, 10*time.Second)
	c.PostTimeout = cmp.Or(c.PostTimeout, 90*time.Second)
	c.AbsentAnswers = cmp.Or(c.AbsentAnswers, 2)
	c.AbsentSpacing = cmp.Or(c.AbsentSpacing, 5*time.Minute)
	c.MaxSends = cmp.Or(c.MaxSends, 12)
	c.Lifetime = cmp.Or(c.Lifetime, 24*time.Hour)
	c.Patience = cmp.Or(c.Patience, 24*time.Hour)
	c.ResendPause = cmp.Or(c.ResendPause, 30*time.Minute)
	c.SweepGrace = cmp.Or(c.SweepGrace, 15*time.Second)
	c.ClockSkew = cmp.Or(c.ClockSkew, 2*time.Second)
	c.Retention = cmp.Or(c.Retention, 90*24*time.Hour)
	c.Memory = cmp.Or(c.Memory, 400*24*time.Hour)
	c.Who = cmp.Or(c.Who, "-")
	return c
}

// Ledger is the truth about every job. Each change is one script on the keys of
// one job, judged by Redis' own clock; a script that is repeated because its
// answer was lost does no harm.
type Ledger struct {
	rdb redis.UniversalClient
	cfg LedgerConfig
	// known is the token of the incarnation that each shard was last seen in.
	known [shards]atomic.Pointer[string]
}

// opened is told of the Redis of each ledger. It is a variable only so that
// worker/chaostest can end a process before and after each write.
var opened = func(redis.UniversalClient) {}

// NewLedger opens the ledger in rdb. It writes nothing.
func NewLedger(rdb redis.UniversalClient, cfg LedgerConfig) *Ledger {
	opened(rdb)
	return &Ledger{rdb: rdb, cfg: cfg.withDefaults()}
}

// Config is the ledger's configuration with its defaults filled in.
func (l *Ledger) Config() LedgerConfig { return l.cfg }

// Answer is what a script of the ledger decided.
type Answer struct {
	Word    string    // see the scripts in lua/
	State   State     // the state after it
	Version int64     // of the record after it
	NextAt  time.Time // when to come back; zero when there is nothing to do
}

// The words of an Answer that callers decide on.
const (
	AnswerSend    = "send"    // begin: this is the permission
	AnswerBusy    = "busy"    // begin: someone else has the permission
	AnswerEarly   = "early"   // begin: not before NextAt
	AnswerLook    = "look"    // look the job up before anything else
	AnswerMissing = "missing" // the ledger does not know the job
	AnswerIgnored = "ignored" // outcome: it came too late to count
	AnswerDouble  = "double"  // outcome: a second executed transaction of the job
	AnswerAlert   = "alert"   // outcome: a job that had ended unpaid was executed
	AnswerStale   = "stale"   // the record has moved on meanwhile
)

var (
	preludeText = mustRead("prelude")
	recordText  = mustRead("record")

	openScript    = newScript(preludeText, "open")
	submitScript  = newScript(preludeText, "submit")
	beginScript   = newScript(preludeText+recordText, "begin")
	outcomeScript = newScript(preludeText+recordText, "outcome")
	absentScript  = newScript(preludeText+recordText, "absent")
	waitScript    = newScript(preludeText+recordText, "wait")
	delayScript   = newScript(preludeText+recordText, "delay")
	lapseScript   = newScript(preludeText+recordText, "lapse")
	missingScript = newScript(preludeText+recordText, "missing")
	cancelScript  = newScript(preludeText+recordText, "cancel")
	giveUpScript  = newScript(preludeText+recordText, "giveup")
	reviewScript  = newScript(preludeText+recordText, "review")

	// What was paid is worth some bytes more than maxmemory allows.
	outcomeWhenFullScript = newScript("#!lua flags=allow-oom\n"+preludeText+recordText, "outcome")
)

func mustRead(name string) string {
	text, err := scriptFiles.ReadFile("lua/" + name + ".lua")
	if err != nil { // the files are part of the binary
		panic(err)
	}
	return string(text)
}

func newScript(before, name string) *redis.Script { return redis.NewScript(before + mustRead(name)) }

// arguments are those that prelude.lua reads, before a script's own.
func (l *Ledger) arguments(id string, own []any) []any {
	return append([]any{
		CanonicalID(id), l.cfg.Epoch, l.token(shardOf(id)), l.cfg.Who,
		l.cfg.Settle.Milliseconds(), int64(l.cfg.Retention.Seconds()), int64(l.cfg.Memory.Seconds()),
		l.cfg.Lifetime.Milliseconds(), l.cfg.MaxSends, l.cfg.SweepGrace.Milliseconds(),
	}, own...)
}

// remember keeps the token of the incarnation in which a shard answered.
func (l *Ledger) remember(shard int, token string) {
	if seen := l.known[shard].Load(); seen == nil || *seen != token {
		l.known[shard].Store(&token)
	}
}

func (l *Ledger) token(shard int) string {
	if seen := l.known[shard].Load(); seen != nil {
		return *seen
	}
	return ""
}

// Open notes the Redis that the ledger is in, in every shard, before there is a job
// in it: a shard that never had one could not be told from one that has forgotten
// everything. Repeated, it tells a Redis that has forgotten what this ledger
// knows. Workers do both.
func (l *Ledger) Open(ctx context.Context) error {
	pipe := l.rdb.Pipeline()
	var replies [shards]*redis.Cmd
	call := func(shard int) (keys []string, args []any) {
		due := dueKey(shard) // stands in for the keys of a job
		keys = []string{due, due, incarnationKey(shard), due, due}
		args = []any{"", l.cfg.Epoch, l.token(shard), l.cfg.Who, l.cfg.Settle.Milliseconds(), 0, 0, 0, 0, 0}
		return keys, args
	}
	for shard := range shards {
		keys, args := call(shard)
		replies[shard] = openScript.EvalSha(ctx, pipe, keys, args...)
	}
	_, _ = pipe.Exec(ctx) // each command has its own error
	for shard, reply := range replies {
		token, err := reply.Text()
		if redis.HasErrorPrefix(err, "NOSCRIPT") {
			keys, args := call(shard)
			token, err = openScript.Run(ctx, l.rdb, keys, args...).Text()
		}
		if err != nil {
			return fmt.Errorf("ledger: open shard %d: %w", shard, err)
		}
		l.remember(shard, token)
	}
	return nil
}

// call runs a script on one job. extra is carried in the same round trip.
func (l *Ledger) call(ctx context.Context, script *redis.Script, id string, extra func(redis.Pipeliner), own ...any) (Answer, error) {
	keys := l.keys(id)
	var reply any
	var err error
	if extra == nil {
		reply, err = script.Run(ctx, l.rdb, keys, l.arguments(id, own)...).Result()
	} else {
		reply, err = l.pipelined(ctx, script, keys, l.arguments(id, own), extra)
	}
	return l.read(id, reply, err)
}

// keys are those of a job that every script on one gets, in the order of prelude.lua.
func (l *Ledger) keys(id string) []string {
	shard := shardOf(id)
	return []string{jobKey(id), dueKey(shard), incarnationKey(shard), tombKey(id), reviewKey(shard)}
}

// read reads the reply of a script on one job.
func (l *Ledger) read(id string, reply any, err error) (Answer, error) {
	if err != nil {
		return Answer{}, fmt.Errorf("ledger: job %s: %w", id, err)
	}
	values, ok := reply.([]any)
	if !ok || len(values) != 5 {
		return Answer{}, fmt.Errorf("ledger: job %s: unexpected reply of a script", id)
	}
	word, _ := values[0].(string)
	version, _ := values[1].(int64)
	next, _ := values[2].(string)
	state, _ := values[3].(string)
	token, _ := values[4].(string)
	l.remember(shardOf(id), token)
	answer := Answer{Word: word, State: State(state), Version: version}
	if ms, err := strconv.ParseInt(next, 10, 64); err == nil && ms > 0 {
		answer.NextAt = time.UnixMilli(ms).UTC()
	}
	return answer, nil
}

// pipelined sends the script together with what can go along.
func (l *Ledger) pipelined(ctx context.Context, script *redis.Script, keys []string, args []any, extra func(redis.Pipeliner)) (any, error) {
	pipe := l.rdb.Pipeline()
	run := script.EvalSha(ctx, pipe, keys, args...)
	extra(pipe)
	if _, err := pipe.Exec(ctx); redis.HasErrorPrefix(run.Err(), "NOSCRIPT") {
		return script.Eval(ctx, l.rdb, keys, args...).Result()
	} else if run.Err() == nil {
		return run.Val(), nil
	} else {
		return nil, errors.Join(run.Err(), err)
	}
}

// Load reads a job. It returns [ErrNotFound], or [ErrExpired] where only the tomb is left.
func (l *Ledger) Load(ctx context.Context, id string) (*Record, error) {
	fields, err := l.rdb.HGetAll(ctx, jobKey(id)).Result()
	if err != nil {
		return nil, fmt.Errorf("ledger: read job %s: %w", id, err)
	}
	if len(fields) > 0 {
		return decodeRecord(id, fields)
	}
	tomb, err := l.rdb.Get(ctx, tombKey(id)).Result()
	switch {
	case errors.Is(err, redis.Nil):
		return nil, fmt.Errorf("job %q: %w", id, ErrNotFound)
	case err != nil:
		return nil, fmt.Errorf("ledger: read job %s: %w", id, err)
	default:
		return decodeTomb(id, tomb)
	}
}

// decodeTomb is the little that is kept of an ended job for [LedgerConfig.Memory],
// together with [ErrExpired].
func decodeTomb(id, tomb string) (*Record, error) {
	r := &Record{TopUp: TopUp{ID: CanonicalID(id)}}
	if tomb != "" {
		r.State = letters[tomb[0]]
		r.TxID, _ = strconv.ParseInt(tomb[1:], 10, 64) // empty where there was no transaction
	}
	return r, fmt.Errorf("job %q ended as %s: %w", id, r.State, ErrExpired)
}
