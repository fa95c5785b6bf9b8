package campaign

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"example.com/topup/enqueue"
)

const (
	stageLife  = 24 * time.Hour     // of staged rows that nobody commits
	pairsLife  = 8 * 24 * time.Hour // the guard against similar campaigns looks back seven days
	stageAhead = 8                  // chunks that wait for Redis, at most
	pairsPiece = 64 << 10           // bytes of pairs in one command
)

// Stage is a load on its way in. Its methods are called by one goroutine, and it is
// ended by [Stage.Commit] or [Stage.Drop].
type Stage struct {
	store  *Store
	name   string
	token  string
	rows   int
	chunks int

	buffer []byte
	count  int // rows in buffer

	pushes chan stagedChunk
	group  *errgroup.Group
	ctx    context.Context // ends with the first push that failed
	closed bool
}

type stagedChunk struct {
	number, count int
	rows          []byte
}

// Stage begins a load. Nothing of it is visible before [Stage.Commit], and what is never
// committed is gone after a day.
func (s *Store) Stage(ctx context.Context, name string) *Stage {
	st := &Stage{store: s, name: name, token: rand.Text(), pushes: make(chan stagedChunk, stageAhead)}
	st.group, st.ctx = errgroup.WithContext(ctx)
	for range 2 { // one packs while the other waits for Redis
		st.group.Go(st.push)
	}
	return st
}

// push packs chunks and writes them, several in a round trip where they have piled up.
func (s *Stage) push() error {
	key := stageKey(s.name, s.token)
	for chunk := range s.pushes {
		pipe := s.store.rdb.Pipeline()
		for more := true; more; {
			packed, err := packChunk(chunk.count, chunk.rows)
			if err != nil {
				return err
			}
			pipe.HSet(s.ctx, key, strconv.Itoa(chunk.number), packed)
			more = false
			if pipe.Len() < stageAhead {
				select {
				case chunk, more = <-s.pushes:
				default:
				}
			}
		}
		pipe.Expire(s.ctx, key, stageLife)
		if _, err := pipe.Exec(s.ctx); err != nil {
			return fmt.Errorf("campaign %s: stage rows: %w", s.name, err)
		}
	}
	return nil
}

// Add packs a row. The row is the caller's again when it returns. What goes wrong in
// the background is told by a later call.
func (s *Stage) Add(ctx context.Context, r *Row) error {
	if err := checkRow(r); err != nil {
		return err
	}
	s.buffer = appendRow(s.buffer, r)
	s.count++
	s.rows++
	if s.count < chunkRows {
		return nil
	}
	return s.flush(ctx)
}

func (s *Stage) flush(ctx context.Context) error {
	if s.count == 0 {
		return nil
	}
	if s.closed {
		return s.stopped()
	}
	chunk := stagedChunk{number: s.chunks, count: s.count, rows: s.buffer}
	s.buffer, s.count = make([]byte, 0, len(s.buffer)), 0
	s.chunks++
	select {
	case s.pushes <- chunk:
		return nil
	case <-s.ctx.Done():
		return s.stopped()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// stopped is why no more rows can be staged.
func (s *Stage) stopped() error {
	return cmp.Or(s.finish(), context.Cause(s.ctx), context.Canceled)
}

// finish waits for the background.
func (s *Stage) finish() error {
	if !s.closed {
		s.closed = true
		close(s.pushes)
	}
	return s.group.Wait()
}

// CommitOptions is what a commit makes of the staged rows.
type CommitOptions struct {
	Expect  int64 // the version of the campaign that they were compared with; 0: there was none
	File    string
	Header  []string
	Totals  map[string]string // the loader's own sums, as decimal text
	Details map[string]string // anything else that the loader wants to find again in LoadInfo
	Pairs   []uint64          // keyed hashes of number and amount, kept for eight days
}

var commitScript = newScript("commit")

// Commit makes the staged rows the campaign's, all or none. The error matches
// [ErrChanged], [ErrCancelled] or [ErrStageLost] where nothing was loaded; after any other error
// it is not known: load again.
func (s *Stage) Commit(ctx context.Context, o CommitOptions) (*Campaign, error) {
	if err := CheckName(s.name); err != nil {
		return nil, errors.Join(err, s.Drop(ctx))
	}
	if err := s.settleStage(ctx, o.Pairs); err != nil {
		return nil, err
	}
	if s.rows == 0 {
		return nil, fmt.Errorf("campaign %s: there is no row to load", s.name)
	}
	c := &Campaign{}
	if o.Expect > 0 {
		var err error
		if c, err = s.store.Find(ctx, s.name); err != nil {
			return nil, err
		}
		if c.Version != o.Expect {
			return nil, fmt.Errorf("campaign %s: %w", s.name, ErrChanged)
		}
	}
	load, err := json.Marshal(LoadInfo{
		Offset: c.Rows, Rows: s.rows, File: o.File, Header: o.Header, At: time.Now().UTC().Truncate(time.Second), Totals: o.Totals, Details: o.Details,
	})
	if err != nil {
		return nil, fmt.Errorf("campaign %s: encode the load: %w", s.name, err)
	}
	id, k := enqueue.CanonicalID(s.name), len(c.Loads)
	// The indexes are elsewhere: a name without a campaign is harmless, the other way round it is not.
	if err := s.store.index(ctx, id, false); err != nil {
		return nil, err
	}
	keys := append(s.store.keys(id), stageKey(id, s.token), stagePairsKey(id, s.token), rowsKey(id, k), pairsKey(id, k))
	for before := range k {
		keys = append(keys, rowsKey(id, before))
	}
	word, err := commitScript.Run(ctx, s.store.rdb, keys,
		o.Expect, s.token, s.name, s.rows, s.chunks, load, int(pairsLife.Seconds())).Text()
	if err != nil {
		return nil, fmt.Errorf("campaign %s: it is not known whether it was loaded (load it again): %w", s.name, err)
	}
	switch word {
	case "done":
	case "changed":
		return nil, fmt.Errorf("campaign %s: %w", s.name, ErrChanged)
	case "cancelled":
		return nil, fmt.Errorf("campaign %s: %w", s.name, ErrCancelled)
	default:
		return nil, fmt.Errorf("campaign %s: %w", s.name, ErrStageLost)
	}
	if err := s.store.index(ctx, id, true); err != nil { // whoever took the name off the list saw what was before
		return nil, err
	}
	return s.store.Find(ctx, s.name)
}

// settleStage writes what is still here.
func (s *Stage) settleStage(ctx context.Context, pairs []uint64) error {
	err := s.flush(ctx)
	if err := errors.Join(err, s.finish()); err != nil {
		return err
	}
	key := stagePairsKey(s.name, s.token)
	for from := 0; from < len(pairs); from += pairsPiece / 8 {
		piece := pairs[from:min(from+pairsPiece/8, len(pairs))]
		data := make([]byte, 0, 8*len(piece))
		for _, p := range piece {
			data = binary.BigEndian.AppendUint64(data, p)
		}
		pipe := s.store.rdb.Pipeline()
		pipe.SetRange(ctx, key, int64(8*from), string(data)) // not APPEND: repeated, it does no harm
		pipe.Expire(ctx, key, stageLife)
		if _, err := pipe.Exec(ctx); err != nil {
			return fmt.Errorf("campaign %s: stage pairs: %w", s.name, err)
		}
	}
	return nil
}

// Drop ends a load without a trace. After a commit it does nothing.
func (s *Stage) Drop(ctx context.Context) error {
	_ = s.finish() // what it could not write need not be taken away
	if err := s.store.rdb.Del(ctx, stageKey(s.name, s.token), stagePairsKey(s.name, s.token)).Err(); err != nil {
		return fmt.Errorf("campaign %s: drop what was staged (it is gone after a day): %w", s.name, err)
	}
	return nil
}

// index lists the name of a campaign, for those who look for campaigns and for the feeder.
func (s *Store) index(ctx context.Context, name string, loaded bool) error {
	entry := redis.ZAddArgs{NX: !loaded, Members: []redis.Z{{Score: float64(time.Now().UnixMilli()), Member: enqueue.CanonicalID(name)}}}
	if err := s.rdb.ZAddArgs(ctx, campaignsKey, entry).Err(); err != nil {
		return fmt.Errorf("campaign %s: list it (load it again): %w", name, err)
	}
	return s.activate(ctx, name)
}

// Pairs reads the hashes of a load, a piece at a time. After eight days they are gone.
func (s *Store) Pairs(ctx context.Context, name string, load int, f func([]uint64) error) error {
	for from := int64(0); ; from += pairsPiece {
		data, err := s.rdb.GetRange(ctx, pairsKey(name, load), from, from+pairsPiece-1).Bytes()
		if err != nil {
			return fmt.Errorf("campaign %s: read the pairs: %w", name, err)
		}
		var piece []uint64
		for in := bytes.NewBuffer(data); in.Len() >= 8; {
			piece = append(piece, binary.BigEndian.Uint64(in.Next(8)))
		}
		if len(piece) > 0 {
			if err := f(piece); err != nil {
				return err
			}
		}
		if len(data) < pairsPiece {
			return nil
		}
	}
}
