package sandbox

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// promotionOffset lies between an operator's id and its promotion's.
const promotionOffset = 10000

// hasPromotion: every fifth operator has one.
func (op *operator) hasPromotion() bool { return op.ID%5 == 0 }

func (op *operator) promotionView() map[string]any {
	return map[string]any{
		"id": op.ID + promotionOffset, "promotionId": op.ID + promotionOffset, "operatorId": op.ID,
		"title": fmt.Sprintf("%s: double credit", op.Name), "title2": nil,
		"description": "Twice the credit for every top-up", "startDate": "2026-09-01 00:00:00",
		"endDate": "2026-12-31 23:59:59", "denominations": "all", "localDenominations": nil,
	}
}

func (s *Simulator) promotions(of func(*operator) bool) []map[string]any {
	list := []map[string]any{}
	for _, op := range s.catalogue.operators {
		if op.hasPromotion() && of(op) {
			list = append(list, op.promotionView())
		}
	}
	return list
}

func (s *Simulator) listPromotions(w http.ResponseWriter, r *http.Request) {
	page, size := pageWindow(r, defaultPageSize)
	writeBody(w, http.StatusOK, springPage(s.promotions(func(*operator) bool { return true }), page, size))
}

func (s *Simulator) getPromotion(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	list := s.promotions(func(op *operator) bool { return op.ID+promotionOffset == id })
	if err != nil || len(list) == 0 {
		s.refuseFault(w, r, refuseWith(http.StatusNotFound, "PROMOTION_NOT_FOUND", "Promotion not found for given id"))
		return
	}
	writeBody(w, http.StatusOK, list[0])
}

func (s *Simulator) countryPromotions(w http.ResponseWriter, r *http.Request) {
	iso := r.PathValue("iso")
	if countryOf(iso) == nil {
		s.unsupportedCountry(w, r)
		return
	}
	writeBody(w, http.StatusOK, s.promotions(func(op *operator) bool { return strings.EqualFold(op.Country, iso) }))
}

func (s *Simulator) operatorPromotions(w http.ResponseWriter, r *http.Request) {
	if op := s.operatorOr503(w, r, r.PathValue("id")); op != nil {
		writeBody(w, http.StatusOK, s.promotions(func(o *operator) bool { return o == op }))
	}
}
