package auth0test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// The search syntax of Auth0, as far as it needs no search engine: terms of a
// field and a value, a range, or a group of values, joined by AND and OR, which
// bind in this order, NOT, and parentheses. Without a word between them, terms
// are joined by OR, as Lucene does.

// condition is what a search asks of a document.
type condition interface{ matches(doc map[string]any) bool }

type (
	allOf []condition
	anyOf []condition
	not   struct{ condition }
	// exists asks for a field, whatever its value.
	exists string
	// equals asks for a value. A * at its end stands for any rest.
	equals struct {
		path, value string
		prefix      bool
	}
	// within asks for a value between two, both * for no end.
	within struct {
		path, from, to      string
		afterFrom, beforeTo bool // without the end itself
	}
)

func (a allOf) matches(doc map[string]any) bool {
	for _, c := range a {
		if !c.matches(doc) {
			return false
		}
	}
	return true
}

func (a anyOf) matches(doc map[string]any) bool {
	for _, c := range a {
		if c.matches(doc) {
			return true
		}
	}
	return false
}

func (n not) matches(doc map[string]any) bool { return !n.condition.matches(doc) }

func (e exists) matches(doc map[string]any) bool { return len(lookup(doc, string(e))) > 0 }

func (e equals) matches(doc map[string]any) bool {
	for _, v := range lookup(doc, e.path) {
		if v = strings.ToLower(v); v == e.value || e.prefix && strings.HasPrefix(v, e.value) {
			return true
		}
	}
	return false
}

func (w within) matches(doc map[string]any) bool {
	for _, v := range lookup(doc, w.path) {
		v = strings.ToLower(v)
		low := w.from == "*" || compareValues(v, w.from) > 0 || !w.afterFrom && compareValues(v, w.from) == 0
		high := w.to == "*" || compareValues(v, w.to) < 0 || !w.beforeTo && compareValues(v, w.to) == 0
		if low && high {
			return true
		}
	}
	return false
}

// compareValues orders numbers by their size and all else, dates too, by their letters.
func compareValues(a, b string) int {
	x, errX := json.Number(a).Float64()
	y, errY := json.Number(b).Float64()
	switch {
	case errX != nil || errY != nil:
		return strings.Compare(a, b)
	case x < y:
		return -1
	case x > y:
		return 1
	}
	return 0
}

// searchDepth bounds the parentheses inside parentheses.
const searchDepth = 50

// parseSearch reads a search. It returns nil for one that asks for nothing.
func parseSearch(q string) (condition, error) {
	p := searchParser{rest: strings.TrimSpace(q)}
	if p.rest == "" || p.rest == "*" {
		return nil, nil
	}
	c, err := p.either()
	if err == nil && p.rest != "" {
		err = errors.New("the search goes on after a parenthesis that was never opened")
	}
	return c, err
}

type searchParser struct {
	rest  string
	depth int
}

// word takes a word of the syntax.
func (p *searchParser) word(w string) bool {
	rest, ok := strings.CutPrefix(p.rest, w)
	if !ok || rest != "" && !strings.HasPrefix(rest, " ") && !strings.HasPrefix(rest, "(") {
		return false
	}
	p.rest = strings.TrimLeft(rest, " ")
	return true
}

// mark takes a mark of punctuation.
func (p *searchParser) mark(m string) bool {
	rest, ok := strings.CutPrefix(p.rest, m)
	if ok {
		p.rest = strings.TrimLeft(rest, " ")
	}
	return ok
}

func (p *searchParser) either() (condition, error) {
	var some anyOf
	for {
		c, err := p.both()
		if err != nil {
			return nil, err
		}
		some = append(some, c)
		if !p.word("OR") && (p.rest == "" || p.rest[0] == ')') {
			break
		}
	}
	if len(some) == 1 {
		return some[0], nil
	}
	return some, nil
}

func (p *searchParser) both() (condition, error) {
	var every allOf
	for {
		c, err := p.one()
		if err != nil {
			return nil, err
		}
		every = append(every, c)
		if !p.word("AND") {
			break
		}
	}
	if len(every) == 1 {
		return every[0], nil
	}
	return every, nil
}

func (p *searchParser) one() (condition, error) {
	if p.depth++; p.depth > searchDepth {
		return nil, errors.New("the search has too many parentheses")
	}
	defer func() { p.depth-- }()
	switch {
	case p.word("NOT"), p.mark("-"):
		c, err := p.one()
		return not{c}, err
	case p.mark("("):
		c, err := p.either()
		if err == nil && !p.mark(")") {
			err = errors.New("a parenthesis of the search does not end")
		}
		return c, err
	}
	path := p.bare(":")
	if path == "" || !strings.HasPrefix(p.rest, ":") {
		return nil, errors.New("a term of the search has the form field:value")
	}
	p.rest = p.rest[1:]
	if path == "_exists_" {
		return exists(p.bare("")), nil
	}
	switch {
	case strings.HasPrefix(p.rest, "["), strings.HasPrefix(p.rest, "{"):
		return p.between(path)
	case p.mark("("):
		var some anyOf
		for {
			c, err := p.value(path)
			if err != nil {
				return nil, err
			}
			some = append(some, c)
			if p.mark(")") {
				return some, nil
			}
			p.word("OR")
		}
	}
	return p.value(path)
}

// between reads a range: [ and ] take their end in, { and } do not.
func (p *searchParser) between(path string) (condition, error) {
	w := within{path: path, afterFrom: p.rest[0] == '{'}
	p.rest = strings.TrimLeft(p.rest[1:], " ")
	var err error
	if w.from, _, err = p.literal(); err != nil {
		return nil, err
	}
	if !p.word("TO") {
		return nil, errors.New("a range of the search has no TO")
	}
	if w.to, _, err = p.literal(); err != nil {
		return nil, err
	}
	switch {
	case p.mark("]"):
	case p.mark("}"):
		w.beforeTo = true
	default:
		return nil, errors.New("a range of the search does not end")
	}
	return w, nil
}

// value reads a value of a field, which a last * makes a prefix.
func (p *searchParser) value(path string) (condition, error) {
	v, quoted, err := p.literal()
	if err != nil {
		return nil, err
	}
	prefix, cut := strings.CutSuffix(v, "*")
	if cut = cut && !quoted; cut {
		v = prefix
	}
	return equals{path, v, cut}, nil
}

// literal reads a value, in small letters.
func (p *searchParser) literal() (v string, quoted bool, err error) {
	if p.mark(`"`) {
		v, ok := p.until(`"`)
		if !ok {
			return "", false, errors.New("a quotation of the search does not end")
		}
		p.rest = strings.TrimLeft(p.rest[1:], " ")
		return strings.ToLower(v), true, nil
	}
	if v = p.bare(""); v == "" {
		return "", false, errors.New("a value of the search is missing")
	}
	return strings.ToLower(v), false, nil
}

// bare reads what stands without quotation marks, and the spaces after it.
func (p *searchParser) bare(end string) string {
	v, _ := p.until(" ()[]{}\"" + end)
	p.rest = strings.TrimLeft(p.rest, " ")
	return v
}

// until reads up to one of some marks, and reports whether one was found. A
// backslash makes a letter of the mark after it.
func (p *searchParser) until(marks string) (string, bool) {
	var b strings.Builder
	for i := 0; i < len(p.rest); i++ {
		switch {
		case p.rest[i] == '\\' && i+1 < len(p.rest):
			i++
		case strings.IndexByte(marks, p.rest[i]) >= 0:
			p.rest = p.rest[i:]
			return b.String(), true
		}
		b.WriteByte(p.rest[i])
	}
	p.rest = ""
	return b.String(), false
}

// lookup returns the values that a dotted path leads to, looking into each
// element of a list. An object is its JSON.
func lookup(v any, path string) []string {
	if list, ok := v.([]any); ok {
		var all []string
		for _, e := range list {
			all = append(all, lookup(e, path)...)
		}
		return all
	}
	if path == "" {
		switch v.(type) {
		case nil:
			return nil
		case map[string]any:
			return []string{string(mustJSON(v))}
		}
		return []string{fmt.Sprint(v)}
	}
	doc, ok := v.(map[string]any)
	if !ok {
		return nil
	}
	name, rest, _ := strings.Cut(path, ".")
	return lookup(doc[name], rest)
}
