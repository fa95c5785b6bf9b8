package httpapi

import (
	"bytes"
	"encoding/json"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"example.com/topup/enqueue"
)

// What the server serves is the committed file: whoever changes the API sees it in a diff.
func TestOpenAPI(t *testing.T) {
	w := newWorld(t, nil)
	a := w.ask("GET", "/openapi.json", "")
	if a.status != 200 || a.header.Get("Content-Type") != "application/json" || !json.Valid(a.body) {
		t.Fatalf("%d %s", a.status, a.header.Get("Content-Type"))
	}
	served := append(a.body, '\n')
	const name = "openapi.json"
	committed, err := os.ReadFile(name)
	if err != nil && !*update {
		t.Fatal(err)
	}
	if bytes.Equal(committed, served) {
		return
	}
	if !*update {
		t.Fatal("openapi.json is not the API: go test ./enqueue/httpapi -run TestOpenAPI -update, and look at the difference")
	}
	if err := os.WriteFile(name, served, 0o644); err != nil {
		t.Fatal(err)
	}
}

// What a browser sends on behalf of another site is refused, as the document says of every path.
func TestCrossOriginIsDescribed(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.WebhookSecret = "s" })
	for path, item := range api().Paths {
		if item.Post != nil {
			w.problem(w.ask("POST", strings.ReplaceAll(path, "{id}", "x"), "{}", "Sec-Fetch-Site", "cross-site"), 403, CodeCrossOrigin)
		}
	}
}

// The document, the decoder and enqueue speak of the same fields.
func TestFieldsAreEnqueues(t *testing.T) {
	names := func(of reflect.Type) []string {
		var all []string
		for i := range of.NumField() {
			name, _, _ := strings.Cut(of.Field(i).Tag.Get("json"), ",")
			all = append(all, name)
		}
		slices.Sort(all)
		return all
	}
	keys := func(m map[string]kind) []string {
		var all []string
		for name := range m {
			all = append(all, name)
		}
		slices.Sort(all)
		return all
	}
	job, phone := names(reflect.TypeFor[enqueue.TopUp]()), names(reflect.TypeFor[enqueue.Phone]())
	if got := keys(topUpFields); !slices.Equal(got, job) {
		t.Errorf("the decoder knows %v, a job has %v", got, job)
	}
	if got := keys(phoneFields); !slices.Equal(got, phone) {
		t.Errorf("the decoder knows %v, a phone has %v", got, phone)
	}
	if got := names(reflect.TypeFor[topUpRequest]()); !slices.Equal(got, job) {
		t.Errorf("the document describes %v, a job has %v", got, job)
	}
	if got := names(reflect.TypeFor[phoneRequest]()); !slices.Equal(got, phone) {
		t.Errorf("the document describes %v, a phone has %v", got, phone)
	}
	if got, want := len(words), int(someTexts)+1; got != want {
		t.Errorf("%d of %d kinds have words", got, want)
	}
}
