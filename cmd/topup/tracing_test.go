package main

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"go.opentelemetry.io/otel/baggage"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"example.com/topup/enqueue"
)

// receiver takes traces by OTLP over HTTP.
type receiver struct {
	*httptest.Server
	mu    sync.Mutex
	spans []*tracepb.Span
	bytes bytes.Buffer
}

func startReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		var message collector.ExportTraceServiceRequest
		if err := proto.Unmarshal(body, &message); err != nil || req.URL.Path != "/v1/traces" {
			t.Errorf("%s: %v", req.URL.Path, err)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		_, _ = r.bytes.Write(body)
		for _, resource := range message.ResourceSpans {
			for _, scope := range resource.ScopeSpans {
				r.spans = append(r.spans, scope.Spans...)
			}
		}
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
	t.Cleanup(r.Close)
	return r
}

// of has the spans of a job by name.
func (r *receiver) of(job string) map[string][]*tracepb.Span {
	r.mu.Lock()
	defer r.mu.Unlock()
	found := map[string][]*tracepb.Span{}
	for _, span := range r.spans {
		if attributes(span)["topup.job"] == job {
			found[span.Name] = append(found[span.Name], span)
		}
	}
	return found
}

func attributes(span *tracepb.Span) map[string]string {
	all := map[string]string{}
	for _, a := range span.Attributes {
		all[a.Key] = a.Value.GetStringValue()
	}
	return all
}

// One trace leads from the call that submits a job over its task to the POST, also where
// the POST came after a wait, and tells nothing that is nobody's business.
func TestTraces(t *testing.T) {
	t.Parallel() // it mostly waits
	data, reloadly, seen := startData(t), startAccount(t), startReceiver(t)
	const number, secret = "050397", "canary-secret"
	environment := []string{
		"REDIS_URL=redis://" + data.addr + "/0", "RELOADLY_CLIENT_ID=canary-client", "RELOADLY_CLIENT_SECRET=" + secret,
		"RELOADLY_AUTH_URL=" + reloadly.URL, "RELOADLY_API_URL=" + reloadly.URL, "TOPUP_TIME_SCALE=0.02",
		"OTEL_EXPORTER_OTLP_ENDPOINT=" + seen.URL, "OTEL_BSP_SCHEDULE_DELAY=100",
	}
	worker := startProcess(t, environment, "worker")
	for id, lastFour := range map[string]string{"paid-at-once": "9001", "cannot-at-first": "0019", "lost-at-first": "0020"} {
		send := startProcess(t, environment, "send", "--wait", "--id", id, "--operator", "1100", "--amount", "832", "--country", "AE", "--number", number+lastFour)
		if err := send.cmd.Wait(); err != nil {
			t.Fatalf("send %s: %v\n%s", id, err, send.text())
		}
	}
	worker.ends() // which sends off what is left

	// On a busy machine the sweeper may be faster than the worker that is about to write the
	// next wake-up, and then knows of no trace.
	lost := map[string]bool{}
	for line := range strings.Lines(worker.text()) {
		var said struct{ Msg, Job, Found string }
		if json.Unmarshal([]byte(line), &said) == nil && said.Msg == "a job without a wake-up has one again" && said.Found == "missing" {
			lost[said.Job] = true
		}
	}
	for id, posts := range map[string][]string{"paid-at-once": {"delivered"}, "cannot-at-first": {"refused", "delivered"}, "lost-at-first": {"unknown", "delivered"}} {
		spans := seen.of(id)
		if len(spans["topup enqueue"]) != 1 || len(spans["topup POST"]) != len(posts) {
			t.Fatalf("%s has the spans %v", id, spans)
		}
		root := spans["topup enqueue"][0]
		byID := map[string]*tracepb.Span{}
		for _, list := range spans {
			for _, span := range list {
				byID[hex.EncodeToString(span.SpanId)] = span
			}
		}
		for i, post := range spans["topup POST"] {
			if got := attributes(post)["topup.outcome"]; got != posts[i] {
				t.Errorf("%s: POST %d was %s, want %s", id, i+1, got, posts[i])
			}
			handle := byID[hex.EncodeToString(post.ParentSpanId)]
			if handle == nil || handle.Name != "topup handle" || attributes(handle)["topup.state"] == "" {
				t.Errorf("%s: the POST is a child of %v", id, handle)
			}
			if lost[id] {
				continue
			}
			for span, steps := post, 0; span != root; span, steps = byID[hex.EncodeToString(span.ParentSpanId)], steps+1 {
				if span == nil || steps > 50 {
					t.Fatalf("%s: no way leads from the POST to the enqueueing call", id)
				}
				if !bytes.Equal(span.TraceId, root.TraceId) {
					t.Errorf("%s: %s is in another trace", id, span.Name)
				}
			}
		}
	}
	for _, canary := range []string{number, number[1:], "canary", reloadly.URL} {
		if bytes.Contains(seen.bytes.Bytes(), []byte(canary)) {
			t.Errorf("the traces show %q", canary)
		}
	}
}

// Without an endpoint there is nothing: no hook, no header, no allocation.
func TestTracesAreOff(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "")
	log := slog.New(slog.DiscardHandler)
	off, err := newTracing(t.Context(), log)
	if err != nil || off != nil || off.enqueueing() != nil {
		t.Fatalf("%v, %v", off, err)
	}
	off.close()
	if n := testing.AllocsPerRun(100, func() {
		off, _ := newTracing(t.Context(), log)
		if off.enqueueing() != nil {
			t.Error("a hook")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	data := startData(t)
	client := enqueue.NewClient(data.rdb, enqueue.ClientConfig{Headers: off.enqueueing()})
	defer func() { _ = client.Close() }()
	job := enqueue.TopUp{ID: "a", OperatorID: 1, RecipientPhone: enqueue.Phone{CountryCode: "AE", Number: "0503971821"}}
	if job.Amount, err = enqueue.ParseAmount("1"); err != nil {
		t.Fatal(err)
	}
	if _, err := client.TopUp(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	info, err := asynq.NewInspectorFromRedisClient(data.rdb).GetTaskInfo(enqueue.QueueTopUps, "a")
	if err != nil || len(info.Headers) != 0 {
		t.Errorf("%v, headers %v", err, info.Headers)
	}
}

// A collector that is away costs a line, and no job.
func TestTracesAreLost(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
	t.Setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "200")
	var log strings.Builder
	lost, err := newTracing(t.Context(), slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	// What a caller put into the trace's baggage is not ours to store.
	number, err := baggage.NewMember("number", "0503971821")
	if err != nil {
		t.Fatal(err)
	}
	luggage, err := baggage.New(number)
	if err != nil {
		t.Fatal(err)
	}
	if headers := lost.enqueueing()(baggage.ContextWithBaggage(t.Context(), luggage), "a"); headers["traceparent"] == "" || len(headers) != 1 {
		t.Errorf("headers %v", headers)
	}
	began := time.Now()
	lost.close()
	if took := time.Since(began); took > busy*30*time.Second || !strings.Contains(log.String(), "traces are lost") {
		t.Errorf("%v: %s", took, log.String())
	}
}
