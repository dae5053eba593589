package auth0test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headroom-go/auth0"
	"github.com/headroom-go/auth0/management"
)

func unzip(t *testing.T, r reply) string {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader([]byte(r.body)))
	if err != nil {
		t.Fatalf("%d %s: %v", r.status, r.body, err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// The lists that end at 1,000 entries refuse pages that reach beyond, also where
// there are fewer; the others do not.
func TestCeiling(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{})
	for path, ceiled := range map[string]bool{
		"/users": true, "/logs": true, "/users/{user}/logs": true, "/connections": true, "/organizations": true,
		"/organizations/{organization}/members": true, "/roles/{role}/users": true, "/device-credentials": true,
		"/roles": false, "/clients": false, "/client-grants": false, "/resource-servers": false, "/users/{user}/roles": false,
	} {
		for query, within := range map[string]bool{
			"page=9&per_page=100": true, "page=19": true, "page=19&per_page=50": true, "page=32&per_page=30": true,
			"page=10&per_page=100": false, "page=20": false, "page=20&per_page=50": false, "page=33&per_page=30": false, "page=1000&per_page=100": false,
		} {
			r := w.ask(t, "GET", path+"?"+query, "")
			if within || !ceiled {
				if r.status != 200 {
					t.Errorf("%s?%s: %d %s", path, query, r.status, r.body)
				}
				continue
			}
			fails(t, r, 400, "invalid_paging", "1000")
		}
	}
}

// Checkpoint paging shows each entry once, also those that come while it walks.
func TestCheckpointWhileAdding(t *testing.T) {
	t.Parallel()
	clock := newClock()
	tenant := mustTenant(t, Options{AnyToken: true, Clock: clock.Now})
	made := 0
	add := func(n int) {
		for range n {
			if r := send(t, tenant, "POST", "/api/v2/organizations", fmt.Sprintf(`{"name":"org%04d"}`, made)); r.status != 201 {
				t.Fatalf("%d %s", r.status, r.body)
			}
			made++
		}
	}
	add(1200)
	var names []string
	from, pages := "", 0
	for {
		doc := send(t, tenant, "GET", "/api/v2/organizations?take=100"+from, "").doc(t)
		for _, o := range doc["organizations"].([]any) {
			names = append(names, o.(map[string]any)["name"].(string))
		}
		pages++
		next, more := doc["next"].(string)
		if !more {
			break
		}
		from = "&from=" + next
		if pages%5 == 0 {
			add(10)
			gone := tenant.kept["organization"].list[""][0] // one that has been seen
			if r := send(t, tenant, "DELETE", "/api/v2/organizations/"+gone.id, ""); r.status != 204 {
				t.Fatalf("%d %s", r.status, r.body)
			}
		}
	}
	if len(names) != made || made != 1220 || pages != 13 || !slices.IsSorted(names) || len(slices.Compact(names)) != made {
		t.Errorf("%d names on %d pages of %d organizations", len(names), pages, made)
	}
	clock.set(24*time.Hour + time.Second)
	fails(t, send(t, tenant, "GET", "/api/v2/organizations?take=100"+from, ""), 400, "invalid_query_string", "from") // a checkpoint holds a day
}

// typed opens the tenant with the typed client.
func typed(t *testing.T, tenant *Tenant) *management.API {
	t.Helper()
	client, err := auth0.New(DefaultDomain, auth0.WithToken("any"), auth0.WithPlan("enterprise"), auth0.WithHTTPClient(&http.Client{Transport: tenant}))
	if err != nil {
		t.Fatal(err)
	}
	return management.New(client)
}

// Walking all users past the ceiling shows each once, also those that come meanwhile.
func TestWalkUsersPastCeiling(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tenant := mustTenant(t, Options{PlanName: "enterprise", AnyToken: true})
		made := 0
		add := func(n int) {
			tenant.mu.Lock()
			defer tenant.mu.Unlock()
			for range n {
				u := tenant.newUser(tenant.connection(DefaultConnection, false), map[string]any{"email": fmt.Sprintf("u%d@example.com", made)}, tenant.tick())
				tenant.users.add(u)
				if made++; made%7 == 0 {
					time.Sleep(time.Millisecond) // several of one instant
				}
			}
		}
		add(2500)
		seen := make(map[string]int)
		for u, err := range typed(t, tenant).Users.Walk(context.Background(), nil) {
			if err != nil {
				t.Fatal(err)
			}
			if seen[u.UserID]++; len(seen)%400 == 0 {
				add(3)
			}
		}
		for id, n := range seen {
			if n != 1 {
				t.Errorf("%s came %d times", id, n)
			}
		}
		if len(seen) != made || made <= 2500 {
			t.Errorf("%d of %d users", len(seen), made)
		}
		if r := tenant.Report(); r.Rejected != 0 {
			t.Errorf("%d rejections", r.Rejected)
		}
	})
}

// More users than the ceiling, made at once by the options or by one job, are
// walked all the same: a tenant takes its time to make them.
func TestWalkUsersMadeTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := Options{AnyToken: true, Connections: []Connection{{ID: testConnection, Name: DefaultConnection}}}
		var file []string
		for i := range 1500 {
			o.Users = append(o.Users, User{ID: fmt.Sprint("begin", i)})
			file = append(file, fmt.Sprintf(`{"email":"u%d@example.com"}`, i))
		}
		tenant := mustTenant(t, o)
		if r := importFile(t, tenant, "["+strings.Join(file, ",")+"]", "connection_id", testConnection); r.status != 202 {
			t.Fatalf("%+v", r)
		}
		seen := make(map[string]bool)
		for u, err := range typed(t, tenant).Users.Walk(context.Background(), nil) {
			if err != nil {
				t.Fatalf("after %d users: %v", len(seen), err)
			}
			if now := time.Now(); u.CreatedAt.After(now) {
				t.Fatalf("created at %v, now it is %v", u.CreatedAt, now)
			}
			seen[u.UserID] = true
		}
		if len(seen) != 3000 {
			t.Errorf("%d users of 3000", len(seen))
		}
	})
}

func TestLogs(t *testing.T) {
	t.Parallel()
	clock := newClock()
	tenant := mustTenant(t, Options{Clock: clock.Now, Clients: []Client{{ID: "c", Secret: "s"}}})
	r := send(t, tenant, "POST", "/oauth/token", `{"grant_type":"client_credentials","client_id":"c","client_secret":"s","audience":"https://tenant.auth0.test/api/v2/"}`)
	bearer := "Bearer " + r.doc(t)["access_token"].(string)
	get := func(path string) (docs []map[string]any, header http.Header) {
		t.Helper()
		r := send(t, tenant, "GET", path, "", "Authorization", bearer)
		if err := json.Unmarshal([]byte(r.body), &docs); err != nil {
			t.Fatalf("%s: %d %s", path, r.status, r.body)
		}
		return docs, r.header
	}
	kinds := func(docs []map[string]any) (all string) {
		for _, d := range docs {
			all += fmt.Sprint(d["type"], " ", d["description"], "; ")
		}
		return all
	}
	send(t, tenant, "POST", "/api/v2/users", `{`+connection+`,"email":"a@example.com","password":"x","user_id":"1"}`, "Authorization", bearer, "User-Agent", "me/1")
	clock.set(time.Second)
	send(t, tenant, "PATCH", "/api/v2/users/auth0%7C1", `{"blocked":true}`, "Authorization", bearer)
	send(t, tenant, "POST", "/api/v2/roles", `{}`, "Authorization", bearer)
	send(t, tenant, "GET", "/api/v2/roles", "", "Authorization", bearer)
	send(t, tenant, "POST", "/api/v2/roles", `{"name":"a"}`)
	send(t, tenant, "POST", "/oauth/token", `{"grant_type":"client_credentials","client_id":"c","client_secret":"no"}`)

	all, _ := get("/api/v2/logs")
	if got := kinds(all); got != "feccft token; fapi POST /roles; sapi PATCH /users/{id}; sapi POST /users; seccft token; " {
		t.Errorf("log %s", got)
	}
	first := all[3]
	for name, want := range map[string]any{
		"date": "2023-02-03T19:30:00.000Z", "user_id": "auth0|1", "client_id": "c", "client_name": "c", "user_agent": "me/1", "ip": "127.0.0.1",
	} {
		if first[name] != want {
			t.Errorf("%s is %v, want %v", name, first[name], want)
		}
	}
	for query, want := range map[string]string{
		"q=type:fapi":      "fapi POST /roles; ",
		"search=type:fapi": "fapi POST /roles; ",
		"q=type:sapi%20AND%20user_id:%22auth0%7C1%22":          "sapi PATCH /users/{id}; sapi POST /users; ",
		"per_page=1&page=1":                                    "fapi POST /roles; ",
		"sort=date:1&per_page=2":                               "sapi POST /users; seccft token; ",
		"q=date:%5B%222023-02-03T19:30:01.000Z%22%20TO%20*%5D": "feccft token; fapi POST /roles; sapi PATCH /users/{id}; ",
	} {
		if docs, _ := get("/api/v2/logs?" + query); kinds(docs) != want {
			t.Errorf("%s: %s, want %s", query, kinds(docs), want)
		}
	}
	if docs, _ := get("/api/v2/users/auth0%7C1/logs"); kinds(docs) != "sapi PATCH /users/{id}; sapi POST /users; " {
		t.Errorf("of the user: %s", kinds(docs))
	}
	id := first["log_id"].(string)
	if r := send(t, tenant, "GET", "/api/v2/logs/"+id, "", "Authorization", bearer); r.status != 200 || r.doc(t)["log_id"] != id {
		t.Errorf("by id: %d %s", r.status, r.body)
	}
	fails(t, send(t, tenant, "GET", "/api/v2/logs/90020230203", "", "Authorization", bearer), 404, "inexistent_log")
	doc := send(t, tenant, "GET", "/api/v2/logs?include_totals=true&per_page=2", "", "Authorization", bearer).doc(t)
	if doc["total"] != 5.0 || doc["length"] != 2.0 || doc["start"] != 0.0 {
		t.Errorf("totals %v", doc)
	}

	// from and take: oldest first, all else ignored, the link always there.
	docs, header := get("/api/v2/logs?take=2&sort=date:-1&q=type:fapi&page=7")
	if kinds(docs) != "seccft token; sapi POST /users; " {
		t.Errorf("the first two: %s", kinds(docs))
	}
	link := func(h http.Header) string {
		t.Helper()
		target, ok := strings.CutSuffix(strings.TrimPrefix(h.Get("Link"), "<"), `>; rel="next"`)
		if !ok {
			t.Fatalf("Link %q", h.Get("Link"))
		}
		return strings.TrimPrefix(target, base)
	}
	docs, header = get(link(header))
	if kinds(docs) != "sapi PATCH /users/{id}; fapi POST /roles; " {
		t.Errorf("the next two: %s", kinds(docs))
	}
	docs, header = get(link(header))
	if kinds(docs) != "feccft token; " {
		t.Errorf("the last: %s", kinds(docs))
	}
	end := link(header)
	docs, header = get(end)
	if len(docs) != 0 || link(header) != end {
		t.Errorf("after the last: %s, link %s, want %s again", kinds(docs), link(header), end)
	}
	send(t, tenant, "POST", "/api/v2/roles", `{"name":"a"}`, "Authorization", bearer)
	if docs, _ = get(end); kinds(docs) != "sapi POST /roles; " {
		t.Errorf("what came since: %s", kinds(docs))
	}
	if docs, _ = get("/api/v2/logs?from=" + id); len(docs) != 4 || docs[0]["description"] != "PATCH /users/{id}" {
		t.Errorf("from an entry, which is not shown again: %s", kinds(docs))
	}
	fails(t, send(t, tenant, "GET", "/api/v2/logs?from=x", "", "Authorization", bearer), 400, "invalid_query_string", "from")
}

// No request, however odd its paging, makes the tenant panic or answer more than a page.
func FuzzPaging(f *testing.F) {
	for _, seed := range []string{"page=1&per_page=3", "take=2&from=x", "sort=name:-1&fields=a,b", "page=99999999999&per_page=1", "q=(a:b OR NOT c:[1 TO *}", "q=a:(b c", `q=a:"`, "include_totals=true&page=1073741823"} {
		f.Add(seed)
	}
	tenant := MustNew(Options{AnyToken: true})
	for i := range 5 {
		tenant.users.add(tenant.newUser(&Connection{Name: "c", Strategy: "auth0"}, map[string]any{"username": fmt.Sprint(i)}, 0))
	}
	f.Fuzz(func(t *testing.T, query string) {
		for _, path := range []string{"/api/v2/users", "/api/v2/organizations", "/api/v2/roles", "/api/v2/logs", "/api/v2/rules"} {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.URL.RawQuery = query
			resp, err := tenant.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			if resp.Body.Close() != nil || resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusBadRequest {
				t.Errorf("%s?%s: %d", path, query, resp.StatusCode)
			}
		}
	})
}
