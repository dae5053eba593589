// Package size measures what a program takes on with the SDK: the bytes of its
// binary, the allocations before its main, the packages it links. The programs
// that are compared lie below programs/. Each reads one user, and those named
// all keep every method that there is besides.
package size

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"text/tabwriter"
)

// The programs, by the name of their directory.
const (
	Floor = "floor" // net/http alone
	Retry = "retry" // net/http and go-retryablehttp
	Call  = "call"  // auth0.Call
	Typed = "typed" // management.Users.Get
	V1    = "v1"    // go-auth0 v1.45.0
	V3    = "v3"    // go-auth0 v3.0.0

	FloorAll = "floorall" // net/http, every method kept
	TypedAll = "typedall" // management
	V1All    = "v1all"    // go-auth0 v1.45.0
	V3All    = "v3all"    // go-auth0 v3.0.0
)

// MostOver is the most bytes that a program with management should have over
// one with net/http alone, when it makes one call.
const MostOver = 600_000

// Name says what a program uses.
func Name(program string) string {
	return map[string]string{
		Floor: "net/http", Retry: "net/http, go-retryablehttp", Call: "auth0.Call", Typed: "auth0, management",
		V1: "go-auth0 v1.45.0", V3: "go-auth0 v3.0.0",
		FloorAll: "net/http, every method", TypedAll: "auth0, management, every method",
		V1All: "go-auth0 v1.45.0, every method", V3All: "go-auth0 v3.0.0, every method",
	}[program]
}

// A Result is what one program came to.
type Result struct {
	Program string
	Bytes   int64 // of its stripped binary
	Allocs  int   // before main
}

// Measure builds the programs, stripped, and runs each. With a call of several
// it is the same toolchain and the same versions for all.
func Measure(ctx context.Context, programs ...string) ([]Result, error) {
	dir, err := os.MkdirTemp("", "headroom-size-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	var results []Result
	for _, p := range programs {
		path := filepath.Join(dir, p)
		build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", path, Package(p))
		if out, err := build.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("building %s: %w\n%s", p, err, out)
		}
		info, err := os.Stat(path)
		if err != nil {
			return nil, err
		}
		r := Result{Program: p, Bytes: info.Size()}
		if r.Allocs, err = allocs(ctx, path); err != nil {
			return nil, fmt.Errorf("running %s: %w", p, err)
		}
		results = append(results, r)
	}
	return results, nil
}

// Package returns the path of a program's package.
func Package(program string) string {
	return "github.com/headroom-go/auth0/bench/size/programs/" + program
}

// allocs runs a program a few times and returns the least that it prints: the
// runtime's own goroutines add one or two now and then.
func allocs(ctx context.Context, path string) (int, error) {
	least := -1
	for range 5 {
		out, err := exec.CommandContext(ctx, path).Output()
		if err != nil {
			return 0, err
		}
		n, err := strconv.Atoi(strings.TrimSpace(string(out)))
		if err != nil {
			return 0, err
		}
		if least < 0 || n < least {
			least = n
		}
	}
	return least, nil
}

// Links returns the packages outside the standard library that a package
// links, itself included.
func Links(ctx context.Context, pkg string) ([]string, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", pkg).Output()
	if err != nil {
		if e, ok := errors.AsType[*exec.ExitError](err); ok {
			err = fmt.Errorf("%w: %s", err, e.Stderr)
		}
		return nil, fmt.Errorf("listing what %s links: %w", pkg, err)
	}
	return strings.Fields(string(out)), nil
}

// Print writes the results as a table in Markdown. The first of them is what
// the others are compared with.
func Print(w io.Writer, results []Result) error {
	t := tabwriter.NewWriter(w, 0, 8, 1, ' ', 0)
	_, _ = fmt.Fprintln(t, "| a program that reads one user with\t| stripped binary\t| over the first\t| budget\t| allocations before main\t| over the first\t|")
	_, _ = fmt.Fprintln(t, "| ---\t| ---\t| ---\t| ---\t| ---\t| ---\t|")
	for _, r := range results {
		_, _ = fmt.Fprintf(t, "| %s\t| %.2f MB\t| +%.2f MB\t| %s\t| %d\t| +%d\t|\n", Name(r.Program), mega(r.Bytes), mega(r.Bytes-results[0].Bytes),
			r.verdict(results), r.Allocs, r.Allocs-results[0].Allocs)
	}
	return t.Flush()
}

// verdict compares the bytes with their budget.
func (r *Result) verdict(all []Result) string {
	kept := func(ok bool) string {
		if ok {
			return "kept"
		}
		return "missed"
	}
	for _, o := range all {
		switch {
		case r.Program == Typed && o.Program == Floor:
			over := r.Bytes - o.Bytes
			return fmt.Sprintf("+%.1f MB, %s (+%.2f MB)", mega(MostOver), kept(over <= MostOver), mega(over))
		case r.Program == TypedAll && o.Program == V3All:
			return fmt.Sprintf("1/2 of %s, %s (%.3f)", Name(V3), kept(2*r.Bytes <= o.Bytes), float64(r.Bytes)/float64(o.Bytes))
		}
	}
	return ""
}

func mega(n int64) float64 { return float64(n) / 1e6 }
