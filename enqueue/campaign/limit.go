package campaign

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/nyaruka/phonenumbers"
	"github.com/redis/go-redis/v9"

	"example.com/topup/enqueue"
)

// NumberLimit is how many top-ups one number may get on one UTC day, over all
// campaigns and single jobs of a Redis. A load reserves a place for each of its rows,
// the worker for each job before its claim; the place is the job's id, so nobody takes
// two by asking twice. Its zero value limits nothing.
type NumberLimit struct {
	Redis redis.UniversalClient
	// PerDay is the limit. Defaults to 0: off.
	PerDay int
	// Key keys the hash of a number in Redis' keys, so that no number stands there.
	Key []byte
}

// Place is what a job needs on one day.
type Place struct {
	ID    string        // of the job
	Phone enqueue.Phone // of the recipient
	Day   time.Time     // any moment of the day
}

// PlaceOf is what a job needs when it is sent at now, or on the day of its NotBefore.
func PlaceOf(t enqueue.TopUp, now time.Time) Place {
	if t.NotBefore.After(now) {
		now = t.NotBefore
	}
	return Place{ID: t.ID, Phone: t.RecipientPhone, Day: now}
}

// Reservation is what became of asking for a place.
type Reservation int

// The answers of [NumberLimit.Reserve].
const (
	Refused  Reservation = iota - 1 // the number has had its share
	Held                            // the job has the place already, or nothing is limited
	Reserved                        // the place is new, and the asker's to give back
)

// Applies reports whether the job is limited: it has a number, and the limit is on.
func (l NumberLimit) Applies(p enqueue.Phone) bool { return l.PerDay > 0 && p.Number != "" }

// reserveScript gives a job its place, once. KEYS: 1 the number's day.
// ARGV: job, places a day, when the day is forgotten (s).
var reserveScript = redis.NewScript(`
if redis.call('SISMEMBER', KEYS[1], ARGV[1]) == 1 then
  return 0
end
if redis.call('SCARD', KEYS[1]) >= tonumber(ARGV[2]) then
  return -1
end
redis.call('SADD', KEYS[1], ARGV[1])
redis.call('EXPIREAT', KEYS[1], ARGV[3])
return 1`)

// placesAtOnce is how many places are asked for in one pipeline.
const placesAtOnce = 1000

// Reserve asks for places, all of them in few round trips, and answers each.
// After an error it is not known which were given: ask again, which is harmless.
func (l NumberLimit) Reserve(ctx context.Context, places []Place) ([]Reservation, error) {
	out := make([]Reservation, len(places))
	for from := 0; from < len(places); from += placesAtOnce {
		to := min(from+placesAtOnce, len(places))
		if err := l.reserve(ctx, places[from:to], out[from:to]); err != nil {
			return nil, fmt.Errorf("limit of top-ups to a number: %w", err)
		}
	}
	return out, nil
}

func (l NumberLimit) reserve(ctx context.Context, places []Place, out []Reservation) error {
	pipe := l.Redis.Pipeline()
	replies := make([]*redis.Cmd, len(places))
	call := func(p Place) ([]string, []any) {
		return []string{l.dayKey(p)}, []any{enqueue.CanonicalID(p.ID), l.PerDay, forgotten(p.Day).Unix()}
	}
	for i, p := range places {
		if l.Applies(p.Phone) {
			keys, args := call(p)
			replies[i] = reserveScript.EvalSha(ctx, pipe, keys, args...)
		}
	}
	if pipe.Len() == 0 {
		return nil
	}
	_, _ = pipe.Exec(ctx) // each command has its own error
	for i, reply := range replies {
		if reply == nil {
			continue
		}
		answer, err := reply.Int()
		if redis.HasErrorPrefix(err, "NOSCRIPT") {
			keys, args := call(places[i])
			answer, err = reserveScript.Run(ctx, l.Redis, keys, args...).Int()
		}
		if err != nil {
			return err
		}
		out[i] = Reservation(answer)
	}
	return nil
}

// Release gives places back, because nothing will be paid for them.
func (l NumberLimit) Release(ctx context.Context, places []Place) error {
	for from := 0; from < len(places); from += placesAtOnce {
		pipe := l.Redis.Pipeline()
		for _, p := range places[from:min(from+placesAtOnce, len(places))] {
			if l.Applies(p.Phone) {
				pipe.SRem(ctx, l.dayKey(p), enqueue.CanonicalID(p.ID))
			}
		}
		if pipe.Len() == 0 {
			continue
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return fmt.Errorf("give back a number's place: %w", err)
		}
	}
	return nil
}

// dayKey holds the ids of the jobs that have a place at a number on a day (set with TTL).
func (l NumberLimit) dayKey(p Place) string {
	mac := hmac.New(sha256.New, l.Key)
	_, _ = mac.Write([]byte("number a day " + oneForm(p.Phone))) // a hash never fails
	return "topup:number:{" + hex.EncodeToString(mac.Sum(nil)[:16]) + "}:day:" + p.Day.UTC().Format(time.DateOnly)
}

// forgotten is when a day's places go: a day later than needed, for clocks that differ.
func forgotten(day time.Time) time.Time {
	return day.UTC().Truncate(24 * time.Hour).Add(48 * time.Hour)
}

// oneForm is the number in E.164, however it was written: a second way of writing it
// must not be a second number.
func oneForm(p enqueue.Phone) string {
	if parsed, err := phonenumbers.Parse(p.Number, p.CountryCode); err == nil {
		return phonenumbers.Format(parsed, phonenumbers.E164)
	}
	return strings.ToUpper(p.CountryCode) + " " + strings.TrimPrefix(p.Number, "+")
}
