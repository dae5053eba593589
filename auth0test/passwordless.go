package auth0test

import (
	"crypto/subtle"
	"net/http"
	"strings"
	"time"
)

// oneTime is a code that somebody was sent to log in with.
type oneTime struct {
	connection string
	field      string // email or phone_number
	to         string
	code       string
	signUp     bool // it makes the user where there is none
	expires    time.Duration
	wrong      int
}

// wrongMost is how often a code may be wrong before it is worth nothing.
const wrongMost = 3

// sendCode sends somebody a code to log in with.
func (t *Tenant) sendCode(key string, o oneTime, now time.Duration) {
	o.code, o.expires = t.newDigits(), now+sentLife
	t.oneTimes[key] = &o
	t.sent[strings.ToLower(o.to)] = o.code
}

// recipient returns where a request wants a code to go.
func recipient(c *call, connection *Connection) (field, to string) {
	field = "email"
	if connection.Strategy == "sms" || connection.Strategy == strategyDatabase && c.field("email") == "" {
		field = "phone_number"
	}
	return field, strings.ToLower(c.field(field))
}

// startPasswordless answers POST /passwordless/start. What is sent is a code in
// any case: links are not followed here.
func (t *Tenant) startPasswordless(c *call) answer {
	app := t.application(c.clientID())
	if app == nil {
		return oauthFailure(http.StatusUnauthorized, "invalid_client", "There is no application with this client_id")
	}
	if !app.public() && (c.field("client_secret") != "" || c.field("client_assertion") != "") {
		if _, bad := t.identify(c); bad != nil {
			return *bad
		}
	}
	con := t.connection(c.field("connection"), false)
	if con == nil || con.Strategy != "email" && con.Strategy != "sms" {
		return oauthFailure(http.StatusBadRequest, "bad.connection", "Connection does not exist or is no passwordless one")
	}
	field, to := recipient(c, con)
	wrong := isEmail
	if field == "phone_number" {
		wrong = matches(`^\+[0-9]{1,15}$`)
	}
	if wrong(to) != "" {
		return oauthFailure(http.StatusBadRequest, "bad."+field, "Error in "+field+" - it is missing or no such thing")
	}
	t.sendCode(nameKey(con.Name, field, to), oneTime{connection: con.Name, field: field, to: to, signUp: true}, c.now)
	doc := map[string]any{"_id": t.newID(24), field: to, strings.TrimSuffix(field, "_number") + "_verified": false}
	if language := c.header.Get("X-Request-Language"); language != "" {
		doc["request_language"] = language
	}
	return jsonAnswer(http.StatusOK, doc)
}

// challengeUser answers POST /otp/challenge: alike for users who are there and
// those who are not.
func (t *Tenant) challengeUser(c *call) answer {
	app, bad := t.identify(c)
	if bad != nil {
		return *bad
	}
	if !app.may(grantPasswordless) {
		return oauthFailure(http.StatusForbidden, "unauthorized_client", "Grant type '"+grantPasswordless+"' not allowed for the client.")
	}
	con := t.connection(c.field("connection"), false)
	if con == nil || con.Strategy != strategyDatabase {
		return oauthFailure(http.StatusBadRequest, "invalid_connection", "There is no such database connection")
	}
	field, to := recipient(c, con)
	if to == "" || c.field("email") != "" && c.field("phone_number") != "" {
		a := jsonAnswer(http.StatusBadRequest, map[string]any{
			"error": "invalid_request", "error_description": "Either email or phone_number is needed",
			"validation_errors": []any{map[string]any{"field": field, "message": "either this or the other is needed"}},
		})
		return a
	}
	session := t.newID(48)
	t.sendCode(session, oneTime{connection: con.Name, field: field, to: to, signUp: c.field("allow_signup") == "true"}, c.now)
	return unstored(jsonAnswer(http.StatusOK, map[string]any{"auth_session": session}))
}

// logInWithCode is the passwordless grant.
func (t *Tenant) logInWithCode(c *call, app *application) (*outcome, *answer) {
	key := c.field("auth_session")
	for _, name := range []string{"otp", "username", "realm"} {
		if c.field(name) == "" && (name == "otp" || key == "") {
			return missingParameter(name)
		}
	}
	if con := t.connection(c.field("realm"), false); key == "" && con != nil {
		field := "email"
		if con.Strategy == "sms" {
			field = "phone_number"
		}
		key = nameKey(con.Name, field, c.field("username"))
	}
	l, bad := t.wanted(c, app)
	if bad != nil {
		return nil, bad
	}
	o := t.oneTimes[key]
	if o == nil || c.now >= o.expires || o.wrong >= wrongMost {
		return invalidGrant("Wrong email or verification code.")
	}
	if subtle.ConstantTimeCompare([]byte(o.code), []byte(c.field("otp"))) != 1 {
		o.wrong++
		return invalidGrant("Wrong email or verification code.")
	}
	delete(t.oneTimes, key)
	con := t.connection(o.connection, false)
	u := t.users.taken[nameKey(o.connection, o.field, o.to)]
	if u == nil && o.signUp && con != nil {
		u = t.newUser(con, map[string]any{o.field: o.to}, c.now)
		t.addUser(u, "")
	}
	if u == nil {
		return invalidGrant("Wrong email or verification code.")
	}
	u.doc[strings.TrimSuffix(o.field, "_number")+"_verified"] = true
	l.user = u
	if bad := t.standing(l); bad != nil {
		return nil, bad
	}
	if t.needsFactor(u) {
		return nil, t.requireFactor(c, l)
	}
	t.noteLogin(c, u)
	return &outcome{login: l}, nil
}
