package auth0test

import (
	"maps"
	"net/http"
	"slices"
	"strings"
)

// object is one thing that the tenant keeps: the document as the API shows it.
type object struct {
	id    string
	owner string // id of the object that it belongs to, "" for the tenant's own
	seq   uint64 // grows with each object and link
	doc   map[string]any
}

// document and sequence are what lists of objects need.
func (o *object) document() map[string]any { return o.doc }
func (o *object) sequence() uint64         { return o.seq }

// itself is for lists of what needs no dressing.
func itself(doc map[string]any) map[string]any { return doc }

// collection is the objects of one kind.
type collection struct {
	list  map[string][]*object // by owner, in order of creation
	byID  map[string]*object   // of all owners
	taken map[string]*object   // what no other may have
}

func newCollection() *collection {
	return &collection{list: make(map[string][]*object), byID: make(map[string]*object), taken: make(map[string]*object)}
}

// kind is a kind of object with its operations, as far as the API has them: to
// list and create under a path, to get, change and delete under it with an id.
type kind struct {
	noun   string // in messages
	path   string // without /api/v2
	id     string // the property that holds the id
	prefix string
	digits int // of the id behind the prefix
	// owner is the kind whose objects have these; "" where they are the tenant's.
	owner string
	// unique are sets of properties that no two objects of one owner share.
	unique [][]string
	// merged are properties that a change merges at their first level.
	merged []string
	// lasting is set where deleting what is not there is an error.
	lasting bool

	// begin completes a new document, or refuses it. sent is the payload.
	begin func(t *Tenant, c *call, doc, sent map[string]any) *answer
	// added acts on an object that has just been kept.
	added func(t *Tenant, o *object, sent map[string]any)
	// change looks at a payload before it is applied.
	change func(t *Tenant, c *call, o *object, sent map[string]any) *answer
	// chosen says whether a list shows an object; nil for what filters says.
	chosen func(c *call, doc map[string]any) bool
	// show dresses a document.
	show func(t *Tenant, o *object) map[string]any
	// gone takes away what hung on a deleted object.
	gone func(t *Tenant, o *object)
}

// kinds returns all kinds.
func kinds() []*kind {
	return []*kind{
		roleKind(), organizationKind(), invitationKind(), clientKind(), credentialKind(), connectionKind(),
		clientGrantKind(), resourceServerKind(), authenticationMethodKind(), discoveryDomainKind(),
	}
}

// attach gives the kind's operations their handlers.
func (k *kind) attach(d *description) {
	list := splitPattern(k.path)
	d.all(func(o *operation) {
		if o.serve != nil || len(o.split) < len(list) || !slices.Equal(o.split[:len(list)], list) {
			return
		}
		one := len(o.split) == len(list)+1 && isBrace(o.split[len(list)])
		switch {
		case len(o.split) == len(list) && o.method == http.MethodGet:
			o.serve = k.serveList
		case len(o.split) == len(list) && o.method == http.MethodPost:
			o.serve = k.serveCreate
		case one && o.method == http.MethodGet:
			o.serve = k.serveGet
		case one && o.method == http.MethodPatch:
			o.serve = k.serveChange
		case one && o.method == http.MethodDelete:
			o.serve = k.serveDelete
		}
	})
}

// missing is the refusal for what is not there.
func missing(status int, noun string) *answer {
	a := failure(status, "inexistent_"+strings.ReplaceAll(noun, " ", "_"), "The "+noun+" does not exist.")
	return &a
}

// object returns an object of a kind, nil without one.
func (t *Tenant) object(noun, id string) *object { return t.kept[noun].byID[id] }

// absent is the refusal where there is no such object or user, nil where there is.
func (t *Tenant) absent(noun, id string, status int) *answer {
	if noun == "user" {
		if t.users.byID[id] != nil {
			return nil
		}
	} else if t.object(noun, id) != nil {
		return nil
	}
	return missing(status, noun)
}

// argument returns what the nth brace of the path stands for.
func (c *call) argument(n int) string {
	for _, seg := range c.op.split {
		if !isBrace(seg) {
			continue
		}
		if n == 0 {
			return c.params[seg[1:len(seg)-1]]
		}
		n--
	}
	return ""
}

// of returns the id of the owner that a path names, "" where there is none.
func (k *kind) of(c *call) string {
	if k.owner == "" {
		return ""
	}
	return c.argument(0)
}

// find returns the object that a path names, or the refusal.
func (k *kind) find(t *Tenant, c *call) (*object, *answer) {
	n := 0
	if k.owner != "" {
		n = 1
	}
	o := t.object(k.noun, c.argument(n))
	if o == nil || o.owner != k.of(c) {
		return nil, missing(http.StatusNotFound, k.noun)
	}
	return o, nil
}

func (k *kind) document(t *Tenant, o *object) map[string]any {
	if k.show == nil {
		return o.doc
	}
	return k.show(t, o)
}

func (k *kind) serveList(t *Tenant, c *call) answer {
	chosen := k.chosen
	if chosen == nil {
		chosen = (*call).filters
	}
	found := slices.DeleteFunc(slices.Clone(t.kept[k.noun].list[k.of(c)]), func(o *object) bool { return !chosen(c, o.doc) })
	if c.op.page == nil {
		return jsonAnswer(c.op.success(), shown(c, found, (*object).document))
	}
	return paged(c, found, (*object).sequence, func(o *object) map[string]any { return k.document(t, o) })
}

// filters reports whether a document has what the query says of its
// properties: for each that is named, one of the values given.
func (c *call) filters(doc map[string]any) bool {
	for _, a := range c.op.query {
		given := c.query[a.name]
		if len(given) == 0 || aboutList(a.name) {
			continue
		}
		has := strings.Join(lookup(doc[a.name], ""), "")
		if !slices.ContainsFunc(given, func(s string) bool { return slices.Contains(strings.Split(s, ","), has) }) {
			return false
		}
	}
	return true
}

// aboutList reports whether a parameter is about a list, not its entries.
func aboutList(name string) bool {
	switch name {
	case "page", "per_page", "include_totals", "from", "take", "fields", "include_fields", "sort", "include_client_association_for":
		return true
	}
	return false
}

func (k *kind) serveCreate(t *Tenant, c *call) answer {
	sent, bad := c.payload()
	if bad != nil {
		return *bad
	}
	doc := make(map[string]any)
	for _, a := range describe().shapes[c.op.answers].attributes {
		if v := sent[a.name]; v != nil { // what an answer does not show is not kept
			doc[a.name] = v
		}
	}
	if k.begin != nil {
		if bad := k.begin(t, c, doc, sent); bad != nil {
			return *bad
		}
	}
	o, bad := t.keep(k, k.of(c), doc)
	if bad != nil {
		return *bad
	}
	if k.added != nil {
		k.added(t, o, sent)
	}
	return jsonAnswer(c.op.success(), c.pick(k.document(t, o)))
}

// keep adds an object, or refuses one that is there already.
func (t *Tenant) keep(k *kind, owner string, doc map[string]any) (*object, *answer) {
	if doc[k.id] == nil {
		doc[k.id] = k.prefix + t.newID(k.digits)
	}
	id, _ := doc[k.id].(string)
	o := &object{id: id, owner: owner, doc: doc}
	kept := t.kept[k.noun]
	for _, key := range k.keys(o) {
		if kept.taken[key] != nil {
			return nil, k.conflict()
		}
	}
	o.seq = t.sequence()
	kept.list[owner] = append(kept.list[owner], o)
	kept.byID[o.id] = o
	for _, key := range k.keys(o) {
		kept.taken[key] = o
	}
	return o, nil
}

func (k *kind) conflict() *answer {
	a := failure(http.StatusConflict, strings.ReplaceAll(k.noun, " ", "_")+"_conflict", "There is another "+k.noun+" like this one.")
	return &a
}

// keys are what no other object may have.
func (k *kind) keys(o *object) []string {
	var keys []string
	for _, set := range append(k.unique, []string{k.id}) {
		key := []string{o.owner}
		for _, name := range set {
			key = append(append(key, name), lookup(o.doc[name], "")...)
		}
		keys = append(keys, strings.Join(key, "\n"))
	}
	return keys
}

func (k *kind) serveGet(t *Tenant, c *call) answer {
	o, bad := k.find(t, c)
	if bad != nil {
		return *bad
	}
	return jsonAnswer(c.op.success(), c.pick(k.document(t, o)))
}

func (k *kind) serveChange(t *Tenant, c *call) answer {
	sent, bad := c.payload()
	if bad != nil {
		return *bad
	}
	o, bad := k.find(t, c)
	if bad != nil {
		return *bad
	}
	if k.change != nil {
		if bad := k.change(t, c, o, sent); bad != nil {
			return *bad
		}
	}
	changed := &object{id: o.id, owner: o.owner, seq: o.seq, doc: maps.Clone(o.doc)}
	for _, a := range describe().shapes[c.op.answers].attributes {
		if v, given := sent[a.name]; given {
			patch(changed.doc, a.name, v, slices.Contains(k.merged, a.name))
		}
	}
	kept := t.kept[k.noun]
	for _, key := range k.keys(changed) {
		if other := kept.taken[key]; other != nil && other != o {
			return *k.conflict()
		}
	}
	for _, key := range k.keys(o) {
		delete(kept.taken, key)
	}
	o.doc = changed.doc
	for _, key := range k.keys(o) {
		kept.taken[key] = o
	}
	return jsonAnswer(c.op.success(), c.pick(k.document(t, o)))
}

// patch sets a property: null takes it away, and what is merged keeps the names
// that the change does not mention.
func patch(doc map[string]any, name string, v any, merge bool) {
	if change, ok := v.(map[string]any); ok && merge {
		old, _ := doc[name].(map[string]any)
		merged := make(map[string]any)
		maps.Copy(merged, old)
		for k, n := range change {
			if merged[k] = n; n == nil {
				delete(merged, k)
			}
		}
		v = merged
	}
	if doc[name] = v; v == nil {
		delete(doc, name)
	}
}

func (k *kind) serveDelete(t *Tenant, c *call) answer {
	o, bad := k.find(t, c)
	switch {
	case bad == nil:
		t.forget(k, o)
	case k.lasting:
		return *bad
	}
	return answer{status: c.op.success(), header: http.Header{}}
}

// forget takes an object away, with all that is its own and all that links it.
func (t *Tenant) forget(k *kind, o *object) {
	kept := t.kept[k.noun]
	kept.list[o.owner] = slices.DeleteFunc(kept.list[o.owner], func(e *object) bool { return e == o })
	delete(kept.byID, o.id)
	for _, key := range k.keys(o) {
		delete(kept.taken, key)
	}
	if k.gone != nil {
		k.gone(t, o)
	}
	t.disown(k.noun, o.id)
}

// disown takes away what belonged to an object or user, and its links.
func (t *Tenant) disown(noun, id string) {
	for _, k := range kinds() {
		if k.owner == noun {
			for _, o := range slices.Clone(t.kept[k.noun].list[id]) {
				t.forget(k, o)
			}
		}
	}
	for _, r := range t.relations() {
		r.drop(id)
	}
}

// sequence returns a number greater than all that it has returned.
func (t *Tenant) sequence() uint64 {
	t.sequences++
	return t.sequences
}

// link is one end of a relation.
type link struct {
	id  string
	seq uint64
	doc map[string]any // what is said of the relation itself, shared by both ends
}

func (l link) sequence() uint64 { return l.seq }

// relation is which things of two sorts belong together, in order.
type relation struct {
	of map[string][]link // by the left one
	in map[string][]link // by the right one
}

func newRelation() *relation {
	return &relation{of: make(map[string][]link), in: make(map[string][]link)}
}

// get returns the link of two, nil for none. It looks at the end that has fewer.
func (r *relation) get(left, right string) *link {
	list, other := r.of[left], right
	if in := r.in[right]; len(in) < len(list) {
		list, other = in, left
	}
	for i := range list {
		if list[i].id == other {
			return &list[i]
		}
	}
	return nil
}

// add links two, if they are not linked yet.
func (r *relation) add(t *Tenant, left, right string, doc map[string]any) {
	if r.get(left, right) != nil {
		return
	}
	seq := t.sequence()
	r.of[left] = append(r.of[left], link{right, seq, doc})
	r.in[right] = append(r.in[right], link{left, seq, doc})
}

// remove parts two.
func (r *relation) remove(left, right string) {
	unlink(r.of, left, right)
	unlink(r.in, right, left)
}

func unlink(m map[string][]link, from, id string) {
	m[from] = slices.DeleteFunc(m[from], func(l link) bool { return l.id == id })
	if len(m[from]) == 0 {
		delete(m, from)
	}
}

// drop takes away all links of one.
func (r *relation) drop(id string) {
	for _, l := range slices.Clone(r.of[id]) {
		r.remove(id, l.id)
	}
	for _, l := range slices.Clone(r.in[id]) {
		r.remove(l.id, id)
	}
}

// links answers with a page of the links of one, as show dresses them.
func links(c *call, list []link, show func(link) map[string]any) answer {
	return paged(c, slices.Clone(list), link.sequence, show)
}

// texts returns the strings of a list in a payload.
func texts(v any) []string {
	list, _ := v.([]any)
	out := make([]string, 0, len(list))
	for _, e := range list {
		if s, ok := e.(string); ok {
			out = append(out, s)
		}
	}
	return out
}

// relate is the body of the operations that add or remove links: the payload
// has a list of ids, each of which has to be there when links are added.
// Nothing is changed when one of them is not.
func (t *Tenant) relate(c *call, property, noun string, status int, each func(id string)) answer {
	sent, bad := c.payload()
	if bad != nil {
		return *bad
	}
	ids := texts(sent[property])
	if c.method == http.MethodPost {
		for _, id := range ids {
			if bad := t.absent(noun, id, status); bad != nil {
				return *bad
			}
		}
	}
	for _, id := range ids {
		each(id)
	}
	return answer{status: c.op.success(), header: http.Header{}}
}
