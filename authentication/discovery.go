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
// tenant's headers say, and fetched once for all who ask at a time; each caller's
// context bounds its own wait. A call with options asks the tenant in any case.
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
	mu      sync.Mutex
	kept    map[string]keptDocument
	flights map[string]*flight
}

type keptDocument struct {
	value any
	until time.Time // fresh until
	stale time.Time // good until, when the tenant cannot be asked
}

// flight is a fetch under way, and its outcome when done is closed.
type flight struct {
	waiting int // callers; the last to give up ends the fetch
	cancel  context.CancelFunc
	done    chan struct{}
	value   any
	err     error
}

// kept returns a document, from memory while the tenant's headers allow it. All
// who ask meanwhile wait for one fetch, which goes on as long as any of them does.
func kept[T any](ctx context.Context, s DiscoveryService, path string, opts []auth0.RequestOption) (T, error) {
	if len(opts) > 0 {
		return fetch[T](ctx, s, path, opts)
	}
	var zero T
	if err := ctx.Err(); err != nil {
		return zero, err
	}
	d := s.docs
	d.mu.Lock()
	old, ok := d.kept[path]
	if ok && time.Now().Before(old.until) {
		d.mu.Unlock()
		return old.value.(T), nil
	}
	f := d.flights[path]
	if f == nil {
		f = &flight{done: make(chan struct{})}
		var fetching context.Context
		fetching, f.cancel = context.WithCancel(context.WithoutCancel(ctx))
		if d.flights == nil {
			d.flights = map[string]*flight{}
		}
		d.flights[path] = f
		go func() {
			v, err := fetch[T](fetching, s, path, nil)
			if err != nil && ok && time.Now().Before(old.stale) && isOutage(err) {
				v, err = old.value.(T), nil
			}
			d.land(path, f, v, err)
		}()
	}
	f.waiting++
	d.mu.Unlock()
	select {
	case <-f.done:
	case <-ctx.Done():
		d.leave(path, f)
		return zero, ctx.Err()
	}
	if f.err != nil {
		return zero, f.err
	}
	return f.value.(T), nil
}

// land ends a flight with its outcome.
func (d *documents) land(path string, f *flight, v any, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f.value, f.err = v, err
	if d.flights[path] == f {
		delete(d.flights, path)
	}
	f.cancel()
	close(f.done)
}

// leave lets a caller go.
func (d *documents) leave(path string, f *flight) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if f.waiting--; f.waiting == 0 && d.flights[path] == f {
		delete(d.flights, path)
		f.cancel()
	}
}

// fetch asks the tenant for a document and keeps it for as long as the answer
// allows.
func fetch[T any](ctx context.Context, s DiscoveryService, path string, opts []auth0.RequestOption) (T, error) {
	var meta auth0.Meta
	v, err := plain[T](ctx, s.c(), http.MethodGet, path, nil, nil, nil, append([]auth0.RequestOption{auth0.Capture(&meta)}, opts...))
	if err != nil {
		return v, err
	}
	if life, onError := lifeOf(meta.Header); life > 0 {
		s.docs.mu.Lock()
		defer s.docs.mu.Unlock()
		if s.docs.kept == nil {
			s.docs.kept = map[string]keptDocument{}
		}
		now := time.Now()
		s.docs.kept[path] = keptDocument{value: v, until: now.Add(life), stale: now.Add(life + onError)}
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
