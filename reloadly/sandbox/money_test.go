package sandbox

import (
	"encoding/json"
	"testing"
)

func TestMoney(t *testing.T) {
	for in, want := range map[string]string{
		"790.4": "790.4", "809811.69103": "809811.69103", "0.000001": "0.000001", "5": "5",
		"-1.50": "-1.5", "0": "0", "-0.000001": "-0.000001", "3.90000000": "3.9",
	} {
		m, err := parseMoney(in)
		if err != nil || m.String() != want {
			t.Errorf("parseMoney(%q) = %v, %v, want %s", in, m, err, want)
		}
		if text, err := json.Marshal(m); err != nil || string(text) != want {
			t.Errorf("JSON of %q = %s, %v", in, text, err)
		}
	}
	for _, in := range []string{"", ".5", "5.", "1e3", "+1", "--1", "1.0000001", "abc", "99999999999999999999", "1,5"} {
		if m, err := parseMoney(in); err == nil {
			t.Errorf("parseMoney(%q) = %v", in, m)
		}
	}
	for in, want := range map[string]string{"0.000005": "0.00001", "0.0000049": "0", "-0.000005": "-0.00001"} {
		if got := round5(mustRat(in)); got.String() != want {
			t.Errorf("round5(%s) = %s, want %s", in, got, want)
		}
	}
}
