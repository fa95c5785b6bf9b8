package sandbox

import (
	"encoding/json"
	"math/big"
	"strings"
)

// rateNumber writes a rate as a JSON number without trailing zeros.
func rateNumber(r *big.Rat) json.Number {
	text := r.FloatString(10)
	return json.Number(strings.TrimRight(strings.TrimRight(text, "0"), "."))
}

func nullable(m money) any {
	if m == 0 {
		return nil
	}
	return m
}

func listOf(list []money) []money { return append([]money{}, list...) }

// noDescriptions is what stands where there are no descriptions: {} or [].
func (op *operator) noDescriptions() any {
	if op.ID%2 == 0 {
		return map[string]string{}
	}
	return []any{}
}

func (op *operator) suggested() []money {
	if op.Fixed {
		return []money{}
	}
	list := []money{op.Min}
	for _, n := range []int64{5, 10, 20, 50} {
		if m := money(n) * microsPerUnit; m > op.Min && m < op.Max {
			list = append(list, m)
		}
	}
	return list
}

func (op *operator) suggestedMap() map[string]money {
	m := map[string]money{}
	for _, amount := range op.suggested() {
		m[amount.String()] = round5(new(big.Rat).Mul(amount.rat(), op.Rate))
	}
	return m
}

// view is the operator's JSON.
func (op *operator) view(withSuggested, withMap bool) map[string]any {
	kind := "RANGE"
	if op.Fixed {
		kind = "FIXED"
	}
	v := map[string]any{
		"id": op.ID, "operatorId": op.ID, "name": op.Name, "bundle": op.Bundle, "data": op.Data,
		"pin": op.Pin, "comboProduct": op.Combo, "supportsLocalAmounts": op.Local,
		"supportsGeographicalRechargePlans": false, "denominationType": kind,
		"senderCurrencyCode": op.SenderCurrency, "senderCurrencySymbol": symbolOf(op.SenderCurrency),
		"destinationCurrencyCode": op.Currency, "destinationCurrencySymbol": symbolOf(op.Currency),
		"commission": op.Discount, "internationalDiscount": op.Discount, "localDiscount": op.LocalDiscount,
		"mostPopularAmount": nil, "mostPopularLocalAmount": nil,
		"minAmount": nullable(op.Min), "maxAmount": nullable(op.Max),
		"localMinAmount": nullable(op.LocalMin), "localMaxAmount": nullable(op.LocalMax),
		"country":  map[string]any{"isoName": op.Country, "name": op.CountryName},
		"fx":       map[string]any{"rate": rateNumber(op.Rate), "currencyCode": op.Currency},
		"logoUrls": []string{}, "fixedAmounts": listOf(op.FixedAmounts),
		"fixedAmountsDescriptions": op.noDescriptions(), "localFixedAmounts": listOf(op.LocalFixed),
		"localFixedAmountsDescriptions": op.noDescriptions(),
		"suggestedAmounts":              []money{}, "suggestedAmountsMap": map[string]money{},
		"fees": map[string]any{
			"international": op.FeeFlat, "internationalPercentage": op.FeePercent,
			"local": op.LocalFeeFlat, "localPercentage": op.LocalFeePercent,
		},
		"geographicalRechargePlans": []any{}, "promotions": []any{}, "status": "ACTIVE",
	}
	if withSuggested {
		v["suggestedAmounts"] = op.suggested()
	}
	if withMap {
		v["suggestedAmountsMap"] = op.suggestedMap()
	}
	return v
}

func (op *operator) commissionView() map[string]any {
	return map[string]any{
		"operator": map[string]any{
			"id": op.ID, "operatorId": op.ID, "name": op.Name, "countryCode": op.Country,
			"data": op.Data, "bundle": op.Bundle, "status": true,
		},
		"percentage": op.Discount, "internationalPercentage": op.Discount,
		"localPercentage": op.LocalDiscount, "updatedAt": "2026-09-01 00:00:00",
	}
}

func (c *country) view() map[string]any {
	return map[string]any{
		"isoName": c.iso, "name": c.name, "currencyCode": c.currency, "currencyName": c.currencyName,
		"currencySymbol": c.symbol, "callingCodes": []string{"+" + c.calling},
		"flag": "https://s3.amazonaws.com/rld-flags/" + strings.ToLower(c.iso) + ".svg",
	}
}
