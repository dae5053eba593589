package importer

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// ranges reads a set that is known to be right.
func ranges(tb testing.TB, s string) Ranges {
	tb.Helper()
	r, err := ParseRanges(s)
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

// story is the lines of an import with everything in it.
func story(tb testing.TB) []*entry {
	tb.Helper()
	at := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	u := func(s string) Ranges { return ranges(tb, s) }
	return []*entry{
		{What: lineBegin, Import: &identity{Version: ledgerVersion, Run: "r", Tenant: "t.example", Connection: "con_1", Via: ViaJobs, Began: at, Input: "users", Size: 9, Total: 60}},
		{What: lineUsers, Refused: map[string]Ranges{"email-form": u("3")}, Settled: u("3")},
		{What: lineIntent, Chunk: 1, Attempt: 1, Users: u("1-2,4-10"), Bytes: 100, Sum: 7, Since: at},
		{What: lineIntent, Chunk: 2, Attempt: 1, Users: u("11-20"), Bytes: 100, Sum: 8, Since: at.Add(time.Second)},
		{What: lineJob, Chunk: 1, Job: "job_1"},
		{What: lineDoubt, Chunk: 2, Why: "lost"},
		{What: lineDone, Chunk: 1, Created: 5, Exists: u("4-5"), Failed: map[string]Ranges{"FORMAT email": u("1")}, Retry: u("2")},
		{What: lineIntent, Chunk: 2, Attempt: 2, Users: u("11-20"), Bytes: 100, Sum: 8, Since: at.Add(time.Minute)},
		{What: lineUnsent, Chunk: 2},
		{What: lineSplit, Chunk: 2, Into: []partition{{3, u("11-15")}, {4, u("16-20")}}},
		{What: lineIntent, Chunk: 4, Attempt: 1, Users: u("16-20"), Since: at.Add(2 * time.Minute)},
		{What: lineJob, Chunk: 4, Job: "job_2"},
		{What: lineDone, Chunk: 4, Created: 4, Updated: 1},
		{What: lineWindow, Users: u("21-276"), Since: at},
		{What: lineUsers, Created: 38, Exists: u("60"), Settled: u("21-58,60")},
		{What: lineIntent, Chunk: 3, Attempt: 1, Users: u("11-15"), Since: at.Add(3 * time.Minute)},
		{What: lineDone, Chunk: 3, Created: 5},
		{What: lineUsers, Created: 2, Settled: u("2,59")},
		{What: lineEnd},
	}
}

// ledgerText is the text of entries.
func ledgerText(tb testing.TB, entries []*entry) []byte {
	tb.Helper()
	var b []byte
	for _, e := range entries {
		line, err := formatLine(e)
		if err != nil {
			tb.Fatal(err)
		}
		b = append(b, line...)
	}
	return b
}

func TestLedgerBooks(t *testing.T) {
	t.Parallel()
	all := story(t)
	at := all[0].Import.Began
	b := newBooks()
	if _, _, err := b.replay(bytes.NewReader(ledgerText(t, all[:9]))); err != nil {
		t.Fatal(err)
	}
	c := b.open[2]
	if len(b.open) != 1 || c.users.String() != "11-20" || c.doubt != "lost" || c.sent || c.job != "" || c.attempt != 2 || !c.since.Equal(at.Add(time.Second)) {
		t.Errorf("chunk 2 is %+v; its first attempt is in doubt, its second was not sent", c)
	}
	if b.retry.String() != "2" || b.settled.String() != "1,3-10" || b.created != 5 || b.exists != 2 || b.failed != 1 || b.refused != 1 {
		t.Errorf("retry %s, settled %s, %d %d %d %d", b.retry, b.settled, b.created, b.exists, b.failed, b.refused)
	}
	b = newBooks()
	good, cut, err := b.replay(bytes.NewReader(ledgerText(t, all)))
	if err != nil || cut != 0 || good != int64(len(ledgerText(t, all))) {
		t.Fatal(good, cut, err)
	}
	if b.settled.String() != "1-60" || b.created != 54 || b.updated != 1 || b.exists != 3 || b.failed != 1 || b.refused != 1 ||
		b.failedAt.String() != "1,3" || b.reasons["FORMAT email"] != 1 || b.reasons["email-form"] != 1 || len(b.open) != 0 || !b.ended || b.chunks != 4 {
		t.Errorf("%+v", b)
	}
	// The window goes on beyond the input, and nothing of it is left to do.
	if len(b.windows) != 1 {
		t.Errorf("windows %v", b.windows)
	}
}

// Lines that contradict those before them are refused: nothing counts twice.
func TestLedgerContradictions(t *testing.T) {
	t.Parallel()
	u := func(s string) Ranges { return ranges(t, s) }
	for _, tt := range []struct {
		after int // lines of the story
		e     entry
		says  string
	}{
		{0, entry{What: lineUsers}, "the first line is not the beginning"},
		{1, entry{What: lineBegin, Import: &identity{Version: ledgerVersion}}, "begins twice"},
		{2, entry{What: lineUsers, Created: 1, Settled: u("3")}, "were accounted for"},
		{2, entry{What: lineUsers, Created: 1, Settled: u("4-5")}, "accounts for 1 users where there are 2"},
		{2, entry{What: lineUsers, Created: -1, Exists: u("4-5"), Settled: u("4")}, "accounts for 1 users"},
		{2, entry{What: lineUsers, Exists: u("9"), Settled: u("4")}, "one of another chunk"},
		{2, entry{What: lineUsers, Exists: u("4"), Refused: map[string]Ranges{"a": u("4")}, Settled: u("4-5")}, "the same user twice"},
		{2, entry{What: lineIntent, Chunk: 1, Attempt: 1, Users: u("2-4")}, "users that are accounted for"},
		{2, entry{What: lineIntent, Users: u("4")}, "begun again"},
		{2, entry{What: lineDone, Chunk: 1}, "not under way"},
		{4, entry{What: lineEnd}, "chunks under way"},
		{17, entry{What: lineEnd}, "to be tried again"},
		{4, entry{What: lineDone, Chunk: 1, Created: 8}, "accounts for 8 users where there are 9"},
		{4, entry{What: lineSplit, Chunk: 2, Into: []partition{{3, u("11-14")}}}, "other users than it has"},
		{4, entry{What: lineSplit, Chunk: 2, Into: []partition{{3, u("11-15")}, {3, u("16-20")}}}, "cannot be"},
		{4, entry{What: lineSplit, Chunk: 2, Into: []partition{{3, u("11-15")}, {4, u("15-19")}}}, "cannot be"},
		{4, entry{What: "nonsense", Chunk: 1}, "is not known"},
		{7, entry{What: lineIntent, Chunk: 1, Attempt: 2, Users: u("2")}, "begun again"},
		{19, entry{What: lineWindow}, "follows the end"},
	} {
		b := newBooks()
		for _, e := range story(t)[:tt.after] {
			if err := b.apply(e); err != nil {
				t.Fatal(err)
			}
		}
		if err := b.apply(&tt.e); err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s after %d lines: %v, want %q", tt.e.What, tt.after, err, tt.says)
		}
	}
}

func TestLedgerOpen(t *testing.T) {
	t.Parallel()
	text := ledgerText(t, story(t)[:9])
	whole := ledgerText(t, story(t))
	last := len(text) - len(ledgerText(t, story(t)[8:9]))
	damaged := bytes.Clone(text)
	damaged[len(text)/2] ^= 1
	other := story(t)[:1]
	other[0].Import.Version = ledgerVersion + 1
	for _, tt := range []struct {
		name   string
		text   []byte
		resume bool
		says   string // of the error, "" for none
		left   int    // bytes of the file then
		cut    int
	}{
		{name: "nothing", text: nil},
		{name: "unfinished, not to be resumed", text: text, says: "go on with it (--resume), or remove the file", left: len(text)},
		{name: "unfinished, resumed", text: text, resume: true, left: len(text)},
		{name: "finished, a new one", text: whole},
		{name: "finished, resumed", text: whole, resume: true, left: len(whole)},
		{name: "the last line torn", text: text[:len(text)-4], resume: true, left: last, cut: len(text) - last - 4},
		{name: "the last line's end missing", text: text[:len(text)-1], resume: true, left: last, cut: len(text) - last - 1},
		{name: "zeros behind it", text: append(bytes.Clone(text), make([]byte, 512)...), resume: true, left: len(text), cut: 512},
		{name: "the first line torn", text: text[:40], resume: true, cut: 40},
		{name: "the first line torn early", text: text[:3], cut: 3},
		{name: "zeros only", text: make([]byte, 4096), cut: 4096},
		{name: "damaged in the middle", text: damaged, resume: true, says: "does not match its checksum, and good lines follow it", left: len(text)},
		{name: "no ledger", text: []byte("{\"email\":\"ada@example.com\"}\n"), resume: true, says: "it is not a ledger", left: 28},
		{name: "no ledger, not resumed", text: []byte("hello"), says: "it is not a ledger", left: 5},
		{name: "of another version", text: ledgerText(t, other), resume: true, says: "it is of version 2", left: len(ledgerText(t, other))},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "ledger")
			if err := os.WriteFile(path, tt.text, 0o600); err != nil {
				t.Fatal(err)
			}
			l, err := openLedger(path, tt.resume)
			switch {
			case tt.says == "" && err != nil:
				t.Fatal(err)
			case tt.says != "" && (!errors.Is(err, ErrLedger) || !strings.Contains(err.Error(), tt.says) || !strings.Contains(err.Error(), path)):
				t.Fatalf("error %v, want %q", err, tt.says)
			}
			if err == nil {
				if l.cut != tt.cut {
					t.Errorf("%d bytes were cut off, want %d", l.cut, tt.cut)
				}
				if err := l.close(); err != nil {
					t.Error(err)
				}
			}
			if b, err := os.ReadFile(path); err != nil || !bytes.Equal(b, tt.text[:tt.left]) {
				t.Errorf("the file has %d bytes, want %d (%v)", len(b), tt.left, err)
			}
		})
	}
}

// Two runs cannot have one ledger, and its file is nobody else's to read.
func TestLedgerLock(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "ledger")
	l, err := openLedger(path, false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := openLedger(path, true); !errors.Is(err, errLocked) || !errors.Is(err, ErrLedger) {
		t.Errorf("the second: %v", err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if err := l.close(); err != nil {
		t.Fatal(err)
	}
	if l, err = openLedger(path, false); err != nil {
		t.Fatal(err)
	}
	_ = l.close()
	if _, err := openLedger(t.TempDir(), false); !errors.Is(err, ErrLedger) {
		t.Errorf("a directory: %v", err)
	}
}

// failingFile fails to write or sync from the nth time on.
type failingFile struct {
	bytes.Buffer
	writes, syncs int
}

var errFull = errors.New("no space left on device")

func (f *failingFile) Write(b []byte) (int, error) {
	if f.writes--; f.writes < 0 {
		n, _ := f.Buffer.Write(b[:len(b)/2])
		return n, errFull
	}
	return f.Buffer.Write(b)
}

func (f *failingFile) Sync() error {
	if f.syncs--; f.syncs < 0 {
		return errFull
	}
	return nil
}

func (f *failingFile) Close() error { return nil }

// After a write that failed nothing more is written and nothing more is booked.
func TestLedgerFull(t *testing.T) {
	t.Parallel()
	all := story(t)
	for _, f := range []*failingFile{{writes: 4, syncs: 100}, {writes: 100, syncs: 4}} {
		l := &ledger{path: "ledger", books: newBooks(), file: f}
		for i, e := range all {
			err := l.write(true, e)
			if (i < 4) != (err == nil) || err != nil && (!errors.Is(err, errFull) || !errors.Is(err, ErrLedger)) {
				t.Errorf("line %d: %v", i, err)
			}
		}
		if len(l.open) != 2 || l.open[1].job != "" {
			t.Errorf("what was not written was booked: %+v", l.open[1])
		}
		if size := len(ledgerText(t, all[:5])); f.Len() > size {
			t.Errorf("%d bytes were written, the line that failed ends at %d", f.Len(), size)
		}
	}
}

func TestWithout(t *testing.T) {
	t.Parallel()
	for _, tt := range [][3]string{
		{"1-10", "", "1-10"},
		{"1-10", "11-12", "1-10"},
		{"1-10", "1-10", ""},
		{"1-10", "0", ""},
		{"1-10", "1,10", "2-9"},
		{"1-10,20-30", "5-25", "1-4,26-30"},
		{"1-10,20-30", "3,5,22-40", "1-2,4,6-10,20-21"},
	} {
		if tt[1] == "0" {
			continue
		}
		a, b := ranges(t, tt[0]), ranges(t, tt[1])
		if got := without(a, b).String(); got != tt[2] {
			t.Errorf("%s without %s is %s, want %s", tt[0], tt[1], got, tt[2])
		}
		common := false
		for n := 1; n < 50; n++ {
			common = common || a.Has(n) && b.Has(n)
		}
		if overlap(a, b) != common || overlap(b, a) != common {
			t.Errorf("overlap of %s and %s is %v", tt[0], tt[1], !common)
		}
	}
}

// sameBooks compares what two ledgers add up to.
func sameBooks(a, b *books) bool {
	keysOf := func(x *books) []int { return slices.Sorted(maps.Keys(x.open)) }
	if !slices.Equal(keysOf(a), keysOf(b)) {
		return false
	}
	for n := range a.open {
		if !reflect.DeepEqual(a.open[n], b.open[n]) {
			return false
		}
	}
	return a.settled.String() == b.settled.String() && a.retry.String() == b.retry.String() && a.created == b.created &&
		a.updated == b.updated && a.exists == b.exists && a.failed == b.failed && a.refused == b.refused && a.ended == b.ended &&
		maps.Equal(a.reasons, b.reasons) && len(a.windows) == len(b.windows)
}

// Whatever a file holds, reading it does not panic, and what it adds up to is
// what the good lines at its beginning add up to: a line that is not counted is
// either the torn end, which is said, or an error.
func FuzzLedger(f *testing.F) {
	whole := ledgerText(f, story(f))
	f.Add(whole, 0, byte(0), false)
	f.Add(whole, 700, byte(1), false)
	f.Add(whole[:len(whole)-5], 0, byte(0), false)
	f.Add([]byte("00000000 {}\n"), 0, byte(0), false)
	f.Add([]byte{}, 0, byte(0), false)
	begin := `{"e":"begin","import":{"version":1}}` + "\n"
	f.Add([]byte(begin+`{"e":"intent","n":1,"users":"1-9"}`+"\n"+`{"e":"done","n":1,"created":8,"retry":"9"}`+"\n"), 0, byte(0), true)
	f.Add([]byte(begin+`{"e":"intent","n":1,"users":"1-3"}`+"\n"+`{"e":"split","n":1,"into":[{"n":2,"users":"1"},{"n":3,"users":"2-3"}]}`+"\n"), 0, byte(0), true)
	f.Add([]byte(begin+`{"e":"users","exists":"1","failed":{"a":"2"},"refused":{"b":"3"},"settled":"1-3"}`+"\n"+`{"e":"end"}`+"\n"), 0, byte(0), true)
	f.Fuzz(func(t *testing.T, text []byte, at int, change byte, sign bool) {
		if sign { // gives each line its checksum, so that what it says is looked at
			var signed []byte
			for body := range bytes.Lines(text) {
				body = bytes.TrimSuffix(body, []byte("\n"))
				signed = fmt.Appendf(signed, "%08x %s\n", crc32.Checksum(body, castagnoli()), body)
			}
			text = signed
		}
		if at > 0 && at < len(text) {
			text = bytes.Clone(text)
			text[at] ^= change
		}
		b := newBooks()
		good, cut, err := b.replay(bytes.NewReader(text))
		if err != nil {
			return
		}
		if good+int64(cut) != int64(len(text)) {
			t.Fatalf("%d good and %d torn bytes of %d", good, cut, len(text))
		}
		again := newBooks()
		n := 0
		for line := range bytes.Lines(text[:good]) {
			e, err := parseLine(line)
			if err != nil {
				t.Fatalf("line %d of the good ones: %v", n, err)
			}
			if err := again.apply(e); err != nil {
				t.Fatal(err)
			}
			n++
		}
		if !sameBooks(b, again) {
			t.Fatal("the good lines add up to something else")
		}
		for line := range bytes.Lines(text[good:]) {
			if _, err := parseLine(line); err == nil {
				t.Fatalf("a good line was cut off: %q", line)
			}
		}
		sum := again.created + again.updated + again.exists + again.failed + again.refused
		if sum != again.settled.Count() {
			t.Fatalf("%d users are counted, %d are settled", sum, again.settled.Count())
		}
		// What is read is what is written.
		for line := range bytes.Lines(text[:good]) {
			e, _ := parseLine(line)
			out, err := formatLine(e)
			if err != nil {
				t.Fatal(err)
			}
			if back, err := parseLine(out); err != nil || fmt.Sprint(back) == "" {
				t.Fatalf("%q is written as %q: %v", line, out, err)
			}
		}
	})
}
