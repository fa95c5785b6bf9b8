package main

import (
	"errors"
	"strconv"

	"example.com/topup/enqueue"
	"example.com/topup/reloadly"
)

// A flag that guards money refuses what is no limit, such as the empty variable of a script:
// without the guard the file would be loaded.

// amountFlag lets pflag read an amount greater than 0.
type amountFlag struct{ to *reloadly.Amount }

func (f amountFlag) String() string { return "" } // none of them has a default
func (f amountFlag) Type() string   { return "amount" }

func (f amountFlag) Set(text string) error {
	amount, err := enqueue.ParseAmount(text)
	if err != nil {
		return err
	}
	if amount.Sign() <= 0 {
		return errors.New("give an amount greater than 0")
	}
	*f.to = reloadly.NewAmount(amount)
	return nil
}

// countFlag lets pflag read a number of rows, 1 or more.
type countFlag struct{ to *int }

func (f countFlag) Type() string { return "rows" }

func (f countFlag) String() string {
	if f.to == nil || *f.to == 0 { // pflag asks the zero value too
		return ""
	}
	return strconv.Itoa(*f.to)
}

func (f countFlag) Set(text string) error {
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return errors.New("give a whole number greater than 0")
	}
	*f.to = n
	return nil
}
