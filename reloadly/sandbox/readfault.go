package sandbox

import (
	"net/http"
	"time"
)

// readFaults is what can go wrong with the calls that only read, and with getting a token.
var readFaults = []fault{
	{Name: "read-500", Status: 500, Mode: mode500Before, Message: "Internal server error"},
	{Name: "read-html", Status: 502, Mode: modeHTMLBefore},
	{Name: "read-empty", Status: 200, Mode: modeEmpty200},
	{Name: "read-truncated", Status: 200, Mode: modeTruncated},
	{Name: "read-drop", Mode: modeDropBefore},
	limited("read-429", 0, map[string]string{
		"Retry-After": "1", "X-RateLimit-Limit": "100", "X-RateLimit-Remaining": "0",
	}),
	limited("read-429-bare", 0, nil),
	{Name: "read-slow", Status: 200, Mode: modeSlow, Delay: 10 * time.Second},
}

// readRates are the profiles' own rates of reading calls that go wrong; all are invented.
var readRates = map[string]float64{"production": 0.005, "ambiguous": 0.03, "hostile": 0.10}

// readFaultNamed is the fault of a reading call of that name, or nil.
func readFaultNamed(name string) *fault {
	for i := range readFaults {
		if readFaults[i].Name == name {
			return readFaults[i].clone()
		}
	}
	return nil
}

// drawReadFault draws the fault of the n-th call of a path: the same for the same seed. The rates by
// name come first, what they leave is divided alike.
func drawReadFault(f Faults, seed uint64, path string, n int) *fault {
	hash := drawHash(seed, path, n)
	found, point := drawByName(f.Rates, hash[0]%whole, readFaultNamed)
	rate := f.Reads
	if rate == 0 {
		rate = readRates[f.Profile]
	}
	if found == nil && point < parts(rate) {
		found = readFaults[hash[1]%uint64(len(readFaults))].clone()
	}
	return found
}

// reading lets a call that is no top-up take its time, and sometimes go wrong.
func (s *Simulator) reading(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.wait(r.Context(), s.cfg.Latency)
		f := s.chooseReadFault(r.Method + " " + r.URL.Path)
		switch {
		case f == nil:
			next.ServeHTTP(w, r)
		case f.Mode == modeSlow:
			s.wait(r.Context(), s.faultDelay(f, slowAnswer))
			next.ServeHTTP(w, r)
		case f.Mode == modeTruncated:
			whole := newCapture(w.Header())
			next.ServeHTTP(whole, r)
			cut(w, whole.status, whole.body)
		case f.Mode == modeEmpty200:
			w.WriteHeader(http.StatusOK)
		case !s.before(w, r, f):
			s.refuseFault(w, r, f) // 429
		}
	})
}

func (s *Simulator) chooseReadFault(path string) *fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads[path]++
	f := drawReadFault(s.faults, s.cfg.Seed, path, s.reads[path])
	s.count(f)
	return f
}
