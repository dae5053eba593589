package authentication

import (
	"crypto/rand"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/headroom-go/auth0"
)

// Option says how an application proves itself. See New.
type Option func(*core)

// clientAuth is how the application proves itself to the token endpoint.
type clientAuth struct {
	own    bool // in place of the client's credentials
	id     string
	secret string
	basic  bool
	key    *auth0.PrivateKey
}

// None is for public applications, which have no secret: single pages, mobile
// and desktop programs. They send their client id alone.
func None(clientID string) Option {
	return func(c *core) {
		c.auth = clientAuth{own: true, id: clientID}
		c.check(clientID != "", "None needs a client id")
	}
}

// ClientSecretPost sends the secret in the body.
func ClientSecretPost(clientID, secret string) Option {
	return func(c *core) {
		c.auth = clientAuth{own: true, id: clientID, secret: secret}
		c.check(clientID != "" && secret != "", "ClientSecretPost needs a client id and a secret")
	}
}

// ClientSecretBasic sends the secret in the Authorization header, to the
// endpoints that take it there; others get it in the body.
func ClientSecretBasic(clientID, secret string) Option {
	return func(c *core) {
		c.auth = clientAuth{own: true, id: clientID, secret: secret, basic: true}
		c.check(clientID != "" && secret != "", "ClientSecretBasic needs a client id and a secret")
	}
}

// PrivateKeyJWT signs a new assertion for each attempt of a call. The key may be of
// the RSA (RS, PS), ECDSA or Ed25519 families and live in an HSM or a key service.
func PrivateKeyJWT(key auth0.PrivateKey) Option {
	return func(c *core) {
		c.auth = clientAuth{own: true, id: key.ClientID, key: &key}
		c.check(key.ClientID != "" && key.Signer != nil, "PrivateKeyJWT needs a client id and a signer")
	}
}

// MTLS is for applications that prove themselves with the certificate of their
// TLS connection: give auth0.New an http.Client that has it. Where the tenant
// publishes mtls_endpoint_aliases, aliases is a client of their host, and the
// calls that prove the application go there; nil sends them where all others
// go. The tenant counts both hosts together: give the two clients one limiter,
// with auth0.WithLimiter.
func MTLS(clientID string, aliases *auth0.Client) Option {
	return func(c *core) {
		c.auth = clientAuth{own: true, id: clientID}
		if aliases != nil {
			c.secure = aliases
		}
		c.check(clientID != "", "MTLS needs a client id")
	}
}

func (c *core) check(ok bool, problem string) {
	if !ok && c.err == nil {
		c.err = errors.New("authentication: " + problem)
	}
}

// methods are the ways of proving the application that a call knows.
type methods uint8

const (
	anyMethod  methods = iota // all
	noBasic                   // all but HTTP basic
	secretOnly                // the secret in the body, or none
	idOnly                    // none: the client id goes with the call
	idIfKnown                 // none: the client id goes with the call where there is one
)

// prove puts what proves the application into form, or returns the option that
// puts it into the header. Each attempt gets an assertion of its own.
func (c *core) prove(form url.Values, m methods) ([]auth0.RequestOption, error) {
	if c.err == nil && m == idIfKnown && c.clientID() == "" {
		return nil, nil
	}
	id, err := c.needID()
	switch {
	case err != nil:
		return nil, err
	case m == idOnly || m == idIfKnown:
		form.Set("client_id", id)
		return nil, nil
	case !c.auth.own:
		if err := c.client.AddClientAuth(form); err != nil {
			return nil, err
		}
		if m == secretOnly {
			form.Del("client_assertion")
			form.Del("client_assertion_type")
		}
		return []auth0.RequestOption{auth0.RenewAssertion(form, c.client.AddClientAuth)}, nil
	case c.auth.basic && m == anyMethod:
		return []auth0.RequestOption{auth0.Prepare(func(r *http.Request) error {
			r.SetBasicAuth(url.QueryEscape(id), url.QueryEscape(c.auth.secret))
			return nil
		})}, nil
	}
	form.Set("client_id", id)
	if c.auth.secret != "" {
		form.Set("client_secret", c.auth.secret)
	}
	if c.auth.key == nil || m == secretOnly {
		return nil, nil
	}
	if err := c.assert(form); err != nil {
		return nil, err
	}
	return []auth0.RequestOption{auth0.RenewAssertion(form, c.assert)}, nil
}

// assert puts a new assertion into form.
func (c *core) assert(form url.Values) error {
	assertion, err := signJWT(*c.auth.key, "JWT", false, c.assertionClaims(time.Now()))
	form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
	form.Set("client_assertion", assertion)
	return err
}

// clientID is the id of the application, "" when there is none.
func (c *core) clientID() string {
	if c.auth.own {
		return c.auth.id
	}
	return c.client.ClientID()
}

// needID returns the client id for what cannot do without.
func (c *core) needID() (string, error) {
	id := c.clientID()
	switch {
	case c.err != nil:
		return "", c.err
	case id == "":
		return "", errors.New("authentication: there is no client id; give New an option such as ClientSecretPost or None")
	}
	return id, nil
}

// assertionLife is how long an assertion holds: long enough for one attempt, short
// enough to be of little use to a thief.
const assertionLife = 2 * time.Minute

func (c *core) assertionClaims(now time.Time) map[string]any {
	return map[string]any{
		"iss": c.auth.id, "sub": c.auth.id, "aud": c.audience(),
		"iat": now.Unix(), "exp": now.Add(assertionLife).Unix(), "jti": rand.Text(),
	}
}
