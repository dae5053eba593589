package importer

import (
	"bufio"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"unicode/utf8"
)

// A Source is an input of users. What it holds is told from its beginning: a
// JSON array, newline-delimited JSON, or CSV with a heading, each of them
// gzipped or not. One iteration at a time may read it; Position may be called
// while that is under way.
type Source struct {
	name    string
	size    int64
	open    func() (io.ReadCloser, error)
	users   iter.Seq2[any, error] // in place of open
	once    bool
	used    bool
	mapping []mapped
	fixed   []column
	err     error // an option that makes no sense
	read    atomic.Int64
}

// A SourceOption says how an input is to be read.
type SourceOption func(*Source)

// Mapping says what the columns of a CSV are for, each as "COLUMN=FIELD". A field
// inside metadata or custom_password_hash is written with dots:
// "Plan=user_metadata.plan". Behind it ":number", ":bool" or ":json" say what the
// cells hold, and "[]" makes a list of what stands between semicolons, or commas
// where there are none. "COLUMN=" leaves a column out, and "=" those without a
// heading. Columns that are not named
// here are for the field of their name, and an input with a column that is for
// none is refused. Empty cells set nothing.
func Mapping(pairs ...string) SourceOption {
	return func(s *Source) {
		for _, p := range pairs {
			m, err := parseMapping(p)
			if err == nil && slices.ContainsFunc(s.mapping, func(o mapped) bool { return o.column == m.column }) {
				err = fmt.Errorf("column %q is mapped twice; say once what it is for", m.column)
			}
			if err != nil && s.err == nil {
				s.err = err
			}
			s.mapping = append(s.mapping, m)
		}
	}
}

// Set gives every row of a CSV a field that it has no column for, each as
// "FIELD=VALUE", with fields and types as in [Mapping]. What is set inside
// custom_password_hash, such as its algorithm, is left out of rows that have
// nothing else inside it: those users have no password.
func Set(pairs ...string) SourceOption {
	return func(s *Source) {
		for _, p := range pairs {
			c, err := parseFixed(p)
			if err != nil && s.err == nil {
				s.err = err
			}
			s.fixed = append(s.fixed, c)
		}
	}
}

// Named gives an input another name in reports.
func Named(name string) SourceOption { return func(s *Source) { s.name = name } }

// Once says that an iterator yields its users only the first time.
func Once() SourceOption { return func(s *Source) { s.once = true } }

func newSource(s *Source, options []SourceOption) *Source {
	for _, o := range options {
		o(s)
	}
	return s
}

// File is a source that reads a file, as often as it is asked to. The error is
// that of opening it, or of an option.
func File(path string, options ...SourceOption) (*Source, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return nil, fmt.Errorf("%s is a directory; name a file", path)
	}
	if info.Mode().IsRegular() { // what is written to a pipe is lost when it is closed again
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		_ = f.Close()
	}
	s := newSource(&Source{name: path, size: info.Size(), open: func() (io.ReadCloser, error) { return os.Open(path) }}, options)
	if !info.Mode().IsRegular() { // a pipe, which has no size and no second time
		s.size, s.once = -1, true
	}
	return s, s.err
}

// Reader is a source that reads r, which can be done once.
func Reader(r io.Reader, options ...SourceOption) *Source {
	return newSource(&Source{name: "input", size: -1, once: true, open: func() (io.ReadCloser, error) { return io.NopCloser(r), nil }}, options)
}

// Users is a source of users from an iterator, such as one over the rows of a
// database. Each value becomes JSON as by [encoding/json]; a [json.RawMessage] or
// []byte is JSON already. An error that it yields ends the reading. It is read
// more than once, and has to yield the same users each time, unless [Once] says
// that it cannot.
func Users(users iter.Seq2[any, error], options ...SourceOption) *Source {
	return newSource(&Source{name: "users", size: -1, users: users}, options)
}

// Name returns what the input is called in reports: a file's path, "input" for a
// reader and "users" for an iterator, unless [Named] says otherwise.
func (s *Source) Name() string { return s.name }

// Size returns the length of the input in bytes as it is stored, so compressed
// when it is. It is -1 when that is not known.
func (s *Source) Size() int64 { return s.size }

// Again reports whether the input can be read more than once.
func (s *Source) Again() bool { return !s.once }

// Position returns how many bytes the current or the last reading has taken from
// the input as it is stored; from an iterator, of JSON. It may be called at any
// time.
func (s *Source) Position() int64 { return s.read.Load() }

// Records reads the users, and checks each. A user who cannot be sent is yielded
// too, with Problems. An error, of reading or of an option, is yielded with a
// nil Record and ends the iteration. With Check.Duplicates, users are compared
// with those before by hashes, where [Inspect] compares the values themselves:
// among a million users, one in about ten million inputs has a user refused for
// no reason.
func (s *Source) Records(o Check) iter.Seq2[*Record, error] {
	return func(yield func(*Record, error) bool) {
		var dup duplicates
		if o.Duplicates {
			dup = hashed{newHashSet()}
		}
		s.records(o, dup, nil)(yield)
	}
}

// records is Records with a way to find duplicates, and a checksum over the
// input as it is stored, both optional. After an iteration that was not ended
// early or by an error, the checksum is over all of the input.
func (s *Source) records(o Check, dup duplicates, sum hash.Hash) iter.Seq2[*Record, error] {
	return func(yield func(*Record, error) bool) {
		switch {
		case s.err != nil:
			yield(nil, s.err)
			return
		case s.once && s.used:
			yield(nil, fmt.Errorf("%s can be read once only, and was", s.name))
			return
		}
		s.used = true
		s.read.Store(0)
		c := &checker{o: o, dup: dup}
		if s.users != nil {
			s.iterate(c, sum, yield)
			return
		}
		in, err := s.open()
		if err != nil {
			yield(nil, err)
			return
		}
		defer func() { _ = in.Close() }()
		stored := &tally{in: in, n: &s.read, sum: sum}
		r, err := s.reader(stored)
		for number := 1; err == nil; number++ {
			var found *item
			if found, err = r.next(); err == nil && !yield(c.record(number, found), nil) {
				return
			}
		}
		if errors.Is(err, io.EOF) {
			_, err = io.Copy(io.Discard, stored)
		}
		if err != nil {
			yield(nil, fmt.Errorf("%s: %w", s.name, err))
		}
	}
}

// iterate reads an iterator.
func (s *Source) iterate(c *checker, sum hash.Hash, yield func(*Record, error) bool) {
	number := 0
	for v, err := range s.users {
		if err != nil {
			yield(nil, fmt.Errorf("%s: behind user %d: %w", s.name, number, err))
			return
		}
		number++
		var it item
		switch v := v.(type) {
		case []byte:
			it.raw = v
		case json.RawMessage:
			it.raw = v
		default:
			if it.raw, err = json.Marshal(v); err != nil {
				// The encoder's own text could quote a value.
				it = item{broken: true, rule: ruleJSON, what: fmt.Sprintf("a value of type %T has no JSON form", v)}
			}
		}
		if len(it.raw) > maxItem {
			it = item{broken: true, rule: ruleTooLong, what: fmt.Sprintf("the user is longer than %d bytes", maxItem)}
		}
		s.read.Add(int64(len(it.raw)) + 1)
		if sum != nil {
			_, _ = sum.Write(it.raw) // a hash takes all that is written
			_, _ = sum.Write([]byte{'\n'})
		}
		if !yield(c.record(number, &it), nil) {
			return
		}
	}
}

// tally counts and sums what is read. After an error it reads no more, so that
// none is lost to those who only peek.
type tally struct {
	in  io.Reader
	n   *atomic.Int64
	sum hash.Hash
	err error
}

func (c *tally) Read(p []byte) (int, error) {
	if c.err != nil {
		return 0, c.err
	}
	n, err := c.in.Read(p)
	c.err = err
	c.n.Add(int64(n))
	if c.sum != nil {
		_, _ = c.sum.Write(p[:n]) // a hash takes all that is written
	}
	return n, err
}

const bufferSize = 64 << 10

// reader tells the format from the beginning of the input.
func (s *Source) reader(stored io.Reader) (reader, error) {
	in, name := bufio.NewReaderSize(stored, bufferSize), strings.ToLower(s.name)
	if magic, _ := in.Peek(2); len(magic) == 2 && magic[0] == 0x1f && magic[1] == 0x8b {
		z, err := gzip.NewReader(in)
		if err != nil {
			return nil, gzipError(err)
		}
		in, name = bufio.NewReaderSize(unzipped{z}, bufferSize), strings.TrimSuffix(name, ".gz")
	}
	if mark, _ := in.Peek(3); string(mark) == "\xef\xbb\xbf" {
		_, _ = in.Discard(3)
	}
	first := bytes.TrimLeft(firstLine(in), " \t\r\n")
	isJSON := len(first) > 0 && (first[0] == '{' || first[0] == '[')
	switch extension := filepath.Ext(name); {
	case isJSON && (s.mapping != nil || s.fixed != nil):
		return nil, errors.New("the input is JSON, and a mapping is for the columns of a CSV")
	case isJSON && first[0] == '[':
		r := &array{in: in, line: 1}
		_, err := r.skipSpace()
		return r, err
	case isJSON:
	case bytes.IndexByte(first, 0) >= 0:
		return nil, errNoFormat
	case s.mapping != nil, s.fixed != nil, extension == ".csv", extension == ".tsv", isHeading(first):
		if _, err := in.Peek(1); errors.Is(err, io.EOF) {
			break // an empty input has no users, and needs no heading
		}
		return newTable(in, s.mapping, s.fixed)
	case !isText(first) || strangeLines(in):
		return nil, errNoFormat
	}
	return &lines{in: in, line: 1}, nil
}

var errNoFormat = errors.New("this is not NDJSON, JSON or CSV in UTF-8; the name of a CSV whose heading has none of the fields of users ends in .csv")

// unzipped reads a gzip file, with errors that say so.
type unzipped struct{ z *gzip.Reader }

func (u unzipped) Read(p []byte) (int, error) {
	n, err := u.z.Read(p)
	return n, gzipError(err)
}

func gzipError(err error) error {
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("the gzip file is cut off: %w", err)
	case errors.Is(err, gzip.ErrHeader), errors.Is(err, gzip.ErrChecksum), errors.As(err, new(flate.CorruptInputError)):
		return fmt.Errorf("not a valid gzip file: %w", err)
	}
	return err
}

// isText reports whether the beginning of b is UTF-8.
func isText(b []byte) bool {
	for b = b[:min(len(b), 64)]; len(b) > 0 && utf8.FullRune(b); {
		r, n := utf8.DecodeRune(b)
		if r == utf8.RuneError && n == 1 {
			return false
		}
		b = b[n:]
	}
	return true
}

// strangeLimit is how many lines in a row at the beginning may be no JSON before
// the input counts as something else.
const strangeLimit = 20

// strangeLines reports whether the first lines that are not blank begin like
// neither objects nor arrays. It waits for more input as long as they do.
func strangeLines(in *bufio.Reader) bool {
	for {
		b, _ := in.Peek(in.Buffered())
		lines := bytes.SplitAfter(b, []byte{'\n'})
		strange := 0
		for _, line := range lines {
			if line = bytes.TrimLeft(line, " \t\r\n"); len(line) > 0 && (line[0] == '{' || line[0] == '[') {
				return false
			} else if len(line) > 0 && line[len(line)-1] == '\n' {
				strange++
			}
		}
		if strange >= strangeLimit {
			return true
		}
		if _, err := in.Peek(len(b) + 1); err != nil {
			return false // a short input, or long lines
		}
	}
}

// firstLine returns the first line that is not blank, as far as it fits into the
// buffer, with what precedes it; of JSON its first bytes. It waits for no more
// input than that.
func firstLine(in *bufio.Reader) []byte {
	for {
		b, _ := in.Peek(in.Buffered())
		start := len(b) - len(bytes.TrimLeft(b, " \t\r\n"))
		if start < len(b) && (b[start] == '{' || b[start] == '[') {
			return b
		}
		if end := bytes.IndexByte(b[start:], '\n'); end >= 0 {
			return b[:start+end]
		}
		if more, err := in.Peek(len(b) + 1); err != nil {
			return more
		}
	}
}

// isHeading reports whether a line is the heading of a CSV: one of its cells is
// the name of a field that users are known by.
func isHeading(line []byte) bool {
	for cell := range bytes.FieldsFuncSeq(line, func(r rune) bool { return r == ',' || r == ';' || r == '\t' }) {
		switch string(plainName(bytes.Trim(cell, "\" '\r"))) {
		case "email", "user_id", "username", "phone_number":
			return true
		}
	}
	return false
}
