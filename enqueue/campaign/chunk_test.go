package campaign

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/govalues/decimal"
)

// person is row n of a generated file: a number, a name, an amount of its own.
func person(n int) Row {
	phone := fmt.Sprintf("+234803%07d", (n*7919)%10_000_000)
	amount := decimal.MustNew(int64(100+n%900), 2)
	return Row{
		Line: n + 2, Phone: phone, National: phone[4:], Country: "NG", Amount: amount, Unit: Local, OperatorID: 341,
		ExternalID: fmt.Sprintf("emp-%d", n), Cells: []string{phone, amount.String(), "local", fmt.Sprintf("emp-%d", n), fmt.Sprintf("Person %d", n)},
	}
}

func TestChunkKeepsRows(t *testing.T) {
	odd := []Row{
		person(1),
		{Phone: "+1", National: "", Unit: Sender, Amount: decimal.MustParse("0.00001")},
		{
			Phone: "+971501234521", National: "0501234521", Country: "AE", Amount: decimal.MustParse("10.50"), Unit: Sender,
			NotBefore: time.Date(2026, 11, 24, 10, 0, 0, 5_000_000, time.UTC), Cells: []string{"", "a\nb", strings.Repeat("x", 1_000_000), "\xff"},
		},
		{Line: 9, Phone: "", National: "", Unit: Local, Amount: decimal.MustParse("999999999999.99999"), NotBefore: time.UnixMilli(0).UTC()},
	}
	var data []byte
	for i := range odd {
		data = appendRow(data, &odd[i])
	}
	packed, err := packChunk(len(odd), data)
	if err != nil {
		t.Fatal(err)
	}
	got, err := unpackChunk(packed)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, odd) {
		t.Errorf("%+v\nwant\n%+v", got, odd)
	}
	for cut := range data { // every end but the right one is refused
		short, err := packChunk(len(odd), data[:cut])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := unpackChunk(short); !errors.Is(err, errChunk) {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		if cut > 300 {
			break
		}
	}
	for name, bad := range map[string][]byte{
		"empty": nil, "no deflate": []byte("rows"), "cut": packed[:len(packed)-1], "longer": append(append([]byte{}, packed...), 0),
	} {
		if _, err := unpackChunk(bad); !errors.Is(err, errChunk) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzUnpackChunk(f *testing.F) {
	var data []byte
	for n := range 3 {
		r := person(n)
		data = appendRow(data, &r)
	}
	packed, err := packChunk(3, data)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(packed, data)
	f.Add([]byte{}, []byte{1, 2, '+', '1', 5})
	f.Fuzz(func(t *testing.T, packed, rows []byte) {
		_, _ = unpackChunk(packed) // must not panic
		again, err := packChunk(1+len(rows)%4, rows)
		if err != nil {
			t.Fatal(err)
		}
		got, err := unpackChunk(again)
		if err != nil {
			return
		}
		var back []byte
		for i := range got {
			back = appendRow(back, &got[i])
		}
		same, err := packChunk(len(got), back)
		if err != nil {
			t.Fatal(err)
		}
		if twice, err := unpackChunk(same); err != nil || !reflect.DeepEqual(twice, got) {
			t.Fatalf("%v\n%+v\n%+v", err, got, twice)
		}
	})
}
