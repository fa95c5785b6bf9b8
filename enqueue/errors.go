package enqueue

import (
	"errors"
	"fmt"
	"strings"
)

var (
	// ErrInvalid is what every refusal of a job's content matches with errors.Is.
	// The error itself is one [FieldError] or several joined.
	ErrInvalid = errors.New("invalid top-up")
	// ErrConflict says that the id belongs to a job with other content. The error
	// is a [ConflictError] and names the fields that differ, never their values.
	ErrConflict = errors.New("the id belongs to another top-up")
	// ErrNotFound says that the ledger never saw the id, or has forgotten it after
	// [LedgerConfig.Memory].
	ErrNotFound = errors.New("no such job")
	// ErrExpired says that the job ended long ago: its record is gone after
	// [LedgerConfig.Retention], but the id stays refused.
	ErrExpired = errors.New("the job's record has expired")
	// ErrDamaged says that the job's record cannot be read. Looking again does not help: a
	// person has to see to it.
	ErrDamaged = errors.New("damaged")
	// ErrNotCancellable says that the job is not waiting any more, or that it
	// cannot be ruled out that it was sent.
	ErrNotCancellable = errors.New("the job cannot be cancelled any more")
	// ErrNotReviewable says that a person's decision does not apply to the job's
	// present state.
	ErrNotReviewable = errors.New("this decision does not apply to the job")
)

// FieldError says what is wrong with one field of a job and what to do. It
// matches [ErrInvalid].
type FieldError struct {
	Field   string // the JSON name, such as "recipientPhone.number"
	Problem string // what is wrong
	Fix     string // what to do
}

func (e *FieldError) Error() string {
	return fmt.Sprintf("%s: %s (%s)", e.Field, e.Problem, e.Fix)
}

// Is makes errors.Is(err, ErrInvalid) true.
func (e *FieldError) Is(target error) bool { return target == ErrInvalid }

// ConflictError names the fields in which a submission differs from the job
// that has its id. It matches [ErrConflict].
type ConflictError struct {
	ID     string
	Fields []string // JSON names, sorted; empty when the old content is no longer kept
}

func (e *ConflictError) Error() string {
	if len(e.Fields) == 0 {
		return fmt.Sprintf("job %q exists with other content (use a new id for another top-up)", e.ID)
	}
	return fmt.Sprintf("job %q exists with another %s (use a new id for another top-up)", e.ID, strings.Join(e.Fields, ", "))
}

// Is makes errors.Is(err, ErrConflict) true.
func (e *ConflictError) Is(target error) bool { return target == ErrConflict }
