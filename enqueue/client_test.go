package enqueue

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/govalues/decimal"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
)

// full is a job with every field.
func full(id string) TopUp {
	t := job(id)
	t.UseLocalAmount = true
	t.RecipientEmail, t.SenderPhone = "peter@nauta.com.cu", Phone{"CA", "11231231231"}
	t.Campaign, t.Metadata = "may", map[string]string{"order": "7", "a": "b"}
	t.NotBefore = time.Now().Add(time.Hour).UTC()
	t.Expires = t.NotBefore.Add(time.Hour)
	return t
}

func (w *world) tasks(queue, state string) []string {
	w.Helper()
	key := "asynq:{" + queue + "}:" + state
	if !w.m.Exists(key) {
		return nil
	}
	var ids []string
	var err error
	if state == "scheduled" {
		ids, err = w.m.ZMembers(key)
	} else {
		ids, err = w.m.List(key)
	}
	if err != nil {
		w.Fatal(err)
	}
	slices.Sort(ids)
	return ids
}

func TestTopUp(t *testing.T) {
	inWorld(t, func(w *world) {
		created, err := w.c.TopUp(w.Context(), full("Full"))
		if err != nil || created.ID != "Full" || created.State != Queued || created.MoneyMoved != MovedNo {
			w.Fatalf("%+v %v", created, err)
		}
		if created.Reason != Scheduled || created.Explanation != "It waits for its notBefore." {
			w.Fatalf("%+v", created)
		}
		read, err := w.c.Get(w.Context(), "FULL")
		if err != nil || !reflect.DeepEqual(read, created) {
			w.Fatalf("%+v\n%+v %v", read, created, err)
		}
		want := full("Full")
		want.NotBefore, want.Expires = want.NotBefore.Truncate(time.Millisecond), want.Expires.Truncate(time.Millisecond)
		if got := w.record("full").TopUp; !reflect.DeepEqual(got, want) {
			w.Fatalf("%+v", got)
		}
		if got := w.tasks(QueueCampaigns, "scheduled"); !slices.Equal(got, []string{"full"}) {
			w.Fatal(got)
		}
		again, err := w.c.TopUp(w.Context(), full("fuLL"))
		if err != nil || !reflect.DeepEqual(again, created) {
			w.Fatalf("%+v %v", again, err)
		}
		w.submit("now")
		if got := w.tasks(QueueTopUps, "pending"); !slices.Equal(got, []string{"now"}) {
			w.Fatal(got)
		}
		payload := w.m.HGet("asynq:{topups}:t:now", "msg")
		if !strings.Contains(payload, "1 now 1") || strings.Contains(payload, "501234521") {
			w.Fatalf("%q", payload)
		}
	})
}

// A wake-up that was lost between the ledger and asynq is written by the repetition.
func TestTopUpWritesALostWakeUp(t *testing.T) {
	inWorld(t, func(w *world) {
		w.submit("a")
		w.m.Del("asynq:{topups}:pending")
		w.m.Del("asynq:{topups}:t:a")
		w.submit("a")
		if got := w.tasks(QueueTopUps, "pending"); !slices.Equal(got, []string{"a"}) {
			w.Fatal(got)
		}
		// But not once the job went on.
		w.begin("a")
		w.m.Del("asynq:{topups}:pending")
		w.m.Del("asynq:{topups}:t:a")
		w.submit("a")
		if got := w.tasks(QueueTopUps, "pending"); got != nil {
			w.Fatal(got)
		}
	})
}

// An accepted job stays accepted, whatever becomes of its wake-up.
func TestTopUpWithoutWakeUp(t *testing.T) {
	inWorld(t, func(w *world) {
		var log bytes.Buffer
		w.c.cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
		if err := w.m.Set("asynq:queues", "no set"); err != nil {
			w.Fatal(err)
		}
		if r, err := w.c.TopUp(w.Context(), job("a")); err != nil || r.State != Queued {
			w.Fatalf("%+v %v", r, err)
		}
		if !strings.Contains(log.String(), "level=WARN") || !strings.Contains(log.String(), "job=a") || strings.Contains(log.String(), "501234521") {
			w.Fatal(log.String())
		}
		time.Sleep(15 * time.Second)
		if ids, err := w.l.Overdue(w.Context(), 10); err != nil || !slices.Equal(ids, []string{"a"}) {
			w.Fatal(ids, err)
		}
	})
}

// Each field makes another job, and the error names it without its value.
func TestConflict(t *testing.T) {
	changes := map[string]func(*TopUp){
		"amount":         func(t *TopUp) { t.Amount = decimal.MustParse("10.51") },
		"campaign":       func(t *TopUp) { t.Campaign = "june" },
		"expires":        func(t *TopUp) { t.Expires = t.Expires.Add(time.Second) },
		"metadata":       func(t *TopUp) { t.Metadata = map[string]string{"order": "8"} },
		"notBefore":      func(t *TopUp) { t.NotBefore = t.NotBefore.Add(time.Second) },
		"operatorId":     func(t *TopUp) { t.OperatorID = 342 },
		"recipientEmail": func(t *TopUp) { t.RecipientEmail = "paul@nauta.com.cu" },
		"recipientPhone": func(t *TopUp) { t.RecipientPhone.Number = "+971501234522" },
		"senderPhone":    func(t *TopUp) { t.SenderPhone = Phone{} },
		"useLocalAmount": func(t *TopUp) { t.UseLocalAmount = false },
	}
	inWorld(t, func(w *world) {
		if _, err := w.c.TopUp(w.Context(), full("a")); err != nil {
			w.Fatal(err)
		}
		for field, change := range changes {
			other := full("a")
			change(&other)
			_, err := w.c.TopUp(w.Context(), other)
			many := w.c.TopUps(w.Context(), []TopUp{other, full("a")})
			for _, err := range []error{err, many[0].Err} {
				var conflict *ConflictError
				if !errors.Is(err, ErrConflict) || !errors.As(err, &conflict) || !slices.Equal(conflict.Fields, []string{field}) || conflict.ID != "a" {
					w.Errorf("%s: %v", field, err)
				}
				if strings.Contains(err.Error(), "97150") || strings.Contains(err.Error(), "10.5") {
					w.Errorf("a value in %q", err)
				}
			}
			if many[1].Err != nil || many[1].Created {
				w.Errorf("%+v", many[1])
			}
		}
	})
	for _, same := range []string{"10.5", "10.50", "10.50000"} {
		a, b := job("x"), job("X")
		b.Amount = decimal.MustParse(same)
		if fingerprint(a) != fingerprint(b) {
			t.Error(same)
		}
	}
	if got := (&ConflictError{ID: "x"}).Error(); !strings.Contains(got, `"x"`) {
		t.Error(got)
	}
}

func TestTwoProducers(t *testing.T) {
	inWorld(t, func(w *world) {
		const producers = 16
		var group sync.WaitGroup
		answers := make([]Answered, producers)
		other := NewClient(w.rdb, w.c.cfg)
		for i := range producers {
			group.Go(func() {
				t := job("race")
				t.Amount = decimal.MustNew(int64(1+i%2), 0)
				if i%4 < 2 {
					answers[i].Result, answers[i].Err = w.c.TopUp(w.Context(), t)
				} else {
					answers[i] = other.TopUps(w.Context(), []TopUp{t})[0]
				}
			})
		}
		group.Wait()
		winner := w.record("race").TopUp.Amount
		for i, a := range answers {
			if wins := winner.Equal(decimal.MustNew(int64(1+i%2), 0)); wins != (a.Err == nil) || (!wins && !errors.Is(a.Err, ErrConflict)) {
				w.Errorf("producer %d: %v", i, a.Err)
			}
		}
		if got := w.tasks(QueueTopUps, "pending"); !slices.Equal(got, []string{"race"}) {
			w.Fatal(got)
		}
		w.begin("race")
		w.want("busy", Sending)(w.l.Begin(w.Context(), "race", NewClaim()))
	})
}

func TestExpiredRecord(t *testing.T) {
	inWorld(t, func(w *world) {
		w.submit("old")
		w.want("done", Succeeded)(w.settle("old", Outcome{Kind: KindSucceeded, Claim: w.begin("old"), Transaction: tx(77, "SUCCESSFUL")}))
		time.Sleep(91 * 24 * time.Hour)
		r, err := w.l.Load(w.Context(), "old")
		if !errors.Is(err, ErrExpired) || r.TxID != 77 {
			w.Fatalf("%+v %v", r, err)
		}
		for name, ask := range map[string]func() (Result, error){
			"TopUp":   func() (Result, error) { return w.c.TopUp(w.Context(), job("old")) },
			"TopUps":  func() (Result, error) { a := w.c.TopUps(w.Context(), []TopUp{job("old")})[0]; return a.Result, a.Err },
			"Get":     func() (Result, error) { return w.c.Get(w.Context(), "old") },
			"GetMany": func() (Result, error) { a := w.c.GetMany(w.Context(), []string{"old"})[0]; return a.Result, a.Err },
			"Wait":    func() (Result, error) { return w.c.Wait(w.Context(), "old") },
		} {
			if r, err := ask(); !errors.Is(err, ErrExpired) || r.State != Succeeded || r.MoneyMoved != MovedYes || !strings.Contains(err.Error(), "succeeded") {
				w.Errorf("%s: %+v %v", name, r, err)
			}
		}
		if err := w.c.Close(); err != nil { // or its subscription would ping for 310 days
			w.Fatal(err)
		}
		time.Sleep(310 * 24 * time.Hour)
		if _, err := w.c.Get(w.Context(), "old"); !errors.Is(err, ErrNotFound) {
			w.Fatal(err)
		}
	})
}

func TestTopUps(t *testing.T) {
	inWorld(t, func(w *world) {
		var jobs []TopUp
		var ids []string
		for i := range 500 {
			id := "Bulk-" + decimal.MustNew(int64(i), 0).String()
			jobs, ids = append(jobs, job(id)), append(ids, id)
		}
		bad, twice, other := job(""), job("bulk-3"), job("bulk-3")
		other.OperatorID = 1
		jobs = append(jobs, bad, twice, other)
		answers := w.c.TopUps(w.Context(), jobs)
		for i, a := range answers[:500] {
			if a.Err != nil || !a.Created || a.Result.ID != ids[i] || a.Result.State != Queued {
				w.Fatalf("%d: %+v", i, a)
			}
		}
		if a := answers[500]; !errors.Is(a.Err, ErrInvalid) || a.Created {
			w.Fatalf("%+v", a)
		}
		if a := answers[501]; a.Err != nil || a.Created || !reflect.DeepEqual(a.Result, answers[3].Result) {
			w.Fatalf("%+v", a)
		}
		if a := answers[502]; !errors.Is(a.Err, ErrConflict) {
			w.Fatalf("%+v", a)
		}
		if got := w.tasks(QueueTopUps, "pending"); len(got) != 500 {
			w.Fatal(len(got))
		}
		read := w.c.GetMany(w.Context(), append(ids, "nobody"))
		for i, a := range read[:500] {
			if a.Err != nil || !reflect.DeepEqual(a.Result, answers[i].Result) {
				w.Fatalf("%+v", a)
			}
		}
		if !errors.Is(read[500].Err, ErrNotFound) {
			w.Fatal(read[500].Err)
		}
		if len(w.c.TopUps(w.Context(), nil)) != 0 || len(w.c.GetMany(w.Context(), nil)) != 0 {
			w.Fatal("answers to nothing")
		}
	})
}

// More jobs of one shard than a script takes, and copies on both sides of the border.
func TestTopUpsInChunks(t *testing.T) {
	inWorld(t, func(w *world) {
		var jobs []TopUp
		for n := 0; len(jobs) < 2*chunk+5; n++ {
			if id := "c" + decimal.MustNew(int64(n), 0).String(); shardOf(id) == 9 {
				jobs = append(jobs, full(id))
			}
		}
		jobs = append(jobs, jobs[0], jobs[chunk])
		for i, a := range w.c.TopUps(w.Context(), jobs) {
			if a.Err != nil || a.Created != (i < len(jobs)-2) {
				w.Fatalf("%d: %+v", i, a)
			}
		}
	})
}

func TestRedisFails(t *testing.T) {
	inWorld(t, func(w *world) {
		w.submit("a")
		w.m.SetError("LOADING Redis is loading the dataset in memory")
		_, submitErr := w.c.TopUp(w.Context(), job("b"))
		many := w.c.TopUps(w.Context(), []TopUp{job("b"), job("c"), job("")})
		for _, err := range []error{submitErr, many[0].Err, many[1].Err} {
			if err == nil || !strings.Contains(err.Error(), "repeat it with the same id") || errors.Is(err, ErrInvalid) {
				w.Error(err)
			}
		}
		if !errors.Is(many[2].Err, ErrInvalid) {
			w.Error(many[2].Err)
		}
		_, getErr := w.c.Get(w.Context(), "a")
		_, cancelErr := w.c.Cancel(w.Context(), "a")
		_, reviewsErr := w.l.Reviews(w.Context())
		_, overdueErr := w.l.Overdue(w.Context(), 1)
		for i, err := range []error{getErr, cancelErr, reviewsErr, overdueErr, w.l.Checked(w.Context(), "a", 1), w.l.Fail(w.Context(), "a"), w.c.GetMany(w.Context(), []string{"a"})[0].Err} {
			if err == nil || errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "LOADING") {
				w.Error(i, err)
			}
		}
		w.m.SetError("")
		w.submit("b")
	})
}

func TestDamagedRecord(t *testing.T) {
	inWorld(t, func(w *world) {
		for field, value := range map[string]string{"s": "qeued", "ca": "x", "a": "ten", "m": "{", "x0": "\xff\xff"} {
			id := "d" + field
			w.submit(id)
			w.m.HSet(jobKey(id), field, value)
			_, getErr := w.c.Get(w.Context(), id)
			_, submitErr := w.c.TopUp(w.Context(), job(id))
			_, waitErr := w.c.Wait(w.Context(), id)
			for _, err := range []error{getErr, submitErr, waitErr, w.c.GetMany(w.Context(), []string{id})[0].Err} {
				if !errors.Is(err, ErrDamaged) {
					w.Errorf("%s: %v", field, err)
				}
			}
		}
		// The log decides nothing: damage there is left out.
		w.submit("log")
		w.begin("log")
		for field, line := range map[string]string{"h7": "x", "h8": "x qs y", "h9": "1 q y z"} {
			w.m.HSet(jobKey("log"), field, line)
		}
		if lines := w.record("log").Log; len(lines) != 1 {
			w.Fatal(lines)
		}
	})
}

// Replies that no script of ours gives are errors, and never an accepted job.
func TestStrangeReplies(t *testing.T) {
	c := NewClient(nil, ClientConfig{})
	for _, reply := range []any{nil, "x", []any{"inc"}, []any{"inc", "x"}, []any{"inc", []any{"created", "soon"}}, []any{"inc", []any{"new", ""}}} {
		if s := c.readSubmission([]TopUp{job("a")}, reply)[0]; !errors.Is(s.Err, errReply) || s.Created || s.wake != nil {
			t.Errorf("%v: %+v", reply, s)
		}
	}
	inWorld(t, func(w *world) {
		if _, err := w.l.call(w.Context(), redis.NewScript("return 1"), "a", nil); err == nil {
			w.Error("no error")
		}
	})
	// A Redis client without pipelines of its own still takes many jobs.
	if c.bulk() != c.tasks {
		t.Error("another client")
	}
}

func TestTasks(t *testing.T) {
	id, version, err := DecodeTask(EncodeTask("A:b", 12))
	if id != "a:b" || version != 12 || err != nil || TaskID("A", 1) != "a" || TaskID("A", 2) != "a:2" {
		t.Fatal(id, version, err)
	}
	for _, payload := range []string{"", "1 a", "2 a 1", "1 a 0", "1 a x", "1  1", "1 A 1", "1 {a} 1", "1 a 1 1", strings.Repeat("x", 200), "1 " + strings.Repeat("x", 101) + " 1"} {
		if _, _, err := DecodeTask([]byte(payload)); !errors.Is(err, errPayload) {
			t.Errorf("%q: %v", payload, err)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		// A wake-up never comes before its time, though asynq rounds down.
		at := time.Now().Add(1500 * time.Millisecond)
		inspectable := NewTask(QueueTopUps, "x", "x", 1, at)
		if inspectable.Type() != TaskType {
			t.Fatal(inspectable.Type())
		}
	})
	inWorld(t, func(w *world) {
		at := time.Now().Add(90 * time.Minute).Add(time.Millisecond)
		if _, err := w.c.tasks.EnqueueContext(w.Context(), NewTask(QueueFollowups, "x", "x", 1, at)); err != nil {
			w.Fatal(err)
		}
		info, err := asynq.NewInspectorFromRedisClient(w.rdb).GetTaskInfo(QueueFollowups, "x")
		if err != nil || info.NextProcessAt.Before(at) || info.NextProcessAt.Sub(at) > time.Second || info.Timeout != TaskTimeout || info.MaxRetry != taskRetries {
			w.Fatalf("%+v %v", info, err)
		}
	})
}

func TestContextEnds(t *testing.T) {
	inWorld(t, func(w *world) {
		ctx, cancel := context.WithCancel(w.Context())
		cancel()
		if _, err := w.c.TopUp(ctx, job("a")); !errors.Is(err, context.Canceled) {
			w.Error(err)
		}
		for _, a := range w.c.TopUps(ctx, []TopUp{job("a"), job("b")}) {
			if !errors.Is(a.Err, context.Canceled) || a.Created {
				w.Errorf("%+v", a)
			}
		}
	})
}
