package authentication

import (
	"context"
	"net/http"
	"slices"

	"github.com/headroom-go/auth0"
)

// MFAService goes on with logins that need a second factor, and manages a user's
// factors. The token of a login under way is Error.MFAToken.
type MFAService struct{ c hidden[*core] }

// MFAOTP are the parameters of VerifyOTP.
type MFAOTP struct {
	redacted[MFAOTP]

	MFAToken string `url:"mfa_token,omitempty" need:"yes"`
	// OTP is the code that the user's app shows.
	OTP string `url:"otp,omitempty" need:"yes"`
}

// VerifyOTP finishes a login with the code of an authenticator app. Grant type
// http://auth0.com/oauth/grant-type/mfa-otp.
//
//auth0:op POST /oauth/token
func (s MFAService) VerifyOTP(ctx context.Context, p *MFAOTP, opts ...auth0.RequestOption) (*TokenSet, error) {
	return grant(ctx, s.c(), "http://auth0.com/oauth/grant-type/mfa-otp", p, opts)
}

// MFAOOB are the parameters of VerifyOOB and WaitOOB.
type MFAOOB struct {
	redacted[MFAOOB]

	MFAToken string `url:"mfa_token,omitempty" need:"yes"`
	// OOBCode is that of the challenge or the association.
	OOBCode string `url:"oob_code,omitempty" need:"yes"`
	// BindingCode is what the user was sent, where BindingMethod is prompt.
	BindingCode string `url:"binding_code,omitempty"`
}

// VerifyOOB finishes a login with a code that was sent to the user, or with a
// push message: CodeOf its error is AuthorizationPending until the user has
// answered that. Grant type http://auth0.com/oauth/grant-type/mfa-oob.
//
//auth0:op POST /oauth/token
func (s MFAService) VerifyOOB(ctx context.Context, p *MFAOOB, opts ...auth0.RequestOption) (*TokenSet, error) {
	return grant(ctx, s.c(), "http://auth0.com/oauth/grant-type/mfa-oob", p, opts)
}

// WaitOOB is VerifyOOB for push messages: it asks every five seconds, and less
// often when told to, until the user has answered or ctx ends.
func (s MFAService) WaitOOB(ctx context.Context, p *MFAOOB, opts ...auth0.RequestOption) (*TokenSet, error) {
	return poll(ctx, 0, 0, func(ctx context.Context) (*TokenSet, error) { return s.VerifyOOB(ctx, p, opts...) })
}

// MFARecoveryCode are the parameters of VerifyRecoveryCode.
type MFARecoveryCode struct {
	redacted[MFARecoveryCode]

	MFAToken     string `url:"mfa_token,omitempty" need:"yes"`
	RecoveryCode string `url:"recovery_code,omitempty" need:"yes"`
}

// VerifyRecoveryCode finishes a login with a recovery code. The answer may have
// a new one, which the user has to be shown: the old one is used up. Grant type
// http://auth0.com/oauth/grant-type/mfa-recovery-code.
//
//auth0:op POST /oauth/token
func (s MFAService) VerifyRecoveryCode(ctx context.Context, p *MFARecoveryCode, opts ...auth0.RequestOption) (*TokenSet, error) {
	return grant(ctx, s.c(), "http://auth0.com/oauth/grant-type/mfa-recovery-code", p, opts)
}

// MFAChallengeRequest are the parameters of Challenge.
type MFAChallengeRequest struct {
	redacted[MFAChallengeRequest]

	MFAToken string `json:"mfa_token" need:"yes"`
	// ChallengeType is otp, oob, or both separated by a space; any where empty.
	ChallengeType string `json:"challenge_type,omitempty"`
	// AuthenticatorID picks one of the user's factors.
	AuthenticatorID string `json:"authenticator_id,omitempty"`
}

// MFAChallenge is a challenge that was sent to the user.
type MFAChallenge struct {
	redacted[MFAChallenge]

	ChallengeType string `json:"challenge_type"`
	// OOBCode goes with VerifyOOB.
	OOBCode string `json:"oob_code,omitempty"`
	// BindingMethod is prompt when the user has to type a code.
	BindingMethod string `json:"binding_method,omitempty"`
}

// Challenge sends the user a code or a push message, or tells which factor to
// ask for.
//
//auth0:op POST /mfa/challenge
func (s MFAService) Challenge(ctx context.Context, p *MFAChallengeRequest, opts ...auth0.RequestOption) (*MFAChallenge, error) {
	return postJSON[*MFAChallenge](ctx, s.c(), "/mfa/challenge", p, anyMethod, opts)
}

// MFAAssociation are the parameters of Associate.
type MFAAssociation struct {
	// AuthenticatorTypes is otp or oob.
	AuthenticatorTypes []string `json:"authenticator_types" need:"yes"`
	// OOBChannels are sms, voice, auth0 (push) and email; needed with oob.
	OOBChannels []string `json:"oob_channels,omitempty"`
	// PhoneNumber is for sms and voice.
	PhoneNumber string `json:"phone_number,omitempty"`
	// Email is for email.
	Email string `json:"email,omitempty"`
}

// MFAEnrollment is a factor that is being enrolled. It is in force when the user
// has confirmed it with VerifyOTP or VerifyOOB. Printed it shows no secret.
type MFAEnrollment struct {
	redacted[MFAEnrollment]

	AuthenticatorType string `json:"authenticator_type"`
	// Secret and BarcodeURI are for the user's authenticator app.
	Secret     string `json:"secret,omitempty"`
	BarcodeURI string `json:"barcode_uri,omitempty"`
	// RecoveryCodes are to be shown to the user once.
	RecoveryCodes []string   `json:"recovery_codes,omitempty"`
	OOBCode       string     `json:"oob_code,omitempty"`
	OOBChannel    string     `json:"oob_channel,omitempty"`
	OOBChannels   StringList `json:"oob_channels,omitempty"`
	BindingMethod string     `json:"binding_method,omitempty"`
}

// Associate enrols a factor. token is the MFA token of a login by a user who has
// none yet, or an access token for https://DOMAIN/mfa/ with the scope enroll.
//
//auth0:op POST /mfa/associate
func (s MFAService) Associate(ctx context.Context, token string, p *MFAAssociation, opts ...auth0.RequestOption) (*MFAEnrollment, error) {
	return postJSON[*MFAEnrollment](ctx, s.c(), "/mfa/associate", p, noBasic, append(slices.Clip(opts), auth0.Bearer(token)))
}

// Authenticator is a factor of a user.
type Authenticator struct {
	ID string `json:"id"`
	// AuthenticatorType is otp, oob or recovery-code.
	AuthenticatorType string     `json:"authenticator_type"`
	Active            bool       `json:"active"`
	Type              string     `json:"type,omitempty"`
	OOBChannel        string     `json:"oob_channel,omitempty"`
	OOBChannels       StringList `json:"oob_channels,omitempty"`
	// Name is a hint at the address, as +1••••••••55 is.
	Name string `json:"name,omitempty"`
}

// Authenticators lists a user's factors. token is an MFA token, or an access
// token with the scope read:authenticators.
//
//auth0:op GET /mfa/authenticators
func (s MFAService) Authenticators(ctx context.Context, token string, opts ...auth0.RequestOption) ([]Authenticator, error) {
	return bearer[[]Authenticator](ctx, s.c(), http.MethodGet, "/mfa/authenticators", nil, token, nil, opts)
}

// DeleteAuthenticator removes a factor. token is an access token with the scope
// remove:authenticators.
//
//auth0:op DELETE /mfa/authenticators/{authenticator_id}
func (s MFAService) DeleteAuthenticator(ctx context.Context, token, id string, opts ...auth0.RequestOption) error {
	_, err := bearer[auth0.NoContent](ctx, s.c(), http.MethodDelete, "/mfa/authenticators/{authenticator_id}", []string{id}, token, nil, opts)
	return err
}
