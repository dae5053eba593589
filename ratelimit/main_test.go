package ratelimit

import (
	"context"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/headroom-go/auth0/internal/enforce"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// planOf returns a plan of one bucket, "a", that every request draws from.
func planOf(burst, count int64, per time.Duration) *Plan {
	return planWith(tenantBucket("a", "/*", burst, count, per))
}

func planWith(buckets ...Bucket) *Plan { return &Plan{Name: "test", Buckets: buckets} }

func tenantBucket(name, path string, burst, count int64, per time.Duration) Bucket {
	return Bucket{Name: name, API: "test", Burst: burst, Rate: Rate{count, per}, Matches: []Match{{Method: "*", Path: path}}}
}

func newLimiter(tb testing.TB, o Options) *Limiter {
	tb.Helper()
	l, err := New(o)
	if err != nil {
		tb.Fatal(err)
	}
	return l
}

// to is a request for a path.
func to(path string) *Request { return &Request{Method: "POST", Path: path} }

// acquire is Acquire for a request that must be admitted.
func acquire(tb testing.TB, l *Limiter, r *Request) Ticket {
	tb.Helper()
	tk, err := l.Acquire(tb.Context(), r)
	if err != nil {
		tb.Fatalf("Acquire(%s): %v", r.Path, err)
	}
	return tk
}

// within reports whether a request is admitted within d, and gives the ticket.
func within(l *Limiter, r *Request, d time.Duration) (Ticket, bool) {
	got := make(chan Ticket, 1)
	cancel := l.Submit(r, func(tk Ticket, _ error) { got <- tk })
	if d > 0 {
		time.Sleep(d)
	}
	cancel()
	select {
	case tk := <-got:
		return tk, true
	default:
		return Ticket{}, false
	}
}

// known returns a limiter for a plan whose buckets have each been heard of once,
// through paths, as full but for the request that asked.
func known(tb testing.TB, o Options, paths ...string) *Limiter {
	tb.Helper()
	l := newLimiter(tb, o)
	for _, p := range paths {
		for range len(o.Plan.Buckets) { // an answer speaks of one bucket
			tk := acquire(tb, l, to(p))
			for _, b := range tk.c.buckets {
				if b.probe > 0 && b.slots == nil {
					tk.Done(shows(b.burst, b.burst-1))
					break
				}
			}
			tk.Done(Outcome{})
		}
	}
	return l
}

// shows is the outcome of an accepted request whose answer has the figures.
func shows(limit, remaining int64) Outcome {
	return Outcome{Sent: true, Answered: true, Status: 200, Header: figures(limit, remaining)}
}

// refused is the outcome of a request that the server turned back.
func refused(limit, remaining int64) Outcome {
	o := Outcome{Sent: true, Answered: true, Status: 429, Rejected: true}
	if limit > 0 {
		o.Header = figures(limit, remaining)
	}
	return o
}

// accepted is the outcome of a request whose answer shows no figures.
func accepted() Outcome { return Outcome{Sent: true, Answered: true, Status: 200} }

func figures(limit, remaining int64) map[string][]string {
	return map[string][]string{
		"X-Ratelimit-Limit":     {strconv.FormatInt(limit, 10)},
		"X-Ratelimit-Remaining": {strconv.FormatInt(remaining, 10)},
	}
}

// state returns the snapshot of a bucket.
func state(tb testing.TB, l *Limiter, name string) BucketState {
	tb.Helper()
	for _, b := range l.Snapshot().Buckets {
		if b.Name == name {
			return b
		}
	}
	tb.Fatalf("no bucket %q in the snapshot", name)
	return BucketState{}
}

// resetReading is what a server means by x-ratelimit-reset.
type resetReading int

const (
	resetAbsent resetReading = iota
	resetNext
	resetFull
	resetWindow
)

// site is a server that enforces buckets and shows the emptiest one.
type site struct {
	mu       sync.Mutex
	start    time.Time
	buckets  []*enforce.Bucket
	up, down func() time.Duration
	reset    resetReading
	skew     time.Duration // of the server's wall clock
	dated    bool

	took, refused int
	least         int64           // tokens, before any request
	at            []time.Duration // of accepted requests
}

func newSite(buckets ...*enforce.Bucket) *site {
	fixed := func() time.Duration { return 40 * time.Millisecond }
	return &site{start: time.Now(), buckets: buckets, up: fixed, down: fixed, dated: true, least: 1 << 62}
}

// jitter returns a travel time from lo to hi, the same series for a seed.
func jitter(seed uint64, lo, hi time.Duration) func() time.Duration {
	r := rand.New(rand.NewPCG(seed, 7))
	var mu sync.Mutex
	return func() time.Duration {
		mu.Lock()
		defer mu.Unlock()
		return lo + time.Duration(r.Int64N(int64(hi-lo)+1))
	}
}

// arrive is the moment at which a request reaches the server.
func (s *site) arrive() Outcome {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Since(s.start)
	for _, b := range s.buckets {
		s.least = min(s.least, b.Level(now))
	}
	shown, ok := s.buckets[0], true
	for _, b := range s.buckets {
		if !b.Take(now) {
			shown, ok = b, false
			break
		}
		if b.Level(now) < shown.Level(now) {
			shown = b
		}
	}
	o := Outcome{Sent: true, Answered: true, Status: 200, Header: figures(shown.Burst(), shown.Level(now))}
	if ok {
		s.took++
		s.at = append(s.at, now)
	} else {
		o.Status, o.Rejected = 429, true
		s.refused++
	}
	wall := func(d time.Duration) time.Time { return s.start.Add(d + s.skew) }
	ceil := func(t time.Time) string {
		return strconv.FormatInt(t.Add(time.Second-1).Unix(), 10)
	}
	switch s.reset {
	case resetNext:
		o.Header["X-Ratelimit-Reset"] = []string{ceil(wall(shown.NextToken(now)))}
	case resetFull:
		o.Header["X-Ratelimit-Reset"] = []string{ceil(wall(shown.Full(now)))}
	case resetWindow:
		o.Header["X-Ratelimit-Reset"] = []string{ceil(wall(shown.WindowEnd(now)))}
	}
	if s.dated {
		o.Header["Date"] = []string{wall(now).UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT")}
	}
	return o
}

// call makes one request through the limiter, until it is accepted.
func (s *site) call(ctx context.Context, l *Limiter, r *Request) error {
	for {
		tk, err := l.Acquire(ctx, r)
		if err != nil {
			return err
		}
		time.Sleep(s.up())
		o := s.arrive()
		time.Sleep(s.down())
		tk.Done(o)
		if !o.Rejected {
			return nil
		}
		again := *r
		again.Requeue = true
		r = &again
	}
}
