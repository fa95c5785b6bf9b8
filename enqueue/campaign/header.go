package campaign

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// The canonical columns. A file may call them by other names, see aliases.
const (
	ColumnPhone      = "phone"
	ColumnAmount     = "amount"
	ColumnCurrency   = "currency"
	ColumnCountry    = "country"
	ColumnOperatorID = "operator_id"
	ColumnExternalID = "external_id"
	ColumnNotBefore  = "not_before"
	ColumnNote       = "note"
)

// aliases are the names of columns in lower case, letters and digits only. islocal and
// uselocalamount are the currency too, told by a boolean.
var aliases = map[string]string{
	"phone": ColumnPhone, "phonenumber": ColumnPhone, "mobilenumber": ColumnPhone, "mobile": ColumnPhone, "msisdn": ColumnPhone,
	"number": ColumnPhone, "recipientphone": ColumnPhone, "recipient": ColumnPhone, "tel": ColumnPhone, "telephone": ColumnPhone,
	"amount": ColumnAmount, "value": ColumnAmount, "productvalue": ColumnAmount, "topupamount": ColumnAmount,
	"currency": ColumnCurrency, "islocal": ColumnCurrency, "uselocalamount": ColumnCurrency, "currencycode": ColumnCurrency,
	"country": ColumnCountry, "countrycode": ColumnCountry, "iso": ColumnCountry, "isoname": ColumnCountry,
	"operatorid": ColumnOperatorID, "operator": ColumnOperatorID, "productcode": ColumnOperatorID,
	"externalid": ColumnExternalID, "id": ColumnExternalID, "reference": ColumnExternalID, "referenceid": ColumnExternalID,
	"partnerreferenceid": ColumnExternalID, "customidentifier": ColumnExternalID, "uid": ColumnExternalID,
	"notbefore": ColumnNotBefore, "scheduledat": ColumnNotBefore, "scheduleddatetime": ColumnNotBefore,
	"note": ColumnNote, "description": ColumnNote, "name": ColumnNote, "organisation": ColumnNote,
}

// Header is what the first line of a file says.
type Header struct {
	// Names are the columns as they stand in the file, guards of [Guard] and blanks
	// around them taken off, without those that begin with _: these are what a results
	// file adds, and they are no input.
	Names []string
	// Columns are the places in Names, and in [Row.Cells], of the canonical columns that
	// the file has.
	Columns map[string]int
	// BooleanUnit says that the currency column is one that asks whether the amount is
	// local: 1, true, yes, y or 0, false, no, n.
	BooleanUnit bool
	// Delimiter stands between the cells.
	Delimiter rune
	// Unknown are the names that mean nothing here; these cells are kept and echoed.
	Unknown []string
	// Line is where the header begins.
	Line int

	width int   // cells of a row of the file
	kept  []int // the file's places of Names
}

// plainName is a column's name as it is compared: letters and digits, in lower case.
func plainName(name string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return unicode.ToLower(r)
		}
		return -1
	}, name)
}

// newHeader reads the cells of the header line. Each problem is one of the whole file.
func newHeader(cells []string, line int, delimiter rune) (Header, []Problem) {
	h := Header{Columns: map[string]int{}, Delimiter: delimiter, Line: line, width: len(cells)}
	var problems []Problem
	for i, cell := range cells {
		name := strings.TrimSpace(Unguard(cell))
		if strings.HasPrefix(name, "_") {
			continue
		}
		h.kept = append(h.kept, i)
		h.Names = append(h.Names, name)
		wrong := func(column, code, message string) {
			problems = append(problems, Problem{Line: line, Column: column, Code: code, Message: message})
		}
		plain := plainName(name)
		field, known := aliases[plain]
		first, twice := h.Columns[field]
		switch {
		case strings.ContainsRune(name, 0):
			wrong("", "nul_byte", fmt.Sprintf("the name of column %d has a NUL byte (export the file again)", i+1))
		case tooLong(name):
			wrong("", "cell_too_long", fmt.Sprintf("the name of column %d is longer than %d characters (is a quote not closed?)", i+1, MaxCellLength))
		case !known && name == "":
			h.Unknown = append(h.Unknown, fmt.Sprintf("column %d without a name", i+1))
		case !known:
			h.Unknown = append(h.Unknown, name)
		case twice:
			wrong(field, "column_twice", fmt.Sprintf("%s and %s are both the %s (leave one of them, or rename it)", quoted(h.Names[first]), quoted(name), field))
		default:
			h.Columns[field] = len(h.Names) - 1
			if field == ColumnCurrency {
				h.BooleanUnit = plain == "islocal" || plain == "uselocalamount"
			}
		}
	}
	return h, problems
}

// missing are the columns that are always needed and that nothing stands in for.
func (h *Header) missing(o *ReadOptions) []Problem {
	if len(h.Names) == 1 && strings.ContainsAny(h.Names[0], delimiters) {
		return []Problem{{Line: h.Line, Code: "header_one_cell", Message: fmt.Sprintf("the header is one cell, %s (split the column into several in the spreadsheet, and export again)", quoted(h.Names[0]))}}
	}
	var problems []Problem
	need := func(column, flag, message string) {
		if _, has := h.Columns[column]; !has && flag == "" {
			if name := h.nearly(column); name != "" {
				what, _, _ := strings.Cut(message, " (")
				message = fmt.Sprintf("%s (is it %s? then rename it to %s)", what, quoted(name), column)
			}
			problems = append(problems, Problem{Line: h.Line, Column: column, Code: "column_missing", Message: message})
		}
	}
	need(ColumnPhone, "", "no column is the phone (the first line has to name the columns, such as phone,amount,currency)")
	need(ColumnAmount, o.Amount, "no column is the amount (name one amount, or give --amount for all rows)")
	need(ColumnCurrency, o.Unit, "no column says in which currency the amounts are (add a currency column with local, sender or an ISO 4217 code, or give --currency for all rows)")
	return problems
}

// nearly is the one column that means nothing here and has a word in its name by which
// the missing column may be called, such as Amount (NGN); empty where there is none, or several.
func (h *Header) nearly(column string) (found string) {
	for _, name := range h.Names {
		if _, known := aliases[plainName(name)]; known {
			continue
		}
		words := strings.FieldsFunc(name, func(r rune) bool { return !unicode.IsLetter(r) })
		if !slices.ContainsFunc(words, func(word string) bool { return aliases[plainName(word)] == column }) {
			continue
		}
		if found != "" {
			return ""
		}
		found = name
	}
	return found
}

// warnings are about columns that mean nothing and flags that are not used.
func (h *Header) warnings(o *ReadOptions) []Problem {
	var problems []Problem
	warn := func(column, code, message string) {
		problems = append(problems, Problem{Severity: Warning, Line: h.Line, Column: column, Code: code, Message: message})
	}
	for _, flag := range []struct {
		column, name string
		given        bool
	}{
		{ColumnAmount, "--amount", o.Amount != ""},
		{ColumnCurrency, "--currency", o.Unit != ""},
		{ColumnCountry, "--country", o.Country != ""},
		{ColumnOperatorID, "--operator", o.OperatorID != 0},
	} {
		if _, has := h.Columns[flag.column]; has && flag.given {
			warn(flag.column, "flag_unused", fmt.Sprintf("%s is not used, for the file has this column", flag.name))
		}
	}
	if len(h.Unknown) > 0 {
		names := make([]string, 0, len(h.Unknown))
		for _, name := range h.Unknown[:min(len(h.Unknown), 10)] {
			names = append(names, quoted(name))
		}
		if more := len(h.Unknown) - len(names); more > 0 {
			names = append(names, fmt.Sprintf("%d more", more))
		}
		warn("", "unknown_columns", "these columns mean nothing here, they are only echoed in the results: "+strings.Join(names, ", "))
	}
	return problems
}

// again reports whether the cells of a row are the header's own names.
func (h *Header) again(cells []string) bool {
	for i, cell := range cells {
		if !strings.EqualFold(strings.Trim(cell, " \ufeff"), h.Names[i]) {
			return false
		}
	}
	return true
}

// cells picks the cells of Names out of a row of the file and takes the guards off. It
// works in place.
func (h *Header) cells(raw []string) []string {
	for i, from := range h.kept {
		raw[i] = Unguard(raw[from])
	}
	return slices.Clip(raw[:len(h.kept)])
}
