package sandbox

import (
	"fmt"
	"math"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

func TestReadFaults(t *testing.T) {
	for _, f := range readFaults {
		for _, path := range []string{
			"/oauth/token", "/accounts/balance", "/topups/33469/status", "/topups/reports/transactions?size=1",
			"/topups/reports/transactions/33469", "/operators/1100", "/operators/auto-detect/phone/0503971821/countries/AE",
		} {
			t.Run(f.Name+path, func(t *testing.T) {
				r := newRig(t, Config{TimeScale: 0.001, Seed: 7})
				r.call("POST", "/topups", topup("x", "0503971821"))
				if err := r.sim.SetFaults(Faults{Rates: map[string]float64{f.Name: 1}}); err != nil {
					t.Fatal(err)
				}
				method, body := "GET", ""
				if path == "/oauth/token" {
					method, body = "POST", tokenBody("id", "secret", audienceSandbox)
				}
				start := time.Now()
				status, text, err := r.raw(method, path, body)
				good := map[string]bool{
					"read-500":       err == nil && status == 500 && strings.Contains(string(text), `"errorCode":null`),
					"read-html":      err == nil && status == 502 && strings.Contains(string(text), "<html>"),
					"read-empty":     err == nil && status == 200 && len(text) == 0,
					"read-truncated": err != nil && status == 200 && len(text) > 0,
					"read-drop":      err != nil && status == 0,
					"read-429":       err == nil && status == 429,
					"read-429-bare":  err == nil && status == 429,
					"read-slow":      err == nil && status == 200 && time.Since(start) >= 10*time.Millisecond,
				}
				if !good[f.Name] {
					t.Errorf("%d %.80s %v", status, text, err)
				}
				if n := r.sim.FaultCounts()[f.Name]; n < 1 {
					t.Errorf("counted %d", n)
				}
			})
		}
	}
}

func TestReadFaultHeaders(t *testing.T) {
	for name, want := range map[string]string{"read-429": "1", "read-429-bare": ""} {
		r := newRig(t, Config{})
		if err := r.sim.SetFaults(Faults{Rates: map[string]float64{name: 1}}); err != nil {
			t.Fatal(err)
		}
		res, err := http.Get(r.srv.URL + "/accounts/balance")
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if got := res.Header.Get("Retry-After"); got != want || (res.Header.Get("X-RateLimit-Reset") == "") != (want == "") {
			t.Errorf("%s: %v", name, res.Header)
		}
	}
}

// A top-up meets no fault of the reading calls, and a read none of the top-ups.
func TestReadFaultsAreApart(t *testing.T) {
	r := newRig(t, Config{})
	if err := r.sim.SetFaults(Faults{Rates: map[string]float64{"read-drop": 1}}); err != nil {
		t.Fatal(err)
	}
	if status, body := r.call("POST", "/topups", topup("x", "0503971821")); status != 200 {
		t.Errorf("top-up: %d %v", status, body)
	}
	if err := r.sim.SetFaults(Faults{Rates: map[string]float64{"drop-before": 1}}); err != nil {
		t.Fatal(err)
	}
	if status, body := r.call("GET", "/accounts/balance", ""); status != 200 {
		t.Errorf("balance: %d %v", status, body)
	}
}

func TestDrawReadFault(t *testing.T) {
	const draws = 20000
	for _, c := range []struct {
		faults Faults
		want   float64
	}{
		{Faults{}, 0},
		{Faults{Profile: "none"}, 0},
		{Faults{Profile: "production"}, 0.005},
		{Faults{Profile: "ambiguous"}, 0.03},
		{Faults{Profile: "hostile"}, 0.10},
		{Faults{Profile: "hostile", Reads: -1}, 0},
		{Faults{Reads: 0.2}, 0.2},
		{Faults{Reads: 0.2, Rates: map[string]float64{"read-500": 0.1, "drop-after": 0.5}}, 0.3},
	} {
		hits, kinds := 0, map[string]int{}
		for n := range draws {
			f, again := drawReadFault(c.faults, 7, "GET /accounts/balance", n), drawReadFault(c.faults, 7, "GET /accounts/balance", n)
			if (f == nil) != (again == nil) || f != nil && f.Name != again.Name {
				t.Fatalf("%+v: call %d is not deterministic", c.faults, n)
			}
			if f != nil {
				hits++
				kinds[f.Name]++
			}
		}
		if got := float64(hits) / draws; math.Abs(got-c.want) > 0.2*c.want {
			t.Errorf("%+v: %v, want about %v", c.faults, got, c.want)
		}
		if hits > 500 && len(kinds) != len(readFaults) {
			t.Errorf("%+v: only %v", c.faults, kinds)
		}
	}
}

func TestFaultsAreChecked(t *testing.T) {
	sim, err := New(Config{Faults: "ambiguous", FaultRates: map[string]float64{"slow": 0.1}, ReadFaults: 0.2})
	if err != nil {
		t.Fatal(err)
	}
	for want, f := range map[string]Faults{
		`unknown profile of faults "x"`: {Profile: "x"},
		`unknown fault "x"`:             {Rates: map[string]float64{"x": 0}},
		"rate 2 of fault slow":          {Rates: map[string]float64{"slow": 2}},
		"rate NaN of fault slow":        {Rates: map[string]float64{"slow": math.NaN()}},
		"more than 1":                   {Rates: map[string]float64{"slow": 0.6, "late": 0.6}},
		"rate 1.5 of faults of reading": {Reads: 1.5},
	} {
		if err := sim.SetFaults(f); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %s", f, err, want)
		}
	}
	if f := sim.Faults(); f.Profile != "ambiguous" || f.Rates["slow"] != 0.1 || f.Reads != 0.2 {
		t.Errorf("a refused change has changed something: %+v", f)
	}
	if _, err := New(Config{Faults: "x"}); err == nil {
		t.Error("Config with an unknown profile")
	}
}

func TestDocReadFaults(t *testing.T) {
	text, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, f := range readFaults {
		what := map[mode]string{
			mode500Before: "500", modeHTMLBefore: "502 with HTML", modeEmpty200: "200 without a body",
			modeTruncated: "answer cut", modeDropBefore: "connection closed", modeSlow: "answer after",
			modeRefuse: "429 without headers",
		}[f.Mode]
		if f.Mode == modeRefuse && len(f.Headers) > 0 {
			what = "429 with its headers"
		}
		if f.Delay > 0 {
			what += " " + f.Delay.String()
		}
		want = append(want, fmt.Sprintf("//\t%-16s%s", f.Name, what))
	}
	if table := strings.Join(want, "\n"); !strings.Contains(string(text), table+"\n") {
		t.Errorf("doc.go lacks:\n%s", table)
	}
}
