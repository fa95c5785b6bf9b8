package reloadly

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/govalues/decimal"
)

const (
	opToken = "token"
	// defaultLife is assumed when the answer does not say [doc].
	defaultLife = time.Hour
	// maxLife is more than the longest life seen, 60 days [doc].
	maxLife = 90 * 24 * time.Hour
)

// requestToken asks the provider for a token, in JSON: a form, as x/oauth2 sends it, is refused [doc].
func (c *Client) requestToken(ctx context.Context, with *credentials) (*Token, *Error) {
	var t *Token
	cl := call{
		op: opToken, method: http.MethodPost, url: c.cfg.AuthURL, accept: "application/json",
		timeout: c.cfg.ReadTimeout, limit: maxPostAnswer,
		body: bodyOf(struct {
			ClientID     string `json:"client_id"`
			ClientSecret string `json:"client_secret"`
			GrantType    string `json:"grant_type"`
			Audience     string `json:"audience"`
		}{with.id, with.secret, "client_credentials", c.cfg.Audience}),
	}
	e := c.retry.do(ctx, opToken, func(ctx context.Context) *Error {
		// From before the request: the life then ends early rather than late.
		asked := c.cfg.Now()
		cl.take = func(ans answer) (err error) {
			t, err = parseToken(ans.body, asked)
			return err
		}
		return tokenError(c.exchange(ctx, cl, ""))
	})
	if e != nil {
		return nil, e
	}
	t.Audience, t.Source = c.cfg.Audience, c.cfg.AuthURL
	return t, nil
}

// tokenError turns what the token address answered into what it means for a job: it was not sent.
func tokenError(e *Error) *Error {
	if e == nil {
		return nil
	}
	switch {
	case e.HTTPStatus == http.StatusTooManyRequests:
		e.Advice = RateLimited
	case e.Outcome == Refused:
		e.Advice = HoldAccount // the credentials, the audience or the account: no job's fault
	default:
		e.Advice = RetryLater
	}
	e.Outcome = NotSent
	return e
}

// parseToken reads {"access_token","expires_in"}; the life comes as a number, a string or not at all.
func parseToken(body []byte, asked time.Time) (*Token, error) {
	var wire struct {
		AccessToken string   `json:"access_token"`
		ExpiresIn   wireText `json:"expires_in"`
	}
	if json.Unmarshal(body, &wire) != nil || wire.AccessToken == "" {
		return nil, errors.New("the answer has no access_token")
	}
	unfit := func(r rune) bool { return r <= ' ' || r > '~' }
	if len(wire.AccessToken) > maxCredentialSize || strings.ContainsFunc(wire.AccessToken, unfit) {
		return nil, errors.New("the access_token does not fit into a header")
	}
	return &Token{Value: wire.AccessToken, Issued: asked, Expires: asked.Add(life(wire.ExpiresIn.text))}, nil
}

func life(seconds string) time.Duration {
	d, err := decimal.Parse(seconds)
	if err != nil || !d.IsPos() {
		return defaultLife
	}
	whole, _, ok := d.Trunc(0).Int64(0)
	if !ok || whole >= int64(maxLife/time.Second) {
		return maxLife
	}
	return max(time.Duration(whole)*time.Second, time.Second)
}
