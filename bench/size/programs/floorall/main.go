// Command floorall is the program floor with a method called by a name that
// only the run knows, so that the linker keeps every method of every type that
// is left. It is the floor of the programs that keep a whole SDK so.
//
// It prints how many allocations were made before main; given a domain and the
// name of a method it calls that first.
package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"reflect"
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

func call(domain, method string) error {
	resp, err := http.Get("https://" + domain + "/api/v2/users/1") //nolint:noctx // the least there can be
	if err != nil {
		return err
	}
	var user map[string]any
	err = json.NewDecoder(resp.Body).Decode(&user)
	_ = resp.Body.Close()
	reflect.ValueOf(resp.Body).MethodByName(method).Call(nil)
	return err
}
