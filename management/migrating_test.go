package management_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/headroom-go/auth0/management"
)

const migratingGuide = "../docs/migrating-from-go-auth0.md"

// TestMigratingGuide shows that the Go of the guide is what the examples here compile and run: each piece the body of one function, and
// each function in the guide.
func TestMigratingGuide(t *testing.T) {
	t.Parallel()
	const name = "migrating_example_test.go"
	src, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, name, src, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	bodies := map[string]string{} // the name of the function by its body
	called := map[string]bool{}
	for _, d := range file.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok {
			continue
		}
		if strings.HasPrefix(fn.Name.Name, "migrate") {
			body := src[set.Position(fn.Body.Lbrace).Offset+1 : set.Position(fn.Body.Rbrace).Offset]
			bodies[strings.TrimSpace(strings.ReplaceAll("\n"+string(body), "\n\t", "\n"))] = fn.Name.Name
			continue
		}
		ast.Inspect(fn, func(n ast.Node) bool {
			if id, ok := n.(*ast.Ident); ok {
				called[id.Name] = true
			}
			return true
		})
	}
	guide, err := os.ReadFile(migratingGuide)
	if err != nil {
		t.Fatal(err)
	}
	pieces := strings.Split(string(guide), "```go\n")[1:]
	if len(pieces) < 20 {
		t.Errorf("%d pieces of Go, want the twenty commonest tasks at least", len(pieces))
	}
	for _, piece := range pieces {
		piece, _, _ = strings.Cut(piece, "```")
		piece = strings.TrimSpace(piece)
		fn, ok := bodies[piece]
		if !ok {
			t.Errorf("no function has this body:\n%s", piece)
		}
		delete(bodies, piece)
		if ok && !called[fn] {
			t.Errorf("no example runs %s", fn)
		}
	}
	for _, fn := range bodies {
		t.Errorf("%s is not in the guide", fn)
	}
}

// TestMigratingNames looks up every call of ours that the guide names outside its Go.
func TestMigratingNames(t *testing.T) {
	t.Parallel()
	guide, err := os.ReadFile(migratingGuide)
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile("`api((?:\\.[A-Z]\\w*)+)").FindAllStringSubmatch(string(guide), -1)
	if len(names) < 100 {
		t.Errorf("%d names", len(names))
	}
	for _, m := range names {
		v := reflect.ValueOf(new(management.API))
		path := strings.Split(m[1][1:], ".")
		for i, name := range path {
			field := v.Elem().FieldByName(name)
			if i == len(path)-1 && !field.IsValid() {
				if !v.MethodByName(name).IsValid() {
					t.Errorf("api%s: no method %s", m[1], name)
				}
				break
			}
			if !field.IsValid() {
				t.Errorf("api%s: no group %s", m[1], name)
				break
			}
			v = field.Addr()
		}
	}
}
