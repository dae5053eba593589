package auth0

import (
	"bytes"
	"context"
	"encoding"
	"encoding/json"
	"errors"
	"iter"
	"net/url"
	"reflect"
	"strconv"
	"strings"
)

// Mismatch is a field of an answer whose value has another type than the API
// description says. The field is left at its zero value.
type Mismatch struct {
	// Path leads to the field, as in identities[0].user_id; empty for the whole
	// answer.
	Path string
	// Got is what came: null, bool, number, string, array or object. The value
	// itself is not kept, since it may be personal.
	Got string
	// Want is the Go type of the field.
	Want string
}

// String returns the mismatch as one line.
func (m Mismatch) String() string { return m.Path + ": " + m.Got + " in place of " + m.Want }

// NoContent is the result of calls whose answer is not read.
type NoContent struct{}

// PartialError says that a value was decoded but for some fields, which are left
// at their zero values.
//
// An UnmarshalJSON method that returns one tells Decode and Call that it has
// kept the rest: they keep the value too, and report the mismatches with their
// paths put after that of the value. encoding/json stops at the error and hands
// it to its caller.
type PartialError struct {
	// Mismatches are the fields left out, in the order in which they came; their
	// paths start at the value that was decoded.
	Mismatches []Mismatch
}

// Error names the first field and counts the others. It holds none of their
// values.
func (e *PartialError) Error() string {
	switch n := len(e.Mismatches); n {
	case 0:
		return "auth0: a field has an unexpected type"
	case 1:
		return "auth0: unexpected type: " + e.Mismatches[0].String()
	default:
		return "auth0: unexpected type: " + e.Mismatches[0].String() + ", and " + strconv.Itoa(n-1) + " more"
	}
}

// Decode decodes data into the value that into points to, as json.Unmarshal
// does, but leaves out what does not fit and keeps the rest. It is how Call
// reads answers, for JSON that comes another way: a log stream, a webhook, an
// export. The error is a *PartialError when something was left out, and that of
// json.Unmarshal when data is not JSON or into is not a pointer.
func Decode(data []byte, into any) error {
	err := atOnce(data, into)
	if err == nil {
		return nil
	}
	var e PartialError
	if err := salvage(err, data, into, "", func(m Mismatch) { e.Mismatches = append(e.Mismatches, m) }); err != nil {
		return err
	}
	if len(e.Mismatches) > 0 {
		return &e
	}
	return nil
}

// CallInto is Call for the value that into points to, nil to ignore the answer.
// Generated code calls it, since the compiler makes one of Call for every type.
// After an error the value may be there in part.
func CallInto(ctx context.Context, c *Client, method, path string, args []string, query url.Values, body, into any, opts []RequestOption) error {
	if into == nil {
		into = new(NoContent)
	}
	return c.call(ctx, method, path, args, query, body, opts, into)
}

// decodeBody decodes the body of an answer into the value that into points to.
func decodeBody(body []byte, into any, report func(Mismatch)) error {
	switch v := into.(type) {
	case *NoContent:
		return nil
	case *[]byte:
		*v = body
		return nil
	case *json.RawMessage:
		*v = body
		return nil
	}
	// 204 and 202 answers have no body.
	if len(bytes.TrimSpace(body)) > 0 {
		if err := decodeJSON(body, into, "", report); err != nil {
			return err
		}
	}
	// A pointer always points to a value, if a zero one, so that callers need no
	// second check beside the error's.
	if v := reflect.ValueOf(into).Elem(); v.Kind() == reflect.Pointer && v.IsNil() {
		v.Set(reflect.New(v.Type().Elem()))
	}
	return nil
}

// decodeJSON decodes data and leaves out what does not fit, reporting each such
// field. Only data that is not JSON is an error.
func decodeJSON(data []byte, into any, path string, report func(Mismatch)) error {
	if err := atOnce(data, into); err != nil {
		return salvage(err, data, into, path, report)
	}
	return nil
}

var errNotAtOnce = errors.New("to be decoded piece by piece")

// atOnce is json.Unmarshal, except for values that may hold others of their type
// by way of types with methods of their own. Each level of these would have the
// levels within it decoded twice, all at once and piece by piece, so that one odd
// value at depth n cost 2^n; they are decoded piece by piece from the start.
func atOnce(data []byte, into any) error {
	switch into.(type) {
	case json.Unmarshaler, encoding.TextUnmarshaler:
	default:
		v := reflect.ValueOf(into)
		if v.Kind() == reflect.Pointer && !v.IsNil() && loops(v.Type().Elem()) && json.Valid(data) && kindOf(bytes.TrimSpace(data)) != "null" {
			return errNotAtOnce
		}
	}
	return json.Unmarshal(data, into)
}

var looping memo // of bools

// loops reports whether values of t may hold others of t by way of a type with a
// method of its own.
func loops(t reflect.Type) bool {
	if known, ok := looping.load(t); ok {
		return known.(bool)
	}
	type place struct {
		t   reflect.Type
		own bool // there was such a type on the way
	}
	seen, found := map[place]bool{}, false
	var visit func(reflect.Type, bool)
	enter := func(at reflect.Type, own bool) {
		found = found || own && at == t
		if p := (place{at, own}); !seen[p] {
			seen[p] = true
			visit(at, own)
		}
	}
	visit = func(at reflect.Type, own bool) {
		own = own || reflect.PointerTo(at).Implements(reflect.TypeFor[json.Unmarshaler]())
		switch at.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
			enter(at.Elem(), own)
		case reflect.Struct:
			for f := range at.Fields() {
				enter(f.Type, own)
			}
		}
	}
	visit(t, false)
	looping.store(t, found)
	return found
}

// salvage decodes anew what json.Unmarshal gave up with err.
func salvage(err error, data []byte, into any, path string, report func(Mismatch)) error {
	var syntax *json.SyntaxError
	var invalid *json.InvalidUnmarshalError
	if errors.As(err, &invalid) || errors.As(err, &syntax) && !json.Valid(data) {
		return err
	}
	// encoding/json goes on after a value of the wrong type but reports only the
	// first, and stops at the first error of an UnmarshalJSON (a date that is no
	// date). The slow way is walked for these rare answers alone.
	piecewise(err, data, reflect.ValueOf(into).Elem(), path, report)
	return nil
}

// lenient decodes valid JSON into v so that what fits is kept.
func lenient(data []byte, v reflect.Value, path string, report func(Mismatch)) {
	if err := atOnce(data, v.Addr().Interface()); err != nil {
		piecewise(err, data, v, path, report)
	}
}

// piecewise decodes the parts of v one by one, since all at once it failed with
// err.
func piecewise(err error, data []byte, v reflect.Value, path string, report func(Mismatch)) {
	at := v.Addr().Interface()
	data = bytes.TrimSpace(data)
	t := v.Type()
	var holder reflect.Value // of a value inside v that may be decoded in part
	switch n, ok := at.(interface{ slot() any }); {
	case ok:
		v.SetZero()
		holder = reflect.ValueOf(n.slot())
	case t.Kind() == reflect.Pointer:
		holder = reflect.New(t.Elem())
		v.Set(holder)
	}
	if holder.IsValid() {
		if !fits(data, holder.Elem(), path, report) {
			v.SetZero()
		}
		return
	}
	switch at.(type) {
	case json.Unmarshaler, encoding.TextUnmarshaler:
		if partial, ok := errors.AsType[*PartialError](err); ok {
			for _, m := range partial.Mismatches {
				if m.Path == "" && t.Kind() == reflect.Struct {
					m.Want = t.String() // the method has a name of its own for the type without methods
				}
				m.Path = join(path, m.Path)
				report(m)
			}
			return
		}
		v.SetZero()
		report(Mismatch{Path: path, Got: kindOf(data), Want: t.String()})
		return
	}
	v.SetZero()
	switch kind := kindOf(data); {
	case t.Kind() == reflect.Struct && kind == "object":
		lenientStruct(data, v, path, report)
	case t.Kind() == reflect.Map && t.Key().Kind() == reflect.String && kind == "object":
		lenientMap(data, v, path, report)
	case (t.Kind() == reflect.Slice || t.Kind() == reflect.Array) && kind == "array":
		lenientList(data, v, path, report)
	default:
		report(Mismatch{Path: path, Got: kind, Want: t.String()})
	}
}

// fits is lenient, and reports whether v holds the value, if only in part.
func fits(data []byte, v reflect.Value, path string, report func(Mismatch)) bool {
	ok := true
	lenient(data, v, path, func(m Mismatch) { ok = ok && m.Path != path; report(m) })
	return ok
}

func lenientStruct(data []byte, v reflect.Value, path string, report func(Mismatch)) {
	fields, err := splitObject(data)
	if err != nil {
		return
	}
	for _, f := range fields {
		if field, ok := fieldByJSONName(v, f.name); ok {
			lenient(f.value, field, join(path, f.name), report)
		}
	}
}

func lenientMap(data []byte, v reflect.Value, path string, report func(Mismatch)) {
	fields, err := splitObject(data)
	if err != nil {
		return
	}
	t := v.Type()
	v.Set(reflect.MakeMapWithSize(t, len(fields)))
	for _, f := range fields {
		e := reflect.New(t.Elem()).Elem()
		if fits(f.value, e, join(path, f.name), report) {
			v.SetMapIndex(reflect.ValueOf(f.name).Convert(t.Key()), e)
		}
	}
}

func lenientList(data []byte, v reflect.Value, path string, report func(Mismatch)) {
	i := 0
	for raw := range elements(data) {
		if v.Kind() == reflect.Slice {
			v.Grow(1)
			v.SetLen(i + 1)
		}
		if i < v.Len() {
			lenient(raw, v.Index(i), path+"["+strconv.Itoa(i)+"]", report)
		}
		i++
	}
	if v.Kind() == reflect.Slice && v.IsNil() {
		v.Set(reflect.MakeSlice(v.Type(), 0, 0))
	}
}

// fieldByJSONName finds the field that encoding/json would decode name into: an
// exact name before one that differs in case, an outer field before one of an
// embedded struct.
func fieldByJSONName(v reflect.Value, name string) (reflect.Value, bool) {
	var folded reflect.Value
	var embedded []reflect.Value
	t := v.Type()
	for i := range t.NumField() {
		f := t.Field(i)
		tag, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Tag.Get("json") == "-":
			continue
		case f.Anonymous && tag == "":
			inner := v.Field(i)
			if inner.Kind() == reflect.Pointer && inner.Type().Elem().Kind() == reflect.Struct && f.IsExported() {
				if inner.IsNil() {
					inner.Set(reflect.New(inner.Type().Elem()))
				}
				inner = inner.Elem()
			}
			if inner.Kind() == reflect.Struct {
				embedded = append(embedded, inner)
				continue
			}
		}
		if !f.IsExported() {
			continue
		}
		if tag == "" {
			tag = f.Name
		}
		if tag == name {
			return v.Field(i), true
		}
		if !folded.IsValid() && strings.EqualFold(tag, name) {
			folded = v.Field(i)
		}
	}
	if folded.IsValid() {
		return folded, true
	}
	for _, inner := range embedded {
		if f, ok := fieldByJSONName(inner, name); ok {
			return f, true
		}
	}
	return reflect.Value{}, false
}

// join puts a path after the one that leads to where it starts.
func join(path, rest string) string {
	if path == "" || rest == "" || rest[0] == '[' {
		return path + rest
	}
	return path + "." + rest
}

func kindOf(data []byte) string {
	if len(data) == 0 {
		return "nothing"
	}
	switch data[0] {
	case '{':
		return "object"
	case '[':
		return "array"
	case '"':
		return "string"
	case 't', 'f':
		return "bool"
	case 'n':
		return "null"
	}
	return "number"
}

type jsonField struct {
	name  string
	value []byte
}

var errNotObject = errors.New("the answer is not a JSON object")

// splitObject returns the members of a JSON object without copying or checking
// their values; whoever decodes a value checks it.
func splitObject(data []byte) ([]jsonField, error) {
	i := skipSpace(data, 0)
	if i >= len(data) || data[i] != '{' {
		return nil, errNotObject
	}
	fields := make([]jsonField, 0, 8)
	i = skipSpace(data, i+1)
	if i < len(data) && data[i] == '}' {
		return fields, trailing(data, i+1)
	}
	for {
		if i >= len(data) || data[i] != '"' {
			return nil, errNotObject
		}
		end := skipString(data, i)
		var name string
		if end < 0 || json.Unmarshal(data[i:end], &name) != nil {
			return nil, errNotObject
		}
		i = skipSpace(data, end)
		if i >= len(data) || data[i] != ':' {
			return nil, errNotObject
		}
		start := skipSpace(data, i+1)
		end = skipValue(data, start)
		if end <= start {
			return nil, errNotObject
		}
		fields = append(fields, jsonField{name, bytes.TrimRight(data[start:end], " \t\r\n")})
		if end >= len(data) {
			return nil, errNotObject
		}
		switch data[end] {
		case '}':
			return fields, trailing(data, end+1)
		case ']':
			return nil, errNotObject
		}
		i = skipSpace(data, end+1)
	}
}

// elements iterates over the entries of an array that is known to be valid JSON.
func elements(data []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for i := skipSpace(data, 1); i < len(data) && data[i] != ']'; i = skipSpace(data, i+1) {
			start := i
			i = skipValue(data, start)
			if i < 0 || !yield(bytes.TrimRight(data[start:i], " \t\r\n")) {
				return
			}
			if data[i] == ']' {
				return
			}
		}
	}
}

func trailing(data []byte, i int) error {
	if skipSpace(data, i) < len(data) {
		return errNotObject
	}
	return nil
}

func skipSpace(data []byte, i int) int {
	for i < len(data) && (data[i] == ' ' || data[i] == '\n' || data[i] == '\t' || data[i] == '\r') {
		i++
	}
	return i
}

// skipString returns the index after the string that starts at i, -1 when it
// does not end.
func skipString(data []byte, i int) int {
	for i++; i < len(data); i++ {
		switch data[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return -1
}

// skipValue returns the index of the comma, the closing brace or the closing
// bracket after the value that starts at i, -1 when there is none.
func skipValue(data []byte, i int) int {
	depth := 0
	for ; i < len(data); i++ {
		switch data[i] {
		case '"':
			if i = skipString(data, i); i < 0 {
				return -1
			}
			i--
		case '{', '[':
			depth++
		case ']', '}':
			if depth == 0 {
				return i
			}
			depth--
		case ',':
			if depth == 0 {
				return i
			}
		}
	}
	return -1
}

// jsonString returns the text of a JSON string, "" for any other value.
func jsonString(value []byte) string {
	var s string
	if len(value) == 0 || value[0] != '"' || json.Unmarshal(value, &s) != nil {
		return ""
	}
	return s
}
