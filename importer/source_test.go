package importer

import (
	"encoding/json"
	"errors"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// values is an iterator over what it is given, with an error behind it if any.
func values(err error, v ...any) iter.Seq2[any, error] {
	return func(yield func(any, error) bool) {
		for _, e := range v {
			if !yield(e, nil) {
				return
			}
		}
		if err != nil {
			yield(nil, err)
		}
	}
}

func TestFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	const in = "{\"email\":\"a@x.org\"}\n{\"email\":\"b@x.org\"}\n"
	path := filepath.Join(dir, "users.json.gz")
	data := zipped(t, in).Bytes()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	src, err := File(path)
	if err != nil {
		t.Fatal(err)
	}
	if src.Name() != path || src.Size() != int64(len(data)) || !src.Again() || src.Position() != 0 {
		t.Errorf("name %s, size %d, again %v, position %d", src.Name(), src.Size(), src.Again(), src.Position())
	}
	for range 2 { // as often as one likes
		if got := readAll(t, src); !slices.Equal(got, []string{"1:1 a@x.org", "2:2 b@x.org"}) {
			t.Errorf("read %q", got)
		}
		if src.Position() != int64(len(data)) {
			t.Errorf("position %d at the end of %d bytes", src.Position(), len(data))
		}
	}
	for r, err := range src.Records(Check{}) {
		if err != nil || r.Number != 1 {
			t.Error(r, err)
		}
		break // and left early
	}
	if _, err := File(filepath.Join(dir, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
	if _, err := File(dir); err == nil || !strings.HasSuffix(err.Error(), "is a directory; name a file") {
		t.Errorf("a directory: %v", err)
	}
	if _, err := File(path, Mapping("x")); err == nil {
		t.Error("a mapping that makes no sense was taken")
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	n := 0
	for r, err := range src.Records(Check{}) {
		if n++; r != nil || !errors.Is(err, os.ErrNotExist) {
			t.Errorf("a file that is gone: %v, %v", r, err)
		}
	}
	if n != 1 {
		t.Errorf("a file that is gone: %d steps, want an error", n)
	}
}

func TestReaderOnce(t *testing.T) {
	t.Parallel()
	src := Reader(strings.NewReader(`{"email":"a@x.org"}`), Named("standard input"))
	if src.Name() != "standard input" || src.Size() != -1 || src.Again() {
		t.Errorf("name %s, size %d, again %v", src.Name(), src.Size(), src.Again())
	}
	if got := readAll(t, src); !slices.Equal(got, []string{"1:1 a@x.org"}) {
		t.Errorf("read %q", got)
	}
	n := 0
	for r, err := range src.Records(Check{}) {
		if n++; r != nil || err == nil || err.Error() != "standard input can be read once only, and was" {
			t.Errorf("read again: %v, %v", r, err)
		}
	}
	if n != 1 {
		t.Errorf("read again: %d steps, want an error", n)
	}
}

func TestUsers(t *testing.T) {
	t.Parallel()
	type user struct {
		Email string `json:"email"`
		Plan  string `json:"plan,omitempty"`
	}
	src := Users(values(nil,
		user{Email: "a@x.org"},
		map[string]any{"email": "b@x.org"},
		json.RawMessage(`{"email":"c@x.org"}`),
		[]byte(` {"email": "d@x.org"} `),
		&user{Email: "e@x.org", Plan: "gold"},
		func() {},
		nil,
		[]byte(nil),
	))
	want := []string{
		"1:0 a@x.org", "2:0 b@x.org", "3:0 c@x.org", "4:0 d@x.org",
		"5:0! user 5: plan: an import knows no such field; correct the name, move it into user_metadata or app_metadata, or take it out (rule unknown-field)",
		"6:0! user 6: a value of type func() has no JSON form; write the user as one JSON object (rule json)",
		"7:0! user 7: this is no JSON object but null; write the user as one JSON object (rule object)",
		"8:0! user 8: not valid JSON at byte 0 of the user; write the user as one JSON object (rule json)",
	}
	for range 2 {
		if got := readAll(t, src); !slices.Equal(got, want) {
			t.Errorf("got\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
		}
	}
	if src.Name() != "users" || src.Size() != -1 || !src.Again() {
		t.Errorf("name %s, size %d, again %v", src.Name(), src.Size(), src.Again())
	}
	if Users(values(nil), Once()).Again() {
		t.Error("an iterator that can be read once is read again")
	}
	gone := errors.New("database gone")
	n := 0
	for r, err := range Users(values(gone, user{Email: "a@x.org"})).Records(Check{}) {
		if n++; n == 2 && (r != nil || !errors.Is(err, gone) || err.Error() != "users: behind user 1: database gone") {
			t.Errorf("%v, %v", r, err)
		}
	}
	if n != 2 {
		t.Errorf("%d steps, want a user and an error", n)
	}
}

// Nothing more is read than is needed to tell the format: a pipe that is slow
// to fill does not hold up the first user.
func TestReaderDoesNotWait(t *testing.T) {
	t.Parallel()
	for _, in := range []string{"{\"email\":\"a@x.org\"}\n", "[{\"email\":\"a@x.org\"},", "email\na@x.org\n"} {
		r, w := io.Pipe()
		go func() { _, _ = io.WriteString(w, in) }()
		for rec, err := range Reader(r).Records(Check{}) {
			if err != nil || rec.Email != "a@x.org" {
				t.Errorf("%q: %v, %v", in, rec, err)
			}
			break
		}
		_ = r.Close()
	}
}
