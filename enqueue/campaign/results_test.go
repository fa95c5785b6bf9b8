package campaign

import (
	"bytes"
	"encoding/csv"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/topup/enqueue"
)

// results writes and reads the results of a campaign: by line of its file, by column.
func (l *loading) results(name string) (header []string, rows []map[string]string, text string) {
	l.Helper()
	c, err := l.Store.Find(l.Context(), name)
	if err != nil {
		l.Fatal(err)
	}
	var out bytes.Buffer
	if err := l.Store.WriteResults(l.Context(), &out, l.Client, c, ResultsOptions{}); err != nil {
		l.Fatal(err)
	}
	records, err := csv.NewReader(bytes.NewReader(out.Bytes())).ReadAll()
	if err != nil {
		l.Fatal(err)
	}
	for _, record := range records[1:] {
		row := map[string]string{}
		for i, cell := range record {
			row[records[0][i]] = cell
		}
		rows = append(rows, row)
	}
	return records[0], rows, out.String()
}

// pays takes a job through the ledger to an end.
func (l *loading) pays(id string, o enqueue.Outcome) {
	l.Helper()
	ctx, ledger := l.Context(), l.Client.Ledger()
	claim := enqueue.NewClaim()
	_, err := ledger.Begin(ctx, id, claim)
	o.Claim = claim
	if err == nil {
		_, err = ledger.Settle(ctx, id, o, nil)
	}
	if err != nil {
		l.Fatal(err)
	}
}

// handsOver does what the feeder does.
func (l *loading) handsOver(name string) (open []Open) {
	l.Helper()
	c, err := l.Store.Find(l.Context(), name)
	if err != nil {
		l.Fatal(err)
	}
	if open, err = l.Store.Take(l.Context(), name, 1000); err != nil {
		l.Fatal(err)
	}
	var numbers []int
	for _, o := range open {
		numbers = append(numbers, o.Row)
	}
	rows, err := l.Store.Rows(l.Context(), c, numbers)
	if err != nil {
		l.Fatal(err)
	}
	for _, number := range numbers {
		if _, err := l.Client.TopUp(l.Context(), rows[number].TopUp(name)); err != nil && !errors.Is(err, enqueue.ErrConflict) {
			l.Fatal(err)
		}
	}
	return open
}

// The input's columns in their order, those of all loads; then what became of each row.
// The names are permanent.
func TestResults(t *testing.T) {
	l := newLoading(t)
	l.loads("may", "phone,amount,currency,external_id,note\n+2348031000001,500,sender,p1,=1+1\n+2348031000002,600,local,p2,\n", LoadOptions{}, 2)
	l.loads("may", "external_id,team,phone,amount,currency\np3,North,+2348031000003,700,sender\np4,,+2348031000004,800,sender\n", LoadOptions{}, 2)
	open := l.handsOver("may")
	text := func(s string) *string { return &s }
	l.pays("may.p1", enqueue.Outcome{Kind: enqueue.KindSucceeded, Transaction: &enqueue.Transaction{
		TransactionID: 77, Status: "SUCCESSFUL", CustomIdentifier: text("may.p1"), OperatorID: 341, OperatorName: text("MTN Nigeria"),
		RequestedAmount: text("500"), RequestedAmountCurrencyCode: text("NGN"), DeliveredAmount: text("500"), DeliveredAmountCurrencyCode: text("NGN"),
		BalanceInfo: &enqueue.BalanceInfo{Cost: text("485.00000"), CurrencyCode: text("NGN")},
	}})
	l.pays("may.p2", enqueue.Outcome{Kind: enqueue.KindFailed, Code: "PHONE_BANNED_BY_OPERATOR"})
	if err := l.Store.Settle(t.Context(), "may", []Settled{{Open: open[3], State: enqueue.Failed, Code: "CONFLICT"}}); err != nil {
		t.Fatal(err)
	}
	header, rows, out := l.results("may")
	want := strings.Split("phone,amount,currency,external_id,note,team,_line,_job_id,_state,_money_moved,_identifier,_transaction_id,_operator_id,_operator,"+
		"_requested_amount,_requested_currency,_delivered_amount,_delivered_currency,_debited_amount,_debited_currency,"+
		"_code,_reason,_explanation,_sends,_created_at,_finished_at", ",")
	if diff := cmp.Diff(want, header); diff != "" {
		t.Error(diff)
	}
	for _, row := range rows {
		for _, at := range []string{"_created_at", "_finished_at"} {
			if _, err := time.Parse(time.RFC3339, row[at]); row[at] != "" && err != nil {
				t.Error(err)
			}
			delete(row, at)
		}
		delete(row, "_explanation")
	}
	row := func(cells ...string) map[string]string {
		m := map[string]string{}
		for i, name := range want {
			if i < len(cells) {
				m[name] = cells[i]
			}
		}
		for _, name := range []string{"_explanation", "_created_at", "_finished_at"} {
			delete(m, name)
		}
		return m
	}
	expected := []map[string]string{
		row("'+2348031000001", "500", "sender", "p1", "'=1+1", "", "2", "may.p1", "succeeded", "yes", "may.p1", "77", "341", "MTN Nigeria", "500", "NGN", "500", "NGN", "485", "NGN", "", "", "", "1"),
		row("'+2348031000002", "600", "local", "p2", "", "", "3", "may.p2", "failed", "no", "may.p2", "", "", "", "600", "", "", "", "", "", "PHONE_BANNED_BY_OPERATOR", "", "", "1"),
		row("'+2348031000003", "700", "sender", "p3", "", "North", "2", "may.p3", "queued", "no", "", "", "", "", "700", "", "", "", "", "", "", "", "", "0"),
		row("'+2348031000004", "800", "sender", "p4", "", "", "3", "may.p4", "failed", "no", "", "", "", "", "800", "", "", "", "", "", "CONFLICT", "", "", "0"),
	}
	if diff := cmp.Diff(expected, rows); diff != "" {
		t.Error(diff)
	}
	// What was written can be loaded: everything is there.
	l.loads("may", out, LoadOptions{}, 0)
	c, err := l.Store.Find(t.Context(), "may")
	if err != nil {
		t.Fatal(err)
	}
	var excel bytes.Buffer
	if err := l.Store.WriteResults(t.Context(), &excel, l.Client, c, ResultsOptions{Excel: true}); err != nil {
		t.Fatal(err)
	}
	if text := excel.String(); !strings.HasPrefix(text, "\ufeffphone,") || strings.Count(text, "\r\n") != 5 || strings.ReplaceAll(text[3:], "\r\n", "\n") != out {
		t.Errorf("%q", text)
	}
	l.loads("may", excel.String(), LoadOptions{}, 0)
}

// Rows that failed are sent again, and nothing else is: not those that succeeded, that
// are in no file that is loaded, or that never became a job.
func TestRetryFailed(t *testing.T) {
	l := newLoading(t)
	text := people(0, 6, "500")
	l.loads("may", text, LoadOptions{}, 6)
	open := l.handsOver("may")
	var settled []Settled
	end := func(k int, state enqueue.State, code string) {
		settled = append(settled, Settled{Open: open[k], State: state, Code: code})
	}
	transaction := &enqueue.Transaction{TransactionID: 5, Status: "SUCCESSFUL"}
	l.pays("may.p0", enqueue.Outcome{Kind: enqueue.KindSucceeded, Transaction: transaction})
	end(0, enqueue.Succeeded, "")
	for k, id := range []string{"may.p1", "may.p2", "may.p3"} {
		l.pays(id, enqueue.Outcome{Kind: enqueue.KindFailed, Code: "SOME"})
		end(k+1, enqueue.Failed, "SOME")
	}
	end(4, enqueue.Failed, "CONFLICT")
	if err := l.Store.Settle(t.Context(), "may", settled); err != nil {
		t.Fatal(err)
	}
	if loaded := l.loads("may", text, LoadOptions{}, 0); loaded.Retried != 0 {
		t.Errorf("%+v", loaded)
	}
	lines := strings.SplitAfter(text, "\n")
	part := strings.Join(slices.Concat(lines[:3], lines[4:]), "") // without p2
	loaded := l.loads("may", part, LoadOptions{RetryFailed: true}, 0)
	if loaded.Retried != 2 || loaded.Refused != 0 {
		t.Errorf("%+v", loaded)
	}
	for id, want := range map[string]enqueue.State{
		"may.p0": enqueue.Succeeded, "may.p1": enqueue.Queued, "may.p2": enqueue.Failed, "may.p3": enqueue.Queued, "may.p4": enqueue.Queued, "may.p5": enqueue.Queued,
	} {
		r, err := l.Client.Get(t.Context(), id)
		if err != nil || r.State != want {
			t.Errorf("%s is %s, want %s: %v", id, r.State, want, err)
		}
		if want == enqueue.Queued && (id == "may.p1" || id == "may.p3") && time.Until(*r.NextAction) < 29*time.Minute {
			t.Errorf("%s is sent again at %v, half an hour after its last send is the earliest", id, r.NextAction)
		}
	}
	p, err := l.Store.Progress(t.Context(), "may", l.Client)
	if err != nil {
		t.Fatal(err)
	}
	if p.States[enqueue.Failed] != 2 || p.States[enqueue.Succeeded] != 1 || p.States[enqueue.Queued] != 3 {
		t.Errorf("%v", p.States)
	}
	if again := l.loads("may", part, LoadOptions{RetryFailed: true}, 0); again.Retried != 0 {
		t.Errorf("sent again twice: %+v", again)
	}
}
