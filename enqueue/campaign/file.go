package campaign

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/govalues/decimal"
)

// CheckOptions say how a file is checked. The zero value is a check without a quote.
type CheckOptions struct {
	ReadOptions
	// Provider is asked for operators, prices and the balance. nil: offline, without a quote.
	Provider Provider
	// Load keeps the good rows for [Loader.Load].
	Load bool
	// Key keys the hashes of number and amount; that of the [Loader].
	Key []byte
}

// File is a spreadsheet that was read to its end, checked and quoted.
type File struct {
	Reading

	// Name is what people call it.
	Name string
	// Rows are good, Bad are not: of the file, or not sold as they stand.
	Rows, Bad int
	// Errors and Warnings are counted over reading and quote.
	Errors, Warnings int
	// Quote is what the good rows will cost.
	Quote *Quote

	repeat  bool  // a number may be paid under several ids
	asked   exact // the good rows' amounts, whatever their currencies
	largest costs
	quoter  *Quoter
	spool   *spool // nil without Load
	marks   []rowMark
	pairs   []uint64 // sorted, none twice
	index   map[rowID]int32
}

// costs is the most expensive row.
type costs struct {
	amount   decimal.Decimal
	currency string // empty where the amount stands as in the file
	line     int
}

// Check reads a file, checks every row and quotes the good ones. Problems, rejected
// rows and the errors of reading are those of [Read], in the order of the lines, and
// include what Reloadly does not sell; other errors say that Reloadly could not be
// asked or that the rows could not be kept. The file is the caller's to [File.Close].
func Check(ctx context.Context, name string, in io.Reader, o CheckOptions) (*File, error) {
	f := &File{Name: name, repeat: o.AllowRepeatPhone}
	p := &pass{f: f, o: o, hash: newPairHash(o.Key)}
	f.quoter = NewQuoter(o.Provider, QuoteOptions{Offline: o.Provider == nil, Problem: func(problem Problem) { p.unsold = &problem }})
	if o.Load {
		var err error
		if f.spool, err = newSpool(); err != nil {
			return nil, err
		}
	}
	read := o.ReadOptions
	read.Problem = func(problem Problem) { p.queue = append(p.queue, passItem{problem: &problem}) }
	read.Rejected = func(r Rejected) error { return p.add(ctx, passItem{rejected: &r}) }
	reading, err := Read(ctx, in, read, func(r *Row) error { return p.add(ctx, passItem{row: r}) })
	if err == nil {
		err = p.flush(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	f.Reading = *reading
	f.Bad += reading.Bad
	if err := f.finish(ctx); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// Close forgets the rows.
func (f *File) Close() error {
	if f.spool == nil {
		return nil
	}
	return f.spool.close()
}

func (f *File) finish(ctx context.Context) (err error) {
	if f.spool != nil {
		if err = f.spool.finish(); err != nil {
			return err
		}
		slices.Sort(f.pairs)
		f.pairs = slices.Compact(f.pairs)
	}
	f.Quote, err = f.quoter.Quote(ctx)
	return err
}

// pass is the way of a file's rows through the check. It quotes many at a time, and
// keeps what is told of them in order meanwhile.
type pass struct {
	f      *File
	o      CheckOptions
	hash   pairHash
	queue  []passItem
	rows   []*Row
	unsold *Problem // of the row that is being quoted
}

// passItem is a row, a rejected row or a problem.
type passItem struct {
	row      *Row
	rejected *Rejected
	problem  *Problem
}

const passRows = 1000

func (p *pass) add(ctx context.Context, item passItem) error {
	p.queue = append(p.queue, item)
	if item.row != nil {
		p.rows = append(p.rows, item.row)
	}
	if len(p.queue) < passRows {
		return nil
	}
	return p.flush(ctx)
}

func (p *pass) flush(ctx context.Context) error {
	if err := p.f.quoter.prefetch(ctx, p.rows); err != nil {
		return err
	}
	for _, item := range p.queue {
		var err error
		switch {
		case item.problem != nil:
			p.tell(*item.problem)
		case item.rejected != nil:
			err = p.reject(*item.rejected)
		default:
			err = p.quote(ctx, item.row)
		}
		if err != nil {
			return err
		}
	}
	p.queue, p.rows = p.queue[:0], p.rows[:0]
	return nil
}

func (p *pass) quote(ctx context.Context, r *Row) error {
	p.unsold = nil
	if err := p.f.quoter.Add(ctx, r); err != nil {
		return err
	}
	problem := p.unsold
	if problem != nil && p.o.Load && problem.Severity == Warning {
		problem.Severity = Error // offline, its currency is not known to be one of the two
	}
	if problem != nil {
		p.tell(*problem)
		if problem.Severity == Error {
			p.f.Bad++
			return p.reject(Rejected{Line: r.Line, Cells: r.Cells, Problems: []Problem{*problem}})
		}
	}
	return p.keep(r)
}

// keep takes a good row.
func (p *pass) keep(r *Row) error {
	f := p.f
	f.Rows++
	f.asked.add(r.Amount)
	cost := costs{amount: r.Amount, line: r.Line}
	if price, ok := f.quoter.Price(r); ok && price.Debited.Valid {
		cost.amount, cost.currency = price.Debited.Decimal, price.Operator.SenderCurrencyCode
	}
	if f.largest.line == 0 || cost.amount.Cmp(f.largest.amount) > 0 {
		f.largest = cost
	}
	if f.spool == nil {
		return nil
	}
	f.marks = append(f.marks, markOf(r))
	f.pairs = append(f.pairs, p.hash.of(r))
	return f.spool.add(r)
}

func (p *pass) tell(problem Problem) {
	if problem.Severity == Error {
		p.f.Errors++
	} else {
		p.f.Warnings++
	}
	if p.o.Problem != nil {
		p.o.Problem(problem)
	}
}

func (p *pass) reject(r Rejected) error {
	if p.o.Rejected == nil {
		return nil
	}
	return p.o.Rejected(r)
}

// byID finds a row of the file by the id of its job.
func (f *File) byID(ctx context.Context) (map[rowID]int32, error) {
	if f.index != nil {
		return f.index, nil
	}
	index := make(map[rowID]int32, len(f.marks))
	first, second := -1, -1
	for i := range f.marks {
		if at, twice := index[f.marks[i].id]; twice {
			first, second = int(at), i
			break
		}
		index[f.marks[i].id] = int32(i) //nolint:gosec // a file has at most some million rows
	}
	if second >= 0 { // an external id that is the hash of another row's number
		e := &ConflictsError{File: f.Name, Count: 1}
		err := f.spool.each(ctx, func(i int, r *Row) error {
			switch i {
			case first:
				e.Conflicts = []Conflict{{JobID: r.JobID(""), OtherFile: f.Name, OtherLine: r.Line}}
			case second:
				e.Conflicts[0].Line = r.Line
			}
			return nil
		})
		return nil, errors.Join(err, e)
	}
	f.index = index
	return index, nil
}

// byPhone finds a row of the file by its number; where a number may be there twice it
// finds none.
func (f *File) byPhone() map[uint64]int32 {
	if f.repeat {
		return nil
	}
	phones := make(map[uint64]int32, len(f.marks))
	for i := range f.marks {
		phones[f.marks[i].phone] = int32(i) //nolint:gosec // a file has at most some million rows
	}
	return phones
}

// Asked is the sum of the good rows' amounts as they stand in the file, whatever their
// currencies: what people add up in their spreadsheet.
func (f *File) Asked() (decimal.Decimal, error) {
	sum, err := f.asked.decimal()
	if err != nil {
		return decimal.Decimal{}, fmt.Errorf("%s: %w", f.Name, err)
	}
	return sum, nil
}
