package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/govalues/decimal"
	"github.com/redis/go-redis/v9"

	"example.com/topup/enqueue"
)

// stage is a Redis and a simulator for a run in which the moment counts: nothing happens
// on it but what the run does itself.
type stage struct {
	running   context.Context // that of the whole run
	dir       string
	settings  settings
	redis     *redisServer
	simulator *simulator
	client    *enqueue.Client
	jobs      []*job
	decided   string // the job that a person ended as unpaid
}

func newStage(ctx context.Context, parent, name string, s settings, sim simulatorConfig) (*stage, error) {
	dir, err := os.MkdirTemp(parent, name+"-")
	if err != nil {
		return nil, err
	}
	s.Seed = 1 // which sends by POST /topups
	g := &stage{running: ctx, dir: dir, settings: s}
	if g.redis, err = newRedis(ctx, dir, true); err != nil {
		return nil, err
	}
	err = g.redis.start(ctx)
	if err == nil {
		g.simulator, err = launchSimulator(ctx, dir, sim)
	}
	if err != nil {
		g.close()
		return nil, fmt.Errorf("start %s (see %s): %w", name, dir, err)
	}
	g.client = enqueue.NewClient(g.redis.direct, enqueue.ClientConfig{Ledger: s.ledger(), PollInterval: 50 * time.Millisecond})
	return g, nil
}

// close ends everything but the workers, which their run has ended.
func (g *stage) close() {
	if g.client != nil {
		_ = g.client.Close() // nothing is left to lose
	}
	if g.simulator != nil && g.simulator.process != nil {
		g.simulator.process.kill()
	}
	_ = g.redis.direct.Close()
	g.redis.kill()
}

// worker starts a worker process.
func (g *stage) worker(name, binary string, more ...string) (*process, error) {
	environment := append(workerEnvironment(g.redis.addr, g.simulator.addr, g.settings), "TOPUP_NAME="+name)
	return start(g.running, name, filepath.Join(g.dir, name+".log"), append(environment, more...), binary, "worker")
}

// job is one to a number of its own that ends with four digits, in which the simulator
// may read a fault.
func (g *stage) job(id, lastFour string) *job {
	j := &job{topUp: enqueue.TopUp{
		ID: id, OperatorID: 341, Amount: decimal.MustNew(500, 0), // MTN Nigeria
		RecipientPhone: enqueue.Phone{CountryCode: "NG", Number: fmt.Sprintf("803%03d%s", len(g.jobs), lastFour)},
	}}
	g.jobs = append(g.jobs, j)
	return j
}

func (g *stage) ids() []string {
	ids := make([]string, len(g.jobs))
	for i, j := range g.jobs {
		ids[i] = j.topUp.ID
	}
	return ids
}

// submit hands jobs in, each of which has to be accepted.
func (g *stage) submit(ctx context.Context, jobs ...*job) error {
	topUps := make([]enqueue.TopUp, len(jobs))
	for i, j := range jobs {
		topUps[i] = j.topUp
	}
	var errs []error
	for _, a := range g.client.TopUps(ctx, topUps) {
		errs = append(errs, a.Err)
	}
	return errors.Join(errs...)
}

// drain waits until every job is settled, and says which are not. One that only waits for
// the end of its day to be a person's is.
func (g *stage) drain(ctx context.Context, patience time.Duration) (open []string) {
	for deadline := time.Now().Add(patience); ; {
		open = nil
		for i, a := range g.client.GetMany(ctx, g.ids()) {
			waits := towardsReview(a.Result) && time.Since(a.Result.UpdatedAt) > 6*g.settings.settle()
			if a.Err != nil || !a.Result.State.Settled() && !waits {
				open = append(open, fmt.Sprintf("%s is %s %s %v", g.jobs[i].topUp.ID, a.Result.State, a.Result.Reason, a.Err))
			}
		}
		if len(open) == 0 || time.Now().After(deadline) || !pause(ctx, 100*time.Millisecond) {
			return open
		}
	}
}

// states counts the jobs by their state and reason.
func (g *stage) states(ctx context.Context) map[string]int {
	states := map[string]int{}
	for _, a := range g.client.GetMany(ctx, g.ids()) {
		word := string(a.Result.State)
		if a.Result.Reason != "" {
			word += " " + string(a.Result.Reason)
		}
		states[word]++
	}
	return states
}

// judge is the oracle on what happened here. A job that needs a person is none of its
// matters; that is for the run to say.
func (g *stage) judge(ctx context.Context) ([]*check, evidence, error) {
	e := evidence{jobs: g.jobs, results: map[string]enqueue.Result{}, most: 1, decided: g.decided}
	var errs []error
	for i, a := range g.client.GetMany(ctx, g.ids()) {
		id := g.jobs[i].topUp.ID
		switch {
		case a.Err == nil:
			e.results[enqueue.CanonicalID(id)] = a.Result
		case errors.Is(a.Err, enqueue.ErrNotFound):
			e.missing = append(e.missing, id)
		default:
			errs = append(errs, a.Err)
		}
	}
	balance, err := g.simulator.balance(ctx)
	if err == nil {
		e.end, err = decimal.Parse(balance)
	}
	errs = append(errs, err)
	e.books, err = readBooks(g.simulator)
	if err = errors.Join(append(errs, err)...); err != nil {
		return nil, e, err
	}
	return judge(e), e, nil
}

// found are the checks that found something, in one line each.
func found(checks []*check) []string {
	var lines []string
	for _, c := range checks {
		for _, v := range c.violations {
			lines = append(lines, c.name+": "+v)
		}
	}
	return lines
}

// ageLeases makes the leases of asynq's tasks run out as if their 30 s and the 30 s of its
// patience were scaled like everything else.
func (g *stage) ageLeases(ctx context.Context) error {
	for _, queue := range []string{enqueue.QueueTopUps, enqueue.QueueCampaigns, enqueue.QueueFollowups} {
		key := "asynq:{" + queue + "}:lease"
		tasks, err := g.redis.direct.ZRange(ctx, key, 0, -1).Result()
		if err != nil {
			return err
		}
		for _, task := range tasks {
			past := redis.Z{Score: float64(time.Now().Add(-time.Minute).Unix()), Member: task}
			if err := g.redis.direct.ZAddXX(ctx, key, past).Err(); err != nil {
				return err
			}
		}
	}
	return nil
}
