package main

import (
	"errors"
	"strings"
	"testing"
)

// FuzzRedisURL: whatever REDIS_URL holds, its login is in no error and in nothing that is
// printed, and what is printed leads to the same servers.
func FuzzRedisURL(f *testing.F) {
	for _, text := range []string{
		"redis://h", "redis://:p%40%2Fw@h:7000/3?dial_timeout=3s", "redis://u:p@w@h", "rediss://u:pw@h.example/1", "redis://[::1]:7000/0", "redis://[::1",
		"redis-sentinel://a,b:1,[::1]:2/4?master=m", "redis-sentinel://u:pw@a/?master=m&sentinel_username=s", "rediss-cluster://a?skip_verify=true",
		"redis-cluster://u:pw@a:1,b:2,c", "redis://h/x", "redis://h:0", "redis://h?%zz", "redis://u:%zz@h", "memory://", "", "://", "redis://,", "redis://h/1/2", "redis://h?master=\x00",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		const secret = "kept-to-itself"
		if strings.Contains(text, secret) {
			return
		}
		scheme, rest, _ := strings.Cut(text, "://")
		for _, written := range []string{text, scheme + "://user:" + secret + "@" + rest, scheme + "://" + secret + "@" + rest, scheme + "://:" + secret + "/@" + rest} {
			a, err := parseRedisURL(written)
			if err != nil {
				if strings.Contains(err.Error(), secret) {
					t.Fatalf("%q: %v", written, err)
				}
				continue
			}
			shown := a.String()
			again, err := parseRedisURL(shown)
			if err != nil || again.String() != shown || strings.Join(again.hosts, " ") != strings.Join(a.hosts, " ") || again.options.DB != a.options.DB {
				t.Fatalf("%q is shown as %q, which leads elsewhere: %v", written, shown, err)
			}
			if strings.Contains(shown, secret) {
				t.Fatalf("%q is shown as %q", written, shown)
			}
		}
	})
}

// FuzzRequestFile: what topup send reads is a job with known fields alone, or the exit
// code for a job that is not valid.
func FuzzRequestFile(f *testing.F) {
	for _, text := range []string{
		`{"operatorId":1100,"amount":832,"useLocalAmount":false,"customIdentifier":"airtime-top-up","recipientPhone":{"countryCode":"AE","number":"0503971821"}}`,
		"\xef\xbb\xbf" + `{"customIdentifier":"a","amount":"1"}`, `{"useLocalamount":true}`, `{"amount":1}{"amount":2}`, `[]`, `null`, ``, `{"":1}`,
		`{"amount":1,"amount":2}`, `{"metadata":{"a":1}}`, `{"recipientPhone":[]}`, `{"notBefore":"soon"}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		job, err := parseJob(text)
		var exit *exitError
		if err != nil && (!errors.As(err, &exit) || exit.code != exitInvalid) {
			t.Fatalf("%q: %v", text, err)
		}
		if err == nil && job.UseLocalAmount && !strings.Contains(string(text), "useLocalAmount") && !strings.Contains(string(text), `\u`) {
			t.Fatalf("%q pays in another currency: %+v", text, job)
		}
	})
}
