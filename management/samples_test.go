package management

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"sort"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"

	"github.com/headroom-go/auth0"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// sample is what an operation must send and understand. internal/gen makes samples of Auth0's OpenAPI document alone, so that they
// know nothing of how the generated code came to be.
type sample struct {
	Op      string            `json:"op"`
	Args    []string          `json:"args"`
	Query   map[string]any    `json:"query"`
	Bodies  []json.RawMessage `json:"bodies"`
	Answers []json.RawMessage `json:"answers"`
	Form    bool              `json:"form"`
	Stream  bool              `json:"stream"`
}

var loadSamples = sync.OnceValues(func() (out []sample, err error) {
	files, err := filepath.Glob("testdata/samples/*.jsonl")
	if err != nil {
		return nil, err
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		for line := range bytes.Lines(b) {
			var s sample
			if err := json.Unmarshal(line, &s); err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			out = append(out, s)
		}
	}
	return out, nil
})

func readSamples(tb testing.TB) []sample {
	tb.Helper()
	samples, err := loadSamples()
	if err != nil || len(samples) == 0 {
		tb.Fatal("no samples:", err)
	}
	return samples
}

// loadOps reads the methods of the package by the operation that their //auth0:op line names: the type of the group, and the method.
var loadOps = sync.OnceValues(func() (map[string][2]string, error) {
	ops := map[string][2]string{}
	files, err := filepath.Glob("*.go")
	if err != nil {
		return nil, err
	}
	set := token.NewFileSet()
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(set, name, nil, parser.ParseComments)
		if err != nil {
			return nil, err
		}
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Doc == nil || fn.Recv == nil {
				continue
			}
			for _, c := range fn.Doc.List {
				op, ok := strings.CutPrefix(c.Text, "//auth0:op ")
				if !ok {
					continue
				}
				if have, twice := ops[op]; twice {
					return nil, fmt.Errorf("%s is both %s and %s", op, have, fn.Name.Name)
				}
				ops[op] = [2]string{fn.Recv.List[0].Type.(*ast.StarExpr).X.(*ast.Ident).Name, fn.Name.Name}
			}
		}
	}
	return ops, nil
})

func readOps(tb testing.TB) map[string][2]string {
	tb.Helper()
	ops, err := loadOps()
	if err != nil {
		tb.Fatal(err)
	}
	return ops
}

// services returns every group of the API by the name of its type.
func services(api *API) map[string]reflect.Value {
	out := map[string]reflect.Value{}
	var walk func(v reflect.Value)
	walk = func(v reflect.Value) {
		for _, f := range v.Fields() {
			if f.Kind() == reflect.Struct {
				out[f.Type().Name()] = f.Addr()
				walk(f)
			}
		}
	}
	walk(reflect.ValueOf(api).Elem())
	return out
}

// stub answers every request with one body, and keeps the request.
type stub struct {
	answer []byte
	status int
	stream bool
	got    *http.Request
	body   []byte
}

func (s *stub) RoundTrip(r *http.Request) (*http.Response, error) {
	s.got, s.body = r, nil
	if r.Body != nil {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		s.body = b
		_ = r.Body.Close()
	}
	h := http.Header{"Content-Type": {"application/json"}}
	answer := s.answer
	if s.stream {
		h.Set("Content-Type", "text/event-stream")
		answer = []byte("data: " + string(answer) + "\n\n")
	}
	return &http.Response{StatusCode: s.status, Header: h, Body: io.NopCloser(bytes.NewReader(answer)), ContentLength: int64(len(answer)), Request: r}, nil
}

// newStub returns the API over a stub. Tests that use it run in a bubble of testing/synctest, where the waits of the throttle take no time.
func newStub(tb testing.TB) (*API, *stub) {
	tb.Helper()
	s := &stub{status: 200}
	c, err := auth0.New("tenant.eu.auth0.com", auth0.WithToken("token"), auth0.WithHTTPClient(&http.Client{Transport: s}), auth0.WithPlan("enterprise"))
	if err != nil {
		tb.Fatal(err)
	}
	return New(c), s
}

// invoke calls the method of an operation with the sample's arguments and returns its results.
func invoke(t *testing.T, fn reflect.Value, s sample, body json.RawMessage, opts ...auth0.RequestOption) []reflect.Value {
	t.Helper()
	args := []reflect.Value{reflect.ValueOf(t.Context())}
	ft := fn.Type()
	path := s.Args
	for i := 1; i < ft.NumIn()-1; i++ {
		in := ft.In(i)
		switch {
		case in.Kind() == reflect.String:
			if len(path) == 0 {
				t.Fatalf("%s: more arguments than the path has", s.Op)
			}
			args = append(args, reflect.ValueOf(path[0]))
			path = path[1:]
		case in.Kind() == reflect.Pointer:
			p := reflect.New(in.Elem())
			fillQuery(t, p.Elem(), s)
			args = append(args, p)
		default:
			v := reflect.New(in)
			if err := json.Unmarshal(body, v.Interface()); err != nil {
				t.Fatalf("%s: a body that the API takes does not fit %s: %v", s.Op, in, err)
			}
			forgetRaw(v.Elem())
			args = append(args, v.Elem())
		}
	}
	if len(path) > 0 {
		t.Fatalf("%s: the method does not take %v", s.Op, path)
	}
	for _, o := range opts {
		args = append(args, reflect.ValueOf(o))
	}
	return fn.Call(args)
}

// forgetRaw empties Raw wherever a variant is set, so that what is encoded is what the fields hold, and not what came.
func forgetRaw(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			forgetRaw(v.Elem())
		}
	case reflect.Slice:
		for i := range v.Len() {
			forgetRaw(v.Index(i))
		}
	case reflect.Struct:
		if null, ok := reflect.TypeAssert[auth0.Null[ConnectionOptions]](v); ok {
			if o, ok := auth0.ValueOf(null); ok {
				forgetRaw(reflect.ValueOf(&o))
				v.Set(reflect.ValueOf(auth0.NullOf(o)))
			}
			return
		}
		variant := false
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() {
				forgetRaw(v.Field(i))
				variant = variant || f.Tag.Get("when") != "" && !v.Field(i).IsNil()
			}
		}
		if variant {
			v.FieldByName("Raw").SetZero()
		}
	}
}

func fillQuery(t *testing.T, p reflect.Value, s sample) {
	t.Helper()
	for name, value := range s.Query {
		var field reflect.Value
		for i := range p.NumField() {
			if tag, _, _ := strings.Cut(p.Type().Field(i).Tag.Get("url"), ","); tag == name {
				field = p.Field(i)
			}
		}
		if !field.IsValid() {
			t.Errorf("%s: no field for the parameter %s", s.Op, name)
			continue
		}
		if field.Type() == reflect.TypeFor[[]string]() {
			if text, ok := value.(string); ok {
				value = []string{text}
			}
		}
		b, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(b, field.Addr().Interface()); err != nil {
			t.Errorf("%s: parameter %s: %v", s.Op, name, err)
		}
	}
}

// TestRequests calls every operation with sentinels in every argument, parameter and field, and compares what is sent.
func TestRequests(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		api, wire := newStub(t)
		all, ops := services(api), readOps(t)
		count := 0
		for _, s := range readSamples(t) {
			if s.Stream {
				continue // TestSubscribe
			}
			m := ops[s.Op]
			fn := all[m[0]].MethodByName(m[1])
			bodies := s.Bodies
			if len(bodies) == 0 {
				bodies = []json.RawMessage{nil}
			}
			for _, body := range bodies {
				wire.answer = []byte("{}")
				out := invoke(t, fn, s, body)
				if err, _ := reflect.TypeAssert[error](out[len(out)-1]); err != nil {
					t.Errorf("%s: %v", s.Op, err)
					continue
				}
				compareRequest(t, s, wire, body)
				count++
			}
		}
		if count < 469 {
			t.Errorf("%d requests compared", count)
		}
	})
}

func compareRequest(t *testing.T, s sample, wire *stub, body json.RawMessage) {
	t.Helper()
	method, template, _ := strings.Cut(s.Op, " ")
	r := wire.got
	if r.Method != method {
		t.Errorf("%s: sent %s", s.Op, r.Method)
	}
	want := strings.Split("/api/v2"+template, "/")
	args := s.Args
	got := strings.Split(r.URL.EscapedPath(), "/")
	if len(got) != len(want) {
		t.Errorf("%s: path %s", s.Op, r.URL.EscapedPath())
		return
	}
	for i := range want {
		if strings.HasPrefix(want[i], "{") {
			want[i], args = args[0], args[1:]
		}
		if plain, err := url.PathUnescape(got[i]); err != nil || plain != want[i] {
			t.Errorf("%s: path %s has %q, want %q", s.Op, r.URL.EscapedPath(), plain, want[i])
		}
	}
	if want, got := wantQuery(s), queryLines(r.URL.Query()); want != got {
		t.Errorf("%s: query\n%s\nwant\n%s", s.Op, got, want)
	}
	if a := r.Header.Get("Authorization"); a != "Bearer token" {
		t.Errorf("%s: Authorization %q", s.Op, a)
	}
	media, params, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch {
	case body == nil:
		if len(wire.body) > 0 {
			t.Errorf("%s: sent a body: %s", s.Op, wire.body)
		}
	case s.Form:
		if media != "multipart/form-data" {
			t.Errorf("%s: Content-Type %q", s.Op, media)
		}
		compareForm(t, s, multipart.NewReader(bytes.NewReader(wire.body), params["boundary"]), body)
	default:
		if media != "application/json" {
			t.Errorf("%s: Content-Type %q", s.Op, media)
		}
		if diff := jsonDiff(decodeAny(t, body), decodeAny(t, wire.body), ""); diff != "" {
			t.Errorf("%s: body: %s\nsent %s\nwant %s", s.Op, diff, wire.body, body)
		}
	}
}

func wantQuery(s sample) string {
	q := url.Values{}
	for name, v := range s.Query {
		if l, ok := v.([]any); ok {
			for _, x := range l {
				q.Add(name, fmt.Sprint(x))
			}
			continue
		}
		q.Set(name, fmt.Sprint(v))
	}
	return queryLines(q)
}

func queryLines(q url.Values) string {
	var out []string
	for name, values := range q {
		for _, v := range values {
			out = append(out, name+"="+v)
		}
	}
	sort.Strings(out)
	return strings.Join(out, "\n")
}

func compareForm(t *testing.T, s sample, r *multipart.Reader, body json.RawMessage) {
	t.Helper()
	want := decodeAny(t, body).(map[string]any)
	got := map[string]string{}
	for {
		p, err := r.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(p)
		if err != nil {
			t.Fatal(err)
		}
		if (p.FileName() != "") != (p.FormName() == "users") {
			t.Errorf("%s: %s has the file name %q", s.Op, p.FormName(), p.FileName())
		}
		got[p.FormName()] = string(b)
	}
	for name, v := range want {
		if name == "users" {
			v = string(formFile)
		}
		if got[name] != fmt.Sprint(v) {
			t.Errorf("%s: field %s is %q, want %q", s.Op, name, got[name], fmt.Sprint(v))
		}
	}
	if len(got) != len(want) {
		t.Errorf("%s: %d fields, want %d", s.Op, len(got), len(want))
	}
}

// formFile is what the file of the sample form decodes to: JSON writes bytes in base64.
var formFile = []byte("[{}]")

func decodeAny(tb testing.TB, b []byte) any {
	tb.Helper()
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		tb.Fatalf("%v: %s", err, b)
	}
	return v
}

// jsonDiff says where two values differ, "" if they do not. Two differences do not count: a number in place of the same number as
// text, and a list of one in place of that one.
func jsonDiff(want, got any, path string) string {
	if l, ok := want.([]any); ok && len(l) == 1 {
		if _, text := got.(string); text {
			want = l[0]
		}
	}
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			return fmt.Sprintf("%s: %v in place of an object", path, got)
		}
		for k := range w {
			if _, ok := g[k]; !ok {
				return fmt.Sprintf("%s.%s is lost", path, k)
			}
			if d := jsonDiff(w[k], g[k], path+"."+k); d != "" {
				return d
			}
		}
		for k := range g {
			if _, ok := w[k]; !ok && !zero(g[k]) {
				return fmt.Sprintf("%s.%s is too much: %v", path, k, g[k])
			}
		}
		return ""
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(w) {
			return fmt.Sprintf("%s: %v in place of %v", path, got, want)
		}
		for i := range w {
			if d := jsonDiff(w[i], g[i], fmt.Sprintf("%s[%d]", path, i)); d != "" {
				return d
			}
		}
		return ""
	case float64:
		if g, ok := got.(string); ok && g == fmt.Sprint(w) {
			return ""
		}
	}
	if !reflect.DeepEqual(want, got) {
		return fmt.Sprintf("%s: %v in place of %v", path, got, want)
	}
	return ""
}

// zero reports whether a value of an answer stands for nothing: a response type writes the required fields that an answer lacked.
func zero(v any) bool {
	switch x := v.(type) {
	case nil:
		return true
	case string:
		return x == "" || x == "0001-01-01T00:00:00Z"
	case float64:
		return x == 0
	case bool:
		return !x
	case []any:
		return len(x) == 0
	case map[string]any:
		for _, e := range x {
			if !zero(e) {
				return false
			}
		}
		return true
	}
	return false
}
