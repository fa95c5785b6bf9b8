package worker

import (
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// lately keeps what repeats out of the log: a Redis that is away is one fact, however
// often it is met, and by however many.
type lately struct {
	mu   sync.Mutex
	said map[string]time.Time
}

// sayAgain is for how long the same is not said again.
const sayAgain = time.Minute

// mostSaid bounds what names of tasks and campaigns can fill.
const mostSaid = 1000

// saying reports whether the thing has to be said, and notes that it is.
func (l *lately) saying(thing string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if at, ok := l.said[thing]; ok && now.Sub(at) < sayAgain {
		return false
	}
	if l.said == nil || len(l.said) >= mostSaid {
		l.said = map[string]time.Time{}
	}
	l.said[thing] = now
	return true
}

// queueLog gives asynq's own words to slog. Every server of a process says each thing
// for itself, every few seconds; what it is stands before the first colon.
type queueLog struct {
	log    *slog.Logger
	lately *lately
}

func (q queueLog) Debug(args ...any) { q.say(q.log.Debug, args) }
func (q queueLog) Info(args ...any)  { q.say(q.log.Info, args) }
func (q queueLog) Warn(args ...any)  { q.say(q.log.Warn, args) }
func (q queueLog) Error(args ...any) { q.say(q.log.Error, args) }
func (q queueLog) Fatal(args ...any) { q.say(q.log.Error, args) }

func (q queueLog) say(log func(string, ...any), args []any) {
	message := fmt.Sprint(args...)
	if thing, _, _ := strings.Cut(message, ":"); q.lately.saying(thing) {
		log("queue", "message", message)
	}
}
