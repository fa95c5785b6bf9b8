package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

const composeFile = "../../docker-compose.yml"

// composition is docker-compose.yml as far as it may be used here: what is not a
// field of these types is refused.
type composition struct {
	Name      string
	XHardened yaml.Node `yaml:"x-hardened"`
	XTopup    yaml.Node `yaml:"x-topup"`
	XReloadly yaml.Node `yaml:"x-reloadly"`
	Services  map[string]*service
	Networks  map[string]struct{ Internal bool }
	Volumes   map[string]struct{}
}

type service struct {
	Image string
	Build struct {
		Context, Dockerfile string
		Args                map[string]string
	}
	User                          string
	Profiles, Entrypoint, Command []string
	Environment                   map[string]string
	Volumes, Tmpfs                []string
	Networks, Ports               []string
	DependsOn                     map[string]struct {
		Condition string
		Required  *bool
	} `yaml:"depends_on"`
	ReadOnly    bool     `yaml:"read_only"`
	CapDrop     []string `yaml:"cap_drop"`
	SecurityOpt []string `yaml:"security_opt"`
	PidsLimit   int      `yaml:"pids_limit"`
	MemLimit    string   `yaml:"mem_limit"`
	Restart     string
	Logging     struct {
		Driver  string
		Options map[string]string
	}
	StopGracePeriod string `yaml:"stop_grace_period"`
	Healthcheck     struct {
		Test              []string
		Interval, Timeout string
		Retries           int
		StartPeriod       string `yaml:"start_period"`
	}
}

var composeVariable = regexp.MustCompile(`\$\{([A-Z_]+)(:[-?])?([^}]*)\}`)

// readComposition reads the file with these variables.
func readComposition(t *testing.T, variables map[string]string) *composition {
	t.Helper()
	text, err := os.ReadFile(composeFile)
	if err != nil {
		t.Fatal(err)
	}
	filled := composeVariable.ReplaceAllStringFunc(string(text), func(whole string) string {
		parts := composeVariable.FindStringSubmatch(whole)
		value := variables[parts[1]]
		switch {
		case value != "":
			return value
		case parts[2] == ":?":
			t.Errorf("docker-compose.yml needs %s", parts[1])
			return ""
		case parts[2] == ":-":
			return parts[3]
		default:
			t.Errorf("%s: has neither a value in case it is empty nor an error", whole)
			return ""
		}
	})
	if strings.Contains(filled, "${") {
		t.Error("a variable is written in another form than ${NAME:-…} and ${NAME:?…}")
	}
	var c composition
	decoder := yaml.NewDecoder(strings.NewReader(filled))
	decoder.KnownFields(true)
	if err := decoder.Decode(&c); err != nil {
		t.Fatal(err)
	}
	return &c
}

// exampleVariables are those of .env.example.
func exampleVariables(t *testing.T) map[string]string {
	t.Helper()
	file, err := os.Open("../../.env.example")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }() // it was only read
	values := map[string]string{}
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if name, value, found := strings.Cut(lines.Text(), "="); found && !strings.HasPrefix(name, "#") {
			values[name] = value
		}
	}
	return values
}

var anImage = regexp.MustCompile(`^[a-z0-9./-]+:[A-Za-z0-9._-]+@sha256:[0-9a-f]{64}$`)

// Each service is hardened, each image pinned, and nothing but serve is published.
func TestComposeRules(t *testing.T) {
	c := readComposition(t, exampleVariables(t))
	known := map[string]bool{}
	for _, row := range (&Settings{}).list() {
		known[row.env] = true
	}
	for name, s := range c.Services {
		wrong := func(format string, args ...any) { t.Errorf(name+": "+format, args...) }
		if s.Build.Context == "" && !anImage.MatchString(s.Image) || strings.Contains(s.Image, ":latest") {
			wrong("image %s is not pinned by digest", s.Image)
		}
		if s.Build.Context != "" {
			if _, err := os.Stat("../../" + s.Build.Dockerfile); err != nil {
				wrong("%v", err)
			}
		}
		if !s.ReadOnly || !slices.Equal(s.CapDrop, []string{"ALL"}) || !slices.Equal(s.SecurityOpt, []string{"no-new-privileges:true"}) || s.PidsLimit == 0 {
			wrong("is not hardened")
		}
		if s.User == "" && s.Build.Context == "" || strings.HasPrefix(s.User, "0") || s.User == "root" {
			wrong("runs as root")
		}
		if (name == "serve") != (len(s.Ports) > 0) {
			wrong("publishes %v", s.Ports)
		}
		for _, port := range s.Ports {
			if !strings.HasPrefix(port, "127.0.0.1:") {
				wrong("%s is published beyond loopback", port)
			}
		}
		if s.Restart != "no" && len(s.Healthcheck.Test) == 0 {
			wrong("stays, and nobody sees whether it is well")
		}
		if s.Logging.Options["max-size"] == "" {
			wrong("its log grows without end")
		}
		for _, network := range s.Networks {
			if _, ok := c.Networks[network]; !ok {
				wrong("network %s is nowhere", network)
			}
		}
		for _, volume := range s.Volumes {
			source, _, _ := strings.Cut(volume, ":")
			_, named := c.Volumes[source]
			_, err := os.Stat("../../" + source)
			if !named && (err != nil || !strings.HasSuffix(volume, ":ro")) {
				wrong("volume %s is neither named nor a file that cannot be written to", volume)
			}
		}
		for other, needs := range s.DependsOn {
			on := c.Services[other]
			if on == nil || needs.Condition != "service_healthy" || len(on.Healthcheck.Test) == 0 {
				wrong("waits for %s without its health", other)
				continue
			}
			if optional := needs.Required != nil && !*needs.Required; optional != (len(on.Profiles) > 0) {
				wrong("waits for %s, which is not always there", other)
			}
		}
		if name != "redis" {
			for variable := range s.Environment {
				if !known[variable] {
					wrong("%s is no setting", variable)
				}
			}
		}
	}
	if !slices.Equal(c.Services["redis"].Networks, []string{"inside"}) || !c.Networks["inside"].Internal {
		t.Error("redis can be reached, or reaches others")
	}
	if grace, err := time.ParseDuration(c.Services["worker"].StopGracePeriod); err != nil || grace < 150*time.Second {
		t.Errorf("worker: stop_grace_period %v, %v", grace, err)
	}
	// With real credentials there is no simulator, neither started nor addressed.
	own := exampleVariables(t)
	for _, name := range []string{"COMPOSE_PROFILES", "RELOADLY_AUTH_URL", "RELOADLY_API_URL"} {
		if own[name] == "" {
			t.Errorf(".env.example has no %s", name)
		}
		delete(own, name)
	}
	c = readComposition(t, own)
	if len(c.Services["simulator"].Profiles) == 0 {
		t.Error("the simulator is always started")
	}
	for name, s := range c.Services {
		if s.Environment["RELOADLY_AUTH_URL"] != "" || s.Environment["RELOADLY_API_URL"] != "" {
			t.Errorf("%s would still ask the simulator", name)
		}
	}
}

// standIn runs a service as a plain process: its folders are in a temporary one, its
// ports are free ones of loopback.
type standIn struct {
	*service
	name, root string
	ports      map[string]string // "redis:6379" → "127.0.0.1:41234"
}

func (s *standIn) text(text string) string {
	for _, folder := range []string{"/etc/topup", "/data", "/run/redis"} {
		if text == folder || strings.HasPrefix(text, folder+"/") {
			return s.root + text
		}
	}
	if text == "/usr/local/bin/topup" {
		return "topup"
	}
	for address, free := range s.ports {
		host, port, _ := strings.Cut(address, ":")
		text = strings.ReplaceAll(text, address, free)
		if host != s.name {
			continue
		}
		if text == ":"+port {
			return free
		}
		text = strings.ReplaceAll(text, "127.0.0.1:"+port, free)
	}
	return text
}

func (s *standIn) texts(all []string) []string {
	var texts []string
	for _, text := range all {
		texts = append(texts, s.text(text))
	}
	return texts
}

// prepare makes the folders that the container would have.
func (s *standIn) prepare(t *testing.T) {
	t.Helper()
	for _, mount := range append(slices.Clone(s.Volumes), s.Tmpfs...) {
		parts := strings.Split(mount, ":")
		target := parts[0]
		if strings.HasPrefix(parts[1], "/") {
			target = parts[1]
		}
		if err := os.MkdirAll(filepath.Join(s.root, filepath.Dir(target)), 0o700); err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(mount, "./") {
			if err := os.MkdirAll(filepath.Join(s.root, target), 0o700); err != nil {
				t.Fatal(err)
			}
			continue
		}
		file, err := filepath.Abs("../../" + parts[0])
		if err == nil {
			err = os.Symlink(file, filepath.Join(s.root, target))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func (s *standIn) environment() []string {
	var env []string
	for name, value := range s.Environment {
		env = append(env, name+"="+s.text(value))
	}
	return env
}

// command is entrypoint and command.
func (s *standIn) command(args []string) []string {
	entry := s.Entrypoint
	if len(entry) == 0 {
		entry = []string{"topup"} // the Dockerfile's
	}
	all := append(s.texts(entry), s.texts(args)...)
	if s.name == "redis" {
		_, port, _ := strings.Cut(s.ports["redis:6379"], ":")
		for i := range all { // all addresses become loopback's
			all[i] = strings.ReplaceAll(strings.Replace(all[i], "-::*", "-::1", 1), "*", "127.0.0.1")
		}
		all = append(all, "--port", port)
	}
	return all
}

// healthy runs the service's own health check once.
func (s *standIn) healthy(t *testing.T) bool {
	t.Helper()
	var args []string
	switch check := s.Healthcheck.Test; check[0] {
	case "CMD":
		args = s.texts(check[1:])
	case "CMD-SHELL":
		_, port, _ := strings.Cut(s.ports["redis:6379"], ":")
		args = []string{"sh", "-c", strings.Replace(check[1], "redis-cli", "redis-cli -p "+port, 1)}
	default:
		t.Fatalf("%s: health check %q", s.name, check)
	}
	ctx, cancel := context.WithTimeout(t.Context(), busy*30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH")}, s.environment()...)
	return cmd.Run() == nil
}

// The services of docker-compose.yml, started in their order as plain processes with
// their own commands, environment and health checks, take a top-up over HTTP and pay
// it; then they end in order within their grace.
func TestComposeRuns(t *testing.T) {
	t.Parallel() // it mostly waits
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("redis-server is not on PATH: `make redis` installs it")
	}
	c := readComposition(t, exampleVariables(t))
	ports := map[string]string{}
	for _, address := range []string{"redis:6379", "serve:8080", "serve:9090", "worker:9090", "simulator:8090"} {
		ports[address] = "127.0.0.1:" + freePort(t)
	}
	services := map[string]*standIn{}
	for name, s := range c.Services {
		services[name] = &standIn{service: s, name: name, root: t.TempDir(), ports: ports}
		services[name].prepare(t)
	}
	var order []string
	started := map[string]*daemon{}
	var start func(name string)
	start = func(name string) {
		if started[name] != nil {
			return
		}
		s := services[name]
		for other := range s.DependsOn {
			start(other)
		}
		started[name] = startDaemon(t, name, s.environment(), s.command(s.Command)...)
		order = append(order, name)
		if len(s.Healthcheck.Test) > 0 {
			eventually(t, time.Minute, name+" is healthy", func() bool {
				if is, err := started[name].ended(); is {
					t.Fatalf("%s has ended: %v\n%s", name, err, started[name].out.text())
				}
				return s.healthy(t)
			})
		}
	}
	start("redis")
	key := strings.TrimSpace(services["topup"].run(t, "key", "create", "shop"))
	for _, name := range []string{"simulator", "worker", "serve"} {
		start(name)
	}
	if order[0] != "redis" || slices.Index(order, "simulator") > slices.Index(order, "worker") {
		t.Errorf("started in the order %v", order)
	}

	result := postTopUp(t, "http://"+ports["serve:8080"], key)
	if result.State != "succeeded" || result.MoneyMoved != "yes" {
		t.Errorf("%+v", result)
	}
	if out := services["topup"].run(t, services["topup"].Command...); !strings.Contains(out, "1 running") {
		t.Error(out)
	}
	const rows = "phone,amount,currency,country,operator_id,external_id\n+2348033341234,500,local,NG,341,a\n"
	services["topup"].read(t, rows, "campaign", "check", "-")
	if out := services["topup"].read(t, rows, "campaign", "load", "-", "--campaign", "may", "--yes", "--expect-rows", "1", "--wait"); !strings.Contains(out, "500 NGN") {
		t.Error(out)
	}
	for _, name := range []string{"worker", "serve"} { // as the alerts see them
		eventually(t, 30*time.Second, name+" shows its figures", func() bool { return strings.Contains(scrape(ports[name+":9090"]), "\ntopup_redis_up 1\n") })
	}
	for _, name := range []string{"serve", "worker", "simulator", "redis"} {
		grace, err := time.ParseDuration(services[name].StopGracePeriod)
		if err != nil {
			t.Fatal(err)
		}
		if err := started[name].cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		eventually(t, grace, name+" has ended", func() bool { is, _ := started[name].ended(); return is })
		if _, err := started[name].ended(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, p := range started {
		for _, secret := range []string{"made-up", "demo-secret", key} {
			if secret == "demo-secret" && name == "simulator" {
				continue // which prints its made-up credentials
			}
			if strings.Contains(p.out.text(), secret) {
				t.Errorf("the log of %s has %q", name, secret)
			}
		}
	}
}

// run runs the service once with other arguments and wants it to succeed, as
// docker compose run --rm does.
func (s *standIn) run(t *testing.T, args ...string) string {
	t.Helper()
	return s.read(t, "", args...)
}

// read is run with this on its stdin.
func (s *standIn) read(t *testing.T, in string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), busy*2*time.Minute)
	defer cancel()
	all := s.command(args)
	cmd := exec.CommandContext(ctx, all[0], all[1:]...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH")}, s.environment()...)
	cmd.Stdin = strings.NewReader(in)
	out, err := cmd.Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		t.Fatalf("topup %v: %v\n%s%s", args, err, out, exit.Stderr)
	} else if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

type topUpAnswer struct{ ID, State, Explanation, MoneyMoved string }

// postTopUp sends the request of the quick start to serve and waits for its result.
func postTopUp(t *testing.T, url, key string) topUpAnswer {
	t.Helper()
	const job = `{"operatorId": 341, "amount": 500, "customIdentifier": "composed", "recipientPhone": {"countryCode": "NG", "number": "8033331234"}}`
	send := func(key string) (int, string) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/v1/topups?wait=60s", strings.NewReader(job))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		if key != "" {
			req.Header.Set("Authorization", "Bearer "+key)
		}
		res, err := (&http.Client{Timeout: busy * 90 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }()
		text, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, string(text)
	}
	if status, text := send(""); status != http.StatusUnauthorized {
		t.Errorf("without a key: %d %s", status, text)
	}
	status, text := send(key)
	if status != http.StatusOK && status != http.StatusAccepted {
		t.Fatalf("%d %s", status, text)
	}
	var answer topUpAnswer
	if err := json.Unmarshal([]byte(text), &answer); err != nil {
		t.Fatal(fmt.Errorf("%w: %s", err, text))
	}
	return answer
}
