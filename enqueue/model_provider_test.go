package enqueue

import (
	"time"

	"pgregory.net/rapid"
)

// modelProvider is Reloadly as the facts page has it: a duplicate check that is not
// atomic (a top-up stands only from its execution on), refusals that leave no record
// and may use the identifier up, a report that is late, answers that are lost.
// Assumptions A1 and A2 hold: nothing becomes visible later than the settle time
// after the permission.
type modelProvider struct {
	burns    bool          // a refusal uses the identifier up
	lag      time.Duration // by how much its clock is behind
	posts    []*modelPost
	txs      []*modelTx
	burned   map[string]bool
	lastTxID int64
}

// modelPost is one POST with all that will become of it: drawn when it is sent, so
// that a failing run gets short.
type modelPost struct {
	identifier           string
	fate                 modelFate
	arrives, runs, shows time.Time
	ends                 time.Time // of an accepted one that stays open at first
	last                 string    // its status then
	lost                 bool      // the answer does not come back
	checked, over        bool
	answer               Outcome
	tx                   *modelTx // that it became
}

type modelTx struct {
	id         int64
	identifier string
	status     string
	shows      time.Time
	ends       time.Time
	last       string
	foreign    bool // somebody else's
}

// live reports whether it was paid or may yet be.
func (tx *modelTx) live() bool {
	return !tx.foreign && (tx.status == statusSuccessful || tx.status == "PROCESSING")
}

type modelFate string

const (
	fatePaid     modelFate = "paid"
	fateAccepted modelFate = "accepted"
	fateEnded    modelFate = "ended"  // a transaction that FAILED
	fateOdd      modelFate = "odd"    // a 500 without a transaction
	fateGone     modelFate = "gone"   // it never gets there
	fateRetry    modelFate = "retry"  // refused for now
	fateRefused  modelFate = "refuse" // refused for good
	fateHeld     modelFate = "held"   // no balance
	fatePerson   modelFate = "person" // a code that nobody knows
)

var modelFates = []modelFate{
	fatePaid, fatePaid, fatePaid, fatePaid, fateRetry, fateRetry, fateRetry, fateRefused, fateAccepted, fateAccepted,
	fateEnded, fateOdd, fateGone, fateHeld, fatePerson,
}

func seconds(t *rapid.T, label string, of ...int) time.Duration {
	return time.Duration(rapid.SampledFrom(of).Draw(t, label)) * time.Second
}

// modelCourse is what will become of one POST.
type modelCourse struct {
	fate                 modelFate
	lost                 bool          // the answer does not come back
	arrives, runs, shows time.Duration // each after the one before
	ends                 time.Duration // of an accepted one that stays open at first, after it ran
	last                 string        // its status then
	hidden               bool          // it shows when it shows: assumption A2 is broken
	unchecked            bool          // a refusal that comes before the duplicate check
}

func drawCourse(t *rapid.T) modelCourse {
	c := modelCourse{fate: rapid.SampledFrom(modelFates).Draw(t, "fate"), lost: rapid.IntRange(0, 2).Draw(t, "lost") == 2}
	c.arrives = seconds(t, "arrives after", 0, 0, 0, 1, 120, 400)
	c.runs = seconds(t, "runs after", 0, 1, 60, 450)
	c.shows = seconds(t, "shows after", 0, 0, 30, 300)
	if c.fate == fateAccepted {
		c.ends = seconds(t, "ends after", 60, 1800, 40000, 200000)
		c.last = rapid.SampledFrom([]string{statusSuccessful, "FAILED", "REFUNDED"}).Draw(t, "ends as")
	}
	return c
}

// post takes a request that leaves now. Nothing of it happens after the deadline.
func (p *modelProvider) post(c modelCourse, identifier string, now, deadline time.Time) *modelPost {
	last := func(at time.Time) time.Time { // no later than assumption A2 has it
		if at.After(deadline) {
			return deadline
		}
		return at
	}
	post := &modelPost{identifier: identifier, fate: c.fate, lost: c.lost, checked: c.unchecked, last: c.last}
	post.arrives = last(now.Add(c.arrives))
	post.runs = last(post.arrives.Add(c.runs))
	post.shows = last(post.runs.Add(c.shows))
	if c.hidden {
		post.shows = post.runs.Add(c.shows)
	}
	post.ends = post.runs.Add(c.ends)
	p.posts = append(p.posts, post)
	return post
}

// used is the duplicate check.
func (p *modelProvider) used(identifier string) bool {
	for _, tx := range p.txs {
		if tx.identifier == identifier {
			return true
		}
	}
	return p.burned[identifier]
}

// pass lets everything happen that is due by now, in the order of time.
func (p *modelProvider) pass(now time.Time) {
	for {
		var next *modelPost
		var at time.Time
		for _, post := range p.posts {
			due := post.arrives
			if post.checked {
				due = post.runs
			}
			if !post.over && !due.After(now) && (next == nil || due.Before(at)) {
				next, at = post, due
			}
		}
		if next == nil {
			break
		}
		p.step(next)
	}
	for _, tx := range p.txs {
		if tx.status == "PROCESSING" && !tx.ends.After(now) {
			tx.status = tx.last
		}
	}
}

// step is the check of a request, or its execution.
func (p *modelProvider) step(post *modelPost) {
	if !post.checked {
		post.checked = true
		if post.fate != fateGone && p.used(post.identifier) {
			post.over, post.answer = true, Outcome{Kind: KindInUse, Code: "CUSTOM_IDENTIFIER_ALREADY_USED", Delay: 2 * time.Second}
		}
		return
	}
	post.over = true
	refused := func(o Outcome) {
		o.Code, o.Delay = "REFUSED", 5*time.Second
		post.answer = o
		p.burned[post.identifier] = p.burns || p.burned[post.identifier]
	}
	switch post.fate {
	case fatePaid:
		p.execute(post, statusSuccessful)
	case fateAccepted:
		p.execute(post, "PROCESSING")
	case fateEnded:
		p.execute(post, "FAILED")
	case fateOdd:
		post.answer = Outcome{Kind: KindUnknown, Code: "ODD", Delay: 2 * time.Second}
	case fateGone:
		post.lost = true
	case fateRetry:
		refused(Outcome{Kind: KindRetry, Reason: Backoff})
	case fateRefused:
		refused(Outcome{Kind: KindFailed})
	case fatePerson:
		refused(Outcome{Kind: KindReview})
	case fateHeld:
		refused(Outcome{Kind: KindHeld, Reason: InsufficientBalance, GiveBack: true})
	}
}

func (p *modelProvider) execute(post *modelPost, status string) {
	p.lastTxID++
	tx := &modelTx{id: p.lastTxID, identifier: post.identifier, status: status, shows: post.shows, ends: post.ends, last: post.last}
	p.txs = append(p.txs, tx)
	post.tx, post.answer = tx, modelEvidence(tx)
}

// report is what a look-up shows of an identifier now.
func (p *modelProvider) report(identifier string, now time.Time) (list []modelTx) {
	for _, tx := range p.txs {
		if tx.identifier == identifier && !tx.shows.After(now) {
			list = append(list, *tx)
		}
	}
	return list
}

// modelEvidence is worker.evidence.
func modelEvidence(t *modelTx) Outcome {
	o := Outcome{Transaction: tx(t.id, t.status), Delay: 2 * time.Second}
	switch t.status {
	case statusSuccessful:
		o.Kind = KindSucceeded
	case "FAILED":
		o.Kind, o.Code = KindFailed, CodeTransaction
	case "REFUNDED":
		o.Kind, o.Code = KindRefunded, CodeTransaction
	default:
		o.Kind = KindProcessing
	}
	return o
}
