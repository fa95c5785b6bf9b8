package sandbox

import (
	"math/big"
	"slices"
	"strconv"
	"strings"
)

// nairaPerDollar is the cross rate of an NGN account. It is invented, and so are the rates of
// country.go; the quick start's 832 NGN = 5.6 AED and EE's 3168.4 NGN = 4.9985 GBP are kept exactly.
const nairaPerDollar = "545"

// operator is one operator as the account sees it: its bounds and its rate are in the account's
// currency.
type operator struct {
	ID                            int64
	Name, Country, CountryName    string
	Fixed, Local, Pin, Email      bool
	Data, Bundle, Combo           bool
	Currency, SenderCurrency      string
	Min, Max, LocalMin, LocalMax  money // zero: null
	FixedAmounts, LocalFixed      []money
	Rate                          *big.Rat // destination units for one account unit
	Discount, LocalDiscount       money    // percent
	FeeFlat, FeePercent           money    // of an order in the account's currency
	LocalFeeFlat, LocalFeePercent money    // of a local order, the flat one in local units
	prefixes                      []string // of national numbers
}

// catalogue is all operators, ordered by id. It never changes, so it needs no lock.
type catalogue struct {
	currency  string
	operators []*operator
	index     map[int64]*operator
}

// newCatalogue builds the catalogue of an account in NGN or USD; any other currency counts as USD.
func newCatalogue(accountCurrency string) *catalogue {
	c := &catalogue{currency: accountCurrency, index: map[int64]*operator{}}
	for _, line := range strings.Split(realOperators, "\n") {
		c.add(parseOperator(line))
	}
	for _, op := range generatedOperators() {
		c.add(op)
	}
	slices.SortFunc(c.operators, func(a, b *operator) int { return int(a.ID - b.ID) })
	return c
}

// add takes an operator in USD, or in the currency SenderCurrency names, into the account's currency.
func (c *catalogue) add(op *operator) {
	factor := new(big.Rat).Quo(unitsPerDollar(c.currency), unitsPerDollar(op.SenderCurrency))
	op.Rate = roundTo10(new(big.Rat).Quo(op.Rate, factor))
	convert := func(m money) money {
		if factor.Cmp(big.NewRat(1, 1)) == 0 {
			return m
		}
		return round5(new(big.Rat).Mul(m.rat(), factor))
	}
	op.Min, op.Max, op.FeeFlat = convert(op.Min), convert(op.Max), convert(op.FeeFlat)
	for i := range op.FixedAmounts {
		op.FixedAmounts[i] = convert(op.FixedAmounts[i])
	}
	op.SenderCurrency = c.currency
	c.operators = append(c.operators, op)
	c.index[op.ID] = op
}

func unitsPerDollar(currency string) *big.Rat {
	if currency == "NGN" {
		return mustRat(nairaPerDollar)
	}
	return big.NewRat(1, 1)
}

// byID is the operator of that id, or nil.
func (c *catalogue) byID(id int64) *operator {
	return c.index[id]
}

// detect is the operator that serves a number, given in international or national digits: the one
// with the longest matching prefix, else the country's first one that sells airtime to phones. Nil
// where there is none.
func (c *catalogue) detect(iso, digits string) *operator {
	_, national, ok := internationalNumber(iso, digits)
	if !ok {
		return nil
	}
	var found *operator
	longest := -1
	for _, op := range c.operators {
		if !strings.EqualFold(op.Country, iso) || op.Pin || op.Email || op.Data || op.Bundle || op.Combo {
			continue
		}
		if longest < 0 {
			found, longest = op, 0
		}
		for _, prefix := range op.prefixes {
			if len(prefix) > longest && strings.HasPrefix(national, prefix) {
				found, longest = op, len(prefix)
			}
		}
	}
	return found
}

// realOperators: id|name|country|flags|account currency|min|max|rate|local min|local max|discount|
// prefixes|fixed amounts|fixed local amounts. Bounds of 1100, 120, 341, 535 and 683 are invented, so
// are all prefixes and Claro Peru's id. Flags: F fixed, L local, P pin, E e-mail.
const realOperators = `1100|Etisalat United Arab Emirates|AE||NGN|150|60000|832=5.6|||5|50,54,56||
173|Digicel Haiti|HT||USD|4|100|121.46|||2|31,34,36,37,38,39,44,46,47,48,49||
174|Natcom Haiti|HT|L|USD|0.50|99.24|131|65|13000|5|22,32,33,35,40,41,42,43,55||
640|Airtel Niger|NE|L|USD|0.20|98.92|505.427002|100|50000|5|||
289|Orange Mali|ML|L|USD|3.90|64.95|505|1967|32800|5|||
88|Movistar Colombia|CO||USD|5|5|2192.1867|||4.42|||
729|168 Thailand|TH|F|USD|||24.39|||0||0.41,0.82,2.04,4.07,8.13,12.19,20.31|
120|Etisalat Egypt|EG|FL|USD|||0.17=5|||0||0.17,0.34,0.85,1.70,3.40|5,10,25,50,100
535|EE PIN England|GB|P|NGN|3168.4|31684|3168.4=4.9985|||2|||
683|Nauta Cuba|CU|E|USD|10|50|25.75|||5|||
341|MTN Nigeria|NG|L|USD|0.10|91.74|545|50|50000|3|||
943|Claro Peru|PE||USD|1|50|3.69|||4|||`

func parseOperator(line string) *operator {
	f := strings.Split(line, "|")
	id, err := strconv.ParseInt(f[0], 10, 64)
	if err != nil {
		panic(err)
	}
	land := countryOf(f[2])
	op := &operator{
		ID: id, Name: f[1], Country: land.iso, CountryName: land.name, Currency: land.currency,
		Fixed: strings.Contains(f[3], "F"), Local: strings.Contains(f[3], "L"),
		Pin: strings.Contains(f[3], "P"), Email: strings.Contains(f[3], "E"),
		SenderCurrency: f[4], Min: optional(f[5]), Max: optional(f[6]),
		LocalMin: optional(f[8]), LocalMax: optional(f[9]), Discount: mustMoney(f[10]),
		FixedAmounts: amounts(f[12]), LocalFixed: amounts(f[13]),
	}
	if f[11] != "" {
		op.prefixes = strings.Split(f[11], ",")
	}
	from, to, pair := strings.Cut(f[7], "=")
	if op.Rate = mustRat(from); pair {
		op.Rate.Quo(mustRat(to), op.Rate)
	}
	return op
}

func optional(text string) money {
	if text == "" {
		return 0
	}
	return mustMoney(text)
}

func amounts(text string) []money {
	var list []money
	if text == "" {
		return nil
	}
	for one := range strings.SplitSeq(text, ",") {
		list = append(list, mustMoney(one))
	}
	return list
}
