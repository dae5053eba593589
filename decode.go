package auth0

import (
	"bytes"
	"encoding"
	"encoding/json"
	"errors"
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

// pageDecoder is implemented by *pageEnvelope, whose answer has several shapes.
type pageDecoder interface {
	decodePage(body []byte, paging *Paging, report func(Mismatch)) error
}

// decodeBody decodes the body of an answer into the value that into points to.
func decodeBody(body []byte, into any, paging *Paging, report func(Mismatch)) error {
	switch v := into.(type) {
	case *NoContent:
		return nil
	case *[]byte:
		*v = body
		return nil
	case *json.RawMessage:
		*v = body
		return nil
	case pageDecoder:
		if paging == nil {
			paging = &Paging{}
		}
		return v.decodePage(body, paging, report)
	}
	if len(bytes.TrimSpace(body)) == 0 {
		// 204 and 202 answers have no body. A pointer is made to point to a zero
		// value, so that callers need no second check beside the error's.
		if v := reflect.ValueOf(into).Elem(); v.Kind() == reflect.Pointer {
			v.Set(reflect.New(v.Type().Elem()))
		}
		return nil
	}
	return decodeJSON(body, into, "", report)
}

// decodeJSON decodes data and leaves out what does not fit, reporting each such
// field. Only data that is not JSON is an error.
func decodeJSON(data []byte, into any, path string, report func(Mismatch)) error {
	err := json.Unmarshal(data, into)
	if err == nil {
		return nil
	}
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) && !json.Valid(data) {
		return err
	}
	// encoding/json goes on after a value of the wrong type but reports only the
	// first, and stops at the first error of an UnmarshalJSON (a date that is no
	// date). The slow way is walked for these rare answers alone.
	v := reflect.ValueOf(into).Elem()
	v.SetZero()
	lenient(data, v, path, report)
	return nil
}

// lenient decodes valid JSON into v piece by piece, so that what fits is kept.
func lenient(data []byte, v reflect.Value, path string, report func(Mismatch)) {
	if json.Unmarshal(data, v.Addr().Interface()) == nil {
		return
	}
	v.SetZero()
	data = bytes.TrimSpace(data)
	t := v.Type()
	if t.Kind() == reflect.Pointer {
		p := reflect.New(t.Elem())
		bad := false
		lenient(data, p.Elem(), path, func(m Mismatch) { bad = bad || m.Path == path; report(m) })
		if !bad {
			v.Set(p)
		}
		return
	}
	own := reflect.PointerTo(t).Implements(reflect.TypeFor[json.Unmarshaler]()) ||
		reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
	if !own && len(data) > 0 {
		switch {
		case t.Kind() == reflect.Struct && data[0] == '{':
			lenientStruct(data, v, path, report)
			return
		case t.Kind() == reflect.Map && t.Key().Kind() == reflect.String && data[0] == '{':
			lenientMap(data, v, path, report)
			return
		case (t.Kind() == reflect.Slice || t.Kind() == reflect.Array) && data[0] == '[':
			lenientList(data, v, path, report)
			return
		}
	}
	report(Mismatch{Path: path, Got: kindOf(data), Want: t.String()})
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
		name := join(path, f.name)
		bad := false
		e := reflect.New(t.Elem()).Elem()
		lenient(f.value, e, name, func(m Mismatch) { bad = bad || m.Path == name; report(m) })
		if !bad {
			v.SetMapIndex(reflect.ValueOf(f.name).Convert(t.Key()), e)
		}
	}
}

func lenientList(data []byte, v reflect.Value, path string, report func(Mismatch)) {
	var raw []json.RawMessage
	if json.Unmarshal(data, &raw) != nil {
		return
	}
	if v.Kind() == reflect.Slice {
		v.Set(reflect.MakeSlice(v.Type(), len(raw), len(raw)))
	}
	for i := range min(len(raw), v.Len()) {
		lenient(raw[i], v.Index(i), path+"["+strconv.Itoa(i)+"]", report)
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

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
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
		if data[end] == '}' {
			return fields, trailing(data, end+1)
		}
		i = skipSpace(data, end+1)
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

// skipValue returns the index of the comma or closing brace after the value
// that starts at i, -1 when there is none.
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
		case ']':
			depth--
		case '}':
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
