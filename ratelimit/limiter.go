package ratelimit

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Priority orders requests that wait for the same tokens.
type Priority int8

// The priorities. A lower one is never starved: after 16 admissions of a higher
// priority that could have been its own, one of its requests goes first.
const (
	PriorityBatch       Priority = -1
	PriorityNormal      Priority = 0
	PriorityInteractive Priority = 1
)

// Details answers what a limit may depend on beyond method, path and query. Its
// methods are called, by Acquire and before it returns, only for requests whose
// route needs them.
type Details interface {
	// BodyField returns a field of the form or JSON body, "" when absent.
	BodyField(name string) string
	// TokenClaim returns a claim of the bearer token, such as "sub" or "scope", "" when absent.
	TokenClaim(name string) string
	// ClientIP returns the address that the server counts the request under, "" for one's own.
	ClientIP() string
}

// Request describes one call to be admitted.
type Request struct {
	// Method and Path say what is called; Path is escaped as it is sent.
	Method, Path string
	// RawQuery is the query without its question mark.
	RawQuery string
	// Template is the route template where the caller knows it, as in
	// /api/v2/users/{id}; routing then uses it in place of Path.
	Template string
	// Details may be nil: limits that depend on a body or a token then count
	// the request as one without.
	Details Details
	// Priority orders waiting requests. The zero value is PriorityNormal.
	Priority Priority
	// Flow names the caller's stream of work: requests of one priority are
	// admitted fairly by flow, whatever the number of requests in each.
	Flow string
	// Reserve is the share of each bucket, 0 to 0.9, that this request leaves
	// to others. The larger of it and Options.Reserve counts.
	Reserve float64
	// Requeue puts the request in front of its queue: the server has turned it
	// back once.
	Requeue bool
}

// Options configure a Limiter. The zero value recognises the plan from answers.
type Options struct {
	// Plan holds the limits; nil is the plan "auto".
	Plan *Plan
	// Clock is the source of time; nil is the system's monotonic clock.
	Clock Clock
	// MaxWait bounds how long Acquire may wait, beside its context's deadline: a
	// request that cannot go in time fails with a *WaitError, at once where that
	// can be told. 0 is no bound; a bucket of five a day may then keep a request
	// waiting for hours.
	MaxWait time.Duration
	// MaxWaiting bounds the requests that wait at a time; 0 is 65,536. One more
	// fails with ErrQueueFull.
	MaxWaiting int
	// Reserve is the share of each bucket, 0 to 0.9, left to other consumers
	// of the tenant: requests wait while less than this would remain.
	Reserve float64
	// Hooks are told what happens; nil costs nothing.
	Hooks *Hooks
}

// Clock is a source of time. Times must not run backwards.
type Clock interface {
	Now() time.Time
	// AfterFunc calls f once after d, in a goroutine of its own or from the clock's loop.
	AfterFunc(d time.Duration, f func()) Timer
}

// Timer is the part of *time.Timer that a Limiter uses.
type Timer interface {
	Reset(d time.Duration) bool
	Stop() bool
}

type systemClock struct{}

func (systemClock) Now() time.Time                            { return time.Now() }
func (systemClock) AfterFunc(d time.Duration, f func()) Timer { return time.AfterFunc(d, f) }

// Hooks are called synchronously, after the limiter's lock is released, by the
// goroutine that caused the event. Each may be nil; they may be called
// concurrently.
type Hooks struct {
	// Waited is told of an admission that had to wait.
	Waited func(Event)
	// Admitted is told of every admission.
	Admitted func(Event)
	// Rejected is told of every rejection by the server.
	Rejected func(Event)
	// Learned is told when figures differ from the plan's: Detail is "limit",
	// "refill" or "plan" and the name of the plan that was recognised. The new
	// figures are in Limiter.Snapshot, which a hook may call.
	Learned func(Event)
}

// Event is what a hook is told.
type Event struct {
	Route  string        // template of the request's route
	Bucket string        // the bucket concerned, where there is one
	Wait   time.Duration // how long the request waited; of Rejected, until it could be admitted again
	Detail string        // of Rejected the RejectKind, of Learned what was learned
}

// ErrQueueFull is returned by Acquire when Options.MaxWaiting requests wait.
var ErrQueueFull = errors.New("ratelimit: too many requests are waiting; raise Options.MaxWaiting or call less at a time")

// WaitError says that a request cannot be admitted before its context ends. It
// is returned at once, without waiting, and nothing has been sent.
// errors.Is(err, context.DeadlineExceeded) holds, and it is a timeout to those who
// ask an http.Client's error for one.
type WaitError struct {
	Route  string        // template of the request's route
	Bucket string        // the bucket that is short
	Wait   time.Duration // the least time until the request could go
	Left   time.Duration // the time that its context had left
}

func (e *WaitError) Error() string {
	return fmt.Sprintf("ratelimit: %s has no room for %s within %s: the next is %s away; allow more time or call less often",
		e.Bucket, e.Route, e.Left.Round(time.Millisecond), e.Wait.Round(time.Millisecond))
}

func (e *WaitError) Unwrap() error { return context.DeadlineExceeded }

// Timeout returns true.
func (e *WaitError) Timeout() bool { return true }

// Limiter admits requests so that no bucket of its plan runs dry on the server,
// and no token is wasted. It is safe for concurrent use. One Limiter serves one
// tenant.
type Limiter struct {
	clock      Clock
	start      time.Time
	hooks      *Hooks
	reserve    float64
	maxWait    time.Duration
	maxWaiting int
	auto       bool

	plan   atomic.Pointer[Plan]
	quotas atomic.Bool // a quota header has been seen

	latest atomic.Pointer[class] // of the request before, read without the lock

	mu        sync.Mutex
	classes   map[classKey]*class
	buckets   map[bucketKey]*bucket
	active    []*class
	waiting   int
	overtaken [3]int
	fair      fairness
	seq       uint64
	timer     Timer
	alarm     int64
	rtt       roundTrips
	wall      wallClock
	events    []func() // hook calls to make once the lock is free

	// For the plan "auto": the limit last shown for a route, those not yet
	// looked up, and the plans that agree with all so far.
	shown      map[string]int64
	sighted    []sighting
	candidates []*Plan
	sweepAt    int64
}

type classKey struct {
	buckets [maxRouteBuckets]uint16
	keys    [maxRouteBuckets]uint64
	n       uint8
	reserve float64
	client  uint64 // hash of whom quotas count by, 0 unknown
}

type bucketKey struct {
	name string
	key  uint64
}

// New returns a Limiter. The error names the option and the remedy.
func New(o Options) (*Limiter, error) {
	if o.Reserve < 0 || o.Reserve > 0.9 || math.IsNaN(o.Reserve) {
		return nil, fmt.Errorf("ratelimit: Options.Reserve is %v; it is a share from 0 to 0.9", o.Reserve)
	}
	if o.MaxWait < 0 {
		return nil, fmt.Errorf("ratelimit: Options.MaxWait is %v; use 0 for no bound or a positive duration", o.MaxWait)
	}
	if o.MaxWaiting < 0 {
		return nil, fmt.Errorf("ratelimit: Options.MaxWaiting is %d; use 0 for the default or a positive number", o.MaxWaiting)
	}
	l := &Limiter{
		clock: o.Clock, hooks: o.Hooks, reserve: o.Reserve, maxWait: o.MaxWait, maxWaiting: o.MaxWaiting,
		classes: make(map[classKey]*class), buckets: make(map[bucketKey]*bucket),
		alarm: never, rtt: newRoundTrips(),
	}
	if l.clock == nil {
		l.clock = systemClock{}
	}
	if l.maxWaiting == 0 {
		l.maxWaiting = 1 << 16
	}
	p := o.Plan
	if p == nil {
		var err error
		if p, err = Named(autoName); err != nil {
			return nil, err
		}
	}
	if err := p.validate(); err != nil {
		return nil, err
	}
	l.auto = p.Name == autoName
	l.plan.Store(p)
	l.start = l.clock.Now()
	return l, nil
}

// now returns nanoseconds since the limiter was made, on the monotonic clock.
func (l *Limiter) now() int64 {
	if _, ok := l.clock.(systemClock); ok {
		return int64(time.Since(l.start))
	}
	return int64(l.clock.Now().Sub(l.start))
}

// Ticket is the permission to send one request. Done must be called exactly
// once; further calls, also on copies made after, do nothing.
type Ticket struct {
	l      *Limiter
	c      *class
	route  routeName
	marks  [maxRouteBuckets]mark
	sentAt int64
	waited int64
}

// mark is the state of one bucket's counters when the ticket was given out.
type mark struct{ seq, done int64 }

// Acquire waits until every bucket that the server will charge for r has room,
// debits them all at once, and returns the ticket. Waiting requests hold no
// tokens. It returns the context's error as soon as that ends, a *WaitError at
// once when the wait cannot end before the context's deadline, and ErrQueueFull
// when too many wait. r must not be changed until Acquire returns.
func (l *Limiter) Acquire(ctx context.Context, r *Request) (Ticket, error) {
	if err := ctx.Err(); err != nil {
		return Ticket{}, err
	}
	if err := r.check(); err != nil {
		return Ticket{}, err
	}
	c, route, now := l.begin(r)
	level := levelOf(r.Priority)
	if l.waiting == 0 && l.ready(c, level, now) {
		t := l.admit(c, route, now, now)
		l.unlock(nil)
		return t, nil
	}
	w := &waiter{class: c, req: r, route: route, level: level, since: now, ready: make(chan struct{}, 1)}
	calls, err := l.enqueue(ctx, w, now)
	l.unlock(calls)
	if err != nil {
		return Ticket{}, err
	}
	select {
	case <-w.ready:
		return w.ticket, nil
	default:
	}
	var patience <-chan time.Time
	if l.maxWait > 0 {
		t := time.NewTimer(l.maxWait)
		defer t.Stop()
		patience = t.C
	}
	select {
	case <-w.ready:
		return w.ticket, nil
	case <-ctx.Done():
		err = ctx.Err()
	case <-patience:
		err = &WaitError{Route: route.String(), Bucket: "an answer", Wait: l.maxWait, Left: l.maxWait}
	}
	l.mu.Lock()
	if w.index >= 0 {
		l.unlink(w)
		l.unlock(l.dispatch(l.now()))
		return Ticket{}, err
	}
	l.unlock(nil)
	<-w.ready // admitted at the last moment
	w.ticket.Done(Outcome{})
	return Ticket{}, err
}

// Submit is Acquire for callers that must not block: ready is called once, with
// a ticket or an error, from this call or later from another goroutine, never
// with the limiter's lock held. cancel gives the wait up, after which ready is
// not called; it reports whether it was in time.
func (l *Limiter) Submit(r *Request, ready func(Ticket, error)) (cancel func() bool) {
	if err := r.check(); err != nil {
		ready(Ticket{}, err)
		return func() bool { return false }
	}
	c, route, now := l.begin(r)
	w := &waiter{class: c, req: r, route: route, level: levelOf(r.Priority), since: now, fn: ready}
	calls, err := l.enqueue(context.Background(), w, now)
	l.unlock(calls)
	if err != nil {
		ready(Ticket{}, err)
		return func() bool { return false }
	}
	return func() bool {
		l.mu.Lock()
		if w.index < 0 {
			l.unlock(nil)
			return false
		}
		l.unlink(w)
		calls := l.dispatch(l.now())
		l.unlock(calls)
		return true
	}
}

// check reports what is wrong with a request.
func (r *Request) check() error {
	if !(r.Reserve >= 0 && r.Reserve <= 0.9) {
		return fmt.Errorf("ratelimit: Request.Reserve is %v; it is a share from 0 to 0.9", r.Reserve)
	}
	return nil
}

// begin routes a request, takes the lock, and returns the request's class and
// route, and the time.
func (l *Limiter) begin(r *Request) (*class, routeName, int64) {
	if c := l.latest.Load(); c != nil && c.repeats(r, l.reserve) && !l.quotas.Load() {
		// Most requests are like the one before.
		l.mu.Lock()
		if l.latest.Load() == c {
			return c, c.route, l.now()
		}
		l.mu.Unlock()
	}
	p := l.plan.Load()
	rt := p.Route(r)
	client := l.clientOf(r, p, rt)
	l.mu.Lock()
	if q := l.plan.Load(); q != p {
		rt = q.Route(r)
		client = l.clientOf(r, q, rt)
	}
	return l.classify(r, rt, client), routeName{r.Method, rt.Template}, l.now()
}

// enqueue queues a waiter, and takes it back with an error when it would have
// to wait and cannot.
func (l *Limiter) enqueue(ctx context.Context, w *waiter, now int64) ([]*waiter, error) {
	left := int64(never)
	if l.maxWait > 0 {
		left = int64(l.maxWait)
	}
	if deadline, ok := ctx.Deadline(); ok {
		left = min(left, int64(time.Until(deadline)))
	}
	if left != never {
		if at, b := l.earliest(w, now); at-now > left {
			return nil, &WaitError{Route: w.route.String(), Bucket: b, Wait: time.Duration(at - now), Left: time.Duration(left)}
		}
	}
	l.push(w)
	calls := l.dispatch(now)
	if w.index >= 0 && l.waiting > l.maxWaiting {
		l.unlink(w)
		return calls, ErrQueueFull
	}
	return calls, nil
}

// unlock releases the lock, then makes the calls that must not be made under it.
func (l *Limiter) unlock(calls []*waiter) {
	events, sighted := l.events, l.sighted
	l.events, l.sighted = nil, nil
	l.mu.Unlock()
	for _, f := range events {
		f()
	}
	if sighted != nil {
		l.recognise(sighted)
	}
	for _, w := range calls {
		w.fn(w.ticket, nil)
	}
}

// wake is the alarm.
func (l *Limiter) wake() {
	l.mu.Lock()
	l.alarm = never
	calls := l.dispatch(l.now())
	l.unlock(calls)
}

// classify returns the class of a request.
func (l *Limiter) classify(r *Request, rt Route, client uint64) *class {
	k := classKey{buckets: rt.Buckets, keys: rt.Keys, n: uint8(rt.N), reserve: max(l.reserve, r.Reserve), client: client}
	c := l.classes[k]
	if c == nil {
		c = l.newClass(k, rt, r)
	}
	l.latest.Store(c)
	return c
}

func (l *Limiter) newClass(k classKey, rt Route, r *Request) *class {
	now := l.now()
	l.sweep(now)
	c := &class{route: routeName{r.Method, rt.Template}, reserve: k.reserve, client: k.client, fixed: rt.fixed && r.Template != ""}
	plan := l.plan.Load()
	for i := range rt.N {
		spec := &plan.Buckets[rt.Buckets[i]]
		bk := bucketKey{spec.Name, rt.Keys[i]}
		b := l.buckets[bk]
		if b == nil {
			b = newBucket(spec, rt.Keys[i], now)
			l.buckets[bk] = b
		}
		c.buckets = append(c.buckets, b)
		c.quotable = c.quotable || spec.API != "management"
		c.extra = append(c.extra, int64(k.reserve*float64(b.full)))
	}
	l.classes[k] = c
	return c
}

// sweep forgets keyed buckets that are full and idle, and classes of nothing but a
// reserve or a client of their own, at most once a minute of growth: their next
// request finds them as new.
func (l *Limiter) sweep(now int64) {
	if now < l.sweepAt || len(l.classes) < 256 {
		return
	}
	l.sweepAt = now + int64(time.Minute)
	l.latest.Store(nil)
	for k, c := range l.classes {
		if c.waiting == 0 && l.idle(c, now) {
			delete(l.classes, k)
		}
	}
	used := make(map[*bucket]bool, len(l.buckets))
	for _, c := range l.classes {
		for _, b := range c.buckets {
			used[b] = true
		}
	}
	for k, b := range l.buckets {
		if k.key != 0 && !used[b] {
			delete(l.buckets, k)
		}
	}
}

// idle reports whether a class can be forgotten: it has a keyed bucket and all its
// keyed buckets are full with nothing in flight, or it has none and knows nothing
// that its buckets do not but the reserve and the client, which may be others at
// each request.
func (l *Limiter) idle(c *class, now int64) bool {
	keyed := false
	for _, b := range c.buckets {
		if b.key == 0 {
			continue
		}
		keyed = true
		if b.slots != nil {
			return false
		}
		b.advance(now)
		if b.sent != b.done || b.level < b.full || now < b.blocked {
			return false
		}
	}
	if now < c.blocked || slices.ContainsFunc(c.quotas, func(q *quota) bool { return now < q.resetAt }) {
		return false
	}
	return keyed || (c.reserve != l.reserve || c.client != 0) && c.open == 0 && c.backoff == 0
}

// routeName is what a request is called in messages.
type routeName struct{ method, template string }

func (n routeName) String() string {
	if n.template == "" {
		return n.method + " (no published limit)"
	}
	return n.method + " " + n.template
}

// repeats reports whether a request is of the class for certain, told from no
// more than its method and template.
func (c *class) repeats(r *Request, reserve float64) bool {
	return c.fixed && r.Template == c.route.template && r.Method == c.route.method && max(reserve, r.Reserve) == c.reserve
}

// extraFor is the level that a request of a priority leaves in bucket i: the
// reserve, and for batch work a token or two more, so that interactive
// requests find some.
func (c *class) extraFor(i, level int) int64 {
	x := c.extra[i]
	if level == 2 {
		b := c.buckets[i]
		x += min(2*b.unit, b.full/8)
	}
	return x
}

// ready reports whether a request of the class may be charged now.
func (l *Limiter) ready(c *class, level int, now int64) bool {
	if now < c.blocked || c.backoff > 0 && c.open > 0 {
		return false // after an unknown rejection, one at a time
	}
	for i, b := range c.buckets {
		l.refresh(b, now)
		if !b.ready(now, c.extraFor(i, level)) {
			return false
		}
	}
	for _, q := range c.quotas {
		if ok, _ := q.ready(now); !ok {
			return false
		}
	}
	return true
}

// readyAt returns the earliest time at which ready can become true by the
// passing of time alone.
func (l *Limiter) readyAt(c *class, level int, now int64) int64 {
	at := c.blocked
	if c.backoff > 0 && c.open > 0 {
		return never
	}
	for i, b := range c.buckets {
		l.refresh(b, now)
		b.advance(now)
		at = max(at, b.readyAt(now, c.extraFor(i, level)))
	}
	for _, q := range c.quotas {
		if ok, t := q.ready(now); !ok {
			at = max(at, t)
		}
	}
	return max(at, now)
}

// earliest is a lower bound for the admission of a new waiter, counting the
// requests that are certainly ahead of it, and names the bucket that is short.
// Where an answer or the end of a job may let it go, that is now.
func (l *Limiter) earliest(w *waiter, now int64) (int64, string) {
	c := w.class
	at, name := max(c.blocked, now), "a quota"
	if len(c.buckets) > 0 {
		name = c.buckets[0].spec.Name
	}
	ahead := int64(0)
	if !w.req.Requeue {
		ahead = c.levels[w.level].flows[w.req.Flow].n
	}
	for i, b := range c.buckets {
		l.refresh(b, now)
		t := b.blocked
		if b.slots != nil && len(b.slots.jobs) > 0 {
			t = now // the end of a job frees a slot that was found taken
		}
		if b.slots == nil && b.probe == 0 && b.mode != refillWindow {
			b.advance(now)
			// Requests in flight may turn out not to have been charged, and
			// their answers to allow less of a floor.
			want := b.need(c.extraFor(i, w.level))
			if b.spends() {
				want -= b.base // what is proven to be there is spent without a floor
			}
			if open := b.sent - b.done; open > 0 {
				want = b.units(1-open) + c.extra[i]
			}
			g := max(b.gain, b.inc)
			short := floorDiv(want-max(b.level, b.units(b.sure)), g)
			t = max(t, now+min(short+mulDiv(ahead, b.unit, g), never/2))
		}
		if t > at {
			at, name = t, b.spec.Name
		}
	}
	for _, q := range c.quotas {
		if ok, t := q.ready(now); !ok && t > at {
			at, name = t, q.name
		}
	}
	return at, name
}

// admit debits every bucket of the class.
func (l *Limiter) admit(c *class, route routeName, since, now int64) Ticket {
	t := Ticket{l: l, c: c, route: route, sentAt: now, waited: now - since}
	c.open++
	for i, b := range c.buckets {
		b.stride(now, l.rtt.p95/4)
		seq, done := b.charge(now, l.rtt.p95)
		t.marks[i] = mark{seq, done}
	}
	for _, q := range c.quotas {
		q.left--
	}
	if l.hooks != nil {
		e := Event{Route: route.String(), Wait: t.Wait()}
		if t.waited > 0 {
			l.hook(l.hooks.Waited, e)
		}
		l.hook(l.hooks.Admitted, e)
	}
	return t
}

func (l *Limiter) hook(f func(Event), e Event) {
	if f != nil {
		l.events = append(l.events, func() { f(e) })
	}
}

// Wait returns how long the request waited for admission.
func (t *Ticket) Wait() time.Duration { return time.Duration(t.waited) }

// Route returns the template of the request's route, "" when no limit applies.
func (t *Ticket) Route() string {
	return t.route.template
}

// JobDone frees the concurrency slot of a job that an accepted request started.
// Unknown ids are ignored.
func (l *Limiter) JobDone(id string) {
	l.job(id, func(b *bucket, _ int64) {
		delete(b.slots.jobs, id)
		b.blocked, b.slots.backoff = 0, 0
	})
}

// JobRunning notes that a job has been seen running: its slot stays taken. A
// job of which nothing is heard for a minute no longer holds its slot.
func (l *Limiter) JobRunning(id string) {
	l.job(id, func(b *bucket, now int64) { b.slots.jobs[id] = now })
}

func (l *Limiter) job(id string, f func(*bucket, int64)) {
	now := l.now()
	l.mu.Lock()
	for _, b := range l.buckets {
		if b.slots != nil {
			if _, ok := b.slots.jobs[id]; ok {
				f(b, now)
			}
		}
	}
	calls := l.dispatch(now)
	l.unlock(calls)
}
