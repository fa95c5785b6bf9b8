package campaign

import (
	"bufio"
	"compress/flate"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
)

// spool keeps a file's checked rows between the check and the load, so that what is
// loaded is what was checked and shown, whatever becomes of the file meanwhile. It is
// a temporary file without a name, for its owner alone: nothing of it is left behind
// when the process ends, however it ends.
type spool struct {
	file  *os.File
	out   *bufio.Writer
	pack  *flate.Writer
	batch []byte // rows that appendRow wrote
	count int    // of them
	rows  int
}

// spoolBatch is how many rows are read back at a time.
const spoolBatch = 500

func newSpool() (*spool, error) {
	file, err := os.CreateTemp("", "topup-rows-*") // with mode 0600
	if err != nil {
		return nil, fmt.Errorf("keep the checked rows in a temporary file (TMPDIR says where): %w", err)
	}
	if err := os.Remove(file.Name()); err != nil {
		return nil, errors.Join(fmt.Errorf("unlink the temporary file: %w", err), file.Close())
	}
	s := &spool{file: file, out: bufio.NewWriterSize(file, 64<<10)}
	if s.pack, err = flate.NewWriter(s.out, flate.BestSpeed); err != nil { // only an invalid level fails
		return nil, errors.Join(err, file.Close())
	}
	return s, nil
}

// add keeps a row, which is the caller's again when it returns.
func (s *spool) add(r *Row) error {
	s.batch = appendRow(s.batch, r)
	s.count++
	s.rows++
	if s.count < spoolBatch {
		return nil
	}
	return s.flush()
}

func (s *spool) flush() error {
	head := binary.AppendUvarint(binary.AppendUvarint(nil, uint64(s.count)), uint64(len(s.batch)))
	_, err := s.pack.Write(head)
	if err == nil {
		_, err = s.pack.Write(s.batch)
	}
	if err != nil {
		return fmt.Errorf("keep the checked rows in a temporary file: %w", err)
	}
	s.batch, s.count = s.batch[:0], 0
	return nil
}

// finish ends the writing.
func (s *spool) finish() error {
	if err := s.flush(); err != nil {
		return err
	}
	if err := errors.Join(s.pack.Close(), s.out.Flush()); err != nil {
		return fmt.Errorf("keep the checked rows in a temporary file: %w", err)
	}
	s.pack, s.out, s.batch = nil, nil, nil
	return nil
}

// each calls f with every row and its number in the file, from 0. The row is f's to keep.
func (s *spool) each(ctx context.Context, f func(i int, r *Row) error) error {
	// A reader of its own, so that the rows can be read as often as needed.
	in := bufio.NewReader(flate.NewReader(io.NewSectionReader(s.file, 0, 1<<62)))
	for i := 0; i < s.rows; {
		if err := ctx.Err(); err != nil {
			return err
		}
		count, err := binary.ReadUvarint(in)
		if err != nil {
			return fmt.Errorf("read the checked rows back: %w", err)
		}
		size, err := binary.ReadUvarint(in)
		if err != nil {
			return fmt.Errorf("read the checked rows back: %w", err)
		}
		d := rowReader{rest: make([]byte, size)}
		if _, err := io.ReadFull(in, d.rest); err != nil {
			return fmt.Errorf("read the checked rows back: %w", err)
		}
		for range count {
			r := d.row()
			if d.err != nil {
				return fmt.Errorf("read the checked rows back: %w", d.err)
			}
			if err := f(i, &r); err != nil {
				return err
			}
			i++
		}
	}
	return nil
}

func (s *spool) close() error { return s.file.Close() }
