package reloadly

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"time"
	"unicode"
)

// dial makes connections where the Config says nothing. It is a variable only so that
// worker/chaostest can end a process in the middle of a request.
var dial = (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext

// Environment chooses the provider's hosts and the audience of the credentials.
type Environment string

// The two environments. Each has credentials of its own, and those of one are refused by the other [doc].
const (
	Sandbox Environment = "sandbox"
	Live    Environment = "live"
)

// The hosts of the facts page, "Hosts and authentication".
const (
	defaultAuthURL    = "https://auth.reloadly.com"
	sandboxAPI        = "https://topups-sandbox.reloadly.com"
	liveAPI           = "https://topups.reloadly.com"
	authPath          = "/oauth/token"
	defaultPost       = 90 * time.Second // a failing operator held a call for 52 s [obs]
	defaultRead       = 30 * time.Second
	defaultReadRetry  = time.Minute
	defaultBackoff    = 500 * time.Millisecond
	defaultInFlight   = 100
	maxCredentialSize = 16 << 10
)

// Config says whose account, which hosts, and how patient. The zero value of every field works, except
// the two credentials.
type Config struct {
	// Environment is Sandbox or Live. Defaults to Sandbox: live money has to be asked for.
	Environment Environment
	// ClientID and ClientSecret are the account's API credentials of that environment. Required.
	ClientID, ClientSecret string

	// AuthURL is where access is granted; without a path, /oauth/token is added. Defaults to
	// https://auth.reloadly.com.
	AuthURL string
	// APIURL is the base of every other call. Defaults to the environment's own host.
	APIURL string
	// Audience is what the credentials are asked for. Defaults to the environment's own API URL, whatever
	// APIURL is, so that a proxy or the simulator in between changes nothing.
	Audience string

	// InFlight is how many calls run at once; it sizes the pool of idle connections. Defaults to 100.
	InFlight int
	// PostTimeout bounds one POST of a top-up from its first byte to the end of its answer. Defaults to 90 s.
	PostTimeout time.Duration
	// ReadTimeout bounds one attempt of a reading call or of getting access. Defaults to 30 s.
	ReadTimeout time.Duration
	// ReadRetryFor is how long those are repeated with backoff. Defaults to 1 min.
	ReadRetryFor time.Duration
	// BackoffInitial is the first pause of that backoff. Defaults to 500 ms.
	BackoffInitial time.Duration

	// TokenCache shares access between processes. Defaults to nil: memory only.
	TokenCache TokenCache
	// TLS has extra roots and the like. Defaults to nil: the system's roots, TLS 1.2 or later.
	TLS *tls.Config
	// Logger gets a debug line per call and a warning when renewing access fails. Defaults to none.
	Logger *slog.Logger
	// Observe is called once per HTTP call, from the goroutine that made it. Defaults to nil.
	Observe func(Observation)
	// Dial makes the connections. Defaults to a net.Dialer with a timeout of 10 s.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Now is the clock of permissions and expiries. Defaults to time.Now.
	Now func() time.Time
}

// Observation is one HTTP call, for metrics. Every field but Duration has a bounded set of values.
type Observation struct {
	// Op is the call, as in Error.Op.
	Op string
	// Outcome is ok, refused, unknown or not_sent.
	Outcome string
	// Status is the HTTP status, 0 without an answer.
	Status int
	// Duration is from asking for a connection to the end of the answer.
	Duration time.Duration
	// TokenRefresh is true for a call that asked for new access.
	TokenRefresh bool
	// Pays is true for the POST of a top-up.
	Pays bool
	// Unrecognised is true for a top-up that was answered with a code that is in no table,
	// so that a person has to say what it means.
	Unrecognised bool
}

// String names the environment and nothing secret, so that a Config can be printed by mistake.
func (c Config) String() string { return fmt.Sprintf("reloadly.Config{%s}", c.Environment) }

// GoString is String, for %#v.
func (c Config) GoString() string { return c.String() }

// withDefaults returns the config completed and checked. No error quotes a URL or a credential: either
// may hold a secret.
func (c Config) withDefaults() (Config, error) {
	defaultTo(&c.Environment, Sandbox)
	defaultTo(&c.AuthURL, defaultAuthURL)
	defaultTo(&c.InFlight, defaultInFlight)
	defaultTo(&c.PostTimeout, defaultPost)
	defaultTo(&c.ReadTimeout, defaultRead)
	defaultTo(&c.ReadRetryFor, defaultReadRetry)
	defaultTo(&c.BackoffInitial, defaultBackoff)
	if c.Dial == nil {
		c.Dial = dial
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}

	own, other := sandboxAPI, liveAPI
	switch c.Environment {
	case Sandbox:
	case Live:
		own, other = liveAPI, sandboxAPI
	default:
		return c, fmt.Errorf("environment is neither %q nor %q", Sandbox, Live)
	}
	defaultTo(&c.APIURL, own)
	defaultTo(&c.Audience, own)

	api, apiErr := c.checkURL("api url", c.APIURL)
	auth, authErr := c.checkURL("auth url", c.AuthURL)
	err := errors.Join(apiErr, authErr,
		checkCredential("client id", c.ClientID), checkCredential("client secret", c.ClientSecret),
		c.checkLimits())
	if err != nil {
		return c, err
	}
	// A sandbox job that reaches the live host would pay, the other way round nothing would be delivered.
	if "https://"+strings.ToLower(api.Hostname()) == other || strings.TrimSuffix(c.Audience, "/") == other {
		return c, fmt.Errorf("environment is %q but the api url or the audience is of the other one", c.Environment)
	}
	c.APIURL = strings.TrimSuffix(api.String(), "/")
	if auth.Path == "" || auth.Path == "/" {
		auth.Path = authPath
	}
	c.AuthURL = auth.String()
	return c, nil
}

func (c Config) checkURL(name, text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("%s is not a plain http or https address such as %s", name, sandboxAPI)
	}
	if c.Environment == Live && u.Scheme == "http" && !isLoopback(u.Hostname()) {
		return nil, fmt.Errorf("%s must be https in the live environment: credentials would travel in the clear", name)
	}
	return u, nil
}

func (c Config) checkLimits() error {
	if c.InFlight < 0 || c.PostTimeout < 0 || c.ReadTimeout < 0 || c.ReadRetryFor < 0 || c.BackoffInitial < 0 {
		return errors.New("in flight, timeouts and backoff must not be negative")
	}
	return nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}

// checkCredential catches the common slip of a file's last newline, and what no header could carry.
func checkCredential(name, value string) error {
	if value == "" {
		return fmt.Errorf("%s is missing", name)
	}
	if len(value) > maxCredentialSize || strings.ContainsFunc(value, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }) {
		return fmt.Errorf("%s has blanks, line ends or unprintable characters: is it the whole file?", name)
	}
	return nil
}

func defaultTo[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
