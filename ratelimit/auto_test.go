package ratelimit

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// autoBucket is the API-wide bucket of the Management API.
const autoBucket = "Management API"

func TestAutoRecognisesThePlan(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var learned []string
		l := newLimiter(t, Options{Hooks: &Hooks{Learned: func(e Event) { learned = append(learned, e.Detail) }}})
		users := &Request{Method: "POST", Path: "/api/v2/users"}
		tk := acquire(t, l, users)
		if s := l.Snapshot(); s.Plan != "auto" {
			t.Errorf("begins with %q", s.Plan)
		}

		// The careful plan knows 2 at 2 a second; these wait for the first answer.
		var admitted atomic.Int64
		for range 40 {
			l.Submit(users, func(tk Ticket, _ error) {
				admitted.Add(1)
				time.AfterFunc(80*time.Millisecond, func() { tk.Done(accepted()) })
			})
		}
		time.Sleep(80 * time.Millisecond)
		tk.Done(shows(50, 49))

		// 50 for this call is what enterprise publishes (16 a second) and
		// private-cloud-100 (50 a second): the more careful one is taken.
		s := l.Snapshot()
		if s.Plan != "enterprise" {
			t.Fatalf("a limit of 50 makes it %q, want enterprise", s.Plan)
		}
		if b := state(t, l, autoBucket); b.Burst != 50 || b.Rate != (Rate{16, time.Second}) {
			t.Errorf("the bucket is %d at %v", b.Burst, b.Rate)
		}
		if len(learned) == 0 || learned[len(learned)-1] != "plan enterprise" {
			t.Errorf("learned %q", learned)
		}
		// Those that waited were carried over, and none is lost: 49 are left, of
		// which some are kept until refill has been seen.
		if n := admitted.Load(); n < 20 {
			t.Errorf("%d of 40 went at once with 49 left", n)
		}
		time.Sleep(3 * time.Second)
		if n := admitted.Load(); n != 40 || l.Snapshot().Waiting != 0 {
			t.Errorf("%d of 40 went, %d wait", n, l.Snapshot().Waiting)
		}
	})
}

// A limit that the chosen plan does not have narrows the plans down further.
func TestAutoNarrowsDown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, Options{})
		tk := acquire(t, l, &Request{Method: "POST", Path: "/api/v2/users"})
		tk.Done(shows(50, 49))
		time.Sleep(time.Second)
		// Members of an organization: 50 and 40 on enterprise, and a row of 20 as
		// well on private-cloud-100.
		tk = acquire(t, l, &Request{Method: "GET", Path: "/api/v2/organizations/org_1/members"})
		tk.Done(shows(20, 19))
		if s := l.Snapshot(); s.Plan != "private-cloud-100" {
			t.Errorf("50 and 20 make it %q", s.Plan)
		}
		if b := state(t, l, autoBucket); b.Rate != (Rate{50, time.Second}) {
			t.Errorf("the API's bucket has %v", b.Rate)
		}
	})
}

// A limit of no plan is taken over where it was shown.
func TestAutoKeepsWhatNoPlanHas(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, Options{})
		tk := acquire(t, l, &Request{Method: "GET", Path: "/api/v2/stats/daily"})
		tk.Done(shows(77, 76))
		if s := l.Snapshot(); s.Plan != "auto" {
			t.Errorf("77 makes it %q", s.Plan)
		}
		found := false
		for _, b := range l.Snapshot().Buckets {
			found = found || b.LearnedBurst == 77 && b.Learned
		}
		if !found {
			t.Errorf("no bucket has taken over 77: %+v", l.Snapshot().Buckets)
		}
	})
}

// What was in flight when the plan changed still settles, on whichever bucket.
func TestAutoSettlesOldTickets(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, Options{})
		users := acquire(t, l, &Request{Method: "POST", Path: "/api/v2/users"})
		token := acquire(t, l, &Request{Method: "POST", Path: "/oauth/token"})
		users.Done(shows(50, 49))
		token.Done(shows(100, 99))
		for _, b := range l.Snapshot().Buckets {
			if b.InFlight != 0 {
				t.Errorf("%s: %d in flight", b.Name, b.InFlight)
			}
		}
	})
}
