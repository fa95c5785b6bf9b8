package sandbox

import (
	"fmt"
	"math/big"
	"net/http"
	"slices"
)

// quote is what an order costs and delivers. Cost is Requested - Discount + Fee; all but Delivered
// are in the account's currency.
type quote struct {
	Requested, Discount, Fee, Cost, Delivered money
	DeliveredCurrency                         string
}

// price checks the amount and computes
//
//	cost = round5(S × (1 − discount% + fee%) + flat fee)
//
// where S is the amount, or for a local order the amount divided by the rate.
func (c *catalogue) price(op *operator, amount money, local bool) (quote, *fault) {
	if f := op.check(amount, local); f != nil {
		return quote{}, f
	}
	base, discount, percent, flat := amount.rat(), op.Discount, op.FeePercent, op.FeeFlat.rat()
	if local {
		base.Quo(base, op.Rate)
		discount, percent = op.LocalDiscount, op.LocalFeePercent
		flat = new(big.Rat).Quo(op.LocalFeeFlat.rat(), op.Rate)
	}
	if percent > 0 {
		discount = 0 // where a percentage fee is set the discount is not given
	}
	hundred := big.NewRat(100, 1)
	share := new(big.Rat).Quo((percent - discount).rat(), hundred)
	cost := new(big.Rat).Mul(base, share.Add(share, big.NewRat(1, 1)))
	fee := new(big.Rat).Mul(base, new(big.Rat).Quo(percent.rat(), hundred))

	q := quote{Requested: round5(base), Cost: round5(cost.Add(cost, flat)), DeliveredCurrency: op.Currency}
	// The parts are rounded too: what is left of the rounding goes where it does not surprise.
	if discount == 0 {
		q.Fee = q.Cost - q.Requested
	} else {
		q.Fee = round5(fee.Add(fee, flat))
		q.Discount = q.Requested + q.Fee - q.Cost
	}
	if q.Delivered = amount; !local {
		q.Delivered = round5(new(big.Rat).Mul(base, op.Rate))
	}
	return q, nil
}

// check is the fault of an amount that the operator does not sell.
func (op *operator) check(amount money, local bool) *fault {
	code, kind, currency := "INVALID_AMOUNT_FOR_OPERATOR", "amounts", op.SenderCurrency
	low, high, list := op.Min, op.Max, op.FixedAmounts
	if local {
		code, kind, currency = "INVALID_LOCAL_AMOUNT_FOR_OPERATOR", "(local) amounts", op.Currency
		low, high, list = op.LocalMin, op.LocalMax, op.LocalFixed
	}
	switch {
	case amount <= 0:
		return refuseWith(http.StatusBadRequest, "INVALID_AMOUNT", "The amount must be greater than zero")
	case local && !op.Local:
		return refuseWith(http.StatusBadRequest, "LOCAL_AMOUNTS_NOT_SUPPORTED_BY_OPERATOR",
			fmt.Sprintf("Local amounts are not supported by operator id %d (%s)", op.ID, op.Name))
	case op.Fixed && !slices.Contains(list, amount):
		return refuseWith(http.StatusBadRequest, code,
			fmt.Sprintf("The %s for operator id %d (%s) are fixed : %s %s", kind, op.ID, op.Name, join(list), currency))
	case !op.Fixed && (amount < low || amount > high):
		return refuseWith(http.StatusBadRequest, code, fmt.Sprintf(
			"Min and max %s for operator id %d (%s) are : %s %s and %s %s",
			kind, op.ID, op.Name, low.twoDecimals(), currency, high.twoDecimals(), currency))
	}
	return nil
}

func join(list []money) string {
	var text string
	for i, m := range list {
		if i > 0 {
			text += ", "
		}
		text += m.twoDecimals()
	}
	return text
}
