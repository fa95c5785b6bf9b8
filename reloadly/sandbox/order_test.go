package sandbox

import (
	"strings"
	"testing"
)

func TestOrders(t *testing.T) {
	const ae = `"recipientPhone":{"countryCode":"AE","number":"0503971821"}`
	for _, c := range []struct {
		body   string
		status int
		code   string
	}{
		{`"operatorId":1100,"amount":832,` + ae, 200, ""},
		{`"operatorId":"1100","amount":"832",` + ae + `,"senderPhone":{"countryCode":"CA","number":"+1 123 123 1231"}`, 200, ""},
		{`"operatorId":1100,"amount":832,` + ae + `,"senderPhone":{"countryCode":"AE","number":971503971822}`, 200, ""},
		{`"operatorId":1100,"amount":832,` + ae + `,"senderPhone":{"countryCode":"CA","number":"12"}`, 400, "INVALID_SENDER_PHONE"},
		{`"operatorId":1100,"amount":832,` + ae + `,"customIdentifier":"` + strings.Repeat("x", 151) + `"`, 400, "INVALID_INPUT_PROVIDED"},
		{`"amount":832,` + ae, 400, "INVALID_INPUT_PROVIDED"},
		{`"operatorId":null,"amount":832,` + ae, 400, "INVALID_INPUT_PROVIDED"},
		{`"operatorId":true,"amount":832,` + ae, 400, "JSON_SYNTAX_ERROR"},
		{`"operatorId":1100,"amount":"\x",` + ae, 400, "JSON_SYNTAX_ERROR"},
		{`"operatorId":1100,"amount":832`, 400, "INVALID_RECIPIENT_PHONE"},
		{`"operatorId":1100,"amount":832,"recipientPhone":{"countryCode":"AE","number":"12"}`, 400, "INVALID_RECIPIENT_PHONE"},
		{`"operatorId":1100,"amount":832,"recipientPhone":{"countryCode":"HT","number":"34123456"}`, 400, "OPERATOR_AND_RECIPIENT_PHONE_MISMATCH"},
		{`"operatorId":1100,"amount":0.123456,` + ae, 400, "INVALID_AMOUNT"},
		{`"operatorId":1100,"amount":-1,` + ae, 400, "INVALID_AMOUNT"},
		{`"operatorId":683,"amount":10000,"recipientEmail":"Jean@nauta.com.cu"`, 200, ""},
		{`"operatorId":683,"amount":10000,"recipientEmail":"jean@"`, 400, "INVALID_INPUT_PROVIDED"},
		{`"operatorId":535,"amount":3168.4,"recipientPhone":{"countryCode":"GB","number":"07911123456"}`, 200, ""},
	} {
		r := newRig(t, Config{})
		status, body := r.call("POST", "/topups", "{"+c.body+"}")
		if r.want(c.status, c.code, status, body); t.Failed() {
			t.Fatal(c.body)
		}
		if paid := len(r.sim.Paid()); (paid == 1) != (status == 200) {
			t.Errorf("%s: %d paid", c.body, paid)
		}
	}
}

// One e-mail address is one recipient, however it is written.
func TestRecentlyRechargedByMail(t *testing.T) {
	r := newRig(t, Config{})
	got, body := r.call("POST", "/topups", `{"operatorId":683,"amount":10000,"recipientEmail":"jean@nauta.com.cu"}`)
	r.want(200, "", got, body)
	got, body = r.call("POST", "/topups", `{"operatorId":683,"amount":10000,"recipientEmail":"JEAN@nauta.com.cu"}`)
	r.want(400, "PHONE_RECENTLY_RECHARGED", got, body)
}
