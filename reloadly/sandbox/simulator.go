package sandbox

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"
)

// Attempt is one POST of a top-up; Number counts from 1 per identifier.
type Attempt struct {
	Identifier string
	Number     int
}

// Simulator is an http.Handler that behaves like Reloadly's Airtime API.
type Simulator struct {
	cfg       Config
	log       *slog.Logger
	mux       *http.ServeMux
	catalogue *catalogue
	currency  string
	closed    chan struct{}
	closeOnce sync.Once

	mu       sync.Mutex
	start    money
	balance  money
	refills  money
	refunds  money
	debits   money
	nextID   int64
	records  []*record
	byTx     map[int64]*record
	used     map[string]bool      // identifiers, with case
	search   map[string][]*record // identifiers, lower case
	recharge map[string]*record   // last top-up of a recipient
	pending  dueQueue
	tokens   map[string]token
	posts    int
	attempts map[string]int
	inFlight map[string]int
	overlaps []string
	script   func(Attempt) string
	faults   Faults
	reads    map[string]int // calls that are no top-ups, by path
	met      map[string]int // faults, by name
	ledger   *ledgerFile
	opened   bool // the ledger said what the balance was at first
}

// New makes a Simulator and reads its ledger again, if there is one.
func New(cfg Config) (*Simulator, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	start, account, err := parseBalance(cfg.Balance)
	if err != nil {
		return nil, err
	}
	s := &Simulator{
		cfg: cfg, log: cfg.Logger, mux: http.NewServeMux(), currency: account,
		catalogue: newCatalogue(account), closed: make(chan struct{}),
		start: start, balance: start, nextID: cfg.FirstTransactionID,
		byTx: map[int64]*record{}, used: map[string]bool{}, search: map[string][]*record{},
		recharge: map[string]*record{}, tokens: map[string]token{},
		attempts: map[string]int{}, inFlight: map[string]int{}, reads: map[string]int{}, met: map[string]int{},
	}
	s.faults = cfg.faults()
	if cfg.LedgerFile != "" {
		if err := s.openLedger(cfg.LedgerFile); err != nil {
			return nil, err
		}
	}
	s.routes()
	return s, nil
}

func (s *Simulator) routes() {
	s.mux.Handle("POST /oauth/token", s.reading(http.HandlerFunc(s.handleToken)))
	s.order("POST /topups", false)
	s.order("POST /topups-async", true)
	s.read("GET /topups/{id}/status", s.handleStatus)
	s.read("GET /topups/reports/transactions", s.handleReport)
	s.read("GET /topups/reports/transactions/{id}", s.handleTransaction)
	s.read("GET /accounts/balance", s.handleBalance)
	s.operatorRoutes()
	s.controlRoutes()
	s.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		writeBody(w, http.StatusNotFound, map[string]any{
			"timestamp": s.now().UTC().Format("2006-01-02T15:04:05.000+00:00"),
			"status":    404, "error": "Not Found", "path": r.URL.Path,
		})
	})
}

func (s *Simulator) read(pattern string, h http.HandlerFunc) {
	s.mux.Handle(pattern, s.reading(s.authorised(h)))
}

func (s *Simulator) order(pattern string, async bool) {
	guarded := s.authorised(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.handleTopup(w, r, async) }))
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		if !s.cfg.KeepAlive {
			w.Header().Set("Connection", "close")
		}
		guarded.ServeHTTP(w, r)
	})
}

// ServeHTTP answers as Reloadly's authentication and Airtime hosts do, and the control API under /sandbox/.
func (s *Simulator) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mux.ServeHTTP(w, r)
}

// Close ends the waits that are left and closes the ledger file.
func (s *Simulator) Close() error {
	var err error
	s.closeOnce.Do(func() {
		close(s.closed)
		if s.ledger != nil {
			err = s.ledger.close()
		}
	})
	return err
}

func (s *Simulator) now() time.Time { return s.cfg.Now() }

// scaled is one of the provider's durations in the simulator's time.
func (s *Simulator) scaled(d time.Duration) time.Duration { return s.cfg.scaled(d) }

// wait ends early with the context or the simulator.
func (s *Simulator) wait(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	case <-s.closed:
	}
}
