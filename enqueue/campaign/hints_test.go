package campaign

import (
	"errors"
	"strings"
	"testing"
)

// What is told of a damaged file says what to do with this very damage.
func TestHints(t *testing.T) {
	const header, good = "phone,amount,currency,note\n", "+2348031234567,500,local,x\n"
	for name, c := range map[string]struct{ text, want string }{
		"a unit in a name":           {"Phone Number,Amount (NGN),Currency\n", `no column is the amount (is it "Amount (NGN)"? then rename it to amount)`},
		"a name with more":           {"Mobile No.,amount,currency\n", `no column is the phone (is it "Mobile No."? then rename it to phone)`},
		"a currency with more":       {"phone,amount,currency of payment\n", `(is it "currency of payment"? then rename it to currency)`},
		"two that may be it":         {"phone,Amount (NGN),Amount (USD),currency\n", "no column is the amount (name one amount, or give --amount for all rows)"},
		"none that may be it":        {"who,amount,currency\n", "no column is the phone (the first line has to name the columns"},
		"lines that are one cell":    {"\"phone,amount,currency,note\"\n\"+2348031234567,500,local,x\"\n", `the header is one cell, "phone,amount,currency,note" (split the column into several in the spreadsheet, and export again)`},
		"an apostrophe in front":     {header + "'2348031234567,500,local,x\n", "the number has an apostrophe in front, by which a spreadsheet keeps it as text (take it off)"},
		"empty cells at the end":     {header + "+2348031234567,500,local,Ada,,,\n", "the row has 7 cells and the header 4, and those at its end are empty (delete the columns without a name in the spreadsheet, and export again)"},
		"a delimiter in a cell":      {header + "+2348031234567,500,local,Ada,Bo\n", "the row has 5 cells and the header 4 (put cells with a delimiter or a line break into quotes, export again)"},
		"cells are missing":          {header + "+2348031234567,500,local\n", "the row has 3 cells and the header 4 (are cells missing at its end, or is a line break in a cell without quotes?)"},
		"a row of totals":            {header + good + "Total:,500,local,\n", "the cell has no digits (is the row a total or a note? then take it out)"},
		"a word instead of a number": {header + "unknown,500,local,\n", "the cell has no digits"},
		"files that were joined":     {header + good + "\ufeffPHONE, amount,Currency,note\n", "the row is the header once more (were files joined? then take it out)"},
		"a Swiss amount":             {header + "+2348031234567,500.-,local,x\n", `"500.-" is not a number (write digits and a decimal point`},
		"a negative amount":          {header + "+2348031234567,500-,local,x\n", `"500-" is negative`},
	} {
		reading, _ := read(t, c.text, ReadOptions{})
		if len(reading.Problems) == 0 || !strings.Contains(reading.Problems[0].Message, c.want) {
			t.Errorf("%s: %v, want %s", name, reading.Problems, c.want)
		}
	}
	for name, c := range map[string]struct{ text, want string }{
		"HTML that is named CSV":      {"<html><body><table>", "byte 0 begins HTML or XML, which is not a CSV (open it in the spreadsheet and save it as CSV UTF-8)"},
		"JSON":                        {`[{"phone":"+2348031234567"}]`, "byte 0 begins JSON"},
		"JSON, one object":            {`{"phone":"+2348031234567"}`, "byte 0 begins JSON"},
		"a letter of another coding":  {header + good + "+2348031234568,500,local,Jos\xE9\n", "byte 82 is 0xE9, which is not UTF-8, on line 3 (save"},
		"the same after a line break": {header + "+2348031234568,500,local,\"a\nb\n\xE9\"\n", "is 0xE9, which is not UTF-8, on line 4 (save"},
	} {
		_, err := Read(t.Context(), strings.NewReader(c.text), ReadOptions{}, func(*Row) error { return nil })
		if !errors.Is(err, ErrUnreadable) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
}

// Excel reads the delimiter from a line of its own before the header, and other programs
// write it: it is no header. The header's own delimiter counts.
func TestSeparatorLine(t *testing.T) {
	for _, text := range []string{
		"sep=;\nphone;amount;currency\n+2348031234567;500;local\n",
		"\ufeffSEP=;\r\nphone;amount;currency\r\n+2348031234567;500;local\r\n",
		"sep=\t\nphone\tamount\tcurrency\n+2348031234567\t500\tlocal\n",
		"sep=,\nphone;amount;currency\n+2348031234567;500;local\n",
		"\"sep=|\"\nphone|amount|currency\n+2348031234567|500|local\n",
	} {
		reading, rows := read(t, text, ReadOptions{})
		if len(rows) != 1 || len(reading.Problems) != 0 || rows[0].Line != 3 || reading.Header.Line != 2 || reading.Blank != 0 {
			t.Errorf("%q: %+v %+v", text, reading, rows)
		}
	}
	if reading, _ := read(t, "sep=;\n", ReadOptions{}); told(reading) != "file_empty@1" {
		t.Error(told(reading))
	}
	if reading, rows := read(t, "sep=,phone,amount,currency\n1,+2348031234567,500,local\n", ReadOptions{}); len(rows) != 1 || told(reading) != "unknown_columns@1" {
		t.Error(told(reading))
	}
}
