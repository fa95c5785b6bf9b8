package campaign

import "fmt"

// Severity tells what a problem does to its row.
type Severity int

// The severities. An error keeps the row, and without --skip-invalid the file, out.
const (
	Error Severity = iota
	Warning
)

// Problem is something wrong with a file, told so that a person can repair it.
type Problem struct {
	Severity Severity
	Line     int    // of the file, from 1; quoted line breaks count
	Column   string // the column's canonical name, or its header as it stands; empty where the whole row or file is meant
	Code     string // a stable word in lower case, such as phone_letters
	Message  string // where, what, what to do; no full stop
	// Also is another line that has to do with it: the first of two equal numbers. 0: none.
	Also int
}

// Text is the problem as file:line:column: code: message.
func (p Problem) Text(file string) string {
	return fmt.Sprintf("%s:%d:%s: %s: %s", file, p.Line, p.Column, p.Code, p.Message)
}
