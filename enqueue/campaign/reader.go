package campaign

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"sync"
)

// Limits of a file, when [ReadOptions] names no others.
const (
	DefaultMaxRows  = 1_000_000
	DefaultMaxBytes = 256 << 20
)

// ReadOptions say how a file is read. The zero value reads a file that says everything
// itself.
type ReadOptions struct {
	// Country, Unit, Amount and OperatorID stand for a column that the file does not
	// have (the flags --country, --currency, --amount, --operator). They never fill an
	// empty cell of one that it has.
	Country    string // ISO 3166 alpha-2
	Unit       string // local, sender or an ISO 4217 code
	Amount     string // by the rule of the amount column
	OperatorID int64
	// StrictPhones makes an error of a number that is possible and not valid.
	StrictPhones bool
	// AllowRepeatPhone lets rows with different external ids have one number.
	AllowRepeatPhone bool
	// MaxRows is how many rows a file may have, blank ones not counted. Defaults to
	// [DefaultMaxRows].
	MaxRows int
	// MaxBytes is how large a file may be. Defaults to [DefaultMaxBytes].
	MaxBytes int64
	// Problem gets every problem as it is found, in the order of the lines; then
	// [Reading.Problems] stays empty, and memory does not grow with the problems.
	Problem func(Problem)
	// Rejected gets every row that is not passed on, in the order of the file. An error
	// ends the reading and is returned.
	Rejected func(Rejected) error
}

// Rejected is a row that has an error.
type Rejected struct {
	Line int
	// Cells are as in [Row]; a row with another number of cells than the header (code
	// field_count) has all of them. [Guard] them before they are written.
	Cells    []string
	Problems []Problem // errors and warnings of this row
}

// Reading tells what was in a file.
type Reading struct {
	Header   Header
	Rows     int // passed on
	Bad      int // with an error, and not passed on
	Blank    int // blank lines and rows after the header
	Errors   int // problems that are errors
	Warnings int
	// Problems are errors and warnings by line; empty with [ReadOptions.Problem].
	Problems []Problem
	// Broken says that a problem is of the whole file, such as its header, size or
	// quotes: it was not read to its end, and nothing of it may be loaded, not even
	// without its bad rows.
	Broken bool
	// SHA256 is that of the bytes of the file, and Bytes their number, if the file was
	// read to its end.
	SHA256 [32]byte
	Bytes  int64
}

// Read reads a spreadsheet as comma, semicolon, tab or | separated text, checks every
// row and calls row for each good one in the order of the file, from the goroutine of
// the caller; the callee may keep it. A bad row is told in the problems, all of which are found in one run:
// one row can have several, and only the later of two rows with one number or external
// id is bad, with the line of the first in [Problem.Also].
//
// Whether the file as a whole is good is known at its end alone: rows passed on before
// mean nothing if Read returns an error, Broken is set, or Errors is not 0 and the bad
// rows are not meant to be left out.
//
// The error is nil however bad the rows are. It matches [ErrUnreadable] where the bytes
// are not text that is read here, [enqueue.ErrInvalid] where an option is wrong, and is
// that of ctx or of a callback where these ended the reading. The context is looked at
// between reads of r.
//
// Memory does not grow with the file but for some 60 bytes a row: its number and its
// external id.
func Read(ctx context.Context, r io.Reader, o ReadOptions, row func(*Row) error) (*Reading, error) {
	out := &Reading{}
	if o.MaxRows <= 0 {
		o.MaxRows = DefaultMaxRows
	}
	if o.MaxBytes <= 0 {
		o.MaxBytes = DefaultMaxBytes
	}
	flags, err := readFlags(&o)
	if err != nil {
		return out, err
	}
	file := newFileBytes(r, o.MaxBytes)
	d := &delivery{o: &o, out: out, row: row, unique: newUnique(o.AllowRepeatPhone)}
	text, err := decoded(file)
	if err != nil {
		text = failing{err}
	}
	s, header, problems, err := open(text, o.MaxRows)
	if err != nil {
		return out, err
	}
	if header != nil {
		out.Header = *header
		if len(problems) == 0 { // else a missing column may be one of those that were refused
			problems = header.missing(&o)
		}
	}
	if len(problems) > 0 {
		d.broken(problems...)
		return out, nil
	}
	for _, p := range header.warnings(&o) {
		d.tell(p)
	}
	if err := d.rows(ctx, s, newChecker(header, flags, o.StrictPhones)); err != nil {
		return out, err
	}
	out.Blank += s.blank
	if !out.Broken {
		out.Bytes = file.read
		file.hash.Sum(out.SHA256[:0])
	}
	return out, nil
}

// failing is the text of a file that could not be begun.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// delivery is the last stage, in the caller's goroutine: what rows have to do with each
// other, counts and callbacks.
type delivery struct {
	o         *ReadOptions
	out       *Reading
	row       func(*Row) error
	unique    *unique
	thousands bool // told once
}

// rows runs the stages: one goroutine cuts records, some check them, this one takes
// them in the order of the file.
func (d *delivery) rows(ctx context.Context, s *splitter, c *checker) error {
	ctx, cancel := context.WithCancel(ctx)
	workers := min(runtime.GOMAXPROCS(0), 8)
	work, order := make(chan *batch, workers), make(chan *batch, 2*workers)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	for range workers {
		wg.Go(func() {
			for b := range work {
				b.rows = make([]checked, len(b.lines))
				for i := range b.lines {
					b.rows[i] = c.check(b.lines[i], b.cells[i])
				}
				close(b.ready)
			}
		})
	}
	var problem *Problem
	var end error
	wg.Go(func() {
		defer close(order) // after it problem and end may be read
		defer close(work)
		problem, end = s.run(ctx, work, order)
	})
	for b := range order {
		select {
		case <-b.ready:
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		for i := range b.rows {
			if err := d.take(&b.rows[i]); err != nil {
				return err
			}
		}
	}
	if problem != nil {
		d.broken(*problem)
	}
	if end == nil && problem == nil && d.out.Rows+d.out.Bad == 0 {
		d.tell(Problem{Severity: Warning, Line: d.out.Header.Line, Code: "no_rows", Message: "the file has a header and no rows"})
	}
	return end
}

// take counts a row and hands it on.
func (d *delivery) take(c *checked) error {
	if c.blank {
		d.out.Blank++
		return nil
	}
	d.unique.check(c)
	if c.thousands && !c.bad && !d.thousands {
		d.thousands = true
		c.add(Problem{Severity: Warning, Column: ColumnAmount, Code: "amount_three_decimals", Message: fmt.Sprintf("the amount is read as %s: a point is the decimal point (if thousands are meant, write them without it; told once for the file)", c.row.Amount.Trim(0))})
	}
	for _, p := range c.problems {
		d.tell(p)
	}
	if !c.bad {
		d.out.Rows++
		return d.row(&c.row)
	}
	d.out.Bad++
	if d.o.Rejected != nil {
		return d.o.Rejected(Rejected{Line: c.row.Line, Cells: c.row.Cells, Problems: c.problems})
	}
	return nil
}

func (d *delivery) tell(p Problem) {
	if p.Severity == Error {
		d.out.Errors++
	} else {
		d.out.Warnings++
	}
	if d.o.Problem != nil {
		d.o.Problem(p)
	} else {
		d.out.Problems = append(d.out.Problems, p)
	}
}

func (d *delivery) broken(problems ...Problem) {
	d.out.Broken = true
	for _, p := range problems {
		d.tell(p)
	}
}
