package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// Kustomize reads no file above its own folder, so Redis' files stand there twice. The
// manifests themselves are tested by deploy/kubernetes/check.
func TestKubernetesFiles(t *testing.T) {
	for _, name := range []string{"redis.conf", "users.acl", "redis-start.sh"} {
		want, err := os.ReadFile(filepath.Join(deployFolder, name))
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(deployFolder, "kubernetes/base/redis", name)
		have, err := os.ReadFile(file)
		if err == nil && bytes.Equal(have, want) {
			continue
		}
		if !*update {
			t.Fatalf("%s is old: go test ./cmd/topup -run TestKubernetesFiles -update", file)
		}
		if err := os.WriteFile(file, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
