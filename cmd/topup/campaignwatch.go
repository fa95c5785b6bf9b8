package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/schollz/progressbar/v3"
)

const (
	watchEvery = 500 * time.Millisecond // a campaign is read
	lineEvery  = 10 * time.Second       // a line is written where there is no terminal
	// watchPatience is for how long a Redis that does not answer is asked again: a
	// failover takes some seconds.
	watchPatience = time.Minute
)

// follow shows a campaign on stderr until every row is settled: as a bar on a terminal,
// as lines otherwise.
func (a *app) follow(ctx context.Context, on *campaigns, name string) (*campaignStatus, error) {
	var view watcher = &watchLines{w: a.err}
	if isTerminal(a.err) {
		view = &watchBar{w: a.err}
	}
	defer view.done()
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	answered := time.Now()
	for {
		s, err := on.status(ctx, name)
		switch {
		case err == nil:
			answered = time.Now()
			view.show(s)
			if s.Ended != nil {
				return s, nil
			}
		case ctx.Err() != nil, exitCode(err) != exitUnreachable, time.Since(answered) > watchPatience:
			return nil, err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// watcher shows how far a campaign has come.
type watcher interface {
	show(s *campaignStatus)
	done()
}

type watchLines struct {
	w    io.Writer
	next time.Time
}

func (l *watchLines) show(s *campaignStatus) {
	if now := time.Now(); now.After(l.next) || s.Ended != nil {
		l.next = now.Add(lineEvery)
		fmt.Fprintln(l.w, s.line())
	}
}

func (l *watchLines) done() {}

type watchBar struct {
	w   io.Writer
	bar *progressbar.ProgressBar
}

func (b *watchBar) show(s *campaignStatus) {
	if b.bar == nil || b.bar.GetMax() != s.Rows { // a later load makes it longer
		b.bar = progressbar.NewOptions(s.Rows, progressbar.OptionSetWriter(b.w), progressbar.OptionSetWidth(20),
			progressbar.OptionShowCount(), progressbar.OptionSetPredictTime(false), progressbar.OptionSetElapsedTime(false))
	}
	text := fmt.Sprintf("%s %.1f/s, time left %s", s.Campaign, s.Rate, leftText(s.Left))
	if len(s.Holds) > 0 {
		text = fmt.Sprintf("%s on hold: %s", s.Campaign, s.Holds[0].Scope)
	}
	b.bar.Describe(text)
	_ = b.bar.Set(s.Settled) // a bar that cannot be drawn harms nobody
}

func (b *watchBar) done() { fmt.Fprintln(b.w) }
