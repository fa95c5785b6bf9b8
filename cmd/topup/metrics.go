package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"

	"example.com/topup/enqueue"
	"example.com/topup/reloadly"
	"example.com/topup/worker"
	"example.com/topup/worker/metrics"
)

// watch is what lets others look at a process that stays: metrics on an address of their
// own, and traces. Where neither was asked for it does nothing.
type watch struct {
	log     *slog.Logger
	metrics *metrics.Metrics // nil where TOPUP_METRICS_LISTEN is empty
	listen  net.Listener
	traces  *tracing // nil where they are off
	stop    func()
}

// newWatch takes the address, so that one that is taken ends the command before any work
// begins. The owner calls close.
func newWatch(ctx context.Context, s Settings, o *opened, traces *tracing, log *slog.Logger) (*watch, error) {
	w := &watch{log: log, traces: traces, stop: func() {}}
	if s.MetricsListen == "" {
		return w, nil
	}
	var err error
	if w.listen, err = (&net.ListenConfig{}).Listen(ctx, "tcp", s.MetricsListen); err != nil {
		return nil, usage(fmt.Errorf("TOPUP_METRICS_LISTEN: %w", err))
	}
	w.metrics, err = metrics.New(metrics.Config{Redis: o.rdb, Ledger: enqueue.NewLedger(o.rdb, s.ledger(o.epoch)), Logger: log})
	if err != nil {
		w.close()
		return nil, err
	}
	return w, nil
}

// reloadly lets the client of Reloadly be watched.
func (w *watch) reloadly(cfg *reloadly.Config) {
	if w.metrics != nil {
		cfg.Observe = w.metrics.Call
	}
}

// worker lets a worker be watched.
func (w *watch) worker(cfg *worker.Config) {
	if w.metrics != nil {
		cfg.OnChange, cfg.OnArchived = w.metrics.Change, w.metrics.ArchivedTask
	}
	if w.traces != nil {
		cfg.Tracer = w.traces
	}
}

// start answers scrapes until close. client is nil in a process without one.
func (w *watch) start(ctx context.Context, client *reloadly.Client) error {
	if w.metrics == nil {
		return nil
	}
	var ask metrics.AskBalance
	if client != nil {
		ask = client.Balance
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx)) // the end of the work is seen too
	done := make(chan error, 1)
	go func() { done <- w.metrics.Serve(ctx, w.listen, ask) }()
	w.stop = func() {
		stop()
		if err := <-done; err != nil {
			w.log.Error("metrics have ended early", "error", err)
		}
	}
	w.log.Info("metrics", "address", w.listen.Addr().String())
	return nil
}

// close ends what start began.
func (w *watch) close() {
	w.stop()
	if w.listen != nil {
		_ = w.listen.Close() // where it was never served
	}
}
