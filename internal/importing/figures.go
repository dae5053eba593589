package main

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headroom-go/auth0"
	"github.com/headroom-go/auth0/auth0test"
	"github.com/headroom-go/auth0/importer"
	"github.com/headroom-go/auth0/ratelimit"
)

// kind is one way to import.
type kind struct {
	name string
	via  importer.Via
	jobs int // at a time
}

var kinds = []kind{
	{"two jobs at a time", importer.ViaJobs, 2},
	{"one job at a time", importer.ViaJobs, 1},
	{"single calls", importer.ViaUsers, 2},
}

// What a job of the simulated tenant takes, and each of its users.
const (
	jobTime     = 10 * time.Second
	jobUserTime = 40 * time.Millisecond
)

// One user in a hundred is bad: of 400, two break a rule, one has a picture
// that only the tenant objects to, and one is there already.
func breaksRule(i int) bool { return i%200 == 17 }
func strange(i int) bool    { return i%400 == 33 }
func isThere(i int) bool    { return i%400 == 51 }

// tally counts the users of each sort.
func tally(n int) (good, refused, failed, exist int) {
	for i := 1; i <= n; i++ {
		switch {
		case breaksRule(i):
			refused++
		case strange(i):
			failed++
		case isThere(i):
			exist++
		default:
			good++
		}
	}
	return good, refused, failed, exist
}

// figures are what came of an import.
type figures struct {
	report   *importer.Report
	elapsed  time.Duration // from the first request that carries users to the end of the last
	allowed  time.Duration // what that takes at least
	peak     int           // jobs at a time, as the tenant saw them
	rejected int64         // by the tenant
	users    int           // of the tenant
}

// share is how much of what the tenant allows was used.
func (f *figures) share() float64 { return f.allowed.Seconds() / f.elapsed.Seconds() }

// source is n users. Each is about 190 bytes of JSON.
func source(n int, passwords bool) *importer.Source {
	return importer.Users(func(yield func(any, error) bool) {
		var b []byte
		for i := 1; i <= n; i++ {
			email, picture := fmt.Sprintf("user%06d@example.com", i), "https://cdn.example.com/pictures/me.png"
			switch {
			case breaksRule(i):
				email = "nobody"
			case strange(i):
				picture = "urn:pictures:me" // a URL with nothing that the tenant could open
			}
			b = fmt.Appendf(b[:0], `{"email":%q,"user_id":"u%06d","given_name":"Given","family_name":"Family-%06d","picture":%q,"app_metadata":{"plan":"basic","legacy":%d}`,
				email, i, i, picture, i)
			if passwords {
				b = fmt.Appendf(b, `,"password":"Secret-%d-word"`, i)
			}
			if !yield(append(b, '}'), nil) {
				return
			}
		}
	})
}

// run imports n users in virtual time.
func (k kind) run(t *testing.T, n int) *figures {
	t.Helper()
	f := &figures{}
	synctest.Test(t, func(t *testing.T) {
		plan, err := ratelimit.Named("enterprise")
		if err != nil {
			t.Fatal(err)
		}
		wan := auth0test.WAN()
		var mu sync.Mutex
		var first, last time.Time
		tenant, err := auth0test.New(auth0test.Options{
			Plan: plan, JobTime: jobTime, JobTimePerUser: jobUserTime, Faults: wan,
			ImportJobs: -1, // any number: that there are no more than two is the importer's doing
			Observe: func(e auth0test.Event) {
				mu.Lock()
				defer mu.Unlock()
				if e.Method == http.MethodPost && strings.HasPrefix(e.Path, "/api/v2/") {
					if first.IsZero() {
						first = e.Time
					}
					last = e.Time
				}
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		client, err := auth0.New(tenant.Domain(), auth0.WithOwnPlan(plan), auth0.WithHTTPClient(tenant.Client()),
			auth0.WithClientSecret(auth0test.DefaultClientID, auth0test.DefaultClientSecret))
		if err != nil {
			t.Fatal(err)
		}
		there := importer.Users(func(yield func(any, error) bool) {
			for i := 1; i <= n; i++ {
				if isThere(i) && !yield(map[string]any{"email": fmt.Sprintf("user%06d@example.com", i), "user_id": fmt.Sprintf("u%06d", i)}, nil) {
					return
				}
			}
		})
		if _, err := importer.Run(t.Context(), client, there, importer.Options{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour) // the buckets are full again
		mu.Lock()
		first, last = time.Time{}, time.Time{}
		mu.Unlock()
		f.report, err = importer.Run(t.Context(), client, source(n, k.via == importer.ViaUsers), importer.Options{Via: k.via, MaxJobs: k.jobs})
		if err != nil {
			t.Fatal(err)
		}
		mu.Lock()
		defer mu.Unlock()
		report := tenant.Report()
		f.peak, f.rejected, f.users = tenant.ImportPeak(), report.Rejected, report.Users
		if k.via == importer.ViaJobs {
			var sum, end time.Duration
			for _, j := range f.report.Jobs {
				sum += jobTime + time.Duration(j.Users)*jobUserTime
				end = max(end, j.Ended.Sub(first))
			}
			f.elapsed, f.allowed = end, sum/time.Duration(k.jobs)
			return
		}
		f.elapsed = last.Sub(first)
		sent := f.report.Total - f.report.Refused
		route := plan.Route(&ratelimit.Request{Method: http.MethodPost, Path: "/api/v2/users"})
		for _, i := range route.Buckets[:route.N] {
			b := &plan.Buckets[i]
			f.allowed = max(f.allowed, time.Duration(float64(int64(sent)-b.Burst)/float64(b.Rate.Count)*float64(b.Rate.Per)))
		}
	})
	return f
}
