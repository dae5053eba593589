package ratelimit

import (
	"math"
	"time"
)

// Outcome is what became of an admitted request.
type Outcome struct {
	// Sent is false when the request failed before its first byte was written:
	// its tokens go back.
	Sent bool
	// Answered is true when an answer's header arrived, with Status and Header.
	// Header keys are in the canonical form of package net/http.
	Answered bool
	Status   int
	Header   map[string][]string
	// Rejected marks an answer that is a rate-limit rejection, in whatever form.
	Rejected bool
	// Busy marks a rejection by a limit on concurrency, such as two import jobs
	// that are running. Rejected is then true as well.
	Busy bool
	// Job is the id of a job that the request started and that keeps its
	// concurrency slot until JobDone.
	Job string
}

// RejectKind says what turned a request back.
type RejectKind uint8

// The kinds of rejection.
const (
	RejectNone        RejectKind = iota // not rejected
	RejectBucket                        // a bucket of the plan
	RejectQuota                         // a quota of its own: custom policy, M2M quota, a long Retry-After
	RejectConcurrency                   // too many jobs at a time
	RejectUnknown                       // no bucket could be told
)

// String returns a word for the kind.
func (k RejectKind) String() string {
	switch k {
	case RejectBucket:
		return "bucket"
	case RejectQuota:
		return "quota"
	case RejectConcurrency:
		return "concurrency"
	case RejectUnknown:
		return "unknown"
	}
	return "none"
}

// Feedback is what a limiter made of an outcome.
type Feedback struct {
	Kind RejectKind
	// Bucket is the name of the bucket that the answer speaks of, "" if unknown.
	Bucket string
	// Wait is the time after which the same request could be admitted, as far
	// as can be told.
	Wait time.Duration
	// Limit and Remaining are the x-ratelimit figures, -1 when absent. Reset is
	// the time of x-ratelimit-reset on the server's clock, zero when absent.
	Limit, Remaining int64
	Reset            time.Time
}

// Done reports what became of the request and settles its ticket.
func (t *Ticket) Done(o Outcome) Feedback {
	l := t.l
	if l == nil {
		return Feedback{Limit: -1, Remaining: -1}
	}
	t.l = nil
	now := l.now()
	l.mu.Lock()
	f := l.settle(t, &o, now)
	var calls []*waiter
	if l.waiting > 0 {
		calls = l.dispatch(now)
	}
	l.unlock(calls)
	return f
}

func (l *Limiter) settle(t *Ticket, o *Outcome, now int64) Feedback {
	c := t.c
	c.open--
	n := len(c.buckets)
	rtt := now - t.sentAt
	f := Feedback{Limit: -1, Remaining: -1}
	h := limitHeaders{limit: -1, remaining: -1, reset: -1, retryAfter: -1}
	if o.Answered {
		l.rtt.add(rtt)
		if o.Header != nil {
			wall := l.start.Add(time.Duration(now))
			h = readHeaders(o.Header)
			if o.Rejected || c.quotable {
				h.readMore(o.Header, wall)
			}
			if h.reset >= 0 {
				l.wall.read(o.Header, wall, rtt)
				f.Reset = time.Unix(h.reset, 0)
			}
			f.Limit, f.Remaining = h.limit, h.remaining
		}
	}
	quota := false
	if h.quotas {
		quota = l.readQuotas(t, o, now) && o.Rejected
	}
	described, sharing := -1, false
	if h.limit > 0 && h.remaining >= 0 && !quota {
		described, sharing = l.describe(t, h)
	}

	// Which bucket turned the request back: those before it are charged.
	by := -1
	if o.Rejected {
		by, f.Kind = l.rejector(t, o, h, described, quota)
		if by >= 0 && by == described && h.remaining > 0 {
			described = -1 // turned back with a rest: the reading is not to be trusted
		}
	}
	for i := range n {
		b := t.c.buckets[i]
		if b.slots == nil {
			// It may have been charged only just now: until then the bucket may have
			// been full, and what came meanwhile is lost. Of what was answered the floor
			// covers some.
			at := now
			if o.Answered {
				at -= b.cover
			}
			b.advance(at)
		}
		b.done++
		if o.Answered {
			b.heard = now
		}
		if s := b.slots; s != nil {
			s.running--
			if o.Job != "" && !o.Rejected {
				s.start(o.Job, now)
			}
			continue
		}
		switch {
		case !o.Sent || f.Kind == RejectBucket && i >= by:
			b.refund()
		case !o.Answered:
			b.unaccounted(now, l.rtt.p95)
			b.lost[0]++ // the debit stays: the server may have charged it, or will
		}
	}
	if described >= 0 && !sharing && l.stale(t.c.buckets[described], &t.marks[described], t.sentAt, now, h) {
		described = -1
	}
	for i := range n {
		m := &t.marks[i]
		rem := int64(-1)
		if i == described && !sharing {
			rem = h.remaining
		}
		b := c.buckets[i]
		b.epoch.settle(m.seq, rem, b.sent, b.done)
	}
	if !o.Sent {
		t.unquota()
		return f
	}
	if described >= 0 {
		b := t.c.buckets[described]
		f.Bucket = b.spec.Name
		l.observe(b, &t.marks[described], t.sentAt, now, h, o, sharing)
	}
	if o.Answered && !o.Rejected && o.Status < 500 {
		c.backoff = 0
		for i := range n {
			// Nothing said of a bucket yet: trust it a step further, as TCP's
			// slow start does.
			b := c.buckets[i]
			if i == described && !sharing {
				b.unread = 0
				continue
			}
			if b.unread++; b.unread == unreadMost {
				b.floorRound = 0
			}
			if b.probe > 0 {
				if b.probe++; b.probe > min(b.burst, 64) {
					b.probe = 0
				}
			}
		}
	}
	if o.Rejected {
		l.reject(t, h, by, &f, now)
	}
	return f
}

// describe returns the index of the bucket that the headers speak of, which
// only the limit tells, and whether another bucket of the request has the same.
func (l *Limiter) describe(t *Ticket, h limitHeaders) (int, bool) {
	c := t.c
	found, sharing := -1, false
	for i, b := range c.buckets {
		switch {
		case b.slots != nil:
		case b.burst != h.limit:
			if t.marks[i].seq < b.limitSeq {
				return -1, false // sent before the size changed
			}
		case found < 0:
			found = i
		default:
			sharing = true
			if other := c.buckets[found]; b.level-b.base < other.level-other.base {
				found = i // the server usually shows the emptier one
			}
		}
	}
	if found >= 0 {
		return found, sharing
	}
	near, nearest := -1, math.Inf(1)
	for i, b := range c.buckets {
		if b.slots != nil {
			continue
		}
		// A bucket that answers have shown before is the likelier to have changed.
		d := math.Abs(math.Log(float64(h.limit) / float64(b.burst)))
		if b.seen.ok {
			d--
		}
		if d < nearest {
			near, nearest = i, d
		}
	}
	if near < 0 {
		return -1, false
	}
	if l.auto {
		l.sight(t.route, h.limit, h.remaining)
	}
	l.adopt(c.buckets[near], h.limit, t.route)
	c.buckets[near].limitSeq = t.marks[near].seq
	return near, false
}

// adopt takes over a size that the server shows. A smaller bucket is taken to
// refill more slowly in proportion; a larger one no faster, until refill seen
// says so.
func (l *Limiter) adopt(b *bucket, limit int64, route routeName) {
	r := b.spec.Rate
	if limit < b.spec.Burst && b.spec.Burst > 0 {
		r = Rate{Count: max(1, r.Count*limit), Per: r.Per * time.Duration(b.spec.Burst)}
		if r.Per <= 0 || r.Per/time.Duration(b.spec.Burst) != b.spec.Rate.Per {
			r = b.spec.Rate
		}
	}
	b.setLimit(limit, r)
	if b.spec.Rate.Per <= time.Second {
		b.tick = int64(time.Millisecond)
	}
	b.learned = limit != b.spec.Burst
	l.resize(b)
	if l.hooks != nil {
		l.hook(l.hooks.Learned, Event{Route: route.String(), Bucket: b.spec.Name, Detail: "limit"})
	}
}

// resize brings what is derived from a bucket's size up to date.
func (l *Limiter) resize(b *bucket) {
	for _, c := range l.classes {
		for i, o := range c.buckets {
			if o == b {
				c.extra[i] = int64(c.reserve * float64(b.full))
			}
		}
	}
}

// rejector returns the index of the bucket that turned a request back, -1 when
// it was none of them or cannot be told. Rate buckets from that index on were
// not charged; a limit on concurrency is looked at after all of them.
func (l *Limiter) rejector(t *Ticket, o *Outcome, h limitHeaders, described int, quota bool) (int, RejectKind) {
	n := len(t.c.buckets)
	if o.Busy {
		for i, b := range t.c.buckets {
			if b.slots != nil {
				return i, RejectConcurrency
			}
		}
		return -1, RejectConcurrency
	}
	if quota {
		return -1, RejectQuota
	}
	if described >= 0 && h.remaining == 0 {
		return described, RejectBucket
	}
	// A bucket that shows a rest is not the one; if that leaves one, it is.
	suspect := -1
	for i, b := range t.c.buckets {
		if b.slots != nil || i == described && n > 1 {
			continue
		}
		if suspect >= 0 {
			return -1, RejectUnknown
		}
		suspect = i
	}
	if suspect < 0 {
		return -1, RejectUnknown
	}
	return suspect, RejectBucket
}

// reject brings the account in line with a rejection.
func (l *Limiter) reject(t *Ticket, h limitHeaders, by int, f *Feedback, now int64) {
	c := t.c
	var wait int64
	switch f.Kind {
	case RejectConcurrency:
		wait = busyFirst
		if by >= 0 {
			b := t.c.buckets[by]
			f.Bucket = b.spec.Name
			wait = b.slots.busy()
			b.blocked = now + wait
		}
	case RejectBucket:
		m, b := &t.marks[by], c.buckets[by]
		f.Bucket = b.spec.Name
		b.rejected++
		next := (b.unit + b.inc - 1) / b.inc // ns a token
		wait = next
		if h.reset >= 0 && l.wall.known {
			// Whatever reset means, the next token is there by then.
			if d := l.wall.until(h.reset, l.start.Add(time.Duration(now))); d < wait {
				wait = max(d, next/8)
			}
		}
		if h.retryAfter >= 0 {
			wait = max(h.retryAfter, min(next, int64(100*time.Millisecond)))
			if h.retryAfter > 2*(b.full/b.inc)+5*int64(time.Second) {
				f.Kind = RejectQuota
				c.blocked = now + wait
				break
			}
		}
		b.blocked = max(b.blocked, now+wait)
		// The server had no token for it: whatever came since is at most what
		// the round trip brought.
		after := b.sentSince(t.sentAt + l.rtt.p95 - l.rtt.low)
		top := b.unit + b.gains(now-t.sentAt)
		if b.mode == refillWindow {
			top = 0
		}
		b.level = min(b.level, top-after*b.unit)
		b.sure = min(b.sure, 0)
		if after == 0 && b.spends() && b.mode != refillWindow {
			b.sure = 1 // by the time blocked has passed
		}
		if m.seq > b.rejectSeq {
			b.rejectSeq = b.sent
			if b.mode == refillWindow {
				b.misses++
			}
			b.rejects, b.rejectsAt = min(b.rejectsNow(now)+b.unit, 4*b.unit), now
			b.floorRound = 0
			if b.burst <= smallBurst && b.mode != refillWindow {
				b.gain = max(b.gain-b.gain/32, b.inc/16) // too small a bucket to learn from
			}
			if b.mode == refillUnknown && b.rejected > 1 && b.plausibleWindow() {
				// Twice wrong before drops were seen: look at it as windows.
				b.setWindow(int64(time.Second))
				b.nextLot, b.drips, b.grown = now+b.window, 0, 0
			}
		}
		b.probe = 0
		if b.mode == refillWindow {
			if per := int64(b.spec.Rate.Per); b.misses > 1 && b.window < per {
				b.setWindow(per)
			}
			b.nextLot = max(b.nextLot, now+b.window) // its lot had not come yet
		}
	case RejectQuota:
		wait = max(h.retryAfter, 0)
		if h.quotas {
			// The quota itself holds its client back; others go on.
			for _, q := range c.quotas {
				if ok, at := q.ready(now); !ok {
					wait = max(wait, at-now)
				}
			}
		} else {
			c.blocked = max(c.blocked, now+wait)
		}
	default:
		if c.backoff == 0 || t.sentAt > c.blockedAt { // not one of those in flight when it was blocked
			c.backoff = min(max(2*c.backoff, int64(time.Second)), int64(time.Minute))
			c.blockedAt = now
		}
		wait = max(c.backoff, h.retryAfter)
		c.blocked = max(c.blocked, now+wait)
	}
	if f.Kind == RejectBucket {
		// What is kept back for safety makes others of its kind wait longer than
		// the server would.
		if at := l.readyAt(c, levelOf(PriorityNormal), now); at != never {
			wait = max(wait, at-now)
		}
	}
	f.Wait = time.Duration(wait)
	if l.hooks != nil {
		l.hook(l.hooks.Rejected, Event{Route: t.route.String(), Bucket: f.Bucket, Wait: f.Wait, Detail: f.Kind.String()})
	}
}
