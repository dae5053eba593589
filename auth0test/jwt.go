package auth0test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"slices"
	"strings"
	"time"
)

// signedJWT is a JWT that somebody sent, taken apart.
type signedJWT struct {
	header struct {
		Alg string          `json:"alg"`
		Kid string          `json:"kid"`
		Typ string          `json:"typ"`
		JWK json.RawMessage `json:"jwk"`
	}
	claims            map[string]any
	signed, signature []byte
}

// parseJWT takes a JWT apart, without believing it. It returns nil for what is none.
func parseJWT(token string) *signedJWT {
	j := &signedJWT{claims: claims(token)}
	if j.claims == nil {
		return nil
	}
	parts := strings.Split(token, ".") // three, or it would have no claims
	header, err := base64.RawURLEncoding.DecodeString(parts[0])
	if err != nil || json.Unmarshal(header, &j.header) != nil {
		return nil
	}
	if j.signature, err = base64.RawURLEncoding.DecodeString(parts[2]); err != nil {
		return nil
	}
	j.signed = []byte(parts[0] + "." + parts[1])
	return j
}

// signedBy reports whether a public key confirms the signature. The algorithm
// has to be one of the key's own family.
func (j *signedJWT) signedBy(key crypto.PublicKey) bool {
	alg := j.header.Alg
	if k, ok := key.(ed25519.PublicKey); ok {
		return alg == "EdDSA" && ed25519.Verify(k, j.signed, j.signature)
	}
	if len(alg) != len("RS256") {
		return false
	}
	hash, ok := map[string]crypto.Hash{"256": crypto.SHA256, "384": crypto.SHA384, "512": crypto.SHA512}[alg[2:]]
	if !ok {
		return false
	}
	h := hash.New()
	h.Write(j.signed)
	sum := h.Sum(nil)
	switch k := key.(type) {
	case *rsa.PublicKey:
		switch alg[:2] {
		case "RS":
			return rsa.VerifyPKCS1v15(k, hash, sum, j.signature) == nil
		case "PS":
			return rsa.VerifyPSS(k, hash, sum, j.signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
		}
	case *ecdsa.PublicKey:
		bits := map[string]int{"ES256": 256, "ES384": 384, "ES512": 521}[alg]
		size := (bits + 7) / 8
		if k.Curve.Params().BitSize != bits || len(j.signature) != 2*size {
			return false
		}
		r, s := new(big.Int).SetBytes(j.signature[:size]), new(big.Int).SetBytes(j.signature[size:])
		return ecdsa.Verify(k, sum, r, s)
	}
	return false
}

// text returns a claim that is a string.
func (j *signedJWT) text(name string) string { return text(j.claims[name]) }

// moment returns a claim that is a time, as the tenant counts it.
func (j *signedJWT) moment(name string) (time.Duration, bool) {
	n, ok := j.claims[name].(float64)
	if !ok || !(n >= 0 && n < 1<<33) {
		return 0, false
	}
	return time.Duration(n * float64(time.Second)), true
}

// isFor reports whether the claim aud is, or holds, one of the names.
func (j *signedJWT) isFor(names ...string) bool {
	for _, aud := range append(texts(j.claims["aud"]), j.text("aud")) {
		if slices.Contains(names, aud) {
			return true
		}
	}
	return false
}

// publicJWK reads a public key in JSON and returns it with its thumbprint, nil
// for what is none, and for one that shows a secret.
func publicJWK(data []byte) (key crypto.PublicKey, thumbprint string) {
	var k struct {
		Kty, Crv, N, E, X, Y, D, K string
	}
	if json.Unmarshal(data, &k) != nil || k.D != "" || k.K != "" {
		return nil, ""
	}
	part := func(s string) []byte {
		b, err := base64.RawURLEncoding.DecodeString(s)
		if err != nil {
			return nil
		}
		return b
	}
	var members map[string]string // what the thumbprint is of; encoded in order of the names
	switch k.Kty {
	case "RSA":
		n, e := new(big.Int).SetBytes(part(k.N)), new(big.Int).SetBytes(part(k.E))
		if n.BitLen() < 2048 || e.BitLen() < 2 || e.BitLen() > 31 {
			return nil, ""
		}
		key, members = &rsa.PublicKey{N: n, E: int(e.Int64())}, map[string]string{"e": k.E, "kty": k.Kty, "n": k.N}
	case "EC":
		curve, ok := map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521()}[k.Crv]
		if !ok {
			return nil, ""
		}
		public, err := ecdsa.ParseUncompressedPublicKey(curve, append(append([]byte{4}, part(k.X)...), part(k.Y)...))
		if err != nil {
			return nil, ""
		}
		key, members = public, map[string]string{"crv": k.Crv, "kty": k.Kty, "x": k.X, "y": k.Y}
	case "OKP":
		x := part(k.X)
		if k.Crv != "Ed25519" || len(x) != ed25519.PublicKeySize {
			return nil, ""
		}
		key, members = ed25519.PublicKey(x), map[string]string{"crv": k.Crv, "kty": k.Kty, "x": k.X}
	default:
		return nil, ""
	}
	sum := sha256.Sum256(mustJSON(members))
	return key, encode64(sum[:])
}
