package auth0_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headroom-go/auth0"
)

// Each test of this file is a fault that was observed in another SDK.

// go-auth0 v3: a context of 500 ms came back after 3.1 s.
func TestPeerFaultSleepsPastTheContext(t *testing.T) {
	t.Parallel()
	for _, cancelled := range []bool{false, true} {
		t.Run(fmt.Sprintf("cancelled=%v", cancelled), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := newClient(t, func(*http.Request) (*http.Response, error) {
					return reply(503, http.Header{"Retry-After": {"3"}}, ""), nil
				})
				var ctx context.Context
				var cancel context.CancelFunc
				if cancelled {
					ctx, cancel = context.WithCancel(t.Context())
					time.AfterFunc(500*time.Millisecond, cancel)
				} else {
					ctx, cancel = context.WithTimeout(t.Context(), 500*time.Millisecond)
				}
				defer cancel()
				start := time.Now()
				_, err := auth0.Call[auth0.NoContent](ctx, c, "GET", "/api/v2/clients", nil, nil, nil, nil)
				took := time.Since(start)
				if cancelled {
					if !errors.Is(err, context.Canceled) || took != 500*time.Millisecond {
						t.Errorf("%v after %v; cancelling ends a sleep at that moment", err, took)
					}
					return
				}
				// The sleep cannot end in time, so it is not begun, and the caller
				// learns what the server said.
				if !errors.Is(err, auth0.ErrServer) || took != 0 {
					t.Errorf("%v after %v; want the 503 at once", err, took)
				}
			})
		})
	}
}

// go-auth0: one more sleep after the last attempt.
func TestPeerFaultSleepsAfterTheLastAttempt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var last time.Time
		sent := 0
		c := newClient(t, func(*http.Request) (*http.Response, error) {
			sent++
			last = time.Now()
			return reply(500, nil, ""), nil
		},
			auth0.WithRetries(3))
		_, err := auth0.Call[auth0.NoContent](t.Context(), c, "GET", "/api/v2/clients", nil, nil, nil, nil)
		if idle := time.Since(last); idle != 0 {
			t.Errorf("slept %v after the last attempt", idle)
		}
		var e *auth0.Error
		if !errors.As(err, &e) || e.Status != 500 || e.Attempts != 4 || sent != 4 {
			t.Errorf("sent %d times, error %v", sent, err)
		}
	})
}

// go-auth0 v3: POST sent three times on a 500.
func TestPeerFaultRepeatsPOST(t *testing.T) {
	t.Parallel()
	for method, want := range map[string]int{"GET": 3, "HEAD": 3, "PUT": 3, "DELETE": 3, "OPTIONS": 3, "POST": 1, "PATCH": 1} {
		for _, failure := range []string{"500", "lost answer"} {
			t.Run(method+" "+failure, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					sent := 0
					c := newClient(t, func(*http.Request) (*http.Response, error) {
						if sent++; failure == "500" {
							return reply(500, nil, ""), nil
						}
						return nil, io.ErrUnexpectedEOF
					})
					var body any
					if want == 1 {
						body = map[string]string{"name": "x"}
					}
					_, err := auth0.Call[auth0.NoContent](t.Context(), c, method, "/api/v2/clients", nil, nil, body, nil)
					if err == nil || sent != want {
						t.Errorf("sent %d times, want %d; %v", sent, want, err)
					}
				})
			})
		}
	}
	t.Run("unless the caller says so", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			var bodies []string
			c := newClient(t, func(r *http.Request) (*http.Response, error) {
				b, _ := io.ReadAll(r.Body)
				bodies = append(bodies, string(b))
				return reply(502, nil, ""), nil
			})
			_, err := auth0.Call[auth0.NoContent](t.Context(), c, "POST", "/api/v2/clients", nil, nil, map[string]string{"a": "b"}, []auth0.RequestOption{auth0.Idempotent()})
			if err == nil || len(bodies) != 3 || bodies[2] != `{"a":"b"}` {
				t.Errorf("%q, %v", bodies, err)
			}
		})
	})
	t.Run("nor anything where the caller forbids it", func(t *testing.T) {
		t.Parallel()
		sent := 0
		c := newClient(t, func(*http.Request) (*http.Response, error) { sent++; return reply(502, nil, ""), nil })
		if _, err := auth0.Call[auth0.NoContent](t.Context(), c, "GET", "/api/v2/clients", nil, nil, nil, []auth0.RequestOption{auth0.NoRetry()}); err == nil || sent != 1 {
			t.Errorf("sent %d times, %v", sent, err)
		}
	})
}

// go-auth0 v3: a token failure was swallowed and the request went out with an
// empty Authorization.
func TestPeerFaultSwallowsTokenErrors(t *testing.T) {
	t.Parallel()
	own := errors.New("vault is sealed")
	for name, source := range map[string]auth0.TokenSource{
		"error":       auth0.TokenSourceFunc(func(context.Context) (auth0.Token, error) { return auth0.Token{}, own }),
		"empty token": auth0.TokenSourceFunc(func(context.Context) (auth0.Token, error) { return auth0.Token{}, nil }),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClient(t, func(r *http.Request) (*http.Response, error) {
				t.Errorf("sent with Authorization %q", r.Header["Authorization"])
				return replyJSON(200, "{}"), nil
			}, auth0.WithTokenSource(source))
			_, err := auth0.Call[auth0.NoContent](t.Context(), c, "GET", "/api/v2/clients", nil, nil, nil, nil)
			if err == nil || name == "error" && err != own { //nolint:errorlint // the very error is wanted
				t.Errorf("error %v", err)
			}
		})
	}
	t.Run("client credentials", func(t *testing.T) {
		t.Parallel()
		c := newClient(t, func(r *http.Request) (*http.Response, error) {
			if r.URL.Path != "/oauth/token" {
				t.Errorf("sent %s without a token", r.URL.Path)
			}
			return replyJSON(401, `{"error":"access_denied","error_description":"Unauthorized"}`), nil
		}, auth0.WithClientSecret("id", "secret"))
		_, err := auth0.Call[auth0.NoContent](t.Context(), c, "GET", "/api/v2/clients", nil, nil, nil, nil)
		var e *auth0.Error
		if !errors.As(err, &e) || e.Route != "/oauth/token" || e.Code != "access_denied" || !errors.Is(err, auth0.ErrUnauthorized) {
			t.Errorf("error %v", err)
		}
	})
}

// go-auth0 v3: the 204 of a job without errors became an error.
func TestPeerFaultFailsOn204(t *testing.T) {
	t.Parallel()
	c := newClient(t, func(*http.Request) (*http.Response, error) { return reply(204, nil, ""), nil })
	list, err := auth0.Call[[]struct{ Code string }](t.Context(), c, "GET", "/api/v2/jobs/{id}/errors", []string{"job_1"}, nil, nil, nil)
	if err != nil || len(list) != 0 {
		t.Errorf("%v, %v", list, err)
	}
	// A pointer is safe to look at.
	one, err := auth0.Call[*struct{ Code string }](t.Context(), c, "GET", "/api/v2/jobs/{id}", []string{"job_1"}, nil, nil, nil)
	if err != nil || one == nil || one.Code != "" {
		t.Errorf("%v, %v", one, err)
	}
}

// go-auth0 v3: one request too many at the end of a list.
func TestPeerFaultAsksForAPageTooMany(t *testing.T) {
	t.Parallel()
	var asked []string
	c := newClient(t, func(r *http.Request) (*http.Response, error) {
		asked = append(asked, r.URL.RawQuery)
		if r.URL.Query().Get("page") == "1" {
			return replyJSON(200, `{"start":2,"limit":2,"length":2,"total":4,"users":[{"n":3},{"n":4}]}`), nil
		}
		return replyJSON(200, `{"start":0,"limit":2,"length":2,"total":4,"users":[{"n":1},{"n":2}]}`), nil
	})
	var got []int
	for u, err := range auth0.All[numbered](t.Context(), c, "/api/v2/users", nil, url.Values{"per_page": {"2"}}, userPaging(), nil) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, u.N)
	}
	if fmt.Sprint(got) != "[1 2 3 4]" || len(asked) != 2 {
		t.Errorf("items %v from requests %q; two pages hold them all", got, asked)
	}
}

type numbered struct {
	N int `json:"n"`
}

func userPaging() auth0.Paging {
	return auth0.Paging{Items: "users", Offset: true, Totals: true}
}

// go-auth0 v3: Next called twice gave different pages, and the parameters were
// changed on the way.
func TestPeerFaultNextIsNotPure(t *testing.T) {
	t.Parallel()
	c := newClient(t, func(r *http.Request) (*http.Response, error) {
		page := r.URL.Query().Get("page")
		if page == "" {
			page = "0"
		}
		return replyJSON(200, `{"start":`+page+`,"limit":1,"total":3,"users":[{"n":`+page+`}]}`), nil
	})
	params := url.Values{"per_page": {"1"}}
	first, err := auth0.List[numbered](t.Context(), c, "/api/v2/users", nil, params, userPaging(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		second, err := first.Next(t.Context())
		if err != nil || second.Items[0].N != 1 {
			t.Fatalf("%+v, %v", second, err)
		}
		for range 2 {
			third, err := second.Next(t.Context())
			if err != nil || third.Items[0].N != 2 || third.Cursor != "" {
				t.Fatalf("%+v, %v", third, err)
			}
			if _, err := third.Next(t.Context()); !errors.Is(err, auth0.ErrLastPage) {
				t.Fatalf("after the last page: %v", err)
			}
		}
	}
	if len(params) != 1 || params.Get("per_page") != "1" {
		t.Errorf("the parameters were changed: %v", params)
	}
}

// okta: the final 429 lost its headers.
func TestPeerFaultFinalRejectionLosesItsHeaders(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := http.Header{"X-Ratelimit-Limit": {"50"}, "X-Ratelimit-Remaining": {"0"}, "X-Ratelimit-Reset": {"1675452600"}, "X-Auth0-Requestid": {"abc123"}, "Retry-After": {"1"}}
		c := newClient(t, func(*http.Request) (*http.Response, error) {
			return reply(429, h.Clone(), `{"statusCode":429,"error":"Too Many Requests","message":"Global limit has been reached","errorCode":"too_many_requests"}`), nil
		}, auth0.WithMaxRejections(2))
		var m auth0.Meta
		_, err := auth0.Call[auth0.NoContent](t.Context(), c, "GET", "/api/v2/clients", nil, nil, nil, []auth0.RequestOption{auth0.Capture(&m)})
		var e *auth0.Error
		if !errors.As(err, &e) || !errors.Is(err, auth0.ErrRateLimited) {
			t.Fatalf("error %v", err)
		}
		if e.Limit != 50 || e.Remaining != 0 || !e.Reset.Equal(time.Unix(1675452600, 0)) || e.RetryAfter != time.Second || e.RequestID != "abc123" || e.Attempts != 3 || e.Code != "too_many_requests" {
			t.Errorf("%+v", e)
		}
		if m.Status != 429 || m.Header.Get("X-Ratelimit-Limit") != "50" || !m.RateLimit.Rejected || m.RateLimit.Rejections != 2 {
			t.Errorf("meta %+v", m)
		}
	})
}

// go-auth0 v3.1: with a custom HTTP client own headers were dropped and
// internal ones sent.
func TestPeerFaultCustomClientLosesHeaders(t *testing.T) {
	t.Parallel()
	var seen http.Header
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { seen = r.Header.Clone() }))
	defer srv.Close()
	hc := srv.Client()
	before := *hc
	c, err := auth0.New(srv.URL, auth0.WithHTTPClient(hc), auth0.WithToken("tok"), auth0.WithLimiter(roomy(t)), auth0.WithUserAgent("app/1"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = auth0.Call[auth0.NoContent](t.Context(), c, "POST", "/api/v2/clients", nil, nil, map[string]string{}, []auth0.RequestOption{
		auth0.Header("X-Correlation-Id", "42"), auth0.Priority(1), auth0.Flow("f"), auth0.CustomDomain("login.example.com"),
	})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"Accept": "application/json", "Accept-Encoding": "gzip", "Authorization": "Bearer tok", "Content-Length": "2", "Content-Type": "application/json",
		"User-Agent": "app/1 headroom-go-auth0", "X-Correlation-Id": "42", "Auth0-Custom-Domain": "login.example.com",
	}
	for k, v := range want {
		if seen.Get(k) != v {
			t.Errorf("%s: %q, want %q", k, seen.Get(k), v)
		}
	}
	if len(seen) != len(want) {
		t.Errorf("headers %v, want only %v", seen, want)
	}
	if hc.Transport != before.Transport || hc.CheckRedirect != nil || hc.Jar != before.Jar || hc.Timeout != before.Timeout {
		t.Error("the HTTP client was changed")
	}
	c.CloseIdleConnections()
}

// go-auth0 v1: secrets in debug dumps. No way of printing shows one.
func TestPeerFaultPrintsSecrets(t *testing.T) {
	t.Parallel()
	const secret, token, mail = "s3cr3t-of-the-application", "eyJhbGciOi.JIUzI1NiJ9.c2VjcmV0", "alice@example.com"
	var out bytes.Buffer
	logger := slog.New(slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
	c := newClient(t, func(r *http.Request) (*http.Response, error) {
		if r.URL.Path == "/oauth/token" {
			return replyJSON(200, `{"access_token":"`+token+`","expires_in":86400}`), nil
		}
		dump, err := httputil.DumpRequestOut(r, false)
		if err != nil || !bytes.Contains(dump, []byte(token)) {
			t.Errorf("the request itself needs its token: %s %v", dump, err)
		}
		return replyJSON(400, `{"statusCode":400,"error":"Bad Request","message":"The user `+mail+` with token `+token+` exists","errorCode":"auth0_idp_error","refresh_token":"`+secret+`"}`), nil
	}, auth0.WithClientSecret("client", secret), auth0.WithLogger(logger))
	_, err := auth0.Call[auth0.NoContent](t.Context(), c, "PATCH", "/api/v2/users/{id}", []string{"auth0|" + mail}, url.Values{"q": {mail}}, map[string]string{"password": secret}, nil)
	logger.Info("failed", "err", err, "client", c)
	tok, tokErr := c.Token(t.Context())
	if tokErr != nil {
		t.Fatal(tokErr)
	}
	logger.Info("token", "token", tok)
	texts := []string{err.Error(), fmt.Sprintf("%v %+v %#v %s", err, err, err, err), out.String(),
		fmt.Sprintf("%v %+v %#v", c, c, c), fmt.Sprintf("%v %+v %#v", tok, tok, tok),
		fmt.Sprintf("%v %+v %#v", auth0.StaticToken(token), auth0.StaticToken(token), auth0.StaticToken(token)),
		fmt.Sprintf("%v %+v %#v", auth0.PrivateKey{ClientID: "x"}, auth0.PrivateKey{ClientID: "x"}, auth0.PrivateKey{ClientID: "x"})}
	for _, v := range []any{err, c, tok, &tok, auth0.StaticToken(token), auth0.PrivateKey{ClientID: "x", KeyID: secret}} {
		for _, verb := range []string{"%s", "%q", "%x", "%X", "%d", "%t", "%g"} { // a slip of the pen
			text := fmt.Sprintf(verb, v)
			if hexed, err := hex.DecodeString(text); err == nil {
				text = string(hexed)
			}
			texts = append(texts, text)
		}
	}
	for _, text := range texts {
		for _, hidden := range []string{secret, token, mail, "alice"} {
			if strings.Contains(text, hidden) {
				t.Errorf("%q shows %q", text, hidden)
			}
		}
	}
	if !strings.Contains(err.Error(), "auth0_idp_error") || !strings.Contains(err.Error(), "PATCH /api/v2/users/{id}: 400") {
		t.Errorf("the error lost what is needed: %v", err)
	}
}

// go-auth0 v1: options that were not set were sent as false or empty.
func TestPeerFaultSendsUnsetOptions(t *testing.T) {
	t.Parallel()
	type params struct {
		Page     int      `url:"page,omitempty"`
		Fields   []string `url:"fields,omitempty"`
		Include  bool     `url:"include_fields,omitempty"`
		Strategy string   `url:"strategy,omitempty"`
		IsGlobal *bool    `url:"is_global"`
	}
	type body struct {
		Name    *string             `json:"name,omitempty"`
		Blocked *bool               `json:"blocked,omitempty"`
		Picture auth0.Null[string]  `json:"picture,omitzero"`
		Roles   []string            `json:"roles,omitzero"`
		Meta    map[string]struct{} `json:"metadata,omitzero"`
	}
	var query, sent string
	c := newClient(t, func(r *http.Request) (*http.Response, error) {
		b, _ := io.ReadAll(r.Body)
		query, sent = r.URL.RawQuery, string(b)
		return replyJSON(200, "{}"), nil
	})
	for _, tt := range []struct {
		params      params
		body        body
		query, sent string
	}{
		{params{}, body{}, "", "{}"},
		{params{IsGlobal: new(false)}, body{Blocked: new(false), Picture: auth0.NullValue[string](), Roles: []string{}}, "is_global=false", `{"blocked":false,"picture":null,"roles":[]}`},
	} {
		q, err := auth0.QueryOf(&tt.params)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := auth0.Call[auth0.NoContent](t.Context(), c, "PATCH", "/api/v2/clients/{id}", []string{"x"}, q, &tt.body, nil); err != nil {
			t.Fatal(err)
		}
		if query != tt.query || sent != tt.sent {
			t.Errorf("query %q body %q, want %q and %q", query, sent, tt.query, tt.sent)
		}
	}
}
