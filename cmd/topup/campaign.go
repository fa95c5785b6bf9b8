package main

import (
	"context"
	"errors"
	"io"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"example.com/topup/enqueue"
	"example.com/topup/enqueue/campaign"
)

func (a *app) campaignCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "campaign", Short: "Pay many people from a spreadsheet, each once", Args: usageArgs(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(
		a.campaignCheckCommand(), a.campaignLoadCommand(), a.campaignStatusCommand(), a.campaignPauseCommand(),
		a.campaignResumeCommand(), a.campaignCancelCommand(), a.campaignResultsCommand(), a.campaignListCommand(),
	)
	return c
}

// campaigns is what the commands about campaigns work with.
type campaigns struct {
	store  *campaign.Store
	client *enqueue.Client
	opened *opened
	close  func()
}

func (a *app) connectCampaigns(ctx context.Context) (*campaigns, error) {
	client, o, closeClient, err := a.connect(ctx)
	if err != nil {
		return nil, err
	}
	return &campaigns{store: campaign.NewStore(o.rdb), client: client, opened: o, close: closeClient}, nil
}

// campaignAction is a command about one campaign.
func (a *app) campaignAction(use, short string, do func(ctx context.Context, on *campaigns, name string) error) *cobra.Command {
	return &cobra.Command{Use: use, Short: short, Args: usageArgs(cobra.ExactArgs(1)), RunE: func(c *cobra.Command, args []string) error {
		if err := campaign.CheckName(args[0]); err != nil {
			return usage(err)
		}
		on, err := a.connectCampaigns(c.Context())
		if err != nil {
			return err
		}
		defer on.close()
		return do(c.Context(), on, args[0])
	}}
}

// openFile opens a person's file; - is stdin.
func (a *app) openFile(name string) (io.ReadCloser, error) {
	if name == "-" {
		return io.NopCloser(a.in), nil
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, &exitError{exitFile, err}
	}
	if info, err := file.Stat(); err == nil && info.IsDir() {
		return nil, &exitError{exitFile, errors.Join(errors.New(name+": is a directory"), file.Close())}
	}
	return file, nil
}

// interactive reports whether somebody can be asked: questions go to stderr.
func (a *app) interactive() bool {
	if a.asking != nil {
		return *a.asking
	}
	in, ok := a.in.(*os.File)
	return ok && term.IsTerminal(int(in.Fd())) && isTerminal(a.err) //nolint:gosec // a descriptor is small
}
