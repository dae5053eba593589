package auth0test

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/headroom-go/auth0"
	"github.com/headroom-go/auth0/authentication"
)

const (
	callback = "https://app.example/callback"
	verifier = "a-verifier-of-forty-three-characters-or-more"
	things   = "https://api.example"
)

// shop is the options of a tenant with a shop: a web application, a public one,
// and two users.
func shop() Options {
	return Options{
		Audiences: []string{things},
		Clients: []Client{
			{ID: "web", Secret: "web-secret", Callbacks: []string{callback, "https://app.example/other"}, LogoutURLs: []string{"https://app.example/bye"}},
			{ID: "app", Public: true, Callbacks: []string{callback}, RotateRefreshTokens: true},
			{ID: "m2m", Secret: "m2m-secret", Grants: []string{grantClient}},
		},
		Users: []User{
			{ID: "ada", Email: "Ada@example.com", EmailVerified: true, Name: "Ada", Password: "ada-password"},
			{ID: "bob", Email: "bob@example.com", Username: "bob", PhoneNumber: "+491700000", Password: "bob-password", Blocked: true},
		},
	}
}

// challengeFor is the public half of a PKCE verifier (RFC 7636).
func challengeFor(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return encode64(sum[:])
}

// authorizeURL is a login by the web application, as changed by pairs of names
// and values; a value of "-" leaves the parameter out.
func authorizeURL(pairs ...string) string {
	q := url.Values{
		"client_id": {"web"}, "response_type": {"code"}, "redirect_uri": {callback}, "scope": {"openid profile email offline_access"},
		"state": {"the-state"}, "nonce": {"the-nonce"}, "code_challenge": {challengeFor(verifier)}, "code_challenge_method": {"S256"},
	}
	change(q, pairs)
	return base + "/authorize?" + q.Encode()
}

func change(q url.Values, pairs []string) {
	for i := 0; i+1 < len(pairs); i += 2 {
		if q.Set(pairs[i], pairs[i+1]); pairs[i+1] == "-" {
			q.Del(pairs[i])
		}
	}
}

// post sends a form.
func post(t *testing.T, rt http.RoundTripper, path string, form url.Values, header ...string) reply {
	t.Helper()
	return send(t, rt, "POST", path, form.Encode(), append([]string{"Content-Type", formType}, header...)...)
}

// exchange exchanges a code, by the web application unless pairs say otherwise.
func exchange(t *testing.T, rt http.RoundTripper, code string, pairs ...string) reply {
	t.Helper()
	form := url.Values{
		"grant_type": {grantCode}, "client_id": {"web"}, "client_secret": {"web-secret"}, "code": {code},
		"redirect_uri": {callback}, "code_verifier": {verifier},
	}
	change(form, pairs)
	return post(t, rt, "/oauth/token", form)
}

// refreshed asks for tokens with a refresh token.
func refreshed(t *testing.T, rt http.RoundTripper, token any, pairs ...string) reply {
	t.Helper()
	s, _ := token.(string)
	form := url.Values{"grant_type": {grantRefresh}, "client_id": {"web"}, "client_secret": {"web-secret"}, "refresh_token": {s}}
	change(form, pairs)
	return post(t, rt, "/oauth/token", form)
}

// codeOf has Ada log in and returns the code that the browser comes back with.
func codeOf(t *testing.T, tenant *Tenant, pairs ...string) string {
	t.Helper()
	back, err := tenant.Login(authorizeURL(pairs...), "ada@example.com", "ada-password")
	if err != nil {
		t.Fatal(err)
	}
	code := back.Query().Get("code")
	if code == "" || back.Query().Get("state") != "the-state" {
		t.Fatalf("the browser comes back with %v", back.Query())
	}
	return code
}

// refusal checks a refusal of the Authentication API.
func refusal(t *testing.T, what string, r reply, status int, code string) {
	t.Helper()
	if got := r.doc(t)["error"]; r.status != status || got != code {
		t.Errorf("%s: %d %s, want %d %s", what, r.status, r.body, status, code)
	}
}

// The tokens of a login are what the client's own verifier, which is built on
// other libraries, takes; and say what they have to say.
func TestTokensOfALogin(t *testing.T) {
	t.Parallel()
	tenant := mustTenant(t, shop())
	server := tenant.Server(t)
	client, err := auth0.New(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer client.CloseIdleConnections()
	login := authentication.NewLogin(authentication.Authorize{
		RedirectURI: callback, Scope: "openid profile email offline_access read:things", Audience: things,
	})
	service := authentication.New(client, authentication.ClientSecretBasic("web", "web-secret"))
	back, err := tenant.Login(service.OAuth.AuthorizeURL(&login.Authorize), "ada@example.com", "ada-password")
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := service.OAuth.FinishLogin(t.Context(), login, back.Query())
	if err != nil {
		t.Fatal(err)
	}
	v, err := authentication.NewVerifier(client, authentication.VerifierOptions{ClientID: "web", Audience: things, Leeway: -1})
	if err != nil {
		t.Fatal(err)
	}
	id, err := v.IDToken(t.Context(), tokens.IDToken, login.Expect(tokens))
	if err != nil {
		t.Fatal(err)
	}
	if id.Subject != "auth0|ada" || id.Issuer != server.URL+"/" || !slices.Equal(id.Audience, []string{"web"}) || id.SessionID == "" || id.AuthTime.IsZero() {
		t.Errorf("ID token %+v", id)
	}
	for name, want := range map[string]string{"name": `"Ada"`, "email": `"ada@example.com"`, "email_verified": "true", "phone_number": ""} {
		if got := string(id.Claims[name]); got != want {
			t.Errorf("claim %s is %s, want %s", name, got, want)
		}
	}
	if id.Claims["at_hash"] == nil {
		t.Error("there is no at_hash, so that none was checked")
	}
	access, err := v.AccessToken(t.Context(), tokens.AccessToken, authentication.ExpectAccess{Scopes: []string{"read:things", "openid"}})
	if err != nil {
		t.Fatal(err)
	}
	if access.Subject != "auth0|ada" || access.ClientID != "web" || !slices.Equal(access.Audience, []string{things, server.URL + "/userinfo"}) {
		t.Errorf("access token %+v", access)
	}
	user, err := service.OAuth.UserInfo(t.Context(), tokens.AccessToken)
	if err != nil || user.Subject != "auth0|ada" || user.Email != "ada@example.com" || user.Name != "Ada" {
		t.Errorf("user %+v, %v", user, err)
	}
	// A key that is rotated stays good for old tokens until it is rotated once more.
	kid := tenant.RotateKey()
	set, err := service.Discovery.Keys(t.Context(), auth0.Header("X-Fresh", "1"))
	if err != nil || len(set.Keys) != 2 || set.Keys[0].KeyID != kid || len(set.Keys[0].Certificates) != 1 || !set.Keys[0].Valid() {
		t.Errorf("keys %+v, %v", set, err)
	}
	fresh, err := service.OAuth.Refresh(t.Context(), &authentication.Refresh{RefreshToken: tokens.RefreshToken})
	if err != nil {
		t.Fatal(err)
	}
	other, err := authentication.NewVerifier(client, authentication.VerifierOptions{ClientID: "web"})
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]*authentication.TokenSet{"before": tokens, "after": fresh} {
		if _, err := other.IDToken(t.Context(), tt.IDToken, login.Expect(tt)); err != nil {
			t.Errorf("signed %s the rotation: %v", name, err)
		}
	}
	tenant.RotateKey()
	tenant.RotateKey()
	last, err := authentication.NewVerifier(client, authentication.VerifierOptions{ClientID: "web"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := last.IDToken(t.Context(), fresh.IDToken, login.Expect(fresh)); err == nil {
		t.Error("a key is published after two more rotations")
	}
}

func TestConfiguration(t *testing.T) {
	t.Parallel()
	tenant := mustTenant(t, Options{})
	for _, host := range []string{base, "http://127.0.0.1:8123"} {
		for _, path := range []string{"/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"} {
			doc := send(t, tenant, "GET", host+path, "").doc(t)
			for name, want := range map[string]string{
				"issuer": "/", "token_endpoint": "/oauth/token", "jwks_uri": "/.well-known/jwks.json", "authorization_endpoint": "/authorize",
			} {
				if doc[name] != host+want {
					t.Errorf("%s%s: %s is %v", host, path, name, doc[name])
				}
			}
		}
	}
}

// The errors of an authorization code, one after the other.
func TestCodes(t *testing.T) {
	t.Parallel()
	clock := newClock()
	o := shop()
	o.Clock = clock.Now
	tenant := mustTenant(t, o)
	code := codeOf(t, tenant)
	for _, tt := range []struct {
		what, code string
		pairs      []string
		status     int
		want       string
	}{
		{"no code", "", nil, 400, "invalid_request"},
		{"another code", "none", nil, 403, "invalid_grant"},
		{"a wrong secret", code, []string{"client_secret", "wrong"}, 401, "invalid_client"},
		{"no secret", code, []string{"client_secret", "-"}, 401, "invalid_client"},
		{"another application", code, []string{"client_id", "app"}, 403, "invalid_grant"},
		{"an application without the grant", code, []string{"client_id", "m2m", "client_secret", "m2m-secret"}, 403, "unauthorized_client"},
		{"another redirect_uri", code, []string{"redirect_uri", "https://app.example/other"}, 403, "invalid_grant"},
		{"no redirect_uri", code, []string{"redirect_uri", "-"}, 403, "invalid_grant"},
		{"no verifier", code, []string{"code_verifier", "-"}, 400, "invalid_request"},
	} {
		refusal(t, tt.what, exchange(t, tenant, tt.code, tt.pairs...), tt.status, tt.want)
	}
	// None of these has used it up.
	first := exchange(t, tenant, code)
	doc := first.doc(t)
	if first.status != 200 || doc["scope"] != "openid profile email offline_access" || doc["token_type"] != "Bearer" || doc["refresh_token"] == nil || first.header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%d %s", first.status, first.body)
	}
	userinfo := func() int {
		return send(t, tenant, "GET", "/userinfo", "", "Authorization", "Bearer "+doc["access_token"].(string)).status
	}
	if got := userinfo(); got != 200 {
		t.Errorf("userinfo %d", got)
	}
	// Used again it takes the tokens that it gave with it.
	refusal(t, "a used code", exchange(t, tenant, code), 403, "invalid_grant")
	refusal(t, "the refresh token of a code that was used again", refreshed(t, tenant, doc["refresh_token"]), 403, "invalid_grant")
	if got := userinfo(); got != 401 {
		t.Errorf("userinfo with the access token of a code that was used again: %d", got)
	}
	refusal(t, "a wrong verifier", exchange(t, tenant, codeOf(t, tenant), "code_verifier", verifier+"x"), 403, "invalid_grant")
	refusal(t, "a verifier where there was no challenge", exchange(t, tenant, codeOf(t, tenant, "code_challenge", "-", "code_challenge_method", "-")), 403, "invalid_grant")
	if r := exchange(t, tenant, codeOf(t, tenant, "code_challenge", verifier, "code_challenge_method", "plain")); r.status != 200 {
		t.Errorf("a plain challenge: %d %s", r.status, r.body)
	}
	old, late := codeOf(t, tenant), codeOf(t, tenant)
	clock.set(codeLife - 1)
	if r := exchange(t, tenant, old); r.status != 200 {
		t.Errorf("just before it expires: %d %s", r.status, r.body)
	}
	clock.set(codeLife)
	refusal(t, "an expired code", exchange(t, tenant, late), 403, "invalid_grant")
}

// A public application proves that it holds the verifier, and nothing else.
func TestPublicApplication(t *testing.T) {
	t.Parallel()
	clock := newClock()
	o := shop()
	o.Clock = clock.Now
	tenant := mustTenant(t, o)
	public := []string{"client_id", "app", "client_secret", "-"}
	first := exchange(t, tenant, codeOf(t, tenant, "client_id", "app"), public...).doc(t)
	back, err := tenant.Login(authorizeURL("client_id", "app", "code_challenge", "-"), "ada@example.com", "ada-password")
	if err != nil || back.Query().Get("error") != "invalid_request" {
		t.Errorf("without PKCE: %v, %v", back, err)
	}
	refusal(t, "client credentials", post(t, tenant, "/oauth/token", url.Values{"grant_type": {grantClient}, "client_id": {"app"}, "audience": {things}}), 401, "access_denied")
	// Each refresh token is good once, and an old one ends the family.
	clock.set(time.Hour)
	second := refreshed(t, tenant, first["refresh_token"], public...).doc(t)
	if second["refresh_token"] == nil || second["refresh_token"] == first["refresh_token"] || second["id_token"] == nil {
		t.Fatalf("rotation: %v", second)
	}
	third := refreshed(t, tenant, second["refresh_token"], public...).doc(t)
	refusal(t, "an old refresh token", refreshed(t, tenant, first["refresh_token"], public...), 403, "invalid_grant")
	refusal(t, "the newest after that", refreshed(t, tenant, third["refresh_token"], public...), 403, "invalid_grant")
}

func TestRefreshTokens(t *testing.T) {
	t.Parallel()
	clock := newClock()
	o := shop()
	o.Clock = clock.Now
	tenant := mustTenant(t, o)
	if doc := exchange(t, tenant, codeOf(t, tenant, "scope", "openid")).doc(t); doc["refresh_token"] != nil {
		t.Error("a refresh token without offline_access")
	}
	if doc := exchange(t, tenant, codeOf(t, tenant, "scope", "read:things", "audience", things)).doc(t); doc["id_token"] != nil {
		t.Error("an ID token without openid")
	}
	doc := exchange(t, tenant, codeOf(t, tenant)).doc(t)
	token := doc["refresh_token"]
	again := refreshed(t, tenant, token).doc(t)
	if again["access_token"] == nil || again["access_token"] == doc["access_token"] || again["refresh_token"] != nil {
		t.Errorf("without rotation: %v", again)
	}
	if narrow := refreshed(t, tenant, token, "scope", "openid email").doc(t); narrow["scope"] != "openid email" {
		t.Errorf("narrowed: %v", narrow)
	}
	refusal(t, "a wider scope", refreshed(t, tenant, token, "scope", "openid phone"), 403, "invalid_scope")
	refusal(t, "another application", refreshed(t, tenant, token, "client_id", "app", "client_secret", "-"), 403, "invalid_grant")
	refusal(t, "none", refreshed(t, tenant, "none"), 403, "invalid_grant")
	clock.set(refreshLife - 1)
	if r := refreshed(t, tenant, token); r.status != 200 {
		t.Errorf("just before it expires: %d %s", r.status, r.body)
	}
	clock.set(refreshLife)
	refusal(t, "an expired one", refreshed(t, tenant, token), 403, "invalid_grant")

	doc = exchange(t, tenant, codeOf(t, tenant)).doc(t)
	revoke := func(pairs ...string) reply {
		form := url.Values{"client_id": {"web"}, "client_secret": {"web-secret"}, "token": {doc["refresh_token"].(string)}}
		change(form, pairs)
		return post(t, tenant, "/oauth/revoke", form)
	}
	refusal(t, "revoking without the secret", revoke("client_secret", "-"), 401, "invalid_client")
	refusal(t, "revoking nothing", revoke("token", "-"), 400, "invalid_request")
	for _, pairs := range [][]string{{"token", "none"}, {"client_id", "app", "client_secret", "-"}} {
		if r := revoke(pairs...); r.status != 200 || r.body != "" {
			t.Errorf("revoking what is not the application's: %d %q", r.status, r.body)
		}
	}
	if r := refreshed(t, tenant, doc["refresh_token"]); r.status != 200 {
		t.Errorf("a token that another application has tried to revoke: %d %s", r.status, r.body)
	}
	if r := revoke(); r.status != 200 || r.body != "" {
		t.Errorf("revoking: %d %q", r.status, r.body)
	}
	refusal(t, "a revoked one", refreshed(t, tenant, doc["refresh_token"]), 403, "invalid_grant")
}

// What the authorize endpoint refuses: on a page where the browser cannot be
// sent back, else at the application.
func TestAuthorizeRefusals(t *testing.T) {
	t.Parallel()
	o := shop()
	o.Clients = append(o.Clients, Client{ID: "no-codes", Secret: "s", Callbacks: []string{callback}, Grants: []string{grantClient}})
	tenant := mustTenant(t, o)
	for _, tt := range []struct {
		pairs  []string
		status int
		want   string
	}{
		{[]string{"client_id", "none"}, 400, "no application"},
		{[]string{"redirect_uri", "https://evil.example/"}, 403, "callbacks"},
		{[]string{"redirect_uri", callback + "/more"}, 403, "callbacks"},
		{[]string{"client_id", "m2m", "redirect_uri", "-"}, 403, "callbacks"},
		{[]string{"request_uri", "urn:ietf:params:oauth:request_uri:none"}, 400, "request_uri"},
		{[]string{"response_type", "-"}, 302, "invalid_request"},
		{[]string{"response_type", "token"}, 302, "unsupported_response_type"},
		{[]string{"response_mode", "web_message"}, 302, "invalid_request"},
		{[]string{"code_challenge_method", "S512"}, 302, "invalid_request"},
		{[]string{"max_age", "soon"}, 302, "invalid_request"},
		{[]string{"audience", "https://none.example"}, 302, "access_denied"},
		{[]string{"organization", "none"}, 302, "invalid_request"},
		{[]string{"connection", "none"}, 302, "invalid_request"},
		{[]string{"client_id", "no-codes"}, 302, "unauthorized_client"},
		{[]string{"prompt", "none"}, 302, "login_required"},
	} {
		r := send(t, tenant, "GET", authorizeURL(tt.pairs...), "")
		back, err := url.Parse(r.header.Get("Location"))
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case r.status != tt.status:
			t.Errorf("%v: %d, want %d", tt.pairs, r.status, tt.status)
		case tt.status == 302:
			if q := back.Query(); q.Get("error") != tt.want || q.Get("state") != "the-state" || !strings.HasPrefix(back.String(), callback+"?") {
				t.Errorf("%v: %v, want %s", tt.pairs, back, tt.want)
			}
		case !strings.Contains(r.body, tt.want) || r.header.Get("Location") != "" || !strings.HasPrefix(r.header.Get("Content-Type"), "text/html"):
			t.Errorf("%v: %s", tt.pairs, r.body)
		}
	}
}

// browser keeps cookies, as one does.
type browser struct {
	t      *testing.T
	tenant *Tenant
	cookie string
}

func (b *browser) open(method, target string, form url.Values) reply {
	b.t.Helper()
	header := []string{"Accept", "text/html", "Content-Type", formType}
	if b.cookie != "" {
		header = append(header, "Cookie", b.cookie)
	}
	r := send(b.t, b.tenant, method, target, form.Encode(), header...)
	if set := (&http.Response{Header: r.header}).Cookies(); len(set) > 0 {
		if b.cookie = set[0].Name + "=" + set[0].Value; set[0].MaxAge < 0 {
			b.cookie = ""
		}
		if !set[0].HttpOnly || !set[0].Secure || set[0].SameSite != http.SameSiteLaxMode {
			b.t.Errorf("the cookie is open to others: %v", set[0])
		}
	}
	return r
}

// logIn opens a login and types a password.
func (b *browser) logIn(target, name, password string) reply {
	b.t.Helper()
	page := b.open("GET", target, nil).header.Get("Location")
	if r := b.open("GET", page, nil); r.status != 200 || !strings.Contains(r.body, `name="password"`) {
		b.t.Fatalf("%s: %d %s", page, r.status, r.body)
	}
	return b.open("POST", page, url.Values{"username": {name}, "password": {password}})
}

func backWith(t *testing.T, r reply) url.Values {
	t.Helper()
	back, err := url.Parse(r.header.Get("Location"))
	if err != nil || r.status != 302 {
		t.Fatalf("%d to %v, %v: %s", r.status, back, err, r.body)
	}
	return back.Query()
}

// A browser that is logged in is not asked again, until it has been too long,
// another login is asked for, or it has logged out.
func TestSessions(t *testing.T) {
	t.Parallel()
	clock := newClock()
	o := shop()
	o.Clock = clock.Now
	tenant := mustTenant(t, o)
	b := &browser{t: t, tenant: tenant}
	wrong := b.logIn(authorizeURL("login_hint", `"><script>`), "ada@example.com", "wrong")
	if wrong.status != 400 || !strings.Contains(wrong.body, "Wrong email or password") || strings.Contains(wrong.body, "wrong\"") || b.cookie != "" {
		t.Errorf("a wrong password: %d %s", wrong.status, wrong.body)
	}
	if page := b.open("GET", b.open("GET", authorizeURL("login_hint", `"><script>`), nil).header.Get("Location"), nil); strings.Contains(page.body, "<script>") || !strings.Contains(page.body, `value="&#34;&gt;&lt;script&gt;"`) {
		t.Errorf("the login hint is not escaped: %s", page.body)
	}
	q := backWith(t, b.logIn(authorizeURL(), "ADA@example.com", "ada-password"))
	if q.Get("code") == "" || q.Get("state") != "the-state" || b.cookie == "" {
		t.Fatalf("logged in: %v", q)
	}
	sid := claims(exchange(t, tenant, q.Get("code")).doc(t)["id_token"].(string))["sid"]
	clock.set(time.Hour)
	q = backWith(t, b.open("GET", authorizeURL("prompt", "none"), nil))
	token := claims(exchange(t, tenant, q.Get("code")).doc(t)["id_token"].(string))
	if token["sid"] != sid || token["auth_time"] != float64(begin) || token["iat"] != float64(begin+3600) {
		t.Errorf("without asking: %v", token)
	}
	for _, pairs := range [][]string{{"prompt", "login"}, {"max_age", "3599"}} {
		if r := b.open("GET", authorizeURL(pairs...), nil); !strings.HasPrefix(r.header.Get("Location"), "/u/login?state=") {
			t.Errorf("%v: %d to %s", pairs, r.status, r.header.Get("Location"))
		}
	}
	if q := backWith(t, b.open("GET", authorizeURL("max_age", "3600"), nil)); q.Get("code") == "" {
		t.Errorf("max_age that is not over: %v", q)
	}
	if r := b.open("GET", "/u/login?state=none", nil); r.status != 400 {
		t.Errorf("a page of no login: %d", r.status)
	}
	// Three days without use end it, and seven in all.
	clock.set(time.Hour + sessionIdle)
	if q := backWith(t, b.open("GET", authorizeURL("prompt", "none"), nil)); q.Get("error") != "login_required" {
		t.Errorf("after three days: %v", q)
	}
	if q := backWith(t, b.logIn(authorizeURL(), "bob@example.com", "bob-password")); q.Get("error") != "access_denied" || q.Get("error_description") != "user is blocked" {
		t.Errorf("a blocked user: %v", q)
	}
}

func TestLogout(t *testing.T) {
	t.Parallel()
	tenant := mustTenant(t, shop())
	const bye = "https://app.example/bye"
	loggedIn := func() (b *browser, id, refresh string) {
		b = &browser{t: t, tenant: tenant}
		q := backWith(t, b.logIn(authorizeURL("scope", "openid online_access"), "ada@example.com", "ada-password"))
		doc := exchange(t, tenant, q.Get("code")).doc(t)
		token, _ := doc["refresh_token"].(string)
		if r := refreshed(t, tenant, token); r.status != 200 {
			t.Errorf("a refresh token of the session: %d %s", r.status, r.body)
		}
		return b, doc["id_token"].(string), token
	}
	for _, tt := range []struct {
		target      string
		status      int
		to          string
		stillLogged bool
	}{
		{"/v2/logout?client_id=web&returnTo=" + url.QueryEscape(bye), 302, bye, false},
		{"/v2/logout?client_id=web", 302, bye, false},
		{"/v2/logout", 200, "", false},
		{"/v2/logout?client_id=web&returnTo=https%3A%2F%2Fevil.example", 400, "", true},
		{"/v2/logout?returnTo=" + url.QueryEscape(bye), 400, "", true},
		{"/oidc/logout?id_token_hint={token}&state=s&post_logout_redirect_uri=" + url.QueryEscape(bye), 302, bye + "?state=s", false},
		{"/oidc/logout?client_id=web&logout_hint={sid}&post_logout_redirect_uri=" + url.QueryEscape(bye), 302, bye, false},
		{"/oidc/logout?id_token_hint={token}&logout_hint=another", 400, "", true},
		{"/oidc/logout?id_token_hint={token}x", 400, "", true},
		{"/oidc/logout?id_token_hint={token}&post_logout_redirect_uri=https%3A%2F%2Fevil.example", 400, "", true},
		{"/oidc/logout?client_id=web", 200, "", true}, // asks
		{"/oidc/logout?client_id=web&confirmed=yes", 200, "", false},
	} {
		b, token, refresh := loggedIn()
		sid, _ := claims(token)["sid"].(string)
		r := b.open("GET", strings.NewReplacer("{token}", token, "{sid}", sid).Replace(tt.target), nil)
		if r.status != tt.status || r.header.Get("Location") != tt.to || (b.cookie != "") != tt.stillLogged {
			t.Errorf("%s: %d to %q, still logged in %v", tt.target, r.status, r.header.Get("Location"), b.cookie != "")
		}
		if r := refreshed(t, tenant, refresh); (r.status == 200) != tt.stillLogged {
			t.Errorf("%s: refreshing what lasts as long as the session: %d", tt.target, r.status)
		}
	}
}

// A code comes back in the way that the application has chosen.
func TestResponseModes(t *testing.T) {
	t.Parallel()
	tenant := mustTenant(t, shop())
	b := &browser{t: t, tenant: tenant}
	back := b.logIn(authorizeURL("response_mode", "fragment", "redirect_uri", "https://app.example/other"), "ada@example.com", "ada-password").header.Get("Location")
	if _, fragment, _ := strings.Cut(back, "https://app.example/other#"); fragment == "" || !strings.Contains(fragment, "code=") {
		t.Errorf("fragment: %s", back)
	}
	page := b.open("GET", authorizeURL("response_mode", "form_post", "state", `"<s>`), nil)
	if page.status != 200 || !strings.Contains(page.body, `action="https://app.example/callback"`) || !strings.Contains(page.body, `name="state" value="&#34;&lt;s&gt;"`) {
		t.Errorf("form_post: %d %s", page.status, page.body)
	}
	posted, err := tenant.Login(authorizeURL("response_mode", "form_post", "state", `"<s>`), "ada@example.com", "ada-password")
	if err != nil || posted.Query().Get("state") != `"<s>` || exchange(t, tenant, posted.Query().Get("code")).status != 200 {
		t.Errorf("form_post: %v, %v", posted, err)
	}
}

func TestPushedRequests(t *testing.T) {
	t.Parallel()
	clock := newClock()
	o := shop()
	o.Clock = clock.Now
	tenant := mustTenant(t, o)
	push := func(pairs ...string) reply {
		q := url.Values{
			"client_id": {"web"}, "client_secret": {"web-secret"}, "response_type": {"code"}, "redirect_uri": {callback},
			"state": {"pushed"}, "scope": {"openid"},
		}
		change(q, pairs)
		return post(t, tenant, "/oauth/par", q)
	}
	refusal(t, "a wrong secret", push("client_secret", "wrong"), 401, "invalid_client")
	refusal(t, "another callback", push("redirect_uri", "https://evil.example"), 400, "invalid_request")
	refusal(t, "no response_type", push("response_type", "-"), 400, "invalid_request")
	refusal(t, "a request_uri", push("request_uri", "urn:x"), 400, "invalid_request")
	at := func(r reply, client string) string {
		return base + "/authorize?" + url.Values{"client_id": {client}, "request_uri": {r.doc(t)["request_uri"].(string)}}.Encode()
	}
	r := push()
	if r.status != 201 || r.doc(t)["expires_in"] != 30.0 {
		t.Fatalf("%d %s", r.status, r.body)
	}
	if _, err := tenant.Login(at(r, "app"), "ada@example.com", "ada-password"); err == nil {
		t.Error("another application may use it")
	}
	back, err := tenant.Login(at(r, "web"), "ada@example.com", "ada-password")
	if err != nil || back.Query().Get("state") != "pushed" || exchange(t, tenant, back.Query().Get("code"), "code_verifier", "-").status != 200 {
		t.Errorf("%v, %v", back, err)
	}
	if _, err := tenant.Login(at(r, "web"), "ada@example.com", "ada-password"); err == nil {
		t.Error("it may be used twice")
	}
	r = push()
	clock.set(30 * time.Second)
	if _, err := tenant.Login(at(r, "web"), "ada@example.com", "ada-password"); err == nil {
		t.Error("it does not expire")
	}
}

func TestOrganizationLogins(t *testing.T) {
	t.Parallel()
	o := shop()
	o.AnyToken = true
	tenant := mustTenant(t, o)
	org, _ := send(t, tenant, "POST", "/api/v2/organizations", `{"name":"acme"}`).doc(t)["id"].(string)
	back, err := tenant.Login(authorizeURL("organization", org), "ada@example.com", "ada-password")
	if err != nil || back.Query().Get("error") != "access_denied" {
		t.Errorf("no member: %v, %v", back, err)
	}
	send(t, tenant, "POST", "/api/v2/organizations/"+org+"/members", `{"members":["auth0|ada"]}`)
	for _, name := range []string{org, "acme", "ACME"} {
		doc := exchange(t, tenant, codeOf(t, tenant, "organization", name, "audience", things)).doc(t)
		for _, token := range []string{"id_token", "access_token"} {
			if c := claims(doc[token].(string)); c["org_id"] != org || c["org_name"] != "acme" {
				t.Errorf("%s of %s: %v", token, name, c)
			}
		}
	}
	// A connection may make members of those who log in.
	con := tenant.connection(DefaultConnection, false).ID
	beta, _ := send(t, tenant, "POST", "/api/v2/organizations", `{"name":"beta","enabled_connections":[{"connection_id":"`+con+`","assign_membership_on_login":true}]}`).doc(t)["id"].(string)
	codeOf(t, tenant, "organization", beta)
	if r := send(t, tenant, "GET", "/api/v2/organizations/"+beta+"/members", ""); !strings.Contains(r.body, "auth0|ada") {
		t.Errorf("members %s", r.body)
	}
}

// Applications and passwords that the Management API makes serve as well.
func TestLoginsByTheManagementAPI(t *testing.T) {
	t.Parallel()
	tenant := mustTenant(t, Options{AnyToken: true})
	app := send(t, tenant, "POST", "/api/v2/clients", `{"name":"App","app_type":"spa","callbacks":["`+callback+`"]}`).doc(t)
	id, _ := app["client_id"].(string)
	create(t, tenant, `"email":"ada@example.com","password":"first-password"`)
	log := func(password string) (*url.URL, error) {
		return tenant.Login(authorizeURL("client_id", id), "ada@example.com", password)
	}
	back, err := log("first-password")
	if err != nil {
		t.Fatal(err)
	}
	doc := exchange(t, tenant, back.Query().Get("code"), "client_id", id, "client_secret", "-").doc(t)
	sub, _ := claims(doc["id_token"].(string))["sub"].(string)
	path := "/api/v2/users/" + url.PathEscape(sub)
	if user := send(t, tenant, "GET", path, "").doc(t); user["logins_count"] != 1.0 || user["last_login"] == nil || user["last_ip"] != "127.0.0.1" {
		t.Errorf("user %v", user)
	}
	send(t, tenant, "PATCH", path, `{"password":"second-password"}`)
	if _, err := log("first-password"); err == nil || !strings.Contains(err.Error(), "400: Wrong email or password.") {
		t.Errorf("the old password: %v", err)
	}
	if back, err := log("second-password"); err != nil || back.Query().Get("code") == "" {
		t.Errorf("the new password: %v, %v", back, err)
	}
	send(t, tenant, "PATCH", path, `{"blocked":true}`)
	refusal(t, "refreshing for a blocked user", refreshed(t, tenant, doc["refresh_token"], "client_id", id, "client_secret", "-"), 403, "access_denied")
	send(t, tenant, "DELETE", path, "")
	refusal(t, "refreshing for a user who is gone", refreshed(t, tenant, doc["refresh_token"], "client_id", id, "client_secret", "-"), 403, "invalid_grant")
}

func TestUserInfo(t *testing.T) {
	t.Parallel()
	clock := newClock()
	o := shop()
	o.Clock, o.TokenLife = clock.Now, time.Hour
	tenant := mustTenant(t, o)
	get := func(authorization string) reply {
		return send(t, tenant, "GET", "/userinfo", "", "Authorization", authorization)
	}
	access := func(pairs ...string) string {
		return "Bearer " + exchange(t, tenant, codeOf(t, tenant, pairs...)).doc(t)["access_token"].(string)
	}
	all := access("scope", "openid profile email")
	if doc := get(all).doc(t); doc["sub"] != "auth0|ada" || doc["name"] != "Ada" || doc["email"] != "ada@example.com" || doc["email_verified"] != true || doc["nickname"] != "ada" {
		t.Errorf("profile %v", doc)
	}
	if r := get(access("scope", "openid")); r.body != `{"sub":"auth0|ada"}` {
		t.Errorf("openid alone: %s", r.body)
	}
	if r := send(t, tenant, "GET", "/userinfo", ""); r.status != 401 || r.body != "Unauthorized" || r.header.Get("WWW-Authenticate") != "Bearer" {
		t.Errorf("without a token: %d %s", r.status, r.body)
	}
	clock.set(time.Hour)
	for what, authorization := range map[string]string{
		"an expired token": all, "a made-up one": "Bearer x", "one of another API": access("scope", "read:things", "audience", things),
		"one of an application": "Bearer " + tenant.Token(),
	} {
		r := get(authorization)
		refusal(t, what, r, 401, "invalid_token")
		if !strings.HasPrefix(r.header.Get("WWW-Authenticate"), `Bearer error="invalid_token"`) {
			t.Errorf("%s: WWW-Authenticate %q", what, r.header.Get("WWW-Authenticate"))
		}
	}
}

// A user's own token opens only those calls of the Management API that it has
// the scopes for.
func TestManagementTokensOfUsers(t *testing.T) {
	t.Parallel()
	tenant := mustTenant(t, shop())
	doc := exchange(t, tenant, codeOf(t, tenant, "audience", managementAudience, "scope", "openid read:users offline_access")).doc(t)
	call := func(method, path string) reply {
		return send(t, tenant, method, "/api/v2"+path, "", "Authorization", "Bearer "+doc["access_token"].(string))
	}
	if doc["refresh_token"] != nil {
		t.Error("a refresh token for an API that does not allow it")
	}
	if r := call("GET", "/users/auth0%7Cada"); r.status != 200 {
		t.Errorf("with the scope: %d %s", r.status, r.body)
	}
	fails(t, call("DELETE", "/users/auth0%7Cada"), 403, "insufficient_scope", "delete:users")
	none := exchange(t, tenant, codeOf(t, tenant, "audience", managementAudience, "scope", "-")).doc(t)
	doc["access_token"] = none["access_token"]
	fails(t, call("GET", "/users/auth0%7Cada"), 403, "insufficient_scope", "read:users")
}

// A program that nobody knows registers itself and logs somebody in.
func TestRegistration(t *testing.T) {
	t.Parallel()
	tenant := mustTenant(t, shop())
	register := func(body string) reply { return send(t, tenant, "POST", "/oidc/register", body) }
	for body, code := range map[string]string{
		`[]`: "invalid_request", `{}`: "invalid_redirect_uri", `{"redirect_uris":["x"]}`: "invalid_redirect_uri",
		`{"redirect_uris":["` + callback + `"],"grant_types":["client_credentials"]}`:             "invalid_client_metadata",
		`{"redirect_uris":["` + callback + `"],"token_endpoint_auth_method":"client_secret_jwt"}`: "invalid_client_metadata",
	} {
		refusal(t, body, register(body), 400, code)
	}
	doc := register(`{"redirect_uris":["` + callback + `"],"client_name":"Mine"}`).doc(t)
	id, _ := doc["client_id"].(string)
	secret, _ := doc["client_secret"].(string)
	if !strings.HasPrefix(id, "tpc_") || secret == "" || doc["client_name"] != "Mine" || doc["client_secret_expires_at"] != 0.0 {
		t.Fatalf("%v", doc)
	}
	if r := exchange(t, tenant, codeOf(t, tenant, "client_id", id), "client_id", id, "client_secret", secret); r.status != 200 || r.doc(t)["refresh_token"] == nil {
		t.Errorf("%d %s", r.status, r.body)
	}
	public := register(`{"redirect_uris":["` + callback + `"],"token_endpoint_auth_method":"none","grant_types":["authorization_code"]}`).doc(t)
	id, _ = public["client_id"].(string)
	if r := exchange(t, tenant, codeOf(t, tenant, "client_id", id), "client_id", id, "client_secret", "-"); public["client_secret"] != nil || r.status != 200 || r.doc(t)["refresh_token"] != nil {
		t.Errorf("%v: %d %s", public, r.status, r.body)
	}
}

func TestCertificate(t *testing.T) {
	t.Parallel()
	tenant := mustTenant(t, Options{})
	block, _ := pem.Decode([]byte(send(t, tenant, "GET", "/pem", "").body))
	if block == nil {
		t.Fatal("no certificate")
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	token := tenant.Token()
	cut := strings.LastIndex(token, ".")
	signature, err := base64.RawURLEncoding.DecodeString(token[cut+1:])
	if err != nil {
		t.Fatal(err)
	}
	if err := certificate.CheckSignature(x509.SHA256WithRSA, []byte(token[:cut]), signature); err != nil {
		t.Errorf("the certificate is not of the key that signs: %v", err)
	}
}
