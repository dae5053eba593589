package authentication

import (
	"context"

	"github.com/headroom-go/auth0"
)

// PasswordlessService logs users in with codes and links that they are sent.
type PasswordlessService struct{ c hidden[*core] }

// PasswordlessStart are the parameters of Start.
type PasswordlessStart struct {
	// Connection is email or sms.
	Connection  string `json:"connection" need:"yes"`
	Email       string `json:"email,omitempty"`
	PhoneNumber string `json:"phone_number,omitempty"`
	// Send is link or code, with email only; link where empty.
	Send string `json:"send,omitempty"`
	// AuthParams are parameters of the login that a link leads to, by their
	// names at the authorize endpoint.
	AuthParams map[string]any `json:"authParams,omitempty"`
}

// PasswordlessStarted is the answer of Start.
type PasswordlessStarted struct {
	ID              string `json:"_id"`
	Email           string `json:"email,omitempty"`
	EmailVerified   bool   `json:"email_verified,omitempty"`
	PhoneNumber     string `json:"phone_number,omitempty"`
	PhoneVerified   bool   `json:"phone_verified,omitempty"`
	RequestLanguage string `json:"request_language,omitempty"`
}

// Start sends a user a code or a link. The options ForwardedFor and
// RequestLanguage serve it.
//
//auth0:op POST /passwordless/start
func (s PasswordlessService) Start(ctx context.Context, p *PasswordlessStart, opts ...auth0.RequestOption) (*PasswordlessStarted, error) {
	return postJSON[*PasswordlessStarted](ctx, s.c(), "/passwordless/start", p, noBasic, opts)
}

// PasswordlessOTP are the parameters of Token.
type PasswordlessOTP struct {
	redacted[PasswordlessOTP]

	// Username is the address or the phone number.
	Username string `url:"username,omitempty" need:"yes"`
	OTP      string `url:"otp,omitempty" need:"yes"`
	// Realm is email or sms.
	Realm    string `url:"realm,omitempty" need:"yes"`
	Audience string `url:"audience,omitempty"`
	// Resource names the API in place of Audience, in tenants set up so.
	Resource    string `url:"resource,omitempty"`
	Scope       string `url:"scope,omitempty"`
	RedirectURI string `url:"redirect_uri,omitempty"`
}

// Token logs a user in with the code that Start has sent. Grant type
// http://auth0.com/oauth/grant-type/passwordless/otp.
//
//auth0:op POST /oauth/token
func (s PasswordlessService) Token(ctx context.Context, p *PasswordlessOTP, opts ...auth0.RequestOption) (*TokenSet, error) {
	return grant(ctx, s.c(), grantPasswordless, p, opts)
}

const grantPasswordless = "http://auth0.com/oauth/grant-type/passwordless/otp"

// OTPChallenge are the parameters of Challenge: either Email or PhoneNumber.
type OTPChallenge struct {
	Connection string `json:"connection" need:"yes"`
	Email      string `json:"email,omitempty"`
	// PhoneNumber is in the form E.164.
	PhoneNumber string `json:"phone_number,omitempty"`
	// AllowSignup lets the login create the user.
	AllowSignup bool `json:"allow_signup,omitempty"`
	// DeliveryMethod is text or voice.
	DeliveryMethod string `json:"delivery_method,omitempty"`
}

// Challenge sends a code to a user of a database connection and returns the
// session that the login goes on with. The answer is the same where there is no
// such user.
//
//auth0:op POST /otp/challenge
func (s PasswordlessService) Challenge(ctx context.Context, p *OTPChallenge, opts ...auth0.RequestOption) (string, error) {
	a, err := postJSON[authSession](ctx, s.c(), "/otp/challenge", p, secretOnly, opts)
	return a.AuthSession, err
}

type authSession struct {
	AuthSession string `json:"auth_session"`
}

// SessionOTP are the parameters of TokenForSession.
type SessionOTP struct {
	redacted[SessionOTP]

	// AuthSession is that of Challenge.
	AuthSession string `url:"auth_session,omitempty" need:"yes"`
	OTP         string `url:"otp,omitempty" need:"yes"`
	Scope       string `url:"scope,omitempty"`
}

// TokenForSession logs a user of a database connection in with the code that
// Challenge has sent. Grant type
// http://auth0.com/oauth/grant-type/passwordless/otp.
//
//auth0:op POST /oauth/token
func (s PasswordlessService) TokenForSession(ctx context.Context, p *SessionOTP, opts ...auth0.RequestOption) (*TokenSet, error) {
	form, err := formOf(p)
	if err != nil {
		return nil, err
	}
	form.Set("grant_type", grantPasswordless)
	return tokens(sendForm[*TokenSet](ctx, s.c(), "/oauth/token", form, secretOnly, opts))
}
