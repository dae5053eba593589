// Package size measures what a program takes on with the SDK: the bytes of its
// binary, the allocations before its main, the packages it links. The programs
// that are compared lie below programs/; each reads one user.
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
)

// names says in the table what a program uses.
func names(program string) string {
	return map[string]string{
		Floor: "net/http", Retry: "net/http, go-retryablehttp", Call: "auth0.Call", Typed: "auth0, management",
		V1: "go-auth0 v1.45.0", V3: "go-auth0 v3.0.0",
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
		build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", path, pkg(p))
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

func pkg(program string) string {
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
	_, _ = fmt.Fprintln(t, "| a program that reads one user with\t| stripped binary\t| over the first\t| allocations before main\t| over the first\t|")
	_, _ = fmt.Fprintln(t, "| ---\t| ---\t| ---\t| ---\t| ---\t|")
	for _, r := range results {
		_, _ = fmt.Fprintf(t, "| %s\t| %.2f MB\t| +%.2f MB\t| %d\t| +%d\t|\n", names(r.Program), mega(r.Bytes), mega(r.Bytes-results[0].Bytes),
			r.Allocs, r.Allocs-results[0].Allocs)
	}
	return t.Flush()
}

func mega(n int64) float64 { return float64(n) / 1e6 }
