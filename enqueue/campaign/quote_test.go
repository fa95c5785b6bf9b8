package campaign

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/govalues/decimal"
	"github.com/nyaruka/phonenumbers"

	"example.com/topup/reloadly"
	"example.com/topup/reloadly/sandbox"
)

// send pays a row as a worker does, and gives what the account was debited.
func (m *market) send(t *testing.T, r *Row, identifier string) decimal.Decimal {
	t.Helper()
	job := r.TopUp("may")
	phone := reloadly.Phone(job.RecipientPhone)
	id := job.OperatorID
	if id == 0 {
		op, err := m.client.DetectOperator(t.Context(), phone)
		if err != nil {
			t.Fatal(err)
		}
		id = op.ID
	}
	request := reloadly.TopUpRequest{
		OperatorID: id, Amount: job.Amount, UseLocalAmount: job.UseLocalAmount,
		CustomIdentifier: identifier, RecipientPhone: &phone, RecipientEmail: "a@example.com",
	}
	tx, err := m.client.TopUp(t.Context(), request)
	if err != nil {
		t.Fatalf("line %d, operator %d, %s %s: %v", r.Line, id, r.Amount, r.Unit, err)
	}
	return tx.BalanceInfo.Cost.Decimal
}

func TestQuoteOfAMixedFileIsWhatIsDebited(t *testing.T) {
	for account, rows := range map[string][]*Row{
		"USD": {
			rowOf(2, "ML", "223", "70123401", "4", Sender, 0),
			rowOf(3, "ML", "223", "70123402", "2000", Local, 0),
			rowOf(4, "ML", "223", "70123403", "2000.12345", "XOF", 0),
			rowOf(5, "ML", "223", "70123404", "3.98765", "USD", 289),
			rowOf(6, "NE", "227", "90123405", "100", Local, 0),
			rowOf(7, "TH", "66", "812345606", "4.07", Sender, 0),      // FIXED
			rowOf(8, "EG", "20", "1001234507", "5", "EGP", 0),         // FIXED, local
			rowOf(9, "EG", "20", "1001234508", "0.34", Sender, 120),   // FIXED
			rowOf(10, "HT", "509", "34123409", "7.77777", Sender, 0),  // Digicel by prefix
			rowOf(11, "HT", "509", "32123410", "999.99999", Local, 0), // Natcom by prefix
			rowOf(12, "KE", "254", "712345611", "5.55555", Sender, 0),
			rowOf(13, "NG", "234", "8031234512", "1234.56789", "NGN", 0),
			rowOf(14, "EC", "593", "991234513", "3.33333", "USD", 0),    // the account's currency is the destination's
			rowOf(15, "KE", "254", "712345614", "3.21987", Sender, 997), // a percentage and a flat fee; id set below
		},
		"NGN": {
			rowOf(2, "AE", "971", "503971821", "832", Sender, 0),
			rowOf(3, "AE", "971", "503971822", "832.00001", "NGN", 1100),
			rowOf(4, "NG", "234", "8031234503", "500", "NGN", 0),
			rowOf(5, "NG", "234", "8031234504", "777.77777", Local, 0),
			rowOf(6, "ML", "223", "70123405", "2000", "XOF", 0),
			rowOf(7, "GB", "44", "7400123456", "3168.4", Sender, 535), // PIN
		},
	} {
		t.Run(account, func(t *testing.T) {
			m := newMarket(t, sandbox.Config{Balance: "809811.69103 " + account, NoMagic: true})
			operators, err := m.client.OperatorsByCountry(t.Context(), "KE", reloadly.OperatorFilter{})
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range rows {
				if r.OperatorID == 997 {
					r.OperatorID = withFee(t, operators)
				}
			}
			q, problems := m.asked(QuoteOptions{})
			if err := q.AddAll(t.Context(), rows); err != nil || len(*problems) > 0 {
				t.Fatal(err, *problems)
			}
			quote, err := q.Quote(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if !quote.Enough || quote.Rows != len(rows) || quote.NotPriced+quote.NotChecked != 0 || quote.Currency != account {
				t.Errorf("quote: %+v", quote)
			}

			var sum exact
			byOperator := map[int64]*exact{}
			for _, r := range rows {
				price, ok := q.Price(r)
				if !ok {
					t.Fatalf("line %d has no price", r.Line)
				}
				cost := m.send(t, r, "mixed."+strconv.Itoa(r.Line))
				if cost.Cmp(price.Debited.Decimal) != 0 {
					t.Errorf("line %d: quoted %s, debited %s", r.Line, price.Debited, cost)
				}
				sum.add(cost)
				if byOperator[price.Operator.ID] == nil {
					byOperator[price.Operator.ID] = &exact{}
				}
				byOperator[price.Operator.ID].add(cost)
			}
			for _, line := range quote.Lines {
				if want, _ := byOperator[line.OperatorID].decimal(); line.Debited.Cmp(want) != 0 {
					t.Errorf("%s: quoted %s, debited %s", line.Operator, line.Debited, want)
				}
			}
			if want, _ := sum.decimal(); quote.Total.Cmp(want) != 0 {
				t.Errorf("total: quoted %s, debited %s", quote.Total, want)
			}
			left, err := quote.Balance.Sub(quote.Total)
			if err != nil || left.Trim(0).String() != m.sim.Balance() {
				t.Errorf("left: %s, %v, the ledger has %s", left, err, m.sim.Balance())
			}
		})
	}
}

// withFee is an operator with a percentage fee.
func withFee(t *testing.T, list []reloadly.Operator) int64 {
	t.Helper()
	for i := range list {
		if list[i].Fees.InternationalPercentage.Decimal.IsPos() {
			return list[i].ID
		}
	}
	t.Fatal("no operator has a fee")
	return 0
}

// For each operator of the simulator's catalogue, in both accounts and both units, the
// quote is what the simulator debits, to the last decimal.
func TestQuoteOfEveryOperatorIsWhatIsDebited(t *testing.T) {
	for _, account := range []string{"USD", "NGN"} {
		t.Run(account, func(t *testing.T) {
			t.Parallel()
			m := newMarket(t, sandbox.Config{Balance: "100000000000 " + account, NoMagic: true, NoRechargeRule: true, KeepAlive: true})
			operators, err := m.client.Operators(t.Context(), reloadly.OperatorFilter{})
			if err != nil || len(operators) < 300 {
				t.Fatal(len(operators), err)
			}
			q, problems := m.asked(QuoteOptions{})
			random := rand.New(rand.NewPCG(4, 4))
			var rows []*Row
			for i := range operators {
				rows = append(rows, ordersOf(&operators[i], random)...)
			}
			if err := q.AddAll(t.Context(), rows); err != nil || len(*problems) > 0 {
				t.Fatal(err, *problems)
			}
			for i, r := range rows {
				price, _ := q.Price(r)
				if cost := m.send(t, r, "every."+strconv.Itoa(i)); !price.Debited.Valid || cost.Cmp(price.Debited.Decimal) != 0 {
					t.Errorf("operator %d, %s %s: quoted %s, debited %s", r.OperatorID, r.Amount, r.Unit, price.Debited, cost)
				}
			}
			quote, err := q.Quote(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if left, err := decimal.MustParse("100000000000").Sub(quote.Total); err != nil || left.Trim(0).String() != m.sim.Balance() {
				t.Errorf("%s is quoted to be left, %v, the ledger has %s", left, err, m.sim.Balance())
			}
			t.Logf("%d rows of %d operators cost %s %s", len(rows), len(operators), quote.Total, account)
		})
	}
}

// ordersOf is rows with amounts that an operator sells: the ends, and some between.
func ordersOf(op *reloadly.Operator, random *rand.Rand) []*Row {
	example := phonenumbers.GetExampleNumberForType(op.Country.ISOName, phonenumbers.MOBILE)
	national := phonenumbers.GetNationalSignificantNumber(example)
	calling := strconv.Itoa(int(example.GetCountryCode()))
	var rows []*Row
	add := func(unit Unit, amounts []decimal.Decimal, low, high reloadly.Amount) {
		if op.DenominationType == "RANGE" {
			from, to := scaled5(low.Decimal), scaled5(high.Decimal)
			amounts = []decimal.Decimal{low.Decimal, high.Decimal}
			for range 6 {
				amounts = append(amounts, decimal.MustNew(from+random.Int64N(to-from+1), 5))
			}
		}
		for _, a := range amounts {
			rows = append(rows, rowOf(len(rows), op.Country.ISOName, calling, national, a.String(), unit, op.ID))
		}
	}
	add(Sender, op.FixedAmounts, op.MinAmount, op.MaxAmount)
	if op.SupportsLocalAmounts {
		add(Local, op.LocalFixedAmounts, op.LocalMinAmount, op.LocalMaxAmount)
	}
	return rows
}

func scaled5(d decimal.Decimal) int64 {
	d = d.Pad(5)
	return int64(d.Coef())
}

func TestProblemsOfRows(t *testing.T) {
	m := newMarket(t, sandbox.Config{Balance: "1000 USD"})
	for _, test := range []struct {
		row           *Row
		column, code  string
		message, also string // words of the message
	}{
		{rowOf(7, "ML", "223", "70123401", "4", Sender, 98765), "operator_id", "operator_not_found", "operator 98765", "leave it empty"},
		{rowOf(7, "ML", "223", "12", "4", Sender, 0), "phone", "operator_not_detected", "COULD_NOT_AUTO_DETECT_OPERATOR", "operator_id"},
		{rowOf(7, "SE", "46", "701234567", "4", Sender, 0), "phone", "operator_not_detected", "COUNTRY_NOT_SUPPORTED", "operator_id"},
		{rowOf(7, "NE", "227", "90123401", "4", Sender, 289), "operator_id", "operator_country", "serves ML", "is of NE"},
		{rowOf(7, "ML", "223", "70123401", "4", "EUR", 0), "currency", "currency_mismatch", "neither XOF", "nor USD"},
		{rowOf(7, "ML", "223", "70123401", "4", "", 0), "currency", "currency_mismatch", "neither XOF", "nor USD"},
		{rowOf(7, "HT", "509", "34123401", "500", Local, 0), "currency", "local_not_supported", "HTG", "USD"},
		{rowOf(7, "HT", "509", "34123401", "500", "HTG", 173), "currency", "local_not_supported", "HTG", "USD"},
		{rowOf(7, "ML", "223", "70123401", "3.89999", Sender, 0), "amount", "amount_not_sold", "3.89999 USD", "from 3.9 to 64.95 USD"},
		{rowOf(7, "ML", "223", "70123401", "4", Local, 0), "amount", "amount_not_sold", "4 XOF", "from 1967 to 32800 XOF"},
		{rowOf(7, "TH", "66", "812345678", "5", Sender, 0), "amount", "amount_not_sold", "729 (168 Thailand)", "4.07 and 8.13 USD"},
		{rowOf(7, "EG", "20", "1001234567", "6", "EGP", 0), "amount", "amount_not_sold", "6 EGP", "5 and 10 EGP"},
	} {
		t.Run(test.code, func(t *testing.T) {
			q, problems := m.asked(QuoteOptions{})
			before := *test.row
			if err := q.Add(t.Context(), test.row); err != nil {
				t.Fatal(err)
			}
			if len(*problems) != 1 {
				t.Fatal(*problems)
			}
			p := (*problems)[0]
			if p.Severity != Error || p.Line != 7 || p.Column != test.column || p.Code != test.code ||
				!strings.Contains(p.Message, test.message) || !strings.Contains(p.Message, test.also) {
				t.Errorf("%+v", p)
			}
			if strings.Contains(p.Message, before.National) && len(before.National) > 5 {
				t.Errorf("the message has the number: %s", p.Message)
			}
			if test.row.Unit != before.Unit {
				t.Errorf("the unit was changed to %s", test.row.Unit)
			}
			quote, err := q.Quote(t.Context())
			if err != nil || quote.Rows != 0 || quote.Rejected != 1 || len(quote.Lines) != 0 || !quote.Total.IsZero() {
				t.Errorf("%+v, %v", quote, err)
			}
		})
	}
}

func TestUnitsBecomeLocalOrSender(t *testing.T) {
	for _, test := range []struct {
		account, country, calling, national string
		in, want                            Unit
		amount                              string
	}{
		{"USD", "ML", "223", "70123401", "XOF", Local, "2000"},
		{"USD", "ML", "223", "70123401", "USD", Sender, "4"},
		{"USD", "ML", "223", "70123401", Local, Local, "2000"},
		{"USD", "ML", "223", "70123401", Sender, Sender, "4"},
		{"USD", "EC", "593", "991234567", "USD", Sender, "4"}, // dollars there, too
		{"NGN", "NG", "234", "8031234567", "NGN", Sender, "500"},
	} {
		m := newMarket(t, sandbox.Config{Balance: "1000 " + test.account})
		q, problems := m.asked(QuoteOptions{})
		row := rowOf(2, test.country, test.calling, test.national, test.amount, test.in, 0)
		if err := q.Add(t.Context(), row); err != nil || len(*problems) > 0 || row.Unit != test.want {
			t.Errorf("%s in %s: %s, %v, %v", test.in, test.country, row.Unit, *problems, err)
		}
	}
}

// The names are permanent: scripts read them.
func TestQuoteJSON(t *testing.T) {
	m := newMarket(t, sandbox.Config{Balance: "10.5 USD"})
	q, _ := m.asked(QuoteOptions{})
	err := q.AddAll(t.Context(), []*Row{
		rowOf(2, "ML", "223", "70123401", "2000", Local, 0),
		rowOf(3, "ML", "223", "70123402", "4", Sender, 289),
		rowOf(4, "HT", "509", "34123401", "5", Sender, 0),
		rowOf(5, "HT", "509", "34123401", "1", Sender, 0),
	})
	if err != nil {
		t.Fatal(err)
	}
	quote, err := q.Quote(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.MarshalIndent(quote, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	const want = `{
 "offline": false,
 "rows": 3,
 "rejected": 1,
 "detected": 2,
 "notChecked": 0,
 "notPriced": 0,
 "lines": [
  {
   "country": "HT",
   "operatorId": 173,
   "operator": "Digicel Haiti",
   "rows": 1,
   "detected": 1,
   "notChecked": 0,
   "notPriced": 0,
   "requested": [
    {
     "currency": "USD",
     "unit": "sender",
     "rows": 1,
     "amount": "5"
    }
   ],
   "delivered": "607.3",
   "deliveredCurrency": "HTG",
   "debited": "4.9",
   "debitedCurrency": "USD"
  },
  {
   "country": "ML",
   "operatorId": 289,
   "operator": "Orange Mali",
   "rows": 2,
   "detected": 1,
   "notChecked": 0,
   "notPriced": 0,
   "requested": [
    {
     "currency": "USD",
     "unit": "sender",
     "rows": 1,
     "amount": "4"
    },
    {
     "currency": "XOF",
     "unit": "local",
     "rows": 1,
     "amount": "2000"
    }
   ],
   "delivered": "4020",
   "deliveredCurrency": "XOF",
   "debited": "7.7604",
   "debitedCurrency": "USD"
  }
 ],
 "sums": [
  {
   "currency": "USD",
   "unit": "sender",
   "rows": 2,
   "amount": "9"
  },
  {
   "currency": "XOF",
   "unit": "local",
   "rows": 1,
   "amount": "2000"
  }
 ],
 "currency": "USD",
 "total": "12.6604",
 "balance": "10.5",
 "enough": false,
 "short": "2.1604"
}`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Error(diff)
	}
}

func TestQuoteOffline(t *testing.T) {
	var problems []Problem
	q := NewQuoter(nil, QuoteOptions{Offline: true, Problem: func(p Problem) { problems = append(problems, p) }})
	euro := rowOf(5, "ML", "223", "70123404", "1.5", "EUR", 0)
	err := q.AddAll(t.Context(), []*Row{
		rowOf(2, "ML", "223", "70123401", "2000", Local, 0),
		rowOf(3, "ML", "223", "70123402", "2000.5", Local, 289),
		rowOf(4, "HT", "509", "34123401", "5", Sender, 0), euro,
	})
	if err != nil {
		t.Fatal(err)
	}
	quote, err := q.Quote(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	local := Sum{Unit: Local, Rows: 2, Amount: decimal.MustParse("4000.5")}
	sender := Sum{Unit: Sender, Rows: 1, Amount: decimal.MustParse("5")}
	euros := Sum{Currency: "EUR", Rows: 1, Amount: decimal.MustParse("1.5")}
	want := &Quote{
		Offline: true, Rows: 4, NotChecked: 4, NotPriced: 4, Sums: []Sum{local, sender, euros},
		Lines: []QuoteLine{
			{Country: "HT", Rows: 1, NotChecked: 1, NotPriced: 1, Requested: []Sum{sender}},
			{Country: "ML", Rows: 3, NotChecked: 3, NotPriced: 3, Requested: []Sum{local, euros}},
		},
	}
	same := cmp.Comparer(func(a, b decimal.Decimal) bool { return a.Cmp(b) == 0 })
	if diff := cmp.Diff(want, quote, same); diff != "" {
		t.Error(diff)
	}
	if len(problems) != 1 || problems[0].Severity != Warning || problems[0].Code != "unit_needs_quote" || problems[0].Line != 5 || euro.Unit != "EUR" {
		t.Error(problems, euro.Unit)
	}
	if _, ok := q.Price(euro); ok {
		t.Error("a row has a price offline")
	}
}

// stub is a provider that answers what no simulator does.
type stub struct {
	operator *reloadly.Operator
	err      error
	currency string
}

func (s stub) DetectOperator(context.Context, reloadly.Phone) (*reloadly.Operator, error) {
	return s.operator, s.err
}

func (s stub) Operator(context.Context, int64) (*reloadly.Operator, error) { return s.operator, s.err }

func (s stub) Balance(context.Context) (*reloadly.Balance, error) {
	return &reloadly.Balance{Balance: decimal.MustParse("1000"), CurrencyCode: s.currency}, s.err
}

// What cannot be known is counted and never passes for enough.
func TestQuoteOfWhatIsNotKnown(t *testing.T) {
	const usd = `"id":7,"senderCurrencyCode":"USD","destinationCurrencyCode":"XOF","supportsLocalAmounts":true`
	for name, test := range map[string]struct {
		operator              string
		unit                  Unit
		notChecked, notPriced int
		total                 string
		enough                bool
	}{
		"all known":        {usd + `,"minAmount":1,"maxAmount":9,"fx":{"rate":505}`, Sender, 0, 0, "4", true},
		"no bounds":        {usd + `,"minAmount":null,"fx":{"rate":505}`, Sender, 1, 0, "4", true},
		"no rate":          {usd + `,"localMinAmount":1,"localMaxAmount":9`, Local, 0, 1, "0", false},
		"another currency": {`"id":7,"senderCurrencyCode":"EUR","minAmount":1,"maxAmount":9`, Sender, 0, 1, "0", false},
	} {
		t.Run(name, func(t *testing.T) {
			q := NewQuoter(stub{operator: operatorOf(t, "{"+test.operator+"}"), currency: "USD"}, QuoteOptions{})
			if err := q.Add(t.Context(), rowOf(2, "ML", "223", "70123401", "4", test.unit, 0)); err != nil {
				t.Fatal(err)
			}
			quote, err := q.Quote(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if quote.NotChecked != test.notChecked || quote.NotPriced != test.notPriced || quote.Enough != test.enough || quote.Total.String() != test.total {
				t.Errorf("%+v", quote)
			}
		})
	}
}

func TestQuoteNeverRounds(t *testing.T) {
	var e exact
	e.add(decimal.MustParse("99999999999999.99999"))
	e.add(decimal.MustParse("0.00001"))
	if d, err := e.decimal(); err != nil || d.String() != "100000000000000" {
		t.Error(d, err)
	}
	e.add(decimal.MustParse("0.00001"))
	if d, err := e.decimal(); err == nil {
		t.Errorf("20 digits were rounded to %s", d)
	}
	q := NewQuoter(nil, QuoteOptions{Offline: true})
	for range 101 {
		if err := q.Add(t.Context(), rowOf(2, "ML", "223", "70123401", "999999999999.99999", Local, 0)); err != nil {
			t.Fatal(err)
		}
	}
	if quote, err := q.Quote(t.Context()); err == nil {
		t.Errorf("got %+v", quote.Sums)
	}
}

func TestQuoteNeedsTheBalance(t *testing.T) {
	cause := errors.New("no route")
	if _, err := NewQuoter(stub{err: cause}, QuoteOptions{}).Quote(t.Context()); !errors.Is(err, cause) {
		t.Error(err)
	}
}

func BenchmarkQuoteAdd(b *testing.B) {
	m := newMarket(b, sandbox.Config{Balance: "1000 USD"})
	var rows []*Row
	for i := range 1000 {
		rows = append(rows,
			rowOf(i, "ML", "223", fmt.Sprintf("70%06d", i), "4.12", Sender, 0),
			rowOf(i, "ML", "223", fmt.Sprintf("71%06d", i), "2000.5", Local, 289))
	}
	q := NewQuoter(m.client, QuoteOptions{})
	if err := q.AddAll(b.Context(), rows); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := q.AddAll(b.Context(), rows); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N*len(rows))/b.Elapsed().Seconds(), "rows/s")
}
