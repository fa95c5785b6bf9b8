//go:build topup_control

package reloadly

import (
	"context"
	"os"
)

// A negative control of worker/chaostest; see enqueue/control_chaos.go.
func init() {
	if os.Getenv("TOPUP_CONTROL") == "naive-retry" { // a POST without an answer is sent again at once
		send = func(c *Client, ctx context.Context, cl call) *Error {
			e := c.authorized(ctx, cl)
			for range 2 {
				if e == nil || e.Outcome != Unknown {
					break
				}
				cl.permission = permission{}
				e = c.authorized(context.WithoutCancel(ctx), cl)
			}
			return e
		}
	}
}
