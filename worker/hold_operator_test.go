package worker_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"example.com/topup/enqueue"
	"example.com/topup/reloadly/sandbox"
	"example.com/topup/worker"
)

// A person holds an operator: what would be sent to it waits, also where it is Reloadly who
// says that a number is the operator's; and nobody asks for that all the time.
func TestHoldOfADetectedOperator(t *testing.T) {
	bubble(t, sandbox.Config{}, func(w *world) {
		ctx := context.Background()
		asked := 0
		w.serve(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.URL.Path, "auto-detect") {
				asked++
			}
			w.sim.ServeHTTP(rw, r)
		}))
		holds := worker.NewHolds(w.rdb, worker.HoldConfig{})
		if err := holds.Place(ctx, worker.Hold{Scope: worker.ScopeOperator(341)}); err != nil {
			t.Fatal(err)
		}
		rows := ordinary(1)
		rows[0].OperatorID = 0
		loadRows(t, w.store(), "may", 0, rows)
		defer w.run(w.worker("w1", slowly))()
		time.Sleep(10 * time.Minute)
		if p := w.progress("may"); w.sim.Posts() != 0 || fmt.Sprint(p.Reasons) != "[{paused 1}]" {
			t.Errorf("%v %v, %d POSTs", p.States, p.Reasons, w.sim.Posts())
		}
		if asked == 0 || asked > 45 {
			t.Errorf("asked for the operator %d times in ten minutes", asked)
		}
		if err := holds.Lift(ctx, worker.ScopeOperator(341)); err != nil {
			t.Fatal(err)
		}
		if p := w.campaignEnded("may", time.Hour); p.States[enqueue.Succeeded] != 1 {
			t.Error(p.States)
		}
	})
}
