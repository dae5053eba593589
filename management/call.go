package management

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/url"
	"reflect"
	"strconv"
	"strings"

	"github.com/headroom-go/auth0"
)

// call is the body of the generated methods: it refuses what lacks a required field, and sends the rest. It has no type parameter, and
// into is a pointer to the result, because the compiler would make one of call for every type.
func call(ctx context.Context, c *auth0.Client, method, path string, args []string, params, body, into any, opts []auth0.RequestOption) error {
	query, body, err := prepare(method, path, params, body)
	if err == nil {
		err = auth0.CallInto(ctx, c, method, path, args, query, body, into, opts)
	}
	if l, ok := into.(*listAnswer); ok {
		into = l[0]
	}
	if err != nil && into != nil {
		reflect.ValueOf(into).Elem().SetZero()
	}
	return err
}

// prepare checks what is to be sent, and returns it as the client wants it.
func prepare(method, path string, params, body any) (url.Values, any, error) {
	if err := check(method, path, params, body); err != nil {
		return nil, nil, err
	}
	query, err := auth0.QueryOf(params)
	if f, ok := body.(form); ok {
		body = f.multipart()
	}
	return query, body, err
}

// list is call for answers that are a list, bare or under the only key of an object.
func list(ctx context.Context, c *auth0.Client, method, path string, args []string, params, body, into any, opts []auth0.RequestOption) error {
	return call(ctx, c, method, path, args, params, body, &listAnswer{into}, opts)
}

// listAnswer is such an answer, and holds a pointer to the list. It is no struct, so that what is no list is reported by the list's type.
type listAnswer [1]any

// UnmarshalJSON finds the list and decodes it.
func (l *listAnswer) UnmarshalJSON(b []byte) error { return decodeList(b, l[0]) }

func decodeList(b []byte, into any) error {
	var odd misfits
	var list []byte
	var key string
	eachMember(b, func(name, value []byte) bool {
		if value[0] == '[' && json.Unmarshal(name, &key) == nil {
			list = value
		}
		return list == nil
	})
	if list == nil {
		list, key = b, ""
	}
	if err := odd.add(key, auth0.Decode(list, into)); err != nil {
		return err
	}
	return odd.err()
}

// page is the body of the generated list methods that have a required parameter.
func page[T any](ctx context.Context, c *auth0.Client, path string, args []string, params any, paging auth0.Paging, opts []auth0.RequestOption) (*auth0.Page[T], error) {
	if err := check("GET", path, params, nil); err != nil {
		return nil, err
	}
	return auth0.List[T](ctx, c, path, args, params, paging, opts)
}

// all is the body of the generated methods that walk a list and have a required parameter.
func all[T any](ctx context.Context, c *auth0.Client, path string, args []string, params any, paging auth0.Paging, opts []auth0.RequestOption) iter.Seq2[T, error] {
	if err := check("GET", path, params, nil); err != nil {
		return func(yield func(T, error) bool) {
			var zero T
			yield(zero, err)
		}
	}
	return auth0.All[T](ctx, c, path, args, params, paging, opts)
}

// form is a body that is sent as multipart/form-data: fields of type []byte are files.
type form struct{ body any }

func (f form) multipart() *auth0.Multipart {
	m := new(auth0.Multipart)
	v := reflect.ValueOf(f.body)
	for i := range v.NumField() {
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		field := v.Field(i)
		if field.Kind() == reflect.Pointer {
			if field.IsNil() {
				continue
			}
			field = field.Elem()
		}
		switch x := field.Interface().(type) {
		case []byte:
			m.File(name, name+".json", "application/json", x)
		case bool:
			m.Field(name, strconv.FormatBool(x))
		case string:
			m.Field(name, x)
		}
	}
	return m
}

// check refuses a call whose parameters or body lack what the API requires. A field is required when its tag says neither
// omitempty nor omitzero, and may be empty when a second tag says so.
func check(method, path string, params, body any) error {
	where := func(kind, field string) error {
		return fmt.Errorf("auth0: %s %s: %s %s is required and empty", method, path, kind, field)
	}
	if params != nil {
		v := reflect.ValueOf(params)
		if v.Kind() == reflect.Pointer && v.IsNil() {
			v = reflect.Zero(v.Type().Elem())
		}
		if name := missing(reflect.Indirect(v), "url", ""); name != "" {
			return where("parameter", name)
		}
	}
	if f, ok := body.(form); ok {
		body = f.body
	}
	if body != nil {
		if name := missing(reflect.ValueOf(body), "json", ""); name != "" {
			return where("field", name)
		}
	}
	return nil
}

type required interface{ IsZero() bool }

// missing returns the path of the first required field of v that is empty, "" if there is none.
func missing(v reflect.Value, tag, path string) string {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return ""
		}
		return missing(v.Elem(), tag, path)
	case reflect.Slice:
		for i := range v.Len() {
			if !compound(v.Type().Elem()) {
				break
			}
			if name := missing(v.Index(i), tag, path+"["+strconv.Itoa(i)+"]"); name != "" {
				return name
			}
		}
	case reflect.Struct:
		t := v.Type()
		for i := range t.NumField() {
			f := t.Field(i)
			name, options, ok := strings.Cut(f.Tag.Get(tag), ",")
			if name == "-" || !f.IsExported() || name == "" && f.Tag.Get("when") == "" {
				continue
			}
			at := name
			switch {
			case path != "" && name != "":
				at = path + "." + name
			case name == "":
				at = path
			}
			field := v.Field(i)
			if name != "" && !ok && options == "" && f.Tag.Get("empty") != "ok" && empty(field) {
				return at
			}
			if compound(f.Type) {
				if lacking := missing(field, tag, at); lacking != "" {
					return lacking
				}
			}
		}
	}
	return ""
}

func empty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.String:
		return v.Len() == 0
	case reflect.Slice, reflect.Map, reflect.Pointer:
		return v.IsNil()
	case reflect.Struct:
		z, ok := reflect.TypeAssert[required](v)
		return ok && z.IsZero() || len(shapeOf(v.Type()).variants) > 0 && v.IsZero()
	}
	return false
}

// compound reports whether a type may hold required fields.
func compound(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice:
		return compound(t.Elem())
	case reflect.Struct:
		return t.PkgPath() == reflect.TypeFor[API]().PkgPath()
	}
	return false
}
