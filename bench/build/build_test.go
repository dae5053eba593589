package build

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/headroom-go/auth0/bench/size"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// small returns a workshop for a module of two packages, which depend on
// nothing but a package of another module. Not even the runtime has to be
// compiled for it.
func small(t *testing.T) *workshop {
	t.Helper()
	from := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":     "module example.com/own\n\ngo 1.26\n\nrequire example.com/dep v0.0.0\n\nreplace example.com/dep => ./dep\n",
		"own.go":     "package own\n\nimport \"example.com/own/more\"\n\nvar One = more.One\n",
		"more/m.go":  "package more\n\nimport \"example.com/dep\"\n\nvar One = dep.One\n",
		"dep/go.mod": "module example.com/dep\n\ngo 1.26\n",
		"dep/dep.go": "package dep\n\nvar One = 1\n",
	} {
		path := filepath.Join(from, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w := &workshop{dir: t.TempDir(), from: from, sdks: []string{"example.com/own"}}
	if err := w.prepare(t.Context(), []string{"example.com/own"}); err != nil {
		t.Fatal(err)
	}
	return w
}

// A cold build compiles the packages of the SDK and nothing else, a warm one the
// edited package alone; each time anew.
func TestMeasure(t *testing.T) {
	t.Parallel()
	w := small(t)
	for range 2 {
		r, err := w.measure(t.Context(), "example.com/own")
		if err != nil {
			t.Fatal(err)
		}
		if r.Packages != 2 {
			t.Errorf("the cold build compiled %d packages, want 2", r.Packages)
		}
		for what, u := range map[string]Usage{"cold": r.Cold, "warm": r.Warm} {
			if u.Time < time.Millisecond || u.Time > time.Minute {
				t.Errorf("the %s build took %s", what, u.Time)
			}
			if u.Peak < 1<<20 || u.Peak > 1<<32 {
				t.Errorf("the %s build took %d bytes", what, u.Peak)
			}
		}
		if _, err := os.Stat(filepath.Join(w.dir, "cache")); !os.IsNotExist(err) {
			t.Errorf("the cache of the build is left behind: %v", err)
		}
	}
}

// A build that compiles more than it should is no measurement.
func TestMissingDependency(t *testing.T) {
	t.Parallel()
	w := small(t)
	if err := os.RemoveAll(w.seed()); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(w.seed(), 0o700); err != nil {
		t.Fatal(err)
	}
	const want = "the cold build of example.com/own compiled example.com/dep, which is a dependency"
	if _, err := w.measure(t.Context(), "example.com/own"); err == nil || err.Error() != want {
		t.Errorf("without the dependencies: %v, want %q", err, want)
	}
	if _, err := w.measure(t.Context(), "example.com/none"); err == nil || !strings.Contains(err.Error(), "example.com/none") {
		t.Errorf("a package that is not there: %v", err)
	}
}

func TestPrint(t *testing.T) {
	t.Parallel()
	s := func(n int) Usage { return Usage{Time: time.Duration(n) * time.Second, Peak: 200_000_000} }
	var table strings.Builder
	err := Print(&table, []Result{
		{Program: size.Typed, Packages: 4, Cold: s(4), Warm: s(1)},
		{Program: size.V1, Packages: 5, Cold: s(5), Warm: s(1)},
		{Program: size.V3, Packages: 185, Cold: s(30), Warm: s(2)},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"4.00 s", "200 MB", "0.8 of go-auth0 v1.45.0, kept (0.800); 1/8 of go-auth0 v3.0.0, missed (0.133)",
	} {
		if !strings.Contains(table.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, table.String())
		}
	}
	if got := strings.Count(table.String(), "kept"); got != 1 {
		t.Errorf("%d rows have a budget, want one:\n%s", got, table.String())
	}
}

func TestLeast(t *testing.T) {
	t.Parallel()
	if got, want := least(Usage{1, 4}, Usage{2, 3}), (Usage{1, 3}); got != want {
		t.Errorf("the least of two is %v, want %v", got, want)
	}
}
