package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"example.com/topup/enqueue"
	"example.com/topup/enqueue/campaign"
	"example.com/topup/worker"
)

func (a *app) campaignStatusCommand() *cobra.Command {
	var watch bool
	c := a.campaignAction("status NAME", "Show how far a campaign has come", func(ctx context.Context, on *campaigns, name string) error {
		if watch {
			return a.watchCampaign(ctx, on, name)
		}
		status, err := on.status(ctx, name)
		if err != nil {
			return err
		}
		return a.printStatus(status)
	})
	c.Flags().BoolVar(&watch, "watch", false, "go on showing it until every row is settled")
	return c
}

// campaignStatus is a campaign for people and machines. The counts of its states sum to
// its rows. Its JSON names are permanent.
type campaignStatus struct {
	Campaign string                `json:"campaign"`
	State    campaign.State        `json:"state"`
	Rows     int                   `json:"rows"`
	Settled  int                   `json:"settled"`
	States   map[enqueue.State]int `json:"states"`
	Waiting  int                   `json:"waiting"`   // of those queued: not handed to the queue yet
	Later    int                   `json:"scheduled"` // of those waiting: their notBefore lies ahead
	Reasons  []wordCount           `json:"reasons"`   // why queued rows wait
	Codes    []wordCount           `json:"codes"`     // why rows did not succeed
	Out      map[string]string     `json:"moneyOut"`  // debited, by currency
	Held     map[string]string     `json:"moneyHeld"` // asked for by rows that may be paid already, by sender or local and country
	Unsummed map[string]int        `json:"unsummed,omitempty"`
	Damaged  []string              `json:"damaged,omitempty"` // jobs whose records cannot be read: of those that need review
	Rate     float64               `json:"rowsPerSecond"`
	Left     float64               `json:"secondsLeft"` // 0: not known
	Holds    []holdJSON            `json:"holds"`
	Created  time.Time             `json:"createdAt"`
	Ended    *time.Time            `json:"endedAt"`
}

type wordCount struct {
	Word string `json:"word"`
	Rows int    `json:"rows"`
}

type holdJSON struct {
	Scope  string         `json:"scope"`
	Reason enqueue.Reason `json:"reason"`
	By     string         `json:"by"`
	Since  time.Time      `json:"since"`
}

// status reads where a campaign stands, and the holds that keep it from being sent.
func (on *campaigns) status(ctx context.Context, name string) (*campaignStatus, error) {
	p, err := on.store.Progress(ctx, name, on.client)
	if err != nil {
		return nil, err
	}
	holds, err := worker.NewHolds(on.opened.rdb, worker.HoldConfig{}).List(ctx)
	if err != nil {
		return nil, err
	}
	s := &campaignStatus{
		Campaign: p.Campaign.Name, State: p.Campaign.State, Rows: p.Campaign.Rows, Settled: p.Settled(), States: map[enqueue.State]int{},
		Waiting: p.Waiting, Later: p.Later, Reasons: wordCounts(p.Reasons), Codes: wordCounts(p.Codes), Out: p.Moved, Held: p.Held, Unsummed: p.Unsummed, Damaged: p.Damaged,
		Rate: p.Rate, Left: p.Left.Seconds(), Holds: []holdJSON{}, Created: p.Campaign.Created,
	}
	for _, state := range enqueue.States() {
		s.States[state] = p.States[state]
	}
	if !p.Campaign.Ended.IsZero() {
		s.Ended = &p.Campaign.Ended
	}
	for _, hold := range holds {
		if !strings.HasPrefix(hold.Scope, "campaign:") || hold.Scope == worker.ScopeCampaign(enqueue.CanonicalID(name)) {
			s.Holds = append(s.Holds, holdJSON{hold.Scope, hold.Reason, hold.By, hold.Since})
			if !strings.HasPrefix(hold.Scope, "operator:") { // nothing at all is sent, for who knows how long
				s.Left = 0
			}
		}
	}
	return s, nil
}

func wordCounts(counts []campaign.Count) []wordCount {
	list := []wordCount{}
	for _, c := range counts {
		list = append(list, wordCount{c.Word, c.Count})
	}
	return list
}

func (a *app) printStatus(s *campaignStatus) error {
	if a.json {
		return writeJSON(a.out, s)
	}
	tw := tabwriter.NewWriter(a.out, 0, 4, 2, ' ', 0)
	row := func(name, value string) {
		if value != "" {
			fmt.Fprintf(tw, "%s\t%s\n", name, value)
		}
	}
	state := string(s.State)
	if s.Ended != nil {
		state = standing(s.State, true) + " " + s.Ended.Format(time.RFC3339)
	}
	row("campaign", s.Campaign+" ("+state+")")
	row("rows", fmt.Sprint(s.Rows))
	for _, state := range enqueue.States() {
		if n := s.States[state]; n > 0 {
			row("  "+string(state), fmt.Sprint(n))
		}
	}
	row("not handed over", countText(s.Waiting))
	row("scheduled", countText(s.Later))
	row("waits for", rankedText(s.Reasons))
	row("not succeeded", rankedText(s.Codes))
	row("money out", moneyList(s.Out))
	row("money held", moneyList(s.Held))
	for _, currency := range slices.Sorted(maps.Keys(s.Unsummed)) {
		row("not in money out", fmt.Sprintf("%d amounts in %s, which make too large a sum", s.Unsummed[currency], currency))
	}
	row("cannot be read", damagedText(s.Damaged))
	for _, hold := range s.Holds {
		row("on hold", fmt.Sprintf("%s: %s by %s since %s", hold.Scope, hold.Reason, hold.By, hold.Since.Format(time.RFC3339)))
	}
	if s.Ended == nil {
		row("rate", fmt.Sprintf("%.1f rows/s", s.Rate))
		row("time left", leftText(s.Left))
	}
	return tw.Flush()
}

// damagedText names some jobs whose records are damaged.
func damagedText(ids []string) string {
	const most = 5
	if len(ids) == 0 {
		return ""
	}
	text := strings.Join(ids[:min(most, len(ids))], ", ")
	if more := len(ids) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text + ": nothing is sent for them; topup campaign results NAME says what to do"
}

func countText(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprint(n)
}

func rankedText(list []wordCount) string {
	var parts []string
	for _, c := range list {
		parts = append(parts, fmt.Sprintf("%s %d", c.Word, c.Rows))
	}
	return strings.Join(parts, ", ")
}

func moneyList(sums map[string]string) string {
	var parts []string
	for _, currency := range slices.Sorted(maps.Keys(sums)) {
		parts = append(parts, sums[currency]+" "+currency)
	}
	return strings.Join(parts, ", ")
}

// standing is the word for a campaign: one whose rows are all settled has finished.
func standing(state campaign.State, ended bool) string {
	if ended && state == campaign.Running {
		return "finished"
	}
	return string(state)
}

func leftText(seconds float64) string {
	if seconds == 0 {
		return "not known yet"
	}
	return time.Duration(seconds * float64(time.Second)).Round(time.Second).String()
}

// line is a campaign on one line.
func (s *campaignStatus) line() string {
	parts := []string{fmt.Sprintf("%s: %d of %d settled", s.Campaign, s.Settled, s.Rows)}
	for _, state := range enqueue.States() {
		if n := s.States[state]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, state))
		}
	}
	if s.Ended == nil {
		parts = append(parts, fmt.Sprintf("%.1f rows/s", s.Rate), "time left "+leftText(s.Left))
	}
	for _, hold := range s.Holds {
		parts = append(parts, "on hold: "+hold.Scope)
	}
	return strings.Join(parts, ", ")
}

// watchCampaign shows a campaign until it has ended or the watcher has.
func (a *app) watchCampaign(ctx context.Context, on *campaigns, name string) error {
	s, err := a.follow(ctx, on, name)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	return a.printStatus(s)
}

// errCampaignWaiting and errCampaignOutcome end a command whose result is on stdout.
var (
	errCampaignWaiting = &exitError{exitTimeout, errors.New("not every row is settled yet; the campaign goes on by itself (look again with topup campaign status NAME --watch)")}
	errCampaignOutcome = &exitError{exitOutcome, errors.New("some rows did not succeed (see topup campaign results NAME)")}
)

// waitForCampaign waits for the end of a campaign, prints it and makes it the exit code.
func (a *app) waitForCampaign(ctx context.Context, on *campaigns, name string, timeout time.Duration) error {
	waiting, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	s, err := a.follow(waiting, on, name)
	over := false
	if err != nil {
		if ctx.Err() != nil {
			return fmt.Errorf("stopped waiting; the campaign goes on by itself (look again with topup campaign status %s --watch): %w", name, err)
		}
		if over = waiting.Err() != nil; !over {
			return err
		}
		if s, err = on.status(ctx, name); err != nil {
			return err
		}
	}
	if err := a.printStatus(s); err != nil {
		return err
	}
	switch {
	case over && s.Ended == nil:
		return errCampaignWaiting
	case s.States[enqueue.Succeeded] != s.Rows:
		return errCampaignOutcome
	default:
		return nil
	}
}
