// Package enforce holds rate limits as a server enforces them: token buckets
// with continuous, ticking or fixed-window refill, and the header figures of
// each. It is the judge of package ratelimit and shares no arithmetic with it:
// ratelimit counts a level that rises, this package keeps the moment at which a
// bucket would be full.
package enforce

import (
	"math/big"
	"math/bits"
	"time"
)

// Bucket is one token bucket. The zero value is not usable; see New. It is not
// safe for concurrent use.
//
// Times are durations on any one clock. A time before one that the bucket has
// already seen counts as that later one, so a clock that steps back gains
// nobody a token.
type Bucket struct {
	burst  int64
	count  int64         // tokens a period
	per    time.Duration // the period
	window time.Duration // 0: continuous refill
	tick   int64         // ns between the moments at which a continuous refill is added; 0 or 1: at once
	topUp  bool          // a window's end fills the bucket whatever the rate says
	seen   int64         // latest time seen

	// Continuous refill: the bucket is full at fullAt + fullFrac/count ns.
	// A token takes per/count ns, kept as a quotient and a remainder so that
	// nothing is rounded.
	fullAt   int64 // ns on the caller's clock
	fullFrac int64 // in 1/count ns, 0 <= fullFrac < count
	quo, rem int64 // ns per token, and remainder in 1/count ns

	// Fixed windows: level tokens left, windows counted from anchor.
	level    int64
	anchor   int64
	anchored bool
	windows  int64 // windows accounted for
}

// New returns a full bucket of burst tokens that regains count tokens each
// period per. With a window, tokens come in whole lots of count*window/per
// (rounded down, at least one) at the end of each window; the first window
// starts at the first Take, not at a wall-clock boundary. Count and per are at
// least 1; a bucket of burst 0 lets nothing pass.
func New(burst, count int64, per, window time.Duration) *Bucket {
	b := &Bucket{window: window, level: burst, fullAt: -1 << 62, seen: -1 << 62}
	b.set(burst, count, per)
	return b
}

func (b *Bucket) set(burst, count int64, per time.Duration) {
	b.burst, b.count, b.per = burst, count, per
	b.quo, b.rem = int64(per)/count, int64(per)%count
}

// SetTick makes a continuous refill arrive at multiples of tick on the caller's
// clock: what has been earned since the last multiple is added at the next. The
// published limits a second are said to refill by the millisecond, those a
// minute by the second. It has no effect on fixed windows.
func (b *Bucket) SetTick(tick time.Duration) { b.tick = int64(tick) }

// SetTopUp makes the end of a fixed window fill the bucket whatever its rate
// says, which is how Auth0's current use-case page tells it.
func (b *Bucket) SetTopUp(on bool) { b.topUp = on }

// Burst returns the bucket's size.
func (b *Bucket) Burst() int64 { return b.burst }

// Rate returns the refill as a count and a period.
func (b *Bucket) Rate() (int64, time.Duration) { return b.count, b.per }

// SetLimit changes size and rate in flight, as a performance burst does. What
// is missing from the bucket stays missing, as far as the new size holds it; a
// fraction that the new rate cannot express is rounded against the caller by
// less than a nanosecond's worth. Fixed windows keep their beginning.
func (b *Bucket) SetLimit(now time.Duration, burst, count int64, per time.Duration) {
	t := b.at(now)
	if b.window > 0 {
		b.turn(t)
		missing := b.burst - b.level
		b.set(burst, count, per)
		b.level = burst - min(missing, burst)
		return
	}
	if b.full(t) {
		b.set(burst, count, per)
		b.fullAt, b.fullFrac = t, 0
		return
	}
	// Missing tokens in units of 1/per of the old period.
	missing := new(big.Int).Mul(big.NewInt(b.fullAt-t), big.NewInt(b.count))
	missing.Add(missing, big.NewInt(b.fullFrac))
	missing.Mul(missing, big.NewInt(int64(per)))
	wait := ceilDiv(missing, big.NewInt(int64(b.per))) // in 1/count ns of the new count
	if most := new(big.Int).Mul(big.NewInt(burst), big.NewInt(int64(per))); wait.Cmp(most) > 0 {
		wait = most
	}
	b.set(burst, count, per)
	q, r := new(big.Int).DivMod(wait, big.NewInt(count), new(big.Int))
	b.fullAt, b.fullFrac = t+q.Int64(), r.Int64()
}

// Drain removes up to n tokens and returns how many there were to remove.
func (b *Bucket) Drain(now time.Duration, n int64) int64 {
	n = max(0, min(n, b.Level(now)))
	t := b.at(now)
	if b.window > 0 {
		b.open(t)
		b.level -= n
		return n
	}
	if b.full(t) {
		b.fullAt, b.fullFrac = t, 0
	}
	// n tokens take n*rem/count ns more than n*quo.
	hi, lo := bits.Mul64(uint64(n), uint64(b.rem))
	lo, carry := bits.Add64(lo, uint64(b.fullFrac), 0)
	q, r := bits.Div64(hi+carry, lo, uint64(b.count))
	b.fullAt += n*b.quo + int64(q)
	b.fullFrac = int64(r)
	return n
}

// at turns a time into the moment that it counts as: never before one already
// seen, and the last tick where the refill ticks.
func (b *Bucket) at(now time.Duration) int64 {
	b.seen = max(b.seen, int64(now))
	if b.tick > 1 && b.window == 0 {
		return b.seen - (b.seen%b.tick+b.tick)%b.tick
	}
	return b.seen
}

// up returns the first tick that is not before t.
func (b *Bucket) up(t int64) time.Duration {
	if b.tick > 1 {
		if over := (t%b.tick + b.tick) % b.tick; over > 0 {
			t += b.tick - over
		}
	}
	return time.Duration(t)
}

// full reports whether a bucket with continuous refill is full at t.
func (b *Bucket) full(t int64) bool {
	return t > b.fullAt || t == b.fullAt && b.fullFrac == 0
}

// lot is the number of tokens that a window's end brings.
func (b *Bucket) lot() int64 {
	if b.topUp {
		return max(1, b.burst)
	}
	hi, lo := bits.Mul64(uint64(b.count), uint64(b.window))
	if hi >= uint64(b.per) { // more than 64 bits: any bucket is full
		return max(1, b.burst)
	}
	q, _ := bits.Div64(hi, lo, uint64(b.per))
	return int64(max(1, min(q, uint64(max(1, b.burst)))))
}

// open starts the first window.
func (b *Bucket) open(t int64) {
	if !b.anchored {
		b.anchored, b.anchor = true, t
	}
}

// turn accounts for the windows that have ended by t.
func (b *Bucket) turn(t int64) {
	if !b.anchored {
		return
	}
	n := (t - b.anchor) / int64(b.window)
	if n <= b.windows {
		return
	}
	lots := n - b.windows
	b.windows = n
	if missing, lot := b.burst-b.level, b.lot(); lots >= (missing+lot-1)/lot {
		b.level = b.burst
	} else {
		b.level += lots * lot
	}
}

// Level returns the whole tokens in the bucket at now.
func (b *Bucket) Level(now time.Duration) int64 {
	t := b.at(now)
	if b.window > 0 {
		b.turn(t)
		return b.level
	}
	if b.full(t) {
		return b.burst
	}
	// Tokens missing = ceil((full - t) * count / per).
	hi, lo := bits.Mul64(uint64(b.fullAt-t), uint64(b.count))
	lo, carry := bits.Add64(lo, uint64(b.fullFrac), 0)
	q, r := bits.Div64(hi+carry, lo, uint64(b.per))
	if r > 0 {
		q++
	}
	return b.burst - int64(q)
}

// Take removes one token at now and reports whether there was one. A bucket
// that refuses loses nothing.
func (b *Bucket) Take(now time.Duration) bool {
	t := b.at(now)
	if b.window > 0 {
		b.open(t)
		b.turn(t)
		if b.level < 1 {
			return false
		}
		b.level--
		return true
	}
	if b.Level(now) < 1 {
		return false
	}
	if b.full(t) {
		b.fullAt, b.fullFrac = t, 0
	}
	b.fullAt += b.quo
	b.fullFrac += b.rem
	if b.fullFrac >= b.count {
		b.fullFrac -= b.count
		b.fullAt++
	}
	return true
}

// Full returns the time at which the bucket will be full, rounded up to a
// nanosecond or a tick; now when it is full.
func (b *Bucket) Full(now time.Duration) time.Duration {
	t := b.at(now)
	if b.window > 0 {
		b.turn(t)
		if b.level >= b.burst {
			return now
		}
		lot := b.lot()
		n := (b.burst - b.level + lot - 1) / lot
		return time.Duration(b.anchor + (b.windows+n)*int64(b.window))
	}
	if b.full(t) {
		return now
	}
	f := b.fullAt
	if b.fullFrac > 0 {
		f++
	}
	return max(now, b.up(f))
}

// NextToken returns the time at which the next whole token arrives, rounded up
// to a nanosecond or a tick; now when the bucket is full.
func (b *Bucket) NextToken(now time.Duration) time.Duration {
	missing := b.burst - b.Level(now)
	if missing <= 0 {
		return now
	}
	if b.window > 0 {
		return b.WindowEnd(now)
	}
	// Full minus the time of the tokens that follow the next one.
	later := new(big.Int).Mul(big.NewInt(missing-1), big.NewInt(int64(b.per)))
	full := new(big.Int).Mul(big.NewInt(b.fullAt), big.NewInt(b.count))
	full.Add(full, big.NewInt(b.fullFrac))
	next := ceilDiv(full.Sub(full, later), big.NewInt(b.count))
	return max(now, b.up(next.Int64()))
}

// WindowEnd returns the end of the window that now falls in: of the fixed
// window where there is one, else of the period counted from time zero.
func (b *Bucket) WindowEnd(now time.Duration) time.Duration {
	w, a := int64(b.window), b.anchor
	if w == 0 {
		w, a = int64(b.per), 0
	} else if !b.anchored {
		a = int64(now)
	}
	return time.Duration(a + ((int64(now)-a)/w+1)*w)
}

// Refilled returns how many whole tokens a bucket that is never full gains from
// one time to a later one: what a caller who takes each token as it comes could
// take beyond what was there at the beginning. Windows not opened yet begin at
// from.
func (b *Bucket) Refilled(from, to time.Duration) int64 {
	if to <= from || b.burst < 1 {
		return 0
	}
	f, t := int64(from), int64(to)
	if b.window > 0 {
		a := b.anchor
		if !b.anchored {
			a = f
		}
		w := int64(b.window)
		return ((t-a)/w - (f-a)/w) * b.lot()
	}
	if b.tick > 1 {
		f, t = f-(f%b.tick+b.tick)%b.tick, t-(t%b.tick+b.tick)%b.tick
	}
	gained := new(big.Int).Mul(big.NewInt(t-f), big.NewInt(b.count))
	return gained.Div(gained, big.NewInt(int64(b.per))).Int64()
}

// ceilDiv returns a/b rounded up, for b > 0.
func ceilDiv(a, b *big.Int) *big.Int {
	q, r := new(big.Int).DivMod(a, b, new(big.Int)) // Euclidean: 0 <= r < b
	if r.Sign() > 0 {
		q.Add(q, big.NewInt(1))
	}
	return q
}
