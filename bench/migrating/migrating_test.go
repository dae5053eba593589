// Package migrating compiles the calls of other SDKs that the guide for those who come from them names.
package migrating

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// use takes the calls; nothing is run.
func use(...any) {}

// TestGuide shows that every call of v1 and v3 in docs/migrating-from-go-auth0.md is compiled here.
func TestGuide(t *testing.T) {
	_, _ = v1, v3
	guide, err := os.ReadFile("../../docs/migrating-from-go-auth0.md")
	if err != nil {
		t.Fatal(err)
	}
	compiled := map[string]string{}
	for _, name := range []string{"v1", "v3"} {
		src, err := os.ReadFile(name + "_test.go")
		if err != nil {
			t.Fatal(err)
		}
		compiled[name] = string(src)
	}
	found := 0
	check := func(version, call string) {
		found++
		if !strings.Contains(compiled[version], "\tuse("+call+")\n") {
			t.Errorf("%s: %s is not compiled", version, call)
		}
	}
	_, tasks, _ := strings.Cut(string(guide), "## Tasks")
	for _, m := range regexp.MustCompile("(?m)^- (v[13]): `(.*)`$").FindAllStringSubmatch(tasks, -1) {
		check(m[1], m[2])
	}
	for _, m := range regexp.MustCompile("(?m)^\\| `(m\\.[^`]+)` \\| `(m\\.[^`]+)` \\|").FindAllStringSubmatch(tasks, -1) {
		check("v1", m[1])
		check("v3", m[2])
	}
	if found < 200 {
		t.Errorf("%d calls found", found)
	}
}
