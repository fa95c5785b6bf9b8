package main

import (
	"context"
	"io"
	"net"
	"testing"
	"time"
)

// echo is a server that says everything twice, and the proxy before it.
func echo(t *testing.T) *proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = c.Close() }()
				_, _ = io.Copy(c, c)
			}()
		}
	}()
	p, err := newProxy(t.Context(), listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.close()
		_ = listener.Close()
	})
	return p
}

// ask sends a text and reads what comes back of it: at once, or after as long as a busy machine may take.
func ask(t *testing.T, c net.Conn, text string) (string, error) {
	t.Helper()
	if _, err := c.Write([]byte(text)); err != nil {
		return "", err
	}
	_ = c.SetReadDeadline(time.Now().Add(time.Minute))
	got := make([]byte, len(text))
	n, err := io.ReadFull(c, got)
	return string(got[:n]), err
}

func TestProxy(t *testing.T) {
	p := echo(t)
	dial := func() net.Conn {
		c, err := net.Dial("tcp", p.addr())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	c := dial()
	if got, err := ask(t, c, "hello"); got != "hello" || err != nil {
		t.Fatal(got, err)
	}

	p.set(disturbance{Delay: 60 * time.Millisecond})
	began := time.Now()
	if got, err := ask(t, c, "late"); got != "late" || err != nil || time.Since(began) < 120*time.Millisecond {
		t.Error("not delayed:", got, err, time.Since(began))
	}

	p.set(disturbance{Swallow: true})
	if _, err := c.Write([]byte("lost")); err != nil {
		t.Fatal(err)
	}
	swallowed := func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		for l := range p.links {
			if l.swallowed {
				return true
			}
		}
		return false
	}
	for deadline := time.Now().Add(time.Minute); !swallowed(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the reply was not swallowed")
		}
	}
	_ = c.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if n, err := c.Read(make([]byte, 4)); n > 0 || err == nil {
		t.Error("the reply was not swallowed:", n, err)
	}
	p.set(disturbance{})
	if got, err := ask(t, c, "over"); err == nil {
		t.Error("a connection went on that had lost a reply:", got)
	}

	c = dial()
	p.set(disturbance{Reset: 3})
	if got, err := ask(t, c, "reset"); err == nil {
		t.Error("not reset:", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	p.disturb(ctx, time.Hour, disturbance{Swallow: true}) // ends with the context, and with the trouble
	if got, err := ask(t, dial(), "again"); got != "again" || err != nil {
		t.Error(got, err)
	}
}
