//go:build topup_control

package enqueue

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/redis/go-redis/v9"
)

// Crash points of worker/chaostest: a process that was built with the tag topup_control
// kills itself at the point, and when it passes there for as many times as TOPUP_CRASH
// says, for example begin:after:2. The binary that is shipped has none of this file in it.
//
// Before and after stand around a command to Redis: before it was sent, and after its
// answer came. What dies in between did one or the other as far as Redis can tell.

// crashing is what TOPUP_CRASH says.
var crashing struct {
	point string
	turn  int64
	past  atomic.Int64
}

func init() {
	text := os.Getenv("TOPUP_CRASH")
	if text == "" {
		return
	}
	cut := strings.LastIndex(text, ":")
	turn, err := strconv.ParseInt(text[cut+1:], 10, 64)
	if err != nil || turn < 1 || cut < 0 {
		panic("TOPUP_CRASH: is not like begin:after:2")
	}
	crashing.point, crashing.turn = text[:cut], turn
	opened = hookCrashes
}

// CrashAt ends the process when it is at the point that TOPUP_CRASH names.
func CrashAt(point string) {
	if point != crashing.point || crashing.past.Add(1) != crashing.turn {
		return
	}
	fmt.Fprintf(os.Stderr, "crash point %s, turn %d\n", point, crashing.turn)
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL) // nothing runs after it
	select {}
}

// hooked are the clients that have the hook.
var hooked sync.Map

func hookCrashes(rdb redis.UniversalClient) {
	if rdb == nil {
		return
	}
	if _, again := hooked.LoadOrStore(rdb, true); !again {
		rdb.AddHook(crashHook{})
	}
}

// crashHook knows a command by its script and its keys.
type crashHook struct{}

func (crashHook) DialHook(next redis.DialHook) redis.DialHook { return next }

func (crashHook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		crashBefore(cmd)
		err := next(ctx, cmd)
		crashAfter(cmd, err)
		return err
	}
}

func (crashHook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		for _, cmd := range cmds {
			crashBefore(cmd)
		}
		err := next(ctx, cmds)
		for _, cmd := range cmds {
			crashAfter(cmd, cmd.Err())
		}
		return err
	}
}

func crashBefore(cmd redis.Cmder) {
	name, whole := crashName(cmd)
	if name != "" && !whole { // the text of a script follows its hash, and is the same call
		CrashAt(name + ":before")
	}
}

func crashAfter(cmd redis.Cmder, err error) {
	name, _ := crashName(cmd)
	if name != "" && !redis.HasErrorPrefix(err, "NOSCRIPT") {
		CrashAt(name + ":after")
	}
}

// ledgerScripts are the ledger's scripts by their hash.
var ledgerScripts = sync.OnceValue(func() map[string]string {
	return map[string]string{
		submitScript.Hash(): "submit", beginScript.Hash(): "begin", outcomeScript.Hash(): "outcome", absentScript.Hash(): "absent",
		waitScript.Hash(): "wait", delayScript.Hash(): "delay", lapseScript.Hash(): "lapse", missingScript.Hash(): "missing",
		cancelScript.Hash(): "cancel", giveUpScript.Hash(): "giveup", reviewScript.Hash(): "review",
	}
})

// crashName is the point's name of a command, empty where it has none. whole says that the
// script's text is sent after its hash was.
func crashName(cmd redis.Cmder) (name string, whole bool) {
	args := cmd.Args()
	text := func(i int) string {
		if i >= len(args) {
			return ""
		}
		s, _ := args[i].(string)
		return s
	}
	key := text(3)
	switch cmd.Name() {
	case "hgetall":
		if strings.HasPrefix(text(1), "topup:{s") && strings.Contains(text(1), "}:job:") {
			return "load", false
		}
		return "", false
	case "evalsha":
	case "eval":
		sum := sha1.Sum([]byte(text(1)))
		if name := ledgerScripts()[hex.EncodeToString(sum[:])]; name != "" {
			return withKind(name, text(3+5+10+1)), true
		}
		whole = !strings.HasPrefix(key, "topup:hold:") // which is placed by its text alone
	default:
		return "", false
	}
	switch {
	case ledgerScripts()[text(1)] != "":
		return withKind(ledgerScripts()[text(1)], text(3+5+10+1)), whole
	case strings.HasPrefix(key, "topup:hold:"):
		return "hold", whole
	case !strings.HasPrefix(key, "asynq:{") || !strings.HasSuffix(text(4), ":pending") && !strings.HasSuffix(text(4), ":scheduled"):
		return "", false
	case strings.HasPrefix(key, "asynq:{"+QueueFollowups+"}"):
		return "follow", whole
	default:
		return "wake", whole
	}
}

// withKind tells the outcomes from each other: kind is the second of its own arguments.
func withKind(name, kind string) string {
	if name == "outcome" {
		return name + "." + kind
	}
	return name
}
