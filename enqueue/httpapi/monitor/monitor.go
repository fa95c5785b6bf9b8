package monitor

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-redis/redis_rate/v10"
	"github.com/hibiken/asynqmon"
	"github.com/redis/go-redis/v9"

	"example.com/topup/enqueue"
	"example.com/topup/enqueue/httpapi"
)

// Path is where it has to be mounted.
const Path = "/monitor/"

const (
	apiPath    = Path + "api/"
	staticPath = Path + "static/"
	loginPath  = Path + "login"
	logoutPath = Path + "logout"
)

// icons are the files of asynqmon's that are not under static.
var icons = []string{Path + "favicon.ico", Path + "favicon-16x16.png", Path + "favicon-32x32.png", Path + "apple-touch-icon.png"}

// Door says who may come in. [httpapi.Server] is one.
type Door interface {
	Open(r *http.Request) (bool, error)
	FindKey(ctx context.Context, secret string) (*httpapi.Key, error)
	FindKeyByHash(ctx context.Context, hash string) (*httpapi.Key, error)
	Visit(r *http.Request, key *httpapi.Key, counts bool) *httpapi.Problem
}

// Config is what a monitor needs. Redis, Ledger and Door are required; the zero value
// of everything else is its default.
type Config struct {
	// Redis has the queues, and keeps the sessions. It stays the caller's to close.
	Redis redis.UniversalClient
	// Ledger has the jobs whose state is shown.
	Ledger *enqueue.Ledger
	// Door asks for the keys.
	Door Door
	// Write lets keys with the scope control change queues and tasks. Defaults to nobody.
	Write bool
	// SessionTime is how long a login holds. Defaults to 8 hours.
	SessionTime time.Duration
	// Logger hears of logins. Defaults to none.
	Logger *slog.Logger
}

// Monitor answers for everything under [Path].
type Monitor struct {
	cfg      Config
	log      *slog.Logger
	sessions *sessions
	logins   *redis_rate.Limiter
	origin   *http.CrossOriginProtection
	// One of asynqmon's for those who may look, one for those who may change.
	looking, changing *ui
}

// ui is asynqmon with its page, made safe.
type ui struct {
	asynqmon http.Handler
	page     *page
}

// connection gives asynqmon the client that there is, whatever kind of Redis it reaches.
type connection struct{ rdb redis.UniversalClient }

// MakeRedisClient implements [asynq.RedisConnOpt].
func (c connection) MakeRedisClient() any { return c.rdb }

// New makes a monitor. It touches Redis only when it is used.
func New(cfg Config) (*Monitor, error) {
	if cfg.Redis == nil || cfg.Ledger == nil || cfg.Door == nil {
		return nil, errors.New("monitor: Redis, Ledger and Door are needed")
	}
	switch cfg.Redis.(type) {
	case *redis.Client, *redis.ClusterClient: // of Sentinels too
	default:
		return nil, fmt.Errorf("monitor: asynqmon knows one Redis, its Sentinels and a cluster, and not %T", cfg.Redis)
	}
	cfg.SessionTime = cmp.Or(cfg.SessionTime, 8*time.Hour)
	cfg.Logger = cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler))
	m := &Monitor{
		cfg: cfg, log: cfg.Logger, sessions: &sessions{cfg.Redis, cfg.SessionTime},
		logins: redis_rate.NewLimiter(cfg.Redis), origin: http.NewCrossOriginProtection(),
	}
	jobs := &jobs{load: cfg.Ledger.Load}
	var err error
	if m.looking, err = newUI(cfg.Redis, jobs, true); err == nil && cfg.Write {
		m.changing, err = newUI(cfg.Redis, jobs, false)
	}
	return m, err
}

func newUI(rdb redis.UniversalClient, jobs *jobs, readOnly bool) (*ui, error) {
	// It is never closed: that would close the client, which is its only possession.
	handler := asynqmon.New(asynqmon.Options{
		RootPath:         strings.TrimSuffix(Path, "/"),
		RedisConnOpt:     connection{rdb},
		PayloadFormatter: asynqmon.PayloadFormatterFunc(jobs.payload),
		ResultFormatter:  asynqmon.ResultFormatterFunc(result),
		ReadOnly:         readOnly,
	})
	raw := &recorded{header: http.Header{}}
	handler.ServeHTTP(raw, &http.Request{Method: http.MethodGet, URL: &url.URL{Path: Path}})
	page, err := newPage(raw.body.String())
	if err != nil {
		return nil, err
	}
	return &ui{handler, page}, nil
}

// recorded is an answer of asynqmon's before it is sent.
type recorded struct {
	header http.Header
	body   bytes.Buffer
}

func (w *recorded) Header() http.Header         { return w.header }
func (w *recorded) WriteHeader(int)             {}
func (w *recorded) Write(p []byte) (int, error) { return w.body.Write(p) }

// ServeHTTP answers one request.
func (m *Monitor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	protect(w.Header())
	if err := m.origin.Check(r); err != nil {
		http.Error(w, "a browser sent this on behalf of another site", http.StatusForbidden)
		return
	}
	at := r.URL.Path
	switch {
	case at == loginPath:
		m.login(w, r)
	case at == logoutPath:
		m.logout(w, r)
	case strings.HasPrefix(at, apiPath):
		m.api(w, r)
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "this path takes GET and HEAD alone", http.StatusMethodNotAllowed)
	default:
		v, refused := m.admit(r, false)
		switch {
		case refused != nil && refused.status == http.StatusUnauthorized:
			http.Redirect(w, r, loginPath, http.StatusSeeOther)
		case refused != nil:
			refused.ServeHTTP(w, r)
		case strings.HasPrefix(at, staticPath) || slices.Contains(icons, at):
			m.looking.file(w, r)
		default:
			m.of(v).page.write(w, v)
		}
	}
}

// of is the user interface that a visitor gets.
func (m *Monitor) of(v visitor) *ui {
	if m.mayChange(v) {
		return m.changing
	}
	return m.looking
}

func (m *Monitor) mayChange(v visitor) bool {
	return m.changing != nil && (v.key == nil || v.key.Allows(httpapi.Control))
}

// rowsShown bounds a list: asynqmon takes any number, and each row is a look-up.
const rowsShown = 100

// api answers what asynqmon's page asks for. Every method but GET may change
// something, whatever asynqmon makes of it.
func (m *Monitor) api(w http.ResponseWriter, r *http.Request) {
	v, refused := m.admit(r, true)
	if refused != nil {
		refused.ServeHTTP(w, r)
		return
	}
	if r.Method != http.MethodGet {
		if why := m.refuseChange(v, r); why != "" {
			http.Error(w, why, http.StatusForbidden)
			return
		}
		m.log.InfoContext(r.Context(), "monitor is used to change the queues", "key", v.name(), "method", r.Method)
	}
	if r.URL.Path == apiPath+"metrics" { // it would ask another server
		http.Error(w, "there are no metrics here", http.StatusNotFound)
		return
	}
	query := r.URL.Query()
	if n, err := strconv.Atoi(query.Get("size")); query.Has("size") && (err != nil || n < 1 || n > rowsShown) {
		query.Set("size", strconv.Itoa(rowsShown))
		bounded := *r.URL
		bounded.RawQuery = query.Encode()
		r = r.Clone(r.Context())
		r.URL = &bounded
	}
	w.Header().Set("Content-Type", "application/json") // http.Error says otherwise where it is none
	m.of(v).asynqmon.ServeHTTP(w, r)
}

// refuseChange says why a visitor may not change anything, or nothing where he may.
func (m *Monitor) refuseChange(v visitor, r *http.Request) string {
	switch {
	case m.changing == nil:
		return "this monitor is read-only (topup serve --monitor-write lets keys with the scope control write)"
	case !m.mayChange(v):
		return "this key has not the scope control"
	case v.session != "" && !saysFromHere(r):
		return "the browser does not say that this comes from here"
	default:
		return ""
	}
}

// saysFromHere asks a browser for what [http.CrossOriginProtection] takes on trust: a
// request that says nothing of its origin comes from a program, which has no cookie.
func saysFromHere(r *http.Request) bool {
	return r.Header.Get("Sec-Fetch-Site") != "" || r.Header.Get("Origin") != ""
}

// media are those of asynqmon's files; what a system calls them differs.
var media = map[string]string{
	".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml", ".png": "image/png", ".ico": "image/x-icon", ".txt": "text/plain; charset=utf-8",
}

// file serves what the page is made of; its names change with what is in it.
func (u *ui) file(w http.ResponseWriter, r *http.Request) {
	raw := &recorded{header: http.Header{}}
	u.asynqmon.ServeHTTP(raw, r)
	kind := media[path.Ext(r.URL.Path)]
	if kind == "" || bytes.HasPrefix(raw.body.Bytes(), []byte("<!doctype")) { // asynqmon has the page for what it has not
		http.Error(w, "there is no such file", http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Cache-Control", "private, max-age=86400")
	_, _ = w.Write(raw.body.Bytes()) // who asked has gone
}
