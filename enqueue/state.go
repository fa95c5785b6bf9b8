package enqueue

// State is where a job stands. The texts are permanent.
type State string

// The states of a job; doc.go has the drawing.
const (
	Queued      State = "queued"       // waits to be sent; Reason says why where it waits for something
	Sending     State = "sending"      // a worker has the one permission to send it
	Processing  State = "processing"   // Reloadly accepted it, the operator has not confirmed
	Unknown     State = "unknown"      // it may have been executed: it is being looked up
	Succeeded   State = "succeeded"    // delivered and paid (final)
	Failed      State = "failed"       // refused, nothing was paid (final)
	Refunded    State = "refunded"     // accepted, then given back by the operator (final)
	Cancelled   State = "cancelled"    // withdrawn before it was sent (final)
	NeedsReview State = "needs_review" // a person decides: see topup review
)

// States lists every state in the order of a job's life.
func States() []State {
	return []State{Queued, Sending, Processing, Unknown, Succeeded, Failed, Refunded, Cancelled, NeedsReview}
}

// Final reports whether the job has ended. A final job changes again only when a
// person sends it again, or when evidence turns up that contradicts its end.
func (s State) Final() bool {
	switch s {
	case Succeeded, Failed, Refunded, Cancelled:
		return true
	default:
		return false
	}
}

// Settled reports whether waiting longer changes nothing by itself: the job is
// final or needs a person.
func (s State) Settled() bool { return s.Final() || s == NeedsReview }

// Reason says what a queued job waits for. The set is bounded: the same words
// stand in results, logs and metrics.
type Reason string

// Why a queued job waits.
const (
	Backoff             Reason = "backoff"              // a transient refusal: tried again later
	RecentlyRecharged   Reason = "recently_recharged"   // two minutes between two top-ups of one number
	OperatorUnavailable Reason = "operator_unavailable" // the operator is down: its breaker is open
	RateLimited         Reason = "rate_limited"         // Reloadly or our own limit asks to slow down
	InsufficientBalance Reason = "insufficient_balance" // the account's balance is used up
	Account             Reason = "account"              // the account or its credentials are refused, or a daily limit is reached
	Paused              Reason = "paused"               // held by a person
	Scheduled           Reason = "scheduled"            // notBefore lies ahead
)

// Reasons lists every reason.
func Reasons() []Reason {
	return []Reason{Backoff, RecentlyRecharged, OperatorUnavailable, RateLimited, InsufficientBalance, Account, Paused, Scheduled}
}

// Codes that the project itself gives; every other code is Reloadly's own.
const (
	CodeExpired         = "EXPIRED"           // not sent before its time was up
	CodeTooManySends    = "TOO_MANY_SENDS"    // the limit of sends was reached
	CodeUnresolved      = "UNRESOLVED"        // no answer about its fate within a day
	CodeRecordLost      = "RECORD_LOST"       // a wake-up came for a job that the ledger does not know
	CodeExecutedAfter   = "EXECUTED_AFTER"    // a job that had ended unpaid turned up as executed
	CodeDouble          = "DOUBLE"            // two executed transactions of one job: the promise was broken
	CodeForeign         = "FOREIGN"           // its identifier belongs to a transaction with another recipient or amount
	CodeReviewed        = "REVIEWED"          // a person decided that nothing was paid
	CodeIdentifierInUse = "IDENTIFIER_IN_USE" // Reloadly says that the identifier is used, and shows no transaction of it
	CodeNumberLimit     = "NUMBER_LIMIT"      // its number has had as many top-ups today as is allowed
	CodeTransaction     = "TRANSACTION_ENDED" // the transaction ended as FAILED or REFUNDED
)

// Moved says whether money moved.
type Moved string

// Whether money moved.
const (
	MovedYes     Moved = "yes"
	MovedNo      Moved = "no"
	MovedUnknown Moved = "unknown"
)
