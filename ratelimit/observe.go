package ratelimit

import (
	"math"
	"time"
)

// gains is what the bucket may have gained in ns, at the faster of the plan's
// and the learned rate.
func (b *bucket) gains(ns int64) int64 {
	if ns >= b.fill {
		return 2 * b.full
	}
	return min(ns*max(b.inc, b.gain), 2*b.full)
}

// observe brackets the level between what one reading of remaining proves, and
// learns from it. With sharing, two buckets of the request have the same size
// and only what is safe for either is used.
func (l *Limiter) observe(b *bucket, m *mark, sentAt, now int64, h limitHeaders, o *Outcome, sharing bool) {
	rem := min(h.remaining, b.full/b.unit)
	// What was sent so much later that it cannot have overtaken this request
	// was charged after the reading.
	after := b.sentSince(sentAt + l.rtt.p95 - l.rtt.low)
	maybe := b.sent - m.done - 1 // may have been charged after the reading
	lost := b.unaccounted(now, l.rtt.p95)
	low := b.units(rem - maybe - lost) // nothing else can have been charged
	high := b.units(rem+1-after) + b.gains(now-sentAt)
	if b.mode == refillWindow {
		high = b.units(rem - after) // whole tokens, and none between lots
	}
	if b.mode == refillWindow && (b.nextLot == 0 || sentAt < b.nextLot-b.window) {
		high += b.lot // the reading may be from before the lot
	}
	b.advance(now)
	if b.probe > 0 && !sharing && !o.Rejected && sentAt >= b.lotAt {
		// The first word on this bucket is better than any assumption.
		b.probe = 0
		b.level = low
		b.misses = 0
	}
	if b.level > high {
		b.level = high
	}
	b.sure = min(b.sure, floorDiv(high, b.unit))
	if sharing {
		return
	}
	if more := b.units(b.epoch.low() - (b.sent - b.done) - lost); more > low {
		low = more
	}
	if b.level < low {
		if b.gain < b.inc && (low >= b.full*3/4 || b.burst <= smallBurst && low-b.level > b.unit/4) {
			// It refills faster than we thought we had learned.
			b.gain += (b.inc - b.gain + 1) / 2
			b.floorRound = 0
		}
		if b.mode == refillWindow && low-b.level >= b.unit {
			b.misses = 0
			// A lot has come before it was certain to. The next is counted from
			// now, a little late rather than early, for clocks differ.
			b.nextLot = now + b.window
			b.drips, b.grown = 0, 0
		}
		b.level = min(low, b.full)
	}
	b.sure = max(b.sure, floorDiv(low, b.unit))
	l.learn(b, m, sentAt, now, rem)
	b.clip()
}

// stale reports whether readings stand still while requests do not: such a
// server answers from a cache, and its figures prove nothing.
func (l *Limiter) stale(b *bucket, m *mark, sentAt, now int64, h limitHeaders) bool {
	if h.reset >= 0 && l.wall.known && l.wall.until(h.reset, l.start.Add(time.Duration(now))) < -(now-sentAt)-2*int64(time.Second) {
		return true // it tells the future of the past
	}
	s := &b.still
	total := h.remaining + m.seq - b.void
	if s.rem != h.remaining || s.reset != h.reset || total < s.total {
		*s = standstill{h.remaining, h.reset, total, sentAt, false}
		return false
	}
	s.repeated = h.reset >= 0
	// In floats: it may have stood still for days, and rightly so.
	implied := float64(total - s.total)
	possible := float64(max(sentAt-s.since, 0)+l.rtt.p95-l.rtt.low)*float64(max(b.inc, b.gain))/float64(b.unit) + 1
	return implied > possible*1.1
}

// learn compares the growth of the server's total (what it has left plus what
// we have taken) with what the plan's rate would have brought, which tells
// continuous refill from windows, and a rate that is not the plan's.
func (l *Limiter) learn(b *bucket, m *mark, sentAt, now, rem int64) {
	s := &b.seen
	if s.ok && m.seq <= s.seq {
		return // overtaken: an earlier request's reading
	}
	if open := b.sent - m.done; b.units(open) > 2*b.unit+5*b.gains(now-sentAt)/2 {
		return // one of a burst, which arrives in any order
	}
	if now-sentAt > rttMost {
		return // nobody knows when in all that time the server looked
	}
	prev := *s
	*s = observation{true, m.seq, sentAt, now, rem, b.void}
	if !prev.ok {
		b.flatAt = now
		return
	}
	// The server's clock ran on between the two by about the time between the
	// sendings, and by about that between the answers; where the network stood
	// still, the two differ.
	sent, answered := sentAt-prev.sentAt, max(now-prev.at, 0)
	would, short, long := b.nominal(sent), b.nominal(min(sent, answered)), b.nominal(max(sent, answered))
	grew := b.units((rem + m.seq - b.void) - (prev.rem + prev.seq - prev.void))
	if b.mode == refillWindow {
		b.learnWindow(grew)
		return
	}
	if prev.rem*b.unit+long >= b.full-b.unit {
		b.flatAt = now
		return // it may have been full in between, gaining nothing
	}
	if would > b.full/2 || sent > int64(b.spec.Rate.Per)/4 && b.spec.Rate.Per <= time.Minute && sent > 4*b.unit/b.inc {
		b.flatAt = now
		return // too long a step to tell drops from lots
	}
	noise := 2*b.unit + 2*b.gains(l.rtt.p95-l.rtt.low)
	if b.mode == refillUnknown && grew-long > noise+b.gains(b.tick) {
		// A lot came at once.
		b.grown, b.expected, b.surely, b.swing = 0, 0, 0, 0
		b.flatAt = now
		return
	}
	b.grown += grew
	b.expected += would
	b.surely += short
	b.swing = max(b.swing, b.grown, -b.grown)
	switch {
	case b.still.repeated:
		// It may come from a cache: no conclusions yet.
	case b.mode == refillUnknown:
		l.learnMode(b, noise, now)
	default:
		l.learnRate(b, noise)
	}
}

// nominal is what the plan's rate brings in ns, at most two buckets full.
func (b *bucket) nominal(ns int64) int64 {
	if ns >= b.fill {
		return 2 * b.full
	}
	return ns * b.inc
}

// learnMode tells continuous refill from windows once enough has been seen.
func (l *Limiter) learnMode(b *bucket, noise, now int64) {
	if b.surely < 2*noise+b.gains(b.tick+b.tick/2) {
		return
	}
	switch {
	case b.grown > 2*b.expected:
	case 2*b.grown >= b.expected:
		b.mode = refillContinuous
		b.floorRound = 0
	case b.swing <= noise*3/4 && b.surely >= 4*b.swing && b.plausibleWindow():
		// It stood still, which others who take tokens would not have let it do.
		b.setWindow(int64(time.Second)) // the shortest first; a rejection lengthens it
		if b.nextLot = b.flatAt + b.window; b.nextLot <= now {
			b.nextLot = now + b.window
		}
		b.drips = 0
		b.floorRound = 0
		l.learnedRate(b)
	}
	b.grown, b.expected, b.surely, b.swing = 0, 0, 0, 0
	b.flatAt = now
}

// learnRate compares the refill seen with the plan's, and takes it over when
// the difference is more than readings leave open.
func (l *Limiter) learnRate(b *bucket, noise int64) {
	off := b.grown - mulDiv(b.expected, b.gain, b.inc)
	if off < 0 {
		off = -off
	}
	if b.expected < 4*noise+b.gains(2*b.tick) || off <= noise+b.gains(b.tick) || b.expected-b.surely > b.expected/4 {
		if b.expected > 256*b.unit && b.foreign > b.inc-b.gain {
			b.foreign -= b.foreign / 64
			b.floorRound = 0
		}
		if b.expected > 8192*b.unit && b.expected > 16*noise {
			b.expected, b.grown, b.surely = b.expected/2, b.grown/2, b.surely/2
		}
		return
	}
	b.gain = min(max(mulDiv(b.inc, max(b.grown, 0), b.expected), b.inc/16), 8*b.inc)
	b.foreign = max(b.inc-b.gain, b.foreign-b.foreign/8, 0)
	if b.slow > 0 {
		b.gain = min(b.gain, b.inc) // readings could not correct a rate learned too high
	}
	if b.grown < b.expected/4 {
		b.mode, b.gain = refillUnknown, b.inc
	}
	b.grown, b.expected, b.surely, b.swing = 0, 0, 0, 0
	b.floorRound = 0
	l.learnedRate(b)
}

func (l *Limiter) learnedRate(b *bucket) {
	if l.hooks != nil {
		l.hook(l.hooks.Learned, Event{Bucket: b.spec.Name, Detail: "refill"})
	}
}

// plausibleWindow reports whether the plan's period may be a window that is
// worth looking for. Longer ones would have the bucket stand still for hours if
// another consumer looked like one.
func (b *bucket) plausibleWindow() bool {
	return b.spec.Rate.Per >= time.Second && b.spec.Rate.Per <= time.Minute
}

// learnWindow looks for signs that tokens come in drops after all.
func (b *bucket) learnWindow(grew int64) {
	if grew < -2*b.unit {
		b.drips += 2 // others take tokens: what looked like windows may be them
	} else if grew <= 0 || grew >= max(b.lot/2, 2*b.unit) {
		return
	}
	b.grown += max(grew, -grew)
	b.drips++
	if b.drips >= 4 && b.grown >= 4*b.unit {
		b.mode, b.drips, b.grown, b.expected = refillUnknown, 0, 0, 0
		b.floorRound = 0
	}
}

// refresh brings a bucket's floor up to date.
//
// The floor is what a reading of remaining leaves open: a token for its
// rounding, a quarter for good measure, and the refill of a step of the
// server's clock and of a round trip, since nobody knows when within it the
// server looked. Below that, readings could not correct an estimate in time.
func (l *Limiter) refresh(b *bucket, now int64) {
	if b.slots != nil {
		return
	}
	if b.probe == 0 && b.sent == b.done && now-b.heard > idleProbe {
		b.probe = 1
	}
	if b.floorRound == l.rtt.round && b.rejects == 0 {
		return
	}
	b.floorRound = l.rtt.round
	// As much room above the level that admits as below it, or late arrivals
	// would find the bucket full and its refill lost.
	top := (b.full - b.unit) * 3 / 8
	if b.burst == 2 {
		top = b.unit / 4
	}
	base := int64(0)
	if b.mode != refillWindow {
		base = b.unit + b.unit/4 + b.gains(b.tick+l.rtt.p95)
		if b.mode == refillUnknown && b.plausibleWindow() && !b.crawls() && b.unread < unreadMost {
			// Half the bucket is left to find out with.
			base = max(base, min(base+b.gains(int64(b.spec.Rate.Per)), b.full/2))
			top = max(top, min(b.full/2, b.full-2*b.unit))
		}
	}
	b.slow = 0
	if (base > top || b.unread >= unreadMost) && b.mode != refillWindow {
		b.slow = b.inc >> 12 // 244 ppm: more than a disciplined clock is off
	}
	b.base = max(0, min(base, top))
	b.cover = max(0, b.base-b.gains(b.tick)) / max(b.gain, b.inc)
	head := b.head(l.rtt.p95)
	if !b.crawls() {
		head += b.rejectsNow(now) // a slow bucket's next token is later than it lasts
	}
	b.headroom = max(0, min(head, top-b.base))
}

// unreadMost is after how many answers in a row that speak of other buckets
// this one is no longer expected to be found out about.
const unreadMost = 16

// smallBurst is the largest size of a bucket that is too often full or empty
// to learn its rate from the growth of readings.
const smallBurst = 4

// idleProbe is how long after the last answer a bucket is looked at with a
// single request first: others may have drained it.
const idleProbe = int64(time.Minute)

// head is kept for other consumers, in units: what they take while a request
// travels, four standard deviations of it, and a token for the tail that a
// Poisson stream has beyond those of a normal one.
func (b *bucket) head(p95 int64) int64 {
	if b.foreign <= 0 {
		return 0
	}
	m := float64(b.foreign) / float64(b.unit) * float64(p95+50*int64(time.Millisecond))
	return int64((m + 4*math.Sqrt(m) + min(1, 2*m)) * float64(b.unit))
}

// rejectsNow is the extra head after unexpected rejections, halved every half minute.
func (b *bucket) rejectsNow(now int64) int64 {
	if b.rejects == 0 {
		return 0
	}
	n := (now - b.rejectsAt) / int64(30*time.Second)
	if n > 0 {
		b.rejects >>= min(n, 62)
		b.rejectsAt += n * int64(30*time.Second)
		if b.rejects < b.unit/8 {
			b.rejects = 0
		}
	}
	return b.rejects
}

func floorDiv(a, d int64) int64 {
	q := a / d
	if a%d < 0 {
		q--
	}
	return q
}

// wallClock tracks the server's clock from Date headers, so that reset can be
// read whatever the local clock says.
type wallClock struct {
	known  bool
	offset int64 // ns, server minus local
	at     time.Time
}

func (w *wallClock) read(h map[string][]string, local time.Time, rtt int64) {
	if w.known && local.Sub(w.at) < 10*time.Second {
		return
	}
	d, ok := httpDate(get(h, "Date"))
	if !ok {
		return
	}
	// Date is cut to whole seconds and was written within the round trip.
	w.offset = int64(d.Sub(local)) + int64(time.Second)/2 + rtt/2
	w.known, w.at = true, local
}

// until returns the time from local to a moment on the server's clock, at the
// latest.
func (w *wallClock) until(unix int64, local time.Time) int64 {
	d := int64(time.Unix(unix, 0).Sub(local)) - w.offset
	if w.known {
		d += int64(time.Second) / 2
	}
	return d
}
