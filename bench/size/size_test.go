package size

import (
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const module = "github.com/headroom-go/auth0"

// Nothing is done before main that the libraries in use do not do: what our own
// packages add is a handful of error values.
func TestBudgets(t *testing.T) {
	results, err := Measure(t.Context(), Floor, Retry, Call, Typed)
	if err != nil {
		t.Fatal(err)
	}
	floor, retry, call, typed := results[0], results[1], results[2], results[3]
	for _, c := range []struct {
		what       string
		got, limit int64
	}{
		{"auth0.Call: bytes over net/http", call.Bytes - floor.Bytes, 1_250_000},
		{"management: bytes over auth0.Call", typed.Bytes - call.Bytes, 150_000},
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
