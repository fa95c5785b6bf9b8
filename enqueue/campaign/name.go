package campaign

import (
	"fmt"
	"strings"

	"example.com/topup/enqueue"
)

// Limits of names, so that NAME.EXTERNAL_ID is a job's id.
const (
	MaxNameLength       = 35 // characters
	MaxExternalIDLength = 64 // characters
)

// CheckName says whether a campaign can have this name: letters, digits, - and _.
// A dot would let two campaigns make one id. Names are compared without case.
func CheckName(name string) error {
	const fix = "use 1 to 35 letters, digits, - and _"
	switch {
	case name == "":
		return &enqueue.FieldError{Field: "campaign", Problem: "has no name", Fix: fix}
	case len(name) > MaxNameLength:
		return &enqueue.FieldError{Field: "campaign", Problem: fmt.Sprintf("has a name longer than %d characters", MaxNameLength), Fix: fix}
	case strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") != "":
		return &enqueue.FieldError{Field: "campaign", Problem: "has a name with a character that is not allowed", Fix: fix}
	}
	return nil
}
