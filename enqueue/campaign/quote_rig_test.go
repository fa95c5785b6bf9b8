package campaign

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/govalues/decimal"

	"example.com/topup/reloadly"
	"example.com/topup/reloadly/sandbox"
)

// market is a simulator behind HTTP with the real client before it.
type market struct {
	sim     *sandbox.Simulator
	client  *reloadly.Client
	lookups atomic.Int64 // of operators, by number or id
	open    atomic.Int64 // lookups at this moment
	most    atomic.Int64 // and at most
	down    atomic.Bool  // every lookup breaks off
}

func newMarket(t testing.TB, cfg sandbox.Config) *market {
	t.Helper()
	sim, err := sandbox.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	m := &market{sim: sim}
	server := httptest.NewServer(m)
	t.Cleanup(func() {
		server.Close()
		_ = sim.Close()
	})
	m.client, err = reloadly.New(reloadly.Config{
		ClientID: "id", ClientSecret: "secret", AuthURL: server.URL, APIURL: server.URL,
		BackoffInitial: time.Millisecond, ReadRetryFor: 50 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.client.Close)
	if err := m.client.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	return m
}

func (m *market) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/operators/") {
		m.lookups.Add(1)
		now := m.open.Add(1)
		for most := m.most.Load(); now > most && !m.most.CompareAndSwap(most, now); most = m.most.Load() {
		}
		defer m.open.Add(-1)
		if m.down.Load() {
			panic(http.ErrAbortHandler)
		}
	}
	m.sim.ServeHTTP(w, r)
}

// asked is a quoter of the market and the problems that it tells.
func (m *market) asked(o QuoteOptions) (*Quoter, *[]Problem) {
	problems := &[]Problem{}
	o.Problem = func(p Problem) { *problems = append(*problems, p) }
	return NewQuoter(m.client, o), problems
}

func rowOf(line int, country, calling, national, amount string, unit Unit, operator int64) *Row {
	return &Row{
		Line: line, Phone: "+" + calling + national, National: national, Country: country,
		Amount: decimal.MustParse(amount), Unit: unit, OperatorID: operator,
	}
}
