package campaign

import (
	"strings"

	"github.com/bojanz/currency"
)

// readUnit reads local, sender or an ISO 4217 code. Whether the code is one of the two
// currencies of the row is for the quote to say, which knows the operator.
func readUnit(cell string) (Unit, *fault) {
	const fix = "(write local, sender or an ISO 4217 code such as NGN)"
	if cell == "" {
		return "", &fault{"currency_empty", "the currency is missing (an empty cell is never filled in; write local, sender or an ISO 4217 code)"}
	}
	switch unit := Unit(strings.ToLower(cell)); unit {
	case Local, Sender:
		return unit, nil
	}
	if code := strings.ToUpper(cell); len(cell) == 3 && currency.IsValid(code) {
		return Unit(code), nil
	}
	return "", &fault{"currency_unknown", quoted(cell) + " is not a currency " + fix}
}

// readIsLocal reads the answer to "is the amount local?".
func readIsLocal(cell string) (Unit, *fault) {
	switch strings.ToLower(cell) {
	case "1", "true", "yes", "y":
		return Local, nil
	case "0", "false", "no", "n":
		return Sender, nil
	case "":
		return "", &fault{"currency_empty", "whether the amount is local is not said (an empty cell is never filled in; write true for the destination's currency, false for the account's)"}
	}
	return "", &fault{"currency_boolean", quoted(cell) + " does not say whether the amount is local (write true for the destination's currency, false for the account's)"}
}
