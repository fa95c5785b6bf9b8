package sandbox

import (
	"fmt"
	"math/big"
	"strconv"
)

const (
	firstGeneratedID = 2001
	generatedPerLand = 6
)

var brands = []string{"Astra", "Borea", "Cirrus", "Delta", "Echo", "Fathom", "Girafe"}

// generatedOperators are the invented rest of the catalogue: six of every country, in every shape.
func generatedOperators() []*operator {
	var list []*operator
	id := int64(firstGeneratedID)
	for i := range countries {
		for shape := range generatedPerLand {
			list = append(list, generate(id, &countries[i], shape, brands[(i+shape)%len(brands)]))
			id++
		}
	}
	return list
}

// generate makes one operator: a range with local amounts, a range without, fixed amounts with local
// ones, a data bundle, a PIN, and a combination with a percentage fee.
func generate(id int64, land *country, shape int, brand string) *operator {
	op := &operator{
		ID: id, Name: brand + " " + land.name, Country: land.iso, CountryName: land.name,
		Currency: land.currency, SenderCurrency: "USD", Rate: mustRat(land.perUSD),
		Discount: money(id%9) * microsPerUnit, // 0 to 8 %
	}
	localOf := func(m money) money { return round5(new(big.Rat).Mul(m.rat(), op.Rate)) }
	fixed := func(units ...int64) {
		op.Fixed = true
		for _, n := range units {
			op.FixedAmounts = append(op.FixedAmounts, money(n)*microsPerUnit)
		}
	}
	switch shape {
	case 0:
		op.Local, op.Min, op.Max = true, 1*microsPerUnit, 60*microsPerUnit
		op.LocalMin, op.LocalMax = localOf(op.Min), localOf(op.Max)
	case 1:
		op.Min, op.Max = 2*microsPerUnit, 80*microsPerUnit
		op.prefixes = []string{strconv.FormatInt(id%9+1, 10)}
	case 2:
		fixed(1, 2, 5, 10, 20)
		op.Local = true
		for _, m := range op.FixedAmounts {
			op.LocalFixed = append(op.LocalFixed, localOf(m))
		}
	case 3:
		fixed(3, 7, 15)
		op.Data, op.Bundle, op.Name = true, true, op.Name+" Data"
	case 4:
		fixed(5, 10, 25)
		op.Pin, op.Name = true, fmt.Sprintf("%s PIN %s", brand, land.name)
	case 5:
		op.Min, op.Max, op.Combo, op.Name = 1*microsPerUnit, 40*microsPerUnit, true, op.Name+" Combo"
		op.FeePercent, op.FeeFlat = 2*microsPerUnit, microsPerUnit/10
	}
	if countryHasReal(land.iso) {
		op.prefixes = nil // its real operators serve its numbers
	}
	return op
}

func countryHasReal(iso string) bool {
	switch iso {
	case "AE", "HT", "NE", "ML", "CO", "TH", "EG", "NG", "PE":
		return true
	}
	return false
}
