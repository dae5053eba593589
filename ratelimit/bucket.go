package ratelimit

import (
	"math"
	"math/bits"
	"time"
)

// refill says how a bucket's tokens come back, as far as it is known.
type refill uint8

const (
	refillUnknown    refill = iota // assume the worse of the two
	refillContinuous               // one token every period/count
	refillWindow                   // whole lots at the end of fixed windows
)

// bucket is the client's account of one counter on the server.
//
// The level is an estimate of the server's content after debiting every request
// of our own, answered or not. It is kept in integer units: a token is unit
// units and a nanosecond brings gain of them, so that 16 a second, 200 a minute
// and 5 a day are all exact.
type bucket struct {
	spec *Bucket
	key  uint64 // identity hash for keyed buckets, else 0

	burst   int64 // tokens
	unit    int64 // units a token
	inc     int64 // units a nanosecond by the plan
	gain    int64 // units a nanosecond as learned, net of what others take
	foreign int64 // units a nanosecond that others may take
	slow    int64 // units a nanosecond not counted on, where readings cannot correct clocks that differ
	full    int64 // burst in units
	most    int64 // tokens: twice what the bucket holds
	fill    int64 // ns after which any level is full again
	tick    int64 // ns: the server may add tokens in steps this long

	level int64 // units
	last  int64 // ns, when level was advanced
	sure  int64 // tokens proven to be there without counting on any refill

	limitSeq   int64    // the request that showed the size in use; earlier ones show another
	lost       [2]int64 // requests given up after they were sent, which may be charged yet
	lostAt     int64    // ns, when lost last turned
	sent, done int64    // requests ever admitted, and settled
	void       int64    // of those, known not to have been charged
	rejected   int64
	trail      [8]milestone
	trailEnd   uint8
	probedAt   int64 // ns, when a request was last let go
	probe      int64 // > 0: nothing is known yet, at most this many in flight

	blocked    int64 // ns: nothing is admitted before
	base       int64 // units of floor without head
	cover      int64 // ns that base is worth, beyond a step of the server's clock
	headroom   int64 // units of floor against foreign traffic
	rejects    int64 // tokens of extra head after unexpected rejections
	rejectsAt  int64 // ns, when rejects last changed
	rejectSeq  int64 // rejections of requests sent up to here are accounted for
	floorRound uint32
	learned    bool  // size or rate differ from the plan's
	heard      int64 // ns, last answer
	unread     int64 // answers in a row that spoke of other buckets

	mode    refill
	window  int64 // ns; in refillWindow the window's length
	lot     int64 // units that a window's end brings
	lotAt   int64 // ns, when the last lot was counted in
	nextLot int64 // ns by which the next lot has come for certain, 0 unknown

	seen     observation // the newest in send order
	still    standstill
	epoch    epoch
	grown    int64 // units by which the server's content and our debits grew together ...
	expected int64 // ... while inc would have brought this
	surely   int64 // and this by the shorter of the times of sending and of answering
	swing    int64 // the farthest that grown has been from nothing
	misses   int64 // lots in a row that had not come when they were looked for
	drips    int64 // small steps of growth within a window
	flatAt   int64 // ns by which the current stretch without growth had begun

	// Concurrency limits only.
	slots *slots
}

// observation is one reading of x-ratelimit-remaining.
type observation struct {
	ok     bool
	seq    int64 // position of the request in the bucket's send order
	sentAt int64
	at     int64 // of the answer
	rem    int64
	void   int64
}

// epoch bounds the content from below by readings alone, in whatever order
// requests were charged: the content after the last charge is at least the
// smallest reading of the requests answered since some moment, once a request
// sent after that moment is among them, less the requests without a reading.
type epoch struct {
	seq           int64 // requests sent before the epoch began
	open          int64 // of those, not settled
	begun         bool  // a request of the epoch has been answered
	least, prev   int64 // smallest reading of this epoch and the one before
	blind, blind0 int64 // requests settled without a reading, likewise
}

// milestone is how many requests had been sent before a moment.
type milestone struct{ at, seq int64 }

// stride notes a milestone if the last is at least every ns old.
func (b *bucket) stride(now, every int64) {
	if now-b.trail[b.trailEnd&7].at >= every {
		b.trailEnd++
		b.trail[b.trailEnd&7] = milestone{now, b.sent}
	}
}

// sentSince returns how many requests are certain to have been sent at or after
// a moment.
func (b *bucket) sentSince(at int64) int64 {
	first := b.sent
	for _, m := range b.trail {
		if m.at >= at && m.seq < first {
			first = m.seq
		}
	}
	return b.sent - first
}

// settle notes the end of a request, with its reading or -1.
func (e *epoch) settle(seq, rem, sent, done int64) {
	if seq <= e.seq {
		e.open--
	} else if rem >= 0 {
		e.begun = true
	}
	if rem >= 0 {
		e.least = min(e.least, rem)
	} else {
		e.blind++
	}
	if e.open <= 0 && e.begun {
		*e = epoch{seq: sent, open: sent - done, least: never, prev: e.least, blind0: e.blind}
	}
}

// low returns the bound in tokens, not counting requests in flight.
func (e *epoch) low() int64 {
	return min(e.least, e.prev) - e.blind - e.blind0
}

// standstill is the first of a row of equal readings.
type standstill struct {
	rem, reset, total, since int64
	repeated                 bool // the newest reading is such an equal one
}

// firstWait is the longest that the first request of a bucket is held back, for
// the time that a token takes: a program that ran before may have emptied it.
// Where a token takes longer, the first request goes at once and may meet an
// empty bucket.
const firstWait = int64(100 * time.Millisecond)

// slowRate is the rate, in tokens a second, below which a floor of a token or
// two would cost seconds: such buckets also spend what is proven to be there.
const slowRate = 1

func newBucket(spec *Bucket, key uint64, now int64) *bucket {
	b := &bucket{spec: spec, key: key, probe: 1, last: now, heard: now, epoch: epoch{least: never}}
	if spec.Concurrent > 0 {
		b.slots = &slots{limit: spec.Concurrent}
		b.probe = 0
		return b
	}
	b.setLimit(spec.Burst, spec.Rate)
	b.level = b.full
	if token := b.unit / b.inc; key == 0 && token <= firstWait {
		b.blocked = now + token
	}
	if spec.Window > 0 {
		b.setWindow(int64(spec.Window))
	}
	return b
}

// setLimit fixes size and rate. The level is kept in tokens.
func (b *bucket) setLimit(burst int64, r Rate) {
	old, shown := b.unit, burst
	count, per := r.Count, int64(r.Per)
	g := gcd(count, per)
	count, per = count/g, per/g
	for count > 1 && !fits(burst, per, 4) {
		count, per = count/2, (per+1)/2 // figures of no plan: nearly right, on the slow side
	}
	for burst > 1 && !fits(burst, per, 4) {
		burst /= 2
	}
	// Scale up so that learned rates have a fine grain, as far as it fits.
	scale := int64(1)
	for scale < 1<<20 && fits(burst, per, scale*2) {
		scale *= 2
	}
	b.burst, b.unit, b.inc = shown, per*scale, count*scale
	b.gain, b.foreign = b.inc, 0
	b.full, b.most = burst*b.unit, 2*burst
	b.fill = 2*b.full/b.inc + 1
	b.tick = int64(time.Millisecond)
	if r.Per > time.Second {
		b.tick = int64(time.Second)
	}
	if old != 0 {
		b.level = mulDiv(b.level, b.unit, old)
		b.level = min(b.level, b.full)
	}
	if b.mode == refillWindow {
		b.setWindow(b.window)
	}
	b.seen.ok, b.grown, b.expected, b.surely, b.swing = false, 0, 0, 0, 0
	b.floorRound = 0
}

// fits reports whether sums of a few times the bucket's size stay in 62 bits.
func fits(burst, per, scale int64) bool {
	hi, lo := bits.Mul64(uint64(burst), uint64(per))
	if hi != 0 {
		return false
	}
	hi, lo = bits.Mul64(lo, uint64(scale))
	return hi == 0 && lo < 1<<59
}

func (b *bucket) setWindow(w int64) {
	b.mode, b.window = refillWindow, w
	b.lot = mulDiv(b.inc, w, 1)
	b.lot = min(b.lot, b.full)
}

// advance brings the level up to now.
func (b *bucket) advance(now int64) {
	dt := now - b.last
	if dt <= 0 {
		return
	}
	b.last = now
	if b.mode == refillWindow {
		if b.nextLot != 0 && now >= b.nextLot {
			n := (now-b.nextLot)/b.window + 1
			b.nextLot += n*b.window + min(n, 1<<12)*(b.window>>12) // clocks differ; rather late than early
			if n > (b.full-b.level)/b.lot {
				b.level, b.sure = b.full, b.burst
			} else {
				b.level += n * b.lot
				b.sure += n * (b.lot / b.unit)
			}
			b.clip()
			b.lotAt = now
			b.probe = 1 // one request finds out whether it really has come
		}
		return
	}
	// However far below nothing the level is, time brings it back; and a bucket
	// that others take most of is not full as soon as another would be.
	b.level += min(mulDiv(dt, b.gain-b.slow, 1), b.full-b.level)
	b.clip()
}

// clip keeps the level within what the server can hold: its bucket, less the
// requests on their way that it may not have charged. While it is full and
// they travel it gains nothing.
func (b *bucket) clip() {
	if top := b.full - b.units(b.sent-b.done); b.level > top {
		b.level = top
	}
	if b.sure > b.burst {
		b.sure = b.burst
	}
}

// ready reports whether a request may be charged now, leaving extra units.
func (b *bucket) ready(now, extra int64) bool {
	if s := b.slots; s != nil {
		return now >= b.blocked && s.free(now) > 0
	}
	b.advance(now)
	if now < b.blocked || b.probing() && now-b.probedAt < probePatience {
		return false
	}
	return b.level >= b.need(extra) || b.proven(extra)
}

// probing reports whether as many requests are in flight as may be before
// anything is known.
func (b *bucket) probing() bool { return b.probe > 0 && b.sent-b.done >= b.probe }

// probePatience is how long the first request of a bucket is waited for alone.
// Some take long by themselves, such as an upload; others then go one by one.
const probePatience = int64(2 * time.Second)

// proven reports whether a token can be spent that is known to be there
// whatever the refill, which buckets for whom a floor costs much may do.
func (b *bucket) proven(extra int64) bool {
	return b.sure > 0 && b.spends() && b.units(b.sure) >= b.unit+b.headroom+extra
}

// need is the level at which a request is admitted.
func (b *bucket) need(extra int64) int64 {
	n := b.unit + b.base + b.headroom + extra
	n = min(n, b.full) // a full bucket always admits
	return n
}

// spends reports whether proven tokens are spent down to the last one.
func (b *bucket) spends() bool { return b.mode == refillWindow || b.crawls() }

// crawls reports whether the bucket refills at less than slowRate.
func (b *bucket) crawls() bool { return b.inc < slowRate*b.unit/int64(time.Second)+1 }

// readyAt returns the earliest time at which ready can become true without an
// answer coming in first, or never.
func (b *bucket) readyAt(now, extra int64) int64 {
	if s := b.slots; s != nil {
		return max(b.blocked, s.freeAt(now))
	}
	at := now
	if b.probing() {
		at = b.probedAt + probePatience
	}
	if !b.proven(extra) {
		if short := b.need(extra) - b.level; short > 0 {
			if open := b.sent - b.done; open > 0 && b.need(extra) > b.full-b.units(open) {
				return never // while they travel it cannot be taken to hold so much
			}
			switch {
			case b.mode == refillWindow:
				if b.nextLot == 0 {
					return never
				}
				at = max(at, b.nextLot+(short-1)/max(b.lot, 1)*b.window)
			case b.gain <= b.slow:
				return never
			default:
				g := b.gain - b.slow
				at = max(at, b.last+(short+g-1)/g)
			}
		}
	}
	return max(at, b.blocked)
}

// charge debits one request.
func (b *bucket) charge(now, trip int64) (seq, done int64) {
	b.sent++
	b.probedAt = now
	if b.slots != nil {
		b.slots.running++
		return b.sent, b.done
	}
	if b.mode == refillWindow && b.nextLot == 0 {
		// Windows of a bucket begin with its first use, which arrives within a
		// round trip; those of a used one end sooner.
		b.nextLot = now + b.window + trip
	}
	b.level -= b.unit
	b.sure--
	return b.sent, b.done
}

// unaccounted returns how many requests were given up so recently that the
// server may charge them yet.
func (b *bucket) unaccounted(now, trip int64) int64 {
	if grace := max(int64(time.Second), 4*trip); now-b.lostAt >= grace {
		if now-b.lostAt >= 2*grace {
			b.lost[0] = 0
		}
		b.lost = [2]int64{0, b.lost[0]}
		b.lostAt = now
	}
	return b.lost[0] + b.lost[1]
}

// refund takes back the debit of a request that was not charged.
func (b *bucket) refund() {
	b.void++
	if b.slots != nil {
		return
	}
	b.level += b.unit
	b.sure++
	if b.level > b.full {
		b.level = b.full
	}
}

// units returns a number of tokens in units. More than the bucket could hold
// twice counts as that much, so that sums of a few do not overflow.
func (b *bucket) units(tokens int64) int64 { return max(-b.most, min(tokens, b.most)) * b.unit }

// tokens returns the level in tokens, for people.
func (b *bucket) tokens(units int64) float64 { return float64(units) / float64(b.unit) }

// rate returns a rate in units a nanosecond as requests a second.
func (b *bucket) rate(g int64) float64 { return float64(g) / float64(b.unit) * 1e9 }

func gcd(a, b int64) int64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// mulDiv returns a*m/d for m, d > 0, saturating.
func mulDiv(a, m, d int64) int64 {
	neg := a < 0
	if neg {
		a = -a
	}
	hi, lo := bits.Mul64(uint64(a), uint64(m))
	if hi >= uint64(d) {
		lo = math.MaxInt64
	} else {
		lo, _ = bits.Div64(hi, lo, uint64(d))
		lo = min(lo, math.MaxInt64)
	}
	if neg {
		return -int64(lo)
	}
	return int64(lo)
}

const never = math.MaxInt64
