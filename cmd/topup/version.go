package main

import (
	"cmp"
	"runtime/debug"
)

// version is set by the build of a release: -ldflags "-X main.version=1.2.3".
var version string

// versionText is the release, or else the commit of which a plain go build knows.
func versionText() string {
	commit, changed := "", ""
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			switch {
			case s.Key == "vcs.revision":
				commit = s.Value
			case s.Key == "vcs.modified" && s.Value == "true":
				changed = "+changes"
			}
		}
	}
	if commit != "" {
		commit += changed
	}
	return cmp.Or(version, commit, "unknown")
}
