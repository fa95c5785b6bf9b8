//go:build topup_control

package worker

import (
	"os"
	"strconv"

	"example.com/topup/enqueue"
)

// A negative control of worker/chaostest; see enqueue/control_chaos.go.
func init() {
	if os.Getenv("TOPUP_CONTROL") == "fresh-identifier" { // each send has an identifier of its own
		identifier = func(r *enqueue.Record) string {
			return r.Identifier() + "~try" + strconv.Itoa(r.Sends)
		}
	}
}
