package sandbox

import "strings"

// internationalNumber reads a number of a country the way Reloadly does: national or international,
// with a plus, with spaces and dashes. A trunk zero is taken off where the country has one and refused
// where it has none; 00 is understood in some countries only.
func internationalNumber(iso, number string) (digits, national string, ok bool) {
	c := countryOf(iso)
	if c == nil {
		return "", "", false
	}
	number, plus := strings.CutPrefix(strings.TrimSpace(number), "+")
	number = strings.Map(func(r rune) rune {
		if strings.ContainsRune(" -.()\u00a0", r) {
			return -1
		}
		return r
	}, number)
	if number == "" || !onlyDigits(number) {
		return "", "", false
	}
	if rest, found := strings.CutPrefix(number, "00"); found && !plus && c.doubleZero {
		number, plus = rest, true
	}
	rest, hasCode := strings.CutPrefix(number, c.calling)
	switch {
	case plus && !hasCode:
		return "", "", false
	case plus:
		national, ok = c.national(rest)
	default:
		if national, ok = c.national(number); !ok && hasCode {
			national, ok = c.national(rest)
		}
	}
	if !ok {
		return "", "", false
	}
	return c.calling + national, national, true
}

// national checks a national number and takes off its trunk zero.
func (c *country) national(number string) (string, bool) {
	if strings.HasPrefix(number, "0") {
		switch c.zero {
		case zeroTrunk:
			number = number[1:]
		case zeroNone:
			return "", false
		case zeroPart:
		}
	}
	return number, len(number) >= c.minDigits && len(number) <= c.maxDigits
}
