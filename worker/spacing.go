package worker

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"example.com/topup/enqueue"
)

// numberKey says which job was last let through to a number (string with TTL). No
// phone number stands in a key: without the secret the hash cannot be tried out.
func numberKey(secret []byte, p enqueue.Phone) string {
	mac := hmac.New(sha256.New, secret)
	digits := strings.Map(func(c rune) rune {
		if c < '0' || c > '9' {
			return -1
		}
		return c
	}, p.Number)
	_, _ = mac.Write([]byte("number " + strings.ToUpper(p.CountryCode) + " " + digits)) // a hash never fails
	return "topup:number:{" + hex.EncodeToString(mac.Sum(nil)[:16]) + "}"
}

// reserveScript gives a number to a job, or says in how many ms to come back.
// KEYS: 1 the number. ARGV: job, ms.
var reserveScript = redis.NewScript(`
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then
  return math.max(1, redis.call('PTTL', KEYS[1]))
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 0`)

// releaseScript gives a number back that a job has. KEYS: 1 the number. ARGV: job.
var releaseScript = redis.NewScript(`
if redis.call('GET', KEYS[1]) == ARGV[1] then
  return redis.call('DEL', KEYS[1])
end
return 0`)

// spacing keeps two jobs to one number apart, so that the second is not refused.
// It protects no money: Reloadly's own check does not depend on it.
type spacing struct {
	rdb    redis.UniversalClient
	apart  time.Duration // 0 is off
	secret []byte
}

// applies reports whether the job has a number and spacing is on.
func (s spacing) applies(r *enqueue.Record) bool {
	return s.apart > 0 && r.TopUp.RecipientPhone.Number != ""
}

// Reserve takes the number for the job, or says how long another job has it. The
// same job may pass again.
func (s spacing) Reserve(ctx context.Context, r *enqueue.Record) (time.Duration, error) {
	if !s.applies(r) {
		return 0, nil
	}
	ms, err := reserveScript.Run(ctx, s.rdb, []string{numberKey(s.secret, r.TopUp.RecipientPhone)},
		enqueue.CanonicalID(r.TopUp.ID), s.apart.Milliseconds()).Int64()
	if err != nil {
		return 0, fmt.Errorf("spacing: job %s: %w", r.TopUp.ID, err)
	}
	return time.Duration(ms) * time.Millisecond, nil
}

// Release gives the number back, since nothing was executed.
func (s spacing) Release(ctx context.Context, r *enqueue.Record) error {
	if !s.applies(r) {
		return nil
	}
	if err := releaseScript.Run(ctx, s.rdb, []string{numberKey(s.secret, r.TopUp.RecipientPhone)}, enqueue.CanonicalID(r.TopUp.ID)).Err(); err != nil {
		return fmt.Errorf("spacing: give back the number of job %s: %w", r.TopUp.ID, err)
	}
	return nil
}

// margin is how late after Reserve a POST may end without a renewal: what the
// default, 2 min 10 s, has above the provider's 2 min.
func (s spacing) margin() time.Duration { return s.apart / 13 }
