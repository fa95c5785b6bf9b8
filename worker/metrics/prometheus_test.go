package metrics_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const (
	rulesFile     = "../../deploy/prometheus/topup.rules.yml"
	rulesTestFile = "../../deploy/prometheus/topup.rules.test.yml"
	dashboardFile = "../../deploy/grafana/topup.json"
)

// The alerts do what their unit tests say.
func TestRules(t *testing.T) {
	output(t, "promtool", "check", "rules", "--lint-fatal", rulesFile)
	output(t, "promtool", "test", "rules", rulesTestFile)
}

// prometheus is a real one that scrapes a run.
type prometheus struct {
	t    *testing.T
	base string
}

func startPrometheus(t *testing.T, target string) *prometheus {
	t.Helper()
	program := tool(t, "prometheus")
	rules, err := filepath.Abs(rulesFile)
	if err != nil {
		t.Fatal(err)
	}
	dir, addr := t.TempDir(), freeAddr(t)
	config := filepath.Join(dir, "prometheus.yml")
	text := fmt.Sprintf("global: {scrape_interval: 200ms, scrape_timeout: 200ms, evaluation_interval: 200ms}\nrule_files: [%q]\n"+
		"scrape_configs: [{job_name: topup, static_configs: [{targets: [%q]}]}]\n", rules, target)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "--config.file="+config, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+addr, "--log.level=warn")
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // killed
		http.DefaultClient.CloseIdleConnections()
	})
	p := &prometheus{t, "http://" + addr + "/api/v1/"}
	eventually(t, "Prometheus scrapes", func() bool {
		res, err := http.Get(p.base + "query?query=" + url.QueryEscape("count_over_time(up[1m]) > 2"))
		if err != nil {
			return false
		}
		defer func() { _ = res.Body.Close() }()
		body, _ := io.ReadAll(res.Body)
		return strings.Contains(string(body), `"job":"topup"`)
	})
	return p
}

// get asks Prometheus' API; what it answers with is read into data.
func (p *prometheus) get(path string, query url.Values, data any) error {
	p.t.Helper()
	res, err := http.Get(p.base + path + "?" + query.Encode())
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	answer := struct {
		Status, Error string
		Data          any
	}{Data: data}
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		return err
	}
	if answer.Status != "success" {
		return fmt.Errorf("%s: %s", res.Status, answer.Error)
	}
	return nil
}

// eventually waits until an expression names nothing that nobody exposes, and has as many series
// as it should: on a busy machine a scrape fails now and then, and its series are gone until the next one.
func (p *prometheus) eventually(what, expr string, ok func(series int) bool) {
	p.t.Helper()
	var unknown []string
	var n int
	defer func() {
		if p.t.Failed() {
			p.t.Logf("%s: %d series, nobody exposes %v", expr, n, unknown)
		}
	}()
	eventually(p.t, what, func() bool {
		var err error
		if n, err = p.series(expr); err != nil {
			p.t.Fatalf("%s: %v", what, err)
		}
		unknown = unknownIn(expr, p.labels())
		return len(unknown) == 0 && ok(n)
	})
}

// series is how many series an expression has now.
func (p *prometheus) series(expr string) (int, error) {
	var data struct{ Result []json.RawMessage }
	err := p.get("query", url.Values{"query": {expr}}, &data)
	return len(data.Result), err
}

// labels are those of every metric that was scraped.
func (p *prometheus) labels() map[string]map[string]bool {
	p.t.Helper()
	var list []map[string]string
	if err := p.get("series", url.Values{"match[]": {`{job="topup"}`}}, &list); err != nil {
		p.t.Fatal(err)
	}
	all := map[string]map[string]bool{}
	for _, labels := range list {
		name := labels["__name__"]
		if all[name] == nil {
			all[name] = map[string]bool{}
		}
		for label := range labels {
			all[name][label] = true
		}
	}
	return all
}

type rule struct {
	Name, Query, Health, LastError, State string
	Labels, Annotations                   map[string]string
}

func (p *prometheus) rules() []rule {
	p.t.Helper()
	var data struct{ Groups []struct{ Rules []rule } }
	if err := p.get("rules", nil, &data); err != nil {
		p.t.Fatal(err)
	}
	var all []rule
	for _, group := range data.Groups {
		all = append(all, group.Rules...)
	}
	return all
}

// dashboard has the queries of a Grafana dashboard by their panels' titles.
func dashboard(t *testing.T) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(dashboardFile)
	if err != nil {
		t.Fatal(err)
	}
	var board struct {
		Panels []struct {
			Type, Title string
			Targets     []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &board); err != nil {
		t.Fatal(err)
	}
	all := map[string][]string{}
	for _, panel := range board.Panels {
		for _, target := range panel.Targets {
			all[panel.Title] = append(all[panel.Title], strings.ReplaceAll(target.Expr, "$__rate_interval", "1m"))
		}
		if panel.Type != "row" && len(panel.Targets) == 0 {
			t.Errorf("panel %q asks for nothing", panel.Title)
		}
	}
	return all
}

// asynqmon asks for these where it is told of a Prometheus (its metrics_handler.go).
var asynqmonQueries = []string{
	`asynq_queue_size{queue="topups"}`, `asynq_queue_latency_seconds{queue="topups"}`, `asynq_queue_memory_usage_approx_bytes{queue="topups"}`,
	`rate(asynq_tasks_processed_total{queue="topups"}[5m])`, `rate(asynq_tasks_failed_total{queue="topups"}[5m])`,
	`rate(asynq_tasks_failed_total{queue="topups"}[5m]) / rate(asynq_tasks_processed_total{queue="topups"}[5m])`,
	`asynq_tasks_enqueued_total{state="pending",queue="topups"}`, `asynq_tasks_enqueued_total{state="retry",queue="topups"}`,
	`asynq_tasks_enqueued_total{state="archived",queue="topups"}`,
}

var (
	aMetric   = regexp.MustCompile(`\b(topup|asynq|process|go)_[a-z0-9_]+\b(\{[^}]*\})?`)
	aLabel    = regexp.MustCompile(`([a-z_]+)\s*(?:=~|!=|!~|=)`)
	aGrouping = regexp.MustCompile(`\b(?:by|on|without)\s*\(([^)]*)\)`)
)

// unknownIn says which metrics and labels of an expression nobody exposes.
func unknownIn(expr string, exposed map[string]map[string]bool) []string {
	var unknown []string
	var used []map[string]bool
	for _, match := range aMetric.FindAllString(expr, -1) {
		name, selector, _ := strings.Cut(match, "{")
		labels, ok := exposed[name]
		if !ok {
			unknown = append(unknown, name)
			continue
		}
		used = append(used, labels)
		for _, label := range aLabel.FindAllStringSubmatch(selector, -1) {
			if !labels[label[1]] {
				unknown = append(unknown, name+"{"+label[1]+"}")
			}
		}
	}
	for _, grouping := range aGrouping.FindAllStringSubmatch(expr, -1) {
		for label := range strings.SplitSeq(grouping[1], ",") {
			label = strings.TrimSpace(label)
			somewhere := label == "le" || slices.ContainsFunc(used, func(labels map[string]bool) bool { return labels[label] })
			if !somewhere {
				unknown = append(unknown, "by "+label)
			}
		}
	}
	return unknown
}

// What the alerts, the dashboard and asynqmon ask for is what a real run exposes, asked of a
// real Prometheus.
func TestQueriesAgainstARun(t *testing.T) {
	r := startRun(t)
	r.shows("topup_unrecognised_codes_total 0", `topup_balance{`, `topup_jobs_open 0`)
	p := startPrometheus(t, strings.TrimSuffix(strings.TrimPrefix(r.url, "http://"), "/metrics"))
	r.busy()

	if unknown := unknownIn(`sum by (nobody) (topup_jobs{nowhere="x"}) / topup_nothing`, p.labels()); len(unknown) != 3 {
		t.Fatalf("the check does not see what is missing: %v", unknown)
	}
	checked := 0
	for title, exprs := range dashboard(t) {
		for _, expr := range exprs {
			checked++
			empty := title == "Redis was replaced" // it was not
			p.eventually(fmt.Sprintf("panel %q shows something: %s", title, expr), expr, func(n int) bool { return n > 0 || empty })
		}
	}
	if checked < 40 {
		t.Errorf("only %d queries of the dashboard were checked", checked)
	}
	for _, expr := range asynqmonQueries {
		p.eventually("asynqmon has one series: "+expr, expr, func(n int) bool { return n == 1 })
	}

	// All at one moment: on a busy machine a scrape fails now and then, and TopupScrapeAbsent is
	// pending until the next one.
	quiet := []string{"TopupRedisDown", "TopupWorkerAbsent", "TopupScrapeAbsent", "TopupIncarnationChanged", "TopupRedisMemoryHigh", "TopupUnknownForAnHour", "TopupArchivedTask"}
	states := map[string]string{}
	defer func() {
		if t.Failed() {
			t.Log(states)
		}
	}()
	eventually(t, "the alerts see the review, the code and the campaigns' holds, and nothing else", func() bool {
		states = map[string]string{}
		for _, rule := range p.rules() {
			states[rule.Name] = max(states[rule.Name], rule.State) // firing < inactive < pending
		}
		return states["TopupReviewOpen"] == "pending" && states["TopupUnrecognisedCode"] == "firing" && states["TopupHoldOn"] == "pending" &&
			!slices.ContainsFunc(quiet, func(name string) bool { return states[name] != "inactive" })
	})
	for _, rule := range p.rules() {
		if unknown := unknownIn(rule.Query, p.labels()); len(unknown) > 0 || rule.Health != "ok" {
			t.Errorf("%s: health %q %s, nobody exposes %v", rule.Name, rule.Health, rule.LastError, unknown)
		}
		if want := "deploy/RUNBOOK.md#" + strings.ToLower(rule.Name); rule.Annotations["runbook_url"] != want {
			t.Errorf("%s: runbook %q, want %q", rule.Name, rule.Annotations["runbook_url"], want)
		}
		if rule.Annotations["summary"] == "" || rule.Annotations["description"] == "" || !slices.Contains([]string{"critical", "warning"}, rule.Labels["severity"]) {
			t.Errorf("%s: %v %v", rule.Name, rule.Labels, rule.Annotations)
		}
	}
}
