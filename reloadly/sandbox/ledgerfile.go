package sandbox

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
)

// ledgerFile is a file of whole lines. Lines that are written while an fsync is under way share the next
// one: an fsync for each would let the disk decide how many top-ups a second there can be.
type ledgerFile struct {
	file  *os.File
	fsync func() error

	mu      sync.Mutex
	done    sync.Cond // an fsync has ended
	end     int64     // of the last whole line
	written int       // lines
	safe    int       // lines that are on disk
	syncing bool
	broken  error // no line can be trusted any more
}

// openLedgerFile opens or creates the file and gives what is in it.
func openLedgerFile(name string) (*ledgerFile, []byte, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, nil, err
	}
	all, err := io.ReadAll(f)
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	l := &ledgerFile{file: f, fsync: f.Sync}
	l.done.L = &l.mu
	return l, all, nil
}

// cut drops what lies behind the last whole line.
func (l *ledgerFile) cut(end int64) error {
	l.end = end
	return l.file.Truncate(end)
}

// write adds a line and gives its number. A line that could not be written whole is taken back.
func (l *ledgerFile) write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broken != nil {
		return 0, l.broken
	}
	if _, err := l.file.Write(line); err != nil {
		if back := l.file.Truncate(l.end); back != nil {
			l.broken = fmt.Errorf("half a line could not be taken back: %w", back)
		}
		return 0, err
	}
	l.end += int64(len(line))
	l.written++
	return l.written, nil
}

// sync returns when the n-th line is on disk. One caller syncs for all who wait. After a failure nobody
// knows what is on disk (see https://lwn.net/Articles/752063/), so it is not tried again.
func (l *ledgerFile) sync(n int) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.safe < n && l.broken == nil {
		if l.syncing {
			l.done.Wait()
			continue
		}
		l.syncing = true
		upTo := l.written
		l.mu.Unlock()
		err := l.fsync()
		l.mu.Lock()
		l.syncing = false
		if err == nil {
			l.safe = upTo
		} else if l.broken == nil {
			l.broken = err
		}
		l.done.Broadcast()
	}
	if l.safe >= n {
		return nil
	}
	return l.broken
}

// close refuses further lines and ends with a last fsync.
func (l *ledgerFile) close() error {
	l.mu.Lock()
	n := l.written
	l.mu.Unlock()
	err := l.sync(n)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broken == nil {
		l.broken = os.ErrClosed
	}
	return errors.Join(err, l.file.Close())
}
