package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/govalues/decimal"

	"example.com/topup/enqueue"
)

// story is a run of one job as the oracle gets it. The zero value of everything but
// these fields is a good ending.
type story struct {
	state    enqueue.State
	code     string
	lines    []execution
	requests []request
	gone     bool // not in the ledger
	problems []string
	extra    string // what else left the account
}

func paidLine(identifier, status string) execution {
	amount := decimal.MustNew(500, 0)
	return execution{Transaction: 7, Identifier: identifier, Phone: "2348031230001", Requested: amount, Cost: amount, Status: status}
}

func (s story) evidence() evidence {
	t := enqueue.TopUp{ID: "Job", Amount: decimal.MustNew(500, 0), RecipientPhone: enqueue.Phone{CountryCode: "NG", Number: "8031230001"}}
	e := evidence{
		jobs: []*job{{topUp: t, acknowledged: time.Now()}}, results: map[string]enqueue.Result{}, problems: s.problems, most: 1,
		books: &books{start: decimal.MustNew(10_000, 0), requests: s.requests}, end: decimal.MustNew(10_000, 0),
	}
	result := enqueue.Result{ID: t.ID, State: s.state, Code: s.code}
	if s.state == enqueue.Succeeded {
		result.Transaction = &enqueue.Transaction{TransactionID: 7}
	}
	if s.gone {
		e.missing = []string{t.ID}
	} else {
		e.results["job"] = result
	}
	for i := range s.lines {
		line := s.lines[i]
		e.books.executions = append(e.books.executions, &line)
		if line.paid() {
			e.end, _ = e.end.Sub(line.Cost)
		}
	}
	if s.extra != "" {
		e.end, _ = e.end.Sub(decimal.MustParse(s.extra))
	}
	return e
}

// Each check must be able to fail, and for its own reason alone.
func TestOracle(t *testing.T) {
	at := func(seconds int) time.Time { return time.Date(2026, 1, 1, 0, 0, seconds, 0, time.UTC) }
	post := func(identifier string, from, to int) request {
		return request{From: at(from), To: at(to), Method: "POST", Path: "/topups", Identifier: identifier}
	}
	otherAmount, otherNumber, otherTransaction := paidLine("job", "SUCCESSFUL"), paidLine("job", "SUCCESSFUL"), paidLine("job", "SUCCESSFUL")
	otherAmount.Requested, otherAmount.Cost = decimal.MustNew(501, 0), decimal.MustNew(501, 0)
	otherNumber.Phone, otherTransaction.Transaction = "2348031230002", 8
	wrongCost := paidLine("job", "SUCCESSFUL")
	wrongCost.Cost = decimal.MustNew(499, 0)
	refunded := paidLine("job", "PROCESSING")
	refunded.Later = "REFUNDED"
	good := paidLine("job", "SUCCESSFUL")
	second := paidLine("job~2", "SUCCESSFUL")
	for name, test := range map[string]struct {
		story
		want []string
	}{
		"good":                     {story{state: enqueue.Succeeded, lines: []execution{good}}, nil},
		"good, later generation":   {story{state: enqueue.Succeeded, lines: []execution{second}}, nil},
		"refused":                  {story{state: enqueue.Failed, code: permanent[0]}, nil},
		"refunded":                 {story{state: enqueue.Refunded, lines: []execution{refunded}}, nil},
		"needs a person, paid":     {story{state: enqueue.NeedsReview, lines: []execution{good}}, nil},
		"one after the other":      {story{state: enqueue.Cancelled, requests: []request{post("job", 0, 1), post("job~2", 1, 2), post("other", 0, 2)}}, nil},
		"towards a person":         {story{state: enqueue.Unknown, code: "CUSTOM_IDENTIFIER_ALREADY_USED"}, nil},
		"lost":                     {story{gone: true}, []string{checkLost}},
		"open":                     {story{state: enqueue.Sending}, []string{checkOpen}},
		"never paid":               {story{state: enqueue.Succeeded}, []string{"succeeded is paid once"}},
		"paid twice":               {story{state: enqueue.Succeeded, lines: []execution{good, second}}, []string{"succeeded is paid once", checkTwice}},
		"needs a person, twice":    {story{state: enqueue.NeedsReview, lines: []execution{good, second}}, []string{"few need a person", checkTwice}},
		"other amount":             {story{state: enqueue.Succeeded, lines: []execution{otherAmount}}, []string{"succeeded is paid once"}},
		"other number":             {story{state: enqueue.Succeeded, lines: []execution{otherNumber}}, []string{"succeeded is paid once"}},
		"other transaction":        {story{state: enqueue.Succeeded, lines: []execution{otherTransaction}}, []string{"succeeded is paid once"}},
		"failed and paid":          {story{state: enqueue.Failed, code: permanent[0], lines: []execution{good}}, []string{"ended unpaid is unpaid"}},
		"cancelled and paid":       {story{state: enqueue.Cancelled, lines: []execution{good}}, []string{"ended unpaid is unpaid"}},
		"failed for nothing":       {story{state: enqueue.Failed, code: "EXPIRED"}, []string{"failed for a reason"}},
		"a stranger's":             {story{state: enqueue.Cancelled, lines: []execution{paidLine("nobody", "SUCCESSFUL")}}, []string{checkStranger}},
		"a generation too high":    {story{state: enqueue.Succeeded, lines: []execution{paidLine("job~4", "SUCCESSFUL")}}, []string{checkStranger}},
		"in capitals":              {story{state: enqueue.Succeeded, lines: []execution{paidLine("JOB", "SUCCESSFUL")}}, []string{checkStranger}},
		"together":                 {story{state: enqueue.Cancelled, requests: []request{post("job", 0, 3), post("job", 2, 4)}}, []string{checkOverlap}},
		"together, two generation": {story{state: enqueue.Cancelled, requests: []request{post("job~2", 2, 4), post("job", 0, 3)}}, []string{checkOverlap}},
		"money gone":               {story{state: enqueue.Cancelled, extra: "0.01"}, []string{"money adds up"}},
		"wrong cost":               {story{state: enqueue.Succeeded, lines: []execution{wrongCost}}, []string{"money adds up"}},
		"producer":                 {story{state: enqueue.Cancelled, problems: []string{"made again"}}, []string{checkProducer}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			o := outcome{checks: judge(test.evidence())}
			for _, c := range o.failed() {
				got = append(got, c.name)
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("failed %q, want %q", got, test.want)
			}
		})
	}
}

// Too many that need a person are a failure of their own.
func TestOracleLimitsReviews(t *testing.T) {
	e := story{state: enqueue.NeedsReview, code: "RECORD_LOST"}.evidence()
	e.most = 0.01
	o := outcome{checks: judge(e)}
	if failed := o.failed(); len(failed) != 1 || failed[0].name != "few need a person" {
		t.Error(failed)
	}
}

// The books are read from the form that the simulator writes; half a line is left out.
func TestReadBooks(t *testing.T) {
	dir := t.TempDir()
	sim := &simulator{ledger: filepath.Join(dir, "executed"), journal: filepath.Join(dir, "requests")}
	line, err := json.Marshal(request{Method: "POST", Identifier: "a"})
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		sim.ledger: `{"kind":"open","amount":"100.5","currency":"NGN"}
{"kind":"execution","execution":{"transactionId":5,"customIdentifier":"a","requested":"10","discount":"0.5","fee":"0","cost":"9.5","status":"PROCESSING","later":"SUCCESSFUL"}}
{"kind":"refill","amount":"3.25"}
{"kind":"burn","customIdentifier":"b"}
{"kind":"reverse","transactionId":5}
{"kind":"exec`,
		sim.journal: fmt.Sprintf("%s\n", line),
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b, err := readBooks(sim)
	if err != nil {
		t.Fatal(err)
	}
	if b.start.String() != "100.5" || b.refills.String() != "3.25" || len(b.executions) != 1 || len(b.requests) != 1 {
		t.Fatalf("%+v", b)
	}
	if e := b.executions[0]; e.paid() || e.Cost.String() != "9.5" || !e.reversed {
		t.Errorf("%+v", e)
	}
}

// A seed gives the same schedule each time, and as much of everything as was asked for.
func TestSchedule(t *testing.T) {
	s := fullRun()
	s.Seed = 3
	plan := schedule(s)
	text, again := fmt.Sprintf("%+v", plan), fmt.Sprintf("%+v", schedule(s))
	if text != again {
		t.Error("one seed, two schedules")
	}
	s.Seed = 4
	if text == fmt.Sprintf("%+v", schedule(s)) {
		t.Error("two seeds, one schedule")
	}
	count := map[string]int{}
	for _, lane := range plan {
		for i, e := range lane {
			count[e.Kind]++
			if e.At > s.Duration || i > 0 && e.At < lane[i-1].At {
				t.Errorf("%s at %v", e.Kind, e.At)
			}
			if e.Kind == stopWorker && e.For <= s.settle() {
				t.Errorf("stopped for %v, the settle time is %v", e.For, s.settle())
			}
		}
	}
	if count[killWorker] != 100 || count[killRedis] != 10 || count[cutTail]+count[restoreCopy] != 6 || count[stopWorker] != 6 {
		t.Error(count)
	}
}

// What the run assumes of the provider must be inside what the promise assumes.
func TestSimulatorKeepsTheAssumptions(t *testing.T) {
	s := fullRun()
	l := s.ledger()
	latest := l.SendWindow + l.PostTimeout*7/5 + s.scaled(5*time.Second) + s.late() + s.reportDelay()
	if latest > l.Settle {
		t.Errorf("a top-up can show %v after its permission, the settle time is %v", latest, l.Settle)
	}
}
