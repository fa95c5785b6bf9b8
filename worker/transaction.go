package worker

import (
	"example.com/topup/enqueue"
	"example.com/topup/reloadly"
)

// record turns Reloadly's transaction into the form that results have.
func record(t *reloadly.Transaction) *enqueue.Transaction {
	if t == nil {
		return nil
	}
	out := &enqueue.Transaction{
		TransactionID: t.TransactionID, Status: string(t.Status),
		OperatorTransactionID: t.OperatorTransactionID, CustomIdentifier: text(t.CustomIdentifier),
		RecipientPhone: t.RecipientPhone, RecipientEmail: t.RecipientEmail, SenderPhone: t.SenderPhone,
		CountryCode: text(t.CountryCode), OperatorID: t.OperatorID, OperatorName: text(t.OperatorName),
		Discount: amount(t.Discount), DiscountCurrencyCode: text(t.DiscountCurrencyCode),
		RequestedAmount: amount(t.RequestedAmount), RequestedAmountCurrencyCode: text(t.RequestedAmountCurrencyCode),
		DeliveredAmount: amount(t.DeliveredAmount), DeliveredAmountCurrencyCode: text(t.DeliveredAmountCurrencyCode),
		Fee: amount(t.Fee), TransactionDate: text(t.TransactionDate),
	}
	if p := t.PinDetail; p != nil {
		out.PinDetail = &enqueue.PinDetail{
			Serial: text(p.Serial), Info1: text(p.Info1), Info2: text(p.Info2), Info3: text(p.Info3),
			Value: text(p.Value), Code: text(p.Code), IVR: text(p.IVR), Validity: text(p.Validity),
		}
	}
	if b := t.BalanceInfo; b != nil {
		out.BalanceInfo = &enqueue.BalanceInfo{
			OldBalance: amount(b.OldBalance), NewBalance: amount(b.NewBalance), Cost: amount(b.Cost),
			CurrencyCode: text(b.CurrencyCode), CurrencyName: text(b.CurrencyName), UpdatedAt: text(b.UpdatedAt),
		}
	}
	return out
}

func text(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func amount(a reloadly.Amount) *string {
	if !a.Valid {
		return nil
	}
	s := a.Decimal.Trim(0).String()
	return &s
}

// identifier is the one of a job's next send. It is a variable only so that
// worker/chaostest can show what happens without it.
var identifier = (*enqueue.Record).Identifier

// request is what is sent for a job.
func request(r *enqueue.Record, operatorID int64) reloadly.TopUpRequest {
	return reloadly.TopUpRequest{
		OperatorID: operatorID, Amount: r.TopUp.Amount, UseLocalAmount: r.TopUp.UseLocalAmount,
		CustomIdentifier: identifier(r),
		RecipientPhone:   phone(r.TopUp.RecipientPhone), RecipientEmail: r.TopUp.RecipientEmail,
		SenderPhone: phone(r.TopUp.SenderPhone),
	}
}

func phone(p enqueue.Phone) *reloadly.Phone {
	if p.IsZero() {
		return nil
	}
	return &reloadly.Phone{CountryCode: p.CountryCode, Number: p.Number}
}

// ours tells whether a transaction that has an identifier of the job can be the
// job's: something else on the same account may use the same identifiers. A field
// that is absent, there or here, proves nothing.
func ours(r *enqueue.Record, identifier string, t *reloadly.Transaction) bool {
	if sent := r.TopUp.OperatorID; sent != 0 && t.OperatorID != 0 && sent != t.OperatorID {
		return false
	}
	asked := request(r, r.TopUp.OperatorID)
	asked.CustomIdentifier = identifier
	return asked.Matches(t) == nil
}
