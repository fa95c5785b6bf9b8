package main

import "testing"

// The runs without a schedule have no seed. Taken for the seed 0, they would all send by
// POST /topups-async, and none as a worker does by default.
func TestWayOfSending(t *testing.T) {
	for _, test := range []struct {
		settings settings
		want     bool
	}{
		{settings{}, false},
		{settings{Async: "yes"}, true},
		{settings{Seed: 3}, true},
		{settings{Seed: 4}, false},
		{settings{Seed: 3, Async: "no"}, false},
		{settings{Seed: 4, Async: "yes"}, true},
	} {
		if got := test.settings.async(); got != test.want {
			t.Errorf("seed %d, -async %q: %v", test.settings.Seed, test.settings.Async, got)
		}
	}
}
