package campaign

import (
	"context"
	"errors"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/govalues/decimal"
	"github.com/redis/go-redis/v9"

	"example.com/topup/enqueue"
)

// load commits rows from..to of the generated file.
func load(tb testing.TB, s *Store, name string, expect int64, from, to int) *Campaign {
	tb.Helper()
	st := s.Stage(tb.Context(), name)
	for n := from; n < to; n++ {
		r := person(n)
		if err := st.Add(tb.Context(), &r); err != nil {
			tb.Fatal(err)
		}
	}
	c, err := st.Commit(tb.Context(), CommitOptions{Expect: expect, File: "may.csv", Header: []string{"phone", "amount", "currency", "external_id", "name"}})
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

func TestLoadsAreReadBack(t *testing.T) {
	rdb := realRedis(t)
	s, ctx := NewStore(rdb), t.Context()
	if _, err := s.Find(ctx, "may"); !errors.Is(err, ErrNoCampaign) || !errors.Is(err, enqueue.ErrNotFound) {
		t.Fatal(err)
	}
	c := load(t, s, "May", 0, 0, 1700)
	if c.Name != "May" || c.State != Running || c.Version != 1 || c.Rows != 1700 || c.Next != 0 || c.Cut != -1 || c.Created.IsZero() || !c.Ended.IsZero() {
		t.Fatalf("%+v", c)
	}
	c = load(t, s, "MAY", 1, 1700, 1710)
	if c.Name != "May" || c.Version != 2 || c.Rows != 1710 || len(c.Loads) != 2 || c.Loads[1].Offset != 1700 || c.Loads[1].File != "may.csv" || len(c.Loads[1].Header) != 5 {
		t.Fatalf("%+v", c)
	}
	for _, from := range []int{0, 1, 499, 500, 1699, 1700, 1705, 1710} {
		next := from
		err := s.Each(ctx, c, from, func(number int, r *Row) error {
			if want := person(number); number != next || !reflect.DeepEqual(*r, want) {
				t.Fatalf("row %d, want %d: %+v\n%+v", number, next, *r, want)
			}
			next++
			return nil
		})
		if err != nil || next != 1710 {
			t.Fatalf("from %d: ended at %d: %v", from, next, err)
		}
	}
	rows, err := s.Rows(ctx, c, []int{1709, 3, 3, 1200})
	if err != nil || len(rows) != 3 || rows[1709].Line != 1711 || rows[1200].Line != 1202 {
		t.Fatal(rows, err)
	}
	if _, err := s.Rows(ctx, c, []int{1710}); err == nil {
		t.Error("a row that is not there was read")
	}
	load(t, s, "june", 0, 0, 1)
	list, err := s.List(ctx)
	if err != nil || len(list) != 2 || list[0].Name != "june" || list[1].Name != "May" {
		t.Fatal(list, err)
	}
	keys, _ := rdb.Keys(ctx, "*stage*").Result()
	if len(keys) != 0 {
		t.Error("left behind:", keys)
	}
	stop := errors.New("stop")
	if err := s.Each(ctx, c, 0, func(int, *Row) error { return stop }); !errors.Is(err, stop) {
		t.Error(err)
	}
	rdb.HDel(ctx, rowsKey("may", 0), "1")
	if err := s.Each(ctx, c, 0, func(int, *Row) error { return nil }); !errors.Is(err, ErrRowsExpired) {
		t.Error(err)
	}
	rdb.HSet(ctx, rowsKey("may", 0), "1", rdb.HGet(ctx, rowsKey("may", 1), "0").Val())
	if err := s.Each(ctx, c, 0, func(int, *Row) error { return nil }); !errors.Is(err, errChunk) {
		t.Error(err)
	}
}

func TestPairsAreKept(t *testing.T) {
	rdb := realRedis(t)
	s, ctx := NewStore(rdb), t.Context()
	pairs := make([]uint64, 20_000)
	for i := range pairs {
		pairs[i] = uint64(i) * 0x9e3779b97f4a7c15
	}
	st := s.Stage(ctx, "may")
	r := person(1)
	if err := st.Add(ctx, &r); err != nil {
		t.Fatal(err)
	}
	if _, err := st.Commit(ctx, CommitOptions{Pairs: pairs}); err != nil {
		t.Fatal(err)
	}
	var got []uint64
	if err := s.Pairs(ctx, "may", 0, func(piece []uint64) error { got = append(got, piece...); return nil }); err != nil || !reflect.DeepEqual(got, pairs) {
		t.Fatal(len(got), err)
	}
	if ttl := rdb.TTL(ctx, pairsKey("may", 0)).Val(); ttl < 7*24*time.Hour || ttl > 8*24*time.Hour {
		t.Error(ttl)
	}
	if err := s.Pairs(ctx, "may", 7, func([]uint64) error { t.Error("a piece of nothing"); return nil }); err != nil {
		t.Error(err)
	}
}

// What was staged is the campaign's as a whole or not at all, and only once.
func TestCommitGuards(t *testing.T) {
	rdb := realRedis(t)
	s, ctx := NewStore(rdb), t.Context()
	staged := func(n int) *Stage {
		st := s.Stage(ctx, "may")
		for i := range n {
			r := person(i)
			if err := st.Add(ctx, &r); err != nil {
				t.Fatal(err)
			}
		}
		return st
	}
	refused := func(st *Stage, expect int64, want error) {
		t.Helper()
		before := rdb.HGetAll(ctx, campaignKey("may")).Val()
		if _, err := st.Commit(ctx, CommitOptions{Expect: expect}); !errors.Is(err, want) {
			t.Errorf("%v, want %v", err, want)
		}
		if after := rdb.HGetAll(ctx, campaignKey("may")).Val(); !reflect.DeepEqual(before, after) {
			t.Errorf("%v\nafter\n%v", after, before)
		}
		if err := st.Drop(ctx); err != nil {
			t.Error(err)
		}
	}
	if _, err := staged(0).Commit(ctx, CommitOptions{}); err == nil {
		t.Error("nothing was loaded")
	}
	lost := staged(1200)
	if err := lost.settleStage(ctx, nil); err != nil {
		t.Fatal(err)
	}
	if ttl := rdb.TTL(ctx, stageKey("may", lost.token)).Val(); ttl < 23*time.Hour {
		t.Error("what nobody commits stays for", ttl)
	}
	rdb.HDel(ctx, stageKey("may", lost.token), "1")
	refused(lost, 0, ErrStageLost)

	// Of many that saw the same version one comes through.
	var wins sync.Map
	var group sync.WaitGroup
	for i := range 8 {
		st := staged(600 + i)
		group.Go(func() {
			c, err := st.Commit(ctx, CommitOptions{})
			if err == nil {
				wins.Store(i, c.Rows)
			} else if !errors.Is(err, ErrChanged) {
				t.Error(err)
			}
			if err := st.Drop(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	n := 0
	wins.Range(func(i, rows any) bool { n++; return rows == 600+i.(int) })
	if c, err := s.Find(ctx, "may"); n != 1 || err != nil || c.Version != 1 || len(c.Loads) != 1 {
		t.Fatal(n, c, err)
	}
	refused(staged(3), 0, ErrChanged)
	refused(staged(3), 7, ErrChanged)

	// A commit whose answer was lost is repeated by the Redis client.
	again := staged(700)
	twice := &repeated{}
	rdb.AddHook(twice)
	c, err := again.Commit(ctx, CommitOptions{Expect: 1})
	if err != nil || c.Version != 2 || len(c.Loads) != 2 || twice.times == 0 {
		t.Fatal(c, err, twice.times)
	}
	if err := s.Each(ctx, c, 0, func(int, *Row) error { return nil }); err != nil {
		t.Error(err)
	}
	twice.off = true
	if err := s.Cancel(ctx, "may"); err != nil {
		t.Fatal(err)
	}
	refused(staged(3), 2, ErrCancelled)
}

// repeated runs each commit a second time and gives its answer.
type repeated struct {
	times int
	off   bool
}

func (h *repeated) DialHook(next redis.DialHook) redis.DialHook { return next }

func (h *repeated) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if !h.off && err == nil && strings.HasPrefix(cmd.Name(), "eval") {
			h.times++
			return next(ctx, cmd)
		}
		return err
	}
}

func (h *repeated) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// Who stops a load hears of it at the next rows, and nothing breaks.
func TestStageIsStopped(t *testing.T) {
	s := NewStore(realRedis(t))
	for range 5 {
		ctx, cancel := context.WithCancel(t.Context())
		st := s.Stage(ctx, "may")
		cancel()
		failed := 0
		for n := range (stageAhead + 4) * chunkRows {
			r := person(n)
			if err := st.Add(t.Context(), &r); err != nil {
				failed++
			}
		}
		if failed == 0 {
			t.Fatal("rows are gone, and nobody was told")
		}
		if _, err := st.Commit(t.Context(), CommitOptions{}); err == nil {
			t.Fatal("what was stopped is loaded")
		}
		if err := st.Drop(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRowIsCheckedBeforeItIsStaged(t *testing.T) {
	st := NewStore(realRedis(t)).Stage(t.Context(), "may")
	for name, change := range map[string]func(*Row){
		"a code":       func(r *Row) { r.Unit = "EUR" },
		"no unit":      func(r *Row) { r.Unit = "" },
		"operator":     func(r *Row) { r.OperatorID = -1 },
		"before 1970":  func(r *Row) { r.NotBefore = time.Unix(-1, 0) },
		"out of range": func(r *Row) { r.NotBefore = time.UnixMilli(1 << 60) },
	} {
		r := person(1)
		change(&r)
		if err := st.Add(t.Context(), &r); !errors.Is(err, enqueue.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := st.Drop(t.Context()); err != nil {
		t.Error(err)
	}
}

// The aim is 120 B of Redis a row.
func TestRowsAreSmall(t *testing.T) {
	rdb := realRedis(t)
	s, ctx := NewStore(rdb), t.Context()
	const rows = 20_000
	used := func() int64 {
		text, _ := rdb.Info(ctx, "memory").Result()
		_, rest, _ := strings.Cut(text, "used_memory_dataset:")
		n, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	before := used()
	load(t, s, "may", 0, 0, rows)
	if each := (used() - before) / rows; each > 120 {
		t.Errorf("a row takes %d bytes", each)
	} else {
		t.Logf("a row takes %d bytes", each)
	}
}

func settledAs(open []Open, state enqueue.State, code string) []Settled {
	var rows []Settled
	for _, o := range open {
		r := Settled{Open: o, State: state, Code: code}
		if state == enqueue.Succeeded {
			r.Currency, r.Debited = "NGN", decimal.MustParse("1.00001")
		}
		rows = append(rows, r)
	}
	return rows
}

func TestEachRowIsCountedOnce(t *testing.T) {
	rdb := realRedis(t)
	s, ctx := NewStore(rdb), t.Context()
	heard := listen(t, rdb)
	load(t, s, "may", 0, 0, 10)
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	open, err := s.Take(ctx, "may", 6)
	ok(err)
	if len(open) != 6 || open[5].Row != 5 {
		t.Fatal(open)
	}
	for range 3 { // also where the answer was lost
		ok(s.Settle(ctx, "may", settledAs(open[:3], enqueue.Succeeded, "")))
		ok(s.Settle(ctx, "may", settledAs(open[3:5], enqueue.Failed, "NO")))
		ok(s.Settle(ctx, "may", settledAs(open[5:], enqueue.NeedsReview, "UNRESOLVED")))
	}
	st, err := s.Standing(ctx, "may")
	ok(err)
	if st.fields["n:succeeded"] != "3" || st.fields["n:failed"] != "2" || st.fields["c:NO"] != "2" || st.fields["moved:NGN"] != "300003" || len(st.Open) != 0 || len(st.Review) != 1 {
		t.Fatalf("%+v", st)
	}
	// What was read before a row was opened again says nothing of it.
	ok(s.Reopen(ctx, "may", []int{3, 0, 5, 9}))
	ok(s.Settle(ctx, "may", settledAs(open, enqueue.Failed, "NO")))
	ok(s.Reopen(ctx, "may", []int{3}))
	st, err = s.Standing(ctx, "may")
	ok(err)
	if len(st.Open) != 1 || st.Open[0].Row != 3 || st.Open[0].Mark <= open[0].Mark || st.fields["n:failed"] != "1" || st.fields["c:NO"] != "1" {
		t.Fatalf("%+v", st)
	}
	ok(s.Settle(ctx, "may", settledAs(st.Open, enqueue.Succeeded, "")))
	rest, err := s.Take(ctx, "may", 100)
	ok(err)
	if len(rest) != 4 || heard.count() != 0 {
		t.Fatal(rest, heard.count())
	}
	later := time.Now().Add(time.Hour)
	ok(s.Defer(ctx, "may", []Deferred{{rest[3], later}, {rest[2], time.Now().Add(-time.Second)}, {Open{3, 1}, later}}))
	ok(s.Settle(ctx, "may", settledAs(rest, enqueue.Refunded, "")))
	due, err := s.Take(ctx, "may", 100)
	ok(err)
	if len(due) != 1 || due[0].Row != rest[2].Row || heard.count() != 0 {
		t.Fatal(due)
	}
	ok(s.Settle(ctx, "may", settledAs(due, enqueue.Succeeded, "")))
	rdb.ZAdd(ctx, laterKey("may"), redis.Z{Score: 1, Member: rest[3].Row}) // its time has come
	due, err = s.Take(ctx, "may", 100)
	ok(err)
	ok(s.Settle(ctx, "may", settledAs(due, enqueue.Cancelled, "")))
	c, err := s.Find(ctx, "may")
	ok(err)
	if c.Ended.IsZero() {
		t.Fatal("it has not ended")
	}
	if done, err := s.Retire(ctx, "may"); err != nil || done {
		t.Fatal("its review is forgotten", err)
	}
	// A person decides: it was to be sent again, and then it is over.
	st, err = s.Standing(ctx, "may")
	ok(err)
	ok(s.Settle(ctx, "may", settledAs(st.Review, enqueue.Queued, "")))
	if c, err = s.Find(ctx, "may"); err != nil || !c.Ended.IsZero() {
		t.Fatal(c, err)
	}
	st, err = s.Standing(ctx, "may")
	ok(err)
	ok(s.Settle(ctx, "may", settledAs(st.Open, enqueue.Succeeded, "")))
	if done, err := s.Retire(ctx, "may"); err != nil || !done {
		t.Fatal(done, err)
	}
	for key, want := range map[string]time.Duration{campaignKey("may"): restKept, rowsKey("may", 0): rowsKept, endsKey("may"): restKept, logKey("may"): restKept} {
		if ttl := rdb.TTL(ctx, key).Val(); ttl < want-time.Minute || ttl > want {
			t.Errorf("%s is kept for %v", key, ttl)
		}
	}
	if names, err := s.Active(ctx); err != nil || len(names) != 0 {
		t.Fatal(names, err)
	}
	// Another load brings all of it back.
	load(t, s, "may", 1, 10, 12)
	for _, key := range rdb.Keys(ctx, "topup:*").Val() {
		if ttl := rdb.TTL(ctx, key).Val(); ttl > 0 {
			t.Errorf("%s is kept for %v", key, ttl)
		}
	}
	if c, err = s.Find(ctx, "may"); err != nil || !c.Ended.IsZero() || c.State != Running {
		t.Fatal(c, err)
	}
	deadline := time.Now().Add(time.Minute)
	for heard.count() < 2 && time.Now().Before(deadline) {
		time.Sleep(time.Millisecond)
	}
	if heard.count() != 2 {
		t.Errorf("%d events", heard.count())
	}
	var words []string
	events, err := s.Log(ctx, "may")
	ok(err)
	for _, e := range events {
		words = append(words, e.What)
	}
	if got := strings.Join(words, " "); got != "loaded started reopened finished reopened finished loaded" {
		t.Error(got)
	}
	if last := events[5].Count; last["rows"] != 10 || last["succeeded"] != 6 || last["needs_review"] != 0 || last["refunded"] != 2 {
		t.Error(last)
	}
}

// Rows are opened, their jobs sent again, and opened once more: what the feeder read of a job
// before that is not its end.
func TestReopenOutdatesWhatWasRead(t *testing.T) {
	rdb := realRedis(t)
	s, ctx := NewStore(rdb), t.Context()
	load(t, s, "may", 0, 0, 1)
	open, err := s.Take(ctx, "may", 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Settle(ctx, "may", settledAs(open, enqueue.Failed, "NO")), s.Reopen(ctx, "may", []int{0})); err != nil {
		t.Fatal(err)
	}
	st, err := s.Standing(ctx, "may")
	if err != nil || len(st.Open) != 1 {
		t.Fatal(st, err)
	}
	read := settledAs(st.Open, enqueue.Failed, "NO")
	if err := errors.Join(s.Reopen(ctx, "may", []int{0}), s.Settle(ctx, "may", read)); err != nil {
		t.Fatal(err)
	}
	if st, err = s.Standing(ctx, "may"); err != nil || len(st.Open) != 1 || st.fields["n:failed"] != "0" {
		t.Fatal("a row that is sent again is counted as failed", st, err)
	}
	if err := s.Settle(ctx, "may", settledAs(st.Open, enqueue.Succeeded, "")); err != nil {
		t.Fatal(err)
	}
	if st, err = s.Standing(ctx, "may"); err != nil || st.fields["n:succeeded"] != "1" || st.Campaign.Ended.IsZero() {
		t.Fatal(st, err)
	}
}

func TestCancelCountsTheRest(t *testing.T) {
	rdb := realRedis(t)
	s, ctx := NewStore(rdb), t.Context()
	load(t, s, "may", 0, 0, 100)
	for name, do := range map[string]func(context.Context, string) error{"pause": s.Pause, "resume": s.Resume, "cancel": s.Cancel} {
		if err := do(ctx, "nobody"); !errors.Is(err, ErrNoCampaign) {
			t.Errorf("%s: %v", name, err)
		}
	}
	open, err := s.Take(ctx, "may", 10)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Defer(ctx, "may", []Deferred{{open[4], time.Now().Add(time.Hour)}}), s.Pause(ctx, "may")); err != nil {
		t.Fatal(err)
	}
	if open, err := s.Take(ctx, "may", 10); err != nil || len(open) != 0 {
		t.Fatal("paused, and handed over", open, err)
	}
	for range 2 {
		if err := s.Cancel(ctx, "may"); err != nil {
			t.Fatal(err)
		}
	}
	c, err := s.Find(ctx, "may")
	if err != nil || c.Cut != 10 || c.Next != 100 || c.State != Cancelled || !c.Ended.IsZero() {
		t.Fatalf("%+v %v", c, err)
	}
	withdrawn, err := s.Withdrawn(ctx, "may")
	if err != nil || !reflect.DeepEqual(withdrawn, map[int]bool{4: true}) {
		t.Fatal(withdrawn, err)
	}
	if err := s.Resume(ctx, "may"); !errors.Is(err, ErrCancelled) {
		t.Error(err)
	}
	if open, err := s.Take(ctx, "may", 10); err != nil || len(open) != 0 {
		t.Fatal("cancelled, and handed over", open, err)
	}
	if err := s.Defer(ctx, "may", []Deferred{{open[5], time.Now().Add(time.Hour)}}); err != nil {
		t.Fatal(err)
	}
	if err := s.Settle(ctx, "may", settledAs(open, enqueue.Cancelled, "")); err != nil {
		t.Fatal(err)
	}
	if err := s.Reopen(ctx, "may", []int{1}); !errors.Is(err, ErrCancelled) {
		t.Error(err)
	}
	st, err := s.Standing(ctx, "may")
	if err != nil || st.fields["n:cancelled"] != "100" || st.Campaign.Ended.IsZero() {
		t.Fatalf("%+v %v", st, err)
	}
	ends, err := s.Ends(ctx, "may")
	if err != nil || len(ends) != 9 || ends[0] != (End{State: enqueue.Cancelled}) {
		t.Error(ends, err)
	}
}

// What hardly ever happens must not leave a row half counted.
func TestRareEnds(t *testing.T) {
	rdb := realRedis(t)
	s, ctx := NewStore(rdb), t.Context()
	load(t, s, "may", 0, 0, 3)
	open, err := s.Take(ctx, "may", 3)
	if err != nil {
		t.Fatal(err)
	}
	rdb.HSet(ctx, campaignKey("may"), "moved:NGN", "9223372036854775000")
	err = errors.Join(s.Settle(ctx, "may", settledAs(open[:2], enqueue.Succeeded, "")), s.Settle(ctx, "may", settledAs(open[2:], enqueue.Failed, "NO")))
	if err != nil {
		t.Fatal(err)
	}
	fields := rdb.HGetAll(ctx, campaignKey("may")).Val()
	if fields["n:succeeded"] != "2" || fields["unsummed:NGN"] != "2" || fields["moved:NGN"] != "9223372036854775000" || fields["c:NO"] != "1" {
		t.Error(fields)
	}
	if err := s.Reopen(ctx, "may", []int{2}); err != nil {
		t.Fatal(err)
	}
	if fields = rdb.HGetAll(ctx, campaignKey("may")).Val(); fields["c:NO"] != "" || fields["n:failed"] != "0" || fields["ended"] != "" {
		t.Error(fields)
	}
	// It ran out between the look at it and the script.
	if done, err := retireScript.Run(ctx, rdb, s.keys("gone"), 0, 1, 1).Bool(); err != nil || !done {
		t.Error(done, err)
	}
}
