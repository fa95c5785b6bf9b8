package sandbox

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// docLine is a fault's line of doc.go.
func docLine(n numberedFault) string {
	f := n.fault
	what := modeWords[f.Mode]
	if f.Mode == modeStatus {
		what = f.First + " at once"
		if f.Delay > 0 {
			what = fmt.Sprintf("%s for %v, then %s", f.First, f.Delay, f.Later)
		}
	} else if f.Delay > 0 {
		what += " " + f.Delay.String()
	}
	switch {
	case f.Code != nil:
		what += fmt.Sprintf(" %d %s", f.Status, *f.Code)
	case f.Mode == modeRefuse:
		what += fmt.Sprintf(" %d without a code", f.Status)
	}
	if f.Times > 0 {
		what += fmt.Sprintf(", first %d only", f.Times)
	}
	return fmt.Sprintf("//\t%s  %-50s  %s", n.suffix, f.Name, what)
}

var modeWords = map[mode]string{
	modeRefuse: "refused", modeDropAfter: "executed, connection closed", modeDropBefore: "not executed, connection closed",
	modeHTMLAfter: "executed, HTML", modeHTMLBefore: "not executed, HTML", mode500After: "executed, 500",
	mode500Before: "not executed, 500", modeTruncated: "executed, answer cut", modeOversized: "executed, huge answer",
	modeEmpty200: "executed, empty 200", modeNoID: "executed, no transactionId", modeNoStatus: "executed, no status",
	modeWrongEcho: "executed, another top-up echoed", modeRedirect: "not executed, redirect", modeSlow: "executed, answer after",
	modeSlowRefuse: "refused after", modeLate: "executed after the client left,", mode401Once: "refused", modeRefuseAfter: "executed, refused",
}

func TestDocTable(t *testing.T) {
	text, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, n := range faultTable {
		want = append(want, docLine(n))
	}
	if table := strings.Join(want, "\n"); !strings.Contains(string(text), table+"\n") {
		t.Errorf("doc.go lacks the table:\n%s", table)
	}
}

func TestFaultTable(t *testing.T) {
	names, suffixes := map[string]bool{}, map[string]bool{}
	for _, n := range faultTable {
		f := n.fault
		if names[f.Name] || suffixes[n.suffix] || len(n.suffix) != 4 || f.Mode == modeNone {
			t.Errorf("bad entry %+v", n)
		}
		names[f.Name], suffixes[n.suffix] = true, true
		if got := faultFor("50397" + n.suffix); got == nil || got.Name != f.Name {
			t.Errorf("faultFor(%s) = %+v", n.suffix, got)
		}
		if f.Mode == modeRefuse && (f.Status < 400 || f.Message == "") {
			t.Errorf("%s: refusal without status or message", f.Name)
		}
	}
	for _, free := range []string{"503971821", "21", "", "5039721", "500000021", "76123456"} {
		if f := faultFor(free); f != nil {
			t.Errorf("%q has a fault: %s", free, f.Name)
		}
	}
	if faultNamed("nothing") != nil {
		t.Error("unknown name")
	}
	for i := 50; i <= 90; i++ {
		if f := faultFor(fmt.Sprintf("77%04d", i)); f == nil || f.Code == nil || f.Mode != modeRefuse {
			t.Errorf("00%d: %+v", i, f)
		}
	}
	f := faultNamed("429-once")
	f.Headers["Retry-After"] = "99"
	if faultNamed("429-once").Headers["Retry-After"] == "99" {
		t.Error("the table can be changed from outside")
	}
}

func TestDrawFault(t *testing.T) {
	const draws = 20000
	count := func(profile string, rates map[string]float64) (hit, executed int) {
		for i := range draws {
			id := fmt.Sprint("job-", i)
			f := drawFault(profile, rates, 7, id, 1)
			again := drawFault(profile, rates, 7, id, 1)
			if (f == nil) != (again == nil) || f != nil && f.Name != again.Name {
				t.Fatalf("%s: %s is not deterministic", profile, id)
			}
			if f != nil {
				hit++
				if slices.Contains(ambiguousExecuted, f.Name) {
					executed++
				}
			}
		}
		return hit, executed
	}
	near := func(what string, got, want int) {
		if got < want*85/100 || got > want*115/100 {
			t.Errorf("%s: %d, want about %d", what, got, want)
		}
	}
	if hit, _ := count("none", nil); hit != 0 {
		t.Errorf("none: %d", hit)
	}
	hit, _ := count("production", nil)
	near("production", hit, draws*8/100)
	hit, executed := count("ambiguous", nil)
	near("ambiguous", hit, draws/10)
	near("ambiguous, executed", executed, draws/20)
	paid, refused := 0, 0
	for i := range 10 * draws {
		switch f := drawFault("production", nil, 7, fmt.Sprint("job-", i), 1); {
		case f == nil:
		case f.Name == "identifier-used-after":
			paid++
		case f.Name == "custom-identifier-already-used":
			refused++
		}
	}
	near("identifiers used and paid, of 100", 100*paid/(paid+refused), usedButPaid)
	hit, _ = count("hostile", nil)
	near("hostile", hit, draws/2)
	hit, _ = count("none", map[string]float64{"drop-after": 0.2, "failed": 0.1})
	near("rates", hit, draws*3/10)
	for _, w := range productionCounts {
		if faultNamed(strings.ReplaceAll(strings.ToLower(w.code), "_", "-")) == nil {
			t.Errorf("no fault for %s", w.code)
		}
	}
	for _, name := range slices.Concat(ambiguousExecuted, ambiguousNot) {
		if faultNamed(name) == nil {
			t.Errorf("no fault %s", name)
		}
	}
}
