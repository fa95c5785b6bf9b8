package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"example.com/topup/reloadly/sandbox"
)

// simulatorFlags are those of sandbox and dev.
func simulatorFlags(flags *pflag.FlagSet, cfg *sandbox.Config) {
	flags.StringVar(&cfg.Balance, "balance", "", "the account's money (default \"809811.69103 NGN\")")
	flags.StringVar(&cfg.LedgerFile, "ledger", "", "keep every executed top-up in this file, and go on with what is in it")

	flags.StringVar(&cfg.Faults, "faults", "", "random faults: none, production, ambiguous or hostile")
	flags.Var(rates{&cfg.FaultRates}, "fault", "how often one fault happens, like drop-after=0.05; can be repeated")
	flags.Float64Var(&cfg.ReadFaults, "read-faults", 0, "how often a call that is no top-up goes wrong; 0 is the profile's own rate, less than 0 never")
	flags.Uint64Var(&cfg.Seed, "seed", 1, "of the random faults")

	flags.DurationVar(&cfg.Latency, "latency", 0, "what every call takes at least, like 300ms")
	flags.DurationVar(&cfg.DuplicateWindow, "duplicate-window", 0,
		"between the check of an identifier and the execution, on top of --latency; less than 0: an atomic check")
	flags.DurationVar(&cfg.LateExecution, "late-execution", 0, "from a client's hanging up to the execution of its top-up")
	flags.DurationVar(&cfg.ReportDelay, "report-delay", 0, "until the report shows a transaction")
	flags.DurationVar(&cfg.TokenLife, "token-life", 0, "until a token expires (default 24h)")
	flags.BoolVar(&cfg.BurnOnDecline, "burn-on-decline", false, "an operator's decline uses up the identifier")
	flags.BoolVar(&cfg.NoRechargeRule, "no-recharge-rule", false, "take two top-ups of one number within two minutes")
}

// rates is the flag --fault NAME=RATE. Whether there is such a fault the simulator says.
type rates struct{ all *map[string]float64 }

func (r rates) Set(text string) error {
	name, rate, found := strings.Cut(text, "=")
	value, err := strconv.ParseFloat(rate, 64)
	if !found || name == "" || err != nil {
		return fmt.Errorf("%q is not a fault's name and its rate from 0 to 1: write it like drop-after=0.05", text)
	}
	if *r.all == nil {
		*r.all = map[string]float64{}
	}
	(*r.all)[name] = value
	return nil
}

func (r rates) String() string {
	if r.all == nil {
		return ""
	}
	var pairs []string
	for _, name := range slices.Sorted(maps.Keys(*r.all)) {
		pairs = append(pairs, name+"="+strconv.FormatFloat((*r.all)[name], 'g', -1, 64))
	}
	return strings.Join(pairs, ",")
}

func (r rates) Type() string { return "name=rate" }
