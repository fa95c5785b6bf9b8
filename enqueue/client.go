package enqueue

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
)

// ClientConfig is how a [Client] behaves. The zero value is the default.
type ClientConfig struct {
	// Ledger is how the ledger judges time.
	Ledger LedgerConfig
	// PollInterval is how often the jobs that [Client.Wait] waits for are looked at,
	// beside the messages that it gets: at most 100 of them at a time, in turn, so that
	// 10,000 who wait cost Redis no more than 100. Defaults to 2 s.
	PollInterval time.Duration
	// Parallel is how many wake-ups [Client.TopUps] has under way at a time; they
	// share pipelines. Defaults to 128.
	Parallel int
	// Headers go along with the first wake-up of the job id, which a worker may read: the
	// trace of the call, for example. They must hold nothing personal. Defaults to none.
	Headers func(ctx context.Context, id string) map[string]string
	// Logger gets a warning where something went wrong that harms no job. Defaults
	// to none.
	Logger *slog.Logger
}

func (c ClientConfig) withDefaults() ClientConfig {
	c.PollInterval = cmp.Or(c.PollInterval, 2*time.Second)
	c.Parallel = cmp.Or(c.Parallel, 128)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// Client is the way in and out: it submits jobs, reads them, waits for them and
// withdraws them. It may be used by many goroutines.
type Client struct {
	rdb    redis.UniversalClient
	cfg    ClientConfig
	ledger *Ledger
	tasks  *asynq.Client
	bulk   func() *asynq.Client
	waiters
}

// NewClient makes a client on rdb, which stays the caller's to close, after the
// client. It touches Redis only when it is used.
func NewClient(rdb redis.UniversalClient, cfg ClientConfig) *Client {
	c := &Client{rdb: rdb, cfg: cfg.withDefaults(), ledger: NewLedger(rdb, cfg.Ledger), tasks: asynq.NewClientFromRedisClient(rdb)}
	c.bulk = sync.OnceValue(c.pipelining)
	c.waiters.init(rdb, c.cfg.PollInterval)
	return c
}

// Ledger is the ledger on which the client works.
func (c *Client) Ledger() *Ledger { return c.ledger }

// Close ends every [Client.Wait] and the subscription behind them. It leaves the
// Redis client open.
func (c *Client) Close() error { return c.waiters.close() }

// pipelining is asynq's own client on a connection that joins the commands of many
// goroutines into pipelines. The pipeliner belongs to the Redis client, which ends it.
func (c *Client) pipelining() *asynq.Client {
	pipeliner, ok := c.rdb.(interface {
		AutoPipeline() (*redis.AutoPipeliner, error)
	})
	if !ok {
		return c.tasks
	}
	ap, err := pipeliner.AutoPipeline()
	if err != nil { // only where the Redis client was given bad options for it
		c.cfg.Logger.Warn("bulk submission goes on without pipelines", "error", err)
		return c.tasks
	}
	return asynq.NewClientFromRedisClient(ap)
}

// TopUp submits one job and returns it as the ledger has it. Submitting it again
// is harmless and returns the same job. The error matches [ErrInvalid] (nothing
// was written), [ErrConflict] or [ErrExpired]; with any other error it is not
// known whether the job was accepted: repeat it with the same id.
func (c *Client) TopUp(ctx context.Context, t TopUp) (Result, error) {
	a := c.Submit(ctx, t)
	return a.Result, a.Err
}

// Submit is [Client.TopUp] for callers who want to know whether the job is new.
func (c *Client) Submit(ctx context.Context, t TopUp) Answered {
	t, err := t.Validate()
	if err != nil {
		return Answered{Err: err}
	}
	keys, args := c.scriptCall([]TopUp{t})
	reply, err := submitScript.Run(ctx, c.rdb, keys, args...).Result()
	if err != nil {
		return Answered{Err: unanswered(t.ID, err)}
	}
	s := c.readSubmission([]TopUp{t}, reply)[0]
	c.wake(ctx, c.tasks, s)
	return s.Answered
}

// unanswered says that a submission may or may not have reached the ledger.
func unanswered(id string, err error) error {
	return fmt.Errorf("job %q: it is not known whether Redis accepted it (repeat it with the same id): %w", id, err)
}

// scriptCall is the keys and arguments of submit.lua for valid jobs of one shard.
func (c *Client) scriptCall(jobs []TopUp) (keys []string, args []any) {
	first := jobs[0].ID
	shard := shardOf(first)
	keys = append(make([]string, 0, 5+2*len(jobs)),
		jobKey(first), dueKey(shard), incarnationKey(shard), tombKey(first), reviewKey(shard))
	own := make([]any, 0, 24*len(jobs))
	for _, t := range jobs {
		keys = append(keys, jobKey(t.ID), tombKey(t.ID))
		fields := requestFields(t)
		own = append(own, CanonicalID(t.ID), cmp.Or(unixMilli(t.NotBefore), "0"), len(fields))
		own = append(own, fields...)
	}
	return keys, c.ledger.arguments(first, own)
}

// submitted is what became of one job of a submission.
type submitted struct {
	Answered
	wake func(headers map[string]string) *asynq.Task // nil where the job needs none
}

// readSubmission reads the answers of submit.lua, one for each job.
func (c *Client) readSubmission(jobs []TopUp, reply any) []submitted {
	out := make([]submitted, len(jobs))
	values, _ := reply.([]any)
	if len(values) != len(jobs)+1 {
		for i, t := range jobs {
			out[i].Err = unanswered(t.ID, errReply)
		}
		return out
	}
	if token, ok := values[0].(string); ok {
		c.ledger.remember(shardOf(jobs[0].ID), token)
	}
	for i, t := range jobs {
		out[i] = readSubmitted(t, values[i+1])
	}
	return out
}

// errReply is a bug or another program's script.
var errReply = errors.New("unexpected reply of a script")

func readSubmitted(t TopUp, value any) submitted {
	parts, _ := value.([]any)
	if len(parts) != 2 {
		return submitted{Answered: Answered{Err: unanswered(t.ID, errReply)}}
	}
	word, _ := parts[0].(string)
	text, _ := parts[1].(string)
	switch word {
	case "created":
		ms, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return submitted{Answered: Answered{Err: unanswered(t.ID, errReply)}}
		}
		now := time.UnixMilli(ms).UTC()
		r := Record{TopUp: t, State: Queued, Version: 1, CreatedAt: now, UpdatedAt: now, NextAt: now}
		if t.NotBefore.After(now) {
			r.NextAt = t.NotBefore
		}
		return submitted{Answered{Result: r.Result(), Created: true}, firstTask(t)}
	case "exists":
		return readExisting(t, pairs(parts[1]))
	case "gone":
		r, err := decodeTomb(t.ID, text)
		return submitted{Answered: Answered{Result: r.Result(), Err: err}}
	default:
		return submitted{Answered: Answered{Err: unanswered(t.ID, errReply)}}
	}
}

// pairs reads the reply of HGETALL inside a script's.
func pairs(value any) map[string]string {
	list, _ := value.([]any)
	fields := make(map[string]string, len(list)/2)
	for i := 0; i+1 < len(list); i += 2 {
		name, _ := list[i].(string)
		fields[name], _ = list[i+1].(string)
	}
	return fields
}

func readExisting(t TopUp, fields map[string]string) submitted {
	r, err := decodeRecord(t.ID, fields)
	if err != nil {
		return submitted{Answered: Answered{Err: err}}
	}
	switch stored, known := fields[fieldFingerprint]; {
	case !known:
		// The ledger lost the request and looks the job up. That is no conflict: its
		// error would ask for a new id, and a new id can be paid twice.
	case stored != fingerprint(t):
		return submitted{Answered: Answered{Err: &ConflictError{ID: t.ID, Fields: t.Differs(r.TopUp)}}}
	case r.Version == 1 && r.State == Queued:
		// Its first wake-up may never have been written.
		return submitted{Answered{Result: r.Result()}, firstTask(r.TopUp)}
	}
	return submitted{Answered: Answered{Result: r.Result()}}
}

// firstTask makes the first wake-up of a job.
func firstTask(t TopUp) func(headers map[string]string) *asynq.Task {
	queue := QueueTopUps
	if t.Campaign != "" {
		queue = QueueCampaigns
	}
	id, at := t.ID, t.NotBefore
	return func(headers map[string]string) *asynq.Task {
		return NewTaskWithHeaders(queue, TaskID(id, 1), id, 1, at, headers)
	}
}

// wake hands the first wake-up to asynq. Whatever becomes of that, the job is in
// the ledger, and the sweeper finds a job that has no wake-up.
func (c *Client) wake(ctx context.Context, tasks *asynq.Client, s submitted) {
	if s.wake == nil {
		return
	}
	var headers map[string]string
	if c.cfg.Headers != nil {
		headers = c.cfg.Headers(ctx, s.Result.ID)
	}
	if _, err := tasks.EnqueueContext(ctx, s.wake(headers)); err != nil && !errors.Is(err, asynq.ErrTaskIDConflict) {
		c.cfg.Logger.WarnContext(ctx, "no wake-up was written for an accepted job; the sweeper will find it", "job", s.Result.ID, "error", err)
	}
}

// Get reads a job. The error matches [ErrNotFound], or [ErrExpired], with a result
// of which the state alone counts.
func (c *Client) Get(ctx context.Context, id string) (Result, error) {
	r, err := c.ledger.Load(ctx, id)
	if r == nil {
		return Result{}, err
	}
	return r.Result(), err
}

// Cancel withdraws a job that still waits and certainly was not sent. A job that
// is cancelled already stays so, without an error; otherwise the error matches
// [ErrNotCancellable], with the job as it stands, or [ErrNotFound].
func (c *Client) Cancel(ctx context.Context, id string) (Result, error) {
	answer, err := c.ledger.call(ctx, cancelScript, id, nil)
	if err != nil {
		return Result{}, err
	}
	result, err := c.Get(ctx, id)
	switch {
	case err != nil:
		return result, err
	case answer.Word == "no":
		return result, fmt.Errorf("job %q is %s: %w", id, answer.State, ErrNotCancellable)
	default:
		return result, nil
	}
}
