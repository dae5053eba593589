package auth0_test

import (
	"os/exec"
	"strings"
	"testing"
)

// What a program links with the root package, beside the standard library.
func TestDependencies(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", ".").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	allowed := map[string]bool{
		"github.com/headroom-go/auth0":           true,
		"github.com/headroom-go/auth0/ratelimit": true,
		"github.com/hashicorp/go-retryablehttp":  true,
		"github.com/hashicorp/go-cleanhttp":      true,
		"github.com/cenkalti/backoff/v4":         true,
	}
	found := 0
	for path := range strings.FieldsSeq(string(out)) {
		if !allowed[path] {
			t.Errorf("links %s", path)
		}
		found++
	}
	if found != len(allowed) {
		t.Errorf("links %d packages, want %d:\n%s", found, len(allowed), out)
	}
}
