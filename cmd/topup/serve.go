package main

import (
	"fmt"
	"net"

	"github.com/spf13/cobra"

	"example.com/topup/enqueue/httpapi"
)

func (a *app) serveCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "serve",
		Short: "Take top-ups over HTTP, until a signal comes",
		Long: "Take top-ups over HTTP from callers in any language, until a signal comes. Workers send them.\n" +
			"GET /openapi.json describes the API; enqueue/httpapi/examples has it in Python, curl and Node.\n" +
			"Without any API key (topup key create) it listens on loopback addresses alone.",
		Args: usageArgs(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			client, o, closeClient, err := a.connect(c.Context())
			if err != nil {
				return err
			}
			defer closeClient()
			log := newLogger(a.err, a.settings.LogLevel)
			server, err := httpapi.New(httpapi.Config{
				Redis: o.rdb, Client: client, WebhookSecret: a.settings.WebhookSecret, Logger: log,
			})
			if err != nil {
				return err
			}
			listener, err := (&net.ListenConfig{}).Listen(c.Context(), "tcp", a.settings.Listen)
			if err != nil {
				return usage(fmt.Errorf("listen on %s: %w", a.settings.Listen, err))
			}
			log.Info("serving", "address", listener.Addr().String(), "redis", o.url, "webhook", a.settings.WebhookSecret != "")
			return server.Serve(c.Context(), listener)
		},
	}
}
