package exporter_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headroom-go/auth0"
	"github.com/headroom-go/auth0/auth0test"
	"github.com/headroom-go/auth0/exporter"
	"github.com/headroom-go/auth0/importer"
)

// plainTenant is a tenant without rate limits, and a client of it.
func plainTenant(t *testing.T) (*auth0test.Tenant, *auth0.Client) {
	t.Helper()
	tenant := auth0test.MustNew(auth0test.Options{JobTime: 20 * time.Second})
	client, err := auth0.New(tenant.Domain(), auth0.WithToken(tenant.Token()), auth0.WithPlan("private-cloud-10000"), auth0.WithHTTPClient(tenant.Client()))
	if err != nil {
		t.Fatal(err)
	}
	return tenant, client
}

// everyKind is one user of each kind that there is, and what all have in common.
func everyKind(i int) map[string]any {
	u := map[string]any{"email": fmt.Sprintf("user.%d@example.com", i)}
	if i%2 == 0 {
		u["email_verified"] = i%4 == 0
	}
	if i%3 == 0 {
		u["user_id"] = fmt.Sprintf("old-%d", i)
	}
	if i%5 == 0 {
		u["username"] = fmt.Sprintf("user_%d", i)
	}
	if i%7 == 0 {
		u["phone_number"], u["phone_verified"] = fmt.Sprintf("+49151%07d", i), i%14 == 0
	}
	if i%11 == 0 { // one without an address
		delete(u, "email")
		delete(u, "email_verified")
		u["username"] = fmt.Sprintf("user_%d", i)
	}
	if i%4 == 1 {
		u["given_name"], u["family_name"], u["name"] = "Zoë", `O'"Neill`, "Zoë <&> \u2028 O'Neill"
		u["nickname"], u["picture"], u["blocked"] = fmt.Sprintf("n%d", i), "https://example.com/p.png?a=1&b=2", i%8 == 1
	}
	if i%6 == 2 {
		u["user_metadata"] = map[string]any{"n": i, "big": json.Number("9007199254740993"), "list": []any{"a", 1.5, nil, true}, "in": map[string]any{"ner": "日本"}, "empty": map[string]any{}}
		u["app_metadata"] = map[string]any{"roles": []any{"admin"}, "quote": `"\`}
	}
	if i%10 == 3 {
		u["password_hash"] = "$2b$10$jIeJ0E4t.BaEHiXhUp7pm.1Va.ZSJV7uZMKk4WTsa2A0X0ONUvBHO"
	}
	return u
}

// usersOf returns the users of a tenant by their ids, as the tenant shows each, without
// what is of the tenant and not of the user.
func usersOf(t *testing.T, client *auth0.Client, ids []string) map[string]map[string]json.RawMessage {
	t.Helper()
	all := make(map[string]map[string]json.RawMessage)
	for _, id := range ids {
		u, err := auth0.Call[map[string]json.RawMessage](t.Context(), client, http.MethodGet, "/api/v2/users/{id}", []string{id}, nil, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		delete(u, "created_at")
		delete(u, "updated_at")
		all[id] = u
	}
	return all
}

func importInto(t *testing.T, client *auth0.Client, src *importer.Source, want int) *importer.Report {
	t.Helper()
	r, err := importer.Run(t.Context(), client, src, importer.Options{Via: importer.ViaJobs, Failed: func(f importer.Failure) { t.Errorf("failed: %+v", f) }})
	if err != nil || r.Created != want || r.Total != want {
		t.Fatalf("%v, report %+v", err, r)
	}
	return r
}

// Import, export, import into a second tenant: the users are equal, field by field.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	const users = 600
	for _, fields := range [][]exporter.Field{exporter.Importable(), nil} {
		t.Run(fmt.Sprintf("%d fields", len(fields)), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				tenant, first := plainTenant(t)
				made := func(yield func(any, error) bool) {
					for i := range users {
						if !yield(everyKind(i), nil) {
							return
						}
					}
				}
				importInto(t, first, importer.Users(made), users)

				path := filepath.Join(t.TempDir(), "users.ndjson")
				file, err := os.Create(path)
				if err != nil {
					t.Fatal(err)
				}
				result, err := exporter.Run(t.Context(), first, file, exporter.Options{Connection: auth0test.DefaultConnection, Fields: fields, Download: tenant.Client()})
				if err != nil || result.Users != users {
					t.Fatalf("%v, %+v", err, result)
				}
				if err := file.Close(); err != nil {
					t.Fatal(err)
				}

				time.Sleep(time.Hour) // users of the second tenant are younger
				_, second := plainTenant(t)
				src, err := importer.File(path)
				if err != nil {
					t.Fatal(err)
				}
				importInto(t, second, src, users)

				ids := exportedIDs(t, path)
				if len(ids) != users {
					t.Fatalf("%d different ids, want %d", len(ids), users)
				}
				want, got := usersOf(t, first, ids), usersOf(t, second, ids)
				kinds := make(map[string]int)
				for id, u := range want {
					for name, v := range u {
						kinds[name]++
						if string(got[id][name]) != string(v) {
							t.Errorf("%s: %s is %s, was %s", id, name, got[id][name], v)
						}
					}
					for name, v := range got[id] {
						if _, had := u[name]; !had {
							t.Errorf("%s: %s is %s and was not there", id, name, v)
						}
					}
				}
				// The comparison was of something.
				for name := range everyKind(5 * 7 * 4) {
					if name != "password_hash" && kinds[name] < users/20 {
						t.Errorf("%d users had %s", kinds[name], name)
					}
				}
				if u := want["auth0|old-8"]; u != nil || want["auth0|old-6"] == nil {
					t.Errorf("ids are not those of the input: %v", ids[:10])
				}
				// What was imported is what came out, for one of each.
				for i := range 60 {
					u := everyKind(i)
					id, ok := u["user_id"].(string)
					if !ok {
						continue
					}
					for name, v := range u {
						if name == "user_id" || name == "password_hash" {
							continue
						}
						if in, out := toJSON(t, v), toJSON(t, want["auth0|"+id][name]); in != out {
							t.Errorf("user %d: %s went in as %s and is %s", i, name, in, out)
						}
					}
				}
			})
		})
	}
}

func toJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var n any
	d := json.NewDecoder(strings.NewReader(string(b)))
	d.UseNumber()
	if err := d.Decode(&n); err != nil {
		t.Fatal(err)
	}
	b, err = json.Marshal(n)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func exportedIDs(t *testing.T, path string) []string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for line := range strings.Lines(string(data)) {
		var u struct {
			UserID string `json:"user_id"`
		}
		if err := json.Unmarshal([]byte(line), &u); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, u.UserID)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// CSV carries text, and what is no text in fields of its own type.
func TestRoundTripCSV(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tenant, first := plainTenant(t)
		fields := []exporter.Field{{Name: "user_id"}, {Name: "email"}, {Name: "email_verified"}, {Name: "name"}, {Name: "user_metadata.plan"}, {Name: "created_at"}}
		made := func(yield func(any, error) bool) {
			for i := range 100 {
				u := map[string]any{"email": fmt.Sprintf("u%d@example.com", i), "email_verified": i%2 == 0, "name": fmt.Sprintf("Two\nlines, \"%d\"", i), "user_metadata": map[string]any{"plan": "p1"}}
				if !yield(u, nil) {
					return
				}
			}
		}
		importInto(t, first, importer.Users(made), 100)
		path := filepath.Join(t.TempDir(), "users.csv")
		file, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := exporter.Run(t.Context(), first, file, exporter.Options{Format: exporter.CSV, Fields: fields, Download: tenant.Client()}); err != nil {
			t.Fatal(err)
		}
		if err := file.Close(); err != nil {
			t.Fatal(err)
		}
		src, err := importer.File(path)
		if err != nil {
			t.Fatal(err)
		}
		second, other := plainTenant(t)
		importInto(t, other, src, 100)
		all := func(tenant *auth0test.Tenant, client *auth0.Client) string {
			var b strings.Builder
			if _, err := exporter.Run(t.Context(), client, &b, exporter.Options{Fields: fields[:5], Download: tenant.Client()}); err != nil {
				t.Fatal(err)
			}
			return b.String()
		}
		if a, b := all(tenant, first), all(second, other); a != b || strings.Count(a, `"user_metadata.plan":"p1"`) != 100 {
			t.Errorf("%s\nbecame\n%s", a, b)
		}
	})
}
