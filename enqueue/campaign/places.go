package campaign

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"example.com/topup/enqueue"
)

// places are the reservations of a load at its numbers.
type places struct {
	limit    NumberLimit
	name     string
	file     *File
	now      time.Time
	known    bits // rows that the campaign has
	reserved bits // rows whose place this load has taken
}

// reserve takes a place for each new row, or says which number has had its share.
func (p *places) reserve(ctx context.Context) error {
	if p.limit.PerDay == 0 {
		return nil
	}
	var full []string
	count := 0
	err := p.each(ctx, func(i int) bool { return !p.known.has(i) }, func(rows []placedRow, asked []Place) error {
		answers, err := p.limit.Reserve(ctx, asked)
		if err != nil {
			return err
		}
		for k, answer := range answers {
			switch answer {
			case Reserved:
				p.reserved.set(rows[k].index, true)
			case Refused:
				if count++; count <= 10 {
					full = append(full, fmt.Sprintf("%s (line %d, %s)", enqueue.MaskNumber(rows[k].phone), rows[k].line, asked[k].Day.UTC().Format(time.DateOnly)))
				}
			}
		}
		return nil
	})
	if err != nil || count == 0 {
		return err
	}
	if count > len(full) {
		full = append(full, fmt.Sprintf("%d more", count-len(full)))
	}
	return &GuardError{
		Guard:   "TOPUP_MAX_PER_NUMBER_PER_DAY",
		Problem: fmt.Sprintf("numbers would get more than %d top-ups on one day: %s", p.limit.PerDay, strings.Join(full, ", ")),
		Fix:     "take these rows out, or give them another day in not_before",
	}
}

// giveBack frees what a refused load had taken. Where it is not known whether the load
// went in, its rows keep their places: they are needed then, and else taken again by the
// next try.
func (p *places) giveBack(ctx context.Context, refusal error) error {
	refused := false
	for _, known := range []error{ErrGuard, enqueue.ErrConflict, ErrCancelled, ErrChanged, ErrStageLost} {
		refused = refused || errors.Is(refusal, known)
	}
	if !refused || p.limit.PerDay == 0 {
		return nil
	}
	return p.each(ctx, func(i int) bool { return p.reserved.has(i) && !p.known.has(i) }, func(rows []placedRow, taken []Place) error {
		for _, r := range rows {
			p.reserved.set(r.index, false)
		}
		return p.limit.Release(ctx, taken)
	})
}

type placedRow struct {
	index, line int
	phone       string
}

// each calls f with the places of some rows, a thousand at a time.
func (p *places) each(ctx context.Context, want func(i int) bool, f func([]placedRow, []Place) error) error {
	var rows []placedRow
	var some []Place
	flush := func() error {
		if len(rows) == 0 {
			return nil
		}
		err := f(rows, some)
		rows, some = rows[:0], some[:0]
		return err
	}
	err := p.file.spool.each(ctx, func(i int, r *Row) error {
		if !want(i) {
			return nil
		}
		rows, some = append(rows, placedRow{i, r.Line, r.Phone}), append(some, PlaceOf(r.TopUp(p.name), p.now))
		if len(rows) < placesAtOnce {
			return nil
		}
		return flush()
	})
	if err != nil {
		return err
	}
	return flush()
}

// FreePlaces gives back the places of a cancelled campaign's rows that were not sent, so that
// a corrected file can be loaded under another name on the same day.
func (s *Store) FreePlaces(ctx context.Context, c *Campaign, client *enqueue.Client, limit NumberLimit) error {
	if limit.PerDay == 0 || c.State != Cancelled {
		return nil
	}
	var ids []string
	var some []Place
	flush := func() error {
		var free []Place
		for i, glance := range client.Glances(ctx, ids) {
			if glance.Err != nil && !errors.Is(glance.Err, enqueue.ErrDamaged) { // what may have been paid keeps its place
				return glance.Err
			}
			if glance.Missing || glance.State == enqueue.Cancelled {
				free = append(free, some[i])
			}
		}
		ids, some = ids[:0], some[:0]
		return limit.Release(ctx, free)
	}
	err := s.Each(ctx, c, 0, func(number int, r *Row) error {
		load := c.Load(number)
		if load == nil {
			return nil
		}
		t := r.TopUp(c.Name)
		ids, some = append(ids, t.ID), append(some, PlaceOf(t, load.At))
		if len(ids) < placesAtOnce {
			return nil
		}
		return flush()
	})
	if err != nil {
		return err
	}
	return flush()
}
