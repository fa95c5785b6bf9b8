package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"example.com/topup/reloadly/sandbox"
)

// simulatorRole is the variable that makes this program play Reloadly; its value is a
// simulatorConfig.
const simulatorRole = "CHAOSTEST_SIMULATOR"

// simulatorConfig is what the simulator's process is told.
type simulatorConfig struct {
	sandbox.Config
	Now, Logger any `json:",omitempty"` // stand before the fields that no JSON can carry

	Listen   string
	Journal  string        // every request, one line each
	Slowest  time.Duration // what a request waits before it is looked at, at most
	Unseen   float64       // the share of top-ups that wait nearly or more than that
	DrawSeed uint64
}

// faults are the rates of a run: about one answer in ten does not say what happened,
// and of the rest some refuse, some for good. Left out are a FAILED that becomes SUCCESSFUL
// and a SUCCESSFUL that becomes REFUNDED: the nightly look at the report is for those.
func faults() map[string]float64 {
	return map[string]float64{
		"drop-after": 0.015, "drop-before": 0.015, "html-after": 0.01, "html-before": 0.01, "500-after": 0.01,
		"500-before": 0.01, "truncated": 0.005, "empty-200": 0.005, "no-id": 0.005, "wrong-echo": 0.005,
		"redirect": 0.003, "late": 0.012, "slow": 0.01, "slow-refuse": 0.005, "no-status": 0.005,
		"processing-successful": 0.03, "processing-refunded": 0.01, "processing-failed": 0.005, "failed": 0.005, "refunded": 0.005, "pending": 0.005,
		"identifier-used-after":                         0.005, // a refusal of what was executed all the same
		"transaction-cannot-be-processed-at-the-moment": 0.02, "operator-unavailable-or-currently-inactive": 0.01,
		"transaction-failed-on-operator": 0.01, "phone-recently-recharged": 0.003,
		"transaction-rejected-by-operator": 0.01, "phone-banned-by-operator": 0.005,
		"401": 0.005, "429-once-bare": 0.004, "429": 0.0005,
	}
}

// permanent are the codes with which the simulator refuses a top-up for good.
var permanent = []string{"TRANSACTION_REJECTED_BY_OPERATOR", "PHONE_BANNED_BY_OPERATOR", "TRANSACTION_ENDED"}

// playSimulator is the whole life of the simulator's process.
func playSimulator(ctx context.Context, text string) error {
	var cfg simulatorConfig
	if err := json.Unmarshal([]byte(text), &cfg); err != nil {
		return err
	}
	sim, err := sandbox.New(cfg.Config)
	if err != nil {
		return err
	}
	journal, err := os.OpenFile(cfg.Journal, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", cfg.Listen)
	if err != nil {
		return err
	}
	server := &http.Server{
		ReadHeaderTimeout: time.Minute,
		Handler: &recorder{
			next: sim, journal: journal, slowest: cfg.Slowest, unseen: cfg.Unseen, draw: rand.New(rand.NewPCG(cfg.DrawSeed, 1)),
		},
	}
	return server.Serve(listener)
}

// request is one line of the journal.
type request struct {
	From, To   time.Time
	Method     string
	Path       string
	Identifier string
	Status     int // 0: the connection was closed
}

// recorder makes requests slow, and writes down when each was under way: this is the
// run's own record, beside the simulator's.
type recorder struct {
	next    http.Handler
	journal io.Writer
	slowest time.Duration
	unseen  float64
	mu      sync.Mutex
	draw    *rand.Rand
}

func (h *recorder) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/sandbox/") {
		h.next.ServeHTTP(w, r)
		return
	}
	line := request{From: time.Now(), Method: r.Method, Path: r.URL.Path, Identifier: r.URL.Query().Get("customIdentifier")}
	pays := r.Method == http.MethodPost && strings.HasPrefix(r.URL.Path, "/topups")
	if pays {
		var in struct{ CustomIdentifier string }
		body, err := io.ReadAll(r.Body)
		if err == nil {
			_ = json.Unmarshal(body, &in) // the simulator refuses what cannot be read
			line.Identifier = in.CustomIdentifier
			r.Body = io.NopCloser(bytes.NewReader(body))
		} else { // half a request; the simulator meets the same error
			r.Body = io.NopCloser(io.MultiReader(bytes.NewReader(body), broken{err}))
		}
	}
	wait := h.wait(pays)
	time.Sleep(wait) // whether or not the client still waits: the request is in the provider's hands
	seen := &statusWriter{ResponseWriter: w}
	defer func() {
		line.To, line.Status = time.Now(), seen.status
		text, _ := json.Marshal(line) // always encodes
		h.mu.Lock()
		defer h.mu.Unlock()
		_, _ = h.journal.Write(append(text, '\n'))
	}()
	h.next.ServeHTTP(seen, r)
}

// wait is short for most, up to the client's patience for some, and longer for a few.
func (h *recorder) wait(pays bool) time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	x := h.draw.Float64()
	if !pays {
		return time.Duration(x * x * x * float64(h.slowest) / 4)
	}
	if h.draw.Float64() < h.unseen {
		return time.Duration((0.9 + x/2) * float64(h.slowest))
	}
	return time.Duration(x * x * 0.85 * float64(h.slowest))
}

type broken struct{ err error }

func (b broken) Read([]byte) (int, error) { return 0, b.err }

// statusWriter remembers the status.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(b)
}

func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// simulator is the run's side of that process.
type simulator struct {
	process         *process
	url             string
	addr            string
	ledger, journal string
}

// startSimulator starts it with a balance that does not last.
func startSimulator(ctx context.Context, dir string, s settings) (*simulator, error) {
	rates := faults()
	if s.LateReport {
		delete(rates, "phone-recently-recharged")
	}
	return launchSimulator(ctx, dir, simulatorConfig{
		Config: sandbox.Config{
			Balance: fmt.Sprintf("%d NGN", refillFor(s)), FaultRates: rates, Seed: s.Seed,
			ReadFaults: 0.02, TokenLife: 20 * time.Second, NoMagic: true, TimeScale: s.Scale, DuplicateWindow: s.scaled(5 * time.Second), BurnOnDecline: s.burns(),
			LateExecution: s.late(), ReportDelay: s.reportDelay(), FlatStatus: s.Seed%4 >= 2,
		},
		Slowest: s.postTimeout(), Unseen: 0.02, DrawSeed: s.Seed,
	})
}

// launchSimulator starts it with files in dir, and waits until it answers.
func launchSimulator(ctx context.Context, dir string, cfg simulatorConfig) (*simulator, error) {
	addr, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	sim := &simulator{
		addr: addr, url: "http://" + addr,
		ledger: filepath.Join(dir, "executed.jsonl"), journal: filepath.Join(dir, "requests.jsonl"),
	}
	cfg.Listen, cfg.Journal, cfg.LedgerFile = addr, sim.journal, sim.ledger
	text, err := json.Marshal(cfg)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	sim.process, err = start(ctx, "simulator", filepath.Join(dir, "simulator.log"), []string{simulatorRole + "=" + string(text)}, self)
	if err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(10 * time.Second); ; {
		if _, err := sim.balance(ctx); err == nil {
			return sim, nil
		} else if time.Now().After(deadline) || !pause(ctx, 20*time.Millisecond) {
			return nil, errors.Join(errors.New("the simulator does not answer"), err)
		}
	}
}

// refillFor is a third of what all jobs cost, so that the balance runs dry twice.
func refillFor(s settings) int { return max(20_000, (s.Jobs+s.Rows)*meanAmount/3) }

// balance is the account's, as the simulator counts it.
func (s *simulator) balance(ctx context.Context) (string, error) {
	var stats struct{ Balance string }
	err := s.control(ctx, http.MethodGet, "stats", nil, &stats)
	return stats.Balance, err
}

func (s *simulator) refill(ctx context.Context, amount int) error {
	return s.control(ctx, http.MethodPost, "refill", map[string]any{"amount": amount}, nil)
}

func (s *simulator) control(ctx context.Context, method, what string, in, out any) error {
	var body bytes.Buffer
	if in != nil {
		if err := json.NewEncoder(&body).Encode(in); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, s.url+"/sandbox/"+what, &body)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }() // read to its end or given up
	if answer.StatusCode >= http.StatusMultipleChoices {
		return fmt.Errorf("simulator: %s: %s", what, answer.Status)
	}
	if out == nil {
		return nil
	}
	return json.NewDecoder(answer.Body).Decode(out)
}
