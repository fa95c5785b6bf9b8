package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"

	"example.com/topup/reloadly/sandbox"
)

// With all its options the simulator plays until it is stopped, and a second one goes on with its ledger.
func TestSandboxCommand(t *testing.T) {
	ledger := filepath.Join(t.TempDir(), "ledger")
	for _, balance := range []string{"5000", "6000"} {
		ctx, stop := context.WithCancel(t.Context())
		out, in := io.Pipe()
		var errs bytes.Buffer
		code := make(chan int, 1)
		go func() {
			code <- execute(ctx, []string{
				"sandbox", "--json", "--listen", "127.0.0.1:0", "--ledger", ledger, "--balance", "5000 NGN", "--seed", "7",
				"--faults", "ambiguous", "--fault", "drop-after=0.05", "--fault", "read-500=0.1", "--read-faults", "0.01",
				"--latency", "5ms", "--duplicate-window", "300ms", "--late-execution", "1s", "--report-delay", "1s",
				"--token-life", "1h", "--burn-on-decline", "--no-recharge-rule",
			}, strings.NewReader(""), in, &errs)
			_ = in.Close()
		}()
		var settings map[string]string
		if err := json.NewDecoder(bufio.NewReader(out)).Decode(&settings); err != nil {
			t.Fatalf("%v: %s", err, errs.String())
		}
		url := settings["RELOADLY_API_URL"]
		var stats struct{ Balance string }
		getJSON(t, url+"/sandbox/stats", &stats)
		if stats.Balance != balance {
			t.Errorf("balance %s, want %s", stats.Balance, balance)
		}
		var faults sandbox.Faults
		getJSON(t, url+"/sandbox/faults", &faults)
		want := sandbox.Faults{Profile: "ambiguous", Rates: map[string]float64{"drop-after": 0.05, "read-500": 0.1}, Reads: 0.01}
		if diff := cmp.Diff(want, faults); diff != "" {
			t.Error(diff)
		}
		res, err := http.Post(url+"/sandbox/refill", "application/json", strings.NewReader(`{"amount":"1000"}`))
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		stop()
		if c := <-code; c != exitOK {
			t.Errorf("exit %d: %s", c, errs.String())
		}
	}
	if text, err := os.ReadFile(ledger); err != nil || strings.Count(string(text), "\n") != 3 {
		t.Errorf("ledger: %v\n%s", err, text)
	}
}

func getJSON(t *testing.T, url string, into any) {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	if err := json.NewDecoder(res.Body).Decode(into); err != nil {
		t.Fatal(err)
	}
}

// Each option reaches the simulator.
func TestSimulatorFlags(t *testing.T) {
	var cfg sandbox.Config
	flags := pflag.NewFlagSet("sandbox", pflag.ContinueOnError)
	simulatorFlags(flags, &cfg)
	if err := flags.Parse([]string{
		"--balance=1 USD", "--ledger=l", "--faults=hostile", "--fault=late=0.25", "--fault", "slow=1e-3", "--read-faults=-1",
		"--seed=3", "--latency=1s", "--duplicate-window=-1ns", "--late-execution=2s", "--report-delay=3s", "--token-life=4s",
		"--burn-on-decline", "--no-recharge-rule",
	}); err != nil {
		t.Fatal(err)
	}
	want := sandbox.Config{
		Balance: "1 USD", LedgerFile: "l", Faults: "hostile", FaultRates: map[string]float64{"late": 0.25, "slow": 0.001},
		ReadFaults: -1, Seed: 3, Latency: 1e9, DuplicateWindow: -1, LateExecution: 2e9, ReportDelay: 3e9, TokenLife: 4e9,
		BurnOnDecline: true, NoRechargeRule: true,
	}
	if diff := cmp.Diff(want, cfg, cmp.FilterPath(func(p cmp.Path) bool { return p.String() == "Now" }, cmp.Ignore())); diff != "" {
		t.Error(diff)
	}
	if got := flags.Lookup("fault").Value.String(); got != "late=0.25,slow=0.001" {
		t.Errorf("--fault shows %s", got)
	}
	if (rates{}).String() != "" {
		t.Error("an empty --fault shows something")
	}
}
