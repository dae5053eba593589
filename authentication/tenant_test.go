package authentication_test

import (
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headroom-go/auth0"
	"github.com/headroom-go/auth0/auth0test"
	"github.com/headroom-go/auth0/authentication"
)

// The simulated tenant, over real HTTP, grants tokens to an application that
// proves itself in either way, and tells a wrong secret.
func TestTenantGrantsClientCredentials(t *testing.T) {
	t.Parallel()
	tenant := auth0test.MustNew(auth0test.Options{Audiences: []string{"https://api.example.com"}})
	server := tenant.Server(t)
	client, err := auth0.New(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer client.CloseIdleConnections()
	p := &authentication.ClientCredentials{Audience: "https://api.example.com"}
	for name, o := range map[string]authentication.Option{
		"post":  authentication.ClientSecretPost(auth0test.DefaultClientID, auth0test.DefaultClientSecret),
		"basic": authentication.ClientSecretBasic(auth0test.DefaultClientID, auth0test.DefaultClientSecret),
	} {
		tokens, err := authentication.New(client, o).OAuth.ClientCredentials(t.Context(), p)
		if err != nil || tokens.AccessToken == "" || tokens.TokenType != "Bearer" || tokens.ExpiresIn != 86400 {
			t.Errorf("%s: %v, %v", name, tokens, err)
		}
	}
	_, err = authentication.New(client, authentication.ClientSecretBasic(auth0test.DefaultClientID, "wrong")).OAuth.ClientCredentials(t.Context(), p)
	if authentication.CodeOf(err) != authentication.AccessDenied || !errors.Is(err, auth0.ErrUnauthorized) {
		t.Errorf("wrong secret: %v", err)
	}
}

// Calls with headers of their own go through the same throttle as all others:
// half of the calls made so take as long as if none were, and none is rejected.
func TestDerivedCallsArePacedWithTheOthers(t *testing.T) {
	t.Parallel()
	basic := authentication.ClientSecretBasic(auth0test.DefaultClientID, auth0test.DefaultClientSecret)
	post := authentication.ClientSecretPost(auth0test.DefaultClientID, auth0test.DefaultClientSecret)
	took := func(first, second authentication.Option) (took time.Duration) {
		synctest.Test(t, func(t *testing.T) {
			tenant := auth0test.MustNew(auth0test.Options{PlanName: "free", Audiences: []string{"https://api.example.com"}})
			client, err := auth0.New(tenant.Domain(), auth0.WithPlan("free"), auth0.WithMaxRejections(0),
				auth0.WithHTTPClient(&http.Client{Transport: tenant}))
			if err != nil {
				t.Fatal(err)
			}
			apis := []*authentication.API{authentication.New(client, first), authentication.New(client, second)}
			start := time.Now()
			for i := range 400 {
				if _, err := apis[i%2].OAuth.ClientCredentials(t.Context(), &authentication.ClientCredentials{Audience: "https://api.example.com"}); err != nil {
					t.Fatalf("call %d after %v: %v", i, time.Since(start), err)
				}
			}
			took = time.Since(start)
		})
		return took
	}
	plain, mixed := took(post, post), took(post, basic)
	// 300 at once and 5 a second: the last of 400 has to wait for 100 of them.
	if mixed != plain || mixed < 20*time.Second {
		t.Errorf("with headers of their own %v, without %v", mixed, plain)
	}
}
