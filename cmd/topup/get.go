package main

import (
	"time"

	"github.com/spf13/cobra"
)

func (a *app) getCommand() *cobra.Command {
	var wait bool
	var timeout time.Duration
	c := &cobra.Command{
		Use:   "get ID",
		Short: "Show a top-up's result",
		Args:  usageArgs(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			client, _, closeClient, err := a.connect(c.Context())
			if err != nil {
				return err
			}
			defer closeClient()
			if wait {
				return a.waitFor(c.Context(), client, args[0], timeout)
			}
			r, err := client.Get(c.Context(), args[0])
			if err != nil {
				return err
			}
			return a.printResult(r)
		},
	}
	addWaitFlags(c.Flags(), &wait, &timeout)
	return c
}
