package campaign

import (
	"context"
	"errors"
	"testing"

	"example.com/topup/enqueue"
)

// settles books what became of the jobs of open rows, as the feeder does.
func (l *loading) settles(name string, open ...Open) {
	l.Helper()
	c, err := l.Store.Find(l.Context(), name)
	if err != nil {
		l.Fatal(err)
	}
	for _, o := range open {
		rows, err := l.Store.Rows(l.Context(), c, []int{o.Row})
		if err != nil {
			l.Fatal(err)
		}
		r, err := l.Client.Get(l.Context(), rows[o.Row].JobID(name))
		if err != nil {
			l.Fatal(err)
		}
		end := Settled{Open: o, State: r.State, Code: r.Code}
		end.Currency, end.Debited = Debit(r)
		if err := l.Store.Settle(l.Context(), name, []Settled{end}); err != nil {
			l.Fatal(err)
		}
	}
}

// open reads the rows that are open.
func (l *loading) open(name string) []Open {
	l.Helper()
	st, err := l.Store.Standing(l.Context(), name)
	if err != nil {
		l.Fatal(err)
	}
	return st.Open
}

// The money of a row that was refunded after it was counted is no longer out, also where the
// feeder counts the row in the middle of the decision.
func TestDecideGivesTheMoneyBack(t *testing.T) {
	l := newLoading(t)
	l.loads("may", people(0, 2, "500"), LoadOptions{}, 2)
	open := l.handsOver("may")
	paid := func(status string) *enqueue.Transaction {
		cost, currency := "485.00001", "NGN"
		return &enqueue.Transaction{TransactionID: 77, Status: status, BalanceInfo: &enqueue.BalanceInfo{Cost: &cost, CurrencyCode: &currency}}
	}
	l.pays("may.p0", enqueue.Outcome{Kind: enqueue.KindSucceeded, Transaction: paid("SUCCESSFUL")})
	l.pays("may.p1", enqueue.Outcome{Kind: enqueue.KindFailed, Code: "SOME"})
	l.settles("may", open...)
	refund := func(ctx context.Context) error {
		l.settles("may", l.open("may")...) // the feeder was quicker
		_, err := l.Client.Ledger().Settle(ctx, "may.p0", enqueue.Outcome{Kind: enqueue.KindRefunded, Claim: enqueue.Adopting, Transaction: paid("REFUNDED")}, nil)
		return err
	}
	if err := l.Store.Decide(t.Context(), l.Client, "MAY.p0", refund); err != nil {
		t.Fatal(err)
	}
	for range 2 { // before the feeder has seen to it, and after
		p, err := l.Store.Progress(t.Context(), "may", l.Client)
		if err != nil || p.States[enqueue.Refunded] != 1 || p.States[enqueue.Failed] != 1 || len(p.Moved) != 0 {
			t.Fatal(p.States, p.Moved, err)
		}
		l.settles("may", l.open("may")...)
	}
}

// Whoever decides is killed with the decision made: its row is counted all the same.
func TestDecideIsKilled(t *testing.T) {
	l := newLoading(t)
	l.loads("may", people(0, 1, "500"), LoadOptions{}, 1)
	open := l.handsOver("may")
	l.pays("may.p0", enqueue.Outcome{Kind: enqueue.KindFailed, Code: "SOME"})
	l.settles("may", open...)
	ctx, kill := context.WithCancel(t.Context())
	err := l.Store.Decide(ctx, l.Client, "may.p0", func(ctx context.Context) error {
		defer kill()
		return l.Client.Resend(ctx, "may.p0")
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if p, err := l.Store.Progress(t.Context(), "may", l.Client); err != nil || p.States[enqueue.Queued] != 1 || !p.Campaign.Ended.IsZero() {
		t.Fatal(p, err)
	}
}

// A decision about a job that is no row of a campaign, or whose row is not its own or no longer
// kept, is carried out and counts nothing.
func TestDecideElsewhere(t *testing.T) {
	l := newLoading(t)
	l.loads("may", people(0, 2, "500"), LoadOptions{}, 2)
	open := l.handsOver("may")
	row := person(7)
	single, other := row.TopUp("may"), row.TopUp("may") // other has the campaign's name and is none of its rows
	single.ID, single.Campaign, other.ID = "single", "", "may.p9"
	for _, job := range []enqueue.TopUp{single, other} {
		if _, err := l.Client.TopUp(t.Context(), job); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Store.Settle(t.Context(), "may", []Settled{{Open: open[0], State: enqueue.Failed, Code: CodeConflict}, {Open: open[1], State: enqueue.Failed}}); err != nil {
		t.Fatal(err)
	}
	decided := errors.New("decided")
	decides := func(id string) {
		t.Helper()
		if err := l.Store.Decide(t.Context(), l.Client, id, func(context.Context) error { return decided }); !errors.Is(err, decided) {
			t.Errorf("%s: %v", id, err)
		}
		if n := l.rdb.ZCard(t.Context(), openKey("may")).Val(); n != 0 {
			t.Errorf("%s: %d rows are open", id, n)
		}
	}
	for _, id := range []string{"single", "may.p0", "may.p9", "nobody"} {
		decides(id)
	}
	l.rdb.Del(t.Context(), rowsKey("may", 0))
	decides("may.p1")
	l.rdb.Del(t.Context(), campaignKey("may"))
	decides("may.p1")
}
