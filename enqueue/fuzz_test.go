package enqueue

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/govalues/decimal"
)

// Each decoder of bytes that come from outside: none panics, and what is understood
// means exactly what was written.

func FuzzDecodeTask(f *testing.F) {
	for _, seed := range []string{"1 order-4711 1", "1 a 9223372036854775807", "1 A 1", "2 a 1", "1 a 0", "1 a +1", "1 a 01", "1  1", "", "1 a~2 1", "1 a 1 "} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		id, version, err := DecodeTask(payload)
		if err != nil {
			if id != "" || version != 0 && version != 1 && !strings.Contains(err.Error(), "version") && !strings.Contains(err.Error(), "job id") {
				t.Fatalf("%q: %q, %d beside %v", payload, id, version, err)
			}
			return
		}
		if id == "" || !validID(id) || id != CanonicalID(id) || version < 1 {
			t.Fatalf("%q was read as %q, %d", payload, id, version)
		}
		again, same, err := DecodeTask(EncodeTask(id, version))
		if err != nil || again != id || same != version {
			t.Fatalf("%q: %q, %d, %v", payload, again, same, err)
		}
	})
}

func FuzzTopUp(f *testing.F) {
	for _, seed := range []string{
		`{"operatorId":1100,"amount":832,"useLocalAmount":false,"customIdentifier":"airtime-top-up","recipientEmail":"jeanb@reloadly.com","recipientPhone":{"countryCode":"AE","number":"0503971821"},"senderPhone":{"countryCode":"CA","number":"11231231231"}}`,
		`{"customIdentifier":"A","amount":"10.500","operatorId":"341","recipientPhone":{"countryCode":" ae ","number":"+971 (50) 123-45.21"}}`,
		`{"customIdentifier":"x","amount":1e3}`, `{"amount":"1O"}`, `{"operatorId":-1}`, `{"operatorId":"999999999999999999"}`, `{"operatorId":1.0}`,
		`{"amount":null,"operatorId":null}`, `{"amount":{}}`, `{"amount":999999999999.99999}`, `[]`, `null`, `{"plain":{"customIdentifier":"x"}}`,
		`{"customIdentifier":"x","amount":1,"notBefore":"2026-11-24T12:00:00+01:00","metadata":{"b":"1","a":"\u0000"},"recipientPhone":{"countryCode":"AE","number":"0501234521"}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var read TopUp
		if json.Unmarshal(text, &read) != nil {
			return
		}
		valid, err := read.Validate()
		if err != nil {
			return
		}
		if !valid.Amount.IsPos() || valid.OperatorID < 0 || valid.ID == "" {
			t.Fatalf("%s is valid as %+v", text, valid)
		}
		same, err := valid.Validate()
		if err != nil || fingerprint(same) != fingerprint(valid) || len(same.Differs(valid)) > 0 {
			t.Fatalf("%s: valid once and not twice: %v", text, err)
		}
		written, err := json.Marshal(valid)
		if err != nil {
			t.Fatal(err)
		}
		var back TopUp
		if err := json.Unmarshal(written, &back); err != nil || len(back.Differs(valid)) > 0 || back.ID != valid.ID {
			t.Fatalf("%s was written as %s and read as another job (%v): %v", text, written, back.Differs(valid), err)
		}
		// What the ledger keeps of it is the same job, too.
		fields := map[string]string{fieldState: string(Queued), fieldVersion: "1"}
		list := requestFields(valid)
		for i := 0; i < len(list); i += 2 {
			fields[list[i].(string)] = list[i+1].(string) //nolint:forcetypeassert // both are texts
		}
		r, err := decodeRecord(valid.ID, fields)
		if err != nil || len(r.TopUp.Differs(valid)) > 0 || fingerprint(r.TopUp) != fields[fieldFingerprint] {
			t.Fatalf("%s is kept as another job: %v", text, err)
		}
	})
}

func FuzzParseAmount(f *testing.F) {
	for _, seed := range []string{"10.50", "0", "00012.3400000", "999999999999.99999", "1e3", "+1", "-1", "1,000", ".5", "5.", " 7 ", "1.000001", "٣", "1000000000000"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		amount, err := ParseAmount(text)
		if err != nil {
			if !amount.IsZero() {
				t.Fatalf("%q: %s beside %v", text, amount, err)
			}
			return
		}
		want, err := decimal.Parse(strings.TrimSuffix(strings.TrimSpace(text), "."))
		if err != nil && len(text) < 19 { // a longer one has digits that decimal cannot hold
			t.Fatalf("%q was read as %s: %v", text, amount, err)
		}
		if err == nil && !amount.Equal(want) {
			t.Fatalf("%q was read as %s", text, amount)
		}
		if again, err := ParseAmount(amount.String()); err != nil || again != amount {
			t.Fatalf("%q: %s is read as %s: %v", text, amount, again, err)
		}
	})
}

func FuzzTransaction(f *testing.F) {
	for _, t := range []*Transaction{{}, {TransactionID: 33469, Status: "SUCCESSFUL"}, {TransactionID: -1, PinDetail: &PinDetail{}, BalanceInfo: &BalanceInfo{}}} {
		pieces, err := packTransaction("a", t)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(strings.Join(pieces, ""), t.TransactionID, t.Status)
	}
	for _, identifier := range []string{"a", "a~2", "=", "=a", "~2", ""} {
		f.Add("\x00", int64(7), identifier)
	}
	f.Add("\x00", int64(7), "PROCESSING")
	f.Add(strings.Repeat("\xff", 200), int64(1)<<62, "\u2028<é")
	f.Fuzz(func(t *testing.T, packed string, id int64, status string) {
		split := func(pieces ...string) map[string]string {
			fields := map[string]string{}
			for i, piece := range pieces {
				fields[fieldTransaction+string(rune('0'+i%10))] = piece
			}
			return fields
		}
		if read, err := unpackTransaction("a", id, split(packed)); err == nil && packed != "" && read == nil {
			t.Fatalf("%q is no transaction and no error", packed)
		}
		in := &Transaction{TransactionID: id, Status: strings.ToValidUTF8(status, "")}
		in.OperatorTransactionID, in.CustomIdentifier = &in.Status, &in.Status
		pieces, err := packTransaction("a", in)
		if err != nil {
			t.Fatal(err)
		}
		for _, piece := range pieces {
			if len(piece) > pieceLength {
				t.Fatalf("a piece of %d bytes", len(piece))
			}
		}
		if len(pieces) > 10 {
			return
		}
		out, err := unpackTransaction("a", id, split(pieces...))
		if diff := cmp.Diff(in, out); err != nil || diff != "" {
			t.Fatalf("%v %s", err, diff)
		}
	})
}

// FuzzRecord damages one field of a record: it is read as it is written, or said to be damaged.
func FuzzRecord(f *testing.F) {
	for name, value := range map[string]string{
		fieldState: "paid", fieldVersion: "1e3", fieldSends: "-1", fieldTxID: "99999999999999999999", fieldAmount: "1O", fieldMetadata: "{",
		fieldTransaction + "0": "\xff", fieldLog + "2": "12 qs claim w1", fieldLog + "3": "x", fieldCreatedAt: "9223372036854775807",
		fieldGeneration: "1000000000", fieldNextAt: "-1", fieldLog: "", fieldFinishedAt: "0",
	} {
		f.Add(name, value)
	}
	f.Fuzz(func(t *testing.T, name, value string) {
		fields := map[string]string{fieldState: string(Queued), fieldVersion: "3", fieldCreatedAt: "1795521600000", fieldAmount: "10.5", fieldLog + "2": "7 sq refused w1"}
		fields[name] = value
		r, err := decodeRecord("a", fields)
		if (r == nil) == (err == nil) {
			t.Fatalf("%q=%q: %v, %v", name, value, r, err)
		}
		if r != nil {
			if len(r.Log) > len(fields) || r.Result().Explanation == "" {
				t.Fatalf("%q=%q: %+v", name, value, r)
			}
			if _, err := json.Marshal(r.TopUp.Amount); err != nil {
				t.Fatal(err)
			}
		}
		decodeLog(fields, time.UnixMilli(0), time.UnixMilli(0))
		if tomb, err := decodeTomb("a", value); tomb == nil || err == nil {
			t.Fatalf("the tomb %q: %v, %v", value, tomb, err)
		}
	})
}
