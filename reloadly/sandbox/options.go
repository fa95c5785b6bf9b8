package sandbox

import (
	"fmt"
	"log/slog"
	"maps"
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
	blindness      = 300 * time.Millisecond // of the check of identifiers
)

// Credential is one account's key; Environment is "sandbox" or "live", Config.Environment when empty.
type Credential struct {
	ClientID, ClientSecret, Environment string
}

// Config sets up a Simulator; its zero value works. Where a comment says scaled, the provider's own
// duration is multiplied by TimeScale; durations given here are taken as they are.
type Config struct {
	// Credentials are the accounts' keys. Without any, each key without the word "wrong" is accepted.
	Credentials []Credential
	// Environment is that of hosts that are not Reloadly's names. Defaults to "sandbox".
	Environment string
	// Balance is the account's money and currency. Defaults to "809811.69103 NGN". A ledger file that
	// exists already says it better: then only the currency must be the same.
	Balance string
	// LedgerFile keeps every execution across restarts. Defaults to none: in memory only.
	LedgerFile string
	// NoSync leaves out the fsync of the ledger: faster, and not safe from a power cut.
	NoSync bool

	// Faults is the profile of random faults: none, production, ambiguous or hostile. Defaults to none.
	Faults string
	// FaultRates are probabilities from 0 to 1 by the fault's name; what they leave is the profile's.
	FaultRates map[string]float64
	// ReadFaults is the probability from 0 to 1 that a call that is no top-up goes wrong. Defaults to the
	// profile's own: production 0.005, ambiguous 0.03, hostile 0.1, else 0. Less than 0 is never.
	ReadFaults float64
	// Seed of the random faults: the same seed, identifier and attempt draw the same fault, and so do
	// the same seed, path and how often it was asked for.
	Seed uint64
	// NoMagic takes the meaning from the numbers: they call for no faults.
	NoMagic bool

	// TimeScale multiplies the provider's own durations. Defaults to 1.
	TimeScale float64
	// Latency is what every call takes at least. Defaults to 0.
	Latency time.Duration
	// DuplicateWindow is how long the check of an identifier is blind. Reloadly looks at the identifier
	// when a top-up arrives and executes it later, so two in flight together are both executed.
	//
	//   - 0: Reloadly's own, without costing time. The check comes when the call arrives, the execution
	//     after its Latency; and an execution whose own call is still unanswered is not seen for 300 ms
	//     (scaled). One after the other is always refused.
	//   - more than 0: the execution waits so much longer than Latency.
	//   - less than 0: the check is atomic, which Reloadly's is not.
	DuplicateWindow time.Duration
	// LateExecution is the time from a client's hanging up to the execution of its top-up. Defaults to
	// 0: at once; for the fault late its own time, 5 s scaled.
	LateExecution time.Duration
	// ReportDelay is the time until the report shows a transaction. Defaults to 0.
	ReportDelay time.Duration
	// NoRechargeRule drops the two minutes (scaled) between two top-ups of one number.
	NoRechargeRule bool
	// BurnOnDecline makes an operator's decline use up the identifier, without a record.
	BurnOnDecline bool
	// FlatStatus makes the status endpoint answer the bare transaction, as the documentation shows it.
	FlatStatus bool

	// FirstTransactionID is the first transaction's. Defaults to 33469.
	FirstTransactionID int64
	// TokenLife is a token's lifetime. Defaults to 24 h.
	TokenLife time.Duration
	// KeepAlive keeps the connection after a top-up, which Reloadly closes.
	KeepAlive bool
	// Now is the clock. Defaults to time.Now.
	Now func() time.Time
	// Logger gets every execution. Defaults to none.
	Logger *slog.Logger
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
	if c.TimeScale < 0 {
		return c, fmt.Errorf("sandbox: the time scale %v is negative", c.TimeScale)
	}
	for _, d := range []struct {
		name string
		d    time.Duration
	}{
		{"latency", c.Latency}, {"report delay", c.ReportDelay}, {"late execution", c.LateExecution}, {"token life", c.TokenLife},
	} {
		if d.d < 0 {
			return c, fmt.Errorf("sandbox: the %s of %v is negative", d.name, d.d)
		}
	}
	if err := c.faults().check(); err != nil {
		return c, err
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

func (c Config) faults() Faults {
	return Faults{Profile: c.Faults, Rates: maps.Clone(c.FaultRates), Reads: c.ReadFaults}
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
