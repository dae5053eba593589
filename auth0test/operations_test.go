package auth0test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/headroom-go/auth0"
	"github.com/headroom-go/auth0/management"
)

// example is an operation with requests and answers that were made of Auth0's
// own OpenAPI document, without this project's description.
type example struct {
	Op      string            `json:"op"`
	Query   map[string]any    `json:"query"`
	Bodies  []json.RawMessage `json:"bodies"`
	Answers []json.RawMessage `json:"answers"`
	Stream  bool              `json:"stream"`
}

func readExamples(t *testing.T) map[string]example {
	t.Helper()
	files, err := filepath.Glob("../management/testdata/samples/*.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]example)
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for line := range bytes.Lines(b) {
			var e example
			if err := json.Unmarshal(line, &e); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			all[e.Op] = e
		}
	}
	return all
}

// methodsOf returns the generated methods by the operation that they say they are.
func methodsOf(t *testing.T, client *auth0.Client) map[string]reflect.Value {
	t.Helper()
	services := make(map[string]reflect.Value)
	var walk func(v reflect.Value)
	walk = func(v reflect.Value) {
		for _, f := range v.Fields() {
			if f.Kind() == reflect.Struct {
				services[f.Type().Name()] = f.Addr()
				walk(f)
			}
		}
	}
	walk(reflect.ValueOf(management.New(client)).Elem())
	files, err := filepath.Glob("../management/*.go")
	if err != nil {
		t.Fatal(err)
	}
	methods := make(map[string]reflect.Value)
	for _, name := range files {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Doc == nil || fn.Recv == nil {
				continue
			}
			for _, line := range fn.Doc.List {
				if op, ok := strings.CutPrefix(line.Text, "//auth0:op "); ok {
					service := services[fn.Recv.List[0].Type.(*ast.StarExpr).X.(*ast.Ident).Name]
					methods[op] = service.MethodByName(fn.Name.Name)
				}
			}
		}
	}
	return methods
}

// world is a tenant that has one of each kind.
type world struct {
	*Tenant
	ids map[string]string
}

func newWorld(t *testing.T, o Options) *world {
	t.Helper()
	o.AnyToken = true
	w := &world{Tenant: mustTenant(t, o), ids: make(map[string]string)}
	w.make(t, "resource server", "/resource-servers", `{"identifier":"https://api.example.com","name":"API","scopes":[{"value":"read:all","description":"All of it"},{"value":"write:all"}]}`)
	w.make(t, "client", "/clients", `{"name":"App","app_type":"spa","client_metadata":{"a":"1"}}`)
	w.make(t, "credential", "/clients/{client}/credentials", `{"credential_type":"public_key","name":"key"}`)
	w.make(t, "client grant", "/client-grants", `{"client_id":"{client}","audience":"https://api.example.com","scope":["read:all"]}`)
	w.make(t, "connection", "/connections", `{"name":"customers","strategy":"auth0","enabled_clients":["{client}"]}`)
	w.make(t, "role", "/roles", `{"name":"Editor","description":"Edits"}`)
	w.make(t, "", "/roles/{role}/permissions", `{"permissions":[{"resource_server_identifier":"https://api.example.com","permission_name":"read:all"}]}`)
	w.make(t, "user", "/users", `{`+connection+`,"email":"ann@example.com","password":"x","name":"Ann"}`)
	w.make(t, "secondary", "/users", `{"connection":"customers","email":"ann@example.com","password":"x","user_id":"2"}`)
	w.make(t, "third", "/users", `{"connection":"customers","email":"third@example.com","password":"x","user_id":"3"}`)
	w.make(t, "", "/users/{user}/identities", `{"provider":"auth0","user_id":"3"}`)
	w.make(t, "", "/users/{user}/roles", `{"roles":["{role}"]}`)
	w.make(t, "", "/users/{user}/permissions", `{"permissions":[{"resource_server_identifier":"https://api.example.com","permission_name":"write:all"}]}`)
	w.make(t, "method", "/users/{user}/authentication-methods", `{"type":"phone","name":"Phone","phone_number":"+491700000"}`)
	w.make(t, "organization", "/organizations", `{"name":"acme","display_name":"Acme","metadata":{"a":"1"}}`)
	w.make(t, "", "/organizations/{organization}/members", `{"members":["{user}"]}`)
	w.make(t, "", "/organizations/{organization}/members/{user}/roles", `{"roles":["{role}"]}`)
	w.make(t, "", "/organizations/{organization}/enabled_connections", `{"connection_id":"{connection}","assign_membership_on_login":true}`)
	w.make(t, "", "/organizations/{organization}/client-grants", `{"grant_id":"{client grant}"}`)
	w.make(t, "invitation", "/organizations/{organization}/invitations", `{"inviter":{"name":"Ann"},"invitee":{"email":"b@example.com"},"client_id":"{client}"}`)
	w.make(t, "discovery domain", "/organizations/{organization}/discovery-domains", `{"domain":"acme.example"}`)
	w.make(t, "", "/organizations/{organization}/clients", `{"clients":[{"client_id":"{client}","use_for_member_access":true}]}`)
	w.make(t, "job", "/jobs/users-exports", `{"format":"json"}`)
	w.ids["local"] = strings.TrimPrefix(w.ids["user"], "auth0|")
	var logs []map[string]any
	if err := json.Unmarshal([]byte(send(t, w, "GET", "/api/v2/logs?per_page=1", "").body), &logs); err != nil {
		t.Fatal(err)
	}
	w.ids["log"] = logs[0]["log_id"].(string)
	return w
}

// fill puts ids in place of {noun}.
func (w *world) fill(s string, escape func(string) string) string {
	for noun, id := range w.ids {
		s = strings.ReplaceAll(s, "{"+noun+"}", escape(id))
	}
	return s
}

// ask calls a path under /api/v2.
func (w *world) ask(t *testing.T, method, path, body string) reply {
	t.Helper()
	return send(t, w, method, "/api/v2"+w.fill(path, url.PathEscape), w.fill(body, func(s string) string { return s }))
}

// make creates something and keeps its id.
func (w *world) make(t *testing.T, noun, path, body string) {
	t.Helper()
	r := w.ask(t, "POST", path, body)
	if r.status >= 300 {
		t.Fatalf("POST %s: %d %s", path, r.status, r.body)
	}
	if noun == "" {
		return
	}
	doc := r.doc(t)
	for _, name := range []string{"id", "client_id", "user_id"} {
		if id, ok := doc[name].(string); ok {
			w.ids[noun] = id
			return
		}
	}
	t.Fatalf("POST %s: no id in %s", path, r.body)
}

// logIn has the user log in, and keeps the ids of the session and the refresh token.
func (w *world) logIn(t *testing.T) {
	t.Helper()
	w.ask(t, "PATCH", "/clients/{client}", `{"callbacks":["`+callback+`"]}`)
	back, err := w.Login(authorizeURL("client_id", w.ids["client"]), "ann@example.com", "x")
	if err != nil {
		t.Fatal(err)
	}
	exchange(t, w, back.Query().Get("code"), "client_id", w.ids["client"], "client_secret", "-")
	for noun, list := range map[string]string{"session": "sessions", "refresh token": "refresh-tokens"} {
		doc := w.ask(t, "GET", "/users/{user}/"+list, "").doc(t)
		entries, _ := doc[map[string]string{"sessions": "sessions", "refresh-tokens": "tokens"}[list]].([]any)
		if len(entries) != 1 {
			t.Fatalf("%s: %v", list, doc)
		}
		w.ids[noun], _ = entries[0].(map[string]any)["id"].(string)
	}
}

// arguments returns what an operation is called with in this world.
func (w *world) arguments(op *operation) []string {
	nouns := owners()
	nouns["logs"], nouns["jobs"], nouns["sessions"], nouns["refresh-tokens"] = "log", "job", "session", "refresh token"
	var args []string
	for i, seg := range op.split {
		if !isBrace(seg) {
			continue
		}
		id := "any|1 /ü."
		switch {
		case len(args) == 0 && i == 1:
			id = firstOf(w.ids[nouns[op.split[0]]], id)
		case seg == "{name}" && op.split[0] == "organizations":
			id = "acme"
		case seg == "{discovery_domain}":
			id = "acme.example"
		case seg == "{provider}" && op.split[0] == "users":
			id = "auth0"
		case seg == "{user_id}" && op.split[0] == "users":
			id = "3"
		default:
			if noun := (map[string]string{
				"{user_id}": "user", "{role_id}": "role", "{connectionId}": "connection", "{connection_id}": "connection", "{grant_id}": "client grant",
				"{discovery_domain_id}": "discovery domain", "{client_id}": "client", "{invitation_id}": "invitation", "{authentication_method_id}": "method", "{credential_id}": "credential",
			})[seg]; noun != "" {
				id = w.ids[noun]
			}
		}
		args = append(args, id)
	}
	return args
}

// bodyOf returns a body that an operation takes in this world.
func (w *world) bodyOf(op *operation, e example) string {
	body := map[string]string{
		"POST /users":                                  `{` + connection + `,"email":"new@example.com","password":"x"}`,
		"PATCH /users/{id}":                            `{"name":"Anna"}`,
		"POST /users/{id}/identities":                  `{"provider":"auth0","user_id":"2"}`,
		"POST /client-grants":                          `{"client_id":"{client}","audience":"https://tenant.auth0.test/api/v2/","scope":[]}`,
		"POST /connections":                            `{"name":"more","strategy":"auth0"}`,
		"PATCH /connections/{id}":                      `{"display_name":"More"}`,
		"POST /organizations":                          `{"name":"other"}`,
		"POST /jobs/users-exports":                     `{"connection_id":"{connection}","format":"csv"}`,
		"POST /jobs/verification-email":                `{"user_id":"{user}"}`,
		"POST /jobs/users-imports":                     `{"users":"W10=","connection_id":"{connection}"}`,
		"POST /users/{id}/authentication-methods":      `{"type":"email","email":"a@example.com"}`,
		"PATCH /connections/{id}/clients":              `[{"client_id":"{client}","status":false}]`,
		"POST /organizations/{id}/invitations":         `{"inviter":{"name":"Ann"},"invitee":{"email":"c@example.com"},"client_id":"{client}"}`,
		"POST /organizations/{id}/client-grants":       `{"grant_id":"{other grant}"}`,
		"POST /organizations/{id}/clients":             `{"clients":[{"client_id":"{client}","use_for_member_access":false}]}`,
		"POST /organizations/{id}/connections":         `{"connection_id":"{other connection}"}`,
		"POST /organizations/{id}/enabled_connections": `{"connection_id":"{other connection}"}`,
	}[op.id()]
	switch op.body {
	case "PermissionList":
		body = `{"permissions":[{"resource_server_identifier":"https://api.example.com","permission_name":"read:all"}]}`
	case "RoleIDs":
		body = `{"roles":["{role}"]}`
	case "UserIDs":
		body = `{"users":["{secondary}"]}`
	case "OrganizationMemberIDs":
		body = `{"members":["{secondary}"]}`
	}
	if body == "" && len(e.Bodies) > 0 {
		// The examples' own bodies know no bounds.
		s := &sampler{d: describe(), now: timestamp(w.start), deep: make(map[string]int)}
		body = string(mustJSON(s.value(&attribute{kind: op.body})))
	}
	return w.fill(body, func(s string) string { return s })
}

// Each of the 469 operations, called by its generated method, gets an answer
// that decodes without a mismatch and holds nothing that Auth0's own OpenAPI
// document does not know, in the types that it has there.
func TestAllOperations(t *testing.T) {
	t.Parallel()
	examples := readExamples(t)
	known := knownNames(t, examples)
	statuses := make(map[string]int)
	count := 0
	synctest.Test(t, func(t *testing.T) {
		var tenant *Tenant
		client, err := auth0.New(DefaultDomain, auth0.WithToken("any"), auth0.WithPlan("enterprise"), auth0.WithHTTPClient(&http.Client{
			Transport: roundTripper(func(r *http.Request) (*http.Response, error) { return tenant.RoundTrip(r) }),
		}))
		if err != nil {
			t.Fatal(err)
		}
		methods := methodsOf(t, client)
		describe().all(func(op *operation) {
			count++
			w := newWorld(t, Options{Plan: nil})
			w.make(t, "other connection", "/connections", `{"name":"other","strategy":"auth0"}`)
			w.make(t, "other grant", "/client-grants", `{"client_id":"{client}","audience":"https://tenant.auth0.test/api/v2/","scope":[]}`)
			if op.id() == "POST /client-grants" {
				w.ask(t, "DELETE", "/client-grants/{other grant}", "")
			}
			if about := op.split[len(op.split)-1]; op.split[0] == "sessions" || op.split[0] == "refresh-tokens" || about == "sessions" || about == "refresh-tokens" {
				w.logIn(t)
			}
			tenant = w.Tenant
			e := examples[op.id()]
			if e.Stream {
				return // has a test of its own
			}
			meta := invokeMethod(t, methods[op.id()], w.arguments(op), w.bodyOf(op, e))
			statuses[fmt.Sprint(op.method, " ", meta.Status)]++
			for _, m := range meta.Mismatches {
				t.Errorf("%s: %v", op.id(), m)
			}
			if (len(e.Answers) > 0 && meta.Status != http.StatusNoContent) != (len(meta.Body) > 0) {
				t.Errorf("%s: %d with the body %q; the document has %d answers", op.id(), meta.Status, meta.Body, len(e.Answers))
			}
			if len(meta.Body) > 0 {
				conforms(t, op, meta.Body, e.Answers, known[op.split[0]])
			}
		})
	})
	if count != 469 || len(examples) != 469 {
		t.Errorf("%d operations, %d examples, want 469", count, len(examples))
	}
	// Counted in the OpenAPI document of 2026-08-20. Where it has two, the tenant
	// answers 200 before 201, 204 for job errors of which there are none, and 204
	// before 202 and 201.
	want := map[string]int{
		"GET 200": 197, "GET 204": 1, // without GET /events
		"POST 200": 19, "POST 201": 58, "POST 202": 12, "POST 204": 10,
		"PATCH 200": 63, "PATCH 201": 4, "PATCH 204": 1, "PUT 200": 24, "PUT 204": 2,
		"DELETE 200": 3, "DELETE 202": 4, "DELETE 204": 70,
	}
	if !maps.Equal(statuses, want) {
		t.Errorf("statuses %v, want %v", statuses, want)
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// invokeMethod calls a generated method.
func invokeMethod(t *testing.T, fn reflect.Value, path []string, body string) *auth0.Meta {
	t.Helper()
	meta := new(auth0.Meta)
	args := []reflect.Value{reflect.ValueOf(t.Context())}
	for in := range fn.Type().Ins() {
		switch {
		case in == fn.Type().In(0), in == fn.Type().In(fn.Type().NumIn()-1):
		case in.Kind() == reflect.String:
			args = append(args, reflect.ValueOf(path[0]).Convert(in))
			path = path[1:]
		case in.Kind() == reflect.Pointer: // parameters of the query, of which the required ones are set
			p := reflect.New(in.Elem())
			for i := range p.Elem().NumField() {
				if tag := in.Elem().Field(i).Tag.Get("url"); !strings.Contains(tag, ",") && p.Elem().Field(i).Kind() == reflect.String {
					p.Elem().Field(i).SetString("a@example.com")
				}
			}
			args = append(args, p)
		default:
			v := reflect.New(in)
			if err := json.Unmarshal([]byte(body), v.Interface()); err != nil {
				t.Fatalf("%s: %v", body, err)
			}
			args = append(args, v.Elem())
		}
	}
	out := fn.Call(append(args, reflect.ValueOf(auth0.Capture(meta))))
	if err, _ := reflect.TypeAssert[error](out[len(out)-1]); err != nil {
		t.Errorf("%v: %s", err, meta.Body)
	}
	return meta
}

// knownNames returns the names of properties in the requests and answers about
// one thing.
func knownNames(t *testing.T, examples map[string]example) map[string]map[string]bool {
	t.Helper()
	known := make(map[string]map[string]bool)
	var collect func(v any, names map[string]bool)
	collect = func(v any, names map[string]bool) {
		switch v := v.(type) {
		case map[string]any:
			for k, e := range v {
				names[k] = true
				collect(e, names)
			}
		case []any:
			for _, e := range v {
				collect(e, names)
			}
		}
	}
	for op, e := range examples {
		first := strings.Split(op, "/")[1]
		if known[first] == nil {
			known[first] = make(map[string]bool)
		}
		for _, a := range slices.Concat(e.Answers, e.Bodies) {
			var v any
			if err := json.Unmarshal(a, &v); err != nil {
				t.Fatal(err)
			}
			collect(v, known[first])
		}
	}
	return known
}

// conforms checks an answer against the examples, one of which has to have a
// place for all that is in it. Names are enough where another answer about the
// same thing has them: the description joins types that are nearly the same.
func conforms(t *testing.T, op *operation, body []byte, answers []json.RawMessage, known map[string]bool) {
	t.Helper()
	var got any
	if err := json.Unmarshal(body, &got); err != nil {
		t.Errorf("%s: %v", op.id(), err)
		return
	}
	var problems []string
	for _, a := range answers {
		var want any
		if err := json.Unmarshal(a, &want); err != nil {
			t.Fatal(err)
		}
		what := foreign(got, want, known, "")
		if what == "" {
			return
		}
		problems = append(problems, what)
	}
	slices.Sort(problems)
	t.Errorf("%s: %s\n%v", op.id(), body, slices.Compact(problems))
}

// foreign says what a value has that an example of its type has not, "" for nothing.
func foreign(got, want any, known map[string]bool, at string) string {
	switch want := want.(type) {
	case nil:
	case map[string]any:
		if len(want) == 0 || len(want) == 1 && want["any"] != nil {
			return "" // of any form
		}
		doc, ok := got.(map[string]any)
		if !ok {
			return fmt.Sprintf("%s is %v", at, got)
		}
		for k, v := range doc {
			w := want[k]
			if len(want) == 1 && want["key"] != nil {
				w = want["key"]
			}
			if w == nil && !known[k] {
				return at + "." + k + " is unknown"
			}
			if what := foreign(v, w, known, at+"."+k); what != "" {
				return what
			}
		}
	case []any:
		list, ok := got.([]any)
		if !ok {
			return fmt.Sprintf("%s is %v", at, got)
		}
		for i, v := range list {
			if what := foreign(v, want[0], known, fmt.Sprintf("%s[%d]", at, i)); what != "" {
				return what
			}
		}
	case float64:
		if _, isText := got.(string); isText && strings.HasSuffix(at, ".user_id") {
			return "" // an id may be a number or a text
		}
		if _, ok := got.(float64); !ok {
			return fmt.Sprintf("%s is %v", at, got)
		}
	default:
		if reflect.TypeOf(got) != reflect.TypeOf(want) {
			return fmt.Sprintf("%s is %v", at, got)
		}
	}
	return ""
}

// Every body that Auth0's OpenAPI document allows is taken, but for bounds,
// which the examples do not know.
func TestExampleBodies(t *testing.T) {
	t.Parallel()
	d := readDescription()
	for _, s := range d.shapes {
		for i := range s.attributes {
			a := &s.attributes[i]
			a.min, a.max, a.bounded = 0, 0, false
		}
	}
	examples, count := readExamples(t), 0
	d.all(func(op *operation) {
		for _, body := range examples[op.id()].Bodies {
			c := call{body: body, op: op}
			v, bad := c.json()
			if bad != nil {
				t.Fatalf("%s: %s", op.id(), bad.body)
			}
			if op.body == "" {
				continue // a form
			}
			count++
			if w := d.check(v, &attribute{kind: op.body}); w != nil {
				t.Errorf("%s refuses %s: %s on %q", op.id(), body, w.what, w.property)
			}
		}
	})
	if count < 250 {
		t.Errorf("%d bodies", count)
	}
}

// Bodies that are nothing the operation takes are refused, and nothing else happens.
func TestNonsenseBodies(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{})
	describe().all(func(op *operation) {
		args := w.arguments(op)
		path := "/api/v2"
		for _, seg := range op.split {
			if isBrace(seg) {
				seg, args = url.PathEscape(args[0]), args[1:]
			}
			path += "/" + seg
		}
		for _, body := range []string{`null`, `"x"`, `7`, `{`, `{"nobody":["knows",{"this":null}]}`, `[[]]`, `[{"a":1}]`} {
			r := send(t, w, op.method, path+"?email=none%40example.com&resource_server_identifier=a&permission_name=a&role_id=a&user_id=a&identifier=a&enabled=true", body)
			switch s := describe().shapes[op.body]; {
			case r.status >= 500:
				t.Errorf("%s with %s: %d", op.id(), body, r.status)
			case s != nil && s.form == "type" && !s.extra && (!open(op.body) || body[0] != '{') && r.status != 400 && (r.status != 404 || !strings.Contains(op.path, "{")):
				t.Errorf("%s with %s: %d %s", op.id(), body, r.status, r.body)
			}
			if op.method == http.MethodDelete {
				return // done by the first
			}
		}
	})
}
