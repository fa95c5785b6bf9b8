package enqueue

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/govalues/decimal"
)

// The fields of a record. Short names and values under 64 bytes keep the hash in
// Redis' compact form.
const (
	fieldState       = "s"
	fieldVersion     = "v"
	fieldReason      = "r"
	fieldCode        = "c"
	fieldSends       = "n"
	fieldAmbiguous   = "am" // sends that ended without a proof of their fate
	fieldSuspect     = "su" // a restarted Redis may have forgotten something about it
	fieldInUse       = "au" // Reloadly says that its identifier is used
	fieldGeneration  = "g"
	fieldSentAt      = "sn"
	fieldNextAt      = "na"
	fieldCreatedAt   = "ca"
	fieldUpdatedAt   = "ua"
	fieldFinishedAt  = "fa" // ms since ca
	fieldTxID        = "tx"
	fieldOtherTx     = "dx" // the second transaction of a double; ox has those that ended before the job was sent again
	fieldTransaction = "x"  // x0, x1, …: the packed answer
	fieldLog         = "h"  // h2, h3, …: one line per transition
	fieldFingerprint = "f"

	fieldOperator    = "op"
	fieldAmount      = "a"
	fieldLocal       = "l"
	fieldCountry     = "pc"
	fieldNumber      = "pn"
	fieldEmail       = "em"
	fieldSenderLand  = "sc"
	fieldSenderPhone = "sp"
	fieldCampaign    = "k"
	fieldNotBefore   = "nb"
	fieldExpires     = "ex"
	fieldMetadata    = "m"
	fieldID          = "id" // only where it has capitals
)

// Record is a job as the ledger has it, for workers and for people who look
// closely. Callers poll a [Result].
type Record struct {
	TopUp       TopUp // zero but for the ID where the request was lost
	State       State
	Reason      Reason
	Code        string
	Version     int64
	Sends       int
	Ambiguous   int  // sends that ended without a proof of their fate
	Suspect     bool // a restarted Redis may have forgotten something about it
	InUse       bool // Reloadly says that its identifier is used
	Generation  int  // of the identifier, from 0
	Transaction *Transaction
	TxID        int64 // Reloadly's transaction, 0 while none is known
	SentAt      time.Time
	NextAt      time.Time
	CreatedAt   time.Time
	UpdatedAt   time.Time
	FinishedAt  time.Time
	Log         []LogLine
}

// LogLine is one transition of a job.
type LogLine struct {
	At       time.Time `json:"at"`
	From, To State
	Why, Who string
}

// Identifier is the customIdentifier of the next send, and of the last one.
func (r *Record) Identifier() string { return Identifier(r.TopUp.ID, r.Generation) }

// Identifiers are those under which the job can have been sent. A record that may
// have lost writes can have been sent under every one, also where it is its identifier
// alone that tells of them.
func (r *Record) Identifiers() []string {
	top := r.Generation
	if r.Suspect || r.InUse {
		top = MaxGeneration
	}
	var ids []string
	for g := range top + 1 {
		ids = append(ids, Identifier(r.TopUp.ID, g))
	}
	return ids
}

// MaxGeneration is the highest generation of an identifier.
const MaxGeneration = 2

// requestFields are the names and values under which a request is stored.
func requestFields(t TopUp) []any {
	var fields []any
	add := func(name, value string) {
		if value != "" {
			fields = append(fields, name, value)
		}
	}
	add(fieldFingerprint, fingerprint(t))
	if t.ID != CanonicalID(t.ID) {
		add(fieldID, t.ID)
	}
	if t.OperatorID != 0 {
		add(fieldOperator, strconv.FormatInt(t.OperatorID, 10))
	}
	add(fieldAmount, t.Amount.String())
	if t.UseLocalAmount {
		add(fieldLocal, "1")
	}
	add(fieldCountry, t.RecipientPhone.CountryCode)
	add(fieldNumber, t.RecipientPhone.Number)
	add(fieldEmail, t.RecipientEmail)
	add(fieldSenderLand, t.SenderPhone.CountryCode)
	add(fieldSenderPhone, t.SenderPhone.Number)
	add(fieldCampaign, t.Campaign)
	add(fieldNotBefore, unixMilli(t.NotBefore))
	add(fieldExpires, unixMilli(t.Expires))
	add(fieldMetadata, metadataText(t.Metadata))
	return fields
}

func unixMilli(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return strconv.FormatInt(t.UnixMilli(), 10)
}

// decodeRecord reads the fields of a record; where a value is damaged it says
// which, and the job is left alone.
func decodeRecord(id string, fields map[string]string) (*Record, error) {
	d := decoder{id: id, fields: fields}
	r := &Record{
		State:      State(fields[fieldState]),
		Reason:     Reason(fields[fieldReason]),
		Code:       fields[fieldCode],
		Version:    d.integer(fieldVersion),
		Sends:      int(d.integer(fieldSends)),
		Ambiguous:  int(d.integer(fieldAmbiguous)),
		Suspect:    fields[fieldSuspect] == "1",
		InUse:      fields[fieldInUse] == "1",
		Generation: int(d.integer(fieldGeneration)),
		TxID:       d.integer(fieldTxID),
		SentAt:     d.time(fieldSentAt),
		NextAt:     d.time(fieldNextAt),
		CreatedAt:  d.time(fieldCreatedAt),
		UpdatedAt:  d.time(fieldUpdatedAt),
		TopUp: TopUp{
			ID:             CanonicalID(id),
			OperatorID:     d.integer(fieldOperator),
			UseLocalAmount: fields[fieldLocal] == "1",
			RecipientPhone: Phone{fields[fieldCountry], fields[fieldNumber]},
			RecipientEmail: fields[fieldEmail],
			SenderPhone:    Phone{fields[fieldSenderLand], fields[fieldSenderPhone]},
			Campaign:       fields[fieldCampaign],
			NotBefore:      d.time(fieldNotBefore),
			Expires:        d.time(fieldExpires),
		},
	}
	if _, ended := fields[fieldFinishedAt]; ended {
		r.FinishedAt = time.UnixMilli(r.CreatedAt.UnixMilli() + d.integer(fieldFinishedAt)).UTC()
	}
	if r.UpdatedAt.IsZero() { // it has ended, or nothing has happened yet
		r.UpdatedAt = r.CreatedAt
		if !r.FinishedAt.IsZero() {
			r.UpdatedAt = r.FinishedAt
		}
	}
	if original, ok := fields[fieldID]; ok {
		r.TopUp.ID = original
	}
	if text, ok := fields[fieldAmount]; ok {
		amount, err := decimal.Parse(text)
		d.note(fieldAmount, err)
		r.TopUp.Amount = amount
	}
	if text, ok := fields[fieldMetadata]; ok {
		d.note(fieldMetadata, json.Unmarshal([]byte(text), &r.TopUp.Metadata))
	}
	transaction, err := unpackTransaction(id, r.TxID, fields)
	d.note(fieldTransaction, err)
	r.Transaction = transaction
	r.Log = decodeLog(fields, r.CreatedAt, r.SentAt)
	if !slices.Contains(States(), r.State) {
		d.note(fieldState, fmt.Errorf("unknown state"))
	}
	if d.err != nil {
		return nil, d.err
	}
	return r, nil
}

// decoder keeps the first damage that it meets.
type decoder struct {
	id     string
	fields map[string]string
	err    error
}

func (d *decoder) note(field string, err error) {
	if err != nil && d.err == nil {
		d.err = fmt.Errorf("record of job %q: field %q is %w: %w", d.id, field, ErrDamaged, err)
	}
}

func (d *decoder) integer(field string) int64 {
	text, ok := d.fields[field]
	if !ok {
		return 0
	}
	n, err := strconv.ParseInt(text, 10, 64)
	d.note(field, err)
	return n
}

func (d *decoder) time(field string) time.Time {
	ms := d.integer(field)
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// letters stand for the states in a line of the log, and digits in a tomb, where
// letters did before.
var letters = map[byte]State{
	'q': Queued, 's': Sending, 'p': Processing, 'u': Unknown, 'S': Succeeded,
	'F': Failed, 'R': Refunded, 'C': Cancelled, 'N': NeedsReview,
	'1': Succeeded, '2': Failed, '3': Refunded, '4': Cancelled,
}

// decodeLog reads lines such as "834 qs claim w7": ms since the job was created,
// from, to, why ("=" is the name of the new state), who. A damaged line is left out:
// the log decides nothing.
func decodeLog(fields map[string]string, created, sent time.Time) []LogLine {
	var versions []int
	for name := range fields {
		if rest, ok := strings.CutPrefix(name, fieldLog); ok {
			if v, err := strconv.Atoi(rest); err == nil {
				versions = append(versions, v)
			}
		}
	}
	slices.Sort(versions)
	var lines []LogLine
	for _, v := range versions {
		parts := strings.SplitN(fields[fieldLog+strconv.Itoa(v)], " ", 4)
		if len(parts) < 3 || len(parts[1]) != 2 {
			continue
		}
		ms, err := strconv.ParseInt(parts[0], 10, 64)
		if err != nil {
			continue
		}
		line := LogLine{At: created.Add(time.Duration(ms) * time.Millisecond), From: letters[parts[1][0]], To: letters[parts[1][1]], Why: parts[2]}
		if line.Why == "=" {
			line.Why = string(line.To)
		}
		if len(parts) == 4 {
			line.Who = parts[3]
		}
		lines = append(lines, line)
	}
	// A job that was paid at its first send, by the one that claimed it, has the line
	// of the end alone.
	if len(versions) == 1 && versions[0] == 3 && len(lines) == 1 && lines[0].From == Sending && lines[0].To == Succeeded {
		lines = slices.Insert(lines, 0, LogLine{At: sent, From: Queued, To: Sending, Why: "claim", Who: lines[0].Who})
	}
	return lines
}
