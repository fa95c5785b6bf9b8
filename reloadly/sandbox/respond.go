package sandbox

import (
	"encoding/json"
	"net/http"
	"time"
)

// writeJSON answers with a JSON document.
func writeJSON(w http.ResponseWriter, status int, body any) {
	text, err := json.Marshal(body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(text)
}

// writeError answers with Reloadly's error body; a nil code is null.
func writeError(w http.ResponseWriter, r *http.Request, status int, code *string, message string) {
	writeJSON(w, status, struct {
		TimeStamp string  `json:"timeStamp"`
		Message   string  `json:"message"`
		Path      string  `json:"path"`
		ErrorCode *string `json:"errorCode"`
		InfoLink  *string `json:"infoLink"`
		Details   []any   `json:"details"`
	}{time.Now().UTC().Format(time.DateTime), message, r.URL.Path, code, nil, []any{}})
}

func writeFault(w http.ResponseWriter, r *http.Request, f *fault) {
	for name, value := range f.Headers {
		w.Header().Set(name, value)
	}
	writeError(w, r, f.Status, f.Code, f.Message)
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
