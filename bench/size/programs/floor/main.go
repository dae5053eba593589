// Command floor reads a user with net/http alone: what any program that makes a call links.
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
	req, err := http.NewRequest(http.MethodGet, "https://"+domain+"/api/v2/users/1", nil) //nolint:noctx // the least there can be
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	var user map[string]any
	err = json.NewDecoder(resp.Body).Decode(&user)
	_ = resp.Body.Close()
	return err
}
