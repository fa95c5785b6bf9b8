package sandbox

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	maxIdentifier = 150
	maxRequest    = 1 << 20
	oversized     = 12 << 20
)

// flexible reads a number, a string of one, or null; the figure stays text.
type flexible string

func (f *flexible) UnmarshalJSON(b []byte) error {
	text := string(b)
	switch {
	case text == "null":
		text = ""
	case strings.HasPrefix(text, `"`):
		if err := json.Unmarshal(b, &text); err != nil {
			return err
		}
	case text[0] != '-' && (text[0] < '0' || text[0] > '9'):
		return errors.New("neither a number nor a string")
	}
	*f = flexible(strings.TrimSpace(text))
	return nil
}

type phoneField struct {
	Country string   `json:"countryCode"`
	Number  flexible `json:"number"`
}

type topupRequest struct {
	Operator   flexible    `json:"operatorId"`
	Amount     flexible    `json:"amount"`
	Local      bool        `json:"useLocalAmount"`
	Identifier string      `json:"customIdentifier"`
	Phone      *phoneField `json:"recipientPhone"`
	Email      string      `json:"recipientEmail"`
	Sender     *phoneField `json:"senderPhone"`
}

// order is a request that was understood, with its price.
type order struct {
	op         *operator
	quote      quote
	identifier string
	phone      string
	national   string
	email      string
	sender     string
	country    string
	async      bool
}

func (o *order) recipient() string {
	if o.phone != "" {
		return o.phone
	}
	return strings.ToLower(o.email)
}

func (s *Simulator) handleTopup(w http.ResponseWriter, r *http.Request, async bool) {
	var in topupRequest
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	if err == nil {
		err = json.Unmarshal(body, &in)
	}
	attempt := s.enter(in.Identifier)
	defer s.leave(in.Identifier)
	if err != nil {
		s.refuse(w, r, http.StatusBadRequest, "JSON_SYNTAX_ERROR", "The request is not valid JSON")
		return
	}
	o, refused := s.understand(&in)
	f := s.chooseFault(o, in.Identifier, attempt)
	if f != nil && s.before(w, r, f) {
		return
	}
	if refused == nil {
		refused = s.check(o.identifier, o.recipient())
	}
	if refused != nil {
		s.refuseWith(w, r, refused.Status, refused.Code, refused.Message)
		return
	}
	o.async = async
	if f != nil && s.declined(w, r, f, o.identifier) {
		return
	}
	if f != nil && f.Mode == modeLate {
		s.waitLate(r.Context(), f)
	} else {
		s.waitToExecute(r.Context(), f)
	}
	rec, refused := s.execute(o, f)
	if refused != nil {
		s.refuseWith(w, r, refused.Status, refused.Code, refused.Message)
		return
	}
	s.answer(w, r, rec, f, async)
}

// understand checks a request without looking at the books. The order it returns with a refusal has the
// recipient as far as it was understood.
func (s *Simulator) understand(in *topupRequest) (*order, *fault) {
	o := &order{identifier: in.Identifier, email: strings.TrimSpace(in.Email)}
	phoneOK := true
	if in.Phone != nil && in.Phone.Number != "" {
		o.country = strings.ToUpper(strings.TrimSpace(in.Phone.Country))
		o.phone, o.national, phoneOK = internationalNumber(o.country, string(in.Phone.Number))
	}
	invalid := func(code, message string) (*order, *fault) {
		return o, refuseWith(http.StatusBadRequest, code, message)
	}
	if utf8.RuneCountInString(in.Identifier) > maxIdentifier {
		return invalid("INVALID_INPUT_PROVIDED", "customIdentifier must have at most 150 characters")
	}
	id, err := strconv.ParseInt(string(in.Operator), 10, 64)
	if err != nil {
		return invalid("INVALID_INPUT_PROVIDED", "operatorId is required")
	}
	if o.op = s.catalogue.byID(id); o.op == nil {
		return o, refuseWith(http.StatusServiceUnavailable, "OPERATOR_UNAVAILABLE_OR_CURRENTLY_INACTIVE",
			"The operator is unavailable or currently inactive")
	}
	switch {
	case !phoneOK:
		return invalid("INVALID_RECIPIENT_PHONE", "The recipient's phone number is not valid")
	case o.op.Email:
		if at := strings.IndexByte(o.email, '@'); at < 1 || at == len(o.email)-1 {
			return invalid("INVALID_INPUT_PROVIDED", "recipientEmail is required for this operator")
		}
	case o.phone == "":
		return invalid("INVALID_RECIPIENT_PHONE", "The recipient's phone number is required")
	default:
		o.email = "" // not used by the other operators
	}
	if o.phone != "" && o.country != o.op.Country {
		return invalid("OPERATOR_AND_RECIPIENT_PHONE_MISMATCH", "The operator does not serve the recipient's country")
	}
	o.country = o.op.Country
	if in.Sender != nil && in.Sender.Number != "" {
		var ok bool
		if o.sender, ok = senderNumber(in.Sender); !ok {
			return invalid("INVALID_SENDER_PHONE", "The sender's phone number is not valid")
		}
	}
	amount, err := parseMoney(string(in.Amount))
	// A sixth decimal would be rounded away, and the books would then show another amount than was asked for.
	if err != nil || amount <= 0 || amount%microsPer5th != 0 {
		return invalid("INVALID_AMOUNT", "The amount is not valid")
	}
	var f *fault
	o.quote, f = s.catalogue.price(o.op, amount, in.Local)
	return o, f
}

// senderNumber is lenient: the quick start's own sender is no number of Canada's plan.
func senderNumber(p *phoneField) (string, bool) {
	if digits, _, ok := internationalNumber(strings.ToUpper(p.Country), string(p.Number)); ok {
		return digits, true
	}
	digits := strings.NewReplacer("+", "", " ", "", "-", "").Replace(string(p.Number))
	return digits, len(digits) >= 6 && len(digits) <= 15 && strings.Trim(digits, "0123456789") == ""
}

func (s *Simulator) chooseFault(o *order, identifier string, attempt int) *fault {
	s.mu.Lock()
	script := s.script
	s.mu.Unlock()
	var f *fault
	if script != nil {
		if name := script(Attempt{Identifier: identifier, Number: attempt}); name != "" {
			if f = faultNamed(name); f == nil {
				s.log.Error("the script names an unknown fault", "fault", name)
			}
			return f
		}
	}
	if o.national != "" && !s.cfg.NoMagic {
		f = faultFor(o.national)
	}
	if f == nil {
		f = drawFault(s.cfg.Faults, s.cfg.FaultRates, s.cfg.Seed, identifier, attempt)
	}
	if f == nil || (f.Times > 0 && attempt > f.Times) || (f.Mode == mode401Once && attempt > 1) {
		return nil
	}
	return f
}

// waitToExecute is the gap between the check and the record.
func (s *Simulator) waitToExecute(ctx context.Context, f *fault) {
	d := s.cfg.DuplicateWindow + s.cfg.Latency
	if f != nil && f.Mode == modeSlow {
		d += s.faultDelay(f, slowAnswer)
	}
	s.wait(ctx, d)
	if ctx.Err() != nil {
		s.wait(context.WithoutCancel(ctx), s.cfg.LateExecution)
	}
}

// waitLate lets the client hang up first and the top-up follow.
func (s *Simulator) waitLate(ctx context.Context, f *fault) {
	s.wait(ctx, s.scaled(3*slowAnswer))
	s.wait(context.WithoutCancel(ctx), cmp.Or(s.cfg.LateExecution, s.faultDelay(f, lateness)))
}

func (s *Simulator) faultDelay(f *fault, otherwise time.Duration) time.Duration {
	if f.Delay > 0 {
		otherwise = f.Delay
	}
	return s.scaled(otherwise)
}

// execute debits and records, if the balance allows it.
func (s *Simulator) execute(o *order, f *fault) (*record, *fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	s.settle(now)
	if s.balance < o.quote.Cost {
		return nil, refuseWith(http.StatusBadRequest, "INSUFFICIENT_BALANCE",
			"Insufficient funds in the wallet to complete this transaction")
	}
	q := o.quote
	rec := &record{
		Seq: int64(len(s.records)) + 1, At: now, Transaction: s.nextID, Identifier: o.identifier,
		Phone: o.phone, Email: o.email, Sender: o.sender, Country: o.country,
		Operator: o.op.ID, OperatorName: o.op.Name, Pin: o.op.Pin,
		Requested: decimal(q.Requested), Discount: decimal(q.Discount), Fee: decimal(q.Fee), Cost: decimal(q.Cost),
		Delivered: decimal(q.Delivered), DeliveredIn: q.DeliveredCurrency, First: statusSuccessful,
	}
	s.course(rec, o.async, f)
	if returned(rec.First) {
		rec.Cost = 0
	}
	rec.Old, rec.New = decimal(s.balance), decimal(s.balance-money(rec.Cost))
	if err := s.append(ledgerLine{Kind: lineExecution, Record: rec}); err != nil {
		s.log.Error("ledger", "error", err)
		return nil, &fault{Status: http.StatusInternalServerError, Message: "The ledger could not be written"}
	}
	s.add(rec)
	s.log.Info("executed", "transaction", rec.Transaction, "identifier", rec.Identifier, "status", rec.First)
	return rec, nil
}

// course sets the statuses that the record will have.
func (s *Simulator) course(rec *record, async bool, f *fault) {
	processing := processingMin + time.Duration(rec.Transaction*2654435761%int64(processingMax-processingMin+1))
	if async {
		rec.First, rec.Later = statusProcessing, statusSuccessful
	}
	if f != nil && f.Mode == modeStatus {
		rec.Code, rec.Message = f.Code, f.Message
		rec.First, rec.Later = f.Later, ""
		switch {
		case f.Delay > 0:
			rec.First, rec.Later, processing = statusProcessing, f.Later, f.Delay
		case async && returned(f.Later):
			rec.First, rec.Later = statusProcessing, f.Later
		}
	}
	if rec.Later != "" {
		rec.Due = rec.At.Add(s.scaled(processing))
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
