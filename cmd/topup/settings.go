package main

import (
	"cmp"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"
	"github.com/spf13/pflag"

	"example.com/topup/enqueue"
	"example.com/topup/reloadly"
	"example.com/topup/worker"
)

// Settings are read from the environment; each that is not secret has a flag too,
// named in small letters without TOPUP_. The README's table is made from the tags.
type Settings struct {
	RedisURL         string        `env:"REDIS_URL" envDefault:"memory://" help:"Where jobs are kept: redis://HOST:6379/0, redis-sentinel://HOST:26379,…/0?master=NAME, redis-cluster://HOST:6379,… (rediss… for TLS, USER:PASSWORD@ before the hosts) or memory:// (in this process, for demo and dev)"`
	RedisPassword    string        `env:"REDIS_PASSWORD" secret:"true" help:"Its password, where the URL has none"`
	RedisPassFile    string        `env:"REDIS_PASSWORD_FILE" help:"A file with Redis' password"`
	SentinelPassword string        `env:"REDIS_SENTINEL_PASSWORD" secret:"true" help:"That of the Sentinels themselves, where they have one; their user is ?sentinel_username= in the URL"`
	SentinelPassFile string        `env:"REDIS_SENTINEL_PASSWORD_FILE" help:"A file with the Sentinels' own password"`
	Environment      string        `env:"RELOADLY_ENV" envDefault:"sandbox" help:"sandbox, or live: real money"`
	ClientID         string        `env:"RELOADLY_CLIENT_ID" secret:"true" help:"The account's API client id of that environment"`
	ClientIDFile     string        `env:"RELOADLY_CLIENT_ID_FILE" help:"A file with Reloadly's client id"`
	ClientSecret     string        `env:"RELOADLY_CLIENT_SECRET" secret:"true" help:"Its secret"`
	ClientSecretFile string        `env:"RELOADLY_CLIENT_SECRET_FILE" help:"A file with Reloadly's client secret"`
	AuthURL          string        `env:"RELOADLY_AUTH_URL" help:"Where access is granted; empty is Reloadly's own"`
	APIURL           string        `env:"RELOADLY_API_URL" help:"Where top-ups are sent; empty is the environment's own"`
	WebhookSecret    string        `env:"RELOADLY_WEBHOOK_SECRET" secret:"true" help:"Signs Reloadly's notifications to serve; empty: they are not taken"`
	WebhookFile      string        `env:"RELOADLY_WEBHOOK_SECRET_FILE" help:"A file with the secret that signs Reloadly's notifications"`
	Listen           string        `env:"TOPUP_LISTEN" envDefault:"127.0.0.1:8080" help:"Address of serve; without any API key it must be a loopback one (dev and sandbox have a --listen of their own)"`
	Monitor          bool          `env:"TOPUP_MONITOR" envDefault:"true" help:"serve shows asynqmon, the web page of the queues, at /monitor, to keys with the scope read"`
	MonitorWrite     bool          `env:"TOPUP_MONITOR_WRITE" envDefault:"false" help:"At /monitor, keys with the scope control may pause queues and run, archive and delete tasks"`
	InFlight         int           `env:"TOPUP_IN_FLIGHT" envDefault:"100" help:"POSTs under way at once in one worker"`
	Servers          int           `env:"TOPUP_SERVERS" envDefault:"0" help:"asynq servers in one worker; 0 measures the way to Redis and chooses 1 to 24"`
	Async            bool          `env:"TOPUP_ASYNC" envDefault:"false" help:"Send by POST /topups-async"`
	PerSecond        int           `env:"TOPUP_PER_SECOND" envDefault:"0" help:"POSTs a second of the whole fleet; 0 is no limit"`
	FleetInFlight    int           `env:"TOPUP_FLEET_IN_FLIGHT" envDefault:"0" help:"POSTs under way in the whole fleet; 0 is no limit"`
	Spacing          time.Duration `env:"TOPUP_SPACING" envDefault:"0s" help:"Time between two top-ups of one number; 0 is 2m10s, negative is off"`
	MaxPerNumber     int           `env:"TOPUP_MAX_PER_NUMBER_PER_DAY" envDefault:"0" help:"Top-ups that one number may get on one UTC day, over all campaigns and single jobs; 0 is no limit"`
	AuditDays        int           `env:"TOPUP_AUDIT_DAYS" envDefault:"7" help:"How many days back the daily look at Reloadly's report goes, for reversed top-ups and payments of no job; 0 is off"`
	TimeScale        float64       `env:"TOPUP_TIME_SCALE" envDefault:"1" help:"Multiplies every wait; for tests, refused in live"`
	NumberKey        string        `env:"TOPUP_NUMBER_KEY" secret:"true" help:"Keys the hashes of phone numbers in Redis; empty derives it from the client secret"`
	NumberKeyFile    string        `env:"TOPUP_NUMBER_KEY_FILE" help:"A file with the key of the hashes of phone numbers"`
	Name             string        `env:"TOPUP_NAME" envDefault:"worker" help:"Signs the log of each job; at most 12 characters"`
	AcceptUnsafe     bool          `env:"TOPUP_ACCEPT_UNSAFE_REDIS" envDefault:"false" help:"Go live on a Redis that can forget what was sent"`
	LogLevel         string        `env:"TOPUP_LOG_LEVEL" envDefault:"info" help:"debug, info, warn or error"`
	MetricsListen    string        `env:"TOPUP_METRICS_LISTEN" help:"Address on which a worker, or serve, shows /metrics to Prometheus, such as 127.0.0.1:9464; empty is not at all"`
}

// setting is one row of the table.
type setting struct {
	env, flag, fallback, help string
	secret                    bool
	value                     reflect.Value
}

func (s *Settings) list() []setting {
	v := reflect.ValueOf(s).Elem()
	var rows []setting
	for i := range v.NumField() {
		tag := v.Type().Field(i).Tag
		name := tag.Get("env")
		row := setting{
			env: name, fallback: tag.Get("envDefault"), help: tag.Get("help"), secret: tag.Get("secret") == "true", value: v.Field(i),
			flag: strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(name, "TOPUP_")), "_", "-"),
		}
		rows = append(rows, row)
	}
	return rows
}

// settingsTable is the README's, in Markdown.
func settingsTable() string {
	var b strings.Builder
	b.WriteString("| variable | flag | default | what |\n|---|---|---|---|\n")
	for _, row := range (&Settings{}).list() {
		flag, fallback := "`--"+row.flag+"`", "`"+row.fallback+"`"
		if row.secret {
			flag = "none, it is secret"
		}
		if row.fallback == "" {
			fallback = ""
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", row.env, flag, fallback, row.help)
	}
	return b.String()
}

// fromEnvironment reads every variable. An error names the variable and never
// quotes its value, which may be a secret put into the wrong place.
func (s *Settings) fromEnvironment() error {
	if err := env.Parse(s); err != nil {
		var names []string
		for _, row := range (&Settings{}).list() {
			probe := reflect.New(row.value.Type()).Elem()
			if text, ok := os.LookupEnv(row.env); ok && text != "" && setValue(probe, text) != nil {
				names = append(names, fmt.Sprintf("%s: is not a %s", row.env, kindName(probe)))
			}
		}
		return fmt.Errorf("settings: %s", strings.Join(names, "; "))
	}
	return nil
}

// addFlags makes a flag of each setting that is not secret. The default shown in
// the help is the documented one: the environment's may hold a password.
func (s *Settings) addFlags(flags *pflag.FlagSet) {
	for _, row := range s.list() {
		if row.secret {
			continue
		}
		f := flags.VarPF(&flagValue{row.value}, row.flag, "", row.help+" ($"+row.env+")")
		f.DefValue = row.fallback
		if row.value.Kind() == reflect.Bool {
			f.NoOptDefVal = "true"
		}
	}
}

// flagValue lets pflag write a setting.
type flagValue struct{ v reflect.Value }

func (f *flagValue) String() string {
	if !f.v.IsValid() { // pflag asks the zero value too
		return ""
	}
	return fmt.Sprint(f.v.Interface())
}
func (f *flagValue) Set(text string) error { return setValue(f.v, text) }
func (f *flagValue) Type() string          { return kindName(f.v) }

func kindName(v reflect.Value) string {
	if v.Type() == reflect.TypeFor[time.Duration]() {
		return "duration such as 2m10s"
	}
	switch v.Kind() {
	case reflect.Int:
		return "whole number"
	case reflect.Float64:
		return "number"
	case reflect.Bool:
		return "bool"
	default:
		return "string"
	}
}

func setValue(v reflect.Value, text string) error {
	if v.Type() == reflect.TypeFor[time.Duration]() {
		d, err := time.ParseDuration(text)
		if err != nil {
			return errors.New("not a duration such as 2m10s")
		}
		v.SetInt(int64(d))
		return nil
	}
	switch v.Kind() {
	case reflect.Int:
		n, err := strconv.Atoi(text)
		if err != nil {
			return errors.New("not a whole number")
		}
		v.SetInt(int64(n))
	case reflect.Float64:
		f, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return errors.New("not a number")
		}
		v.SetFloat(f)
	case reflect.Bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return errors.New("not true or false")
		}
		v.SetBool(b)
	default:
		v.SetString(text)
	}
	return nil
}

// check completes and judges the settings after the flags were read.
func (s *Settings) check(flags *pflag.FlagSet) error {
	if flags.Changed("redis-url") && holdsPassword(s.RedisURL) {
		return usage(errors.New("--redis-url: must not hold a password, which everybody on this machine could read (set REDIS_URL or REDIS_PASSWORD_FILE)"))
	}
	for _, secret := range s.secretFiles() {
		if secret.file == "" {
			continue
		}
		if *secret.value != "" {
			return usage(fmt.Errorf("%s and %s_FILE are both set: keep one", secret.name, secret.name))
		}
		if err := secret.read(); err != nil {
			return &exitError{exitFile, err}
		}
	}
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if s.Environment != string(reloadly.Sandbox) && s.Environment != string(reloadly.Live) {
		wrong("RELOADLY_ENV: is neither sandbox nor live")
	}
	if s.InFlight < 1 {
		wrong("TOPUP_IN_FLIGHT: must be at least 1")
	}
	if s.Servers < 0 || s.PerSecond < 0 || s.FleetInFlight < 0 || s.MaxPerNumber < 0 {
		wrong("TOPUP_SERVERS, TOPUP_PER_SECOND, TOPUP_FLEET_IN_FLIGHT and TOPUP_MAX_PER_NUMBER_PER_DAY must not be negative")
	}
	if s.AuditDays < 0 || s.AuditDays > 365 {
		wrong("TOPUP_AUDIT_DAYS: must be 0 to 365")
	}
	if s.TimeScale <= 0 || s.TimeScale > 1 {
		wrong("TOPUP_TIME_SCALE: must be more than 0 and at most 1")
	}
	if !slices.Contains([]string{"debug", "info", "warn", "error"}, s.LogLevel) {
		wrong("TOPUP_LOG_LEVEL: is not one of debug, info, warn, error")
	}
	if s.live() && s.TimeScale != 1 {
		wrong("TOPUP_TIME_SCALE: must be 1 in the live environment, where waiting protects the money")
	}
	if len(errs) > 0 {
		return usage(errors.Join(errs...))
	}
	return nil
}

// secretFile is a secret that can stand in a file.
type secretFile struct {
	name, file string
	value      *string
}

func (s *Settings) secretFiles() []secretFile {
	return []secretFile{
		{"REDIS_PASSWORD", s.RedisPassFile, &s.RedisPassword},
		{"REDIS_SENTINEL_PASSWORD", s.SentinelPassFile, &s.SentinelPassword},
		{"RELOADLY_CLIENT_ID", s.ClientIDFile, &s.ClientID},
		{"RELOADLY_CLIENT_SECRET", s.ClientSecretFile, &s.ClientSecret},
		{"RELOADLY_WEBHOOK_SECRET", s.WebhookFile, &s.WebhookSecret},
		{"TOPUP_NUMBER_KEY", s.NumberKeyFile, &s.NumberKey},
	}
}

// read takes the secret from its file.
func (f secretFile) read() error {
	text, err := os.ReadFile(f.file)
	if err != nil {
		return fmt.Errorf("%s_FILE: %w", f.name, err)
	}
	*f.value = strings.TrimRight(string(text), "\r\n")
	return nil
}

func (s *Settings) live() bool { return s.Environment == string(reloadly.Live) }

// ledger is the ledger's configuration.
func (s *Settings) ledger(epoch string) enqueue.LedgerConfig {
	cfg := enqueue.LedgerConfig{Epoch: epoch, Who: s.Name}
	if s.TimeScale != 1 {
		cfg = worker.ScaleLedger(cfg, s.TimeScale)
	}
	return cfg
}

// audit is how far back the report is looked at; negative is off.
func (s *Settings) audit() time.Duration {
	return cmp.Or(time.Duration(s.AuditDays)*24*time.Hour, -1)
}

// numberKey keys the hashes of phone numbers. Every worker of a fleet must have the
// same one, so without a setting it comes from what they share.
func (s *Settings) numberKey() ([]byte, error) {
	if s.NumberKey != "" {
		return []byte(s.NumberKey), nil
	}
	key, err := hkdf.Key(sha256.New, []byte(s.ClientSecret), nil, "topup phone numbers", 32)
	if err != nil {
		return nil, fmt.Errorf("derive the key of the phone numbers: %w", err)
	}
	return key, nil
}
