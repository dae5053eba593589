package authentication

import (
	"context"
	"net/http"
	"net/url"

	"github.com/headroom-go/auth0"
)

// LegacyService has calls that Auth0 keeps for applications that have used them
// for long. Each names what has taken its place.
type LegacyService struct{ c hidden[*core] }

// LinkURL returns the URL to send the browser to so that its next login is
// linked to the account whose access token it is. responseType is code or token.
//
// Deprecated: link the identities of users with the Management API.
//
//auth0:op GET /authorize
func (s LegacyService) LinkURL(responseType, connection, redirectURI, accessToken string) string {
	q := url.Values{"response_type": {responseType}, "client_id": {s.c().clientID()}, "redirect_uri": {redirectURI}, "access_token": {accessToken}}
	if connection != "" {
		q.Set("connection", connection)
	}
	return s.c().browser("/authorize", q.Encode())
}

// Unlink takes an account, named as provider|id, off the one whose access token
// it is.
//
// Deprecated: unlink the identities of users with the Management API.
//
//auth0:op POST /login/unlink
func (s LegacyService) Unlink(ctx context.Context, accessToken, userID string, opts ...auth0.RequestOption) error {
	_, err := plain[auth0.NoContent](ctx, s.c(), http.MethodPost, "/login/unlink", nil, nil, &unlinking{accessToken, userID}, opts)
	return err
}

type unlinking struct {
	AccessToken string `json:"access_token" need:"yes"`
	UserID      string `json:"user_id" need:"yes"`
}

// PasswordlessVerify are the parameters of the call of that name.
type PasswordlessVerify struct {
	redacted[PasswordlessVerify]

	// Connection is email or sms.
	Connection string `json:"connection" need:"yes"`
	// Username is the address or the phone number.
	Username string `json:"username" need:"yes"`
	// Password is the code.
	Password    string `json:"password" need:"yes"`
	Scope       string `json:"scope,omitempty"`
	RedirectURI string `json:"redirect_uri" need:"yes"`
}

// PasswordlessVerify logs a user in with a code, in tenants from before June
// 2017. Grant type password.
//
// Deprecated: use PasswordlessService.Token.
//
//auth0:op POST /passwordless/verify
func (s LegacyService) PasswordlessVerify(ctx context.Context, p *PasswordlessVerify, opts ...auth0.RequestOption) (*TokenSet, error) {
	return tokens(postMembers[*TokenSet](ctx, s.c(), "/passwordless/verify", p, map[string]string{"grant_type": "password"}, idOnly, opts))
}

// Delegation are the parameters of Delegate.
type Delegation struct {
	redacted[Delegation]

	IDToken string `json:"id_token" need:"yes"`
	// Target is the id of the application to get a token for.
	Target  string `json:"target,omitempty"`
	Scope   string `json:"scope,omitempty"`
	APIType string `json:"api_type,omitempty"`
}

// Delegate exchanges an ID token. Grant type
// urn:ietf:params:oauth:grant-type:jwt-bearer.
//
// Deprecated: use TokenExchangeService.
//
//auth0:op POST /delegation
func (s LegacyService) Delegate(ctx context.Context, p *Delegation, opts ...auth0.RequestOption) (*TokenSet, error) {
	return tokens(postMembers[*TokenSet](ctx, s.c(), "/delegation", p,
		map[string]string{"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer"}, idOnly, opts))
}

// Impersonation are the parameters of Impersonate.
type Impersonation struct {
	// Protocol is oauth2, samlp, wsfed or wstrust-usernamemixed.
	Protocol       string `json:"protocol" need:"yes"`
	ImpersonatorID string `json:"impersonator_id" need:"yes"`
	// ClientID is the application to log in to.
	ClientID             string         `json:"client_id"`
	AdditionalParameters map[string]any `json:"additionalParameters,omitempty"`
	ResponseType         string         `json:"response_type,omitempty"`
	State                string         `json:"state,omitempty"`
}

// Impersonate returns a URL that logs in as another user. token is of the
// tenant's global client.
//
// Deprecated: Auth0 has no replacement; read users with the Management API.
//
//auth0:op POST /users/{user_id}/impersonate
func (s LegacyService) Impersonate(ctx context.Context, token, userID string, p *Impersonation, opts ...auth0.RequestOption) (string, error) {
	link, err := bearer[[]byte](ctx, s.c(), http.MethodPost, "/users/{user_id}/impersonate", []string{userID}, token, p, opts)
	return string(link), err
}

// ResourceOwner are the parameters of the call of that name.
type ResourceOwner struct {
	redacted[ResourceOwner]

	Connection string `json:"connection" need:"yes"`
	// GrantType is password, or urn:ietf:params:oauth:grant-type:jwt-bearer with
	// IDToken and Device.
	GrantType string `json:"grant_type" need:"yes"`
	Username  string `json:"username" need:"yes"`
	Password  string `json:"password" need:"yes"`
	Scope     string `json:"scope,omitempty"`
	IDToken   string `json:"id_token,omitempty"`
	Device    string `json:"device,omitempty"`
}

// ResourceOwner logs a user of a connection in.
//
// Deprecated: use OAuthService.PasswordRealm.
//
//auth0:op POST /oauth/ro
func (s LegacyService) ResourceOwner(ctx context.Context, p *ResourceOwner, opts ...auth0.RequestOption) (*TokenSet, error) {
	return tokens(postJSON[*TokenSet](ctx, s.c(), "/oauth/ro", p, idOnly, opts))
}

// SocialToken are the parameters of SocialToken.
type SocialToken struct {
	redacted[SocialToken]

	// AccessToken is the provider's.
	AccessToken string `json:"access_token" need:"yes"`
	// Connection is facebook, google-oauth2, twitter or weibo.
	Connection string `json:"connection" need:"yes"`
	Scope      string `json:"scope,omitempty"`
}

// SocialToken logs a user in with a token of a social provider, in tenants from
// before June 2017.
//
// Deprecated: use TokenExchangeService.NativeSocial.
//
//auth0:op POST /oauth/access_token
func (s LegacyService) SocialToken(ctx context.Context, p *SocialToken, opts ...auth0.RequestOption) (*TokenSet, error) {
	return tokens(postJSON[*TokenSet](ctx, s.c(), "/oauth/access_token", p, idOnly, opts))
}

// TokenInfo is a user's profile.
type TokenInfo struct {
	UserID         string    `json:"user_id"`
	Email          string    `json:"email,omitempty"`
	EmailVerified  bool      `json:"email_verified,omitempty"`
	Name           string    `json:"name,omitempty"`
	Picture        string    `json:"picture,omitempty"`
	Nickname       string    `json:"nickname,omitempty"`
	ClientID       string    `json:"clientID,omitempty"`
	GlobalClientID string    `json:"global_client_id,omitempty"`
	Provider       string    `json:"provider,omitempty"`
	Connection     string    `json:"connection,omitempty"`
	IsSocial       bool      `json:"isSocial,omitempty"`
	CreatedAt      Timestamp `json:"created_at,omitzero"`
	UpdatedAt      Timestamp `json:"updated_at,omitzero"`
}

// TokenInfo checks an ID token at the tenant and returns the user's profile.
//
// Deprecated: use Verifier.IDToken, or OAuthService.UserInfo.
//
//auth0:op POST /tokeninfo
func (s LegacyService) TokenInfo(ctx context.Context, idToken string, opts ...auth0.RequestOption) (*TokenInfo, error) {
	return plain[*TokenInfo](ctx, s.c(), http.MethodPost, "/tokeninfo", nil, nil, &tokenQuestion{idToken}, opts)
}

type tokenQuestion struct {
	IDToken string `json:"id_token" need:"yes"`
}
