package auth0test

import (
	"encoding/json"
	"fmt"
	"slices"
	"unicode/utf8"
)

// payload decodes the body of a request and holds it against what the
// description says of it.
func (c *call) payload() (map[string]any, *answer) {
	if len(c.body) == 0 && c.op.body == "any" {
		return nil, nil
	}
	v, bad := c.json()
	if bad != nil {
		return nil, bad
	}
	if w := describe().check(v, &attribute{kind: c.op.body}); w != nil {
		a := bodyError(w.what, w.property)
		return nil, &a
	}
	doc, ok := v.(map[string]any)
	if !ok { // a list, which its operation takes as one
		doc = map[string]any{"": v}
	}
	return doc, nil
}

// arguments holds the query of a request against the description: numbers in
// their bounds, and nothing missing.
func (c *call) arguments() *answer {
	for i := range c.op.query {
		a := &c.op.query[i]
		if !c.query.Has(a.name) {
			if a.required {
				bad := queryError("Missing required property: "+a.name, a.name)
				return &bad
			}
			continue
		}
		if a.kind == "int" {
			if _, bad := c.number(a.name, 0); bad != nil {
				return bad
			}
		}
	}
	return nil
}

// check says what is wrong with a value, nil for nothing.
func (d *description) check(v any, a *attribute) *wrong {
	is := kindOf(v)
	if v == nil && (a.null || a.kind == "any") {
		return nil
	}
	expect := func(kinds ...string) *wrong {
		if slices.Contains(kinds, is) {
			return a.size(v)
		}
		return &wrong{"Expected type " + kinds[0] + " but found type " + is, a.name}
	}
	inner, ok := inside(a.kind, '[', ']')
	if ok {
		list, _ := v.([]any)
		for i, e := range list {
			if w := d.check(e, &attribute{kind: inner, name: fmt.Sprintf("%s[%d]", a.name, i)}); w != nil {
				return w
			}
		}
		return expect("array")
	}
	if _, ok := inside(a.kind, '{', '}'); ok {
		return expect("object")
	}
	switch a.kind {
	case "any":
		return nil
	case "time", "bytes":
		if is == "string" {
			return nil // bounds are those of the reference's own way to write them
		}
		return expect("string")
	case "string":
		return expect("string")
	case "text":
		return expect("string", "integer", "number")
	case "strings":
		return expect("array", "string")
	case "int":
		return expect("integer")
	case "float":
		return expect("number", "integer")
	case "bool":
		return expect("boolean")
	}
	s := d.shapes[a.kind]
	switch {
	case s == nil:
		return nil
	case s.form == "enum":
		if text, ok := v.(string); ok && !slices.Contains(s.values, text) && !open(a.kind) {
			return &wrong{"No enum match for: " + a.name, a.name} // without the value, which may be a secret
		}
		return expect("string")
	case s.form == "union":
		return expect("object", "string")
	}
	doc, ok := v.(map[string]any)
	if !ok {
		return expect("object")
	}
	if w := d.checkObject(doc, s, a.name); w != nil || a.name != "" || s.extra || open(a.kind) {
		return w
	}
	for _, name := range sortedKeys(doc) {
		if !slices.ContainsFunc(s.attributes, func(a attribute) bool { return a.name == name }) {
			return &wrong{"Additional properties not allowed: " + name, ""}
		}
	}
	return nil
}

// checkObject checks the properties that are known.
func (d *description) checkObject(doc map[string]any, s *shape, at string) *wrong {
	for i := range s.attributes {
		a := s.attributes[i]
		v, given := doc[a.name]
		if !given {
			if a.required {
				return &wrong{"Missing required property: " + a.name, at}
			}
			continue
		}
		if at != "" {
			a.name = at + "." + a.name
		}
		if w := d.check(v, &a); w != nil {
			return w
		}
	}
	return nil
}

// open reports whether a type takes more than the description tells: values of
// an enumeration, or properties of a body. Objects inside a body are all taken
// to be open, as many are.
func open(kind string) bool {
	switch kind {
	case "RenderingContext", "BrandingPhoneProviderCreate", "PhoneProviderSendTestCreate", "DeviceCredentialCreate",
		"EncryptionKeyCreate", "EncryptionKeyImport", "OrganizationMemberIDs", "UserUpdate":
		return true
	}
	return false
}

// size holds a value of the right kind against its bounds.
func (a *attribute) size(v any) *wrong {
	var n float64
	what, unit := "Value", ""
	switch v := v.(type) {
	case string:
		n, what, unit = float64(utf8.RuneCountInString(v)), "String length", " chars"
	case []any:
		n, what, unit = float64(len(v)), "Array length", " items"
	case json.Number:
		f, err := v.Float64()
		if err != nil {
			return &wrong{"Expected type number but found a number out of range", a.name}
		}
		n = f
	default:
		return nil
	}
	switch {
	case n < a.min:
		return &wrong{fmt.Sprintf("%s %v is less than minimum %v%s", what, n, a.min, unit), a.name}
	case a.bounded && n > a.max:
		return &wrong{fmt.Sprintf("%s %v is greater than maximum %v%s", what, n, a.max, unit), a.name}
	}
	return nil
}

// inside returns what stands between brackets.
func inside(kind string, open, closing byte) (string, bool) {
	if len(kind) < 2 || kind[0] != open || kind[len(kind)-1] != closing {
		return "", false
	}
	return kind[1 : len(kind)-1], true
}
