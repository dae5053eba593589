package auth0test

import (
	"crypto/subtle"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

const (
	challengeLife = 10 * time.Minute // of an mfa_token
	sentLife      = 3 * time.Minute  // of a code that somebody was sent
)

// secret is what proves that a user has a factor.
type secret struct {
	text string // base32 of an authenticator app, or the recovery code
	used int64  // the last step of which a code was taken
}

// challenge is a login that waits for a second factor.
type challenge struct {
	user    *user
	client  string
	login   *login // as it was asked for, nil where no tokens come of it
	expires time.Duration
	wrong   int
	enrols  bool   // it may confirm new factors
	code    string // that the user was sent for the page that asks for one
}

// factorType is the name that the MFA API has for a type of authentication
// method, "" for those that are no second factor.
func factorType(method string) string {
	switch method {
	case "totp":
		return "otp"
	case "push":
		return "push-notification"
	case "phone", "email", "recovery-code":
		return method
	}
	return ""
}

// factorsOf returns the factors that a user has confirmed, but for recovery
// codes, which stand in for one.
func (t *Tenant) factorsOf(u *user) []*object {
	return slices.DeleteFunc(slices.Clone(t.kept["authentication method"].list[u.id]), func(o *object) bool {
		kind := text(o.doc["type"])
		return factorType(kind) == "" || kind == "recovery-code" || o.doc["confirmed"] == false
	})
}

// needsFactor reports whether a password is not enough for a user.
func (t *Tenant) needsFactor(u *user) bool { return t.o.RequireMFA || len(t.factorsOf(u)) > 0 }

// newChallenge begins the second half of a login.
func (t *Tenant) newChallenge(c *call, u *user, client string) *challenge {
	return &challenge{user: u, client: client, expires: c.now + challengeLife}
}

// requireFactor is the answer to a password that is not enough.
func (t *Tenant) requireFactor(c *call, l *login) *answer {
	token := "Fe26." + t.newID(64)
	t.challenges[token] = t.newChallenge(c, l.user, l.client)
	t.challenges[token].login = l
	requirements := map[string]any{}
	factors := t.factorsOf(l.user)
	for _, o := range t.kept["authentication method"].list[l.user.id] {
		kind := factorType(text(o.doc["type"]))
		list, _ := requirements["challenge"].([]any)
		if one := map[string]any{"type": kind}; kind != "" && o.doc["confirmed"] != false && len(factors) > 0 {
			requirements["challenge"] = append(list, one)
		}
	}
	if len(factors) == 0 {
		requirements["enroll"] = []any{map[string]any{"type": "otp"}, map[string]any{"type": "phone"}, map[string]any{"type": "push-notification"}, map[string]any{"type": "email"}}
	}
	a := unstored(jsonAnswer(http.StatusForbidden, map[string]any{
		"error": "mfa_required", "error_description": "Multifactor authentication required", "mfa_token": token, "mfa_requirements": requirements,
	}))
	return &a
}

// challengeOf returns the login that an MFA token goes on with, or the refusal.
// An access token with one of the scopes does as well where there are any.
func (t *Tenant) challengeOf(c *call, token string, scopes ...string) (*challenge, *answer) {
	found := t.challenges[token]
	if g := t.grants[token]; found == nil && g != nil && g.login != nil && g.login.audience == c.issuer()+"mfa/" && !g.login.ended && c.now < g.expires &&
		slices.ContainsFunc(scopes, func(s string) bool { return slices.Contains(g.scopes, s) }) {
		return &challenge{user: g.login.user, client: g.client, expires: g.expires, enrols: true}, nil
	}
	var a answer
	switch {
	case token == "":
		a = invalidRequest("Missing required parameter: mfa_token")
	case found == nil || t.users.byID[found.user.id] != found.user:
		a = oauthFailure(http.StatusForbidden, "invalid_grant", "Malformed mfa_token")
	case c.now >= found.expires:
		a = oauthFailure(http.StatusForbidden, "expired_token", "mfa_token is expired")
	case found.wrong >= attempts:
		a = oauthFailure(http.StatusTooManyRequests, "too_many_attempts", "Too many wrong codes")
	default:
		return found, nil
	}
	return nil, &a
}

// challengeFor is challengeOf for the grants.
func (t *Tenant) challengeFor(c *call, app *application) (*challenge, *answer) {
	found, bad := t.challengeOf(c, c.field("mfa_token"), "enroll")
	if bad == nil && found.client != app.ID {
		a := oauthFailure(http.StatusForbidden, "invalid_grant", "Malformed mfa_token")
		return nil, &a
	}
	return found, bad
}

// passed ends a challenge that has been met.
func (t *Tenant) passed(c *call, found *challenge, recovery string) (*outcome, *answer) {
	if found.login == nil { // the factor is confirmed, which is all that was wanted
		l := t.grants[c.field("mfa_token")].login
		return &outcome{login: l, again: true}, nil
	}
	delete(t.challenges, c.field("mfa_token"))
	found.login.methods, found.login.at = []string{"mfa"}, c.now
	t.noteLogin(c, found.user)
	return &outcome{login: found.login, recovery: recovery}, nil
}

// wrongCode counts a code that was wrong.
func (found *challenge) wrongCode(what string) (*outcome, *answer) {
	found.wrong++
	return invalidGrant(what)
}

// verifyOTP is the grant for codes of authenticator apps.
func (t *Tenant) verifyOTP(c *call, app *application) (*outcome, *answer) {
	found, bad := t.challengeFor(c, app)
	switch {
	case bad != nil:
		return nil, bad
	case c.field("otp") == "":
		return missingParameter("otp")
	case !t.isOTP(found, c.field("otp"), c.now):
		return found.wrongCode("Invalid otp_code.")
	}
	return t.passed(c, found, "")
}

// isOTP reports whether a code is what one of a user's authenticator apps shows,
// and confirms the app. Each code is good once.
func (t *Tenant) isOTP(found *challenge, code string, now time.Duration) bool {
	for _, o := range t.kept["authentication method"].list[found.user.id] {
		s := t.secrets[o.id]
		if o.doc["type"] != "totp" || s == nil || o.doc["confirmed"] == false && !found.enrols {
			continue
		}
		for step := int64(now/otpStep) - 1; step <= int64(now/otpStep)+1; step++ {
			want, err := TOTP(s.text, time.Unix(step*int64(otpStep/time.Second), 0))
			if err == nil && step > s.used && subtle.ConstantTimeCompare([]byte(code), []byte(want)) == 1 {
				s.used = step
				t.confirm(o, now)
				return true
			}
		}
	}
	return false
}

func (t *Tenant) confirm(o *object, now time.Duration) {
	if o.doc["confirmed"] == false {
		o.doc["confirmed"], o.doc["enrolled_at"] = true, timestamp(now)
	}
	o.doc["last_auth_at"] = timestamp(now)
}

// recovers reports whether a code is the user's recovery code, and puts a new
// one in its place, which it returns.
func (t *Tenant) recovers(u *user, code string, now time.Duration) (fresh string) {
	for _, o := range t.kept["authentication method"].list[u.id] {
		if s := t.secrets[o.id]; o.doc["type"] == "recovery-code" && s != nil && subtle.ConstantTimeCompare([]byte(code), []byte(s.text)) == 1 {
			s.text = t.newRecoveryCode()
			t.confirm(o, now)
			return s.text
		}
	}
	return ""
}

func (t *Tenant) newRecoveryCode() string { return strings.ToUpper(t.newID(24)) }

// anyCode reports whether a code will do for the page that asks for one.
func (t *Tenant) anyCode(found *challenge, code string, now time.Duration) bool {
	return t.isOTP(found, code, now) || found.code != "" && subtle.ConstantTimeCompare([]byte(code), []byte(found.code)) == 1 || t.recovers(found.user, code, now) != ""
}

// verifyRecoveryCode is the grant for recovery codes.
func (t *Tenant) verifyRecoveryCode(c *call, app *application) (*outcome, *answer) {
	found, bad := t.challengeFor(c, app)
	if bad != nil {
		return nil, bad
	}
	if c.field("recovery_code") == "" {
		return missingParameter("recovery_code")
	}
	fresh := t.recovers(found.user, c.field("recovery_code"), c.now)
	if fresh == "" {
		return found.wrongCode("The recovery code is wrong")
	}
	return t.passed(c, found, fresh)
}

// verifyOOB is the grant for codes that the user was sent, and for push messages.
func (t *Tenant) verifyOOB(c *call, app *application) (*outcome, *answer) {
	found, bad := t.challengeFor(c, app)
	if bad != nil {
		return nil, bad
	}
	if c.field("oob_code") == "" {
		return missingParameter("oob_code")
	}
	w := t.waits[c.field("oob_code")]
	if w == nil || w.kind != grantOOB || w.user != found.user || c.now >= w.expires {
		return found.wrongCode("Invalid oob_code.")
	}
	switch sent := c.field("binding_code"); {
	case w.binding == "":
		if bad := w.unanswered(c); bad != nil {
			return nil, bad
		}
	case sent == "":
		return missingParameter("binding_code")
	case subtle.ConstantTimeCompare([]byte(sent), []byte(w.binding)) != 1:
		return found.wrongCode("Invalid binding_code.")
	}
	delete(t.waits, w.code)
	t.confirm(w.factor, c.now)
	return t.passed(c, found, "")
}

// addressOf is where codes for a factor go, "" for one that gets none.
func addressOf(u *user, o *object) string {
	switch o.doc["type"] {
	case "phone":
		return firstOf(text(o.doc["phone_number"]), text(u.doc["phone_number"]))
	case "email":
		return strings.ToLower(firstOf(text(o.doc["email"]), text(u.doc["email"])))
	}
	return ""
}

// send sends a user a code and returns it, "" where the factor gets none.
func (t *Tenant) send(u *user, o *object) (code string) {
	to := addressOf(u, o)
	if to == "" {
		return ""
	}
	t.sent[to] = t.newDigits()
	return t.sent[to]
}

// outOfBand challenges a factor that the user is reached by.
func (t *Tenant) outOfBand(c *call, found *challenge, o *object) map[string]any {
	w := t.await(&wait{
		kind: grantOOB, client: found.client, user: found.user, factor: o, binding: t.send(found.user, o), expires: c.now + sentLife,
	})
	doc := map[string]any{"oob_code": w.code}
	if w.binding != "" {
		doc["binding_method"] = "prompt"
	}
	return doc
}

// challengeFactor answers POST /mfa/challenge.
func (t *Tenant) challengeFactor(c *call) answer {
	app, bad := t.identify(c)
	if bad != nil {
		return *bad
	}
	found, bad := t.challengeFor(c, app)
	if bad != nil {
		return *bad
	}
	factors := t.factorsOf(found.user)
	if len(factors) == 0 {
		return oauthFailure(http.StatusBadRequest, "association_required", "The user has no second factor yet")
	}
	accepted, wanted := strings.Fields(c.field("challenge_type")), c.field("authenticator_id")
	for _, o := range factors {
		kind := "oob"
		if o.doc["type"] == "totp" {
			kind = "otp"
		}
		if wanted != "" && wanted != authenticatorID(o) || len(accepted) > 0 && !slices.Contains(accepted, kind) {
			continue
		}
		doc := map[string]any{}
		if kind == "oob" {
			doc = t.outOfBand(c, found, o)
		}
		doc["challenge_type"] = kind
		return unstored(jsonAnswer(http.StatusOK, doc))
	}
	return oauthFailure(http.StatusBadRequest, "unsupported_challenge_type", "The user has no factor of a type that is accepted")
}

// authenticatorID is the name that the MFA API has for a factor.
func authenticatorID(o *object) string {
	switch kind := text(o.doc["type"]); kind {
	case "phone":
		return "sms|dev_" + o.id
	default:
		return kind + "|dev_" + o.id
	}
}

// addFactor enrols a factor of a user.
func (t *Tenant) addFactor(u *user, doc map[string]any, s *secret, now time.Duration) *object {
	doc["created_at"] = timestamp(now)
	o, bad := t.keep(authenticationMethodKind(), u.id, doc)
	if bad != nil {
		panic("auth0test: a new factor has the id of another")
	}
	if s != nil {
		t.secrets[o.id] = s
	}
	return o
}

// associate answers POST /mfa/associate.
func (t *Tenant) associate(c *call) answer {
	found, bad := t.challengeOf(c, c.bearer(), "enroll")
	if bad != nil {
		bad.status = http.StatusUnauthorized
		return *bad
	}
	sent, bad := c.object()
	if bad != nil {
		return *bad
	}
	factors := t.factorsOf(found.user)
	if found.login != nil && len(factors) > 0 {
		return oauthFailure(http.StatusUnauthorized, "access_denied", "The user has a second factor: enrolling another takes an access token")
	}
	doc := map[string]any{}
	a := map[string]any{}
	switch types, channels := texts(sent["authenticator_types"]), texts(sent["oob_channels"]); {
	case slices.Equal(types, []string{"otp"}):
		doc["type"], a["authenticator_type"] = "totp", "otp"
	case slices.Equal(types, []string{"oob"}) && len(channels) > 0:
		kind := map[string]string{"sms": "phone", "voice": "phone", "auth0": "push", "email": "email"}[channels[0]]
		if kind == "" {
			return invalidRequest("oob_channels are sms, voice, auth0 or email")
		}
		doc["type"], a["authenticator_type"], a["oob_channel"] = kind, "oob", channels[0]
		if to := map[string]string{"phone": "phone_number", "email": "email"}[kind]; to != "" {
			if doc[to] = firstOf(text(sent[to]), text(found.user.doc[to])); doc[to] == "" {
				return invalidRequest(to + " is missing")
			}
		}
	default:
		return invalidRequest("authenticator_types is otp or oob, and oob needs oob_channels")
	}
	// Only the last factor that waits to be confirmed counts.
	for _, o := range slices.Clone(t.kept["authentication method"].list[found.user.id]) {
		if o.doc["confirmed"] == false {
			t.forget(authenticationMethodKind(), o)
		}
	}
	found.enrols = true
	doc["confirmed"] = false
	label := url.PathEscape(t.o.Domain + ":" + firstOf(text(found.user.doc["email"]), found.user.id))
	if doc["type"] == "totp" {
		s := &secret{text: t.newSecret()}
		t.addFactor(found.user, doc, s, c.now)
		a["secret"] = s.text
		a["barcode_uri"] = "otpauth://totp/" + label + "?" + url.Values{"secret": {s.text}, "issuer": {t.o.Domain}, "algorithm": {"SHA1"}, "digits": {"6"}, "period": {"30"}}.Encode()
	} else {
		o := t.addFactor(found.user, doc, nil, c.now)
		maps.Copy(a, t.outOfBand(c, found, o))
		if doc["type"] == "push" {
			a["barcode_uri"] = "otpauth://totp/" + label + "?" + url.Values{"enrollment_tx_id": {o.id}, "base_url": {c.issuer()}}.Encode()
		}
	}
	if len(factors) == 0 {
		code := t.newRecoveryCode()
		t.replaceRecoveryCode(found.user, code, c.now)
		a["recovery_codes"] = []string{code}
	}
	return unstored(jsonAnswer(http.StatusOK, a))
}

// replaceRecoveryCode gives a user a recovery code in place of an older one.
func (t *Tenant) replaceRecoveryCode(u *user, code string, now time.Duration) {
	for _, o := range slices.Clone(t.kept["authentication method"].list[u.id]) {
		if o.doc["type"] == "recovery-code" {
			t.forget(authenticationMethodKind(), o)
		}
	}
	t.addFactor(u, map[string]any{"type": "recovery-code", "confirmed": true}, &secret{text: code}, now)
}

// authenticators answers GET /mfa/authenticators.
func (t *Tenant) authenticators(c *call) answer {
	found, bad := t.challengeOf(c, c.bearer(), "read:authenticators")
	if bad != nil {
		bad.status = http.StatusUnauthorized
		return *bad
	}
	list := []map[string]any{}
	for _, o := range t.kept["authentication method"].list[found.user.id] {
		kind := text(o.doc["type"])
		if factorType(kind) == "" {
			continue
		}
		doc := map[string]any{"id": authenticatorID(o), "authenticator_type": "oob", "active": o.doc["confirmed"] != false, "type": factorType(kind)}
		switch kind {
		case "totp":
			doc["authenticator_type"] = "otp"
		case "recovery-code":
			doc["authenticator_type"] = kind
		case "phone":
			doc["oob_channel"], doc["name"] = "sms", hint(text(o.doc["phone_number"]))
		case "email":
			doc["oob_channel"], doc["name"] = "email", hint(text(o.doc["email"]))
		case "push":
			doc["oob_channel"] = "auth0"
		}
		list = append(list, doc)
	}
	return unstored(jsonAnswer(http.StatusOK, list))
}

// hint shows the ends of an address.
func hint(address string) string {
	if len(address) < 6 {
		return strings.Repeat("X", len(address))
	}
	return address[:2] + strings.Repeat("X", len(address)-4) + address[len(address)-2:]
}

// deleteAuthenticator answers DELETE /mfa/authenticators/{id}.
func (t *Tenant) deleteAuthenticator(c *call) answer {
	found, bad := t.challengeOf(c, c.bearer(), "remove:authenticators")
	if bad != nil || found.login != nil {
		return oauthFailure(http.StatusUnauthorized, "invalid_token", "Removing a factor takes an access token with the scope remove:authenticators")
	}
	for _, o := range t.kept["authentication method"].list[found.user.id] {
		if authenticatorID(o) == c.segs[2] {
			t.forget(authenticationMethodKind(), o)
			return noContent()
		}
	}
	return oauthFailure(http.StatusNotFound, "not_found", "The user has no such factor")
}
