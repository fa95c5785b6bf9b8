package httpapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path"
	"runtime/debug"
	"strings"
	"time"
)

// exchange is one request and its answer.
type exchange struct {
	r   *http.Request
	w   *answerWriter
	key string // the name of the key
}

type exchangeKey struct{}

// exchangeOf is the exchange of a handler's context.
func exchangeOf(ctx context.Context) *exchange {
	x, _ := ctx.Value(exchangeKey{}).(*exchange)
	return x
}

// answerWriter remembers what was answered.
type answerWriter struct {
	http.ResponseWriter
	status int
}

func (w *answerWriter) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *answerWriter) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(p)
}

// Unwrap is for [http.ResponseController].
func (w *answerWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// ServeHTTP answers one request, and logs that it did: neither its values nor its
// query, which can hold what is nobody's business.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	x := &exchange{w: &answerWriter{ResponseWriter: w}}
	x.r = r.WithContext(context.WithValue(r.Context(), exchangeKey{}, x))
	defer func() {
		s.logged(x, began)
	}()
	defer func() {
		if v := recover(); v != nil {
			s.recovered(x, v)
		}
	}()
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if err := s.origin.Check(x.r); err != nil {
		problem(http.StatusForbidden, CodeCrossOrigin, "a browser sent this on behalf of another site").write(x.w)
		return
	}
	if at := r.URL.Path; at != "/" && path.Clean(at) != strings.TrimSuffix(at, "/") { // the mux would redirect, and clients repeat a POST as a GET
		s.notFound(x.w, x.r)
		return
	}
	s.mux.ServeHTTP(x.w, x.r)
}

// recovered answers after a bug. Where the caller has gone there is none.
func (s *Server) recovered(x *exchange, v any) {
	if x.r.Context().Err() != nil || x.w.status != 0 {
		if err, ok := v.(error); !ok || !errors.Is(err, http.ErrAbortHandler) {
			s.log.Warn("an answer broke off", "error", fmt.Sprint(v))
		}
		panic(http.ErrAbortHandler)
	}
	s.log.Error("a bug was met while answering", "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
	problem(http.StatusInternalServerError, CodeInternal, "this is a bug of the server; it is not known whether this was done: repeat it with the same id").write(x.w)
}

func (s *Server) logged(x *exchange, began time.Time) {
	level := slog.LevelInfo
	_, route, _ := strings.Cut(x.r.Pattern, " ")
	if route == "" {
		route = x.r.Pattern
	}
	if route == "/livez" || route == "/readyz" {
		level = slog.LevelDebug
	}
	attrs := []slog.Attr{
		slog.String("method", method(x.r.Method)), slog.String("route", route), slog.Int("status", x.w.status),
		slog.Duration("took", time.Since(began)),
	}
	if x.key != "" {
		attrs = append(attrs, slog.String("key", x.key))
	}
	s.log.LogAttrs(x.r.Context(), level, "request", attrs...)
}

// method keeps what anybody can make up out of the log.
func method(name string) string {
	switch name {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return name
	default:
		return "other"
	}
}

// notFound answers for every path that is none.
func (s *Server) notFound(w http.ResponseWriter, r *http.Request) {
	if p := s.authorize(exchangeOf(r.Context()), ""); p != nil {
		p.write(w)
		return
	}
	problem(http.StatusNotFound, CodeNotFound, "there is nothing at this path (see /openapi.json)").write(w)
}

// otherMethods answers for a path that takes only some methods.
func (s *Server) otherMethods(allow string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if p := s.authorize(exchangeOf(r.Context()), ""); p != nil {
			p.write(w)
			return
		}
		problem(http.StatusMethodNotAllowed, CodeMethod, "this path takes %s alone", allow).header("Allow", allow).write(w)
	}
}
