package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// redisServer is a redis-server of the run's own.
type redisServer struct {
	running        context.Context // that of the whole run
	dir, log, addr string
	appendOnly     bool
	direct         *redis.Client // past the proxy, for the run itself

	mu      sync.Mutex
	process *process
	sizes   []fileSize // of the append-only file over time
	losses  []loss
}

type fileSize struct {
	at    time.Time
	bytes int64
}

// loss is a time in which acknowledged writes were taken away by the run itself.
type loss struct{ From, To time.Time }

// freeAddress is one that nobody listens on.
func freeAddress(ctx context.Context) (string, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}

func newRedis(ctx context.Context, dir string, appendOnly bool) (*redisServer, error) {
	addr, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	r := &redisServer{
		running: ctx, dir: filepath.Join(dir, "redis"), log: filepath.Join(dir, "redis.log"), addr: addr, appendOnly: appendOnly,
		direct: redis.NewClient(&redis.Options{Addr: addr, MaxRetries: -1}),
	}
	return r, os.Mkdir(r.dir, 0o700)
}

// start runs the server and waits until it answers.
func (r *redisServer) start(ctx context.Context) error {
	_, port, err := net.SplitHostPort(r.addr)
	if err != nil {
		return err
	}
	appendOnly := "no"
	if r.appendOnly {
		appendOnly = "yes"
	}
	p, err := start(r.running, "redis-server", r.log, nil, "redis-server", "--port", port, "--bind", "127.0.0.1", "--dir", r.dir,
		"--save", "", "--daemonize", "no", "--appendonly", appendOnly, "--appendfsync", "always",
		"--aof-load-truncated", "yes", "--auto-aof-rewrite-percentage", "0", "--maxmemory-policy", "noeviction")
	if err != nil {
		return err
	}
	r.mu.Lock()
	r.process = p
	r.mu.Unlock()
	return r.answers(ctx)
}

// answers waits until the server has loaded its file.
func (r *redisServer) answers(ctx context.Context) error {
	r.mu.Lock()
	p := r.process
	r.mu.Unlock()
	for deadline := time.Now().Add(20 * time.Second); r.direct.Ping(ctx).Err() != nil; time.Sleep(10 * time.Millisecond) {
		select {
		case <-p.done:
			return fmt.Errorf("redis-server ended by itself: see %s", r.log)
		default:
		}
		if ctx.Err() != nil || time.Now().After(deadline) {
			return errors.Join(ctx.Err(), errors.New("redis-server does not answer"))
		}
	}
	return nil
}

// kill ends the server as a power cut of its process does.
func (r *redisServer) kill() {
	r.mu.Lock()
	p := r.process
	r.mu.Unlock()
	if p != nil {
		p.kill()
	}
}

// tail is the file that is being appended to: the newest increment in appendonlydir.
func (r *redisServer) tail() (string, int64, error) {
	names, err := filepath.Glob(filepath.Join(r.dir, "appendonlydir", "*.incr.aof"))
	if err != nil || len(names) == 0 {
		return "", 0, errors.Join(err, errors.New("redis has no append-only file (redis-server 7 or later is needed)"))
	}
	slices.Sort(names)
	name := names[len(names)-1]
	info, err := os.Stat(name)
	if err != nil {
		return "", 0, err
	}
	return name, info.Size(), nil
}

// watch notes how large the file is at what time, until ctx ends. Each answer of Redis
// comes after its writes are in the file, so whatever was acknowledged before such a
// moment is in the bytes counted at it.
func (r *redisServer) watch(ctx context.Context) {
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		at := time.Now()
		if _, size, err := r.tail(); err == nil {
			r.mu.Lock()
			r.sizes = append(r.sizes, fileSize{at, size})
			r.mu.Unlock()
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// cut kills Redis and takes the last bytes of its file away, wherever that is in a
// record.
func (r *redisServer) cut(ctx context.Context, bytes int64) error {
	r.kill()
	return r.rollBack(ctx, func() (int64, error) {
		name, size, err := r.tail()
		if err != nil {
			return 0, err
		}
		left := max(0, size-bytes)
		return left, os.Truncate(name, left)
	})
}

// restore puts a copy back that is age old.
func (r *redisServer) restore(ctx context.Context, age time.Duration) error {
	live, copied := filepath.Join(r.dir, "appendonlydir"), filepath.Join(r.dir, "copy")
	if err := copyDir(live, copied); err != nil {
		return err
	}
	if !pause(ctx, age) {
		return os.RemoveAll(copied)
	}
	r.kill()
	return r.rollBack(ctx, func() (int64, error) {
		if err := errors.Join(os.RemoveAll(live), os.Rename(copied, live)); err != nil {
			return 0, err
		}
		_, size, err := r.tail()
		return size, err
	})
}

// rollBack starts a Redis that was killed with less of its file, and notes from when to
// when writes are gone.
func (r *redisServer) rollBack(ctx context.Context, shorten func() (int64, error)) error {
	killed := time.Now()
	left, err := shorten()
	if err != nil {
		return err
	}
	r.mu.Lock()
	sizes := r.sizes
	// Whatever is in doubt while Redis starts may be gone.
	r.losses = append(r.losses, loss{time.Time{}, killed})
	last := len(r.losses) - 1
	r.mu.Unlock()
	before, err := os.ReadFile(r.log)
	if err != nil {
		return err
	}
	if err := r.start(ctx); err != nil {
		return err
	}
	after, err := os.ReadFile(r.log)
	if err != nil {
		return err
	}
	// Redis goes back to a whole record, or to the beginning of a transaction.
	if found := truncated.FindSubmatch(after[len(before):]); found != nil {
		if left, err = strconv.ParseInt(string(found[1]), 10, 64); err != nil {
			return err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range sizes {
		if s.bytes <= left && s.at.Before(killed) { // later ones were already counted of what is left
			r.losses[last].From = s.at
		}
	}
	// What was counted of bytes that are gone must not speak for those in their place.
	r.sizes = slices.DeleteFunc(r.sizes, func(s fileSize) bool { return !s.at.After(killed) && s.bytes > left })
	return nil
}

// truncated is what Redis says of a file that ended in the middle of something.
var truncated = regexp.MustCompile(`Truncating the AOF \S+ at offset (\d+)`)

func copyDir(from, to string) error {
	return errors.Join(os.RemoveAll(to), os.CopyFS(to, os.DirFS(from).(fs.ReadDirFS)))
}

// taken says whether something written between two times may be gone.
func (r *redisServer) taken(from, to time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.ContainsFunc(r.losses, func(l loss) bool { return !to.Before(l.From) && !from.After(l.To) })
}

// forgetQueue deletes everything of asynq's, and nothing of the ledger's.
func (r *redisServer) forgetQueue(ctx context.Context) error {
	keys := r.direct.Scan(ctx, 0, "asynq:*", 1000).Iterator()
	for keys.Next(ctx) {
		if err := r.direct.Unlink(ctx, keys.Val()).Err(); err != nil {
			return err
		}
	}
	return keys.Err()
}

// throwOut closes the connection of every client.
func (r *redisServer) throwOut(ctx context.Context) error {
	return r.direct.Do(ctx, "CLIENT", "KILL", "TYPE", "normal").Err()
}

// fill makes the memory look full for a while: every write is refused.
func (r *redisServer) fill(ctx context.Context, d time.Duration) error {
	if err := r.direct.ConfigSet(ctx, "maxmemory", "1mb").Err(); err != nil {
		return err
	}
	pause(ctx, d)
	for { // it must not stay full because one answer was lost
		err := r.direct.ConfigSet(context.WithoutCancel(ctx), "maxmemory", "0").Err()
		if err == nil || strings.Contains(err.Error(), "refused") {
			return err
		}
		if !pause(ctx, 50*time.Millisecond) {
			return err
		}
	}
}

// pause waits, and says whether the run still goes on.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
