package size

import (
	"fmt"
	"maps"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/headroom-go/auth0/management"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const module = "github.com/headroom-go/auth0"

// Nothing is done before main that the libraries in use do not do: what our own
// packages add is a handful of error values.
func TestBudgets(t *testing.T) {
	results, err := Measure(t.Context(), Floor, Retry, Call, Typed, FloorAll, TypedAll)
	if err != nil {
		t.Fatal(err)
	}
	floor, retry, call, typed, floorAll, typedAll := results[0], results[1], results[2], results[3], results[4], results[5]
	for _, c := range []struct {
		what       string
		got, limit int64
	}{
		{"auth0.Call: bytes over net/http", call.Bytes - floor.Bytes, 1_250_000},
		{"management: bytes over auth0.Call", typed.Bytes - call.Bytes, 150_000},
		{"management, every method kept: bytes over net/http", typedAll.Bytes - floorAll.Bytes, 5_000_000}, // go-auth0 v3: 16,570,000
		{"auth0.Call: allocations before main over go-retryablehttp", int64(call.Allocs - retry.Allocs), 10},
		{"management: allocations before main over auth0.Call", int64(typed.Allocs - call.Allocs), 0},
	} {
		t.Logf("%s: %d of %d", c.what, c.got, c.limit)
		if c.got > c.limit {
			t.Errorf("%s: %d, want at most %d", c.what, c.got, c.limit)
		}
	}
	var table strings.Builder
	if err := Print(&table, results); err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(table.String(), "\n"); got != len(results)+2 {
		t.Errorf("the table has %d lines:\n%s", got, table.String())
	}
}

// The program that keeps everything keeps each method of each group, and the one
// that makes one call those of no group but its own.
func TestEveryMethod(t *testing.T) {
	t.Parallel()
	all := methods(reflect.TypeFor[management.API]())
	if len(all) < 469 {
		t.Fatalf("management.API has %d methods, fewer than the API has operations", len(all))
	}
	kept := symbols(t, TypedAll)
	for name := range all {
		if !kept[name] {
			t.Errorf("%s is not in the program", name)
		}
	}
	pruned := symbols(t, Typed)
	for name := range all {
		if pruned[name] && !strings.Contains(name, "(*UsersService)") {
			t.Errorf("%s is in a program that does not call it", name)
		}
	}
}

// methods returns the symbols of the methods of all groups below a struct.
func methods(group reflect.Type) map[string]bool {
	found := map[string]bool{}
	for m := range reflect.PointerTo(group).Methods() {
		found[fmt.Sprintf("%s.(*%s).%s", group.PkgPath(), group.Name(), m.Name)] = true
	}
	for f := range group.Fields() {
		if f.Type.Kind() == reflect.Struct && f.IsExported() {
			maps.Copy(found, methods(f.Type))
		}
	}
	return found
}

// symbols returns the functions in the binary of a program.
func symbols(t *testing.T, program string) map[string]bool {
	t.Helper()
	path := filepath.Join(t.TempDir(), program)
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", path, Package(program)).CombinedOutput(); err != nil {
		t.Fatalf("building %s: %v\n%s", program, err, out)
	}
	out, err := exec.CommandContext(t.Context(), "go", "tool", "nm", path).Output()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for line := range strings.Lines(string(out)) {
		if field := strings.Fields(line); len(field) == 3 {
			found[field[2]] = true
		}
	}
	return found
}

func TestVerdict(t *testing.T) {
	t.Parallel()
	all := []Result{{Program: Floor, Bytes: 6_000_000}, {Program: Typed, Bytes: 6_600_000}, {Program: V3All, Bytes: 20_000_000}, {Program: TypedAll, Bytes: 10_000_001}}
	for i, want := range []string{"", "+0.6 MB, kept (+0.60 MB)", "", "1/2 of go-auth0 v3.0.0, missed (0.500)"} {
		if got := all[i].verdict(all); got != want {
			t.Errorf("the verdict on %s is %q, want %q", all[i].Program, got, want)
		}
	}
}

// What a program links is decided here, package by package.
func TestLinks(t *testing.T) {
	t.Parallel()
	engine := []string{module + "/ratelimit"}
	client := append([]string{"github.com/cenkalti/backoff/v4", "github.com/hashicorp/go-cleanhttp", "github.com/hashicorp/go-retryablehttp", module}, engine...)
	for pkg, want := range map[string][]string{
		module + "/ratelimit":        engine,
		module:                       client,
		module + "/management":       append([]string{module + "/management"}, client...),
		module + "/internal/enforce": {module + "/internal/enforce"},
	} {
		got, err := Links(t.Context(), pkg)
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s links\n\t%s\nwant\n\t%s", pkg, strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
		}
	}
}

func TestFailuresAreReported(t *testing.T) {
	t.Parallel()
	if _, err := Measure(t.Context(), "none"); err == nil || !strings.Contains(err.Error(), "building none") {
		t.Errorf("a program that is not there: %v", err)
	}
	if _, err := Links(t.Context(), module+"/none"); err == nil || !strings.Contains(err.Error(), module+"/none") {
		t.Errorf("a package that is not there: %v", err)
	}
}
