package reloadly

import (
	"fmt"
	"strings"
	"time"
)

// Outcome answers whether the provider may have acted.
type Outcome int

const (
	// Unknown: the request may have been executed. Look it up by its identifier before anything else.
	// For a call that only reads: there was no answer that can be trusted.
	Unknown Outcome = iota
	// NotSent: nothing that could be executed left this process; sending again is safe.
	NotSent
	// Refused: the provider answered that it did not execute the request. Advice says what to do.
	Refused
)

// String is the word for logs and metric labels: unknown, not_sent or refused.
func (o Outcome) String() string {
	switch o {
	case NotSent:
		return "not_sent"
	case Refused:
		return "refused"
	default:
		return "unknown"
	}
}

// Advice is what to do with a request that was refused or not sent. On an Unknown top-up it is always
// AskPerson, so that nobody who forgets to look at the Outcome sends it again.
type Advice int

const (
	// AskPerson: the code is not in the table of the facts page, or the provider itself did not know.
	AskPerson Advice = iota
	// RetryLater: a passing trouble; try again after a short backoff.
	RetryLater
	// WaitRecharge: the number was topped up less than two minutes ago, perhaps by our own request whose
	// answer was lost: look the identifier up, then try again after the window.
	WaitRecharge
	// HoldAccount: no request of this account can succeed now (balance, daily limit, credentials).
	HoldAccount
	// OperatorDown: this operator cannot be reached; try again, and count it for the operator's breaker.
	OperatorDown
	// RateLimited: 429; nothing of this account goes out before RetryAfter.
	RateLimited
	// FindFirst: the identifier was used by an accepted top-up, which must be found.
	FindFirst
	// GiveUp: the same request will never succeed.
	GiveUp
)

var adviceWords = [...]string{
	AskPerson: "ask_person", RetryLater: "retry_later", WaitRecharge: "wait_recharge",
	HoldAccount: "hold_account", OperatorDown: "operator_down", RateLimited: "rate_limited",
	FindFirst: "find_first", GiveUp: "give_up",
}

// String is the word for logs and metric labels, for example hold_account.
func (a Advice) String() string {
	if a < 0 || int(a) >= len(adviceWords) {
		return adviceWords[AskPerson]
	}
	return adviceWords[a]
}

// The codes that this package gives itself, where the provider gave none. [Error].Code is otherwise the
// provider's errorCode.
const (
	// CodePermissionExpired: FirstByteBy had passed before the first byte was written.
	CodePermissionExpired = "PERMISSION_EXPIRED"
	// CodeCancelled: the caller's context ended before anything was written.
	CodeCancelled = "CANCELLED"
	// CodeNotConnected: no connection was made (DNS, refused, TLS).
	CodeNotConnected = "NOT_CONNECTED"
	// CodeNoAnswer: a connection was made and no whole answer came back over it.
	CodeNoAnswer = "NO_ANSWER"
	// CodeBadAnswer: a 2xx that cannot be read, is too large, or lacks what it must have.
	CodeBadAnswer = "BAD_ANSWER"
	// CodeAnswerMismatch: a well-formed 2xx about something else than what was asked.
	CodeAnswerMismatch = "ANSWER_MISMATCH"
	// CodeInvalidRequest: refused by this package before anything was sent.
	CodeInvalidRequest = "INVALID_REQUEST"
)

// Error is what every method of Client returns when it has no answer. Decide by Outcome and Advice; the
// rest is for people and records.
type Error struct {
	Outcome Outcome
	Advice  Advice
	// Code is the provider's errorCode, one of this package's Code constants, or empty.
	Code string
	// Message is the provider's text with secrets and runs of digits masked, at most 300 characters.
	Message string
	// HTTPStatus is 0 when there was no answer.
	HTTPStatus int
	// RetryAfter is the provider's wish, 1 s to 15 min, from Retry-After or X-RateLimit-Reset; 0 when
	// it gave none (any of the headers may be missing [doc]).
	RetryAfter time.Duration
	// Op is the call: topup, topup_async, status, report, token, …; a bounded set.
	Op string
	// Date is the Date header of the answer, zero when there was none.
	Date time.Time
	// TransactionID is the transaction that a mismatching answer named, otherwise 0. Not proven ours.
	TransactionID int64
	// Err is the cause, for errors.Is; its text is masked too.
	Err error
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Error says what was called, what came of it, why, and what to do.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "reloadly %s: %s", e.Op, strings.ReplaceAll(e.Outcome.String(), "_", " "))
	if detail := strings.TrimSpace(e.httpText() + " " + e.Code); detail != "" {
		fmt.Fprintf(&b, " (%s)", detail)
	}
	if e.Message != "" {
		fmt.Fprintf(&b, ": %s", e.Message)
	}
	if e.Err != nil {
		fmt.Fprintf(&b, ": %s", maskDigits(e.Err.Error()))
	}
	fmt.Fprintf(&b, "; %s", e.todo())
	return b.String()
}

func (e *Error) httpText() string {
	if e.HTTPStatus == 0 {
		return ""
	}
	return fmt.Sprintf("HTTP %d", e.HTTPStatus)
}

func (e *Error) todo() string {
	switch e.Advice {
	case RetryLater:
		return "try again later"
	case WaitRecharge:
		return "look the identifier up, then wait two minutes"
	case HoldAccount:
		return "hold the account: check balance, limits and credentials"
	case OperatorDown:
		return "try again when the operator is back"
	case RateLimited:
		return "wait for the rate limit to reset"
	case FindFirst:
		return "find the transaction that used the identifier"
	case GiveUp:
		return "correct the request, it cannot succeed as it is"
	default:
		if e.Outcome == Unknown {
			return "it may have been executed: look it up by its identifier"
		}
		return "ask a person to look at it"
	}
}

// invalidRequest is an error found before anything was sent.
func invalidRequest(op, format string, args ...any) *Error {
	return &Error{
		Outcome: NotSent, Advice: GiveUp, Code: CodeInvalidRequest, Op: op,
		Message: fmt.Sprintf(format, args...),
	}
}
