package main

import (
	"errors"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

func runbook(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(deployFolder + "/RUNBOOK.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Each alert has its section, with what it means for the money, where to look, what to
// type and when it is over; and no section is left of an alert that is gone.
func TestRunbookHasEachAlert(t *testing.T) {
	sections := map[string]string{}
	for _, part := range strings.Split(runbook(t), "\n## ")[1:] {
		title, text, _ := strings.Cut(part, "\n")
		sections[title] = text
		if !strings.HasPrefix(title, "Topup") {
			continue
		}
		for _, head := range []string{"\n**Money.**", "\n**Look.**", "\n**Type.**", "\n**Over**"} {
			if strings.Count(text, head) != 1 {
				t.Errorf("%s: does not have %q once", title, strings.TrimSpace(head))
			}
		}
		if !strings.Contains(text, "\n    ") {
			t.Errorf("%s: has nothing to type", title)
		}
	}
	text, err := os.ReadFile(deployFolder + "/prometheus/topup.rules.yml")
	if errors.Is(err, os.ErrNotExist) {
		t.Log("deploy/prometheus/topup.rules.yml is not there: sections are not compared with alerts")
		return
	} else if err != nil {
		t.Fatal(err)
	}
	var rules struct {
		Groups []struct {
			Rules []struct {
				Alert       string
				Annotations map[string]string
			}
		}
	}
	if err := yaml.Unmarshal(text, &rules); err != nil {
		t.Fatal(err)
	}
	alerts := map[string]bool{}
	for _, group := range rules.Groups {
		for _, rule := range group.Rules {
			if rule.Alert == "" {
				continue
			}
			alerts[rule.Alert] = true
			if _, ok := sections[rule.Alert]; !ok {
				t.Errorf("%s has no section", rule.Alert)
			}
			if url := rule.Annotations["runbook_url"]; url != "deploy/RUNBOOK.md#"+strings.ToLower(rule.Alert) {
				t.Errorf("%s leads to %q", rule.Alert, url)
			}
		}
	}
	for title := range sections {
		if strings.HasPrefix(title, "Topup") && !alerts[title] {
			t.Errorf("%s is no alert", title)
		}
	}
	if len(alerts) < 9 {
		t.Errorf("only %d alerts", len(alerts))
	}
}

var (
	inText  = regexp.MustCompile("`topup ([^`]+)`")
	inBlock = regexp.MustCompile(`(?m)^ {4,}topup (.+)$`)
)

// What it says to type can be typed: every command, argument and flag of ours is one.
func TestRunbookCommands(t *testing.T) {
	text := runbook(t)
	var commands []string
	for _, match := range append(inText.FindAllStringSubmatch(text, -1), inBlock.FindAllStringSubmatch(text, -1)...) {
		commands = append(commands, match[1])
	}
	if len(commands) < 20 {
		t.Fatalf("found only %d commands", len(commands))
	}
	a := &app{out: io.Discard, err: io.Discard}
	if err := a.settings.fromEnvironment(); err != nil {
		t.Fatal(err)
	}
	for _, command := range commands {
		words := strings.Fields(command)
		words = slices.DeleteFunc(words, func(word string) bool { return word == "…" })
		if len(words) == 0 {
			continue // topup … stands for any
		}
		found, rest, err := a.rootCommand().Find(words)
		if err != nil || found.Name() == "topup" {
			t.Errorf("topup %s: is no command: %v", command, err)
			continue
		}
		if err := found.ParseFlags(rest); err != nil {
			t.Errorf("topup %s: %v", command, err)
		}
		arguments := found.Flags().Args()
		if err := found.Args(found, arguments); err != nil && len(arguments) > 0 {
			t.Errorf("topup %s: %v", command, err)
		}
		if name := found.Name(); name == "hold" || name == "release" {
			for _, scope := range arguments {
				if !aScope.MatchString(scope) {
					t.Errorf("topup %s: %s is no scope", command, scope)
				}
			}
		}
	}
}

var (
	ofCompose = regexp.MustCompile("docker compose (?:up -d|stop|logs --tail 50|kill -s HUP|exec|run --rm --no-deps(?: --entrypoint sh)?) ([a-z ]+)")
	ofSystemd = regexp.MustCompile("(?:systemctl [a-z]+|journalctl -u) (topup[a-z -]+)")
)

// The services and units that it names are there.
func TestRunbookNames(t *testing.T) {
	text := runbook(t)
	services := readComposition(t, exampleVariables(t)).Services
	named := 0
	for _, match := range ofCompose.FindAllStringSubmatch(text, -1) {
		for _, name := range strings.Fields(match[1]) {
			if services[name] == nil {
				t.Errorf("%s: compose has no service %s", match[0], name)
			}
			named++
		}
	}
	for _, match := range ofSystemd.FindAllStringSubmatch(text, -1) {
		for _, name := range strings.Fields(match[1]) {
			if strings.HasPrefix(name, "topup") && !slices.Contains(units, name+".service") {
				t.Errorf("%s: there is no unit %s", match[0], name)
			}
			named++
		}
	}
	if named < 15 {
		t.Errorf("found only %d names", named)
	}
}
