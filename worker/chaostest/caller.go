package main

import (
	"context"
	"encoding/json"
	"errors"
	"path/filepath"

	"github.com/redis/go-redis/v9"

	"example.com/topup/enqueue"
)

// callerRole is the variable that makes this program a caller: a process that submits,
// withdraws or decides, and that can be killed while it does. Its value is a
// callerConfig.
const callerRole = "CHAOSTEST_CALLER"

// callerConfig is what the caller's process is told to do, in this order.
type callerConfig struct {
	Redis    string
	Settings settings
	Submit   []enqueue.TopUp // one by one
	Bulk     []enqueue.TopUp // together
	Cancel   string
	GiveUp   string // the id of a job that must not be sent any more
	Fail     string // the id of a job that a person ends as unpaid
}

func playCaller(ctx context.Context, text string) error {
	var cfg callerConfig
	if err := json.Unmarshal([]byte(text), &cfg); err != nil {
		return err
	}
	rdb := redis.NewClient(&redis.Options{Addr: cfg.Redis})
	defer func() { _ = rdb.Close() }() // every answer is here
	client := enqueue.NewClient(rdb, enqueue.ClientConfig{Ledger: cfg.Settings.ledger()})
	defer func() { _ = client.Close() }() // it waits for nothing
	for _, t := range cfg.Submit {
		if _, err := client.TopUp(ctx, t); err != nil {
			return err
		}
	}
	for _, a := range client.TopUps(ctx, cfg.Bulk) {
		if a.Err != nil {
			return a.Err
		}
	}
	if cfg.Cancel != "" {
		if _, err := client.Cancel(ctx, cfg.Cancel); err != nil {
			return err
		}
	}
	if cfg.GiveUp != "" {
		r, err := client.Ledger().Load(ctx, cfg.GiveUp)
		if err != nil {
			return err
		}
		if _, err := client.Ledger().GiveUp(ctx, r); err != nil {
			return err
		}
	}
	if cfg.Fail != "" {
		err := client.Ledger().Fail(ctx, cfg.Fail)
		// A caller that died after the decision was written decides again.
		if r, getErr := client.Get(ctx, cfg.Fail); errors.Is(err, enqueue.ErrNotReviewable) && getErr == nil && r.State == enqueue.Failed {
			err = nil
		}
		return err
	}
	return nil
}

// call runs a caller's process to its end.
func (g *stage) call(name, program string, cfg callerConfig, more ...string) (*process, error) {
	cfg.Redis, cfg.Settings = g.redis.addr, g.settings
	text, err := json.Marshal(cfg)
	if err != nil {
		return nil, err
	}
	p, err := start(g.running, name, filepath.Join(g.dir, name+".log"), append(more, callerRole+"="+string(text)), program)
	if err == nil {
		<-p.done
	}
	return p, err
}
