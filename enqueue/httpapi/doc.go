// Package httpapi is the way in and out for callers in any language: an HTTP API that
// takes the very request of Reloadly's quick start.
//
//	POST /v1/topups             submit a top-up; ?wait=30s or Prefer: wait=30 for its result
//	POST /v1/topups:batch       up to 1,000, one answer for each
//	GET  /v1/topups             pages: state, campaign, limit, cursor
//	GET  /v1/topups/{id}        its result; ?wait=30s holds until it is settled
//	POST /v1/topups/{id}/cancel withdraw it while it waits
//	GET  /v1/campaigns          and /v1/campaigns/{name}: how far each has come
//	POST /v1/reloadly/webhook   Reloadly's notifications: each wakes one look-up
//	POST /oauth/token, /topups  Reloadly's own paths, for programs made for Reloadly
//	GET  /livez /readyz /openapi.json
//
// For most uses make a [Server] with [New] and call [Server.Serve].
//
// # What is promised
//
// The same as by package enqueue, which does everything: at most one paid top-up per
// id, however often and from wherever a request is repeated. After a 5xx, a 408 or no
// answer at all it is not known whether the job was accepted: repeat it with the same
// id. Any other 4xx says that there is no job because of it.
//
// # Requests
//
// A body is one JSON object in UTF-8 of at most 1 MiB. Names count with their capitals,
// none may be unknown or stand twice, amounts are numbers or numbers as text and never
// floating point. Answers that are no success are problem details (RFC 9457) with a
// permanent [Code]; they name fields and never repeat values.
//
// # Keys
//
// [Keys] holds them: Redis has only the SHA-256 of each secret. A server believes what
// it knows of a key for [KeyCacheTime], so a revoked one is refused within three
// seconds; what was let in before, such as a long poll, is still answered. While there
// is no key at all the server listens on loopback alone, and answers no request that was
// made for another host's name or that a proxy passes on; with the first key everything
// but /livez, /readyz, /openapi.json, /oauth/token and the signed webhook needs one.
// Each key has a rate that all servers share, whether the key allows the request or not;
// a batch is one request. Keys are no tenants: each that may read reads every top-up.
//
// # Waiting
//
// All who wait share one subscription: 10,000 of them cost Redis what 100 do. When the
// server stops, those who wait get the present state at once.
package httpapi
