package management

import (
	"bytes"
	"encoding/json"
	"errors"
	"iter"
	"reflect"
	"strings"
	"sync"

	"github.com/headroom-go/auth0"
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
		return auth0.Decode(b, (*[]string)(s))
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

// misfits collects the fields of a value that did not fit, for methods that decode it in several steps.
type misfits []auth0.Mismatch

// add takes over what decoding the part of the value at path ended with. It returns an error if that part is not JSON at all.
func (m *misfits) add(path string, err error) error {
	partial, ok := errors.AsType[*auth0.PartialError](err)
	if !ok {
		return err
	}
	for _, one := range partial.Mismatches {
		if path != "" && one.Path != "" && one.Path[0] != '[' {
			one.Path = "." + one.Path
		}
		one.Path = path + one.Path
		*m = append(*m, one)
	}
	return nil
}

// err returns what there is to tell: that the value was kept but for these fields, or nothing.
func (m misfits) err() error {
	if len(m) == 0 {
		return nil
	}
	return &auth0.PartialError{Mismatches: m}
}

// decodeOpen decodes an object and keeps the fields that v does not have.
func decodeOpen(b []byte, v any, extra *map[string]json.RawMessage) error {
	err := auth0.Decode(b, v)
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
	return err
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

// decodeUnion decodes an object that has a union in the field that u points to, which the properties in keys tell the variant of.
func decodeUnion(b []byte, v, u any, keys ...string) error {
	var odd misfits
	if err := odd.add("", auth0.Decode(b, v)); err != nil {
		return err
	}
	at := reflect.ValueOf(u).Elem()
	if at.Kind() == reflect.Pointer {
		if at.IsNil() {
			return odd.err()
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
	if err := odd.add(nameOf(reflect.ValueOf(v).Elem(), u), choose(at, strings.Join(tells, " "))); err != nil {
		return err
	}
	return odd.err()
}

// nameOf returns the JSON name of the field of v that at points to.
func nameOf(v reflect.Value, at any) string {
	for i := range v.NumField() {
		if field := v.Field(i); field.CanAddr() && field.Addr().Interface() == at {
			name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
			return name
		}
	}
	return ""
}

// choose decodes the raw text that a union kept into the variant that when names. An unknown one stays raw.
func choose(union reflect.Value, when string) error {
	raw, _ := reflect.TypeAssert[*json.RawMessage](union.FieldByName("Raw").Addr())
	t := union.Type()
	for i := range t.NumField() {
		tag := t.Field(i).Tag.Get("when")
		if tag == "" || !listed(tag, when) {
			continue
		}
		text := *raw
		if trimmed := bytes.TrimSpace(text); len(trimmed) == 0 || trimmed[0] != '{' {
			return nil
		}
		*raw = nil
		field := union.Field(i)
		if field.Kind() != reflect.Pointer {
			return auth0.Decode(text, field.Addr().Interface())
		}
		field.Set(reflect.New(field.Type().Elem()))
		if extra := field.Elem().FieldByName("Extra"); extra.IsValid() {
			return decodeOpen(text, field.Interface(), extra.Addr().Interface().(*map[string]json.RawMessage))
		}
		return auth0.Decode(text, field.Interface())
	}
	return nil
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
