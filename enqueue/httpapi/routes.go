package httpapi

import (
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

// routes registers every operation. Bodies are read by the operations themselves:
// huma would read amounts as floating point, and answer 500 to a body that breaks off.
func (s *Server) routes() huma.API {
	api := humago.New(s.mux, huma.Config{
		OpenAPI:       description(),
		Formats:       map[string]huma.Format{"application/json": huma.DefaultJSONFormat, "json": huma.DefaultJSONFormat},
		DefaultFormat: "application/json",
	})
	d := describer{api: api}
	d.types()

	huma.Register(api, d.operation("submit-topup", http.MethodPost, "/v1/topups", "Submit a top-up",
		"Takes Reloadly's own request. Repeating it is harmless: the same id is never paid twice. 202 with Location is a new top-up, 200 one that exists or was settled while you waited.",
		s.require(Submit), Submit, 200, 202, 400, 401, 403, 408, 409, 410, 413, 415, 429, 500, 503), s.submitTopUp)
	d.body("/v1/topups", "TopUp")
	huma.Register(api, d.operation("submit-batch", http.MethodPost, "/v1/topups:batch", "Submit up to 1,000 top-ups",
		"One answer for each, in their order, with the status that it would have had alone. The whole fails only where nothing of it could be read or Redis is away.",
		s.require(Submit), Submit, 200, 400, 401, 403, 408, 413, 415, 429, 500, 503), s.submitBatch)
	d.body("/v1/topups:batch", "Batch")
	huma.Register(api, d.operation("list-topups", http.MethodGet, "/v1/topups", "List top-ups",
		"Pages in no order. Open top-ups and those that need review have an index; all others are found by scanning, a bounded part for each page: go on until next is null, also where a page is empty. A top-up may be listed twice.",
		s.require(Read), Read, 200, 400, 401, 403, 429, 500, 503), s.listTopUps)
	huma.Register(api, d.operation("get-topup", http.MethodGet, "/v1/topups/{id}", "Show a top-up's result", "",
		s.require(Read), Read, 200, 400, 401, 403, 404, 410, 429, 500, 503), s.getTopUp)
	huma.Register(api, d.operation("cancel-topup", http.MethodPost, "/v1/topups/{id}/cancel", "Withdraw a top-up",
		"Only while it waits and certainly was not sent. Repeating it is harmless.",
		s.require(Submit), Submit, 200, 401, 403, 404, 409, 410, 429, 500, 503), s.cancelTopUp)
	huma.Register(api, d.operation("list-campaigns", http.MethodGet, "/v1/campaigns", "List campaigns", "",
		s.require(Read), Read, 200, 401, 403, 429, 500, 503), s.listCampaigns)
	huma.Register(api, d.operation("get-campaign", http.MethodGet, "/v1/campaigns/{name}", "Show how far a campaign has come", "",
		s.require(Read), Read, 200, 401, 403, 404, 429, 500, 503), s.getCampaign)
	huma.Register(api, d.operation("reloadly-webhook", http.MethodPost, "/v1/reloadly/webhook", "Take a notification of Reloadly's",
		"Its signature is checked and its body is not believed: it wakes the look-up of the top-up that it names. Repeats are harmless.",
		nil, "", 200, 401, 403, 404, 408, 413, 500, 503), s.webhook)
	huma.Register(api, d.operation("reloadly-token", http.MethodPost, "/oauth/token", "Get a token as from Reloadly",
		"For programs made for Reloadly: client_id is the name of an API key, client_secret the key.",
		nil, "", 200, 400, 401, 403, 408, 413, 415, 429, 500, 503), s.token)
	d.body("/oauth/token", "TokenRequest")
	huma.Register(api, d.operation("reloadly-topup", http.MethodPost, reloadlyPath, "Submit a top-up as to Reloadly",
		"For programs made for Reloadly: waits, and answers with Reloadly's own transaction, amounts as numbers. 400 with errorCode says that nothing was paid; 504 that it goes on: repeat it with the same customIdentifier.",
		s.require(Submit), Submit, 200, 400, 401, 403, 408, 409, 410, 413, 415, 429, 500, 503, 504), s.reloadlyTopUp)
	d.body(reloadlyPath, "TopUp")
	huma.Register(api, d.operation("livez", http.MethodGet, "/livez", "Whether the process lives", "Never tied to Redis.", nil, "", 200, 500), s.live)
	huma.Register(api, d.operation("readyz", http.MethodGet, "/readyz", "Whether requests can be served", "", nil, "", 200, 500, 503), s.ready)

	for path, item := range api.OpenAPI().Paths {
		s.mux.HandleFunc(path, s.otherMethods(methods(item)))
	}
	s.mux.HandleFunc("GET /openapi.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(s.spec) // who asked has gone
	})
	s.mux.HandleFunc("/openapi.json", s.otherMethods("GET, HEAD"))
	s.mux.HandleFunc("/", s.notFound)
	d.finish()
	return api
}

// methods are those of a path, for Allow.
func methods(item *huma.PathItem) string {
	var names []string
	if item.Get != nil {
		names = append(names, http.MethodGet, http.MethodHead)
	}
	if item.Post != nil {
		names = append(names, http.MethodPost)
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}
