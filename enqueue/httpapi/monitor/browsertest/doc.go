// Package browsertest looks at the monitor through a real Chromium: make test-browser.
//
// It starts redis-server and topup's sandbox, worker and serve as processes on loopback.
// It is a module of its own, so that what drives a browser stays out of the one that pays.
package browsertest
