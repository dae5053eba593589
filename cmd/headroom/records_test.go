package main

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"testing/iotest"
)

// readAll renders each record as "number:line user" or "number:line! reason".
func readAll(t *testing.T, in io.Reader) []string {
	t.Helper()
	rr, err := newRecordReader(in)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for {
		rec, err := rr.next()
		if errors.Is(err, io.EOF) {
			return got
		}
		if err != nil {
			t.Fatal(err)
		}
		s := fmt.Sprintf("%d:%d %s", rec.number, rec.line, rec.user())
		if rec.err != nil {
			s = fmt.Sprintf("%d:%d! %s", rec.number, rec.line, rec.err)
		}
		got = append(got, s)
	}
}

const neverClosed = "the user that starts here is never closed: nothing behind it could be read"

func TestRecords(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", maxRecord)
	tests := []struct {
		name, in string
		want     []string
	}{
		{"empty", "", nil},
		{"blank", " \n\t\r\n", nil},
		{"one line without an end", `{"email":"a@example.com"}`, []string{"1:1 a@example.com"}},
		{"blank lines and CRLF", "\n{\"email\":\"a@x.org\"}\r\n\r\n{\"username\":\"bea\"}\n", []string{"1:2 a@x.org", "2:4 bea"}},
		{"byte order mark", "\xef\xbb\xbf{\"email\":\"a@x.org\"}\n", []string{"1:1 a@x.org"}},
		{"bad lines", strings.Join([]string{
			`{"email":"a@x.org"}`,
			`{"email":"b@x.org"`,
			`"c@x.org"`,
			`null`,
			`{}`,
			`{"email":7}`,
			`{"email":"d@x.org","password_hash":"$2b$10$x"}`,
			"{\"email\":\"\xff@x.org\"}",
			`{"email":"e@x.org"} {"email":"f@x.org"}`,
			`{"email":"g@x.org"}`,
		}, "\n"), []string{
			"1:1 a@x.org",
			"2:2! not valid JSON, at byte 18 of the user",
			"3:3! not a JSON object",
			"4:4! not a JSON object",
			"5:5! none of email, username and phone_number is set",
			"6:6! email is not a string",
			"7:7! password_hash cannot be set with POST /api/v2/users, only by a bulk import job",
			"8:8! not valid UTF-8",
			"9:9! not valid JSON, at byte 21 of the user",
			"10:10 g@x.org",
		}},
		{"long line", `{"email":"` + long + "\"}\n{\"email\":\"b@x.org\"}", []string{"1:1! the line is longer than 1048576 bytes", "2:2 b@x.org"}},
		{"array", "[{\"email\":\"a@x.org\"},\n {\"email\":\"b@x.org\",\n \"user_metadata\":{\"a\":[1,{\"b\":\"]}\\\"\"}]}},{\"email\":\"c@x.org\"}\n]\n",
			[]string{"1:1 a@x.org", "2:2 b@x.org", "3:3 c@x.org"}},
		{"empty array", "\n [ \n ] \n", nil},
		{"comma at the end", `[{"email":"a@x.org"},]`, []string{"1:1 a@x.org"}},
		{"array cut off between users", "[{\"email\":\"a@x.org\"},\n{\"email\":\"b@x.org\"}\n", []string{"1:1 a@x.org", "2:2 b@x.org",
			"3:3! the file ends before the array's closing bracket: it may have been cut off"}},
		{"array cut off in a user", "[{\"email\":\"a@x.org\"},\n{\"email\":\"b@x", []string{"1:1 a@x.org", "2:2! " + neverClosed}},
		{"bad elements", "[{\"email\":bad},\n{\"email\":\"b@x.org},\n{\"email\":\"c@x.org\"}, 7,\n\"s, ]\", {\"a\":[1},{\"email\":\"d@x.org\"}]", []string{
			"1:1! not valid JSON, at byte 10 of the user",
			"2:2! the user is not closed before the next one starts",
			"3:3 c@x.org",
			"4:3! not a JSON object",
			"5:4! not a JSON object",
			"6:4! not valid JSON, at byte 8 of the user",
			"7:4 d@x.org",
		}},
		{"bracket left open", "[{\"email\":\"a@x.org\",\"app_metadata\":{\"a\":{\"b\":1}},\n{\"email\":\"b@x.org\"}]", []string{
			"1:1! the user is not closed before the next one starts", "2:2 b@x.org"}},
		{"elements that are no users", "[7,\"s, ]\",\ntrue,[{}], {\"a\":[1},{\"email\":\"d@x.org\"}]", []string{
			"1:1! not a JSON object", "2:1! not a JSON object", "3:2! not a JSON object", "4:2! not a JSON object",
			"5:2! not valid JSON, at byte 8 of the user", "6:2 d@x.org",
		}},
		{"quote left open, closed by the line end", "[{\"email\":\"a@x.org\n},\n{\"email\":\"b@x.org\"}]", []string{"1:1! not valid JSON, at byte 18 of the user", "2:3 b@x.org"}},
		{"no comma", "[{\"email\":\"a@x.org\"}\n{\"email\":\"b@x.org\"},{\"email\":\"c@x.org\"}]", []string{
			"1:1 a@x.org", "2:2! no comma between this user and the one before", "3:2 c@x.org"}},
		{"commas only", "[,,]", []string{"1:1! no user before the comma", "2:1! no user before the comma"}},
		{"text behind the array", "[{\"email\":\"a@x.org\"}]\n{\"email\":\"b@x.org\"}", []string{"1:1 a@x.org", "2:2! there is text behind the end of the array; it was not read"}},
		{"long element", "[{\"email\":\"" + long + "\"},\n{\"email\":\"b@x.org\"}]", []string{"1:1! the user is longer than 1048576 bytes", "2:2 b@x.org"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := readAll(t, strings.NewReader(tt.in)); !equal(got, tt.want) {
				t.Errorf("got\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(tt.want, "\n  "))
			}
			// In the smallest pieces that a reader may hand out, and gzipped.
			if len(tt.in) < 10_000 {
				if got := readAll(t, iotest.OneByteReader(strings.NewReader(tt.in))); !equal(got, tt.want) {
					t.Errorf("byte by byte: %q", got)
				}
			}
			var z bytes.Buffer
			w := gzip.NewWriter(&z)
			_, _ = io.WriteString(w, tt.in)
			_ = w.Close()
			if got := readAll(t, &z); !equal(got, tt.want) {
				t.Errorf("gzipped: %q", got)
			}
			rr, err := newRecordReader(strings.NewReader(tt.in))
			if err != nil {
				t.Fatal(err)
			}
			if n, err := rr.count(); n != len(tt.want) || err != nil {
				t.Errorf("count = %d, %v; want %d", n, err, len(tt.want))
			}
		})
	}
}

func equal(a, b []string) bool {
	return fmt.Sprintf("%q", a) == fmt.Sprintf("%q", b)
}

func TestRecordsReadError(t *testing.T) {
	t.Parallel()
	broken := errors.New("disk on fire")
	for _, in := range []string{"{\"email\":\"a@x.org\"}\n{\"em", "[{\"email\":\"a@x.org\"},{\"em", "[{\"email\":\"a@x.org\"},"} {
		rr, err := newRecordReader(io.MultiReader(strings.NewReader(in), iotest.ErrReader(broken)))
		if err != nil {
			t.Fatal(err)
		}
		if rec, err := rr.next(); err != nil || rec.user() != "a@x.org" {
			t.Errorf("%q: first user %q, %v", in, rec.user(), err)
		}
		if _, err := rr.next(); !errors.Is(err, broken) {
			t.Errorf("%q: error %v, want %v", in, err, broken)
		}
	}
	if _, err := newRecordReader(strings.NewReader("\x1f\x8bnonsense")); err == nil {
		t.Error("a broken gzip header was accepted")
	}
}

func TestParseUser(t *testing.T) {
	t.Parallel()
	fields, err := parseUser([]byte(`{"email":"a@x.org","user_id":"auth0|7","phone_number":null,"app_metadata":{"n":9007199254740993}}`))
	if err != nil {
		t.Fatal(err)
	}
	if got := string(fields["user_id"]); got != `"7"` {
		t.Errorf("user_id %s, want the prefix gone", got)
	}
	if _, ok := fields["phone_number"]; ok {
		t.Error("a null phone number was kept")
	}
	if got := string(fields["app_metadata"]); got != `{"n":9007199254740993}` {
		t.Errorf("app_metadata %s: digits lost", got)
	}
}

func TestRecordHidesSecrets(t *testing.T) {
	t.Parallel()
	for _, in := range []string{
		`{"email":"a@x.org","password":"hunter-2-secret`,
		`{"email":"a@x.org","password":["hunter-2-secret"]}`,
		`{"email":"a@x.org","password":hunter-2-secret}`,
		`["hunter-2-secret"]`,
		`{"email":"a@x.org","password_hash":"hunter-2-secret"}`,
	} {
		if _, err := parseUser([]byte(in)); err == nil || strings.Contains(err.Error(), "hunter") {
			t.Errorf("%s: error %v", in, err)
		}
	}
	fields, err := parseUser([]byte(`{"email":"a@x.org","password":"hunter-2-secret"}`))
	if err != nil {
		t.Fatal(err)
	}
	rec := record{fields: fields}
	if got := rec.scrub(`"hunter-2-secret" is too common`); got != `"[redacted]" is too common` {
		t.Errorf("scrubbed: %s", got)
	}
}

// The sample file is what the README's first command imports.
func TestSampleFile(t *testing.T) {
	t.Parallel()
	f, err := os.Open("../../testdata/users.ndjson")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	rr, err := newRecordReader(f)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for {
		rec, err := rr.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil || rec.err != nil {
			t.Fatalf("line %d: %v %v", rec.line, err, rec.err)
		}
		email := strings.ToLower(rec.text("email"))
		if seen[email]++; seen[email] > 1 {
			t.Errorf("line %d: %s is there twice", rec.line, email)
		}
		_, domain, _ := strings.Cut(email, "@")
		if !strings.HasSuffix("."+domain, ".example.com") && !strings.HasSuffix("."+domain, ".example.org") && !strings.HasSuffix("."+domain, ".example.net") {
			t.Errorf("line %d: %s is not a reserved domain", rec.line, domain)
		}
	}
	if len(seen) < 300 {
		t.Errorf("%d users, want at least 300", len(seen))
	}
}

func FuzzRecords(f *testing.F) {
	f.Add([]byte("{\"email\":\"a@x.org\"}\n{}\n"))
	f.Add([]byte("[{\"email\":\"a@x.org\"},{\"a\":[1}]"))
	f.Add([]byte("\xef\xbb\xbf[,"))
	f.Add([]byte("[\"\\"))
	f.Fuzz(func(t *testing.T, in []byte) {
		rr, err := newRecordReader(bytes.NewReader(in))
		if err != nil {
			return
		}
		n, line := 0, 0
		for {
			rec, err := rr.next()
			if err != nil {
				break
			}
			n++
			if rec.number != n || rec.line < line || rec.line < 1 {
				t.Fatalf("record %d on line %d after %d on line %d", rec.number, rec.line, n, line)
			}
			line = rec.line
			if rec.err == nil && rec.user() == "" {
				t.Fatalf("record %d has no user and no error", n)
			}
			if n > len(in)+1 {
				t.Fatal("more records than bytes")
			}
		}
		again, _ := newRecordReader(bytes.NewReader(in))
		if c, err := again.count(); err == nil && c != n {
			t.Fatalf("count = %d, read %d", c, n)
		}
	})
}
