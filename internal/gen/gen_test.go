package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func builtIn(t *testing.T) *API {
	t.Helper()
	api, err := readAPI("api")
	if err != nil {
		t.Fatal(err)
	}
	return api
}

// TestGenerated is what go generate followed by git diff would show: the package management is what the description says.
func TestGenerated(t *testing.T) {
	t.Parallel()
	files, err := generate(builtIn(t))
	if err != nil {
		t.Fatal(err)
	}
	again, err := generate(builtIn(t))
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join("..", "..", "management")
	for name, want := range files {
		if !bytes.Equal(want, again[name]) {
			t.Errorf("%s differs from one run to the next", name)
		}
		got, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Error(err)
			continue
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s is not what the description says: run go generate ./management", name)
		}
	}
	have, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range have {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.HasPrefix(b, []byte("// Code generated")) && files[filepath.Base(name)] == nil {
			t.Errorf("%s is no longer generated: run go generate ./management", name)
		}
	}
}

// TestDescription reads and writes every file of the description, and holds it to the rules that CONTRIBUTING states.
func TestDescription(t *testing.T) {
	t.Parallel()
	api := builtIn(t)
	for _, f := range api.Files {
		b, err := os.ReadFile(filepath.Join("api", f.Tag+".txt"))
		if err != nil {
			t.Fatal(err)
		}
		if f.text() != string(b) {
			t.Errorf("api/%s.txt is not as it would be written", f.Tag)
		}
		for _, g := range f.Groups {
			if g.Doc == "" {
				t.Errorf("group %s has no doc line", g.Name)
			}
			checkName(t, g.Go)
		}
		for _, o := range f.Ops {
			if !strings.HasSuffix(o.Doc, ".") {
				t.Errorf("%s %s has no doc line", o.Method, o.Path)
			}
		}
		for _, typ := range f.Types {
			checkName(t, typ.Name)
			for _, fl := range typ.Fields {
				if strings.Contains(fl.Limits, "e+") {
					t.Errorf("%s.%s: the limits %s are no plain numbers", typ.Name, fl.Name, fl.Limits)
				}
			}
			if typ.Kind == "union" && len(typ.Variants) == 0 {
				t.Errorf("union %s has no variants", typ.Name)
			}
		}
	}
}

func checkName(t *testing.T, name string) {
	t.Helper()
	if len(name) > 40 || strings.Contains(name, "RequestContent") || strings.Contains(name, "ResponseContent") {
		t.Errorf("%s wants a shorter name", name)
	}
}

// TestImport brings one small document in, gives it doc lines and names, and brings in the one after it.
func TestImport(t *testing.T) {
	t.Parallel()
	first := importFile(t, "testdata/old.json", new(API))
	f := first.Files[0]
	f.Groups[0].Doc = "Birds of the tenant"
	f.Ops[0].Doc = "returns one page of birds."
	for _, typ := range f.Types {
		switch typ.Name {
		case "BirdColor":
			typ.Name = "Plumage"
			typ.Values[0].Go = "Crimson"
		case "Bird":
			typ.Fields[3].Type = "Plumage"
		case "BirdCreate":
			typ.Doc = "is a bird to be."
			for _, fl := range typ.Fields {
				if fl.Name == "color" {
					fl.Type, fl.Doc = "Plumage", "What it looks like."
				}
			}
		}
	}
	// The names and lines go through the text, as they do between two imports.
	again, err := parseFile("birds", f.text())
	if err != nil {
		t.Fatal(err)
	}
	old := &API{Files: []*File{again}}
	if err := old.index(); err != nil {
		t.Fatal(err)
	}
	now := importFile(t, "testdata/new.json", old)
	got := changes(old, now)
	for _, line := range []string{
		"~ operation GET /birds: scopes was read:birds, is read:bird_songs read:birds",
		"+ operation GET /birds: parameter color Plumage",
		"+ operation GET /birds/{id} (birds.Get)",
		"~ operation POST /birds: lifecycle was beta, is GA",
		"- operation DELETE /birds/{id} (birds.Delete)",
		"~ type BirdCreate: field name was! string (1-20 chars), is! string (1-40 chars)",
		"- type BirdCreate: field song~ string",
		"+ type BirdCreate: field weight~ float",
		`+ enum Plumage: value "black"`,
		`- enum Plumage: value "green"`,
		"+ type NestTreeSite: field leaves bool",
	} {
		if i := slices.Index(got, line); i >= 0 {
			got = slices.Delete(got, i, i+1)
		} else {
			t.Errorf("not reported: %s", line)
		}
	}
	if len(got) > 0 {
		t.Errorf("reported too much:\n%s", strings.Join(got, "\n"))
	}
	text := now.Files[0].text()
	for _, kept := range []string{`"Birds of the tenant"`, `"returns one page of birds."`, "enum Plumage", "red Crimson", `"is a bird to be."`, `color Plumage "What it looks like."`} {
		if !strings.Contains(text, kept) {
			t.Errorf("lost on import: %s", kept)
		}
	}
	if same := changes(now, importFile(t, "testdata/new.json", now)); len(same) > 0 {
		t.Errorf("importing the same twice changes\n%s", strings.Join(same, "\n"))
	}
}

func importFile(t *testing.T, name string, old *API) *API {
	t.Helper()
	doc, err := readDocument(name)
	if err != nil {
		t.Fatal(err)
	}
	im := newImporter(doc, old)
	api, err := im.run()
	if err != nil {
		t.Fatal(err)
	}
	if err := im.writeSamples(filepath.Join(t.TempDir(), "samples")); err != nil {
		t.Fatal(err)
	}
	return api
}

// TestImportKeeps brings in a document in which an operation is written with another path parameter and is deprecated, and a type is
// sent as well: words and names stay, the report tells of it, and what is generated is Go.
func TestImportKeeps(t *testing.T) {
	t.Parallel()
	old := importFile(t, "testdata/old.json", new(API))
	for _, o := range old.Files[0].Ops {
		if o.ID == "delete_birds" {
			o.Doc, o.Go = "lets a bird go.", "Free"
		}
	}
	b, err := os.ReadFile("testdata/old.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range [][2]string{
		{`"/birds/{id}"`, `"/birds/{bird_id}"`},
		{`"operationId": "delete_birds",`, `"operationId": "delete_birds", "deprecated": true,
			"requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/GetBirdResponseContent"}}}},`},
	} {
		if !bytes.Contains(b, []byte(r[0])) {
			t.Fatalf("old.json has no %s", r[0])
		}
		b = bytes.ReplaceAll(b, []byte(r[0]), []byte(r[1]))
	}
	name := filepath.Join(t.TempDir(), "new.json")
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
	now := importFile(t, name, old)
	text := now.Files[0].text()
	if !strings.Contains(text, "DELETE /birds/{bird_id} birds Free\n    \"lets a bird go.\"\n    id delete_birds\n    life deprecated\n") {
		t.Errorf("got\n%s", text)
	}
	got := changes(old, now)
	for _, line := range []string{
		"- operation DELETE /birds/{id} (birds.Free)",
		"+ operation DELETE /birds/{bird_id} (birds.Free)",
		"~ Bird: was type Bird out, is type Bird inout",
	} {
		if !slices.Contains(got, line) {
			t.Errorf("not reported: %s; but\n%s", line, strings.Join(got, "\n"))
		}
	}
	files, err := generate(now)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(files["birds.go"], []byte("// Deprecated: ")) {
		t.Errorf("not marked as deprecated:\n%s", files["birds.go"])
	}
}

// TestImportOdd brings in documents with what an import does not understand. It says so, and where.
func TestImportOdd(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("testdata/old.json")
	if err != nil {
		t.Fatal(err)
	}
	const body = `"operationId": "delete_birds", "requestBody": {"content": {"application/json": {"schema": {"type": "object", "properties": {"x": `
	for _, c := range []struct{ old, new, want string }{
		{`"operationId": "delete_birds",`, body + `{"$ref": "#/components/schemas/Nope"}}}}}},`, "DeleteBirdsRequestContent.x: no schema Nope"},
		{`"operationId": "delete_birds",`, body + `{"type": "file"}}}}}},`, "DeleteBirdsRequestContent.x: unknown type file"},
		{`"operationId": "delete_birds",`, body + `{"type": ["string", "integer"]}}}}}},`, "x any"},
		{`"operationId": "delete_birds",`, body + `{"enum": ["a", 1]}}}}}},`, "x any"},
		{`"operationId": "delete_birds",`, `"operationId": "delete_birds", "requestBody": {"$ref": "#/components/requestBodies/B"},`, "DELETE /birds/{id}: has a body"},
		{`"operationId": "delete_birds",`, `"operationId": "delete_birds", "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Nope"}}}},`, "no schema Nope"},
		{`"parameters": [`, `"parameters": [{"$ref": "#/components/parameters/P"},`, "GET /birds: has a parameter by reference"},
		{`"parameters": [`, `"parameters": [{"name": "If-Match", "in": "header", "schema": {"type": "string"}},`, "! GET /birds: parameter If-Match is in the header"},
		{`"x-operation-group": "birds"`, `"x-group": "birds"`, "GET /birds: has no tag, no x-operation-group"},
	} {
		if !bytes.Contains(b, []byte(c.old)) {
			t.Fatalf("old.json has no %s", c.old)
		}
		name := filepath.Join(t.TempDir(), "odd.json")
		if err := os.WriteFile(name, bytes.Replace(b, []byte(c.old), []byte(c.new), 1), 0o600); err != nil {
			t.Fatal(err)
		}
		doc, err := readDocument(name)
		if err != nil {
			t.Fatal(err)
		}
		im := newImporter(doc, new(API))
		var got string
		if api, err := im.run(); err != nil {
			got = err.Error()
		} else {
			got = strings.Join(im.warnings, "\n") + api.Files[0].text()
		}
		if !strings.Contains(got, c.want) {
			t.Errorf("%s: want %q, got\n%s", c.new, c.want, got)
		}
	}
}

// TestShapes shows what the importer makes of the first document.
func TestShapes(t *testing.T) {
	t.Parallel()
	text := importFile(t, "testdata/old.json", new(API)).Files[0].text()
	want, err := os.ReadFile("testdata/old.txt")
	if err != nil {
		t.Fatal(err)
	}
	if text != string(want) {
		t.Errorf("got\n%s", text)
	}
}

func TestGoNames(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"user_id": "UserID", "app_metadata": "AppMetadata", "isMobile": "IsMobile", "google-apps": "GoogleApps", "ext_telephoneNumber": "ExtTelephoneNumber",
		"httpEndpoint": "HTTPEndpoint", "suspiciousIpThrottling": "SuspiciousIPThrottling", "ConnectionOptionsOAuth2": "ConnectionOptionsOAuth2",
		"client_ids": "ClientIDs", "jwtConfiguration": "JWTConfiguration", "X509CertificateCredential": "X509CertificateCredential",
		"networkAcls": "NetworkACLs", "GitHub": "GitHub", "3d": "X3d", "dpop_signing_alg": "DPoPSigningAlg",
	} {
		if got := exported(in); got != want {
			t.Errorf("%s is %s, want %s", in, got, want)
		}
	}
	for in, want := range map[string]string{"ID": "id", "UserID": "userID", "KID": "kid", "TriggerID": "triggerID", "TemplateName": "templateName", "Language": "language"} {
		if got := lower(in); got != want {
			t.Errorf("%s is %s, want %s", in, got, want)
		}
	}
	for in, want := range map[string]string{"roles": "role", "policies": "policy", "addresses": "address", "settings": "settings", "boxes": "box", "aliases": "alias", "sms": "sms", "licenses": "license"} {
		if got := singular(in); got != want {
			t.Errorf("%s is %s, want %s", in, got, want)
		}
	}
}

func TestParseErrors(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"nonsense here\n",
		"    a detail alone\n",
		"GET /x g List\n    returns\n    nonsense 1\n",
		"type T out\n    field\n",
		"type T out\n    field string nonsense\n",
		"type T sideways\n",
		"union U in by x\n    a b\n",
		"GET /x g List\n    page T items sideways\n",
	} {
		if f, err := parseFile("x", text); err == nil {
			t.Errorf("%q was read as %q", text, f.text())
		} else if !strings.Contains(err.Error(), "x.txt:") {
			t.Errorf("%q: the error does not say where: %v", text, err)
		}
	}
}
