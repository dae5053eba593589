package auth0

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha256" // for crypto.SHA256 and its kin
	_ "crypto/sha512"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"net/url"
	"time"

	"github.com/headroom-go/auth0/ratelimit"
)

// credentials are how the client's application proves itself.
type credentials struct {
	clientID string
	secret   string
	key      *PrivateKey
}

// String keeps the secret out of whatever prints a client.
func (c credentials) String() string { return "credentials of " + c.clientID }

// GoString is String.
func (c credentials) GoString() string { return c.String() }

// String returns the client id; the key is not shown.
func (k PrivateKey) String() string { return "auth0.PrivateKey of " + k.ClientID }

// GoString is String.
func (k PrivateKey) GoString() string { return k.String() }

// Format writes String, whatever the verb.
func (k PrivateKey) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, k.String()) }

// LogValue is String.
func (k PrivateKey) LogValue() slog.Value { return slog.StringValue(k.String()) }

// apply puts the proof into the form of a request to an endpoint that
// authenticates clients.
func (c credentials) apply(form url.Values, audience string, now time.Time) error {
	form.Set("client_id", c.clientID)
	if c.key == nil {
		form.Set("client_secret", c.secret)
		return nil
	}
	assertion, err := c.key.assertion(audience, now)
	if err != nil {
		return err
	}
	form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
	form.Set("client_assertion", assertion)
	return nil
}

// signing is what an algorithm name stands for.
type signing struct {
	hash  crypto.Hash
	pss   bool
	curve int // bits of the curve's order for ECDSA
}

func signingOf(alg string) (signing, bool) {
	switch alg {
	case "RS256":
		return signing{hash: crypto.SHA256}, true
	case "RS384":
		return signing{hash: crypto.SHA384}, true
	case "RS512":
		return signing{hash: crypto.SHA512}, true
	case "PS256":
		return signing{hash: crypto.SHA256, pss: true}, true
	case "PS384":
		return signing{hash: crypto.SHA384, pss: true}, true
	case "PS512":
		return signing{hash: crypto.SHA512, pss: true}, true
	case "ES256":
		return signing{hash: crypto.SHA256, curve: 256}, true
	case "ES384":
		return signing{hash: crypto.SHA384, curve: 384}, true
	case "ES512":
		return signing{hash: crypto.SHA512, curve: 521}, true
	case "EdDSA":
		return signing{}, true
	}
	return signing{}, false
}

// algorithm returns the algorithm to sign with, checked against the key.
func (k *PrivateKey) algorithm() (string, signing, error) {
	alg, usual, family := k.Algorithm, "", ""
	curve := 0
	switch pub := k.Signer.Public().(type) {
	case *rsa.PublicKey:
		usual, family = "RS256", "RSA"
		if pub.N.BitLen() < 2048 {
			return "", signing{}, errors.New("auth0: an RSA key to sign assertions with needs at least 2048 bits")
		}
	case *ecdsa.PublicKey:
		family = "EC"
		curve = pub.Curve.Params().BitSize
		switch curve {
		case 256:
			usual = "ES256"
		case 384:
			usual = "ES384"
		case 521:
			usual = "ES512"
		}
	case ed25519.PublicKey:
		usual, family = "EdDSA", "OKP"
	}
	if usual == "" {
		return "", signing{}, fmt.Errorf("auth0: keys of type %T cannot sign assertions; use RSA, ECDSA on P-256, P-384 or P-521, or Ed25519", k.Signer.Public())
	}
	if alg == "" {
		alg = usual
	}
	s, ok := signingOf(alg)
	if !ok {
		return "", signing{}, fmt.Errorf("auth0: unknown algorithm %q; leave it empty for %s", alg, usual)
	}
	fits := family == "RSA" && s.curve == 0 && s.hash != 0 || family == "EC" && s.curve == curve || family == "OKP" && alg == "EdDSA"
	if !fits {
		return "", signing{}, fmt.Errorf("auth0: algorithm %s does not fit the key; leave it empty for %s", alg, usual)
	}
	return alg, s, nil
}

func (k *PrivateKey) check() error {
	if k.ClientID == "" || k.Signer == nil {
		return errors.New("auth0: WithPrivateKey needs a client id and a signer")
	}
	_, _, err := k.algorithm()
	return err
}

// assertionLife is how long an assertion holds. It is used at once, or renewed,
// and short lives limit the harm of a leaked one.
const assertionLife = 2 * time.Minute

// assertion returns a signed JWT that proves the application to audience.
func (k *PrivateKey) assertion(audience string, now time.Time) (string, error) {
	alg, s, err := k.algorithm()
	if err != nil {
		return "", err
	}
	var id [16]byte
	if _, err := rand.Read(id[:]); err != nil {
		return "", err
	}
	header, err := json.Marshal(struct {
		Algorithm string `json:"alg"`
		Type      string `json:"typ"`
		KeyID     string `json:"kid,omitempty"`
	}{alg, "JWT", k.KeyID})
	if err != nil {
		return "", err
	}
	claims, err := json.Marshal(struct {
		Issuer   string `json:"iss"`
		Subject  string `json:"sub"`
		Audience string `json:"aud"`
		IssuedAt int64  `json:"iat"`
		Expires  int64  `json:"exp"`
		ID       string `json:"jti"`
	}{k.ClientID, k.ClientID, audience, now.Unix(), now.Add(assertionLife).Unix(), hex.EncodeToString(id[:])})
	if err != nil {
		return "", err
	}
	enc := base64.RawURLEncoding
	text := enc.EncodeToString(header) + "." + enc.EncodeToString(claims)
	signature, err := k.sign([]byte(text), s)
	if err != nil {
		return "", fmt.Errorf("auth0: signing the client assertion: %w", err)
	}
	return text + "." + enc.EncodeToString(signature), nil
}

// RenewAssertion gives each attempt of a call a client assertion of its own where
// the body has one, as the form has to which AddClientAuth added it: tenants take
// an assertion for two minutes and once, while an attempt may wait for the throttle
// or follow another. add is what added the first, which serves the first attempt
// unless that has waited for half a minute. The option serves one call, unlike
// others.
//
//	form := url.Values{"token": {token}}
//	err := client.AddClientAuth(form)
//	opts := []auth0.RequestOption{auth0.RenewAssertion(form, client.AddClientAuth)}
func RenewAssertion(form url.Values, add func(url.Values) error) RequestOption {
	first := form.Get("client_assertion")
	if first == "" || add == nil {
		return nil
	}
	made, used := time.Now(), false
	return Prepare(func(r *http.Request) error {
		if !used && time.Since(made) < assertionLife/4 {
			used = true
			return nil
		}
		used = true
		next := url.Values{}
		if err := add(next); err != nil || !hasBody(r) {
			return err
		}
		body, err := io.ReadAll(r.Body)
		_ = r.Body.Close()
		if err != nil {
			return err
		}
		// Forms and JSON have an assertion as it is.
		body = bytes.Replace(body, []byte(first), []byte(next.Get("client_assertion")), 1)
		r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
		r.Body, err = r.GetBody()
		r.ContentLength = int64(len(body))
		return err
	})
}

func (k *PrivateKey) sign(text []byte, s signing) ([]byte, error) {
	if s.hash == 0 {
		return k.Signer.Sign(rand.Reader, text, crypto.Hash(0)) // Ed25519 hashes itself
	}
	h := s.hash.New()
	h.Write(text)
	var opts crypto.SignerOpts = s.hash
	if s.pss {
		opts = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: s.hash}
	}
	signature, err := k.Signer.Sign(rand.Reader, h.Sum(nil), opts)
	if err != nil || s.curve == 0 {
		return signature, err
	}
	// crypto.Signer returns ASN.1; a JWT holds the two numbers at full width.
	var pair struct{ R, S *big.Int }
	if rest, err := asn1.Unmarshal(signature, &pair); err != nil || len(rest) > 0 {
		return nil, errors.New("the signer returned no ECDSA signature in ASN.1")
	}
	width := (s.curve + 7) / 8
	if pair.R.Sign() < 0 || pair.S.Sign() < 0 || pair.R.BitLen() > width*8 || pair.S.BitLen() > width*8 {
		return nil, errors.New("the signer returned an ECDSA signature that does not fit its curve")
	}
	out := make([]byte, 2*width)
	pair.R.FillBytes(out[:width])
	pair.S.FillBytes(out[width:])
	return out, nil
}

// clientCredentials fetches tokens for the application itself.
type clientCredentials struct {
	c        *Client
	audience string
}

const tokenPath = "/oauth/token"

// Token asks the tenant for a token. The request goes through the throttle,
// ahead of whatever waits for the token.
func (s *clientCredentials) Token(ctx context.Context) (Token, error) {
	form := url.Values{"grant_type": {"client_credentials"}, "audience": {s.audience}}
	if err := s.c.AddClientAuth(form); err != nil {
		return Token{}, err
	}
	// A token that was lost on its way back may be fetched again.
	answer, err := Call[tokenAnswer](ctx, s.c, http.MethodPost, tokenPath, nil, nil, form,
		[]RequestOption{Idempotent(), Priority(ratelimit.PriorityInteractive), RenewAssertion(form, s.c.AddClientAuth)})
	if err != nil {
		return Token{}, err
	}
	if answer.AccessToken == "" {
		return Token{}, errEmptyToken
	}
	t := Token{AccessToken: answer.AccessToken}
	if answer.ExpiresIn > 0 {
		t.Expiry = s.c.now().Add(seconds(answer.ExpiresIn))
	} else {
		t.Expiry = s.c.now().Add(time.Hour) // an answer without a lifetime is not asked for at each call
	}
	return t, nil
}

var errEmptyToken = errors.New("auth0: the token source returned an empty token")

type tokenAnswer struct {
	AccessToken string `json:"access_token"`
	ExpiresIn   int64  `json:"expires_in"`
}
