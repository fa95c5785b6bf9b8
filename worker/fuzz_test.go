package worker

import (
	"context"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"example.com/topup/enqueue"
)

// FuzzOrphanedTask: what stands in asynq's own record of a task whose worker died is read
// by the sweeper. Whatever it is, the sweeper goes on, and wakes up jobs with an id alone.
func FuzzOrphanedTask(f *testing.F) {
	m := miniredis.NewMiniRedis()
	f.Cleanup(m.Close)
	rdb := redis.NewClient(&redis.Options{
		Dialer:          func(context.Context, string, string) (net.Conn, error) { return m.Dial() },
		DisableIdentity: true, MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
	f.Cleanup(func() { _ = rdb.Close() })
	queue := asynq.NewClientFromRedisClient(rdb)
	const record = "asynq:{" + enqueue.QueueTopUps + "}:t:"
	for _, payload := range []string{"1 order-4711 1", "", "2 a 1", "1 a -1", "\x00\xff"} {
		m.FlushAll()
		task := asynq.NewTask(enqueue.TaskType, []byte(payload), asynq.Queue(enqueue.QueueTopUps), asynq.TaskID("x"))
		if _, err := queue.EnqueueContext(f.Context(), task); err != nil {
			f.Fatal(err)
		}
		f.Add([]byte(m.HGet(record+"x", "msg")), "active")
	}
	f.Add([]byte(nil), "active")
	f.Add([]byte("\x0a\xff\xff\xff\xff\xff"), "")
	f.Fuzz(func(t *testing.T, message []byte, state string) {
		m.FlushAll()
		if _, err := m.SAdd("asynq:queues", enqueue.QueueTopUps, enqueue.QueueFollowups); err != nil {
			t.Fatal(err)
		}
		m.HSet(record+"x", "msg", string(message), "state", state)
		if _, err := m.ZAdd("asynq:{"+enqueue.QueueTopUps+"}:lease", 1, "x"); err != nil {
			t.Fatal(err)
		}
		ledger := enqueue.NewLedger(rdb, enqueue.LedgerConfig{Epoch: "test"})
		sweeper := NewSweeper(rdb, ledger, asynq.NewInspectorFromRedisClient(rdb), queue, SweeperConfig{Logger: slog.New(slog.DiscardHandler), Interval: time.Second})
		woken, err := sweeper.Orphans(t.Context())
		pending, _ := m.List("asynq:{" + enqueue.QueueFollowups + "}:pending") // there is none where nothing is woken up
		if woken != len(pending) || (woken > 0 && err != nil) {
			t.Fatalf("%q: %d are woken up, %d wake-ups, %v", message, woken, len(pending), err)
		}
		for _, name := range pending {
			info, err := asynq.NewInspectorFromRedisClient(rdb).GetTaskInfo(enqueue.QueueFollowups, name)
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := enqueue.DecodeTask(info.Payload); err != nil {
				t.Fatalf("%q is woken up as %q: %v", message, info.Payload, err)
			}
		}
	})
}
