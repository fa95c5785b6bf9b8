package campaign

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode"

	"github.com/bojanz/currency"
	"github.com/govalues/decimal"

	"example.com/topup/enqueue"
)

// fault is what is wrong with a cell: the code and the message of its problem.
type fault struct{ code, message string }

// Forms of amounts that are damaged in a way of which the repair can be told.
var (
	exponent       = regexp.MustCompile(`^[+-]?[0-9]+([.,][0-9]*)?[eE][+-]?[0-9]+$`)
	decimalComma   = regexp.MustCompile(`^[0-9]+,([0-9]{1,2}|[0-9]{4,5})$`)
	threeAfter     = regexp.MustCompile(`^[1-9][0-9]{0,2},[0-9]{3}$`)
	commaGrouping  = regexp.MustCompile(`^[0-9]{1,3}(,[0-9]{2,3})+(\.[0-9]+)?$`)
	pointGrouping  = regexp.MustCompile(`^[0-9]{1,3}(\.[0-9]{3})+(,[0-9]+)?$`)
	otherGrouping  = regexp.MustCompile(`^[0-9]{1,3}([' _’\x{00a0}\x{2007}\x{2009}\x{202f}][0-9]{3})+([.,][0-9]+)?$`)
	letterO        = regexp.MustCompile(`^[0-9.]*[oO][0-9oO.]*$`)
	letterL        = regexp.MustCompile(`^[0-9.]*[lI|][0-9lI|.]*$`)
	trailingMinus  = regexp.MustCompile(`[0-9]\s*-$`)
	brackets       = regexp.MustCompile(`^\([0-9.,]+\)$`)
	sheetError     = regexp.MustCompile(`^#[A-Z0-9/]+[!?]?$|^#+$`)
	codeAndDigits  = regexp.MustCompile(`(?i)^([a-z]{3})\s*[0-9.,]+$|^[0-9.,]+\s*([a-z]{3})$`)
	threeDecimals  = regexp.MustCompile(`^[1-9][0-9]{0,2}\.[0-9]{3}$`)
	notANumberWord = regexp.MustCompile(`(?i)^[+-]?(nan|inf|infinity)$`)
)

// readAmount reads a trimmed cell by the rule of [enqueue.ParseAmount] and more than
// zero. What is refused gets the hint that fits its damage.
func readAmount(cell string) (decimal.Decimal, *fault) {
	amount, err := enqueue.ParseAmount(cell)
	switch {
	case err != nil:
		return decimal.Decimal{}, amountFault(cell, err)
	case amount.Sign() <= 0:
		return decimal.Decimal{}, &fault{"amount_zero", "the amount is zero (give an amount greater than 0, or take the row out)"}
	}
	return amount, nil
}

func amountFault(cell string, err error) *fault {
	is := func(code, what string) *fault {
		return &fault{code, quoted(cell) + " " + what}
	}
	const plain = "write digits and a decimal point, such as 10.50"
	switch {
	case cell == "":
		return &fault{"amount_empty", "the amount is missing (give it, or take the row out; an empty cell is never filled in)"}
	case sheetError.MatchString(cell):
		return is("amount_sheet_error", "is an error of the spreadsheet (repair the formula, or widen the column, and export again)")
	case exponent.MatchString(cell):
		return is("amount_exponent", "has an exponent (format the column as a number without exponent and export again)")
	case threeAfter.MatchString(cell):
		return is("amount_comma", fmt.Sprintf("has a comma (write %s if it groups thousands, %s if it is a decimal comma)", strings.ReplaceAll(cell, ",", ""), strings.ReplaceAll(cell, ",", ".")))
	case decimalComma.MatchString(cell):
		return is("amount_comma", fmt.Sprintf("has a decimal comma (write %s)", strings.ReplaceAll(cell, ",", ".")))
	case commaGrouping.MatchString(cell):
		return is("amount_grouping", fmt.Sprintf("groups its digits (write %s)", strings.ReplaceAll(cell, ",", "")))
	case pointGrouping.MatchString(cell):
		return is("amount_grouping", fmt.Sprintf("groups its digits (write %s)", strings.ReplaceAll(strings.ReplaceAll(cell, ".", ""), ",", ".")))
	case otherGrouping.MatchString(cell):
		return is("amount_grouping", "groups its digits ("+plain+")")
	case strings.HasPrefix(cell, "-"), strings.HasPrefix(cell, "−"), trailingMinus.MatchString(cell), brackets.MatchString(cell):
		return is("amount_negative", "is negative (give an amount greater than 0, or take the row out)")
	case strings.HasPrefix(cell, "+"):
		return is("amount_sign", "has a sign (write the number alone)")
	case strings.HasPrefix(cell, "="):
		return is("amount_formula", "is a formula (export the values, not the formulas)")
	case notANumberWord.MatchString(cell):
		return is("amount_not_number", "is not a number ("+plain+")")
	case letterO.MatchString(cell):
		return is("amount_letter", "is not a number (is that a letter O?)")
	case letterL.MatchString(cell):
		return is("amount_letter", "is not a number (is that a letter l or I for a 1?)")
	case strings.ContainsFunc(cell, func(r rune) bool { return unicode.Is(unicode.Sc, r) }), hasCurrencyCode(cell):
		return is("amount_currency", "names a currency (write the number alone, and the currency into its own column)")
	case strings.ContainsFunc(cell, func(r rune) bool { return r > unicode.MaxASCII && unicode.IsDigit(r) }):
		return is("amount_digits", "has digits other than 0 to 9 ("+plain+")")
	case strings.ContainsRune(cell, ','):
		return is("amount_comma", "has a comma ("+plain+" and no grouping)")
	}
	var field *enqueue.FieldError
	if errors.As(err, &field) {
		switch field.Problem { // what is left of ParseAmount's own refusals
		case "has more than five decimals":
			return is("amount_decimals", field.Problem+" ("+field.Fix+")")
		case "is too large":
			return is("amount_too_large", field.Problem+" ("+field.Fix+")")
		}
	}
	return is("amount_not_number", "is not a number ("+plain+")")
}

func hasCurrencyCode(cell string) bool {
	m := codeAndDigits.FindStringSubmatch(cell)
	return m != nil && currency.IsValid(strings.ToUpper(m[1]+m[2]))
}
