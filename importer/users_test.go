package importer

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headroom-go/auth0"
	"github.com/headroom-go/auth0/auth0test"
	"github.com/headroom-go/auth0/ratelimit"
)

// scriptedAPI answers creates in order and keeps the users that it made.
type scriptedAPI struct {
	t       *testing.T
	clock   *tenantClock
	answers []scripted
	users   map[string]time.Time // by e-mail
	sent    int
	looked  int
	updated int
	lookErr []error // of the lookups, in order
	updErr  []error
	skew    time.Duration
}

type scripted struct {
	result sendResult
	made   bool // the user was created nevertheless
	after  time.Duration
}

func (a *scriptedAPI) create(_ context.Context, s *single, _ string) (sendResult, error) {
	if a.sent >= len(a.answers) {
		a.t.Fatalf("create number %d was not expected", a.sent+1)
	}
	answer := a.answers[a.sent]
	a.sent++
	sent := time.Now()
	time.Sleep(answer.after)
	now := time.Now().Add(a.skew)
	if answer.made || answer.result == sendCreated {
		a.users[s.Email] = now
	}
	if answer.result == sendCreated {
		a.clock.heard(now, time.Millisecond, sent, time.Now())
		return answer.result, nil
	}
	return answer.result, errors.New("scripted")
}

func (a *scriptedAPI) update(context.Context, string, *single) error {
	a.updated++
	if len(a.updErr) >= a.updated {
		return a.updErr[a.updated-1]
	}
	return nil
}

func (a *scriptedAPI) find(_ context.Context, k keys, _ string) (*foundUser, error) {
	a.looked++
	if len(a.lookErr) >= a.looked && a.lookErr[a.looked-1] != nil {
		return nil, a.lookErr[a.looked-1]
	}
	at, ok := a.users[k.Email]
	if !ok {
		return nil, nil
	}
	return &foundUser{UserID: "auth0|1", CreatedAt: at}, nil
}

func testSingle(email string) *single {
	return &single{keys: keys{Email: email}, number: 1, line: 1, json: []byte(`{"email":"` + email + `"}`)}
}

func newScripted(t *testing.T, answers ...scripted) (*scriptedAPI, *creator) {
	t.Helper()
	clock := &tenantClock{}
	api := &scriptedAPI{t: t, clock: clock, answers: answers, users: map[string]time.Time{}}
	return api, &creator{api: api, clock: clock}
}

func TestCreate(t *testing.T) {
	t.Parallel()
	failing := errors.New("lookup failed")
	busy := &auth0.Error{Status: http.StatusServiceUnavailable}
	tests := []struct {
		name    string
		answers []scripted
		older   time.Duration // the user was there that long before, 0: it was not
		doubt   bool          // an earlier run, a minute ago, may have created it
		upsert  bool
		lookErr []error
		updErr  []error
		want    result
		sent    int
		looked  int
		reason  string
	}{
		{name: "created", answers: []scripted{{result: sendCreated}}, want: wasCreated, sent: 1},
		{name: "there before", answers: []scripted{{result: sendConflict}}, older: time.Hour, want: wasThere, sent: 1},
		{name: "there before, updated", answers: []scripted{{result: sendConflict}}, older: time.Hour, upsert: true, want: wasUpdated, sent: 1, looked: 1},
		{name: "there before, updated in the end", answers: []scripted{{result: sendConflict}}, older: time.Hour, upsert: true, updErr: []error{busy, busy}, want: wasUpdated, sent: 1, looked: 1},
		{name: "there before, not to be updated", answers: []scripted{{result: sendConflict}}, older: time.Hour, upsert: true,
			updErr: []error{&auth0.Error{Status: 400, Message: "no"}}, want: didFail, sent: 1, looked: 1, reason: "no"},
		{name: "somebody else has the name", answers: []scripted{{result: sendConflict}}, upsert: true, want: didFail, sent: 1, looked: 1, reason: "another user has"},
		{name: "refused", answers: []scripted{{result: sendRefused}}, want: didFail, sent: 1, reason: "scripted"},
		{name: "denied", answers: []scripted{{result: sendDenied}}, want: didFail, sent: 1, reason: "no user can be imported"},
		{name: "no such connection", answers: []scripted{{result: sendNowhere}}, want: didFail, sent: 1, reason: `connection "Users" does not exist; name another`},
		{name: "called off", answers: []scripted{{result: sendStopped}}, want: unfinished, sent: 1},
		{name: "lost on the way there", answers: []scripted{{result: sendLost}, {result: sendCreated}}, want: wasCreated, sent: 2, looked: 1},
		{name: "lost on the way back", answers: []scripted{{result: sendLost, made: true}}, want: wasCreated, sent: 1, looked: 1},
		{name: "lost on the way back, with upsert", answers: []scripted{{result: sendLost, made: true}}, upsert: true, want: wasCreated, sent: 1, looked: 1},
		{name: "a late one arrives after the lookup", answers: []scripted{{result: sendLost}, {result: sendConflict, made: true}}, want: wasCreated, sent: 2, looked: 2},
		{name: "lost, and somebody else has the name", answers: []scripted{{result: sendLost}, {result: sendConflict}}, want: wasThere, sent: 2, looked: 2},
		{name: "lost, and somebody else has the name, with upsert", answers: []scripted{{result: sendLost}, {result: sendConflict}}, upsert: true, want: didFail, sent: 2, looked: 3, reason: "another user has"},
		{name: "lost, and the lookup of the conflict fails", answers: []scripted{{result: sendLost}, {result: sendConflict}}, lookErr: []error{nil, failing, failing, failing},
			want: didFail, sent: 2, looked: 4, reason: "it may have been created"},
		{name: "there before, and the conflict was lost", answers: []scripted{{result: sendLost}}, older: time.Hour, want: wasThere, sent: 1, looked: 1},
		{name: "not sent", answers: []scripted{{result: sendUnsent}, {result: sendUnsent}, {result: sendCreated}}, want: wasCreated, sent: 3},
		{name: "not sent, then there before", answers: []scripted{{result: sendUnsent}, {result: sendConflict}}, older: time.Hour, want: wasThere, sent: 2},
		{name: "lookup fails twice", answers: []scripted{{result: sendLost, made: true}}, lookErr: []error{failing, failing}, want: wasCreated, sent: 1, looked: 3},
		{name: "lookup fails for good", answers: []scripted{{result: sendLost, made: true}}, lookErr: []error{failing, failing, failing}, want: didFail, sent: 1, looked: 3, reason: "it may have been created"},
		{name: "lookup denied", answers: []scripted{{result: sendLost, made: true}}, lookErr: []error{errHopeless}, want: didFail, sent: 1, looked: 1, reason: "no user can be imported"},
		{
			name: "never answered", answers: []scripted{{result: sendLost}, {result: sendUnsent}, {result: sendLost}, {result: sendLost}, {result: sendLost}, {result: sendLost}},
			want: didFail, sent: 6, looked: 5, reason: "no answer from the tenant after 6 attempts",
		},
		{name: "in doubt, and created by the run before", doubt: true, older: 30 * time.Second, want: wasCreated, looked: 1},
		{name: "in doubt, and there before that run", doubt: true, older: time.Hour, want: wasThere, looked: 1},
		{name: "in doubt, there before that run, updated", doubt: true, older: time.Hour, upsert: true, want: wasUpdated, looked: 2},
		{name: "in doubt, and not there", doubt: true, answers: []scripted{{result: sendCreated}}, want: wasCreated, sent: 1, looked: 1},
		{name: "in doubt, and it arrives late", doubt: true, answers: []scripted{{result: sendConflict, made: true}}, want: wasCreated, sent: 1, looked: 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				api, c := newScripted(t, tt.answers...)
				api.lookErr, api.updErr, c.upsert = tt.lookErr, tt.updErr, tt.upsert
				if tt.older > 0 {
					api.users["ada@example.com"] = time.Now().Add(-tt.older)
				}
				s := testSingle("ada@example.com")
				if tt.doubt {
					s.doubt, s.since = true, time.Now().Add(-time.Minute)
				}
				what, err := c.create(t.Context(), s, "Users")
				if what != tt.want || api.sent != tt.sent || api.looked != tt.looked {
					t.Errorf("result %d, %d sent, %d looked up; want %d, %d, %d (%v)", what, api.sent, api.looked, tt.want, tt.sent, tt.looked, err)
				}
				if tt.reason != "" && (err == nil || !strings.Contains(err.Error(), tt.reason)) {
					t.Errorf("error %v does not say %q", err, tt.reason)
				}
				if what == wasCreated && err != nil {
					t.Errorf("created, and error %v", err)
				}
			})
		})
	}
}

// A tenant whose clock is an hour off either way: the age of a user is told
// apart all the same once one answer has shown the difference.
func TestCreateWithSkewedClock(t *testing.T) {
	t.Parallel()
	for _, skew := range []time.Duration{-time.Hour, time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			api, c := newScripted(t,
				scripted{result: sendCreated, after: 200 * time.Millisecond},
				scripted{result: sendLost, made: true, after: 100 * time.Millisecond},
				scripted{result: sendLost, after: 100 * time.Millisecond})
			api.skew = skew
			for _, email := range []string{"a@example.com", "b@example.com"} {
				if what, err := c.create(t.Context(), testSingle(email), "Users"); what != wasCreated {
					t.Errorf("skew %v: %s has result %d, %v; want created", skew, email, what, err)
				}
			}
			time.Sleep(3 * time.Second)
			if what, err := c.create(t.Context(), testSingle("a@example.com"), "Users"); what != wasThere {
				t.Errorf("skew %v: the second a@example.com has result %d, %v; want that it was there", skew, what, err)
			}
		})
	}
}

// Once stopped, nothing is repeated; a lookup under way still decides.
func TestCreateStopped(t *testing.T) {
	t.Parallel()
	for _, made := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			stop := make(chan struct{})
			_, c := newScripted(t, scripted{result: sendLost, made: made, after: time.Second})
			c.stop = stop
			time.AfterFunc(500*time.Millisecond, func() { close(stop) })
			what, err := c.create(t.Context(), testSingle("ada@example.com"), "Users")
			want := unfinished
			if made {
				want = wasCreated
			}
			if what != want {
				t.Errorf("made %v: result %d, %v; want %d", made, what, err, want)
			}
		})
	}
}

// The bounds of the clocks' difference hold whatever the answers show of it.
func TestTenantClock(t *testing.T) {
	t.Parallel()
	ours := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	c := &tenantClock{}
	if got := c.since(ours); !got.Equal(ours.Add(-5 * time.Minute)) {
		t.Errorf("before any answer: %v", got)
	}
	// The tenant is 1h ahead. A Date header is cut to the second: 13:00:00.7 is
	// shown as 13:00:00, and is heard 0.9 s after our noon. So the tenant is ahead
	// by 59:59.1 at least, and one second of error is left to its servers.
	c.heard(ours.Add(time.Hour), time.Second, ours.Add(500*time.Millisecond), ours.Add(900*time.Millisecond))
	if got, want := c.since(ours), ours.Add(time.Hour-1900*time.Millisecond); !got.Equal(want) {
		t.Errorf("after a Date header: %v, want %v", got, want)
	}
	// An exact time narrows it, a less exact one changes nothing.
	c.heard(ours.Add(time.Hour+time.Second), time.Millisecond, ours.Add(900*time.Millisecond), ours.Add(1100*time.Millisecond))
	c.heard(ours.Add(time.Hour+5*time.Second), time.Second, ours.Add(5*time.Second), ours.Add(9*time.Second))
	if got, want := c.since(ours), ours.Add(time.Hour-1100*time.Millisecond); !got.Equal(want) {
		t.Errorf("after an exact time: %v, want %v", got, want)
	}
	// A clock that was set counts anew.
	c.heard(ours.Add(-time.Hour), time.Millisecond, ours, ours.Add(100*time.Millisecond))
	if got, want := c.since(ours), ours.Add(-time.Hour-1100*time.Millisecond); !got.Equal(want) {
		t.Errorf("after the clock was set: %v, want %v", got, want)
	}
}

// withPassword makes users that only a single call can carry.
func withPassword(_ int, u map[string]any) map[string]any {
	u["password"] = "Secret-word-1"
	return u
}

// 2,000 single calls take what the bucket allows: 50 at once, less the one that
// looked up the connection, and then 16 a second, none of them rejected.
func TestRunUsers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := auth0test.Options{Faults: auth0test.WAN()}
		w := newWorld(t, o)
		r := w.must(input(t, users(2000, withPassword)), Options{})
		if r.Via != ViaUsers || r.Created != 2000 || r.Rejected != 0 || w.tenant.Report().Rejected != 0 {
			t.Errorf("via %s, %s, %d rejected", r.Via, counts(r), r.Rejected)
		}
		least := time.Duration(float64(2000+1-50) / 16 * float64(time.Second))
		if r.Elapsed < least || r.Elapsed > least+least/100 {
			t.Errorf("it took %v, want %v and no more than a hundredth longer", r.Elapsed, least)
		}
	})
}

// Users that need a job and users that need a call of their own go at the same
// time, each by its way; what none can carry is refused.
func TestRunMixed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := jobOptions()
		o.Connections = []auth0test.Connection{{Name: DefaultConnection}, {Name: "Partners"}}
		w := newWorld(t, o)
		const hash = "$2b$10$C9hSjFzBhQzzW8Qv6n2xWeE5vXq8oJ4m4Zx5J7u4r0X0B1kq0e1aS"
		text := users(400, func(i int, u map[string]any) map[string]any {
			switch i % 4 {
			case 0:
				u["password"] = "Secret-word-1"
			case 1:
				u["password_hash"] = hash
			case 2:
				if i%8 == 2 {
					u["connection"], u["password"] = "Partners", "Secret-word-1"
				}
			}
			if i == 100 {
				u["password_hash"] = hash // and a password: no way takes both
			}
			return u
		})
		r := w.must(input(t, text), Options{})
		if r.Via != ViaJobs || r.Created != 399 || r.Refused != 1 || r.JobsCount != 1 {
			t.Errorf("via %s, %s, %d jobs", r.Via, counts(r), r.JobsCount)
		}
		// 100 with a password, less the refused one, and 50 of the partners'.
		if n := w.statuses["POST /api/v2/users 201"]; n != 149 {
			t.Errorf("%d single calls, want 149", n)
		}
	})
}

// Upsert changes who is there, by either way.
func TestUpsert(t *testing.T) {
	t.Parallel()
	for _, via := range []Via{ViaJobs, ViaUsers} {
		t.Run(string(via), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, jobOptions())
				w.earlier(40, func(i int) bool { return i%2 == 0 })
				r := w.must(input(t, users(40, func(_ int, u map[string]any) map[string]any {
					if via == ViaUsers {
						u["password"] = "Secret-word-1"
					}
					return u
				})), Options{Via: via, Upsert: true})
				if got, want := counts(r), "20 created, 20 updated, 0 exist, 0 failed, 0 refused, 0 skipped, 0 unfinished"; got != want {
					t.Errorf("%s, want %s", got, want)
				}
				user, err := auth0.Call[map[string]any](t.Context(), w.client, "GET", "/api/v2/users/{id}", []string{"auth0|u000002"}, nil, nil, nil)
				if err != nil || user["given_name"] != "Given" || fmt.Sprint(user["app_metadata"]) != "map[legacy_id:2 plan:basic]" || user["email_verified"] != true {
					t.Errorf("the user is now %v, %v", user, err)
				}
			})
		})
	}
}

// Where the id is that of a user with another address, nothing of that user is
// changed, whichever the way; where the address is there, it is its user who is.
func TestUpsertChangesNobodyElse(t *testing.T) {
	t.Parallel()
	for _, via := range []Via{ViaJobs, ViaUsers} {
		t.Run(string(via), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, jobOptions())
				w.must(input(t, `{"email":"a@example.com","user_id":"7","given_name":"Ann"}`+"\n"+
					`{"email":"c@example.com","user_id":"8","given_name":"Cat"}`), Options{})
				secret := ""
				if via == ViaUsers {
					secret = `,"password":"Secret-word-1"`
				}
				r := w.must(input(t, `{"email":"b@example.com","user_id":"7","given_name":"Bob","email_verified":true`+secret+"}\n"+
					`{"email":"c@example.com","given_name":"Cleo"`+secret+"}"), Options{Via: via, Upsert: true})
				if r.Updated != 1 || r.Failed != 1 || len(w.failures) != 1 || w.failures[0].Kind != KindFix {
					t.Errorf("%s, %+v", counts(r), w.failures)
				}
				for id, want := range map[string]string{"auth0|7": "a@example.com Ann false", "auth0|8": "c@example.com Cleo false"} {
					u, err := auth0.Call[map[string]any](t.Context(), w.client, "GET", "/api/v2/users/{id}", []string{id}, nil, nil, nil)
					if got := fmt.Sprint(u["email"], " ", u["given_name"], " ", u["email_verified"]); err != nil || got != want {
						t.Errorf("%s is %s, want %s (%v)", id, got, want, err)
					}
				}
			})
		})
	}
}

// A tenant that is gone ends the import after 20 users in a row without an
// answer, and nobody is taken for failed for good.
func TestUsersTenantGone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, auth0test.Options{})
		ledger := filepath.Join(t.TempDir(), "ledger")
		time.AfterFunc(5*time.Second, func() { w.tenant.SetFaults(auth0test.Faults{LoseRequest: 1}) })
		src := input(t, users(1000, withPassword))
		r, err := w.run(src, Options{Ledger: ledger})
		if !errors.Is(err, errUnanswered) || r.Failed != 0 || r.Unfinished == 0 || r.Created < 100 {
			t.Fatalf("%s, %v", counts(r), err)
		}
		w.tenant.SetFaults(auth0test.Faults{})
		if r := w.must(src, Options{Ledger: ledger, Resume: true}); r.Created != 1000 {
			t.Errorf("%s", counts(r))
		}
	})
}

// No access ends the import with the first answer that says so.
func TestHopeless(t *testing.T) {
	t.Parallel()
	for _, via := range []Via{ViaJobs, ViaUsers} {
		t.Run(string(via), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, auth0test.Options{
					CheckScopes: true, Clients: []auth0test.Client{{ID: auth0test.DefaultClientID, Secret: auth0test.DefaultClientSecret, Scopes: []string{"read:connections"}}},
				})
				edit := withPassword
				if via == ViaJobs {
					edit = nil
				}
				r, err := w.run(input(t, users(100, edit)), Options{Via: via, Workers: 1})
				if !errors.Is(err, auth0.ErrForbidden) || !errors.Is(err, errHopeless) || r.Unfinished != 100 || len(w.failures) != 0 {
					t.Errorf("%s, %v", counts(r), err)
				}
			})
		})
	}
}

// A limiter that nobody waits for in vain: a run that is stopped while its calls
// wait for room ends at once.
func TestUsersStopped(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		plan := &ratelimit.Plan{Name: "slow", Buckets: []ratelimit.Bucket{{
			Name: "a", API: "management", Burst: 5, Rate: ratelimit.Rate{Count: 1, Per: time.Hour},
			Matches: []ratelimit.Match{{Method: "POST", Path: "/api/v2/users"}},
		}}}
		w := newWorld(t, auth0test.Options{Plan: plan})
		stop := make(chan struct{})
		time.AfterFunc(time.Minute, func() { close(stop) })
		r, err := w.run(input(t, users(100, withPassword)), Options{Stop: stop})
		if err != nil || !r.Stopped || r.Created != 5 || r.Unfinished != 95 || r.Elapsed != time.Minute {
			t.Errorf("%s in %v, %v", counts(r), r.Elapsed, err)
		}
		if n := r.Settled.Count(); n != 5 {
			t.Errorf("settled are %s", r.Settled)
		}
	})
}
