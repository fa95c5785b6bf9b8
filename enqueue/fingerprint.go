package enqueue

import (
	"crypto/sha256"
	"strconv"
	"strings"
)

// fingerprint tells whether two jobs of one id are the same job. The id is part of
// it, so that equal numbers and amounts of two jobs do not show. Its 12 bytes are kept
// as they are: a value in Redis need not be text.
func fingerprint(t TopUp) string {
	sum := sha256.Sum256([]byte(strings.Join([]string{
		CanonicalID(t.ID), strconv.FormatInt(t.OperatorID, 10), t.Amount.Trim(0).String(), strconv.FormatBool(t.UseLocalAmount),
		t.RecipientPhone.CountryCode, t.RecipientPhone.Number, t.RecipientEmail,
		t.SenderPhone.CountryCode, t.SenderPhone.Number,
		t.Campaign, unixMilli(t.NotBefore), unixMilli(t.Expires), metadataText(t.Metadata),
	}, "\x00")))
	return string(sum[:12])
}
