package monitor

import (
	"net/http"

	"example.com/topup/enqueue/httpapi"
)

// visitor is who asks.
type visitor struct {
	key     *httpapi.Key // nil where none is needed
	session string       // of the cookie; empty for a Bearer token
}

func (v visitor) name() string {
	if v.key == nil {
		return ""
	}
	return v.key.Name
}

// refusal is why a visitor may not come in, in plain text: asynqmon's page shows it.
type refusal struct {
	status  int
	text    string
	problem *httpapi.Problem
}

func (f *refusal) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if f.problem != nil {
		f.problem.ServeHTTP(w, r)
		return
	}
	if f.status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="topup"`)
	}
	http.Error(w, f.text, f.status)
}

var away = &refusal{status: http.StatusServiceUnavailable, text: "the keys cannot be looked up now: try again in a moment"}

// admit finds out who asks, and lets nobody in who may not look.
func (m *Monitor) admit(r *http.Request, counts bool) (visitor, *refusal) {
	open, err := m.cfg.Door.Open(r)
	if err != nil {
		return visitor{}, m.cannotTell(r, err)
	}
	if open {
		return visitor{}, nil
	}
	v := visitor{}
	if secret := httpapi.Bearer(r); secret != "" {
		v.key, err = m.cfg.Door.FindKey(r.Context(), secret)
	} else if cookie := cookieOf(r); cookie != "" {
		v.session = cookie
		v.key, err = m.ofSession(r, cookie)
	}
	switch {
	case err != nil:
		return visitor{}, m.cannotTell(r, err)
	case v.key == nil:
		return visitor{}, &refusal{status: http.StatusUnauthorized, text: "a key is needed: log in at " + loginPath}
	}
	if problem := m.cfg.Door.Visit(r, v.key, counts); problem != nil {
		return visitor{}, &refusal{status: problem.Status, problem: problem}
	}
	if !v.key.Allows(httpapi.Read) {
		return visitor{}, &refusal{status: http.StatusForbidden, text: "this key has not the scope read"}
	}
	return v, nil
}

// ofSession is the key that a cookie stands for, as it is now.
func (m *Monitor) ofSession(r *http.Request, cookie string) (*httpapi.Key, error) {
	hash, err := m.sessions.find(r.Context(), cookie)
	if err != nil || hash == "" {
		return nil, err
	}
	return m.cfg.Door.FindKeyByHash(r.Context(), hash)
}

func (m *Monitor) cannotTell(r *http.Request, err error) *refusal {
	m.log.WarnContext(r.Context(), "redis did not say who uses the monitor", "error", err)
	return away
}
