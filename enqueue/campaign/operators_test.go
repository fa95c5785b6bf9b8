package campaign

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"example.com/topup/reloadly"
	"example.com/topup/reloadly/sandbox"
)

func TestPrefixes(t *testing.T) {
	for _, test := range []struct{ country, calling, national, want string }{
		{"GM", "220", "3012345", "3012"},
		{"HT", "509", "34101234", "3410"},
		{"KE", "254", "712123456", "7121"},
		{"NG", "234", "8021234567", "80212"},
		{"CN", "86", "13123456789", "131234"},
		{"JM", "1", "8762101234", "876210"},
		{"SH", "290", "51", "51"},
	} {
		r := rowOf(2, test.country, test.calling, test.national, "1", Sender, 0)
		if got := prefixOf(r); got != (prefix{test.country, test.want, len(test.national)}) {
			t.Errorf("%s: %+v, want %s", r.Phone, got, test.want)
		}
	}
}

func TestOperatorsAreAskedForOnce(t *testing.T) {
	m := newMarket(t, sandbox.Config{Balance: "100000000 USD", NoMagic: true, Latency: time.Millisecond})
	q, problems := m.asked(QuoteOptions{Parallel: 4})
	const prefixes, each, batch = 50, 2000, 1000
	rows := make([]*Row, 0, batch)
	for i := range prefixes * each {
		rows = append(rows, rowOf(i, "ML", "223", fmt.Sprintf("70%02d%04d", i%prefixes, i/prefixes), "4", Sender, 0))
		if len(rows) == batch {
			if err := q.AddAll(t.Context(), rows); err != nil {
				t.Fatal(err)
			}
			rows = rows[:0]
		}
	}
	quote, err := q.Quote(t.Context())
	if err != nil || len(*problems) > 0 || quote.Rows != prefixes*each || quote.Total.String() != "380000" {
		t.Fatalf("%+v, %v, %v", quote, *problems, err)
	}
	if n := m.lookups.Load(); n != prefixes {
		t.Errorf("%d lookups for %d prefixes", n, prefixes)
	}
	if most := m.most.Load(); most > 4 {
		t.Errorf("%d lookups at once", most)
	}
	if len(q.operators.prefixes) != prefixes || len(q.operators.offers) != 1 || len(q.totals.lines) != 1 {
		t.Error("memory grows with the rows")
	}
}

func TestNamedOperatorsAreAskedForOnce(t *testing.T) {
	m := newMarket(t, sandbox.Config{Balance: "1000 USD"})
	q, problems := m.asked(QuoteOptions{})
	for range 3 {
		for _, id := range []int64{289, 98765} {
			if err := q.Add(t.Context(), rowOf(2, "ML", "223", "70123401", "4", Sender, id)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := m.lookups.Load(); n != 2 || len(*problems) != 3 {
		t.Errorf("%d lookups, problems %v", n, *problems)
	}
}

// A dead number must not condemn its prefix; three do.
func TestOneDeadNumberIsNotAPrefix(t *testing.T) {
	p := &dead{numbers: map[string]bool{}}
	q := NewQuoter(p, QuoteOptions{Problem: func(found Problem) { p.problems = append(p.problems, found.Line) }})
	rows := func(count int, start string) (list []*Row) {
		for i := range count {
			list = append(list, rowOf(i, "ML", "223", fmt.Sprintf("%s%04d", start, i), "4", Sender, 0))
		}
		return list
	}
	some := append(rows(9, "7012"), rows(1, "7012")...) // the first number twice
	p.numbers["70120000"] = true
	if err := q.AddAll(t.Context(), some); err != nil {
		t.Fatal(err)
	}
	if p.asked != 2 || len(p.problems) != 0 {
		t.Errorf("a prefix with an operator: %d lookups, problems %v", p.asked, p.problems)
	}
	p.asked, p.problems, p.all = 0, nil, true
	if err := q.AddAll(t.Context(), rows(9, "7099")); err != nil {
		t.Fatal(err)
	}
	if p.asked != detectTries || len(p.problems) != 9 {
		t.Errorf("a prefix without: %d lookups, problems %v", p.asked, p.problems)
	}
	// One number alone is asked for once, however many rows it has.
	p.asked, p.problems = 0, nil
	for range 3 {
		if err := q.AddAll(t.Context(), rows(1, "7055")); err != nil {
			t.Fatal(err)
		}
	}
	if p.asked != 1 || len(p.problems) != 3 {
		t.Errorf("one number: %d lookups, problems %v", p.asked, p.problems)
	}
}

// dead has an operator for all numbers but some.
type dead struct {
	stub
	numbers  map[string]bool
	all      bool
	asked    int
	problems []int
}

func (d *dead) DetectOperator(_ context.Context, p reloadly.Phone) (*reloadly.Operator, error) {
	d.asked++
	if d.all || d.numbers[p.Number] {
		return nil, &reloadly.Error{Outcome: reloadly.Refused, Advice: reloadly.GiveUp, Code: "COULD_NOT_AUTO_DETECT_OPERATOR"}
	}
	return &reloadly.Operator{ID: 1}, nil
}

// Whatever is not the provider's word about an operator ends the quote: a row without
// a price must not look like a row without a problem.
func TestNoAnswerIsNoProblemOfARow(t *testing.T) {
	for name, cause := range map[string]*reloadly.Error{
		"not reached":   {Outcome: reloadly.NotSent, Advice: reloadly.RetryLater},
		"no answer":     {Outcome: reloadly.Unknown, Advice: reloadly.RetryLater, HTTPStatus: 500},
		"not sendable":  {Outcome: reloadly.NotSent, Advice: reloadly.GiveUp},
		"credentials":   {Outcome: reloadly.Refused, Advice: reloadly.HoldAccount, HTTPStatus: 401},
		"rate limit":    {Outcome: reloadly.Refused, Advice: reloadly.RateLimited, HTTPStatus: 429},
		"passing":       {Outcome: reloadly.Refused, Advice: reloadly.RetryLater, HTTPStatus: 400},
		"a proxy's 403": {Outcome: reloadly.Refused, Advice: reloadly.AskPerson, HTTPStatus: 403},
	} {
		for _, id := range []int64{0, 289} {
			q := NewQuoter(stub{err: cause}, QuoteOptions{Problem: func(p Problem) { t.Errorf("%s: %+v", name, p) }})
			err := q.Add(t.Context(), rowOf(17, "ML", "223", "70123401", "4", Sender, id))
			if !errors.Is(err, cause) || !strings.Contains(err.Error(), "line 17") || strings.Contains(err.Error(), "70123401") {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	var problems []Problem
	notFound := &reloadly.Error{Outcome: reloadly.Refused, Advice: reloadly.AskPerson, HTTPStatus: 404} // Spring's, without a code
	q := NewQuoter(stub{err: notFound}, QuoteOptions{Problem: func(p Problem) { problems = append(problems, p) }})
	if err := q.Add(t.Context(), rowOf(17, "ML", "223", "70123401", "4", Sender, 289)); err != nil || len(problems) != 1 {
		t.Error(problems, err)
	}
}

func TestReloadlyNotReached(t *testing.T) {
	m := newMarket(t, sandbox.Config{Balance: "1000 USD"})
	m.down.Store(true)
	q, problems := m.asked(QuoteOptions{})
	rows := []*Row{rowOf(2, "ML", "223", "70123401", "4", Sender, 0), rowOf(3, "HT", "509", "34123401", "5", Sender, 0)}
	err := q.AddAll(t.Context(), rows)
	var e *reloadly.Error
	if !errors.As(err, &e) || len(*problems) > 0 {
		t.Fatal(err, *problems)
	}
	m.down.Store(false) // and goes on where it was
	if err := q.AddAll(t.Context(), rows); err != nil {
		t.Fatal(err)
	}
	if quote, err := q.Quote(t.Context()); err != nil || quote.Rows != 2 {
		t.Errorf("%+v, %v", quote, err)
	}
}

func TestQuoteEndsWithItsContext(t *testing.T) {
	m := newMarket(t, sandbox.Config{Balance: "1000 USD"})
	q, problems := m.asked(QuoteOptions{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := q.AddAll(ctx, []*Row{rowOf(2, "ML", "223", "70123401", "4", Sender, 0)})
	if !errors.Is(err, context.Canceled) || len(*problems) > 0 || m.lookups.Load() != 0 {
		t.Error(err, *problems, m.lookups.Load())
	}
}

func TestAnswerAboutAnotherOperator(t *testing.T) {
	q := NewQuoter(stub{operator: &reloadly.Operator{ID: 290}}, QuoteOptions{})
	if err := q.Add(t.Context(), rowOf(2, "ML", "223", "70123401", "4", Sender, 289)); err == nil {
		t.Error("the price of operator 290 was taken for 289")
	}
}

func TestNoUnitMatchesNoCurrency(t *testing.T) {
	var problems []Problem
	q := NewQuoter(stub{operator: &reloadly.Operator{ID: 289}}, QuoteOptions{Problem: func(p Problem) { problems = append(problems, p) }})
	if err := q.Add(t.Context(), rowOf(2, "ML", "223", "70123401", "4", "", 0)); err != nil || len(problems) != 1 {
		t.Error("an amount without a unit was taken", problems, err)
	}
}
