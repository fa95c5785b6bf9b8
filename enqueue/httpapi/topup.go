package httpapi

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"example.com/topup/enqueue"
)

// topUpAnswer is a job with the status that fits.
type topUpAnswer struct {
	Status int
	Body   enqueue.Result
}

type submitInput struct {
	Wait           string `query:"wait" doc:"Hold the answer until the top-up is settled, at most this long: 30s, or 30 for seconds; at most 60s" example:"30s"`
	Prefer         string `header:"Prefer" doc:"The same by RFC 7240: wait=30" example:"wait=30"`
	IdempotencyKey string `header:"Idempotency-Key" doc:"The top-up's id, where the body has no customIdentifier"`
}

// submitTopUp is POST /v1/topups.
func (s *Server) submitTopUp(ctx context.Context, in *submitInput) (*topUpAnswer, error) {
	x := exchangeOf(ctx)
	wait, err := s.waitOf(x, in.Wait)
	if err != nil {
		return nil, err
	}
	a, err := s.submit(x)
	if err != nil {
		return nil, err
	}
	status := http.StatusOK
	if a.Created {
		status = http.StatusAccepted
	}
	result := a.Result
	if wait > 0 && !result.State.Settled() {
		// The job is accepted whatever becomes of the waiting.
		if latest, err := s.hold(x, result.ID, wait); err == nil {
			result = latest
		}
	}
	if result.State.Settled() {
		status = http.StatusOK
	}
	return &topUpAnswer{Status: status, Body: result}, nil
}

// submit takes the request's body for a job and hands it in.
func (s *Server) submit(x *exchange) (enqueue.Answered, error) {
	body, p := readJSON(x.w, x.r)
	if p != nil {
		return enqueue.Answered{}, p
	}
	job, p := decodeTopUp(body)
	if p != nil {
		return enqueue.Answered{}, p
	}
	if p := identify(&job, x.r.Header.Values("Idempotency-Key")); p != nil {
		return enqueue.Answered{}, p
	}
	// Its first wake-up is written also when the caller has gone meanwhile.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(x.r.Context()), redisTime)
	defer cancel()
	a := s.client.Submit(ctx, job)
	if a.Err != nil {
		return a, s.problemOf(a.Err, a.Result, job.ID)
	}
	x.w.Header().Set("Location", locationOf(a.Result.ID))
	return a, nil
}

func locationOf(id string) string { return "/v1/topups/" + url.PathEscape(id) }

type getInput struct {
	ID     string `path:"id" doc:"The customIdentifier of the top-up, in any case"`
	Wait   string `query:"wait" doc:"Hold the answer until the top-up is settled, at most this long: 30s, or 30 for seconds; at most 60s" example:"30s"`
	Prefer string `header:"Prefer" doc:"The same by RFC 7240: wait=30" example:"wait=30"`
}

// getTopUp is GET /v1/topups/{id}.
func (s *Server) getTopUp(ctx context.Context, in *getInput) (*topUpAnswer, error) {
	x := exchangeOf(ctx)
	wait, err := s.waitOf(x, in.Wait)
	if err != nil {
		return nil, err
	}
	if len(in.ID) > enqueue.MaxIDLength {
		return nil, s.problemOf(enqueue.ErrNotFound, enqueue.Result{}, "")
	}
	result, err := s.hold(x, in.ID, wait)
	if err != nil {
		return nil, s.problemOf(err, result, in.ID)
	}
	return &topUpAnswer{Status: http.StatusOK, Body: result}, nil
}

type cancelInput struct {
	ID string `path:"id" doc:"The customIdentifier of the top-up, in any case"`
}

// cancelTopUp is POST /v1/topups/{id}/cancel.
func (s *Server) cancelTopUp(ctx context.Context, in *cancelInput) (*topUpAnswer, error) {
	if len(in.ID) > enqueue.MaxIDLength {
		return nil, s.problemOf(enqueue.ErrNotFound, enqueue.Result{}, "")
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), redisTime)
	defer cancel()
	result, err := s.client.Cancel(ctx, in.ID)
	if err != nil {
		return nil, s.problemOf(err, result, in.ID)
	}
	return &topUpAnswer{Status: http.StatusOK, Body: result}, nil
}

// BatchAnswer is what became of one job of a batch.
type BatchAnswer struct {
	Index   int             `json:"index" doc:"Its place in the batch, from 0"`
	ID      string          `json:"id" doc:"Its id, where it has one that can be read"`
	Status  int             `json:"status" doc:"The HTTP status that POST /v1/topups would have given it"`
	TopUp   *enqueue.Result `json:"topup,omitempty" doc:"The job, where it was accepted or exists"`
	Problem *Problem        `json:"problem,omitempty" doc:"What is wrong, otherwise"`
}

type batchOutput struct {
	Body struct {
		Answers []BatchAnswer `json:"answers" nullable:"false" doc:"One for each top-up, in their order"`
	} `nameHint:"BatchAnswers"`
}

// submitBatch is POST /v1/topups:batch. Jobs that cannot be read keep none of the
// others from being accepted.
func (s *Server) submitBatch(ctx context.Context, _ *struct{}) (*batchOutput, error) {
	x := exchangeOf(ctx)
	body, p := readJSON(x.w, x.r)
	if p != nil {
		return nil, p
	}
	raw, p := decodeBatch(body)
	if p != nil {
		return nil, p
	}
	out := &batchOutput{}
	out.Body.Answers = make([]BatchAnswer, len(raw))
	var jobs []enqueue.TopUp
	var at []int
	for i, text := range raw {
		job, p := decodeTopUp(text)
		if p == nil {
			p = identify(&job, nil)
		}
		out.Body.Answers[i] = BatchAnswer{Index: i, ID: cmp.Or(job.ID, idIn(text))}
		if p != nil {
			out.Body.Answers[i].refuse(p)
			continue
		}
		jobs, at = append(jobs, job), append(at, i)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*redisTime)
	defer cancel()
	away := 0
	for k, a := range s.client.TopUps(ctx, jobs) {
		answer := &out.Body.Answers[at[k]]
		switch {
		case a.Err != nil:
			p := s.problemOf(a.Err, a.Result, jobs[k].ID)
			answer.refuse(p)
			if p.Code == CodeUnavailable {
				away++
			}
		case a.Created:
			answer.Status, answer.TopUp = http.StatusAccepted, &a.Result
		default:
			answer.Status, answer.TopUp = http.StatusOK, &a.Result
		}
	}
	if len(jobs) > 0 && away == len(jobs) { // for those who look at the status alone
		return nil, unavailable("it is not known which of them were accepted: repeat the batch with the same ids, which are never paid twice")
	}
	return out, nil
}

// idIn is the id of a job that is no top-up, so that its caller knows which one it was.
func idIn(text []byte) string {
	var named struct {
		ID string `json:"customIdentifier"`
	}
	if err := json.Unmarshal(text, &named); err != nil || len(named.ID) > enqueue.MaxIDLength {
		return ""
	}
	return named.ID
}

func (a *BatchAnswer) refuse(p *Problem) { a.Status, a.Problem = p.Status, p }

// waitOf is how long the caller wants to wait. The query is an order; Prefer is a
// wish, of which as much is granted as can be.
func (s *Server) waitOf(x *exchange, query string) (time.Duration, error) {
	if query != "" {
		d, err := parseWait(query, s.cfg.MaxWait)
		if err != nil {
			return 0, parameter("wait", err.Error(), fmt.Sprintf("write 30s; at most %gs, and ask again", s.cfg.MaxWait.Seconds()))
		}
		return d, nil
	}
	for wish := range strings.SplitSeq(strings.Join(x.r.Header.Values("Prefer"), ","), ",") {
		wish, _, _ = strings.Cut(wish, ";") // what follows are the preference's parameters
		name, value, _ := strings.Cut(wish, "=")
		if !strings.EqualFold(strings.TrimSpace(name), "wait") {
			continue
		}
		value = strings.Trim(strings.TrimSpace(value), `"`)
		if value == "" || strings.Trim(value, "0123456789") != "" {
			return 0, parameter("Prefer", "is not a time", "write wait=30, in whole seconds")
		}
		x.w.Header().Set("Preference-Applied", "wait")
		d, err := time.ParseDuration(value + "s")
		if err != nil { // more than there is
			d = s.cfg.MaxWait
		}
		return min(d, s.cfg.MaxWait), nil
	}
	return 0, nil
}

// hold reads the job, and waits first until it is settled, the time is up, the caller
// has gone or the server stops.
func (s *Server) hold(x *exchange, id string, wait time.Duration) (enqueue.Result, error) {
	if wait > 0 {
		waiting, cancel := context.WithTimeout(x.r.Context(), wait)
		defer cancel()
		defer context.AfterFunc(s.life, cancel)()
		result, err := s.client.Wait(waiting, id)
		if err == nil || waiting.Err() == nil {
			return result, err
		}
	}
	ctx, cancel := context.WithTimeout(x.r.Context(), redisTime)
	defer cancel()
	return s.client.Get(ctx, id)
}
