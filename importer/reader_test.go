package importer

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

// render writes a record as "number:line who" or "number:line! message".
func render(r *Record) string {
	if len(r.Problems) > 0 {
		return fmt.Sprintf("%d:%d! %s", r.Number, r.Line, r.Problems[0].Message)
	}
	return fmt.Sprintf("%d:%d %s", r.Number, r.Line, r.Email+r.Username)
}

// readAll renders the records of a source.
func readAll(t *testing.T, src *Source) []string {
	t.Helper()
	var got []string
	for r, err := range src.Records(Check{}) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, render(r))
	}
	return got
}

func zipped(t *testing.T, in string) *bytes.Buffer {
	t.Helper()
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	if _, err := io.WriteString(w, in); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return &z
}

func TestReaders(t *testing.T) {
	t.Parallel()
	const (
		asObject = "; write the user as one JSON object (rule "
		brackets = "; mend the brackets and commas of the array (rule array-syntax)"
		lineEnd  = "; look for a missing line end or quote (rule too-long)"
	)
	object := func(at, is string) string {
		line := at[strings.Index(at, ":")+1:]
		return at + "! line " + line + ": this is no JSON object but " + is + asObject + "object)"
	}
	broken := func(at string, offset int) string {
		line := at[strings.Index(at, ":")+1:]
		return fmt.Sprintf("%s! line %s: not valid JSON at byte %d of the user%sjson)", at, line, offset, asObject)
	}
	long := strings.Repeat("x", maxItem)
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
			`[]`,
			"{\"email\":\"\xff@x.org\"}",
			`{"email":"e@x.org"} {"email":"f@x.org"}`,
			`{"email":"g@x.org"}`,
		}, "\n"), []string{
			"1:1 a@x.org",
			broken("2:2", 18),
			object("3:3", "string"),
			object("4:4", "array"),
			"5:5! line 5: the user is not valid UTF-8; store the input as UTF-8 (rule utf8)",
			broken("6:6", 21),
			"7:7 g@x.org",
		}},
		{"long line", "{\"email\":\"a@x.org\"}\n{\"email\":\"" + long + "\"}\n{\"email\":\"b@x.org\"}", []string{"1:1 a@x.org", "2:2! line 2: the line is longer than 1048576 bytes" + lineEnd, "3:3 b@x.org"}},
		{"long last line", "{\"email\":\"" + long + "\"}", []string{"1:1! line 1: the line is longer than 1048576 bytes" + lineEnd}},
		{"long and longer", "{" + long + long + "\n{" + long + "\n\n", []string{"1:1! line 1: the line is longer than 1048576 bytes" + lineEnd, broken("2:2", 2)}},
		{"array", "[{\"email\":\"a@x.org\"},\n {\"email\":\"b@x.org\",\n \"user_metadata\":{\"a\":[1,{\"b\":\"]}\\\"\"}]}},{\"email\":\"c@x.org\"}\n]\n",
			[]string{"1:1 a@x.org", "2:2 b@x.org", "3:3 c@x.org"}},
		{"empty array", "\n [ \n ] \n", nil},
		{"comma at the end", `[{"email":"a@x.org"},]`, []string{"1:1 a@x.org"}},
		{"array cut off between users", "[{\"email\":\"a@x.org\"},\n{\"email\":\"b@x.org\"}\n", []string{"1:1 a@x.org", "2:2 b@x.org",
			"3:3! line 3: the input ends before the array's closing bracket and may have been cut off" + brackets}},
		{"array cut off in a user", "[{\"email\":\"a@x.org\"},\n{\"email\":\"b@x", []string{"1:1 a@x.org",
			"2:2! line 2: the user that starts here is never closed, and nothing behind it could be read" + brackets}},
		{"bad elements", "[{\"email\":bad},\n{\"email\":\"b@x.org},\n{\"email\":\"c@x.org\"}, 7,\n\"s, ]\", {\"a\":[1},{\"email\":\"d@x.org\"}]", []string{
			broken("1:1", 10),
			"2:2! line 2: the user is not closed before the next one starts" + brackets,
			"3:3 c@x.org",
			object("4:3", "number"),
			object("5:4", "string"),
			broken("6:4", 8),
			"7:4 d@x.org",
		}},
		{"bracket left open", "[{\"email\":\"a@x.org\",\"app_metadata\":{\"a\":{\"b\":1}},\n{\"email\":\"b@x.org\"}]", []string{
			"1:1! line 1: the user is not closed before the next one starts" + brackets, "2:2 b@x.org"}},
		{"elements that are no users", "[7,\"s, ]\",\ntrue,null,[{}], {\"a\":[1},{\"email\":\"d@x.org\"}]", []string{
			object("1:1", "number"), object("2:1", "string"), object("3:2", "boolean"), object("4:2", "null"), object("5:2", "array"), broken("6:2", 8), "7:2 d@x.org",
		}},
		{"quote left open, closed by the line end", "[{\"email\":\"a@x.org\n},\n{\"email\":\"b@x.org\"}]", []string{broken("1:1", 18), "2:3 b@x.org"}},
		{"user within a user", "[{\"email\":\"a@x.org\",{\"email\":\"b@x.org\"}},{\"email\":\"c@x.org\"}]", []string{
			"1:1! line 1: the user is not closed before the next one starts" + brackets, "2:1 b@x.org",
			"3:1! line 1: there is no comma between this user and the one before" + brackets, "4:1 c@x.org"}},
		{"line end within a string", "[{\"email\":\"a\n\",\"username\":\"b\"},\n{\"email\":\"c@x.org\"}]", []string{
			"1:1! line 1: the user is not closed before the next one starts" + brackets, "2:3 c@x.org"}},
		{"no comma", "[{\"email\":\"a@x.org\"}\n{\"email\":\"b@x.org\"},{\"email\":\"c@x.org\"}]", []string{
			"1:1 a@x.org", "2:2! line 2: there is no comma between this user and the one before" + brackets, "3:2 c@x.org"}},
		{"commas only", "[,,]", []string{"1:1! line 1: there is no user before the comma" + brackets, "2:1! line 1: there is no user before the comma" + brackets}},
		{"text behind the array", "[{\"email\":\"a@x.org\"}]\n{\"email\":\"b@x.org\"}", []string{"1:1 a@x.org",
			"2:2! line 2: there is text behind the end of the array, and it was not read" + brackets}},
		{"long element", "[{\"email\":\"" + long + "\"},\n{\"email\":\"b@x.org\"}]", []string{"1:1! line 1: the user is longer than 1048576 bytes" + lineEnd, "2:2 b@x.org"}},
		{"far too deep", "[" + strings.Repeat("[", 200_000) + strings.Repeat("]", 200_000) + ",{\"email\":\"b@x.org\"}]", []string{
			"1:1! line 1: the user has more than 10000 brackets within each other" + asObject + "json)", "2:1 b@x.org"}},
		{"deep element", "[{\"a\":" + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + "},{\"email\":\"b@x.org\"}]", []string{
			"1:1! line 1: the user has more than 10000 brackets within each other" + asObject + "json)", "2:1 b@x.org"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			same := func(how string, got []string) {
				t.Helper()
				if !slices.Equal(got, tt.want) {
					t.Errorf("%s: got\n  %s\nwant\n  %s", how, strings.Join(got, "\n  "), strings.Join(tt.want, "\n  "))
				}
			}
			same("plain", readAll(t, Reader(strings.NewReader(tt.in))))
			same("gzipped", readAll(t, Reader(zipped(t, tt.in))))
			same("in odd pieces", readAll(t, Reader(iotest.HalfReader(strings.NewReader(tt.in)))))
			same("data with the error", readAll(t, Reader(iotest.DataErrReader(strings.NewReader(tt.in)))))
			if len(tt.in) < 10_000 {
				same("byte by byte", readAll(t, Reader(iotest.OneByteReader(strings.NewReader(tt.in)))))
			}
		})
	}
}

// A line that the buffer does not hold whole is put together again.
func TestLongLines(t *testing.T) {
	t.Parallel()
	var in strings.Builder
	sizes := []int{bufferSize - 40, bufferSize, 3 * bufferSize, 10, maxItem - 50}
	for _, n := range sizes {
		fmt.Fprintf(&in, `{"email":"a@x.org","app_metadata":{"k":"%s"}}`+"\n", strings.Repeat("x", n))
	}
	i := 0
	for r, err := range Reader(strings.NewReader(in.String())).Records(Check{Via: ViaUsers}) {
		if err != nil {
			t.Fatal(err)
		}
		if want := len(`{"email":"a@x.org","app_metadata":{"k":""}}`) + sizes[i]; len(r.User) != want || len(r.Problems) > 0 {
			t.Errorf("line %d: %d bytes, want %d: %v", r.Line, len(r.User), want, r.Problems)
		}
		i++
	}
	if i != len(sizes) {
		t.Errorf("%d users, want %d", i, len(sizes))
	}
}

// An error of the input comes behind what was read before it, and ends the reading.
func TestReadErrors(t *testing.T) {
	t.Parallel()
	onFire := errors.New("disk on fire")
	for _, in := range []string{
		"{\"email\":\"a@x.org\"}\n{\"em", "{\"email\":\"a@x.org\"}\n", "[{\"email\":\"a@x.org\"},{\"em", "[{\"email\":\"a@x.org\"},", "[{\"email\":\"a@x.org\"}]",
		"email\na@x.org\n", "email,name\na@x.org,x\nb,\"b", "email\na@x.org\nb@",
	} {
		// Once only, as a socket may report it: the error must not get lost on those who peek.
		failing := &once{in: strings.NewReader(in), err: onFire}
		var got []string
		var end error
		for r, err := range Reader(failing).Records(Check{}) {
			if err != nil {
				end = err
				continue
			}
			got = append(got, render(r))
		}
		if len(got) != 1 || !strings.HasSuffix(got[0], " a@x.org") || !errors.Is(end, onFire) {
			t.Errorf("%q: %q, then %v", in, got, end)
		}
	}
	// Nor on those who look at the beginning for the format.
	for _, in := range []string{"", "{}", "\xef\xbb", "ema", "\x1f", " "} {
		var end error
		for _, err := range Reader(&once{in: strings.NewReader(in), err: onFire}).Records(Check{}) {
			end = err
		}
		if !errors.Is(end, onFire) {
			t.Errorf("%q: %v", in, end)
		}
	}
	cut := zipped(t, strings.Repeat(`{"email":"a@x.org"}`+"\n", 1000)).Bytes()
	n, end := 0, error(nil)
	for _, err := range Reader(bytes.NewReader(cut[:len(cut)-9])).Records(Check{}) {
		if n++; err != nil {
			end = err
		}
	}
	if !errors.Is(end, io.ErrUnexpectedEOF) {
		t.Errorf("a gzip file without its end: %v after %d users", end, n)
	}
	for _, err := range Reader(strings.NewReader("\x1f\x8bnonsense"), Named("users.gz")).Records(Check{}) {
		if err == nil || !strings.HasPrefix(err.Error(), "users.gz: not a valid gzip file: ") {
			t.Errorf("a broken gzip header: %v", err)
		}
	}
}

// once returns an error one time, behind its input, and then the end.
type once struct {
	in   io.Reader
	err  error
	done bool
}

func (r *once) Read(p []byte) (int, error) {
	n, err := r.in.Read(p)
	if errors.Is(err, io.EOF) && !r.done {
		r.done, err = true, r.err
	}
	return n, err
}
