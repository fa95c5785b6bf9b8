package worker_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/hibiken/asynq"

	"example.com/topup/enqueue"
	"example.com/topup/reloadly"
	"example.com/topup/reloadly/sandbox"
	"example.com/topup/worker"
)

// ears hears every token that is used, and everything that is logged.
type ears struct {
	mu     sync.Mutex
	tokens []string
	log    bytes.Buffer
}

func (e *ears) Write(p []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.log.Write(p)
}

func (e *ears) listen(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
			e.mu.Lock()
			e.tokens = append(e.tokens, token)
			e.mu.Unlock()
		}
		next.ServeHTTP(w, r)
	})
}

// everything in Redis, by key: names and values of every type. A key that goes
// meanwhile reads as empty.
func everything(r *miniredis.Miniredis) map[string]string {
	all := map[string]string{}
	for _, key := range r.Keys() {
		var text strings.Builder
		switch kind := r.Type(key); kind {
		case "":
		case "string":
			value, _ := r.Get(key)
			text.WriteString(value)
		case "hash":
			names, _ := r.HKeys(key)
			for _, name := range names {
				fmt.Fprintf(&text, "%s=%s\n", name, r.HGet(key, name))
			}
		case "list":
			values, _ := r.List(key)
			fmt.Fprint(&text, values)
		case "set":
			members, _ := r.Members(key)
			fmt.Fprint(&text, members)
		case "zset":
			members, _ := r.ZMembers(key)
			fmt.Fprint(&text, members)
		default:
			panic("a type that the scan does not know: " + kind)
		}
		all[key] = text.String()
	}
	return all
}

// No secret, no token and no whole phone number stands anywhere but in the
// ledger's own record, after a run that meets every kind of trouble.
func TestNoSecretAndNoNumberLeaks(t *testing.T) {
	bubble(t, sandbox.Config{}, func(w *world) {
		heard := &ears{}
		listener := newPipeListener()
		server := &http.Server{Handler: heard.listen(w.sim), ReadHeaderTimeout: time.Minute}
		go func() { _ = server.Serve(listener) }() // ends with Close below
		defer func() { _ = server.Close() }()
		client, err := reloadly.New(reloadly.Config{
			ClientID: "canary-id", ClientSecret: "canary-secret", AuthURL: "http://127.0.0.1", APIURL: "http://127.0.0.1", Dial: listener.dial,
			TokenCache: reloadly.NewRedisTokenCache(w.rdb, reloadly.Sandbox, "canary-id", "canary-secret"),
			Logger:     slog.New(slog.NewJSONHandler(heard, &slog.HandlerOptions{Level: slog.LevelDebug})),
		})
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		faults := []string{
			"", "drop-after", "500-before", "html-after", "truncated", "wrong-echo", "401-once", "429-once", "processing-refunded",
			"invalid-recipient-phone", "some-new-code", "phone-recently-recharged", "insufficient-balance", "custom-identifier-already-used",
		}
		w.sim.Script(func(a sandbox.Attempt) string {
			var n int
			if _, err := fmt.Sscanf(a.Identifier, "j%d", &n); err == nil && a.Number == 1 && n < len(faults) {
				return faults[n]
			}
			return ""
		})
		run := w.run(w.worker("w1", func(c *worker.Config) {
			c.Reloadly = client
			c.Logger = slog.New(slog.NewJSONHandler(heard, &slog.HandlerOptions{Level: slog.LevelDebug}))
		}))
		var numbers []string
		for i := range faults {
			j := numbered(fmt.Sprintf("j%d", i), 8200+i)
			numbers = append(numbers, strings.TrimPrefix(j.RecipientPhone.Number, "0"))
			w.submit(j)
		}
		queue := asynq.NewClientFromRedisClient(w.rdb)
		_ = must(queue.Enqueue(asynq.NewTask(enqueue.TaskType, []byte("not ours")), asynq.Queue(enqueue.QueueFollowups)))
		scan := func() {
			heard.mu.Lock()
			defer heard.mu.Unlock()
			secrets := append([]string{"canary-secret"}, heard.tokens...)
			places := everything(w.redis)
			places["the log"] = heard.log.String()
			for place, text := range places {
				for _, secret := range secrets {
					if strings.Contains(place+text, secret) {
						t.Fatalf("a secret or token in %s", place)
					}
				}
				record := strings.HasPrefix(place, "topup:{s") && strings.Contains(place, "}:job:")
				for _, number := range numbers {
					if !record && strings.Contains(place+text, number) {
						t.Fatalf("a whole phone number in %s", place)
					}
				}
			}
		}
		for range 40 {
			time.Sleep(30 * time.Second)
			scan()
		}
		for i := range faults {
			w.settled(fmt.Sprintf("j%d", i))
		}
		scan()
		run()
		if len(heard.tokens) == 0 || heard.log.Len() == 0 {
			t.Errorf("%d tokens and %d bytes of log heard: the scan shows nothing", len(heard.tokens), heard.log.Len())
		}
		// An error that is asked for keeps quiet too.
		_, err = client.DetectOperator(context.Background(), reloadly.Phone{CountryCode: "AE", Number: "+971509998877"})
		if err != nil && strings.Contains(err.Error(), "509998877") {
			t.Errorf("a number in an error: %v", err)
		}
	})
}
