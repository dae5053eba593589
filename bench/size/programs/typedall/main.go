// Command typedall keeps every method of package management: it calls one by a
// name that only the run knows.
//
// It prints how many allocations were made before main; given a domain and the
// name of a method it calls that first.
package main

import (
	"fmt"
	"os"
	"reflect"
	"runtime"

	"github.com/headroom-go/auth0"
	"github.com/headroom-go/auth0/management"
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

func call(domain, method string) error {
	client, err := auth0.New(domain)
	if err != nil {
		return err
	}
	reflect.ValueOf(management.New(client)).MethodByName(method).Call(nil)
	return nil
}
