package enqueue

import (
	"fmt"

	"github.com/redis/go-redis/v9"
)

// Pipelined is rdb for those who work on many jobs at once: the commands of their goroutines
// share pipelines, which spares Redis and the process most of their system calls. Each call
// still waits for its own reply, and goes on when its context ends. What is returned
// belongs to rdb, which ends it; with an error, and where rdb has no such pipelines, it is rdb itself.
func Pipelined(rdb redis.UniversalClient) (redis.UniversalClient, error) {
	pipeliner, ok := rdb.(interface {
		AutoPipeline() (*redis.AutoPipeliner, error)
	})
	if !ok {
		return rdb, nil
	}
	pipelined, err := pipeliner.AutoPipeline()
	if err != nil { // a Ring has none, and rdb may have been given bad options for it
		return rdb, fmt.Errorf("join commands into pipelines: %w", err)
	}
	return pipelined, nil
}
