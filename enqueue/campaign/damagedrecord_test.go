package campaign

import (
	"context"
	"errors"
	"strings"
	"testing"

	"example.com/topup/enqueue"
)

// What Redis says, or what became of the way to it, is no damage of a record.
func TestDamagedIsTheRecordAlone(t *testing.T) {
	l := newLoading(t)
	for _, id := range []string{"sound", "damaged", "strange"} {
		row := person(1)
		job := row.TopUp("may")
		job.ID = id
		if _, err := l.Client.TopUp(t.Context(), job); err != nil {
			t.Fatal(err)
		}
	}
	keyOf := func(id string) string { return l.rdb.Keys(t.Context(), "topup:*:job:"+id).Val()[0] }
	l.rdb.HSet(t.Context(), keyOf("damaged"), "v", "?")
	strange := keyOf("strange")
	l.rdb.Del(t.Context(), strange)
	l.rdb.Set(t.Context(), strange, "another program's", 0)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	get := func(ctx context.Context, id string) error {
		a := l.Client.GetMany(ctx, []string{id})[0]
		if g := l.Client.Glances(ctx, []string{id})[0]; !g.Missing && errors.Is(g.Err, enqueue.ErrDamaged) != errors.Is(a.Err, enqueue.ErrDamaged) {
			t.Errorf("%s: %v and %v", id, g.Err, a.Err)
		}
		return a.Err
	}
	for name, c := range map[string]struct {
		err  error
		want bool
	}{
		"nothing wrong":    {get(t.Context(), "sound"), false},
		"a damaged record": {get(t.Context(), "damaged"), true},
		"no such job":      {get(t.Context(), "nobody"), false},
		"a word of Redis":  {get(t.Context(), "strange"), false},
		"ctx ended":        {get(ended, "sound"), false},
	} {
		if got := errors.Is(c.err, enqueue.ErrDamaged); got != c.want {
			t.Errorf("%s: %v (%v)", name, got, c.err)
		}
	}
}

// The results name a row whose job cannot be read, with the identifier to ask Reloadly for, and
// have all others.
func TestResultsNameDamagedRecords(t *testing.T) {
	l := newLoading(t)
	l.loads("may", people(0, 3, "500"), LoadOptions{}, 3)
	l.handsOver("may")
	l.rdb.HSet(t.Context(), l.rdb.Keys(t.Context(), "topup:*:job:may.p1").Val()[0], "a", "1O")
	_, rows, _ := l.results("may")
	if len(rows) != 3 || rows[0]["_state"] != "queued" || rows[2]["_state"] != "queued" {
		t.Fatal(rows)
	}
	r := rows[1]
	if r["_state"] != "needs_review" || r["_code"] != "DAMAGED" || r["_money_moved"] != "unknown" || r["_identifier"] != "may.p1" || !strings.Contains(r["_explanation"], `field "a" is damaged`) {
		t.Error(r)
	}
}

// A failed row whose record cannot be read keeps no other from being sent again.
func TestRetryGoesOnAfterADamagedRecord(t *testing.T) {
	l := newLoading(t)
	text := people(0, 3, "500")
	l.loads("may", text, LoadOptions{}, 3)
	open := l.handsOver("may")
	for _, id := range []string{"may.p0", "may.p1", "may.p2"} {
		l.pays(id, enqueue.Outcome{Kind: enqueue.KindFailed, Code: "SOME"})
	}
	l.settles("may", open...)
	l.rdb.HSet(t.Context(), l.rdb.Keys(t.Context(), "topup:*:job:may.p1").Val()[0], "a", "1O")
	loaded := l.loads("may", text, LoadOptions{RetryFailed: true}, 0)
	if loaded.Retried != 2 || loaded.Refused != 1 {
		t.Errorf("%+v", loaded)
	}
}
