package enqueue

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"
)

func text(s string) *string { return &s }

// The names on the wire are permanent. Change testdata/result.json by hand or not at all.
func TestResultGolden(t *testing.T) {
	at := time.Date(2026, 5, 1, 12, 0, 0, 123e6, time.UTC)
	r := Record{
		TopUp: TopUp{ID: "airtime-top-up", Campaign: "may", Metadata: map[string]string{"order": "7"}},
		State: Succeeded, Sends: 1, CreatedAt: at, UpdatedAt: at.Add(time.Second), FinishedAt: at.Add(time.Second), NextAt: at,
		Transaction: &Transaction{
			TransactionID: 4602843, Status: "SUCCESSFUL", OperatorTransactionID: text("7297929551:OrderConfirmed"), CustomIdentifier: text("airtime-top-up"),
			RecipientPhone: text("447951631337"), SenderPhone: text("11231231231"), CountryCode: text("GB"), OperatorID: 535, OperatorName: text("EE PIN England"),
			Discount: text("63.37"), DiscountCurrencyCode: text("NGN"), RequestedAmount: text("3168.4"), RequestedAmountCurrencyCode: text("NGN"),
			DeliveredAmount: text("4.99"), DeliveredAmountCurrencyCode: text("GBP"), TransactionDate: text("2021-12-06 08:13:39"),
			PinDetail:   &PinDetail{Serial: text("558111"), Code: text("773709733097662"), Validity: text("30 days")},
			BalanceInfo: &BalanceInfo{OldBalance: text("5109.53732"), NewBalance: text("2004.50532"), Cost: text("3105.032"), CurrencyCode: text("NGN"), CurrencyName: text("Nigerian Naira"), UpdatedAt: text("2021-12-06 13:13:39")},
		},
	}
	got, err := json.MarshalIndent(r.Result(), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, '\n')
	want, err := os.ReadFile("testdata/result.json")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("the result is\n%s", got)
	}
	var back Result
	if err := json.Unmarshal(want, &back); err != nil || !reflect.DeepEqual(back, r.Result()) {
		t.Fatalf("%v %+v", err, back)
	}
}

func TestResultWithoutMetadata(t *testing.T) {
	got, err := json.Marshal(Result{})
	if err != nil || !strings.HasSuffix(string(got), `"transaction":null,"createdAt":"0001-01-01T00:00:00Z","updatedAt":"0001-01-01T00:00:00Z","finishedAt":null,"nextActionAt":null,"metadata":{}}`) {
		t.Fatalf("%s %v", got, err)
	}
}

// Each state, reason and code of ours has its own sentence.
func TestExplanations(t *testing.T) {
	seen := map[string]string{}
	add := func(what string, r Result) {
		sentence := explain(r)
		if sentence == "" || !strings.HasSuffix(sentence, ".") || seen[sentence] != "" {
			t.Errorf("%s: %q (also %s)", what, sentence, seen[sentence])
		}
		seen[sentence] = what
	}
	for _, state := range States() {
		add(string(state), Result{State: state, Code: "SOME_CODE"})
		if state.Settled() != (state.Final() || state == NeedsReview) {
			t.Error(state)
		}
	}
	for _, reason := range Reasons() {
		add(string(reason), Result{State: Queued, Reason: reason})
	}
	for code := range fixes {
		if code != "INVALID_PHONE_NUMBER" { // says the same as its newer name
			add(code, Result{State: Failed, Code: code})
		}
	}
	for _, code := range []string{CodeUnresolved, CodeRecordLost, CodeExecutedAfter, CodeForeign, CodeIdentifierInUse, CodeExpired} {
		add(code, Result{State: NeedsReview, Code: code})
	}
	add("no code", Result{State: NeedsReview})
	add("double", Result{State: Succeeded, Code: CodeDouble})
	if explain(Result{}) != "" {
		t.Error("a state that does not exist is explained")
	}
}

// A job that waits for its time says so, until then.
func TestScheduledJobSaysSo(t *testing.T) {
	inWorld(t, func(w *world) {
		j := job("a")
		j.NotBefore = time.Now().Add(time.Hour)
		r, err := w.c.TopUp(w.Context(), j)
		if err != nil || r.Reason != Scheduled {
			t.Errorf("%q, %v", r.Reason, err)
		}
		if r := w.record("a").Result(); r.Reason != Scheduled || r.Explanation != "It waits for its notBefore." {
			t.Errorf("%q: %s", r.Reason, r.Explanation)
		}
		time.Sleep(2 * time.Hour)
		if r := w.record("a").Result(); r.Reason != "" {
			t.Errorf("%q when its time has come", r.Reason)
		}
	})
}

func TestTransactionIsPacked(t *testing.T) {
	long := tx(1, strings.Repeat("PROCESSING", 50))
	for i := range 20 {
		if _, err := unpackTransaction("order", 1, map[string]string{"x0": "\xff\xff damaged"}); err == nil {
			t.Fatal("damage goes unseen")
		}
		long.OperatorName = text(strings.Repeat(string(rune('a'+i)), i*37))
		pieces, err := packTransaction("order", long)
		if err != nil {
			t.Fatal(err)
		}
		fields := map[string]string{}
		for k, piece := range pieces {
			if len(piece) > pieceLength {
				t.Fatal(len(piece))
			}
			fields["x"+string(rune('0'+k))] = piece
		}
		if got, err := unpackTransaction("order", 1, fields); err != nil || !reflect.DeepEqual(got, long) {
			t.Fatal(got, err)
		}
	}
}

// A record of before the trailer, the id and the identifier were left out is read as it was.
func TestOlderTransactionIsRead(t *testing.T) {
	packed, err := base64.StdEncoding.DecodeString("oq3p+UUpqUV1Rjjzg7GluaGFkSHZ2QIihJwtDNAzBUQJIn2j8lGTGUQOI31jFcamEyNtYxXGphMjZUOE8SdkkFAtIAAA//8=")
	if err != nil {
		t.Fatal(err)
	}
	want := tx(33469, "SUCCESSFUL")
	want.CustomIdentifier, want.RecipientPhone = text("order~2"), text("971503971821")
	fields := map[string]string{}
	for k := range (len(packed) + pieceLength - 1) / pieceLength {
		fields["x"+strconv.Itoa(k)] = string(packed[k*pieceLength : min(len(packed), (k+1)*pieceLength)])
	}
	if got, err := unpackTransaction("order", 7, fields); err != nil || !reflect.DeepEqual(got, want) {
		t.Fatal(got, err)
	}
}
