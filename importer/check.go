package importer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/bits"
	"net/url"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// jobBody is the most that the body of an import job may hold, in bytes.
	jobBody = 512_000
	// jobFrame is what a body keeps for its parts' headers and fields, in bytes.
	jobFrame = 1_000
	// maxUser is the largest user that fits into a job of its own.
	maxUser = jobBody - jobFrame - len("[]")
)

// The fields of a user.
const (
	fieldEmail = iota
	fieldEmailVerified
	fieldPhone
	fieldPhoneVerified
	fieldUserID
	fieldUsername
	fieldGivenName
	fieldFamilyName
	fieldName
	fieldNickname
	fieldPicture
	fieldBlocked
	fieldAppMetadata
	fieldUserMetadata
	fieldPasswordHash
	fieldCustomHash
	fieldPasswordSetDate
	fieldMFAFactors
	fieldPassword
	fieldVerifyEmail
	fieldConnection
	fieldCount
)

// fields is what each field takes. The lengths are those of POST /users.
var fields = [fieldCount]struct {
	name, kind string
	min, max   int // of a string's characters; no bounds when max is 0
}{
	fieldEmail:           {"email", kindString, 0, 0},
	fieldEmailVerified:   {"email_verified", kindBoolean, 0, 0},
	fieldPhone:           {"phone_number", kindString, 0, 0},
	fieldPhoneVerified:   {"phone_verified", kindBoolean, 0, 0},
	fieldUserID:          {"user_id", kindString, 0, 255},
	fieldUsername:        {"username", kindString, 1, 128},
	fieldGivenName:       {"given_name", kindString, 1, 150},
	fieldFamilyName:      {"family_name", kindString, 1, 150},
	fieldName:            {"name", kindString, 1, 300},
	fieldNickname:        {"nickname", kindString, 1, 300},
	fieldPicture:         {"picture", kindString, 0, 0},
	fieldBlocked:         {"blocked", kindBoolean, 0, 0},
	fieldAppMetadata:     {"app_metadata", kindObject, 0, 0},
	fieldUserMetadata:    {"user_metadata", kindObject, 0, 0},
	fieldPasswordHash:    {"password_hash", kindString, 0, 0},
	fieldCustomHash:      {"custom_password_hash", kindObject, 0, 0},
	fieldPasswordSetDate: {"password_set_date", kindString, 1, 64},
	fieldMFAFactors:      {"mfa_factors", kindArray, 0, 0},
	fieldPassword:        {"password", kindString, 1, 1 << 20},
	fieldVerifyEmail:     {"verify_email", kindBoolean, 0, 0},
	fieldConnection:      {"connection", kindString, 1, 1 << 20},
}

// A fieldSet is a set of the fields above.
type fieldSet uint32

func (s fieldSet) has(f int) bool      { return s&(1<<f) != 0 }
func (s fieldSet) any(o fieldSet) bool { return s&o != 0 }

// first returns the name of the first field that both sets have.
func (s fieldSet) first(o fieldSet) string { return fields[bits.TrailingZeros32(uint32(s&o))].name }

const (
	// jobFields are those that no single call can set, userFields those that no job can.
	jobFields  fieldSet = 1<<fieldPasswordHash | 1<<fieldCustomHash | 1<<fieldMFAFactors | 1<<fieldPasswordSetDate
	userFields fieldSet = 1<<fieldPassword | 1<<fieldVerifyEmail | 1<<fieldConnection
	// identityFields are those of which a user needs one.
	identityFields fieldSet = 1<<fieldEmail | 1<<fieldUsername | 1<<fieldPhone
	// notUpserted are those that an import leaves alone in a user who exists.
	notUpserted fieldSet = 1<<fieldUserID | 1<<fieldUsername | 1<<fieldPhone | 1<<fieldPhoneVerified | 1<<fieldBlocked |
		1<<fieldPassword | 1<<fieldPasswordHash | 1<<fieldPasswordSetDate | 1<<fieldMFAFactors
)

// exported reports whether a name is one that exports have and no import takes.
func exported(name []byte) bool {
	switch string(name) {
	case "identities", "created_at", "updated_at", "last_login", "last_ip", "logins_count", "last_password_reset",
		"multifactor", "multifactor_last_modified", "guardian_authenticators", "guardian_enrollments", "blocked_for",
		"email_lower", "global_client_id", "globalClientID", "clientID", "tenant", "_id", "id":
		return true
	}
	return bytes.HasPrefix(name, []byte("identities[")) // a column of a CSV
}

// forbidden reports whether a key may not be in app_metadata.
func forbidden(key []byte) bool {
	switch string(key) {
	case "__tenant", "_id", "blocked", "clientID", "created_at", "email_verified", "email", "globalClientID", "global_client_id",
		"identities", "lastIP", "lastLogin", "loginsCount", "metadata", "multifactor_last_modified", "multifactor", "updated_at", "user_id":
		return true
	}
	return false
}

// findField returns the field of a name, -1 for none.
func findField(name []byte) int {
	for f := range fields {
		if string(name) == fields[f].name {
			return f
		}
	}
	return -1
}

// plainName returns the field's name for a title that the dashboard's exports
// give it, such as "Given Name" or "Id"; other names as they are.
func plainName(name []byte) []byte {
	if len(name) == 0 || name[0] < 'A' || name[0] > 'Z' {
		return name
	}
	plain := bytes.ReplaceAll(bytes.ToLower(name), []byte(" "), []byte("_"))
	if string(plain) == "id" {
		return []byte("user_id")
	}
	if findField(plain) < 0 && !exported(plain) {
		return name
	}
	return plain
}

// An item is what a reader finds in place of a user: its bytes, or the rule
// that the input breaks there.
type item struct {
	raw    []byte
	line   int
	broken bool
	rule   rule
	field  string
	what   string
}

// A checker turns items into records. Its buffers are used again for each.
type checker struct {
	o       Check
	dup     duplicates // nil finds none
	rec     Record
	user    []byte
	unknown []string
	names   map[string]string // names that are not fields, kept once each
}

const (
	// maxNames bounds how many of them are kept, and maxName their length in bytes.
	maxNames = 1_000
	maxName  = 64
	// maxPerUser bounds the problems of one user.
	maxPerUser = 20
)

// shown returns a name of the input's making as reports can show it.
func shown(name []byte) string {
	s := string(name)
	if len(s) > maxName {
		s = strings.ToValidUTF8(s[:maxName], "") + "..."
	}
	if strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return strconv.Quote(s)
	}
	return s
}

func (c *checker) name(b []byte) string {
	if s, ok := c.names[string(b)]; ok {
		return s
	}
	s := shown(b)
	if c.names == nil {
		c.names = make(map[string]string)
	}
	if len(c.names) < maxNames && len(b) <= maxName {
		c.names[string(b)] = s
	}
	return s
}

func (c *checker) refuse(field string, r rule, what string) {
	if len(c.rec.Problems) == maxPerUser {
		return
	}
	c.rec.Problems = append(c.rec.Problems, problem(c.rec.Number, c.rec.Line, field, r, what))
}

// record checks one item.
func (c *checker) record(number int, e *item) *Record {
	c.rec = Record{Number: number, Line: e.line, Dropped: c.rec.Dropped[:0], Problems: c.rec.Problems[:0]}
	if e.broken {
		c.refuse(e.field, e.rule, e.what)
		return &c.rec
	}
	raw := bytes.TrimFunc(e.raw, isSpaceRune)
	switch {
	case !utf8.Valid(raw):
		c.refuse("", ruleUTF8, "the user is not valid UTF-8")
	case !json.Valid(raw):
		c.refuse("", ruleJSON, notJSON(raw))
	case raw[0] != '{':
		c.refuse("", ruleObject, "this is no JSON object but "+kindOf(raw))
	default:
		c.object(raw)
		c.whole()
	}
	return &c.rec
}

// notJSON says where JSON is wrong. The decoder's own text could quote a value.
func notJSON(raw []byte) string {
	var v json.RawMessage
	if syntax := (*json.SyntaxError)(nil); errors.As(json.Unmarshal(raw, &v), &syntax) {
		return "not valid JSON at byte " + strconv.FormatInt(syntax.Offset, 10) + " of the user"
	}
	return "not valid JSON"
}

// object reads the fields of a user one by one.
func (c *checker) object(raw []byte) {
	c.user, c.unknown = append(c.user[:0], '{'), c.unknown[:0]
	export, own := false, "" // fields that only exports have; a connection of its own
	for name, v := range members(raw) {
		plain := plainName(name)
		f := findField(plain)
		if f >= 0 && c.rec.has.has(f) {
			c.refuse(fields[f].name, ruleFieldTwice, "the field is there twice")
			continue
		}
		if v[0] == 'n' { // null, as exports write what a user does not have
			continue
		}
		switch {
		case f < 0 && exported(plain):
			export = true
			c.rec.Dropped = append(c.rec.Dropped, c.name(name))
			continue
		case f < 0:
			c.unknown = append(c.unknown, c.name(name))
			continue
		case f == fieldConnection && name[0] == 'C': // titled, so of an export
			export = true
		}
		c.rec.has |= 1 << f
		t := &fields[f]
		if is := kindOf(v); is != t.kind {
			c.refuse(t.name, ruleType, "this is "+is+" and should be "+t.kind)
			continue
		}
		if f == fieldConnection {
			own = string(unquote(v))
			continue
		}
		if len(c.user) > 1 {
			c.user = append(c.user, ',')
		}
		c.user = append(c.user, '"')
		c.user = append(c.user, t.name...)
		c.user = append(c.user, '"', ':')
		c.field(f, v)
	}
	// In an export, what no import takes is left out; elsewhere it is a slip of
	// the pen that would lose data.
	for _, name := range c.unknown {
		if export {
			c.rec.Dropped = append(c.rec.Dropped, name)
			continue
		}
		c.refuse(name, ruleUnknownField, "an import knows no such field")
	}
	if c.rec.has.has(fieldConnection) {
		switch {
		case export:
			c.rec.Dropped = append(c.rec.Dropped, fields[fieldConnection].name)
			fallthrough
		case own == c.o.Connection:
			c.rec.has &^= 1 << fieldConnection
		default:
			c.rec.Connection = own
		}
	}
}

// field checks and appends the value of a field. The type is right.
func (c *checker) field(f int, v []byte) {
	t := &fields[f]
	if t.kind == kindString {
		text := unquote(v)
		if f == fieldUserID {
			// The prefix is put before whatever id is given, and exports carry it.
			if bare, ok := bytes.CutPrefix(text, []byte("auth0|")); ok {
				text, v = bare, nil
			}
		}
		c.text(f, text)
		if v == nil {
			c.user = appendString(c.user, text)
			return
		}
	}
	switch f {
	case fieldAppMetadata:
		for key := range members(v) {
			if forbidden(key) {
				c.refuse(t.name+"."+shown(key), ruleMetadataKey, "the key is not allowed there")
			}
		}
	case fieldCustomHash:
		c.customHash(v)
	case fieldMFAFactors:
		c.factors(v)
	}
	c.user = appendCompact(c.user, v)
}

// text checks the value of a field that is a string.
func (c *checker) text(f int, text []byte) {
	t := &fields[f]
	if n := utf8.RuneCount(text); t.max > 0 && (n < t.min || n > t.max) {
		c.refuse(t.name, ruleLength, fmt.Sprintf("it has %d characters and takes %d to %d", n, t.min, t.max))
	}
	switch f {
	case fieldEmail:
		c.rec.Email = string(text)
		if !isEmail(text) {
			c.refuse(t.name, ruleEmail, "not an e-mail address")
		}
	case fieldPhone:
		c.rec.Phone = string(text)
		if !isPhone(text) {
			c.refuse(t.name, rulePhone, "not a telephone number as Auth0 takes it")
		}
	case fieldUserID:
		c.rec.UserID = string(text)
		if bytes.ContainsFunc(text, unicode.IsSpace) {
			c.refuse(t.name, ruleUserID, "there is white space in it")
		}
	case fieldUsername:
		c.rec.Username = string(text)
	case fieldPicture:
		if u, err := url.Parse(string(text)); err != nil || u.Scheme == "" {
			c.refuse(t.name, rulePicture, "not a URL")
		}
	case fieldPasswordHash:
		c.bcrypt(text)
	}
}

// whole checks what concerns more than one field, and finishes the user.
func (c *checker) whole() {
	r := &c.rec
	if c.o.EmailVerified != nil && r.has.has(fieldEmail) && !r.has.has(fieldEmailVerified) {
		c.user = append(c.user, `,"email_verified":`...)
		c.user = strconv.AppendBool(c.user, *c.o.EmailVerified)
	}
	r.User = append(c.user, '}')
	c.user = r.User
	r.NeedsJob, r.NeedsUsers = r.has.any(jobFields), r.has.any(userFields)
	if !r.has.any(identityFields) {
		c.refuse("", ruleIdentity, "there is no email, username or phone_number")
	}
	if r.has.has(fieldPasswordHash) && r.has.has(fieldCustomHash) {
		c.refuse("password_hash", ruleHashExclusive, "there is a custom_password_hash too")
	}
	switch {
	case r.NeedsJob && r.NeedsUsers:
		c.refuse(r.has.first(userFields), rulePasswordExclusive, "only a call of its own can set it, and "+r.has.first(jobFields)+" only an import job")
	case r.NeedsJob && c.o.Via == ViaUsers:
		c.refuse(r.has.first(jobFields), ruleNeedsJob, "no call to POST /users can set it")
	case r.NeedsUsers && c.o.Via == ViaJobs:
		c.refuse(r.has.first(userFields), ruleNeedsUsers, "no import job can set it")
	case c.o.Passwords && c.o.Via == ViaUsers && r.Connection == "" && !r.has.has(fieldPassword):
		c.refuse("password", ruleNeedsPassword, "a single call creates no user of a database without one")
	case c.o.Passwords && r.NeedsUsers && r.Connection == "" && !r.has.has(fieldPassword):
		c.refuse("password", ruleNeedsPassword, "verify_email calls for a single call, which creates no user of a database without one; a job takes the user without verify_email")
	}
	if len(r.User) > maxUser && !r.NeedsUsers && c.o.Via != ViaUsers {
		c.refuse("", ruleSize, fmt.Sprintf("the user has %d bytes of JSON, and %d fit", len(r.User), maxUser))
	}
	if len(r.Problems) == 0 && c.dup != nil {
		c.duplicates()
	}
}

// duplicates compares what identifies the user with the users before.
func (c *checker) duplicates() {
	r := &c.rec
	ids := [...]struct {
		field int
		value string
	}{{fieldEmail, r.Email}, {fieldUserID, r.UserID}, {fieldUsername, r.Username}, {fieldPhone, r.Phone}}
	for _, id := range ids {
		if id.value == "" {
			continue
		}
		if before, found := c.dup.find(id.field, id.value); found {
			what := "a user before has the same"
			switch {
			case before.line > 0:
				what = fmt.Sprintf("the same as that of the user on line %d", before.line)
			case before.number > 0:
				what = fmt.Sprintf("the same as that of user %d", before.number)
			}
			c.refuse(fields[id.field].name, ruleDuplicate, what)
		}
	}
	if len(r.Problems) > 0 {
		return
	}
	for _, id := range ids {
		if id.value != "" {
			c.dup.add(id.field, id.value, place{r.Number, r.Line})
		}
	}
}

// factors checks mfa_factors.
func (c *checker) factors(v []byte) {
	const field = "mfa_factors"
	n := 0
	for e := range elements(v) {
		at := field + "[" + strconv.Itoa(n) + "]"
		n++
		if kindOf(e) != kindObject {
			c.refuse(at, ruleMFAForm, "this is "+kindOf(e)+" and should be object")
			continue
		}
		kinds := 0
		for kind, inner := range members(e) {
			if kinds++; kinds > 1 {
				c.refuse(at, ruleMFAForm, "a factor has one kind only")
				break
			}
			c.factor(at, kind, inner)
		}
	}
	if n < 1 || n > 10 {
		c.refuse(field, ruleMFACount, fmt.Sprintf("there are %d factors", n))
	}
}

func (c *checker) factor(at string, kind, v []byte) {
	var form rule
	var ok func([]byte) bool
	key, what := "value", ""
	switch string(kind) {
	case "totp":
		key, form, ok, what = "secret", ruleMFATOTP, isBase32, "the secret is not Base32 without padding"
	case "phone":
		form, ok, what = ruleMFAPhone, isPhone, "not a telephone number as Auth0 takes it"
	case "email":
		form, ok, what = ruleMFAEmail, isEmail, "not an e-mail address"
	default:
		c.refuse(at, ruleMFAForm, "a factor is totp, phone or email")
		return
	}
	at += "." + string(kind)
	if kindOf(v) != kindObject {
		c.refuse(at, ruleMFAForm, "this is "+kindOf(v)+" and should be object")
		return
	}
	found := false
	for name, inner := range members(v) {
		if string(name) != key || kindOf(inner) != kindString {
			c.refuse(at, ruleMFAForm, "it holds a string named "+key+" and nothing else")
			return
		}
		found = true
		if !ok(unquote(inner)) {
			c.refuse(at+"."+key, form, what)
		}
	}
	if !found {
		c.refuse(at, ruleMFAForm, "there is no "+key)
	}
}

// isPhone reports whether a text is + and 1 to 15 digits.
func isPhone(s []byte) bool {
	if len(s) < 2 || len(s) > 16 || s[0] != '+' {
		return false
	}
	return allIn(s[1:], func(c byte) bool { return '0' <= c && c <= '9' })
}

func isBase32(s []byte) bool {
	return len(s) > 0 && allIn(s, func(c byte) bool { return 'A' <= c && c <= 'Z' || '2' <= c && c <= '7' })
}

func allIn(s []byte, in func(byte) bool) bool {
	for _, c := range s {
		if !in(c) {
			return false
		}
	}
	return true
}

// isEmail reports whether a text has the form of one e-mail address: a name and
// a domain of parts with dots between them. Quoted names and domains in brackets
// are left to Auth0.
func isEmail(s []byte) bool {
	at := bytes.LastIndexByte(s, '@')
	if at < 1 || at == len(s)-1 {
		return false
	}
	const never = `()<>[]:;@\,"`
	local, domain := s[:at], s[at+1:]
	if quoted := local[0] == '"' && len(local) > 2 && local[at-1] == '"'; !quoted && !isDotted(local, never) {
		return false
	}
	if literal := domain[0] == '[' && domain[len(domain)-1] == ']'; literal {
		return true
	}
	return isDotted(domain, never)
}

// isDotted reports whether a text is made of parts with a dot between each two,
// without white space, control characters and those of not.
func isDotted(s []byte, not string) bool {
	dot := true // where one may not be
	for _, r := range string(s) {
		if r == '.' {
			if dot {
				return false
			}
			dot = true
			continue
		}
		if r <= ' ' || r == 0x7f || r < utf8.RuneSelf && strings.ContainsRune(not, r) || r >= utf8.RuneSelf && (unicode.IsSpace(r) || unicode.IsControl(r)) {
			return false
		}
		dot = false
	}
	return !dot
}
