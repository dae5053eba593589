package management

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headroom-go/auth0"
)

// answers is a tenant written as a function.
type answers func(r *http.Request, body string) (status int, answer any)

func (f answers) RoundTrip(r *http.Request) (*http.Response, error) {
	body := ""
	if r.Body != nil {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		body = string(b)
	}
	status, answer := f(r, body)
	b, err := json.Marshal(answer)
	if err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(bytes.NewReader(b)), Request: r}, nil
}

func apiOf(t *testing.T, f answers) *API {
	t.Helper()
	c, err := auth0.New("tenant.eu.auth0.com", auth0.WithToken("token"), auth0.WithHTTPClient(&http.Client{Transport: f}), auth0.WithPlan("enterprise"))
	if err != nil {
		t.Fatal(err)
	}
	return New(c)
}

var since = regexp.MustCompile(`created_at:\["([^"]+)" TO \*\]`)

// directory answers searches of users as the API does: sorted, in pages, and never beyond 1,000.
type directory struct {
	users   map[string]time.Time
	queries []string
	between func() // what happens between two requests
}

func (d *directory) answer(r *http.Request, _ string) (int, any) {
	q := r.URL.Query()
	d.queries = append(d.queries, q.Get("q"))
	from := ""
	if m := since.FindStringSubmatch(q.Get("q")); m != nil {
		from = m[1]
	}
	type user struct {
		ID      string `json:"user_id"`
		Created string `json:"created_at"`
	}
	found := []user{}
	for id, at := range d.users {
		if created := at.UTC().Format("2006-01-02T15:04:05.000Z"); created >= from {
			found = append(found, user{id, created})
		}
	}
	sort.Slice(found, func(i, j int) bool {
		if found[i].Created != found[j].Created {
			return found[i].Created < found[j].Created
		}
		return found[i].ID < found[j].ID
	})
	page, _ := strconv.Atoi(q.Get("page"))
	size, _ := strconv.Atoi(q.Get("per_page"))
	if q.Get("sort") != "created_at:1" || size == 0 || (page+1)*size > 1000 {
		return 400, nil
	}
	d.between()
	return 200, found[min(page*size, len(found)):min((page+1)*size, len(found))]
}

// TestWalk walks 2,345 users while others are created and deleted: those that are there all the time come once each, no user twice.
func TestWalk(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
		d := &directory{users: map[string]time.Time{}}
		for i := range 2345 {
			at := start.Add(time.Duration(i) * time.Second)
			if i >= 1000 && i < 1250 {
				at = start.Add(1000 * time.Second) // 250 users of one instant: more than two pages
			}
			d.users[fmt.Sprintf("auth0|%04d", i)] = at
		}
		all := len(d.users)
		n := 0
		d.between = func() {
			n++
			delete(d.users, fmt.Sprintf("auth0|%04d", n*7))
			d.users[fmt.Sprintf("new|%03d", n)] = start.Add(time.Duration(10_000+n) * time.Second)
		}
		got := map[string]int{}
		for u, err := range apiOf(t, d.answer).Users.Walk(t.Context(), &UserListParams{Query: `name:"a" OR name:"b"`}) {
			if err != nil {
				t.Fatal(err)
			}
			got[u.UserID]++
		}
		for id, times := range got {
			if times != 1 {
				t.Errorf("%s came %d times", id, times)
			}
		}
		for id := range d.users {
			if strings.HasPrefix(id, "auth0|") && got[id] == 0 {
				t.Errorf("%s did not come", id)
			}
		}
		if len(got) < all-n {
			t.Errorf("%d users came, at least %d were there all the time", len(got), all-n)
		}
		if q := d.queries[0]; q != `name:"a" OR name:"b"` {
			t.Errorf("first searched for %s", q)
		}
		if q := d.queries[1]; q != `((name:"a" OR name:"b") AND created_at:["2020-01-01T00:01:39.000Z" TO *])` {
			t.Errorf("then searched for %s", q)
		}
		for _, p := range []*UserListParams{{Sort: "email:1"}, {Page: 1}, {IncludeTotals: new(true)}} {
			for _, err := range apiOf(t, d.answer).Users.Walk(t.Context(), p) {
				if err == nil || !strings.Contains(err.Error(), "itself") {
					t.Errorf("%+v: %v", p, err)
				}
			}
		}
	})
}

func TestSearch(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ got, want Search }{
		{Where("email").Is(`a"b\c@x`), `email:"a\"b\\c@x"`},
		{Where("name").HasPrefix("Ann (x) *"), `name:Ann\ \(x\)\ \**`},
		{Where("name").HasPrefix("Ann\tOR\u3000x\n\r"), "name:Ann\\\tOR\\\u3000x\\\n\\\r*"}, // four are spaces to Lucene
		{Where("app_metadata.plan").Exists(), `_exists_:app_metadata.plan`},
		{Where("odd field:x").Is("v"), `odd\ field\:x:"v"`},
		{Where("created_at").Between("2026-01-01", "*"), `created_at:["2026-01-01" TO *]`},
		{Search("").And(Where("a").Is("1")).And(""), `a:"1"`},
		{Where("a").Is("1").And(Where("b").Is("2").Or(Where("c").Is(") OR *:*").Not())), `(a:"1" AND (b:"2" OR (NOT c:") OR *:*")))`},
	} {
		if c.got != c.want {
			t.Errorf("got %s, want %s", c.got, c.want)
		}
	}
}

func TestSets(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var sent []string
		api := apiOf(t, func(r *http.Request, body string) (int, any) {
			if r.Method == http.MethodGet {
				if strings.HasSuffix(r.URL.Path, "/permissions") {
					return 200, map[string]any{"start": 0, "limit": 50, "total": 2, "permissions": []map[string]any{
						{"resource_server_identifier": "api", "permission_name": "read", "description": "d"}, {"resource_server_identifier": "api", "permission_name": "write"}}}
				}
				return 200, map[string]any{"start": 0, "limit": 50, "total": 2, "roles": []map[string]any{{"id": "r1"}, {"id": "r2"}}}
			}
			sent = append(sent, r.Method+" "+r.URL.Path+" "+body)
			return 204, nil
		})
		ctx := t.Context()
		read, admin := Permission{ResourceServerIdentifier: "api", PermissionName: "read"}, Permission{ResourceServerIdentifier: "api", PermissionName: "admin"}
		const add, remove = `{"permissions":[{"resource_server_identifier":"api","permission_name":"admin"}]}`, `{"permissions":[{"resource_server_identifier":"api","permission_name":"write"}]}`
		for _, c := range []struct {
			name string
			set  func() error
			want []string
		}{
			{"more and less", func() error { return api.Users.Roles.Set(ctx, "u", []string{"r2", "r3", "r3"}) },
				[]string{`POST /api/v2/users/u/roles {"roles":["r3"]}`, `DELETE /api/v2/users/u/roles {"roles":["r1"]}`}},
			{"the same", func() error { return api.Users.Roles.Set(ctx, "u", []string{"r2", "r1"}) }, nil},
			{"none", func() error { return api.Organizations.Members.Roles.Set(ctx, "o", "u", nil) },
				[]string{`DELETE /api/v2/organizations/o/members/u/roles {"roles":["r1","r2"]}`}},
			{"of a role", func() error { return api.Roles.Permissions.Set(ctx, "r", []Permission{admin, read}) },
				[]string{"POST /api/v2/roles/r/permissions " + add, "DELETE /api/v2/roles/r/permissions " + remove}},
			{"of a user", func() error { return api.Users.Permissions.Set(ctx, "u", []Permission{read, admin}) },
				[]string{"POST /api/v2/users/u/permissions " + add, "DELETE /api/v2/users/u/permissions " + remove}},
		} {
			sent = nil
			if err := c.set(); err != nil || !slices.Equal(sent, c.want) {
				t.Errorf("%s: %v, sent\n%s", c.name, err, strings.Join(sent, "\n"))
			}
		}
	})
}

func TestWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start, asked := time.Now(), 0
		api := apiOf(t, func(*http.Request, string) (int, any) {
			asked++
			status := "pending"
			if time.Since(start) > 5*time.Minute {
				status = "failed"
			}
			return 200, map[string]any{"id": "job_1", "status": status}
		})
		job, err := api.Jobs.Wait(t.Context(), "job_1")
		if err != nil || job.Status != "failed" {
			t.Errorf("%+v, %v", job, err)
		}
		// After a second, then up to 15 s apart, spread by half: 5 minutes take 14 to 60 questions.
		if asked < 14 || asked > 60 {
			t.Errorf("asked %d times", asked)
		}
		start = time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if _, err := api.Jobs.Wait(ctx, "job_1"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("past its context: %v", err)
		}
		if d := time.Since(start); d > 10*time.Second {
			t.Errorf("ended after %v", d)
		}
	})
}

func TestToUpdate(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		update func(t *testing.T) any
		want   string
	}{
		{"user", func(t *testing.T) any {
			t.Helper()
			var u User
			into(t, `{"user_id":"u","email":"a@b","name":"Ann","blocked":true,"user_metadata":{"a":1},"app_metadata":{"b":[2]},"shoe_size":43,"logins_count":3}`, &u)
			up := u.ToUpdate()
			up.UserMetadata["a"] = 2
			return up
		}, `{"name":"Ann","blocked":true,"user_metadata":{"a":2},"app_metadata":{"b":[2]}}`},
		{"client", func(t *testing.T) any {
			t.Helper()
			var c Client
			into(t, `{"client_id":"c","tenant":"t","name":"App","client_secret":"s3cret","callbacks":[],"app_type":"spa","is_first_party":true,"sso":false,
				"jwt_configuration":{"alg":"RS256","lifetime_in_seconds":36000,"secret_encoded":true},"refresh_token":{"rotation_type":"rotating","expiration_type":"expiring","leeway":0},"client_metadata":{"k":"v"},
				"addons":{"samlp":{"audience":"urn:a","logout":{"callback":"https://a.example/out"},"signResponse":false},"zendesk":{"accountName":"a","b":1},"box":{"c":2}}}`, &c)
			up := c.ToUpdate()
			up.Name = new("New")
			return up
		}, `{"name":"New","callbacks":[],"app_type":"spa","is_first_party":true,"jwt_configuration":{"alg":"RS256","lifetime_in_seconds":36000},
			"refresh_token":{"rotation_type":"rotating","expiration_type":"expiring","leeway":0},"client_metadata":{"k":"v"},
			"addons":{"samlp":{"audience":"urn:a","logout":{"callback":"https://a.example/out"},"signResponse":false},"zendesk":{"accountName":"a","b":1},"box":{"c":2}}}`},
		{"connection", func(t *testing.T) any {
			t.Helper()
			var c Connection
			into(t, `{"id":"con_1","name":"db","strategy":"auth0","enabled_clients":["c"],"realms":["db"],"options":{"import_mode":false,"disable_signup":false,"mine":{"x":1},"passwordPolicy":"good"},"metadata":{"k":"v"}}`, &c)
			up := c.ToUpdate()
			o, _ := auth0.ValueOf(up.Options)
			o.Auth0.DisableSignup = new(true)
			return up
		}, `{"realms":["db"],"options":{"import_mode":false,"disable_signup":true,"mine":{"x":1},"passwordPolicy":"good"},"metadata":{"k":"v"}}`},
		{"connection with what its type does not know", func(t *testing.T) any {
			t.Helper()
			var c Connection
			err := auth0.Decode([]byte(`{"id":"con_1","strategy":"auth0","options":{"customScripts":{"login":"a","delete":"b","invite":"c"},"attributes":{"email":{"unique":true,"kind":"x"}},
				"mfa":{"active":true,"new":1},"import_mode":"yes","precedence":["email",7],"realm_fallback":true,"password_history":{"enable":true,"old":2}}}`), &c)
			if _, odd := errors.AsType[*auth0.PartialError](err); !odd {
				t.Fatal(err)
			}
			up := c.ToUpdate()
			o, _ := auth0.ValueOf(up.Options)
			o.Auth0.CustomScripts.Login, o.Auth0.CustomScripts.Delete = new("A"), nil
			o.Auth0.MFA, o.Auth0.RealmFallback = nil, nil
			o.Auth0.DisableSignup = new(true)
			o.Auth0.PasswordHistory = auth0.NullValue[ConnectionPasswordHistoryOptions]()
			return up
		}, `{"options":{"customScripts":{"login":"A","invite":"c"},"attributes":{"email":{"unique":true,"kind":"x"}},
			"import_mode":"yes","precedence":["email",7],"disable_signup":true,"password_history":null}}`},
		{"connection without options", func(t *testing.T) any {
			t.Helper()
			var c Connection
			into(t, `{"id":"con_1","display_name":"n"}`, &c)
			return c.ToUpdate()
		}, `{"display_name":"n"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b, err := json.Marshal(c.update(t))
			if err != nil {
				t.Fatal(err)
			}
			var got, want map[string]any
			into(t, string(b), &got)
			into(t, c.want, &want)
			if d := jsonDiff(want, got, ""); d != "" || len(got) != len(want) {
				t.Errorf("%s\ngot %s", d, b)
			}
		})
	}
}

func into(t *testing.T, text string, v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), v); err != nil {
		t.Fatal(err)
	}
}

// TestOneVariant decodes a connection into a variable that holds another, and sets two variants by hand.
func TestOneVariant(t *testing.T) {
	t.Parallel()
	var c Connection
	into(t, `{"strategy":"auth0","options":{"import_mode":true}}`, &c)
	into(t, `{"strategy":"samlp","options":{"signInEndpoint":"https://a.example"}}`, &c)
	if c.Options.Auth0 != nil || c.Options.SAML == nil {
		t.Errorf("the options of a SAML connection are %+v and %+v", c.Options.Auth0, c.Options.SAML)
	}
	into(t, `{"strategy":"new","options":{"a":1}}`, &c)
	if c.Options.SAML != nil || string(c.Options.Raw) != `{"a":1}` {
		t.Errorf("the options of a new strategy are %+v and %s", c.Options.SAML, c.Options.Raw)
	}
	asked := 0
	api := apiOf(t, func(*http.Request, string) (int, any) { asked++; return 200, nil })
	_, err := api.Connections.Create(t.Context(), ConnectionCreate{Name: "n", Strategy: "samlp", Options: &ConnectionOptions{
		Auth0: &ConnectionOptionsAuth0{}, SAML: &ConnectionOptionsSAML{SignInEndpoint: new("https://a.example")}}})
	if asked != 0 || err == nil || !strings.Contains(err.Error(), "Auth0") || !strings.Contains(err.Error(), "SAML") {
		t.Errorf("with two variants: asked %d times, %v", asked, err)
	}
}

// TestWalkAndDelete walks users while those that came are deleted, one after each answer, in pages of several sizes and with users of one
// instant: none is missed.
func TestWalkAndDelete(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
		for _, size := range []int{0, 1, 2, 3, 10, 100} {
			for _, same := range []int{1, 2, 3, 4, 60} {
				d := &directory{users: map[string]time.Time{}}
				for i := range 240 {
					d.users[fmt.Sprintf("auth0|%04d", i)] = start.Add(time.Duration(i/same) * time.Second)
				}
				var came []string
				deleted := 0
				d.between = func() {
					if deleted < len(came) {
						delete(d.users, came[deleted])
						deleted++
					}
				}
				for u, err := range apiOf(t, d.answer).Users.Walk(t.Context(), &UserListParams{PerPage: size}) {
					if err != nil {
						t.Fatal(err)
					}
					came = append(came, u.UserID)
				}
				if len(came) != 240 {
					t.Errorf("pages of %d, %d users of each instant: %d users of 240 came", size, same, len(came))
				}
			}
		}
	})
}
