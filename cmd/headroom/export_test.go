package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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
)

// filled is a console whose tenant has n users, every fourth in Partners, and makes
// exports in ten seconds.
func filled(t *testing.T, n int) *console {
	t.Helper()
	c := newConsole(t, auth0test.Options{
		JobTime:     10 * time.Second,
		Connections: []auth0test.Connection{{Name: auth0test.DefaultConnection}, {Name: "Partners"}},
	})
	client, err := auth0.New(c.tenant.Domain(), auth0.WithToken(c.tenant.Token()), auth0.WithHTTPClient(c.tenant.Client()))
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		connection := auth0test.DefaultConnection
		if i%4 == 3 {
			connection = "Partners"
		}
		user := map[string]any{
			"connection": connection, "email": fmt.Sprintf("u%d@example.com", i), "password": fmt.Sprintf("secret-word-%d", i),
			"user_metadata": map[string]any{"plan": "p1"},
		}
		if _, err := auth0.Call[auth0.NoContent](t.Context(), client, http.MethodPost, "/api/v2/users", nil, nil, user, nil); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

func TestExportFile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := filled(t, 20)
		dir := t.TempDir()
		path := filepath.Join(dir, "users.ndjson")
		if err := os.WriteFile(path, []byte("what was there"), 0o644); err != nil {
			t.Fatal(err)
		}
		status, out, stderr := c.run("export", "--connection", "Partners", path)
		if status != exitOK || !strings.HasPrefix(out, "5 users in 1") || !strings.HasSuffix(out, ": "+path+"\n") {
			t.Errorf("exit status %d, stdout %q", status, out)
		}
		if !strings.Contains(stderr, "exporting, ") || !strings.Contains(stderr, "downloading, ") || strings.ContainsAny(stderr, "\r\x1b") {
			t.Errorf("stderr %q", stderr)
		}
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v, %v", info, err)
		}
		text, err := os.ReadFile(path)
		if err != nil || strings.Count(string(text), "\n") != 5 || strings.Contains(string(text), "created_at") || !strings.Contains(string(text), `"user_metadata":{"plan":"p1"}`) {
			t.Errorf("%v, %s", err, text)
		}
		if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
			t.Errorf("%v, left in the directory: %v", err, entries)
		}
	})
}

func TestExportForms(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, file string
		args       []string
		want       string // the file's first line
		lines      int
	}{
		{"csv by name", "u.csv", []string{"--fields", "email,user_metadata.plan=plan"}, "email,plan\n", 9},
		{"csv by flag", "u", []string{"--format", "csv", "--fields", "email"}, "email\n", 9},
		{"compressed", "u.ndjson.gz", []string{"--fields", "email"}, `{"email":"u0@example.com"}` + "\n", 8},
		{"compressed csv", "u.CSV.gz", []string{"--fields", "email"}, "email\n", 9},
		{"limit", "u.json", []string{"--limit", "3", "--fields", "email"}, `{"email":"u0@example.com"}` + "\n", 3},
		{"renamed", "u", []string{"--fields", "email=mail"}, `{"mail":"u0@example.com"}` + "\n", 8},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := filled(t, 8)
				path := filepath.Join(t.TempDir(), tt.file)
				if status, out, stderr := c.run(append([]string{"export", "--quiet", path}, tt.args...)...); status != exitOK || stderr != "" {
					t.Fatalf("exit status %d, %s%s", status, out, stderr)
				}
				data, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				if strings.HasSuffix(path, ".gz") {
					z, err := gzip.NewReader(bytes.NewReader(data))
					if err != nil {
						t.Fatal(err)
					}
					if data, err = io.ReadAll(z); err != nil {
						t.Fatal(err)
					}
				}
				if !strings.HasPrefix(string(data), tt.want) || strings.Count(string(data), "\n") != tt.lines {
					t.Errorf("%s; want %d lines, the first %s", data, tt.lines, tt.want)
				}
			})
		})
	}
}

// The users alone are on standard output; the report is on standard error.
func TestExportToStandardOutput(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"export", "--json"}, {"export", "--json", "-", "--fields", "tenant"}} {
		synctest.Test(t, func(t *testing.T) {
			c := filled(t, 8)
			status, out, stderr := c.run(args...)
			if status != exitOK || strings.Count(out, "\n") != 8 || strings.Contains(out, "created_at") != slices.Contains(args, "tenant") {
				t.Errorf("%v: exit status %d, stdout %s", args, status, out)
			}
			var events []string
			for line := range strings.Lines(stderr) {
				var e struct {
					Event, Stage, Job string
					Users, Bytes      int
				}
				if err := json.Unmarshal([]byte(line), &e); err != nil || e.Job == "" {
					t.Fatalf("%v in %s", err, line)
				}
				if events = append(events, e.Event+e.Stage); e.Event == "report" && (e.Users != 8 || e.Bytes != len(out)) {
					t.Errorf("report %s of %d bytes", line, len(out))
				}
			}
			if want := []string{"progressexporting", "progressdownloading", "report"}; !slices.Equal(slices.Compact(events), want) {
				t.Errorf("events %q, want %q", events, want)
			}
		})
	}
}

// Ctrl-C leaves nothing behind, and the command that it prints fetches the file.
func TestExportInterrupted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := filled(t, 8)
		dir := t.TempDir()
		path := filepath.Join(dir, "u.ndjson")
		time.AfterFunc(4*time.Second, func() { c.signals <- os.Interrupt })
		began := time.Now()
		status, out, _ := c.run("export", "--connection", "Partners", path)
		if status != exitInterrupted || time.Since(began) != 4*time.Second {
			t.Errorf("exit status %d after %v", status, time.Since(began))
		}
		if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
			t.Errorf("%v, left in the directory: %v", err, entries)
		}
		lines := strings.Split(strings.TrimSpace(out), "\n")
		words := strings.Fields(lines[len(lines)-1])
		if len(words) != 7 || words[0] != "headroom" || words[4] != "--job" {
			t.Fatalf("stdout %q", out)
		}
		if status, out, stderr := c.run(append(words[1:], "--quiet")...); status != exitOK || !strings.HasPrefix(out, "2 users in ") {
			t.Errorf("exit status %d, %s%s", status, out, stderr)
		}
		if text, err := os.ReadFile(path); err != nil || strings.Count(string(text), "\n") != 2 {
			t.Errorf("%v, %s", err, text)
		}
	})
}

func TestExportFails(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, tt := range []struct {
		name   string
		args   []string
		change func(*console)
		status int
		want   string
	}{
		{"two files", []string{"a", "b"}, nil, exitUsage, "export writes one FILE; 2 were given"},
		{"format", []string{"--format", "xml"}, nil, exitUsage, `--format "xml" is not known`},
		{"limit", []string{"--limit", "-1"}, nil, exitUsage, "--limit -1 is negative"},
		{"fields", []string{"--fields", "email,=x"}, nil, exitUsage, `--fields: "=x" is not NAME`},
		{"local", []string{"--local"}, nil, exitUsage, "unknown flag: --local"},
		{"directory", []string{dir}, nil, exitUsage, "is a directory"},
		{"no file", []string{os.DevNull}, nil, exitUsage, "is no regular file"},
		{"no directory", []string{filepath.Join(dir, "none", "f")}, nil, exitUsage, "making a file beside"},
		{"no tenant", nil, func(c *console) { delete(c.env, "AUTH0_DOMAIN") }, exitUsage, "no tenant is named"},
		{"token", []string{filepath.Join(dir, "f")}, func(c *console) { c.env["AUTH0_TOKEN"] = "wrong-token-x" }, exitUsage, "check AUTH0_TOKEN (see"},
		{"connection", []string{filepath.Join(dir, "f"), "--connection", "Nowhere"}, nil, exitUsage, `no connection "Nowhere"`},
		{"job", []string{filepath.Join(dir, "f"), "--job", "job_none"}, nil, exitUsage, "404"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := newConsole(t, auth0test.Options{})
				if tt.change != nil {
					tt.change(c)
				}
				status, out, stderr := c.run(append([]string{"export"}, tt.args...)...)
				if status != tt.status || !strings.HasPrefix(stderr, "headroom: ") || !strings.Contains(stderr, tt.want) || strings.Count(stderr, "\n") != 1 || out != "" {
					t.Errorf("exit status %d, want %d; stdout %q; stderr %q, want %q in one line", status, tt.status, out, stderr, tt.want)
				}
				if strings.Contains(stderr, "wrong-token-x") {
					t.Errorf("a secret is shown: %s", stderr)
				}
			})
		})
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
		t.Errorf("%v, left in the directory: %v", err, entries)
	}
}

// On a terminal one line is written over.
func TestExportTerminal(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := filled(t, 8)
		var stdout, stderr bytes.Buffer
		status := run([]string{"export", filepath.Join(t.TempDir(), "u.ndjson")}, &system{
			in: strings.NewReader(""), out: &stdout, err: &stderr, columns: 20, base: c.tenant,
			getenv:     func(k string) string { return c.env[k] },
			interrupts: func() (<-chan os.Signal, func()) { return c.signals, func() {} },
		})
		text := stderr.String()
		if status != exitOK || strings.Contains(text, "\n") || !strings.HasSuffix(text, "\r\x1b[K") || !strings.Contains(text, "\r\x1b[Kexporting, ") {
			t.Errorf("exit status %d, stderr %q", status, text)
		}
		for line := range strings.SplitSeq(text, "\r\x1b[K") {
			if len(line) > 19 {
				t.Errorf("%q is too long for 20 columns", line)
			}
		}
	})
}

// A full disk is an error, and no file appears.
func TestExportWriteFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := filled(t, 8)
		status := run([]string{"export", "--quiet"}, &system{
			in: strings.NewReader(""), out: brokenPipe{}, err: io.Discard, base: c.tenant,
			getenv:     func(k string) string { return c.env[k] },
			interrupts: func() (<-chan os.Signal, func()) { return c.signals, func() {} },
		})
		if status != exitFailed {
			t.Errorf("exit status %d, want %d", status, exitFailed)
		}
	})
}

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) {
	return 0, errors.Join(context.Canceled, io.ErrClosedPipe)
}

func TestSize(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{0: "0 B", 999: "999 B", 1000: "1.0 kB", 1_500_000: "1.5 MB", 2_340_000_000: "2.3 GB"} {
		if got := size(n); got != want {
			t.Errorf("size(%d) is %q, want %q", n, got, want)
		}
	}
}
