package auth0test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"maps"
	"net/url"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/headroom-go/auth0"
	"github.com/headroom-go/auth0/authentication"
)

// signed is a JWT made by another library than the tenant's own.
func signed(t *testing.T, alg jose.SignatureAlgorithm, key crypto.Signer, typ string, embed bool, claims map[string]any) string {
	t.Helper()
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, (&jose.SignerOptions{EmbedJWK: embed}).WithType(jose.ContentType(typ)))
	if err != nil {
		t.Fatal(err)
	}
	jws, err := s.Sign(mustJSON(claims))
	if err != nil {
		t.Fatal(err)
	}
	token, err := jws.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func ecKey(t *testing.T, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// withClaims is claims, changed by pairs; nil leaves one out.
func withClaims(claims map[string]any, pairs ...any) map[string]any {
	out := maps.Clone(claims)
	for i := 0; i+1 < len(pairs); i += 2 {
		if out[pairs[i].(string)] = pairs[i+1]; pairs[i+1] == nil {
			delete(out, pairs[i].(string))
		}
	}
	return out
}

// An application proves itself by an assertion that it has signed.
func TestAssertions(t *testing.T) {
	t.Parallel()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ec, other := ecKey(t, elliptic.P256()), ecKey(t, elliptic.P256())
	ec384 := ecKey(t, elliptic.P384())
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	clock := newClock()
	o := shop()
	o.Clock, o.AnyToken = clock.Now, true
	o.Clients = append(o.Clients, Client{ID: "signs", Keys: []crypto.PublicKey{rsaKey.Public(), ec.Public(), ec384.Public(), ed.Public()}, Callbacks: []string{callback}})
	tenant := mustTenant(t, o)
	serial := 0
	usual := func(pairs ...any) map[string]any {
		serial++
		return withClaims(map[string]any{
			"iss": "signs", "sub": "signs", "aud": base + "/", "exp": begin + 60, "iat": begin, "jti": fmt.Sprint(serial),
		}, pairs...)
	}
	ask := func(assertion string, pairs ...string) reply {
		form := url.Values{
			"grant_type": {grantClient}, "audience": {things}, "client_id": {"signs"},
			"client_assertion_type": {assertionType}, "client_assertion": {assertion},
		}
		change(form, pairs)
		return post(t, tenant, "/oauth/token", form)
	}
	for alg, key := range map[jose.SignatureAlgorithm]crypto.Signer{
		jose.RS256: rsaKey, jose.RS384: rsaKey, jose.PS256: rsaKey, jose.PS384: rsaKey, jose.ES256: ec, jose.ES384: ec384, jose.EdDSA: ed,
	} {
		if r := ask(signed(t, alg, key, "JWT", false, usual())); r.status != 200 {
			t.Errorf("%s: %d %s", alg, r.status, r.body)
		}
	}
	if r := ask(signed(t, jose.ES256, ec, "JWT", false, usual("aud", []string{"x", base + "/oauth/token"})), "client_id", "-"); r.status != 200 {
		t.Errorf("for one of two audiences, without client_id: %d %s", r.status, r.body)
	}
	twice := signed(t, jose.ES256, ec, "JWT", false, usual())
	if r := ask(twice); r.status != 200 {
		t.Errorf("%d %s", r.status, r.body)
	}
	good := func(pairs ...any) string { return signed(t, jose.ES256, ec, "JWT", false, usual(pairs...)) }
	fresh := good()
	for what, r := range map[string]reply{
		"used twice":            ask(twice),
		"another key":           ask(signed(t, jose.ES256, other, "JWT", false, usual())),
		"an algorithm too weak": ask(signed(t, jose.RS512, rsaKey, "JWT", false, usual())),
		"a broken signature":    ask(fresh[:len(fresh)-3] + "AAA"),
		"no JWT":                ask("x.y.z"),
		"no type":               ask(good(), "client_assertion_type", "-"),
		"another client_id":     ask(good(), "client_id", "web"),
		"another sub":           ask(good("sub", "web")),
		"another's iss":         ask(good("iss", "web", "sub", "web"), "client_id", "web"),
		"another audience":      ask(good("aud", "https://other.example/")),
		"no audience":           ask(good("aud", nil)),
		"expired":               ask(good("exp", begin)),
		"no end":                ask(good("exp", nil)),
		"not yet valid":         ask(good("nbf", begin+61)),
		"of the future":         ask(good("iat", begin+61)),
		"no id":                 ask(good("jti", nil)),
		"a long id":             ask(good("jti", fmt.Sprintf("%65d", 1))),
	} {
		refusal(t, what, r, 401, "invalid_client")
	}
	refusal(t, "no assertion and no secret", ask("", "client_assertion", "-"), 401, "access_denied")

	// Keys by the Management API.
	der, err := x509.MarshalPKIXPublicKey(other.Public())
	if err != nil {
		t.Fatal(err)
	}
	text := string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	r := send(t, tenant, "POST", "/api/v2/clients/signs/credentials", string(mustJSON(map[string]any{"credential_type": "public_key", "name": "k", "pem": text})))
	if r.status != 201 {
		t.Fatalf("%d %s", r.status, r.body)
	}
	byOther := func() reply { return ask(signed(t, jose.ES256, other, "JWT", false, usual())) }
	if r := byOther(); r.status != 200 {
		t.Errorf("a key by the Management API: %d %s", r.status, r.body)
	}
	send(t, tenant, "DELETE", "/api/v2/clients/signs/credentials/"+r.doc(t)["id"].(string), "")
	refusal(t, "a key that is gone", byOther(), 401, "invalid_client")

	// The same keys sign request objects.
	object := func(key crypto.Signer, pairs ...any) string {
		return base + "/authorize?" + url.Values{"client_id": {"signs"}, "request": {signed(t, jose.ES256, key, "oauth-authz-req+jwt", false, withClaims(map[string]any{
			"iss": "signs", "aud": base + "/", "client_id": "signs", "exp": begin + 60, "response_type": "code", "redirect_uri": callback,
			"state": "in-the-object", "scope": "openid", "max_age": 60,
		}, pairs...))}}.Encode()
	}
	back, err := tenant.Login(object(ec)+"&state=outside", "ada@example.com", "ada-password")
	if err != nil || back.Query().Get("state") != "in-the-object" || back.Query().Get("code") == "" {
		t.Errorf("request object: %v, %v", back, err)
	}
	for what, target := range map[string]string{
		"another key": object(other), "another audience": object(ec, "aud", "x"), "another client": object(ec, "client_id", "web"), "expired": object(ec, "exp", begin),
	} {
		if r := send(t, tenant, "GET", target, ""); r.status != 403 {
			t.Errorf("request object with %s: %d", what, r.status)
		}
	}
}

// The project's own client gets bound tokens, with a nonce when it is asked for
// one, and with assertions by its own key.
func TestDPoPWithTheClient(t *testing.T) {
	t.Parallel()
	key := ecKey(t, elliptic.P256())
	o := shop()
	o.DPoPNonce = true
	o.Clients[0].Keys = []crypto.PublicKey{key.Public()}
	tenant := mustTenant(t, o)
	server := tenant.Server(t)
	client, err := auth0.New(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer client.CloseIdleConnections()
	bound, err := authentication.NewDPoP(ecKey(t, elliptic.P256()), "")
	if err != nil {
		t.Fatal(err)
	}
	thumbprint, err := bound.Thumbprint()
	if err != nil {
		t.Fatal(err)
	}
	service := authentication.New(client, authentication.PrivateKeyJWT(auth0.PrivateKey{ClientID: "web", Signer: key}), authentication.DPoPBound(bound))
	login := authentication.NewLogin(authentication.Authorize{RedirectURI: callback, Scope: "openid", Audience: things, DPoPThumbprint: thumbprint})
	pushed, err := service.OAuth.PushAuthorization(t.Context(), &login.Authorize)
	if err != nil {
		t.Fatal(err)
	}
	back, err := tenant.Login(service.OAuth.AuthorizeURLWithPAR(pushed.RequestURI), "ada@example.com", "ada-password")
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := service.OAuth.FinishLogin(t.Context(), login, back.Query())
	if err != nil || tokens.TokenType != "DPoP" {
		t.Fatalf("%v, %v", tokens, err)
	}
	v, err := authentication.NewVerifier(client, authentication.VerifierOptions{Audience: things})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.AccessToken(t.Context(), tokens.AccessToken, authentication.ExpectAccess{DPoPThumbprint: thumbprint}); err != nil {
		t.Error(err)
	}
	if user, err := service.OAuth.UserInfo(t.Context(), tokens.AccessToken); err != nil || user.Subject != "auth0|ada" {
		t.Errorf("%+v, %v", user, err)
	}
	if _, err := authentication.New(client, authentication.None("web")).OAuth.UserInfo(t.Context(), tokens.AccessToken); err == nil {
		t.Error("a bound token is taken without its key")
	}
}

func TestDPoPProofs(t *testing.T) {
	t.Parallel()
	key, other := ecKey(t, elliptic.P256()), ecKey(t, elliptic.P256())
	clock := newClock()
	o := shop()
	o.Clock = clock.Now
	tenant := mustTenant(t, o)
	o.DPoPNonce = true
	strict := mustTenant(t, o)
	serial := 0
	proof := func(key crypto.Signer, typ string, pairs ...any) string {
		serial++
		return signed(t, jose.ES256, key, typ, true, withClaims(map[string]any{
			"jti": fmt.Sprint(serial), "htm": "POST", "htu": base + "/oauth/token", "iat": clock.Now().Unix(),
		}, pairs...))
	}
	ask := func(tenant *Tenant, proof string) reply {
		return post(t, tenant, "/oauth/token", url.Values{"grant_type": {grantClient}, "audience": {things}, "client_id": {"m2m"}, "client_secret": {"m2m-secret"}}, "DPoP", proof)
	}
	const typ = "dpop+jwt"
	twice := proof(key, typ)
	r := ask(tenant, twice)
	jwk, err := (&jose.JSONWebKey{Key: key.Public()}).Thumbprint(crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(claims(r.doc(t)["access_token"].(string))["cnf"]); r.doc(t)["token_type"] != "DPoP" || got != "map[jkt:"+encode64(jwk)+"]" {
		t.Errorf("%s: cnf %s", r.body, got)
	}
	for what, proof := range map[string]string{
		"used twice": twice, "no JWT": "x", "another type": proof(key, "JWT"), "another method": proof(key, typ, "htm", "GET"),
		"another path": proof(key, typ, "htu", base+"/userinfo"), "another host": proof(key, typ, "htu", "https://other.example/oauth/token"),
		"no time": proof(key, typ, "iat", nil), "old": proof(key, typ, "iat", begin-301), "of the future": proof(key, typ, "iat", begin+301), "no id": proof(key, typ, "jti", nil),
		"no key": signed(t, jose.ES256, key, typ, false, map[string]any{"jti": "a", "htm": "POST", "htu": base + "/oauth/token", "iat": begin}),
	} {
		refusal(t, what, ask(tenant, proof), 400, "invalid_dpop_proof")
	}
	for _, pairs := range [][]any{{"htu", base + "/oauth/token?a=b#c"}, {"htu", "HTTPS://Tenant.auth0.test/oauth/token"}, {"iat", begin - 300}, {"iat", begin + 300}} {
		if r := ask(tenant, proof(key, typ, pairs...)); r.status != 200 {
			t.Errorf("%v: %d %s", pairs, r.status, r.body)
		}
	}
	// Nonces hold for five to ten minutes.
	r = ask(strict, proof(key, typ))
	refusal(t, "no nonce", r, 400, "use_dpop_nonce")
	nonce := r.header.Get("DPoP-Nonce")
	refusal(t, "a wrong nonce", ask(strict, proof(key, typ, "nonce", nonce+"x")), 400, "use_dpop_nonce")
	for _, tt := range []struct {
		at   time.Duration
		want int
	}{{0, 200}, {10*time.Minute - 1, 200}, {10 * time.Minute, 400}} {
		clock.set(tt.at)
		if r := ask(strict, proof(key, typ, "nonce", nonce)); r.status != tt.want {
			t.Errorf("a nonce after %v: %d %s", tt.at, r.status, r.body)
		}
	}
	clock.set(0)
	// A token that is bound is presented with a proof that names it.
	form := url.Values{
		"grant_type": {grantPassword}, "client_id": {"app"}, "username": {"ada@example.com"}, "password": {"ada-password"}, "scope": {"openid offline_access"},
	}
	doc := post(t, tenant, "/oauth/token", form, "DPoP", proof(key, typ)).doc(t)
	token, _ := doc["access_token"].(string)
	sum := sha256.Sum256([]byte(token))
	present := func(scheme, dpop string) reply {
		header := []string{"Authorization", scheme + " " + token}
		if dpop != "" {
			header = append(header, "DPoP", dpop)
		}
		return send(t, tenant, "GET", "/userinfo", "", header...)
	}
	to := func(key crypto.Signer, pairs ...any) string {
		return proof(key, typ, append([]any{"htm", "GET", "htu", base + "/userinfo", "ath", encode64(sum[:])}, pairs...)...)
	}
	if r := present("DPoP", to(key)); r.status != 200 {
		t.Errorf("%d %s", r.status, r.body)
	}
	for what, r := range map[string]reply{
		"as a bearer token": present("Bearer", ""), "without a proof": present("DPoP", ""), "as a bearer token with a proof": present("Bearer", to(key)),
		"another key": present("DPoP", to(other)),
	} {
		refusal(t, what, r, 401, "invalid_token")
	}
	refusal(t, "of another token", present("DPoP", to(key, "ath", "x")), 401, "invalid_dpop_proof")
	// So is the refresh token of an application that has no other proof.
	refresh := func(dpop ...string) reply {
		form := url.Values{"grant_type": {grantRefresh}, "client_id": {"app"}, "refresh_token": {doc["refresh_token"].(string)}}
		if len(dpop) == 0 {
			return post(t, tenant, "/oauth/token", form)
		}
		return post(t, tenant, "/oauth/token", form, "DPoP", dpop[0])
	}
	refusal(t, "refreshing without a proof", refresh(), 400, "invalid_dpop_proof")
	refusal(t, "refreshing with another key", refresh(proof(other, typ)), 400, "invalid_dpop_proof")
	if r := refresh(proof(key, typ)); r.status != 200 || r.doc(t)["token_type"] != "DPoP" {
		t.Errorf("refreshing: %d %s", r.status, r.body)
	}
}
