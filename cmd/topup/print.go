package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"example.com/topup/enqueue"
)

func writeJSON(w io.Writer, value any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(value)
}

// printResult is the result of one job.
func (a *app) printResult(r enqueue.Result) error {
	if a.json {
		return writeJSON(a.out, r)
	}
	tw := tabwriter.NewWriter(a.out, 0, 4, 2, ' ', 0)
	row := func(name, value string) {
		if value != "" {
			fmt.Fprintf(tw, "%s\t%s\n", name, value)
		}
	}
	row("id", r.ID)
	row("state", string(r.State))
	row("reason", string(r.Reason))
	row("code", r.Code)
	row("money moved", string(r.MoneyMoved))
	row("amount", requested(r))
	row("delivered", delivered(r))
	row("transaction", transactionID(r))
	if r.NextAction != nil {
		row("next look at", r.NextAction.Format("2006-01-02T15:04:05Z07:00"))
	}
	row("what to know", r.Explanation)
	return tw.Flush()
}

// printResults is a table of jobs.
func (a *app) printResults(results []enqueue.Result) error {
	if a.json {
		if results == nil {
			results = []enqueue.Result{}
		}
		return writeJSON(a.out, results)
	}
	tw := tabwriter.NewWriter(a.out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(tw, "ID\tSTATE\tREASON\tAMOUNT\tDELIVERED\tTRANSACTION\tWHAT TO KNOW")
	for _, r := range results {
		reason := r.Code
		if r.Reason != "" {
			reason = string(r.Reason)
		}
		cells := []string{r.ID, string(r.State), reason, requested(r), delivered(r), transactionID(r), r.Explanation}
		for i, cell := range cells {
			if cell == "" {
				cells[i] = "-"
			}
		}
		fmt.Fprintln(tw, strings.Join(cells, "\t"))
	}
	return tw.Flush()
}

func requested(r enqueue.Result) string {
	if r.Transaction == nil {
		return ""
	}
	return money(r.Transaction.RequestedAmount, r.Transaction.RequestedAmountCurrencyCode)
}

// delivered is empty for a transaction that ended unpaid.
func delivered(r enqueue.Result) string {
	if r.Transaction == nil || r.State != enqueue.Succeeded {
		return ""
	}
	return money(r.Transaction.DeliveredAmount, r.Transaction.DeliveredAmountCurrencyCode)
}

func money(amount, currency *string) string {
	if amount == nil || *amount == "" {
		return ""
	}
	if currency == nil {
		return *amount
	}
	return *amount + " " + *currency
}

func transactionID(r enqueue.Result) string {
	if r.Transaction == nil || r.Transaction.TransactionID == 0 {
		return ""
	}
	return fmt.Sprint(r.Transaction.TransactionID)
}
