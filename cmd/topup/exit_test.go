package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"testing"

	"example.com/topup/enqueue"
	"example.com/topup/enqueue/campaign"
	"example.com/topup/reloadly"
)

func TestExitCode(t *testing.T) {
	for _, test := range []struct {
		err  error
		want int
	}{
		{nil, 0},
		{errors.New("odd"), 1},
		{usage(errors.New("flag")), 2},
		{os.ErrNotExist, 3},
		{&os.PathError{Err: syscall.ENOENT}, 3},
		{&os.PathError{Err: syscall.ENOSPC}, 1},
		{&net.OpError{Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}, 8},
		{campaign.ErrUnreadable, 3},
		{&enqueue.FieldError{Field: "amount"}, 4},
		{errors.Join(&enqueue.FieldError{Field: "amount"}, &enqueue.FieldError{Field: "id"}), 4},
		{enqueue.ErrNotFound, 4},
		{campaign.ErrNoCampaign, 4},
		{errOutcome, 5},
		{&enqueue.ConflictError{ID: "x"}, 6},
		{&campaign.ConflictsError{}, 6},
		{campaign.ErrCancelled, 6},
		{campaign.ErrRowsExpired, 6},
		{&campaign.GuardError{}, 7},
		{errors.Join(&campaign.GuardError{}, context.Canceled), 7},
		{enqueue.ErrNotReviewable, 7},
		{&reloadly.Error{Outcome: reloadly.NotSent, Advice: reloadly.HoldAccount}, 7},
		{&reloadly.Error{Outcome: reloadly.NotSent, Advice: reloadly.RetryLater}, 8},
		{io.EOF, 8},
		{campaign.ErrChanged, 8},
		{campaign.ErrStageLost, 8},
		{redisLoading{}, 8},
		{errWaiting, 9},
		{context.DeadlineExceeded, 9},
	} {
		if got := exitCode(test.err); got != test.want {
			t.Errorf("%v: exit %d, want %d", test.err, got, test.want)
		}
		if test.err == nil {
			continue
		}
		if got := exitCode(fmt.Errorf("wrapped: %w", test.err)); got != test.want {
			t.Errorf("wrapped %v: exit %d, want %d", test.err, got, test.want)
		}
	}
}

// redisLoading is what a Redis answers that is still reading its file.
type redisLoading struct{}

func (redisLoading) Error() string { return "LOADING Redis is loading the dataset in memory" }
func (redisLoading) RedisError()   {}
