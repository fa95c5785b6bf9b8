package enqueue

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
)

// ErrCursor says that a list cannot be continued where its cursor points.
var ErrCursor = errors.New("this cursor is not of this list")

// Query says which jobs to list. The zero value lists all of them.
type Query struct {
	State    State  // empty is every state
	Campaign string // empty is every campaign, and none; compared without case
	// Limit is about how many jobs a page has. Defaults to 100, at most 1,000.
	Limit int
	// Cursor is the Next of the page before; empty begins.
	Cursor string
}

// Page is some of the jobs of a list.
type Page struct {
	Jobs []Result
	Next string // the cursor of the next page; empty where there is none
}

const (
	maxListLimit = 1000
	listReads    = 10 // how many scans a page may cost: it ends after them, empty or not
	scanCount    = 1000
)

// jobPattern matches the records, and takes their ids out of their keys.
const (
	jobPattern = "topup:{s[0-9][0-9]}:job:*"
	jobPrefix  = len("topup:{s00}:job:")
)

// List returns a page of jobs in no order. The ledger keeps an index of the jobs that
// are open and of those that need review, and none of the others, which every change
// would have to pay for: these are found by scanning Redis. A page costs ten scans at
// most; it may therefore have few jobs or none although there are more. It is the last
// one when Next is empty. Jobs that are there all the time are listed at least once,
// perhaps twice; one that changes meanwhile is listed as it is when its page is made.
// The error matches [ErrCursor] where the cursor is of another list, or of a cluster
// that had other nodes.
func (c *Client) List(ctx context.Context, q Query) (Page, error) {
	q.Limit = min(cmp.Or(q.Limit, 100), maxListLimit)
	source, read := "all", c.scanRecords
	switch q.State {
	case Queued, Sending, Processing, Unknown:
		source, read = "open", c.scanIndex(dueKey)
	case NeedsReview:
		source, read = "review", c.scanIndex(reviewKey)
	}
	at, err := parsePlace(source, q.Cursor)
	if err != nil {
		return Page{}, err
	}
	page := Page{Jobs: []Result{}}
	listed := map[string]bool{}
	for reads := 0; reads < listReads && len(page.Jobs) < q.Limit && !at.end; reads++ {
		var ids []string
		if ids, at, err = read(ctx, at, q.Limit); err != nil {
			return Page{}, err
		}
		ids = slices.DeleteFunc(ids, func(id string) bool {
			before := listed[id]
			listed[id] = true
			return before
		})
		for _, a := range c.GetMany(ctx, ids) {
			switch {
			case errors.Is(a.Err, ErrNotFound), errors.Is(a.Err, ErrExpired), errors.Is(a.Err, ErrDamaged):
			case a.Err != nil:
				return Page{}, a.Err
			case (q.State == "" || a.Result.State == q.State) && (q.Campaign == "" || strings.EqualFold(a.Result.Campaign, q.Campaign)):
				page.Jobs = append(page.Jobs, a.Result)
			}
		}
	}
	if !at.end {
		page.Next = at.text(source)
	}
	return page, nil
}

// place is where a list goes on: a part (a shard, or a node of a cluster), and Redis'
// own cursor in it.
type place struct {
	part, parts int // parts is 0 where it is not known yet
	cursor      uint64
	end         bool
}

func (p place) text(source string) string {
	return fmt.Sprintf("%s-%d-%d-%d", source, p.part, p.parts, p.cursor)
}

func parsePlace(source, cursor string) (place, error) {
	if cursor == "" {
		return place{}, nil
	}
	words := strings.Split(cursor, "-")
	if len(words) != 4 || words[0] != source {
		return place{}, ErrCursor
	}
	part, err := strconv.ParseUint(words[1], 10, 16)
	parts, err2 := strconv.ParseUint(words[2], 10, 16)
	at, err3 := strconv.ParseUint(words[3], 10, 64)
	if err != nil || err2 != nil || err3 != nil || part >= parts {
		return place{}, ErrCursor
	}
	return place{part: int(part), parts: int(parts), cursor: at}, nil
}

// after is the place after a scan that ended with cursor.
func (p place) after(cursor uint64) place {
	p.cursor = cursor
	if cursor == 0 {
		p.part++
		p.end = p.part == p.parts
	}
	return p
}

// scanIndex reads on in an index that each shard has.
func (c *Client) scanIndex(key func(shard int) string) func(context.Context, place, int) ([]string, place, error) {
	return func(ctx context.Context, at place, limit int) ([]string, place, error) {
		if at.parts == 0 {
			at.parts = shards
		}
		if at.parts != shards {
			return nil, at, ErrCursor
		}
		if at.cursor == 0 { // the next shard that has any
			pipe := c.rdb.Pipeline()
			cards := make([]*redis.IntCmd, 0, shards)
			for shard := at.part; shard < shards; shard++ {
				cards = append(cards, pipe.ZCard(ctx, key(shard)))
			}
			if _, err := pipe.Exec(ctx); err != nil {
				return nil, at, fmt.Errorf("list: %w", err)
			}
			for len(cards) > 0 && cards[0].Val() == 0 {
				cards = cards[1:]
				at.part++
			}
			if at.part == shards {
				at.end = true
				return nil, at, nil
			}
		}
		pairs, cursor, err := c.rdb.ZScan(ctx, key(at.part), at.cursor, "", int64(limit)).Result()
		if err != nil {
			return nil, at, fmt.Errorf("list: %w", err)
		}
		ids := make([]string, 0, len(pairs)/2)
		for i := 0; i < len(pairs); i += 2 {
			ids = append(ids, pairs[i])
		}
		return ids, at.after(cursor), nil
	}
}

// scanRecords reads on in the keys of each server.
func (c *Client) scanRecords(ctx context.Context, at place, _ int) ([]string, place, error) {
	nodes, err := c.nodes(ctx)
	if err != nil {
		return nil, at, err
	}
	if at.parts == 0 {
		at.parts = len(nodes)
	}
	if at.parts != len(nodes) {
		return nil, at, fmt.Errorf("the cluster has other nodes now: %w", ErrCursor)
	}
	keys, cursor, err := nodes[at.part].Scan(ctx, at.cursor, jobPattern, scanCount).Result()
	if err != nil {
		return nil, at, fmt.Errorf("list: %w", err)
	}
	for i := range keys {
		keys[i] = keys[i][jobPrefix:]
	}
	return keys, at.after(cursor), nil
}

// nodes are the servers that hold the keys, in an order that stays.
func (c *Client) nodes(ctx context.Context) ([]redis.Cmdable, error) {
	cluster, ok := c.rdb.(*redis.ClusterClient)
	if !ok {
		return []redis.Cmdable{c.rdb}, nil
	}
	var mu sync.Mutex
	byAddress := map[string]redis.Cmdable{}
	err := cluster.ForEachMaster(ctx, func(_ context.Context, node *redis.Client) error {
		mu.Lock()
		defer mu.Unlock()
		byAddress[node.Options().Addr] = node
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list: find the cluster's nodes: %w", err)
	}
	var addresses []string
	for address := range byAddress {
		addresses = append(addresses, address)
	}
	slices.Sort(addresses)
	nodes := make([]redis.Cmdable, len(addresses))
	for i, address := range addresses {
		nodes[i] = byAddress[address]
	}
	return nodes, nil
}
