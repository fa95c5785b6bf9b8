package reloadly

import (
	"encoding/json"
	"errors"
	"io"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"
)

// The whole way of an answer, but for the connection: whatever Reloadly, or something
// in front of it, sends, nothing panics, and nothing is taken for more than it proves.

// canned is a client whose every call but that for a token gets one answer.
type canned struct {
	*Client
	status int
	body   string
	header http.Header
}

func (c *canned) RoundTrip(r *http.Request) (*http.Response, error) {
	status, body, header := c.status, c.body, c.header
	if r.URL.Path == "/oauth/token" {
		status, body, header = http.StatusOK, `{"access_token":"`+testToken+`","expires_in":86400}`, http.Header{}
	}
	return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
}

func newCanned(f *testing.F) *canned {
	f.Helper()
	client, err := New(Config{ClientID: "id", ClientSecret: testSecret, AuthURL: "http://127.0.0.1", APIURL: "http://127.0.0.1"})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(client.Close)
	client.retry = retrier{initial: 1, total: 1} // one attempt
	c := &canned{Client: client, header: http.Header{}}
	client.http.Transport = c
	return c
}

// understood is an independent reading of a JSON object.
func understood(body string) map[string]any {
	decoder := json.NewDecoder(strings.NewReader(body))
	decoder.UseNumber()
	var v map[string]any
	if decoder.Decode(&v) != nil || decoder.Decode(new(any)) != io.EOF {
		return nil
	}
	return v
}

func FuzzPost(f *testing.F) {
	for _, body := range []string{
		quickStartAnswer, structured, nullCode, springForm, gatewayForm, html, operatorDown, "", "{}", "[]", "null", "\x00",
		`{"transactionId":"7","status":"SUCCESSFUL"}`, `{"TransactionID":7}`, `{"transactionId":7,"transactionId":0}`, `{"transactionId":1e2}`,
		`{"transactionId":7,"customIdentifier":null}`, `{"transactionId":7,"customIdentifier":"other"}`, quickStartAnswer + "{}", quickStartAnswer[:100],
		`{"message":"The custom identifier x has already been used","errorCode":"INVALID_INPUT_PROVIDED"}`,
		`{"errorCode":"` + testSecret + `","message":"` + testToken + ` ` + testPhone + `"}`,
	} {
		for _, status := range []int{200, 202, 204, 302, 400, 401, 403, 408, 429, 500, 502, 503} {
			f.Add(status, body, "", "")
		}
	}
	f.Add(429, "", "Tue, 24 Nov 2026 12:00:00 GMT", "9223372036854775807")
	f.Add(429, "", "-5", "")
	f.Add(503, "", "99999999999999999999", "0")
	c := newCanned(f)
	f.Fuzz(func(t *testing.T, status int, body, retry, reset string) {
		if status < 200 || status > 999 { // what net/http hands on
			return
		}
		c.status, c.body, c.header = status, body, http.Header{"Retry-After": {retry}, "X-Ratelimit-Reset": {reset}}
		got, err := c.TopUp(t.Context(), quickStart())
		fields := understood(body)
		if err == nil {
			if status > 299 || fields == nil || got.TransactionID <= 0 || (got.CustomIdentifier != "" && got.CustomIdentifier != "airtime-top-up") {
				t.Fatalf("%d %q was taken for transaction %+v", status, body, got)
			}
			return
		}
		e := wantError(t, err)
		if e.RetryAfter != 0 && (e.RetryAfter < minRetryAfter || e.RetryAfter > maxRetryAfter) {
			t.Fatalf("wait %v", e.RetryAfter)
		}
		refusal := status >= 400 && status < 500 && status != 408 && fields != nil || status == 401 || status == 429 ||
			status == 503 && e.Code == CodeOperatorUnavailable
		if e.Outcome == NotSent || (e.Outcome == Refused && !refusal) || (e.Outcome == Unknown && e.Advice != AskPerson) {
			t.Fatalf("%d %q was taken for %v, %v", status, body, e.Outcome, e.Advice)
		}
	})
}

func FuzzReport(f *testing.F) {
	for _, body := range []string{
		`{"content":[` + quickStartAnswer + `],"last":true,"totalElements":1,"totalPages":1,"number":0,"numberOfElements":1,"empty":false}`,
		`{"content":[],"last":true,"totalElements":0,"empty":true}`, `{"content":null,"totalElements":0}`, `{"totalElements":0}`, `[]`, `{}`, `null`, html,
		`{"content":[],"totalElements":5}`, `{"content":[{}],"totalElements":1}`, `{"content":[{"transactionId":1},{"transactionId":1}],"totalElements":2,"last":true}`,
		`{"content":[{"transactionId":1,"customIdentifier":"AIRTIME-TOP-UP"}],"totalElements":1,"last":true}`, `{"content":[],"last":false,"totalElements":0}`,
		`{"content":[],"Content":[{"transactionId":1}],"totalElements":0,"last":true}`, `{"content":{},"totalElements":0}`, `{"content":[null],"totalElements":1}`,
	} {
		f.Add(200, body)
	}
	f.Add(204, "")
	f.Add(404, structured)
	c := newCanned(f)
	f.Fuzz(func(t *testing.T, status int, body string) {
		if status < 200 || status > 999 {
			return
		}
		c.status, c.body, c.header = status, body, http.Header{}
		found, err := c.FindByIdentifier(t.Context(), "airtime-top-up")
		if err != nil {
			_ = wantError(t, err)
			return
		}
		fields := understood(body)
		if status != 200 || fields == nil || (len(found.Transactions) == 0 && strings.Contains(body, `"customIdentifier":"airtime-top-up"`) && len(fields) < 3) {
			t.Fatalf("%d %q was taken for a healthy report: %+v", status, body, found)
		}
		for _, tx := range found.Transactions {
			if tx.TransactionID <= 0 || tx.CustomIdentifier != "airtime-top-up" {
				t.Fatalf("%q: %+v", body, tx)
			}
		}
	})
}

func FuzzStatus(f *testing.F) {
	for _, body := range []string{
		`{"code":"PROCESSING","message":"m","status":"PROCESSING","transaction":null}`, `{"status":"SUCCESSFUL","transaction":` + quickStartAnswer + `}`, quickStartAnswer,
		`{"status":"REFUNDED","transaction":` + quickStartAnswer + `}`, `{"status":null}`, `{"transaction":{}}`, `{"transaction":[]}`, `[]`, ``, `{"transactionId":33469}`, html,
	} {
		f.Add(200, body)
	}
	c := newCanned(f)
	f.Fuzz(func(t *testing.T, status int, body string) {
		if status < 200 || status > 999 {
			return
		}
		c.status, c.body, c.header = status, body, http.Header{}
		report, err := c.Client.Status(t.Context(), 33469)
		if err != nil {
			_ = wantError(t, err)
			return
		}
		if status != 200 || understood(body) == nil || (report.Transaction != nil && report.Transaction.TransactionID != 33469) {
			t.Fatalf("%d %q was taken for %+v", status, body, report)
		}
		if tx := report.Transaction; tx != nil && tx.Status.Final() && report.Status.Final() && tx.Status != report.Status {
			t.Fatalf("%q is %s and %s", body, tx.Status, report.Status)
		}
	})
}

func FuzzToken(f *testing.F) {
	for _, body := range []string{
		`{"access_token":"x","scope":"y","expires_in":86400,"token_type":"Bearer"}`, `{"access_token":"x","expires_in":"3600"}`, `{"access_token":"x"}`,
		`{"access_token":"x","expires_in":-1}`, `{"access_token":"x","expires_in":1e30}`, `{"access_token":"x","expires_in":0.001}`, `{"access_token":"a b"}`, `{"access_token":"\r\n"}`, `{"access_token":5}`, `null`, html,
	} {
		f.Add(body)
	}
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, body string) {
		token, err := parseToken([]byte(body), now)
		if err != nil {
			if token != nil {
				t.Fatalf("%q: a token beside %v", body, err)
			}
			return
		}
		if life := token.Expires.Sub(now); life < time.Second || life > maxLife {
			t.Fatalf("%q lives %v", body, life)
		}
		if token.Value == "" || strings.ContainsAny(token.Value, " \r\n\t\x00") || len(token.Value) > maxCredentialSize {
			t.Fatalf("%q does not fit into a header", token.Value)
		}
	})
}

// FuzzAmount: an amount that is read is the number that was written, digit by digit.
func FuzzAmount(f *testing.F) {
	for _, text := range []string{`809811.69103`, `"790.4"`, `1e3`, `1E-5`, `-0`, `null`, `""`, `"1O"`, `true`, `{}`, `0.1234567890123456789`, `12345678901234567890`, `"+1"`, `" 5 "`, `"0x10"`, `"1_000"`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var a Amount
		if json.Unmarshal([]byte(text), &a) != nil || !a.Valid {
			return
		}
		digits := strings.Trim(strings.TrimSpace(text), `"`)
		if len(digits) < 18 { // a longer one may be rounded
			want, ok := new(big.Rat).SetString(strings.TrimSpace(digits))
			got, _ := new(big.Rat).SetString(a.Decimal.String())
			if !strings.ContainsAny(digits, `\`) && (!ok || want.Cmp(got) != 0) {
				t.Fatalf("%s was read as %s", text, a)
			}
		}
		written, err := json.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		var again Amount
		if err := json.Unmarshal(written, &again); err != nil || again != a {
			t.Fatalf("%s: %s was read again as %+v: %v", text, a, again, err)
		}
	})
}

func FuzzPrices(f *testing.F) {
	for _, body := range []string{
		`{"id":1,"operatorId":341,"minAmount":0.5,"fixedAmounts":[1,"2.50"],"fixedAmountsDescriptions":{"1":"x"},"fx":{"rate":1.2},"fees":{"local":0}}`,
		`{"operatorId":341,"minAmount":"free"}`, `{"operatorId":341,"fixedAmounts":[null]}`, `{"operatorId":"341","suggestedAmountsMap":[]}`, `{"operatorId":0}`, `{}`, `[]`, `null`,
		`{"balance":809811.69103,"currencyCode":"NGN"}`, `{"balance":"1e400"}`, `{"balance":null}`,
	} {
		f.Add(body)
	}
	c := newCanned(f)
	f.Fuzz(func(t *testing.T, body string) {
		c.status, c.body, c.header = 200, body, http.Header{}
		operator, err := c.Client.Operator(t.Context(), 341)
		if err == nil && (operator.ID <= 0 || operator.MinAmount.unreadable || operator.FX.Rate.unreadable) {
			t.Fatalf("%q: %+v", body, operator)
		}
		var list []Operator
		page, err := parsePage[Operator]([]byte(body), 1)
		if err == nil {
			list = *page.Content
		}
		for _, o := range list {
			if o.ID <= 0 {
				t.Fatalf("%q: an operator without an id", body)
			}
		}
		balance, err := c.Balance(t.Context())
		if err == nil {
			var same struct{ Balance Amount }
			if json.Unmarshal([]byte(body), &same) != nil || !same.Balance.Valid || same.Balance.Decimal != balance.Balance {
				t.Fatalf("%q has a balance of %s", body, balance.Balance)
			}
		} else if e := new(Error); !errors.As(err, &e) || e.Outcome != Unknown {
			t.Fatalf("%q: %v", body, err)
		}
	})
}
