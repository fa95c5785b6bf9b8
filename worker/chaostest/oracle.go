package main

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/govalues/decimal"

	"example.com/topup/enqueue"
)

// evidence is everything that the oracle judges by.
type evidence struct {
	jobs     []*job
	results  map[string]enqueue.Result // by lower-case id; a job that is not there has none
	missing  []string                  // acknowledged, and not in the ledger
	books    *books
	end      decimal.Decimal // the balance in the end
	never    []string        // submitted, and never acknowledged
	problems []string        // of the producers
	most     float64         // the share of jobs that may need a person
	decided  string          // the job that a person ended as unpaid
}

// check is one line of the oracle's answer.
type check struct {
	name, detail string
	violations   []string // what is wrong, a job's id first where there is one
}

func (c *check) wrong(format string, args ...any) {
	c.violations = append(c.violations, fmt.Sprintf(format, args...))
}

// The names of the checks that controls refer to.
const (
	checkLost     = "nothing lost"
	checkOpen     = "nothing left open"
	checkTwice    = "nobody paid twice"
	checkOverlap  = "no overlap"
	checkStranger = "no stranger paid"
	checkProducer = "submissions kept"
)

// judge compares what the jobs say with what was executed.
func judge(e evidence) []*check {
	all := &verdicts{evidence: e, lines: map[string][]*execution{}}
	for _, line := range e.books.executions {
		id := owner(line.Identifier)
		all.lines[id] = append(all.lines[id], line)
	}
	return []*check{
		all.lost(), all.open(), all.succeeded(), all.unpaid(), all.wronglyFailed(), all.review(), all.twice(),
		all.stranger(), all.overlap(), all.money(), all.producer(),
	}
}

type verdicts struct {
	evidence
	lines map[string][]*execution // by the job that an identifier belongs to
}

// owner is the job whose identifier it is: its id, or that with a generation.
func owner(identifier string) string {
	id, _, _ := strings.Cut(strings.ToLower(identifier), "~")
	return id
}

// its says whether an identifier can be one of a job.
func its(identifier, id string) bool {
	for generation := range enqueue.MaxGeneration + 1 {
		if identifier == enqueue.Identifier(id, generation) {
			return true
		}
	}
	return false
}

// paid are the paid lines of a job.
func (v *verdicts) paid(id string) []*execution {
	return slices.DeleteFunc(slices.Clone(v.lines[enqueue.CanonicalID(id)]), func(e *execution) bool { return !e.paid() })
}

// each goes over the jobs that ended in one of the states.
func (v *verdicts) each(f func(*job, enqueue.Result), states ...enqueue.State) int {
	count := 0
	for _, j := range v.jobs {
		r, ok := v.results[enqueue.CanonicalID(j.topUp.ID)]
		if ok && slices.Contains(states, r.State) {
			count++
			f(j, r)
		}
	}
	return count
}

func (v *verdicts) lost() *check {
	c := &check{name: checkLost, detail: fmt.Sprintf("%d jobs submitted", len(v.jobs))}
	for _, id := range v.missing {
		c.wrong("%s was acknowledged and is not in the ledger", id)
	}
	for _, id := range v.never {
		c.wrong("%s was never acknowledged", id)
	}
	return c
}

func (v *verdicts) open() *check {
	c := &check{name: checkOpen}
	v.each(func(j *job, r enqueue.Result) {
		if !towardsReview(r) {
			c.wrong("%s is %s %s %s", j.topUp.ID, r.State, r.Reason, r.Code)
		}
	}, enqueue.Queued, enqueue.Sending, enqueue.Processing, enqueue.Unknown)
	c.detail = fmt.Sprintf("%d open", len(c.violations))
	return c
}

// towardsReview says whether a job is only still looked up, until a day is over and a
// person gets it: its identifier is in use, and nothing shows of it. A run does not
// wait for that day; it counts the job as one that needs a person.
func towardsReview(r enqueue.Result) bool {
	return r.State == enqueue.Unknown && r.Code == "CUSTOM_IDENTIFIER_ALREADY_USED"
}

// succeeded: exactly one paid line, and it is the one the job names.
func (v *verdicts) succeeded() *check {
	c := &check{name: "succeeded is paid once"}
	n := v.each(func(j *job, r enqueue.Result) {
		id, paid := j.topUp.ID, v.paid(j.topUp.ID)
		if len(paid) != 1 {
			c.wrong("%s succeeded and was paid %d times", id, len(paid))
			return
		}
		line := paid[0]
		switch {
		case r.Transaction == nil || r.Transaction.TransactionID != line.Transaction:
			c.wrong("%s names another transaction than %d", id, line.Transaction)
		case !strings.HasSuffix(line.Phone, j.topUp.RecipientPhone.Number):
			c.wrong("%s was paid to another number", id)
		case !slices.ContainsFunc(j.amounts(), line.Requested.Equal):
			c.wrong("%s was paid with %s", id, line.Requested)
		}
	}, enqueue.Succeeded)
	c.detail = fmt.Sprintf("%d jobs", n)
	return c
}

func (v *verdicts) unpaid() *check {
	c := &check{name: "ended unpaid is unpaid"}
	n := v.each(func(j *job, r enqueue.Result) {
		if paid := v.paid(j.topUp.ID); len(paid) > 0 {
			c.wrong("%s is %s %s and was paid %d times", j.topUp.ID, r.State, r.Code, len(paid))
		}
	}, enqueue.Failed, enqueue.Refunded, enqueue.Cancelled)
	c.detail = fmt.Sprintf("%d failed, refunded or cancelled", n)
	return c
}

// wronglyFailed: a job fails only where the provider said so for good.
func (v *verdicts) wronglyFailed() *check {
	c := &check{name: "failed for a reason"}
	n := v.each(func(j *job, r enqueue.Result) {
		if j.cut && r.Code == enqueue.CodeExpired {
			return // its campaign was cancelled, and Redis may have forgotten that it was sent
		}
		if !slices.Contains(permanent, r.Code) && (r.Code != "REVIEWED" || j.topUp.ID != v.decided) {
			c.wrong("%s failed with %q, which nobody refused it for", j.topUp.ID, r.Code)
		}
	}, enqueue.Failed)
	c.detail = fmt.Sprintf("%d failed", n)
	return c
}

func (v *verdicts) review() *check {
	c := &check{name: "few need a person"}
	paid, codes := 0, map[string]int{}
	n := v.each(func(j *job, r enqueue.Result) {
		codes[r.Code]++
		lines := len(v.paid(j.topUp.ID))
		paid += lines
		if lines > 1 {
			c.wrong("%s needs a person and was paid %d times", j.topUp.ID, lines)
		}
	}, enqueue.NeedsReview)
	var all []string
	v.each(func(j *job, r enqueue.Result) {
		if r.State == enqueue.NeedsReview || towardsReview(r) {
			all = append(all, fmt.Sprintf("%s needs a person: %s %s", j.topUp.ID, r.State, r.Code))
		}
	}, enqueue.NeedsReview, enqueue.Unknown)
	later := len(all) - n
	c.detail = fmt.Sprintf("%d of %d and %d more when their day is over, allowed are %.1f %%; %d of them paid %s",
		n, len(v.jobs), later, 100*v.most, paid, counts(codes))
	if float64(len(all)) > v.most*float64(len(v.jobs)) {
		c.violations = append(c.violations, all...)
	}
	return c
}

// twice looks at the lines alone: whatever the jobs say, none has two.
func (v *verdicts) twice() *check {
	c := &check{name: checkTwice}
	paid := 0
	for id := range v.lines {
		n := len(v.paid(id))
		paid += n
		if n > 1 {
			c.wrong("%s was paid %d times", id, n)
		}
	}
	slices.Sort(c.violations)
	c.detail = fmt.Sprintf("%d top-ups paid", paid)
	return c
}

func (v *verdicts) stranger() *check {
	c := &check{name: checkStranger, detail: fmt.Sprintf("%d executed", len(v.books.executions))}
	known := map[string]bool{}
	for _, j := range v.jobs {
		known[enqueue.CanonicalID(j.topUp.ID)] = true
	}
	for _, line := range v.books.executions {
		if id := owner(line.Identifier); !known[id] || !its(line.Identifier, id) {
			c.wrong("%s is no identifier of a job, and was executed", line.Identifier)
		}
	}
	return c
}

// overlap: no two requests of one job were at the simulator together, under whichever
// of its identifiers. This is stronger than counting what was paid.
func (v *verdicts) overlap() *check {
	c := &check{name: checkOverlap}
	byJob := map[string][]request{}
	posts := 0
	for _, r := range v.books.requests {
		if r.Method == http.MethodPost && strings.HasPrefix(r.Path, "/topups") && r.Identifier != "" {
			byJob[owner(r.Identifier)] = append(byJob[owner(r.Identifier)], r)
			posts++
		}
	}
	for id, requests := range byJob {
		slices.SortFunc(requests, func(a, b request) int { return a.From.Compare(b.From) })
		for i := 1; i < len(requests); i++ {
			if requests[i].From.Before(requests[i-1].To) {
				c.wrong("%s had two requests under way at %s", id, requests[i].From.Format(clock))
				break
			}
		}
	}
	slices.Sort(c.violations)
	c.detail = fmt.Sprintf("%d requests to pay", posts)
	return c
}

// money counts the other way round: what left the account is what was executed.
func (v *verdicts) money() *check {
	c := &check{name: "money adds up"}
	sum := func(values ...decimal.Decimal) decimal.Decimal {
		var total decimal.Decimal
		for _, x := range values {
			var err error
			if total, err = total.Add(x); err != nil {
				c.wrong("a sum is too large: %v", err)
			}
		}
		return total
	}
	var executed, refunds decimal.Decimal
	for _, line := range v.books.executions {
		if !line.debited() {
			continue
		}
		cost := sum(line.Requested, line.Discount.Neg(), line.Fee)
		if !cost.Equal(line.Cost) {
			c.wrong("%s cost %s and was debited %s", line.Identifier, cost, line.Cost)
		}
		executed = sum(executed, cost)
		if !line.paid() {
			refunds = sum(refunds, cost)
		}
	}
	spent := sum(v.books.start, v.end.Neg(), v.books.refills, refunds)
	c.detail = fmt.Sprintf("executed %s = start %s - end %s + refills %s + refunds %s",
		executed.Trim(0), v.books.start.Trim(0), v.end.Trim(0), v.books.refills.Trim(0), refunds.Trim(0))
	if !spent.Equal(executed) {
		c.wrong("%s was executed and %s was spent", executed, spent)
	}
	return c
}

func (v *verdicts) producer() *check {
	return &check{name: checkProducer, violations: v.problems}
}

// counts writes how often each word came.
func counts(m map[string]int) string {
	var words []string
	for word, n := range m {
		words = append(words, fmt.Sprintf("%s %d", word, n))
	}
	slices.Sort(words)
	return strings.Join(words, ", ")
}
