package sandbox

import (
	"errors"
	"fmt"
	"time"
)

// Totals are the account's money since its beginning, plain decimals: Start + Refills + Refunds − Debits
// is Balance.
type Totals struct {
	Currency string `json:"currency"`
	Start    string `json:"start"`
	Refills  string `json:"refills"` // less than 0 where the balance was set lower
	Debits   string `json:"debits"`
	Refunds  string `json:"refunds"` // of what FAILED or was REFUNDED after its debit
	Balance  string `json:"balance"`
	PaidCost string `json:"paidCost"` // of the executions that are paid now: Debits − Refunds
	// Executions and Paid count top-ups; Identifiers counts those of the paid ones, so that one paid twice
	// makes it less than Paid.
	Executions  int `json:"executions"`
	Paid        int `json:"paid"`
	Identifiers int `json:"identifiers"`
}

// Totals sums up the account.
func (s *Simulator) Totals() Totals {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	s.settle(now)
	t := Totals{
		Currency: s.currency, Start: s.start.String(), Refills: s.refills.String(), Debits: s.debits.String(),
		Refunds: s.refunds.String(), Balance: s.balance.String(), Executions: len(s.records),
	}
	identifiers := map[string]bool{}
	var cost money
	for _, r := range s.records {
		if !r.paid(now) {
			continue
		}
		t.Paid++
		cost += money(r.Cost)
		if r.Identifier == "" {
			t.Identifiers++ // nothing says that two of them are one
		} else {
			identifiers[r.Identifier] = true
		}
	}
	t.PaidCost = cost.String()
	t.Identifiers += len(identifiers)
	return t
}

// Audit compares the sums with the executions, one by one.
func (s *Simulator) Audit() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	s.settle(now)
	var debited, kept money
	for _, r := range s.records {
		if r.debited(now) {
			debited += money(r.Cost)
		}
		if r.paid(now) {
			kept += money(r.Cost)
		}
	}
	var errs []error
	if spent := s.start + s.refills + s.refunds - s.balance; spent != debited || s.debits != debited {
		errs = append(errs, fmt.Errorf("sandbox: %s left the balance, in debits of %s, but the executions were debited %s", spent, s.debits, debited))
	}
	if spent := s.start + s.refills - s.balance; spent != kept {
		errs = append(errs, fmt.Errorf("sandbox: %s was spent, but the paid executions cost %s", spent, kept))
	}
	return errors.Join(errs...)
}

// debited says whether money has left the account for a record, be it back again or not.
func (r *record) debited(now time.Time) bool {
	return !returned(r.First) || r.Later != "" && !returned(r.Later) && !now.Before(r.Due)
}
