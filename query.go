package auth0

import (
	"encoding"
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// QueryOf encodes a struct of parameters as a query by the url tags of its
// fields:
//
//	Fields  []string  `url:"fields,omitempty"`       // a,b
//	Types   []string  `url:"type,omitempty,repeat"`  // type=a&type=b
//	Since   time.Time `url:"since,omitempty"`        // RFC 3339
//	PerPage *int      `url:"per_page"`               // left out when nil
//
// Fields without a tag and fields tagged "-" are skipped; embedded structs, and
// pointers to them, are flattened. Nil pointers, slices and interfaces are never sent; omitempty (or
// omitzero) leaves out zero values too, so that an unset option is not sent as
// false or "". A slice is joined with commas unless the tag says repeat.
// Strings, booleans, numbers, time.Time, encoding.TextMarshaler and types built
// on them are understood; any other type is an error.
//
// params may be a struct, a pointer to one, url.Values (copied) or nil. The
// result is never nil and never shares memory with params.
func QueryOf(params any) (url.Values, error) {
	q := url.Values{}
	switch p := params.(type) {
	case nil:
		return q, nil
	case url.Values:
		for k, vs := range p {
			q[k] = append([]string(nil), vs...)
		}
		return q, nil
	}
	v := reflect.ValueOf(params)
	for v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return q, nil
		}
		v = v.Elem()
	}
	if v.Kind() != reflect.Struct {
		return nil, fmt.Errorf("auth0: query parameters must be a struct or url.Values, not %T", params)
	}
	plan, err := queryPlanOf(v.Type())
	if err != nil {
		return nil, err
	}
	for i := range plan.fields {
		if err := plan.fields[i].encode(q, v); err != nil {
			return nil, err
		}
	}
	return q, nil
}

// queryPlans holds one *queryPlan per params type, so that tags are read once.
var queryPlans memo

type queryPlan struct{ fields []queryField }

type queryField struct {
	name      string
	index     []int
	omitEmpty bool
	repeat    bool
}

func queryPlanOf(t reflect.Type) (*queryPlan, error) {
	if p, ok := queryPlans.load(t); ok {
		return p.(*queryPlan), nil
	}
	p := &queryPlan{}
	if err := p.collect(t, nil, nil); err != nil {
		return nil, err
	}
	queryPlans.store(t, p)
	return p, nil
}

// collect adds the fields of t, which is embedded in the types of within.
func (p *queryPlan) collect(t reflect.Type, prefix []int, within []reflect.Type) error {
	within = append(slices.Clip(within), t)
	for i := range t.NumField() {
		f := t.Field(i)
		index := append(append([]int(nil), prefix...), i)
		tag, tagged := f.Tag.Lookup("url")
		if !tagged {
			inner := f.Type
			if inner.Kind() == reflect.Pointer {
				inner = inner.Elem()
			}
			if f.Anonymous && inner.Kind() == reflect.Struct && !slices.Contains(within, inner) {
				if err := p.collect(inner, index, within); err != nil {
					return err
				}
			}
			continue
		}
		if !f.IsExported() || tag == "-" {
			continue
		}
		name, options, _ := strings.Cut(tag, ",")
		if name == "" {
			return fmt.Errorf("auth0: field %s.%s has a url tag without a name", t, f.Name)
		}
		field := queryField{name: name, index: index}
		for option := range strings.SplitSeq(options, ",") {
			switch option {
			case "", "comma":
			case "omitempty", "omitzero":
				field.omitEmpty = true
			case "repeat":
				field.repeat = true
			default:
				return fmt.Errorf("auth0: field %s.%s has an unknown url tag option %q", t, f.Name, option)
			}
		}
		p.fields = append(p.fields, field)
	}
	return nil
}

func (f *queryField) encode(q url.Values, params reflect.Value) error {
	v, err := params.FieldByIndexErr(f.index)
	if err != nil {
		return nil //nolint:nilerr // an embedded pointer is nil, and what it would hold is not sent
	}
	if f.omitEmpty && (v.IsZero() || v.Kind() == reflect.Slice && v.Len() == 0) {
		return nil
	}
	for v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface {
		if v.IsNil() {
			return nil
		}
		v = v.Elem()
	}
	if v.Kind() == reflect.Slice || v.Kind() == reflect.Array {
		if _, ok := reflect.TypeAssert[encoding.TextMarshaler](v); !ok {
			return f.encodeList(q, v)
		}
	}
	s, err := queryText(v)
	if err != nil {
		return fmt.Errorf("auth0: query parameter %s: %w", f.name, err)
	}
	q.Set(f.name, s)
	return nil
}

func (f *queryField) encodeList(q url.Values, v reflect.Value) error {
	if v.Len() == 0 {
		return nil
	}
	texts := make([]string, v.Len())
	for i := range texts {
		s, err := queryText(v.Index(i))
		if err != nil {
			return fmt.Errorf("auth0: query parameter %s: %w", f.name, err)
		}
		texts[i] = s
	}
	if f.repeat {
		q[f.name] = texts
	} else {
		q.Set(f.name, strings.Join(texts, ","))
	}
	return nil
}

// queryText writes one value as the API reads it in a query.
func queryText(v reflect.Value) (string, error) {
	switch x := v.Interface().(type) {
	case time.Time:
		return x.Format(time.RFC3339Nano), nil
	case encoding.TextMarshaler:
		b, err := x.MarshalText()
		return string(b), err
	}
	switch v.Kind() {
	case reflect.String:
		return v.String(), nil
	case reflect.Bool:
		return strconv.FormatBool(v.Bool()), nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return strconv.FormatInt(v.Int(), 10), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return strconv.FormatUint(v.Uint(), 10), nil
	case reflect.Float32, reflect.Float64:
		return strconv.FormatFloat(v.Float(), 'f', -1, v.Type().Bits()), nil
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			return queryText(v.Elem())
		}
	}
	return "", fmt.Errorf("cannot encode a value of type %s", v.Type())
}
