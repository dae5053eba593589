// Package auth0 is an unofficial SDK for Auth0 that knows its headroom: it
// paces every call so that no rate limit is tripped, while the allowance is used
// to the full.
//
//	client, err := auth0.New("example.eu.auth0.com",
//		auth0.WithClientSecret(id, secret),
//		auth0.WithPlan("enterprise"))
//	if err != nil {
//		return err
//	}
//	api := management.New(client)
//	for user, err := range api.Users.All(ctx, nil) {
//		if err != nil {
//			return err
//		}
//		fmt.Println(user.Email)
//	}
//	_, err = api.Users.Get(ctx, "auth0|123", nil)
//	if errors.Is(err, auth0.ErrNotFound) {
//		fmt.Println("no such user")
//	}
//
// Package management has a method for each operation of the Management API,
// with types for what goes in and out.
//
// # Pacing
//
// A call waits until every bucket that the tenant will charge for it has room.
// Any number of goroutines may call at once. A wait that cannot end before the
// deadline of the call's context fails at once with a *ratelimit.WaitError.
// Name the tenant's plan with WithPlan; without it the client starts carefully
// and learns the limits from the answers. Leave a share to others with
// WithReserve, and order calls with Priority and Flow.
//
// Programs that use another SDK, or none, get the same by putting Transport
// under their http.Client.
//
// # Failures
//
// Errors are *Error; errors.Is tells the kinds apart (ErrNotFound, ErrConflict,
// ErrRateLimited). Calls that are safe to repeat are repeated after a failure
// of the server or the network; others only with Idempotent.
package auth0
