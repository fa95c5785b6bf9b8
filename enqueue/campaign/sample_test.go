package campaign

import (
	"flag"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestSample(t *testing.T) {
	text, err := os.ReadFile("testdata/sample.csv")
	if err != nil {
		t.Fatal(err)
	}
	reading, rows := read(t, string(text), ReadOptions{StrictPhones: true})
	if told(reading) != "unknown_columns@1" || len(rows) != 12 {
		t.Fatal(reading.Problems)
	}
	if last := rows[11]; last.Line != 14 || last.ExternalID != "ward7-012" || last.Unit != Local || last.OperatorID != 640 {
		t.Errorf("%+v", last)
	}
}

// The golden list is what a person sees of a file with every common mistake.
func TestDamagedSample(t *testing.T) {
	const golden = "testdata/damaged.problems"
	text, err := os.ReadFile("testdata/damaged.csv")
	if err != nil {
		t.Fatal(err)
	}
	reading, _ := read(t, string(text), ReadOptions{})
	var list strings.Builder
	for _, p := range reading.Problems {
		list.WriteString(p.Text("damaged.csv") + "\n")
	}
	if *update {
		if err := os.WriteFile(golden, []byte(list.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if list.String() != string(want) {
		t.Errorf("the problems are now (go test -run DamagedSample -update writes them)\n%s", list.String())
	}
}
