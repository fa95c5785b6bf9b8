package main

import (
	"github.com/redis/go-redis/v9"
)

// client makes the go-redis client of the address. It connects when it is used.
func (a *redisAddress) client() redis.UniversalClient {
	o := a.options
	switch a.kind {
	case sentinelRedis:
		return redis.NewFailoverClient(&redis.FailoverOptions{
			MasterName: a.master, SentinelAddrs: a.hosts, SentinelUsername: a.sentinelUser, SentinelPassword: a.sentinelPassword,
			CredentialsProviderContext: o.CredentialsProviderContext,
			Username:                   o.Username, Password: o.Password, DB: o.DB, TLSConfig: o.TLSConfig, Protocol: o.Protocol, ClientName: o.ClientName,
			MaxRetries: o.MaxRetries, MinRetryBackoff: o.MinRetryBackoff, MaxRetryBackoff: o.MaxRetryBackoff,
			DialTimeout: o.DialTimeout, ReadTimeout: o.ReadTimeout, WriteTimeout: o.WriteTimeout, ContextTimeoutEnabled: o.ContextTimeoutEnabled,
			ReadBufferSize: o.ReadBufferSize, WriteBufferSize: o.WriteBufferSize, PipelinePoolSize: o.PipelinePoolSize,
			PipelineReadBufferSize: o.PipelineReadBufferSize, PipelineWriteBufferSize: o.PipelineWriteBufferSize,
			// A dial to the primary asks the Sentinels, which is dialled and repeated too: the
			// default of 5 makes a command wait 36 s where none of them answers.
			DialerRetries: 2,
			// asynq's servers share the pool, which follows a failover; see worker.Run.
			PoolSize: 2 * o.PoolSize,
			PoolFIFO: o.PoolFIFO, PoolTimeout: o.PoolTimeout, MinIdleConns: o.MinIdleConns, MaxIdleConns: o.MaxIdleConns,
			MaxActiveConns: o.MaxActiveConns, MaxConcurrentDials: o.MaxConcurrentDials, ConnMaxIdleTime: o.ConnMaxIdleTime,
			ConnMaxLifetime: o.ConnMaxLifetime, ConnMaxLifetimeJitter: o.ConnMaxLifetimeJitter,
		})
	case clusterRedis:
		return redis.NewClusterClient(&redis.ClusterOptions{
			Addrs: a.hosts, CredentialsProviderContext: o.CredentialsProviderContext,
			Username: o.Username, Password: o.Password, TLSConfig: o.TLSConfig, Protocol: o.Protocol, ClientName: o.ClientName,
			MaxRetries: o.MaxRetries, MinRetryBackoff: o.MinRetryBackoff, MaxRetryBackoff: o.MaxRetryBackoff,
			DialTimeout: o.DialTimeout, ReadTimeout: o.ReadTimeout, WriteTimeout: o.WriteTimeout, ContextTimeoutEnabled: o.ContextTimeoutEnabled,
			ReadBufferSize: o.ReadBufferSize, WriteBufferSize: o.WriteBufferSize, PipelinePoolSize: o.PipelinePoolSize,
			PipelineReadBufferSize: o.PipelineReadBufferSize, PipelineWriteBufferSize: o.PipelineWriteBufferSize,
			PoolSize: o.PoolSize, // of each node
			PoolFIFO: o.PoolFIFO, PoolTimeout: o.PoolTimeout, MinIdleConns: o.MinIdleConns, MaxIdleConns: o.MaxIdleConns,
			MaxActiveConns: o.MaxActiveConns, MaxConcurrentDials: o.MaxConcurrentDials, ConnMaxIdleTime: o.ConnMaxIdleTime,
			ConnMaxLifetime: o.ConnMaxLifetime, ConnMaxLifetimeJitter: o.ConnMaxLifetimeJitter,
		})
	default:
		return redis.NewClient(o)
	}
}
