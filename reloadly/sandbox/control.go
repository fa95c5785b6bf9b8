package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Execution is one top-up that the simulator executed, whatever it answered.
type Execution struct {
	Seq              int64     `json:"seq"`
	Time             time.Time `json:"time"`
	TransactionID    int64     `json:"transactionId"`
	CustomIdentifier string    `json:"customIdentifier"`
	RecipientPhone   string    `json:"recipientPhone"`
	RecipientEmail   string    `json:"recipientEmail"`
	CountryCode      string    `json:"countryCode"`
	OperatorID       int64     `json:"operatorId"`
	RequestedAmount  string    `json:"requestedAmount"`
	Currency         string    `json:"currency"`
	Cost             string    `json:"cost"` // debited while paid
	Status           string    `json:"status"`
}

// Executions are all executed top-ups, oldest first.
func (s *Simulator) Executions() []Execution {
	return s.list(func(*record, time.Time) bool { return true })
}

// Paid are the executions that are SUCCESSFUL, PROCESSING or PENDING.
func (s *Simulator) Paid() []Execution { return s.list((*record).paid) }

func (s *Simulator) list(keep func(*record, time.Time) bool) []Execution {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	out := []Execution{}
	for _, r := range s.records {
		if keep(r, now) {
			out = append(out, Execution{
				Seq: r.Seq, Time: r.At, TransactionID: r.Transaction, CustomIdentifier: r.Identifier,
				RecipientPhone: r.Phone, RecipientEmail: r.Email, CountryCode: r.Country, OperatorID: r.Operator,
				RequestedAmount: money(r.Requested).String(), Currency: s.currency,
				Cost: money(r.Cost).String(), Status: r.status(now),
			})
		}
	}
	return out
}

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

// Audit compares the balance with the executions, one by one.
func (s *Simulator) Audit() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	s.settle(now)
	var debited, kept money
	for _, r := range s.records {
		if !returned(r.First) || r.Later != "" && !returned(r.Later) && !now.Before(r.Due) {
			debited += money(r.Cost)
		}
		if r.paid(now) {
			kept += money(r.Cost)
		}
	}
	var errs []error
	if spent := s.start - s.balance + s.refills + s.refunds; spent != debited {
		errs = append(errs, fmt.Errorf("sandbox: %s left the balance, but the executions were debited %s", spent, debited))
	}
	if spent := s.start - s.balance + s.refills; spent != kept {
		errs = append(errs, fmt.Errorf("sandbox: %s was spent, but the paid executions cost %s", spent, kept))
	}
	return errors.Join(errs...)
}

func (s *Simulator) controlRoutes() {
	get := func(path string, f func() any) {
		s.mux.HandleFunc("GET /sandbox/"+path, func(w http.ResponseWriter, _ *http.Request) {
			writeBody(w, http.StatusOK, f())
		})
	}
	get("executions", func() any { return s.Executions() })
	get("overlaps", func() any { return append([]string{}, s.Overlaps()...) })
	get("livez", func() any { return map[string]any{"status": "ok"} })
	get("stats", func() any {
		return map[string]any{
			"posts": s.Posts(), "executions": len(s.Executions()), "paid": len(s.Paid()),
			"overlaps": len(s.Overlaps()), "balance": s.Balance(), "currency": s.currency,
		}
	})
	s.mux.HandleFunc("GET /sandbox/audit", func(w http.ResponseWriter, _ *http.Request) {
		if err := s.Audit(); err != nil {
			writeBody(w, http.StatusConflict, map[string]any{"ok": false, "error": err.Error()})
			return
		}
		writeBody(w, http.StatusOK, map[string]any{"ok": true})
	})
	s.mux.HandleFunc("POST /sandbox/refill", s.handleRefill)
	s.mux.HandleFunc("POST /sandbox/revoke", func(w http.ResponseWriter, _ *http.Request) {
		s.RevokeTokens()
		w.WriteHeader(http.StatusNoContent)
	})
}

// handleRefill takes {"amount": 100} or {"amount": "100"}.
func (s *Simulator) handleRefill(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Amount json.RawMessage `json:"amount"`
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<16))
	if err == nil {
		err = json.Unmarshal(body, &in)
	}
	if err == nil {
		err = s.Refill(strings.Trim(string(in.Amount), `"`))
	}
	if err != nil {
		writeBody(w, http.StatusBadRequest, map[string]any{"error": err.Error()})
		return
	}
	writeBody(w, http.StatusOK, map[string]any{"balance": s.Balance(), "currency": s.currency})
}
