package sandbox

import "time"

// Execution is one top-up that the simulator executed, whatever it answered.
type Execution struct {
	Seq              int64     `json:"seq"` // counts from 1
	Time             time.Time `json:"time"`
	TransactionID    int64     `json:"transactionId"`
	CustomIdentifier string    `json:"customIdentifier"`
	RecipientPhone   string    `json:"recipientPhone"`
	RecipientEmail   string    `json:"recipientEmail"`
	CountryCode      string    `json:"countryCode"`
	OperatorID       int64     `json:"operatorId"`
	RequestedAmount  string    `json:"requestedAmount"`
	Currency         string    `json:"currency"`
	Cost             string    `json:"cost"` // debited while it is paid
	Status           string    `json:"status"`
	Paid             bool      `json:"paid"`
}

// Executions are all executed top-ups, oldest first.
func (s *Simulator) Executions() []Execution {
	return s.executions(0, 0, func(Execution) bool { return true })
}

// Paid are the executions that are SUCCESSFUL, PROCESSING or PENDING.
func (s *Simulator) Paid() []Execution {
	return s.executions(0, 0, func(e Execution) bool { return e.Paid })
}

// executions are those that keep wants, from the one after seq on, at most limit of them; 0 is no limit.
func (s *Simulator) executions(after int64, limit int, keep func(Execution) bool) []Execution {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	out := []Execution{}
	for _, r := range s.records[min(max(after, 0), int64(len(s.records))):] {
		e := Execution{
			Seq: r.Seq, Time: r.At, TransactionID: r.Transaction, CustomIdentifier: r.Identifier,
			RecipientPhone: r.Phone, RecipientEmail: r.Email, CountryCode: r.Country, OperatorID: r.Operator,
			RequestedAmount: money(r.Requested).String(), Currency: s.currency,
			Cost: money(r.Cost).String(), Status: r.status(now), Paid: r.paid(now),
		}
		if keep(e) {
			out = append(out, e)
		}
		if limit > 0 && len(out) == limit {
			break
		}
	}
	return out
}
