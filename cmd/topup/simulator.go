package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"example.com/topup/reloadly/sandbox"
)

// simulator is Reloadly's stand-in on a real listener.
type simulator struct {
	*sandbox.Simulator
	url    string
	server *http.Server
	failed chan error // gets what ended the server, nil after close
}

func startSimulator(ctx context.Context, listen string, cfg sandbox.Config) (*simulator, error) {
	sim, err := sandbox.New(cfg)
	if err != nil {
		return nil, usage(err)
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", listen)
	if err != nil {
		return nil, errors.Join(usage(fmt.Errorf("listen on %s: %w", listen, err)), sim.Close())
	}
	s := &simulator{
		Simulator: sim, url: "http://" + listener.Addr().String(), failed: make(chan error, 1),
		server: &http.Server{Handler: sim, ReadHeaderTimeout: 10 * time.Second},
	}
	go func() {
		err := s.server.Serve(listener)
		if errors.Is(err, http.ErrServerClosed) {
			err = nil
		}
		s.failed <- err
	}()
	return s, nil
}

// close ends the simulator; its ledger file is closed last.
func (s *simulator) close(ctx context.Context) error {
	err := s.server.Shutdown(ctx)
	if err != nil { // an answer is still under way: cut it
		err = s.server.Close()
	}
	return errors.Join(err, s.Close())
}
