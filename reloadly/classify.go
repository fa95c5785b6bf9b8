package reloadly

import (
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// The bounds of Error.RetryAfter: a zero would be a busy loop, and a day would be the provider's mistake.
const (
	minRetryAfter = time.Second
	maxRetryAfter = 15 * time.Minute
)

// problem is an error body in any of its forms: Reloadly's own with errorCode or null, Spring's
// {"status","error","path"}, and the gateway's {"error","error_description"} [doc, obs].
type problem struct {
	code, message string
}

// parseProblem reports whether the body is a structured error: a JSON object that says what is wrong.
func parseProblem(body []byte) (problem, bool) {
	var wire struct {
		ErrorCode        wireText `json:"errorCode"`
		Message          wireText `json:"message"`
		Error            wireText `json:"error"`
		ErrorDescription wireText `json:"error_description"`
	}
	if !isKind(body, '{') || json.Unmarshal(body, &wire) != nil {
		return problem{}, false
	}
	p := problem{code: wire.ErrorCode.text, message: wire.Message.text}
	if p.message == "" {
		p.message = strings.Trim(wire.Error.text+": "+wire.ErrorDescription.text, ": ")
	}
	return p, p.code != "" || p.message != ""
}

// classify is the table "What an error says about the money" of the facts page, nil for any 2xx. What
// no line names is Unknown.
func classify(ans answer, now time.Time, secrets ...string) *Error {
	if ans.status >= 200 && ans.status <= 299 {
		return nil
	}
	var body problem
	structured := false
	if ans.err == nil {
		body, structured = parseProblem(ans.body)
	}
	e := &Error{
		Outcome: Unknown, HTTPStatus: ans.status, Date: ans.date,
		Code: cleanCode(body.code, secrets), Message: clean(body.message, secrets...),
		RetryAfter: retryAfter(ans, now),
	}
	switch {
	case ans.status == http.StatusUnauthorized, ans.status == http.StatusTooManyRequests:
		e.Outcome = Refused // whatever the body
	case ans.status == http.StatusRequestTimeout:
		// Somebody in between gave up waiting; the provider may not have.
	case ans.status >= 400 && ans.status <= 499 && structured:
		e.Outcome = Refused
	case ans.status == http.StatusServiceUnavailable && body.code == CodeOperatorUnavailable:
		e.Outcome = Refused // the one 5xx that is a verdict
	}
	if e.Outcome == Refused {
		e.Code, e.Advice = refusal(ans.status, e.Code, body.message)
	}
	return e
}

// cleanCode keeps a code that looks like one; anything else is treated as text that may quote us.
func cleanCode(code string, secrets []string) string {
	return strings.TrimSpace(clean(code, secrets...))
}

// retryAfter is the provider's wish to be left alone, 0 when it has none. X-RateLimit-Reset is an instant
// of the provider's clock, so it is measured from the answer's own Date.
func retryAfter(ans answer, now time.Time) time.Duration {
	if !ans.date.IsZero() {
		now = ans.date
	}
	var wait time.Duration
	after, reset := ans.header.Get("Retry-After"), ans.header.Get("X-RateLimit-Reset")
	if seconds, err := strconv.ParseInt(after, 10, 32); err == nil {
		wait = time.Duration(seconds) * time.Second
	} else if at, err := http.ParseTime(after); err == nil {
		wait = at.Sub(now)
	} else if unix, err := strconv.ParseInt(reset, 10, 64); err == nil && ans.status == http.StatusTooManyRequests {
		wait = time.Unix(unix, 0).Sub(now)
	} else {
		return 0
	}
	return min(max(wait, minRetryAfter), maxRetryAfter)
}

func encodeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}
