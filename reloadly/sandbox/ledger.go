package sandbox

import (
	"bytes"
	"container/heap"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

const (
	lineOpen      = "open"
	lineExecution = "execution"
	lineRefill    = "refill"
	lineReverse   = "reverse"
	lineBurn      = "burn"
)

type ledgerLine struct {
	Kind        string    `json:"kind"`
	Time        time.Time `json:"time,omitzero"`
	Record      *record   `json:"execution,omitempty"`
	Amount      *decimal  `json:"amount,omitempty"`
	Transaction int64     `json:"transactionId,omitempty"`
	Identifier  string    `json:"customIdentifier,omitempty"`
	Currency    string    `json:"currency,omitempty"`
}

// write adds a line to the ledger file; the lock is held. It gives the line's number for flush, so that
// an execution can wait for the disk without the lock.
func (s *Simulator) write(line ledgerLine) (int, error) {
	if s.ledger == nil {
		return 0, nil
	}
	line.Time = s.now()
	b, err := json.Marshal(line)
	if err != nil {
		return 0, err
	}
	return s.ledger.write(append(b, '\n'))
}

func (s *Simulator) flush(n int) error {
	if s.ledger == nil || s.cfg.NoSync {
		return nil
	}
	return s.ledger.sync(n)
}

// append is write and flush, for the lines that are rare; the lock is held.
func (s *Simulator) append(line ledgerLine) error {
	n, err := s.write(line)
	if err == nil {
		err = s.flush(n)
	}
	return err
}

// openLedger reads the file again and leaves it open at its end.
func (s *Simulator) openLedger(name string) error {
	l, all, err := openLedgerFile(name)
	if err != nil {
		return fmt.Errorf("sandbox: ledger: %w", err)
	}
	good, err := s.replay(all)
	if err == nil {
		err = l.cut(good)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("sandbox: ledger %s: %w", name, err), l.close())
	}
	s.ledger = l
	if s.opened {
		s.log.Info("ledger read", "file", name, "executions", len(s.records), "balance", s.balance.String())
		return nil
	}
	start := decimal(s.start)
	return s.append(ledgerLine{Kind: lineOpen, Amount: &start, Currency: s.currency})
}

// replay takes the lines into the books and gives the end of the last whole one. Only the last can be
// torn, and what it said was never answered.
func (s *Simulator) replay(all []byte) (int64, error) {
	var good int64
	for n := 1; len(all) > 0; n++ {
		text, rest, whole := bytes.Cut(all, []byte{'\n'})
		if !whole {
			s.log.Warn("ledger: the last line is torn and is cut off", "line", n, "bytes", len(text))
			break
		}
		var line ledgerLine
		if err := json.Unmarshal(text, &line); err != nil {
			return 0, fmt.Errorf("line %d: %w", n, err)
		}
		if n == 1 && line.Kind != lineOpen {
			return 0, errors.New("line 1: the account's balance is missing: is this a ledger of the simulator")
		}
		if err := s.apply(line); err != nil {
			return 0, fmt.Errorf("line %d: %w", n, err)
		}
		good += int64(len(text)) + 1
		all = rest
	}
	return good, nil
}

func (s *Simulator) apply(line ledgerLine) error {
	s.settle(line.Time)
	switch line.Kind {
	case lineOpen:
		if line.Amount == nil || line.Currency != s.currency || s.opened {
			return fmt.Errorf("the account of this ledger is in %s, Config.Balance is in %s", line.Currency, s.currency)
		}
		s.start, s.balance, s.opened = money(*line.Amount), money(*line.Amount), true
	case lineExecution:
		if line.Record == nil {
			return errors.New("an execution without its data")
		}
		s.add(line.Record)
	case lineRefill:
		if line.Amount == nil {
			return errors.New("a refill without an amount")
		}
		s.balance += money(*line.Amount)
		s.refills += money(*line.Amount)
	case lineReverse:
		r := s.byTx[line.Transaction]
		if r == nil {
			return fmt.Errorf("no transaction %d", line.Transaction)
		}
		s.reverse(r)
	case lineBurn:
		s.used[line.Identifier] = true
	default:
		return fmt.Errorf("unknown kind %q", line.Kind)
	}
	return nil
}

// add takes a record into the books; the lock is held.
func (s *Simulator) add(r *record) {
	if !returned(r.First) {
		s.debit(r)
	}
	s.records = append(s.records, r)
	s.byTx[r.Transaction] = r
	if r.Identifier != "" {
		s.used[r.Identifier] = true
		key := strings.ToLower(r.Identifier)
		s.search[key] = append(s.search[key], r)
	}
	s.recharge[r.recipient()] = r
	s.nextID = max(s.nextID, r.Transaction+1)
	if r.Later != "" && returned(r.First) != returned(r.Later) {
		heap.Push(&s.pending, r)
	}
}

func (s *Simulator) debit(r *record) {
	s.balance -= money(r.Cost)
	s.debits += money(r.Cost)
}

func (s *Simulator) refund(r *record) {
	s.balance += money(r.Cost)
	s.refunds += money(r.Cost)
}

func (s *Simulator) reverse(r *record) {
	r.reversed = true
	s.refund(r)
}

// settle moves the money of the statuses that have changed by now; the lock is held.
func (s *Simulator) settle(now time.Time) {
	for len(s.pending) > 0 && !now.Before(s.pending[0].Due) {
		r := heap.Pop(&s.pending).(*record)
		switch {
		case r.reversed: // its money is back already
		case returned(r.Later):
			s.refund(r)
		default:
			s.debit(r) // may take the balance below zero: the provider does not ask again
		}
	}
}
