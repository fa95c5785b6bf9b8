package enqueue

import "fmt"

// explain is a sentence for people: what happened, what to do.
func explain(r Result) string {
	switch r.State {
	case Queued:
		return explainWaiting(r)
	case Sending:
		return "It is being sent to Reloadly now."
	case Processing:
		return "Reloadly accepted it and the operator has not confirmed yet; its status is being followed. Nothing to do."
	case Unknown:
		if r.Sends == 0 {
			return "Redis was restarted and may have forgotten that it was sent. It is being looked up by its identifier before it is sent. Do not send it under another id."
		}
		return "Reloadly's answer did not arrive or proved nothing. It is being looked up by its identifier before anything else happens. Do not send it under another id."
	case Succeeded:
		if r.Code == CodeDouble {
			return "Delivered, but Reloadly shows a second transaction of this job. Ask Reloadly to reverse one of them."
		}
		return "Delivered and paid."
	case Failed:
		return explainFailure(r.Code)
	case Refunded:
		return "Reloadly accepted it and the operator gave it back: nothing was paid. It can be sent again by review resend."
	case Cancelled:
		return "Withdrawn before it was sent; nothing was paid."
	case NeedsReview:
		return explainReview(r.Code)
	default:
		return ""
	}
}

func explainWaiting(r Result) string {
	switch r.Reason {
	case Backoff:
		return "Not executed yet; it is tried again by itself."
	case RecentlyRecharged:
		return "The number was topped up a moment ago; two minutes must pass, then it is tried again by itself."
	case OperatorUnavailable:
		return "The operator is out of service; it is tried again by itself."
	case RateLimited:
		return "The limit of requests is reached; it goes on by itself."
	case InsufficientBalance:
		return "The account's balance is used up. Top up the account at Reloadly; it goes on by itself."
	case Account:
		return "Reloadly refuses the account or its credentials, or a daily limit is reached. It goes on by itself once the account is in order."
	case Paused:
		return "Held by a person; it goes on when the hold is released."
	case Scheduled:
		return "It waits for its notBefore."
	default:
		return "It waits for a worker."
	}
}

// fixes says what a caller can do about Reloadly's refusals.
var fixes = map[string]string{
	"COULD_NOT_AUTO_DETECT_OPERATOR":          "no operator was found for the number: check it, or give the operatorId",
	"OPERATOR_NOT_FOUND":                      "there is no such operator: check the operatorId",
	"INVALID_RECIPIENT_PHONE":                 "the number is not valid: check it",
	"INVALID_PHONE_NUMBER":                    "the number is not valid: check it",
	"INVALID_SENDER_PHONE":                    "the sender's number is not valid: check it or leave it out",
	"INVALID_AMOUNT":                          "the amount is not sold: check the operator's limits",
	"INVALID_AMOUNT_FOR_OPERATOR":             "the operator does not sell this amount: check its limits or its fixed amounts",
	"INVALID_AMOUNT_FOR_RECIPIENT_PHONE":      "this number cannot receive this amount: choose another",
	"INVALID_LOCAL_AMOUNT_FOR_OPERATOR":       "the operator does not sell this local amount: check its limits",
	"LOCAL_AMOUNTS_NOT_SUPPORTED_BY_OPERATOR": "the operator takes no local amounts: give the amount in the account's currency",
	"OPERATOR_AND_RECIPIENT_PHONE_MISMATCH":   "the number belongs to another operator: check it, or leave operatorId out",
	"RECIPIENT_REACHED_MAX_TOPUP_NUMBER":      "the number has received as many top-ups as its operator allows: try another day",
	"PHONE_BANNED_BY_OPERATOR":                "the operator has banned the number",
	"RECIPIENT_PHONE_INACTIVE":                "the number is not active",
	"COUNTRY_NOT_SUPPORTED":                   "Reloadly does not serve this country",
	"TRANSACTION_REJECTED_BY_OPERATOR":        "the operator rejected it",
	"TRANSACTION_REFUSED_BY_OPERATOR":         "the operator refused it",
	CodeTransaction:                           "Reloadly accepted it and the operator failed to deliver: it can be sent again by review resend",
	CodeExpired:                               "it could not be sent before its time was up: submit a new one if it is still wanted",
	CodeTooManySends:                          "it was refused too often: submit a new one later if it is still wanted",
	CodeNumberLimit:                           "its number has had as many top-ups today (UTC) as TOPUP_MAX_PER_NUMBER_PER_DAY allows: send it again another day, by review resend",
	CodeReviewed:                              "a person decided so",
}

func explainFailure(code string) string {
	fix, ok := fixes[code]
	if !ok {
		return fmt.Sprintf("Refused (%s); nothing was paid.", code)
	}
	return fmt.Sprintf("Nothing was paid: %s.", fix)
}

func explainReview(code string) string {
	switch code {
	case CodeUnresolved:
		return "Its fate could not be found out within a day. Ask Reloadly, then decide by review adopt, fail or resend."
	case CodeRecordLost:
		return "The ledger lost its request, and Reloadly shows no transaction of it. Compare with your own books, then decide by review fail, or submit it under a new id."
	case CodeExecutedAfter:
		return "It had ended unpaid, and Reloadly shows it as executed. Decide by review adopt."
	case CodeDouble:
		return "Reloadly accepted two transactions of it, and neither has ended. Ask Reloadly to stop one of them, then decide by review adopt."
	case CodeForeign:
		return "Its identifier belongs to a transaction with another recipient or amount: something else uses this account with the same ids."
	case CodeIdentifierInUse:
		return "Reloadly says that its identifier was used and shows no transaction of it. Ask Reloadly, then decide by review adopt, fail or resend."
	case CodeExpired, CodeTooManySends:
		return "It was not executed as far as Reloadly shows, but a send of it ended without an answer. Decide by review fail or resend."
	case "":
		return "Reloadly refused it without a code. Decide by review fail or resend."
	default:
		return fmt.Sprintf("Reloadly refused it with a code that is not known (%s). Decide by review fail or resend.", code)
	}
}
