package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// disturbance is what a proxy does for a while to every connection that goes through.
type disturbance struct {
	Delay   time.Duration // of each piece, in both directions
	Swallow bool          // replies do not arrive; the connection is reset in the end
	Reset   int64         // the connection is reset after so many bytes more; 0: never
}

// proxy is one way between two processes.
type proxy struct {
	running  context.Context // that of the whole run
	target   string
	listener net.Listener

	mu    sync.Mutex
	now   disturbance
	links map[*link]bool
}

type link struct {
	proxy          *proxy
	client, server *net.TCPConn
	left           int64 // bytes until the reset, while there is one
	swallowed      bool
}

func newProxy(ctx context.Context, target string) (*proxy, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &proxy{running: ctx, target: target, listener: listener, links: map[*link]bool{}}
	go p.accept()
	return p, nil
}

func (p *proxy) addr() string { return p.listener.Addr().String() }

func (p *proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		} else if err != nil {
			continue
		}
		go p.connect(client.(*net.TCPConn))
	}
}

func (p *proxy) connect(client *net.TCPConn) {
	server, err := (&net.Dialer{}).DialContext(p.running, "tcp", p.target)
	if err != nil {
		(&link{client: client, server: client}).abort() // as if nobody listened
		return
	}
	l := &link{proxy: p, client: client, server: server.(*net.TCPConn)}
	p.mu.Lock()
	l.left = p.after()
	p.links[l] = true
	p.mu.Unlock()
	go l.pump(l.server, l.client, false)
	l.pump(l.client, l.server, true)
}

// after is where the next reset comes: anywhere up to the disturbance's bytes.
func (p *proxy) after() int64 {
	if p.now.Reset == 0 {
		return 0
	}
	return 1 + rand.Int64N(p.now.Reset)
}

// disturb hurts the way for d.
func (p *proxy) disturb(ctx context.Context, d time.Duration, with disturbance) {
	p.set(with)
	pause(ctx, d)
	p.set(disturbance{})
}

func (p *proxy) set(d disturbance) {
	p.mu.Lock()
	p.now = d
	var broken []*link
	for l := range p.links {
		l.left = p.after()
		if l.swallowed && !d.Swallow { // what was swallowed is gone: such a connection cannot go on
			broken = append(broken, l)
		}
	}
	p.mu.Unlock()
	for _, l := range broken {
		l.abort()
	}
}

// pump carries one direction until it ends.
func (l *link) pump(to, from *net.TCPConn, reply bool) {
	buffer := make([]byte, 16<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			delay, pass, reset := l.treat(int64(n), reply)
			time.Sleep(delay)
			if pass > 0 {
				if _, werr := to.Write(buffer[:pass]); werr != nil {
					err = werr
				}
			}
			if reset {
				l.abort()
				return
			}
		}
		if err != nil {
			// Half of a connection may end before the other: a request that was sent whole
			// goes on to be worked at, as it does in reality.
			_ = to.CloseWrite()
			if reply {
				l.close()
			}
			return
		}
	}
}

// treat decides about n bytes: how late, how many, and whether it is the end.
func (l *link) treat(n int64, reply bool) (delay time.Duration, pass int64, reset bool) {
	l.proxy.mu.Lock()
	defer l.proxy.mu.Unlock()
	now := l.proxy.now
	if now.Swallow && reply || l.swallowed && reply {
		l.swallowed = true
		return now.Delay, 0, false
	}
	if l.left > 0 {
		if l.left <= n {
			return now.Delay, l.left, true
		}
		l.left -= n
	}
	return now.Delay, n, false
}

// abort resets both sides; what is not yet delivered is thrown away.
func (l *link) abort() {
	_, _ = l.client.SetLinger(0), l.server.SetLinger(0)
	l.close()
}

func (l *link) close() {
	_, _ = l.client.Close(), l.server.Close()
	if l.proxy != nil {
		l.proxy.mu.Lock()
		delete(l.proxy.links, l)
		l.proxy.mu.Unlock()
	}
}

// close ends the way and everything on it.
func (p *proxy) close() {
	_ = p.listener.Close() // nothing is left to lose
	p.mu.Lock()
	links := p.links
	p.links = map[*link]bool{}
	p.mu.Unlock()
	for l := range links {
		_, _ = l.client.Close(), l.server.Close()
	}
}
