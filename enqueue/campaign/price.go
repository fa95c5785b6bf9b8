package campaign

import (
	"math/big"
	"slices"

	"github.com/govalues/decimal"

	"example.com/topup/reloadly"
)

const priceScale = 5 // decimals of what the account is debited, rounded half up [obs]

// offer is what one operator sells, by the unit that an amount is in.
type offer struct {
	operator      *reloadly.Operator
	sender, local tariff
}

// tariff is an operator's amounts and prices in one of the two currencies.
type tariff struct {
	currency  string
	fixed     bool // only the listed amounts are sold
	list      []decimal.Decimal
	low, high reloadly.Amount
	// debit is the price in the account's currency and deliver what arrives in the
	// destination's; nil where the provider's answer lacks what they are made of.
	debit, deliver *line
}

// newOffer computes
//
//	cost = round5(S × (1 − discount% + fee%) + flat fee)
//
// once for all amounts, where S is the amount, or for a local order the amount ÷
// rate. A local order has the local discount and the local fees, the flat one divided
// by the rate, also where the amounts are FIXED: the account amount that is listed
// beside a local plan is not its price. Where a percentage fee is set the discount is
// not given.
func newOffer(op *reloadly.Operator) *offer {
	fixed := op.DenominationType == "FIXED"
	o := &offer{
		operator: op,
		sender: tariff{
			currency: op.SenderCurrencyCode, fixed: fixed, list: sorted(op.FixedAmounts), low: op.MinAmount, high: op.MaxAmount,
			debit: debit(share(op.InternationalDiscount, op.Fees.InternationalPercentage), op.Fees.International, one),
		},
		local: tariff{
			currency: op.DestinationCurrencyCode, fixed: fixed, list: sorted(op.LocalFixedAmounts), low: op.LocalMinAmount, high: op.LocalMaxAmount,
			deliver: newLine(one, new(big.Rat)),
		},
	}
	if op.FX.Rate.Valid && op.FX.Rate.Decimal.IsPos() {
		rate := rational(op.FX.Rate.Decimal)
		o.sender.deliver = newLine(rate, new(big.Rat))
		o.local.debit = debit(share(op.LocalDiscount, op.Fees.LocalPercentage), op.Fees.Local, rate)
	}
	return o
}

func (o *offer) in(u Unit) *tariff {
	if u == Local {
		return &o.local
	}
	return &o.sender
}

// share is 1 − discount% + fee%, of which only one is ever there.
func share(discount, fee reloadly.Amount) *big.Rat {
	percent := rational(discount.Decimal)
	percent.Neg(percent)
	if fee.Decimal.IsPos() {
		percent = rational(fee.Decimal)
	}
	return percent.Add(one, percent.Mul(percent, big.NewRat(1, 100)))
}

// debit is nil for a price below zero: such a discount is a mistake, not a gift.
func debit(share *big.Rat, flat reloadly.Amount, rate *big.Rat) *line {
	fee := rational(flat.Decimal)
	if share.Sign() < 0 || fee.Sign() < 0 {
		return nil
	}
	return newLine(share.Quo(share, rate), fee.Quo(fee, rate))
}

// sells says whether the amount is one of the tariff's, and checked whether the
// provider's answer said enough to know.
func (t *tariff) sells(amount decimal.Decimal) (sold, checked bool) {
	if t.fixed {
		_, listed := slices.BinarySearchFunc(t.list, amount, decimal.Decimal.Cmp)
		return listed || len(t.list) == 0, len(t.list) > 0
	}
	sold = (!t.low.Valid || amount.Cmp(t.low.Decimal) >= 0) && (!t.high.Valid || amount.Cmp(t.high.Decimal) <= 0)
	return sold, t.low.Valid && t.high.Valid
}

// allowed tells a person what is sold instead of an amount that is not.
func (t *tariff) allowed(amount decimal.Decimal) string {
	if t.fixed {
		at, _ := slices.BinarySearchFunc(t.list, amount, decimal.Decimal.Cmp)
		near := t.list[max(at-1, 0):min(at+1, len(t.list))]
		if len(near) == 1 {
			return "the nearest amount is " + near[0].String() + " " + t.currency
		}
		return "the nearest amounts are " + near[0].String() + " and " + near[1].String() + " " + t.currency
	}
	switch {
	case !t.high.Valid:
		return "at least " + t.low.String() + " " + t.currency
	case !t.low.Valid:
		return "at most " + t.high.String() + " " + t.currency
	}
	return "from " + t.low.String() + " to " + t.high.String() + " " + t.currency
}

func sorted(list []decimal.Decimal) []decimal.Decimal {
	return slices.SortedFunc(slices.Values(list), decimal.Decimal.Cmp)
}

// line is a straight line through money, amount × slope + offset, rounded half up to
// five decimals. It counts in whole numbers: a quotient of decimals with 19 digits
// would be rounded twice, and then one price in many is off by its last decimal.
//
//	⌊ (amount × slope + offset) × 10⁵ + ½ ⌋ = ⌊ (amount × num + add) ÷ den ⌋
type line struct{ num, add, den *big.Int }

// newLine takes a slope and an offset that are not negative.
func newLine(slope, offset *big.Rat) *line {
	twice := big.NewInt(2)
	den := new(big.Int).Mul(slope.Denom(), offset.Denom())
	num := new(big.Int).Mul(slope.Num(), offset.Denom())
	add := new(big.Int).Mul(offset.Num(), slope.Denom())
	for _, n := range []*big.Int{num, add} {
		n.Mul(n, twice).Mul(n, tenTo(priceScale))
	}
	add.Add(add, den)
	return &line{num: num, add: add, den: den.Mul(den, twice)}
}

// at is the line's value, and false for one that is too large to hold.
func (l *line) at(amount decimal.Decimal) (decimal.Decimal, bool) {
	var n, part, den big.Int
	scale := tenTo(amount.Scale())
	n.Mul(n.SetUint64(amount.Coef()), l.num)
	n.Add(&n, part.Mul(scale, l.add))
	n.Quo(&n, den.Mul(scale, l.den))
	if !n.IsInt64() {
		return decimal.Decimal{}, false
	}
	return decimal.MustNew(n.Int64(), priceScale).Trim(0), true
}

var one = big.NewRat(1, 1)

// powers of ten for every scale that a decimal can have.
var powers = func() (list [decimal.MaxScale + 1]*big.Int) {
	for i := range list {
		list[i] = new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(i)), nil)
	}
	return list
}()

func tenTo(n int) *big.Int { return powers[n] }

func rational(d decimal.Decimal) *big.Rat {
	n := new(big.Int).SetUint64(d.Coef())
	if d.IsNeg() {
		n.Neg(n)
	}
	return new(big.Rat).SetFrac(n, tenTo(d.Scale()))
}
