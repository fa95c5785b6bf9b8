package httpapi

import (
	"encoding/json"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"
)

// api is the description of the API as huma holds it.
var api = sync.OnceValue(func() *huma.OpenAPI {
	s := &Server{mux: http.NewServeMux()}
	doc := s.routes().OpenAPI()
	for _, schema := range doc.Components.Schemas.Map() {
		schema.PrecomputeMessages()
		for _, property := range schema.Properties {
			for _, one := range property.OneOf {
				if one.Type == "null" { // which huma takes for anything
					one.Enum = []any{nil}
					one.PrecomputeMessages()
				}
			}
		}
	}
	return doc
})

// described checks an answer against the description of the API.
func (w *world) described(r *http.Request, status int, header http.Header, body []byte) {
	_, pattern := w.server.mux.Handler(r)
	method, route, _ := strings.Cut(pattern, " ")
	doc := api()
	item := doc.Paths[route]
	if item == nil || r.Method == http.MethodHead || path.Clean(r.URL.Path) != r.URL.Path {
		return
	}
	op := map[string]*huma.Operation{http.MethodGet: item.Get, http.MethodPost: item.Post}[method]
	if op == nil {
		return
	}
	response, media := op.Responses[strconv.Itoa(status)], header.Get("Content-Type")
	if response == nil || response.Content[media] == nil {
		w.Errorf("%s answered %d with %s, which openapi.json does not know", pattern, status, media)
		return
	}
	for _, name := range []string{"Location", "Preference-Applied", "RateLimit", "RateLimit-Policy", "Retry-After", "WWW-Authenticate"} {
		if header.Get(name) != "" && response.Headers[name] == nil && (name != "Preference-Applied" || status < 300) {
			w.Errorf("%s answered %d with the header %s, which openapi.json does not know", pattern, status, name)
		}
	}
	if problem := (Problem{}); (route == reloadlyPath || route == "/oauth/token") && status >= 400 && status != http.StatusForbidden {
		if err := json.Unmarshal(body, &problem); err != nil || problem.Message == "" || route == reloadlyPath && status == http.StatusUnauthorized && problem.ErrorCode != "INVALID_TOKEN" {
			w.Errorf("%s answered %d, which does not say why under Reloadly's names: %s", pattern, status, body)
		}
	}
	var value any
	if err := json.Unmarshal(body, &value); err != nil {
		w.Errorf("%s: %v: %s", pattern, err, body)
		return
	}
	var found huma.ValidateResult
	huma.Validate(doc.Components.Schemas, response.Content[media].Schema, huma.NewPathBuffer(nil, 0), huma.ModeReadFromServer, value, &found)
	for _, err := range found.Errors {
		w.Errorf("%s answered %d, which is not what openapi.json says: %v\n%s", pattern, status, err, body)
	}
}
