package campaign

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/redis/go-redis/v9"
)

// ErrRowsExpired says that the rows of a campaign that ended long ago are no longer
// kept.
var ErrRowsExpired = errors.New("the rows are no longer kept")

const (
	chunksAtOnce = 8  // chunks that are read in one round trip, and held in memory
	chunksPacked = 64 // the same of which one alone is unpacked at a time
)

// Each calls f with every row from a number on, in order. It holds a few thousand rows
// in memory. An error of f ends it and is returned.
func (s *Store) Each(ctx context.Context, c *Campaign, from int, f func(number int, r *Row) error) error {
	for _, load := range c.Loads {
		first := max(0, from-load.Offset) / chunkRows
		last := (load.Rows + chunkRows - 1) / chunkRows
		for at := first; at < last; at += chunksAtOnce {
			chunks, err := s.chunks(ctx, c, load, at, min(at+chunksAtOnce, last))
			if err != nil {
				return err
			}
			for k, rows := range chunks {
				for i := range rows {
					number := load.Offset + (at+k)*chunkRows + i
					if number < from {
						continue
					}
					if err := f(number, &rows[i]); err != nil {
						return err
					}
				}
			}
		}
	}
	return nil
}

// Rows reads some rows by their numbers.
func (s *Store) Rows(ctx context.Context, c *Campaign, numbers []int) (map[int]*Row, error) {
	out := make(map[int]*Row, len(numbers))
	type place struct{ load, chunk int }
	wanted := map[place][]int{}
	for _, number := range numbers {
		load := c.Load(number)
		if load == nil {
			return nil, fmt.Errorf("campaign %s: there is no row %d", c.Name, number)
		}
		at := place{load.Number, (number - load.Offset) / chunkRows}
		wanted[at] = append(wanted[at], number)
	}
	places := slices.Collect(maps.Keys(wanted))
	for some := range slices.Chunk(places, chunksPacked) {
		pipe := s.rdb.Pipeline()
		replies := make([]*redis.SliceCmd, len(some))
		for i, at := range some {
			replies[i] = pipe.HMGet(ctx, rowsKey(c.Name, at.load), strconv.Itoa(at.chunk))
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return nil, fmt.Errorf("campaign %s: read its rows: %w", c.Name, err)
		}
		for i, at := range some {
			load := c.Loads[at.load]
			rows, err := chunkOf(c, load, at.chunk, replies[i].Val()[0])
			if err != nil {
				return nil, err
			}
			for _, number := range wanted[at] {
				row := rows[number-load.Offset-at.chunk*chunkRows] // a copy: the others need not stay in memory
				out[number] = &row
			}
		}
	}
	return out, nil
}

// chunkOf unpacks a chunk, and sees to it that it is whole.
func chunkOf(c *Campaign, load LoadInfo, chunk int, value any) ([]Row, error) {
	packed, ok := value.(string)
	if !ok {
		return nil, fmt.Errorf("campaign %s: load %d: %w", c.Name, load.Number, ErrRowsExpired)
	}
	rows, err := unpackChunk([]byte(packed))
	if want := min(chunkRows, load.Rows-chunk*chunkRows); err == nil && len(rows) != want {
		err = fmt.Errorf("%w: %d rows instead of %d", errChunk, len(rows), want)
	}
	if err != nil {
		return nil, fmt.Errorf("campaign %s: load %d, chunk %d: %w", c.Name, load.Number, chunk, err)
	}
	return rows, nil
}

// chunks reads some chunks of a load that follow each other.
func (s *Store) chunks(ctx context.Context, c *Campaign, load LoadInfo, from, to int) ([][]Row, error) {
	fields := make([]string, 0, to-from)
	for k := from; k < to; k++ {
		fields = append(fields, strconv.Itoa(k))
	}
	values, err := s.rdb.HMGet(ctx, rowsKey(c.Name, load.Number), fields...).Result()
	if err != nil {
		return nil, fmt.Errorf("campaign %s: read its rows: %w", c.Name, err)
	}
	chunks := make([][]Row, len(values))
	for k, value := range values {
		if chunks[k], err = chunkOf(c, load, from+k, value); err != nil {
			return nil, err
		}
	}
	return chunks, nil
}
