// Package monitor is asynqmon, the web page of asynq's queues, behind the API's keys.
//
//	m, err := monitor.New(monitor.Config{Redis: rdb, Ledger: client.Ledger(), Door: server})
//	server.Mount(monitor.Path, m)
//
// # Who may come in
//
// A key with the scope read, as a Bearer token or by the login form. The form sets a
// cookie that is a random number: Redis keeps its SHA-256 with the hash of the key, for
// [Config.SessionTime]. The key is asked for at each request, so a revoked one ends its
// sessions as soon as it ends itself. The cookie is HttpOnly and SameSite=Strict, and
// Secure where the request came over TLS or a proxy in front says so
// (X-Forwarded-Proto: https): who lies in that header hides a cookie from himself. On a
// server that needs no key (loopback, and none was made) everybody may.
//
// # Who may change something
//
// Nobody. With [Config.Write] a key with the scope control may: asynq's tasks only wake,
// so deleting, running or archiving them neither pays nor loses a top-up. Whoever has
// come by the cookie must also come from this very site, which Sec-Fetch-Site or Origin
// has to say.
//
// # What is shown
//
// Of a task's payload, the state of its job in the ledger, with the number masked; of
// any other payload or result nothing. Nothing is loaded from another host: asynqmon's
// page loses its fonts of Google's, and a Content-Security-Policy without exceptions
// keeps the rest at home. /api/metrics, which would ask a Prometheus, is not there.
package monitor
