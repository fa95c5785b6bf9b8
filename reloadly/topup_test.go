package reloadly

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/govalues/decimal"
)

func TestTopUpOfTheQuickStart(t *testing.T) {
	var header http.Header
	p := newProvider(t, func(w http.ResponseWriter, r *http.Request) {
		header = r.Header
		reply(200, quickStartAnswer)(w, r)
	})
	got, err := newClient(t, p.config()).TopUp(t.Context(), quickStart())
	if err != nil {
		t.Fatal(err)
	}
	text := func(s string) *string { return &s }
	amount := func(s string) Amount { return NewAmount(decimal.MustParse(s)) }
	want := &Transaction{
		TransactionID: 33469, Status: Successful, CustomIdentifier: "airtime-top-up",
		RecipientPhone: text("971503971821"), SenderPhone: text("11231231231"),
		CountryCode: "AE", OperatorID: 1100, OperatorName: "Etisalat United Arab Emirates",
		Discount: amount("41.6"), DiscountCurrencyCode: "NGN",
		RequestedAmount: amount("832"), RequestedAmountCurrencyCode: "NGN",
		DeliveredAmount: amount("5.6"), DeliveredAmountCurrencyCode: "AED",
		TransactionDate: "2022-06-06 10:57:48",
		BalanceInfo: &Debit{
			OldBalance: amount("809811.69103"), NewBalance: amount("809021.29103"), Cost: amount("790.4"),
			CurrencyCode: "NGN", CurrencyName: "Nigerian Naira", UpdatedAt: "2022-06-06 14:57:48",
		},
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b Amount) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
	wantBody := `POST /topups {"operatorId":1100,"amount":832,"useLocalAmount":false,"customIdentifier":"airtime-top-up",` +
		`"recipientPhone":{"countryCode":"AE","number":"0503971821"},"recipientEmail":"jeanb@reloadly.com",` +
		`"senderPhone":{"countryCode":"CA","number":"11231231231"}}`
	if diff := cmp.Diff([]string{wantBody}, p.seen()); diff != "" {
		t.Error(diff)
	}
	for name, want := range map[string]string{
		"Authorization": "Bearer " + testToken, "Accept": "application/com.reloadly.topups-v1+json",
		"Content-Type": "application/json", "User-Agent": "topup", "Idempotency-Key": "", "X-Idempotency-Key": "",
	} {
		if got := header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestTopUpAsyncIsProcessing(t *testing.T) {
	p := newProvider(t, reply(200, `{"transactionId":"4602843"}`))
	got, err := newClient(t, p.config()).TopUpAsync(t.Context(), quickStart())
	if err != nil || got.TransactionID != 4602843 || got.Status != Processing {
		t.Errorf("got %+v, %v", got, err)
	}
	if seen := p.seen(); len(seen) != 1 || !strings.HasPrefix(seen[0], "POST /topups-async ") {
		t.Errorf("requests: %q", seen)
	}
}

// Each body is in the provider's own words (facts page, "Errors"), or in those of what stands before it.
const (
	structured   = `{"timeStamp":"2026-10-01 10:00:00","message":"Transaction refused","path":"/topups","errorCode":"TRANSACTION_REFUSED_BY_OPERATOR","infoLink":null,"details":[]}`
	nullCode     = `{"timeStamp":"2026-10-01 10:00:00","message":"Something","path":"/topups","errorCode":null,"infoLink":null,"details":[]}`
	springForm   = `{"timestamp":"2026-10-01T10:00:00.000+00:00","status":404,"error":"Not Found","path":"/topups"}`
	gatewayForm  = `{"error":"access_denied","error_description":"Unauthorized"}`
	html         = `<html><head><title>Attention Required!</title></head></html>`
	operatorDown = `{"timeStamp":"2026-10-01 10:00:00","message":"Operator is currently unavailable","path":"/topups","errorCode":"OPERATOR_UNAVAILABLE_OR_CURRENTLY_INACTIVE","infoLink":null,"details":[]}`
)

func TestTopUpOutcomeByStatusAndBody(t *testing.T) {
	bodies := map[string]string{
		"structured": structured, "null code": nullCode, "spring": springForm, "gateway": gatewayForm,
		"html": html, "empty": "", "truncated": structured[:40], "bare object": `{}`, "array": `[]`,
		"null": `null`, "other object": `{"foo":1}`,
	}
	isError := func(name string) bool {
		return name == "structured" || name == "null code" || name == "spring" || name == "gateway"
	}
	var status int
	var body string
	p := newProvider(t, func(w http.ResponseWriter, r *http.Request) { reply(status, body)(w, r) })
	c := newClient(t, p.config())
	for status = 200; status <= 599; status++ {
		if status == 204 || status == 205 || status == 304 { // carry no body
			continue
		}
		if status > 240 && status < 300 || status > 310 && status < 400 || status > 452 && status < 500 || status > 512 && status < 590 {
			continue
		}
		for name, text := range bodies {
			body = text
			want := Unknown
			switch {
			case status == 401, status == 429:
				want = Refused
			case status == 408:
			case status >= 400 && status < 500 && isError(name):
				want = Refused
			}
			_, err := c.TopUp(t.Context(), quickStart())
			if err == nil {
				t.Fatalf("%d %s: no error", status, name)
			}
			e := wantError(t, err)
			if e.Outcome != want || e.HTTPStatus != status {
				t.Errorf("%d %s: %v, want %v (%v)", status, name, e.Outcome, want, e)
			}
			if e.Outcome == Unknown && e.Advice != AskPerson {
				t.Errorf("%d %s: an unknown outcome advises %v", status, name, e.Advice)
			}
		}
	}
	for status, want := range map[int]Outcome{500: Unknown, 502: Unknown, 504: Unknown, 503: Refused, 400: Refused, 408: Unknown, 200: Unknown} {
		err := classifyOrTake(c, status, operatorDown)
		if err.Outcome != want || (want == Refused && err.Advice != OperatorDown) {
			t.Errorf("%d operator unavailable: %v %v, want %v", status, err.Outcome, err.Advice, want)
		}
	}
}

func classifyOrTake(c *Client, status int, body string) *Error {
	return c.judge(call{op: opTopUp, pays: true, take: func(ans answer) error {
		var t Transaction
		if err := json.Unmarshal(ans.body, &t); err != nil {
			return err
		}
		return quickStart().Matches(&t)
	}}, answer{status: status, header: http.Header{}, body: []byte(body)}, "")
}

func TestTopUpAnswersThatProveNothing(t *testing.T) {
	const head = `{"transactionId":33469,"customIdentifier":"airtime-top-up"`
	for name, tc := range map[string]struct {
		answer http.HandlerFunc
		code   string
	}{
		"no id":        {reply(200, `{"status":"SUCCESSFUL"}`), CodeBadAnswer},
		"id null":      {reply(200, `{"transactionId":null}`), CodeBadAnswer},
		"id zero":      {reply(200, `{"transactionId":0}`), CodeBadAnswer},
		"id negative":  {reply(200, `{"transactionId":-5}`), CodeBadAnswer},
		"id fraction":  {reply(200, `{"transactionId":1.5}`), CodeBadAnswer},
		"id text":      {reply(200, `{"transactionId":"abc"}`), CodeBadAnswer},
		"no content":   {reply(204, ``), CodeBadAnswer},
		"oversized":    {reply(200, head+`,"x":"`+strings.Repeat("a", maxPostAnswer)+`"}`), CodeBadAnswer},
		"trailing":     {reply(200, head+`}{}`), CodeBadAnswer},
		"cut short":    {cutShort(head + `}`), CodeBadAnswer},
		"not gzip":     {notGzip, CodeBadAnswer},
		"identifier":   {reply(200, `{"transactionId":1,"customIdentifier":"Airtime-top-up"}`), CodeAnswerMismatch},
		"recipient":    {reply(200, head+`,"recipientPhone":"971503971822"}`), CodeAnswerMismatch},
		"recipient no": {reply(200, head+`,"recipientPhone":971503971822}`), CodeAnswerMismatch},
		"email":        {reply(200, head+`,"recipientEmail":"other@reloadly.com"}`), CodeAnswerMismatch},
		"amount":       {reply(200, head+`,"requestedAmount":8320}`), CodeAnswerMismatch},
		"a cent":       {reply(200, head+`,"requestedAmount":"832.01"}`), CodeAnswerMismatch},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProvider(t, tc.answer)
			_, err := newClient(t, p.config()).TopUp(t.Context(), quickStart())
			e := wantError(t, err)
			if e.Outcome != Unknown || e.Code != tc.code {
				t.Errorf("got %v %s, want unknown %s", e.Outcome, e.Code, tc.code)
			}
			if tc.code == CodeAnswerMismatch && e.TransactionID == 0 {
				t.Error("the transaction to look at is not named")
			}
			if n := len(p.seen()); n != 1 {
				t.Errorf("%d requests", n)
			}
		})
	}
}

func cutShort(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(len(body)+10))
		_, _ = w.Write([]byte(body))
	}
}

func notGzip(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Encoding", "gzip")
	_, _ = w.Write([]byte(quickStartAnswer))
}

func TestTopUpAnswersThatAreAccepted(t *testing.T) {
	for name, tc := range map[string]struct {
		status int
		body   string
		want   Status
	}{
		"no status":                {200, `{"transactionId":7}`, ""},
		"created":                  {201, `{"transactionId":7,"status":"PROCESSING"}`, Processing},
		"a new word":               {202, `{"transactionId":7,"status":"QUEUED"}`, "QUEUED"},
		"failed":                   {200, `{"transactionId":7,"status":"FAILED"}`, Failed},
		"other types, still ours":  {200, `{"transactionId":"7","status":"SUCCESSFUL","balanceInfo":[],"pinDetail":"x","discount":"free","operatorName":5}`, Successful},
		"amount nobody can hold":   {200, `{"transactionId":7,"status":"SUCCESSFUL","requestedAmount":1e999}`, Successful},
		"masked phone":             {200, `{"transactionId":7,"status":"SUCCESSFUL","recipientPhone":"97150*****22"}`, Successful},
		"national phone":           {200, `{"transactionId":7,"status":"SUCCESSFUL","recipientPhone":"0503971821"}`, Successful},
		"rounded in the third":     {200, `{"transactionId":7,"status":"SUCCESSFUL","requestedAmount":832.004}`, Successful},
		"unknown fields and a pin": {200, `{"transactionId":7,"status":"SUCCESSFUL","new":{"a":[1]},"pinDetail":{"serial":558111,"code":773709733097662,"value":null}}`, Successful},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProvider(t, reply(tc.status, tc.body))
			got, err := newClient(t, p.config()).TopUp(t.Context(), quickStart())
			if err != nil || got.Status != tc.want || got.TransactionID != 7 {
				t.Fatalf("got %+v, %v", got, err)
			}
			if got.PinDetail != nil && got.PinDetail.Code != "" && (got.PinDetail.Code != "773709733097662" || got.PinDetail.Serial != "558111") {
				t.Errorf("pin %+v", got.PinDetail)
			}
		})
	}
}

func TestTopUpRefusesARequestThatIsNotOne(t *testing.T) {
	p := newProvider(t, reply(200, quickStartAnswer))
	c := newClient(t, p.config())
	for name, change := range map[string]func(*TopUpRequest){
		"operator":       func(r *TopUpRequest) { r.OperatorID = 0 },
		"amount":         func(r *TopUpRequest) { r.Amount = decimal.Zero },
		"negative":       func(r *TopUpRequest) { r.Amount = decimal.MustParse("-1") },
		"identifier":     func(r *TopUpRequest) { r.CustomIdentifier = " " },
		"long":           func(r *TopUpRequest) { r.CustomIdentifier = strings.Repeat("é", 151) },
		"recipient":      func(r *TopUpRequest) { r.RecipientPhone, r.RecipientEmail = nil, "" },
		"country":        func(r *TopUpRequest) { r.RecipientPhone.CountryCode = "" },
		"number, digits": func(r *TopUpRequest) { r.RecipientPhone.Number = "x" },
	} {
		r := quickStart()
		change(&r)
		_, err := c.TopUp(t.Context(), r)
		if e := wantError(t, err); e.Outcome != NotSent || e.Code != CodeInvalidRequest || e.Advice != GiveUp {
			t.Errorf("%s: %v", name, e)
		}
	}
	if seen := p.seen(); len(seen) != 0 {
		t.Errorf("sent %q", seen)
	}
}

func TestSamePhone(t *testing.T) {
	for _, tc := range []struct {
		ours, theirs string
		want         bool
	}{
		{"0503971821", "971503971821", true},
		{"+971 50 397-1821", "971503971821", true},
		{"011 15 2345 6789", "5491123456789", true}, // Argentina: the trunk prefix stands inside
		{"76123456", "22376123456", true},
		{"0503971821", "971503971822", false},
		{"0503971821", "22376123456", false},
		{"0503971821", "97150XXXXX22", true},
	} {
		if got := samePhone(tc.ours, tc.theirs); got != tc.want {
			t.Errorf("samePhone(%q, %q) = %v", tc.ours, tc.theirs, got)
		}
	}
}
