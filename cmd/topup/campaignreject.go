package main

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"example.com/topup/enqueue/campaign"
)

// rejectFile has the rows that were left out, as they stand in their file, with what is
// wrong with each. It can be corrected and loaded.
type rejectFile struct {
	name, of string
	rows     int
	body     *os.File // without a name: the header is known at the end of the reading alone
	csv      *csv.Writer
}

// path is where the rows go.
func (r *rejectFile) path() string {
	if r.name != "" {
		return r.name
	}
	if r.of == "-" {
		return "rejected.csv"
	}
	return r.of + ".rejected.csv"
}

// elsewhere refuses to write over the file that is read.
func (r *rejectFile) elsewhere() error {
	to, err := os.Stat(r.path())
	if err != nil {
		return nil // it is not there, or cannot be written
	}
	if from, err := os.Stat(r.of); err == nil && os.SameFile(from, to) {
		return usage(fmt.Errorf("--rejected: %s is the file itself (name another one)", r.path()))
	}
	return nil
}

func (r *rejectFile) add(row campaign.Rejected) error {
	if r.body == nil {
		file, err := os.CreateTemp("", "topup-rejected-*")
		if err == nil {
			err = os.Remove(file.Name())
		}
		if err != nil {
			return fmt.Errorf("keep the rejected rows: %w", err)
		}
		r.body, r.csv = file, csv.NewWriter(file)
	}
	var problems []string
	for _, p := range row.Problems {
		text := p.Code + ": " + p.Message
		if p.Column != "" {
			text = p.Column + ": " + text
		}
		problems = append(problems, text)
	}
	r.rows++
	return r.write(append([]string{strings.Join(problems, "; ")}, row.Cells...))
}

func (r *rejectFile) write(cells []string) error {
	for i, cell := range cells {
		cells[i] = campaign.Guard(cell)
	}
	if err := r.csv.Write(cells); err != nil {
		return fmt.Errorf("write the rejected rows: %w", err)
	}
	return nil
}

// finish writes the file, for its owner alone: it has whole numbers.
func (r *rejectFile) finish(header []string) error {
	if r.body == nil {
		return nil
	}
	r.csv.Flush()
	_, err := r.body.Seek(0, io.SeekStart)
	if err = errors.Join(r.csv.Error(), err); err != nil {
		return fmt.Errorf("keep the rejected rows: %w", err)
	}
	defer func() { _ = r.body.Close() }() // it was read
	out, err := os.OpenFile(r.path(), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return &exitError{exitFile, fmt.Errorf("write the rejected rows (--rejected says where): %w", err)}
	}
	r.csv = csv.NewWriter(out)
	// The problem stands first: a row with too few or too many cells moves nothing else.
	err = r.write(append([]string{"_problem"}, header...))
	r.csv.Flush()
	if err = errors.Join(err, r.csv.Error()); err == nil {
		_, err = io.Copy(out, r.body)
	}
	if err = errors.Join(err, out.Close()); err != nil {
		return &exitError{exitFile, fmt.Errorf("write the rejected rows: %w", err)}
	}
	return nil
}
