//go:build topup_control

package worker

import (
	"crypto/rand"
	"os"
	"strconv"

	"example.com/topup/enqueue"
	"example.com/topup/enqueue/campaign"
)

// Negative controls of worker/chaostest; see enqueue/control_chaos.go.
func init() {
	switch os.Getenv("TOPUP_CONTROL") {
	case "fresh-identifier": // each send has an identifier of its own
		identifier = func(r *enqueue.Record) string {
			return r.Identifier() + "~try" + strconv.Itoa(r.Sends)
		}
	case "fresh-job": // each handing over of a row has a job of its own
		topUp = func(r *campaign.Row, name string) enqueue.TopUp {
			t := r.TopUp(name)
			t.ID = t.ID[:min(len(t.ID), 80)] + "-" + rand.Text()[:8]
			return t
		}
	}
}
