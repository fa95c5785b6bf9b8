//go:build topup_control

package campaign

import (
	"os"
	"strings"

	"github.com/redis/go-redis/v9"
)

// A negative control of worker/chaostest; see enqueue/control_chaos.go.
func init() {
	if os.Getenv("TOPUP_CONTROL") != "count-twice" { // a row that was counted stays open
		return
	}
	text, guard := mustRead("settle"), "redis.call('ZREM', from, row)"
	if strings.Count(text, guard) != 1 { // the control would show nothing
		panic("control: the scripts have changed: " + guard)
	}
	settleScript = redis.NewScript(preludeText + strings.Replace(text, guard, "", 1))
}
