package main

import (
	"slices"
	"time"
)

// controlVariable names the guard that a worker takes out, where it was built to: only
// with the build tag topup_control does anything read it.
const controlVariable = "TOPUP_CONTROL"

// control is a run with one guard taken out. The oracle must catch it.
type control struct {
	name   string
	what   string
	caught []string        // the checks of which one has to find it
	change func(*settings) // beside the guard; the same without the guard must pass
}

var controls = []control{
	{"naive-retry", "a POST without an answer is sent again at once", []string{checkTwice, checkOverlap}, nil},
	{"fresh-identifier", "each send has an identifier of its own", []string{checkTwice}, nil},
	{"no-settle", "the first empty look-up counts, however young the send", []string{checkTwice, checkOverlap}, func(s *settings) {
		s.Scale = 1.0 / 60 // so that asynq's whole seconds are no settle time of their own
	}},
	{"no-barrier", "a Redis that was restarted is believed", []string{checkTwice, checkOverlap}, func(s *settings) {
		s.Jobs, s.RedisKills, s.Rollbacks, s.Duration = 800, 0, 10, 40*time.Second
		s.Scale = 1.0 / 60 // so that a POST is still under way when Redis is back
	}},
	{"eager-identifier", "an identifier that is in use is replaced at once", []string{checkTwice}, func(s *settings) {
		s.LateReport, s.RedisKills, s.Rollbacks = true, 0, 0
	}},
	{"fresh-job", "each handing over of a row has a job of its own", []string{checkStranger}, campaigns},
	{"count-twice", "a row that was counted stays open, and is counted again", []string{checkSums}, campaigns},
	{"appendonly-no", "Redis keeps no file", []string{checkProducer, checkLost}, func(s *settings) {
		s.AppendOnly, s.RedisKills, s.Rollbacks = false, 2, 0
	}},
}

// campaigns makes it a run of campaigns.
func campaigns(s *settings) {
	s.Jobs, s.Rows, s.Pauses, s.InFlight = 0, 400, 2, 4
}

func controlNamed(name string) (control, bool) {
	i := slices.IndexFunc(controls, func(c control) bool { return c.name == name })
	if i < 0 {
		return control{}, false
	}
	return controls[i], true
}

// catches says whether a check is one that has to find a control.
func catches(name, check string) bool {
	c, _ := controlNamed(name)
	return slices.Contains(c.caught, check)
}

// settings are those of a control's run.
func (c control) settings(seed uint64) settings {
	s := shortRun()
	s.Seed, s.Control, s.Drain = seed, c.name, 40*time.Second
	s.Kills, s.Ends, s.Stops = 4, 1, 0
	if c.change != nil {
		c.change(&s)
	}
	return s
}

// guarded is the same run with everything in its place: it has to pass.
func (c control) guarded(seed uint64) settings {
	s := c.settings(seed)
	s.Control, s.AppendOnly, s.Drain = "", true, shortRun().Drain
	return s
}
