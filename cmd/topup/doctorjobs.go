package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"example.com/topup/enqueue"
	"example.com/topup/worker"
)

// surveyLimit is how many open jobs doctor reads: some seconds' worth.
const surveyLimit = 200_000

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

var queues = []string{enqueue.QueueTopUps, enqueue.QueueCampaigns, enqueue.QueueFollowups}

// queueKey is one of asynq's own keys. Its inspector would not do: it cannot be
// given a time limit, and does not know a queue that nobody has used.
func queueKey(queue, list string) string { return "asynq:{" + queue + "}:" + list }

// checkWorkers counts the processes whose asynq servers gave a sign of life.
func (d *doctor) checkWorkers(ctx context.Context) finding {
	alive, err := d.rdb.ZRangeByScore(ctx, "asynq:servers", &redis.ZRangeBy{Min: strconv.FormatInt(time.Now().Unix(), 10), Max: "+inf"}).Result()
	if err != nil {
		return found(fix, "they cannot be counted: %v", cause(ctx, err))
	}
	processes := map[string]bool{}
	for _, key := range alive { // asynq:servers:{host:pid:server}
		if end := strings.LastIndex(key, ":"); end > 0 {
			processes[key[:end]] = true
		}
	}
	if len(processes) == 0 {
		return found(note, "none is running: jobs wait until one is (topup worker)")
	}
	return found(good, "%d running", len(processes))
}

// surveyed looks at the ledger once for all checks.
func (d *doctor) surveyed(ctx context.Context) (*enqueue.Survey, error) {
	if d.survey != nil {
		return d.survey, nil
	}
	survey, err := d.ledger.Survey(ctx, surveyLimit)
	if err != nil {
		return nil, cause(ctx, err)
	}
	d.survey = survey
	return survey, nil
}

func (d *doctor) checkReviews(ctx context.Context) finding {
	s, err := d.surveyed(ctx)
	switch {
	case err != nil:
		return found(fix, "the ledger cannot be read: %v", err)
	case s.Reviews == 0 || s.OldestReview == nil:
		return found(good, "none is open")
	default:
		return found(fix, "%d open, %s since %s: decide with topup review list, adopt, fail, resend", s.Reviews, s.OldestReview.ID, ago(s.OldestReview.Since))
	}
}

func (d *doctor) checkUnknown(ctx context.Context) finding {
	s, err := d.surveyed(ctx)
	if err != nil {
		return found(fix, "the ledger cannot be read: %v", err)
	}
	of := ""
	if s.Looked < s.Open && s.Looked >= surveyLimit {
		of = fmt.Sprintf(" (of the first %d of %d open jobs)", s.Looked, s.Open)
	}
	n, oldest := s.States[enqueue.Unknown], s.OldestUnknown
	switch settle := d.ledger.Config().Settle; {
	case n == 0 || oldest == nil:
		return found(good, "none%s", of)
	case time.Since(oldest.Since) > 3*settle:
		return found(fix, "%d%s, %s since %s, longer than a look-up takes: is a worker running, and can Reloadly's report be read? (topup get %s)", n, of, oldest.ID, ago(oldest.Since), oldest.ID)
	default:
		return found(good, "%d%s being looked up, the oldest since %s", n, of, ago(oldest.Since))
	}
}

func (d *doctor) checkOverdue(ctx context.Context) finding {
	s, err := d.surveyed(ctx)
	if err != nil {
		return found(fix, "the ledger cannot be read: %v", err)
	}
	switch oldest := s.OldestOverdue; {
	case s.Overdue == 0 || oldest == nil:
		return found(good, "none of %d open jobs", s.Open)
	case time.Since(oldest.Since) > d.ledger.Config().Settle:
		return found(fix, "%d of %d, %s since %s: no worker sweeps, start one (topup worker)", s.Overdue, s.Open, oldest.ID, ago(oldest.Since))
	default:
		return found(good, "%d of %d, the oldest since %s", s.Overdue, s.Open, ago(oldest.Since))
	}
}

func ago(t time.Time) string {
	d := max(time.Since(t), 0)
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%.0f s ago", d.Seconds())
	case d < 2*time.Hour:
		return fmt.Sprintf("%.0f min ago", d.Minutes())
	case d < 48*time.Hour:
		return fmt.Sprintf("%.0f h ago", d.Hours())
	default:
		return fmt.Sprintf("%.0f days ago", d.Hours()/24)
	}
}

func (d *doctor) checkHolds(ctx context.Context) finding {
	list, err := worker.NewHolds(d.rdb, worker.HoldConfig{}).List(ctx)
	if err != nil {
		return found(fix, "they cannot be read: %v", cause(ctx, err))
	}
	if len(list) == 0 {
		return found(good, "none in force")
	}
	worst := note
	var texts []string
	for _, h := range list {
		text := fmt.Sprintf("%s %s by %s %s", h.Scope, h.Reason, h.By, ago(h.Since))
		if h.Scope == worker.ScopeAccount && h.Reason != enqueue.Paused {
			worst = fix
			text += " (lifted by itself once balance, limits and credentials are well)"
		}
		texts = append(texts, text)
	}
	return found(worst, "%s", strings.Join(texts, "; "))
}

func (d *doctor) checkArchived(ctx context.Context) finding {
	counts, err := d.count(ctx, "archived")
	if err != nil {
		return found(fix, "they cannot be counted: %v", cause(ctx, err))
	}
	var texts []string
	for i, n := range counts {
		if n[0] > 0 {
			texts = append(texts, fmt.Sprintf("%d in %s", n[0], queues[i]))
		}
	}
	if len(texts) > 0 {
		return found(fix, "%s: nothing of ours is archived, so look at the worker's log; the sweeper wakes their jobs", strings.Join(texts, ", "))
	}
	return found(good, "none")
}

func (d *doctor) checkQueues(ctx context.Context) finding {
	counts, err := d.count(ctx, "pending", "active", "scheduled", "retry")
	if err != nil {
		return found(fix, "they cannot be counted: %v", cause(ctx, err))
	}
	worst := good
	var texts []string
	for i, n := range counts {
		text := fmt.Sprintf("%s %d pending, %d active, %d later", queues[i], n[0], n[1], n[2]+n[3])
		paused, err := d.rdb.Exists(ctx, queueKey(queues[i], "paused")).Result()
		if err != nil {
			return found(fix, "whether they are paused cannot be read: %v", cause(ctx, err))
		}
		if paused > 0 {
			worst = fix
			text += ", paused in asynqmon: resume it there (topup hold stops sends and lets look-ups go on)"
		}
		texts = append(texts, text)
	}
	return found(worst, "%s", strings.Join(texts, "; "))
}

// count is the lengths of some of asynq's lists, for each queue.
func (d *doctor) count(ctx context.Context, lists ...string) ([][]int64, error) {
	pipe := d.rdb.Pipeline()
	replies := make([][]*redis.IntCmd, len(queues))
	for i, queue := range queues {
		for _, list := range lists {
			if list == "pending" || list == "active" {
				replies[i] = append(replies[i], pipe.LLen(ctx, queueKey(queue, list)))
			} else {
				replies[i] = append(replies[i], pipe.ZCard(ctx, queueKey(queue, list)))
			}
		}
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, err
	}
	counts := make([][]int64, len(queues))
	for i, row := range replies {
		for _, reply := range row {
			counts[i] = append(counts[i], reply.Val())
		}
	}
	return counts, nil
}
