package ratelimit

import (
	"testing"
	"testing/synctest"
	"time"
)

func jobsBucket(n int) Bucket {
	return Bucket{Name: "jobs", API: "test", Concurrent: n, Matches: []Match{{Method: "POST", Path: "/jobs"}}}
}

// startJob makes a request that starts a job.
func startJob(tb testing.TB, l *Limiter, id string) {
	tb.Helper()
	tk := acquire(tb, l, to("/jobs"))
	o := accepted()
	o.Job = id
	tk.Done(o)
}

func TestConcurrency(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, Options{Plan: planWith(jobsBucket(2))})
		begin := time.Now()
		startJob(t, l, "1")
		tk := acquire(t, l, to("/jobs"))
		if _, ok := within(l, to("/jobs"), time.Second); ok {
			t.Error("a job and a request are under way, and a third was let go")
		}
		tk.Done(Outcome{}) // never sent: its slot is free
		startJob(t, l, "2")
		l.JobDone("unknown")
		go func() { time.Sleep(4 * time.Second); l.JobDone("1"); l.JobDone("1") }()
		startJob(t, l, "3")
		if d := time.Since(begin); d != 5*time.Second {
			t.Errorf("the third job started after %v, the first ended after 5 s", d)
		}
		if s := state(t, l, "jobs"); s.InFlight != 2 {
			t.Errorf("%d slots taken", s.InFlight)
		}
	})
}

// A job that nobody asks about gives its slot back after a minute; each time it
// is seen running it keeps it for another.
func TestJobSilence(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, Options{Plan: planWith(jobsBucket(2))})
		begin := time.Now()
		startJob(t, l, "1")
		startJob(t, l, "2")
		go func() {
			for range 4 {
				time.Sleep(30 * time.Second)
				l.JobRunning("1")
				l.JobRunning("2")
				l.JobRunning("3") // not one of ours
			}
		}()
		startJob(t, l, "4")
		if d := time.Since(begin); d != 3*time.Minute {
			t.Errorf("a slot was lent after %v; the jobs were last seen after 2 min", d)
		}
	})
}

func TestBusy(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		wide, rate := tenantBucket("wide", "/*", 100, 1, time.Hour), tenantBucket("rate", "/jobs", 50, 1, time.Hour)
		wide.Role = RoleGlobal
		l := known(t, Options{Plan: planWith(wide, jobsBucket(2), rate)}, "/jobs")
		before := [2]float64{state(t, l, "wide").Estimate, state(t, l, "rate").Estimate}
		o := refused(0, 0)
		o.Busy = true
		// Jobs of another program: the wait doubles from 5 s to a minute.
		for i, seconds := range []int{5, 10, 20, 40, 60, 60} {
			want := time.Duration(seconds) * time.Second
			tk := acquire(t, l, to("/jobs"))
			f := tk.Done(o)
			if f.Kind != RejectConcurrency || f.Bucket != "jobs" || f.Wait != want {
				t.Errorf("rejection %d: %+v, want a wait of %v", i+1, f, want)
			}
			if got, _ := within(l, to("/jobs"), f.Wait-time.Millisecond); got.l != nil {
				t.Errorf("asked again before %v had passed", f.Wait)
				got.Done(Outcome{})
			}
			time.Sleep(time.Millisecond)
		}
		// The rate limits were charged: what runs is looked at after them.
		for i, name := range []string{"wide", "rate"} {
			if got := state(t, l, name).Estimate; got > before[i]-6+0.2 {
				t.Errorf("%s: from %.2f to %.2f after 6 requests that were charged", name, before[i], got)
			}
		}
		// A start that succeeds begins the waits anew, and the end of a job of
		// ours says that there is room now.
		startJob(t, l, "1")
		tk := acquire(t, l, to("/jobs"))
		if f := tk.Done(o); f.Wait != 5*time.Second {
			t.Errorf("after a success: %v", f.Wait)
		}
		l.JobDone("1")
		if got, ok := within(l, to("/jobs"), 0); !ok {
			t.Error("a job of ours has ended, and still none may start")
		} else {
			got.Done(Outcome{})
		}
	})
}

func TestSlotsFreeAt(t *testing.T) {
	t.Parallel()
	sec := int64(time.Second)
	for _, c := range []struct {
		name    string
		running int
		jobs    map[string]int64
		at      int64
	}{
		{"free", 1, nil, 10 * sec},
		{"only an answer frees one", 2, nil, never},
		{"the longest silent job first", 1, map[string]int64{"a": 5 * sec}, 65 * sec},
		{"two jobs", 0, map[string]int64{"a": 5 * sec, "b": 7 * sec}, 65 * sec},
		{"a silent job counts no more", 1, map[string]int64{"a": -50 * sec}, 10 * sec},
	} {
		s := &slots{limit: 2, running: c.running, jobs: c.jobs}
		if at := s.freeAt(10 * sec); at != c.at {
			t.Errorf("%s: free at %d, want %d", c.name, at, c.at)
		}
	}
	// Jobs that must be over are forgotten.
	s := &slots{limit: 2}
	for i := range 100 {
		s.start(string(rune('a'+i)), int64(i)*int64(time.Hour))
	}
	if len(s.jobs) > 3 {
		t.Errorf("%d jobs are remembered, a job lasts two hours", len(s.jobs))
	}
}
