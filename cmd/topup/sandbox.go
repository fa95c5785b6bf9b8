package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"example.com/topup/reloadly/sandbox"
)

func (a *app) sandboxCommand() *cobra.Command {
	var cfg sandbox.Config
	var listen string
	c := &cobra.Command{
		Use:   "sandbox",
		Short: "Play Reloadly: token, API and faults on one address, until a signal comes",
		Long: "Play Reloadly: token, API and faults on one address, until a signal comes.\n" +
			"It prints the settings with which a worker reaches it. The names of the faults and the paths under /sandbox/,\n" +
			"with which a test looks at what was executed, are in go doc ./reloadly/sandbox.",
		Args: usageArgs(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			cfg.TimeScale = a.settings.TimeScale
			cfg.Logger = newLogger(a.err, a.settings.LogLevel)
			sim, err := startSimulator(c.Context(), listen, cfg)
			if err != nil {
				return err
			}
			if err := a.printAddresses("", sim.url); err != nil {
				return err
			}
			return a.stay(c.Context(), sim)
		},
	}
	c.Flags().StringVar(&listen, "listen", "127.0.0.1:8090", "address to listen on")
	simulatorFlags(c.Flags(), &cfg)
	return c
}

// stay waits for the end of ctx, or for the server's own.
func (a *app) stay(ctx context.Context, sim *simulator) error {
	var failed error
	select {
	case <-ctx.Done():
	case failed = <-sim.failed:
	}
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := sim.close(ending); err != nil {
		return err
	}
	return failed
}

// printAddresses is what another shell needs: eval "$(…)" in POSIX shells.
func (a *app) printAddresses(redisURL, url string) error {
	values := [][2]string{
		{"REDIS_URL", redisURL},
		{"RELOADLY_AUTH_URL", url},
		{"RELOADLY_API_URL", url},
		{"RELOADLY_CLIENT_ID", "demo-client"},
		{"RELOADLY_CLIENT_SECRET", "demo-secret"}, // the simulator's, no secret
	}
	if a.json {
		object := map[string]string{}
		for _, v := range values {
			if v[1] != "" {
				object[v[0]] = v[1]
			}
		}
		return writeJSON(a.out, object)
	}
	for _, v := range values {
		if v[1] != "" {
			fmt.Fprintf(a.out, "export %s=%s\n", v[0], v[1])
		}
	}
	return nil
}
