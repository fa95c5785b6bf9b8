package httpapi

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/singleflight"
)

// Scope is something that a key allows.
type Scope string

// The scopes of a key.
const (
	Submit  Scope = "submit"  // send top-ups, and withdraw them
	Read    Scope = "read"    // see them
	Control Scope = "control" // change how everything runs
)

// Scopes lists every scope.
func Scopes() []Scope { return []Scope{Submit, Read, Control} }

// Key is who may do what. The secret itself is shown once and kept nowhere.
type Key struct {
	Name      string    `json:"name"`
	Scopes    []Scope   `json:"scopes"`
	PerSecond int       `json:"perSecond"` // requests
	Created   time.Time `json:"createdAt"`
	Expires   time.Time `json:"expiresAt,omitzero"` // zero is never

	hash string
}

// Hash is the SHA-256 of the key's secret, which names the key without opening anything.
func (k *Key) Hash() string { return k.hash }

// Allows reports whether the key has the scope.
func (k *Key) Allows(scope Scope) bool { return slices.Contains(k.Scopes, scope) }

func (k *Key) expired(now time.Time) bool { return !k.Expires.IsZero() && !now.Before(k.Expires) }

var (
	// ErrKeyExists says that a key of this name is there already.
	ErrKeyExists = errors.New("a key of this name exists")
	// ErrKeyInvalid says that no such key can be made.
	ErrKeyInvalid = errors.New("this key cannot be made")
	// ErrNoKey says that no key has this name.
	ErrNoKey = errors.New("no key has this name")
)

// Redis keys of the API keys; both have one hash tag, for the scripts.
const (
	keysByHash = "topup:{keys}:hash" // hash: SHA-256 of a secret → the Key as JSON
	keysByName = "topup:{keys}:name" // hash: name → SHA-256 of its secret
)

// KeyCacheTime is for how long a process trusts what it knows of a key: a key that is
// revoked is refused everywhere after it.
const KeyCacheTime = 3 * time.Second

const (
	secretPrefix = "topup_"
	secretLength = len(secretPrefix) + 43 // 256 random bits in base64
	// cachedKeys bounds what strangers with made-up keys can fill.
	cachedKeys = 10_000
	// DefaultPerSecond is the limit of a key that says nothing.
	DefaultPerSecond = 100
)

// aKeyName is what names and logs can hold.
var aKeyName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// Keys are the API keys in Redis, with a short memory of those in use.
type Keys struct {
	rdb    redis.UniversalClient
	flight singleflight.Group

	mu    sync.Mutex
	known map[string]knownKey // by hash
	any   knownAny
}

type knownKey struct {
	key   *Key // nil: there is none
	until time.Time
}

type knownAny struct {
	any   bool
	until time.Time
}

// NewKeys opens the keys in rdb. It writes nothing.
func NewKeys(rdb redis.UniversalClient) *Keys {
	return &Keys{rdb: rdb, known: map[string]knownKey{}}
}

// createScript adds a key unless its name is taken. KEYS: by hash, by name. ARGV: name, hash, the key.
var createScript = redis.NewScript(`
if redis.call('HSETNX', KEYS[2], ARGV[1], ARGV[2]) == 0 then
  return 0
end
redis.call('HSET', KEYS[1], ARGV[2], ARGV[3])
return 1`)

// revokeScript removes a key. KEYS: by hash, by name. ARGV: name.
var revokeScript = redis.NewScript(`
local hash = redis.call('HGET', KEYS[2], ARGV[1])
if not hash then
  return 0
end
redis.call('HDEL', KEYS[1], hash)
redis.call('HDEL', KEYS[2], ARGV[1])
return 1`)

// Create makes a key of k's name, scopes, limit and expiry, and returns its secret,
// which is not kept.
func (s *Keys) Create(ctx context.Context, k Key) (secret string, made Key, err error) {
	k.Created = time.Now().UTC().Truncate(time.Second)
	if err := k.check(); err != nil {
		return "", k, err
	}
	if k.PerSecond == 0 {
		k.PerSecond = DefaultPerSecond
	}
	slices.Sort(k.Scopes)
	k.Scopes = slices.Compact(k.Scopes)
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	secret = secretPrefix + base64.RawURLEncoding.EncodeToString(b[:])
	k.hash = hashSecret(secret)
	text, err := json.Marshal(k)
	if err != nil {
		return "", k, fmt.Errorf("key: encode: %w", err)
	}
	added, err := createScript.Run(ctx, s.rdb, []string{keysByHash, keysByName}, k.Name, k.hash, text).Int()
	switch {
	case err != nil:
		return "", k, fmt.Errorf("key: write: %w", err)
	case added == 0:
		return "", k, fmt.Errorf("key %q: %w (revoke it first, or use another name)", k.Name, ErrKeyExists)
	}
	return secret, k, nil
}

func (k *Key) check() error {
	wrong := func(format string, args ...any) error {
		return fmt.Errorf("key: %s: %w", fmt.Sprintf(format, args...), ErrKeyInvalid)
	}
	if !aKeyName.MatchString(k.Name) {
		return wrong("name: is not a name (use 1 to 64 letters, digits and . _ -)")
	}
	if len(k.Scopes) == 0 {
		return wrong("scopes: there is none (give submit, read or control)")
	}
	for _, scope := range k.Scopes {
		if !slices.Contains(Scopes(), scope) {
			return wrong("scopes: %q is none (use submit, read and control)", scope)
		}
	}
	if k.PerSecond < 0 {
		return wrong("requests a second: is negative")
	}
	if k.expired(k.Created) {
		return wrong("expiry: is not in the future")
	}
	return nil
}

// List returns every key, by name.
func (s *Keys) List(ctx context.Context) ([]Key, error) {
	all, err := s.rdb.HGetAll(ctx, keysByHash).Result()
	if err != nil {
		return nil, fmt.Errorf("key: list: %w", err)
	}
	keys := make([]Key, 0, len(all))
	for hash, text := range all {
		k := Key{hash: hash}
		if err := json.Unmarshal([]byte(text), &k); err != nil {
			return nil, fmt.Errorf("key: a key in Redis is damaged (revoke the ones that are left and delete %s): %w", keysByHash, err)
		}
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b Key) int { return strings.Compare(a.Name, b.Name) })
	return keys, nil
}

// Revoke ends a key. Every server refuses it within [KeyCacheTime].
func (s *Keys) Revoke(ctx context.Context, name string) error {
	removed, err := revokeScript.Run(ctx, s.rdb, []string{keysByHash, keysByName}, name).Int()
	switch {
	case err != nil:
		return fmt.Errorf("key: revoke: %w", err)
	case removed == 0:
		return fmt.Errorf("key %q: %w", name, ErrNoKey)
	}
	return nil
}

// find is the key of a secret, or nil where it is none, or none any more. Secrets are
// looked up by their hash, so that no comparison's time tells anything of them.
func (s *Keys) find(ctx context.Context, secret string) (*Key, error) {
	if len(secret) != secretLength || !strings.HasPrefix(secret, secretPrefix) {
		return nil, nil
	}
	return s.findHash(ctx, hashSecret(secret))
}

// findHash is the key whose secret has the hash, or nil.
func (s *Keys) findHash(ctx context.Context, hash string) (*Key, error) {
	now := time.Now()
	s.mu.Lock()
	entry, ok := s.known[hash]
	s.mu.Unlock()
	if !ok || !now.Before(entry.until) {
		key, err := s.read(ctx, hash)
		if err != nil {
			return nil, err
		}
		entry = knownKey{key, now.Add(KeyCacheTime)}
		s.mu.Lock()
		if len(s.known) >= cachedKeys {
			clear(s.known)
		}
		s.known[hash] = entry
		s.mu.Unlock()
	}
	if entry.key == nil || entry.key.expired(now) {
		return nil, nil
	}
	return entry.key, nil
}

// read asks Redis once for all who ask at the same time.
func (s *Keys) read(ctx context.Context, hash string) (*Key, error) {
	found, err, _ := s.flight.Do(hash, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), redisTime) // others wait for it too
		defer cancel()
		text, err := s.rdb.HGet(ctx, keysByHash, hash).Result()
		if errors.Is(err, redis.Nil) {
			return (*Key)(nil), nil
		} else if err != nil {
			return nil, fmt.Errorf("key: read: %w", err)
		}
		k := &Key{hash: hash}
		if err := json.Unmarshal([]byte(text), k); err != nil {
			return nil, fmt.Errorf("key: read: %w", err)
		}
		return k, nil
	})
	if err != nil {
		return nil, err
	}
	key, _ := found.(*Key)
	return key, nil
}

// exist reports whether there is any key, expired ones too: who made one wants them.
func (s *Keys) exist(ctx context.Context) (bool, error) {
	now := time.Now()
	s.mu.Lock()
	known := s.any
	s.mu.Unlock()
	if now.Before(known.until) {
		return known.any, nil
	}
	n, err, _ := s.flight.Do("any", func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), redisTime) // others wait for it too
		defer cancel()
		return s.rdb.HLen(ctx, keysByHash).Result()
	})
	if err != nil {
		return false, fmt.Errorf("key: count: %w", err)
	}
	count, _ := n.(int64)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.any = knownAny{count > 0, now.Add(KeyCacheTime)}
	return count > 0, nil
}

func hashSecret(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}
