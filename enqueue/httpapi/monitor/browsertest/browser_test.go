package browsertest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// browser is one tab of a Chromium with an empty profile.
type browser struct {
	*testing.T
	ctx context.Context //nolint:containedctx // it is the tab itself (chromedp)

	mu       sync.Mutex
	requests []string // every address that the tab asked for
	trouble  []string // what it complained of: policy, scripts, exceptions
}

// chromium is the program, under the names that it has.
func chromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Fatal("chromium is missing: make test-browser installs it")
	return ""
}

func newBrowser(t *testing.T) *browser {
	t.Helper()
	home := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx,
		chromedp.ExecPath(chromium(t)), chromedp.UserDataDir(home), chromedp.Env("HOME="+home), chromedp.WindowSize(1600, 800),
		chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true), chromedp.Flag("disable-dev-shm-usage", true),
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND , EXCLUDE 127.0.0.1"), // whatever it wants, it finds nobody
		chromedp.WSURLReadTimeout(time.Minute),
	)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	b := &browser{T: t, ctx: ctx}
	_, networkErr := chromedp.Call(ctx, network.Enable, network.EnableParams{})
	_, logErr := chromedp.Call(ctx, log.Enable, cdp.Empty{})
	_, runtimeErr := chromedp.Call(ctx, runtime.Enable, cdp.Empty{})
	if err := errors.Join(chromedp.Listen(ctx, b.hear), networkErr, logErr, runtimeErr); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *browser) hear(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		b.requests = append(b.requests, e.Request.URL)
	case *network.EventWebSocketCreated:
		b.requests = append(b.requests, e.URL)
	case *network.EventWebTransportCreated:
		b.requests = append(b.requests, e.URL)
	case *log.EventEntryAdded:
		if e.Entry.Source == log.EntrySourceRecommendation {
			return // how a form may please a password manager
		}
		b.trouble = append(b.trouble, fmt.Sprintf("%s: %s %s", e.Entry.Source, e.Entry.Text, e.Entry.URL))
	case *runtime.EventExceptionThrown:
		b.trouble = append(b.trouble, "exception: "+e.ExceptionDetails.Text)
	}
}

// heard is what was asked for, and complained of, since the last time.
func (b *browser) heard() (requests, trouble []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	requests, trouble = b.requests, b.trouble
	b.requests, b.trouble = nil, nil
	return requests, trouble
}

func (b *browser) do(actions ...chromedp.Action[chromedp.Void]) {
	b.Helper()
	for i, action := range actions {
		ctx, cancel := context.WithTimeout(b.ctx, 2*time.Minute)
		err := chromedp.Do(ctx, action)
		cancel()
		if err != nil {
			b.Fatalf("step %d: %v", i, err)
		}
	}
}

// gets does what has a value.
func gets[T any](b *browser, action chromedp.Action[T]) T {
	b.Helper()
	value, err := chromedp.Run(b.ctx, action)
	if err != nil {
		b.Fatal(err)
	}
	return value
}

// text is what can be read on the page.
func (b *browser) text() string {
	b.Helper()
	return gets(b, chromedp.Evaluate[string](`document.body ? document.body.innerText : ""`))
}

// reads waits until all of it can be read, and returns the page's text.
func (b *browser) reads(words ...string) string {
	b.Helper()
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(50 * time.Millisecond) {
		text := b.text()
		if !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(text, word) }) {
			return text
		}
		if time.Now().After(deadline) {
			_, trouble := b.heard()
			b.Fatalf("%q is not on the page:\n%s\n%s", words, text, strings.Join(trouble, "\n"))
		}
	}
}

// at waits until the browser is at a path.
func (b *browser) at(path string) {
	b.Helper()
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(50 * time.Millisecond) {
		location := gets(b, chromedp.Location())
		if u, err := url.Parse(location); err == nil && u.Path == path {
			return
		}
		if time.Now().After(deadline) {
			b.Fatalf("it is at %s, not at %s", location, path)
		}
	}
}
