package main

import (
	"context"
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"example.com/topup/worker"
)

func (a *app) auditCommand() *cobra.Command {
	return &cobra.Command{
		Use: "audit", Short: "Compare Reloadly's report with the ledger, as a worker does once a day", Args: usageArgs(cobra.NoArgs),
		Long: `Compare Reloadly's report of the last days (--audit-days) with the ledger.
A job that had succeeded and was reversed since is refunded then. A payment that its job did
not know is booked. A payment that no job explains is named: something else uses the account,
or Redis has forgotten a job. With findings the exit code is 5.`,
		RunE: func(c *cobra.Command, _ []string) error { return a.audit(c.Context()) },
	}
}

func (a *app) audit(ctx context.Context) error {
	if a.settings.AuditDays == 0 {
		return usage(errors.New("TOPUP_AUDIT_DAYS: is 0, which turns the audit off (--audit-days 7 looks a week back)"))
	}
	client, o, closeClient, err := a.connectToPay(ctx)
	if err != nil {
		return err
	}
	defer closeClient()
	log := newLogger(a.err, a.settings.LogLevel)
	provider, err := newReloadly(a.settings, o, log)
	if err != nil {
		return err
	}
	defer provider.Close()
	holds := worker.NewHolds(o.rdb, worker.HoldConfig{Who: a.settings.Name, Logger: log})
	audit, err := worker.NewAuditor(o.rdb, client, provider, holds, worker.AuditConfig{Reach: a.settings.audit(), Logger: log}).Look(ctx)
	if err != nil && len(audit.Findings) == 0 {
		return err
	}
	if err := errors.Join(a.printAudit(audit), err); err != nil { // what was found before an error was booked
		return err
	}
	if len(audit.Findings) > 0 {
		return errAudit
	}
	return nil
}

func (a *app) printAudit(audit *worker.Audit) error {
	if a.json {
		return writeJSON(a.out, audit)
	}
	fmt.Fprintf(a.out, "%d transactions since %s, %d findings\n", audit.Transactions, audit.Since.Format(time.RFC3339), len(audit.Findings))
	if len(audit.Findings) == 0 {
		return nil
	}
	tw := tabwriter.NewWriter(a.out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(tw, "VERDICT\tTRANSACTION\tIDENTIFIER\tAMOUNT\tNEW\tWHAT TO KNOW")
	for _, f := range audit.Findings {
		fmt.Fprintf(tw, "%s\t%d\t%q\t%s\t%t\t%s\n", f.Verdict, f.TransactionID, f.Identifier, f.Amount, f.New, f.Why)
	}
	return tw.Flush()
}
