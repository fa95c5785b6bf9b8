package monitor

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"html/template"
	"net/http"
	"regexp"
	"strings"
)

// protect sets what every answer has. The page and the forms have a
// Content-Security-Policy of their own.
func protect(h http.Header) {
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
}

// page is asynqmon's page without what it loads from elsewhere.
type page struct {
	text    string // with nonceHere where the nonce belongs, and leaveHere before the end
	scripts string // the CSP sources of its inline scripts
}

const (
	nonceHere = "{{nonce}}"
	leaveHere = "{{leave}}"
)

var (
	// foreign is a link to what the browser would load from another host: Google's fonts.
	foreign = regexp.MustCompile(`<link\b[^>]*\bhref="(?:https?:)?//[^>]*>`)
	// manifest is for installing the page as an app; browsers ask for it without a cookie.
	manifest = regexp.MustCompile(`<link\b[^>]*\brel="manifest"[^>]*>`)
	inline   = regexp.MustCompile(`(?s)<script>(.*?)</script>`)
	loaded   = regexp.MustCompile(`(?:src|href)="(?:[a-z]+:)?//`)
)

// newPage makes a page of asynqmon's. Its styles are made by its scripts, which take
// the nonce from the element that is added here.
func newPage(text string) (*page, error) {
	text = foreign.ReplaceAllString(text, "")
	text = manifest.ReplaceAllString(text, "")
	p := &page{}
	for _, script := range inline.FindAllStringSubmatch(text, -1) {
		sum := sha256.Sum256([]byte(script[1]))
		p.scripts += " 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	}
	head, body := strings.Index(text, "</head>"), strings.LastIndex(text, "</body>")
	if loaded.MatchString(text) || p.scripts == "" || head < 0 || body < head {
		return nil, errors.New("monitor: asynqmon's page is not the one that this package was made for (look at what its new version loads)")
	}
	p.text = text[:head] + `<meta property="csp-nonce" content="` + nonceHere + `">` + text[head:body] + leaveHere + text[body:]
	return p, nil
}

// leave is the way out.
var leave = template.Must(template.New("leave").Parse(`<style nonce="{{.Nonce}}">
#topup-leave { position: fixed; top: 24px; right: 24px; z-index: 2000; font: 14px sans-serif; color: #555 }
</style><a id="topup-leave" href="` + logoutPath + `">{{.Name}}: log out</a>`))

// write sends the page to a visitor.
func (p *page) write(w http.ResponseWriter, v visitor) {
	nonce := rand.Text()
	var out strings.Builder
	if v.session != "" {
		_ = leave.Execute(&out, struct{ Nonce, Name string }{nonce, v.name()}) // a Builder takes everything
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'"+p.scripts+"; style-src 'nonce-"+nonce+
		"'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	text := strings.NewReplacer(nonceHere, nonce, leaveHere, out.String()).Replace(p.text)
	_, _ = w.Write([]byte(text)) // who asked has gone
}
