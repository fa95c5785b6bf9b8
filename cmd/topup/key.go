package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"example.com/topup/enqueue/httpapi"
)

func (a *app) keyCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "key", Short: "Make, list and revoke the keys of topup serve",
		Args: usageArgs(cobra.NoArgs), RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(a.keyCreateCommand(), a.keyListCommand(), a.keyRevokeCommand())
	return c
}

// withKeys opens the keys in Redis.
func (a *app) withKeys(ctx context.Context, do func(*httpapi.Keys) error) error {
	o, err := openShared(ctx, a.settings)
	if err != nil {
		return err
	}
	defer o.close()
	return do(httpapi.NewKeys(o.rdb))
}

func (a *app) keyCreateCommand() *cobra.Command {
	var scopes []string
	var perSecond int
	var expires string
	c := &cobra.Command{
		Use: "create NAME", Short: "Make a key and show it, once",
		Long: "Make a key and show it on stdout. Redis keeps only its SHA-256: who loses the key makes another one.\n" +
			"Scopes: submit (send and withdraw top-ups), read (see them), control (change how everything runs).",
		Example: "  topup key create shop --scopes submit,read --expires 8760h --per-second 500",
		Args:    usageArgs(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			k := httpapi.Key{Name: args[0], PerSecond: perSecond}
			for _, scope := range scopes {
				k.Scopes = append(k.Scopes, httpapi.Scope(strings.TrimSpace(scope)))
			}
			var err error
			if k.Expires, err = parseExpiry(expires); err != nil {
				return err
			}
			return a.withKeys(c.Context(), func(keys *httpapi.Keys) error {
				secret, made, err := keys.Create(c.Context(), k)
				if err != nil {
					return err
				}
				if a.json {
					return writeJSON(a.out, struct {
						httpapi.Key
						Secret string `json:"key"`
					}{made, secret})
				}
				fmt.Fprintf(a.err, "topup: key %s (%s), %s, at most %d requests a second; it is shown this once\n",
					made.Name, scopeList(made.Scopes), until(made.Expires), made.PerSecond)
				fmt.Fprintln(a.out, secret)
				return nil
			})
		},
	}
	c.Flags().StringSliceVar(&scopes, "scopes", []string{"submit", "read"}, "what it allows: submit, read, control")
	c.Flags().IntVar(&perSecond, "per-second", httpapi.DefaultPerSecond, "requests a second, over all servers")
	c.Flags().StringVar(&expires, "expires", "", "how long it holds (8760h), or until when (2027-01-31T00:00:00Z); empty is until it is revoked")
	return c
}

func parseExpiry(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if d, err := time.ParseDuration(text); err == nil {
		return time.Now().Add(d).UTC().Truncate(time.Second), nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, usage(errors.New("--expires: is neither a duration such as 8760h nor a time such as 2027-01-31T00:00:00Z"))
	}
	return at.UTC(), nil
}

func until(at time.Time) string {
	if at.IsZero() {
		return "until it is revoked"
	}
	return "until " + at.Format(time.RFC3339)
}

func scopeList(scopes []httpapi.Scope) string {
	words := make([]string, len(scopes))
	for i, scope := range scopes {
		words[i] = string(scope)
	}
	return strings.Join(words, ",")
}

func (a *app) keyListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "Show every key's name, scopes, rate and end, never the key", Args: usageArgs(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			return a.withKeys(c.Context(), func(keys *httpapi.Keys) error {
				all, err := keys.List(c.Context())
				if err != nil {
					return err
				}
				if a.json {
					return writeJSON(a.out, all)
				}
				table := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
				fmt.Fprintln(table, "NAME\tSCOPES\tREQUESTS/S\tMADE\tHOLDS")
				for _, k := range all {
					holds := until(k.Expires)
					if !k.Expires.IsZero() && !time.Now().Before(k.Expires) {
						holds = "no more"
					}
					fmt.Fprintf(table, "%s\t%s\t%d\t%s\t%s\n", k.Name, scopeList(k.Scopes), k.PerSecond, k.Created.Format(time.DateOnly), holds)
				}
				return table.Flush()
			})
		},
	}
}

func (a *app) keyRevokeCommand() *cobra.Command {
	return &cobra.Command{
		Use: "revoke NAME", Short: "End a key; every server refuses it within three seconds", Args: usageArgs(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			return a.withKeys(c.Context(), func(keys *httpapi.Keys) error {
				if err := keys.Revoke(c.Context(), args[0]); err != nil {
					return err
				}
				if a.json {
					return writeJSON(a.out, map[string]string{"name": args[0], "state": "revoked"})
				}
				fmt.Fprintf(a.out, "%s revoked\n", args[0])
				return nil
			})
		},
	}
}
