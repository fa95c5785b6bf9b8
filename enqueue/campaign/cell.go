package campaign

import (
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"example.com/topup/enqueue"
)

// MaxCellLength is the longest cell that is read, in characters. Longer ones are the
// mark of a quote that is never closed.
const MaxCellLength = 10_000

func tooLong(cell string) bool {
	return len(cell) > MaxCellLength && utf8.RuneCountInString(cell) > MaxCellLength
}

var (
	numberLike = regexp.MustCompile(`[0-9](?:[ .()\x{00a0}\x{202f}-]*[0-9]){7,}`)
	dateLike   = regexp.MustCompile(`^[0-9]{4}-[0-9]{2}-[0-9]{2}`)
)

// quoted shows a cell in a message: short, on one line, and without a whole phone
// number, for columns get swapped and messages end in logs.
func quoted(cell string) string {
	const most = 40
	if utf8.RuneCountInString(cell) > most {
		cell = string([]rune(cell)[:most]) + "…"
	}
	date := dateLike.FindString(cell)
	return strconv.Quote(date + numberLike.ReplaceAllStringFunc(cell[len(date):], enqueue.MaskNumber))
}

// readOperatorID reads Reloadly's number of an operator; an empty cell detects it.
func readOperatorID(cell string) (int64, *fault) {
	if cell == "" {
		return 0, nil
	}
	id, err := strconv.ParseInt(cell, 10, 64)
	if err != nil || id <= 0 || strings.Trim(cell, "0123456789") != "" {
		return 0, &fault{"operator_not_number", quoted(cell) + " is not the number of an operator (give Reloadly's operator id such as 341, or leave it empty to detect the operator)"}
	}
	return id, nil
}

// readExternalID reads the file's own id of a row, which becomes part of the job's.
func readExternalID(cell string) *fault {
	switch {
	case len(cell) > MaxExternalIDLength:
		return &fault{"external_id_long", "the id is longer than 64 characters (shorten it, or use a hash of it)"}
	case strings.Trim(cell, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:-") != "":
		return &fault{"external_id_characters", quoted(cell) + " has a character that is not allowed in an id (use letters, digits and . _ : - alone)"}
	}
	return nil
}

// readNotBefore reads the earliest time of a row: RFC 3339, so that nobody has to guess
// the offset or which of two numbers is the month.
func readNotBefore(cell string) (time.Time, *fault) {
	if cell == "" {
		return time.Time{}, nil
	}
	const fix = "(write RFC 3339 with an offset, such as 2026-05-31T09:00:00+01:00)"
	var t time.Time
	if err := t.UnmarshalText([]byte(cell)); err != nil {
		if t.UnmarshalText([]byte(cell+"Z")) == nil {
			return time.Time{}, &fault{"not_before_offset", quoted(cell) + " has no offset " + fix}
		}
		return time.Time{}, &fault{"not_before_form", quoted(cell) + " is not a time " + fix}
	}
	if t.Year() < 2000 || t.Year() > 2200 {
		return time.Time{}, &fault{"not_before_year", quoted(cell) + " is not a sensible time " + fix}
	}
	return t.UTC().Truncate(time.Millisecond), nil // the ledger keeps milliseconds
}
