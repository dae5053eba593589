// Command retry is the program floor, sent through go-retryablehttp: the floor
// of every program that uses that library, as package auth0 does.
//
// It prints how many allocations were made before main; given a domain and a
// token it makes the call first.
package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"runtime"

	"github.com/hashicorp/go-retryablehttp"
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
	req, err := retryablehttp.NewRequest(http.MethodGet, "https://"+domain+"/api/v2/users/1", nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	client := retryablehttp.NewClient()
	client.Logger = nil
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	var user map[string]any
	err = json.NewDecoder(resp.Body).Decode(&user)
	_ = resp.Body.Close()
	return err
}
