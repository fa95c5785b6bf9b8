package campaign

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"example.com/topup/enqueue"
)

//go:embed lua/*.lua
var scriptFiles embed.FS

// Store is the campaigns in Redis. It may be used by many goroutines.
type Store struct{ rdb redis.UniversalClient }

// NewStore opens the campaigns in rdb. It writes nothing.
func NewStore(rdb redis.UniversalClient) *Store { return &Store{rdb} }

// The fields of a campaign's hash. Counters: n:<state> rows settled so, c:<CODE> of
// those that did not succeed, moved:<CUR> debited, in units of 1e-5.
const (
	fieldName    = "name"
	fieldState   = "state"
	fieldVersion = "v"
	fieldRows    = "rows"
	fieldNext    = "next"
	fieldCut     = "cut"
	fieldLoads   = "loads"
	fieldLoad    = "l" // l0, l1, …: JSON of LoadInfo
	fieldCreated = "created"
	fieldEnded   = "ended"
)

// Find reads a campaign. The error matches [ErrNoCampaign].
func (s *Store) Find(ctx context.Context, name string) (*Campaign, error) {
	fields, err := s.rdb.HGetAll(ctx, campaignKey(name)).Result()
	if err != nil {
		return nil, fmt.Errorf("campaign %s: read it: %w", name, err)
	}
	return decodeCampaign(name, fields)
}

// List reads every campaign, the one that was loaded last first.
func (s *Store) List(ctx context.Context) ([]*Campaign, error) {
	names, err := s.rdb.ZRevRange(ctx, campaignsKey, 0, -1).Result()
	if err != nil {
		return nil, fmt.Errorf("list the campaigns: %w", err)
	}
	pipe := s.rdb.Pipeline()
	replies := make([]*redis.MapStringStringCmd, len(names))
	for i, name := range names {
		replies[i] = pipe.HGetAll(ctx, campaignKey(name))
	}
	if len(names) > 0 {
		if _, err := pipe.Exec(ctx); err != nil {
			return nil, fmt.Errorf("list the campaigns: %w", err)
		}
	}
	list := make([]*Campaign, 0, len(names))
	for i, name := range names {
		c, err := decodeCampaign(name, replies[i].Val())
		if errors.Is(err, ErrNoCampaign) {
			continue // the index is written before the campaign, and outlives it
		} else if err != nil {
			return nil, err
		}
		list = append(list, c)
	}
	return list, nil
}

func decodeCampaign(name string, fields map[string]string) (*Campaign, error) {
	if len(fields) == 0 {
		return nil, fmt.Errorf("campaign %s: %w", name, ErrNoCampaign)
	}
	d := decoder{name: name, fields: fields}
	c := &Campaign{
		Name: fields[fieldName], State: State(fields[fieldState]), Version: d.integer(fieldVersion),
		Rows: int(d.integer(fieldRows)), Next: int(d.integer(fieldNext)), Cut: -1,
		Created: d.time(fieldCreated), Ended: d.time(fieldEnded),
	}
	if _, ok := fields[fieldCut]; ok {
		c.Cut = int(d.integer(fieldCut))
	}
	for k := range int(d.integer(fieldLoads)) {
		l := LoadInfo{Number: k}
		field := fieldLoad + strconv.Itoa(k)
		d.note(field, json.Unmarshal([]byte(fields[field]), &l))
		c.Loads = append(c.Loads, l)
		if d.err != nil {
			break
		}
	}
	switch c.State {
	case Running, Paused, Cancelled:
	default:
		d.note(fieldState, errors.New("unknown state"))
	}
	return c, d.err
}

// decoder keeps the first damage that it meets.
type decoder struct {
	name   string
	fields map[string]string
	err    error
}

func (d *decoder) note(field string, err error) {
	if err != nil && d.err == nil {
		d.err = fmt.Errorf("campaign %s: field %q is damaged: %w", d.name, field, err)
	}
}

func (d *decoder) integer(field string) int64 {
	text, ok := d.fields[field]
	if !ok {
		return 0
	}
	n, err := strconv.ParseInt(text, 10, 64)
	d.note(field, err)
	return n
}

func (d *decoder) time(field string) time.Time {
	ms := d.integer(field)
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// Event is one line of a campaign's log.
type Event struct {
	At    time.Time
	What  string // loaded, started, paused, resumed, cancelled, reopened, finished
	Count map[string]int64
}

// Ends reads how the rows ended that did not succeed, by their numbers.
func (s *Store) Ends(ctx context.Context, name string) (map[int]End, error) {
	return nil, errors.ErrUnsupported
}

// Withdrawn reads the rows below [Campaign.Cut] that were never handed over.
func (s *Store) Withdrawn(ctx context.Context, name string) (map[int]bool, error) {
	return nil, errors.ErrUnsupported
}

// Log reads the campaign's events, the oldest first.
func (s *Store) Log(ctx context.Context, name string) ([]Event, error) {
	return nil, errors.ErrUnsupported
}

// Pairs reads the hashes of a load, a piece at a time. After eight days they are gone.
func (s *Store) Pairs(ctx context.Context, name string, load int, f func([]uint64) error) error {
	return errors.ErrUnsupported
}

// Each calls f with every row from a number on, in order. It holds a few chunks in memory.
func (s *Store) Each(ctx context.Context, c *Campaign, from int, f func(number int, r *Row) error) error {
	return errors.ErrUnsupported
}

// Rows reads some rows by their numbers.
func (s *Store) Rows(ctx context.Context, c *Campaign, numbers []int) (map[int]*Row, error) {
	return nil, errors.ErrUnsupported
}

// Stage begins a load. Nothing of it is visible before [Stage.Commit].
func (s *Store) Stage(ctx context.Context, name string) *Stage { return &Stage{} }

// Stage is a load on its way in.
type Stage struct{}

// CommitOptions is what a commit makes of the staged rows.
type CommitOptions struct {
	Expect  int64 // the version of the campaign that they were compared with; 0: there was none
	File    string
	Header  []string
	Totals  map[string]string // the loader's own sums, as decimal text
	Details map[string]string // anything else that the loader wants to find again in LoadInfo
	Pairs   []uint64          // keyed hashes of number and amount, kept for eight days
}

// Add packs a row. The row is the caller's again when it returns.
func (s *Stage) Add(ctx context.Context, r *Row) error { return errors.ErrUnsupported }

// Commit makes the staged rows the campaign's, all or none. The error matches
// [ErrChanged], [ErrCancelled] or [ErrStageLost] where nothing was loaded; after any other error
// it is not known: load again.
func (s *Stage) Commit(ctx context.Context, o CommitOptions) (*Campaign, error) {
	return nil, errors.ErrUnsupported
}

// Drop ends a load without a trace. After a commit it does nothing.
func (s *Stage) Drop(ctx context.Context) error { return errors.ErrUnsupported }

// Take hands over up to n rows of a running campaign: first those whose time has come.
func (s *Store) Take(ctx context.Context, name string, n int) ([]Open, error) {
	return nil, errors.ErrUnsupported
}

// Defer puts open rows back until their time.
func (s *Store) Defer(ctx context.Context, name string, rows map[Open]time.Time) error {
	return errors.ErrUnsupported
}

// Settle counts what became of open rows.
func (s *Store) Settle(ctx context.Context, name string, rows []Settled) error {
	return errors.ErrUnsupported
}

// Reopen makes rows open again whose jobs were failed or refunded and are sent again. Rows that are
// open already, or did not fail, stay as they are: call it before and after the job is sent again.
func (s *Store) Reopen(ctx context.Context, name string, rows []int) error {
	return errors.ErrUnsupported
}

// Pause hands over no more rows. See worker.PauseCampaign for what commands call.
func (s *Store) Pause(ctx context.Context, name string) error { return errors.ErrUnsupported }

// Resume takes a pause back.
func (s *Store) Resume(ctx context.Context, name string) error { return errors.ErrUnsupported }

// Cancel counts every row that was not handed over as cancelled, for good.
func (s *Store) Cancel(ctx context.Context, name string) error { return errors.ErrUnsupported }

// Progress is how far a campaign has come, at one moment.
type Progress struct {
	Campaign *Campaign
	States   map[enqueue.State]int // of all rows; they sum to Campaign.Rows
	Waiting  int                   // of those queued: not handed over yet
	Later    int                   // of those waiting: their notBefore lies ahead
	Reasons  []Count               // why queued rows wait, the most frequent first
	Codes    []Count               // why rows did not succeed, the most frequent first
	Moved    map[string]string     // debited, by currency, as decimal text
	Held     map[string]string     // amounts of rows that may have been paid: by "sender" or "local <country>"
	Rate     float64               // rows settled a second, over the last half minute
	Left     time.Duration         // until all are settled at this rate; 0 where it is not known
}

// Count is how many rows have one word in common.
type Count struct {
	Word  string
	Count int
}

// Progress reads a campaign and where its rows stand.
func (s *Store) Progress(ctx context.Context, name string, client *enqueue.Client) (*Progress, error) {
	return nil, errors.ErrUnsupported
}
