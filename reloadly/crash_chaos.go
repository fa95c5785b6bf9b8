//go:build topup_control

package reloadly

import (
	"bytes"
	"context"
	"net"
	"os"
)

// Crash points of worker/chaostest around a POST that pays; see enqueue/crash_chaos.go.
// post:before, body:before (the headers are out), body:half, body:after (all of the request is
// out), post:after (its answer is here, and nothing is booked).

// CrashAt ends the process when it is at the point that TOPUP_CRASH names.
var CrashAt = func(string) {}

func init() {
	if os.Getenv("TOPUP_CRASH") == "" {
		return
	}
	inner := send
	send = func(c *Client, ctx context.Context, cl call) *Error {
		CrashAt("post:before")
		e := inner(c, ctx, cl)
		CrashAt("post:after")
		return e
	}
	connect := dial
	dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := connect(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &crashConn{Conn: conn}, nil
	}
}

// crashConn knows where in a request that pays it is.
type crashConn struct {
	net.Conn
	body bool // the body of such a request comes next
}

func (c *crashConn) Write(p []byte) (int, error) {
	if c.body {
		c.body = false
		return c.writeBody(p)
	}
	if !bytes.HasPrefix(p, []byte("POST /topups")) {
		return c.Conn.Write(p)
	}
	head := len(p)
	if end := bytes.Index(p, []byte("\r\n\r\n")); end >= 0 {
		head = end + 4
	}
	n, err := c.Conn.Write(p[:head])
	if err != nil {
		return n, err
	}
	CrashAt("body:before")
	if c.body = head == len(p); c.body {
		return n, nil
	}
	m, err := c.writeBody(p[head:])
	return n + m, err
}

func (c *crashConn) writeBody(p []byte) (int, error) {
	half := len(p) / 2
	n, err := c.Conn.Write(p[:half])
	if err != nil {
		return n, err
	}
	CrashAt("body:half")
	m, err := c.Conn.Write(p[half:])
	CrashAt("body:after")
	return n + m, err
}
