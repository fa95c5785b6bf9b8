package worker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/bsm/redislock"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"example.com/topup/enqueue"
)

// sweeperLock lets one sweeper of the fleet work at a time (string with TTL). Two at once
// do no harm.
const sweeperLock = "topup:lock:sweeper"

// sweepers is how many jobs are looked at together.
const sweepers = 16

// SweeperConfig is how the sweeper works. The zero value is the default.
type SweeperConfig struct {
	// Interval is the time between two sweeps. Defaults to 30 s.
	Interval time.Duration
	// Limit is how many jobs of each of the ledger's shards one sweep looks at.
	// Defaults to 200.
	Limit int64
	// Recheck is after how long a job that is seen to is looked at again. Defaults
	// to 5 min.
	Recheck time.Duration
	// Logger gets a line for each lost wake-up. Defaults to none.
	Logger *slog.Logger
	// OnArchived is told of each archived task. Defaults to nil.
	OnArchived func()
}

// Sweeper finds jobs whose wake-up is late and sees to it that there is one: asynq
// may lose, archive or strand any task.
type Sweeper struct {
	rdb       redis.UniversalClient
	ledger    *enqueue.Ledger
	inspector *asynq.Inspector
	client    *asynq.Client
	locks     *redislock.Client
	cfg       SweeperConfig
	log       *slog.Logger
	archived  atomic.Int64
}

// NewSweeper makes a sweeper. It writes nothing.
func NewSweeper(rdb redis.UniversalClient, ledger *enqueue.Ledger, inspector *asynq.Inspector, client *asynq.Client, cfg SweeperConfig) *Sweeper {
	cfg.Interval = cmp.Or(cfg.Interval, 30*time.Second)
	cfg.Limit = cmp.Or(cfg.Limit, 200)
	cfg.Recheck = cmp.Or(cfg.Recheck, 5*time.Minute)
	cfg.Logger = cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler))
	return &Sweeper{rdb: rdb, ledger: ledger, inspector: inspector, client: client, locks: redislock.New(rdb), cfg: cfg, log: cfg.Logger}
}

// Archived is how many archived tasks this sweeper has found: each is an alert,
// since nothing of ours is meant to be archived.
func (s *Sweeper) Archived() int64 { return s.archived.Load() }

// Run sweeps until ctx ends, and looks for what dead workers had three times as often.
func (s *Sweeper) Run(ctx context.Context) error {
	sweep := time.NewTicker(s.cfg.Interval)
	defer sweep.Stop()
	look := time.NewTicker(max(time.Second, s.cfg.Interval/3)) // asynq counts its leases in seconds
	defer look.Stop()
	due := true
	for {
		if due {
			if _, err := s.Sweep(ctx); err != nil && ctx.Err() == nil {
				s.log.ErrorContext(ctx, "sweep ended early; the next one goes on", "error", err)
			}
		} else if _, err := s.Orphans(ctx); err != nil && ctx.Err() == nil {
			s.log.ErrorContext(ctx, "the look for tasks of dead workers ended early; the next one goes on", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-sweep.C:
			due = true
		case <-look.C:
			due = false
		}
	}
}

// Orphans wakes up the jobs whose tasks have outlived their leases, which means that
// their workers died, and returns how many. asynq itself waits for 30 s more, looks once
// a minute and then puts the task off; and a sweep that came before the end of the lease
// looks at the job again only after [SweeperConfig.Recheck]. It needs no lock: the wake-up
// is named after the lease, so that there is one of it.
func (s *Sweeper) Orphans(ctx context.Context) (int, error) {
	woken := 0
	var errs []error
	for _, queue := range []string{enqueue.QueueTopUps, enqueue.QueueCampaigns, enqueue.QueueFollowups} {
		tasks, err := s.rdb.ZRangeArgsWithScores(ctx, redis.ZRangeArgs{
			Key: "asynq:{" + queue + "}:lease", ByScore: true, Start: "-inf", Stop: "(" + strconv.FormatInt(time.Now().Unix(), 10), Count: s.cfg.Limit,
		}).Result()
		if err != nil {
			errs = append(errs, fmt.Errorf("sweeper: read the leases of queue %s: %w", queue, err))
			continue
		}
		for _, task := range tasks {
			name, _ := task.Member.(string)
			awake, err := s.wakeOrphan(ctx, queue, name, time.Unix(int64(task.Score), 0))
			if err != nil {
				errs = append(errs, err)
			}
			if awake {
				woken++
			}
		}
	}
	return woken, errors.Join(errs...)
}

// wakeOrphan wakes up the job of one task, unless that was done before.
func (s *Sweeper) wakeOrphan(ctx context.Context, queue, name string, lease time.Time) (bool, error) {
	info, err := s.inspector.GetTaskInfo(queue, name)
	if errors.Is(err, asynq.ErrTaskNotFound) || errors.Is(err, asynq.ErrQueueNotFound) {
		return false, nil // the sweep finds the job by its due time
	} else if err != nil {
		return false, fmt.Errorf("sweeper: read task %s of queue %s: %w", name, queue, err)
	}
	id, version, err := enqueue.DecodeTask(info.Payload)
	if err != nil {
		return false, fmt.Errorf("sweeper: task %s of queue %s: %w", name, queue, err)
	}
	task := enqueue.NewTaskWithHeaders(enqueue.QueueFollowups, extraTaskID(id, version, lease), id, version, time.Time{}, info.Headers)
	if _, err := s.client.EnqueueContext(ctx, task); errors.Is(err, asynq.ErrTaskIDConflict) {
		return false, nil
	} else if err != nil {
		return false, fmt.Errorf("sweeper: wake up job %s: %w", id, err)
	}
	s.log.WarnContext(ctx, "a job whose worker died has a wake-up again", "job", id, "version", version, "queue", queue)
	return true, nil
}

// Sweep looks once and returns how many jobs it woke up. Where another sweeper is
// at it, it does nothing. What goes wrong with one job is logged and does not
// stop the others.
func (s *Sweeper) Sweep(ctx context.Context) (int, error) {
	lock, err := s.locks.Obtain(ctx, sweeperLock, max(10*time.Second, 2*s.cfg.Interval), nil)
	if errors.Is(err, redislock.ErrNotObtained) {
		return 0, nil
	} else if err != nil {
		return 0, fmt.Errorf("sweeper: lock: %w", err)
	}
	defer func() { _ = lock.Release(context.WithoutCancel(ctx)) }() // also at the end of ctx; otherwise it runs out
	ids, err := s.ledger.Overdue(ctx, s.cfg.Limit)
	if err != nil {
		return 0, err
	}
	var woken atomic.Int64
	var group errgroup.Group
	group.SetLimit(sweepers)
	for _, id := range ids {
		if ctx.Err() != nil {
			break
		}
		group.Go(func() error {
			awake, err := s.see(ctx, id)
			if err != nil && ctx.Err() == nil {
				s.log.ErrorContext(ctx, "an overdue job could not be seen to", "job", id, "error", err)
			}
			if awake {
				woken.Add(1)
			}
			return nil
		})
	}
	_ = group.Wait() // its functions return no error
	return int(woken.Load()), ctx.Err()
}

// see looks at one overdue job.
func (s *Sweeper) see(ctx context.Context, id string) (woken bool, err error) {
	r, err := s.ledger.Load(ctx, id)
	switch {
	case errors.Is(err, enqueue.ErrNotFound):
		// Never silently: it is looked up, and a person decides about what is not found.
		s.log.ErrorContext(ctx, "the ledger has a due time for a job that it does not know", "job", id)
		_, err := s.ledger.Missing(ctx, id)
		return false, err
	case errors.Is(err, enqueue.ErrExpired):
		return false, s.forget(ctx, id)
	case err != nil:
		// A damaged record must not stand in front of the others for ever.
		return false, errors.Join(err, s.ledger.Checked(ctx, id, s.cfg.Recheck))
	case r.State.Settled():
		return false, s.forget(ctx, id)
	}
	queue, taskID := enqueue.QueueFollowups, enqueue.TaskID(id, r.Version)
	if r.Version <= 1 {
		queue = enqueue.QueueTopUps
		if r.TopUp.Campaign != "" {
			queue = enqueue.QueueCampaigns
		}
	}
	state, err := s.taskState(ctx, queue, taskID)
	if err != nil {
		return false, err
	}
	if state == taskWaits {
		return false, s.ledger.Checked(ctx, id, s.cfg.Recheck)
	}
	var headers map[string]string // of its trace
	if state != taskMissing {
		if info, err := s.inspector.GetTaskInfo(queue, taskID); err == nil { // not every rest of a task can be read
			headers = info.Headers
		}
		if state == "archived" {
			s.archived.Add(1)
			if s.cfg.OnArchived != nil {
				s.cfg.OnArchived()
			}
			s.log.ErrorContext(ctx, "a task was archived; it is deleted and its job woken up", "job", id, "queue", queue, "task", taskID)
			if err := s.inspector.DeleteTask(queue, taskID); err != nil {
				s.log.WarnContext(ctx, "the archived task could not be deleted", "queue", queue, "task", taskID, "error", err)
			}
		}
		queue, taskID = enqueue.QueueFollowups, extraTaskID(id, r.Version, time.Now())
	}
	task := enqueue.NewTaskWithHeaders(queue, taskID, id, r.Version, time.Time{}, headers)
	if _, err := s.client.EnqueueContext(ctx, task); err != nil && !errors.Is(err, asynq.ErrTaskIDConflict) {
		return false, fmt.Errorf("sweeper: wake up job %s: %w", id, err)
	}
	s.log.WarnContext(ctx, "a job without a wake-up has one again", "job", id, "state", r.State, "version", r.Version, "found", state)
	return true, s.ledger.Checked(ctx, id, s.cfg.Recheck)
}

// extraTaskID is a wake-up beside one whose id is taken, named after a moment. The version stands in it
// always: ids may contain a colon, and job "a:5" must not meet version 5 of job "a".
func extraTaskID(id string, version int64, now time.Time) string {
	return enqueue.CanonicalID(id) + ":" + strconv.FormatInt(version, 10) + ":s" + strconv.FormatInt(now.Unix(), 10)
}

// forgetScript takes a job out of the due times, unless it has come to life again
// since it was read. KEYS: 1 record, 2 due. ARGV: id.
var forgetScript = redis.NewScript(`
local state = redis.call('HGET', KEYS[1], 's')
if not state or state == 'succeeded' or state == 'failed' or state == 'refunded' or state == 'cancelled' or state == 'needs_review' then
  return redis.call('ZREM', KEYS[2], ARGV[1])
end
return 0`)

// forget ends the sweeper's interest in a job. The keys are the ledger's (see
// enqueue/keys.go).
func (s *Sweeper) forget(ctx context.Context, id string) error {
	id = enqueue.CanonicalID(id)
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(id)) // a hash never fails
	tag := fmt.Sprintf("topup:{s%02d}:", hash.Sum32()%64)
	if err := forgetScript.Run(ctx, s.rdb, []string{tag + "job:" + id, tag + "due"}, id).Err(); err != nil {
		return fmt.Errorf("sweeper: take job %s out of the due times: %w", id, err)
	}
	return nil
}
