package monitor

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// redisTime is how long Redis may take to say who asks.
var redisTime = 5 * time.Second

// sessions are the logins. Redis has the SHA-256 of each cookie with the hash of its key.
type sessions struct {
	rdb  redis.UniversalClient
	time time.Duration
}

// sessionKey is a string with a TTL: the hash of the key that logged in.
func sessionKey(cookie string) string {
	sum := sha256.Sum256([]byte(cookie))
	return "topup:monitor:session:" + hex.EncodeToString(sum[:])
}

// begin makes a session and returns its cookie's value, which is not kept.
func (s *sessions) begin(ctx context.Context, keyHash string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, redisTime)
	defer cancel()
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	cookie := base64.RawURLEncoding.EncodeToString(b[:])
	if err := s.rdb.Set(ctx, sessionKey(cookie), keyHash, s.time).Err(); err != nil {
		return "", fmt.Errorf("monitor: begin a session: %w", err)
	}
	return cookie, nil
}

// find is the hash of the key that a cookie stands for, empty where it stands for none.
func (s *sessions) find(ctx context.Context, cookie string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, redisTime)
	defer cancel()
	hash, err := s.rdb.Get(ctx, sessionKey(cookie)).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return "", fmt.Errorf("monitor: read a session: %w", err)
	}
	return hash, nil
}

// end ends a session.
func (s *sessions) end(ctx context.Context, cookie string) error {
	ctx, cancel := context.WithTimeout(ctx, redisTime)
	defer cancel()
	if err := s.rdb.Del(ctx, sessionKey(cookie)).Err(); err != nil {
		return fmt.Errorf("monitor: end a session: %w", err)
	}
	return nil
}

const (
	cookieName   = "topup_monitor"
	cookieLength = 43 // 256 bits in base64
)

// cookieOf is the session's cookie, empty where there is none that can be one.
func cookieOf(r *http.Request) string {
	c, err := r.Cookie(cookieName)
	if err != nil || len(c.Value) != cookieLength {
		return ""
	}
	return c.Value
}

// setCookie gives the browser its session; an empty one takes it away.
func setCookie(w http.ResponseWriter, r *http.Request, value string, holds time.Duration) {
	c := &http.Cookie{
		Name: cookieName, Value: value, Path: strings.TrimSuffix(Path, "/"), MaxAge: int(holds.Seconds()),
		HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: overTLS(r),
	}
	if value == "" {
		c.MaxAge = -1
	}
	http.SetCookie(w, c)
}

// overTLS reports whether the browser came by TLS, to this server or to the proxy in
// front. A made-up header only keeps its maker's own cookie from plain HTTP.
func overTLS(r *http.Request) bool {
	return r.TLS != nil || strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https")
}
