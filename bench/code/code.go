// Package code counts the code of the SDK that a program takes on: its lines,
// and the names that a reader of its documentation meets.
package code

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/scanner"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/headroom-go/auth0/bench/size"
)

// A Result is what the packages of one SDK come to that a program links.
type Result struct {
	Program  string
	Packages int
	// Lines are all lines of their files without tests, Generated those of files
	// that say that they are generated, Code those that are neither blank nor
	// comments.
	Lines, Generated, Code int
	// Names are the exported constants, variables, types, functions and methods
	// of packages that can be imported, Fields the exported fields of exported
	// structs there.
	Names, Fields int
}

// sdks are the modules whose packages are counted.
var sdks = []string{"github.com/headroom-go/auth0", "github.com/auth0/go-auth0", "github.com/auth0/go-auth0/v3"}

// Measure counts, for each of the programs, the packages of its SDK.
func Measure(ctx context.Context, programs ...string) ([]Result, error) {
	var results []Result
	for _, p := range programs {
		r, err := count(ctx, size.Package(p))
		if err != nil {
			return nil, err
		}
		r.Program = p
		results = append(results, r)
	}
	return results, nil
}

func count(ctx context.Context, program string) (r Result, err error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-deps", "-f", "{{with .Module}}{{.Path}}{{end}}|{{.ImportPath}}|{{.Dir}}|{{join .GoFiles `|`}}", program).Output()
	if err != nil {
		if e, ok := errors.AsType[*exec.ExitError](err); ok {
			err = fmt.Errorf("%w: %s", err, e.Stderr)
		}
		return r, fmt.Errorf("listing what %s links: %w", program, err)
	}
	for line := range strings.Lines(string(out)) {
		part := strings.Split(strings.TrimSpace(line), "|")
		if !slices.Contains(sdks, part[0]) {
			continue
		}
		r.Packages++
		internal := slices.Contains(strings.Split(part[1], "/"), "internal")
		for _, name := range part[3:] {
			text, err := os.ReadFile(filepath.Join(part[2], name))
			if err != nil {
				return r, err
			}
			if err := r.add(name, text, internal); err != nil {
				return r, err
			}
		}
	}
	return r, nil
}

// add counts a file.
func (r *Result) add(name string, text []byte, internal bool) error {
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, name, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	lines := bytes.Count(text, []byte("\n"))
	r.Lines += lines
	if ast.IsGenerated(file) {
		r.Generated += lines
	}
	r.Code += code(text)
	if !internal {
		for _, d := range file.Decls {
			r.declaration(d)
		}
	}
	return nil
}

// code counts the lines that hold something of the language.
func code(text []byte) (n int) {
	file := token.NewFileSet().AddFile("", -1, len(text))
	var s scanner.Scanner
	s.Init(file, text, nil, 0)
	last := 0
	for {
		pos, tok, literal := s.Scan()
		if tok == token.EOF {
			return n
		}
		if tok == token.SEMICOLON && literal == "\n" {
			continue
		}
		first := file.Line(pos)
		end := first + strings.Count(literal, "\n")
		n += max(0, end-max(first-1, last))
		last = max(last, end)
	}
}

func (r *Result) declaration(d ast.Decl) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Name.IsExported() && (d.Recv == nil || receiver(d.Recv.List[0].Type)) {
			r.Names++
		}
	case *ast.GenDecl:
		for _, s := range d.Specs {
			switch s := s.(type) {
			case *ast.ValueSpec:
				r.Names += exported(s.Names)
			case *ast.TypeSpec:
				if !s.Name.IsExported() {
					continue
				}
				r.Names++
				switch t := s.Type.(type) {
				case *ast.StructType:
					for _, f := range t.Fields.List {
						r.Fields += exported(f.Names)
					}
				case *ast.InterfaceType:
					for _, m := range t.Methods.List {
						r.Names += exported(m.Names)
					}
				}
			}
		}
	}
}

func exported(names []*ast.Ident) (n int) {
	for _, name := range names {
		if name.IsExported() {
			n++
		}
	}
	return n
}

// receiver reports whether the type of a receiver is exported.
func receiver(t ast.Expr) bool {
	switch t := t.(type) {
	case *ast.StarExpr:
		return receiver(t.X)
	case *ast.IndexExpr:
		return receiver(t.X)
	case *ast.IndexListExpr:
		return receiver(t.X)
	case *ast.Ident:
		return t.IsExported()
	}
	return false
}

// MostGenerated is the most lines that may be generated of ours.
const MostGenerated = 25_000

// Print writes the results as a table in Markdown.
func Print(w io.Writer, results []Result) error {
	t := tabwriter.NewWriter(w, 0, 8, 1, ' ', 0)
	row := func(cells ...any) {
		text := make([]string, len(cells))
		for i, c := range cells {
			text[i] = fmt.Sprint(c)
		}
		_, _ = fmt.Fprintf(t, "| %s\t|\n", strings.Join(text, "\t| "))
	}
	row("what a program links of", "packages", "lines", "without blanks and comments", "generated lines", "exported names", "exported fields", "budget of generated lines")
	row("---", "---", "---", "---", "---", "---", "---", "---")
	for _, r := range results {
		row(size.Name(r.Program), r.Packages, r.Lines, r.Code, r.Generated, r.Names, r.Fields, r.verdict())
	}
	return t.Flush()
}

func (r *Result) verdict() string {
	switch {
	case r.Program != size.Typed:
		return ""
	case r.Generated > MostGenerated:
		return fmt.Sprintf("%d, missed (%d)", MostGenerated, r.Generated)
	}
	return fmt.Sprintf("%d, kept (%d)", MostGenerated, r.Generated)
}
