package management

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/headroom-go/auth0"
)

// answerOf writes what a method returned as the API had sent it.
func answerOf(t *testing.T, s sample, out []reflect.Value) (any, bool) {
	t.Helper()
	if err, _ := reflect.TypeAssert[error](out[len(out)-1]); err != nil {
		t.Errorf("%s: %v", s.Op, err)
		return nil, false
	}
	if len(out) == 1 {
		return nil, false
	}
	v := out[0]
	if v.Kind() == reflect.Pointer && strings.HasPrefix(v.Type().Elem().Name(), "Page[") {
		v = v.Elem().FieldByName("Items")
	}
	forgetRaw(v)
	b, err := json.Marshal(v.Interface())
	if err != nil {
		t.Errorf("%s: the answer does not encode: %v", s.Op, err)
		return nil, false
	}
	return decodeAny(t, b), true
}

// entries returns the list in an answer whose other fields are about paging alone.
func entries(answer any) any {
	o, ok := answer.(map[string]any)
	if !ok {
		return answer
	}
	for _, v := range o {
		if l, ok := v.([]any); ok {
			return l
		}
	}
	return answer
}

func isObject(v any) bool { _, ok := v.(map[string]any); return ok }

// eachAnswer calls every operation with every answer of its samples, changed by change. Of the answer, check gets what was sent, what the
// method returned and what was reported.
func eachAnswer(t *testing.T, change func(any) any, check func(s sample, sent, got any, odd []auth0.Mismatch)) {
	t.Helper()
	api, wire := newStub(t)
	all, ops := services(api), readOps(t)
	for _, s := range readSamples(t) {
		if s.Stream {
			continue
		}
		m := ops[s.Op]
		fn := all[m[0]].MethodByName(m[1])
		var body json.RawMessage
		if len(s.Bodies) > 0 {
			body = s.Bodies[0]
		}
		for _, answer := range s.Answers {
			plain := decodeAny(t, answer)
			sent := change(plain)
			b, err := json.Marshal(sent)
			if err != nil {
				t.Fatal(err)
			}
			wire.answer = b
			var m auth0.Meta
			got, ok := answerOf(t, s, invoke(t, fn, s, body, auth0.Capture(&m)))
			if !ok {
				continue
			}
			if !isObject(got) {
				if sent = entries(sent); isObject(sent) && !isObject(entries(plain)) {
					continue // the change has replaced the list itself
				}
			}
			check(s, sent, got, m.Mismatches)
		}
	}
}

// TestAnswers decodes full answers, with every field and every variant that Auth0's description knows, and expects to find all of it.
func TestAnswers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		count := 0
		eachAnswer(t, func(v any) any { return v }, func(s sample, sent, got any, odd []auth0.Mismatch) {
			count++
			if len(odd) > 0 {
				t.Errorf("%s: reported %v", s.Op, odd)
			}
			if d := jsonDiff(sent, got, ""); d != "" {
				t.Errorf("%s: %s\nsent %v\ngot  %v", s.Op, d, sent, got)
			}
		})
		if count < 400 {
			t.Errorf("%d answers compared", count)
		}
	})
}

// changeAll changes every value below the root for which change says so. Objects and lists are changed inside, unless they are
// changed themselves.
func changeAll(v any, change func(any) (any, bool), depth int) any {
	if depth > 0 {
		if n, ok := change(v); ok {
			return n
		}
	}
	switch x := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for k, e := range x {
			out[k] = changeAll(e, change, depth+1)
		}
		return out
	case []any:
		out := make([]any, len(x))
		for i, e := range x {
			out[i] = changeAll(e, change, depth) // the list itself holds no field
		}
		return out
	}
	return v
}

// changed marks what a test has put in the place of a value.
const changed = 4711

// lost says which values of an answer that were left alone have not come through.
func lost(sent, got any, path string) string {
	switch w := sent.(type) {
	case map[string]any:
		if w["changed"] != nil {
			return ""
		}
		g, ok := got.(map[string]any)
		if !ok {
			return fmt.Sprintf("%s: %v in place of an object", path, got)
		}
		for k := range w {
			if _, there := g[k]; !there && altered(w[k]) {
				continue
			}
			if d := lost(w[k], g[k], path+"."+k); d != "" {
				return d
			}
		}
	case []any:
		if altered(w) {
			return ""
		}
		if text, ok := got.(string); ok && len(w) == 1 && w[0] == text {
			return ""
		}
		g, ok := got.([]any)
		if !ok || len(g) != len(w) {
			return fmt.Sprintf("%s: %v in place of %v", path, got, sent)
		}
		for i := range w {
			if d := lost(w[i], g[i], fmt.Sprintf("%s[%d]", path, i)); d != "" {
				return d
			}
		}
	case nil:
	default:
		if altered(sent) || fmt.Sprint(sent) == fmt.Sprint(got) {
			return ""
		}
		return fmt.Sprintf("%s: %v in place of %v", path, got, sent)
	}
	return ""
}

// unreported says which changed values neither came through, as those of free-form fields do, nor were reported, and what was reported
// that was not changed. It compares the ends of paths, since got lacks what is around the entries of a page.
func unreported(sent, got any, odd []auth0.Mismatch) string {
	count := map[string]int{}
	for _, m := range odd {
		switch {
		case isObject(got) || strings.Contains(m.Path, "."):
			count[lastName(m.Path)]++
		case strings.Contains(m.Path, "["):
			count[""]++ // an entry itself
		default: // of what stands around the entries
		}
	}
	sentTimes, gotTimes := map[string]int{}, map[string]int{}
	countChanged(sent, "", sentTimes)
	countChanged(got, "", gotTimes)
	for name, n := range sentTimes {
		if have := gotTimes[name] + count[name]; have != n {
			return fmt.Sprintf("%s was changed %d times, came through %d times, and was reported %d times", name, n, gotTimes[name], count[name])
		}
	}
	for name := range count {
		if sentTimes[name] == 0 {
			return name + " was reported and not changed"
		}
	}
	return ""
}

// lastName returns the name at the end of a path, without the indices behind it.
func lastName(path string) string {
	for strings.HasSuffix(path, "]") {
		path = path[:strings.LastIndexByte(path, '[')]
	}
	return path[strings.LastIndexByte(path, '.')+1:]
}

// countChanged counts the values that a test has changed by the name under which they stand.
func countChanged(v any, name string, count map[string]int) {
	switch x := v.(type) {
	case map[string]any:
		if x["changed"] != nil {
			count[name]++
			return
		}
		for k, e := range x {
			countChanged(e, k, count)
		}
	case []any:
		for _, e := range x {
			countChanged(e, name, count)
		}
	default:
		if fmt.Sprint(v) == fmt.Sprint(changed) {
			count[name]++
		}
	}
}

// altered reports whether nothing of a value was left alone.
func altered(v any) bool {
	switch x := v.(type) {
	case nil:
		return true
	case float64:
		return x == changed
	case int:
		return x == changed
	case []any:
		for _, e := range x {
			if !altered(e) {
				return false
			}
		}
		return true
	case map[string]any:
		if x["changed"] != nil {
			return true
		}
		for _, e := range x {
			if !altered(e) {
				return false
			}
		}
		return true
	}
	return false
}

// TestOddAnswers sends what real tenants have been seen to send. No oddity may fail a call, nor cost the fields beside it.
func TestOddAnswers(t *testing.T) {
	t.Parallel()
	object := map[string]any{"changed": true}
	for name, change := range map[string]func(any) (any, bool){
		"null in place of strings": func(v any) (any, bool) {
			_, ok := v.(string)
			return nil, ok
		},
		"null in place of anything but objects": func(v any) (any, bool) {
			_, isObject := v.(map[string]any)
			_, isList := v.([]any)
			return nil, !isObject && !isList
		},
		"number in place of strings": func(v any) (any, bool) {
			_, ok := v.(string)
			return changed, ok
		},
		"string in place of numbers": func(v any) (any, bool) {
			_, ok := v.(float64)
			return object, ok
		},
		"object in place of lists of strings": func(v any) (any, bool) {
			l, ok := v.([]any)
			if ok && len(l) > 0 {
				_, ok = l[0].(string)
			}
			return object, ok
		},
		"object in place of booleans": func(v any) (any, bool) {
			_, ok := v.(bool)
			return object, ok
		},
		"number in place of times": func(v any) (any, bool) {
			text, ok := v.(string)
			return changed, ok && strings.HasPrefix(text, "2026-01-02T")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				reported := 0
				eachAnswer(t, func(v any) any { return changeAll(v, change, 0) }, func(s sample, sent, got any, odd []auth0.Mismatch) {
					if d := lost(sent, got, ""); d != "" {
						t.Errorf("%s: %s\nsent %v\ngot  %v", s.Op, d, sent, got)
					}
					reported += len(odd)
					if d := unreported(sent, got, odd); d != "" {
						t.Errorf("%s: %s\nsent %v\ngot  %v\nreported %v", s.Op, d, sent, got, odd)
					}
				})
				if isNull := strings.HasPrefix(name, "null"); (reported == 0) != isNull {
					t.Errorf("%d values reported", reported)
				}
			})
		})
	}
	t.Run("unknown fields", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			add := func(v any) any { return addUnknown(v) }
			eachAnswer(t, add, func(s sample, sent, got any, _ []auth0.Mismatch) {
				if d := lost(withoutUnknown(sent), got, ""); d != "" {
					t.Errorf("%s: %s\nsent %v\ngot  %v", s.Op, d, sent, got)
				}
			})
		})
	})
	t.Run("unknown enum values and variants", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			// Every string is one that nobody has heard of, and has to come through as it is.
			change := func(v any) (any, bool) {
				text, ok := v.(string)
				return "unheard-of", ok && !strings.HasPrefix(text, "2026-01-02T")
			}
			eachAnswer(t, func(v any) any { return changeAll(v, change, 0) }, func(s sample, sent, got any, _ []auth0.Mismatch) {
				if d := lost(sent, got, ""); d != "" {
					t.Errorf("%s: %s\nsent %v\ngot  %v", s.Op, d, sent, got)
				}
			})
		})
	})
}

const unknown = "a_field_of_tomorrow"

func addUnknown(v any) any {
	switch x := v.(type) {
	case map[string]any:
		out := map[string]any{unknown: map[string]any{"a": []any{1.0, "two", nil}}}
		for k, e := range x {
			out[k] = addUnknown(e)
		}
		return out
	case []any:
		out := make([]any, len(x))
		for i, e := range x {
			out[i] = addUnknown(e)
		}
		return out
	}
	return v
}

func withoutUnknown(v any) any {
	switch x := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for k, e := range x {
			if k != unknown {
				out[k] = withoutUnknown(e)
			}
		}
		return out
	case []any:
		out := make([]any, len(x))
		for i, e := range x {
			out[i] = withoutUnknown(e)
		}
		return out
	}
	return v
}
