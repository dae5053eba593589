package auth0test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jarcoal/httpmock"
)

func TestServer(t *testing.T) {
	t.Parallel()
	tenant := mustTenant(t, Options{Plan: plan(global(bucket("api", 3, 1, time.Hour, "*", "/api/v2/*")))})
	server := tenant.Server(t)
	rt := server.Client().Transport
	// The audience may be named by the host that the tenant is reached under.
	r := send(t, rt, "POST", server.URL+"/oauth/token", tokenForm(DefaultClientID, DefaultClientSecret, server.URL+"/api/v2/"), "Content-Type", formType)
	if r.status != 200 {
		t.Fatalf("token: %d %s", r.status, r.body)
	}
	bearer := []string{"Authorization", "Bearer " + r.doc(t)["access_token"].(string)}
	r = send(t, rt, "POST", server.URL+"/api/v2/users", "{"+connection+`,"email":"a@example.com","password":"x"}`, bearer...)
	if r.status != 201 || r.header.Get("X-Ratelimit-Remaining") != "2" || r.header.Get("Content-Type") != "application/json; charset=utf-8" {
		t.Errorf("create: %d %v %s", r.status, r.header, r.body)
	}
	id := strings.ReplaceAll(r.doc(t)["user_id"].(string), "|", "%7C")
	if r := send(t, rt, "DELETE", server.URL+"/api/v2/users/"+id, "", bearer...); r.status != 204 || r.body != "" {
		t.Errorf("delete: %d %q", r.status, r.body)
	}
	send(t, rt, "GET", server.URL+"/api/v2/users", "", bearer...)
	if r := send(t, rt, "GET", server.URL+"/api/v2/users", "", bearer...); r.status != 429 {
		t.Errorf("the fourth request: %d", r.status)
	}
	var report Report
	if err := json.Unmarshal([]byte(send(t, rt, "GET", server.URL+ReportPath, "").body), &report); err != nil {
		t.Fatal(err)
	}
	if b := report.Bucket("api"); report.Requests != 5 || report.Rejected != 1 || b == nil || b.Taken != 3 || b.Available != 3 || b.Used != 1 {
		t.Errorf("report %+v", report)
	}
	if r := send(t, rt, "POST", server.URL+ReportPath, ""); r.status != http.StatusMethodNotAllowed {
		t.Errorf("POST of the report: %d", r.status)
	}
}

func TestServerLosesConnections(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		faults Faults
		users  int
	}{{Faults{LoseRequest: 1}, 0}, {Faults{LoseAnswer: 1}, 1}} {
		tenant := mustTenant(t, Options{AnyToken: true, Faults: tt.faults})
		server := tenant.Server(t)
		_, err := try(t.Context(), server.Client().Transport, "POST", server.URL+"/api/v2/users", "{"+connection+`,"email":"a@example.com","password":"x"}`)
		if err == nil {
			t.Errorf("%+v: an answer came", tt.faults)
		}
		if got := tenant.Report().Users; got != tt.users {
			t.Errorf("%+v: %d users, want %d", tt.faults, got, tt.users)
		}
	}
}

func TestServe(t *testing.T) {
	t.Parallel()
	arrived := make(chan struct{})
	var once sync.Once
	tenant := mustTenant(t, Options{
		AnyToken: true, Faults: Faults{Down: Delay{Base: 50 * time.Millisecond}},
		Observe: func(Event) { once.Do(func() { close(arrived) }) },
	})
	l, err := Listen(t.Context(), ":0")
	if err != nil {
		t.Fatal(err)
	}
	host, _, err := net.SplitHostPort(l.Addr().String())
	if err != nil || host != "127.0.0.1" {
		t.Errorf("listens on %v, want this machine only", l.Addr())
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	served := make(chan error, 1)
	go func() { served <- tenant.Serve(ctx, l) }()
	var rt http.Transport
	defer rt.CloseIdleConnections()
	// A request under way when the context ends is still answered.
	under := make(chan reply, 1)
	go func() {
		r, err := try(context.WithoutCancel(ctx), &rt, "GET", "http://"+l.Addr().String()+"/api/v2/users", "")
		if err != nil {
			t.Errorf("the request under way: %v", err)
		}
		under <- r
	}()
	<-arrived
	stop()
	if r := <-under; r.status != 200 {
		t.Errorf("the request under way: %d", r.status)
	}
	if err := <-served; err != nil {
		t.Errorf("Serve: %v", err)
	}
	var d net.Dialer
	if _, err := d.DialContext(t.Context(), "tcp", l.Addr().String()); err == nil {
		t.Error("the port is still open")
	}
}

func TestListenAndServeReportsAddressesInUse(t *testing.T) {
	t.Parallel()
	l, err := Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	if err := mustTenant(t, Options{}).ListenAndServe(t.Context(), l.Addr().String()); err == nil {
		t.Error("two servers on one port")
	}
}

func TestListenAndServeEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	stop()
	tenant := mustTenant(t, Options{Domain: "mine.example"})
	if err := tenant.ListenAndServe(ctx, "127.0.0.1:0"); err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("ListenAndServe: %v", err)
	}
	if tenant.Domain() != "mine.example" || tenant.String() != "auth0test tenant mine.example" {
		t.Errorf("%s at %s", tenant, tenant.Domain())
	}
}

func TestReportInMemory(t *testing.T) {
	t.Parallel()
	clock := newClock()
	tenant := mustTenant(t, Options{
		Plan: plan(bucket("b", 5, 10, time.Second, "GET", "/api/v2/*"), bucket("unused", 5, 1, time.Second, "PUT", "/x")), Clock: clock.Now, AnyToken: true,
	})
	for _, ms := range []int{0, 10, 20, 30, 40, 50, 110, 150, 210} { // the published example
		clock.set(time.Duration(ms) * time.Millisecond)
		send(t, tenant, "GET", "/api/v2/x", "")
	}
	var r Report
	if err := json.Unmarshal([]byte(send(t, tenant, "GET", ReportPath, "").body), &r); err != nil {
		t.Fatal(err)
	}
	// 5 at the start and 10 a second for 0.21 s: 7 could have been taken, and were.
	b := r.Bucket("b")
	if r.Requests != 9 || r.Accepted != 7 || r.Rejected != 2 || b.Taken != 7 || b.Rejected != 2 || b.Available != 7 || b.Used != 1 {
		t.Errorf("report %+v", r)
	}
	if r.Bucket("unused") != nil || len(r.Buckets) != 1 || r.Plan != "test" {
		t.Errorf("report %+v", r)
	}
	if r.ByStatus[404] != 7 || r.ByStatus[429] != 2 || r.RejectedByForm["management"] != 2 {
		t.Errorf("by status %v, by form %v", r.ByStatus, r.RejectedByForm)
	}
	if r.First.Unix() != begin || r.Last.Sub(r.First) != 210*time.Millisecond {
		t.Errorf("from %v to %v", r.First, r.Last)
	}
	if r := mustTenant(t, Options{}).Report(); !r.First.IsZero() || r.Requests != 0 || len(r.Buckets) != 0 {
		t.Errorf("report of nothing: %+v", r)
	}
}

// What could have been taken counts from the first request to the last, also
// when the limit changes between them.
func TestAvailable(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name      string
		o         Options
		at        []time.Duration
		available int64
	}{
		{"one request", Options{}, []time.Duration{time.Hour}, 50},
		{"a second", Options{}, []time.Duration{time.Minute, time.Minute + time.Second}, 50 + 16},
		{"half full", Options{Empty: 0.5}, []time.Duration{0, time.Second}, 25 + 16},
		{"windows", Options{Refill: RefillWindows}, []time.Duration{300 * time.Millisecond, 2299 * time.Millisecond}, 50 + 16},
		{"topped up", Options{Refill: RefillTopUp}, []time.Duration{300 * time.Millisecond, 2300 * time.Millisecond}, 50 + 100},
		{"ticking", Options{Refill: RefillTicking}, []time.Duration{0, 1062500 * time.Microsecond}, 50 + 16}, // 17 a tick later
		{"raised", Options{Changes: []Change{{At: time.Second, Bucket: "b", Burst: 80, Rate: perSecond(32)}}}, []time.Duration{0, 2 * time.Second}, 50 + 16 + 30 + 32},
		{"cut", Options{Changes: []Change{{At: time.Second, Bucket: "b", Burst: 10, Rate: perSecond(1)}}}, []time.Duration{0, 3 * time.Second}, 50 + 16 + 2},
	} {
		clock := newClock()
		tt.o.Plan, tt.o.Clock, tt.o.AnyToken = plan(bucket("b", 50, 16, time.Second, "GET", "/api/v2/*")), clock.Now, true
		tenant := mustTenant(t, tt.o)
		for _, at := range tt.at {
			clock.set(at)
			send(t, tenant, "GET", "/api/v2/x", "")
		}
		clock.set(10 * time.Hour) // what comes after the last request does not count
		if got := tenant.Report().Bucket("b").Available; got != tt.available {
			t.Errorf("%s: available %d, want %d", tt.name, got, tt.available)
		}
	}
}

func TestUnclosedBodiesAreCounted(t *testing.T) {
	t.Parallel()
	tenant := MustNew(Options{AnyToken: true})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+"/api/v2/users", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := tenant.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	if got := tenant.Report().Unclosed; got != 1 {
		t.Errorf("%d, want 1", got)
	}
	if err := resp.Body.Close(); err != nil {
		t.Error(err)
	}
	if n, err := resp.Body.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("a closed body gives %d bytes, %v", n, err)
	}
	if got := tenant.Report().Unclosed; got != 0 {
		t.Errorf("%d, want 0", got)
	}
}

func TestHeadAndHugeBodies(t *testing.T) {
	t.Parallel()
	tenant := mustTenant(t, Options{AnyToken: true})
	if r := send(t, tenant, "HEAD", "/api/v2/users", ""); r.body != "" || r.header.Get("Content-Length") == "0" {
		t.Errorf("HEAD: %d, %q, %v", r.status, r.body, r.header)
	}
	if r := send(t, tenant, "POST", "/api/v2/users", strings.Repeat("x", bodyMax+1)); r.status != 413 {
		t.Errorf("a body of more than 16 MB: %d", r.status)
	}
	if r := send(t, tenant, "GET", "/somewhere", "", "Accept", "text/html"); r.status != 404 || !strings.HasPrefix(r.body, "<!DOCTYPE") {
		t.Errorf("a browser: %d %s", r.status, r.body)
	}
}

func TestConcurrentCallers(t *testing.T) {
	t.Parallel()
	tenant := mustTenant(t, Options{
		Plan: plan(global(bucket("api", 300, 1, time.Hour, "*", "/api/v2/*"))), AnyToken: true, RetryAfter: true,
		Faults:    Faults{Stale: 0.2, Missing: 0.1, LoseAnswer: 0.1, Fail: 0.1},
		Consumers: []Consumer{{Bucket: "api", Rate: perSecond(5), Poisson: true}},
	})
	var wg sync.WaitGroup
	for w := range 16 {
		wg.Go(func() {
			for i := range 50 {
				body := "{" + connection + `,"email":"u` + string(rune('a'+w)) + string(rune('a'+i%26)) + `@example.com","password":"x"}`
				_, _ = try(t.Context(), tenant, "POST", "/api/v2/users", body)
				if i%10 == 0 {
					tenant.Report()
					tenant.SetFaults(Faults{Stale: 0.5, LoseRequest: 0.1})
					tenant.SetLimit("api", 300, perSecond(1))
				}
			}
		})
	}
	wg.Wait()
	r := tenant.Report()
	if r.Requests != r.Accepted+r.Rejected || r.Requests+r.LostRequests != 800 || r.Bucket("api").Taken != r.Accepted {
		t.Errorf("report %+v", r)
	}
}

func TestResponders(t *testing.T) {
	t.Parallel()
	tenant := mustTenant(t, Options{AnyToken: true})
	mock := httpmock.NewMockTransport()
	mock.RegisterNoResponder(tenant.Responder())
	mock.RegisterResponder("GET", base+"/api/v2/clients", RateLimited(FormManagement, Headers{Limit: 5, Reset: time.Unix(begin, 1), RetryAfter: 1500 * time.Millisecond}))
	mock.RegisterResponder("GET", base+"/api/v2/roles", JSON(200, []map[string]string{{"id": "rol_1"}}, Headers{Limit: 10, Remaining: 9}))
	mock.RegisterResponder("DELETE", base+"/api/v2/roles/1", JSON(204, nil))
	mock.RegisterResponder("GET", base+"/api/v2/raw", JSON(200, `{"a":1}`))
	mock.RegisterResponder("GET", base+"/api/v2/gone", Error(404, "inexistent_role", "The role does not exist."))
	mock.RegisterResponder("GET", base+"/api/v2/lost", Lost())
	for range 2 { // a stub answers any number of times
		r := send(t, mock, "GET", "/api/v2/clients", "")
		if r.status != 429 || r.limits() != [3]int64{5, 0, 1} || r.header.Get("Retry-After") != "2" || r.body != string(FormManagement.Body()) {
			t.Errorf("rejection: %d %v %s", r.status, r.header, r.body)
		}
	}
	if r := send(t, mock, "GET", "/api/v2/roles", ""); r.status != 200 || r.limits() != [3]int64{10, 9, -1} || r.body != `[{"id":"rol_1"}]` {
		t.Errorf("document: %d %v %s", r.status, r.header, r.body)
	}
	if r := send(t, mock, "DELETE", "/api/v2/roles/1", ""); r.status != 204 || r.body != "" || r.header.Get("Content-Type") != "" {
		t.Errorf("no content: %d %v %q", r.status, r.header, r.body)
	}
	if r := send(t, mock, "GET", "/api/v2/raw", ""); r.body != `{"a":1}` {
		t.Errorf("raw: %s", r.body)
	}
	fails(t, send(t, mock, "GET", "/api/v2/gone", ""), 404, "inexistent_role", "The role does not exist.")
	if _, err := try(t.Context(), mock, "GET", "/api/v2/lost", ""); err == nil {
		t.Error("an answer came over a broken connection")
	}
	if r := send(t, mock, "GET", "/api/v2/users", ""); r.status != 200 || r.body != "[]" {
		t.Errorf("the tenant's own: %d %s", r.status, r.body)
	}
	if got := tenant.Report().Requests; got != 1 {
		t.Errorf("the tenant saw %d requests, want 1", got)
	}
	for _, f := range Forms() {
		resp, err := RateLimited(f)(&http.Request{Method: http.MethodGet})
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != f.Status() || string(body) != string(f.Body()) || resp.Header.Get("Content-Type") != f.ContentType() || resp.Header.Get("X-Ratelimit-Limit") != "" {
			t.Errorf("%v: %d %v %s %v", f, resp.StatusCode, resp.Header, body, err)
		}
		if err := resp.Body.Close(); err != nil {
			t.Error(err)
		}
	}
}

// A tenant that was made outside of a bubble says so inside: its time would stand
// still, and its buckets never fill again.
func TestTenantOfAnotherTime(t *testing.T) {
	t.Parallel()
	outside := MustNew(Options{PlanName: "free"})
	synctest.Test(t, func(t *testing.T) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://tenant.auth0.test/api/v2/users", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		res, err := outside.RoundTrip(r)
		if err == nil {
			_ = res.Body.Close()
		}
		if err == nil || !strings.Contains(err.Error(), "make the tenant inside the bubble") {
			t.Errorf("%v", err)
		}
		if outside.Report().Requests != 0 {
			t.Error("the request was counted")
		}
	})
}
