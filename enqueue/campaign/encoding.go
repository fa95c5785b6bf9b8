package campaign

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/encoding/unicode"
)

// ErrUnreadable says that the bytes are not a text file of an encoding that is read
// here, or that they could not be read at all. The error names the byte, counted from
// 0, and what it is. Nothing of such a file may be loaded.
var ErrUnreadable = errors.New("the file cannot be read")

var errTooLarge = errors.New("the file is too large")

func unreadable(at int64, problem string) error {
	return fmt.Errorf("%w: byte %d %s", ErrUnreadable, at, problem)
}

// fileBytes counts and hashes the file as it stands on the disk.
type fileBytes struct {
	r    io.Reader
	hash hash.Hash
	read int64
	max  int64
}

func newFileBytes(r io.Reader, limit int64) *fileBytes {
	return &fileBytes{r: r, hash: sha256.New(), max: limit}
}

func (f *fileBytes) Read(p []byte) (int, error) {
	n, err := f.r.Read(p)
	f.read += int64(n)
	f.hash.Write(p[:n])
	if f.read > f.max {
		return 0, errTooLarge
	}
	if err != nil && !errors.Is(err, io.EOF) {
		err = fmt.Errorf("%w: after byte %d: %w", ErrUnreadable, f.read, err)
	}
	return n, err
}

// notText are beginnings of files that people take for a CSV, and what to do instead.
var notText = []struct{ magic, problem string }{
	{"PK\x03\x04", "begins an Excel or OpenDocument workbook, which is not a CSV (save the sheet as CSV UTF-8)"},
	{"\xD0\xCF\x11\xE0", "begins an old Excel workbook, which is not a CSV (save the sheet as CSV UTF-8)"},
	{"\x1F\x8B", "begins a gzip file (unpack it)"},
	{"%PDF", "begins a PDF, which is not a CSV"},
	{"<", "begins HTML or XML, which is not a CSV (open it in the spreadsheet and save it as CSV UTF-8)"},
	{"[{", "begins JSON, which is not a CSV"},
	{"{\"", "begins JSON, which is not a CSV"},
	{"\xFF\xFE\x00\x00", "begins UTF-32 (save the file as UTF-8)"},
	{"\x00\x00\xFE\xFF", "begins UTF-32 (save the file as UTF-8)"},
}

// decoded turns UTF-8 with or without a byte order mark, and UTF-16 with one, into
// UTF-8 without. Anything else is an error that names the byte: a wrong guess would
// put other letters into notes and ids, and U+FFFD would hide that something was lost.
func decoded(r io.Reader) (io.Reader, error) {
	b := bufio.NewReaderSize(r, 64<<10)
	start, err := b.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	for _, kind := range notText {
		if bytes.HasPrefix(start, []byte(kind.magic)) {
			return nil, unreadable(0, kind.problem)
		}
	}
	skip := func(n int) int64 {
		_, _ = b.Discard(n) // they were peeked
		return int64(n)
	}
	switch {
	case bytes.HasPrefix(start, []byte("\xEF\xBB\xBF")):
		return &checkUTF8{r: b, at: skip(3)}, nil
	case bytes.HasPrefix(start, []byte("\xFF\xFE")):
		checked := &checkUTF16{r: b, at: skip(2), high: 1}
		return unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM).NewDecoder().Reader(checked), nil
	case bytes.HasPrefix(start, []byte("\xFE\xFF")):
		checked := &checkUTF16{r: b, at: skip(2), high: 0}
		return unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM).NewDecoder().Reader(checked), nil
	case len(start) == 4 && (start[0] == 0) != (start[1] == 0) && (start[2] == 0) == (start[0] == 0) && (start[3] == 0) == (start[1] == 0):
		return nil, unreadable(int64(bytes.IndexByte(start, 0)), "is 0x00: this looks like UTF-16 without a byte order mark (save the file as UTF-8)")
	}
	return &checkUTF8{r: b}, nil
}

// checkUTF8 passes bytes on as long as they are UTF-8.
type checkUTF8 struct {
	r     io.Reader
	at    int64  // of the file: what was passed on
	lines int    // that ended in it
	part  []byte // the beginning of a character whose rest comes with the next bytes
}

func (c *checkUTF8) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	rest := p[:n]
	for len(c.part) > 0 && len(rest) > 0 {
		c.part, rest = append(c.part, rest[0]), rest[1:]
		if !utf8.FullRune(c.part) {
			continue
		}
		if r, size := utf8.DecodeRune(c.part); r == utf8.RuneError && size == 1 {
			return 0, c.bad(c.part[0], c.at+int64(n-len(rest)-len(c.part)))
		}
		c.part = c.part[:0]
	}
	good := n - len(rest)
	if len(c.part) == 0 && !utf8.Valid(rest) {
		for len(rest) > 0 {
			r, size := utf8.DecodeRune(rest)
			if r == utf8.RuneError && size == 1 {
				if utf8.FullRune(rest) {
					c.lines += bytes.Count(p[:good], []byte("\n"))
					return good, c.bad(rest[0], c.at+int64(good))
				}
				c.part = append(c.part[:0], rest...)
				break
			}
			good, rest = good+size, rest[size:]
		}
	}
	c.at += int64(n)
	c.lines += bytes.Count(p[:n], []byte("\n"))
	if errors.Is(err, io.EOF) && len(c.part) > 0 {
		return n, c.bad(c.part[0], c.at-int64(len(c.part)))
	}
	return n, err
}

func (c *checkUTF8) bad(b byte, at int64) error {
	return unreadable(at, fmt.Sprintf("is 0x%02X, which is not UTF-8, on line %d (save the file as CSV UTF-8)", b, c.lines+1))
}

// checkUTF16 passes bytes on as long as they are whole code units and no half of a
// surrogate pair stands alone: the decoder would make a replacement character of it.
type checkUTF16 struct {
	r     io.Reader
	at    int64 // of the file: what was looked at
	high  int   // which byte of a unit is the high one: 0 big endian, 1 little endian
	unit  [2]byte
	lead  bool // the unit before was the first half of a pair
	ended error
}

func (c *checkUTF16) Read(p []byte) (int, error) {
	if c.ended != nil {
		return 0, c.ended
	}
	n, err := c.r.Read(p)
	for _, b := range p[:n] {
		c.unit[c.at&1] = b // a byte order mark has two bytes, so units begin at even places
		c.at++
		if c.at&1 != 0 {
			continue
		}
		r := rune(c.unit[c.high])<<8 | rune(c.unit[1-c.high])
		second := utf16.IsSurrogate(r) && r >= 0xDC00
		if c.lead != second {
			c.ended = unreadable(c.at-2, fmt.Sprintf("is 0x%04X, half of a UTF-16 pair without the other (save the file as UTF-8)", r))
			return 0, c.ended
		}
		c.lead = utf16.IsSurrogate(r) && !second
	}
	if errors.Is(err, io.EOF) && (c.at&1 != 0 || c.lead) {
		c.ended = unreadable(c.at, "is missing: the UTF-16 text ends in the middle of a character (get the file again)")
		return n, c.ended
	}
	return n, err
}
