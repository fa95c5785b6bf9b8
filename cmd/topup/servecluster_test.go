package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/topup/enqueue"
	"example.com/topup/worker"
)

// The HTTP API, its keys, the monitor and the metrics on a cluster of three masters.
func TestServeOnACluster(t *testing.T) {
	t.Parallel() // it mostly waits
	_, url := startCluster(t)
	sys, _ := startOn(t, url, 1.0/50)
	s := serveOn(t, sys, url)
	s.producer()
	s.browser(`"cluster":true`)
	s.watched()
	s.process.ends()
}

// The same behind Sentinels, and with a caller who waits while the primary is replaced.
func TestServeBehindSentinels(t *testing.T) {
	t.Parallel() // it mostly waits
	w := startSentinels(t, "")
	sys, _ := startOn(t, w.url, 1.0/200)
	s := serveOn(t, sys, w.url)
	s.producer()
	s.browser(`"cluster":false`)
	s.watched()

	holds := worker.NewHolds(sys.opened.rdb, worker.HoldConfig{Who: "test"})
	if err := holds.Place(t.Context(), worker.Hold{Scope: "all"}); err != nil {
		t.Fatal(err)
	}
	s.want(http.StatusAccepted, `"queued"`, "POST", "/v1/topups", jobText("across", 77))
	waiting := make(chan int, 1)
	go func() {
		status, _ := s.ask("GET", "/v1/topups/across?wait=60s", "")
		waiting <- status
	}()
	eventually(t, time.Minute, "the replica has it all", func() bool { return w.primary.rdb.Wait(t.Context(), 1, time.Second).Val() == 1 })
	w.primary.kill()
	eventually(t, time.Minute, "the replica is the primary", func() bool {
		return strings.Contains(w.replica.rdb.Info(t.Context(), "replication").Val(), "role:master")
	})
	eventually(t, time.Minute, "the hold is lifted", func() bool { return holds.Lift(t.Context(), "all") == nil })
	if status := <-waiting; status != http.StatusOK {
		t.Errorf("who waited meanwhile got %d", status)
	}
	eventually(t, time.Minute, "it is paid", func() bool {
		_, text := s.ask("GET", "/v1/topups/across?wait=10s", "")
		return strings.Contains(text, `"state":"succeeded"`)
	})
	sys.onceEach(t, []string{"across"})
	s.want(http.StatusOK, `"id":"across"`, "POST", "/v1/topups", jobText("across", 77))
	s.process.ends()
}

// served is topup serve in a process of its own, and a caller with a key.
type served struct {
	*testing.T
	process      *process
	url, metrics string
	key          string
	http         *http.Client
}

// serveOn makes a key as a person does, and starts topup serve beside the system.
func serveOn(t *testing.T, sys *system, redisURL string) *served {
	t.Helper()
	var out, errs lockedOutput
	if code := execute(t.Context(), []string{"key", "create", "shop", "--scopes", "submit,read,control", "--per-second", "10000", "--redis-url", redisURL}, strings.NewReader(""), &out, &errs); code != exitOK {
		t.Fatalf("exit %d: %s", code, &errs)
	}
	listen, metrics := "127.0.0.1:"+freePort(t), "127.0.0.1:"+freePort(t)
	s := &served{T: t, url: "http://" + listen, metrics: metrics, key: strings.TrimSpace(out.String())}
	s.process = startProcess(t, []string{
		"REDIS_URL=" + redisURL, "TOPUP_LISTEN=" + listen, "TOPUP_METRICS_LISTEN=" + metrics, "TOPUP_MONITOR_WRITE=true",
		fmt.Sprintf("TOPUP_TIME_SCALE=%g", sys.settings.TimeScale),
	}, "serve")
	jar, _ := cookiejar.New(nil) // never fails
	transport := &http.Transport{}
	s.http = &http.Client{Transport: transport, Timeout: 2 * time.Minute, Jar: jar}
	t.Cleanup(transport.CloseIdleConnections)
	eventually(t, time.Minute, "serve is ready", func() bool { return askHealth(t.Context(), s.url+"/readyz") == nil })
	return s
}

// ask sends a request with the key.
func (s *served) ask(method, path, body string) (int, string) {
	return s.send(method, path, body, "Authorization", "Bearer "+s.key, "Content-Type", "application/json")
}

func (s *served) send(method, path, body string, headers ...string) (int, string) {
	s.Helper()
	r, err := http.NewRequestWithContext(s.Context(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		s.Error(err)
		return 0, ""
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	answer, err := s.http.Do(r)
	if err != nil {
		s.Errorf("%s %s: %v", method, path, err)
		return 0, ""
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		s.Error(err)
	}
	return answer.StatusCode, string(text)
}

func (s *served) want(status int, part, method, path, body string) string {
	s.Helper()
	got, text := s.ask(method, path, body)
	if got != status || !strings.Contains(text, part) {
		s.Errorf("%s %s: %d %s, want %d with %s", method, path, got, text, status, part)
	}
	return text
}

func jobText(id string, n int) string {
	return fmt.Sprintf(`{"operatorId":341,"amount":500,"customIdentifier":%q,"recipientPhone":{"countryCode":"NG","number":"803%03d1234"}}`, id, n)
}

// producer goes through the API: single jobs, a batch, long polls, lists, cancelling, keys.
func (s *served) producer() {
	s.Helper()
	if status, _ := s.send("GET", "/v1/topups", ""); status != http.StatusUnauthorized {
		s.Errorf("without a key: %d", status)
	}
	s.want(200, `"state":"succeeded"`, "POST", "/v1/topups?wait=60s", jobText("single", 1))
	s.want(409, `"conflict"`, "POST", "/v1/topups", jobText("single", 2))
	var jobs, ids []string
	for i := range 60 { // on every node
		id := fmt.Sprint("batch-", i)
		jobs, ids = append(jobs, jobText(id, 10+i)), append(ids, id)
	}
	text := s.want(200, `"status":202`, "POST", "/v1/topups:batch", `{"topups":[`+strings.Join(jobs, ",")+`]}`)
	if n := strings.Count(text, `"status":202`); n != len(jobs) {
		s.Errorf("%d of %d were accepted: %s", n, len(jobs), text)
	}
	for _, id := range ids {
		s.want(200, `"state":"succeeded"`, "GET", "/v1/topups/"+id+"?wait=60s", "")
	}
	s.want(202, `"queued"`, "POST", "/v1/topups", strings.Replace(jobText("later", 3), "{", `{"notBefore":"2126-01-01T00:00:00Z",`, 1))
	if got := s.list("state=queued"); !slices.Equal(got, []string{"later"}) {
		s.Errorf("queued are %v", got)
	}
	s.want(200, `"cancelled"`, "POST", "/v1/topups/later/cancel", "")
	if got, want := s.list("limit=7"), slices.Sorted(slices.Values(append([]string{"later", "single"}, ids...))); !slices.Equal(got, want) {
		s.Errorf("all are %v, want %v", got, want)
	}
	s.want(200, `"campaigns":[]`, "GET", "/v1/campaigns", "")
	s.want(404, `"no_such_topup"`, "GET", "/v1/topups/nobody", "")
}

// list is the ids of every page, sorted.
func (s *served) list(query string) []string {
	s.Helper()
	ids := map[string]bool{}
	for cursor := ""; ; {
		status, text := s.ask("GET", "/v1/topups?"+query+"&cursor="+url.QueryEscape(cursor), "")
		var page struct {
			TopUps []enqueue.Result
			Next   string
		}
		if err := json.Unmarshal([]byte(text), &page); err != nil || status != http.StatusOK {
			s.Fatalf("%d %v: %s", status, err, text)
		}
		for _, r := range page.TopUps {
			ids[r.ID] = true
		}
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	var sorted []string
	for id := range ids {
		sorted = append(sorted, id)
	}
	slices.Sort(sorted)
	return sorted
}

// browser logs in to the monitor, looks at everything that its page asks for, and
// changes something; redisInfo has to be in what it says of Redis.
func (s *served) browser(redisInfo string) {
	s.Helper()
	from := []string{"Origin", s.url, "Sec-Fetch-Site", "same-origin"}
	status, text := s.send("POST", "/monitor/login", url.Values{"key": {s.key}}.Encode(), append(from, "Content-Type", "application/x-www-form-urlencoded")...)
	if status != http.StatusOK || !strings.Contains(text, "shop: log out") { // after the redirect
		s.Fatalf("login: %d %s", status, text)
	}
	for path, part := range map[string]string{
		"queues":                                             `"queue":"topups"`,
		"queues/topups":                                      `"current":{"queue":"topups"`,
		"queue_stats":                                        `"topups":[`,
		"queues/topups/completed_tasks":                      `"result":"succeeded · transaction `,
		"queues/topups/pending_tasks":                        `"tasks":[]`,
		"queues/topups/active_tasks":                         `"tasks":[]`,
		"queues/topups/retry_tasks":                          `"tasks":[]`,
		"queues/topups/archived_tasks":                       `"tasks":[]`,
		"queues/topups/scheduled_tasks":                      `"payload":"job later · cancelled · NG 803*****34 · 500"`,
		"queues/topups/tasks/" + enqueue.TaskID("single", 1): `"payload":"job single · succeeded · NG 803*****34`,
		"queues/topups/groups":                               `"groups":[]`,
		"servers":                                            `"queue_priorities":{`,
		"scheduler_entries":                                  `"entries":[]`,
		"redis_info":                                         redisInfo,
	} {
		var text string
		eventually(s.T, time.Minute, "the monitor shows "+part+" at "+path, func() bool { // a task may wait for its second turn
			var status int
			status, text = s.send("GET", "/monitor/api/"+path, "", from...)
			return status == http.StatusOK && strings.Contains(text, part)
		})
		if strings.Contains(text, "8030011234") {
			s.Errorf("%s shows a whole number", path)
		}
	}
	for _, change := range []string{"pause", "resume"} {
		if status, text := s.send("POST", "/monitor/api/queues/campaigns:"+change, "", from...); status != http.StatusNoContent {
			s.Errorf("%s: %d %s", change, status, text)
		}
	}
	if status, text := s.send("POST", "/monitor/logout", "", from...); status != http.StatusOK || !strings.Contains(text, "Log in") {
		s.Errorf("logout: %d %s", status, text)
	}
	if status, _ := s.send("GET", "/monitor/api/queues", ""); status != http.StatusUnauthorized {
		s.Errorf("after the logout: %d", status)
	}
}

// watched reads the metrics.
func (s *served) watched() {
	s.Helper()
	for _, line := range []string{"topup_redis_up 1", "topup_jobs_open 0", "topup_workers 1", `asynq_tasks_processed_total{queue="topups"} `, "topup_redis_memory_used_bytes "} {
		eventually(s, time.Minute, "the metrics show "+line, func() bool { return strings.Contains("\n"+scrape(s.metrics), "\n"+line) })
	}
}
