package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"example.com/topup/enqueue/campaign"
)

func (a *app) campaignResultsCommand() *cobra.Command {
	var o campaign.ResultsOptions
	c := a.campaignAction("results NAME", "Write every row with what became of it, as CSV",
		func(ctx context.Context, on *campaigns, name string) error {
			c, err := on.store.Find(ctx, name)
			if err != nil {
				return err
			}
			return on.store.WriteResults(ctx, a.out, on.client, c, o)
		})
	c.Long = "Write every row of a campaign on stdout, as CSV: the file's own columns in its order, then what became of it in\n" +
		"columns that begin with _. The file can be loaded again, and cells that a spreadsheet would execute are guarded by an apostrophe."
	c.Example = "  topup campaign results may >may-results.csv\n  topup campaign results may --excel >may-results.csv"
	c.PreRunE = func(*cobra.Command, []string) error {
		if a.json {
			return usage(errors.New("--json: results are CSV (topup get ID --json has one row's, topup campaign status NAME --json the counts)"))
		}
		return nil
	}
	c.Flags().BoolVar(&o.Excel, "excel", false, "as Excel reads it best: a byte order mark, and lines that end in CRLF")
	return c
}
