package authentication_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headroom-go/auth0"
	"github.com/headroom-go/auth0/authentication"
)

// A document is asked for again when its headers say so, and not before; an
// option asks in any case.
func TestDiscoveryIsKept(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		header []string
		asked  []int // seconds, of calls each 10 s for a minute
	}{
		"max-age":              {[]string{"Cache-Control", "public, max-age=25"}, []int{0, 30, 60}},
		"no header":            {nil, []int{0, 10, 20, 30, 40, 50, 60}},
		"no-store":             {[]string{"Cache-Control", "no-store, max-age=25"}, []int{0, 10, 20, 30, 40, 50, 60}},
		"max-age=0":            {[]string{"Cache-Control", "max-age=0"}, []int{0, 10, 20, 30, 40, 50, 60}},
		"Age":                  {[]string{"Cache-Control", "max-age=25", "Age", "10"}, []int{0, 20, 40, 60}},
		"Expires":              {[]string{"Date", "Sat, 01 Jan 2000 00:00:00 GMT", "Expires", "Sat, 01 Jan 2000 00:00:45 GMT"}, []int{0, 50}},
		"max-age over Expires": {[]string{"Cache-Control", "max-age=15", "Date", "Sat, 01 Jan 2000 00:00:00 GMT", "Expires", "Sat, 01 Jan 2000 00:00:45 GMT"}, []int{0, 20, 40, 60}},
		"no sense":             {[]string{"Cache-Control", "max-age=soon", "Expires", "0"}, []int{0, 10, 20, 30, 40, 50, 60}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				var asked []int
				api := authentication.New(newClient(t, func(*http.Request, string) answer {
					asked = append(asked, int(time.Since(start)/time.Second))
					return replyJSON(200, `{"issuer":"https://example.auth0.com/"}`, c.header...)
				}))
				for range 7 {
					d, err := api.Discovery.Configuration(t.Context())
					if err != nil || d.Issuer != issuer {
						t.Fatalf("%v, %v", d, err)
					}
					time.Sleep(10 * time.Second)
				}
				if !slices.Equal(asked, c.asked) {
					t.Errorf("asked at %v, want %v", asked, c.asked)
				}
				before := len(asked)
				if _, err := api.Discovery.Configuration(t.Context(), auth0.NoRetry()); err != nil || len(asked) != before+1 {
					t.Errorf("with an option: asked %d times more, %v", len(asked)-before, err)
				}
			})
		})
	}
}

// While the tenant cannot be asked, an old document serves for as long as its
// header allows. A refusal is no outage.
func TestDiscoveryThroughAnOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		status := 200
		api := authentication.New(newClient(t, func(*http.Request, string) answer {
			return replyJSON(status, `{"issuer":"https://example.auth0.com/"}`, "Cache-Control", "max-age=15, stale-if-error=3600")
		}))
		if _, err := api.Discovery.AuthorizationServer(t.Context()); err != nil {
			t.Fatal(err)
		}
		status = 503
		time.Sleep(3614 * time.Second)
		if d, err := api.Discovery.AuthorizationServer(t.Context()); err != nil || d.Issuer != issuer {
			t.Errorf("%v, %v", d, err)
		}
		if _, err := api.Discovery.Configuration(t.Context()); !errors.Is(err, auth0.ErrServer) {
			t.Errorf("another document: %v", err)
		}
		status = 404
		if _, err := api.Discovery.AuthorizationServer(t.Context()); !errors.Is(err, auth0.ErrNotFound) {
			t.Errorf("refused: %v", err)
		}
		status = 503
		time.Sleep(time.Second)
		if _, err := api.Discovery.AuthorizationServer(t.Context()); !errors.Is(err, auth0.ErrServer) {
			t.Errorf("after its time: %v", err)
		}
	})
}

// The service provider metadata of a connection is a sibling of the call in the
// list.
func TestConnectionMetadata(t *testing.T) {
	t.Parallel()
	api := authentication.New(newClient(t, func(r *http.Request, _ string) answer {
		if r.URL.String() != "https://example.auth0.com/samlp/metadata?connection=the+one" {
			t.Error(r.URL)
		}
		return reply(200, "application/xml", "<x/>")
	}))
	if x, err := api.SAML.ConnectionMetadata(t.Context(), "the one"); err != nil || string(x) != "<x/>" {
		t.Errorf("%s, %v", x, err)
	}
}

// A profile has its claims beside its fields, in either form of updated_at, and
// one odd member spoils nothing.
func TestUserInfoForms(t *testing.T) {
	t.Parallel()
	body := ""
	api := authentication.New(newClient(t, func(*http.Request, string) answer { return replyJSON(200, body) }))
	for _, c := range []struct {
		body  string
		at    int64
		email string
	}{
		{`{"sub":"u","email":"a@example.com","updated_at":1755684672,"https://example.com/role":"admin"}`, 1755684672, "a@example.com"},
		{`{"sub":"u","email":"a@example.com","updated_at":"2025-08-20T10:11:12Z","https://example.com/role":"admin"}`, 1755684672, "a@example.com"},
		{`{"sub":"u","email":7,"updated_at":"yesterday","https://example.com/role":"admin"}`, time.Time{}.Unix(), ""},
		{`{"updated_at":"yesterday","sub":"u","email":"a@example.com","https://example.com/role":"admin"}`, time.Time{}.Unix(), "a@example.com"},
		{`{"updated_at":null,"sub":"u","email":"a@example.com","https://example.com/role":"admin"}`, time.Time{}.Unix(), "a@example.com"},
	} {
		body = c.body
		u, err := api.OAuth.UserInfo(t.Context(), "token")
		if err != nil {
			t.Fatal(err)
		}
		if u.Subject != "u" || u.UpdatedAt.Unix() != c.at || u.Email != c.email || string(u.Claims["https://example.com/role"]) != `"admin"` {
			t.Errorf("%+v of %s", u, c.body)
		}
	}
}

// Members that are spelt much like those of the standard are not those, wherever
// they stand: of an upstream provider's profile they may say anything.
func TestUserInfoOfLookalikes(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		`{"sub":"u","SUB":"admin","Sub":"admin","\u017fub":"admin","email_verified":false,"Email_Verified":true}`,
		`{"Email_Verified":true,"\u017fub":"admin","Sub":"admin","SUB":"admin","email_verified":false,"sub":"u"}`,
		`{"SUB":"admin","\u017fub":"admin","Sub":"admin","Email_Verified":true,"sub":"u"}`,
	} {
		api := authentication.New(newClient(t, func(*http.Request, string) answer { return replyJSON(200, body) }))
		u, err := api.OAuth.UserInfo(t.Context(), "token")
		if err != nil || u.Subject != "u" || u.EmailVerified || string(u.Claims["SUB"]) != `"admin"` {
			t.Errorf("%s: %+v, %v", body, u, err)
		}
	}
}

// A thousand callers cause one request, also where the answer may not be kept,
// and whoever asks after it another.
func TestDiscoveryIsFetchedOnceForAll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		api := authentication.New(newClient(t, func(*http.Request, string) answer {
			asked++
			time.Sleep(time.Second)
			return replyJSON(200, `{"issuer":"https://example.auth0.com/"}`)
		}))
		var done sync.WaitGroup
		for range 1000 {
			done.Go(func() {
				d, err := api.Discovery.Configuration(t.Context())
				if err != nil || d.Issuer != issuer {
					t.Errorf("%v, %v", d, err)
				}
			})
		}
		done.Wait()
		if asked != 1 {
			t.Errorf("asked %d times for 1,000 callers", asked)
		}
		if _, err := api.Discovery.Configuration(t.Context()); err != nil || asked != 2 {
			t.Errorf("asked %d times, want one more for a later caller: %v", asked, err)
		}
	})
}

// The first caller gives up after a second, and the others get what it began.
// A failure is everybody's, and the next caller's is another.
func TestDiscoveryOutlivesItsFirstCaller(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		api := authentication.New(newClient(t, func(*http.Request, string) answer {
			asked++
			time.Sleep(5 * time.Second)
			return replyJSON(503-303*(asked-1), `{"issuer":"https://example.auth0.com/"}`)
		}))
		for round, want := range []error{auth0.ErrServer, nil} {
			start := time.Now()
			var done sync.WaitGroup
			done.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				if _, err := api.Discovery.Keys(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
					t.Errorf("the first caller: %v after %v", err, time.Since(start))
				}
			})
			synctest.Wait()
			for range 10 {
				done.Go(func() {
					if _, err := api.Discovery.Keys(t.Context()); !errors.Is(err, want) || time.Since(start) != 5*time.Second {
						t.Errorf("the others: %v after %v, want %v", err, time.Since(start), want)
					}
				})
			}
			done.Wait()
			if asked != round+1 {
				t.Errorf("asked %d times in %d rounds", asked, round+1)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := api.Discovery.Keys(ctx); !errors.Is(err, context.Canceled) || asked != 2 {
			t.Errorf("a caller that had ended: %v, asked %d times", err, asked)
		}
	})
}

// When the last caller has given up, so does the fetch, and the next caller does
// not wait for it.
func TestDiscoveryEndsWithItsLastCaller(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var ended []time.Duration
		start := time.Now()
		hang := true
		c := newClient(t, nil, auth0.WithHTTPClient(&http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
			if hang {
				<-r.Context().Done()
				ended = append(ended, time.Since(start))
				return nil, r.Context().Err()
			}
			return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(`{"issuer":"https://example.auth0.com/"}`)), Request: r}, nil
		})}))
		api := authentication.New(c)
		var done sync.WaitGroup
		for i := range 3 {
			done.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i+1)*time.Second)
				defer cancel()
				if _, err := api.Discovery.Configuration(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Duration(i+1)*time.Second {
					t.Errorf("caller %d: %v after %v", i, err, time.Since(start))
				}
			})
		}
		done.Wait()
		synctest.Wait()
		if !slices.Equal(ended, []time.Duration{3 * time.Second}) {
			t.Errorf("requests ended at %v, want at the last caller's 3 s", ended)
		}
		hang = false
		if d, err := api.Discovery.Configuration(t.Context()); err != nil || d.Issuer != issuer {
			t.Errorf("the next caller: %v, %v", d, err)
		}
	})
}
