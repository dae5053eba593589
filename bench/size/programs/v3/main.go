// Command v3 reads a user with the third generation of the official SDK.
//
// It prints how many allocations were made before main; given a domain and a
// token it makes the call first.
package main

import (
	"context"
	"fmt"
	"os"
	"runtime"

	"github.com/auth0/go-auth0/v3/management"
	"github.com/auth0/go-auth0/v3/management/client"
	"github.com/auth0/go-auth0/v3/management/option"
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
	api, err := client.New(domain, option.WithToken(token))
	if err != nil {
		return err
	}
	_, err = api.Users.Get(context.Background(), "1", &management.GetUserRequestParameters{})
	return err
}
