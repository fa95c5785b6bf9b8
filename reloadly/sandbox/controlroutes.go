package sandbox

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// controlRoutes are the simulator's own, for tests in another process; doc.go describes them.
func (s *Simulator) controlRoutes() {
	get := func(path string, f func(r *http.Request) (any, error)) {
		s.mux.HandleFunc("GET /sandbox/"+path, func(w http.ResponseWriter, r *http.Request) { control(w, r, f) })
	}
	get("livez", func(*http.Request) (any, error) { return map[string]any{"status": "ok"}, nil })
	get("executions", func(r *http.Request) (any, error) { return s.askedExecutions(r) })
	s.mux.HandleFunc("GET /sandbox/executions.jsonl", s.streamExecutions)
	get("overlaps", func(*http.Request) (any, error) { return append([]string{}, s.Overlaps()...), nil })
	get("posts", func(r *http.Request) (any, error) {
		if q := r.URL.Query(); q.Has("customIdentifier") {
			return map[string]any{"posts": s.PostsFor(q.Get("customIdentifier"))}, nil
		}
		return map[string]any{"posts": s.Posts()}, nil
	})
	get("stats", func(*http.Request) (any, error) {
		t := s.Totals()
		return map[string]any{
			"posts": s.Posts(), "reads": s.Reads(), "executions": t.Executions, "paid": t.Paid,
			"overlaps": len(s.Overlaps()), "balance": t.Balance, "currency": t.Currency, "faults": s.FaultCounts(),
		}, nil
	})
	get("faults", func(*http.Request) (any, error) { return s.Faults(), nil })
	s.mux.HandleFunc("GET /sandbox/audit", s.handleAudit)

	change := func(method, path string, f func(r *http.Request) (any, error)) {
		s.mux.HandleFunc(method+" /sandbox/"+path, func(w http.ResponseWriter, r *http.Request) { control(w, r, f) })
	}
	change("POST", "refill", func(r *http.Request) (any, error) { return s.moveMoney(r, "amount", s.Refill) })
	change("PUT", "balance", func(r *http.Request) (any, error) { return s.moveMoney(r, "balance", s.SetBalance) })
	change("PUT", "faults", func(r *http.Request) (any, error) {
		f := Faults{}
		if err := controlBody(r, &f); err != nil {
			return nil, err
		}
		return f, s.SetFaults(f)
	})
	change("POST", "reverse/{id}", func(r *http.Request) (any, error) {
		id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
		if err == nil {
			err = s.Reverse(id)
		}
		return nil, err
	})
	change("POST", "revoke", func(*http.Request) (any, error) {
		s.RevokeTokens()
		return nil, nil
	})
}

// control answers 200 with what f gives, 204 for nothing, and 400 with its error.
func control(w http.ResponseWriter, r *http.Request, f func(r *http.Request) (any, error)) {
	switch body, err := f(r); {
	case err != nil:
		writeBody(w, http.StatusBadRequest, map[string]any{"error": err.Error()})
	case body == nil:
		w.WriteHeader(http.StatusNoContent)
	default:
		writeBody(w, http.StatusOK, body)
	}
}

// controlBody reads a request; a field that is not known is an error, since a test would wonder for long.
func controlBody(r *http.Request, into any) error {
	d := json.NewDecoder(io.LimitReader(r.Body, 1<<16))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("sandbox: the request's body: %w", err)
	}
	return nil
}

// moveMoney takes a figure as a number or a string and answers the new balance.
func (s *Simulator) moveMoney(r *http.Request, field string, move func(string) error) (any, error) {
	in := map[string]json.RawMessage{}
	if err := controlBody(r, &in); err != nil {
		return nil, err
	}
	if err := move(strings.Trim(string(in[field]), `"`)); err != nil {
		return nil, fmt.Errorf("%s: %w", field, err)
	}
	return map[string]any{"balance": s.Balance(), "currency": s.currency}, nil
}

// askedExecutions are a page of them: ?after=SEQ&limit=N&paid=true.
func (s *Simulator) askedExecutions(r *http.Request) ([]Execution, error) {
	q := r.URL.Query()
	var figures [2]int
	for i, name := range []string{"after", "limit"} {
		if text := q.Get(name); text != "" {
			n, err := strconv.Atoi(text)
			if err != nil || n < 0 {
				return nil, fmt.Errorf("sandbox: %s=%s is no count", name, text)
			}
			figures[i] = n
		}
	}
	paid := included(q, "paid", false)
	return s.executions(int64(figures[0]), figures[1], func(e Execution) bool { return e.Paid || !paid }), nil
}

func (s *Simulator) streamExecutions(w http.ResponseWriter, r *http.Request) {
	all, err := s.askedExecutions(r)
	if err != nil {
		writeBody(w, http.StatusBadRequest, map[string]any{"error": err.Error()})
		return
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	lines := json.NewEncoder(w)
	for _, e := range all {
		if lines.Encode(e) != nil {
			return // the client has left
		}
	}
}

// handleAudit answers 409 where the sums do not agree.
func (s *Simulator) handleAudit(w http.ResponseWriter, _ *http.Request) {
	err := s.Audit()
	out := struct {
		OK    bool   `json:"ok"`
		Error string `json:"error,omitempty"`
		Totals
	}{OK: err == nil, Totals: s.Totals()}
	status := http.StatusOK
	if err != nil {
		out.Error, status = err.Error(), http.StatusConflict
	}
	writeBody(w, status, out)
}
