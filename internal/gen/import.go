package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"sort"
	"strings"
)

// importer makes a description of an OpenAPI document, with the names and doc lines of the description before it.
type importer struct {
	*builder
	old      *API
	oldName  map[string]string // schema -> our type
	ops      []*rawOp
	api      *API
	warnings []string
}

type rawOp struct {
	*operation
	method, path string
	body, result *node
	item         *node
	query        []*field
	repeat       map[string]bool
	page         *Page
	multipart    bool
	list, stream bool
	wrapped      bool
}

func newImporter(doc *document, old *API) *importer {
	im := &importer{builder: &builder{doc: doc, memo: map[string]*built{}}, old: old, oldName: map[string]string{}, api: &API{}}
	for _, f := range old.Files {
		for _, t := range f.Types {
			for _, from := range t.From {
				im.oldName[from] = t.Name
			}
		}
	}
	return im
}

func (im *importer) run() (api *API, err error) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case string: // what the builder says of a document that it cannot make sense of
			api, err = nil, errors.New(r)
		default:
			panic(r)
		}
	}()
	im.connectionOptions()
	if err := im.readOps(); err != nil {
		return nil, err
	}
	im.connectionFields()
	r := &resolver{seen: map[*node]bool{}}
	im.each(func(n *node) { r.resolve(n) })
	im.addMissing()
	im.markModes()
	im.mergeAnswers(r)
	im.dedupe()
	im.name()
	im.emit()
	return im.api, im.api.index()
}

func (im *importer) readOps() error {
	for _, path := range im.doc.Paths.keys {
		item := im.doc.Paths.m[path]
		for _, method := range item.keys {
			M := strings.ToUpper(method)
			if !methods[M] {
				return fmt.Errorf("%s %s: not an operation that we know", method, path)
			}
			o := new(operation)
			if err := json.Unmarshal(item.m[method], o); err != nil {
				return fmt.Errorf("%s %s: %w", method, path, err)
			}
			if o.Deprecated {
				o.Life = "deprecated"
			}
			if len(o.Tags) == 0 || len(o.Group) == 0 || o.Name == "" {
				return fmt.Errorf("%s %s: has no tag, no x-operation-group or no x-operation-name", M, path)
			}
			ro := &rawOp{operation: o, method: M, path: path, repeat: map[string]bool{}}
			im.ops = append(im.ops, ro)
			if err := im.readOp(ro); err != nil {
				return fmt.Errorf("%s %s: %w", M, path, err)
			}
		}
	}
	return nil
}

func (im *importer) readOp(o *rawOp) error {
	where := exported(o.ID)
	has := map[string]bool{}
	for _, p := range o.Parameters {
		switch {
		case p.In == "":
			return errors.New("has a parameter by reference, which an import does not follow")
		case p.In != "query":
			if p.In != "path" && !p.Ignore {
				im.warnings = append(im.warnings, fmt.Sprintf("! %s %s: parameter %s is in the %s: it is left out, and auth0.Header sends it", o.method, o.path, p.Name, p.In))
			}
			continue
		}
		has[p.Name] = true
		n, _ := im.build(p.Schema, where+"Query."+p.Name)
		f := &field{json: p.Name, node: n, req: p.Required, limit: im.limits(p.Schema)}
		if p.Schema.Life != "" {
			f.life = p.Schema.Life
		}
		o.query = append(o.query, f)
		if p.Explode != nil && *p.Explode {
			o.repeat[p.Name] = true
		}
	}
	if o.Body != nil {
		s := o.Body.Content["application/json"].Schema
		if m, ok := o.Body.Content["multipart/form-data"]; ok {
			s, o.multipart = m.Schema, true
		}
		if s == nil {
			return errors.New("has a body that is neither JSON nor a form with files, or is a reference")
		}
		o.body, _ = im.build(objectOf(im.doc, s), where+"RequestContent")
	}
	for _, code := range o.Responses.keys {
		if code[0] != '2' || returnsInstead[o.method+" "+o.path] != "" {
			continue
		}
		c := o.Responses.m[code].Content
		if m, ok := c["text/event-stream"]; ok {
			o.stream = true
			o.result, _ = im.build(m.Schema, where+"ResponseContent")
			return nil
		}
		m, ok := c["application/json"]
		if !ok || m.Schema == nil {
			continue
		}
		items, itemKey, only := listShape(im.doc, m.Schema)
		paged := has["page"] || has["take"]
		switch {
		case items != nil && paged:
			o.item, _ = im.build(items, where+"ResponseContent.item")
			o.page = &Page{Key: itemKey, Cursor: cursors[o.method+" "+o.path], Offset: has["page"], Checkpoint: has["take"], Totals: has["include_totals"] && has["page"]}
		case items != nil && only:
			o.item, _ = im.build(items, where+"ResponseContent.item")
			o.list = true
			o.wrapped = itemKey != ""
		default:
			o.result, _ = im.build(objectOf(im.doc, m.Schema), where+"ResponseContent")
		}
		return nil
	}
	return nil
}

// target follows a reference.
func target(doc *document, s *schema) *schema {
	for s.Ref != "" {
		next := doc.Components.Schemas.m[refName(s.Ref)]
		if next == nil {
			panic("no schema " + refName(s.Ref))
		}
		s = next
	}
	return s
}

// objectOf returns the object among a schema's alternatives where the others are no objects: some bodies may also be a plain string.
func objectOf(doc *document, s *schema) *schema {
	t := target(doc, s)
	var objects []*schema
	for _, a := range t.OneOf {
		if target(doc, a).is("object") || len(target(doc, a).AllOf)+len(target(doc, a).OneOf) > 0 {
			objects = append(objects, a)
		}
	}
	if len(objects) == 1 && len(t.OneOf) > 1 {
		return objects[0]
	}
	return s
}

// listShape finds the entries of a list's answer: a bare array, an object around one, or a choice of those. only says that there is
// nothing else in the answer worth keeping.
func listShape(doc *document, s *schema) (items *schema, key string, only bool) {
	t := target(doc, s)
	if len(t.OneOf) > 0 {
		only = true
		for _, a := range t.OneOf {
			i, k, o := listShape(doc, a)
			if i == nil {
				return nil, "", false
			}
			items, only = i, only && o
			if k != "" {
				key = k
			}
		}
		return items, key, only
	}
	if t.is("array") {
		return t.Items, "", true
	}
	only = true
	for _, name := range t.Properties.keys {
		p := target(doc, t.Properties.m[name])
		switch {
		case p.is("array") && items == nil:
			items, key = p.Items, name
		case name == "start", name == "limit", name == "total", name == "length", name == "next", name == "page", name == "per_page":
		default:
			return nil, "", false
		}
	}
	if t.is("object") && len(t.Properties.keys) == 0 {
		return nil, "", false
	}
	return items, key, only
}

// each calls f with every node that an operation sends or receives.
func (im *importer) each(f func(*node)) {
	for _, o := range im.ops {
		for _, q := range o.query {
			f(q.node)
		}
		for _, n := range []*node{o.body, o.result, o.item} {
			if n != nil {
				f(n)
			}
		}
	}
}

func (n *node) children(f func(**node)) {
	if n.elem != nil {
		f(&n.elem)
	}
	for _, fl := range n.fields {
		f(&fl.node)
	}
	for i := range n.variants {
		f(&n.variants[i].node)
	}
}

func (im *importer) markModes() {
	var mark func(n *node, in bool)
	mark = func(n *node, in bool) {
		if in && n.in || !in && n.out {
			return
		}
		if in {
			n.in = true
		} else {
			n.out = true
		}
		n.children(func(c **node) { mark(*c, in) })
	}
	for _, o := range im.ops {
		for _, q := range o.query {
			mark(q.node, true)
		}
		if o.body != nil {
			mark(o.body, true)
		}
		for _, n := range []*node{o.result, o.item} {
			if n != nil {
				mark(n, false)
			}
		}
	}
}

// all returns every named node once, deepest first.
func (im *importer) all() []*node {
	var out []*node
	seen := map[*node]bool{}
	var walk func(n *node)
	walk = func(n *node) {
		if seen[n] {
			return
		}
		seen[n] = true
		n.children(func(c **node) { walk(*c) })
		if n.named() {
			out = append(out, n)
		}
	}
	im.each(walk)
	return out
}

// replace points every use of a node at its stand-in.
func (im *importer) replace(by map[*node]*node) {
	final := func(n *node) *node {
		for by[n] != nil {
			n = by[n]
		}
		return n
	}
	seen := map[*node]bool{}
	var walk func(p **node)
	walk = func(p **node) {
		*p = final(*p)
		if seen[*p] {
			return
		}
		seen[*p] = true
		(*p).children(walk)
	}
	for _, o := range im.ops {
		for _, q := range o.query {
			walk(&q.node)
		}
		for _, n := range []**node{&o.body, &o.result, &o.item} {
			if *n != nil {
				walk(n)
			}
		}
	}
}

// mergeAnswers makes one type of the answers that show the same thing: what get, list, create and update return differ by a field or
// two at most, and a caller wants one type for them.
func (im *importer) mergeAnswers(r *resolver) {
	for range 4 {
		groups := map[string][]*node{}
		var order []string
		for _, n := range im.all() {
			if n.kind != kObject || n.in {
				continue
			}
			noun := typeName(n.from[0], false)
			if groups[noun] == nil {
				order = append(order, noun)
			}
			groups[noun] = append(groups[noun], n)
		}
		by := map[*node]*node{}
		for _, noun := range order {
			g := groups[noun]
			for i := range g {
				if by[g[i]] != nil {
					continue
				}
				for j := i + 1; j < len(g); j++ {
					if by[g[j]] != nil || by[g[i]] != nil {
						continue
					}
					m := r.merge([]*node{g[i], g[j]}, nil, g[i].from[0])
					if m == nil {
						continue
					}
					for _, f := range m.fields {
						f.node.out = true
					}
					g[i].fields, g[i].open = m.fields, m.open
					g[i].from = append(g[i].from, g[j].from...)
					by[g[j]] = g[i]
				}
			}
		}
		if len(by) == 0 {
			return
		}
		im.replace(by)
		im.markModes2()
		im.dedupe()
	}
}

func (im *importer) markModes2() {
	seen := map[*node]bool{}
	var walk func(n *node)
	walk = func(n *node) {
		if seen[n] {
			return
		}
		seen[n] = true
		n.children(func(c **node) {
			(*c).in = (*c).in || n.in
			(*c).out = (*c).out || n.out
			walk(*c)
		})
	}
	im.each(walk)
}

// dedupe makes one node of those that are the same.
func (im *importer) dedupe() {
	for {
		by := map[*node]*node{}
		first := map[string][]*node{}
		for _, n := range im.all() {
			k := key(n)
			done := false
			for _, have := range first[k] {
				if !sameThing(have, n) {
					continue
				}
				have.from = mergeFrom(have.from, n.from)
				have.in, have.out = have.in || n.in, have.out || n.out
				by[n] = have
				done = true
				break
			}
			if !done {
				first[k] = append(first[k], n)
			}
		}
		if len(by) == 0 {
			return
		}
		im.replace(by)
	}
}

func mergeFrom(a, b []string) []string {
	seen := map[string]bool{}
	var out []string
	for _, s := range append(append([]string{}, a...), b...) {
		if !seen[s] {
			seen[s] = true
			out = append(out, s)
		}
	}
	return out
}

// sameThing guards against making one type of small shapes that are alike by chance: those have to speak of the same thing.
func sameThing(a, b *node) bool {
	size, enough := len(a.fields), 5
	if a.kind == kEnum {
		size, enough = len(a.values), 4
	}
	if size >= enough || a.kind == kUnion {
		return true
	}
	if size == 1 && a.in && b.in && a.kind == kObject && a.fields[0].node.kind == kList {
		return true // a list to add or to remove
	}
	for _, x := range a.from {
		for _, y := range b.from {
			if alikeNames(typeName(x, false), typeName(y, false)) {
				return true
			}
		}
	}
	return false
}

// alikeNames reports whether two names speak of the same thing: they begin and end with the same word, end with the same two, or one
// is the other with more.
func alikeNames(x, y string) bool {
	wx, wy := words(x), words(y)
	nx, ny := len(wx), len(wy)
	switch {
	case x == y:
		return true
	case strings.HasPrefix(x, "FlowAction"):
		return false
	case wx[nx-1] == wy[ny-1] && (wx[0] == wy[0] || nx > 1 && ny > 1 && wx[nx-2] == wy[ny-2]):
		return true
	}
	return len(x) > 8 && strings.HasPrefix(y, x) || len(y) > 8 && strings.HasPrefix(x, y)
}

// name gives every named node its Go name: the one it had, or the best that its places in the document suggest.
func (im *importer) name() {
	all := im.all()
	taken := map[string]*node{}
	reserved := map[string]bool{"API": true, "Client": false}
	var fresh []*node
	for _, n := range all {
		sort.SliceStable(n.from, func(i, j int) bool { return betterFrom(n.from[i], n.from[j]) })
	}
	// A type keeps the name that most of its places had. Where a type has come apart, the part that the name suits best keeps it.
	for _, suits := range []bool{true, false} {
		for _, n := range all {
			if n.name != "" {
				continue
			}
			votes := map[string]int{}
			best, suited := "", false
			for _, from := range n.from {
				old := im.oldName[from]
				if old == "" {
					continue
				}
				votes[old]++
				suited = suited || typeName(from, n.in && !n.out) == old
				if best == "" || votes[old] > votes[best] {
					best = old
				}
			}
			if best != "" && taken[best] == nil && (suited || !suits) {
				n.name = best
				taken[best] = n
			}
		}
	}
	for _, n := range all {
		if n.name == "" {
			fresh = append(fresh, n)
		}
	}
	// Types that operations name first, then the ones that places inside others name.
	sort.SliceStable(fresh, func(i, j int) bool {
		di, dj := strings.Count(fresh[i].from[0], "."), strings.Count(fresh[j].from[0], ".")
		if di != dj {
			return di < dj
		}
		return rankKind(fresh[i]) < rankKind(fresh[j])
	})
	for _, n := range fresh {
		var candidates []string
		for _, from := range n.from {
			c := typeName(from, n.in && !n.out)
			candidates = append(candidates, c)
		}
		sort.SliceStable(candidates, func(i, j int) bool { return len(candidates[i]) < len(candidates[j]) })
		suffixes := []string{""}
		switch {
		case n.kind == kEnum:
			suffixes = append(suffixes, "Value", "Kind")
		case n.kind == kUnion:
			suffixes = append(suffixes, "Union")
		case n.in && n.out:
			suffixes = append(suffixes, "Settings", "Spec")
		case n.in:
			suffixes = append(suffixes, "Input")
		default:
			suffixes = append(suffixes, "Info", "Result", "Detail")
		}
	search:
		for _, s := range suffixes {
			for _, c := range candidates {
				if taken[c+s] == nil && !reserved[c+s] {
					n.name = c + s
					break search
				}
			}
		}
		for i := 2; n.name == ""; i++ {
			if c := fmt.Sprintf("%s%d", candidates[0], i); taken[c] == nil {
				n.name = c
			}
		}
		taken[n.name] = n
	}
}

func rankKind(n *node) int {
	switch {
	case n.kind == kObject && !n.in:
		return 0
	case n.kind == kUnion:
		return 1
	case n.kind == kObject:
		return 2
	}
	return 3
}

func betterFrom(a, b string) bool {
	da, db := strings.Count(a, "."), strings.Count(b, ".")
	if da != db {
		return da < db
	}
	return false
}

func (im *importer) expr(n *node) string {
	switch n.kind {
	case kList:
		return "[" + im.expr(n.elem) + "]"
	case kMap:
		return "{" + im.expr(n.elem) + "}"
	case kObject, kEnum, kUnion:
		return n.name
	}
	return string(n.kind)
}

// emit writes the nodes down as a description, each type with the tag that its name speaks of or that uses it first.
func (im *importer) emit() {
	files := map[string]*File{}
	file := func(tag string) *File {
		if files[tag] == nil {
			files[tag] = &File{Tag: tag}
		}
		return files[tag]
	}
	oldOp := map[string]*Op{}
	oldGroup := map[string]*Group{}
	oldField := map[string]*Field{}
	oldType := map[string]*Type{}
	for _, f := range im.old.Files {
		file(f.Tag).Doc = f.Doc
		for _, g := range f.Groups {
			oldGroup[g.Name] = g
		}
		for _, o := range f.Ops {
			oldOp[o.Method+" "+o.Path], oldOp[o.ID] = o, o
		}
		for _, t := range f.Types {
			oldType[t.Name] = t
			for _, fl := range t.Fields {
				oldField[t.Name+"."+fl.Name] = fl
			}
		}
	}
	uses := map[*node]map[string]bool{}
	use := func(n *node, tag string) {
		seen := map[*node]bool{}
		var walk func(n *node)
		walk = func(n *node) {
			if seen[n] {
				return
			}
			seen[n] = true
			if uses[n] == nil {
				uses[n] = map[string]bool{}
			}
			uses[n][tag] = true
			n.children(func(c **node) { walk(*c) })
		}
		walk(n)
	}
	groups := map[string]bool{}
	// A group belongs to the tag that has the most of its operations, the first of those that have as many.
	count := map[string]map[string]int{}
	homeOf := map[string]string{}
	for _, o := range im.ops {
		for i := range o.Group {
			g := strings.Join(o.Group[:i+1], ".")
			if count[g] == nil {
				count[g] = map[string]int{}
			}
			tag := o.Tags[0]
			if count[g][tag]++; homeOf[g] == "" || count[g][tag] > count[g][homeOf[g]] {
				homeOf[g] = tag
			}
		}
	}
	for _, o := range im.ops {
		tag := o.Tags[0]
		f := file(tag)
		name := strings.Join(o.Group, ".")
		for i := range o.Group {
			g := strings.Join(o.Group[:i+1], ".")
			if groups[g] {
				continue
			}
			groups[g] = true
			f := file(homeOf[g])
			ng := &Group{Name: g, Go: serviceName(o.Group[:i+1])}
			if old := oldGroup[g]; old != nil {
				*ng = *old
			}
			f.Groups = append(f.Groups, ng)
		}
		op := &Op{Method: o.method, Path: o.path, Group: name, Go: methodName(o), ID: o.ID, Life: o.Life, Stream: o.stream, Page: o.page}
		for _, s := range o.Security {
			for _, k := range sortedKeys(s) {
				op.Scopes = append(op.Scopes, s[k]...)
			}
		}
		old := oldOp[op.Method+" "+op.Path]
		if old == nil && op.ID != "" {
			old = oldOp[op.ID] // its path is written in another way
		}
		if old != nil {
			op.Doc, op.Go = old.Doc, old.Go
		}
		for _, q := range o.query {
			nf := &Field{Name: q.json, Type: im.expr(q.node), Required: q.req, Life: q.life, Limits: q.limit, Repeat: o.repeat[q.json]}
			if old != nil {
				for _, oq := range old.Query {
					if oq.Name == nf.Name {
						nf.Doc, nf.Go = oq.Doc, oq.Go
					}
				}
			}
			op.Query = append(op.Query, nf)
			use(q.node, tag)
		}
		if o.body != nil {
			if o.multipart {
				op.Multipart = im.expr(o.body)
			} else {
				op.Body = im.expr(o.body)
			}
			use(o.body, tag)
		}
		switch {
		case o.page != nil:
			op.Page.Item = im.expr(o.item)
			use(o.item, tag)
		case o.list:
			op.Returns = "[" + im.expr(o.item) + "]"
			use(o.item, tag)
		case o.result != nil:
			op.Returns = im.expr(o.result)
			use(o.result, tag)
		}
		if r, ok := returnsInstead[op.Method+" "+op.Path]; ok {
			op.Returns = r
		}
		f.Ops = append(f.Ops, op)
	}
	tagNames := sortedKeys(files)
	for _, n := range im.all() {
		tag := homeTag(n, uses[n], tagNames)
		f := file(tag)
		t := &Type{Kind: "type", Name: n.name, From: n.from, In: n.in, Out: n.out, Extra: n.open && n.kind == kObject && extensible(n.name)}
		if old := oldType[n.name]; old != nil {
			t.Doc = old.Doc
		}
		switch n.kind {
		case kEnum:
			t.Kind = "enum"
			old := map[string]string{}
			if o := oldType[n.name]; o != nil {
				for _, v := range o.Values {
					old[v.Value] = v.Go
				}
			}
			for _, v := range n.values {
				t.Values = append(t.Values, Value{Value: v, Go: old[v]})
			}
		case kUnion:
			t.Kind = "union"
			t.By, t.Beside = n.keys, n.sibling
			old := map[string]string{}
			if o := oldType[n.name]; o != nil {
				for _, v := range o.Variants {
					old[strings.Join(v.When, "|")] = v.Go
				}
			}
			for _, v := range n.variants {
				g := old[strings.Join(v.when, "|")]
				if g == "" {
					g = exported(v.label)
				}
				t.Variants = append(t.Variants, Variant{When: v.when, Type: im.expr(v.node), Go: g})
			}
		default:
			for _, fl := range n.fields {
				nf := &Field{Name: fl.json, Type: im.expr(fl.node), Required: fl.req, Null: fl.null, ReadOnly: fl.ro, Life: fl.life, Limits: fl.limit, Always: fl.node.always, Empty: fl.empty && fl.req && n.in}
				if fl.node.kind == kEnum {
					nf.Limits = ""
				}
				if strings.ContainsAny(nf.Always, " ") {
					nf.Always = ""
				}
				if old := oldField[n.name+"."+fl.json]; old != nil {
					nf.Doc, nf.Go = old.Doc, old.Go
				}
				t.Fields = append(t.Fields, nf)
			}
		}
		f.Types = append(f.Types, t)
	}
	for _, tag := range sortedKeys(files) {
		f := files[tag]
		sort.SliceStable(f.Types, func(i, j int) bool { return f.Types[i].Name < f.Types[j].Name })
		if len(f.Ops)+len(f.Types) > 0 {
			im.api.Files = append(im.api.Files, f)
		}
	}
}

// homeTag picks the file of a type.
func homeTag(n *node, uses map[string]bool, tags []string) string {
	used := sortedKeys(uses)
	if len(used) == 1 {
		return used[0]
	}
	best, size := "", 0
	for _, tag := range tags {
		t := exported(tag)
		for _, stem := range []string{t, singular(t)} {
			if strings.HasPrefix(n.name, stem) && len(stem) > size {
				best, size = tag, len(stem)
			}
		}
	}
	if best != "" {
		return best
	}
	return used[0]
}

func serviceName(group []string) string {
	var ws []string
	for i, g := range group {
		w := words(g)
		if i < len(group)-1 {
			w[len(w)-1] = singular(w[len(w)-1])
		}
		ws = append(ws, w...)
	}
	return goName(ws...) + "Service"
}

func methodName(o *rawOp) string {
	if n, ok := methodInstead[strings.Join(o.Group, ".")+"."+o.Name]; ok {
		return n
	}
	n := exported(o.Name)
	if n == "Get" && (o.page != nil || o.list) {
		return "List"
	}
	return n
}
