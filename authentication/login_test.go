package authentication_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headroom-go/auth0"
	"github.com/headroom-go/auth0/authentication"
)

// A login makes what protects it, keeps what it was given, and survives being
// stored as JSON.
func TestNewLogin(t *testing.T) {
	t.Parallel()
	given := authentication.Authorize{Scope: "openid", MaxAge: new(60), Organization: "org_1", Extra: url.Values{"ext-a": {"b"}}}
	a, b := authentication.NewLogin(given), authentication.NewLogin(given)
	p := a.Authorize
	for name, v := range map[string]string{"state": p.State, "nonce": p.Nonce, "verifier": a.CodeVerifier} {
		if len(v) < 26 || name == "verifier" && (len(v) < 43 || len(v) > 128) {
			t.Errorf("%s has %d characters", name, len(v))
		}
	}
	sum := sha256.Sum256([]byte(a.CodeVerifier))
	if p.CodeChallenge != base64.RawURLEncoding.EncodeToString(sum[:]) || p.CodeChallengeMethod != "S256" {
		t.Errorf("challenge %s %s", p.CodeChallengeMethod, p.CodeChallenge)
	}
	if p.State == b.Authorize.State || p.Nonce == b.Authorize.Nonce || a.CodeVerifier == b.CodeVerifier || p.State == p.Nonce {
		t.Error("two logins share a secret")
	}
	if given.State != "" || given.CodeChallenge != "" {
		t.Error("the parameters were changed")
	}
	data, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	var back authentication.Login
	if err := json.Unmarshal(data, &back); err != nil || back.Authorize.State != p.State || back.CodeVerifier != a.CodeVerifier || *back.Authorize.MaxAge != 60 || back.Authorize.Extra.Get("ext-a") != "b" {
		t.Errorf("%s: %v", data, err)
	}
	e := a.Expect(&authentication.TokenSet{AccessToken: "at"})
	if e.Nonce != p.Nonce || *e.MaxAge != time.Minute || e.Organization != "org_1" || e.AccessToken != "at" {
		t.Errorf("%+v", e)
	}
	own := authentication.NewLogin(authentication.Authorize{State: "s", Nonce: "n", CodeChallenge: "c"})
	if own.Authorize.State != "s" || own.Authorize.Nonce != "n" || own.Authorize.CodeChallenge != "c" || own.CodeVerifier != "" {
		t.Errorf("%#v", own.Authorize)
	}
	for _, shown := range []string{fmt.Sprintf("%v %+v %#v", a, a, a), fmt.Sprint(a.LogValue())} {
		if strings.Contains(shown, a.CodeVerifier) || strings.Contains(shown, p.State) {
			t.Errorf("%s shows a secret", shown)
		}
	}
}

// The browser comes back in every way but the right one.
func TestFinishLogin(t *testing.T) {
	t.Parallel()
	var form url.Values
	api := authentication.New(newClient(t, func(_ *http.Request, body string) answer {
		form, _ = url.ParseQuery(body)
		return replyJSON(200, `{"access_token":"at","id_token":"it","expires_in":60}`)
	}), authentication.None("app"))
	login := authentication.NewLogin(authentication.Authorize{RedirectURI: "https://app.example.com/callback"})
	state := login.Authorize.State
	for name, c := range map[string]struct {
		login *authentication.Login
		query url.Values
		want  error
	}{
		"no login":        {nil, url.Values{"state": {state}, "code": {"c"}}, authentication.ErrState},
		"an empty login":  {&authentication.Login{}, url.Values{"state": {""}, "code": {"c"}}, authentication.ErrState},
		"no state":        {login, url.Values{"code": {"c"}}, authentication.ErrState},
		"another state":   {login, url.Values{"state": {state + "x"}, "code": {"c"}}, authentication.ErrState},
		"two states":      {login, url.Values{"state": {state, "x"}, "code": {"c"}}, authentication.ErrState},
		"two codes":       {login, url.Values{"state": {state}, "code": {"c", "d"}}, authentication.ErrState},
		"another issuer":  {login, url.Values{"state": {state}, "code": {"c"}, "iss": {"https://evil.auth0.com/"}}, authentication.ErrIssuer},
		"no code":         {login, url.Values{"state": {state}}, authentication.ErrNoCode},
		"error of others": {login, url.Values{"state": {"x"}, "error": {"access_denied"}}, authentication.ErrState},
	} {
		if _, err := api.OAuth.FinishLogin(t.Context(), c.login, c.query); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if form != nil {
		t.Errorf("a code was exchanged: %v", form)
	}
	for _, c := range calls(t)[0].Errors {
		_, err := api.OAuth.FinishLogin(t.Context(), login, url.Values{"state": {state}, "error": {c.Code}, "error_description": {"of user a@example.com"}})
		e, ok := errors.AsType[*authentication.Error](err)
		if !ok || string(e.Code) != c.Code || e.Description != "of user a@example.com" || strings.Contains(err.Error(), "a@example.com") || !strings.Contains(err.Error(), c.Code) {
			t.Errorf("%s: %v", c.Code, err)
		}
	}
	_, err := api.OAuth.FinishLogin(t.Context(), login, url.Values{"state": {state}, "error": {"x\n<script>" + strings.Repeat("y", 100)}})
	if err == nil || strings.ContainsAny(err.Error(), "\n<>") || len(err.Error()) > 150 {
		t.Errorf("%v", err)
	}
	tokens, err := api.OAuth.FinishLogin(t.Context(), login, url.Values{"state": {state}, "code": {"the-code"}, "iss": {issuer}})
	if err != nil || tokens.IDToken != "it" {
		t.Fatalf("%v, %v", tokens, err)
	}
	want := url.Values{
		"grant_type": {"authorization_code"}, "client_id": {"app"}, "code": {"the-code"},
		"code_verifier": {login.CodeVerifier}, "redirect_uri": {"https://app.example.com/callback"},
	}
	if fmt.Sprint(form) != fmt.Sprint(want) {
		t.Errorf("form %v, want %v", form, want)
	}
}

// A request object has the parameters with their types, and addresses the
// tenant.
func TestSignRequest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		key := rsaKey(t, "client")
		api := authentication.New(newClient(t, func(*http.Request, string) answer { return replyJSON(200, "{}") }), authentication.None("app"))
		raw, err := api.OAuth.SignRequest(auth0.PrivateKey{Signer: key, KeyID: "kid", Algorithm: "PS256"}, &authentication.Authorize{
			Scope: "openid", MaxAge: new(60), State: "s", AuthorizationDetails: authentication.AuthorizationDetails{json.RawMessage(`{"type":"pay"}`)},
		})
		if err != nil {
			t.Fatal(err)
		}
		header, claims := claimsOf(t, raw, &key.PublicKey, "PS256")
		if header["typ"] != "oauth-authz-req+jwt" || header["kid"] != "kid" {
			t.Errorf("header %v", header)
		}
		id, _ := claims["jti"].(string)
		delete(claims, "jti")
		now := float64(time.Now().Unix())
		want := map[string]any{
			"iss": "app", "client_id": "app", "aud": issuer, "iat": now, "exp": now + 300, "response_type": "code", "scope": "openid",
			"state": "s", "max_age": 60.0, "authorization_details": []any{map[string]any{"type": "pay"}},
		}
		if fmt.Sprint(claims) != fmt.Sprint(want) || len(id) < 20 || len(id) > 64 {
			t.Errorf("claims %v (jti %s), want %v", claims, id, want)
		}
		u := api.OAuth.AuthorizeURLWithJAR(raw)
		if !strings.HasPrefix(u, "https://example.auth0.com/authorize?client_id=app&request=eyJ") {
			t.Error(u)
		}
		vault, err := api.TokenExchange.SignVaultRequest(auth0.PrivateKey{Signer: key}, "auth0|1", "nightly report", "org_1")
		if err != nil {
			t.Fatal(err)
		}
		header, claims = claimsOf(t, vault, &key.PublicKey, "RS256")
		delete(claims, "jti")
		want = map[string]any{"iss": "app", "sub": "auth0|1", "aud": issuer, "iat": now, "audit_context": "nightly report", "org_id": "org_1"}
		if header["typ"] != "token-vault-req+jwt" || fmt.Sprint(claims) != fmt.Sprint(want) {
			t.Errorf("header %v, claims %v", header, claims)
		}
	})
}

// Parameters of one's own have any number of values, and details that are no JSON
// spoil nothing beside them: a call says so before anything is sent, and of a URL
// the tenant does.
func TestOddParameters(t *testing.T) {
	t.Parallel()
	key, sent := rsaKey(t, "client"), 0
	api := authentication.New(newClient(t, func(*http.Request, string) answer { sent++; return replyJSON(201, `{"request_uri":"urn:x"}`) }), authentication.None("app"))
	raw, err := api.OAuth.SignRequest(auth0.PrivateKey{Signer: key}, &authentication.Authorize{
		Extra: url.Values{"ext-none": nil, "ext-one": {"a"}, "ext-two": {"a", "b"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	_, claims := claimsOf(t, raw, &key.PublicKey, "RS256")
	if _, ok := claims["ext-none"]; ok || claims["ext-one"] != "a" || fmt.Sprint(claims["ext-two"]) != "[a b]" {
		t.Errorf("claims %v", claims)
	}
	p := authentication.NewLogin(authentication.Authorize{AuthorizationDetails: authentication.AuthorizationDetails{json.RawMessage(`{"type":`)}}).Authorize
	if _, err := api.OAuth.PushAuthorization(t.Context(), &p); err == nil || !strings.Contains(err.Error(), "authorization_details") || sent != 0 {
		t.Errorf("%d pushed, error %v", sent, err)
	}
	if _, err := api.OAuth.SignRequest(auth0.PrivateKey{Signer: key}, &p); err == nil || !strings.Contains(err.Error(), "authorization_details") {
		t.Errorf("signed, error %v", err)
	}
	u, err := url.Parse(api.OAuth.AuthorizeURL(&p))
	if err != nil {
		t.Fatal(err)
	}
	if q := u.Query(); q.Get("state") != p.State || q.Get("code_challenge") != p.CodeChallenge || q.Get("authorization_details") != `[{"type":]` {
		t.Errorf("query %v", q)
	}
}

// What cannot be signed is said so, by the name of what is missing.
func TestSigningMistakes(t *testing.T) {
	t.Parallel()
	c := newClient(t, func(*http.Request, string) answer { return replyJSON(200, "{}") })
	api, nobody := authentication.New(c, authentication.None("app")), authentication.New(c)
	wrong := authentication.New(c, authentication.ClientSecretPost("app", ""))
	key := auth0.PrivateKey{Signer: rsaKey(t, "client")}
	vault := func(api *authentication.API, key auth0.PrivateKey, user, why string) error {
		_, err := api.TokenExchange.SignVaultRequest(key, user, why, "")
		return err
	}
	request := func(api *authentication.API, key auth0.PrivateKey) error {
		_, err := api.OAuth.SignRequest(key, nil)
		return err
	}
	longest := strings.Repeat("é", 256)
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"request without a key":       {request(api, auth0.PrivateKey{}), "Signer"},
		"request without a client id": {request(nobody, key), "client id"},
		"request of a wrong option":   {request(wrong, key), "ClientSecretPost"},
		"vault without a key":         {vault(api, auth0.PrivateKey{}, "auth0|1", "why"), "Signer"},
		"vault without a client id":   {vault(nobody, key, "auth0|1", "why"), "client id"},
		"vault without a user":        {vault(api, key, "", "why"), "id of the user"},
		"vault without a reason":      {vault(api, key, "auth0|1", ""), "why"},
		"vault with a long reason":    {vault(api, key, "auth0|1", longest+"x"), "256"},
	} {
		if c.err == nil || !strings.Contains(c.err.Error(), c.want) {
			t.Errorf("%s: %v, want something about %s", name, c.err, c.want)
		}
	}
	if err := vault(api, key, "auth0|1", longest); err != nil {
		t.Errorf("the longest reason: %v", err)
	}
}

// The address of a user is sent as the tenant counts it, and nothing is sent
// without one.
func TestForwardedFor(t *testing.T) {
	t.Parallel()
	var seen []string
	api := authentication.New(newClient(t, func(r *http.Request, _ string) answer {
		seen = append(seen, r.Header.Get("Auth0-Forwarded-For"))
		return replyJSON(200, `{"access_token":"a"}`)
	}), authentication.ClientSecretPost("app", "secret"))
	for _, ip := range []string{"192.0.2.1", "::ffff:192.0.2.1", "2001:db8::1", "fe80::1%eth0"} {
		if _, err := api.OAuth.Password(t.Context(), filled[authentication.Password](), authentication.ForwardedFor(netip.MustParseAddr(ip))); err != nil {
			t.Error(err)
		}
	}
	if want := []string{"192.0.2.1", "192.0.2.1", "2001:db8::1", "fe80::1"}; !slices.Equal(seen, want) {
		t.Errorf("sent %q, want %q", seen, want)
	}
	if _, err := api.OAuth.Password(t.Context(), filled[authentication.Password](), authentication.ForwardedFor(netip.Addr{})); err == nil || !strings.Contains(err.Error(), "ForwardedFor") || len(seen) != 4 {
		t.Errorf("no address: %v after %d requests", err, len(seen))
	}
}

// What browsers are sent to, where the list of calls leaves a choice.
func TestBrowserURLs(t *testing.T) {
	t.Parallel()
	c := newClient(t, func(*http.Request, string) answer { return replyJSON(200, "{}") })
	api, nobody := authentication.New(c, authentication.None("app")), authentication.New(c)
	for got, want := range map[string]string{
		api.Logout.URL(nil): "https://example.auth0.com/v2/logout?client_id=app",
		api.Logout.URL(&authentication.Logout{WholeTenant: true, Federated: true}):   "https://example.auth0.com/v2/logout?federated",
		api.Logout.URL(&authentication.Logout{ReturnTo: "https://a.example/?b=c&d"}): "https://example.auth0.com/v2/logout?client_id=app&returnTo=https%3A%2F%2Fa.example%2F%3Fb%3Dc%26d",
		nobody.Logout.OIDCURL(nil): "https://example.auth0.com/oidc/logout",
		api.OAuth.AuthorizeURL(&authentication.Authorize{ResponseType: "id_token"}): "https://example.auth0.com/authorize?client_id=app&response_type=id_token",
		api.OAuth.AuthorizeURLWithPAR("urn:x"):                                      "https://example.auth0.com/authorize?client_id=app&request_uri=urn%3Ax",
		api.SAML.URL("a/../b", nil):                                                 "https://example.auth0.com/samlp/a%2F..%2Fb",
		api.WSFederation.URL("", &authentication.WSFederation{Realm: "urn:app"}):    "https://example.auth0.com/wsfed?wtrealm=urn%3Aapp",
	} {
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
