package auth0test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/headroom-go/auth0/ratelimit"
)

const formType = "application/x-www-form-urlencoded"

func tokenForm(id, secret, audience string, more ...string) string {
	v := url.Values{"grant_type": {"client_credentials"}, "client_id": {id}, "client_secret": {secret}, "audience": {audience}}
	for i := 0; i+1 < len(more); i += 2 {
		v.Set(more[i], more[i+1])
	}
	return v.Encode()
}

const managementAudience = "https://" + DefaultDomain + "/api/v2/"

func TestTokens(t *testing.T) {
	t.Parallel()
	clock := newClock()
	tenant := mustTenant(t, Options{Clock: clock.Now, TokenLife: time.Hour})
	r := send(t, tenant, "POST", "/oauth/token", tokenForm(DefaultClientID, DefaultClientSecret, managementAudience), "Content-Type", formType)
	doc := r.doc(t)
	token, _ := doc["access_token"].(string)
	if r.status != 200 || doc["token_type"] != "Bearer" || doc["expires_in"] != 3600.0 || r.header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%d %s", r.status, r.body)
	}
	parts := strings.Split(token, ".")
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var payload map[string]any
	if err := json.Unmarshal(raw, &payload); err != nil || len(parts) != 3 {
		t.Fatalf("%v of %d parts", err, len(parts))
	}
	for name, want := range map[string]any{
		"iss": "https://" + DefaultDomain + "/", "sub": DefaultClientID + "@clients", "aud": managementAudience,
		"iat": float64(begin), "exp": float64(begin + 3600),
	} {
		if payload[name] != want {
			t.Errorf("claim %s is %v, want %v", name, payload[name], want)
		}
	}
	call := func(token string) reply {
		return send(t, tenant, "GET", "/api/v2/users", "", "Authorization", "Bearer "+token)
	}
	clock.set(time.Hour - 1)
	if r := call(token); r.status != 200 {
		t.Errorf("just before it expires: %d %s", r.status, r.body)
	}
	clock.set(time.Hour)
	fails(t, call(token), 401, "", "Expired token")
	if got := call(token).doc(t)["attributes"]; fmt.Sprint(got) != "map[error:Expired token received for JSON Web Token validation]" {
		t.Errorf("attributes %v", got)
	}
	fails(t, call(token[:len(token)-2]), 401, "", "Invalid token")
	fails(t, send(t, tenant, "GET", "/api/v2/users", ""), 401, "", "Missing authentication")
	fails(t, send(t, tenant, "GET", "/api/v2/nowhere", ""), 401, "", "Missing authentication")
	if r := call(tenant.Token()); r.status != 200 {
		t.Errorf("Token(): %d %s", r.status, r.body)
	}
}

func TestTokenRefusals(t *testing.T) {
	t.Parallel()
	tenant := mustTenant(t, Options{Audiences: []string{"https://api.example"}})
	for _, tt := range []struct {
		body   string
		header []string
		status int
		code   string
	}{
		{tokenForm(DefaultClientID, DefaultClientSecret, managementAudience), nil, 200, ""},
		{`{"grant_type":"client_credentials","client_id":"headroom-test-client","client_secret":"headroom-test-secret","audience":"https://api.example"}`, []string{"Content-Type", "application/json"}, 200, ""},
		{"grant_type=client_credentials&audience=" + url.QueryEscape(managementAudience), []string{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte(DefaultClientID+":"+DefaultClientSecret))}, 200, ""},
		{tokenForm(DefaultClientID, "wrong", managementAudience), nil, 401, "access_denied"},
		{tokenForm("nobody", DefaultClientSecret, managementAudience), nil, 401, "access_denied"},
		{tokenForm("", "", managementAudience), nil, 401, "access_denied"},
		{tokenForm(DefaultClientID, DefaultClientSecret, ""), nil, 403, "access_denied"},
		{tokenForm(DefaultClientID, DefaultClientSecret, "https://elsewhere.example/api/v2/"), nil, 403, "access_denied"},
		{tokenForm(DefaultClientID, DefaultClientSecret, managementAudience, "grant_type", "urn:example:unheard-of"), nil, 403, "unsupported_grant_type"},
		{"client_id=x", nil, 400, "invalid_request"},
	} {
		header := append([]string{"Content-Type", formType}, tt.header...)
		r := send(t, tenant, "POST", "/oauth/token", tt.body, header...)
		code, _ := r.doc(t)["error"].(string)
		if r.status != tt.status || code != tt.code {
			t.Errorf("%s: %d %s, want %d %s", tt.body, r.status, r.body, tt.status, tt.code)
		}
		if strings.Contains(r.body, DefaultClientSecret) {
			t.Errorf("the secret comes back: %s", r.body)
		}
	}
	// A token for another API does not open this one.
	r := send(t, tenant, "POST", "/oauth/token", tokenForm(DefaultClientID, DefaultClientSecret, "https://api.example"), "Content-Type", formType)
	fails(t, send(t, tenant, "GET", "/api/v2/users", "", "Authorization", "Bearer "+r.doc(t)["access_token"].(string)), 401, "", "audience")
}

func TestScopes(t *testing.T) {
	t.Parallel()
	tenant := mustTenant(t, Options{
		CheckScopes: true, Tokens: []string{"any"},
		Clients: []Client{{ID: "reader", Secret: "s", Scopes: []string{"read:users", "read:connections"}}},
	})
	token := send(t, tenant, "POST", "/oauth/token", tokenForm("reader", "s", managementAudience), "Content-Type", formType).doc(t)["access_token"].(string)
	for _, tt := range []struct {
		method, path, token string
		status              int
	}{
		{"GET", "/api/v2/users", token, 200},
		{"DELETE", "/api/v2/users/x", token, 403},
		{"GET", "/api/v2/connections", token, 200},
		{"GET", "/api/v2/jobs/x", token, 404}, // read:users is one of two that will do
		{"DELETE", "/api/v2/users/x", "any", 204},
		{"DELETE", "/api/v2/users/x", tenant.Token(), 204},
	} {
		r := send(t, tenant, tt.method, tt.path, "", "Authorization", "Bearer "+tt.token)
		if r.status != tt.status {
			t.Errorf("%s %s: %d %s, want %d", tt.method, tt.path, r.status, r.body, tt.status)
		}
		if tt.status == 403 {
			fails(t, r, 403, "insufficient_scope", "delete:users")
		}
	}
}

// Requests without a valid token are counted like others.
func TestRefusedTokensAreCharged(t *testing.T) {
	t.Parallel()
	tenant := mustTenant(t, Options{Plan: plan(bucket("b", 2, 1, time.Hour, "GET", "/api/v2/users"))})
	for i, want := range []int{401, 401, 429} {
		if r := send(t, tenant, "GET", "/api/v2/users", ""); r.status != want {
			t.Errorf("request %d: %d, want %d", i+1, r.status, want)
		}
	}
}

// The applications are none that the tenant knows: what passes the policies is
// refused for that.
func TestCustomPolicies(t *testing.T) {
	t.Parallel()
	clock := newClock()
	tenant := mustTenant(t, Options{
		Plan:  plan(global(bucket("api", 100, 100, time.Second, "*", "/*"))),
		Clock: clock.Now,
		Policies: []Policy{
			{Selector: "default", Quota: 2},
			{Selector: "client_id:known", Quota: 3, Interval: 10 * time.Second},
			{Selector: "third_party_clients", Quota: 1},
			{Selector: "client_id:blocked", Quota: 0},
			{Selector: "cimd_clients", Quota: 1, LogOnly: true},
		},
	})
	for i, tt := range []struct {
		ms             int
		target, client string
		status         int
		header, retry  string
		remaining      int64 // of the tenant's bucket
	}{
		{0, "/oauth/revoke", "known", 401, "client;q=3;t=10;r=2", "", 99},
		{0, "/oauth/par", "known", 401, "client;q=3;t=10;r=1", "", 98},
		{0, "/oauth/revoke", "known", 401, "client;q=3;t=10;r=0", "", 97},
		{500, "/oauth/revoke", "known", 429, "client;q=3;t=10;r=0", "10", 100}, // not counted by the tenant
		{500, "/mfa/challenge", "known", 401, "", "", 99},                      // under no policy
		{500, "/oauth/revoke", "a", 401, "client;q=2;t=1;r=1", "", 98},
		{500, "/oauth/revoke", "a", 401, "client;q=2;t=1;r=0", "", 97},
		{500, "/oauth/revoke", "b", 401, "client;q=2;t=1;r=1", "", 96}, // the default counts each by itself
		{500, "/oauth/revoke", "a", 429, "client;q=2;t=1;r=0", "1", 96},
		{500, "/oauth/revoke", "tpc_1", 401, "client;q=1;t=1;r=0", "", 95},
		{500, "/oauth/revoke", "tpa_2", 429, "client;q=1;t=1;r=0", "1", 95}, // a group shares one counter
		{500, "/oauth/revoke", "blocked", 429, "client;q=0;t=1;r=0", "1", 95},
		{500, "/oauth/revoke", "https://c.example", 401, "client;q=1;t=1;r=0", "", 94},
		{500, "/oauth/revoke", "https://c.example", 401, "client;q=1;t=1;r=0", "", 93}, // logged, not rejected
		{1500, "/oauth/revoke", "a", 401, "client;q=2;t=1;r=1", "", 99},
		{10000, "/oauth/revoke", "known", 401, "client;q=3;t=10;r=2", "", 99},
	} {
		clock.set(time.Duration(tt.ms) * time.Millisecond)
		r := send(t, tenant, "POST", tt.target, "client_id="+url.QueryEscape(tt.client), "Content-Type", formType)
		if r.status != tt.status || r.header.Get("Auth0-Ratelimit") != tt.header || r.header.Get("Retry-After") != tt.retry || r.limits()[1] != tt.remaining {
			t.Errorf("request %d, %s by %s: %d, %q, Retry-After %q, %d left; want %d, %q, %q, %d", i+1, tt.target, tt.client,
				r.status, r.header.Get("Auth0-Ratelimit"), r.header.Get("Retry-After"), r.limits()[1], tt.status, tt.header, tt.retry, tt.remaining)
		}
		if r.status == 429 {
			if doc := r.doc(t); doc["error"] != "too_many_requests" || doc["error_description"] != "Rate limit exceeded." {
				t.Errorf("request %d: body %s", i+1, r.body)
			}
		}
	}
	if r := send(t, tenant, "GET", "/authorize?client_id=blocked", ""); r.status != 429 || !strings.HasPrefix(r.body, "<!DOCTYPE") {
		t.Errorf("/authorize of a blocked application: %d %s", r.status, r.body)
	}
	if got := tenant.Report().RejectedByForm["policy"]; got != 4 {
		t.Errorf("%d rejections by policies, want 4", got)
	}
}

func TestTokenQuotas(t *testing.T) {
	t.Parallel()
	clock := newClock() // 19:30 UTC: 30 minutes of the hour and 4.5 hours of the day are left
	tenant := mustTenant(t, Options{
		Plan:  plan(global(bucket("api", 100, 1, time.Hour, "*", "/*"))),
		Clock: clock.Now, ClientQuota: Quota{PerHour: 2, PerDay: 3}, OrganizationQuota: Quota{PerHour: 5},
		Clients: []Client{{ID: "a", Secret: "s"}, {ID: "b", Secret: "s", Quota: Quota{PerHour: 9}}},
	})
	for i, tt := range []struct {
		at           time.Duration
		client, org  string
		status       int
		ofClient     string
		ofOrg        string
		limit, reset int64
		retry        string
	}{
		{0, "a", "", 200, "b=per_hour;q=2;r=1;t=1800,b=per_day;q=3;r=2;t=16200", "", 100, -1, ""},
		{time.Minute, "a", "org_1", 200, "b=per_hour;q=2;r=0;t=1740,b=per_day;q=3;r=1;t=16140", "b=per_hour;q=5;r=4;t=1740", 100, -1, ""},
		{time.Minute, "a", "", 429, "b=per_hour;q=2;r=0;t=1740,b=per_day;q=3;r=1;t=16140", "", 2, 1800, "1740"},
		{time.Minute, "b", "", 200, "b=per_hour;q=9;r=8;t=1740", "", 100, -1, ""}, // its own quota
		{30 * time.Minute, "a", "", 200, "b=per_hour;q=2;r=1;t=3600,b=per_day;q=3;r=0;t=14400", "", 100, -1, ""},
		{31 * time.Minute, "a", "", 429, "b=per_hour;q=2;r=1;t=3540,b=per_day;q=3;r=0;t=14340", "", 3, 16200, "14340"},
		{270 * time.Minute, "a", "", 200, "b=per_hour;q=2;r=1;t=3600,b=per_day;q=3;r=2;t=86400", "", 100, -1, ""},
	} {
		clock.set(tt.at)
		more := []string{}
		if tt.org != "" {
			more = append(more, "organization", tt.org)
		}
		r := send(t, tenant, "POST", "/oauth/token", tokenForm(tt.client, "s", managementAudience, more...), "Content-Type", formType)
		l := r.limits()
		if r.status != tt.status || r.header.Get("Auth0-Client-Quota-Limit") != tt.ofClient || r.header.Get("Auth0-Organization-Quota-Limit") != tt.ofOrg || r.header.Get("Retry-After") != tt.retry {
			t.Errorf("request %d: %d %v", i+1, r.status, r.header)
		}
		if l[0] != tt.limit || tt.status == 429 && (l[1] != 0 || l[2] != tt.reset) {
			t.Errorf("request %d: limits %v, want %d, reset %d", i+1, l, tt.limit, tt.reset)
		}
		if tt.status == 429 && r.doc(t)["error_description"] != "Client quota exceeded" {
			t.Errorf("request %d: %s", i+1, r.body)
		}
	}
	r := tenant.Report()
	if r.RejectedByForm["client_quota"] != 2 || r.Bucket("api").Taken != 7 {
		t.Errorf("report %+v: a token refused by a quota still counts toward the API", r)
	}
}

func TestOrganizationQuota(t *testing.T) {
	t.Parallel()
	clock := newClock()
	tenant := mustTenant(t, Options{Clock: clock.Now, OrganizationQuota: Quota{PerDay: 1}})
	fetch := func(org string) reply {
		return send(t, tenant, "POST", "/oauth/token", tokenForm(DefaultClientID, DefaultClientSecret, managementAudience, "organization", org), "Content-Type", formType)
	}
	for i, tt := range []struct {
		org    string
		status int
	}{{"org_1", 200}, {"org_1", 429}, {"org_2", 200}, {"", 200}} {
		r := fetch(tt.org)
		if r.status != tt.status || tt.status == 429 && r.doc(t)["error_description"] != "Organization quota exceeded" {
			t.Errorf("request %d: %d %s", i+1, r.status, r.body)
		}
	}
}

func TestNoSecretsInReportOrStrings(t *testing.T) {
	t.Parallel()
	b := bucket("b", 9, 1, time.Hour, "POST", "/api/v2/users")
	b.Key = ratelimit.KeyIPEmail
	tenant := mustTenant(t, Options{Plan: plan(b), AnyToken: true, Clients: []Client{{ID: "client", Secret: "c1ient-s3cret"}}})
	create(t, tenant, `"email":"ada@example.com","password":"pa55word"`)
	token := tenant.Token()
	report, err := json.Marshal(tenant.Report())
	if err != nil {
		t.Fatal(err)
	}
	client := Client{ID: "client", Secret: "c1ient-s3cret"}
	for _, s := range []string{string(report), tenant.String(), fmt.Sprintf("%v %+v %#v", client, client, client)} {
		for _, secret := range []string{"pa55word", "c1ient-s3cret", "ada@example.com", token} {
			if strings.Contains(s, secret) {
				t.Errorf("%q is shown in %s", secret, s)
			}
		}
	}
}
