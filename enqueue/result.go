package enqueue

import (
	"encoding/json"
	"time"
)

// Result is what a caller sees of a job. Its JSON names are permanent; money is
// decimal text, times are RFC 3339 in UTC.
type Result struct {
	ID          string            `json:"id"`
	State       State             `json:"state"`
	Reason      Reason            `json:"reason"`      // what a queued job waits for
	Code        string            `json:"code"`        // Reloadly's error code, or one of ours
	MoneyMoved  Moved             `json:"moneyMoved"`  // yes, no, or unknown
	Explanation string            `json:"explanation"` // for people: what happened, what to do
	Campaign    string            `json:"campaign"`
	Sends       int               `json:"sends"` // POSTs that may have left
	Transaction *Transaction      `json:"transaction"`
	CreatedAt   time.Time         `json:"createdAt"`
	UpdatedAt   time.Time         `json:"updatedAt"`
	FinishedAt  *time.Time        `json:"finishedAt"`
	NextAction  *time.Time        `json:"nextActionAt"`
	Metadata    map[string]string `json:"metadata"`
}

// MarshalJSON writes metadata as {} where there is none.
func (r Result) MarshalJSON() ([]byte, error) {
	type plain Result
	if r.Metadata == nil {
		r.Metadata = map[string]string{}
	}
	return json.Marshal(plain(r))
}

// Result is what a caller sees of the record.
func (r *Record) Result() Result {
	result := Result{
		ID:          r.TopUp.ID,
		State:       r.State,
		Reason:      r.Reason,
		Code:        r.Code,
		MoneyMoved:  r.moneyMoved(),
		Campaign:    r.TopUp.Campaign,
		Sends:       r.Sends,
		Transaction: r.Transaction,
		CreatedAt:   r.CreatedAt,
		UpdatedAt:   r.UpdatedAt,
		Metadata:    r.TopUp.Metadata,
	}
	if !r.FinishedAt.IsZero() {
		result.FinishedAt = &r.FinishedAt
	}
	if !r.NextAt.IsZero() && !r.State.Settled() {
		result.NextAction = &r.NextAt
	}
	if r.State == Queued {
		result.Reason = waitsFor(r.Reason, r.TopUp.NotBefore)
	}
	result.Explanation = explain(result)
	return result
}

// waitsFor is why a queued job waits: a record says nothing of its own notBefore.
func waitsFor(reason Reason, notBefore time.Time) Reason {
	if reason == "" && notBefore.After(time.Now()) {
		return Scheduled
	}
	return reason
}

// statusSuccessful is Reloadly's word for a transaction that was paid.
const statusSuccessful = "SUCCESSFUL"

func (r *Record) moneyMoved() Moved {
	switch r.State {
	case Succeeded:
		return MovedYes
	case Failed, Refunded, Cancelled:
		return MovedNo
	case Queued:
		if r.Ambiguous == 0 && !r.Suspect {
			return MovedNo
		}
	case NeedsReview:
		if r.Code == CodeExecutedAfter && r.Transaction != nil && r.Transaction.Status == statusSuccessful {
			return MovedYes
		}
		if r.Ambiguous == 0 && !r.Suspect && r.TxID == 0 && r.Code != CodeIdentifierInUse {
			return MovedNo
		}
	}
	return MovedUnknown
}
