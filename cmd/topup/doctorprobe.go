package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/govalues/decimal"
	"github.com/spf13/pflag"

	"example.com/topup/reloadly"
)

// probeFlags are those of doctor --sandbox-probe.
type probeFlags struct {
	on, yes          bool
	number, declined string
	patience         time.Duration
}

func (f *probeFlags) add(flags *pflag.FlagSet) {
	flags.BoolVar(&f.on, "sandbox-probe", false, "measure identifiers, duplicates and the report on the sandbox account of the settings")
	flags.BoolVar(&f.yes, "yes", false, "send the probe's top-ups without asking")
	flags.StringVar(&f.number, "probe-number", "AE:0503971821", "a number of the sandbox; two digits of it are varied")
	flags.StringVar(&f.declined, "probe-declined", "", "a number whose operator declines, such as AE:0503970054; without one, Reloadly itself is made to refuse")
	flags.DurationVar(&f.patience, "probe-patience", 2*time.Minute, "how long to wait for the report")
}

// measured is what the probe found out.
type measured struct {
	Question string  `json:"question"`
	Answer   string  `json:"answer"` // yes, no, or not measured
	Seconds  float64 `json:"seconds,omitempty"`
	Text     string  `json:"text"`
}

const unmeasured = "not measured"

// prober sends the probe's top-ups.
type prober struct {
	client   *reloadly.Client
	operator *reloadly.Operator
	amount   decimal.Decimal
	number   reloadly.Phone
	declined *reloadly.Phone
	name     string // begins every identifier, and belongs to no job
	used     int    // counts numbers up, from anywhere: the same one is refused within two minutes
	patience time.Duration
}

// pairs is how often two top-ups are sent together.
const pairs = 3

func (a *app) sandboxProbe(ctx context.Context, f probeFlags) error {
	s := a.settings
	if s.live() {
		return &exitError{exitGuard, errors.New("--sandbox-probe: RELOADLY_ENV is live, and the probe tries what would pay twice (use the sandbox's credentials)")}
	}
	if s.ClientID == "" || s.ClientSecret == "" {
		return usage(errors.New("RELOADLY_CLIENT_ID and RELOADLY_CLIENT_SECRET are needed (or their _FILE variants)"))
	}
	s.Environment = string(reloadly.Sandbox) // whatever becomes of the check above
	client, err := newProbing(s)
	if err != nil {
		return usage(err)
	}
	defer client.Close()
	p := &prober{client: client, patience: f.patience, name: "topup-doctor-" + strings.ToLower(rand.Text()[:12]), used: mathrand.IntN(100)}
	if err := p.prepare(ctx, f); err != nil {
		return err
	}
	question := fmt.Sprintf("This sends up to %d top-ups of %s %s to %s numbers on the sandbox account: play money, nothing is delivered.",
		3+2*pairs, p.amount, p.operator.SenderCurrencyCode, p.operator.Name)
	if !f.yes {
		if err := a.ask(question); err != nil {
			return err
		}
	}
	return a.printMeasured([]measured{p.lateness(ctx), p.atomicity(ctx), p.burning(ctx)})
}

// prepare finds the operator and its smallest amount.
func (p *prober) prepare(ctx context.Context, f probeFlags) error {
	number, err := parseProbeNumber("--probe-number", f.number)
	if err != nil {
		return err
	}
	p.number = *number
	if f.declined != "" {
		if p.declined, err = parseProbeNumber("--probe-declined", f.declined); err != nil {
			return err
		}
	}
	if p.operator, err = p.client.DetectOperator(ctx, p.number); err != nil {
		return fmt.Errorf("--probe-number: its operator cannot be found: %w", err)
	}
	switch {
	case p.operator.MinAmount.Valid && p.operator.MinAmount.Decimal.IsPos():
		p.amount = p.operator.MinAmount.Decimal
	case len(p.operator.FixedAmounts) > 0:
		p.amount = p.operator.FixedAmounts[0]
	default:
		return usage(fmt.Errorf("--probe-number: %s does not say what it sells, give a number of another operator", p.operator.Name))
	}
	return nil
}

func parseProbeNumber(flag, text string) (*reloadly.Phone, error) {
	country, number, found := strings.Cut(text, ":")
	if !found || len(country) != 2 || len(number) < 7 || strings.Trim(number, "0123456789") != "" {
		return nil, usage(fmt.Errorf("%s: is not a country and a national number, such as AE:0503971821", flag))
	}
	return &reloadly.Phone{CountryCode: strings.ToUpper(country), Number: number}, nil
}

// ask wants a yes from a person at a terminal.
func (a *app) ask(question string) error {
	file, ok := a.in.(*os.File)
	if !ok || !isTerminal(file) {
		return usage(errors.New("--sandbox-probe: asks before it sends, and there is no terminal to ask at (add --yes)"))
	}
	fmt.Fprintf(a.err, "%s\nGo on? [y/N] ", question)
	if !agreed(a.in) {
		return usage(errors.New("--sandbox-probe: not agreed, nothing was sent"))
	}
	return nil
}

func agreed(in io.Reader) bool {
	line, _ := bufio.NewReader(in).ReadString('\n') // no line is no yes
	return strings.EqualFold(strings.TrimSpace(line), "y") || strings.EqualFold(strings.TrimSpace(line), "yes")
}

func (a *app) printMeasured(all []measured) error {
	if a.json {
		if err := writeJSON(a.out, map[string]any{"probe": all}); err != nil {
			return err
		}
	} else {
		tw := tabwriter.NewWriter(a.out, 0, 4, 2, ' ', 0)
		for _, m := range all {
			fmt.Fprintf(tw, "%s\t%s\t%s\n", m.Question, m.Answer, m.Text)
		}
		if err := tw.Flush(); err != nil {
			return err
		}
	}
	for _, m := range all {
		if m.Answer == unmeasured {
			return &exitError{exitInternal, errors.New("not everything could be measured: see the lines above")}
		}
	}
	return nil
}
