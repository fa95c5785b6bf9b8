package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
)

type lockedOutput struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedOutput) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedOutput) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// serve takes a top-up, logs without its number, and ends in order.
func TestServe(t *testing.T) {
	t.Setenv("REDIS_URL", "redis://"+miniredis.RunT(t).Addr()+"/0")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := listener.Addr().String()
	_ = listener.Close() // serve needs the port
	ctx, cancel := context.WithCancel(t.Context())
	var out, errs lockedOutput
	done := make(chan int, 1)
	go func() {
		done <- execute(ctx, []string{"serve", "--listen", addr}, strings.NewReader(""), &out, &errs)
	}()
	client := &http.Client{Timeout: busy * 20 * time.Second}
	defer client.CloseIdleConnections()
	ask := func(method, path, body string) (int, string) {
		r, err := http.NewRequestWithContext(t.Context(), method, "http://"+addr+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		answer, err := client.Do(r)
		if err != nil {
			return 0, err.Error()
		}
		defer func() { _ = answer.Body.Close() }()
		text, _ := io.ReadAll(answer.Body)
		return answer.StatusCode, string(text)
	}
	eventually(t, 20*time.Second, "it listens", func() bool {
		status, _ := ask("GET", "/readyz", "")
		return status == http.StatusOK
	})
	status, text := ask("POST", "/v1/topups?n=0503971821", `{"amount":832,"customIdentifier":"served","recipientPhone":{"countryCode":"AE","number":"0503971821"}}`)
	if status != http.StatusAccepted || !strings.Contains(text, `"state":"queued"`) {
		t.Errorf("%d %s", status, text)
	}
	if status, text = ask("POST", "/v1/reloadly/webhook", "{}"); status != http.StatusNotFound {
		t.Errorf("%d %s", status, text)
	}
	cancel()
	if code := <-done; code != exitOK {
		t.Errorf("exit %d: %s", code, &errs)
	}
	if log := errs.String(); !strings.Contains(log, `"route":"/v1/topups"`) || strings.Contains(log, "3971821") || out.String() != "" {
		t.Error(log)
	}
}
