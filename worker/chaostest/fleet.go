package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// fleet is the workers, each a process that is started again whenever it has ended.
type fleet struct {
	binary      string
	environment []string
	dir         string
	workers     []*member
	running     context.Context // that of the whole run
	ending      context.Context // done when nothing is to be started any more
	end         context.CancelFunc
	group       sync.WaitGroup
}

// member is one worker's place in the fleet.
type member struct {
	name string

	mu      sync.Mutex
	process *process
	busy    bool // stopped, or asked to end: leave it alone
	starts  int
}

func newFleet(ctx context.Context, dir, binary, redisAddr, reloadlyAddr string, s settings) *fleet {
	f := &fleet{binary: binary, dir: dir, environment: workerEnvironment(redisAddr, reloadlyAddr, s)}
	f.running = ctx
	f.ending, f.end = context.WithCancel(ctx)
	for i := range s.Workers {
		f.workers = append(f.workers, &member{name: fmt.Sprintf("w%d", i+1)})
	}
	return f
}

// workerEnvironment is what a worker process is told.
func workerEnvironment(redisAddr, reloadlyAddr string, s settings) []string {
	return []string{
		"REDIS_URL=redis://" + redisAddr + "/0",
		"RELOADLY_ENV=sandbox", "RELOADLY_CLIENT_ID=chaos-client", "RELOADLY_CLIENT_SECRET=chaos-secret",
		"RELOADLY_AUTH_URL=http://" + reloadlyAddr, "RELOADLY_API_URL=http://" + reloadlyAddr,
		"TOPUP_TIME_SCALE=" + strconv.FormatFloat(s.Scale, 'g', -1, 64),
		"TOPUP_IN_FLIGHT=" + strconv.Itoa(s.InFlight), "TOPUP_SERVERS=1", "TOPUP_LOG_LEVEL=info",
		"TOPUP_ASYNC=" + strconv.FormatBool(s.async()),
		controlVariable + "=" + s.Control,
	}
}

// run keeps every worker running.
func (f *fleet) run() {
	for _, m := range f.workers {
		f.group.Go(func() { f.keep(m) })
	}
}

func (f *fleet) keep(m *member) {
	for f.ending.Err() == nil {
		p, err := start(f.running, m.name, filepath.Join(f.dir, m.name+".log"), append([]string{"TOPUP_NAME=" + m.name}, f.environment...), f.binary, "worker")
		if err != nil {
			return // seen by the drain: nothing is worked at
		}
		m.mu.Lock()
		m.process, m.busy = p, false
		m.starts++
		m.mu.Unlock()
		select {
		case <-p.done:
		case <-f.ending.Done():
			p.signal(syscall.SIGCONT)
			_ = p.end(5 * time.Second) // killed otherwise; the oracle has read all it needs
			return
		}
		pause(f.ending, 100*time.Millisecond)
	}
}

// take finds a worker that runs undisturbed, beginning with the one named by n, and
// keeps it for the caller.
func (f *fleet) take(n int) (*member, *process) {
	for i := range f.workers {
		m := f.workers[(n+i)%len(f.workers)]
		m.mu.Lock()
		if !m.busy && m.process != nil {
			select {
			case <-m.process.done:
			default:
				m.busy = true
				defer m.mu.Unlock()
				return m, m.process
			}
		}
		m.mu.Unlock()
	}
	return nil, nil
}

func (m *member) free() {
	m.mu.Lock()
	m.busy = false
	m.mu.Unlock()
}

// kill ends a worker in the middle of whatever it does.
func (f *fleet) kill(n int) bool {
	_, p := f.take(n)
	if p == nil {
		return false
	}
	p.kill()
	return true
}

// terminate asks a worker to end, as a deployment does.
func (f *fleet) terminate(ctx context.Context, n int) bool {
	_, p := f.take(n)
	if p == nil {
		return false
	}
	p.signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(20 * time.Second): // as a container is in the end
		p.kill()
	case <-ctx.Done():
	}
	return true
}

// stop freezes a worker for d, and lets it go on as if nothing had happened.
func (f *fleet) stop(ctx context.Context, n int, d time.Duration) bool {
	m, p := f.take(n)
	if p == nil {
		return false
	}
	defer m.free()
	if !p.signal(syscall.SIGSTOP) {
		return false
	}
	pause(ctx, d)
	return p.signal(syscall.SIGCONT)
}

// shutdown ends every worker.
func (f *fleet) shutdown() {
	f.end()
	f.group.Wait()
}
