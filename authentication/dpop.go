package authentication

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/cryptosigner"

	"github.com/headroom-go/auth0"
)

// DPoP is a key to which tokens are bound (RFC 9449): whoever presents such a
// token has to prove that they hold the key. It remembers the nonces that
// servers ask proofs to contain and is safe for concurrent use.
type DPoP struct {
	redacted[DPoP]

	key hidden[auth0.PrivateKey]

	mu     sync.Mutex
	nonces map[string]string // by origin
}

// NewDPoP returns a DPoP key. The algorithm may be left empty for the usual one
// of the key; Auth0 takes ES256 where its discovery document names no other.
func NewDPoP(signer crypto.Signer, algorithm string) (*DPoP, error) {
	if signer == nil {
		return nil, errors.New("authentication: NewDPoP needs a signer")
	}
	key := auth0.PrivateKey{Signer: signer, Algorithm: algorithm}
	if _, err := newSigner(key, "dpop+jwt", true); err != nil {
		return nil, err
	}
	return &DPoP{key: hide(key), nonces: map[string]string{}}, nil
}

// Thumbprint names the key (RFC 7638), as Authorize.DPoPThumbprint and the cnf
// claim of bound tokens do.
func (d *DPoP) Thumbprint() (string, error) {
	sum, err := (&jose.JSONWebKey{Key: d.key().Signer.Public()}).Thumbprint(crypto.SHA256)
	return base64.RawURLEncoding.EncodeToString(sum), err
}

// Proof returns the value of the DPoP header of one request. accessToken is the
// token that the request presents, "" for requests that ask for one.
func (d *DPoP) Proof(method string, u *url.URL, accessToken string) (string, error) {
	claims := map[string]any{
		"jti": rand.Text(), "htm": method, "iat": time.Now().Unix(),
		"htu": (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}).String(),
	}
	if accessToken != "" {
		sum := sha256.Sum256([]byte(accessToken))
		claims["ath"] = base64.RawURLEncoding.EncodeToString(sum[:])
	}
	if nonce := d.nonce(u); nonce != "" {
		claims["nonce"] = nonce
	}
	return signJWT(d.key(), "dpop+jwt", true, claims)
}

// Sign has req present a token that is bound to the key, with a fresh proof.
// It serves calls to one's own API.
func (d *DPoP) Sign(req *http.Request, accessToken string) error {
	proof, err := d.Proof(req.Method, req.URL, accessToken)
	if err != nil {
		return err
	}
	req.Header.Set("DPoP", proof)
	req.Header.Set("Authorization", "DPoP "+accessToken)
	return nil
}

// Remember keeps the nonce of an answer for later proofs. It reports whether the
// server refused the request for want of it: signed again, the request may
// pass.
func (d *DPoP) Remember(resp *http.Response) bool {
	nonce := resp.Header.Get("DPoP-Nonce")
	if nonce == "" || resp.Request == nil {
		return false
	}
	d.mu.Lock()
	d.nonces[origin(resp.Request.URL)] = nonce
	d.mu.Unlock()
	for _, challenge := range resp.Header.Values("WWW-Authenticate") {
		if resp.StatusCode == http.StatusUnauthorized && strings.Contains(challenge, "use_dpop_nonce") {
			return true
		}
	}
	return false
}

func (d *DPoP) nonce(u *url.URL) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.nonces[origin(u)]
}

func origin(u *url.URL) string { return u.Scheme + "://" + strings.ToLower(u.Host) }

// DPoPBound has the tenant bind its tokens to a key: every call that asks for
// tokens, and those that present them, carry a proof. Where the tenant asks for
// a nonce, the call is made once more with it.
func DPoPBound(d *DPoP) Option {
	return func(c *core) {
		c.dpop = d
		c.check(d != nil, "DPoPBound needs a key")
	}
}

// bound sends a call, with a proof of its own for each attempt where tokens are
// bound to a key: made when the throttle has let the attempt pass, so that none
// grows old while it waits. token is what the call presents, "" for none. A call
// whose proof lacked the server's nonce has done nothing and is sent once more.
func bound[T any](c *core, path, token string, opts []auth0.RequestOption, send func([]auth0.RequestOption) (T, error)) (T, error) {
	d := c.dpop
	switch path {
	case "/oauth/token", "/oauth/par", "/userinfo":
	default:
		d = nil
	}
	if d == nil {
		v, err := send(opts)
		return v, typed(err)
	}
	var meta auth0.Meta
	var answer http.Response
	opts = slices.Concat([]auth0.RequestOption{auth0.Capture(&meta), auth0.Prepare(func(r *http.Request) error {
		answer.Request = r
		return d.prove(r, token)
	})}, opts)
	v, err := send(opts)
	answer.StatusCode, answer.Header = meta.Status, meta.Header
	if d.Remember(&answer) || CodeOf(err) == UseDPoPNonce {
		v, err = send(opts)
		answer.StatusCode, answer.Header = meta.Status, meta.Header
		d.Remember(&answer)
	}
	return v, typed(err)
}

// prove puts a proof into the header of a request that presents a token, or
// that asks for one.
func (d *DPoP) prove(r *http.Request, token string) error {
	if token != "" {
		return d.Sign(r, token)
	}
	proof, err := d.Proof(r.Method, r.URL, "")
	if err == nil {
		r.Header.Set("DPoP", proof)
	}
	return err
}

// newSigner returns a signer of JWTs of one type. embed puts the public key into
// their headers.
func newSigner(key auth0.PrivateKey, typ string, embed bool) (jose.Signer, error) {
	if key.Signer == nil {
		return nil, errors.New("authentication: there is no key to sign with; set Signer of the PrivateKey")
	}
	alg := key.Algorithm
	if alg == "" {
		var err error
		if alg, err = usualAlgorithm(key.Signer.Public()); err != nil {
			return nil, err
		}
	}
	if k, ok := key.Signer.Public().(*rsa.PublicKey); ok && k.N.BitLen() < 2048 {
		return nil, errors.New("authentication: an RSA key to sign with needs at least 2048 bits")
	}
	opts := (&jose.SignerOptions{EmbedJWK: embed}).WithType(jose.ContentType(typ))
	if key.KeyID != "" && !embed {
		opts = opts.WithHeader("kid", key.KeyID)
	}
	s, err := jose.NewSigner(jose.SigningKey{
		Algorithm: jose.SignatureAlgorithm(alg), Key: cryptosigner.Opaque(saltSigner{key.Signer}),
	}, opts)
	if err != nil {
		return nil, fmt.Errorf("authentication: algorithm %s does not fit the key: %w", alg, err)
	}
	return s, nil
}

// signJWT returns claims as a signed JWT.
func signJWT(key auth0.PrivateKey, typ string, embed bool, claims any) (string, error) {
	signer, err := newSigner(key, typ, embed)
	if err != nil {
		return "", err
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	jws, err := signer.Sign(payload)
	if err != nil {
		return "", fmt.Errorf("authentication: signing: %w", err)
	}
	return jws.CompactSerialize()
}

func usualAlgorithm(public crypto.PublicKey) (string, error) {
	switch k := public.(type) {
	case *rsa.PublicKey:
		return "RS256", nil
	case ed25519.PublicKey:
		return "EdDSA", nil
	case *ecdsa.PublicKey:
		switch k.Curve.Params().BitSize {
		case 256:
			return "ES256", nil
		case 384:
			return "ES384", nil
		case 521:
			return "ES512", nil
		}
	}
	return "", fmt.Errorf("authentication: keys of type %T cannot sign; use RSA, ECDSA on P-256, P-384 or P-521, or Ed25519", public)
}

// saltSigner gives PSS signatures the salt that JWTs want, of the length of the
// hash, where the library would take the longest that fits.
type saltSigner struct{ crypto.Signer }

// Sign signs with the key.
func (s saltSigner) Sign(r io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if pss, ok := opts.(*rsa.PSSOptions); ok {
		opts = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: pss.Hash}
	}
	return s.Signer.Sign(r, digest, opts)
}
