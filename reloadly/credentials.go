package reloadly

import (
	"context"
	"errors"
	"slices"
)

// credentials are the account's, and where the access that they get is shared.
type credentials struct {
	id, secret string
	cache      TokenCache // nil where it is not shared
}

// secrets are those that no text may contain: every client secret of this process's life, and more.
func (c *Client) secrets(more ...string) []string {
	if known := c.masked.Load(); known != nil {
		more = append(more, *known...)
	}
	return more
}

// mask adds a secret to those that no text may contain.
func (c *Client) mask(secret string) {
	all := append(slices.Clone(c.secrets()), secret)
	c.masked.Store(&all)
}

// Rotate goes over to other credentials of the same account, once the provider has granted access for
// them. Where it does not, the old ones stay and the error says why; it never contains a secret. cache
// shares the access that they get, nil not at all. Rotate is not called twice at a time.
func (c *Client) Rotate(ctx context.Context, clientID, clientSecret string, cache TokenCache) error {
	if err := errors.Join(checkCredential("client id", clientID), checkCredential("client secret", clientSecret)); err != nil {
		return err
	}
	c.mask(clientSecret)
	next := &credentials{clientID, clientSecret, cache}
	t, e := c.requestToken(ctx, next)
	if e != nil {
		return e
	}
	c.current.Store(next)
	c.access.keep(t)
	c.access.share(ctx, t)
	return nil
}
