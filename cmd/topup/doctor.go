package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"

	"example.com/topup/enqueue"
	"example.com/topup/reloadly"
)

// checkTime bounds each check.
const checkTime = 15 * time.Second

// verdict is the first word of a line.
type verdict string

const (
	good    verdict = "ok"
	note    verdict = "note" // worth knowing, and nothing has to be done
	fix     verdict = "fix"  // something has to be done: the exit code is 1
	skipped verdict = "skip" // it needs what another check found missing
)

// finding is one line.
type finding struct {
	Check   string  `json:"check"`
	Verdict verdict `json:"verdict"`
	Text    string  `json:"text"`
}

func found(v verdict, format string, args ...any) finding {
	return finding{Verdict: v, Text: fmt.Sprintf(format, args...)}
}

// doctor is what the checks look at, and what the first ones leave to the others.
type doctor struct {
	settings Settings
	rdb      redis.UniversalClient // nil where there is none to ask
	address  *redisAddress
	nodes    []redisNode // nil until Redis has answered
	reloadly *reloadly.Client
	granted  bool // Reloadly takes the credentials
	ledger   *enqueue.Ledger
	survey   *enqueue.Survey
}

// check is one line to be.
type check struct {
	name  string
	needs func(*doctor) string // what is missing, or empty
	look  func(*doctor, context.Context) finding
}

func nothing(*doctor) string { return "" }

func anAnswer(d *doctor) string {
	if d.nodes == nil {
		return "not checked: Redis does not answer"
	}
	return ""
}

func access(d *doctor) string {
	if !d.granted {
		return "not checked: Reloadly gives no access"
	}
	return ""
}

// checks are in the order in which a set-up is made.
var checks = []check{
	{"settings", nothing, (*doctor).checkSettings},
	{"redis", nothing, (*doctor).checkRedis},
	{"version", anAnswer, (*doctor).checkVersion},
	{"persistence", anAnswer, (*doctor).checkPersistence},
	{"eviction", anAnswer, (*doctor).checkEviction},
	{"memory", anAnswer, (*doctor).checkMemory},
	{"replicas", anAnswer, (*doctor).checkReplicas},
	{"clock of redis", anAnswer, (*doctor).checkRedisClock},
	{"environment", anAnswer, (*doctor).checkEnvironment},
	{"credentials", nothing, (*doctor).checkCredentials},
	{"clock of reloadly", access, (*doctor).checkReloadlyClock},
	{"balance", access, (*doctor).checkBalance},
	{"operators", access, (*doctor).checkOperators},
	{"workers", anAnswer, (*doctor).checkWorkers},
	{"reviews", anAnswer, (*doctor).checkReviews},
	{"unknown jobs", anAnswer, (*doctor).checkUnknown},
	{"overdue jobs", anAnswer, (*doctor).checkOverdue},
	{"holds", anAnswer, (*doctor).checkHolds},
	{"archived tasks", anAnswer, (*doctor).checkArchived},
	{"queues", anAnswer, (*doctor).checkQueues},
}

// errUnwell ends a doctor whose findings are on stdout.
var errUnwell = errors.New("not all is well: see the lines that begin with fix")

func (a *app) doctorCommand() *cobra.Command {
	var probe probeFlags
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Check settings, Redis, Reloadly and the jobs: one line each, ok or what to do",
		Long: "Check settings, Redis, Reloadly and the jobs: one line each, ok or what to do. It changes nothing, and exits\n" +
			"with 0 where nothing has to be done, else with 1.\n\n" +
			"--sandbox-probe measures on the sandbox account of the settings what nobody documents, by some small top-ups of play money.",
		Args: usageArgs(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			if probe.on {
				return a.sandboxProbe(c.Context(), probe)
			}
			return a.examine(c.Context())
		},
	}
	probe.add(c.Flags())
	return c
}

func (a *app) examine(ctx context.Context) error {
	d := newDoctor(a.settings)
	defer d.close()
	tw := tabwriter.NewWriter(a.out, 6, 4, 2, ' ', 0)
	findings, well := []finding{}, true
	for _, c := range checks {
		f := d.run(ctx, c)
		findings, well = append(findings, f), well && (f.Verdict == good || f.Verdict == note)
		if !a.json {
			fmt.Fprintf(tw, "%s\t%-18s\t%s\n", f.Verdict, f.Check, f.Text)
			_ = tw.Flush() // each line at once: the next check may take its time
		}
	}
	if a.json {
		if err := writeJSON(a.out, map[string]any{"ok": well, "checks": findings}); err != nil {
			return err
		}
	}
	if !well {
		return &exitError{exitInternal, errUnwell}
	}
	return nil
}

// run looks at one thing, for a bounded time.
func (d *doctor) run(ctx context.Context, c check) finding {
	if missing := c.needs(d); missing != "" {
		return finding{c.name, skipped, missing}
	}
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	f := c.look(d, ctx)
	f.Check = c.name
	f.Text = strings.ReplaceAll(f.Text, "\n", "; ")
	return f
}

// newDoctor prepares what the settings allow; what is missing the checks say.
func newDoctor(s Settings) *doctor {
	d := &doctor{settings: s}
	if s.RedisURL != "memory://" {
		if address, err := s.redisAddress(s.RedisURL); err == nil {
			address.options.ContextTimeoutEnabled = true
			d.address, d.rdb = address, address.client()
		}
	}
	if client, err := newProbing(s); err == nil {
		d.reloadly = client
	}
	return d
}

// newProbing is a client of Reloadly that asks for access itself, and soon gives up.
func newProbing(s Settings) (*reloadly.Client, error) {
	return reloadly.New(reloadly.Config{
		Environment: reloadly.Environment(s.Environment), ClientID: s.ClientID, ClientSecret: s.ClientSecret,
		AuthURL: s.AuthURL, APIURL: s.APIURL, InFlight: 4, ReadTimeout: checkTime * 2 / 3, ReadRetryFor: 3 * time.Second,
	})
}

func (d *doctor) close() {
	if d.rdb != nil {
		_ = d.rdb.Close() // nothing is left to lose
	}
	if d.reloadly != nil {
		d.reloadly.Close()
	}
}
