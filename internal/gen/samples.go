package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// A sample is what the tests of management hold an operation to: the request that it has to send and the answers that it has to
// understand. Samples are made of the OpenAPI document alone, before anything is merged, renamed or typed, so that they are a second
// opinion on the generated code.
type sample struct {
	Op      string            `json:"op"`
	Args    []string          `json:"args,omitempty"`
	Query   map[string]any    `json:"query,omitempty"`
	Body    []json.RawMessage `json:"bodies,omitempty"`
	Answers []json.RawMessage `json:"answers,omitempty"`
	Form    bool              `json:"form,omitempty"`
	Stream  bool              `json:"stream,omitempty"`
}

// sampler makes a full value of a schema: every property is there, and no value is a zero. pick chooses among alternatives.
type sampler struct {
	doc  *document
	pick int
	n    int
	deep map[string]int
	most int // the largest number of alternatives met
}

func (s *sampler) value(sc *schema, name string) any {
	if sc == nil {
		return map[string]any{"any": name}
	}
	if sc.Ref != "" {
		ref := refName(sc.Ref)
		if strings.HasSuffix(ref, "Date") {
			return s.time()
		}
		if s.deep[ref] >= 2 {
			return nil
		}
		s.deep[ref]++
		defer func() { s.deep[ref]-- }()
		return s.value(s.doc.Components.Schemas.m[ref], name)
	}
	if alts := s.alternatives(sc); len(alts) > 0 {
		if len(alts) > s.most {
			s.most = len(alts)
		}
		return s.value(alts[s.pick%len(alts)], name)
	}
	if len(sc.AllOf) > 0 {
		var out object
		for _, part := range sc.AllOf {
			switch v := s.value(part, name).(type) {
			case object:
				for _, m := range v {
					out.set(m.name, m.value)
				}
			case map[string]any, nil:
			default:
				return v
			}
		}
		s.properties(sc, &out)
		return out
	}
	if sc.Const != nil {
		return sc.Const
	}
	if len(sc.Enum) > 0 {
		for i := range sc.Enum {
			if v := sc.Enum[(s.pick+i)%len(sc.Enum)]; v != nil && v != "" {
				return v
			}
		}
	}
	t := ""
	for _, x := range sc.Type {
		if x != "null" {
			t = x
		}
	}
	s.n++
	switch t {
	case "string":
		if sc.Format == "date-time" {
			return s.time()
		}
		if sc.Media != "" {
			return "W3t9XQ==" // a file, as JSON writes bytes: [{}]
		}
		return fmt.Sprintf("%s %d", name, s.n)
	case "integer":
		return s.n
	case "number":
		switch name {
		case "start", "limit", "total", "length":
			return s.n
		}
		return float64(s.n) + 0.5
	case "boolean":
		return true
	case "array":
		if v := s.value(sc.Items, strings.TrimSuffix(name, "s")); v != nil {
			return []any{v}
		}
		return []any{}
	}
	var out object
	s.properties(sc, &out)
	if len(out) == 0 && string(sc.Additional) != "false" {
		if sub, _ := sc.additional(); sub != nil {
			return map[string]any{"key": s.value(sub, name)}
		}
		return map[string]any{"any": name}
	}
	return out
}

func (s *sampler) time() string {
	s.n++
	return fmt.Sprintf("2026-01-02T03:%02d:%02dZ", s.n/60%60, s.n%60)
}

func (s *sampler) properties(sc *schema, out *object) {
	for _, name := range sc.Properties.keys {
		if v := s.value(sc.Properties.m[name], name); v != nil {
			out.set(name, v)
		}
	}
}

// alternatives of a schema, with those of the alternatives themselves, and without null.
func (s *sampler) alternatives(sc *schema) []*schema {
	var out []*schema
	for _, a := range append(append([]*schema{}, sc.OneOf...), sc.AnyOf...) {
		t := target(s.doc, a)
		switch {
		case t.is("null") && len(t.Type) == 1:
		case len(t.OneOf)+len(t.AnyOf) > 0:
			out = append(out, s.alternatives(t)...)
		default:
			out = append(out, a)
		}
	}
	return out
}

// object is a JSON object that keeps its order.
type object []member

type member struct {
	name  string
	value any
}

func (o *object) set(name string, v any) {
	for i := range *o {
		if (*o)[i].name == name {
			(*o)[i].value = v
			return
		}
	}
	*o = append(*o, member{name, v})
}

func (o object) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		name, err := json.Marshal(m.name)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(m.value)
		if err != nil {
			return nil, err
		}
		b.Write(name)
		b.WriteByte(':')
		b.Write(value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// all returns as many samples of a schema as it takes to meet every alternative.
func sampleAll(doc *document, sc *schema) ([]json.RawMessage, error) {
	var out []json.RawMessage
	seen := map[string]bool{}
	for i, most := 0, 1; i < most; i++ {
		s := &sampler{doc: doc, pick: i, deep: map[string]int{}}
		b, err := json.Marshal(s.value(sc, "value"))
		if err != nil {
			return nil, err
		}
		if !seen[string(b)] {
			seen[string(b)] = true
			out = append(out, b)
		}
		most = max(most, s.most)
	}
	return out, nil
}

// writeSamples writes one file of samples for each tag, one line for each operation.
func (im *importer) writeSamples(dir string) error {
	files := map[string]*bytes.Buffer{}
	for _, o := range im.ops {
		line, err := im.sampleOp(o)
		if err != nil {
			return fmt.Errorf("%s %s: %w", o.method, o.path, err)
		}
		name := o.Tags[0] + ".jsonl"
		if files[name] == nil {
			files[name] = new(bytes.Buffer)
		}
		files[name].Write(append(line, '\n'))
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, name := range sortedKeys(files) {
		if err := os.WriteFile(filepath.Join(dir, name), files[name].Bytes(), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func (im *importer) sampleOp(o *rawOp) ([]byte, error) {
	s := sample{Op: o.method + " " + o.path, Form: o.multipart, Stream: o.stream}
	sm := &sampler{doc: im.doc, deep: map[string]int{}}
	for _, p := range o.Parameters {
		switch p.In {
		case "path":
			s.Args = append(s.Args, p.Name+"|1 /ü.")
		case "query":
			if s.Query == nil {
				s.Query = map[string]any{}
			}
			v := sm.value(p.Schema, p.Name)
			if l, ok := v.([]any); ok && p.Explode != nil && *p.Explode {
				v = append(l, sm.value(target(im.doc, p.Schema).Items, p.Name))
			}
			s.Query[p.Name] = v
		}
	}
	s.Args = orderArgs(o.path, s.Args)
	if o.Body != nil {
		var sc *schema
		for _, media := range []string{"application/json", "multipart/form-data"} {
			if m, ok := o.Body.Content[media]; ok {
				sc = objectOf(im.doc, m.Schema)
			}
		}
		bodies, err := sampleAll(im.doc, sc)
		if err != nil {
			return nil, err
		}
		s.Body = bodies
	}
	for _, code := range o.Responses.keys {
		if code[0] != '2' || len(s.Answers) > 0 {
			continue
		}
		for _, media := range []string{"application/json", "text/event-stream"} {
			m, ok := o.Responses.m[code].Content[media]
			if !ok || m.Schema == nil {
				continue
			}
			answers, err := sampleAll(im.doc, objectOf(im.doc, m.Schema))
			if err != nil {
				return nil, err
			}
			s.Answers = answers
		}
	}
	// Connections have a schema for each strategy, which no operation refers to.
	bodies, answers := "", ""
	switch s.Op {
	case "POST /connections":
		bodies, answers = "CreateConnectionRequestContent", "ConnectionResponseContent"
	case "GET /connections/{id}":
		answers = "ConnectionResponseContent"
	}
	for _, name := range im.doc.Components.Schemas.keys {
		sc := im.doc.Components.Schemas.m[name]
		if name == bodies || len(sc.AllOf) == 0 {
			continue
		}
		for prefix, to := range map[string]*[]json.RawMessage{bodies: &s.Body, answers: &s.Answers} {
			if prefix == "" || !strings.HasPrefix(name, prefix) {
				continue
			}
			more, err := sampleAll(im.doc, sc)
			if err != nil {
				return nil, err
			}
			*to = append(*to, more...)
		}
	}
	return json.Marshal(s)
}

func orderArgs(path string, args []string) []string {
	var out []string
	for part := range strings.SplitSeq(path, "/") {
		if !strings.HasPrefix(part, "{") {
			continue
		}
		name := strings.Trim(part, "{}")
		for _, a := range args {
			if strings.HasPrefix(a, name+"|") {
				out = append(out, a)
				break
			}
		}
	}
	return out
}
