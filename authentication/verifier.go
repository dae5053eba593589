package authentication

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"

	"github.com/headroom-go/auth0"
)

// Verifier checks tokens of one tenant, without asking the tenant: it keeps the
// tenant's keys, and fetches them again when a token names a new one, at most
// once a minute. It is safe for concurrent use and meant to live as long as the
// program.
type Verifier struct {
	o      VerifierOptions // without the secret
	secret hidden[string]
	algs   []string
	keys   *keyCache
}

// VerifierOptions say which tokens a Verifier accepts.
type VerifierOptions struct {
	redacted[VerifierOptions]

	// ClientID is the application that ID tokens have to be for; the client's
	// own where empty.
	ClientID string
	// Audience is the API that access tokens have to be for.
	Audience string
	// Issuer is https://DOMAIN/ of the client where empty. It ends with a slash.
	Issuer string
	// Algorithms are RS256 and PS256 where empty. Others are RS384, RS512, PS384,
	// PS512, ES256, ES384, ES512 and EdDSA.
	Algorithms []string
	// ClientSecret is for applications whose ID tokens are signed with their
	// secret (HS256). No other tokens are accepted then.
	ClientSecret string
	// Leeway is how far the clocks of tenant and program may differ: a minute
	// where 0, nothing where negative.
	Leeway time.Duration
}

// NewVerifier returns a Verifier of the tenant of c, through which it fetches
// keys. Nothing is fetched before the first token.
func NewVerifier(c *auth0.Client, o VerifierOptions) (*Verifier, error) {
	if o.ClientID == "" {
		o.ClientID = c.ClientID()
	}
	if o.Issuer == "" {
		o.Issuer = c.BaseURL() + "/"
	}
	switch {
	case o.Leeway == 0:
		o.Leeway = time.Minute
	case o.Leeway < 0:
		o.Leeway = 0
	}
	v := &Verifier{o: o, secret: hide(o.ClientSecret), keys: &keyCache{c: hide(c)}}
	v.o.ClientSecret = ""
	switch {
	case !strings.Contains(o.Issuer, "://") || !strings.HasSuffix(o.Issuer, "/"):
		return nil, errors.New("authentication: Issuer has to be as tokens name it, https://DOMAIN/ with the slash at its end; leave it out for the client's domain")
	case o.ClientSecret != "" && len(o.Algorithms) > 0 && !slices.Equal(o.Algorithms, []string{"HS256"}):
		return nil, errors.New("authentication: tokens are signed with the client's secret or with the tenant's keys, never with either; leave ClientSecret or Algorithms out")
	case o.ClientSecret != "":
		v.algs = []string{"HS256"}
	case len(o.Algorithms) == 0:
		v.algs = []string{"RS256", "PS256"}
	default:
		for _, alg := range o.Algorithms {
			if !slices.Contains([]string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}, alg) {
				return nil, fmt.Errorf("authentication: algorithm %q is not one of public keys; give ClientSecret for HS256", alg)
			}
		}
		v.algs = slices.Clone(o.Algorithms)
	}
	return v, nil
}

// Expect is what an ID token has to say, beside being the tenant's, for the
// application and in force. Login.Expect fills it.
type Expect struct {
	redacted[Expect]

	// Nonce is that of the login. A token with a nonce where none is expected is
	// refused, unless AnyNonce is set, as it has to be for ID tokens of a refresh.
	Nonce    string
	AnyNonce bool
	// MaxAge is how long ago the user may have logged in, nil for any time.
	MaxAge *time.Duration
	// Organization is an id (org_...) or a name.
	Organization string
	// AccessToken and Code are checked against at_hash and c_hash where the
	// token has them.
	AccessToken string
	Code        string
}

// IDToken is what a checked ID token says.
type IDToken struct {
	Issuer   string
	Subject  string
	Audience []string
	// AuthorizedParty is azp, "" where absent.
	AuthorizedParty string
	Nonce           string
	// SessionID is sid; a LogoutToken names it.
	SessionID        string
	OrganizationID   string
	OrganizationName string
	IssuedAt         time.Time
	Expiry           time.Time
	// AuthTime is when the user logged in, zero where the token does not say.
	AuthTime time.Time
	// Claims are all claims, those of the fields above included.
	Claims map[string]json.RawMessage

	payload []byte
}

// Decode reads the claims into a struct: of one's own, or a UserInfo.
func (t *IDToken) Decode(into any) error { return json.Unmarshal(t.payload, into) }

// IDToken checks an ID token and returns what it says. A token that is refused
// is a *TokenError; other errors are those of fetching the tenant's keys.
func (v *Verifier) IDToken(ctx context.Context, raw string, e Expect) (*IDToken, error) {
	if v.o.ClientID == "" {
		return nil, errors.New("authentication: the verifier has no client id; give NewVerifier a ClientID")
	}
	if raw == "" {
		return nil, refuse(ReasonMalformed, "it is empty; a login gets an ID token with the scope openid")
	}
	t, err := v.signed(ctx, raw, "JWT")
	if err != nil {
		return nil, err
	}
	var c common
	if err := v.common(t, v.o.ClientID, &c); err != nil {
		return nil, err
	}
	if _, err := t.needText("sub"); err != nil {
		return nil, err
	}
	out := &IDToken{
		Issuer: c.issuer, Subject: c.subject, Audience: c.audience, AuthorizedParty: c.azp,
		IssuedAt: c.issued, Expiry: c.expiry, Claims: t.claims, payload: t.payload,
		OrganizationID: c.orgID, OrganizationName: c.orgName,
	}
	switch {
	case c.azp != "" && c.azp != v.o.ClientID:
		return nil, refuse(ReasonAuthorizedParty, "it was issued to another application")
	case c.azp == "" && len(c.audience) > 1:
		return nil, refuse(ReasonAuthorizedParty, "it has several audiences and does not say to which of them it was issued")
	}
	if out.SessionID, err = t.text("sid"); err != nil {
		return nil, err
	}
	if out.Nonce, err = v.nonce(t, e); err != nil {
		return nil, err
	}
	if out.AuthTime, err = v.authTime(t, e); err != nil {
		return nil, err
	}
	if err := c.organization(e.Organization); err != nil {
		return nil, err
	}
	return accepted(out, t.hash("at_hash", e.AccessToken), t.hash("c_hash", e.Code), t.odd)
}

// accepted returns a token to which there is no objection.
func accepted[T any](token *T, objections ...error) (*T, error) {
	for _, err := range objections {
		if err != nil {
			return nil, err
		}
	}
	return token, nil
}

func (v *Verifier) nonce(t *jwt, e Expect) (string, error) {
	nonce, err := t.text("nonce")
	switch {
	case err != nil:
		return "", err
	case e.Nonce == "" && nonce != "" && !e.AnyNonce:
		return "", refuse(ReasonNonce, "it has a nonce and none was asked for")
	case e.Nonce != "" && nonce == "":
		return "", refuse(ReasonNonce, "it has no nonce")
	case e.Nonce != "" && subtle.ConstantTimeCompare([]byte(nonce), []byte(e.Nonce)) != 1:
		return "", refuse(ReasonNonce, "it has the nonce of another login")
	}
	return nonce, nil
}

func (v *Verifier) authTime(t *jwt, e Expect) (time.Time, error) {
	at, err := t.moment("auth_time")
	now := time.Now()
	switch {
	case err != nil:
		return at, err
	case at.After(now.Add(v.o.Leeway)):
		return at, refuse(ReasonNotYetValid, "auth_time lies in the future")
	case e.MaxAge != nil && at.IsZero():
		return at, refuse(ReasonMaxAge, "it does not say when the user logged in")
	case e.MaxAge != nil && now.After(at.Add(*e.MaxAge+v.o.Leeway)):
		return at, refuse(ReasonMaxAge, "the user logged in too long ago")
	}
	return at, nil
}

// hash checks a claim that holds the hash of s.
func (t *jwt) hash(name, s string) error {
	want, err := t.text(name)
	if err != nil || s == "" || t.claims[name] == nil {
		return err
	}
	if subtle.ConstantTimeCompare([]byte(want), []byte(halfHash(t.alg, s))) != 1 {
		return refuse(ReasonHash, name+" is of another value")
	}
	return nil
}

// ExpectAccess is what an access token has to say, beside being the tenant's,
// for the API and in force.
type ExpectAccess struct {
	// Scopes have all to be granted.
	Scopes []string
	// Organization is an id (org_...) or a name.
	Organization string
	// DPoPThumbprint is that of the key whose proof came with the token, and
	// CertificateThumbprint the base64url SHA-256 of the certificate of its
	// connection. A token that is bound to a key or a certificate is refused
	// without.
	DPoPThumbprint        string
	CertificateThumbprint string
}

// AccessToken is what a checked access token says.
type AccessToken struct {
	Issuer   string
	Subject  string
	Audience []string
	// ClientID is the application that the token was issued to.
	ClientID         string
	Scopes           []string
	Permissions      []string
	OrganizationID   string
	OrganizationName string
	IssuedAt         time.Time
	Expiry           time.Time
	// Claims are all claims, those of the fields above included.
	Claims map[string]json.RawMessage

	payload []byte
}

// Decode reads the claims into a struct of one's own.
func (t *AccessToken) Decode(into any) error { return json.Unmarshal(t.payload, into) }

// AccessToken checks an access token that is a JWT, as those for one's own APIs
// are. A token that is refused is a *TokenError; other errors are those of
// fetching the tenant's keys. Whoever accepts bound tokens has to check the
// proof or the certificate as well.
func (v *Verifier) AccessToken(ctx context.Context, raw string, e ExpectAccess) (*AccessToken, error) {
	if v.o.Audience == "" {
		return nil, errors.New("authentication: the verifier has no audience; give NewVerifier an Audience")
	}
	t, err := v.signed(ctx, raw, "JWT", "at+jwt", "application/at+jwt")
	if err != nil {
		return nil, err
	}
	var c common
	if err := v.common(t, v.o.Audience, &c); err != nil {
		return nil, err
	}
	if _, err := t.needText("sub"); err != nil {
		return nil, err
	}
	out := &AccessToken{
		Issuer: c.issuer, Subject: c.subject, Audience: c.audience, ClientID: c.azp, IssuedAt: c.issued, Expiry: c.expiry,
		OrganizationID: c.orgID, OrganizationName: c.orgName, Claims: t.claims, payload: t.payload,
	}
	if out.ClientID == "" {
		if out.ClientID, err = t.text("client_id"); err != nil {
			return nil, err
		}
	}
	scope, err := t.text("scope")
	if err != nil {
		return nil, err
	}
	out.Scopes = strings.Fields(scope)
	if p, ok := t.claims["permissions"]; ok && json.Unmarshal(p, &out.Permissions) != nil {
		return nil, refuse(ReasonClaim, "permissions is not an array of strings")
	}
	for _, s := range e.Scopes {
		if !slices.Contains(out.Scopes, s) && !slices.Contains(out.Permissions, s) {
			return nil, refuse(ReasonScope, "a scope that is needed was not granted")
		}
	}
	if err := c.organization(e.Organization); err != nil {
		return nil, err
	}
	return accepted(out, t.bound(e), t.odd)
}

// bound checks the key or certificate that a token is bound to.
func (t *jwt) bound(e ExpectAccess) error {
	var cnf struct {
		Key         string `json:"jkt"`
		Certificate string `json:"x5t#S256"`
	}
	raw, is := t.claims["cnf"]
	if is && json.Unmarshal(raw, &cnf) != nil {
		return refuse(ReasonClaim, "cnf is not an object of strings")
	}
	same := func(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
	switch {
	case is && cnf.Key == "" && cnf.Certificate == "":
		return refuse(ReasonBinding, "it is bound in a way that cannot be checked")
	case !same(cnf.Key, e.DPoPThumbprint):
		return refuse(ReasonBinding, "it is bound to another DPoP key than that of the request, or to none")
	case cnf.Certificate != "" && !same(cnf.Certificate, e.CertificateThumbprint):
		return refuse(ReasonBinding, "it is bound to another certificate than that of the connection")
	}
	return nil
}

// common is what both kinds of tokens say.
type common struct {
	issuer, subject, azp, orgID, orgName string
	audience                             []string
	issued, expiry                       time.Time
}

// common checks issuer, audience and times, and reads what is there.
func (v *Verifier) common(t *jwt, audience string, c *common) error {
	var err error
	if c.issuer, err = t.needText("iss"); err != nil {
		return err
	}
	if c.issuer != v.o.Issuer {
		return refuse(ReasonIssuer, "it is of another issuer")
	}
	if c.subject, err = t.text("sub"); err != nil {
		return err
	}
	if c.audience, err = t.audience(); err != nil {
		return err
	}
	if !slices.Contains(c.audience, audience) {
		return refuse(ReasonAudience, "it is for another audience")
	}
	for name, into := range map[string]*string{"azp": &c.azp, "org_id": &c.orgID, "org_name": &c.orgName} {
		if *into, err = t.text(name); err != nil {
			return err
		}
	}
	if c.expiry, err = t.needMoment("exp"); err != nil {
		return err
	}
	if c.issued, err = t.needMoment("iat"); err != nil {
		return err
	}
	notBefore, err := t.moment("nbf")
	if err != nil {
		return err
	}
	switch now := time.Now(); {
	case !now.Before(c.expiry.Add(v.o.Leeway)):
		return refuse(ReasonExpired, "it has expired")
	case c.issued.After(now.Add(v.o.Leeway)):
		return refuse(ReasonNotYetValid, "it was issued in the future")
	case notBefore.After(now.Add(v.o.Leeway)):
		return refuse(ReasonNotYetValid, "it is not valid yet")
	case c.expiry.Before(c.issued):
		return refuse(ReasonClaim, "it ends before it was issued")
	}
	return nil
}

// organization checks the organization. Names are compared in lower case, in
// which Auth0 keeps them.
func (c *common) organization(want string) error {
	switch {
	case want == "":
		return nil
	case strings.HasPrefix(want, "org_"):
		if c.orgID == "" {
			return refuse(ReasonOrganization, "it names no organization")
		}
		if c.orgID != want {
			return refuse(ReasonOrganization, "it is of another organization")
		}
	case c.orgName == "":
		return refuse(ReasonOrganization, "it does not name its organization")
	case c.orgName != strings.ToLower(want):
		return refuse(ReasonOrganization, "it is of an organization of another name")
	}
	return nil
}

// signed parses a token and checks its type and signature.
func (v *Verifier) signed(ctx context.Context, raw string, types ...string) (*jwt, error) {
	t, err := parseJWT(raw)
	if err != nil {
		return nil, err
	}
	if t.typ != "" && !slices.ContainsFunc(types, func(s string) bool { return strings.EqualFold(s, t.typ) }) {
		return nil, refuse(ReasonType, "its header says that it is a token of another kind")
	}
	if !slices.Contains(v.algs, t.alg) {
		return nil, refuse(ReasonAlgorithm, "its algorithm is not one that is accepted")
	}
	set := &keySet{v: v, t: t}
	// Everything but algorithm and signature is checked by the caller, with
	// reasons of its own.
	checker := oidc.NewVerifier(v.o.Issuer, set, &oidc.Config{
		SupportedSigningAlgs: v.algs, SkipClientIDCheck: true, SkipExpiryCheck: true, SkipIssuerCheck: true,
	})
	if _, err := checker.Verify(ctx, raw); err != nil {
		switch {
		case set.err != nil:
			return nil, set.err
		case !set.verified:
			return nil, refuse(ReasonMalformed, "it is not a JWT in compact form")
		}
		t.odd = refuse(ReasonClaim, "its claims have values of unexpected types")
	}
	return t, nil
}

// keySet finds the key of one token.
type keySet struct {
	v        *Verifier
	t        *jwt
	verified bool
	err      error // go-oidc flattens errors to text
}

// VerifySignature returns the payload when the signature is the tenant's.
func (s *keySet) VerifySignature(ctx context.Context, raw string) ([]byte, error) {
	payload, err := s.verify(ctx, raw)
	s.err, s.verified = err, err == nil
	return payload, err
}

func (s *keySet) verify(ctx context.Context, raw string) ([]byte, error) {
	jws, err := jose.ParseSignedCompact(raw, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(s.t.alg)})
	if err != nil {
		return nil, refuse(ReasonMalformed, "it is not a JWT in compact form")
	}
	if secret := s.v.secret(); secret != "" {
		return checked(jws.Verify([]byte(secret)))
	}
	key, err := s.v.keys.find(ctx, s.t.kid)
	if err != nil {
		return nil, err
	}
	if key.Algorithm != "" && key.Algorithm != s.t.alg {
		return nil, refuse(ReasonAlgorithm, "its key is for another algorithm")
	}
	return checked(jws.Verify(key.Key))
}

func checked(payload []byte, err error) ([]byte, error) {
	if err != nil {
		return nil, refuse(ReasonSignature, "its signature is wrong")
	}
	return payload, nil
}
