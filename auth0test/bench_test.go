package auth0test

import (
	"net/http"
	"testing"

	"github.com/headroom-go/auth0/ratelimit"
)

// One request of a published plan: what a simulated hour costs a request.
func BenchmarkRoundTrip(b *testing.B) {
	p, err := ratelimit.Named("enterprise")
	if err != nil {
		b.Fatal(err)
	}
	tenant := MustNew(Options{Plan: p, AnyToken: true})
	req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, base+"/api/v2/users?per_page=1", nil)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		resp, err := tenant.RoundTrip(req)
		if err != nil {
			b.Fatal(err)
		}
		if err := resp.Body.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
