package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"example.com/topup/enqueue"
	"example.com/topup/enqueue/campaign"
)

// fileFlags say how a person's file is read; check and load share them.
type fileFlags struct {
	read     campaign.ReadOptions
	offline  bool
	skip     bool
	rejected string
}

func (f *fileFlags) add(flags *pflag.FlagSet) {
	flags.StringVar(&f.read.Country, "country", "", "the country of every row, where the file has no such column")
	flags.StringVar(&f.read.Unit, "currency", "", "local, sender or an ISO code for every row, where the file has no such column")
	flags.StringVar(&f.read.Amount, "amount", "", "the amount of every row, where the file has no such column")
	flags.Int64Var(&f.read.OperatorID, "operator", 0, "Reloadly's operator id for every row, where the file has no such column")
	flags.BoolVar(&f.read.StrictPhones, "strict-phones", false, "refuse numbers that are possible and not valid")
	flags.BoolVar(&f.read.AllowRepeatPhone, "allow-repeat-phone", false, "take a number twice, where both rows have external ids")
	f.read.MaxRows = campaign.DefaultMaxRows
	flags.Var(countFlag{&f.read.MaxRows}, "max-rows", "how many rows the file may have")
	flags.BoolVar(&f.offline, "offline", false, "do not ask Reloadly: no operators, no prices, no balance")
	flags.BoolVar(&f.skip, "skip-invalid", false, "go on without the bad rows, which are written to a file")
	flags.StringVar(&f.rejected, "rejected", "", "the file for the bad rows; FILE.rejected.csv unless told")
}

// judge refuses a file of which nothing can be loaded; its problems were told.
func (f *fileFlags) judge(file *campaign.File, loaded string) error {
	switch {
	case file.Broken:
		return &exitError{exitInvalid, fmt.Errorf("the file as a whole is invalid%s: correct it", loaded)}
	case file.Errors > 0 && !f.skip, file.Rows == 0 && file.Bad > 0:
		return &exitError{exitInvalid, fmt.Errorf("%d rows are invalid%s: correct them, or leave them out with --skip-invalid", file.Bad, loaded)}
	case file.Rows == 0:
		return &exitError{exitInvalid, fmt.Errorf("%s: has no rows%s", file.Name, loaded)}
	default:
		return nil
	}
}

func (a *app) campaignCheckCommand() *cobra.Command {
	var f fileFlags
	c := &cobra.Command{
		Use: "check FILE", Short: "Check a spreadsheet and say what it would cost; nothing is sent", Args: usageArgs(cobra.ExactArgs(1)),
		Long: "Check a spreadsheet and say what it would cost; nothing is sent, and Redis is not needed.\n" +
			"Every problem is told as file:line:column: code: message.",
		Example: "  topup campaign check may.csv\n  topup campaign check may.csv --offline --country NG --currency local",
		RunE: func(c *cobra.Command, args []string) error {
			problems := &problemList{w: a.out, file: args[0], json: a.json}
			file, err := a.checkFile(c.Context(), nil, args[0], f, problems.add, nil)
			if err != nil {
				return problems.abort(err)
			}
			defer func() { _ = file.Close() }() // nothing is left to lose
			if err := a.printCheck(problems, file); err != nil {
				return err
			}
			return f.judge(file, "")
		},
	}
	f.add(c.Flags())
	return c
}

// checkFile reads, checks and quotes a file. on is nil where it is not to be loaded.
func (a *app) checkFile(ctx context.Context, on *campaigns, name string, f fileFlags, problem func(campaign.Problem), key []byte) (*campaign.File, error) {
	if f.rejected != "" && !f.skip {
		return nil, usage(errors.New("--rejected: is for the rows that --skip-invalid leaves out (give both)"))
	}
	in, err := a.openFile(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = in.Close() }() // it was only read
	o := campaign.CheckOptions{ReadOptions: f.read, Load: on != nil, Key: key}
	o.Problem = problem
	if !f.offline {
		var shared *opened
		if on != nil {
			shared = on.opened
		}
		provider, err := newReloadly(a.settings, shared, newLogger(a.err, a.settings.LogLevel))
		if err != nil {
			return nil, fmt.Errorf("%w; or check with --offline, without a quote", err)
		}
		defer provider.Close()
		o.Provider = provider
	}
	var rejects *rejectFile
	if f.skip {
		rejects = &rejectFile{name: f.rejected, of: name}
		if err := rejects.elsewhere(); err != nil {
			return nil, err
		}
		o.Rejected = rejects.add
	}
	file, err := campaign.Check(ctx, name, in, o)
	if err != nil && ctx.Err() != nil {
		return nil, fmt.Errorf("%s: stopped before its end, and nothing was loaded: %w", name, ctx.Err())
	}
	if err == nil && rejects != nil {
		if err = rejects.finish(file.Header.Names); err != nil {
			err = errors.Join(err, file.Close())
		} else if rejects.rows > 0 {
			fmt.Fprintf(a.err, "%d rejected rows are in %s\n", rejects.rows, rejects.path())
		}
	}
	if errors.Is(err, campaign.ErrUnreadable) {
		return nil, &exitError{exitFile, fmt.Errorf("%s: %w", name, err)}
	}
	if wrong, ok := errors.AsType[*enqueue.FieldError](err); ok && strings.HasPrefix(wrong.Field, "--") {
		return nil, usage(err)
	}
	return file, err
}

// problemList writes problems as they are found: as lines for people, or as the beginning of
// a JSON object that has them, so that a million of them need no memory.
type problemList struct {
	w    io.Writer
	file string
	json bool
	any  bool

	told  int
	kinds map[string]int // by code
}

type problemJSON struct {
	Severity string `json:"severity"`
	Line     int    `json:"line"`
	Column   string `json:"column"`
	Code     string `json:"code"`
	Message  string `json:"message"`
	Also     int    `json:"also,omitempty"`
}

func (l *problemList) add(p campaign.Problem) {
	severity := "error"
	if p.Severity == campaign.Warning {
		severity = "warning"
	}
	if l.kinds == nil {
		l.kinds = map[string]int{}
	}
	l.told++
	l.kinds[p.Code]++
	if !l.json {
		text := p.Text(l.file)
		if p.Severity == campaign.Warning {
			text += " [warning]"
		}
		fmt.Fprintln(l.w, text)
		return
	}
	text, _ := json.Marshal(problemJSON{severity, p.Line, p.Column, p.Code, p.Message, p.Also}) // texts and numbers always encode
	fmt.Fprintf(l.w, "%s\n  %s", l.between(), text)
}

// sum counts a long list by kind: often a whole column is damaged in one way.
func (l *problemList) sum() {
	const long = 20
	if l.told <= long {
		return
	}
	codes := slices.SortedFunc(maps.Keys(l.kinds), func(a, b string) int {
		return cmp.Or(cmp.Compare(l.kinds[b], l.kinds[a]), cmp.Compare(a, b))
	})
	for i, code := range codes {
		codes[i] = fmt.Sprintf("%d %s", l.kinds[code], code)
	}
	fmt.Fprintf(l.w, "%s: %s\n", l.file, strings.Join(codes, ", "))
}

func (l *problemList) between() string {
	if l.any {
		return ","
	}
	l.any = true
	return `{"problems": [`
}

// close ends the list and lets the fields of value follow it.
func (l *problemList) close(value any) error {
	text, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return err
	}
	begin := ""
	if !l.any {
		begin = l.between()
	}
	fmt.Fprintf(l.w, "%s],%s\n", begin, text[1:])
	return nil
}

// abort keeps what was written one JSON object.
func (l *problemList) abort(err error) error {
	if l.json && l.any {
		_ = l.close(map[string]string{"error": err.Error()}) // a text always encodes
	}
	return err
}

// checkJSON is a check for machines; the problems come before it.
type checkJSON struct {
	File     string          `json:"file"`
	SHA256   string          `json:"sha256"`
	Rows     int             `json:"rows"`
	Bad      int             `json:"bad"`
	Blank    int             `json:"blank"`
	Errors   int             `json:"errors"`
	Warnings int             `json:"warnings"`
	Broken   bool            `json:"broken"`
	Asked    string          `json:"asked"`
	Quote    *campaign.Quote `json:"quote"`
}

func (a *app) printCheck(problems *problemList, f *campaign.File) error {
	asked, err := f.Asked()
	if err != nil {
		return problems.abort(err)
	}
	if a.json {
		return problems.close(checkJSON{
			f.Name, fmt.Sprintf("%x", f.SHA256), f.Rows, f.Bad, f.Blank, f.Errors, f.Warnings, f.Broken, asked.String(), f.Quote,
		})
	}
	problems.sum()
	return printQuote(a.out, f)
}

// printQuote shows a file's rows by country and operator, and what they cost.
func printQuote(w io.Writer, f *campaign.File) error {
	fmt.Fprintf(w, "%s: %d rows are good, %d are not\n", f.Name, f.Rows, f.Bad)
	q := f.Quote
	if f.Rows == 0 {
		return nil
	}
	tw := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(tw, "COUNTRY\tOPERATOR\tROWS\tASKED FOR\tARRIVES\tCOSTS")
	for _, line := range q.Lines {
		operator, arrives, costs := "-", "-", "-"
		if line.OperatorID != 0 {
			operator = fmt.Sprintf("%d %s", line.OperatorID, line.Operator)
			arrives, costs = "not known", "not known"
		}
		if line.OperatorID != 0 && line.NotPriced == 0 {
			arrives = line.Delivered.String() + " " + line.DeliveredCurrency
			costs = line.Debited.String() + " " + line.DebitedCurrency
		}
		fmt.Fprintf(tw, "%s\t%s\t%d\t%s\t%s\t%s\n", line.Country, operator, line.Rows, sumsText(line.Requested), arrives, costs)
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	if q.Offline {
		fmt.Fprintf(w, "asked for: %s; not priced, for Reloadly was not asked\n", sumsText(q.Sums))
		return nil
	}
	fmt.Fprintf(w, "asked for: %s\ntotal: %s %s", sumsText(q.Sums), q.Total, q.Currency)
	switch {
	case !q.Enough && q.Short.IsPos():
		fmt.Fprintf(w, ", which is %s more than the balance of %s\n", q.Short, q.Balance)
	default:
		fmt.Fprintf(w, ", of a balance of %s\n", q.Balance)
	}
	for _, doubt := range []struct {
		rows int
		text string
	}{
		{q.Detected, "rows have an operator that was detected by the number's prefix; each number is asked for again before it is sent"},
		{q.NotChecked, "rows have an operator that does not say which amounts it sells"},
		{q.NotPriced, "rows have no price, for the operator's answer lacks what it is made of; they are not in the total"},
	} {
		if doubt.rows > 0 {
			fmt.Fprintf(w, "%d %s\n", doubt.rows, doubt.text)
		}
	}
	return nil
}

func sumsText(sums []campaign.Sum) string {
	text := ""
	for i, sum := range sums {
		if i > 0 {
			text += ", "
		}
		text += sum.Amount.String() + " "
		text += strings.TrimSpace(sum.Currency + " " + string(sum.Unit))
	}
	return text
}
