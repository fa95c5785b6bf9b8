package httpapi

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"example.com/topup/enqueue"
)

// webhookAge is how old a notification may be, or how far ahead its clock.
const webhookAge = 5 * time.Minute

type webhookInput struct {
	Signature string `header:"X-Reloadly-Signature" doc:"The HMAC-SHA256 of body:timestamp in hex, with the webhook's secret"`
	Timestamp string `header:"X-Reloadly-Request-Timestamp" doc:"Seconds since 1970; at most five minutes old"`
}

// webhook is POST /v1/reloadly/webhook. Nothing that it says is believed: the job that
// it names is looked up, which shows what is true. So a delivery that comes twice, late
// or never changes nothing.
func (s *Server) webhook(ctx context.Context, in *webhookInput) (*health, error) {
	if s.cfg.WebhookSecret == "" {
		return nil, problem(http.StatusNotFound, CodeNotFound, "the webhook has no secret, so it is off (RELOADLY_WEBHOOK_SECRET)")
	}
	x := exchangeOf(ctx)
	body, p := readBody(x.w, x.r)
	if p != nil {
		return nil, p
	}
	if !signed(s.cfg.WebhookSecret, body, in.Timestamp, in.Signature) {
		return nil, problem(http.StatusUnauthorized, CodeBadSignature, "the signature is not that of this body and timestamp")
	}
	if !fresh(in.Timestamp, time.Now()) {
		return nil, problem(http.StatusUnauthorized, CodeBadSignature, "the timestamp is not of the last five minutes")
	}
	identifier := notifiedOf(body)
	if identifier == "" {
		s.log.WarnContext(ctx, "a notification of Reloadly's names no identifier")
		return healthy(), nil // it would only be delivered again
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), redisTime)
	defer cancel()
	if err := s.client.Notified(ctx, identifier); err != nil && !errors.Is(err, enqueue.ErrNotFound) {
		s.log.WarnContext(ctx, "a notification of Reloadly's woke nothing; the job is looked up at its turn", "error", err)
		return nil, unavailable("deliver it again")
	}
	return healthy(), nil
}

// signed compares in constant time.
func signed(secret string, body []byte, timestamp, signature string) bool {
	given, err := hex.DecodeString(signature)
	if err != nil {
		return false
	}
	mac := hmac.New(sha256.New, []byte(secret))
	_, _ = mac.Write(body) // a hash never fails
	_, _ = mac.Write([]byte(":" + timestamp))
	return hmac.Equal(given, mac.Sum(nil))
}

// fresh reads seconds, or milliseconds, since 1970.
func fresh(timestamp string, now time.Time) bool {
	n, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil {
		return false
	}
	at := time.Unix(n, 0)
	if n > 100_000_000_000 {
		at = time.UnixMilli(n)
	}
	return now.Sub(at).Abs() <= webhookAge
}

// notifiedOf is the identifier that a notification names: it stands in data, or in
// data's transaction.
func notifiedOf(body []byte) string {
	var n struct {
		Data struct {
			CustomIdentifier string `json:"customIdentifier"`
			Transaction      struct {
				CustomIdentifier string `json:"customIdentifier"`
			} `json:"transaction"`
		} `json:"data"`
	}
	if err := json.Unmarshal(body, &n); err != nil {
		return ""
	}
	return cmp.Or(n.Data.CustomIdentifier, n.Data.Transaction.CustomIdentifier)
}
