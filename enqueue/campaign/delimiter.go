package campaign

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"strings"
)

const delimiters = ",;\t|"

// maxHeaderBytes is how far the header line is looked for and may reach.
const maxHeaderBytes = 64 << 10

// headerText is the first line that has more than blanks and delimiters, and the number
// of the line. Line breaks within quotes belong to it. A line such as sep=; before it is
// Excel's own, and no header.
func headerText(start []byte) (text []byte, line int) {
	line = 1
	for len(start) > 0 {
		end, within := len(start), false
		for i, b := range start {
			if b == '"' {
				within = !within
			}
			if b == '\n' && !within {
				end = i + 1
				break
			}
		}
		if len(bytes.Trim(start[:end], " \r\n\""+delimiters)) > 0 && !separator(start[:end]) {
			return start[:end], line
		}
		line += bytes.Count(start[:end], []byte("\n"))
		start = start[end:]
	}
	return nil, line
}

// separator reports whether a line says to Excel what stands between cells. The header
// shows it as well, and is believed.
func separator(line []byte) bool {
	text := bytes.Trim(line, " \r\n\"")
	return len(text) == 5 && bytes.EqualFold(text[:4], []byte("sep=")) && strings.IndexByte(delimiters, text[4]) >= 0
}

// findDelimiter is the delimiter that makes most known columns of the header. Two that
// make as many are a problem: the wrong one would put a cell under another's name.
func findDelimiter(text []byte, line int) (rune, *Problem) {
	best, known, tied := ',', -1, false
	for _, d := range delimiters {
		r := csv.NewReader(bytes.NewReader(text))
		r.Comma = d
		cells, err := r.Read()
		if err != nil { // told with its place when the file is read
			cells = strings.Split(string(text), string(d))
		}
		found := 0
		for _, cell := range cells {
			if _, ok := aliases[plainName(cell)]; ok {
				found++
			}
		}
		if len(cells) < 2 {
			found = min(found, 1) - 1 // a delimiter that stands nowhere: one column alone has any
		}
		switch {
		case found > known:
			best, known, tied = d, found, false
		case found == known && found > 0:
			tied = true
		}
	}
	if tied {
		return best, &Problem{Line: line, Code: "delimiter_unclear", Message: "the header does not tell the delimiter (use one of comma, semicolon, tab or | between all columns)"}
	}
	if known <= 0 { // no name is known: the message about the missing columns needs some delimiter
		if at := strings.IndexAny(string(text), delimiters); at >= 0 {
			return rune(text[at]), nil
		}
	}
	return best, nil
}

// bareCR is where the header line has a carriage return that ends no line, or -1: the
// file's lines end in CR alone, and csv would read it as one line.
func bareCR(text []byte) int {
	within := false
	for i, b := range text {
		if b == '"' {
			within = !within
		}
		if b == '\r' && !within && len(bytes.TrimLeft(text[i:], "\r\n")) > 0 && text[i+1] != '\n' {
			return i
		}
	}
	return -1
}

func lineEndings(at int) *Problem {
	return &Problem{Line: 1, Code: "line_endings", Message: fmt.Sprintf("lines end in a carriage return alone (the first at character %d of the header; save the file with LF or CRLF)", at+1)}
}
