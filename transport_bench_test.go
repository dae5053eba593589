package auth0_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/headroom-go/auth0"
	"github.com/headroom-go/auth0/ratelimit"
)

// okBase answers at once and costs next to nothing.
type okBase struct{ header http.Header }

func (b *okBase) RoundTrip(req *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Header: b.header, Body: http.NoBody, Request: req}, nil
}

func benchClients(tb testing.TB) (plain, paced *http.Client) {
	tb.Helper()
	limiter, err := ratelimit.New(ratelimit.Options{Plan: &ratelimit.Plan{Name: "bench", Buckets: []ratelimit.Bucket{
		{Name: "all", API: "management", Role: ratelimit.RoleGlobal, Burst: 1_000_000, Rate: ratelimit.Rate{Count: 1_000_000, Per: time.Millisecond}, Matches: []ratelimit.Match{{Method: "*", Path: "/api/v2/*"}}},
		{Name: "users", API: "management", Burst: 1_000_000, Rate: ratelimit.Rate{Count: 1_000_000, Per: time.Millisecond}, Matches: []ratelimit.Match{{Method: "*", Path: "/api/v2/users/{id}"}}},
	}}})
	if err != nil {
		tb.Fatal(err)
	}
	base := &okBase{http.Header{"X-Ratelimit-Limit": {"1000000"}, "X-Ratelimit-Remaining": {"999999"}}}
	return &http.Client{Transport: base}, &http.Client{Transport: auth0.NewTransport(base, limiter)}
}

func exchange(tb testing.TB, c *http.Client, req *http.Request) {
	tb.Helper()
	resp, err := c.Do(req)
	if err != nil {
		tb.Fatal(err)
	}
	_ = resp.Body.Close()
}

// Beside the plain client a round trip may cost 8 allocations and 3
// microseconds more; the allocations are checked by TestTransportAllocations.
func BenchmarkRoundTrip(b *testing.B) {
	plain, paced := benchClients(b)
	for _, bb := range []struct {
		name   string
		client *http.Client
	}{{"plain", plain}, {"paced", paced}} {
		b.Run(bb.name, func(b *testing.B) {
			req := newRequest(b, "GET", "/api/v2/users/1", nil)
			b.ReportAllocs()
			for b.Loop() {
				exchange(b, bb.client, req)
			}
		})
		b.Run(bb.name+"/parallel", func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				req := newRequest(b, "GET", "/api/v2/users/1", nil)
				for pb.Next() {
					exchange(b, bb.client, req)
				}
			})
		})
	}
}

func BenchmarkCall(b *testing.B) {
	page := `{"start":0,"limit":50,"total":50,"users":[` + strings.TrimSuffix(strings.Repeat(`{"n":1},`, 50), ",") + `]}`
	c := newClient(b, func(*http.Request) (*http.Response, error) { return replyJSON(200, page), nil })
	b.ReportAllocs()
	for b.Loop() {
		if _, err := auth0.List[numbered](b.Context(), c, "/api/v2/users", nil, nil, userPaging(), nil); err != nil {
			b.Fatal(err)
		}
	}
}

// The budget of one round trip: 8 allocations over the plain client.
func TestTransportAllocations(t *testing.T) {
	plain, paced := benchClients(t)
	req := newRequest(t, "GET", "/api/v2/users/1", nil)
	for range 10 { // what is made once per route
		exchange(t, paced, req)
	}
	floor := testing.AllocsPerRun(200, func() { exchange(t, plain, req) })
	ours := testing.AllocsPerRun(200, func() { exchange(t, paced, req) })
	if ours > floor+8 {
		t.Errorf("%v allocations, the plain client makes %v; 8 more are the budget", ours, floor)
	}
}

// A large answer passes through without being gathered.
func TestTransportDoesNotGatherAnswers(t *testing.T) {
	const size = 64 << 20
	tr := auth0.NewTransport(stub(func(*http.Request) (*http.Response, error) {
		r := reply(200, nil, "")
		r.Body, r.ContentLength = io.NopCloser(io.LimitReader(zeros{}, size)), -1
		return r, nil
	}), roomy(t))
	resp, err := tr.RoundTrip(newRequest(t, "GET", "/api/v2/jobs/job_1", nil))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	buf := make([]byte, 1<<20)
	if allocs := testing.AllocsPerRun(20, func() { _, _ = resp.Body.Read(buf) }); allocs > 1 {
		t.Errorf("%v allocations a read", allocs)
	}
	if n, err := io.Copy(io.Discard, resp.Body); err != nil || n != size-21<<20 {
		t.Errorf("%d bytes left, %v", n, err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }
