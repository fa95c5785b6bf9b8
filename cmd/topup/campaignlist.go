package main

import (
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"example.com/topup/enqueue/campaign"
)

// listedCampaign is one line of the list. Its JSON names are permanent.
type listedCampaign struct {
	Campaign string         `json:"campaign"`
	State    campaign.State `json:"state"`
	Rows     int            `json:"rows"`
	Loads    int            `json:"loads"`
	Loaded   time.Time      `json:"loadedAt"` // last
	Ended    *time.Time     `json:"endedAt"`
}

func (a *app) campaignListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the campaigns, the one that was loaded last first", Args: usageArgs(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			on, err := a.connectCampaigns(c.Context())
			if err != nil {
				return err
			}
			defer on.close()
			all, err := on.store.List(c.Context())
			if err != nil {
				return err
			}
			list := []listedCampaign{}
			for _, c := range all {
				entry := listedCampaign{Campaign: c.Name, State: c.State, Rows: c.Rows, Loads: len(c.Loads)}
				if len(c.Loads) > 0 {
					entry.Loaded = c.Loads[len(c.Loads)-1].At
				}
				if !c.Ended.IsZero() {
					entry.Ended = &c.Ended
				}
				list = append(list, entry)
			}
			if a.json {
				return writeJSON(a.out, list)
			}
			tw := tabwriter.NewWriter(a.out, 0, 4, 2, ' ', 0)
			fmt.Fprintln(tw, "CAMPAIGN\tSTATE\tROWS\tLOADED\tENDED")
			for _, e := range list {
				ended := "-"
				if e.Ended != nil {
					ended = e.Ended.Format(time.RFC3339)
				}
				fmt.Fprintf(tw, "%s\t%s\t%d\t%s\t%s\n", e.Campaign, standing(e.State, e.Ended != nil), e.Rows, e.Loaded.Format(time.RFC3339), ended)
			}
			return tw.Flush()
		},
	}
}
