package sandbox

import (
	"math"
	"net/http"
	"strconv"
)

// pageWindow reads page (from 1; 0 is 1 too) and size; nonsense counts as not given. The page comes
// back counted from 0.
func pageWindow(r *http.Request, defaultSize int) (page, size int) {
	page, _ = strconv.Atoi(r.URL.Query().Get("page"))
	size, _ = strconv.Atoi(r.URL.Query().Get("size"))
	if size <= 0 {
		size = defaultSize
	}
	return min(max(page-1, 0), math.MaxInt32), min(size, math.MaxInt16)
}

// springPage cuts one page, counted from 0, out of all.
func springPage[T any](all []T, page, size int) map[string]any {
	from := min(page*size, len(all))
	content := append([]T{}, all[from:min(from+size, len(all))]...)
	pages := (len(all) + size - 1) / size
	sort := map[string]any{"sorted": false, "unsorted": true, "empty": true}
	return map[string]any{
		"content": content, "totalElements": len(all), "totalPages": pages,
		"last": page >= pages-1, "first": page == 0, "number": page, "size": size,
		"numberOfElements": len(content), "empty": len(content) == 0, "sort": sort,
		"pageable": map[string]any{
			"sort": sort, "pageNumber": page, "pageSize": size, "offset": page * size,
			"paged": true, "unpaged": false,
		},
	}
}
