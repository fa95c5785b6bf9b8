package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/topup/enqueue"
	"example.com/topup/enqueue/campaign"
	"example.com/topup/reloadly/sandbox"
	"example.com/topup/worker"
)

// On a terminal load asks: y or yes loads, anything else does not. Real money wants its
// total typed, and nothing else will do.
func TestLoadAsks(t *testing.T) {
	sys := startHere(t, sandbox.Config{}, nil)
	file := filepath.Join(t.TempDir(), "ask.csv")
	if err := os.WriteFile(file, []byte("phone,amount,currency\n+2348056234501,500,sender\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	terminal := true
	settings := sys.settings
	settings.RedisURL = sys.opened.url
	for _, test := range []struct {
		name, answer string
		code         int
		asks         string
	}{
		{"nothing", "", exitUsage, "Load it? [y/N]"},
		{"no", "n\n", exitUsage, "1 rows are new, 0 are there already"},
		{"maybe", "yep\n", exitUsage, "total: 485 NGN"},
		{"yes", "Yes\n", exitOK, "Load it? [y/N]"},
	} {
		var out, errs bytes.Buffer
		a := &app{settings: settings, in: strings.NewReader(test.answer), out: &out, err: &errs, asking: &terminal}
		if code := exitCode(a.campaignLoad(t.Context(), file, loadFlags{name: test.name})); code != test.code {
			t.Errorf("%s: exit %d, want %d\n%s", test.name, code, test.code, &errs)
		}
		if !strings.Contains(errs.String(), test.asks) {
			t.Errorf("%s: %q is not in\n%s", test.name, test.asks, &errs)
		}
		if loaded := strings.Contains(out.String(), "1 rows loaded"); loaded != (test.code == exitOK) {
			t.Errorf("%s: loaded %v\n%s", test.name, loaded, &out)
		}
	}
	for answer, want := range map[string]error{"y\n": errDeclined, "yes\n": errDeclined, "500\n": errDeclined, "\n": errDeclined, " 485\n": nil} {
		var errs bytes.Buffer
		a := &app{settings: settings, in: strings.NewReader(answer), err: &errs}
		on, err := a.connectCampaigns(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer on.close()
		loader, err := a.newLoader(on)
		if err != nil {
			t.Fatal(err)
		}
		f, err := a.checkFile(t.Context(), on, file, fileFlags{}, func(campaign.Problem) {}, loader.Key)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = f.Close() }()
		a.settings.Environment = "live" // the simulator has no such account, so only now
		got := a.askToLoad(t.Context(), loader, f, loadFlags{name: "live", options: campaign.LoadOptions{AllowSimilar: true}})
		if !errors.Is(got, want) || !strings.Contains(errs.String(), "This is real money. Type the total, 485, to load it") {
			t.Errorf("%q: %v\n%s", answer, got, &errs)
		}
	}
}

// A job whose record cannot be read is named where a person looks, and hides no other.
func TestDamagedRecordsAreShown(t *testing.T) {
	sys := startHere(t, sandbox.Config{}, nil)
	file := filepath.Join(t.TempDir(), "damaged.csv")
	if err := os.WriteFile(file, []byte("phone,amount,currency,external_id\n+2348057230047,500,sender,a\n+2348057240047,500,sender,b\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	settings := sys.settings
	settings.RedisURL = sys.opened.url
	var out, errs bytes.Buffer
	a := &app{settings: settings, out: &out, err: &errs}
	// Both need review: nobody knows their code.
	if err := a.campaignLoad(t.Context(), file, loadFlags{name: "damaged", yes: true, wait: true, timeout: time.Minute}); exitCode(err) != exitOutcome {
		t.Fatal(err, &errs)
	}
	keys, err := sys.opened.rdb.Keys(t.Context(), "topup:*:job:damaged.a").Result()
	if err != nil || len(keys) != 1 {
		t.Fatal(keys, err)
	}
	sys.opened.rdb.HSet(t.Context(), keys[0], "v", "?")
	out.Reset()
	if err := a.reviewList(t.Context()); exitCode(err) != exitInternal || !strings.Contains(err.Error(), `"damaged.a"`) || !strings.Contains(out.String(), "damaged.b") {
		t.Errorf("%v\n%s", err, &out)
	}
	on, err := a.connectCampaigns(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer on.close()
	status, err := on.status(t.Context(), "damaged")
	if err != nil {
		t.Fatal(err)
	}
	out.Reset()
	if err := a.printStatus(status); err != nil || !strings.Contains(out.String(), "needs_review  2") || !strings.Contains(out.String(), "1000 sender") || !strings.Contains(out.String(), "cannot be read  damaged.a: nothing is sent") {
		t.Errorf("%v\n%s", err, &out)
	}
	if got := damagedText([]string{"a", "b", "c", "d", "e", "f", "g"}); !strings.HasPrefix(got, "a, b, c, d, e and 2 more: ") {
		t.Error(got)
	}
}

// Many problems are summed up by kind after their list, for a whole column is often damaged
// in one way; a few are not.
func TestManyProblemsAreSummedUp(t *testing.T) {
	for _, n := range []int{5, 300} {
		var out bytes.Buffer
		list := &problemList{w: &out, file: "may.csv"}
		for line := range n {
			list.add(campaign.Problem{Line: line, Column: "phone", Code: "phone_exponent", Message: "x"})
			if line%3 == 0 {
				list.add(campaign.Problem{Line: line, Code: "field_count", Message: "x"})
			}
			if line == 2 {
				list.add(campaign.Problem{Severity: campaign.Warning, Line: line, Column: "phone", Code: "phone_invalid", Message: "x"})
			}
		}
		list.sum()
		want := "may.csv: 300 phone_exponent, 100 field_count, 1 phone_invalid\n"
		if got := strings.HasSuffix(out.String(), want); got != (n == 300) {
			t.Errorf("%d: %s", n, out.String()[max(0, out.Len()-200):])
		}
	}
}

// Whoever stops a command is told what became of the campaign.
func TestInterruptedLoadSaysWhatItLeaves(t *testing.T) {
	sys := startHere(t, sandbox.Config{}, nil)
	file := filepath.Join(t.TempDir(), "stopped.csv")
	if err := os.WriteFile(file, []byte("phone,amount,currency,operator_id\n+2348056234501,500,local,341\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	a := &app{settings: sys.settings, out: io.Discard}
	a.settings.RedisURL = sys.opened.url
	holds := worker.NewHolds(sys.opened.rdb, worker.HoldConfig{})
	if err := holds.Place(t.Context(), worker.Hold{Scope: worker.ScopeCampaign("stopped"), Reason: enqueue.Paused}); err != nil {
		t.Fatal(err)
	}
	load := func(f loadFlags, when string) error {
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		a.err = stopper{when, stop}
		f.name, f.yes, f.offline, f.timeout = "stopped", true, true, time.Minute
		return a.campaignLoad(ctx, file, f)
	}
	bad := filepath.Join(t.TempDir(), "bad.csv")
	if err := os.WriteFile(bad, []byte("phone,amount,currency\nnobody,500,local\n+2348056234501,500,local\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	a.err = stopper{"phone_letters", stop}
	if err := a.campaignLoad(ctx, bad, loadFlags{fileFlags: fileFlags{skip: true}, name: "stopped", yes: true}); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "stopped before its end, and nothing was loaded") {
		t.Error(err)
	}
	ctx, stop = context.WithCancel(t.Context())
	never, _ := io.Pipe() // a person who does not answer
	terminal := true
	asked := &app{settings: a.settings, in: never, out: io.Discard, err: stopper{"Load it?", stop}, asking: &terminal}
	if err := asked.campaignLoad(ctx, file, loadFlags{fileFlags: fileFlags{offline: true}, name: "stopped"}); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "stopped, and nothing was loaded") {
		t.Error(err)
	}
	if err := load(loadFlags{}, "1 rows are good"); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "load it again") {
		t.Error(err)
	}
	if err := load(loadFlags{wait: true}, "0 of 1 settled"); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "the campaign goes on by itself") {
		t.Error(err)
	}
	if err := errors.Join(holds.Lift(t.Context(), worker.ScopeCampaign("stopped")), load(loadFlags{wait: true}, "nobody says this")); err != nil {
		t.Error(err)
	}
}

// stopper stops a command when it has said something.
type stopper struct {
	when string
	stop func()
}

func (s stopper) Write(p []byte) (int, error) {
	if strings.Contains(string(p), s.when) {
		s.stop()
	}
	return len(p), nil
}

// A result that could not be written is no success, whatever the command did.
func TestLostResultIsNoSuccess(t *testing.T) {
	file := filepath.Join(t.TempDir(), "lost.csv")
	if err := os.WriteFile(file, []byte("phone,amount,currency\n+2348056234501,500,local\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	unwritable, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unwritable.Close() }() // nothing is written to it
	for _, args := range [][]string{{"campaign", "check", file, "--offline"}, {"campaign", "check", file, "--offline", "--json"}} {
		var errs bytes.Buffer
		if code := execute(t.Context(), args, strings.NewReader(""), unwritable, &errs); code != exitInternal || !strings.Contains(errs.String(), "bad file descriptor") {
			t.Errorf("%v: exit %d\n%s", args, code, &errs)
		}
	}
}

// Where there is no terminal a watched campaign is a line every ten seconds, and one at its end.
func TestWatchWithoutTerminal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		lines, status := &watchLines{w: &out}, &campaignStatus{Campaign: "may", Rows: 3}
		for range 25 * time.Second / watchEvery {
			lines.show(status)
			time.Sleep(watchEvery)
		}
		if n := strings.Count(out.String(), "\n"); n != 3 {
			t.Errorf("%d lines in 25 seconds:\n%s", n, &out)
		}
		end := time.Now()
		status.Ended = &end
		if lines.show(status); strings.Count(out.String(), "\n") != 4 {
			t.Errorf("the end is not told:\n%s", &out)
		}
	})
}
