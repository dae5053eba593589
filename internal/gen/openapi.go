package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// document is the part of an OpenAPI document that the importer reads.
type document struct {
	Info struct {
		Version string `json:"version"`
	} `json:"info"`
	Paths      ordered[ordered[json.RawMessage]] `json:"paths"`
	Components struct {
		Schemas ordered[*schema] `json:"schemas"`
	} `json:"components"`
}

type operation struct {
	Tags       []string              `json:"tags"`
	Parameters []parameter           `json:"parameters"`
	Body       *content              `json:"requestBody"`
	Responses  ordered[content]      `json:"responses"`
	ID         string                `json:"operationId"`
	Life       string                `json:"x-release-lifecycle"`
	Deprecated bool                  `json:"deprecated"`
	Name       string                `json:"x-operation-name"`
	Group      groupName             `json:"x-operation-group"`
	Security   []map[string][]string `json:"security"`
}

type parameter struct {
	Name     string  `json:"name"`
	In       string  `json:"in"`
	Required bool    `json:"required"`
	Style    string  `json:"style"`
	Explode  *bool   `json:"explode"`
	Ignore   bool    `json:"x-sdk-ignore"`
	Schema   *schema `json:"schema"`
}

type content struct {
	Content map[string]struct {
		Schema *schema `json:"schema"`
	} `json:"content"`
}

// schema is a JSON Schema as the document uses it.
type schema struct {
	Ref        string           `json:"$ref"`
	Type       stringOrList     `json:"type"`
	Format     string           `json:"format"`
	Enum       []any            `json:"enum"`
	Const      any              `json:"const"`
	Properties ordered[*schema] `json:"properties"`
	Required   []string         `json:"required"`
	Items      *schema          `json:"items"`
	Additional json.RawMessage  `json:"additionalProperties"`
	OneOf      []*schema        `json:"oneOf"`
	AnyOf      []*schema        `json:"anyOf"`
	AllOf      []*schema        `json:"allOf"`
	MinLength  *int             `json:"minLength"`
	MaxLength  *int             `json:"maxLength"`
	MinItems   *int             `json:"minItems"`
	MaxItems   *int             `json:"maxItems"`
	Minimum    *float64         `json:"minimum"`
	Maximum    *float64         `json:"maximum"`
	Pattern    string           `json:"pattern"`
	ReadOnly   bool             `json:"readOnly"`
	WriteOnly  bool             `json:"writeOnly"`
	Deprecated bool             `json:"deprecated"`
	Life       string           `json:"x-release-lifecycle"`
	Media      string           `json:"contentMediaType"`
}

// additional returns the schema of further properties; open says that any are allowed.
func (s *schema) additional() (sub *schema, open bool) {
	switch {
	case len(s.Additional) == 0:
		return nil, false
	case s.Additional[0] == '{':
		sub = new(schema)
		if err := json.Unmarshal(s.Additional, sub); err != nil {
			panic(err)
		}
		return sub, true
	}
	return nil, string(s.Additional) == "true"
}

func (s *schema) is(t string) bool {
	return slices.Contains(s.Type, t)
}

// groupName is a list of names, or one name.
type groupName []string

func (g *groupName) UnmarshalJSON(b []byte) error { return unmarshalOneOrMany(b, (*[]string)(g)) }

type stringOrList []string

func (l *stringOrList) UnmarshalJSON(b []byte) error { return unmarshalOneOrMany(b, (*[]string)(l)) }

func unmarshalOneOrMany(b []byte, to *[]string) error {
	if b[0] == '[' {
		return json.Unmarshal(b, to)
	}
	*to = make([]string, 1)
	return json.Unmarshal(b, &(*to)[0])
}

// ordered is a JSON object whose keys keep the order that they had in the file.
type ordered[T any] struct {
	keys []string
	m    map[string]T
}

func (o *ordered[T]) UnmarshalJSON(b []byte) error {
	if err := json.Unmarshal(b, &o.m); err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(b))
	if _, err := d.Token(); err != nil {
		return err
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return err
		}
		o.keys = append(o.keys, key.(string))
		var skip json.RawMessage
		if err := d.Decode(&skip); err != nil {
			return err
		}
	}
	return nil
}

func readDocument(file string) (*document, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	d := new(document)
	if err := json.Unmarshal(b, d); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return d, nil
}

// kind is what a value is, once references, combinations and single-valued choices are worked out.
type kind string

const (
	kString  kind = "string"
	kInt     kind = "int"
	kFloat   kind = "float"
	kBool    kind = "bool"
	kTime    kind = "time"
	kAny     kind = "any"     // anything
	kText    kind = "text"    // a string, or a number that stands for one
	kStrings kind = "strings" // a list of strings, or one string
	kBytes   kind = "bytes"
	kMap     kind = "map"
	kList    kind = "list"
	kObject  kind = "object"
	kEnum    kind = "enum"
	kUnion   kind = "union"
)

// node is a schema that has been worked out. Nodes of the kinds object, enum and union become Go types.
type node struct {
	kind     kind
	from     []string // where in the document it comes from
	elem     *node    // of a list or a map
	fields   []*field // of an object
	values   []string // of an enum
	leaves   []*node  // of a union that is not resolved yet
	keys     []string // the properties that tell which variant it is: its own, or (sibling) those of the object around it
	sibling  bool
	variants []variant
	open     bool // takes further properties
	format   string
	life     string
	always   string // the only value
	in, out  bool
	resolved bool
	name     string
}

type variant struct {
	when  []string // values of keys, one string for each combination, joined by a space
	label string
	node  *node
}

type field struct {
	json  string
	node  *node
	req   bool
	null  bool
	ro    bool
	life  string
	empty bool   // although required, may be empty
	limit string // constraints as text
}

func (n *node) named() bool { return n.kind == kObject || n.kind == kEnum || n.kind == kUnion }

type builder struct {
	doc  *document
	memo map[string]*built
	// instead gives a node to use for a property in place of what its schema says.
	instead func(where string) *node
}

type built struct {
	node *node
	null bool
}

func refName(ref string) string { return ref[strings.LastIndexByte(ref, '/')+1:] }

// build works a schema out. where is the place in the document; it names types that have no name of their own.
func (b *builder) build(s *schema, where string) (*node, bool) {
	if s == nil {
		return &node{kind: kAny}, false
	}
	if s.Ref != "" {
		name := refName(s.Ref)
		if m, ok := b.memo[name]; ok {
			return m.node, m.null
		}
		target, ok := b.doc.Components.Schemas.m[name]
		if !ok {
			panic(where + ": no schema " + name)
		}
		n := new(node)
		m := &built{node: n}
		b.memo[name] = m
		got, null := b.build(target, name)
		*n = *got
		m.null = null
		return n, null
	}
	null := s.is("null")
	if len(s.AllOf) > 0 {
		n, isNull := b.allOf(s, where)
		return n, null || isNull
	}
	alts := append(append([]*schema{}, s.OneOf...), s.AnyOf...)
	if len(alts) > 0 {
		n, isNull := b.oneOf(alts, where)
		return n, null || isNull
	}
	if s.Const != nil {
		s.Enum = []any{s.Const}
	}
	if len(s.Enum) > 0 {
		n := &node{kind: kEnum, from: []string{where}, life: s.Life}
		for _, v := range s.Enum {
			switch v := v.(type) {
			case nil:
				null = true
			case string:
				n.values = append(n.values, v)
			case bool:
				n.kind = kBool
				n.always = fmt.Sprint(v)
			case float64:
				n.kind = kInt
			default:
				panic(fmt.Sprintf("%s: enum value %v", where, v))
			}
		}
		if len(n.values) == 1 && n.kind == kEnum {
			n.kind, n.always = kString, n.values[0]
		}
		if len(n.values) > 0 && n.kind != kEnum && n.kind != kString {
			return &node{kind: kAny}, null // values of several types
		}
		if n.kind != kEnum {
			n.from = nil
		}
		return n, null
	}
	t := ""
	for _, name := range s.Type {
		switch {
		case name == "null":
		case t != "":
			return &node{kind: kAny}, null // one of several types
		default:
			t = name
		}
	}
	switch t {
	case "string":
		switch {
		case s.Format == "date-time":
			return &node{kind: kTime}, null
		case s.Media != "" || s.Format == "binary":
			return &node{kind: kBytes}, null
		}
		return &node{kind: kString, format: s.Format}, null
	case "integer":
		return &node{kind: kInt}, null
	case "number":
		return &node{kind: kFloat}, null
	case "boolean":
		return &node{kind: kBool}, null
	case "array":
		e, _ := b.build(s.Items, where+".item")
		return &node{kind: kList, elem: e}, null
	case "object", "":
		sub, open := s.additional()
		if len(s.Properties.keys) == 0 {
			if t == "" && len(s.Additional) == 0 {
				if null {
					return &node{kind: kAny}, true
				}
				return &node{kind: kAny}, null
			}
			if sub != nil {
				e, eNull := b.build(sub, where+".value")
				if eNull && (e.kind == kString) {
					e = &node{kind: kAny, format: "string or null"}
				}
				return &node{kind: kMap, elem: e}, null
			}
			return &node{kind: kMap, elem: &node{kind: kAny}}, null
		}
		n := &node{kind: kObject, from: []string{where}, open: open, life: s.Life}
		b.fields(n, s, where)
		return n, null
	}
	panic(where + ": unknown type " + t)
}

func (b *builder) fields(n *node, s *schema, where string) {
	for _, name := range s.Properties.keys {
		p := s.Properties.m[name]
		var fn *node
		var null bool
		if b.instead != nil {
			fn = b.instead(where + "." + name)
		}
		if fn == nil {
			fn, null = b.build(p, where+"."+name)
		} else {
			null = target(b.doc, p).is("null")
		}
		f := &field{json: name, node: fn, null: null, ro: p.ReadOnly, life: p.Life, limit: b.limits(p)}
		if t := target(b.doc, p); t.is("string") && (t.MinLength != nil && *t.MinLength == 0 || mayBeEmpty[name]) {
			f.empty = true
		}
		if p.Deprecated {
			f.life = "deprecated"
		}
		for _, r := range s.Required {
			f.req = f.req || r == name
		}
		if have := n.field(name); have != nil { // allOf repeats it
			f.req = f.req || have.req
			*have = *f
			continue
		}
		n.fields = append(n.fields, f)
	}
	for _, r := range s.Required {
		if f := n.field(r); f != nil {
			f.req = true
		}
	}
}

func (n *node) field(name string) *field {
	for _, f := range n.fields {
		if f.json == name {
			return f
		}
	}
	return nil
}

// limits puts a schema's constraints into words: "1-255 chars", "0-100", "max 10 items".
func (b *builder) limits(s *schema) string {
	for s.Ref != "" {
		t, ok := b.doc.Components.Schemas.m[refName(s.Ref)]
		if !ok {
			return ""
		}
		s = t
	}
	var out []string
	add := func(least, most any, hasMin, hasMax bool, unit string) {
		switch {
		case hasMin && hasMax && least == most:
			out = append(out, fmt.Sprintf("%v%s", least, unit))
		case hasMin && hasMax:
			out = append(out, fmt.Sprintf("%v-%v%s", least, most, unit))
		case hasMin:
			out = append(out, fmt.Sprintf(">=%v%s", least, unit))
		case hasMax:
			out = append(out, fmt.Sprintf("<=%v%s", most, unit))
		}
	}
	deref := func(p *int) int {
		if p == nil {
			return 0
		}
		return *p
	}
	deref64 := func(p *float64) string {
		if p == nil {
			return ""
		}
		return strconv.FormatFloat(*p, 'f', -1, 64)
	}
	add(deref(s.MinLength), deref(s.MaxLength), s.MinLength != nil && *s.MinLength > 0, s.MaxLength != nil, " chars")
	add(deref(s.MinItems), deref(s.MaxItems), s.MinItems != nil && *s.MinItems > 0, s.MaxItems != nil, " items")
	add(deref64(s.Minimum), deref64(s.Maximum), s.Minimum != nil, s.Maximum != nil, "")
	return strings.Join(out, ", ")
}

// allOf joins the parts of an object, or takes the first part of a value that has a type.
func (b *builder) allOf(s *schema, where string) (*node, bool) {
	n := &node{kind: kObject, from: []string{where}, life: s.Life}
	var scalar *node
	var null bool
	for _, part := range s.AllOf {
		pn, pNull := b.build(part, where)
		null = null || pNull
		switch pn.kind {
		case kObject:
			n.open = n.open || pn.open
			for _, f := range pn.fields {
				if have := n.field(f.json); have != nil {
					f2 := *f
					f2.req = f.req || have.req
					*have = f2
				} else {
					f2 := *f
					n.fields = append(n.fields, &f2)
				}
			}
		case kMap:
			n.open = true
		case kAny:
		default:
			if scalar == nil {
				scalar = pn
			}
		}
	}
	if scalar != nil {
		return scalar, null
	}
	_, open := s.additional()
	n.open = n.open || open
	b.fields(n, s, where)
	if len(n.fields) == 0 {
		return &node{kind: kMap, elem: &node{kind: kAny}}, null
	}
	return n, null
}

// oneOf works out alternatives: null makes a value nullable, strings and enums are strings, objects are a union.
func (b *builder) oneOf(alts []*schema, where string) (*node, bool) {
	null := false
	var nodes []*node
	kinds := map[kind]int{}
	times := 0
	for i, a := range alts {
		if a.is("null") && len(a.Type) == 1 {
			null = true
			continue
		}
		n, isNull := b.build(a, fmt.Sprintf("%s.%d", where, i))
		null = null || isNull
		if n.kind == kTime {
			times++
		}
		nodes = append(nodes, n)
		kinds[n.kind]++
	}
	all := func(of ...kind) bool {
		c := 0
		for _, k := range of {
			c += kinds[k]
		}
		return c == len(nodes)
	}
	switch {
	case len(nodes) == 1:
		return nodes[0], null
	case all(kString, kEnum):
		for _, n := range nodes {
			if n.kind == kEnum {
				return n, null
			}
		}
		return nodes[0], null
	case all(kObject, kUnion, kMap):
		n := &node{kind: kUnion, from: []string{where}}
		for _, a := range nodes {
			if a.kind == kMap {
				n.open = true
				continue
			}
			n.leaves = append(n.leaves, a)
		}
		if len(n.leaves) == 0 {
			return &node{kind: kMap, elem: &node{kind: kAny}}, null
		}
		if len(n.leaves) == 1 {
			// The other alternatives are objects of any fields, so that none of these is required.
			only := *n.leaves[0]
			only.open = true
			only.fields = nil
			for _, f := range n.leaves[0].fields {
				f := *f
				f.req = false
				only.fields = append(only.fields, &f)
			}
			return &only, null
		}
		return n, null
	case times > 0, all(kString, kMap) && strings.HasSuffix(where, "Date"):
		return &node{kind: kTime}, null
	case all(kString, kInt) && kinds[kString] == 1 && strings.HasSuffix(strings.ToLower(where), "userid"):
		return &node{kind: kText}, null
	case all(kString, kList) && kinds[kList] == 1:
		return &node{kind: kStrings}, null
	}
	return &node{kind: kAny}, null
}

func sortedKeys[T any](m map[string]T) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
