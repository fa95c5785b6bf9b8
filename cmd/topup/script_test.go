package main

import (
	"context"
	"log/slog"
	"strconv"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/rogpeppe/go-internal/testscript"

	"example.com/topup/reloadly/sandbox"
)

func TestMain(m *testing.M) {
	redis.SetLogger(quiet{})
	testscript.Main(m, map[string]func(){"topup": main})
}

// The scripts in testdata run the binary against a Redis, a simulator and a worker
// in this process, in a fiftieth of the time.
func TestScripts(t *testing.T) {
	sys := startHere(t, sandbox.Config{}, nil)
	testscript.Run(t, testscript.Params{
		Dir: "testdata", RequireExplicitExec: true, RequireUniqueNames: true,
		Cmds:  map[string]func(*testscript.TestScript, bool, []string){"exits": exits},
		Setup: sys.environment,
	})
}

// startHere starts the simulator and a worker in this process, in a fiftieth of the time and
// on memory:// unless change says something else, until the test is over.
func startHere(t *testing.T, sim sandbox.Config, change func(*Settings)) *system {
	t.Helper()
	s := Settings{}
	if err := s.fromEnvironment(); err != nil {
		t.Fatal(err)
	}
	s.RedisURL, s.TimeScale = "memory://", 1.0/50
	if change != nil {
		change(&s)
	}
	// The parent's context: a script's own would end the worker before its last job.
	sys, err := startSystem(context.WithoutCancel(t.Context()), s, "127.0.0.1:0", sim, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := sys.close(); err != nil {
			t.Error(err)
		}
	})
	return sys
}

// environment is what a script's commands need to reach the system.
func (sys *system) environment(env *testscript.Env) error {
	env.Setenv("REDIS_URL", sys.opened.url)
	env.Setenv("RELOADLY_AUTH_URL", sys.sim.url)
	env.Setenv("RELOADLY_API_URL", sys.sim.url)
	env.Setenv("RELOADLY_CLIENT_ID", "demo-client")
	env.Setenv("RELOADLY_CLIENT_SECRET", "demo-secret")
	env.Setenv("TOPUP_TIME_SCALE", "0.02")
	return nil
}

// exits CODE ARGS… runs topup and checks its exit code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE ARGS...")
	}
	err := ts.Exec("topup", args[1:]...)
	code := "0"
	if exit, ok := err.(interface{ ExitCode() int }); ok {
		code = strconv.Itoa(exit.ExitCode())
	} else if err != nil {
		ts.Fatalf("run: %v", err)
	}
	if code != args[0] {
		ts.Fatalf("topup %v: exit %s, want %s", args[1:], code, args[0])
	}
}
