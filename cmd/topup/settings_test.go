package main

import (
	"bytes"
	"flag"
	"os"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the README's settings table, and the copies of files")

// The README's table is the one made from the settings' own tags.
func TestReadmeSettings(t *testing.T) {
	const name = "../../README.md"
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	between := regexp.MustCompile(`(?s)(<!-- settings:[^\n]*-->\n).*(<!-- /settings -->)`)
	want := between.ReplaceAll(text, []byte("${1}"+settingsTable()+"${2}"))
	if !between.Match(text) {
		t.Fatal("README.md has no place for the settings table")
	}
	if bytes.Equal(text, want) {
		return
	}
	if !*update {
		t.Fatal("the README's settings table is old: go test ./cmd/topup -run TestReadmeSettings -update")
	}
	if err := os.WriteFile(name, want, 0o644); err != nil {
		t.Fatal(err)
	}
}

// Every setting says what it is, and no secret has a flag.
func TestSettingsAreDocumentedAndSecretsHaveNoFlag(t *testing.T) {
	a := &app{}
	root := a.rootCommand()
	for _, row := range a.settings.list() {
		if row.help == "" {
			t.Errorf("%s has no help", row.env)
		}
		if has := root.PersistentFlags().Lookup(row.flag) != nil; has == row.secret {
			t.Errorf("%s: secret %v, has a flag %v", row.env, row.secret, has)
		}
		if !row.secret && regexp.MustCompile(`^(There|Its|That)\b|with that`).MatchString(row.help) {
			t.Errorf("%s: %q means a row above, and --help has its own order", row.env, row.help)
		}
		looksSecret := regexp.MustCompile(`PASSWORD$|SECRET$|CLIENT_ID$|_KEY$`).MatchString(row.env)
		if looksSecret != row.secret {
			t.Errorf("%s: is it secret?", row.env)
		}
	}
}

// No help text and no error shows a secret of the environment.
func TestHelpAndErrorsHideSecrets(t *testing.T) {
	const canary = "canary-7f3a"
	t.Setenv("REDIS_URL", "redis://:"+canary+"@127.0.0.1:1/0")
	t.Setenv("RELOADLY_CLIENT_SECRET", canary)
	t.Setenv("RELOADLY_CLIENT_ID", canary)
	t.Setenv("TOPUP_NUMBER_KEY", canary)
	for _, args := range [][]string{{"--help"}, {"worker", "--help"}, {"worker"}, {"get", "x"}, {"worker", "--reloadly-env", "live"}, {"send", "--in-flight", "x"}} {
		var out bytes.Buffer
		execute(t.Context(), args, strings.NewReader(""), &out, &out)
		if strings.Contains(out.String(), canary) {
			t.Errorf("topup %s shows a secret:\n%s", strings.Join(args, " "), out.String())
		}
	}
	t.Setenv("TOPUP_IN_FLIGHT", canary) // a secret in the wrong place
	var out bytes.Buffer
	if code := execute(t.Context(), []string{"worker"}, strings.NewReader(""), &out, &out); code != exitUsage || strings.Contains(out.String(), canary) {
		t.Errorf("exit %d: %s", code, out.String())
	}
}

func TestLogsMaskNumbers(t *testing.T) {
	var out bytes.Buffer
	log := newLogger(&out, "info")
	log.Info("sent", "number", "971503971821", "text", "to +971503971821 now", "id", "0503971821")
	if strings.Count(out.String(), "971503971821") != 0 || !strings.Contains(out.String(), "97150*****21") || !strings.Contains(out.String(), "0503971821") {
		t.Error(out.String())
	}
}
