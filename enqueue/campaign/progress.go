package campaign

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/govalues/decimal"
	"github.com/redis/go-redis/v9"

	"example.com/topup/enqueue"
)

// Progress is how far a campaign has come, at one moment.
type Progress struct {
	Campaign *Campaign
	States   map[enqueue.State]int // of all rows: they sum to Campaign.Rows at every read
	Waiting  int                   // of those queued: not handed over yet
	Later    int                   // of those waiting: they were looked at, and their notBefore lies ahead
	Reasons  []Count               // why queued rows wait, the most frequent first
	Codes    []Count               // why rows did not succeed, the most frequent first
	Moved    map[string]string     // debited, by currency, as decimal text
	// Unsummed counts, by currency, the amounts that did not fit into Moved.
	Unsummed map[string]int
	// Held is what rows ask for that may be paid already and are not settled: by
	// "sender" or "local <country>", as decimal text.
	Held map[string]string
	// Damaged are the jobs whose records cannot be read, and of which nothing is sent. They
	// count among those that need review.
	Damaged []string
	Rate    float64       // rows settled a second, over the last half minute
	Left    time.Duration // until all whose time has come are settled at this rate; 0 where it is not known
}

// Count is how many rows have one word in common.
type Count struct {
	Word  string
	Count int
}

// Settled is how many rows wait for nothing but perhaps a person.
func (p *Progress) Settled() int {
	n := 0
	for state, count := range p.States {
		if state.Settled() {
			n += count
		}
	}
	return n
}

// Standing is a campaign with its open rows, all of one moment.
type Standing struct {
	Campaign *Campaign
	Open     []Open
	Review   []Open
	Later    int       // rows that wait for their time
	At       time.Time // by Redis' clock

	fields map[string]string
}

var snapshotScript = newScript("snapshot")

// Standing reads a campaign with its open rows.
func (s *Store) Standing(ctx context.Context, name string) (*Standing, error) {
	reply, err := snapshotScript.Run(ctx, s.rdb, s.keys(name)).Slice()
	if err != nil {
		return nil, fmt.Errorf("campaign %s: read it: %w", name, err)
	}
	if len(reply) != 5 {
		return nil, fmt.Errorf("campaign %s: read it: %w", name, errReply)
	}
	fields := map[string]string{}
	list, _ := reply[0].([]any)
	for i := 0; i+1 < len(list); i += 2 {
		field, _ := list[i].(string)
		fields[field], _ = list[i+1].(string)
	}
	c, err := decodeCampaign(name, fields)
	if err != nil {
		return nil, err
	}
	st := &Standing{Campaign: c, fields: fields}
	if st.Open, err = openRows(reply[1]); err == nil {
		st.Review, err = openRows(reply[3])
	}
	numbers, err2 := integers([]any{reply[2], reply[4]})
	if err := cmp.Or(err, err2); err != nil {
		return nil, fmt.Errorf("campaign %s: read it: %w", name, err)
	}
	st.Later, st.At = int(numbers[0]), time.UnixMilli(numbers[1]).UTC()
	return st, nil
}

func openRows(value any) ([]Open, error) {
	list, _ := value.([]any)
	numbers, err := integers(list)
	if err != nil || len(numbers)%2 != 0 {
		return nil, errReply
	}
	rows := make([]Open, 0, len(numbers)/2)
	for i := 0; i < len(numbers); i += 2 {
		rows = append(rows, Open{int(numbers[i]), numbers[i+1]})
	}
	return rows, nil
}

// Look is the little that the feeder needs of a campaign at each turn.
type Look struct {
	Name    string
	Exists  bool
	State   State
	Version int64
	Ended   bool
	Open    int
	Review  int
	Rest    int // rows that could be handed over now
}

// Looks looks at many campaigns at once.
func (s *Store) Looks(ctx context.Context, names []string) ([]Look, error) {
	if len(names) == 0 {
		return nil, nil
	}
	pipe := s.rdb.Pipeline()
	fields := make([]*redis.SliceCmd, len(names))
	open, review, due := make([]*redis.IntCmd, len(names)), make([]*redis.IntCmd, len(names)), make([]*redis.IntCmd, len(names))
	now := strconv.FormatInt(time.Now().UnixMilli(), 10)
	for i, name := range names {
		fields[i] = pipe.HMGet(ctx, campaignKey(name), fieldState, fieldVersion, fieldRows, fieldNext, fieldEnded)
		open[i], review[i] = pipe.ZCard(ctx, openKey(name)), pipe.ZCard(ctx, reviewKey(name))
		due[i] = pipe.ZCount(ctx, laterKey(name), "-inf", now)
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, fmt.Errorf("look at the campaigns: %w", err)
	}
	looks := make([]Look, len(names))
	for i, name := range names {
		values := fields[i].Val()
		text := func(k int) string { s, _ := values[k].(string); return s }
		number := func(k int) int { n, _ := strconv.Atoi(text(k)); return n } // missing is 0
		looks[i] = Look{
			Name: name, Exists: values[0] != nil, State: State(text(0)), Version: int64(number(1)), Ended: values[4] != nil,
			Open: int(open[i].Val()), Review: int(review[i].Val()), Rest: number(2) - number(3) + int(due[i].Val()),
		}
	}
	return looks, nil
}

// Progress reads a campaign and where its rows stand. What was settled is counted in
// Redis; the rows still open are looked up in the ledger, where a job can be ahead of
// its campaign, so a row counts once whichever of the two knows it better.
func (s *Store) Progress(ctx context.Context, name string, client *enqueue.Client) (*Progress, error) {
	st, err := s.Standing(ctx, name)
	if err != nil {
		return nil, err
	}
	t := newTally(st)
	numbers := make([]int, 0, len(st.Open)+len(st.Review))
	for _, o := range slices.Concat(st.Open, st.Review) {
		numbers = append(numbers, o.Row)
	}
	rows, err := s.Rows(ctx, st.Campaign, numbers)
	if err != nil {
		return nil, err
	}
	ids := make([]string, len(numbers))
	for i, number := range numbers {
		ids[i] = rows[number].JobID(st.Campaign.Name)
	}
	glances := client.Glances(ctx, ids)
	setAside(ctx, client, glances[len(st.Open):])
	var paid []string
	for i, g := range glances {
		if errors.Is(g.Err, enqueue.ErrDamaged) {
			t.damaged(rows[numbers[i]], g)
			continue
		}
		if g.Err != nil {
			return nil, fmt.Errorf("campaign %s: %w", name, g.Err)
		}
		t.row(rows[numbers[i]], g)
		if g.State == enqueue.Succeeded {
			paid = append(paid, ids[i])
		}
	}
	for _, a := range client.GetMany(ctx, paid) {
		currency, debited := Debit(a.Result)
		if units, ok := moneyUnits(debited); ok && a.Err == nil && currency != "" {
			t.moved[currency] += units
		}
	}
	return t.progress(), nil
}

// Debit is what the account paid for a job that succeeded: nothing where Reloadly did
// not say it.
func Debit(r enqueue.Result) (currency string, amount decimal.Decimal) {
	if r.State != enqueue.Succeeded {
		return "", decimal.Decimal{}
	}
	return costOf(r.Transaction)
}

// costOf is what a transaction was debited with, also where it was given back later.
func costOf(t *enqueue.Transaction) (currency string, amount decimal.Decimal) {
	if t == nil || t.BalanceInfo == nil {
		return "", decimal.Decimal{}
	}
	b := t.BalanceInfo
	if b.Cost == nil || b.CurrencyCode == nil || len(*b.CurrencyCode) != 3 {
		return "", decimal.Decimal{}
	}
	amount, err := decimal.Parse(*b.Cost)
	if err != nil {
		return "", decimal.Decimal{}
	}
	return *b.CurrencyCode, amount
}

// tally adds up a campaign.
type tally struct {
	st       *Standing
	p        *Progress
	reasons  map[string]int
	codes    map[string]int
	moved    map[string]int64
	held     map[string]decimal.Decimal
	unsummed map[string]int
}

func newTally(st *Standing) *tally {
	t := &tally{
		st: st, reasons: map[string]int{}, codes: map[string]int{}, moved: map[string]int64{}, held: map[string]decimal.Decimal{}, unsummed: map[string]int{},
		p: &Progress{Campaign: st.Campaign, States: map[enqueue.State]int{}, Later: st.Later},
	}
	for field, text := range st.fields {
		kind, word, found := strings.Cut(field, ":")
		n, err := strconv.ParseInt(text, 10, 64)
		if !found || err != nil {
			continue
		}
		switch kind {
		case "n":
			t.p.States[enqueue.State(word)] += int(n)
		case "c":
			t.codes[word] += int(n)
		case "moved":
			t.moved[word] += n
		case "unsummed":
			t.unsummed[word] += int(n)
		}
	}
	t.p.Waiting = st.Campaign.Rows - st.Campaign.Next + st.Later
	t.p.States[enqueue.Queued] += t.p.Waiting
	if st.Later > 0 {
		t.reasons[string(enqueue.Scheduled)] += st.Later
	}
	return t
}

// row counts one open row as its job stands.
func (t *tally) row(r *Row, g enqueue.Glance) {
	if g.Missing { // it is about to be handed over
		t.p.States[enqueue.Queued]++
		return
	}
	t.p.States[g.State]++
	switch g.State {
	case enqueue.Queued:
		if g.Reason != "" {
			t.reasons[string(g.Reason)]++
		}
	case enqueue.Sending, enqueue.Processing, enqueue.Unknown, enqueue.NeedsReview:
		t.hold(r)
	}
	if g.State.Settled() && g.State != enqueue.Succeeded && g.Code != "" {
		t.codes[shortCode(g.Code)]++
	}
}

// hold adds what a row asks for that may be paid already.
func (t *tally) hold(r *Row) {
	kind := string(Sender)
	if r.Unit == Local {
		kind = string(Local) + " " + r.Country
	}
	if sum, err := t.held[kind].Add(r.Amount); err == nil {
		t.held[kind] = sum
	}
}

// damaged counts one row of which it is not known how its job stands.
func (t *tally) damaged(r *Row, g enqueue.Glance) {
	t.hold(r)
	t.p.States[enqueue.NeedsReview]++
	t.codes[CodeDamaged]++
	t.p.Damaged = append(t.p.Damaged, g.ID)
}

func (t *tally) progress() *Progress {
	p := t.p
	p.Reasons, p.Codes, p.Unsummed = ranked(t.reasons), ranked(t.codes), t.unsummed
	p.Moved, p.Held = map[string]string{}, map[string]string{}
	for currency, units := range t.moved {
		p.Moved[currency] = moneyText(units)
	}
	for kind, sum := range t.held {
		p.Held[kind] = sum.String()
	}
	p.Rate = t.rate()
	if rest := p.Campaign.Rows - p.Settled() - p.Later; rest > 0 && p.Rate > 0 {
		p.Left = time.Duration(float64(rest) / p.Rate * float64(time.Second))
	}
	return p
}

// rate adds up the last half minute of settle.lua's slots of five seconds.
func (t *tally) rate() float64 {
	const slot = 5000
	now := t.st.At.UnixMilli()
	count, oldest := 0.0, now
	for k := range 8 {
		five, settled, found := strings.Cut(t.st.fields["r"+strconv.Itoa(k)], " ")
		at, err := strconv.ParseInt(five, 10, 64)
		n, err2 := strconv.Atoi(settled)
		if !found || err != nil || err2 != nil || at <= now/slot-6 {
			continue
		}
		count += float64(n)
		oldest = min(oldest, at*slot)
	}
	return count / max(1, float64(now-oldest)/1000)
}

func ranked(counts map[string]int) []Count {
	list := make([]Count, 0, len(counts))
	for _, word := range slices.Sorted(maps.Keys(counts)) {
		if counts[word] > 0 {
			list = append(list, Count{word, counts[word]})
		}
	}
	slices.SortStableFunc(list, func(a, b Count) int { return b.Count - a.Count })
	return list
}
