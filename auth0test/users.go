package auth0test

import (
	"bytes"
	"cmp"
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
	"strconv"
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

// user is one account: the document as the API shows it. Passwords and their
// hashes are never kept.
type user struct {
	id         string
	connection string
	doc        map[string]any
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

func userRoutes() []route {
	read, update := []string{"read:users"}, []string{"update:users"}
	return []route{
		{method: "GET", path: "/api/v2/users", scopes: read, serve: (*Tenant).listUsers},
		{method: "POST", path: "/api/v2/users", scopes: []string{"create:users"}, serve: (*Tenant).createUser},
		{method: "GET", path: "/api/v2/users-by-email", scopes: read, serve: (*Tenant).usersByEmail},
		{method: "GET", path: "/api/v2/users/{id}", scopes: read, serve: (*Tenant).getUser},
		{method: "PATCH", path: "/api/v2/users/{id}", scopes: update, serve: (*Tenant).updateUser},
		{method: "DELETE", path: "/api/v2/users/{id}", scopes: []string{"delete:users"}, serve: (*Tenant).deleteUser},
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
	names := make([]string, 0, len(doc))
	for name := range doc {
		names = append(names, name)
	}
	slices.Sort(names) // the same payload gets the same message
	for _, name := range names {
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

// object decodes the JSON object of a request's body.
func (c *call) object() (map[string]any, *answer) {
	d := json.NewDecoder(bytes.NewReader(c.body))
	d.UseNumber() // large numbers in metadata keep their digits
	var v any
	err := d.Decode(&v)
	if _, more := d.Token(); err != nil || !errors.Is(more, io.EOF) {
		a := failure(http.StatusBadRequest, "", "Invalid request payload JSON format")
		return nil, &a
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
	t.users.add(u)
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
		if old, _ := u.doc[p.name].(map[string]any); p.kind == "object" && merge && v != nil {
			merged := make(map[string]any)
			maps.Copy(merged, old)
			for k, n := range v.(map[string]any) {
				if merged[k] = n; n == nil {
					delete(merged, k)
				}
			}
			v = merged
		}
		if s, ok := v.(string); ok && p.name == "email" {
			v = strings.ToLower(s)
			if v != u.doc["email"] && payload["email_verified"] == nil {
				u.doc["email_verified"] = false
			}
		}
		if u.doc[p.name] = v; v == nil {
			delete(u.doc, p.name)
		}
	}
	u.doc["updated_at"] = timestamp(now)
	for _, k := range u.names() {
		t.users.taken[k] = u
	}
}

func (t *Tenant) deleteUser(c *call) answer {
	if u := t.users.byID[c.params["id"]]; u != nil {
		t.users.remove(u)
	}
	return noContent() // also for a user who was never there
}

func (t *Tenant) usersByEmail(c *call) answer {
	email := strings.ToLower(c.query.Get("email"))
	if email == "" {
		return queryError("Missing required property: email", "email")
	}
	found := []map[string]any{}
	for _, con := range t.connections {
		if u := t.users.taken[nameKey(con.Name, "email", email)]; u != nil {
			found = append(found, c.pick(u.doc))
		}
	}
	return jsonAnswer(http.StatusOK, found)
}

// searchCeiling is how many users a search can page through.
const searchCeiling = 1000

func (t *Tenant) listUsers(c *call) answer {
	page, perPage, _, bad := c.page(50)
	if bad != nil {
		return *bad
	}
	if (page+1)*perPage > searchCeiling {
		return failure(http.StatusBadRequest, "invalid_paging", "You can only page through the first 1000 records.")
	}
	terms, err := parseSearch(c.query.Get("q"))
	if err != nil {
		return failure(http.StatusBadRequest, "invalid_query_string", err.Error())
	}
	if con := c.query.Get("connection"); con != "" {
		terms = append(terms, searchTerm{path: "identities.connection", value: con})
	}
	var found []*user
	for _, u := range t.users.list {
		if !slices.ContainsFunc(terms, func(s searchTerm) bool { return !s.matches(u.doc) }) {
			found = append(found, u)
		}
	}
	if by, order, ok := strings.Cut(c.query.Get("sort"), ":"); ok {
		slices.SortStableFunc(found, func(a, b *user) int {
			n := cmp.Compare(strings.Join(lookup(a.doc, by), ""), strings.Join(lookup(b.doc, by), ""))
			if order == "-1" {
				return -n
			}
			return n
		})
	}
	docs := make([]map[string]any, len(found))
	for i, u := range found {
		docs[i] = c.pick(u.doc)
	}
	return listing(c, "users", docs)
}

// searchTerm is one field:value of a search.
type searchTerm struct {
	path  string
	value string // a last * stands for any rest
}

// parseSearch reads the part of Auth0's search syntax that needs no search
// engine: terms joined by AND, values bare or quoted, * at the end.
func parseSearch(q string) ([]searchTerm, error) {
	var terms []searchTerm
	for q = strings.TrimSpace(q); q != "" && q != "*"; {
		path, rest, ok := strings.Cut(q, ":")
		if !ok || path == "" || strings.ContainsAny(path, ` "()`) {
			return nil, errors.New("this tenant reads searches of the form field:value, joined by AND")
		}
		var value string
		if strings.HasPrefix(rest, `"`) {
			quoted, err := strconv.QuotedPrefix(rest)
			if err != nil {
				return nil, errors.New("a quotation in the search does not end")
			}
			rest = rest[len(quoted):]
			if value, err = strconv.Unquote(quoted); err != nil {
				return nil, errors.New("a quotation in the search cannot be read")
			}
		} else {
			value, rest, _ = strings.Cut(rest, " ")
			rest = " " + rest
		}
		if strings.ContainsAny(value, "[]{}()~") && !strings.Contains(value, "@") {
			return nil, errors.New("this tenant does not search ranges or groups")
		}
		terms = append(terms, searchTerm{path, value})
		if rest = strings.TrimSpace(rest); rest == "" {
			break
		}
		if q, ok = strings.CutPrefix(rest, "AND "); !ok {
			return nil, errors.New("this tenant joins the terms of a search by AND only")
		}
		q = strings.TrimSpace(q)
	}
	return terms, nil
}

func (s searchTerm) matches(doc map[string]any) bool {
	want := strings.ToLower(s.value)
	return slices.ContainsFunc(lookup(doc, s.path), func(v string) bool {
		v = strings.ToLower(v)
		if prefix, ok := strings.CutSuffix(want, "*"); ok {
			return strings.HasPrefix(v, prefix)
		}
		return v == want
	})
}

// lookup returns the values that a dotted path leads to, looking into each
// element of a list.
func lookup(v any, path string) []string {
	if list, ok := v.([]any); ok {
		var all []string
		for _, e := range list {
			all = append(all, lookup(e, path)...)
		}
		return all
	}
	if path == "" {
		if v == nil {
			return nil
		}
		return []string{fmt.Sprint(v)}
	}
	doc, ok := v.(map[string]any)
	if !ok {
		return nil
	}
	name, rest, _ := strings.Cut(path, ".")
	return lookup(doc[name], rest)
}
