package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/govalues/decimal"

	"example.com/topup/enqueue"
)

// world is one run and everything in it.
type world struct {
	settings  settings
	dir       string
	redis     *redisServer
	simulator *simulator
	redisWay  *proxy // from workers and producers
	apiWay    *proxy // from workers
	fleet     *fleet
	producers *producers
	trouble   *trouble

	organisers []*organiser // in a run of campaigns, instead of what producers do
}

// outcome is what a run showed.
type outcome struct {
	checks   []*check
	states   map[string]int
	happened map[string]int
	figures  producerFigures
	took     time.Duration
	drained  time.Duration
	dir      string
	evidence evidence
}

// failed are the checks that found something.
func (o *outcome) failed() []*check {
	var failed []*check
	for _, c := range o.checks {
		if len(c.violations) > 0 {
			failed = append(failed, c)
		}
	}
	return failed
}

// runWorld makes one run. The error is one of the run itself; what the oracle found is
// in the outcome.
func runWorld(ctx context.Context, s settings, binary, parent string) (*outcome, error) {
	dir, err := os.MkdirTemp(parent, fmt.Sprintf("seed-%d-", s.Seed))
	if err != nil {
		return nil, err
	}
	w := &world{settings: s, dir: dir}
	began := time.Now()
	err = w.start(ctx, binary)
	defer w.stop()
	if err != nil {
		return nil, fmt.Errorf("start the run (see %s): %w", dir, err)
	}
	drained, err := w.run(ctx)
	if err != nil {
		return nil, fmt.Errorf("seed %d (see %s): %w", s.Seed, dir, err)
	}
	if err := w.redis.answers(ctx); err != nil { // a run that shows enough can end while it loads
		return nil, fmt.Errorf("seed %d (see %s): %w", s.Seed, dir, err)
	}
	e, err := w.collect(ctx)
	if err != nil {
		return nil, fmt.Errorf("seed %d: read what happened (see %s): %w", s.Seed, dir, err)
	}
	checks := judge(e)
	if len(w.organisers) > 0 {
		client := enqueue.NewClient(w.redis.direct, enqueue.ClientConfig{Ledger: w.settings.ledger()})
		defer func() { _ = client.Close() }() // it only read
		more, err := w.judgeCampaigns(ctx, client, &e)
		if err != nil {
			return nil, fmt.Errorf("seed %d: read the campaigns (see %s): %w", s.Seed, dir, err)
		}
		checks = append(judge(e), more...)
	}
	if w.settings.Control == "" {
		agrees, err := w.audit(ctx, &e)
		if err != nil {
			return nil, fmt.Errorf("seed %d: audit (see %s): %w", s.Seed, dir, err)
		}
		checks = append(checks, agrees)
	}
	o := &outcome{
		checks: checks, states: map[string]int{}, happened: w.trouble.done, figures: w.producers.figures,
		took: time.Since(began), drained: drained, dir: dir, evidence: e,
	}
	for _, r := range e.results {
		o.states[string(r.State)]++
	}
	if len(o.failed()) > 0 {
		w.stories(ctx, o)
	}
	return o, nil
}

func (w *world) start(ctx context.Context, binary string) error {
	var err error
	if w.redis, err = newRedis(ctx, w.dir, w.settings.AppendOnly); err != nil {
		return err
	}
	if err := w.redis.start(ctx); err != nil {
		return err
	}
	if w.simulator, err = startSimulator(ctx, w.dir, w.settings); err != nil {
		return err
	}
	if w.redisWay, err = newProxy(ctx, w.redis.addr); err != nil {
		return err
	}
	if w.apiWay, err = newProxy(ctx, w.simulator.addr); err != nil {
		return err
	}
	w.producers = newProducers(w.redisWay.addr(), w.settings, w.redis.taken)
	if w.settings.Rows > 0 {
		w.organisers = organisers(w.producers.rdb, w.producers.client, w.settings, w.redis.taken)
		for _, o := range w.organisers {
			w.producers.jobs = append(w.producers.jobs, o.jobs...)
		}
		w.producers.next = len(w.producers.jobs) // nobody submits them but the feeder
	}
	if w.trouble, err = newTrouble(w); err != nil {
		return err
	}
	w.fleet = newFleet(ctx, w.dir, binary, w.redisWay.addr(), w.apiWay.addr(), w.settings)
	w.fleet.run()
	return nil
}

// run hurts everything, and then leaves it in peace until nothing is open any more. A
// run with a guard taken out ends as soon as the oracle has something.
func (w *world) run(ctx context.Context) (drained time.Duration, err error) {
	watching, unwatch := context.WithCancel(ctx)
	defer unwatch()
	go w.redis.watch(watching)
	go w.trouble.account(watching)

	work := ctx
	if w.settings.Control != "" {
		caught, cancel := context.WithCancel(ctx)
		defer cancel()
		go w.watchForCatch(caught, cancel)
		work = caught
	}
	var group sync.WaitGroup
	for _, o := range w.organisers {
		group.Go(func() { o.run(work) })
	}
	group.Go(func() {
		if len(w.organisers) > 0 {
			return
		}
		silence := time.Duration(0)
		if w.settings.Young { // nobody submits before Redis has forgotten the first burst
			silence = 2 * time.Second
			pause(work, silence)
		}
		w.producers.run(work, w.settings.Duration-silence, kept(w.settings))
	})
	troubled := make(chan error, 1)
	group.Go(func() { troubled <- w.trouble.run(work, schedule(w.settings)) })
	group.Wait()
	if err := <-troubled; err != nil {
		return 0, err
	}
	peace := time.Now()
	drain, cancel := context.WithTimeout(work, w.settings.Drain)
	defer cancel()
	for _, o := range w.organisers {
		o.finish(drain)
	}
	w.producers.finish(drain)
	w.again(drain)
	for open := -1; open != 0 && pause(drain, 500*time.Millisecond); {
		open = w.open(drain)
	}
	drained = time.Since(peace)
	pause(work, 2*w.settings.late()) // what is executed late must be in the books
	return drained, ctx.Err()
}

// again tells everybody that Redis may have forgotten something.
func (w *world) again(ctx context.Context) {
	for _, o := range w.organisers {
		o.again(ctx)
	}
	w.producers.again(ctx)
}

// open counts the jobs that are not settled, and still may be in this run.
func (w *world) open(ctx context.Context) int {
	open := 0
	waiting := map[string]int{} // by their campaign
	for _, a := range w.producers.client.GetMany(ctx, w.ids()) {
		idle := time.Since(a.Result.UpdatedAt) > 6*w.settings.settle()+w.settings.reportDelay()
		if a.Err == nil && (a.Result.State.Settled() || idle && towardsReview(a.Result)) {
			if !a.Result.State.Settled() {
				waiting[a.Result.Campaign]++
			}
			continue
		}
		if len(w.organisers) > 0 && errors.Is(a.Err, enqueue.ErrNotFound) { // its row is cancelled, or its campaign has not ended
			continue
		}
		open++
	}
	return open + w.campaignsOpen(ctx, waiting)
}

func (w *world) ids() []string {
	ids := make([]string, len(w.producers.jobs))
	for i, j := range w.producers.jobs {
		ids[i] = j.topUp.ID
	}
	return ids
}

// watchForCatch ends a control's run when its violation can be seen.
func (w *world) watchForCatch(ctx context.Context, caught context.CancelFunc) {
	for pause(ctx, time.Second) {
		b, err := readBooks(w.simulator)
		if err != nil {
			continue
		}
		w.producers.mu.Lock()
		problems := w.producers.problems
		w.producers.mu.Unlock()
		found := outcome{checks: judge(evidence{jobs: w.producers.jobs, books: b, problems: problems, most: 1})}
		for _, c := range found.failed() {
			if catches(w.settings.Control, c.name) {
				caught()
				return
			}
		}
	}
}

// collect reads everything that the oracle judges by, past the proxies.
func (w *world) collect(ctx context.Context) (evidence, error) {
	e := evidence{
		jobs: w.producers.jobs, results: map[string]enqueue.Result{}, problems: w.producers.problems, most: w.settings.reviewMost(),
	}
	client := enqueue.NewClient(w.redis.direct, enqueue.ClientConfig{Ledger: w.settings.ledger()})
	defer func() { _ = client.Close() }() // it only read
	var errs []error
	if len(w.organisers) == 0 {
		e.never = w.producers.unacknowledged()
	}
	for i, a := range client.GetMany(ctx, w.ids()) {
		id := w.producers.jobs[i].topUp.ID
		switch {
		case a.Err == nil:
			e.results[enqueue.CanonicalID(id)] = a.Result
			if w.producers.sent(w.producers.jobs[i], a.Result.State) {
				e.problems = append(e.problems, fmt.Sprintf("job %s was withdrawn and is %s", id, a.Result.State))
			}
		case errors.Is(a.Err, enqueue.ErrNotFound):
			if !w.producers.jobs[i].acknowledged.IsZero() { // no row of a campaign is: see judgeRows
				e.missing = append(e.missing, id)
			}
		default:
			errs = append(errs, a.Err)
		}
	}
	balance, err := w.simulator.balance(ctx)
	if err == nil {
		e.end, err = decimal.Parse(balance)
	}
	errs = append(errs, err)
	e.books, err = readBooks(w.simulator)
	return e, errors.Join(append(errs, err)...)
}

// stop ends whatever was started, workers first.
func (w *world) stop() {
	if w.fleet != nil {
		w.fleet.shutdown()
	}
	if w.producers != nil {
		w.producers.close()
	}
	for _, p := range []*proxy{w.redisWay, w.apiWay} {
		if p != nil {
			p.close()
		}
	}
	if w.simulator != nil && w.simulator.process != nil {
		w.simulator.process.kill()
	}
	if w.redis != nil {
		_ = w.redis.direct.Close() // nothing is left to lose
		w.redis.kill()
	}
	if w.trouble != nil {
		_ = w.trouble.log.Close()
	}
}

// stories writes, for the first jobs that broke a check, what the ledger and the
// simulator have of them.
func (w *world) stories(ctx context.Context, o *outcome) {
	file, err := os.Create(filepath.Join(w.dir, "violations.txt"))
	if err != nil {
		return
	}
	defer func() { _ = file.Close() }()
	ledger := enqueue.NewLedger(w.redis.direct, w.settings.ledger())
	told := map[string]bool{}
	for _, c := range o.failed() {
		for _, violation := range c.violations {
			id := owner(strings.Fields(strings.TrimPrefix(violation, "job ") + " -")[0])
			if told[id] || len(told) >= 10 {
				continue
			}
			told[id] = true
			fmt.Fprintf(file, "%s: %s\n", c.name, violation)
			tellStory(ctx, file, ledger, o.evidence, id)
		}
	}
}
