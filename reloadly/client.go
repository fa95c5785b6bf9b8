package reloadly

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"
)

// Client talks to one account in one environment. It is safe for concurrent use; make one per process.
type Client struct {
	cfg       Config
	transport *http.Transport
	http      *http.Client
	access    *tokenSource
	retry     retrier
	current   atomic.Pointer[credentials]
	masked    atomic.Pointer[[]string]
}

// New checks the configuration and makes a Client. It connects to nothing; see [Client.Ready]. An error
// names every field that is wrong and never contains the secret.
func New(cfg Config) (*Client, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("reloadly: %w", err)
	}
	c := &Client{
		cfg:       cfg,
		transport: newTransport(cfg),
		retry:     retrier{initial: cfg.BackoffInitial, total: cfg.ReadRetryFor},
	}
	c.http = &http.Client{
		Transport: c.transport,
		// A redirect of a POST would be a second request, or a GET whose 200 looks like success.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	c.current.Store(&credentials{cfg.ClientID, cfg.ClientSecret, cfg.TokenCache})
	c.mask(cfg.ClientSecret)
	c.access = newTokenSource(c)
	return c, nil
}

// Close ends background work and closes idle connections. Calls in progress go on.
func (c *Client) Close() {
	c.access.close()
	c.transport.CloseIdleConnections()
}

// Ready makes sure that access is granted, before any money is at stake. The error is an *Error with
// NotSent; refused credentials have the advice HoldAccount, everything else RetryLater or RateLimited.
func (c *Client) Ready(ctx context.Context) error {
	if _, e := c.access.get(ctx); e != nil {
		return e
	}
	return nil
}

// newTransport makes the one pool. HTTP_PROXY and its like are ignored on purpose: a proxy left in an
// environment could complete, repeat or answer a request that pays, and nobody would know. A proxy that
// is wanted is an APIURL.
func newTransport(cfg Config) *http.Transport {
	secure := &tls.Config{}
	if cfg.TLS != nil {
		secure = cfg.TLS.Clone()
	}
	if secure.MinVersion == 0 {
		secure.MinVersion = tls.VersionTLS12
	}
	if secure.ClientSessionCache == nil {
		// The provider closes the connection after each call [obs]: resuming saves most of each handshake.
		secure.ClientSessionCache = tls.NewLRUClientSessionCache(cfg.InFlight)
	}
	return &http.Transport{
		Proxy:                  nil,
		DialContext:            gated(cfg.Dial),
		TLSClientConfig:        secure,
		TLSHandshakeTimeout:    10 * time.Second,
		ForceAttemptHTTP2:      true,
		MaxIdleConns:           cfg.InFlight,
		MaxIdleConnsPerHost:    cfg.InFlight,
		IdleConnTimeout:        30 * time.Second, // short: a connection the other side has dropped makes an Unknown
		ResponseHeaderTimeout:  max(cfg.PostTimeout, cfg.ReadTimeout),
		MaxResponseHeaderBytes: 256 << 10,
		// A dead HTTP/2 connection would swallow a request that pays until its timeout.
		HTTP2: &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 15 * time.Second},
	}
}
