package sandbox

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// FuzzTopUpRequest: whatever is posted, the answer is one of the provider's, and money
// leaves the account only with an answer that names a transaction.
func FuzzTopUpRequest(f *testing.F) {
	for _, body := range []string{
		`{"operatorId":341,"amount":15,"useLocalAmount":false,"customIdentifier":"a","recipientPhone":{"countryCode":"NG","number":"08012345678"}}`,
		`{"operatorId":"341","amount":"15","recipientPhone":{"countryCode":"NG","number":8012345678}}`, `{"operatorId":341,"amount":-1}`, `{"operatorId":1e9}`,
		`{"amount":1e400}`, `{"amount":"1O"}`, `{}`, `[]`, `null`, ``, `{"recipientPhone":[]}`, `{"customIdentifier":5}`, `{"operatorId":341,"amount":0.000001,"recipientEmail":"a@b"}`,
	} {
		f.Add(body, false)
		f.Add(body, true)
	}
	sim, err := New(Config{})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = sim.Close() })
	f.Fuzz(func(t *testing.T, body string, async bool) {
		before := sim.Balance()
		path := "/topups"
		if async {
			path += "-async"
		}
		answer := httptest.NewRecorder()
		sim.handleTopup(answer, httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, strings.NewReader(body)), async)
		text := answer.Body.String()
		if answer.Code >= 500 && !strings.Contains(text, "OPERATOR_UNAVAILABLE") { // which is the provider's own 503
			t.Fatalf("%q: %d %s", body, answer.Code, text)
		}
		if after := sim.Balance(); after != before && (answer.Code > 299 || !strings.Contains(text, `"transactionId":`)) {
			t.Fatalf("%q: the balance went from %s to %s, and the answer is %d %s", body, before, after, answer.Code, text)
		}
	})
}

// FuzzLedgerFile: a ledger that is damaged is read up to a torn end or refused, and what
// was read is read the same again.
func FuzzLedgerFile(f *testing.F) {
	start := `{"kind":"open","time":"2026-11-24T12:00:00Z","amount":"100","currency":"NGN"}` + "\n"
	for _, text := range []string{
		"", start, start + `{"kind":"execution"`, start + `{"kind":"execution"}` + "\n",
		start + `{"kind":"execution","execution":{}}` + "\n", start + `{"kind":"refill","amount":"-5"}` + "\n", start + `{"kind":"reverse","transactionId":7}` + "\n",
		start + `{"kind":"burn","customIdentifier":"a"}` + "\n" + `{"kind":"burn"`, start + `{"kind":"refill"}` + "\n", start + start, "\n", "{}\n", "null\n",
	} {
		f.Add(text)
	}
	read := func(text []byte) (string, int64, error) {
		sim, err := New(Config{Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			return "", 0, err
		}
		defer func() { _ = sim.Close() }()
		good, err := sim.replay(text)
		return fmt.Sprint(sim.Balance(), len(sim.records)), good, err
	}
	f.Fuzz(func(t *testing.T, text string) {
		books, good, err := read([]byte(text))
		if err != nil {
			return
		}
		if good < 0 || good > int64(len(text)) {
			t.Fatalf("%q: read up to %d", text, good)
		}
		if again, _, err := read([]byte(text[:good])); err != nil || again != books {
			t.Fatalf("%q: read as %s and cut off as %s: %v", text, books, again, err)
		}
	})
}
