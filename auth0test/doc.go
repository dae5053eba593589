// Package auth0test is a simulated Auth0 tenant that enforces the rate limits
// of any plan, for tests and for trying things out without a tenant of one's own.
//
// A [Tenant] works three ways. As an [http.RoundTripper] it answers in memory,
// also inside testing/synctest, where an hour of traffic passes in milliseconds:
//
//	tenant, err := auth0test.New(auth0test.Options{Plan: plan})
//	client := &http.Client{Transport: tenant}
//
// One that is used inside a bubble of testing/synctest is made there as well:
// outside, time is another.
//
// As an [http.Handler] it stands behind any server; [Tenant.Server] starts one
// for a test. [Tenant.ListenAndServe] serves it for other programs.
//
// # Limits
//
// A request is charged to the API-wide buckets that list it and then to those
// of its endpoint, or of everything else where no endpoint bucket of the API
// lists it. The first empty bucket rejects it and loses nothing; the buckets
// before it have been charged by then, those after it are not. [Options] choose
// among the readings that the published texts leave open: how tokens come back
// ([Refill]), what the reset header announces ([Reset]) and which bucket the
// headers describe ([Describe]). A rejection has the published form of its
// endpoint ([FormOf]). The arithmetic is that of package internal/enforce and
// shares nothing with the limiter it is there to judge.
//
// # State
//
// Kept in memory and answered with Auth0's status codes and error bodies are
// tokens; users with their identities, roles, permissions, organizations and
// authentication methods; roles with permissions and users; organizations with
// members, their roles, connections, invitations, applications, discovery domains
// and client grants; applications with secrets, credentials and client grants;
// connections, resource servers, sessions and refresh tokens, and jobs that import
// and export users. Each call that changes something, and each token asked for,
// leaves an entry in the log. Of passwords a keyed hash is kept; hashes that are
// imported are checked for shape and dropped, so that those users cannot log in
// with a password.
//
// Lists page by page and per_page, up to the ceiling of 1,000 entries where
// there is one, and by from and take, which has none. Searches take fields and
// values, ranges, AND, OR, NOT and parentheses.
//
// Every other operation of the Management API gets an answer of the right type,
// made up from the description of the API that the module has, in which the
// names of the path and the values that were sent come back. Requests are held
// against the same description: what is missing or of another type is refused,
// and so is a property that the body of the operation does not have. A path that
// is no operation answers 404.
//
// # Logins
//
// The tenant is an OAuth 2.0 and OpenID Connect server, under the plan's limits
// like all else. Its issuer is the scheme and host that a request came to. Tokens
// are signed with RS256 and checked with what /.well-known/jwks.json publishes;
// [Tenant.RotateKey] changes the key. There are
//
//   - the authorize endpoint for codes, with PKCE, pushed requests and signed
//     request objects, a login page that asks for a password and a second factor,
//     sessions in cookies, and logout;
//   - the grants for codes, refresh tokens, client credentials, passwords, second
//     factors, passwordless codes, devices and backchannel requests;
//   - client authentication by a secret, by a signed assertion, or by none;
//   - tokens bound to DPoP keys, with a nonce where [Options].DPoPNonce asks for one;
//   - second factors, sign-up, passwordless codes, revocation, the profile, and
//     registration of applications.
//
// Implicit grants, token exchange, passkeys, SAML and WS-Federation are not there,
// and answer 404 or a refusal. A wrong password counts: ten in a row from one
// address close the account to it.
//
// [Options].Clients and [Options].Users say who takes part; what the Management
// API makes serves as well. [Tenant.Login], [Tenant.Approve], [Tenant.Deny],
// [Tenant.OTP] and [Tenant.Sent] are the part of the person. The sessions and
// refresh tokens of logins are in the Management API.
//
// # Single answers
//
// github.com/jarcoal/httpmock answers single requests, alone or in front of a
// tenant ([Tenant.Responder]). It goes by the URL as it is sent, in which ids are
// escaped: the stub of the user auth0|1 is for /api/v2/users/auth0%7C1. A request
// without a stub looks to the client like a failure of the network, which it
// repeats for a while: with auth0.NoRetry() the call fails at once and says so. A
// stub that always rejects ([RateLimited]) is asked again after waits that add up to
// minutes: auth0.WithMaxRejections(0) hands back the first rejection.
//
// # Faults
//
// [Faults] put a network between caller and tenant: delays, stalls, lost
// requests and answers, 5xx, stale or missing headers, a skewed clock.
// [Consumer] draws from a bucket as another program would, and [Change] alters a
// limit in flight. All of it follows from [Options].Seed.
//
// # Report
//
// [Tenant.Report] tells what was accepted and rejected, by which bucket and in
// which form, and how much of each allowance was used. Other processes read it
// as JSON from [ReportPath].
package auth0test
