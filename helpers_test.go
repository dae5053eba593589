package auth0_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/headroom-go/auth0"
	"github.com/headroom-go/auth0/ratelimit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// stub is a base transport made of a function. Like a real one it closes the
// body of the request.
type stub func(*http.Request) (*http.Response, error)

func (s stub) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body != nil {
		defer func() { _ = req.Body.Close() }()
	}
	resp, err := s(req)
	if resp != nil && resp.Request == nil {
		resp.Request = req
	}
	return resp, err
}

func reply(status int, h http.Header, body string) *http.Response {
	if h == nil {
		h = http.Header{}
	}
	return &http.Response{
		StatusCode: status, Status: http.StatusText(status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: h, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)),
	}
}

func replyJSON(status int, body string) *http.Response {
	return reply(status, http.Header{"Content-Type": {"application/json"}}, body)
}

// roomy is a limiter that holds nothing back until a server rejects: its one
// bucket is of a path that no test asks for.
func roomy(tb testing.TB) *ratelimit.Limiter {
	tb.Helper()
	l, err := ratelimit.New(ratelimit.Options{Plan: &ratelimit.Plan{Name: "roomy", Buckets: []ratelimit.Bucket{{
		Name: "other", API: "management", Burst: 1, Rate: ratelimit.Rate{Count: 1, Per: time.Second},
		Matches: []ratelimit.Match{{Method: "GET", Path: "/not/asked/for"}},
	}}}})
	if err != nil {
		tb.Fatal(err)
	}
	return l
}

// newClient returns a client that sends through s, with a fixed token and a
// limiter that does not hold it back unless options say otherwise.
func newClient(tb testing.TB, s stub, opts ...auth0.Option) *auth0.Client {
	tb.Helper()
	base := []auth0.Option{
		auth0.WithHTTPClient(&http.Client{Transport: s}),
		auth0.WithLimiter(roomy(tb)),
		auth0.WithToken("fixed-token"),
	}
	c, err := auth0.New("example.auth0.com", append(base, opts...)...)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// result is an answer whose body was read to its end and closed.
type result struct {
	status int
	body   string
	info   auth0.RateLimit
	known  bool // info says anything
}

// fetch sends one request through rt, as http.Client does.
func fetch(tb testing.TB, rt http.RoundTripper, req *http.Request) (result, error) {
	tb.Helper()
	resp, err := (&http.Client{Transport: rt}).Do(req)
	if err != nil {
		return result{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	return read(tb, resp), nil
}

// roundTrip sends one request through rt alone.
func roundTrip(tb testing.TB, rt http.RoundTripper, req *http.Request) (result, error) {
	tb.Helper()
	resp, err := rt.RoundTrip(req)
	if err != nil {
		return result{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	return read(tb, resp), nil
}

func read(tb testing.TB, resp *http.Response) result {
	tb.Helper()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		tb.Error(err)
	}
	info, known := auth0.RateLimitFrom(resp)
	return result{resp.StatusCode, string(b), info, known}
}

// newRequest returns a request under the test's context. A path alone is of
// the tenant that all tests use.
func newRequest(tb testing.TB, method, url string, body io.Reader) *http.Request {
	tb.Helper()
	if strings.HasPrefix(url, "/") {
		url = "https://example.auth0.com" + url
	}
	req, err := http.NewRequestWithContext(tb.Context(), method, url, body)
	if err != nil {
		tb.Fatal(err)
	}
	return req
}
