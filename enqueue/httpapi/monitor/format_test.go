package monitor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hibiken/asynq"

	"example.com/topup/enqueue"
	"example.com/topup/enqueue/httpapi"
)

// Whatever page is asked for, no secret, whole number or address of a person is on it.
func TestNoSecretAndNoNumberLeaks(t *testing.T) {
	reading, _ := endpoints(t)
	rdb := realRedis(t)
	read := makeKey(t, rdb, httpapi.Key{Name: "reports", Scopes: []httpapi.Scope{httpapi.Read}, PerSecond: 10_000})
	w := newWorld(t, rdb, nil)
	w.submit("done", "Broken:1", "broken-2")
	foreign := func(id, payload, kind string) {
		t.Helper()
		task := asynq.NewTask(kind, []byte(payload), asynq.TaskID(id), asynq.Queue(enqueue.QueueTopUps), asynq.Retention(time.Hour))
		queue := asynq.NewClientFromRedisClient(rdb)
		if _, err := queue.Enqueue(task); err != nil {
			t.Fatal(err)
		}
	}
	foreign("foreign", "to +971503971821 and canary-secret", enqueue.TaskType)
	w.work()
	w.submit("waits")
	foreign("foreign-waits", `{"number":"0503971821"}`, "mail")
	if err := rdb.HSet(t.Context(), "asynq:{topups}:t:waits", "result", "971503971821").Err(); err != nil {
		t.Fatal(err)
	}
	session := w.login(read)
	secrets := []string{number, number[1:], "971503971821", "11231231231", "canary", "809021.29103", read, strings.TrimPrefix(session[1], "topup_monitor=")}
	answers := 0
	scan := func(path string, a answer) {
		t.Helper()
		if a.status == 200 {
			answers++
		}
		for _, secret := range secrets {
			if strings.Contains(a.body+fmt.Sprint(a.header), secret) {
				t.Errorf("%s shows %s: %s", path, secret, a.body)
			}
		}
	}
	for _, e := range reading {
		for _, task := range []string{"done", "broken:1", "waits", "foreign", "foreign-waits"} {
			scan(e.path, w.ask("GET", e.fill(task), "", session...))
		}
	}
	for _, path := range []string{"/monitor/", "/monitor/login", "/monitor/logout", "/monitor/queues/topups/tasks/done"} {
		scan(path, w.ask("GET", path, "", session...))
	}
	scan("login", w.tryLogin(read+"x"))
	scan("login", w.tryLogin(number))
	scan("the log", answer{body: w.log.String()})
	if answers < 60 {
		t.Errorf("%d pages were scanned: this shows little", answers)
	}

	// And what is there can be read.
	shows := func(task, payload, result string) {
		t.Helper()
		var info struct{ Payload, Result, State string }
		a := w.want(200, "", "GET", "/monitor/api/queues/topups/tasks/"+task, session...)
		if err := json.Unmarshal([]byte(a.body), &info); err != nil || info.Payload != payload || info.Result != result {
			t.Errorf("%s: %+v %v", task, info, err)
		}
	}
	shows("done", "job done · succeeded · AE 050*****21 · 832 NGN · 5.6 AED delivered · transaction 33469", "succeeded · transaction 33469")
	shows("broken:1", "job Broken:1 · queued · AE 050*****21 · 832", "")
	shows("waits", "job waits · queued · AE 050*****21 · 832", "not a top-up's (12 bytes)")
	shows("foreign", "not a top-up (34 bytes)", "")
	shows("foreign-waits", "not a top-up (23 bytes)", "")
	w.want(200, "job done · succeeded · AE 050*****21", "GET", "/monitor/api/queues/topups/completed_tasks", session...)

	// A record that is gone, and one that never was.
	foreign("never", string(enqueue.EncodeTask("never", 1)), enqueue.TaskType)
	shows("never", "job never · not in the ledger", "")
	var record string
	keys := rdb.Scan(t.Context(), 0, "topup:{s*}:job:done", 1000).Iterator()
	for keys.Next(t.Context()) {
		record = keys.Val()
	}
	if err := rdb.Del(t.Context(), record).Err(); err != nil {
		t.Fatal(err)
	}
	shows("done", "job done · succeeded · ended so long ago that only its state is known", "succeeded · transaction 33469")
}

func TestDescribe(t *testing.T) {
	text := func(s string) *string { return &s }
	amount, err := enqueue.ParseAmount("5.60")
	if err != nil {
		t.Fatal(err)
	}
	for want, r := range map[string]enqueue.Record{
		"job x · needs_review · RECORD_LOST":                              {TopUp: enqueue.TopUp{ID: "x"}, State: enqueue.NeedsReview, Code: enqueue.CodeRecordLost},
		"job x · queued (backoff) · +97150*****21 · 5.6 · sent 3 times":   {TopUp: enqueue.TopUp{ID: "x", Amount: amount, RecipientPhone: enqueue.Phone{Number: "+971503971821"}}, State: enqueue.Queued, Reason: enqueue.Backoff, Sends: 3},
		"job x · sending · by e-mail · 5.6 local":                         {TopUp: enqueue.TopUp{ID: "x", Amount: amount, UseLocalAmount: true, RecipientEmail: "canary@example.com"}, State: enqueue.Sending, Sends: 1},
		"job x · failed · a code that is none · 5.6":                      {TopUp: enqueue.TopUp{ID: "x", Amount: amount}, State: enqueue.Failed, Code: "no 0503971821"},
		"job x · processing · 7 NGN · transaction 9":                      {TopUp: enqueue.TopUp{ID: "x", Amount: amount}, State: enqueue.Processing, TxID: 9, Transaction: &enqueue.Transaction{RequestedAmount: text("7"), RequestedAmountCurrencyCode: text("NGN"), DeliveredAmount: text("8")}},
		"job x · failed · PHONE_BANNED_BY_OPERATOR · AE 050*****21 · 5.6": {TopUp: enqueue.TopUp{ID: "x", Amount: amount, RecipientPhone: enqueue.Phone{CountryCode: "AE", Number: number}}, State: enqueue.Failed, Code: "PHONE_BANNED_BY_OPERATOR"},
	} {
		if got := describe(&r); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	for in, want := range map[string]string{
		"": "", "succeeded 33469": "succeeded · transaction 33469", "in_use": "in_use", "failed PHONE_BANNED_BY_OPERATOR 7": "failed · PHONE_BANNED_BY_OPERATOR · transaction 7",
		"failed NEW_CODE": "failed · NEW_CODE", "971503971821": "not a top-up's (12 bytes)", "{}": "not a top-up's (2 bytes)", "failed a text 0503971821": "not a top-up's (24 bytes)",
	} {
		if got := result("", []byte(in)); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// A ledger that does not answer, or slowly, holds a page for half a second of each.
func TestLookUpsAreBounded(t *testing.T) {
	defer func(each, share time.Duration) { lookupTime, lookupShare = each, share }(lookupTime, lookupShare)
	lookupTime, lookupShare = shippedTime, shippedShare
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		payload := enqueue.EncodeTask("x", 1)
		hangs := &jobs{load: func(ctx context.Context, _ string) (*enqueue.Record, error) {
			asked++
			<-ctx.Done()
			return nil, ctx.Err()
		}}
		began := time.Now()
		for i := range 1000 {
			want := "job x"
			if i < 2 {
				want = "job x · the ledger does not answer now"
			}
			if got := hangs.payload(enqueue.TaskType, payload); got != want {
				t.Fatalf("%d: %s", i, got)
			}
		}
		if took := time.Since(began); asked != 2 || took != 2*lookupTime {
			t.Errorf("%d look-ups in %v", asked, took)
		}
		time.Sleep(time.Second)
		if hangs.payload(enqueue.TaskType, payload); asked != 3 {
			t.Error("it never asks again")
		}
		broken := &jobs{load: func(context.Context, string) (*enqueue.Record, error) { return nil, errors.New("dial canary") }}
		if got := broken.payload(enqueue.TaskType, payload); got != "job x · the ledger does not answer now" {
			t.Error(got)
		}
	})
}
