// Package build measures what it takes to build a program that uses the SDK:
// the processor time and the memory of the go command, its compilers and its
// linker.
package build

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/headroom-go/auth0/bench/size"
)

// A Usage is what a build took.
type Usage struct {
	Time time.Duration // of all processors, in user and system mode
	Peak int64         // bytes resident in the largest of its processes
}

// A Result is what the builds of one program came to.
type Result struct {
	Program  string
	Packages int // that were compiled, the program's own included
	// Cold is a build that finds the standard library and all dependencies
	// compiled, and nothing of the SDK. Warm is the build after an edit of the
	// program: everything else is compiled already.
	Cold, Warm Usage
}

// sdks are the modules that a cold build compiles. All others are dependencies.
var sdks = []string{"github.com/headroom-go/auth0", "github.com/headroom-go/auth0/bench", "github.com/auth0/go-auth0", "github.com/auth0/go-auth0/v3"}

// Measure builds each program n times in turn, cold and warm, and takes the
// best of each figure: what else runs on a machine only ever adds.
func Measure(ctx context.Context, n int, programs ...string) ([]Result, error) {
	dir, err := os.MkdirTemp("", "headroom-build-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	w := workshop{dir: dir, sdks: sdks}
	var pkgs []string
	for _, p := range programs {
		pkgs = append(pkgs, size.Package(p))
	}
	if err := w.prepare(ctx, pkgs); err != nil {
		return nil, err
	}
	results := make([]Result, len(programs))
	for round := range n {
		for i, p := range pkgs {
			r, err := w.measure(ctx, p)
			if err != nil {
				return nil, err
			}
			r.Program = programs[i]
			if round > 0 {
				r.Cold, r.Warm = least(r.Cold, results[i].Cold), least(r.Warm, results[i].Warm)
			}
			results[i] = r
		}
	}
	return results, nil
}

func least(a, b Usage) Usage { return Usage{min(a.Time, b.Time), min(a.Peak, b.Peak)} }

// A workshop is a directory with a build cache that holds the dependencies, for
// each build to have a copy of.
type workshop struct {
	dir  string
	from string          // directory of the module, the current one when empty
	sdks []string        // modules whose packages are not in the cache
	own  map[string]bool // those packages, known once prepared
}

func (w *workshop) seed() string { return filepath.Join(w.dir, "seed") }

// prepare compiles what the packages depend on and is not an SDK's.
func (w *workshop) prepare(ctx context.Context, pkgs []string) error {
	list := exec.CommandContext(ctx, "go", append([]string{"list", "-deps", "-f", "{{.ImportPath}} {{with .Module}}{{.Path}}{{end}}"}, pkgs...)...)
	list.Dir = w.from
	out, err := output(list)
	if err != nil {
		return err
	}
	w.own = map[string]bool{}
	var deps []string
	for line := range strings.Lines(string(out)) {
		pkg, module, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch {
		case slices.Contains(w.sdks, module):
			w.own[pkg] = true
		case !strings.HasPrefix(pkg, "vendor/"): // compiled with the packages of the standard library that need them
			deps = append(deps, pkg)
		}
	}
	if len(deps) == 0 {
		return errors.New("the packages depend on nothing")
	}
	_, _, err = w.build(ctx, w.seed(), "", deps...)
	return err
}

// measure builds a program twice, in a cache of its own.
func (w *workshop) measure(ctx context.Context, pkg string) (r Result, err error) {
	cache := filepath.Join(w.dir, "cache")
	if err := link(w.seed(), cache); err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(cache)) }()
	compiled, cold, err := w.build(ctx, cache, "", pkg)
	if err != nil {
		return r, err
	}
	for _, p := range compiled {
		if !w.own[p] {
			return r, fmt.Errorf("the cold build of %s compiled %s, which is a dependency", pkg, p)
		}
	}
	overlay, err := w.edit(ctx, pkg)
	if err != nil {
		return r, err
	}
	again, warm, err := w.build(ctx, cache, overlay, pkg)
	if err != nil {
		return r, err
	}
	if !slices.Equal(again, []string{pkg}) {
		return r, fmt.Errorf("the warm build of %s compiled %s", pkg, strings.Join(again, ", "))
	}
	return Result{Packages: len(compiled), Cold: cold, Warm: warm}, nil
}

// build compiles packages, and links one that is a program. It returns the
// packages that were not in the cache.
func (w *workshop) build(ctx context.Context, cache, overlay string, pkgs ...string) ([]string, Usage, error) {
	args := []string{"build", "-v", "-trimpath", "-buildvcs=false", "-ldflags=-s -w"}
	if overlay != "" {
		args = append(args, "-overlay", overlay)
	}
	if len(pkgs) == 1 {
		args = append(args, "-o", filepath.Join(w.dir, "out"))
		if err := os.RemoveAll(filepath.Join(w.dir, "out")); err != nil { // the go command would find it up to date
			return nil, Usage{}, err
		}
	}
	cmd := exec.CommandContext(ctx, "go", append(args, pkgs...)...)
	cmd.Dir, cmd.Env = w.from, append(os.Environ(), "GOCACHE="+cache)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Run(); err != nil {
		return nil, Usage{}, fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, said.Bytes())
	}
	return strings.Fields(said.String()), usage(cmd.ProcessState), nil
}

// edit returns an overlay in which the first file of a package has one more
// declaration.
func (w *workshop) edit(ctx context.Context, pkg string) (string, error) {
	list := exec.CommandContext(ctx, "go", "list", "-f", "{{.Dir}}\n{{index .GoFiles 0}}", pkg)
	list.Dir = w.from
	out, err := output(list)
	if err != nil {
		return "", err
	}
	dir, name, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	file := filepath.Join(dir, name)
	text, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	edited, overlay := filepath.Join(w.dir, "edited.go"), filepath.Join(w.dir, "overlay.json")
	if err := os.WriteFile(edited, append(text, "\n// Edited was added to the file.\nvar Edited = 1\n"...), 0o600); err != nil {
		return "", err
	}
	text, err = json.Marshal(map[string]map[string]string{"Replace": {file: edited}})
	if err != nil {
		return "", err
	}
	return overlay, os.WriteFile(overlay, text, 0o600)
}

func output(cmd *exec.Cmd) ([]byte, error) {
	out, err := cmd.Output()
	if e, ok := errors.AsType[*exec.ExitError](err); ok {
		err = fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, e.Stderr)
	}
	return out, err
}

// link makes a copy of a directory, of hard links: nothing writes to a file of a
// build cache once it is there.
func link(from, to string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(from, path)
		switch {
		case err != nil:
			return err
		case d.IsDir():
			return os.MkdirAll(filepath.Join(to, name), 0o700)
		}
		return os.Link(path, filepath.Join(to, name))
	})
}

// Print writes the results as a table in Markdown.
func Print(w io.Writer, results []Result) error {
	t := tabwriter.NewWriter(w, 0, 8, 1, ' ', 0)
	row := func(cells ...string) { _, _ = fmt.Fprintf(t, "| %s\t|\n", strings.Join(cells, "\t| ")) }
	row("a program that reads one user with", "packages compiled", "cold", "memory", "after an edit", "memory", "budget of the cold build")
	row("---", "---", "---", "---", "---", "---", "---")
	for _, r := range results {
		row(size.Name(r.Program), fmt.Sprint(r.Packages), seconds(r.Cold.Time), mega(r.Cold.Peak), seconds(r.Warm.Time), mega(r.Warm.Peak), verdict(r, results))
	}
	return t.Flush()
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }
func mega(n int64) string            { return fmt.Sprintf("%.0f MB", float64(n)/1e6) }

// verdict compares the cold build of the typed SDK with those of its peers.
func verdict(r Result, all []Result) string {
	if r.Program != size.Typed {
		return ""
	}
	var said []string
	for _, b := range []struct {
		peer string
		text string
		most float64
	}{{size.V1, "0.8", 0.8}, {size.V3, "1/8", 1.0 / 8}} {
		for _, o := range all {
			if o.Program != b.peer {
				continue
			}
			ratio, how := float64(r.Cold.Time)/float64(o.Cold.Time), "kept"
			if ratio > b.most {
				how = "missed"
			}
			said = append(said, fmt.Sprintf("%s of %s, %s (%.3f)", b.text, size.Name(o.Program), how, ratio))
		}
	}
	return strings.Join(said, "; ")
}
