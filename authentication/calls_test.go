package authentication_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/headroom-go/auth0"
	"github.com/headroom-go/auth0/authentication"
)

const (
	clientID     = "s-client_id"
	clientSecret = "s-client_secret/+ "
	sentinelIP   = "2001:db8::7"
)

// filled returns parameters in which each field has a value that tells its
// name: s-scope for scope.
func filled[T any](change ...func(*T)) *T {
	var v T
	fill(reflect.ValueOf(&v).Elem())
	for _, f := range change {
		f(&v)
	}
	return &v
}

func fill(v reflect.Value) {
	for i := range v.NumField() {
		f, t := v.Field(i), v.Type().Field(i)
		if !t.IsExported() {
			continue
		}
		name, _, _ := strings.Cut(t.Tag.Get("url"), ",")
		if name == "" {
			name, _, _ = strings.Cut(t.Tag.Get("json"), ",")
		}
		switch p := f.Addr().Interface().(type) {
		case *authentication.AuthorizationDetails:
			*p = authentication.AuthorizationDetails{json.RawMessage(`{"type":"s-authorization_details"}`)}
			continue
		case *json.RawMessage:
			*p = json.RawMessage(`{"s":"` + name + `"}`)
			continue
		case *map[string]any:
			*p = map[string]any{"s": name}
			continue
		case *map[string]string:
			*p = map[string]string{"s": name}
			continue
		}
		switch f.Kind() {
		case reflect.String:
			f.SetString("s-" + name)
		case reflect.Bool:
			f.SetBool(true)
		case reflect.Int:
			f.SetInt(7)
		case reflect.Pointer:
			f.Set(reflect.New(f.Type().Elem()))
			f.Elem().SetInt(7)
		case reflect.Slice:
			f.Set(reflect.ValueOf([]string{"s-" + name}))
		case reflect.Struct:
			fill(f)
		}
	}
}

// sentinel is the value of a parameter of the list, as JSON would have it.
func sentinel(p param) any {
	switch {
	case p.Value != "":
		return p.Value
	case p.Name == "authorization_details":
		return `[{"type":"s-authorization_details"}]`
	case p.Name == "user_profile" && p.Type == "string":
		return "s-user_profile"
	case p.Name == "login_hint" && p.In == "form" && p.Required:
		return `{"format":"iss_sub","iss":"s-","sub":"s-"}`
	case p.Type == "integer":
		return 7.0
	case p.Type == "boolean":
		return true
	case p.Type == "array":
		return []any{"s-" + p.Name}
	case p.Type == "object" && len(p.Fields) > 0 && p.Name != "authn_response":
		o := map[string]any{}
		for _, f := range p.Fields {
			o[f] = "s-" + f
		}
		return o
	case p.Type == "object":
		return map[string]any{"s": p.Name}
	}
	return "s-" + p.Name
}

type (
	api    = *authentication.API
	option = auth0.RequestOption
)

// page is what a method for the browser returns.
type page struct {
	url  string
	form url.Values
}

// invocations call the method of each row of the list, in its order, with every
// parameter that the row has.
func invocations() []func(context.Context, api, ...option) (any, error) {
	onURL := func(f func(api) string) func(context.Context, api, ...option) (any, error) {
		return func(_ context.Context, a api, _ ...option) (any, error) { return page{url: f(a)}, nil }
	}
	type c = context.Context
	type A = authentication.Authorize
	return []func(context.Context, api, ...option) (any, error){
		onURL(func(a api) string {
			return a.OAuth.AuthorizeURL(filled(func(p *A) { p.Extra = url.Values{"ext-*": {"s-ext-*"}} }))
		}),
		onURL(func(a api) string { return a.OAuth.AuthorizeURLWithPAR("s-request_uri") }),
		onURL(func(a api) string { return a.OAuth.AuthorizeURLWithJAR("s-request") }),
		func(x c, a api, o ...option) (any, error) {
			return a.OAuth.PushAuthorization(x, filled(func(p *A) {
				p.Extra = url.Values{"ext-*": {"s-ext-*"}}
				p.LoginTicket, p.SessionTransferToken, p.RequestURI = "", "", "" // not of pushed requests
			}), o...)
		},
		func(x c, a api, o ...option) (any, error) {
			return a.OAuth.ExchangeCode(x, filled(func(p *authentication.CodeExchange) { p.CodeVerifier = "" }), o...)
		},
		func(x c, a api, o ...option) (any, error) {
			return a.OAuth.ExchangeCode(x, filled[authentication.CodeExchange](), o...)
		},
		func(x c, a api, o ...option) (any, error) {
			return a.OAuth.ClientCredentials(x, filled[authentication.ClientCredentials](), o...)
		},
		func(x c, a api, o ...option) (any, error) {
			return a.OAuth.Refresh(x, filled[authentication.Refresh](), o...)
		},
		func(x c, a api, o ...option) (any, error) {
			return a.OAuth.Password(x, filled[authentication.Password](), o...)
		},
		func(x c, a api, o ...option) (any, error) {
			return a.OAuth.PasswordRealm(x, filled[authentication.Password](), o...)
		},
		func(x c, a api, o ...option) (any, error) { return a.Device.Token(x, "s-device_code", o...) },
		func(x c, a api, o ...option) (any, error) {
			return a.Passwordless.Token(x, filled[authentication.PasswordlessOTP](), o...)
		},
		func(x c, a api, o ...option) (any, error) {
			return a.Passwordless.TokenForSession(x, filled[authentication.SessionOTP](), o...)
		},
		func(x c, a api, o ...option) (any, error) {
			return a.MFA.VerifyOTP(x, filled[authentication.MFAOTP](), o...)
		},
		func(x c, a api, o ...option) (any, error) {
			return a.MFA.VerifyOOB(x, filled[authentication.MFAOOB](), o...)
		},
		func(x c, a api, o ...option) (any, error) {
			return a.MFA.VerifyRecoveryCode(x, filled[authentication.MFARecoveryCode](), o...)
		},
		func(x c, a api, o ...option) (any, error) {
			return a.TokenExchange.Custom(x, filled[authentication.CustomExchange](), o...)
		},
		func(x c, a api, o ...option) (any, error) {
			return a.TokenExchange.NativeSocial(x, filled[authentication.NativeSocial](), o...)
		},
		func(x c, a api, o ...option) (any, error) {
			return a.TokenExchange.OnBehalfOf(x, filled[authentication.OnBehalfOf](), o...)
		},
		func(x c, a api, o ...option) (any, error) {
			return a.TokenExchange.CrossApp(x, filled[authentication.CrossApp](), o...)
		},
		func(x c, a api, o ...option) (any, error) {
			return a.TokenExchange.VaultFromRefreshToken(x, filled[authentication.TokenVault](), o...)
		},
		func(x c, a api, o ...option) (any, error) {
			return a.TokenExchange.VaultFromAccessToken(x, filled[authentication.TokenVault](), o...)
		},
		func(x c, a api, o ...option) (any, error) {
			return a.TokenExchange.VaultPrivileged(x, filled(func(p *authentication.TokenVault) { p.LoginHint = "" }), o...)
		},
		func(x c, a api, o ...option) (any, error) { return a.CIBA.Token(x, "s-auth_req_id", o...) },
		func(x c, a api, o ...option) (any, error) {
			return a.Passkeys.Token(x, filled[authentication.PasskeyResponse](), o...)
		},
		func(x c, a api, o ...option) (any, error) {
			return a.Device.Authorize(x, filled[authentication.DeviceAuthorize](), o...)
		},
		func(x c, a api, o ...option) (any, error) {
			return a.CIBA.Authorize(x, filled[authentication.BackchannelAuthorize](), o...)
		},
		func(x c, a api, o ...option) (any, error) { return nil, a.OAuth.Revoke(x, "s-token", o...) },
		func(x c, a api, o ...option) (any, error) { return a.OAuth.UserInfo(x, "s-Authorization", o...) },
		func(x c, a api, o ...option) (any, error) {
			return a.MFA.Challenge(x, filled[authentication.MFAChallengeRequest](), o...)
		},
		func(x c, a api, o ...option) (any, error) {
			return a.MFA.Associate(x, "s-Authorization", filled[authentication.MFAAssociation](), o...)
		},
		func(x c, a api, o ...option) (any, error) { return a.MFA.Authenticators(x, "s-Authorization", o...) },
		func(x c, a api, o ...option) (any, error) {
			return nil, a.MFA.DeleteAuthenticator(x, "s-Authorization", "s-authenticator_id", o...)
		},
		func(x c, a api, o ...option) (any, error) {
			return a.Passwordless.Start(x, filled[authentication.PasswordlessStart](), o...)
		},
		func(x c, a api, o ...option) (any, error) {
			session, err := a.Passwordless.Challenge(x, filled[authentication.OTPChallenge](), o...)
			return map[string]string{"auth_session": session}, err
		},
		func(x c, a api, o ...option) (any, error) {
			return a.Legacy.PasswordlessVerify(x, filled[authentication.PasswordlessVerify](), o...)
		},
		func(x c, a api, o ...option) (any, error) {
			return a.Database.Signup(x, filled[authentication.Signup](), o...)
		},
		func(x c, a api, o ...option) (any, error) {
			return a.Database.ChangePassword(x, filled[authentication.ChangePassword](), o...)
		},
		func(x c, a api, o ...option) (any, error) {
			return a.Passkeys.Challenge(x, filled[authentication.PasskeyLogin](), o...)
		},
		func(x c, a api, o ...option) (any, error) {
			return a.Passkeys.Register(x, filled[authentication.PasskeySignup](), o...)
		},
		onURL(func(a api) string {
			return a.Logout.URL(filled(func(p *authentication.Logout) { p.WholeTenant = false }))
		}),
		onURL(func(a api) string { return a.Logout.OIDCURL(filled[authentication.OIDCLogout]()) }),
		func(_ c, a api, _ ...option) (any, error) {
			u, form := a.Logout.OIDCForm(filled[authentication.OIDCLogout]())
			return page{u, form}, nil
		},
		func(x c, a api, o ...option) (any, error) {
			return a.OAuth.RegisterClient(x, filled[authentication.ClientRegistration](), o...)
		},
		func(x c, a api, o ...option) (any, error) {
			return nil, a.OAuth.RevokeGlobally(x, "s-connection_name", "s-Authorization", *filled[authentication.GlobalSubject](), o...)
		},
		onURL(func(a api) string { return a.SAML.URL(clientID, filled[authentication.SAMLRequest]()) }),
		func(x c, a api, o ...option) (any, error) { return a.SAML.Metadata(x, clientID, o...) },
		func(x c, a api, o ...option) (any, error) {
			return a.SAML.Logout(x, clientID, []byte("s-(body)"), o...)
		},
		func(_ c, a api, _ ...option) (any, error) {
			u, form := a.SAML.CallbackForm("s-connection", "s-SAMLResponse")
			return page{u, form}, nil
		},
		onURL(func(a api) string { return a.WSFederation.URL(clientID, filled[authentication.WSFederation]()) }),
		func(x c, a api, o ...option) (any, error) { return a.WSFederation.Metadata(x, o...) },
		func(x c, a api, o ...option) (any, error) { return a.Discovery.Configuration(x, o...) },
		func(x c, a api, o ...option) (any, error) { return a.Discovery.Keys(x, o...) },
		func(x c, a api, o ...option) (any, error) { return a.Discovery.AuthorizationServer(x, o...) },
		func(x c, a api, o ...option) (any, error) { return a.Discovery.Certificate(x, o...) },
		onURL(func(a api) string {
			return a.Legacy.LinkURL("s-response_type", "s-connection", "s-redirect_uri", "s-access_token")
		}),
		func(x c, a api, o ...option) (any, error) {
			return nil, a.Legacy.Unlink(x, "s-access_token", "s-user_id", o...)
		},
		func(x c, a api, o ...option) (any, error) {
			return a.Legacy.Delegate(x, filled[authentication.Delegation](), o...)
		},
		func(x c, a api, o ...option) (any, error) {
			return a.Legacy.Impersonate(x, "s-Authorization", "s-user_id", filled[authentication.Impersonation](), o...)
		},
		func(x c, a api, o ...option) (any, error) {
			return a.Legacy.ResourceOwner(x, filled[authentication.ResourceOwner](), o...)
		},
		func(x c, a api, o ...option) (any, error) {
			return a.Legacy.SocialToken(x, filled[authentication.SocialToken](), o...)
		},
		func(x c, a api, o ...option) (any, error) { return a.Legacy.TokenInfo(x, "s-id_token", o...) },
	}
}

// newAPI returns the calls with a client authentication of the list's name.
func newAPI(t *testing.T, method string, s stub, more ...authentication.Option) *authentication.API {
	t.Helper()
	c := newClient(t, s)
	switch method {
	case "client_secret_post":
		more = append(more, authentication.ClientSecretPost(clientID, clientSecret))
	case "client_secret_basic":
		more = append(more, authentication.ClientSecretBasic(clientID, clientSecret))
	case "private_key_jwt":
		more = append(more, authentication.PrivateKeyJWT(auth0.PrivateKey{ClientID: clientID, Signer: rsaKey(t, "client")}))
	case "mtls":
		more = append(more, authentication.MTLS(clientID, nil))
	default:
		more = append(more, authentication.None(clientID))
	}
	return authentication.New(c, more...)
}

// Each call sends the parameters of the list, all of them and nothing else, in
// each way of proving the application.
func TestRequests(t *testing.T) {
	t.Parallel()
	all, invoke := calls(t), invocations()
	if len(all) != 62 || len(invoke) != len(all) {
		t.Fatalf("%d calls in the list, %d in the test, want 62", len(all), len(invoke))
	}
	for i, c := range all {
		for _, method := range c.Auth {
			t.Run(fmt.Sprintf("%s/%s", c.Name, method), func(t *testing.T) {
				t.Parallel()
				var got *http.Request
				var body string
				a := newAPI(t, method, func(r *http.Request, b string) answer {
					got, body = r, b
					return replyJSON(c.Status, answerOf(c))
				}, dpopOption(t, c)...)
				var opts []auth0.RequestOption
				for _, p := range c.Params {
					switch p.Name {
					case "auth0-forwarded-for":
						opts = append(opts, authentication.ForwardedFor(netip.MustParseAddr(sentinelIP)))
					case "x-request-language":
						opts = append(opts, authentication.RequestLanguage("s-x-request-language"))
					}
				}
				v, err := invoke[i](t.Context(), a, opts...)
				if err != nil {
					t.Fatal(err)
				}
				if p, ok := v.(page); ok {
					checkPage(t, c, p)
					return
				}
				checkRequest(t, c, method, got, body)
				checkAnswer(t, c, v)
			})
		}
	}
}

// dpopOption binds tokens to a key where the call's list has the header.
func dpopOption(t *testing.T, c call) []authentication.Option {
	t.Helper()
	if !slices.ContainsFunc(c.Params, func(p param) bool { return p.Name == "DPoP" }) {
		return nil
	}
	d, err := authentication.NewDPoP(rsaKey(t, "dpop"), "")
	if err != nil {
		t.Fatal(err)
	}
	return []authentication.Option{authentication.DPoPBound(d)}
}

// path is the path of a call with sentinels in its braces.
func path(c call) string {
	p := c.Path
	for _, q := range c.Params {
		if q.In == "path" {
			p = strings.ReplaceAll(p, "{"+q.Name+"}", "s-"+q.Name)
		}
	}
	return p
}

// want returns the parameters of one place that a call has to have.
func want(c call, method string, in ...string) map[string]any {
	m := map[string]any{}
	if method == "client_secret_basic" && presents(c) {
		method = "client_secret_post" // the Authorization header is taken
	}
	for _, p := range c.Params {
		if !slices.Contains(in, p.In) || p.Name == "(body)" {
			continue
		}
		switch p.Name {
		case "client_id":
			if method == "client_secret_basic" {
				continue
			}
		case "client_secret":
			if method != "client_secret_post" {
				continue
			}
			m[p.Name] = clientSecret
			continue
		case "client_assertion", "client_assertion_type":
			if method != "private_key_jwt" {
				continue
			}
		}
		m[p.Name] = sentinel(p)
	}
	if method == "private_key_jwt" {
		m["client_assertion"] = "a JWT"
	}
	return m
}

func checkRequest(t *testing.T, c call, method string, r *http.Request, body string) {
	t.Helper()
	if r == nil {
		t.Fatal("nothing was sent")
	}
	if r.Method != c.Method || r.URL.Path != path(c) || r.URL.Host != "example.auth0.com" {
		t.Errorf("sent %s %s, want %s %s", r.Method, r.URL, c.Method, path(c))
	}
	if r.URL.RawQuery != "" {
		t.Errorf("query %q", r.URL.RawQuery)
	}
	got, expected := map[string]any{}, want(c, method, "form", "json")
	switch contentType := r.Header.Get("Content-Type"); contentType {
	case "application/x-www-form-urlencoded":
		form, err := url.ParseQuery(body)
		if err != nil {
			t.Fatal(err)
		}
		for k, v := range form {
			got[k] = v[0]
			if n, ok := expected[k].(float64); ok {
				expected[k] = fmt.Sprint(n)
			}
			if len(v) != 1 {
				t.Errorf("%s has %d values", k, len(v))
			}
		}
		if !hasIn(c, "form") {
			t.Error("a form was sent, want JSON")
		}
	case "application/json":
		if err := json.Unmarshal([]byte(body), &got); err != nil {
			t.Fatal(err)
		}
		if !hasIn(c, "json") {
			t.Error("JSON was sent, want a form")
		}
	case "application/xml":
		if body != "s-(body)" {
			t.Errorf("body %q", body)
		}
	case "":
		if body != "" {
			t.Errorf("body %q without a type", body)
		}
	default:
		t.Errorf("content type %q", contentType)
	}
	if s, ok := got["client_assertion"].(string); ok && strings.Count(s, ".") == 2 {
		got["client_assertion"] = "a JWT"
	}
	if !reflect.DeepEqual(got, expected) {
		t.Errorf("sent\n%v, want\n%v", got, expected)
	}
	checkHeader(t, c, method, r.Header)
}

// presents reports whether a call presents a token.
func presents(c call) bool {
	return slices.ContainsFunc(c.Params, func(p param) bool { return p.Name == "Authorization" })
}

func hasIn(c call, in string) bool {
	return slices.ContainsFunc(c.Params, func(p param) bool { return p.In == in })
}

func checkHeader(t *testing.T, c call, method string, h http.Header) {
	t.Helper()
	authorization := ""
	dpop := false
	for _, p := range c.Params {
		if p.In != "header" {
			continue
		}
		switch p.Name {
		case "Authorization":
			authorization = "Bearer s-Authorization"
		case "DPoP":
			dpop = true
		case "auth0-forwarded-for":
			if h.Get(p.Name) != sentinelIP {
				t.Errorf("%s: %q", p.Name, h.Get(p.Name))
			}
		default:
			if h.Get(p.Name) != "s-"+p.Name {
				t.Errorf("%s: %q", p.Name, h.Get(p.Name))
			}
		}
	}
	switch {
	case dpop && authorization != "":
		authorization = "DPoP s-Authorization"
	case method == "client_secret_basic" && authorization == "":
		authorization = "Basic cy1jbGllbnRfaWQ6cy1jbGllbnRfc2VjcmV0JTJGJTJCKw==" // s-client_id:s-client_secret%2F%2B+
	}
	if h.Get("Authorization") != authorization {
		t.Errorf("Authorization %q, want %q", h.Get("Authorization"), authorization)
	}
	if (strings.Count(h.Get("DPoP"), ".") == 2) != dpop {
		t.Errorf("DPoP %q", h.Get("DPoP"))
	}
}

func checkPage(t *testing.T, c call, p page) {
	t.Helper()
	u, err := url.Parse(p.url)
	if err != nil {
		t.Fatal(err)
	}
	if u.Scheme != "https" || u.Host != "example.auth0.com" || u.Path != path(c) {
		t.Errorf("URL %s, want the path %s", p.url, path(c))
	}
	check := func(got url.Values, in string) {
		t.Helper()
		expected := url.Values{}
		for name, v := range want(c, "none", in) {
			switch {
			case name == "federated" && in == "query":
				expected[name] = []string{""}
			case name == "federated":
				expected[name] = []string{"true"}
			default:
				expected[name] = []string{fmt.Sprint(v)}
			}
		}
		if !reflect.DeepEqual(got, expected) {
			t.Errorf("%s\n%v, want\n%v", in, got, expected)
		}
	}
	check(u.Query(), "query")
	if p.form == nil {
		p.form = url.Values{}
	}
	check(p.form, "form")
	if strings.Contains(u.RawQuery, "federated=") {
		t.Error("federated has a value in the query")
	}
}

// answerOf is the whole answer of a call, with values that tell their names.
func answerOf(c call) string {
	switch c.Is {
	case "text", "xml":
		return "s-" + c.Name
	}
	if c.Name == "JSON Web Key Set" {
		return `{"keys":[{"kty":"RSA","use":"sig","kid":"k","alg":"RS256","n":"` + modulus + `","e":"AQAB"}]}`
	}
	if len(c.Answer) == 0 {
		return "{}"
	}
	data, err := json.Marshal(answerValues(c))
	if err != nil {
		panic(err)
	}
	if c.Is == "array" {
		return "[" + string(data) + "]"
	}
	return string(data)
}

const modulus = "sXchDaQebHnPiGvyDOAT4saGEUetSyo9MKLOoWFsueri23bOdgWp4Dy1WlUzewbgBHod5pcM9H95GQRV3JDXboIRROSBigeC5yjU1hGzHHyXss8UDprecbAYxknTcQkhslANGRUZmdTOQ5qTRsLAt6BTYuyvVRdhS8exSZEy_c4gs_7svlJJQ4H9_NxsiIoLwAEk7-Q3UXERGYw_75IDrGA84-lA_-Ct4eTlXHBIY2EaV7t7LjJaynVJCpkv4LKjTTAumiGUIuQhrNhZLuF_RJLqHpM2kgWFLU7-VTdL1VbC2tejvcI2BlMkEpk1BzBZI0KQB0GaDWFLN-aEAw3vRw"

func answerValues(c call) map[string]any {
	m := map[string]any{}
	for _, p := range c.Answer {
		switch p.Name {
		case "updated_at", "created_at":
			m[p.Name] = "2026-08-20T10:11:12Z"
		case "act":
			m[p.Name] = map[string]any{"sub": "s-act"}
		case "authorization_details":
			m[p.Name] = []any{map[string]any{"type": "s-authorization_details"}}
		case "oob_channels":
			m[p.Name] = []any{"s-oob_channels"}
		default:
			m[p.Name] = sentinel(param{Name: p.Name, Type: p.Type})
		}
	}
	return m
}

// checkAnswer compares what a method returned, encoded again, with the answer.
func checkAnswer(t *testing.T, c call, v any) {
	t.Helper()
	switch got := v.(type) {
	case nil:
		if len(c.Answer) > 0 {
			t.Error("the method returns nothing")
		}
		return
	case []byte:
		if string(got) != answerOf(c) {
			t.Errorf("got %q", got)
		}
		return
	case string:
		if got != answerOf(c) {
			t.Errorf("got %q", got)
		}
		return
	}
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var got any
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	if c.Is == "array" {
		list := got.([]any)
		if len(list) != 1 {
			t.Fatalf("%d entries", len(list))
		}
		got = list[0]
	}
	if len(c.Answer) == 0 {
		return
	}
	if set, ok := v.(*jose.JSONWebKeySet); ok {
		if len(set.Keys) != 1 || set.Keys[0].KeyID != "k" || set.Keys[0].Algorithm != "RS256" || !set.Keys[0].Valid() {
			t.Errorf("keys %v", set.Keys)
		}
		return
	}
	if expected := answerValues(c); !reflect.DeepEqual(got, any(expected)) {
		t.Errorf("decoded\n%v, want\n%v", got, expected)
	}
}

// Each documented failure of each call arrives as an *Error with its code, and
// shows no secret.
func TestFailures(t *testing.T) {
	t.Parallel()
	all, invoke := calls(t), invocations()
	documented := 0
	for i, c := range all {
		for _, e := range c.Errors {
			documented++
			if c.Browser {
				continue // the browser gets them; see TestFinishLogin
			}
			status := e.Status
			if status == 0 {
				status = http.StatusBadRequest
			}
			t.Run(fmt.Sprintf("%s/%d %s", c.Name, status, e.Code), func(t *testing.T) {
				t.Parallel()
				body := map[string]any{"error": e.Code, "error_description": "some words", "error_uri": "https://auth0.com/docs"}
				if strings.HasPrefix(c.Path, "/dbconnections") {
					body = map[string]any{"name": "BadRequestError", "code": e.Code, "description": "some words", "statusCode": status}
				}
				if e.Code == "" {
					body = map[string]any{"statusCode": status, "error": http.StatusText(status), "message": "some words"}
				}
				if e.Code == "mfa_required" {
					body["mfa_token"] = "s-mfa_token"
					body["mfa_requirements"] = map[string]any{"challenge": []any{map[string]any{"type": "otp"}}, "enroll": []any{map[string]any{"type": "phone"}}, "challenge_types": []string{"oob"}}
				}
				data, err := json.Marshal(body)
				if err != nil {
					t.Fatal(err)
				}
				method := c.Auth[len(c.Auth)-1]
				a := newAPI(t, method, func(*http.Request, string) answer { return replyJSON(status, string(data)) })
				v, err := invoke[i](t.Context(), a)
				checkFailure(t, v, err, status, e.Code)
			})
		}
	}
	if documented != 282 {
		t.Errorf("%d documented failures, want the 282 of the list", documented)
	}
}

func checkFailure(t *testing.T, v any, err error, status int, code string) {
	t.Helper()
	refused, ok := errors.AsType[*authentication.Error](err)
	if !ok {
		t.Fatalf("error %v, value %v", err, v)
	}
	call, ok := errors.AsType[*auth0.Error](err)
	if !ok || call.Status != status || refused.Description != "some words" {
		t.Errorf("error %#v of %#v, description %q", refused, call, refused.Description)
	}
	if code != "" && authentication.CodeOf(err) != authentication.ErrorCode(code) {
		t.Errorf("code %q, want %q", authentication.CodeOf(err), code)
	}
	if code == "mfa_required" {
		r := refused.MFARequirements
		if refused.MFAToken != "s-mfa_token" || len(r.Challenge) != 1 || r.Challenge[0].Type != "otp" || len(r.Enroll) != 1 || r.Enroll[0].Type != "phone" || !slices.Equal(r.ChallengeTypes, []string{"oob"}) {
			t.Errorf("token and requirements %q %v", refused.MFAToken, r)
		}
	}
	if got := errors.Is(err, auth0.ErrRateLimited); got != (status == http.StatusTooManyRequests && code != "slow_down" && code != "too_many_attempts") {
		t.Errorf("rate limited: %v", got)
	}
	for _, shown := range []string{err.Error(), fmt.Sprintf("%v %+v %#v", err, err, err), fmt.Sprint(refused.LogValue())} {
		for _, secret := range []string{"s-mfa_token", "s-code", "s-password", "s-client_secret", "s-refresh_token", "s-otp"} {
			if strings.Contains(shown, secret) {
				t.Errorf("%q shows %s", shown, secret)
			}
		}
	}
}
