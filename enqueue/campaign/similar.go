package campaign

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"slices"
	"time"

	"example.com/topup/enqueue"
)

// similarWindow is how far back another campaign counts as the same people paid again.
const similarWindow = 7 * 24 * time.Hour

// Similar is another campaign that has many of a file's payments.
type Similar struct {
	Campaign string
	Loaded   time.Time // its last load that has some of them
	Pairs    int       // of number and amount that both have
	Of       int       // pairs of the file
}

// Percent is the share of the file's pairs, rounded down.
func (s Similar) Percent() int { return 100 * s.Pairs / s.Of }

// pairHash makes the eight bytes under which number, amount and unit of a row are
// compared with other campaigns'. Without the key they cannot be tried out.
type pairHash struct{ mac hash.Hash }

func newPairHash(key []byte) pairHash { return pairHash{hmac.New(sha256.New, key)} }

func (p pairHash) of(r *Row) uint64 {
	p.mac.Reset()
	var buffer, sum [sha256.Size]byte
	text := append(buffer[:0], "pair "...)
	text = append(text, r.Phone...)
	text = append(append(text, ' '), r.Amount.Trim(0).String()...)
	text = append(append(text, ' '), r.Unit...)
	_, _ = p.mac.Write(text) // a hash never fails
	return binary.BigEndian.Uint64(p.mac.Sum(sum[:0]))
}

// similar is the campaign, beside one of this name, that has most of the file's pairs
// in its loads of the last days: half of them or more. nil: there is none. pairs is
// sorted and has none twice.
func (s *Store) similar(ctx context.Context, name string, pairs []uint64, now time.Time) (*Similar, error) {
	if len(pairs) == 0 {
		return nil, nil
	}
	all, err := s.List(ctx)
	if err != nil {
		return nil, err
	}
	var worst *Similar
	for _, c := range all {
		if enqueue.CanonicalID(c.Name) == enqueue.CanonicalID(name) {
			continue
		}
		found := Similar{Campaign: c.Name, Of: len(pairs)}
		seen := make([]uint64, (len(pairs)+63)/64) // a pair in two loads counts once
		for _, load := range c.Loads {
			if now.Sub(load.At) > similarWindow {
				continue
			}
			before := found.Pairs
			err := s.Pairs(ctx, c.Name, load.Number, func(theirs []uint64) error {
				for _, pair := range theirs {
					i, ok := slices.BinarySearch(pairs, pair)
					if ok && seen[i/64]&(1<<(i%64)) == 0 {
						seen[i/64] |= 1 << (i % 64)
						found.Pairs++
					}
				}
				return nil
			})
			if err != nil {
				return nil, err
			}
			if found.Pairs > before {
				found.Loaded = load.At
			}
		}
		if 2*found.Pairs >= len(pairs) && (worst == nil || found.Pairs > worst.Pairs) {
			worst = &found
		}
	}
	return worst, nil
}
