package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"

	"github.com/spf13/cobra"

	"example.com/topup/enqueue"
	"example.com/topup/worker"
)

const scopeHelp = "SCOPE is all, account, campaign:NAME or operator:ID; look-ups go on under a hold."

// aScope is what a person can hold. The account's own hold is lifted by its probe,
// and by release.
var aScope = regexp.MustCompile(`^(all|account|campaign:[A-Za-z0-9._:-]{1,64}|operator:[1-9][0-9]{0,17})$`)

func (a *app) holdCommand() *cobra.Command {
	return a.scopeCommand("hold SCOPE", "Send nothing of a scope until it is released", "held",
		func(ctx context.Context, holds *worker.Holds, scope string) error {
			return holds.Place(ctx, worker.Hold{Scope: scope, Reason: enqueue.Paused, By: a.settings.Name})
		})
}

func (a *app) releaseCommand() *cobra.Command {
	return a.scopeCommand("release SCOPE", "Lift a hold", "released",
		func(ctx context.Context, holds *worker.Holds, scope string) error { return holds.Lift(ctx, scope) })
}

func (a *app) scopeCommand(use, short, done string, do func(context.Context, *worker.Holds, string) error) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Long: short + ".\n" + scopeHelp, Args: usageArgs(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			scope := args[0]
			if !aScope.MatchString(scope) {
				return usage(errors.New("scope: is not all, account, campaign:NAME or operator:ID"))
			}
			o, err := openShared(c.Context(), a.settings)
			if err != nil {
				return err
			}
			defer o.close()
			holds := worker.NewHolds(o.rdb, worker.HoldConfig{Who: a.settings.Name, Logger: newLogger(a.err, a.settings.LogLevel)})
			if err := do(c.Context(), holds, scope); err != nil {
				return err
			}
			if a.json {
				return writeJSON(a.out, map[string]string{"scope": scope, "state": done})
			}
			fmt.Fprintf(a.out, "%s %s\n", scope, done)
			return nil
		},
	}
}
