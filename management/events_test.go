package management

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
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
