package importer

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
)

// write puts an input into a file.
func write(t *testing.T, name, in string) *Source {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(in), 0o600); err != nil {
		t.Fatal(err)
	}
	src, err := File(path)
	if err != nil {
		t.Fatal(err)
	}
	return src
}

func TestInspect(t *testing.T) {
	t.Parallel()
	in := strings.Join([]string{
		`{"email":"a@x.org","password_hash":"` + bcrypt10 + `","username":"a","blocked":false}`,
		`{"email":"b"}`,
		`{"email":"c@x.org","password":"p"}`,
		``,
		`{"email":"d@x.org","created_at":"x","identities":[]}`,
		`{"email":"e","phone_number":"1","name":""}`,
		`{"email":"f@x.org","user_id":"auth0|f","created_at":"x"}`,
		`{"email":"g"`,
	}, "\n")
	src := write(t, "users.ndjson", in)
	got, err := Inspect(t.Context(), src, Check{Upsert: true, Duplicates: true})
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(in))
	sizes := []int{
		len(`{"email":"a@x.org","password_hash":"` + bcrypt10 + `","username":"a","blocked":false}`), len(`{"email":"c@x.org","password":"p"}`),
		len(`{"email":"d@x.org"}`), len(`{"email":"f@x.org","user_id":"f"}`),
	}
	if got.Name != src.Name() || got.Size != int64(len(in)) || got.SHA256 != hex.EncodeToString(sum[:]) {
		t.Errorf("name %s, size %d, sum %s", got.Name, got.Size, got.SHA256)
	}
	if got.Total != 7 || got.Refused.String() != "2,5,7" || got.NeedJob != 1 || got.NeedUsers != 1 || got.WithoutPassword != 2 || got.Jobs != 1 {
		t.Errorf("%+v", got)
	}
	if want := int64(sizes[0] + sizes[1] + sizes[2] + sizes[3] + 4); got.Bytes != want || got.Largest != sizes[0] {
		t.Errorf("%d bytes, the largest %d; want %d and %d", got.Bytes, got.Largest, want, sizes[0])
	}
	if want := map[string]int{"email-form": 2, "phone-form": 1, "length": 1, "json": 1}; !maps.Equal(got.ByRule, want) {
		t.Errorf("by rule %v, want %v", got.ByRule, want)
	}
	if want := map[string]int{"created_at": 2, "identities": 1}; !maps.Equal(got.Dropped, want) {
		t.Errorf("dropped %v, want %v", got.Dropped, want)
	}
	if want := map[string]int{"user_id": 1, "username": 1, "blocked": 1, "password_hash": 1, "password": 1}; !maps.Equal(got.NotUpdated, want) {
		t.Errorf("not updated %v, want %v", got.NotUpdated, want)
	}
	var problems []string
	for _, p := range got.Problems {
		problems = append(problems, fmt.Sprintf("%d %d %s %s", p.Number, p.Line, p.Field, p.Rule))
	}
	if want := []string{"2 2 email email-form", "5 6 email email-form", "5 6 phone_number phone-form", "5 6 name length", "7 8  json"}; !slices.Equal(problems, want) {
		t.Errorf("problems %q, want %q", problems, want)
	}
}

// Jobs are counted as they are packed: in order, each as full as it gets.
func TestInspectJobs(t *testing.T) {
	t.Parallel()
	const room = jobBody - jobFrame - len("[]") // users, with a comma between each two
	const frame = `{"email":"a@x.org","user_metadata":{"k":""}}`
	user := func(n int) string {
		return strings.Replace(frame, `""`, `"`+strings.Repeat("x", n-len(frame))+`"`, 1) + "\n"
	}
	half := (room - 1) / 2
	for _, tt := range []struct {
		name string
		in   string
		jobs int
	}{
		{"none", "", 0},
		{"none that can be sent", "{}\n", 0},
		{"one that fills a job", user(room), 1},
		{"two that do", user(room) + user(room), 2},
		{"two that fill one", user(half) + user(room-1-half), 1},
		{"two, and a byte more than fits", user(half) + user(room-half), 2},
		{"a small one between two large ones", user(room) + user(100) + user(room), 3},
		{"one by a call of its own", `{"email":"a@x.org","password":"p"}` + "\n", 0},
	} {
		got, err := Inspect(t.Context(), Users(lines1(tt.in)), Check{})
		if err != nil || got.Jobs != tt.jobs {
			t.Errorf("%s: %+v, %v; want %d jobs", tt.name, got, err, tt.jobs)
		}
	}
}

// lines1 yields lines as JSON.
func lines1(in string) func(func(any, error) bool) {
	return func(yield func(any, error) bool) {
		for line := range strings.Lines(in) {
			if !yield([]byte(line), nil) {
				return
			}
		}
	}
}

const withDuplicates = `{"email":"a@x.org","user_id":"1"}
{"email":"b@x.org","user_id":"2","username":"bea"}

{"email":"A@X.org","user_id":"3"}
{"email":"c@x.org","user_id":"auth0|2"}
{"email":"d@x.org","username":"BEA"}
{"phone_number":"+17"}
{"email":"e@x.org","phone_number":"+17","user_id":"2"}
{"email":"wrong","username":"f"}
{"email":"f@x.org","username":"f"}
{"email":"c@x.org","user_id":"3"}
{"username":"a@x.org"}
{"email":"f@x.org","user_id":"A"}
{"email":"g@x.org","user_id":"a"}
`

// The first of several stays. A user who is refused takes nothing from those
// behind: c@x.org and 3 are free, since the users who had them first are refused.
func TestInspectDuplicates(t *testing.T) {
	t.Parallel()
	const remedy = "; keep one of them (rule duplicate)"
	want := []string{
		"line 4: email: the same as that of the user on line 1" + remedy,
		"line 5: user_id: the same as that of the user on line 2" + remedy,
		"line 6: username: the same as that of the user on line 2" + remedy,
		"line 8: user_id: the same as that of the user on line 2" + remedy,
		"line 8: phone_number: the same as that of the user on line 7" + remedy,
		"line 13: email: the same as that of the user on line 10" + remedy,
	}
	messages := func(in *Inspection) []string {
		var m []string
		for _, p := range in.Problems {
			if p.Rule == "duplicate" {
				m = append(m, p.Message)
			}
		}
		return m
	}
	const refused = "3-5,7-8,12"
	src := write(t, "users.ndjson", withDuplicates)
	got, err := Inspect(t.Context(), src, Check{Duplicates: true})
	if err != nil || got.Refused.String() != refused || !slices.Equal(messages(got), want) || got.ByRule["duplicate"] != 5 {
		t.Errorf("%v, refused %v:\n  %s", err, got.Refused, strings.Join(messages(got), "\n  "))
	}
	// Without lines, by number.
	got, err = Inspect(t.Context(), Users(lines1(strings.Replace(withDuplicates, "\n\n", "\n", 1))), Check{Duplicates: true})
	if err != nil || got.Refused.String() != refused || messages(got)[0] != "user 3: email: the same as that of user 1"+remedy {
		t.Errorf("from an iterator: %v, %v: %q", err, got.Refused, messages(got))
	}
	// What can be read once is compared by hashes, and says no line.
	got, err = Inspect(t.Context(), Reader(strings.NewReader(withDuplicates)), Check{Duplicates: true})
	if err != nil || got.Refused.String() != refused || messages(got)[0] != "line 4: email: a user before has the same"+remedy {
		t.Errorf("read once: %v, %v: %q", err, got.Refused, messages(got))
	}
	// So are the records themselves.
	var again Ranges
	for r, err := range src.Records(Check{Duplicates: true}) {
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Problems) > 0 {
			again.Add(r.Number)
		}
	}
	if again.String() != refused {
		t.Errorf("records: refused %v, want %s", again, refused)
	}
	got, err = Inspect(t.Context(), src, Check{})
	if err != nil || got.Refused.String() != "8" {
		t.Errorf("without looking for duplicates: %v, refused %v", err, got.Refused)
	}
}

func TestInspectErrors(t *testing.T) {
	t.Parallel()
	gone := errors.New("gone")
	if _, err := Inspect(t.Context(), Users(values(gone)), Check{Duplicates: true}); !errors.Is(err, gone) {
		t.Errorf("an iterator that fails: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Inspect(ctx, Users(values(nil, []byte(`{"email":"a@x.org"}`))), Check{}); !errors.Is(err, context.Canceled) {
		t.Errorf("called off: %v", err)
	}
	// An input that is another the second time.
	n := 0
	changing := func(yield func(any, error) bool) {
		n++
		for _, email := range []string{"a", "a", fmt.Sprint("b", n)} {
			if !yield(map[string]string{"email": email + "@x.org"}, nil) {
				return
			}
		}
	}
	if _, err := Inspect(t.Context(), Users(changing), Check{Duplicates: true}); err == nil || !strings.Contains(err.Error(), "changed while it was read") {
		t.Errorf("an input that changes: %v", err)
	}
	// Many problems: those kept are bounded, the counts are not.
	got, err := Inspect(t.Context(), Reader(strings.NewReader(strings.Repeat("{}\n", maxProblems+5))), Check{})
	if err != nil || len(got.Problems) != maxProblems || got.ByRule["identity"] != maxProblems+5 || got.Refused.String() != fmt.Sprintf("1-%d", maxProblems+5) {
		t.Errorf("%v: %d problems, %v, %v", err, len(got.Problems), got.ByRule, got.Refused)
	}
	var names strings.Builder
	for i := range maxNames + 5 {
		fmt.Fprintf(&names, `{"email":"a@x.org","created_at":"x","k%d":1}`+"\n", i)
	}
	got, err = Inspect(t.Context(), Reader(strings.NewReader(names.String())), Check{})
	if err != nil || len(got.Dropped) != maxNames+1 || got.Dropped["created_at"] != maxNames+5 || got.Dropped["(others)"] != 6 {
		t.Errorf("%v: %d names, %d others", err, len(got.Dropped), got.Dropped["(others)"])
	}
}

// The sample file of the README has nothing to refuse.
func TestSampleFile(t *testing.T) {
	t.Parallel()
	src, err := File("../testdata/users.ndjson")
	if err != nil {
		t.Fatal(err)
	}
	got, err := Inspect(t.Context(), src, Check{Duplicates: true})
	if err != nil || got.Total < 300 || got.Refused.Count() > 0 {
		t.Errorf("%v: %d users, refused %v: %v", err, got.Total, got.Refused, got.Problems)
	}
}

// A password in clear text is for new users only: an upsert leaves the one of a
// user who exists, and the inspection says of how many.
func TestUpsertLeavesPasswords(t *testing.T) {
	t.Parallel()
	in, err := Inspect(t.Context(), Users(lines1(users(5, func(i int, u map[string]any) map[string]any {
		delete(u, "user_id")
		if i > 2 {
			u["password"] = "Secret-word-1"
		}
		return u
	}))), Check{Upsert: true})
	if want := map[string]int{"password": 3}; err != nil || !maps.Equal(in.NotUpdated, want) {
		t.Errorf("not updated %v, want %v (%v)", in.NotUpdated, want, err)
	}
	for f := range fields {
		name := fields[f].name
		if changes := slices.Contains(append(updated[:], "custom_password_hash"), name); changes == notUpserted.has(f) && f != fieldEmail && f != fieldConnection && f != fieldVerifyEmail {
			t.Errorf("%s: changed %v, left as it was %v", name, changes, notUpserted.has(f))
		}
	}
}

// However many users are refused, each is told of with the rule that it breaks.
func TestRefusedBeyondTheKeptProblems(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, jobOptions())
		n := maxProblems + 100
		r := w.must(input(t, strings.Repeat(users(1, nil), 1+n)), Options{})
		if r.Created != 1 || r.Refused != n || len(r.ByReason) != 1 || r.ByReason["duplicate"] != n {
			t.Errorf("%s, %v", counts(r), r.ByReason)
		}
		last := w.failures[len(w.failures)-1]
		if len(w.failures) != n || last.Number != 1+n || last.Code != "duplicate" || !strings.Contains(last.Reason, "keep one of them") {
			t.Errorf("%d failures, the last %+v", len(w.failures), last)
		}
	})
}
