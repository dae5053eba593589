package authentication

import (
	"context"
	"encoding/json"

	"github.com/headroom-go/auth0"
)

// CIBAService asks users for a login or an approval on their own phone or by
// mail, with no browser in between (client-initiated backchannel
// authentication).
type CIBAService struct{ c hidden[*core] }

// UserHint names a user to ask.
type UserHint struct {
	// Issuer is the tenant, as in https://DOMAIN/.
	Issuer string
	// Subject is the user id.
	Subject string
}

// MarshalText returns the hint as the endpoint reads it.
func (h UserHint) MarshalText() ([]byte, error) {
	return json.Marshal(map[string]string{"format": "iss_sub", "iss": h.Issuer, "sub": h.Subject})
}

// BackchannelAuthorize are the parameters of CIBAService.Authorize.
type BackchannelAuthorize struct {
	LoginHint UserHint `url:"login_hint" need:"yes"`
	// BindingMessage is shown on both sides: at most 64 letters, digits, and
	// + - _ . , : #.
	BindingMessage string `url:"binding_message,omitempty" need:"yes"`
	// Scope has to contain openid.
	Scope    string `url:"scope,omitempty" need:"yes"`
	Audience string `url:"audience,omitempty"`
	// Resource names the API in place of Audience, in tenants set up so.
	Resource string `url:"resource,omitempty"`
	// RequestedExpiry is how many seconds the user gets, 1 to 259,200; 300 where
	// 0. Up to 300 the user gets a push message, beyond it a mail.
	RequestedExpiry      int                  `url:"requested_expiry,omitempty"`
	AuthorizationDetails AuthorizationDetails `url:"authorization_details,omitempty"`
}

// BackchannelRequest is a request that the user is asked to allow. Printed it
// shows no id.
type BackchannelRequest struct {
	redacted[BackchannelRequest]

	AuthReqID string `json:"auth_req_id"`
	// ExpiresIn is how many seconds the user has.
	ExpiresIn int64 `json:"expires_in"`
	// Interval is the least number of seconds between polls.
	Interval int64 `json:"interval"`
}

// Authorize asks a user.
//
//auth0:op POST /bc-authorize
func (s CIBAService) Authorize(ctx context.Context, p *BackchannelAuthorize, opts ...auth0.RequestOption) (*BackchannelRequest, error) {
	return postForm[*BackchannelRequest](ctx, s.c(), "/bc-authorize", p, anyMethod, opts)
}

// Token asks once whether the user has allowed a request: CodeOf its error is
// AuthorizationPending while not. Grant type urn:openid:params:grant-type:ciba.
// Wait asks for as long as it takes.
//
//auth0:op POST /oauth/token
func (s CIBAService) Token(ctx context.Context, authReqID string, opts ...auth0.RequestOption) (*TokenSet, error) {
	return grant(ctx, s.c(), "urn:openid:params:grant-type:ciba", &cibaGrant{authReqID}, opts)
}

type cibaGrant struct {
	AuthReqID string `url:"auth_req_id,omitempty" need:"yes"`
}

// Wait returns the tokens when the user has allowed the request. It polls as
// DeviceService.Wait does.
func (s CIBAService) Wait(ctx context.Context, r *BackchannelRequest, opts ...auth0.RequestOption) (*TokenSet, error) {
	return poll(ctx, r.Interval, r.ExpiresIn, func(ctx context.Context) (*TokenSet, error) {
		return s.Token(ctx, r.AuthReqID, opts...)
	})
}
