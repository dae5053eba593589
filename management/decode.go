package management

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

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
	*extra = nil
	return decodeObject(b, v, "", extra)
}

// decodeUnion decodes an object that has a union in the field called name, whose variant the fields in keys tell.
func decodeUnion(b []byte, v any, name string, keys ...string) error {
	return decodeObject(b, v, name, nil, keys...)
}

// shape is what there is to know of a struct to decode it.
type shape struct {
	fields   map[string]field // by their JSON names
	variants map[string]int   // of a union, by what tells them; there are no fields then
	extra    int              // the field Extra, -1 if there is none
}

type field struct {
	index int
	kind  fieldKind
	value reflect.Type // without the pointer or the Null around it
	holds fieldKind    // of value
	kept  bool         // there is one, which keeps what is empty as well
}

// fieldKind tells which values of a field are plain enough to be set without the help of encoding/json. Pointers to such values count
// as well.
type fieldKind uint8

const (
	notPlain fieldKind = iota
	plainString
	plainBool
	plainInt
	plainTime
	plainList // of strings
	ownStruct // a struct of this package, which checks the text by itself as it is decoded
	ownList   // of such structs
)

// shapes are those that were looked at. They are in no sync.Map, whose code the compiler would make anew for this package.
var shapes struct {
	sync.RWMutex
	of map[reflect.Type]*shape
}

func shapeOf(t reflect.Type) *shape {
	shapes.RLock()
	s := shapes.of[t]
	shapes.RUnlock()
	if s != nil {
		return s
	}
	s = &shape{fields: map[string]field{}, variants: map[string]int{}, extra: -1}
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Name == "Extra" {
			s.extra = i
		}
		for when := range strings.SplitSeq(f.Tag.Get("when"), "|") {
			s.variants[when] = i
		}
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" && name != "-" {
			s.fields[name] = fieldOf(i, f.Type)
		}
	}
	delete(s.variants, "")
	shapes.Lock()
	defer shapes.Unlock()
	if shapes.of == nil {
		shapes.of = map[reflect.Type]*shape{}
	}
	shapes.of[t] = s
	return s
}

func fieldOf(index int, t reflect.Type) field {
	f := field{index: index, kind: kindOf(t), value: t}
	switch {
	case t.Kind() == reflect.Pointer:
		f.value, f.kept = t.Elem(), true
	case t.PkgPath() == reflect.TypeFor[auth0.Null[any]]().PkgPath() && strings.HasPrefix(t.Name(), "Null["):
		f.value, f.kept = t.Field(0).Type, true
	}
	f.holds = kindOf(f.value)
	return f
}

func kindOf(t reflect.Type) fieldKind {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case t == reflect.TypeFor[time.Time]():
		return plainTime
	case t == reflect.TypeFor[[]string]():
		return plainList
	case t.Kind() == reflect.String: // Text too: it takes a string as it is
		return plainString
	case t.Kind() == reflect.Bool:
		return plainBool
	case t.Kind() == reflect.Int:
		return plainInt
	case isOwn(t):
		return ownStruct
	case t.Kind() == reflect.Slice && isOwn(t.Elem()):
		return ownList
	}
	return notPlain
}

// isOwn reports whether a type is a struct of this package. Unions are none, since they keep any text.
func isOwn(t reflect.Type) bool {
	if t.Kind() != reflect.Struct || t.PkgPath() != reflect.TypeFor[API]().PkgPath() {
		return false
	}
	_, union := t.FieldByName("Raw")
	return !union
}

// decodePart decodes a field that is not plain.
func decodePart(v reflect.Value, kind fieldKind, value []byte) error {
	switch {
	case kind == ownStruct && v.Kind() == reflect.Struct:
		return decodeOwn(v, value)
	case kind == ownList && v.Kind() == reflect.Slice && value[0] == '[':
		var odd misfits
		v.Set(reflect.MakeSlice(v.Type(), 0, 0))
		if !eachElement(value, func(one []byte) bool {
			n := v.Len()
			v.Grow(1)
			v.SetLen(n + 1)
			err := decodeOwn(v.Index(n), one)
			return err == nil || odd.add("["+strconv.Itoa(n)+"]", err) == nil
		}) {
			break // encoding/json knows what to say
		}
		return odd.err()
	}
	return auth0.Decode(value, v.Addr().Interface())
}

// decodeOwn decodes a struct of this package without the help of encoding/json, which would look for the end of the text once more.
func decodeOwn(v reflect.Value, value []byte) error {
	if u, ok := reflect.TypeAssert[json.Unmarshaler](v.Addr()); ok {
		return u.UnmarshalJSON(value)
	}
	return decodeObject(value, v.Addr().Interface(), "", nil)
}

// decodeObject decodes an object into the struct that v points to, in one pass: it sets plain values itself and has encoding/json
// decode the others, each for itself. Of the union in the field called name, the fields in keys tell the variant. Fields that the struct
// does not have are kept in extra, unless that is nil.
func decodeObject(b []byte, v any, name string, extra *map[string]json.RawMessage, keys ...string) error {
	at := reflect.ValueOf(v).Elem()
	s := shapeOf(at.Type())
	var odd misfits
	var union reflect.Value
	var text []byte // of the union
	part := func(f field, key, value []byte) bool {
		err := decodePart(at.Field(f.index), f.kind, value)
		return err == nil || odd.add(string(key), err) == nil
	}
	ok := eachMember(b, func(quoted, value []byte) bool {
		key := quoted[1 : len(quoted)-1]
		f, known := s.fields[string(key)] // none of these has an escape
		switch {
		case known && setPlain(at.Field(f.index), f.kind, value):
			return true
		case known && string(key) == name:
			union, text = at.Field(f.index), value
			return json.Valid(value)
		case known:
			return part(f, key, value)
		}
		var plain string
		if json.Unmarshal(quoted, &plain) != nil || !json.Valid(value) {
			return false
		}
		if f, known = s.fields[plain]; !known && extra != nil {
			if *extra == nil {
				*extra = map[string]json.RawMessage{}
			}
			(*extra)[plain] = bytes.Clone(value)
		}
		if !known {
			f, known = s.folded(plain)
		}
		return !known || part(f, []byte(plain), value)
	})
	if !ok {
		// No object, or no JSON: encoding/json knows what to say.
		return auth0.Decode(b, v)
	}
	if union.IsValid() {
		tells := make([]string, len(keys))
		for i, key := range keys {
			if f := reflect.Indirect(at.Field(s.fields[key].index)); f.Kind() == reflect.String {
				tells[i] = f.String()
			}
		}
		if err := odd.add(name, choose(union, text, strings.Join(tells, " "))); err != nil {
			return err
		}
	}
	return odd.err()
}

// folded finds the first field whose name differs in case only, as encoding/json does.
func (s *shape) folded(name string) (first field, ok bool) {
	for known, f := range s.fields {
		if strings.EqualFold(known, name) && (!ok || f.index < first.index) {
			first, ok = f, true
		}
	}
	return first, ok
}

// setPlain sets a field to a value that can be taken as it stands in the text, and reports whether it could.
func setPlain(v reflect.Value, kind fieldKind, value []byte) bool {
	var text string
	var n int64
	var at time.Time
	var list []string
	switch kind {
	default:
		return false
	case plainString:
		if !plainText(value) {
			return false
		}
		text = string(value[1 : len(value)-1])
	case plainBool:
		if string(value) != "true" && string(value) != "false" {
			return false
		}
	case plainInt:
		digits := bytes.TrimPrefix(value, []byte("-"))
		if len(digits) == 0 || len(digits) > 18 || digits[0] == '0' && len(digits) > 1 {
			return false
		}
		for _, d := range digits {
			if d < '0' || d > '9' {
				return false
			}
			n = 10*n + int64(d-'0')
		}
		if len(digits) < len(value) {
			n = -n
		}
	case plainTime:
		if !plainText(value) || at.UnmarshalJSON(value) != nil {
			return false
		}
	case plainList:
		var ok bool
		if list, ok = plainTexts(value); !ok {
			return false
		}
	}
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		v = v.Elem()
	}
	switch kind {
	case plainString:
		v.SetString(text)
	case plainBool:
		v.SetBool(value[0] == 't')
	case plainInt:
		v.SetInt(n)
	case plainTime:
		if p, ok := reflect.TypeAssert[*time.Time](v.Addr()); ok {
			*p = at
		}
	case plainList:
		if p, ok := reflect.TypeAssert[*[]string](v.Addr()); ok {
			*p = list
		}
	}
	return true
}

// plainText reports whether value is a JSON string that means what stands between its quotes.
func plainText(value []byte) bool {
	if len(value) < 2 || value[0] != '"' || value[len(value)-1] != '"' {
		return false
	}
	ascii := true
	for _, c := range value[1 : len(value)-1] {
		if c < ' ' || c == '\\' || c == '"' {
			return false
		}
		ascii = ascii && c < utf8.RuneSelf
	}
	return ascii || utf8.Valid(value)
}

// plainTexts returns the strings of a list of plain ones.
func plainTexts(value []byte) ([]string, bool) {
	if len(value) < 2 || value[0] != '[' {
		return nil, false
	}
	list := make([]string, 0, 1+bytes.Count(value, []byte{','}))
	i := space(value, 1)
	if i == len(value)-1 {
		return list, value[i] == ']'
	}
	for {
		end := skip(value, i)
		if !plainText(value[i:end]) {
			return nil, false
		}
		list = append(list, string(value[i+1:end-1]))
		if i = space(value, end); i >= len(value)-1 {
			return list, i == len(value)-1 && value[i] == ']'
		}
		if value[i] != ',' {
			return nil, false
		}
		i = space(value, i+1)
	}
}

// choose decodes the text of a union into the variant that when names. An unknown one stays raw.
func choose(union reflect.Value, text []byte, when string) error {
	if union.Kind() == reflect.Pointer {
		if string(text) == "null" {
			union.SetZero()
			return nil
		}
		union.Set(reflect.New(union.Type().Elem()))
		union = union.Elem()
	}
	union.SetZero() // it may hold the variant of an object that was decoded into the same variable before
	i, ok := shapeOf(union.Type()).variants[when]
	if !ok || text[0] != '{' {
		return auth0.Decode(text, union.Addr().Interface())
	}
	variant := union.Field(i)
	if variant.Kind() != reflect.Pointer {
		return auth0.Decode(text, variant.Addr().Interface())
	}
	variant.Set(reflect.New(variant.Type().Elem()))
	if s := shapeOf(variant.Type().Elem()); s.extra >= 0 {
		union.FieldByName("Raw").SetBytes(bytes.Clone(text))
		return decodeVariant(text, variant)
	}
	return auth0.Decode(text, variant.Interface())
}

// decodeVariant decodes what has the field Extra. variant is a pointer to it.
func decodeVariant(text []byte, variant reflect.Value) error {
	extra, _ := reflect.TypeAssert[*map[string]json.RawMessage](variant.Elem().FieldByName("Extra").Addr())
	return decodeOpen(text, variant.Interface(), extra)
}

// keepRaw is what a union decodes to by itself: its variant is not known before the object around it is.
func keepRaw(b []byte, raw *json.RawMessage) error {
	*raw = bytes.Clone(b)
	return nil
}

// encodeOpen encodes an object and adds the fields kept by decodeOpen. A field that v has itself wins.
func encodeOpen(v any, extra map[string]json.RawMessage) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil || len(extra) == 0 {
		return b, err
	}
	known := shapeOf(reflect.TypeOf(v)).fields
	more := map[string]json.RawMessage{}
	for name, value := range extra {
		if _, ok := known[name]; !ok {
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

// encodeUnion encodes the variant that is set.
func encodeUnion(union any, raw json.RawMessage) ([]byte, error) {
	v := reflect.ValueOf(union)
	t, set := v.Type(), -1
	for i := range v.NumField() {
		switch {
		case t.Field(i).Tag.Get("when") == "" || v.Field(i).IsNil():
		case set >= 0:
			return nil, fmt.Errorf("auth0: both %s and %s of %s are set; set one and leave the other nil", t.Field(set).Name, t.Field(i).Name, t.Name())
		default:
			set = i
		}
	}
	switch {
	case set < 0 && len(raw) == 0:
		return []byte("null"), nil
	case set < 0:
		return raw, nil
	}
	if field := v.Field(set); field.Kind() == reflect.Pointer && field.Elem().Kind() == reflect.Struct {
		if field.Elem().FieldByName("Extra").IsValid() {
			return encodeVariant(field, raw)
		}
	}
	return json.Marshal(v.Field(set).Interface())
}

// encodeVariant encodes what has the field Extra, and which came as raw unless that is empty. variant is a pointer to it.
func encodeVariant(variant reflect.Value, raw json.RawMessage) ([]byte, error) {
	encode := func(v reflect.Value) ([]byte, error) {
		extra, _ := reflect.TypeAssert[map[string]json.RawMessage](v.Elem().FieldByName("Extra"))
		return encodeOpen(v.Elem().Interface(), extra)
	}
	if len(raw) == 0 || allTyped(raw, variant.Type().Elem()) {
		return encode(variant)
	}
	old := reflect.New(variant.Type().Elem())
	if err := new(misfits).add("", decodeVariant(raw, old)); err != nil {
		return nil, err
	}
	if reflect.DeepEqual(variant.Interface(), old.Interface()) {
		return raw, nil // nothing was changed: the usual case, and encoding takes twice as long as to find that out
	}
	now, err := encode(variant)
	if err != nil {
		return nil, err
	}
	was, err := encode(old)
	if err != nil {
		return nil, err
	}
	return asItCame(now, was, raw)
}

// allTyped reports whether all of an object is for certain in the struct that it is decoded to, and is encoded again with that: the
// usual case, which can be told without decoding.
func allTyped(text []byte, t reflect.Type) bool {
	s := shapeOf(t)
	return eachMember(text, func(quoted, value []byte) bool {
		f, known := s.fields[string(quoted[1:len(quoted)-1])]
		if !known {
			return s.extra >= 0
		}
		switch f.holds {
		case plainString:
			return plainText(value) && (f.kept || len(value) > 2)
		case plainBool:
			return string(value) == "true" || string(value) == "false" && f.kept
		case plainInt:
			n, err := strconv.Atoi(string(value))
			return err == nil && (f.kept || n != 0)
		case plainList:
			return len(value) > 2 && value[0] == '[' && eachElement(value, plainText)
		case ownStruct:
			return (f.kept || len(value) > 2) && allTyped(value, f.value)
		case ownList:
			return len(value) > 2 && value[0] == '[' && eachElement(value, func(one []byte) bool { return allTyped(one, f.value.Elem()) })
		}
		return false
	})
}

// asItCame returns now, in which what is as it was is put as it came: with the fields that its type does not have, and the values that
// did not fit theirs. was is the text of what raw was decoded to.
func asItCame(now, was, raw json.RawMessage) (json.RawMessage, error) {
	if bytes.Equal(now, was) {
		return raw, nil
	}
	is, had, came := members(now), members(was), members(raw)
	if is == nil || had == nil || came == nil {
		return now, nil // the caller's word counts
	}
	for name, value := range came {
		after, still := is[name]
		before, known := had[name]
		switch {
		case known && still:
			value, err := asItCame(after, before, value)
			if err != nil {
				return nil, err
			}
			is[name] = value
		case !known && !still:
			is[name] = value
		}
	}
	return json.Marshal(is)
}

// members returns the members of an object, nil if b is none.
func members(b []byte) (m map[string]json.RawMessage) {
	if json.Unmarshal(b, &m) != nil {
		return nil
	}
	return m
}

// eachMember hands the members of an object to visit: the quoted name, and the text of the value, of which only the extent is checked.
// It reports whether b is an object, until visit returns false.
func eachMember(b []byte, visit func(quoted, value []byte) bool) bool {
	i := space(b, 0)
	if i >= len(b) || b[i] != '{' {
		return false
	}
	if i = space(b, i+1); i < len(b) && b[i] == '}' {
		return space(b, i+1) == len(b)
	}
	for i < len(b) && b[i] == '"' {
		end := skip(b, i)
		name := b[i:end]
		if i = space(b, end); i >= len(b) || b[i] != ':' {
			return false
		}
		i = space(b, i+1)
		end = skip(b, i)
		if end == i || !visit(name, b[i:end]) {
			return false
		}
		if i = space(b, end); i >= len(b) {
			return false
		}
		switch b[i] {
		case ',':
			i = space(b, i+1)
		case '}':
			return space(b, i+1) == len(b)
		default:
			return false
		}
	}
	return false
}

// eachElement is eachMember for the elements of an array.
func eachElement(b []byte, visit func(value []byte) bool) bool {
	i := space(b, 1)
	if i < len(b) && b[i] == ']' {
		return i == len(b)-1
	}
	for i < len(b) {
		end := skip(b, i)
		if end == i || !visit(b[i:end]) {
			return false
		}
		if i = space(b, end); i >= len(b) {
			return false
		}
		switch b[i] {
		case ',':
			i = space(b, i+1)
		case ']':
			return i == len(b)-1
		default:
			return false
		}
	}
	return false
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
			if i = min(i, len(b)-1); depth == 0 {
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
