package sandbox

import (
	"encoding/json"
	"reflect"
	"testing"
)

func TestCatalogue(t *testing.T) {
	list := newCatalogue("USD")
	if n := len(list.operators); n < 400 || n > 450 {
		t.Errorf("%d operators", n)
	}
	if !reflect.DeepEqual(list, newCatalogue("USD")) {
		t.Error("two catalogues differ")
	}
	seen := map[int64]bool{}
	for _, op := range list.operators {
		if seen[op.ID] || countryOf(op.Country) == nil {
			t.Errorf("operator %d twice or nowhere", op.ID)
		}
		seen[op.ID] = true
		if _, err := json.Marshal(op.view(true, true)); err != nil {
			t.Errorf("operator %d: %v", op.ID, err)
		}
	}
	if list.byID(9) != nil {
		t.Error("operator 9 exists")
	}
	ngn := newCatalogue("NGN").byID(289)
	if ngn.Min != mustMoney("2125.5") || ngn.LocalMin != mustMoney("1967") {
		t.Errorf("bounds in NGN: %v, %v", ngn.Min, ngn.LocalMin)
	}
}

func TestDetect(t *testing.T) {
	list := newCatalogue("NGN")
	for _, c := range []struct {
		iso, digits string
		id          int64
	}{
		{"AE", "971503971821", 1100},
		{"AE", "0503971821", 1100},
		{"ML", "22376123456", 289},
		{"HT", "50937123456", 173},
		{"HT", "50932123456", 174},
		{"NG", "2348031234567", 341},
		{"NE", "22796123456", 640},
		{"CO", "573001234567", 88},
		{"PE", "51987654321", 943},
		{"TH", "66812345678", 729},
		{"EG", "201012345678", 120},
	} {
		if op := list.detect(c.iso, c.digits); op == nil || op.ID != c.id {
			t.Errorf("detect(%s, %s) = %+v, want %d", c.iso, c.digits, op, c.id)
		}
	}
	if op := list.detect("KE", "254712345678"); op == nil || op.Country != "KE" {
		t.Errorf("Kenya: %+v", op)
	}
	if op := list.detect("ML", "12"); op != nil {
		t.Errorf("a short number: %+v", op)
	}
}
