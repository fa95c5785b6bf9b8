package enqueue

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/govalues/decimal"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
	"go.uber.org/goleak"

	"example.com/topup/enqueue/internal/luacover"
)

// The scripts run instrumented in every test: each branch notes itself in the set
// "cov". TestMain fails a full run that left a branch out.
var branches = luacover.New()

// jobScripts are those that change jobs.
var jobScripts = map[string]**redis.Script{
	"submit": &submitScript, "begin": &beginScript, "outcome": &outcomeScript, "absent": &absentScript, "wait": &waitScript,
	"delay": &delayScript, "lapse": &lapseScript, "missing": &missingScript, "cancel": &cancelScript, "giveup": &giveUpScript, "review": &reviewScript,
}

func TestMain(m *testing.M) {
	flag.Parse()
	if flag.Lookup("test.bench").Value.String() != "" { // the notes would be measured too
		os.Exit(m.Run())
	}
	prelude := branches.Instrument("prelude", preludeText)
	record := prelude + branches.Instrument("record", recordText)
	for name, script := range jobScripts {
		before := record
		if name == "submit" {
			before = prelude
		}
		*script = redis.NewScript(before + branches.Instrument(name, mustRead(name)))
	}
	code := m.Run()
	if flag.Lookup("test.run").Value.String() == "" && flag.Lookup("test.skip").Value.String() == "" && code == 0 {
		for _, branch := range branches.Missing() {
			fmt.Fprintln(os.Stderr, "FAIL: no test reaches the branch lua/"+branch)
			code = 1
		}
	}
	if code == 0 {
		err := goleak.Find()
		for deadline := time.Now().Add(time.Minute); err != nil && time.Now().Before(deadline); { // a busy machine takes its time
			err = goleak.Find()
		}
		if err != nil { // what a test started outlives it
			fmt.Fprintln(os.Stderr, "FAIL:", err)
			code = 1
		}
	}
	os.Exit(code)
}

func collect(rdb redis.UniversalClient) { branches.Collect(context.Background(), rdb) }

// world is a Redis of its own, with a client on it, in virtual time.
type world struct {
	*testing.T
	m   *miniredis.Miniredis
	rdb *redis.Client
	c   *Client
	l   *Ledger
}

// inWorld runs a test inside a bubble: hours pass in no time.
func inWorld(t *testing.T, f func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		m := miniredis.NewMiniRedis()
		m.ClockTTL(true)
		w := &world{T: t, m: m, rdb: dial(m)}
		defer m.Close()
		defer func() { _ = w.rdb.Close() }()
		defer collect(w.rdb)
		w.c = NewClient(w.rdb, ClientConfig{Ledger: LedgerConfig{Epoch: "test", Who: "w1"}})
		defer func() { _ = w.c.Close() }()
		w.l = w.c.Ledger()
		f(w)
	})
}

func dial(m *miniredis.Miniredis) *redis.Client {
	return redis.NewClient(&redis.Options{
		Dialer: func(context.Context, string, string) (net.Conn, error) {
			conn, err := m.Dial()
			if err != nil {
				return nil, err
			}
			return newPostbox(conn), nil
		},
		DisableIdentity:          true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
}

// restarted is the ledger as the same client sees it after Redis became another process.
func (w *world) restarted(epoch string) *Ledger {
	cfg := w.l.cfg
	cfg.Epoch = epoch
	return NewLedger(w.rdb, cfg)
}

func job(id string) TopUp {
	return TopUp{ID: id, OperatorID: 341, Amount: decimal.MustParse("10.5"), RecipientPhone: Phone{"AE", "+971501234521"}}
}

func (w *world) submit(id string) {
	w.Helper()
	if _, err := w.c.TopUp(w.Context(), job(id)); err != nil {
		w.Fatalf("TopUp(%s): %v", id, err)
	}
}

// want checks an answer of the ledger.
func (w *world) want(word string, state State) func(Answer, error) Answer {
	return func(a Answer, err error) Answer {
		w.Helper()
		if err != nil {
			w.Fatal(err)
		}
		if a.Word != word || a.State != state {
			w.Fatalf("the answer is %s, %s; want %s, %s", a.Word, a.State, word, state)
		}
		return a
	}
}

func (w *world) record(id string) *Record {
	w.Helper()
	r, err := w.l.Load(w.Context(), id)
	if err != nil {
		w.Fatalf("Load(%s): %v", id, err)
	}
	return r
}

func (w *world) begin(id string) Claim {
	w.Helper()
	claim := NewClaim()
	w.want("send", Sending)(w.l.Begin(w.Context(), id, claim))
	return claim
}

func (w *world) settle(id string, o Outcome) (Answer, error) {
	return w.l.Settle(w.Context(), id, o, nil)
}

func (w *world) absent(id string) (Answer, error) {
	return w.l.Absent(w.Context(), w.record(id), time.Time{}, time.Minute)
}

// sent leaves the job in unknown after one send without an answer.
func (w *world) sent(id string) Claim {
	w.Helper()
	w.submit(id)
	claim := w.begin(id)
	w.want("look", Unknown)(w.settle(id, Outcome{Kind: KindUnknown, Claim: claim, Code: "TIMEOUT", Delay: time.Second}))
	return claim
}

// proven lets the settle time and all but the last empty answer pass.
func (w *world) almostProven(l *Ledger, id string) {
	w.Helper()
	time.Sleep(11 * time.Minute)
	for range l.cfg.AbsentAnswers - 1 {
		w.want("wait", Unknown)(l.Absent(w.Context(), w.record(id), time.Time{}, time.Minute))
		time.Sleep(5 * time.Minute)
	}
}

func tx(id int64, status string) *Transaction { return &Transaction{TransactionID: id, Status: status} }

// postbox writes behind the caller's back. miniredis' own pipe holds nothing, so a
// long pipeline would stand still: both ends would write and neither read.
type postbox struct {
	net.Conn
	mu     sync.Mutex
	filled *sync.Cond
	out    []byte
	closed bool
}

func newPostbox(conn net.Conn) *postbox {
	p := &postbox{Conn: conn}
	p.filled = sync.NewCond(&p.mu)
	go func() {
		for {
			p.mu.Lock()
			for len(p.out) == 0 && !p.closed {
				p.filled.Wait()
			}
			out := p.out
			p.out = nil
			p.mu.Unlock()
			if len(out) == 0 {
				return
			}
			if _, err := conn.Write(out); err != nil {
				return
			}
		}
	}()
	return p
}

func (p *postbox) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return 0, net.ErrClosed
	}
	p.out = append(p.out, b...)
	p.filled.Signal()
	return len(b), nil
}

func (p *postbox) Close() error {
	p.mu.Lock()
	p.closed = true
	p.filled.Signal()
	p.mu.Unlock()
	return p.Conn.Close()
}

func (p *postbox) SetDeadline(t time.Time) error    { return p.SetReadDeadline(t) }
func (p *postbox) SetWriteDeadline(time.Time) error { return nil }
