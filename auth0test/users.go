package auth0test

import (
	"bytes"
	"crypto/md5" // the address of a default picture, not a secret
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/mail"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// users is the tenant's directory.
type users struct {
	list  []*user // in order of creation
	byID  map[string]*user
	taken map[string]*user // addresses, user names and phone numbers in use, per connection
}

func newUsers() users {
	return users{byID: make(map[string]*user), taken: make(map[string]*user)}
}

// user is one account: the document as the API shows it, and what is kept of the
// password. Hashes that were imported are not kept.
type user struct {
	id         string
	connection string
	doc        map[string]any
	password   []byte // see Tenant.seal; nil for none that is known
}

// names returns the keys under which nobody else in the connection may be.
func (u *user) names() []string {
	var keys []string
	for _, field := range []string{"email", "username", "phone_number"} {
		if v, _ := u.doc[field].(string); v != "" {
			keys = append(keys, nameKey(u.connection, field, v))
		}
	}
	return keys
}

func nameKey(connection, field, value string) string {
	return connection + "\n" + field + "\n" + strings.ToLower(value)
}

func (us *users) add(u *user) {
	us.list = append(us.list, u)
	us.byID[u.id] = u
	for _, k := range u.names() {
		us.taken[k] = u
	}
}

func (us *users) remove(u *user) {
	if i := slices.Index(us.list, u); i >= 0 {
		us.list = slices.Delete(us.list, i, i+1)
	}
	delete(us.byID, u.id)
	for _, k := range u.names() {
		delete(us.taken, k)
	}
}

func userHandlers() handlers {
	return handlers{
		"GET /users":          (*Tenant).listUsers,
		"POST /users":         (*Tenant).createUser,
		"GET /users-by-email": (*Tenant).usersByEmail,
		"GET /users/{id}":     (*Tenant).getUser,
		"PATCH /users/{id}":   (*Tenant).updateUser,
		"DELETE /users/{id}":  (*Tenant).deleteUser,
	}
}

// property is what a payload may hold under a name.
type property struct {
	name     string
	kind     string // string, boolean or object
	min, max int    // of a string's characters
	check    func(string) string
}

// The checks of strings return what is wrong, "" for nothing. None repeats the
// value: it may be a secret put in the wrong place.
func isEmail(s string) string {
	if a, err := mail.ParseAddress(s); err != nil || a.Address != s {
		return "Object didn't pass validation for format email"
	}
	return ""
}

func isURI(s string) string {
	if u, err := url.Parse(s); err != nil || u.Scheme == "" || u.Host == "" {
		return "Object didn't pass validation for format strict-uri"
	}
	return ""
}

func matches(pattern string) func(string) string {
	return func(s string) string {
		if ok, err := regexp.MatchString(pattern, s); err != nil || !ok {
			return "String does not match pattern " + pattern
		}
		return ""
	}
}

// userProperties is what every payload about a user may hold.
func userProperties() []property {
	return []property{
		{name: "email", kind: "string", min: 1, max: 1 << 20, check: isEmail},
		{name: "phone_number", kind: "string", min: 1, max: 1 << 20, check: matches(`^\+[0-9]{1,15}$`)},
		{name: "username", kind: "string", min: 1, max: 128},
		{name: "given_name", kind: "string", min: 1, max: 150},
		{name: "family_name", kind: "string", min: 1, max: 150},
		{name: "name", kind: "string", min: 1, max: 300},
		{name: "nickname", kind: "string", min: 1, max: 300},
		{name: "picture", kind: "string", min: 0, max: 1 << 20, check: isURI},
		{name: "blocked", kind: "boolean"},
		{name: "email_verified", kind: "boolean"},
		{name: "phone_verified", kind: "boolean"},
		{name: "user_metadata", kind: "object"},
		{name: "app_metadata", kind: "object"},
	}
}

// wrong is what a payload gets wrong, and where.
type wrong struct{ what, property string }

// check holds a payload against its properties. Unknown names are wrong unless
// open; null is wrong unless nullable.
func check(doc map[string]any, props []property, open, nullable bool) *wrong {
	for _, name := range sortedKeys(doc) { // the same payload gets the same message
		i := slices.IndexFunc(props, func(p property) bool { return p.name == name })
		if i < 0 {
			if open {
				continue
			}
			return &wrong{"Additional properties not allowed: " + name, ""}
		}
		p, v := &props[i], doc[name]
		if v == nil && nullable {
			continue
		}
		s, isString := v.(string)
		_, isBool := v.(bool)
		_, isObject := v.(map[string]any)
		if found := kindOf(v); p.kind == "string" && !isString || p.kind == "boolean" && !isBool || p.kind == "object" && !isObject {
			return &wrong{"Expected type " + p.kind + " but found type " + found, name}
		}
		if p.kind != "string" {
			continue
		}
		switch n := utf8.RuneCountInString(s); {
		case n < p.min:
			return &wrong{fmt.Sprintf("String is too short (%d chars), minimum %d", n, p.min), name}
		case n > p.max:
			return &wrong{fmt.Sprintf("String is too long (%d chars), maximum %d", n, p.max), name}
		}
		if p.check != nil {
			if what := p.check(s); what != "" {
				return &wrong{what, name}
			}
		}
	}
	return nil
}

func kindOf(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case string:
		return "string"
	case bool:
		return "boolean"
	case map[string]any:
		return "object"
	case []any:
		return "array"
	case json.Number:
		if _, err := v.Int64(); err == nil {
			return "integer"
		}
	}
	return "number"
}

// sortedKeys returns the names in a document, in order.
func sortedKeys(doc map[string]any) []string { return slices.Sorted(maps.Keys(doc)) }

// json decodes a request's body.
func (c *call) json() (any, *answer) {
	d := json.NewDecoder(bytes.NewReader(c.body))
	d.UseNumber() // large numbers in metadata keep their digits
	var v any
	err := d.Decode(&v)
	if _, more := d.Token(); err != nil || !errors.Is(more, io.EOF) {
		a := failure(http.StatusBadRequest, "", "Invalid request payload JSON format")
		return nil, &a
	}
	return v, nil
}

// object decodes the JSON object of a request's body.
func (c *call) object() (map[string]any, *answer) {
	v, bad := c.json()
	if bad != nil {
		return nil, bad
	}
	doc, ok := v.(map[string]any)
	if !ok {
		a := bodyError("Expected type object but found type "+kindOf(v), "")
		return nil, &a
	}
	return doc, nil
}

func (t *Tenant) createUser(c *call) answer {
	doc, bad := c.object()
	if bad != nil {
		return *bad
	}
	props := append(userProperties(),
		property{name: "connection", kind: "string", min: 1, max: 1 << 20},
		property{name: "password", kind: "string", min: 1, max: 1 << 20},
		property{name: "user_id", kind: "string", min: 0, max: 255, check: matches(`^\S*$`)},
		property{name: "verify_email", kind: "boolean"},
	)
	if doc["connection"] == nil {
		return bodyError("Missing required property: connection", "")
	}
	if w := check(doc, props, false, false); w != nil {
		return bodyError(w.what, w.property)
	}
	con := t.connection(doc["connection"].(string), false)
	if con == nil {
		return failure(http.StatusBadRequest, "inexistent_connection", "The connection does not exist.")
	}
	switch {
	case con.Strategy == "sms":
		if doc["phone_number"] == nil {
			return bodyError("Missing required property: phone_number", "")
		}
	case doc["email"] == nil && doc["username"] == nil && doc["phone_number"] == nil:
		return bodyError("Missing required property: email", "")
	case con.Strategy == strategyDatabase && doc["password"] == nil:
		return bodyError("Missing required property: password", "")
	}
	u := t.newUser(con, doc, c.now)
	if t.conflict(u) {
		return failure(http.StatusConflict, "auth0_idp_error", "The user already exists.")
	}
	password, _ := doc["password"].(string)
	t.addUser(u, password)
	c.user = u.id
	return jsonAnswer(http.StatusCreated, u.doc)
}

// newUser builds an account from a checked payload.
func (t *Tenant) newUser(con *Connection, payload map[string]any, now time.Duration) *user {
	doc := make(map[string]any)
	for _, p := range userProperties() {
		if v := payload[p.name]; v != nil {
			doc[p.name] = v
		}
	}
	// The prefix is put before whatever id was given, also before one that
	// already carries it.
	local, _ := payload["user_id"].(string)
	if local == "" {
		local = t.newID(24)
	}
	email, _ := doc["email"].(string)
	if email != "" {
		email = strings.ToLower(email)
		doc["email"] = email
		setDefault(doc, "email_verified", false)
		sum := md5.Sum([]byte(email))
		setDefault(doc, "picture", "https://s.gravatar.com/avatar/"+hex.EncodeToString(sum[:])+"?s=480&r=pg")
	}
	if doc["phone_number"] != nil {
		setDefault(doc, "phone_verified", false)
	}
	username, _ := doc["username"].(string)
	phone, _ := doc["phone_number"].(string)
	display := firstOf(email, username, phone)
	setDefault(doc, "name", display)
	nickname, _, _ := strings.Cut(display, "@")
	setDefault(doc, "nickname", nickname)
	u := &user{id: con.provider() + "|" + local, connection: con.Name, doc: doc}
	doc["user_id"] = u.id
	doc["created_at"], doc["updated_at"] = timestamp(now), timestamp(now)
	doc["identities"] = []any{map[string]any{
		"connection": con.Name, "user_id": local, "provider": con.provider(), "isSocial": false,
	}}
	return u
}

func setDefault(doc map[string]any, name string, v any) {
	if doc[name] == nil {
		doc[name] = v
	}
}

// conflict reports whether somebody has the user's id, address or name.
func (t *Tenant) conflict(u *user) bool {
	if t.users.byID[u.id] != nil {
		return true
	}
	return slices.ContainsFunc(u.names(), func(k string) bool { return t.users.taken[k] != nil })
}

// find returns the user of a path, or the refusal.
func (t *Tenant) find(c *call) (*user, *answer) {
	u := t.users.byID[c.params["id"]]
	if u == nil {
		a := failure(http.StatusNotFound, "inexistent_user", "The user does not exist.")
		return nil, &a
	}
	return u, nil
}

func (t *Tenant) getUser(c *call) answer {
	u, bad := t.find(c)
	if bad != nil {
		return *bad
	}
	return jsonAnswer(http.StatusOK, c.pick(u.doc))
}

func (t *Tenant) updateUser(c *call) answer {
	doc, bad := c.object()
	if bad != nil {
		return *bad
	}
	props := append(userProperties(),
		property{name: "connection", kind: "string", min: 1, max: 1 << 20},
		property{name: "client_id", kind: "string", min: 1, max: 1 << 20},
		property{name: "password", kind: "string", min: 1, max: 1 << 20},
		property{name: "verify_email", kind: "boolean"},
		property{name: "verify_phone_number", kind: "boolean"},
	)
	if w := check(doc, props, true, true); w != nil {
		return bodyError(w.what, w.property)
	}
	u, bad := t.find(c)
	if bad != nil {
		return *bad
	}
	for _, field := range []string{"email", "username", "phone_number"} {
		v, _ := doc[field].(string)
		if other := t.users.taken[nameKey(u.connection, field, v)]; v != "" && other != nil && other != u {
			return failure(http.StatusBadRequest, "auth0_idp_error", "The specified new "+strings.ReplaceAll(field, "_", " ")+" already exists")
		}
	}
	t.apply(u, doc, true, c.now)
	if password, ok := doc["password"].(string); ok {
		u.password = t.seal(u, password)
	}
	return jsonAnswer(http.StatusOK, c.pick(u.doc))
}

// apply changes a user by a checked payload. Metadata is merged at its first
// level, or replaced; null takes a property away.
func (t *Tenant) apply(u *user, payload map[string]any, merge bool, now time.Duration) {
	for _, k := range u.names() {
		delete(t.users.taken, k)
	}
	for _, p := range userProperties() {
		v, given := payload[p.name]
		if !given {
			continue
		}
		if s, ok := v.(string); ok && p.name == "email" {
			v = strings.ToLower(s)
			if v != u.doc["email"] && payload["email_verified"] == nil {
				u.doc["email_verified"] = false
			}
		}
		patch(u.doc, p.name, v, merge)
	}
	u.doc["updated_at"] = timestamp(now)
	for _, k := range u.names() {
		t.users.taken[k] = u
	}
}

func (t *Tenant) deleteUser(c *call) answer {
	if u := t.users.byID[c.params["id"]]; u != nil {
		t.removeUser(u)
	}
	return noContent() // also for a user who was never there
}

// removeUser deletes a user with all that was the user's.
func (t *Tenant) removeUser(u *user) {
	t.users.remove(u)
	for _, l := range t.members.in[u.id] {
		t.memberRoles.drop(memberKey(l.id, u.id))
	}
	t.disown("user", u.id)
}

func (t *Tenant) usersByEmail(c *call) answer {
	email := strings.ToLower(c.query.Get("email"))
	if email == "" {
		return queryError("Missing required property: email", "email")
	}
	found := []map[string]any{}
	for _, con := range t.kept["connection"].list[""] {
		if u := t.users.taken[nameKey(text(con.doc["name"]), "email", email)]; u != nil {
			found = append(found, c.pick(u.doc))
		}
	}
	return jsonAnswer(http.StatusOK, found)
}

func (t *Tenant) listUsers(c *call) answer {
	con := c.query.Get("connection")
	var found []*user
	for _, u := range t.users.list {
		if (con == "" || slices.Contains(lookup(u.doc["identities"], "connection"), con)) && (c.search == nil || c.search.matches(u.doc)) {
			found = append(found, u)
		}
	}
	return paged(c, found, nil, func(u *user) map[string]any { return u.doc })
}
