package main

import (
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"example.com/topup/enqueue"
	"example.com/topup/reloadly/sandbox"
)

// The whole demo, and the quick start's answer field by field as the facts page has it.
func TestDemo(t *testing.T) {
	s := Settings{}
	if err := s.fromEnvironment(); err != nil {
		t.Fatal(err)
	}
	report, err := runDemo(t.Context(), s, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range report.Problems {
		t.Error(problem)
	}
	if report.Executed == 0 || report.Executed != report.AccountedFor {
		t.Errorf("executed %d, accounted for %d", report.Executed, report.AccountedFor)
	}
	if report.Campaign != "23 rows for 11155 NGN loaded; the same file again: 0 new" {
		t.Errorf("the campaign: %s", report.Campaign)
	}
	t.Logf("the demo took %.1f s", report.Seconds) // 8 to 12 on an idle machine; a loaded one is no failure
	text := func(s string) *string { return &s }
	want := &enqueue.Transaction{
		TransactionID: 33469, Status: "SUCCESSFUL",
		CustomIdentifier: text("airtime-top-up"),
		RecipientPhone:   text("971503971821"), SenderPhone: text("11231231231"), CountryCode: text("AE"),
		OperatorID: 1100, OperatorName: text("Etisalat United Arab Emirates"),
		Discount: text("41.6"), DiscountCurrencyCode: text("NGN"),
		RequestedAmount: text("832"), RequestedAmountCurrencyCode: text("NGN"),
		DeliveredAmount: text("5.6"), DeliveredAmountCurrencyCode: text("AED"),
		BalanceInfo: &enqueue.BalanceInfo{
			OldBalance: text("809811.69103"), NewBalance: text("809021.29103"), Cost: text("790.4"),
			CurrencyCode: text("NGN"), CurrencyName: text("Nigerian Naira"),
		},
	}
	got := report.Jobs[0].Transaction
	ignore := cmp.Options{
		cmpopts.IgnoreFields(enqueue.Transaction{}, "TransactionDate"),
		cmpopts.IgnoreFields(enqueue.BalanceInfo{}, "UpdatedAt"),
		cmpopts.IgnoreFields(enqueue.Transaction{}, "Fee"), // added later by Reloadly, usually 0
	}
	if diff := cmp.Diff(want, got, ignore); diff != "" {
		t.Errorf("the quick start's answer differs from the facts page (-want +got):\n%s", diff)
	}
}

// The demo's own check must be able to fail.
func TestDemoNoticesWhatIsUnaccounted(t *testing.T) {
	job := demoJob{TopUp: enqueue.TopUp{ID: "Job"}, want: enqueue.Succeeded}
	done := enqueue.Result{ID: "Job", State: enqueue.Succeeded, Transaction: &enqueue.Transaction{TransactionID: 1}}
	open := enqueue.Result{ID: "Job", State: enqueue.Unknown}
	execution := sandbox.Execution{TransactionID: 1, CustomIdentifier: "job"}
	double := sandbox.Execution{TransactionID: 2, CustomIdentifier: "job"}
	for name, test := range map[string]struct {
		result   enqueue.Result
		paid     []sandbox.Execution
		problems int
	}{
		"good":             {done, []sandbox.Execution{execution}, 0},
		"paid twice":       {done, []sandbox.Execution{execution, double}, 1},
		"never executed":   {done, nil, 1},
		"open and paid":    {open, []sandbox.Execution{execution}, 2},
		"somebody else's":  {done, []sandbox.Execution{{TransactionID: 1, CustomIdentifier: "other"}}, 2},
		"open, not paid":   {open, nil, 1},
		"wrong final word": {enqueue.Result{ID: "Job", State: enqueue.Failed}, nil, 1},
	} {
		report := demoReport{Jobs: []enqueue.Result{test.result}}
		report.account(test.paid, []demoJob{job})
		if len(report.Problems) != test.problems {
			t.Errorf("%s: %d problems, want %d: %q", name, len(report.Problems), test.problems, report.Problems)
		}
	}
}
