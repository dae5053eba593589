package exporter_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"os"

	"github.com/headroom-go/auth0"
	"github.com/headroom-go/auth0/auth0test"
	"github.com/headroom-go/auth0/exporter"
)

func ExampleRun() {
	tenant := auth0test.MustNew(auth0test.Options{})
	client, err := auth0.New(tenant.Domain(), auth0.WithToken(tenant.Token()), auth0.WithHTTPClient(tenant.Client()))
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	for _, name := range []string{"ada", "grace"} {
		user := map[string]any{"connection": auth0test.DefaultConnection, "email": name + "@example.com", "password": "made-up-" + name}
		if _, err := auth0.Call[auth0.NoContent](ctx, client, http.MethodPost, "/api/v2/users", nil, nil, user, nil); err != nil {
			log.Fatal(err)
		}
	}

	result, err := exporter.Run(ctx, client, os.Stdout, exporter.Options{
		Connection: auth0test.DefaultConnection,
		Fields:     []exporter.Field{{Name: "email"}, {Name: "email_verified", As: "verified"}},
		Download:   tenant.Client(), // the simulated tenant keeps the files as well
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(result.Users, "users")
	// Output:
	// {"email":"ada@example.com","verified":false}
	// {"email":"grace@example.com","verified":false}
	// 2 users
}
