package main

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// A script that is added to the ledger needs its two points, or none of the runs dies in it.
func TestEachWriteOfTheLedgerHasItsPoints(t *testing.T) {
	files, err := os.ReadDir("../../enqueue/lua")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(file.Name(), ".lua")
		if slices.Contains([]string{"prelude", "record", "open"}, name) { // no write of a job's
			continue
		}
		for _, side := range []string{":before", ":after"} {
			has := func(p crashPoint) bool {
				return strings.HasPrefix(p.name, name) && strings.HasSuffix(p.name, side)
			}
			if !slices.ContainsFunc(crashPoints, has) {
				t.Errorf("no crash point %s%s", name, side)
			}
		}
	}
}
