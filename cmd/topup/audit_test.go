package main

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"example.com/topup/enqueue"
	"example.com/topup/reloadly/sandbox"
)

// What a person sees of an audit: books that agree, a reversed top-up once, and how it is turned off.
func TestAuditTellsWhatDiffers(t *testing.T) {
	sys := startHere(t, sandbox.Config{}, nil)
	settings := sys.settings
	settings.RedisURL = sys.opened.url
	audit := func(days, code int, want ...string) {
		t.Helper()
		var out, errs bytes.Buffer
		a := &app{settings: settings, out: &out, err: &errs}
		a.settings.AuditDays = days
		err := a.audit(t.Context())
		if got := exitCode(err); got != code {
			t.Errorf("exit %d, want %d: %v", got, code, err)
		}
		for _, text := range want {
			if !strings.Contains(out.String()+fmt.Sprint(err), text) {
				t.Errorf("%q is not in\n%s\n%v", text, &out, err)
			}
		}
	}
	amount, err := enqueue.ParseAmount("832")
	if err != nil {
		t.Fatal(err)
	}
	job := enqueue.TopUp{ID: "paid", OperatorID: 1100, Amount: amount, RecipientPhone: enqueue.Phone{CountryCode: "AE", Number: "0503971821"}}
	if _, err := sys.client.TopUp(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	r, err := sys.client.Wait(t.Context(), job.ID)
	if err != nil || r.State != enqueue.Succeeded {
		t.Fatal(r.State, err)
	}
	audit(7, exitOK, "1 transactions since", ", 0 findings")

	res, err := http.Post(fmt.Sprintf("%s/sandbox/reverse/%d", sys.sim.url, r.Transaction.TransactionID), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	audit(7, exitOutcome, ", 1 findings", "reversed", `"paid"`, "832 NGN", "job paid had succeeded; it is refunded now")
	audit(7, exitOK, ", 0 findings")
	audit(0, exitUsage, "TOPUP_AUDIT_DAYS")

	settings.RedisURL = "redis://127.0.0.1:1/0"
	audit(7, exitUnreachable)
}
