package auth0_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headroom-go/auth0"
	"github.com/headroom-go/auth0/ratelimit"
)

// one returns a limiter whose only bucket, of all paths, holds one token and
// gains another each second.
func one(tb testing.TB) *ratelimit.Limiter {
	tb.Helper()
	l, err := ratelimit.New(ratelimit.Options{Plan: &ratelimit.Plan{Name: "one", Buckets: []ratelimit.Bucket{{
		Name: "all", API: "management", Burst: 1, Rate: ratelimit.Rate{Count: 1, Per: time.Second},
		Matches: []ratelimit.Match{{Method: "*", Path: "/api/v2/*"}},
	}}}})
	if err != nil {
		tb.Fatal(err)
	}
	return l
}

func TestPrepareSeesEachAttempt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var sent []string
		c := newClient(t, func(req *http.Request) (*http.Response, error) {
			sent = append(sent, req.Header.Get("X-Attempt")+req.Header.Get("Authorization"))
			if len(sent) == 1 {
				return reply(http.StatusServiceUnavailable, nil, ""), nil
			}
			return replyJSON(http.StatusOK, `{}`), nil
		}, auth0.WithLimiter(one(t)), auth0.WithRetryDelays(time.Millisecond, time.Millisecond))
		var at []time.Duration
		began, n := time.Now(), 0
		for range 2 {
			_, err := auth0.Call[auth0.NoContent](t.Context(), c, "GET", "/api/v2/clients", nil, nil, nil, []auth0.RequestOption{
				auth0.Prepare(func(req *http.Request) error {
					n++
					at = append(at, time.Since(began).Round(time.Second))
					req.Header.Set("X-Attempt", strconv.Itoa(n))
					return nil
				}),
				auth0.Prepare(func(req *http.Request) error {
					req.Header.Set("Authorization", " signed "+req.Header.Get("X-Attempt"))
					return nil
				}),
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		// The bucket gives one request a second, and the functions are called when
		// it has, not when the call began.
		want := []string{"1 signed 1", "2 signed 2", "3 signed 3"}
		for i, w := range want {
			if i >= len(sent) || sent[i] != w {
				t.Fatalf("sent %q, want %q", sent, want)
			}
			if d := at[i] - at[0]; d != time.Duration(i)*time.Second {
				t.Errorf("attempt %d was prepared %v after the first, want %d s", i+1, d, i)
			}
		}
	})
}

func TestPrepareKeepsBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, func(*http.Request) (*http.Response, error) {
			return replyJSON(http.StatusOK, `{}`), nil
		}, auth0.WithLimiter(one(t)))
		get := func(opts ...auth0.RequestOption) error {
			_, err := auth0.Call[auth0.NoContent](t.Context(), c, "GET", "/api/v2/clients", nil, nil, nil, opts)
			return err
		}
		if err := get(); err != nil {
			t.Fatal(err)
		}
		no := errors.New("not now")
		calls := 0
		began := time.Now()
		err := get(auth0.Prepare(func(*http.Request) error { calls++; return no }))
		if !errors.Is(err, no) || !errors.Is(err, auth0.ErrNotSent) || calls != 1 {
			t.Errorf("%d calls, error %v; want one call and its own error, not sent", calls, err)
		}
		var e *auth0.Error
		if !errors.As(err, &e) || e.Attempts != 0 {
			t.Errorf("the error %v counts attempts", err)
		}
		// The token that the kept-back attempt was given is free again.
		first := time.Since(began)
		if err := get(); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(began) - first; d != 0 {
			t.Errorf("the next call waited %v for a token that was not spent", d)
		}
	})
}

func TestPrepareStaysWithItsHost(t *testing.T) {
	t.Parallel()
	var signed []string
	c := newClient(t, func(req *http.Request) (*http.Response, error) {
		if v := req.Header.Get("X-Signed"); v != "" {
			signed = append(signed, req.URL.Host)
		}
		if req.URL.Host == "example.auth0.com" {
			return reply(http.StatusFound, http.Header{"Location": {"https://elsewhere.example/file"}}, ""), nil
		}
		return replyJSON(http.StatusOK, `{}`), nil
	})
	calls := 0
	_, err := auth0.Call[auth0.NoContent](t.Context(), c, "GET", "/api/v2/clients", nil, nil, nil, []auth0.RequestOption{
		auth0.Prepare(func(req *http.Request) error {
			calls++
			// Not Set: net/http copies the headers of the first request to those that
			// follow, and this one belongs to a clone that it never sees.
			req.Header["X-Signed"] = []string{"yes"}
			return nil
		}),
	})
	if err != nil {
		t.Fatal(err)
	}
	if calls != 1 || len(signed) != 1 || signed[0] != "example.auth0.com" {
		t.Errorf("%d calls, signed for %q; want the client's host only", calls, signed)
	}
}

// A tenant that redirects to its own name without TLS gets no secret in the clear:
// neither the token, as any call, nor what a function of Prepare signs.
func TestPrepareStaysWithTLS(t *testing.T) {
	t.Parallel()
	var plain []http.Header
	c := newClient(t, func(req *http.Request) (*http.Response, error) {
		if req.URL.Scheme == "http" {
			plain = append(plain, req.Header.Clone())
			return replyJSON(http.StatusOK, `{}`), nil
		}
		return reply(http.StatusFound, http.Header{"Location": {"http://example.auth0.com/oauth/token"}}, ""), nil
	})
	_, err := auth0.Call[auth0.NoContent](t.Context(), c, "POST", "/oauth/token", nil, nil, nil, []auth0.RequestOption{
		auth0.Prepare(func(req *http.Request) error { req.SetBasicAuth("id", "secret"); return nil }),
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(plain) != 1 || plain[0].Get("Authorization") != "" {
		t.Errorf("%d requests in the clear, with %d values of Authorization; want one without", len(plain), len(plain[0]["Authorization"]))
	}
}

// What was not carried out by the server may be sent again, whatever it does.
func TestErrNotSent(t *testing.T) {
	t.Parallel()
	answer := func(status int) stub {
		return func(*http.Request) (*http.Response, error) { return replyJSON(status, `{}`), nil }
	}
	refused := &net.OpError{Op: "dial", Err: errors.New("connection refused")}
	tests := map[string]struct {
		answers []stub // one for each attempt, the last for all that follow
		opts    []auth0.RequestOption
		want    bool
	}{
		"lost":                         {answers: []stub{tracedStub(true, io.ErrUnexpectedEOF)}},
		"no report of the base":        {answers: []stub{func(*http.Request) (*http.Response, error) { return nil, io.ErrUnexpectedEOF }}},
		"server error":                 {answers: []stub{answer(http.StatusBadGateway)}},
		"refused by the server":        {answers: []stub{answer(http.StatusBadRequest)}},
		"rejected by a limit":          {answers: []stub{answer(http.StatusTooManyRequests)}, want: true},
		"no connection":                {answers: []stub{tracedStub(false, refused)}, want: true},
		"rejected, then no connection": {answers: []stub{answer(http.StatusTooManyRequests), tracedStub(false, refused)}, want: true},
		"lost, then no connection":     {answers: []stub{tracedStub(true, io.ErrUnexpectedEOF), tracedStub(false, refused)}, opts: []auth0.RequestOption{auth0.Idempotent()}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				n := 0
				c := newClient(t, func(r *http.Request) (*http.Response, error) {
					s := tt.answers[min(n, len(tt.answers)-1)]
					n++
					return s(r)
				})
				_, err := auth0.Call[auth0.NoContent](t.Context(), c, "POST", "/api/v2/users", nil, nil, map[string]string{}, tt.opts)
				if err == nil || errors.Is(err, auth0.ErrNotSent) != tt.want {
					t.Errorf("error %v: not sent %v, want %v", err, !tt.want, tt.want)
				}
			})
		})
	}
	t.Run("the limiter never admitted it", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			c := newClient(t, answer(http.StatusOK), auth0.WithLimiter(one(t)))
			for i := range 2 {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second/2)
				_, err := auth0.Call[auth0.NoContent](ctx, c, "POST", "/api/v2/users", nil, nil, map[string]string{}, nil)
				cancel()
				if i == 1 && (!errors.Is(err, auth0.ErrNotSent) || !errors.Is(err, context.DeadlineExceeded)) {
					t.Errorf("error %v of a call that was never admitted", err)
				}
			}
		})
	})
}
