package reloadly

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/govalues/decimal"
)

const (
	tlsRounds   = 5
	tlsInFlight = 1000
	tlsPosts    = 10000
	tlsLatency  = 300 * time.Millisecond
)

// BenchmarkTLS sends 1,000 top-ups at a time over TLS to a provider that takes 300 ms
// and, like Reloadly, closes the connection after each answer where it is HTTP/1.1.
// The client is the same in every row; its transport is not.
func BenchmarkTLS(b *testing.B) {
	for _, http2 := range []bool{false, true} {
		name := "HTTP1"
		if http2 {
			name = "HTTP2"
		}
		b.Run(name, func(b *testing.B) { compareTransports(b, name, http2) })
	}
}

func compareTransports(b *testing.B, protocol string, http2 bool) {
	server := closingProvider(http2)
	defer server.Close()
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())

	standard := http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert // it is one
	standard.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	transports := []struct {
		name string
		swap *http.Transport // nil: the client's own
	}{
		{"http.Transport{}", &http.Transport{TLSClientConfig: standard.TLSClientConfig.Clone()}},
		{"http.DefaultTransport", standard},
		{"reloadly.New", nil},
	}

	limit := tlsInFlight / tlsLatency.Seconds()
	rates := make([][]float64, len(transports))
	for round := range tlsRounds {
		for k := range transports {
			i := (k + round) % len(transports) // nobody is always first
			c, err := New(Config{
				ClientID: "id", ClientSecret: testSecret, AuthURL: server.URL, APIURL: server.URL,
				InFlight: tlsInFlight, TLS: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			})
			if err != nil {
				b.Fatal(err)
			}
			if swap := transports[i].swap; swap != nil {
				c.http.Transport = swap
			}
			rates[i] = append(rates[i], sendAll(b, c))
			c.http.CloseIdleConnections()
			c.Close()
		}
	}
	var out strings.Builder
	fmt.Fprintf(&out, "\n%s, %d in flight, %v, %d rounds of %d, GOMAXPROCS %d with the server; in flight ÷ latency = %.0f\n",
		protocol, tlsInFlight, tlsLatency, tlsRounds, tlsPosts, runtime.GOMAXPROCS(0), limit)
	table := tabwriter.NewWriter(&out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "\tPOSTs/s\tmin\tmax\tof the limit\t")
	medians := make([]float64, len(transports))
	for i, t := range transports {
		slices.Sort(rates[i])
		medians[i] = rates[i][tlsRounds/2]
		fmt.Fprintf(table, "%s\t%.0f\t%.0f\t%.0f\t%.2f\t\n", t.name, medians[i], rates[i][0], rates[i][tlsRounds-1], medians[i]/limit)
	}
	_ = table.Flush() // into memory
	ours := medians[2]
	fmt.Fprintf(&out, "ours / http.Transport{}: %.2f (aim 2.5); ours / http.DefaultTransport: %.2f", ours/medians[0], ours/medians[1])
	b.ReportMetric(ours, "POSTs/s")
	b.ReportMetric(ours/limit, "ours/limit")
	b.ReportMetric(ours/medians[0], "ours/Transport")
	b.ReportMetric(ours/medians[1], "ours/DefaultTransport")
	b.ReportMetric(0, "ns/op") // says nothing here
	b.Log(out.String())
}

// sendAll is the POSTs/s of one client.
func sendAll(b *testing.B, c *Client) float64 {
	b.Helper()
	if err := c.Ready(b.Context()); err != nil {
		b.Fatal(err)
	}
	runtime.GC()
	start := time.Now()
	var group sync.WaitGroup
	for first := range tlsInFlight {
		group.Go(func() {
			for i := first; i < tlsPosts; i += tlsInFlight {
				r := TopUpRequest{
					OperatorID: 1100, Amount: decimal.MustParse("832"), CustomIdentifier: fmt.Sprint("tls-", i),
					RecipientPhone: &Phone{"AE", testPhone},
				}
				if _, err := c.TopUp(b.Context(), r); err != nil {
					b.Error(err)
				}
			}
		})
	}
	group.Wait()
	return tlsPosts / time.Since(start).Seconds()
}

func closingProvider(http2 bool) *httptest.Server {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == authPath {
			_, _ = io.WriteString(w, `{"access_token":"`+testToken+`","scope":"x","expires_in":86400,"token_type":"Bearer"}`)
			return
		}
		var request struct {
			CustomIdentifier string `json:"customIdentifier"`
		}
		if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		time.Sleep(tlsLatency)
		if r.ProtoMajor == 1 {
			w.Header().Set("Connection", "close")
		}
		_, _ = io.WriteString(w, strings.Replace(quickStartAnswer, "airtime-top-up", request.CustomIdentifier, 1))
	}))
	server.EnableHTTP2 = http2
	server.Config.ErrorLog = quiet
	server.StartTLS()
	return server
}
