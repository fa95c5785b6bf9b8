package worker_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"example.com/topup/enqueue"
	"example.com/topup/enqueue/campaign"
	"example.com/topup/reloadly"
	"example.com/topup/reloadly/sandbox"
	"example.com/topup/worker"
)

// fleetScale is by how much the waits of the real tests are shortened.
const fleetScale = 1.0 / 20

// realFleet is a real Redis and the simulator behind real HTTP.
type realFleet struct {
	testing.TB
	rdb   *redis.Client
	sim   *sandbox.Simulator
	url   string
	store *campaign.Store
	jobs  *enqueue.Client
}

func newRealFleet(tb testing.TB, cfg sandbox.Config) *realFleet {
	tb.Helper()
	f := &realFleet{TB: tb, rdb: realRedis(tb)}
	cfg.TimeScale = fleetScale
	sim, err := sandbox.New(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	server := httptest.NewServer(sim)
	tb.Cleanup(func() {
		server.Close()
		_ = sim.Close()
	})
	f.sim, f.url, f.store = sim, server.URL, campaign.NewStore(f.rdb)
	f.jobs = enqueue.NewClient(f.rdb, enqueue.ClientConfig{Ledger: f.ledger()})
	tb.Cleanup(func() { _ = f.jobs.Close() })
	return f
}

func (f *realFleet) ledger() enqueue.LedgerConfig {
	return worker.ScaleLedger(enqueue.LedgerConfig{}, fleetScale)
}

// run runs a worker until the returned function is called.
func (f *realFleet) run(name string) (stop func()) {
	f.Helper()
	client, err := reloadly.New(reloadly.Config{
		ClientID: "id", ClientSecret: "canary-secret", AuthURL: f.url, APIURL: f.url, InFlight: 20, PostTimeout: 4 * time.Second,
	})
	if err != nil {
		f.Fatal(err)
	}
	made, err := worker.New(worker.Config{
		Redis: f.rdb, Reloadly: client, Name: name, Servers: 1, InFlight: 20, Ledger: f.ledger(), Scale: fleetScale,
		NumberKey: []byte("number key"), Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		f.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- made.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			f.Errorf("worker: %v", err)
		}
		client.Close()
	})
	f.Cleanup(stop)
	return stop
}

// ended reads the campaign without a pause until it has ended: it adds up at every read.
func (f *realFleet) ended(name string) *campaign.Progress {
	f.Helper()
	for deadline := time.Now().Add(10 * time.Minute); ; time.Sleep(5 * time.Millisecond) {
		p := progress(f, f.store, f.jobs, name)
		if !p.Campaign.Ended.IsZero() {
			return p
		}
		if time.Now().After(deadline) {
			f.Fatalf("%v %v %v", p.States, p.Reasons, p.Codes)
		}
	}
}

// finishes counts the events that say that a campaign has ended.
func (f *realFleet) finishes() (count func() int) {
	sub := f.rdb.Subscribe(f.Context(), campaign.FinishedChannel)
	if _, err := sub.Receive(f.Context()); err != nil {
		f.Fatal(err)
	}
	var mu sync.Mutex
	var done sync.WaitGroup
	n := 0
	done.Go(func() {
		for range sub.Channel() {
			mu.Lock()
			n++
			mu.Unlock()
		}
	})
	f.Cleanup(func() {
		_ = sub.Close()
		done.Wait()
	})
	return func() int {
		mu.Lock()
		defer mu.Unlock()
		return n
	}
}

func (f *realFleet) eventsIn(name, what string) int {
	f.Helper()
	events, err := f.store.Log(context.Background(), name)
	if err != nil {
		f.Fatal(err)
	}
	n := 0
	for _, e := range events {
		if e.What == what {
			n++
		}
	}
	return n
}

// Two workers, and two feeders more that ask for no lock, all at once, while the states are
// read: nobody is paid twice, the states add up at every read, and there is one event.
func TestManyFeedersAtOnce(t *testing.T) {
	f := newRealFleet(t, sandbox.Config{Latency: 5 * time.Millisecond})
	count := f.finishes()
	rows := ordinary(900)
	for i := range 40 { // some take a while or fail
		rows[20*i] = person(20*i, []int{23, 24, 30, 35, 36}[i%5])
		rows[20*i].National = fmt.Sprintf("803%03d%s", 200+i, rows[20*i].National[6:])
		rows[20*i].Phone = "+234" + rows[20*i].National
	}
	loadRows(t, f.store, "may", 0, rows)
	f.run("w1")
	f.run("w2")
	ctx, cancel := context.WithCancel(t.Context())
	var others sync.WaitGroup
	for range 2 {
		holds := worker.NewHolds(f.rdb, worker.HoldConfig{})
		feeder := worker.NewFeeder(f.rdb, f.jobs, asynq.NewClientFromRedisClient(f.rdb), holds, worker.FeederConfig{Interval: 10 * time.Millisecond, Recheck: 250 * time.Millisecond})
		others.Go(func() {
			for ctx.Err() == nil {
				if err := feeder.Turn(ctx); err != nil && ctx.Err() == nil {
					t.Error(err)
				}
				select {
				case <-ctx.Done():
				case <-time.After(10 * time.Millisecond):
				}
			}
			feeder.Close()
		})
	}
	p := f.ended("may")
	cancel()
	others.Wait()
	if p.States[enqueue.Succeeded] != 884 || p.States[enqueue.Failed]+p.States[enqueue.Refunded] != 16 {
		t.Errorf("%v %v", p.States, p.Codes)
	}
	var paid []campaign.Row
	for i := range rows {
		if r, err := f.jobs.Get(t.Context(), rows[i].JobID("may")); err != nil {
			t.Error(err)
		} else if r.State == enqueue.Succeeded {
			paid = append(paid, rows[i])
		}
	}
	paidOnce(t, f.sim, "may", paid)
	for deadline := time.Now().Add(time.Minute); count() == 0 && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	if count() != 1 || f.eventsIn("may", "finished") != 1 || f.eventsIn("may", "started") != 1 {
		t.Errorf("%d messages, %d lines", count(), f.eventsIn("may", "finished"))
	}
}

// stands waits until nothing is sent any more, and all that was sent is settled. How soon that is
// after a pause depends on the machine here; TestPauseAndResume shows it in virtual time.
func (f *realFleet) stands(name string) (posts int, p *campaign.Progress) {
	f.Helper()
	for deadline := time.Now().Add(5 * time.Minute); ; {
		posts = f.sim.Posts()
		time.Sleep(time.Second)
		p = progress(f, f.store, f.jobs, name)
		if p.States[enqueue.Queued] == p.Campaign.Rows-posts && f.sim.Posts() == posts {
			return posts, p
		}
		if time.Now().After(deadline) {
			f.Fatalf("it does not stand still: %d POSTs, %v", posts, p.States)
		}
	}
}

// Paused and resumed again and again, with workers that end and others that take over.
func TestPausesOnRealRedis(t *testing.T) {
	f := newRealFleet(t, sandbox.Config{Latency: 200 * time.Millisecond}) // so that a pause comes in time on a busy machine
	ctx, count := t.Context(), f.finishes()
	rows := ordinary(800)
	loadRows(t, f.store, "may", 0, rows)
	stop := f.run("w0")
	for round := range 3 {
		posts := f.sim.Posts()
		for f.sim.Posts() < posts+60 {
			progress(t, f.store, f.jobs, "may")
		}
		if err := worker.PauseCampaign(ctx, f.rdb, "may", "test"); err != nil {
			t.Fatal(err)
		}
		posts, p := f.stands("may")
		if posts == len(rows) || p.Campaign.State != campaign.Paused {
			t.Fatalf("%d POSTs, and the pause stopped none: %+v", posts, p)
		}
		if round == 1 { // another worker takes over
			stop()
			f.run("w1")
		}
		if err := worker.ResumeCampaign(ctx, f.rdb, "may"); err != nil {
			t.Fatal(err)
		}
	}
	if p := f.ended("may"); p.States[enqueue.Succeeded] != len(rows) {
		t.Errorf("%v %v", p.States, p.Codes)
	}
	paidOnce(t, f.sim, "may", rows)
	for deadline := time.Now().Add(time.Minute); count() == 0 && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	if count() != 1 {
		t.Errorf("%d messages", count())
	}
}
