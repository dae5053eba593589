package ratelimit

import (
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

// fields is a request's body by field name. Names with "token " in front are
// claims of the token, "ip" is the address.
type fields map[string]string

func (f fields) BodyField(name string) string  { return f[name] }
func (f fields) TokenClaim(name string) string { return f["token "+name] }
func (f fields) ClientIP() string              { return f["ip"] }

// concrete puts identifiers into the braces of a path.
func concrete(path string) string {
	return regexp.MustCompile(`\{[^}]*\}`).ReplaceAllString(path, "auth0%7Cab%2F12")
}

// tableNames returns the page's names of the buckets of a plan's own table.
func tableNames(p *Plan, r Route) []string {
	var names []string
	for _, i := range r.Buckets[:r.N] {
		if b := &p.Buckets[i]; !b.OtherPage {
			names = append(names, pageName(b.Name))
		}
	}
	slices.Sort(names)
	return names
}

// TestRouteOperations checks the buckets of all 469 operations of the Management
// API and of the 150 endpoints of the published Authentication API list against
// expectations made from the published rows, by path and by template.
func TestRouteOperations(t *testing.T) {
	t.Parallel()
	for file, count := range map[string]int{"management.tsv": 469, "authentication.tsv": 150} {
		rows := readTable(t, file)
		if len(rows) != count {
			t.Fatalf("%s: %d rows, want %d", file, len(rows), count)
		}
		for _, row := range rows {
			for i, name := range []string{"enterprise", "essentials-professional", "free"} {
				p := mustPlan(t, name)
				want := strings.Split(row[2+i], "|")
				for _, r := range []*Request{
					{Method: row[0], Path: concrete(row[1])},
					{Method: row[0], Path: concrete(row[1]), Template: row[1]},
					{Method: row[0], Template: row[1]},
				} {
					route := p.Route(r)
					if got := tableNames(p, route); !slices.Equal(got, want) {
						t.Errorf("%s: %s %s (template %q): %q, want %q", name, row[0], r.Path, r.Template, got, want)
					}
					if r.Template != "" && route.Template != r.Template {
						t.Errorf("%s %s: template %q came back as %q", row[0], row[1], r.Template, route.Template)
					}
				}
			}
		}
	}
}

// TestRouteGlobals checks, for every plan, which operations draw from the buckets
// of a whole API, and that these come first.
func TestRouteGlobals(t *testing.T) {
	t.Parallel()
	operations, endpoints := readTable(t, "management.tsv"), readTable(t, "authentication.tsv")
	for _, name := range append(Names(), "auto") {
		p := mustPlan(t, name)
		for _, row := range operations {
			got := drawsFrom(p, row[0]+" "+concrete(row[1]), nil)
			switch {
			case len(got) == 0:
				t.Errorf("%s: %s %s: no bucket", name, row[0], row[1])
			case name == "essentials-professional":
				if slices.Contains(got, "Management API") || slices.Contains(got, "All other Endpoints Combined") && slices.ContainsFunc(got, func(n string) bool {
					return n != "All other Endpoints Combined" && n != "Import jobs"
				}) {
					t.Errorf("%s: %s %s: %q", name, row[0], row[1], got)
				}
			case got[0] != "Management API":
				t.Errorf("%s: %s %s: %q, want the Management API first", name, row[0], row[1], got)
			}
			if slices.Contains(got, "Import jobs") != (row[1] == "/api/v2/jobs/users-imports") {
				t.Errorf("%s: %s %s: %q", name, row[0], row[1], got)
			}
		}
		for _, row := range endpoints {
			got := drawsFrom(p, row[0]+" "+concrete(row[1]), nil)
			if p.Superseded {
				if len(got) != 0 {
					t.Errorf("%s: %s %s: %q, want none", name, row[0], row[1], got)
				}
				continue
			}
			if len(got) == 0 || got[0] != "Authentication API" {
				t.Errorf("%s: %s %s: %q, want the Authentication API first", name, row[0], row[1], got)
			}
			hasPrompts := name != "free" && strings.HasPrefix(row[1], "/u/")
			if hasPrompts && (len(got) < 2 || got[1] != "Universal login prompts (global)") {
				t.Errorf("%s: %s %s: %q, want the login prompts second", name, row[0], row[1], got)
			}
		}
	}
}

func TestRouteByBody(t *testing.T) {
	t.Parallel()
	const exchange = "urn:ietf:params:oauth:grant-type:token-exchange"
	const api, nativeRow, nativePage = "Authentication API", "Native Social Login (Apple / Facebook Only)", "Native Social Login [its own page]"
	enterprise, free, cloud := mustPlan(t, "enterprise"), mustPlan(t, "free"), mustPlan(t, "private-cloud-100")
	for _, tt := range []struct {
		plan *Plan
		body fields
		want []string
	}{
		{enterprise, nil, []string{api}},
		{enterprise, fields{"grant_type": "client_credentials"}, []string{api}},
		{free, fields{"grant_type": "client_credentials"}, []string{api, "Get Token"}},
		{enterprise, fields{"grant_type": "password", "username": "a"}, []string{api, "Logins of one user"}},
		{enterprise, fields{"grant_type": "http://auth0.com/oauth/grant-type/password-realm"}, []string{api, "Logins of one user"}},
		{enterprise, fields{"grant_type": "http://auth0.com/oauth/grant-type/mfa-oob"}, []string{api, "MFA OOB token exchange"}},
		{enterprise, fields{"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer"}, []string{api, "Cross App Access (ID-JAG exchange)"}},
		{enterprise, fields{"grant_type": exchange}, []string{api}},
		{enterprise, fields{"subject_token_type": "https://acme.example/token"}, []string{api}},
		{enterprise, fields{"grant_type": exchange, "subject_token_type": "https://acme.example/token"}, []string{api, "Custom Token Exchange"}},
		{enterprise, fields{"grant_type": exchange, "subject_token_type": "https://auth0.com/x"}, []string{api}},
		{enterprise, fields{"grant_type": exchange, "subject_token_type": "urn:okta:x"}, []string{api}},
		{enterprise, fields{"grant_type": exchange, "subject_token_type": "urn:acme:x"}, []string{api, "Custom Token Exchange"}},
		{enterprise, fields{"grant_type": exchange, "subject_token_type": "http://auth0.com/oauth/token-type/apple-authz-code"}, []string{api, nativeRow, nativePage}},
		{enterprise, fields{"grant_type": exchange, "subject_token_type": "http://auth0.com/oauth/token-type/facebook-info-session-access-token"}, []string{api, nativeRow, nativePage}},
		{free, fields{"grant_type": exchange, "subject_token_type": "http://auth0.com/oauth/token-type/apple-authz-code"}, []string{api, "Get Token", "Native Social Login", nativePage}},
		{
			enterprise, fields{"grant_type": exchange, "subject_token_type": "urn:ietf:params:oauth:token-type:access_token"}, []string{api},
		},
		{
			enterprise, fields{
				"grant_type": exchange, "subject_token_type": "urn:ietf:params:oauth:token-type:access_token",
				"requested_token_type": "urn:ietf:params:oauth:token-type:access_token",
			}, []string{api, "On-Behalf-Of Token Exchange"},
		},
		{
			cloud, fields{"grant_type": "urn:auth0:params:oauth:grant-type:token-exchange:federated-connection-access-token"},
			[]string{api, "Token Vault (Connected Accounts and token exchange)"},
		},
	} {
		if got := drawsFrom(tt.plan, "POST /oauth/token", tt.body); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v: %q, want %q", tt.plan.Name, tt.body, got, tt.want)
		}
	}
}

// TestRouteByScope: tokens of single-page applications, in the older plans.
func TestRouteByScope(t *testing.T) {
	t.Parallel()
	p := mustPlan(t, "may-2020/self-service")
	get := "GET /api/v2/users/auth0%7C1"
	wantDraws(t, p, get, nil, "Management API", "Read users")
	wantDraws(t, p, get, fields{"token scope": "read:users read:current_user_x"}, "Management API", "Read users")
	wantDraws(t, p, get, fields{"token scope": "openid read:current_user"}, "Management API", "Read users", "SPA current_user tokens")
	wantDraws(t, p, "GET /api/v2/users/auth0%7C1/enrollments", fields{"token scope": "read:current_user"}, "Management API", "SPA current_user tokens")
	wantDraws(t, p, "GET /api/v2/users/auth0%7C1/enrollments", nil, "Management API", "All other endpoints combined")
}

func TestRouteOtherAPIs(t *testing.T) {
	t.Parallel()
	p := mustPlan(t, "enterprise")
	for request, want := range map[string][]string{
		"GET /scim/v2/connections/con_1/Users":      {"Global tenant limit for all SCIM connections", "Single SCIM connection endpoint"},
		"POST /scim/v2/connections/con_1":           {"Global tenant limit for all SCIM connections", "Single SCIM connection endpoint"},
		"GET /my-org/v1/members":                    {"My Organization reads", "My Organization reads [per organization]"},
		"PUT /my-org/v1/identity-providers/x/y":     {"My Organization writes", "My Organization writes [per organization]"},
		"DELETE /me/v1/authentication-methods/x":    {"Write Authentication Methods", "Write Authentication Methods [per user]"},
		"POST /otp/challenge":                       {"Authentication API", "One-time password challenge"},
		"GET /self-service/connection-flows?ticket": {"Authentication API", "Self-service web app [per tenant]", "Self-service web app [per address]", "Self-service ticket"},
		"GET /api/v2/clients?per_page=1&q=x":        {"Management API", "Read Clients (q)"},
		"GET /api/v2/clients?%71=x":                 {"Management API", "Read Clients (q)"},
		"GET /api/v2/clients?query=x&aq=1":          {"Management API"},
		"HEAD /api/v2/organizations":                {"Management API", "Read Organizations"},
		" /api/v2/organizations":                    {"Management API", "Read Organizations"},
		"OPTIONS /api/v2/organizations":             {"Management API"},
		"GET /me/v1/unknown":                        nil,
		"GET /scim/v1":                              nil,
		"GET ":                                      {"Authentication API"},
	} {
		wantDraws(t, p, request, nil, want...)
	}
}

// TestRouteSpelling: no spelling of a path escapes its bucket, and an encoded
// slash makes no segment.
func TestRouteSpelling(t *testing.T) {
	t.Parallel()
	p := mustPlan(t, "essentials")
	for path, want := range map[string]string{
		"/api/v2/users":                  "Read Users",
		"/api/v2/users/":                 "Read Users",
		"//api//v2///users//":            "Read Users",
		"/api/v2/./users/.":              "Read Users",
		"/api/v2/roles/../users":         "Read Users",
		"/../api/v2/users":               "Read Users",
		"/api/v2/roles/%2e%2E/users":     "Read Users",
		"/api/v2/roles/.%2e/%2E/users":   "Read Users",
		"/api/%76%32/%75sers":            "Read Users",
		"/api/v2/users/auth0%7C1":        "Read Users",
		"/api/v2/users/a%2Fb":            "Read Users",
		"/api/v2/users/..":               "All other Endpoints Combined",
		"/api/v2/users%2Fa":              "All other Endpoints Combined",
		"/api/v2/users%2":                "All other Endpoints Combined",
		"/api/v2/Users":                  "All other Endpoints Combined",
		"/api/v2":                        "All other Endpoints Combined",
		"/api/v2/users/a/b/c/d/e/f/g/h":  "All other Endpoints Combined",
		"/me/v1/../../api/v2/users/x%7C": "Read Users",
		"/API/v2/users":                  "Authentication API",
		"/":                              "Authentication API",
		"":                               "Authentication API",
		"/api/v2/../..":                  "Authentication API",
	} {
		wantDraws(t, p, "GET "+path, nil, want)
	}
	// A path that no pattern begins with can still lead back.
	own, err := Parse("plan x\n[m]\nA  1  1/s  tenant  GET /a/b\n")
	if err != nil {
		t.Fatal(err)
	}
	wantDraws(t, own, "GET /c/../a/b", nil, "A")
	wantDraws(t, own, "GET /c/%2e./a/b", nil, "A")
	wantDraws(t, own, "GET /c/a/b", nil)
}

func TestRouteTemplate(t *testing.T) {
	t.Parallel()
	p := mustPlan(t, "essentials")
	for _, tt := range []struct {
		request Request
		want    string
	}{
		{Request{Method: "GET", Path: "/api/v2/users/auth0%7C1"}, "/api/v2/users/{id}"},
		{Request{Method: "GET", Path: "/api/v2/organizations/name/acme"}, "/api/v2/organizations/name/{name}"},
		{Request{Method: "GET", Path: "/api/v2/roles/1/users"}, "/api/v2/*"},
		{Request{Method: "PUT", Path: "/api/v2/users/1"}, "/api/v2/*"},
		{Request{Method: "GET", Path: "/api/v2/roles/1/users", Template: "/api/v2/roles/{id}/users"}, "/api/v2/roles/{id}/users"},
		{Request{Method: "GET", Path: "/u/login"}, "/u/{prompt}"},
		{Request{Method: "GET", Path: "/authorize"}, "/*"},
		{Request{Method: "GET", Path: "/me/v1/x"}, ""},
		{Request{Method: "GET", Path: "/me/v1/x", Template: "/me/v1/{x}"}, "/me/v1/{x}"},
		// A template that no bucket knows does not hide the path.
		{Request{Method: "GET", Path: "/api/v2/users/1", Template: "/me/what"}, "/me/what"},
	} {
		if got := p.Route(&tt.request).Template; got != tt.want {
			t.Errorf("%+v: template %q, want %q", tt.request, got, tt.want)
		}
	}
	r := p.Route(&Request{Method: "GET", Path: "/api/v2/users/1", Template: "/me/what"})
	if got := tableNames(p, r); !slices.Equal(got, []string{"Read Users"}) {
		t.Errorf("unknown template: %q", got)
	}
}

// TestRouteOrder: whole APIs, catch-alls, endpoints; each from wide to narrow.
func TestRouteOrder(t *testing.T) {
	t.Parallel()
	p, err := Parse("plan x\n[m]\nliteral  1  1/s  tenant  GET /x/y\nparameter  1  1/s  tenant  GET /x/{id}\nrest  1  1/s  tenant  GET /x/y/*\n" +
		"[n]\nothers  1  1/s  tenant  catch-all * /x/*\nall  1  1/s  tenant  global * /*\n")
	if err != nil {
		t.Fatal(err)
	}
	wantDraws(t, p, "GET /x/y", nil, "all", "others", "parameter", "rest", "literal")
	if r := p.Route(&Request{Method: "GET", Path: "/x/y"}); r.Template != "/x/y" {
		t.Errorf("template %q, want that of the narrowest", r.Template)
	}
}

// keysOf returns the keys of a request by bucket.
func keysOf(p *Plan, r *Request) map[string]uint64 {
	route := p.Route(r)
	keys := map[string]uint64{}
	for i, b := range route.Buckets[:route.N] {
		keys[p.Buckets[b].Name] = route.Keys[i]
	}
	return keys
}

// TestRouteKeys: equal identities share a key and others do not, of whatever
// kind; a counter of the tenant has key 0.
func TestRouteKeys(t *testing.T) {
	t.Parallel()
	p := mustPlan(t, "enterprise")
	password := func(f fields) *Request {
		return &Request{Method: "POST", Path: "/dbconnections/change_password", Details: f}
	}
	get := func(path, query string, d Details) *Request {
		return &Request{Method: "GET", Path: path, RawQuery: query, Details: d}
	}
	post := func(path string, d Details) *Request { return &Request{Method: "POST", Path: path, Details: d} }
	ip := fields{"ip": "192.0.2.1"}
	oob := func(token string) Details {
		return fields{"grant_type": "http://auth0.com/oauth/grant-type/mfa-oob", "mfa_token": token}
	}
	login := func(user string) Details { return fields{"grant_type": "password", "username": user} }
	for _, tt := range []struct {
		bucket string
		a, b   *Request
		same   bool
	}{
		{"Change Password", password(fields{"email": "a@b.c"}), password(fields{"email": "A@B.c"}), true},
		{"Change Password", password(fields{"email": "a@b.c"}), password(fields{"email": "x@b.c"}), false},
		{"Change Password", password(fields{"email": "a@b.c"}), password(fields{"email": "a@b.c", "ip": "192.0.2.1"}), false},
		{"Change Password", password(fields{"email": "a", "ip": "b"}), password(fields{"email": "b", "ip": "a"}), false},
		{"Change Password", password(nil), password(fields{}), true},
		{"Get Passwordless Code or Link", get("/passwordless/start", "", nil), get("/passwordless/start", "", ip), false},
		{"Get Passwordless Code or Link", post("/passwordless/start", ip), get("/passwordless/start", "", ip), true},
		{"User Info", get("/userinfo", "", fields{"token sub": "auth0|1"}), post("/userinfo", fields{"token sub": "auth0|1"}), true},
		{"User Info", get("/userinfo", "", fields{"token sub": "auth0|1"}), get("/userinfo", "", fields{"token sub": "auth0|2"}), false},
		{"User Info", get("/userinfo", "", nil), get("/userinfo", "", fields{"token sub": "auth0|2"}), false},
		{"MFA OOB token exchange", post("/oauth/token", oob("x")), post("/oauth/token", oob("x")), true},
		{"MFA OOB token exchange", post("/oauth/token", oob("x")), post("/oauth/token", oob("y")), false},
		{"Logins of one user", post("/oauth/token", login("x")), post("/oauth/token", login("y")), false},
		{"Logins of one user", post("/oauth/token", login("x")), post("/co/authenticate", fields{"username": "X"}), true},
		{"Single SCIM connection endpoint", get("/scim/v2/connections/con_1/Users", "", nil), get("//scim/v2/connections/con_1", "", nil), true},
		{"Single SCIM connection endpoint", get("/scim/v2/connections/con_1/Users", "", nil), get("/scim/v2/connections/%63on_1/Users", "", nil), true},
		{"Single SCIM connection endpoint", get("/scim/v2/connections/con_1/Users", "", nil), get("/scim/v2/x/../connections/con_1/Users", "", nil), true},
		{"Single SCIM connection endpoint", get("/scim/v2/connections/con_1/Users", "", nil), get("/scim/v2/connections/con_2/Users", "", nil), false},
		{
			"Single SCIM connection endpoint", get("/scim/v2/connections/con_1/Users", "", nil),
			&Request{Method: "GET", Path: "/scim/v2/connections/con_1/Users", Template: "/scim/v2/connections/{connection-id}/Users"}, true,
		},
		{"Universal login prompts (per prompt) [GET]", get("/u/login", "state=a", nil), get("/u/login", "x=1&state=a&y", nil), true},
		{"Universal login prompts (per prompt) [GET]", get("/u/login", "state=a%20b", nil), get("/u/login", "state=a+b", nil), true},
		{"Universal login prompts (per prompt) [GET]", get("/u/login", "state=a", nil), get("/u/login", "state=b", nil), false},
		{"Universal login prompts (per prompt) [GET]", get("/u/login", "state=a", nil), get("/u/consent", "state=a", nil), false},
		{"Universal login prompts (per prompt) [POST]", post("/u/login", nil), post("/u/login/", nil), true},
		{"Universal login prompts (per prompt) [POST]", post("/u/login", nil), post("/u/consent", nil), false},
		{"Universal login prompts (per prompt) [POST]", post("/u/login", nil), post("/u/login", ip), false},
		{"Universal login prompts (global)", post("/u/login", nil), post("/u/consent", nil), true},
		{"My Organization reads [per organization]", get("/my-org/v1/members", "", fields{"token org_id": "a"}), get("/my-org/v1/config", "", fields{"token org_id": "a"}), true},
		{"My Organization reads [per organization]", get("/my-org/v1/members", "", fields{"token org_id": "a"}), get("/my-org/v1/members", "", fields{"token org_id": "b"}), false},
	} {
		a, aOK := keysOf(p, tt.a)[tt.bucket]
		b, bOK := keysOf(p, tt.b)[tt.bucket]
		switch {
		case !aOK || !bOK:
			t.Errorf("%s: not drawn from by %+v (%v) or %+v (%v)", tt.bucket, tt.a, aOK, tt.b, bOK)
		case a == 0 || b == 0:
			t.Errorf("%s: key 0 for %+v or %+v", tt.bucket, tt.a, tt.b)
		case (a == b) != tt.same:
			t.Errorf("%s: %+v and %+v: keys %x and %x, want same %v", tt.bucket, tt.a, tt.b, a, b, tt.same)
		}
		for name, key := range keysOf(p, tt.a) {
			if bucket, err := p.find(name); err != nil || (key == 0) != (bucket.Key == KeyTenant) {
				t.Errorf("%s: key %x of a bucket counted by %v", name, key, bucket.Key)
			}
		}
	}
}

// TestRouteEvents: what multi-factor authentication counts is no request.
func TestRouteEvents(t *testing.T) {
	t.Parallel()
	events := 0
	for _, b := range mustPlan(t, "enterprise").Buckets {
		for _, m := range b.Matches {
			if m.Event != "" {
				events++
				wantDraws(t, mustPlan(t, "enterprise"), "POST /"+m.Event, nil, "Authentication API")
			}
		}
	}
	if events != 7 {
		t.Errorf("%d events, want 7", events)
	}
}

// TestRouteAllocations: nothing is allocated where no body is read.
func TestRouteAllocations(t *testing.T) {
	p := mustPlan(t, "enterprise")
	for _, r := range benchmarkRequests() {
		p.Route(&r)
		if n := testing.AllocsPerRun(100, func() { p.Route(&r) }); n != 0 {
			t.Errorf("%s %s?%s: %v allocations", r.Method, r.Path, r.RawQuery, n)
		}
	}
}

// TestRouteConcurrently: the first calls may come from several goroutines.
func TestRouteConcurrently(t *testing.T) {
	t.Parallel()
	p, err := mustPlan(t, "enterprise").With()
	if err != nil {
		t.Fatal(err)
	}
	fresh := &Plan{Name: p.Name, Buckets: p.Buckets}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for _, r := range benchmarkRequests() {
				if got, want := fresh.Route(&r), p.Route(&r); got != want {
					t.Errorf("%s %s: %+v, want %+v", r.Method, r.Path, got, want)
				}
			}
		})
	}
	wg.Wait()
}

// TestRouteEmptyPlan: a plan without buckets counts nothing.
func TestRouteEmptyPlan(t *testing.T) {
	t.Parallel()
	p := &Plan{Name: "empty"}
	if r := p.Route(&Request{Method: "GET", Path: "/a"}); r.N != 0 || r.Template != "" {
		t.Errorf("%+v", r)
	}
	if err := p.validate(); err != nil {
		t.Error(err)
	}
}
