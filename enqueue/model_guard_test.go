package enqueue

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"pgregory.net/rapid"
)

// modelGuards are parts of the scripts that protect money, each with what is there when it
// is taken out, and the plot that is led to where it is needed.
var modelGuards = []struct {
	plot                        func(*model, *rapid.T, *modelJob)
	name, script, line, without string
}{
	{(*model).plotLateRefusal, "a refusal counts only from the holder of the permission", "outcome", "if not mine or strange or now >= number('sa') then", "if strange or now >= number('sa') then"},
	{(*model).plotLateAnswer, "unknown counts only from the holder of the permission", "outcome", "if kind == 'unknown' then\n  if not mine then", "if kind == 'unknown' then\n  if false then"},
	{(*model).plotLateAnswer, "proof of execution counts from everybody", "outcome", "if kind == 'succeeded' or kind == 'processing' then", "if (kind == 'succeeded' or kind == 'processing') and (claim == '' or R.cl == claim) then"},
	{(*model).plotRefusedAfterSilence, "a refusal after a send without an answer is looked at once more", "outcome", "if number('am') > 0 or R.su then", "if false then"},
	{(*model).plotLateBegin, "one permission at a time", "begin", "if state ~= 'queued' then", "if false then"},
	{(*model).plotForgottenPermission, "a permission only to a job that Redis knows all of", "begin", "if strange then", "if false then"},
	{(*model).plotSettle, "the settle time is counted from the permission", "begin", "int(now + math.max(settle, window))", "int(now + window)"},
	{(*model).plotLateRefusal, "a permission ends when its holder cannot be at it", "lapse", "if now < window then", "if false then"},
	{(*model).plotResend, "an ended permission is a send without an answer", "lapse", "number('am') + 1", "0"},
	{(*model).plotSettle, "not found proves nothing before the settle time", "absent", "if now < settled then", "if false then"},
	{(*model).plotSettle, "nor by the provider's own clock", "absent", "provider > 0 and provider + skew < settled", "false"},
	{(*model).plotSettle, "one empty answer proves nothing", "absent", "if empty < needed then", "if false then"},
	{(*model).plotHidden, "no new identifier after a send without an answer", "absent", "number('am') == 0 and not R.su", "not R.su"},
	{(*model).plotHiddenAndForgotten, "no new identifier after a loss of writes", "absent", "number('am') == 0 and not R.su", "number('am') == 0"},
	{(*model).plotHiddenAndReborn, "no new identifier without a refusal that used it up", "absent", "if clear and R.rf and", "if clear and"},
	{(*model).plotResend, "no person takes a new identifier after a send without an answer", "review", "if number('am') > 0 or R.su or number('g')", "if R.su or number('g')"},
	{(*model).plotResendForgotten, "no person takes a new identifier after a loss of writes", "review", "if number('am') > 0 or R.su or number('g')", "if number('am') > 0 or number('g')"},
	{(*model).plotForgottenAndExpired, "a job that expires is suspect first", "wait", "if strange then", "if false then"},
	{(*model).plotHidden, "what was sent without an answer does not fail by its age", "record", "local function give_up(code)\n  if number('am') > 0 then", "local function give_up(code)\n  if false then"},
	{(*model).plotForgottenPermission, "another Redis may have forgotten writes", "record", "local strange = ", "local strange = false and "},
	{(*model).plotOlderPermission, "the settle time begins again with another Redis", "record", "math.max(number('sa'), barrier)", "number('sa')"},
	{(*model).plotForgottenJob, "a job of which only the wake-up is left waits, too", "missing", "math.max(now + settle, barrier)", "now"},
	{(*model).plotForgottenEnd, "an end says nothing of a send that Redis may have forgotten", "outcome", "if R.i and strange then", "if false then"},
	{(*model).plotForgottenJob, "a job that is new to a Redis that forgot may be an old one", "submit", "born = '?'", "born = inc"},
	{(*model).plotWithdrawn, "only a job that waits is withdrawn", "cancel", "if state ~= 'queued' or strange", "if strange"},
	{(*model).plotHidden, "nobody withdraws what was sent without an answer", "cancel", "number('am') > 0 or R.su", "R.su"},
}

// TestModelNoticesMissingGuards takes each guard out, one at a time: a model that does not
// notice would prove nothing. The seed is fixed, so that it always notices or never does.
func TestModelNoticesMissingGuards(t *testing.T) {
	for name, value := range map[string]string{"seed": "1", "nofailfile": "true", "shrinktime": "0s"} {
		rapidDefault(t, name, value)
	}
	for _, guard := range modelGuards {
		t.Run(guard.name, func(t *testing.T) {
			withoutGuard(t, guard.script, guard.line, guard.without)
			m := miniredis.NewMiniRedis()
			defer m.Close()
			rdb := dial(m)
			defer func() { _ = rdb.Close() }()
			n := &notices{TB: t}
			n.check(func(t *rapid.T) { playPlot(t, newModel(t, m, rdb), guard.plot) })
			switch {
			case n.said == "":
				t.Fatal("nothing notices that it is missing")
			case strings.Contains(n.said, "panic") || strings.Contains(n.said, "ERR "): // the script is broken, not the promise
				t.Fatal(n.said)
			}
			t.Log(n.said)
		})
	}
}

// withoutGuard takes one line out of the scripts, for one test.
func withoutGuard(t *testing.T, script, line, without string) {
	t.Helper()
	texts := map[string]string{"prelude": preludeText, "record": recordText}
	text := mustRead(script)
	if !strings.Contains(text, line) {
		t.Fatalf("lua/%s.lua has changed: there is no %q in it", script, line)
	}
	texts[script] = strings.ReplaceAll(text, line, without)
	for name, s := range jobScripts {
		text, changed := texts[name]
		if !changed {
			text = mustRead(name)
		}
		before := texts["prelude"]
		if name != "submit" {
			before += texts["record"]
		}
		was := *s
		*s = redis.NewScript(before + text)
		t.Cleanup(func() { *s = was })
	}
}

// notices runs a check that is to fail, and keeps the last line of its story.
type notices struct {
	rapid.TB
	said string
}

func (n *notices) check(prop func(*rapid.T)) {
	done := make(chan struct{})
	go func() { // which ends where the check fails
		defer close(done)
		rapid.Check(n, prop)
	}()
	<-done
}

func (n *notices) Failed() bool              { return n.said != "" }
func (n *notices) Log(...any)                {}
func (n *notices) Logf(string, ...any)       {}
func (n *notices) Fail()                     {}
func (n *notices) FailNow()                  { runtime.Goexit() }
func (n *notices) Error(...any)              {}
func (n *notices) Errorf(f string, a ...any) { n.keep(fmt.Sprintf(f, a...)) }
func (n *notices) Fatal(...any)              { runtime.Goexit() }
func (n *notices) Fatalf(string, ...any)     { runtime.Goexit() }

// keep is told by rapid what failed: the story, and after it how to repeat it.
func (n *notices) keep(text string) {
	if story, _, found := strings.Cut(text, "\nTo reproduce"); found {
		n.said = story[strings.LastIndex(story, "\n")+1:]
	}
}
