package auth0test

import (
	"crypto"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/headroom-go/auth0/ratelimit"
)

// step is one request of a worked example: when it comes, whether it passes, and
// what the headers of the answer say: what remains, and the three meanings of
// reset, counted from the beginning in seconds.
type step struct {
	ms               int
	ok               bool
	remaining        int64
	next, full, wend int64
}

// The four examples that the published texts work through: an API of 5 at once
// and 10 a second, and one of 5 at once and 6 a minute, each with a sliding
// refill (older text) and with windows (current text). Times lie in the printed
// intervals; what remains is the content of the bucket, rounded down, after the
// request.
func TestWorkedExamples(t *testing.T) {
	t.Parallel()
	examples := []struct {
		name   string
		count  int64
		per    time.Duration
		refill []Refill
		steps  []step
	}{
		// A token each 100 ms, so that all within a second is announced for its end.
		{"sliding, 10 a second", 10, time.Second, []Refill{RefillSliding, RefillTicking}, []step{
			{0, true, 4, 1, 1, 1}, {10, true, 3, 1, 1, 1}, {20, true, 2, 1, 1, 1}, {30, true, 1, 1, 1, 1},
			{40, true, 0, 1, 1, 1}, {50, false, 0, 1, 1, 1}, {110, true, 0, 1, 1, 1}, {150, false, 0, 1, 1, 1},
			{210, true, 0, 1, 1, 1},
		}},
		// A token each 10 s: the next at 10, 20 and 30 s; full 10 s later for each taken.
		{"sliding, 6 a minute", 6, time.Minute, []Refill{RefillSliding}, []step{
			{0, true, 4, 10, 10, 60}, {200, true, 3, 10, 20, 60}, {400, true, 2, 10, 30, 60}, {600, true, 1, 10, 40, 60},
			{800, true, 0, 10, 50, 60}, {1000, false, 0, 10, 50, 60}, {10500, true, 0, 20, 60, 60},
			{15000, false, 0, 20, 60, 60}, {20500, true, 0, 30, 70, 60},
		}},
		{"windows of a second", 10, time.Second, []Refill{RefillWindows, RefillTopUp}, []step{
			{0, true, 4, 1, 1, 1}, {100, true, 3, 1, 1, 1}, {200, true, 2, 1, 1, 1}, {300, true, 1, 1, 1, 1},
			{400, true, 0, 1, 1, 1}, {500, false, 0, 1, 1, 1},
			{1000, true, 4, 2, 2, 2}, {1100, true, 3, 2, 2, 2}, {1200, true, 2, 2, 2, 2}, {1300, true, 1, 2, 2, 2},
			{1400, true, 0, 2, 2, 2}, {1500, false, 0, 2, 2, 2}, {2000, true, 4, 3, 3, 3},
		}},
		{"windows of a minute", 6, time.Minute, []Refill{RefillWindows, RefillTopUp}, []step{
			{0, true, 4, 60, 60, 60}, {5000, true, 3, 60, 60, 60}, {10000, true, 2, 60, 60, 60}, {15000, true, 1, 60, 60, 60},
			{20000, true, 0, 60, 60, 60}, {25000, false, 0, 60, 60, 60},
			{60000, true, 4, 120, 120, 120}, {61000, true, 3, 120, 120, 120}, {62000, true, 2, 120, 120, 120},
			{63000, true, 1, 120, 120, 120}, {64000, true, 0, 120, 120, 120}, {65000, false, 0, 120, 120, 120},
			{120000, true, 4, 180, 180, 180},
		}},
	}
	for _, e := range examples {
		for _, refill := range e.refill {
			for reset, pick := range []func(step) int64{
				ResetNextToken: func(s step) int64 { return s.next },
				ResetFull:      func(s step) int64 { return s.full },
				ResetWindow:    func(s step) int64 { return s.wend },
			} {
				t.Run(fmt.Sprintf("%s/refill %d/reset %d", e.name, refill, reset), func(t *testing.T) {
					t.Parallel()
					clock := newClock()
					tenant := mustTenant(t, Options{
						Plan:  plan(bucket("example", 5, e.count, e.per, "GET", "/api/v2/ratelimitexample")),
						Clock: clock.Now, Refill: refill, Reset: Reset(reset), AnyToken: true,
					})
					for i, s := range e.steps {
						clock.set(time.Duration(s.ms) * time.Millisecond)
						r := send(t, tenant, "GET", "/api/v2/ratelimitexample", "")
						if got := r.status != 429; got != s.ok {
							t.Errorf("request %d at %d ms: status %d, want accepted %v", i+1, s.ms, r.status, s.ok)
						}
						if got, want := r.limits(), [3]int64{5, s.remaining, pick(s)}; got != want {
							t.Errorf("request %d at %d ms: limit, remaining, reset %v, want %v", i+1, s.ms, got, want)
						}
					}
				})
			}
		}
	}
}

// The header example of the published texts: a bucket of 1000 at 100 a second of
// which 950 are used says limit 1000 and remaining 50.
func TestHeaderExample(t *testing.T) {
	t.Parallel()
	clock := newClock()
	tenant := mustTenant(t, Options{
		Plan: plan(bucket("b", 1000, 100, time.Second, "GET", "/api/v2/*")), Clock: clock.Now, AnyToken: true,
	})
	var r reply
	for range 950 {
		r = send(t, tenant, "GET", "/api/v2/x", "")
	}
	// The next token comes 10 ms later: announced for the next whole second.
	if got, want := r.limits(), [3]int64{1000, 50, 1}; got != want {
		t.Errorf("limit, remaining, reset %v, want %v", got, want)
	}
}

func TestTickingRefill(t *testing.T) {
	t.Parallel()
	// 500 a minute by the second is 8 1/3 a second; 10 a second by the
	// millisecond is one each 100.
	for _, tt := range []struct {
		name  string
		b     ratelimit.Bucket
		taken int
		ms    []int
		want  []int64 // what remains before the request, at each time
	}{
		{"minute", bucket("b", 20, 500, time.Minute, "GET", "/api/v2/*"), 20, []int{999, 1000, 1999, 2000}, []int64{0, 8, 7, 14}},
		{"second", bucket("b", 20, 10, time.Second, "GET", "/api/v2/*"), 20, []int{99, 100, 199, 300}, []int64{0, 1, 0, 2}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			clock := newClock()
			tenant := mustTenant(t, Options{Plan: plan(tt.b), Clock: clock.Now, Refill: RefillTicking, AnyToken: true})
			for range tt.taken {
				send(t, tenant, "GET", "/api/v2/x", "")
			}
			for i, ms := range tt.ms {
				clock.set(time.Duration(ms) * time.Millisecond)
				r := send(t, tenant, "GET", "/api/v2/x", "")
				before := r.limits()[1]
				if r.status != 429 {
					before++
				}
				if before != tt.want[i] {
					t.Errorf("at %d ms: %d tokens before the request, want %d", ms, before, tt.want[i])
				}
			}
		})
	}
}

func TestWindowsBringWholeLots(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		refill Refill
		want   int64 // left after one request in the second window
	}{{RefillWindows, 15}, {RefillTopUp, 49}} {
		clock := newClock()
		tenant := mustTenant(t, Options{
			Plan: plan(bucket("b", 50, 16, time.Second, "GET", "/api/v2/*")), Clock: clock.Now, Refill: tt.refill, AnyToken: true,
		})
		clock.set(300 * time.Millisecond) // windows begin with the first use
		for range 50 {
			send(t, tenant, "GET", "/api/v2/x", "")
		}
		clock.set(1299 * time.Millisecond)
		if r := send(t, tenant, "GET", "/api/v2/x", ""); r.status != 429 {
			t.Errorf("refill %d: a request passed before the window's end", tt.refill)
		}
		clock.set(1300 * time.Millisecond)
		if got := send(t, tenant, "GET", "/api/v2/x", "").limits()[1]; got != tt.want {
			t.Errorf("refill %d: %d left in the second window, want %d", tt.refill, got, tt.want)
		}
	}
}

// Two buckets apply: on a rejection those before the rejecting one have been
// charged, those after it have not, and the rejecting one loses nothing.
func TestEvaluationOrder(t *testing.T) {
	t.Parallel()
	clock := newClock()
	tenant := mustTenant(t, Options{
		Plan: plan(
			bucket("endpoint", 2, 1, time.Minute, "GET", "/api/v2/things"),
			global(bucket("api", 3, 1, time.Minute, "*", "/api/v2/*")),
		),
		Clock: clock.Now, AnyToken: true, Describe: DescribeLast,
	})
	for i, want := range []struct {
		status int
		limits [3]int64 // of the bucket checked last
	}{
		{404, [3]int64{2, 1, 60}},
		{404, [3]int64{2, 0, 60}},
		{429, [3]int64{2, 0, 60}}, // the endpoint rejects, the API is charged
		{429, [3]int64{3, 0, 60}}, // the API rejects, the endpoint is not asked
	} {
		r := send(t, tenant, "GET", "/api/v2/things", "")
		if r.status != want.status || r.limits() != want.limits {
			t.Errorf("request %d: %d %v, want %d %v", i+1, r.status, r.limits(), want.status, want.limits)
		}
	}
	report := tenant.Report()
	if b := report.Bucket("api"); b.Taken != 3 || b.Rejected != 1 {
		t.Errorf("api: taken %d, rejected %d; want 3, 1", b.Taken, b.Rejected)
	}
	if b := report.Bucket("endpoint"); b.Taken != 2 || b.Rejected != 1 {
		t.Errorf("endpoint: taken %d, rejected %d; want 2, 1", b.Taken, b.Rejected)
	}
	// Neither lost anything by rejecting: a minute later each has one token.
	clock.set(time.Minute)
	if r := send(t, tenant, "GET", "/api/v2/things", ""); r.status != 404 {
		t.Errorf("a minute later: status %d, want 404", r.status)
	}
}

func TestCatchAll(t *testing.T) {
	t.Parallel()
	rest := bucket("rest", 1, 1, time.Hour, "*", "/api/v2/*")
	rest.Role = ratelimit.RoleCatchAll
	jobs := bucket("jobs", 0, 0, 0, "POST", "/api/v2/other")
	jobs.Concurrent = 2
	tenant := mustTenant(t, Options{
		Plan: plan(rest, bucket("listed", 10, 1, time.Hour, "GET", "/api/v2/listed"), jobs), AnyToken: true,
	})
	for i, tt := range []struct {
		method, path string
		status       int
		limit        int64
	}{
		{"GET", "/api/v2/listed", 404, 10},
		{"HEAD", "/api/v2/listed", 404, 10}, // counts as GET
		{"POST", "/api/v2/other", 404, 1},   // a bound on jobs does not list it
		{"GET", "/api/v2/listed", 404, 10},
		{"POST", "/api/v2/listed", 429, 1}, // another method is not listed
		{"GET", "/api/v2/./other//", 429, 1},
		{"GET", "/elsewhere", 404, -1},
	} {
		r := send(t, tenant, tt.method, tt.path, "")
		if r.status != tt.status || r.limits()[0] != tt.limit {
			t.Errorf("request %d, %s %s: %d with limit %d, want %d with %d", i+1, tt.method, tt.path, r.status, r.limits()[0], tt.status, tt.limit)
		}
	}
}

func TestInstead(t *testing.T) {
	t.Parallel()
	search := bucket("search", 5, 1, time.Hour, "GET", "/api/v2/clients")
	search.Matches[0].When = []ratelimit.Condition{{In: ratelimit.InQuery, Name: "q"}}
	search.Instead = []string{"plain"}
	tenant := mustTenant(t, Options{Plan: plan(bucket("plain", 9, 1, time.Hour, "GET", "/api/v2/clients"), search), AnyToken: true})
	for target, want := range map[string]int64{"/api/v2/clients?q=": 5, "/api/v2/clients?page=0": 9} {
		if got := send(t, tenant, "GET", target, "").limits(); got[0] != want || got[1] != want-1 {
			t.Errorf("%s: headers %v, want a bucket of %d asked once", target, got, want)
		}
	}
}

func TestDescribe(t *testing.T) {
	t.Parallel()
	// The endpoint starts fuller than the API and ends emptier.
	newTenant := func(d Describe) *Tenant {
		clock := newClock()
		return mustTenant(t, Options{
			Plan: plan(
				global(bucket("api", 4, 1, time.Minute, "*", "/api/v2/*")),
				bucket("wide", 6, 1, time.Minute, "GET", "/api/v2/things"),
			),
			Clock: clock.Now, AnyToken: true, Describe: d,
		})
	}
	for _, tt := range []struct {
		describe Describe
		want     [][2]int64 // limit and remaining of: things, other, things x 2, and a rejection by the API
	}{
		{DescribeEmptier, [][2]int64{{4, 3}, {4, 2}, {4, 1}, {4, 0}, {4, 0}}},
		{DescribeGlobal, [][2]int64{{4, 3}, {4, 2}, {4, 1}, {4, 0}, {4, 0}}},
		{DescribeEndpoint, [][2]int64{{6, 5}, {4, 2}, {6, 4}, {6, 3}, {6, 3}}},
		{DescribeLast, [][2]int64{{6, 5}, {4, 2}, {6, 4}, {6, 3}, {4, 0}}},
	} {
		tenant := newTenant(tt.describe)
		for i, path := range []string{"/api/v2/things", "/api/v2/other", "/api/v2/things", "/api/v2/things", "/api/v2/things"} {
			l := send(t, tenant, "GET", path, "").limits()
			if got := [2]int64{l[0], l[1]}; got != tt.want[i] {
				t.Errorf("describe %d, request %d: limit and remaining %v, want %v", tt.describe, i+1, got, tt.want[i])
			}
		}
	}
	// The emptier of two is the endpoint's where it has fewer left.
	tenant := mustTenant(t, Options{
		Plan: plan(global(bucket("api", 9, 1, time.Minute, "*", "/api/v2/*")), bucket("small", 3, 1, time.Minute, "GET", "/api/v2/things")), AnyToken: true,
	})
	if l := send(t, tenant, "GET", "/api/v2/things", "").limits(); l[0] != 3 || l[1] != 2 {
		t.Errorf("emptier: %v, want the bucket of 3", l)
	}
}

func TestRejectionHeaders(t *testing.T) {
	t.Parallel()
	clock := newClock()
	tenant := mustTenant(t, Options{
		Plan: plan(
			global(bucket("api", 2, 6, time.Minute, "*", "/api/v2/*")),
			bucket("one", 1, 2, time.Minute, "GET", "/api/v2/one"),
		),
		Clock: clock.Now, AnyToken: true, RetryAfter: true, ErrorKind: true,
	})
	send(t, tenant, "GET", "/api/v2/one", "")
	r := send(t, tenant, "GET", "/api/v2/one", "") // by the endpoint: a token each 30 s
	if r.status != 429 || r.header.Get("Retry-After") != "30" || r.header.Get("X-Auth0-Error-Kind") != "" {
		t.Errorf("endpoint: %d, Retry-After %q, kind %q", r.status, r.header.Get("Retry-After"), r.header.Get("X-Auth0-Error-Kind"))
	}
	clock.set(500 * time.Millisecond)
	r = send(t, tenant, "GET", "/api/v2/two", "") // by the API: a token each 10 s, 9.5 s from now
	if r.status != 429 || r.header.Get("Retry-After") != "10" || r.header.Get("X-Auth0-Error-Kind") != "global-rate-limit" {
		t.Errorf("global: %d, Retry-After %q, kind %q", r.status, r.header.Get("Retry-After"), r.header.Get("X-Auth0-Error-Kind"))
	}
	if want := (apiError{429, "Too Many Requests", "Too many requests. Check the X-RateLimit-Limit, X-RateLimit-Remaining and X-RateLimit-Reset headers.", "too_many_requests", nil}); r.body != string(mustJSON(want)) {
		t.Errorf("body %s", r.body)
	}
	if got, want := r.header.Get("Date"), "Fri, 03 Feb 2023 19:30:00 GMT"; got != want {
		t.Errorf("Date %q, want %q", got, want)
	}

	quiet := mustTenant(t, Options{
		Plan: plan(global(bucket("api", 1, 1, time.Minute, "*", "/api/v2/*"))), AnyToken: true, NoHeaders: true,
	})
	send(t, quiet, "GET", "/api/v2/x", "")
	r = send(t, quiet, "GET", "/api/v2/x", "")
	if r.status != 429 || r.limits() != [3]int64{-1, -1, -1} || r.header.Get("Retry-After") != "" || r.header.Get("X-Auth0-Error-Kind") != "" {
		t.Errorf("a tenant told to send none sent %v", r.header)
	}
}

func TestEmptyStart(t *testing.T) {
	t.Parallel()
	clock := newClock()
	tenant := mustTenant(t, Options{
		Plan: plan(bucket("b", 50, 16, time.Second, "GET", "/api/v2/*")), Clock: clock.Now, AnyToken: true, Empty: 1,
	})
	if r := send(t, tenant, "GET", "/api/v2/x", ""); r.status != 429 {
		t.Errorf("an empty bucket let a request pass: %d", r.status)
	}
	clock.set(time.Second) // it began to refill at once: 16 a second
	if got := send(t, tenant, "GET", "/api/v2/x", "").limits()[1]; got != 15 {
		t.Errorf("%d left a second later, want 15", got)
	}
}

func TestKeys(t *testing.T) {
	t.Parallel()
	jwt := func(payload string) string {
		return "Bearer e30." + strings.TrimRight(b64(payload), "=") + ".sig"
	}
	form := "application/x-www-form-urlencoded"
	tests := []struct {
		key          ratelimit.Key
		path         string
		same, others [][]string // target, body, then headers; of one identity, and each of its own
	}{
		{ratelimit.KeyTenant, "/x", [][]string{{"/x", ""}, {"/x", "", "auth0-forwarded-for", "10.0.0.1"}}, nil},
		{ratelimit.KeyIP, "/x", [][]string{{"/x", "", "auth0-forwarded-for", "10.0.0.1"}, {"/x?y=1", "", "auth0-forwarded-for", "10.0.0.1"}}, [][]string{
			{"/x", "", "auth0-forwarded-for", "10.0.0.2"}, {"/x", ""},
		}},
		{ratelimit.KeyIPEmail, "/x", [][]string{{"/x", `{"email":"a@x.org"}`}, {"/x", `{"email":"A@x.org"}`}, {"/x", "email=a%40x.org", "Content-Type", form}}, [][]string{
			{"/x", `{"email":"b@x.org"}`}, {"/x", `{"email":"a@x.org"}`, "auth0-forwarded-for", "10.0.0.2"}, {"/x", "{}"},
		}},
		{ratelimit.KeyIPUser, "/x", [][]string{{"/x", `{"username":"a","password":"1"}`}, {"/x", `{"username":"a","password":"2"}`}}, [][]string{
			{"/x", `{"username":"b"}`}, {"/x", `{"username":"a"}`, "auth0-forwarded-for", "10.0.0.2"},
		}},
		{ratelimit.KeyIPState, "/u/{p}", [][]string{{"/u/login?state=1", ""}, {"/u/login?state=1&more=2", ""}}, [][]string{
			{"/u/login?state=2", ""}, {"/u/signup?state=1", ""},
		}},
		{ratelimit.KeyIPPrompt, "/u/{p}", [][]string{{"/u/login?state=1", ""}, {"/u/login?state=2", ""}}, [][]string{{"/u/signup", ""}}},
		{ratelimit.KeySubject, "/x", [][]string{{"/x", "", "Authorization", jwt(`{"sub":"auth0|1","jti":"1"}`)}, {"/x", "", "Authorization", jwt(`{"sub":"auth0|1","jti":"2"}`)}}, [][]string{
			{"/x", "", "Authorization", jwt(`{"sub":"auth0|2"}`)}, {"/x", "", "Authorization", "Bearer opaque"}, {"/x", ""},
		}},
		{ratelimit.KeyOrganization, "/x", [][]string{{"/x", "", "Authorization", jwt(`{"org_id":"org_1"}`)}, {"/x", "", "Authorization", jwt(`{"org_id":"org_1","sub":"2"}`)}}, [][]string{
			{"/x", "", "Authorization", jwt(`{"org_id":"org_2"}`)},
		}},
		{ratelimit.KeySession, "/x", [][]string{{"/x", `{"mfa_token":"1"}`}, {"/x", `{"mfa_token":"1","otp":"2"}`}}, [][]string{{"/x", `{"mfa_token":"2"}`}}},
		{ratelimit.KeyUser, "/x", [][]string{{"/x", `{"user_id":"1"}`}, {"/x", `{"user_id":"1"}`}}, [][]string{{"/x", `{"user_id":"2"}`}}},
		{ratelimit.KeyConnection, "/scim/v2/connections/{connection-id}/*", [][]string{{"/scim/v2/connections/c1/Users", ""}, {"/scim/v2/connections/c1/Users/7", ""}}, [][]string{
			{"/scim/v2/connections/c2/Users", ""},
		}},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprint(tt.key), func(t *testing.T) {
			t.Parallel()
			b := bucket("b", 10, 1, time.Hour, "*", tt.path)
			b.Key = tt.key
			tenant := mustTenant(t, Options{Plan: plan(b), TrustForwarded: true})
			post := func(r []string) int64 {
				return send(t, tenant, "POST", r[0], r[1], r[2:]...).limits()[1]
			}
			for i, r := range tt.same {
				if got, want := post(r), int64(9-i); got != want {
					t.Errorf("request %d of one identity (%q): %d left, want %d", i+1, r, got, want)
				}
			}
			for _, r := range tt.others {
				if got := post(r); got != 9 {
					t.Errorf("the first request of another identity (%q): %d left, want 9", r, got)
				}
			}
			if got, want := tenant.Report().Bucket("b").Counters, 1+len(tt.others); got != want {
				t.Errorf("%d counters, want %d", got, want)
			}
		})
	}
}

// The tokens of one application are one subject, given ones another.
func TestSubjectOfTokens(t *testing.T) {
	t.Parallel()
	b := bucket("b", 10, 1, time.Hour, "*", "/api/v2/*")
	b.Key = ratelimit.KeySubject
	tenant := mustTenant(t, Options{Plan: plan(b), Tokens: []string{"opaque-1", "opaque-2"}})
	for i, tt := range []struct {
		token string
		left  int64
	}{{tenant.Token(), 9}, {tenant.Token(), 8}, {"opaque-1", 9}, {"opaque-2", 8}, {"unknown", 9}} {
		r := send(t, tenant, "GET", "/api/v2/users", "", "Authorization", "Bearer "+tt.token)
		if got := r.limits()[1]; got != tt.left {
			t.Errorf("request %d: %d left, want %d", i+1, got, tt.left)
		}
	}
}

// An address in a header counts only where the tenant is told to trust it.
func TestForwardedForIsNotTrustedByDefault(t *testing.T) {
	t.Parallel()
	b := bucket("b", 10, 1, time.Hour, "*", "/x")
	b.Key = ratelimit.KeyIP
	tenant := mustTenant(t, Options{Plan: plan(b)})
	send(t, tenant, "GET", "/x", "", "auth0-forwarded-for", "10.0.0.1")
	if got := send(t, tenant, "GET", "/x", "", "auth0-forwarded-for", "10.0.0.2").limits()[1]; got != 8 {
		t.Errorf("%d left, want 8: both come from this machine", got)
	}
}

func TestConditions(t *testing.T) {
	t.Parallel()
	b := bucket("b", 10, 1, time.Hour, "POST", "/oauth/token")
	for _, tt := range []struct {
		name string
		when ratelimit.Condition
		path string
		yes  [][]string // body, then headers
		no   [][]string
	}{
		{"field", ratelimit.Condition{In: ratelimit.InBody, Name: "grant_type", Equals: "password"}, "/oauth/token",
			[][]string{{`{"grant_type":"password"}`}, {"grant_type=password", "Content-Type", "application/x-www-form-urlencoded; charset=utf-8"}},
			[][]string{{`{"grant_type":"other"}`}, {""}, {"grant_type=password", "Content-Type", "text/plain"}, {`["grant_type"]`}}},
		{"part", ratelimit.Condition{In: ratelimit.InBody, Name: "upsert", Equals: "true"}, "/oauth/token",
			[][]string{
				{"--b\r\nContent-Disposition: form-data; name=\"upsert\"\r\n\r\ntrue\r\n--b--", "Content-Type", "multipart/form-data; boundary=b"},
				{`{"upsert":true}`},
			},
			[][]string{{"--b\r\n", "Content-Type", "multipart/form-data; boundary=b"}, {`{"upsert":{"true":true}}`}, {"upsert=%zz", "Content-Type", formType}}},
		{"no prefix", ratelimit.Condition{In: ratelimit.InBody, Name: "type", NoPrefix: []string{"urn:a", "urn:b"}}, "/oauth/token",
			[][]string{{`{"type":"mine"}`}}, [][]string{{`{"type":"urn:a:x"}`}, {`{}`}}},
		{"word", ratelimit.Condition{In: ratelimit.InToken, Name: "scope", AnyWord: []string{"read:me", "write:me"}}, "/oauth/token",
			[][]string{{"", "Authorization", "Bearer e30." + strings.TrimRight(b64(`{"scope":"openid write:me"}`), "=") + ".s"}},
			[][]string{{"", "Authorization", "Bearer e30." + strings.TrimRight(b64(`{"scope":"write:mean"}`), "=") + ".s"}, {""}, {"", "Authorization", "Basic write:me"}}},
		{"path", ratelimit.Condition{In: ratelimit.InPath, NoPrefix: []string{"/api/v2/"}}, "/*",
			[][]string{{""}}, nil},
	} {
		m := b
		m.Matches = []ratelimit.Match{{Method: "POST", Path: tt.path, When: []ratelimit.Condition{tt.when}}}
		tenant := mustTenant(t, Options{Plan: plan(m), AnyToken: true})
		for _, r := range tt.yes {
			if got := send(t, tenant, "POST", "/oauth/token", r[0], r[1:]...).limits(); got[0] != 10 {
				t.Errorf("%s: %q draws from no bucket", tt.name, r)
			}
		}
		for _, r := range tt.no {
			if got := send(t, tenant, "POST", "/oauth/token", r[0], r[1:]...).limits(); got[0] != -1 {
				t.Errorf("%s: %q draws from the bucket", tt.name, r)
			}
		}
		if tt.name == "path" {
			for path, want := range map[string]int64{"/api/v2": -1, "/api/v2/users": -1, "/api/v2x": 10} {
				if got := send(t, tenant, "POST", path, "").limits()[0]; got != want {
					t.Errorf("%s: limit %d, want %d", path, got, want)
				}
			}
		}
	}
}

func TestSetLimitAndChanges(t *testing.T) {
	t.Parallel()
	clock := newClock()
	tenant := mustTenant(t, Options{
		Plan:  plan(bucket("b", 10, 10, time.Second, "GET", "/api/v2/*")),
		Clock: clock.Now, AnyToken: true,
		Changes: []Change{
			{At: 2 * time.Second, Bucket: "b", Burst: 10, Rate: ratelimit.Rate{Count: 10, Per: time.Second}},
			{At: time.Second, Bucket: "b", Burst: 30, Rate: ratelimit.Rate{Count: 30, Per: time.Second}},
		},
	})
	for range 10 {
		send(t, tenant, "GET", "/api/v2/x", "")
	}
	clock.set(900 * time.Millisecond) // 9 of 10 are back
	if got := send(t, tenant, "GET", "/api/v2/x", "").limits(); got[0] != 10 || got[1] != 8 {
		t.Errorf("before the change: %v, want 10, 8", got)
	}
	clock.set(time.Second) // 9 of 10, so one is missing of 30 too
	if got := send(t, tenant, "GET", "/api/v2/x", "").limits(); got[0] != 30 || got[1] != 28 {
		t.Errorf("after the change: %v, want 30, 28", got)
	}
	clock.set(2 * time.Second)
	if got := send(t, tenant, "GET", "/api/v2/x", "").limits(); got[0] != 10 || got[1] != 9 {
		t.Errorf("after the change back: %v, want 10, 9", got)
	}
	tenant.SetLimit("b", 3, ratelimit.Rate{Count: 1, Per: time.Minute})
	if got := send(t, tenant, "GET", "/api/v2/x", "").limits(); got[0] != 3 || got[1] != 1 {
		t.Errorf("after SetLimit: %v, want 3, 1", got)
	}
	defer func() {
		if recover() == nil {
			t.Error("SetLimit of an unknown bucket did not panic")
		}
	}()
	tenant.SetLimit("none", 1, ratelimit.Rate{Count: 1, Per: time.Minute})
}

func TestConsumers(t *testing.T) {
	t.Parallel()
	t.Run("steady", func(t *testing.T) {
		t.Parallel()
		clock := newClock()
		tenant := mustTenant(t, Options{
			Plan:  plan(bucket("b", 100, 1, time.Hour, "GET", "/api/v2/*")),
			Clock: clock.Now, AnyToken: true,
			Consumers: []Consumer{{Bucket: "b", Rate: ratelimit.Rate{Count: 8, Per: time.Second}, From: time.Second, Until: 3 * time.Second}},
		})
		for _, tt := range []struct {
			at   time.Duration
			left int64
		}{
			{999 * time.Millisecond, 99},  // nothing yet
			{time.Second, 97},             // the first draw
			{1124 * time.Millisecond, 96}, // the next is due at 1.125 s
			{1125 * time.Millisecond, 94},
			{10 * time.Second, 79}, // 16 draws in two seconds, 5 requests
		} {
			clock.set(tt.at)
			if got := send(t, tenant, "GET", "/api/v2/x", "").limits()[1]; got != tt.left {
				t.Errorf("at %v: %d left, want %d", tt.at, got, tt.left)
			}
		}
		b := tenant.Report().Bucket("b")
		if b.Foreign != 16 || b.Taken != 5 || b.Missed != 0 {
			t.Errorf("foreign %d, taken %d, missed %d; want 16, 5, 0", b.Foreign, b.Taken, b.Missed)
		}
		// 100 at the first request, less 16 drawn by others until the last.
		if b.Available != 84 {
			t.Errorf("available %d, want 84", b.Available)
		}
	})
	t.Run("poisson", func(t *testing.T) {
		t.Parallel()
		draws := func(seed uint64) int64 {
			clock := newClock()
			tenant := mustTenant(t, Options{
				Plan: plan(bucket("b", 1000000, 1, time.Hour, "GET", "/api/v2/*")), Seed: seed, Clock: clock.Now, AnyToken: true,
				Consumers: []Consumer{{Bucket: "b", Rate: ratelimit.Rate{Count: 8, Per: time.Second}, Poisson: true}},
			})
			clock.set(time.Hour)
			return tenant.Report().Bucket("b").Foreign
		}
		var all []int64
		for seed := range uint64(5) {
			n := draws(seed)
			// 28800 expected; five standard deviations are 849.
			if n < 28800-849 || n > 28800+849 {
				t.Errorf("seed %d: %d draws in an hour, want about 28800", seed, n)
			}
			if n != draws(seed) {
				t.Errorf("seed %d: another number of draws the second time", seed)
			}
			all = append(all, n)
		}
		if slices.Min(all) == slices.Max(all) {
			t.Error("every seed gave the same draws")
		}
	})
	t.Run("an empty bucket", func(t *testing.T) {
		t.Parallel()
		clock := newClock()
		tenant := mustTenant(t, Options{
			Plan: plan(bucket("b", 2, 1, time.Hour, "GET", "/api/v2/*")), Clock: clock.Now, AnyToken: true,
			Consumers: []Consumer{{Bucket: "b", Rate: ratelimit.Rate{Count: 1, Per: time.Second}}},
		})
		clock.set(4 * time.Second) // draws at 0, 1, 2, 3 and 4 s
		if r := send(t, tenant, "GET", "/api/v2/x", ""); r.status != http.StatusTooManyRequests {
			t.Errorf("status %d, want 429", r.status)
		}
		if b := tenant.Report().Bucket("b"); b.Foreign != 2 || b.Missed != 3 || b.Rejected != 1 {
			t.Errorf("foreign %d, missed %d, rejected %d; want 2, 3, 1", b.Foreign, b.Missed, b.Rejected)
		}
	})
}

func TestOptionsThatCannotBeMeant(t *testing.T) {
	t.Parallel()
	good := plan(bucket("b", 1, 1, time.Second, "GET", "/x"))
	rate := ratelimit.Rate{Count: 1, Per: time.Second}
	for name, o := range map[string]Options{
		"Empty":                            {Empty: 1.5},
		"two buckets are named":            {Plan: plan(good.Buckets[0], good.Buckets[0])},
		"rate 0":                           {Plan: plan(bucket("b", 1, 0, time.Second, "GET", "/x"))},
		"no bucket of the plan":            {Plan: good, Consumers: []Consumer{{Bucket: "c", Rate: rate}}},
		"the consumer of":                  {Plan: good, Consumers: []Consumer{{Bucket: "b"}}},
		"a change names":                   {Plan: good, Changes: []Change{{Bucket: "c", Burst: 1, Rate: rate}}},
		"the change of":                    {Plan: good, Changes: []Change{{Bucket: "b", Burst: 1}}},
		"whole seconds":                    {Policies: []Policy{{Selector: "default", Quota: 1, Interval: time.Millisecond}}},
		"Faults.LoseAnswer":                {Faults: Faults{LoseAnswer: -0.1}},
		"404, which is no 5xx":             {Faults: Faults{FailStatus: []int{500, 404}}},
		`no plan is called "nothing"`:      {PlanName: "nothing"},
		"is Public and has a Secret":       {Clients: []Client{{ID: "a", Public: true, Secret: "s"}}},
		"has the grant type":               {Clients: []Client{{ID: "a", Grants: []string{"implicit"}}}},
		"has a key of type string":         {Clients: []Client{{ID: "a", Keys: []crypto.PublicKey{"k"}}}},
		`the selector "client:a"`:          {Policies: []Policy{{Selector: "client:a", Quota: 1}}},
		`the selector ""`:                  {Policies: []Policy{{Quota: 1}}},
		`the selector "client_id:"`:        {Policies: []Policy{{Selector: "client_id:", Quota: 1}}},
		`connection "none"`:                {Users: []User{{ID: "a", Connection: "none"}}},
		`connection "` + DefaultConnection: {Connections: []Connection{{Name: "other"}}, Users: []User{{Email: "a@example.com"}}},
		"Options.Users[1] has the id, address, name or number of another": {Users: []User{{Email: "a@example.com"}, {Email: "a@example.com"}}},
		"a factor of type":     {Users: []User{{ID: "a", Factors: []Factor{{Type: "passkey"}}}}},
		"secret is not base32": {Users: []User{{ID: "a", Factors: []Factor{{Type: "totp", Secret: "1"}}}}},
	} {
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("error %v, want one that says %q", err, name)
		}
	}
	if _, err := New(Options{PlanName: "enterprise"}); err != nil {
		t.Errorf("a published plan by name: %v", err)
	}
}
