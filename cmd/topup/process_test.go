package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"

	"example.com/topup/reloadly/sandbox"
)

// process is this program in a process of its own, which ends with the test.
type process struct {
	t   *testing.T
	cmd *exec.Cmd
	mu  sync.Mutex
	log bytes.Buffer // what it wrote to stderr
}

// startProcess runs topup with some arguments and nothing of this process's environment
// but what environment says.
func startProcess(t *testing.T, environment []string, args ...string) *process {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, cmd: exec.Command(program, args...)}
	p.cmd.Args[0] = "topup" // see TestMain
	p.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir()}, environment...)
	p.cmd.Stderr = p
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait() // ended or killed
		if t.Failed() {
			t.Logf("topup %v:\n%s", args, p.text())
		}
	})
	return p
}

// Write takes what the process says.
func (p *process) Write(text []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.Write(text)
}

func (p *process) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// ends waits for the end of the process after SIGTERM.
func (p *process) ends() {
	p.t.Helper()
	p.signal(syscall.SIGTERM)
	if err := p.cmd.Wait(); err != nil {
		p.t.Errorf("the process ended with %v", err)
	}
}

// account is a simulator that notes with which secrets access was asked for.
type account struct {
	*httptest.Server
	mu      sync.Mutex
	secrets []string
}

func startAccount(t *testing.T) *account {
	t.Helper()
	sim, err := sandbox.New(sandbox.Config{})
	if err != nil {
		t.Fatal(err)
	}
	a := &account{}
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/oauth/token" {
			body, _ := io.ReadAll(r.Body)
			r.Body = io.NopCloser(bytes.NewReader(body))
			var asked struct {
				ClientSecret string `json:"client_secret"`
			}
			_ = json.Unmarshal(body, &asked)
			a.mu.Lock()
			a.secrets = append(a.secrets, asked.ClientSecret)
			a.mu.Unlock()
		}
		sim.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		a.Close()
		_ = sim.Close()
	})
	return a
}

// last is the secret of the last request for access.
func (a *account) last() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.secrets) == 0 {
		return ""
	}
	return a.secrets[len(a.secrets)-1]
}

// scrape is a process's exposition, empty where it does not answer.
func scrape(address string) string {
	client := http.Client{Timeout: busy * 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Get("http://" + address + "/metrics")
	if err != nil {
		return ""
	}
	defer func() { _ = res.Body.Close() }()
	text, _ := io.ReadAll(res.Body)
	return string(text)
}
