package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"example.com/topup/enqueue/campaign"
)

// loadFlags are those of load beside the file's.
type loadFlags struct {
	fileFlags
	name      string
	yes, wait bool
	timeout   time.Duration
	options   campaign.LoadOptions
}

func (a *app) campaignLoadCommand() *cobra.Command {
	var f loadFlags
	c := &cobra.Command{
		Use: "load FILE --campaign NAME", Short: "Check a spreadsheet, show what it costs, ask, and have it paid", Args: usageArgs(cobra.ExactArgs(1)),
		Long: "Check a spreadsheet, show what it costs, ask, and have it paid. Nothing is sent before the whole file is in.\n" +
			"Loading a file again adds the rows that are new and nothing else: whatever was interrupted, run it again.",
		Example: "  topup campaign load may.csv --campaign may\n" +
			"  topup campaign load may.csv --campaign may --yes --expect-rows 1200 --expect-total 600000 --wait",
		RunE: func(c *cobra.Command, args []string) error { return a.campaignLoad(c.Context(), args[0], f) },
	}
	flags := c.Flags()
	flags.StringVar(&f.name, "campaign", "", "its name: 1 to 35 letters, digits, - and _")
	flags.BoolVar(&f.yes, "yes", false, "do not ask")
	f.add(flags)
	flags.Var(countFlag{&f.options.ExpectRows}, "expect-rows", "refuse a file with another number of good rows")
	flags.Var(amountFlag{&f.options.ExpectTotal}, "expect-total", "refuse a file whose amounts, and whose quote, add up to another sum")
	flags.Var(amountFlag{&f.options.MaxAmount}, "max-amount", "refuse a file with a top-up that costs more, in the account's currency")
	flags.Var(amountFlag{&f.options.MaxTotal}, "max-total", "refuse what makes the campaign, with its earlier loads, cost more in the account's currency")
	flags.BoolVar(&f.options.AllowSimilar, "allow-similar", false, "load also what another campaign of the last seven days has to a half or more")
	flags.BoolVar(&f.options.RetryFailed, "retry-failed", false, "send the file's rows again that failed or were refunded, 30 minutes after their last send at the earliest")
	addWaitFlags(flags, &f.wait, &f.timeout)
	flags.Lookup("timeout").DefValue, f.timeout = "24h0m0s", 24*time.Hour
	return c
}

func (a *app) campaignLoad(ctx context.Context, name string, f loadFlags) error {
	if err := campaign.CheckName(f.name); err != nil {
		return usage(err)
	}
	switch {
	case !f.yes && (!a.interactive() || name == "-"):
		return usage(fmt.Errorf("nobody can be asked here: look at topup campaign check %s, then give load --yes, best with --expect-rows and --expect-total", name))
	case f.offline && a.settings.live():
		return usage(errors.New("--offline: real money is not loaded without a quote"))
	}
	on, err := a.connectCampaigns(ctx)
	if err != nil {
		return err
	}
	defer on.close()
	if err := sameEnvironment(ctx, on.opened.rdb, a.settings); err != nil {
		return err
	}
	loader, err := a.newLoader(on)
	if err != nil {
		return err
	}
	problems := &problemList{w: a.err, file: name}
	file, err := a.checkFile(ctx, on, name, f.fileFlags, problems.add, loader.Key)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }() // nothing is left to lose
	problems.sum()
	if err := f.judge(file, ", nothing was loaded"); err != nil {
		return err
	}
	if err := printQuote(a.err, file); err != nil {
		return err
	}
	if !f.yes {
		err := a.askToLoad(ctx, loader, file, f)
		if err != nil && ctx.Err() != nil {
			return fmt.Errorf("stopped, and nothing was loaded: %w", ctx.Err())
		}
		if err != nil {
			return a.tellConflicts(name, err)
		}
	}
	loaded, err := loader.Load(ctx, file, f.name, f.options)
	if errors.Is(err, context.Canceled) {
		return fmt.Errorf("stopped (load it again if you want it: nothing is loaded twice): %w", err)
	}
	if err != nil {
		return a.tellConflicts(name, err)
	}
	if !f.wait {
		return a.printLoaded(loaded)
	}
	loadedText(a.err, loaded) // stdout has the end
	return a.waitForCampaign(ctx, on, loaded.Campaign.Name, f.timeout)
}

// newLoader is the loader of the settings.
func (a *app) newLoader(on *campaigns) (*campaign.Loader, error) {
	if a.settings.NumberKey == "" && a.settings.ClientSecret == "" {
		return nil, usage(errors.New("RELOADLY_CLIENT_SECRET or TOPUP_NUMBER_KEY is needed (as the workers have it): it keeps numbers out of Redis' keys"))
	}
	key, err := a.settings.numberKey()
	if err != nil {
		return nil, err
	}
	return &campaign.Loader{
		Store: on.store, Client: on.client, Key: key,
		Limit: campaign.NumberLimit{Redis: on.opened.rdb, PerDay: a.settings.MaxPerNumber, Key: key},
	}, nil
}

// tellConflicts shows each conflict to the owner of the file.
func (a *app) tellConflicts(file string, err error) error {
	if conflicts, ok := errors.AsType[*campaign.ConflictsError](err); ok {
		for _, c := range conflicts.Conflicts {
			fmt.Fprintln(a.err, c.Text(file))
		}
	}
	return err
}

// errDeclined is somebody's no.
var errDeclined = &exitError{exitUsage, errors.New("nothing was loaded, as you wish")}

// askToLoad shows what will be new and asks. Real money wants its total typed.
func (a *app) askToLoad(ctx context.Context, loader *campaign.Loader, file *campaign.File, f loadFlags) error {
	seen, err := loader.Preview(ctx, file, f.name, f.options)
	if err != nil {
		return err
	}
	if seen.New == 0 && !f.options.RetryFailed {
		return nil // there is nothing to ask for
	}
	fmt.Fprintf(a.err, "campaign %s: %d rows are new, %d are there already\n", f.name, seen.New, seen.Known)
	want := "y"
	if a.settings.live() {
		want = file.Quote.Total.String()
		fmt.Fprintf(a.err, "This is real money. Type the total, %s, to load it: ", want)
	} else {
		fmt.Fprint(a.err, "Load it? [y/N] ")
	}
	answer, err := a.readAnswer(ctx)
	if err != nil {
		return err
	}
	if answer == want || want == "y" && answer == "yes" {
		return nil
	}
	return errDeclined
}

// readAnswer reads a line of a person, who may also end the command at the question.
func (a *app) readAnswer(ctx context.Context) (string, error) {
	var answer string
	read := make(chan error, 1)
	go func() { // a terminal cannot be read with a context
		text, err := bufio.NewReader(a.in).ReadString('\n')
		answer = strings.ToLower(strings.TrimSpace(text))
		read <- err
	}()
	select {
	case <-ctx.Done():
		fmt.Fprintln(a.err) // what is told next begins a line
		return "", ctx.Err()
	case err := <-read:
		if err != nil && !errors.Is(err, io.EOF) {
			return "", fmt.Errorf("read the answer: %w", err)
		}
		return answer, nil
	}
}

// loadedJSON is what a load did, for machines.
type loadedJSON struct {
	Campaign string `json:"campaign"`
	Rows     int    `json:"rows"` // of all loads
	New      int    `json:"new"`
	Known    int    `json:"known"`
	Retried  int    `json:"retried"`
	Refused  int    `json:"notRetried"`
	Other    int    `json:"otherNotBefore,omitempty"`
}

func (a *app) printLoaded(l *campaign.Loaded) error {
	if a.json {
		return writeJSON(a.out, loadedJSON{l.Campaign.Name, l.Campaign.Rows, l.New, l.Known, l.Retried, l.Refused, l.OtherTime})
	}
	loadedText(a.out, l)
	return nil
}

func loadedText(w io.Writer, l *campaign.Loaded) {
	if l.New == 0 {
		fmt.Fprintf(w, "campaign %s: nothing new, all %d rows are there already\n", l.Campaign.Name, l.Known)
	} else {
		fmt.Fprintf(w, "campaign %s: %d rows loaded, %d were there already\n", l.Campaign.Name, l.New, l.Known)
	}
	if l.OtherTime > 0 {
		fmt.Fprintf(w, "%d of these have another not_before in the file: it stays as it was loaded first\n", l.OtherTime)
	}
	if l.Retried+l.Refused > 0 {
		fmt.Fprintf(w, "%d failed rows are sent again, %d cannot be\n", l.Retried, l.Refused)
	}
}
