package sandbox

import (
	"encoding/json"
	"net/http"
)

// refuse answers with Reloadly's error body; an empty code is null.
func (s *Simulator) refuse(w http.ResponseWriter, r *http.Request, status int, code, message string) {
	var c *string
	if code != "" {
		c = &code
	}
	s.refuseWith(w, r, status, c, message)
}

func (s *Simulator) refuseWith(w http.ResponseWriter, r *http.Request, status int, code *string, message string) {
	writeBody(w, status, map[string]any{
		"timeStamp": s.now().UTC().Format(dateLayout), "message": message, "path": r.URL.Path,
		"errorCode": code, "infoLink": nil, "details": []any{},
	})
}

func writeBody(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json;charset=UTF-8")
	w.WriteHeader(status)
	_, _ = w.Write(b)
}

// capture takes an answer that a fault is going to spoil.
type capture struct {
	header http.Header
	status int
	body   []byte
}

func newCapture(h http.Header) *capture { return &capture{header: h, status: http.StatusOK} }

func (c *capture) Header() http.Header { return c.header }

func (c *capture) WriteHeader(status int) { c.status = status }

func (c *capture) Write(b []byte) (int, error) {
	c.body = append(c.body, b...)
	return len(b), nil
}
