package auth0test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/headroom-go/auth0/ratelimit"
)

// The Management API shows the sessions and refresh tokens of logins, and ends
// them.
func TestAccessOfUsers(t *testing.T) {
	t.Parallel()
	clock := newClock()
	o := shop()
	o.Clock, o.AnyToken = clock.Now, true
	tenant := mustTenant(t, o)
	get := func(path, key string) []any {
		list, _ := send(t, tenant, "GET", "/api/v2"+path, "").doc(t)[key].([]any)
		return list
	}
	logIn := func() (*browser, string) {
		b := &browser{t: t, tenant: tenant}
		q := backWith(t, b.logIn(authorizeURL(), "ada@example.com", "ada-password"))
		token, _ := exchange(t, tenant, q.Get("code")).doc(t)["refresh_token"].(string)
		return b, token
	}
	loggedIn := func(b *browser) bool {
		return backWith(t, b.open("GET", authorizeURL("prompt", "none"), nil)).Get("code") != ""
	}
	refreshes := func(token string) bool { return refreshed(t, tenant, token).status == 200 }

	b, token := logIn()
	clock.set(time.Hour)
	if !refreshes(token) || !loggedIn(b) {
		t.Error("logged out")
	}
	const user = "/users/auth0%7Cada"
	sessions, tokens := get(user+"/sessions", "sessions"), get(user+"/refresh-tokens", "tokens")
	if len(sessions) != 1 || len(tokens) != 1 {
		t.Fatalf("%v, %v", sessions, tokens)
	}
	s, r := sessions[0].(map[string]any), tokens[0].(map[string]any)
	if s["user_id"] != "auth0|ada" || fmt.Sprint(s["clients"]) != "[map[client_id:web]]" || s["authenticated_at"] != timestamp(begin*time.Second) ||
		s["last_interacted_at"] != timestamp((begin+3600)*time.Second) || s["expires_at"] != timestamp(begin*time.Second+7*24*time.Hour) {
		t.Errorf("session %v", s)
	}
	if r["client_id"] != "web" || r["session_id"] != s["id"] || r["rotating"] != false || r["last_exchanged_at"] != timestamp((begin+3600)*time.Second) ||
		r["expires_at"] != timestamp(begin*time.Second+30*24*time.Hour) {
		t.Errorf("refresh token %v", r)
	}
	session, refresh := "/sessions/"+s["id"].(string), "/refresh-tokens/"+r["id"].(string)
	if doc := send(t, tenant, "PATCH", "/api/v2"+session, `{"session_metadata":{"a":"1"}}`).doc(t); fmt.Sprint(doc["session_metadata"]) != "map[a:1]" {
		t.Errorf("%v", doc)
	}
	if doc := send(t, tenant, "PATCH", "/api/v2"+refresh, `{"refresh_token_metadata":{"a":"1"}}`).doc(t); fmt.Sprint(doc["refresh_token_metadata"]) != "map[a:1]" {
		t.Errorf("%v", doc)
	}
	if list := get("/refresh-tokens?user_id=auth0%7Cada&client_id=app", "refresh_tokens"); len(list) != 0 {
		t.Errorf("of another application: %v", list)
	}
	if list := get("/refresh-tokens?user_id=auth0%7Cada&client_id=web", "refresh_tokens"); len(list) != 1 {
		t.Errorf("of the application: %v", list)
	}
	for _, tt := range []struct {
		method, path, body   string
		session, refreshable bool // afterwards
	}{
		{"DELETE", session, "", false, true},
		{"POST", "/sessions/{id}/revoke", "", false, false},
		{"DELETE", user + "/sessions", "", false, true},
		{"DELETE", user + "/refresh-tokens", "", true, false},
		{"DELETE", "/refresh-tokens/{token}", "", true, false},
		{"POST", "/refresh-tokens/revoke", `{}`, true, true},
		{"POST", "/refresh-tokens/revoke", `{"ids":["{token}"]}`, true, false},
		{"POST", "/refresh-tokens/revoke", `{"user_id":"auth0|ada","client_id":"app"}`, true, true},
		{"POST", "/refresh-tokens/revoke", `{"user_id":"auth0|ada"}`, true, false},
		{"POST", user + "/revoke-access", `{}`, false, false},
		{"POST", user + "/revoke-access", `{"preserve_refresh_tokens":true}`, false, true},
		{"POST", user + "/revoke-access", `{"session_id":"another"}`, true, true},
	} {
		fill := func(s string) string {
			for name, list := range map[string][]any{"{id}": get(user+"/sessions", "sessions"), "{token}": get(user+"/refresh-tokens", "tokens")} {
				if len(list) > 0 {
					s = strings.ReplaceAll(s, name, list[len(list)-1].(map[string]any)["id"].(string))
				}
			}
			return s
		}
		if r := send(t, tenant, tt.method, "/api/v2"+fill(tt.path), fill(tt.body)); r.status != 202 {
			t.Errorf("%s %s: %d %s", tt.method, tt.path, r.status, r.body)
		}
		if loggedIn(b) != tt.session || refreshes(token) != tt.refreshable {
			t.Errorf("%s %s %s: logged in %v, refreshable %v", tt.method, tt.path, tt.body, loggedIn(b), refreshes(token))
		}
		b, token = logIn()
	}
	if r := send(t, tenant, "GET", "/api/v2"+session, ""); r.status != 404 {
		t.Errorf("a session that is over: %d %s", r.status, r.body)
	}
}

// Each request of a login is charged like any other, and rejected in the form of
// its endpoint, before anything of it is looked at.
func TestLimitsOfLogins(t *testing.T) {
	t.Parallel()
	o := shop()
	o.Clock = newClock().Now
	perMinute := func(name, method, path string) ratelimit.Bucket {
		b := bucket(name, 1, 1, time.Minute, method, path)
		b.API = "authentication"
		return b
	}
	all := bucket("all", 100, 1, time.Minute, "*", "/*")
	all.API = "authentication"
	page := perMinute("page", "POST", "/u/login")
	page.Key = ratelimit.KeyIPUser
	o.Plan = plan(global(all), perMinute("authorize", "GET", "/authorize"), page, perMinute("token", "POST", "/oauth/token"), perMinute("profile", "GET", "/userinfo"))
	tenant := mustTenant(t, o)
	code := codeOf(t, tenant)
	if got := tenant.Report().Bucket("all").Taken; got != 3 {
		t.Errorf("a login takes %d requests, want the authorize endpoint, the page and its form", got)
	}
	if r := send(t, tenant, "GET", authorizeURL(), ""); r.status != 429 || r.header.Get("Content-Type") != "text/html; charset=utf-8" {
		t.Errorf("authorize: %d %s", r.status, r.body)
	}
	if r := post(t, tenant, "/u/login?state=x", url.Values{"username": {"ada@example.com"}}); r.status != 429 {
		t.Errorf("the form, for the same user: %d", r.status)
	}
	if r := post(t, tenant, "/u/login?state=x", url.Values{"username": {"bob@example.com"}}); r.status != 400 {
		t.Errorf("the form, for another user: %d", r.status)
	}
	if r := exchange(t, tenant, "none"); r.status != 403 {
		t.Errorf("token: %d %s", r.status, r.body)
	}
	refusal(t, "the next token", exchange(t, tenant, code), 429, "too_many_requests")
	for _, want := range []int{401, 429} {
		if r := send(t, tenant, "GET", "/userinfo", ""); r.status != want {
			t.Errorf("userinfo: %d %s, want %d", r.status, r.body, want)
		}
	}
}

// The log has an event for each kind of token.
func TestTokenEvents(t *testing.T) {
	t.Parallel()
	o := shop()
	o.AnyToken = true
	tenant := mustTenant(t, o)
	doc := exchange(t, tenant, codeOf(t, tenant)).doc(t)
	refreshed(t, tenant, doc["refresh_token"])
	password(t, tenant, "ada@example.com", "wrong")
	second(t, tenant, grantOTP, "mfa_token", "x")
	var kinds []string
	var entries []map[string]any
	if err := json.Unmarshal([]byte(send(t, tenant, "GET", "/api/v2/logs", "").body), &entries); err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		kinds = append(kinds, e["type"].(string))
		if e["type"] == "seacft" && e["user_id"] != "auth0|ada" {
			t.Errorf("%v", e)
		}
	}
	if fmt.Sprint(kinds) != "[feotpft fepft sertft seacft]" {
		t.Errorf("events %v", kinds)
	}
}
