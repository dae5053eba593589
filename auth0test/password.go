package auth0test

import (
	"crypto/hmac"
	"crypto/sha256"
	"net/http"
	"strings"
)

// attempts is how often a password may be wrong, from one address, before the
// account is closed to it.
const attempts = 10

// seal is what is kept of a password: a hash under a key that only this tenant
// knows.
func (t *Tenant) seal(u *user, password string) []byte {
	mac := hmac.New(sha256.New, t.key[:])
	mac.Write([]byte("password\n" + u.id + "\n" + password))
	return mac.Sum(nil)
}

// knows reports whether a password is the user's. Users whose hash was imported
// have none that the tenant could check.
func (t *Tenant) knows(u *user, password string) bool {
	return u.password != nil && hmac.Equal(u.password, t.seal(u, password))
}

// userNamed returns the user of a database who goes by an address, name or
// number, nil for none. Without a connection all databases are searched.
func (t *Tenant) userNamed(connection, name string) *user {
	if name == "" {
		return nil
	}
	for _, con := range t.kept["connection"].list[""] {
		if con.doc["strategy"] != strategyDatabase || connection != "" && con.doc["name"] != connection {
			continue
		}
		for _, field := range []string{"email", "username", "phone_number"} {
			if u := t.users.taken[nameKey(text(con.doc["name"]), field, name)]; u != nil {
				return u
			}
		}
	}
	return nil
}

// enter checks the password of somebody who wants to log in. It returns nobody
// and why when it is wrong, or has been too often.
func (t *Tenant) enter(c *call, connection, name, password string) (*user, *answer) {
	u := t.userNamed(connection, name)
	who := t.ip(c) + "\n" + strings.ToLower(name)
	if u != nil {
		who = t.ip(c) + "\n" + u.id
	}
	switch {
	case t.failures[who] >= attempts:
		a := oauthFailure(http.StatusTooManyRequests, "too_many_attempts", "Your account has been blocked after multiple consecutive login attempts.")
		return nil, &a
	case u == nil || !t.knows(u, password):
		t.failures[who]++
		a := oauthFailure(http.StatusForbidden, "invalid_grant", "Wrong email or password.")
		return nil, &a
	}
	delete(t.failures, who)
	return u, nil
}

// noteLogin keeps when a user has last logged in.
func (t *Tenant) noteLogin(c *call, u *user) {
	count, _ := u.doc["logins_count"].(int)
	u.doc["logins_count"], u.doc["last_login"], u.doc["last_ip"] = count+1, timestamp(c.now), t.ip(c)
	c.user = u.id
}

// logInWithPassword is the password grant, with and without a realm.
func (t *Tenant) logInWithPassword(c *call, app *application) (*outcome, *answer) {
	needed := []string{"username", "password"}
	if c.field("grant_type") == grantRealm {
		needed = append(needed, "realm")
	}
	for _, name := range needed {
		if c.field(name) == "" {
			return missingParameter(name)
		}
	}
	l, bad := t.wanted(c, app)
	if bad != nil {
		return nil, bad
	}
	if l.user, bad = t.enter(c, c.field("realm"), c.field("username"), c.field("password")); bad != nil {
		return nil, bad
	}
	c.user = l.user.id
	if bad := t.standing(l); bad != nil {
		return nil, bad
	}
	if t.needsFactor(l.user) {
		return nil, t.requireFactor(c, l)
	}
	t.noteLogin(c, l.user)
	return &outcome{login: l}, nil
}

// wanted is a login as a request asks for one, whose user is yet to be known.
func (t *Tenant) wanted(c *call, app *application) (*login, *answer) {
	scopes, audience, bad := t.scope(c, c.field("scope"), firstOf(c.field("audience"), c.field("resource")))
	if bad != nil {
		a := jsonAnswer(http.StatusForbidden, bad)
		return nil, &a
	}
	return &login{client: app.ID, audience: audience, scopes: scopes, at: c.now}, nil
}

// databaseFailure is the error of the calls about database connections.
func databaseFailure(status int, name, code string, description any) answer {
	return jsonAnswer(status, map[string]any{"name": name, "code": code, "description": description, "statusCode": status})
}

// passwordMin is how long the password of somebody who signs up has to be.
const passwordMin = 8

// signUp answers POST /dbconnections/signup.
func (t *Tenant) signUp(c *call) answer {
	doc, bad := c.object()
	if bad != nil {
		return *bad
	}
	password := text(doc["password"])
	con := t.connection(text(doc["connection"]), false)
	if con == nil || con.Strategy != strategyDatabase {
		return databaseFailure(http.StatusBadRequest, "NotFoundError", "invalid_signup", "Invalid sign up: there is no such database connection")
	}
	for _, name := range []string{"client_id", "connection", "client_secret"} {
		delete(doc, name)
	}
	if w := check(doc, append(userProperties(), property{name: "password", kind: "string", min: 1, max: 1 << 20}), false, false); w != nil {
		return databaseFailure(http.StatusBadRequest, "BadRequestError", "invalid_signup", "Invalid sign up: "+w.what)
	}
	if doc["email"] == nil && doc["username"] == nil && doc["phone_number"] == nil || password == "" {
		return databaseFailure(http.StatusBadRequest, "BadRequestError", "invalid_signup", "Invalid sign up: something to log in with is missing")
	}
	if len(password) < passwordMin {
		weak := map[string]any{
			"name": "PasswordStrengthError", "code": "invalid_password", "statusCode": http.StatusBadRequest,
			"message": "Password is too weak", "policy": "* At least 8 characters in length",
			"description": map[string]any{"verified": false, "rules": []any{map[string]any{
				"code": "lengthAtLeast", "message": "At least %d characters in length", "format": []int{passwordMin}, "verified": false,
			}}},
		}
		return jsonAnswer(http.StatusBadRequest, weak)
	}
	for _, own := range []string{"email_verified", "phone_verified", "blocked", "app_metadata"} {
		delete(doc, own) // not the user's to say
	}
	u := t.newUser(con, doc, c.now)
	if t.conflict(u) {
		return databaseFailure(http.StatusConflict, "BadRequestError", "user_exists", "The user already exists.")
	}
	t.addUser(u, password)
	c.user = u.id
	shown := map[string]any{"_id": strings.TrimPrefix(u.id, con.provider()+"|")}
	for _, name := range []string{"email", "email_verified", "phone_number", "username", "given_name", "family_name", "name", "nickname", "picture", "user_metadata"} {
		if v := u.doc[name]; v != nil {
			shown[name] = v
		}
	}
	return jsonAnswer(http.StatusOK, shown)
}

// addUser keeps a new account, with its password; "" for one without.
func (t *Tenant) addUser(u *user, password string) {
	if password != "" {
		u.password = t.seal(u, password)
	}
	t.users.add(u)
}

// changePassword answers POST /dbconnections/change_password: alike for those
// who are there and those who are not. No mail is sent.
func (t *Tenant) changePassword(c *call) answer {
	if c.field("email") == "" || c.field("connection") == "" {
		return databaseFailure(http.StatusBadRequest, "BadRequestError", "invalid_request", "email and connection are needed")
	}
	return answer{
		status: http.StatusOK, header: http.Header{"Content-Type": {"text/html; charset=utf-8"}},
		body: []byte("A mail with a link to a new password is on its way."),
	}
}
