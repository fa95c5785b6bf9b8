package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"example.com/topup/enqueue"
)

// report prints what a run showed: a line a check, and the figures.
func report(out io.Writer, s settings, o *outcome) {
	fmt.Fprintf(out, "seed %d: %d jobs, %d workers, %.0f s of trouble, drained in %.0f s, %.0f s in all\n",
		s.Seed, s.Jobs+s.Rows, s.Workers, s.Duration.Seconds(), o.drained.Seconds(), o.took.Seconds())
	fmt.Fprintf(out, "  mode: async %v, a decline uses up the identifier %v, the report lags by %v of a settle time of %v\n",
		s.async(), s.burns(), s.reportDelay(), s.settle())
	fmt.Fprintf(out, "  happened: %s\n", counts(o.happened))
	fmt.Fprintf(out, "  jobs: %s\n", counts(o.states))
	if f := o.figures; s.Rows == 0 {
		fmt.Fprintf(out, "  producers: %d submissions, %d unanswered, %d repeats, %d made again after a rollback, %d conflicts refused, %d withdrawn\n",
			f.Submissions, f.Unanswered, f.Repeats, f.MadeAgain, f.Conflicts, f.Withdrawn)
	}
	for _, c := range o.checks {
		word := "ok  "
		if len(c.violations) > 0 {
			word = "FAIL"
		}
		fmt.Fprintf(out, "  %s  %-24s %s\n", word, c.name, c.detail)
		for i, violation := range c.violations {
			if i == 5 {
				fmt.Fprintf(out, "          and %d more\n", len(c.violations)-i)
				break
			}
			fmt.Fprintf(out, "          %s\n", violation)
		}
	}
}

// failure prints the stories of a run that failed and where its files are.
func failure(out io.Writer, o *outcome) {
	text, err := os.ReadFile(filepath.Join(o.dir, "violations.txt"))
	if err == nil {
		fmt.Fprintf(out, "\n%s", text)
	}
	fmt.Fprintf(out, "logs, ledgers and the schedule are kept in %s\n", o.dir)
}

// tellStory writes a job's log and the simulator's side of it, line by line.
func tellStory(ctx context.Context, out io.Writer, ledger *enqueue.Ledger, e evidence, id string) {
	type line struct {
		at   time.Time
		text string
	}
	var lines []line
	if r, err := ledger.Load(ctx, id); err == nil {
		fmt.Fprintf(out, "  %s is %s %s, version %d, %d sends, %d ambiguous, suspect %v, generation %d, transaction %d\n",
			id, r.State, r.Code, r.Version, r.Sends, r.Ambiguous, r.Suspect, r.Generation, r.TxID)
		for _, l := range r.Log {
			lines = append(lines, line{l.At, fmt.Sprintf("ledger    %s -> %s (%s) by %s", l.From, l.To, l.Why, l.Who)})
		}
	} else {
		fmt.Fprintf(out, "  %v\n", err)
	}
	for _, r := range e.books.requests {
		if owner(r.Identifier) == id && (r.Method == http.MethodPost || r.Identifier == id) { // not ~2 and ~3 as well
			lines = append(lines, line{r.From, fmt.Sprintf("request   %s %s %s, %d ms, status %d",
				r.Method, r.Path, r.Identifier, r.To.Sub(r.From).Milliseconds(), r.Status)})
		}
	}
	for _, x := range e.books.executions {
		if owner(x.Identifier) == id {
			lines = append(lines, line{x.At, fmt.Sprintf("executed  %d %s %s %s %s", x.Transaction, x.Identifier, x.Requested, x.Status, x.Later)})
		}
	}
	slices.SortStableFunc(lines, func(a, b line) int { return a.at.Compare(b.at) })
	looks := 0
	for i, l := range lines {
		isLook := strings.HasPrefix(l.text, "request   GET")
		if looks++; !isLook {
			looks = 0
		}
		nextLook := i+1 < len(lines) && strings.HasPrefix(lines[i+1].text, "request   GET")
		switch {
		case looks == 3 && nextLook:
			fmt.Fprintln(out, "    …")
		case looks < 3 || !nextLook: // the first and the last of many are enough
			fmt.Fprintf(out, "    %s  %s\n", l.at.Local().Format(clock), strings.TrimSpace(l.text))
		}
	}
	fmt.Fprintln(out)
}
