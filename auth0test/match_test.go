package auth0test

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/headroom-go/auth0/ratelimit"
)

// details shows a call to ratelimit's router.
type details struct {
	t *Tenant
	c *call
}

func (d details) BodyField(name string) string  { return d.c.field(name) }
func (d details) TokenClaim(name string) string { return d.t.claim(d.c, name) }
func (d details) ClientIP() string              { return d.t.ip(d.c) }

// requestFor builds a request that meets a match, with the i-th of its
// conditions left unmet; none for -1.
func requestFor(m *ratelimit.Match, unmet int) *http.Request {
	method := m.Method
	if method == "*" {
		method = "PATCH"
	}
	path := strings.ReplaceAll(fill(m.Path), "*", "some/more")
	query, form, token := url.Values{}, url.Values{}, map[string]any{}
	for i, c := range m.When {
		value := c.Equals
		if value == "" {
			value = "something"
		}
		if len(c.AnyWord) > 0 {
			value = "first " + c.AnyWord[0]
		}
		if i == unmet {
			value = "" // not given at all
		}
		switch {
		case c.In == ratelimit.InQuery && i != unmet:
			query.Set(c.Name, value)
		case c.In == ratelimit.InBody:
			form.Set(c.Name, value)
		case c.In == ratelimit.InToken:
			token[c.Name] = value
		}
	}
	u := base + path
	if len(query) > 0 {
		u += "?" + query.Encode()
	}
	r, err := http.NewRequestWithContext(context.Background(), method, u, nil)
	if err != nil {
		panic(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Authorization", "Bearer e30."+strings.TrimRight(b64(string(mustJSON(token))), "=")+".s")
	r.Header.Set("X-Body", form.Encode()) // carried to the call below
	return r
}

// The tenant's plain matcher and ratelimit's router were written apart. They
// must send every request that any plan speaks of to the same buckets in the
// same order, under every plan, and agree on which of them count by identity.
func TestMatcherAgreesWithRouter(t *testing.T) {
	t.Parallel()
	var requests []*http.Request
	seen := make(map[string]bool)
	add := func(r *http.Request) {
		id := r.Method + " " + r.URL.String() + " " + r.Header.Get("X-Body") + r.Header.Get("Authorization")
		if !seen[id] {
			seen[id] = true
			requests = append(requests, r)
		}
	}
	var plans []*ratelimit.Plan
	for _, name := range ratelimit.Names() {
		p, err := ratelimit.Named(name)
		if err != nil {
			t.Fatal(err)
		}
		plans = append(plans, p)
		for i := range p.Buckets {
			for j := range p.Buckets[i].Matches {
				m := &p.Buckets[i].Matches[j]
				if m.Event != "" {
					continue
				}
				for unmet := -1; unmet < len(m.When); unmet++ {
					add(requestFor(m, unmet))
				}
			}
		}
	}
	for _, row := range publishedRows(t) {
		add(requestFor(&ratelimit.Match{Method: row.method, Path: row.path}, -1))
	}
	for _, path := range []string{"/", "/api", "/api/v2", "/api/v2/", "/api/v2/users", "/api//v2/users/../clients", "/api/v2/%75sers", "/api/v2/users%2Fx", "/me/v1/x", "/my-org/v1/y", "/u/login", "/u/a/b", "/nothing/here"} {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} {
			add(requestFor(&ratelimit.Match{Method: method, Path: path}, -1))
		}
	}
	if len(plans) < 12 || len(requests) < 350 {
		t.Fatalf("%d plans and %d requests: too few to mean anything", len(plans), len(requests))
	}
	for _, p := range plans {
		tenant := MustNew(Options{Plan: p})
		for _, r := range requests {
			c := newCall(r, []byte(r.Header.Get("X-Body")), 0)
			var mine []string
			for _, h := range tenant.matching(c) {
				mine = append(mine, p.Buckets[h.bucket].Name)
			}
			route := p.Route(&ratelimit.Request{Method: r.Method, Path: c.path, RawQuery: r.URL.RawQuery, Details: details{tenant, c}})
			var theirs []string
			for i, b := range route.Buckets[:route.N] {
				if p.Buckets[b].Concurrent > 0 {
					continue // bounds on jobs are kept by the operation itself
				}
				theirs = append(theirs, p.Buckets[b].Name)
				if keyed := p.Buckets[b].Key != ratelimit.KeyTenant; keyed != (route.Keys[i] != 0) {
					t.Errorf("%s: %s %s: bucket %q: key %d", p.Name, r.Method, r.URL, p.Buckets[b].Name, route.Keys[i])
				}
			}
			if !slices.Equal(mine, theirs) {
				t.Errorf("%s: %s %s %s: the tenant charges %q, the router %q", p.Name, r.Method, r.URL, r.Header.Get("X-Body"), mine, theirs)
			}
		}
	}
}

func TestSplitPath(t *testing.T) {
	t.Parallel()
	for path, want := range map[string][]string{
		"":                        nil,
		"/":                       nil,
		"/api/v2/users":           {"api", "v2", "users"},
		"//api/./v2/x/../users/":  {"api", "v2", "users"},
		"/users/auth0%7C1%2F2":    {"users", "auth0|1/2"},
		"/users/%2e%2e/secrets":   {"secrets"},
		"/../../x":                {"x"},
		"/users/100%25%zz/logs":   {"users", "100%25%zz", "logs"},
		"/users/%E2%9C%93+a%20b/": {"users", "✓+a b"},
	} {
		if got := splitPath(path); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", path, got, want)
		}
	}
}

func TestPattern(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		pattern, path string
		want          bool
		id            string
	}{
		{"/users/{id}", "/users/a%2Fb", true, "a/b"},
		{"/users/{id}", "/users", false, ""},
		{"/users/{id}", "/users/a/b", false, ""},
		{"/users/{id}/logs", "/users/a/logs", true, "a"},
		{"/users/{id}/logs", "/users/a/Logs", false, ""},
		{"/u/*", "/u", true, ""},
		{"/u/*", "/u/a/b", true, ""},
		{"/u/*", "/v", false, ""},
		{"/*", "/", true, ""},
		{"/", "/", true, ""},
		{"/", "/x", false, ""},
	} {
		params, ok := splitPattern(tt.pattern).match(splitPath(tt.path))
		if ok != tt.want || params["id"] != tt.id {
			t.Errorf("%s on %s: %v with %q, want %v with %q", tt.pattern, tt.path, ok, params["id"], tt.want, tt.id)
		}
	}
}
