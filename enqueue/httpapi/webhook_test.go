package httpapi

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"time"

	"example.com/topup/enqueue"
)

// notify delivers as Reloadly does; change, where not nil, alters what is sent after it was signed.
func (w *world) notify(secret, body string, at time.Time, change func(body, timestamp, signature *string)) answer {
	w.Helper()
	timestamp := fmt.Sprint(at.Unix())
	mac := hmac.New(sha256.New, []byte(secret))
	_, _ = mac.Write([]byte(body + ":" + timestamp))
	signature := hex.EncodeToString(mac.Sum(nil))
	if change != nil {
		change(&body, &timestamp, &signature)
	}
	return w.ask("POST", "/v1/reloadly/webhook", body, "X-Reloadly-Signature", signature, "X-Reloadly-Request-Timestamp", timestamp)
}

func TestWebhook(t *testing.T) {
	const secret = "canary-webhook-secret"
	w := newWorld(t, func(c *Config) { c.WebhookSecret = secret })
	wakeups := func() int {
		n, _ := w.m.List("asynq:{" + enqueue.QueueFollowups + "}:pending")
		return len(n)
	}
	body := func(identifier string) string {
		return fmt.Sprintf(`{"type":"airtime_transaction.status","data":{"transactionId":33469,"customIdentifier":%q,"status":"SUCCESSFUL"}}`, identifier)
	}
	w.result(w.ask("POST", "/v1/topups", quickStart), 202)
	w.settle("airtime-top-up", enqueue.Outcome{Kind: enqueue.KindUnknown, Code: "TIMEOUT", Delay: time.Hour})
	w.key(Key{Name: "some", Scopes: Scopes()}) // the signature is enough
	now := time.Now()

	for name, change := range map[string]func(body, timestamp, signature *string){
		"another body":      func(body, _, _ *string) { *body += " " },
		"another time":      func(_, timestamp, _ *string) { *timestamp = fmt.Sprint(now.Unix() + 1) },
		"another signature": func(_, _, signature *string) { *signature = strings.Repeat("00", 32) },
		"a short one":       func(_, _, signature *string) { *signature = (*signature)[:62] },
		"no hexadecimal":    func(_, _, signature *string) { *signature = strings.Repeat("x", 64) },
		"none":              func(_, _, signature *string) { *signature = "" },
	} {
		w.Log(name)
		w.problem(w.notify(secret, body("airtime-top-up"), now, change), 401, CodeBadSignature)
	}
	w.problem(w.notify("another", body("airtime-top-up"), now, nil), 401, CodeBadSignature)
	w.problem(w.notify("", body("airtime-top-up"), now, nil), 401, CodeBadSignature)
	for _, stale := range []time.Duration{-5*time.Minute - 2*time.Second, 5*time.Minute + 30*time.Second, -24 * time.Hour} {
		w.problem(w.notify(secret, body("airtime-top-up"), now.Add(stale), nil), 401, CodeBadSignature)
	}
	if wakeups() != 0 {
		t.Fatal("something was believed")
	}

	// It wakes the look-up, once, under the identifier of any generation, and changes nothing.
	before, err := w.client.Ledger().Load(t.Context(), "airtime-top-up")
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		for _, identifier := range []string{"airtime-top-up", "airtime-top-up~2"} {
			if a := w.notify(secret, body(identifier), now, nil); a.status != 200 {
				t.Fatalf("%d %s", a.status, a.body)
			}
		}
		nested := strings.Replace(body("airtime-top-up"), `"customIdentifier"`, `"transaction":{"customIdentifier":"airtime-top-up"},"x"`, 1)
		if a := w.notify(secret, nested, now.Add(-4*time.Minute), nil); a.status != 200 {
			t.Fatalf("%d %s", a.status, a.body)
		}
	}
	after, err := w.client.Ledger().Load(t.Context(), "airtime-top-up")
	if err != nil || wakeups() != 1 || after.State != enqueue.Unknown || after.Version != before.Version || after.Transaction != nil {
		t.Errorf("%d wake-ups, %+v, %v", wakeups(), after, err)
	}
	for _, other := range []string{body("nobody"), body(""), body("a b"), `{}`, `[]`, `{"data":{"customIdentifier":7}}`, "", "x"} {
		if a := w.notify(secret, other, now, nil); a.status != 200 { // Reloadly would only repeat it
			t.Errorf("%s: %d", other, a.status)
		}
	}
	if wakeups() != 1 || w.jobs() != 1 {
		t.Errorf("%d wake-ups, %d jobs", wakeups(), w.jobs())
	}
	w.problem(w.notify(secret, strings.Repeat(" ", maxBody+1), now, nil), 413, CodeTooLarge)
	w.m.SetError("LOADING")
	w.problem(w.notify(secret, body("airtime-top-up"), now, nil), 503, CodeUnavailable) // it is delivered again
	w.m.SetError("")
	if strings.Contains(w.log.String(), secret) {
		t.Error("the secret is in the log")
	}

	now = time.Unix(1_800_000_000, 0)
	for timestamp, want := range map[string]bool{"1800000000": true, "1800000000123": true, "1799999700": true, "1799999699": false, "1800000301": false, "": false, "x": false, "-1": false, "99999999999999999999": false} {
		if fresh(timestamp, now) != want {
			t.Errorf("%q: %v", timestamp, !want)
		}
	}
}

func TestWebhookWithoutSecret(t *testing.T) {
	w := newWorld(t, nil)
	w.problem(w.notify("", `{}`, time.Now(), nil), 404, CodeNotFound)
}
