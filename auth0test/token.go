package auth0test

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// grant is an access token in force.
type grant struct {
	client     string
	subject    string
	scopes     []string // none means all
	management bool     // for the Management API
	expires    time.Duration
}

// Token returns a new Management API token with all scopes, as if fetched by
// the first client, without drawing from any bucket.
func (t *Tenant) Token() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	client := Client{ID: DefaultClientID}
	if len(t.o.Clients) > 0 {
		client.ID = t.o.Clients[0].ID
	}
	return t.grant(client, "https://"+t.o.Domain+"/api/v2/", "", true, t.tick())
}

// grant makes a token. It has the shape of a JWT, because limits that count by
// subject read it, and is signed with a key that only this tenant knows.
func (t *Tenant) grant(client Client, audience, organization string, management bool, now time.Duration) string {
	for token, g := range t.grants {
		if g.expires != 0 && g.expires+24*time.Hour < now {
			delete(t.grants, token) // expired long ago: forgotten, and so invalid
		}
	}
	g := &grant{
		client: client.ID, subject: client.ID + "@clients", scopes: client.Scopes,
		management: management, expires: now + t.o.TokenLife,
	}
	encode := func(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
	payload := map[string]any{
		"iss": "https://" + t.o.Domain + "/", "sub": g.subject, "aud": audience, "azp": client.ID,
		"iat": ceilSeconds(now), "exp": ceilSeconds(g.expires), "scope": strings.Join(g.scopes, " "),
		"gty": "client-credentials", "jti": t.newID(24),
	}
	if organization != "" {
		payload["org_id"] = organization
	}
	signed := encode([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + encode(mustJSON(payload))
	mac := hmac.New(sha256.New, t.key[:])
	mac.Write([]byte(signed))
	token := signed + "." + encode(mac.Sum(nil))
	t.grants[token] = g
	return token
}

// issueToken answers POST /oauth/token for the client credentials grant.
func (t *Tenant) issueToken(c *call) answer {
	grantType := c.field("grant_type")
	if grantType == "" {
		return oauthFailure(http.StatusBadRequest, "invalid_request", "Missing required parameter: grant_type")
	}
	id, secret, ok := basicAuth(c.header)
	if !ok {
		id, secret = c.field("client_id"), c.field("client_secret")
	}
	client, known := t.clients[id]
	if !known || subtle.ConstantTimeCompare([]byte(secret), []byte(client.Secret)) != 1 {
		return oauthFailure(http.StatusUnauthorized, "access_denied", "Unauthorized")
	}
	if grantType != "client_credentials" {
		return oauthFailure(http.StatusForbidden, "unsupported_grant_type", "Unsupported grant type: "+grantType)
	}
	audience := c.field("audience")
	if audience == "" {
		return oauthFailure(http.StatusForbidden, "access_denied", "No audience parameter was provided, and no default audience has been configured")
	}
	management := t.isManagement(audience, c.host)
	if !management && t.resourceServer(audience) == nil {
		return oauthFailure(http.StatusForbidden, "access_denied", "Service not found: "+audience)
	}
	var granted bool
	if client.Scopes, granted = t.granted(client.ID, audience); !granted {
		return oauthFailure(http.StatusForbidden, "access_denied", `Client is not authorized to access "`+audience+`"`)
	}
	organization := c.field("organization")
	shown, rejected := t.checkQuotas(c, client, organization)
	if rejected != nil {
		return *rejected
	}
	a := jsonAnswer(http.StatusOK, map[string]any{
		"access_token": t.grant(client, audience, organization, management, c.now),
		"token_type":   "Bearer",
		"expires_in":   int64(t.o.TokenLife / time.Second),
		"scope":        strings.Join(client.Scopes, " "),
	})
	a.header.Set("Cache-Control", "no-store")
	for name := range shown {
		a.header[name] = shown[name]
	}
	return a
}

// isManagement reports whether an audience is the Management API of this
// tenant, under its own name or the one that the request came to.
func (t *Tenant) isManagement(audience, host string) bool {
	u, err := url.Parse(audience)
	if err != nil || u.Path != "/api/v2/" || u.RawQuery != "" {
		return false
	}
	return u.Scheme == "https" && u.Host == t.o.Domain || u.Host == host
}

// authorize checks the token of a Management API call and returns the refusal,
// nil when there is none.
func (t *Tenant) authorize(c *call, scopes []string) *answer {
	token := c.bearer()
	c.token = t.grants[token]
	if t.o.AnyToken {
		return nil
	}
	refuse := func(message string) *answer {
		a := jsonAnswer(http.StatusUnauthorized, apiError{
			StatusCode: http.StatusUnauthorized, Error: "Unauthorized", Message: message,
			Attributes: map[string]string{"error": message},
		})
		a.header.Set("WWW-Authenticate", `Bearer error="`+message+`"`)
		return &a
	}
	switch g := c.token; {
	case token == "":
		a := failure(http.StatusUnauthorized, "", "Missing authentication")
		return &a
	case g == nil:
		return refuse("Invalid token")
	case g.expires != 0 && c.now >= g.expires:
		return refuse("Expired token received for JSON Web Token validation")
	case !g.management:
		return refuse("Bad audience: the token is not for this API")
	case t.o.CheckScopes && len(scopes) > 0 && len(g.scopes) > 0 &&
		!slices.ContainsFunc(scopes, func(s string) bool { return slices.Contains(g.scopes, s) }):
		a := failure(http.StatusForbidden, "insufficient_scope", "Insufficient scope, expected any of: "+strings.Join(scopes, ","))
		return &a
	}
	return nil
}
