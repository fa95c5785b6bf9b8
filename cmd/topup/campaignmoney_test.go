package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"example.com/topup/enqueue/campaign"
	"example.com/topup/reloadly/sandbox"
)

// payday is a worker and a simulator in this process on a real redis-server, and files
// that are loaded by processes of their own.
type payday struct {
	*testing.T
	sys  *system
	addr string // of Redis
	dir  string
	next int            // the next number that nobody has
	want map[string]int // how often each identifier must be paid
}

func newPayday(t *testing.T) *payday {
	t.Helper()
	server := startData(t)
	sys := startHere(t, sandbox.Config{Balance: "100000000 NGN"}, func(s *Settings) { s.RedisURL = "redis://" + server.addr + "/0" })
	return &payday{T: t, sys: sys, addr: server.addr, dir: t.TempDir(), want: map[string]int{}}
}

// rows are lines of a file with numbers of their own. The last four digits of a number
// choose what the simulator does; from 1000 on it does nothing special.
func (p *payday) rows(n int) []string {
	rows := make([]string, n)
	for i := range rows {
		rows[i] = fmt.Sprintf("+2348%05d%04d,500,sender,r%d", 3000+p.next/9000, 1000+p.next%9000, p.next)
		p.next++
	}
	return rows
}

// pays notes that each of these rows of a campaign must be paid once.
func (p *payday) pays(campaign string, rows []string) {
	for _, row := range rows {
		p.want[campaign+"."+row[strings.LastIndex(row, ",")+1:]] = 1
	}
}

func (p *payday) file(rows []string) string {
	p.Helper()
	file, err := os.CreateTemp(p.dir, "*.csv")
	if err != nil {
		p.Fatal(err)
	}
	_, err = fmt.Fprintf(file, "phone,amount,currency,external_id\n%s\n", strings.Join(rows, "\n"))
	if err != nil || file.Close() != nil {
		p.Fatal(err)
	}
	return file.Name()
}

// loader is a process that loads a file, on a Redis at an address.
func (p *payday) loader(redis, campaign, file string, more ...string) (*exec.Cmd, *bytes.Buffer) {
	cmd := exec.CommandContext(p.Context(), "topup", append([]string{"campaign", "load", file, "--campaign", campaign, "--yes"}, more...)...)
	cmd.Env = append(os.Environ(), "REDIS_URL=redis://"+redis+"/0", "RELOADLY_AUTH_URL="+p.sys.sim.url, "RELOADLY_API_URL="+p.sys.sim.url,
		"RELOADLY_CLIENT_ID=demo-client", "RELOADLY_CLIENT_SECRET=demo-secret", "TOPUP_TIME_SCALE=0.02")
	out := &bytes.Buffer{}
	cmd.Stdout, cmd.Stderr = out, out
	return cmd, out
}

// loads runs a loader to its end and expects that exit code.
func (p *payday) loads(code int, campaign string, rows []string, more ...string) {
	p.Helper()
	cmd, out := p.loader(p.addr, campaign, p.file(rows), more...)
	_ = cmd.Run() // the code is looked at
	if got := cmd.ProcessState.ExitCode(); got != code {
		p.Fatalf("campaign %s: exit %d, want %d\n%s", campaign, got, code, out)
	}
}

// settles waits until every row of a campaign is settled.
func (p *payday) settles(name string) {
	p.Helper()
	store := campaign.NewStore(p.sys.opened.rdb)
	defer func() {
		if p.Failed() {
			progress, err := store.Progress(context.WithoutCancel(p.Context()), name, p.sys.client)
			p.Logf("campaign %s: %+v, %v", name, progress, err)
		}
	}()
	eventually(p.T, 2*time.Minute, "campaign "+name+" ends", func() bool {
		c, err := store.Find(p.Context(), name)
		return err == nil && !c.Ended.IsZero()
	})
}

// adds up: the simulator's own ledger has each wanted payment once and nothing else.
func (p *payday) audit(when string) {
	p.Helper()
	paid := map[string]int{}
	for _, e := range p.sys.sim.Paid() {
		paid[strings.ToLower(e.CustomIdentifier)]++
	}
	for id, n := range paid {
		if n != p.want[id] {
			p.Errorf("%s: %s was paid %d times, want %d", when, id, n, p.want[id])
		}
	}
	if len(paid) != len(p.want) {
		p.Errorf("%s: %d paid, want %d", when, len(paid), len(p.want))
	}
	if err := p.sys.sim.Audit(); err != nil {
		p.Errorf("%s: %v", when, err)
	}
}

// A, A again, A shuffled, A with ten more rows, A with one amount changed, A while it
// runs: the union of distinct rows is paid, each once.
func TestCampaignAgainPaysOnce(t *testing.T) {
	p := newPayday(t)
	a := p.rows(150)
	p.pays("a", a)
	p.loads(exitOK, "a", a, "--wait")
	p.audit("A")
	p.loads(exitOK, "a", a, "--wait")
	p.audit("A again")
	shuffled := append([]string(nil), a...)
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	p.loads(exitOK, "a", shuffled, "--wait")
	p.audit("A shuffled")
	ten := p.rows(10)
	p.pays("a", ten)
	p.loads(exitOK, "a", append(shuffled, ten...), "--wait")
	p.audit("A with ten more rows")
	changed := append([]string(nil), a...)
	changed[70] = strings.Replace(changed[70], ",500,", ",501,", 1)
	p.loads(exitConflict, "a", append(changed, p.rows(5)...))
	p.settles("a")
	p.audit("A with one amount changed")

	running := p.rows(600)
	p.pays("running", running)
	p.loads(exitOK, "running", running)
	for range 3 { // while it runs
		p.loads(exitOK, "running", running)
	}
	p.settles("running")
	p.audit("A while it runs")
}

// Two loaders of one campaign at once.
func TestCampaignLoadedTwiceAtOnce(t *testing.T) {
	p := newPayday(t)
	rows := p.rows(400)
	p.pays("both", rows)
	first, second := p.file(rows[:300]), p.file(rows[100:])
	var group sync.WaitGroup
	for _, file := range []string{first, second, first, second} {
		cmd, out := p.loader(p.addr, "both", file)
		group.Go(func() {
			if err := cmd.Run(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
	group.Wait()
	p.settles("both")
	p.audit("two loaders")
}

// A loader that is killed at ten moments, spread over everything that it says to Redis,
// before or after Redis has heard it. Load it again, and each row is paid once.
func TestCampaignLoaderKilled(t *testing.T) {
	p := newPayday(t)
	const rowsEach = 600 // two chunks
	dry := p.rows(rowsEach)
	p.pays("dry", dry)
	count := p.killer(0, false)
	cmd, out := p.loader(count.addr, "dry", p.file(dry))
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	total := count.heard.Load()
	random := rand.New(rand.NewPCG(4, 2026))
	killed := 0
	for k := range int64(10) {
		name := fmt.Sprintf("killed-%d", k)
		rows := p.rows(rowsEach)
		p.pays(name, rows)
		at := k*total/10 + 1 + random.Int64N(total/10+1)
		proxy := p.killer(at, random.IntN(2) == 0)
		cmd, out := p.loader(proxy.addr, name, p.file(rows))
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		proxy.victim.Store(cmd.Process)
		if err := cmd.Wait(); err != nil {
			if code := cmd.ProcessState.ExitCode(); code != -1 { // -1: by a signal
				t.Errorf("exit %d\n%s", code, out)
			}
			killed++
		}
		p.loads(exitOK, name, rows)
	}
	if killed < 5 {
		t.Errorf("only %d of 10 loaders were killed before their end", killed)
	}
	t.Logf("%d loaders were killed, at %d moments of what they say", killed, total)
	p.settles("dry")
	for k := range 10 {
		p.settles(fmt.Sprintf("killed-%d", k))
	}
	p.audit("after ten kills")
}

// killProxy stands before Redis and kills a process when it has heard it so often.
type killProxy struct {
	addr   string
	at     int64 // 0: never
	after  bool  // Redis hears the last word
	heard  atomic.Int64
	victim atomic.Pointer[os.Process]
}

func (p *payday) killer(at int64, after bool) *killProxy {
	p.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		p.Fatal(err)
	}
	p.Cleanup(func() { _ = listener.Close() })
	k := &killProxy{addr: listener.Addr().String(), at: at, after: after}
	go func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", p.addr)
			if err != nil {
				_ = near.Close()
				continue
			}
			go func() { _, _ = io.Copy(near, far); _ = near.Close() }()
			go k.carry(far, near)
		}
	}()
	return k
}

// carry passes on what the loader says.
func (k *killProxy) carry(to, from net.Conn) {
	defer func() { _ = to.Close() }()
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		last := k.heard.Add(1) >= k.at && k.at > 0
		if !last || k.after {
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if last {
			if victim := k.victim.Load(); victim != nil {
				_ = victim.Kill()
			}
			if !k.after {
				return
			}
		}
	}
}
