package ratelimit

import (
	"fmt"
	"math"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headroom-go/auth0/internal/enforce"
)

// ladder is a plan in which /x/y draws from three buckets, /x/z from two and /z
// from one.
func ladder() *Plan {
	wide, mid, narrow := tenantBucket("wide", "/*", 100, 10, time.Second), tenantBucket("mid", "/x/*", 50, 5, time.Second), tenantBucket("narrow", "/x/y", 20, 2, time.Second)
	wide.Role = RoleGlobal
	return planWith(wide, mid, narrow)
}

func estimates(tb testing.TB, l *Limiter, names ...string) []float64 {
	tb.Helper()
	var e []float64
	for _, n := range names {
		e = append(e, state(tb, l, n).Estimate)
	}
	return e
}

// A rejection leaves the buckets before the rejecting one charged, and those
// after it not.
func TestRejectionRefunds(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		limit   int64
		by      string
		change  [3]float64 // NaN: the rejecting one, which has nothing left
		waitFor time.Duration
	}{
		{100, "wide", [3]float64{math.NaN(), 0, 0}, 100 * time.Millisecond},
		{50, "mid", [3]float64{-1, math.NaN(), 0}, 200 * time.Millisecond},
		{20, "narrow", [3]float64{-1, -1, math.NaN()}, 500 * time.Millisecond},
	} {
		synctest.Test(t, func(t *testing.T) {
			names := []string{"wide", "mid", "narrow"}
			l := known(t, Options{Plan: ladder()}, "/x/y")
			before := estimates(t, l, names...)
			tk := acquire(t, l, to("/x/y"))
			f := tk.Done(refused(c.limit, 0))
			if f.Kind != RejectBucket || f.Bucket != c.by || f.Wait < c.waitFor || f.Limit != c.limit || f.Remaining != 0 {
				t.Errorf("%s: %+v", c.by, f)
			}
			for i, after := range estimates(t, l, names...) {
				switch want := before[i] + c.change[i]; {
				case math.IsNaN(want):
					if after > 1 {
						t.Errorf("%s turned the request back and is taken to hold %.2f", names[i], after)
					}
				case after != want:
					t.Errorf("turned back by %s: %s from %.2f to %.2f, want %.2f", c.by, names[i], before[i], after, want)
				}
			}
			if s := state(t, l, c.by); s.Rejected != 1 || s.NextReady < c.waitFor {
				t.Errorf("%+v", s)
			}
			// What was said is what it takes.
			began := time.Now()
			again := acquire(t, l, to("/x/y"))
			if took := time.Since(began); took != f.Wait {
				t.Errorf("%s: the next went after %v, where %v was said", c.by, took, f.Wait)
			}
			again.Done(accepted())
		})
	}
}

// A rejection that shows a bucket with a rest was none of that bucket.
func TestRejectionByTheOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := known(t, Options{Plan: ladder()}, "/x/z")
		tk := acquire(t, l, to("/x/z"))
		if f := tk.Done(refused(100, 60)); f.Kind != RejectBucket || f.Bucket != "mid" {
			t.Errorf("%+v", f)
		}
		tk = acquire(t, l, to("/z"))
		if f := tk.Done(refused(0, 0)); f.Kind != RejectBucket || f.Bucket != "wide" {
			t.Errorf("the only bucket: %+v", f)
		}
	})
}

// A rejection that nothing explains blocks requests of its kind alone, for one
// second and then twice as long each time; then one asks for all.
func TestUnknownRejection(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := known(t, Options{Plan: ladder()}, "/x/y", "/x/z", "/z")
		var out []Ticket
		for range 8 {
			out = append(out, acquire(t, l, to("/x/y")))
		}
		var f Feedback
		for i := range out { // of one moment: one wait
			if f = out[i].Done(refused(0, 0)); f.Kind != RejectUnknown || f.Bucket != "" || f.Wait != time.Second {
				t.Errorf("rejection %d of one moment: %+v", i+1, f)
			}
		}
		for i, seconds := range []int{1, 2, 4, 8, 16, 32, 60, 60} {
			want := time.Duration(seconds) * time.Second
			if i > 0 {
				var probe Ticket
				n := 0
				var cancels []func() bool
				for range 5 {
					cancels = append(cancels, l.Submit(to("/x/y"), func(tk Ticket, _ error) { n++; probe = tk }))
				}
				time.Sleep(f.Wait - time.Nanosecond)
				if n != 0 {
					t.Fatalf("sent before the wait was over")
				}
				other, ok := within(l, to("/x/z"), 0)
				if !ok {
					t.Error("requests of another kind are blocked")
				}
				other.Done(accepted())
				time.Sleep(time.Nanosecond)
				synctest.Wait()
				if n != 1 {
					t.Fatalf("%d sent after the wait, want one to ask for all", n)
				}
				for _, cancel := range cancels {
					cancel()
				}
				f = probe.Done(refused(0, 0))
			}
			if f.Wait != want {
				t.Errorf("rejection %d: wait %v, want %v", i+1, f.Wait, want)
			}
		}
		// Success ends it.
		tk := acquire(t, l, to("/x/y"))
		tk.Done(accepted())
		a, b := acquire(t, l, to("/x/y")), acquire(t, l, to("/x/y"))
		a.Done(accepted())
		if f := b.Done(refused(0, 0)); f.Wait != time.Second {
			t.Errorf("after a success: %v", f.Wait)
		}
	})
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		retryAfter string
		kind       RejectKind
		wait       time.Duration
	}{
		{"", RejectBucket, 100 * time.Millisecond},
		{"3", RejectBucket, 3 * time.Second},
		{"1.5", RejectBucket, 1500 * time.Millisecond},
		{"3600", RejectQuota, time.Hour}, // the bucket is full again in 10 s: another limit
	} {
		synctest.Test(t, func(t *testing.T) {
			l := known(t, Options{Plan: ladder()}, "/z", "/x/z")
			tk := acquire(t, l, to("/z"))
			o := refused(100, 0)
			if c.retryAfter != "" {
				o.Header["Retry-After"] = []string{c.retryAfter}
			}
			f := tk.Done(o)
			if f.Kind != c.kind || f.Wait < c.wait {
				t.Errorf("Retry-After %q: %+v", c.retryAfter, f)
			}
			begin := time.Now()
			if c.kind == RejectQuota {
				other := acquire(t, l, to("/x/z"))
				other.Done(accepted())
				if d := time.Since(begin); d > 5*time.Second {
					t.Errorf("others wait %v with it", d)
				}
			}
			tk = acquire(t, l, to("/z"))
			if d := time.Since(begin); d != f.Wait || d > c.wait+5*time.Second {
				t.Errorf("Retry-After %q: the next went after %v, where %v was said", c.retryAfter, d, f.Wait)
			}
			tk.Done(accepted())
		})
	}
	// A date at the end of time is a long wait and none that has passed.
	synctest.Test(t, func(t *testing.T) {
		l := known(t, Options{Plan: ladder()}, "/z")
		tk := acquire(t, l, to("/z"))
		o := refused(100, 0)
		o.Header["Retry-After"] = []string{"Fri, 31 Dec 9999 23:59:59 GMT"}
		if f := tk.Done(o); f.Kind != RejectQuota || f.Wait < 30*365*24*time.Hour {
			t.Errorf("%+v", f)
		}
		if tk, ok := within(l, to("/z"), time.Hour); ok {
			t.Error("sent again within the hour")
			tk.Done(accepted())
		}
	})
	// None at all is no invitation to try again at once.
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, Options{Plan: planOf(1, 10, time.Second)})
		begin := time.Now()
		for range 10 {
			tk := acquire(t, l, to("/x"))
			o := refused(1, 0)
			o.Header["Retry-After"] = []string{"0"}
			tk.Done(o)
		}
		if d := time.Since(begin); d < 900*time.Millisecond {
			t.Errorf("ten rejections in %v by a bucket of ten a second", d)
		}
	})
}

// Quotas of their own hold back until they start again: custom policies an
// interval after they were used up, those of tokens at the time they tell and a
// second for its rounding.
func TestQuotas(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		header, value string
		left          int
		wait          time.Duration
	}{
		{"Auth0-Ratelimit", "client;q=10;t=30;r=2", 2, 30 * time.Second},
		{"Auth0-Client-Quota-Limit", "b=per_hour;q=10;r=3;t=540,b=per_day;q=50;r=9;t=43200", 3, 541 * time.Second},
		{"Auth0-Client-Quota-Limit", "b=per_hour;q=10;r=3;t=540,b=per_day;q=50;r=1;t=43200", 1, 43201 * time.Second},
		{"Auth0-Organization-Quota-Limit", "b=per_day;q=50;r=0;t=43200", 0, 43201 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			l := known(t, Options{Plan: ladder()}, "/x/y", "/z")
			tk := acquire(t, l, to("/x/y"))
			for range 10 { // what is under way elsewhere does not draw from it
				other := acquire(t, l, to("/z"))
				defer other.Done(accepted())
			}
			o := accepted()
			o.Header = map[string][]string{c.header: {c.value}}
			begin := time.Now()
			if f := tk.Done(o); f.Kind != RejectNone {
				t.Errorf("%+v", f)
			}
			for i := range c.left {
				tk, ok := within(l, to("/x/y"), 0)
				if !ok {
					t.Fatalf("%s: %d passed of %d that are left", c.value, i, c.left)
				}
				defer tk.Done(accepted())
			}
			other, ok := within(l, to("/z"), 0)
			if !ok {
				t.Error("a quota of another route holds")
			}
			other.Done(accepted())
			tk = acquire(t, l, to("/x/y"))
			if d := time.Since(begin); d != c.wait {
				t.Errorf("%s: %s: the next went after %v, want %v", c.header, c.value, d, c.wait)
			}
			tk.Done(Outcome{}) // not sent: it has its place again
			if _, ok := within(l, to("/x/y"), 0); !ok {
				t.Error("a request that was not sent has used up a quota")
			}
		})
	}
}

type application string

func (a application) BodyField(name string) string {
	if name == "client_id" {
		return string(a)
	}
	return ""
}
func (application) TokenClaim(string) string { return "" }
func (application) ClientIP() string         { return "" }

// A client whose quota is used up waits for it alone: others of its route do not
// wait behind it.
func TestQuotaHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, Options{Plan: planOf(1000, 1000, time.Second)})
		of := func(client application) *Request {
			r := to("/oauth/token")
			r.Details = client
			return r
		}
		for range 2 { // the first tells that there are quotas
			tk := acquire(t, l, of("spent"))
			o := accepted()
			o.Header = map[string][]string{"Auth0-Client-Quota-Limit": {"b=per_hour;q=10;r=0;t=3000"}}
			tk.Done(o)
		}
		cancel := l.Submit(of("spent"), func(Ticket, error) { t.Error("sent without a quota") })
		if tk, ok := within(l, of("other"), 0); !ok {
			t.Error("another client waits behind the one whose quota is used up")
		} else {
			tk.Done(accepted())
		}
		cancel()
	})
}

// A client's quota is spent to the last one and no further, in whatever order the
// answers come, and what other clients have under way does not count in it.
func TestQuotaOfManyAtOnce(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			const quota, clients = 20, 3
			l := newLimiter(t, Options{Plan: planOf(1000, 1000, time.Second)})
			start, up, down := time.Now(), jitter(seed, 0, time.Second), jitter(seed+1000, 0, time.Second)
			var mu sync.Mutex
			taken := make(map[int]int) // by client and hour
			call := func(client int) {
				r := to("/oauth/token")
				r.Details = application(strconv.Itoa(client))
				tk := acquire(t, l, r)
				time.Sleep(up())
				mu.Lock()
				hour := int(time.Since(start) / time.Hour)
				taken[hour*clients+client]++
				left := quota - taken[hour*clients+client]
				mu.Unlock()
				if left < 0 {
					t.Errorf("seed %d: request %d of the hour", seed, quota-left)
				}
				o := accepted()
				ends := time.Hour - time.Since(start)%time.Hour
				o.Header = map[string][]string{"Auth0-Client-Quota-Limit": {fmt.Sprintf("b=per_hour;q=%d;r=%d;t=%d", quota, max(left, 0), ends/time.Second)}}
				time.Sleep(down())
				tk.Done(o)
			}
			calls := func(n int) {
				var wg sync.WaitGroup
				for i := range n * clients {
					wg.Go(func() { call(i % clients) })
				}
				wg.Wait()
			}
			for i := range 2 * clients { // the first tell that there are quotas, and of whom
				call(i % clients)
			}
			calls(quota - 2)
			if d := time.Since(start); d > time.Minute {
				t.Errorf("seed %d: the hour's %d for each took %v", seed, quota, d)
			}
			calls(2 * quota) // two hours' worth
			if d := time.Since(start); d < 2*time.Hour || d > 2*time.Hour+time.Minute {
				t.Errorf("seed %d: the next two hours' were done after %v", seed, d)
			}
		})
	}
}

// On a rejection by a quota the x-ratelimit figures may be the quota's: they say
// nothing of the buckets, which were charged.
func TestQuotaRejection(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := known(t, Options{Plan: ladder()}, "/x/y")
		before := estimates(t, l, "wide", "mid", "narrow")
		tk := acquire(t, l, to("/x/y"))
		o := refused(10, 0)
		o.Header["Auth0-Client-Quota-Limit"] = []string{"b=per_hour;q=10;r=0;t=3540"}
		o.Header["Retry-After"] = []string{"3540"}
		f := tk.Done(o)
		if f.Kind != RejectQuota || f.Wait < 3540*time.Second || f.Wait > 3541*time.Second {
			t.Errorf("%+v", f)
		}
		for i, e := range estimates(t, l, "wide", "mid", "narrow") {
			if e != before[i]-1 {
				t.Errorf("bucket %d: from %.2f to %.2f", i, before[i], e)
			}
		}
		if s := state(t, l, "narrow"); s.LearnedBurst != 20 || s.Learned {
			t.Errorf("the quota's size was taken for a bucket's: %+v", s)
		}
	})
}

// The limit alone says which bucket an answer describes.
func TestHeaderToBucket(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		names := []string{"wide", "mid", "narrow"}
		l := known(t, Options{Plan: ladder()}, "/x/y")
		for i, limit := range []int64{100, 50, 20} {
			tk := acquire(t, l, to("/x/y"))
			before := estimates(t, l, names...)
			f := tk.Done(shows(limit, 7))
			if f.Bucket != names[i] {
				t.Errorf("limit %d: %+v", limit, f)
			}
			for j, e := range estimates(t, l, names...) {
				switch {
				case j == i && (e < 7 || e > 8):
					t.Errorf("%s shows 7, estimate %.2f", names[j], e)
				case j != i && e != before[j]:
					t.Errorf("%s went from %.2f to %.2f by what was said of %s", names[j], before[j], e, names[i])
				}
			}
		}
		// Nothing was learned that the plan does not say.
		for _, n := range names {
			if s := state(t, l, n); s.Learned {
				t.Errorf("%+v", s)
			}
		}
	})
}

// Where two buckets of a request have one size, what answers show may be said of
// either: it lowers the emptier one and raises none, and the requests are not
// left to go one at a time.
func TestSharedSize(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		wide, narrow := tenantBucket("wide", "/*", 50, 5, time.Second), tenantBucket("narrow", "/x", 50, 5, time.Second)
		wide.Role = RoleGlobal
		l := newLimiter(t, Options{Plan: planWith(wide, narrow)})
		var mu sync.Mutex
		var wg sync.WaitGroup
		open, most := 0, 0
		begin := time.Now()
		for range 60 {
			wg.Go(func() {
				tk := acquire(t, l, to("/x"))
				mu.Lock()
				open++
				most = max(most, open)
				mu.Unlock()
				time.Sleep(100 * time.Millisecond)
				mu.Lock()
				open--
				mu.Unlock()
				tk.Done(shows(50, 30))
			})
		}
		wg.Wait()
		if d := time.Since(begin); most < 5 || d > time.Minute {
			t.Errorf("60 went in %v, at most %d at a time", d, most)
		}
		// The wide one is drained by others; an answer of the narrow one alone
		// must not be taken as its refill.
		tk := acquire(t, l, to("/y"))
		tk.Done(shows(50, 40))
		before := estimates(t, l, "wide", "narrow")
		tk = acquire(t, l, to("/x"))
		tk.Done(shows(50, 49))
		after := estimates(t, l, "wide", "narrow")
		if after[0] > before[0] || after[1] > before[1] {
			t.Errorf("from %v to %v by an answer that may be of either", before, after)
		}
	})
}

// A changed limit is adopted at once, both ways, and an answer that was on its
// way meanwhile does not bring the old one back.
func TestLimitChanges(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := known(t, Options{Plan: planOf(100, 10, time.Second)}, "/x")
		old, changed := acquire(t, l, to("/x")), acquire(t, l, to("/x"))
		changed.Done(shows(20, 15))
		s := state(t, l, "a")
		if !s.Learned || s.LearnedBurst != 20 || math.Abs(s.LearnedRate-2) > 1e-9 || s.Estimate > 16 {
			t.Errorf("down to 20 with 15 left: %+v", s)
		}
		old.Done(shows(100, 97))
		if s := state(t, l, "a"); s.LearnedBurst != 20 || s.Estimate > 17 {
			t.Errorf("an earlier answer brought the old size back: %+v", s)
		}
		tk := acquire(t, l, to("/x"))
		out := acquire(t, l, to("/x"))
		tk.Done(shows(200, 180)) // raised above the plan's
		if s := state(t, l, "a"); s.LearnedBurst != 200 || s.Estimate < 179 || s.Estimate > 181 {
			t.Errorf("up to 200 with 180 left: %+v", s)
		}
		out.Done(shows(200, 179))
		tk = acquire(t, l, to("/x"))
		tk.Done(shows(100, 99)) // and the plan's again
		if s := state(t, l, "a"); s.LearnedBurst != 100 || s.Learned || math.Abs(s.LearnedRate-10) > 1e-9 || s.Estimate < 98 {
			t.Errorf("as the plan says: %+v", s)
		}
	})
}

// Limits jump under a backlog, as a performance burst makes them.
func TestLimitJumpsInFlight(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := enforce.New(50, 16, time.Second, 0)
		s := newSite(b)
		l := newLimiter(t, Options{Plan: planOf(50, 16, time.Second)})
		go func() {
			for _, f := range [][2]int64{{100, 32}, {50, 16}} {
				time.Sleep(5 * time.Minute)
				s.mu.Lock()
				b.SetLimit(time.Since(s.start), f[0], f[1], time.Second)
				s.mu.Unlock()
			}
		}()
		s.backlog(t, l, 15*time.Minute, 16, to("/x"))
		allowance := 50 + 300*(16+32+16)
		if s.took < allowance*99/100 || s.took > allowance+50 {
			t.Errorf("%d of %d used", s.took, allowance)
		}
		if s.refused > 2 { // those on their way when it fell
			t.Errorf("%d refused", s.refused)
		}
	})
}

// Figures that stand still while requests pass come from a cache: they must not
// raise the estimate.
func TestStaleHeaders(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := known(t, Options{Plan: planOf(50, 1, time.Second)}, "/x")
		tk := acquire(t, l, to("/x"))
		tk.Done(shows(50, 45))
		for range 30 {
			tk := acquire(t, l, to("/x"))
			tk.Done(shows(50, 45))
		}
		if s := state(t, l, "a"); s.Estimate > 20 {
			t.Errorf("estimate %.2f after 30 of at most 46", s.Estimate)
		}
		// Requests that were never sent are no sign of it.
		l = known(t, Options{Plan: planOf(50, 16, time.Second)}, "/x")
		for range 200 {
			tk := acquire(t, l, to("/x"))
			tk.Done(Outcome{})
		}
		tk = acquire(t, l, to("/x"))
		if f := tk.Done(shows(50, 49)); f.Bucket != "a" {
			t.Error("a reading after failed connections was taken for a stale one")
		}
	})
}

// Figures that stand still because as much is taken as comes back, from a server
// that shows no reset, are as good after a day as at first.
func TestSteadyReadings(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := known(t, Options{Plan: planOf(5, 6, time.Minute)}, "/x")
		for i := range 1000 {
			tk := acquire(t, l, to("/x"))
			if f := tk.Done(shows(5, 4)); f.Bucket != "a" {
				t.Fatalf("reading %d was taken for a stale one", i+1)
			}
			time.Sleep(10 * time.Second)
		}
	})
}

// However many requests went without a reading, the next one is read for what it
// says: a bucket of four an hour counts a token as 2^57.7 units, and fifty times
// that is more than 63 bits hold.
func TestManyUnread(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := known(t, Options{Plan: planOf(2, 4, time.Hour)}, "/x")
		for range 50 {
			tk := acquire(t, l, to("/x"))
			tk.Done(Outcome{})
		}
		tk := acquire(t, l, to("/x"))
		tk.Done(shows(2, 0))
		if s := state(t, l, "a"); s.Estimate > 1 {
			t.Errorf("the server shows 0 left, estimate %.2f", s.Estimate)
		}
	})
}

// A request without an answer stays debited; one that was not sent does not.
func TestUnanswered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := known(t, Options{Plan: ladder()}, "/x/y")
		names := []string{"wide", "mid", "narrow"}
		before := estimates(t, l, names...)
		lost, unsent := acquire(t, l, to("/x/y")), acquire(t, l, to("/x/y"))
		if f := lost.Done(Outcome{Sent: true}); f.Kind != RejectNone || f.Bucket != "" || f.Limit != -1 || f.Remaining != -1 || !f.Reset.IsZero() {
			t.Errorf("%+v", f)
		}
		unsent.Done(Outcome{})
		for i, e := range estimates(t, l, names...) {
			if e != before[i]-1 {
				t.Errorf("%s: from %.2f to %.2f, want one less", names[i], before[i], e)
			}
		}
		// A server error without figures is an answer: it was charged.
		tk := acquire(t, l, to("/x/y"))
		tk.Done(Outcome{Sent: true, Answered: true, Status: 503})
		for i, e := range estimates(t, l, names...) {
			if e != before[i]-2 {
				t.Errorf("%s: from %.2f to %.2f, want two less", names[i], before[i], e)
			}
		}
	})
}

// A debit that was not charged after all comes back by the readings.
func TestLostDebitComesBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := known(t, Options{Plan: planOf(50, 1, time.Hour)}, "/x")
		for range 10 { // lost on the way there
			tk := acquire(t, l, to("/x"))
			tk.Done(Outcome{Sent: true})
		}
		time.Sleep(time.Minute) // long enough to know that they will not arrive
		for i := range int64(4) {
			tk := acquire(t, l, to("/x"))
			time.Sleep(time.Second)
			tk.Done(shows(50, 48-i))
		}
		if s := state(t, l, "a"); s.Estimate < 45 || s.Estimate > 46 {
			t.Errorf("the server has 45, estimate %.2f", s.Estimate)
		}
	})
}

// Requests given up right after they were sent may be charged after readings
// that come later.
func TestLateCharge(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := known(t, Options{Plan: planOf(200, 1, time.Hour)}, "/x")
		tk := acquire(t, l, to("/x"))
		tk.Done(shows(200, 199))
		var lost []Ticket
		for range 50 {
			lost = append(lost, acquire(t, l, to("/x")))
		}
		for i := range lost {
			lost[i].Done(Outcome{Sent: true})
		}
		for i := range int64(5) { // these overtake the 50
			tk := acquire(t, l, to("/x"))
			time.Sleep(10 * time.Millisecond)
			tk.Done(shows(200, 198-i))
		}
		// The 50 arrive now.
		if s := state(t, l, "a"); s.Estimate > 194-50+1 {
			t.Errorf("the server has 144, estimate %.2f", s.Estimate)
		}
	})
}

// After a minute without an answer one request looks first: another program may
// have been at work.
func TestIdleProbe(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := known(t, Options{Plan: planOf(50, 10, time.Second)}, "/x")
		time.Sleep(2 * time.Minute)
		probe := acquire(t, l, to("/x"))
		if tk, ok := within(l, to("/x"), time.Second); ok {
			t.Error("a second went before the first was answered")
			tk.Done(accepted())
		}
		probe.Done(shows(50, 2))
		if s := state(t, l, "a"); s.Estimate > 3 {
			t.Errorf("estimate %.2f, the server shows 2", s.Estimate)
		}
		// A probe that times out lets another ask.
		time.Sleep(2 * time.Minute)
		probe = acquire(t, l, to("/x"))
		next := l.Submit(to("/x"), func(tk Ticket, _ error) { tk.Done(accepted()) })
		probe.Done(Outcome{Sent: true})
		if next() {
			t.Error("nobody asks in place of a probe that was lost")
		}
	})
}

// A cold start tests the water: no headers at all double what is in flight, and
// the first figures are believed.
// TestUnreadBucket: a bucket that no answer ever speaks of, because another is
// always emptier, is spent in full all the same. 700 calls one after the other on
// 300 at 300 a minute take (700-300)/5 = 80 s, and a little for the floor.
func TestUnreadBucket(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		wide := tenantBucket("wide", "/*", 300, 300, time.Minute)
		wide.Role = RoleGlobal
		l := newLimiter(t, Options{Plan: planWith(wide, tenantBucket("narrow", "/x", 30, 30, time.Second))})
		start := time.Now()
		for range 700 {
			tk := acquire(t, l, to("/x"))
			time.Sleep(10 * time.Millisecond)
			tk.Done(shows(30, 29))
		}
		if d := time.Since(start); d < 79*time.Second || d > 83*time.Second {
			t.Errorf("700 calls took %v, want 80 s and the floor's second or two", d)
		}
	})
}

// TestProbePatience: a first request that takes long by itself, such as an
// upload, holds up the others for two seconds each and not until it ends.
func TestProbePatience(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, Options{Plan: planOf(50, 10, time.Second)})
		upload := acquire(t, l, to("/x"))
		start := time.Now()
		second := acquire(t, l, to("/x"))
		if d := time.Since(start); d != 2*time.Second {
			t.Errorf("the second request went after %v, want 2 s", d)
		}
		second.Done(shows(50, 48))
		third := acquire(t, l, to("/x"))
		if d := third.Wait(); d != 0 {
			t.Errorf("after an answer the third waited %v", d)
		}
		third.Done(shows(50, 47))
		upload.Done(shows(50, 46))
	})
}

func TestColdStart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, Options{Plan: planOf(50, 10, time.Second)})
		probe := acquire(t, l, to("/x"))
		if _, ok := within(l, to("/x"), time.Second); ok {
			t.Error("two at a time before the first answer")
		}
		probe.Done(shows(50, 20))
		if s := state(t, l, "a"); s.Estimate != 20 {
			t.Errorf("estimate %.2f, the server shows 20", s.Estimate)
		}
	})
}

// Buckets that are counted in fixed windows come back in lots, however long they
// have been idle.
func TestWindowAdvance(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		burst, count int64
		per          time.Duration
	}{{5, 10, time.Second}, {50, 50, 24 * time.Hour}, {200, 200, time.Minute}, {10_000, 10_000, time.Second}, {20, 5, time.Minute}} {
		spec := tenantBucket("a", "/*", c.burst, c.count, c.per)
		spec.Window = c.per
		b := newBucket(&spec, 0, 0)
		for range c.burst {
			b.charge(0, 0)
		}
		b.done = b.sent
		lot := min(c.count, c.burst)
		b.advance(int64(c.per) - 1)
		if b.level != 0 {
			t.Errorf("%v: %.2f tokens before the window's end", c, b.tokens(b.level))
		}
		b.advance(b.nextLot)
		if b.level != lot*b.unit {
			t.Errorf("%v: %.2f tokens at the window's end, want %d", c, b.tokens(b.level), lot)
		}
		b.advance(int64(c.per) * 3 * c.burst)
		if b.level != b.full || b.sure != c.burst {
			t.Errorf("%v: %.2f tokens after ages, %d sure", c, b.tokens(b.level), b.sure)
		}
	}
}

// What a bucket gained while nobody looked is counted at the rate learned: where
// others take most of the refill, the time in which the plan's would have filled it
// twice does not fill it, and where it is eight times the plan's the count does not
// overflow.
func TestLearnedRateWhileIdle(t *testing.T) {
	t.Parallel()
	spec := tenantBucket("a", "/*", 1099, 7, time.Second) // 2^58.999 units
	for _, c := range []struct {
		eighths int64 // of the plan's rate
		from    int64 // tokens
		idle    time.Duration
		want    float64
	}{
		{1, 0, 320 * time.Second, 320 * 7 / 8.0},
		{1, 0, 2000 * time.Second, 1099},
		{64, 0, 10 * time.Second, 560},
		{64, 1098, 313 * time.Second, 1099},
		{64, 1098, 320 * time.Second, 1099},
	} {
		b := newBucket(&spec, 0, 0)
		b.gain, b.level = b.inc/8*c.eighths, c.from*b.unit
		b.advance(int64(c.idle))
		if got := b.tokens(b.level); math.Abs(got-c.want) > 0.01 {
			t.Errorf("%d/8 of 7 a second for %v: %.2f tokens, want %.2f", c.eighths, c.idle, got, c.want)
		}
	}
}

// Any plan's figures and any header's fit the arithmetic.
func TestFiguresFit(t *testing.T) {
	t.Parallel()
	const safe = math.MaxInt64 / 8
	check := func(b *bucket, tokens int64) {
		t.Helper()
		if b.full <= 0 || b.full > safe || b.unit <= 0 || b.inc <= 0 || b.fill <= 0 || b.full/b.unit > tokens {
			t.Errorf("%d tokens at %v: unit %d, inc %d, full %d, fill %d", tokens, b.spec.Rate, b.unit, b.inc, b.full, b.fill)
		}
		// The rate is no faster than it was told, and within reason as fast.
		told := float64(b.spec.Rate.Count) / float64(b.spec.Rate.Per)
		if got := float64(b.inc) / float64(b.unit); got > told*(1+1e-9) || got < told/2 {
			t.Errorf("rate %v is kept as %v", b.spec.Rate, got*1e9)
		}
	}
	for _, burst := range []int64{1, 5, 50, 99_991, 1_000_000, maxPlanCount} {
		for _, count := range []int64{1, 7, 16, 100_000, 9_999_991} {
			for _, per := range []time.Duration{1, time.Millisecond, time.Second, time.Minute, 24 * time.Hour, maxPlanPeriod} {
				spec := tenantBucket("a", "/*", burst, count, per)
				check(newBucket(&spec, 0, 0), burst)
			}
		}
	}
	for _, limit := range []int64{1, 49, 99_991, maxPlanCount} {
		for _, burst := range []int64{5, 50, 100_000} {
			for _, per := range []time.Duration{time.Second, 24 * time.Hour} {
				l := newLimiter(t, Options{Plan: planOf(burst, burst, per)})
				tk := acquire(t, l, to("/x"))
				tk.Done(shows(limit, limit))
				b := tk.c.buckets[0]
				if b.burst != limit || b.full <= 0 || b.full > safe || b.fill <= 0 || b.level < 0 || b.level > b.full {
					t.Errorf("%d in %v, shown as %d: burst %d, full %d, fill %d, level %d", burst, per, limit, b.burst, b.full, b.fill, b.level)
				}
			}
		}
	}
}

// Another program is at work on a bucket of five a day: the next token is 4.8
// hours away, not a day.
func TestSlowBucketShared(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, Options{Plan: planOf(5, 5, 24*time.Hour)})
		tk := acquire(t, l, to("/x"))
		tk.Done(shows(5, 3))
		for range 2 {
			tk := acquire(t, l, to("/x"))
			tk.Done(refused(5, 0))
		}
		begin := time.Now()
		tk = acquire(t, l, to("/x"))
		if d := time.Since(begin); d < 288*time.Minute || d > 300*time.Minute {
			t.Errorf("the next went after %v, want 4 h 48 min", d)
		}
		tk.Done(shows(5, 0))
	})
}

func TestRejectKindString(t *testing.T) {
	t.Parallel()
	for k, want := range map[RejectKind]string{RejectNone: "none", RejectBucket: "bucket", RejectQuota: "quota",
		RejectConcurrency: "concurrency", RejectUnknown: "unknown"} {
		if k.String() != want {
			t.Errorf("%d: %s, want %s", k, k, want)
		}
	}
}

func TestFeedbackReset(t *testing.T) {
	t.Parallel()
	l := newLimiter(t, Options{Plan: planOf(5, 10, time.Second)})
	tk := acquire(t, l, to("/x"))
	o := shows(5, 4)
	o.Header["X-Ratelimit-Reset"] = []string{strconv.Itoa(1_675_452_600)}
	if f := tk.Done(o); !f.Reset.Equal(time.Date(2023, 2, 3, 19, 30, 0, 0, time.UTC)) || f.Limit != 5 || f.Remaining != 4 || f.Bucket != "a" {
		t.Errorf("%+v", f)
	}
}
