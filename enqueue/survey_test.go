package enqueue

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestSurvey(t *testing.T) {
	inWorld(t, func(w *world) {
		survey := func() *Survey {
			t.Helper()
			s, err := w.l.Survey(w.Context(), 10_000)
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		if s := survey(); s.Open+s.Looked+s.Overdue+s.Reviews != 0 || s.OldestUnknown != nil || s.OldestOverdue != nil || s.OldestReview != nil {
			t.Errorf("nothing there: %+v", s)
		}
		sent := time.Now()
		w.sent("Lost") // unknown
		time.Sleep(time.Second)
		w.sent("lost-later")
		claim := NewClaim()
		w.submit("odd")
		w.want("send", Sending)(w.l.Begin(w.Context(), "odd", claim))
		reviewed := time.Now()
		if _, err := w.settle("odd", Outcome{Kind: KindReview, Claim: claim, Code: "ODD"}); err != nil {
			t.Fatal(err)
		}
		w.submit("ended")
		if _, err := w.c.Cancel(w.Context(), "ended"); err != nil {
			t.Fatal(err)
		}
		for i := range 5 {
			w.submit(fmt.Sprintf("waits-%d", i))
		}
		s := survey()
		if s.Open != 7 || s.Looked != 7 || s.States[Unknown] != 2 || s.States[Queued] != 5 || s.Overdue != 0 || s.Reviews != 1 {
			t.Errorf("%+v", s)
		}
		if s.Places[Place{State: Unknown, Queue: QueueFollowups}] != 2 || s.Places[Place{State: Queued, Queue: QueueTopUps}] != 5 || len(s.Places) != 2 {
			t.Errorf("places: %+v", s.Places)
		}
		if s.OldestQueued == nil || s.OldestQueued.ID[:6] != "waits-" {
			t.Errorf("oldest queued: %+v", s.OldestQueued)
		}
		if !s.Restarted.IsZero() {
			t.Errorf("restarted at %v", s.Restarted)
		}
		if s.OldestUnknown == nil || s.OldestUnknown.ID != "lost" || s.OldestUnknown.Since.UnixMilli() != sent.UnixMilli() {
			t.Errorf("oldest unknown: %+v, want lost at %v", s.OldestUnknown, sent)
		}
		if s.OldestReview == nil || s.OldestReview.ID != "odd" || s.OldestReview.Since.UnixMilli() != reviewed.UnixMilli() {
			t.Errorf("oldest review: %+v", s.OldestReview)
		}
		time.Sleep(time.Minute)
		if s := survey(); s.Overdue != 7 || s.OldestOverdue == nil || !s.OldestOverdue.Since.Equal(sent.Add(16*time.Second)) {
			t.Errorf("a minute later: %+v %+v", s, s.OldestOverdue)
		}
		campaign := job("of-campaign")
		campaign.Campaign = "may"
		if _, err := w.c.TopUp(w.Context(), campaign); err != nil {
			t.Fatal(err)
		}
		w.submit("put-off")
		r, err := w.l.Load(w.Context(), "put-off")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.l.Wait(w.Context(), r, Paused, time.Minute, true); err != nil {
			t.Fatal(err)
		}
		s = survey()
		if s.Places[Place{Queued, "", QueueCampaigns}] != 1 || s.Places[Place{Queued, Paused, QueueFollowups}] != 1 {
			t.Errorf("places: %+v", s.Places)
		}
		few, err := w.l.Survey(w.Context(), 1)
		if err != nil || few.Looked == 0 || few.Looked >= 9 || few.Open != 9 {
			t.Errorf("%+v %v", few, err)
		}
	})
}

// A job whose earliest time had passed when it came has waited since it came.
func TestSurveyOfABackdatedJob(t *testing.T) {
	inWorld(t, func(w *world) {
		time.Sleep(24 * time.Hour)
		j := job("backdated")
		j.NotBefore = time.Now().Add(-12 * time.Hour)
		if _, err := w.c.TopUp(w.Context(), j); err != nil {
			t.Fatal(err)
		}
		came := time.Now()
		j = job("scheduled")
		j.NotBefore = came.Add(time.Hour)
		if _, err := w.c.TopUp(w.Context(), j); err != nil {
			t.Fatal(err)
		}
		waiting := Place{Queued, Scheduled, QueueTopUps}
		if s, err := w.l.Survey(w.Context(), 10); err != nil || s.Places[waiting] != 1 {
			t.Errorf("%+v, %v", s.Places, err)
		}
		time.Sleep(2 * time.Hour)
		s, err := w.l.Survey(w.Context(), 10)
		if s.Places[waiting] != 0 {
			t.Errorf("%+v after its notBefore", s.Places)
		}
		if err != nil || s.OldestQueued.ID != "backdated" || s.OldestQueued.Since.UnixMilli() != came.UnixMilli() {
			t.Errorf("%+v, %v", s.OldestQueued, err)
		}
	})
}

// What had waited for a day is unknown since Redis restarted, and no longer.
func TestSurveyAfterARestart(t *testing.T) {
	inWorld(t, func(w *world) {
		w.submit("held")
		lost := time.Now()
		w.sent("lost")
		time.Sleep(12 * time.Hour)
		r, err := w.l.Load(w.Context(), "held")
		if err != nil {
			t.Fatal(err)
		}
		l := w.restarted("second")
		restarted := time.Now()
		if a, err := l.Wait(w.Context(), r, Paused, time.Minute, true); err != nil || a.State != Unknown {
			t.Fatalf("%+v %v", a, err)
		}
		s, err := l.Survey(w.Context(), 10)
		if err != nil || s.States[Unknown] != 2 || s.OldestUnknown.ID != "lost" || s.OldestUnknown.Since.UnixMilli() != lost.UnixMilli() {
			t.Errorf("%+v %+v %v", s, s.OldestUnknown, err)
		}
		if _, err := l.Settle(w.Context(), "lost", Outcome{Kind: KindSucceeded, Transaction: tx(1, "SUCCESSFUL")}, nil); err != nil {
			t.Fatal(err)
		}
		s, err = l.Survey(w.Context(), 10)
		if err != nil || s.OldestUnknown == nil || s.OldestUnknown.ID != "held" || s.OldestUnknown.Since.UnixMilli() != restarted.UnixMilli() {
			t.Errorf("%+v %v, want held since %v", s.OldestUnknown, err, restarted)
		}
		if explained := w.record("held").Result().Explanation; !strings.Contains(explained, "Redis was restarted") {
			t.Error(explained)
		}
	})
}
