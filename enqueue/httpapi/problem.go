package httpapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"example.com/topup/enqueue"
)

// Code says what is wrong, for programs. The texts are permanent.
type Code string

// The codes of a [Problem], and the status that each has.
const (
	CodeBadJSON          Code = "bad_json"               // 400: the body is not one JSON text in UTF-8
	CodeDuplicateName    Code = "duplicate_name"         // 400: a name stands twice in one object
	CodeUnknownField     Code = "unknown_field"          // 400
	CodeWrongType        Code = "wrong_type"             // 400
	CodeMissingID        Code = "missing_id"             // 400: neither customIdentifier nor Idempotency-Key
	CodeIDMismatch       Code = "id_mismatch"            // 400: both, and they differ
	CodeInvalidTopUp     Code = "invalid_topup"          // 400: a field has a value that cannot be
	CodeInvalidParameter Code = "invalid_parameter"      // 400: of the query or a header
	CodeBadBatch         Code = "bad_batch"              // 400: none, or more than 1,000
	CodeBadSignature     Code = "bad_signature"          // 401: of a notification
	CodeUnauthorized     Code = "unauthorized"           // 401: no key, or one that does not hold
	CodeForbidden        Code = "forbidden"              // 403: the key has not the scope
	CodeCrossOrigin      Code = "cross_origin"           // 403: a browser, on behalf of another site
	CodeNotFound         Code = "not_found"              // 404: no such path
	CodeNoSuchTopUp      Code = "no_such_topup"          // 404
	CodeMethod           Code = "method_not_allowed"     // 405
	CodeTimeout          Code = "timeout"                // 408: the body came too slowly
	CodeConflict         Code = "conflict"               // 409: the id belongs to another top-up
	CodeNotCancellable   Code = "not_cancellable"        // 409
	CodeGone             Code = "gone"                   // 410: it ended so long ago that only its state is known
	CodeTooLarge         Code = "too_large"              // 413
	CodeMediaType        Code = "unsupported_media_type" // 415
	CodeRateLimited      Code = "rate_limited"           // 429
	CodeInternal         Code = "internal"               // 500: a bug
	CodeUnavailable      Code = "unavailable"            // 503: Redis is away, repeat it with the same id
	CodeNotSettled       Code = "not_settled"            // 504, of /topups alone: it goes on, repeat it with the same id
	CodeNotPaid          Code = "not_paid"               // 400, of /topups alone: it ended and nothing was paid
	CodeNeedsReview      Code = "needs_review"           // 504, of /topups alone: a person decides
)

// Problem is every answer that is not a success (RFC 9457).
type Problem struct {
	Type   string         `json:"type" doc:"Always about:blank: code says what it is"`
	Title  string         `json:"title" doc:"The status in words"`
	Status int            `json:"status" doc:"The HTTP status"`
	Code   Code           `json:"code" doc:"What is wrong, for programs: permanent"`
	Detail string         `json:"detail" doc:"What is wrong and what to do, for people"`
	Errors []FieldProblem `json:"errors,omitempty" doc:"One for each field that is wrong"`
	ID     string         `json:"id,omitempty" doc:"The top-up that it is about"`
	State  enqueue.State  `json:"state,omitempty" doc:"Where that top-up stands"`
	// Of the paths that are Reloadly's own, under Reloadly's names.
	ErrorCode string `json:"errorCode,omitempty" doc:"Reloadly's own code, where there is one"`
	Message   string `json:"message,omitempty" doc:"The same as detail, under Reloadly's name"`

	headers http.Header
}

// FieldProblem is what is wrong with one field.
type FieldProblem struct {
	Pointer string `json:"pointer" doc:"Where it stands in the body (RFC 6901); empty is the body itself, or not in the body"`
	Name    string `json:"name" doc:"The field, the parameter or the header"`
	Problem string `json:"problem" doc:"What is wrong"`
	Fix     string `json:"fix,omitempty" doc:"What to do"`
}

func problem(status int, code Code, format string, args ...any) *Problem {
	return &Problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Code: code, Detail: fmt.Sprintf(format, args...)}
}

// parameter is a problem of the query or of a header.
func parameter(name, what, fix string) *Problem {
	p := problem(http.StatusBadRequest, CodeInvalidParameter, "%s: %s (%s)", name, what, fix)
	p.Errors = []FieldProblem{{Name: name, Problem: what, Fix: fix}}
	return p
}

func (p *Problem) Error() string { return p.Detail }

// GetStatus, GetHeaders and ContentType are how huma writes it.
func (p *Problem) GetStatus() int { return p.Status }

// GetHeaders are sent with it.
func (p *Problem) GetHeaders() http.Header { return p.headers }

// ContentType is RFC 9457's.
func (p *Problem) ContentType(string) string { return problemType }

const problemType = "application/problem+json"

func (p *Problem) header(name, value string) *Problem {
	if p.headers == nil {
		p.headers = http.Header{}
	}
	p.headers.Set(name, value)
	return p
}

// retryAfter says when to come back, in whole seconds.
func (p *Problem) retryAfter(d time.Duration) *Problem {
	return p.header("Retry-After", strconv.Itoa(max(1, int(math.Ceil(d.Seconds())))))
}

// write sends it outside of huma.
func (p *Problem) write(w http.ResponseWriter) {
	for name, values := range p.headers {
		w.Header()[name] = values
	}
	w.Header().Set("Content-Type", problemType)
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // who asked has gone
}

// unavailable is the answer while Redis is away.
func unavailable(detail string) *Problem {
	return problem(http.StatusServiceUnavailable, CodeUnavailable, "%s", detail).retryAfter(time.Second)
}

// problemOf is the answer to an error of enqueue's about the job of an id. What it
// does not know is Redis' fault: the error itself, which may name servers, is for the
// log alone.
func (s *Server) problemOf(err error, r enqueue.Result, id string) *Problem {
	about := func(p *Problem) *Problem {
		p.ID, p.State = id, r.State
		return p
	}
	if own, ok := errors.AsType[*Problem](err); ok {
		return own
	}
	if conflict, ok := errors.AsType[*enqueue.ConflictError](err); ok {
		p := problem(http.StatusConflict, CodeConflict, "%v", conflict)
		for _, field := range conflict.Fields {
			p.Errors = append(p.Errors, FieldProblem{pointerOf(field), field, "differs from the top-up that has this id", "use a new id for another top-up"})
		}
		return about(p)
	}
	switch {
	case errors.Is(err, enqueue.ErrInvalid):
		return invalid(err)
	case errors.Is(err, enqueue.ErrNotFound):
		return about(problem(http.StatusNotFound, CodeNoSuchTopUp, "no top-up has this id"))
	case errors.Is(err, enqueue.ErrExpired):
		return about(problem(http.StatusGone, CodeGone, "this top-up ended as %s so long ago that its record is gone; the id stays refused (use a new one for another top-up)", r.State))
	case errors.Is(err, enqueue.ErrNotCancellable):
		return about(problem(http.StatusConflict, CodeNotCancellable, "it is %s and cannot be cancelled any more", r.State))
	case errors.Is(err, enqueue.ErrCursor):
		return parameter("cursor", "is not of this list", "begin again without one")
	}
	s.log.Warn("redis did not serve a request", "error", err)
	return about(unavailable("it is not known whether this was done: repeat it with the same id, which is never paid twice"))
}

// invalid names each field of a job that is wrong.
func invalid(err error) *Problem {
	p := problem(http.StatusBadRequest, CodeInvalidTopUp, "%s", "")
	var details []string
	for _, e := range flatten(err) {
		p.Errors = append(p.Errors, FieldProblem{pointerOf(e.Field), e.Field, e.Problem, e.Fix})
		details = append(details, e.Error())
	}
	p.Detail = strings.Join(details, "; ")
	return p
}

// flatten is the field errors in a joined error.
func flatten(err error) []*enqueue.FieldError {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var all []*enqueue.FieldError
		for _, e := range joined.Unwrap() {
			all = append(all, flatten(e)...)
		}
		return all
	}
	if field, ok := errors.AsType[*enqueue.FieldError](err); ok {
		return []*enqueue.FieldError{field}
	}
	return nil
}

// pointerOf is the JSON pointer of a field such as recipientPhone.number.
func pointerOf(field string) string { return "/" + strings.ReplaceAll(field, ".", "/") }
