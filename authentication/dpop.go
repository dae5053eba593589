package authentication

import (
	"context"
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
	"log/slog"
	"net/http"
	"net/url"
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

// String returns a placeholder.
func (d *DPoP) String() string { return "authentication.DPoP[redacted]" }

// GoString is String.
func (d *DPoP) GoString() string { return d.String() }

// LogValue is String.
func (d *DPoP) LogValue() slog.Value { return slog.StringValue(d.String()) }

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

// attachment is what one call has the transport set.
type attachment struct {
	host          string
	authorization string // the whole value, "" for none
	dpop          *DPoP
	token         string // presented together with a proof
	wantsNonce    bool   // the server refused the last attempt for want of its nonce
}

type attachmentKey struct{}

// proven sends a call that proves something, and sends it again where the proof
// lacked the server's nonce: it has done nothing then.
func proven[T any](ctx context.Context, c *core, path, token string, send func(context.Context, *attachment) (T, error)) (T, error) {
	h := &attachment{host: c.secure.Domain(), token: token}
	switch path {
	case "/oauth/token", "/oauth/par", "/userinfo":
		h.dpop = c.dpop
	}
	ctx = context.WithValue(ctx, attachmentKey{}, h)
	v, err := send(ctx, h)
	if err != nil && h.dpop != nil && (h.wantsNonce || CodeOf(err) == UseDPoPNonce) {
		v, err = send(ctx, h)
	}
	return v, typed(err)
}

// attached is the base of a throttle that sets what an attachment says.
type attached struct{ base http.RoundTripper }

// RoundTrip sends req with what its context holds for it. What proves the
// application goes to the tenant's own host only.
func (a attached) RoundTrip(req *http.Request) (*http.Response, error) {
	h, ok := req.Context().Value(attachmentKey{}).(*attachment)
	if !ok || h.host != req.URL.Host {
		return a.transport().RoundTrip(req)
	}
	out := req.Clone(req.Context())
	if h.authorization != "" {
		out.Header.Set("Authorization", h.authorization)
	}
	if h.dpop != nil {
		if err := h.sign(out); err != nil {
			if req.Body != nil {
				_ = req.Body.Close()
			}
			return nil, err
		}
	}
	resp, err := a.transport().RoundTrip(out)
	if err == nil && h.dpop != nil {
		answer := *resp
		answer.Request = out
		h.wantsNonce = h.dpop.Remember(&answer)
	}
	return resp, err
}

func (h *attachment) sign(out *http.Request) error {
	if h.token != "" {
		return h.dpop.Sign(out, h.token)
	}
	proof, err := h.dpop.Proof(out.Method, out.URL, "")
	if err == nil {
		out.Header.Set("DPoP", proof)
	}
	return err
}

// CloseIdleConnections closes those of the base.
func (a attached) CloseIdleConnections() {
	if b, ok := a.transport().(interface{ CloseIdleConnections() }); ok {
		b.CloseIdleConnections()
	}
}

func (a attached) transport() http.RoundTripper {
	if a.base == nil {
		return http.DefaultTransport
	}
	return a.base
}

// newSigner returns a signer of JWTs of one type. embed puts the public key into
// their headers.
func newSigner(key auth0.PrivateKey, typ string, embed bool) (jose.Signer, error) {
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
