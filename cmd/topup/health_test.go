package main

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// Only a 200 is health, and nothing is followed.
func TestHealth(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/well":
		case "/elsewhere":
			http.Redirect(w, r, "/well", http.StatusFound)
		default:
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer server.Close()
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	for url, want := range map[string]int{
		server.URL + "/well":                 exitOK,
		server.URL + "/elsewhere":            exitUnreachable,
		server.URL + "/unwell":               exitUnreachable,
		"http://127.0.0.1:1/well":            exitUnreachable,
		"127.0.0.1:8080":                     exitUsage,
		"http:///well":                       exitUsage,
		"http://user:pass@127.0.0.1:80/well": exitUsage,
		"file:///etc/passwd":                 exitUsage,
	} {
		if got := exitCode(askHealth(t.Context(), url)); got != want {
			t.Errorf("%s: exit %d, want %d", url, got, want)
		}
	}
}
