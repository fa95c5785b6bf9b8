package sandbox

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// execute debits and records, if the balance allows it, and returns when that is on disk.
func (s *Simulator) execute(o *order, f *fault) (*record, *fault) {
	rec, line, refused := s.book(o, f)
	if refused != nil {
		return nil, refused
	}
	if err := s.flush(line); err != nil {
		return nil, s.unwritten(err) // it is in the books: its outcome is unknown, as a 500 says
	}
	s.log.Info("executed", "transaction", rec.Transaction, "identifier", rec.Identifier, "status", rec.First)
	return rec, nil
}

func (s *Simulator) unwritten(err error) *fault {
	s.log.Error("ledger", "error", err)
	return &fault{Status: http.StatusInternalServerError, Message: "The ledger could not be written"}
}

// book takes a top-up into the books and gives its line in the ledger file.
func (s *Simulator) book(o *order, f *fault) (*record, int, *fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	s.settle(now)
	if s.cfg.DuplicateWindow < 0 {
		if refused := s.checkLocked(o); refused != nil {
			return nil, 0, refused
		}
	}
	if s.balance < o.quote.Cost {
		return nil, 0, refuseWith(http.StatusBadRequest, "INSUFFICIENT_BALANCE",
			"Insufficient funds in the wallet to complete this transaction")
	}
	q := o.quote
	rec := &record{
		Seq: int64(len(s.records)) + 1, At: now, Transaction: s.nextID, Identifier: o.identifier,
		Phone: o.phone, Email: o.email, Sender: o.sender, Country: o.country,
		Operator: o.op.ID, OperatorName: o.op.Name, Pin: o.op.Pin,
		Requested: decimal(q.Requested), Discount: decimal(q.Discount), Fee: decimal(q.Fee), Cost: decimal(q.Cost),
		Delivered: decimal(q.Delivered), DeliveredIn: q.DeliveredCurrency, First: statusSuccessful, unanswered: true,
	}
	s.course(rec, o.async, f)
	if returned(rec.First) && (rec.Later == "" || returned(rec.Later)) {
		rec.Cost = 0
	}
	rec.Old, rec.New = decimal(s.balance), decimal(s.balance-money(rec.Cost))
	line, err := s.write(ledgerLine{Kind: lineExecution, Record: rec})
	if err != nil {
		return nil, 0, s.unwritten(err)
	}
	s.add(rec)
	return rec, line, nil
}

// course sets the statuses that the record will have.
func (s *Simulator) course(rec *record, async bool, f *fault) {
	delay := processingMin + time.Duration(rec.Transaction*2654435761%int64(processingMax-processingMin+1))
	if async {
		rec.First, rec.Later = statusProcessing, statusSuccessful
	}
	if f != nil && f.Mode == modeStatus {
		rec.Code, rec.Message = f.Code, f.Message
		switch {
		case f.Delay > 0:
			rec.First, rec.Later, delay = f.First, f.Later, f.Delay
		case async && returned(f.First):
			rec.Later = f.First
		default:
			rec.First, rec.Later = f.First, ""
		}
	}
	if rec.Later != "" {
		rec.Due = rec.At.Add(s.scaled(delay))
	}
}

func (s *Simulator) accepted(rec *record) transaction {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.view(rec, rec.At)
}

// asMap is the answer of a POST, open to the faults.
func (s *Simulator) asMap(rec *record, async bool) map[string]any {
	if async {
		return map[string]any{"transactionId": rec.Transaction}
	}
	b, err := json.Marshal(s.accepted(rec))
	if err != nil {
		panic(fmt.Sprintf("sandbox: %v", err)) // cannot be: plain fields
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	out := map[string]any{}
	if err := d.Decode(&out); err != nil {
		panic(fmt.Sprintf("sandbox: %v", err))
	}
	return out
}
