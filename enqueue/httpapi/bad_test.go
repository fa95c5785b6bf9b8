package httpapi

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// No bad request makes a job, none is a bug of the server, and it answers afterwards.
func TestBadRequests(t *testing.T) {
	w := newWorld(t, nil)
	phone := `"recipientPhone":{"countryCode":"AE","number":"0503971821"}`
	good := `"amount":1,"customIdentifier":"bad",` + phone
	with := func(field string) string { return "{" + good + "," + field + "}" }
	amount := func(value string) string { return `{"customIdentifier":"bad","amount":` + value + `,` + phone + `}` }
	type test struct {
		name, body string
		status     int
		code       Code
		pointer    string // of the first error
		headers    []string
	}
	tests := []test{
		{"nothing", " ", 400, CodeBadJSON, "", nil},
		{"no JSON", "operatorId=1100&amount=832", 400, CodeBadJSON, "", nil},
		{"half of it", `{"amount":1`, 400, CodeBadJSON, "", nil},
		{"two of them", "{" + good + "}{" + good + "}", 400, CodeBadJSON, "", nil},
		{"something behind it", "{" + good + "} x", 400, CodeBadJSON, "", nil},
		{"a comma too many", "{" + good + ",}", 400, CodeBadJSON, "", nil},
		{"single quotes", "{'amount':1}", 400, CodeBadJSON, "", nil},
		{"a comment", "{" + good + "/* x */}", 400, CodeBadJSON, "", nil},
		{"NaN", amount("NaN"), 400, CodeBadJSON, "", nil},
		{"a leading zero", amount("01"), 400, CodeBadJSON, "", nil},
		{"a plus", amount("+1"), 400, CodeBadJSON, "", nil},
		{"hexadecimal", amount("0x10"), 400, CodeBadJSON, "", nil},
		{"bad UTF-8", "{" + strings.Replace(good, "bad", "b\xffd", 1) + "}", 400, CodeBadJSON, "", nil},
		{"UTF-16", "{\x00\"\x00}\x00", 400, CodeBadJSON, "", nil},
		{"half a surrogate pair", with(`"metadata":{"a":"\ud800"}`), 400, CodeBadJSON, "/metadata/a", nil},
		{"half a surrogate pair in a name", with(`"metadata":{"\ud800":"a"}`), 400, CodeBadJSON, "", nil},
		{"a byte order mark twice", "\xef\xbb\xbf\xef\xbb\xbf{" + good + "}", 400, CodeBadJSON, "", nil},
		{"very deep", strings.Repeat("[", 200_000), 400, CodeBadJSON, "", nil},
		{"very deep and whole", with(`"x":` + strings.Repeat("[", 9000) + strings.Repeat("]", 9000)), 400, CodeUnknownField, "/x", nil},
		{"a list", "[{" + good + "}]", 400, CodeWrongType, "", nil},
		{"text", `"x"`, 400, CodeWrongType, "", nil},
		{"a number", `7`, 400, CodeWrongType, "", nil},
		{"null", `null`, 400, CodeWrongType, "", nil},
		{"an empty object", `{}`, 400, CodeMissingID, "/customIdentifier", nil},
		{"amount twice", with(`"amount":1000`), 400, CodeDuplicateName, "/amount", nil},
		{"the id twice", with(`"customIdentifier":"bad2"`), 400, CodeDuplicateName, "/customIdentifier", nil},
		{"the number twice", `{"amount":1,"customIdentifier":"bad","recipientPhone":{"countryCode":"AE","number":"0503971821","number":"0503971822"}}`, 400, CodeDuplicateName, "/recipientPhone/number", nil},
		{"a name twice by an escape", with(`"\u0061mount":1000`), 400, CodeDuplicateName, "/amount", nil},
		{"metadata twice", with(`"metadata":{"a":"1","a":"2"}`), 400, CodeDuplicateName, "/metadata/a", nil},
		{"an unknown field", with(`"useLocalamount":true`), 400, CodeUnknownField, "/useLocalamount", nil},
		{"amount in capitals", with(`"Amount":1000`), 400, CodeUnknownField, "/Amount", nil},
		{"amount by another letter", with(`"recip\u0131entEmail":"a@b"`), 400, CodeUnknownField, "/recip\u0131entEmail", nil},
		{"a name with a slash", with(`"a/b~c":1`), 400, CodeUnknownField, "/a~1b~0c", nil},
		{"an unknown field of a phone", `{"amount":1,"customIdentifier":"bad","recipientPhone":{"countryCode":"AE","number":"0503971821","ext":"1"}}`, 400, CodeUnknownField, "/recipientPhone/ext", nil},
		{"amount as a list", amount("[1]"), 400, CodeWrongType, "/amount", nil},
		{"amount as an object", amount(`{"value":1}`), 400, CodeWrongType, "/amount", nil},
		{"amount as a bool", amount("true"), 400, CodeWrongType, "/amount", nil},
		{"the id as a number", `{"amount":1,"customIdentifier":17,` + phone + `}`, 400, CodeWrongType, "/customIdentifier", nil},
		{"the phone as text", `{"amount":1,"customIdentifier":"bad","recipientPhone":"0503971821"}`, 400, CodeWrongType, "/recipientPhone", nil},
		{"the number as a number", `{"amount":1,"customIdentifier":"bad","recipientPhone":{"countryCode":"AE","number":503971821}}`, 400, CodeWrongType, "/recipientPhone/number", nil},
		{"useLocalAmount as text", with(`"useLocalAmount":"false"`), 400, CodeWrongType, "/useLocalAmount", nil},
		{"notBefore as a number", with(`"notBefore":1700000000`), 400, CodeWrongType, "/notBefore", nil},
		{"notBefore without a zone", with(`"notBefore":"2026-12-24T18:00:00"`), 400, CodeWrongType, "/notBefore", nil},
		{"expires as a date", with(`"expires":"2026-12-24"`), 400, CodeWrongType, "/expires", nil},
		{"metadata as a list", with(`"metadata":["a"]`), 400, CodeWrongType, "/metadata", nil},
		{"metadata of numbers", with(`"metadata":{"a":1}`), 400, CodeWrongType, "/metadata/a", nil},
		{"metadata of null", with(`"metadata":{"a":null}`), 400, CodeWrongType, "/metadata/a", nil},
		{"metadata in metadata", with(`"metadata":{"a":{"b":"c"}}`), 400, CodeWrongType, "/metadata/a", nil},
		{"operatorId as a bool", with(`"operatorId":true`), 400, CodeWrongType, "/operatorId", nil},
		{"campaign as a number", with(`"campaign":5`), 400, CodeWrongType, "/campaign", nil},
		{"no amount", `{"customIdentifier":"bad",` + phone + `}`, 400, CodeInvalidTopUp, "/amount", nil},
		{"amount null", amount("null"), 400, CodeInvalidTopUp, "/amount", nil},
		{"amount zero", amount("0"), 400, CodeInvalidTopUp, "/amount", nil},
		{"amount negative", amount("-5"), 400, CodeInvalidTopUp, "/amount", nil},
		{"amount with an exponent", amount("1e3"), 400, CodeInvalidTopUp, "/amount", nil},
		{"amount with six decimals", amount("0.000001"), 400, CodeInvalidTopUp, "/amount", nil},
		{"amount of thirteen digits", amount("1000000000000"), 400, CodeInvalidTopUp, "/amount", nil},
		{"amount of very many digits", amount(strings.Repeat("9", 100_000)), 400, CodeInvalidTopUp, "/amount", nil},
		{"amount with a comma", amount(`"8,32"`), 400, CodeInvalidTopUp, "/amount", nil},
		{"amount with a currency", amount(`"832 NGN"`), 400, CodeInvalidTopUp, "/amount", nil},
		{"amount empty", amount(`""`), 400, CodeInvalidTopUp, "/amount", nil},
		{"operatorId of a fraction", with(`"operatorId":1100.5`), 400, CodeInvalidTopUp, "/operatorId", nil},
		{"operatorId negative", with(`"operatorId":-1`), 400, CodeInvalidTopUp, "/operatorId", nil},
		{"operatorId too large", with(`"operatorId":99999999999999999999`), 400, CodeInvalidTopUp, "/operatorId", nil},
		{"the id empty", `{"amount":1,"customIdentifier":"",` + phone + `}`, 400, CodeMissingID, "/customIdentifier", nil},
		{"the id with a blank", `{"amount":1,"customIdentifier":"a b",` + phone + `}`, 400, CodeInvalidTopUp, "/customIdentifier", nil},
		{"the id with a brace", `{"amount":1,"customIdentifier":"a}{s01}",` + phone + `}`, 400, CodeInvalidTopUp, "/customIdentifier", nil},
		{"the id of a later generation", `{"amount":1,"customIdentifier":"a~2",` + phone + `}`, 400, CodeInvalidTopUp, "/customIdentifier", nil},
		{"the id too long", `{"amount":1,"customIdentifier":"` + strings.Repeat("x", 101) + `",` + phone + `}`, 400, CodeInvalidTopUp, "/customIdentifier", nil},
		{"nobody", `{"amount":1,"customIdentifier":"bad"}`, 400, CodeInvalidTopUp, "/recipientPhone", nil},
		{"the phone null", `{"amount":1,"customIdentifier":"bad","recipientPhone":null}`, 400, CodeInvalidTopUp, "/recipientPhone", nil},
		{"no country", `{"amount":1,"customIdentifier":"bad","recipientPhone":{"number":"0503971821"}}`, 400, CodeInvalidTopUp, "/recipientPhone/countryCode", nil},
		{"letters in the number", `{"amount":1,"customIdentifier":"bad","recipientPhone":{"countryCode":"AE","number":"05O3971821"}}`, 400, CodeInvalidTopUp, "/recipientPhone/number", nil},
		{"an extension", `{"amount":1,"customIdentifier":"bad","recipientPhone":{"countryCode":"AE","number":"0503971821x5"}}`, 400, CodeInvalidTopUp, "/recipientPhone/number", nil},
		{"a bad sender", with(`"senderPhone":{"countryCode":"CAN","number":"1"}`), 400, CodeInvalidTopUp, "/senderPhone/countryCode", nil},
		{"a bad e-mail", with(`"recipientEmail":"nobody"`), 400, CodeInvalidTopUp, "/recipientEmail", nil},
		{"a bad campaign", with(`"campaign":"a b"`), 400, CodeInvalidTopUp, "/campaign", nil},
		{"it expires before it begins", with(`"notBefore":"2026-12-24T18:00:00Z","expires":"2026-12-24T17:00:00Z"`), 400, CodeInvalidTopUp, "/expires", nil},
		{"a year of no sense", with(`"notBefore":"1970-01-01T00:00:00Z"`), 400, CodeInvalidTopUp, "/notBefore", nil},
		{"much metadata", with(`"metadata":{"a":"` + strings.Repeat("x", 1100) + `"}`), 400, CodeInvalidTopUp, "/metadata", nil},
		{"a mebibyte", with(`"metadata":{"a":"` + strings.Repeat("x", maxBody) + `"}`), 413, CodeTooLarge, "", nil},
		{"no content type", "{" + good + "}", 415, CodeMediaType, "", []string{"Content-Type", ""}},
		{"a form", "{" + good + "}", 415, CodeMediaType, "", []string{"Content-Type", "application/x-www-form-urlencoded"}},
		{"plain text", "{" + good + "}", 415, CodeMediaType, "", []string{"Content-Type", "text/plain"}},
		{"another charset", "{" + good + "}", 415, CodeMediaType, "", []string{"Content-Type", "application/json; charset=utf-16"}},
		{"a broken content type", "{" + good + "}", 415, CodeMediaType, "", []string{"Content-Type", "application/json; ;"}},
		{"compressed", "{" + good + "}", 415, CodeMediaType, "", []string{"Content-Encoding", "gzip"}},
		{"two ids", "{" + good + "}", 400, CodeIDMismatch, "/customIdentifier", []string{"Idempotency-Key", "other"}},
		{"a bad Prefer", "{" + good + "}", 400, CodeInvalidParameter, "", []string{"Prefer", "wait=soon"}},
		{"from another site", "{" + good + "}", 403, CodeCrossOrigin, "", []string{"Sec-Fetch-Site", "cross-site"}},
		{"from another origin", "{" + good + "}", 403, CodeCrossOrigin, "", []string{"Origin", "https://evil.example"}},
		{"another host's name", "{" + good + "}", 401, CodeUnauthorized, "", []string{"Host", "evil.example:8080"}},
	}
	if len(tests) < 60 {
		t.Fatal(len(tests))
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := *w
			w.T = t
			p := w.problem(w.ask("POST", "/v1/topups", test.body, test.headers...), test.status, test.code)
			if test.pointer != "" && (len(p.Errors) == 0 || p.Errors[0].Pointer != test.pointer || p.Errors[0].Name == "" || p.Errors[0].Problem == "") {
				t.Errorf("%+v, want an error at %s", p, test.pointer)
			}
			if strings.Contains(fmt.Sprint(p), "3971821") || len(p.Detail) > 2000 {
				t.Errorf("it repeats what was sent: %+v", p)
			}
			// The same on the path that is Reloadly's own.
			if test.status == 400 && test.headers == nil {
				p := w.problem(w.ask("POST", "/topups", test.body), test.status, test.code)
				if p.Message != p.Detail {
					t.Errorf("%+v", p)
				}
			}
		})
	}
	for _, test := range []struct {
		body   string
		status int
		code   Code
	}{
		{"", 415, CodeMediaType},
		{"x", 400, CodeBadJSON},
		{"[]", 400, CodeWrongType},
		{"{}", 400, CodeBadBatch},
		{`{"topups":[]}`, 400, CodeBadBatch},
		{`{"topups":null}`, 400, CodeBadBatch},
		{`{"topups":{}}`, 400, CodeWrongType},
		{`{"topups":7}`, 400, CodeWrongType},
		{`{"topups":[],"topups":[]}`, 400, CodeDuplicateName},
		{`{"jobs":[]}`, 400, CodeUnknownField},
		{`{"Topups":[]}`, 400, CodeUnknownField},
		{`{"topups":[` + strings.Repeat(`"x",`, 2000) + `1]}`, 400, CodeBadBatch},
		{`{"topups":[` + strings.Repeat(" ", maxBody) + `]}`, 413, CodeTooLarge},
	} {
		w.problem(w.ask("POST", "/v1/topups:batch", test.body), test.status, test.code)
	}
	for _, wait := range []string{"x", "-1s", "61s", "2m", "1h", "30m", "99999999999999999999", "1e9", "30%20s"} {
		w.problem(w.ask("POST", "/v1/topups?wait="+wait, "{"+good+"}"), 400, CodeInvalidParameter)
		w.problem(w.ask("GET", "/v1/topups/x?wait="+wait, ""), 400, CodeInvalidParameter)
	}
	if n := w.jobs(); n != 0 {
		t.Errorf("%d jobs", n)
	}
	w.result(w.ask("POST", "/v1/topups", "{"+good+"}"), 202)
	if strings.Contains(w.log.String(), `"level":"ERROR"`) {
		t.Error(w.log.String())
	}
}

// What breaks HTTP itself, or takes its time, ends the connection or gets a 4xx.
func TestBrokenAndSlowClients(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.ReadTimeout = 6 * time.Second }) // also on a busy machine enough for what comes
	addr := strings.TrimPrefix(w.url, "http://")
	head := "POST /v1/topups HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
	for name, test := range map[string]struct {
		send   string
		want   string // what the status line may be; empty is a closed connection
		endNow bool
	}{
		"not HTTP":                 {send: "\x16\x03\x01\x02\x00\r\n\r\n", want: "400"},
		"an endless header":        {send: head + "X: " + strings.Repeat("x", 100_000) + "\r\n\r\n", want: "431"},
		"no length":                {send: head + "Transfer-Encoding: x\r\n\r\n", want: "501"},
		"two lengths":              {send: head + "Content-Length: 5\r\nContent-Length: 6\r\n\r\n{}{}{}", want: "400"},
		"a negative length":        {send: head + "Content-Length: -1\r\n\r\n", want: "400"},
		"a header that never ends": {send: "POST /v1/topups HTTP/1.1\r\nHost: 127.0.0.1\r\n", want: ""},
		"nothing at all":           {send: "", want: ""},
		"a body that never comes":  {send: head + "Content-Length: 500\r\n\r\n{\"amount\":1", want: "408"},
		"a chunk that is none":     {send: head + "Transfer-Encoding: chunked\r\n\r\nzz\r\n", want: "400"},
		"a body that breaks off":   {send: head + "Content-Length: 500\r\n\r\n{\"amount\":1", want: "400", endNow: true},
		"an announced mebibyte":    {send: head + "Content-Length: 2000000\r\n\r\n", want: "413"},
		"a chunked mebibyte":       {send: head + "Transfer-Encoding: chunked\r\n\r\n200000\r\n" + strings.Repeat(" ", 0x200000) + "\r\n0\r\n\r\n", want: "413"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var d net.Dialer
			conn, err := d.DialContext(context.Background(), "tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			_ = conn.SetDeadline(time.Now().Add(2 * time.Minute))
			go func() { // the server may stop reading
				_, _ = io.WriteString(conn, test.send)
				if test.endNow {
					_ = conn.(*net.TCPConn).CloseWrite()
				}
			}()
			response, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				if errors.Is(err, os.ErrDeadlineExceeded) || test.want != "" && !strings.Contains(err.Error(), "reset") {
					t.Fatalf("%v, want %s", err, test.want)
				}
				return
			}
			defer func() { _ = response.Body.Close() }()
			if got := fmt.Sprint(response.StatusCode); got != test.want {
				t.Errorf("%s, want %q", got, test.want)
			}
		})
	}
	t.Cleanup(func() {
		if w.jobs() != 0 {
			t.Errorf("%d jobs", w.jobs())
		}
		w.result(w.ask("POST", "/v1/topups", quickStart), 202)
	})
}

func FuzzDecodeTopUp(f *testing.F) {
	f.Add([]byte(quickStart))
	f.Add([]byte(`{"amount":"1.5","customIdentifier":"a","recipientPhone":{"countryCode":"AE","number":"1234"},"metadata":{"a":"b"},"notBefore":"2026-12-24T18:00:00+01:00"}`))
	f.Add([]byte(`{"amount":1,"amount":2}`))
	f.Add([]byte(`{"x":[[{"a":{}}]],"amount":{"b":[]}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		text, p := wellFormed(body)
		if p != nil {
			if p.Status != 400 {
				t.Fatal(p)
			}
			return
		}
		job, p := decodeTopUp(text)
		if p != nil {
			if p.Status != 400 || len(p.Errors) > 20 || p.Detail == "" {
				t.Fatalf("%+v", p)
			}
			if p.Detail == "the body cannot be read as a top-up" {
				t.Fatalf("the walk left something to enqueue's decoder: %q", body)
			}
			return
		}
		if _, err := job.Validate(); err != nil {
			if p := invalid(err); len(p.Errors) == 0 || p.Errors[0].Pointer == "/" {
				t.Fatalf("%v: %+v", err, p)
			}
		}
	})
}

func FuzzDecodeBatch(f *testing.F) {
	f.Add([]byte(`{"topups":[` + quickStart + `]}`))
	f.Add([]byte(`{"topups":[1,{},"x"]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		text, p := wellFormed(body)
		if p != nil {
			return
		}
		jobs, p := decodeBatch(text)
		if (p == nil) == (len(jobs) == 0) || len(jobs) > maxBatch {
			t.Fatalf("%d jobs, %v", len(jobs), p)
		}
		for _, job := range jobs {
			_, _ = decodeTopUp(job)
		}
	})
}

func FuzzParameters(f *testing.F) {
	f.Add("30s", "respond-async, wait=30", `"key"`, "1700000000")
	f.Fuzz(func(t *testing.T, wait, prefer, key, timestamp string) {
		if d, err := parseWait(wait, time.Minute); err == nil && (d < 0 || d > time.Minute) {
			t.Fatal(d)
		}
		_ = fresh(timestamp, time.Now())
		_ = notifiedOf([]byte(prefer))
		_ = localHost(key)
		job, _ := decodeTopUp([]byte(`{}`))
		if p := identify(&job, []string{key}); p == nil && job.ID == "" {
			t.Fatal(key)
		}
	})
}
