package auth0_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/headroom-go/auth0"
)

// Whatever stands in a path argument, it stays one segment and arrives whole.
func FuzzPathArguments(f *testing.F) {
	for _, s := range []string{"auth0|1", "..", ".", "", "a/b", "%2e%2e", "a?b#c", "a;b", "é", "\x00", "\xff", "...", "{id}", "a%"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, arg string) {
		var sent *url.URL
		c := newClient(t, func(r *http.Request) (*http.Response, error) { sent = r.URL; return reply(204, nil, ""), nil })
		_, err := auth0.Call[auth0.NoContent](t.Context(), c, "GET", "/api/v2/users/{id}/roles", []string{arg}, nil, nil, nil)
		if arg == "" || arg == "." || arg == ".." {
			if err == nil || sent != nil {
				t.Fatalf("%q was sent as %v", arg, sent)
			}
			return
		}
		if err != nil {
			t.Fatalf("%q: %v", arg, err)
		}
		segments := strings.Split(sent.EscapedPath(), "/")
		if len(segments) != 6 || segments[3] != "users" || segments[5] != "roles" || sent.RawQuery != "" || sent.Fragment != "" {
			t.Fatalf("%q became %s", arg, sent)
		}
		if back, err := url.PathUnescape(segments[4]); err != nil || back != arg {
			t.Errorf("%q arrives as %q, %v", arg, back, err)
		}
	})
}

// Bodies that decide a limit are read as the server reads them, and are sent as
// they were.
func FuzzRouteBodies(f *testing.F) {
	for _, s := range []string{`{"grant_type":"password"}`, `{"grant_type":1}`, `{"a":{"grant_type":"x"},"grant_type":"y"}`, `{"grant_type":"a","grant_type":"b"}`, `{"grant_type":"\u0061"}`, `{`, `[]`, `{"a":"}","grant_type":"z"}`, "grant_type=password&a=%zz"} {
		f.Add(s, true, true)
		f.Add(s, false, false)
	}
	f.Fuzz(func(t *testing.T, body string, asJSON, streamed bool) {
		req := newRequest(t, "POST", "/oauth/token", strings.NewReader(body))
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if asJSON {
			req.Header.Set("Content-Type", "application/json")
		}
		if streamed {
			req.GetBody = nil
		}
		details, sent := auth0.DetailsOf(req)
		got := details.BodyField("grant_type")
		if len(body) < 64<<10 && asJSON && json.Valid([]byte(body)) {
			var object map[string]any
			want := ""
			if json.Unmarshal([]byte(body), &object) == nil {
				want, _ = object["grant_type"].(string)
			}
			if got != want {
				t.Errorf("grant_type of %q is %q, want %q", body, got, want)
			}
		}
		if s := sent(); s != body {
			t.Errorf("%q was sent as %q", body, s)
		}
	})
}

// A list that encoding/json understands is understood in the same way, and
// what it refuses is refused.
func FuzzListAnswers(f *testing.F) {
	for _, s := range []string{`{"users":[{"n":1}],"total":1}`, `[{"n":1}]`, `{"users":null}`, `{"users":[{"n":"x"},null]}`, `{"x":"\"}","users":[]}`, `{"users":[]}}`, `{"a":1,}`, ` `, `{"users":[{"n":1}],"users":[]}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, body string) {
		c := newClient(t, func(*http.Request) (*http.Response, error) { return replyJSON(200, body), nil })
		p, err := auth0.List[numbered](t.Context(), c, "/api/v2/users", nil, nil, auth0.Paging{Items: "users"}, nil)
		q, qErr := auth0.List[*lenientEntry](t.Context(), c, "/api/v2/users", nil, nil, auth0.Paging{Items: "users"}, nil)
		if (err == nil) != (qErr == nil) || err == nil && len(p.Items) != len(q.Items) || qErr == nil && slices.Contains(q.Items, nil) {
			t.Fatalf("%q: one by one %+v, %v; at once %+v, %v", body, q, qErr, p, err)
		}
		var object struct {
			Users []numbered `json:"-"`
			Raw   map[string]json.RawMessage
		}
		if json.Unmarshal([]byte(body), &object.Raw) != nil || object.Raw == nil {
			return
		}
		if err != nil {
			t.Fatalf("%q: %v", body, err)
		}
		if json.Unmarshal(object.Raw["users"], &object.Users) == nil && len(p.Items) != len(object.Users) {
			t.Errorf("%q: %d items, want %d", body, len(p.Items), len(object.Users))
		}
	})
}
