//go:build topup_control

package worker

import (
	"example.com/topup/enqueue"
	"example.com/topup/reloadly"
)

// Crash points of worker/chaostest; see enqueue/crash_chaos.go. The client of Reloadly
// knows nothing of the ledger, so this is where they meet.
func init() { reloadly.CrashAt = enqueue.CrashAt }
