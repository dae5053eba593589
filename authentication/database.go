package authentication

import (
	"context"

	"github.com/headroom-go/auth0"
)

// DatabaseService signs users of database connections up and lets them change
// their passwords.
type DatabaseService struct{ c hidden[*core] }

// Signup are the parameters of a sign-up. Which of e-mail address, phone number
// and username are needed is the connection's to say.
type Signup struct {
	redacted[Signup]

	Connection  string `json:"connection" need:"yes"`
	Email       string `json:"email,omitempty"`
	PhoneNumber string `json:"phone_number,omitempty"`
	Username    string `json:"username,omitempty"`
	Password    string `json:"password" need:"yes"`
	GivenName   string `json:"given_name,omitempty"`
	FamilyName  string `json:"family_name,omitempty"`
	Name        string `json:"name,omitempty"`
	Nickname    string `json:"nickname,omitempty"`
	Picture     string `json:"picture,omitempty"`
	// UserMetadata has at most ten members, with names of up to 100 characters
	// and strings of up to 500.
	UserMetadata map[string]any `json:"user_metadata,omitempty"`
}

// SignedUp is a user who has signed up.
type SignedUp struct {
	// ID is the user id without the auth0| before it.
	ID            string         `json:"_id"`
	Email         string         `json:"email,omitempty"`
	EmailVerified bool           `json:"email_verified,omitempty"`
	PhoneNumber   string         `json:"phone_number,omitempty"`
	Username      string         `json:"username,omitempty"`
	GivenName     string         `json:"given_name,omitempty"`
	FamilyName    string         `json:"family_name,omitempty"`
	Name          string         `json:"name,omitempty"`
	Nickname      string         `json:"nickname,omitempty"`
	Picture       string         `json:"picture,omitempty"`
	UserMetadata  map[string]any `json:"user_metadata,omitempty"`
}

// Signup creates a user. A password that is too weak is an *Error with
// PasswordRules or PasswordPolicy.
//
//auth0:op POST /dbconnections/signup
func (s DatabaseService) Signup(ctx context.Context, p *Signup, opts ...auth0.RequestOption) (*SignedUp, error) {
	return postJSON[*SignedUp](ctx, s.c(), "/dbconnections/signup", p, idIfKnown, opts)
}

// ChangePassword are the parameters of the call of that name.
type ChangePassword struct {
	Email        string `json:"email" need:"yes"`
	Connection   string `json:"connection" need:"yes"`
	Organization string `json:"organization,omitempty"`
}

// ChangePassword sends a user a mail that leads to a new password, and returns
// the tenant's message. The answer is the same where there is no such user.
//
//auth0:op POST /dbconnections/change_password
func (s DatabaseService) ChangePassword(ctx context.Context, p *ChangePassword, opts ...auth0.RequestOption) (string, error) {
	text, err := postJSON[[]byte](ctx, s.c(), "/dbconnections/change_password", p, idIfKnown, opts)
	return string(text), err
}
