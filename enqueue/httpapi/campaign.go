package httpapi

import (
	"context"
	"errors"
	"net/http"
	"time"

	"example.com/topup/enqueue"
	"example.com/topup/enqueue/campaign"
)

// Campaign is a campaign in a list.
type Campaign struct {
	Name      string         `json:"name" doc:"As it was first given; compared without case"`
	State     campaign.State `json:"state" doc:"What a person wants of it" enum:"running,paused,cancelled"`
	Rows      int            `json:"rows" doc:"Of all loads"`
	CreatedAt time.Time      `json:"createdAt"`
	EndedAt   *time.Time     `json:"endedAt" doc:"When all rows were settled; null while they are not"`
}

// CampaignProgress is a campaign and how far it has come.
type CampaignProgress struct {
	Campaign
	States    map[enqueue.State]int `json:"states" doc:"Of all rows: they sum to rows at every read"`
	Waiting   int                   `json:"waiting" doc:"Of those queued: not handed over yet"`
	Reasons   []WordCount           `json:"reasons" nullable:"false" doc:"Why queued rows wait, the most frequent first"`
	Codes     []WordCount           `json:"codes" nullable:"false" doc:"Why rows did not succeed, the most frequent first"`
	Moved     map[string]string     `json:"moved" doc:"Debited, by currency, as decimal text"`
	Held      map[string]string     `json:"held" doc:"What rows ask for that may be paid already and are not settled, as decimal text"`
	PerSecond float64               `json:"perSecond" doc:"Rows settled a second, over the last half minute"`
	Left      *int                  `json:"secondsLeft" doc:"Until all whose time has come are settled at this rate; null where it is not known"`
}

// WordCount is how many rows have one word in common.
type WordCount struct {
	Word  string `json:"word"`
	Count int    `json:"count"`
}

type campaignsOutput struct {
	Body struct {
		Campaigns []Campaign `json:"campaigns" nullable:"false" doc:"The one that was loaded last first"`
	} `nameHint:"Campaigns"`
}

// listCampaigns is GET /v1/campaigns.
func (s *Server) listCampaigns(ctx context.Context, _ *struct{}) (*campaignsOutput, error) {
	ctx, cancel := context.WithTimeout(ctx, redisTime)
	defer cancel()
	all, err := s.campaigns.List(ctx)
	if err != nil {
		return nil, s.problemOf(err, noResult, "")
	}
	out := &campaignsOutput{}
	out.Body.Campaigns = make([]Campaign, len(all))
	for i, c := range all {
		out.Body.Campaigns[i] = campaignOf(c)
	}
	return out, nil
}

type campaignInput struct {
	Name string `path:"name" doc:"The campaign's name, in any case"`
}

type campaignOutput struct {
	Body CampaignProgress
}

// getCampaign is GET /v1/campaigns/{name}.
func (s *Server) getCampaign(ctx context.Context, in *campaignInput) (*campaignOutput, error) {
	ctx, cancel := context.WithTimeout(ctx, redisTime)
	defer cancel()
	if campaign.CheckName(in.Name) != nil {
		return nil, noCampaign()
	}
	p, err := s.campaigns.Progress(ctx, in.Name, s.client)
	switch {
	case errors.Is(err, campaign.ErrNoCampaign):
		return nil, noCampaign()
	case err != nil:
		return nil, s.problemOf(err, noResult, "")
	}
	out := &campaignOutput{Body: CampaignProgress{
		Campaign: campaignOf(p.Campaign), States: p.States, Waiting: p.Waiting, Reasons: counts(p.Reasons), Codes: counts(p.Codes),
		Moved: p.Moved, Held: p.Held, PerSecond: p.Rate,
	}}
	if out.Body.States == nil {
		out.Body.States = map[enqueue.State]int{}
	}
	for _, amounts := range []*map[string]string{&out.Body.Moved, &out.Body.Held} {
		if *amounts == nil {
			*amounts = map[string]string{}
		}
	}
	if p.Left > 0 {
		seconds := int(p.Left.Seconds())
		out.Body.Left = &seconds
	}
	return out, nil
}

func noCampaign() *Problem {
	return problem(http.StatusNotFound, CodeNoSuchCampaign, "no campaign has this name")
}

func campaignOf(c *campaign.Campaign) Campaign {
	out := Campaign{Name: c.Name, State: c.State, Rows: c.Rows, CreatedAt: c.Created}
	if !c.Ended.IsZero() {
		out.EndedAt = &c.Ended
	}
	return out
}

func counts(of []campaign.Count) []WordCount {
	out := make([]WordCount, len(of))
	for i, c := range of {
		out[i] = WordCount(c)
	}
	return out
}
