package campaign

import (
	"bytes"
	"encoding/csv"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	e164   = regexp.MustCompile(`^\+[1-9][0-9]{4,14}$`)
	digits = regexp.MustCompile(`^[0-9]{4,15}$`)
	alpha2 = regexp.MustCompile(`^[A-Z]{2}$`)
)

// FuzzRead: whatever the bytes are, nothing panics, each row that is passed on is one
// that can be paid, counts and lines fit, and the rows written as a results file would
// write them read back the same.
func FuzzRead(f *testing.F) {
	for _, name := range []string{"testdata/sample.csv", "testdata/damaged.csv"} {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text, "", "")
	}
	for _, seed := range []string{
		small, "\ufeff" + small, "\xFF\xFEp\x00h\x00", strings.ReplaceAll(small, ",", ";"), "phone\n'+2348031234567\n\n8031234567\n",
		"tel;isLocal;value;id;_x\r\n+2348031234567;1;\"1\n\";A;=\r\n", "PK\x03\x04", "phone\tamount\n\"", "\"phone\"|amount\n|\n+1|2",
		"phone,amount,currency,not_before\n08031234567,0.5,NGN,2026-12-01T09:00:00Z\n", "phone\r08031234567\r",
	} {
		f.Add([]byte(seed), "NG", "local")
	}
	f.Fuzz(func(t *testing.T, text []byte, country, unit string) {
		o := ReadOptions{Country: country, Unit: unit, Amount: "10", AllowRepeatPhone: len(text)%2 == 0, MaxRows: 10_000}
		var rows []Row
		line, bad := 0, 0
		o.Rejected = func(r Rejected) error {
			if r.Line <= line || len(r.Problems) == 0 {
				t.Fatalf("%+v after line %d", r, line)
			}
			bad++
			line = r.Line
			return nil
		}
		reading, err := Read(t.Context(), bytes.NewReader(text), o, func(r *Row) error {
			if r.Line <= line {
				t.Fatalf("line %d after %d", r.Line, line)
			}
			line = r.Line
			rows = append(rows, *r)
			return nil
		})
		if reading == nil || (err == nil && (reading.Rows != len(rows) || reading.Bad != bad)) {
			t.Fatalf("%+v %v", reading, err)
		}
		if err == nil && !slices.IsSortedFunc(reading.Problems, func(a, b Problem) int { return a.Line - b.Line }) {
			t.Fatalf("not by line: %v", reading.Problems)
		}
		seen := map[string]bool{}
		for _, r := range rows {
			if !e164.MatchString(r.Phone) || !digits.MatchString(r.National) || !strings.HasSuffix(r.Phone, r.National) || !alpha2.MatchString(r.Country) {
				t.Fatalf("phone: %+v", r)
			}
			if r.Amount.Sign() <= 0 || r.Unit == "" || r.OperatorID < 0 || len(r.Cells) != len(reading.Header.Names) {
				t.Fatalf("%+v", r)
			}
			job := r.TopUp("camp")
			if _, err := job.Validate(); err != nil {
				t.Fatalf("a row that is no job: %v", err)
			}
			if id := strings.ToLower(job.ID); seen[id] {
				t.Fatalf("two rows of one job: %s", id)
			} else {
				seen[id] = true
			}
		}
		if err == nil && !reading.Broken && len(rows) > 0 {
			again(t, reading, rows, o)
		}
	})
}

// again writes the rows as a results file does and reads them.
func again(t *testing.T, reading *Reading, rows []Row, o ReadOptions) {
	var text bytes.Buffer
	w := csv.NewWriter(&text)
	write := func(cells []string, own string) {
		guarded := make([]string, 0, len(cells)+1)
		for _, cell := range cells {
			guarded = append(guarded, Guard(cell))
		}
		if err := w.Write(append(guarded, own)); err != nil {
			t.Fatal(err)
		}
	}
	write(reading.Header.Names, "_state")
	for _, r := range rows {
		write(r.Cells, "succeeded")
	}
	w.Flush()
	if findsOther(text.Bytes()) {
		return // names that look like other delimiters: the header itself is unclear
	}
	i := 0
	second, err := Read(t.Context(), &text, o, func(r *Row) error {
		want := rows[i]
		i++
		got := *r
		got.Line = want.Line
		for c := range want.Cells { // csv makes \n of \r\n in quotes
			if strings.ReplaceAll(got.Cells[c], "\r", "") != strings.ReplaceAll(want.Cells[c], "\r", "") {
				t.Fatalf("cell %q, was %q", got.Cells[c], want.Cells[c])
			}
		}
		got.Cells, want.Cells = nil, nil
		if got.Phone != want.Phone || got.National != want.National || got.Country != want.Country || !got.Amount.Equal(want.Amount) ||
			got.Unit != want.Unit || got.OperatorID != want.OperatorID || got.ExternalID != want.ExternalID || !got.NotBefore.Equal(want.NotBefore) {
			t.Fatalf("%+v, was %+v", got, want)
		}
		return nil
	})
	if err != nil || i != len(rows) || second.Errors != 0 {
		t.Fatalf("%d of %d rows again: %v %v", i, len(rows), err, second.Problems)
	}
}

func findsOther(text []byte) bool {
	first, line := headerText(text)
	delimiter, problem := findDelimiter(first, line)
	return problem != nil || delimiter != ','
}
