package ratelimit

import (
	"fmt"
	"slices"
	"sort"
)

// newAutoPlan makes the plan for tenants whose plan is not known. Rows of
// different plans belong to one group when they have the same API, role and
// key and share a request; the group's bucket matches what any of them matches,
// with the smallest burst and the smallest rate.
func newAutoPlan() (*Plan, error) {
	auto := &Plan{Name: autoName, Title: "Smallest figures of all current plans"}
	groupOf := map[string]int{} // request, key, role and API to index in auto.Buckets
	for _, name := range Names() {
		p, err := Named(name)
		if err != nil {
			return nil, err
		}
		if p.Superseded {
			continue
		}
		if p.AsOf > auto.AsOf {
			auto.AsOf = p.AsOf
		}
		for _, b := range p.Buckets {
			auto.addCareful(b, groupOf)
		}
	}
	auto.Buckets = slices.DeleteFunc(auto.Buckets, func(b Bucket) bool { return len(b.Matches) == 0 })
	auto.makeNamesUnique()
	auto.sortSections()
	if err := auto.validate(); err != nil {
		return nil, err
	}
	return auto, nil
}

// addCareful adds a row to its group, joining groups that the row connects.
func (p *Plan) addCareful(b Bucket, groupOf map[string]int) {
	group := -1
	keys := make([]string, len(b.Matches))
	for i, m := range b.Matches {
		m.Inferred, m.Part = false, 0
		keys[i] = fmt.Sprint(b.API, b.Role, b.Key, b.Concurrent > 0, b.OtherPage, m)
		if g, ok := groupOf[keys[i]]; ok && (group < 0 || g < group) {
			group = g
		}
	}
	if group < 0 {
		group = len(p.Buckets)
		first := b
		first.Peak, first.Matches = Peak{}, nil
		p.Buckets = append(p.Buckets, first)
	}
	g := &p.Buckets[group]
	g.careful(b)
	for i, m := range b.Matches {
		old, known := groupOf[keys[i]]
		switch {
		case !known:
			m.Part = 0
			g.Matches = append(g.Matches, m)
			groupOf[keys[i]] = group
		case old != group:
			other := &p.Buckets[old]
			g.careful(*other)
			g.Matches = append(g.Matches, other.Matches...)
			other.Matches = nil
			for k, v := range groupOf {
				if v == old {
					groupOf[k] = group
				}
			}
		}
	}
}

// careful lowers the bucket's figures to those of another where they are lower.
func (b *Bucket) careful(other Bucket) {
	b.Burst = min(b.Burst, other.Burst)
	b.Concurrent = min(b.Concurrent, other.Concurrent)
	if other.Rate.compare(b.Rate) < 0 {
		b.Rate = other.Rate
	}
}

// makeNamesUnique numbers rows of different plans that have one name.
func (p *Plan) makeNamesUnique() {
	seen := map[string]int{}
	for i := range p.Buckets {
		b := &p.Buckets[i]
		name := b.Name
		for seen[b.Name] > 0 {
			seen[name]++
			b.Name = fmt.Sprintf("%s [%d]", name, seen[name])
		}
		seen[b.Name]++
	}
}

// sortSections brings buckets of one API together, in the order in which the
// APIs first appear, those of other pages last.
func (p *Plan) sortSections() {
	var apis []string
	for i := range p.Buckets {
		if api := p.Buckets[i].API; !slices.Contains(apis, api) {
			apis = append(apis, api)
		}
	}
	sort.SliceStable(p.Buckets, func(i, j int) bool {
		a, b := &p.Buckets[i], &p.Buckets[j]
		if a.OtherPage != b.OtherPage {
			return b.OtherPage
		}
		return slices.Index(apis, a.API) < slices.Index(apis, b.API)
	})
}
