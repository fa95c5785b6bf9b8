package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// aUser has a server know a user beside the one without a password.
var aUser = []string{"--user", "u", "on", ">p@ss", "~*", "&*", "+@all"}

// User, password and TLS of every form reach the servers themselves, and a wrong
// password is told without showing it.
func TestRedisLogins(t *testing.T) {
	t.Parallel() // it mostly waits
	_, cluster := startCluster(t, aUser...)
	sentinels := startSentinels(t, "sp@ss", aUser...).url
	secure := startSecure(t)
	for _, test := range []struct{ url, sentinelPassword string }{
		{"redis://" + startData(t, aUser...).addr, ""},
		{cluster, ""},
		{sentinels, "sp@ss"},
		{secure, ""},
	} {
		open := func(login string) (*opened, error) {
			s := Settings{RedisURL: strings.Replace(test.url, "://", "://"+login+"@", 1), SentinelPassword: test.sentinelPassword, InFlight: 1}
			return openShared(t.Context(), s)
		}
		o, err := open("u:p%40ss")
		if err != nil {
			t.Errorf("%s: %v", test.url, err)
			continue
		}
		if strings.Contains(o.url, "ss@") || strings.Contains(o.url, "u:") {
			t.Errorf("shown as %s", o.url)
		}
		err = eachServer(t.Context(), o.rdb, func(ctx context.Context, c *redis.Client) error {
			who, err := c.Do(ctx, "acl", "whoami").Text()
			if who != "u" {
				t.Errorf("%s: logged in as %q at %s", test.url, who, c.Options().Addr)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
		o.close()
		if _, err = open("u:canary"); err == nil || strings.Contains(err.Error(), "canary") || exitCode(err) != exitUnreachable {
			t.Errorf("%s with a wrong password: exit %d, %v", test.url, exitCode(err), err)
		}
	}
	s := Settings{RedisURL: strings.Replace(sentinels, "://", "://u:p%40ss@", 1), InFlight: 1}
	if _, err := openShared(t.Context(), s); err == nil {
		t.Error("Sentinels with a password answer without it")
	}
}

// startSecure starts a redis-server that speaks TLS too, and returns its URL.
func startSecure(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, kind string, text []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: text}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	port := freePort(t)
	startData(t, append([]string{
		"--tls-port", port, "--tls-auth-clients", "no",
		"--tls-cert-file", write("cert.pem", "CERTIFICATE", certificate), "--tls-key-file", write("key.pem", "PRIVATE KEY", private),
	}, aUser...)...)
	return "rediss://127.0.0.1:" + port + "?skip_verify=true"
}
