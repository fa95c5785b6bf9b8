package reloadly

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// apiAccept names the version of the API [doc].
const apiAccept = "application/com.reloadly.topups-v1+json"

// get reads one resource, with retries; take decodes it. The time is the Date header of the answer.
func (c *Client) get(ctx context.Context, op, path string, query url.Values, take func(answer) error) (time.Time, error) {
	cl := call{op: op, method: http.MethodGet, url: c.cfg.APIURL + path}
	if len(query) > 0 {
		cl.url += "?" + query.Encode()
	}
	return c.read(ctx, cl, take)
}

// read makes a call that cannot pay, as often as the retrier allows.
func (c *Client) read(ctx context.Context, cl call, take func(answer) error) (time.Time, error) {
	var date time.Time
	cl.accept, cl.timeout, cl.limit = apiAccept, c.cfg.ReadTimeout, maxReadAnswer
	cl.take = func(ans answer) error {
		if ans.status != http.StatusOK {
			return fmt.Errorf("a reading call was answered with %d", ans.status)
		}
		date = ans.date
		return take(ans)
	}
	e := c.retry.do(ctx, cl.op, func(ctx context.Context) *Error { return c.authorized(ctx, cl) })
	if e != nil {
		return time.Time{}, e
	}
	return date, nil
}

// into decodes an answer into v, a fresh one for each attempt.
func into[T any](v *T) func(answer) error {
	return func(ans answer) error {
		var fresh T
		if err := json.Unmarshal(ans.body, &fresh); err != nil {
			return err
		}
		*v = fresh
		return nil
	}
}

// segment escapes one part of a path. A plus must go as %2B [obs], which url.PathEscape leaves alone.
func segment(s string) string {
	return strings.ReplaceAll(url.PathEscape(s), "+", "%2B")
}
