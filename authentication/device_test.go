package authentication_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headroom-go/auth0"
	"github.com/headroom-go/auth0/authentication"
)

// script is a token endpoint that gives one answer after the other, and notes
// when it was asked.
type script struct {
	answers []answer
	times   []time.Duration
	start   time.Time
}

func (s *script) answer(*http.Request, string) answer {
	s.times = append(s.times, time.Since(s.start))
	if len(s.answers) == 0 {
		return pending()
	}
	a := s.answers[0]
	s.answers = s.answers[1:]
	return a
}

func pending() answer {
	return replyJSON(403, `{"error":"authorization_pending","error_description":"User has yet to authorize device code."}`)
}

func slowDown() answer {
	return replyJSON(429, `{"error":"slow_down","error_description":"You are polling faster than the specified interval."}`)
}

func granted() answer {
	return replyJSON(200, `{"access_token":"at","expires_in":86400,"token_type":"Bearer"}`)
}

func (s *script) api(t *testing.T) *authentication.API {
	t.Helper()
	s.start = time.Now()
	return authentication.New(newClient(t, s.answer), authentication.ClientSecretPost("app", "secret"))
}

func (s *script) check(t *testing.T, seconds ...int) {
	t.Helper()
	want := make([]time.Duration, len(seconds))
	for i, n := range seconds {
		want[i] = time.Duration(n) * time.Second
	}
	if !slices.Equal(s.times, want) {
		t.Errorf("asked at %v, want %v", s.times, want)
	}
}

// A device asks at the interval that it was given, five seconds more with each
// slow_down, and as long as a server asks it to where that is more.
func TestDeviceWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &script{answers: []answer{
			pending(), slowDown(), pending(),
			replyJSON(400, `{"error":"slow_down","interval":30}`), pending(),
			replyJSON(400, `{"error":"slow_down"}`, "Retry-After", "60"), granted(),
		}}
		tokens, err := s.api(t).Device.Wait(t.Context(), &authentication.DeviceCode{DeviceCode: "d", Interval: 5, ExpiresIn: 900})
		if err != nil || tokens.AccessToken != "at" || !tokens.Expiry.Equal(time.Now().Add(24*time.Hour)) {
			t.Fatalf("%v, %v", tokens, err)
		}
		// 5, 5, then 10 and 10, then 30 and 30, then 60.
		s.check(t, 5, 10, 20, 30, 60, 90, 150)
	})
}

// Without an interval it is five seconds.
func TestWaitWithoutInterval(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &script{answers: []answer{pending(), granted()}}
		if _, err := s.api(t).MFA.WaitOOB(t.Context(), &authentication.MFAOOB{MFAToken: "m", OOBCode: "o"}); err != nil {
			t.Fatal(err)
		}
		s.check(t, 5, 10)
	})
}

// An answer that is none is no refusal: the wait goes on, asking less often.
func TestWaitThroughAnOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		down := func() answer { return reply(503, "text/html", "<html>") }
		s := &script{answers: []answer{down(), down(), pending(), granted()}}
		if _, err := s.api(t).CIBA.Wait(t.Context(), &authentication.BackchannelRequest{AuthReqID: "r", Interval: 5, ExpiresIn: 300}); err != nil {
			t.Fatal(err)
		}
		s.check(t, 5, 15, 35, 40)
	})
}

// What ends a wait.
func TestWaitEnds(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answers []answer
		timeout time.Duration
		code    authentication.ErrorCode
		is      error
		asked   []int
		ended   time.Duration
	}{
		"the user refuses":            {[]answer{pending(), replyJSON(403, `{"error":"access_denied"}`)}, 0, authentication.AccessDenied, auth0.ErrForbidden, []int{5, 10}, 10 * time.Second},
		"the server says it is over":  {[]answer{replyJSON(403, `{"error":"expired_token"}`)}, 0, authentication.ExpiredToken, nil, []int{5}, 5 * time.Second},
		"the code is wrong":           {[]answer{replyJSON(403, `{"error":"invalid_grant"}`)}, 0, authentication.InvalidGrant, nil, []int{5}, 5 * time.Second},
		"the user has no time left":   {nil, 0, authentication.ExpiredToken, nil, []int{5, 10, 15, 20}, 20 * time.Second},
		"no poll before the deadline": {nil, 12 * time.Second, "", context.DeadlineExceeded, []int{5, 10}, 10 * time.Second},
		"a deadline before the first": {nil, 4 * time.Second, "", context.DeadlineExceeded, nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := &script{answers: c.answers}
				api := s.api(t)
				ctx := t.Context()
				if c.timeout > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, c.timeout)
					defer cancel()
				}
				_, err := api.Device.Wait(ctx, &authentication.DeviceCode{DeviceCode: "d", Interval: 5, ExpiresIn: 24})
				if err == nil || authentication.CodeOf(err) != c.code || c.is != nil && !errors.Is(err, c.is) || time.Since(s.start) != c.ended {
					t.Errorf("%v after %v", err, time.Since(s.start))
				}
				s.check(t, c.asked...)
			})
		})
	}
}

// A caller that gives up is released at once.
func TestWaitEndsWithItsCaller(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &script{}
		api := s.api(t)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(7*time.Second, cancel)
		_, err := api.Device.Wait(ctx, &authentication.DeviceCode{DeviceCode: "d", Interval: 5})
		if !errors.Is(err, context.Canceled) || time.Since(s.start) != 7*time.Second {
			t.Errorf("%v after %v", err, time.Since(s.start))
		}
		s.check(t, 5)
	})
}

// hanging is a tenant that answers only while it does not hang.
type hanging struct {
	hangs atomic.Bool
	stub  stub
}

func (h *hanging) RoundTrip(r *http.Request) (*http.Response, error) {
	if h.hangs.Load() {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	return h.stub.RoundTrip(r)
}

// breaking is a tenant whose answers, from the second on, begin and never end.
type breaking struct {
	stub stub
	n    int
}

func (b *breaking) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.stub.RoundTrip(r)
	if b.n++; err == nil && b.n == 2 {
		body, w := io.Pipe()
		context.AfterFunc(r.Context(), func() { _ = w.CloseWithError(r.Context().Err()) })
		resp.Body, resp.ContentLength = body, -1
	}
	return resp, err
}

// An answer that begins and stays away is an outage as one that never begins is: a
// document that was kept serves, and a wait goes on.
func TestHalfAnAnswerIsAnOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		api := func(s stub) *authentication.API {
			return authentication.New(newClient(t, nil, auth0.WithAttemptTimeout(time.Second),
				auth0.WithHTTPClient(&http.Client{Transport: &breaking{stub: s}})), authentication.None("app"))
		}
		documents := api(func(*http.Request, string) answer {
			return replyJSON(200, `{"issuer":"kept"}`, "Cache-Control", "max-age=1, stale-if-error=600")
		})
		for range 2 {
			if c, err := documents.Discovery.Configuration(t.Context()); err != nil || c.Issuer != "kept" {
				t.Errorf("%v, %v", c, err)
			}
			time.Sleep(2 * time.Second)
		}
		polls := 0
		devices := api(func(*http.Request, string) answer {
			if polls++; polls == 1 {
				return pending()
			}
			return granted()
		})
		if tokens, err := devices.Device.Wait(t.Context(), &authentication.DeviceCode{DeviceCode: "d", Interval: 5}); err != nil || tokens.AccessToken != "at" {
			t.Errorf("%v, %v", tokens, err)
		}
	})
}

// A tenant that is too slow for the timeout of an http.Client is a tenant that
// does not answer: the wait goes on, and a document that was kept serves.
func TestTimeoutIsAnOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tenant := &hanging{stub: func(r *http.Request, _ string) answer {
			if r.Method == http.MethodPost {
				return granted()
			}
			return replyJSON(200, `{"issuer":"kept"}`, "Cache-Control", "max-age=1, stale-if-error=600")
		}}
		tenant.hangs.Store(true)
		api := authentication.New(newClient(t, nil, auth0.WithHTTPClient(&http.Client{Transport: tenant, Timeout: time.Second})), authentication.None("app"))
		time.AfterFunc(10*time.Second, func() { tenant.hangs.Store(false) })
		tokens, err := api.Device.Wait(t.Context(), &authentication.DeviceCode{DeviceCode: "d", Interval: 5, ExpiresIn: 900})
		if err != nil || tokens.AccessToken != "at" {
			t.Errorf("%v, %v", tokens, err)
		}
		for range 2 {
			if c, err := api.Discovery.Configuration(t.Context()); err != nil || c.Issuer != "kept" {
				t.Errorf("%v, %v", c, err)
			}
			tenant.hangs.Store(true)
			time.Sleep(2 * time.Second)
		}
	})
}
