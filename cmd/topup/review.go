package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"example.com/topup/enqueue"
	"example.com/topup/enqueue/campaign"
	"example.com/topup/worker"
)

func (a *app) reviewCommand() *cobra.Command {
	c := &cobra.Command{Use: "review", Short: "Decide top-ups that need a person", Args: usageArgs(cobra.NoArgs), RunE: func(c *cobra.Command, _ []string) error { return c.Help() }}
	c.AddCommand(
		&cobra.Command{
			Use: "list", Short: "List the jobs that wait for a person, longest first", Args: usageArgs(cobra.NoArgs),
			RunE: func(c *cobra.Command, _ []string) error { return a.reviewList(c.Context()) },
		},
		a.decision("adopt ID", "Look the job up at Reloadly and book what it shows",
			func(ctx context.Context, client *enqueue.Client, o *opened, id string) error {
				return campaign.NewStore(o.rdb).Decide(ctx, client, id, func(ctx context.Context) error { return a.adopt(ctx, client, o, id) })
			}),
		a.decision("fail ID", "End the job as unpaid, by your own knowledge that nothing was paid",
			func(ctx context.Context, client *enqueue.Client, o *opened, id string) error {
				return campaign.NewStore(o.rdb).Decide(ctx, client, id, func(ctx context.Context) error { return client.Ledger().Fail(ctx, id) })
			}),
		a.decision("resend ID", "Send the job again, 30 minutes after its last send at the earliest",
			func(ctx context.Context, client *enqueue.Client, o *opened, id string) error {
				return campaign.NewStore(o.rdb).Resend(ctx, client, id)
			}),
	)
	return c
}

// decision is a command that decides about one job and prints where it stands.
func (a *app) decision(use, short string, decide func(context.Context, *enqueue.Client, *opened, string) error) *cobra.Command {
	return &cobra.Command{Use: use, Short: short, Args: usageArgs(cobra.ExactArgs(1)), RunE: func(c *cobra.Command, args []string) error {
		client, o, closeClient, err := a.connectToPay(c.Context())
		if err != nil {
			return err
		}
		defer closeClient()
		if err := decide(c.Context(), client, o, args[0]); err != nil {
			return err
		}
		r, err := client.Get(c.Context(), args[0])
		if err != nil {
			return err
		}
		return a.printResult(r)
	}}
}

func (a *app) reviewList(ctx context.Context) error {
	client, _, closeClient, err := a.connect(ctx)
	if err != nil {
		return err
	}
	defer closeClient()
	ids, err := client.Ledger().Reviews(ctx)
	if err != nil {
		return err
	}
	var results []enqueue.Result
	var damaged []error // they keep nobody from deciding about the others
	for _, answer := range client.GetMany(ctx, ids) {
		// One may have been decided, or have expired, in between.
		if errors.Is(answer.Err, enqueue.ErrNotFound) || errors.Is(answer.Err, enqueue.ErrExpired) {
			continue
		}
		if errors.Is(answer.Err, enqueue.ErrDamaged) {
			damaged = append(damaged, answer.Err)
			continue
		}
		if answer.Err != nil {
			return answer.Err
		}
		results = append(results, answer.Result)
	}
	return errors.Join(append(damaged, a.printResults(results))...)
}

func (a *app) adopt(ctx context.Context, client *enqueue.Client, o *opened, id string) error {
	provider, err := newReloadly(a.settings, o, newLogger(a.err, a.settings.LogLevel))
	if err != nil {
		return err
	}
	defer provider.Close()
	return worker.Adopt(ctx, client.Ledger(), provider, id)
}
