package auth0test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/headroom-go/auth0/ratelimit"
)

// Refill says how tokens come back. The published texts disagree; a client has
// to live with each reading.
type Refill uint8

const (
	// RefillSliding adds one token every period/count. Buckets whose plan gives
	// them a window keep it. It is the reading of the worked examples and the default.
	RefillSliding Refill = iota
	// RefillTicking adds what has been earned by the millisecond for limits a
	// second and by the second for all others.
	RefillTicking
	// RefillWindows adds a whole period's count at the end of fixed windows of
	// one period, or of the plan's own window, that begin with the bucket's first use.
	RefillWindows
	// RefillTopUp fills the bucket at the end of such windows whatever its count.
	RefillTopUp
)

// Reset says what the x-ratelimit-reset header announces. It is in whole epoch
// seconds, rounded up.
type Reset uint8

const (
	// ResetNextToken announces the next token.
	ResetNextToken Reset = iota
	// ResetFull announces the full bucket.
	ResetFull
	// ResetWindow announces the end of the running period.
	ResetWindow
)

// Describe says which bucket the x-ratelimit headers speak of when a request
// draws from several.
type Describe uint8

const (
	// DescribeEmptier speaks of the bucket with fewest tokens left among those
	// checked; the first checked where two are equal.
	DescribeEmptier Describe = iota
	// DescribeGlobal speaks of the API-wide bucket where there is one.
	DescribeGlobal
	// DescribeEndpoint speaks of the endpoint's bucket where there is one, even
	// if an API-wide bucket rejected the request before it was reached.
	DescribeEndpoint
	// DescribeLast speaks of the bucket checked last: the rejecting one on a rejection.
	DescribeLast
)

// Options configure a Tenant. The zero value is a tenant without rate limits.
type Options struct {
	// Plan is the plan to enforce; nil enforces no bucket. A request that a plan
	// lists nowhere passes freely.
	Plan *ratelimit.Plan
	// PlanName is the name of a published plan, as ratelimit.Named knows it, to
	// enforce where Plan is nil.
	PlanName string
	// Domain is the tenant's name, "tenant.auth0.test" by default. Tokens are
	// for the audience https://Domain/api/v2/, or the same path under whatever
	// host a request came to.
	Domain string
	// Seed decides every random event. Two tenants with one seed treat the same
	// requests alike, in whatever order goroutines bring them.
	Seed uint64

	// Clock is the source of time, [time.Now] by default, which testing/synctest
	// fakes. It is read a few times for every request.
	Clock func() time.Time
	// Sleep waits for the time that a request spends on the way; by default a
	// timer that ends early with the context. Set it together with Clock.
	Sleep func(context.Context, time.Duration) error

	// Refill, Reset and Describe choose among the published readings.
	Refill   Refill
	Reset    Reset
	Describe Describe
	// Empty is the share of each bucket, 0 to 1, that is missing at the start.
	Empty float64
	// RetryAfter adds a Retry-After header to each rejection by a bucket.
	RetryAfter bool
	// ErrorKind adds x-auth0-error-kind: global-rate-limit to rejections by an
	// API-wide bucket.
	ErrorKind bool
	// NoHeaders leaves the x-ratelimit headers out altogether.
	NoHeaders bool
	// ErrorPage is the URL of a custom error page: rejections that would show
	// Auth0's own page redirect there.
	ErrorPage string
	// TrustForwarded counts requests under the address in their
	// auth0-forwarded-for header where they carry one.
	TrustForwarded bool

	// ImportJobs is the number of user-import jobs that may be active at a time;
	// 0 means the plan's number, or 2. Negative means any number.
	ImportJobs int
	// JobTime is how long an import job takes, and JobTimePerUser what each of
	// its users adds.
	JobTime, JobTimePerUser time.Duration
	// ImportFault says what goes wrong with the nth import job, from 1, and its
	// users; nil for nothing. It must not call the tenant.
	ImportFault func(n, users int) JobFault

	// Policies are custom rate limit policies, checked before all buckets.
	Policies []Policy
	// ClientQuota and OrganizationQuota bound the machine-to-machine tokens that
	// each application or organization gets.
	ClientQuota, OrganizationQuota Quota

	// Consumers draw from buckets beside the requests that the tenant is sent.
	Consumers []Consumer
	// Changes alter limits at given times.
	Changes []Change
	// Faults go wrong from the start; see also [Tenant.SetFaults].
	Faults Faults

	// Clients are the applications that may fetch tokens, for every API; by default
	// one with [DefaultClientID] and [DefaultClientSecret]. Those that are made by
	// the Management API need a client grant for each API.
	Clients []Client
	// Connections exist from the start; by default [DefaultConnection], a database.
	Connections []Connection
	// Users exist from the start.
	Users []User
	// RequireMFA asks every user for a second factor. Users who have none are told
	// to enrol one. Otherwise only those who have one are asked.
	RequireMFA bool
	// DPoPNonce asks DPoP proofs for a nonce, which changes every five minutes.
	DPoPNonce bool
	// Audiences are the identifiers of resource servers beside the Management API
	// that exist from the start, for which tokens may be asked.
	Audiences []string
	// Tokens are access tokens that are valid from the start and never expire.
	Tokens []string
	// TokenLife is the life of a token, 24 hours by default.
	TokenLife time.Duration
	// AnyToken accepts Management API calls with whatever token, or none.
	AnyToken bool
	// CheckScopes rejects calls whose token lacks the operation's scope.
	CheckScopes bool

	// Observe is told of each answer, after it has been decided and before it
	// travels back. It may be called by several goroutines at once and must not
	// call the tenant.
	Observe func(Event)
}

// The defaults of [Options].
const (
	DefaultDomain       = "tenant.auth0.test"
	DefaultClientID     = "headroom-test-client"
	DefaultClientSecret = "headroom-test-secret"
	DefaultConnection   = "Username-Password-Authentication"
)

// Client is an application that may fetch tokens.
type Client struct {
	ID     string
	Secret string
	// Public applications have nothing to prove themselves with and need PKCE.
	Public bool
	// Keys are those that the application signs assertions and request objects
	// with: *rsa.PublicKey, *ecdsa.PublicKey or ed25519.PublicKey.
	Keys []crypto.PublicKey
	// Callbacks are the URLs that browsers may be sent back to after a login, and
	// LogoutURLs after a logout. They are compared as they are.
	Callbacks, LogoutURLs []string
	// Grants are the grant types that it may use; nil means all.
	Grants []string
	// RotateRefreshTokens makes each refresh token good for one use. Using an old
	// one ends all of its family.
	RotateRefreshTokens bool
	// Scopes are granted to its tokens; none means all.
	Scopes []string
	// Quota overrides Options.ClientQuota where it is not zero.
	Quota Quota
}

// validate refuses an application that cannot be meant.
func (c *Client) validate() error {
	if c.Public && (c.Secret != "" || len(c.Keys) > 0) {
		return fmt.Errorf("auth0test: the client %q is Public and has a Secret or Keys; leave out one or the other", c.ID)
	}
	for _, g := range c.Grants {
		if !slices.Contains(grantTypes(), g) {
			return fmt.Errorf("auth0test: the client %q has the grant type %q; there are %s", c.ID, g, strings.Join(grantTypes(), ", "))
		}
	}
	for _, k := range c.Keys {
		switch k.(type) {
		case *rsa.PublicKey, *ecdsa.PublicKey, ed25519.PublicKey:
		default:
			return fmt.Errorf("auth0test: the client %q has a key of type %T; use *rsa.PublicKey, *ecdsa.PublicKey or ed25519.PublicKey", c.ID, k)
		}
	}
	return nil
}

// String returns the client's id; the secret stays out of logs.
func (c Client) String() string { return c.ID }

// GoString is String in the form that %#v prints.
func (c Client) GoString() string { return fmt.Sprintf("auth0test.Client{ID:%q}", c.ID) }

// User is an account that exists from the start.
type User struct {
	// ID is what follows the | in the user's id; made up when empty.
	ID string
	// Connection is DefaultConnection when empty.
	Connection    string
	Email         string
	EmailVerified bool
	PhoneNumber   string
	Username      string
	Name          string
	Password      string
	Blocked       bool
	// Factors are the user's second factors.
	Factors []Factor
}

// String returns the connection and the id; what is personal or secret stays out
// of logs.
func (u User) String() string { return u.Connection + " user " + u.ID }

// GoString is String in the form that %#v prints.
func (u User) GoString() string { return fmt.Sprintf("auth0test.User{ID:%q}", u.ID) }

// Factor is a second factor.
type Factor struct {
	// Type is totp, push, phone, email or recovery-code. Codes for phone and email
	// go to the user's number or address.
	Type string
	// Secret is that of an authenticator app, in base32, or the recovery code;
	// made up when empty.
	Secret string
}

// String returns the type; the secret stays out of logs.
func (f Factor) String() string { return f.Type }

// GoString is String in the form that %#v prints.
func (f Factor) GoString() string { return fmt.Sprintf("auth0test.Factor{Type:%q}", f.Type) }

// Connection is a source of users.
type Connection struct {
	// ID is con_ and 16 letters or digits; made up when empty.
	ID   string
	Name string
	// Strategy is "auth0" (a database) when empty.
	Strategy string
}

// Policy is a custom rate limit policy. The first whose selector is most
// specific counts a request: a client id before a group before the default.
type Policy struct {
	// Selector is "client_id:ID", "third_party_clients" (ids beginning with
	// tpc_), "cimd_clients" (ids that are https URLs) or "default". The members
	// of a group share one counter; under "default" each application has its own.
	Selector string
	// Quota is the number of requests in each interval; 0 blocks the application.
	Quota int64
	// Interval is a whole number of seconds, one second when zero.
	Interval time.Duration
	// LogOnly counts and shows the policy without rejecting.
	LogOnly bool
}

// Quota bounds machine-to-machine tokens in each UTC hour and UTC day; 0 means
// no bound.
type Quota struct {
	PerHour, PerDay int64
}

// Consumer draws from a bucket as another program on the same tenant would. A
// draw from an empty bucket fails and is not repeated.
type Consumer struct {
	// Bucket is the name of a bucket of the plan.
	Bucket string
	// Rate is how many requests it makes.
	Rate ratelimit.Rate
	// Poisson spaces them at random; otherwise they are evenly spaced.
	Poisson bool
	// From and Until bound its activity, counted from New; Until 0 means for good.
	From, Until time.Duration
}

// Change alters a bucket's limit in flight.
type Change struct {
	// At is counted from New.
	At     time.Duration
	Bucket string
	Burst  int64
	Rate   ratelimit.Rate
}

// Event is what Options.Observe is told of one answer.
type Event struct {
	// Time is the tenant's time at which the request was handled.
	Time   time.Time
	Method string
	// Path is the escaped path without the query.
	Path   string
	Status int
	// Rejected is true for rejections in any form; Form then holds the form.
	Rejected bool
	Form     Form
	// Bucket is the name of the bucket that rejected the request, or that its
	// x-ratelimit headers describe; empty when neither applies.
	Bucket string
	// Lost is true when the answer never reaches the caller.
	Lost bool
}

// validate refuses options that cannot be meant.
func (o *Options) validate() error {
	if o.Empty < 0 || o.Empty > 1 {
		return fmt.Errorf("auth0test: Empty is %v; it is a share between 0 and 1", o.Empty)
	}
	names := make(map[string]*ratelimit.Bucket)
	if o.Plan != nil {
		for i := range o.Plan.Buckets {
			b := &o.Plan.Buckets[i]
			if _, ok := names[b.Name]; ok {
				return fmt.Errorf("auth0test: plan %s: two buckets are named %q", o.Plan.Name, b.Name)
			}
			names[b.Name] = b
			if b.Concurrent == 0 && (b.Burst < 0 || b.Rate.Count <= 0 || b.Rate.Per <= 0) {
				return fmt.Errorf("auth0test: plan %s: bucket %q has burst %d and rate %d each %v", o.Plan.Name, b.Name, b.Burst, b.Rate.Count, b.Rate.Per)
			}
		}
	}
	for _, c := range o.Consumers {
		if b := names[c.Bucket]; b == nil || b.Concurrent > 0 {
			return fmt.Errorf("auth0test: a consumer draws from %q, which is no bucket of the plan", c.Bucket)
		}
		if c.Rate.Count <= 0 || c.Rate.Per <= 0 {
			return fmt.Errorf("auth0test: the consumer of %q has the rate %d each %v", c.Bucket, c.Rate.Count, c.Rate.Per)
		}
	}
	for _, c := range o.Changes {
		if b := names[c.Bucket]; b == nil || b.Concurrent > 0 {
			return fmt.Errorf("auth0test: a change names %q, which is no bucket of the plan", c.Bucket)
		}
		if c.Burst < 0 || c.Rate.Count <= 0 || c.Rate.Per <= 0 {
			return fmt.Errorf("auth0test: the change of %q sets burst %d and rate %d each %v", c.Bucket, c.Burst, c.Rate.Count, c.Rate.Per)
		}
	}
	for i := range o.Clients {
		if err := o.Clients[i].validate(); err != nil {
			return err
		}
	}
	for _, p := range o.Policies {
		if id, ok := strings.CutPrefix(p.Selector, "client_id:"); (!ok || id == "") && !slices.Contains([]string{"third_party_clients", "cimd_clients", "default"}, p.Selector) {
			return fmt.Errorf("auth0test: a policy has the selector %q; there are client_id:ID, third_party_clients, cimd_clients and default", p.Selector)
		}
		if p.Quota < 0 || p.Interval < 0 || p.Interval%time.Second != 0 {
			return fmt.Errorf("auth0test: policy %q has quota %d and interval %v; intervals are whole seconds", p.Selector, p.Quota, p.Interval)
		}
	}
	return o.Faults.validate()
}

// setDefaults fills in what was left out.
func (o *Options) setDefaults() {
	if o.Domain == "" {
		o.Domain = DefaultDomain
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Sleep == nil {
		o.Sleep = sleep
	}
	if o.TokenLife == 0 {
		o.TokenLife = 24 * time.Hour
	}
	if o.Clients == nil {
		o.Clients = []Client{{ID: DefaultClientID, Secret: DefaultClientSecret}}
	}
	if o.Connections == nil {
		o.Connections = []Connection{{Name: DefaultConnection}}
	}
}

// sleep waits for d or until the context ends. It leaves no timer behind.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// The headers that speak of a bucket, in the spelling of http.Header.
const (
	headerLimit     = "X-Ratelimit-Limit"
	headerRemaining = "X-Ratelimit-Remaining"
	headerReset     = "X-Ratelimit-Reset"
)
