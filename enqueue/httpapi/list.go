package httpapi

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"example.com/topup/enqueue"
)

type listInput struct {
	State    string `query:"state" doc:"Only top-ups in this state"`
	Campaign string `query:"campaign" doc:"Only top-ups of this campaign"`
	Limit    string `query:"limit" doc:"How many are enough for a page: 1 to 1000, 100 unless told. It has fewer, or up to 1000 more, where it is found by scanning"`
	Cursor   string `query:"cursor" doc:"next of the page before, with the same state and campaign"`
}

type listOutput struct {
	Body struct {
		TopUps []enqueue.Result `json:"topups" nullable:"false" doc:"In no order"`
		Next   *string          `json:"next" doc:"The cursor of the next page; null on the last one. A page may be empty and have a next one"`
	} `nameHint:"TopUpPage"`
}

// stateWords are all states, for people.
func stateWords() string {
	words := make([]string, 0, len(enqueue.States()))
	for _, state := range enqueue.States() {
		words = append(words, string(state))
	}
	return strings.Join(words, ", ")
}

// listTopUps is GET /v1/topups.
func (s *Server) listTopUps(ctx context.Context, in *listInput) (*listOutput, error) {
	q := enqueue.Query{State: enqueue.State(in.State), Campaign: in.Campaign, Cursor: in.Cursor}
	if in.State != "" && !slices.Contains(enqueue.States(), q.State) {
		return nil, parameter("state", "is no state", "use one of "+stateWords())
	}
	if in.Limit != "" {
		n, err := strconv.Atoi(in.Limit)
		if err != nil || n < 1 || n > 1000 {
			return nil, parameter("limit", "is not a number from 1 to 1000", "leave it out for 100")
		}
		q.Limit = n
	}
	ctx, cancel := context.WithTimeout(ctx, redisTime)
	defer cancel()
	page, err := s.client.List(ctx, q)
	if err != nil {
		return nil, s.problemOf(err, enqueue.Result{}, "")
	}
	out := &listOutput{}
	out.Body.TopUps = page.Jobs
	if page.Next != "" {
		out.Body.Next = &page.Next
	}
	return out, nil
}
