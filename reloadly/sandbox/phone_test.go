package sandbox

import "testing"

func TestInternationalNumber(t *testing.T) {
	for _, c := range []struct{ iso, number, want string }{
		{"AE", "0503971821", "971503971821"},
		{"AE", "503971821", "971503971821"},
		{"AE", "+971 50 397-1821", "971503971821"},
		{"AE", "971503971821", "971503971821"},
		{"AE", "00971503971821", "971503971821"},
		{"ae", "+9710503971821", "971503971821"},
		{"CA", "11231231231", "11231231231"},
		{"CA", "1231231231", "11231231231"},
		{"ML", "76123456", "22376123456"},
		{"ML", "+22376123456", "22376123456"},
		{"ML", "076123456", ""},
		{"ML", "07612345", ""},
		{"ML", "0022376123456", ""},
		{"CI", "0701020304", "2250701020304"},
		{"AE", "05039718x1", ""},
		{"AE", "", ""},
		{"AE", "12", ""},
		{"AE", "+1503971821", ""},
		{"XX", "503971821", ""},
		{"AE", "+", ""},
	} {
		digits, national, ok := internationalNumber(c.iso, c.number)
		if ok != (c.want != "") || digits != c.want {
			t.Errorf("%s %q = %q, %q, %v, want %q", c.iso, c.number, digits, national, ok, c.want)
		}
	}
	if _, national, _ := internationalNumber("AE", "0503971821"); national != "503971821" {
		t.Errorf("national: %q", national)
	}
}
