package sandbox

import (
	"encoding/json"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func (r *rig) decode(path string, into any) {
	r.t.Helper()
	status, text, err := r.raw("GET", path, "")
	if err != nil || status != 200 {
		r.t.Fatalf("%s: %d %s %v", path, status, text, err)
	}
	if err := json.Unmarshal(text, into); err != nil {
		r.t.Fatalf("%s: %v in %s", path, err, text)
	}
}

// spend makes three executions, the second one FAILED, and one refusal.
func (r *rig) spend() {
	r.call("POST", "/topups", topup("a", "0503971821"))
	r.call("POST", "/topups", topup("b", "0503970035"))
	r.call("POST", "/topups", topup("c", "0503971823"))
	r.call("POST", "/topups", topup("a", "0503971824"))
}

func TestControlExecutions(t *testing.T) {
	r := newRig(t, Config{})
	r.spend()
	for query, want := range map[string][]string{
		"":                        {"a", "b", "c"},
		"?after=1":                {"b", "c"},
		"?limit=2":                {"a", "b"},
		"?after=1&limit=1":        {"b"},
		"?after=9":                nil,
		"?paid=true":              {"a", "c"},
		"?paid=true&after=1":      {"c"},
		"?paid=true&limit=1":      {"a"},
		"?limit=0&after=0&paid=0": {"a", "b", "c"},
	} {
		var got []string
		var page []Execution
		r.decode("/sandbox/executions"+query, &page)
		for _, e := range page {
			got = append(got, e.CustomIdentifier)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %v, want %v", query, got, want)
		}
		_, text, err := r.raw("GET", "/sandbox/executions.jsonl"+query, "")
		if err != nil {
			t.Fatal(err)
		}
		var lines []Execution
		for line := range strings.Lines(string(text)) {
			var e Execution
			if err := json.Unmarshal([]byte(line), &e); err != nil {
				t.Fatal(err)
			}
			lines = append(lines, e)
		}
		if !slices.Equal(lines, page) && len(page) > 0 {
			t.Errorf("%q: lines %v, page %v", query, lines, page)
		}
	}
	for _, path := range []string{"executions?after=x", "executions.jsonl?limit=-1"} {
		if status, body := r.call("GET", "/sandbox/"+path, ""); status != 400 || body["error"] == nil {
			t.Errorf("%s: %d %v", path, status, body)
		}
	}
}

func TestControlMoney(t *testing.T) {
	r := newRig(t, Config{})
	r.spend()
	for _, c := range []struct {
		method, path, body string
		status             int
		balance            string
	}{
		{"POST", "refill", `{"amount":"1.5"}`, 200, "808232.39103"},
		{"POST", "refill", `{"amount":100}`, 200, "808332.39103"},
		{"PUT", "balance", `{"balance":"1000"}`, 200, "1000"},
		{"PUT", "balance", `{"balance":2000.5}`, 200, "2000.5"},
		{"PUT", "balance", `{"amount":1}`, 400, ""},
		{"PUT", "balance", `{"balance":"1,5"}`, 400, ""},
		{"POST", "refill", `{"amount":-1}`, 400, ""},
		{"POST", "refill", `{"amount":"x"}`, 400, ""},
		{"POST", "refill", ``, 400, ""},
	} {
		status, body := r.call(c.method, "/sandbox/"+c.path, c.body)
		got, _ := body["balance"].(string)
		if status != c.status || got != c.balance || status == 400 && body["error"] == "" {
			t.Errorf("%s %s: %d %v", c.path, c.body, status, body)
		}
	}
	if status, text, err := r.raw("POST", "/sandbox/reverse/33471", ""); status != 204 || err != nil {
		t.Errorf("reverse: %d %s %v", status, text, err)
	}
	for _, id := range []string{"33471", "33470", "1", "x"} {
		if status, _ := r.call("POST", "/sandbox/reverse/"+id, ""); status != 400 {
			t.Errorf("reverse %s: %d", id, status)
		}
	}
	var audit map[string]any
	r.decode("/sandbox/audit", &audit)
	if want := (map[string]any{
		"ok": true, "currency": "NGN", "start": "809811.69103", "refills": "-806230.39103", "debits": "1580.8",
		"refunds": "790.4", "balance": "2790.9", "paidCost": "790.4", "executions": 3.0, "paid": 1.0, "identifiers": 1.0,
	}); !reflect.DeepEqual(audit, want) {
		t.Errorf("audit:\n%v, want\n%v", audit, want)
	}
	r.sim.mu.Lock()
	r.sim.balance++
	r.sim.mu.Unlock()
	if status, body := r.call("GET", "/sandbox/audit", ""); status != 409 || body["ok"] != false || body["error"] == "" {
		t.Errorf("an audit of wrong books: %d %v", status, body)
	}
}

func TestControlCounts(t *testing.T) {
	r := newRig(t, Config{})
	r.spend()
	r.call("GET", "/accounts/balance", "")
	var stats map[string]any
	r.decode("/sandbox/stats", &stats)
	if want := (map[string]any{
		"posts": 4.0, "reads": 2.0, "executions": 3.0, "paid": 2.0, "overlaps": 0.0, "balance": "808230.89103",
		"currency": "NGN", "faults": map[string]any{"failed": 1.0},
	}); !reflect.DeepEqual(stats, want) {
		t.Errorf("stats:\n%v, want\n%v", stats, want)
	}
	for query, want := range map[string]float64{"": 4, "?customIdentifier=a": 2, "?customIdentifier=z": 0} {
		if _, body := r.call("GET", "/sandbox/posts"+query, ""); body["posts"] != want {
			t.Errorf("posts%s: %v, want %v", query, body, want)
		}
	}
	r.sim.enter("x")
	r.sim.enter("x")
	var overlaps []string
	if r.decode("/sandbox/overlaps", &overlaps); !slices.Equal(overlaps, []string{"x"}) {
		t.Errorf("overlaps: %v", overlaps)
	}
	if status, _ := r.call("GET", "/sandbox/livez", ""); status != 200 {
		t.Errorf("livez: %d", status)
	}
	if status, _, err := r.raw("POST", "/sandbox/revoke", ""); status != 204 || err != nil {
		t.Errorf("revoke: %d %v", status, err)
	}
	status, body := r.call("GET", "/accounts/balance", "")
	r.want(401, "INVALID_TOKEN", status, body)
}

func TestControlFaults(t *testing.T) {
	r := newRig(t, Config{Faults: "hostile", ReadFaults: -1})
	var f Faults
	if r.decode("/sandbox/faults", &f); f.Profile != "hostile" {
		t.Errorf("%+v", f)
	}
	status, body := r.call("PUT", "/sandbox/faults", `{"profile":"none","rates":{"500-after":1},"reads":-1}`)
	if status != 200 || body["profile"] != "none" {
		t.Errorf("%d %v", status, body)
	}
	if status, _ := r.call("POST", "/topups", topup("a", "0503971821")); status != 500 || len(r.sim.Paid()) != 1 {
		t.Errorf("top-up: %d", status)
	}
	for _, bad := range []string{`{"profile":"x"}`, `{"rates":{"x":1}}`, `{"rate":{}}`, `{`} {
		if status, body := r.call("PUT", "/sandbox/faults", bad); status != 400 || body["error"] == "" {
			t.Errorf("%s: %d %v", bad, status, body)
		}
	}
	if f := r.sim.Faults(); f.Rates["500-after"] != 1 || f.Reads != -1 {
		t.Errorf("a refused change has changed something: %+v", f)
	}
}

// Reloadly has no such path, and each of ours is in doc.go.
func TestControlIsDocumented(t *testing.T) {
	text, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("controlroutes.go")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(source)) {
		for _, call := range []string{`get("`, `change("POST", "`, `change("PUT", "`, `"GET /sandbox/`} {
			_, rest, found := strings.Cut(line, call)
			path, _, whole := strings.Cut(rest, `"`)
			if found && whole && path != "" && !strings.Contains(string(text), "/sandbox/"+path+" ") {
				t.Errorf("doc.go lacks /sandbox/%s", path)
			}
		}
	}
}
