package importer

import (
	"bytes"
	"slices"
)

// Via is the way that users take into the tenant.
type Via string

// The ways to import.
const (
	// ViaAuto takes the way that the users and their number call for.
	ViaAuto Via = "auto"
	// ViaJobs uses bulk import jobs, which take hundreds of users each and are
	// the only way to bring password hashes and second factors.
	ViaJobs Via = "jobs"
	// ViaUsers creates each user with a call of its own, the only way to set a
	// clear-text password.
	ViaUsers Via = "users"
)

// A Record is one user of the input, checked. It is valid, with all that it
// points to, until the next one is read.
type Record struct {
	// Number is the position among the input's users, from 1. What cannot be
	// read counts too.
	Number int
	// Line is the line on which the user starts, from 1; 0 where there are none.
	Line int
	// User is one compact JSON object with the fields that are sent: without
	// nulls, without what Dropped names, without connection, and with user_id as
	// an import wants it. It is nil when the user could not be read.
	User []byte
	// Email, UserID, Username and Phone are what identifies the user, UserID
	// without "auth0|". They are empty when absent.
	Email, UserID, Username, Phone string
	// Connection is a connection of the user's own, other than that of the
	// import. Only single calls can honor it.
	Connection string
	// NeedsJob reports that the user has a password_hash, a
	// custom_password_hash, mfa_factors or a password_set_date, which no single
	// call can set.
	NeedsJob bool
	// NeedsUsers reports that the user has a clear-text password, a connection
	// of its own or a verify_email, which no import job can set.
	NeedsUsers bool
	// Dropped names fields that exports have and no import takes. They were left out.
	Dropped []string
	// Problems are the reasons why the user cannot be sent, none when it can.
	Problems []Problem

	has fieldSet // known fields that the user has
}

// clone returns a copy that stays valid.
func (r *Record) clone() *Record {
	c := *r
	c.User, c.Dropped, c.Problems = bytes.Clone(r.User), slices.Clone(r.Dropped), slices.Clone(r.Problems)
	return &c
}

// A Problem is one rule that a user breaks.
type Problem struct {
	// Number and Line say which user, as in [Record].
	Number int `json:"number"`
	Line   int `json:"line,omitempty"`
	// Field is the property, such as "custom_password_hash.salt.value". It is
	// empty when the whole user is meant.
	Field string `json:"field,omitempty"`
	// Rule is a short name for the rule, which stays the same: "email-form".
	Rule string `json:"rule"`
	// Message says what is wrong and what to do, with the field, the rule and
	// the line in it. It never holds the value of a field.
	Message string `json:"message"`
}

// Check says what users are held against.
type Check struct {
	// Connection is the name or the id of the import's connection. A user who
	// names the same one has no connection of its own.
	Connection string
	// Upsert reports that users who exist are updated. No rule depends on it;
	// [Inspect] counts what such an update leaves as it was.
	Upsert bool
	// Duplicates finds users who have an e-mail address, a user_id, a user name or
	// a telephone number in common with one before them. It needs about 13 bytes
	// of memory for each of those values.
	Duplicates bool
	// EmailVerified is set in users who have an e-mail address and do not say
	// whether it is verified. Nil leaves it to Auth0, which takes false.
	EmailVerified *bool
	// Passwords refuses users who go by a single call, as ViaUsers has all of them
	// do, and have no password: a database takes none without.
	Passwords bool
	// Via is the way the users will take. A user who needs another is refused;
	// [ViaAuto] and "" refuse only those who need both.
	Via Via
}
