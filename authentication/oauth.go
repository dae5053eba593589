package authentication

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/headroom-go/auth0"
)

// OAuthService has the authorize endpoint, the grants of applications and
// users, revocation and the user's profile.
type OAuthService struct{ c hidden[*core] }

// Authorize are the parameters of a login. Scope, ACRValues and UILocales are
// lists separated by spaces.
type Authorize struct {
	redacted[Authorize]

	// ResponseType is code where empty.
	ResponseType string `url:"response_type,omitempty" json:"response_type,omitempty"`
	RedirectURI  string `url:"redirect_uri,omitempty" json:"redirect_uri,omitempty"`
	// ResponseMode is query, fragment, form_post or web_message.
	ResponseMode string `url:"response_mode,omitempty" json:"response_mode,omitempty"`
	// Scope needs openid for an ID token and offline_access or online_access for
	// a refresh token.
	Scope    string `url:"scope,omitempty" json:"scope,omitempty"`
	Audience string `url:"audience,omitempty" json:"audience,omitempty"`
	// Resource names the API in place of Audience, in tenants set up so.
	Resource            string `url:"resource,omitempty" json:"resource,omitempty"`
	State               string `url:"state,omitempty" json:"state,omitempty"`
	Nonce               string `url:"nonce,omitempty" json:"nonce,omitempty"`
	CodeChallenge       string `url:"code_challenge,omitempty" json:"code_challenge,omitempty"`
	CodeChallengeMethod string `url:"code_challenge_method,omitempty" json:"code_challenge_method,omitempty"`
	Connection          string `url:"connection,omitempty" json:"connection,omitempty"`
	// ConnectionScope asks the connection's own provider for scopes.
	ConnectionScope string `url:"connection_scope,omitempty" json:"connection_scope,omitempty"`
	// Prompt is none, login, consent or select_account.
	Prompt string `url:"prompt,omitempty" json:"prompt,omitempty"`
	// Organization is an id, or a name where the tenant allows names.
	Organization string `url:"organization,omitempty" json:"organization,omitempty"`
	// Invitation is the ticket of an invitation to Organization.
	Invitation string `url:"invitation,omitempty" json:"invitation,omitempty"`
	LoginHint  string `url:"login_hint,omitempty" json:"login_hint,omitempty"`
	// ScreenHint is signup to begin there.
	ScreenHint string `url:"screen_hint,omitempty" json:"screen_hint,omitempty"`
	// MaxAge is how many seconds ago the user may have logged in, nil for any.
	MaxAge      *int   `url:"max_age" json:"max_age,omitempty"`
	ACRValues   string `url:"acr_values,omitempty" json:"acr_values,omitempty"`
	UILocales   string `url:"ui_locales,omitempty" json:"ui_locales,omitempty"`
	Display     string `url:"display,omitempty" json:"display,omitempty"`
	IDTokenHint string `url:"id_token_hint,omitempty" json:"id_token_hint,omitempty"`
	// LoginTicket is of cross-origin logins. Pushed requests cannot have it.
	LoginTicket          string               `url:"login_ticket,omitempty" json:"login_ticket,omitempty"`
	AuthorizationDetails AuthorizationDetails `url:"authorization_details,omitempty" json:"authorization_details,omitempty"`
	// DPoPThumbprint binds the code to a key; see DPoP.Thumbprint.
	DPoPThumbprint string `url:"dpop_jkt,omitempty" json:"dpop_jkt,omitempty"`
	// Request is a signed request object; see SignRequest.
	Request string `url:"request,omitempty" json:"request,omitempty"`
	// RequestURI is where pushed parameters wait. Pushed requests cannot have it.
	RequestURI string `url:"request_uri,omitempty" json:"request_uri,omitempty"`
	// SessionTransferToken is of native to web logins. Pushed requests cannot
	// have it.
	SessionTransferToken string `url:"session_transfer_token,omitempty" json:"session_transfer_token,omitempty"`
	AccessType           string `url:"access_type,omitempty" json:"access_type,omitempty"`
	ApprovalPrompt       string `url:"approval_prompt,omitempty" json:"approval_prompt,omitempty"`
	// Extra are further parameters; those that begin with ext- reach the login
	// page and Actions.
	Extra url.Values `json:"extra,omitempty"`
}

func (p *Authorize) values(clientID string) (url.Values, error) {
	q, err := auth0.QueryOf(p)
	if err != nil {
		return nil, err
	}
	if p != nil {
		maps.Copy(q, p.Extra)
	}
	if q.Get("response_type") == "" {
		q.Set("response_type", "code")
	}
	if clientID != "" {
		q.Set("client_id", clientID)
	}
	return q, nil
}

// AuthorizeURL returns the URL to send the browser to for a login. NewLogin
// fills the parameters with what protects it.
//
//auth0:op GET /authorize
func (s OAuthService) AuthorizeURL(p *Authorize) string {
	q, err := p.values(s.c().clientID())
	if err != nil { // details that are no JSON, which the tenant then says
		rest := *p
		rest.AuthorizationDetails = nil
		q, _ = rest.values(s.c().clientID())
		q.Set("authorization_details", fmt.Sprintf("%s", []json.RawMessage(p.AuthorizationDetails)))
	}
	return s.c().browser("/authorize", q.Encode())
}

// AuthorizeURLWithPAR returns the URL of a login whose parameters were pushed.
//
//auth0:op GET /authorize
func (s OAuthService) AuthorizeURLWithPAR(requestURI string) string {
	return s.c().browser("/authorize", url.Values{"client_id": {s.c().clientID()}, "request_uri": {requestURI}}.Encode())
}

// AuthorizeURLWithJAR returns the URL of a login whose parameters are in a
// signed request object, as SignRequest makes it.
//
//auth0:op GET /authorize
func (s OAuthService) AuthorizeURLWithJAR(requestObject string) string {
	return s.c().browser("/authorize", url.Values{"client_id": {s.c().clientID()}, "request": {requestObject}}.Encode())
}

// PushedAuthorization is where the parameters of a login wait for the browser.
type PushedAuthorization struct {
	redacted[PushedAuthorization]

	RequestURI string `json:"request_uri"`
	// ExpiresIn is how many seconds the browser has.
	ExpiresIn int64 `json:"expires_in"`
}

// PushAuthorization hands the tenant the parameters of a login ahead of the
// browser (PAR), which then needs AuthorizeURLWithPAR only.
//
//auth0:op POST /oauth/par
func (s OAuthService) PushAuthorization(ctx context.Context, p *Authorize, opts ...auth0.RequestOption) (*PushedAuthorization, error) {
	form, err := p.values("")
	if err != nil {
		return nil, err
	}
	return sendForm[*PushedAuthorization](ctx, s.c(), "/oauth/par", form, anyMethod, opts)
}

// requestLife is how long a request object holds: the browser is on its way
// with it.
const requestLife = 5 * time.Minute

// SignRequest puts the parameters of a login into a signed request object (JAR)
// that holds for five minutes. The key's ClientID is not needed.
func (s OAuthService) SignRequest(key auth0.PrivateKey, p *Authorize) (string, error) {
	id, err := s.c().needID()
	if err != nil {
		return "", err
	}
	now := time.Now()
	claims := map[string]any{
		"iss": id, "aud": s.c().audience(), "iat": now.Unix(), "exp": now.Add(requestLife).Unix(), "jti": rand.Text(),
	}
	params, err := p.values(id)
	if err != nil {
		return "", err
	}
	for k, v := range params {
		switch len(v) {
		case 0:
		case 1:
			claims[k] = v[0]
		default:
			claims[k] = v
		}
	}
	if p != nil && p.MaxAge != nil {
		claims["max_age"] = *p.MaxAge
	}
	if p != nil && p.AuthorizationDetails != nil {
		claims["authorization_details"] = []json.RawMessage(p.AuthorizationDetails)
	}
	return signJWT(key, "oauth-authz-req+jwt", false, claims)
}

// CodeExchange are the parameters of ExchangeCode.
type CodeExchange struct {
	redacted[CodeExchange]

	Code string `url:"code,omitempty" need:"yes"`
	// CodeVerifier is the secret half of PKCE, which public applications need.
	CodeVerifier string `url:"code_verifier,omitempty"`
	// RedirectURI is needed where the login had one.
	RedirectURI string `url:"redirect_uri,omitempty"`
}

// ExchangeCode gets tokens for the code that the browser came back with. Grant
// type authorization_code, with or without PKCE.
//
//auth0:op POST /oauth/token
func (s OAuthService) ExchangeCode(ctx context.Context, p *CodeExchange, opts ...auth0.RequestOption) (*TokenSet, error) {
	return grant(ctx, s.c(), "authorization_code", p, opts)
}

// ClientCredentials are the parameters of the grant of that name.
type ClientCredentials struct {
	// Audience is the API, needed where the tenant has no default.
	Audience string `url:"audience,omitempty"`
	// Resource names the API in place of Audience, in tenants set up so.
	Resource string `url:"resource,omitempty"`
	// Organization is an id or a name.
	Organization string `url:"organization,omitempty"`
}

// ClientCredentials gets a token for the application itself. Grant type
// client_credentials. Tokens are counted and paid for: keep them while they
// last, as a client that was given auth0.WithClientSecret does.
//
//auth0:op POST /oauth/token
func (s OAuthService) ClientCredentials(ctx context.Context, p *ClientCredentials, opts ...auth0.RequestOption) (*TokenSet, error) {
	return grant(ctx, s.c(), "client_credentials", p, opts)
}

// Refresh are the parameters of a refresh.
type Refresh struct {
	redacted[Refresh]

	RefreshToken string `url:"refresh_token,omitempty" need:"yes"`
	// Scope may be less than was granted, or more under a policy for several
	// APIs.
	Scope string `url:"scope,omitempty"`
	// Audience is another API, or urn:DOMAIN:session_transfer for a session
	// transfer token.
	Audience string `url:"audience,omitempty"`
}

// Refresh gets new tokens for a refresh token. Grant type refresh_token.
//
//auth0:op POST /oauth/token
func (s OAuthService) Refresh(ctx context.Context, p *Refresh, opts ...auth0.RequestOption) (*TokenSet, error) {
	return grant(ctx, s.c(), "refresh_token", p, opts)
}

// Password are the parameters of a login with a password.
type Password struct {
	redacted[Password]

	Username string `url:"username,omitempty" need:"yes"`
	Password string `url:"password,omitempty" need:"yes"`
	Scope    string `url:"scope,omitempty"`
	Audience string `url:"audience,omitempty"`
	// Resource names the API in place of Audience, in tenants set up so.
	Resource string `url:"resource,omitempty"`
	// Realm is the connection; PasswordRealm needs it.
	Realm string `url:"realm,omitempty"`
}

// Password logs a user in, in the tenant's default directory where Realm is
// empty. Grant type password.
//
//auth0:op POST /oauth/token
func (s OAuthService) Password(ctx context.Context, p *Password, opts ...auth0.RequestOption) (*TokenSet, error) {
	return grant(ctx, s.c(), "password", p, opts)
}

// PasswordRealm logs a user of one connection in. Grant type
// http://auth0.com/oauth/grant-type/password-realm.
//
//auth0:op POST /oauth/token
func (s OAuthService) PasswordRealm(ctx context.Context, p *Password, opts ...auth0.RequestOption) (*TokenSet, error) {
	if p == nil || p.Realm == "" {
		return nil, errors.New("authentication: the call needs Realm, which is empty")
	}
	return grant(ctx, s.c(), "http://auth0.com/oauth/grant-type/password-realm", p, opts)
}

// Revoke ends a refresh token, and the whole grant where the tenant says so.
//
//auth0:op POST /oauth/revoke
func (s OAuthService) Revoke(ctx context.Context, refreshToken string, opts ...auth0.RequestOption) error {
	_, err := postForm[auth0.NoContent](ctx, s.c(), "/oauth/revoke", &revocation{refreshToken}, anyMethod, opts)
	return err
}

type revocation struct {
	RefreshToken string `url:"token" need:"yes"`
}

// UserInfo is a user's profile. What the scopes of the token leave out is at
// its zero value.
type UserInfo struct {
	Subject             string          `json:"sub"`
	Name                string          `json:"name,omitempty"`
	GivenName           string          `json:"given_name,omitempty"`
	FamilyName          string          `json:"family_name,omitempty"`
	MiddleName          string          `json:"middle_name,omitempty"`
	Nickname            string          `json:"nickname,omitempty"`
	PreferredUsername   string          `json:"preferred_username,omitempty"`
	Profile             string          `json:"profile,omitempty"`
	Picture             string          `json:"picture,omitempty"`
	Website             string          `json:"website,omitempty"`
	Email               string          `json:"email,omitempty"`
	EmailVerified       bool            `json:"email_verified,omitempty"`
	Gender              string          `json:"gender,omitempty"`
	Birthdate           string          `json:"birthdate,omitempty"`
	ZoneInfo            string          `json:"zoneinfo,omitempty"`
	Locale              string          `json:"locale,omitempty"`
	PhoneNumber         string          `json:"phone_number,omitempty"`
	PhoneNumberVerified bool            `json:"phone_number_verified,omitempty"`
	Address             json.RawMessage `json:"address,omitempty"`
	UpdatedAt           Timestamp       `json:"updated_at,omitzero"`
	// Actor is who acts for the user, in tokens of an exchange.
	Actor *Actor `json:"act,omitempty"`
	// Claims are all members of the answer, the application's own among them.
	Claims map[string]json.RawMessage `json:"-"`
}

// Actor is who acts for a user, and who acted before.
type Actor struct {
	Subject string `json:"sub,omitempty"`
	Actor   *Actor `json:"act,omitempty"`
}

// UserInfo returns the profile of the user whose access token it is. The token
// needs the scope openid. A verified ID token holds the same and costs no call.
//
//auth0:op GET /userinfo
func (s OAuthService) UserInfo(ctx context.Context, accessToken string, opts ...auth0.RequestOption) (*UserInfo, error) {
	return bound(s.c(), "/userinfo", accessToken, append(slices.Clip(opts), auth0.Bearer(accessToken)), func(opts []auth0.RequestOption) (*UserInfo, error) {
		return auth0.Call[*UserInfo](ctx, s.c().client, http.MethodGet, "/userinfo", nil, nil, nil, opts)
	})
}

// UnmarshalJSON reads a profile and keeps all of it in Claims. A member of an
// unexpected type is left out of its field, and the rest read.
func (u *UserInfo) UnmarshalJSON(data []byte) error {
	type fields UserInfo
	if err := json.Unmarshal(data, &u.Claims); err != nil {
		return err
	}
	// The decoder takes SUB for sub, and whichever comes last: only what is spelt
	// like a claim of the standard is one. A time that is none would end the
	// decoding, sub unread.
	exact := maps.Clone(u.Claims)
	maps.DeleteFunc(exact, func(name string, value json.RawMessage) bool {
		if name == "updated_at" {
			return json.Unmarshal(value, new(Timestamp)) != nil
		}
		return strings.ContainsFunc(name, func(r rune) bool { return r >= 'A' && r <= 'Z' || r > unicode.MaxASCII })
	})
	if len(exact) < len(u.Claims) {
		var err error
		if data, err = json.Marshal(exact); err != nil {
			return err
		}
	}
	_ = json.Unmarshal(data, (*fields)(u)) // it is an object, and what does not fit is in Claims
	return nil
}

// ClientRegistration is an application that registers itself.
type ClientRegistration struct {
	RedirectURIs []string `json:"redirect_uris" need:"yes"`
	ClientName   string   `json:"client_name,omitempty"`
	// TokenEndpointAuthMethod is none, client_secret_post or client_secret_basic.
	TokenEndpointAuthMethod string `json:"token_endpoint_auth_method,omitempty"`
	// GrantTypes are authorization_code and refresh_token.
	GrantTypes []string `json:"grant_types,omitempty"`
	// ResponseTypes is code.
	ResponseTypes []string `json:"response_types,omitempty"`
}

// RegisteredClient is an application that has registered itself. Printed it
// shows no secret.
type RegisteredClient struct {
	redacted[RegisteredClient]

	ClientID     string `json:"client_id"`
	ClientName   string `json:"client_name,omitempty"`
	ClientSecret string `json:"client_secret,omitempty"`
	// ClientSecretExpiresAt is in Unix seconds, 0 for never.
	ClientSecretExpiresAt   int64    `json:"client_secret_expires_at"`
	RedirectURIs            []string `json:"redirect_uris"`
	GrantTypes              []string `json:"grant_types,omitempty"`
	TokenEndpointAuthMethod string   `json:"token_endpoint_auth_method,omitempty"`
}

// RegisterClient registers an application in a tenant that allows it.
//
//auth0:op POST /oidc/register
func (s OAuthService) RegisterClient(ctx context.Context, p *ClientRegistration, opts ...auth0.RequestOption) (*RegisteredClient, error) {
	return plain[*RegisteredClient](ctx, s.c(), http.MethodPost, "/oidc/register", nil, nil, p, opts)
}

// GlobalSubject names a user of an identity provider.
type GlobalSubject struct {
	// Format is iss_sub.
	Format  string `json:"format" need:"yes"`
	Issuer  string `json:"iss" need:"yes"`
	Subject string `json:"sub" need:"yes"`
}

// RevokeGlobally ends the sessions and refresh tokens of a user. It is for the
// identity provider of the connection, which signs the token.
//
//auth0:op POST /oauth/global-token-revocation/connection/{connection_name}
func (s OAuthService) RevokeGlobally(ctx context.Context, connection, token string, subject GlobalSubject, opts ...auth0.RequestOption) error {
	if err := complete(&subject); err != nil {
		return err
	}
	_, err := bearer[auth0.NoContent](ctx, s.c(), http.MethodPost, "/oauth/global-token-revocation/connection/{connection_name}",
		[]string{connection}, token, map[string]any{"subject": subject}, opts)
	return err
}
