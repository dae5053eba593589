package importer

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
)

// got is what a reading of an input comes to.
type got struct {
	items    [][]byte // as the reader split them; nil for those that it could not
	lines    []int
	problems int
}

// readFuzzed reads items with r, and the same input as records, and holds both
// to what is true of every input.
func readFuzzed(t *testing.T, r reader, in []byte) got {
	t.Helper()
	var g got
	c := &checker{}
	for line := 1; ; {
		it, err := r.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("reading from memory fails: %v", err)
		}
		if it.line < line {
			t.Fatalf("item %d is on line %d, behind line %d", len(g.items)+1, it.line, line)
		}
		line = it.line
		g.lines = append(g.lines, line)
		rec := c.record(len(g.items)+1, it)
		switch {
		case len(rec.Problems) > 0:
			g.problems++
			for _, p := range rec.Problems {
				if p.Line != line || p.Number != len(g.items)+1 || p.Rule == "" || p.Message == "" {
					t.Fatalf("problem %+v of item %d on line %d", p, len(g.items)+1, line)
				}
			}
		case rec.Email+rec.Username+rec.Phone == "":
			t.Fatalf("item %d has neither a user nor a problem", len(g.items)+1)
		case !json.Valid(rec.User):
			t.Fatalf("item %d would be sent as %q", len(g.items)+1, rec.User)
		}
		if it.broken {
			g.items = append(g.items, nil)
		} else {
			g.items = append(g.items, bytes.Clone(bytes.TrimFunc(it.raw, isSpaceRune)))
		}
		if len(g.items) > len(in)+1 {
			t.Fatal("more items than bytes")
		}
	}
	if _, err := r.next(); !errors.Is(err, io.EOF) {
		t.Fatalf("behind the end: %v", err)
	}
	return g
}

func FuzzNDJSON(f *testing.F) {
	f.Add([]byte("{\"email\":\"a@x.org\"}\n{}\n"))
	f.Add([]byte("\r\n{\"username\":\"\\ud800\"} \n\n{\"email\":\"a@x.org\",\"email\":null}"))
	f.Add([]byte(customOf("scrypt", bytesOf(32, "hex"), `,"encoding":"hex"},"keylen":32`)))
	f.Add([]byte(customOf("pbkdf2", "$pbkdf2-md5$i=1$AA$AA", `}`) + "\n" + customOf("hmac", "AA==", `,"encoding":"base64","digest":"md5","key":{"value":""}}`)))
	f.Add([]byte(mfa(`{"totp":{"secret":"AA"}},{}`)))
	f.Fuzz(func(t *testing.T, in []byte) {
		g := readFuzzed(t, &lines{in: buffered(in), line: 1}, in)
		// Every line that is not blank is there, as it is, under its number.
		n := 0
		for i, line := range bytes.Split(in, []byte("\n")) {
			if line = bytes.Trim(line, " \t\r\n"); len(line) == 0 {
				continue
			}
			if n == len(g.items) || !bytes.Equal(g.items[n], line) || g.lines[n] != i+1 {
				t.Fatalf("line %d is lost", i+1)
			}
			n++
		}
		if n != len(g.items) {
			t.Fatalf("%d items of %d lines", len(g.items), n)
		}
	})
}

func FuzzJSONArray(f *testing.F) {
	f.Add([]byte("{\"email\":\"a@x.org\"},{\"a\":[1}]"))
	f.Add([]byte(","))
	f.Add([]byte("\"\\"))
	f.Add([]byte("{\"email\":\"a@x.org\n},\n{\"email\":\"b@x.org\"}]"))
	f.Add([]byte("{\"a\":{\"b\":{}},7 null]]"))
	f.Add([]byte("[0,]"))
	f.Fuzz(func(t *testing.T, in []byte) {
		g := readFuzzed(t, &array{in: buffered(in), line: 1}, in)
		whole := append([]byte{'['}, in...)
		var elements []json.RawMessage
		if json.Unmarshal(whole, &elements) == nil {
			// Of what is an array, every element is there, as it is.
			if len(g.items) != len(elements) {
				t.Fatalf("%d items of %d elements", len(g.items), len(elements))
			}
			for i, e := range elements {
				if !bytes.Equal(g.items[i], e) {
					t.Fatalf("element %d is %q, want %q", i, g.items[i], e)
				}
			}
			return
		}
		// Of anything else, at least one problem is told, but for a comma behind the
		// last element, which takes nothing away.
		trimmed := bytes.TrimRight(bytes.TrimSuffix(bytes.TrimRight(whole, " \t\r\n"), []byte("]")), " \t\r\n")
		if body, ok := bytes.CutSuffix(trimmed, []byte(",")); ok && json.Valid(append(bytes.Clone(body), ']')) {
			return
		}
		if g.problems == 0 {
			t.Fatalf("no problem, in %d items", len(g.items))
		}
		// And each byte that is not space or a separator is in an item or behind a
		// problem: the items without problems are parts of the input, in its order.
		at := 0
		for _, item := range g.items {
			if item == nil {
				continue
			}
			i := bytes.Index(whole[at:], item)
			if i < 0 {
				t.Fatalf("item %q is not of the input", item)
			}
			at += i + len(item)
		}
	})
}

func FuzzCSV(f *testing.F) {
	f.Add([]byte("email,name\na@x.org,\"A \"\"B\"\"\"\n\"b\n\",\r\n"))
	f.Add([]byte("email;email_verified;user_metadata\n\"a@x.org\"x;maybe;{\n"))
	f.Add([]byte("Id\tEmail\n'auth0|7\t'a@x.org\n\n\"\n"))
	f.Add([]byte("username\n\xff\n\"\""))
	f.Fuzz(func(t *testing.T, in []byte) {
		r, err := newTable(buffered(in), nil, nil)
		if err != nil {
			return
		}
		heading, comma := len(r.columns), r.comma
		g := readFuzzed(t, r, in)
		// What encoding/csv reads without an error is read the same here.
		plain := csv.NewReader(bytes.NewReader(in))
		plain.Comma, plain.FieldsPerRecord = rune(comma), -1
		rows, err := plain.ReadAll()
		if err != nil || bytes.ContainsRune(in, '\r') { // which it treats in ways of its own
			if err != nil && g.problems == 0 && !bytes.ContainsRune(in, '\r') {
				t.Fatalf("no problem, where encoding/csv finds %v", err)
			}
			return
		}
		if len(rows)-1 != len(g.items) {
			t.Fatalf("%d items of %d rows", len(g.items), len(rows)-1)
		}
		// And all cells of a row that is sent are in what is sent.
		for i, row := range rows[1:] {
			if g.items[i] == nil {
				continue
			}
			if len(row) != heading {
				t.Fatalf("row %d has %d cells of %d, and no problem", i+1, len(row), heading)
			}
			var fields map[string]any
			if err := json.Unmarshal(g.items[i], &fields); err != nil {
				t.Fatal(err)
			}
			for c, cell := range row {
				if column := r.columns[c]; column.text && cell != "" {
					if is, _ := fields[column.path[0]].(string); is != cell && "'"+is != cell {
						t.Fatalf("row %q became %q", row, g.items[i])
					}
				}
			}
		}
		if slices.ContainsFunc(g.items, func(b []byte) bool { return b == nil }) && g.problems == 0 {
			t.Fatal("a row is lost")
		}
	})
}

// FuzzSource tells the format itself, of any bytes.
func FuzzSource(f *testing.F) {
	for _, in := range []string{"", "\xef\xbb\xbf[", "\x1f\x8b", " \n{", "email\n", strings.Repeat(" ", 100) + "[{}"} {
		f.Add([]byte(in))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		read := func(o Check) (n int, err error) {
			for r, e := range Reader(bytes.NewReader(in)).Records(o) {
				if err != nil {
					t.Fatal("a step behind an error")
				}
				if err = e; err == nil {
					if n++; r.Number != n {
						t.Fatalf("record %d is number %d", n, r.Number)
					}
				}
			}
			return n, err
		}
		n, err := read(Check{})
		again, errAgain := read(Check{Duplicates: true, Via: ViaUsers, EmailVerified: &yes})
		if n != again || (err == nil) != (errAgain == nil) {
			t.Fatalf("%d records, %v; with other checks %d, %v", n, err, again, errAgain)
		}
	})
}

func buffered(in []byte) *bufio.Reader { return bufio.NewReaderSize(bytes.NewReader(in), bufferSize) }
