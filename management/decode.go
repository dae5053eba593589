package management

import (
	"bytes"
	"encoding/json"
	"iter"
	"reflect"
	"strings"
	"sync"
)

// Text is a string that the API may also send as a number, as some identity providers' user ids are.
type Text string

// UnmarshalJSON accepts a string or a number.
func (t *Text) UnmarshalJSON(b []byte) error {
	if b[0] == '"' {
		return json.Unmarshal(b, (*string)(t))
	}
	var n json.Number
	if err := json.Unmarshal(b, &n); err != nil {
		return err
	}
	*t = Text(n)
	return nil
}

// Strings is a list of strings that the API may also send as one string. A list of one is sent as that one.
type Strings []string

// UnmarshalJSON accepts a list of strings or one string.
func (s *Strings) UnmarshalJSON(b []byte) error {
	if b[0] != '"' {
		return json.Unmarshal(b, (*[]string)(s))
	}
	*s = make(Strings, 1)
	return json.Unmarshal(b, &(*s)[0])
}

// MarshalJSON writes a list of one as a string, and any other as a list.
func (s Strings) MarshalJSON() ([]byte, error) {
	if len(s) == 1 {
		return json.Marshal(s[0])
	}
	return json.Marshal([]string(s))
}

// decodeOpen decodes an object and keeps the fields that v does not have.
func decodeOpen(b []byte, v any, extra *map[string]json.RawMessage) error {
	unmarshal(b, v)
	known := namesOf(reflect.TypeOf(v).Elem())
	*extra = nil
	for name, value := range members(b) {
		if bytes.IndexByte(name, '\\') < 0 && known[string(name[1:len(name)-1])] {
			continue
		}
		var key string
		if json.Unmarshal(name, &key) != nil || known[key] {
			continue
		}
		if *extra == nil {
			*extra = map[string]json.RawMessage{}
		}
		(*extra)[key] = bytes.Clone(value)
	}
	return nil
}

// encodeOpen encodes an object and adds the fields kept by decodeOpen. A field that v has itself wins.
func encodeOpen(v any, extra map[string]json.RawMessage) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil || len(extra) == 0 {
		return b, err
	}
	known := namesOf(reflect.TypeOf(v))
	more := map[string]json.RawMessage{}
	for name, value := range extra {
		if !known[name] {
			more[name] = value
		}
	}
	rest, err := json.Marshal(more)
	if err != nil || len(more) == 0 {
		return b, err
	}
	if len(b) == 2 {
		return rest, nil
	}
	return append(append(b[:len(b)-1], ','), rest[1:]...), nil
}

// names holds the JSON names of the fields of struct types.
var names sync.Map

func namesOf(t reflect.Type) map[string]bool {
	if m, ok := names.Load(t); ok {
		return m.(map[string]bool)
	}
	m := map[string]bool{}
	for field := range t.Fields() {
		if name, _, _ := strings.Cut(field.Tag.Get("json"), ","); name != "" && name != "-" {
			m[name] = true
		}
	}
	names.Store(t, m)
	return m
}

// decodeUnion decodes an object that has a union in the field at u, which the properties in keys tell the variant of.
func decodeUnion[U any](b []byte, v any, u *U, keys ...string) error {
	unmarshal(b, v)
	at := reflect.ValueOf(u).Elem()
	if at.Kind() == reflect.Pointer {
		if at.IsNil() {
			return nil
		}
		at = at.Elem()
	}
	tells := make([]string, len(keys))
	for name, value := range members(b) {
		for i, key := range keys {
			if string(name) == `"`+key+`"` {
				_ = json.Unmarshal(value, &tells[i])
			}
		}
	}
	choose(at, strings.Join(tells, " "))
	return nil
}

// choose decodes the raw text that a union kept into the variant that when names. An unknown one stays raw.
func choose(union reflect.Value, when string) {
	raw, _ := reflect.TypeAssert[*json.RawMessage](union.FieldByName("Raw").Addr())
	t := union.Type()
	for i := range t.NumField() {
		tag := t.Field(i).Tag.Get("when")
		if tag == "" || !listed(tag, when) {
			continue
		}
		if trimmed := bytes.TrimSpace(*raw); len(trimmed) == 0 || trimmed[0] != '{' {
			return
		}
		field := union.Field(i)
		if field.Kind() != reflect.Pointer {
			unmarshal(*raw, field.Addr().Interface())
		} else {
			field.Set(reflect.New(field.Type().Elem()))
			if extra := field.Elem().FieldByName("Extra"); extra.IsValid() {
				_ = decodeOpen(*raw, field.Interface(), extra.Addr().Interface().(*map[string]json.RawMessage))
			} else {
				unmarshal(*raw, field.Interface())
			}
		}
		*raw = nil
		return
	}
}

func listed(tag, when string) bool {
	for one := range strings.SplitSeq(tag, "|") {
		if one == when {
			return true
		}
	}
	return false
}

// keepRaw is the first step of decoding a union: what it holds is not known before the object around it is.
func keepRaw(b []byte, raw *json.RawMessage) error {
	*raw = bytes.Clone(b)
	return nil
}

// encodeUnion encodes the variant that is set.
func encodeUnion(union any, raw json.RawMessage) ([]byte, error) {
	v := reflect.ValueOf(union)
	for i := range v.NumField() {
		if v.Type().Field(i).Tag.Get("when") == "" || v.Field(i).IsNil() {
			continue
		}
		if field := v.Field(i); field.Kind() == reflect.Pointer && field.Elem().Kind() == reflect.Struct {
			if extra := field.Elem().FieldByName("Extra"); extra.IsValid() {
				return encodeOpen(field.Elem().Interface(), extra.Interface().(map[string]json.RawMessage))
			}
		}
		return json.Marshal(v.Field(i).Interface())
	}
	if len(raw) == 0 {
		return []byte("null"), nil
	}
	return raw, nil
}

// unmarshal decodes valid JSON into v and passes over what does not fit: one odd value must not cost the rest.
func unmarshal(b []byte, v any) {
	if json.Unmarshal(b, v) != nil {
		salvage(b, reflect.ValueOf(v).Elem())
	}
}

// salvage decodes piece by piece, for the rare answers in which something does not fit. It reports whether v holds something of b.
func salvage(b []byte, v reflect.Value) bool {
	v.SetZero()
	b = bytes.TrimSpace(b)
	switch {
	case json.Unmarshal(b, v.Addr().Interface()) == nil:
	case v.Kind() == reflect.Pointer && len(b) > 0 && b[0] == '{':
		v.Set(reflect.New(v.Type().Elem()))
		salvage(b, v.Elem())
	case v.Kind() == reflect.Struct && len(b) > 0 && b[0] == '{' && !v.Addr().Type().Implements(reflect.TypeFor[json.Unmarshaler]()):
		t := v.Type()
		v.SetZero()
		for name, value := range members(b) {
			for i := range t.NumField() {
				if tag, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ","); tag != "-" && string(name) == `"`+tag+`"` {
					salvage(value, v.Field(i))
				}
			}
		}
	case v.Kind() == reflect.Map && len(b) > 0 && b[0] == '{':
		v.Set(reflect.MakeMap(v.Type()))
		for name, value := range members(b) {
			var key string
			entry := reflect.New(v.Type().Elem()).Elem()
			if json.Unmarshal(name, &key) == nil && salvage(value, entry) {
				v.SetMapIndex(reflect.ValueOf(key), entry)
			}
		}
	case v.Kind() == reflect.Slice && len(b) > 0 && b[0] == '[':
		var raw []json.RawMessage
		_ = json.Unmarshal(b, &raw)
		v.Set(reflect.MakeSlice(v.Type(), len(raw), len(raw)))
		for i := range raw {
			salvage(raw[i], v.Index(i))
		}
	default:
		v.SetZero()
		return false
	}
	return true
}

// members iterates over the members of an object that is known to be valid JSON: the quoted name, and the text of the value.
func members(b []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(name, value []byte) bool) {
		i := space(b, 0)
		if i >= len(b) || b[i] != '{' {
			return
		}
		for i = space(b, i+1); i < len(b) && b[i] == '"'; {
			end := skip(b, i)
			name := b[i:end]
			i = space(b, space(b, end)+1)
			end = skip(b, i)
			if !yield(name, b[i:end]) {
				return
			}
			i = space(b, space(b, end)+1)
		}
	}
}

func space(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\t' || b[i] == '\r') {
		i++
	}
	return i
}

// skip returns the index after the value that starts at i.
func skip(b []byte, i int) int {
	depth := 0
	for ; i < len(b); i++ {
		switch b[i] {
		case '"':
			for i++; i < len(b) && b[i] != '"'; i++ {
				if b[i] == '\\' {
					i++
				}
			}
			if depth == 0 {
				return i + 1
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return i
			}
			if depth--; depth == 0 {
				return i + 1
			}
		case ',', ' ', '\n', '\r', '\t':
			if depth == 0 {
				return i
			}
		}
	}
	return i
}
