package reloadly

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

const (
	// refreshEarly is how long before its end a token is replaced; a quarter of a short life.
	refreshEarly = 5 * time.Minute
	// lockFor is how long one process may take to get a token for the fleet, and how long the others
	// wait for it before each helps itself: the lock saves requests, it protects nothing.
	lockFor = 10 * time.Second
	// lockPoll is how often they look.
	lockPoll = 100 * time.Millisecond
	// cacheTimeout bounds one question to the cache.
	cacheTimeout = time.Second
)

var errClosed = errors.New("the client is closed")

// tokenSource hands out a usable token, from memory, else from the cache, else from the provider.
//
// A token is replaced early and in the background: its callers neither wait nor fail as long as the old
// one is good.
type tokenSource struct {
	c      *Client
	group  singleflight.Group
	ctx    context.Context // of the background work, which outlives the call that began it; ended by close
	cancel context.CancelFunc
	work   sync.WaitGroup

	mu      sync.Mutex
	closed  bool
	current *Token
	dropped string    // the value a 401 ended last: the cache may still offer it
	renewAt time.Time // when current is to be replaced
}

func newTokenSource(c *Client) *tokenSource {
	ctx, cancel := context.WithCancel(context.Background()) // ends with Client.Close
	return &tokenSource{c: c, ctx: ctx, cancel: cancel}
}

func (s *tokenSource) close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.cancel()
	s.work.Wait()
}

// get returns a usable token. The error has the outcome NotSent.
func (s *tokenSource) get(ctx context.Context) (*Token, *Error) {
	if err := ctx.Err(); err != nil {
		return nil, cancelled(err)
	}
	t, due := s.remembered()
	if t != nil && !due {
		return t, nil
	}
	flight := s.group.DoChan("", func() (any, error) { return s.fly(t) })
	if t != nil {
		return t, nil // the flight goes on without us
	}
	select {
	case <-ctx.Done():
		return nil, cancelled(ctx.Err())
	case r := <-flight:
		if r.Err != nil {
			e, ok := errors.AsType[*Error](r.Err)
			if !ok {
				e = cancelled(r.Err)
			}
			return nil, e
		}
		return r.Val.(*Token), nil
	}
}

func cancelled(err error) *Error {
	return &Error{Op: opToken, Outcome: NotSent, Advice: RetryLater, Code: CodeCancelled, Err: err}
}

// remembered returns the token in memory while it can be used, and whether this caller is to have it
// replaced. Only one caller per tenth of the early time is: a provider that is down is not asked by all.
func (s *tokenSource) remembered() (t *Token, due bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.c.cfg.Now()
	if !usable(s.current, now) {
		return nil, true
	}
	if now.Before(s.renewAt) {
		return s.current, false
	}
	s.renewAt = now.Add(early(s.current) / 10)
	return s.current, true
}

// usable leaves a margin for the way to the provider: ten seconds, or a tenth of a short life.
func usable(t *Token, now time.Time) bool {
	return t != nil && now.Before(t.Expires.Add(-min(10*time.Second, t.Expires.Sub(t.Issued)/10)))
}

func early(t *Token) time.Duration { return min(refreshEarly, t.Expires.Sub(t.Issued)/4) }

// fly is the one flight of this process. old is the usable token its caller saw, or nil: another flight
// may have replaced it between that look and this take-off, and then there is nothing left to do.
func (s *tokenSource) fly(old *Token) (any, error) {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil, errClosed
	}
	if t := s.current; t != old && usable(t, s.c.cfg.Now()) {
		s.mu.Unlock()
		return t, nil
	}
	s.work.Add(1)
	s.mu.Unlock()
	defer s.work.Done()

	ctx, cancel := context.WithTimeout(s.ctx, lockFor+s.c.cfg.ReadRetryFor+s.c.cfg.ReadTimeout)
	defer cancel()
	t, e := s.renew(ctx)
	if e != nil {
		if s.ctx.Err() == nil {
			s.c.cfg.Logger.WarnContext(ctx, "reloadly access could not be renewed", "error", e)
		}
		return nil, e
	}
	return t, nil
}

// renew finds a newer token than the one in memory: another process may have stored it, or may be
// getting it right now, or it is for us to get.
func (s *tokenSource) renew(ctx context.Context) (*Token, *Error) {
	cache := s.cache()
	if cache == nil {
		return s.fetch(ctx)
	}
	deadline := time.Now().Add(lockFor)
	for time.Now().Before(deadline) {
		t, ok := s.cached(ctx, cache)
		if t != nil {
			return s.keep(t), nil
		}
		if !ok {
			break // the cache is away
		}
		unlock, held, err := s.lock(ctx, cache)
		if err != nil {
			break
		}
		if held {
			defer s.unlock(unlock)
			// The one before us may have stored it between our look and our lock.
			if t, _ := s.cached(ctx, cache); t != nil {
				return s.keep(t), nil
			}
			break
		}
		select {
		case <-ctx.Done():
			return nil, cancelled(ctx.Err())
		case <-time.After(lockPoll):
		}
	}
	return s.fetch(ctx)
}

// cached returns the cache's token if it is usable and better than ours; ok is false when the cache is away.
func (s *tokenSource) cached(ctx context.Context, cache TokenCache) (t *Token, ok bool) {
	ctx, cancel := context.WithTimeout(ctx, cacheTimeout)
	defer cancel()
	t, err := cache.Get(ctx)
	if err != nil {
		s.c.cfg.Logger.DebugContext(ctx, "reloadly access cache is away", "error", err)
		return nil, false
	}
	now := s.c.cfg.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !usable(t, now) || t.Value == s.dropped || t.Audience != s.c.cfg.Audience || t.Source != s.c.cfg.AuthURL {
		return nil, true
	}
	if usable(s.current, now) && !t.Expires.After(s.current.Expires) {
		return nil, true
	}
	return t, true
}

func (s *tokenSource) lock(ctx context.Context, cache TokenCache) (func(context.Context), bool, error) {
	ctx, cancel := context.WithTimeout(ctx, cacheTimeout)
	defer cancel()
	return cache.Lock(ctx, lockFor)
}

func (s *tokenSource) unlock(unlock func(context.Context)) {
	// Not the flight's context: when that has ended, the lock is to be given back all the same.
	ctx, cancel := context.WithTimeout(context.Background(), cacheTimeout)
	defer cancel()
	unlock(ctx)
}

// fetch asks the provider, in memory first and then for the fleet.
func (s *tokenSource) fetch(ctx context.Context) (*Token, *Error) {
	t, e := s.c.requestToken(ctx, s.c.current.Load())
	if e != nil {
		return nil, e
	}
	s.keep(t)
	s.share(ctx, t)
	return t, nil
}

// cache is where the access of the current credentials is shared.
func (s *tokenSource) cache() TokenCache { return s.c.current.Load().cache }

// share offers a token to the other processes.
func (s *tokenSource) share(ctx context.Context, t *Token) {
	if cache := s.cache(); cache != nil {
		ctx, cancel := context.WithTimeout(ctx, cacheTimeout)
		defer cancel()
		if err := cache.Set(ctx, *t); err != nil {
			s.c.cfg.Logger.DebugContext(ctx, "reloadly access not shared", "error", err)
		}
	}
}

// keep makes t the token of this process. The jitter keeps a fleet from renewing at one instant.
func (s *tokenSource) keep(t *Token) *Token {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current = t
	lead := early(t)
	s.renewAt = t.Expires.Add(-lead - rand.N(lead/5+1))
	return t
}

// drop forgets a token that a 401 has ended, here and in the cache, unless a newer one has taken its place.
func (s *tokenSource) drop(ctx context.Context, value string) {
	s.mu.Lock()
	s.dropped = value
	if s.current != nil && s.current.Value == value {
		s.current = nil
	}
	s.mu.Unlock()
	if cache := s.cache(); cache != nil {
		// A cancelled call has still learnt that this token is dead.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cacheTimeout)
		defer cancel()
		if err := cache.Drop(ctx, value); err != nil {
			s.c.cfg.Logger.DebugContext(ctx, "reloadly access not dropped from the cache", "error", err)
		}
	}
}
