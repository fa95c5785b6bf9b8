package httpapi

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"runtime/pprof"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/topup/enqueue"
)

// later asks in the background; the request has left when it returns.
func (w *world) later(method, path, body string, headers ...string) <-chan answer {
	got := make(chan answer, 1)
	left := make(chan struct{})
	ctx := httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) { close(left) }})
	defer func() { <-left }()
	go func() {
		a, err := w.tryWith(ctx, method, path, body, headers...)
		if err != nil {
			w.Error(err)
		}
		got <- a
	}()
	return got
}

// subscribed waits until somebody waits for the job.
func (w *world) subscribed() {
	w.Helper()
	eventually(w, "nobody waits", func() bool {
		n, err := w.rdb.PubSubNumSub(context.Background(), "topup:settled").Result()
		return err == nil && n["topup:settled"] > 0
	})
}

func TestWaiting(t *testing.T) {
	// The time for reading a request is shorter than the waiting, and does not end it.
	const reading = 6 * time.Second // a busy machine still reads a request in it
	w := newWorld(t, func(c *Config) { c.ReadTimeout = reading })
	submitted := w.later("POST", "/v1/topups?wait=60s", quickStart)
	eventually(t, "no job", func() bool { return w.jobs() == 1 })
	looked, preferred := w.later("GET", "/v1/topups/airtime-top-up?wait=60s", ""), w.later("GET", "/v1/topups/airtime-top-up", "", "Prefer", `respond-async, wait=100`)
	w.subscribed()
	time.Sleep(reading + 200*time.Millisecond) // past the time for reading
	if len(submitted)+len(looked)+len(preferred) > 0 {
		t.Fatal("they do not wait")
	}
	w.succeed("airtime-top-up")
	for _, got := range []<-chan answer{submitted, looked, preferred} {
		if r := w.result(<-got, http.StatusOK); r.State != enqueue.Succeeded || r.Transaction == nil {
			t.Errorf("%+v", r)
		}
	}
	// The time is up: 202 where it is new, and in any case as it stands.
	other := strings.Replace(quickStart, "airtime-top-up", "other", 1)
	if r := w.result(w.ask("POST", "/v1/topups?wait=20ms", other), 202); r.State != enqueue.Queued {
		t.Errorf("%+v", r)
	}
	if r := w.result(w.ask("POST", "/v1/topups?wait=20ms", other), 200); r.State != enqueue.Queued {
		t.Errorf("%+v", r)
	}
	a := w.ask("GET", "/v1/topups/other", "", "Prefer", "wait=0")
	if r := w.result(a, 200); r.State != enqueue.Queued || a.header.Get("Preference-Applied") != "wait" {
		t.Errorf("%+v", r)
	}
}

// A server that stops answers those who wait with what it knows, and ends soon.
func TestStopping(t *testing.T) {
	w := newWorld(t, nil)
	submitted := w.later("POST", "/v1/topups?wait=60s", quickStart)
	eventually(t, "no job", func() bool { return w.jobs() == 1 })
	looked := w.later("GET", "/v1/topups/airtime-top-up?wait=60s", "")
	w.subscribed()
	began := time.Now()
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
	if r := w.result(<-submitted, 202); r.State != enqueue.Queued {
		t.Errorf("%+v", r)
	}
	if r := w.result(<-looked, 200); r.State != enqueue.Queued {
		t.Errorf("%+v", r)
	}
	if took := time.Since(began); took > 45*time.Second { // they would wait for a minute
		t.Errorf("it took %v", took)
	}
	recorder := httptest.NewRecorder()
	w.server.ServeHTTP(recorder, httptest.NewRequest("GET", "/readyz", nil))
	if recorder.Code != 503 {
		t.Errorf("%d", recorder.Code)
	}
}

// A request that does not end in time is cut, and nothing hangs.
func TestStoppingIsBounded(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.StopTimeout = 50 * time.Millisecond })
	entered, leave := make(chan struct{}), make(chan struct{})
	defer close(leave)
	w.server.mux.HandleFunc("GET /hangs", func(http.ResponseWriter, *http.Request) {
		close(entered)
		<-leave
	})
	go func() { _, _ = w.try("GET", "/hangs", "") }()
	<-entered
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
}

// Ten thousand wait at once, on a real Redis that counts its commands.
func TestTenThousandLongPolls(t *testing.T) {
	const many, jobs = 10_000, 100
	w := serve(t, realRedis(t), "", func(c *Config) { c.MaxWait = 15 * time.Minute }) // ends for nobody while others still begin
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for i := range jobs {
		w.result(w.ask("POST", "/v1/topups", strings.Replace(quickStart, "airtime-top-up", fmt.Sprint("j", i), 1)), 202)
	}
	var group sync.WaitGroup
	var mu sync.Mutex
	statuses := map[string]int{}
	for i := range many {
		group.Go(func() {
			recorder := httptest.NewRecorder() // ten thousand connections are more files than a process may have
			r := httptest.NewRequestWithContext(ctx, "GET", fmt.Sprintf("/v1/topups/j%d?wait=15m", i%jobs), nil)
			r.Host = "127.0.0.1"
			w.server.ServeHTTP(recorder, r)
			mu.Lock()
			defer mu.Unlock()
			state := "other"
			if strings.Contains(recorder.Body.String(), `"state":"cancelled"`) {
				state = "cancelled"
			}
			statuses[fmt.Sprint(recorder.Code, " ", state)]++
		})
	}
	reads := func() int64 {
		t.Helper()
		var all, n int64
		for line := range strings.Lines(w.rdb.Info(ctx, "commandstats").Val()) {
			name, rest, _ := strings.Cut(line, ":calls=")
			_, _ = fmt.Sscan(strings.SplitN(rest, ",", 2)[0], &n)
			switch name {
			case "cmdstat_hgetall", "cmdstat_hget", "cmdstat_evalsha", "cmdstat_get":
				all += n
			}
		}
		return all
	}
	eventually(t, "not all have looked", func() bool { return reads() >= many })
	// Once the first looks are over, however long that takes: 100 each two seconds. Each looking
	// every two seconds by itself: 5,000 a second, or what the machine can, without end.
	eventually(t, "those who wait cost more than 100 reads a second", func() bool {
		began, before := time.Now(), reads()
		time.Sleep(5 * time.Second)
		perSecond := float64(reads()-before) / time.Since(began).Seconds()
		t.Logf("%d wait for %d jobs: %.1f reads/s", many, jobs, perSecond)
		return perSecond <= 100
	})
	for i := range jobs {
		w.result(w.ask("POST", fmt.Sprintf("/v1/topups/j%d/cancel", i), ""), 200)
	}
	group.Wait()
	if statuses["200 cancelled"] != many {
		t.Errorf("%v", statuses)
	}
}

// Whoever hangs up while waiting leaves nothing behind.
func TestHangingUp(t *testing.T) {
	w := newWorld(t, nil)
	waiting := func() int {
		var text strings.Builder
		if err := pprof.Lookup("goroutine").WriteTo(&text, 2); err != nil {
			t.Fatal(err)
		}
		return strings.Count(text.String(), "enqueue.(*Client).Wait(")
	}
	const many = 100
	ctx, hangUp := context.WithCancel(context.Background())
	defer hangUp()
	var callers sync.WaitGroup
	for i := range many {
		id := fmt.Sprint("h", i)
		callers.Go(func() {
			if i%2 == 0 {
				_, _ = w.tryWith(ctx, "POST", "/v1/topups?wait=60s", strings.Replace(quickStart, "airtime-top-up", id, 1))
				return
			}
			if a, err := w.try("POST", "/v1/topups", strings.Replace(quickStart, "airtime-top-up", id, 1)); err != nil || a.status != 202 {
				t.Errorf("%v: %d %s", err, a.status, a.body)
			}
			_, _ = w.tryWith(ctx, "GET", "/v1/topups/"+id+"?wait=60s", "")
		})
	}
	eventually(t, "not all wait", func() bool { return waiting() == many })
	hangUp()
	callers.Wait()
	eventually(t, "somebody waits for nobody", func() bool { return waiting() == 0 })
	if n := w.jobs(); n != many { // they were accepted all the same
		t.Errorf("%d jobs", n)
	}
}
