package campaign

import (
	"crypto/sha256"
	"fmt"

	"example.com/topup/enqueue"
)

// unique remembers the numbers and external ids of a file, and on which line they were
// first: some 60 bytes a row. Bad rows count too, so that repairing one problem does
// not bring up the next.
type unique struct {
	allowRepeat bool
	phones      map[phoneKey]phoneSeen
	ids         map[idKey]int32
}

// phoneSeen is the line of a number's first row, negative where that row has no
// external id.
type phoneSeen int32

// phoneKey is the number itself, so two numbers are never taken for one; in two halves,
// which spares a third of the map.
type phoneKey [2]uint32

// idKey is half a SHA-256 of an id: nobody can make two ids of one key.
type idKey [16]byte

func newUnique(allowRepeat bool) *unique {
	return &unique{allowRepeat: allowRepeat, phones: map[phoneKey]phoneSeen{}, ids: map[idKey]int32{}}
}

// check reports what the row shares with an earlier one. It is called in the order of
// the file.
func (u *unique) check(c *checked) {
	line := c.row.Line
	if c.row.ExternalID != "" {
		sum := sha256.Sum256([]byte(enqueue.CanonicalID(c.row.ExternalID)))
		key := idKey(sum[:16])
		if first, twice := u.ids[key]; twice {
			c.add(Problem{Column: ColumnExternalID, Code: "external_id_twice", Also: int(first), Message: fmt.Sprintf("the id is that of line %d too, ids being compared without case (give each row its own)", first)})
		} else {
			u.ids[key] = int32(line)
		}
	}
	if c.key == 0 {
		return
	}
	key := phoneKey{uint32(c.key >> 32), uint32(c.key)}
	seen, twice := u.phones[key]
	first := int(max(seen, -seen))
	switch {
	case !twice:
		seen = phoneSeen(line)
		if !c.hasID {
			seen = -seen
		}
		u.phones[key] = seen
	case !u.allowRepeat:
		c.add(Problem{Column: ColumnPhone, Code: "phone_twice", Also: first, Message: fmt.Sprintf("the number is that of line %d too (take one out; to pay a number twice give both rows external ids and --allow-repeat-phone)", first)})
	case !c.hasID || seen < 0:
		c.add(Problem{Column: ColumnPhone, Code: "phone_twice", Also: first, Message: fmt.Sprintf("the number is that of line %d too, and not both rows have an external id (give each row its own)", first)})
	}
}
