package sandbox

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	reportSize    = 200
	reportMaxSize = 500
)

type reportFilter struct {
	country, name, operator string
	start, end              time.Time
	visible                 time.Time // executed at this time or before
}

func (f reportFilter) match(r *record) bool {
	switch {
	case f.country != "" && !strings.EqualFold(f.country, r.Country),
		f.operator != "" && f.operator != strconv.FormatInt(r.Operator, 10),
		f.name != "" && !strings.Contains(strings.ToLower(r.OperatorName), strings.ToLower(f.name)),
		!f.start.IsZero() && r.At.Before(f.start),
		!f.end.IsZero() && r.At.After(f.end),
		r.At.After(f.visible):
		return false
	}
	return true
}

func (s *Simulator) handleReport(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	now := s.now()
	f := reportFilter{
		country: q.Get("countryCode"), name: q.Get("operatorName"), operator: q.Get("operatorId"),
		visible: now.Add(-s.cfg.ReportDelay),
	}
	var ok [2]bool
	f.start, ok[0] = reportDate(q.Get("startDate"), false)
	f.end, ok[1] = reportDate(q.Get("endDate"), true)
	if !ok[0] || !ok[1] {
		s.refuse(w, r, http.StatusBadRequest, "INVALID_INPUT_PROVIDED", "The dates must look like yyyy-MM-dd HH:mm:ss")
		return
	}
	page := max(queryInt(q, "page", 1), 1)
	size := min(max(queryInt(q, "size", reportSize), 1), reportMaxSize)

	s.mu.Lock()
	from := s.records
	if id := q.Get("customIdentifier"); id != "" {
		from = s.search[strings.ToLower(id)]
	}
	total := 0
	content := []transaction{}
	for _, rec := range from {
		if !f.match(rec) {
			continue
		}
		if total/size == page-1 {
			content = append(content, s.view(rec, now))
		}
		total++
	}
	s.mu.Unlock()

	pages := (total + size - 1) / size
	sort := map[string]any{"sorted": true, "unsorted": false, "empty": false}
	writeBody(w, http.StatusOK, map[string]any{
		"content": content, "totalElements": total, "totalPages": pages,
		"last": page >= pages, "first": page == 1, "number": page - 1, "size": size,
		"numberOfElements": len(content), "empty": len(content) == 0, "sort": sort,
		"pageable": map[string]any{
			"sort": sort, "pageNumber": page - 1, "pageSize": size,
			"offset": int64(page-1) * int64(size), "paged": true, "unpaged": false,
		},
	})
}

func queryInt(q url.Values, name string, otherwise int) int {
	if n, err := strconv.ParseInt(q.Get(name), 10, 32); err == nil {
		return int(n)
	}
	return otherwise
}

// reportDate reads a date as UTC-4; a bare date as an end means its last second.
func reportDate(text string, end bool) (time.Time, bool) {
	if text == "" {
		return time.Time{}, true
	}
	if t, err := time.ParseInLocation(dateLayout, text, reportZone); err == nil {
		if end {
			t = t.Add(time.Second - 1)
		}
		return t, true
	}
	t, err := time.ParseInLocation(time.DateOnly, text, reportZone)
	if err == nil && end {
		t = t.AddDate(0, 0, 1).Add(-1)
	}
	return t, err == nil
}
