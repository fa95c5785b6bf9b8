package main

import (
	"debug/elf"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// instructions reads deploy/Dockerfile: one instruction a line, arguments filled in.
func instructions(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile(deployFolder + "/Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	joined := strings.ReplaceAll(regexp.MustCompile(`(?m)^#.*\n`).ReplaceAllString(string(text), ""), "\\\n", " ")
	arguments := map[string]string{"BUILDPLATFORM": "linux/amd64", "TARGETOS": "linux", "TARGETARCH": "amd64"}
	var all []string
	for line := range strings.Lines(joined) {
		line = os.Expand(strings.Join(strings.Fields(line), " "), func(name string) string { return arguments[name] })
		if name, value, found := strings.Cut(strings.TrimPrefix(line, "ARG "), "="); found && strings.HasPrefix(line, "ARG ") {
			arguments[name] = value
		}
		if line != "" {
			all = append(all, line)
		}
	}
	return all
}

// The images are pinned, nobody is root, and there is no shell.
func TestDockerfileRules(t *testing.T) {
	var bases []string
	var last []string
	for _, line := range instructions(t) {
		words := strings.Fields(line)
		if words[0] == "FROM" {
			words = slices.DeleteFunc(words, func(word string) bool { return strings.HasPrefix(word, "--") })
			bases, last = append(bases, words[1]), nil
		}
		if words[0] == "ADD" || strings.Contains(line, "curl ") || strings.Contains(line, "apk ") {
			t.Errorf("%s fetches what nobody has checked", line)
		}
		last = append(last, line)
	}
	if len(bases) != 2 || !strings.HasPrefix(bases[1], "gcr.io/distroless/static-debian12:nonroot@") {
		t.Errorf("built from %v", bases)
	}
	for _, base := range bases {
		if !anImage.MatchString(base) {
			t.Errorf("%s is not pinned by digest", base)
		}
	}
	for _, want := range []string{"USER 65532:65532", `ENTRYPOINT ["/usr/local/bin/topup"]`} {
		if !slices.Contains(last, want) {
			t.Errorf("the image's own stage has no %s", want)
		}
	}
	for _, line := range last {
		if strings.HasPrefix(line, "RUN ") {
			t.Errorf("%s needs a shell", line)
		}
	}
}

// What the Dockerfile copies is enough for its own go build, and what comes out needs
// nothing of the image.
func TestDockerfileBuilds(t *testing.T) {
	t.Parallel()
	source := t.TempDir()
	var build string
	for _, line := range instructions(t) {
		words := strings.Fields(line)
		switch {
		case words[0] == "COPY" && !strings.HasPrefix(words[1], "--"):
			for _, from := range words[1 : len(words)-1] {
				copyContext(t, from, filepath.Join(source, path.Base(from)))
			}
		case words[0] == "RUN" && strings.Contains(line, "go build"):
			_, build, _ = strings.Cut(line, "cache/go-build ")
		}
	}
	out := filepath.Join(t.TempDir(), "out")
	if err := os.Mkdir(out, 0o700); err != nil {
		t.Fatal(err)
	}
	build = strings.ReplaceAll(build, "/out/", out+"/")
	cmd := exec.CommandContext(t.Context(), "sh", "-c", strings.Replace(build, "=dev", "=1.2.3", 1))
	cmd.Dir = source
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", build, err, text)
	}
	binary, err := elf.Open(filepath.Join(out, "topup"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = binary.Close() }() // it was only read
	for _, part := range binary.Progs {
		if part.Type == elf.PT_INTERP {
			t.Error("it is not static")
		}
	}
	if text, err := exec.CommandContext(t.Context(), filepath.Join(out, "topup"), "--version").Output(); err != nil || string(text) != "topup version 1.2.3\n" {
		t.Errorf("%s, %v", text, err)
	}
	if info, err := os.Stat(filepath.Join(out, "data")); err != nil || !info.IsDir() {
		t.Errorf("no folder for volumes: %v", err)
	}
	if strings.Contains(build, "CGO_ENABLED=0 ") && strings.Contains(build, " -trimpath ") {
		return
	}
	t.Error("it is not built with CGO_ENABLED=0 and -trimpath: " + build)
}

// copyContext copies a file or folder of the build's context, without what
// .dockerignore leaves out.
func copyContext(t *testing.T, from, to string) {
	t.Helper()
	text, err := os.ReadFile("../../.dockerignore")
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(strings.Split(string(text), "\n"), "!"+from) {
		t.Fatalf(".dockerignore leaves %s out", from)
	}
	root := filepath.Join("../..", from)
	err = filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && entry.Name() == "testdata" {
			return filepath.SkipDir
		}
		rest, err := filepath.Rel(root, name)
		if err != nil || entry.IsDir() || strings.HasSuffix(name, "_test.go") {
			return err
		}
		content, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		target := filepath.Join(to, rest)
		if err := os.MkdirAll(filepath.Dir(target), 0o700); err != nil {
			return err
		}
		return os.WriteFile(target, content, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
}
