package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/govalues/decimal"
)

// bookLine is a line of the simulator's ledger file, as far as money is concerned. It
// is read by code of our own, so that a mistake of the simulator's cannot hide itself.
type bookLine struct {
	Kind        string
	Time        time.Time
	Amount      decimal.Decimal
	Transaction int64 `json:"transactionId"`
	Execution   *execution
}

// execution is one top-up that was carried out, whatever its client was told.
type execution struct {
	At          time.Time
	Transaction int64  `json:"transactionId"`
	Identifier  string `json:"customIdentifier"`
	Phone       string
	Requested   decimal.Decimal
	Discount    decimal.Decimal
	Fee         decimal.Decimal
	Cost        decimal.Decimal
	Status      string
	Later       string // the status in the end, where it changes
	reversed    bool
}

// paid says whether the top-up is paid for in the end.
func (e *execution) paid() bool {
	status := e.Status
	if e.Later != "" {
		status = e.Later
	}
	return !e.reversed && !returned(status)
}

// debited says whether it ever was.
func (e *execution) debited() bool {
	return !returned(e.Status) || e.Later != "" && !returned(e.Later)
}

func returned(status string) bool { return status == "FAILED" || status == "REFUNDED" }

// books are what the simulator wrote down of a run.
type books struct {
	start      decimal.Decimal
	refills    decimal.Decimal
	executions []*execution
	requests   []request
}

// readBooks reads both files of the simulator.
func readBooks(sim *simulator) (*books, error) {
	b := &books{}
	byTransaction := map[int64]*execution{}
	err := eachLine(sim.ledger, func(text []byte) error {
		var line bookLine
		if err := json.Unmarshal(text, &line); err != nil {
			return err
		}
		var err error
		switch line.Kind {
		case "open":
			b.start = line.Amount
		case "refill":
			b.refills, err = b.refills.Add(line.Amount)
		case "execution":
			b.executions = append(b.executions, line.Execution)
			byTransaction[line.Execution.Transaction] = line.Execution
		case "reverse":
			byTransaction[line.Transaction].reversed = true
		case "burn":
		default:
			return fmt.Errorf("a line of kind %q", line.Kind)
		}
		return err
	})
	return b, errors.Join(err, eachLine(sim.journal, func(text []byte) error {
		var r request
		if err := json.Unmarshal(text, &r); err != nil {
			return err
		}
		b.requests = append(b.requests, r)
		return nil
	}))
}

// eachLine reads the whole lines of a file; one that is still being written is left.
func eachLine(name string, f func([]byte) error) error {
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }() // only read
	reader := bufio.NewReader(file)
	for n := 1; ; n++ {
		text, err := reader.ReadBytes('\n')
		if err != nil {
			return nil // the end, or half a line
		}
		if err := f(text); err != nil {
			return fmt.Errorf("%s:%d: %w", name, n, err)
		}
	}
}
