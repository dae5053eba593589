// Package authentication has a method for each call of Auth0's Authentication
// API: logins, tokens, second factors, passwordless codes, passkeys, sign-up and
// discovery. It also checks ID tokens, access tokens and logout tokens.
//
//	client, err := auth0.New("example.eu.auth0.com", auth0.WithPlan("enterprise"))
//	if err != nil {
//		return err
//	}
//	api := authentication.New(client, authentication.ClientSecretPost(id, secret))
//	login := authentication.NewLogin(authentication.Authorize{
//		RedirectURI: "https://app.example.com/callback", Scope: "openid profile",
//	})
//	http.Redirect(w, r, api.OAuth.AuthorizeURL(&login.Authorize), http.StatusSeeOther)
//
// and where the browser comes back:
//
//	tokens, err := api.OAuth.FinishLogin(ctx, login, r.URL.Query())
//	if err != nil {
//		return err
//	}
//	user, err := verifier.IDToken(ctx, tokens.IDToken, login.Expect(tokens))
//
// Calls go through the client, and so through its throttle: one that no limit
// has room for waits until there is. Times in answers are seconds, as the API
// gives them.
//
// A login that the tenant refuses is an *Error, which has the code, the token
// that a second factor goes on with, and the rules that a password breaks.
// Neither errors nor answers show tokens, codes or passwords when they are
// printed or logged.
package authentication

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"reflect"
	"slices"
	"time"

	"github.com/headroom-go/auth0"
)

// API holds the calls in groups by subject. It is safe for concurrent use and
// meant to live as long as the program.
type API struct {
	OAuth         OAuthService
	TokenExchange TokenExchangeService
	Device        DeviceService
	CIBA          CIBAService
	MFA           MFAService
	Passwordless  PasswordlessService
	Passkeys      PasskeysService
	Database      DatabaseService
	Logout        LogoutService
	Discovery     DiscoveryService
	SAML          SAMLService
	WSFederation  WSFederationService
	// Legacy has calls that Auth0 keeps for old applications only.
	Legacy LegacyService
}

// New returns the calls of a tenant, sent through client. The application proves
// itself with the credentials of client, or as the one option that is given for it
// says: None, ClientSecretPost, ClientSecretBasic, PrivateKeyJWT or MTLS.
// DPoPBound goes with any of them.
//
// What is wrong with an option is the error of each call that needs it.
func New(client *auth0.Client, opts ...Option) *API {
	core := &core{client: client, secure: client}
	for _, o := range opts {
		if o != nil {
			o(core)
		}
	}
	c := hide(core)
	return &API{
		OAuth: OAuthService{c}, TokenExchange: TokenExchangeService{c}, Device: DeviceService{c},
		CIBA: CIBAService{c}, MFA: MFAService{c}, Passwordless: PasswordlessService{c},
		Passkeys: PasskeysService{c}, Database: DatabaseService{c}, Logout: LogoutService{c},
		Discovery: DiscoveryService{c, &documents{}}, SAML: SAMLService{c}, WSFederation: WSFederationService{c},
		Legacy: LegacyService{c},
	}
}

// core is what all groups share.
type core struct {
	client *auth0.Client // for calls that prove nothing
	secure *auth0.Client // for calls that prove the application
	auth   clientAuth
	dpop   *DPoP
	err    error
}

// hidden is a value that no verb of fmt shows: printing prints fields of fields
// without asking their String methods.
type hidden[T any] func() T

func hide[T any](v T) hidden[T] { return func() T { return v } }

// audience is the tenant as assertions and request objects address it.
func (c *core) audience() string { return c.client.BaseURL() + "/" }

// grant asks the token endpoint for tokens.
func grant(ctx context.Context, c *core, grantType string, params any, opts []auth0.RequestOption) (*TokenSet, error) {
	form, err := formOf(params)
	if err != nil {
		return nil, err
	}
	form.Set("grant_type", grantType)
	return tokens(sendForm[*TokenSet](ctx, c, "/oauth/token", form, anyMethod, opts))
}

// formOf returns params as a form, when all is there that the call needs.
func formOf(params any) (url.Values, error) {
	if err := complete(params); err != nil {
		return nil, err
	}
	return auth0.QueryOf(params)
}

// complete returns an error that names the first field tagged with need that a
// pointer to a struct leaves empty: without it the tenant could but refuse.
func complete(params any) error {
	v := reflect.ValueOf(params)
	if v.Kind() != reflect.Pointer || v.Type().Elem().Kind() != reflect.Struct {
		return nil
	}
	if v.IsNil() {
		v = reflect.New(v.Type().Elem())
	}
	v = v.Elem()
	for i := range v.NumField() {
		f, value := v.Type().Field(i), v.Field(i)
		if f.Tag.Get("need") != "" && (value.IsZero() || value.Kind() == reflect.Slice && value.Len() == 0) {
			return fmt.Errorf("authentication: the call needs %s, which is empty", f.Name)
		}
	}
	return nil
}

// tokens notes when the tokens of an answer end.
func tokens(t *TokenSet, err error) (*TokenSet, error) {
	if err != nil {
		return nil, err
	}
	if t.ExpiresIn > 0 {
		t.Expiry = time.Now().Add(seconds(t.ExpiresIn))
	}
	return t, nil
}

// postForm sends params as a form.
func postForm[T any](ctx context.Context, c *core, path string, params any, m methods, opts []auth0.RequestOption) (T, error) {
	form, err := formOf(params)
	if err != nil {
		var zero T
		return zero, err
	}
	return sendForm[T](ctx, c, path, form, m, opts)
}

func sendForm[T any](ctx context.Context, c *core, path string, form url.Values, m methods, opts []auth0.RequestOption) (T, error) {
	return bound(c, path, "", opts, func(opts []auth0.RequestOption) (T, error) {
		full := maps.Clone(form)
		proof, err := c.prove(full, m)
		if err != nil {
			var zero T
			return zero, err
		}
		return auth0.Call[T](ctx, c.secure, http.MethodPost, path, nil, nil, full, append(proof, opts...))
	})
}

// postJSON sends params as a JSON object, with what proves the application
// among its members.
func postJSON[T any](ctx context.Context, c *core, path string, params any, m methods, opts []auth0.RequestOption) (T, error) {
	return postMembers[T](ctx, c, path, params, nil, m, opts)
}

// postMembers is postJSON with members that have one value only.
func postMembers[T any](ctx context.Context, c *core, path string, params any, fixed map[string]string, m methods, opts []auth0.RequestOption) (T, error) {
	if err := complete(params); err != nil {
		var zero T
		return zero, err
	}
	return bound(c, path, "", opts, func(opts []auth0.RequestOption) (T, error) {
		var zero T
		members := url.Values{}
		proof, err := c.prove(members, m)
		if err != nil {
			return zero, err
		}
		data, err := json.Marshal(params)
		if err != nil {
			return zero, fmt.Errorf("authentication: encoding the request: %w", err)
		}
		body := map[string]any{}
		raw := map[string]json.RawMessage{}
		if err := json.Unmarshal(data, &raw); err != nil {
			return zero, fmt.Errorf("authentication: encoding the request: %w", err)
		}
		for k, v := range raw {
			body[k] = v
		}
		for k, v := range fixed {
			body[k] = v
		}
		for k := range members {
			body[k] = members.Get(k)
		}
		return auth0.Call[T](ctx, c.secure, http.MethodPost, path, nil, nil, body, append(proof, opts...))
	})
}

// bearer sends a call that a token authorises.
func bearer[T any](ctx context.Context, c *core, method, path string, args []string, token string, body any, opts []auth0.RequestOption) (T, error) {
	return plain[T](ctx, c, method, path, args, nil, body, append(slices.Clip(opts), auth0.Bearer(token)))
}

// plain sends a call that proves nothing.
func plain[T any](ctx context.Context, c *core, method, path string, args []string, query url.Values, body any, opts []auth0.RequestOption) (T, error) {
	if err := complete(body); err != nil {
		var zero T
		return zero, err
	}
	v, err := auth0.Call[T](ctx, c.client, method, path, args, query, body, opts)
	return v, typed(err)
}

// document fetches what is not JSON.
func document(ctx context.Context, c *core, path string, args []string, query url.Values, opts []auth0.RequestOption) ([]byte, error) {
	accept := []auth0.RequestOption{auth0.Header("Accept", "*/*")}
	return plain[[]byte](ctx, c, http.MethodGet, path, args, query, nil, append(accept, opts...))
}

// browser returns the URL of a page, with query.
func (c *core) browser(path, query string) string {
	if query != "" {
		query = "?" + query
	}
	return c.client.BaseURL() + path + query
}

// query encodes parameters whose types are all known to be encodable.
func query(params any) url.Values {
	q, err := auth0.QueryOf(params)
	if err != nil {
		return url.Values{}
	}
	return q
}

// ForwardedFor names the address of the end user on whose behalf a server logs
// in, so that attack protection counts the user's address and not the
// server's. The application has to be confidential and allowed to send it.
func ForwardedFor(ip netip.Addr) auth0.RequestOption {
	if !ip.IsValid() {
		return auth0.Prepare(func(*http.Request) error {
			return errors.New("authentication: ForwardedFor needs an address, as netip.ParseAddr returns it")
		})
	}
	// A server that listens for both kinds of addresses sees those of IPv4 in
	// the form of IPv6, and zones are this machine's own.
	return auth0.Header("auth0-forwarded-for", ip.Unmap().WithZone("").String())
}

// RequestLanguage asks for messages, such as passwordless codes, in languages
// as an Accept-Language header lists them.
func RequestLanguage(languages string) auth0.RequestOption {
	return auth0.Header("x-request-language", languages)
}

// TokenSet is the answer of the token endpoint. Printed or logged it shows none
// of its tokens.
type TokenSet struct {
	redacted[TokenSet]

	AccessToken string `json:"access_token,omitempty"`
	// TokenType is Bearer or DPoP; N_A for session transfer tokens.
	TokenType string `json:"token_type,omitempty"`
	// ExpiresIn is the life of the access token in seconds.
	ExpiresIn int64 `json:"expires_in,omitempty"`
	// Expiry is when the access token ends by this machine's clock, zero when
	// the answer did not say.
	Expiry  time.Time `json:"-"`
	IDToken string    `json:"id_token,omitempty"`
	// RefreshToken replaces the one that was used where rotation is on.
	RefreshToken string `json:"refresh_token,omitempty"`
	// Scope is what was granted, separated by spaces. It may be absent where all
	// that was asked for was granted.
	Scope string `json:"scope,omitempty"`
	// AuthorizationDetails are what was granted of rich authorization requests.
	AuthorizationDetails AuthorizationDetails `json:"authorization_details,omitempty"`
	// IssuedTokenType is the kind of token that AccessToken holds after an
	// exchange.
	IssuedTokenType string `json:"issued_token_type,omitempty"`
	// RecoveryCode is the user's new one after a login with the old one.
	RecoveryCode string `json:"recovery_code,omitempty"`
}

// LogValue returns the kind, scope and end of the tokens.
func (t TokenSet) LogValue() slog.Value {
	return slog.GroupValue(slog.String("type", t.TokenType), slog.String("scope", t.Scope), slog.Time("expiry", t.Expiry))
}

// AuthorizationDetails are rich authorization requests (RFC 9396): JSON objects
// that each have a type.
type AuthorizationDetails []json.RawMessage

// MarshalText returns the details as one JSON array, the form in which they
// travel in queries and forms.
func (d AuthorizationDetails) MarshalText() ([]byte, error) {
	return json.Marshal([]json.RawMessage(d))
}

// MarshalJSON returns the same, which JSON would otherwise hold as a string.
func (d AuthorizationDetails) MarshalJSON() ([]byte, error) { return d.MarshalText() }

// StringList is a list of strings that the API sometimes gives as one string.
type StringList []string

// UnmarshalJSON reads a string or an array of strings.
func (l *StringList) UnmarshalJSON(data []byte) error {
	var one string
	if json.Unmarshal(data, &one) == nil {
		*l = nil
		if one != "" {
			*l = StringList{one}
		}
		return nil
	}
	return json.Unmarshal(data, (*[]string)(l))
}

// Timestamp is a time that the API gives as Unix seconds or as RFC 3339 text.
type Timestamp struct{ time.Time }

// UnmarshalJSON reads either form. A null leaves the time as it is.
func (t *Timestamp) UnmarshalJSON(data []byte) error {
	var s float64
	if string(data) != "null" && json.Unmarshal(data, &s) == nil {
		at, ok := numericDate(s)
		if !ok {
			return errors.New("authentication: a time is out of range")
		}
		t.Time = at
		return nil
	}
	return t.Time.UnmarshalJSON(data)
}

// numericDate is the time of a JWT's NumericDate.
func numericDate(s float64) (time.Time, bool) {
	if !(s >= 0 && s < 253402300800) { // the year 10000
		return time.Time{}, false
	}
	whole := int64(s)
	return time.Unix(whole, int64((s-float64(whole))*1e9)), true
}

func seconds(n int64) time.Duration {
	return time.Duration(min(max(n, 0), 1<<32)) * time.Second
}
