package ratelimit

import (
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"
)

// Change alters a copy of a plan; see Plan.With. Changes take effect in order.
type Change func(*Plan) error

// With returns a copy of the plan with changes: single buckets overridden, or
// another reading of what the published pages leave open. The plan itself stays
// as it is. An error says which bucket it is about and what to do.
func (p *Plan) With(changes ...Change) (*Plan, error) {
	changed := &Plan{Name: p.Name, Title: p.Title, AsOf: p.AsOf, Superseded: p.Superseded, Buckets: make([]Bucket, len(p.Buckets))}
	for i := range p.Buckets {
		changed.Buckets[i] = p.Buckets[i].clone()
	}
	for _, change := range changes {
		if err := change(changed); err != nil {
			return nil, fmt.Errorf("ratelimit: plan %s: %w", p.Name, err)
		}
	}
	if err := changed.validate(); err != nil {
		return nil, err
	}
	return changed, nil
}

// clone returns a copy that shares nothing that changes alter.
func (b *Bucket) clone() Bucket {
	c := *b
	c.Instead = slices.Clone(b.Instead)
	c.Matches = slices.Clone(b.Matches)
	return c
}

// find returns the bucket called name, or an error that lists names like it.
func (p *Plan) find(name string) (*Bucket, error) {
	for i := range p.Buckets {
		if p.Buckets[i].Name == name {
			return &p.Buckets[i], nil
		}
	}
	near, distance := "", -1
	for i := range p.Buckets {
		if d := editDistance(strings.ToLower(name), strings.ToLower(p.Buckets[i].Name)); distance < 0 || d < distance {
			near, distance = p.Buckets[i].Name, d
		}
	}
	return nil, fmt.Errorf("there is no bucket %q; the nearest name is %q, and Plan.Text lists all", name, near)
}

// OverrideBucket gives a bucket another burst and rate, for limits that were
// agreed for one tenant.
func OverrideBucket(name string, burst int64, rate Rate) Change {
	return func(p *Plan) error {
		b, err := p.find(name)
		if err != nil {
			return err
		}
		if b.Concurrent > 0 {
			return fmt.Errorf("bucket %q limits what is under way; remove it and add one with Concurrent set", name)
		}
		b.Burst, b.Rate, b.Peak = burst, rate, Peak{}
		return nil
	}
}

// AddBucket adds a bucket under a name that the plan does not have yet.
func AddBucket(b Bucket) Change {
	return func(p *Plan) error {
		if _, err := p.find(b.Name); err == nil {
			return fmt.Errorf("bucket %q is there already; override it, remove it first, or choose another name", b.Name)
		}
		b := b.clone()
		for i := range b.Matches {
			// Tables write conditions in this order.
			b.Matches[i].When = slices.Clone(b.Matches[i].When)
			when := b.Matches[i].When
			sort.SliceStable(when, func(x, y int) bool { return min(when[x].In, 1) < min(when[y].In, 1) })
		}
		p.Buckets = append(p.Buckets, b)
		return nil
	}
}

// RemoveBucket removes a bucket.
func RemoveBucket(name string) Change {
	return func(p *Plan) error {
		if _, err := p.find(name); err != nil {
			return err
		}
		p.Buckets = slices.DeleteFunc(p.Buckets, func(b Bucket) bool { return b.Name == name })
		p.forget(name)
		return nil
	}
}

// forget takes a name that is gone out of what other buckets stand in for.
func (p *Plan) forget(name string) {
	for i := range p.Buckets {
		b := &p.Buckets[i]
		if b.Instead = slices.DeleteFunc(b.Instead, func(n string) bool { return n == name }); len(b.Instead) == 0 {
			b.Instead = nil
		}
	}
}

// AddRequest lets a request, such as "GET /api/v2/users/{id}", draw from a
// bucket as well. Conditions are written as in Parse.
func AddRequest(bucket, request string) Change {
	return func(p *Plan) error {
		b, err := p.find(bucket)
		if err != nil {
			return err
		}
		matches, err := parseRequest(request)
		if err != nil {
			return fmt.Errorf("bucket %q: %w", bucket, err)
		}
		for _, m := range matches {
			m.Part = b.Matches[len(b.Matches)-1].Part
			b.Matches = append(b.Matches, m)
		}
		return nil
	}
}

// RemoveRequest takes a request out of a bucket. It is written as in the table,
// without a mark of inference.
func RemoveRequest(bucket, request string) Change {
	return func(p *Plan) error {
		b, err := p.find(bucket)
		if err != nil {
			return err
		}
		matches, err := parseRequest(request)
		if err != nil {
			return fmt.Errorf("bucket %q: %w", bucket, err)
		}
		for _, gone := range matches {
			before := len(b.Matches)
			b.Matches = slices.DeleteFunc(b.Matches, func(m Match) bool {
				return m.Event == gone.Event && m.Method == gone.Method && m.Path == gone.Path && slices.EqualFunc(m.When, gone.When, Condition.equal)
			})
			if len(b.Matches) == before {
				return fmt.Errorf("bucket %q does not count %q; Plan.Text shows what it counts", bucket, request)
			}
		}
		if len(b.Matches) == 0 {
			return fmt.Errorf("bucket %q counts nothing without %q; remove the bucket", bucket, request)
		}
		b.renumber()
		return nil
	}
}

// parseRequest reads requests as they stand in the last column of a table.
func parseRequest(request string) ([]Match, error) {
	row := planRow{requests: strings.Fields(request)}
	if err := row.parseRequests(); err != nil {
		return nil, err
	}
	if row.bucket.Role != RoleEndpoint {
		return nil, fmt.Errorf("%q: write requests without a role", request)
	}
	for i := range row.bucket.Matches {
		row.bucket.Matches[i].Part = 0
	}
	return row.bucket.Matches, nil
}

// renumber closes gaps in the numbers of parts.
func (b *Bucket) renumber() {
	last, part := 0, -1
	for i := range b.Matches {
		if m := &b.Matches[i]; i == 0 || m.Part != last {
			last, part = m.Part, part+1
		}
		b.Matches[i].Part = part
	}
}

// Instead lets a request that draws from the bucket narrow pass over the bucket
// wide. By default a request draws from every bucket that matches it.
func Instead(narrow, wide string) Change {
	return func(p *Plan) error {
		b, err := p.find(narrow)
		if err != nil {
			return err
		}
		if _, err := p.find(wide); err != nil {
			return err
		}
		if narrow == wide {
			return fmt.Errorf("bucket %q cannot stand in for itself", narrow)
		}
		if !slices.Contains(b.Instead, wide) {
			b.Instead = append(b.Instead, wide)
		}
		return nil
	}
}

// NarrowestOnly reads a row that singles out some requests of another row of
// its API as standing in for it: a client search (GET /api/v2/clients?q) then
// draws from its own row and not from that of GET /api/v2/clients. By default it
// draws from both. Rows of a whole API are not affected, nor does a row counted
// for the tenant stand in for one counted per user or address.
func NarrowestOnly() Change {
	return func(p *Plan) error {
		for i := range p.Buckets {
			for j := range p.Buckets {
				n, w := &p.Buckets[i], &p.Buckets[j]
				if n.API == w.API && n.Role == RoleEndpoint && w.Role == RoleEndpoint && n.Concurrent == 0 && w.Concurrent == 0 &&
					!n.OtherPage && (n.Key == KeyTenant) == (w.Key == KeyTenant) && n.narrows(w) && !slices.Contains(n.Instead, w.Name) {
					n.Instead = append(n.Instead, w.Name)
				}
			}
		}
		return nil
	}
}

// narrows reports whether the requests that b and w share are singled out by b.
func (b *Bucket) narrows(w *Bucket) bool {
	found := false
	for i := range b.Matches {
		for j := range w.Matches {
			shared, narrower := b.Matches[i].compare(&w.Matches[j])
			if shared && !narrower {
				return false
			}
			found = found || shared
		}
	}
	return found && b.Name != w.Name
}

// compare reports whether one request can match both m and w, and if so,
// whether m is a special case of w.
func (m *Match) compare(w *Match) (shared, narrower bool) {
	if m.Event != "" || w.Event != "" || m.Method != w.Method && m.Method != "*" && w.Method != "*" {
		return false, false
	}
	a, b := splitPattern(m.Path), splitPattern(w.Path)
	narrower = m.Method == w.Method || w.Method == "*"
	strictly := m.Method != w.Method || len(m.When) > len(w.When)
	for i := 0; ; i++ {
		aRest, bRest := i < len(a) && a[i] == "*", i < len(b) && b[i] == "*"
		if aRest || bRest {
			narrower, strictly = narrower && bRest, strictly || !aRest
			break
		}
		if i == len(a) || i == len(b) {
			if len(a) != len(b) {
				return false, false
			}
			break
		}
		switch {
		case isParameter(a[i]) && isParameter(b[i]) || a[i] == b[i]:
		case isParameter(b[i]):
			strictly = true
		case isParameter(a[i]):
			narrower = false
		default:
			return false, false
		}
	}
	for _, c := range w.When {
		narrower = narrower && slices.ContainsFunc(m.When, c.equal)
	}
	return true, narrower && strictly
}

// OutsideAPILevel reads endpoints with a row of their own as lying outside the
// API-level bucket of the given APIs ("management", "authentication"), as one
// of the published pages has it: that bucket becomes a catch-all. By default a
// listed endpoint draws from both.
func OutsideAPILevel(apis ...string) Change {
	return func(p *Plan) error {
		if len(apis) == 0 {
			return fmt.Errorf("OutsideAPILevel: name at least one API, such as management")
		}
		for _, api := range apis {
			found := false
			for i := range p.Buckets {
				if b := &p.Buckets[i]; b.API == api && b.Role == RoleGlobal {
					b.Role, found = RoleCatchAll, true
				}
			}
			if !found {
				return fmt.Errorf("OutsideAPILevel: the API %q has no API-level bucket here", api)
			}
		}
		return nil
	}
}

// FixedWindows reads sustained rates as windows: tokens come in whole lots at
// the end of each second, minute, hour or day, as one published page has it. By
// default they come one by one, as the other pages have it; a limiter finds out
// from answers which of the two is true.
func FixedWindows() Change {
	return func(p *Plan) error {
		for i := range p.Buckets {
			if b := &p.Buckets[i]; b.Concurrent == 0 {
				b.Window = b.Rate.Per
			}
		}
		return nil
	}
}

// SecondCeiling adds to each bucket of a whole API a second one that keeps any
// one second within the published burst. Published pairs may stand for a limit
// per second and one per minute; a full bucket and its refill together could
// exceed the former in one second. It costs part of the burst at the start.
func SecondCeiling() Change {
	return func(p *Plan) error {
		for i := range len(p.Buckets) {
			b := &p.Buckets[i]
			if b.Role != RoleGlobal || b.Burst < 2 {
				continue
			}
			ceiling := b.clone()
			ceiling.Name += " [one second]"
			ceiling.Instead, ceiling.Peak, ceiling.Window = nil, Peak{}, 0
			// Burst and one second's refill together make the published burst.
			refill := min(refillOfSecond(b.Rate), b.Burst/2)
			ceiling.Burst, ceiling.Rate = b.Burst-refill, Rate{Count: refill, Per: time.Second}
			p.Buckets = append(p.Buckets, ceiling)
		}
		return nil
	}
}

// refillOfSecond returns what a rate grants in a second, rounded up.
func refillOfSecond(r Rate) int64 {
	whole, part := r.Count*int64(time.Second)/int64(r.Per), r.Count*int64(time.Second)%int64(r.Per)
	if part > 0 {
		whole++
	}
	return whole
}

// SeparateCounters reads rows that the page merges (two password paths in one
// row), or prints twice with the same name and figures (two rows of user writes),
// as counters of their own, called "Name", "Name [2]" and so on. By default each is one counter.
func SeparateCounters() Change {
	return func(p *Plan) error {
		for i := 0; i < len(p.Buckets); i++ {
			whole := &p.Buckets[i]
			parts := whole.Matches[len(whole.Matches)-1].Part + 1
			if parts < 2 {
				continue
			}
			var split []Bucket
			for part := range parts {
				b := whole.clone()
				b.Matches = slices.DeleteFunc(b.Matches, func(m Match) bool { return m.Part != part })
				for j := range b.Matches {
					b.Matches[j].Part = 0
				}
				if part > 0 {
					b.Name = fmt.Sprintf("%s [%d]", whole.Name, part+1)
				}
				split = append(split, b)
			}
			p.Buckets = slices.Replace(p.Buckets, i, i+1, split...)
			i += parts - 1
		}
		return nil
	}
}

// ConfirmedOnly drops requests whose bucket the published pages do not settle
// from endpoint buckets, and buckets that have no others. Such requests then
// draw from the whole API's bucket, or from the catch-all. By default inferred
// requests are charged.
func ConfirmedOnly() Change {
	return func(p *Plan) error {
		for i := range p.Buckets {
			if b := &p.Buckets[i]; b.Role == RoleEndpoint {
				b.Matches = slices.DeleteFunc(b.Matches, func(m Match) bool { return m.Inferred })
				b.renumber()
			}
		}
		return p.dropBuckets(func(b *Bucket) bool { return len(b.Matches) == 0 })
	}
}

// TableOnly drops limits that are published elsewhere than in the plan's own
// table, such as half of the API level for ID-JAG exchanges. By default both
// are charged.
func TableOnly() Change {
	return func(p *Plan) error { return p.dropBuckets(func(b *Bucket) bool { return b.OtherPage }) }
}

// dropBuckets removes buckets.
func (p *Plan) dropBuckets(gone func(*Bucket) bool) error {
	var names []string
	p.Buckets = slices.DeleteFunc(p.Buckets, func(b Bucket) bool {
		if gone(&b) {
			names = append(names, b.Name)
			return true
		}
		return false
	})
	for _, name := range names {
		p.forget(name)
	}
	return nil
}
