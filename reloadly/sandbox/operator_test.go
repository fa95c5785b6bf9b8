package sandbox

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// operatorCall serves one call of the operator routes and skips the authentication in front of them.
func operatorCall(t *testing.T, method, path, body string) (int, map[string]any, string) {
	t.Helper()
	s := &Simulator{cfg: Config{Now: time.Now}, catalogue: newCatalogue("USD")}
	handlers := map[string]http.HandlerFunc{
		"GET /operators": s.listOperators, "GET /operators/commissions": s.listCommissions,
		"GET /operators/{id}": s.getOperator, "GET /operators/{first}/{second}": s.operatorsOrCommission,
		"GET /operators/auto-detect/phone/{phone}/countries/{iso}": s.detectOperator,
		"POST /operators/fx-rate":                                  s.fxRate, "POST /operators/{id}/fx-rate": s.fxRate,
		"GET /countries": s.listCountries, "GET /countries/{iso}": s.getCountry,
		"GET /promotions": s.listPromotions, "GET /promotions/{id}": s.getPromotion,
		"GET /promotions/country-codes/{iso}": s.countryPromotions, "GET /promotions/operators/{id}": s.operatorPromotions,
	}
	mux := http.NewServeMux()
	for pattern, h := range handlers {
		mux.Handle(pattern, h)
	}
	rec := httptest.NewRecorder()
	mux.ServeHTTP(rec, httptest.NewRequest(method, path, strings.NewReader(body)))
	decoder := json.NewDecoder(strings.NewReader(rec.Body.String()))
	decoder.UseNumber()
	var object map[string]any
	_ = decoder.Decode(&object)
	return rec.Code, object, rec.Body.String()
}

func TestOperatorPaging(t *testing.T) {
	total := len(newCatalogue("USD").operators)
	for _, c := range []struct {
		query                string
		number, size, length int
		first, last          bool
	}{
		{"", 0, 200, 200, true, false},
		{"?page=0", 0, 200, 200, true, false},
		{"?page=1", 0, 200, 200, true, false},
		{"?page=2", 1, 200, 200, false, false},
		{"?page=3", 2, 200, total - 400, false, true},
		{"?page=9", 8, 200, 0, false, true},
		{"?page=2&size=7", 1, 7, 7, false, false},
		{"?size=1000", 0, 1000, total, true, true},
		{"?page=x&size=-1", 0, 200, 200, true, false},
	} {
		status, page, _ := operatorCall(t, "GET", "/operators"+c.query, "")
		if status != 200 {
			t.Fatalf("%s: %d", c.query, status)
		}
		got := fmt.Sprintln(page["number"], page["size"], page["numberOfElements"], len(page["content"].([]any)),
			page["first"], page["last"], page["empty"], page["totalElements"])
		want := fmt.Sprintln(c.number, c.size, c.length, c.length, c.first, c.last, c.length == 0, total)
		if got != want {
			t.Errorf("%q: %s, want %s", c.query, got, want)
		}
	}
}

func TestOperatorAnswers(t *testing.T) {
	for _, c := range []struct {
		method, path, body string
		status             int
		part               string
	}{
		{"GET", "/operators/174", "", 200, `"fx":{"currencyCode":"HTG","rate":131}`},
		{"GET", "/operators/640", "", 200, `"rate":505.427002`},
		{"GET", "/operators/99999", "", 503, `"errorCode":"OPERATOR_UNAVAILABLE_OR_CURRENTLY_INACTIVE"`},
		{"GET", "/operators/x", "", 400, `"errorCode":"INVALID_INPUT_PROVIDED"`},
		{"GET", "/operators/countries/HT", "", 200, `"Natcom Haiti"`},
		{"GET", "/operators/countries/XX", "", 409, `"errorCode":"COUNTRY_NOT_SUPPORTED"`},
		{"GET", "/operators/174/nonsense", "", 404, ""},
		{"GET", "/operators/auto-detect/phone/%2B22376123456/countries/ML", "", 200, `"id":289`},
		{"GET", "/operators/auto-detect/phone/076123456/countries/ML", "", 404, `"errorCode":"COULD_NOT_AUTO_DETECT_OPERATOR"`},
		{"GET", "/operators/auto-detect/phone/76120099/countries/ML", "", 500, `"errorCode":null`},
		{"POST", "/operators/fx-rate", `{"operatorId":"173","amount":4}`, 200, `"fxRate":485.84`},
		{"POST", "/operators/173/fx-rate", `{"amount":"4"}`, 200, `"fxRate":485.84`},
		{"POST", "/operators/173/fx-rate", `{"amount":0}`, 400, `"errorCode":"INVALID_AMOUNT"`},
		{"POST", "/operators/173/fx-rate", `{`, 400, `"errorCode":"JSON_SYNTAX_ERROR"`},
		{"GET", "/operators/commissions", "", 200, `"internationalPercentage":4.42`},
		{"GET", "/operators/88/commissions", "", 200, `"percentage":4.42`},
		{"GET", "/countries", "", 200, `"callingCodes":["+971"]`},
		{"GET", "/countries/ng", "", 200, `"Nigerian Naira"`},
		{"GET", "/countries/XX", "", 409, `"errorCode":"COUNTRY_NOT_SUPPORTED"`},
		{"GET", "/promotions", "", 200, `"operatorId":1100`},
		{"GET", "/promotions/11100", "", 200, `"operatorId":1100`},
		{"GET", "/promotions/1", "", 404, `"errorCode":"PROMOTION_NOT_FOUND"`},
		{"GET", "/promotions/country-codes/AE", "", 200, `"operatorId":1100`},
		{"GET", "/promotions/operators/1100", "", 200, `"promotionId":11100`},
		{"GET", "/promotions/operators/173", "", 200, `[]`},
	} {
		status, _, text := operatorCall(t, c.method, c.path, c.body)
		if status != c.status || !strings.Contains(text, c.part) {
			t.Errorf("%s %s: %d %.300s", c.method, c.path, status, text)
		}
	}
}

func TestOperatorFilters(t *testing.T) {
	for query, forbidden := range map[string]string{
		"includeBundles=false": `"bundle":true`, "includeData=false": `"data":true`,
		"includePin=false": `"pin":true`, "includeCombo=false": `"comboProduct":true`,
		"includeRange=false": `"RANGE"`, "includeFixed=false": `"FIXED"`,
	} {
		if _, _, text := operatorCall(t, "GET", "/operators?size=1000&"+query, ""); strings.Contains(text, forbidden) {
			t.Errorf("%s leaves %s", query, forbidden)
		}
		if _, _, text := operatorCall(t, "GET", "/operators?size=1000", ""); !strings.Contains(text, forbidden) {
			t.Errorf("without a filter there is no %s", forbidden)
		}
	}
	_, _, text := operatorCall(t, "GET", "/operators/173?suggestedAmounts=true&suggestedAmountsMap=true", "")
	if !strings.Contains(text, `"suggestedAmounts":[4,5,10,20,50]`) || !strings.Contains(text, `"4":485.84`) {
		t.Errorf("suggested amounts: %s", text)
	}
}
