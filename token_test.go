package auth0_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headroom-go/auth0"
)

// tenantWithTokens answers token requests with t1, t2, ... of one hour, and
// everything else with 200 when it carries the current token.
type tenantWithTokens struct {
	mu       sync.Mutex
	fetches  int
	calls    int
	revoked  string
	life     int
	delay    time.Duration
	lastForm url.Values
}

func (s *tenantWithTokens) stub(t *testing.T) stub {
	t.Helper()
	return func(r *http.Request) (*http.Response, error) {
		if r.URL.Path == "/oauth/token" {
			b, _ := io.ReadAll(r.Body)
			s.mu.Lock()
			delay := s.delay
			s.mu.Unlock()
			time.Sleep(delay)
			s.mu.Lock()
			defer s.mu.Unlock()
			s.fetches++
			s.lastForm, _ = url.ParseQuery(string(b))
			return replyJSON(200, fmt.Sprintf(`{"access_token":"t%d","expires_in":%d,"token_type":"Bearer"}`, s.fetches, s.life)), nil
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.calls++
		switch a := r.Header["Authorization"]; {
		case len(a) != 1 || !strings.HasPrefix(a[0], "Bearer t"):
			t.Errorf("Authorization %q", a)
		case a[0] == "Bearer "+s.revoked:
			return replyJSON(401, `{"statusCode":401,"error":"Unauthorized","message":"Invalid token"}`), nil
		}
		return replyJSON(200, "{}"), nil
	}
}

func get(ctx context.Context, c *auth0.Client) error {
	_, err := auth0.Call[auth0.NoContent](ctx, c, "GET", "/api/v2/clients", nil, nil, nil, nil)
	return err
}

func TestTokenIsFetchedOnceForMany(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tenant := &tenantWithTokens{life: 3600, delay: time.Second}
		c := newClient(t, tenant.stub(t), auth0.WithClientSecret("id", "secret"))
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				if err := get(t.Context(), c); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if tenant.fetches != 1 || tenant.calls != 100 {
			t.Errorf("%d fetches for %d calls", tenant.fetches, tenant.calls)
		}
		f := tenant.lastForm
		if f.Get("grant_type") != "client_credentials" || f.Get("client_id") != "id" || f.Get("client_secret") != "secret" || f.Get("audience") != "https://example.auth0.com/api/v2/" {
			t.Errorf("form %v", f)
		}
	})
}

// The caller that started a fetch may give up: the others get its token. A
// caller's own context ends its own wait.
func TestTokenFetchOutlivesItsFirstCaller(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tenant := &tenantWithTokens{life: 3600, delay: 10 * time.Second}
		c := newClient(t, tenant.stub(t), auth0.WithClientSecret("id", "secret"))
		start := time.Now()
		var wg sync.WaitGroup
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if err := get(ctx, c); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
				t.Errorf("first: %v after %v", err, time.Since(start))
			}
		})
		synctest.Wait()
		wg.Go(func() {
			if err := get(t.Context(), c); err != nil || time.Since(start) != 10*time.Second {
				t.Errorf("second: %v after %v", err, time.Since(start))
			}
		})
		wg.Wait()
		if tenant.fetches != 1 {
			t.Errorf("%d fetches", tenant.fetches)
		}
	})
}

// A fetch that nobody waits for any more ends, and the next call starts afresh.
func TestTokenFetchEndsWithItsLastCaller(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ended := 0
		c := newClient(t, func(*http.Request) (*http.Response, error) { return replyJSON(200, "{}"), nil },
			auth0.WithTokenSource(auth0.TokenSourceFunc(func(ctx context.Context) (auth0.Token, error) {
				<-ctx.Done()
				ended++
				return auth0.Token{}, ctx.Err()
			})))
		for range 2 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			err := get(ctx, c)
			cancel()
			if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "no access token in time") {
				t.Errorf("%v; it has to say what the call waited for", err)
			}
			synctest.Wait()
		}
		if ended != 2 {
			t.Errorf("%d fetches ended", ended)
		}
	})
}

// A token of an hour is refreshed in its last five minutes while calls go on
// with the old one, and not used in its last ten seconds.
func TestTokenIsRefreshedAhead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tenant := &tenantWithTokens{life: 3600}
		c := newClient(t, tenant.stub(t), auth0.WithClientSecret("id", "secret"))
		token := func() string {
			tok, err := c.Token(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return tok.AccessToken
		}
		at := func(d time.Duration, want string, fetches int) {
			t.Helper()
			if got := token(); got != want {
				t.Errorf("at %v: %s, want %s", d, got, want)
			}
			synctest.Wait()
			tenant.mu.Lock()
			defer tenant.mu.Unlock()
			if tenant.fetches != fetches {
				t.Errorf("at %v: %d fetches, want %d", d, tenant.fetches, fetches)
			}
		}
		at(0, "t1", 1)
		time.Sleep(54 * time.Minute)
		at(54*time.Minute, "t1", 1)
		tenant.mu.Lock()
		tenant.delay = time.Second
		tenant.mu.Unlock()
		time.Sleep(2 * time.Minute) // four minutes left
		at(56*time.Minute, "t1", 1) // the refresh has begun
		time.Sleep(2 * time.Second)
		at(56*time.Minute+2*time.Second, "t2", 2)
		time.Sleep(time.Hour - 5*time.Second) // past the leeway of the second
		at(2*time.Hour, "t3", 3)
	})
}

// While refreshing fails, calls go on with the token that there is, and the source
// is asked every ten seconds, however many calls there are.
func TestTokenRefreshThatFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var fetches atomic.Int32
		c := newClient(t, func(*http.Request) (*http.Response, error) { return replyJSON(200, "{}"), nil },
			auth0.WithTokenSource(auth0.TokenSourceFunc(func(context.Context) (auth0.Token, error) {
				if fetches.Add(1) > 1 {
					return auth0.Token{}, errors.New("the quota of tokens is used up")
				}
				return auth0.Token{AccessToken: "t", Expiry: time.Now().Add(time.Hour)}, nil
			})))
		if err := get(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		time.Sleep(55 * time.Minute) // five left
		for range 600 {              // one of them, ten calls a second
			if err := get(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			time.Sleep(100 * time.Millisecond)
		}
		if n := fetches.Load(); n != 1+6 {
			t.Errorf("%d fetches, want the first and one each ten seconds of a minute", n)
		}
	})
}

// After a 401 one fresh token is tried, whatever the method; a second 401 is
// the caller's.
func TestTokenIsRefreshedOnceAfter401(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tenant := &tenantWithTokens{life: 3600}
		c := newClient(t, tenant.stub(t), auth0.WithClientSecret("id", "secret"))
		if err := get(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		tenant.revoked = "t1"
		var m auth0.Meta
		_, err := auth0.Call[auth0.NoContent](t.Context(), c, "POST", "/api/v2/clients", nil, nil, map[string]string{}, []auth0.RequestOption{auth0.Capture(&m)})
		if err != nil || tenant.fetches != 2 || tenant.calls != 3 || m.Attempts != 2 {
			t.Errorf("%v, %d fetches, %d calls, %d attempts", err, tenant.fetches, tenant.calls, m.Attempts)
		}
	})
	for name, source := range map[string]auth0.Option{
		"fixed": auth0.WithToken("t-bad"),
		"same again": auth0.WithTokenSource(auth0.TokenSourceFunc(func(context.Context) (auth0.Token, error) {
			return auth0.Token{AccessToken: "t-bad", Expiry: time.Now().Add(time.Hour)}, nil
		})),
	} {
		tenant := &tenantWithTokens{revoked: "t-bad"}
		err := get(t.Context(), newClient(t, tenant.stub(t), source))
		var e *auth0.Error
		if !errors.As(err, &e) || e.Status != 401 || tenant.calls != 1 {
			t.Errorf("%s: %v after %d calls", name, err, tenant.calls)
		}
	}
	n := 0
	tenant := func(*http.Request) (*http.Response, error) { return replyJSON(401, "{}"), nil }
	err := get(t.Context(), newClient(t, tenant, auth0.WithTokenSource(auth0.TokenSourceFunc(func(context.Context) (auth0.Token, error) {
		n++
		return auth0.Token{AccessToken: fmt.Sprint("t", n)}, nil
	}))))
	if !errors.Is(err, auth0.ErrUnauthorized) || n != 2 {
		t.Errorf("%v after %d tokens", err, n)
	}
}

// A call that cannot be repeated leaves the refused token behind for the next one.
func TestTokenIsDroppedAfter401OfAStream(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tenant := &tenantWithTokens{life: 3600, revoked: "t1"}
		c := newClient(t, tenant.stub(t), auth0.WithClientSecret("id", "secret"))
		upload := func() error {
			stream := struct{ io.Reader }{strings.NewReader("x")} // can be read once
			_, err := auth0.Call[auth0.NoContent](t.Context(), c, "POST", "/api/v2/x", nil, nil, stream, []auth0.RequestOption{auth0.ContentType("text/plain")})
			return err
		}
		if err := upload(); !errors.Is(err, auth0.ErrUnauthorized) || tenant.fetches != 1 {
			t.Errorf("%v after %d tokens", err, tenant.fetches)
		}
		if err := upload(); err != nil || tenant.fetches != 2 {
			t.Errorf("%v after %d tokens", err, tenant.fetches)
		}
	})
}

// A failed fetch is not remembered.
func TestTokenFailureIsNotKept(t *testing.T) {
	t.Parallel()
	n := 0
	c := newClient(t, func(*http.Request) (*http.Response, error) { return replyJSON(200, "{}"), nil },
		auth0.WithTokenSource(auth0.TokenSourceFunc(func(context.Context) (auth0.Token, error) {
			if n++; n == 1 {
				return auth0.Token{}, errors.New("not yet")
			}
			return auth0.Token{AccessToken: "t"}, nil
		})))
	if err := get(t.Context(), c); err == nil {
		t.Error("no error")
	}
	if err := get(t.Context(), c); err != nil {
		t.Error(err)
	}
}

// oauthToken and oauthSource have the shape of golang.org/x/oauth2's.
type oauthToken struct{ AccessToken string }

func (t *oauthToken) SetAuthHeader(r *http.Request) {
	r.Header.Set("Authorization", "Bearer "+t.AccessToken)
}

type oauthSource interface{ Token() (*oauthToken, error) }

type oauthCounter struct{ n atomic.Int32 }

func (s *oauthCounter) Token() (*oauthToken, error) {
	if s.n.Add(1) == 3 {
		return nil, errors.New("third time unlucky")
	}
	return &oauthToken{fmt.Sprint("t", s.n.Load())}, nil
}

func TestOAuth2SourcesAreAskedEachTime(t *testing.T) {
	t.Parallel()
	var src oauthSource = &oauthCounter{}
	var seen []string
	c := newClient(t, func(r *http.Request) (*http.Response, error) {
		seen = append(seen, r.Header.Get("Authorization"))
		return replyJSON(200, "{}"), nil
	}, auth0.WithTokenSource(auth0.OAuth2(src)))
	for i := range 3 {
		if err := get(t.Context(), c); (err != nil) != (i == 2) {
			t.Error(err)
		}
	}
	if fmt.Sprint(seen) != "[Bearer t1 Bearer t2]" {
		t.Errorf("%q", seen)
	}
}

// foreignSigner is a key that lives elsewhere: nothing but crypto.Signer.
type foreignSigner struct{ crypto.Signer }

func TestPrivateKeyAssertions(t *testing.T) {
	t.Parallel()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	curves := map[string]*ecdsa.PrivateKey{}
	for name, curve := range map[string]elliptic.Curve{"ES256": elliptic.P256(), "ES384": elliptic.P384(), "ES512": elliptic.P521()} {
		if curves[name], err = ecdsa.GenerateKey(curve, rand.Reader); err != nil {
			t.Fatal(err)
		}
	}
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	hashes := map[string]crypto.Hash{"256": crypto.SHA256, "384": crypto.SHA384, "512": crypto.SHA512}
	for _, tt := range []struct {
		name   string
		signer crypto.Signer
		alg    string // asked for
		want   string
	}{
		{"RSA", rsaKey, "", "RS256"}, {"RSA elsewhere", foreignSigner{rsaKey}, "", "RS256"},
		{"RS384", rsaKey, "RS384", "RS384"}, {"RS512", rsaKey, "RS512", "RS512"}, {"PS256", rsaKey, "PS256", "PS256"}, {"PS384", rsaKey, "PS384", "PS384"}, {"PS512", rsaKey, "PS512", "PS512"},
		{"P-256", curves["ES256"], "", "ES256"}, {"P-384", curves["ES384"], "", "ES384"}, {"P-521", curves["ES512"], "", "ES512"},
		{"Ed25519", edKey, "", "EdDSA"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				tenant := &tenantWithTokens{life: 3600}
				c := newClient(t, tenant.stub(t), auth0.WithPrivateKey(auth0.PrivateKey{ClientID: "app", Signer: tt.signer, KeyID: "k1", Algorithm: tt.alg}))
				if err := get(t.Context(), c); err != nil {
					t.Fatal(err)
				}
				f := tenant.lastForm
				if f.Get("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" || f.Get("client_id") != "app" || f.Has("client_secret") {
					t.Errorf("form %v", f)
				}
				parts := strings.Split(f.Get("client_assertion"), ".")
				if len(parts) != 3 {
					t.Fatalf("assertion %q", f.Get("client_assertion"))
				}
				var header struct{ Alg, Typ, Kid string }
				var claims struct {
					Iss, Sub, Aud, Jti string
					Iat, Exp           int64
				}
				decodePart(t, parts[0], &header)
				decodePart(t, parts[1], &claims)
				now := time.Now().Unix()
				if header.Alg != tt.want || header.Typ != "JWT" || header.Kid != "k1" ||
					claims.Iss != "app" || claims.Sub != "app" || claims.Aud != "https://example.auth0.com/" || claims.Iat != now || claims.Exp != now+120 || len(claims.Jti) != 32 {
					t.Errorf("header %+v claims %+v", header, claims)
				}
				signature, err := base64.RawURLEncoding.DecodeString(parts[2])
				if err != nil {
					t.Fatal(err)
				}
				text := []byte(parts[0] + "." + parts[1])
				if !verify(tt.signer.Public(), header.Alg, hashes[strings.TrimLeft(tt.want, "RPES")], text, signature) {
					t.Error("the signature does not hold")
				}
			})
		})
	}
}

func verify(pub crypto.PublicKey, alg string, hash crypto.Hash, text, signature []byte) bool {
	var digest []byte
	if hash != 0 {
		h := hash.New()
		h.Write(text)
		digest = h.Sum(nil)
	}
	switch pub := pub.(type) {
	case *rsa.PublicKey:
		if alg[0] == 'P' {
			return rsa.VerifyPSS(pub, hash, digest, signature, &rsa.PSSOptions{SaltLength: hash.Size()}) == nil
		}
		return rsa.VerifyPKCS1v15(pub, hash, digest, signature) == nil
	case *ecdsa.PublicKey:
		half := (pub.Curve.Params().BitSize + 7) / 8
		return len(signature) == 2*half && ecdsa.Verify(pub, digest, new(big.Int).SetBytes(signature[:half]), new(big.Int).SetBytes(signature[half:]))
	case ed25519.PublicKey:
		return ed25519.Verify(pub, text, signature)
	}
	return false
}

func decodePart(t *testing.T, part string, into any) {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, into); err != nil {
		t.Fatal(err)
	}
}

// brokenSigner signs nothing that anybody could use.
type brokenSigner struct {
	crypto.Signer
	answer []byte
	err    error
}

func (s brokenSigner) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return s.answer, s.err
}

func TestPrivateKeysAreChecked(t *testing.T) {
	t.Parallel()
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, k := range map[string]auth0.PrivateKey{
		"no client": {Signer: ec}, "no signer": {ClientID: "x"}, "another key's algorithm": {ClientID: "x", Signer: ec, Algorithm: "RS256"},
		"another curve": {ClientID: "x", Signer: ec, Algorithm: "ES384"}, "none": {ClientID: "x", Signer: ec, Algorithm: "none"},
		"HMAC": {ClientID: "x", Signer: ec, Algorithm: "HS256"}, "P-224": {ClientID: "x", Signer: p224},
	} {
		if _, err := auth0.New("example.auth0.com", auth0.WithPrivateKey(k)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	sealed := errors.New("HSM is sealed")
	for name, s := range map[string]brokenSigner{"error": {ec, nil, sealed}, "no ASN.1": {ec, []byte("xx"), nil}} {
		c := newClient(t, func(*http.Request) (*http.Response, error) { t.Error("sent"); return reply(200, nil, ""), nil },
			auth0.WithPrivateKey(auth0.PrivateKey{ClientID: "x", Signer: s}))
		if err := get(t.Context(), c); err == nil || s.err != nil && !errors.Is(err, sealed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestClientWithoutCredentials(t *testing.T) {
	t.Parallel()
	var sent http.Header
	c, err := auth0.New("example.auth0.com", auth0.WithLimiter(roomy(t)), auth0.WithHTTPClient(&http.Client{Transport: stub(func(r *http.Request) (*http.Response, error) {
		sent = r.Header
		return replyJSON(200, "{}"), nil
	})}))
	if err != nil {
		t.Fatal(err)
	}
	if err := get(t.Context(), c); err != nil || sent["Authorization"] != nil {
		t.Errorf("%v, %v", err, sent)
	}
	if _, err := c.Token(t.Context()); err == nil {
		t.Error("a token from nowhere")
	}
	if err := c.AddClientAuth(url.Values{}); err == nil {
		t.Error("credentials from nowhere")
	}
}

// A token is asked for again with another assertion: a tenant takes each once,
// and it has taken that of an attempt whose answer was lost.
func TestEachAttemptHasAnAssertionOfItsOwn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		tenant := &tenantWithTokens{life: 3600}
		used := map[string]bool{}
		c := newClient(t, func(r *http.Request) (*http.Response, error) {
			resp, err := tenant.stub(t)(r)
			if r.URL.Path == "/oauth/token" {
				if assertion := tenant.lastForm.Get("client_assertion"); assertion == "" || used[assertion] {
					return replyJSON(401, `{"error":"invalid_client","error_description":"used before"}`), nil
				}
				used[tenant.lastForm.Get("client_assertion")] = true
				if len(used) == 1 {
					return reply(502, nil, ""), nil
				}
			}
			return resp, err
		}, auth0.WithPrivateKey(auth0.PrivateKey{ClientID: "app", Signer: key}))
		if err := get(t.Context(), c); err != nil || len(used) != 2 {
			t.Errorf("%d assertions were taken: %v", len(used), err)
		}
	})
}

// A client on a custom domain names the audience of the tenant's own; packages
// of other APIs take the application's proof from the client.
func TestAudienceAndClientAuth(t *testing.T) {
	t.Parallel()
	tenant := &tenantWithTokens{life: 3600}
	c := newClient(t, tenant.stub(t), auth0.WithClientSecret("id", "secret"), auth0.WithAudience("https://tenant.eu.auth0.com/api/v2/"))
	if err := get(t.Context(), c); err != nil || tenant.lastForm.Get("audience") != "https://tenant.eu.auth0.com/api/v2/" {
		t.Errorf("%v, form %v", err, tenant.lastForm)
	}
	form := url.Values{"token": {"x"}}
	if err := c.AddClientAuth(form); err != nil || form.Encode() != "client_id=id&client_secret=secret&token=x" {
		t.Errorf("%v, form %v", err, form)
	}
}

// An answer without a lifetime does not make every call fetch a token.
func TestTokenWithoutALifetime(t *testing.T) {
	t.Parallel()
	tenant := &tenantWithTokens{}
	c := newClient(t, tenant.stub(t), auth0.WithClientSecret("id", "secret"))
	for range 3 {
		if err := get(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	if tenant.fetches != 1 {
		t.Errorf("%d fetches", tenant.fetches)
	}
}
