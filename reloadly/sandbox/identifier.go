package sandbox

import (
	"net/http"
	"strings"
	"time"
)

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

// check is the provider's look at the identifier and the recipient when a top-up arrives. The execution
// comes later and nothing is reserved in between: the provider's own weakness.
func (s *Simulator) check(o *order) *fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.checkLocked(o)
}

func (s *Simulator) checkLocked(o *order) *fault {
	now := s.now()
	if s.seen(o.identifier, now) {
		return refuseWith(http.StatusBadRequest, "CUSTOM_IDENTIFIER_ALREADY_USED",
			"The custom identifier has already been used for another transaction")
	}
	if s.cfg.NoRechargeRule {
		return nil
	}
	last := s.recharge[o.recipient()]
	if last != nil && !s.blind(last, now) && last.paid(now) && now.Sub(last.At) < s.scaled(rechargeWindow) {
		return refuseWith(http.StatusBadRequest, "PHONE_RECENTLY_RECHARGED",
			"Phone number was recently recharged, please wait two minutes before the next top-up")
	}
	return nil
}

// seen says whether the check sees that an identifier was used; see Config.DuplicateWindow.
func (s *Simulator) seen(identifier string, now time.Time) bool {
	if identifier == "" || !s.used[identifier] {
		return false
	}
	unseen := false
	for _, r := range s.search[strings.ToLower(identifier)] {
		if r.Identifier != identifier {
			continue
		}
		if !s.blind(r, now) {
			return true
		}
		unseen = true
	}
	return !unseen // without a record it was burned
}

// blind says whether the check overlooks an execution.
func (s *Simulator) blind(r *record, now time.Time) bool {
	return s.cfg.DuplicateWindow == 0 && r.unanswered && now.Sub(r.At) < s.scaled(blindness)
}

// answered ends the time in which an execution may still be unseen.
func (s *Simulator) answered(rec *record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	rec.unanswered = false
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
