// Package auth0test is a simulated Auth0 tenant that enforces the rate limits
// of any plan, for tests and for trying things out without a tenant of one's own.
//
// A [Tenant] works three ways. As an [http.RoundTripper] it answers in memory,
// also inside testing/synctest, where an hour of traffic passes in milliseconds:
//
//	tenant, err := auth0test.New(auth0test.Options{Plan: plan})
//	client := &http.Client{Transport: tenant}
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
// members, their roles, connections, invitations and client grants; applications
// with secrets, credentials and client grants; connections, resource servers,
// and jobs that import and export users. Each call that changes something, and
// each token asked for, leaves an entry in the log. Passwords and their hashes
// are checked for shape and dropped.
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
// is no operation answers 404. Of the Authentication API there is the client
// credentials grant; its other endpoints answer 404, under the plan's limits
// like all else.
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
