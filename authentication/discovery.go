package authentication

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/headroom-go/auth0"
)

// DiscoveryService has the documents by which a tenant describes itself. Those
// of Configuration, AuthorizationServer and Keys are kept for as long as the
// tenant's headers say; a call with options asks the tenant in any case.
type DiscoveryService struct {
	c    hidden[*core]
	docs *documents
}

// Configuration is the tenant's description of itself. What a tenant has not
// turned on is absent.
type Configuration struct {
	Issuer                                     string            `json:"issuer"`
	AuthorizationEndpoint                      string            `json:"authorization_endpoint"`
	TokenEndpoint                              string            `json:"token_endpoint"`
	DeviceAuthorizationEndpoint                string            `json:"device_authorization_endpoint"`
	UserInfoEndpoint                           string            `json:"userinfo_endpoint"`
	MFAChallengeEndpoint                       string            `json:"mfa_challenge_endpoint"`
	JWKSURI                                    string            `json:"jwks_uri"`
	RegistrationEndpoint                       string            `json:"registration_endpoint"`
	RevocationEndpoint                         string            `json:"revocation_endpoint"`
	EndSessionEndpoint                         string            `json:"end_session_endpoint,omitempty"`
	PushedAuthorizationRequestEndpoint         string            `json:"pushed_authorization_request_endpoint,omitempty"`
	BackchannelAuthenticationEndpoint          string            `json:"backchannel_authentication_endpoint,omitempty"`
	GlobalTokenRevocationEndpoint              string            `json:"global_token_revocation_endpoint,omitempty"`
	ScopesSupported                            []string          `json:"scopes_supported"`
	ResponseTypesSupported                     []string          `json:"response_types_supported"`
	ResponseModesSupported                     []string          `json:"response_modes_supported"`
	SubjectTypesSupported                      []string          `json:"subject_types_supported"`
	CodeChallengeMethodsSupported              []string          `json:"code_challenge_methods_supported"`
	IDTokenSigningAlgValuesSupported           []string          `json:"id_token_signing_alg_values_supported"`
	TokenEndpointAuthMethodsSupported          []string          `json:"token_endpoint_auth_methods_supported"`
	TokenEndpointAuthSigningAlgValuesSupported []string          `json:"token_endpoint_auth_signing_alg_values_supported"`
	ClaimsSupported                            []string          `json:"claims_supported"`
	RequestURIParameterSupported               bool              `json:"request_uri_parameter_supported"`
	RequestParameterSupported                  bool              `json:"request_parameter_supported"`
	RequirePushedAuthorizationRequests         bool              `json:"require_pushed_authorization_requests,omitempty"`
	BackchannelLogoutSupported                 bool              `json:"backchannel_logout_supported,omitempty"`
	BackchannelLogoutSessionSupported          bool              `json:"backchannel_logout_session_supported,omitempty"`
	BackchannelTokenDeliveryModesSupported     []string          `json:"backchannel_token_delivery_modes_supported,omitempty"`
	DPoPSigningAlgValuesSupported              []string          `json:"dpop_signing_alg_values_supported,omitempty"`
	TLSClientCertificateBoundAccessTokens      bool              `json:"tls_client_certificate_bound_access_tokens,omitempty"`
	MTLSEndpointAliases                        map[string]string `json:"mtls_endpoint_aliases,omitempty"`
	ACRValuesSupported                         []string          `json:"acr_values_supported,omitempty"`
	AuthorizationDetailsTypesSupported         []string          `json:"authorization_details_types_supported,omitempty"`
	GlobalTokenRevocationAuthMethodsSupported  []string          `json:"global_token_revocation_endpoint_auth_methods_supported,omitempty"`
	EntityProfilesSupported                    json.RawMessage   `json:"entity_profiles_supported,omitempty"`
}

const (
	configurationPath = "/.well-known/openid-configuration"
	serverPath        = "/.well-known/oauth-authorization-server"
	keysPath          = "/.well-known/jwks.json"
)

// Configuration returns the OpenID configuration. The result is shared: do not
// change it.
//
//auth0:op GET /.well-known/openid-configuration
func (s DiscoveryService) Configuration(ctx context.Context, opts ...auth0.RequestOption) (*Configuration, error) {
	return kept[*Configuration](ctx, s, configurationPath, opts)
}

// AuthorizationServer returns the same by the OAuth standard (RFC 8414). The
// result is shared: do not change it.
//
//auth0:op GET /.well-known/oauth-authorization-server
func (s DiscoveryService) AuthorizationServer(ctx context.Context, opts ...auth0.RequestOption) (*Configuration, error) {
	return kept[*Configuration](ctx, s, serverPath, opts)
}

// Keys returns the keys that the tenant signs tokens with. The result is shared:
// do not change it. A Verifier keeps keys of its own, for longer.
//
//auth0:op GET /.well-known/jwks.json
func (s DiscoveryService) Keys(ctx context.Context, opts ...auth0.RequestOption) (*jose.JSONWebKeySet, error) {
	return kept[*jose.JSONWebKeySet](ctx, s, keysPath, opts)
}

// Certificate returns the tenant's signing certificate as PEM.
//
//auth0:op GET /pem
func (s DiscoveryService) Certificate(ctx context.Context, opts ...auth0.RequestOption) ([]byte, error) {
	return document(ctx, s.c(), "/pem", nil, nil, opts)
}

// documents keeps answers by their path.
type documents struct {
	mu   sync.Mutex
	kept map[string]keptDocument
}

type keptDocument struct {
	value any
	until time.Time // fresh until
	stale time.Time // good until, when the tenant cannot be asked
}

// kept returns a document, from memory while the tenant's headers allow it.
func kept[T any](ctx context.Context, s DiscoveryService, path string, opts []auth0.RequestOption) (T, error) {
	now := time.Now()
	s.docs.mu.Lock()
	old, ok := s.docs.kept[path]
	s.docs.mu.Unlock()
	if ok && now.Before(old.until) && len(opts) == 0 {
		return old.value.(T), nil
	}
	var meta auth0.Meta
	v, err := plain[T](ctx, s.c(), http.MethodGet, path, nil, nil, nil, append([]auth0.RequestOption{auth0.Capture(&meta)}, opts...))
	if err != nil {
		if ok && now.Before(old.stale) && len(opts) == 0 && isOutage(err) {
			return old.value.(T), nil
		}
		return v, err
	}
	if life, onError := lifeOf(meta.Header); life > 0 {
		s.docs.mu.Lock()
		if s.docs.kept == nil {
			s.docs.kept = map[string]keptDocument{}
		}
		now = time.Now()
		s.docs.kept[path] = keptDocument{value: v, until: now.Add(life), stale: now.Add(life + onError)}
		s.docs.mu.Unlock()
	}
	return v, nil
}

// lifeOf returns how long an answer may be kept by its headers, and for how much
// longer when the server cannot be asked.
func lifeOf(h http.Header) (life, onError time.Duration) {
	aged := false
	for directive := range strings.SplitSeq(strings.ToLower(strings.Join(h.Values("Cache-Control"), ",")), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
		n, err := strconv.ParseInt(strings.Trim(value, `"`), 10, 32)
		switch name {
		case "no-store", "no-cache":
			return 0, 0
		case "max-age":
			aged = true
			if err == nil {
				life = seconds(n)
			}
		case "stale-if-error":
			if err == nil {
				onError = seconds(n)
			}
		}
	}
	if expires, err := http.ParseTime(h.Get("Expires")); err == nil && !aged {
		date, err := http.ParseTime(h.Get("Date"))
		if err != nil {
			date = time.Now()
		}
		life = max(expires.Sub(date), 0)
	}
	if age, err := strconv.ParseInt(h.Get("Age"), 10, 32); err == nil {
		life = max(life-seconds(age), 0)
	}
	return life, onError
}
