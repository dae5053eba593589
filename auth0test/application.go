package auth0test

import (
	"crypto"
	"crypto/subtle"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"slices"
	"time"
)

// application is an application that takes part in logins.
type application struct {
	Client
	doc map[string]any // as the Management API shows it
}

// application returns an application by its id, nil for none.
func (t *Tenant) application(id string) *application {
	client, known := t.clients[id]
	o := t.object("client", id)
	if !known || o == nil {
		return nil
	}
	return &application{client, o.doc}
}

// public reports whether an application has nothing to prove itself with.
func (a *application) public() bool { return a.doc["token_endpoint_auth_method"] == "none" }

// may reports whether an application has a grant type.
func (a *application) may(grantType string) bool {
	return slices.Contains(texts(a.doc["grant_types"]), grantType)
}

// allows reports whether a list of URLs in the application's document has one.
func (a *application) allows(list, target string) bool {
	return slices.Contains(texts(a.doc[list]), target)
}

// rotates reports whether refresh tokens are good for one use.
func (a *application) rotates() bool {
	settings, _ := a.doc["refresh_token"].(map[string]any)
	return settings["rotation_type"] == "rotating"
}

// describeIn writes what Options say of an application into its document.
func (c Client) describeIn(doc map[string]any) {
	list := func(values []string) []any {
		out := make([]any, len(values))
		for i, v := range values {
			out[i] = v
		}
		return out
	}
	doc["callbacks"], doc["allowed_logout_urls"] = list(c.Callbacks), list(c.LogoutURLs)
	doc["grant_types"] = list(c.Grants)
	if c.Grants == nil {
		doc["grant_types"] = list(grantTypes())
	}
	switch {
	case c.Public:
		doc["app_type"], doc["token_endpoint_auth_method"] = "native", "none"
	case len(c.Callbacks) > 0:
		doc["app_type"] = "regular_web"
	}
	if c.RotateRefreshTokens {
		doc["refresh_token"] = map[string]any{"rotation_type": "rotating", "expiration_type": "expiring"}
	}
}

// identify returns the application that a request speaks for, when it proves to
// be that application in a way that is its own, or the refusal.
func (t *Tenant) identify(c *call) (*application, *answer) {
	refuse := func(what string) (*application, *answer) {
		a := oauthFailure(http.StatusUnauthorized, "invalid_client", what)
		return nil, &a
	}
	id, secret, basic := basicAuth(c.header)
	if !basic {
		id, secret = c.field("client_id"), c.field("client_secret")
	}
	if assertion := c.field("client_assertion"); assertion != "" {
		app, what := t.asserted(c, assertion)
		if what != "" || id != "" && id != app.ID {
			return refuse(firstOf(what, "The client assertion is another application's"))
		}
		return app, nil
	}
	app := t.application(id)
	switch {
	case app != nil && app.Secret != "" && subtle.ConstantTimeCompare([]byte(secret), []byte(app.Secret)) == 1:
		return app, nil
	case app != nil && app.public() && c.field("grant_type") != grantClient:
		return app, nil
	case c.field("grant_type") == grantClient: // which Auth0 refuses in words of its own
		a := oauthFailure(http.StatusUnauthorized, "access_denied", "Unauthorized")
		return nil, &a
	}
	return refuse("Client authentication failed")
}

const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// assertionAlgorithms are those that an application may sign with.
func assertionAlgorithms() []string {
	return []string{"RS256", "RS384", "PS256", "PS384", "ES256", "ES384", "EdDSA"}
}

// asserted returns the application that an assertion proves, or what is wrong
// with it.
func (t *Tenant) asserted(c *call, assertion string) (app *application, what string) {
	j := parseJWT(assertion)
	if j == nil || c.field("client_assertion_type") != assertionType {
		return nil, "The client assertion is not a JWT of the type that client_assertion_type has to name"
	}
	id := j.text("iss")
	if app = t.application(id); app == nil || j.text("sub") != id {
		return nil, "The client assertion is of no application"
	}
	if !t.signedByClient(j, id) {
		return nil, "The client assertion is not signed by a key of the application"
	}
	until, dated := j.moment("exp")
	from, begins := j.moment("nbf")
	issued, aged := j.moment("iat")
	switch jti := j.text("jti"); {
	case !j.isFor(c.issuer(), c.issuer()+"oauth/token", "https://"+t.o.Domain+"/"):
		return nil, "The client assertion is for another audience"
	case !dated || until <= c.now:
		return nil, "The client assertion has expired"
	case begins && from > c.now+time.Minute, aged && issued > c.now+time.Minute:
		return nil, "The client assertion is not valid yet"
	case len(id) > 64 || jti == "" || len(jti) > 64:
		return nil, "The client assertion has claims of a length that is not allowed"
	case !t.firstUse("assertion\n"+id+"\n"+jti, until):
		return nil, "The client assertion has been used before"
	}
	return app, ""
}

// signedByClient reports whether an application has signed a JWT, by the keys
// that Options or the Management API have given it.
func (t *Tenant) signedByClient(j *signedJWT, id string) bool {
	if !slices.Contains(assertionAlgorithms(), j.header.Alg) {
		return false
	}
	if slices.ContainsFunc(t.clients[id].Keys, j.signedBy) {
		return true
	}
	return slices.ContainsFunc(t.kept["credential"].list[id], func(o *object) bool {
		key := t.credentials[o.id]
		return key != nil && j.signedBy(key)
	})
}

// publicPEM reads a public key or a certificate, nil for what is neither.
func publicPEM(text string) crypto.PublicKey {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil
	}
	if key, err := x509.ParsePKIXPublicKey(block.Bytes); err == nil {
		return key
	}
	if certificate, err := x509.ParseCertificate(block.Bytes); err == nil {
		return certificate.PublicKey
	}
	return nil
}

// register answers POST /oidc/register: any program may become an application.
func (t *Tenant) register(c *call) answer {
	sent, bad := c.object()
	if bad != nil {
		return invalidRequest("The body is not a JSON object")
	}
	wrong := func(what string) answer {
		return oauthFailure(http.StatusBadRequest, "invalid_client_metadata", what)
	}
	redirects, method := texts(sent["redirect_uris"]), firstOf(text(sent["token_endpoint_auth_method"]), "client_secret_basic")
	grants := []any{grantCode, grantRefresh}
	if list, given := sent["grant_types"].([]any); given {
		grants = list
	}
	switch {
	case len(redirects) == 0 || slices.ContainsFunc(redirects, func(s string) bool { return isURI(s) != "" }):
		return oauthFailure(http.StatusBadRequest, "invalid_redirect_uri", "redirect_uris is not a list of URLs")
	case !slices.Contains([]string{"none", "client_secret_post", "client_secret_basic"}, method):
		return wrong("token_endpoint_auth_method is not none, client_secret_post or client_secret_basic")
	case slices.ContainsFunc(grants, func(g any) bool { return g != grantCode && g != grantRefresh }):
		return wrong("grant_types are authorization_code and refresh_token")
	}
	doc := map[string]any{
		"client_id": "tpc_" + t.newID(32), "name": firstOf(text(sent["client_name"]), "Dynamic client"), "callbacks": sent["redirect_uris"],
		"grant_types": grants, "token_endpoint_auth_method": method, "is_first_party": false, "app_type": "regular_web", "oidc_conformant": true,
	}
	t.completeClient(doc, "")
	if _, bad := t.keep(clientKind(), "", doc); bad != nil {
		return *bad
	}
	a := map[string]any{
		"client_id": doc["client_id"], "client_name": doc["name"], "redirect_uris": redirects, "grant_types": grants,
		"token_endpoint_auth_method": method, "client_secret_expires_at": 0,
	}
	if method != "none" {
		a["client_secret"] = doc["client_secret"]
	}
	return unstored(jsonAnswer(http.StatusCreated, a))
}
