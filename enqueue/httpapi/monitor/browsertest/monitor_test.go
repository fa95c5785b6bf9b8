package browsertest

import (
	"flag"
	"fmt"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/storage"
	"github.com/chromedp/chromedp"
)

var update = flag.Bool("update", false, "write deploy/asynqmon.png")

// A person logs in, looks at the queues and at a top-up that was paid, and logs out; and
// the browser asks nobody else for anything.
func TestMonitor(t *testing.T) {
	w := newWorld(t)
	number := func(i int) string { return fmt.Sprintf("05039718%d", 20+i) }
	for i := range 6 {
		w.send(fmt.Sprintf("order_%d", 4711+i), number(i))
	}
	b := newBrowser(t)
	noNumber := func(text string) {
		t.Helper()
		for i := range 6 {
			if strings.Contains(text, number(i)[1:]) {
				t.Errorf("a whole number is on the page:\n%s", text)
			}
		}
	}

	// The door.
	b.do(chromedp.Navigate(w.url + "/monitor/"))
	b.at("/monitor/login")
	b.reads("Topup monitor", "Log in")
	b.do(chromedp.SendKeys(chromedp.CSS("#key"), w.key+"x"), chromedp.Submit(chromedp.CSS("#key")))
	b.reads("this is no key")
	b.do(chromedp.SendKeys(chromedp.CSS("#key"), w.key), chromedp.Submit(chromedp.CSS("#key")))
	b.at("/monitor/")
	b.reads("Queues", "topups", "browser: log out")

	// No script can read the cookie.
	if cookies := gets(b, chromedp.Evaluate[string](`document.cookie`)); cookies != "" {
		t.Errorf("a script reads %s", cookies)
	}
	jar, err := chromedp.Call(b.ctx, storage.GetCookies, storage.GetCookiesParams{})
	if err != nil {
		t.Fatal(err)
	}
	if len(jar.Cookies) != 1 || !jar.Cookies[0].HTTPOnly || jar.Cookies[0].SameSite != network.CookieSameSiteStrict || jar.Cookies[0].Path != "/monitor" {
		t.Errorf("%+v", jar.Cookies)
	}

	// The tasks that are done, and one of them.
	b.do(chromedp.Navigate(w.url + "/monitor/queues/topups?status=completed"))
	noNumber(b.reads("job order_4711 · succeeded · AE 050*****20 · 832 NGN", "job order_4716 · succeeded · AE 050*****25", "succeeded · transaction", "1-6 of 6"))
	picture := gets(b, chromedp.CaptureScreenshot())
	if len(picture) < 10<<10 || len(picture) > 200<<10 {
		t.Errorf("the picture has %d bytes", len(picture))
	}
	if *update {
		if err := os.WriteFile(root+"/deploy/asynqmon.png", picture, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b.do(chromedp.Navigate(w.url + "/monitor/queues/topups/tasks/order_4711"))
	noNumber(b.reads("order_4711", "job order_4711 · succeeded · AE 050*****20 · 832 NGN", "succeeded · transaction"))

	// The other pages.
	for path, word := range map[string]string{"/monitor/servers": "Servers", "/monitor/schedulers": "Schedulers", "/monitor/redis": "Version", "/monitor/settings": "Settings"} {
		b.do(chromedp.Navigate(w.url + path))
		noNumber(b.reads(word))
	}

	// What the browser asked for, and what it did not like.
	host := strings.TrimPrefix(w.url, "http://")
	requests, trouble := b.heard()
	api, scripts := 0, 0
	for _, request := range requests {
		u, err := url.Parse(request)
		if err != nil || (u.Scheme != "data" && u.Host != host) {
			t.Errorf("a request leaves the host: %s", request)
			continue
		}
		if strings.HasPrefix(u.Path, "/monitor/api/") {
			api++
		}
		if strings.HasSuffix(u.Path, ".js") {
			scripts++
		}
	}
	if api < 5 || scripts < 2 {
		t.Errorf("%d requests of the page, %d scripts: this shows little\n%s", api, scripts, strings.Join(requests, "\n"))
	}
	for _, what := range trouble {
		if !strings.Contains(what, "401 (Unauthorized) "+w.url+"/monitor/login") { // the wrong key
			t.Errorf("the browser complains: %s", what)
		}
	}

	// The policy stops what would leave, and it would have been noticed; nothing is written.
	tries := func(script string) string {
		t.Helper()
		return gets(b, chromedp.Evaluate[string](script, chromedp.EvalAwaitPromise))
	}
	const elsewhere = "https://elsewhere.invalid/"
	if said := tries(`fetch("` + elsewhere + `").then(() => "left", e => "stopped")`); said != "stopped" {
		t.Error(said)
	}
	tries(`new Promise(done => { const i = new Image(); i.onload = i.onerror = () => done("tried"); i.src = "` + elsewhere + `" })`)
	requests, trouble = b.heard()
	if all := strings.Join(append(requests, trouble...), "\n"); !strings.Contains(all, "elsewhere.invalid") || !strings.Contains(all, "Content Security Policy") {
		t.Errorf("what is stopped is not noticed: %s", all)
	}
	if said := tries(`fetch("/monitor/api/queues/topups:pause", {method: "POST"}).then(r => r.text().then(text => r.status + " " + text))`); !strings.HasPrefix(said, "403 this monitor is read-only") {
		t.Error(said)
	}

	// The way out.
	b.do(chromedp.Navigate(w.url+"/monitor/"), chromedp.Click(chromedp.CSS("#topup-leave")))
	b.at("/monitor/logout")
	b.do(chromedp.Click(chromedp.CSS("button[type=submit]")))
	b.at("/monitor/login")
	b.do(chromedp.Navigate(w.url + "/monitor/queues/topups"))
	b.at("/monitor/login")
}
