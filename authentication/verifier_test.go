package authentication_test

import (
	"context"
	"crypto"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/headroom-go/auth0/authentication"
)

const issuer = "https://example.auth0.com/"

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// encode writes a token of any parts, signed with RS256 by key.
func encode(tb testing.TB, header, payload string, key *rsa.PrivateKey) string {
	tb.Helper()
	text := b64(header) + "." + b64(payload)
	sum := sha256.Sum256([]byte(text))
	sig, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, sum[:])
	if err != nil {
		tb.Fatal(err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(sig)
}

const goodHeader = `{"alg":"RS256","typ":"JWT","kid":"k1"}`

// goodClaims are those of an ID token in force.
func goodClaims() map[string]any {
	now := time.Now().Unix()
	return map[string]any{
		"iss": issuer, "sub": "auth0|1", "aud": "app", "iat": now, "exp": now + 3600, "nonce": "the-nonce",
		"auth_time": now - 10, "sid": "the-session", "org_id": "org_1", "org_name": "acme",
		"at_hash": halfSHA256("the-access-token"), "c_hash": halfSHA256("the-code"), "email": "a@example.com", "email_verified": true,
	}
}

func halfSHA256(s string) string {
	sum := sha256.Sum256([]byte(s))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// idToken is a token with changes to good claims; nil takes a claim out.
func idToken(tb testing.TB, changes map[string]any) string {
	tb.Helper()
	return encode(tb, goodHeader, claimsText(tb, changes), rsaKey(tb, "tenant"))
}

func claimsText(tb testing.TB, changes map[string]any) string {
	tb.Helper()
	c := goodClaims()
	maps.Copy(c, changes)
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	data, err := json.Marshal(c)
	if err != nil {
		tb.Fatal(err)
	}
	return string(data)
}

// keysDocument is a JWKS of keys by their ids.
func keysDocument(tb testing.TB, keys map[string]any) string {
	tb.Helper()
	var set jose.JSONWebKeySet
	for _, id := range slices.Sorted(maps.Keys(keys)) {
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: keys[id], KeyID: id, Use: "sig"})
	}
	data, err := json.Marshal(set)
	if err != nil {
		tb.Fatal(err)
	}
	return string(data)
}

// newVerifier returns a verifier of a tenant with the key k1, and the count of
// its fetches.
func newVerifier(tb testing.TB, o authentication.VerifierOptions) (*authentication.Verifier, *int) {
	tb.Helper()
	fetches := new(int)
	document := keysDocument(tb, map[string]any{"k1": &rsaKey(tb, "tenant").PublicKey})
	c := newClient(tb, func(r *http.Request, _ string) answer {
		if r.URL.Path != "/.well-known/jwks.json" {
			tb.Errorf("%s %s", r.Method, r.URL)
		}
		*fetches++
		return replyJSON(200, document)
	})
	if o.ClientID == "" {
		o.ClientID = "app"
	}
	v, err := authentication.NewVerifier(c, o)
	if err != nil {
		tb.Fatal(err)
	}
	return v, fetches
}

func expected() authentication.Expect {
	return authentication.Expect{
		Nonce: "the-nonce", MaxAge: new(time.Hour), Organization: "org_1", AccessToken: "the-access-token", Code: "the-code",
	}
}

func TestIDToken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		v, fetches := newVerifier(t, authentication.VerifierOptions{})
		now := time.Now()
		for range 3 {
			token, err := v.IDToken(t.Context(), idToken(t, nil), expected())
			if err != nil {
				t.Fatal(err)
			}
			if token.Issuer != issuer || token.Subject != "auth0|1" || !slices.Equal(token.Audience, []string{"app"}) ||
				token.Nonce != "the-nonce" || token.SessionID != "the-session" || token.OrganizationID != "org_1" || token.OrganizationName != "acme" ||
				token.IssuedAt.Unix() != now.Unix() || token.Expiry.Unix() != now.Unix()+3600 || token.AuthTime.Unix() != now.Unix()-10 {
				t.Errorf("%+v", token)
			}
			var u authentication.UserInfo
			if err := token.Decode(&u); err != nil || u.Email != "a@example.com" || !u.EmailVerified || string(token.Claims["email"]) != `"a@example.com"` {
				t.Errorf("profile %+v, error %v", u, err)
			}
		}
		if *fetches != 1 {
			t.Errorf("%d fetches for three tokens", *fetches)
		}
	})
}

// Tokens that are right, each in its own way.
func TestIDTokenAccepted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		now := time.Now().Unix()
		for name, c := range map[string]struct {
			changes map[string]any
			expect  authentication.Expect
			options authentication.VerifierOptions
		}{
			"several audiences":           {map[string]any{"aud": []string{"api", "app"}, "azp": "app"}, expected(), authentication.VerifierOptions{}},
			"expired within leeway":       {map[string]any{"iat": now - 100, "exp": now - 59}, expected(), authentication.VerifierOptions{}},
			"issued ahead within leeway":  {map[string]any{"iat": now + 60}, expected(), authentication.VerifierOptions{}},
			"last second without leeway":  {map[string]any{"exp": now + 1}, expected(), authentication.VerifierOptions{Leeway: -1}},
			"fractions of seconds":        {map[string]any{"exp": float64(now) + 0.5}, expected(), authentication.VerifierOptions{}},
			"auth_time at its limit":      {map[string]any{"auth_time": now - 3660}, expected(), authentication.VerifierOptions{}},
			"organization by name":        {nil, func() authentication.Expect { e := expected(); e.Organization = "ACME"; return e }(), authentication.VerifierOptions{}},
			"nothing asked for":           {map[string]any{"nonce": nil, "org_id": nil, "auth_time": nil, "at_hash": nil, "c_hash": nil}, authentication.Expect{}, authentication.VerifierOptions{}},
			"any nonce":                   {nil, authentication.Expect{AnyNonce: true}, authentication.VerifierOptions{}},
			"hashes absent":               {map[string]any{"at_hash": nil, "c_hash": nil}, expected(), authentication.VerifierOptions{}},
			"hashes of nothing asked for": {map[string]any{"at_hash": "x", "c_hash": "y"}, authentication.Expect{AnyNonce: true}, authentication.VerifierOptions{}},
			"another issuer as agreed":    {map[string]any{"iss": "https://login.example.com/"}, expected(), authentication.VerifierOptions{Issuer: "https://login.example.com/"}},
		} {
			v, _ := newVerifier(t, c.options)
			if _, err := v.IDToken(t.Context(), idToken(t, c.changes), c.expect); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

// hostile is a token that has to be refused, and why.
type hostile struct {
	name, raw string
	reason    authentication.Reason
	detail    string
}

// hostileTokens are made when asked for, since they tell the time.
func hostileTokens(tb testing.TB) []hostile {
	tb.Helper()
	const (
		malformed = authentication.ReasonMalformed
		duplicate = authentication.ReasonDuplicate
		algorithm = authentication.ReasonAlgorithm
		header    = authentication.ReasonHeader
		keyID     = authentication.ReasonKeyID
		signature = authentication.ReasonSignature
		claim     = authentication.ReasonClaim
	)
	key, now := rsaKey(tb, "tenant"), time.Now().Unix()
	good := idToken(tb, nil)
	parts := strings.Split(good, ".")
	with := func(h string) string { return encode(tb, h, claimsText(tb, nil), key) }
	raw := func(payload string) string { return encode(tb, goodHeader, payload, key) }
	change := func(name string, v any) string { return idToken(tb, map[string]any{name: v}) }
	hs256 := func(secret []byte) string {
		text := b64(`{"alg":"HS256","typ":"JWT","kid":"k1"}`) + "." + b64(claimsText(tb, nil))
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte(text))
		return text + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		tb.Fatal(err)
	}
	public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	full := claimsText(tb, nil)
	twice := func(member string) string { return full[:len(full)-1] + "," + member + "}" }
	signedElsewhere := encode(tb, `{"alg":"RS256","typ":"JWT","kid":"k1"}`, full, rsaKey(tb, "stranger"))
	flipped := func(s string) string {
		b, _ := base64.RawURLEncoding.DecodeString(s)
		b[0] ^= 1
		return base64.RawURLEncoding.EncodeToString(b)
	}
	return []hostile{
		// What is no JWT, or could be read in two ways.
		{"empty", "", malformed, "it is empty; a login gets an ID token with the scope openid"},
		{"one part", "abc", malformed, "it has not the three parts of a JWT"},
		{"two parts", parts[0] + "." + parts[1], malformed, "it has not the three parts of a JWT"},
		{"four parts", good + ".abc", malformed, "it has not the three parts of a JWT"},
		{"encrypted", "a.b.c.d.e", authentication.ReasonEncrypted, "it is encrypted or opaque, and only its issuer can read it"},
		{"oversized", raw(twice(`"x":"` + strings.Repeat("x", 64<<10) + `"`)), authentication.ReasonTooLarge, "it is longer than 64 KiB"},
		{"JSON serialization", `{"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"` + parts[2] + `"}`, malformed, "it has not the three parts of a JWT"},
		{"header not base64", "!" + parts[0] + "." + parts[1] + "." + parts[2], malformed, "its header is not base64url"},
		{"header padded", parts[0] + "=." + parts[1] + "." + parts[2], malformed, "its header is not base64url"},
		{"header in two lines", parts[0][:4] + "\n" + parts[0][4:] + "." + parts[1] + "." + parts[2], malformed, "its header has line breaks"},
		{"payload not base64", parts[0] + ".*" + parts[1] + "." + parts[2], malformed, "its payload is not base64url"},
		{"signature not base64", parts[0] + "." + parts[1] + "." + parts[2] + "=", malformed, "its signature is not base64url"},
		{"leading space", " " + good, malformed, "its header is not base64url"},
		{"trailing line break", good + "\n", malformed, "its signature has line breaks"},
		{"header no JSON", with(`alg`), malformed, "its header is not a JSON object"},
		{"header null", with(`null`), malformed, "its header is not a JSON object"},
		{"header an array", with(`["RS256"]`), malformed, "its header is not a JSON object"},
		{"payload no JSON", raw(`sub`), malformed, "its payload is not a JSON object"},
		{"payload a string", raw(`"auth0|1"`), malformed, "its payload is not a JSON object"},
		{"payload followed by another", raw(full + full), malformed, "its payload is not a JSON object"},
		{"payload not UTF-8", raw("{\"sub\":\"\xff\"}"), malformed, "its payload is not UTF-8"},
		{"payload deeply nested", raw(twice(`"x":` + strings.Repeat("[", 40) + strings.Repeat("]", 40))), malformed, "its payload is nested too deeply"},
		{"subject twice", raw(twice(`"sub":"auth0|2"`)), duplicate, "its payload has a member twice"},
		{"audience twice", raw(`{"aud":"other",` + full[1:]), duplicate, "its payload has a member twice"},
		{"escaped name twice", raw(twice(`"s\u0075b":"auth0|2"`)), duplicate, "its payload has a member twice"},
		{"nested member twice", raw(twice(`"x":{"a":1,"a":2}`)), duplicate, "its payload has a member twice"},
		{"algorithm twice", with(`{"alg":"RS256","kid":"k1","alg":"none"}`), duplicate, "its header has a member twice"},

		// Algorithms and keys.
		{"alg none", b64(`{"alg":"none","typ":"JWT"}`) + "." + parts[1] + ".", algorithm, "it is not signed (alg none)"},
		{"alg None", b64(`{"alg":"NoNe","typ":"JWT","kid":"k1"}`) + "." + parts[1] + ".", algorithm, "it is not signed (alg none)"},
		{"alg none with a signature", with(`{"alg":"none","kid":"k1"}`), algorithm, "it is not signed (alg none)"},
		{"no alg", with(`{"typ":"JWT","kid":"k1"}`), algorithm, "its header names no algorithm"},
		{"ALG in capitals", with(`{"ALG":"RS256","kid":"k1"}`), algorithm, "its header names no algorithm"},
		{"alg a number", with(`{"alg":256,"kid":"k1"}`), malformed, "alg in its header is not a string"},
		{"HS256 with the public key as PEM", hs256(public), algorithm, "its algorithm is not one that is accepted"},
		{"HS256 with the public key as DER", hs256(der), algorithm, "its algorithm is not one that is accepted"},
		{"HS256 with the modulus", hs256(key.N.Bytes()), algorithm, "its algorithm is not one that is accepted"},
		{"RS512 claimed", with(`{"alg":"RS512","kid":"k1"}`), algorithm, "its algorithm is not one that is accepted"},
		{"ES256 claimed", with(`{"alg":"ES256","kid":"k1"}`), algorithm, "its algorithm is not one that is accepted"},
		{"rs256 in small letters", with(`{"alg":"rs256","kid":"k1"}`), algorithm, "its algorithm is not one that is accepted"},
		{"PS256 claimed for RS256", with(`{"alg":"PS256","kid":"k1"}`), signature, "its signature is wrong"},
		{"signed by a stranger", signedElsewhere, signature, "its signature is wrong"},
		{"signature of another token", parts[0] + "." + parts[1] + "." + strings.Split(change("sub", "auth0|2"), ".")[2], signature, "its signature is wrong"},
		{"payload exchanged", parts[0] + "." + b64(claimsText(tb, map[string]any{"sub": "auth0|2"})) + "." + parts[2], signature, "its signature is wrong"},
		{"header exchanged", b64(`{"alg":"RS256","kid":"k1"}`) + "." + parts[1] + "." + parts[2], signature, "its signature is wrong"},
		{"one bit of the signature", parts[0] + "." + parts[1] + "." + flipped(parts[2]), signature, "its signature is wrong"},
		{"signature cut short", parts[0] + "." + parts[1] + "." + parts[2][:8], signature, "its signature is wrong"},
		{"no signature", parts[0] + "." + parts[1] + ".", signature, "it has no signature"},
		{"no kid", with(`{"alg":"RS256","typ":"JWT"}`), keyID, "it names no key"},
		{"kid a number", with(`{"alg":"RS256","kid":1}`), malformed, "kid in its header is not a string"},
		{"kid a path", with(`{"alg":"RS256","kid":"../../dev/null"}`), authentication.ReasonUnknownKey, "its key is not one of the tenant's"},
		{"kid of SQL", with(`{"alg":"RS256","kid":"x' UNION SELECT 'key"}`), keyID, "its key id has characters that no key id of Auth0 has"},
		{"kid with a line break", with(`{"alg":"RS256","kid":"k1\n"}`), keyID, "its key id has characters that no key id of Auth0 has"},
		{"kid too long", with(`{"alg":"RS256","kid":"` + strings.Repeat("k", 257) + `"}`), keyID, "its key id is longer than 256 characters"},
		{"kid unknown", encode(tb, `{"alg":"RS256","kid":"k9"}`, full, key), authentication.ReasonUnknownKey, "its key is not one of the tenant's"},
		{"key brought along", with(`{"alg":"RS256","kid":"k1","jwk":{"kty":"RSA"}}`), header, "its header has jwk, a key of its own choosing"},
		{"key elsewhere", with(`{"alg":"RS256","kid":"k1","jku":"https://evil.example/jwks"}`), header, "its header has jku, a key of its own choosing"},
		{"certificate elsewhere", with(`{"alg":"RS256","kid":"k1","x5u":"https://evil.example/pem"}`), header, "its header has x5u, a key of its own choosing"},
		{"certificate brought along", with(`{"alg":"RS256","kid":"k1","x5c":["MII"]}`), header, "its header has x5c, a key of its own choosing"},
		{"critical extension", with(`{"alg":"RS256","kid":"k1","crit":["exp"]}`), header, "its header has crit, which is not supported"},
		{"payload not encoded", with(`{"alg":"RS256","kid":"k1","b64":false}`), header, "its header has b64, which is not supported"},
		{"compressed", with(`{"alg":"RS256","kid":"k1","zip":"DEF"}`), header, "its header has zip, which is not supported"},
		{"an access token by its type", with(`{"alg":"RS256","kid":"k1","typ":"at+jwt"}`), authentication.ReasonType, "its header says that it is a token of another kind"},
		{"a logout token by its type", with(`{"alg":"RS256","kid":"k1","typ":"logout+jwt"}`), authentication.ReasonType, "its header says that it is a token of another kind"},

		// Claims that are missing or of the wrong type.
		{"no issuer", change("iss", nil), claim, "iss is missing or empty"},
		{"ISS in capitals", raw(strings.Replace(full, `"iss"`, `"ISS"`, 1)), claim, "iss is missing or empty"},
		{"issuer a list", change("iss", []string{issuer}), claim, "iss is not a string"},
		{"no subject", change("sub", nil), claim, "sub is missing or empty"},
		{"empty subject", change("sub", ""), claim, "sub is missing or empty"},
		{"subject a number", change("sub", 1), claim, "sub is not a string"},
		{"no audience", change("aud", nil), claim, "aud is missing"},
		{"audience an empty list", change("aud", []string{}), claim, "aud is neither a string nor an array of strings"},
		{"audience an object", change("aud", map[string]any{"app": true}), claim, "aud is neither a string nor an array of strings"},
		{"audience with null", change("aud", []any{"app", nil}), claim, "aud has an empty entry"},
		{"no expiry", change("exp", nil), claim, "exp is missing"},
		{"expiry text", change("exp", fmt.Sprint(now+3600)), claim, "exp is not a number"},
		{"expiry null", raw(strings.Replace(full, fmt.Sprintf(`"exp":%d`, now+3600), `"exp":null`, 1)), claim, "exp is not a number"},
		{"expiry negative", change("exp", -1), claim, "exp is no time"},
		{"expiry beyond time", change("exp", 1e300), claim, "exp is no time"},
		{"no issue time", change("iat", nil), claim, "iat is missing"},
		{"issue time true", change("iat", true), claim, "iat is not a number"},
		{"nbf text", change("nbf", "now"), claim, "nbf is not a number"},
		{"auth_time text", change("auth_time", "now"), claim, "auth_time is not a number"},
		{"nonce a list", change("nonce", []string{"the-nonce"}), claim, "nonce is not a string"},
		{"azp a list", change("azp", []string{"app"}), claim, "azp is not a string"},
		{"org_id a number", change("org_id", 1), claim, "org_id is not a string"},
		{"sid a number", change("sid", 1), claim, "sid is not a string"},
		{"at_hash a number", change("at_hash", 1), claim, "at_hash is not a string"},
		{"ends before it begins", idToken(tb, map[string]any{"iat": now + 50, "exp": now + 40}), claim, "it ends before it was issued"},

		// Claims of other tenants, applications, users and times.
		{"another tenant", change("iss", "https://evil.auth0.com/"), authentication.ReasonIssuer, "it is of another issuer"},
		{"issuer without its slash", change("iss", "https://example.auth0.com"), authentication.ReasonIssuer, "it is of another issuer"},
		{"issuer in capitals", change("iss", "https://EXAMPLE.auth0.com/"), authentication.ReasonIssuer, "it is of another issuer"},
		{"issuer over http", change("iss", "http://example.auth0.com/"), authentication.ReasonIssuer, "it is of another issuer"},
		{"another application", change("aud", "other"), authentication.ReasonAudience, "it is for another audience"},
		{"application in capitals", change("aud", "APP"), authentication.ReasonAudience, "it is for another audience"},
		{"part of the application", change("aud", []string{"ap", "appp"}), authentication.ReasonAudience, "it is for another audience"},
		{"several audiences without azp", change("aud", []string{"app", "other"}), authentication.ReasonAuthorizedParty, "it has several audiences and does not say to which of them it was issued"},
		{"azp another", change("azp", "other"), authentication.ReasonAuthorizedParty, "it was issued to another application"},
		{"expired by a second", idToken(tb, map[string]any{"iat": now - 3600, "exp": now - 61}), authentication.ReasonExpired, "it has expired"},
		{"expired just now", idToken(tb, map[string]any{"iat": now - 3600, "exp": now - 60}), authentication.ReasonExpired, "it has expired"},
		{"issued in the future", change("iat", now+61), authentication.ReasonNotYetValid, "it was issued in the future"},
		{"not valid yet", change("nbf", now+61), authentication.ReasonNotYetValid, "it is not valid yet"},
		{"logged in in the future", change("auth_time", now+61), authentication.ReasonNotYetValid, "auth_time lies in the future"},
		{"logged in too long ago", change("auth_time", now-3661), authentication.ReasonMaxAge, "the user logged in too long ago"},
		{"auth_time missing", change("auth_time", nil), authentication.ReasonMaxAge, "it does not say when the user logged in"},
		{"nonce of another login", change("nonce", "other"), authentication.ReasonNonce, "it has the nonce of another login"},
		{"no nonce", change("nonce", nil), authentication.ReasonNonce, "it has no nonce"},
		{"empty nonce", change("nonce", ""), authentication.ReasonNonce, "it has no nonce"},
		{"another organization", change("org_id", "org_2"), authentication.ReasonOrganization, "it is of another organization"},
		{"no organization", change("org_id", nil), authentication.ReasonOrganization, "it names no organization"},
		{"another access token", change("at_hash", halfSHA256("other")), authentication.ReasonHash, "at_hash is of another value"},
		{"whole hash of the access token", change("at_hash", b64("the-access-token")), authentication.ReasonHash, "at_hash is of another value"},
		{"another code", change("c_hash", halfSHA256("other")), authentication.ReasonHash, "c_hash is of another value"},
		{"claim names without a source", raw(twice(`"_claim_names":{"email":"nowhere"}`)), claim, "its claims have values of unexpected types"},
	}
}

func TestHostileTokens(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		v, fetches := newVerifier(t, authentication.VerifierOptions{})
		list := hostileTokens(t)
		if len(list) < 60 {
			t.Errorf("%d tokens, want at least 60", len(list))
		}
		for _, h := range list {
			token, err := v.IDToken(t.Context(), h.raw, expected())
			refused, ok := errors.AsType[*authentication.TokenError](err)
			if !ok || token != nil || refused.Reason != h.reason || refused.Detail != h.detail {
				t.Errorf("%s: %v, want %s: %s", h.name, err, h.reason, h.detail)
			}
			if err != nil && len(h.raw) > 20 && strings.Contains(err.Error(), h.raw[:20]) {
				t.Errorf("%s: the error shows the token", h.name)
			}
		}
		if *fetches != 1 {
			t.Errorf("%d fetches by wrong tokens within a minute", *fetches)
		}
		if _, err := v.IDToken(t.Context(), idToken(t, nil), expected()); err != nil {
			t.Errorf("a good token after them: %v", err)
		}
	})
}

// An organization by name is that of org_name alone.
func TestOrganizationByName(t *testing.T) {
	t.Parallel()
	v, _ := newVerifier(t, authentication.VerifierOptions{})
	e := expected()
	e.Organization = "acme"
	for detail, name := range map[string]any{"it does not name its organization": nil, "it is of an organization of another name": "other"} {
		_, err := v.IDToken(t.Context(), idToken(t, map[string]any{"org_name": name, "org_id": "acme"}), e)
		if refused, ok := errors.AsType[*authentication.TokenError](err); !ok || refused.Detail != detail {
			t.Errorf("%v: %v", name, err)
		}
	}
	if _, err := v.IDToken(t.Context(), idToken(t, nil), authentication.Expect{}); err == nil || !strings.Contains(err.Error(), "none was asked for") {
		t.Errorf("a nonce that nobody asked for: %v", err)
	}
}

// With a client secret only HS256 is accepted, and no key is fetched.
func TestSecretSignedTokens(t *testing.T) {
	t.Parallel()
	v, fetches := newVerifier(t, authentication.VerifierOptions{ClientSecret: "the secret of the application, long enough"})
	text := b64(`{"alg":"HS256","typ":"JWT"}`) + "." + b64(claimsText(t, nil))
	mac := hmac.New(sha256.New, []byte("the secret of the application, long enough"))
	mac.Write([]byte(text))
	if _, err := v.IDToken(t.Context(), text+"."+base64.RawURLEncoding.EncodeToString(mac.Sum(nil)), expected()); err != nil {
		t.Error(err)
	}
	_, err := v.IDToken(t.Context(), text+"."+b64("wrong"), expected())
	if refused, ok := errors.AsType[*authentication.TokenError](err); !ok || refused.Reason != authentication.ReasonSignature {
		t.Errorf("wrong signature: %v", err)
	}
	_, err = v.IDToken(t.Context(), idToken(t, nil), expected())
	if refused, ok := errors.AsType[*authentication.TokenError](err); !ok || refused.Reason != authentication.ReasonAlgorithm {
		t.Errorf("RS256: %v", err)
	}
	if *fetches != 0 {
		t.Errorf("%d fetches", *fetches)
	}
}

// Tokens of every family verify where the options accept them, and hashes are
// those of their algorithm.
func TestAlgorithms(t *testing.T) {
	t.Parallel()
	r, e := rsaKey(t, "tenant"), map[string]elliptic.Curve{"ES256": elliptic.P256(), "ES384": elliptic.P384(), "ES512": elliptic.P521()}
	for alg, hash := range map[string]crypto.Hash{
		"RS256": crypto.SHA256, "RS384": crypto.SHA384, "RS512": crypto.SHA512, "PS256": crypto.SHA256, "PS384": crypto.SHA384, "PS512": crypto.SHA512,
		"ES256": crypto.SHA256, "ES384": crypto.SHA384, "ES512": crypto.SHA512, "EdDSA": crypto.SHA512,
	} {
		t.Run(alg, func(t *testing.T) {
			t.Parallel()
			var signer crypto.Signer = r
			if curve, ok := e[alg]; ok {
				signer = ecKey(t, curve)
			} else if alg == "EdDSA" {
				signer = edKey(t)
			}
			document := keysDocument(t, map[string]any{"k": signer.Public()})
			c := newClient(t, func(*http.Request, string) answer { return replyJSON(200, document) })
			v, err := authentication.NewVerifier(c, authentication.VerifierOptions{ClientID: "app", Algorithms: []string{alg}})
			if err != nil {
				t.Fatal(err)
			}
			h := hash.New()
			h.Write([]byte("the-access-token"))
			half := base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:hash.Size()/2])
			s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(alg), Key: jose.JSONWebKey{Key: signer, KeyID: "k"}}, nil)
			if err != nil {
				t.Fatal(err)
			}
			jws, err := s.Sign([]byte(claimsText(t, map[string]any{"at_hash": half})))
			if err != nil {
				t.Fatal(err)
			}
			raw, err := jws.CompactSerialize()
			if err != nil {
				t.Fatal(err)
			}
			expect := expected()
			expect.Code = ""
			if _, err := v.IDToken(t.Context(), raw, expect); err != nil {
				t.Error(err)
			}
			expect.AccessToken = "other"
			if _, err := v.IDToken(t.Context(), raw, expect); err == nil {
				t.Error("at_hash of another token was accepted")
			}
		})
	}
}

func TestVerifierMistakes(t *testing.T) {
	t.Parallel()
	c := newClient(t, func(*http.Request, string) answer { return replyJSON(200, "{}") })
	for _, o := range []authentication.VerifierOptions{
		{Algorithms: []string{"none"}}, {Algorithms: []string{"HS256"}}, {Algorithms: []string{"RS256", "HS256"}, ClientSecret: "s"},
		{Algorithms: []string{"RS256"}, ClientSecret: "s"}, {Algorithms: []string{""}},
	} {
		if _, err := authentication.NewVerifier(c, o); err == nil {
			t.Errorf("%v was accepted", o.Algorithms)
		}
	}
	// No tenant's tokens have an issuer like these: all would be refused.
	for _, wrong := range []string{"example.auth0.com", "example.auth0.com/", "https://example.auth0.com"} {
		if _, err := authentication.NewVerifier(c, authentication.VerifierOptions{Issuer: wrong}); err == nil || !strings.Contains(err.Error(), "Issuer") || !strings.Contains(err.Error(), "https://DOMAIN/") {
			t.Errorf("issuer %s: %v", wrong, err)
		}
	}
	v, err := authentication.NewVerifier(c, authentication.VerifierOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.IDToken(t.Context(), idToken(t, nil), expected()); err == nil || !strings.Contains(err.Error(), "client id") {
		t.Errorf("without a client id: %v", err)
	}
	if _, err := v.AccessToken(t.Context(), idToken(t, nil), authentication.ExpectAccess{}); err == nil || !strings.Contains(err.Error(), "audience") {
		t.Errorf("without an audience: %v", err)
	}
}

func TestAccessToken(t *testing.T) {
	t.Parallel()
	v, _ := newVerifier(t, authentication.VerifierOptions{Audience: "https://api.example.com"})
	token := func(changes map[string]any) string {
		c := map[string]any{"aud": []string{"https://api.example.com", issuer + "userinfo"}, "azp": "caller", "scope": "openid read:things", "permissions": []string{"write:things"}}
		maps.Copy(c, changes)
		return idToken(t, c)
	}
	got, err := v.AccessToken(t.Context(), token(nil), authentication.ExpectAccess{Scopes: []string{"read:things", "write:things"}, Organization: "org_1"})
	if err != nil {
		t.Fatal(err)
	}
	if got.ClientID != "caller" || got.Subject != "auth0|1" || !slices.Equal(got.Scopes, []string{"openid", "read:things"}) || !slices.Equal(got.Permissions, []string{"write:things"}) || got.OrganizationID != "org_1" {
		t.Errorf("%+v", got)
	}
	var own struct{ Email string }
	if err := got.Decode(&own); err != nil || own.Email != "a@example.com" {
		t.Errorf("%+v, error %v", own, err)
	}
	rfc9068 := encode(t, `{"alg":"RS256","typ":"at+jwt","kid":"k1"}`, claimsText(t, map[string]any{"aud": "https://api.example.com", "client_id": "caller"}), rsaKey(t, "tenant"))
	if got, err := v.AccessToken(t.Context(), rfc9068, authentication.ExpectAccess{}); err != nil || got.ClientID != "caller" {
		t.Errorf("%+v, error %v", got, err)
	}
	bound := token(map[string]any{"cnf": map[string]any{"jkt": "thumb"}})
	if _, err := v.AccessToken(t.Context(), bound, authentication.ExpectAccess{DPoPThumbprint: "thumb"}); err != nil {
		t.Errorf("bound: %v", err)
	}
	for name, c := range map[string]struct {
		raw    string
		expect authentication.ExpectAccess
		reason authentication.Reason
	}{
		"an ID token":              {idToken(t, nil), authentication.ExpectAccess{}, authentication.ReasonAudience},
		"a scope missing":          {token(nil), authentication.ExpectAccess{Scopes: []string{"delete:things"}}, authentication.ReasonScope},
		"part of a scope":          {token(nil), authentication.ExpectAccess{Scopes: []string{"read"}}, authentication.ReasonScope},
		"scope a list":             {token(map[string]any{"scope": []string{"openid"}}), authentication.ExpectAccess{}, authentication.ReasonClaim},
		"permissions text":         {token(map[string]any{"permissions": "all"}), authentication.ExpectAccess{}, authentication.ReasonClaim},
		"another organization":     {token(nil), authentication.ExpectAccess{Organization: "org_2"}, authentication.ReasonOrganization},
		"expired":                  {token(map[string]any{"iat": 1, "exp": 2}), authentication.ExpectAccess{}, authentication.ReasonExpired},
		"opaque":                   {"an-opaque-token", authentication.ExpectAccess{}, authentication.ReasonMalformed},
		"bound, without a proof":   {bound, authentication.ExpectAccess{}, authentication.ReasonBinding},
		"bound to another key":     {bound, authentication.ExpectAccess{DPoPThumbprint: "other"}, authentication.ReasonBinding},
		"a proof, but not bound":   {token(nil), authentication.ExpectAccess{DPoPThumbprint: "thumb"}, authentication.ReasonBinding},
		"bound to a certificate":   {token(map[string]any{"cnf": map[string]any{"x5t#S256": "c"}}), authentication.ExpectAccess{}, authentication.ReasonBinding},
		"bound in another way":     {token(map[string]any{"cnf": map[string]any{"jwk": map[string]any{"kty": "RSA"}}}), authentication.ExpectAccess{}, authentication.ReasonBinding},
		"binding of another shape": {token(map[string]any{"cnf": "thumb"}), authentication.ExpectAccess{}, authentication.ReasonClaim},
	} {
		_, err := v.AccessToken(t.Context(), c.raw, c.expect)
		if refused, ok := errors.AsType[*authentication.TokenError](err); !ok || refused.Reason != c.reason {
			t.Errorf("%s: %v, want %s", name, err, c.reason)
		}
	}
}

// FuzzIDToken holds the verifier to refusing, with a reason and without a panic,
// whatever is not the one token that it was made for.
func FuzzIDToken(f *testing.F) {
	v, _ := newVerifier(f, authentication.VerifierOptions{Leeway: time.Minute})
	for _, h := range hostileTokens(f) {
		if h.reason != authentication.ReasonNotYetValid { // they are good in a minute
			f.Add(h.raw)
		}
	}
	good := idToken(f, nil)
	f.Add(good)
	if _, err := v.IDToken(context.Background(), good, expected()); err != nil {
		f.Fatal(err)
	}
	text := good[:strings.LastIndexByte(good, '.')]
	f.Fuzz(func(t *testing.T, raw string) {
		_, err := v.IDToken(t.Context(), raw, expected())
		if err == nil {
			// Another spelling of the signature is the one thing that may differ.
			if !strings.HasPrefix(raw, text+".") {
				t.Fatalf("accepted %q", raw)
			}
			return
		}
		if _, ok := errors.AsType[*authentication.TokenError](err); !ok {
			t.Fatalf("%v for %q", err, raw)
		}
	})
}
