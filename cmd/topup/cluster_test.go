package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/govalues/decimal"
	"github.com/redis/go-redis/v9"

	"example.com/topup/enqueue"
	"example.com/topup/enqueue/campaign"
	"example.com/topup/reloadly/sandbox"
	"example.com/topup/worker"
)

// The whole path on a cluster of three masters: submitting, sending, results, holds,
// reviews and the sweeper. The cluster itself refuses a script whose keys are in two slots.
func TestOnACluster(t *testing.T) {
	t.Parallel() // it mostly waits
	nodes, url := startCluster(t)
	sys, scripts := startOn(t, url, 1.0/50)
	ctx, client := t.Context(), sys.client
	if sys.opened.epoch != "" {
		t.Error("the servers show their run_id, and are not asked for it")
	}

	var jobs []enqueue.TopUp
	var ids []string
	for i := range 120 {
		j := clusterJob(fmt.Sprintf("bulk-%d", i), i)
		jobs, ids = append(jobs, j), append(ids, j.ID)
	}
	for _, a := range client.TopUps(ctx, jobs) {
		if a.Err != nil || !a.Created {
			t.Fatalf("%+v", a)
		}
	}
	for i := range 40 {
		j := clusterJob(fmt.Sprintf("single-%d", i), 200+i)
		if _, err := client.TopUp(ctx, j); err != nil {
			t.Fatal(err)
		}
		jobs, ids = append(jobs, j), append(ids, j.ID)
	}
	for _, id := range ids {
		if r := sys.settled(t, id); r.State != enqueue.Succeeded {
			t.Errorf("%s is %s (%s)", id, r.State, r.Code)
		}
	}
	for i, a := range client.GetMany(ctx, append(slices.Clone(ids), "nobody")) {
		if i < len(ids) && (a.Err != nil || a.Result.ID != ids[i] || a.Result.State != enqueue.Succeeded) {
			t.Errorf("%s: %+v", ids[i], a)
		} else if i == len(ids) && !errors.Is(a.Err, enqueue.ErrNotFound) {
			t.Errorf("nobody: %v", a.Err)
		}
	}
	// Submitted again they are the same jobs, and nothing is sent.
	for _, a := range client.TopUps(ctx, jobs) {
		if a.Err != nil || a.Created {
			t.Errorf("again: %+v", a)
		}
	}
	sys.onceEach(t, ids)
	for _, n := range nodes {
		if size := n.rdb.DBSize(ctx).Val(); size < 40 {
			t.Errorf("%s has %d keys: the jobs are not spread", n.addr, size)
		}
	}

	sys.campaignOnCluster(t)
	sys.holdsOnCluster(t)
	sys.reviewOnCluster(t)
	if text, err := sys.doctor(t); err != nil || !strings.Contains(text, "(3 masters)") {
		t.Errorf("%v\n%s", err, text)
	}
	if n := scripts.seen(); n < 10 {
		t.Errorf("%d scripts were watched", n)
	}
	for _, problem := range scripts.problems() {
		t.Error(problem)
	}
}

// A campaign is loaded, fed and counted, and another cancelled.
func (sys *system) campaignOnCluster(t *testing.T) {
	t.Helper()
	ctx, rdb := t.Context(), sys.opened.rdb
	store := campaign.NewStore(rdb)
	for k, name := range []string{"fed", "withdrawn"} {
		stage := store.Stage(ctx, name)
		for i := range 700 {
			number := fmt.Sprintf("803%03d%d234", i, 2+k)
			row := campaign.Row{
				Line: i + 2, Phone: "+234" + number, National: number, Country: "NG", Amount: decimal.MustNew(500, 0), Unit: campaign.Sender, OperatorID: 341,
			}
			if err := stage.Add(ctx, &row); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := stage.Commit(ctx, campaign.CommitOptions{Pairs: []uint64{1}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := worker.PauseCampaign(ctx, rdb, "withdrawn", "test"); err != nil {
		t.Fatal(err)
	}
	if err := worker.CancelCampaign(ctx, rdb, sys.client, "withdrawn", "test"); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"fed", "withdrawn"} {
		var p *campaign.Progress
		eventually(t, 2*time.Minute, "campaign "+name+" ends", func() bool {
			var err error
			if p, err = store.Progress(ctx, name, sys.client); err != nil {
				t.Fatal(err)
			}
			sum := 0
			for _, n := range p.States {
				sum += n
			}
			if sum != 700 {
				t.Fatalf("%s: %v", name, p.States)
			}
			return !p.Campaign.Ended.IsZero()
		})
		if name == "fed" && p.States[enqueue.Succeeded] != 700 || name == "withdrawn" && p.States[enqueue.Cancelled] == 0 {
			t.Errorf("%s: %v %v", name, p.States, p.Codes)
		}
	}
	if list, err := store.List(ctx); err != nil || len(list) != 2 {
		t.Error(list, err)
	}
	eventually(t, time.Minute, "the feeder lets go of both", func() bool {
		holds, err := worker.NewHolds(rdb, worker.HoldConfig{}).List(ctx)
		names, err2 := store.Active(ctx)
		if err := errors.Join(err, err2); err != nil {
			t.Fatal(err)
		}
		return len(holds)+len(names) == 0
	})
}

// A held campaign waits; lost wake-ups are found by the sweeper once it is released.
func (sys *system) holdsOnCluster(t *testing.T) {
	t.Helper()
	ctx, client := t.Context(), sys.client
	holds := worker.NewHolds(sys.opened.rdb, worker.HoldConfig{})
	for _, scope := range []string{"campaign:c", "operator:999", "all"} {
		if err := holds.Place(ctx, worker.Hold{Scope: scope}); err != nil {
			t.Fatal(err)
		}
	}
	if list, err := holds.List(ctx); err != nil || len(list) != 3 {
		t.Fatalf("%v %v", list, err)
	}
	if err := holds.Lift(ctx, "all"); err != nil {
		t.Fatal(err)
	}
	var ids []string
	for i := range 10 {
		j := clusterJob(fmt.Sprintf("held-%d", i), 300+i)
		j.Campaign = "c"
		if _, err := client.TopUp(ctx, j); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, j.ID)
	}
	eventually(t, time.Minute, "every job says that it is held", func() bool {
		return !slices.ContainsFunc(client.GetMany(ctx, ids), func(a enqueue.Answered) bool { return a.Result.Reason != enqueue.Paused })
	})
	if r, err := client.Cancel(ctx, ids[0]); err != nil || r.State != enqueue.Cancelled {
		t.Fatal(r, err)
	}
	for _, queue := range []string{enqueue.QueueCampaigns, enqueue.QueueFollowups} {
		for _, list := range []string{"scheduled", "pending"} { // what asynq knows is gone
			if err := sys.opened.rdb.Del(ctx, "asynq:{"+queue+"}:"+list).Err(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := holds.Lift(ctx, "campaign:c"); err != nil {
		t.Fatal(err)
	}
	for _, id := range ids[1:] {
		if r := sys.settled(t, id); r.State != enqueue.Succeeded {
			t.Errorf("%s is %s (%s)", id, r.State, r.Code)
		}
	}
	sys.onceEach(t, ids[1:])
	if list, err := holds.List(ctx); err != nil || len(list) != 1 || list[0].Scope != "operator:999" {
		t.Errorf("%v %v", list, err)
	}
}

func (sys *system) reviewOnCluster(t *testing.T) {
	t.Helper()
	ctx, client := t.Context(), sys.client
	for i, id := range []string{"review-a", "review-b"} {
		j := clusterJob(id, 0)
		j.RecipientPhone.Number = fmt.Sprintf("80399%d0047", i) // a code that nobody knows
		if _, err := client.TopUp(ctx, j); err != nil {
			t.Fatal(err)
		}
		if r := sys.settled(t, id); r.State != enqueue.NeedsReview {
			t.Fatalf("%s is %s", id, r.State)
		}
	}
	if ids, err := client.Ledger().Reviews(ctx); err != nil || !slices.Equal(ids, []string{"review-a", "review-b"}) {
		t.Fatal(ids, err)
	}
	if err := client.Ledger().Fail(ctx, "review-a"); err != nil {
		t.Fatal(err)
	}
	if err := client.Resend(ctx, "review-b"); err != nil {
		t.Fatal(err)
	}
	if ids, err := client.Ledger().Reviews(ctx); err != nil || len(ids) != 0 {
		t.Fatal(ids, err)
	}
}

// One master of the cluster is killed and comes back: what it may have forgotten is
// looked up before it is sent, and every job is settled and paid once.
func TestClusterMasterRestarts(t *testing.T) {
	t.Parallel() // it mostly waits
	// With everysec and a slow disk a killed master loses what it has acknowledged.
	// And it has to be noticed soon that it is gone.
	nodes, url := startCluster(t, "--appendfsync", "always", "--cluster-node-timeout", "2000")
	sys, _ := startOn(t, url, 1.0/200)
	ctx := t.Context()
	var ids []string
	for i := range 90 {
		ids = append(ids, fmt.Sprintf("job-%d", i))
	}
	submit := func(from, to int) {
		for i := from; i < to; i++ {
			sys.insist(ctx, clusterJob(ids[i], i))
		}
	}
	submit(0, 30)
	eventually(t, time.Minute, "some jobs are paid", func() bool { return len(sys.sim.Paid()) > 10 })
	nodes[1].kill()
	submitted := make(chan struct{})
	go func() {
		defer close(submitted)
		submit(30, 60)
	}()
	eventually(t, time.Minute, "the cluster has noticed", func() bool {
		return strings.Contains(nodes[0].rdb.ClusterInfo(ctx).Val(), "cluster_state:fail")
	})
	nodes[1].start(t)
	<-submitted
	submit(60, 90)
	for _, id := range ids {
		if r := sys.settled(t, id); r.State != enqueue.Succeeded {
			t.Errorf("%s is %s (%s, %s)", id, r.State, r.Reason, r.Code)
		}
	}
	sys.onceEach(t, ids)
	if n := len(sys.sim.Paid()); n != len(ids) {
		t.Errorf("%d were paid, of %d jobs", n, len(ids))
	}
	suspected := 0
	for _, id := range ids {
		r, err := sys.client.Ledger().Load(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		if slices.ContainsFunc(r.Log, func(l enqueue.LogLine) bool { return l.Why == "redis_restarted" }) {
			suspected++
		}
	}
	t.Logf("%d of %d jobs were looked up because their master had restarted", suspected, len(ids))
}

// One master that can forget is enough to keep real money away, and it is named.
func TestLiveChecksEveryMaster(t *testing.T) {
	t.Parallel() // it mostly waits
	nodes, url := startCluster(t)
	s := Settings{RedisURL: url, Environment: "live", InFlight: 1}
	o, err := openRedis(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	defer o.close()
	check := func() (string, error) {
		var log bytes.Buffer
		err := checkSafe(t.Context(), o, s, newLogger(&log, "info"))
		return log.String(), err
	}
	if log, err := check(); err != nil || strings.Count(log, "appendfsync") != 3 || strings.Contains(log, "min-replicas") {
		t.Errorf("%v %s", err, log)
	}
	for name, value := range map[string]string{"appendonly": "no", "maxmemory-policy": "allkeys-lru"} {
		if err := nodes[1].rdb.ConfigSet(t.Context(), name, value).Err(); err != nil {
			t.Fatal(err)
		}
	}
	_, err = check()
	if exitCode(err) != exitGuard || strings.Count(err.Error(), nodes[1].addr) != 2 || strings.Contains(err.Error(), nodes[0].addr) {
		t.Errorf("exit %d: %v", exitCode(err), err)
	}
}

// startOn starts everything on a Redis of the test's own, with the scripts of its
// client watched.
func startOn(t *testing.T, url string, scale float64) (*system, *slotWatch) {
	t.Helper()
	sys := startHere(t, sandbox.Config{}, func(s *Settings) { s.RedisURL, s.TimeScale, s.InFlight = url, scale, 20 })
	watch := &slotWatch{}
	sys.opened.rdb.AddHook(watch)
	return sys, watch
}

func (sys *system) settled(t *testing.T, id string) enqueue.Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), busy*2*time.Minute)
	defer cancel()
	r, err := sys.client.Wait(ctx, id)
	if err != nil {
		t.Fatalf("%v (%s, %s, %s)", err, r.State, r.Reason, r.Code)
	}
	return r
}

// doctor is what topup doctor says of the system.
func (sys *system) doctor(t *testing.T) (string, error) {
	t.Helper()
	var out bytes.Buffer
	err := (&app{settings: sys.settings, out: &out}).examine(t.Context())
	return out.String(), err
}

// onceEach holds the jobs against the simulator's own ledger.
func (sys *system) onceEach(t *testing.T, ids []string) {
	t.Helper()
	paid := map[string]int{}
	for _, e := range sys.sim.Paid() {
		paid[e.CustomIdentifier]++
	}
	for _, id := range ids {
		if paid[id] != 1 {
			t.Errorf("%s was paid %d times", id, paid[id])
		}
	}
	if err := sys.sim.Audit(); err != nil {
		t.Error(err)
	}
}

// clusterJob is one to a number of its own.
func clusterJob(id string, n int) enqueue.TopUp {
	return enqueue.TopUp{
		ID: id, OperatorID: 341, Amount: decimal.MustNew(500, 0),
		RecipientPhone: enqueue.Phone{CountryCode: "NG", Number: fmt.Sprintf("803%03d1234", n)},
	}
}

// slotWatch sees to it that the keys of every script share a hash tag, and that no
// command asks for what a cluster cannot answer as a whole.
type slotWatch struct {
	mu    sync.Mutex
	found []string
	count int
}

func (w *slotWatch) seen() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.count
}

func (w *slotWatch) problems() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.found)
}

func (w *slotWatch) look(cmd redis.Cmder) {
	w.mu.Lock()
	defer w.mu.Unlock()
	args := cmd.Args()
	switch cmd.Name() {
	case "keys", "scan", "multi", "watch":
		w.found = append(w.found, "a command that a cluster answers in part: "+cmd.Name())
	case "eval", "evalsha":
		w.count++
		tags := map[string]bool{}
		n, _ := args[2].(int)
		for _, key := range args[3 : 3+n] {
			text := fmt.Sprint(key)
			if _, rest, found := strings.Cut(text, "{"); found {
				text, _, _ = strings.Cut(rest, "}")
			}
			tags[text] = true
		}
		if n == 0 || len(tags) != 1 {
			w.found = append(w.found, fmt.Sprintf("a script with the keys %v", args[3:3+n]))
		}
	}
}

func (w *slotWatch) DialHook(next redis.DialHook) redis.DialHook { return next }

func (w *slotWatch) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		w.look(cmd)
		return next(ctx, cmd)
	}
}

func (w *slotWatch) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		for _, cmd := range cmds {
			w.look(cmd)
		}
		return next(ctx, cmds)
	}
}
