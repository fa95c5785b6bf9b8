package main

import (
	"fmt"
	"log/slog"
	"net"

	"github.com/spf13/cobra"

	"example.com/topup/enqueue"
	"example.com/topup/enqueue/httpapi"
	"example.com/topup/enqueue/httpapi/monitor"
)

func (a *app) serveCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "serve",
		Short: "Take top-ups over HTTP, until a signal comes",
		Long: "Take top-ups over HTTP from callers in any language, until a signal comes. Workers send them.\n" +
			"GET /openapi.json describes the API; enqueue/httpapi/examples has it in Python, curl and Node.\n" +
			"Without any API key (topup key create) it listens on loopback addresses alone.\n" +
			"/monitor shows the queues in a browser, behind the same keys: read-only without --monitor-write.",
		Args: usageArgs(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			client, o, closeClient, err := a.connect(c.Context())
			if err != nil {
				return err
			}
			defer closeClient()
			ctx, log := c.Context(), newLogger(a.err, a.settings.LogLevel)
			seen, err := newWatch(ctx, a.settings, o, nil, log)
			if err != nil {
				return err
			}
			defer seen.close()
			server, err := httpapi.New(httpapi.Config{
				Redis: o.rdb, Client: client, WebhookSecret: a.settings.WebhookSecret, Logger: log,
			})
			if err != nil {
				return err
			}
			shown := a.mountMonitor(server, o, client, log)
			listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", a.settings.Listen)
			if err != nil {
				return usage(fmt.Errorf("listen on %s: %w", a.settings.Listen, err))
			}
			if err := seen.start(ctx, nil); err != nil {
				return err
			}
			defer rereadOnHangup(ctx, a.settings, o, nil, log)()
			log.Info("serving", "address", listener.Addr().String(), "redis", o.url, "webhook", a.settings.WebhookSecret != "", "monitor", shown)
			return logEnd(ctx, log, "serve", func() error { return server.Serve(ctx, listener) })
		},
	}
}

// mountMonitor puts asynqmon beside the API, and reports whether it did. The API is
// served without it too.
func (a *app) mountMonitor(server *httpapi.Server, o *opened, client *enqueue.Client, log *slog.Logger) bool {
	if !a.settings.Monitor {
		return false
	}
	m, err := monitor.New(monitor.Config{Redis: o.rdb, Ledger: client.Ledger(), Door: server, Write: a.settings.MonitorWrite, Logger: log})
	if err != nil {
		log.Warn("the monitor is off", "error", err)
		return false
	}
	server.Mount(monitor.Path, m)
	return true
}
