// Command call reads a user with auth0.Call.
//
// It prints how many allocations were made before main; given a domain and a
// token it makes the call first.
package main

import (
	"context"
	"fmt"
	"os"
	"runtime"

	"github.com/headroom-go/auth0"
)

func main() {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	if len(os.Args) == 3 {
		if err := call(os.Args[1], os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	fmt.Println(m.Mallocs)
}

func call(domain, token string) error {
	client, err := auth0.New(domain, auth0.WithToken(token))
	if err != nil {
		return err
	}
	_, err = auth0.Call[map[string]any](context.Background(), client, "GET", "/api/v2/users/{id}", []string{"1"}, nil, nil, nil)
	return err
}
