package reloadly

import (
	"regexp"
	"strings"
	"unicode"
)

// A provider's message is copied into logs and results, and it may quote what we sent. So every text of
// the provider passes through clean before it is kept.

const maxMessage = 300 // characters; an HTML page or a stack trace helps nobody in a log line

// longDigits finds what may be a phone number: seven or more digits, also grouped by single blanks or dashes.
var longDigits = regexp.MustCompile(`\d(?:[ \-]?\d){6,}`)

// bearerLike finds credentials that are not ours to know, such as a token of another process.
var bearerLike = regexp.MustCompile(`(?i)bearer\s+\S+|eyJ[\w\-]+\.[\w\-]+(?:\.[\w\-]*)?`)

// maskDigits hides the middle of each long run of digits: 971503971821 becomes 97150*****21.
func maskDigits(s string) string {
	return longDigits.ReplaceAllStringFunc(s, func(run string) string {
		digits := onlyDigits(run)
		shown := min(len(digits)-7, 5)
		return digits[:shown] + strings.Repeat("*", len(digits)-shown-2) + digits[len(digits)-2:]
	})
}

func onlyDigits(s string) string {
	return strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, s)
}

// clean makes a provider's text fit for a log line: no secret, no whole phone number, one line, short.
func clean(s string, secrets ...string) string {
	for _, secret := range secrets {
		if secret != "" {
			s = strings.ReplaceAll(s, secret, "[redacted]")
		}
	}
	s = bearerLike.ReplaceAllString(s, "[redacted]")
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
	s = maskDigits(strings.Join(strings.Fields(s), " "))
	if runes := []rune(s); len(runes) > maxMessage {
		return string(runes[:maxMessage]) + "…"
	}
	return s
}
