package sandbox

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	envSandbox      = sandboxEnvironment
	envLive         = liveEnvironment
	audienceSandbox = "https://topups-sandbox.reloadly.com"
	audienceLive    = "https://topups.reloadly.com"
	tokenScope      = "send-topups read-operators read-promotions read-topups-history read-prepaid-balance read-prepaid-commissions"

	// Wrong secrets that show the two other forms of the refusal.
	secretOlderForm   = "older-form"
	secretGatewayForm = "gateway-form"
)

type token struct {
	env     string
	expires time.Time
}

// own is the environment of hosts that are not Reloadly's names.
func (s *Simulator) own() string { return s.cfg.Environment }

func (s *Simulator) environment(c Credential) string {
	if c.Environment == "" {
		return s.own()
	}
	return c.Environment
}

// hostEnvironment is the environment that a request is addressed to.
func (s *Simulator) hostEnvironment(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	switch strings.ToLower(host) {
	case "topups-sandbox.reloadly.com":
		return envSandbox
	case "topups.reloadly.com":
		return envLive
	}
	return s.own()
}

func (s *Simulator) audienceEnvironment(audience, host string) (string, bool) {
	switch strings.TrimSuffix(audience, "/") {
	case audienceSandbox:
		return envSandbox, true
	case audienceLive:
		return envLive, true
	}
	if u, err := url.Parse(audience); err == nil && u.Host != "" && u.Host == host {
		return s.own(), true // the simulator's own address
	}
	return "", false
}

func (s *Simulator) handleToken(w http.ResponseWriter, r *http.Request) {
	var in struct {
		ID       string `json:"client_id"`
		Secret   string `json:"client_secret"`
		Grant    string `json:"grant_type"`
		Audience string `json:"audience"`
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<16))
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/json" || json.Unmarshal(body, &in) != nil {
		s.refuse(w, r, http.StatusBadRequest, "JSON_SYNTAX_ERROR", "The token request is not JSON")
		return
	}
	if in.Grant != "client_credentials" {
		s.refuse(w, r, http.StatusBadRequest, "INVALID_GRANT_TYPE", "The grant type is not supported")
		return
	}
	switch in.Secret {
	case secretOlderForm:
		s.refuse(w, r, http.StatusUnauthorized, "", "Access Denied")
		return
	case secretGatewayForm:
		writeBody(w, http.StatusForbidden, map[string]any{"error": "access_denied", "error_description": "Unauthorized"})
		return
	}
	found, ok := s.credential(in.ID, in.Secret)
	if !ok {
		s.refuse(w, r, http.StatusUnauthorized, "INVALID_CREDENTIALS", "Access Denied")
		return
	}
	env, ok := s.audienceEnvironment(in.Audience, r.Host)
	if !ok || (found != "" && env != found) {
		s.refuse(w, r, http.StatusUnauthorized, "INVALID_AUDIENCE", "Access Denied")
		return
	}
	text := "sim-" + rand.Text() + rand.Text()
	now := s.now()
	s.mu.Lock()
	for k, t := range s.tokens {
		if now.Sub(t.expires) > time.Hour {
			delete(s.tokens, k)
		}
	}
	s.tokens[text] = token{env: env, expires: now.Add(s.cfg.TokenLife)}
	s.mu.Unlock()
	writeBody(w, http.StatusOK, map[string]any{
		"access_token": text, "scope": tokenScope, "token_type": "Bearer",
		"expires_in": int64(s.cfg.TokenLife / time.Second),
	})
}

// credential finds the environment of a key; with no keys set any without the word "wrong" is taken.
func (s *Simulator) credential(id, secret string) (string, bool) {
	if len(s.cfg.Credentials) == 0 {
		return "", id != "" && secret != "" && !strings.Contains(id+" "+secret, "wrong")
	}
	for _, c := range s.cfg.Credentials {
		if c.ClientID == id && subtle.ConstantTimeCompare([]byte(c.ClientSecret), []byte(secret)) == 1 {
			return s.environment(c), true
		}
	}
	return "", false
}

// authorised lets requests with a good token through.
func (s *Simulator) authorised(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		kind, text, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		text = strings.TrimSpace(text)
		if !strings.EqualFold(kind, "Bearer") || text == "" {
			s.refuse(w, r, http.StatusUnauthorized, "MISSING_TOKEN", "Access token is missing")
			return
		}
		s.mu.Lock()
		t, ok := s.tokens[text]
		s.mu.Unlock()
		want := s.hostEnvironment(r.Host)
		switch {
		case !ok || (want != "" && t.env != "" && t.env != want):
			s.refuse(w, r, http.StatusUnauthorized, "INVALID_TOKEN", "Access token is invalid")
		case !s.now().Before(t.expires):
			s.refuse(w, r, http.StatusUnauthorized, "TOKEN_EXPIRED", "Access token has expired")
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// RevokeTokens makes every token given out so far invalid.
func (s *Simulator) RevokeTokens() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.tokens)
}
