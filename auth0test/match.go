package auth0test

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/headroom-go/auth0/ratelimit"
)

// The matcher of the tenant is slow and plain on purpose: it is what the fast
// router of package ratelimit is checked against, so it reads like the
// published rows.

// splitPath returns the segments of an escaped path, each decoded. Empty
// segments are left out and dot segments resolved, as servers do.
func splitPath(path string) []string {
	var segs []string
	for s := range strings.SplitSeq(path, "/") {
		if u, err := url.PathUnescape(s); err == nil {
			s = u
		}
		switch s {
		case "", ".":
		case "..":
			segs = segs[:max(0, len(segs)-1)]
		default:
			segs = append(segs, s)
		}
	}
	return segs
}

// isBrace reports whether a segment of a pattern stands for any segment.
func isBrace(s string) bool { return strings.HasPrefix(s, "{") && strings.HasSuffix(s, "}") }

// pattern is a path with braces, split; it holds nothing to decode. A segment in
// braces stands for any one segment, a last segment * for any rest, also an empty one.
type pattern []string

func splitPattern(path string) pattern {
	return slices.DeleteFunc(strings.Split(path, "/"), func(s string) bool { return s == "" })
}

// match reports whether the pattern covers a path and what its braces stand for.
func (p pattern) match(segs []string) (map[string]string, bool) {
	for i, w := range p { // most patterns differ early: look before anything is built
		if w == "*" && i == len(p)-1 {
			break
		}
		if i >= len(segs) || w != segs[i] && !isBrace(w) {
			return nil, false
		}
	}
	var params map[string]string
	for i, w := range p {
		if w == "*" && i == len(p)-1 {
			return params, true
		}
		if isBrace(w) {
			if params == nil {
				params = make(map[string]string)
			}
			params[w[1:len(w)-1]] = segs[i]
		}
	}
	if len(p) != len(segs) {
		return nil, false
	}
	return params, true
}

// hit is a bucket that a request draws from.
type hit struct {
	bucket int
	params map[string]string // what the braces of the path stand for
	width  []int             // sorts buckets of one role from wide to narrow
}

// draws reports whether a request draws from a bucket by what it asks for
// alone, and how narrowly.
func (t *Tenant) draws(c *call, bucket int) (hit, bool) {
	b := &t.buckets[bucket]
	method := c.method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	found := hit{bucket: bucket}
	for i := range b.Matches {
		m := &b.Matches[i]
		if m.Event != "" || m.Method != "*" && m.Method != method {
			continue
		}
		params, ok := t.patterns[bucket][i].match(c.segs)
		if !ok || slices.ContainsFunc(m.When, func(cond ratelimit.Condition) bool { return !t.holds(c, &cond) }) {
			continue
		}
		literals, length := 0, 0
		for _, s := range t.patterns[bucket][i] {
			switch {
			case s == "*":
				length--
			case isBrace(s):
				length += 2
			default:
				length += 2
				literals++
			}
		}
		width := []int{literals, length, int(b.Key), len(m.When)}
		if found.width == nil || slices.Compare(found.width, width) < 0 {
			found.params, found.width = params, width
		}
	}
	return found, found.width != nil
}

// holds reports whether a condition holds.
func (t *Tenant) holds(c *call, cond *ratelimit.Condition) bool {
	var value string
	var given bool
	switch cond.In {
	case ratelimit.InQuery:
		_, given = c.query[cond.Name]
		value = c.query.Get(cond.Name)
	case ratelimit.InBody:
		value = c.field(cond.Name)
		given = value != ""
	case ratelimit.InToken:
		value = t.claim(c, cond.Name)
		given = value != ""
	case ratelimit.InPath:
		// With a slash at the end, so that a prefix takes in its own root.
		value, given = "/"+strings.Join(c.segs, "/")+"/", true
	}
	if !given || cond.Equals != "" && value != cond.Equals {
		return false
	}
	if slices.ContainsFunc(cond.NoPrefix, func(p string) bool { return strings.HasPrefix(value, p) }) {
		return false
	}
	return len(cond.AnyWord) == 0 || slices.ContainsFunc(strings.Fields(value), func(w string) bool { return slices.Contains(cond.AnyWord, w) })
}

// matching returns the buckets that a request draws from in the order in which
// they are asked: those of whole APIs, then those of everything else in an API,
// then those of endpoints, each from wide to narrow.
func (t *Tenant) matching(c *call) []hit {
	var hits []hit
	listed := make(map[string]bool) // APIs of which an endpoint bucket applies
	passed := make(map[string]bool) // buckets that others stand in for
	for i := range t.buckets {
		b := &t.buckets[i]
		if b.Concurrent > 0 {
			continue
		}
		if h, ok := t.draws(c, i); ok {
			hits = append(hits, h)
			if b.Role == ratelimit.RoleEndpoint {
				listed[b.API] = true
			}
			for _, name := range b.Instead {
				passed[name] = true
			}
		}
	}
	hits = slices.DeleteFunc(hits, func(h hit) bool {
		b := &t.buckets[h.bucket]
		return passed[b.Name] || b.Role == ratelimit.RoleCatchAll && listed[b.API]
	})
	rank := func(h hit) int {
		switch t.buckets[h.bucket].Role {
		case ratelimit.RoleGlobal:
			return 0
		case ratelimit.RoleCatchAll:
			return 1
		}
		return 2
	}
	slices.SortStableFunc(hits, func(a, b hit) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), slices.Compare(a.width, b.width))
	})
	return hits
}

// identity returns whose counter of a bucket a request draws from. Where a
// request does not carry what the key asks for, all such requests share one.
func (t *Tenant) identity(c *call, h hit) string {
	key := t.buckets[h.bucket].Key
	who := func() string {
		return strings.ToLower(firstOf(c.field("username"), c.field("email"), c.field("user_id")))
	}
	prompt := func() string { return strings.Join(c.segs, "/") }
	switch key {
	case ratelimit.KeyIP:
		return t.ip(c)
	case ratelimit.KeyIPEmail:
		return t.ip(c) + "\n" + strings.ToLower(firstOf(c.field("email"), c.field("username")))
	case ratelimit.KeyIPUser:
		return t.ip(c) + "\n" + who()
	case ratelimit.KeyIPPrompt:
		return t.ip(c) + "\n" + prompt()
	case ratelimit.KeyIPState:
		return t.ip(c) + "\n" + prompt() + "\n" + c.query.Get("state")
	case ratelimit.KeyUser:
		return who()
	case ratelimit.KeySubject:
		// A token that is no JWT still tells one caller from another.
		return firstOf(t.claim(c, "sub"), digest(c.bearer()))
	case ratelimit.KeyOrganization:
		return t.claim(c, "org_id")
	case ratelimit.KeySession:
		return digest(c.field("mfa_token"))
	case ratelimit.KeyConnection:
		for name, v := range h.params {
			if strings.Contains(name, "connection") {
				return v
			}
		}
	}
	return ""
}
