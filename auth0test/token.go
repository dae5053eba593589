package auth0test

import (
	"maps"
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

	login      *login   // nil for an application's own
	audience   []string // of a login's
	thumbprint string   // of the DPoP key that it is bound to, "" for none
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
	issuer := "https://" + t.o.Domain + "/"
	return t.machineToken(client, &grant{management: true}, issuer, map[string]any{"aud": issuer + "api/v2/"}, t.tick())
}

// machineToken makes a token for an application itself.
func (t *Tenant) machineToken(client Client, g *grant, issuer string, more map[string]any, now time.Duration) string {
	g.client, g.subject, g.scopes = client.ID, client.ID+"@clients", client.Scopes
	more["gty"], more["scope"] = "client-credentials", strings.Join(client.Scopes, " ")
	return t.mint(g, issuer, more, now)
}

// mint makes an access token. It is a JWT for whoever checks it; the tenant
// itself looks it up.
func (t *Tenant) mint(g *grant, issuer string, more map[string]any, now time.Duration) string {
	g.expires = now + t.o.TokenLife
	payload := map[string]any{
		"iss": issuer, "sub": g.subject, "azp": g.client, "iat": floorSeconds(now), "exp": ceilSeconds(g.expires), "jti": t.newID(24),
	}
	if g.thumbprint != "" {
		payload["cnf"] = map[string]any{"jkt": g.thumbprint}
	}
	maps.Copy(payload, more)
	token := t.sign(payload)
	t.grants[token] = g
	return token
}

// issueMachineToken is the client credentials grant.
func (t *Tenant) issueMachineToken(c *call, app *application) answer {
	audience, client := c.field("audience"), app.Client
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
	more := map[string]any{"aud": audience}
	if organization != "" {
		more["org_id"] = organization
		if o := t.organizationNamed(organization); o != nil {
			t.nameOrganization(more, o.id)
		}
	}
	doc := map[string]any{
		"access_token": t.machineToken(client, &grant{management: management, thumbprint: c.thumbprint}, c.issuer(), more, c.now),
		"token_type":   "Bearer",
		"expires_in":   int64(t.o.TokenLife / time.Second),
		"scope":        strings.Join(client.Scopes, " "),
	}
	if c.thumbprint != "" {
		doc["token_type"] = "DPoP"
	}
	a := unstored(jsonAnswer(http.StatusOK, doc))
	for name := range shown {
		a.header[name] = shown[name]
	}
	return a
}

// forgetOld forgets, once an hour, what expired a day ago.
func (t *Tenant) forgetOld(now time.Duration) {
	if now < t.forgot+time.Hour {
		return
	}
	t.forgot = now
	old := func(expires time.Duration) bool { return expires < now-24*time.Hour }
	maps.DeleteFunc(t.grants, func(_ string, g *grant) bool { return g.expires != 0 && old(g.expires) })
	maps.DeleteFunc(t.sessions, func(_ string, s *session) bool { return s.over(now) })
	maps.DeleteFunc(t.pushed, func(_ string, p *pushed) bool { return old(p.expires) })
	maps.DeleteFunc(t.transactions, func(_ string, p *transaction) bool { return old(p.expires) })
	maps.DeleteFunc(t.codes, func(_ string, k *code) bool { return old(k.expires) })
	maps.DeleteFunc(t.refreshTokens, func(_ string, r *refreshToken) bool { return old(r.expires) })
	maps.DeleteFunc(t.challenges, func(_ string, p *challenge) bool { return old(p.expires) })
	maps.DeleteFunc(t.waits, func(_ string, w *wait) bool { return old(w.expires) })
	maps.DeleteFunc(t.oneTimes, func(_ string, o *oneTime) bool { return old(o.expires) })
	maps.DeleteFunc(t.once, func(_ string, expires time.Duration) bool { return old(expires) })
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
	case g.login != nil && g.login.ended:
		return refuse("Invalid token")
	case g.expires != 0 && c.now >= g.expires:
		return refuse("Expired token received for JSON Web Token validation")
	case g.thumbprint != "" && t.presents(c, token, g) != nil:
		return refuse("The token is bound to a DPoP key, whose proof has to come with it")
	case !g.management:
		return refuse("Bad audience: the token is not for this API")
	case (t.o.CheckScopes || g.login != nil) && len(scopes) > 0 && len(g.scopes) > 0 &&
		!slices.ContainsFunc(scopes, func(s string) bool { return slices.Contains(g.scopes, s) }):
		a := failure(http.StatusForbidden, "insufficient_scope", "Insufficient scope, expected any of: "+strings.Join(scopes, ","))
		return &a
	}
	return nil
}
