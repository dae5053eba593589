package auth0test

import (
	"math"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/headroom-go/auth0/internal/enforce"
	"github.com/headroom-go/auth0/ratelimit"
)

// staleDepth is how many answers back a stale header may come from.
const staleDepth = 8

// figure is what the x-ratelimit headers say of a bucket.
type figure struct {
	limit, remaining, reset int64
}

// counterKey names one counter: a bucket of the plan and whose requests it counts.
type counterKey struct {
	bucket int
	id     string
}

// counter is one token bucket and what happened to it.
type counter struct {
	bucket int
	b      *enforce.Bucket

	taken, rejected int64
	foreign, missed int64 // drawn by consumers, and refused to them

	// What could have been taken since the first request; see BucketReport.
	used            bool
	first, last     time.Duration
	base            int64         // tokens there at the first request
	gained          int64         // refilled before the last change of limit
	since           time.Duration // of which the refill is still to be counted
	foreignBefore   int64         // drawn by consumers before the first request
	foreignUpToLast int64

	shown    [staleDepth + 1]figure // figures shown, as a ring
	shownN   int
	cached   figure
	cachedAt time.Duration
	caching  bool
}

// counterOf returns the counter of a bucket for an identity.
func (t *Tenant) counterOf(bucket int, id string, now time.Duration) *counter {
	key := counterKey{bucket, id}
	c := t.counters[key]
	if c == nil {
		def := &t.buckets[bucket]
		window := def.Window
		if window == 0 && (t.o.Refill == RefillWindows || t.o.Refill == RefillTopUp) {
			window = def.Rate.Per
		}
		c = &counter{bucket: bucket, b: enforce.New(def.Burst, def.Rate.Count, def.Rate.Per, window)}
		switch t.o.Refill {
		case RefillTicking:
			tick := time.Second
			if def.Rate.Per <= time.Second {
				tick = time.Millisecond
			}
			c.b.SetTick(tick)
		case RefillTopUp:
			c.b.SetTopUp(true)
		}
		if t.o.Empty > 0 {
			c.b.Drain(now, int64(math.Round(t.o.Empty*float64(def.Burst))))
		}
		t.counters[key] = c
	}
	return c
}

// ask notes a request that is about to be checked.
func (c *counter) ask(now time.Duration) {
	if !c.used {
		c.used, c.first, c.since = true, now, now
		c.base = c.b.Level(now)
		c.foreignBefore = c.foreign
	}
	c.last = now
	c.foreignUpToLast = c.foreign
}

// available returns how many tokens could have been taken from the first
// request to the last.
func (c *counter) available() int64 {
	if !c.used {
		return 0
	}
	return c.base + c.gained + c.b.Refilled(c.since, c.last) - (c.foreignUpToLast - c.foreignBefore)
}

// setLimit changes a limit in flight.
func (c *counter) setLimit(now time.Duration, burst, count int64, per time.Duration) {
	if c.used {
		// What a greedy caller gains by a larger bucket is there at once.
		c.gained += c.b.Refilled(c.since, now) + max(0, burst-c.b.Burst())
		c.since = now
	}
	c.b.SetLimit(now, burst, count, per)
}

// verdict is what the buckets of a request decided.
type verdict struct {
	buckets   []*counter // all that apply, in order of evaluation
	checked   int        // how many of them were asked
	rejecting *counter   // nil when the request passes
}

// admit charges a request to its buckets in order. The first empty one rejects
// it and loses nothing; those before it have been charged, those after it have not.
func (t *Tenant) admit(c *call) verdict {
	var v verdict
	for _, h := range t.matching(c) {
		v.buckets = append(v.buckets, t.counterOf(h.bucket, t.identity(c, h), c.now))
	}
	for _, k := range v.buckets {
		k.ask(c.now)
		v.checked++
		if !k.b.Take(c.now) {
			k.rejected++
			v.rejecting = k
			return v
		}
		k.taken++
	}
	return v
}

// peek finds the buckets of a request without charging them.
func (t *Tenant) peek(c *call) verdict {
	var v verdict
	for _, h := range t.matching(c) {
		v.buckets = append(v.buckets, t.counterOf(h.bucket, t.identity(c, h), c.now))
	}
	v.checked = len(v.buckets)
	return v
}

// described returns the counter that the x-ratelimit headers speak of, nil for
// a request without buckets.
func (t *Tenant) described(v verdict, now time.Duration) *counter {
	if len(v.buckets) == 0 {
		return nil
	}
	last := v.buckets[v.checked-1]
	isGlobal := func(c *counter) bool { return t.buckets[c.bucket].Role == ratelimit.RoleGlobal }
	switch t.o.Describe {
	case DescribeGlobal:
		if i := slices.IndexFunc(v.buckets, isGlobal); i >= 0 {
			return v.buckets[i]
		}
		return last
	case DescribeEndpoint:
		if i := slices.IndexFunc(v.buckets, func(c *counter) bool { return !isGlobal(c) }); i >= 0 {
			return v.buckets[i]
		}
		return last
	case DescribeLast:
		return last
	}
	emptiest := v.buckets[0]
	for _, c := range v.buckets[1:v.checked] {
		if c.b.Level(now) < emptiest.b.Level(now) {
			emptiest = c
		}
	}
	return emptiest
}

// figureOf returns what the headers say of a counter at now.
func (t *Tenant) figureOf(c *counter, now time.Duration) figure {
	if c.caching && now < c.cachedAt+t.faults.StaleFor {
		return c.cached
	}
	var reset time.Duration
	switch t.o.Reset {
	case ResetFull:
		reset = c.b.Full(now)
	case ResetWindow:
		reset = c.b.WindowEnd(now)
	default:
		reset = c.b.NextToken(now)
	}
	f := figure{limit: c.b.Burst(), remaining: c.b.Level(now), reset: ceilSeconds(reset + t.faults.Skew)}
	c.cached, c.cachedAt, c.caching = f, now, true
	return f
}

// show returns the figure for an answer that repeats one from back answers ago
// (0 for none), and remembers the true one.
func (c *counter) show(f figure, back int) figure {
	c.shown[c.shownN%len(c.shown)] = f
	c.shownN++
	if back = min(back, c.shownN-1); back > 0 {
		return c.shown[(c.shownN-1-back)%len(c.shown)]
	}
	return f
}

// write puts the figure into an answer's header unless a quota has put its own there.
func (f figure) write(h http.Header) {
	if h.Get(headerLimit) != "" {
		return
	}
	h.Set(headerLimit, strconv.FormatInt(f.limit, 10))
	h.Set(headerRemaining, strconv.FormatInt(f.remaining, 10))
	h.Set(headerReset, strconv.FormatInt(f.reset, 10))
}

// ceilSeconds turns a time since the epoch into whole seconds, rounded up.
func ceilSeconds(d time.Duration) int64 {
	s := int64(d / time.Second)
	if d%time.Second > 0 {
		s++
	}
	return s
}

// retryAfter is the Retry-After value for something that is there at until: whole
// seconds, at least one.
func retryAfter(now, until time.Duration) string {
	return strconv.FormatInt(max(1, ceilSeconds(until-now)), 10)
}

// consumer is a Consumer at work.
type consumer struct {
	Consumer
	bucket int
	drawn  int64
	next   time.Duration
	rng    *rand.Rand
}

// plan sets the time of the consumer's next draw.
func (c *consumer) plan(start time.Duration) {
	if c.Poisson {
		mean := float64(c.Rate.Per) / float64(c.Rate.Count)
		c.next += time.Duration(mean * c.rng.ExpFloat64())
		return
	}
	// Counted from the beginning, so that no rounding adds up.
	periods, odd := c.drawn/c.Rate.Count, c.drawn%c.Rate.Count
	c.next = start + c.From + time.Duration(periods)*c.Rate.Per +
		time.Duration(float64(odd)/float64(c.Rate.Count)*float64(c.Rate.Per))
}

// advance lets happen what was to happen by now beside the requests: draws of
// other consumers, changes of limits and the ends of jobs, in order of time.
func (t *Tenant) advance(now time.Duration) {
	for {
		var next *consumer
		for _, c := range t.consumers {
			if c.next <= now && (c.Until == 0 || c.next < t.start+c.Until) && (next == nil || c.next < next.next) {
				next = c
			}
		}
		change := len(t.changes) > 0 && t.start+t.changes[0].At <= now
		switch {
		case change && (next == nil || t.start+t.changes[0].At <= next.next):
			ch := t.changes[0]
			t.changes = t.changes[1:]
			t.setLimit(t.start+ch.At, t.named[ch.Bucket], ch.Burst, ch.Rate)
		case next != nil:
			k := t.counterOf(next.bucket, "", next.next)
			if k.b.Take(next.next) {
				k.foreign++
			} else {
				k.missed++
			}
			next.drawn++
			next.plan(t.start)
		default:
			t.settleJobs(now)
			return
		}
	}
}

// setLimit changes a bucket for all its identities.
func (t *Tenant) setLimit(now time.Duration, bucket int, burst int64, rate ratelimit.Rate) {
	t.buckets[bucket].Burst, t.buckets[bucket].Rate = burst, rate
	for key, c := range t.counters {
		if key.bucket == bucket {
			c.setLimit(now, burst, rate.Count, rate.Per)
		}
	}
}
