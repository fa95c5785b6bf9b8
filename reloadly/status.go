package reloadly

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// StatusReport is the answer of the status endpoint. Transaction is nil while the provider gives none,
// as it does while Status is Processing [obs].
type StatusReport struct {
	Code        string
	Message     string
	Status      Status
	Transaction *Transaction
	// Date is the Date header of the answer, zero when missing.
	Date time.Time
}

// Status asks how a transaction stands. A transaction that does not exist is an *Error with Refused and
// CodeTransactionNotFound.
func (c *Client) Status(ctx context.Context, transactionID int64) (*StatusReport, error) {
	const op = "status"
	if transactionID <= 0 {
		return nil, invalidRequest(op, "transaction id is missing")
	}
	var report *StatusReport
	date, err := c.get(ctx, op, fmt.Sprintf("/topups/%d/status", transactionID), nil, func(ans answer) (err error) {
		report, err = parseStatus(ans.body, transactionID)
		return err
	})
	if err != nil {
		return nil, err
	}
	report.Date = date
	report.Code = clean(report.Code, c.secrets()...)
	report.Message = clean(report.Message, c.secrets()...)
	return report, nil
}

// parseStatus reads both forms: {"code","message","status","transaction"} [obs] and the flat transaction [doc].
func parseStatus(body []byte, transactionID int64) (*StatusReport, error) {
	var wire struct {
		Code          wireText        `json:"code"`
		Message       wireText        `json:"message"`
		Status        wireText        `json:"status"`
		TransactionID wireID          `json:"transactionId"`
		Transaction   json.RawMessage `json:"transaction"`
	}
	if !isKind(body, '{') {
		return nil, errors.New("a status is not a JSON object")
	}
	if err := json.Unmarshal(body, &wire); err != nil {
		return nil, err
	}
	report := &StatusReport{Code: wire.Code.text, Message: wire.Message.text, Status: Status(wire.Status.text)}
	inner := wire.Transaction
	if len(inner) == 0 && wire.TransactionID != 0 {
		inner = body
	}
	if isKind(inner, '{') {
		report.Transaction = new(Transaction)
		if err := json.Unmarshal(inner, report.Transaction); err != nil {
			return nil, err
		}
	}
	switch t := report.Transaction; {
	case t == nil && !wire.Status.present:
		return nil, errors.New("a status answer has neither a status nor a transaction")
	case t == nil:
	case t.TransactionID != transactionID:
		return nil, &mismatchError{what: "transaction", transactionID: t.TransactionID}
	case report.Status == "":
		report.Status = t.Status
	case t.Status.Final() && report.Status.Final() && t.Status != report.Status:
		// Delivered and refunded at once: neither can be believed.
		return nil, &mismatchError{what: "status inside than outside", transactionID: t.TransactionID}
	}
	return report, nil
}
