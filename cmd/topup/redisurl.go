package main

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// redisAddress is where a REDIS_URL leads: one server, the primary that Sentinels
// name, or a cluster.
type redisAddress struct {
	kind redisKind
	// hosts are those of the URL, each with its port.
	hosts []string
	// options are those of every server that holds jobs; Addr counts for one server alone.
	options *redis.Options
	// master is the name by which the Sentinels know the primary.
	master                         string
	sentinelUser, sentinelPassword string
}

// redisKind is the word of the scheme.
type redisKind string

const (
	oneRedis       redisKind = "redis"
	sentinelRedis  redisKind = "redis-sentinel"
	clusterRedis   redisKind = "redis-cluster"
	redisURLForms            = "redis://[USER:PASSWORD@]HOST:6379/0, redis-sentinel://…@HOST:26379,HOST:26379/0?master=NAME or redis-cluster://…@HOST:6379,HOST:6379 (rediss… for TLS), or memory://"
	sentinelUserIn           = "sentinel_username"
	sentinelPassIn           = "sentinel_password"
)

// parseRedisURL reads every form but memory://. url.Parse alone would not do: it takes
// one host, and its errors quote the password.
func parseRedisURL(text string) (*redisAddress, error) {
	scheme, rest, found := strings.Cut(text, "://")
	kind, secure := redisKind(strings.Replace(scheme, "rediss", "redis", 1)), strings.HasPrefix(scheme, "rediss")
	if !found || !slices.Contains([]redisKind{oneRedis, sentinelRedis, clusterRedis}, kind) {
		return nil, errors.New("is not " + redisURLForms)
	}
	authority, tail := rest, ""
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		authority, tail = rest[:end], rest[end:]
	}
	if strings.ContainsAny(tail, "@#") {
		return nil, errors.New("has an @ or # after its hosts (in a user or password write / as %2F, ? as %3F, # as %23, @ as %40)")
	}
	login, hosts := "", authority
	if at := strings.LastIndex(authority, "@"); at >= 0 {
		login, hosts = authority[:at+1], authority[at+1:]
	}
	a := &redisAddress{kind: kind}
	for host := range strings.SplitSeq(hosts, ",") {
		checked, err := a.checkHost(host)
		if err != nil {
			return nil, fmt.Errorf("host %d %w", len(a.hosts)+1, err)
		}
		a.hosts = append(a.hosts, checked)
	}
	if kind == oneRedis && len(a.hosts) > 1 {
		return nil, errors.New("has several hosts (redis-sentinel:// and redis-cluster:// take several)")
	}
	path, query, _ := strings.Cut(tail, "?")
	values, err := url.ParseQuery(query)
	if err != nil {
		return nil, errors.New("has options after the ? that cannot be read (NAME=VALUE&NAME=VALUE, percent-encoded)")
	}
	if err := a.takeSentinel(values); err != nil {
		return nil, err
	}
	if err := a.parseOptions(login, path, values, secure); err != nil {
		return nil, err
	}
	return a, nil
}

func (a *redisAddress) checkHost(text string) (string, error) {
	standard := "6379"
	if a.kind == sentinelRedis {
		standard = "26379"
	}
	name, port, err := net.SplitHostPort(text)
	if err != nil { // most often there is no port
		name, port, err = net.SplitHostPort(text + ":" + standard)
	}
	if err != nil || name == "" || strings.ContainsAny(name, " %") {
		return "", errors.New("is not HOST:PORT (an IPv6 address stands in brackets)")
	}
	if n, err := strconv.Atoi(cmp.Or(port, standard)); err != nil || n < 1 || n > 65535 {
		return "", errors.New("has no port from 1 to 65535")
	}
	return net.JoinHostPort(name, cmp.Or(port, standard)), nil
}

// takeSentinel takes what concerns the Sentinels out of the options.
func (a *redisAddress) takeSentinel(values url.Values) error {
	a.master, a.sentinelUser = values.Get("master"), values.Get(sentinelUserIn)
	switch {
	case values.Has(sentinelPassIn):
		return errors.New("must not hold " + sentinelPassIn + " (set REDIS_SENTINEL_PASSWORD or its _FILE)")
	case a.kind == sentinelRedis && a.master == "":
		return errors.New("does not say which primary the Sentinels are asked for (add ?master=NAME)")
	case a.kind != sentinelRedis && (values.Has("master") || values.Has(sentinelUserIn)):
		return errors.New("has an option for Sentinels (use redis-sentinel://)")
	}
	values.Del("master")
	values.Del(sentinelUserIn)
	return nil
}

var anOptionName = regexp.MustCompile(`^[a-z_]{1,40}$`)

// parseOptions has go-redis read user, password, database and the options that it
// knows; its own errors are not shown, since they quote.
func (a *redisAddress) parseOptions(login, path string, values url.Values, secure bool) error {
	for name := range values {
		one := url.Values{name: values[name]}
		if _, err := redis.ParseURL("redis://host?" + one.Encode()); err != nil && name != "skip_verify" {
			if !anOptionName.MatchString(name) {
				return errors.New("has an option after the ? that is not known")
			}
			return fmt.Errorf("has an option %q that is not known or whose value does not fit", name)
		}
	}
	if values.Has("skip_verify") && !secure {
		return errors.New("has skip_verify and no TLS (rediss… is with TLS)")
	}
	if database := strings.Trim(path, "/"); database != "" {
		if n, err := strconv.Atoi(database); err != nil || n < 0 {
			return errors.New("has no database number after its hosts (such as /0)")
		}
	}
	scheme := "redis"
	if secure {
		scheme = "rediss"
	}
	options, err := redis.ParseURL(scheme + "://" + login + a.hosts[0] + path + "?" + values.Encode())
	if err != nil {
		return errors.New("has a user, password or host that cannot be read (percent-encode what is neither letter nor digit)")
	}
	if a.kind == clusterRedis && options.DB != 0 {
		return errors.New("names a database, and a cluster has database 0 alone")
	}
	if options.TLSConfig != nil && a.kind != oneRedis {
		options.TLSConfig.ServerName = "" // each server is checked by its own name
	}
	a.options = options
	return nil
}

// String is the URL without user and password.
func (a *redisAddress) String() string {
	scheme := string(a.kind)
	if a.options.TLSConfig != nil {
		scheme = strings.Replace(scheme, "redis", "rediss", 1)
	}
	text := scheme + "://" + strings.Join(a.hosts, ",")
	if a.kind != clusterRedis {
		text += "/" + strconv.Itoa(a.options.DB)
	}
	if a.kind == sentinelRedis {
		text += "?master=" + url.QueryEscape(a.master)
	}
	return text
}

// holdsPassword tells whether a text that is meant as a REDIS_URL has a password in
// it, well formed or not.
func holdsPassword(text string) bool {
	_, rest, _ := strings.Cut(text, "://")
	login, _, found := strings.Cut(rest, "@")
	return found && strings.Contains(login, ":") || strings.Contains(text, sentinelPassIn)
}
