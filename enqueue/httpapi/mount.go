package httpapi

import (
	"context"
	"net/http"
)

// Mount has h answer everything under path, which ends in a slash, beside the API. Who
// may come in is for h to ask, by the methods below. Mount before [Server.Serve].
func (s *Server) Mount(path string, h http.Handler) { s.mux.Handle(path, h) }

// Open reports whether the request needs no key; see [Server.Serve].
func (s *Server) Open(r *http.Request) (bool, error) {
	ctx, cancel := context.WithTimeout(r.Context(), redisTime)
	defer cancel()
	return s.openToAll(ctx, r)
}

// FindKey is the key of a secret; nil where it is none, or holds no more.
func (s *Server) FindKey(ctx context.Context, secret string) (*Key, error) {
	ctx, cancel := context.WithTimeout(ctx, redisTime)
	defer cancel()
	return s.keys.find(ctx, secret)
}

// FindKeyByHash is the key of a [Key.Hash]; nil where it holds no more. A hash that a
// caller sent must not get here: it would open what only the secret may.
func (s *Server) FindKeyByHash(ctx context.Context, hash string) (*Key, error) {
	ctx, cancel := context.WithTimeout(ctx, redisTime)
	defer cancel()
	return s.keys.findHash(ctx, hash)
}

// Visit writes into the log whose request this is. One that counts is counted against
// the key's rate: a problem is the answer where that is used up.
func (s *Server) Visit(r *http.Request, key *Key, counts bool) *Problem {
	x := exchangeOf(r.Context())
	x.key = key.Name
	if !counts {
		return nil
	}
	ctx, cancel := context.WithTimeout(r.Context(), redisTime)
	defer cancel()
	return s.limit(ctx, x, key, false)
}

// ServeHTTP answers with the problem.
func (p *Problem) ServeHTTP(w http.ResponseWriter, _ *http.Request) { p.write(w) }
