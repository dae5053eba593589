package importer

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// ErrLedger is what [Run] returns, wrapped in the reason and the remedy, when
// its ledger cannot be used: it is unfinished and Options.Resume is not set, it
// belongs to another import, another run has it open, it is damaged, or it can
// no longer be written.
var ErrLedger = errors.New("the ledger cannot be used")

// ledgerVersion is the form of the lines. A ledger of another version is refused.
const ledgerVersion = 1

// ledgerLine bounds one line, so that a file that is no ledger does not fill the
// memory.
const ledgerLine = 64 << 20

// What a line of the ledger says.
const (
	lineBegin  = "begin"  // which import this is
	lineIntent = "intent" // a job is about to be created for the chunk
	lineUnsent = "unsent" // it was not created after all
	lineJob    = "job"    // it was created and has this id
	lineDoubt  = "doubt"  // what the attempt did is not known
	lineSplit  = "split"  // the chunk goes on as smaller ones
	lineDone   = "done"   // what became of the users of a chunk
	lineWindow = "window" // these users may be sent with single calls from now on
	lineUsers  = "users"  // what became of some users outside of jobs
	lineEnd    = "end"    // every user is accounted for
)

// An entry is one line of the ledger. It holds positions, counts and codes, and
// nothing of the users themselves.
type entry struct {
	What string    `json:"e"`
	At   time.Time `json:"at,omitzero"`

	Import *identity `json:"import,omitempty"` // begin

	Chunk   int         `json:"n,omitempty"`
	Attempt int         `json:"attempt,omitempty"` // intent
	Users   Ranges      `json:"users,omitzero"`    // intent, window
	Bytes   int         `json:"bytes,omitempty"`   // intent
	Sum     uint32      `json:"sum,omitempty"`     // intent: of the users' JSON
	Since   time.Time   `json:"since,omitzero"`    // intent, window: the tenant's time, at the latest
	Job     string      `json:"job,omitempty"`
	Why     string      `json:"why,omitempty"`
	Into    []partition `json:"into,omitempty"` // split

	Created int               `json:"created,omitempty"` // done, users
	Updated int               `json:"updated,omitempty"`
	Exists  Ranges            `json:"exists,omitzero"`
	Refused map[string]Ranges `json:"refused,omitempty"` // by rule
	Failed  map[string]Ranges `json:"failed,omitempty"`  // by reason
	Retry   Ranges            `json:"retry,omitzero"`
	Settled Ranges            `json:"settled,omitzero"` // users: all of those counted here

	// Of an input that is read once, as far as it had been read by then.
	Read    int    `json:"read,omitempty"`     // users
	ReadSum uint32 `json:"read_sum,omitempty"` // of their JSON
}

// partition is a chunk that another one was split into.
type partition struct {
	Chunk int    `json:"n"`
	Users Ranges `json:"users"`
}

// identity is what a ledger belongs to.
type identity struct {
	Version    int       `json:"version"`
	Run        string    `json:"run"` // begins the external_id of every job
	Tenant     string    `json:"tenant"`
	Connection string    `json:"connection_id"`
	Upsert     bool      `json:"upsert,omitempty"`
	Via        Via       `json:"via"`
	Auto       bool      `json:"auto,omitempty"` // the way was not chosen by hand, and some users may take the other
	Verified   *bool     `json:"email_verified,omitempty"`
	Leave      string    `json:"left_out,omitempty"` // by skip, done and only
	Began      time.Time `json:"began"`
	Input      string    `json:"input"`
	Size       int64     `json:"size"`
	SHA256     string    `json:"sha256,omitempty"` // "" for an input that is read once
	Total      int       `json:"total,omitempty"`
}

// differs names the first thing in which another import differs from that of
// the ledger, "" for nothing.
func (id *identity) differs(other *identity) string {
	verified := func(v *bool) string {
		if v == nil {
			return "unset"
		}
		return strconv.FormatBool(*v)
	}
	for _, f := range []struct{ what, ledger, now string }{
		{"tenant", id.Tenant, other.Tenant},
		{"connection", id.Connection, other.Connection},
		{"upsert", strconv.FormatBool(id.Upsert), strconv.FormatBool(other.Upsert)},
		{"email_verified", verified(id.Verified), verified(other.Verified)},
		{"way", id.way(), other.way()},
		{"choice of users", id.Leave, other.Leave},
		{"input's checksum", id.SHA256, other.SHA256},
	} {
		if f.ledger != f.now {
			return fmt.Sprintf("its %s is %q, now it is %q", f.what, f.ledger, f.now)
		}
	}
	return ""
}

// way names the way that the users take.
func (id *identity) way() string {
	if id.Auto {
		return string(id.Via) + ", by " + string(ViaAuto)
	}
	return string(id.Via)
}

// openChunk is a chunk whose users are not accounted for yet.
type openChunk struct {
	number  int
	users   Ranges
	attempt int
	bytes   int
	sum     uint32
	since   time.Time // of the first attempt of which it is not known what it did
	sent    bool      // the last attempt may have been sent
	doubt   string    // why an attempt is in doubt
	job     string    // of the last attempt, while it is to be asked about
}

// window is a span of users that single calls may have created.
type window struct {
	users Ranges
	since time.Time
}

// books is what the lines of a ledger add up to. A run without a ledger keeps
// the same books.
type books struct {
	id    *identity
	ended bool

	settled  Ranges // users that are accounted for
	failedAt Ranges
	retry    Ranges // users that failed for now
	created  int
	updated  int
	exists   int
	failed   int
	refused  int
	reasons  map[string]int

	open    map[int]*openChunk
	windows []window
	chunks  int    // the highest number given
	closed  Ranges // numbers of chunks that are accounted for

	read    int // the most of an input that is read once, and its checksum
	readSum uint32
}

func newBooks() *books {
	return &books{reasons: make(map[string]int), open: make(map[int]*openChunk)}
}

// apply adds a line. Its errors are of lines that contradict those before them.
func (b *books) apply(e *entry) error {
	if b.id == nil && e.What != lineBegin {
		return errors.New("the first line is not the beginning of an import")
	}
	if b.ended {
		return errors.New("a line follows the end")
	}
	if e.Read > b.read {
		b.read, b.readSum = e.Read, e.ReadSum
	}
	switch e.What {
	case lineBegin:
		if b.id != nil || e.Import == nil {
			return errors.New("the import begins twice")
		}
		if e.Import.Version != ledgerVersion {
			return fmt.Errorf("it is of version %d, and this program knows version %d", e.Import.Version, ledgerVersion)
		}
		b.id = e.Import
	case lineWindow:
		b.windows = append(b.windows, window{e.Users, e.Since})
	case lineUsers:
		return b.settle(e.Settled, e)
	case lineEnd:
		if len(b.open) > 0 {
			return errors.New("the import ends with chunks under way")
		}
		if len(b.retry.spans) > 0 {
			return errors.New("the import ends with users who are to be tried again")
		}
		b.ended = true
	default:
		return b.applyChunk(e)
	}
	return nil
}

// applyChunk adds a line about a chunk.
func (b *books) applyChunk(e *entry) error {
	c := b.open[e.Chunk]
	if e.What == lineIntent {
		if c == nil {
			if e.Chunk < 1 || b.closed.Has(e.Chunk) {
				return fmt.Errorf("chunk %d is begun again", e.Chunk)
			}
			if overlap(b.settled, e.Users) {
				return fmt.Errorf("chunk %d has users that are accounted for", e.Chunk)
			}
			c = &openChunk{number: e.Chunk, users: e.Users}
			b.open[e.Chunk], b.chunks = c, max(b.chunks, e.Chunk)
			b.retry = without(b.retry, e.Users)
		}
		c.attempt, c.bytes, c.sum, c.job, c.sent = e.Attempt, e.Bytes, e.Sum, "", true
		if c.doubt == "" {
			c.since = e.Since
		}
		return nil
	}
	if c == nil {
		return fmt.Errorf("a line %q is about chunk %d, which is not under way", e.What, e.Chunk)
	}
	switch e.What {
	case lineUnsent:
		c.sent = false
	case lineJob:
		c.job = e.Job
	case lineDoubt:
		c.doubt, c.job, c.sent = cmpOr(e.Why, "not known"), "", false
	case lineSplit:
		var all Ranges
		for _, p := range e.Into {
			if p.Chunk < 1 || b.closed.Has(p.Chunk) || b.open[p.Chunk] != nil || overlap(all, p.Users) {
				return fmt.Errorf("chunk %d is split in a way that cannot be", e.Chunk)
			}
			all.AddAll(p.Users)
			b.chunks = max(b.chunks, p.Chunk)
			b.open[p.Chunk] = &openChunk{number: p.Chunk, users: p.Users, since: c.since, doubt: c.doubt}
		}
		if all.Count() != c.users.Count() || !overlapAll(c.users, all) {
			return fmt.Errorf("chunk %d is split into other users than it has", e.Chunk)
		}
		delete(b.open, e.Chunk)
		b.closed.Add(e.Chunk)
	case lineDone:
		delete(b.open, e.Chunk)
		b.closed.Add(e.Chunk)
		return b.settle(without(c.users, e.Retry), e)
	default:
		return fmt.Errorf("a line %q is not known", e.What)
	}
	return nil
}

// settle accounts for users, all of whom the line must say of what became of
// them.
func (b *books) settle(users Ranges, e *entry) error {
	var all Ranges
	count := func(by map[string]Ranges) (n int) {
		for _, r := range by {
			n += r.Count()
			all.AddAll(r)
		}
		return n
	}
	failed, refused := count(e.Failed), count(e.Refused)
	sum := e.Created + e.Updated + e.Exists.Count() + failed + refused
	if e.Created < 0 || e.Updated < 0 || sum != users.Count() {
		return fmt.Errorf("a line %q accounts for %d users where there are %d", e.What, sum, users.Count())
	}
	all.AddAll(e.Exists)
	if all.Count() != sum-e.Created-e.Updated || !overlapAll(users, all) {
		return fmt.Errorf("a line %q accounts for the same user twice, or for one of another chunk", e.What)
	}
	if overlap(b.settled, users) {
		return fmt.Errorf("a line %q accounts for users who were accounted for", e.What)
	}
	b.settled.AddAll(users)
	b.retry = without(b.retry, users)
	b.retry.AddAll(e.Retry)
	b.created += e.Created
	b.updated += e.Updated
	b.exists += e.Exists.Count()
	b.refused += refused
	b.failed += failed
	for reason, r := range e.Failed {
		b.failedAt.AddAll(r)
		b.reasons[reason] += r.Count()
	}
	for rule, r := range e.Refused {
		b.failedAt.AddAll(r)
		b.reasons[rule] += r.Count()
	}
	// Windows are closed one after another, and all but the last are of no use.
	b.windows = slices.DeleteFunc(b.windows, func(w window) bool { return overlapAll(b.settled, w.users) })
	return nil
}

// overlap reports whether two sets have a position in common.
func overlap(a, b Ranges) bool {
	for _, s := range b.spans {
		i, _ := slices.BinarySearchFunc(a.spans, s.from, func(e span, v int) int { return e.to - v })
		if i < len(a.spans) && a.spans[i].from <= s.to {
			return true
		}
	}
	return false
}

// overlapAll reports whether a has every position of b.
func overlapAll(a, b Ranges) bool {
	for _, s := range b.spans {
		i, _ := slices.BinarySearchFunc(a.spans, s.from, func(e span, v int) int { return e.to - v })
		if i == len(a.spans) || a.spans[i].from > s.from || a.spans[i].to < s.to {
			return false
		}
	}
	return true
}

// without returns the positions of a that b does not have.
func without(a, b Ranges) Ranges {
	if !overlap(a, b) {
		return a
	}
	var out []span
	for _, s := range a.spans {
		i, _ := slices.BinarySearchFunc(b.spans, s.from, func(e span, v int) int { return e.to - v })
		from := s.from
		for ; i < len(b.spans) && b.spans[i].from <= s.to; i++ {
			if b.spans[i].from > from {
				out = append(out, span{from, b.spans[i].from - 1})
			}
			from = b.spans[i].to + 1
		}
		if from <= s.to {
			out = append(out, span{from, s.to})
		}
	}
	return Ranges{out}
}

func cmpOr(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// ledgerFile is what a ledger needs of a file.
type ledgerFile interface {
	io.Writer
	Sync() error
	Close() error
}

// A ledger writes the books to disk, line by line. It is safe for concurrent
// use.
type ledger struct {
	path string
	cut  int // bytes of a torn line that were cut off

	mu   sync.Mutex
	file ledgerFile // nil: the books are kept in memory only
	err  error      // the first one of writing; nothing is written after it
	*books
}

// openLedger opens or makes the ledger at path, "" for none. The books hold what
// an earlier run has written; their id is nil when there was nothing.
func openLedger(path string, resume bool) (*ledger, error) {
	l := &ledger{path: path, books: newBooks()}
	if path == "" {
		return l, nil
	}
	file, made, err := openLocked(path)
	if err != nil {
		return nil, err
	}
	fail := func(err error) (*ledger, error) {
		_ = file.Close()
		return nil, fmt.Errorf("%w: %s: %w", ErrLedger, path, err)
	}
	good, cut, err := l.replay(file)
	if err != nil {
		return fail(err)
	}
	switch {
	case l.id != nil && l.ended && !resume:
		// A finished import has nothing to lose: the next one begins anew.
		l.books, good, cut = newBooks(), 0, 0
	case l.id != nil && !resume:
		return fail(errors.New("it is of an import that has not ended: go on with it (--resume), or remove the file to begin anew"))
	}
	l.cut = cut
	if err := file.Truncate(good); err != nil {
		return fail(err)
	}
	if _, err := file.Seek(good, io.SeekStart); err != nil {
		return fail(err)
	}
	if made {
		if err := syncDir(filepath.Dir(path)); err != nil {
			return fail(err)
		}
	}
	l.file = file
	return l, nil
}

// openLocked opens the file for this process alone, and says whether it made it.
func openLocked(path string) (*os.File, bool, error) {
	made := false
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		made = true
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, false, fmt.Errorf("%w: %w", ErrLedger, err)
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("it is not a file")
	}
	if err == nil {
		err = lockFile(file)
	}
	if err != nil {
		_ = file.Close()
		return nil, false, fmt.Errorf("%w: %s: %w", ErrLedger, path, err)
	}
	return file, made, nil
}

// errLocked is what a second run with one ledger meets.
var errLocked = errors.New("another run has it open: wait until that has ended, or name another ledger")

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }()
	_ = d.Sync() // not all systems can; the file itself is synced anyway
	return nil
}

// replay reads a ledger. It returns how many bytes are good, and how many of a
// torn last write follow them. A bad line with a good one behind it is an error:
// nothing is passed over in silence.
func (b *books) replay(r io.Reader) (good int64, cut int, err error) {
	in := bufio.NewReaderSize(r, 64<<10)
	var bad error // of the first bad line
	torn := false // it may be what a first write left
	for number := 1; ; number++ {
		line, err := readLedgerLine(in)
		if err != nil && !errors.Is(err, io.EOF) {
			return 0, 0, err
		}
		if len(line) == 0 {
			if good == 0 && bad != nil && !torn {
				return 0, 0, errors.New("it is not a ledger: name another file, for this one would be overwritten")
			}
			return good, cut, nil
		}
		e, lineErr := parseLine(line)
		switch {
		case lineErr == nil && bad != nil:
			return 0, 0, fmt.Errorf("%w, and good lines follow it: the file was damaged; restore it from a copy, or begin anew with another ledger", bad)
		case lineErr != nil:
			if bad == nil {
				bad = fmt.Errorf("line %d %w", number, lineErr)
				torn = beginsLikeLedger(line)
			}
			cut += len(line)
			continue
		}
		if err := b.apply(e); err != nil {
			return 0, 0, fmt.Errorf("line %d: %w: the file was changed or damaged; restore it from a copy, or begin anew with another ledger", number, err)
		}
		good += int64(len(line))
	}
}

// beginsLikeLedger reports whether a line may be what is left of a ledger's
// first one, whose write was cut short: a part of its beginning, or zeros.
func beginsLikeLedger(line []byte) bool {
	if len(bytes.Trim(line, "\x00")) == 0 {
		return true
	}
	for _, c := range line[:min(crcDigits, len(line))] {
		if !strings.ContainsRune("0123456789abcdef", rune(c)) {
			return false
		}
	}
	const rest = ` {"e":"begin"`
	body := line[min(crcDigits, len(line)):]
	n := min(len(rest), len(body))
	return string(body[:n]) == rest[:n]
}

func readLedgerLine(in *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := in.ReadSlice('\n')
		line = append(line, part...)
		if len(line) > ledgerLine {
			return nil, errors.New("it has a line that is too long: it is not a ledger")
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, err
		}
	}
}

// castagnoli makes the table of the checksum when it is first needed.
var castagnoli = sync.OnceValue(func() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) })

// crcDigits is the length of a checksum in hexadecimal.
const crcDigits = 8

// parseLine checks a line and decodes it.
func parseLine(line []byte) (*entry, error) {
	body, whole := bytes.CutSuffix(line, []byte("\n"))
	if !whole {
		return nil, errors.New("has no end")
	}
	if len(body) < crcDigits+1 || body[crcDigits] != ' ' {
		return nil, errors.New("has no checksum")
	}
	sum, err := strconv.ParseUint(string(body[:crcDigits]), 16, 32)
	if err != nil || crc32.Checksum(body[crcDigits+1:], castagnoli()) != uint32(sum) {
		return nil, errors.New("does not match its checksum")
	}
	var e entry
	if err := json.Unmarshal(body[crcDigits+1:], &e); err != nil {
		return nil, errors.New("is not an entry")
	}
	return &e, nil
}

// formatLine is the other direction of parseLine.
func formatLine(e *entry) ([]byte, error) {
	body, err := json.Marshal(e)
	if err != nil {
		return nil, err
	}
	line := fmt.Appendf(make([]byte, 0, len(body)+crcDigits+2), "%08x ", crc32.Checksum(body, castagnoli()))
	return append(append(line, body...), '\n'), nil
}

// write adds lines, on disk when it returns if durable is set. What cannot be
// written is not booked: after an error the ledger stays as it is.
func (l *ledger) write(durable bool, entries ...*entry) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return l.err
	}
	var lines []byte
	if l.file != nil {
		for _, e := range entries {
			line, err := formatLine(e)
			if err != nil {
				return l.fail(err)
			}
			lines = append(lines, line...)
		}
		_, err := l.file.Write(lines)
		if err == nil && durable {
			err = l.file.Sync()
		}
		if err != nil {
			return l.fail(err)
		}
	}
	for _, e := range entries {
		if err := l.apply(e); err != nil {
			return l.fail(err)
		}
	}
	return nil
}

func (l *ledger) fail(err error) error {
	if l.path != "" {
		err = fmt.Errorf("%s: %w", l.path, err)
	}
	l.err = fmt.Errorf("%w: %w; nothing more was sent", ErrLedger, err)
	return l.err
}

// broken returns the error that ended the writing, nil while it goes well.
func (l *ledger) broken() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// view gives f the books while nothing changes them.
func (l *ledger) view(f func(*books)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f(l.books)
}

func (l *ledger) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return nil
	}
	err := l.file.Close()
	l.file = nil
	return err
}
