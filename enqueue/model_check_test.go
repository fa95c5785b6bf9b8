package enqueue

import (
	"slices"
	"time"

	"pgregory.net/rapid"
)

// allowed are the edges of the drawing in doc.go and the exceptions that it names. An
// edge from a state to itself is one too: a job that waits again.
var allowed = map[State][]State{
	"":         {Queued, Unknown}, // submitted, or only its wake-up is known
	Queued:     {Sending, Cancelled, Failed, NeedsReview, Unknown, Succeeded, Processing},
	Sending:    {Queued, Processing, Unknown, Succeeded, Failed, Refunded, NeedsReview},
	Processing: {Succeeded, Failed, Refunded, NeedsReview, Unknown}, // the last where Redis restarted and it ended unpaid
	Unknown:    {Queued, Processing, Succeeded, Failed, Refunded, NeedsReview},
	// A person decides, or evidence does.
	NeedsReview: {Failed, Refunded, Succeeded, Processing, Queued, Unknown},
	// Evidence of an execution, or a person who sends it again.
	Failed:   {NeedsReview, Queued, Unknown},
	Refunded: {NeedsReview, Unknown, Queued},
	// Evidence of an execution.
	Cancelled: {NeedsReview},
}

// did looks at what a script has done to a job.
func (w *model) did(t *rapid.T, j *modelJob) func(Answer, error) Answer {
	t.Helper()
	return func(a Answer, err error) Answer {
		if err != nil {
			t.Fatal(err)
		}
		w.note("%s: %s", j.id, a.Word)
		// Evidence against an end is right only where Redis went back to that end.
		if a.Word == AnswerDouble || (a.Word == AnswerAlert && !j.forgotten && !j.reborn) {
			w.fail(t, "%s: %s", j.id, a.Word)
		}
		if r := w.look(t, j); r != nil && (a.State != r.State || a.Version != r.Version) {
			w.fail(t, "%s is %s, version %d; the answer is %+v", j.id, r.State, r.Version, a)
		}
		return a
	}
}

// look reads a job after a write and compares it with before.
func (w *model) look(t *rapid.T, j *modelJob) *Record {
	was, before := State(""), j.before
	var version int64
	if j.before != nil {
		was, version = j.before.State, j.before.Version
	}
	r := w.remember(t, j)
	if r == nil {
		return nil
	}
	w.past = append(w.past, takeSnapshot(w.m))
	if r.Version != version {
		w.note("%s: %s → %s %s, version %d, generation %d", j.id, was, r.State, r.Code, r.Version, r.Generation)
	}
	if r.State != was && !slices.Contains(allowed[was], r.State) {
		w.fail(t, "%s went from %q to %s", j.id, was, r.State)
	}
	if r.Version < version || (r.State != was && r.Version == version) {
		w.fail(t, "%s: version %d after %d, from %q to %s", j.id, r.Version, version, was, r.State)
	}
	if r.Version != version {
		j.forgotten = false
	}
	if before != nil && r.Generation > before.Generation && !j.reborn {
		w.checkIdentifier(t, j, before)
	}
	return r
}

// checkIdentifier holds the ledger to guard 6: another identifier is taken only where the
// fate of every send under the ones before is known, whatever Redis has forgotten of it.
func (w *model) checkIdentifier(t *rapid.T, j *modelJob, before *Record) {
	for _, a := range j.attempts {
		found := a.post != nil && a.post.tx != nil && a.post.tx.id == before.TxID
		if !a.known && !found {
			w.fail(t, "%s takes another identifier, and the fate of its send of %s is not known", j.id, a.asked.Format("15:04:05"))
		}
		a.known = true
	}
}

// concluded holds the ledger to what "not found" has to rest on before anything follows
// from it: two answers, and both from behind the settle time of the last send.
func (w *model) concluded(t *rapid.T, j *modelJob, a Answer) {
	if a.Word != "resend" && a.Word != "next_identifier" && a.Word != "failed" || len(j.attempts) == 0 {
		return
	}
	settled := j.attempts[len(j.attempts)-1].asked.Add(w.cfg.Settle)
	var count int
	for _, at := range j.empty {
		if !at.Add(w.cfg.ClockSkew).Before(settled) {
			count++
		}
	}
	if count < w.cfg.AbsentAnswers {
		w.fail(t, "%s: %s after %d empty answers behind the settle time", j.id, a.Word, count)
	}
}

// remember reads a job. One that Redis has forgotten stays known by its id.
func (w *model) remember(t *rapid.T, j *modelJob) *Record {
	fields := hash(w.m, jobKey(j.id))
	if fields == nil {
		if j.before != nil {
			j.before = &Record{TopUp: TopUp{ID: j.id}}
		}
		return nil
	}
	r, err := decodeRecord(j.id, fields)
	if err != nil {
		t.Fatal(err)
	}
	j.before = r
	return r
}

// transactions are those under any identifier that the job can have.
func (w *model) transactions(j *modelJob) (list []*modelTx) {
	for g := range MaxGeneration + 1 {
		for _, tx := range w.provider.txs {
			if tx.identifier == Identifier(j.id, g) {
				list = append(list, tx)
			}
		}
	}
	return list
}

// live are those that were paid or may yet be.
func (w *model) live(j *modelJob) (list []*modelTx) {
	return slices.DeleteFunc(w.transactions(j), func(tx *modelTx) bool { return !tx.live() })
}

func (w *model) openAttempts(j *modelJob) (n int) {
	for _, a := range j.attempts {
		if w.open(a) {
			n++
		}
	}
	return n
}

// check is what holds at every moment.
func (w *model) check(t *rapid.T) {
	var due, reviews map[string]float64
	due, _ = w.m.SortedSet(dueKey(shardOf(w.jobs[0].id)))
	reviews, _ = w.m.SortedSet(reviewKey(shardOf(w.jobs[0].id)))
	for _, j := range w.jobs {
		live, open := w.live(j), w.openAttempts(j)
		if len(live) > 1 {
			w.fail(t, "%s was paid twice: %+v, %+v", j.id, *live[0], *live[1])
		}
		if open > 1 {
			w.fail(t, "%s has %d permissions at once", j.id, open)
		}
		r := j.before
		if r == nil || r.State == "" {
			continue
		}
		if _, listed := due[j.id]; listed == r.State.Settled() {
			w.fail(t, "%s is %s, and that the sweeper finds it is %v", j.id, r.State, listed)
		}
		if _, listed := reviews[j.id]; listed != (r.State == NeedsReview) {
			w.fail(t, "%s is %s, and that people see it is %v", j.id, r.State, listed)
		}
		if !j.forgotten {
			w.checkWord(t, j, r, live, open)
		}
	}
}

// checkWord compares what a settled job says with what was paid.
func (w *model) checkWord(t *rapid.T, j *modelJob, r *Record, live []*modelTx, open int) {
	result := r.Result()
	switch r.State {
	case Succeeded:
		paid := slices.DeleteFunc(w.transactions(j), func(tx *modelTx) bool { return tx.status != statusSuccessful })
		if len(paid) != 1 || paid[0].id != r.TxID || r.Code == CodeDouble {
			w.fail(t, "%s succeeded as %d, code %q; paid are %d", j.id, r.TxID, r.Code, len(paid))
		}
	case Failed, Refunded, Cancelled:
		if (len(live) > 0 && !j.reborn) || open > 0 {
			w.fail(t, "%s is %s (%s); %d were paid and %d are under way", j.id, r.State, r.Code, len(live), open)
		}
	case NeedsReview:
		if result.MoneyMoved == MovedNo && ((len(live) > 0 && !j.reborn) || open > 0) {
			w.fail(t, "%s needs review (%s) and says that no money moved", j.id, r.Code)
		}
		if result.MoneyMoved == MovedYes && (len(live) == 0 || live[0].status != statusSuccessful) {
			w.fail(t, "%s needs review (%s) and says that money moved", j.id, r.Code)
		}
	}
	if r.State.Settled() || result.NextAction == nil {
		return
	}
	if late := result.NextAction.Sub(w.now); late > 48*time.Hour {
		w.fail(t, "%s does nothing for %v", j.id, late)
	}
}
