package browsertest

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// root is the main module's folder.
const root = "../../../.."

// world is a Redis, a simulator of Reloadly, a worker and a server, as processes.
type world struct {
	*testing.T
	topup       string // the program
	environment []string
	url         string
	key         string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{T: t, topup: filepath.Join(t.TempDir(), "topup")}
	build := exec.CommandContext(t.Context(), "go", "build", "-o", w.topup, "./cmd/topup")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build topup: %v\n%s", err, out)
	}
	store, provider, address := freeAddress(t), freeAddress(t), freeAddress(t)
	w.environment = append(os.Environ(),
		"REDIS_URL=redis://"+store+"/0", "RELOADLY_AUTH_URL=http://"+provider, "RELOADLY_API_URL=http://"+provider,
		"RELOADLY_CLIENT_ID=demo-client", "RELOADLY_CLIENT_SECRET=demo-secret", "RELOADLY_ENV=sandbox", "TOPUP_SPACING=-1s",
	)
	w.url = "http://" + address
	_, port, _ := net.SplitHostPort(store)
	w.start(store, "redis-server", "--port", port, "--bind", "127.0.0.1", "--dir", t.TempDir(), "--save", "", "--daemonize", "no")
	w.start(provider, w.topup, "sandbox", "--listen", provider)
	w.start("", w.topup, "worker")
	out, err := w.command("key", "create", "browser", "--scopes", "read,submit,control").Output()
	if err != nil {
		t.Fatal(err)
	}
	w.key = strings.TrimSpace(string(out))
	w.start(address, w.topup, "serve", "--listen", address)
	return w
}

func (w *world) command(args ...string) *exec.Cmd {
	cmd := exec.CommandContext(w.Context(), w.topup, args...)
	cmd.Env = w.environment
	return cmd
}

// start runs a process until the test ends, and waits until its address answers.
func (w *world) start(address, program string, args ...string) {
	w.Helper()
	if _, err := exec.LookPath(program); err != nil {
		w.Fatalf("%s is missing: make test-browser installs it", program)
	}
	cmd := exec.Command(program, args...)
	cmd.Env = w.environment
	var said lockedBuffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		patience := time.AfterFunc(20*time.Second, func() { _ = cmd.Process.Kill() })
		defer patience.Stop()
		if err := cmd.Wait(); err != nil || w.Failed() {
			w.Logf("%s %s: %v\n%s", filepath.Base(program), args[0], err, said.String())
		}
	})
	for deadline := time.Now().Add(2 * time.Minute); address != ""; time.Sleep(20 * time.Millisecond) {
		c, err := (&net.Dialer{}).DialContext(w.Context(), "tcp", address)
		if err == nil {
			_ = c.Close()
			return
		}
		if time.Now().After(deadline) {
			w.Fatalf("%s %s does not listen:\n%s", program, args[0], said.String())
		}
	}
}

// send sends one top-up through the API, and waits until it is paid: on a busy machine that can be longer
// than one request may wait, and the same again asks for the same top-up.
func (w *world) send(id, number string) {
	w.Helper()
	body := `{"operatorId":1100,"amount":832,"customIdentifier":"` + id + `","recipientPhone":{"countryCode":"AE","number":"` + number + `"}}`
	for deadline := time.Now().Add(3 * time.Minute); ; {
		status, text := w.post(body)
		if status == http.StatusOK && bytes.Contains(text, []byte(`"state":"succeeded"`)) {
			return
		}
		if time.Now().After(deadline) || status >= 400 {
			w.Fatalf("%d %s", status, text)
		}
	}
}

func (w *world) post(body string) (status int, text []byte) {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), 2*time.Minute)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url+"/v1/topups?wait=30s", strings.NewReader(body))
	if err != nil {
		w.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+w.key)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		w.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	if text, err = io.ReadAll(answer.Body); err != nil {
		w.Fatal(err)
	}
	return answer.StatusCode, text
}

func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }() // the process needs the port
	return listener.Addr().String()
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
