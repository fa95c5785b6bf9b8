package main

import (
	"io"
	"log/slog"
	"os"
	"regexp"
	"time"

	"github.com/lmittmann/tint"

	"example.com/topup/enqueue"
)

// newLogger writes for people on a terminal and JSON for machines otherwise.
func newLogger(w io.Writer, level string) *slog.Logger {
	var at slog.Level
	if err := at.UnmarshalText([]byte(level)); err != nil {
		at = slog.LevelInfo // settings are checked before
	}
	if isTerminal(w) {
		return slog.New(tint.NewTextHandler(w, &tint.Options{
			Level: at, TimeFormat: time.TimeOnly, NoColor: os.Getenv("NO_COLOR") != "", ReplaceAttr: maskAttr,
		}))
	}
	return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: at, ReplaceAttr: maskAttr}))
}

func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// aNumber is what may be a phone number in a text: 7 to 15 digits alone. Longer runs
// are no number, and parts of a word are ids.
var aNumber = regexp.MustCompile(`\+?\b\d{7,15}\b`)

// maskAttr is the last guard of the log: whoever puts a number into a line, only
// +97150*****21 comes out. Ids and transactions are not touched where they have
// fields of their own.
func maskAttr(_ []string, a slog.Attr) slog.Attr {
	switch a.Key {
	case slog.TimeKey, slog.LevelKey, "id", "job", "transaction", "transaction_id":
		return a
	}
	switch a.Value.Kind() {
	case slog.KindString:
		return slog.String(a.Key, aNumber.ReplaceAllStringFunc(a.Value.String(), enqueue.MaskNumber))
	case slog.KindAny:
		if err, ok := a.Value.Any().(error); ok {
			return slog.String(a.Key, aNumber.ReplaceAllStringFunc(err.Error(), enqueue.MaskNumber))
		}
	}
	return a
}
