package campaign

import "testing"

// Numbers and countries: what is agreed on, what contradicts, what can be read twice.
func TestReadPhone(t *testing.T) {
	for _, c := range []struct{ cell, country, want, national, of string }{
		// shared calling codes: the number has to be one of that country
		{"+442079460958", "GB", "+442079460958", "2079460958", "GB"},
		{"+447797712345", "JE", "+447797712345", "7797712345", "JE"},
		{"+447797712345", "GB", "phone_country", "", ""},
		{"+447781123456", "", "+447781123456", "7781123456", "GG"},
		{"+447624123456", "IM", "+447624123456", "7624123456", "IM"},
		{"+14165550123", "CA", "+14165550123", "4165550123", "CA"},
		{"+14165550123", "US", "phone_country", "", ""},
		{"+18095550123", "DO", "+18095550123", "8095550123", "DO"},
		{"+18765550123", "JM", "+18765550123", "8765550123", "JM"},
		{"+77011234567", "KZ", "+77011234567", "7011234567", "KZ"},
		{"+77011234567", "RU", "phone_country", "", ""},
		{"+79161234567", "RU", "+79161234567", "9161234567", "RU"},
		{"+262692123456", "RE", "+262692123456", "692123456", "RE"},
		{"+590690001234", "GP", "+590690001234", "690001234", "GP"},
		{"+590690001234", "BL", "+590690001234", "690001234", "BL"},
		{"+590690001234", "MF", "+590690001234", "690001234", "MF"},
		{"+390612345678", "VA", "phone_country", "", ""},
		// zeros that belong to the number are kept, and missed where a sheet took them
		{"+390612345678", "", "+390612345678", "0612345678", "IT"},
		{"0707123456", "CI", "+2250707123456", "0707123456", "CI"},
		{"707123456", "CI", "phone_length", "", ""},
		{"0195123456", "BJ", "+2290195123456", "0195123456", "BJ"},
		// without a plus
		{"2348031234567", "", "+2348031234567", "8031234567", "NG"},
		{"2348031234567", "GH", "phone_length", "", ""},
		{"08031234567", "", "phone_country_missing", "", ""},
		{"2025550123", "", "phone_country_missing", "", ""},
		{"971503971821", "AE", "+971503971821", "503971821", "AE"},
		{"0503971821", "AE", "+971503971821", "503971821", "AE"},
		{"50937123456", "HT", "+50937123456", "37123456", "HT"},
		{"278451433", "ZA", "phone_ambiguous", "", ""}, // 027 845 1433, or +27 8451433
		{"0278451433", "ZA", "+27278451433", "278451433", "ZA"},
		{"318005865", "NL", "phone_ambiguous", "", ""},
		{"65912345", "SG", "+6565912345", "65912345", "SG"},
		{"6591234567", "SG", "+6591234567", "91234567", "SG"},
		// of no country
		{"+870773111632", "", "phone_country_missing", "", ""},
		{"+80012345678", "", "phone_country_missing", "", ""},
		{"+2901234", "", "phone_country_missing", "", ""},
	} {
		p, f := readPhone(c.cell, c.country)
		got := p.e164
		if f != nil {
			got = f.code
		}
		if got != c.want || p.national != c.national || p.country != c.of || p.doubt != nil {
			t.Errorf("%s %s: %+v %v, want %s %s %s", c.cell, c.country, p, f, c.want, c.national, c.of)
		}
	}
}

func TestPossibleButNotValid(t *testing.T) {
	for _, c := range []struct{ cell, country string }{
		{"+2349999999999", "NG"}, {"+2349999999999", ""}, {"9999999999", "NG"}, {"2349999999999", "NG"}, {"+262639123456", "RE"}, {"+10005550123", "US"},
	} {
		text := "phone,amount,currency,country\n" + c.cell + ",10,local," + c.country + "\n"
		reading, rows := read(t, text, ReadOptions{})
		if len(rows) != 1 || reading.Warnings != 1 || reading.Errors != 0 || reading.Problems[0].Code != "phone_invalid" {
			t.Errorf("%v: %v %v", c, rows, reading.Problems)
		}
		reading, rows = read(t, text, ReadOptions{StrictPhones: true})
		if len(rows) != 0 || reading.Errors != 1 || reading.Problems[0].Code != "phone_invalid" {
			t.Errorf("strict %v: %v %v", c, rows, reading.Problems)
		}
	}
}
