package sandbox

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// The faults that change a transaction's status later, and where its money is before and after.
func TestStatusesThatChange(t *testing.T) {
	const whole, debited = "809811.69103", "809021.29103"
	for _, c := range []struct {
		fault         string
		first         string
		firstBalance  string
		after         time.Duration
		second        string
		secondBalance string
	}{
		{"processing-successful", "PROCESSING", debited, 8 * time.Second, "SUCCESSFUL", debited},
		{"processing-failed", "PROCESSING", debited, 8 * time.Second, "FAILED", whole},
		{"processing-forever", "PROCESSING", debited, 23 * time.Hour, "PROCESSING", debited},
		{"pending", "PENDING", debited, 8 * time.Second, "SUCCESSFUL", debited},
		{"failed", "FAILED", whole, 23 * time.Hour, "FAILED", whole},
		{"failed-then-successful", "FAILED", whole, 10 * time.Minute, "SUCCESSFUL", debited},
		{"successful-then-refunded", "SUCCESSFUL", debited, 10 * time.Minute, "REFUNDED", whole},
	} {
		t.Run(c.fault, func(t *testing.T) {
			name := filepath.Join(t.TempDir(), "ledger")
			r := newRig(t, Config{LedgerFile: name, NoSync: true})
			r.sim.Script(func(Attempt) string { return c.fault })
			look := func(status, balance string) {
				t.Helper()
				if _, body := r.call("GET", "/topups/33469/status", ""); body["status"] != status {
					t.Errorf("status %v, want %s", body["status"], status)
				}
				if got := r.sim.Balance(); got != balance {
					t.Errorf("balance %s, want %s", got, balance)
				}
				if err := r.sim.Audit(); err != nil {
					t.Error(err)
				}
			}
			if status, body := r.call("POST", "/topups", topup("x", "0503971821")); status != 200 || body["status"] != c.first {
				t.Errorf("answer: %d %v", status, body)
			}
			look(c.first, c.firstBalance)
			r.pass(c.after - time.Second)
			if c.first != c.second {
				look(c.first, c.firstBalance)
			}
			r.pass(time.Second)
			look(c.second, c.secondBalance)
			if err := r.sim.Close(); err != nil {
				t.Fatal(err)
			}
			again := newRig(t, Config{LedgerFile: name})
			again.pass(c.after)
			if got := again.sim.Balance(); got != c.secondBalance {
				t.Errorf("balance after a restart %s, want %s", got, c.secondBalance)
			}
		})
	}
}

// A transaction that is reversed by hand before its own refund is paid back once.
func TestReversedBeforeItsRefund(t *testing.T) {
	r := newRig(t, Config{})
	r.sim.Script(func(Attempt) string { return "successful-then-refunded" })
	r.call("POST", "/topups", topup("x", "0503971821"))
	if err := r.sim.Reverse(33469); err != nil {
		t.Fatal(err)
	}
	r.pass(time.Hour)
	if got := r.sim.Balance(); got != "809811.69103" {
		t.Errorf("balance %s", got)
	}
	if err := r.sim.Audit(); err != nil {
		t.Error(err)
	}
	if r.sim.Reverse(33469) == nil || r.sim.Reverse(1) == nil {
		t.Error("reversed again, or a transaction that is not there")
	}
}

// Most refusals of a used identifier are in fact a payment.
func TestIdentifierUsedAfter(t *testing.T) {
	r := newRig(t, Config{})
	status, body := r.call("POST", "/topups", topup("x", "0503970048"))
	r.want(400, "CUSTOM_IDENTIFIER_ALREADY_USED", status, body)
	if n := len(r.sim.Paid()); n != 1 {
		t.Errorf("%d paid", n)
	}
}

func TestAsyncAndLaterFailure(t *testing.T) {
	r := newRig(t, Config{})
	r.call("POST", "/topups-async", topup("ok", "0503971821"))
	r.call("POST", "/topups", topup("fails", "0503970032")) // PROCESSING, then FAILED
	_, body := r.call("GET", "/topups/33469/status", "")
	if body["status"] != statusProcessing || body["transaction"] != nil {
		t.Errorf("early: %v", body)
	}
	r.pass(11 * time.Second)
	_, body = r.call("GET", "/topups/33469/status", "")
	if body["status"] != statusSuccessful || body["transaction"] == nil {
		t.Errorf("late: %v", body)
	}
	_, body = r.call("GET", "/topups/33470/status", "")
	if body["status"] != statusFailed {
		t.Errorf("failed: %v", body)
	}
	if got := r.sim.Balance(); got != "809021.29103" || len(r.sim.Paid()) != 1 {
		t.Errorf("balance %s, paid %v", got, r.sim.Paid())
	}
	if err := r.sim.Reverse(33469); err != nil {
		t.Error(err)
	}
	if err := r.sim.Audit(); err != nil || r.sim.Balance() != "809811.69103" {
		t.Errorf("%v, balance %s", err, r.sim.Balance())
	}
}

// Money moves in the order of the times it is due at, not of the executions.
func TestChangesOfManyStatuses(t *testing.T) {
	r := newRig(t, Config{})
	faults := map[string]string{
		"a": "successful-then-refunded", "b": "processing-failed", "c": "failed-then-successful", "d": "processing-refunded",
	}
	r.sim.Script(func(a Attempt) string { return faults[a.Identifier] })
	for i, id := range []string{"a", "b", "c", "d", "e"} {
		r.call("POST", "/topups", topup(id, fmt.Sprintf("050397182%d", i)))
		r.pass(time.Second)
	}
	for _, c := range []struct {
		after time.Duration
		paid  []string
	}{
		{0, []string{"a", "b", "d", "e"}},
		{4 * time.Second, []string{"a", "d", "e"}},
		{2 * time.Second, []string{"a", "e"}},
		{10*time.Minute - 11*time.Second, []string{"e"}},
		{2 * time.Second, []string{"c", "e"}},
	} {
		r.pass(c.after)
		var paid []string
		for _, e := range r.sim.Paid() {
			paid = append(paid, e.CustomIdentifier)
		}
		want := (mustMoney("809811.69103") - money(len(c.paid))*mustMoney("790.4")).String()
		if got := r.sim.Balance(); !slices.Equal(paid, c.paid) || got != want {
			t.Errorf("after %v more: paid %v, balance %s; want %v, %s", c.after, paid, got, c.paid, want)
		}
		if err := r.sim.Audit(); err != nil {
			t.Error(err)
		}
	}
}

// An asynchronous top-up that the operator declines is PROCESSING first.
func TestAsyncFailed(t *testing.T) {
	r := newRig(t, Config{})
	r.sim.Script(func(Attempt) string { return "failed" })
	r.call("POST", "/topups-async", topup("a", "0503971821"))
	for _, want := range []string{statusProcessing, statusFailed} {
		if _, body := r.call("GET", "/topups/33469/status", ""); body["status"] != want {
			t.Errorf("%v, want %s", body["status"], want)
		}
		r.pass(11 * time.Second)
	}
	if err := r.sim.Audit(); err != nil || r.sim.Balance() != "809811.69103" {
		t.Errorf("%v, balance %s", err, r.sim.Balance())
	}
}
