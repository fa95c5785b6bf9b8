package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/govalues/decimal"
	"github.com/redis/go-redis/v9"

	"example.com/topup/enqueue"
)

// meanAmount is what a job asks for on average, in the account's currency.
const meanAmount = 700

// job is one top-up and what its producer knows of it.
type job struct {
	topUp enqueue.TopUp

	mu           sync.Mutex
	asked        time.Time         // before the submission that the ledger took
	acknowledged time.Time         // after its answer; zero: there was none yet
	others       []decimal.Decimal // amounts that replaced its own, after the ledger had lost it
	withdraw     bool              // its producer cancels it
	cut          bool              // it is a row of a campaign that is cancelled
	withdrawn    loss              // between which times it was told that it is
}

// amounts are those with which it may have been paid.
func (j *job) amounts() []decimal.Decimal { return append(j.others, j.topUp.Amount) }

// producers are the callers: what they have no acknowledgement for they submit again,
// and now and then they repeat what is long done.
type producers struct {
	client *enqueue.Client
	config enqueue.ClientConfig
	rdb    *redis.Client
	taken  func(from, to time.Time) bool // whether a write made between them may be gone
	jobs   []*job

	mu       sync.Mutex
	draw     *rand.Rand
	next     int // the first job that nobody has submitted
	figures  producerFigures
	problems []string
}

type producerFigures struct {
	Submissions, Unanswered, Repeats, MadeAgain, Conflicts, Withdrawn int
}

// makeJobs draws the jobs of a run.
func makeJobs(s settings) []*job {
	draw := rand.New(rand.NewPCG(s.Seed, 2))
	jobs := make([]*job, s.Jobs)
	for i := range jobs {
		number := 8_030_000_000 + int64(draw.IntN(10_000))*1000 + int64(i%1000)
		if i > 0 && draw.IntN(25) == 0 { // somebody who is topped up twice
			_, _ = fmt.Sscan(jobs[draw.IntN(i)].topUp.RecipientPhone.Number, &number)
		}
		t := enqueue.TopUp{
			ID: fmt.Sprintf("chaos-%d-%05d", s.Seed, i), OperatorID: 341, // MTN Nigeria
			Amount:         decimal.MustNew(int64(400+draw.IntN(2*(meanAmount-400))), 0),
			RecipientPhone: enqueue.Phone{CountryCode: "NG", Number: fmt.Sprint(number)},
		}
		switch draw.IntN(20) {
		case 0:
			t.OperatorID = 0 // detected from the number
		case 1:
			t.ID = strings.ToUpper(t.ID)
		case 2, 3, 4, 5:
			t.Campaign = fmt.Sprintf("campaign-%d", draw.IntN(3))
		}
		jobs[i] = &job{topUp: t}
		if draw.IntN(50) == 0 {
			jobs[i].withdraw = true
			jobs[i].topUp.NotBefore = time.Now().Add(s.Duration / 2).Truncate(time.Millisecond)
		}
	}
	return jobs
}

func newProducers(redisAddr string, s settings, taken func(from, to time.Time) bool) *producers {
	rdb := redis.NewClient(&redis.Options{Addr: redisAddr, ReadTimeout: time.Second})
	config := enqueue.ClientConfig{Ledger: s.ledger()}
	return &producers{
		client: enqueue.NewClient(rdb, config), config: config, rdb: rdb, taken: taken,
		jobs: makeJobs(s), draw: rand.New(rand.NewPCG(s.Seed, 3)),
	}
}

func (p *producers) close() {
	_ = p.client.Close() // nothing is left to lose
	_ = p.rdb.Close()
}

// run submits all but the share that is kept for bursts, evenly over d.
func (p *producers) run(ctx context.Context, d time.Duration, keep int) {
	const beat = 250 * time.Millisecond
	steady := max(0, len(p.jobs)-keep)
	began := time.Now()
	given := 0
	var group sync.WaitGroup
	for time.Since(began) < d {
		due := int(float64(steady) * min(1, float64(time.Since(began)+beat)/float64(d)))
		batch := p.take(due - given)
		given += len(batch)
		group.Go(func() { p.submit(ctx, batch) })
		group.Go(func() { p.bother(ctx) })
		if !pause(ctx, beat) {
			break
		}
	}
	group.Wait()
}

// burst submits n jobs at once.
func (p *producers) burst(ctx context.Context, n int) { p.submit(ctx, p.take(n)) }

// finish submits whatever is left.
func (p *producers) finish(ctx context.Context) { p.submit(ctx, p.take(len(p.jobs))) }

func (p *producers) take(n int) []*job {
	p.mu.Lock()
	defer p.mu.Unlock()
	n = max(0, min(n, len(p.jobs)-p.next))
	batch := p.jobs[p.next : p.next+n]
	p.next += n
	return batch
}

// submit goes on until each job is acknowledged.
func (p *producers) submit(ctx context.Context, batch []*job) { p.submitBy(ctx, p.client, batch) }

func (p *producers) submitBy(ctx context.Context, client *enqueue.Client, batch []*job) {
	open := batch
	for len(open) > 0 && ctx.Err() == nil {
		topUps := make([]enqueue.TopUp, len(open))
		for i, j := range open {
			topUps[i] = j.topUp
		}
		asked := time.Now()
		call, cancel := context.WithTimeout(ctx, 5*time.Second)
		answers := client.TopUps(call, topUps)
		cancel()
		var again []*job
		for i, a := range answers {
			if !p.took(open[i], asked, a) {
				again = append(again, open[i])
			}
		}
		if open = again; len(open) > 0 {
			pause(ctx, 200*time.Millisecond)
		}
	}
	for _, j := range batch {
		if j.withdraw && ctx.Err() == nil {
			p.withdraw(ctx, j)
		}
	}
}

// took notes an answer, and says whether the job is acknowledged now.
func (p *producers) took(j *job, asked time.Time, a enqueue.Answered) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	j.mu.Lock()
	defer j.mu.Unlock()
	p.figures.Submissions++
	switch {
	case a.Err == nil:
	case errors.Is(a.Err, enqueue.ErrConflict) && len(j.others) > 0:
		// The ledger lost the job, and somebody else's version of it came first.
	case errors.Is(a.Err, enqueue.ErrConflict) && p.lost(j):
		// Only the wake-up was left of it: a person decides.
	case errors.Is(a.Err, enqueue.ErrConflict), errors.Is(a.Err, enqueue.ErrInvalid), errors.Is(a.Err, enqueue.ErrExpired):
		p.problem("job %s: its own submission was refused: %v", j.topUp.ID, a.Err)
	default:
		p.figures.Unanswered++
		return false
	}
	if !j.acknowledged.IsZero() {
		p.figures.Repeats++
		if a.Created {
			p.figures.MadeAgain++
			if !p.lost(j) {
				p.problem("job %s was acknowledged at %s, and a repeat made it again", j.topUp.ID, j.acknowledged.Format(clock))
			}
		}
	}
	if j.acknowledged.IsZero() || a.Created {
		j.asked, j.acknowledged = asked, time.Now()
	}
	return true
}

// lost says whether the run itself may have taken the job away; its lock is held.
func (p *producers) lost(j *job) bool { return p.taken(j.asked, j.acknowledged) }

// problem notes a violation; the lock is held.
func (p *producers) problem(format string, args ...any) {
	p.problems = append(p.problems, fmt.Sprintf(format, args...))
}

// known draws a job that has been acknowledged.
func (p *producers) known() (*job, int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.next == 0 {
		return nil, 0
	}
	j, what := p.jobs[p.draw.IntN(p.next)], p.draw.IntN(4)
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.acknowledged.IsZero() {
		return nil, 0
	}
	return j, what
}

// bother repeats a submission, or uses its id for another top-up.
func (p *producers) bother(ctx context.Context) {
	j, what := p.known()
	switch {
	case j == nil:
	case what == 0:
		p.conflict(ctx, j)
	case what == 1: // ids are compared without case
		again := &job{topUp: j.topUp}
		again.topUp.ID = strings.ToUpper(again.topUp.ID)
		call, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		asked := time.Now()
		p.took(j, asked, p.client.TopUps(call, []enqueue.TopUp{again.topUp})[0])
	default:
		p.submit(ctx, []*job{j})
	}
}

// conflict submits another amount under the id, which must be refused.
func (p *producers) conflict(ctx context.Context, j *job) {
	other := j.topUp
	other.Amount = decimal.MustNew(401, 0)
	if other.Amount.Equal(j.topUp.Amount) {
		return
	}
	before := time.Now()
	call, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	_, err := p.client.TopUp(call, other)
	p.mu.Lock()
	defer p.mu.Unlock()
	j.mu.Lock()
	defer j.mu.Unlock()
	switch {
	case errors.Is(err, enqueue.ErrConflict):
		p.figures.Conflicts++
	case err == nil && !p.lost(j):
		p.problem("job %s was submitted with another amount, and that was accepted", j.topUp.ID)
	case err == nil:
		j.others = append(j.others, other.Amount)
		j.asked, j.acknowledged = before, time.Now()
		p.figures.MadeAgain++
	case p.lost(j): // not known: it may have been accepted
		j.others = append(j.others, other.Amount)
	}
}

// withdraw cancels a job that waits for its time.
func (p *producers) withdraw(ctx context.Context, j *job) {
	for ctx.Err() == nil {
		asked := time.Now()
		call, cancel := context.WithTimeout(ctx, 5*time.Second)
		_, err := p.client.Cancel(call, j.topUp.ID)
		cancel()
		if err == nil {
			p.mu.Lock()
			if j.withdrawn.To.IsZero() {
				p.figures.Withdrawn++
			}
			j.withdrawn = loss{asked, time.Now()}
			p.mu.Unlock()
			return
		}
		if errors.Is(err, enqueue.ErrNotCancellable) || errors.Is(err, enqueue.ErrNotFound) {
			return
		}
		pause(ctx, 100*time.Millisecond)
	}
}

// sent says whether a job goes on that was withdrawn, though nothing took that away.
func (p *producers) sent(j *job, state enqueue.State) bool {
	return !j.withdrawn.To.IsZero() && state != enqueue.Cancelled && !p.taken(j.withdrawn.From, j.withdrawn.To)
}

// again submits everything that was ever acknowledged once more, as producers do that
// hear of a Redis that lost writes. They are new processes, which do not know the
// Redis of before.
func (p *producers) again(ctx context.Context) {
	client := enqueue.NewClient(p.rdb, p.config)
	defer func() { _ = client.Close() }() // it waits for nothing
	p.mu.Lock()
	batch := p.jobs[:p.next:p.next]
	p.mu.Unlock()
	for from := 0; from < len(batch) && ctx.Err() == nil; from += 500 {
		p.repeat(ctx, client, batch[from:min(from+500, len(batch))])
	}
}

// repeat is submit for jobs of which some may be on their way by another goroutine.
func (p *producers) repeat(ctx context.Context, client *enqueue.Client, batch []*job) {
	var known []*job
	for _, j := range batch {
		j.mu.Lock()
		if !j.acknowledged.IsZero() {
			known = append(known, j)
		}
		j.mu.Unlock()
	}
	p.submitBy(ctx, client, known)
}

// unacknowledged are the jobs for which there never was an answer.
func (p *producers) unacknowledged() []string {
	var ids []string
	for _, j := range p.jobs {
		j.mu.Lock()
		if j.acknowledged.IsZero() {
			ids = append(ids, j.topUp.ID)
		}
		j.mu.Unlock()
	}
	return ids
}
