package campaign

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/govalues/decimal"

	"example.com/topup/enqueue"
)

// chunkRows is how many rows are packed together. Every chunk of a load but its last
// one has so many, so that a row's chunk is known from its number.
const chunkRows = 500

// chunkForm is the first byte of an unpacked chunk.
const chunkForm = 1

// maxChunk bounds what a packed chunk may unpack to: a damaged one must not fill the
// memory. Files are limited to 256 MiB.
const maxChunk = 512 << 20

// A row is packed as lengths and texts, each length an unsigned varint:
//
//	line, phone, national, country, amount, unit, operator, external id, not before + 1 in ms (0: none), cells
//
// national is a length alone where it is the end of phone. Deflate removes what the
// cells repeat.
func appendRow(b []byte, r *Row) []byte {
	text := func(s string) {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	b = binary.AppendUvarint(b, uint64(r.Line))
	text(r.Phone)
	if strings.HasSuffix(r.Phone, r.National) {
		b = binary.AppendUvarint(b, uint64(len(r.National))<<1)
	} else {
		b = binary.AppendUvarint(b, uint64(len(r.National))<<1|1)
		b = append(b, r.National...)
	}
	text(r.Country)
	text(r.Amount.String())
	text(string(r.Unit))
	b = binary.AppendUvarint(b, uint64(r.OperatorID))
	text(r.ExternalID)
	if r.NotBefore.IsZero() {
		b = append(b, 0)
	} else {
		b = binary.AppendUvarint(b, uint64(r.NotBefore.UnixMilli())+1)
	}
	b = binary.AppendUvarint(b, uint64(len(r.Cells)))
	for _, cell := range r.Cells {
		text(cell)
	}
	return b
}

var deflaters = sync.Pool{New: func() any {
	w, err := flate.NewWriter(io.Discard, flate.DefaultCompression)
	if err != nil { // only an invalid level fails
		panic(err)
	}
	return w
}}

// packChunk packs rows that appendRow wrote.
func packChunk(count int, rows []byte) ([]byte, error) {
	w := deflaters.Get().(*flate.Writer) //nolint:forcetypeassert // the pool holds nothing else
	defer deflaters.Put(w)
	var out bytes.Buffer
	w.Reset(&out)
	_, err := w.Write(binary.AppendUvarint([]byte{chunkForm}, uint64(count)))
	if err == nil {
		_, err = w.Write(rows)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("pack rows: %w", err)
	}
	return out.Bytes(), nil
}

// errChunk is a chunk that was not written by this code, or not whole.
var errChunk = errors.New("a chunk of rows is damaged")

// unpackChunk reads a packed chunk. It never returns half of one.
func unpackChunk(packed []byte) ([]Row, error) {
	in := bytes.NewReader(packed)
	data, err := io.ReadAll(io.LimitReader(flate.NewReader(in), maxChunk+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %w", errChunk, err)
	case len(data) > maxChunk:
		return nil, fmt.Errorf("%w: it is too large", errChunk)
	case in.Len() > 0:
		return nil, fmt.Errorf("%w: something follows it", errChunk)
	case len(data) == 0 || data[0] != chunkForm:
		return nil, fmt.Errorf("%w: its form is not known", errChunk)
	}
	d := rowReader{rest: data[1:]}
	count := d.number(chunkRows)
	rows := make([]Row, 0, count)
	for range count {
		rows = append(rows, d.row())
		if d.err != nil {
			return nil, d.err
		}
	}
	if d.err == nil && len(d.rest) > 0 {
		d.fail("something follows its last row")
	}
	return rows, d.err
}

// rowReader reads lengths and texts, and stays at the first damage.
type rowReader struct {
	rest []byte
	err  error
}

func (d *rowReader) fail(what string) {
	if d.err == nil {
		d.err = fmt.Errorf("%w: %s", errChunk, what)
	}
	d.rest = nil
}

// number is at most limit.
func (d *rowReader) number(limit uint64) uint64 {
	n, size := binary.Uvarint(d.rest)
	if size <= 0 || n > limit {
		d.fail("a number is not one")
		return 0
	}
	d.rest = d.rest[size:]
	return n
}

func (d *rowReader) take(n uint64) string {
	if n > uint64(len(d.rest)) {
		d.fail("a text is cut off")
		return ""
	}
	s := string(d.rest[:n])
	d.rest = d.rest[n:]
	return s
}

func (d *rowReader) text() string { return d.take(d.number(maxChunk)) }

const (
	maxLine   = 1 << 40
	maxMillis = 1 << 53
)

func (d *rowReader) row() Row {
	r := Row{Line: int(d.number(maxLine)), Phone: d.text()}
	switch n := d.number(2*maxChunk + 1); {
	case n&1 == 1:
		r.National = d.take(n >> 1)
	case n>>1 > uint64(len(r.Phone)):
		d.fail("a number is longer than itself")
	default:
		r.National = r.Phone[len(r.Phone)-int(n>>1):]
	}
	r.Country = d.text()
	if text := d.text(); d.err == nil {
		amount, err := decimal.Parse(text)
		if err != nil {
			d.fail("an amount is not one")
		}
		r.Amount = amount
	}
	r.Unit = Unit(d.text())
	r.OperatorID = int64(d.number(1<<63 - 1))
	r.ExternalID = d.text()
	if ms := d.number(maxMillis); ms > 0 {
		r.NotBefore = time.UnixMilli(int64(ms - 1)).UTC()
	}
	if count := d.number(uint64(len(d.rest))); count > 0 {
		r.Cells = make([]string, 0, count)
		for range count {
			r.Cells = append(r.Cells, d.text())
			if d.err != nil {
				break
			}
		}
	}
	return r
}

// checkRow refuses a row that no job can be made of: it would be a surprise later.
func checkRow(r *Row) error {
	switch {
	case r.Unit != Local && r.Unit != Sender:
		return fmt.Errorf("line %d: %w", r.Line, &enqueue.FieldError{Field: "currency", Problem: "is neither local nor sender", Fix: "quote the row first"})
	case r.Line < 0 || r.OperatorID < 0:
		return fmt.Errorf("line %d: %w", r.Line, &enqueue.FieldError{Field: "operator_id", Problem: "is negative", Fix: "give Reloadly's operator id"})
	case !r.NotBefore.IsZero() && (r.NotBefore.UnixMilli() < 0 || r.NotBefore.UnixMilli() >= maxMillis):
		return fmt.Errorf("line %d: %w", r.Line, &enqueue.FieldError{Field: "not_before", Problem: "is out of the calendar", Fix: "give a time of this century"})
	}
	return nil
}
