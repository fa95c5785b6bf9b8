package reloadly

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/govalues/decimal"
)

// Conversion is what an amount in the account's currency becomes at an operator.
type Conversion struct {
	OperatorID   int64
	OperatorName string
	// Amount is the whole converted amount; the provider calls it fxRate (4 USD → 485.84 HTG) [obs].
	Amount       decimal.Decimal
	CurrencyCode string
}

// FXRate converts an amount by an operator's rate. It is an estimate of what will be delivered.
func (c *Client) FXRate(ctx context.Context, operatorID int64, amount decimal.Decimal) (*Conversion, error) {
	const op = "fx_rate"
	if operatorID <= 0 || !amount.IsPos() {
		return nil, invalidRequest(op, "operator id is missing or amount is not more than zero")
	}
	cl := call{op: op, method: http.MethodPost, url: c.cfg.APIURL + "/operators/fx-rate", body: bodyOf(struct {
		OperatorID int64       `json:"operatorId"`
		Amount     json.Number `json:"amount"`
	}{operatorID, json.Number(amount.String())})}
	var wire struct {
		ID           wireID `json:"id"`
		Name         string `json:"name"`
		FXRate       Amount `json:"fxRate"`
		CurrencyCode string `json:"currencyCode"`
	}
	_, err := c.read(ctx, cl, func(ans answer) error {
		if err := into(&wire)(ans); err != nil {
			return err
		}
		if !wire.FXRate.Valid {
			return errors.New("the answer has no fxRate")
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &Conversion{
		OperatorID: int64(wire.ID), OperatorName: wire.Name,
		Amount: wire.FXRate.Decimal, CurrencyCode: wire.CurrencyCode,
	}, nil
}

// Discount is what the account earns at an operator, in percent.
type Discount struct {
	Operator                DiscountOperator `json:"operator"`
	Percentage              Amount           `json:"percentage"`
	InternationalPercentage Amount           `json:"internationalPercentage"`
	LocalPercentage         Amount           `json:"localPercentage"`
	UpdatedAt               string           `json:"updatedAt"`
}

// DiscountOperator names the operator of a Discount.
type DiscountOperator struct {
	OperatorID  int64  `json:"operatorId"`
	Name        string `json:"name"`
	CountryCode string `json:"countryCode"`
}

// UnmarshalJSON fails on a percentage that is not a number.
func (d *Discount) UnmarshalJSON(b []byte) error {
	*d = Discount{}
	type plain Discount
	if err := json.Unmarshal(b, (*plain)(d)); err != nil {
		return err
	}
	return readable(d.Percentage, d.InternationalPercentage, d.LocalPercentage)
}

// Commissions reads the discounts of all operators.
func (c *Client) Commissions(ctx context.Context) ([]Discount, error) {
	return all[Discount](ctx, c, "commissions", "/operators/commissions", nil, operatorPageSize)
}

// Commission reads the discount of one operator.
func (c *Client) Commission(ctx context.Context, operatorID int64) (*Discount, error) {
	var d Discount
	if _, err := c.get(ctx, "commission", fmt.Sprintf("/operators/%d/commissions", operatorID), nil, into(&d)); err != nil {
		return nil, err
	}
	return &d, nil
}
