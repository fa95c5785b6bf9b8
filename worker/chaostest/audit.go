package main

import (
	"context"
	"fmt"

	"example.com/topup/enqueue"
	"example.com/topup/reloadly"
	"example.com/topup/worker"
)

// audit lets the product compare the books itself, past the proxies, when everything is at
// rest. It has nothing to find but what jobs paid about which a person is to decide.
func (w *world) audit(ctx context.Context, e *evidence) (*check, error) {
	c := &check{name: "audit agrees"}
	client, err := reloadly.New(reloadly.Config{
		ClientID: "chaos-client", ClientSecret: "chaos-secret", AuthURL: w.simulator.url, APIURL: w.simulator.url,
	})
	if err != nil {
		return nil, err
	}
	defer client.Close()
	jobs := enqueue.NewClient(w.redis.direct, enqueue.ClientConfig{Ledger: w.settings.ledger()})
	defer func() { _ = jobs.Close() }() // nothing is left to lose
	holds := worker.NewHolds(w.redis.direct, worker.HoldConfig{})
	audit, err := worker.NewAuditor(w.redis.direct, jobs, client, holds, worker.AuditConfig{}).Look(ctx)
	if err != nil {
		return nil, err
	}
	for _, f := range audit.Findings {
		if id := owner(f.Identifier); f.Verdict != worker.Booked || e.results[id].State != enqueue.NeedsReview {
			c.wrong("job %s: %s: %s", id, f.Verdict, f.Why)
		}
	}
	c.detail = fmt.Sprintf("%d transactions of Reloadly's report", audit.Transactions)
	return c, nil
}
