package authentication

import (
	"context"
	"crypto/rand"
	"errors"
	"time"
	"unicode/utf8"

	"github.com/headroom-go/auth0"
)

// TokenExchangeService gets tokens for tokens of others.
type TokenExchangeService struct{ c hidden[*core] }

// Kinds of tokens, for SubjectTokenType, ActorTokenType and
// TokenSet.IssuedTokenType.
const (
	TokenTypeAccessToken          = "urn:ietf:params:oauth:token-type:access_token"
	TokenTypeRefreshToken         = "urn:ietf:params:oauth:token-type:refresh_token"
	TokenTypeIDToken              = "urn:ietf:params:oauth:token-type:id_token"
	TokenTypeJWT                  = "urn:ietf:params:oauth:token-type:jwt"
	TokenTypeIDJAG                = "urn:ietf:params:oauth:token-type:id-jag"
	TokenTypeSessionTransfer      = "urn:auth0:params:oauth:token-type:session_transfer_token"
	TokenTypeFederatedConnection  = "http://auth0.com/oauth/token-type/federated-connection-access-token"
	TokenTypeTokenVault           = "http://auth0.com/oauth/token-type/token-vault-access-token"
	TokenTypeAppleAuthzCode       = "http://auth0.com/oauth/token-type/apple-authz-code"
	TokenTypeAppleIDToken         = "http://auth0.com/oauth/token-type/apple-id-token"
	TokenTypeFacebookSessionToken = "http://auth0.com/oauth/token-type/facebook-info-session-access-token"
	TokenTypeGoogleIDToken        = "http://auth0.com/oauth/token-type/google-id-token"
)

const (
	grantTokenExchange = "urn:ietf:params:oauth:grant-type:token-exchange"
	grantTokenVault    = "urn:auth0:params:oauth:grant-type:token-exchange:federated-connection-access-token"
)

// CustomExchange are the parameters of an exchange that a token exchange
// profile of the tenant decides on.
type CustomExchange struct {
	redacted[CustomExchange]

	SubjectToken string `url:"subject_token,omitempty" need:"yes"`
	// SubjectTokenType is the URI of the profile.
	SubjectTokenType string `url:"subject_token_type,omitempty" need:"yes"`
	// Audience is an API, or urn:DOMAIN:session_transfer for a session transfer
	// token.
	Audience string `url:"audience,omitempty"`
	// Resource names the API in place of Audience, in tenants set up so.
	Resource     string `url:"resource,omitempty"`
	Scope        string `url:"scope,omitempty"`
	Organization string `url:"organization,omitempty"`
	// ActorToken is of whoever acts for the user. There is no refresh token then.
	ActorToken     string `url:"actor_token,omitempty"`
	ActorTokenType string `url:"actor_token_type,omitempty"`
}

// Custom exchanges a token of another kind. Grant type
// urn:ietf:params:oauth:grant-type:token-exchange.
//
//auth0:op POST /oauth/token
func (s TokenExchangeService) Custom(ctx context.Context, p *CustomExchange, opts ...auth0.RequestOption) (*TokenSet, error) {
	return grant(ctx, s.c(), grantTokenExchange, p, opts)
}

// NativeSocial are the parameters of a login with what a provider's own
// software on the device has given.
type NativeSocial struct {
	redacted[NativeSocial]

	SubjectToken string `url:"subject_token,omitempty" need:"yes"`
	// SubjectTokenType is one of the Apple, Facebook and Google types.
	SubjectTokenType string `url:"subject_token_type,omitempty" need:"yes"`
	Audience         string `url:"audience,omitempty"`
	// Resource names the API in place of Audience, in tenants set up so.
	Resource string `url:"resource,omitempty"`
	Scope    string `url:"scope,omitempty"`
	// UserProfile is JSON text, with Apple and Facebook.
	UserProfile string `url:"user_profile,omitempty"`
}

// NativeSocial logs a user of a native app in. Grant type
// urn:ietf:params:oauth:grant-type:token-exchange.
//
//auth0:op POST /oauth/token
func (s TokenExchangeService) NativeSocial(ctx context.Context, p *NativeSocial, opts ...auth0.RequestOption) (*TokenSet, error) {
	return grant(ctx, s.c(), grantTokenExchange, p, opts)
}

// OnBehalfOf are the parameters of an exchange by an API that calls another.
type OnBehalfOf struct {
	redacted[OnBehalfOf]

	// SubjectToken is the access token that the API was called with.
	SubjectToken string `url:"subject_token,omitempty" need:"yes"`
	Audience     string `url:"audience,omitempty" need:"yes"`
	Scope        string `url:"scope,omitempty"`
}

// OnBehalfOf gets an API a token for another API, in the name of the user that
// called it. Grant type urn:ietf:params:oauth:grant-type:token-exchange.
//
//auth0:op POST /oauth/token
func (s TokenExchangeService) OnBehalfOf(ctx context.Context, p *OnBehalfOf, opts ...auth0.RequestOption) (*TokenSet, error) {
	return exchange(ctx, s.c(), grantTokenExchange, TokenTypeAccessToken, TokenTypeAccessToken, p, opts)
}

// CrossApp are the parameters of cross app access.
type CrossApp struct {
	redacted[CrossApp]

	// Assertion is the ID-JAG that the enterprise's identity provider has signed.
	Assertion string `url:"assertion,omitempty" need:"yes"`
	// Resource is the API; one in the assertion wins over it.
	Resource string `url:"resource,omitempty"`
}

// CrossApp gets a token for what an enterprise's identity provider allows one
// application to do in another. Grant type
// urn:ietf:params:oauth:grant-type:jwt-bearer.
//
//auth0:op POST /oauth/token
func (s TokenExchangeService) CrossApp(ctx context.Context, p *CrossApp, opts ...auth0.RequestOption) (*TokenSet, error) {
	return grant(ctx, s.c(), "urn:ietf:params:oauth:grant-type:jwt-bearer", p, opts)
}

// TokenVault are the parameters of an exchange for the token of an upstream
// provider.
type TokenVault struct {
	redacted[TokenVault]

	SubjectToken string `url:"subject_token,omitempty" need:"yes"`
	Connection   string `url:"connection,omitempty" need:"yes"`
	// LoginHint picks one of several accounts of the user. VaultPrivileged does
	// not know it.
	LoginHint string `url:"login_hint,omitempty"`
}

// VaultFromRefreshToken gets the upstream provider's token of the user whose
// refresh token it is, of an application without rotation. Grant type
// urn:auth0:params:oauth:grant-type:token-exchange:federated-connection-access-token.
//
//auth0:op POST /oauth/token
func (s TokenExchangeService) VaultFromRefreshToken(ctx context.Context, p *TokenVault, opts ...auth0.RequestOption) (*TokenSet, error) {
	return exchange(ctx, s.c(), grantTokenVault, TokenTypeRefreshToken, TokenTypeFederatedConnection, p, opts)
}

// VaultFromAccessToken is VaultFromRefreshToken for an API and the access token
// that it was called with. Grant type
// urn:auth0:params:oauth:grant-type:token-exchange:federated-connection-access-token.
//
//auth0:op POST /oauth/token
func (s TokenExchangeService) VaultFromAccessToken(ctx context.Context, p *TokenVault, opts ...auth0.RequestOption) (*TokenSet, error) {
	return exchange(ctx, s.c(), grantTokenVault, TokenTypeAccessToken, TokenTypeFederatedConnection, p, opts)
}

// VaultPrivileged gets the upstream provider's token of any user, for workers
// that are allowed to: SubjectToken is made by SignVaultRequest. Grant type
// urn:auth0:params:oauth:grant-type:token-exchange:federated-connection-access-token.
//
//auth0:op POST /oauth/token
func (s TokenExchangeService) VaultPrivileged(ctx context.Context, p *TokenVault, opts ...auth0.RequestOption) (*TokenSet, error) {
	return exchange(ctx, s.c(), grantTokenVault, TokenTypeJWT, TokenTypeTokenVault, p, opts)
}

// SignVaultRequest returns the subject token of VaultPrivileged. The tenant
// takes it for 60 seconds. why says in 1 to 256 characters what the token is
// for; organization may be empty.
func (s TokenExchangeService) SignVaultRequest(key auth0.PrivateKey, userID, why, organization string) (string, error) {
	id, err := s.c().needID()
	switch {
	case err != nil:
		return "", err
	case userID == "":
		return "", errors.New("authentication: SignVaultRequest needs the id of the user")
	case why == "" || utf8.RuneCountInString(why) > 256:
		return "", errors.New("authentication: SignVaultRequest needs to be told why, in 1 to 256 characters")
	}
	claims := map[string]any{
		"iss": id, "sub": userID, "aud": s.c().audience(), "iat": time.Now().Unix(), "jti": rand.Text(), "audit_context": why,
	}
	if organization != "" {
		claims["org_id"] = organization
	}
	return signJWT(key, "token-vault-req+jwt", false, claims)
}

// exchange is grant for exchanges whose kinds of tokens are fixed.
func exchange(ctx context.Context, c *core, grantType, from, to string, params any, opts []auth0.RequestOption) (*TokenSet, error) {
	form, err := formOf(params)
	if err != nil {
		return nil, err
	}
	form.Set("subject_token_type", from)
	form.Set("requested_token_type", to)
	return grant(ctx, c, grantType, form, opts)
}
