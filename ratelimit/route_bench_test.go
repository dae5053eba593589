package ratelimit

import (
	"testing"
)

// benchmarkRequests are requests of several shapes, none of which needs a body.
func benchmarkRequests() []Request {
	return []Request{
		{Method: "POST", Path: "/api/v2/users"},
		{Method: "GET", Path: "/api/v2/users/auth0%7C507f1f77bcf86cd799439020"},
		{Method: "GET", Path: "/api/v2/users/auth0%7C507f1f77bcf86cd799439020", Template: "/api/v2/users/{id}"},
		{Method: "GET", Path: "/api/v2/organizations/org_1/members/auth0%7C1/roles"},
		{Method: "GET", Path: "/api/v2/clients", RawQuery: "page=0&per_page=50&q=name"},
		{Method: "GET", Path: "/authorize", RawQuery: "response_type=code&client_id=x"},
		{Method: "GET", Path: "/u/login", RawQuery: "state=hKFo2SBxyz"},
		{Method: "GET", Path: "/scim/v2/connections/con_1/Users"},
	}
}

func BenchmarkRoute(b *testing.B) {
	p := mustPlan(b, "enterprise")
	for _, r := range benchmarkRequests() {
		name := r.Method + r.Path
		if r.Template != "" {
			name += " by template"
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				route := p.Route(&r)
				n += route.N
			}
			if n < b.N {
				b.Fatal("a request without a bucket")
			}
		})
	}
}

// BenchmarkPlanFirstUse is what a program pays once: parsing its table and
// preparing its routes.
func BenchmarkPlanFirstUse(b *testing.B) {
	heads, err := planHeads("enterprise")
	if err != nil {
		b.Fatal(err)
	}
	v, _ := heads[0].variantNamed("")
	b.ReportAllocs()
	for b.Loop() {
		p, err := parsePlan(heads[0].text, v)
		if err != nil {
			b.Fatal(err)
		}
		p.Route(&Request{Method: "GET", Path: "/"})
	}
}
