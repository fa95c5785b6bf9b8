package reloadly

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync/atomic"
	"time"
)

// CallOption changes one call of TopUp or TopUpAsync.
type CallOption func(*permission)

// FirstByteBy is the permission to send: after t, by the wall clock or by the monotonic one, no byte of
// the request is written and the call returns an *Error with NotSent and CodePermissionExpired.
//
// Both clocks, because a process can be stopped (the monotonic clock may stand still meanwhile) and the
// wall clock can be set back. A t straight from time.Now().Add carries both; one that was stored and
// read again has only the wall clock, and the monotonic limit then starts with the call.
func FirstByteBy(t time.Time) CallOption {
	return func(p *permission) { p.set, p.wall = true, t.Round(0); p.mono = t }
}

// permission is the zero value for "at any time".
type permission struct {
	set  bool
	wall time.Time // without a monotonic reading: compared by the wall clock
	mono time.Time // with one, where the clock has one: compared by it
}

func newPermission(now time.Time, opts []CallOption) permission {
	var p permission
	for _, opt := range opts {
		opt(&p)
	}
	if p.set {
		// Gives a stored t a monotonic reading; one that has it keeps it, exactly.
		p.mono = now.Add(p.mono.Sub(now))
	}
	return p
}

func (p permission) expired(now time.Time) bool {
	return p.set && (now.Round(0).After(p.wall) || now.After(p.mono))
}

var errNotOpened = errors.New("the request was not let out")

// guard decides whether a POST goes out, in pass and nowhere else. It stands at two doors:
//
//   - before each write to the connection, over HTTP/1.1, where one connection carries one request at a
//     time. A guard at the body alone is not enough: net/http flushes the headers before it reads a body of
//     a type that it does not know (net/http/transfer.go, isKnownInMemoryReader).
//   - before each Read of the body. Over HTTP/2 the connection is shared and the header frame may
//     precede, but without the body, which holds operator, amount and recipient, nothing can be executed.
type guard struct {
	may   func() bool
	state atomic.Int32
}

const (
	shut    int32 = iota // nothing has passed
	opened               // something has: it may have arrived
	refused              // nothing has and nothing ever will
)

// pass is asked right before bytes leave. What has begun in time does not go on too late either: the
// process may be stopped between the headers and the body.
func (g *guard) pass() bool {
	if !g.may() {
		g.refuse()
		return false
	}
	g.state.CompareAndSwap(shut, opened)
	return g.state.Load() == opened
}

// refuse makes sure that nothing will pass any more, and reports whether nothing ever did. That is the
// proof behind NotSent: a transport still busy with a cancelled call cannot start to write later.
func (g *guard) refuse() bool {
	g.state.CompareAndSwap(shut, refused)
	return g.state.Load() == refused
}

// guardedBody is the door at the body.
type guardedBody struct {
	guard *guard
	data  *bytes.Reader
}

func (b guardedBody) Read(p []byte) (int, error) {
	if !b.guard.pass() {
		return 0, errNotOpened
	}
	return b.data.Read(p)
}

func (guardedBody) Close() error { return nil }

// gatedConn is the door at the connection; every connection of the pool is one.
type gatedConn struct {
	net.Conn
	guard atomic.Pointer[guard] // of the request that has the connection; nil lets everything pass
}

func (c *gatedConn) Write(p []byte) (int, error) {
	if g := c.guard.Load(); g != nil && !g.pass() {
		return 0, errNotOpened
	}
	return c.Conn.Write(p)
}

// gated makes every connection of a dialer one that can be guarded.
func gated(dial func(ctx context.Context, network, addr string) (net.Conn, error)) func(ctx context.Context, network, addr string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return &gatedConn{Conn: conn}, nil
	}
}

// gateOf finds the gate under a connection that was obtained, nil for a shared one.
func gateOf(conn net.Conn) *gatedConn {
	if secure, ok := conn.(*tls.Conn); ok {
		if secure.ConnectionState().NegotiatedProtocol == "h2" {
			return nil
		}
		conn = secure.NetConn()
	}
	gate, _ := conn.(*gatedConn)
	return gate
}
