package management

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/headroom-go/auth0/ratelimit"
)

// operations is how many the API had on 2026-08-20.
const operations = 469

var opLine = regexp.MustCompile(`(?m)^(GET|POST|PUT|PATCH|DELETE) (/\S+) (\S+) (\S+)$`)

// TestOperations holds the methods, the description and the samples against each other: every operation is in each of them, once.
func TestOperations(t *testing.T) {
	t.Parallel()
	methods := readOps(t)
	described := map[string]string{}
	files, err := filepath.Glob("../internal/gen/api/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range opLine.FindAllStringSubmatch(string(b), -1) {
			op := m[1] + " " + m[2]
			if described[op] != "" {
				t.Errorf("%s is described twice", op)
			}
			described[op] = m[4]
		}
	}
	sampled := map[string]bool{}
	for _, s := range readSamples(t) {
		sampled[s.Op] = true
	}
	if len(methods) != operations || len(described) != operations || len(sampled) != operations {
		t.Errorf("%d methods, %d described, %d samples; want %d of each", len(methods), len(described), len(sampled), operations)
	}
	for op, name := range described {
		if methods[op][1] != name {
			t.Errorf("%s is described as %s, and the method is %q", op, name, methods[op][1])
		}
		if !sampled[op] {
			t.Errorf("%s has no sample", op)
		}
	}
	for op := range methods {
		if described[op] == "" {
			t.Errorf("%s is not described", op)
		}
	}
	// Every method can be reached from the API.
	all := services(new(API))
	for op, m := range methods {
		if v, ok := all[m[0]]; !ok || !v.MethodByName(m[1]).IsValid() {
			t.Errorf("%s: no field of the API leads to %s.%s", op, m[0], m[1])
		}
	}
}

// TestRoutes holds the route of every method against the plans: each draws from the bucket of the whole Management API, and what the
// narrower buckets match by path alone is the same by the template, which methods send, as by a path, which other clients send.
func TestRoutes(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"enterprise", "free", "private-cloud-500"} {
		plan, err := ratelimit.Named(name)
		if err != nil {
			t.Fatal(err)
		}
		for op := range readOps(t) {
			method, path, _ := strings.Cut(op, " ")
			template := "/api/v2" + path
			r := plan.Route(&ratelimit.Request{Method: method, Template: template})
			if r.Template != template {
				t.Errorf("%s, %s: the route is %q", name, op, r.Template)
			}
			if r.N == 0 || plan.Buckets[r.Buckets[0]].API != "management" || !strings.HasPrefix(plan.Buckets[r.Buckets[0]].Name, "Management API") {
				t.Errorf("%s, %s: does not draw from the Management API's own bucket", name, op)
			}
			filled := regexp.MustCompile(`\{\w+\}`).ReplaceAllString(template, "x1")
			p := plan.Route(&ratelimit.Request{Method: method, Path: filled})
			if p.N != r.N || p.Buckets != r.Buckets {
				t.Errorf("%s, %s: buckets %v by template, %v by path", name, op, r.Buckets[:r.N], p.Buckets[:p.N])
			}
		}
	}
}
