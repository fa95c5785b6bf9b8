package enqueue

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/redis/go-redis/v9"
)

// Answered is the answer for one of many jobs.
type Answered struct {
	Result  Result
	Created bool // it is new; false where the job existed
	Err     error
}

const (
	// chunk is how many jobs one script takes: Redis does nothing else meanwhile.
	chunk = 100
	// window is how many jobs are under way in one pipeline. Within it they are
	// written shard by shard, so it also bounds how far a job can overtake another.
	window = 3200
)

// TopUps submits many jobs and has one answer for each, in their order, as if each
// had been submitted by [Client.TopUp] after the one before. It is for thousands:
// scripts, pipelines and goroutines share the round trips. An error concerns
// its own job alone, and ctx ending leaves every job that got no answer with an
// error that says to repeat it.
func (c *Client) TopUps(ctx context.Context, jobs []TopUp) []Answered {
	answers := make([]Answered, len(jobs))
	wakes := make(chan submitted, window)
	var group sync.WaitGroup
	for range min(c.cfg.Parallel, len(jobs)) {
		group.Go(func() {
			tasks := c.bulk()
			for s := range wakes {
				c.wake(ctx, tasks, s)
			}
		})
	}
	prepared := make(chan *submission, 1) // the next window is made while Redis works on this one
	group.Go(func() {
		defer close(prepared)
		for from := 0; from < len(jobs); from += window {
			prepared <- c.prepare(jobs[from:min(from+window, len(jobs))])
		}
	})
	from := 0
	for p := range prepared {
		c.submit(ctx, p)
		for _, s := range p.out {
			answers[from] = s.Answered
			from++
			if s.wake != nil {
				wakes <- s
			}
		}
	}
	close(wakes)
	group.Wait()
	return answers
}

// submitCall is one run of submit.lua: its jobs with their places in the window,
// and its reply.
type submitCall struct {
	at    []int
	jobs  []TopUp
	keys  []string
	args  []any
	reply *redis.Cmd
}

// submission is a window of jobs: the calls that write them, and what became of each.
type submission struct {
	calls []*submitCall
	out   []submitted
}

// prepare checks the jobs and puts them into calls.
func (c *Client) prepare(jobs []TopUp) *submission {
	p := &submission{out: make([]submitted, len(jobs))}
	var open [shards]*submitCall
	for i, t := range jobs {
		t, err := t.Validate()
		if err != nil {
			p.out[i].Err = err
			continue
		}
		shard := shardOf(t.ID)
		if open[shard] == nil || len(open[shard].jobs) == chunk {
			open[shard] = &submitCall{}
			p.calls = append(p.calls, open[shard])
		}
		open[shard].at = append(open[shard].at, i)
		open[shard].jobs = append(open[shard].jobs, t)
	}
	for _, call := range p.calls {
		call.keys, call.args = c.scriptCall(call.jobs)
	}
	return p
}

// submit writes the jobs to the ledger in one pipeline.
func (c *Client) submit(ctx context.Context, p *submission) {
	pipe := c.rdb.Pipeline()
	for _, call := range p.calls {
		call.reply = submitScript.EvalSha(ctx, pipe, call.keys, call.args...)
	}
	_, _ = pipe.Exec(ctx) // each command has its own error
	for _, call := range p.calls {
		reply, err := call.reply.Result()
		if redis.HasErrorPrefix(err, "NOSCRIPT") {
			reply, err = submitScript.Run(ctx, c.rdb, call.keys, call.args...).Result()
		}
		if err != nil {
			for i, t := range call.jobs {
				p.out[call.at[i]].Err = unanswered(t.ID, err)
			}
			continue
		}
		for i, s := range c.readSubmission(call.jobs, reply) {
			p.out[call.at[i]] = s
		}
	}
}

// GetMany reads many jobs and has one answer for each, in their order; Created is
// always false. The errors are those of [Client.Get].
func (c *Client) GetMany(ctx context.Context, ids []string) []Answered {
	answers := make([]Answered, 0, len(ids))
	for from := 0; from < len(ids); from += window {
		answers = append(answers, c.getWindow(ctx, ids[from:min(from+window, len(ids))])...)
	}
	return answers
}

func (c *Client) getWindow(ctx context.Context, ids []string) []Answered {
	out := make([]Answered, len(ids))
	pipe := c.rdb.Pipeline()
	replies := make([]*redis.MapStringStringCmd, len(ids))
	for i, id := range ids {
		replies[i] = pipe.HGetAll(ctx, jobKey(id))
	}
	_, _ = pipe.Exec(ctx) // each command has its own error
	var gone []int
	for i, id := range ids {
		fields, err := replies[i].Result()
		switch {
		case err != nil:
			out[i].Err = fmt.Errorf("ledger: read job %s: %w", id, err)
		case len(fields) == 0:
			gone = append(gone, i)
		default:
			r, err := decodeRecord(id, fields)
			if err != nil {
				out[i].Err = err
				continue
			}
			out[i].Result = r.Result()
		}
	}
	c.eachTomb(ctx, ids, gone, func(i int, tomb string, err error) {
		switch {
		case errors.Is(err, redis.Nil):
			out[i].Err = fmt.Errorf("job %q: %w", ids[i], ErrNotFound)
		case err != nil:
			out[i].Err = fmt.Errorf("ledger: read job %s: %w", ids[i], err)
		default:
			r, err := decodeTomb(ids[i], tomb)
			out[i].Result, out[i].Err = r.Result(), err
		}
	})
	return out
}

// eachTomb reads what is left of the jobs that have no record: those of ids at the
// places gone. The error is [redis.Nil] where nothing is left.
func (c *Client) eachTomb(ctx context.Context, ids []string, gone []int, f func(i int, tomb string, err error)) {
	if len(gone) == 0 {
		return
	}
	pipe := c.rdb.Pipeline()
	tombs := make([]*redis.StringCmd, len(gone))
	for k, i := range gone {
		tombs[k] = pipe.Get(ctx, tombKey(ids[i]))
	}
	_, _ = pipe.Exec(ctx) // each command has its own error
	for k, i := range gone {
		tomb, err := tombs[k].Result()
		f(i, tomb, err)
	}
}
