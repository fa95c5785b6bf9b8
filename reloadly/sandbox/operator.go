package sandbox

import (
	"encoding/json"
	"math/big"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

const (
	defaultPageSize = 200
	// detectFails ends the numbers whose detection is answered with 500 and no code.
	detectFails = "0099"
)

// operatorRoutes adds everything about operators, countries, discounts and promotions.
func (s *Simulator) operatorRoutes() {
	for pattern, handler := range map[string]http.HandlerFunc{
		"GET /operators":                                           s.listOperators,
		"GET /operators/commissions":                               s.listCommissions,
		"GET /operators/{id}":                                      s.getOperator,
		"GET /operators/{first}/{second}":                          s.operatorsOrCommission,
		"GET /operators/auto-detect/phone/{phone}/countries/{iso}": s.detectOperator,
		"GET /operators/mnp-lookup/phone/{phone}/countries/{iso}":  s.detectOperator,
		"POST /operators/fx-rate":                                  s.fxRate,
		"POST /operators/{id}/fx-rate":                             s.fxRate,
		"GET /countries":                                           s.listCountries,
		"GET /countries/{iso}":                                     s.getCountry,
		"GET /promotions":                                          s.listPromotions,
		"GET /promotions/{id}":                                     s.getPromotion,
		"GET /promotions/country-codes/{iso}":                      s.countryPromotions,
		"GET /promotions/operators/{id}":                           s.operatorPromotions,
	} {
		s.read(pattern, handler)
	}
}

// included reads a boolean filter; what is not given is the fallback.
func included(query url.Values, name string, fallback bool) bool {
	if value, err := strconv.ParseBool(query.Get(name)); err == nil {
		return value
	}
	return fallback
}

func (op *operator) passes(query url.Values) bool {
	return (!op.Bundle || included(query, "includeBundles", true)) &&
		(!op.Data || included(query, "includeData", true)) &&
		(!op.Pin || included(query, "includePin", true)) &&
		(!op.Combo || included(query, "includeCombo", true)) &&
		(op.Fixed || included(query, "includeRange", true)) &&
		(!op.Fixed || included(query, "includeFixed", true))
}

func (op *operator) viewFor(r *http.Request) map[string]any {
	query := r.URL.Query()
	return op.view(included(query, "suggestedAmounts", false), included(query, "suggestedAmountsMap", false))
}

// views is the operators that pass the filters, of one country or, with "", of all.
func (s *Simulator) views(r *http.Request, iso string) []map[string]any {
	query, list := r.URL.Query(), []map[string]any{}
	for _, op := range s.catalogue.operators {
		if (iso == "" || strings.EqualFold(op.Country, iso)) && op.passes(query) {
			list = append(list, op.viewFor(r))
		}
	}
	return list
}

func (s *Simulator) listOperators(w http.ResponseWriter, r *http.Request) {
	page, size := pageWindow(r, defaultPageSize)
	writeBody(w, http.StatusOK, springPage(s.views(r, ""), page, size))
}

// operatorsOrCommission tells /operators/countries/{iso} from /operators/{id}/commissions, which the
// mux cannot hold side by side.
func (s *Simulator) operatorsOrCommission(w http.ResponseWriter, r *http.Request) {
	first, second := r.PathValue("first"), r.PathValue("second")
	switch {
	case first == "countries" && countryOf(second) == nil:
		s.unsupportedCountry(w, r)
	case first == "countries":
		writeBody(w, http.StatusOK, s.views(r, second))
	case second == "commissions":
		if op := s.operatorOr503(w, r, first); op != nil {
			writeBody(w, http.StatusOK, op.commissionView())
		}
	default:
		http.NotFound(w, r)
	}
}

func (s *Simulator) getOperator(w http.ResponseWriter, r *http.Request) {
	if op := s.operatorOr503(w, r, r.PathValue("id")); op != nil {
		writeBody(w, http.StatusOK, op.viewFor(r))
	}
}

// operatorOr503 answers for an unknown operator as Reloadly does.
func (s *Simulator) operatorOr503(w http.ResponseWriter, r *http.Request, text string) *operator {
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		s.refuseFault(w, r, refuseWith(http.StatusBadRequest, "INVALID_INPUT_PROVIDED", "Invalid operator id"))
		return nil
	}
	op := s.catalogue.byID(id)
	if op == nil {
		s.refuseFault(w, r, refuseWith(http.StatusServiceUnavailable, codeUnavailable, msgUnavailable))
	}
	return op
}

func (s *Simulator) unsupportedCountry(w http.ResponseWriter, r *http.Request) {
	s.refuseFault(w, r, faultNamed("country-not-supported"))
}

func (s *Simulator) detectOperator(w http.ResponseWriter, r *http.Request) {
	iso, phone := r.PathValue("iso"), r.PathValue("phone")
	if countryOf(iso) == nil {
		s.unsupportedCountry(w, r)
		return
	}
	if strings.HasSuffix(phone, detectFails) {
		s.refuse(w, r, http.StatusInternalServerError, "", "Something went wrong")
		return
	}
	op := s.catalogue.detect(iso, phone)
	if op == nil {
		s.refuseFault(w, r, faultNamed("could-not-auto-detect-operator"))
		return
	}
	writeBody(w, http.StatusOK, op.viewFor(r))
}

// unquote lets a number come as a string too.
func unquote(raw json.RawMessage) string { return strings.Trim(string(raw), `"`) }

// fxRate answers with the whole converted amount.
func (s *Simulator) fxRate(w http.ResponseWriter, r *http.Request) {
	var order struct {
		OperatorID json.RawMessage `json:"operatorId"`
		Amount     json.RawMessage `json:"amount"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16)).Decode(&order); err != nil {
		s.refuseFault(w, r, faultNamed("json-syntax-error"))
		return
	}
	id := r.PathValue("id")
	if id == "" {
		id = unquote(order.OperatorID)
	}
	op := s.operatorOr503(w, r, id)
	if op == nil {
		return
	}
	amount, err := parseMoney(unquote(order.Amount))
	if err != nil || amount <= 0 {
		s.refuseFault(w, r, faultNamed("invalid-amount"))
		return
	}
	writeBody(w, http.StatusOK, map[string]any{
		"id": op.ID, "name": op.Name, "currencyCode": op.Currency,
		"fxRate": round5(new(big.Rat).Mul(amount.rat(), op.Rate)),
	})
}

func (s *Simulator) listCommissions(w http.ResponseWriter, r *http.Request) {
	page, size := pageWindow(r, defaultPageSize)
	list := []map[string]any{}
	for _, op := range s.catalogue.operators {
		list = append(list, op.commissionView())
	}
	writeBody(w, http.StatusOK, springPage(list, page, size))
}

func (s *Simulator) listCountries(w http.ResponseWriter, _ *http.Request) {
	list := []map[string]any{}
	for i := range countries {
		list = append(list, countries[i].view())
	}
	writeBody(w, http.StatusOK, list)
}

func (s *Simulator) getCountry(w http.ResponseWriter, r *http.Request) {
	c := countryOf(r.PathValue("iso"))
	if c == nil {
		s.unsupportedCountry(w, r)
		return
	}
	writeBody(w, http.StatusOK, c.view())
}
