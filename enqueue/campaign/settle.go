package campaign

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/govalues/decimal"

	"example.com/topup/enqueue"
)

var (
	settleScript = newScript("settle")
	reopenScript = newScript("reopen")
)

// errReply is a bug or another program's script.
var errReply = errors.New("unexpected reply of a script")

// maxSettle is how many rows one script settles.
const maxSettle = 500

// The codes of rows that never became jobs of their own.
const (
	CodeConflict  = "CONFLICT"   // the job's id belongs to another top-up
	CodeInvalid   = "INVALID"    // the ledger refused it as a job
	CodeExpiredID = "EXPIRED_ID" // the job's id was used long ago, and only how that ended is known
)

// Settled is what became of an open row's job, or of one that was in review.
type Settled struct {
	Open
	State    enqueue.State
	Code     string
	Currency string          // of Debited; empty where nothing was debited, or it is not known
	Debited  decimal.Decimal // what the account paid
}

// End is how a row ended that did not succeed.
type End struct {
	State enqueue.State
	Code  string
}

// Settle counts what became of rows, each once: what was read under an older mark, or
// is settled already, counts no more. A row whose job needs a person goes into review,
// and comes back from there.
func (s *Store) Settle(ctx context.Context, name string, rows []Settled) error {
	for from := 0; from < len(rows); from += maxSettle {
		args := make([]any, 0, 6*maxSettle)
		for _, r := range rows[from:min(from+maxSettle, len(rows))] {
			currency, units := unitsOf(money{r.Currency, r.Debited})
			args = append(args, r.Row, r.Mark, string(r.State), shortCode(r.Code), currency, units)
		}
		if err := settleScript.Run(ctx, s.rdb, s.keys(name), args...).Err(); err != nil {
			return fmt.Errorf("campaign %s: settle rows: %w", name, err)
		}
	}
	return nil
}

// shortCode is what a counter is named after: the provider's codes are its own.
func shortCode(code string) string { return code[:min(len(code), 64)] }

// moneyScale is the number of decimals in which sums are kept.
const moneyScale = 5

// moneyUnits is an amount in units of 1e-5; false where it does not fit.
func moneyUnits(d decimal.Decimal) (int64, bool) {
	whole, fraction, ok := d.Int64(moneyScale)
	const unit = 100_000
	if !ok || whole > (1<<62)/unit || whole < -(1<<62)/unit {
		return 0, false
	}
	return whole*unit + fraction, true
}

// unitsOf is what a script adds up: nothing where it does not fit.
func unitsOf(m money) (currency string, units int64) {
	if m.currency == "" {
		return "", 0
	}
	units, ok := moneyUnits(m.amount)
	if !ok {
		return "", 0
	}
	return m.currency, units
}

// moneyText is an amount from its units.
func moneyText(units int64) string {
	d, err := decimal.New(units, moneyScale)
	if err != nil { // nineteen digits always fit
		return strconv.FormatInt(units, 10) + "e-5"
	}
	return d.Trim(0).String()
}

// Reopen makes rows open again whose jobs failed or were refunded and are sent again.
// Rows that are open, or did not fail, stay as they are. A job counts as failed as long
// as it is: call this after [enqueue.Ledger.Resend]. What [Store.Settle] is told counts no more
// where it was read before.
func (s *Store) Reopen(ctx context.Context, name string, rows []int) error {
	list := make([]counted, len(rows))
	for i, row := range rows {
		list[i].row = row
	}
	return s.reopen(ctx, name, true, list)
}

// counted is a row whose count is taken back.
type counted struct {
	row  int
	paid bool // it may be counted as succeeded, and then with this amount
	cost money
}

// money is an amount that was debited; without a currency it is none.
type money struct {
	currency string
	amount   decimal.Decimal
}

// reopen takes back how rows were counted. sending is for jobs that are to be sent again,
// which those of a cancelled campaign are not.
func (s *Store) reopen(ctx context.Context, name string, sending bool, rows []counted) error {
	c, err := s.Find(ctx, name)
	if err != nil {
		return err
	}
	if err := s.activate(ctx, name); err != nil {
		return err
	}
	for some := range slices.Chunk(rows, maxSettle) {
		args := []any{sending}
		for _, r := range some {
			currency, units := unitsOf(r.cost)
			args = append(args, r.row, r.paid, currency, units)
		}
		opened, err := reopenScript.Run(ctx, s.rdb, s.keysOf(c), args...).Int()
		if err != nil {
			return fmt.Errorf("campaign %s: open rows again: %w", name, err)
		}
		if opened < 0 {
			return fmt.Errorf("campaign %s: %w", name, ErrCancelled)
		}
	}
	return s.activate(ctx, name) // its name may have been taken away meanwhile
}

// integers reads the numbers of a script's reply.
func integers(reply []any) ([]int64, error) {
	out := make([]int64, len(reply))
	for i, value := range reply {
		switch v := value.(type) {
		case int64:
			out[i] = v
		case string:
			n, err := strconv.ParseInt(v, 10, 64)
			if err != nil {
				return nil, errReply
			}
			out[i] = n
		default:
			return nil, errReply
		}
	}
	return out, nil
}
