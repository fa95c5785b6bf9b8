package main

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"github.com/rogpeppe/go-internal/testscript"

	"example.com/topup/enqueue"
	"example.com/topup/reloadly"
	"example.com/topup/reloadly/sandbox"
	"example.com/topup/worker"
)

// The scripts in testdata/doctor have a redis-server of their own: what others left
// in a ledger would be findings.
func TestDoctorScripts(t *testing.T) {
	sys, _ := startOn(t, "redis://"+startData(t).addr, 1.0/50)
	eventually(t, time.Minute, "the worker tells of itself", func() bool {
		servers, err := asynq.NewInspectorFromRedisClient(sys.opened.rdb).Servers()
		return err == nil && len(servers) > 0
	})
	testscript.Run(t, testscript.Params{
		Dir: "testdata/doctor", RequireExplicitExec: true, RequireUniqueNames: true,
		Cmds:  map[string]func(*testscript.TestScript, bool, []string){"exits": exits},
		Setup: sys.environment,
	})
}

// probeOf runs the measurements against a simulator with other habits.
func probeOf(t *testing.T, cfg sandbox.Config, change func(*prober)) map[string]measured {
	t.Helper()
	sim, err := startSimulator(t.Context(), "127.0.0.1:0", cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sim.close(context.WithoutCancel(t.Context())) })
	client, err := newProbing(Settings{Environment: "sandbox", ClientID: "id", ClientSecret: "secret", AuthURL: sim.url, APIURL: sim.url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	p := &prober{client: client, name: "probe", patience: 20 * time.Second}
	if err := p.prepare(t.Context(), probeFlags{number: "AE:0503971821", declined: "AE:0503970054"}); err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(p)
	}
	found := map[string]measured{}
	for name, m := range map[string]func(context.Context) measured{"late": p.lateness, "atomic": p.atomicity, "burns": p.burning} {
		found[name] = m(t.Context())
		if found[name].Text == "" {
			t.Errorf("%s has no words", name)
		}
	}
	return found
}

func TestProbeMeasures(t *testing.T) {
	for _, test := range []struct {
		name                string
		cfg                 sandbox.Config
		late, atomic, burns string
	}{
		{"as the facts say", sandbox.Config{DuplicateWindow: 300 * time.Millisecond}, "no", "no", "no"},
		{"atomic", sandbox.Config{DuplicateWindow: -1}, "no", "yes", "no"},
		{"burning", sandbox.Config{DuplicateWindow: -1, BurnOnDecline: true}, "no", "yes", "yes"},
		{"late", sandbox.Config{DuplicateWindow: -1, ReportDelay: time.Second}, "yes", "yes", "no"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := probeOf(t, test.cfg, nil)
			for name, want := range map[string]string{"late": test.late, "atomic": test.atomic, "burns": test.burns} {
				if got[name].Answer != want {
					t.Errorf("%s: %+v, want %s", name, got[name], want)
				}
			}
			if late := got["late"]; test.late == "yes" && late.Seconds < 0.9 {
				t.Errorf("the report is shown a second late, measured %+v", late)
			}
		})
	}
}

// What cannot be measured is said, and is no answer.
func TestProbeCannotMeasure(t *testing.T) {
	got := probeOf(t, sandbox.Config{ReportDelay: time.Hour, DuplicateWindow: -1}, func(p *prober) {
		p.patience = 300 * time.Millisecond
		p.declined = &reloadly.Phone{CountryCode: "AE", Number: "0503970007"} // 500 without a verdict
	})
	if got["late"].Answer != unmeasured || got["burns"].Answer != unmeasured || got["atomic"].Answer != "yes" {
		t.Errorf("%+v", got)
	}
	got = probeOf(t, sandbox.Config{Balance: "1 NGN"}, nil)
	for name, m := range got {
		if m.Answer != unmeasured {
			t.Errorf("%s on an empty account: %+v", name, m)
		}
	}
}

func TestAgreed(t *testing.T) {
	for text, want := range map[string]bool{"y\n": true, "Yes\r\n": true, "yes": true, "": false, "\n": false, "n\n": false, "yeah\n": false} {
		if agreed(strings.NewReader(text)) != want {
			t.Errorf("%q: agreed is not %v", text, want)
		}
	}
}

func TestJudgeClock(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, test := range []struct {
		from, to time.Duration
		want     verdict
		text     string
	}{
		{0, 0, good, "less than 2s"},
		{-2 * time.Second, -2 * time.Second, good, ""},
		{-3 * time.Second, -3 * time.Second, fix, "3s behind"},
		{-3 * time.Second, -2 * time.Second, good, ""}, // whole seconds: it may be only 2 s
		{time.Hour, time.Hour, fix, "59m50s ahead of"},
		{13 * time.Second, 14 * time.Second, fix, "3s ahead of"}, // the answer took 10 s
	} {
		f := judgeClock("X", now, now.Add(10*time.Second), now.Add(test.from), now.Add(test.to))
		if f.Verdict != test.want || !strings.Contains(f.Text, test.text) {
			t.Errorf("%v to %v: %+v", test.from, test.to, f)
		}
	}
}

// node is one that has nothing to be said of, with some fields changed.
func node(changes map[string]string) redisNode {
	n := redisNode{addr: "h:1", appendfsync: "always", info: map[string]string{
		"run_id": "x", "role": "master", "redis_version": "7.4.1", "aof_enabled": "1", "aof_last_write_status": "ok",
		"aof_last_bgrewrite_status": "ok", "maxmemory_policy": "noeviction", "used_memory": "1048576", "maxmemory": "104857600",
		"connected_slaves": "0",
	}}
	for name, value := range changes {
		if value == "-" {
			delete(n.info, name)
		} else if name == "appendfsync" {
			n.appendfsync = value
		} else {
			n.info[name] = value
		}
	}
	return n
}

// What Redis says of itself, and what is to be done, with play money and with real money.
func TestDoctorOfRedis(t *testing.T) {
	type look func(*doctor, context.Context) finding
	for _, test := range []struct {
		name          string
		look          look
		changes       map[string]string
		sandbox, live verdict
		text          string
	}{
		{"version", (*doctor).checkVersion, nil, good, good, "Redis 7.4.1"},
		{"old version", (*doctor).checkVersion, map[string]string{"redis_version": "6.2.0"}, note, note, "7 or later"},
		{"too old", (*doctor).checkVersion, map[string]string{"redis_version": "6.0.16"}, fix, fix, "6.2 or later is needed"},
		{"two digits", (*doctor).checkVersion, map[string]string{"redis_version": "10.1.0"}, good, good, ""},
		{"no version", (*doctor).checkVersion, map[string]string{"redis_version": "-"}, note, fix, "does not show"},
		{"persistence", (*doctor).checkPersistence, nil, good, good, "always"},
		{"everysec", (*doctor).checkPersistence, map[string]string{"appendfsync": "everysec"}, note, note, "never pay one twice"},
		{"CONFIG closed", (*doctor).checkPersistence, map[string]string{"appendfsync": ""}, note, note, "appendfsync"},
		{"no file", (*doctor).checkPersistence, map[string]string{"aof_enabled": "0"}, note, fix, "appendonly yes"},
		{"disk full", (*doctor).checkPersistence, map[string]string{"aof_last_write_status": "err"}, fix, fix, "disk space"},
		{"replica", (*doctor).checkPersistence, map[string]string{"role": "slave"}, note, fix, "replica"},
		{"no run_id", (*doctor).checkPersistence, map[string]string{"run_id": "-"}, note, fix, "run_id"},
		{"eviction", (*doctor).checkEviction, map[string]string{"maxmemory_policy": "allkeys-lru"}, note, fix, "allkeys-lru"},
		{"no policy", (*doctor).checkEviction, map[string]string{"maxmemory_policy": "-"}, note, fix, "noeviction"},
		{"memory", (*doctor).checkMemory, nil, good, good, "1 MiB used, 1 % of maxmemory"},
		{"memory at the alert's mark", (*doctor).checkMemory, map[string]string{"maxmemory": "1497965"}, note, note, "70 %"},
		{"memory fills", (*doctor).checkMemory, map[string]string{"maxmemory": "1300000"}, note, note, "81 %"},
		{"memory full", (*doctor).checkMemory, map[string]string{"maxmemory": "1100000"}, fix, fix, "give it more"},
		{"no limit", (*doctor).checkMemory, map[string]string{"maxmemory": "0", "total_system_memory": "4194304"}, good, good, "25 % of the machine"},
		{"memory hidden", (*doctor).checkMemory, map[string]string{"used_memory": "-"}, note, note, "not shown"},
		{"alone", (*doctor).checkReplicas, nil, good, good, "0 connected"},
		{"heeded", (*doctor).checkReplicas, map[string]string{"connected_slaves": "2", "min_slaves_good_slaves": "2"}, good, good, "2 connected"},
		{"replica for primary", (*doctor).checkReplicas, map[string]string{"role": "slave"}, fix, fix, "takes no writes"},
		{"replicas away", (*doctor).checkReplicas, map[string]string{"connected_slaves": "1", "min_slaves_good_slaves": "0"}, fix, fix, "takes no writes"},
		{"unheeded", (*doctor).checkReplicas, map[string]string{"connected_slaves": "2"}, note, note, "min-replicas-to-write is 0"},
	} {
		for environment, want := range map[string]verdict{"sandbox": test.sandbox, "live": test.live} {
			d := &doctor{settings: Settings{Environment: environment}, nodes: []redisNode{node(test.changes)}}
			if f := test.look(d, t.Context()); f.Verdict != want || !strings.Contains(f.Text, test.text) {
				t.Errorf("%s, %s: %+v, want %s with %q", test.name, environment, f, want, test.text)
			}
		}
	}
	// Of several servers the one with the fault is named.
	other := node(map[string]string{"aof_enabled": "0"})
	other.addr = "h:2"
	d := &doctor{nodes: []redisNode{node(nil), other}}
	if f := d.checkPersistence(t.Context()); !strings.HasPrefix(f.Text, "h:2: ") {
		t.Errorf("%+v", f)
	}
}

// Jobs that nobody works on, a refused account, archived tasks: each is something to do.
func TestDoctorOfJobs(t *testing.T) {
	s := Settings{RedisURL: "memory://", Environment: "sandbox", TimeScale: 1.0 / 1000, InFlight: 1, Name: "w"}
	o, err := openRedis(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	defer o.close()
	s.RedisURL = o.url
	ctx, client := t.Context(), enqueue.NewClient(o.rdb, enqueue.ClientConfig{Ledger: s.ledger(o.epoch)})
	defer func() { _ = client.Close() }()
	for i, id := range []string{"lost", "waits"} {
		if _, err := client.TopUp(ctx, clusterJob(id, i)); err != nil {
			t.Fatal(err)
		}
	}
	claim := enqueue.NewClaim()
	if _, err := client.Ledger().Begin(ctx, "lost", claim); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Ledger().Settle(ctx, "lost", enqueue.Outcome{Kind: enqueue.KindUnknown, Claim: claim, Code: "NO_ANSWER"}, nil); err != nil {
		t.Fatal(err)
	}
	if err := worker.NewHolds(o.rdb, worker.HoldConfig{}).Place(ctx, worker.Hold{Scope: worker.ScopeAccount, Reason: enqueue.InsufficientBalance}); err != nil {
		t.Fatal(err)
	}
	if err := o.rdb.ZAdd(ctx, queueKey(enqueue.QueueTopUps, "archived"), redis.Z{Member: "lost"}).Err(); err != nil {
		t.Fatal(err)
	}
	for key, value := range map[string]string{environmentKey: "live", queueKey(enqueue.QueueTopUps, "paused"): "1"} {
		if err := o.rdb.Set(ctx, key, value, 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
	want := map[string]string{
		"environment":    "fix the jobs of this Redis belong to another environment: live, and RELOADLY_ENV is sandbox (set",
		"workers":        "note none is running",
		"unknown jobs":   "fix 1, lost since",
		"overdue jobs":   "fix 2 of 2, ",
		"holds":          "fix account insufficient_balance by worker",
		"archived tasks": "fix 1 in topups",
		"queues":         "fix topups 2 pending, 0 active, 0 later, paused in asynqmon: resume it there (topup hold stops sends and lets look-ups go on); campaigns 0",
	}
	eventually(t, time.Minute, "everything is old enough", func() bool {
		d := newDoctor(s)
		defer d.close()
		all := true
		for _, c := range checks {
			f := d.run(ctx, c)
			all = all && strings.HasPrefix(string(f.Verdict)+" "+f.Text, want[c.name])
		}
		return all
	})
}

// A check that gets no answer ends by itself.
func TestDoctorIsBounded(t *testing.T) {
	d := &doctor{}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if f := d.run(ctx, check{"x", nothing, func(_ *doctor, ctx context.Context) finding {
		<-ctx.Done()
		return found(fix, "a\n%v", cause(ctx, os.ErrClosed))
	}}); f.Text != "a; no answer in time" {
		t.Errorf("%+v", f)
	}
}
