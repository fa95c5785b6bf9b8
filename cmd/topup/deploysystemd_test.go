package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
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

var units = []string{"topup-redis.service", "topup-worker.service", "topup-serve.service"}

// Each unit is hardened, has its secrets from files, and waits for what is under way.
func TestSystemdRules(t *testing.T) {
	for _, name := range units {
		all := directives(t, name)
		want := map[string]string{
			"Unit.StartLimitIntervalSec": "0", "Install.WantedBy": "multi-user.target", "Service.Restart": "always",
			"Service.KillSignal": "SIGTERM", "Service.KillMode": "mixed", "Service.LimitCORE": "0", "Service.UMask": "0077",
			"Service.ProtectSystem": "strict", "Service.CapabilityBoundingSet": "", "Service.AmbientCapabilities": "",
			"Service.RestrictAddressFamilies": "AF_INET AF_INET6", "Service.SystemCallArchitectures": "native",
			"Service.ProtectProc": "invisible", "Service.ProcSubset": "pid",
			"Service.TimeoutStopSec": map[string]string{"topup-redis.service": "60", "topup-worker.service": "150", "topup-serve.service": "30"}[name],
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
		if name == "topup-redis.service" {
			for _, user := range []string{"worker", "serve", "operator", "admin"} { // what the other units and the runbook log in as
				if !slices.Contains(all["Service.LoadCredential"], user+":/etc/topup/credentials/redis-"+user) {
					t.Errorf("%s: %s cannot log in", name, user)
				}
			}
			continue
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
// gives them: Redis with its users, and a top-up that is paid.
func TestSystemdRuns(t *testing.T) {
	t.Parallel() // it mostly waits
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("redis-server is not on PATH: `make redis` installs it")
	}
	dir, port, credentials := t.TempDir(), freePort(t), t.TempDir()
	r := &roles{addr: "127.0.0.1:" + port, dir: dir, passwords: credentials}
	r.admin = r.client(t, "admin")
	simulator := startPlayMoney(t)
	secrets := map[string]string{"reloadly-client-id": "demo-client\n", "reloadly-client-secret": "demo-secret\n"}
	for _, user := range []string{"worker", "serve", "operator", "admin"} {
		secrets[user] = "canary " + user + "\n" // to Redis
		secrets["redis-"+user] = secrets[user]  // to the others
	}
	for name, text := range secrets {
		if err := os.WriteFile(filepath.Join(credentials, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	lib, err := filepath.Abs(deployFolder)
	if err != nil {
		t.Fatal(err)
	}
	serve, figures := "127.0.0.1:"+freePort(t), []string{"127.0.0.1:" + freePort(t), "127.0.0.1:" + freePort(t)}
	place := strings.NewReplacer("%d", credentials, "127.0.0.1:6379", r.addr, "127.0.0.1:8080", serve, "127.0.0.1:9464", figures[0], "127.0.0.1:9465", figures[1],
		"/usr/local/bin/topup", "topup", "/usr/local/lib/topup", lib, "/var/lib/topup-redis", dir, "/run/topup-redis", filepath.Join(dir, "run"))
	var started []*daemon
	var key string
	for _, name := range units {
		all := directives(t, name)
		env := []string{"RELOADLY_AUTH_URL=" + simulator, "RELOADLY_API_URL=" + simulator} // worker.env
		for _, variable := range all["Service.Environment"] {
			env = append(env, place.Replace(variable))
		}
		words := strings.Fields(place.Replace(all["Service.ExecStart"][0]))
		if name == "topup-redis.service" {
			words = append(words, "--port", port)
		}
		started = append(started, startDaemon(t, name, env, words...))
		if name == "topup-redis.service" {
			eventually(t, 30*time.Second, "redis answers", func() bool { return r.admin.Ping(t.Context()).Err() == nil })
			key = keyOf(t, r, simulator)
		}
	}
	for _, address := range []string{serve + "/readyz", figures[0] + "/metrics", figures[1] + "/metrics"} {
		eventually(t, 30*time.Second, address+" is well", func() bool { return askHealth(t.Context(), "http://"+address) == nil })
	}
	if answer := postTopUp(t, "http://"+serve, key); answer.State != "succeeded" {
		t.Errorf("%+v", answer)
	}
	slices.Reverse(started)
	for _, p := range started {
		stop(t, p)
	}
}
