package sandbox

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestDuplicateWindow(t *testing.T) {
	for name, c := range map[string]struct {
		cfg        Config
		executions int
	}{
		"own, over the call's latency": {Config{Latency: 200 * time.Millisecond}, 5},
		"given":                        {Config{DuplicateWindow: 200 * time.Millisecond}, 5},
		"atomic":                       {Config{Latency: 200 * time.Millisecond, DuplicateWindow: -1}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, c.cfg)
			var wg sync.WaitGroup
			for range 5 {
				wg.Go(func() {
					if status, body := r.call("POST", "/topups", topup("same", "0503971821")); status != 200 {
						r.want(400, "CUSTOM_IDENTIFIER_ALREADY_USED", status, body)
					}
				})
			}
			wg.Wait()
			if n := len(r.sim.Executions()); n != c.executions {
				t.Errorf("%d executions, want %d", n, c.executions)
			}
			if n := len(r.sim.Overlaps()); n != 4 || r.sim.PostsFor("same") != 5 {
				t.Errorf("%d overlaps, want 4; %d posts", n, r.sim.PostsFor("same"))
			}
			status, body := r.call("POST", "/topups", topup("same", "0503971822"))
			r.want(400, "CUSTOM_IDENTIFIER_ALREADY_USED", status, body)
			if err := r.sim.Audit(); err != nil {
				t.Error(err)
			}
		})
	}
}

// An execution is not seen for 300 ms while its call is unanswered, and at once when it is answered.
func TestCheckIsBlindWhileUnanswered(t *testing.T) {
	r := newRig(t, Config{})
	var in topupRequest
	in.Identifier, in.Operator, in.Amount = "same", "1100", "832"
	in.Phone = &phoneField{Country: "AE", Number: "0503971821"}
	o, _ := r.sim.understand(&in)
	rec, _ := r.sim.execute(o, nil)
	if f := r.sim.check(o); f != nil {
		t.Errorf("unanswered: %+v", f)
	}
	r.pass(blindness)
	if f := r.sim.check(o); f == nil {
		t.Error("not seen after 300 ms")
	}
	r.pass(-blindness)
	r.sim.answered(rec)
	if f := r.sim.check(o); f == nil {
		t.Error("not seen after the answer")
	}
	o.identifier = "SAME"
	if f := r.sim.check(o); f == nil || *f.Code != "PHONE_RECENTLY_RECHARGED" {
		t.Errorf("identifiers are compared with case when used: %+v", f)
	}
}

// A given window costs time, the provider's own costs none.
func TestDuplicateWindowTime(t *testing.T) {
	for cfg, want := range map[[2]time.Duration]time.Duration{
		{0, 0}:                     0,
		{time.Second, 0}:           time.Second,
		{time.Second, time.Minute}: time.Minute + time.Second,
		{time.Second, -1}:          time.Second,
	} {
		synctest.Test(t, func(t *testing.T) {
			sim, err := New(Config{Latency: cfg[0], DuplicateWindow: cfg[1]})
			if err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			sim.waitToExecute(t.Context(), nil)
			if took := time.Since(start); took != want {
				t.Errorf("%v: took %v, want %v", cfg, took, want)
			}
		})
	}
}

// A client that hangs up does not undo its top-up: it is executed LateExecution afterwards.
func TestLateExecution(t *testing.T) {
	for _, c := range []struct {
		fault        string
		hangUp, late time.Duration
		want         time.Duration // from the hanging up to the execution
	}{
		{"", time.Second, 0, 0},
		{"", time.Second, time.Minute, time.Minute},
		{"slow", 15 * time.Second, 7 * time.Second, 7 * time.Second},
		{"late", time.Second, 0, 5 * time.Second},
		{"late", time.Second, 30 * time.Second, 30 * time.Second},
	} {
		t.Run(fmt.Sprint(c.fault, c.late), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sim, err := New(Config{Latency: 10 * time.Second, LateExecution: c.late, TokenLife: time.Hour})
				if err != nil {
					t.Fatal(err)
				}
				sim.Script(func(Attempt) string { return c.fault })
				ctx, hangUp := context.WithTimeout(t.Context(), c.hangUp)
				defer hangUp()
				req := httpRequest(ctx, "POST", "/topups", topup("x", "0503971821"))
				start := time.Now()
				func() {
					defer func() { _ = recover() }() // a closed connection
					sim.handleTopup(newCapture(http.Header{}), req, false)
				}()
				done := sim.Executions()
				if len(done) != 1 {
					t.Fatalf("%d executions", len(done))
				}
				if got := done[0].Time.Sub(start) - c.hangUp; got != c.want {
					t.Errorf("executed %v after the client left, want %v", got, c.want)
				}
			})
		})
	}
}

func httpRequest(ctx context.Context, method, path, body string) *http.Request {
	req, err := http.NewRequestWithContext(ctx, method, path, strings.NewReader(body))
	if err != nil {
		panic(err)
	}
	return req
}

// Until it is executed, a late top-up is in no report, and its balance is whole.
func TestLateIsInvisibleBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // a busy machine could need longer than it is invisible
		sim, err := New(Config{Latency: 5 * time.Second, LateExecution: time.Minute, TokenLife: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		sim.Script(func(Attempt) string { return "late" })
		call := func(ctx context.Context, method, path, body, token string) map[string]any {
			req := httpRequest(ctx, method, path, body)
			req.Header.Set("Content-Type", "application/json")
			req.Header.Set("Authorization", "Bearer "+token)
			got := httptest.NewRecorder()
			defer func() { _ = recover() }() // a closed connection
			sim.ServeHTTP(got, req)
			out := map[string]any{}
			_ = json.Unmarshal(got.Body.Bytes(), &out) // what is no JSON has no total
			return out
		}
		token, _ := call(t.Context(), "POST", "/oauth/token", tokenBody("id", "secret", audienceSandbox), "")["access_token"].(string)
		ctx, hangUp := context.WithTimeout(t.Context(), 10*time.Second)
		defer hangUp()
		go call(ctx, "POST", "/topups", topup("x", "0503971821"), token)
		const report = "/topups/reports/transactions?customIdentifier=x"
		for ctx.Err() == nil { // also before it hangs up
			if body := call(t.Context(), "GET", report, "", token); body["totalElements"] != 0.0 {
				t.Fatalf("found too early: %v", body)
			}
		}
		time.Sleep(30 * time.Second)
		if body := call(t.Context(), "GET", report, "", token); body["totalElements"] != 0.0 || len(sim.Executions()) != 0 {
			t.Errorf("found too early: %v", body)
		}
		time.Sleep(time.Minute)
		if body := call(t.Context(), "GET", report, "", token); body["totalElements"] != 1.0 {
			t.Errorf("not executed: %v", body)
		}
	})
}
