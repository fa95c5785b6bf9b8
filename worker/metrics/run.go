package metrics

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"
)

// Run looks at Redis until ctx ends. ask may be nil: then this process does not ask for the
// balance and shows what another one was told.
func (m *Metrics) Run(ctx context.Context, ask AskBalance) error {
	var group errgroup.Group
	group.Go(func() error {
		m.every(ctx, m.cfg.Interval, "Redis cannot be surveyed for the metrics", func() error {
			v, err := m.refreshView(ctx)
			m.seen.Store(&sight{view: v, at: time.Now(), up: err == nil})
			return err
		})
		return nil
	})
	group.Go(func() error {
		// More often than it may be asked for: another process's answer is soon shown here too.
		m.every(ctx, min(m.cfg.Interval, m.cfg.BalanceInterval), "the balance is not known to the metrics", func() error { return m.refreshBalance(ctx, ask) })
		return nil
	})
	return group.Wait()
}

// every does something at once and then in intervals. It logs where it begins to fail and
// where it works again, and not each time.
func (m *Metrics) every(ctx context.Context, interval time.Duration, failing string, do func() error) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for failed := false; ; {
		err := do()
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && !failed:
			m.log.WarnContext(ctx, "metrics", "why", failing, "error", err)
		case err == nil && failed:
			m.log.InfoContext(ctx, "metrics", "why", "no longer: "+failing)
		}
		failed = err != nil
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// Serve is [Metrics.Run], and answers scrapes of /metrics on a listener, which it closes.
func (m *Metrics) Serve(ctx context.Context, listener net.Listener, ask AskBalance) error {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", m.Handler())
	server := &http.Server{
		Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 5 * time.Second,
		WriteTimeout: 10 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var group errgroup.Group
	group.Go(func() error { return m.Run(ctx, ask) })
	group.Go(func() error {
		defer stop() // where the listener fails, the looks end too
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("metrics: %w", err)
		}
		return nil
	})
	group.Go(func() error {
		<-ctx.Done()
		_ = server.Close() // a scrape under way is of no use to a process that ends
		return nil
	})
	return group.Wait()
}
