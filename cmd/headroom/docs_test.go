package main

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/headroom-go/auth0/auth0test"
	"github.com/headroom-go/auth0/importer"
)

const guide = "../../docs/importing.md"

// block is one fenced block of a document.
type block struct {
	language, name, text string
}

func blocks(t *testing.T, path string) []block {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var all []block
	for _, m := range regexp.MustCompile("(?ms)^```(\\w+)(?: (\\S+))?\n(.*?)^```\n").FindAllStringSubmatch(string(data), -1) {
		all = append(all, block{m[1], m[2], m[3]})
	}
	return all
}

// The user of each kind of hash passes the checks and is imported.
func TestGuideHashes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newConsole(t, auth0test.Options{})
		var lines strings.Builder
		kinds := map[string]bool{}
		for _, b := range blocks(t, guide) {
			if b.language != "json" || b.name != "" {
				continue
			}
			var u struct {
				Hash   string `json:"password_hash"`
				Custom struct {
					Algorithm string `json:"algorithm"`
				} `json:"custom_password_hash"`
			}
			if err := json.Unmarshal([]byte(b.text), &u); err != nil {
				t.Fatalf("%v in %s", err, b.text)
			}
			if u.Hash != "" {
				u.Custom.Algorithm = "password_hash"
			}
			kinds[u.Custom.Algorithm] = true
			lines.WriteString(strings.ReplaceAll(b.text, "\n", " ") + "\n")
		}
		for _, kind := range []string{"password_hash", "argon2", "bcrypt", "hmac", "ldap", "md4", "md5", "sha1", "sha256", "sha512", "pbkdf2", "scrypt"} {
			if !kinds[kind] {
				t.Errorf("the guide has no example of %s", kind)
			}
		}
		file := write(t, "hashes.ndjson", lines.String())
		if r := planOf(t, c, exitOK, file); r.Total != len(kinds) || r.NeedJob != r.Total {
			t.Errorf("%+v", r)
		}
		c.counts(c.importJSON(exitOK, file), len(kinds), 0, 0)
		if n := c.tenant.Report().Users; n != len(kinds) {
			t.Errorf("the tenant has %d users, want %d", n, len(kinds))
		}
	})
}

// The Go of the guides compiles.
func TestGuideGoCompiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var files []string
	for _, b := range blocks(t, guide) {
		if b.language == "go" {
			files = append(files, write(t, "main.go", b.text))
		}
	}
	logins, err := os.ReadFile("../../docs/authentication.md")
	if err != nil {
		t.Fatal(err)
	}
	_, refusal, found := strings.Cut(string(logins), "## When the tenant refuses\n")
	refusal, _, _ = strings.Cut(refusal, "\n`errors.Is`")
	if len(files) != 1 || !found {
		t.Fatalf("%d programs", len(files))
	}
	files = append(files, write(t, "main.go", `package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/headroom-go/auth0/authentication"
)

func main() { fmt.Println(handle(context.Background(), nil)) }

func secondFactor(context.Context, string, authentication.MFARequirements) error { return nil }

func handle(ctx context.Context, err error) error {
`+refusal+"}\n"))
	for i, file := range files {
		cmd := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(dir, fmt.Sprint(i)), file)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	}
}

// The hashes of the guide are of the password that it names, where the standard
// library can tell.
func TestGuideHashesAreRight(t *testing.T) {
	t.Parallel()
	const password = "made-up-passphrase"
	salt, key := "made-up-salt-16b", "made-up-key-of-the-application"
	md5sum := md5.Sum([]byte(password))
	sha1sum := sha1.Sum([]byte("1a2b" + password))
	sha256sum := sha256.Sum256([]byte(password + salt))
	sha512sum := sha512.Sum512([]byte(salt + password))
	ssha := sha1.Sum([]byte(password + salt[:8]))
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(password))
	derived, err := pbkdf2.Key(sha512.New, password, []byte(salt), 100_000, 64)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(guide)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"md5":      hex.EncodeToString(md5sum[:]),
		"sha1":     hex.EncodeToString(sha1sum[:]),
		"sha256":   base64.StdEncoding.EncodeToString(sha256sum[:]),
		"sha512":   base64.StdEncoding.EncodeToString(sha512sum[:]),
		"ldap":     "{SSHA}" + base64.StdEncoding.EncodeToString(append(ssha[:], salt[:8]...)),
		"hmac":     hex.EncodeToString(mac.Sum(nil)),
		"hmac key": base64.StdEncoding.EncodeToString([]byte(key)),
		"pbkdf2":   "$pbkdf2-sha512$i=100000,l=64$" + base64.RawStdEncoding.EncodeToString([]byte(salt)) + "$" + base64.RawStdEncoding.EncodeToString(derived),
		"salt":     base64.StdEncoding.EncodeToString([]byte(salt)),
		"hex salt": hex.EncodeToString([]byte(salt)),
	} {
		if !strings.Contains(string(text), `"`+want+`"`) {
			t.Errorf("%s: the guide lacks %s", name, want)
		}
	}
}

// The files and commands of the guide, in their order, do what it says.
func TestGuideCommands(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		connections := []auth0test.Connection{{ID: "con_GuideConnection0", Name: auth0test.DefaultConnection}}
		c := newConsole(t, auth0test.Options{Domain: "example.eu.auth0.com", Tokens: []string{"made-up"}, Connections: connections})
		other := auth0test.MustNew(auth0test.Options{Domain: "other.eu.auth0.com", Tokens: []string{"made-up"}, Connections: connections})
		c.env["AUTH0_TOKEN"] = "made-up"
		c.base = tenantsByHost{c.tenant.Domain(): c.tenant, other.Domain(): other}
		dir := t.TempDir()
		ran, exported, shown, printed := 0, 0, 0, ""
		for _, b := range blocks(t, guide) {
			if b.name != "" {
				if err := os.WriteFile(filepath.Join(dir, b.name), []byte(b.text), 0o600); err != nil {
					t.Fatal(err)
				}
				continue
			}
			if b.language == "text" { // what the last command prints, among others
				shown++
				for line := range strings.Lines(b.text) {
					if !strings.Contains(printed, line) {
						t.Errorf("no line %s in\n%s", line, printed)
					}
				}
			}
			if b.language != "sh" {
				continue
			}
			for command := range strings.Lines(b.text) {
				want := exitOK
				command, note, _ := strings.Cut(strings.TrimSpace(command), " # ")
				if note == "exit status 1" {
					want = exitFailed
				}
				args, ok := strings.CutPrefix(command, "headroom ")
				if !ok {
					continue
				}
				ran++
				words := shellWords(args)
				for i, w := range words {
					if regexp.MustCompile(`^[\w-]+\.(ndjson|csv|html)$`).MatchString(w) {
						words[i] = filepath.Join(dir, w)
					}
				}
				status, out, stderr := c.run(words...)
				if status != want {
					t.Errorf("%s: exit status %d, want %d\n%s%s", command, status, want, out, stderr)
				}
				printed = out
				if words[0] == "export" {
					exported = c.tenant.Report().Users
				}
			}
		}
		if ran < 7 || shown == 0 {
			t.Errorf("%d commands were run, the output of %d of them is shown", ran, shown)
		}
		// people.ndjson has three users and members.csv two.
		if got := c.tenant.Report().Users; got != 5 || exported != 5 || other.Report().Users != 5 {
			t.Errorf("%d users in the one tenant, %d in the other, want 5 in both", got, other.Report().Users)
		}
		ada, ok := userOf(t, c, "ada@example.org")
		if want := `{"since":2015,"newsletter":true}`; !ok || !sameJSON(t, ada["user_metadata"], want) {
			t.Errorf("user_metadata is %s, want %s", ada["user_metadata"], want)
		}
		if want := `{"plan":"pro","roles":["admin","editor"]}`; !sameJSON(t, ada["app_metadata"], want) || string(ada["email_verified"]) != "true" {
			t.Errorf("app_metadata is %s, want %s", ada["app_metadata"], want)
		}
		if _, err := os.Stat(filepath.Join(dir, "report.html")); err != nil {
			t.Error(err)
		}
		// What the guide says of the mistakes: three users, and three problems.
		in, err := importer.File(filepath.Join(dir, "mistakes.ndjson"))
		if err != nil {
			t.Fatal(err)
		}
		found, err := importer.Inspect(t.Context(), in, importer.Check{Duplicates: true})
		if err != nil || found.Total != 3 || found.Refused.String() != "1,3" {
			t.Errorf("%v, %+v", err, found)
		}
	})
}

// tenantsByHost sends each request to the tenant that it names.
type tenantsByHost map[string]*auth0test.Tenant

func (t tenantsByHost) RoundTrip(r *http.Request) (*http.Response, error) {
	return t[r.URL.Host].RoundTrip(r)
}

// shellWords splits a command at spaces outside of double quotes.
func shellWords(s string) []string {
	var words []string
	for _, m := range regexp.MustCompile(`"([^"]*)"|(\S+)`).FindAllStringSubmatch(s, -1) {
		words = append(words, m[1]+m[2])
	}
	return words
}

func userOf(t *testing.T, c *console, email string) (map[string]json.RawMessage, bool) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+c.tenant.Domain()+"/api/v2/users-by-email?email="+email, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+c.env["AUTH0_TOKEN"])
	resp, err := c.tenant.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var users []map[string]json.RawMessage
	if err := json.NewDecoder(resp.Body).Decode(&users); err != nil || len(users) != 1 {
		t.Errorf("%v, %d users with the address %s", err, len(users), email)
		return nil, false
	}
	return users[0], true
}

func sameJSON(t *testing.T, a json.RawMessage, b string) bool {
	t.Helper()
	var x, y any
	if json.Unmarshal(a, &x) != nil || json.Unmarshal([]byte(b), &y) != nil {
		return false
	}
	p, err := json.Marshal(x)
	if err != nil {
		t.Fatal(err)
	}
	q, err := json.Marshal(y)
	if err != nil {
		t.Fatal(err)
	}
	return slices.Equal(p, q)
}
