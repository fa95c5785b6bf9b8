package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"example.com/topup/worker"
)

func (a *app) campaignPauseCommand() *cobra.Command {
	return a.campaignAction("pause NAME", "Send nothing more of a campaign until it is resumed; what is being sent finishes",
		func(ctx context.Context, on *campaigns, name string) error {
			return a.controlled(name, "paused", worker.PauseCampaign(ctx, on.opened.rdb, name, a.settings.Name))
		})
}

func (a *app) campaignResumeCommand() *cobra.Command {
	return a.campaignAction("resume NAME", "Let a paused campaign go on",
		func(ctx context.Context, on *campaigns, name string) error {
			return a.controlled(name, "running", worker.ResumeCampaign(ctx, on.opened.rdb, name))
		})
}

func (a *app) campaignCancelCommand() *cobra.Command {
	return a.campaignAction("cancel NAME", "End a campaign for good: what was not sent is withdrawn, what is being sent finishes",
		func(ctx context.Context, on *campaigns, name string) error {
			err := worker.CancelCampaign(ctx, on.opened.rdb, on.client, name, a.settings.Name)
			if err == nil {
				err = a.freePlaces(ctx, on, name)
			}
			return a.controlled(name, "cancelled", err)
		})
}

// freePlaces lets the numbers of a cancelled campaign be paid by another one today.
func (a *app) freePlaces(ctx context.Context, on *campaigns, name string) error {
	if a.settings.MaxPerNumber == 0 {
		return nil
	}
	loader, err := a.newLoader(on)
	if err != nil {
		return err
	}
	c, err := on.store.Find(ctx, name)
	if err != nil {
		return err
	}
	return on.store.FreePlaces(ctx, c, on.client, loader.Limit)
}

func (a *app) controlled(name, state string, err error) error {
	if err != nil {
		return err
	}
	if a.json {
		return writeJSON(a.out, map[string]string{"campaign": name, "state": state})
	}
	fmt.Fprintf(a.out, "campaign %s: %s\n", name, state)
	return nil
}
