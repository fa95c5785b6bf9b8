package monitor

import (
	"crypto/rand"
	"html/template"
	"mime"
	"net/http"
	"strings"

	"github.com/go-redis/redis_rate/v10"

	"example.com/topup/enqueue/httpapi"
)

// A form is a page of our own: no script, nothing from elsewhere.
var form = template.Must(template.New("form").Parse(`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<title>Topup monitor</title>
<style nonce="{{.Nonce}}">
body { font: 16px/1.5 sans-serif; margin: 15vh auto; max-width: 24rem; padding: 0 1rem; color: #222 }
input, button { font: inherit; box-sizing: border-box; width: 100%; padding: .5rem; margin-top: .5rem }
p[role=alert] { color: #a00 }
</style>
</head>
<body>
<h1>Topup monitor</h1>
{{- with .Wrong}}
<p role="alert">{{.}}</p>
{{- end}}
{{- if .Leave}}
<form method="post" action="` + logoutPath + `">
<button type="submit">Log out</button>
</form>
<p><a href="` + Path + `">Back to the queues</a></p>
{{- else}}
<form method="post" action="` + loginPath + `">
<label for="key">An API key with the scope read</label>
<input id="key" name="key" type="password" autocomplete="current-password" required autofocus>
<button type="submit">Log in</button>
</form>
{{- end}}
</body>
</html>
`))

type formData struct {
	Nonce, Wrong string
	Leave        bool
}

func writeForm(w http.ResponseWriter, status int, data formData) {
	data.Nonce = rand.Text()
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'nonce-"+data.Nonce+"'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	// With no-referrer a browser would say "Origin: null" of the form, and be refused.
	h.Set("Referrer-Policy", "same-origin")
	w.WriteHeader(status)
	_ = form.Execute(w, data) // who asked has gone
}

// loginsPerMinute bounds the sessions of one key, which stay in Redis for hours.
const loginsPerMinute = 10

// login shows the form and takes it. A key in the query is not looked at.
func (m *Monitor) login(w http.ResponseWriter, r *http.Request) {
	refuse := func(status int, text string) {
		m.log.WarnContext(r.Context(), "monitor login refused", "status", status)
		writeForm(w, status, formData{Wrong: text})
	}
	unavailable := func(err error) {
		m.log.WarnContext(r.Context(), "redis did not serve a login", "error", err)
		writeForm(w, http.StatusServiceUnavailable, formData{Wrong: "Redis does not answer: try again in a moment"})
	}
	open, err := m.cfg.Door.Open(r)
	if err != nil {
		unavailable(err)
		return
	}
	if open {
		http.Redirect(w, r, Path, http.StatusSeeOther)
		return
	}
	if !formMethod(w, r) {
		return
	}
	if r.Method != http.MethodPost {
		writeForm(w, http.StatusOK, formData{})
		return
	}
	if !saysFromHere(r) {
		refuse(http.StatusForbidden, "the browser does not say that this comes from here")
		return
	}
	if media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); media != "application/x-www-form-urlencoded" {
		refuse(http.StatusUnsupportedMediaType, "this is not the form")
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, 4<<10)
	if err := r.ParseForm(); err != nil {
		refuse(http.StatusBadRequest, "the form cannot be read")
		return
	}
	key, err := m.cfg.Door.FindKey(r.Context(), strings.TrimSpace(r.PostForm.Get("key")))
	switch {
	case err != nil:
		unavailable(err)
		return
	case key == nil:
		refuse(http.StatusUnauthorized, "this is no key, or one that holds no more")
		return
	}
	if problem := m.cfg.Door.Visit(r, key, true); problem != nil {
		refuse(problem.Status, problem.Detail)
		return
	}
	if !key.Allows(httpapi.Read) {
		refuse(http.StatusForbidden, "this key has not the scope read")
		return
	}
	limited, err := m.logins.Allow(r.Context(), "topup:monitor:login:"+key.Hash()[:16], redis_rate.PerMinute(loginsPerMinute))
	if err != nil {
		unavailable(err)
		return
	}
	if limited.Allowed == 0 {
		refuse(http.StatusTooManyRequests, "too many logins with this key: try again in a minute")
		return
	}
	if old := cookieOf(r); old != "" {
		err = m.sessions.end(r.Context(), old)
	}
	var cookie string
	if err == nil {
		cookie, err = m.sessions.begin(r.Context(), key.Hash())
	}
	if err != nil {
		unavailable(err)
		return
	}
	m.log.InfoContext(r.Context(), "monitor login", "key", key.Name)
	setCookie(w, r, cookie, m.cfg.SessionTime)
	http.Redirect(w, r, Path, http.StatusSeeOther)
}

// logout shows a button and takes it.
func (m *Monitor) logout(w http.ResponseWriter, r *http.Request) {
	if !formMethod(w, r) {
		return
	}
	if r.Method != http.MethodPost {
		writeForm(w, http.StatusOK, formData{Leave: true})
		return
	}
	if cookie := cookieOf(r); cookie != "" {
		if err := m.sessions.end(r.Context(), cookie); err != nil {
			m.log.WarnContext(r.Context(), "redis did not end a session", "error", err)
			writeForm(w, http.StatusServiceUnavailable, formData{Wrong: "Redis does not answer, so the session goes on: try again in a moment", Leave: true})
			return
		}
	}
	setCookie(w, r, "", 0)
	http.Redirect(w, r, loginPath, http.StatusSeeOther)
}

// formMethod refuses what a form has no use for.
func formMethod(w http.ResponseWriter, r *http.Request) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost:
		return true
	}
	w.Header().Set("Allow", "GET, HEAD, POST")
	http.Error(w, "this path takes GET, HEAD and POST alone", http.StatusMethodNotAllowed)
	return false
}
