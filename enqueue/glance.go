package enqueue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/redis/go-redis/v9"
)

// Glance is the little of a job that says where it stands.
type Glance struct {
	ID      string
	State   State
	Reason  Reason
	Code    string // none where only the id's tomb is left
	Version int64  // of the record; 0 where only the id's tomb is left
	Missing bool   // the ledger does not know it
	Err     error  // Redis could not be asked, or the record is damaged; the rest counts for nothing
}

// Glances looks at many jobs and has one answer for each, in their order. It is for
// those who watch thousands of jobs: it reads four fields of each where
// [Client.GetMany] reads them all. A job whose record has expired stands in its final state.
func (c *Client) Glances(ctx context.Context, ids []string) []Glance {
	glances := make([]Glance, 0, len(ids))
	for from := 0; from < len(ids); from += window {
		glances = append(glances, c.glanceWindow(ctx, ids[from:min(from+window, len(ids))])...)
	}
	return glances
}

func (c *Client) glanceWindow(ctx context.Context, ids []string) []Glance {
	out := make([]Glance, len(ids))
	pipe := c.rdb.Pipeline()
	replies := make([]*redis.SliceCmd, len(ids))
	for i, id := range ids {
		replies[i] = pipe.HMGet(ctx, jobKey(id), fieldState, fieldReason, fieldCode, fieldVersion)
	}
	_, _ = pipe.Exec(ctx) // each command has its own error
	var gone []int
	for i, id := range ids {
		out[i].ID = id
		values, err := replies[i].Result()
		if err != nil {
			out[i].Err = fmt.Errorf("ledger: look at job %s: %w", id, err)
			continue
		}
		state, _ := values[0].(string)
		reason, _ := values[1].(string)
		code, _ := values[2].(string)
		version, _ := values[3].(string)
		out[i].State, out[i].Reason, out[i].Code = State(state), Reason(reason), code
		out[i].Version, err = strconv.ParseInt(version, 10, 64)
		switch {
		case state == "" && version == "":
			gone = append(gone, i)
		case err != nil, !slices.Contains(States(), State(state)):
			out[i].Err = fmt.Errorf("record of job %q is %w", id, ErrDamaged)
		}
	}
	c.eachTomb(ctx, ids, gone, func(i int, tomb string, err error) {
		switch {
		case errors.Is(err, redis.Nil):
			out[i].Missing = true
		case err != nil:
			out[i].Err = fmt.Errorf("ledger: look at job %s: %w", ids[i], err)
		case tomb == "" || !letters[tomb[0]].Final():
			out[i].Err = fmt.Errorf("tomb of job %q is %w", ids[i], ErrDamaged)
		default:
			out[i].State = letters[tomb[0]]
		}
	})
	return out
}

// CancelMany withdraws many jobs as [Client.Cancel] does, and has one error for each,
// in their order.
func (c *Client) CancelMany(ctx context.Context, ids []string) []error {
	errs := make([]error, 0, len(ids))
	for from := 0; from < len(ids); from += window {
		errs = append(errs, c.cancelWindow(ctx, ids[from:min(from+window, len(ids))])...)
	}
	return errs
}

func (c *Client) cancelWindow(ctx context.Context, ids []string) []error {
	errs := make([]error, len(ids))
	pipe := c.rdb.Pipeline()
	replies := make([]*redis.Cmd, len(ids))
	for i, id := range ids {
		replies[i] = cancelScript.EvalSha(ctx, pipe, c.ledger.keys(id), c.ledger.arguments(id, nil)...)
	}
	_, _ = pipe.Exec(ctx) // each command has its own error
	for i, id := range ids {
		reply, err := replies[i].Result()
		if redis.HasErrorPrefix(err, "NOSCRIPT") {
			reply, err = cancelScript.Run(ctx, c.rdb, c.ledger.keys(id), c.ledger.arguments(id, nil)...).Result()
		}
		answer, err := c.ledger.read(id, reply, err)
		switch {
		case err != nil:
			errs[i] = err
		case answer.Word == AnswerMissing:
			errs[i] = fmt.Errorf("job %q: %w", id, ErrNotFound)
		case answer.Word == "no":
			errs[i] = fmt.Errorf("job %q is %s: %w", id, answer.State, ErrNotCancellable)
		}
	}
	return errs
}
