package enqueue

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// server is a redis-server process of the test's own.
type server struct {
	testing.TB
	dir, addr string
	cmd       *exec.Cmd
	rdb       *redis.Client
}

func startRedis(t testing.TB) *server {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("redis-server is not on PATH: what miniredis cannot show (run_id, restarts) is not tested")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{TB: t, dir: t.TempDir(), addr: listener.Addr().String()}
	_ = listener.Close()
	s.start()
	t.Cleanup(s.stop)
	return s
}

func (s *server) start() {
	s.Helper()
	_, port, _ := net.SplitHostPort(s.addr)
	var out bytes.Buffer
	s.cmd = exec.Command("redis-server", "--port", port, "--bind", "127.0.0.1", "--dir", s.dir, "--appendonly", "yes", "--appendfsync", "everysec", "--save", "", "--daemonize", "no")
	s.cmd.Stdout, s.cmd.Stderr = &out, &out
	if err := s.cmd.Start(); err != nil {
		s.Fatal(err)
	}
	s.rdb = redis.NewClient(&redis.Options{Addr: s.addr})
	for deadline := time.Now().Add(time.Minute); s.rdb.Ping(context.Background()).Err() != nil; {
		if time.Now().After(deadline) {
			s.Fatalf("redis-server does not answer: %s", out.String())
		}
	}
}

// stop kills the process: nothing is said goodbye to.
func (s *server) stop() {
	if s.cmd == nil {
		return
	}
	_ = s.rdb.Close()
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
	s.cmd = nil
}

// A Redis whose memory is full takes no new job, and still takes what became of a send.
func TestRealRedisIsFull(t *testing.T) {
	s := startRedis(t)
	c := NewClient(s.rdb, ClientConfig{})
	defer func() { _ = c.Close() }()
	l, claim := c.Ledger(), NewClaim()
	for _, id := range []string{"paid", "refused"} {
		if _, err := c.TopUp(t.Context(), job(id)); err != nil {
			t.Fatal(err)
		}
		if a, err := l.Begin(t.Context(), id, claim); err != nil || a.Word != AnswerSend {
			t.Fatal(a, err)
		}
	}
	if err := s.rdb.ConfigSet(t.Context(), "maxmemory", "1").Err(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.TopUp(t.Context(), job("new")); !redis.HasErrorPrefix(err, "OOM") {
		t.Fatalf("its memory is not full: %v", err)
	}
	if version := s.rdb.InfoMap(t.Context(), "server").Item("Server", "redis_version"); strings.HasPrefix(version, "6.") {
		if _, err := l.Settle(t.Context(), "refused", Outcome{Kind: KindFailed, Claim: claim, Code: "X"}, nil); !redis.HasErrorPrefix(err, "OOM") {
			t.Errorf("Redis %s: %v", version, err)
		}
		return
	}
	along := func(pipe redis.Pipeliner) { pipe.Set(t.Context(), "more", "1", 0) }
	if a, err := l.Settle(t.Context(), "paid", Outcome{Kind: KindSucceeded, Claim: claim, Transaction: tx(1, "SUCCESSFUL")}, along); err != nil || a.State != Succeeded {
		t.Error(a, err)
	}
	if a, err := l.Settle(t.Context(), "refused", Outcome{Kind: KindFailed, Claim: claim, Code: "X"}, nil); err != nil || a.State != Failed {
		t.Error(a, err)
	}
	if a, err := l.Settle(t.Context(), "refused", Outcome{Kind: KindFailed, Claim: "another", Code: "X"}, nil); err != nil || a.Word != AnswerIgnored {
		t.Error(a, err)
	}
}

// Guard 7 on a real Redis: another run_id makes the barrier.
func TestRealRedisRestarts(t *testing.T) {
	s := startRedis(t)
	ctx := t.Context()
	cfg := ClientConfig{Ledger: LedgerConfig{Settle: 400 * time.Millisecond, AbsentSpacing: 100 * time.Millisecond, PostTimeout: 100 * time.Millisecond, SendWindow: 100 * time.Millisecond}}
	c := NewClient(s.rdb, cfg)
	for _, a := range c.TopUps(ctx, []TopUp{job("kept"), job("waits")}) {
		if a.Err != nil || !a.Created {
			t.Fatalf("%+v", a)
		}
	}
	if a, err := c.Ledger().Begin(ctx, "kept", NewClaim()); err != nil || a.Word != AnswerSend {
		t.Fatal(a, err)
	}
	before := s.rdb.HGet(ctx, incarnationKey(shardOf("waits")), "now").Val()
	if len(before) != 24 {
		t.Fatalf("the incarnation is %q", before)
	}
	// With everysec and a slow disk a killed process loses what it has acknowledged.
	if err := s.rdb.ConfigSet(ctx, "appendfsync", "always").Err(); err != nil {
		t.Fatal(err)
	}
	collect(s.rdb)
	s.stop()
	s.start()

	c = NewClient(s.rdb, cfg)
	defer func() { _ = c.Close() }()
	l := c.Ledger()
	began := time.Now() // the settle time counts from here on, however long the looks in between take
	a, err := l.Begin(ctx, "waits", NewClaim())
	if err != nil || a.Word != AnswerLook || a.State != Unknown {
		t.Fatal(a, err)
	}
	if after := s.rdb.HGet(ctx, incarnationKey(shardOf("waits")), "now").Val(); after == before || len(after) != 24 {
		t.Fatalf("%q after %q", after, before)
	}
	if survey, err := l.Survey(ctx, 10); err != nil || survey.Restarted.IsZero() {
		t.Fatalf("the restart does not show: %+v, %v", survey, err)
	}
	for a.Word != "resend" {
		r, err := l.Load(ctx, "waits")
		if err != nil {
			t.Fatal(err)
		}
		if a, err = l.Absent(ctx, r, time.Time{}, 50*time.Millisecond); err != nil {
			t.Fatal(err)
		}
		if time.Since(began) > 2*time.Minute {
			t.Fatal("it is never sent again")
		}
		wait, cancel := context.WithDeadline(ctx, a.NextAt)
		<-wait.Done()
		cancel()
	}
	if time.Since(began) < 450*time.Millisecond {
		t.Fatalf("sent again after %v", time.Since(began))
	}
	if a, err := l.Begin(ctx, "waits", NewClaim()); err != nil || a.Word != AnswerSend {
		t.Fatal(a, err)
	}
	done := make(chan error, 1)
	go func() {
		r, err := c.Wait(ctx, "waits")
		if err == nil && r.State != Succeeded {
			err = fmt.Errorf("%+v", r)
		}
		done <- err
	}()
	if _, err := l.Settle(ctx, "waits", Outcome{Kind: KindSucceeded, Transaction: tx(1, "SUCCESSFUL")}, nil); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	collect(s.rdb)
}

// A record has to keep Redis' compact form, or a million jobs take three times the memory.
func TestRecordStaysCompact(t *testing.T) {
	s := startRedis(t)
	ctx := t.Context()
	c := NewClient(s.rdb, ClientConfig{})
	j := full("compact")
	j.NotBefore, j.Expires, j.Metadata = time.Time{}, time.Time{}, nil
	if _, err := c.TopUp(ctx, j); err != nil {
		t.Fatal(err)
	}
	claim := NewClaim()
	if _, err := c.Ledger().Begin(ctx, "compact", claim); err != nil {
		t.Fatal(err)
	}
	transaction := tx(1, "SUCCESSFUL")
	transaction.CustomIdentifier = text("compact")
	transaction.OperatorName = text(strings.Repeat("Digicel Haiti ", 20))
	if _, err := c.Ledger().Settle(ctx, "compact", Outcome{Kind: KindSucceeded, Claim: claim, Transaction: transaction}, nil); err != nil {
		t.Fatal(err)
	}
	// What is kept in bytes that are no text is read as it was written.
	if r, err := c.TopUp(ctx, j); err != nil || r.State != Succeeded || !reflect.DeepEqual(r.Transaction, transaction) {
		t.Fatal(r, err)
	}
	j.Campaign = "another"
	if _, err := c.TopUp(ctx, j); !errors.Is(err, ErrConflict) {
		t.Fatal(err)
	}
	if form := s.rdb.ObjectEncoding(ctx, jobKey("compact")).Val(); form != "listpack" && form != "ziplist" {
		t.Fatal("the record is a", form)
	}
}
