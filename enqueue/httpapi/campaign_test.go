package httpapi

import (
	"context"
	"fmt"
	"testing"

	"github.com/govalues/decimal"

	"example.com/topup/enqueue"
	"example.com/topup/enqueue/campaign"
)

func TestCampaigns(t *testing.T) {
	w := serve(t, realRedis(t), "", nil)
	ctx := context.Background()
	var list struct{ Campaigns []Campaign }
	w.read(w.ask("GET", "/v1/campaigns", ""), 200, "application/json", &list)
	if list.Campaigns == nil || len(list.Campaigns) != 0 {
		t.Errorf("%+v", list)
	}
	w.problem(w.ask("GET", "/v1/campaigns/may", ""), 404, CodeNoSuchCampaign)
	w.problem(w.ask("GET", "/v1/campaigns/a.b", ""), 404, CodeNoSuchCampaign)

	store := campaign.NewStore(w.rdb)
	stage := store.Stage(ctx, "May")
	for i := range 10 {
		number := fmt.Sprintf("050397%04d", 8200+i)
		if err := stage.Add(ctx, &campaign.Row{Line: i + 2, Phone: "+971" + number[1:], National: number, Country: "AE", Amount: decimal.MustParse("5"), Unit: campaign.Sender, ExternalID: fmt.Sprint("r", i)}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := stage.Commit(ctx, campaign.CommitOptions{Header: []string{"phone", "amount"}, File: "may.csv"}); err != nil {
		t.Fatal(err)
	}
	w.read(w.ask("GET", "/v1/campaigns", ""), 200, "application/json", &list)
	if len(list.Campaigns) != 1 || list.Campaigns[0].Name != "May" || list.Campaigns[0].State != campaign.Running || list.Campaigns[0].Rows != 10 || list.Campaigns[0].EndedAt != nil {
		t.Errorf("%+v", list)
	}
	var p CampaignProgress
	a := w.ask("GET", "/v1/campaigns/MAY", "")
	w.read(a, 200, "application/json", &p)
	if p.Name != "May" || p.Rows != 10 || p.States[enqueue.Queued] != 10 || p.Waiting != 10 || p.Left != nil || p.Moved == nil || p.Reasons == nil {
		t.Errorf("%s", a.body)
	}
	key := w.key(Key{Name: "shop", Scopes: []Scope{Submit}})
	w.problem(w.ask("GET", "/v1/campaigns", "", "Authorization", key), 403, CodeForbidden)
	w.problem(w.ask("GET", "/v1/campaigns/may", "", "Authorization", key), 403, CodeForbidden)
}

func TestCampaignsWithoutRedis(t *testing.T) {
	w := newWorld(t, nil)
	w.problem(w.ask("GET", "/v1/campaigns/may", ""), 404, CodeNoSuchCampaign)
	w.m.SetError("LOADING")
	w.problem(w.ask("GET", "/v1/campaigns", ""), 503, CodeUnavailable)
	w.problem(w.ask("GET", "/v1/campaigns/may", ""), 503, CodeUnavailable)
	w.m.SetError("")
}
