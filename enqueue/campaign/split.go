package campaign

import (
	"bufio"
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
)

const (
	batchRows      = 256
	maxLines       = math.MaxInt32 // so that a line is remembered in four bytes
	maxRecordBytes = 16 << 20      // a quote that is never closed must not bring the whole file into memory
)

var errRecordTooLong = errors.New("the row is too long")

// batch is a run of rows on their way from the file through a checker to the caller.
type batch struct {
	lines []int
	cells [][]string
	rows  []checked
	ready chan struct{} // closed when rows are there
}

// splitter cuts the text into records.
type splitter struct {
	text    *window
	csv     *csv.Reader
	next    int // the line on which the next record begins if no blank line is before it
	blank   int // blank lines between records
	records int
	limit   int
}

// window is the text under the csv reader. It ends a record that grows without end, and
// counts lines.
type window struct {
	r         io.Reader
	delivered int64
	until     int64
	lines     int
}

func (w *window) Read(p []byte) (int, error) {
	if w.delivered > w.until {
		return 0, errRecordTooLong
	}
	n, err := w.r.Read(p)
	w.delivered += int64(n)
	w.lines += bytes.Count(p[:n], []byte("\n"))
	return n, err
}

// open finds the header. A problem ends the file.
func open(text io.Reader, limit int) (*splitter, *Header, []Problem, error) {
	s := &splitter{text: &window{r: text, until: maxRecordBytes}, next: 1, limit: limit}
	buffered := bufio.NewReaderSize(s.text, maxHeaderBytes)
	start, err := buffered.Peek(maxHeaderBytes)
	if err != nil && !errors.Is(err, io.EOF) {
		return s.noHeader(err)
	}
	first, headerLine := headerText(start)
	if len(first) == 0 {
		return s.noHeader(io.EOF)
	}
	if at := bareCR(first); at >= 0 {
		return nil, nil, []Problem{*lineEndings(at)}, nil
	}
	delimiter, problem := findDelimiter(first, headerLine)
	if problem != nil {
		return nil, nil, []Problem{*problem}, nil
	}
	s.csv = csv.NewReader(buffered) // which has the size that it takes as it is
	s.csv.Comma, s.csv.FieldsPerRecord, s.csv.ReuseRecord = delimiter, -1, true
	for {
		cells, line, err := s.read()
		if err != nil {
			return s.noHeader(err)
		}
		if line < headerLine {
			continue
		}
		h, problems := newHeader(cells, line, delimiter)
		s.blank = 0 // what is before the header is not between rows
		return s, &h, problems, nil
	}
}

// noHeader is the answer of open where the file ended before a header was read.
func (s *splitter) noHeader(err error) (*splitter, *Header, []Problem, error) {
	problem, err := s.ended(err)
	switch {
	case problem != nil:
		return nil, nil, []Problem{*problem}, nil
	case err == nil:
		return nil, nil, []Problem{{Line: 1, Code: "file_empty", Message: "the file has no header (the first line has to name the columns, such as phone,amount,currency)"}}, nil
	}
	return nil, nil, nil, err
}

// read is the next record and the line on which it begins.
func (s *splitter) read() ([]string, int, error) {
	cells, err := s.csv.Read()
	if err != nil {
		return nil, 0, err
	}
	s.text.until = s.csv.InputOffset() + maxRecordBytes
	line, _ := s.csv.FieldPos(0)
	s.blank += line - s.next
	last := len(cells) - 1
	end, _ := s.csv.FieldPos(last)
	s.next = end + strings.Count(cells[last], "\n") + 1
	return cells, line, nil
}

// run cuts the rows into batches for the checkers and, in the file's order, for the
// caller. What ended the file comes as a problem, an error or neither.
func (s *splitter) run(ctx context.Context, work, order chan<- *batch) (*Problem, error) {
	for {
		b := &batch{lines: make([]int, 0, batchRows), cells: make([][]string, 0, batchRows), ready: make(chan struct{})}
		var end error
		for len(b.lines) < batchRows && end == nil {
			var cells []string
			var line int
			if cells, line, end = s.read(); end != nil {
				break
			}
			if line > maxLines {
				end = errTooLarge
				break
			}
			if !isBlank(cells) {
				if s.records++; s.records > s.limit {
					end = errTooManyRows
					s.next = line
					break
				}
			}
			b.lines, b.cells = append(b.lines, line), append(b.cells, append(make([]string, 0, len(cells)), cells...))
		}
		if len(b.lines) > 0 {
			for _, to := range []chan<- *batch{order, work} {
				select {
				case to <- b:
				case <-ctx.Done():
					return nil, ctx.Err()
				}
			}
		}
		if end != nil {
			return s.ended(end)
		}
	}
}

var errTooManyRows = errors.New("too many rows")

// ended turns the error that ended the records into a problem of the file, an error
// that is none of the file's content, or nothing at its proper end.
func (s *splitter) ended(err error) (*Problem, error) {
	problem := func(line int, code, message string) (*Problem, error) {
		return &Problem{Line: line, Code: code, Message: message}, nil
	}
	var parse *csv.ParseError
	switch {
	case errors.Is(err, io.EOF):
		s.blank += max(0, s.text.lines-(s.next-1))
		return nil, nil
	case errors.Is(err, errTooManyRows):
		return problem(s.next, "too_many_rows", fmt.Sprintf("the file has more than %d rows (split it, or raise --max-rows)", s.limit))
	case errors.Is(err, errTooLarge):
		return problem(s.next, "too_large", "the file is larger than is read at once, and nothing from here on was checked (split it)")
	case errors.Is(err, errRecordTooLong):
		return problem(s.next, "quote", fmt.Sprintf("the row that begins here is longer than %d MiB, and nothing from here on was checked (is a quote not closed?)", maxRecordBytes>>20))
	case errors.As(err, &parse):
		what := "a quote stands in the middle of a cell"
		if errors.Is(err, csv.ErrQuote) {
			what = "a quote is not closed, or text follows the closing one"
		}
		place := fmt.Sprintf("byte %d of the line", parse.Column)
		if parse.Line != parse.StartLine {
			place = fmt.Sprintf("byte %d of line %d", parse.Column, parse.Line)
		}
		return problem(parse.StartLine, "quote", fmt.Sprintf("%s (%s), so where cells end is not known and nothing from here on was checked (put the cell in quotes and double the quotes in it)", what, place))
	}
	return nil, err
}
