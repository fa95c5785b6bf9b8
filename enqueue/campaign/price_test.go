package campaign

import (
	"encoding/json"
	"fmt"
	"math/big"
	"testing"

	"github.com/govalues/decimal"
	"pgregory.net/rapid"

	"example.com/topup/reloadly"
)

// operatorOf reads an operator in the provider's own words.
func operatorOf(t testing.TB, text string) *reloadly.Operator {
	t.Helper()
	var op reloadly.Operator
	if err := json.Unmarshal([]byte(text), &op); err != nil {
		t.Fatal(err)
	}
	return &op
}

// The real debits of the facts page, and what follows from its formula.
func TestPrices(t *testing.T) {
	const (
		mali  = `"fx":{"rate":505},"internationalDiscount":5,"localDiscount":0`
		niger = `"fx":{"rate":505.427002},"internationalDiscount":5,"localDiscount":0`
		fees  = `"fx":{"rate":500},"internationalDiscount":5,"localDiscount":3,"fees":`
	)
	for _, test := range []struct {
		name, operator           string
		unit                     Unit
		amount, debit, delivered string
	}{
		{"quick start", `"fx":{"rate":0.0067307692},"internationalDiscount":5`, Sender, "832", "790.4", "5.6"},
		{"Orange Mali", mali, Sender, "4", "3.8", "2020"},
		{"Orange Mali local", mali, Local, "2000", "3.9604", "2000"},
		{"Airtel Niger local", niger, Local, "100", "0.19785", "100"},
		{"Claro Peru", `"fx":{"rate":"3.69"},"internationalDiscount":"4"`, Sender, "1", "0.96", "3.69"},
		{"FIXED local by the rate", `"denominationType":"FIXED","fixedAmounts":[0.18],"localFixedAmounts":[5],"fx":{"rate":29.4117647059}`, Local, "5", "0.17", "5"},
		{"percentage fee instead of the discount", fees + `{"international":0.1,"internationalPercentage":2}`, Sender, "5", "5.2", "2500"},
		{"flat fee beside the discount", fees + `{"international":0.1,"internationalPercentage":0}`, Sender, "5", "4.85", "2500"},
		{"local flat fee by the rate", fees + `{"local":50,"localPercentage":0}`, Local, "1000", "2.04", "1000"},
		{"local percentage fee", fees + `{"local":50,"localPercentage":10}`, Local, "1000", "2.3", "1000"},
		{"local fees are not the others", fees + `{"international":9,"internationalPercentage":9}`, Local, "1000", "1.94", "1000"},
		{"half goes up", `"fx":{"rate":1},"internationalDiscount":50`, Sender, "0.00001", "0.00001", "0.00001"},
		{"less than half goes down", `"fx":{"rate":3}`, Local, "0.00001", "0", "0.00001"},
		// 1 ÷ 3 in 19 digits, times 3, would be 0.9…: the sixth decimal decides the fifth.
		{"no rounding in between", `"fx":{"rate":3},"localDiscount":0`, Local, "300000000000.000015", "100000000000.00001", "300000000000.00002"},
		{"no rate", `"internationalDiscount":5`, Sender, "10", "9.5", ""},
		{"no rate, local", `"internationalDiscount":5`, Local, "10", "", "10"},
		{"rate of zero", `"fx":{"rate":0}`, Local, "10", "", "10"},
		{"a discount that would pay us", `"internationalDiscount":101`, Sender, "10", "", ""},
		{"too large to hold", `"fx":{"rate":0.00001}`, Local, "999999999999", "", "999999999999"},
	} {
		t.Run(test.name, func(t *testing.T) {
			tariff := newOffer(operatorOf(t, `{"id":1,`+test.operator+`}`)).in(test.unit)
			amount := decimal.MustParse(test.amount)
			if got := tariff.debit.amount(amount).String(); got != test.debit {
				t.Errorf("debited %s, want %s", got, test.debit)
			}
			if got := tariff.deliver.amount(amount).String(); got != test.delivered {
				t.Errorf("delivered %s, want %s", got, test.delivered)
			}
		})
	}
}

// The line agrees with big.Rat's own rounding, whatever the numbers.
func TestLineIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		number := func(name string) decimal.Decimal {
			return decimal.MustNew(rapid.Int64Range(1, 1_000_000_000_000).Draw(t, name), rapid.IntRange(0, 10).Draw(t, name+" scale"))
		}
		amount, slope, rate, offset := number("amount"), number("slope"), number("rate"), number("offset")
		by := new(big.Rat).Quo(rational(slope), rational(rate))
		want := new(big.Rat).Mul(rational(amount), by)
		want.Add(want, rational(offset))
		got, ok := newLine(by, rational(offset)).at(amount)
		if text := want.FloatString(5); ok && rational(got).FloatString(5) != text {
			t.Fatalf("got %s, want %s", got, text)
		} else if limit := big.NewRat(90_000_000_000_000, 1); !ok && want.Cmp(limit) < 0 {
			t.Fatalf("%s can be held", text)
		}
	})
}

func TestAmountsSold(t *testing.T) {
	const plans = `"denominationType":"FIXED","senderCurrencyCode":"USD","fixedAmounts":[8.13,0.41,4.07],"localFixedAmounts":[]`
	bounds := func(low, high string) string {
		return fmt.Sprintf(`"denominationType":"RANGE","senderCurrencyCode":"USD","minAmount":%s,"maxAmount":%s`, low, high)
	}
	for _, test := range []struct {
		operator      string
		unit          Unit
		amount        string
		sold, checked bool
		allowed       string
	}{
		{bounds("1", "60"), Sender, "1", true, true, ""},
		{bounds("1", "60"), Sender, "60.00", true, true, ""},
		{bounds("1", "60"), Sender, "0.99999", false, true, "from 1 to 60 USD"},
		{bounds("1", "60"), Sender, "60.00001", false, true, "from 1 to 60 USD"},
		{bounds("null", "60"), Sender, "0.5", true, false, ""},
		{bounds("null", "60"), Sender, "61", false, false, "at most 60 USD"},
		{bounds("1", "null"), Sender, "0.5", false, false, "at least 1 USD"},
		{bounds("null", "null"), Sender, "999999", true, false, ""},
		{bounds("1", "60"), Local, "999999", true, false, ""},
		{plans, Sender, "4.070", true, true, ""},
		{plans, Sender, "5", false, true, "the nearest amounts are 4.07 and 8.13 USD"},
		{plans, Sender, "0.4", false, true, "the nearest amount is 0.41 USD"},
		{plans, Sender, "9", false, true, "the nearest amount is 8.13 USD"},
		{plans, Local, "9", true, false, ""},
	} {
		tariff := newOffer(operatorOf(t, `{"id":1,`+test.operator+`}`)).in(test.unit)
		amount := decimal.MustParse(test.amount)
		sold, checked := tariff.sells(amount)
		if sold != test.sold || checked != test.checked {
			t.Errorf("%s %s of %s: sold %v, checked %v", test.amount, test.unit, test.operator, sold, checked)
		}
		if !sold && tariff.allowed(amount) != test.allowed {
			t.Errorf("%s of %s: %q, want %q", test.amount, test.operator, tariff.allowed(amount), test.allowed)
		}
	}
}
