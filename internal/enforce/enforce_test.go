package enforce

import (
	"fmt"
	"math/big"
	"math/rand/v2"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// step is one request of a worked example: when it comes and whether it passes.
type step struct {
	ms int
	ok bool
}

// The four examples that the published use-case texts work through, two with a
// sliding refill and two with windows. Times lie inside the printed intervals;
// the accepted and rejected numbers are those of the texts.
func TestWorkedExamples(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		bucket func() *Bucket
		steps  []step
	}{
		{"sliding, 5 and 10 a second", func() *Bucket { return New(5, 10, time.Second, 0) }, []step{
			{0, true}, {10, true}, {20, true}, {30, true}, {40, true}, {50, false},
			{110, true}, {150, false}, {210, true},
		}},
		{"sliding, 5 and 6 a minute", func() *Bucket { return New(5, 6, time.Minute, 0) }, []step{
			{0, true}, {200, true}, {400, true}, {600, true}, {800, true}, {1000, false},
			{10500, true}, {15000, false}, {20500, true},
		}},
		{"windows, 5 and 10 a second", func() *Bucket { return New(5, 10, time.Second, time.Second) }, []step{
			{0, true}, {100, true}, {200, true}, {300, true}, {400, true}, {500, false},
			{1000, true}, {1100, true}, {1200, true}, {1300, true}, {1400, true}, {1500, false},
			{2000, true},
		}},
		{"windows, 5 and 6 a minute", func() *Bucket { return New(5, 6, time.Minute, time.Minute) }, []step{
			{0, true}, {5000, true}, {10000, true}, {15000, true}, {20000, true}, {25000, false},
			{60000, true}, {61000, true}, {62000, true}, {63000, true}, {64000, true}, {65000, false},
			{120000, true},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			// The result must not depend on where the clock started.
			for _, start := range []time.Duration{0, 1, 999_999_999, 56 * 365 * 24 * time.Hour} {
				b := tt.bucket()
				for i, s := range tt.steps {
					if got := b.Take(start + time.Duration(s.ms)*time.Millisecond); got != s.ok {
						t.Errorf("start %v: request %d at %d ms: accepted %v, want %v", start, i+1, s.ms, got, s.ok)
					}
				}
			}
		})
	}
}

func TestHeaderFigures(t *testing.T) {
	t.Parallel()
	// 50 at 16 a second, emptied at time zero: a token each 62.5 ms.
	b := New(50, 16, time.Second, 0)
	if n := b.Drain(0, 60); n != 50 {
		t.Fatalf("Drain removed %d, want 50", n)
	}
	for _, tt := range []struct {
		at    time.Duration
		level int64
		next  time.Duration
	}{
		{0, 0, 62500 * time.Microsecond},
		{62500*time.Microsecond - 1, 0, 62500 * time.Microsecond},
		{62500 * time.Microsecond, 1, 125 * time.Millisecond},
		{time.Second, 16, 1062500 * time.Microsecond},
	} {
		if got := b.Level(tt.at); got != tt.level {
			t.Errorf("Level(%v) = %d, want %d", tt.at, got, tt.level)
		}
		if got := b.NextToken(tt.at); got != tt.next {
			t.Errorf("NextToken(%v) = %v, want %v", tt.at, got, tt.next)
		}
		if got, want := b.Full(tt.at), 3125*time.Millisecond; got != want {
			t.Errorf("Full(%v) = %v, want %v", tt.at, got, want)
		}
	}
	if got := b.Full(4 * time.Second); got != 4*time.Second {
		t.Errorf("Full of a full bucket = %v, want now", got)
	}
	if got := b.NextToken(4 * time.Second); got != 4*time.Second {
		t.Errorf("NextToken of a full bucket = %v, want now", got)
	}
	if got := b.WindowEnd(4500 * time.Millisecond); got != 5*time.Second {
		t.Errorf("WindowEnd = %v, want 5s", got)
	}
}

func TestTick(t *testing.T) {
	t.Parallel()
	// 5 and 500 a minute ticking by the second: 8 1/3 tokens a tick.
	b := New(100, 500, time.Minute, 0)
	b.SetTick(time.Second)
	start := 700 * time.Millisecond
	b.Drain(start, 100)
	for _, tt := range []struct {
		ms    int
		level int64
	}{{700, 0}, {999, 0}, {1000, 8}, {1999, 8}, {2000, 16}, {3000, 25}} {
		if got := b.Level(time.Duration(tt.ms) * time.Millisecond); got != tt.level {
			t.Errorf("Level at %d ms = %d, want %d", tt.ms, got, tt.level)
		}
	}
	if got := b.NextToken(3001 * time.Millisecond); got != 4*time.Second {
		t.Errorf("NextToken = %v, want the next tick, 4s", got)
	}
	if got := b.Full(3001 * time.Millisecond); got != 12*time.Second {
		t.Errorf("Full = %v, want 12s", got) // 12 s of the clock counted from zero
	}
	if got := b.Refilled(700*time.Millisecond, 2999*time.Millisecond); got != 16 {
		t.Errorf("Refilled = %d, want 16", got)
	}
}

func TestWindows(t *testing.T) {
	t.Parallel()
	b := New(50, 16, time.Second, time.Second)
	b.Drain(5*time.Second, 50) // opens the first window at 5 s
	for _, tt := range []struct {
		ms    int
		level int64
	}{{5999, 0}, {6000, 16}, {7000, 32}, {7999, 32}, {8000, 48}, {9000, 50}} {
		if got := b.Level(time.Duration(tt.ms) * time.Millisecond); got != tt.level {
			t.Errorf("Level at %d ms = %d, want %d", tt.ms, got, tt.level)
		}
	}
	b.SetTopUp(true)
	b.Drain(9*time.Second, 50)
	if got := b.Level(9999 * time.Millisecond); got != 0 {
		t.Errorf("topped up early: %d", got)
	}
	if got := b.Level(10 * time.Second); got != 50 {
		t.Errorf("topped up to %d, want 50", got)
	}
	b.Take(10 * time.Second)
	if got := b.NextToken(10 * time.Second); got != 11*time.Second {
		t.Errorf("NextToken = %v, want 11s", got)
	}
	if got := b.Full(10 * time.Second); got != 11*time.Second {
		t.Errorf("Full = %v, want 11s", got)
	}
	if got := b.Refilled(5*time.Second, 10*time.Second); got != 250 {
		t.Errorf("Refilled = %d, want 250", got)
	}
}

func TestSetLimit(t *testing.T) {
	t.Parallel()
	t.Run("what is missing stays missing", func(t *testing.T) {
		t.Parallel()
		b := New(100, 100, time.Second, 0)
		b.Drain(0, 70)
		b.SetLimit(0, 200, 200, time.Second)
		if got := b.Level(0); got != 130 {
			t.Errorf("Level after a raise = %d, want 130", got)
		}
		if got := b.Level(350 * time.Millisecond); got != 200 {
			t.Errorf("Level after 350 ms at 200 a second = %d, want 200", got)
		}
		b.Drain(time.Second, 150)
		b.SetLimit(time.Second, 100, 100, time.Second)
		if got := b.Level(time.Second); got != 0 {
			t.Errorf("Level after a cut below what is missing = %d, want 0", got)
		}
		if got := b.NextToken(time.Second); got != 1010*time.Millisecond {
			t.Errorf("NextToken = %v, want 1.01s", got)
		}
	})
	t.Run("fractions survive", func(t *testing.T) {
		t.Parallel()
		b := New(10, 1, time.Second, 0)
		b.Drain(0, 10)
		b.SetLimit(500*time.Millisecond, 10, 2, time.Second) // half a token is there
		if got, want := b.NextToken(500*time.Millisecond), 750*time.Millisecond; got != want {
			t.Errorf("NextToken = %v, want %v", got, want)
		}
	})
	t.Run("windows keep their beginning", func(t *testing.T) {
		t.Parallel()
		b := New(5, 5, time.Second, time.Second)
		b.Drain(300*time.Millisecond, 5)
		b.SetLimit(800*time.Millisecond, 10, 10, time.Second)
		if got := b.Level(800 * time.Millisecond); got != 5 {
			t.Errorf("Level = %d, want 5", got)
		}
		if got := b.Level(1300 * time.Millisecond); got != 10 {
			t.Errorf("Level at the window's end = %d, want 10", got)
		}
	})
}

func TestClockSteppingBackGainsNothing(t *testing.T) {
	t.Parallel()
	b := New(1, 1, time.Second, 0)
	b.Take(10 * time.Second)
	if b.Take(0) {
		t.Error("a clock set back ten seconds got a token")
	}
	if !b.Take(11 * time.Second) {
		t.Error("no token a second later")
	}
}

func TestZeroBurst(t *testing.T) {
	t.Parallel()
	for _, w := range []time.Duration{0, time.Second} {
		b := New(0, 1, time.Second, w)
		if b.Take(0) || b.Take(time.Hour) {
			t.Errorf("window %v: a bucket of burst 0 let a request pass", w)
		}
	}
}

// model is the definition of a token bucket in rational numbers: content
// c = min(B, c + dt*r), a request takes one where c >= 1.
type model struct {
	burst, count int64
	per          time.Duration
	window, tick time.Duration
	topUp        bool

	c      *big.Rat
	at     int64 // time that c is of
	anchor int64
	open   bool
}

func (m *model) advance(t int64) {
	gain := new(big.Rat)
	switch {
	case m.window > 0:
		if !m.open {
			return
		}
		n := (t-m.anchor)/int64(m.window) - (m.at-m.anchor)/int64(m.window)
		lot := new(big.Int).Mul(big.NewInt(m.count), big.NewInt(int64(m.window)))
		lot.Div(lot, big.NewInt(int64(m.per)))
		if lot.Sign() == 0 {
			lot.SetInt64(1)
		}
		if m.topUp {
			lot.SetInt64(m.burst)
		}
		gain.SetInt(lot.Mul(lot, big.NewInt(n)))
	default:
		from, to := m.at, t
		if m.tick > 1 {
			from, to = from-from%int64(m.tick), to-to%int64(m.tick)
		}
		gain.SetFrac(new(big.Int).Mul(big.NewInt(to-from), big.NewInt(m.count)), big.NewInt(int64(m.per)))
	}
	m.at = t
	m.c.Add(m.c, gain)
	if full := new(big.Rat).SetInt64(m.burst); m.c.Cmp(full) > 0 {
		m.c = full
	}
}

func (m *model) level() int64 {
	return new(big.Int).Div(m.c.Num(), m.c.Denom()).Int64()
}

func (m *model) take(t int64) bool {
	if m.window > 0 && !m.open {
		m.open, m.anchor, m.at = true, t, t
	}
	m.advance(t)
	if m.c.Cmp(big.NewRat(1, 1)) < 0 {
		return false
	}
	m.c.Sub(m.c, big.NewRat(1, 1))
	return true
}

// compare drives a bucket and the model with the same requests and reports the
// first difference.
func compare(b *Bucket, m *model, gaps []int64) error {
	t := m.at
	for i, g := range gaps {
		t += g
		want, got := m.take(t), b.Take(time.Duration(t))
		if got != want {
			return fmt.Errorf("request %d at %d ns: accepted %v, want %v (content %s)", i, t, got, want, m.c.FloatString(6))
		}
		if got, want := b.Level(time.Duration(t)), m.level(); got != want {
			return fmt.Errorf("after request %d at %d ns: level %d, want %d", i, t, got, want)
		}
		// The next token is there at the time announced and not a nanosecond
		// before, and so is the full bucket.
		next, full := int64(b.NextToken(time.Duration(t))), int64(b.Full(time.Duration(t)))
		if next > t {
			before, at := m.copy(), m.copy()
			before.advance(next - 1)
			at.advance(next)
			if before.level() != m.level() || at.level() <= m.level() {
				return fmt.Errorf("request %d at %d ns: next token announced for %d ns: level %d, then %d, then %d", i, t, next, m.level(), before.level(), at.level())
			}
		} else if m.level() < m.burst {
			return fmt.Errorf("request %d at %d ns: no next token announced at level %d of %d", i, t, m.level(), m.burst)
		}
		if full > t {
			before, at := m.copy(), m.copy()
			before.advance(full - 1)
			at.advance(full)
			if before.c.Cmp(new(big.Rat).SetInt64(m.burst)) >= 0 || at.c.Cmp(new(big.Rat).SetInt64(m.burst)) < 0 {
				return fmt.Errorf("request %d at %d ns: full announced for %d ns: %s, then %s", i, t, full, before.c.FloatString(6), at.c.FloatString(6))
			}
		}
	}
	return nil
}

func (m *model) copy() *model {
	c := *m
	c.c = new(big.Rat).Set(m.c)
	return &c
}

// pair builds a bucket and its model. Parameters are folded into ranges that
// the published plans lie well within.
func pair(burst, count, per, window, tick, start int64, topUp bool) (*Bucket, *model) {
	fold := func(v, lo, hi int64) int64 {
		v = (v - lo) % (hi - lo + 1) // a value in range stays as it is
		if v < 0 {
			v += hi - lo + 1
		}
		return lo + v
	}
	burst, count = fold(burst, 1, 20000), fold(count, 1, 20000)
	per = fold(per, 1, int64(24*time.Hour))
	window = fold(window, 0, int64(24*time.Hour))
	tick = fold(tick, 0, int64(time.Second))
	start = fold(start, 0, int64(60*365*24*time.Hour))
	b := New(burst, count, time.Duration(per), time.Duration(window))
	b.SetTick(time.Duration(tick))
	b.SetTopUp(topUp)
	return b, &model{
		burst: burst, count: count, per: time.Duration(per), window: time.Duration(window),
		tick: time.Duration(tick), topUp: topUp, c: new(big.Rat).SetInt64(burst), at: start,
	}
}

func TestAgainstRationals(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range 100 {
		per := []time.Duration{time.Second, time.Minute, time.Hour, 24 * time.Hour}[rng.IntN(4)]
		var window, tick time.Duration
		switch rng.IntN(3) {
		case 0:
			tick = []time.Duration{time.Millisecond, time.Second}[rng.IntN(2)]
		case 1:
			window = per
		}
		burst, count := rng.Int64N(60)+1, rng.Int64N(1000)+1
		b, m := pair(burst, count, int64(per), int64(window), int64(tick), rng.Int64(), rng.IntN(2) == 0)
		gaps := make([]int64, 100)
		for j := range gaps {
			switch mean := int64(per) / count; rng.IntN(4) {
			case 0: // at once
			case 1:
				gaps[j] = mean // exactly as the next token comes
			case 2:
				gaps[j] = rng.Int64N(2*mean + 2)
			default:
				gaps[j] = rng.Int64N(burst*mean/4 + 2)
			}
		}
		if err := compare(b, m, gaps); err != nil {
			t.Fatalf("case %d (%d and %d each %v, window %v, tick %v): %v", i, m.burst, m.count, m.per, m.window, m.tick, err)
		}
	}
}

func FuzzBucket(f *testing.F) {
	f.Add(int64(5), int64(10), int64(time.Second), int64(0), int64(0), int64(0), false, []byte{0, 10, 10, 10, 10, 10, 60, 40, 60})
	f.Add(int64(50), int64(16), int64(time.Second), int64(time.Second), int64(0), int64(1), true, []byte{1, 2, 3, 255, 0, 0, 9})
	f.Add(int64(10), int64(500), int64(time.Minute), int64(0), int64(time.Second), int64(7), false, []byte{0, 0, 0, 0, 200, 100, 1})
	f.Fuzz(func(t *testing.T, burst, count, per, window, tick, start int64, topUp bool, gaps []byte) {
		b, m := pair(burst, count, per, window, tick, start, topUp)
		unit := max(1, int64(m.per)/m.count/16)
		waits := make([]int64, min(len(gaps), 64))
		for i := range waits {
			waits[i] = int64(gaps[i]) * unit
		}
		if err := compare(b, m, waits); err != nil {
			t.Fatalf("%d and %d each %v, window %v, tick %v, top-up %v: %v", m.burst, m.count, m.per, m.window, m.tick, m.topUp, err)
		}
	})
}

// A caller who takes each token the moment it comes gets what Refilled says on
// top of the first burst.
func TestRefilledIsWhatAGreedyCallerGets(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(3, 4))
	for i := range 60 {
		burst, count := rng.Int64N(20)+1, rng.Int64N(40)+1
		var window, tick time.Duration
		if i%3 == 1 {
			window = time.Second
		}
		if i%3 == 2 {
			tick = time.Millisecond
		}
		b, _ := pair(burst, count, int64(time.Second), int64(window), int64(tick), 0, i%2 == 0)
		now, taken := time.Duration(0), int64(0)
		end := time.Duration(rng.Int64N(int64(4 * time.Second)))
		for now <= end {
			if n := b.Drain(now, 1<<40); n > 0 {
				taken += n
			}
			now = b.NextToken(now)
		}
		want := burst + b.Refilled(0, end)
		// A tick adds several tokens at once and the bucket may not hold them.
		if tick == 0 && window == 0 && taken != want || taken > want {
			t.Errorf("%d and %d a second, window %v, tick %v, until %v: took %d, want %d", burst, count, window, tick, end, taken, want)
		}
	}
}

func BenchmarkTake(b *testing.B) {
	bucket := New(50, 16, time.Second, 0)
	var now time.Duration
	for b.Loop() {
		now += 10 * time.Millisecond
		bucket.Take(now)
	}
}
