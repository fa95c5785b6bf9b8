package main

import (
	"strings"
	"testing"
)

// A Redis whose user default has no rights forgets what was paid when it restarts, before
// 8.4.4: doctor says so beforehand, and nothing of the Redis of deploy/.
func TestDoctorSeesWhatWillBeForgotten(t *testing.T) {
	t.Parallel()
	r := startRoles(t)
	simulator := startPlayMoney(t)
	startDaemon(t, "worker", r.settings("worker", simulator), "topup", "worker")
	r.topup(t, "operator", simulator, exitOK, "send", "--id", "paid", "--operator", "341", "--amount", "500", "--country", "NG", "--number", "8031231234", "--wait")
	const says = "its user default has not all rights"
	if out := r.topup(t, "operator", simulator, exitOK, "doctor"); strings.Contains(out, says) {
		t.Error(out)
	}
	for _, rules := range [][]any{{"-@all"}, {"+@all", "resetkeys"}} {
		if err := r.admin.Do(t.Context(), append([]any{"ACL", "SETUSER", "default"}, rules...)...).Err(); err != nil {
			t.Fatal(err)
		}
		version := r.admin.InfoMap(t.Context(), "server").Item("Server", "redis_version")
		if out := r.topup(t, "operator", simulator, exitOK, "doctor"); strings.Contains(out, says) == replaysAll(version) {
			t.Errorf("%v: %s", rules, out)
		}
	}
	// One who may not ask is told nothing, as on a managed Redis.
	if out := r.topup(t, "worker", simulator, exitOK, "doctor"); strings.Contains(out, says) {
		t.Error(out)
	}
	for version, want := range map[string]bool{
		"7.0.15": false, "7.4.11": false, "8.2.9": false, "8.4.3": false, "8.4.4": true, "8.4.10": true, "8.6.0": true, "9.0.0": true, "": false, "x": false,
	} {
		if replaysAll(version) != want {
			t.Errorf("%q: not %v", version, want)
		}
	}
}
