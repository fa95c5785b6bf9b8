package campaign

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"example.com/topup/enqueue"
)

//go:embed lua/*.lua
var scriptFiles embed.FS

var preludeText = mustRead("prelude")

func mustRead(name string) string {
	text, err := scriptFiles.ReadFile("lua/" + name + ".lua")
	if err != nil { // the files are part of the binary
		panic(err)
	}
	return string(text)
}

func newScript(name string) *redis.Script { return redis.NewScript(preludeText + mustRead(name)) }

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
	fieldRetired = "retired" // since when its keys run out
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

// keys are those that every script of a campaign gets, in the order of prelude.lua.
func (s *Store) keys(name string) []string {
	return []string{campaignKey(name), openKey(name), laterKey(name), reviewKey(name), endsKey(name), withdrawnKey(name), logKey(name)}
}

// keysOf are those of a campaign with the rows of all its loads.
func (s *Store) keysOf(c *Campaign) []string {
	keys := s.keys(c.Name)
	for k := range c.Loads {
		keys = append(keys, rowsKey(c.Name, k))
	}
	return keys
}

// Event is one line of a campaign's log.
type Event struct {
	At    time.Time
	What  string           // loaded, started, paused, resumed, cancelled, reopened or finished
	Count map[string]int64 // rows, and for finished how many ended how
}

// Log reads the campaign's last events, the oldest first.
func (s *Store) Log(ctx context.Context, name string) ([]Event, error) {
	lines, err := s.rdb.LRange(ctx, logKey(name), 0, -1).Result()
	if err != nil {
		return nil, fmt.Errorf("campaign %s: read its log: %w", name, err)
	}
	events := make([]Event, 0, len(lines))
	for _, line := range lines {
		var wire struct {
			At    int64            `json:"at"`
			What  string           `json:"what"`
			Count map[string]int64 `json:"count"`
		}
		if err := json.Unmarshal([]byte(line), &wire); err != nil {
			continue // the log decides nothing
		}
		events = append(events, Event{time.UnixMilli(wire.At).UTC(), wire.What, wire.Count})
	}
	return events, nil
}

// Ends reads how the rows ended that did not succeed, by their numbers. Rows that were
// never handed over are not among them: see [Campaign.Cut] and [Store.Withdrawn].
func (s *Store) Ends(ctx context.Context, name string) (map[int]End, error) {
	ends := map[int]End{}
	for cursor := uint64(0); ; {
		pairs, next, err := s.rdb.HScan(ctx, endsKey(name), cursor, "", 1000).Result()
		if err != nil {
			return nil, fmt.Errorf("campaign %s: read how its rows ended: %w", name, err)
		}
		for k := 0; k+1 < len(pairs); k += 2 {
			row, err := strconv.Atoi(pairs[k])
			if err != nil {
				continue // not ours
			}
			ends[row] = endOf(pairs[k+1])
		}
		if cursor = next; cursor == 0 {
			return ends, nil
		}
	}
}

// endOf reads a value of endsKey.
func endOf(value string) End {
	state, code, _ := strings.Cut(value, " ")
	return End{enqueue.State(state), code}
}

// Withdrawn reads the rows below [Campaign.Cut] that were never handed over: they waited
// for their time when the campaign was cancelled.
func (s *Store) Withdrawn(ctx context.Context, name string) (map[int]bool, error) {
	members, err := s.rdb.ZRange(ctx, withdrawnKey(name), 0, -1).Result()
	if err != nil {
		return nil, fmt.Errorf("campaign %s: read the rows withdrawn: %w", name, err)
	}
	rows := make(map[int]bool, len(members))
	for _, member := range members {
		if row, err := strconv.Atoi(member); err == nil {
			rows[row] = true
		}
	}
	return rows, nil
}
