package authentication

import (
	"context"
	"encoding/json"

	"github.com/headroom-go/auth0"
)

// PasskeysService logs users in and signs them up with passkeys. It needs a
// custom domain.
type PasskeysService struct{ c hidden[*core] }

// PasskeyLogin are the parameters of PasskeysService.Challenge.
type PasskeyLogin struct {
	// Realm is the connection.
	Realm        string `json:"realm,omitempty"`
	Organization string `json:"organization,omitempty"`
}

// PasskeyChallenge is what the user's device has to answer.
type PasskeyChallenge struct {
	redacted[PasskeyChallenge]

	AuthSession string `json:"auth_session"`
	// PublicKey are the options to hand to the WebAuthn interface of the
	// platform as they are; their binary members are base64url.
	PublicKey json.RawMessage `json:"authn_params_public_key"`
}

// Challenge begins a login with a passkey.
//
//auth0:op POST /passkey/challenge
func (s PasskeysService) Challenge(ctx context.Context, p *PasskeyLogin, opts ...auth0.RequestOption) (*PasskeyChallenge, error) {
	return postJSON[*PasskeyChallenge](ctx, s.c(), "/passkey/challenge", p, secretOnly, opts)
}

// PasskeySignup are the parameters of PasskeysService.Register.
type PasskeySignup struct {
	// Realm is the connection.
	Realm        string         `json:"realm,omitempty"`
	Organization string         `json:"organization,omitempty"`
	UserProfile  PasskeyProfile `json:"user_profile"`
	// UserMetadata has at most ten members.
	UserMetadata map[string]string `json:"user_metadata,omitempty"`
}

// PasskeyProfile describes a new user; the connection says what is needed.
type PasskeyProfile struct {
	Email       string `json:"email,omitempty"`
	PhoneNumber string `json:"phone_number,omitempty"`
	Username    string `json:"username,omitempty"`
	Name        string `json:"name,omitempty"`
	GivenName   string `json:"given_name,omitempty"`
	FamilyName  string `json:"family_name,omitempty"`
	Nickname    string `json:"nickname,omitempty"`
	Picture     string `json:"picture,omitempty"`
}

// Register begins the sign-up of a user with a passkey.
//
//auth0:op POST /passkey/register
func (s PasskeysService) Register(ctx context.Context, p *PasskeySignup, opts ...auth0.RequestOption) (*PasskeyChallenge, error) {
	return postJSON[*PasskeyChallenge](ctx, s.c(), "/passkey/register", p, secretOnly, opts)
}

// PasskeyResponse are the parameters of PasskeysService.Token.
type PasskeyResponse struct {
	redacted[PasskeyResponse]

	AuthSession string `json:"auth_session" need:"yes"`
	// AuthnResponse is the credential that the platform has made, as JSON with
	// base64url for binary members.
	AuthnResponse json.RawMessage `json:"authn_response" need:"yes"`
	Realm         string          `json:"realm,omitempty"`
	Organization  string          `json:"organization,omitempty"`
	Scope         string          `json:"scope,omitempty"`
	Audience      string          `json:"audience,omitempty"`
}

// Token finishes a login or a sign-up with the answer of the user's device.
// Grant type urn:okta:params:oauth:grant-type:webauthn.
//
//auth0:op POST /oauth/token
func (s PasskeysService) Token(ctx context.Context, p *PasskeyResponse, opts ...auth0.RequestOption) (*TokenSet, error) {
	return tokens(postMembers[*TokenSet](ctx, s.c(), "/oauth/token", p,
		map[string]string{"grant_type": "urn:okta:params:oauth:grant-type:webauthn"}, secretOnly, opts))
}
