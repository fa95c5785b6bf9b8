package enqueue

import (
	"os/exec"
	"strings"
	"testing"
)

// An app that imports this package compiles asynq, go-redis and the decimals, what
// these bring along, and nothing else.
func TestImports(t *testing.T) {
	list := func(args ...string) map[string]bool {
		out, err := exec.CommandContext(t.Context(), "go", append([]string{"list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}"}, args...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("go list: %v\n%s", err, out)
		}
		packages := map[string]bool{}
		for _, path := range strings.Fields(string(out)) {
			packages[path] = true
		}
		return packages
	}
	allowed := list("github.com/hibiken/asynq", "github.com/redis/go-redis/v9", "github.com/govalues/decimal")
	for path := range list(".") {
		if !allowed[path] && path != "example.com/topup/enqueue" {
			t.Errorf("the package brings %s along", path)
		}
	}
}
