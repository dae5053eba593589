package main

import (
	"bufio"
	"context"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/headroom-go/auth0/authentication"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// startSite serves the site and its tenant until the test ends.
func startSite(t *testing.T) (base string) {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	base = "http://" + server.Listener.Addr().String()
	ctx, cancel := context.WithCancel(t.Context())
	tenant, err := startTenant(ctx, base)
	if err != nil {
		t.Fatal(err)
	}
	client, handler, err := newSite(tenant.application, base)
	if err != nil {
		t.Fatal(err)
	}
	server.Config.Handler = handler
	server.Start()
	t.Cleanup(func() {
		server.Close()
		client.CloseIdleConnections()
		cancel()
		tenant.wait()
	})
	return base
}

// browser is an http.Client with a cookie jar.
type browser struct {
	t      *testing.T
	client *http.Client
	at     *url.URL // of the last page
	status int
	body   string
}

func newBrowser(t *testing.T) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &browser{t: t, client: &http.Client{Transport: transport, Jar: jar}}
}

// ask sends a request, follows redirects and reads the page that it ends at.
func (b *browser) ask(method, target string, form url.Values, header ...string) {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), method, target, strings.NewReader(form.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := b.client.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	b.at, b.status, b.body = resp.Request.URL, resp.StatusCode, string(data)
}

// see holds the page to a path, a status and a text.
func (b *browser) see(path string, status int, text string) {
	b.t.Helper()
	if b.at.Path != path || b.status != status || !strings.Contains(b.body, text) {
		b.t.Fatalf("at %s with status %d:\n%s\nwant %s, %d, %q", b.at.Path, b.status, b.body, path, status, text)
	}
}

var action = regexp.MustCompile(`<form method="post" action="([^"]+)"`)

// logIn fills in the tenant's login page, where the browser is.
func (b *browser) logIn(user, password string) {
	b.t.Helper()
	m := action.FindStringSubmatch(b.body)
	if m == nil {
		b.t.Fatalf("no form in %s", b.body)
	}
	target, err := b.at.Parse(html.UnescapeString(m[1]))
	if err != nil {
		b.t.Fatal(err)
	}
	b.ask(http.MethodPost, target.String(), url.Values{"username": {user}, "password": {password}})
}

// A visitor logs in at the tenant, sees the profile, and logs out of both.
func TestLogin(t *testing.T) {
	t.Parallel()
	base := startSite(t)
	b := newBrowser(t)
	var callback *url.URL
	b.client.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		if r.URL.Path == "/callback" {
			callback = r.URL
		}
		return nil
	}
	b.ask(http.MethodGet, base+"/", nil)
	b.see("/", http.StatusOK, `<a href="/login">Log in</a>`)
	b.ask(http.MethodGet, base+"/profile", nil)
	b.see("/", http.StatusOK, "Welcome")
	b.ask(http.MethodGet, base+"/login", nil)
	b.see("/u/login", http.StatusOK, "Password")
	login := b.cookie(base, loginCookie)
	b.logIn(localUser, "wrong")
	b.see("/u/login", http.StatusBadRequest, "Password")
	b.logIn(localUser, localPassword)
	b.see("/profile", http.StatusOK, "Ada Lovelace")
	b.see("/profile", http.StatusOK, localUser)
	first := b.cookie(base, sessionCookie)
	if first == "" || first == login || b.cookie(base, loginCookie) != "" {
		t.Error("the cookie of the login is there after it")
	}
	// The login is over: for this browser, for any other, and for one that has
	// got hold of its cookie. Coming back to it ends no session.
	b.ask(http.MethodGet, callback.String(), nil)
	b.see("/callback", http.StatusBadRequest, "That login is over")
	other := newBrowser(t)
	other.ask(http.MethodGet, callback.String(), nil)
	other.see("/callback", http.StatusBadRequest, "That login is over")
	other.ask(http.MethodGet, callback.String(), nil, "Cookie", loginCookie+"="+login)
	other.see("/callback", http.StatusBadRequest, "That login is over")
	b.ask(http.MethodGet, base+"/profile", nil)
	b.see("/profile", http.StatusOK, localUser)

	b.ask(http.MethodGet, base+"/login", nil) // the tenant knows the browser
	b.see("/profile", http.StatusOK, localUser)
	stolen := b.cookie(base, sessionCookie)
	other.ask(http.MethodGet, base+"/profile", nil, "Cookie", sessionCookie+"="+first)
	other.see("/", http.StatusOK, "Log in")
	b.ask(http.MethodPost, base+"/logout", nil, "Sec-Fetch-Site", "cross-site")
	b.see("/logout", http.StatusForbidden, "")
	b.ask(http.MethodPost, base+"/logout", nil)
	b.see("/", http.StatusOK, "Log in")
	other.ask(http.MethodGet, base+"/profile", nil, "Cookie", sessionCookie+"="+stolen)
	other.see("/", http.StatusOK, "Log in")
	b.ask(http.MethodGet, base+"/login", nil)
	b.see("/u/login", http.StatusOK, "Password")
}

// cookie returns the value of a cookie of the site.
func (b *browser) cookie(base, name string) string {
	u, err := url.Parse(base)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, c := range b.client.Jar.Cookies(u) {
		if c.Name == name {
			return c.Value
		}
	}
	return ""
}

// The cookie is out of reach of scripts and other sites' forms, and of plain
// HTTP where the site has TLS. The login that it stands for is protected.
func TestCookieAndAuthorizeURL(t *testing.T) {
	t.Parallel()
	for base, prefix := range map[string]string{"http://127.0.0.1:3000": "", "https://app.example.com": "__Host-"} {
		secure := prefix != ""
		_, handler, err := newSite(application{"example.auth0.com", "the-id", "the-secret"}, base)
		if err != nil {
			t.Fatal(err)
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/login", nil))
		resp := w.Result()
		_ = resp.Body.Close()
		c := resp.Cookies()[0]
		if c.Name != prefix+loginCookie || c.Domain != "" || len(c.Value) < 26 || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Secure != secure || c.Path != "/" || c.MaxAge != 600 {
			t.Errorf("%s: cookie %s", base, c)
		}
		to, err := resp.Location()
		if err != nil {
			t.Fatal(err)
		}
		q := to.Query()
		if to.Scheme+"://"+to.Host+to.Path != "https://example.auth0.com/authorize" || q.Get("redirect_uri") != base+"/callback" || q.Get("scope") != "openid profile email" ||
			q.Get("client_id") != "the-id" || q.Get("state") == "" || q.Get("nonce") == "" || q.Get("code_challenge") == "" || q.Get("code_challenge_method") != "S256" {
			t.Errorf("%s: sent to %s", base, to.Redacted())
		}
		if strings.Contains(to.String(), "the-secret") || strings.Contains(to.String(), c.Value) {
			t.Error("the URL has what only the server knows")
		}
		// The browser that has the cookie finishes the login, and one that has it by
		// another name does not.
		for _, name := range []string{"other", c.Name} {
			status := http.StatusBadRequest
			if name == c.Name {
				status = http.StatusForbidden
			}
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/callback?error=access_denied&state="+q.Get("state"), nil)
			r.AddCookie(&http.Cookie{Name: name, Value: c.Value})
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, r)
			if w.Code != status {
				t.Errorf("%s: status %d with the cookie %s, want %d", base, w.Code, name, status)
			}
		}
	}
}

// What the tenant refuses, and what did not come from it, ends on a page that
// says so.
func TestCallbacksThatFail(t *testing.T) {
	t.Parallel()
	base := startSite(t)
	for name, c := range map[string]struct {
		query  func(state string) url.Values
		status int
	}{
		"denied":        {func(s string) url.Values { return url.Values{"state": {s}, "error": {"access_denied"}} }, http.StatusForbidden},
		"another state": {func(s string) url.Values { return url.Values{"state": {s + "x"}, "code": {"c"}} }, http.StatusBadRequest},
		"no code":       {func(s string) url.Values { return url.Values{"state": {s}} }, http.StatusBadRequest},
		"another tenant": {func(s string) url.Values {
			return url.Values{"state": {s}, "code": {"c"}, "iss": {"https://evil.example/"}}
		}, http.StatusBadRequest},
		"a made-up code": {func(s string) url.Values { return url.Values{"state": {s}, "code": {"c"}} }, http.StatusBadGateway},
	} {
		b := newBrowser(t)
		var state string
		b.client.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
			state = r.URL.Query().Get("state")
			return http.ErrUseLastResponse
		}
		b.ask(http.MethodGet, base+"/login", nil)
		b.ask(http.MethodGet, base+"/callback?"+c.query(state).Encode(), nil)
		if b.status != c.status || !strings.Contains(b.body, `<a href="/login">`) {
			t.Errorf("%s: status %d, want %d: %s", name, b.status, c.status, b.body)
		}
	}
}

// A login whose nonce somebody has changed on the way is refused: its ID token is
// of another login.
func TestAnotherNonce(t *testing.T) {
	t.Parallel()
	base := startSite(t)
	b := newBrowser(t)
	var to *url.URL
	b.client.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		if to == nil {
			to = r.URL
			return http.ErrUseLastResponse
		}
		return nil
	}
	b.ask(http.MethodGet, base+"/login", nil)
	q := to.Query()
	q.Set("nonce", "another")
	to.RawQuery = q.Encode()
	b.ask(http.MethodGet, to.String(), nil)
	b.logIn(localUser, localPassword)
	b.see("/callback", http.StatusBadGateway, "That did not work")
	b.ask(http.MethodGet, base+"/profile", nil)
	b.see("/", http.StatusOK, "Log in")
}

// Sessions end with their time, and are not more than there is room for.
func TestSessions(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var s sessions
		of := func(id string) *http.Request {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
			r.AddCookie(&http.Cookie{Name: loginCookie, Value: id})
			return r
		}
		login := authentication.NewLogin(authentication.Authorize{})
		id := s.start(session{login: login, until: time.Now().Add(loginTime)})
		time.Sleep(loginTime)
		if s.of(of(id), loginCookie).login != login {
			t.Error("the session ended early")
		}
		time.Sleep(time.Second)
		if s.of(of(id), loginCookie).login != nil || s.take(of(id), loginCookie).login != nil {
			t.Error("the session did not end")
		}
		for range maxSessions {
			id = s.start(session{login: login, until: time.Now().Add(loginTime)})
		}
		if id == "" || s.start(session{until: time.Now().Add(loginTime)}) != "" {
			t.Error("there is room for another number than maxSessions")
		}
		if s.take(of(id), loginCookie).login != login || s.take(of(id), loginCookie).login != nil {
			t.Error("a session can be taken never, or twice")
		}
		time.Sleep(loginTime + time.Second)
		for range 2 { // the first takes the last place, and the second needs another
			if s.start(session{until: time.Now().Add(loginTime)}) == "" {
				t.Error("sessions whose time is over take up room")
			}
		}
		if len(s.byID) != 2 {
			t.Errorf("%d sessions kept, want the new ones", len(s.byID))
		}
	})
}

// The program serves until it is told to stop: with a tenant of its own, or as
// the application that the environment names.
func TestRun(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		args []string
		env  map[string]string
		base string // as browsers know it, "" for where it listens
	}{
		"local": {[]string{"-local"}, nil, ""},
		"environment": {
			[]string{"-url", "https://app.example.com/"},
			map[string]string{"AUTH0_DOMAIN": "example.auth0.com", "AUTH0_CLIENT_ID": "the-id", "AUTH0_CLIENT_SECRET": "the-secret"},
			"https://app.example.com",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			out, said := io.Pipe()
			ended := make(chan error, 1)
			go func() {
				err := run(ctx, append(c.args, "-addr", "127.0.0.1:0"), func(k string) string { return c.env[k] }, said)
				ended <- err
				_ = said.Close()
			}()
			var base, addr string
			for lines := bufio.NewScanner(out); addr == "" && lines.Scan(); {
				if line, ok := strings.CutPrefix(lines.Text(), "Serving "); ok {
					base, addr, _ = strings.Cut(line, "/ on ")
				}
			}
			if c.base == "" {
				c.base = "http://" + addr
			}
			if base != c.base || addr == "" {
				t.Fatalf("serves %q on %q, want %q", base, addr, c.base)
			}
			b := newBrowser(t)
			b.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
			b.ask(http.MethodGet, "http://"+addr+"/login", nil)
			if b.status != http.StatusSeeOther || !strings.Contains(b.body, url.QueryEscape(c.base+"/callback")) || name != "local" && !strings.Contains(b.body, "https://example.auth0.com/authorize?client_id=the-id&amp;") {
				t.Errorf("status %d: %s", b.status, b.body)
			}
			b.client.CloseIdleConnections()
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
}

// What is missing is said before anything is served.
func TestRunWithoutASecret(t *testing.T) {
	t.Parallel()
	env := map[string]string{"AUTH0_DOMAIN": "example.auth0.com", "AUTH0_CLIENT_ID": "id"}
	err := run(t.Context(), []string{"-addr", "127.0.0.1:0"}, func(k string) string { return env[k] }, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "AUTH0_CLIENT_SECRET") {
		t.Errorf("without a secret: %v", err)
	}
}
