package sandbox

import (
	"fmt"
	"net/url"
	"reflect"
	"testing"
	"time"
)

func TestReport(t *testing.T) {
	r := newRig(t, Config{})
	for i := range 3 {
		r.call("POST", "/topups", topup(fmt.Sprintf("Job-%d", i), fmt.Sprintf("050397182%d", i)))
		r.pass(time.Second)
	}
	for _, c := range []struct {
		query string
		total float64
		ids   []float64
	}{
		{"", 3, []float64{33469, 33470, 33471}},
		{"page=0&size=2", 3, []float64{33469, 33470}},
		{"page=2&size=2", 3, []float64{33471}},
		{"page=9", 3, nil},
		{"customIdentifier=JOB-1", 1, []float64{33470}},
		{"customIdentifier=job", 0, nil},
		{"startDate=" + url.QueryEscape("2022-06-06 10:57:49") + "&endDate=" + url.QueryEscape("2022-06-06 10:57:49"), 1, []float64{33470}},
		{"operatorId=1", 0, nil},
	} {
		_, body := r.call("GET", "/topups/reports/transactions?"+c.query, "")
		var ids []float64
		for _, x := range body["content"].([]any) {
			ids = append(ids, x.(map[string]any)["transactionId"].(float64))
		}
		if body["totalElements"] != c.total || !reflect.DeepEqual(ids, c.ids) {
			t.Errorf("%q: %v %v", c.query, body["totalElements"], ids)
		}
	}
	if _, body := r.call("GET", "/topups/reports/transactions?size=9999", ""); body["size"] != 500.0 {
		t.Errorf("size %v", body["size"])
	}
}

// With a delay the report is behind, while the status is known at once.
func TestReportDelay(t *testing.T) {
	r := newRig(t, Config{ReportDelay: time.Minute})
	r.call("POST", "/topups", topup("a", "0503971821"))
	for _, want := range []float64{0, 1} {
		if _, body := r.call("GET", "/topups/reports/transactions?customIdentifier=a", ""); body["totalElements"] != want {
			t.Errorf("%v found, want %v", body["totalElements"], want)
		}
		if _, body := r.call("GET", "/topups/33469/status", ""); body["status"] != statusSuccessful {
			t.Errorf("status %v", body)
		}
		r.pass(time.Minute)
	}
}
