package campaign

import (
	"testing"

	"pgregory.net/rapid"
)

func TestGuard(t *testing.T) {
	for cell, want := range map[string]string{
		"": "", "plain": "plain", "10": "10", " =1": " =1", "'": "'", "''": "''", "'a": "'a", "é": "é",
		"=1+1": "'=1+1", "+234": "'+234", "-5": "'-5", "@x": "'@x", "\tx": "'\tx", "\rx": "'\rx", "\nx": "'\nx",
		"＝1": "'＝1", "＋1": "'＋1", "－1": "'－1", "＠x": "'＠x",
		"'=1": "''=1", "''+1": "'''+1", "'＠": "''＠",
	} {
		if got := Guard(cell); got != want {
			t.Errorf("Guard(%q) = %q, want %q", cell, got, want)
		}
		if got := Unguard(want); got != cell {
			t.Errorf("Unguard(%q) = %q, want %q", want, got, cell)
		}
	}
}

func TestUnguardUndoesGuard(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cell := rapid.StringOf(rapid.RuneFrom([]rune("'=+-@\t\r\n＝＋－＠a1 "))).Draw(t, "cell")
		guarded := Guard(cell)
		if got := Unguard(guarded); got != cell {
			t.Fatalf("Unguard(%q) = %q, want %q", guarded, got, cell)
		}
		if guarded != "" && guarded[0] != '\'' && executable(guarded) {
			t.Fatalf("%q can be executed", guarded)
		}
	})
}
