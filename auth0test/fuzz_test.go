package auth0test

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/headroom-go/auth0/ratelimit"
)

// Whatever is asked, the tenant answers, with a body of the announced length,
// and counts the request once.
func FuzzRequest(f *testing.F) {
	for _, seed := range [][4]string{
		{"POST", "/api/v2/users", "application/json", "{" + connection + `,"email":"a@example.com","password":"x"}`},
		{"PATCH", "/api/v2/users/auth0%7C1", "application/json", `{"user_metadata":{"a":null},"email":null}`},
		{"GET", "/api/v2/users?q=email:%22a%5C%22%22%20AND%20a.b:c*&sort=x:-1&fields=a,b&per_page=0", "", ""},
		{"POST", "/oauth/token", "application/x-www-form-urlencoded", tokenForm(DefaultClientID, DefaultClientSecret, managementAudience)},
		{"POST", "/api/v2/jobs/users-imports", "multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=\"users\"; filename=\"u\"\r\n\r\n[{\"email\":1},null]\r\n--b\r\nContent-Disposition: form-data; name=\"connection_id\"\r\n\r\n" + testConnection + "\r\n--b--\r\n"},
		{"GET", "/api/v2/jobs/x/errors", "", ""},
		{"DELETE", "/%2e%2e/%zz/..//x", "text/plain; =", "\xff\x00"},
		{"BREW", "/u/login?state=%ff", "multipart/form-data", ""},
	} {
		f.Add(seed[0], seed[1], seed[2], seed[3])
	}
	p, err := ratelimit.Named("enterprise")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, method, target, contentType, body string) {
		u, err := url.Parse(base + target)
		if err != nil || u.Host != DefaultDomain || u.Path == ReportPath {
			return // no address of the tenant's
		}
		clock := newClock()
		tenant := MustNew(Options{
			Plan: p, Clock: clock.Now, AnyToken: true, Connections: []Connection{{ID: testConnection, Name: DefaultConnection}},
			Policies: []Policy{{Selector: "default", Quota: 5}}, ClientQuota: Quota{PerHour: 1},
		})
		ask := func(r *http.Request) {
			resp, err := tenant.RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(resp.Body)
			if err != nil || resp.Body.Close() != nil {
				t.Fatal(err)
			}
			if resp.StatusCode < 200 || resp.StatusCode > 599 || method != http.MethodHead && int64(len(b)) != resp.ContentLength {
				t.Fatalf("status %d, %d bytes, Content-Length %d", resp.StatusCode, len(b), resp.ContentLength)
			}
		}
		r := &http.Request{Method: method, URL: u, Header: http.Header{"Content-Type": {contentType}}, Body: io.NopCloser(strings.NewReader(body))}
		ask(r.WithContext(context.Background()))
		clock.set(time.Hour) // jobs end
		r.Body = io.NopCloser(strings.NewReader(body))
		ask(r.WithContext(context.Background()))
		if got := tenant.Report(); got.Requests != 2 || got.Accepted+got.Rejected != 2 {
			t.Fatalf("report %+v", got)
		}
	})
}
