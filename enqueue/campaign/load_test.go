package campaign

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/govalues/decimal"
	"github.com/redis/go-redis/v9"

	"example.com/topup/enqueue"
	"example.com/topup/reloadly"
	"example.com/topup/reloadly/sandbox"
)

// loading is a loader with a Redis and a market of its own.
type loading struct {
	*testing.T
	*Loader
	rdb    *redis.Client
	market *market
}

func newLoading(t *testing.T) *loading {
	t.Helper()
	rdb := realRedis(t)
	client := enqueue.NewClient(rdb, enqueue.ClientConfig{})
	t.Cleanup(func() { _ = client.Close() })
	return &loading{T: t, rdb: rdb, market: newMarket(t, sandbox.Config{}), Loader: &Loader{
		Store: NewStore(rdb), Client: client, Key: []byte("key"), Limit: NumberLimit{Redis: rdb, Key: []byte("key")},
	}}
}

// people is a file with the rows from … to − 1, all in Nigeria.
func people(from, to int, amount string) string {
	var b strings.Builder
	b.WriteString("phone,amount,currency,external_id,note\n")
	for i := from; i < to; i++ {
		fmt.Fprintf(&b, "+2348031%06d,%s,sender,p%d,Person %d\n", i, amount, i, i)
	}
	return b.String()
}

// check reads a file, with a quote unless it is told to be offline.
func (l *loading) check(text string, offline bool) *File {
	l.Helper()
	o := CheckOptions{Load: true, Key: l.Key, Provider: l.market.client, ReadOptions: ReadOptions{Problem: func(p Problem) {
		if p.Severity == Error {
			l.Error(p.Text("file.csv"))
		}
	}}}
	if offline {
		o.Provider = nil
	}
	f, err := Check(l.Context(), "file.csv", strings.NewReader(text), o)
	if err != nil {
		l.Fatal(err)
	}
	l.Cleanup(func() { _ = f.Close() })
	return f
}

// loads loads a file and expects that many new rows.
func (l *loading) loads(name, text string, o LoadOptions, fresh int) *Loaded {
	l.Helper()
	loaded, err := l.Load(l.Context(), l.check(text, false), name, o)
	if err != nil {
		l.Fatal(err)
	}
	if loaded.New != fresh {
		l.Fatalf("%d new rows, want %d", loaded.New, fresh)
	}
	return loaded
}

// refuses loads a file that a guard must stop, and finds nothing of it afterwards.
func (l *loading) refuses(name, text string, o LoadOptions, guard string) {
	l.Helper()
	_ = l.refusal(name, text, o, guard)
}

// refusal is refuses with what the guard says.
func (l *loading) refusal(name, text string, o LoadOptions, guard string) *GuardError {
	l.Helper()
	before := l.rows(name)
	_, err := l.Load(l.Context(), l.check(text, false), name, o)
	refusal, ok := errors.AsType[*GuardError](err)
	if !ok || !errors.Is(err, ErrGuard) || refusal.Guard != guard {
		l.Fatalf("%v, want a refusal by %s", err, guard)
	}
	if after := l.rows(name); after != before {
		l.Fatalf("%d rows, and %d before the refusal", after, before)
	}
	if staged := l.rdb.Keys(l.Context(), "*:stage:*").Val(); len(staged) > 0 {
		l.Fatalf("left behind: %v", staged)
	}
	return refusal
}

func (l *loading) rows(name string) int {
	l.Helper()
	c, err := l.Store.Find(l.Context(), name)
	if errors.Is(err, ErrNoCampaign) {
		return 0
	}
	if err != nil {
		l.Fatal(err)
	}
	return c.Rows
}

func amount(text string) reloadly.Amount { return reloadly.NewAmount(decimal.MustParse(text)) }

// The same rows are loaded once, in whatever file and order they come.
func TestLoadAgain(t *testing.T) {
	l := newLoading(t)
	first := l.loads("May", people(0, 1200, "500"), LoadOptions{}, 1200)
	l.loads("june", people(2000, 2001, "500"), LoadOptions{}, 1)
	if first.Campaign.Rows != 1200 || first.Campaign.Loads[0].File != "file.csv" || first.Campaign.Loads[0].Totals["NGN"] == "" {
		t.Errorf("%+v", first.Campaign)
	}
	again := l.loads("may", people(0, 1200, "500.00"), LoadOptions{}, 0)
	if again.Known != 1200 {
		t.Errorf("%+v", again)
	}
	lines := strings.SplitAfter(people(0, 1210, "500"), "\n")
	var shuffled strings.Builder
	shuffled.WriteString(lines[0])
	for i := range 1210 {
		shuffled.WriteString(lines[1+(i*7)%1210])
	}
	grown := l.loads("MAY", shuffled.String(), LoadOptions{}, 10)
	if grown.Known != 1200 || grown.Campaign.Rows != 1210 || len(grown.Campaign.Loads) != 2 {
		t.Errorf("%+v", grown)
	}
	list, err := l.Store.List(t.Context())
	if err != nil || len(list) != 2 || list[0].Name != "May" || list[1].Name != "june" { // which was loaded last comes first
		t.Error(list, err)
	}
	seen := map[string]bool{}
	err = l.Store.Each(t.Context(), grown.Campaign, 0, func(_ int, r *Row) error {
		if id := r.JobID("may"); seen[id] {
			t.Errorf("%s twice", id)
		} else {
			seen[id] = true
		}
		return nil
	})
	if err != nil || len(seen) != 1210 {
		t.Errorf("%d rows: %v", len(seen), err)
	}
}

// A file that says another time for rows that are loaded changes nothing, and that is told.
func TestLoadOtherTime(t *testing.T) {
	l := newLoading(t)
	const header, morning, evening = "external_id,phone,amount,currency,not_before\n", "2027-01-05T09:00:00+01:00", "2027-01-05T18:00:00+01:00"
	row := func(n int, at string) string { return fmt.Sprintf("p%d,+23480310000%02d,500,sender,%s\n", n, n, at) }
	l.loads("may", header+row(1, morning)+row(2, morning)+row(3, ""), LoadOptions{}, 3)
	if same := l.loads("may", header+row(1, "2027-01-05T08:00:00Z")+row(2, morning)+row(3, ""), LoadOptions{}, 0); same.OtherTime != 0 {
		t.Errorf("%+v", same)
	}
	other := l.loads("may", header+row(1, evening)+row(2, morning)+row(3, evening)+row(4, evening), LoadOptions{}, 1)
	if other.OtherTime != 2 || other.Known != 3 {
		t.Errorf("%+v", other)
	}
	rows, err := l.Store.Rows(t.Context(), other.Campaign, []int{0, 2})
	if err != nil || rows[0].NotBefore.Hour() != 8 || !rows[2].NotBefore.IsZero() {
		t.Error(rows, err)
	}
}

// A changed row is told with both values and both lines, and nothing is loaded.
func TestLoadConflict(t *testing.T) {
	l := newLoading(t)
	l.loads("may", people(0, 100, "500"), LoadOptions{}, 100)
	text := strings.Replace(people(0, 110, "500"), "+2348031000041,500,sender", "+2348031000041,600,sender", 1)
	text = strings.Replace(text, "+2348031000042,500,sender", "+2348031999942,500,sender", 1)
	text = strings.Replace(text, "+2348031000043,500,sender", "+2348031000043,500,local", 1)
	_, err := l.Load(t.Context(), l.check(text, false), "may", LoadOptions{})
	conflicts, ok := errors.AsType[*ConflictsError](err)
	if !ok || !errors.Is(err, enqueue.ErrConflict) || l.rows("may") != 100 {
		t.Fatalf("%v, %d rows", err, l.rows("may"))
	}
	want := []Conflict{
		{JobID: "may.p41", Line: 43, OtherFile: "file.csv", OtherLine: 43, Differences: []Difference{{"amount", "600", "500"}}},
		{JobID: "may.p42", Line: 44, OtherFile: "file.csv", OtherLine: 44, Differences: []Difference{{"phone", "+2348031999942", "+2348031000042"}}},
		{JobID: "may.p43", Line: 45, OtherFile: "file.csv", OtherLine: 45, Differences: []Difference{{"currency", "local", "sender"}}},
	}
	if diff := cmp.Diff(want, conflicts.Conflicts); diff != "" || conflicts.Count != 3 {
		t.Error(diff)
	}
	if text := conflicts.Conflicts[0].Text("new.csv"); text != "new.csv:43:: conflict: the row has the id of file.csv:43, which is loaded: amount is 600 here and 500 there" {
		t.Error(text)
	}
	f := l.check(strings.ReplaceAll(strings.ReplaceAll(people(7, 8, "500"), ",sender", ",sender,341"), "currency,", "currency,operator,"), false)
	_, err = l.Load(t.Context(), f, "may", LoadOptions{})
	conflicts, _ = errors.AsType[*ConflictsError](err)
	if conflicts == nil || conflicts.Count != 1 {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]Difference{{"operator_id", "341", ""}}, conflicts.Conflicts[0].Differences); diff != "" {
		t.Error(diff)
	}
}

// A file that has got ids, or other ids, since it was loaded does not pay its people once
// more, unless that is meant.
func TestLoadOtherIDs(t *testing.T) {
	l := newLoading(t)
	old := strings.ReplaceAll(people(0, 700, "500"), "external_id", "nothing")
	l.loads("may", old, LoadOptions{}, 700)
	_, err := l.Load(t.Context(), l.check(people(600, 710, "500"), false), "may", LoadOptions{})
	conflicts, ok := errors.AsType[*ConflictsError](err)
	if !ok || conflicts.Count != 100 || l.rows("may") != 700 {
		t.Fatal(err)
	}
	if text := conflicts.Conflicts[0].Text("new.csv"); !strings.HasPrefix(text, "new.csv:2:: conflict: the row has the number of file.csv:602, which is loaded under another id: external_id is p600 here and empty there") {
		t.Error(text)
	}
	f := l.check(people(600, 710, "500"), false)
	f.repeat = true // --allow-repeat-phone
	loaded, err := l.Load(t.Context(), f, "may", LoadOptions{})
	if err != nil || loaded.New != 110 {
		t.Fatal(loaded, err)
	}
	l.loads("may", people(600, 710, "500"), LoadOptions{}, 0) // both are there, and meant
}

// A job of that id that did not come with the campaign: harmless where it is the same
// top-up, a conflict where it is another.
func TestLoadMeetsJobs(t *testing.T) {
	l := newLoading(t)
	f := l.check(people(0, 5, "500"), false)
	var jobs []enqueue.TopUp
	if err := f.spool.each(t.Context(), func(i int, r *Row) error {
		if i < 2 {
			jobs = append(jobs, r.TopUp("may"))
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	jobs[1].Amount, jobs[1].OperatorID, jobs[1].UseLocalAmount = decimal.MustParse("700"), 341, true
	jobs[1].RecipientPhone.Number = "8031999999"
	for _, job := range jobs {
		if _, err := l.Client.TopUp(t.Context(), job); err != nil {
			t.Fatal(err)
		}
	}
	_, err := l.Load(t.Context(), f, "may", LoadOptions{})
	conflicts, _ := errors.AsType[*ConflictsError](err)
	if conflicts == nil || conflicts.Count != 1 || l.rows("may") != 0 {
		t.Fatal(err)
	}
	want := []Conflict{{JobID: "may.p1", Line: 3, Differences: []Difference{
		{"amount", "500", "700"}, {"operator_id", "", "341"}, {"phone", "NG 8031000001", "NG 8031999999"}, {"currency", "sender", "local"},
	}}}
	if diff := cmp.Diff(want, conflicts.Conflicts); diff != "" {
		t.Error(diff)
	}
}

// Guards refuse what is too much, say what they saw, and leave nothing behind.
func TestLoadGuards(t *testing.T) {
	l := newLoading(t)
	ten := people(0, 10, "500")
	cost := l.check(ten, false).Quote.Total
	l.refuses("may", ten, LoadOptions{ExpectRows: 11}, "--expect-rows")
	l.refuses("may", ten, LoadOptions{ExpectTotal: amount("5001")}, "--expect-total")
	l.refuses("may", ten, LoadOptions{MaxAmount: amount("100")}, "--max-amount")
	below := reloadly.NewAmount(cost)
	below.Decimal, _ = below.Decimal.Sub(decimal.MustParse("0.00001"))
	refusal := l.refusal("may", ten, LoadOptions{MaxTotal: below}, "--max-total")
	if !strings.Contains(refusal.Problem, cost.String()) || !strings.Contains(refusal.Problem, below.Decimal.String()) {
		t.Error(refusal)
	}
	good := LoadOptions{ExpectRows: 10, ExpectTotal: amount("5000"), MaxAmount: amount("500"), MaxTotal: reloadly.NewAmount(cost)}
	l.loads("may", ten, good, 10)
	l.loads("may", ten, LoadOptions{ExpectTotal: reloadly.NewAmount(cost)}, 0) // the quote's total is another way to say it
	// The limit is of the campaign and not of the load.
	l.refuses("may", people(10, 11, "500"), LoadOptions{MaxTotal: reloadly.NewAmount(cost)}, "--max-total")
	for _, name := range []string{"may", "new"} {
		if _, err := l.Load(t.Context(), l.check(people(10, 11, "500"), true), name, LoadOptions{MaxTotal: amount("100000")}); !errors.Is(err, ErrGuard) {
			t.Errorf("%s, without a quote: %v", name, err)
		}
	}
}

// Half of another campaign's payments under a new name.
func TestLoadSimilar(t *testing.T) {
	l := newLoading(t)
	l.loads("may", people(0, 10, "500"), LoadOptions{}, 10)
	refusal := l.refusal("june", people(5, 15, "500"), LoadOptions{}, "--allow-similar")
	if refusal.Similar == nil || refusal.Similar.Campaign != "may" || refusal.Similar.Pairs != 5 || refusal.Similar.Percent() != 50 {
		t.Errorf("%+v", refusal.Similar)
	}
	l.loads("other-amounts", people(5, 15, "600"), LoadOptions{}, 10)
	l.loads("fewer", people(6, 16, "500"), LoadOptions{}, 10)
	l.loads("june", people(5, 15, "500"), LoadOptions{AllowSimilar: true}, 10)
	old, err := l.Store.similar(t.Context(), "july", l.check(people(0, 10, "500"), false).pairs, time.Now().Add(8*24*time.Hour))
	if err != nil || old != nil {
		t.Errorf("after eight days: %+v, %v", old, err)
	}
}

// meeting holds each commit back until another loader is as far, or half a second has
// passed: then there is no other.
type meeting struct{ arrived chan struct{} }

func (m meeting) DialHook(next redis.DialHook) redis.DialHook { return next }

func (m meeting) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if cmd.Name() == "evalsha" && strings.Contains(cmd.String(), ":stage:") {
			select {
			case m.arrived <- struct{}{}:
			case <-m.arrived:
			case <-time.After(500 * time.Millisecond):
			}
		}
		return next(ctx, cmd)
	}
}

func (m meeting) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// Of similar files that are loaded at the same moment one gets in.
func TestLoadSimilarTogether(t *testing.T) {
	l := newLoading(t)
	l.rdb.AddHook(meeting{make(chan struct{})})
	var group sync.WaitGroup
	errs := make([]error, 6)
	for k := range errs {
		f := l.check(people(k, 100+k, "500"), false)
		group.Go(func() { _, errs[k] = l.Load(context.WithoutCancel(t.Context()), f, fmt.Sprint("c", k), LoadOptions{}) })
	}
	group.Wait()
	in := 0
	for k, err := range errs {
		if err == nil {
			in++
		} else if !errors.Is(err, ErrGuard) {
			t.Errorf("loader %d: %v", k, err)
		}
	}
	if in != 1 {
		t.Errorf("%d similar campaigns were loaded", in)
	}
}

// A place is the job's: asking twice takes it once, and a full number refuses others.
func TestNumberLimitReserve(t *testing.T) {
	l := newLoading(t)
	limit := NumberLimit{Redis: l.rdb, PerDay: 2, Key: []byte("key")}
	now := time.Now()
	at := func(id, number string) Place {
		return Place{ID: id, Phone: enqueue.Phone{CountryCode: "NG", Number: number}, Day: now}
	}
	places := []Place{at("a", "8031234567"), at("A", "+2348031234567"), at("b", "0803 123 4567"), at("c", "2348031234567"), at("d", ""), at("e", "8031234568")}
	for try, want := range [][]Reservation{{Reserved, Held, Reserved, Refused, Held, Reserved}, {Held, Held, Held, Refused, Held, Held}} {
		got, err := limit.Reserve(t.Context(), places)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("try %d: %v %s", try, err, diff)
		}
	}
	if err := limit.Release(t.Context(), places[:1]); err != nil {
		t.Fatal(err)
	}
	if got, err := limit.Reserve(t.Context(), places[3:4]); err != nil || got[0] != Reserved {
		t.Error(got, err)
	}
}

// A number's share of a day holds over campaigns, and what a refused load had taken
// is given back.
func TestLoadNumberLimit(t *testing.T) {
	l := newLoading(t)
	l.Limit.PerDay = 1
	l.loads("may", people(0, 5, "500"), LoadOptions{}, 5)
	refusal := l.refusal("early-june", people(3, 1500, "600"), LoadOptions{}, "TOPUP_MAX_PER_NUMBER_PER_DAY")
	if !strings.Contains(refusal.Problem, "+23480******03 (line 2") {
		t.Error(refusal)
	}
	l.loads("may", people(0, 5, "500"), LoadOptions{}, 0)        // its own rows have their places
	l.loads("june", people(5, 1500, "600"), LoadOptions{}, 1495) // given back
	l.refuses("july", people(1400, 1405, "700"), LoadOptions{}, "TOPUP_MAX_PER_NUMBER_PER_DAY")
	c, err := l.Store.Find(t.Context(), "june") // withdrawn, its numbers may be paid by another
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(l.Store.Cancel(t.Context(), "june"), l.Store.FreePlaces(t.Context(), c, l.Client, l.Limit)); err != nil {
		t.Fatal(err)
	}
	l.refuses("july", people(1400, 1405, "700"), LoadOptions{}, "TOPUP_MAX_PER_NUMBER_PER_DAY") // c was read before
	if c, err = l.Store.Find(t.Context(), "june"); err != nil {
		t.Fatal(err)
	}
	if err := l.Store.FreePlaces(t.Context(), c, l.Client, l.Limit); err != nil {
		t.Fatal(err)
	}
	l.loads("july", people(1400, 1405, "700"), LoadOptions{}, 5)
	later := strings.ReplaceAll(strings.ReplaceAll(people(0, 5, "700"), ",sender", ",sender,"+time.Now().Add(48*time.Hour).Format(time.RFC3339)), "currency,", "currency,not_before,")
	l.loads("scheduled", later, LoadOptions{}, 5) // another day
	for _, key := range l.rdb.Keys(t.Context(), "topup:number:*").Val() {
		if ttl := l.rdb.TTL(t.Context(), key).Val(); ttl <= 0 || strings.Contains(key, "8031") {
			t.Fatalf("%s has a TTL of %v", key, ttl)
		}
	}
}

// A number's share of a day holds for campaigns that are loaded at the same moment, and
// each of them goes in as a whole or not at all.
func TestLoadNumberLimitTogether(t *testing.T) {
	l := newLoading(t)
	l.Limit.PerDay = 2
	var group sync.WaitGroup
	errs := make([]error, 6)
	for k := range errs {
		f := l.check(people(0, 100, fmt.Sprint(500+k)), false)
		group.Go(func() { _, errs[k] = l.Load(context.WithoutCancel(t.Context()), f, fmt.Sprint("c", k), LoadOptions{}) })
	}
	group.Wait()
	in := 0
	for k, err := range errs {
		switch rows := l.rows(fmt.Sprint("c", k)); {
		case err == nil && rows == 100:
			in++
		case rows != 0 || !errors.Is(err, ErrGuard):
			t.Errorf("loader %d: %d rows, %v", k, rows, err)
		}
	}
	if in > 2 {
		t.Errorf("%d campaigns would each pay every number, and 2 may", in)
	}
}

// Two loaders of one campaign at once: the union, each row once. A limit holds for
// both together.
func TestLoadTogether(t *testing.T) {
	l := newLoading(t)
	cost := l.check(people(0, 400, "500"), false).Quote.Total
	options := LoadOptions{MaxTotal: reloadly.NewAmount(cost)}
	var group sync.WaitGroup
	errs := make([]error, 8)
	for k := range errs {
		f := l.check(people(100*(k%4), 100*(k%4)+200, "500"), false) // 0–199, 100–299, 200–399, 300–499
		group.Go(func() { _, errs[k] = l.Load(context.WithoutCancel(t.Context()), f, "may", options) })
	}
	group.Wait()
	for k, err := range errs {
		if err != nil && !errors.Is(err, ErrGuard) {
			t.Errorf("loader %d: %v", k, err)
		}
	}
	c, err := l.Store.Find(t.Context(), "may")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	if err := l.Store.Each(t.Context(), c, 0, func(_ int, r *Row) error {
		if seen[r.Phone] {
			t.Errorf("line %d twice", r.Line)
		}
		seen[r.Phone] = true
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if c.Rows > 400 || len(seen) != c.Rows || c.Rows < 200 {
		t.Errorf("%d rows, %d of them different; 400 are allowed", c.Rows, len(seen))
	}
}

// Each row that was rejected is told once, in the order of the file, whoever found it.
func TestCheckOrder(t *testing.T) {
	l := newLoading(t)
	text := "phone,amount,currency,operator_id\n" +
		"+2348031000001,500,sender,\n" +
		"+2348031000002,1O,sender,\n" + // a letter
		"+2348031000003,0.00001,sender,\n" + // not sold
		"+2348031000004,x,sender,\n" +
		"+2348031000005,500,sender,999999\n" + // no such operator
		"+2348031000006,500,sender,\n"
	var problems, rejected []int
	f, err := Check(t.Context(), "file.csv", strings.NewReader(text), CheckOptions{Load: true, Provider: l.market.client, ReadOptions: ReadOptions{
		Problem:  func(p Problem) { problems = append(problems, p.Line) },
		Rejected: func(r Rejected) error { rejected = append(rejected, r.Line); return nil },
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	want := []int{3, 4, 5, 6}
	if diff := cmp.Diff(want, problems) + cmp.Diff(want, rejected); diff != "" || f.Rows != 2 || f.Bad != 4 || f.Errors != 4 || f.Quote.Rows != 2 {
		t.Errorf("%d good, %d bad, %d errors: %s", f.Rows, f.Bad, f.Errors, diff)
	}
}
