package worker

import (
	"slices"
	"testing"
	"time"
)

func TestWindowShares(t *testing.T) {
	start := time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)
	at := func(pace int) *window {
		w := &window{most: 2000, ahead: 10 * time.Second}
		for s := range 61 {
			w.settled(pace, start.Add(time.Duration(s)*time.Second))
		}
		return w
	}
	for name, c := range map[string]struct {
		pace  int
		wants []want
		given []int
	}{
		"nobody":                       {0, nil, []int{}},
		"before a pace is known":       {0, []want{{rest: 5000}}, []int{100}},
		"ten seconds of the pace":      {50, []want{{rest: 5000}}, []int{499}},
		"never more than the window":   {5000, []want{{rest: 50_000}}, []int{2000}},
		"what is there counts":         {5000, []want{{ready: 1500, open: 1500, rest: 50_000}}, []int{500}},
		"what is being sent counts":    {5000, []want{{ready: 500, sending: 800, open: 1300, rest: 50_000}}, []int{700}},
		"two alike":                    {5000, []want{{rest: 50_000}, {rest: 50_000}}, []int{1000, 1000}},
		"the rest of a small one":      {5000, []want{{rest: 50_000}, {rest: 30}}, []int{1970, 30}},
		"the first one has it all":     {5000, []want{{ready: 2000, open: 2000, rest: 50_000}, {rest: 5000}}, []int{0, 1000}},
		"even where nothing is left":   {5000, []want{{sending: 2000, open: 2000, rest: 50_000}, {rest: 5000}}, []int{1, 1}},
		"those that wait do not count": {5000, []want{{open: 9000, rest: 50_000}}, []int{2000}},
		"up to ten windows":            {5000, []want{{open: 19_990, rest: 50_000}}, []int{10}},
	} {
		if got := at(c.pace).shares(c.wants); !slices.Equal(got, c.given) {
			t.Errorf("%s: %v, want %v", name, got, c.given)
		}
	}
}
