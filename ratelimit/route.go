package ratelimit

import (
	"hash/maphash"
	"net/url"
	"slices"
	"strings"
	"sync"
)

// maxRouteBuckets is the number of buckets that one request may draw from.
const maxRouteBuckets = 6

// maxRouteIndex bounds the number of buckets of a plan.
const maxRouteIndex = 1 << 16

// Route says which buckets of a plan a request draws from.
type Route struct {
	// Template is the caller's template, or else the path of the narrowest
	// match, such as "/api/v2/users/{id}"; "" if none matches.
	Template string
	// N is the number of buckets; 0 for a request that no bucket counts.
	N int
	// Buckets are indices into Plan.Buckets: first those of whole APIs, then
	// catch-alls, then endpoints, each from wide to narrow.
	Buckets [maxRouteBuckets]uint16
	// Keys tell counters of a bucket apart: 0 where the tenant has one counter,
	// else a hash of the identity that the bucket counts by. Hashes hold for
	// this process only.
	Keys [maxRouteBuckets]uint64

	fixed bool // it follows from method and template alone
}

// Route returns the buckets that the request draws from. It is safe for
// concurrent use and allocates nothing for most requests; the first call for a
// plan prepares it.
//
// Paths are compared decoded, segment by segment: %2F stays within its segment.
// Empty segments (a doubled or trailing slash) are skipped and dot segments
// resolved, as servers in front of an API do, so that no spelling of a path
// escapes its bucket. Upper and lower case differ. HEAD counts as GET, an empty
// method too. A Template stands in for the path, except where a bucket counts by
// a part of the path.
func (p *Plan) Route(r *Request) (route Route) {
	p.prepared().route(r, &route)
	return route
}

// prepared returns the plan's router, made on first use.
func (p *Plan) prepared() *planRouter {
	if r := p.router.Load(); r != nil {
		return r
	}
	p.router.CompareAndSwap(nil, newPlanRouter(p))
	return p.router.Load()
}

// add appends a bucket; what does not fit is dropped, which validation rules
// out for any request that it can foresee.
func (r *Route) add(bucket uint16, key uint64) {
	if r.N < maxRouteBuckets {
		r.Buckets[r.N], r.Keys[r.N] = bucket, key
		r.N++
	}
}

// route finds the leaf of a request and evaluates it.
func (r *planRouter) route(q *Request, route *Route) {
	path, leaf, dots := q.Path, (*routeLeaf)(nil), false
	fixed := false
	if q.Template != "" {
		leaf, dots = r.find(q.Method, q.Template)
		fixed = leaf != nil
		if path == "" {
			path = q.Template
		}
	}
	if leaf == nil && !dots {
		leaf, dots = r.find(q.Method, path)
	}
	if dots {
		path = resolveDots(path)
		leaf, _ = r.find(q.Method, path)
	}
	if leaf != nil {
		*route = leaf.route
		route.fixed = fixed && leaf.plain
		if !leaf.plain {
			leaf.evaluate(q, path, r.seed, route)
		}
	}
	if q.Template != "" {
		route.Template = q.Template
	}
}

// find follows the path. dots reports a dot segment, which needs another path.
func (r *planRouter) find(method, path string) (leaf *routeLeaf, dots bool) {
	s := r.start
	for i := 0; s != nil; {
		for i < len(path) && path[i] == '/' {
			i++
		}
		if i == len(path) {
			break
		}
		segment := path[i:]
		if end := strings.IndexByte(segment, '/'); end >= 0 {
			segment = segment[:end]
		}
		i += len(segment)
		if segment[0] == '.' && (segment == "." || segment == "..") {
			return nil, true
		}
		next, ok := s.literal(segment)
		if !ok && len(segment) <= 3*max(len(s.literals), len("..")) && strings.IndexByte(segment, '%') >= 0 {
			// An encoded letter is the letter to a server. Segments that are
			// longer than any literal encoded in full need no look.
			var buf [128]byte
			if decoded, fits := unescapeInto(buf[:0], segment, max(len(s.literals), len(".."))); fits {
				if string(decoded) == "." || string(decoded) == ".." {
					return nil, true
				}
				next, ok = s.literal(string(decoded))
			}
		}
		if !ok {
			next = s.other
		}
		s = next
	}
	if s == nil {
		return nil, hasDots(path)
	}
	if len(s.leaves) == 0 {
		return nil, false
	}
	if method == "" || method == "HEAD" {
		method = "GET"
	}
	last := len(s.leaves) - 1
	for i := range last {
		if s.leaves[i].method == method {
			return &s.leaves[i], false
		}
	}
	if len(s.leaves[last].items) == 0 {
		return nil, false
	}
	return &s.leaves[last], false
}

// nextSegment cuts off the first segment that is not empty.
func nextSegment(path string) (segment, rest string, ok bool) {
	for len(path) > 0 && path[0] == '/' {
		path = path[1:]
	}
	if path == "" {
		return "", "", false
	}
	if i := strings.IndexByte(path, '/'); i >= 0 {
		return path[:i], path[i:], true
	}
	return path, "", true
}

// unescapeInto decodes a segment into buf. fits is false if that takes more
// than most bytes or buf's capacity.
func unescapeInto(buf []byte, segment string, most int) (decoded []byte, fits bool) {
	for i := 0; i < len(segment); i++ {
		c := segment[i]
		if c == '%' && i+2 < len(segment) {
			hi, lo := routeHex(segment[i+1]), routeHex(segment[i+2])
			if hi >= 0 && lo >= 0 {
				c = byte(hi<<4 | lo)
				i += 2
			}
		}
		if len(buf) == most || len(buf) == cap(buf) {
			return nil, false
		}
		buf = append(buf, c)
	}
	return buf, true
}

// routeHex returns the value of a hexadecimal digit, or -1.
func routeHex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return -1
}

// hasDots reports whether a path has dot segments.
func hasDots(path string) bool {
	for {
		segment, rest, more := nextSegment(path)
		if !more {
			return false
		}
		if segment = decodeText(segment); segment == "." || segment == ".." {
			return true
		}
		path = rest
	}
}

// resolveDots takes dot segments out of a path.
func resolveDots(path string) string {
	var kept []string
	for {
		segment, rest, more := nextSegment(path)
		if !more {
			return "/" + strings.Join(kept, "/")
		}
		path = rest
		switch decodeText(segment) {
		case ".":
		case "..":
			kept = kept[:max(0, len(kept)-1)]
		default:
			kept = append(kept, segment)
		}
	}
}

// decodeText decodes percent signs where they are valid.
func decodeText(s string) string {
	if strings.IndexByte(s, '%') < 0 {
		return s
	}
	if decoded, ok := unescapeInto(make([]byte, 0, len(s)), s, len(s)); ok {
		return string(decoded)
	}
	return s
}

// evaluate adds the buckets whose conditions hold.
func (leaf *routeLeaf) evaluate(q *Request, path string, seed maphash.Seed, route *Route) {
	var hits, blocked uint64
	for i := range leaf.items {
		it := &leaf.items[i]
		if it.always || it.holds(q) {
			hits |= 1 << i
			blocked |= it.blocks
		}
	}
	for i := range leaf.items {
		it := &leaf.items[i]
		if bit := uint64(1) << i; hits&bit == 0 || blocked&bit != 0 || it.against&hits != 0 {
			continue
		}
		var key uint64
		if it.key != KeyTenant {
			key = it.identity(q, path, seed)
		}
		route.add(it.bucket, key)
	}
}

// holds reports whether the conditions of any of the item's matches hold.
func (it *routeItem) holds(q *Request) bool {
	for _, when := range it.when {
		all := true
		for i := range when {
			if all = when[i].holds(q); !all {
				break
			}
		}
		if all {
			return true
		}
	}
	return false
}

// holds reports whether the condition holds; one on the path is not looked at.
func (c *Condition) holds(q *Request) bool {
	var value string
	switch c.In {
	case InQuery:
		v, given := queryValue(q.RawQuery, c.Name)
		return given && (c.Equals == "" || v == c.Equals)
	case InBody:
		if q.Details != nil {
			value = q.Details.BodyField(c.Name)
		}
	case InToken:
		if q.Details != nil {
			value = q.Details.TokenClaim(c.Name)
		}
	case InPath:
		return true
	}
	if value == "" || c.Equals != "" && value != c.Equals {
		return false
	}
	for _, prefix := range c.NoPrefix {
		if strings.HasPrefix(value, prefix) {
			return false
		}
	}
	return len(c.AnyWord) == 0 || hasAnyWord(value, c.AnyWord)
}

// hasAnyWord reports whether a list of words separated by spaces holds one of
// words.
func hasAnyWord(list string, words []string) bool {
	for list != "" {
		var word string
		word, list, _ = strings.Cut(list, " ")
		if slices.Contains(words, word) {
			return true
		}
	}
	return false
}

// queryValue returns the first value of a query parameter, decoded.
func queryValue(query, name string) (value string, given bool) {
	for query != "" {
		equals, end, escaped := -1, 0, false
		for ; end < len(query) && query[end] != '&'; end++ {
			if equals >= 0 {
				continue
			}
			switch query[end] {
			case '=':
				equals = end
			case '%', '+':
				escaped = true
			}
		}
		n, v := query[:end], ""
		if equals >= 0 {
			n, v = query[:equals], query[equals+1:end]
		}
		if n != "" && (n == name || escaped && decodeQuery(n) == name) {
			return decodeQuery(v), true
		}
		query = query[min(end+1, len(query)):]
	}
	return "", false
}

// decodeQuery decodes a name or value of a query.
func decodeQuery(s string) string {
	if strings.IndexByte(s, '%') < 0 && strings.IndexByte(s, '+') < 0 {
		return s
	}
	decoded, err := url.QueryUnescape(s)
	if err != nil {
		return s
	}
	return decoded
}

// identitySeed makes hashes of identities of no use outside this process.
var identitySeed = sync.OnceValue(maphash.MakeSeed)

// identity returns the hash of what the item's bucket counts by, never 0.
func (it *routeItem) identity(q *Request, path string, seed maphash.Seed) uint64 {
	var ip, first, second string
	details := q.Details
	if details == nil {
		details = routeNoDetails{}
	}
	switch it.key {
	case KeyIP, KeyIPEmail, KeyIPState, KeyIPPrompt, KeyIPUser:
		ip = details.ClientIP()
	}
	switch it.key {
	case KeyIPEmail:
		first = strings.ToLower(firstField(details, "email", "username"))
	case KeyIPUser, KeyUser:
		first = strings.ToLower(firstField(details, "username", "email", "user_id"))
	case KeyIPState:
		first = it.pathPart(path)
		second, _ = queryValue(q.RawQuery, "state")
	case KeyIPPrompt, KeyConnection:
		first = it.pathPart(path)
	case KeySubject:
		first = details.TokenClaim("sub")
	case KeyOrganization:
		first = details.TokenClaim("org_id")
	case KeySession:
		first = details.BodyField("mfa_token")
	}
	// Each part by itself, so that parts cannot run into one another.
	h := uint64(it.key)
	for _, part := range [...]string{ip, first, second} {
		h *= 0x9e3779b97f4a7c15
		if part != "" {
			h ^= maphash.String(seed, part)
		}
	}
	return max(h, 1)
}

// firstField returns the first field of the body that is not empty.
func firstField(d Details, names ...string) string {
	for _, name := range names {
		if v := d.BodyField(name); v != "" {
			return v
		}
	}
	return ""
}

// pathPart returns the decoded segment of the path that the bucket counts by.
func (it *routeItem) pathPart(path string) string {
	for i := 0; it.segment >= 0; i++ {
		segment, rest, more := nextSegment(path)
		if !more {
			break
		}
		if i == it.segment {
			return decodeText(segment)
		}
		path = rest
	}
	return ""
}

// routeNoDetails stands for a request that shows none.
type routeNoDetails struct{}

// BodyField returns nothing.
func (routeNoDetails) BodyField(string) string { return "" }

// TokenClaim returns nothing.
func (routeNoDetails) TokenClaim(string) string { return "" }

// ClientIP returns nothing.
func (routeNoDetails) ClientIP() string { return "" }
