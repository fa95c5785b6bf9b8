package reloadly

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync/atomic"
	"time"
)

const (
	// maxPostAnswer is more than any answer about one top-up; a larger one is not what it seems.
	maxPostAnswer = 1 << 20
	// maxReadAnswer holds a page of 200 operators with all their plans, or 500 transactions.
	maxReadAnswer = 16 << 20
)

// call is one request to make. url is absolute.
type call struct {
	op, method, url string
	body            []byte
	// pays marks the POST that moves money: guarded, with PostTimeout and never repeated.
	pays       bool
	permission permission
	timeout    time.Duration
	limit      int64
	accept     string
	// take reads a 2xx answer. Its error means that the answer cannot be trusted.
	take func(answer) error
}

// answer is what came back, whole.
type answer struct {
	status int
	header http.Header
	body   []byte
	err    error // the body could not be read to its end
	date   time.Time
}

// exchange makes one HTTP attempt and observes it. A nil error means that take accepted a 2xx answer.
func (c *Client) exchange(ctx context.Context, cl call, bearer string) *Error {
	start := time.Now()
	ans, e := c.roundTrip(ctx, cl, bearer)
	if e == nil {
		e = c.judge(cl, ans, bearer)
	}
	outcome := "ok"
	if e != nil {
		outcome = e.Outcome.String()
	}
	took := time.Since(start)
	c.cfg.Logger.DebugContext(ctx, "reloadly call", "op", cl.op, "outcome", outcome, "status", ans.status, "took", took)
	if c.cfg.Observe != nil {
		c.cfg.Observe(Observation{
			Op: cl.op, Outcome: outcome, Status: ans.status, Duration: took, TokenRefresh: cl.op == opToken,
			Pays: cl.pays, Unrecognised: cl.pays && e.unrecognised(),
		})
	}
	return e
}

// unrecognised reports whether an answer came with a code that nothing is known of.
func (e *Error) unrecognised() bool {
	if e == nil || e.HTTPStatus < 400 || e.Outcome == Refused && e.Advice != AskPerson {
		return false
	}
	_, known := advices[e.Code]
	return !known && (e.Code != "" || e.Outcome == Refused)
}

// roundTrip returns an answer of any status, or the *Error of a transport that gave none.
func (c *Client) roundTrip(ctx context.Context, cl call, bearer string) (answer, *Error) {
	ctx, cancel := context.WithTimeoutCause(ctx, cl.timeout, fmt.Errorf("no answer within %s", cl.timeout))
	defer cancel()
	var (
		connected atomic.Bool
		gate      atomic.Pointer[gatedConn]
		guarding  *guard
	)
	if cl.body != nil {
		guarding = &guard{may: func() bool { return ctx.Err() == nil && !cl.permission.expired(c.cfg.Now()) }}
	}
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
		connected.Store(true)
		if g := gateOf(info.Conn); g != nil {
			g.guard.Store(guarding)
			gate.Store(g)
		}
	}})

	req, err := http.NewRequestWithContext(ctx, cl.method, cl.url, nil)
	if err != nil { // the text would quote the URL, which may hold a phone number
		return answer{}, invalidRequest(cl.op, "the address of the call cannot be built")
	}
	if cl.body != nil {
		// GetBody stays nil: with it net/http would send the body again over another connection.
		req.Body, req.ContentLength, req.GetBody = guardedBody{guarding, bytes.NewReader(cl.body)}, int64(len(cl.body)), nil
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Accept", cl.accept)
	req.Header.Set("User-Agent", "topup")
	if cl.method == http.MethodGet {
		req.Header.Set("Cache-Control", "no-cache") // "nothing found" out of a cache would prove nothing
	}
	if bearer != "" {
		req.Header.Set("Authorization", "Bearer "+bearer)
	}

	resp, err := c.http.Do(req)
	if err != nil {
		return answer{}, c.noAnswer(ctx, cl, err, connected.Load(), guarding, bearer)
	}
	defer func() { _ = resp.Body.Close() }() // the answer is read or given up; there is nothing left to lose
	ans := answer{status: resp.StatusCode, header: resp.Header}
	if g := gate.Load(); g != nil {
		// The connection goes back to the pool, where it may have to write without a request (TLS).
		// After an error it stays guarded: a write that is still under way must not slip out.
		g.guard.CompareAndSwap(guarding, nil)
	}
	ans.date, _ = http.ParseTime(resp.Header.Get("Date"))
	ans.body, ans.err = io.ReadAll(io.LimitReader(resp.Body, cl.limit+1))
	if ans.err == nil && int64(len(ans.body)) > cl.limit {
		ans.err = fmt.Errorf("the answer is larger than %d bytes", cl.limit)
	}
	return ans, nil
}

// noAnswer decides what a failed transport proves. NotSent needs a proof, either of the two: no
// connection was ever obtained, or the guard never let the body out. Everything else is Unknown.
func (c *Client) noAnswer(ctx context.Context, cl call, err error, connected bool, guarding *guard, bearer string) *Error {
	// url.Error quotes the address, which may hold a phone number or an identifier.
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err
	}
	e := &Error{Op: cl.op, Outcome: Unknown, Code: CodeNoAnswer, Err: cleanError(err, c.secrets(bearer)...)}
	if cause := context.Cause(ctx); cause != nil {
		e.Err = fmt.Errorf("%w: %w", ctx.Err(), cleanError(cause, c.secrets()...))
	}
	heldBack := guarding != nil && guarding.refuse()
	if connected && !heldBack {
		if !cl.pays {
			e.Advice = RetryLater
		}
		return e
	}
	e.Outcome, e.Advice, e.Code = NotSent, RetryLater, CodeNotConnected
	switch {
	case cl.permission.expired(c.cfg.Now()):
		e.Code = CodePermissionExpired
	case ctx.Err() != nil:
		e.Code = CodeCancelled
	}
	return e
}

// cleanedError keeps a cause for errors.Is and shows a text without secrets.
type cleanedError struct {
	text  string
	cause error
}

func (e *cleanedError) Error() string        { return e.text }
func (e *cleanedError) Is(target error) bool { return errors.Is(e.cause, target) }

func cleanError(err error, secrets ...string) error {
	return &cleanedError{text: clean(err.Error(), secrets...), cause: err}
}

// authorized makes a call with the account's access. A 401 proves that nothing was executed [doc, obs]:
// that access is dropped and the call repeated once, with its permission still checked.
func (c *Client) authorized(ctx context.Context, cl call) *Error {
	for repeated := false; ; repeated = true {
		if e := c.mayStart(ctx, cl); e != nil {
			return e
		}
		bearer, e := c.bearer(ctx, cl)
		if e != nil {
			return e
		}
		e = c.exchange(ctx, cl, bearer)
		if e == nil || e.HTTPStatus != http.StatusUnauthorized {
			return e
		}
		c.access.drop(ctx, bearer)
		if repeated {
			return e
		}
	}
}

// mayStart is the check before a connection is taken; the guard checks again before the first byte.
func (c *Client) mayStart(ctx context.Context, cl call) *Error {
	if err := ctx.Err(); err != nil {
		return &Error{Op: cl.op, Outcome: NotSent, Advice: RetryLater, Code: CodeCancelled, Err: err}
	}
	if cl.permission.expired(c.cfg.Now()) {
		return &Error{Op: cl.op, Outcome: NotSent, Advice: RetryLater, Code: CodePermissionExpired}
	}
	return nil
}

// bearer waits for access no longer than the permission lasts.
func (c *Client) bearer(ctx context.Context, cl call) (string, *Error) {
	waiting := ctx
	if cl.permission.set {
		var cancel context.CancelFunc
		waiting, cancel = context.WithTimeout(ctx, cl.permission.mono.Sub(c.cfg.Now()))
		defer cancel()
	}
	t, e := c.access.get(waiting)
	if e == nil {
		return t.Value, nil
	}
	if waiting.Err() != nil && ctx.Err() == nil {
		late := *e
		late.Code = CodePermissionExpired
		return "", &late
	}
	return "", e
}

// judge turns an answer into nil or an *Error.
func (c *Client) judge(cl call, ans answer, bearer string) *Error {
	e := classify(ans, c.cfg.Now(), c.secrets(bearer)...)
	if e == nil {
		err := ans.err
		if err == nil {
			err = cl.take(ans)
		}
		if err == nil {
			return nil
		}
		e = &Error{Outcome: Unknown, Code: CodeBadAnswer, HTTPStatus: ans.status, Date: ans.date}
		if wrong, ok := errors.AsType[*mismatchError](err); ok {
			e.Code, e.TransactionID = CodeAnswerMismatch, wrong.transactionID
		}
		if body, ok := parseProblem(ans.body); ok { // says what the 2xx was instead
			e.Message = clean(body.message, c.secrets(bearer)...)
		}
		e.Err = cleanError(err, c.secrets(bearer)...)
	}
	e.Op = cl.op
	if e.Outcome == Unknown && !cl.pays {
		e.Advice = RetryLater
	}
	return e
}

// bodyOf encodes a request. The types are this package's own and always encode.
func bodyOf(v any) []byte {
	var b bytes.Buffer
	if err := encodeJSON(&b, v); err != nil {
		panic("reloadly: a request type does not encode: " + err.Error())
	}
	return bytes.TrimSpace(b.Bytes())
}
