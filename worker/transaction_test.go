package worker

import (
	"encoding/json"
	"testing"

	"github.com/govalues/decimal"

	"example.com/topup/enqueue"
	"example.com/topup/reloadly"
)

// A paid transaction must not be taken for somebody else's because of the form in
// which Reloadly gives a field back, nor somebody else's for ours.
func TestWhichTransactionsAreOurs(t *testing.T) {
	whole := enqueue.TopUp{
		ID: "a", OperatorID: 173, Amount: decimal.MustParse("4.005"),
		RecipientPhone: enqueue.Phone{CountryCode: "AE", Number: "0503971821"},
	}
	local, lost := whole, enqueue.TopUp{ID: "a"}
	local.UseLocalAmount = true
	for _, test := range []struct {
		name   string
		job    enqueue.TopUp
		fields string
		want   bool
	}{
		{"the whole", whole, `"operatorId":173,"requestedAmount":4.005,"recipientPhone":"971503971821"`, true},
		{"rounded to cents", whole, `"requestedAmount":4.01,"recipientPhone":"971503971821"`, true},
		{"masked number", whole, `"requestedAmount":4.005,"recipientPhone":"97150*****21"`, true},
		{"nothing but its id", whole, `"status":"SUCCESSFUL"`, true},
		{"local amount", local, `"requestedAmount":0.8,"recipientPhone":"971503971821"`, true},
		{"lost request", lost, `"operatorId":173,"requestedAmount":4.005,"recipientPhone":"971503971821"`, true},
		{"other amount", whole, `"requestedAmount":5,"recipientPhone":"971503971821"`, false},
		{"other number", whole, `"requestedAmount":4.005,"recipientPhone":"971503971822"`, false},
		{"other operator", whole, `"operatorId":174,"requestedAmount":4.005,"recipientPhone":"971503971821"`, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			var transaction reloadly.Transaction
			if err := json.Unmarshal([]byte(`{"transactionId":1,"customIdentifier":"a~2",`+test.fields+`}`), &transaction); err != nil {
				t.Fatal(err)
			}
			if got := ours(&enqueue.Record{TopUp: test.job}, "a~2", &transaction); got != test.want {
				t.Errorf("ours: %v", got)
			}
		})
	}
}
