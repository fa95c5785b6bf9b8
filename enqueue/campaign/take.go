package campaign

import (
	"context"
	"fmt"
	"time"
)

// maxTake is what one script hands over: Redis does nothing else meanwhile.
const maxTake = 1000

var (
	takeScript  = newScript("take")
	deferScript = newScript("defer")
)

// Open is a row that was handed over and is not settled. The mark says which handing
// over is meant: a row that was opened again has another.
type Open struct {
	Row  int
	Mark int64
}

// Take hands over up to n rows of a running campaign, at most a thousand: first those
// whose time has come, then the next ones. They are open from then on, whoever took them.
func (s *Store) Take(ctx context.Context, name string, n int) ([]Open, error) {
	if n <= 0 {
		return nil, nil
	}
	reply, err := takeScript.Run(ctx, s.rdb, s.keys(name), min(n, maxTake)).Slice()
	if err != nil {
		return nil, fmt.Errorf("campaign %s: take rows: %w", name, err)
	}
	numbers, err := integers(reply)
	if err != nil || len(numbers) == 0 {
		return nil, fmt.Errorf("campaign %s: take rows: %w", name, errReply)
	}
	taken := make([]Open, 0, len(numbers)-1)
	for _, row := range numbers[1:] {
		taken = append(taken, Open{int(row), numbers[0]})
	}
	return taken, nil
}

// Deferred is an open row whose time lies ahead.
type Deferred struct {
	Open
	Until time.Time
}

// Defer puts open rows back until their time.
func (s *Store) Defer(ctx context.Context, name string, rows []Deferred) error {
	for from := 0; from < len(rows); from += maxTake {
		var args []any
		for _, d := range rows[from:min(from+maxTake, len(rows))] {
			args = append(args, d.Row, d.Mark, d.Until.UnixMilli())
		}
		if err := deferScript.Run(ctx, s.rdb, s.keys(name), args...).Err(); err != nil {
			return fmt.Errorf("campaign %s: put rows off: %w", name, err)
		}
	}
	return nil
}
