package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"example.com/topup/reloadly"
)

// rereadOnHangup reads the secret files again whenever SIGHUP comes, until the returned
// function is called. client is nil in a process without an account.
func rereadOnHangup(ctx context.Context, s Settings, o *opened, client *reloadly.Client, log *slog.Logger) (stop func()) {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	ctx, cancel := context.WithCancel(ctx)
	var reading sync.WaitGroup
	reading.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-hangups:
				s.reread(ctx, o, client, log)
			}
		}
	})
	return func() {
		signal.Stop(hangups)
		cancel()
		reading.Wait()
	}
}

// reread takes over what the secret files say now. What cannot be read or is refused
// changes nothing: the process goes on with what it has.
func (s *Settings) reread(ctx context.Context, o *opened, client *reloadly.Client, log *slog.Logger) {
	fresh := *s
	for _, secret := range fresh.secretFiles() {
		if secret.file == "" {
			continue
		}
		if err := secret.read(); err != nil {
			log.ErrorContext(ctx, "secrets stay as they are", "error", err)
			return
		}
	}
	if o.password != nil && fresh.RedisPassword != s.RedisPassword {
		o.password.Store(&fresh.RedisPassword)
		s.RedisPassword = fresh.RedisPassword
		log.InfoContext(ctx, "new connections to Redis show the new password")
	}
	if fresh.SentinelPassword != s.SentinelPassword || fresh.NumberKey != s.NumberKey || fresh.WebhookSecret != s.WebhookSecret {
		log.WarnContext(ctx, "the password of the Sentinels, the key of the numbers and the secret of the webhook stay as they are until the process is started again")
	}
	if client == nil || fresh.ClientID == s.ClientID && fresh.ClientSecret == s.ClientSecret {
		log.InfoContext(ctx, "secrets were read again")
		return
	}
	asking, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	cache := reloadly.NewRedisTokenCache(o.rdb, reloadly.Environment(s.Environment), fresh.ClientID, fresh.ClientSecret)
	if err := client.Rotate(asking, fresh.ClientID, fresh.ClientSecret, cache); err != nil {
		log.ErrorContext(ctx, "the credentials of Reloadly stay as they are: correct the files and send SIGHUP again", "error", err)
		return
	}
	if fresh.ClientID != s.ClientID {
		log.WarnContext(ctx, "the client id of Reloadly is another one: it must be of the same account, where open jobs are looked up")
	}
	s.ClientID, s.ClientSecret = fresh.ClientID, fresh.ClientSecret
	log.InfoContext(ctx, "Reloadly granted access for the new credentials")
}
