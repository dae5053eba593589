package authentication_test

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headroom-go/auth0"
	"github.com/headroom-go/auth0/auth0test"
)

// slowTokens is a client of a tenant that takes ten seconds for a token, and the
// count of what it is asked for tokens and for lists of applications.
func slowTokens(t *testing.T, opts ...auth0.Option) (c *auth0.Client, tokens, lists *int) {
	t.Helper()
	var mu sync.Mutex
	tokens, lists = new(int), new(int)
	tenant := auth0test.MustNew(auth0test.Options{PlanName: "enterprise"})
	c, err := auth0.New(tenant.Domain(), append([]auth0.Option{
		auth0.WithPlan("enterprise"), auth0.WithRetries(0), auth0.WithMaxRejections(0),
		auth0.WithHTTPClient(&http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
			mu.Lock()
			count, delay := lists, time.Duration(0)
			if r.URL.Path == "/oauth/token" {
				count, delay = tokens, 10*time.Second
			}
			*count++
			mu.Unlock()
			time.Sleep(delay)
			return tenant.RoundTrip(r)
		})}),
	}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	return c, tokens, lists
}

func listClients(ctx context.Context, c *auth0.Client) error {
	_, err := auth0.Call[auth0.NoContent](ctx, c, http.MethodGet, "/api/v2/clients", nil, nil, nil, nil)
	return err
}

// A thousand goroutines that need a token at once cause one request for it, which
// goes on when the one that began it gives up.
func TestAThousandCallersShareOneTokenRequest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, tokens, lists := slowTokens(t, auth0.WithClientSecret(auth0test.DefaultClientID, auth0test.DefaultClientSecret))
		start := time.Now()
		var callers sync.WaitGroup
		callers.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if err := listClients(ctx, c); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
				t.Errorf("the first: %v after %v", err, time.Since(start))
			}
		})
		synctest.Wait()
		for range 999 {
			callers.Go(func() {
				if err := listClients(t.Context(), c); err != nil || time.Since(start) < 10*time.Second {
					t.Errorf("%v after %v", err, time.Since(start))
				}
			})
		}
		callers.Wait()
		if *tokens != 1 || *lists != 999 {
			t.Errorf("%d requests for tokens, %d others; want 1 and 999", *tokens, *lists)
		}
	})
}

// A source that fails reaches each of a thousand callers as the error it is: one
// of its own, or the tenant's refusal of the credentials.
func TestATokenFailureReachesEachCaller(t *testing.T) {
	t.Parallel()
	errVault := errors.New("the vault is sealed")
	for name, c := range map[string]struct {
		source func(asked *int) auth0.Option
		is     func(error) bool
	}{
		"a source": {func(asked *int) auth0.Option {
			return auth0.WithTokenSource(auth0.TokenSourceFunc(func(context.Context) (auth0.Token, error) {
				*asked++
				time.Sleep(10 * time.Second)
				return auth0.Token{}, errVault
			}))
		}, func(err error) bool { return err == errVault }}, //nolint:errorlint // it is to arrive unwrapped
		"a wrong secret": {func(*int) auth0.Option {
			return auth0.WithClientSecret(auth0test.DefaultClientID, "not-the-secret")
		}, func(err error) bool {
			e, ok := errors.AsType[*auth0.Error](err)
			return ok && e.Status == http.StatusUnauthorized && e.Route == "/oauth/token" && e.Code == "access_denied"
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				asked := new(int)
				client, tokens, lists := slowTokens(t, c.source(asked))
				var callers sync.WaitGroup
				for range 1000 {
					callers.Go(func() {
						if err := listClients(t.Context(), client); !c.is(err) {
							t.Errorf("%T %v", err, err)
						}
					})
				}
				callers.Wait()
				if *asked+*tokens != 1 || *lists != 0 {
					t.Errorf("asked %d times, %d requests for tokens, %d others; want one, and no others", *asked, *tokens, *lists)
				}
			})
		})
	}
}
