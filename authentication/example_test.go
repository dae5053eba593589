package authentication_test

import (
	"context"
	"crypto"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/headroom-go/auth0"
	"github.com/headroom-go/auth0/authentication"
)

// exampleTenant is a server that stands in for a tenant: it grants one code and
// one device, and signs ID tokens with a key that it publishes.
func exampleTenant(key crypto.Signer) *httptest.Server {
	var nonce, challenge, base string
	mux := http.NewServeMux()
	mux.HandleFunc("GET /authorize", func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		nonce, challenge = q.Get("nonce"), q.Get("code_challenge")
		http.Redirect(w, r, q.Get("redirect_uri")+"?code=the-code&state="+url.QueryEscape(q.Get("state")), http.StatusFound)
	})
	mux.HandleFunc("GET /.well-known/jwks.json", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k1", Use: "sig"}}})
	})
	mux.HandleFunc("POST /oauth/token", func(w http.ResponseWriter, r *http.Request) {
		sum := sha256.Sum256([]byte(r.FormValue("code_verifier")))
		switch {
		case r.FormValue("grant_type") == "client_credentials":
			say(w, `{"access_token":"for-the-api","token_type":"Bearer","expires_in":86400}`)
		case r.FormValue("grant_type") == "password":
			w.WriteHeader(http.StatusForbidden)
			say(w, `{"error":"mfa_required","error_description":"Multifactor authentication required","mfa_token":"m"}`)
		case r.FormValue("code") == "the-code" && base64.RawURLEncoding.EncodeToString(sum[:]) == challenge:
			now := time.Now().Unix()
			claims, _ := json.Marshal(map[string]any{"iss": base + "/", "sub": "auth0|1", "aud": "app", "nonce": nonce, "iat": now, "exp": now + 60, "name": "Ada"})
			signer, _ := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: key, KeyID: "k1"}}, nil)
			jws, _ := signer.Sign(claims)
			raw, _ := jws.CompactSerialize()
			_ = json.NewEncoder(w).Encode(map[string]any{"access_token": "at", "id_token": raw, "expires_in": 60, "token_type": "Bearer"})
		default:
			w.WriteHeader(http.StatusForbidden)
			say(w, `{"error":"invalid_grant","error_description":"Invalid authorization code"}`)
		}
	})
	s := httptest.NewServer(mux)
	base = s.URL
	return s
}

func say(w io.Writer, text string) { _, _ = io.WriteString(w, text) }

func ExampleOAuthService_ClientCredentials() {
	tenant := exampleTenant(exampleKey())
	defer tenant.Close()

	client, err := auth0.New(tenant.URL)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.CloseIdleConnections()
	api := authentication.New(client, authentication.ClientSecretPost("app", "secret"))
	tokens, err := api.OAuth.ClientCredentials(context.Background(), &authentication.ClientCredentials{Audience: "https://api.example.com"})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(tokens.TokenType, tokens.ExpiresIn, tokens)
	// Output: Bearer 86400 authentication.TokenSet[redacted]
}

// A web application logs a user in: it sends the browser to the tenant, gets a
// code when it comes back, exchanges that, and checks the ID token.
func ExampleOAuthService_FinishLogin() {
	tenant := exampleTenant(exampleKey())
	defer tenant.Close()

	ctx := context.Background()
	client, err := auth0.New(tenant.URL)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.CloseIdleConnections()
	api := authentication.New(client, authentication.ClientSecretBasic("app", "secret"))
	verifier, err := authentication.NewVerifier(client, authentication.VerifierOptions{ClientID: "app"})
	if err != nil {
		fmt.Println(err)
		return
	}

	// On the way out; login is kept in the user's session.
	login := authentication.NewLogin(authentication.Authorize{RedirectURI: "http://app.example/callback", Scope: "openid profile"})
	query := browse(api.OAuth.AuthorizeURL(&login.Authorize))

	// On the way back.
	tokens, err := api.OAuth.FinishLogin(ctx, login, query)
	if err != nil {
		fmt.Println(err)
		return
	}
	user, err := verifier.IDToken(ctx, tokens.IDToken, login.Expect(tokens))
	if err != nil {
		fmt.Println(err)
		return
	}
	var profile authentication.UserInfo
	if err := user.Decode(&profile); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(user.Subject, profile.Name)

	// The same browser, sent by somebody else's login.
	_, err = api.OAuth.FinishLogin(ctx, authentication.NewLogin(authentication.Authorize{}), query)
	fmt.Println(errors.Is(err, authentication.ErrState))
	// Output:
	// auth0|1 Ada
	// true
}

// browse is what a browser does: it returns the query of the page that the
// tenant sends it to.
func browse(page string) url.Values {
	once := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	defer once.CloseIdleConnections()
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, page, http.NoBody)
	if err != nil {
		return nil
	}
	resp, err := once.Do(req)
	if err != nil {
		return nil
	}
	defer func() { _ = resp.Body.Close() }()
	back, err := resp.Location()
	if err != nil {
		return nil
	}
	return back.Query()
}

func ExampleVerifier_IDToken() {
	tenant := exampleTenant(exampleKey())
	defer tenant.Close()

	client, err := auth0.New(tenant.URL)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.CloseIdleConnections()
	verifier, err := authentication.NewVerifier(client, authentication.VerifierOptions{ClientID: "app"})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = verifier.IDToken(context.Background(), "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhdXRoMHwxIn0.", authentication.Expect{})
	refused, _ := errors.AsType[*authentication.TokenError](err)
	fmt.Println(refused.Reason)
	fmt.Println(err)
	// Output:
	// algorithm
	// authentication: token refused: it is not signed (alg none)
}

func ExampleCodeOf() {
	tenant := exampleTenant(exampleKey())
	defer tenant.Close()

	client, err := auth0.New(tenant.URL)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.CloseIdleConnections()
	api := authentication.New(client, authentication.None("app"))
	_, err = api.OAuth.Password(context.Background(), &authentication.Password{Username: "ada", Password: "p"})
	switch refused, _ := errors.AsType[*authentication.Error](err); authentication.CodeOf(err) {
	case authentication.MFARequired:
		fmt.Println("ask for a second factor, and go on with the MFA token:", refused.MFAToken != "")
	case authentication.TooManyAttempts:
		fmt.Println("the user is locked out")
	default:
		fmt.Println(err)
	}
	// Output: ask for a second factor, and go on with the MFA token: true
}
