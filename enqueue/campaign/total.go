package campaign

import (
	"cmp"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"

	"github.com/govalues/decimal"

	"example.com/topup/reloadly"
)

// Quote is what the rows of a file will cost. As JSON money is decimal text.
type Quote struct {
	Offline  bool `json:"offline"`  // nobody was asked: no prices, no operators, no balance
	Rows     int  `json:"rows"`     // without a problem
	Rejected int  `json:"rejected"` // with one; in none of the sums
	// Detected rows have an operator that was detected by their number's prefix, an estimate.
	Detected int `json:"detected"`
	// NotChecked rows have an operator that does not say which amounts it sells.
	NotChecked int `json:"notChecked"`
	// NotPriced rows have an operator whose answer lacks what the price is made of.
	NotPriced int         `json:"notPriced"`
	Lines     []QuoteLine `json:"lines"` // by country and operator
	Sums      []Sum       `json:"sums"`  // what the rows ask for, by currency

	Currency string          `json:"currency"` // the account's
	Total    decimal.Decimal `json:"total"`    // debited for all priced rows
	Balance  decimal.Decimal `json:"balance"`
	// Enough is true when the balance covers Total and every row has a price, and
	// Short is what is missing from the balance.
	Enough bool            `json:"enough"`
	Short  decimal.Decimal `json:"short"`
}

// QuoteLine is the part of a quote that one operator has in one country. An offline
// quote has a line for each country.
type QuoteLine struct {
	Country    string `json:"country"`
	OperatorID int64  `json:"operatorId,omitempty"`
	Operator   string `json:"operator,omitempty"`
	Rows       int    `json:"rows"`
	Detected   int    `json:"detected"`
	NotChecked int    `json:"notChecked"`
	NotPriced  int    `json:"notPriced"`
	Requested  []Sum  `json:"requested"`
	// Delivered is an estimate by the operator's rate, Debited is what the account pays.
	Delivered         decimal.Decimal `json:"delivered"`
	DeliveredCurrency string          `json:"deliveredCurrency"`
	Debited           decimal.Decimal `json:"debited"`
	DebitedCurrency   string          `json:"debitedCurrency"`
}

// Sum is what rows ask for in one currency. Offline it has the code or the unit, as
// the rows say it.
type Sum struct {
	Currency string          `json:"currency,omitempty"`
	Unit     Unit            `json:"unit,omitempty"`
	Rows     int             `json:"rows"`
	Amount   decimal.Decimal `json:"amount"`
}

// totals are a quote's sums while rows are still being added.
type totals struct {
	rejected int
	lines    map[lineKey]*lineTotal
}

type lineKey struct {
	country  string
	operator int64
}

type lineTotal struct {
	operator           *reloadly.Operator // nil offline
	rows, detected     int
	notChecked         int
	notPriced          int
	requested          map[sumKey]*sum
	debited, delivered exact
}

type sumKey struct {
	currency string
	unit     Unit
}

type sum struct {
	rows   int
	amount exact
}

func newTotals() totals { return totals{lines: map[lineKey]*lineTotal{}} }

// add counts a row of an operator; the row's unit is resolved.
func (t *totals) add(r *Row, o *offer) {
	tariff := o.in(r.Unit)
	l := t.line(r.Country, o.operator)
	l.count(r, sumKey{tariff.currency, r.Unit})
	if r.OperatorID == 0 {
		l.detected++
	}
	if _, checked := tariff.sells(r.Amount); !checked {
		l.notChecked++
	}
	if debited := tariff.debit.amount(r.Amount); debited.Valid {
		l.debited.add(debited.Decimal)
	} else {
		l.notPriced++
	}
	l.delivered.add(tariff.deliver.amount(r.Amount).Decimal)
}

func (t *totals) addOffline(r *Row) {
	key := sumKey{unit: r.Unit}
	if r.Unit != Local && r.Unit != Sender {
		key = sumKey{currency: string(r.Unit)}
	}
	l := t.line(r.Country, nil)
	l.count(r, key)
	l.notChecked++
	l.notPriced++
}

func (t *totals) line(country string, op *reloadly.Operator) *lineTotal {
	key := lineKey{country: country}
	if op != nil {
		key.operator = op.ID
	}
	l := t.lines[key]
	if l == nil {
		key.country = strings.Clone(country) // or it would keep the file's text in memory
		l = &lineTotal{operator: op, requested: map[sumKey]*sum{}}
		t.lines[key] = l
	}
	return l
}

func (l *lineTotal) count(r *Row, key sumKey) {
	l.rows++
	s := l.requested[key]
	if s == nil {
		s = &sum{}
		l.requested[key] = s
	}
	s.rows++
	s.amount.add(r.Amount)
}

// quote adds up; balance is nil offline. What an operator debits in another currency
// than the balance's is not priced: it could not be compared.
func (t *totals) quote(balance *reloadly.Balance) (*Quote, error) {
	q := &Quote{Offline: balance == nil, Rejected: t.rejected, Lines: []QuoteLine{}}
	if balance != nil {
		q.Currency, q.Balance = balance.CurrencyCode, balance.Balance
	}
	var w exactWriter
	var total exact
	sums := map[sumKey]*sum{}
	keys := slices.SortedFunc(maps.Keys(t.lines), func(a, b lineKey) int {
		return cmp.Or(cmp.Compare(a.country, b.country), cmp.Compare(a.operator, b.operator))
	})
	for _, key := range keys {
		l := t.lines[key]
		line := QuoteLine{
			Country: key.country, Rows: l.rows, Detected: l.detected, NotChecked: l.notChecked, NotPriced: l.notPriced,
			Requested: w.sums(l.requested), Delivered: w.decimal(&l.delivered), Debited: w.decimal(&l.debited),
		}
		if op := l.operator; op != nil {
			line.OperatorID, line.Operator = op.ID, op.Name
			line.DeliveredCurrency, line.DebitedCurrency = op.DestinationCurrencyCode, op.SenderCurrencyCode
		}
		if line.DebitedCurrency == q.Currency {
			total.addExact(&l.debited)
		} else {
			line.NotPriced = l.rows
		}
		for k, s := range l.requested {
			merge(sums, k, s)
		}
		q.Rows += line.Rows
		q.Detected += line.Detected
		q.NotChecked += line.NotChecked
		q.NotPriced += line.NotPriced
		q.Lines = append(q.Lines, line)
	}
	q.Sums, q.Total = w.sums(sums), w.decimal(&total)
	if w.err != nil {
		return nil, w.err
	}
	return q, q.compare()
}

// compare sets what depends on the balance.
func (q *Quote) compare() error {
	if q.Offline {
		return nil
	}
	if q.Total.Cmp(q.Balance) <= 0 {
		q.Enough = q.NotPriced == 0
		return nil
	}
	var missing exact
	missing.add(q.Total)
	missing.add(q.Balance.Neg())
	short, err := missing.decimal()
	q.Short = short
	return err
}

func merge(sums map[sumKey]*sum, key sumKey, part *sum) {
	s := sums[key]
	if s == nil {
		s = &sum{}
		sums[key] = s
	}
	s.rows += part.rows
	s.amount.addExact(&part.amount)
}

// exact is a sum that never rounds, which a decimal does beyond 19 digits. It counts
// in the smallest unit that a decimal can have.
type exact struct{ units big.Int }

func (e *exact) add(d decimal.Decimal) {
	var n big.Int
	n.SetUint64(d.Coef())
	n.Mul(&n, tenTo(decimal.MaxScale-d.Scale()))
	if d.IsNeg() {
		n.Neg(&n)
	}
	e.units.Add(&e.units, &n)
}

func (e *exact) addExact(other *exact) { e.units.Add(&e.units, &other.units) }

// decimal fails rather than round.
func (e *exact) decimal() (decimal.Decimal, error) {
	value := new(big.Rat).SetFrac(&e.units, tenTo(decimal.MaxScale))
	scale, _ := value.FloatPrec()
	text := value.FloatString(scale)
	d, err := decimal.ParseExact(text, scale)
	if err != nil {
		return decimal.Decimal{}, fmt.Errorf("the sum %s has more digits than can be held: split the file", text)
	}
	return d, nil
}

// exactWriter turns sums into decimals and keeps the first error.
type exactWriter struct{ err error }

func (w *exactWriter) decimal(e *exact) decimal.Decimal {
	d, err := e.decimal()
	if w.err == nil {
		w.err = err
	}
	return d
}

func (w *exactWriter) sums(m map[sumKey]*sum) []Sum {
	list := []Sum{}
	for key, s := range m {
		list = append(list, Sum{Currency: key.currency, Unit: key.unit, Rows: s.rows, Amount: w.decimal(&s.amount)})
	}
	slices.SortFunc(list, func(a, b Sum) int {
		return cmp.Or(cmp.Compare(a.Currency, b.Currency), cmp.Compare(a.Unit, b.Unit))
	})
	return list
}
