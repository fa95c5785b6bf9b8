package httpapi

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/govalues/decimal"

	"example.com/topup/enqueue"
)

// noResult stands for a job that is not known.
var noResult enqueue.Result

// ReloadlyTransaction is Reloadly's own answer, with amounts as numbers.
type ReloadlyTransaction struct {
	*enqueue.Transaction
	Discount        json.RawMessage  `json:"discount"`
	RequestedAmount json.RawMessage  `json:"requestedAmount"`
	DeliveredAmount json.RawMessage  `json:"deliveredAmount"`
	Fee             json.RawMessage  `json:"fee,omitempty"`
	BalanceInfo     *reloadlyBalance `json:"balanceInfo"`
}

type reloadlyBalance struct {
	*enqueue.BalanceInfo
	OldBalance json.RawMessage `json:"oldBalance"`
	NewBalance json.RawMessage `json:"newBalance"`
	Cost       json.RawMessage `json:"cost"`
}

func asReloadly(t *enqueue.Transaction) ReloadlyTransaction {
	out := ReloadlyTransaction{
		Transaction: t, Discount: asNumber(t.Discount), RequestedAmount: asNumber(t.RequestedAmount), DeliveredAmount: asNumber(t.DeliveredAmount),
	}
	if t.Fee != nil {
		out.Fee = asNumber(t.Fee)
	}
	if b := t.BalanceInfo; b != nil {
		out.BalanceInfo = &reloadlyBalance{BalanceInfo: b, OldBalance: asNumber(b.OldBalance), NewBalance: asNumber(b.NewBalance), Cost: asNumber(b.Cost)}
	}
	return out
}

// asNumber writes decimal text as a JSON number, digit for digit.
func asNumber(text *string) json.RawMessage {
	if text == nil {
		return json.RawMessage("null")
	}
	amount, err := decimal.Parse(*text)
	if err != nil { // the path of the job itself has it as it came
		return json.RawMessage("null")
	}
	return json.RawMessage(amount.String())
}

// reloadlyPath is Reloadly's own path of a top-up.
const reloadlyPath = "/topups"

// refusal has Reloadly's code where a key is refused: programs made for Reloadly fetch
// another token then, which a key that was replaced gives them.
var refusal = map[int]string{http.StatusUnauthorized: "INVALID_TOKEN"}

type reloadlyOutput struct {
	Body ReloadlyTransaction
}

// reloadlyTopUp is POST /topups, Reloadly's own path and form, for programs made for
// Reloadly. It waits like Reloadly does. What is not a transaction is an error, which
// such a program takes as one: 4xx only where nothing was paid, 504 where it goes on.
func (s *Server) reloadlyTopUp(ctx context.Context, _ *struct{}) (*reloadlyOutput, error) {
	x := exchangeOf(ctx)
	a, err := s.submit(x)
	if err != nil {
		p := s.problemOf(err, noResult, "")
		return nil, p.likeReloadly("")
	}
	r := a.Result
	if !r.State.Settled() {
		if latest, err := s.hold(x, r.ID, s.cfg.MaxWait); err == nil {
			r = latest
		}
	}
	if r.Transaction != nil && (r.State == enqueue.Succeeded || r.State == enqueue.Processing) {
		return &reloadlyOutput{Body: asReloadly(r.Transaction)}, nil
	}
	var p *Problem
	switch {
	case r.State == enqueue.NeedsReview || r.State == enqueue.Succeeded:
		p = problem(http.StatusGatewayTimeout, CodeNeedsReview, "%s", r.Explanation)
	case r.State.Final():
		p = problem(http.StatusBadRequest, CodeNotPaid, "%s", r.Explanation)
	default:
		p = problem(http.StatusGatewayTimeout, CodeNotSettled, "it goes on: repeat it with the same customIdentifier, which is never paid twice, or ask at %s", locationOf(r.ID))
	}
	p.ID, p.State = r.ID, r.State
	return nil, p.likeReloadly(r.Code)
}
