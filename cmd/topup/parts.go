package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"example.com/topup/enqueue"
	"example.com/topup/reloadly"
	"example.com/topup/reloadly/sandbox"
	"example.com/topup/worker"
)

const defaultPost = 90 * time.Second

// newReloadly is the client of the settings' account, with its token shared in Redis
// unless o is nil.
func newReloadly(s Settings, o *opened, log *slog.Logger, watchers ...func(*reloadly.Config)) (*reloadly.Client, error) {
	if s.ClientID == "" || s.ClientSecret == "" {
		return nil, usage(errors.New("RELOADLY_CLIENT_ID and RELOADLY_CLIENT_SECRET are needed (or their _FILE variants)"))
	}
	env := reloadly.Environment(s.Environment)
	var tokens reloadly.TokenCache
	if o != nil {
		tokens = reloadly.NewRedisTokenCache(o.rdb, env, s.ClientID, s.ClientSecret)
	}
	cfg := reloadly.Config{
		Environment: env, ClientID: s.ClientID, ClientSecret: s.ClientSecret,
		AuthURL: s.AuthURL, APIURL: s.APIURL, InFlight: s.InFlight, Logger: log,
		PostTimeout: time.Duration(float64(defaultPost) * s.TimeScale),
		TokenCache:  tokens,
	}
	for _, watch := range watchers {
		watch(&cfg)
	}
	c, err := reloadly.New(cfg)
	if err != nil {
		return nil, usage(err)
	}
	return c, nil
}

// newWorker is the worker of the settings.
func newWorker(s Settings, o *opened, client *reloadly.Client, log *slog.Logger, seen func(enqueue.Result), watchers ...func(*worker.Config)) (*worker.Worker, error) {
	key, err := s.numberKey()
	if err != nil {
		return nil, err
	}
	cfg := worker.Config{
		Redis: o.rdb, Reloadly: client, Ledger: s.ledger(o.epoch), InFlight: s.InFlight, Servers: s.Servers, Async: s.Async,
		PerSecond: s.PerSecond, FleetInFlight: s.FleetInFlight, MaxPerNumberPerDay: s.MaxPerNumber, Spacing: s.Spacing, Scale: s.TimeScale,
		NumberKey: key, Audit: s.audit(), Name: s.Name, Logger: log, OnTransition: seen,
	}
	for _, watch := range watchers {
		watch(&cfg)
	}
	w, err := worker.New(cfg)
	if err != nil {
		return nil, usage(err)
	}
	return w, nil
}

// system is everything in one process, over real HTTP and a real Redis protocol.
type system struct {
	settings Settings
	opened   *opened
	sim      *simulator
	reloadly *reloadly.Client
	client   *enqueue.Client
	stop     context.CancelFunc
	done     chan error
}

// startSystem starts Redis, simulator and worker. What the settings say about Reloadly
// is replaced by the simulator: nothing started here can reach the real one.
func startSystem(ctx context.Context, s Settings, listen string, sim sandbox.Config, log *slog.Logger, seen func(enqueue.Result)) (*system, error) {
	if s.live() {
		return nil, usage(errors.New("RELOADLY_ENV: demo and dev use the simulator and never move money; unset it"))
	}
	sys := &system{done: make(chan error, 1), stop: func() {}}
	var err error
	if sys.opened, err = openRedis(ctx, s); err != nil {
		return nil, err
	}
	sim.TimeScale = s.TimeScale
	if sys.sim, err = startSimulator(ctx, listen, sim); err != nil {
		sys.opened.close()
		return nil, err
	}
	s.ClientID, s.ClientSecret = "demo-client", "demo-secret"
	s.AuthURL, s.APIURL = sys.sim.url, sys.sim.url
	sys.settings = s
	var w *worker.Worker
	sys.reloadly, err = newReloadly(s, sys.opened, log)
	if err == nil {
		w, err = newWorker(s, sys.opened, sys.reloadly, log, seen)
	}
	if err != nil {
		_ = sys.sim.close(ctx) // the first error is the one to tell
		sys.opened.close()
		return nil, err
	}
	sys.client = enqueue.NewClient(sys.opened.rdb, enqueue.ClientConfig{
		Ledger: s.ledger(sys.opened.epoch), PollInterval: 200 * time.Millisecond, Logger: log,
	})
	running, stop := context.WithCancel(ctx)
	sys.stop = stop
	go func() { sys.done <- w.Run(running) }()
	return sys, nil
}

// close ends the worker first, so that its POSTs still meet a simulator, and Redis last.
func (sys *system) close() error {
	sys.stop()
	workErr := <-sys.done
	clientErr := sys.client.Close()
	sys.reloadly.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second) // the command's own has ended
	defer cancel()
	simErr := sys.sim.close(ctx)
	sys.opened.close()
	if err := errors.Join(workErr, clientErr, simErr); err != nil {
		return fmt.Errorf("shut down: %w", err)
	}
	return nil
}

// connect is the way in of a command that talks to a running worker.
func (a *app) connect(ctx context.Context) (*enqueue.Client, *opened, func(), error) {
	o, err := openShared(ctx, a.settings)
	if err != nil {
		return nil, nil, nil, err
	}
	log := newLogger(a.err, a.settings.LogLevel)
	if err := checkSafe(ctx, o, a.settings, log); err != nil {
		o.close()
		return nil, nil, nil, err
	}
	traced, err := newTracing(ctx, log)
	if err != nil {
		o.close()
		return nil, nil, nil, err
	}
	c := enqueue.NewClient(o.rdb, enqueue.ClientConfig{Ledger: a.settings.ledger(o.epoch), Logger: log, Headers: traced.enqueueing()})
	return c, o, func() {
		_ = c.Close() // nothing is left to lose
		traced.close()
		o.close()
	}, nil
}
