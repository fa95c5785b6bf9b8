// Package luacover shows tests which branches of Lua scripts they reach: each notes itself
// in the set "cov". No program has it in it.
package luacover

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
)

// Cover is the branches of a package's scripts.
type Cover struct {
	mu           sync.Mutex
	all, reached map[string]bool
}

// New is without any branch.
func New() *Cover { return &Cover{all: map[string]bool{}, reached: map[string]bool{}} }

// Instrument is a script, or a part of one, in which each branch notes itself.
func (c *Cover) Instrument(name, text string) string {
	var out strings.Builder
	for n, line := range strings.SplitAfter(text, "\n") {
		out.WriteString(line)
		words := strings.TrimSpace(line)
		if before, _, found := strings.Cut(words, " -- "); found {
			words = before
		}
		if strings.HasPrefix(words, "--") || (!strings.HasSuffix(words, " then") && words != "else") {
			continue
		}
		branch := fmt.Sprintf("%s.lua:%d", name, n+1)
		c.all[branch] = true
		fmt.Fprintf(&out, "redis.call('SADD', 'cov', '%s')\n", branch)
	}
	return out.String()
}

// Collect remembers what was reached in one Redis.
func (c *Cover) Collect(ctx context.Context, rdb redis.UniversalClient) {
	reached, _ := rdb.SMembers(ctx, "cov").Result() // what cannot be read was not reached
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, branch := range reached {
		c.reached[branch] = true
	}
}

// Missing are the branches that were not reached.
func (c *Cover) Missing() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.DeleteFunc(slices.Sorted(maps.Keys(c.all)), func(branch string) bool { return c.reached[branch] })
}
