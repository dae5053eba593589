package ratelimit_test

import (
	"fmt"
	"time"

	"github.com/headroom-go/auth0/ratelimit"
)

func ExampleNamed() {
	p, err := ratelimit.Named("enterprise/non-production")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, b := range p.Buckets {
		if b.Role == ratelimit.RoleGlobal && b.API == "management" {
			fmt.Println(b.Name, b.Burst, b.Rate)
		}
	}
	_, err = ratelimit.Named("enterprise/staging")
	fmt.Println(err != nil)
	// Output:
	// Management API 10 2/s
	// true
}

func ExampleParse() {
	p, err := ratelimit.Parse(`
plan   acme

[orders]
name        burst  sustained  key     requests
Orders API  100    20/s       tenant  global * /orders/*
Searches    10     30/min     ip      GET /orders?q
                                      POST /orders/search with kind=full
Exports     2      at once    tenant  POST /orders/exports
`)
	if err != nil {
		fmt.Println(err)
		return
	}
	r := p.Route(&ratelimit.Request{Method: "GET", Path: "/orders", RawQuery: "q=blue"})
	for _, i := range r.Buckets[:r.N] {
		fmt.Println(p.Buckets[i].Name)
	}
	// Output:
	// Orders API
	// Searches
}

func ExamplePlan_With() {
	p, err := ratelimit.Named("enterprise")
	if err != nil {
		fmt.Println(err)
		return
	}
	// The tenant was granted 40 a second, and Auth0 confirmed that endpoints
	// with a row of their own do not draw from the API level.
	p, err = p.With(
		ratelimit.OverrideBucket("Management API", 100, ratelimit.Rate{Count: 40, Per: time.Second}),
		ratelimit.OutsideAPILevel("management"),
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, path := range []string{"/api/v2/roles", "/api/v2/organizations"} {
		r := p.Route(&ratelimit.Request{Method: "GET", Path: path})
		for _, i := range r.Buckets[:r.N] {
			b := p.Buckets[i]
			fmt.Println(path, "draws from", b.Name, b.Burst, b.Rate)
		}
	}
	// Output:
	// /api/v2/roles draws from Management API 100 40/s
	// /api/v2/organizations draws from Read Organizations 10 100/min
}

func ExamplePlan_Route() {
	p, err := ratelimit.Named("essentials")
	if err != nil {
		fmt.Println(err)
		return
	}
	r := p.Route(&ratelimit.Request{Method: "PATCH", Path: "/api/v2/users/auth0%7C123"})
	fmt.Println(r.Template)
	for _, i := range r.Buckets[:r.N] {
		b := p.Buckets[i]
		fmt.Println(b.Name, b.Burst, b.Rate)
	}
	// Output:
	// /api/v2/users/{id}
	// Write Users 20 200/min
}

func ExamplePlan_Text() {
	p, err := ratelimit.Parse("plan acme\n[orders]\nOrders  5  90/90s  tenant  GET,PUT /orders/{id}\nReads  -  7/s  tenant  GET /orders\n")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Print(p.Text())
	// Output:
	// plan        acme
	//
	// [orders]
	// name    burst  sustained  key     requests
	// Orders  5      90/90s     tenant  GET,PUT /orders/{id}
	// Reads   7      7/s        tenant  GET /orders
}

func ExampleCandidates() {
	// An answer to this request showed x-ratelimit-limit: 50.
	r := &ratelimit.Request{Method: "GET", Path: "/api/v2/roles"}
	for _, p := range ratelimit.Candidates(r, 50) {
		fmt.Println(p.Name)
	}
	// Output:
	// enterprise
	// enterprise/public-performance-burst-2x
	// enterprise/public-performance-burst-3x
	// enterprise/public-performance-burst-4x
	// private-cloud-100
}
