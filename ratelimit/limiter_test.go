package ratelimit

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headroom-go/auth0/internal/enforce"
)

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	plan := planOf(5, 10, time.Second)
	for name, o := range map[string]Options{
		"negative reserve": {Plan: plan, Reserve: -0.1},
		"reserve of all":   {Plan: plan, Reserve: 1},
		"reserve of NaN":   {Plan: plan, Reserve: math.NaN()},
		"negative queue":   {Plan: plan, MaxWaiting: -1},
		"negative wait":    {Plan: plan, MaxWait: -time.Second},
		"empty burst":      {Plan: planOf(0, 10, time.Second)},
	} {
		if _, err := New(o); err == nil {
			t.Errorf("%s: no error", name)
		} else if !strings.HasPrefix(err.Error(), "ratelimit: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRefusedReserve(t *testing.T) {
	t.Parallel()
	l := newLimiter(t, Options{Plan: planOf(5, 10, time.Second)})
	for _, reserve := range []float64{-1, 0.95, 5, math.NaN()} {
		r := &Request{Path: "/x", Reserve: reserve}
		if _, err := l.Acquire(t.Context(), r); err == nil {
			t.Errorf("Acquire takes a reserve of %v", reserve)
		}
		var got error
		cancel := l.Submit(r, func(_ Ticket, err error) { got = err })
		if got == nil || cancel() {
			t.Errorf("Submit takes a reserve of %v", reserve)
		}
	}
	if s := l.Snapshot(); len(s.Buckets) != 0 || s.Waiting != 0 {
		t.Errorf("refused requests left %+v", s)
	}
}

// The two examples of Auth0's older use-case text: nine requests at the times
// below, of which a bucket alone accepts seven. Paced, all nine are accepted,
// each as early as the bucket allows but for what the engine keeps unspent: at
// most half the bucket, and the time of its first question and answer.
func TestWorkedExamples(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		count  int64
		per    time.Duration
		at     []int // ms
		denied []int // of a bucket alone
	}{
		{"per second", 10, time.Second, []int{0, 10, 20, 30, 40, 50, 110, 150, 210}, []int{6, 8}},
		{"per minute", 6, time.Minute, []int{0, 200, 400, 600, 800, 1000, 10500, 15000, 20500}, []int{6, 8}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			alone := enforce.New(5, c.count, c.per, 0)
			var denied []int
			for i, at := range c.at {
				if !alone.Take(time.Duration(at) * time.Millisecond) {
					denied = append(denied, i+1)
				}
			}
			if !slices.Equal(denied, c.denied) {
				t.Fatalf("the bucket alone denies %v, want %v", denied, c.denied)
			}
			synctest.Test(t, func(t *testing.T) {
				s := newSite(enforce.New(5, c.count, c.per, 0))
				l := newLimiter(t, Options{Plan: planOf(5, c.count, c.per)})
				done := make([]time.Duration, len(c.at))
				var wg sync.WaitGroup
				for i, at := range c.at {
					wg.Go(func() {
						time.Sleep(time.Duration(at) * time.Millisecond)
						if err := s.call(t.Context(), l, to("/x")); err != nil {
							t.Error(err)
						}
						done[i] = time.Since(s.start)
					})
				}
				wg.Wait()
				if s.refused != 0 || s.took != len(c.at) {
					t.Fatalf("%d accepted, %d refused; want all %d accepted", s.took, s.refused, len(c.at))
				}
				token := c.per / time.Duration(c.count)
				trip := 80 * time.Millisecond
				ideal := enforce.New(5, c.count, c.per, 0)
				free := time.Duration(0) // when the one before could have been accepted
				for i, at := range c.at {
					free = max(free, time.Duration(at)*time.Millisecond)
					if ideal.Level(free) < 1 {
						free = ideal.NextToken(free)
					}
					ideal.Take(free)
					slack := 5*token/2 + firstWaitOf(token) + 2*trip
					if got := done[i]; got < free || got > free+slack {
						t.Errorf("request %d at %d ms was answered at %v; a bucket can have accepted it at %v, and %v later is the most", i+1, at, got, free, slack)
					}
				}
			})
		})
	}
}

// firstWaitOf is how long the first request of a bucket is held back.
func firstWaitOf(token time.Duration) time.Duration {
	if token <= time.Duration(firstWait) {
		return token
	}
	return 0
}

// A backlog over a real distance uses the allowance to the full without a
// rejection, whatever reset means, with the clocks an hour apart.
func TestBacklog(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		reset resetReading
		skew  time.Duration
		dated bool
	}{
		{"no reset", resetAbsent, 0, true},
		{"next token", resetNext, 0, true},
		{"next token, server behind", resetNext, -time.Hour, true},
		{"next token, server ahead", resetNext, time.Hour, true},
		{"full bucket", resetFull, 0, true},
		{"full bucket, server behind", resetFull, -time.Hour, true},
		{"full bucket, server behind, no Date", resetFull, -time.Hour, false},
		{"window", resetWindow, 0, true},
		{"window, server ahead", resetWindow, time.Hour, true},
		{"window, server behind, no Date", resetWindow, -time.Hour, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				const length = 5 * time.Minute
				b := enforce.New(50, 16, time.Second, 0)
				s := newSite(b)
				s.reset, s.skew, s.dated = c.reset, c.skew, c.dated
				s.up, s.down = jitter(1, 30*time.Millisecond, 50*time.Millisecond), jitter(2, 30*time.Millisecond, 50*time.Millisecond)
				l := newLimiter(t, Options{Plan: planOf(50, 16, time.Second)})
				s.backlog(t, l, length, 8, to("/x"))
				allowance := 50 + 16*int(length/time.Second)
				if s.refused != 0 {
					t.Errorf("%d refused", s.refused)
				}
				// What stays unspent at the end is at most half the bucket.
				if s.took < allowance-25 || s.took > allowance {
					t.Errorf("%d of %d used", s.took, allowance)
				}
			})
		})
	}
}

// backlog keeps workers calling for a while.
func (s *site) backlog(t *testing.T, l *Limiter, length time.Duration, workers int, r *Request) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), length)
	defer cancel()
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for {
				if err := s.call(ctx, l, r); err != nil {
					if !errors.Is(err, context.DeadlineExceeded) {
						t.Error(err)
					}
					return
				}
			}
		})
	}
	wg.Wait()
}

// A reset that lies in the past by the local clock, with no Date to correct it,
// must not make a refused request try again at once.
func TestResetWithoutDate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, Options{Plan: planOf(1, 1, time.Minute)})
		begin := time.Now()
		for range 3 {
			tk := acquire(t, l, to("/x"))
			o := refused(1, 0)
			o.Header["X-Ratelimit-Reset"] = []string{"1"}
			tk.Done(o)
		}
		if d := time.Since(begin); d < 2*time.Minute {
			t.Errorf("three rejections within %v by a bucket of one a minute", d)
		}
	})
}

// Requests that wait hold no tokens, and a group that is exhausted holds up no
// other.
func TestAllOrNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		wide, narrow := tenantBucket("wide", "/*", 100, 10, time.Second), tenantBucket("narrow", "/x", 4, 1, time.Hour)
		wide.Role = RoleGlobal
		l := known(t, Options{Plan: planWith(wide, narrow)}, "/x", "/y")
		first := [2]float64{state(t, l, "wide").Estimate, state(t, l, "narrow").Estimate}
		var out []Ticket
		for {
			tk, ok := within(l, to("/x"), 0)
			if !ok {
				break
			}
			out = append(out, tk)
		}
		before := state(t, l, "wide")
		var cancels []func() bool
		for range 500 {
			cancels = append(cancels, l.Submit(to("/x"), func(Ticket, error) { t.Error("admitted without a token") }))
		}
		after := state(t, l, "wide")
		if after.Waiting != 500 || state(t, l, "narrow").Waiting != 500 {
			t.Errorf("%d wait for wide, want 500", after.Waiting)
		}
		if after.Estimate != before.Estimate || after.Sent != before.Sent {
			t.Errorf("waiting changed the wide bucket from %+v to %+v", before, after)
		}
		// All that the wide bucket has left goes to the other group, at once.
		n := 0
		for {
			tk, ok := within(l, to("/y"), 0)
			if !ok {
				break
			}
			out = append(out, tk)
			n++
		}
		if want := int(before.Estimate - before.Floor); n != want {
			t.Errorf("%d of the other group passed, want %d", n, want)
		}
		for _, cancel := range cancels {
			if !cancel() {
				t.Error("cancel came too late")
			}
		}
		for i := range out {
			out[i].Done(Outcome{})
		}
		last := [2]float64{state(t, l, "wide").Estimate, state(t, l, "narrow").Estimate}
		if l.Snapshot().Waiting != 0 || last != first {
			t.Errorf("the buckets held %v, and %v after all was given back", first, last)
		}
	})
}

func TestQueueFull(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, Options{Plan: planWith(tenantBucket("a", "/a", 5, 1, time.Hour), tenantBucket("b", "/b", 5, 1, time.Hour)), MaxWaiting: 2})
		probe := acquire(t, l, to("/a"))
		c1 := l.Submit(to("/a"), func(Ticket, error) {})
		c2 := l.Submit(to("/a"), func(Ticket, error) {})
		if _, err := l.Acquire(t.Context(), to("/a")); !errors.Is(err, ErrQueueFull) {
			t.Errorf("a third waiter: %v", err)
		}
		var got error
		l.Submit(to("/a"), func(_ Ticket, err error) { got = err })
		if !errors.Is(got, ErrQueueFull) {
			t.Errorf("Submit of a third waiter: %v", got)
		}
		if n := l.Snapshot().Waiting; n != 2 {
			t.Errorf("%d wait, want 2", n)
		}
		// One that need not wait finds no fault with the queue of another group.
		tk, err := l.Acquire(t.Context(), to("/b"))
		if err != nil {
			t.Errorf("another group: %v", err)
		}
		tk.Done(accepted())
		if !c1() || !c2() || c1() {
			t.Error("cancel reports wrongly")
		}
		probe.Done(accepted())
	})
}

// Reserves that differ at each request are not gathered.
func TestReservesAreForgotten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, Options{Plan: planOf(100, 100, time.Second)})
		for i := range 10_000 { // ten a second
			r := to("/x")
			r.Reserve = float64(i) / 20_000
			tk := acquire(t, l, r)
			tk.Done(shows(100, 99))
			time.Sleep(100 * time.Millisecond)
		}
		if n := len(l.classes); n > 256+600 {
			t.Errorf("%d classes; 256 and those of a minute are kept", n)
		}
		if len(l.buckets) != 1 {
			t.Errorf("%d buckets, want the one", len(l.buckets))
		}
	})
}

func TestWaitErrorFields(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, Options{Plan: planOf(5, 6, time.Minute)})
		tk := acquire(t, l, to("/x"))
		tk.Done(shows(5, 0)) // a program before us has left nothing
		ctx, cancel := context.WithTimeout(t.Context(), 9*time.Second)
		defer cancel()
		begin := time.Now()
		_, err := l.Acquire(ctx, to("/x"))
		if time.Since(begin) != 0 {
			t.Errorf("took %v to fail", time.Since(begin))
		}
		var we *WaitError
		if !errors.As(err, &we) || !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("%T %v, want a *WaitError that is DeadlineExceeded", err, err)
		}
		// The next token is 10 s away.
		if we.Route != "POST /*" || we.Bucket != "a" || we.Left != 9*time.Second || we.Wait < 10*time.Second {
			t.Errorf("%+v", we)
		}
		if !strings.Contains(err.Error(), "POST /*") || !strings.Contains(err.Error(), "9s") {
			t.Errorf("message %q", err)
		}
		if ctx.Err() != nil {
			t.Error("the context has ended")
		}
		if s := l.Snapshot(); s.Waiting != 0 {
			t.Errorf("%d wait", s.Waiting)
		}
		// What it says is the least: without a deadline it takes so long.
		tk = acquire(t, l, to("/x"))
		if d := time.Since(begin); d < we.Wait || d > 40*time.Second {
			t.Errorf("admitted after %v, where the error said %v", d, we.Wait)
		}
		tk.Done(shows(5, 0))
	})
}

// A WaitError may not come where an answer, a job's end or a token that others
// leave unused can let the request go in time.
func TestWaitErrorNotHasty(t *testing.T) {
	t.Parallel()
	soon := func(t *testing.T, l *Limiter, r *Request, in time.Duration) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), in+5*time.Second)
		defer cancel()
		begin := time.Now()
		tk, err := l.Acquire(ctx, r)
		if err != nil || time.Since(begin) != in {
			t.Errorf("%v after %v, want admission after %v", err, time.Since(begin), in)
			return
		}
		tk.Done(accepted())
	}
	t.Run("probe", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			l := newLimiter(t, Options{Plan: planOf(5, 1, time.Hour)})
			tk := acquire(t, l, to("/x"))
			go func() { time.Sleep(time.Second); tk.Done(shows(5, 4)) }()
			soon(t, l, to("/x"), time.Second)
		})
	})
	t.Run("not sent", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			l := known(t, Options{Plan: planOf(5, 1, time.Hour)}, "/x")
			var out []Ticket
			for tk, ok := within(l, to("/x"), 0); ok; tk, ok = within(l, to("/x"), 0) {
				out = append(out, tk)
			}
			go func() { time.Sleep(time.Second); out[0].Done(Outcome{}) }()
			soon(t, l, to("/x"), time.Second)
			for i := range out {
				out[i].Done(accepted())
			}
		})
	})
	t.Run("job", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			l := newLimiter(t, Options{Plan: planWith(jobsBucket(2))})
			startJob(t, l, "1")
			startJob(t, l, "2")
			go func() { time.Sleep(time.Second); l.JobDone("2") }()
			soon(t, l, to("/jobs"), time.Second)
		})
	})
	t.Run("job that was turned back", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			l := newLimiter(t, Options{Plan: planWith(jobsBucket(2))})
			startJob(t, l, "1")
			tk := acquire(t, l, to("/jobs"))
			tk.Done(Outcome{Sent: true, Answered: true, Status: 429, Rejected: true, Busy: true})
			go func() { time.Sleep(time.Second); l.JobDone("1") }()
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			defer cancel()
			tk, err := l.Acquire(ctx, to("/jobs"))
			if err != nil {
				t.Errorf("%v, where the end of a job lets it go after a second", err)
			}
			tk.Done(accepted())
			time.Sleep(time.Second)
		})
	})
	t.Run("proven tokens", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			l := known(t, Options{Plan: planWith(tenantBucket("a", "/a", 5, 6, time.Minute), tenantBucket("b", "/b", 1, 1, time.Hour))}, "/a", "/b")
			for range 2 {
				tk := acquire(t, l, to("/a"))
				tk.Done(shows(5, 2))
			}
			cancel := l.Submit(to("/b"), func(Ticket, error) {}) // another group waits
			soon(t, l, to("/a"), 0)
			cancel()
		})
	})
}

// Requests of the same flow that are ahead count in a WaitError, however many.
func TestWaitErrorCountsThoseAhead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, Options{Plan: planOf(1, 1, time.Hour)})
		tk := acquire(t, l, to("/x"))
		tk.Done(shows(1, 0))
		flow := func(name string) *Request {
			r := to("/x")
			r.Flow = name
			return r
		}
		var cancels []func() bool
		for i := range 1000 {
			cancels = append(cancels, l.Submit(flow(fmt.Sprint(i%2)), func(Ticket, error) {}))
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Minute)
		defer cancel()
		for _, c := range []struct {
			flow string
			want time.Duration
		}{{"0", 501 * time.Hour}, {"new", time.Hour}} {
			_, err := l.Acquire(ctx, flow(c.flow))
			var we *WaitError
			if !errors.As(err, &we) || we.Wait > c.want || we.Wait < c.want-time.Nanosecond {
				t.Errorf("flow %s: %v, want a wait of %v", c.flow, err, c.want)
			}
		}
		for i := range cancels {
			if !cancels[i]() {
				t.Error("one has gone")
			}
			cancels[i]()
		}
	})
}

// Whatever the state, the wait that a WaitError gives is no longer than that of
// a request without a deadline at the same moment.
func TestWaitErrorIsALowerBound(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 1))
			burst, count := 1+r.Int64N(20), 1+r.Int64N(20)
			per := []time.Duration{time.Second, time.Minute, time.Hour}[r.IntN(3)]
			spec := tenantBucket("a", "/*", burst, count, per)
			if r.IntN(4) == 0 {
				spec.Window = per
			}
			var window time.Duration
			if spec.Window > 0 {
				window = per
			}
			s := newSite(enforce.New(burst, count, per, window))
			l := newLimiter(t, Options{Plan: planWith(spec)})
			for range 1 + r.Int64N(2*burst) {
				if err := s.call(t.Context(), l, to("/x")); err != nil {
					t.Error(err)
				}
				time.Sleep(time.Duration(r.Int64N(int64(per) / count)))
			}
			ctx, cancel := context.WithTimeout(t.Context(), 1)
			defer cancel()
			_, err := l.Acquire(ctx, to("/x"))
			begin := time.Now()
			var we *WaitError
			if !errors.As(err, &we) {
				return // it could go
			}
			tk := acquire(t, l, to("/x"))
			if d := time.Since(begin); d < we.Wait {
				t.Errorf("seed %d: %d burst, %d in %v: WaitError says %v, it took %v", seed, burst, count, per, we.Wait, d)
			}
			tk.Done(s.arrive())
		})
	}
}

func TestMaxWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, Options{Plan: planOf(5, 6, time.Minute), MaxWait: 9 * time.Second})
		tk := acquire(t, l, to("/x"))
		tk.Done(shows(5, 0))
		var we *WaitError
		if _, err := l.Acquire(t.Context(), to("/x")); !errors.As(err, &we) || we.Left != 9*time.Second {
			t.Errorf("%v", err)
		}
	})
}

func TestCancelIsImmediate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := known(t, Options{Plan: planOf(3, 1, time.Hour)}, "/x")
		var out []Ticket
		for tk, ok := within(l, to("/x"), 0); ok; tk, ok = within(l, to("/x"), 0) {
			out = append(out, tk)
		}
		before := state(t, l, "a")
		ctx, cancel := context.WithCancel(t.Context())
		go func() { time.Sleep(time.Second); cancel() }()
		begin := time.Now()
		if _, err := l.Acquire(ctx, to("/x")); !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
		if d := time.Since(begin); d != time.Second {
			t.Errorf("returned after %v, the context ended after 1 s", d)
		}
		if _, err := l.Acquire(ctx, to("/x")); !errors.Is(err, context.Canceled) {
			t.Errorf("a context that had ended before: %v", err)
		}
		after := state(t, l, "a")
		if after.Waiting != 0 || after.Sent != before.Sent {
			t.Errorf("left %+v", after)
		}
		for i := range out {
			out[i].Done(accepted())
		}
	})
}

// A reserve keeps a share of the bucket on the server, at every moment.
func TestReserve(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ limiter, request, want float64 }{{0.2, 0, 0.2}, {0, 0.2, 0.2}, {0.1, 0.3, 0.3}, {0.3, 0.1, 0.3}} {
		t.Run(fmt.Sprint(c.limiter, c.request), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newSite(enforce.New(100, 10, time.Second, 0))
				l := newLimiter(t, Options{Plan: planOf(100, 10, time.Second), Reserve: c.limiter})
				s.backlog(t, l, 2*time.Minute, 8, &Request{Method: "GET", Path: "/x", Reserve: c.request})
				keep := int64(c.want * 100)
				if s.least < keep+1 { // before the request that is taken
					t.Errorf("the server was down to %d of 100 before a request, want %d after it", s.least, keep)
				}
				if allowance := 100 - int(keep) + 1200; s.took < allowance-10 || s.took > allowance {
					t.Errorf("%d passed, want nearly %d", s.took, allowance)
				}
			})
		})
	}
	// Shares that differ by less than a percent are kept apart.
	l := newLimiter(t, Options{Plan: planOf(1000, 10, time.Second)})
	for _, reserve := range []float64{0.28, 0.29, 0.281} {
		tk, err := l.Acquire(t.Context(), &Request{Path: "/x", Reserve: reserve})
		if err != nil {
			t.Fatal(err)
		}
		if got, want := tk.c.extra[0], int64(reserve*float64(tk.c.buckets[0].full)); got != want {
			t.Errorf("reserve %v leaves %d units, want %d", reserve, got, want)
		}
		tk.Done(accepted())
	}
}

// subject is a caller who is counted by the subject of a token.
type subject string

func (subject) BodyField(string) string { return "" }
func (subject) ClientIP() string        { return "" }
func (s subject) TokenClaim(name string) string {
	if name == "sub" {
		return string(s)
	}
	return ""
}

func TestKeyedBuckets(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		keyed := tenantBucket("user", "/me", 3, 3, time.Minute)
		keyed.Key = KeySubject
		l := newLimiter(t, Options{Plan: planWith(keyed)})
		me := func(n int) *Request {
			return &Request{Method: "GET", Path: "/me", Details: subject(fmt.Sprint("u", n))}
		}
		for i := range 300 { // each has a counter of its own
			tk := acquire(t, l, me(i))
			tk.Done(shows(3, 2))
		}
		busy := acquire(t, l, me(0))
		if n := len(l.Snapshot().Buckets); n != 300 {
			t.Fatalf("%d buckets for 300 subjects", n)
		}
		time.Sleep(2 * time.Minute) // all are full again, one has a request under way
		tk := acquire(t, l, me(1000))
		tk.Done(shows(3, 2))
		if n := len(l.Snapshot().Buckets); n != 2 {
			t.Errorf("%d buckets are kept, want the new one and the one with a request under way", n)
		}
		busy.Done(shows(3, 1))
		b := busy.c.buckets[0]
		again := acquire(t, l, me(0))
		if again.c.buckets[0] != b {
			t.Error("a counter was lost with a request under way")
		}
		again.Done(shows(3, 0))
	})
}

func TestHooks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var l *Limiter
		var waited, admitted, rejected, learned []Event
		note := func(list *[]Event) func(Event) {
			return func(e Event) {
				l.Snapshot() // the lock is free
				*list = append(*list, e)
			}
		}
		l = newLimiter(t, Options{Plan: planOf(5, 6, time.Minute), Hooks: &Hooks{
			Waited: note(&waited), Admitted: note(&admitted), Rejected: note(&rejected), Learned: note(&learned)}})
		tk := acquire(t, l, to("/x"))
		if len(admitted) != 1 || admitted[0].Route != "POST /*" || len(waited) != 0 {
			t.Errorf("admitted %v, waited %v", admitted, waited)
		}
		go func() { time.Sleep(1500 * time.Millisecond); tk.Done(shows(8, 7)) }()
		next := acquire(t, l, to("/x"))
		synctest.Wait() // hooks are called by the goroutine whose answer it was
		if next.Wait() != 1500*time.Millisecond {
			t.Errorf("Wait is %v, want 1.5 s", next.Wait())
		}
		if len(waited) != 1 || waited[0].Wait != 1500*time.Millisecond || waited[0].Route != "POST /*" || len(admitted) != 2 {
			t.Errorf("waited %v, admitted %v", waited, admitted)
		}
		if len(learned) != 1 || learned[0].Bucket != "a" || learned[0].Detail != "limit" {
			t.Errorf("learned %v", learned)
		}
		f := next.Done(refused(8, 0))
		if len(rejected) != 1 || rejected[0].Bucket != "a" || rejected[0].Wait != f.Wait || rejected[0].Detail != "bucket" {
			t.Errorf("rejected %v", rejected)
		}
	})
	// Hooks that are not set are not called.
	l := newLimiter(t, Options{Plan: planOf(5, 600, time.Minute), Hooks: &Hooks{}})
	tk := acquire(t, l, to("/x"))
	tk.Done(refused(8, 0))
}

func TestSnapshot(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		plan := planWith(tenantBucket("a", "/a", 5, 6, time.Minute), jobsBucket(2), tenantBucket("unused", "/u", 1, 1, time.Hour))
		l := newLimiter(t, Options{Plan: plan})
		if s := l.Snapshot(); s.Plan != "test" || len(s.Buckets) != 0 || s.Waiting != 0 || s.RTT <= 0 {
			t.Errorf("before the first request: %+v", s)
		}
		tk := acquire(t, l, to("/a"))
		if a := state(t, l, "a"); a.NextReady != 2*time.Second || a.InFlight != 1 {
			t.Errorf("while the first answer is awaited: %+v", a)
		}
		time.Sleep(80 * time.Millisecond)
		tk.Done(shows(5, 4))
		out := acquire(t, l, to("/a"))
		startJob(t, l, "1")
		s := l.Snapshot()
		if len(s.Buckets) != 2 || s.Buckets[0].Name != "a" || s.Buckets[1].Name != "jobs" {
			t.Fatalf("%+v", s.Buckets)
		}
		a, jobs := s.Buckets[0], s.Buckets[1]
		if s.RTT < 80*time.Millisecond || s.RTT > 90*time.Millisecond {
			t.Errorf("RTT %v, want 80 ms to the width of a bin", s.RTT)
		}
		if a.API != "test" || a.Key != 0 || a.Burst != 5 || a.Rate != (Rate{6, time.Minute}) || a.Learned || a.LearnedBurst != 5 ||
			math.Abs(a.LearnedRate-0.1) > 1e-9 || a.Refill != "" || a.Sent != 2 || a.Rejected != 0 || a.InFlight != 1 || a.Concurrent != 0 {
			t.Errorf("%+v", a)
		}
		if a.Estimate < 3 || a.Estimate > 3.1 || a.Floor < 0 || a.Floor > 2.5 {
			t.Errorf("estimate %v, floor %v; 3 are left of 5, and at most half is kept", a.Estimate, a.Floor)
		}
		if jobs.Concurrent != 2 || jobs.InFlight != 1 || jobs.Sent != 1 || jobs.NextReady != 0 {
			t.Errorf("%+v", jobs)
		}
		out.Done(refused(5, 0))
		if a := state(t, l, "a"); a.Rejected != 1 || a.InFlight != 0 || a.NextReady < 9*time.Second {
			t.Errorf("after a rejection: %+v", a)
		}
	})
}

// Thousands of waiters that give up at random leave no waiter, goroutine or
// token behind.
func TestCancelledAtRandom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cancelAtRandom(t, 10_000, 20*time.Second, func(r *rand.Rand) (context.Context, context.CancelFunc) {
			return context.WithTimeout(t.Context(), time.Duration(r.Int64N(int64(20*time.Second))))
		})
	})
}

// The same in real time, where goroutines run side by side.
func TestCancelledAtRandomRealTime(t *testing.T) {
	t.Parallel()
	cancelAtRandom(t, 2_000, 0, func(r *rand.Rand) (context.Context, context.CancelFunc) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Duration(r.Int64N(int64(200*time.Millisecond))), cancel)
		return ctx, cancel
	})
}

func cancelAtRandom(t *testing.T, n int, length time.Duration, ends func(*rand.Rand) (context.Context, context.CancelFunc)) {
	t.Helper()
	wide, narrow := tenantBucket("wide", "/*", 1000, 500, time.Second), tenantBucket("narrow", "/x", 100, 50, time.Second)
	wide.Role = RoleGlobal
	l := newLimiter(t, Options{Plan: planWith(wide, narrow)})
	paths := []string{"/x", "/y", "/z"}
	var admitted atomic.Int64
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(i), 3))
			ctx, cancel := ends(r)
			defer cancel()
			tk, err := l.Acquire(ctx, &Request{Method: "GET", Path: paths[r.IntN(3)], Priority: Priority(r.IntN(3) - 1), Flow: paths[r.IntN(3)], Requeue: r.IntN(10) == 0})
			if err != nil {
				return
			}
			admitted.Add(1)
			if length > 0 {
				time.Sleep(time.Duration(r.Int64N(int64(time.Second))))
			}
			switch r.IntN(3) {
			case 0:
				tk.Done(accepted())
			case 1:
				tk.Done(Outcome{Sent: true})
			default:
				tk.Done(Outcome{})
			}
		})
	}
	wg.Wait()
	if admitted.Load() == 0 || admitted.Load() == int64(n) {
		t.Errorf("%d of %d admitted: nothing was put to the test", admitted.Load(), n)
	}
	if l.waiting != 0 || len(l.active) != 0 || l.alarm != never {
		t.Errorf("%d wait, %d classes are active, alarm %d", l.waiting, len(l.active), l.alarm)
	}
	for _, v := range l.fair {
		if v.waiting != 0 || len(v.flows) != 0 {
			t.Errorf("flows are left: %+v", v)
		}
	}
	for _, c := range l.classes {
		if c.waiting != 0 || c.open != 0 {
			t.Errorf("class %s: %d wait, %d open", c.route, c.waiting, c.open)
		}
		for _, q := range c.levels {
			if len(q.heap) != 0 || len(q.flows) != 0 {
				t.Errorf("class %s: waiters are left", c.route)
			}
		}
	}
	for _, b := range l.buckets {
		if b.sent != b.done {
			t.Errorf("%s: %d sent, %d done", b.spec.Name, b.sent, b.done)
		}
		b.advance(l.now() + 10*int64(time.Second))
		if b.level != b.full {
			t.Errorf("%s: %.2f of %d tokens came back", b.spec.Name, b.tokens(b.level), b.burst)
		}
	}
}

func TestDoneTwice(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := known(t, Options{Plan: planOf(50, 1, time.Hour)}, "/x")
		tk := acquire(t, l, to("/x"))
		before := state(t, l, "a")
		tk.Done(accepted())
		after := tk
		if f := tk.Done(Outcome{}); f.Limit != -1 || f.Remaining != -1 || f.Kind != RejectNone {
			t.Errorf("%+v", f)
		}
		after.Done(Outcome{})
		var none Ticket
		none.Done(accepted())
		if none.Route() != "" || none.Wait() != 0 {
			t.Error("the zero ticket has a route")
		}
		if got := state(t, l, "a"); got.InFlight != 0 || got.Estimate > before.Estimate+0.01 {
			t.Errorf("from %+v to %+v", before, got)
		}
	})
}

// A request that no bucket counts passes at once.
func TestNoBucket(t *testing.T) {
	t.Parallel()
	l := newLimiter(t, Options{Plan: planWith(tenantBucket("a", "/a", 1, 1, time.Hour))})
	for range 100 {
		tk := acquire(t, l, to("/elsewhere"))
		if f := tk.Done(shows(7, 6)); f.Bucket != "" || f.Limit != 7 || f.Remaining != 6 {
			t.Errorf("%+v", f)
		}
	}
}

func threeBuckets() *Plan {
	a, b, c := tenantBucket("a", "/*", 5_000_000, 9_999_999, time.Second), tenantBucket("b", "/x/*", 6_000_000, 9_999_998, time.Second), tenantBucket("c", "/x/y", 7_000_000, 9_999_997, time.Second)
	a.Role = RoleGlobal
	return planWith(a, b, c)
}

func oneBucket() *Plan { return planOf(5_000_000, 9_999_999, time.Second) }

// warm lets a limiter hear of all buckets of a path.
func warm(tb testing.TB, l *Limiter, r *Request) {
	tb.Helper()
	for range 4 {
		tk := acquire(tb, l, r)
		for i := range tk.c.buckets {
			tk.c.buckets[i].probe = 0
		}
		tk.Done(shows(5_000_000, 4_999_000))
	}
}

func TestNoAllocations(t *testing.T) {
	for _, plan := range []*Plan{oneBucket(), threeBuckets()} {
		l := newLimiter(t, Options{Plan: plan})
		r := to("/x/y")
		warm(t, l, r)
		o := shows(5_000_000, 4_999_000)
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		if n := testing.AllocsPerRun(1000, func() {
			tk, err := l.Acquire(ctx, r)
			if err != nil {
				t.Fatal(err)
			}
			tk.Done(o)
		}); n != 0 {
			t.Errorf("%d buckets: %v allocations to acquire and complete, want 0", len(plan.Buckets), n)
		}
		cancel()
	}
}

func BenchmarkAcquire(b *testing.B) {
	for _, plan := range []*Plan{oneBucket(), threeBuckets()} {
		for _, goroutines := range []int{1, 1000} {
			b.Run(fmt.Sprintf("buckets=%d/goroutines=%d", len(plan.Buckets), goroutines), func(b *testing.B) {
				l := newLimiter(b, Options{Plan: plan})
				r := to("/x/y")
				warm(b, l, r)
				o := accepted()
				ctx := context.Background()
				one := func() {
					tk, err := l.Acquire(ctx, r)
					if err != nil {
						b.Error(err)
						return
					}
					tk.Done(o)
				}
				b.ReportAllocs()
				b.ResetTimer()
				if goroutines == 1 {
					for b.Loop() {
						one()
					}
					return
				}
				b.SetParallelism(goroutines) // times GOMAXPROCS
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						one()
					}
				})
			})
		}
	}
}

// BenchmarkHandOff is a request that waits for a slot, and the one that frees it.
func BenchmarkHandOff(b *testing.B) {
	l := newLimiter(b, Options{Plan: planWith(jobsBucket(1))})
	r := to("/jobs")
	held := acquire(b, l, r)
	var next Ticket
	ready := func(tk Ticket, _ error) { next = tk }
	b.ReportAllocs()
	for b.Loop() {
		l.Submit(r, ready)
		held.Done(accepted())
		held = next
	}
	held.Done(accepted())
}

// FuzzModel takes, answers and lets time pass at random against buckets that
// nobody else draws from. With continuous refill, and once the first answer is
// there, no request may be refused; and in the end all tokens come back.
func FuzzModel(f *testing.F) {
	f.Add(int64(5), int64(10), int64(1000), []byte("tttttdddddwttdd"))
	f.Add(int64(5), int64(6), int64(60000), []byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 250, 251, 252})
	f.Add(int64(50), int64(16), int64(1000), []byte("acquire and answer, let time pass"))
	f.Add(int64(1), int64(1), int64(86400000), []byte{0, 0, 3, 3, 2, 255, 0, 3})
	f.Fuzz(func(t *testing.T, burst, count, perMillis int64, steps []byte) {
		if burst < 1 || burst > 1000 || count < 1 || count > 1000 || perMillis < 100 || perMillis > 86_400_000 || len(steps) > 400 {
			return // not figures of a plan
		}
		per := time.Duration(perMillis) * time.Millisecond
		synctest.Test(t, func(t *testing.T) {
			server := enforce.New(burst, count, per, 0)
			start := time.Now()
			l := newLimiter(t, Options{Plan: planOf(burst, count, per)})
			c, _, _ := l.begin(to("/x"))
			c.buckets[0].mode = refillContinuous
			l.unlock(nil)
			type flight struct {
				tk  Ticket
				out Outcome
			}
			var up, down []flight // on the way there and back
			astray := 0           // on the way there, given up by their callers
			waiting := 0
			ready := make(chan Ticket, 2*len(steps)+1)
			take := func() {
				waiting++
				l.Submit(to("/x"), func(tk Ticket, err error) {
					if err != nil {
						t.Error(err)
					}
					ready <- tk
				})
			}
			leave := func() { // those that may go are on their way
				synctest.Wait()
				for len(ready) > 0 {
					waiting--
					up = append(up, flight{tk: <-ready})
				}
			}
			arrive := func(i int) {
				fl := up[i]
				up = slices.Delete(up, i, i+1)
				now := time.Since(start)
				ok := server.Take(now)
				if !ok {
					t.Errorf("refused at %v with %+v", now, state(t, l, "a"))
				}
				fl.out = shows(burst, server.Level(now))
				if !ok {
					fl.out = refused(burst, 0)
				}
				down = append(down, fl)
			}
			answer := func(i int, lost bool) {
				fl := down[i]
				down = slices.Delete(down, i, i+1)
				if lost {
					fl.out = Outcome{Sent: true}
				}
				fl.tk.Done(fl.out)
			}
			for _, s := range steps {
				leave()
				switch n := int(s / 8); s % 8 {
				case 0, 1:
					take()
				case 2, 3:
					if len(up) > 0 {
						arrive(n % len(up))
					}
				case 4, 5:
					if len(down) > 0 {
						answer(n%len(down), s >= 248)
					}
				case 6:
					if len(up) == 0 {
						break
					}
					if n < 16 { // it could not be sent
						up[0].tk.Done(Outcome{})
					} else {
						up[0].tk.Done(Outcome{Sent: true})
						astray++
					}
					up = up[1:]
				case 7:
					for ; astray > 0; astray-- { // they arrive all the same
						if !server.Take(time.Since(start)) {
							t.Errorf("refused with %+v", state(t, l, "a"))
						}
					}
					time.Sleep(time.Duration(n*n) * per / time.Duration(8*count))
				}
			}
			for ; astray > 0; astray-- {
				server.Take(time.Since(start))
			}
			for range 4 * (waiting + len(up) + len(down) + 1) {
				leave()
				for len(up) > 0 {
					arrive(0)
				}
				for len(down) > 0 {
					answer(0, false)
				}
				if leave(); waiting == 0 && len(up) == 0 {
					break
				}
				time.Sleep(max(per/time.Duration(count), time.Second) * 2)
			}
			if waiting > 0 {
				t.Errorf("%d wait for ever: %+v", waiting, l.Snapshot())
			}
			time.Sleep(time.Duration(burst+1+int64(len(steps))) * (per + per/64) / time.Duration(count))
			if s := state(t, l, "a"); s.Estimate != float64(burst) || s.InFlight != 0 {
				t.Errorf("in the end: %+v", s)
			}
		})
	})
}

// countingClock counts how often a timer is set.
type countingClock struct{ set *int }

func (countingClock) Now() time.Time { return time.Now() }
func (c countingClock) AfterFunc(d time.Duration, f func()) Timer {
	*c.set++
	return countingTimer{time.AfterFunc(d, f), c.set}
}

type countingTimer struct {
	t   *time.Timer
	set *int
}

func (c countingTimer) Reset(d time.Duration) bool { *c.set++; return c.t.Reset(d) }
func (c countingTimer) Stop() bool                 { return c.t.Stop() }

// A waiter that only an answer can help does not wake the limiter again and
// again meanwhile.
func TestNoIdleAlarms(t *testing.T) {
	t.Parallel()
	for _, burst := range []int64{2, 3, 4, 5, 8, 10, 20} {
		synctest.Test(t, func(t *testing.T) {
			set := 0
			l := known(t, Options{Plan: planOf(burst, 10, time.Second), Clock: countingClock{&set}}, "/x")
			var out []Ticket
			for range 2 * burst {
				if tk, ok := within(l, to("/x"), time.Second); ok {
					out = append(out, tk)
				}
			}
			set = 0
			cancel := l.Submit(to("/x"), func(tk Ticket, _ error) { tk.Done(accepted()) })
			time.Sleep(100 * time.Second)
			if set > 3 {
				t.Errorf("burst %d: the timer was set %d times in 100 s with %d requests under way", burst, set, len(out))
			}
			cancel()
			for i := range out {
				out[i].Done(accepted())
			}
		})
	}
}

// A request like the one before is not routed again; one that only looks like it is.
func TestRepeatedRoutes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		plan, err := Named("enterprise")
		if err != nil {
			t.Fatal(err)
		}
		l := newLimiter(t, Options{Plan: plan})
		list := func(query string, reserve float64) *Request {
			return &Request{Method: "GET", Path: "/api/v2/clients", Template: "/api/v2/clients", RawQuery: query, Reserve: reserve}
		}
		user := func(method string) *Request {
			return &Request{Method: method, Path: "/api/v2/users/auth0%7C1", Template: "/api/v2/users/{id}"}
		}
		modest := user("GET")
		modest.Reserve = 0.5
		sequence := []*Request{
			user("GET"), user("GET"), modest, user("GET"), user("PATCH"), user("DELETE"), user("GET"),
			list("", 0), list("q=x", 0), list("", 0), list("", 0.5), list("", 0),
			{Method: "POST", Path: "/userinfo", Template: "/userinfo", Details: subject("a")},
			{Method: "POST", Path: "/userinfo", Template: "/userinfo", Details: subject("b")},
			{Method: "GET", Path: "/api/v2/users/auth0%7C1"}, user("GET"),
		}
		for i, r := range slices.Concat(sequence, sequence) {
			c, _, _ := l.begin(r)
			l.unlock(nil)
			want := plan.Route(r)
			got := make([]string, len(c.buckets))
			for k, b := range c.buckets {
				got[k] = fmt.Sprint(b.spec.Name, b.key)
			}
			names := make([]string, want.N)
			for k := range want.N {
				names[k] = fmt.Sprint(plan.Buckets[want.Buckets[k]].Name, want.Keys[k])
			}
			if !slices.Equal(got, names) || c.reserve != r.Reserve {
				t.Errorf("request %d, %s %s: draws from %q with reserve %v, want %q with %v", i, r.Method, r.Path, got, c.reserve, names, r.Reserve)
			}
		}
	})
}

// A request is named by its own route, not by that of another which draws from
// the same buckets.
func TestRouteNames(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var got []string
		note := func(e Event) { got = append(got, e.Route) }
		plan := planOf(5, 6, time.Minute)
		l := newLimiter(t, Options{Plan: plan, Hooks: &Hooks{Admitted: note, Rejected: note}})
		first := acquire(t, l, &Request{Method: "GET", Path: "/a", Template: "/a"})
		first.Done(shows(5, 4))
		second := acquire(t, l, &Request{Method: "DELETE", Path: "/b/1", Template: "/b/{id}"})
		if first.Route() != "/a" || second.Route() != "/b/{id}" {
			t.Errorf("routes %q and %q", first.Route(), second.Route())
		}
		second.Done(Outcome{Sent: true, Answered: true, Status: 429, Rejected: true, Header: shows(5, 0).Header})
		if want := []string{"GET /a", "DELETE /b/{id}", "DELETE /b/{id}"}; !slices.Equal(got, want) {
			t.Errorf("hooks were told of %q, want %q", got, want)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := l.Acquire(ctx, &Request{Method: "PUT", Path: "/c", Template: "/c"})
		var we *WaitError
		if !errors.As(err, &we) || we.Route != "PUT /c" {
			t.Errorf("error %v, want one of PUT /c", err)
		}
	})
}

// The time that a rejection says it will take is the time that it takes.
func TestFeedbackWait(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		burst, count int64
		per          time.Duration
	}{{300, 300, time.Minute}, {50, 16, time.Second}, {10, 5, time.Minute}, {2, 2, time.Second}} {
		synctest.Test(t, func(t *testing.T) {
			l := newLimiter(t, Options{Plan: planOf(tt.burst, tt.count, tt.per)})
			tk := acquire(t, l, to("/x"))
			f := tk.Done(Outcome{Sent: true, Answered: true, Status: 429, Rejected: true, Header: shows(tt.burst, 0).Header})
			if f.Kind != RejectBucket {
				t.Fatalf("%+v", f)
			}
			began := time.Now()
			again := acquire(t, l, to("/x"))
			if took := time.Since(began); took != f.Wait {
				t.Errorf("%d at %d each %v: admitted after %v, where the rejection said %v", tt.burst, tt.count, tt.per, took, f.Wait)
			}
			again.Done(shows(tt.burst, 0))
		})
	}
}
