package authentication_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// op is a method with what its directive and its doc comment say.
type op struct {
	line string // "POST /oauth/token"
	doc  string
}

// opsInCode reads the directives of the package's methods, by names such as
// OAuth.Refresh.
func opsInCode(t *testing.T) map[string]op {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	ops := map[string]op{}
	for _, name := range files {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Recv == nil || fn.Doc == nil {
				continue
			}
			recv, _ := fn.Recv.List[0].Type.(*ast.Ident)
			for _, c := range fn.Doc.List {
				if line, ok := strings.CutPrefix(c.Text, "//auth0:op "); ok {
					ops[strings.TrimSuffix(recv.Name, "Service")+"."+fn.Name.Name] = op{line, fn.Doc.Text()}
				}
			}
		}
	}
	return ops
}

// Each row of the list is a method whose directive says so, and each directive
// is a row of the list. A method names its grant type, and that it is old.
func TestOperationsAgreeWithTheList(t *testing.T) {
	t.Parallel()
	ops, listed := opsInCode(t), map[string]bool{}
	for _, c := range calls(t) {
		o, ok := ops[c.Go]
		if !ok || o.line != c.Method+" "+c.Path {
			t.Errorf("%s: %s says %q, want %s %s", c.Name, c.Go, o.line, c.Method, c.Path)
		}
		if flat := strings.Join(strings.Fields(o.doc), " "); !strings.Contains(flat, c.Grant) {
			t.Errorf("%s does not name its grant type %s:\n%s", c.Go, c.Grant, o.doc)
		}
		if c.Legacy != strings.Contains(o.doc, "\nDeprecated: ") {
			t.Errorf("%s: deprecated %v in the list only, or in the code only", c.Go, c.Legacy)
		}
		listed[c.Go] = true
	}
	for _, name := range slices.Sorted(maps.Keys(ops)) {
		if !listed[name] {
			t.Errorf("%s is in no row of the list", name)
		}
	}
	if len(listed) != 61 {
		t.Errorf("%d methods for 62 rows, want 61: two rows are ExchangeCode", len(listed))
	}
}

// A program that checks ID tokens links nothing of the Management API, of the
// command, or of tests.
func TestDependencies(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", ".").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	allowed := map[string]bool{
		"github.com/headroom-go/auth0":                true,
		"github.com/headroom-go/auth0/authentication": true,
		"github.com/headroom-go/auth0/ratelimit":      true,
		"github.com/hashicorp/go-retryablehttp":       true,
		"github.com/hashicorp/go-cleanhttp":           true,
		"github.com/cenkalti/backoff/v4":              true,
		"github.com/coreos/go-oidc/v3/oidc":           true,
		"github.com/go-jose/go-jose/v4":               true,
		"github.com/go-jose/go-jose/v4/cipher":        true,
		"github.com/go-jose/go-jose/v4/cryptosigner":  true,
		"github.com/go-jose/go-jose/v4/json":          true,
		"golang.org/x/oauth2":                         true,
		"golang.org/x/oauth2/internal":                true,
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
