package campaign

import (
	"strings"
	"testing"
)

// read reads text and keeps the good rows.
func read(t testing.TB, text string, o ReadOptions) (*Reading, []Row) {
	t.Helper()
	var rows []Row
	reading, err := Read(t.Context(), strings.NewReader(text), o, func(r *Row) error {
		rows = append(rows, *r)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return reading, rows
}

func TestReadOne(t *testing.T) {
	reading, rows := read(t, "phone,amount,currency,country\n+2348031234567,10.50,local,\n08031234568,5,sender,ng\n", ReadOptions{})
	t.Logf("%+v\n%+v", reading, rows)
}
