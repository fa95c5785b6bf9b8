package campaign

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"pgregory.net/rapid"

	"example.com/topup/enqueue"
)

// Whatever is done in whatever order, also twice and with what was read long ago: every
// row stands in one place, and the places add up.
func TestStoreAgainstModel(t *testing.T) {
	server := miniredis.RunT(t)
	rdb := redis.NewClient(&redis.Options{Addr: server.Addr()})
	defer func() { _ = rdb.Close() }()
	ctx := t.Context()
	rapid.Check(t, func(t *rapid.T) {
		branches.Collect(ctx, rdb)
		server.FlushAll()
		m := &model{T: t, s: NewStore(rdb), ctx: ctx, places: map[int]string{}, unsent: map[int]bool{}, marks: map[int]int64{}}
		m.load()
		t.Repeat(map[string]func(*rapid.T){
			"load":   func(*rapid.T) { m.load() },
			"take":   func(t *rapid.T) { m.take(rapid.IntRange(0, 6).Draw(t, "n")) },
			"settle": m.settle,
			"end":    m.end,
			"defer":  m.deferRows,
			"reopen": m.reopen,
			"decide": m.decide,
			"pause":  func(t *rapid.T) { m.control(m.s.Pause, Paused) },
			"resume": func(t *rapid.T) { m.control(m.s.Resume, Running) },
			"cancel": func(t *rapid.T) {
				if rapid.IntRange(0, 9).Draw(t, "really") == 0 {
					m.cancel()
				}
			},
			"retire": func(t *rapid.T) {
				done, err := m.s.Retire(ctx, "may")
				idle := m.count("open")+m.count("later")+m.count("review") == 0
				if err != nil || done != (m.ended && idle) {
					t.Fatalf("retired: %v %v", done, err)
				}
			},
			"": func(*rapid.T) { m.check() },
		})
	})
}

type model struct {
	*rapid.T
	s        *Store
	ctx      context.Context
	places   map[int]string // waiting, open, later, review, or a final state
	unsent   map[int]bool   // cancelled before they were handed over
	marks    map[int]int64
	seen     []Open // everything that was ever read
	next     int
	version  int64
	state    State
	ended    bool
	finished int
}

func (m *model) count(place string) int {
	n := 0
	for _, p := range m.places {
		if p == place {
			n++
		}
	}
	return n
}

func (m *model) finish() {
	if !m.ended && m.next == len(m.places) && m.count("open")+m.count("later") == 0 {
		m.ended = true
		m.finished++
	}
}

func (m *model) load() {
	n := 1 + len(m.places)%5
	st := m.s.Stage(m.ctx, "may")
	for i := range n {
		r := person(len(m.places) + i)
		if err := st.Add(m.ctx, &r); err != nil {
			m.Fatal(err)
		}
	}
	_, err := st.Commit(m.ctx, CommitOptions{Expect: m.version})
	if m.state == Cancelled {
		if err == nil {
			m.Fatal("loaded into a cancelled campaign")
		}
		if err := st.Drop(m.ctx); err != nil {
			m.Fatal(err)
		}
		return
	}
	if err != nil {
		m.Fatal(err)
	}
	if m.version == 0 {
		m.state = Running
	}
	m.version++
	m.ended = false
	for range n {
		m.places[len(m.places)] = "waiting"
	}
}

func (m *model) take(n int) {
	taken, err := m.s.Take(m.ctx, "may", n)
	if err != nil {
		m.Fatal(err)
	}
	want := 0
	if m.state == Running {
		want = min(n, m.count("waiting")) // what is later stays so in this test
	}
	if len(taken) != want {
		m.Fatalf("%d rows were taken, not %d", len(taken), want)
	}
	for _, open := range taken {
		if m.places[open.Row] != "waiting" || open.Row != m.next {
			m.Fatalf("row %d was %s", open.Row, m.places[open.Row])
		}
		m.places[open.Row], m.marks[open.Row] = "open", open.Mark
		m.next++
	}
	m.seen = append(m.seen, taken...)
}

func (m *model) settle(t *rapid.T) {
	if len(m.seen) == 0 {
		return
	}
	var list []Settled
	changed := false
	for range rapid.IntRange(1, 4).Draw(t, "rows") {
		r := Settled{Open: rapid.SampledFrom(m.seen).Draw(t, "row"), State: rapid.SampledFrom(enqueue.States()).Draw(t, "state")}
		list = append(list, r)
		place := m.places[r.Row]
		if m.marks[r.Row] != r.Mark || (place != "open" && place != "review") {
			continue
		}
		switch {
		case r.State.Final():
			m.places[r.Row], changed = string(r.State), true
		case place == "open" && r.State == enqueue.NeedsReview:
			m.places[r.Row], m.marks[r.Row], changed = "review", 0, true
		case place == "review" && r.State != enqueue.NeedsReview:
			m.places[r.Row], m.marks[r.Row], m.ended, changed = "open", 0, false, true
		}
	}
	if err := m.s.Settle(m.ctx, "may", list); err != nil {
		m.Fatal(err)
	}
	if changed {
		m.finish()
	}
}

// end settles everything that is open in one way.
func (m *model) end(t *rapid.T) {
	state := rapid.SampledFrom([]enqueue.State{enqueue.Succeeded, enqueue.Failed, enqueue.NeedsReview}).Draw(t, "state")
	m.take(rapid.IntRange(0, 100).Draw(t, "n"))
	var list []Settled
	changed := false
	for row, place := range m.places {
		if place != "open" && place != "review" {
			continue
		}
		list = append(list, Settled{Open: Open{row, m.marks[row]}, State: state})
		switch {
		case state.Final():
			m.places[row], changed = string(state), true
		case place == "open":
			m.places[row], m.marks[row], changed = "review", 0, true
		}
	}
	if err := m.s.Settle(m.ctx, "may", list); err != nil {
		m.Fatal(err)
	}
	if changed {
		m.finish()
	}
}

func (m *model) deferRows(t *rapid.T) {
	if len(m.seen) == 0 {
		return
	}
	open := rapid.SampledFrom(m.seen).Draw(t, "row")
	if err := m.s.Defer(m.ctx, "may", []Deferred{{open, time.Now().Add(time.Hour)}}); err != nil {
		m.Fatal(err)
	}
	if m.places[open.Row] == "open" && m.marks[open.Row] == open.Mark && m.state != Cancelled {
		m.places[open.Row] = "later"
	}
}

func (m *model) reopen(t *rapid.T) {
	row := rapid.IntRange(0, len(m.places)).Draw(t, "row")
	err := m.s.Reopen(m.ctx, "may", []int{row})
	if (err != nil) != (m.state == Cancelled) {
		m.Fatal(err)
	}
	switch m.places[row] {
	case "failed", "refunded", "cancelled":
		if m.state != Cancelled {
			m.places[row], m.marks[row], m.ended = "open", 0, false
		}
	case "open":
		if m.state != Cancelled {
			m.marks[row] = 0
		}
	}
}

// decide opens a row again whatever it is counted as, and whatever became of the campaign.
func (m *model) decide(t *rapid.T) {
	row := rapid.IntRange(0, len(m.places)).Draw(t, "row")
	if err := m.s.reopen(m.ctx, "may", false, []counted{{row: row, paid: true}}); err != nil {
		m.Fatal(err)
	}
	switch place := m.places[row]; {
	case place == "cancelled" && m.unsent[row]:
	case enqueue.State(place).Final():
		m.places[row], m.marks[row], m.ended = "open", 0, false
	case place == "open":
		m.marks[row] = 0
	}
}

func (m *model) control(do func(context.Context, string) error, to State) {
	err := do(m.ctx, "may")
	if (err != nil) != (m.state == Cancelled) {
		m.Fatal(err)
	}
	if err == nil {
		m.state = to
	}
}

func (m *model) cancel() {
	if err := m.s.Cancel(m.ctx, "may"); err != nil {
		m.Fatal(err)
	}
	if m.state == Cancelled {
		return
	}
	m.state = Cancelled
	for row, place := range m.places {
		if place == "waiting" || place == "later" {
			m.places[row], m.unsent[row] = "cancelled", true
		}
	}
	m.next = len(m.places)
	m.finish()
}

// check compares everything, and learns the marks that scripts gave.
func (m *model) check() {
	st, err := m.s.Standing(m.ctx, "may")
	if err != nil {
		m.Fatal(err)
	}
	for place, list := range map[string][]Open{"open": st.Open, "review": st.Review} {
		if len(list) != m.count(place) {
			m.Fatalf("%d rows are %s, and not %d", len(list), place, m.count(place))
		}
		for _, open := range list {
			if m.places[open.Row] != place {
				m.Fatalf("row %d is %s, and not %s", open.Row, place, m.places[open.Row])
			}
			if m.marks[open.Row] == 0 {
				if slices.Contains(m.seen, open) {
					m.Fatalf("row %d has an old mark again", open.Row)
				}
				m.marks[open.Row] = open.Mark
				m.seen = append(m.seen, open)
			}
		}
	}
	for _, state := range []enqueue.State{enqueue.Succeeded, enqueue.Failed, enqueue.Refunded, enqueue.Cancelled} {
		if got, _ := strconv.Atoi(st.fields["n:"+string(state)]); got != m.count(string(state)) {
			m.Fatalf("%d rows are counted as %s, and not %d: %v", got, state, m.count(string(state)), slices.Sorted(maps.Keys(st.fields)))
		}
	}
	c := st.Campaign
	if c.Rows != len(m.places) || c.Next != m.next || c.State != m.state || c.Ended.IsZero() == m.ended || st.Later != m.count("later") {
		m.Fatalf("%+v, want next %d, %s, ended %v, later %d", c, m.next, m.state, m.ended, m.count("later"))
	}
	events, err := m.s.Log(m.ctx, "may")
	if err != nil {
		m.Fatal(err)
	}
	finished := 0
	for _, e := range events {
		if e.What == "finished" {
			finished++
		}
	}
	if len(events) < 200 && finished != m.finished {
		m.Fatalf("%d ends were told, and not %d", finished, m.finished)
	}
}
