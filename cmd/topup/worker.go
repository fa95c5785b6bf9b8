package main

import (
	"context"
	"fmt"
	"log/slog"
	"sync"

	"github.com/spf13/cobra"
)

func (a *app) workerCommand() *cobra.Command {
	return &cobra.Command{
		Use: "worker", Short: "Dequeue top-ups and send them, until a signal comes", Args: usageArgs(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			ctx := c.Context()
			o, err := openShared(ctx, a.settings)
			if err != nil {
				return err
			}
			defer o.close()
			log := newLogger(a.err, a.settings.LogLevel)
			if err := checkSafe(ctx, o, a.settings, log); err != nil {
				return err
			}
			if err := keepEnvironment(ctx, o.rdb, a.settings); err != nil {
				return err
			}
			traces, err := newTracing(ctx, log)
			if err != nil {
				return err
			}
			defer traces.close()
			seen, err := newWatch(ctx, a.settings, o, traces, log)
			if err != nil {
				return err
			}
			defer seen.close()
			client, err := newReloadly(a.settings, o, log, seen.reloadly)
			if err != nil {
				return err
			}
			defer client.Close()
			w, err := newWorker(a.settings, o, client, log, nil, seen.worker)
			if err != nil {
				return err
			}
			if err := seen.start(ctx, client); err != nil {
				return err
			}
			defer rereadOnHangup(ctx, a.settings, o, client, log)()
			if err := client.Ready(ctx); err != nil {
				return fmt.Errorf("before the first job: %w", err)
			}
			log.Info("worker started", "redis", o.url, "environment", a.settings.Environment)
			return logEnd(ctx, log, "worker", func() error { return w.Run(ctx) })
		},
	}
}

// logEnd runs what runs until ctx ends, and has the log say that it was asked to end,
// and did: a log that breaks off without it is of a process that was killed.
func logEnd(ctx context.Context, log *slog.Logger, command string, run func() error) error {
	say := sync.OnceFunc(func() { log.Info("asked to end: what is under way is waited for", "command", command) })
	defer context.AfterFunc(ctx, say)()
	err := run()
	if ctx.Err() != nil { // run can be faster than what ctx calls
		say()
	}
	if err == nil {
		log.Info("ended", "command", command)
	}
	return err
}
