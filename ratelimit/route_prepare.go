package ratelimit

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"maps"
	"slices"
	"sort"
	"strings"
)

// planRouter finds the buckets of a request. Its states are sets of patterns
// that a path may still match, so that one step a segment finds all of them.
type planRouter struct {
	patterns []routePattern
	start    *routeState
	err      error // why the plan cannot be used; the router itself works
	all      []routeMatch
	plan     *Plan
	seed     maphash.Seed // of keys
}

// routePattern is a path of a match, split.
type routePattern struct {
	path     string
	segments []string
	rest     bool // a last segment * follows the segments
}

// routeMatch is a match of a bucket, as one pattern's.
type routeMatch struct {
	pattern int
	bucket  int
	match   *Match
	except  []int // patterns that the path must not match
}

// routeState is where a path stands after some of its segments.
type routeState struct {
	literals [][]routeLiteral // by length
	other    *routeState      // for any other segment; nil if no pattern goes on
	leaves   []routeLeaf      // if the path ends here, by method; the last is for any other
	active   []routePosition
}

// routeLiteral is a segment that patterns spell out. States have few of one
// length, so that comparing them one by one beats a map.
type routeLiteral struct {
	text string
	next *routeState
}

// literal returns the state after a segment that patterns spell out.
func (s *routeState) literal(segment string) (*routeState, bool) {
	if len(segment) < len(s.literals) {
		for i := range s.literals[len(segment)] {
			if l := &s.literals[len(segment)][i]; l.text == segment {
				return l.next, true
			}
		}
	}
	return nil, false
}

// routePosition is a pattern and how many of its segments are behind.
type routePosition struct{ pattern, done int }

// routeLeaf is what a method at the end of a path leads to.
type routeLeaf struct {
	method string
	route  Route // complete if the leaf is plain
	plain  bool
	items  []routeItem
}

// routeItem is a bucket that a leaf may lead to.
type routeItem struct {
	bucket  uint16
	key     Key
	segment int            // of the path, that the key may need; -1 without one
	always  bool           // no condition
	when    [][]Condition  // any of them
	blocks  uint64         // items that this one keeps away when it applies
	blocked bool           // a catch-all, kept away by any of against
	against uint64         // items
	order   routeItemOrder // from wide to narrow
	pattern int            // the narrowest
}

// routeItemOrder sorts the buckets of a route.
type routeItemOrder struct{ role, literals, length, key, conditions, index int }

// maxRouteStates bounds the memory of a router. Plans whose patterns overlap
// more wildly are not usable; published ones have a few hundred states.
const maxRouteStates = 1 << 12

// newPlanRouter prepares a plan.
func newPlanRouter(p *Plan) *planRouter {
	r := &planRouter{plan: p, seed: identitySeed()}
	index := map[string]int{}
	pattern := func(path string) int {
		i, ok := index[path]
		if !ok {
			i = len(r.patterns)
			index[path] = i
			segments := splitPattern(path)
			rest := len(segments) > 0 && segments[len(segments)-1] == "*"
			if rest {
				segments = segments[:len(segments)-1]
			}
			r.patterns = append(r.patterns, routePattern{path: path, segments: segments, rest: rest})
		}
		return i
	}
	for i := range p.Buckets[:min(len(p.Buckets), maxRouteIndex)] {
		for j := range p.Buckets[i].Matches {
			m := &p.Buckets[i].Matches[j]
			if m.Event != "" {
				continue
			}
			rm := routeMatch{pattern: pattern(m.Path), bucket: i, match: m}
			for _, c := range m.When {
				if c.In == InPath {
					for _, prefix := range c.NoPrefix {
						rm.except = append(rm.except, pattern(prefix+"*"))
					}
				}
			}
			r.all = append(r.all, rm)
		}
	}
	states := map[string]*routeState{}
	first := make([]routePosition, len(r.patterns))
	for i := range first {
		first[i].pattern = i
	}
	r.start = r.state(first, states)
	if len(states) >= maxRouteStates {
		r.err = fmt.Errorf("its paths overlap in more than %d ways; use fewer braces in first segments", maxRouteStates)
	}
	return r
}

// splitPattern splits the path of a match.
func splitPattern(path string) []string {
	path = strings.Trim(path, "/")
	if path == "" {
		return nil
	}
	return strings.Split(path, "/")
}

// state returns the state of a set of positions, and makes those it leads to.
func (r *planRouter) state(active []routePosition, states map[string]*routeState) *routeState {
	var buf []byte
	for _, a := range active {
		buf = binary.AppendUvarint(binary.AppendUvarint(buf, uint64(a.pattern)), uint64(a.done))
	}
	id := string(buf)
	if s, ok := states[id]; ok {
		return s
	}
	if len(states) >= maxRouteStates {
		return nil
	}
	s := &routeState{active: active}
	states[id] = s
	r.addLeaves(s)
	literals := map[string]bool{}
	for _, a := range active {
		if p := &r.patterns[a.pattern]; a.done < len(p.segments) && !isParameter(p.segments[a.done]) {
			literals[p.segments[a.done]] = true
		}
	}
	s.other = r.step(active, "", states)
	for _, literal := range slices.Sorted(maps.Keys(literals)) {
		for len(s.literals) <= len(literal) {
			s.literals = append(s.literals, nil)
		}
		l := routeLiteral{text: literal, next: r.step(active, literal, states)}
		s.literals[len(literal)] = append(s.literals[len(literal)], l)
	}
	return s
}

// step returns the state after a literal segment, or after any other for "".
func (r *planRouter) step(active []routePosition, literal string, states map[string]*routeState) *routeState {
	var next []routePosition
	for _, a := range active {
		switch p := &r.patterns[a.pattern]; {
		case a.done == len(p.segments):
			if p.rest {
				next = append(next, a)
			}
		case isParameter(p.segments[a.done]) || literal != "" && p.segments[a.done] == literal:
			next = append(next, routePosition{a.pattern, a.done + 1})
		}
	}
	if next == nil {
		return nil
	}
	return r.state(next, states)
}

// addLeaves works out what the methods lead to if the path ends in this state.
func (r *planRouter) addLeaves(s *routeState) {
	ends := map[int]bool{}
	for _, a := range s.active {
		if a.done == len(r.patterns[a.pattern].segments) {
			ends[a.pattern] = true
		}
	}
	var found []routeMatch
	var methods []string
	for _, m := range r.all {
		if !ends[m.pattern] || slices.ContainsFunc(m.except, func(i int) bool { return ends[i] }) {
			continue
		}
		found = append(found, m)
		if m.match.Method != "*" && !slices.Contains(methods, m.match.Method) {
			methods = append(methods, m.match.Method)
		}
	}
	if len(found) == 0 {
		return
	}
	for _, method := range append(methods, "*") {
		leaf := r.leaf(method, found)
		s.leaves = append(s.leaves, leaf)
	}
}

// leaf puts together the buckets that a method leads to.
func (r *planRouter) leaf(method string, found []routeMatch) routeLeaf {
	leaf := routeLeaf{method: method}
	for _, m := range found {
		if m.match.Method != "*" && m.match.Method != method {
			continue
		}
		i := slices.IndexFunc(leaf.items, func(it routeItem) bool { return int(it.bucket) == m.bucket })
		if i < 0 {
			i = len(leaf.items)
			leaf.items = append(leaf.items, routeItem{
				bucket: uint16(m.bucket), key: r.plan.Buckets[m.bucket].Key, segment: -1, order: routeItemOrder{length: -1},
			})
		}
		it := &leaf.items[i]
		it.addMatch(m, r)
	}
	if len(leaf.items) == 0 {
		return leaf
	}
	sort.Slice(leaf.items, func(i, j int) bool { return leaf.items[i].order.compare(leaf.items[j].order) < 0 })
	if len(leaf.items) > 64 {
		r.err = fmt.Errorf("%s %s: more than 64 buckets", method, r.patterns[found[0].pattern].path)
		leaf.items = leaf.items[:64]
	}
	leaf.relate(r.plan)
	narrowest := slices.MaxFunc(leaf.items, func(a, b routeItem) int {
		return cmp.Or(cmp.Compare(a.order.literals, b.order.literals), cmp.Compare(a.order.length, b.order.length))
	})
	leaf.route.Template = r.patterns[narrowest.pattern].path
	leaf.plain = !slices.ContainsFunc(leaf.items, func(it routeItem) bool {
		return !it.always || it.key != KeyTenant || it.blocks != 0 || it.against != 0
	})
	sure := 0
	for _, it := range leaf.items {
		if it.always && !it.blocked {
			sure++
		}
	}
	if sure > maxRouteBuckets {
		r.err = fmt.Errorf("%s %s draws from %d buckets; at most %d are possible, so remove some", method, leaf.route.Template, sure, maxRouteBuckets)
	}
	if leaf.plain {
		for _, it := range leaf.items {
			leaf.route.add(it.bucket, 0)
		}
	}
	return leaf
}

// addMatch lets a match of the item's bucket lead to it.
func (it *routeItem) addMatch(m routeMatch, r *planRouter) {
	b, p := &r.plan.Buckets[m.bucket], &r.patterns[m.pattern]
	var when []Condition
	for _, c := range m.match.When {
		if c.In != InPath {
			when = append(when, c)
		}
	}
	o := routeItemOrder{length: 2 * len(p.segments), key: int(b.Key), conditions: len(when), index: m.bucket}
	if p.rest {
		o.length-- // narrower without
	}
	switch b.Role {
	case RoleCatchAll:
		o.role = 1
	case RoleEndpoint:
		o.role = 2
	}
	for _, s := range p.segments {
		if !isParameter(s) {
			o.literals++
		}
	}
	if it.order.length < 0 || it.order.compare(o) < 0 {
		it.order, it.pattern = o, m.pattern
	}
	if when == nil {
		it.always, it.when = true, nil
	} else if !it.always {
		it.when = append(it.when, when)
	}
	if it.segment < 0 {
		it.segment = slices.IndexFunc(p.segments, isParameter)
		if it.segment < 0 && (b.Key == KeyIPState || b.Key == KeyIPPrompt) {
			it.segment = len(p.segments) - 1 // a prompt of its own
		}
	}
}

// compare orders items from wide to narrow.
func (o routeItemOrder) compare(p routeItemOrder) int {
	return cmp.Or(cmp.Compare(o.role, p.role), cmp.Compare(o.literals, p.literals), cmp.Compare(o.length, p.length),
		cmp.Compare(o.key, p.key), cmp.Compare(o.conditions, p.conditions), cmp.Compare(o.index, p.index))
}

// relate works out which items keep others away: endpoints a catch-all of their
// API, and a bucket those that it stands in for. What is settled already is
// taken out.
func (leaf *routeLeaf) relate(p *Plan) {
	settled := func(it *routeItem) bool {
		b := &p.Buckets[it.bucket]
		return b.Role == RoleCatchAll && slices.ContainsFunc(leaf.items, func(o routeItem) bool {
			return o.always && p.Buckets[o.bucket].keepsAway(b)
		})
	}
	leaf.items = slices.DeleteFunc(leaf.items, func(it routeItem) bool { return settled(&it) })
	for i := range leaf.items {
		it := &leaf.items[i]
		b := &p.Buckets[it.bucket]
		for j := range leaf.items {
			other := &p.Buckets[leaf.items[j].bucket]
			if b.Role == RoleCatchAll && other.keepsAway(b) {
				it.against |= 1 << j
				it.blocked = true
			}
			if slices.Contains(b.Instead, other.Name) {
				it.blocks |= 1 << j
				leaf.items[j].blocked = true
			}
		}
	}
}

// keepsAway reports whether a request that draws from b passes over the
// catch-all c.
func (b *Bucket) keepsAway(c *Bucket) bool {
	return b.Role == RoleEndpoint && b.API == c.API && b.Concurrent == 0
}
