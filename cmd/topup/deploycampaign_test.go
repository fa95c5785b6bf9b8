package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A person loads campaigns as the operator, the worker pays them under its own role, and
// serve shows them: every command about campaigns goes through, and nobody meets a refusal.
func TestRolesCampaign(t *testing.T) {
	t.Parallel() // it mostly waits
	r := startRoles(t)
	simulator := startPlayMoney(t)
	worker := startDaemon(t, "worker", r.settings("worker", simulator), "topup", "worker")
	file := func(name string, rows ...string) string {
		file := filepath.Join(t.TempDir(), name)
		text := "phone,amount,currency,country,operator_id,external_id,not_before\n" + strings.Join(rows, "\n") + "\n"
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	topup := func(want int, args ...string) string { return r.topup(t, "operator", simulator, want, args...) }
	has := func(text, want string) {
		t.Helper()
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in:\n%s", want, text)
		}
	}

	// One that is paid: a row fails, a row needs a person.
	may := file("may.csv", "+2348035011234,500,local,NG,341,a,", "+2348035021234,500,local,NG,341,b,",
		"+2348035030035,500,local,NG,341,c,", "+2348035040047,500,local,NG,341,d,")
	has(topup(exitOK, "campaign", "check", may), "4 rows are good")
	topup(exitOutcome, "campaign", "load", may, "--campaign", "may", "--yes", "--expect-rows", "4", "--wait")
	has(topup(exitOK, "campaign", "status", "may"), "succeeded")
	has(topup(exitOK, "campaign", "results", "may"), "failed")
	has(topup(exitOK, "review", "list"), "may.d")
	has(topup(exitOK, "campaign", "load", may, "--campaign", "may", "--yes"), "nothing new")
	topup(exitOK, "campaign", "load", may, "--campaign", "may", "--yes", "--retry-failed")
	topup(exitConflict, "campaign", "load", file("may.csv", "+2348035011234,600,local,NG,341,a,"), "--campaign", "may", "--yes")
	topup(exitGuard, "campaign", "load", may, "--campaign", "copy", "--yes")

	// One that is stopped: its rows wait under a hold, and one for its time.
	topup(exitOK, "hold", "all")
	tomorrow := time.Now().Add(24 * time.Hour).UTC().Format(time.RFC3339)
	june := file("june.csv", "+2348036011234,500,local,NG,341,a,", "+2348036021234,500,local,NG,341,b,", "+2348036031234,500,local,NG,341,c,"+tomorrow)
	topup(exitOK, "campaign", "load", june, "--campaign", "june", "--yes")
	topup(exitOK, "campaign", "pause", "june")
	has(topup(exitOK, "campaign", "list"), "paused")
	topup(exitOK, "campaign", "resume", "june")
	campaignOverHTTP(t, r, simulator)
	topup(exitOK, "campaign", "cancel", "june")
	topup(exitOK, "campaign", "status", "june", "--watch")
	topup(exitOK, "campaign", "results", "june")
	topup(exitOK, "release", "all")

	// A hold of a campaign without a file, as the runbook has it.
	topup(exitOK, "hold", "campaign:shop")
	topup(exitOK, "release", "campaign:shop")
	has(topup(exitOK, "campaign", "list"), "cancelled")
	stop(t, worker)
	r.noneDenied(t)
}

// campaignOverHTTP reads the campaigns as a caller of serve does.
func campaignOverHTTP(t *testing.T, r *roles, simulator string) {
	t.Helper()
	serve := startServe(t, r, simulator)
	for path, want := range map[string]string{"/v1/campaigns": `"june"`, "/v1/campaigns/june": `"rows":3`, "/v1/topups?campaign=may": `"may.a"`} {
		if status, text := serve.ask(t, "GET", path, ""); status != 200 || !strings.Contains(text, want) {
			t.Errorf("%s: %d %s", path, status, text)
		}
	}
	stop(t, serve.daemon)
}
