package auth0test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/headroom-go/auth0/ratelimit"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// base is the URL of the tenant in these tests.
const base = "https://" + DefaultDomain

// begin is when the clocks of these tests start: a whole minute, and the moment
// that the published example of headers is about.
const begin = 1675452600

// clock is a clock that is moved by hand.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Unix(begin, 0)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// set moves the clock to a time counted from begin.
func (c *clock) set(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = time.Unix(begin, 0).Add(d)
}

// sleep passes the time at once.
func (c *clock) sleep(ctx context.Context, d time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	return ctx.Err()
}

// bucket is a tenant-wide bucket for one method and path.
func bucket(name string, burst, count int64, per time.Duration, method, path string) ratelimit.Bucket {
	return ratelimit.Bucket{
		Name: name, API: "management", Burst: burst, Rate: ratelimit.Rate{Count: count, Per: per},
		Matches: []ratelimit.Match{{Method: method, Path: path}},
	}
}

func global(b ratelimit.Bucket) ratelimit.Bucket {
	b.Role = ratelimit.RoleGlobal
	return b
}

func plan(buckets ...ratelimit.Bucket) *ratelimit.Plan {
	return &ratelimit.Plan{Name: "test", Buckets: buckets}
}

// mustTenant builds a tenant and checks when the test ends that no body was left open.
func mustTenant(t *testing.T, o Options) *Tenant {
	t.Helper()
	tenant, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if n := tenant.Report().Unclosed; n != 0 {
			t.Errorf("%d response bodies were left open", n)
		}
	})
	return tenant
}

// reply is an answer, read.
type reply struct {
	status int
	header http.Header
	body   string
}

// doc decodes the body.
func (r reply) doc(t *testing.T) map[string]any {
	t.Helper()
	var doc map[string]any
	if err := json.Unmarshal([]byte(r.body), &doc); err != nil {
		t.Fatalf("body %q: %v", r.body, err)
	}
	return doc
}

// limits returns the three x-ratelimit headers, reset counted from begin; -1 for
// those that are missing.
func (r reply) limits() [3]int64 {
	out := [3]int64{-1, -1, -1}
	for i, name := range []string{"X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"} {
		if n, err := strconv.ParseInt(r.header.Get(name), 10, 64); err == nil {
			out[i] = n
		}
	}
	if out[2] != -1 {
		out[2] -= begin
	}
	return out
}

// send sends a request in memory. Extra strings are header names and values in turn.
func send(t *testing.T, rt http.RoundTripper, method, target, body string, header ...string) reply {
	t.Helper()
	r, err := try(t.Context(), rt, method, target, body, header...)
	if err != nil {
		t.Fatalf("%s %s: %v", method, target, err)
	}
	return r
}

func try(ctx context.Context, rt http.RoundTripper, method, target, body string, header ...string) (reply, error) {
	if strings.HasPrefix(target, "/") {
		target = base + target
	}
	req, err := http.NewRequestWithContext(ctx, method, target, strings.NewReader(body))
	if err != nil {
		return reply{}, err
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := rt.RoundTrip(req)
	if err != nil {
		return reply{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return reply{}, err
	}
	return reply{resp.StatusCode, resp.Header, string(b)}, nil
}

func b64(s string) string { return base64.URLEncoding.EncodeToString([]byte(s)) }

// perSecond is a rate a second.
func perSecond(n int64) ratelimit.Rate { return ratelimit.Rate{Count: n, Per: time.Second} }
