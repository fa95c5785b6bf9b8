package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// directives reads a unit: section.name → its values, in their order.
func directives(t *testing.T, name string) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(deployFolder, "systemd", name))
	if err != nil {
		t.Fatal(err)
	}
	all, section := map[string][]string{}, ""
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		name, value, found := strings.Cut(line, "=")
		switch {
		case line == "" || line[0] == '#':
		case line[0] == '[' && line[len(line)-1] == ']':
			section = line[1 : len(line)-1]
		case found && name != "" && !strings.ContainsAny(name, " \t"):
			all[section+"."+name] = append(all[section+"."+name], value)
		default:
			t.Errorf("%s: %q is neither a section nor NAME=VALUE", name, line)
		}
	}
	return all
}

var units = []string{"topup-worker.service", "topup-serve.service"}

// Each unit is hardened, has its secrets from files, and waits for what is under way.
func TestSystemdRules(t *testing.T) {
	for _, name := range units {
		all := directives(t, name)
		want := map[string]string{
			"Unit.StartLimitIntervalSec": "0", "Install.WantedBy": "multi-user.target", "Service.Restart": "always",
			"Service.KillSignal": "SIGTERM", "Service.KillMode": "mixed", "Service.LimitCORE": "0", "Service.UMask": "0077",
			"Service.ProtectSystem": "strict", "Service.CapabilityBoundingSet": "", "Service.AmbientCapabilities": "",
			"Service.RestrictAddressFamilies": "AF_INET AF_INET6", "Service.SystemCallArchitectures": "native",
			"Service.ProtectProc": "invisible", "Service.ProcSubset": "pid", "Service.TimeoutStopSec": "30",
		}
		if name == "topup-worker.service" {
			want["Service.TimeoutStopSec"] = "150"
		}
		for _, yes := range []string{
			"DynamicUser", "ProtectHome", "PrivateTmp", "PrivateDevices", "PrivateUsers", "NoNewPrivileges", "ProtectKernelTunables",
			"ProtectKernelModules", "ProtectKernelLogs", "ProtectControlGroups", "ProtectClock", "ProtectHostname", "RestrictNamespaces",
			"RestrictRealtime", "RestrictSUIDSGID", "LockPersonality", "MemoryDenyWriteExecute", "RemoveIPC",
		} {
			want["Service."+yes] = "yes"
		}
		for directive, value := range want {
			if !slices.Equal(all[directive], []string{value}) {
				t.Errorf("%s: %s is %q, want %q", name, directive, all[directive], value)
			}
		}
		known := map[string]setting{}
		for _, row := range (&Settings{}).list() {
			known[row.env] = row
		}
		for _, variable := range all["Service.Environment"] {
			variable, value, _ := strings.Cut(variable, "=")
			row, ok := known[variable]
			if !ok || row.secret {
				t.Errorf("%s: %s is no setting, or a secret", name, variable)
			}
			if credential, isFile := strings.CutPrefix(value, "%d/"); isFile {
				loaded := credential + ":/etc/topup/credentials/" + credential
				if !slices.Contains(all["Service.LoadCredential"], loaded) {
					t.Errorf("%s: %s is not loaded", name, credential)
				}
			} else if strings.HasSuffix(variable, "_FILE") {
				t.Errorf("%s: %s is not a credential", name, variable)
			}
		}
	}
}

// systemd itself has nothing to say about the units, where it is there.
func TestSystemdVerify(t *testing.T) {
	systemd, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Log("systemd-analyze is not on PATH: TestSystemdRules alone looked at the units")
		return
	}
	program, err := exec.LookPath("topup")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range units {
		text, err := os.ReadFile(filepath.Join(deployFolder, "systemd", name))
		if err != nil {
			t.Fatal(err)
		}
		unit := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(unit, []byte(strings.ReplaceAll(string(text), "/usr/local/bin/topup", program)), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.CommandContext(t.Context(), systemd, "verify", unit).CombinedOutput(); err != nil || strings.Contains(string(out), name) {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
		// The exposure is of 0 to 10, and given in tenths.
		if out, err := exec.CommandContext(t.Context(), systemd, "security", "--offline=true", "--threshold=15", unit).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}

// The units' own commands and environment, with credentials in a folder as systemd
// gives them, run against a Redis with its users.
func TestSystemdRuns(t *testing.T) {
	t.Parallel() // it mostly waits
	r := startRoles(t)
	credentials := t.TempDir()
	for name, from := range map[string]string{"redis-worker": "worker", "redis-serve": "serve"} {
		text, err := os.ReadFile(filepath.Join(r.passwords, from))
		if err == nil {
			err = os.WriteFile(filepath.Join(credentials, name), text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{"reloadly-client-id": "demo-client\n", "reloadly-client-secret": "demo-secret\n"} {
		if err := os.WriteFile(filepath.Join(credentials, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	simulator := "127.0.0.1:" + freePort(t)
	startDaemon(t, "simulator", nil, "topup", "sandbox", "--listen", simulator)
	eventually(t, 30*time.Second, "the simulator answers", func() bool { return askHealth(t.Context(), "http://"+simulator+"/sandbox/livez") == nil })
	key := keyOf(t, r, "http://"+simulator)

	serve := "127.0.0.1:" + freePort(t)
	place := strings.NewReplacer("%d", credentials, "127.0.0.1:6379", r.addr, "127.0.0.1:8080", serve)
	var started []*daemon
	for _, name := range units {
		all := directives(t, name)
		env := []string{"RELOADLY_AUTH_URL=http://" + simulator, "RELOADLY_API_URL=http://" + simulator} // worker.env
		for _, variable := range all["Service.Environment"] {
			env = append(env, place.Replace(variable))
		}
		words := strings.Fields(all["Service.ExecStart"][0])
		words[0] = filepath.Base(words[0])
		started = append(started, startDaemon(t, name, env, words...))
	}
	eventually(t, 30*time.Second, "serve is ready", func() bool { return askHealth(t.Context(), "http://"+serve+"/readyz") == nil })
	if answer := postTopUp(t, "http://"+serve, key); answer.State != "succeeded" {
		t.Errorf("%+v", answer)
	}
	for _, p := range started {
		if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		eventually(t, time.Minute, p.name+" has ended", func() bool { is, err := p.ended(); return is && err == nil })
	}
}
