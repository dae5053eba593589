package speed

import (
	"testing"
	"time"

	"github.com/headroom-go/auth0/ratelimit"
)

// routes measures how a request is told its buckets, under the published plan
// with the most of them.
func routes() []Case {
	var cases []Case
	for _, r := range routed() {
		what := "route " + r.Method + " " + r.Path
		if r.Template != "" {
			what += " by template"
		}
		cases = append(cases, Case{What: what, Who: Ours, Budget: 200 * time.Nanosecond, Bench: func(b *testing.B) {
			plan, err := ratelimit.Named("enterprise")
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if plan.Route(&r).N == 0 {
					b.Fatal("a request without a bucket")
				}
			}
		}})
	}
	return cases
}

// routed are requests of several shapes that show their buckets without a body.
func routed() []ratelimit.Request {
	return []ratelimit.Request{
		{Method: "POST", Path: "/api/v2/users"},
		{Method: "GET", Path: "/api/v2/users/auth0%7C507f1f77bcf86cd799439020"},
		{Method: "GET", Path: "/api/v2/users/auth0%7C507f1f77bcf86cd799439020", Template: "/api/v2/users/{id}"},
		{Method: "GET", Path: "/api/v2/organizations/org_1/members/auth0%7C1/roles"},
		{Method: "GET", Path: "/api/v2/clients", RawQuery: "page=0&per_page=50&q=name"},
		{Method: "GET", Path: "/authorize", RawQuery: "response_type=code&client_id=x"},
	}
}
