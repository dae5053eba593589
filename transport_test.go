package auth0_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headroom-go/auth0"
	"github.com/headroom-go/auth0/ratelimit"
)

const busyBody = `{"statusCode":429,"error":"Too Many Requests","message":"There are 2 active import users jobs, please wait until some of them are finished and try again"}`

// rejectedOnce answers the first n requests with status and body, the rest with
// 200 "fine", and counts all.
func rejectedFirst(n, status int, h http.Header, body string) (stub, *int) {
	sent := 0
	return func(req *http.Request) (*http.Response, error) {
		if req.Body != nil {
			_, _ = io.Copy(io.Discard, req.Body)
		}
		if sent++; sent <= n {
			return reply(status, h.Clone(), body), nil
		}
		return reply(200, nil, "fine"), nil
	}, &sent
}

func TestTransportRejectionForms(t *testing.T) {
	t.Parallel()
	jsonHeader := http.Header{"Content-Type": {"application/json"}}
	zipHeader := http.Header{"Content-Type": {"application/json"}, "Content-Encoding": {"gzip"}}
	tests := []struct {
		name   string
		status int
		header http.Header
		body   string
		again  bool // a rejection by a rate limit, so sent again
	}{
		{"Management", 429, jsonHeader, `{"statusCode":429,"error":"Too Many Requests","message":"Global limit has been reached","errorCode":"too_many_requests"}`, true},
		{"OAuth", 429, jsonHeader, `{"error":"too_many_requests","error_description":"Rate limit exceeded. Please retry after some time."}`, true},
		{"My Organization", 429, http.Header{"Content-Type": {"application/problem+json"}}, `{"type":"https://auth0.com/api-errors#A0E-429-0003","status":429,"title":"Endpoint Rate Limit Exceeded","detail":"The endpoint request limit has been exceeded."}`, true},
		{"client quota", 429, http.Header{"Retry-After": {"2"}, "Auth0-Client-Quota-Limit": {"b=per_hour;q=10;r=0;t=2"}}, `{"error":"too_many_requests","error_description":"Client quota exceeded"}`, true},
		{"import jobs", 429, jsonHeader, busyBody, true},
		{"empty", 429, nil, "", true},
		{"array", 429, jsonHeader, `["odd"]`, true},
		{"broken JSON", 429, jsonHeader, `{"error":"too_many_requests"`, true},
		{"redirect to an error page", 302, http.Header{"Location": {"https://app.example.com/oops?error=access_denied&error_description=Global%20rate%20limit%20exceeded"}}, "", true},
		{"redirect by code", 302, http.Header{"Location": {"/oops?error=too_many_requests"}}, "", true},
		{"WS-Trust without a content type", 500, nil, `<Fault><Subcode><Value>wst:RequestFailed</Value></Subcode><Text>Global rate limit exceeded</Text></Fault>`, false},
		{"brute force protection", 429, jsonHeader, `{"error":"too_many_attempts","error_description":"Your account has been blocked after multiple consecutive login attempts."}`, false},
		{"brute force protection of connections", 429, jsonHeader, `{"name":"ValidationError","code":"too_many_attempts"}`, false},
		{"brute force protection, zipped", 429, zipHeader, zipped(t, `{"error":"too_many_attempts"}`), false},
		{"polling, zipped", 429, zipHeader, zipped(t, `{"error":"slow_down"}`), false},
		{"zipped", 429, zipHeader, zipped(t, `{"error":"too_many_requests"}`), true},
		{"polling", 429, jsonHeader, `{"error":"slow_down","error_description":"You are polling faster than allowed. Try again in 5 seconds."}`, false},
		{"other SOAP fault", 500, http.Header{"Content-Type": {"application/soap+xml"}}, `<Fault><Subcode><Value>wst:RequestFailed</Value></Subcode><Text>No such user</Text></Fault>`, false},
		{"server error that talks of limits", 500, jsonHeader, `{"message":"rate limit service failed"}`, false},
		{"redirect to another error", 302, http.Header{"Location": {"/oops?error=access_denied&error_description=No%20such%20client"}}, "", false},
		{"redirect of a polling error", 302, http.Header{"Location": {"/oops?error=slow_down&error_description=rate%20limit"}}, "", false},
		{"plain redirect", 302, http.Header{"Location": {"/u/login?state=error"}}, "", false},
		{"forbidden", 403, jsonHeader, `{"error":"access_denied","error_description":"Global rate limit exceeded"}`, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				base, sent := rejectedFirst(1, tt.status, tt.header, tt.body)
				tr := auth0.NewTransport(base, roomy(t))
				req := newRequest(t, "GET", "/authorize", nil)
				got, err := roundTrip(t, tr, req)
				if err != nil {
					t.Fatal(err)
				}
				if tt.again {
					if *sent != 2 || got.body != "fine" {
						t.Errorf("sent %d times, answer %q", *sent, got.body)
					}
					return
				}
				if *sent != 1 || got.status != tt.status || got.body != tt.body {
					t.Errorf("sent %d times, %d %q; it had to be handed back as it came", *sent, got.status, got.body)
				}
				if got.info.Rejected {
					t.Error("counted as a rejection by a rate limit")
				}
			})
		})
	}
}

// zipped is a body as it comes to callers that asked for gzip themselves, such as
// a reverse proxy on behalf of a browser.
func zipped(tb testing.TB, body string) string {
	tb.Helper()
	var b strings.Builder
	w := gzip.NewWriter(&b)
	if _, err := io.WriteString(w, body); err != nil {
		tb.Fatal(err)
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return b.String()
}

// A 429 in an encoding that is not read may be one that must not be sent again.
func TestTransportHandsBackWhatItCannotRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		base, sent := rejectedFirst(1, 429, http.Header{"Content-Encoding": {"br"}}, "\x0b\x02\x80{}\x03")
		got, err := roundTrip(t, auth0.NewTransport(base, roomy(t)), newRequest(t, "POST", "/oauth/token", nil))
		if err != nil || *sent != 1 || got.status != 429 || got.body != "\x0b\x02\x80{}\x03" {
			t.Errorf("sent %d times: %+v, %v", *sent, got, err)
		}
	})
}

// What cannot be sent again is handed back complete, with its facts.
func TestTransportHandsBackWhatItCannotReplay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		long := `{"error":"too_many_requests","pad":"` + strings.Repeat("x", 100_000) + `"}`
		h := http.Header{"X-Ratelimit-Limit": {"50"}, "X-Ratelimit-Remaining": {"0"}, "X-Ratelimit-Reset": {"1675452600"}, "Retry-After": {"7"}}
		sent := 0
		// The answer comes before the body was read, as servers may do.
		tr := auth0.NewTransport(stub(func(*http.Request) (*http.Response, error) { sent++; return reply(429, h, long), nil }), roomy(t))
		pr, pw := io.Pipe()
		defer func() { _ = pw.Close() }()
		req := newRequest(t, "POST", "/api/v2/users", pr)
		got, err := roundTrip(t, tr, req)
		if err != nil {
			t.Fatal(err)
		}
		if got.body != long || sent != 1 {
			t.Errorf("sent %d times; body of %d bytes, want %d", sent, len(got.body), len(long))
		}
		info := got.info
		if !info.Rejected || info.Limit != 50 || info.Remaining != 0 || info.RetryAfter != 7*time.Second || !info.Reset.Equal(time.Unix(1675452600, 0)) {
			t.Errorf("facts %+v", info)
		}
	})
}

// A streamed body is kept while it is sent, up to 64 KiB, and sent again.
func TestTransportReplaysSmallStreams(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		size int
		want int
	}{{1, 2}, {64 << 10, 2}, {64<<10 + 1, 1}} {
		t.Run(strconv.Itoa(tt.size), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				payload := strings.Repeat("a", tt.size)
				var bodies []string
				tr := auth0.NewTransport(stub(func(req *http.Request) (*http.Response, error) {
					b, err := io.ReadAll(req.Body)
					if err != nil {
						t.Error(err)
					}
					if bodies = append(bodies, string(b)); len(bodies) == 1 {
						return reply(429, nil, ""), nil
					}
					return reply(201, nil, ""), nil
				}), roomy(t))
				src := &trackedBody{Reader: strings.NewReader(payload)}
				req := newRequest(t, "POST", "/api/v2/users", src)
				if _, err := roundTrip(t, tr, req); err != nil {
					t.Fatal(err)
				}
				if len(bodies) != tt.want {
					t.Fatalf("sent %d times, want %d", len(bodies), tt.want)
				}
				for i, b := range bodies {
					if b != payload {
						t.Errorf("body %d has %d bytes, want %d", i, len(b), tt.size)
					}
				}
				if src.closed.Load() == 0 {
					t.Error("the caller's body was not closed")
				}
			})
		})
	}
}

type trackedBody struct {
	io.Reader
	closed atomic.Int32
}

func (b *trackedBody) Close() error { b.closed.Add(1); return nil }

func TestTransportStopsAfterMaxRejections(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ most, want int }{{0, auth0.DefaultMaxRejections + 1}, {3, 4}, {-1, 1}} {
		t.Run(strconv.Itoa(tt.most), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				base, sent := rejectedFirst(1000, 429, nil, `{"error":"too_many_requests"}`)
				tr := auth0.NewTransport(base, roomy(t))
				tr.MaxRejections = tt.most
				req := newRequest(t, "GET", "/api/v2/users", nil)
				got, err := roundTrip(t, tr, req)
				if err != nil {
					t.Fatal(err)
				}
				if *sent != tt.want || got.status != http.StatusTooManyRequests || got.body != `{"error":"too_many_requests"}` || !got.info.Rejected || got.info.Rejections != tt.want-1 {
					t.Errorf("sent %d times, want %d; %+v", *sent, tt.want, got)
				}
			})
		})
	}
}

// The body of a rejection is closed before the request is sent again.
func TestTransportClosesRejections(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		first := &trackedBody{Reader: strings.NewReader(strings.Repeat("z", 20_000))}
		sent := 0
		tr := auth0.NewTransport(stub(func(*http.Request) (*http.Response, error) {
			if sent++; sent == 1 {
				r := reply(429, nil, "")
				r.Body, r.ContentLength = first, -1
				return r, nil
			}
			if first.closed.Load() != 1 {
				t.Error("the rejection's body was open while the request was sent again")
			}
			return reply(200, nil, ""), nil
		}), roomy(t))
		req := newRequest(t, "GET", "/api/v2/users", nil)
		if _, err := roundTrip(t, tr, req); err != nil {
			t.Fatal(err)
		}
		if n, _ := first.Read(make([]byte, 1)); n != 0 {
			t.Error("the rejection was not drained, so its connection is lost")
		}
	})
}

func TestTransportDoesNotTouchTheRequest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		base, _ := rejectedFirst(2, 429, nil, "")
		tr := auth0.NewTransport(base, roomy(t))
		req := newRequest(t, "POST", "/api/v2/users?a=b", strings.NewReader(`{"email":"x"}`))
		req.Header.Set("X-Own", "1")
		before, body, url, header := *req, req.Body, *req.URL, req.Header.Clone()
		if _, err := roundTrip(t, tr, req); err != nil {
			t.Fatal(err)
		}
		if req.Body != body || *req.URL != url || req.Context() != before.Context() || req.Method != before.Method || req.ContentLength != before.ContentLength {
			t.Error("the request was changed")
		}
		if len(req.Header) != len(header) || req.Header.Get("X-Own") != "1" {
			t.Errorf("the header was changed: %v", req.Header)
		}
	})
}

func TestTransportClosesTheBodyWhenNotAdmitted(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	body := &trackedBody{Reader: strings.NewReader("x")}
	tr := auth0.NewTransport(stub(func(*http.Request) (*http.Response, error) {
		t.Error("sent although its context had ended")
		return reply(200, nil, ""), nil
	}), roomy(t))
	req := newRequest(t, "POST", "/api/v2/users", body).WithContext(ctx)
	if _, err := roundTrip(t, tr, req); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
	if body.closed.Load() == 0 {
		t.Error("the body was left open")
	}
}

// A body that is looked into and stalls does not hold the call past its context.
func TestTransportCancelsWhileReadingTheBody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		tr := auth0.NewTransport(stub(func(*http.Request) (*http.Response, error) {
			t.Error("sent although its context had ended")
			return reply(200, nil, ""), nil
		}), roomy(t))
		pr, pw := io.Pipe()
		go func() {
			time.Sleep(time.Hour)
			_ = pw.Close()
		}()
		req := newRequest(t, "POST", "/oauth/token", pr).WithContext(ctx)
		req.Header.Set("Content-Type", "application/json")
		start := time.Now()
		if _, err := roundTrip(t, tr, req); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("%v after %v, want the end of the context after a second", err, time.Since(start))
		}
		time.Sleep(time.Hour) // for the writer
	})
}

// Answers stream: the beginning is there before the end was written.
func TestTransportStreams(t *testing.T) {
	t.Parallel()
	next := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "one")
		_ = http.NewResponseController(w).Flush()
		<-next
		_, _ = io.WriteString(w, "two")
	}))
	defer srv.Close()
	tr := auth0.NewTransport(srv.Client().Transport, roomy(t))
	resp, err := tr.RoundTrip(newRequest(t, "GET", srv.URL+"/api/v2/jobs/job_1", nil))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	buf := make([]byte, 3)
	if _, err := io.ReadFull(resp.Body, buf); err != nil || string(buf) != "one" {
		t.Fatalf("%q, %v", buf, err)
	}
	close(next)
	if rest, err := io.ReadAll(resp.Body); err != nil || string(rest) != "two" {
		t.Errorf("rest %q, %v", rest, err)
	}
	tr.CloseIdleConnections()
}

// CloseIdleConnections reaches the base.
func TestTransportForwardsCloseIdleConnections(t *testing.T) {
	t.Parallel()
	base := &idleCounter{}
	(&http.Client{Transport: auth0.NewTransport(base, roomy(t))}).CloseIdleConnections()
	if base.n != 1 {
		t.Errorf("called %d times", base.n)
	}
}

type idleCounter struct {
	http.RoundTripper
	n int
}

func (c *idleCounter) CloseIdleConnections() { c.n++ }

// The zero value keeps one limiter per host, and answers of one host do not
// touch the other.
func TestTransportZeroValue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		base, sent := rejectedFirst(0, 0, nil, "")
		tr := &auth0.Transport{Base: base}
		for _, host := range []string{"a.auth0.com", "A.auth0.com", "b.auth0.com"} {
			if _, err := fetch(t, tr, newRequest(t, "GET", "https://"+host+"/api/v2/clients", nil)); err != nil {
				t.Fatal(err)
			}
		}
		if *sent != 3 {
			t.Errorf("sent %d", *sent)
		}
	})
}

// tracedStub reports its progress like http.Transport, and fails before or
// after the first byte.
func tracedStub(wrote bool, err error) stub {
	return func(req *http.Request) (*http.Response, error) {
		if tr := httptrace.ContextClientTrace(req.Context()); tr != nil {
			tr.GetConn("example.auth0.com:443")
			if wrote {
				tr.WroteHeaders()
			}
		}
		return nil, err
	}
}

// A POST is repeated by the client only when it never left: the flag behind it
// is the one that gives tokens back to the limiter.
func TestTransportTellsWhetherARequestLeft(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		base stub
		want int
	}{
		{"before the first byte", tracedStub(false, &net.OpError{Op: "dial", Err: errors.New("connection refused")}), 3},
		{"after the first byte", tracedStub(true, io.ErrUnexpectedEOF), 1},
		{"unknown", func(*http.Request) (*http.Response, error) { return nil, io.ErrUnexpectedEOF }, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				sent := 0
				c := newClient(t, func(r *http.Request) (*http.Response, error) { sent++; return tt.base(r) })
				_, err := auth0.Call[auth0.NoContent](t.Context(), c, "POST", "/api/v2/users", nil, nil, map[string]string{}, nil)
				var e *auth0.Error
				if !errors.As(err, &e) || e.Status != 0 || e.Attempts != tt.want || sent != tt.want {
					t.Errorf("sent %d times, want %d; error %v", sent, tt.want, err)
				}
			})
		})
	}
}

// A request that was answered with a redirect has left, though the next one did not.
func TestCallIsNotRepeatedForItsRedirect(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		posts := 0
		c := newClient(t, func(r *http.Request) (*http.Response, error) {
			if r.Method == http.MethodPost {
				posts++
				return reply(303, http.Header{"Location": {"/api/v2/made/1"}}, ""), nil
			}
			return tracedStub(false, &net.OpError{Op: "dial", Err: errors.New("connection refused")})(r)
		})
		_, err := auth0.Call[auth0.NoContent](t.Context(), c, "POST", "/api/v2/x", nil, nil, map[string]string{}, nil)
		if err == nil || posts != 1 || errors.Is(err, auth0.ErrNotSent) {
			t.Errorf("posted %d times: %v", posts, err)
		}
	})
}

// A real dial error counts as one that never left.
func TestTransportDialErrorNeverLeft(t *testing.T) {
	t.Parallel()
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	_ = ln.Close()
	c, err := auth0.New("http://"+addr, auth0.WithLimiter(roomy(t)), auth0.WithRetryDelays(time.Millisecond, time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseIdleConnections()
	_, err = auth0.Call[auth0.NoContent](t.Context(), c, "POST", "/api/v2/users", nil, nil, map[string]string{}, nil)
	var e *auth0.Error
	if !errors.As(err, &e) || e.Attempts != 3 {
		t.Errorf("error %v; a POST that never left is repeated twice", err)
	}
}

// The answer that starts a job is read by the throttle and by the caller; so is
// the one that tells its end.
func TestTransportFollowsImportJobs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const created, completed = `{"id":"job_1","type":"users_import","status":"pending"}`, `{"id":"job_1","status":"completed"}`
		tr := auth0.NewTransport(stub(func(req *http.Request) (*http.Response, error) {
			if req.Method == http.MethodPost {
				return replyJSON(202, created), nil
			}
			return replyJSON(200, completed), nil
		}), roomy(t))
		for range 2 {
			got, err := fetch(t, tr, newRequest(t, "POST", "/api/v2/jobs/users-imports", strings.NewReader("--x--")))
			if err != nil || got.body != created {
				t.Errorf("created %q, %v", got.body, err)
			}
			got, err = fetch(t, tr, newRequest(t, "GET", "/api/v2/jobs/job_1", nil))
			if err != nil || got.body != completed {
				t.Errorf("completed %q, %v", got.body, err)
			}
		}
	})
}

// A third import job waits for one of the two slots of a plan that has two,
// and leaves as soon as a poll shows the end of one.
func TestTransportWaitsForAnImportSlot(t *testing.T) {
	t.Parallel()
	t.Run("plain", func(t *testing.T) {
		t.Parallel()
		waitForAnImportSlot(t, replyJSON)
	})
	t.Run("zipped", func(t *testing.T) {
		t.Parallel()
		waitForAnImportSlot(t, func(status int, body string) *http.Response {
			return reply(status, http.Header{"Content-Encoding": {"gzip"}}, zipped(t, body))
		})
	})
}

func waitForAnImportSlot(t *testing.T, replyJSON func(int, string) *http.Response) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		limiter, err := ratelimit.New(ratelimit.Options{Plan: &ratelimit.Plan{Name: "jobs", Buckets: []ratelimit.Bucket{{
			Name: "import jobs", API: "management", Concurrent: 2,
			Matches: []ratelimit.Match{{Method: "POST", Path: "/api/v2/jobs/users-imports"}},
		}}}})
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		tr := auth0.NewTransport(stub(func(req *http.Request) (*http.Response, error) {
			if req.Method == http.MethodPost {
				n++
				return replyJSON(202, `{"id":"job_`+strconv.Itoa(n)+`","status":"pending"}`), nil
			}
			return replyJSON(200, `{"id":"job_1","status":"failed"}`), nil
		}), limiter)
		post := func() {
			if _, err := fetch(t, tr, newRequest(t, "POST", "/api/v2/jobs/users-imports", strings.NewReader("x"))); err != nil {
				t.Error(err)
			}
		}
		post()
		post()
		done := make(chan struct{})
		go func() { post(); close(done) }()
		synctest.Wait()
		if n != 2 {
			t.Fatalf("%d jobs under way, the plan allows 2", n)
		}
		if _, err := fetch(t, tr, newRequest(t, "GET", "/api/v2/jobs/job_1", nil)); err != nil {
			t.Fatal(err)
		}
		<-done
		if n != 3 {
			t.Errorf("%d jobs, want 3", n)
		}
	})
}

// The throttle spaces requests by the plan: 5 at once, then one each 100 ms.
func TestTransportPaces(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		limiter, err := ratelimit.New(ratelimit.Options{Plan: &ratelimit.Plan{Name: "ten-a-second", Buckets: []ratelimit.Bucket{{
			Name: "users", API: "management", Burst: 5, Rate: ratelimit.Rate{Count: 10, Per: time.Second},
			Matches: []ratelimit.Match{{Method: "*", Path: "/api/v2/users"}},
		}}}})
		if err != nil {
			t.Fatal(err)
		}
		tr := auth0.NewTransport(stub(func(*http.Request) (*http.Response, error) { return reply(200, nil, ""), nil }), limiter)
		start := time.Now()
		for range 25 {
			if _, err := fetch(t, tr, newRequest(t, "GET", "/api/v2/users", nil)); err != nil {
				t.Fatal(err)
			}
		}
		// 25 requests, 5 of them from the burst: 20 tokens take two seconds.
		if took := time.Since(start); took < 2*time.Second || took > 3*time.Second {
			t.Errorf("25 requests took %v, the plan makes it 2 s and a little", took)
		}
	})
}

// A wait that cannot end before the deadline fails at once.
func TestTransportFailsAtOnceWhenTheWaitIsInVain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		limiter, err := ratelimit.New(ratelimit.Options{Plan: &ratelimit.Plan{Name: "slow", Buckets: []ratelimit.Bucket{{
			Name: "users", API: "management", Burst: 5, Rate: ratelimit.Rate{Count: 1, Per: time.Hour},
			Matches: []ratelimit.Match{{Method: "*", Path: "/api/v2/users"}},
		}}}})
		if err != nil {
			t.Fatal(err)
		}
		left := 5
		c := newClient(t, func(*http.Request) (*http.Response, error) {
			left--
			return reply(204, http.Header{"X-Ratelimit-Limit": {"5"}, "X-Ratelimit-Remaining": {strconv.Itoa(left)}}, ""), nil
		}, auth0.WithLimiter(limiter))
		for i := range 6 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			start := time.Now()
			_, err := auth0.Call[auth0.NoContent](ctx, c, "GET", "/api/v2/users", nil, nil, nil, nil)
			cancel()
			if i < 3 {
				continue // the burst, less what is left unspent
			}
			var wait *ratelimit.WaitError
			var e *auth0.Error
			if i == 5 && (!errors.As(err, &wait) || !errors.As(err, &e) || !errors.Is(err, context.DeadlineExceeded) || e.Attempts != 0) {
				t.Errorf("error %v", err)
			}
			if took := time.Since(start); took != 0 {
				t.Errorf("call %d took %v, had to go or to fail at once", i, took)
			}
		}
	})
}

// Of the client's reserve and the call's, the larger counts, whosever limiter it is.
func TestReserveOfACall(t *testing.T) {
	t.Parallel()
	plan := &ratelimit.Plan{Name: "ten", Buckets: []ratelimit.Bucket{{
		Name: "all", API: "management", Burst: 100, Rate: ratelimit.Rate{Count: 1, Per: 24 * time.Hour},
		Matches: []ratelimit.Match{{Method: "*", Path: "/*"}},
	}}}
	for name, opt := range map[string]func() auth0.Option{
		"own": func() auth0.Option { return auth0.WithOwnPlan(plan) },
		"given": func() auth0.Option {
			l, err := ratelimit.New(ratelimit.Options{Plan: plan})
			if err != nil {
				t.Fatal(err)
			}
			return auth0.WithLimiter(l)
		},
	} {
		for _, tt := range []struct{ client, call, left float64 }{{0.5, 0.1, 50}, {0.1, 0.5, 50}, {0, 0.2, 20}} {
			synctest.Test(t, func(t *testing.T) {
				remaining := 100
				base := stub(func(*http.Request) (*http.Response, error) {
					remaining--
					return reply(204, http.Header{"X-Ratelimit-Limit": {"100"}, "X-Ratelimit-Remaining": {strconv.Itoa(remaining)}}, ""), nil
				})
				c, err := auth0.New("example.auth0.com", auth0.WithHTTPClient(&http.Client{Transport: base}), auth0.WithToken("t"), opt(), auth0.WithReserve(tt.client))
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				for err == nil {
					_, err = auth0.Call[auth0.NoContent](ctx, c, "GET", "/x", nil, nil, nil, []auth0.RequestOption{auth0.Reserve(tt.call)})
				}
				// Of a bucket that refills so slowly hardly more is kept back.
				if left := float64(remaining); left < tt.left || left > tt.left+3 {
					t.Errorf("%s limiter, reserve %v of the client and %v of the call: %v are left of 100, %v", name, tt.client, tt.call, left, err)
				}
			})
		}
	}
}

// A wait in vain is a timeout to a program that asks its http.Client's error, as
// it is without the throttle.
func TestTransportWaitInVainIsATimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		base, _ := rejectedFirst(1, 429, http.Header{"Retry-After": {"3600"}}, "")
		tr := auth0.NewTransport(base, roomy(t))
		tr.MaxRejections = -1
		if _, err := fetch(t, tr, newRequest(t, "GET", "/api/v2/users", nil)); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := fetch(t, tr, newRequest(t, "GET", "/api/v2/users", nil).WithContext(ctx))
		var wait *ratelimit.WaitError
		var timeout net.Error
		if !errors.As(err, &wait) || !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Errorf("%v is no timeout", err)
		}
	})
}

func TestTransportRoutesByBodyAndToken(t *testing.T) {
	t.Parallel()
	claims := base64.RawURLEncoding.EncodeToString([]byte(`{"sub":"auth0|1","scope":"read:current_user"}`))
	for _, tt := range []struct {
		name, contentType, body string
		getBody                 bool
		field, want             string
	}{
		{"form", "application/x-www-form-urlencoded", "grant_type=password&username=a%40b.c", true, "username", "a@b.c"},
		{"streamed form", "application/x-www-form-urlencoded; charset=utf-8", "grant_type=password", false, "grant_type", "password"},
		{"JSON", "application/json", `{"n":1,"email":"a@b.c"}`, true, "email", "a@b.c"},
		{"streamed JSON", "application/json", `{"email":"a@b.c"}`, false, "email", "a@b.c"},
		{"number", "application/json", `{"n":1}`, true, "n", ""},
		{"not JSON", "application/json", `<n>`, true, "n", ""},
		{"text", "text/plain", `email=a`, true, "email", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			req := newRequest(t, "POST", "/oauth/token", strings.NewReader(tt.body))
			req.Header.Set("Content-Type", tt.contentType)
			req.Header.Set("Authorization", "Bearer e30."+claims+".sig")
			if !tt.getBody {
				req.GetBody = nil
			}
			d, sentBody := auth0.DetailsOf(req)
			if got := d.BodyField(tt.field); got != tt.want {
				t.Errorf("%s = %q, want %q", tt.field, got, tt.want)
			}
			if got := d.TokenClaim("sub"); got != "auth0|1" {
				t.Errorf("sub = %q", got)
			}
			if got := sentBody(); got != tt.body {
				t.Errorf("sent body %q, want it complete: %q", got, tt.body)
			}
		})
	}
	segment := base64.RawURLEncoding.EncodeToString
	for _, tt := range []struct{ authorization, sub string }{
		{"", ""}, {"Bearer", ""}, {"Bearer ", ""}, {"Basic a.b.c", ""},
		{"Bearer e30." + claims + ".sig", "auth0|1"}, {"dpop e30." + claims + ".sig", "auth0|1"},
		{"Bearer a." + segment([]byte("{}")) + ".c", ""}, // a JWT without a subject
		// Whose they are is not to be seen, but that they are not the same.
		{"Bearer opaque", "opaque"}, {"Bearer  other ", "other"}, {"Bearer a.!.c", "a.!.c"},
		{"Bearer a." + segment([]byte("[]")) + ".c", "a.W10.c"},
	} {
		req := newRequest(t, "GET", "/userinfo", nil)
		req.Header.Set("Authorization", tt.authorization)
		if d, _ := auth0.DetailsOf(req); d.TokenClaim("sub") != tt.sub || d.TokenClaim("org_id") != "" {
			t.Errorf("%q: sub %q, want %q", tt.authorization, d.TokenClaim("sub"), tt.sub)
		}
	}
}

// A plan of one's own may tell requests of the Management API apart by their
// bodies, also those that can be read only once.
func TestTransportFollowsBodyConditions(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		limiter, err := ratelimit.New(ratelimit.Options{Plan: &ratelimit.Plan{Name: "own", Buckets: []ratelimit.Bucket{{
			Name: "sms", API: "management", Burst: 1, Rate: ratelimit.Rate{Count: 1, Per: 10 * time.Second},
			Matches: []ratelimit.Match{{Method: "POST", Path: "/api/v2/users", When: []ratelimit.Condition{{In: ratelimit.InBody, Name: "connection", Equals: "sms"}}}},
		}}}})
		if err != nil {
			t.Fatal(err)
		}
		var sent []string
		tr := auth0.NewTransport(stub(func(req *http.Request) (*http.Response, error) {
			b, err := io.ReadAll(req.Body)
			if err != nil {
				return nil, err
			}
			sent = append(sent, string(b))
			return reply(201, nil, ""), nil
		}), limiter)
		post := func(connection string) time.Duration {
			body := `{"connection":"` + connection + `"}`
			req := newRequest(t, "POST", "/api/v2/users", struct{ io.Reader }{strings.NewReader(body)})
			req.Header.Set("Content-Type", "application/json")
			start := time.Now()
			if _, err := roundTrip(t, tr, req); err != nil || sent[len(sent)-1] != body {
				t.Errorf("sent %q, %v", sent, err)
			}
			return time.Since(start)
		}
		post("sms")
		if took := post("sms"); took < 10*time.Second {
			t.Errorf("the second of one in ten seconds took %v", took)
		}
		if took := post("email"); took != 0 {
			t.Errorf("a request of another kind took %v", took)
		}
	})
}

func TestTransportAttemptTimeout(t *testing.T) {
	t.Parallel()
	t.Run("before the answer", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			sent := 0
			c := newClient(t, func(req *http.Request) (*http.Response, error) {
				if sent++; sent == 1 {
					<-req.Context().Done()
					return nil, req.Context().Err()
				}
				return replyJSON(200, `{"ok":true}`), nil
			}, auth0.WithAttemptTimeout(time.Second), auth0.WithRetryDelays(time.Millisecond, time.Millisecond))
			start := time.Now()
			v, err := auth0.Call[map[string]bool](t.Context(), c, "GET", "/api/v2/stats", nil, nil, nil, nil)
			if err != nil || !v["ok"] || sent != 2 {
				t.Errorf("%v, %v after %d attempts; the second had to succeed", v, err, sent)
			}
			if took := time.Since(start); took < time.Second || took > 1100*time.Millisecond {
				t.Errorf("took %v, want one timeout of 1 s and a short delay", took)
			}
		})
	})
	t.Run("in the answer", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			c := newClient(t, func(req *http.Request) (*http.Response, error) {
				r := replyJSON(200, "")
				r.Body, r.ContentLength = stalledBody{req.Context().Done(), req.Context().Err}, -1
				return r, nil
			})
			start := time.Now()
			_, err := auth0.Call[map[string]bool](t.Context(), c, "POST", "/api/v2/stats", nil, nil, nil,
				[]auth0.RequestOption{auth0.AttemptTimeout(3 * time.Second)})
			if !errors.Is(err, auth0.ErrAttemptTimeout) {
				t.Errorf("error %v", err)
			}
			if took := time.Since(start); took != 3*time.Second {
				t.Errorf("took %v, want 3 s", took)
			}
		})
	})
}

// stalledBody never says anything until a context ends.
type stalledBody struct {
	done <-chan struct{}
	err  func() error
}

func (b stalledBody) Read([]byte) (int, error) { <-b.done; return 0, b.err() }

// Close has nothing to close.
func (b stalledBody) Close() error { return nil }

// Cancelling ends a wait for the throttle at that moment.
func TestTransportCancelsWhileWaiting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		base, sent := rejectedFirst(1000, 429, http.Header{"Retry-After": {"30"}}, "")
		tr := auth0.NewTransport(base, roomy(t))
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(5*time.Second, cancel)
		req := newRequest(t, "GET", "/api/v2/users", nil).WithContext(ctx)
		start := time.Now()
		_, err := roundTrip(t, tr, req)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
		if took := time.Since(start); took != 5*time.Second || *sent != 1 {
			t.Errorf("took %v, sent %d times", took, *sent)
		}
	})
}

func TestTransportMaxWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		base, sent := rejectedFirst(1000, 429, http.Header{"Retry-After": {"7200"}}, `{"error":"too_many_requests","error_description":"Client quota exceeded"}`)
		tr := auth0.NewTransport(base, roomy(t))
		tr.MaxWait = time.Minute
		req := newRequest(t, "GET", "/api/v2/users", nil)
		start := time.Now()
		got, err := roundTrip(t, tr, req)
		if err != nil {
			t.Fatal(err)
		}
		info := got.info
		if *sent != 1 || time.Since(start) != 0 || info.RetryAfter != 2*time.Hour || !info.Rejected {
			t.Errorf("sent %d times in %v, %+v", *sent, time.Since(start), info)
		}
	})
}

// Logs name the route and never the path, the query or the token.
func TestTransportLogs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		logger := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
		base, _ := rejectedFirst(1, 429, nil, "")
		c := newClient(t, base, auth0.WithLogger(logger), auth0.WithToken("sesame-sesame"))
		_, err := auth0.Call[[]byte](t.Context(), c, "GET", "/api/v2/users/{id}", []string{"auth0|alice"}, map[string][]string{"q": {"alice@example.com"}}, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		text := out.String()
		for _, secret := range []string{"alice", "sesame", "%7C", "q="} {
			if strings.Contains(text, secret) {
				t.Errorf("the log says %q:\n%s", secret, text)
			}
		}
		for _, want := range []string{"route=/api/v2/users/{id}", "status=429", "status=200", "method=GET", "waited="} {
			if !strings.Contains(text, want) {
				t.Errorf("the log lacks %q:\n%s", want, text)
			}
		}
	})
}

// The error of a base that is an http.Client itself names the URL; ours do not.
func TestTransportLogsNoURLOfTheBase(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		logger := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
		c := newClient(t, func(r *http.Request) (*http.Response, error) {
			return nil, &url.Error{Op: "Get", URL: r.URL.String(), Err: io.ErrUnexpectedEOF}
		}, auth0.WithLogger(logger))
		_, err := auth0.Call[auth0.NoContent](t.Context(), c, "GET", "/api/v2/users/{id}", []string{"auth0|alice"}, nil, nil, nil)
		if text := out.String() + err.Error(); strings.Contains(text, "alice") || !strings.Contains(text, "unexpected EOF") || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Error(text)
		}
	})
}

// A base that returns nothing, as an unfinished mock does, is an error and no panic.
func TestTransportWithoutAnswer(t *testing.T) {
	t.Parallel()
	tr := auth0.NewTransport(stub(func(*http.Request) (*http.Response, error) { return nil, nil }), roomy(t))
	if _, err := roundTrip(t, tr, newRequest(t, "GET", "/api/v2/users", nil)); err == nil || !strings.Contains(err.Error(), "the base transport returned neither") {
		t.Error(err)
	}
}

// Under another client, which names no templates, logs have those of the plan.
func TestTransportLogsRoutesOfThePlan(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		plan, err := ratelimit.Named("enterprise")
		if err != nil {
			t.Fatal(err)
		}
		base, _ := rejectedFirst(0, 0, nil, "")
		tr := &auth0.Transport{Base: base, Plan: plan, Logger: slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))}
		for _, path := range []string{"/api/v2/users/auth0%7Calice/organizations", "/alice"} {
			if _, err := fetch(t, tr, newRequest(t, "GET", path, nil)); err != nil {
				t.Fatal(err)
			}
		}
		text := out.String()
		if strings.Contains(text, "alice") || !strings.Contains(text, "route=/api/v2/users/{id}/organizations ") {
			t.Error(text)
		}
	})
}

func TestTransportLeavesOtherHostsAlone(t *testing.T) {
	t.Parallel()
	base, sent := rejectedFirst(1, 429, nil, "")
	tr := auth0.NewTransport(base, roomy(t))
	tr.Host = "example.auth0.com"
	req := newRequest(t, "GET", "https://storage.example.com/export.gz", nil)
	got, err := roundTrip(t, tr, req)
	if err != nil {
		t.Fatal(err)
	}
	if got.status != http.StatusTooManyRequests || *sent != 1 {
		t.Errorf("another host's answer was treated: %d, sent %d times", got.status, *sent)
	}
}
