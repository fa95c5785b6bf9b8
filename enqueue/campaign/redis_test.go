package campaign

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"example.com/topup/enqueue/internal/luacover"
)

// The scripts run instrumented in every test, and a full run that left a branch out fails.
var branches = luacover.New()

func TestMain(m *testing.M) {
	flag.Parse()
	if flag.Lookup("test.bench").Value.String() != "" { // the notes would be measured too
		os.Exit(m.Run())
	}
	prelude := branches.Instrument("prelude", preludeText)
	for name, script := range map[string]**redis.Script{
		"commit": &commitScript, "control": &controlScript, "defer": &deferScript, "reopen": &reopenScript, "retire": &retireScript,
		"settle": &settleScript, "snapshot": &snapshotScript, "take": &takeScript,
	} {
		*script = redis.NewScript(prelude + branches.Instrument(name, mustRead(name)))
	}
	code := m.Run()
	_, err := exec.LookPath("redis-server")
	if flag.Lookup("test.run").Value.String() == "" && flag.Lookup("test.skip").Value.String() == "" && code == 0 && err == nil {
		for _, branch := range branches.Missing() {
			fmt.Fprintln(os.Stderr, "FAIL: no test reaches the branch lua/"+branch)
			code = 1
		}
	}
	os.Exit(code)
}

// realRedis starts a redis-server of the test's own, and ends that very process with
// the test. Every script that a test runs is held to one hash tag.
func realRedis(tb testing.TB) *redis.Client {
	tb.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		tb.Skip("redis-server is not on PATH: `make redis` installs it")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	addr := listener.Addr().String()
	_ = listener.Close() // the server needs the port
	_, port, _ := net.SplitHostPort(addr)
	var out bytes.Buffer
	cmd := exec.Command("redis-server", "--port", port, "--bind", "127.0.0.1", "--dir", tb.TempDir(), "--save", "", "--daemonize", "no", "--appendonly", "no")
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	rdb := redis.NewClient(&redis.Options{Addr: addr})
	rdb.AddHook(oneSlot{tb})
	tb.Cleanup(func() {
		branches.Collect(context.Background(), rdb) // the test's own context has ended
		_ = rdb.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // killed
	})
	for deadline := time.Now().Add(time.Minute); rdb.Ping(tb.Context()).Err() != nil; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			tb.Fatalf("redis-server does not answer: %s", out.String())
		}
	}
	return rdb
}

// oneSlot fails a test whose scripts have keys with two hash tags: a cluster refuses them.
type oneSlot struct{ testing.TB }

func (o oneSlot) look(cmd redis.Cmder) {
	if cmd.Name() != "eval" && cmd.Name() != "evalsha" {
		return
	}
	args := cmd.Args()
	n, _ := args[2].(int)
	tags := map[string]bool{}
	for _, key := range args[3 : 3+n] {
		_, rest, _ := strings.Cut(fmt.Sprint(key), "{")
		tag, _, _ := strings.Cut(rest, "}")
		tags[tag] = true
	}
	if len(tags) != 1 || tags[""] {
		o.Errorf("a script with the keys %v", args[3:3+n])
	}
}

func (o oneSlot) DialHook(next redis.DialHook) redis.DialHook { return next }

func (o oneSlot) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		o.look(cmd)
		return next(ctx, cmd)
	}
}

func (o oneSlot) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		for _, cmd := range cmds {
			o.look(cmd)
		}
		return next(ctx, cmds)
	}
}

// finishes counts the events that say that a campaign has ended.
type finishes struct {
	mu    sync.Mutex
	names []string
}

func listen(tb testing.TB, rdb *redis.Client) *finishes {
	tb.Helper()
	sub := rdb.Subscribe(tb.Context(), FinishedChannel)
	if _, err := sub.Receive(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	f := &finishes{}
	var done sync.WaitGroup
	done.Go(func() {
		for m := range sub.Channel() {
			f.mu.Lock()
			f.names = append(f.names, m.Payload)
			f.mu.Unlock()
		}
	})
	tb.Cleanup(func() {
		_ = sub.Close()
		done.Wait()
	})
	return f
}

func (f *finishes) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.names)
}
