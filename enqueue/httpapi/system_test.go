package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/topup/enqueue"
	"example.com/topup/reloadly"
	"example.com/topup/reloadly/sandbox"
	"example.com/topup/worker"
)

// system is a world with a worker and a simulator behind it, on a real Redis.
type system struct {
	*world
	sim *sandbox.Simulator
	// tokens are those that the simulator was asked with.
	mu     sync.Mutex
	tokens []string
}

const timeScale = 1.0 / 50

func newSystem(t *testing.T, change func(*Config)) *system {
	t.Helper()
	sim, err := sandbox.New(sandbox.Config{TimeScale: timeScale})
	if err != nil {
		t.Fatal(err)
	}
	s := &system{sim: sim}
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
			s.mu.Lock()
			s.tokens = append(s.tokens, token)
			s.mu.Unlock()
		}
		sim.ServeHTTP(w, r)
	}))
	rdb := realRedis(t, "--rdbcompression", "no") // so that a dump shows what is in it
	ledger := worker.ScaleLedger(enqueue.LedgerConfig{}, timeScale)
	client, err := reloadly.New(reloadly.Config{
		ClientID: "canary-id", ClientSecret: "canary-secret", AuthURL: provider.URL, APIURL: provider.URL, PostTimeout: ledger.PostTimeout,
	})
	if err != nil {
		t.Fatal(err)
	}
	made, err := worker.New(worker.Config{
		Redis: rdb, Reloadly: client, Ledger: ledger, Scale: timeScale, Servers: 1, NumberKey: []byte("number key"), Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- made.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		client.Close()
		provider.Close()
		_ = sim.Close()
	})
	s.world = serve(t, rdb, "", change)
	return s
}

// paid is how often an identifier was executed.
func (s *system) paid(identifier string) int {
	n := 0
	for _, e := range s.sim.Paid() {
		if strings.HasPrefix(e.CustomIdentifier, identifier) {
			n++
		}
	}
	return n
}

// need skips a test of a program that this machine has not.
func need(t *testing.T, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Skip(program + " is not on PATH")
	}
	return path
}

// runs a program and returns what it prints.
func runs(t *testing.T, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s%s", name, err, &out, &errs)
	}
	return out.String()
}

// The examples get their answers, with nothing changed in them but address and key.
func TestExamples(t *testing.T) {
	s := newSystem(t, nil)
	key := strings.TrimPrefix(s.key(Key{Name: "shop", Scopes: []Scope{Submit, Read}}), "Bearer ")
	example := func(name string) string {
		text, err := os.ReadFile(filepath.Join("examples", name))
		if err != nil {
			t.Fatal(err)
		}
		changed := strings.NewReplacer("http://127.0.0.1:8080", s.url, "YOUR_CLIENT_ID", "shop", "YOUR_CLIENT_SECRET", key).Replace(string(text))
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(changed), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	// Each has a number of its own: two top-ups of one number are two minutes apart.
	for _, test := range []struct{ file, program, identifier, number string }{
		{"quickstart.py", "python3", "airtime-top-up", "971503971821"},
		{"quickstart.sh", "sh", "airtime-top-up-curl", "971503971822"},
		{"quickstart.mjs", "node", "airtime-top-up-node", "971503971823"},
	} {
		t.Run(test.file, func(t *testing.T) {
			if test.program == "sh" {
				need(t, "curl")
			}
			out := runs(t, need(t, test.program), example(test.file))
			decoder := json.NewDecoder(strings.NewReader(out))
			answers := 0
			for decoder.More() {
				var got map[string]any
				if err := decoder.Decode(&got); err != nil {
					t.Fatalf("%v: %s", err, out)
				}
				if test.file != "quickstart.py" {
					if got["state"] != "succeeded" || got["id"] != test.identifier {
						t.Fatal(out)
					}
					got, _ = got["transaction"].(map[string]any)
				}
				balance, _ := got["balanceInfo"].(map[string]any)
				if got["status"] != "SUCCESSFUL" || got["operatorName"] != "Etisalat United Arab Emirates" || fmt.Sprint(got["requestedAmount"]) != "832" ||
					fmt.Sprint(got["deliveredAmount"]) != "5.6" || fmt.Sprint(balance["cost"]) != "790.4" || got["recipientPhone"] != test.number {
					t.Fatal(out)
				}
				answers++
			}
			if answers == 0 {
				t.Fatal("no answer")
			}
		})
	}
	for _, e := range []string{"airtime-top-up", "airtime-top-up-curl", "airtime-top-up-node"} {
		n := 0
		for _, paid := range s.sim.Paid() {
			if paid.CustomIdentifier == e {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%s was paid %d times", e, n)
		}
	}
}

const repeatPy = `
import sys, threading, urllib.request
url, body, statuses = sys.argv[1], sys.argv[2].encode(), []
def ask():
    request = urllib.request.Request(url, data=body, headers={"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        answer.read()
        statuses.append(answer.status)
threads = [threading.Thread(target=ask) for _ in range(100)]
for t in threads: t.start()
for t in threads: t.join()
print(*statuses)
`

// A hundred repeats at once from each of three clients: one job, one execution.
func TestRepeatsAreOneJob(t *testing.T) {
	python, curl := need(t, "python3"), need(t, "curl")
	s := newSystem(t, nil)
	var mu sync.Mutex
	statuses := map[string]int{}
	count := func(words ...string) {
		mu.Lock()
		defer mu.Unlock()
		for _, word := range words {
			statuses[word]++
		}
	}
	var group sync.WaitGroup
	for range 100 {
		group.Go(func() {
			a, err := s.try("POST", "/v1/topups", quickStart)
			if err != nil {
				t.Error(err)
			}
			count(fmt.Sprint(a.status))
		})
	}
	group.Go(func() { count(strings.Fields(runs(t, python, "-c", repeatPy, s.url+"/v1/topups", quickStart))...) })
	group.Go(func() {
		count(strings.Fields(runs(t, curl, "--silent", "--parallel", "--parallel-immediate", "--parallel-max", "100", "--output", "/dev/null",
			"--write-out", "%{http_code}\n", "--header", "Content-Type: application/json", "--data", quickStart, s.url+"/v1/topups?n=[1-100]"))...)
	})
	group.Wait()
	if statuses["202"] != 1 || statuses["200"] != 299 {
		t.Errorf("%v, want one 202 and 299 times 200", statuses)
	}
	if r := s.result(s.ask("GET", "/v1/topups/airtime-top-up?wait=30s", ""), 200); r.State != enqueue.Succeeded || r.Sends != 1 {
		t.Errorf("%+v", r)
	}
	if s.jobs() != 1 || s.paid("airtime-top-up") != 1 {
		t.Errorf("%d jobs, paid %d times", s.jobs(), s.paid("airtime-top-up"))
	}
}

// Reloadly's notification settles a job long before its look-up's turn.
func TestNotificationSettles(t *testing.T) {
	const secret = "canary-webhook-secret"
	s := newSystem(t, func(c *Config) { c.WebhookSecret = secret })
	s.sim.Script(func(a sandbox.Attempt) string {
		if a.Number == 1 {
			return "drop-after"
		}
		return ""
	})
	s.result(s.ask("POST", "/v1/topups", quickStart), 202)
	eventually(t, "its fate is not unknown", func() bool {
		r, err := s.client.Get(context.Background(), "airtime-top-up")
		return err == nil && (r.State == enqueue.Unknown || r.State == enqueue.Succeeded)
	})
	body := `{"type":"airtime_transaction.status","data":{"customIdentifier":"airtime-top-up","status":"FAILED"}}` // it is not believed
	if a := s.notify(secret, body, time.Now(), nil); a.status != 200 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if r := s.result(s.ask("GET", "/v1/topups/airtime-top-up?wait=30s", ""), 200); r.State != enqueue.Succeeded || s.paid("airtime-top-up") != 1 {
		t.Errorf("%+v", r)
	}
}

// No secret, no token and no whole phone number stands in an answer that is not the
// result itself, in the log, or in Redis outside of the ledger's own record.
func TestNoSecretAndNoNumberLeaks(t *testing.T) {
	const webhookSecret = "canary-webhook-secret"
	s := newSystem(t, func(c *Config) { c.WebhookSecret = webhookSecret })
	key := s.key(Key{Name: "shop", Scopes: Scopes(), PerSecond: 10_000})
	stranger := "Bearer topup_canary-stranger-key-canary-stranger-key-canar"
	faults := []string{"", "drop-after", "invalid-recipient-phone", "some-new-code", "phone-recently-recharged"}
	s.sim.Script(func(a sandbox.Attempt) string {
		var n int
		if _, err := fmt.Sscanf(a.Identifier, "c%d", &n); err == nil && a.Number == 1 && n < len(faults) {
			return faults[n]
		}
		return ""
	})
	number := func(i int) string { return fmt.Sprintf("050397%04d", 8200+i) }
	job := func(i int) string {
		return strings.NewReplacer("airtime-top-up", fmt.Sprintf("c%d", i), "0503971821", number(i), "jeanb@reloadly.com", "canary@example.com").Replace(quickStart)
	}
	type named struct {
		name string
		answer
		result bool // it may hold the recipient's number: it is Reloadly's own answer
	}
	var answers []named
	ask := func(result bool, method, path, body string, headers ...string) {
		answers = append(answers, named{method + " " + path, s.ask(method, path, body, headers...), result})
	}
	auth := []string{"Authorization", key}
	for i := range faults {
		ask(false, "POST", "/v1/topups", job(i), auth...)
		ask(false, "POST", "/v1/topups", strings.Replace(job(i), number(i), number(i+50), 1), auth...) // a conflict
		ask(false, "POST", "/v1/topups", strings.Replace(job(i), number(i), number(i)+"x", 1), auth...)
		ask(false, "POST", "/v1/topups", strings.Replace(job(i), `"amount"`, `"canary":"`+number(i)+`","amount"`, 1), auth...)
		ask(false, "POST", "/v1/topups", job(i)+number(i), auth...)
		ask(false, "POST", "/v1/topups", job(i), "Authorization", stranger)
		ask(false, "GET", "/v1/topups?cursor="+number(i), "", auth...)
		ask(false, "GET", "/v1/topups/x?wait="+number(i), "", auth...)
		ask(false, "POST", "/oauth/token", fmt.Sprintf(`{"client_id":"shop","client_secret":%q}`, stranger[7:]))
		_ = s.notify(webhookSecret, `{"data":{"customIdentifier":"`+fmt.Sprintf("c%d", i)+`","recipientPhone":"`+number(i)+`"}}`, time.Now(), nil)
		_ = s.notify("wrong", `{}`, time.Now(), nil)
	}
	for i := range faults {
		ask(true, "GET", fmt.Sprintf("/v1/topups/c%d?wait=30s", i), "", auth...)
		ask(true, "POST", "/topups", job(i), auth...)
		ask(true, "POST", "/v1/topups/c"+fmt.Sprint(i)+"/cancel", "", auth...)
	}
	ask(true, "GET", "/v1/topups", "", auth...)
	s.mu.Lock()
	secrets := append([]string{"canary-secret", webhookSecret, strings.TrimPrefix(key, "Bearer "), stranger[7:]}, s.tokens...)
	s.mu.Unlock()
	if len(s.tokens) == 0 {
		t.Error("no token was heard: the scan shows nothing")
	}
	scan := func(place, text string, numbersToo bool) {
		t.Helper()
		for _, secret := range secrets {
			if strings.Contains(text, secret) {
				t.Errorf("a secret or token in %s: %s", place, text)
			}
		}
		for i := range len(faults) + 50 {
			if numbersToo && strings.Contains(text, number(i)[1:]) {
				t.Errorf("a whole phone number in %s: %s", place, text)
			}
		}
		if strings.Contains(text, "canary@example.com") && numbersToo {
			t.Errorf("an e-mail address in %s: %s", place, text)
		}
	}
	seen := map[int]bool{}
	for _, a := range answers {
		seen[a.status] = true
		scan(a.name, fmt.Sprint(string(a.body), a.header), !a.result)
	}
	for _, status := range []int{200, 202, 400, 401, 409} {
		if !seen[status] {
			t.Errorf("no answer was %d: the scan shows little", status)
		}
	}
	if s.log.String() == "" {
		t.Error("nothing was logged")
	}
	scan("the log", s.log.String(), true)
	ctx := context.Background()
	keys := s.rdb.Scan(ctx, 0, "*", 1000).Iterator()
	for keys.Next(ctx) {
		name := keys.Val()
		if strings.Contains(name, "}:job:") && strings.HasPrefix(name, "topup:{s") {
			continue
		}
		dumped, err := s.rdb.Dump(ctx, name).Result()
		if err == nil {
			scan("Redis, "+name, name+dumped, true)
		}
	}
}
