package campaign

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	mathbits "math/bits"
	"strconv"
	"strings"

	"example.com/topup/enqueue"
)

// rowMark is what is kept in memory of each row of a file: which job it is, and what
// the job is to do.
type rowMark struct {
	id      rowID
	content uint64
	phone   uint64 // the digits of the number
	time    int64  // not before, in ms; 0: none
}

type rowID [16]byte

// markOf leaves out what may change without the payment being another: the note, the
// time, the cells.
func markOf(r *Row) (m rowMark) {
	id := sha256.Sum256([]byte(enqueue.CanonicalID(r.JobID(""))))
	copy(m.id[:], id[:])
	var buffer [128]byte
	text := append(buffer[:0], r.Phone...)
	for _, s := range []string{r.Country, r.Amount.Trim(0).String(), string(r.Unit)} {
		text = append(append(text, 0), s...)
	}
	text = strconv.AppendInt(append(text, 0), r.OperatorID, 10)
	sum := sha256.Sum256(text)
	m.content = binary.BigEndian.Uint64(sum[:])
	m.phone = phoneDigitsOf(r.Phone)
	if !r.NotBefore.IsZero() {
		m.time = r.NotBefore.UnixMilli()
	}
	return m
}

func phoneDigitsOf(e164 string) uint64 {
	n, _ := strconv.ParseUint(strings.TrimPrefix(e164, "+"), 10, 64) // at most 15 digits
	return n
}

// Difference is a field in which two rows of one id differ.
type Difference struct {
	Field string `json:"field"`
	Here  string `json:"here"`
	There string `json:"there"`
}

// Conflict is a row whose id belongs to another payment: an earlier row of the
// campaign, or a job that did not come with it; or a row whose number the campaign
// pays already under another id. It has whole numbers, for the owner of the file.
type Conflict struct {
	JobID string `json:"jobId"`
	Line  int    `json:"line"` // of this file
	// OtherFile and OtherLine are where the campaign has the row from; empty and 0 for
	// a job alone.
	OtherFile string `json:"otherFile,omitempty"`
	OtherLine int    `json:"otherLine,omitempty"`
	// OtherJobID is the other id under which the campaign pays the number.
	OtherJobID  string       `json:"otherJobId,omitempty"`
	Differences []Difference `json:"differences"`
}

// Text is the conflict as file:line: code: message.
func (c Conflict) Text(file string) string {
	there := fmt.Sprintf("%s:%d, which is loaded", c.OtherFile, c.OtherLine)
	if c.OtherLine == 0 {
		there = "job " + c.JobID + ", which exists"
	}
	var parts []string
	for _, d := range c.Differences {
		parts = append(parts, fmt.Sprintf("%s is %s here and %s there", d.Field, shown(d.Here), shown(d.There)))
	}
	if c.OtherJobID != "" {
		return fmt.Sprintf("%s:%d:: conflict: the row has the number of %s under another id: %s (give --allow-repeat-phone if it is to be paid once more)", file, c.Line, there, strings.Join(parts, ", "))
	}
	return fmt.Sprintf("%s:%d:: conflict: the row has the id of %s: %s", file, c.Line, there, strings.Join(parts, ", "))
}

func shown(value string) string {
	if value == "" {
		return "empty"
	}
	return value
}

// ConflictsError refuses a file: nothing of it was loaded. It matches [enqueue.ErrConflict].
type ConflictsError struct {
	File      string
	Conflicts []Conflict // the first of them
	Count     int
}

func (e *ConflictsError) Error() string {
	return fmt.Sprintf("%s: %d rows contradict what is loaded already, nothing was loaded (take them out, or give what is another payment an external_id of its own)", e.File, e.Count)
}

// Is makes errors.Is(err, enqueue.ErrConflict) true.
func (e *ConflictsError) Is(target error) bool { return target == enqueue.ErrConflict }

// maxConflicts is how many conflicts are told with their values.
const maxConflicts = 100

// Comparison is what a campaign has of a file already.
type Comparison struct {
	Campaign *Campaign // nil: there is none yet
	New      int       // rows that it does not have
	Known    int       // rows that it has
	// OtherTime counts those of which the file says another not_before: it stays as it was
	// loaded.
	OtherTime int

	known     bits
	clashes   []clash
	conflicts int
}

// clash is a conflict of which the file's own values are not known yet.
type clash struct {
	index    int // of the row in the file
	conflict Conflict
	there    *Row // nil for a job
	job      *enqueue.TopUp
}

func (c *Comparison) clash(x clash) {
	c.conflicts++
	if len(c.clashes) < maxConflicts {
		c.clashes = append(c.clashes, x)
	}
}

// bits is a set of row numbers.
type bits []uint64

func newBits(n int) bits      { return make(bits, (n+63)/64) }
func (b bits) has(i int) bool { return b[i/64]&(1<<(i%64)) != 0 }
func (b bits) set(i int, on bool) {
	if on {
		b[i/64] |= 1 << (i % 64)
	} else {
		b[i/64] &^= 1 << (i % 64)
	}
}

// Compare finds out what a campaign has of a file. Conflicts are a [ConflictsError], and a
// campaign that was cancelled takes nothing: [ErrCancelled].
func (l *Loader) Compare(ctx context.Context, f *File, name string) (*Comparison, error) {
	if err := CheckName(name); err != nil {
		return nil, err
	}
	index, err := f.byID(ctx)
	if err != nil {
		return nil, err
	}
	cmp := &Comparison{known: newBits(f.Rows)}
	c, err := l.Store.Find(ctx, name)
	switch {
	case errors.Is(err, ErrNoCampaign):
	case err != nil:
		return nil, err
	case c.State == Cancelled:
		return nil, fmt.Errorf("campaign %s: %w (load the file under another name)", name, ErrCancelled)
	default:
		cmp.Campaign = c
		phones := f.byPhone()
		repeated := newBits(f.Rows) // rows whose number the campaign has under another id
		err := l.Store.Each(ctx, c, 0, func(number int, r *Row) error {
			m := markOf(r)
			if i, ok := phones[m.phone]; ok && f.marks[i].id != m.id {
				repeated.set(int(i), true)
			}
			i, ok := index[m.id]
			if !ok {
				return nil
			}
			cmp.known.set(int(i), true)
			cmp.Known++
			if f.marks[i].time != m.time {
				cmp.OtherTime++
			}
			if f.marks[i].content != m.content {
				there := *r
				there.Cells = nil
				x := clash{index: int(i), there: &there, conflict: Conflict{JobID: r.JobID(name), OtherLine: r.Line}}
				if load := c.Load(number); load != nil {
					x.conflict.OtherFile = load.File
				}
				cmp.clash(x)
			}
			return nil
		})
		if err == nil {
			err = l.repeats(ctx, f, cmp, phones, repeated)
		}
		if err != nil {
			return nil, err
		}
	}
	cmp.New = f.Rows - cmp.Known
	if err := l.compareJobs(ctx, f, cmp, name); err != nil {
		return nil, err
	}
	if cmp.conflicts > 0 {
		return nil, f.tell(ctx, cmp)
	}
	return cmp, nil
}

// repeats finds the new rows whose number the campaign pays already under another id:
// a file that has got a column of ids since must not pay everybody once more.
func (l *Loader) repeats(ctx context.Context, f *File, cmp *Comparison, phones map[uint64]int32, repeated bits) error {
	count := 0
	for k := range repeated {
		repeated[k] &^= cmp.known[k]
		count += mathbits.OnesCount64(repeated[k])
	}
	if count == 0 {
		return nil
	}
	return l.Store.Each(ctx, cmp.Campaign, 0, func(number int, r *Row) error {
		i, ok := phones[phoneDigitsOf(r.Phone)]
		if !ok || !repeated.has(int(i)) {
			return nil
		}
		repeated.set(int(i), false) // told once
		there := *r
		there.Cells = nil
		x := clash{index: int(i), there: &there, conflict: Conflict{OtherLine: r.Line, OtherJobID: r.JobID(cmp.Campaign.Name)}}
		if load := cmp.Campaign.Load(number); load != nil {
			x.conflict.OtherFile = load.File
		}
		cmp.clash(x)
		return nil
	})
}

// jobsAtOnce is how many jobs are looked for in one pipeline.
const jobsAtOnce = 2000

// compareJobs looks for jobs that have the id of a new row: of the campaign, whose rows Redis
// has forgotten, or made by somebody else.
func (l *Loader) compareJobs(ctx context.Context, f *File, cmp *Comparison, name string) error {
	var ids []string
	var jobs []enqueue.TopUp
	var indexes []int
	look := func() error {
		for k, glance := range l.Client.Glances(ctx, ids) {
			if glance.Err != nil {
				return glance.Err
			}
			if glance.Missing {
				continue
			}
			if err := l.compareJob(ctx, cmp, indexes[k], jobs[k]); err != nil {
				return err
			}
		}
		ids, jobs, indexes = ids[:0], jobs[:0], indexes[:0]
		return nil
	}
	err := f.spool.each(ctx, func(i int, r *Row) error {
		if cmp.known.has(i) {
			return nil
		}
		t := r.TopUp(name)
		ids, jobs, indexes = append(ids, t.ID), append(jobs, t), append(indexes, i)
		if len(ids) < jobsAtOnce {
			return nil
		}
		return look()
	})
	if err != nil {
		return err
	}
	return look()
}

// compareJob compares a new row with the job that has its id.
func (l *Loader) compareJob(ctx context.Context, cmp *Comparison, i int, job enqueue.TopUp) error {
	x := clash{index: i, conflict: Conflict{JobID: job.ID}}
	record, err := l.Client.Ledger().Load(ctx, job.ID)
	switch {
	case errors.Is(err, enqueue.ErrNotFound): // it has gone in between
		return nil
	case errors.Is(err, enqueue.ErrExpired):
		x.conflict.Differences = []Difference{{Field: "state", Here: "new", There: string(record.State) + " long ago"}}
		cmp.clash(x)
		return nil
	case err != nil:
		return err
	}
	valid, err := job.Validate()
	if err != nil {
		return err
	}
	if fields := valid.Differs(record.TopUp); len(fields) > 0 && record.TopUp.Amount.IsPos() {
		x.job = &record.TopUp
		x.conflict.Differences = differences(valid, record.TopUp, fields)
		cmp.clash(x)
	}
	return nil
}

// differences has the values of the fields that matter to people, and the names of the others.
func differences(here, there enqueue.TopUp, fields []string) []Difference {
	unit := func(t enqueue.TopUp) string {
		if t.UseLocalAmount {
			return string(Local)
		}
		return string(Sender)
	}
	var list []Difference
	for _, field := range fields {
		d := Difference{Field: field, Here: "one", There: "another"}
		switch field {
		case "amount":
			d.Here, d.There = here.Amount.String(), there.Amount.String()
		case "operatorId":
			d.Field, d.Here, d.There = ColumnOperatorID, positive(here.OperatorID), positive(there.OperatorID)
		case "useLocalAmount":
			d.Field, d.Here, d.There = ColumnCurrency, unit(here), unit(there)
		case "recipientPhone":
			d.Field = ColumnPhone
			d.Here = here.RecipientPhone.CountryCode + " " + here.RecipientPhone.Number
			d.There = there.RecipientPhone.CountryCode + " " + there.RecipientPhone.Number
		case "campaign":
			d.Here, d.There = here.Campaign, there.Campaign
		}
		list = append(list, d)
	}
	return list
}

// tell completes the conflicts by what the file says.
func (f *File) tell(ctx context.Context, cmp *Comparison) error {
	e := &ConflictsError{File: f.Name, Count: cmp.conflicts}
	at := map[int]*clash{}
	for i := range cmp.clashes {
		at[cmp.clashes[i].index] = &cmp.clashes[i]
	}
	err := f.spool.each(ctx, func(i int, r *Row) error {
		x := at[i]
		if x == nil {
			return nil
		}
		x.conflict.Line = r.Line
		switch {
		case x.conflict.OtherJobID != "":
			x.conflict.JobID = r.JobID(cmp.Campaign.Name)
			x.conflict.Differences = []Difference{{ColumnExternalID, r.ExternalID, x.there.ExternalID}}
		case x.there != nil:
			x.conflict.Differences = rowDifferences(r, x.there)
		}
		e.Conflicts = append(e.Conflicts, x.conflict)
		return nil
	})
	if err != nil {
		return err
	}
	return e
}

func rowDifferences(here, there *Row) []Difference {
	var list []Difference
	for _, d := range []Difference{
		{ColumnPhone, here.Phone, there.Phone},
		{ColumnCountry, here.Country, there.Country},
		{ColumnAmount, here.Amount.Trim(0).String(), there.Amount.Trim(0).String()},
		{ColumnCurrency, string(here.Unit), string(there.Unit)},
		{ColumnOperatorID, positive(here.OperatorID), positive(there.OperatorID)},
	} {
		if d.Here != d.There {
			list = append(list, d)
		}
	}
	return list
}
