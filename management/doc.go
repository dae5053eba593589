// Package management is the Management API of Auth0, typed: every operation, reached by group.
//
//	client, err := auth0.New("example.eu.auth0.com", auth0.WithClientSecret(id, secret))
//	api := management.New(client)
//	user, err := api.Users.Get(ctx, "auth0|123", nil)
//	for role, err := range api.Users.Roles.All(ctx, user.UserID, nil) { ... }
//
// # Conventions
//
// A method's doc comment names the scopes that a token needs and how far the operation has come: early access, beta, generally
// available, deprecated. List methods return one page, whose Next returns the one after; All methods walk every page. Parameters of a
// query are the last argument before the options, nil for none.
//
// Names tell a type's part: a User is what the API returns, a UserCreate, UserUpdate or UserSet what it takes. In what the API takes,
// an optional field is a pointer, set with new("x"); one that can be cleared is an [auth0.Null]; a slice or map is left out when nil
// and sent when empty. Required fields have no omitempty, and calls that lack one are refused before they are sent. In what the API
// returns, fields are plain values, zero where the API sent none.
//
// Enums are strings with constants; values that are not among them pass. Where the kind of an object decides what is in it, as the
// strategy of a connection does for its options, there is a struct with one field for each kind, of which one is set.
//
// A value of an unexpected type does not fail a call: the rest of the answer is kept, and [auth0.Capture] tells what was left out.
// [auth0.Decode] does the same for objects that came another way, such as by a log stream; encoding/json, which stops at the first
// error, does not.
package management

//go:generate go run ../internal/gen
