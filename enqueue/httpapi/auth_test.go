package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"
)

// openRoutes need no key: each has its reason.
var openRoutes = map[string]string{
	"GET /livez":                "for whoever restarts the process",
	"GET /readyz":               "for the load balancer",
	"POST /oauth/token":         "its body has the key",
	"POST /v1/reloadly/webhook": "its signature is its key",
}

// Every route of openapi.json asks for exactly the scope that it names, and those that
// name none are known by name.
func TestEveryRouteAsksForItsScope(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.WebhookSecret = "s" })
	var doc struct {
		Paths map[string]map[string]struct {
			Security []map[string][]string
		}
	}
	if err := json.Unmarshal(w.server.spec, &doc); err != nil {
		t.Fatal(err)
	}
	with := func(name string, scopes ...Scope) string {
		return w.key(Key{Name: name, Scopes: scopes, PerSecond: 10_000})
	}
	alone, without := map[Scope]string{}, map[Scope]string{}
	for _, scope := range Scopes() {
		alone[scope] = with("only-"+string(scope), scope)
		var others []Scope
		for _, other := range Scopes() {
			if other != scope {
				others = append(others, other)
			}
		}
		without[scope] = with("all-but-"+string(scope), others...)
	}
	stranger := "Bearer topup_" + strings.Repeat("A", secretLength-len(secretPrefix))
	routes, guarded := 0, map[Scope]int{}
	for path, operations := range doc.Paths {
		for verb, op := range operations {
			routes++
			method := strings.ToUpper(verb)
			route := method + " " + path
			ask := func(key string) answer {
				return w.ask(method, strings.NewReplacer("{id}", "x", "{name}", "x").Replace(path), `{}`, "Authorization", key)
			}
			if len(op.Security) == 0 {
				if openRoutes[route] == "" {
					t.Errorf("%s needs no key, and nobody says why", route)
				}
				continue
			}
			scope := Scope(op.Security[0]["key"][0])
			guarded[scope]++
			for _, key := range []string{"", "Bearer", stranger, strings.Replace(alone[scope], "Bearer", "Basic", 1)} {
				w.problem(ask(key), 401, CodeUnauthorized)
			}
			w.problem(ask(without[scope]), 403, CodeForbidden)
			if a := ask(alone[scope]); a.status == 401 || a.status == 403 {
				t.Errorf("%s with the scope %s: %d", route, scope, a.status)
			}
		}
	}
	if routes != len(openRoutes)+guarded[Submit]+guarded[Read] || guarded[Submit] < 4 || guarded[Read] < 4 {
		t.Errorf("%d routes, guarded are %v", routes, guarded)
	}
}

// failing is a Redis that refuses what has a key of some kind, and knows all others.
type failing struct {
	key string // a part of the keys
	on  atomic.Bool
}

var errSlotDown = errors.New("CLUSTERDOWN Hash slot not served")

func (f *failing) meets(cmd redis.Cmder) bool {
	return f.on.Load() && strings.Contains(fmt.Sprintln(cmd.Args()...), f.key) // with blanks between them
}

func (f *failing) DialHook(next redis.DialHook) redis.DialHook { return next }

func (f *failing) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if f.meets(cmd) {
			cmd.SetErr(errSlotDown)
			return errSlotDown
		}
		return next(ctx, cmd)
	}
}

func (f *failing) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		var first error
		var others []redis.Cmder
		for _, cmd := range cmds {
			if f.meets(cmd) {
				cmd.SetErr(errSlotDown)
				first = errSlotDown
				continue
			}
			others = append(others, cmd)
		}
		if len(others) > 0 {
			if err := next(ctx, others); err != nil && first == nil {
				first = err
			}
		}
		return first
	}
}

// A rate that cannot be counted lets nobody through who may pay: in a cluster it can be
// away while the jobs are not, and it is what holds a stolen key back.
func TestRateThatCannotBeCounted(t *testing.T) {
	w := newWorld(t, nil)
	rate := &failing{key: "rate:topup:key:"}
	w.rdb.AddHook(rate)
	key := w.key(Key{Name: "shop", Scopes: Scopes(), PerSecond: 1})
	rate.on.Store(true)
	for _, path := range []string{"/v1/topups", "/v1/topups:batch", "/topups", "/v1/topups/x/cancel"} {
		a := w.ask("POST", path, quickStart, "Authorization", key)
		p := w.problem(a, 503, CodeUnavailable)
		if a.header.Get("Retry-After") != "1" || !strings.Contains(p.Detail, "repeat it with the same id") || strings.Contains(string(a.body), "CLUSTERDOWN") {
			t.Errorf("%s %v", a.body, a.header)
		}
	}
	if n := w.jobs(); n != 0 {
		t.Errorf("%d jobs came past the rate", n)
	}
	if !strings.Contains(w.log.String(), "CLUSTERDOWN") {
		t.Error("the log does not say why")
	}
	rate.on.Store(false)
	w.result(w.ask("POST", "/v1/topups", quickStart, "Authorization", key), http.StatusAccepted)
	rate.on.Store(true)
	w.result(w.ask("GET", "/v1/topups/airtime-top-up", "", "Authorization", key), http.StatusOK) // a look costs nothing
}

// Who asks for what the key does not allow is counted too.
func TestRateCountsRefusals(t *testing.T) {
	w := newWorld(t, nil)
	key := w.key(Key{Name: "reports", Scopes: []Scope{Read}, PerSecond: 1})
	eventually(t, "no refusal was too many", func() bool {
		a := w.ask("POST", "/v1/topups", quickStart, "Authorization", key)
		if a.status == 403 && a.header.Get("RateLimit") == "" {
			t.Fatalf("%v", a.header)
		}
		return a.status == 429
	})
}

// Behind a proxy that speaks to loopback for everybody a key is needed, whatever host
// the proxy names.
func TestProxyNeedsKey(t *testing.T) {
	w := newWorld(t, nil)
	w.result(w.ask("POST", "/v1/topups", quickStart), 202)
	for _, header := range []string{"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-Ip", "Forwarded", "Via"} {
		w.problem(w.ask("GET", "/v1/topups/airtime-top-up", "", header, "203.0.113.7"), 401, CodeUnauthorized)
	}
}

// A Redis that is full takes nothing more, says so, and still shows what it has.
func TestFullRedis(t *testing.T) {
	w := serve(t, realRedis(t, "--maxmemory-policy", "noeviction"), "", nil)
	key := w.key(Key{Name: "shop", Scopes: Scopes(), PerSecond: 10_000})
	limit := func(bytes string) {
		t.Helper()
		if err := w.rdb.ConfigSet(context.Background(), "maxmemory", bytes).Err(); err != nil {
			t.Fatal(err)
		}
	}
	auth := []string{"Authorization", key}
	w.result(w.ask("POST", "/v1/topups", quickStart, auth...), http.StatusAccepted)
	limit("1")
	other := strings.Replace(quickStart, "airtime-top-up", "other", 1)
	w.problem(w.ask("POST", "/v1/topups", other, auth...), 503, CodeUnavailable)
	w.problem(w.ask("POST", "/v1/topups:batch", `{"topups":[`+other+`]}`, auth...), 503, CodeUnavailable)
	w.result(w.ask("GET", "/v1/topups/airtime-top-up", "", auth...), http.StatusOK)
	if a := w.ask("GET", "/v1/topups?state=queued", "", auth...); a.status != 200 || !strings.Contains(string(a.body), "airtime-top-up") {
		t.Errorf("%d %s", a.status, a.body)
	}
	if n := w.jobs(); n != 1 {
		t.Errorf("%d jobs", n)
	}
	limit("0")
	w.result(w.ask("POST", "/v1/topups", other, auth...), http.StatusAccepted)
}
