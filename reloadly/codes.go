package reloadly

import (
	"net/http"
	"strings"
)

// Codes of the provider that callers look for by name.
const (
	CodeOperatorUnavailable         = "OPERATOR_UNAVAILABLE_OR_CURRENTLY_INACTIVE"
	CodeInsufficientBalance         = "INSUFFICIENT_BALANCE"
	CodeCustomIdentifierAlreadyUsed = "CUSTOM_IDENTIFIER_ALREADY_USED"
	CodePhoneRecentlyRecharged      = "PHONE_RECENTLY_RECHARGED"
	CodeTransactionNotFound         = "TRANSACTION_NOT_FOUND"
)

// advices is the table "What to do with a refusal" of the facts page. The counts are those of another
// company's production, out of about 23,000 failed top-ups [prod]; no count: documented only [doc].
// A code that is not here is AskPerson: better a person looks once than a guess pays twice.
var advices = map[string]Advice{
	"TRANSACTION_CANNOT_BE_PROCESSED_AT_THE_MOMENT": RetryLater, // 4562; with 400 refused, with 500 unknown
	"RECIPIENT_HAS_PENDING_TRANSACTION":             RetryLater, // 151
	"TRANSACTION_FAILED_ON_OPERATOR":                RetryLater, // 116
	"PROVIDER_INTERNAL_ERROR":                       RetryLater, // 89
	"REQUEST_FAILED_ON_PROVIDER":                    RetryLater, // 64
	"REQUEST_PROCESSING_FAILED":                     RetryLater, // 3

	CodeOperatorUnavailable:                       OperatorDown, // 1530; also for an operator id that does not exist
	"OPERATOR_NOT_IN_SERVICE":                     OperatorDown,
	"SERVICE_TO_OPERATOR_TEMPORARILY_UNAVAILABLE": OperatorDown,
	"CONNECTION_TO_OPERATOR_TEMPORARILY_DOWN":     OperatorDown, // 6
	"CONNECTION_TO_OPERATOR_FAILED":               OperatorDown, // 4

	CodePhoneRecentlyRecharged: WaitRecharge, // 3627

	CodeInsufficientBalance:                HoldAccount, // 8521: the largest cause by far
	"MAX_DAILY_TRANSACTION_AMOUNT_REACHED": HoldAccount,
	"MAX_DAILY_TRANSACTION_COUNT_REACHED":  HoldAccount,
	"INVALID_CREDENTIALS":                  HoldAccount, // 219 together with AUTH_ERROR
	"AUTH_ERROR":                           HoldAccount,
	"INVALID_AUDIENCE":                     HoldAccount,
	"INACTIVE_ACCOUNT":                     HoldAccount,
	"ACCOUNT_NOT_FOUND":                    HoldAccount,

	CodeCustomIdentifierAlreadyUsed: FindFirst, // 2385, most of them in fact paid

	"COULD_NOT_AUTO_DETECT_OPERATOR":          GiveUp, // 812; HTTP 404
	"OPERATOR_NOT_FOUND":                      GiveUp, // 361
	"INVALID_RECIPIENT_PHONE":                 GiveUp, // 275
	"INVALID_AMOUNT_FOR_RECIPIENT_PHONE":      GiveUp, // 177
	"INVALID_INPUT_PROVIDED":                  GiveUp, // 129
	"INVALID_AMOUNT":                          GiveUp, // 59
	"INVALID_AMOUNT_FOR_OPERATOR":             GiveUp, // 41
	"INVALID_LOCAL_AMOUNT_FOR_OPERATOR":       GiveUp,
	"LOCAL_AMOUNTS_NOT_SUPPORTED_BY_OPERATOR": GiveUp,
	"OPERATOR_AND_RECIPIENT_PHONE_MISMATCH":   GiveUp,
	"TRANSACTION_REJECTED_BY_OPERATOR":        GiveUp, // 33
	"TRANSACTION_REFUSED_BY_OPERATOR":         GiveUp, // 2
	"RECIPIENT_REACHED_MAX_TOPUP_NUMBER":      GiveUp, // 15
	"PHONE_BANNED_BY_OPERATOR":                GiveUp, // 4
	"RECIPIENT_PHONE_INACTIVE":                GiveUp, // 1
	"INVALID_PHONE_NUMBER":                    GiveUp, // 1
	"INVALID_SENDER_PHONE":                    GiveUp,
	"COUNTRY_NOT_SUPPORTED":                   GiveUp, // HTTP 409
	"TOPUP_TRANSACTION_FAILED":                GiveUp,
	"JSON_SYNTAX_ERROR":                       GiveUp,

	"UNMAPPED_PROVIDER_ERROR_CODE": AskPerson, // 47
}

// refusal says what a refusal means: the code it stands for, and what to do. The code decides before the
// status, because providers send permanent failures with any status [prod].
func refusal(status int, code, message string) (string, Advice) {
	text := strings.ToLower(message)
	// This comes first: the first top-up exists and is most likely paid, whatever code came with the
	// sentence. Reading it as "invalid input" would fail a job that was delivered.
	if status == http.StatusBadRequest && strings.Contains(text, "custom identifier") && strings.Contains(text, "already been used") {
		return CodeCustomIdentifierAlreadyUsed, FindFirst
	}
	// The older form of the largest cause has a sentence and no code [prod].
	if code == "" && (strings.Contains(text, "insufficient balance") || strings.Contains(text, "insufficient funds")) {
		return CodeInsufficientBalance, HoldAccount
	}
	if advice, known := advices[code]; known && status != http.StatusUnauthorized {
		return code, advice
	}
	switch status {
	case http.StatusUnauthorized: // the second one in a row: of the account, not of the job [doc, obs]
		return code, HoldAccount
	case http.StatusTooManyRequests:
		return code, RateLimited
	}
	return code, AskPerson
}
