package ratelimit

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

// plainSegments splits a path as Route documents it, by other means.
func plainSegments(path string) []string {
	var segments []string
	encoded := regexp.MustCompile(`%[0-9A-Fa-f]{2}`)
	for s := range strings.SplitSeq(path, "/") {
		s = encoded.ReplaceAllStringFunc(s, func(e string) string {
			d, err := url.PathUnescape(e)
			if err != nil {
				panic(err)
			}
			return d
		})
		switch s {
		case "", ".":
		case "..":
			segments = segments[:max(0, len(segments)-1)]
		default:
			segments = append(segments, s)
		}
	}
	return segments
}

// plainMatch compares segment by segment.
func plainMatch(pattern string, segments []string) bool {
	want := strings.FieldsFunc(pattern, func(r rune) bool { return r == '/' })
	for i, w := range want {
		if w == "*" && i == len(want)-1 {
			return true
		}
		if i >= len(segments) || w[0] != '{' && w != segments[i] {
			return false
		}
	}
	return len(want) == len(segments)
}

// plainHolds evaluates a condition.
func plainHolds(c Condition, r *Request, segments []string) bool {
	var value string
	given := false
	switch c.In {
	case InPath:
		for _, prefix := range c.NoPrefix {
			if strings.HasPrefix("/"+strings.Join(segments, "/")+"/", prefix) {
				// A slash inside a segment must not look like the end of one.
				n := strings.Count(prefix, "/") - 1
				if slices.Equal(segments[:min(n, len(segments))], strings.Split(strings.Trim(prefix, "/"), "/")) {
					return false
				}
			}
		}
		return true
	case InQuery:
		for parameter := range strings.SplitSeq(r.RawQuery, "&") {
			n, v, _ := strings.Cut(parameter, "=")
			if d, err := url.QueryUnescape(n); err == nil {
				n = d
			}
			if d, err := url.QueryUnescape(v); err == nil {
				v = d
			}
			if n == c.Name && parameter != "" {
				value, given = v, true
				break
			}
		}
	case InBody:
		value = r.Details.BodyField(c.Name)
		given = value != ""
	case InToken:
		value = r.Details.TokenClaim(c.Name)
		given = value != ""
	}
	if !given || c.Equals != "" && c.Equals != value {
		return false
	}
	for _, p := range c.NoPrefix {
		if strings.HasPrefix(value, p) {
			return false
		}
	}
	return c.AnyWord == nil || slices.ContainsFunc(strings.Split(value, " "), func(w string) bool { return slices.Contains(c.AnyWord, w) })
}

// plainRoute finds the buckets of a request by trying every match of the plan.
func plainRoute(p *Plan, r *Request) []string {
	segments := plainSegments(r.Path)
	method := r.Method
	if method == "" || method == "HEAD" {
		method = "GET"
	}
	hit := map[string]bool{}
	passed := map[string]bool{}
	listed := map[string]bool{}
	for _, b := range p.Buckets {
		hit[b.Name] = slices.ContainsFunc(b.Matches, func(m Match) bool {
			return m.Event == "" && (m.Method == "*" || m.Method == method) && plainMatch(m.Path, segments) &&
				!slices.ContainsFunc(m.When, func(c Condition) bool { return !plainHolds(c, r, segments) })
		})
		if hit[b.Name] {
			listed[b.API] = listed[b.API] || b.Role == RoleEndpoint && b.Concurrent == 0
			for _, other := range b.Instead {
				passed[other] = true
			}
		}
	}
	var names []string
	for _, b := range p.Buckets {
		if hit[b.Name] && !passed[b.Name] && (b.Role != RoleCatchAll || !listed[b.API]) {
			names = append(names, b.Name)
		}
	}
	slices.Sort(names)
	return names
}

// readings holds plans with changes, as map[[2]any]*Plan.
var readings sync.Map

// readPlan returns a plan in one of several readings, a bit for each.
func readPlan(t *testing.T, name string, changes byte) *Plan {
	t.Helper()
	key := [2]any{name, changes}
	if p, ok := readings.Load(key); ok {
		return p.(*Plan)
	}
	p := mustPlan(t, name)
	var all []Change
	for i, c := range []Change{NarrowestOnly(), SeparateCounters(), ConfirmedOnly(), TableOnly(), FixedWindows()} {
		if changes>>i&1 != 0 {
			all = append(all, c)
		}
	}
	if changes&0x80 != 0 && strings.HasPrefix(name, "private-cloud") {
		all = append(all, OutsideAPILevel("management", "authentication"))
	}
	p, err := p.With(all...)
	if err != nil {
		t.Fatal(err)
	}
	readings.Store(key, p)
	return p
}

// FuzzRoute compares the prepared router with trying every match, for requests
// and bodies of any kind.
func FuzzRoute(f *testing.F) {
	plans := append(Names(), "auto")
	for i, row := range [][4]string{
		{"GET", "/api/v2/clients", "q=1", ""},
		{"POST", "/oauth/token", "", "grant_type=urn:ietf:params:oauth:grant-type:token-exchange&subject_token_type=urn:x"},
		{"GET", "/u/mfa-sms-enrollment", "state=x%20y&%73tate=z", ""},
		{"POST", "/dbconnections/change_password", "", "email=A@b.c"},
		{"GET", "/scim/v2/connections/a%2Fb/./../Users", "", ""},
		{"HEAD", "//api/v2/%2e%2e/v2/users/%", "type", "sub=x&scope=read:current_user+a"},
		{"GET", "/me/v1/authentication-methods", "type=", "sub=1"},
		{"*", "/my-org/v1/x/../..", "&&=&", "org_id=%00"},
	} {
		f.Add(byte(i), byte(i), row[0], row[1], row[2], row[3])
	}
	f.Fuzz(func(t *testing.T, plan, changes byte, method, path, query, body string) {
		p := readPlan(t, plans[int(plan)%len(plans)], changes)
		details := fields{}
		for pair := range strings.SplitSeq(body, "&") {
			name, value, _ := strings.Cut(pair, "=")
			details[name], details["token "+name] = value, value
		}
		r := &Request{Method: method, Path: path, RawQuery: query, Details: details}
		route := p.Route(r)
		if route.N < 0 || route.N > len(route.Buckets) {
			t.Fatalf("%d buckets", route.N)
		}
		var names []string
		role := RoleGlobal
		for i, b := range route.Buckets[:route.N] {
			bucket := &p.Buckets[b]
			names = append(names, bucket.Name)
			if (route.Keys[i] == 0) != (bucket.Key == KeyTenant) {
				t.Fatalf("%s: key %x", bucket.Name, route.Keys[i])
			}
			if bucket.Role == RoleGlobal && role != RoleGlobal {
				t.Fatalf("a whole API's bucket after others: %q", names)
			}
			role = bucket.Role
		}
		slices.Sort(names)
		if want := plainRoute(p, r); !slices.Equal(names, want) {
			t.Fatalf("%s: %s %q?%q %v: %q, want %q", p.Name, method, path, query, details, names, want)
		}
		if again := p.Route(r); again != route {
			t.Fatalf("%+v, then %+v", route, again)
		}
	})
}
