package authentication

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"net/url"
	"strings"
	"time"

	"github.com/headroom-go/auth0"
)

// Login is a login under way. It belongs in the user's session, on the server or
// in an encrypted cookie, until the browser comes back; as JSON, if need be.
type Login struct {
	redacted[Login]

	// Authorize are the parameters, with state, nonce and the public half of
	// PKCE filled in.
	Authorize Authorize `json:"authorize"`
	// CodeVerifier is the secret half of PKCE.
	CodeVerifier string `json:"code_verifier"`
}

// NewLogin begins a login: it makes a state, a nonce and a PKCE pair, each of
// 128 random bits or more, where p has none of its own.
func NewLogin(p Authorize) *Login {
	l := &Login{Authorize: p}
	if l.Authorize.State == "" {
		l.Authorize.State = rand.Text()
	}
	if l.Authorize.Nonce == "" {
		l.Authorize.Nonce = rand.Text()
	}
	if l.Authorize.CodeChallenge == "" {
		l.CodeVerifier = rand.Text() + rand.Text() // 52 characters; 43 to 128 are allowed
		sum := sha256.Sum256([]byte(l.CodeVerifier))
		l.Authorize.CodeChallenge = base64.RawURLEncoding.EncodeToString(sum[:])
		l.Authorize.CodeChallengeMethod = "S256"
	}
	return l
}

// What FinishLogin finds wrong with how a browser came back.
var (
	ErrState  = errors.New("authentication: the browser came back with another state than it was sent with")
	ErrIssuer = errors.New("authentication: the browser came back from another tenant")
	ErrNoCode = errors.New("authentication: the browser came back without a code")
)

// FinishLogin gets the tokens of a login when the browser has come back with
// query: the query of the redirect, or the form of a form_post. It fails with
// ErrState where the browser was not sent by this login, with ErrIssuer where
// it comes from another tenant, and with an *Error where the tenant refused.
// The ID token is yet to be verified; see Expect.
func (s OAuthService) FinishLogin(ctx context.Context, l *Login, query url.Values, opts ...auth0.RequestOption) (*TokenSet, error) {
	if l == nil || l.Authorize.State == "" || !single(query, "state", "code", "error", "iss") ||
		subtle.ConstantTimeCompare([]byte(query.Get("state")), []byte(l.Authorize.State)) != 1 {
		return nil, ErrState
	}
	if iss := query.Get("iss"); iss != "" && strings.TrimSuffix(iss, "/") != s.c().client.BaseURL() {
		return nil, ErrIssuer
	}
	if code, text := ErrorCode(query.Get("error")), query.Get("error_description"); code != "" {
		return nil, &Error{Code: code, Description: text, URI: query.Get("error_uri"), UserBlocked: blocked(code, text), State: l.Authorize.State}
	}
	if query.Get("code") == "" {
		return nil, ErrNoCode
	}
	return s.ExchangeCode(ctx, &CodeExchange{
		Code: query.Get("code"), CodeVerifier: l.CodeVerifier, RedirectURI: l.Authorize.RedirectURI,
	}, opts...)
}

// single reports whether no name has several values: which of them counts would
// be anybody's guess.
func single(q url.Values, names ...string) bool {
	for _, n := range names {
		if len(q[n]) > 1 {
			return false
		}
	}
	return true
}

// Expect returns what the ID token of the login has to say.
func (l *Login) Expect(t *TokenSet) Expect {
	e := Expect{Nonce: l.Authorize.Nonce, Organization: l.Authorize.Organization}
	if l.Authorize.MaxAge != nil {
		e.MaxAge = new(time.Duration(*l.Authorize.MaxAge) * time.Second)
	}
	if t != nil {
		e.AccessToken = t.AccessToken
	}
	return e
}
