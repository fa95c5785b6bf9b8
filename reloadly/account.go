package reloadly

import (
	"context"
	"errors"

	"github.com/govalues/decimal"
)

// Balance is the account's money.
type Balance struct {
	Balance      decimal.Decimal
	CurrencyCode string
	CurrencyName string
	UpdatedAt    string // without a zone
}

// Balance reads the account's balance. It is also the probe of an account on hold: it costs nothing.
func (c *Client) Balance(ctx context.Context) (*Balance, error) {
	var wire struct {
		Balance      Amount   `json:"balance"`
		CurrencyCode wireText `json:"currencyCode"`
		CurrencyName wireText `json:"currencyName"`
		UpdatedAt    wireText `json:"updatedAt"`
	}
	_, err := c.get(ctx, "balance", "/accounts/balance", nil, func(ans answer) error {
		if err := into(&wire)(ans); err != nil {
			return err
		}
		if !wire.Balance.Valid {
			return errors.New("the answer has no balance")
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &Balance{
		Balance: wire.Balance.Decimal, CurrencyCode: wire.CurrencyCode.text,
		CurrencyName: wire.CurrencyName.text, UpdatedAt: wire.UpdatedAt.text,
	}, nil
}

// Country is a country that can be topped up.
type Country struct {
	ISOName        string   `json:"isoName"`
	Name           string   `json:"name"`
	Continent      string   `json:"continent"`
	CurrencyCode   string   `json:"currencyCode"`
	CurrencyName   string   `json:"currencyName"`
	CurrencySymbol string   `json:"currencySymbol"`
	Flag           string   `json:"flag"`
	CallingCodes   []string `json:"callingCodes"`
}

// Countries reads all countries.
func (c *Client) Countries(ctx context.Context) ([]Country, error) {
	var list []Country
	_, err := c.get(ctx, "countries", "/countries", nil, into(&list))
	return list, err
}

// Country reads one country by its two-letter ISO code.
func (c *Client) Country(ctx context.Context, iso string) (*Country, error) {
	const op = "country"
	if iso == "" {
		return nil, invalidRequest(op, "country code is missing")
	}
	var country Country
	if _, err := c.get(ctx, op, "/countries/"+segment(iso), nil, into(&country)); err != nil {
		return nil, err
	}
	return &country, nil
}
