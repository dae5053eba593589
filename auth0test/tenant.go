package auth0test

import (
	"cmp"
	"crypto"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headroom-go/auth0/internal/enforce"
	"github.com/headroom-go/auth0/ratelimit"
)

// Tenant is a simulated Auth0 tenant. It is an [http.RoundTripper] that answers
// in memory, an [http.Handler], and a server; see [Tenant.RoundTrip],
// [Tenant.ServeHTTP] and [Tenant.ListenAndServe]. All its methods may be called
// by several goroutines at once. It starts no goroutine of its own.
type Tenant struct {
	o       Options
	started time.Time      // the clock at New, with its monotonic reading
	start   time.Duration  // the same, since the epoch
	named   map[string]int // buckets by name
	// patterns are the paths of the buckets' matches, split.
	patterns [][]pattern
	key      [32]byte // signs tokens

	unclosed atomic.Int64 // bodies handed out by RoundTrip and not closed yet

	mu        sync.Mutex // guards everything below; never held while waiting
	seen      time.Duration
	serial    uint64 // ids handed out
	faults    Faults
	buckets   []ratelimit.Bucket // the plan's, as changed in flight
	counters  map[counterKey]*counter
	consumers []*consumer
	changes   []Change
	policies  map[string]*enforce.Bucket
	quotas    map[string]*quotaUse
	asked     map[uint64]uint64
	stats     stats

	clients map[string]Client // that may fetch tokens
	grants  map[string]*grant
	users   users
	jobs    []*job
	imports int // import jobs created
	// importPeak is the most of them that were under way at a time.
	importPeak int
	entries    []logEntry
	sequences  uint64                 // given to objects, links and log entries
	kept       map[string]*collection // by the noun of the kind

	// What logins need beside users and applications, by the code, token or
	// cookie that leads to it.
	rotations     int                         // of the signing key
	credentials   map[string]crypto.PublicKey // of applications, by id of the credential
	secrets       map[string]*secret          // of factors, by id of the authentication method
	sessions      map[string]*session
	pushed        map[string]*pushed
	transactions  map[string]*transaction
	codes         map[string]*code
	refreshTokens map[string]*refreshToken
	challenges    map[string]*challenge
	waits         map[string]*wait
	oneTimes      map[string]*oneTime
	sent          map[string]string        // the last code that went to an address or number
	once          map[string]time.Duration // what may be used once, until when it is remembered
	failures      map[string]int           // wrong passwords, by address and user
	forgot        time.Duration            // when old ones were last forgotten

	userRoles               *relation // user, role
	permissions             *relation // user or role, permission
	members                 *relation // organization, user
	memberRoles             *relation // member, role
	organizationConnections *relation // organization, connection
	organizationGrants      *relation // organization, client grant
	organizationClients     *relation // organization, client
	connectionClients       *relation // connection, client
}

// relations returns all relations.
func (t *Tenant) relations() []*relation {
	return []*relation{
		t.userRoles, t.permissions, t.members, t.memberRoles, t.organizationConnections, t.organizationGrants, t.organizationClients, t.connectionClients,
	}
}

// New returns a tenant. It refuses options that contradict themselves or name
// buckets that the plan does not have.
func New(o Options) (*Tenant, error) {
	o.setDefaults()
	if o.Plan == nil && o.PlanName != "" {
		var err error
		if o.Plan, err = ratelimit.Named(o.PlanName); err != nil {
			return nil, fmt.Errorf("auth0test: %w", err)
		}
	}
	if err := o.validate(); err != nil {
		return nil, err
	}
	t := &Tenant{
		o:        o,
		started:  o.Clock(),
		named:    make(map[string]int),
		faults:   o.Faults,
		counters: make(map[counterKey]*counter),
		policies: make(map[string]*enforce.Bucket),
		quotas:   make(map[string]*quotaUse),
		asked:    make(map[uint64]uint64),
		clients:  make(map[string]Client),
		grants:   make(map[string]*grant),
		users:    newUsers(),
		stats:    newStats(),
		kept:     make(map[string]*collection),

		credentials:   make(map[string]crypto.PublicKey),
		secrets:       make(map[string]*secret),
		sessions:      make(map[string]*session),
		pushed:        make(map[string]*pushed),
		transactions:  make(map[string]*transaction),
		codes:         make(map[string]*code),
		refreshTokens: make(map[string]*refreshToken),
		challenges:    make(map[string]*challenge),
		waits:         make(map[string]*wait),
		oneTimes:      make(map[string]*oneTime),
		sent:          make(map[string]string),
		once:          make(map[string]time.Duration),
		failures:      make(map[string]int),
	}
	for _, k := range kinds() {
		t.kept[k.noun] = newCollection()
	}
	for _, r := range []**relation{
		&t.userRoles, &t.permissions, &t.members, &t.memberRoles, &t.organizationConnections, &t.organizationGrants, &t.organizationClients, &t.connectionClients,
	} {
		*r = newRelation()
	}
	t.start = time.Duration(t.started.UnixNano())
	t.seen = t.start
	t.key = sha256.Sum256(binary.BigEndian.AppendUint64([]byte("token"), o.Seed))
	if o.Plan != nil {
		t.buckets = slices.Clone(o.Plan.Buckets)
	}
	for i := range t.buckets {
		t.named[t.buckets[i].Name] = i
		var paths []pattern
		for _, m := range t.buckets[i].Matches {
			paths = append(paths, splitPattern(m.Path))
		}
		t.patterns = append(t.patterns, paths)
		if o.Empty > 0 && t.buckets[i].Key == ratelimit.KeyTenant && t.buckets[i].Concurrent == 0 {
			t.counterOf(i, "", t.start) // begins to refill now, not at its first request
		}
	}
	for i, c := range o.Consumers {
		w := &consumer{
			Consumer: c,
			bucket:   t.named[c.Bucket],
			next:     t.start + c.From,
			rng:      rand.New(rand.NewPCG(o.Seed, uint64(i)+1)),
		}
		w.plan(t.start)
		t.consumers = append(t.consumers, w)
	}
	t.changes = slices.Clone(o.Changes)
	slices.SortStableFunc(t.changes, func(a, b Change) int { return cmp.Compare(a.At, b.At) })
	for _, token := range o.Tokens {
		t.grants[token] = &grant{subject: "static@clients", management: true}
	}
	if err := t.begin(); err != nil {
		return nil, err
	}
	return t, nil
}

// begin keeps what the options say is there from the start.
func (t *Tenant) begin() error {
	for _, c := range t.o.Clients {
		t.clients[c.ID] = c
		doc := map[string]any{"client_id": c.ID, "name": c.ID, "app_type": "non_interactive"}
		c.describeIn(doc)
		t.completeClient(doc, c.Secret)
		if _, bad := t.keep(clientKind(), "", doc); bad != nil {
			return fmt.Errorf("auth0test: two clients have the id %q", c.ID)
		}
	}
	for _, c := range t.o.Connections {
		doc := map[string]any{"name": c.Name, "strategy": firstOf(c.Strategy, strategyDatabase)}
		if c.ID != "" {
			doc["id"] = c.ID
		}
		connectionKind().begin(t, nil, doc, nil)
		if _, bad := t.keep(connectionKind(), "", doc); bad != nil {
			return fmt.Errorf("auth0test: two connections have the id %q or the name %q", c.ID, c.Name)
		}
	}
	for i, identifier := range append([]string{"https://" + t.o.Domain + "/api/v2/"}, t.o.Audiences...) {
		doc := map[string]any{"identifier": identifier}
		resourceServerKind().begin(t, nil, doc, nil)
		if i == 0 {
			doc["name"], doc["is_system"] = "Auth0 Management API", true
		} else {
			doc["allow_offline_access"] = true
		}
		if _, bad := t.keep(resourceServerKind(), "", doc); bad != nil {
			return fmt.Errorf("auth0test: two audiences are %q", identifier)
		}
	}
	for i := range t.o.Users {
		// A millisecond apart, as who lists users by their creation counts on.
		at := t.start - time.Duration(len(t.o.Users)-1-i)*time.Millisecond
		if err := t.beginUser(&t.o.Users[i], at); err != nil {
			return fmt.Errorf("auth0test: Options.Users[%d] %w", i, err)
		}
	}
	return nil
}

// MustNew is New for tests and examples: it panics on options that New refuses.
func MustNew(o Options) *Tenant {
	t, err := New(o)
	if err != nil {
		panic(err)
	}
	return t
}

// String names the tenant by its domain.
func (t *Tenant) String() string { return "auth0test tenant " + t.o.Domain }

// Domain returns the tenant's domain.
func (t *Tenant) Domain() string { return t.o.Domain }

// SetFaults changes what goes wrong from now on. It panics on chances outside 0 to 1.
func (t *Tenant) SetFaults(f Faults) {
	if err := f.validate(); err != nil {
		panic(err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.faults = f
}

// SetLimit changes the limit of a bucket from now on, for all whom it counts.
// What is missing from it stays missing. It panics on a bucket that the plan
// does not have and on a rate that is not positive.
func (t *Tenant) SetLimit(bucket string, burst int64, rate ratelimit.Rate) {
	t.mu.Lock()
	defer t.mu.Unlock()
	i, ok := t.named[bucket]
	if !ok || t.buckets[i].Concurrent > 0 || burst < 0 || rate.Count <= 0 || rate.Per <= 0 {
		panic("auth0test: SetLimit of " + strconv.Quote(bucket) + ": no such bucket or no such rate")
	}
	now := t.tick()
	t.advance(now)
	t.setLimit(now, i, burst, rate)
}

// tick reads the clock: time since the epoch that never runs backwards and, as
// the default clock has a monotonic reading, is blind to changes of the wall clock.
func (t *Tenant) tick() time.Duration {
	t.seen = max(t.seen, t.start+t.o.Clock().Sub(t.started))
	return t.seen
}

// wall turns the tenant's time into a date.
func wall(d time.Duration) time.Time { return time.Unix(0, int64(d)).UTC() }

// timestamp formats a date as Auth0 does.
func timestamp(d time.Duration) string { return wall(d).Format("2006-01-02T15:04:05.000Z") }

// newID returns n hexadecimal digits that no other call returns.
func (t *Tenant) newID(n int) string {
	t.serial++
	sum := sha256.Sum256(binary.BigEndian.AppendUint64(t.key[:], t.serial))
	return hex.EncodeToString(sum[:])[:n]
}

// handle decides the answer to a request: limits first, then the operation.
// The caller holds the lock.
func (t *Tenant) handle(c *call, f fate) (answer, Event) {
	t.advance(c.now)
	a, shown, bucket := t.decide(c, f)
	if a.header == nil {
		a.header = http.Header{}
	}
	if shown != nil {
		fig := shown.show(t.figureOf(shown, c.now), f.stale)
		if !f.missing && !t.o.NoHeaders {
			fig.write(a.header)
		}
	}
	a.header.Set("Date", wall(c.now+t.faults.Skew).Format(http.TimeFormat))
	t.stats.note(c.now, a, f)
	return a, Event{
		Time: wall(c.now), Method: c.method, Path: c.path, Status: a.status,
		Rejected: a.rejected, Form: a.form, Bucket: bucket, Lost: f.loseAnswer,
	}
}

// decide returns the answer, the counter that its headers speak of (nil for
// none), and the name of the bucket that matters most to it.
func (t *Tenant) decide(c *call, f fate) (a answer, shown *counter, bucket string) {
	policy := t.checkPolicies(c)
	if policy != nil {
		defer func() { policy.write(a.header) }()
		if policy.rejected {
			form := FormPolicy
			if FormOf(c.path) == FormErrorPage {
				form = FormErrorPage
			}
			a = form.answer()
			a.header.Set("Retry-After", retryAfter(c.now, policy.until))
			// It does not count toward the tenant's limits but shows them.
			if shown = t.described(t.peek(c), c.now); shown != nil {
				bucket = t.buckets[shown.bucket].Name
			}
			return a, shown, bucket
		}
	}
	v := t.admit(c)
	if shown = t.described(v, c.now); shown != nil {
		bucket = t.buckets[shown.bucket].Name
	}
	switch {
	case v.rejecting != nil:
		return t.reject(c, v.rejecting), shown, t.buckets[v.rejecting.bucket].Name
	case f.fail != 0:
		return serverError(f.fail), nil, bucket
	}
	a = t.act(c)
	if f.failAfter != 0 {
		return serverError(f.failAfter), nil, bucket
	}
	return a, shown, bucket
}

// reject answers a request that found a bucket empty.
func (t *Tenant) reject(c *call, empty *counter) answer {
	global := t.buckets[empty.bucket].Role == ratelimit.RoleGlobal
	form := FormOf(c.path)
	if !global && (form == FormAccessDenied || form == FormTooManyRequests) {
		form = FormEndpoint // the other two say that the whole API's limit is gone
	}
	a := form.answer()
	if form == FormErrorPage && t.o.ErrorPage != "" {
		a = redirect(t.o.ErrorPage)
		a.rejected, a.form = true, form
	}
	if t.o.RetryAfter {
		a.header.Set("Retry-After", retryAfter(c.now, empty.b.NextToken(c.now)))
	}
	if t.o.ErrorKind && global {
		a.header.Set("X-Auth0-Error-Kind", "global-rate-limit")
	}
	return a
}

// serverError is a 5xx as a gateway or the API itself would send it, without
// any sign of a limit.
func serverError(status int) answer {
	if status == http.StatusInternalServerError {
		return failure(status, "", "An internal server error occurred")
	}
	text := http.StatusText(status)
	return answer{
		status: status,
		header: http.Header{"Content-Type": {"text/html; charset=utf-8"}},
		body:   []byte("<html><head><title>" + text + "</title></head><body><h1>" + text + "</h1></body></html>\n"),
	}
}
