package main

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// The import directions of the project: cmd → worker → enqueue/campaign → {enqueue,
// reloadly}, and these import nothing of ours.
func TestImportDirections(t *testing.T) {
	const module = "example.com/topup"
	for _, test := range []struct {
		of      string
		allowed []string
	}{
		{"enqueue", nil},
		{"enqueue/httpapi", []string{"enqueue", "enqueue/campaign", "reloadly"}},
		{"enqueue/httpapi/monitor", []string{"enqueue", "enqueue/campaign", "enqueue/httpapi", "reloadly"}},
		{"reloadly", nil},
		{"reloadly/sandbox", nil},
		{"enqueue/campaign", []string{"enqueue", "reloadly"}},
		{"worker", []string{"enqueue", "enqueue/campaign", "reloadly"}},
	} {
		out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", module+"/"+test.of).Output()
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(out)) {
			path, ours := strings.CutPrefix(strings.TrimSpace(line), module+"/")
			if ours && path != test.of && !slices.Contains(test.allowed, path) {
				t.Errorf("%s imports %s", test.of, path)
			}
		}
	}
}
