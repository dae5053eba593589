package auth0test

import (
	"net/http"
	"strings"
)

// sampler makes values of the description's types: every property that an
// answer may have is there.
type sampler struct {
	d    *description
	now  string
	deep map[string]int
}

func (s *sampler) value(a *attribute) any {
	if inner, ok := inside(a.kind, '[', ']'); ok {
		list := []any{}
		for range max(1, int(a.min)) {
			if v := s.value(&attribute{name: strings.TrimSuffix(a.name, "s"), kind: inner}); v != nil {
				list = append(list, v)
			}
		}
		return list
	}
	if inner, ok := inside(a.kind, '{', '}'); ok {
		if inner == "any" {
			return map[string]any{"key": a.text()}
		}
		return map[string]any{"key": s.value(&attribute{name: a.name, kind: inner})}
	}
	if a.always != "" {
		if a.kind == "bool" {
			return a.always == "true"
		}
		return a.always
	}
	switch a.kind {
	case "string", "text":
		return a.text()
	case "strings":
		return []any{a.text()}
	case "bytes":
		return "eA=="
	case "time":
		return s.now
	case "int":
		return int64(a.min)
	case "float":
		return a.min
	case "bool":
		return false
	case "any":
		if a.required {
			return map[string]any{}
		}
		return nil // nobody knows of what type it would be
	}
	sh := s.d.shapes[a.kind]
	switch {
	case sh == nil || s.deep[a.kind] > 1:
		return nil
	case sh.form == "enum":
		return firstOf(sh.values...)
	case sh.form == "union":
		return s.value(&attribute{name: a.name, kind: sh.variants[0].kind})
	}
	s.deep[a.kind]++
	defer func() { s.deep[a.kind]-- }()
	doc := make(map[string]any)
	for i := range sh.attributes {
		if v := s.value(&sh.attributes[i]); v != nil {
			doc[sh.attributes[i].name] = v
		}
	}
	for i := range sh.attributes {
		s.choose(&sh.attributes[i], doc)
	}
	return doc
}

// choose makes the properties beside a choice tell which of its variants is there.
func (s *sampler) choose(a *attribute, doc map[string]any) {
	sh := s.d.shapes[a.kind]
	if sh == nil || sh.form != "union" {
		return
	}
	for i, value := range strings.Fields(sh.variants[0].when[0]) {
		if i < len(sh.by) && doc[sh.by[i]] != nil {
			doc[sh.by[i]] = value
		}
	}
}

// text is a string with as many characters as the property wants.
func (a *attribute) text() string {
	text := firstOf(a.name, "text")
	if short := int(a.min) - len(text); short > 0 {
		text += strings.Repeat("x", short)
	}
	if a.bounded {
		text = text[:min(len(text), int(a.max))]
	}
	return text
}

// sample answers a call about which the tenant keeps nothing: an answer of the
// right type, in which the names of the path and the values that were sent come back.
func (t *Tenant) sample(c *call) answer {
	var sent map[string]any
	if c.op.body != "" {
		var bad *answer
		if sent, bad = c.payload(); bad != nil {
			return *bad
		}
	}
	if c.op.answers == "" {
		return answer{status: c.op.success(), header: http.Header{}}
	}
	d := describe()
	s := &sampler{d: d, now: timestamp(c.now), deep: make(map[string]int)}
	v := s.value(&attribute{name: "value", kind: c.op.answers})
	doc, isObject := v.(map[string]any)
	if isObject {
		c.echo(doc, sent)
	}
	switch {
	case c.op.stream:
		return answer{
			status: http.StatusOK, header: http.Header{"Content-Type": {"text/event-stream"}},
			body: append(append([]byte("data: "), mustJSON(v)...), "\n\n"...),
		}
	case c.op.page != nil && isObject:
		return paged(c, []map[string]any{doc}, func(map[string]any) uint64 { return 1 }, itself)
	case isObject:
		doc = c.pick(doc)
		return jsonAnswer(c.op.success(), doc)
	}
	if key := c.op.wrapped(); key != "" {
		v = map[string]any{key: v}
	}
	return jsonAnswer(c.op.success(), v)
}

// echo puts what the caller has said into an answer, where it has a place and is of one kind.
func (c *call) echo(doc, sent map[string]any) {
	for name, v := range sent {
		if had, there := doc[name]; there && kindOf(had) == kindOf(v) {
			doc[name] = v
		}
	}
	for i, seg := range c.op.split {
		if !isBrace(seg) {
			continue
		}
		name := seg[1 : len(seg)-1]
		if _, isText := doc[name].(string); isText && (name != "id" || i == len(c.op.split)-1) {
			doc[name] = c.params[name]
		}
	}
}
