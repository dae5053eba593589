package auth0test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" // x5t is a SHA-1 fingerprint by its definition
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"net/http"
	"sync"
	"time"
)

// signingKey is a key that the tenant signs tokens with.
type signingKey struct {
	*rsa.PrivateKey
	id          string
	certificate []byte
}

// keyName says which key of which tenant it is.
type keyName struct {
	domain string
	number int // counts rotations
}

// signingKeys are the keys of this program, each a func() *signingKey by
// its keyName. Making one takes as long as thousands of requests, so that
// tenants of one domain share theirs, as if they were one tenant.
var signingKeys sync.Map

// signingKey returns a key of the tenant. It is made when it is first needed.
func (t *Tenant) signingKey(number int) *signingKey {
	made, _ := signingKeys.LoadOrStore(keyName{t.o.Domain, number}, sync.OnceValue(func() *signingKey { return newSigningKey(t.o.Domain) }))
	return made.(func() *signingKey)()
}

func newSigningKey(domain string) *signingKey {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err) // there is no randomness
	}
	fingerprint := sha256.Sum256(private.N.Bytes())
	certificate := &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(fingerprint[:8]),
		Subject:      pkix.Name{CommonName: domain},
		NotBefore:    time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC), // when the clock of testing/synctest begins
		NotAfter:     time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	der, err := x509.CreateCertificate(rand.Reader, certificate, certificate, private.Public(), private)
	if err != nil {
		panic("auth0test: " + err.Error()) // nothing in it depends on what anybody sends
	}
	return &signingKey{PrivateKey: private, id: base64.RawURLEncoding.EncodeToString(fingerprint[:16]), certificate: der}
}

// RotateKey has the tenant sign tokens with a new key from now on and returns
// its id. The last key stays among the published ones, those before it do not.
func (t *Tenant) RotateKey() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rotations++
	return t.signingKey(t.rotations).id
}

// sign returns claims as a JWT.
func (t *Tenant) sign(claims map[string]any) string {
	key := t.signingKey(t.rotations)
	signed := encode64(mustJSON(map[string]any{"alg": "RS256", "typ": "JWT", "kid": key.id})) + "." + encode64(mustJSON(claims))
	sum := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(nil, key.PrivateKey, crypto.SHA256, sum[:])
	if err != nil {
		panic("auth0test: " + err.Error()) // the key is long enough for the hash
	}
	return signed + "." + encode64(signature)
}

// halfHash is what the claim at_hash holds.
func halfHash(token string) string {
	sum := sha256.Sum256([]byte(token))
	return encode64(sum[:sha256.Size/2])
}

func encode64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// signedHere returns the claims of a token that one of the published keys has
// signed, nil for any other.
func (t *Tenant) signedHere(token string) map[string]any {
	j := parseJWT(token)
	if j == nil {
		return nil
	}
	for _, key := range t.published() {
		if j.header.Kid == key.id && j.header.Alg == "RS256" && j.signedBy(key.Public()) {
			return j.claims
		}
	}
	return nil
}

// published are the keys that tokens may be checked with.
func (t *Tenant) published() []*signingKey {
	keys := []*signingKey{t.signingKey(t.rotations)}
	if t.rotations > 0 {
		keys = append(keys, t.signingKey(t.rotations-1))
	}
	return keys
}

// documentLife is how long documents about the tenant may be kept.
const documentLife = "public, max-age=15, stale-while-revalidate=15, stale-if-error=86400"

// keySet answers GET /.well-known/jwks.json.
func (t *Tenant) keySet(*call) answer {
	var keys []any
	for _, k := range t.published() {
		fingerprint := sha1.Sum(k.certificate)
		keys = append(keys, map[string]any{
			"kty": "RSA", "use": "sig", "alg": "RS256", "kid": k.id,
			"n": encode64(k.N.Bytes()), "e": encode64(big.NewInt(int64(k.E)).Bytes()),
			"x5t": encode64(fingerprint[:]), "x5c": []string{base64.StdEncoding.EncodeToString(k.certificate)},
		})
	}
	a := jsonAnswer(http.StatusOK, map[string]any{"keys": keys})
	a.header.Set("Cache-Control", documentLife)
	return a
}

// certificate answers GET /pem.
func (t *Tenant) certificate(*call) answer {
	return answer{
		status: http.StatusOK, header: http.Header{"Content-Type": {"application/x-pem-file"}},
		body: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: t.signingKey(t.rotations).certificate}),
	}
}

// configuration answers GET /.well-known/openid-configuration.
func (t *Tenant) configuration(c *call) answer {
	at := func(path string) string { return c.issuer() + path }
	a := jsonAnswer(http.StatusOK, map[string]any{
		"issuer":                                           c.issuer(),
		"authorization_endpoint":                           at("authorize"),
		"token_endpoint":                                   at("oauth/token"),
		"device_authorization_endpoint":                    at("oauth/device/code"),
		"userinfo_endpoint":                                at("userinfo"),
		"mfa_challenge_endpoint":                           at("mfa/challenge"),
		"jwks_uri":                                         at(".well-known/jwks.json"),
		"registration_endpoint":                            at("oidc/register"),
		"revocation_endpoint":                              at("oauth/revoke"),
		"end_session_endpoint":                             at("oidc/logout"),
		"pushed_authorization_request_endpoint":            at("oauth/par"),
		"backchannel_authentication_endpoint":              at("bc-authorize"),
		"scopes_supported":                                 []string{"openid", "profile", "offline_access", "email", "phone"},
		"response_types_supported":                         []string{"code"},
		"response_modes_supported":                         []string{"query", "fragment", "form_post"},
		"subject_types_supported":                          []string{"public"},
		"code_challenge_methods_supported":                 []string{"S256", "plain"},
		"id_token_signing_alg_values_supported":            []string{"RS256"},
		"token_endpoint_auth_methods_supported":            []string{"client_secret_basic", "client_secret_post", "private_key_jwt", "none"},
		"token_endpoint_auth_signing_alg_values_supported": assertionAlgorithms(),
		"dpop_signing_alg_values_supported":                []string{"ES256", "ES384", "ES512", "RS256", "PS256", "EdDSA"},
		"claims_supported": []string{
			"aud", "auth_time", "email", "email_verified", "exp", "family_name", "given_name", "iat", "iss", "name", "nickname",
			"phone_number", "phone_number_verified", "picture", "sub",
		},
		"grant_types_supported":                      grantTypes(),
		"backchannel_token_delivery_modes_supported": []string{"poll"},
		"request_uri_parameter_supported":            false,
		"request_parameter_supported":                true,
	})
	a.header.Set("Cache-Control", documentLife)
	return a
}

// issuer is the tenant under the name that the request came to.
func (c *call) issuer() string { return c.scheme + "://" + c.host + "/" }
