package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

func TestParseRedisURL(t *testing.T) {
	for _, test := range []struct {
		url, shown     string // shown is what may be printed
		user, password string
		db             int
		hosts          string
		tls            string // the name that is checked; "-" without TLS, "*" that of each server
	}{
		{"redis://h", "redis://h:6379/0", "", "", 0, "h:6379", "-"},
		{"redis://h:7000/3", "redis://h:7000/3", "", "", 3, "h:7000", "-"},
		{"redis://:p%40%2Fw@h:7000/3?dial_timeout=3s", "redis://h:7000/3", "", "p@/w", 3, "h:7000", "-"},
		{"redis://u:a:b,c@h", "redis://h:6379/0", "u", "a:b,c", 0, "h:6379", "-"},
		{"redis://u:p@w@h", "redis://h:6379/0", "u", "p@w", 0, "h:6379", "-"},
		{"rediss://u:pw@h.example/1", "rediss://h.example:6379/1", "u", "pw", 1, "h.example:6379", "h.example"},
		{"redis://[::1]:7000/0", "redis://[::1]:7000/0", "", "", 0, "[::1]:7000", "-"},
		{"redis://[::1]", "redis://[::1]:6379/0", "", "", 0, "[::1]:6379", "-"},
		{"redis-sentinel://a,b:1,[::1]:2/4?master=m", "redis-sentinel://a:26379,b:1,[::1]:2/4?master=m", "", "", 4, "a:26379 b:1 [::1]:2", "-"},
		{"redis-sentinel://u:pw@a/?master=m&sentinel_username=s", "redis-sentinel://a:26379/0?master=m", "u", "pw", 0, "a:26379", "-"},
		{"rediss-sentinel://:pw@a,b/2?master=m&read_timeout=1s", "rediss-sentinel://a:26379,b:26379/2?master=m", "", "pw", 2, "a:26379 b:26379", "*"},
		{"redis-cluster://u:pw@a:1,b:2,c", "redis-cluster://a:1,b:2,c:6379", "u", "pw", 0, "a:1 b:2 c:6379", "-"},
		{"redis-cluster://a/0", "redis-cluster://a:6379", "", "", 0, "a:6379", "-"},
		{"rediss-cluster://a?skip_verify=true", "rediss-cluster://a:6379", "", "", 0, "a:6379", "*"},
	} {
		a, err := parseRedisURL(test.url)
		if err != nil {
			t.Errorf("%s: %v", test.url, err)
			continue
		}
		if a.String() != test.shown || strings.Join(a.hosts, " ") != test.hosts {
			t.Errorf("%s: %s, hosts %v", test.url, a, a.hosts)
		}
		if o := a.options; o.Username != test.user || o.Password != test.password || o.DB != test.db {
			t.Errorf("%s: user %q, password %q, database %d", test.url, o.Username, o.Password, o.DB)
		}
		name := "-"
		if a.options.TLSConfig != nil {
			name = a.options.TLSConfig.ServerName
			if name == "" {
				name = "*"
			}
		}
		if name != test.tls {
			t.Errorf("%s: TLS checks %q, want %q", test.url, name, test.tls)
		}
		if again, err := parseRedisURL(a.String()); err != nil || again.String() != a.String() {
			t.Errorf("%s cannot be given to another process: %v", a, err)
		}
	}
}

// Every error names what is wrong, and none shows what may be a secret.
func TestParseRedisURLErrors(t *testing.T) {
	for url, want := range map[string]string{
		"":                                  "is not redis://",
		"canary":                            "is not redis://",
		"http://canary@h":                   "is not redis://",
		"redisss://h":                       "is not redis://",
		"redis://":                          "host 1 is not HOST:PORT",
		"redis://:canary":                   "host 1 ",
		"redis://h:canary":                  "host 1 has no port",
		"redis://h:0":                       "host 1 has no port",
		"redis://h:70000":                   "host 1 has no port",
		"redis://::1":                       "host 1 is not HOST:PORT",
		"redis://a,b":                       "several hosts",
		"redis://:can/ary@h":                "write / as %2F",
		"redis://:can?ary@h":                "write / as %2F",
		"redis://:can#ary@h":                "write / as %2F",
		"redis://:can%zzary@h":              "user, password or host",
		"redis://h/canary":                  "no database number",
		"redis://h/-1":                      "no database number",
		"redis://h/0/canary":                "no database number",
		"redis://h?canary=1":                `option "canary"`, // a name, no value
		"redis://h?Can%20ary=1":             "an option after the ? that is not known",
		"redis://h?dial_timeout=canary":     `option "dial_timeout"`,
		"redis://h?dial_timeout=%zz":        "cannot be read",
		"redis://h?skip_verify=true":        "no TLS",
		"redis://h?password=canary":         `option "password"`,
		"redis://h?master=m":                "use redis-sentinel://",
		"redis-cluster://h?master=m":        "use redis-sentinel://",
		"redis-cluster://h,/":               "host 2 is not HOST:PORT",
		"redis-cluster://h/1":               "database 0 alone",
		"redis-cluster://h?db=1":            "database 0 alone",
		"redis-sentinel://h":                "?master=NAME",
		"redis-sentinel://h?master=":        "?master=NAME",
		"redis-sentinel://h?master_name=m":  "?master=NAME",
		"redis-sentinel://a,b:x/0?master=m": "host 2 has no port",
		"redis-sentinel://h?master=m&x=1":   `option "x"`,
		"redis-sentinel://h?sentinel_password=canary&master=m": "REDIS_SENTINEL_PASSWORD",
	} {
		a, err := parseRedisURL(url)
		if err == nil {
			t.Errorf("%s is taken as %s", url, a)
			continue
		}
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q in it", url, err, want)
		}
		if strings.Contains(strings.Replace(err.Error(), `option "canary"`, "", 1), "canary") {
			t.Errorf("%s: the error quotes it: %v", url, err)
		}
	}
}

// What the URL says reaches the client that is made of it.
func TestRedisClients(t *testing.T) {
	s := &Settings{InFlight: 800, RedisPassword: "pw", SentinelPassword: "spw"}
	a, err := s.redisAddress("redis-sentinel://u@a,b/2?master=m&sentinel_username=su")
	if err != nil {
		t.Fatal(err)
	}
	if a.sentinelPassword != "spw" || a.sentinelUser != "su" {
		t.Errorf("the Sentinels get %q, %q", a.sentinelUser, a.sentinelPassword)
	}
	failover := a.client().(*redis.Client)
	defer func() { _ = failover.Close() }()
	if o := failover.Options(); o.Username != "u" || o.Password != "pw" || o.DB != 2 || o.PoolSize != 200 || o.Addr != "FailoverClient" {
		t.Errorf("behind Sentinels: %+v", o)
	}
	s.SentinelPassword = ""
	if a, err = s.redisAddress("rediss-cluster://u@a,b:1"); err != nil {
		t.Fatal(err)
	}
	cluster := a.client().(*redis.ClusterClient)
	defer func() { _ = cluster.Close() }()
	if o := cluster.Options(); o.Username != "u" || o.Password != "pw" || o.PoolSize != 100 || o.TLSConfig == nil || !slices.Equal(o.Addrs, []string{"a:6379", "b:1"}) {
		t.Errorf("cluster: %+v", o)
	}
	for _, url := range []string{"redis://:other@h", "redis-cluster://:other@h"} {
		if _, err := s.redisAddress(url); err == nil || !strings.Contains(err.Error(), "keep one") {
			t.Errorf("%s: two passwords: %v", url, err)
		}
	}
	s.SentinelPassword = "spw"
	if _, err := s.redisAddress("redis://h"); err == nil || !strings.Contains(err.Error(), "redis-sentinel://") {
		t.Errorf("a password for Sentinels that are not asked: %v", err)
	}
}

// A command line shows to everybody: no form of the URL may bring a password there.
func TestFlagHoldsNoPassword(t *testing.T) {
	for _, url := range []string{
		"redis://:canary@h/0", "redis-sentinel://u:canary@a,b/0?master=m", "redis-cluster://u:canary@a:1,b:2", "redis://u:can/ary@h",
		"redis-sentinel://a?master=m&sentinel_password=canary",
	} {
		var out bytes.Buffer
		code := execute(t.Context(), []string{"get", "x", "--redis-url", url}, strings.NewReader(""), &out, &out)
		if code != exitUsage || !strings.Contains(out.String(), "must not hold a password") || strings.Contains(out.String(), "ary") {
			t.Errorf("%s: exit %d: %s", url, code, out.String())
		}
	}
	if holdsPassword("redis-cluster://u@a:1,b:2") || holdsPassword("redis://h:6379/0") || holdsPassword("memory://") {
		t.Error("a URL without a password is refused")
	}
}
