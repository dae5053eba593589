package management

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headroom-go/auth0"
)

// connections answers the first request with the first script, and so on; a script is what one connection sends before it breaks.
type connections struct {
	scripts []string
	queries []string
	times   []time.Time
}

func (c *connections) RoundTrip(r *http.Request) (*http.Response, error) {
	c.queries = append(c.queries, r.URL.RawQuery)
	c.times = append(c.times, time.Now())
	resp := &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"text/event-stream"}}, Request: r, ContentLength: -1}
	if len(c.scripts) == 0 {
		resp.Body = http.NoBody
		return resp, nil
	}
	script := c.scripts[0]
	c.scripts = c.scripts[1:]
	if code, body, ok := strings.Cut(script, "!"); ok && len(code) == 3 {
		if _, err := fmt.Sscan(code, &resp.StatusCode); err != nil {
			return nil, err
		}
		resp.Header.Set("Content-Type", "application/json")
		script = body
	}
	resp.Body = io.NopCloser(strings.NewReader(script))
	return resp, nil
}

func created(offset, user string) string {
	return "event: user.created\ndata: {\"type\":\"user.created\",\"offset\":\"" + offset + "\",\ndata: \"event\":{\"type\":\"user.created\",\"data\":{\"object\":{\"user_id\":\"" + user + "\"}}}}\n\n"
}

func TestSubscribe(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		wire := &connections{scripts: []string{
			": hello\n\n" + created("o1", "u1") + created("o2", "u2") + created("o3", "cut off")[:40],
			"503!{}",
			"data: {\"type\":\"offset-only\",\"offset\":\"o9\"}\n\n",
			"data: {\"type\":\"error\",\"error\":{\"code\":\"timeout\",\"message\":\"m\"}}\n\n" + created("never", "read"),
			created("o10", "u10"),
			"data: not json\r\n\r\n" + "data: {\"type\":\"error\",\"error\":{\"code\":\"cursor_expired\",\"message\":\"gone\",\"offset\":\"o11\"}}\n\n",
		}}
		c, err := auth0.New("tenant.eu.auth0.com", auth0.WithToken("token"), auth0.WithHTTPClient(&http.Client{Transport: wire}), auth0.WithPlan("enterprise"), auth0.WithRetries(0))
		if err != nil {
			t.Fatal(err)
		}
		var users []string
		var last error
		for e, err := range New(c).Events.Subscribe(t.Context(), &EventSubscribeParams{FromTimestamp: "2026-01-02T03:04:05Z", EventType: []EventType{EventTypeUserCreated, EventTypeUserDeleted}}) {
			if err != nil {
				last = err
				continue
			}
			users = append(users, e.Event.Data.UserCreated.Object.UserID)
		}
		if got := strings.Join(users, " "); got != "u1 u2 u10" {
			t.Errorf("events %s", got)
		}
		var lost *EventError
		if !errors.As(last, &lost) || lost.Code != EventErrorCodeCursorExpired || lost.Offset != "o11" {
			t.Errorf("ended with %v", last)
		}
		types := "event_type=user.created&event_type=user.deleted"
		want := []string{
			types + "&from_timestamp=2026-01-02T03%3A04%3A05Z",
			types + "&from=o2", types + "&from=o2", types + "&from=o9", types + "&from=o9", types + "&from=o10",
		}
		if strings.Join(wire.queries, "\n") != strings.Join(want, "\n") {
			t.Errorf("asked for\n%s", strings.Join(wire.queries, "\n"))
		}
		for i, at := range wire.times[1:] {
			if d := at.Sub(wire.times[i]); d < firstReconnect/2 {
				t.Errorf("connection %d came %v after the one before", i+2, d)
			}
		}
	})
}

func TestSubscribeEnds(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		scripts []string
		want    error
	}{
		"a refusal":   {[]string{`403!{"statusCode":403,"error":"Forbidden","message":"no"}`}, auth0.ErrForbidden},
		"the context": {nil, context.DeadlineExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				client, err := auth0.New("tenant.eu.auth0.com", auth0.WithToken("token"), auth0.WithHTTPClient(&http.Client{Transport: &connections{scripts: c.scripts}}), auth0.WithPlan("enterprise"))
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				var errs []error
				for _, err := range New(client).Events.Subscribe(ctx, nil) {
					errs = append(errs, err)
				}
				if len(errs) != 1 || !errors.Is(errs[0], c.want) {
					t.Errorf("ended with %v, want %v", errs, c.want)
				}
			})
		})
	}
	t.Run("the caller", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			client, err := auth0.New("tenant.eu.auth0.com", auth0.WithToken("token"), auth0.WithHTTPClient(&http.Client{Transport: &connections{scripts: []string{created("a", "b") + created("c", "d")}}}), auth0.WithPlan("enterprise"))
			if err != nil {
				t.Fatal(err)
			}
			n := 0
			for _, err := range New(client).Events.Subscribe(t.Context(), nil) {
				if err != nil {
					t.Error(err)
				}
				n++
				break
			}
			if n != 1 {
				t.Errorf("%d events after a break", n)
			}
		})
	})
}

// TestSubscribeOwnFault starts what cannot be sent: that is told, and not tried for ever.
func TestSubscribeOwnFault(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		own := errors.New("no key")
		source := auth0.WithTokenSource(auth0.TokenSourceFunc(func(context.Context) (auth0.Token, error) { return auth0.Token{}, own }))
		for name, c := range map[string]struct {
			credentials auth0.Option
			opts        []auth0.RequestOption
		}{
			"option": {auth0.WithToken("token"), []auth0.RequestOption{auth0.Header("Authorization", "x")}},
			"source": {source, nil},
		} {
			client, err := auth0.New("tenant.eu.auth0.com", c.credentials, auth0.WithHTTPClient(&http.Client{Transport: &connections{}}), auth0.WithPlan("enterprise"))
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			for _, err := range New(client).Events.Subscribe(ctx, nil, c.opts...) {
				if err == nil || errors.Is(err, context.DeadlineExceeded) || name == "source" && !errors.Is(err, own) {
					t.Errorf("%s: %v", name, err)
				}
			}
			cancel()
		}
	})
}

// delayed is a body that brings its parts a minute apart.
type delayed []string

func (d *delayed) Read(p []byte) (int, error) {
	if len(*d) == 0 {
		return 0, io.EOF
	}
	time.Sleep(time.Minute)
	n := copy(p, (*d)[0])
	*d = (*d)[1:]
	return n, nil
}

func (d *delayed) Close() error { return nil }

// TestSubscribeDelays looks at the time between the end of a connection and the next: it is short after one that lasted, and grows
// while connections fail at once, whatever they say as they do.
func TestSubscribeDelays(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		body  func() io.ReadCloser
		lasts time.Duration
		least time.Duration // all gaps after the first ten
		most  time.Duration
	}{
		// Gaps begin with firstReconnect and grow by half up to lastReconnect, each spread by half in both directions: the tenth is of 1 s * 1.5^9 = 38 s, cut to 30 s.
		"quiet": {func() io.ReadCloser { return &delayed{": still\n\n", ": here\n\n"} }, 2 * time.Minute, firstReconnect / 2, firstReconnect * 3 / 2},
		"errors": {func() io.ReadCloser {
			return io.NopCloser(strings.NewReader("data: {\"type\":\"error\",\"error\":{\"code\":\"processing_error\"}}\n\n"))
		}, 0, lastReconnect / 2, lastReconnect * 3 / 2},
		"empty": {func() io.ReadCloser { return http.NoBody }, 0, lastReconnect / 2, lastReconnect * 3 / 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var times []time.Time
				client, err := auth0.New("tenant.eu.auth0.com", auth0.WithToken("token"), auth0.WithPlan("enterprise"), auth0.WithHTTPClient(&http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
					times = append(times, time.Now())
					return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"text/event-stream"}}, Request: r, ContentLength: -1, Body: c.body()}, nil
				})}))
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Hour)
				defer cancel()
				for _, err := range New(client).Events.Subscribe(ctx, nil) {
					if !errors.Is(err, context.DeadlineExceeded) {
						t.Error(err)
					}
				}
				if len(times) < 20 {
					t.Fatalf("%d connections in two hours", len(times))
				}
				for i := 10; i+1 < len(times); i++ {
					if gap := times[i+1].Sub(times[i]) - c.lasts; gap < c.least || gap > c.most {
						t.Errorf("connection %d came %v after the end of the one before, want %v to %v", i+2, gap, c.least, c.most)
					}
				}
			})
		})
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestSubscribeOutage cuts the network for five minutes after the first event: the one after it comes all the same.
func TestSubscribeOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start, n := time.Now(), 0
		client, err := auth0.New("tenant.eu.auth0.com", auth0.WithToken("token"), auth0.WithPlan("enterprise"), auth0.WithHTTPClient(&http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			if n++; n > 1 && time.Since(start) < 5*time.Minute {
				return nil, errors.New("no network")
			}
			return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Request: r, ContentLength: -1, Body: io.NopCloser(strings.NewReader(created("o"+strconv.Itoa(n), "u")))}, nil
		})}))
		if err != nil {
			t.Fatal(err)
		}
		events := 0
		for _, err := range New(client).Events.Subscribe(t.Context(), nil) {
			if err != nil {
				t.Fatal(err)
			}
			if events++; events == 2 {
				break
			}
		}
		if events != 2 {
			t.Errorf("%d events", events)
		}
	})
}

// held is a body that brings nothing until the request ends.
func held(ctx context.Context) io.ReadCloser {
	r, w := io.Pipe()
	context.AfterFunc(ctx, func() { w.CloseWithError(ctx.Err()) })
	return r
}

// TestSubscribeTimeouts bounds each attempt of the client's calls, which says nothing of a stream that is to last; and has the HTTP
// client's own timeout end the connections, after which the next one has to follow soon.
func TestSubscribeTimeouts(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		attempt, whole time.Duration
		least, most    int // connections in an hour
	}{
		"attempt":     {10 * time.Second, 0, 1, 1},
		"HTTP client": {0, 10 * time.Second, 313, 342}, // one each 10.5 to 11.5 s
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				n := 0
				hc := &http.Client{Timeout: c.whole, Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
					n++
					return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Request: r, ContentLength: -1, Body: held(r.Context())}, nil
				})}
				client, err := auth0.New("tenant.eu.auth0.com", auth0.WithToken("token"), auth0.WithPlan("enterprise"), auth0.WithHTTPClient(hc), auth0.WithAttemptTimeout(c.attempt))
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				for _, err := range New(client).Events.Subscribe(ctx, nil) {
					if !errors.Is(err, context.DeadlineExceeded) {
						t.Error(err)
					}
				}
				if n < c.least || n > c.most {
					t.Errorf("%d connections in an hour, want %d to %d", n, c.least, c.most)
				}
			})
		})
	}
}
