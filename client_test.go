package auth0_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headroom-go/auth0"
	"github.com/headroom-go/auth0/ratelimit"
)

func TestCallSendsBodies(t *testing.T) {
	t.Parallel()
	type user struct {
		Email string `json:"email"`
	}
	var noUser *user
	var noForm *auth0.Multipart
	var noBuffer *bytes.Buffer
	var noReader *bytes.Reader
	var noText *strings.Reader
	for name, tt := range map[string]struct {
		body        any
		opts        []auth0.RequestOption
		contentType string
		want        string
	}{
		"none":           {nil, nil, "", ""},
		"nil pointer":    {noUser, nil, "", ""},
		"nil multipart":  {noForm, nil, "", ""},
		"nil buffer":     {noBuffer, []auth0.RequestOption{auth0.ContentType("text/csv")}, "", ""},
		"nil reader":     {noReader, []auth0.RequestOption{auth0.ContentType("text/csv")}, "", ""},
		"nil text":       {noText, nil, "", ""},
		"JSON":           {user{"a@b.c"}, nil, "application/json", `{"email":"a@b.c"}`},
		"pointer":        {&user{"a@b.c"}, nil, "application/json", `{"email":"a@b.c"}`},
		"list":           {[]string{"a"}, nil, "application/json", `["a"]`},
		"JSON text":      {json.RawMessage(`{"a":1}`), nil, "application/json", `{"a":1}`},
		"form":           {url.Values{"a": {"b c"}}, nil, "application/x-www-form-urlencoded", "a=b+c"},
		"bytes":          {[]byte("raw"), []auth0.RequestOption{auth0.ContentType("text/csv")}, "text/csv", "raw"},
		"reader":         {strings.NewReader("raw"), []auth0.RequestOption{auth0.ContentType("text/csv")}, "text/csv", "raw"},
		"streamed":       {io.MultiReader(strings.NewReader("ra"), strings.NewReader("w")), []auth0.RequestOption{auth0.ContentType("text/csv")}, "text/csv", "raw"},
		"raw in place":   {user{"a@b.c"}, []auth0.RequestOption{auth0.RawBody("application/json", []byte(`{"new":1}`))}, "application/json", `{"new":1}`},
		"merge patch":    {user{"a@b.c"}, []auth0.RequestOption{auth0.ContentType("application/merge-patch+json")}, "application/merge-patch+json", `{"email":"a@b.c"}`},
		"empty raw body": {nil, []auth0.RequestOption{auth0.RawBody("application/json", nil)}, "application/json", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClient(t, func(r *http.Request) (*http.Response, error) {
				got := ""
				if r.Body != nil {
					b, _ := io.ReadAll(r.Body)
					got = string(b)
				}
				if got != tt.want || r.Header.Get("Content-Type") != tt.contentType {
					t.Errorf("sent %q as %q, want %q as %q", got, r.Header.Get("Content-Type"), tt.want, tt.contentType)
				}
				return reply(204, nil, ""), nil
			})
			if _, err := auth0.Call[auth0.NoContent](t.Context(), c, "POST", "/api/v2/things", nil, nil, tt.body, tt.opts); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestCallSendsMultipart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var seen []string
		c := newClient(t, func(r *http.Request) (*http.Response, error) {
			_, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
			if err != nil {
				t.Fatal(err)
			}
			raw, err := io.ReadAll(r.Body)
			if err != nil || int64(len(raw)) != r.ContentLength {
				t.Errorf("%d bytes announced, %d sent, %v", r.ContentLength, len(raw), err)
			}
			form, err := multipart.NewReader(bytes.NewReader(raw), params["boundary"]).ReadForm(1 << 20)
			if err != nil {
				t.Fatal(err)
			}
			f, err := form.File["users"][0].Open()
			if err != nil {
				t.Fatal(err)
			}
			data, _ := io.ReadAll(f)
			_ = f.Close()
			seen = append(seen, fmt.Sprintf("%s %s %s %s", form.File["users"][0].Filename, form.File["users"][0].Header.Get("Content-Type"), data, form.Value["upsert"][0]))
			if len(seen) == 1 {
				return reply(429, nil, busyBody), nil
			}
			return replyJSON(202, `{"id":"job_1","status":"pending"}`), nil
		})
		form := (&auth0.Multipart{}).File("users", "a \"b\".json", "application/json", []byte(`[{}]`)).Field("upsert", "true")
		job, err := auth0.Call[struct{ ID string }](t.Context(), c, "POST", "/api/v2/jobs/users-imports", nil, nil, form, nil)
		if err != nil || job.ID != "job_1" {
			t.Fatalf("%+v, %v", job, err)
		}
		want := `a "b".json application/json [{}] true`
		if len(seen) != 2 || seen[0] != want || seen[1] != want {
			t.Errorf("seen %q, want twice %q", seen, want)
		}
	})
	c := newClient(t, nil)
	if _, err := auth0.Call[auth0.NoContent](t.Context(), c, "POST", "/x", nil, nil, &auth0.Multipart{Parts: []auth0.Part{{}}}, nil); err == nil {
		t.Error("a part without a name was sent")
	}
}

func TestCallFillsPaths(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		path string
		args []string
		want string // the escaped path, or the beginning of the error after "auth0: "
		bad  bool
	}{
		{"/api/v2/users", nil, "/api/v2/users", false},
		{"/api/v2/users/{id}", []string{"auth0|1"}, "/api/v2/users/auth0%7C1", false},
		{"/api/v2/users/{id}", []string{"a/../b?c#d;e%2f é"}, "/api/v2/users/a%2F..%2Fb%3Fc%23d%3Be%252f%20%C3%A9", false},
		{"/api/v2/users/{id}", []string{"..."}, "/api/v2/users/...", false},
		{"/api/v2/a/{x}/b/{y}/c", []string{"1", "2"}, "/api/v2/a/1/b/2/c", false},
		{"/api/v2/users/{id}", []string{""}, "id of /api/v2/users/{id} is empty", true},
		{"/api/v2/users/{id}/roles", []string{".."}, `id of /api/v2/users/{id}/roles is ".."`, true},
		{"/api/v2/users/{id}", []string{"."}, `id of /api/v2/users/{id} is "."`, true},
		{"/api/v2/users/{id}", nil, `path "/api/v2/users/{id}" needs more than 0`, true},
		{"/api/v2/users", []string{"1"}, `path "/api/v2/users" takes 0`, true},
		{"/api/v2/users/{id", []string{"1"}, `path "/api/v2/users/{id" has an open brace`, true},
		{"users", nil, `path "users" does not begin with a slash`, true},
		{"/api/v2/users?per_page=5", nil, `the path has a '?', which would be escaped; pass parameters as query`, true},
		{"/api/v2/users/auth0%7C1", nil, `the path has a '%', which would be escaped; pass`, true},
	} {
		sent := ""
		c := newClient(t, func(r *http.Request) (*http.Response, error) {
			sent = r.URL.EscapedPath()
			return reply(204, nil, ""), nil
		})
		_, err := auth0.Call[auth0.NoContent](t.Context(), c, "GET", tt.path, tt.args, nil, nil, nil)
		switch {
		case tt.bad && (err == nil || sent != "" || !strings.HasPrefix(err.Error(), "auth0: "+tt.want)):
			t.Errorf("%s %q: error %v, want %q", tt.path, tt.args, err, tt.want)
		case !tt.bad && (err != nil || sent != tt.want):
			t.Errorf("%s %q: %q, %v, want %q", tt.path, tt.args, sent, err, tt.want)
		}
	}
}

func TestCallResults(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	answering := func(status int, body string) *auth0.Client {
		return newClient(t, func(*http.Request) (*http.Response, error) { return replyJSON(status, body), nil })
	}
	if v, err := auth0.Call[map[string]int](ctx, answering(200, `{"a":1}`), "GET", "/x", nil, nil, nil, nil); err != nil || v["a"] != 1 {
		t.Errorf("%v %v", v, err)
	}
	if v, err := auth0.Call[*numbered](ctx, answering(201, `{"n":7}`), "POST", "/x", nil, nil, nil, nil); err != nil || v.N != 7 {
		t.Errorf("%v %v", v, err)
	}
	if v, err := auth0.Call[[]byte](ctx, answering(200, `<raw>`), "GET", "/x", nil, nil, nil, nil); err != nil || string(v) != "<raw>" {
		t.Errorf("%q %v", v, err)
	}
	if v, err := auth0.Call[json.RawMessage](ctx, answering(200, `{"a":1}`), "GET", "/x", nil, nil, nil, nil); err != nil || string(v) != `{"a":1}` {
		t.Errorf("%q %v", v, err)
	}
	if _, err := auth0.Call[auth0.NoContent](ctx, answering(200, `not json`), "GET", "/x", nil, nil, nil, nil); err != nil {
		t.Error(err)
	}
	var e *auth0.Error
	if _, err := auth0.Call[map[string]int](ctx, answering(200, `<html>secret</html>`), "GET", "/x", nil, nil, nil, nil); !errors.As(err, &e) || e.Status != 200 || e.Code != "invalid_answer" || strings.Contains(err.Error(), "secret") || string(e.Body()) != `<html>secret</html>` {
		t.Errorf("error %v, body %q", err, e.Body())
	}
	if _, err := auth0.Call[map[string]int](ctx, answering(200, strings.Repeat(" ", 64<<10)+"x"), "GET", "/x", nil, nil, nil, nil); !errors.As(err, &e) || string(e.Body()) != strings.Repeat(" ", 64<<10) {
		t.Errorf("error %v, body of %d bytes, want 64 KiB", err, len(e.Body()))
	}
	if _, err := auth0.Call[map[string]int](ctx, answering(304, ``), "GET", "/x", nil, nil, nil, nil); !errors.As(err, &e) || e.Status != 304 {
		t.Errorf("error %v", err)
	}
	resp, err := answering(200, "stream").Do(ctx, "GET", "/x", nil, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if got, err := io.ReadAll(resp.Body); err != nil || string(got) != "stream" {
		t.Errorf("%q, %v", got, err)
	}
	missing, err := answering(404, `{"statusCode":404,"error":"Not Found","message":"nothing here"}`).Do(ctx, "GET", "/x", nil, nil, nil)
	if err == nil {
		_ = missing.Body.Close()
	}
	if !errors.Is(err, auth0.ErrNotFound) || !strings.Contains(err.Error(), "nothing here") {
		t.Errorf("error %v", err)
	}
}

// One odd field does not fail the answer: what fits is kept and the rest
// reported, in one place and without the value.
func TestCallKeepsWhatFits(t *testing.T) {
	t.Parallel()
	type identity struct {
		UserID string `json:"user_id"`
		Social bool   `json:"isSocial"`
	}
	type common struct {
		Tenant string `json:"tenant"`
	}
	type user struct {
		common
		ID         string               `json:"user_id"`
		Logins     int                  `json:"logins_count"`
		CreatedAt  time.Time            `json:"created_at"`
		LastLogin  *time.Time           `json:"last_login"`
		Identities []identity           `json:"identities"`
		Meta       map[string]string    `json:"meta"`
		Name       string               `json:"name"`
		Extra      map[string]*identity `json:"extra"`
	}
	const body = `{"user_id":"u1","tenant":"t1","logins_count":"many","created_at":"yesterday","last_login":"",
		"identities":[{"user_id":17,"isSocial":true},{"user_id":"x"}],"meta":{"a":"b","c":3},"extra":{"e":{"user_id":"y"},"f":[]},"NAME":"Alice"}`
	var m, second auth0.Meta
	c := newClient(t, func(*http.Request) (*http.Response, error) { return replyJSON(200, body), nil })
	u, err := auth0.Call[user](t.Context(), c, "GET", "/x", nil, nil, nil, []auth0.RequestOption{auth0.Capture(&m), auth0.Capture(nil), auth0.Capture(&second)})
	if err != nil {
		t.Fatal(err)
	}
	if u.ID != "u1" || u.Tenant != "t1" || u.Logins != 0 || !u.CreatedAt.IsZero() || u.LastLogin != nil || len(u.Identities) != 2 ||
		!u.Identities[0].Social || u.Identities[1].UserID != "x" || len(u.Meta) != 1 || u.Meta["a"] != "b" || u.Name != "Alice" || u.Extra["e"].UserID != "y" {
		t.Errorf("decoded %+v", u)
	}
	var got []string
	for _, mm := range m.Mismatches {
		got = append(got, mm.String())
	}
	want := []string{
		"logins_count: string in place of int", "created_at: string in place of time.Time", "last_login: string in place of time.Time",
		"identities[0].user_id: number in place of string", "meta.c: number in place of string", "extra.f: array in place of auth0_test.identity",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("mismatches\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if m.Status != 200 || string(m.Body) != body || m.Attempts != 1 {
		t.Errorf("meta %+v", m)
	}
	if !reflect.DeepEqual(second, m) {
		t.Errorf("the second of two captures has %+v, the first %+v", second, m)
	}
}

// half is a type that keeps what fits and says what does not.
type half struct {
	A, B int
	Rest map[string]json.RawMessage
}

func (h *half) UnmarshalJSON(b []byte) error {
	type plain half
	return auth0.Decode(b, (*plain)(h))
}

// What does not fit is left out at any depth: in nullable objects and lists, and
// in types with a method of their own.
func TestDecode(t *testing.T) {
	t.Parallel()
	type inner struct {
		Name string `json:"name"`
		N    int    `json:"n"`
	}
	type outer struct {
		Object auth0.Null[inner]            `json:"object,omitzero"`
		List   auth0.Null[[]inner]          `json:"list,omitzero"`
		Map    auth0.Null[map[string]inner] `json:"map,omitzero"`
		Text   auth0.Null[string]           `json:"text,omitzero"`
		Deep   *auth0.Null[*half]           `json:"deep,omitzero"`
		Halves []half                       `json:"halves,omitzero"`
		At     time.Time                    `json:"at,omitzero"`
	}
	for _, tt := range []struct{ in, want, odd string }{
		{`{"object":{"name":"a","n":1},"list":null,"text":"t"}`, `{"object":{"name":"a","n":1},"list":null,"text":"t"}`, ""},
		{`{"object":{"name":1,"n":2}}`, `{"object":{"name":"","n":2}}`, "object.name: number in place of string"},
		{`{"object":[],"text":"t"}`, `{"text":"t"}`, "object: array in place of auth0_test.inner"},
		{`{"object":{"name":1},"list":null,"map":null}`, `{"object":{"name":"","n":0},"list":null,"map":null}`, "object.name: number in place of string"},
		{`{"list":[{"n":1},{"n":"x","name":"b"},3]}`, `{"list":[{"name":"","n":1},{"name":"b","n":0},{"name":"","n":0}]}`,
			"list[1].n: string in place of int, list[2]: number in place of auth0_test.inner"},
		{`{"map":{"a":{"n":"x","name":"b"},"c":4}}`, `{"map":{"a":{"name":"b","n":0}}}`, "map.a.n: string in place of int, map.c: number in place of auth0_test.inner"},
		{`{"text":{},"at":"x"}`, `{}`, "text: object in place of string, at: string in place of time.Time"},
		{`{"deep":{"A":"x","B":2}}`, `{"deep":{"A":0,"B":2,"Rest":null}}`, "deep.A: string in place of int"},
		{`{"halves":[{"A":1},{"A":"x","B":2},"no",{"B":3}]}`, `{"halves":[{"A":1,"B":0,"Rest":null},{"A":0,"B":2,"Rest":null},{"A":0,"B":0,"Rest":null},{"A":0,"B":3,"Rest":null}]}`,
			"halves[1].A: string in place of int, halves[2]: string in place of auth0_test.half"},
		{`7`, `{}`, ": number in place of auth0_test.outer"},
	} {
		var v outer
		err := auth0.Decode([]byte(tt.in), &v)
		var odd []string
		if partial := new(auth0.PartialError); errors.As(err, &partial) {
			for _, m := range partial.Mismatches {
				odd = append(odd, m.String())
			}
		} else if err != nil {
			t.Errorf("%s: %v", tt.in, err)
		}
		if got := strings.Join(odd, ", "); got != tt.odd {
			t.Errorf("%s: reported %s, want %s", tt.in, got, tt.odd)
		}
		out, err := json.Marshal(v)
		if err != nil || string(out) != tt.want {
			t.Errorf("%s: decoded %s, %v, want %s", tt.in, out, err, tt.want)
		}
	}
	var n int
	for _, bad := range []struct {
		in   string
		into any
	}{{`{`, &n}, {``, &n}, {`1`, n}, {`1`, nil}, {`1`, (*int)(nil)}} {
		if err := auth0.Decode([]byte(bad.in), bad.into); err == nil || errors.As(err, new(*auth0.PartialError)) {
			t.Errorf("%q into %T: error %v", bad.in, bad.into, err)
		}
	}
	for want, e := range map[string]auth0.PartialError{
		"auth0: a field has an unexpected type":                       {},
		"auth0: unexpected type: a: null in place of int":             {Mismatches: []auth0.Mismatch{{Path: "a", Got: "null", Want: "int"}}},
		"auth0: unexpected type: a: bool in place of int, and 2 more": {Mismatches: []auth0.Mismatch{{Path: "a", Got: "bool", Want: "int"}, {}, {}}},
	} {
		if e.Error() != want {
			t.Errorf("error %q, want %q", e.Error(), want)
		}
	}
}

// An answer that is no object at all still gives callers a pointer that they
// can follow.
func TestCallNeverReturnsNilWithoutAnError(t *testing.T) {
	t.Parallel()
	for _, body := range []string{``, ` `, `null`, `[]`, `7`, `"text"`} {
		c := newClient(t, func(*http.Request) (*http.Response, error) { return replyJSON(200, body), nil })
		v, err := auth0.Call[*numbered](t.Context(), c, "GET", "/x", nil, nil, nil, nil)
		if err != nil || v == nil || v.N != 0 {
			t.Errorf("%q: %+v, %v", body, v, err)
		}
	}
}

func TestCallRetryAfter(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name       string
		retryAfter string
		sent       int
		took       time.Duration
	}{
		{"obeyed", "7", 3, 14 * time.Second},
		{"as a date", "Sat, 01 Jan 2000 00:00:10 GMT", 3, 20 * time.Second},
		{"an hour is the caller's to know", "3600", 1, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				sent := 0
				c := newClient(t, func(*http.Request) (*http.Response, error) {
					sent++
					return reply(503, http.Header{"Retry-After": {tt.retryAfter}, "Date": {"Sat, 01 Jan 2000 00:00:00 GMT"}}, ""), nil
				})
				start := time.Now()
				_, err := auth0.Call[auth0.NoContent](t.Context(), c, "GET", "/api/v2/clients", nil, nil, nil, nil)
				var e *auth0.Error
				if took := time.Since(start); !errors.As(err, &e) || e.Status != 503 || e.RetryAfter == 0 || sent != tt.sent || took != tt.took {
					t.Errorf("sent %d times in %v, %v; want %d in %v", sent, took, err, tt.sent, tt.took)
				}
			})
		})
	}
}

// Delays grow by half from 500 ms, spread by half: two retries take between
// 0.25 + 0.375 and 0.75 + 1.125 seconds.
func TestCallRetryDelays(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, func(*http.Request) (*http.Response, error) { return reply(500, nil, ""), nil })
		start := time.Now()
		_, err := auth0.Call[auth0.NoContent](t.Context(), c, "GET", "/api/v2/clients", nil, nil, nil, nil)
		took := time.Since(start)
		if err == nil || took < 625*time.Millisecond || took > 1875*time.Millisecond {
			t.Errorf("%v after %v", err, took)
		}
	})
}

func TestCallDoesNotRetry(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]stub{
		"501":        func(*http.Request) (*http.Response, error) { return reply(501, nil, ""), nil },
		"404":        func(*http.Request) (*http.Response, error) { return reply(404, nil, ""), nil },
		"bad scheme": func(*http.Request) (*http.Response, error) { return nil, errors.New("unsupported protocol scheme") },
	} {
		sent := 0
		c := newClient(t, func(r *http.Request) (*http.Response, error) { sent++; return s(r) })
		if _, err := auth0.Call[auth0.NoContent](t.Context(), c, "GET", "/x", nil, nil, nil, nil); err == nil || sent != 1 {
			t.Errorf("%s: sent %d times, %v", name, sent, err)
		}
	}
	sent := 0
	c := newClient(t, func(*http.Request) (*http.Response, error) { sent++; return reply(500, nil, ""), nil })
	if _, err := auth0.Call[auth0.NoContent](t.Context(), c, "PUT", "/x", nil, nil, io.MultiReader(strings.NewReader("once")), []auth0.RequestOption{auth0.ContentType("text/plain")}); err == nil || sent != 1 {
		t.Errorf("a body that can be read once was sent %d times, %v", sent, err)
	}
}

// An answer that breaks off is asked for again where that is safe.
func TestCallRepeatsBrokenAnswers(t *testing.T) {
	t.Parallel()
	for method, want := range map[string]int{"GET": 2, "POST": 1} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				sent := 0
				c := newClient(t, func(*http.Request) (*http.Response, error) {
					if sent++; sent == 1 {
						r := replyJSON(200, `{"n":`)
						r.ContentLength = 8 // more than there is
						return r, nil
					}
					return replyJSON(200, `{"n":5}`), nil
				})
				var m auth0.Meta
				v, err := auth0.Call[numbered](t.Context(), c, method, "/api/v2/x", nil, nil, nil, []auth0.RequestOption{auth0.Capture(&m)})
				if body := []string{`{"n":`, `{"n":5}`}[want-1]; string(m.Body) != body {
					t.Errorf("captured %q, want what came, %q", m.Body, body)
				}
				if sent != want || (err == nil) != (want == 2) {
					t.Errorf("sent %d times: %v, %v", sent, v, err)
				}
				var e *auth0.Error
				if want == 1 && (!errors.As(err, &e) || e.Status != 200 || !errors.Is(err, io.ErrUnexpectedEOF)) {
					t.Errorf("the status of a committed write was lost: %v", err)
				}
			})
		})
	}
}

// The answer to HEAD has the length of what GET would get, and no body.
func TestCallHead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sent := 0
		c := newClient(t, func(*http.Request) (*http.Response, error) {
			sent++
			r := replyJSON(200, "")
			r.Body, r.ContentLength = http.NoBody, 17
			return r, nil
		})
		var m auth0.Meta
		_, err := auth0.Call[auth0.NoContent](t.Context(), c, "HEAD", "/api/v2/x", nil, nil, nil, []auth0.RequestOption{auth0.Capture(&m)})
		if err != nil || sent != 1 || m.Status != 200 || len(m.Body) != 0 {
			t.Errorf("sent %d times: %v, %d, %q", sent, err, m.Status, m.Body)
		}
	})
}

// Tokens and bodies stay on the tenant's own host, redirects or not.
func TestCallRedirects(t *testing.T) {
	t.Parallel()
	var other *http.Request
	serve := func(status int) stub {
		return func(r *http.Request) (*http.Response, error) {
			switch {
			case r.URL.Host != "example.auth0.com":
				other = r
				return replyJSON(200, `{}`), nil
			case r.URL.Path == "/api/v2/near":
				return reply(status, http.Header{"Location": {"/api/v2/there"}}, ""), nil
			case r.URL.Path == "/api/v2/there":
				if r.Header.Get("Authorization") != "Bearer fixed-token" {
					t.Error("a redirect on the own host lost the token")
				}
				return replyJSON(200, `{}`), nil
			}
			return reply(status, http.Header{"Location": {"https://sub.example.auth0.com/leak"}}, ""), nil
		}
	}
	c := newClient(t, serve(302))
	for _, path := range []string{"/api/v2/near", "/api/v2/far"} {
		if _, err := auth0.Call[auth0.NoContent](t.Context(), c, "GET", path, nil, nil, nil, nil); err != nil {
			t.Fatal(err)
		}
	}
	if other == nil || other.Header["Authorization"] != nil {
		t.Errorf("a subdomain was sent the token: %v", other)
	}
	other = nil
	c = newClient(t, serve(307))
	_, err := auth0.Call[auth0.NoContent](t.Context(), c, "POST", "/api/v2/far", nil, nil, map[string]string{"password": "x"}, nil)
	if err == nil || other != nil {
		t.Errorf("a body followed a redirect to another host: %v", err)
	}
}

// A rejection in the form of a redirect to an error page is an error, not the
// page's 200.
func TestCallRejectedByRedirect(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, func(r *http.Request) (*http.Response, error) {
			if r.URL.Path != "/authorize" {
				return reply(200, nil, "<html>sorry</html>"), nil
			}
			return reply(302, http.Header{"Location": {"/oops?error=access_denied&error_description=Global%20rate%20limit%20exceeded"}}, ""), nil
		}, auth0.WithMaxRejections(0))
		_, err := auth0.Call[[]byte](t.Context(), c, "GET", "/authorize", nil, nil, nil, nil)
		var e *auth0.Error
		if !errors.As(err, &e) || e.Status != 302 || !errors.Is(err, auth0.ErrRateLimited) || errors.Is(err, auth0.ErrServer) {
			t.Errorf("error %v", err)
		}
	})
}

// A custom client keeps its jar, its timeout and its redirect policy, over
// retries too.
func TestCallKeepsTheClientsPolicies(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		jar, err := cookiejar.New(nil)
		if err != nil {
			t.Fatal(err)
		}
		var cookies []string
		sent := 0
		hc := &http.Client{
			Jar:           jar,
			Timeout:       time.Second,
			CheckRedirect: func(*http.Request, []*http.Request) error { return errors.New("no redirects here") },
			Transport: stub(func(r *http.Request) (*http.Response, error) {
				sent++
				cookies = append(cookies, r.Header.Get("Cookie"))
				switch r.URL.Path {
				case "/slow":
					<-r.Context().Done()
					return nil, r.Context().Err()
				case "/redirect":
					return reply(302, http.Header{"Location": {"/elsewhere"}}, ""), nil
				}
				return reply(500, http.Header{"Set-Cookie": {"a=b"}}, ""), nil
			}),
		}
		c := newClient(t, nil, auth0.WithHTTPClient(hc))
		if _, err := auth0.Call[auth0.NoContent](t.Context(), c, "GET", "/fail", nil, nil, nil, nil); !errors.Is(err, auth0.ErrServer) {
			t.Errorf("error %v", err)
		}
		if fmt.Sprint(cookies) != "[ a=b a=b]" {
			t.Errorf("cookies %q", cookies)
		}
		start := time.Now()
		if _, err := auth0.Call[auth0.NoContent](t.Context(), c, "POST", "/slow", nil, nil, nil, nil); err == nil || time.Since(start) != time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		if _, err := auth0.Call[auth0.NoContent](t.Context(), c, "GET", "/redirect", nil, nil, nil, []auth0.RequestOption{auth0.NoRetry()}); err == nil || !strings.Contains(err.Error(), "no redirects here") {
			t.Errorf("error %v", err)
		}
	})
}

// A client beneath which a Transport lies already is not throttled twice.
func TestNewUsesATransportInPlace(t *testing.T) {
	t.Parallel()
	tr := auth0.NewTransport(stub(func(*http.Request) (*http.Response, error) { return replyJSON(200, "{}"), nil }), roomy(t))
	c, err := auth0.New("example.auth0.com", auth0.WithHTTPClient(&http.Client{Transport: tr}))
	if err != nil || c.Transport() != tr || c.Limiter() != tr.Limiter {
		t.Errorf("%v", err)
	}
	if _, err := auth0.New("example.auth0.com", auth0.WithHTTPClient(&http.Client{Transport: tr}), auth0.WithLimiter(roomy(t))); err == nil {
		t.Error("two limiters were accepted")
	}
}

func TestOptionsAreChecked(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]auth0.Option{
		"plan": auth0.WithPlan("no such plan"), "own plan": auth0.WithOwnPlan(nil), "limiter": auth0.WithLimiter(nil),
		"reserve": auth0.WithReserve(1), "negative reserve": auth0.WithReserve(-0.1), "rejections": auth0.WithMaxRejections(-1),
		"client": auth0.WithHTTPClient(nil), "retries": auth0.WithRetries(-1), "delays": auth0.WithRetryDelays(2, 1),
		"attempt": auth0.WithAttemptTimeout(-1), "token": auth0.WithToken(""), "token with line break": auth0.WithToken("a\nb"),
		"secret": auth0.WithClientSecret("id", ""), "secret with line break": auth0.WithClientSecret("id", "from-a-file\n"), "key": auth0.WithPrivateKey(auth0.PrivateKey{}), "source": auth0.WithTokenSource(nil),
		"agent": auth0.WithUserAgent("a\r\nb"), "domain": auth0.WithCustomDomain("a\r\nb"),
	} {
		if _, err := auth0.New("example.auth0.com", o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := auth0.New("example.auth0.com", auth0.WithLimiter(roomy(t)), auth0.WithPlan("free")); err == nil {
		t.Error("a limiter and a plan were accepted together")
	}
	c := newClient(t, func(*http.Request) (*http.Response, error) { t.Error("sent"); return reply(200, nil, ""), nil })
	for name, o := range map[string]auth0.RequestOption{
		"reserve": auth0.Reserve(2), "header": auth0.Header("a b", ""), "empty header": auth0.Header("", ""), "header value": auth0.Header("A", "a\r\nB: c"),
		"authorization": auth0.Header("authorization", "x"), "host": auth0.Header("Host", "x"), "query": auth0.Query(""),
		"content type": auth0.ContentType(""), "timeout": auth0.AttemptTimeout(-1), "bearer": auth0.Bearer(" "), "source": auth0.BearerFrom(nil), "domain": auth0.CustomDomain(""),
	} {
		if _, err := auth0.Call[auth0.NoContent](t.Context(), c, "GET", "/x", nil, nil, nil, []auth0.RequestOption{nil, o}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := auth0.Call[auth0.NoContent](t.Context(), c, "POST", "/x", nil, nil, []byte("x"), nil); err == nil {
		t.Error("bytes were sent without a content type")
	}
	if _, err := auth0.Call[auth0.NoContent](t.Context(), c, "POST", "/x", nil, nil, make(chan int), nil); err == nil {
		t.Error("a channel was sent")
	}
}

func TestRequestOptions(t *testing.T) {
	t.Parallel()
	var got *http.Request
	c := newClient(t, func(r *http.Request) (*http.Response, error) { got = r; return replyJSON(200, "{}"), nil }, auth0.WithCustomDomain("login.example.com"))
	call := func(method, path string, opts ...auth0.RequestOption) {
		t.Helper()
		if _, err := auth0.Call[auth0.NoContent](t.Context(), c, method, path, nil, url.Values{"a": {"1"}, "b": {"2"}}, nil, opts); err != nil {
			t.Fatal(err)
		}
	}
	call("GET", "/api/v2/users", auth0.Query("b", "3", "4"), auth0.Query("c", "5"))
	if got.URL.RawQuery != "a=1&b=3&b=4&c=5" || got.Header.Get("Authorization") != "Bearer fixed-token" || got.Header.Get("Auth0-Custom-Domain") != "" {
		t.Errorf("%s %v", got.URL.RawQuery, got.Header)
	}
	call("POST", "/api/v2/users")
	if got.Header.Get("Auth0-Custom-Domain") != "login.example.com" {
		t.Errorf("%v", got.Header)
	}
	call("GET", "/userinfo")
	if got.Header["Authorization"] != nil {
		t.Error("the client's token was sent beyond /api/v2/")
	}
	call("GET", "/userinfo", auth0.Bearer("the-users"))
	if got.Header.Get("Authorization") != "Bearer the-users" {
		t.Errorf("%v", got.Header)
	}
	call("GET", "/api/v2/users", auth0.BearerFrom(auth0.StaticToken("from-source")))
	if got.Header.Get("Authorization") != "Bearer from-source" {
		t.Errorf("%v", got.Header)
	}
	if _, err := auth0.Call[auth0.NoContent](t.Context(), c, "GET", "/x", nil, nil, nil, []auth0.RequestOption{auth0.BearerFrom(auth0.TokenSourceFunc(func(context.Context) (auth0.Token, error) { return auth0.Token{}, nil }))}); err == nil {
		t.Error("an empty token was sent")
	}
}

func TestNewFromEnv(t *testing.T) {
	for _, name := range []string{auth0.EnvDomain, auth0.EnvClientID, auth0.EnvClientSecret, auth0.EnvToken, auth0.EnvPlan} {
		t.Setenv(name, "")
	}
	if _, err := auth0.NewFromEnv(); err == nil || !strings.Contains(err.Error(), "AUTH0_DOMAIN") {
		t.Errorf("error %v", err)
	}
	t.Setenv(auth0.EnvDomain, "example.auth0.com")
	if _, err := auth0.NewFromEnv(); err == nil || !strings.Contains(err.Error(), "AUTH0_TOKEN") {
		t.Errorf("error %v", err)
	}
	if _, err := auth0.NewFromEnv(auth0.WithToken("x")); err != nil {
		t.Errorf("error %v", err)
	}
	t.Setenv(auth0.EnvClientID, "id")
	t.Setenv(auth0.EnvClientSecret, "secret")
	if c, err := auth0.NewFromEnv(); err != nil || c.ClientID() != "id" || c.Domain() != "example.auth0.com" {
		t.Errorf("%v %v", c, err)
	}
	t.Setenv(auth0.EnvPlan, "no such plan")
	if _, err := auth0.NewFromEnv(); err == nil {
		t.Error("an unknown plan was accepted")
	}
	if _, err := auth0.NewFromEnv(auth0.WithLimiter(roomy(t))); err != nil {
		t.Errorf("a limiter given did not win over the plan of the environment: %v", err)
	}
	t.Setenv(auth0.EnvPlan, "enterprise")
	t.Setenv(auth0.EnvToken, "tok")
	c, err := auth0.NewFromEnv()
	if err != nil {
		t.Fatal(err)
	}
	if tok, err := c.Token(t.Context()); err != nil || tok.AccessToken != "tok" {
		t.Errorf("%v", err)
	}
}

// Everything at once, over a real connection.
func TestCallConcurrently(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/oauth/token" {
			_, _ = io.WriteString(w, `{"access_token":"t","expires_in":86400}`)
			return
		}
		_, _ = io.Copy(w, r.Body)
	}))
	defer srv.Close()
	c, err := auth0.New(srv.URL, auth0.WithLimiter(roomy(t)), auth0.WithClientSecret("id", "secret"), auth0.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseIdleConnections()
	errs := make(chan error)
	for i := range 50 {
		go func() {
			v, err := auth0.Call[numbered](t.Context(), c, "POST", "/api/v2/echo/{id}", []string{fmt.Sprint(i)}, nil, numbered{i}, []auth0.RequestOption{auth0.Priority(ratelimit.PriorityBatch)})
			if err == nil && v.N != i {
				err = fmt.Errorf("got %d for %d", v.N, i)
			}
			errs <- err
		}()
	}
	for range 50 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

// TestAttemptTimeoutOptionAgain uses one option for two calls, as each page of a list and every program with a slice of options does.
func TestAttemptTimeoutOptionAgain(t *testing.T) {
	t.Parallel()
	c := newClient(t, func(*http.Request) (*http.Response, error) { return replyJSON(http.StatusOK, `{}`), nil })
	opts := []auth0.RequestOption{auth0.AttemptTimeout(0)}
	for range 2 {
		if _, err := auth0.Call[auth0.NoContent](t.Context(), c, "GET", "/api/v2/clients", nil, nil, nil, opts); err != nil {
			t.Error(err)
		}
	}
}
