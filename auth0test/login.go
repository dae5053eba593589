package auth0test

import (
	"encoding/json"
	"html"
	"net/http"
	"net/url"
	"strings"
)

const (
	loginPath  = "/u/login"
	factorPath = "/u/mfa-otp-challenge"
)

// page is a page of the tenant. The body is HTML.
func page(status int, title, body string) answer {
	title = html.EscapeString(title)
	return unstored(answer{
		status: status,
		header: http.Header{"Content-Type": {"text/html; charset=utf-8"}, "X-Frame-Options": {"deny"}},
		body: []byte(`<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>` + title + `</title>
<style>body{font:16px/1.5 sans-serif;max-width:24em;margin:10vh auto;padding:0 1em}label,input,button{display:block;width:100%;box-sizing:border-box}input,button{font:inherit;padding:.5em;margin:.2em 0 1em}[role=alert]{color:#b00}</style>
</head><body><h1>` + title + `</h1>
` + body + `
</body></html>
`),
	})
}

// errorPage tells a person what is wrong.
func errorPage(status int, title, what string) answer {
	return page(status, title, `<p role="alert">`+html.EscapeString(what)+`</p>`)
}

// form is a form that posts to a path of the tenant, with the state of a login.
func form(path, state, problem, fields string) string {
	alert := ""
	if problem != "" {
		alert = `<p role="alert">` + html.EscapeString(problem) + `</p>`
	}
	return alert + `<form method="post" action="` + path + "?" + url.Values{"state": {state}}.Encode() + `">
` + fields + `<button type="submit">Continue</button>
</form>`
}

// hidden is the fields of a form that nobody sees: those of the values that are
// named and there.
func hidden(values url.Values, names ...string) string {
	var b strings.Builder
	for _, name := range names {
		if v := values.Get(name); v != "" {
			b.WriteString(`<input type="hidden" name="` + name + `" value="` + html.EscapeString(v) + `">`)
		}
	}
	return b.String()
}

// transaction returns the login that a page is about, or the refusal.
func (t *Tenant) transaction(c *call) (*transaction, *answer) {
	found := t.transactions[c.query.Get("state")]
	if found == nil || c.now >= found.expires {
		a := errorPage(http.StatusBadRequest, "Invalid state", "This login is unknown, over or too old. Go back to the application and begin again.")
		return nil, &a
	}
	return found, nil
}

// loginPage answers GET /u/login.
func (t *Tenant) loginPage(c *call) answer {
	found, bad := t.transaction(c)
	if bad != nil {
		return *bad
	}
	return t.askPassword(c, http.StatusOK, found.hint, "")
}

func (t *Tenant) askPassword(c *call, status int, name, problem string) answer {
	return page(status, "Log in", form(loginPath, c.query.Get("state"), problem, `<label for="username">Email address</label>
<input id="username" name="username" type="text" autocomplete="username" required autofocus value="`+html.EscapeString(name)+`">
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password" required>
`))
}

// logIn answers POST /u/login.
func (t *Tenant) logIn(c *call) answer {
	found, bad := t.transaction(c)
	if bad != nil {
		return *bad
	}
	u, wrong := t.enter(c, found.connection, c.field("username"), c.field("password"))
	switch {
	case wrong != nil:
		var why oauthError
		_ = json.Unmarshal(wrong.body, &why) // it is what enter has made
		return t.askPassword(c, http.StatusBadRequest, c.field("username"), why.Description)
	case u.doc["blocked"] == true:
		delete(t.transactions, c.query.Get("state"))
		return found.fail("access_denied", "user is blocked")
	case !t.needsFactor(u):
		return t.loggedIn(c, found, u, nil)
	}
	factors := t.factorsOf(u)
	if len(factors) == 0 {
		delete(t.transactions, c.query.Get("state"))
		return found.fail("access_denied", "The user has no second factor; enrol one by the MFA API first")
	}
	found.factor = t.newChallenge(c, u, found.client)
	for _, o := range factors {
		if o.doc["type"] == "totp" {
			break
		}
		if found.factor.code = t.send(u, o); found.factor.code != "" {
			break
		}
	}
	return sendTo(factorPath + "?" + url.Values{"state": {c.query.Get("state")}}.Encode())
}

// factorPage answers GET /u/mfa-otp-challenge.
func (t *Tenant) factorPage(c *call) answer {
	found, bad := t.transaction(c)
	switch {
	case bad != nil:
		return *bad
	case found.factor == nil:
		return sendTo(loginPath + "?" + url.Values{"state": {c.query.Get("state")}}.Encode())
	}
	return t.askCode(c, http.StatusOK, "")
}

func (t *Tenant) askCode(c *call, status int, problem string) answer {
	return page(status, "Verify your identity", form(factorPath, c.query.Get("state"), problem, `<label for="code">Code of your authenticator app, the code that you were sent, or a recovery code</label>
<input id="code" name="code" type="text" inputmode="numeric" autocomplete="one-time-code" required autofocus>
`))
}

// checkFactor answers POST /u/mfa-otp-challenge.
func (t *Tenant) checkFactor(c *call) answer {
	found, bad := t.transaction(c)
	switch {
	case bad != nil:
		return *bad
	case found.factor == nil:
		return sendTo(loginPath + "?" + url.Values{"state": {c.query.Get("state")}}.Encode())
	case found.factor.wrong >= attempts || c.now >= found.factor.expires || !t.anyCode(found.factor, strings.TrimSpace(c.field("code")), c.now):
		found.factor.wrong++
		return t.askCode(c, http.StatusBadRequest, "The code is wrong")
	}
	return t.loggedIn(c, found, found.factor.user, []string{"mfa"})
}

// loggedIn ends a login in a browser.
func (t *Tenant) loggedIn(c *call, found *transaction, u *user, methods []string) answer {
	delete(t.transactions, c.query.Get("state"))
	t.noteLogin(c, u)
	return t.comeBack(c, found.asked, t.beginSession(c, u, methods))
}

// logout answers GET /v2/logout.
func (t *Tenant) logout(c *call) answer {
	target := c.query.Get("returnTo")
	app := t.application(c.query.Get("client_id"))
	switch {
	case target != "" && (app == nil || !app.allows("allowed_logout_urls", target)):
		return errorPage(http.StatusBadRequest, "Oops!, something went wrong", "The returnTo is not one of the application's logout URLs.")
	case target == "" && app != nil:
		if allowed := texts(app.doc["allowed_logout_urls"]); len(allowed) > 0 {
			target = allowed[0]
		}
	}
	return t.loggedOut(c, target)
}

// loggedOut ends the session of a browser and sends it on, where there is somewhere to go.
func (t *Tenant) loggedOut(c *call, target string) answer {
	if s := t.session(c); s != nil {
		c.user = s.user.id
		t.endSession(s)
	}
	a := page(http.StatusOK, "Logged out", "<p>You are logged out.</p>")
	if target != "" {
		a = sendTo(target)
	}
	a.header.Set("Set-Cookie", c.cookieOf(nil))
	return a
}

// oidcLogout answers GET and POST /oidc/logout. Who is to be logged out is asked
// unless the request shows that it comes from an application of the session.
func (t *Tenant) oidcLogout(c *call) answer {
	params := c.parameters()
	get := params.Get
	client, sid := get("client_id"), get("logout_hint")
	if hint := get("id_token_hint"); hint != "" {
		claims := t.signedHere(hint)
		aud, hinted := text(claims["aud"]), text(claims["sid"])
		if claims == nil || client != "" && client != aud || sid != "" && sid != hinted {
			return errorPage(http.StatusBadRequest, "Invalid request", "The id_token_hint is not of this tenant, application and session.")
		}
		client, sid = aud, hinted
	}
	target := get("post_logout_redirect_uri")
	app := t.application(client)
	if target != "" && (app == nil || !app.allows("allowed_logout_urls", target)) {
		return errorPage(http.StatusBadRequest, "Invalid request", "The post_logout_redirect_uri is not one of the application's logout URLs.")
	}
	if s := t.session(c); s != nil && s.id != sid && get("confirmed") == "" {
		params.Set("confirmed", "yes")
		fields := hidden(params, "confirmed", "client_id", "post_logout_redirect_uri", "state")
		return page(http.StatusOK, "Log out", `<form method="post" action="/oidc/logout"><p>Do you want to log out?</p>`+fields+`<button type="submit">Log out</button></form>`)
	}
	if u, err := url.Parse(target); err == nil && target != "" && get("state") != "" {
		query := u.Query()
		query.Set("state", get("state"))
		u.RawQuery = query.Encode()
		target = u.String()
	}
	return t.loggedOut(c, target)
}
