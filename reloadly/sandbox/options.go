package sandbox

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"
)

const (
	sandboxEnvironment = "sandbox"
	liveEnvironment    = "live"

	// The provider's own durations, before Config.TimeScale.
	rechargeWindow = 2 * time.Minute
	processingMin  = 8 * time.Second
	processingMax  = 11 * time.Second
	slowAnswer     = 52 * time.Second
	lateness       = 5 * time.Second
)

// Credential is one account's key; Environment is "sandbox" or "live", Config.Environment when empty.
type Credential struct {
	ClientID, ClientSecret, Environment string
}

// Config sets up a Simulator; its zero value works.
type Config struct {
	Credentials        []Credential       // none: any without the word "wrong" are accepted
	Environment        string             // that of hosts that are not Reloadly's names; "sandbox" when empty
	Balance            string             // "809811.69103 NGN" when empty
	LedgerFile         string             // none: in memory only
	NoSync             bool               // no fsync of the ledger
	Faults             string             // profile: none, production, ambiguous or hostile
	FaultRates         map[string]float64 // probability by name of fault
	Seed               uint64
	NoMagic            bool          // numbers call for no faults
	TimeScale          float64       // multiplies the provider's own durations; 0 is 1
	Latency            time.Duration // of every call
	DuplicateWindow    time.Duration // between the check of an identifier and the execution
	NoRechargeRule     bool          // no two minutes between two top-ups of one number
	BurnOnDecline      bool          // an operator's decline uses up the identifier
	FlatStatus         bool          // the status endpoint answers the bare transaction
	LateExecution      time.Duration // after a client hung up before its top-up was executed; 0: at once, or the fault's own time
	ReportDelay        time.Duration // until the report shows a transaction
	FirstTransactionID int64         // 33469 when 0
	TokenLife          time.Duration // 24 h when 0
	KeepAlive          bool          // keep the connection after a top-up
	Now                func() time.Time
	Logger             *slog.Logger
}

func (c Config) withDefaults() (Config, error) {
	if c.Environment == "" {
		c.Environment = sandboxEnvironment
	}
	if c.Balance == "" {
		c.Balance = "809811.69103 NGN"
	}
	if c.FirstTransactionID == 0 {
		c.FirstTransactionID = 33469
	}
	if c.TokenLife == 0 {
		c.TokenLife = 24 * time.Hour
	}
	if c.TimeScale == 0 {
		c.TimeScale = 1
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.TimeScale < 0 || c.Latency < 0 || c.DuplicateWindow < 0 || c.ReportDelay < 0 || c.LateExecution < 0 || c.TokenLife < 0 {
		return c, errors.New("sandbox: a duration or the time scale is negative")
	}
	if !validProfile(c.Faults) {
		return c, fmt.Errorf("sandbox: unknown profile of faults %q", c.Faults)
	}
	for name := range c.FaultRates {
		if faultNamed(name) == nil {
			return c, fmt.Errorf("sandbox: unknown fault %q", name)
		}
	}
	environments := []string{c.Environment}
	for _, k := range c.Credentials {
		environments = append(environments, k.Environment)
	}
	for _, e := range environments {
		if e != "" && e != sandboxEnvironment && e != liveEnvironment {
			return c, fmt.Errorf("sandbox: environment %q is neither sandbox nor live", e)
		}
	}
	return c, nil
}

func (c Config) scaled(d time.Duration) time.Duration {
	if c.TimeScale == 1 {
		return d
	}
	return time.Duration(float64(d) * c.TimeScale)
}

// parseBalance reads "809811.69103 NGN".
func parseBalance(text string) (money, string, error) {
	amount, code, _ := strings.Cut(strings.TrimSpace(text), " ")
	m, err := parseMoney(amount)
	if err != nil {
		return 0, "", fmt.Errorf("sandbox: balance %q: %w", text, err)
	}
	if code = strings.TrimSpace(code); len(code) != 3 {
		return 0, "", fmt.Errorf("sandbox: balance %q has no currency", text)
	}
	return m, code, nil
}
