package auth0test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"
)

const connection = `"connection":"Username-Password-Authentication"`

// create creates a user and returns its document.
func create(t *testing.T, tenant *Tenant, fields string) map[string]any {
	t.Helper()
	r := send(t, tenant, "POST", "/api/v2/users", "{"+connection+","+fields+"}")
	if r.status != 201 {
		t.Fatalf("status %d: %s", r.status, r.body)
	}
	return r.doc(t)
}

// fails checks that a call is refused with a Management API error.
func fails(t *testing.T, r reply, status int, code string, words ...string) {
	t.Helper()
	doc := r.doc(t)
	if r.status != status || doc["statusCode"] != float64(status) || doc["error"] == "" {
		t.Errorf("status %d, body %s; want %d", r.status, r.body, status)
	}
	if got, _ := doc["errorCode"].(string); got != code {
		t.Errorf("errorCode %q, want %q", got, code)
	}
	for _, w := range words {
		if message, _ := doc["message"].(string); !strings.Contains(message, w) {
			t.Errorf("message %q does not say %q", message, w)
		}
	}
}

func TestCreateUser(t *testing.T) {
	t.Parallel()
	clock := newClock()
	tenant := mustTenant(t, Options{Clock: clock.Now, AnyToken: true})
	got := create(t, tenant, `"email":"Ada@Example.com","password":"s3cret-word","user_metadata":{"big":12345678901234567890},"app_metadata":{"plan":"free"},"blocked":true`)
	id, _ := got["user_id"].(string)
	if !strings.HasPrefix(id, "auth0|") || len(id) != len("auth0|")+24 {
		t.Errorf("user_id %q", id)
	}
	for name, want := range map[string]any{
		"email": "ada@example.com", "email_verified": false, "name": "ada@example.com", "nickname": "ada", "blocked": true,
		"created_at": "2023-02-03T19:30:00.000Z", "updated_at": "2023-02-03T19:30:00.000Z",
	} {
		if got[name] != want {
			t.Errorf("%s is %v, want %v", name, got[name], want)
		}
	}
	identities := fmt.Sprint(got["identities"])
	if identities != "[map[connection:Username-Password-Authentication isSocial:false provider:auth0 user_id:"+strings.TrimPrefix(id, "auth0|")+"]]" {
		t.Errorf("identities %s", identities)
	}
	r := send(t, tenant, "GET", "/api/v2/users/"+url.PathEscape(id), "")
	if r.status != 200 || !strings.Contains(r.body, `"big":12345678901234567890`) {
		t.Errorf("read back: %d %s", r.status, r.body)
	}
	if strings.Contains(r.body, "s3cret-word") || strings.Contains(r.body, "password") {
		t.Errorf("the password comes back: %s", r.body)
	}
	if got := create(t, tenant, `"email":"b@example.com","password":"x","user_id":"auth0|7","name":"B","email_verified":true`); got["user_id"] != "auth0|auth0|7" || got["name"] != "B" || got["email_verified"] != true {
		t.Errorf("user %v: the prefix is put before any id, and given fields are kept", got)
	}
	if got := create(t, tenant, `"username":"cleo","phone_number":"+491700000","password":"x"`); got["phone_verified"] != false || got["nickname"] != "cleo" || got["email_verified"] != nil {
		t.Errorf("user %v", got)
	}
}

func TestCreateUserConflicts(t *testing.T) {
	t.Parallel()
	tenant := mustTenant(t, Options{AnyToken: true, Connections: []Connection{{Name: DefaultConnection}, {Name: "other"}}})
	create(t, tenant, `"email":"a@example.com","username":"ann","user_id":"1","password":"x"`)
	for _, fields := range []string{
		`"email":"A@example.com","password":"x"`,
		`"email":"b@example.com","username":"Ann","password":"x"`,
		`"email":"c@example.com","user_id":"1","password":"x"`,
	} {
		fails(t, send(t, tenant, "POST", "/api/v2/users", "{"+connection+","+fields+"}"), 409, "auth0_idp_error", "The user already exists.")
	}
	if r := send(t, tenant, "POST", "/api/v2/users", `{"connection":"other","email":"a@example.com","password":"x"}`); r.status != 201 {
		t.Errorf("the same address in another connection: %d %s", r.status, r.body)
	}
	if got := tenant.Report().Users; got != 2 {
		t.Errorf("%d users, want 2", got)
	}
}

func TestCreateUserRefusesBadPayloads(t *testing.T) {
	t.Parallel()
	tenant := mustTenant(t, Options{AnyToken: true, Connections: []Connection{{Name: DefaultConnection}, {Name: "sms", Strategy: "sms"}}})
	secret := "hunter2-hunter2"
	for _, tt := range []struct {
		body, code string
		words      []string
	}{
		{`{"email":`, "", []string{"JSON"}},
		{`{} {}`, "", []string{"JSON"}},
		{`[]`, "invalid_body", []string{"object", "array"}},
		{`{"email":"a@example.com"}`, "invalid_body", []string{"Missing required property: connection"}},
		{`{"connection":7}`, "invalid_body", []string{"Expected type string but found type integer", "connection"}},
		{`{"connection":"nowhere","email":"a@example.com"}`, "inexistent_connection", []string{"does not exist"}},
		{`{"connection":"sms","email":"a@example.com"}`, "invalid_body", []string{"phone_number"}},
		{`{` + connection + `}`, "invalid_body", []string{"email"}},
		{`{` + connection + `,"email":"a@example.com"}`, "invalid_body", []string{"Missing required property: password"}},
		{`{` + connection + `,"email":"` + secret + `","password":"x"}`, "invalid_body", []string{"email"}},
		{`{` + connection + `,"email":7,"password":"x"}`, "invalid_body", []string{"on property email"}},
		{`{` + connection + `,"email":null,"password":"x"}`, "invalid_body", []string{"found type null", "email"}},
		{`{` + connection + `,"email":"a@example.com","password":""}`, "invalid_body", []string{"password"}},
		{`{` + connection + `,"email":"a@example.com","password":["` + secret + `"]}`, "invalid_body", []string{"found type array", "password"}},
		{`{` + connection + `,"email":"a@example.com","password":"x","blocked":"no"}`, "invalid_body", []string{"boolean", "blocked"}},
		{`{` + connection + `,"email":"a@example.com","password":"x","app_metadata":[]}`, "invalid_body", []string{"object", "app_metadata"}},
		{`{` + connection + `,"email":"a@example.com","password":"x","given_name":""}`, "invalid_body", []string{"too short", "given_name"}},
		{`{` + connection + `,"email":"a@example.com","password":"x","given_name":"` + strings.Repeat("é", 151) + `"}`, "invalid_body", []string{"too long", "given_name"}},
		{`{` + connection + `,"email":"a@example.com","password":"x","phone_number":"0170"}`, "invalid_body", []string{"pattern", "phone_number"}},
		{`{` + connection + `,"email":"a@example.com","password":"x","picture":"nowhere"}`, "invalid_body", []string{"strict-uri", "picture"}},
		{`{` + connection + `,"email":"a@example.com","password":"x","user_id":"a b"}`, "invalid_body", []string{"pattern", "user_id"}},
		{`{` + connection + `,"email":"a@example.com","password":"x","nick":"A"}`, "invalid_body", []string{"nick"}},
	} {
		r := send(t, tenant, "POST", "/api/v2/users", tt.body)
		fails(t, r, 400, tt.code, tt.words...)
		if strings.Contains(r.body, secret) {
			t.Errorf("%s comes back: %s", secret, r.body)
		}
	}
	if got := tenant.Report().Users; got != 0 {
		t.Errorf("%d users were created", got)
	}
	if r := send(t, tenant, "POST", "/api/v2/users", `{"connection":"sms","phone_number":"+491700000"}`); r.status != 201 || r.doc(t)["user_id"].(string)[:4] != "sms|" {
		t.Errorf("a passwordless user: %d %s", r.status, r.body)
	}
}

func TestUpdateUser(t *testing.T) {
	t.Parallel()
	clock := newClock()
	tenant := mustTenant(t, Options{Clock: clock.Now, AnyToken: true})
	create(t, tenant, `"email":"taken@example.com","password":"x"`)
	create(t, tenant, `"email":"a@example.com","password":"x","user_id":"1","email_verified":true,"given_name":"A","user_metadata":{"keep":1,"drop":2,"deep":{"x":1}},"username":"ann"`)
	const path = "/api/v2/users/auth0%7C1"
	clock.set(time.Second)
	r := send(t, tenant, "PATCH", path, `{"user_metadata":{"drop":null,"deep":{"y":2}},"given_name":null,"email":"New@example.com","password":"y","connection":"Username-Password-Authentication"}`)
	doc := r.doc(t)
	if r.status != 200 || fmt.Sprint(doc["user_metadata"]) != "map[deep:map[y:2] keep:1]" {
		t.Errorf("status %d, metadata %v: merged at the first level only", r.status, doc["user_metadata"])
	}
	if _, there := doc["given_name"]; there || doc["email"] != "new@example.com" || doc["email_verified"] != false || doc["updated_at"] != "2023-02-03T19:30:01.000Z" || doc["created_at"] != "2023-02-03T19:30:00.000Z" || doc["password"] != nil {
		t.Errorf("user %v", doc)
	}
	if r := send(t, tenant, "PATCH", path, `{"app_metadata":{"a":1}}`); fmt.Sprint(r.doc(t)["app_metadata"]) != "map[a:1]" {
		t.Errorf("app_metadata of a user without any: %s", r.body)
	}
	if r := send(t, tenant, "PATCH", path, `{"user_metadata":null}`); r.doc(t)["user_metadata"] != nil {
		t.Errorf("cleared metadata: %s", r.body)
	}
	fails(t, send(t, tenant, "PATCH", path, `{"email":"taken@example.com"}`), 400, "auth0_idp_error", "email", "already exists")
	fails(t, send(t, tenant, "PATCH", path, `{"email":7}`), 400, "invalid_body", "email")
	fails(t, send(t, tenant, "PATCH", "/api/v2/users/auth0%7C2", `{}`), 404, "inexistent_user", "The user does not exist.")
	// The old address is free, the new one is not.
	create(t, tenant, `"email":"a@example.com","password":"x"`)
	fails(t, send(t, tenant, "POST", "/api/v2/users", "{"+connection+`,"email":"new@example.com","password":"x"}`), 409, "auth0_idp_error")
}

func TestDeleteUser(t *testing.T) {
	t.Parallel()
	tenant := mustTenant(t, Options{AnyToken: true})
	create(t, tenant, `"email":"a@example.com","password":"x","user_id":"1"`)
	create(t, tenant, `"email":"b@example.com","password":"x","user_id":"2"`)
	for range 2 { // the second time there is nobody, and the answer is the same
		if r := send(t, tenant, "DELETE", "/api/v2/users/auth0%7C1", ""); r.status != 204 || r.body != "" {
			t.Errorf("%d %q", r.status, r.body)
		}
	}
	if r := send(t, tenant, "GET", "/api/v2/users/auth0%7C2", ""); r.status != 200 {
		t.Errorf("another user: %d", r.status)
	}
	create(t, tenant, `"email":"a@example.com","password":"x","user_id":"1"`) // id and address are free
}

func TestUserIDsWithOddCharacters(t *testing.T) {
	t.Parallel()
	tenant := mustTenant(t, Options{AnyToken: true})
	for i, id := range []string{"a/b", "a|b", "ü", "a.b", "a%2Fb", "a+b", "..", "a?b#c"} {
		create(t, tenant, fmt.Sprintf(`"email":"u%d@example.com","password":"x","user_id":%q`, i, id))
		path := "/api/v2/users/" + url.PathEscape("auth0|"+id)
		if r := send(t, tenant, "GET", path, ""); r.status != 200 || r.doc(t)["user_id"] != "auth0|"+id {
			t.Errorf("%s: %d %s", path, r.status, r.body)
		}
		if r := send(t, tenant, "DELETE", path, ""); r.status != 204 {
			t.Errorf("DELETE %s: %d", path, r.status)
		}
		fails(t, send(t, tenant, "GET", path, ""), 404, "inexistent_user")
	}
	if got := tenant.Report().Users; got != 0 {
		t.Errorf("%d users are left", got)
	}
}

func TestListUsers(t *testing.T) {
	t.Parallel()
	clock := newClock()
	tenant := mustTenant(t, Options{Clock: clock.Now, AnyToken: true})
	for i := range 120 {
		clock.set(time.Duration(i) * time.Second)
		create(t, tenant, fmt.Sprintf(`"email":"user%03d@example.com","password":"x","given_name":"N%d","app_metadata":{"tier":"t%d"},"email_verified":%v`, i, 119-i, i%3, i < 10))
	}
	emails := func(body string) []string {
		t.Helper()
		var list []map[string]any
		if err := json.Unmarshal([]byte(body), &list); err != nil {
			t.Fatalf("%s: %v", body, err)
		}
		out := make([]string, len(list))
		for i, u := range list {
			out[i], _ = u["email"].(string)
		}
		return out
	}
	for _, tt := range []struct {
		query       string
		n           int
		first, last string
	}{
		{"", 50, "user000", "user049"},
		{"page=1", 50, "user050", "user099"},
		{"page=2", 20, "user100", "user119"},
		{"page=1&per_page=100", 20, "user100", "user119"},
		{"page=3", 0, "", ""},
		{"per_page=2&sort=created_at:-1", 2, "user119", "user118"},
		{"per_page=2&sort=email:1", 2, "user000", "user001"},
		{`q=email:"user007@example.com"`, 1, "user007", "user007"},
		{`q=email:USER007@example.com`, 1, "user007", "user007"},
		{`q=email:user00*`, 10, "user000", "user009"},
		{`q=email:user0* AND app_metadata.tier:t1&per_page=100`, 33, "user001", "user097"},
		{`q=email_verified:true AND app_metadata.tier:"t0"`, 4, "user000", "user009"},
		{`q=identities.connection:"Username-Password-Authentication"&per_page=1`, 1, "user000", "user000"},
		{`q=email:nobody@example.com`, 0, "", ""},
		{`connection=other`, 0, "", ""},
		{`q=email:user007* OR email:"user009@example.com"`, 2, "user007", "user009"},
		{`q=email:(user003@example.com OR user001@example.com)`, 2, "user001", "user003"},
		{`q=(email:user00* AND NOT given_name:N119) AND app_metadata.tier:t0`, 3, "user003", "user009"},
		{`q=created_at:["2023-02-03T19:31:58.000Z" TO *]`, 2, "user118", "user119"},
		{`q=created_at:{"2023-02-03T19:31:58.000Z" TO "2023-02-03T19:32:00.000Z"}`, 1, "user119", "user119"},
		{`q=_exists_:username`, 0, "", ""},
		{`q=-email:user0* AND -email:user10*`, 10, "user110", "user119"},
	} {
		r := send(t, tenant, "GET", "/api/v2/users?"+strings.ReplaceAll(strings.ReplaceAll(tt.query, " ", "%20"), `"`, "%22"), "")
		got := emails(r.body)
		if len(got) != tt.n || tt.n > 0 && (!strings.HasPrefix(got[0], tt.first) || !strings.HasPrefix(got[len(got)-1], tt.last)) {
			t.Errorf("%q: %d users, %v; want %d from %s to %s", tt.query, len(got), got, tt.n, tt.first, tt.last)
		}
	}
	doc := send(t, tenant, "GET", "/api/v2/users?page=2&per_page=50&include_totals=true", "").doc(t)
	if doc["start"] != 100.0 || doc["limit"] != 50.0 || doc["length"] != 20.0 || doc["total"] != 120.0 || len(doc["users"].([]any)) != 20 {
		t.Errorf("totals: start %v, limit %v, length %v, total %v", doc["start"], doc["limit"], doc["length"], doc["total"])
	}
	var picked []map[string]any
	if err := json.Unmarshal([]byte(send(t, tenant, "GET", "/api/v2/users?per_page=1&fields=email,user_id", "").body), &picked); err != nil || len(picked[0]) != 2 {
		t.Errorf("fields: %v %v", picked, err)
	}
	picked = nil
	if err := json.Unmarshal([]byte(send(t, tenant, "GET", "/api/v2/users?per_page=1&fields=email,user_id&include_fields=false", "").body), &picked); err != nil || picked[0]["email"] != nil || picked[0]["name"] == nil {
		t.Errorf("fields left out: %v %v", picked, err)
	}
	for query, code := range map[string]string{
		"per_page=101":           "invalid_query_string",
		"page=-1":                "invalid_query_string",
		"page=x":                 "invalid_query_string",
		"page=10&per_page=100":   "invalid_paging",
		"page=20":                "invalid_paging",
		"q=user":                 "invalid_query_string",
		"q=created_at:%5Ba+TO+b": "invalid_query_string",
		"q=email:%22a":           "invalid_query_string",
	} {
		fails(t, send(t, tenant, "GET", "/api/v2/users?"+query, ""), 400, code)
	}
	if r := send(t, tenant, "GET", "/api/v2/users?page=9&per_page=100", ""); r.status != 200 {
		t.Errorf("the last page below the ceiling: %d", r.status)
	}
}

func TestUsersByEmail(t *testing.T) {
	t.Parallel()
	tenant := mustTenant(t, Options{AnyToken: true, Connections: []Connection{{Name: DefaultConnection}, {Name: "other"}}})
	create(t, tenant, `"email":"a@example.com","password":"x"`)
	send(t, tenant, "POST", "/api/v2/users", `{"connection":"other","email":"a@example.com","password":"x"}`)
	for query, want := range map[string]int{"email=A%40example.com": 2, "email=b%40example.com": 0} {
		var list []any
		if err := json.Unmarshal([]byte(send(t, tenant, "GET", "/api/v2/users-by-email?"+query, "").body), &list); err != nil || len(list) != want {
			t.Errorf("%s: %v %v, want %d", query, list, err, want)
		}
	}
	fails(t, send(t, tenant, "GET", "/api/v2/users-by-email", ""), 400, "invalid_query_string", "email")
}

func TestConnections(t *testing.T) {
	t.Parallel()
	tenant := mustTenant(t, Options{AnyToken: true, Connections: []Connection{{Name: DefaultConnection}, {ID: "con_0000000000000001", Name: "mail", Strategy: "email"}}})
	names := func(query string) (all []string) {
		var list []map[string]any
		if err := json.Unmarshal([]byte(send(t, tenant, "GET", "/api/v2/connections?"+query, "").body), &list); err != nil {
			t.Fatal(err)
		}
		for _, c := range list {
			all = append(all, c["name"].(string)+" "+c["strategy"].(string))
		}
		return all
	}
	for query, want := range map[string]string{
		"": "[Username-Password-Authentication auth0 mail email]", "name=mail": "[mail email]", "name=none": "[]",
		"strategy=auth0": "[Username-Password-Authentication auth0]", "strategy=auth0&strategy=email&per_page=1&page=1": "[mail email]",
	} {
		if got := fmt.Sprint(names(query)); got != want {
			t.Errorf("%q: %s, want %s", query, got, want)
		}
	}
	if r := send(t, tenant, "GET", "/api/v2/connections/con_0000000000000001", ""); r.status != 200 || r.doc(t)["name"] != "mail" {
		t.Errorf("by id: %d %s", r.status, r.body)
	}
	doc := send(t, tenant, "GET", "/api/v2/connections?include_totals=true", "").doc(t)
	if id := doc["connections"].([]any)[0].(map[string]any)["id"].(string); len(id) != 20 || !strings.HasPrefix(id, "con_") {
		t.Errorf("a made-up id: %q", id)
	}
	fails(t, send(t, tenant, "GET", "/api/v2/connections/con_x", ""), 404, "inexistent_connection")
}
