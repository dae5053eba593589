package auth0test

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
)

const (
	deviceLife   = 15 * time.Minute
	approvalLife = 5 * time.Minute // where nothing is said
	approvalMost = 72 * time.Hour
	pollEvery    = 5 * time.Second
	// pollSlack is by how much a poll may be early: the ways there differ.
	pollSlack = time.Second
)

// wait is what a device, a backchannel request or a push message waits for: a
// person to say yes or no.
type wait struct {
	kind     string // the grant type that asks for the answer
	code     string // by which it asks
	userCode string // of a device
	client   string
	login    *login  // as it was asked for, nil for a second factor
	user     *user   // nil for a device until somebody has answered
	factor   *object // that is challenged, nil for the others
	binding  string  // the code that the user was sent, "" where a yes will do

	answered, allowed bool
	interval          time.Duration
	next              time.Duration // when it may be asked for again
	expires           time.Duration
	told              bool // how it has ended
}

// await keeps something that a person has to answer.
func (t *Tenant) await(w *wait) *wait {
	w.code, w.interval = t.newID(48), pollEvery
	t.waits[w.code] = w
	return w
}

// unanswered is the answer to a poll that comes too early, or finds that the
// person has not answered or has refused; nil when the person has allowed it.
func (w *wait) unanswered(c *call) *answer {
	status := http.StatusBadRequest
	if w.kind == grantDevice {
		status = http.StatusForbidden
	}
	early := c.now < w.next
	w.next = c.now + w.interval - pollSlack
	var a answer
	switch {
	case early:
		if w.interval += pollEvery; w.kind == grantDevice {
			status = http.StatusTooManyRequests
		}
		w.next = c.now + w.interval - pollSlack
		a = jsonAnswer(status, map[string]any{
			"error": "slow_down", "error_description": "You are polling faster than the specified interval", "interval": int64(w.interval / time.Second),
		})
		a.header.Set("Retry-After", strconv.FormatInt(int64(w.interval/time.Second), 10))
	case !w.answered:
		a = oauthFailure(status, "authorization_pending", "User has yet to authorize.")
	case !w.allowed:
		w.told = true
		a = oauthFailure(status, "access_denied", "The user has refused.")
	default:
		return nil
	}
	return &a
}

// poll is the grant of devices and of backchannel requests.
func (t *Tenant) poll(c *call, app *application) (*outcome, *answer) {
	kind, name := c.field("grant_type"), "device_code"
	if kind == grantCIBA {
		name = "auth_req_id"
	}
	if c.field(name) == "" {
		return missingParameter(name)
	}
	w := t.waits[c.field(name)]
	switch {
	case w == nil || w.kind != kind || w.client != app.ID || w.told:
		return invalidGrant("Invalid or expired " + name + ".")
	case c.now >= w.expires && kind == grantCIBA:
		return refused(http.StatusBadRequest, "access_denied", "The request has expired.")
	case c.now >= w.expires:
		w.told = true
		return refused(http.StatusForbidden, "expired_token", "The device code has expired.")
	}
	if bad := w.unanswered(c); bad != nil {
		return nil, bad
	}
	w.told = true
	w.login.user, w.login.at = w.user, c.now
	t.noteLogin(c, w.user)
	return &outcome{login: w.login}, nil
}

// authorizeDevice answers POST /oauth/device/code.
func (t *Tenant) authorizeDevice(c *call) answer {
	app := t.application(c.clientID())
	switch {
	case app == nil:
		return oauthFailure(http.StatusUnauthorized, "invalid_client", "There is no application with this client_id")
	case !app.may(grantDevice):
		return oauthFailure(http.StatusForbidden, "unauthorized_client", "Grant type '"+grantDevice+"' not allowed for the client.")
	}
	l, bad := t.wanted(c, app)
	if bad != nil {
		return *bad
	}
	w := t.await(&wait{kind: grantDevice, client: app.ID, login: l, expires: c.now + deviceLife, userCode: t.newUserCode()})
	return unstored(jsonAnswer(http.StatusOK, map[string]any{
		"device_code": w.code, "user_code": w.userCode, "verification_uri": c.issuer() + "activate",
		"verification_uri_complete": c.issuer() + "activate?user_code=" + w.userCode,
		"expires_in":                int64(deviceLife / time.Second), "interval": int64(w.interval / time.Second),
	}))
}

// newUserCode returns a code that people can read out.
func (t *Tenant) newUserCode() string {
	// Letters without vowels make no words, and none looks like another.
	letters := strings.NewReplacer("0", "B", "1", "C", "2", "D", "3", "F", "4", "G", "5", "H", "6", "J", "7", "K", "8", "L", "9", "M",
		"a", "N", "b", "P", "c", "Q", "d", "R", "e", "S", "f", "T").Replace(t.newID(8))
	return letters[:4] + "-" + letters[4:]
}

// authorizeBackchannel answers POST /bc-authorize.
func (t *Tenant) authorizeBackchannel(c *call) answer {
	app, bad := t.identify(c)
	if bad != nil {
		return *bad
	}
	if !app.may(grantCIBA) || app.public() {
		return oauthFailure(http.StatusForbidden, "unauthorized_client", "Grant type '"+grantCIBA+"' not allowed for the client.")
	}
	var who struct{ Format, Iss, Sub string }
	message := c.field("binding_message")
	life := approvalLife
	if n := c.field("requested_expiry"); n != "" {
		seconds, err := strconv.ParseInt(n, 10, 64)
		if err != nil || seconds < 1 || seconds > int64(approvalMost/time.Second) {
			return invalidRequest("requested_expiry is not a number of seconds from 1 to 259200")
		}
		life = time.Duration(seconds) * time.Second
	}
	switch {
	case json.Unmarshal([]byte(c.field("login_hint")), &who) != nil || who.Format != "iss_sub" || who.Sub == "":
		return invalidRequest("login_hint is not JSON with the format iss_sub")
	case who.Iss != c.issuer() && who.Iss != "https://"+t.o.Domain+"/":
		return invalidRequest("login_hint names another issuer")
	case message == "" || !regexp.MustCompile(`^[\w+.,:#\- ]{1,64}$`).MatchString(message):
		return invalidRequest("binding_message is missing, too long, or has characters that are not allowed")
	}
	l, bad := t.wanted(c, app)
	if bad != nil {
		return *bad
	}
	if !l.may("openid") {
		return invalidRequest("scope has no openid")
	}
	u := t.users.byID[who.Sub]
	if u == nil {
		return oauthFailure(http.StatusBadRequest, "unknown_user_id", "There is no such user")
	}
	w := t.await(&wait{kind: grantCIBA, client: app.ID, login: l, user: u, expires: c.now + life})
	return unstored(jsonAnswer(http.StatusOK, map[string]any{
		"auth_req_id": w.code, "expires_in": int64(life / time.Second), "interval": int64(w.interval / time.Second),
	}))
}
