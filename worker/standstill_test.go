package worker_test

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/govalues/decimal"

	"example.com/topup/enqueue"
	"example.com/topup/reloadly/sandbox"
	"example.com/topup/worker"
)

// Nothing stands still, and nothing is asked without end.

// The holder of the permission died and every look-up fails: a person is asked.
func TestSendingEndsWhereLookUpsFail(t *testing.T) {
	bubble(t, sandbox.Config{}, func(w *world) {
		w.submit(job("a"))
		if a, err := w.ledger().Begin(context.Background(), "a", enqueue.NewClaim()); err != nil || a.Word != enqueue.AnswerSend {
			t.Fatalf("begin: %+v, %v", a, err)
		}
		if err := w.sim.SetFaults(sandbox.Faults{Rates: map[string]float64{"read-500": 1}}); err != nil {
			t.Fatal(err)
		}
		defer w.run(w.worker("w1", impatient))()
		w.expect("a", enqueue.NeedsReview, 0)
	})
}

// A success is booked also where Redis has forgotten the job meanwhile.
func TestSuccessOfAForgottenJob(t *testing.T) {
	bubble(t, slow, func(w *world) {
		defer w.run(w.worker("w1", nil))()
		w.submit(job("a"))
		for w.sim.Posts() == 0 {
			time.Sleep(time.Second)
		}
		w.redis.FlushAll()
		for len(w.sim.Paid()) == 0 {
			time.Sleep(time.Second)
		}
		time.Sleep(time.Minute)
		r := must(w.ledger().Load(context.Background(), "a"))
		if r.State != enqueue.Succeeded || r.TxID == 0 {
			t.Errorf("%s, transaction %d", r.State, r.TxID)
		}
	})
}

// The balance is enough again for a job in the recipient's currency.
func TestHoldOfALocalAmountIsLifted(t *testing.T) {
	bubble(t, sandbox.Config{Balance: "10 USD"}, func(w *world) {
		defer w.run(w.worker("w1", nil))()
		w.submit(enqueue.TopUp{
			ID: "a", OperatorID: 174, Amount: decimal.MustParse("6500"), UseLocalAmount: true,
			RecipientPhone: enqueue.Phone{CountryCode: "HT", Number: "37101234"},
		})
		time.Sleep(2 * time.Minute)
		if r := must(w.ledger().Load(context.Background(), "a")); r.Reason != enqueue.InsufficientBalance {
			t.Fatalf("%s, waits for %q", r.State, r.Reason)
		}
		if err := w.sim.Refill("1000"); err != nil {
			t.Fatal(err)
		}
		w.expect("a", enqueue.Succeeded, 1)
	})
}

// Reloadly cannot be reached: it is tried less and less often.
func TestUnreachableProviderIsTriedLessOften(t *testing.T) {
	bubble(t, sandbox.Config{}, func(w *world) {
		var broken atomic.Bool
		var tried atomic.Int64
		dial := w.dial
		w.dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			if broken.Load() {
				tried.Add(1)
				return nil, net.ErrClosed
			}
			return dial(ctx, network, addr)
		}
		defer w.run(w.worker("w1", nil))()
		w.submit(numbered("first", 7999)) // which fetches the token
		w.expect("first", enqueue.Succeeded, 1)
		broken.Store(true)
		w.submit(job("a"))
		time.Sleep(time.Hour)
		if n := tried.Load(); n < 3 || n > 40 {
			t.Errorf("tried %d times in an hour", n)
		}
		broken.Store(false)
		if r := w.expect("a", enqueue.Succeeded, 1); r.Sends != 1 {
			t.Errorf("%d sends", r.Sends)
		}
	})
}

// A restarted Redis does not make each waiting job ask Reloadly again and again.
func TestLookUpsAfterARestartAreFew(t *testing.T) {
	bubble(t, sandbox.Config{}, func(w *world) {
		const jobs = 10
		for i := range jobs {
			w.submit(numbered("j"+string(rune('a'+i)), 7000+i))
		}
		w.epoch = "second"
		defer w.run(w.worker("w1", func(c *worker.Config) { c.InFlight = 100 }))()
		for i := range jobs {
			w.expect("j"+string(rune('a'+i)), enqueue.Succeeded, 1)
		}
		if reads := float64(w.sim.Reads()) / jobs; reads > 13 { // three identifiers, three or four times
			t.Errorf("%.1f reads for each job", reads)
		}
	})
}
