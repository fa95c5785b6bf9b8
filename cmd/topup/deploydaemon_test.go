package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// daemon is a program that the test started, with what it wrote.
type daemon struct {
	name string
	cmd  *exec.Cmd
	out  *lockedBuffer
	done chan error
}

// lockedBuffer is what a process wrote, also while it writes.
type lockedBuffer struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all.Write(p)
}

func (b *lockedBuffer) text() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all.String()
}

// startDaemon starts a program with this environment alone; it is killed at the
// test's end where it still runs.
func startDaemon(t *testing.T, name string, env []string, args ...string) *daemon {
	t.Helper()
	p := &daemon{name: name, out: &lockedBuffer{}, done: make(chan error, 1)}
	p.cmd = exec.Command(args[0], args[1:]...)
	p.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH")}, env...)
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.out
	p.cmd.WaitDelay = 10 * time.Second
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	go func() { p.done <- p.cmd.Wait() }()
	t.Cleanup(func() {
		if is, _ := p.ended(); !is {
			_ = p.cmd.Process.Kill()
			p.done <- <-p.done // it was killed; the next who asks hears it too
		}
		if t.Failed() {
			t.Logf("%s wrote:\n%s", name, p.out.text())
		}
	})
	return p
}

// ended reports whether the process has ended, and how.
func (p *daemon) ended() (bool, error) {
	select {
	case err := <-p.done:
		p.done <- err // for the next who asks
		return true, err
	default:
		return false, nil
	}
}

// stop asks the process to end, and wants it to end well and to say so.
func stop(t *testing.T, p *daemon) {
	t.Helper()
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	eventually(t, time.Minute, p.name+" stops", func() bool { is, err := p.ended(); return is && err == nil })
	for began, command := range map[string]string{"worker started": "worker", `"msg":"serving"`: "serve"} {
		ended := fmt.Sprintf(`"msg":"ended","command":%q`, command)
		if text := p.out.text(); strings.Contains(text, began) && (!strings.Contains(text, "what is under way is waited for") || !strings.Contains(text, ended)) {
			t.Errorf("the log of %s breaks off:\n%s", p.name, text)
		}
	}
}
