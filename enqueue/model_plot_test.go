package enqueue

import (
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"pgregory.net/rapid"
)

// modelPlot is a run whose course is given: what its POSTs become, and where a worker
// stops. What leads to a double payment where one guard fails takes a dozen steps in one
// order, which random steps hardly ever take.
type modelPlot struct {
	courses []modelCourse // of the next POSTs; those after them succeed at once
	stop    modelPlace    // where the next worker that comes there is stopped
}

// modelPlace is where a worker can be stopped.
type modelPlace string

const (
	beforeBegin   modelPlace = "begin"
	beforePost    modelPlace = "post"
	beforeBook    modelPlace = "book"
	beforeLook    modelPlace = "look"
	beforeVerdict modelPlace = "verdict"
)

// course is what becomes of the next POST.
func (w *model) course(t *rapid.T) modelCourse {
	if w.plot == nil {
		return drawCourse(t)
	}
	if len(w.plot.courses) == 0 {
		return modelCourse{fate: fatePaid}
	}
	c := w.plot.courses[0]
	w.plot.courses = w.plot.courses[1:]
	return c
}

var modelPlots = []struct {
	name string
	play func(w *model, t *rapid.T, j *modelJob)
}{
	{"an answer comes when its permission is over", (*model).plotLateAnswer},
	{"a refusal comes when the job is sent again", (*model).plotLateRefusal},
	{"a worker asks for a permission that another has had", (*model).plotLateBegin},
	{"a person withdraws what is under way", (*model).plotWithdrawn},
	{"not found, and executed later", (*model).plotSettle},
	{"a payment that the report hides", (*model).plotHidden},
	{"a payment that the report hides and Redis forgets", (*model).plotHiddenAndForgotten},
	{"a payment that the report hides and nobody remembers", (*model).plotHiddenAndReborn},
	{"refused for good after a send without an answer", (*model).plotRefusedAfterSilence},
	{"sent again by a person after a send without an answer", (*model).plotResend},
	{"sent again by a person after a send that Redis forgot", (*model).plotResendForgotten},
	{"Redis forgets the permission", (*model).plotForgottenPermission},
	{"Redis forgets the permission, and the job expires", (*model).plotForgottenAndExpired},
	{"Redis goes back to an older permission", (*model).plotOlderPermission},
	{"Redis forgets the job, and it is submitted again", (*model).plotForgottenJob},
	{"Redis forgets that a transaction ended and the job was sent again", (*model).plotForgottenEnd},
}

// TestModelPlots leads the model into each of the places that a guard is for. That each
// guard is noticed where it is missing is for TestModelNoticesMissingGuards to show.
func TestModelPlots(t *testing.T) {
	rapidDefault(t, "checks", "20") // a plot has few draws
	for _, plot := range modelPlots {
		t.Run(plot.name, func(t *testing.T) {
			m := miniredis.NewMiniRedis()
			defer m.Close()
			rdb := dial(m)
			defer func() { _ = rdb.Close() }()
			rapid.Check(t, func(t *rapid.T) {
				defer collect(rdb)
				playPlot(t, newModel(t, m, rdb), plot.play)
			})
		})
	}
}

func playPlot(t *rapid.T, w *model, play func(*model, *rapid.T, *modelJob)) {
	w.plot = &modelPlot{}
	j := w.addJob()
	w.submitJob(t, w.processes[0], j, false)
	play(w, t, j)
	w.check(t)
	w.plot = nil
	w.heal(t)
}

// sendAs lets a queued job be sent by one worker, with what becomes of that.
func (w *model) sendAs(t *rapid.T, p *modelProcess, j *modelJob, c modelCourse) {
	w.plot.courses = []modelCourse{c}
	w.step(t, p, j)
}

// step is the next wake-up of a job, in its time.
func (w *model) step(t *rapid.T, p *modelProcess, j *modelJob) {
	w.untilDue(j)
	w.wake(t, p, j)
	w.check(t)
}

// until goes on with a job until it is in a state, or at an end. What is not decided in
// an hour of looks is left alone for a day.
func (w *model) until(t *rapid.T, p *modelProcess, j *modelJob, state State) {
	for steps := 0; j.before.State != state && !j.before.State.Settled(); steps++ {
		switch steps {
		case 60:
			w.pass(25 * time.Hour)
		case 100:
			w.fail(t, "%s does not come to be %s", j.id, state)
		}
		w.step(t, p, j)
	}
}

// goOn lets the worker go on that was stopped first.
func (w *model) goOn(t *rapid.T) {
	step := w.stopped[0]
	w.stopped = w.stopped[1:]
	step.run(t)
	w.check(t)
}

func (w *model) plotLateAnswer(t *rapid.T, j *modelJob) {
	w.plot.stop = beforeBook
	fate := rapid.SampledFrom([]modelFate{fatePaid, fateAccepted, fateEnded, fateRetry, fateRefused, fateHeld, fatePerson}).Draw(t, "fate")
	w.sendAs(t, w.processes[0], j, modelCourse{
		fate: fate, shows: 300 * time.Second, ends: time.Hour, last: statusSuccessful, lost: rapid.Bool().Draw(t, "lost"),
	})
	w.until(t, w.processes[1], j, rapid.SampledFrom([]State{Unknown, Succeeded}).Draw(t, "until it is"))
	for len(w.stopped) > 0 {
		w.goOn(t)
	}
}

func (w *model) plotLateRefusal(t *rapid.T, j *modelJob) {
	w.plot.stop = beforeBook
	refusal := rapid.SampledFrom([]modelFate{fateRetry, fateRefused, fateHeld, fatePerson}).Draw(t, "refusal")
	w.sendAs(t, w.processes[0], j, modelCourse{fate: refusal})
	w.until(t, w.processes[1], j, Queued)
	w.sendAs(t, w.processes[1], j, modelCourse{fate: fatePaid, runs: seconds(t, "runs after", 60, 300), lost: rapid.Bool().Draw(t, "lost")})
	w.goOn(t)
	w.step(t, w.processes[0], j)
}

func (w *model) plotLateBegin(t *rapid.T, j *modelJob) {
	w.plot.stop = beforeBegin
	w.step(t, w.processes[0], j)
	w.sendAs(t, w.processes[1], j, modelCourse{fate: fatePaid, runs: 450 * time.Second, lost: true})
	w.pass(seconds(t, "pass", 1, 16, 120, 300))
	if rapid.Bool().Draw(t, "looked up before") {
		w.step(t, w.processes[1], j)
	}
	w.goOn(t)
}

func (w *model) plotWithdrawn(t *rapid.T, j *modelJob) {
	w.underWay(t, j)
	w.did(t, j)(w.processes[1].ledger.call(ctx, cancelScript, j.id, nil))
}

func (w *model) plotSettle(t *rapid.T, j *modelJob) {
	late := rapid.Bool().Draw(t, "looks that are told of late")
	w.provider.lag = seconds(t, "its clock is behind by", 0, 2, 1200)
	if !late && rapid.Bool().Draw(t, "its clock is ahead") { // two clocks look after this, one after late looks
		w.provider.lag = -20 * time.Minute
	}
	w.sendAs(t, w.processes[0], j, modelCourse{
		fate: rapid.SampledFrom([]modelFate{fatePaid, fateAccepted, fateEnded, fateGone, fateOdd}).Draw(t, "fate"), lost: true,
		runs: seconds(t, "runs after", 0, 60, 450, 600), shows: seconds(t, "shows after", 0, 300), ends: time.Hour, last: statusSuccessful,
	})
	w.until(t, w.processes[1], j, Unknown)
	if late {
		for range w.cfg.AbsentAnswers {
			w.plot.stop = beforeVerdict
			w.step(t, w.processes[0], j)
		}
		w.pass(w.cfg.Settle)
		for len(w.stopped) > 0 {
			w.goOn(t)
			w.pass(w.cfg.AbsentSpacing)
		}
	}
	w.until(t, w.processes[1], j, Queued)
	w.step(t, w.processes[1], j)
}

// hide pays a job without an answer, and nobody sees it for days: the report is later than
// is promised. What is left is the identifier, which is used.
func (w *model) hide(t *rapid.T, j *modelJob) {
	if rapid.Bool().Draw(t, "refused before") {
		w.sendAs(t, w.processes[0], j, modelCourse{fate: fateRetry})
	}
	w.provider.burned = map[string]bool{} // or it would not be paid
	w.sendAs(t, w.processes[0], j, modelCourse{fate: fatePaid, lost: true, hidden: true, shows: 100 * time.Hour})
}

func (w *model) plotHidden(t *rapid.T, j *modelJob) {
	w.hide(t, j)
	w.until(t, w.processes[1], j, Queued)
	switch rapid.SampledFrom([]string{"sent", "withdrawn", "expires"}).Draw(t, "then it is") {
	case "withdrawn":
		w.did(t, j)(w.processes[1].ledger.call(ctx, cancelScript, j.id, nil))
	case "expires":
		w.pass(25 * time.Hour)
	}
	w.until(t, w.processes[1], j, Succeeded)
}

func (w *model) plotHiddenAndForgotten(t *rapid.T, j *modelJob) {
	w.hide(t, j)
	w.forgetWrites(t, 1) // the permission
	w.until(t, w.processes[1], j, Succeeded)
}

// A Redis that lost everything, when no process was left that knew it: what is submitted
// again there seems new.
func (w *model) plotHiddenAndReborn(t *rapid.T, j *modelJob) {
	w.hide(t, j)
	w.forgetWrites(t, 1000)
	w.openShard(t, w.processes[1].ledger)
	w.pass(w.cfg.Settle + time.Second)
	w.submitJob(t, w.processes[1], j, false)
	w.until(t, w.processes[1], j, Succeeded)
}

func (w *model) plotRefusedAfterSilence(t *rapid.T, j *modelJob) {
	w.sendAs(t, w.processes[0], j, modelCourse{fate: fatePaid, lost: true, hidden: true, shows: 1200 * time.Second})
	w.until(t, w.processes[1], j, Queued)
	w.sendAs(t, w.processes[1], j, modelCourse{fate: fateRefused, unchecked: true})
}

func (w *model) plotResend(t *rapid.T, j *modelJob) {
	silence := rapid.SampledFrom([]modelFate{fateGone, fateOdd}).Draw(t, "silence")
	w.sendAs(t, w.processes[0], j, modelCourse{fate: silence, lost: true})
	w.endAndResend(t, j)
}

func (w *model) plotResendForgotten(t *rapid.T, j *modelJob) {
	w.sendAs(t, w.processes[0], j, modelCourse{fate: fateGone, lost: true})
	w.forgetWrites(t, 1)
	w.endAndResend(t, j)
}

// endAndResend ends a job's next send as FAILED, and a person has it sent again.
func (w *model) endAndResend(t *rapid.T, j *modelJob) {
	w.until(t, w.processes[1], j, Queued)
	w.plot.courses = []modelCourse{{fate: fateEnded}}
	w.until(t, w.processes[1], j, Failed)
	_ = w.resend(w.processes[1], j) // which may be refused
	w.look(t, j)
	w.until(t, w.processes[1], j, Succeeded)
}

// underWay sends a job; the answer is waited for, and its execution takes its time.
func (w *model) underWay(t *rapid.T, j *modelJob) {
	w.sendAs(t, w.processes[0], j, modelCourse{fate: fatePaid, lost: true, runs: 590 * time.Second})
}

func (w *model) plotForgottenPermission(t *rapid.T, j *modelJob) {
	w.underWay(t, j)
	w.forgetWrites(t, 1)
	w.pass(seconds(t, "pass", 0, 15, 300))
	w.step(t, w.processes[1], j)
	w.until(t, w.processes[1], j, Succeeded)
}

func (w *model) plotForgottenAndExpired(t *rapid.T, j *modelJob) {
	w.underWay(t, j)
	w.forgetWrites(t, 1)
	w.pass(25 * time.Hour)
	w.did(t, j)(w.processes[1].ledger.Wait(ctx, j.before, Paused, time.Minute, false))
}

func (w *model) plotOlderPermission(t *rapid.T, j *modelJob) {
	w.sendAs(t, w.processes[0], j, modelCourse{fate: fateRetry})
	w.provider.burned = map[string]bool{}
	w.pass(400 * time.Second)
	w.underWay(t, j)
	w.forgetWrites(t, 2) // the second permission, and the refusal before it
	w.until(t, w.processes[1], j, Queued)
	w.step(t, w.processes[1], j)
}

func (w *model) plotForgottenJob(t *rapid.T, j *modelJob) {
	w.underWay(t, j)
	w.forgetWrites(t, 1000)
	if rapid.Bool().Draw(t, "its wake-up is left") {
		w.wake(t, w.processes[1], j)
	}
	w.submitJob(t, w.processes[1], j, false)
	w.until(t, w.processes[1], j, Queued)
	w.until(t, w.processes[1], j, Succeeded)
}

// The first transaction FAILED and a person had the job sent again; of that Redis remembers
// the first one alone, as it was under way.
func (w *model) plotForgottenEnd(t *rapid.T, j *modelJob) {
	w.sendAs(t, w.processes[0], j, modelCourse{fate: fateAccepted, ends: time.Minute, last: "FAILED", lost: rapid.Bool().Draw(t, "lost")})
	known := len(w.past)
	w.until(t, w.processes[1], j, Failed)
	_ = w.resend(w.processes[1], j) // which is refused after a lost answer
	w.look(t, j)
	w.until(t, w.processes[1], j, Succeeded)
	w.forgetWrites(t, len(w.past)-known)
	w.until(t, w.processes[1], j, Succeeded)
}
