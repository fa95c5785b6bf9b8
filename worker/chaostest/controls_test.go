package main

import (
	"bytes"
	"os"
	"os/exec"
	"testing"
)

// The shipped binary has no way to take a guard out or to kill itself; the one built for it has every one
// of them, and each still finds what it changes.
func TestControlsAreBuiltInOnlyOnDemand(t *testing.T) {
	for _, control := range []bool{false, true} {
		binary, err := build(t.Context(), t.TempDir(), control)
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(binary)
		if err != nil {
			t.Fatal(err)
		}
		for _, variable := range []string{controlVariable, crashVariable} {
			if bytes.Contains(text, []byte(variable)) != control {
				t.Errorf("built for controls: %v, and %s is in it: %v", control, variable, !control)
			}
		}
		for _, c := range controls {
			cmd := exec.CommandContext(t.Context(), binary, "--help")
			cmd.Env = append(os.Environ(), controlVariable+"="+c.name)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%s: %v\n%s", c.name, err, out)
			}
		}
	}
}
