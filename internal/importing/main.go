// Command importing imports made-up users into a simulated tenant in virtual
// time, by each way, and prints what came of it: whether every user is accounted
// for, what the limits turned back, and how long it took beside what the tenant
// allows.
//
//	go run ./internal/importing                100,000 users
//	go run ./internal/importing -users 5000
package main

import (
	"flag"
	"fmt"
	"regexp"
	"testing"
)

func main() {
	n := flag.Int("users", 100_000, "users to import")
	fmt.Println("                      created   exist  failed  refused  jobs  at a time     elapsed     allowed     used  rejected")
	var tests []testing.InternalTest
	for _, k := range kinds {
		tests = append(tests, testing.InternalTest{Name: k.name, F: func(t *testing.T) {
			t.Helper()
			f := k.run(t, *n)
			r := f.report
			fmt.Printf("%-20s %8d %7d %7d %8d %5d %10d %9.1f s %9.1f s %6.2f %% %9d\n", k.name, r.Created, r.Exists, r.Failed, r.Refused,
				r.JobsCount, f.peak, f.elapsed.Seconds(), f.allowed.Seconds(), 100*f.share(), f.rejected)
		}})
	}
	// Virtual time is that of testing/synctest, which runs in tests only.
	testing.Main(regexp.MatchString, tests, nil, nil)
}
