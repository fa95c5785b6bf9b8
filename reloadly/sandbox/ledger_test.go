package sandbox

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestLedgerReread(t *testing.T) {
	name := filepath.Join(t.TempDir(), "ledger")
	r := newRig(t, Config{LedgerFile: name})
	r.call("POST", "/topups", topup("a", "0503971821"))
	r.call("POST", "/topups", topup("b", "0503970032"))
	_ = r.sim.Refill("10.5")
	_ = r.sim.Reverse(33469)
	want := r.sim.Executions()
	_ = r.sim.Close()
	f, err := os.OpenFile(name, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = f.WriteString(`{"kind":"exec`)
	_ = f.Close()

	var log bytes.Buffer
	again := newRig(t, Config{LedgerFile: name, Balance: "1 NGN", Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if !strings.Contains(log.String(), "level=WARN") || !strings.Contains(log.String(), "torn") || !strings.Contains(log.String(), "line=6") {
		t.Errorf("the torn line is not reported: %s", log.String())
	}
	if got := again.sim.Executions(); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
	status, body := again.call("POST", "/topups", topup("a", "0503971899"))
	again.want(400, "CUSTOM_IDENTIFIER_ALREADY_USED", status, body)
	status, body = again.call("POST", "/topups", topup("c", "0503971898"))
	if again.want(200, "", status, body); body["transactionId"] != 33471.0 {
		t.Errorf("the transactions do not go on: %v", body)
	}
	again.pass(time.Minute)
	text, err := os.ReadFile(name)
	if err != nil || strings.Contains(string(text), `{"kind":"exec{`) || strings.Count(string(text), "\n") != 6 {
		t.Errorf("%v, the torn line is still there:\n%s", err, text)
	}
	if err := again.sim.Audit(); err != nil || again.sim.Balance() != "809031.79103" {
		t.Errorf("%v, balance %s", err, again.sim.Balance())
	}
}

func TestLedgerThatIsNone(t *testing.T) {
	for text, want := range map[string]string{
		"hello\n": "line 1",
		`{"kind":"open","amount":"1","currency":"USD"}` + "\n": "the account of this ledger is in USD",
		`{"kind":"refill","amount":"1"}` + "\n":                "line 1: the account's balance is missing",
		open1 + `{"kind":"x"}` + "\n":                          `line 2: unknown kind "x"`,
		open1 + `{"kind":"execution"}` + "\n":                  "line 2: an execution without its data",
		open1 + `{"kind":"refill"}` + "\n":                     "line 2: a refill without an amount",
		open1 + `{"kind":"reverse","transactionId":7}` + "\n":  "line 2: no transaction 7",
		open1 + open1: "line 2",
	} {
		name := filepath.Join(t.TempDir(), "ledger")
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := New(Config{LedgerFile: name}); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
		if kept, _ := os.ReadFile(name); string(kept) != text {
			t.Errorf("a file that is no ledger was changed: %s", kept)
		}
	}
	if _, err := New(Config{LedgerFile: t.TempDir()}); err == nil {
		t.Error("a directory as the ledger")
	}
}

const open1 = `{"kind":"open","amount":"1","currency":"NGN"}` + "\n"

// A torn first line is cut off too, and the account begins anew.
func TestLedgerTornAtOnce(t *testing.T) {
	name := filepath.Join(t.TempDir(), "ledger")
	if err := os.WriteFile(name, []byte(`{"kind":"op`), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		sim, err := New(Config{LedgerFile: name, Balance: "5 NGN"})
		if err != nil || sim.Balance() != "5" || sim.Close() != nil {
			t.Fatalf("%v", err)
		}
	}
}

// Executions that come together share an fsync, and none is answered before its line is on disk.
func TestLedgerSharesFsyncs(t *testing.T) {
	const calls = 40
	r := newRig(t, Config{LedgerFile: filepath.Join(t.TempDir(), "ledger")})
	var fsyncs, safe atomic.Int64
	real := r.sim.ledger.fsync
	r.sim.ledger.fsync = func() error {
		fsyncs.Add(1)
		lines := int64(len(r.sim.Executions())) // at least these are written
		// As slow a disk as it takes for all to come together, on a busy machine too.
		for deadline := time.Now().Add(time.Minute); len(r.sim.Executions()) < calls && time.Now().Before(deadline); {
			time.Sleep(time.Millisecond)
		}
		err := real()
		safe.Store(lines)
		return err
	}
	var wg sync.WaitGroup
	for i := range calls {
		wg.Go(func() {
			status, body := r.call("POST", "/topups", topup(fmt.Sprint("job-", i), fmt.Sprintf("05039718%02d", i)))
			if r.want(200, "", status, body); int64(body["transactionId"].(float64))-33468 > safe.Load() {
				t.Errorf("%v answered with %d lines on disk", body["transactionId"], safe.Load())
			}
		})
	}
	wg.Wait()
	if n := fsyncs.Load(); n < 2 || n > calls/2 {
		t.Errorf("%d fsyncs for %d executions", n, calls)
	}
	if err := r.sim.Audit(); err != nil {
		t.Error(err)
	}
}

// When the disk fails nobody is told of a success any more.
func TestLedgerBroken(t *testing.T) {
	r := newRig(t, Config{LedgerFile: filepath.Join(t.TempDir(), "ledger")})
	r.sim.ledger.fsync = func() error { return errors.New("the disk is gone") }
	status, body := r.call("POST", "/topups", topup("a", "0503971821"))
	r.want(500, "", status, body)
	if n := len(r.sim.Executions()); n != 1 {
		t.Errorf("%d executions: its line may be on disk, so it counts", n)
	}
	status, body = r.call("POST", "/topups", topup("b", "0503971822"))
	r.want(500, "", status, body)
	if n := len(r.sim.Executions()); n != 1 {
		t.Errorf("%d executions: the second one was never written", n)
	}
	if r.sim.Refill("1") == nil || r.sim.Reverse(33469) == nil {
		t.Error("changes without a ledger")
	}
	if err := r.sim.Close(); err == nil || !strings.Contains(err.Error(), "the disk is gone") {
		t.Errorf("close: %v", err)
	}
}

// A line that is not written executes nothing, and neither does a simulator that is closed.
func TestLedgerUnwritten(t *testing.T) {
	name := filepath.Join(t.TempDir(), "ledger")
	r := newRig(t, Config{LedgerFile: name})
	whole := r.sim.ledger.file
	readOnly, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	r.sim.ledger.file = readOnly
	status, body := r.call("POST", "/topups", topup("a", "0503971821"))
	r.want(500, "", status, body)
	r.sim.ledger.file = whole
	_ = readOnly.Close()
	if err := r.sim.Close(); err != nil {
		t.Error(err)
	}
	status, body = r.call("POST", "/topups", topup("b", "0503971822"))
	r.want(500, "", status, body)
	if n := len(r.sim.Executions()); n != 0 {
		t.Errorf("%d executions", n)
	}
	if text, _ := os.ReadFile(name); strings.Count(string(text), "\n") != 1 {
		t.Errorf("ledger:\n%s", text)
	}
}

func TestLedgerRemembersBurnedIdentifiers(t *testing.T) {
	name := filepath.Join(t.TempDir(), "ledger")
	for range 2 {
		r := newRig(t, Config{LedgerFile: name, BurnOnDecline: true})
		r.call("POST", "/topups", topup("a", "0503970080")) // the operator's decline
		status, body := r.call("POST", "/topups", topup("a", "0503971821"))
		r.want(400, "CUSTOM_IDENTIFIER_ALREADY_USED", status, body)
		if err := r.sim.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
