package enqueue

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/hibiken/asynq"
)

// The queues. A task carries a job's id and version and nothing else: losing,
// doubling or re-running it is harmless.
const (
	QueueTopUps    = "topups"    // single jobs
	QueueCampaigns = "campaigns" // bulk
	QueueFollowups = "followups" // look-ups, status polls, retries
)

// TaskType is the type of every task.
const TaskType = "topup"

const (
	// TaskTimeout is how long asynq lets a handler run: longer than any POST, so that
	// it never runs a task twice by itself.
	TaskTimeout   = 5 * time.Minute
	taskRetention = 24 * time.Hour // how long asynqmon shows it after its end
	// taskRetries is for faults of the infrastructure alone; a task that used them
	// up would be archived, which is an alert.
	taskRetries = 10_000
)

// errPayload is what every payload that is not a task of ours is refused with.
var errPayload = errors.New("not a top-up task")

// EncodeTask is the payload of the wake-up for a job.
func EncodeTask(id string, version int64) []byte {
	return []byte("1 " + CanonicalID(id) + " " + strconv.FormatInt(version, 10))
}

// DecodeTask reads the payload of a wake-up.
func DecodeTask(payload []byte) (id string, version int64, err error) {
	if len(payload) > MaxIDLength+32 {
		return "", 0, fmt.Errorf("%w: %d bytes are too many", errPayload, len(payload))
	}
	parts := strings.Split(string(payload), " ")
	if len(parts) != 3 || parts[0] != "1" {
		return "", 0, fmt.Errorf("%w: unknown form", errPayload)
	}
	version, err = strconv.ParseInt(parts[2], 10, 64)
	if err != nil || version < 1 {
		return "", 0, fmt.Errorf("%w: no version", errPayload)
	}
	if parts[1] == "" || len(parts[1]) > MaxIDLength || !validID(parts[1]) || parts[1] != CanonicalID(parts[1]) {
		return "", 0, fmt.Errorf("%w: no job id", errPayload)
	}
	return parts[1], version, nil
}

// TaskID names the task of a wake-up. The first one has the job's own id; a later
// one is followed by the version that it was made for.
func TaskID(id string, version int64) string {
	if version <= 1 {
		return CanonicalID(id)
	}
	return CanonicalID(id) + ":" + strconv.FormatInt(version, 10)
}

// NewTask is the wake-up for a job in a queue at a time; zero is at once.
// Times go up to the next full second: asynq rounds down, and a wake-up that
// comes too early has come for nothing.
func NewTask(queue, taskID, id string, version int64, at time.Time) *asynq.Task {
	return NewTaskWithHeaders(queue, taskID, id, version, at, nil)
}

// NewTaskWithHeaders is [NewTask] with what goes along for a trace.
func NewTaskWithHeaders(queue, taskID, id string, version int64, at time.Time, headers map[string]string) *asynq.Task {
	options := []asynq.Option{
		asynq.Queue(queue), asynq.TaskID(taskID), asynq.Timeout(TaskTimeout), asynq.Retention(taskRetention), asynq.MaxRetry(taskRetries),
	}
	if !at.IsZero() {
		options = append(options, asynq.ProcessAt(at.Add(time.Second-time.Nanosecond).Truncate(time.Second)))
	}
	return asynq.NewTaskWithHeaders(TaskType, EncodeTask(id, version), headers, options...)
}
