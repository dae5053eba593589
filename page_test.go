package auth0_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/headroom-go/auth0"
)

// lister serves n numbered items, in the shapes that the API has for lists.
type lister struct {
	n       int
	size    int // the server's own page size, and its largest
	bare    bool
	noTotal bool
	asked   []string
}

func (s *lister) stub(r *http.Request) (*http.Response, error) {
	q := r.URL.Query()
	s.asked = append(s.asked, r.URL.RawQuery)
	size := s.size
	number := func(name string, def int) int {
		if v, err := strconv.Atoi(q.Get(name)); err == nil {
			return v
		}
		return def
	}
	items := func(from, to int) string {
		var list []string
		for i := from; i < min(to, s.n); i++ {
			list = append(list, fmt.Sprintf(`{"n":%d,"log_id":"%d"}`, i, i))
		}
		return "[" + strings.Join(list, ",") + "]"
	}
	switch {
	case q.Has("from") || q.Has("take"):
		from, take := number("from", 0), min(number("take", size), s.size)
		if s.bare { // logs: from names the entry that was the last
			if q.Has("from") {
				from++
			}
			return replyJSON(200, items(from, from+take)), nil
		}
		next := ""
		if from+take < s.n {
			next = fmt.Sprintf(`,"next":"%d"`, from+take)
		}
		return replyJSON(200, `{"users":`+items(from, from+take)+next+`}`), nil
	}
	size = min(number("per_page", size), s.size)
	from := number("page", 0) * size
	list := items(from, from+size)
	if q.Get("include_totals") != "true" && s.bare {
		return replyJSON(200, list), nil
	}
	total := fmt.Sprintf(`,"total":%d`, s.n)
	if s.noTotal {
		total = ""
	}
	return replyJSON(200, fmt.Sprintf(`{"start":%d,"limit":%d%s,"users":%s}`, from, size, total, list)), nil
}

func TestAllShapesOfLists(t *testing.T) {
	t.Parallel()
	both := auth0.Paging{Items: "users", Offset: true, Totals: true, Checkpoint: true}
	logs := auth0.Paging{Items: "users", Offset: true, Totals: true, Checkpoint: true, CursorField: "log_id"}
	for _, tt := range []struct {
		name   string
		server lister
		paging auth0.Paging
		params url.Values
		asked  []string
	}{
		{"offset with totals", lister{n: 5, size: 2}, userPaging(), nil,
			[]string{"include_totals=true", "include_totals=true&page=1", "include_totals=true&page=2"}},
		{"offset, last page full", lister{n: 4, size: 2}, userPaging(), nil, []string{"include_totals=true", "include_totals=true&page=1"}},
		{"nothing", lister{n: 0, size: 2}, userPaging(), nil, []string{"include_totals=true"}},
		{"largest page", lister{n: 150, size: 100}, auth0.Paging{Items: "users", Offset: true, Totals: true, Max: 100}, nil,
			[]string{"include_totals=true&per_page=100", "include_totals=true&page=1&per_page=100"}},
		{"server cuts the page size", lister{n: 120, size: 50}, auth0.Paging{Items: "users", Offset: true, Totals: true, Max: 100}, nil,
			[]string{"include_totals=true&per_page=100", "include_totals=true&page=1&per_page=100", "include_totals=true&page=2&per_page=100"}},
		{"caller begins later", lister{n: 6, size: 2}, userPaging(), url.Values{"page": {"2"}}, []string{"include_totals=true&page=2"}},
		{"bare arrays", lister{n: 5, size: 2, bare: true}, userPaging(), url.Values{"include_totals": {"false"}, "per_page": {"2"}},
			[]string{"include_totals=false&per_page=2", "include_totals=false&page=1&per_page=2", "include_totals=false&page=2&per_page=2"}},
		{"bare array, cut", lister{n: 70, size: 50, bare: true}, userPaging(), url.Values{"include_totals": {"false"}, "per_page": {"100"}},
			[]string{"include_totals=false&per_page=100", "include_totals=false&page=1&per_page=100"}},
		{"bare array of the server's size", lister{n: 60, size: 50, bare: true}, auth0.Paging{Offset: true}, nil, []string{"", "page=1"}},
		{"no total", lister{n: 3, size: 2, noTotal: true}, auth0.Paging{Items: "users", Offset: true}, nil, []string{"", "page=1"}},
		{"checkpoint", lister{n: 5, size: 2}, auth0.Paging{Items: "users", Checkpoint: true}, url.Values{"take": {"2"}}, []string{"take=2", "from=2&take=2", "from=4&take=2"}},
		{"checkpoint, largest page", lister{n: 5, size: 4}, auth0.Paging{Items: "users", Checkpoint: true, Max: 100}, nil, []string{"take=100", "from=4&take=100"}},
		{"both ways: no ceiling", lister{n: 3, size: 2}, auth0.Paging{Items: "users", Offset: true, Totals: true, Checkpoint: true, Max: 2}, nil, []string{"take=2", "from=2&take=2"}},
		{"both ways, page asked", lister{n: 3, size: 2}, both, url.Values{"page": {"1"}}, []string{"include_totals=true&page=1"}},
		{"both ways, sorted", lister{n: 2, size: 2}, both, url.Values{"sort": {"name:1"}}, []string{"include_totals=true&sort=name%3A1"}},
		{"logs by offset", lister{n: 3, size: 2, bare: true}, logs, nil, []string{"include_totals=true", "include_totals=true&page=1"}},
		{"logs from an entry", lister{n: 120, size: 50, bare: true}, logs, url.Values{"from": {"9"}, "take": {"50"}},
			[]string{"from=9&take=50", "from=59&take=50", "from=109&take=50"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := newClient(t, tt.server.stub)
			first, _ := strconv.Atoi(tt.params.Get("page"))
			want := first * tt.server.size
			if from, err := strconv.Atoi(tt.params.Get("from")); err == nil {
				want = from + 1
			}
			for item, err := range auth0.All[numbered](t.Context(), c, "/api/v2/users", nil, tt.params, tt.paging, nil) {
				if err != nil {
					t.Fatal(err)
				}
				if item.N != want {
					t.Fatalf("item %d, want %d", item.N, want)
				}
				want++
			}
			if want != tt.server.n {
				t.Errorf("ended after item %d of %d", want, tt.server.n)
			}
			if strings.Join(tt.server.asked, "\n") != strings.Join(tt.asked, "\n") {
				t.Errorf("asked\n%s\nwant\n%s", strings.Join(tt.server.asked, "\n"), strings.Join(tt.asked, "\n"))
			}
		})
	}
}

// Lists that page both ways need take to show a cursor: List asks for it too.
func TestListBothWays(t *testing.T) {
	t.Parallel()
	server := &lister{n: 60, size: 50}
	c := newClient(t, server.stub)
	paging := auth0.Paging{Items: "users", Offset: true, Totals: true, Checkpoint: true}
	page, err := auth0.List[numbered](t.Context(), c, "/api/v2/users", nil, nil, paging, nil)
	if err != nil || len(page.Items) != 50 || page.Cursor == "" {
		t.Fatalf("%+v, %v", page, err)
	}
	page, err = page.Next(t.Context())
	if err != nil || len(page.Items) != 10 || page.Cursor != "" {
		t.Fatalf("%+v, %v", page, err)
	}
	if _, err := page.Next(t.Context()); !errors.Is(err, auth0.ErrLastPage) {
		t.Errorf("after the last page: %v", err)
	}
	if want := "take=50 from=50&take=50"; strings.Join(server.asked, " ") != want {
		t.Errorf("asked %v, want %s", server.asked, want)
	}
}

// All asks for the largest pages, but not where it resumes at a page that was
// counted in the server's own size: of page 1 of four it would give the last alone.
func TestResumeAtOfTheServersSize(t *testing.T) {
	t.Parallel()
	c := newClient(t, func(r *http.Request) (*http.Response, error) {
		size := 2
		if v, err := strconv.Atoi(r.URL.Query().Get("per_page")); err == nil {
			size = v
		}
		page, _ := strconv.Atoi(r.URL.Query().Get("page"))
		var list []string
		for i := page * size; i < min(5, (page+1)*size); i++ {
			list = append(list, fmt.Sprintf(`{"n":%d}`, i))
		}
		return replyJSON(200, fmt.Sprintf(`{"start":%d,"limit":%d,"total":5,"users":[%s]}`, page*size, size, strings.Join(list, ","))), nil
	})
	paging := userPaging()
	paging.Max = 4
	page, err := auth0.List[numbered](t.Context(), c, "/api/v2/users", nil, nil, paging, nil)
	if err != nil || len(page.Items) != 2 {
		t.Fatalf("%+v, %v", page, err)
	}
	var rest []int
	for item, err := range auth0.All[numbered](t.Context(), c, "/api/v2/users", nil, nil, paging, []auth0.RequestOption{auth0.ResumeAt(page.Cursor)}) {
		if err != nil {
			t.Fatal(err)
		}
		rest = append(rest, item.N)
	}
	if fmt.Sprint(rest) != "[2 3 4]" {
		t.Errorf("resumed with %v", rest)
	}
}

// A list goes on in another process from a page's cursor.
func TestResumeAt(t *testing.T) {
	t.Parallel()
	for name, paging := range map[string]auth0.Paging{"offset": userPaging(), "checkpoint": {Items: "users", Checkpoint: true}} {
		server := &lister{n: 5, size: 2}
		c := newClient(t, server.stub)
		params := url.Values{"per_page": {"2"}}
		if name == "checkpoint" {
			params = url.Values{"take": {"2"}}
		}
		first, err := auth0.List[numbered](t.Context(), c, "/api/v2/users", nil, params, paging, nil)
		if err != nil || first.Cursor == "" || len(first.Items) != 2 {
			t.Fatalf("%s: %+v, %v", name, first, err)
		}
		var rest []int
		for item, err := range auth0.All[numbered](t.Context(), c, "/api/v2/users", nil, params, paging, []auth0.RequestOption{auth0.ResumeAt(first.Cursor)}) {
			if err != nil {
				t.Fatal(err)
			}
			rest = append(rest, item.N)
		}
		if fmt.Sprint(rest) != "[2 3 4]" || len(server.asked) != 3 {
			t.Errorf("%s: %v, asked %q", name, rest, server.asked)
		}
	}
	c := newClient(t, (&lister{}).stub)
	for _, odd := range []string{"%zz", "2", "MjAyNi0wMS0wMQ", "usr_1234"} { // the server's own next among them
		if _, err := auth0.List[numbered](t.Context(), c, "/x", nil, nil, userPaging(), []auth0.RequestOption{auth0.ResumeAt(odd)}); err == nil {
			t.Errorf("%q was accepted as a cursor, and the list begun anew", odd)
		}
	}
}

func TestAllStopsAndFails(t *testing.T) {
	t.Parallel()
	server := &lister{n: 100, size: 2}
	c := newClient(t, server.stub)
	for item, err := range auth0.All[numbered](t.Context(), c, "/api/v2/users", nil, nil, userPaging(), nil) {
		if err != nil {
			t.Fatal(err)
		}
		if item.N == 1 {
			break // at the end of the first page: the second is not asked for
		}
	}
	if len(server.asked) != 1 {
		t.Errorf("asked %q", server.asked)
	}

	ctx, cancel := context.WithCancel(t.Context())
	n, failures := 0, 0
	for _, err := range auth0.All[numbered](ctx, c, "/api/v2/users", nil, nil, userPaging(), nil) {
		if err != nil {
			failures++
			if !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
			continue
		}
		if n++; n == 2 {
			cancel()
		}
	}
	cancel()
	if n != 2 || failures != 1 {
		t.Errorf("%d items, %d failures", n, failures)
	}

	loop := newClient(t, func(*http.Request) (*http.Response, error) {
		return replyJSON(200, `{"users":[{"n":1}],"next":"same"}`), nil
	})
	failures = 0
	for _, err := range auth0.All[numbered](t.Context(), loop, "/api/v2/users", nil, nil, auth0.Paging{Items: "users", Checkpoint: true}, nil) {
		if err != nil {
			failures++
		}
	}
	if failures != 1 {
		t.Errorf("a list that runs in a circle gave %d errors", failures)
	}
	for _, err := range auth0.All[numbered](t.Context(), c, "/api/v2/users", nil, 17, userPaging(), nil) {
		if err == nil {
			t.Error("a number passed for parameters")
		}
	}
}

func TestListOddAnswers(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		body  string
		items int
		bad   bool
	}{
		{`{"users":[{"n":1}],"total":1}`, 1, false},
		{`{"\u0075sers":[{"n":1}],"other":{"users":[1,"}"]},"total":1}`, 1, false},
		{` [ {"n":1} ] `, 1, false},
		{``, 0, false},
		{`{}`, 0, false},
		{`{"users":null,"total":0}`, 0, false},
		{`{"users":[{"n":"odd"},{"n":2}],"total":2,"start":"zero"}`, 2, false},
		{`{"users":{"odd":1}}`, 0, false},
		{`{"users":[{"n":1}]`, 0, true},
		{`{"users":[{"n":1]}`, 0, true},
		{`{"users":[{"n":1}]} x`, 0, true},
		{`{users:[]}`, 0, true},
		{`"text"`, 0, true},
		{`<html>`, 0, true},
	} {
		c := newClient(t, func(*http.Request) (*http.Response, error) { return replyJSON(200, tt.body), nil })
		p, err := auth0.List[numbered](t.Context(), c, "/api/v2/users", nil, nil, userPaging(), nil)
		if (err != nil) != tt.bad || err == nil && len(p.Items) != tt.items {
			t.Errorf("%s: %+v, %v", tt.body, p, err)
		}
	}
}

// A total that is no number says nothing of where the list ends.
func TestAllGoesOnWithAnOddTotal(t *testing.T) {
	t.Parallel()
	asked := 0
	c := newClient(t, func(r *http.Request) (*http.Response, error) {
		asked++
		if r.URL.Query().Get("page") == "2" {
			return replyJSON(200, `{"start":4,"limit":2,"total":"5","users":[{"n":4}]}`), nil
		}
		return replyJSON(200, `{"start":"0","limit":2,"total":"5","users":[{"n":0},{"n":1}]}`), nil
	})
	got := 0
	for _, err := range auth0.All[numbered](t.Context(), c, "/api/v2/users", nil, nil, userPaging(), nil) {
		if err != nil {
			t.Fatal(err)
		}
		got++
	}
	if got != 5 || asked != 3 {
		t.Errorf("%d entries of %d pages, want 5 of 3", got, asked)
	}
	page, err := auth0.List[numbered](t.Context(), c, "/api/v2/users", nil, nil, userPaging(), nil)
	if err != nil || page.Total != -1 || page.Start != -1 {
		t.Errorf("%+v, %v, want a start and a total that were not told", page, err)
	}
}

// lenientEntry has a method of its own, which keeps what fits.
type lenientEntry struct{ A, B int }

func (l *lenientEntry) UnmarshalJSON(b []byte) error {
	type plain lenientEntry
	return auth0.Decode(b, (*plain)(l))
}

// Entries may be pointers, and have methods of their own. Odd entries cost none
// of those beside them, and no pointer is nil.
func TestEntriesOfPages(t *testing.T) {
	t.Parallel()
	const entries = ` [ {"A":1} ,null, {"A":"x,]","B":2},"odd" , {"B":3} ] `
	for name, tt := range map[string]struct{ body, odd string }{
		"bare":     {entries, "[2].A, [3]"},
		"in a key": {`{"total":5,"users":` + entries + `}`, "users[2].A, users[3]"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClient(t, func(*http.Request) (*http.Response, error) { return replyJSON(200, tt.body), nil })
			const want = "[{1 0} {0 0} {0 2} {0 0} {0 3}]"
			check := func(kind string, m auth0.Meta, got string, err error) {
				t.Helper()
				var odd []string
				for _, m := range m.Mismatches {
					odd = append(odd, m.Path)
				}
				if err != nil || got != want || strings.Join(odd, ", ") != tt.odd {
					t.Errorf("%s: %s, odd %q, %v; want %s, odd %s", kind, got, odd, err, want, tt.odd)
				}
			}
			check(entriesOf(t, c, func(e lenientEntry) lenientEntry { return e }))
			check(entriesOf(t, c, func(e *lenientEntry) lenientEntry { return *e }))
			check(entriesOf(t, c, func(e struct{ A, B int }) lenientEntry { return e }))
			check(entriesOf(t, c, func(e *struct{ A, B int }) lenientEntry { return *e }))
		})
	}
	for _, bad := range []string{`[{"A":1},{"A":2]`, `[{"A":1} {"A":2}]`, `[{"A":1},]`} {
		c := newClient(t, func(*http.Request) (*http.Response, error) { return replyJSON(200, bad), nil })
		if _, err := auth0.List[*lenientEntry](t.Context(), c, "/x", nil, nil, auth0.Paging{}, nil); err == nil {
			t.Errorf("%s was understood", bad)
		}
	}
}

func entriesOf[T any](t *testing.T, c *auth0.Client, plain func(T) lenientEntry) (kind string, m auth0.Meta, got string, err error) {
	t.Helper()
	p, err := auth0.List[T](t.Context(), c, "/x", nil, nil, auth0.Paging{Items: "users"}, []auth0.RequestOption{auth0.Capture(&m)})
	kind = fmt.Sprintf("%T", p)
	if err != nil {
		return kind, m, "", err
	}
	var all []lenientEntry
	for e, err := range auth0.AllFrom(t.Context(), p) {
		if err != nil {
			return kind, m, "", err
		}
		all = append(all, plain(e))
	}
	return kind, m, fmt.Sprint(all), nil
}

// AllFrom goes on where a page is.
func TestAllFrom(t *testing.T) {
	t.Parallel()
	server := &lister{n: 5, size: 2}
	c := newClient(t, server.stub)
	first, err := auth0.List[numbered](t.Context(), c, "/api/v2/users", nil, url.Values{"page": {"1"}}, userPaging(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		var got []int
		for item, err := range auth0.AllFrom(t.Context(), first) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, item.N)
		}
		if fmt.Sprint(got) != "[2 3 4]" {
			t.Errorf("got %v", got)
		}
	}
	if want := "include_totals=true&page=1 include_totals=true&page=2 include_totals=true&page=2"; strings.Join(server.asked, " ") != want {
		t.Errorf("asked %q", server.asked)
	}
}
