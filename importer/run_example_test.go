package importer_test

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/headroom-go/auth0"
	"github.com/headroom-go/auth0/auth0test"
	"github.com/headroom-go/auth0/importer"
	"github.com/headroom-go/auth0/ratelimit"
)

func ExampleRun() {
	tenant, err := auth0test.New(auth0test.Options{PlanName: "enterprise"})
	if err != nil {
		panic(err)
	}
	client, err := auth0.New(tenant.Domain(), auth0.WithPlan("enterprise"), auth0.WithHTTPClient(tenant.Client()),
		auth0.WithClientSecret(auth0test.DefaultClientID, auth0test.DefaultClientSecret))
	if err != nil {
		panic(err)
	}
	users := importer.Reader(strings.NewReader(`
{"email": "ada@example.com", "password": "correct-horse-1"}
{"email": "grace@example.com", "password": "battery-staple-2"}
{"email": "nobody", "password": "left-out-3"}
`))
	report, err := importer.Run(context.Background(), client, users, importer.Options{
		// Ledger: "users.ledger", Resume: true, for an import that survives a crash
		Failed: func(f importer.Failure) { fmt.Printf("line %d: %s, %s\n", f.Line, f.Kind, f.Code) },
	})
	if err != nil {
		panic(err)
	}
	fmt.Println(report.Created, "created,", report.Refused, "refused")
	// Output:
	// line 4: refused, email-form
	// 2 created, 1 refused
}

func ExampleForecast() {
	users := importer.Users(func(yield func(any, error) bool) {
		for i := range 5000 {
			hash := "$2b$10$C9hSjFzBhQzzW8Qv6n2xWeE5vXq8oJ4m4Zx5J7u4r0X0B1kq0e1aS"
			if !yield(map[string]any{"email": fmt.Sprintf("user%d@example.com", i), "password_hash": hash}, nil) {
				return
			}
		}
	})
	inspection, err := importer.Inspect(context.Background(), users, importer.Check{Duplicates: true})
	if err != nil {
		panic(err)
	}
	plan, err := ratelimit.Named("enterprise")
	if err != nil {
		panic(err)
	}
	if err := importer.Forecast(inspection, plan, importer.Options{}).WriteText(os.Stdout); err != nil {
		panic(err)
	}
	// Output:
	// 5000 users, 0 refused
	//   import jobs   2 jobs, about 20 requests, 1m0s at least (2 jobs at a time, each 10s and 20ms more for each user; Auth0 publishes no figure)
	//   single calls  not possible: 5000 users have a password hash or second factors, which only a job can set
	// Way: jobs, because 5000 users have a password hash or second factors, which only a job can set.
}
