package campaign

import (
	"encoding/csv"
	"slices"
	"strings"
	"testing"
)

var canonical = []string{ColumnPhone, ColumnAmount, ColumnCurrency, ColumnCountry, ColumnOperatorID, ColumnExternalID, ColumnNotBefore, ColumnNote}

// sheet is a file of the canonical columns.
func sheet(rows ...[]string) string {
	var text strings.Builder
	w := csv.NewWriter(&text)
	_ = w.Write(canonical)
	_ = w.WriteAll(rows)
	return text.String()
}

// goodRow is a row in which cells are replaced: column, cell, column, cell…
func goodRow(replaced ...string) []string {
	row := []string{"+2348031234567", "10.50", "local", "NG", "341", "row-1", "2026-12-01T09:00:00+01:00", "Ward 7"}
	for i := 0; i < len(replaced); i += 2 {
		row[slices.Index(canonical, replaced[i])] = replaced[i+1]
	}
	return row
}

// TestDamage is every kind of damage that spreadsheets do, and what stands close to it
// and is none: an empty code is a good row.
func TestDamage(t *testing.T) {
	long := strings.Repeat("x", 1_000_000)
	for _, c := range []struct{ column, cell, code string }{
		// numbers as people write them
		{"phone", "+2348031234567", ""},
		{"phone", " +234 803 123 4567 ", ""},
		{"phone", "+234-803-123-4567", ""},
		{"phone", "+234 (0) 803 123 4567", ""},
		{"phone", "(+234) 803 1234567", ""},
		{"phone", "002348031234567", ""},
		{"phone", "00 234 803 123 4567", ""},
		{"phone", "2348031234567", ""},
		{"phone", "08031234567", ""},
		{"phone", "8031234567", ""}, // the sheet took the zero, and NG has no other number of these digits
		{"phone", "0803\u00a0123\u202f4567", ""},
		{"phone", "'+2348031234567", ""}, // guarded by a results file
		// numbers that a spreadsheet or a person damaged
		{"phone", "", "phone_empty"},
		{"phone", "   ", "phone_empty"},
		{"phone", "2.34801E+12", "phone_exponent"},
		{"phone", "2,34801E+12", "phone_exponent"},
		{"phone", "234801E7", "phone_exponent"},
		{"phone", "2e12", "phone_exponent"},
		{"phone", "2348031234567.0", "phone_decimal"},
		{"phone", "2348031234567,0", "phone_decimal"},
		{"phone", "0803.123.4567", "phone_decimal"},
		{"phone", "############", "phone_sheet_error"},
		{"phone", "#N/A", "phone_sheet_error"},
		{"phone", "#REF!", "phone_sheet_error"},
		{"phone", "+2348031234567 ext 12", "phone_extension"},
		{"phone", "+2348031234567x12", "phone_extension"},
		{"phone", "+2348031234567;ext=12", "phone_extension"},
		{"phone", "+2348031234567#12", "phone_extension"},
		{"phone", "tel:+2348031234567", "phone_letters"},
		{"phone", "+23480312345O7", "phone_letters"},
		{"phone", "0803CALLNOW", "phone_letters"},
		{"phone", "unknown", "phone_letters"},
		{"phone", "NULL", "phone_letters"},
		{"phone", "+2348031234567 / +2348031234568", "phone_several"},
		{"phone", "+2348031234567;+2348031234568", "phone_several"},
		{"phone", "+2348031234567\n+2348031234568", "phone_several"},
		{"phone", "080312345670803123456708031", "phone_length"},
		{"phone", "++2348031234567", "phone_sign"},
		{"phone", "234+8031234567", "phone_sign"},
		{"phone", "-2348031234567", "phone_sign"},
		{"phone", "'08031234567", "phone_characters"},
		{"phone", "\u202a+2348031234567\u202c", "phone_characters"},
		{"phone", "+234803\u200b1234567", "phone_characters"},
		{"phone", "0803–123–4567", "phone_characters"},
		{"phone", "*123*08031234567", "phone_characters"},
		{"phone", "()", "phone_characters"},
		{"phone", "٠٨٠٣١٢٣٤٥٦٧", "phone_digits"},
		{"phone", "＋2348031234567", "phone_characters"},
		{"phone", "+０８０３", "phone_digits"},
		{"phone", "+234803123", "phone_length"},
		{"phone", "0803", "phone_length"},
		{"phone", "7", "phone_length"},
		{"phone", "+2348031234567123456", "phone_length"},
		{"phone", "+08031234567", "phone_code"},
		{"phone", "+2104567890", "phone_code"},
		{"phone", "+12025550123", "phone_country"},
		{"phone", "+233201234567", "phone_country"},
		{"phone", "=HYPERLINK(1)", "phone_characters"},
		// amounts
		{"amount", "10", ""},
		{"amount", "0.00001", ""},
		{"amount", " 7.50 ", ""},
		{"amount", "007", ""},
		{"amount", "999999999999", ""},
		{"amount", "", "amount_empty"},
		{"amount", "\u00a0", "amount_empty"},
		{"amount", "10,50", "amount_comma"},
		{"amount", "1,000", "amount_comma"},
		{"amount", "10,5", "amount_comma"},
		{"amount", "1,2,3", "amount_comma"},
		{"amount", "1,000.50", "amount_grouping"},
		{"amount", "1,000,000", "amount_grouping"},
		{"amount", "1,00,000", "amount_grouping"},
		{"amount", "1.000,50", "amount_grouping"},
		{"amount", "1.000.000", "amount_grouping"},
		{"amount", "1 000", "amount_grouping"},
		{"amount", "1\u202f000.50", "amount_grouping"},
		{"amount", "1'000", "amount_grouping"},
		{"amount", "1_000", "amount_grouping"},
		{"amount", "1E3", "amount_exponent"},
		{"amount", "1.5e+2", "amount_exponent"},
		{"amount", "1O.00", "amount_letter"},
		{"amount", "l0", "amount_letter"},
		{"amount", "$10", "amount_currency"},
		{"amount", "10 €", "amount_currency"},
		{"amount", "₦500", "amount_currency"},
		{"amount", "NGN 500", "amount_currency"},
		{"amount", "500ngn", "amount_currency"},
		{"amount", "١٠", "amount_digits"},
		{"amount", "１０", "amount_digits"},
		{"amount", "NaN", "amount_not_number"},
		{"amount", "Inf", "amount_not_number"},
		{"amount", "-Infinity", "amount_negative"},
		{"amount", "ten", "amount_not_number"},
		{"amount", "TRUE", "amount_not_number"},
		{"amount", "10-May", "amount_not_number"},
		{"amount", "2026-05-10", "amount_not_number"},
		{"amount", "1/2", "amount_not_number"},
		{"amount", "0x10", "amount_not_number"},
		{"amount", "10%", "amount_not_number"},
		{"amount", ".5", "amount_not_number"},
		{"amount", "5.", "amount_not_number"},
		{"amount", "1.2.3", "amount_not_number"},
		{"amount", "10\n20", "amount_not_number"},
		{"amount", "0", "amount_zero"},
		{"amount", "0.00", "amount_zero"},
		{"amount", "-10", "amount_negative"},
		{"amount", "'-10", "amount_negative"},
		{"amount", "−10", "amount_negative"},
		{"amount", "10-", "amount_negative"},
		{"amount", "(10.00)", "amount_negative"},
		{"amount", "+10", "amount_sign"},
		{"amount", "=5*2", "amount_formula"},
		{"amount", "#VALUE!", "amount_sheet_error"},
		{"amount", "#DIV/0!", "amount_sheet_error"},
		{"amount", "#####", "amount_sheet_error"},
		{"amount", "1.000001", "amount_decimals"},
		{"amount", "1.0000000000", ""},
		{"amount", "1000000000000", "amount_too_large"},
		{"amount", "+2348031234567", "amount_sign"}, // columns swapped
		// currencies
		{"currency", "LOCAL", ""},
		{"currency", "sender", ""},
		{"currency", "ngn", ""},
		{"currency", "", "currency_empty"},
		{"currency", "true", "currency_unknown"},
		{"currency", "₦", "currency_unknown"},
		{"currency", "XYZ", "currency_unknown"},
		{"currency", "dollars", "currency_unknown"},
		{"currency", "loca1", "currency_unknown"},
		// countries
		{"country", "ng", ""},
		{"country", "", ""},
		{"country", "Nigeria", "country_unknown"},
		{"country", "NGA", "country_unknown"},
		{"country", "234", "country_unknown"},
		{"country", "+234", "country_unknown"},
		{"country", "UK", "country_unknown"},
		{"country", "ZZ", "country_unknown"},
		{"country", "001", "country_unknown"},
		{"country", "GH", "phone_country"},
		// operators
		{"operator_id", "", ""},
		{"operator_id", "0341", ""},
		{"operator_id", "341.0", "operator_not_number"},
		{"operator_id", "MTN", "operator_not_number"},
		{"operator_id", "0", "operator_not_number"},
		{"operator_id", "-341", "operator_not_number"},
		{"operator_id", "+341", "operator_not_number"},
		{"operator_id", "3.41E+02", "operator_not_number"},
		{"operator_id", "99999999999999999999", "operator_not_number"},
		// ids
		{"external_id", "", ""},
		{"external_id", strings.Repeat("a", 64), ""},
		{"external_id", strings.Repeat("a", 65), "external_id_long"},
		{"external_id", "A.b_c:d-9", ""},
		{"external_id", "row 1", "external_id_characters"},
		{"external_id", "1.23457E+11", "external_id_characters"},
		{"external_id", "#N/A", "external_id_characters"},
		{"external_id", "réf", "external_id_characters"},
		{"external_id", "a~2", "external_id_characters"},
		// times
		{"not_before", "", ""},
		{"not_before", "2026-12-01T09:00:00Z", ""},
		{"not_before", "2026-12-01T09:00:00.5-05:30", ""},
		{"not_before", "2026-12-01T09:00:00", "not_before_offset"},
		{"not_before", "2026-12-01 09:00:00+01:00", "not_before_form"},
		{"not_before", "2026-12-01", "not_before_form"},
		{"not_before", "01/12/2026 09:00", "not_before_form"},
		{"not_before", "46357.375", "not_before_form"},
		{"not_before", "2026-02-30T09:00:00Z", "not_before_form"},
		{"not_before", "1900-01-00T09:00:00Z", "not_before_form"},
		{"not_before", "1999-12-31T09:00:00Z", "not_before_year"},
		{"not_before", "2201-01-01T09:00:00Z", "not_before_year"},
		// any cell
		{"note", "a, \"quoted\"\nnote; with | tab\t", ""},
		{"note", "=1+1", ""},
		{"note", strings.Repeat("é", MaxCellLength), ""},
		{"note", strings.Repeat("é", MaxCellLength+1), "cell_too_long"},
		{"note", long, "cell_too_long"},
		{"phone", long, "cell_too_long"},
		{"amount", strings.Repeat("9", 1_000_000), "cell_too_long"},
		{"country", long, "cell_too_long"},
		{"note", "a\x00b", "nul_byte"},
		{"phone", "+2348031234567\x00", "nul_byte"},
		{"amount", "1\x000", "nul_byte"},
	} {
		name := c.column + "=" + c.cell[:min(len(c.cell), 40)]
		t.Run(name, func(t *testing.T) {
			// The row after the damaged one shows that its line is the next and that it is read.
			text := sheet(goodRow(c.column, c.cell), goodRow("phone", "+2348031234560", "external_id", "row-2"))
			reading, rows := read(t, text, ReadOptions{})
			if c.code == "" {
				if reading.Rows != 2 || len(reading.Problems) != 0 {
					t.Fatalf("%d rows, %v", reading.Rows, reading.Problems)
				}
				return
			}
			column := c.column
			if c.code == "phone_country" {
				column = "phone" // the country is a good one, it does not fit
			}
			want := Problem{Line: 2, Column: column, Code: c.code}
			if reading.Bad != 1 || reading.Rows != 1 || len(rows) != 1 || rows[0].ExternalID != "row-2" || reading.Broken {
				t.Fatalf("%d good, %d bad, %v", reading.Rows, reading.Bad, reading.Problems)
			}
			if len(reading.Problems) != 1 {
				t.Fatalf("not one problem: %v", reading.Problems)
			}
			got := reading.Problems[0]
			message := got.Message
			got.Message = ""
			if got != want {
				t.Errorf("got %+v (%s), want %+v", got, message, want)
			}
			if len(message) < 20 || len(message) > 300 || !strings.Contains(message, "(") {
				t.Errorf("a message that does not say what to do: %q", message)
			}
			if strings.Contains(message, "2348031234567") || strings.Contains(message, "8031234567") {
				t.Errorf("a whole number in a message: %q", message)
			}
		})
	}
}

// The hints say what to write, and both where there are two readings.
func TestAmountHints(t *testing.T) {
	for cell, want := range map[string]string{
		"10,50":     "write 10.50",
		"1,000":     "write 1000 if it groups thousands, 1.000 if it is a decimal comma",
		"1,000.50":  "write 1000.50",
		"1.000,50":  "write 1000.50",
		"1,000,000": "write 1000000",
		"1O.00":     "letter O",
	} {
		if _, f := readAmount(cell); f == nil || !strings.Contains(f.message, want) {
			t.Errorf("%s: %v, want %q", cell, f, want)
		}
	}
}

func TestBooleanUnit(t *testing.T) {
	for _, name := range []string{"isLocal", "is_local", "useLocalAmount", "Use Local Amount"} {
		for cell, want := range map[string]string{
			"1": "local", "TRUE": "local", "yes": "local", "Y": "local",
			"0": "sender", "false": "sender", "No": "sender", "n": "sender",
			"local": "currency_boolean", "2": "currency_boolean", "NGN": "currency_boolean", "": "currency_empty",
		} {
			reading, rows := read(t, "phone,amount,"+name+"\n+2348031234567,10,"+cell+"\n", ReadOptions{})
			switch {
			case len(rows) == 1 && string(rows[0].Unit) == want:
			case len(rows) == 0 && len(reading.Problems) == 1 && reading.Problems[0].Code == want && reading.Problems[0].Column == "currency":
			default:
				t.Errorf("%s %q: %v %v, want %s", name, cell, rows, reading.Problems, want)
			}
		}
	}
}
