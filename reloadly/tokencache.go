package reloadly

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/bsm/redislock"
	"github.com/redis/go-redis/v9"
)

// Token is granted access. It prints only when it ends.
type Token struct {
	Value    string    `json:"value"`
	Audience string    `json:"audience"`
	Source   string    `json:"source"` // the address that granted it
	Issued   time.Time `json:"issued"`
	Expires  time.Time `json:"expires"`
}

// String hides the value.
func (t Token) String() string { return "token until " + t.Expires.UTC().Format(time.RFC3339) }

// GoString is String, for %#v.
func (t Token) GoString() string { return t.String() }

// LogValue is String, for log/slog.
func (t Token) LogValue() slog.Value { return slog.StringValue(t.String()) }

// TokenCache shares one token between the processes of a fleet. Every error means only "the cache is
// away": the client then goes on with what it has in memory, or asks for a token of its own.
type TokenCache interface {
	// Get returns the stored token, or nil when there is none that can be read.
	Get(ctx context.Context) (*Token, error)
	// Set stores a token until it expires.
	Set(ctx context.Context, t Token) error
	// Drop removes the stored token if it still has this value: a newer one of another process stays.
	Drop(ctx context.Context, value string) error
	// Lock tries once, without waiting, to become the one that asks for a new token. held is false when
	// another has the lock. It ends by itself after ttl; unlock ends it earlier and is never nil.
	Lock(ctx context.Context, ttl time.Duration) (unlock func(context.Context), held bool, err error)
}

// tokenKey is where a token lives: a string with a TTL. The client id is hashed because a key is seen by
// everybody who can list keys.
func tokenKey(environment Environment, clientID string) string {
	sum := sha256.Sum256([]byte(clientID))
	return fmt.Sprintf("topup:reloadly:token:%s:%s", environment, hex.EncodeToString(sum[:8]))
}

// tokenLockKey is the lock beside it: a string with a TTL, of bsm/redislock.
func tokenLockKey(environment Environment, clientID string) string {
	return tokenKey(environment, clientID) + ":lock"
}

type redisTokenCache struct {
	rdb       redis.UniversalClient
	locks     *redislock.Client
	key, lock string
	seal      cipher.AEAD
	sealErr   error
}

// NewRedisTokenCache keeps the token in Redis, sealed with AES-GCM under a key derived from the client
// secret: who can read that Redis cannot top up with it. A value that does not open, because it is
// damaged or the secret has changed, is a miss.
func NewRedisTokenCache(rdb redis.UniversalClient, environment Environment, clientID, clientSecret string) TokenCache {
	c := &redisTokenCache{
		rdb: rdb, locks: redislock.New(rdb),
		key: tokenKey(environment, clientID), lock: tokenLockKey(environment, clientID),
	}
	c.seal, c.sealErr = newSeal(c.key, clientSecret)
	return c
}

func newSeal(key, clientSecret string) (cipher.AEAD, error) {
	derived, err := hkdf.Key(sha256.New, []byte(clientSecret), nil, "topup reloadly token v1 "+key, 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(derived)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

func (c *redisTokenCache) Get(ctx context.Context) (*Token, error) {
	_, t, err := c.load(ctx)
	return t, err
}

// load returns the stored bytes too, for Drop to compare.
func (c *redisTokenCache) load(ctx context.Context) (sealed []byte, t *Token, err error) {
	sealed, err = c.rdb.Get(ctx, c.key).Bytes()
	switch {
	case errors.Is(err, redis.Nil):
		return nil, nil, nil
	case err != nil:
		return nil, nil, err
	case c.sealErr != nil:
		return nil, nil, c.sealErr
	}
	plain, err := c.seal.Open(nil, nil, sealed, []byte(c.key))
	if err != nil {
		return sealed, nil, nil // a miss: the next Set replaces it
	}
	t = new(Token)
	if json.Unmarshal(plain, t) != nil {
		return sealed, nil, nil
	}
	return sealed, t, nil
}

func (c *redisTokenCache) Set(ctx context.Context, t Token) error {
	if c.sealErr != nil {
		return c.sealErr
	}
	ttl := t.Expires.Sub(t.Issued)
	if ttl < time.Second {
		return nil // gone before anybody could use it
	}
	plain, err := json.Marshal(t)
	if err != nil {
		return err
	}
	return c.rdb.Set(ctx, c.key, c.seal.Seal(nil, nil, plain, []byte(c.key)), ttl).Err()
}

// dropIfSame deletes the key while it still holds the bytes that were looked at.
var dropIfSame = redis.NewScript(`if redis.call("get", KEYS[1]) == ARGV[1] then return redis.call("del", KEYS[1]) else return 0 end`)

func (c *redisTokenCache) Drop(ctx context.Context, value string) error {
	sealed, t, err := c.load(ctx)
	if err != nil || t == nil || t.Value != value {
		return err
	}
	return dropIfSame.Run(ctx, c.rdb, []string{c.key}, sealed).Err()
}

func (c *redisTokenCache) Lock(ctx context.Context, ttl time.Duration) (func(context.Context), bool, error) {
	lock, err := c.locks.Obtain(ctx, c.lock, ttl, nil)
	if err != nil {
		if errors.Is(err, redislock.ErrNotObtained) {
			err = nil
		}
		return func(context.Context) {}, false, err
	}
	return func(ctx context.Context) {
		_ = lock.Release(ctx) // it ends by its ttl when this fails
	}, true, nil
}
