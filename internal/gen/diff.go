package main

import (
	"fmt"
	"sort"
	"strings"
)

// changes lists what an import changed, a line each: + added, - removed, ~ changed.
func changes(old, now *API) []string {
	var out []string
	oldOps, nowOps := map[string]*Op{}, map[string]*Op{}
	for _, f := range old.Files {
		for _, o := range f.Ops {
			oldOps[o.Method+" "+o.Path] = o
		}
	}
	for _, f := range now.Files {
		for _, o := range f.Ops {
			nowOps[o.Method+" "+o.Path] = o
		}
	}
	both(oldOps, nowOps, func(name string, was, is *Op) {
		switch {
		case was == nil:
			out = append(out, fmt.Sprintf("+ operation %s (%s.%s)", name, is.Group, is.Go))
		case is == nil:
			out = append(out, fmt.Sprintf("- operation %s (%s.%s)", name, was.Group, was.Go))
		default:
			out = append(out, opChanges(name, was, is)...)
		}
	})
	both(old.types, now.types, func(name string, was, is *Type) {
		switch {
		case was == nil:
			out = append(out, fmt.Sprintf("+ %s %s", is.Kind, name))
		case is == nil:
			out = append(out, fmt.Sprintf("- %s %s", was.Kind, name))
		default:
			out = append(out, typeChanges(name, was, is)...)
		}
	})
	return out
}

// both calls f for every key of either map, in order.
func both[T any](a, b map[string]*T, f func(name string, a, b *T)) {
	keys := map[string]bool{}
	for k := range a {
		keys[k] = true
	}
	for k := range b {
		keys[k] = true
	}
	for _, k := range sortedKeys(keys) {
		f(k, a[k], b[k])
	}
}

func opChanges(name string, was, is *Op) []string {
	var out []string
	differ := func(what, a, b string) {
		if a != b {
			out = append(out, fmt.Sprintf("~ operation %s: %s was %s, is %s", name, what, orNone(a), orNone(b)))
		}
	}
	page := func(o *Op) string {
		if o.Page == nil {
			return ""
		}
		return fmt.Sprint(*o.Page)
	}
	sorted := func(l []string) string {
		l = append([]string{}, l...)
		sort.Strings(l)
		return strings.Join(l, " ")
	}
	differ("group", was.Group, is.Group)
	differ("lifecycle", was.Life, is.Life)
	differ("scopes", sorted(was.Scopes), sorted(is.Scopes))
	differ("body", was.Body+was.Multipart, is.Body+is.Multipart)
	differ("answer", was.Returns, is.Returns)
	differ("paging", page(was), page(is))
	out = append(out, fieldChanges("operation "+name+": parameter", was.Query, is.Query)...)
	return out
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

func typeChanges(name string, was, is *Type) []string {
	if was.Kind != is.Kind {
		return []string{fmt.Sprintf("~ %s: was a %s, is a %s", name, was.Kind, is.Kind)}
	}
	out := fieldChanges(is.Kind+" "+name+": field", was.Fields, is.Fields)
	if a, b := was.head(), is.head(); a != b { // what a type is for decides how its fields are in Go
		out = append(out, fmt.Sprintf("~ %s: was %s, is %s", name, a, b))
	}
	oldValues, nowValues := map[string]*string{}, map[string]*string{}
	for i := range was.Values {
		oldValues[was.Values[i].Value] = &was.Values[i].Value
	}
	for i := range is.Values {
		nowValues[is.Values[i].Value] = &is.Values[i].Value
	}
	for i := range was.Variants {
		oldValues[strings.Join(was.Variants[i].When, "|")] = &was.Variants[i].Type
	}
	for i := range is.Variants {
		nowValues[strings.Join(is.Variants[i].When, "|")] = &is.Variants[i].Type
	}
	both(oldValues, nowValues, func(v string, a, b *string) {
		switch {
		case a == nil:
			out = append(out, fmt.Sprintf("+ %s %s: value %q", is.Kind, name, v))
		case b == nil:
			out = append(out, fmt.Sprintf("- %s %s: value %q", is.Kind, name, v))
		case *a != *b:
			out = append(out, fmt.Sprintf("~ %s %s: value %q was %s, is %s", is.Kind, name, v, *a, *b))
		}
	})
	return out
}

func fieldChanges(where string, was, is []*Field) []string {
	var out []string
	index := func(l []*Field) map[string]*Field {
		m := map[string]*Field{}
		for _, f := range l {
			m[f.Name] = f
		}
		return m
	}
	plain := func(f *Field) string {
		c := *f
		c.Doc, c.Go = "", ""
		return strings.TrimPrefix(c.line(), f.Name)
	}
	both(index(was), index(is), func(name string, a, b *Field) {
		switch {
		case a == nil:
			out = append(out, fmt.Sprintf("+ %s %s%s", where, name, plain(b)))
		case b == nil:
			out = append(out, fmt.Sprintf("- %s %s%s", where, name, plain(a)))
		case plain(a) != plain(b):
			out = append(out, fmt.Sprintf("~ %s %s was%s, is%s", where, name, plain(a), plain(b)))
		}
	})
	return out
}
