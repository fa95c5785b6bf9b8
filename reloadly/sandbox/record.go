package sandbox

import (
	"encoding/json"
	"strings"
	"time"
)

const (
	statusSuccessful = "SUCCESSFUL"
	statusProcessing = "PROCESSING"
	statusPending    = "PENDING"
	statusFailed     = "FAILED"
	statusRefunded   = "REFUNDED"
)

// record is one executed top-up.
type record struct {
	Seq          int64     `json:"seq"`
	At           time.Time `json:"at"`
	Transaction  int64     `json:"transactionId"`
	Identifier   string    `json:"customIdentifier,omitempty"`
	Phone        string    `json:"phone,omitempty"`
	Email        string    `json:"email,omitempty"`
	Sender       string    `json:"sender,omitempty"`
	Country      string    `json:"country"`
	Operator     int64     `json:"operatorId"`
	OperatorName string    `json:"operatorName"`
	Pin          bool      `json:"pin,omitempty"`
	Requested    decimal   `json:"requested"`
	Discount     decimal   `json:"discount"`
	Fee          decimal   `json:"fee"`
	Cost         decimal   `json:"cost"` // what is debited while it is paid
	Delivered    decimal   `json:"delivered"`
	DeliveredIn  string    `json:"deliveredCurrency"`
	Old          decimal   `json:"oldBalance"`
	New          decimal   `json:"newBalance"`
	First        string    `json:"status"`
	Later        string    `json:"later,omitempty"` // the status from Due on
	Due          time.Time `json:"due,omitzero"`
	Code         *string   `json:"code,omitempty"`
	Message      string    `json:"message,omitempty"`
	reversed     bool
	unanswered   bool // its own call is still in flight
}

// decimal is money as a JSON string, so that the ledger needs no numbers.
type decimal money

func (d decimal) MarshalJSON() ([]byte, error) { return json.Marshal(money(d).String()) }

func (d *decimal) UnmarshalJSON(b []byte) error {
	var text string
	if err := json.Unmarshal(b, &text); err != nil {
		return err
	}
	m, err := parseMoney(text)
	*d = decimal(m)
	return err
}

func (d decimal) number() json.Number { return json.Number(money(d).String()) }

func (r *record) status(now time.Time) string {
	switch {
	case r.reversed:
		return statusRefunded
	case r.Later == "" || now.Before(r.Due):
		return r.First
	}
	return r.Later
}

func (r *record) paid(now time.Time) bool { return !returned(r.status(now)) }

func (r *record) recipient() string {
	if r.Phone != "" {
		return r.Phone
	}
	return strings.ToLower(r.Email)
}

func returned(status string) bool { return status == statusFailed || status == statusRefunded }

// dueQueue holds the records whose money will move with their status, the next one first.
type dueQueue []*record

func (q dueQueue) Len() int           { return len(q) }
func (q dueQueue) Less(i, j int) bool { return q[i].Due.Before(q[j].Due) }
func (q dueQueue) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *dueQueue) Push(x any)        { *q = append(*q, x.(*record)) }
func (q *dueQueue) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}
