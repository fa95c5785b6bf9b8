package enqueue

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"pgregory.net/rapid"
)

// TestLedgerAgainstModel runs workers by their rules against the ledger's scripts and
// a model of Reloadly, in any order, with workers that stop, crash and go on late, and
// with a Redis that forgets. After each step no job may have been paid twice, no state
// may say what is not so, and in the end every job is settled. A failure is cut down
// to the shortest run that shows it. More runs: go test -run Model -rapid.checks=10000
func TestLedgerAgainstModel(t *testing.T) {
	rapidDefault(t, "steps", "100") // 30 do not get far
	m := miniredis.NewMiniRedis()
	defer m.Close()
	rdb := dial(m)
	defer func() { _ = rdb.Close() }()
	rapid.Check(t, func(t *rapid.T) {
		w := newModel(t, m, rdb)
		defer collect(rdb)
		t.Repeat(w.operations())
		w.heal(t)
	})
}

// rapidDefault is another default of one of rapid's flags, for one test.
func rapidDefault(t *testing.T, name, value string) {
	t.Helper()
	f := flag.Lookup("rapid." + name)
	if f.Value.String() != f.DefValue { // it was given
		return
	}
	if err := f.Value.Set(value); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Value.Set(f.DefValue) })
}

// ctx of the model's calls: they go to a Redis in this process, which always answers.
var ctx = context.Background()

// model is the world: Redis with its past, processes that use the ledger, jobs, the
// provider, and one clock for all of it.
type model struct {
	m         *miniredis.Miniredis
	cfg       LedgerConfig
	now       time.Time
	epoch     int
	rdb       *redis.Client
	processes []*modelProcess
	jobs      []*modelJob
	stopped   []modelStep
	past      []modelSnapshot // after each write
	provider  modelProvider
	healing   bool       // nothing fails any more
	plot      *modelPlot // instead of the draws: what goes wrong, and where
	story     []string
}

// note keeps what happened for [model.fail].
func (w *model) note(format string, args ...any) {
	w.story = append(w.story, w.now.Format("02 15:04:05 ")+fmt.Sprintf(format, args...))
}

// fail ends the run with its story.
func (w *model) fail(t *rapid.T, format string, args ...any) {
	t.Helper()
	w.note(format, args...)
	t.Fatal(strings.Join(append([]string{"", "burns: " + fmt.Sprint(w.provider.burns)}, w.story...), "\n"))
}

// modelProcess is a worker with all that it remembers.
type modelProcess struct{ ledger *Ledger }

type modelJob struct {
	id       string
	attempts []*modelAttempt
	before   *Record // at the last look; nil when there was none
	// forgotten: Redis went back to an end that a person had taken back since.
	forgotten bool
	// reborn: Redis had forgotten all of it, and it was submitted again when nobody
	// suspected that any more. It is not paid twice, for its identifier is the same; but
	// an end before it is sent says nothing of what was forgotten.
	reborn bool
	empty  []time.Time // when a look-up of it found nothing
}

func newModel(t *rapid.T, m *miniredis.Miniredis, rdb *redis.Client) *model {
	m.FlushAll()
	w := &model{m: m, rdb: rdb, now: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC), provider: modelProvider{burned: map[string]bool{}}}
	m.SetTime(w.now)
	w.provider.burns = rapid.Bool().Draw(t, "a refusal uses the identifier up")
	w.provider.lag = rapid.SampledFrom([]time.Duration{0, 2 * time.Second}).Draw(t, "lag")
	w.processes = []*modelProcess{{w.newLedger()}, {w.newLedger()}}
	w.cfg = w.processes[0].ledger.cfg
	w.newJob(t)
	w.openShard(t, w.processes[0].ledger)
	w.past = append(w.past, takeSnapshot(m))
	return w
}

// modelIDs are jobs whose scripts share the keys beside their records.
var modelIDs = func() (ids []string) {
	for n := 0; len(ids) < 100; n++ {
		if id := "j" + strconv.Itoa(n); shardOf(id) == shardOf("j0") {
			ids = append(ids, id)
		}
	}
	return ids
}()

func (w *model) addJob() *modelJob {
	j := &modelJob{id: modelIDs[len(w.jobs)]}
	w.jobs = append(w.jobs, j)
	return j
}

func (w *model) newJob(t *rapid.T) *modelJob {
	j := w.addJob()
	if rapid.IntRange(0, 15).Draw(t, "foreign") == 15 {
		w.provider.lastTxID++
		w.provider.txs = append(w.provider.txs, &modelTx{id: w.provider.lastTxID, identifier: j.id, status: statusSuccessful, foreign: true})
	}
	return j
}

func (w *model) newLedger() *Ledger {
	return NewLedger(w.rdb, LedgerConfig{Epoch: fmt.Sprint("e", w.epoch), Who: "m", MaxSends: 5})
}

// openShard is Ledger.Open for the one shard that the model uses: a worker does it before
// there is a job.
func (w *model) openShard(t *rapid.T, l *Ledger) {
	shard := shardOf(w.jobs[0].id)
	due := dueKey(shard)
	token, err := openScript.Run(ctx, w.rdb, []string{due, due, incarnationKey(shard), due, due},
		"", l.cfg.Epoch, l.token(shard), "m", l.cfg.Settle.Milliseconds(), 0, 0, 0, 0, 0).Text()
	if err != nil {
		t.Fatal(err)
	}
	l.remember(shard, token)
}

func (w *model) process(t *rapid.T) *modelProcess {
	return w.processes[rapid.IntRange(0, len(w.processes)-1).Draw(t, "process")]
}

func (w *model) job(t *rapid.T) *modelJob {
	return w.jobs[rapid.IntRange(0, len(w.jobs)-1).Draw(t, "job")]
}

// operations are what can happen at any moment. What happens often stands more than once.
func (w *model) operations() map[string]func(*rapid.T) {
	wake := func(t *rapid.T) {
		if j := w.job(t); j.before != nil { // a job that was accepted: also one that Redis has forgotten
			w.wake(t, w.process(t), j)
		}
	}
	goOn := func(t *rapid.T) {
		if len(w.stopped) > 0 {
			n := rapid.IntRange(0, len(w.stopped)-1).Draw(t, "stopped")
			step := w.stopped[n]
			w.stopped = slices.Delete(w.stopped, n, n+1)
			step.run(t)
		}
	}
	pass := func(t *rapid.T) { w.pass(seconds(t, "pass", 1, 15, 100, 300, 300, 600, 1900, 90000)) }
	return map[string]func(*rapid.T){
		"":               w.check,
		"submit":         w.submit,
		"wake":           wake,
		"wake in time":   w.wakeInTime,
		"wake in time 2": w.wakeInTime,
		"wake in time 3": w.wakeInTime,
		"wake in time 4": w.wakeInTime,
		"go on":          goOn,
		"go on 2":        goOn,
		"pass":           pass,
		"crash":          w.crash,
		"forget":         w.forget,
		"person":         w.person,
	}
}

func (w *model) submit(t *rapid.T) {
	j, p := w.job(t), w.process(t)
	if last := w.jobs[len(w.jobs)-1]; last.before != nil && last.before.State.Settled() && len(w.jobs) < len(modelIDs) && rapid.Bool().Draw(t, "new") {
		j = w.newJob(t)
	}
	w.submitJob(t, p, j, rapid.IntRange(0, 4).Draw(t, "other content") == 4)
}

func (w *model) submitJob(t *rapid.T, p *modelProcess, j *modelJob, other bool) {
	up := job(j.id)
	fields := hash(w.m, jobKey(j.id))
	if other {
		up.OperatorID++
	}
	client := &Client{rdb: w.rdb, ledger: p.ledger}
	keys, args := client.scriptCall([]TopUp{up})
	reply, err := submitScript.Run(ctx, w.rdb, keys, args...).Result()
	if err != nil {
		t.Fatal(err)
	}
	s := client.readSubmission([]TopUp{up}, reply)[0]
	known, told := fields[fieldFingerprint]
	switch conflict := told && known != fingerprint(up); {
	case conflict != errors.Is(s.Err, ErrConflict):
		w.fail(t, "submitted %s, the same is %v: %v", j.id, !conflict, s.Err)
	case !conflict && s.Err != nil:
		t.Fatal(s.Err)
	case s.Created != (fields == nil):
		w.fail(t, "submitted %s: created is %v", j.id, s.Created)
	}
	if s.Created && j.before != nil {
		j.reborn = w.m.HGet(jobKey(j.id), "i") != "?"
	}
	w.look(t, j)
}

func (w *model) pass(d time.Duration) {
	w.now = w.now.Add(d)
	w.m.SetTime(w.now)
	w.provider.pass(w.now)
}

// wakeInTime lets time pass until a job's next action, and does it.
func (w *model) wakeInTime(t *rapid.T) {
	j := w.job(t)
	if j.before == nil || j.before.State == "" { // nobody knows of it
		return
	}
	w.untilDue(j)
	w.wake(t, w.process(t), j)
}

func (w *model) untilDue(j *modelJob) {
	if at := j.before.NextAt; !j.before.State.Settled() && at.After(w.now) {
		w.pass(at.Sub(w.now))
	}
}

// crash ends a process: what it was about to do is not done, and what it knew is gone.
func (w *model) crash(t *rapid.T) {
	n := rapid.IntRange(0, len(w.processes)-1).Draw(t, "process")
	dead := w.processes[n]
	w.note("process %d is killed", n)
	w.stopped = slices.DeleteFunc(w.stopped, func(s modelStep) bool { return s.process == dead })
	w.processes[n] = &modelProcess{w.newLedger()}
	if rapid.Bool().Draw(t, "opens") {
		w.openShard(t, w.processes[n].ledger)
	}
}

// forget is another Redis process that has lost some of the last writes, or none.
func (w *model) forget(t *rapid.T) {
	if rapid.IntRange(0, 2).Draw(t, "really") != 0 { // or every run would be about this alone
		return
	}
	w.forgetWrites(t, rapid.SampledFrom([]int{0, 1, 2, 3, 5, 8, 13, 1000, 1000}).Draw(t, "lost writes"))
}

func (w *model) forgetWrites(t *rapid.T, lost int) {
	lost = min(lost, len(w.past)-1)
	w.past = w.past[:len(w.past)-lost]
	w.past[len(w.past)-1].restore(w.m)
	w.epoch++
	w.note("Redis forgets %d writes", lost)
	for _, p := range w.processes { // they go on, and know what they knew
		p.ledger.cfg.Epoch = fmt.Sprint("e", w.epoch)
	}
	for _, j := range w.jobs {
		if j.before == nil {
			continue
		}
		was := j.before
		w.remember(t, j)
		j.forgotten = j.before != was && lost > 0 && j.before.State.Settled() && (j.forgotten || was.Version != j.before.Version)
	}
}

// person decides about a job: ends it only when Reloadly has nothing that could be paid.
func (w *model) person(t *rapid.T) {
	j, p := w.job(t), w.process(t)
	var err error
	switch rapid.IntRange(0, 3).Draw(t, "decision") {
	case 0:
		if len(w.live(j)) > 0 || w.openAttempts(j) > 0 {
			return
		}
		err = p.ledger.Fail(ctx, j.id)
		w.note("a person ends %s: %v", j.id, err)
	case 1:
		err = w.resend(p, j)
	case 2:
		var answer Answer
		if answer, err = p.ledger.call(ctx, cancelScript, j.id, nil); answer.Word == "no" { // as the feeder does
			answer, err = p.ledger.GiveUp(ctx, j.before)
		}
		if answer.State == Cancelled && w.openAttempts(j) > 0 {
			w.fail(t, "%s was cancelled while it was sent", j.id)
		}
	default: // worker.Adopt
		if r, err := p.ledger.Load(ctx, j.id); err == nil {
			f := w.find(r)
			for _, tx := range []*modelTx{f.best, f.second} {
				if tx != nil && (tx == f.best || strength(tx) > 1) {
					w.did(t, j)(p.ledger.Settle(ctx, j.id, modelEvidence(tx), nil))
				}
			}
		}
	}
	if err != nil && !errors.Is(err, ErrNotReviewable) && !errors.Is(err, ErrNotFound) {
		t.Fatal(err)
	}
	w.look(t, j)
}

func (w *model) resend(p *modelProcess, j *modelJob) error {
	err := p.ledger.Resend(ctx, j.id)
	w.note("a person sends %s again: %v", j.id, err)
	return err
}

// heal lets everything go well from here on: every job is settled within few steps.
func (w *model) heal(t *rapid.T) {
	w.healing, w.stopped, w.provider.lag = true, nil, 0
	for _, j := range w.jobs {
		for steps := 0; j.before != nil && !j.before.State.Settled(); steps++ {
			if steps == 60 {
				w.fail(t, "%s is stuck in %s: %+v", j.id, j.before.State, j.before)
			}
			w.untilDue(j)
			w.wake(t, w.processes[0], j)
			w.pass(time.Second)
			for len(w.stopped) > 0 { // only answers that are awaited
				w.pass(10 * time.Second)
				steps := w.stopped
				w.stopped = nil
				for _, s := range steps {
					s.run(t)
				}
			}
			w.check(t)
		}
	}
	w.pass(time.Hour) // what is still under way gets there
	w.check(t)
}
