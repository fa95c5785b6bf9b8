package httpapi

import (
	"context"
	"fmt"
	"math"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-redis/redis_rate/v10"
)

// keyless is the token that POST /oauth/token gives where no key is needed. It opens
// nothing.
const keyless = "no-key-is-needed-here"

// Bearer is the secret of a request, empty where it has none.
func Bearer(r *http.Request) string {
	scheme, secret, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(secret)
}

// authorize lets a request through whose key has the scope and has not used up its
// rate. An empty scope is any key.
func (s *Server) authorize(x *exchange, scope Scope) *Problem {
	ctx, cancel := context.WithTimeout(x.r.Context(), redisTime)
	defer cancel()
	open, err := s.openToAll(ctx, x.r)
	if err != nil {
		s.log.Warn("redis did not say whether there are keys", "error", err)
		return unavailable("the keys cannot be looked up now: repeat it with the same id")
	}
	if open {
		return nil
	}
	key, err := s.keys.find(ctx, Bearer(x.r))
	switch {
	case err != nil:
		s.log.Warn("redis did not say whether a key holds", "error", err)
		return unavailable("the keys cannot be looked up now: repeat it with the same id")
	case key == nil:
		return unauthorized(Bearer(x.r) == "")
	}
	x.key = key.Name
	if p := s.limit(ctx, x, key, scope == Submit); p != nil {
		return p
	}
	if scope != "" && !key.Allows(scope) {
		return problem(http.StatusForbidden, CodeForbidden, "this key has not the scope %s", scope)
	}
	return nil
}

func unauthorized(none bool) *Problem {
	detail := "this key is none, or holds no more (topup key list shows those that do)"
	if none {
		detail = "a key is needed: send the header Authorization: Bearer KEY (topup key create makes one)"
	}
	return problem(http.StatusUnauthorized, CodeUnauthorized, "%s", detail).header("WWW-Authenticate", `Bearer realm="topup"`)
}

// limit counts the request against the key's rate, which all servers share. Where Redis
// does not count it, a request that may pay goes no further: the counter can fail while
// the jobs are there (in a cluster it lies on another node), and the rate is what holds a
// stolen or runaway key back. Its caller loses nothing by repeating it with the same id.
// What only looks goes on: a full Redis, which counts no more, is still worth a look.
func (s *Server) limit(ctx context.Context, x *exchange, key *Key, pays bool) *Problem {
	result, err := s.limiter.Allow(ctx, "topup:key:"+key.hash[:16], redis_rate.PerSecond(key.PerSecond))
	if err != nil {
		s.log.Warn("redis did not count a request", "error", err)
		if !pays {
			return nil // if it needs Redis, it says itself that Redis is away
		}
		return unavailable("the rate of this key cannot be counted now: nothing was done, repeat it with the same id")
	}
	h := x.w.Header()
	h.Set("RateLimit-Policy", fmt.Sprintf(`"key";q=%d;w=1`, key.PerSecond))
	h.Set("RateLimit", fmt.Sprintf(`"key";r=%d;t=%d`, result.Remaining, int(math.Ceil(result.ResetAfter.Seconds()))))
	if result.Allowed > 0 {
		return nil
	}
	return problem(http.StatusTooManyRequests, CodeRateLimited, "this key may ask %d times a second: repeat it with the same id a little later", key.PerSecond).
		retryAfter(max(result.RetryAfter, time.Millisecond))
}

// openToAll reports whether no key is needed: on a loopback listener, by a caller on
// this machine, while there is none at all. Once there is a key, keys are needed until
// the process ends.
func (s *Server) openToAll(ctx context.Context, r *http.Request) (bool, error) {
	if !s.loopback.Load() {
		return false, nil
	}
	some, err := s.keys.exist(ctx)
	if err != nil {
		return false, err
	}
	if some {
		s.loopback.Store(false)
		return false, nil
	}
	return localHost(r.Host) && !forwarded(r.Header), nil
}

// forwarded reports whether a proxy says that it passes the request on. Its callers are
// not on this machine, whatever host it names.
func forwarded(h http.Header) bool {
	for name := range h {
		if name == "Forwarded" || name == "Via" || name == "X-Real-Ip" || strings.HasPrefix(name, "X-Forwarded-") {
			return true
		}
	}
	return false
}

// localHost refuses a page of another site whose name was made to mean this machine.
func localHost(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}

// require is [Server.authorize] in front of an operation.
func (s *Server) require(scope Scope) huma.Middlewares {
	return huma.Middlewares{func(ctx huma.Context, next func(huma.Context)) {
		x := exchangeOf(ctx.Context())
		if p := s.authorize(x, scope); p != nil {
			if ctx.Operation().Path == reloadlyPath {
				p = p.likeReloadly(refusal[p.Status])
			}
			p.write(x.w)
			return
		}
		next(ctx)
	}}
}
