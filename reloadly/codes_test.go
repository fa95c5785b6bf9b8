package reloadly

import (
	"fmt"
	"net/http"
	"testing"
	"time"
)

// The table of the facts page, "What to do with a refusal", written out once more by hand.
var factsTable = map[Advice][]string{
	RetryLater: {
		"TRANSACTION_CANNOT_BE_PROCESSED_AT_THE_MOMENT", "RECIPIENT_HAS_PENDING_TRANSACTION",
		"TRANSACTION_FAILED_ON_OPERATOR", "PROVIDER_INTERNAL_ERROR", "REQUEST_FAILED_ON_PROVIDER", "REQUEST_PROCESSING_FAILED",
	},
	OperatorDown: {
		"OPERATOR_UNAVAILABLE_OR_CURRENTLY_INACTIVE", "OPERATOR_NOT_IN_SERVICE",
		"SERVICE_TO_OPERATOR_TEMPORARILY_UNAVAILABLE", "CONNECTION_TO_OPERATOR_TEMPORARILY_DOWN", "CONNECTION_TO_OPERATOR_FAILED",
	},
	WaitRecharge: {"PHONE_RECENTLY_RECHARGED"},
	HoldAccount: {
		"INSUFFICIENT_BALANCE", "MAX_DAILY_TRANSACTION_AMOUNT_REACHED", "MAX_DAILY_TRANSACTION_COUNT_REACHED",
		"INVALID_CREDENTIALS", "AUTH_ERROR", "INACTIVE_ACCOUNT", "ACCOUNT_NOT_FOUND", "INVALID_AUDIENCE",
	},
	FindFirst: {"CUSTOM_IDENTIFIER_ALREADY_USED"},
	GiveUp: {
		"COULD_NOT_AUTO_DETECT_OPERATOR", "OPERATOR_NOT_FOUND", "INVALID_RECIPIENT_PHONE",
		"INVALID_AMOUNT_FOR_RECIPIENT_PHONE", "INVALID_INPUT_PROVIDED", "INVALID_AMOUNT", "INVALID_AMOUNT_FOR_OPERATOR",
		"INVALID_LOCAL_AMOUNT_FOR_OPERATOR", "LOCAL_AMOUNTS_NOT_SUPPORTED_BY_OPERATOR",
		"OPERATOR_AND_RECIPIENT_PHONE_MISMATCH", "TRANSACTION_REJECTED_BY_OPERATOR", "TRANSACTION_REFUSED_BY_OPERATOR",
		"RECIPIENT_REACHED_MAX_TOPUP_NUMBER", "PHONE_BANNED_BY_OPERATOR", "RECIPIENT_PHONE_INACTIVE",
		"INVALID_PHONE_NUMBER", "INVALID_SENDER_PHONE", "COUNTRY_NOT_SUPPORTED", "TOPUP_TRANSACTION_FAILED", "JSON_SYNTAX_ERROR",
	},
	AskPerson: {"UNMAPPED_PROVIDER_ERROR_CODE", "A_CODE_OF_NEXT_YEAR", "TRANSACTION_NOT_FOUND"},
}

func TestEveryCodeHasItsAdvice(t *testing.T) {
	known := 0
	for advice, codes := range factsTable {
		for _, code := range codes {
			if _, ok := advices[code]; ok {
				known++
			}
			body := fmt.Sprintf(`{"timeStamp":"2026-10-01 10:00:00","message":"A sentence.","path":"/topups","errorCode":%q,"infoLink":null,"details":[]}`, code)
			for _, status := range []int{400, 404, 409, 422} {
				e := classifyOrTake(&Client{cfg: Config{Now: time.Now}}, status, body)
				if e.Outcome != Refused || e.Advice != advice || e.Code != code {
					t.Errorf("%d %s: %v %v, want refused %v", status, code, e.Outcome, e.Advice, advice)
				}
			}
			if e := classifyOrTake(&Client{cfg: Config{Now: time.Now}}, 500, body); e.Outcome != Unknown || e.Code != code || e.Advice != AskPerson {
				t.Errorf("500 %s: %v %v, want unknown", code, e.Outcome, e.Advice)
			}
		}
	}
	if known != len(advices) {
		t.Errorf("the table has %d codes, the facts page names %d of them", len(advices), known)
	}
}

func TestRefusalsByTheirSentence(t *testing.T) {
	for _, tc := range []struct {
		status int
		body   string
		advice Advice
		code   string
	}{
		{400, `{"message":"Insufficient balance","errorCode":null}`, HoldAccount, CodeInsufficientBalance},
		{400, `{"message":"Insufficient funds in the wallet to complete this transaction","errorCode":""}`, HoldAccount, CodeInsufficientBalance},
		{400, `{"message":"A transaction with custom identifier airtime-top-up has already been used","errorCode":null}`, FindFirst, CodeCustomIdentifierAlreadyUsed},
		{400, `{"message":"The Custom Identifier x has already been used","errorCode":"INVALID_INPUT_PROVIDED"}`, FindFirst, CodeCustomIdentifierAlreadyUsed},
		{401, `{"message":"Full authentication is required","errorCode":"MISSING_TOKEN"}`, HoldAccount, "MISSING_TOKEN"},
		{401, ``, HoldAccount, ""},
		{429, `<html>`, RateLimited, ""},
		{429, `{"message":"Too many","errorCode":"TOO_MANY_REQUESTS"}`, RateLimited, "TOO_MANY_REQUESTS"},
		{429, `{"message":"Daily","errorCode":"MAX_DAILY_TRANSACTION_COUNT_REACHED"}`, HoldAccount, "MAX_DAILY_TRANSACTION_COUNT_REACHED"},
		{400, `{"message":"Something new","errorCode":null}`, AskPerson, ""},
		{400, `{"message":"Something new","errorCode":17}`, AskPerson, "17"},
	} {
		e := classifyOrTake(&Client{cfg: Config{Now: time.Now}}, tc.status, tc.body)
		if e.Outcome != Refused || e.Advice != tc.advice || e.Code != tc.code {
			t.Errorf("%d %s: %v %v %q", tc.status, tc.body, e.Outcome, e.Advice, e.Code)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 10, 1, 10, 0, 0, 0, time.UTC)
	for name, tc := range map[string]struct {
		status       int
		after, reset string
		want         time.Duration
	}{
		"neither":          {429, "", "", 0},
		"seconds":          {429, "7", "", 7 * time.Second},
		"date":             {503, "Thu, 01 Oct 2026 10:00:09 GMT", "", 9 * time.Second},
		"reset":            {429, "", "1790848830", 30 * time.Second},
		"reset in past":    {429, "", "1790848000", time.Second},
		"not of a 429":     {503, "", "1790848830", 0},
		"zero":             {429, "0", "", time.Second},
		"a day":            {429, "86400", "", 15 * time.Minute},
		"text, then reset": {429, "soon", "1790848830", 30 * time.Second},
	} {
		h := http.Header{}
		h.Set("Retry-After", tc.after)
		h.Set("X-RateLimit-Reset", tc.reset)
		// The local clock is an hour wrong: the answer's own Date counts.
		if got := retryAfter(answer{status: tc.status, header: h, date: now}, now.Add(time.Hour)); got != tc.want {
			t.Errorf("%s: %v, want %v", name, got, tc.want)
		}
	}
	if got := retryAfter(answer{status: 429, header: http.Header{"X-Ratelimit-Reset": {"1790848830"}}}, now); got != 30*time.Second {
		t.Errorf("without a Date: %v", got)
	}
}
