package auth0test

import (
	"html"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	pushedLife = 30 * time.Second
	// loginPageLife is how long a person has to fill in the login page.
	loginPageLife = time.Hour
)

// asked is what an application asks for when it sends somebody to log in.
type asked struct {
	client       string
	redirect     string // where the browser goes back to
	sentRedirect string // as the application sent it, "" where it did not
	mode         string
	state        string
	nonce        string
	challenge    string
	plain        bool
	scopes       []string
	audience     string
	organization string // id
	connection   string
	hint         string
	prompt       string
	maxAge       time.Duration // -1 for any
	thumbprint   string
}

// pushed are the parameters of a login that wait for the browser.
type pushed struct {
	client  string
	params  url.Values
	expires time.Duration
}

// transaction is a login under way in a browser.
type transaction struct {
	*asked
	expires time.Duration
	factor  *challenge // the second factor that is asked for, nil before the password
}

// authorizeEndpoint answers GET and POST /authorize: with the login page, or at
// once where the browser is logged in.
func (t *Tenant) authorizeEndpoint(c *call) answer {
	params := c.parameters()
	app := t.application(params.Get("client_id"))
	if app == nil {
		return errorPage(http.StatusBadRequest, "Unknown client", "There is no application with this client_id.")
	}
	if id := params.Get("request_uri"); id != "" {
		found := t.pushed[id]
		if found == nil || found.client != app.ID || c.now >= found.expires {
			return errorPage(http.StatusBadRequest, "invalid_request_uri", "The request_uri is unknown, expired or used.")
		}
		delete(t.pushed, id)
		params = found.params
	}
	a, bad := t.ask(c, app, params)
	if a == nil {
		return errorPage(http.StatusForbidden, "Callback URL mismatch", "The redirect_uri is not one of the application's callbacks, or the request object is not the application's.")
	}
	if bad != nil {
		return a.fail(bad.Error, bad.Description)
	}
	s := t.session(c)
	switch {
	case s != nil && (a.prompt == "login" || a.maxAge == 0 || a.maxAge > 0 && c.now > s.at+a.maxAge || a.connection != "" && a.connection != s.user.connection):
		s = nil // has to log in again
	case s != nil && s.user.doc["blocked"] == true:
		return a.fail("access_denied", "user is blocked")
	}
	switch {
	case s != nil:
		return t.comeBack(c, a, s)
	case a.prompt == "none":
		return a.fail("login_required", "Login required")
	}
	state := t.newID(40)
	t.transactions[state] = &transaction{asked: a, expires: c.now + loginPageLife}
	return sendTo(loginPath + "?" + url.Values{"state": {state}}.Encode())
}

// parameters returns the query of a request, or its form.
func (c *call) parameters() url.Values {
	if c.method != http.MethodPost {
		return c.query
	}
	c.field("") // reads the body
	form := url.Values{}
	for name, v := range c.fields {
		form.Set(name, v)
	}
	return form
}

// ask reads what an application asks for. It returns nothing where the browser
// cannot be sent back to the application, and with bad where it can, with that.
func (t *Tenant) ask(c *call, app *application, params url.Values) (a *asked, bad *oauthError) {
	wrong := func(code, what string) (*asked, *oauthError) { return a, &oauthError{Error: code, Description: what} }
	if object := params.Get("request"); object != "" {
		j := parseJWT(object)
		if j == nil || !t.signedByClient(j, app.ID) || j.text("client_id") != app.ID || !j.isFor(c.issuer(), "https://"+t.o.Domain+"/") {
			return nil, nil
		}
		if until, dated := j.moment("exp"); dated && c.now >= until {
			return nil, nil
		}
		params = url.Values{"client_id": {app.ID}}
		for name, v := range j.claims {
			switch v := v.(type) {
			case string:
				params.Set(name, v)
			case float64:
				params.Set(name, strconv.FormatFloat(v, 'f', -1, 64))
			}
		}
	}
	get := params.Get
	redirect := get("redirect_uri")
	if callbacks := texts(app.doc["callbacks"]); redirect == "" && len(callbacks) > 0 {
		redirect = callbacks[0]
	}
	if redirect == "" || !app.allows("callbacks", redirect) {
		return nil, nil
	}
	a = &asked{
		client: app.ID, redirect: redirect, sentRedirect: get("redirect_uri"), mode: firstOf(get("response_mode"), "query"),
		state: get("state"), nonce: get("nonce"), challenge: get("code_challenge"), plain: get("code_challenge_method") != "S256",
		connection: get("connection"), hint: get("login_hint"), prompt: get("prompt"), maxAge: -1, thumbprint: get("dpop_jkt"),
	}
	if !slices.Contains([]string{"query", "fragment", "form_post"}, a.mode) {
		a.mode = "query"
		return wrong("invalid_request", "Unsupported response_mode")
	}
	if age := get("max_age"); age != "" {
		n, err := strconv.ParseUint(age, 10, 31)
		if err != nil {
			return wrong("invalid_request", "max_age is not a number of seconds")
		}
		a.maxAge = time.Duration(n) * time.Second
	}
	switch method := get("code_challenge_method"); {
	case get("response_type") == "":
		return wrong("invalid_request", "Missing required parameter: response_type")
	case get("response_type") != "code":
		return wrong("unsupported_response_type", "Unsupported response type: "+get("response_type"))
	case !app.may(grantCode):
		return wrong("unauthorized_client", "Grant type '"+grantCode+"' not allowed for the client.")
	case method != "" && method != "S256" && method != "plain":
		return wrong("invalid_request", "code_challenge_method is neither S256 nor plain")
	case app.public() && a.challenge == "":
		return wrong("invalid_request", "A public application has to use PKCE: code_challenge is missing")
	case a.connection != "" && t.connection(a.connection, false) == nil:
		return wrong("invalid_request", "the connection was not found")
	}
	if name := get("organization"); name != "" {
		o := t.organizationNamed(name)
		if o == nil {
			return wrong("invalid_request", "authorization request parameter organization must be an organization of the tenant")
		}
		a.organization = o.id
	}
	if a.scopes, a.audience, bad = t.scope(c, get("scope"), firstOf(get("audience"), get("resource"))); bad != nil {
		return a, bad
	}
	return a, nil
}

// scope returns what a login may be granted of the scopes asked for, and for
// which API.
func (t *Tenant) scope(c *call, scope, audience string) (scopes []string, api string, bad *oauthError) {
	asked := strings.Fields(scope)
	switch audience {
	case "", c.issuer() + "userinfo":
		return asked, "", nil
	case c.issuer() + "mfa/":
		return asked, audience, nil
	}
	rs := t.resourceServer(audience)
	if rs == nil && t.isManagement(audience, c.host) {
		rs = t.resourceServer("https://" + t.o.Domain + "/api/v2/")
	}
	if rs == nil {
		return nil, "", &oauthError{Error: "access_denied", Description: "Service not found: " + audience}
	}
	scopes = []string{}
	for _, s := range asked {
		switch s {
		case "openid", "profile", "email", "phone", "online_access":
		case "offline_access":
			if rs.doc["allow_offline_access"] != true {
				continue
			}
		default:
			if defined, _ := rs.doc["scopes"].([]any); len(defined) > 0 && scopeOf(rs, s) == nil {
				continue // not one of the API's own
			}
		}
		scopes = append(scopes, s)
	}
	return scopes, audience, nil
}

// organizationNamed returns an organization by its id or its name.
func (t *Tenant) organizationNamed(name string) *object {
	if o := t.object("organization", name); o != nil {
		return o
	}
	for _, o := range t.kept["organization"].list[""] {
		if o.doc["name"] == strings.ToLower(name) {
			return o
		}
	}
	return nil
}

// belongs reports whether a user may log in to an organization, and makes the
// user a member where the user's connection does so.
func (t *Tenant) belongs(u *user, organization string) bool {
	if organization == "" || t.members.get(organization, u.id) != nil {
		return true
	}
	con := t.connection(u.connection, false)
	if con == nil {
		return false
	}
	l := t.organizationConnections.get(organization, con.ID)
	if l == nil || l.doc["assign_membership_on_login"] != true {
		return false
	}
	t.members.add(t, organization, u.id, nil)
	return true
}

// comeBack sends a browser that is logged in back to the application, with a code.
func (t *Tenant) comeBack(c *call, a *asked, s *session) answer {
	if !t.belongs(s.user, a.organization) {
		return a.fail("access_denied", "user "+s.user.id+" is not part of the "+a.organization+" organization")
	}
	s.visit(a.client, c.now)
	c.user = s.user.id
	id := t.newID(48)
	t.codes[id] = &code{
		login: &login{
			user: s.user, client: a.client, audience: a.audience, organization: a.organization, nonce: a.nonce,
			scopes: a.scopes, at: s.at, methods: s.methods, session: s,
		},
		redirect: a.sentRedirect, challenge: a.challenge, plain: a.plain, thumbprint: a.thumbprint, expires: c.now + codeLife,
	}
	out := a.answer(url.Values{"code": {id}})
	out.header.Set("Set-Cookie", c.cookieOf(s))
	return out
}

// fail sends a browser back with an error.
func (a *asked) fail(code, what string) answer {
	return a.answer(url.Values{"error": {code}, "error_description": {what}})
}

// answer sends a browser back, in the way that the application has chosen.
func (a *asked) answer(values url.Values) answer {
	if a.state != "" {
		values.Set("state", a.state)
	}
	if a.mode == "form_post" {
		return page(http.StatusOK, "Submit this form",
			`<form method="post" action="`+html.EscapeString(a.redirect)+`">`+hidden(values, slices.Sorted(maps.Keys(values))...)+`<button type="submit">Continue</button></form>`+
				`<script>document.forms[0].submit()</script>`)
	}
	target, err := url.Parse(a.redirect)
	if err != nil {
		return errorPage(http.StatusForbidden, "Callback URL mismatch", "The redirect_uri is no URL.")
	}
	if a.mode == "fragment" {
		target.Fragment, target.RawFragment = "", ""
		return sendTo(target.String() + "#" + values.Encode())
	}
	query := target.Query()
	for name := range values {
		query.Set(name, values.Get(name))
	}
	target.RawQuery = query.Encode()
	return sendTo(target.String())
}

// sendTo sends a browser somewhere else.
func sendTo(target string) answer {
	return unstored(answer{status: http.StatusFound, header: http.Header{"Location": {target}}})
}

// push answers POST /oauth/par.
func (t *Tenant) push(c *call) answer {
	app, refusal := t.identify(c)
	if refusal != nil {
		return *refusal
	}
	thumbprint, unproven := t.proof(c, "")
	if unproven != nil {
		return *t.unproven(c, http.StatusBadRequest, unproven)
	}
	params := c.parameters()
	if params.Has("request_uri") {
		return invalidRequest("A pushed request cannot have a request_uri")
	}
	if thumbprint != "" {
		params.Set("dpop_jkt", thumbprint)
	}
	for _, secret := range []string{"client_secret", "client_assertion", "client_assertion_type"} {
		params.Del(secret)
	}
	params.Set("client_id", app.ID)
	a, bad := t.ask(c, app, params)
	if a == nil {
		return invalidRequest("The redirect_uri is not one of the application's callbacks, or the request object is not the application's")
	}
	if bad != nil {
		return oauthFailure(http.StatusBadRequest, bad.Error, bad.Description)
	}
	id := "urn:ietf:params:oauth:request_uri:" + t.newID(48)
	t.pushed[id] = &pushed{client: app.ID, params: params, expires: c.now + pushedLife}
	return unstored(jsonAnswer(http.StatusCreated, map[string]any{"request_uri": id, "expires_in": int64(pushedLife / time.Second)}))
}
