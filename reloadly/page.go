package reloadly

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"net/url"
	"strconv"
	"time"
)

// page is a Spring page. A field that is missing is nil; number counts from 0 although the page parameter
// counts from 1 [obs].
type page[T any] struct {
	Content          *[]T   `json:"content"`
	TotalElements    *int64 `json:"totalElements"`
	TotalPages       *int64 `json:"totalPages"`
	Last             *bool  `json:"last"`
	Number           *int64 `json:"number"`
	NumberOfElements *int64 `json:"numberOfElements"`
	Empty            *bool  `json:"empty"`

	date time.Time
}

// parsePage decodes page number n (from 1) and checks that it does not contradict itself. Some lists come
// as a bare array instead, which is then the one page.
func parsePage[T any](body []byte, n int) (*page[T], error) {
	p := new(page[T])
	if isKind(body, '[') {
		last := true
		p.Content, p.Last = new([]T), &last
		return p, json.Unmarshal(body, p.Content)
	}
	if err := json.Unmarshal(body, p); err != nil {
		return nil, err
	}
	if p.Content == nil || *p.Content == nil {
		return nil, errors.New("a page has no content")
	}
	count := int64(len(*p.Content))
	switch {
	case p.Number != nil && *p.Number != int64(n-1):
		return nil, fmt.Errorf("page %d was asked for and another one came", n)
	case p.NumberOfElements != nil && *p.NumberOfElements != count:
		return nil, fmt.Errorf("page %d has %d elements and says %d", n, count, *p.NumberOfElements)
	case p.Empty != nil && *p.Empty != (count == 0):
		return nil, fmt.Errorf("page %d contradicts itself about being empty", n)
	case count == 0 && p.Last != nil && !*p.Last:
		return nil, fmt.Errorf("page %d is empty and says that more follow", n)
	case p.TotalElements != nil && *p.TotalElements < count:
		return nil, fmt.Errorf("page %d has more elements than there are in all", n)
	}
	return p, nil
}

// final reports whether no page follows the n-th (from 1).
func (p *page[T]) final(n int) bool {
	switch {
	case len(*p.Content) == 0:
		return true
	case p.Last != nil:
		return *p.Last
	default:
		return p.TotalPages != nil && int64(n) >= *p.TotalPages
	}
}

// maxPages ends a list whose provider never says that it is the last page.
const maxPages = 1000

// pages walks a list from its first page to its last, or gives up after most; after an error it ends.
func pages[T any](ctx context.Context, c *Client, op, path string, query url.Values, size, most int) iter.Seq2[*page[T], error] {
	return func(yield func(*page[T], error) bool) {
		query := maps.Clone(query)
		if query == nil {
			query = url.Values{}
		}
		query.Set("size", strconv.Itoa(size))
		for n := 1; n <= most; n++ {
			query.Set("page", strconv.Itoa(n))
			var p *page[T]
			date, err := c.get(ctx, op, path, query, func(ans answer) (err error) {
				p, err = parsePage[T](ans.body, n)
				return err
			})
			if err != nil {
				yield(nil, err)
				return
			}
			p.date = date
			if !yield(p, nil) || p.final(n) {
				return
			}
		}
		yield(nil, badList(op, fmt.Errorf("the list does not end after %d pages", most)))
	}
}

// badList is a list whose pages were each good and do not fit together.
func badList(op string, err error) *Error {
	return &Error{Op: op, Outcome: Unknown, Advice: RetryLater, Code: CodeBadAnswer, Err: err}
}

// all collects a list whose order and completeness at one instant do not matter.
func all[T any](ctx context.Context, c *Client, op, path string, query url.Values, size int) ([]T, error) {
	var items []T
	for p, err := range pages[T](ctx, c, op, path, query, size, maxPages) {
		if err != nil {
			return nil, err
		}
		items = append(items, *p.Content...)
	}
	return items, nil
}
