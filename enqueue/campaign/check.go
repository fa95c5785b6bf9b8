package campaign

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/govalues/decimal"

	"example.com/topup/enqueue"
)

// checker turns the cells of one row into a [Row]. It knows nothing of other rows and
// is used by several goroutines at once.
type checker struct {
	header     *Header
	phone      int // places of the canonical columns in the cells; -1 without
	amount     int
	currency   int
	country    int
	operatorID int
	externalID int
	notBefore  int

	flags  flags
	strict bool
}

// flags are the values that stand in for a column that the file does not have.
type flags struct {
	amount     decimal.Decimal
	unit       Unit
	country    string
	operatorID int64
}

// readFlags reads the options by the rules of the cells.
func readFlags(o *ReadOptions) (flags, error) {
	f := flags{operatorID: o.OperatorID}
	var wrong *fault
	fail := func(flag string) (flags, error) {
		return flags{}, &enqueue.FieldError{Field: flag, Problem: "cannot stand for all rows", Fix: wrong.message}
	}
	if o.Amount != "" {
		if f.amount, wrong = readAmount(strings.TrimSpace(o.Amount)); wrong != nil {
			return fail("--amount")
		}
	}
	if o.Unit != "" {
		if f.unit, wrong = readUnit(strings.TrimSpace(o.Unit)); wrong != nil {
			return fail("--currency")
		}
	}
	if f.country, wrong = readCountry(strings.TrimSpace(o.Country)); wrong != nil {
		return fail("--country")
	}
	if o.OperatorID < 0 {
		wrong = &fault{"operator_not_number", "give Reloadly's operator id"}
		return fail("--operator")
	}
	return f, nil
}

func newChecker(h *Header, f flags, strict bool) *checker {
	at := func(column string) int {
		if place, has := h.Columns[column]; has {
			return place
		}
		return -1
	}
	return &checker{
		header: h, flags: f, strict: strict,
		phone: at(ColumnPhone), amount: at(ColumnAmount), currency: at(ColumnCurrency), country: at(ColumnCountry),
		operatorID: at(ColumnOperatorID), externalID: at(ColumnExternalID), notBefore: at(ColumnNotBefore),
	}
}

// checked is what a row turned out to be. Row is whole where no problem is an error.
type checked struct {
	row       Row
	problems  []Problem
	bad       bool
	blank     bool
	key       uint64 // of the phone; 0 where it could not be read
	hasID     bool
	thousands bool // the amount has three decimals, which may be meant as thousands
}

func (c *checked) add(p Problem) {
	p.Line = c.row.Line
	c.problems = append(c.problems, p)
	c.bad = c.bad || p.Severity == Error
}

// check reads one row of the file; raw is changed and kept.
func (c *checker) check(line int, raw []string) (out checked) {
	out.row.Line = line
	if isBlank(raw) {
		out.blank = true
		return out
	}
	if len(raw) != c.header.width {
		for i := range raw {
			raw[i] = Unguard(raw[i])
		}
		out.row.Cells = raw
		out.add(Problem{Code: "field_count", Message: fieldCount(raw, c.header.width)})
		return out
	}
	cells := c.header.cells(raw)
	out.row.Cells = cells
	if c.header.again(cells) {
		out.add(Problem{Code: "header_again", Message: "the row is the header once more (were files joined? then take it out)"})
		return out
	}
	unusable := c.unusable(cells, &out)
	// cell is what a column holds, trimmed; false where there is no such column or its
	// cell is refused already.
	cell := func(place int) (string, bool) {
		if place < 0 || (unusable != nil && unusable[place]) {
			return "", false
		}
		return strings.TrimSpace(cells[place]), true
	}
	wrong := func(column string, f *fault) {
		if f != nil {
			out.add(Problem{Column: column, Code: f.code, Message: f.message})
		}
	}
	var f *fault

	country, countryWrong := c.flags.country, false
	if text, ok := cell(c.country); ok {
		country, f = readCountry(text)
		wrong(ColumnCountry, f)
		countryWrong = f != nil
	}
	if text, ok := cell(c.phone); ok {
		c.checkPhone(text, country, countryWrong || (c.country >= 0 && unusable != nil && unusable[c.country]), &out)
	}
	out.row.Amount = c.flags.amount
	if text, ok := cell(c.amount); ok {
		out.row.Amount, f = readAmount(text)
		wrong(ColumnAmount, f)
		out.thousands = f == nil && len(text) > 4 && threeDecimals.MatchString(text)
	}
	out.row.Unit = c.flags.unit
	if text, ok := cell(c.currency); ok {
		if c.header.BooleanUnit {
			out.row.Unit, f = readIsLocal(text)
		} else {
			out.row.Unit, f = readUnit(text)
		}
		wrong(ColumnCurrency, f)
	}
	out.row.OperatorID = c.flags.operatorID
	if text, ok := cell(c.operatorID); ok {
		out.row.OperatorID, f = readOperatorID(text)
		wrong(ColumnOperatorID, f)
	}
	if text, ok := cell(c.externalID); ok {
		f = readExternalID(text)
		wrong(ColumnExternalID, f)
		out.hasID = text != ""
		if f == nil {
			out.row.ExternalID = text
		}
	}
	if text, ok := cell(c.notBefore); ok {
		out.row.NotBefore, f = readNotBefore(text)
		wrong(ColumnNotBefore, f)
	}
	return out
}

// checkPhone reads the number. Where the country is wrong, the number is only looked at
// for damage of its own: one mistake, one problem.
func (c *checker) checkPhone(text, country string, countryWrong bool, out *checked) {
	var p phone
	var f *fault
	if countryWrong {
		_, _, f = phoneDigits(text)
	} else {
		p, f = readPhone(text, country)
	}
	switch {
	case f != nil:
		out.add(Problem{Column: ColumnPhone, Code: f.code, Message: f.message})
		return
	case countryWrong:
		return
	case p.doubt != nil:
		severity := Warning
		if c.strict {
			severity = Error
		}
		out.add(Problem{Severity: severity, Column: ColumnPhone, Code: p.doubt.code, Message: p.doubt.message})
	}
	out.row.Phone, out.row.National, out.row.Country = p.e164, p.national, p.country
	out.key = p.key()
}

// fieldCount tells what is to be done with a row of another width than the header's.
func fieldCount(cells []string, width int) string {
	counts := fmt.Sprintf("the row has %d cells and the header %d", len(cells), width)
	switch {
	case len(cells) < width:
		return counts + " (are cells missing at its end, or is a line break in a cell without quotes?)"
	case isBlank(cells[width:]):
		return counts + ", and those at its end are empty (delete the columns without a name in the spreadsheet, and export again)"
	}
	return counts + " (put cells with a delimiter or a line break into quotes, export again)"
}

// unusable reports the cells that no column may have, and which these are.
func (c *checker) unusable(cells []string, out *checked) (places map[int]bool) {
	for i, cell := range cells {
		code, message := "", ""
		switch {
		case strings.IndexByte(cell, 0) >= 0:
			code, message = "nul_byte", "the cell has a NUL byte (export the file again)"
		case tooLong(cell):
			code, message = "cell_too_long", fmt.Sprintf("the cell is longer than %d characters (is a quote not closed?)", MaxCellLength)
		default:
			continue
		}
		if places == nil {
			places = map[int]bool{}
		}
		places[i] = true
		out.add(Problem{Column: c.columnName(i), Code: code, Message: message})
	}
	return places
}

// columnName is the canonical name of a column, or its own where it has none.
func (c *checker) columnName(place int) string {
	for name, at := range c.header.Columns {
		if at == place {
			return name
		}
	}
	return c.header.Names[place]
}

// isBlank tells a row without any content: spreadsheets export rows of delimiters for
// rows that were once formatted.
func isBlank(cells []string) bool {
	for _, cell := range cells {
		for _, r := range cell {
			if !unicode.IsSpace(r) {
				return false
			}
		}
	}
	return true
}
