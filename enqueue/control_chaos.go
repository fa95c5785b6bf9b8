//go:build topup_control

package enqueue

import (
	"os"
	"strings"

	"github.com/redis/go-redis/v9"
)

// Negative controls of worker/chaostest: a worker that was built with the tag
// topup_control takes one guard out, as TOPUP_CONTROL says. The binary that is shipped
// has none of this file in it.
func init() {
	without := func(text string, changes ...string) string {
		for i := 0; i < len(changes); i += 2 {
			if strings.Count(text, changes[i]) != 1 { // the control would show nothing
				panic("control: the scripts have changed: " + changes[i])
			}
			text = strings.Replace(text, changes[i], changes[i+1], 1)
		}
		return text
	}
	switch os.Getenv("TOPUP_CONTROL") {
	case "no-settle": // the first empty look-up counts, however young the send
		absentScript = redis.NewScript(without(preludeText+recordText+mustRead("absent"),
			"if now < settled then", "if false then",
			"if provider > 0 and provider + skew < settled and not overdue then", "if false then",
			"if provider > 0 and provider + skew < settled then", "if false then",
			"if empty < needed then", "if false then"))
	case "no-barrier": // a Redis that was restarted has the name that it always had
		blind := preludeText + "\nlocal function incarnation() return 'always', 0, 0, 'always@0' end\n"
		openScript = redis.NewScript(blind + mustRead("open"))
		submitScript = redis.NewScript(blind + mustRead("submit"))
		for name, script := range map[string]**redis.Script{
			"begin": &beginScript, "outcome": &outcomeScript, "absent": &absentScript, "wait": &waitScript, "delay": &delayScript,
			"lapse": &lapseScript, "missing": &missingScript, "cancel": &cancelScript, "review": &reviewScript,
		} {
			*script = redis.NewScript(blind + recordText + mustRead(name))
		}
	case "eager-identifier": // whoever uses the identifier, the next one is taken
		outcomeScript = redis.NewScript(without(preludeText+recordText+mustRead("outcome"),
			"if kind == 'in_use' then", "if kind == 'in_use' then\n"+
				"  move('queued', 'next_identifier', now, {'g', number('g') + 1, 'r', 'backoff'}, {'cl', 'e', 'ea'})\n"+
				"  return answer('done', now)\nend\nif kind == 'in_use' then"))
	}
}
