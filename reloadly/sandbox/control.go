package sandbox

import (
	"fmt"
	"slices"
)

// Overlaps are the identifiers that had two POSTs in flight at once, one entry for each time.
func (s *Simulator) Overlaps() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.overlaps)
}

// Posts counts the top-ups asked for, refused ones too.
func (s *Simulator) Posts() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.posts
}

// PostsFor counts the top-ups asked for with one identifier.
func (s *Simulator) PostsFor(identifier string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.attempts[identifier]
}

// Reads counts the calls that are no top-ups.
func (s *Simulator) Reads() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, calls := range s.reads {
		n += calls
	}
	return n
}

// Balance is the account's balance, a plain decimal.
func (s *Simulator) Balance() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle(s.now())
	return s.balance.String()
}

// Refill adds to the balance.
func (s *Simulator) Refill(amount string) error {
	m, err := parseMoney(amount)
	if err != nil {
		return err
	}
	if m <= 0 {
		return fmt.Errorf("sandbox: refill of %s", amount)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.refill(m)
}

// SetBalance makes the balance so much, by a refill of the difference.
func (s *Simulator) SetBalance(amount string) error {
	m, err := parseMoney(amount)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle(s.now())
	return s.refill(m - s.balance)
}

// refill adds to the balance, or takes away from it; the lock is held.
func (s *Simulator) refill(m money) error {
	s.settle(s.now())
	d := decimal(m)
	if err := s.append(ledgerLine{Kind: lineRefill, Amount: &d}); err != nil {
		return err
	}
	s.balance += m
	s.refills += m
	return nil
}

// Reverse makes a SUCCESSFUL transaction REFUNDED, as an operator sometimes does afterwards.
func (s *Simulator) Reverse(transactionID int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	s.settle(now)
	r := s.byTx[transactionID]
	if r == nil {
		return fmt.Errorf("sandbox: no transaction %d", transactionID)
	}
	if status := r.status(now); status != statusSuccessful {
		return fmt.Errorf("sandbox: transaction %d is %s", transactionID, status)
	}
	if err := s.append(ledgerLine{Kind: lineReverse, Transaction: transactionID}); err != nil {
		return err
	}
	s.reverse(r)
	return nil
}

// Script decides the fault of each attempt by name; "" leaves it to the number and the profile.
func (s *Simulator) Script(f func(Attempt) string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.script = f
}
