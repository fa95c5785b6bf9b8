package monitor

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"example.com/topup/enqueue/httpapi"
)

var (
	anAddress = regexp.MustCompile(`(?:https?:)?//[a-zA-Z0-9.-]+\.[a-z]{2,}[^"'\\ )<>]*`)
	// loads is what a browser fetches without being asked, in HTML and CSS.
	loads = regexp.MustCompile(`(?i)(?:<(?:script|link|img|iframe|object|embed|source|video|audio|base)\b[^>]*\b(?:src|href|data|srcset)=|@import|url\()\s*["']?([^"'\s)>]*)`)
)

// notLoaded are the addresses in asynqmon's scripts: names of XML, links in texts that
// people may follow, and comments.
var notLoaded = []string{
	"http://www.w3.org/", "https://reactjs.org/docs/error-decoder.html", "https://fb.me/", "http://fb.me/", "https://redis.io/commands/",
	"https://github.com/", "https://redux.js.org/Errors", "https://material-ui.com/production-error/", "https://bit.ly/3cXEKWf", "https://axios-http.com",
	"https://feross.org",
}

// Nothing that is served makes a browser ask another host, and the policy would stop it.
func TestNothingFromElsewhere(t *testing.T) {
	rdb := realRedis(t)
	control := makeKey(t, rdb, httpapi.Key{Name: "control", Scopes: httpapi.Scopes(), PerSecond: 10_000})
	w := newWorld(t, rdb, func(c *Config) { c.Write = true })
	session := w.login(control)
	bearer := []string{"Authorization", "Bearer " + control}

	nonces := map[string]bool{}
	for _, page := range []struct {
		path    string
		headers []string
	}{
		{"/monitor/", session},
		{"/monitor/", bearer},
		{"/monitor/queues/topups?status=completed", session},
		{"/monitor/queues/topups/tasks/x.js", session},
		{"/monitor/index.html", session},
		{"/monitor/login", nil},
		{"/monitor/logout", session},
	} {
		a := w.want(200, "<!doctype html>", "GET", page.path, page.headers...)
		for _, found := range loads.FindAllStringSubmatch(a.body, -1) {
			if !strings.HasPrefix(found[1], "/monitor/") {
				t.Errorf("%s loads %q", page.path, found[1])
			}
		}
		if strings.Contains(a.body, "http:") || strings.Contains(a.body, "https:") || strings.Contains(a.body, "{{") {
			t.Errorf("%s: %s", page.path, a.body)
		}
		policy := a.header.Get("Content-Security-Policy")
		nonce := regexp.MustCompile(`'nonce-([A-Z0-9]{20,})'`).FindStringSubmatch(policy)
		if nonce == nil || nonces[nonce[1]] {
			t.Fatalf("%s: no new nonce: %s", page.path, policy)
		}
		nonces[nonce[1]] = true
		for _, directive := range []string{"default-src 'none'", "base-uri 'none'", "frame-ancestors 'none'", "style-src 'nonce-" + nonce[1] + "'"} {
			if !slices.Contains(strings.Split(policy, "; "), directive) {
				t.Errorf("%s: no %s: %s", page.path, directive, policy)
			}
		}
		if regexp.MustCompile(`unsafe|\*|:/|http`).MatchString(policy) || !strings.HasPrefix(a.header.Get("Content-Type"), "text/html") ||
			a.header.Get("X-Frame-Options") != "DENY" || a.header.Get("X-Content-Type-Options") != "nosniff" || a.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %v", page.path, a.header)
		}
		for _, script := range regexp.MustCompile(`(?s)<script>(.*?)</script>`).FindAllStringSubmatch(a.body, -1) {
			sum := sha256.Sum256([]byte(script[1]))
			if !strings.Contains(policy, "'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'") {
				t.Errorf("%s: the policy stops a script of its own", page.path)
			}
		}
		for _, style := range regexp.MustCompile(`<style[^>]*>`).FindAllString(a.body, -1) {
			if style != `<style nonce="`+nonce[1]+`">` {
				t.Errorf("%s: the policy stops a style of its own: %s", page.path, style)
			}
		}
		if strings.Contains(a.body, `id="root"`) {
			if !strings.Contains(a.body, `<meta property="csp-nonce" content="`+nonce[1]+`"></head>`) || a.header.Get("Referrer-Policy") != "no-referrer" || !strings.Contains(policy, "form-action 'none'") {
				t.Errorf("%s: %v %s", page.path, a.header, a.body[:2000])
			}
		} else if strings.Contains(policy, "script-src") || a.header.Get("Referrer-Policy") != "same-origin" || !strings.Contains(policy, "form-action 'self'") {
			t.Errorf("%s: %v", page.path, a.header)
		}
	}

	// Every file of asynqmon's.
	dir, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/hibiken/asynqmon").Output()
	if err != nil {
		t.Fatal(err)
	}
	root := filepath.Join(strings.TrimSpace(string(dir)), "ui", "build")
	served := 0
	err = fs.WalkDir(os.DirFS(root), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		path := Path + name
		a := w.ask("GET", path, "", session...)
		if strings.HasPrefix(a.header.Get("Content-Type"), "text/html") {
			return nil // the page, which was looked at
		}
		content, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			return err
		}
		if strings.HasSuffix(name, ".map") && a.status == 404 {
			return nil // of no use to a browser
		}
		if a.status != 200 || a.body != string(content) || a.header.Get("Cache-Control") != "private, max-age=86400" || a.header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %d %v", path, a.status, a.header)
		}
		served++
		media, _, _ := strings.Cut(a.header.Get("Content-Type"), ";")
		switch filepath.Ext(name) {
		case ".js":
			if media != "text/javascript" {
				t.Errorf("%s: %s", path, media)
			}
			for _, address := range anAddress.FindAllString(a.body, -1) {
				known := slices.ContainsFunc(notLoaded, func(known string) bool { return strings.HasPrefix(address, known) })
				if strings.Contains(address, "http") && !known {
					t.Errorf("%s: %s", path, address)
				}
			}
		case ".svg":
			if media != "image/svg+xml" {
				t.Errorf("%s: %s", path, media)
			}
		}
		if a.header.Get("Content-Security-Policy") == "" || a.header.Get("Cross-Origin-Resource-Policy") != "same-origin" {
			t.Errorf("%s: %v", path, a.header)
		}
		return nil
	})
	if err != nil || served < 9 {
		t.Errorf("%d files: %v", served, err)
	}
	w.want(404, "no such file", "GET", "/monitor/static/nothing.js", session...)
	w.want(404, "no such file", "GET", "/monitor/static/", session...)
	a := w.want(200, "queues", "GET", "/monitor/api/queues", session...)
	if a.header.Get("Content-Type") != "application/json" || a.header.Get("Cache-Control") != "no-store" || a.header.Get("Content-Security-Policy") == "" {
		t.Errorf("%v", a.header)
	}
	if a = w.ask("GET", "/monitor/api/queues/%3Cscript%3E", "", session...); strings.HasPrefix(a.header.Get("Content-Type"), "text/html") && strings.Contains(a.body, "<script>alert") {
		t.Errorf("%+v", a)
	}
}

// A new version of asynqmon's that loads something else is noticed when it is built in.
func TestOddPages(t *testing.T) {
	whole := func(head string) string {
		return `<!doctype html><html><head>` + head + `</head><body><script>1</script></body></html>`
	}
	for _, fine := range []string{"", `<link rel="stylesheet" href="https://fonts.example/x"/>`, `<link href="//fonts.example/x">`, `<link rel="manifest" href="/x"/>`, `<a href="/x">`} {
		p, err := newPage(whole(fine))
		if err != nil || strings.Contains(p.text, "<link") || strings.Count(p.scripts, "sha256-") != 1 {
			t.Errorf("%s: %+v %v", fine, p, err)
		}
	}
	for _, odd := range []string{"", "<html>", whole(`<script src="https://cdn.example/x.js"></script>`), whole(`<img src="//cdn.example/x">`), `<head></head><body></body>`, `<script>1</script></body></head>`} {
		if p, err := newPage(odd); err == nil {
			t.Errorf("%s: %+v", odd, p)
		}
	}
	if !strings.Contains(fmt.Sprint(func() error { _, err := newPage(""); return err }()), "monitor: ") {
		t.Error("the error does not say where")
	}
}
