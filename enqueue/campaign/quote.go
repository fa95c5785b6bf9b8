package campaign

import (
	"context"
	"fmt"

	"github.com/govalues/decimal"

	"example.com/topup/reloadly"
)

const defaultParallel = 8 // no limit was met with 80 parallel reads [obs]

// QuoteOptions says how a quote is made. The zero value works.
type QuoteOptions struct {
	// Offline asks nobody: rows are counted and summed, and neither checked against
	// their operators nor priced.
	Offline bool
	// Parallel is how many questions to Reloadly are open at once. Defaults to 8.
	Parallel int
	// Problem gets what is wrong with a row, at most once a row and before its Add
	// returns. Defaults to nil: such rows only count as rejected.
	Problem func(Problem)
}

// Quoter finds what the rows of a file will cost, before anything is sent. It is for
// one goroutine, and its memory grows with operators and prefixes of numbers alone:
//
//	q := campaign.NewQuoter(client, campaign.QuoteOptions{Problem: …})
//	err := q.AddAll(ctx, rows) // for each thousand rows or so
//	quote, err := q.Quote(ctx)
type Quoter struct {
	options   QuoteOptions
	operators *operators
	totals    totals
}

// NewQuoter makes a Quoter that asks the provider, which an offline one does not need.
func NewQuoter(p Provider, o QuoteOptions) *Quoter {
	if o.Parallel <= 0 {
		o.Parallel = defaultParallel
	}
	if o.Problem == nil {
		o.Problem = func(Problem) {}
	}
	return &Quoter{options: o, operators: newOperators(p, o.Parallel), totals: newTotals()}
}

// AddAll adds rows in their order. The operators that they need and that are not
// known yet are asked for together, so it is faster than Add by as much as Parallel.
func (q *Quoter) AddAll(ctx context.Context, rows []*Row) error {
	if err := q.prefetch(ctx, rows); err != nil {
		return err
	}
	for _, r := range rows {
		if err := q.Add(ctx, r); err != nil {
			return err
		}
	}
	return nil
}

// Add checks a row against its operator, turns its unit into [Local] or [Sender] and
// adds it to the quote. A row with a problem is left as it is and out of the sums. The
// error says that Reloadly cannot be asked, and not that a row is bad.
func (q *Quoter) Add(ctx context.Context, r *Row) error {
	if q.options.Offline {
		return q.addOffline(r)
	}
	o, why, known := q.operators.of(r)
	if !known {
		if err := q.prefetch(ctx, []*Row{r}); err != nil {
			return err
		}
		o, why, _ = q.operators.of(r)
	}
	unit, problem := settle(r, o, why)
	if problem.Code != "" {
		q.reject(r, problem)
		return nil
	}
	r.Unit = unit
	q.totals.add(r, o)
	return nil
}

func (q *Quoter) prefetch(ctx context.Context, rows []*Row) error {
	if q.options.Offline {
		return nil
	}
	return q.operators.fetch(ctx, rows)
}

// addOffline only warns of a currency that cannot be resolved without the operator: a
// check may end here, a load may not.
func (q *Quoter) addOffline(r *Row) error {
	if r.Unit != Local && r.Unit != Sender {
		q.options.Problem(Problem{
			Severity: Warning, Line: r.Line, Column: "currency", Code: "unit_needs_quote",
			Message: fmt.Sprintf("whether %s is what arrives or what is debited depends on the operator: check without --offline, or write local or sender", r.Unit),
		})
	}
	q.totals.addOffline(r)
	return nil
}

func (q *Quoter) reject(r *Row, p Problem) {
	p.Line = r.Line
	q.totals.rejected++
	q.options.Problem(p)
}

// Price is what a row is expected to do, in the account's and the destination's money.
type Price struct {
	Operator *reloadly.Operator
	// Debited is exact by the provider's formula, and Delivered its estimate. Not
	// valid: the operator's answer lacks what is needed to know.
	Debited, Delivered reloadly.Amount
}

// Price is the price of a row that was added without a problem.
func (q *Quoter) Price(r *Row) (Price, bool) {
	o, _, _ := q.operators.of(r)
	if o == nil || (r.Unit != Local && r.Unit != Sender) {
		return Price{}, false
	}
	t := o.in(r.Unit)
	return Price{Operator: o.operator, Debited: t.debit.amount(r.Amount), Delivered: t.deliver.amount(r.Amount)}, true
}

// Quote is what the rows added so far will cost. The balance is read now.
func (q *Quoter) Quote(ctx context.Context) (*Quote, error) {
	if q.options.Offline {
		return q.totals.quote(nil)
	}
	balance, err := q.operators.provider.Balance(ctx)
	if err != nil {
		return nil, fmt.Errorf("cannot ask Reloadly for the balance: %w", err)
	}
	return q.totals.quote(balance)
}

// settle decides a row's unit and whether its operator sells the amount. The problem
// has no code where there is none.
func settle(r *Row, o *offer, why string) (Unit, Problem) {
	if o == nil {
		return "", missing(r, why)
	}
	op := o.operator
	name := fmt.Sprintf("operator %d (%s)", op.ID, op.Name)
	if serves := op.Country.ISOName; r.OperatorID != 0 && serves != "" && serves != r.Country {
		return "", Problem{
			Column: "operator_id", Code: "operator_country",
			Message: fmt.Sprintf("%s serves %s and the number is of %s: correct the id, or leave it empty to detect the operator", name, serves, r.Country),
		}
	}
	unit := unitOf(r.Unit, op)
	switch {
	case unit == "":
		return "", Problem{
			Column: "currency", Code: "currency_mismatch",
			Message: fmt.Sprintf("%s is neither %s, which %s delivers, nor %s, which the account is debited in: write one of them, or local or sender",
				r.Unit, op.DestinationCurrencyCode, name, op.SenderCurrencyCode),
		}
	case unit == Local && !op.SupportsLocalAmounts:
		return "", Problem{
			Column: "currency", Code: "local_not_supported",
			Message: fmt.Sprintf("%s takes no amounts in %s: give the amount in %s (sender)", name, op.DestinationCurrencyCode, op.SenderCurrencyCode),
		}
	}
	t := o.in(unit)
	if sold, _ := t.sells(r.Amount); !sold {
		return "", Problem{
			Column: "amount", Code: "amount_not_sold",
			Message: fmt.Sprintf("%s %s is not sold by %s: %s", r.Amount, t.currency, name, t.allowed(r.Amount)),
		}
	}
	return unit, Problem{}
}

func missing(r *Row, why string) Problem {
	if why == "" {
		why = "without a code"
	}
	if r.OperatorID != 0 {
		return Problem{
			Column: "operator_id", Code: "operator_not_found",
			Message: fmt.Sprintf("operator %d does not exist or is switched off (Reloadly: %s): correct the id, or leave it empty to detect the operator", r.OperatorID, why),
		}
	}
	return Problem{
		Column: "phone", Code: "operator_not_detected",
		Message: fmt.Sprintf("no operator is known for the number (Reloadly: %s): correct it, or give an operator_id", why),
	}
}

// unitOf is the unit that a currency's code stands for at an operator, or "". Where
// the account's currency is also the destination's, an amount is the same money either
// way, and Sender is the way in which every operator takes it, with the account's
// discount and no rate in between.
func unitOf(u Unit, op *reloadly.Operator) Unit {
	switch {
	case u == Local || u == Sender:
		return u
	case u == "":
		return ""
	case string(u) == op.SenderCurrencyCode:
		return Sender
	case string(u) == op.DestinationCurrencyCode:
		return Local
	}
	return ""
}

// amount is the line's value where there is a line and the value can be held.
func (l *line) amount(a decimal.Decimal) reloadly.Amount {
	if l == nil {
		return reloadly.Amount{}
	}
	value, ok := l.at(a)
	if !ok {
		return reloadly.Amount{}
	}
	return reloadly.NewAmount(value)
}
