package reloadly

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/govalues/decimal"
)

// Every reading call: its request, an answer in the provider's words, and what is made of it.
func TestReadingCalls(t *testing.T) {
	yes := true
	const operator = `{"id":174,"operatorId":174,"name":"Natcom Haiti","bundle":false,"denominationType":"RANGE","supportsLocalAmounts":true,
"senderCurrencyCode":"USD","minAmount":0.50,"maxAmount":"99.24","localMinAmount":65,"localMaxAmount":null,"internationalDiscount":5,
"country":{"isoName":"HT","name":"Haiti"},"fx":{"rate":131,"currencyCode":"HTG"},"fixedAmounts":[],"fixedAmountsDescriptions":[],
"localFixedAmounts":{},"localFixedAmountsDescriptions":{"4.07":"100 THB"},"suggestedAmounts":[0.50,1],"suggestedAmountsMap":{"1":131.5},
"promotions":[],"status":"ACTIVE","somethingNew":{}}`
	for name, tc := range map[string]struct {
		answer, request, want string
		call                  func(*Client) (any, error)
	}{
		"balance": {
			`{"balance":809811.691031,"currencyCode":"NGN","currencyName":"Nigerian Naira","updatedAt":"2022-06-06 14:57:48"}`,
			"GET /accounts/balance ", `&{809811.691031 NGN Nigerian Naira 2022-06-06 14:57:48}`,
			func(c *Client) (any, error) { return c.Balance(t.Context()) },
		},
		"countries": {
			`[{"isoName":"ML","name":"Mali","callingCodes":["+223"]}]`, "GET /countries ", `[{ML Mali      [+223]}]`,
			func(c *Client) (any, error) { return c.Countries(t.Context()) },
		},
		"country": {
			`{"isoName":"ML","name":"Mali"}`, "GET /countries/ML ", `&{ML Mali      []}`,
			func(c *Client) (any, error) { return c.Country(t.Context(), "ML") },
		},
		"operator": {
			operator, "GET /operators/174 ", `174 0.50 99.24 65  131 [] map[4.07:100 THB] [0.50 1] map[1:131.5]`,
			func(c *Client) (any, error) { return brief(c.Operator(t.Context(), 174)) },
		},
		"detect": {
			operator, "GET /operators/auto-detect/phone/%2B50936377111/countries/HT ", `174 0.50 99.24 65  131 [] map[4.07:100 THB] [0.50 1] map[1:131.5]`,
			func(c *Client) (any, error) {
				return brief(c.DetectOperator(t.Context(), Phone{"HT", "+509 36/37-7111"}))
			},
		},
		"by country": {
			`[` + operator + `]`, "GET /operators/countries/HT?includeBundles=true&suggestedAmountsMap=true ", `1`,
			func(c *Client) (any, error) {
				l, err := c.OperatorsByCountry(t.Context(), "HT", OperatorFilter{IncludeBundles: &yes, SuggestedAmountsMap: &yes})
				return len(l), err
			},
		},
		"fx": {
			`{"id":173,"name":"Digicel Haiti","fxRate":485.84,"currencyCode":"HTG"}`, `POST /operators/fx-rate {"operatorId":173,"amount":4.00}`,
			`&{173 Digicel Haiti 485.84 HTG}`,
			func(c *Client) (any, error) { return c.FXRate(t.Context(), 173, decimal.MustParse("4.00")) },
		},
		"commission": {
			`{"operator":{"operatorId":174,"name":"Natcom Haiti","countryCode":"HT"},"percentage":5,"internationalPercentage":5.00,"localPercentage":0,"updatedAt":"x"}`,
			"GET /operators/174/commissions ", `&{{174 Natcom Haiti HT} 5 5.00 0 x}`,
			func(c *Client) (any, error) { return c.Commission(t.Context(), 174) },
		},
		"commissions": {
			`{"content":[{"operator":{"operatorId":174},"percentage":5}],"last":true,"number":0,"totalPages":1,"totalElements":1}`,
			"GET /operators/commissions?page=1&size=200 ", `[{{174  } 5   }]`,
			func(c *Client) (any, error) { return c.Commissions(t.Context()) },
		},
		"promotions": {
			`{"content":[{"promotionId":5,"operatorId":"129","title":"Double"}],"last":true}`, "GET /promotions?page=1&size=200 ",
			`[{5 129 Double      }]`, func(c *Client) (any, error) { return c.Promotions(t.Context()) },
		},
		"promotion": {
			`{"id":5,"title":null}`, "GET /promotions/5 ", `&{5 0       }`,
			func(c *Client) (any, error) { return c.Promotion(t.Context(), 5) },
		},
		"promotions of a country": {
			`[{"id":5}]`, "GET /promotions/country-codes/HT?page=1&size=200 ", `[{5 0       }]`,
			func(c *Client) (any, error) { return c.PromotionsByCountry(t.Context(), "HT") },
		},
		"promotions of an operator": {
			`[]`, "GET /promotions/operators/7?page=1&size=200 ", `[]`,
			func(c *Client) (any, error) { return c.PromotionsByOperator(t.Context(), 7) },
		},
		"transaction": {
			quickStartAnswer, "GET /topups/reports/transactions/33469 ", `33469`,
			func(c *Client) (any, error) {
				tx, err := c.Transaction(t.Context(), 33469)
				if err != nil {
					return nil, err
				}
				return tx.TransactionID, nil
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProvider(t, reply(200, tc.answer))
			got, err := tc.call(newClient(t, p.config()))
			if err != nil {
				t.Fatal(err)
			}
			if text := fmt.Sprint(got); text != tc.want {
				t.Errorf("got  %s\nwant %s", text, tc.want)
			}
			if diff := cmp.Diff([]string{tc.request}, p.seen()); diff != "" {
				t.Error(diff)
			}
			for _, bad := range []string{``, html, `{`, `"text"`, `17`} {
				p := newProvider(t, reply(200, bad))
				cfg := p.config()
				cfg.ReadRetryFor = time.Millisecond
				_, err := tc.call(newClient(t, cfg))
				if e := wantError(t, err); e.Outcome != Unknown || e.Code != CodeBadAnswer || e.Advice != RetryLater {
					t.Errorf("%q: %v", bad, e)
				}
			}
		})
	}
}

func brief(o *Operator, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return fmt.Sprint(o.ID, " ", o.MinAmount, " ", o.MaxAmount, " ", o.LocalMinAmount, " ", o.LocalMaxAmount, " ", o.FX.Rate, " ",
		o.FixedAmounts, " ", o.LocalFixedAmountsDescriptions, " ", o.SuggestedAmounts, " ", o.SuggestedAmountsMap), nil
}

func TestPricesThatCannotBeRead(t *testing.T) {
	p := newProvider(t, nil)
	cfg := p.config()
	cfg.ReadRetryFor = time.Millisecond
	for body, call := range map[string]func(*Client) error{
		`{"balance":"plenty"}`:                   func(c *Client) error { _, err := c.Balance(t.Context()); return err },
		`{"balance":null}`:                       func(c *Client) error { _, err := c.Balance(t.Context()); return err },
		`{"id":1,"minAmount":"a few"}`:           func(c *Client) error { _, err := c.Operator(t.Context(), 1); return err },
		`{"id":1,"fixedAmounts":[1,"two"]}`:      func(c *Client) error { _, err := c.Operator(t.Context(), 1); return err },
		`{"id":0}`:                               func(c *Client) error { _, err := c.Operator(t.Context(), 1); return err },
		`{"id":1,"fxRate":null}`:                 func(c *Client) error { _, err := c.FXRate(t.Context(), 1, decimal.One); return err },
		`{"percentage":1e999}`:                   func(c *Client) error { _, err := c.Commission(t.Context(), 1); return err },
		`{"transactionId":2}`:                    func(c *Client) error { _, err := c.Transaction(t.Context(), 1); return err },
		`{"content":[{"id":1}],"number":1}`:      func(c *Client) error { _, err := c.Operators(t.Context(), OperatorFilter{}); return err },
		`{"content":[],"last":false}`:            func(c *Client) error { _, err := c.Operators(t.Context(), OperatorFilter{}); return err },
		`{"content":[{"id":1}],"last":"surely"}`: func(c *Client) error { _, err := c.Operators(t.Context(), OperatorFilter{}); return err },
	} {
		p.Config.Handler = withToken(reply(200, body))
		if e := wantError(t, call(newClient(t, cfg))); e.Outcome != Unknown {
			t.Errorf("%s: %v", body, e)
		}
	}
}

func withToken(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == authPath {
			reply(200, `{"access_token":"`+testToken+`"}`)(w, r)
			return
		}
		next(w, r)
	}
}

func TestReadsAreRefusedWithoutWhatTheyNeed(t *testing.T) {
	p := newProvider(t, reply(200, `[]`))
	c := newClient(t, p.config())
	for name, err := range map[string]error{
		"status":      second(c.Status(t.Context(), 0)),
		"transaction": second(c.Transaction(t.Context(), -1)),
		"identifier":  second(c.FindByIdentifier(t.Context(), " ")),
		"country":     second(c.Country(t.Context(), "")),
		"operators":   second(c.OperatorsByCountry(t.Context(), "", OperatorFilter{})),
		"promotions":  second(c.PromotionsByCountry(t.Context(), "")),
		"phone":       second(c.DetectOperator(t.Context(), Phone{"HT", "/"})),
		"fx":          second(c.FXRate(t.Context(), 1, decimal.Zero)),
	} {
		if e := wantError(t, err); e.Outcome != NotSent || e.Code != CodeInvalidRequest {
			t.Errorf("%s: %v", name, e)
		}
	}
	if len(p.seen()) != 0 {
		t.Errorf("sent %q", p.seen())
	}
}

func second[T any](_ T, err error) error { return err }

func TestReadsAreRetriedWhenThatHelps(t *testing.T) {
	const good = `{"balance":1}`
	for name, tc := range map[string]struct {
		first http.HandlerFunc
		again bool
	}{
		"500":             {reply(500, structured), true},
		"502 page":        {reply(502, html), true},
		"503":             {reply(503, ""), true},
		"408":             {reply(408, ""), true},
		"429":             {reply(429, structured), true},
		"cut short":       {cutShort(good), true},
		"not gzip":        {notGzip, true},
		"page":            {reply(200, html), true},
		"no content":      {reply(204, ""), true},
		"closed":          {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, true},
		"400":             {reply(400, structured), false},
		"403 page":        {reply(403, html), false},
		"404":             {reply(404, springForm), false},
		"409":             {reply(409, structured), false},
		"redirect":        {reply(302, ""), false},
		"operator is off": {reply(503, operatorDown), false},
	} {
		t.Run(name, func(t *testing.T) {
			var n atomic.Int32
			p := newProvider(t, func(w http.ResponseWriter, r *http.Request) {
				if n.Add(1) <= 2 {
					tc.first(w, r)
					return
				}
				reply(200, good)(w, r)
			})
			_, err := newClient(t, p.config()).Balance(t.Context())
			if (err == nil) != tc.again || (n.Load() == 3) != tc.again {
				t.Errorf("%d requests, %v", n.Load(), err)
			}
		})
	}
}

func TestStatusForms(t *testing.T) {
	for name, tc := range map[string]struct {
		body string
		want Status
		code string // of the error
	}{
		"wrapped":             {`{"code":"TRANSACTION_SUCCESSFUL","message":"ok","status":"SUCCESSFUL","transaction":` + quickStartAnswer + `}`, Successful, ""},
		"wrapped, processing": {`{"code":null,"message":null,"status":"PROCESSING","transaction":null}`, Processing, ""},
		"without transaction": {`{"status":"REFUNDED"}`, Refunded, ""},
		"inside only":         {`{"transaction":` + quickStartAnswer + `}`, Successful, ""},
		"flat":                {quickStartAnswer, Successful, ""},
		"flat, no status":     {`{"transactionId":"33469"}`, "", ""},
		"new word":            {`{"status":"SLEEPING","transaction":null}`, "SLEEPING", ""},
		"status null":         {`{"code":"X","status":null}`, "", CodeBadAnswer},
		"neither":             {`{"code":"X"}`, "", CodeBadAnswer},
		"page":                {html, "", CodeBadAnswer},
		"array":               {`[]`, "", CodeBadAnswer},
		"other transaction":   {`{"status":"SUCCESSFUL","transaction":{"transactionId":1}}`, "", CodeAnswerMismatch},
		"two ends":            {`{"status":"FAILED","transaction":` + quickStartAnswer + `}`, "", CodeAnswerMismatch},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProvider(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Date", "Thu, 01 Oct 2026 10:00:00 GMT")
				reply(200, tc.body)(w, r)
			})
			cfg := p.config()
			cfg.ReadRetryFor = time.Millisecond
			got, err := newClient(t, cfg).Status(t.Context(), 33469)
			if tc.code != "" {
				if e := wantError(t, err); e.Code != tc.code || e.Outcome != Unknown {
					t.Errorf("got %v", e)
				}
				return
			}
			if err != nil || got.Status != tc.want || got.Date.Hour() != 10 {
				t.Errorf("got %+v, %v", got, err)
			}
			if p.seen()[0] != "GET /topups/33469/status " {
				t.Errorf("request %q", p.seen())
			}
		})
	}
	p := newProvider(t, reply(404, `{"timeStamp":"x","message":"Transaction not found for given id","path":"/","errorCode":"TRANSACTION_NOT_FOUND"}`))
	_, err := newClient(t, p.config()).Status(t.Context(), 1)
	if e := wantError(t, err); e.Outcome != Refused || e.Code != CodeTransactionNotFound {
		t.Errorf("got %v", e)
	}
}

func TestStatusFinal(t *testing.T) {
	for status, want := range map[Status]bool{Successful: true, Failed: true, Refunded: true, Processing: false, Pending: false, "": false, "SLEEPING": false} {
		if status.Final() != want {
			t.Errorf("%q.Final() = %v", status, !want)
		}
	}
}

func TestFindByIdentifier(t *testing.T) {
	const (
		ours   = `{"transactionId":7,"customIdentifier":"job-1","status":"SUCCESSFUL"}`
		upper  = `{"transactionId":8,"customIdentifier":"JOB-1","status":"FAILED"}`
		longer = `{"transactionId":9,"customIdentifier":"job-10","status":"FAILED"}`
	)
	page := func(n, total int, last bool, items ...string) string {
		return fmt.Sprintf(`{"content":[%s],"totalElements":%d,"totalPages":2,"last":%v,"first":false,"number":%d,"size":500,"numberOfElements":%d,"empty":%v,"pageable":{},"sort":{}}`,
			strings.Join(items, ","), total, last, n-1, len(items), len(items) == 0)
	}
	for name, tc := range map[string]struct {
		pages []string
		want  []int64 // nil: an error
	}{
		"healthy and empty":      {[]string{page(1, 0, true)}, []int64{}},
		"one":                    {[]string{page(1, 1, true, ours)}, []int64{7}},
		"case and length differ": {[]string{page(1, 2, true, upper, longer)}, []int64{}},
		"two pages":              {[]string{page(1, 3, false, upper, longer), page(2, 3, true, ours)}, []int64{7}},
		"by the number of pages": {[]string{`{"content":[` + ours + `],"totalElements":1,"totalPages":1}`}, []int64{7}},

		"changed between pages":  {[]string{page(1, 3, false, upper, longer), page(2, 4, true, ours)}, nil},
		"came twice":             {[]string{page(1, 2, false, ours), page(2, 2, true, ours)}, nil},
		"missing one":            {[]string{page(1, 2, true, ours)}, nil},
		"says one, has none":     {[]string{page(1, 1, true)}, nil},
		"page one again":         {[]string{page(1, 3, false, upper, longer), page(1, 3, true, ours)}, nil},
		"empty, more to come":    {[]string{page(1, 0, false)}, nil},
		"says it is not empty":   {[]string{`{"content":[],"totalElements":0,"last":true,"empty":false}`}, nil},
		"counts wrong":           {[]string{`{"content":[],"totalElements":0,"last":true,"numberOfElements":3}`}, nil},
		"more than in all":       {[]string{`{"content":[` + ours + `],"totalElements":0,"last":true}`}, nil},
		"no total":               {[]string{`{"content":[],"last":true}`}, nil},
		"no content":             {[]string{`{"totalElements":0,"last":true}`}, nil},
		"content null":           {[]string{`{"content":null,"totalElements":0,"last":true}`}, nil},
		"bare array":             {[]string{`[]`}, nil},
		"empty object":           {[]string{`{}`}, nil},
		"an error with 200":      {[]string{`{"message":"Something","errorCode":null}`}, nil},
		"page of a proxy":        {[]string{html}, nil},
		"nothing":                {[]string{``}, nil},
		"half a page":            {[]string{page(1, 0, true)[:60]}, nil},
		"second page is missing": {[]string{page(1, 3, false, upper, longer), html}, nil},
		"without an id":          {[]string{`{"content":[{"customIdentifier":"job-1"}],"totalElements":1,"last":true}`}, nil},
		"no transaction":         {[]string{`{"content":["job-1"],"totalElements":1,"last":true}`}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProvider(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Date", "Thu, 01 Oct 2026 10:00:00 GMT")
				q := r.URL.Query()
				var n int
				_, _ = fmt.Sscan(q.Get("page"), &n)
				if q.Get("customIdentifier") != "job-1" || q.Get("size") != "500" || n < 1 || n > len(tc.pages) {
					reply(400, structured)(w, r)
					return
				}
				_, _ = io.WriteString(w, tc.pages[n-1])
			})
			cfg := p.config()
			cfg.ReadRetryFor = time.Millisecond
			got, err := newClient(t, cfg).FindByIdentifier(t.Context(), "job-1")
			if tc.want == nil {
				if e := wantError(t, err); e.Outcome != Unknown || e.Advice != RetryLater || got != nil {
					t.Errorf("got %v, %v", got, e)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			ids := []int64{}
			for _, tx := range got.Transactions {
				ids = append(ids, tx.TransactionID)
			}
			if diff := cmp.Diff(tc.want, ids); diff != "" || got.Date.IsZero() {
				t.Errorf("%s %v", diff, got.Date)
			}
		})
	}
	for _, status := range []int{201, 202, 204, 206, 302, 400, 401, 403, 404, 408, 429, 500, 502, 503} {
		p := newProvider(t, reply(status, page(1, 0, true)))
		cfg := p.config()
		cfg.ReadRetryFor = time.Millisecond
		if got, err := newClient(t, cfg).FindByIdentifier(t.Context(), "job-1"); err == nil {
			t.Errorf("%d: %v passes for a healthy report", status, got)
		}
	}
}

func TestFindByIdentifierWhereTheFilterIsIgnored(t *testing.T) {
	p := newProvider(t, func(w http.ResponseWriter, r *http.Request) {
		reply(200, fmt.Sprintf(`{"content":[{"transactionId":%s}],"totalElements":5000,"last":false}`, r.URL.Query().Get("page")))(w, r)
	})
	_, err := newClient(t, p.config()).FindByIdentifier(t.Context(), "job-1")
	if e := wantError(t, err); e.Outcome != Unknown || len(p.seen()) != maxFoundPages {
		t.Errorf("%v after %d pages", e, len(p.seen()))
	}
}

func TestReport(t *testing.T) {
	p := newProvider(t, func(w http.ResponseWriter, r *http.Request) {
		n := r.URL.Query().Get("page")
		reply(200, `{"content":[{"transactionId":1`+n+`},{"transactionId":2`+n+`}],"last":`+fmt.Sprint(n == "2")+`}`)(w, r)
	})
	c := newClient(t, p.config())
	from := time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC)
	query := ReportQuery{From: from, To: from.Add(24 * time.Hour), CountryCode: "ML", OperatorID: 289, OperatorName: "Orange Mali", CustomIdentifier: "a b"}
	var ids []int64
	for tx, err := range c.Report(t.Context(), query) {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, tx.TransactionID)
	}
	if diff := cmp.Diff([]int64{11, 21, 12, 22}, ids); diff != "" {
		t.Error(diff)
	}
	want := "GET /topups/reports/transactions?countryCode=ML&customIdentifier=a+b&endDate=2026-10-03+08%3A00%3A00&operatorId=289&operatorName=Orange+Mali&page=1&size=500&startDate=2026-09-29+08%3A00%3A00 "
	if got := p.seen()[0]; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	before := len(p.seen())
	for _, err := range c.Report(t.Context(), ReportQuery{}) {
		if err != nil {
			t.Error(err)
		}
		break
	}
	if n := len(p.seen()) - before; n != 1 {
		t.Errorf("%d pages read for one transaction", n)
	}
	p2 := newProvider(t, reply(404, springForm))
	for _, err := range newClient(t, p2.config()).Report(t.Context(), ReportQuery{}) {
		if e := wantError(t, err); e.Outcome != Refused {
			t.Errorf("got %v", e)
		}
	}
}
