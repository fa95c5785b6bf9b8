package sandbox

import "testing"

func TestPriceRealDebits(t *testing.T) {
	for _, c := range []struct {
		account                                    string
		id                                         int64
		amount                                     string
		local                                      bool
		requested, discount, cost, delivered, unit string
	}{
		{"NGN", 1100, "832", false, "832", "41.6", "790.4", "5.6", "AED"},
		{"USD", 289, "4", false, "4", "0.2", "3.8", "2020", "XOF"},
		{"USD", 289, "2000", true, "3.9604", "0", "3.9604", "2000", "XOF"},
		{"USD", 640, "100", true, "0.19785", "0", "0.19785", "100", "XOF"},
		{"USD", 943, "1", false, "1", "0.04", "0.96", "3.69", "PEN"},
		{"NGN", 535, "3168.4", false, "3168.4", "63.368", "3105.032", "4.9985", "GBP"},
		{"USD", 683, "30", false, "30", "1.5", "28.5", "772.5", "CUP"},
		{"USD", 173, "4", false, "4", "0.08", "3.92", "485.84", "HTG"},
		{"USD", 120, "5", true, "0.17", "0", "0.17", "5", "EGP"},
		{"NGN", 341, "500", true, "500", "0", "500", "500", "NGN"},
		{"NGN", 289, "2180", false, "2180", "109", "2071", "2020", "XOF"},
	} {
		list := newCatalogue(c.account)
		q, f := list.price(list.byID(c.id), mustMoney(c.amount), c.local)
		if f != nil {
			t.Errorf("%d %s: %+v", c.id, c.amount, f)
			continue
		}
		want := quote{mustMoney(c.requested), mustMoney(c.discount), 0, mustMoney(c.cost), mustMoney(c.delivered), c.unit}
		if q != want {
			t.Errorf("%d %s: got %+v, want %+v", c.id, c.amount, q, want)
		}
	}
}

func TestPriceFees(t *testing.T) {
	list := newCatalogue("USD")
	op := &operator{
		Min: mustMoney("1"), Max: mustMoney("9"), Local: true, LocalMin: mustMoney("1"), LocalMax: mustMoney("9000"),
		Rate: mustRat("500"), Discount: mustMoney("5"), FeePercent: mustMoney("2"), FeeFlat: mustMoney("0.1"),
		LocalFeeFlat: mustMoney("50"), Currency: "XOF",
	}
	q, f := list.price(op, mustMoney("5"), false)
	if f != nil || q.Cost != mustMoney("5.2") || q.Fee != mustMoney("0.2") || q.Discount != 0 {
		t.Errorf("percentage fee: %+v, %v", q, f)
	}
	q, f = list.price(op, mustMoney("1000"), true)
	if f != nil || q.Cost != mustMoney("2.1") || q.Fee != mustMoney("0.1") {
		t.Errorf("local flat fee: %+v, %v", q, f)
	}
	op.FeePercent = 0
	q, f = list.price(op, mustMoney("5"), false)
	if f != nil || q.Cost != mustMoney("4.85") || q.Fee != mustMoney("0.1") || q.Discount != mustMoney("0.25") {
		t.Errorf("flat fee: %+v, %v", q, f)
	}
}

func TestPriceRefusals(t *testing.T) {
	list := newCatalogue("USD")
	for _, c := range []struct {
		id     int64
		amount string
		local  bool
		code   string
	}{
		{289, "0", false, "INVALID_AMOUNT"},
		{289, "-4", false, "INVALID_AMOUNT"},
		{289, "3.89", false, "INVALID_AMOUNT_FOR_OPERATOR"},
		{289, "64.96", false, "INVALID_AMOUNT_FOR_OPERATOR"},
		{640, "99", true, "INVALID_LOCAL_AMOUNT_FOR_OPERATOR"},
		{173, "500", true, "LOCAL_AMOUNTS_NOT_SUPPORTED_BY_OPERATOR"},
		{729, "1", false, "INVALID_AMOUNT_FOR_OPERATOR"},
		{120, "6", true, "INVALID_LOCAL_AMOUNT_FOR_OPERATOR"},
	} {
		_, f := list.price(list.byID(c.id), mustMoney(c.amount), c.local)
		if f == nil || f.Status != 400 || f.Mode != modeRefuse || *f.Code != c.code {
			t.Errorf("%d %s: %+v, want %s", c.id, c.amount, f, c.code)
		}
	}
	_, f := list.price(list.byID(640), mustMoney("99"), true)
	if f == nil || f.Message != "Min and max (local) amounts for operator id 640 (Airtel Niger) are : 100.00 XOF and 50000.00 XOF" {
		t.Errorf("message: %+v", f)
	}
}

// Every operator of both accounts sells something, and its parts add up.
func TestPriceEveryOperator(t *testing.T) {
	for _, account := range []string{"NGN", "USD"} {
		list := newCatalogue(account)
		for _, op := range list.operators {
			amounts := append([]money{op.Min, op.Max}, op.FixedAmounts...)
			if op.Fixed {
				amounts = op.FixedAmounts
			}
			for _, amount := range amounts {
				q, f := list.price(op, amount, false)
				if f != nil || q.Cost != q.Requested-q.Discount+q.Fee || q.Cost <= 0 || q.Discount < 0 || q.Fee < 0 || q.Delivered <= 0 {
					t.Errorf("%s %d %s: %+v %+v", account, op.ID, amount, q, f)
				}
			}
			if op.Local && !op.Fixed {
				if _, f := list.price(op, op.LocalMin, true); f != nil {
					t.Errorf("%s %d local: %+v", account, op.ID, f)
				}
			}
		}
	}
}
