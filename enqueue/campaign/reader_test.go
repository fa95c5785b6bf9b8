package campaign

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"go.uber.org/goleak"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"

	"example.com/topup/enqueue"
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

// told are the problems as code@line, with the column where there is one.
func told(reading *Reading) string {
	var list []string
	for _, p := range reading.Problems {
		list = append(list, strings.TrimSuffix(fmt.Sprintf("%s@%d:%s", p.Code, p.Line, p.Column), ":"))
	}
	return strings.Join(list, " ")
}

const small = "phone,amount,currency,note\n+2348031234567,10.50,local,Zoë\n+2348031234568,5,sender,\n"

func TestEncodings(t *testing.T) {
	encoded := func(e unicode.Endianness, text string) string {
		out, err := unicode.UTF16(e, unicode.UseBOM).NewEncoder().String(text)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	emoji := strings.ReplaceAll(small, "Zoë", "👩‍⚕️ 𝄞")
	for name, text := range map[string]string{
		"UTF-8":                      small,
		"UTF-8 with BOM":             "\ufeff" + small,
		"UTF-16 little endian":       encoded(unicode.LittleEndian, small),
		"UTF-16 big endian":          encoded(unicode.BigEndian, small),
		"surrogate pairs":            encoded(unicode.LittleEndian, emoji),
		"surrogate pairs in UTF-8":   emoji,
		"CRLF":                       strings.ReplaceAll(small, "\n", "\r\n"),
		"BOM and CRLF":               "\ufeff" + strings.ReplaceAll(small, "\n", "\r\n"),
		"doubled CR":                 strings.ReplaceAll(small, "\n", "\r\r\n"),
		"mixed line ends":            strings.Replace(small, "\n", "\r\n", 1),
		"no last newline":            strings.TrimSuffix(small, "\n"),
		"UTF-16, no last newline":    encoded(unicode.BigEndian, strings.TrimSuffix(small, "\n")),
		"semicolons":                 strings.ReplaceAll(small, ",", ";"),
		"tabs":                       strings.ReplaceAll(small, ",", "\t"),
		"bars":                       strings.ReplaceAll(small, ",", "|"),
		"UTF-16 with tabs, as Excel": encoded(unicode.LittleEndian, strings.ReplaceAll(strings.ReplaceAll(small, ",", "\t"), "\n", "\r\n")),
	} {
		for _, reader := range []func(io.Reader) io.Reader{
			func(r io.Reader) io.Reader { return r }, iotest.OneByteReader, iotest.DataErrReader, iotest.HalfReader,
		} {
			var rows []Row
			reading, err := Read(t.Context(), reader(strings.NewReader(text)), ReadOptions{}, func(r *Row) error {
				rows = append(rows, *r)
				return nil
			})
			if err != nil || len(rows) != 2 || reading.Rows != 2 || len(reading.Problems) != 0 || reading.Blank != 0 {
				t.Fatalf("%s: %v %+v", name, err, reading)
			}
			if rows[0].Line != 2 || rows[0].Phone != "+2348031234567" || rows[0].Amount.String() != "10.5" || rows[1].Line != 3 || rows[1].Unit != Sender {
				t.Errorf("%s: %+v", name, rows)
			}
			if note := rows[0].Cells[3]; strings.TrimSpace(note) != "Zoë" && note != "👩‍⚕️ 𝄞" {
				t.Errorf("%s: note %q", name, note)
			}
			if reading.SHA256 != sha256.Sum256([]byte(text)) || reading.Bytes != int64(len(text)) {
				t.Errorf("%s: hash or size", name)
			}
		}
	}
}

func TestUnreadable(t *testing.T) {
	latin, err := charmap.Windows1252.NewEncoder().String(small)
	if err != nil {
		t.Fatal(err)
	}
	at := strings.Index(latin, "\xEB")
	far := strings.Repeat("+2348031234567,10,local,x\n", 40_000)
	utf16le := func(text string) string {
		out, _ := unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewEncoder().String(text)
		return out
	}
	for name, c := range map[string]struct{ text, want string }{
		"Windows-1252":            {latin, fmt.Sprintf("byte %d is 0xEB, which is not UTF-8", at)},
		"Windows-1252 after BOM":  {"\ufeff" + latin, fmt.Sprintf("byte %d is 0xEB", at+3)},
		"far behind":              {small + far + "\xFF\n", fmt.Sprintf("byte %d is 0xFF", len(small+far))},
		"cut in a character":      {small + "+2348031234569,1,local,\xE2\x82", fmt.Sprintf("byte %d is 0xE2", len(small)+23)},
		"continuation alone":      {"phone\x80\n", "byte 5 is 0x80"},
		"overlong":                {"phone,\xC0\xAF\n", "byte 6 is 0xC0"},
		"surrogate in UTF-8":      {"phone,\xED\xA0\x80\n", "byte 6 is 0xED"},
		"UTF-16 without BOM":      {utf16le(small)[2:], "byte 1 is 0x00: this looks like UTF-16"},
		"UTF-16 BE without BOM":   {"\x00p\x00h\x00o", "byte 0 is 0x00: this looks like UTF-16"},
		"UTF-16 cut":              {utf16le(small)[:11], "byte 11 is missing"},
		"UTF-16 first half alone": {"\xFF\xFEp\x00\x3D\xD8\n\x00", "byte 6 is 0x000A"},
		"UTF-16 other half alone": {"\xFF\xFEp\x00\x00\xDC\n\x00", "byte 4 is 0xDC00"},
		"UTF-16 ends in a pair":   {"\xFE\xFF\x00p\xD8\x3D", "byte 6 is missing"},
		"UTF-32":                  {"\xFF\xFE\x00\x00p\x00\x00\x00", "byte 0 begins UTF-32"},
		"xlsx":                    {"PK\x03\x04\x14\x00", "byte 0 begins an Excel"},
		"xls":                     {"\xD0\xCF\x11\xE0\xA1\xB1", "byte 0 begins an old Excel"},
		"gzip":                    {"\x1F\x8B\x08\x00", "byte 0 begins a gzip"},
	} {
		for kind, reader := range map[string]func(io.Reader) io.Reader{
			"whole": func(r io.Reader) io.Reader { return r }, "one byte": iotest.OneByteReader, "half": iotest.HalfReader,
		} {
			_, err := Read(t.Context(), reader(strings.NewReader(c.text)), ReadOptions{}, func(*Row) error { return nil })
			if !errors.Is(err, ErrUnreadable) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s, %s: %v, want %s", name, kind, err, c.want)
			}
		}
	}
	broken := errors.New("input/output error")
	for _, before := range []string{"", small, small + far} {
		_, err = Read(t.Context(), io.MultiReader(strings.NewReader(before), iotest.ErrReader(broken)), ReadOptions{}, func(*Row) error { return nil })
		if !errors.Is(err, ErrUnreadable) || !errors.Is(err, broken) || !strings.Contains(err.Error(), fmt.Sprintf("after byte %d", len(before))) {
			t.Errorf("a disk that fails after %d bytes: %v", len(before), err)
		}
	}
}

// Lines are those of the file: quoted line breaks and blank lines count.
func TestLines(t *testing.T) {
	text := "\n\r\n phone ,amount,currency,\"no\nte\"\n" + // header on line 3, two lines long
		"\n" +
		"+2348031234567,10,local,\"one\ntwo\r\nthree\"\n" + // 6
		"bad,10,local,\n" + // 9
		",,,\n" + // 10
		" , ,,\n" +
		"+2348031234568,10,local,\"\n\"\n" + // 12
		"\n\n" +
		"+2348031234569,1,000,local,\n" + // 16
		"+2348031234569,1\n" +
		"\n\n"
	reading, rows := read(t, text, ReadOptions{})
	if got, want := told(reading), "phone_letters@9:phone field_count@16 field_count@17"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if len(rows) != 2 || rows[0].Line != 6 || rows[1].Line != 12 || rows[0].Cells[3] != "one\ntwo\nthree" {
		t.Errorf("%+v", rows)
	}
	if reading.Header.Line != 3 || reading.Header.Names[3] != "no\nte" || reading.Header.Columns["note"] != 3 {
		t.Errorf("%+v", reading.Header)
	}
	if reading.Blank != 7 || reading.Bad != 3 {
		t.Errorf("%d blank, %d bad", reading.Blank, reading.Bad)
	}
}

// The names by which a column may go are a promise to those who have such files.
func TestColumnNames(t *testing.T) {
	promised := 0
	for field, names := range map[string]string{
		ColumnPhone:      "phone phonenumber mobilenumber mobile msisdn number recipientphone recipient tel telephone",
		ColumnAmount:     "amount value productvalue topupamount",
		ColumnCurrency:   "currency islocal uselocalamount currencycode",
		ColumnCountry:    "country countrycode iso isoname",
		ColumnOperatorID: "operatorid operator productcode",
		ColumnExternalID: "externalid id reference referenceid partnerreferenceid customidentifier uid",
		ColumnNotBefore:  "notbefore scheduledat scheduleddatetime",
		ColumnNote:       "note description name organisation",
	} {
		for _, name := range strings.Fields(names) {
			promised++
			if aliases[name] != field {
				t.Errorf("%s is %q, want %q", name, aliases[name], field)
			}
		}
	}
	if len(aliases) != promised {
		t.Errorf("%d names are known and %d are promised", len(aliases), promised)
	}
}

func TestHeaders(t *testing.T) {
	for alias, field := range aliases {
		header := map[string]string{"phone": "phone", "amount": "amount", "currency": "currency"}
		cells := map[string]string{
			"phone": "+2348031234567", "amount": "10", "currency": "local", "country": "NG", "operator_id": "341",
			"external_id": "row-1", "not_before": "2026-12-01T09:00:00Z", "note": "x",
		}
		if strings.Contains(alias, "local") {
			cells["currency"] = "1"
		}
		header[field] = strings.ToUpper(alias[:1]) + " _-" + alias[1:] + "."
		var names, row []string
		for key, name := range header {
			names, row = append(names, name), append(row, cells[key])
		}
		reading, rows := read(t, strings.Join(names, ";")+"\n"+strings.Join(row, ";")+"\n", ReadOptions{})
		if len(rows) != 1 || len(reading.Problems) != 0 || rows[0].Unit != Local {
			t.Errorf("%s: %v %v", alias, rows, reading.Problems)
		}
		if place, ok := reading.Header.Columns[field]; !ok || reading.Header.Names[place] != header[field] {
			t.Errorf("%s: %+v", alias, reading.Header)
		}
	}
	const row = "\n+2348031234567,10,local,x,y\n"
	for header, want := range map[string]string{
		"phone,amount,currency,team,town":                                 "unknown_columns@1",
		"phone,amount,currency,,":                                         "unknown_columns@1",
		"phone,amount,currency,_line,_state":                              "",
		"phone,amount,currency,Mobile,note":                               "column_twice@1:phone",
		"phone,value,currency,note,amount":                                "column_twice@1:amount",
		"phone,amount,is_local,currency,note":                             "column_twice@1:currency",
		"phone,amount,currency,id,reference":                              "column_twice@1:external_id",
		"phone,number,amount,amount,currency":                             "column_twice@1:phone column_twice@1:amount",
		"who,amount,currency,a,b":                                         "column_missing@1:phone",
		"who,what,which,a,b":                                              "column_missing@1:phone column_missing@1:amount column_missing@1:currency",
		"who;what;which;a;b":                                              "column_missing@1:phone column_missing@1:amount column_missing@1:currency",
		"+2348031234568,10,local,a,b":                                     "column_missing@1:phone column_missing@1:amount column_missing@1:currency",
		"phone,amount,note,a,b":                                           "column_missing@1:currency",
		"phone,amount;currency;note,b":                                    "delimiter_unclear@1",
		"phone,amount,currency,a\x00,b":                                   "nul_byte@1",
		"phone,amount,currency,a\"b,c":                                    "quote@1",
		"phone,amount,currency,\"a,c":                                     "quote@1",
		"phone\ramount\rcurrency":                                         "line_endings@1",
		"phone,amount,currency\r+23,1,local":                              "line_endings@1",
		"phone,amount,currency,b," + strings.Repeat("x", MaxCellLength+1): "cell_too_long@1",
		"phone,amount,currency,b," + strings.Repeat("x", 70<<10):          "cell_too_long@1",
	} {
		reading, rows := read(t, header+row, ReadOptions{})
		if got := told(reading); got != want {
			t.Errorf("%.60q: got %s, want %s", header, got, want)
		}
		if good := want == "" || want == "unknown_columns@1"; good != (len(rows) == 1) || good == reading.Broken {
			t.Errorf("%.60q: %d rows, broken %t", header, len(rows), reading.Broken)
		}
	}
	for _, text := range []string{"", "\n\n", "\ufeff", ";;;\n,,\n", "  \n", "\"\"\n"} {
		if reading, _ := read(t, text, ReadOptions{}); told(reading) != "file_empty@1" || !reading.Broken {
			t.Errorf("%q: %s", text, told(reading))
		}
	}
	if reading, _ := read(t, "phone,amount,currency\n\n", ReadOptions{}); told(reading) != "no_rows@1" || reading.Broken || reading.Errors != 0 {
		t.Error(told(reading))
	}
	reading, _ := read(t, "phone,amount,currency,"+strings.Repeat("t,", 14)+"\n", ReadOptions{})
	if !strings.HasSuffix(reading.Problems[0].Message, "5 more") {
		t.Error(reading.Problems)
	}
}

// The delimiter comes from the header, also where others stand in its names or in quotes.
func TestDelimiters(t *testing.T) {
	for _, text := range []string{
		"phone;amount;currency;a,b,c,d\n+2348031234567;10;local;x,y\n",
		"phone,amount,currency,\"a;b;c;d\"\n+2348031234567,10,local,;;;\n",
		"\"phone\"\t\"amount\"\tcurrency\tteam|town\n+2348031234567\t10\tlocal\t\n",
		"phone|amount|currency|x y\n+2348031234567|10|local|\"|\"\n",
	} {
		reading, rows := read(t, text, ReadOptions{})
		if len(rows) != 1 || told(reading) != "unknown_columns@1" || len(rows[0].Cells) != 4 {
			t.Errorf("%q: %v %s", text, rows, told(reading))
		}
	}
	one, rows := read(t, "phone\n+2348031234567\n", ReadOptions{Amount: "10", Unit: "local"})
	if len(rows) != 1 || one.Errors != 0 {
		t.Error(told(one))
	}
}

func TestFlags(t *testing.T) {
	reading, rows := read(t, "phone\n08031234567\n+971503971821\n", ReadOptions{Country: "ng", Unit: "usd", Amount: " 7.50 ", OperatorID: 341})
	if told(reading) != "phone_country@3:phone" || len(rows) != 1 {
		t.Fatal(told(reading))
	}
	if r := rows[0]; r.Country != "NG" || r.Unit != "USD" || r.Amount.String() != "7.5" || r.OperatorID != 341 || r.Phone != "+2348031234567" {
		t.Errorf("%+v", r)
	}
	// A flag never fills an empty cell of a column that is there.
	reading, rows = read(t, "phone,amount,currency,country,operator\n08031234567,,,,\n+2348031234568,1,local,,\n",
		ReadOptions{Country: "NG", Unit: "local", Amount: "7", OperatorID: 341})
	if got, want := told(reading), "flag_unused@1:amount flag_unused@1:currency flag_unused@1:country flag_unused@1:operator_id "+
		"phone_country_missing@2:phone amount_empty@2:amount currency_empty@2:currency"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if len(rows) != 1 || rows[0].OperatorID != 0 || rows[0].Amount.String() != "1" {
		t.Errorf("%+v", rows)
	}
	for flag, o := range map[string]ReadOptions{
		"--country": {Country: "Nigeria"}, "--currency": {Unit: "money"}, "--amount": {Amount: "1,000"}, "--operator": {OperatorID: -1},
	} {
		_, err := Read(t.Context(), strings.NewReader(small), o, nil)
		if !errors.Is(err, enqueue.ErrInvalid) || !strings.HasPrefix(err.Error(), flag) {
			t.Errorf("%s: %v", flag, err)
		}
	}
}

func TestTwice(t *testing.T) {
	text := "phone,amount,currency,id,country\n" +
		"+2348031234567,1,local,A,\n" +
		"0803 123 4567,1,local,B,NG\n" + // the same number in another form
		"+2348031234568,x,local,C,\n" + // a bad row counts
		"+2348031234568,1,local,D,\n" +
		"+2348031234569,1,local,a,\n" + // the first id without case
		"+2348031234560,1,local,,\n" +
		"+2348031234560,1,local,E,\n" +
		"+2348031234561,1,local,F,\n" +
		"+2348031234561,1,local,,\n"
	also := func(r *Reading) string {
		var list []string
		for _, p := range r.Problems {
			if p.Also != 0 {
				if !strings.Contains(p.Message, fmt.Sprintf("line %d ", p.Also)) {
					t.Errorf("both lines should be named: %+v", p)
				}
				list = append(list, fmt.Sprintf("%s@%d/%d", p.Code, p.Line, p.Also))
			}
		}
		return strings.Join(list, " ")
	}
	reading, rows := read(t, text, ReadOptions{})
	if got, want := also(reading), "phone_twice@3/2 phone_twice@5/4 external_id_twice@6/2 phone_twice@8/7 phone_twice@10/9"; got != want || len(rows) != 3 {
		t.Errorf("got %s, want %s; %d rows", got, want, len(rows))
	}
	reading, rows = read(t, text, ReadOptions{AllowRepeatPhone: true})
	if got, want := also(reading), "external_id_twice@6/2 phone_twice@8/7 phone_twice@10/9"; got != want || len(rows) != 5 {
		t.Errorf("got %s, want %s; %d rows", got, want, len(rows))
	}
}

// All problems of a row are told, and a wrong country is no second problem of the phone.
func TestAllProblems(t *testing.T) {
	reading, _ := read(t, sheet(
		goodRow("phone", "x", "amount", "1,5", "currency", "", "country", "Nigeria", "operator_id", "MTN", "external_id", "a b", "not_before", "soon"),
		goodRow("phone", "0803", "country", "Nigeria", "external_id", "2"),
		goodRow("phone", "8031234568", "country", "N\x00G", "external_id", "3"),
	), ReadOptions{})
	want := "country_unknown@2:country phone_letters@2:phone amount_comma@2:amount currency_empty@2:currency operator_not_number@2:operator_id external_id_characters@2:external_id not_before_form@2:not_before " +
		"country_unknown@3:country nul_byte@4:country"
	if got := told(reading); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if text := reading.Problems[2].Text("may.csv"); !strings.HasPrefix(text, `may.csv:2:amount: amount_comma: "1,5" has a decimal comma (write 1.5)`) {
		t.Error(text)
	}
}

// After a quote that breaks the cells nothing more is read, and that is said.
func TestBrokenQuotes(t *testing.T) {
	good := "+2348031234567,10,local,x\n"
	for text, want := range map[string]string{
		good + "+2348031234568,10,local,5\" pipe\n" + good:          "quote@3",
		good + "+2348031234568,10,local,\"a\" b\n" + good:           "quote@3",
		good + "+2348031234568,10,local,\"never closed\n" + good:    "quote@3",
		good + " \"+2348031234568\",10,local,\n" + good:             "quote@3",
		good + "x,10,local,\nx,10,local,\"\na\"b\n":                 "phone_letters@3:phone quote@4",
		good + strings.Repeat("+2348031234568,10,local,\"a\" b", 1): "quote@3",
	} {
		reading, rows := read(t, "phone,amount,currency,note\n"+text, ReadOptions{})
		if got := told(reading); got != want || !reading.Broken || len(rows) != 1 || reading.Bytes != 0 {
			t.Errorf("%q: got %s, want %s", text, got, want)
		}
		if last := reading.Problems[len(reading.Problems)-1]; !strings.Contains(last.Message, "nothing from here on was checked") {
			t.Error(last)
		}
	}
	endless := io.MultiReader(strings.NewReader("phone,amount,currency\n"+"+2348031234567,10,local\n\""), &generated{n: 600_000})
	reading, err := Read(t.Context(), endless, ReadOptions{}, func(*Row) error { return nil })
	if err != nil || told(reading) != "quote@3" || reading.Rows != 1 {
		t.Error(err, told(reading), reading.Rows)
	}
}

func TestLimits(t *testing.T) {
	text := small + "\n\n" + "+2348031234569,1,local,\n"
	for _, c := range []struct {
		o    ReadOptions
		want string
		rows int
	}{
		{ReadOptions{MaxRows: 3}, "", 3},
		{ReadOptions{MaxRows: 2}, "too_many_rows@6", 2},
		{ReadOptions{MaxBytes: int64(len(text))}, "", 3},
		{ReadOptions{MaxBytes: int64(len(text)) - 1}, "too_large@1", 0},
	} {
		reading, rows := read(t, text, c.o)
		if told(reading) != c.want || len(rows) != c.rows || reading.Broken != (c.want != "") {
			t.Errorf("%+v: %s, %d rows", c.o, told(reading), len(rows))
		}
	}
	reading, err := Read(t.Context(), &generated{n: 10_000}, ReadOptions{MaxBytes: 300_000}, func(*Row) error { return nil })
	if err != nil || !reading.Broken || !strings.HasPrefix(told(reading), "too_large@") || reading.Rows == 0 {
		t.Error(err, told(reading))
	}
}

func TestThreeDecimals(t *testing.T) {
	text := "phone,amount,currency\n+2348031234567,0.125,local\n+2348031234568,1.500,local\n+2348031234569,2.000,local\n"
	reading, rows := read(t, text, ReadOptions{})
	if told(reading) != "amount_three_decimals@3:amount" || len(rows) != 3 || rows[1].Amount.String() != "1.5" || reading.Errors != 0 || reading.Warnings != 1 {
		t.Error(told(reading), rows)
	}
}

// A results file loads again: its own columns are no input and its guards come off.
func TestResultsFile(t *testing.T) {
	text := "_line,phone,amount,currency,'=team,note,_state,_reason\n" +
		"2,'+2348031234567,10,local,'@home,'=SUM(A1),succeeded,\n" +
		"3,'+2348031234568,5,sender,''+1,'tis,failed,'=x\x00\n"
	reading, rows := read(t, text, ReadOptions{})
	if told(reading) != "unknown_columns@1" || len(rows) != 2 {
		t.Fatal(told(reading))
	}
	if !slices.Equal(reading.Header.Names, []string{"phone", "amount", "currency", "=team", "note"}) || !slices.Equal(reading.Header.Unknown, []string{"=team"}) {
		t.Errorf("%+v", reading.Header)
	}
	if !slices.Equal(rows[0].Cells, []string{"+2348031234567", "10", "local", "@home", "=SUM(A1)"}) {
		t.Errorf("%q", rows[0].Cells)
	}
	if !slices.Equal(rows[1].Cells, []string{"+2348031234568", "5", "sender", "'+1", "'tis"}) {
		t.Errorf("%q", rows[1].Cells)
	}
}

// Callbacks: order, rejected rows, streaming problems, errors that end the reading.
func TestCallbacks(t *testing.T) {
	defer goleak.VerifyNone(t)
	const n = 20_000
	var text bytes.Buffer
	fmt.Fprintln(&text, "phone,amount,currency,_x")
	for i := range n {
		amount := "1"
		if i%7 == 0 {
			amount = "one"
		}
		fmt.Fprintf(&text, "+23480%08d,%s,local,\n", i, amount)
	}
	last, bad, problems := 1, 0, 0
	o := ReadOptions{
		Problem: func(p Problem) {
			problems++
			if p.Line <= last {
				t.Errorf("line %d after %d", p.Line, last)
			}
		},
		Rejected: func(r Rejected) error {
			bad++
			if r.Line <= last || len(r.Cells) != 3 || r.Cells[1] != "one" || len(r.Problems) != 1 {
				t.Errorf("%+v after line %d", r, last)
			}
			last = r.Line
			return nil
		},
	}
	take := func(r *Row) error {
		if r.Line <= last {
			t.Errorf("line %d after %d", r.Line, last)
		}
		last = r.Line
		return nil
	}
	reading, err := Read(t.Context(), bytes.NewReader(text.Bytes()), o, take)
	if err != nil || reading.Rows+reading.Bad != n || reading.Bad != bad || problems != bad || reading.Errors != bad || len(reading.Problems) != 0 || last != n+1 {
		t.Errorf("%v %+v", err, reading)
	}

	stop := errors.New("stop")
	rows := 0
	_, err = Read(t.Context(), bytes.NewReader(text.Bytes()), ReadOptions{}, func(*Row) error {
		if rows++; rows == 10 {
			return stop
		}
		return nil
	})
	if !errors.Is(err, stop) || rows != 10 {
		t.Errorf("%v after %d rows", err, rows)
	}
	_, err = Read(t.Context(), bytes.NewReader(text.Bytes()), ReadOptions{Rejected: func(Rejected) error { return stop }}, func(*Row) error { return nil })
	if !errors.Is(err, stop) {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	_, err = Read(ctx, bytes.NewReader(text.Bytes()), ReadOptions{}, func(*Row) error { cancel(); return nil })
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// Columns get swapped and messages end in logs: none shows a whole number.
func TestMessagesHideNumbers(t *testing.T) {
	reading, _ := read(t, sheet(
		goodRow("amount", "+234 803 123 4567", "currency", "2348031234567", "country", "+2348031234567", "operator_id", "+2348031234567", "external_id", "+2348031234567", "not_before", "+2348031234567"),
		goodRow("external_id", strings.Repeat("+2348031234567 ", 9)),
	), ReadOptions{})
	if reading.Errors != 7 {
		t.Errorf("%d problems: %s", reading.Errors, told(reading))
	}
	for _, p := range reading.Problems {
		if plain := strings.ReplaceAll(p.Message, " ", ""); strings.Contains(plain, "8031234567") {
			t.Error(p.Message)
		}
	}
}
