package main

import (
	"fmt"
	"sort"
	"strings"
)

// resolver turns unions into what Go can say well: one struct where the variants differ in a few fields, a struct
// with one pointer per variant where they do not.
type resolver struct {
	seen map[*node]bool
}

func (r *resolver) resolve(n *node) {
	if n == nil || r.seen[n] {
		return
	}
	r.seen[n] = true
	r.resolve(n.elem)
	for _, f := range n.fields {
		r.resolve(f.node)
	}
	for _, v := range n.variants { // of a union that was resolved when it was built
		r.resolve(v.node)
	}
	if n.kind != kUnion || n.resolved {
		return
	}
	// The variants of a variant are variants, where the same properties tell all of them apart.
	leaves := flatLeaves(n)
	keys := discriminators(leaves)
	if mergeAlways[n.from[0]] {
		if obj := r.merge(leaves, nil, n.from[0]); obj != nil {
			*n = node{kind: kObject, fields: obj.fields, open: obj.open, from: n.from, resolved: true}
			return
		}
	}
	if keys == nil {
		for _, l := range n.leaves {
			r.resolve(l)
		}
		leaves = flatLeaves(n)
		keys = discriminators(leaves)
	}
	for _, l := range leaves {
		r.resolve(l)
	}
	if obj := r.merge(leaves, keys, n.from[0]); obj != nil {
		n.kind, n.fields, n.open, n.leaves = kObject, obj.fields, n.open || obj.open, nil
		n.keys = nil
		n.resolved = true
		for _, f := range n.fields {
			r.resolve(f.node)
		}
		return
	}
	n.resolved = true
	n.keys = keys
	n.variants = nil
	for i, l := range leaves {
		n.variants = append(n.variants, variant{when: tuples(l, keys), label: variantLabel(l, keys, i), node: l})
	}
	n.leaves = nil
}

func flatLeaves(n *node) []*node {
	var out []*node
	if n.kind != kUnion {
		return []*node{n}
	}
	if n.resolved {
		for _, v := range n.variants {
			out = append(out, v.node)
		}
		return out
	}
	for _, l := range n.leaves {
		out = append(out, flatLeaves(l)...)
	}
	return out
}

// choices returns the values that a property of n may have, nil when it may have any.
func (n *node) choices(prop string) []string {
	f := n.field(prop)
	switch {
	case f == nil:
		return nil
	case f.node.kind == kEnum:
		return f.node.values
	case f.node.kind == kString && f.node.always != "":
		return []string{f.node.always}
	}
	return nil
}

func tuples(n *node, keys []string) []string {
	out := []string{""}
	for i, k := range keys {
		var next []string
		for _, prefix := range out {
			for _, v := range n.choices(k) {
				if i > 0 {
					v = prefix + " " + v
				}
				next = append(next, v)
			}
		}
		out = next
	}
	return out
}

// discriminators finds the one or two properties whose values tell the variants apart.
func discriminators(leaves []*node) []string {
	if len(leaves) < 2 {
		return nil
	}
	var props []string
	for _, f := range leaves[0].fields {
		props = append(props, f.json)
	}
	sort.SliceStable(props, func(i, j int) bool { return rank(props[i]) < rank(props[j]) })
	apart := func(keys ...string) bool {
		seen := map[string]bool{}
		for _, l := range leaves {
			for _, k := range keys {
				if l.choices(k) == nil {
					return false
				}
			}
			for _, t := range tuples(l, keys) {
				if seen[t] {
					return false
				}
				seen[t] = true
			}
		}
		return true
	}
	for _, p := range props {
		if apart(p) {
			return []string{p}
		}
	}
	for _, p := range props {
		for _, q := range props {
			if p != q && apart(p, q) {
				return []string{p, q}
			}
		}
	}
	return nil
}

func rank(p string) int {
	switch p {
	case "category":
		return 0
	case "type":
		return 1
	case "app_id":
		return 2
	}
	return 3
}

func variantLabel(n *node, keys []string, i int) string {
	if len(keys) > 0 {
		var parts []string
		for _, k := range keys {
			if c := n.choices(k); len(c) == 1 {
				parts = append(parts, strings.ToLower(c[0]))
			}
		}
		if len(parts) == len(keys) {
			return strings.Join(parts, "_")
		}
	}
	if len(n.from) > 0 {
		return n.from[0]
	}
	return fmt.Sprintf("variant_%d", i)
}

// merge returns one object with the fields of all leaves, or nil if they do not go together.
func (r *resolver) merge(leaves []*node, keys []string, where string) *node {
	for _, l := range leaves {
		if l.kind != kObject {
			return nil
		}
	}
	out := &node{kind: kObject}
	count := map[string]int{}
	var order []string
	for _, l := range leaves {
		out.open = out.open || l.open
		for _, f := range l.fields {
			if count[f.json]++; count[f.json] == 1 {
				order = append(order, f.json)
			}
		}
	}
	partial := 0
	for _, c := range count {
		if c < len(leaves) {
			partial++
		}
	}
	if len(keys) > 0 && partial > 6 && partial > len(order)/2 {
		return nil
	}
	for _, name := range order {
		f := &field{json: name, req: count[name] == len(leaves)}
		var nodes, owners []*node
		for _, l := range leaves {
			lf := l.field(name)
			if lf == nil {
				continue
			}
			f.req = f.req && lf.req
			f.null = f.null || lf.null
			f.ro = f.ro || lf.ro
			f.empty = f.empty || lf.empty
			if f.limit == "" {
				f.limit = lf.limit
			}
			if f.life == "" {
				f.life = lf.life
			}
			nodes = append(nodes, lf.node)
			owners = append(owners, l)
		}
		n := r.combine(nodes, owners, keys, where+"."+name)
		if n == nil {
			return nil
		}
		f.node = n
		out.fields = append(out.fields, f)
	}
	return out
}

// combine returns one node for a field that has different ones in different variants.
func (r *resolver) combine(nodes, owners []*node, keys []string, where string) *node {
	first := nodes[0]
	same := true
	kinds := map[kind]int{}
	for _, n := range nodes {
		same = same && (n == first || key(n) == key(first))
		kinds[n.kind]++
	}
	if same {
		return first
	}
	switch {
	case kinds[kString]+kinds[kEnum] == len(nodes):
		// Values in the order met; a plain string admits all.
		e := &node{kind: kEnum}
		seen := map[string]bool{}
		for _, n := range nodes {
			values := n.values
			if n.kind == kString {
				if n.always == "" {
					return &node{kind: kString}
				}
				values = []string{n.always}
			}
			for _, v := range values {
				if !seen[v] {
					seen[v] = true
					e.values = append(e.values, v)
				}
			}
		}
		e.from = []string{where}
		return e
	case kinds[kBool] == len(nodes), kinds[kString] == len(nodes):
		return &node{kind: first.kind}
	case kinds[kInt]+kinds[kFloat] == len(nodes):
		return &node{kind: kFloat}
	case kinds[kList] == len(nodes), kinds[kMap] == len(nodes):
		var elems []*node
		for _, n := range nodes {
			elems = append(elems, n.elem)
		}
		if e := r.combine(elems, owners, nil, where+".item"); e != nil {
			return &node{kind: first.kind, elem: e}
		}
		return nil
	case kinds[kObject]+kinds[kUnion]+kinds[kMap] == len(nodes):
		u := &node{kind: kUnion, resolved: true}
		var leaves []*node
		for _, n := range nodes {
			if n.kind == kMap {
				continue
			}
			leaves = append(leaves, flatLeaves(n)...)
		}
		leaves = uniqueNodes(leaves)
		u.from = []string{where}
		if own := discriminators(leaves); own != nil {
			u.keys = own
			for i, l := range leaves {
				u.variants = append(u.variants, variant{when: tuples(l, own), label: variantLabel(l, own, i), node: l})
			}
			if obj := r.merge(leaves, own, where); obj != nil {
				obj.from = u.from
				return obj
			}
			return u
		}
		if alike(leaves) || mergeAlways[where] {
			if obj := r.merge(leaves, nil, where); obj != nil {
				obj.from = u.from
				return obj
			}
		}
		if len(keys) == 0 {
			return nil
		}
		// What the field holds is told by the properties beside it.
		u.sibling, u.keys = true, keys
		for i, n := range nodes {
			u.variants = append(u.variants, variant{when: tuples(owners[i], keys), label: variantLabel(owners[i], keys, i), node: n})
		}
		return u
	case kinds[kAny] > 0:
		return &node{kind: kAny}
	}
	if len(keys) == 0 {
		return nil
	}
	return &node{kind: kAny}
}

// alike reports whether most fields of the objects are common to all.
func alike(leaves []*node) bool {
	count := map[string]int{}
	for _, l := range leaves {
		if l.kind != kObject {
			return false
		}
		for _, f := range l.fields {
			count[f.json]++
		}
	}
	common := 0
	for _, c := range count {
		if c == len(leaves) {
			common++
		}
	}
	return len(count)-common <= 3 && common >= len(count)-common
}

func uniqueNodes(nodes []*node) []*node {
	var out []*node
	seen := map[string]bool{}
	for _, n := range nodes {
		k := key(n)
		if !seen[k] {
			seen[k] = true
			out = append(out, n)
		}
	}
	return out
}

// key says what a node is, so that nodes that are the same can be one type. Whether a field is required or takes null
// counts only where the node is sent.
func key(n *node) string {
	var b strings.Builder
	writeKey(&b, n, map[*node]bool{})
	return b.String()
}

func writeKey(b *strings.Builder, n *node, open map[*node]bool) {
	if open[n] {
		b.WriteString("^")
		if len(n.from) > 0 {
			b.WriteString(n.from[0])
		}
		return
	}
	open[n] = true
	defer delete(open, n)
	switch n.kind {
	case kList:
		b.WriteString("[")
		writeKey(b, n.elem, open)
		b.WriteString("]")
	case kMap:
		b.WriteString("{*")
		writeKey(b, n.elem, open)
		b.WriteString("}")
	case kEnum:
		v := append([]string{}, n.values...)
		sort.Strings(v)
		fmt.Fprintf(b, "<%s>", strings.Join(v, "|"))
	case kObject:
		fields := append([]*field{}, n.fields...)
		sort.Slice(fields, func(i, j int) bool { return fields[i].json < fields[j].json })
		b.WriteString("(")
		if n.in {
			b.WriteString("in ")
		}
		for _, f := range fields {
			b.WriteString(f.json)
			if n.in {
				fmt.Fprintf(b, "?%v%v", f.req, f.null)
			}
			b.WriteString(":")
			writeKey(b, f.node, open)
			b.WriteString(",")
		}
		b.WriteString(")")
	case kUnion:
		fmt.Fprintf(b, "U%v%v(", n.sibling, n.keys)
		for _, v := range n.variants {
			fmt.Fprintf(b, "%v:", v.when)
			writeKey(b, v.node, open)
			b.WriteString(",")
		}
		for _, l := range n.leaves {
			writeKey(b, l, open)
			b.WriteString(",")
		}
		b.WriteString(")")
	default:
		b.WriteString(string(n.kind))
		if n.always != "" {
			b.WriteString("=" + n.always)
		}
	}
}
