package auth0test

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"
)

// Delay is the time that a request or an answer spends on the way: the sum of
// its parts.
type Delay struct {
	// Base is always spent.
	Base time.Duration
	// Jitter is the most of a part that is spread evenly from zero.
	Jitter time.Duration
	// Tail is the mean of a part that is spread exponentially.
	Tail time.Duration
	// SpikeChance is the share of journeys, 0 to 1, that take Spike longer.
	SpikeChance float64
	Spike       time.Duration
}

// draw picks a delay. It takes the same number of random values whatever they
// are, so that one setting does not shift the luck of the next.
func (d Delay) draw(rng *rand.Rand) time.Duration {
	u, e, s := rng.Float64(), rng.ExpFloat64(), rng.Float64()
	sum := d.Base + time.Duration(u*float64(d.Jitter)) + time.Duration(e*float64(d.Tail))
	if s < d.SpikeChance {
		sum += d.Spike
	}
	return sum
}

// Faults are what goes wrong between a caller and the tenant. Chances are
// shares from 0 to 1. What befalls a request is decided by the tenant's seed,
// by the request's method, address and body, and by how often the same was
// asked before; not by the order in which goroutines run.
type Faults struct {
	// Up is the way to the tenant, Down the way back. Delays that differ
	// reorder requests that were sent one after the other.
	Up, Down Delay
	// StallEvery and StallFor hold back what arrives within the first StallFor
	// of each StallEvery, counted from New, until it is over.
	StallEvery, StallFor time.Duration

	// Refuse is the chance that no connection is made: nothing of the request is
	// written. In memory only; a real server is reached before it can refuse.
	Refuse float64
	// LoseRequest is the chance that the connection breaks before the tenant has
	// seen the request, LoseAnswer that it breaks after the tenant has acted.
	// A caller cannot tell one from the other.
	LoseRequest, LoseAnswer float64
	// Fail is the chance of a 5xx in place of acting; the buckets are charged.
	// FailAfter is the chance that the tenant acts and answers 5xx all the same.
	Fail, FailAfter float64
	// FailStatus are the statuses of Fail and FailAfter: 500, 502 and 503 when empty.
	FailStatus []int

	// Stale is the chance that an answer repeats the x-ratelimit headers of an
	// older answer about the same bucket, up to eight answers back.
	Stale float64
	// StaleFor computes the headers of a bucket once in so long a time only, as
	// a server does that answers from a cache.
	StaleFor time.Duration
	// Missing is the chance that an answer has no x-ratelimit headers.
	Missing float64
	// Skew is how far the tenant's clock is ahead in its Date and reset headers.
	Skew time.Duration
}

// WAN is a healthy long way: 30 ms and up to 20 ms more in each direction.
func WAN() Faults {
	d := Delay{Base: 30 * time.Millisecond, Jitter: 20 * time.Millisecond}
	return Faults{Up: d, Down: d}
}

// BadNetwork is a way with a long tail: 30 ms and 15 ms of exponential jitter in
// each direction, and one journey in a hundred takes half a second longer.
func BadNetwork() Faults {
	d := Delay{Base: 30 * time.Millisecond, Tail: 15 * time.Millisecond, SpikeChance: 0.01, Spike: 500 * time.Millisecond}
	return Faults{Up: d, Down: d}
}

// StallingNetwork is WAN with an uplink that stands still for 300 ms each minute.
func StallingNetwork() Faults {
	f := WAN()
	f.StallEvery, f.StallFor = time.Minute, 300*time.Millisecond
	return f
}

func (f *Faults) validate() error {
	for _, c := range []struct {
		name   string
		chance float64
	}{
		{"Up.SpikeChance", f.Up.SpikeChance},
		{"Down.SpikeChance", f.Down.SpikeChance},
		{"Refuse", f.Refuse},
		{"LoseRequest", f.LoseRequest},
		{"LoseAnswer", f.LoseAnswer},
		{"Fail", f.Fail},
		{"FailAfter", f.FailAfter},
		{"Stale", f.Stale},
		{"Missing", f.Missing},
	} {
		if !(c.chance >= 0 && c.chance <= 1) {
			return fmt.Errorf("auth0test: Faults.%s is %v; it is a chance between 0 and 1", c.name, c.chance)
		}
	}
	for _, s := range f.FailStatus {
		if s < 500 || s > 599 {
			return fmt.Errorf("auth0test: Faults.FailStatus has %d, which is no 5xx", s)
		}
	}
	return nil
}

// fate is what becomes of one request.
type fate struct {
	up, down    time.Duration
	refuse      bool
	loseRequest bool
	loseAnswer  bool
	fail        int // status in place of acting, 0 for none
	failAfter   int // status in place of the answer, 0 for none
	stale       int // answers to go back for the headers, 0 for none
	missing     bool
}

// fate decides what becomes of a request. The caller holds the lock.
func (t *Tenant) fate(r *http.Request, body []byte) fate {
	h := fnv.New64a()
	hash := func(b []byte) { _, _ = h.Write(b) } // a hash takes everything
	hash(fmt.Appendf(nil, "%d %s %s\n", t.o.Seed, r.Method, r.URL.RequestURI()))
	if !strings.HasPrefix(r.Header.Get("Content-Type"), "multipart/") { // boundaries are random
		hash(body)
	}
	id := h.Sum64()
	nth := t.asked[id]
	t.asked[id]++

	rng := rand.New(rand.NewPCG(id, nth))
	f := &t.faults
	out := fate{up: f.Up.draw(rng), down: f.Down.draw(rng)}
	hit := func(chance float64) bool { return rng.Float64() < chance }
	out.refuse = hit(f.Refuse)
	out.loseRequest = hit(f.LoseRequest)
	out.loseAnswer = hit(f.LoseAnswer)
	statuses := f.FailStatus
	if len(statuses) == 0 {
		statuses = []int{http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable}
	}
	status := statuses[rng.IntN(len(statuses))]
	if hit(f.Fail) {
		out.fail = status
	}
	if hit(f.FailAfter) {
		out.failAfter = status
	}
	back := 1 + rng.IntN(staleDepth)
	if hit(f.Stale) {
		out.stale = back
	}
	out.missing = hit(f.Missing)
	return out
}

// stall returns how long something that arrives at now is held back.
func (t *Tenant) stall(f *Faults, now time.Duration) time.Duration {
	if f.StallEvery <= 0 {
		return 0
	}
	return max(0, f.StallFor-(now-t.start)%f.StallEvery)
}
