package campaign

import (
	"crypto/sha256"
	"encoding/hex"
	"time"

	"github.com/govalues/decimal"

	"example.com/topup/enqueue"
)

// Unit says in which currency an amount is. Beside [Local] and [Sender] a file may
// name a currency by its ISO 4217 code, in capitals; [Quoter] turns it into one of the
// two, and a row is not loaded before.
type Unit string

// The two currencies of a top-up.
const (
	Local  Unit = "local"  // the destination's
	Sender Unit = "sender" // the account's
)

// Row is one checked row of a file.
type Row struct {
	Line       int    // of the file, where the row begins; from 1
	Phone      string // E.164, with the plus
	National   string // the number without its country code, as Reloadly likes it best
	Country    string // ISO 3166 alpha-2, in capitals
	Amount     decimal.Decimal
	Unit       Unit
	OperatorID int64     // Reloadly's; 0 detects it
	ExternalID string    // the file's own id of the row, or empty
	NotBefore  time.Time // zero: at once
	Cells      []string  // as they stand in the file, in the order of its header
}

// JobID is the id of the row's job: one payment per external id, or per number where
// the row has none, and campaign. name is a valid campaign name, which has no dot.
func (r *Row) JobID(name string) string {
	if r.ExternalID != "" {
		return enqueue.CanonicalID(name) + "." + r.ExternalID
	}
	sum := sha256.Sum256([]byte(r.Phone))
	return enqueue.CanonicalID(name) + "." + hex.EncodeToString(sum[:16])
}

// TopUp is the row's job. Its unit has to be [Local] or [Sender].
func (r *Row) TopUp(name string) enqueue.TopUp {
	return enqueue.TopUp{
		ID:             r.JobID(name),
		OperatorID:     r.OperatorID,
		Amount:         r.Amount,
		UseLocalAmount: r.Unit == Local,
		RecipientPhone: enqueue.Phone{CountryCode: r.Country, Number: r.National},
		Campaign:       enqueue.CanonicalID(name),
		NotBefore:      r.NotBefore,
	}
}
