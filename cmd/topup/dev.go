package main

import (
	"github.com/spf13/cobra"

	"example.com/topup/reloadly/sandbox"
)

func (a *app) devCommand() *cobra.Command {
	var cfg sandbox.Config
	var listen string
	c := &cobra.Command{
		Use:   "dev",
		Short: "Run Redis, simulator and worker in one process, until a signal comes",
		Long: "Run Redis (in memory unless REDIS_URL says otherwise), simulator and worker in one process.\n" +
			"It prints the settings with which send, get and review in another shell reach it.",
		Args: usageArgs(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			log := newLogger(a.err, a.settings.LogLevel)
			cfg.Logger = log
			sys, err := startSystem(c.Context(), a.settings, listen, cfg, log, nil)
			if err != nil {
				return err
			}
			if err := a.printAddresses(sys.opened.url, sys.sim.url); err != nil {
				return err
			}
			select {
			case <-c.Context().Done():
			case err := <-sys.done:
				sys.done <- err // close reads it again
			case err := <-sys.sim.failed:
				log.Error("the simulator has ended", "error", err)
			}
			return sys.close()
		},
	}
	c.Flags().StringVar(&listen, "listen", "127.0.0.1:8080", "address of the simulator")
	simulatorFlags(c.Flags(), &cfg)
	return c
}
