package campaign

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode"

	"github.com/nyaruka/phonenumbers"
)

// phone is a number that can be called, as far as anybody knows without calling it.
type phone struct {
	e164, national, country string
	doubt                   *fault // it is possible, but no number of the country looks like it
}

// key is the number as an integer: E.164 has at most 15 digits and begins with none of
// the zeros that an integer would lose.
func (p phone) key() uint64 {
	return phoneDigitsOf(p.e164)
}

// regions are the countries that have phone numbers.
var regions = phonenumbers.GetSupportedRegions()

// readPhone reads a trimmed cell. country is the row's, in capitals, or empty. Digits
// without a plus are national where there is a country, or begin with the code of that
// same country; without a country they have to begin with a code. If two readings are
// both numbers, neither is taken.
func readPhone(cell, country string) (phone, *fault) {
	digits, plus, wrong := phoneDigits(cell)
	switch {
	case wrong != nil:
		return phone{}, wrong
	case plus:
		return callable("+"+digits, "", country)
	case country == "":
		p, wrong := callable("+"+digits, "", "")
		if wrong != nil || p.doubt != nil {
			return phone{}, &fault{"phone_country_missing", "the number is no number with a country code in front (write + and the country code, or give the row a country)"}
		}
		return p, nil
	}
	national, wrongNational := callable(digits, country, country)
	if !strings.HasPrefix(digits, strconv.Itoa(phonenumbers.GetCountryCodeForRegion(country))) {
		return national, wrongNational
	}
	full, wrongFull := callable("+"+digits, "", country)
	switch {
	case wrongFull != nil:
		return national, wrongNational
	case wrongNational != nil:
		return full, nil
	case national.e164 == full.e164:
		return national, nil
	case full.doubt != nil && national.doubt == nil:
		return national, nil
	case national.doubt != nil && full.doubt == nil:
		return full, nil
	}
	return phone{}, &fault{"phone_ambiguous", "the number can be read with and without its country code (write + and the country code)"}
}

var extension = regexp.MustCompile(`(?i)[0-9)\s;,]\s*(x|ext|extn|extension|poste|;ext=|#)\.?\s*:?[0-9]{1,7}$`)

// phoneDigits takes off what people write between digits, and 00 or + in front. Anything
// else is refused: phonenumbers would read letters as keys and drop the rest.
func phoneDigits(cell string) (digits string, plus bool, wrong *fault) {
	b := make([]byte, 0, 20)
	for i, r := range cell {
		switch {
		case r >= '0' && r <= '9':
			b = append(b, byte(r))
		case r == '+' && !plus && len(b) == 0:
			plus = true
		case r == '(', r == ')', r == '-' && i > 0, unicode.Is(unicode.Zs, r):
		default:
			return "", false, phoneFault(cell, r)
		}
	}
	if !plus && len(b) > 2 && b[0] == '0' && b[1] == '0' {
		b, plus = b[2:], true
	}
	switch {
	case cell == "":
		return "", false, &fault{"phone_empty", "the phone number is missing (give it, or take the row out)"}
	case len(b) == 0:
		return "", false, &fault{"phone_characters", "the number has no digits (give a phone number)"}
	case len(b) > 20:
		return "", false, &fault{"phone_length", fmt.Sprintf("the number has %d digits, more than any phone number (is it two numbers in one cell?)", len(b))}
	}
	return string(b), plus, nil
}

// phoneFault tells what kind of damage the character r in the cell is.
func phoneFault(cell string, r rune) *fault {
	switch {
	case exponent.MatchString(cell):
		return &fault{"phone_exponent", quoted(cell) + " lost its digits to an exponent (format the column as text and export from the source again)"}
	case sheetError.MatchString(cell):
		return &fault{"phone_sheet_error", quoted(cell) + " is an error of the spreadsheet (repair the formula, or widen the column, and export again)"}
	case extension.MatchString(cell):
		return &fault{"phone_extension", "the number has an extension (a top-up goes to a number of its own)"}
	case r == '.' || r == ',' && strings.Count(cell, ",") == 1 && strings.Trim(cell, "+0123456789,") == "":
		return &fault{"phone_decimal", "the number has a decimal point (format the column as text, and use blanks or - between digits)"}
	case r == '/' || r == ';' || r == ',' || r == '\n':
		return &fault{"phone_several", "the number looks like several numbers in one cell (give each a row of its own)"}
	case r == '\'' && strings.IndexByte(cell, '\'') == 0:
		return &fault{"phone_characters", "the number has an apostrophe in front, by which a spreadsheet keeps it as text (take it off)"}
	case r == '+' || r == '-':
		return &fault{"phone_sign", fmt.Sprintf("the number has a %c in a wrong place (write + once, in front of the country code)", r)}
	case unicode.IsLetter(r) && !strings.ContainsFunc(cell, unicode.IsDigit):
		return &fault{"phone_letters", "the cell has no digits (is the row a total or a note? then take it out)"}
	case unicode.IsLetter(r):
		return &fault{"phone_letters", fmt.Sprintf("the number has the letter %q (write digits alone)", r)}
	case unicode.IsDigit(r):
		return &fault{"phone_digits", fmt.Sprintf("the number has the digit %q (write the digits 0 to 9)", r)}
	}
	return &fault{"phone_characters", fmt.Sprintf("the number has the character %+q, which is no part of a phone number (type the number again)", r)}
}

// callable asks phonenumbers for a number of digits, with a plus or of the region, and
// checks that it belongs to the country, if there is one.
func callable(number, region, country string) (phone, *fault) {
	var n phonenumbers.PhoneNumber
	if err := phonenumbers.ParseToNumber(number, region, &n); err != nil {
		if strings.HasPrefix(number, "+") && !knownCode(number[1:]) {
			return phone{}, &fault{"phone_code", "the number begins with no country's code (write + and the country code, or the national number and a country)"}
		}
		return phone{}, &fault{"phone_length", "the number is too short or too long for a phone number (are digits missing?)"}
	}
	code := int(n.GetCountryCode())
	p := phone{national: phonenumbers.GetNationalSignificantNumber(&n), country: country}
	p.e164 = "+" + strconv.Itoa(code) + p.national
	disagrees := func(with string) *fault {
		return &fault{"phone_country", fmt.Sprintf("the number belongs to %s, and the row says %s (correct the one that is wrong)", with, country)}
	}
	if country != "" && phonenumbers.GetCountryCodeForRegion(country) != code {
		return phone{}, disagrees("+" + strconv.Itoa(code))
	}
	if country == "" {
		p.country = phonenumbers.GetRegionCodeForNumber(&n)
	}
	if p.country != "" && regions[p.country] && len(p.e164) <= 16 && len(p.national) >= 4 && phonenumbers.IsValidNumberForRegion(&n, p.country) {
		return p, nil
	}
	if phonenumbers.IsPossibleNumberWithReason(&n) != phonenumbers.IS_POSSIBLE || len(p.e164) > 16 || len(p.national) < 4 {
		return phone{}, &fault{"phone_length", fmt.Sprintf("the number has %d digits after the code +%d, which no number there has (are digits missing?)", len(p.national), code)}
	}
	if !regions[p.country] { // none, or 001: a number of satellites and services
		return phone{}, &fault{"phone_country_missing", fmt.Sprintf("the number belongs to no country that is known, though +%d exists (correct it, or give the row a country)", code)}
	}
	if country != "" {
		if other := phonenumbers.GetRegionCodeForNumber(&n); other != "" && other != country && phonenumbers.IsValidNumberForRegion(&n, other) {
			return phone{}, disagrees(other)
		}
	}
	p.doubt = &fault{"phone_invalid", fmt.Sprintf("the number has a possible length, but no number of %s looks like it (check it)", p.country)}
	return p, nil
}

func knownCode(digits string) bool {
	codes := phonenumbers.GetSupportedCallingCodes()
	for i := 1; i <= min(3, len(digits)); i++ {
		if code, err := strconv.Atoi(digits[:i]); err == nil && digits[0] != '0' && codes[code] {
			return true
		}
	}
	return false
}

// readCountry reads an ISO 3166 alpha-2 code; an empty cell is no country.
func readCountry(cell string) (string, *fault) {
	if cell == "" {
		return "", nil
	}
	country := strings.ToUpper(cell)
	switch {
	case len(country) == 2 && regions[country]:
		return country, nil
	case country == "UK":
		return "", &fault{"country_unknown", `"UK" is not a code of ISO 3166 (write GB)`}
	case strings.Trim(country, "+0123456789") == "":
		return "", &fault{"country_unknown", quoted(cell) + " is a calling code (write two letters of ISO 3166, such as NG)"}
	}
	return "", &fault{"country_unknown", quoted(cell) + " is not a country (write two letters of ISO 3166, such as NG)"}
}
