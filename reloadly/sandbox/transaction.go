package sandbox

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

const dateLayout = time.DateTime

// reportZone is what the report reads its dates in, and what transactionDate was given in until 2022.
var reportZone = time.FixedZone("UTC-4", -4*60*60)

type transaction struct {
	ID                int64          `json:"transactionId"`
	Status            string         `json:"status"`
	OperatorTx        *string        `json:"operatorTransactionId"`
	Identifier        *string        `json:"customIdentifier"`
	RecipientPhone    *string        `json:"recipientPhone"`
	RecipientEmail    *string        `json:"recipientEmail"`
	SenderPhone       *string        `json:"senderPhone"`
	CountryCode       string         `json:"countryCode"`
	OperatorID        int64          `json:"operatorId"`
	OperatorName      string         `json:"operatorName"`
	Discount          json.Number    `json:"discount"`
	DiscountCurrency  string         `json:"discountCurrencyCode"`
	Requested         json.Number    `json:"requestedAmount"`
	RequestedCurrency string         `json:"requestedAmountCurrencyCode"`
	Delivered         json.Number    `json:"deliveredAmount"`
	DeliveredCurrency string         `json:"deliveredAmountCurrencyCode"`
	Date              string         `json:"transactionDate"`
	Fee               json.Number    `json:"fee,omitempty"`
	Pin               map[string]any `json:"pinDetail"`
	Balance           balanceInfo    `json:"balanceInfo"`
}

type balanceInfo struct {
	Old      json.Number `json:"oldBalance"`
	New      json.Number `json:"newBalance"`
	Cost     json.Number `json:"cost"`
	Currency string      `json:"currencyCode"`
	Name     string      `json:"currencyName"`
	Updated  string      `json:"updatedAt"`
}

// view is a record as the API shows it.
func (s *Simulator) view(r *record, now time.Time) transaction {
	t := transaction{
		ID: r.Transaction, Status: r.status(now), Identifier: orNull(r.Identifier),
		RecipientPhone: orNull(r.Phone), RecipientEmail: orNull(r.Email), SenderPhone: orNull(r.Sender),
		CountryCode: r.Country, OperatorID: r.Operator, OperatorName: r.OperatorName,
		Discount: r.Discount.number(), DiscountCurrency: s.currency,
		Requested: r.Requested.number(), RequestedCurrency: s.currency,
		Delivered: r.Delivered.number(), DeliveredCurrency: r.DeliveredIn,
		Date: transactionDate(r.At),
		Balance: balanceInfo{
			Old: r.Old.number(), New: r.New.number(), Cost: r.Cost.number(),
			Currency: s.currency, Name: currencyName(s.currency), Updated: r.At.UTC().Format(dateLayout),
		},
	}
	if r.Fee != 0 {
		t.Fee = r.Fee.number()
	}
	if returned(t.Status) {
		t.Delivered, t.Balance.Cost, t.Balance.New = "0", "0", t.Balance.Old
	}
	if r.Pin && t.Status == statusSuccessful {
		t.Pin = map[string]any{
			"serial": 500000 + r.Transaction, "code": 773709700000000 + r.Transaction,
			"info1": "DIAL *611", "info2": nil, "info3": nil, "value": nil, "ivr": nil, "validity": "30 days",
		}
	}
	return t
}

func transactionDate(at time.Time) string {
	if at = at.UTC(); at.Year() < 2023 {
		at = at.In(reportZone)
	}
	return at.Format(dateLayout)
}

func orNull(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

func currencyName(code string) string {
	names := map[string]string{"NGN": "Nigerian Naira", "USD": "US Dollar", "EUR": "Euro", "GBP": "British Pound"}
	if name, ok := names[code]; ok {
		return name
	}
	return code
}

// lookup finds the transaction that the path names, or answers 404.
func (s *Simulator) lookup(w http.ResponseWriter, r *http.Request) (*record, bool) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	s.mu.Lock()
	found := s.byTx[id]
	s.mu.Unlock()
	if err != nil || found == nil {
		s.refuse(w, r, http.StatusNotFound, "TRANSACTION_NOT_FOUND", "Transaction not found for given id")
		return nil, false
	}
	return found, true
}

func (s *Simulator) handleTransaction(w http.ResponseWriter, r *http.Request) {
	if found, ok := s.lookup(w, r); ok {
		writeBody(w, http.StatusOK, s.current(found))
	}
}

func (s *Simulator) current(r *record) transaction {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.view(r, s.now())
}

func (s *Simulator) handleStatus(w http.ResponseWriter, r *http.Request) {
	found, ok := s.lookup(w, r)
	if !ok {
		return
	}
	t := s.current(found)
	if s.cfg.FlatStatus {
		writeBody(w, http.StatusOK, t)
		return
	}
	out := map[string]any{"code": nil, "message": nil, "status": t.Status, "transaction": nil}
	if t.Status != statusProcessing && t.Status != statusPending {
		out["transaction"] = t
	}
	if returned(t.Status) {
		out["code"], out["message"] = found.Code, orNull(found.Message)
	}
	writeBody(w, http.StatusOK, out)
}

func (s *Simulator) handleBalance(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	now := s.now()
	s.settle(now)
	balance := decimal(s.balance).number()
	s.mu.Unlock()
	writeBody(w, http.StatusOK, map[string]any{
		"balance": balance, "currencyCode": s.currency, "currencyName": currencyName(s.currency),
		"updatedAt": now.UTC().Format(dateLayout),
	})
}
