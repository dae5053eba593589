package authentication_test

import (
	"crypto"
	"crypto/elliptic"
	"errors"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headroom-go/auth0"
	"github.com/headroom-go/auth0/auth0test"
	"github.com/headroom-go/auth0/authentication"
	"github.com/headroom-go/auth0/ratelimit"
)

// What the tests' tenant has from the start.
const (
	flowAPI      = "https://api.example.com"
	flowCallback = "https://app.example.com/callback"
	flowLogout   = "https://app.example.com/"
	flowUser     = "ada@example.com"
	flowPhone    = "+4915112345678"
	flowPassword = "Analytical-Engine-1843"
)

// flow is a simulated tenant with an application and a user, and a client of it.
type flow struct {
	tenant *auth0test.Tenant
	client *auth0.Client
	api    *authentication.API

	mu    sync.Mutex
	later time.Duration // by which the tenant's clock is ahead
	seen  []string      // paths and statuses of the answers
}

func (f *flow) forward(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.later += d
}

// answers returns what the tenant has answered on a path so far.
func (f *flow) answers(path string) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []string
	for _, s := range f.seen {
		if status, ok := strings.CutPrefix(s, path+" "); ok {
			all = append(all, status)
		}
	}
	return all
}

func (f *flow) options(more func(*auth0test.Options)) auth0test.Options {
	o := auth0test.Options{
		PlanName:    "enterprise",
		Audiences:   []string{flowAPI},
		Connections: []auth0test.Connection{{Name: auth0test.DefaultConnection}, {Name: "email", Strategy: "email"}, {Name: "sms", Strategy: "sms"}},
		Clients: []auth0test.Client{{
			ID: "app", Secret: auth0test.DefaultClientSecret, Callbacks: []string{flowCallback}, LogoutURLs: []string{flowLogout}, RotateRefreshTokens: true,
		}, {
			ID: "public", Public: true, Callbacks: []string{flowCallback},
		}},
		Users: []auth0test.User{{ID: "ada", Email: flowUser, EmailVerified: true, Name: "Ada Lovelace", PhoneNumber: flowPhone, Password: flowPassword}},
		Observe: func(e auth0test.Event) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.seen = append(f.seen, e.Path+" "+http.StatusText(e.Status))
		},
	}
	if more != nil {
		more(&o)
	}
	return o
}

// newFlow serves a tenant over HTTP on this machine. Its clock is the real one,
// and is put forward where a person or a code takes its time.
func newFlow(t *testing.T, more func(*auth0test.Options), opts ...authentication.Option) *flow {
	t.Helper()
	f := &flow{}
	o := f.options(more)
	o.Clock = func() time.Time {
		f.mu.Lock()
		defer f.mu.Unlock()
		return time.Now().Add(f.later)
	}
	f.tenant = auth0test.MustNew(o)
	server := f.tenant.Server(t)
	f.connect(t, server.URL, nil, opts)
	t.Cleanup(f.client.CloseIdleConnections)
	return f
}

// newVirtualFlow is newFlow in memory, for the time of testing/synctest.
func newVirtualFlow(t *testing.T, more func(*auth0test.Options), opts ...authentication.Option) *flow {
	t.Helper()
	f := &flow{}
	f.tenant = auth0test.MustNew(f.options(more))
	f.connect(t, f.tenant.Domain(), []auth0.Option{auth0.WithHTTPClient(&http.Client{Transport: f.tenant})}, opts)
	return f
}

func (f *flow) connect(t *testing.T, domain string, client []auth0.Option, opts []authentication.Option) {
	t.Helper()
	var err error
	if f.client, err = auth0.New(domain, append(client, auth0.WithPlan("enterprise"), auth0.WithRetries(0), auth0.WithMaxRejections(0))...); err != nil {
		t.Fatal(err)
	}
	if opts == nil {
		opts = []authentication.Option{authentication.ClientSecretPost("app", auth0test.DefaultClientSecret)}
	}
	f.api = authentication.New(f.client, opts...)
}

func (f *flow) verifier(t *testing.T, clientID string) *authentication.Verifier {
	t.Helper()
	v, err := authentication.NewVerifier(f.client, authentication.VerifierOptions{ClientID: clientID, Audience: flowAPI})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// surfer is a person with a browser: an http.Client with a cookie jar that fills
// in the tenant's pages and stops where the application would take over.
type surfer struct {
	t      *testing.T
	client *http.Client
}

func newSurfer(t *testing.T) *surfer {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &surfer{t: t, client: &http.Client{Transport: transport, Jar: jar, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if r.URL.Host == "app.example.com" {
			return http.ErrUseLastResponse
		}
		return nil
	}}}
}

// visit asks for a page and returns it, or the URL of the application that the
// browser is sent to.
func (s *surfer) visit(method, target string, form url.Values) (page string, at, application *url.URL) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, target, strings.NewReader(form.Encode()))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := s.client.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if to, err := resp.Location(); err == nil {
		return "", nil, to
	}
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(data), resp.Request.URL, nil
}

var (
	formAction = regexp.MustCompile(`<form method="post" action="([^"]+)"`)
	formField  = regexp.MustCompile(`<input [^>]*name="([^"]+)"`)
)

// logIn follows a URL, fills in the forms that the tenant shows from answers, by
// the names of the fields, and returns the query that the application gets.
func (s *surfer) logIn(target string, answers map[string]string) url.Values {
	s.t.Helper()
	page, at, application := s.visit(http.MethodGet, target, nil)
	for range 3 {
		if application != nil {
			return application.Query()
		}
		m := formAction.FindStringSubmatch(page)
		if m == nil {
			s.t.Fatalf("no form on %s:\n%s", at, page)
		}
		to, err := at.Parse(html.UnescapeString(m[1]))
		if err != nil {
			s.t.Fatal(err)
		}
		form := url.Values{}
		for _, field := range formField.FindAllStringSubmatch(page, -1) {
			form.Set(field[1], answers[field[1]])
		}
		page, at, application = s.visit(http.MethodPost, to.String(), form)
	}
	s.t.Fatalf("the login does not end: %s\n%s", at, page)
	return nil
}

func byPassword() map[string]string {
	return map[string]string{"username": flowUser, "password": flowPassword}
}

// refusedAs holds an error to a code.
func refusedAs(t *testing.T, what string, err error, code authentication.ErrorCode) {
	t.Helper()
	if err == nil || authentication.CodeOf(err) != code {
		t.Errorf("%s: error %v, want %s", what, err, code)
	}
}

// A web login from the authorize URL to the last revocation.
func TestFlowOfAWebLogin(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]authentication.Option{
		"app":    authentication.ClientSecretBasic("app", auth0test.DefaultClientSecret),
		"public": authentication.None("public"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFlow(t, nil, o)
			ctx, api, verifier := t.Context(), f.api, f.verifier(t, name)
			maxAge := 300
			login := authentication.NewLogin(authentication.Authorize{
				RedirectURI: flowCallback, Scope: "openid profile email offline_access read:things", Audience: flowAPI, MaxAge: &maxAge,
			})
			browser := newSurfer(t)
			back := browser.logIn(api.OAuth.AuthorizeURL(&login.Authorize), byPassword())
			if back.Get("state") != login.Authorize.State || back.Get("code") == "" {
				t.Fatalf("the browser came back with %v", back)
			}
			stolen := *login
			stolen.CodeVerifier = strings.Repeat("x", 43)
			first, err := api.OAuth.FinishLogin(ctx, login, back)
			if err != nil {
				t.Fatal(err)
			}
			expect := login.Expect(first)
			id, err := verifier.IDToken(ctx, first.IDToken, expect)
			if err != nil {
				t.Fatal(err)
			}
			var user authentication.UserInfo
			if err := id.Decode(&user); err != nil || user.Subject != "auth0|ada" || user.Email != flowUser || !user.EmailVerified || user.Name != "Ada Lovelace" {
				t.Errorf("the ID token is of %s: %v", user.Subject, err)
			}
			if id.SessionID == "" || id.AuthTime.IsZero() || len(f.answers("/.well-known/jwks.json")) != 1 {
				t.Errorf("session %q, time %v; keys fetched %d times", id.SessionID, id.AuthTime, len(f.answers("/.well-known/jwks.json")))
			}
			expect.Nonce = "another"
			if _, err := verifier.IDToken(ctx, first.IDToken, expect); reason(err) != authentication.ReasonNonce {
				t.Errorf("with another nonce: %v", err)
			}
			access, err := verifier.AccessToken(ctx, first.AccessToken, authentication.ExpectAccess{Scopes: []string{"read:things"}})
			if err != nil || access.Subject != "auth0|ada" {
				t.Errorf("access token: %v", err)
			}
			if info, err := api.OAuth.UserInfo(ctx, first.AccessToken); err != nil || info.Subject != "auth0|ada" || info.Email != flowUser {
				t.Errorf("/userinfo: %v", err)
			}

			// The application of the secret rotates its refresh tokens.
			second, err := api.OAuth.Refresh(ctx, &authentication.Refresh{RefreshToken: first.RefreshToken})
			if err != nil || second.AccessToken == first.AccessToken || (second.RefreshToken != "") != (name == "app") {
				t.Fatalf("refresh: %v", err)
			}
			if _, err := verifier.IDToken(ctx, second.IDToken, authentication.Expect{AnyNonce: true, AccessToken: second.AccessToken}); err != nil {
				t.Errorf("the refreshed ID token: %v", err)
			}
			current := first.RefreshToken
			if second.RefreshToken != "" {
				current = second.RefreshToken
			}
			if err := api.OAuth.Revoke(ctx, current); err != nil {
				t.Fatal(err)
			}
			_, err = api.OAuth.Refresh(ctx, &authentication.Refresh{RefreshToken: current})
			refusedAs(t, "refresh after the revocation", err, authentication.InvalidGrant)

			_, err = api.OAuth.FinishLogin(ctx, login, back)
			refusedAs(t, "the code again", err, authentication.InvalidGrant)
			silent := authentication.NewLogin(authentication.Authorize{RedirectURI: flowCallback, Scope: "openid", Prompt: "none"})
			back = browser.logIn(api.OAuth.AuthorizeURL(&silent.Authorize), nil)
			stolen.Authorize.State = silent.Authorize.State
			_, err = api.OAuth.FinishLogin(ctx, &stolen, back)
			refusedAs(t, "a code with another verifier", err, authentication.InvalidGrant)
			back = newSurfer(t).logIn(api.OAuth.AuthorizeURL(&silent.Authorize), nil)
			_, err = api.OAuth.FinishLogin(ctx, silent, back)
			refusedAs(t, "a browser that nobody is logged in with", err, authentication.LoginRequired)
		})
	}
}

func reason(err error) authentication.Reason {
	if e, ok := errors.AsType[*authentication.TokenError](err); ok {
		return e.Reason
	}
	return ""
}

// A refresh token that is used twice ends all that came of its login.
func TestFlowOfAStolenRefreshToken(t *testing.T) {
	t.Parallel()
	f := newFlow(t, nil)
	first, err := f.api.OAuth.Password(t.Context(), &authentication.Password{Username: flowUser, Password: flowPassword, Scope: "openid offline_access"})
	if err != nil {
		t.Fatal(err)
	}
	second, err := f.api.OAuth.Refresh(t.Context(), &authentication.Refresh{RefreshToken: first.RefreshToken})
	if err != nil {
		t.Fatal(err)
	}
	for _, token := range []string{first.RefreshToken, second.RefreshToken} {
		_, err := f.api.OAuth.Refresh(t.Context(), &authentication.Refresh{RefreshToken: token})
		refusedAs(t, "refresh", err, authentication.InvalidGrant)
	}
}

// The logout ends the session of the browser, with the ID token as a hint.
func TestFlowOfALogout(t *testing.T) {
	t.Parallel()
	f := newFlow(t, nil)
	browser := newSurfer(t)
	again := func() url.Values {
		silent := authentication.NewLogin(authentication.Authorize{RedirectURI: flowCallback, Scope: "openid", Prompt: "none"})
		return browser.logIn(f.api.OAuth.AuthorizeURL(&silent.Authorize), nil)
	}
	for name, logout := range map[string]func(idToken string) string{
		"/v2/logout": func(string) string { return f.api.Logout.URL(&authentication.Logout{ReturnTo: flowLogout}) },
		"/oidc/logout": func(id string) string {
			return f.api.Logout.OIDCURL(&authentication.OIDCLogout{IDTokenHint: id, PostLogoutRedirectURI: flowLogout})
		},
	} {
		login := authentication.NewLogin(authentication.Authorize{RedirectURI: flowCallback, Scope: "openid"})
		tokens, err := f.api.OAuth.FinishLogin(t.Context(), login, browser.logIn(f.api.OAuth.AuthorizeURL(&login.Authorize), byPassword()))
		if err != nil {
			t.Fatal(err)
		}
		if again().Get("code") == "" {
			t.Fatalf("%s: the browser is not logged in", name)
		}
		if _, _, to := browser.visit(http.MethodGet, logout(tokens.IDToken), nil); to == nil || to.String() != flowLogout {
			t.Errorf("%s leads to %v", name, to)
		}
		if got := again().Get("error"); got != "login_required" {
			t.Errorf("%s: the browser is still logged in (%s)", name, got)
		}
	}
}

// Parameters that were pushed, and parameters that were signed, lead to the same
// login; a request that somebody else signed leads nowhere.
func TestFlowOfPushedAndSignedRequests(t *testing.T) {
	t.Parallel()
	key := rsaKey(t, "client")
	f := newFlow(t, func(o *auth0test.Options) { o.Clients[0].Keys = []crypto.PublicKey{key.Public()} })
	for name, begin := range map[string]func(*authentication.Authorize) string{
		"pushed": func(p *authentication.Authorize) string {
			pushed, err := f.api.OAuth.PushAuthorization(t.Context(), p)
			if err != nil || pushed.ExpiresIn != 30 {
				t.Fatalf("%+v, %v", pushed, err)
			}
			return f.api.OAuth.AuthorizeURLWithPAR(pushed.RequestURI)
		},
		"signed": func(p *authentication.Authorize) string {
			object, err := f.api.OAuth.SignRequest(auth0.PrivateKey{Signer: key}, p)
			if err != nil {
				t.Fatal(err)
			}
			return f.api.OAuth.AuthorizeURLWithJAR(object)
		},
	} {
		login := authentication.NewLogin(authentication.Authorize{RedirectURI: flowCallback, Scope: "openid"})
		to := begin(&login.Authorize)
		if strings.Contains(to, login.Authorize.State) {
			t.Errorf("%s: the URL shows the state: %s", name, to)
		}
		tokens, err := f.api.OAuth.FinishLogin(t.Context(), login, newSurfer(t).logIn(to, byPassword()))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if _, err := f.verifier(t, "app").IDToken(t.Context(), tokens.IDToken, login.Expect(tokens)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	object, err := f.api.OAuth.SignRequest(auth0.PrivateKey{Signer: rsaKey(t, "stranger")}, &authentication.Authorize{RedirectURI: flowCallback})
	if err != nil {
		t.Fatal(err)
	}
	if page, _, application := newSurfer(t).visit(http.MethodGet, f.api.OAuth.AuthorizeURLWithJAR(object), nil); application != nil || formAction.MatchString(page) {
		t.Errorf("a request of another signer led to %v %s", application, page)
	}
}

// A device polls too fast, is told so, and gets its tokens when the user has
// allowed it.
func TestFlowOfADevice(t *testing.T) {
	t.Parallel()
	f := newFlow(t, nil, authentication.None("public"))
	ctx := t.Context()
	d, err := f.api.Device.Authorize(ctx, &authentication.DeviceAuthorize{Scope: "openid offline_access", Audience: flowAPI})
	if err != nil || d.Interval != 5 || d.ExpiresIn != 900 || d.UserCode == "" || !strings.HasPrefix(d.VerificationURIComplete, f.client.BaseURL()) {
		t.Fatalf("%#v, %v", d, err)
	}
	_, err = f.api.Device.Token(ctx, d.DeviceCode)
	refusedAs(t, "the first poll", err, authentication.AuthorizationPending)
	_, err = f.api.Device.Token(ctx, d.DeviceCode)
	refusedAs(t, "a poll at once", err, authentication.SlowDown)
	if e, ok := errors.AsType[*authentication.Error](err); !ok || e.Interval != 10*time.Second || !errors.Is(err, auth0.ErrSlowDown) || errors.Is(err, auth0.ErrRateLimited) {
		t.Errorf("slow_down is %#v", err)
	}
	if err := f.tenant.Approve(d.UserCode, flowUser); err != nil {
		t.Fatal(err)
	}
	f.forward(10 * time.Second)
	tokens, err := f.api.Device.Token(ctx, d.DeviceCode)
	if err != nil || tokens.RefreshToken == "" {
		t.Fatalf("after the user has allowed it: %v", err)
	}
	id, err := f.verifier(t, "public").IDToken(ctx, tokens.IDToken, authentication.Expect{AccessToken: tokens.AccessToken})
	if err != nil || id.Subject != "auth0|ada" {
		t.Errorf("ID token: %v", err)
	}
	_, err = f.api.Device.Token(ctx, d.DeviceCode)
	refusedAs(t, "the device code again", err, authentication.InvalidGrant)

	if d, err = f.api.Device.Authorize(ctx, nil); err != nil {
		t.Fatal(err)
	}
	f.forward(15 * time.Minute)
	_, err = f.api.Device.Token(ctx, d.DeviceCode)
	refusedAs(t, "a device whose time is over", err, authentication.ExpiredToken)
}

// Wait takes the interval of the tenant, slows down when told to, and ends when
// the person has answered.
func TestFlowOfWaiting(t *testing.T) {
	t.Parallel()
	type outcome struct {
		tokens *authentication.TokenSet
		err    error
	}
	for name, begin := range map[string]func(*testing.T, *flow) (code string, wait func() (*authentication.TokenSet, error), poll func() error){
		"device": func(t *testing.T, f *flow) (string, func() (*authentication.TokenSet, error), func() error) {
			t.Helper()
			d, err := f.api.Device.Authorize(t.Context(), &authentication.DeviceAuthorize{Scope: "openid"})
			if err != nil {
				t.Fatal(err)
			}
			return d.UserCode, func() (*authentication.TokenSet, error) { return f.api.Device.Wait(t.Context(), d) },
				func() error { _, err := f.api.Device.Token(t.Context(), d.DeviceCode); return err }
		},
		"CIBA": func(t *testing.T, f *flow) (string, func() (*authentication.TokenSet, error), func() error) {
			t.Helper()
			r, err := f.api.CIBA.Authorize(t.Context(), &authentication.BackchannelAuthorize{
				LoginHint: authentication.UserHint{Issuer: f.client.BaseURL() + "/", Subject: "auth0|ada"}, BindingMessage: "pay-7", Scope: "openid",
			})
			if err != nil {
				t.Fatal(err)
			}
			if r.ExpiresIn != 300 || r.Interval != 5 {
				t.Errorf("%d seconds, each %d", r.ExpiresIn, r.Interval)
			}
			return r.AuthReqID, func() (*authentication.TokenSet, error) { return f.api.CIBA.Wait(t.Context(), r) },
				func() error { _, err := f.api.CIBA.Token(t.Context(), r.AuthReqID); return err }
		},
		"push": func(t *testing.T, f *flow) (string, func() (*authentication.TokenSet, error), func() error) {
			t.Helper()
			token := mfaToken(t, f)
			c, err := f.api.MFA.Challenge(t.Context(), &authentication.MFAChallengeRequest{MFAToken: token, ChallengeType: "oob", AuthenticatorID: authenticatorID(t, f, token, "auth0")})
			if err != nil {
				t.Fatal(err)
			}
			p := &authentication.MFAOOB{MFAToken: token, OOBCode: c.OOBCode}
			return c.OOBCode, func() (*authentication.TokenSet, error) { return f.api.MFA.WaitOOB(t.Context(), p) },
				func() error { _, err := f.api.MFA.VerifyOOB(t.Context(), p); return err }
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, allow := range []bool{true, false} {
				synctest.Test(t, func(t *testing.T) {
					f := newVirtualFlow(t, func(o *auth0test.Options) {
						if name == "push" {
							o.Users[0].Factors = []auth0test.Factor{{Type: "push"}}
						}
					})
					code, wait, poll := begin(t, f)
					start := time.Now()
					done := make(chan outcome)
					go func() {
						tokens, err := wait()
						done <- outcome{tokens, err}
					}()
					// The wait asks after 5 s. A poll of ours 2 s later is too early, and
					// makes the interval 10 s; so the next of the wait, at 10 s, is too early
					// as well, and makes it 15 s. It comes again at 25 s.
					time.Sleep(7 * time.Second)
					refusedAs(t, "a poll in between", poll(), authentication.SlowDown)
					time.Sleep(8 * time.Second)
					if allow {
						if err := f.tenant.Approve(code, flowUser); err != nil {
							t.Error(err)
						}
					} else if err := f.tenant.Deny(code); err != nil {
						t.Error(err)
					}
					got := <-done
					took := time.Since(start)
					if allow && (got.err != nil || got.tokens.AccessToken == "") {
						t.Errorf("after %v: %v", took, got.err)
					}
					if !allow {
						refusedAs(t, "the user said no", got.err, authentication.AccessDenied)
					}
					if took != 25*time.Second {
						t.Errorf("it took %v, want 25 s", took)
					}
				})
			}
		})
	}
}

// Many devices wait at once, more than the tenant's limit lets ask: their polls
// take their turn in the throttle, none is rejected, and none comes too early.
func TestFlowOfManyDevices(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		// One request a second, however many devices there are.
		b := apiWide(t).Buckets[0]
		b.Burst, b.Rate = 1, ratelimit.Rate{Count: 1, Per: time.Second}
		slow := &ratelimit.Plan{Name: "slow", Buckets: []ratelimit.Bucket{b}}
		f := &flow{}
		f.tenant = auth0test.MustNew(f.options(func(o *auth0test.Options) { o.PlanName, o.Plan = "", slow }))
		var err error
		if f.client, err = auth0.New(f.tenant.Domain(), auth0.WithOwnPlan(slow), auth0.WithRetries(0), auth0.WithMaxRejections(0),
			auth0.WithHTTPClient(&http.Client{Transport: f.tenant})); err != nil {
			t.Fatal(err)
		}
		f.api = authentication.New(f.client, authentication.None("public"))
		const devices = 20
		start := time.Now()
		var waiting sync.WaitGroup
		for range devices {
			waiting.Go(func() {
				d, err := f.api.Device.Authorize(t.Context(), &authentication.DeviceAuthorize{Scope: "openid"})
				if err != nil {
					t.Error(err)
					return
				}
				waiting.Go(func() {
					time.Sleep(time.Minute) // of the person's
					if err := f.tenant.Approve(d.UserCode, flowUser); err != nil {
						t.Error(err)
					}
				})
				if tokens, err := f.api.Device.Wait(t.Context(), d); err != nil || tokens.IDToken == "" {
					t.Error(err)
				}
			})
		}
		waiting.Wait()
		report := f.tenant.Report()
		// What is sent is at most what the limit allows, and two requests a device at
		// least. A device asks at least each 25 s, 5 s after a turn of all 20.
		if least := time.Duration(2*devices-1) * time.Second; report.Rejected != 0 || report.ByStatus[http.StatusTooManyRequests] != 0 || time.Since(start) < least || time.Since(start) > 2*time.Minute {
			t.Errorf("%d rejected, statuses %v, in %v", report.Rejected, report.ByStatus, time.Since(start))
		}
		if polls := report.ByStatus[http.StatusForbidden]; polls < devices || report.ByStatus[http.StatusOK] != 2*devices || report.Requests > int64(time.Since(start)/time.Second)+1 {
			t.Errorf("statuses %v in %v", report.ByStatus, time.Since(start))
		}
	})
}

// mfaToken logs a user with second factors in, as far as the password goes.
func mfaToken(t *testing.T, f *flow) string {
	t.Helper()
	_, err := f.api.OAuth.Password(t.Context(), &authentication.Password{Username: flowUser, Password: flowPassword, Scope: "openid"})
	refusedAs(t, "the password alone", err, authentication.MFARequired)
	e, ok := errors.AsType[*authentication.Error](err)
	if !ok || e.MFAToken == "" {
		t.Fatalf("no MFA token in %v", err)
	}
	return e.MFAToken
}

// authenticatorID returns the user's factor of a type or a channel.
func authenticatorID(t *testing.T, f *flow, token, kind string) string {
	t.Helper()
	all, err := f.api.MFA.Authenticators(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		if a.AuthenticatorType == kind || a.OOBChannel == kind || slices.Contains(a.OOBChannels, kind) {
			return a.ID
		}
	}
	t.Fatalf("no factor %s among %+v", kind, all)
	return ""
}

// A password is not enough for a user with factors; each of them goes on with
// the login, and a wrong code does not.
func TestFlowOfSecondFactors(t *testing.T) {
	t.Parallel()
	f := newFlow(t, func(o *auth0test.Options) {
		o.Users[0].Factors = []auth0test.Factor{{Type: "totp"}, {Type: "phone"}, {Type: "email"}, {Type: "recovery-code", Secret: "ABCDEFGH12345678ABCDEFGH"}}
	})
	ctx, mfa := t.Context(), f.api.MFA
	check := func(what string, tokens *authentication.TokenSet, err error) {
		t.Helper()
		if err != nil {
			t.Errorf("%s: %v", what, err)
			return
		}
		id, err := f.verifier(t, "app").IDToken(ctx, tokens.IDToken, authentication.Expect{})
		if err != nil || id.Subject != "auth0|ada" || string(id.Claims["amr"]) != `["mfa"]` {
			t.Errorf("%s: ID token %v, amr %s", what, err, id.Claims["amr"])
		}
	}
	token := mfaToken(t, f)
	challenge, err := mfa.Challenge(ctx, &authentication.MFAChallengeRequest{MFAToken: token, ChallengeType: "otp", AuthenticatorID: authenticatorID(t, f, token, "otp")})
	if err != nil || challenge.ChallengeType != "otp" {
		t.Fatalf("challenge %s: %v", challenge, err)
	}
	code := f.tenant.OTP(flowUser)
	wrong := strings.Map(func(r rune) rune { return '0' + (r-'0'+1)%10 }, code)
	_, err = mfa.VerifyOTP(ctx, &authentication.MFAOTP{MFAToken: token, OTP: wrong})
	refusedAs(t, "a wrong code", err, authentication.InvalidGrant)
	tokens, err := mfa.VerifyOTP(ctx, &authentication.MFAOTP{MFAToken: token, OTP: code})
	check("otp", tokens, err)
	_, err = mfa.VerifyOTP(ctx, &authentication.MFAOTP{MFAToken: mfaToken(t, f), OTP: code})
	refusedAs(t, "a code that was used", err, authentication.InvalidGrant)

	for channel, to := range map[string]string{"sms": flowPhone, "email": flowUser} {
		token := mfaToken(t, f)
		challenge, err := mfa.Challenge(ctx, &authentication.MFAChallengeRequest{MFAToken: token, ChallengeType: "oob", AuthenticatorID: authenticatorID(t, f, token, channel)})
		if err != nil || challenge.ChallengeType != "oob" || challenge.BindingMethod != "prompt" || challenge.OOBCode == "" {
			t.Fatalf("%s: %v", channel, err)
		}
		_, err = mfa.VerifyOOB(ctx, &authentication.MFAOOB{MFAToken: token, OOBCode: challenge.OOBCode, BindingCode: "000"})
		refusedAs(t, "a wrong code by "+channel, err, authentication.InvalidGrant)
		tokens, err := mfa.VerifyOOB(ctx, &authentication.MFAOOB{MFAToken: token, OOBCode: challenge.OOBCode, BindingCode: f.tenant.Sent(to)})
		check(channel, tokens, err)
	}

	tokens, err = mfa.VerifyRecoveryCode(ctx, &authentication.MFARecoveryCode{MFAToken: mfaToken(t, f), RecoveryCode: "ABCDEFGH12345678ABCDEFGH"})
	check("recovery code", tokens, err)
	if err == nil && (tokens.RecoveryCode == "" || tokens.RecoveryCode == "ABCDEFGH12345678ABCDEFGH") {
		t.Error("there is no new recovery code")
	}

	token = mfaToken(t, f)
	f.forward(10 * time.Minute)
	_, err = mfa.VerifyOTP(ctx, &authentication.MFAOTP{MFAToken: token, OTP: f.tenant.OTP(flowUser)})
	refusedAs(t, "an MFA token that is too old", err, authentication.ExpiredToken)
}

// A user without a factor enrols one on the way in, and can be rid of it.
func TestFlowOfAnEnrolment(t *testing.T) {
	t.Parallel()
	f := newFlow(t, func(o *auth0test.Options) { o.RequireMFA = true })
	ctx, mfa := t.Context(), f.api.MFA
	token := mfaToken(t, f)
	enrolled, err := mfa.Associate(ctx, token, &authentication.MFAAssociation{AuthenticatorTypes: []string{"otp"}})
	if err != nil || enrolled.AuthenticatorType != "otp" || !strings.HasPrefix(enrolled.BarcodeURI, "otpauth://totp/") || len(enrolled.RecoveryCodes) != 1 {
		t.Fatalf("%v", err)
	}
	code, err := auth0test.TOTP(enrolled.Secret, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if tokens, err := mfa.VerifyOTP(ctx, &authentication.MFAOTP{MFAToken: token, OTP: code}); err != nil || tokens.IDToken == "" {
		t.Fatal(err)
	}
	// A token for the MFA API takes the new factor, and lets the user remove it.
	_, err = f.api.OAuth.Password(ctx, &authentication.Password{
		Username: flowUser, Password: flowPassword, Audience: f.client.BaseURL() + "/mfa/", Scope: "read:authenticators remove:authenticators",
	})
	e, ok := errors.AsType[*authentication.Error](err)
	if !ok {
		t.Fatal(err)
	}
	f.forward(30 * time.Second) // each code is good once
	access, err := mfa.VerifyOTP(ctx, &authentication.MFAOTP{MFAToken: e.MFAToken, OTP: f.tenant.OTP(flowUser)})
	if err != nil {
		t.Fatal(err)
	}
	id := authenticatorID(t, f, access.AccessToken, "otp")
	if err := mfa.DeleteAuthenticator(ctx, mfaToken(t, f), id); !errors.Is(err, auth0.ErrUnauthorized) {
		t.Errorf("removing it with an MFA token: %v", err)
	}
	if err := mfa.DeleteAuthenticator(ctx, access.AccessToken, id); err != nil {
		t.Fatal(err)
	}
	left, err := mfa.Authenticators(ctx, access.AccessToken)
	if err != nil || slices.ContainsFunc(left, func(a authentication.Authenticator) bool { return a.AuthenticatorType == "otp" }) {
		t.Errorf("after its removal: %+v, %v", left, err)
	}
}

// Somebody signs up, with a password that is good enough, and logs in.
func TestFlowOfASignUp(t *testing.T) {
	t.Parallel()
	f := newFlow(t, nil)
	ctx, db := t.Context(), f.api.Database
	p := authentication.Signup{Connection: auth0test.DefaultConnection, Email: "grace@example.com", Password: "short", Name: "Grace Hopper"}
	_, err := db.Signup(ctx, &p)
	refusedAs(t, "a weak password", err, authentication.InvalidPassword)
	if e, ok := errors.AsType[*authentication.Error](err); !ok || len(e.PasswordRules) != 1 || e.PasswordRules[0].Code != "lengthAtLeast" || e.PasswordRules[0].Verified || e.PasswordPolicy == "" {
		t.Errorf("a weak password: %#v", err)
	}
	p.Password = "Nanosecond-1952"
	user, err := db.Signup(ctx, &p)
	if err != nil || user.ID == "" || user.Email != p.Email || user.EmailVerified || user.Name != p.Name {
		t.Fatalf("%+v, %v", user, err)
	}
	_, err = db.Signup(ctx, &p)
	refusedAs(t, "the same again", err, authentication.UserExists)
	tokens, err := f.api.OAuth.Password(ctx, &authentication.Password{Username: p.Email, Password: p.Password, Scope: "openid"})
	if err != nil {
		t.Fatal(err)
	}
	if id, err := f.verifier(t, "app").IDToken(ctx, tokens.IDToken, authentication.Expect{}); err != nil || id.Subject != "auth0|"+user.ID {
		t.Errorf("ID token: %v", err)
	}
	for _, email := range []string{p.Email, "nobody@example.com"} {
		if said, err := db.ChangePassword(ctx, &authentication.ChangePassword{Email: email, Connection: p.Connection}); err != nil || !strings.Contains(said, "mail") {
			t.Errorf("%q, %v", said, err)
		}
	}
}

// A program registers itself as an application and logs users in.
func TestFlowOfARegistration(t *testing.T) {
	t.Parallel()
	f := newFlow(t, nil)
	ctx := t.Context()
	app, err := f.api.OAuth.RegisterClient(ctx, &authentication.ClientRegistration{
		RedirectURIs: []string{flowCallback}, ClientName: "an agent", TokenEndpointAuthMethod: "client_secret_basic",
	})
	if err != nil || app.ClientID == "" || app.ClientSecret == "" || app.ClientName != "an agent" || !slices.Equal(app.RedirectURIs, []string{flowCallback}) {
		t.Fatalf("%v, %v", app, err)
	}
	api := authentication.New(f.client, authentication.ClientSecretBasic(app.ClientID, app.ClientSecret))
	login := authentication.NewLogin(authentication.Authorize{RedirectURI: flowCallback, Scope: "openid"})
	tokens, err := api.OAuth.FinishLogin(ctx, login, newSurfer(t).logIn(api.OAuth.AuthorizeURL(&login.Authorize), byPassword()))
	if err != nil {
		t.Fatal(err)
	}
	if id, err := f.verifier(t, app.ClientID).IDToken(ctx, tokens.IDToken, login.Expect(tokens)); err != nil || id.Subject != "auth0|ada" {
		t.Errorf("ID token: %v", err)
	}
	_, err = f.api.OAuth.RegisterClient(ctx, &authentication.ClientRegistration{RedirectURIs: []string{"no URL"}})
	refusedAs(t, "a redirect URI that is none", err, "invalid_redirect_uri")
}

// Users and applications get tokens of an organization, by its name and its id,
// and tokens of another are refused.
func TestFlowOfAnOrganization(t *testing.T) {
	t.Parallel()
	f := newFlow(t, nil)
	ctx, token := t.Context(), auth0.Bearer(f.tenant.Token())
	manage := func(path string, args []string, body any) (id string) {
		t.Helper()
		made, err := auth0.Call[struct{ ID string }](ctx, f.client, http.MethodPost, path, args, nil, body, []auth0.RequestOption{token})
		if err != nil {
			t.Fatal(err)
		}
		return made.ID
	}
	acme := manage("/api/v2/organizations", nil, map[string]any{"name": "acme"})
	other := manage("/api/v2/organizations", nil, map[string]any{"name": "other"})
	for _, id := range []string{acme, other} {
		if _, err := auth0.Call[auth0.NoContent](ctx, f.client, http.MethodPost, "/api/v2/organizations/{id}/members", []string{id}, nil,
			map[string]any{"members": []string{"auth0|ada"}}, []auth0.RequestOption{token}); err != nil {
			t.Fatal(err)
		}
	}
	verifier := f.verifier(t, "app")
	for _, wanted := range []string{acme, "acme"} {
		login := authentication.NewLogin(authentication.Authorize{RedirectURI: flowCallback, Scope: "openid", Organization: wanted})
		tokens, err := f.api.OAuth.FinishLogin(ctx, login, newSurfer(t).logIn(f.api.OAuth.AuthorizeURL(&login.Authorize), byPassword()))
		if err != nil {
			t.Fatal(err)
		}
		expect := login.Expect(tokens)
		id, err := verifier.IDToken(ctx, tokens.IDToken, expect)
		if err != nil || id.OrganizationID != acme || id.OrganizationName != "acme" {
			t.Errorf("%s: %v", wanted, err)
		}
		for _, another := range []string{other, "other"} {
			expect.Organization = another
			if _, err := verifier.IDToken(ctx, tokens.IDToken, expect); reason(err) != authentication.ReasonOrganization {
				t.Errorf("%s for %s: %v", wanted, another, err)
			}
		}
	}
	machine, err := f.api.OAuth.ClientCredentials(ctx, &authentication.ClientCredentials{Audience: flowAPI, Organization: acme})
	if err != nil {
		t.Fatal(err)
	}
	if access, err := verifier.AccessToken(ctx, machine.AccessToken, authentication.ExpectAccess{Organization: acme}); err != nil || access.Subject != "app@clients" {
		t.Errorf("machine: %v", err)
	}
	if _, err := verifier.AccessToken(ctx, machine.AccessToken, authentication.ExpectAccess{Organization: other}); reason(err) != authentication.ReasonOrganization {
		t.Errorf("machine for another organization: %v", err)
	}
}

// The tenant's documents name what the calls use, and are kept as its headers
// say: for 15 seconds.
func TestFlowOfDiscovery(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newVirtualFlow(t, nil)
		ctx, base := t.Context(), f.client.BaseURL()
		ask := func() {
			t.Helper()
			c, err := f.api.Discovery.Configuration(ctx)
			if err != nil || c.Issuer != base+"/" || c.TokenEndpoint != base+"/oauth/token" || c.JWKSURI != base+"/.well-known/jwks.json" {
				t.Fatalf("%+v, %v", c, err)
			}
			if keys, err := f.api.Discovery.Keys(ctx); err != nil || len(keys.Keys) != 1 || !keys.Keys[0].Valid() {
				t.Fatalf("%v, %v", keys, err)
			}
		}
		for second, want := range []int{0: 1, 14: 1, 15: 2, 29: 2, 30: 3} {
			if want != 0 {
				ask()
				for _, path := range []string{"/.well-known/openid-configuration", "/.well-known/jwks.json"} {
					if got := len(f.answers(path)); got != want {
						t.Errorf("%s was fetched %d times in %d s, want %d", path, got, second, want)
					}
				}
			}
			time.Sleep(time.Second)
		}
		if certificate, err := f.api.Discovery.Certificate(ctx); err != nil || !strings.HasPrefix(string(certificate), "-----BEGIN CERTIFICATE-----") {
			t.Errorf("%s, %v", certificate, err)
		}
	})
}

// The second factor of a login in the browser is asked for by the tenant's own
// page.
func TestFlowOfASecondFactorInTheBrowser(t *testing.T) {
	t.Parallel()
	f := newFlow(t, func(o *auth0test.Options) { o.Users[0].Factors = []auth0test.Factor{{Type: "totp"}} })
	login := authentication.NewLogin(authentication.Authorize{RedirectURI: flowCallback, Scope: "openid"})
	answers := byPassword()
	answers["code"] = f.tenant.OTP(flowUser)
	tokens, err := f.api.OAuth.FinishLogin(t.Context(), login, newSurfer(t).logIn(f.api.OAuth.AuthorizeURL(&login.Authorize), answers))
	if err != nil {
		t.Fatal(err)
	}
	if id, err := f.verifier(t, "app").IDToken(t.Context(), tokens.IDToken, login.Expect(tokens)); err != nil || string(id.Claims["amr"]) != `["mfa"]` {
		t.Errorf("ID token: %v", err)
	}
}

// The tenant checks the assertion of an application that proves itself with a
// key, of each family; that of a stranger is refused.
func TestFlowOfPrivateKeys(t *testing.T) {
	t.Parallel()
	keys := map[string]crypto.Signer{
		"RS256": rsaKey(t, "client"), "PS384": rsaKey(t, "client"),
		"ES256": ecKey(t, elliptic.P256()), "ES384": ecKey(t, elliptic.P384()), "EdDSA": edKey(t),
	}
	var public []crypto.PublicKey
	for _, k := range keys {
		public = append(public, k.Public())
	}
	f := newFlow(t, func(o *auth0test.Options) {
		o.Clients = append(o.Clients, auth0test.Client{ID: "worker", Keys: public})
	})
	get := func(key auth0.PrivateKey) (*authentication.TokenSet, error) {
		return authentication.New(f.client, authentication.PrivateKeyJWT(key)).OAuth.ClientCredentials(t.Context(), &authentication.ClientCredentials{Audience: flowAPI})
	}
	for alg, k := range keys {
		tokens, err := get(auth0.PrivateKey{ClientID: "worker", Signer: k, Algorithm: alg})
		if err != nil {
			t.Errorf("%s: %v", alg, err)
			continue
		}
		access, err := f.verifier(t, "worker").AccessToken(t.Context(), tokens.AccessToken, authentication.ExpectAccess{})
		if err != nil || access.Subject != "worker@clients" {
			t.Errorf("%s: access token %v", alg, err)
		}
	}
	for name, key := range map[string]auth0.PrivateKey{
		"another key":         {ClientID: "worker", Signer: rsaKey(t, "stranger")},
		"another application": {ClientID: "app", Signer: rsaKey(t, "client")},
	} {
		_, err := get(key)
		refusedAs(t, name, err, authentication.InvalidClient)
		if !errors.Is(err, auth0.ErrUnauthorized) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Tokens are bound to a key: the first proof lacks the tenant's nonce, and from
// then on each has it. Without the key the tokens are worth nothing.
func TestFlowOfDPoP(t *testing.T) {
	t.Parallel()
	d, err := authentication.NewDPoP(ecKey(t, elliptic.P256()), "")
	if err != nil {
		t.Fatal(err)
	}
	thumbprint, err := d.Thumbprint()
	if err != nil {
		t.Fatal(err)
	}
	f := newFlow(t, func(o *auth0test.Options) { o.DPoPNonce = true }, authentication.None("public"), authentication.DPoPBound(d))
	ctx := t.Context()
	login := authentication.NewLogin(authentication.Authorize{RedirectURI: flowCallback, Scope: "openid offline_access", Audience: flowAPI, DPoPThumbprint: thumbprint})
	tokens, err := f.api.OAuth.FinishLogin(ctx, login, newSurfer(t).logIn(f.api.OAuth.AuthorizeURL(&login.Authorize), byPassword()))
	if err != nil || tokens.TokenType != "DPoP" {
		t.Fatalf("%v, %v", tokens.LogValue(), err)
	}
	if got := f.answers("/oauth/token"); !slices.Equal(got, []string{"Bad Request", "OK"}) {
		t.Errorf("the tenant answered %v, want a request for its nonce first", got)
	}
	if info, err := f.api.OAuth.UserInfo(ctx, tokens.AccessToken); err != nil || info.Subject != "auth0|ada" {
		t.Errorf("/userinfo: %v", err)
	}
	if _, err := f.verifier(t, "public").AccessToken(ctx, tokens.AccessToken, authentication.ExpectAccess{DPoPThumbprint: thumbprint}); err != nil {
		t.Errorf("access token: %v", err)
	}
	if _, err := f.verifier(t, "public").AccessToken(ctx, tokens.AccessToken, authentication.ExpectAccess{}); reason(err) != authentication.ReasonBinding {
		t.Errorf("access token without its key: %v", err)
	}
	before := len(f.answers("/oauth/token"))
	if _, err := f.api.OAuth.Refresh(ctx, &authentication.Refresh{RefreshToken: tokens.RefreshToken}); err != nil {
		t.Error(err)
	}
	if got := f.answers("/oauth/token")[before:]; !slices.Equal(got, []string{"OK"}) {
		t.Errorf("with the nonce known the tenant answered %v", got)
	}

	plain := authentication.New(f.client, authentication.None("public"))
	if _, err := plain.OAuth.UserInfo(ctx, tokens.AccessToken); !errors.Is(err, auth0.ErrUnauthorized) {
		t.Errorf("without the key: %v", err)
	}
	thief, err := authentication.NewDPoP(ecKey(t, elliptic.P256()), "")
	if err != nil {
		t.Fatal(err)
	}
	other := authentication.New(f.client, authentication.None("public"), authentication.DPoPBound(thief))
	_, err = other.OAuth.Refresh(ctx, &authentication.Refresh{RefreshToken: tokens.RefreshToken})
	refusedAs(t, "with another key", err, authentication.InvalidDPoPProof)
	if _, err := other.OAuth.UserInfo(ctx, tokens.AccessToken); !errors.Is(err, auth0.ErrUnauthorized) {
		t.Errorf("with another key: %v", err)
	}
}

// Logins with a password, and attack protection against guessing it.
func TestFlowOfPasswords(t *testing.T) {
	t.Parallel()
	f := newFlow(t, nil)
	ctx := t.Context()
	p := authentication.Password{Username: flowUser, Password: flowPassword, Scope: "openid email", Realm: auth0test.DefaultConnection}
	for name, ask := range map[string]func() (*authentication.TokenSet, error){
		"password":       func() (*authentication.TokenSet, error) { return f.api.OAuth.Password(ctx, &p) },
		"password-realm": func() (*authentication.TokenSet, error) { return f.api.OAuth.PasswordRealm(ctx, &p) },
	} {
		tokens, err := ask()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if id, err := f.verifier(t, "app").IDToken(ctx, tokens.IDToken, authentication.Expect{}); err != nil || id.Subject != "auth0|ada" {
			t.Errorf("%s: ID token %v", name, err)
		}
	}
	p.Password = "not-this-one"
	for range 10 {
		_, err := f.api.OAuth.Password(ctx, &p)
		refusedAs(t, "a wrong password", err, authentication.InvalidGrant)
	}
	p.Password = flowPassword
	_, err := f.api.OAuth.Password(ctx, &p)
	refusedAs(t, "the right one after ten wrong ones", err, authentication.TooManyAttempts)
	if e, ok := errors.AsType[*authentication.Error](err); !ok || !e.UserBlocked || !errors.Is(err, auth0.ErrTooManyAttempts) || errors.Is(err, auth0.ErrRateLimited) {
		t.Errorf("too many attempts: %#v", err)
	}
}

// Logins with codes that are sent, to users and to whoever is none yet.
func TestFlowOfPasswordless(t *testing.T) {
	t.Parallel()
	f := newFlow(t, nil)
	ctx := t.Context()
	for connection, to := range map[string]string{"email": "grace@example.com", "sms": "+15550100"} {
		start := &authentication.PasswordlessStart{Connection: connection, Send: "code"}
		if connection == "sms" {
			start.PhoneNumber, start.Send = to, ""
		} else {
			start.Email = to
		}
		if _, err := f.api.Passwordless.Start(ctx, start); err != nil {
			t.Fatalf("%s: %v", connection, err)
		}
		code := f.tenant.Sent(to)
		_, err := f.api.Passwordless.Token(ctx, &authentication.PasswordlessOTP{Username: to, OTP: code + "0", Realm: connection})
		refusedAs(t, "a wrong code", err, authentication.InvalidGrant)
		tokens, err := f.api.Passwordless.Token(ctx, &authentication.PasswordlessOTP{Username: to, OTP: code, Realm: connection, Scope: "openid email phone"})
		if err != nil {
			t.Fatalf("%s: %v", connection, err)
		}
		var user authentication.UserInfo
		id, err := f.verifier(t, "app").IDToken(ctx, tokens.IDToken, authentication.Expect{})
		if err == nil {
			err = id.Decode(&user)
		}
		if err != nil || user.Email+user.PhoneNumber != to || !user.EmailVerified && !user.PhoneNumberVerified {
			t.Errorf("%s: %v", connection, err)
		}
		_, err = f.api.Passwordless.Token(ctx, &authentication.PasswordlessOTP{Username: to, OTP: code, Realm: connection})
		refusedAs(t, "the code again", err, authentication.InvalidGrant)
	}
	session, err := f.api.Passwordless.Challenge(ctx, &authentication.OTPChallenge{Connection: auth0test.DefaultConnection, Email: flowUser})
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := f.api.Passwordless.TokenForSession(ctx, &authentication.SessionOTP{AuthSession: session, OTP: f.tenant.Sent(flowUser), Scope: "openid"})
	if err != nil {
		t.Fatal(err)
	}
	if id, err := f.verifier(t, "app").IDToken(ctx, tokens.IDToken, authentication.Expect{}); err != nil || id.Subject != "auth0|ada" {
		t.Errorf("%v", err)
	}
}

// A backchannel request over HTTP, asked for once before and once after the user
// has allowed it.
func TestFlowOfABackchannelRequest(t *testing.T) {
	t.Parallel()
	f := newFlow(t, nil)
	ctx := t.Context()
	r, err := f.api.CIBA.Authorize(ctx, &authentication.BackchannelAuthorize{
		LoginHint: authentication.UserHint{Issuer: f.client.BaseURL() + "/", Subject: "auth0|ada"}, BindingMessage: "pay-7", Scope: "openid", Audience: flowAPI,
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.api.CIBA.Token(ctx, r.AuthReqID)
	refusedAs(t, "before the user has answered", err, authentication.AuthorizationPending)
	if err := f.tenant.Approve(r.AuthReqID, ""); err != nil {
		t.Fatal(err)
	}
	f.forward(5 * time.Second)
	tokens, err := f.api.CIBA.Token(ctx, r.AuthReqID)
	if err != nil {
		t.Fatal(err)
	}
	if id, err := f.verifier(t, "app").IDToken(ctx, tokens.IDToken, authentication.Expect{AccessToken: tokens.AccessToken}); err != nil || id.Subject != "auth0|ada" {
		t.Errorf("ID token: %v", err)
	}
	_, err = f.api.CIBA.Authorize(ctx, &authentication.BackchannelAuthorize{
		LoginHint: authentication.UserHint{Issuer: f.client.BaseURL() + "/", Subject: "auth0|nobody"}, BindingMessage: "x", Scope: "openid",
	})
	refusedAs(t, "a user who is none", err, authentication.UnknownUserID)
}

// When the tenant signs with a new key, tokens of both verify, and it costs one
// more fetch.
func TestFlowOfAKeyRotation(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newVirtualFlow(t, nil)
		verifier := f.verifier(t, "app")
		logIn := func() string {
			tokens, err := f.api.OAuth.Password(t.Context(), &authentication.Password{Username: flowUser, Password: flowPassword, Scope: "openid"})
			if err != nil {
				t.Fatal(err)
			}
			return tokens.IDToken
		}
		check := func(what, token string, fetches int) {
			t.Helper()
			if _, err := verifier.IDToken(t.Context(), token, authentication.Expect{}); err != nil || len(f.answers("/.well-known/jwks.json")) != fetches {
				t.Errorf("%s: %v after %d fetches, want %d", what, err, len(f.answers("/.well-known/jwks.json")), fetches)
			}
		}
		old := logIn()
		check("before", old, 1)
		f.tenant.RotateKey()
		time.Sleep(time.Minute)
		check("the new key", logIn(), 2)
		check("the old key", old, 2)
	})
}
