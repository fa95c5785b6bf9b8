package httpapi

import (
	"net/http"
	"testing"
	"time"
)

// Prefer is read as RFC 7240 has it: several lines are one list, preferences may have
// parameters, those that are not known count for nothing.
func TestPrefer(t *testing.T) {
	s := &Server{cfg: Config{MaxWait: time.Minute}}
	for _, test := range []struct {
		lines []string
		want  time.Duration // negative: a problem
	}{
		{nil, 0},
		{[]string{"respond-async"}, 0},
		{[]string{"wait=30"}, 30 * time.Second},
		{[]string{"Wait = 30"}, 30 * time.Second},
		{[]string{`wait="30"`}, 30 * time.Second},
		{[]string{"respond-async, wait=30"}, 30 * time.Second},
		{[]string{"respond-async", "wait=30"}, 30 * time.Second},
		{[]string{"wait=30; why=soon, handling=lenient"}, 30 * time.Second},
		{[]string{"wait=10", "wait=30"}, 10 * time.Second}, // the first one counts
		{[]string{"wait=100"}, time.Minute},
		{[]string{"wait=99999999999999999999"}, time.Minute},
		{[]string{"await=30, x-wait=30"}, 0},
		{[]string{"wait=0"}, 0},
		{[]string{"wait=soon"}, -1},
		{[]string{"wait=-1"}, -1},
		{[]string{"wait=1m"}, -1},
		{[]string{"wait=1.5"}, -1},
		{[]string{"wait="}, -1},
		{[]string{"wait"}, -1},
	} {
		w := http.Header{}
		x := &exchange{r: &http.Request{Header: http.Header{"Prefer": test.lines}}, w: &answerWriter{ResponseWriter: headers(w)}}
		got, err := s.waitOf(x, "")
		if (err != nil) != (test.want < 0) || err == nil && got != test.want {
			t.Errorf("%q: %v %v, want %v", test.lines, got, err, test.want)
		}
		if applied := w.Get("Preference-Applied"); (applied == "wait") != (test.want > 0 || len(test.lines) > 0 && test.lines[0] == "wait=0") {
			t.Errorf("%q: Preference-Applied: %q", test.lines, applied)
		}
	}
}

// headers is a ResponseWriter of headers alone.
type headers http.Header

func (h headers) Header() http.Header       { return http.Header(h) }
func (headers) WriteHeader(int)             {}
func (headers) Write(p []byte) (int, error) { return len(p), nil }
