package authentication_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/headroom-go/auth0"
	"github.com/headroom-go/auth0/auth0test"
	"github.com/headroom-go/auth0/authentication"
	"github.com/headroom-go/auth0/ratelimit"
)

// remoteKey is a key of which only Sign can be had, as of an HSM.
type remoteKey struct{ key crypto.Signer }

func (k remoteKey) Public() crypto.PublicKey { return k.key.Public() }
func (k remoteKey) Sign(r io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return k.key.Sign(r, digest, opts)
}

func ecKey(tb testing.TB, curve elliptic.Curve) *ecdsa.PrivateKey {
	tb.Helper()
	k, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

func edKey(tb testing.TB) ed25519.PrivateKey {
	tb.Helper()
	_, k, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

// claimsOf checks a JWT with a key and returns its header and claims.
func claimsOf(tb testing.TB, raw string, key any, alg string) (header, claims map[string]any) {
	tb.Helper()
	jws, err := jose.ParseSignedCompact(raw, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(alg)})
	if err != nil {
		tb.Fatal(err)
	}
	payload, err := jws.Verify(key)
	if err != nil {
		tb.Fatal(err)
	}
	if err := json.Unmarshal(payload, &claims); err != nil {
		tb.Fatal(err)
	}
	head, _, _ := strings.Cut(raw, ".")
	b, err := base64.RawURLEncoding.DecodeString(head)
	if err != nil {
		tb.Fatal(err)
	}
	if err := json.Unmarshal(b, &header); err != nil {
		tb.Fatal(err)
	}
	return header, claims
}

// Assertions of every family verify, name the tenant with a final slash, live
// for two minutes, and are used once.
func TestPrivateKeyJWT(t *testing.T) {
	t.Parallel()
	r := rsaKey(t, "client")
	for _, k := range []struct {
		signer crypto.Signer
		given  string
		alg    string
	}{
		{r, "", "RS256"}, {r, "RS384", "RS384"}, {r, "RS512", "RS512"},
		{r, "PS256", "PS256"}, {r, "PS384", "PS384"}, {r, "PS512", "PS512"},
		{ecKey(t, elliptic.P256()), "", "ES256"}, {ecKey(t, elliptic.P384()), "", "ES384"}, {ecKey(t, elliptic.P521()), "", "ES512"},
		{edKey(t), "", "EdDSA"},
	} {
		t.Run(k.alg, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var seen []string
				c := newClient(t, func(_ *http.Request, body string) answer {
					form, _ := url.ParseQuery(body)
					seen = append(seen, form.Get("client_assertion"))
					return replyJSON(200, `{"access_token":"a","expires_in":60}`)
				})
				api := authentication.New(c, authentication.PrivateKeyJWT(auth0.PrivateKey{
					ClientID: "app", Signer: remoteKey{k.signer}, KeyID: "the-kid", Algorithm: k.given,
				}))
				for range 2 {
					if _, err := api.OAuth.ClientCredentials(t.Context(), nil); err != nil {
						t.Fatal(err)
					}
				}
				header, claims := claimsOf(t, seen[0], k.signer.Public(), k.alg)
				_, second := claimsOf(t, seen[1], k.signer.Public(), k.alg)
				if header["kid"] != "the-kid" || header["typ"] != "JWT" {
					t.Errorf("header %v", header)
				}
				now := float64(time.Now().Unix())
				if claims["iss"] != "app" || claims["sub"] != "app" || claims["aud"] != "https://example.auth0.com/" || claims["iat"] != now || claims["exp"] != now+120 {
					t.Errorf("claims %v at %v", claims, now)
				}
				if jti, _ := claims["jti"].(string); len(jti) < 20 || len(jti) > 64 || jti == second["jti"] {
					t.Errorf("jti %v and %v", claims["jti"], second["jti"])
				}
				if strings.HasPrefix(k.alg, "PS") {
					checkSalt(t, seen[0], r, k.alg)
				}
			})
		})
	}
}

// checkSalt holds the salt to the length of the hash, which strict servers
// insist on.
func checkSalt(t *testing.T, raw string, key *rsa.PrivateKey, alg string) {
	t.Helper()
	text, sig, _ := strings.Cut(raw[strings.Index(raw, ".")+1:], ".")
	signature, err := base64.RawURLEncoding.DecodeString(sig)
	if err != nil {
		t.Fatal(err)
	}
	hash := map[string]crypto.Hash{"PS256": crypto.SHA256, "PS384": crypto.SHA384, "PS512": crypto.SHA512}[alg]
	h := hash.New()
	h.Write([]byte(raw[:strings.Index(raw, ".")+1] + text))
	if err := rsa.VerifyPSS(&key.PublicKey, hash, h.Sum(nil), signature, &rsa.PSSOptions{SaltLength: hash.Size()}); err != nil {
		t.Error(err)
	}
}

// What is wrong with the way of proving the application is said before anything
// is sent, by the calls that need it.
func TestClientAuthMistakes(t *testing.T) {
	t.Parallel()
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	for name, o := range map[string]authentication.Option{
		"no client id":  nil,
		"None":          authentication.None(""),
		"Post":          authentication.ClientSecretPost("id", ""),
		"Basic":         authentication.ClientSecretBasic("", "secret-word"),
		"MTLS":          authentication.MTLS("", nil),
		"DPoP":          authentication.DPoPBound(nil),
		"no signer":     authentication.PrivateKeyJWT(auth0.PrivateKey{ClientID: "id"}),
		"short key":     authentication.PrivateKeyJWT(auth0.PrivateKey{ClientID: "id", Signer: small}),
		"unfit alg":     authentication.PrivateKeyJWT(auth0.PrivateKey{ClientID: "id", Signer: rsaKey(t, "client"), Algorithm: "ES256"}),
		"symmetric alg": authentication.PrivateKeyJWT(auth0.PrivateKey{ClientID: "id", Signer: rsaKey(t, "client"), Algorithm: "HS256"}),
		"alg none":      authentication.PrivateKeyJWT(auth0.PrivateKey{ClientID: "id", Signer: rsaKey(t, "client"), Algorithm: "none"}),
		"unknown curve": authentication.PrivateKeyJWT(auth0.PrivateKey{ClientID: "id", Signer: ecKey(t, elliptic.P224())}),
	} {
		sent := false
		api := authentication.New(newClient(t, func(*http.Request, string) answer {
			sent = true
			return replyJSON(200, "{}")
		}), o)
		_, err := api.OAuth.ClientCredentials(t.Context(), nil)
		if err == nil || sent || strings.Contains(err.Error(), "secret-word") {
			t.Errorf("%s: error %v, sent %v", name, err, sent)
		}
	}
}

// Without an option the application proves itself as the client does.
func TestClientsOwnCredentials(t *testing.T) {
	t.Parallel()
	var form url.Values
	see := func(_ *http.Request, body string) answer {
		form, _ = url.ParseQuery(body)
		return replyJSON(200, `{"access_token":"a"}`)
	}
	api := authentication.New(newClient(t, see, auth0.WithClientSecret("own-id", "own-secret")))
	if _, err := api.OAuth.ClientCredentials(t.Context(), nil); err != nil || form.Get("client_id") != "own-id" || form.Get("client_secret") != "own-secret" {
		t.Errorf("form %v, error %v", form, err)
	}
	api = authentication.New(newClient(t, see, auth0.WithPrivateKey(auth0.PrivateKey{ClientID: "own-id", Signer: rsaKey(t, "client")})))
	if _, err := api.OAuth.ClientCredentials(t.Context(), nil); err != nil || form.Get("client_assertion") == "" {
		t.Errorf("form %v, error %v", form, err)
	}
	// A call that takes no assertion is sent none.
	if _, err := api.Device.Authorize(t.Context(), nil); err != nil || form.Has("client_assertion") || form.Get("client_id") != "own-id" {
		t.Errorf("form %v, error %v", form, err)
	}
}

// With mTLS, calls that prove the application go to the aliases' host, others do
// not.
func TestMTLSAliases(t *testing.T) {
	t.Parallel()
	var hosts []string
	see := func(r *http.Request, _ string) answer {
		hosts = append(hosts, r.URL.Host+r.URL.Path)
		return replyJSON(200, `{"access_token":"a","sub":"u"}`)
	}
	aliases, err := auth0.New("mtls.example.auth0.com", auth0.WithHTTPClient(&http.Client{Transport: stub(see)}))
	if err != nil {
		t.Fatal(err)
	}
	api := authentication.New(newClient(t, see), authentication.MTLS("app", aliases))
	if _, err := api.OAuth.Refresh(t.Context(), &authentication.Refresh{RefreshToken: "r"}); err != nil {
		t.Fatal(err)
	}
	if _, err := api.OAuth.UserInfo(t.Context(), "token"); err != nil {
		t.Fatal(err)
	}
	if want := []string{"mtls.example.auth0.com/oauth/token", "example.auth0.com/userinfo"}; fmt.Sprint(hosts) != fmt.Sprint(want) {
		t.Errorf("sent to %v, want %v", hosts, want)
	}
}

// A server that wants a nonce gets it: at the token endpoint by the error code,
// at /userinfo by the challenge. The call is made twice, and later proofs have
// the nonce from the start.
func TestDPoP(t *testing.T) {
	t.Parallel()
	key := ecKey(t, elliptic.P256())
	d, err := authentication.NewDPoP(remoteKey{key}, "")
	if err != nil {
		t.Fatal(err)
	}
	thumbprint, err := d.Thumbprint()
	if err != nil {
		t.Fatal(err)
	}
	var seen []map[string]any
	api := authentication.New(newClient(t, func(r *http.Request, _ string) answer {
		header, claims := claimsOf(t, r.Header.Get("DPoP"), key.Public(), "ES256")
		data, _ := json.Marshal(header["jwk"])
		var jwk jose.JSONWebKey
		if err := json.Unmarshal(data, &jwk); err != nil || !jwk.IsPublic() || header["typ"] != "dpop+jwt" || header["alg"] != "ES256" {
			t.Errorf("header %v: %v", header, err)
		}
		if sum, err := jwk.Thumbprint(crypto.SHA256); err != nil || base64.RawURLEncoding.EncodeToString(sum) != thumbprint {
			t.Errorf("thumbprint %x, want %s", sum, thumbprint)
		}
		seen = append(seen, claims)
		userinfo := r.URL.Path == "/userinfo"
		switch nonce := claims["nonce"]; {
		case userinfo && nonce != "n2":
			return replyJSON(401, "", "DPoP-Nonce", "n2", "WWW-Authenticate", `DPoP error="use_dpop_nonce"`)
		case !userinfo && nonce != "n1":
			return replyJSON(400, `{"error":"use_dpop_nonce","error_description":"a nonce is needed"}`, "DPoP-Nonce", "n1")
		}
		return replyJSON(200, `{"access_token":"the-token","token_type":"DPoP","sub":"u"}`)
	}), authentication.None("app"), authentication.DPoPBound(d))
	code := &authentication.CodeExchange{Code: "c", CodeVerifier: "v"}
	for range 2 {
		if _, err := api.OAuth.ExchangeCode(t.Context(), code); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := api.OAuth.UserInfo(t.Context(), "the-token"); err != nil {
		t.Fatal(err)
	}
	if len(seen) != 5 {
		t.Fatalf("%d requests, want 2 + 1 + 2", len(seen))
	}
	ids := map[any]bool{}
	for i, claims := range seen {
		ids[claims["jti"]] = true
		path, method := "/oauth/token", "POST"
		if i >= 3 {
			path, method = "/userinfo", "GET"
		}
		if claims["htu"] != "https://example.auth0.com"+path || claims["htm"] != method {
			t.Errorf("proof %d is of %v %v", i, claims["htm"], claims["htu"])
		}
		_, hasHash := claims["ath"]
		if hasHash != (i >= 3) {
			t.Errorf("proof %d: ath %v", i, claims["ath"])
		}
	}
	sum := sha256.Sum256([]byte("the-token"))
	if seen[4]["ath"] != base64.RawURLEncoding.EncodeToString(sum[:]) {
		t.Errorf("ath %v", seen[4]["ath"])
	}
	if len(ids) != 5 {
		t.Errorf("%d ids for 5 proofs", len(ids))
	}
}

// A server that is never content with a nonce gets two requests, not more.
func TestDPoPNonceIsTriedOnce(t *testing.T) {
	t.Parallel()
	d, err := authentication.NewDPoP(edKey(t), "")
	if err != nil {
		t.Fatal(err)
	}
	sent := 0
	api := authentication.New(newClient(t, func(*http.Request, string) answer {
		sent++
		return replyJSON(400, `{"error":"use_dpop_nonce"}`, "DPoP-Nonce", fmt.Sprint(sent))
	}), authentication.None("app"), authentication.DPoPBound(d))
	_, err = api.OAuth.Refresh(t.Context(), &authentication.Refresh{RefreshToken: "r"})
	if sent != 2 || authentication.CodeOf(err) != authentication.UseDPoPNonce {
		t.Errorf("%d requests, error %v", sent, err)
	}
}

// A proof is made when the throttle has let the request pass, not when the call
// was made: an old one would be refused.
func TestDPoPProofIsFreshAfterAWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		key := edKey(t)
		d, err := authentication.NewDPoP(key, "")
		if err != nil {
			t.Fatal(err)
		}
		sent := 0
		c := newClient(t, func(r *http.Request, _ string) answer {
			sent++
			if sent == 1 {
				return replyJSON(429, `{"error":"too_many_requests"}`, "Retry-After", "30")
			}
			_, claims := claimsOf(t, r.Header.Get("DPoP"), key.Public(), "EdDSA")
			if claims["iat"] != float64(time.Now().Unix()) {
				t.Errorf("proof of %v at %v", claims["iat"], time.Now().Unix())
			}
			return replyJSON(200, `{"access_token":"a"}`)
		}, auth0.WithMaxRejections(3))
		start := time.Now()
		api := authentication.New(c, authentication.None("app"), authentication.DPoPBound(d))
		if _, err := api.OAuth.Refresh(t.Context(), &authentication.Refresh{RefreshToken: "r"}); err != nil {
			t.Fatal(err)
		}
		if sent != 2 || time.Since(start) < 30*time.Second {
			t.Errorf("%d requests in %v", sent, time.Since(start))
		}
	})
}

// A signer that fails, as a key service may, is the error of the call.
func TestSignerFails(t *testing.T) {
	t.Parallel()
	api := authentication.New(newClient(t, func(*http.Request, string) answer { return replyJSON(200, "{}") }),
		authentication.PrivateKeyJWT(auth0.PrivateKey{ClientID: "app", Signer: brokenKey{rsaKey(t, "client")}}))
	if _, err := api.OAuth.ClientCredentials(t.Context(), nil); !errors.Is(err, errBroken) {
		t.Errorf("error %v", err)
	}
}

var errBroken = errors.New("the key service is down")

type brokenKey struct{ crypto.Signer }

func (brokenKey) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return nil, errBroken }

// A key signs calls to one's own API too, and learns its nonces apart from
// those of the tenant.
func TestDPoPForOwnAPI(t *testing.T) {
	t.Parallel()
	if _, err := authentication.NewDPoP(nil, ""); err == nil {
		t.Error("a key without a signer was accepted")
	}
	if _, err := authentication.NewDPoP(rsaKey(t, "dpop"), "ES256"); err == nil {
		t.Error("an algorithm that does not fit was accepted")
	}
	key := ecKey(t, elliptic.P384())
	d, err := authentication.NewDPoP(key, "")
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "https://API.example.com/a%2Fb?c=d#e", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	sign := func() map[string]any {
		if err := d.Sign(req, "tok"); err != nil {
			t.Fatal(err)
		}
		_, claims := claimsOf(t, req.Header.Get("DPoP"), key.Public(), "ES384")
		return claims
	}
	claims := sign()
	if req.Header.Get("Authorization") != "DPoP tok" || claims["htu"] != "https://API.example.com/a%2Fb" || claims["htm"] != "PUT" || claims["nonce"] != nil {
		t.Errorf("%v, claims %v", req.Header, claims)
	}
	remember := func(status int, nonce, challenge string) bool {
		resp := http.Response{StatusCode: status, Request: req, Header: http.Header{}}
		resp.Header.Set("DPoP-Nonce", nonce)
		resp.Header.Set("WWW-Authenticate", challenge)
		return d.Remember(&resp)
	}
	if !remember(401, "n1", `DPoP error="use_dpop_nonce"`) || sign()["nonce"] != "n1" {
		t.Errorf("nonce %v", sign()["nonce"])
	}
	if remember(200, "n2", "") || sign()["nonce"] != "n2" {
		t.Errorf("nonce %v", sign()["nonce"])
	}
	if remember(401, "", `DPoP error="use_dpop_nonce"`) || sign()["nonce"] != "n2" {
		t.Errorf("nonce %v", sign()["nonce"])
	}
	other, err := d.Proof("GET", &url.URL{Scheme: "https", Host: "other.example.com", Path: "/"}, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, claims := claimsOf(t, other, key.Public(), "ES384"); claims["nonce"] != nil || claims["ath"] != nil {
		t.Errorf("claims %v", claims)
	}
}

// A redirect to another host takes neither token nor proof there.
func TestProofsStayOnTheTenantsHost(t *testing.T) {
	t.Parallel()
	d, err := authentication.NewDPoP(edKey(t), "")
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := 0
	api := authentication.New(newClient(t, func(r *http.Request, _ string) answer {
		if r.URL.Host == "example.auth0.com" {
			if r.Header.Get("DPoP") == "" {
				t.Error("no proof for the tenant")
			}
			return reply(302, "text/html", "", "Location", "https://evil.example/userinfo")
		}
		elsewhere++
		if r.Header.Get("Authorization") != "" || r.Header.Get("DPoP") != "" {
			t.Errorf("sent elsewhere: %v", r.Header)
		}
		return replyJSON(200, `{"sub":"x"}`)
	}), authentication.None("app"), authentication.DPoPBound(d))
	if _, err := api.OAuth.UserInfo(t.Context(), "token"); err != nil || elsewhere != 1 {
		t.Errorf("%d requests elsewhere, %v", elsewhere, err)
	}
}

// transport is a tenant made of a function that sees contexts and may fail.
type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		_ = r.Body.Close()
	}
	return f(r)
}

// Calls whose header proves something are sent by the client that New was given,
// with all that it was set up with.
func TestProvingCallsKeepTheClientsSettings(t *testing.T) {
	t.Parallel()
	d, err := authentication.NewDPoP(edKey(t), "")
	if err != nil {
		t.Fatal(err)
	}
	for name, opts := range map[string][]authentication.Option{
		"basic":          {authentication.ClientSecretBasic("app", "secret")},
		"DPoP":           {authentication.None("app"), authentication.DPoPBound(d)},
		"basic and DPoP": {authentication.ClientSecretBasic("app", "secret"), authentication.DPoPBound(d)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var seen []*http.Request
				hang := false
				tenant := transport(func(r *http.Request) (*http.Response, error) {
					seen = append(seen, r)
					if hang {
						<-r.Context().Done()
						return nil, r.Context().Err()
					}
					a := replyJSON(200, `{"access_token":"a"}`, "Set-Cookie", "did=device-1; Path=/")
					return &http.Response{StatusCode: a.status, Header: a.header, Body: io.NopCloser(strings.NewReader(a.body)), Request: r}, nil
				})
				jar, err := cookiejar.New(nil)
				if err != nil {
					t.Fatal(err)
				}
				const attempt, whole = 2 * time.Second, 5 * time.Second
				call := func(o ...auth0.Option) (time.Duration, error) {
					c := newClient(t, nil, append([]auth0.Option{
						auth0.WithHTTPClient(&http.Client{Transport: tenant, Jar: jar, Timeout: whole}),
						auth0.WithUserAgent("our-app/7"), auth0.WithAttemptTimeout(attempt),
					}, o...)...)
					start := time.Now()
					_, err := authentication.New(c, opts...).OAuth.Refresh(t.Context(), &authentication.Refresh{RefreshToken: "r"})
					return time.Since(start), err
				}
				for range 2 {
					if _, err := call(); err != nil {
						t.Fatal(err)
					}
				}
				for i, cookie := range []string{"", "did=device-1"} {
					h := seen[i].Header
					if !strings.HasPrefix(h.Get("User-Agent"), "our-app/7") || h.Get("Cookie") != cookie {
						t.Errorf("call %d: user agent %q, cookie %q, want %q", i, h.Get("User-Agent"), h.Get("Cookie"), cookie)
					}
					if strings.Contains(name, "basic") != strings.HasPrefix(h.Get("Authorization"), "Basic ") || strings.Contains(name, "DPoP") != (h.Get("DPoP") != "") {
						t.Errorf("call %d: header %v", i, h)
					}
				}
				hang = true
				if took, err := call(); took != attempt || !errors.Is(err, auth0.ErrAttemptTimeout) {
					t.Errorf("after %v: %v, want the attempt's timeout after %v", took, err, attempt)
				}
				if took, err := call(auth0.WithAttemptTimeout(0)); took != whole || err == nil {
					t.Errorf("after %v: %v, want the client's timeout after %v", took, err, whole)
				}
			})
		})
	}
}

// The options of a call reach calls with a proof like any others, and the proof
// is made anew for each attempt.
func TestProofForEachAttempt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		key := edKey(t)
		d, err := authentication.NewDPoP(key, "")
		if err != nil {
			t.Fatal(err)
		}
		ids := map[any]bool{}
		api := authentication.New(newClient(t, func(r *http.Request, _ string) answer {
			_, claims := claimsOf(t, r.Header.Get("DPoP"), key.Public(), "EdDSA")
			ids[claims["jti"]] = true
			if len(ids) < 3 {
				return replyJSON(502, "{}")
			}
			return replyJSON(200, `{"sub":"u"}`)
		}, auth0.WithRetries(2)), authentication.None("app"), authentication.DPoPBound(d))
		var own bool
		u, err := api.OAuth.UserInfo(t.Context(), "token", auth0.Prepare(func(r *http.Request) error {
			own = r.Header.Get("DPoP") != ""
			return nil
		}))
		if err != nil || u.Subject != "u" || len(ids) != 3 || !own {
			t.Errorf("%+v, %v after %d proofs, seen by the caller: %v", u, err, len(ids), own)
		}
	})
}

// A caller that captures the answer gets the last one, and the nonce is learnt
// all the same.
func TestDPoPWithACaptureOfTheCallers(t *testing.T) {
	t.Parallel()
	key := edKey(t)
	d, err := authentication.NewDPoP(key, "")
	if err != nil {
		t.Fatal(err)
	}
	sent := 0
	api := authentication.New(newClient(t, func(r *http.Request, _ string) answer {
		sent++
		if _, claims := claimsOf(t, r.Header.Get("DPoP"), key.Public(), "EdDSA"); claims["nonce"] != "n1" {
			return replyJSON(401, "", "DPoP-Nonce", "n1", "WWW-Authenticate", `DPoP error="use_dpop_nonce"`)
		}
		return replyJSON(200, `{"sub":"u"}`, "X-Request-Id", "the-second")
	}), authentication.None("app"), authentication.DPoPBound(d))
	var meta auth0.Meta
	if _, err := api.OAuth.UserInfo(t.Context(), "token", auth0.Capture(&meta)); err != nil || sent != 2 || meta.Status != 200 || meta.Header.Get("X-Request-ID") != "the-second" {
		t.Errorf("%v after %d requests, captured %d %v", err, sent, meta.Status, meta.Header)
	}
}

// An application that signs gets its tokens however long the throttle holds its
// calls back: an assertion holds for two minutes.
func TestAssertionsAreFreshAfterAWait(t *testing.T) {
	t.Parallel()
	key := auth0.PrivateKey{ClientID: "signs", Signer: ecKey(t, elliptic.P256())}
	for name, c := range map[string]struct {
		client []auth0.Option
		api    []authentication.Option
	}{
		"own key":          {nil, []authentication.Option{authentication.PrivateKeyJWT(key)}},
		"the client's key": {[]auth0.Option{auth0.WithPrivateKey(key)}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				slow := &ratelimit.Plan{Name: "slow", Buckets: []ratelimit.Bucket{{
					Name: "tokens", API: "authentication", Burst: 1, Rate: ratelimit.Rate{Count: 1, Per: 3 * time.Minute},
					Matches: []ratelimit.Match{{Method: "POST", Path: "/oauth/token"}},
				}}}
				tenant := auth0test.MustNew(auth0test.Options{
					Plan: slow, Audiences: []string{"https://api.example.com"}, Clients: []auth0test.Client{{ID: "signs", Keys: []crypto.PublicKey{key.Signer.Public()}}},
				})
				client, err := auth0.New(tenant.Domain(), append(c.client, auth0.WithOwnPlan(slow), auth0.WithHTTPClient(&http.Client{Transport: tenant}))...)
				if err != nil {
					t.Fatal(err)
				}
				api, start := authentication.New(client, c.api...), time.Now()
				for range 2 {
					if _, err := api.OAuth.ClientCredentials(t.Context(), &authentication.ClientCredentials{Audience: "https://api.example.com"}); err != nil {
						t.Errorf("after %v: %v", time.Since(start), err)
					}
				}
				if took := time.Since(start); took < 3*time.Minute {
					t.Errorf("both were over after %v", took)
				}
			})
		})
	}
}

// Calls whose body is JSON have assertions of their own for each attempt too.
func TestAssertionsInJSON(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		key := ecKey(t, elliptic.P256())
		seen := map[any]bool{}
		api := authentication.New(newClient(t, func(r *http.Request, body string) answer {
			var m map[string]string
			if err := json.Unmarshal([]byte(body), &m); err != nil || m["mfa_token"] != "m" || r.ContentLength != int64(len(body)) {
				t.Errorf("%d bytes announced, %d came: %v", r.ContentLength, len(body), err)
			}
			_, claims := claimsOf(t, m["client_assertion"], key.Public(), "ES256")
			seen[claims["jti"]] = true
			if len(seen) < 3 {
				return replyJSON(429, `{"error":"too_many_requests"}`, "Retry-After", "30")
			}
			return replyJSON(200, `{"challenge_type":"otp"}`)
		}, auth0.WithMaxRejections(3)), authentication.PrivateKeyJWT(auth0.PrivateKey{ClientID: "app", Signer: key}))
		if _, err := api.MFA.Challenge(t.Context(), &authentication.MFAChallengeRequest{MFAToken: "m"}); err != nil || len(seen) != 3 {
			t.Errorf("%d assertions, error %v", len(seen), err)
		}
	})
}
