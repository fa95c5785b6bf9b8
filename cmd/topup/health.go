package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"
)

// healthTime is less than any checker's own patience.
const healthTime = 4 * time.Second

// healthCommand is for images without a shell: a health check needs a program.
func (a *app) healthCommand() *cobra.Command {
	return &cobra.Command{
		Use: "health URL", Short: "Ask a server of this program whether it is well: exit 0 where it answers 200",
		Example: "  topup health http://127.0.0.1:8080/readyz     # serve\n  topup health http://127.0.0.1:9464/metrics    # a worker with --metrics-listen",
		Args:    usageArgs(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			return askHealth(c.Context(), args[0])
		},
	}
}

func askHealth(ctx context.Context, address string) error {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" || u.Host == "" || u.User != nil {
		return usage(errors.New("URL: is not http://HOST:PORT/PATH"))
	}
	ctx, cancel := context.WithTimeout(ctx, healthTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return usage(errors.New("URL: is not http://HOST:PORT/PATH"))
	}
	// A proxy of the environment is not asked, and where a server points to is not followed.
	client := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	res, err := client.Do(req)
	if err != nil {
		return &exitError{exitUnreachable, fmt.Errorf("ask for its health: %w", err)}
	}
	defer func() { _ = res.Body.Close() }() // it was only read
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 1<<20))
	if res.StatusCode != http.StatusOK {
		return &exitError{exitUnreachable, fmt.Errorf("%s answers %s", u.Host, res.Status)}
	}
	return nil
}
