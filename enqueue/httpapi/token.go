package httpapi

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"time"
)

// tokenTime is what POST /oauth/token promises at most.
const tokenTime = 24 * time.Hour

// tokenRequest is Reloadly's own; the other fields of a client's are of no interest.
type tokenRequest struct {
	ClientID     string `json:"client_id" doc:"The name of an API key"`
	ClientSecret string `json:"client_secret" doc:"The key"`
	GrantType    string `json:"grant_type,omitempty" doc:"client_credentials"`
	Audience     string `json:"audience,omitempty" doc:"Not looked at"`
}

type tokenOutput struct {
	Body struct {
		AccessToken string `json:"access_token" doc:"The key itself: it holds as long as that does"`
		Scope       string `json:"scope" doc:"The key's scopes"`
		ExpiresIn   int    `json:"expires_in" doc:"Seconds after which to ask again"`
		TokenType   string `json:"token_type" enum:"Bearer"`
	} `nameHint:"Token"`
}

// token is POST /oauth/token: programs made for Reloadly ask for a token before
// anything else. They get their own secret back, which needs no second store of
// secrets; where no key is needed they get a word that opens nothing.
func (s *Server) token(ctx context.Context, _ *struct{}) (*tokenOutput, error) {
	x := exchangeOf(ctx)
	body, p := readJSON(x.w, x.r)
	if p != nil {
		return nil, p.likeReloadly("")
	}
	var in tokenRequest
	if err := json.Unmarshal(body, &in); err != nil {
		return nil, problem(http.StatusBadRequest, CodeWrongType, "client_id and client_secret: are not text").likeReloadly("")
	}
	ctx, cancel := context.WithTimeout(ctx, redisTime)
	defer cancel()
	out := &tokenOutput{}
	out.Body.TokenType, out.Body.ExpiresIn = "Bearer", int(tokenTime.Seconds())
	open, err := s.openToAll(ctx, x.r)
	if err != nil {
		return nil, s.problemOf(err, noResult, "").likeReloadly("")
	}
	if open {
		out.Body.AccessToken, out.Body.Scope = keyless, scopeText(Scopes())
		return out, nil
	}
	key, err := s.keys.find(ctx, in.ClientSecret)
	if err != nil {
		return nil, s.problemOf(err, noResult, "").likeReloadly("")
	}
	if key == nil || key.Name != in.ClientID {
		p := problem(http.StatusUnauthorized, CodeUnauthorized, "client_id is not the name of an API key, or client_secret is not that key").likeReloadly("INVALID_CREDENTIALS")
		p.Message = "Access Denied" // Reloadly's own word
		return nil, p
	}
	x.key = key.Name
	if p := s.limit(ctx, x, key, false); p != nil {
		return nil, p.likeReloadly("")
	}
	if !key.Expires.IsZero() {
		out.Body.ExpiresIn = max(1, int(min(tokenTime, time.Until(key.Expires)).Seconds()))
	}
	out.Body.AccessToken, out.Body.Scope = in.ClientSecret, scopeText(key.Scopes)
	return out, nil
}

func scopeText(scopes []Scope) string {
	words := make([]string, len(scopes))
	for i, scope := range scopes {
		words[i] = string(scope)
	}
	return strings.Join(words, " ")
}

// likeReloadly says it under Reloadly's names too.
func (p *Problem) likeReloadly(code string) *Problem {
	p.ErrorCode, p.Message = cmp.Or(code, p.ErrorCode), p.Detail
	return p
}
