package auth0test

import (
	"crypto/sha256"
	"crypto/subtle"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// The grant types that the token endpoint takes.
const (
	grantCode         = "authorization_code"
	grantClient       = "client_credentials"
	grantRefresh      = "refresh_token"
	grantPassword     = "password"
	grantRealm        = "http://auth0.com/oauth/grant-type/password-realm"
	grantOTP          = "http://auth0.com/oauth/grant-type/mfa-otp"
	grantOOB          = "http://auth0.com/oauth/grant-type/mfa-oob"
	grantRecovery     = "http://auth0.com/oauth/grant-type/mfa-recovery-code"
	grantPasswordless = "http://auth0.com/oauth/grant-type/passwordless/otp"
	grantDevice       = "urn:ietf:params:oauth:grant-type:device_code"
	grantCIBA         = "urn:openid:params:grant-type:ciba"
)

func grantTypes() []string {
	return []string{
		grantCode, grantClient, grantRefresh, grantPassword, grantRealm, grantOTP, grantOOB, grantRecovery,
		grantPasswordless, grantDevice, grantCIBA,
	}
}

// How long things last that are on the way to a token, and tokens of which
// Options say nothing.
const (
	codeLife    = 10 * time.Minute
	idTokenLife = 10 * time.Hour
	refreshLife = 30 * 24 * time.Hour
)

// login is one person letting one application in: all tokens of a login descend
// from it, and end with it.
type login struct {
	user         *user
	client       string
	audience     string // of an API, "" for none
	organization string // id, "" for none
	nonce        string
	scopes       []string
	at           time.Duration // when the person proved who they are
	methods      []string      // by which, as amr names them; nil for a password
	session      *session      // of the browser, nil without one
	thumbprint   string        // of the DPoP key that refreshing needs, "" for none
	ended        bool
}

// may reports whether the login has a scope.
func (l *login) may(scope string) bool { return slices.Contains(l.scopes, scope) }

// code is an authorization code on its way from the browser.
type code struct {
	*login
	redirect   string // as the application sent it
	challenge  string
	plain      bool
	thumbprint string // of the DPoP key that it is for
	expires    time.Duration
	used       bool
}

// refreshToken is a refresh token, in force or used up.
type refreshToken struct {
	*login
	id        string // for the Management API
	seq       uint64
	made      time.Duration
	exchanged time.Duration // 0 before the first time
	expires   time.Duration
	rotating  bool
	spent     bool
	ip, agent string // of the login
	metadata  map[string]any
}

// issueToken answers POST /oauth/token.
func (t *Tenant) issueToken(c *call) answer {
	grantType := c.field("grant_type")
	if grantType == "" {
		return invalidRequest("Missing required parameter: grant_type")
	}
	app, bad := t.identify(c)
	if bad != nil {
		return *bad
	}
	if !slices.Contains(grantTypes(), grantType) {
		return oauthFailure(http.StatusForbidden, "unsupported_grant_type", "Unsupported grant type: "+grantType)
	}
	if !app.may(grantType) {
		return oauthFailure(http.StatusForbidden, "unauthorized_client", "Grant type '"+grantType+"' not allowed for the client.")
	}
	var unproven *oauthError
	if c.thumbprint, unproven = t.proof(c, ""); unproven != nil {
		return *t.unproven(c, http.StatusBadRequest, unproven)
	}
	if grantType == grantClient {
		return t.issueMachineToken(c, app)
	}
	out, bad := t.loginBy(grantType)(t, c, app)
	if bad == nil {
		bad = t.standing(out.login)
	}
	if bad != nil {
		return *bad
	}
	return t.issue(c, app, out)
}

// outcome is what a grant comes to.
type outcome struct {
	*login
	scopes   []string // of the access token; nil for those of the login
	refresh  string   // the refresh token that takes the place of the old one
	again    bool     // there is an old one
	recovery string   // the user's new recovery code
}

// loginBy returns what finds the login that a grant is about, or refuses it.
func (t *Tenant) loginBy(grantType string) func(*Tenant, *call, *application) (*outcome, *answer) {
	switch grantType {
	case grantCode:
		return (*Tenant).exchangeCode
	case grantRefresh:
		return (*Tenant).exchangeRefreshToken
	case grantPassword, grantRealm:
		return (*Tenant).logInWithPassword
	case grantOTP:
		return (*Tenant).verifyOTP
	case grantOOB:
		return (*Tenant).verifyOOB
	case grantRecovery:
		return (*Tenant).verifyRecoveryCode
	case grantPasswordless:
		return (*Tenant).logInWithCode
	}
	return (*Tenant).poll
}

func invalidRequest(what string) answer {
	return oauthFailure(http.StatusBadRequest, "invalid_request", what)
}

// refused is oauthFailure for those who might have returned an outcome.
func refused(status int, code, what string) (*outcome, *answer) {
	a := oauthFailure(status, code, what)
	return nil, &a
}

func invalidGrant(what string) (*outcome, *answer) {
	return refused(http.StatusForbidden, "invalid_grant", what)
}

func missingParameter(name string) (*outcome, *answer) {
	return refused(http.StatusBadRequest, "invalid_request", "Missing required parameter: "+name)
}

// exchangeCode is the authorization code grant.
func (t *Tenant) exchangeCode(c *call, app *application) (*outcome, *answer) {
	if c.field("code") == "" {
		return missingParameter("code")
	}
	found := t.codes[c.field("code")]
	if found == nil || found.client != app.ID {
		return invalidGrant("Invalid authorization code")
	}
	if found.used { // somebody has stolen it: the tokens that it gave are worth nothing any more
		found.ended = true
		return invalidGrant("Invalid authorization code")
	}
	verifier := c.field("code_verifier")
	switch {
	case c.now >= found.expires:
		return invalidGrant("The authorization code has expired")
	case found.redirect != c.field("redirect_uri"):
		return invalidGrant("The redirect URI is wrong. You sent another one than to the authorize endpoint")
	case found.challenge == "" && app.public():
		return invalidGrant("A public application has to use PKCE")
	case found.challenge != "" && verifier == "":
		return missingParameter("code_verifier")
	case found.challenge == "" && verifier != "", found.challenge != "" && !found.provenBy(verifier):
		found.used = true
		return invalidGrant("Failed to verify code verifier")
	}
	if found.thumbprint != "" && found.thumbprint != c.thumbprint {
		return refused(http.StatusBadRequest, "invalid_dpop_proof", "The authorization code is for another DPoP key")
	}
	found.used = true
	return &outcome{login: found.login}, nil
}

// provenBy reports whether a verifier is the secret half of the challenge.
func (k *code) provenBy(verifier string) bool {
	if !k.plain {
		sum := sha256.Sum256([]byte(verifier))
		verifier = encode64(sum[:])
	}
	return subtle.ConstantTimeCompare([]byte(verifier), []byte(k.challenge)) == 1
}

// standing refuses a login whose user is gone or blocked.
func (t *Tenant) standing(l *login) *answer {
	var a answer
	switch {
	case t.users.byID[l.user.id] != l.user:
		a = oauthFailure(http.StatusForbidden, "invalid_grant", "The user does not exist any more")
	case l.user.doc["blocked"] == true:
		a = oauthFailure(http.StatusForbidden, "access_denied", "user is blocked")
	default:
		return nil
	}
	return &a
}

// exchangeRefreshToken is the refresh token grant.
func (t *Tenant) exchangeRefreshToken(c *call, app *application) (*outcome, *answer) {
	if c.field("refresh_token") == "" {
		return missingParameter("refresh_token")
	}
	found := t.refreshTokens[c.field("refresh_token")]
	switch {
	case found == nil || found.client != app.ID || found.ended || found.may("online_access") && found.session.over(c.now):
		return invalidGrant("Unknown or invalid refresh token.")
	case found.spent: // by the application or by a thief, and so all of the family end
		found.ended = true
		return invalidGrant("Unknown or invalid refresh token.")
	case c.now >= found.expires:
		return invalidGrant("The refresh token has expired")
	case found.thumbprint != "" && found.thumbprint != c.thumbprint:
		return refused(http.StatusBadRequest, "invalid_dpop_proof", "The refresh token is for another DPoP key")
	}
	if wanted := c.field("audience"); wanted != "" && wanted != found.audience {
		return refused(http.StatusForbidden, "access_denied", "Service not found: "+wanted)
	}
	out := &outcome{login: found.login, again: true}
	if scopes := strings.Fields(c.field("scope")); len(scopes) > 0 {
		if slices.ContainsFunc(scopes, func(s string) bool { return !found.may(s) }) {
			return refused(http.StatusForbidden, "invalid_scope", "The scope is wider than that of the refresh token")
		}
		out.scopes = scopes
	}
	if bad := t.standing(found.login); bad != nil {
		return nil, bad
	}
	found.exchanged = c.now
	if found.rotating { // all but the text goes on
		next := *found
		found.spent = true
		out.refresh = t.keepRefreshToken(&next)
	}
	return out, nil
}

// keepRefreshToken gives a refresh token the text by which the application has it.
func (t *Tenant) keepRefreshToken(r *refreshToken) string {
	token := "v1." + t.newID(64)
	t.refreshTokens[token] = r
	return token
}

// issue answers with the tokens of a login.
func (t *Tenant) issue(c *call, app *application, out *outcome) answer {
	l, scopes := out.login, out.scopes
	if scopes == nil {
		scopes = l.scopes
	}
	c.user = l.user.id
	access := t.accessToken(c, l, scopes)
	doc := map[string]any{
		"access_token": access, "token_type": "Bearer", "expires_in": int64(t.o.TokenLife / time.Second), "scope": strings.Join(scopes, " "),
	}
	if c.thumbprint != "" {
		doc["token_type"] = "DPoP"
	}
	if slices.Contains(scopes, "openid") {
		doc["id_token"] = t.idToken(c, l, scopes, access)
	}
	switch refreshable := l.may("offline_access") || l.may("online_access"); {
	case out.refresh != "":
		doc["refresh_token"] = out.refresh
	case !out.again && refreshable && app.may(grantRefresh):
		if app.public() {
			l.thumbprint = c.thumbprint
		}
		doc["refresh_token"] = t.keepRefreshToken(&refreshToken{
			login: l, id: t.newID(18), seq: t.sequence(), made: c.now, expires: c.now + refreshLife,
			rotating: app.rotates() && !l.may("online_access"), ip: t.ip(c), agent: c.header.Get("User-Agent"),
		})
	}
	if out.recovery != "" {
		doc["recovery_code"] = out.recovery
	}
	return unstored(jsonAnswer(http.StatusOK, doc))
}

// unstored says that an answer is not to be kept.
func unstored(a answer) answer {
	a.header.Set("Cache-Control", "no-store")
	a.header.Set("Pragma", "no-cache")
	return a
}

// accessToken returns a token for the API of a login and, with openid, for the
// user's profile.
func (t *Tenant) accessToken(c *call, l *login, scopes []string) string {
	var audience []string
	if l.audience != "" {
		audience = append(audience, l.audience)
	}
	if len(audience) == 0 || slices.Contains(scopes, "openid") {
		audience = append(audience, c.issuer()+"userinfo")
	}
	g := &grant{
		client: l.client, subject: l.user.id, scopes: scopes, login: l, audience: audience, thumbprint: c.thumbprint,
		management: t.isManagement(l.audience, c.host),
	}
	if len(scopes) == 0 {
		g.scopes = []string{""} // none, which nil does not mean
	}
	more := map[string]any{"scope": strings.Join(scopes, " ")}
	if len(audience) == 1 {
		more["aud"] = audience[0]
	} else {
		more["aud"] = audience
	}
	t.nameOrganization(more, l.organization)
	return t.mint(g, c.issuer(), more, c.now)
}

// idToken returns what the application is told of who has logged in.
func (t *Tenant) idToken(c *call, l *login, scopes []string, access string) string {
	doc := t.profile(l.user, scopes)
	maps.Copy(doc, map[string]any{
		"iss": c.issuer(), "aud": l.client, "iat": floorSeconds(c.now), "exp": floorSeconds(c.now + idTokenLife),
		"auth_time": floorSeconds(l.at), "at_hash": halfHash(access),
	})
	if l.nonce != "" {
		doc["nonce"] = l.nonce
	}
	if l.session != nil {
		doc["sid"] = l.session.id
	}
	if l.methods != nil {
		doc["amr"] = l.methods
	}
	t.nameOrganization(doc, l.organization)
	return t.sign(doc)
}

// nameOrganization puts an organization into claims.
func (t *Tenant) nameOrganization(claims map[string]any, id string) {
	if o := t.object("organization", id); o != nil {
		claims["org_id"], claims["org_name"] = id, o.doc["name"]
	}
}

// profile is what the scopes allow to be told of a user, by the names of OpenID
// Connect.
func (t *Tenant) profile(u *user, scopes []string) map[string]any {
	doc := map[string]any{"sub": u.id}
	for scope, names := range map[string][]string{
		"profile": {"name", "given_name", "family_name", "nickname", "picture", "updated_at"},
		"email":   {"email", "email_verified"},
		"phone":   {"phone_number", "phone_verified"},
	} {
		for _, name := range names {
			if v := u.doc[name]; v != nil && slices.Contains(scopes, scope) {
				if name == "phone_verified" {
					name = "phone_number_verified"
				}
				doc[name] = v
			}
		}
	}
	return doc
}

// floorSeconds turns a time since the epoch into whole seconds, rounded down, so
// that nothing is said to have happened in the future.
func floorSeconds(d time.Duration) int64 { return int64(d / time.Second) }

// userInfo answers GET and POST /userinfo.
func (t *Tenant) userInfo(c *call) answer {
	refuse := func(code, what string) answer {
		a := oauthFailure(http.StatusUnauthorized, code, what)
		a.header.Set("WWW-Authenticate", c.tokenScheme()+` error="`+code+`", error_description="`+what+`"`)
		return a
	}
	token := c.bearer()
	g := t.grants[token]
	switch {
	case token == "":
		a := answer{status: http.StatusUnauthorized, header: http.Header{"Content-Type": {"text/plain; charset=utf-8"}}, body: []byte("Unauthorized")}
		a.header.Set("WWW-Authenticate", "Bearer")
		return a
	case g == nil || g.login == nil || !slices.Contains(g.audience, c.issuer()+"userinfo"):
		return refuse("invalid_token", "The token is not for this endpoint")
	case c.now >= g.expires:
		return refuse("invalid_token", "The token has expired")
	case g.login.ended || t.standing(g.login) != nil:
		return refuse("invalid_token", "The token is not in force any more")
	}
	if bad := t.presents(c, token, g); bad != nil {
		return *t.unproven(c, http.StatusUnauthorized, bad)
	}
	return jsonAnswer(http.StatusOK, t.profile(g.login.user, g.scopes))
}

// revoke answers POST /oauth/revoke: with success also for a token that is
// nobody's. The whole login ends with its refresh token.
func (t *Tenant) revoke(c *call) answer {
	app, bad := t.identify(c)
	if bad != nil {
		return *bad
	}
	if c.field("token") == "" {
		return invalidRequest("Missing required parameter: token")
	}
	if found := t.refreshTokens[c.field("token")]; found != nil && found.client == app.ID {
		found.ended = true
	}
	return answer{status: http.StatusOK, header: http.Header{}}
}
