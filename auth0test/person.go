package auth0test

import (
	"bytes"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// The part that a person plays in a login: typing a password, reading codes,
// pressing buttons on a phone.

// beginUser keeps a user whom Options name, created at a time.
func (t *Tenant) beginUser(o *User, at time.Duration) error {
	name := firstOf(o.Connection, DefaultConnection)
	con := t.connection(name, false)
	if con == nil {
		return fmt.Errorf("is of the connection %q, which is not there; name it in Options.Connections", name)
	}
	payload := map[string]any{"user_id": o.ID}
	for name, v := range map[string]string{"email": o.Email, "phone_number": o.PhoneNumber, "username": o.Username, "name": o.Name} {
		if v != "" {
			payload[name] = v
		}
	}
	if o.EmailVerified {
		payload["email_verified"] = true
	}
	if o.Blocked {
		payload["blocked"] = true
	}
	u := t.newUser(con, payload, at)
	if t.conflict(u) {
		return errors.New("has the id, address, name or number of another")
	}
	t.addUser(u, o.Password)
	for _, f := range o.Factors {
		if factorType(f.Type) == "" {
			return fmt.Errorf("has a factor of type %q; there are totp, push, phone, email and recovery-code", f.Type)
		}
		doc, s := map[string]any{"type": f.Type, "confirmed": true}, (*secret)(nil)
		switch f.Type {
		case "totp":
			s = &secret{text: firstOf(f.Secret, t.newSecret())}
			if _, err := TOTP(s.text, wall(t.start)); err != nil {
				return errors.New("has a factor whose secret is not base32")
			}
		case "recovery-code":
			s = &secret{text: firstOf(f.Secret, t.newRecoveryCode())}
		case "phone":
			doc["phone_number"] = o.PhoneNumber
		case "email":
			doc["email"] = strings.ToLower(o.Email)
		}
		t.addFactor(u, doc, s, t.start)
	}
	return nil
}

// whoIs returns a user by id, address, name or number.
func (t *Tenant) whoIs(name string) *user {
	if u := t.users.byID[name]; u != nil {
		return u
	}
	for _, con := range t.kept["connection"].list[""] {
		for _, field := range []string{"email", "username", "phone_number"} {
			if u := t.users.taken[nameKey(text(con.doc["name"]), field, name)]; u != nil && name != "" {
				return u
			}
		}
	}
	return nil
}

// Approve stands for a person who says yes: to the user code of a device, to
// the auth_req_id of a backchannel request, or to the oob_code of a push
// message. The user, by id or address, is the one who logs in to a device; the
// others know theirs, and take "". Nothing is drawn from any bucket.
func (t *Tenant) Approve(code, user string) error { return t.respond(code, user, true) }

// Deny stands for a person who says no to what Approve says yes to.
func (t *Tenant) Deny(code string) error { return t.respond(code, "", false) }

func (t *Tenant) respond(code, user string, allowed bool) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.tick()
	for _, w := range t.waits {
		if w.code != code && (w.userCode == "" || !strings.EqualFold(w.userCode, code)) || w.kind == grantDevice && w.code == code {
			continue
		}
		u := w.user
		if user != "" || u == nil && allowed {
			if u = t.whoIs(user); u == nil {
				return errors.New("auth0test: there is no such user")
			}
		}
		switch {
		case w.answered || now >= w.expires:
			return errors.New("auth0test: what the code is of has been answered, or is too old")
		case w.user != nil && w.user != u:
			return errors.New("auth0test: another user has been asked")
		}
		w.user, w.answered, w.allowed = u, true, allowed
		return nil
	}
	return errors.New("auth0test: nothing that waits for a person has this code")
}

// OTP returns what the authenticator app of a user, by id or address, shows now;
// "" for a user without one. An app that is being enrolled counts.
func (t *Tenant) OTP(user string) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	u := t.whoIs(user)
	if u == nil {
		return ""
	}
	for _, o := range t.kept["authentication method"].list[u.id] {
		if s := t.secrets[o.id]; o.doc["type"] == "totp" && s != nil {
			code, err := TOTP(s.text, wall(t.tick()))
			if err == nil {
				return code
			}
		}
	}
	return ""
}

// factorCode is what a user types when a page asks for a second factor.
func (t *Tenant) factorCode(user string) string {
	if code := t.OTP(user); code != "" {
		return code
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if u := t.whoIs(user); u != nil {
		for _, o := range t.factorsOf(u) {
			if code := t.sent[addressOf(u, o)]; code != "" {
				return code
			}
		}
	}
	return ""
}

// Sent returns the last code that was sent to an e-mail address or a phone
// number, "" where none was.
func (t *Tenant) Sent(to string) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.sent[strings.ToLower(to)]
}

// Login stands for a person with a browser that nobody is logged in with. It
// opens the URL of a login, fills in the pages of the tenant and returns the URL
// that the browser is sent back to in the end, with a code or an error in its
// query; what would be posted there is in the query as well. A second factor is
// taken from an authenticator app, or from what the user was sent.
//
// The tenant is asked in memory, whatever host the URL names, and its limits
// count the requests. An error says which page did not let the person go on.
func (t *Tenant) Login(authorizeURL, username, password string) (*url.URL, error) {
	target, err := url.Parse(authorizeURL)
	if err != nil || target.Host == "" {
		return nil, errors.New("auth0test: Login needs the whole URL of a login")
	}
	host := target.Host
	method, form := http.MethodGet, url.Values(nil)
	for range 8 { // more pages than any login has
		a, err := t.browse(method, target, form)
		if err != nil {
			return nil, err
		}
		if back := a.posted(); back != nil {
			return back, nil
		}
		switch next := a.header.Get("Location"); {
		case next != "":
			if target, err = target.Parse(next); err != nil {
				return nil, errors.New("auth0test: the tenant has redirected to what is no URL")
			}
			if target.Host != host {
				return target, nil
			}
			if target.Path != loginPath && target.Path != factorPath {
				return target, nil
			}
			method, form = http.MethodGet, nil
		case a.status != http.StatusOK:
			return nil, fmt.Errorf("auth0test: %s answers %d: %s", target.Path, a.status, a.alert())
		case target.Path == loginPath:
			method, form = http.MethodPost, url.Values{"username": {username}, "password": {password}}
		case target.Path == factorPath:
			method, form = http.MethodPost, url.Values{"code": {t.factorCode(username)}}
		default:
			return nil, fmt.Errorf("auth0test: %s shows no page of a login", target.Path)
		}
	}
	return nil, errors.New("auth0test: the login does not end")
}

// browse sends one request of a browser without cookies.
func (t *Tenant) browse(method string, target *url.URL, form url.Values) (answer, error) {
	r := &http.Request{
		Method: method, URL: target, Host: target.Host, Header: http.Header{"Accept": {"text/html"}},
		Body: io.NopCloser(bytes.NewReader([]byte(form.Encode()))),
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, err := t.RoundTrip(r)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = resp.Body.Close() }() // it is in memory
	body, err := io.ReadAll(resp.Body)
	return answer{status: resp.StatusCode, header: resp.Header, body: body}, err
}

// alert returns what a page tells a person to be wrong.
func (a answer) alert() string {
	found := regexp.MustCompile(`role="alert">([^<]*)<`).FindSubmatch(a.body)
	if found == nil {
		return "without a word"
	}
	return html.UnescapeString(string(found[1]))
}

// posted returns the callback and the fields of a page that posts itself there,
// nil for any other page.
func (a answer) posted() *url.URL {
	if !bytes.Contains(a.body, []byte("document.forms[0].submit()")) {
		return nil
	}
	action := regexp.MustCompile(`action="([^"]*)"`).FindSubmatch(a.body)
	back, err := url.Parse(html.UnescapeString(string(action[1])))
	if err != nil {
		return nil
	}
	query := back.Query()
	for _, field := range regexp.MustCompile(`name="([^"]*)" value="([^"]*)"`).FindAllSubmatch(a.body, -1) {
		query.Set(html.UnescapeString(string(field[1])), html.UnescapeString(string(field[2])))
	}
	back.RawQuery = query.Encode()
	return back
}
