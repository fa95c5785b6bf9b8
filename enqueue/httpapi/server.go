package httpapi

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/go-redis/redis_rate/v10"
	"github.com/redis/go-redis/v9"

	"example.com/topup/enqueue"
	"example.com/topup/enqueue/campaign"
)

// Config is what a server needs. Redis and Client are required; the zero value of
// everything else is its default.
type Config struct {
	// Redis holds the keys, the rates and the jobs; Client works on it. Both stay the
	// caller's to close, after the server has ended.
	Redis  redis.UniversalClient
	Client *enqueue.Client
	// WebhookSecret signs Reloadly's notifications. Empty: there is no webhook.
	WebhookSecret string
	// MaxWait is how long a request may wait for a result. Defaults to 60 s.
	MaxWait time.Duration
	// ReadTimeout is how long a request may take to arrive, with its body. Defaults to
	// 15 s; its header to a third of it.
	ReadTimeout time.Duration
	// StopTimeout is how long requests may go on after the end was asked for; those who
	// wait are answered at once. Defaults to 10 s.
	StopTimeout time.Duration
	// Logger gets one line for each request. Defaults to none.
	Logger *slog.Logger
}

func (c Config) withDefaults() (Config, error) {
	c.MaxWait = cmp.Or(c.MaxWait, time.Minute)
	c.ReadTimeout = cmp.Or(c.ReadTimeout, 15*time.Second)
	c.StopTimeout = cmp.Or(c.StopTimeout, 10*time.Second)
	c.Logger = cmp.Or(c.Logger, slog.New(slog.DiscardHandler))
	if c.Redis == nil || c.Client == nil {
		return c, errors.New("httpapi: Redis and Client are needed")
	}
	return c, nil
}

// redisTime is how long Redis may take for one request.
var redisTime = 5 * time.Second

// Server answers requests. It is an [http.Handler] too, for a server of one's own:
// then a key is always needed.
type Server struct {
	cfg       Config
	client    *enqueue.Client
	campaigns *campaign.Store
	keys      *Keys
	limiter   *redis_rate.Limiter
	origin    *http.CrossOriginProtection
	mux       *http.ServeMux
	spec      []byte
	log       *slog.Logger
	// loopback is set while no key may be needed.
	loopback atomic.Bool
	// life ends when the server stops.
	life context.Context //nolint:containedctx // it is the server's own, for those who wait
	stop context.CancelFunc
}

// New makes a server. It touches Redis only when it is used.
func New(cfg Config) (*Server, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Server{
		cfg: cfg, client: cfg.Client, campaigns: campaign.NewStore(cfg.Redis), keys: NewKeys(cfg.Redis), limiter: redis_rate.NewLimiter(cfg.Redis),
		origin: http.NewCrossOriginProtection(), mux: http.NewServeMux(), log: cfg.Logger,
	}
	s.life, s.stop = context.WithCancel(context.Background()) // ends with Stop
	api := s.routes()
	if s.spec, err = json.MarshalIndent(api.OpenAPI(), "", "  "); err != nil {
		return nil, fmt.Errorf("httpapi: describe the API: %w", err)
	}
	return s, nil
}

// ErrNeedsKey says that a server without any key must not be reached from elsewhere.
var ErrNeedsKey = errors.New("there is no key, so it listens on a loopback address alone (make one with topup key create, or listen on 127.0.0.1)")

// Serve answers on the listener until ctx ends, and then in order: those who wait get
// the present state, requests under way end, connections are closed. It closes the
// listener in any case.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	some, err := s.keys.exist(ctx)
	if err == nil && !some && !isLoopback(listener.Addr()) {
		err = ErrNeedsKey
	}
	if err != nil {
		_ = listener.Close() // nobody has connected yet
		return fmt.Errorf("listen on %s: %w", listener.Addr(), err)
	}
	s.loopback.Store(!some)
	server := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: s.cfg.ReadTimeout / 3,
		ReadTimeout:       s.cfg.ReadTimeout,
		WriteTimeout:      s.cfg.MaxWait + 2*s.cfg.ReadTimeout,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		s.Stop()
		return fmt.Errorf("serve on %s: %w", listener.Addr(), err)
	case <-ctx.Done():
	}
	s.Stop()
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.StopTimeout)
	defer cancel()
	err = server.Shutdown(ending)
	if err != nil { // a request is still under way: cut it, its caller repeats it
		err = server.Close()
	}
	if served := <-failed; err == nil && !errors.Is(served, http.ErrServerClosed) {
		err = served
	}
	if err != nil {
		return fmt.Errorf("stop serving on %s: %w", listener.Addr(), err)
	}
	return nil
}

// Stop answers those who wait, and is not ready any more. [Server.Serve] does it.
func (s *Server) Stop() { s.stop() }

func isLoopback(addr net.Addr) bool {
	switch a := addr.(type) {
	case *net.TCPAddr:
		return a.IP.IsLoopback()
	case *net.UnixAddr:
		return true
	default:
		return false
	}
}
