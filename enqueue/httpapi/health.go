package httpapi

import (
	"context"
	"net/http"
	"time"
)

type health struct {
	Body struct {
		Status string `json:"status" enum:"ok"`
	} `nameHint:"Health"`
}

func healthy() *health {
	h := &health{}
	h.Body.Status = "ok"
	return h
}

// live is GET /livez. It is never tied to Redis: restarting this process would not
// bring Redis back.
func (s *Server) live(context.Context, *struct{}) (*health, error) { return healthy(), nil }

// readyTime is how long Redis may take to show that it is there.
var readyTime = time.Second

// ready is GET /readyz: whether requests can be served.
func (s *Server) ready(ctx context.Context, _ *struct{}) (*health, error) {
	if s.life.Err() != nil {
		return nil, problem(http.StatusServiceUnavailable, CodeUnavailable, "the server is stopping").retryAfter(time.Second)
	}
	ctx, cancel := context.WithTimeout(ctx, readyTime)
	defer cancel()
	answer := make(chan error, 1)
	go func() { answer <- s.cfg.Redis.Ping(ctx).Err() }() // go-redis waits longer for a server that hangs
	var err error
	select {
	case err = <-answer:
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		s.log.WarnContext(ctx, "redis does not answer", "error", err)
		return nil, unavailable("Redis does not answer")
	}
	return healthy(), nil
}
