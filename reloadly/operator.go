package reloadly

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// Operator is a network, or one of its products, under the provider's own field names.
type Operator struct {
	ID                                int64           `json:"operatorId"` // also comes as id
	Name                              string          `json:"name"`
	Bundle                            bool            `json:"bundle"` // a plan can lack the flag [obs]: prefer DetectOperator
	Data                              bool            `json:"data"`
	Pin                               bool            `json:"pin"`
	ComboProduct                      bool            `json:"comboProduct"`
	SupportsLocalAmounts              bool            `json:"supportsLocalAmounts"`
	SupportsGeographicalRechargePlans bool            `json:"supportsGeographicalRechargePlans"`
	DenominationType                  string          `json:"denominationType"` // RANGE or FIXED
	SenderCurrencyCode                string          `json:"senderCurrencyCode"`
	SenderCurrencySymbol              string          `json:"senderCurrencySymbol"`
	DestinationCurrencyCode           string          `json:"destinationCurrencyCode"`
	DestinationCurrencySymbol         string          `json:"destinationCurrencySymbol"`
	Commission                        Amount          `json:"commission"`
	InternationalDiscount             Amount          `json:"internationalDiscount"` // percent
	LocalDiscount                     Amount          `json:"localDiscount"`         // percent, often 0
	MostPopularAmount                 Amount          `json:"mostPopularAmount"`
	MostPopularLocalAmount            Amount          `json:"mostPopularLocalAmount"`
	MinAmount                         Amount          `json:"minAmount"` // RANGE, in the account's currency
	MaxAmount                         Amount          `json:"maxAmount"`
	LocalMinAmount                    Amount          `json:"localMinAmount"` // in the destination's currency
	LocalMaxAmount                    Amount          `json:"localMaxAmount"`
	Country                           OperatorCountry `json:"country"`
	FX                                FX              `json:"fx"`
	LogoURLs                          []string        `json:"logoUrls"`
	FixedAmounts                      Amounts         `json:"fixedAmounts"` // FIXED sells these only
	FixedAmountsDescriptions          Texts           `json:"fixedAmountsDescriptions"`
	LocalFixedAmounts                 Amounts         `json:"localFixedAmounts"`
	LocalFixedAmountsDescriptions     Texts           `json:"localFixedAmountsDescriptions"`
	SuggestedAmounts                  Amounts         `json:"suggestedAmounts"`
	SuggestedAmountsMap               Texts           `json:"suggestedAmountsMap"` // account amount → local amount
	Fees                              Fees            `json:"fees"`
	// GeographicalRechargePlans and Promotions are as they came.
	GeographicalRechargePlans json.RawMessage `json:"geographicalRechargePlans"`
	Promotions                json.RawMessage `json:"promotions"`
	Status                    string          `json:"status"` // ACTIVE
}

// OperatorCountry is where an operator is.
type OperatorCountry struct {
	ISOName string `json:"isoName"`
	Name    string `json:"name"`
}

// FX is the operator's rate: delivered ≈ amount × Rate; what is delivered can differ [doc].
type FX struct {
	Rate         Amount `json:"rate"`
	CurrencyCode string `json:"currencyCode"`
}

// Fees are what is charged on top: flat amounts and percentages.
type Fees struct {
	International           Amount `json:"international"`
	InternationalPercentage Amount `json:"internationalPercentage"`
	Local                   Amount `json:"local"`
	LocalPercentage         Amount `json:"localPercentage"`
}

// UnmarshalJSON takes the id under either name and fails on a price that is not a number.
func (o *Operator) UnmarshalJSON(b []byte) error {
	*o = Operator{}
	type plain Operator
	wire := struct {
		*plain
		ID         wireID `json:"id"`
		OperatorID wireID `json:"operatorId"`
	}{plain: (*plain)(o)}
	if err := json.Unmarshal(b, &wire); err != nil {
		return err
	}
	o.ID = int64(max(wire.ID, wire.OperatorID))
	if o.ID <= 0 {
		return errors.New("an operator has no id")
	}
	err := readable(o.MinAmount, o.MaxAmount, o.LocalMinAmount, o.LocalMaxAmount, o.FX.Rate,
		o.InternationalDiscount, o.LocalDiscount,
		o.Fees.International, o.Fees.InternationalPercentage, o.Fees.Local, o.Fees.LocalPercentage)
	if err != nil {
		return fmt.Errorf("operator %d: %w", o.ID, err)
	}
	return nil
}

// OperatorFilter asks for kinds of operators and for more about them; nil leaves it to the provider's default.
type OperatorFilter struct {
	IncludeBundles, IncludeData, IncludePin, IncludeCombo *bool
	IncludeRange, IncludeFixed                            *bool
	SuggestedAmounts, SuggestedAmountsMap                 *bool
}

func (f OperatorFilter) values() url.Values {
	v := url.Values{}
	for name, value := range map[string]*bool{
		"includeBundles": f.IncludeBundles, "includeData": f.IncludeData, "includePin": f.IncludePin,
		"includeCombo": f.IncludeCombo, "includeRange": f.IncludeRange, "includeFixed": f.IncludeFixed,
		"suggestedAmounts": f.SuggestedAmounts, "suggestedAmountsMap": f.SuggestedAmountsMap,
	} {
		if value != nil {
			v.Set(name, strconv.FormatBool(*value))
		}
	}
	return v
}

const operatorPageSize = 200 // the provider's default [doc]

// Operators reads all operators, 650 to 1,000 of them [obs].
func (c *Client) Operators(ctx context.Context, f OperatorFilter) ([]Operator, error) {
	return all[Operator](ctx, c, "operators", "/operators", f.values(), operatorPageSize)
}

// OperatorsByCountry reads the operators of a country, by its two-letter ISO code.
func (c *Client) OperatorsByCountry(ctx context.Context, iso string, f OperatorFilter) ([]Operator, error) {
	const op = "operators_by_country"
	if iso == "" {
		return nil, invalidRequest(op, "country code is missing")
	}
	var list []Operator
	_, err := c.get(ctx, op, "/operators/countries/"+segment(iso), f.values(), into(&list))
	return list, err
}

// Operator reads one operator. An id that does not exist is answered with a 503 OPERATOR_UNAVAILABLE… [obs].
func (c *Client) Operator(ctx context.Context, id int64) (*Operator, error) {
	return c.operator(ctx, "operator", fmt.Sprintf("/operators/%d", id))
}

// DetectOperator finds the operator of a number. One that cannot be detected is an *Error with Refused and
// GiveUp; a 500 without a code was seen too [obs], which is Unknown and worth trying later.
func (c *Client) DetectOperator(ctx context.Context, p Phone) (*Operator, error) {
	const op = "detect_operator"
	number := strings.Map(keepDialled, p.Number)
	if p.CountryCode == "" || onlyDigits(number) == "" {
		return nil, invalidRequest(op, "phone needs a country code and a number")
	}
	return c.operator(ctx, op, "/operators/auto-detect/phone/"+segment(number)+"/countries/"+segment(p.CountryCode))
}

// keepDialled leaves digits and the plus, so that a slash in a number cannot become a path.
func keepDialled(r rune) rune {
	if r == '+' || (r >= '0' && r <= '9') {
		return r
	}
	return -1
}

func (c *Client) operator(ctx context.Context, op, path string) (*Operator, error) {
	var o Operator
	if _, err := c.get(ctx, op, path, nil, into(&o)); err != nil {
		return nil, err
	}
	return &o, nil
}
