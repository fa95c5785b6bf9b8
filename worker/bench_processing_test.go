package worker_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"example.com/topup/enqueue"
	"example.com/topup/reloadly"
	"example.com/topup/worker"
)

// BenchmarkProcessing compares bare asynq, a naive worker and the full path.
func BenchmarkProcessing(b *testing.B) {
	rdb := realRedis(b, "--appendfsync", benchAOF)
	for _, c := range []struct {
		latency time.Duration
		jobs    int
	}{{0, 4000}, {300 * time.Millisecond, 12000}} {
		b.Run(fmt.Sprintf("latency=%dms", c.latency.Milliseconds()), func(b *testing.B) {
			s := &bench{TB: b, direct: rdb, rdb: pool(b, rdb.Options().Addr, 500), inFlight: 500, latency: c.latency, expected: max(c.latency, 50*time.Millisecond)}
			s.compare("redis on loopback", variant{"bare", c.jobs, s.bare}, variant{"naive", c.jobs, s.naive}, variant{"full", c.jobs, s.full})
		})
	}
}

// bare is asynq alone: a handler that does nothing.
func (s *bench) bare() measure {
	s.fill(func(int) []byte { return nil })
	return s.runStock(func(context.Context, *asynq.Task) error { return nil })
}

// naive is what one writes first: dequeue, POST, keep the answer. Its transport is
// a good one; only the ledger and the guards are missing.
func (s *bench) naive() measure {
	s.fill(func(i int) []byte {
		j := benchJob(i)
		body, err := json.Marshal(map[string]any{
			"operatorId": j.OperatorID, "amount": json.Number(j.Amount.String()), "useLocalAmount": false, "customIdentifier": j.ID,
			"recipientPhone": map[string]string{"countryCode": j.RecipientPhone.CountryCode, "number": j.RecipientPhone.Number},
			"recipientEmail": j.RecipientEmail,
			"senderPhone":    map[string]string{"countryCode": j.SenderPhone.CountryCode, "number": j.SenderPhone.Number},
		})
		if err != nil {
			s.Fatal(err)
		}
		return body
	}, asynq.Retention(24*time.Hour))
	sim := s.simulator(nil, nil)
	transport := &http.Transport{MaxIdleConns: s.inFlight, MaxIdleConnsPerHost: s.inFlight}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	token := s.token(client, sim.url)
	m := s.runStock(func(ctx context.Context, task *asynq.Task) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, sim.url+"/topups", bytes.NewReader(task.Payload()))
		if err != nil {
			return err
		}
		request.Header.Set("Authorization", "Bearer "+token)
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Accept", "application/com.reloadly.topups-v1+json")
		response, err := client.Do(request)
		if err != nil {
			return err
		}
		defer func() { _ = response.Body.Close() }()
		body, err := io.ReadAll(response.Body)
		if err != nil {
			return err
		}
		var answer struct {
			TransactionID int64  `json:"transactionId"`
			Status        string `json:"status"`
		}
		if err := json.Unmarshal(body, &answer); err != nil || answer.Status != "SUCCESSFUL" {
			return fmt.Errorf("not paid: %w: %s", err, body)
		}
		_, err = task.ResultWriter().Write(body)
		return err
	})
	s.paid(sim)
	return m
}

// full is the worker as it is in production, spacing aside: each number is met once.
func (s *bench) full() measure {
	s.flush()
	producer := enqueue.NewClient(s.direct, enqueue.ClientConfig{})
	defer func() { _ = producer.Close() }()
	jobs := s.submit(producer)
	var count atomic.Int64
	done := make(chan struct{})
	sim := s.simulator(nil, func(r *http.Request) {
		if r.URL.Path == "/topups" && count.Add(1) == int64(s.jobs) {
			close(done)
		}
	})
	var stop func()
	m := s.measured(func() {
		stop = s.startFull(sim) // telling of transitions would cost a round trip each
		s.wait(done, enqueue.QueueTopUps)
	})
	stop()
	s.paid(sim)
	ids := make([]string, s.jobs)
	for i := range ids {
		ids[i] = jobs[i].ID
	}
	for _, a := range producer.GetMany(s.Context(), ids) {
		if a.Err != nil || a.Result.State != enqueue.Succeeded {
			s.Errorf("%s is %s (%s, %v)", a.Result.ID, a.Result.State, a.Result.Code, a.Err)
		}
	}
	return m
}

// startFull starts a worker until the returned function is called.
func (s *bench) startFull(sim *simServer) (stop func()) {
	client, err := reloadly.New(reloadly.Config{
		ClientID: "id", ClientSecret: "secret", AuthURL: sim.url, APIURL: sim.url, InFlight: s.inFlight,
	})
	if err != nil {
		s.Fatal(err)
	}
	if err := client.Ready(s.Context()); err != nil {
		s.Fatal(err)
	}
	made, err := worker.New(worker.Config{
		Redis: s.rdb, Reloadly: client, InFlight: s.inFlight, Spacing: -1, Latency: s.expected,
	})
	if err != nil {
		s.Fatal(err)
	}
	ctx, cancel := context.WithCancel(s.Context())
	done := make(chan error, 1)
	go func() { done <- made.Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			s.Error(err)
		}
		client.Close()
	}
}

// runStock runs one asynq server with the handler until the queue is empty.
func (s *bench) runStock(handler func(context.Context, *asynq.Task) error) measure {
	server := asynq.NewServerFromRedisClient(s.rdb, asynq.Config{Concurrency: s.inFlight, LogLevel: asynq.ErrorLevel})
	var count atomic.Int64
	done := make(chan struct{})
	m := s.measured(func() {
		err := server.Start(asynq.HandlerFunc(func(ctx context.Context, task *asynq.Task) error {
			err := handler(ctx, task)
			if err != nil {
				s.Error(err)
			}
			if count.Add(1) == int64(s.jobs) {
				close(done)
			}
			return err
		}))
		if err != nil {
			s.Fatal(err)
		}
		s.wait(done, benchQueue)
	})
	server.Shutdown()
	return m
}

// fill empties Redis and puts the tasks of one run into asynq's queue.
func (s *bench) fill(payload func(i int) []byte, options ...asynq.Option) {
	s.flush()
	client := asynq.NewClientFromRedisClient(s.direct)
	var group sync.WaitGroup
	const parallel = 16
	for first := range parallel {
		group.Go(func() {
			for i := first; i < s.jobs; i += parallel {
				if _, err := client.Enqueue(asynq.NewTask("bench", payload(i)), options...); err != nil {
					s.Error(err)
				}
			}
		})
	}
	group.Wait()
}

func (s *bench) token(client *http.Client, url string) string {
	body := `{"client_id":"id","client_secret":"secret","grant_type":"client_credentials","audience":"https://topups-sandbox.reloadly.com"}`
	response, err := client.Post(url+"/oauth/token", "application/json", strings.NewReader(body))
	if err != nil {
		s.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	var answer struct {
		Token string `json:"access_token"`
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil || answer.Token == "" {
		s.Fatalf("no token: %s %v", response.Status, err)
	}
	return answer.Token
}
