package sandbox

import "net/http"

// enter counts a POST and notes whether another one with the same identifier is in flight.
func (s *Simulator) enter(identifier string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.posts++
	s.attempts[identifier]++
	if identifier != "" {
		if s.inFlight[identifier] > 0 {
			s.overlaps = append(s.overlaps, identifier)
		}
		s.inFlight[identifier]++
	}
	return s.attempts[identifier]
}

func (s *Simulator) leave(identifier string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.inFlight[identifier]--; s.inFlight[identifier] <= 0 {
		delete(s.inFlight, identifier)
	}
}

// check is the provider's look at the identifier and the recipient. It is separate from the
// execution, and nothing is reserved in between: the provider's own weakness.
func (s *Simulator) check(identifier, recipient string) *fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	if identifier != "" && s.used[identifier] {
		return refuseWith(http.StatusBadRequest, "CUSTOM_IDENTIFIER_ALREADY_USED",
			"The custom identifier has already been used for another transaction")
	}
	if s.cfg.NoRechargeRule {
		return nil
	}
	now := s.now()
	if last := s.recharge[recipient]; last != nil && last.paid(now) && now.Sub(last.At) < s.scaled(rechargeWindow) {
		return refuseWith(http.StatusBadRequest, "PHONE_RECENTLY_RECHARGED",
			"Phone number was recently recharged, please wait two minutes before the next top-up")
	}
	return nil
}

// burn uses an identifier up without a record.
func (s *Simulator) burn(identifier string) {
	if identifier == "" {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.used[identifier] {
		return
	}
	if err := s.append(ledgerLine{Kind: lineBurn, Identifier: identifier}); err != nil {
		s.log.Error("ledger", "error", err)
	}
	s.used[identifier] = true
}
