package main

import (
	"context"
	"sync"

	"github.com/headroom-go/auth0/auth0test"
)

// The one user of the simulated tenant.
const (
	localUser     = "ada@example.com"
	localPassword = "Analytical-Engine-1843"
)

// localTenant is a simulated tenant on this machine.
type localTenant struct {
	application application
	served      sync.WaitGroup
}

// startTenant serves a simulated tenant, with an application for the site at
// base, until ctx ends.
func startTenant(ctx context.Context, base string) (*localTenant, error) {
	tenant, err := auth0test.New(auth0test.Options{
		PlanName: "free",
		Clients: []auth0test.Client{{
			ID: "weblogin", Secret: auth0test.DefaultClientSecret,
			Callbacks: []string{base + "/callback"}, LogoutURLs: []string{base + "/"},
		}},
		Users: []auth0test.User{{Email: localUser, EmailVerified: true, Name: "Ada Lovelace", Password: localPassword}},
	})
	if err != nil {
		return nil, err
	}
	listener, err := auth0test.Listen(ctx, "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	t := &localTenant{application: application{
		domain: "http://" + listener.Addr().String(), clientID: "weblogin", secret: auth0test.DefaultClientSecret,
	}}
	t.served.Go(func() { _ = tenant.Serve(ctx, listener) }) // ends with the program
	return t, nil
}

// wait returns when the tenant has ended.
func (t *localTenant) wait() { t.served.Wait() }
