package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// redisProcess is a redis-server of the test's own, which ends with the test.
type redisProcess struct {
	addr string
	rdb  *redis.Client // past everything, for the test itself
	args []string
	cmd  *exec.Cmd
}

// freePort is one of 127.0.0.1 that nobody listens on.
func freePort(t testing.TB) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	_ = listener.Close() // the server needs the port
	return port
}

// startRedis starts a redis-server and waits until it answers; args come after "redis-server".
func startRedis(t testing.TB, port string, args ...string) *redisProcess {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("redis-server is not on PATH: `make redis` installs it")
	}
	p := &redisProcess{addr: "127.0.0.1:" + port, args: args}
	p.rdb = redis.NewClient(&redis.Options{Addr: p.addr})
	t.Cleanup(func() {
		_ = p.rdb.Close()
		p.kill()
	})
	p.start(t)
	return p
}

// start runs the process, again after kill.
func (p *redisProcess) start(t testing.TB) {
	t.Helper()
	p.cmd = exec.Command("redis-server", p.args...)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, 20*time.Second, "redis-server answers on "+p.addr, func() bool { return answers(p.rdb.Ping(t.Context()).Err()) })
}

// answers also takes a refusal without a password.
func answers(err error) bool { return err == nil || closed(err) || redis.HasErrorPrefix(err, "NOAUTH") }

// kill ends this very process; nothing is said goodbye to.
func (p *redisProcess) kill() {
	if p.cmd != nil && p.cmd.Process != nil && p.cmd.ProcessState == nil {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait() // killed
	}
}

// startData starts a redis-server with an append-only file.
func startData(t testing.TB, args ...string) *redisProcess {
	t.Helper()
	port := freePort(t)
	return startRedis(t, port, append([]string{
		"--port", port, "--bind", "127.0.0.1", "--dir", t.TempDir(), "--save", "", "--daemonize", "no",
		"--appendonly", "yes", "--appendfsync", "everysec", "--maxmemory-policy", "noeviction",
	}, args...)...)
}

// startCluster starts a cluster of three masters, and returns its URL too.
func startCluster(t *testing.T, args ...string) ([]*redisProcess, string) {
	t.Helper()
	const slots = 16384
	var nodes []*redisProcess
	var addrs, buses []string
	for range 3 {
		bus := freePort(t)
		n := startData(t, append([]string{"--cluster-enabled", "yes", "--cluster-port", bus, "--cluster-node-timeout", "15000"}, args...)...)
		nodes, addrs, buses = append(nodes, n), append(addrs, n.addr), append(buses, bus)
	}
	ctx := t.Context()
	for i, n := range nodes {
		first, last := i*slots/3, (i+1)*slots/3-1
		if err := n.rdb.ClusterAddSlotsRange(ctx, first, last).Err(); err != nil {
			t.Fatal(err)
		}
		if err := n.rdb.Do(ctx, "cluster", "set-config-epoch", i+1).Err(); err != nil {
			t.Fatal(err)
		}
	}
	for i, n := range nodes[1:] {
		_, port, _ := net.SplitHostPort(n.addr)
		if err := nodes[0].rdb.Do(ctx, "cluster", "meet", "127.0.0.1", port, buses[i+1]).Err(); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, 30*time.Second, "the cluster is whole", func() bool {
		for _, n := range nodes {
			info := n.rdb.ClusterInfo(ctx).Val()
			if !strings.Contains(info, "cluster_state:ok") || !strings.Contains(info, "cluster_known_nodes:3") || !strings.Contains(info, "cluster_slots_ok:16384") {
				return false
			}
		}
		return true
	})
	return nodes, "redis-cluster://" + strings.Join(addrs, ",")
}

// watched is a primary with a replica, and three Sentinels that watch them.
type watched struct {
	primary, replica *redisProcess
	sentinel         *redis.SentinelClient
	url              string
}

// startSentinels gives the Sentinels a password where it is not empty; args are the data servers'.
func startSentinels(t *testing.T, password string, args ...string) *watched {
	t.Helper()
	w := &watched{primary: startData(t, args...)}
	_, port, _ := net.SplitHostPort(w.primary.addr)
	w.replica = startData(t, append([]string{"--replicaof", "127.0.0.1 " + port}, args...)...)
	eventually(t, 20*time.Second, "the replica follows", func() bool {
		return strings.Contains(w.replica.rdb.Info(t.Context(), "replication").Val(), "master_link_status:up")
	})
	var addrs []string
	var sentinels []*redis.SentinelClient
	for range 3 {
		own := freePort(t)
		file := filepath.Join(t.TempDir(), "sentinel.conf")
		text := fmt.Sprintf("port %s\nbind 127.0.0.1\ndir %s\nsentinel monitor m 127.0.0.1 %s 2\n"+
			"sentinel down-after-milliseconds m 2000\nsentinel failover-timeout m 3000\nsentinel parallel-syncs m 1\n", own, strconv.Quote(filepath.Dir(file)), port)
		if password != "" {
			text += "requirepass " + password + "\n"
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		s := startRedis(t, own, file, "--sentinel")
		client := redis.NewSentinelClient(&redis.Options{Addr: s.addr, Password: password})
		t.Cleanup(func() { _ = client.Close() })
		sentinels, addrs = append(sentinels, client), append(addrs, s.addr)
	}
	eventually(t, 30*time.Second, "the Sentinels know each other and the replica", func() bool {
		for _, s := range sentinels {
			m, err := s.Master(t.Context(), "m").Result()
			if err != nil || m["num-slaves"] != "1" || m["num-other-sentinels"] != "2" || m["flags"] != "master" {
				return false
			}
		}
		return true
	})
	w.sentinel = sentinels[0]
	w.url = "redis-sentinel://" + strings.Join(addrs, ",") + "/0?master=m"
	return w
}

// busy is by how much slower than an idle machine the one may be that the tests run on.
const busy = 5

// eventually waits for a condition, which an idle machine meets in much less than atMost:
// no test depends on how fast the machine is.
func eventually(t testing.TB, atMost time.Duration, what string, is func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), busy*atMost)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waited %v in vain until %s", busy*atMost, what)
		}
	}
}
