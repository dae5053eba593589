package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/headroom-go/auth0/auth0test"
	"github.com/headroom-go/auth0/ratelimit"
)

// headroom runs a command that needs no tenant.
func headroom(t *testing.T, args ...string) (status int, out, stderr string) {
	t.Helper()
	c := newConsole(t, auth0test.Options{})
	delete(c.env, "AUTH0_PLAN")
	return c.run(args...)
}

func TestHelp(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		args []string
		want []string
	}{
		{nil, []string{"import", "export", "plan", "limits", "tenant", "completion", "AUTH0_DOMAIN", "AUTH0_CLIENT_ID", "AUTH0_CLIENT_SECRET", "AUTH0_TOKEN", "AUTH0_PLAN", "Exit status:", "130  interrupted"}},
		{[]string{"--help"}, []string{"Usage:"}},
		{[]string{"help", "import"}, []string{"Examples:", "--workers", "--failures", "create:users", "allowance_used", "--resume", "--ledger"}},
		{[]string{"help", "export"}, []string{"Examples:", "--fields", "--job", "read:users"}},
		{[]string{"plan", "--help"}, []string{"Examples:", "--plan", "--map"}},
		{[]string{"limits", "--help"}, []string{"Examples:", "--route", "burst"}},
		{[]string{"tenant", "--help"}, []string{"Examples:", "--addr", "--lost", "--consumer"}},
		{[]string{"completion", "bash"}, []string{"__headroom"}},
		{[]string{"--version"}, []string{"headroom ", "go1."}},
	} {
		status, out, stderr := headroom(t, tt.args...)
		if status != exitOK || stderr != "" {
			t.Errorf("%v: exit status %d, stderr %q", tt.args, status, stderr)
		}
		for _, want := range tt.want {
			if !strings.Contains(out, want) {
				t.Errorf("%v: output lacks %q", tt.args, want)
			}
		}
	}
}

func TestUsageErrors(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		want string
		args []string
	}{
		{`unknown command "imprt"`, []string{"imprt"}},
		{"unknown flag: --colour", []string{"limits", "--colour"}},
		{"accepts at most 1 arg", []string{"limits", "free", "enterprise"}},
		{`PLAN: no plan is called "fre"; near it: free, `, []string{"limits", "fre"}},
		{`PLAN: no plan is called "bogus"; headroom limits lists the plans`, []string{"limits", "bogus"}},
		{`--plan: no plan is called "fre"`, []string{"limits", "--plan", "fre"}},
		{"give one", []string{"limits", "free", "--plan", "enterprise"}},
		{"--route needs to know the plan", []string{"limits", "--route", "GET /api/v2/users"}},
		{"is not a method and a path", []string{"limits", "free", "--route", "/api/v2/users"}},
		{"is not a method and a path", []string{"limits", "free", "--route", "get /api/v2/users"}},
		{"is not a method and a path", []string{"limits", "free", "--route", "GET users"}},
		{"it goes with --route", []string{"limits", "free", "--field", "a=b"}},
		{"is not NAME=VALUE", []string{"limits", "free", "--route", "GET /x", "--field", "a"}},
		{"unknown command \"now\"", []string{"tenant", "now"}},
		{`--plan: no plan is called "fre"`, []string{"tenant", "--plan", "fre"}},
		{"--addr: ", []string{"tenant", "--addr", "nonsense"}},
		{"a share is given as 5% or 0.05", []string{"tenant", "--lost", "120%"}},
		{"a share is given as 5% or 0.05", []string{"tenant", "--empty", "x"}},
		{"one of sliding, ticking, windows, top-up is expected", []string{"tenant", "--refill", "rain"}},
		{"cannot be negative", []string{"tenant", "--latency", "-1s"}},
		{`"8" is not a rate such as 8/s`, []string{"tenant", "--consumer", "8"}},
		{`"0/s" is not a rate`, []string{"tenant", "--consumer", "0/s"}},
		{`no bucket of the plan`, []string{"tenant", "--consumer", "Nothing=8/s"}},
	} {
		status, out, stderr := headroom(t, tt.args...)
		if status != exitUsage || out != "" || !strings.HasPrefix(stderr, "headroom: ") || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, tt.want) {
			t.Errorf("%v: exit status %d, stdout %q, stderr %q; want %q in one line", tt.args, status, out, stderr, tt.want)
		}
	}
}

func TestLimitsListsPlans(t *testing.T) {
	t.Parallel()
	status, out, _ := headroom(t, "limits")
	if status != exitOK {
		t.Fatalf("exit status %d", status)
	}
	for _, name := range ratelimit.Names() {
		if !regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(name) + ` +`).MatchString(out) {
			t.Errorf("%s is not listed", name)
		}
	}
	if !regexp.MustCompile(`(?m)^enterprise +50 burst, 16/s +100 burst, 100/s +\d+$`).MatchString(out) {
		t.Errorf("no line of enterprise in\n%s", out)
	}
	status, out, _ = headroom(t, "limits", "--json")
	var plans []struct {
		Name       string
		Management limitBucket
	}
	if err := json.Unmarshal([]byte(out), &plans); status != exitOK || err != nil || len(plans) != len(ratelimit.Names()) {
		t.Errorf("exit status %d, %v, %d plans", status, err, len(plans))
	}
}

func TestLimitsShowsEveryPlan(t *testing.T) {
	t.Parallel()
	for _, name := range ratelimit.Names() {
		plan, err := ratelimit.Named(name)
		if err != nil {
			t.Fatal(err)
		}
		status, out, stderr := headroom(t, "limits", name)
		if status != exitOK || stderr != "" {
			t.Errorf("%s: exit status %d, %s", name, status, stderr)
		}
		// A title, a blank line, a head, and a row for each bucket.
		if n := strings.Count(out, "\n"); n != 3+len(plan.Buckets) {
			t.Errorf("%s: %d lines for %d buckets", name, n, len(plan.Buckets))
		}
		rows := map[string]bool{} // API and name
		for line := range strings.Lines(out) {
			api, rest, _ := strings.Cut(line, " ")
			bucket, _, _ := strings.Cut(strings.TrimLeft(rest, " "), "  ")
			rows[api+" "+bucket] = true
		}
		for i := range plan.Buckets {
			if b := &plan.Buckets[i]; !rows[b.API+" "+b.Name] {
				t.Errorf("%s: no row of %s", name, b.Name)
			}
		}
		_, out, _ = headroom(t, "limits", name, "--json")
		var doc struct {
			Plan    string
			Buckets []limitBucket
		}
		if err := json.Unmarshal([]byte(out), &doc); err != nil || doc.Plan != plan.Name || len(doc.Buckets) != len(plan.Buckets) {
			t.Fatalf("%s: %v, plan %q, %d buckets", name, err, doc.Plan, len(doc.Buckets))
		}
		for i, b := range doc.Buckets {
			want := &plan.Buckets[i]
			if b.Name != want.Name || b.Burst != want.Burst || want.Concurrent == 0 && b.Rate.Count != want.Rate.Count || len(b.Requests) != len(want.Matches) {
				t.Errorf("%s: bucket %+v, want %+v", name, b, want)
			}
		}
	}
}

func TestLimitsTable(t *testing.T) {
	t.Parallel()
	_, out, _ := headroom(t, "limits", "enterprise")
	for _, want := range []string{
		`management +Management API +50 +16/s +tenant +every request`,
		`authentication +User Info +10 +5/min +token-subject +GET /userinfo and 1 more`,
		`management +Read Clients \(q\) +5 +150/min +tenant +GET /api/v2/clients \.\.\.`,
		`management +Write Signing Keys +5 +5/day +tenant +POST /api/v2/keys/signing/rotate`,
		`management +Import jobs +- +2 at a time +tenant +POST /api/v2/jobs/users-imports`,
	} {
		if !regexp.MustCompile(`(?m)^` + want + `$`).MatchString(out) {
			t.Errorf("no line %s in\n%s", want, out)
		}
	}
	// One API after the other.
	seen, last := map[string]bool{}, ""
	for _, line := range strings.Split(out, "\n")[3:] {
		api, _, _ := strings.Cut(line, " ")
		if api != last && seen[api] {
			t.Errorf("%s is in two places", api)
		}
		seen[api], last = true, api
	}
	_, out, _ = headroom(t, "limits", "enterprise", "--requests")
	for _, want := range []string{"GET /api/v2/clients ?q\n", "PATCH /api/v2/organizations/{id}\n", "event mfa.sms.sent\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("--requests lacks %q", want)
		}
	}
}

func TestLimitsRoute(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		args []string
		want []string // rows below the head
	}{
		{[]string{"--plan", "enterprise", "--route", "POST /api/v2/users"}, []string{`management +Management API +50 +16/s +tenant`}},
		{[]string{"enterprise", "--route", "GET /api/v2/organizations/org_1"}, []string{`management +Management API +50 +16/s +tenant`, `management +Read Organizations by ID +10 +100/min +tenant`}},
		{[]string{"enterprise", "--route", "GET https://t.auth0.com/api/v2/clients?q=a"}, []string{`management +Management API .*`, `management +Read Clients \(q\) +5 +150/min +tenant`}},
		{[]string{"enterprise", "--route", "POST /oauth/token", "--field", "grant_type=http://auth0.com/oauth/grant-type/mfa-oob"}, []string{`authentication +Authentication API +100 +100/s +tenant`, `authentication +MFA OOB token exchange +12 +12/min +session`}},
	} {
		status, out, stderr := headroom(t, append([]string{"limits"}, tt.args...)...)
		lines := strings.Split(strings.TrimSpace(out), "\n")
		if status != exitOK || stderr != "" || len(lines) != len(tt.want)+1 {
			t.Errorf("%v: exit status %d, %s%s", tt.args, status, stderr, out)
			continue
		}
		for i, want := range tt.want {
			if !regexp.MustCompile(`^` + want + `$`).MatchString(lines[i+1]) {
				t.Errorf("%v: line %q, want %s", tt.args, lines[i+1], want)
			}
		}
	}
	for route, known := range map[string]bool{
		"GET /api/v2/users/auth0|1": true, "PATCH /api/v2/users/auth0|1": true, "GET /api/v2/users?q=a": true, "GET /authorize": true, "POST /oauth/token": true,
		"GET /api/v2/userz": false, "PUT /api/v2/users": false, "POST /oauth/tokn": false, "GET /api/v2/users/a/b/c": false,
	} {
		status, out, stderr := headroom(t, "limits", "enterprise", "--route", route)
		if status != exitOK || out == "" || known != (stderr == "") || !known && !strings.HasPrefix(stderr, "Note: no limit names "+route+",") {
			t.Errorf("%s: exit status %d, %q", route, status, stderr)
		}
	}
	if status, out, _ := headroom(t, "limits", "legacy-2020", "--route", "GET /nowhere"); status != exitOK || out != "GET /nowhere draws from no bucket of plan legacy-2020.\n" {
		t.Errorf("exit status %d, %q", status, out)
	}
	status, out, _ := headroom(t, "limits", "enterprise", "--route", "POST /api/v2/users", "--json")
	var doc struct {
		Plan, Route string
		Buckets     []limitBucket
	}
	if err := json.Unmarshal([]byte(out), &doc); err != nil || status != exitOK || len(doc.Buckets) != 1 ||
		doc.Buckets[0].Name != "Management API" || doc.Buckets[0].Burst != 50 || *doc.Buckets[0].Rate != (rate{16, 1}) || doc.Buckets[0].Key != "tenant" {
		t.Errorf("exit status %d, %v, %s", status, err, out)
	}
}

func TestCompletion(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"import", "x.ndjson", "--plan", "enter"},
		{"plan", "x.ndjson", "--plan", "enter"},
		{"export", "--plan", "enter"},
		{"limits", "enter"},
		{"limits", "--plan", "enter"},
		{"tenant", "--plan", "enter"},
	} {
		_, out, _ := headroom(t, append([]string{"__complete"}, args...)...)
		if !strings.Contains(out, "enterprise/non-production\n") {
			t.Errorf("%v completes to %q", args, out)
		}
	}
	if _, out, _ := headroom(t, "__complete", "tenant", "--refill", ""); !strings.HasPrefix(out, "sliding\nticking\nwindows\ntop-up\n") {
		t.Errorf("--refill completes to %q", out)
	}
}

func TestShellWord(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"plain-1.ndjson": "plain-1.ndjson", "": "''", "two words": "'two words'", "it's": `'it'\''s'`, "$HOME": "'$HOME'", "a;b": "'a;b'", "é": "'é'",
	} {
		if got := shellWord(in); got != want {
			t.Errorf("%q becomes %s, want %s", in, got, want)
		}
	}
}

// process starts the built command.
func process(t *testing.T, env []string, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, args...)
	cmd.Env = append([]string{"HEADROOM_RUN_MAIN=1", "PATH=" + os.Getenv("PATH")}, env...)
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

func exitStatus(t *testing.T, err error) int {
	t.Helper()
	if err == nil {
		return 0
	}
	var e *exec.ExitError
	if !errors.As(err, &e) {
		t.Fatal(err)
	}
	return e.ExitCode()
}

// The built command end to end, over the network: a tenant that breaks
// connections, an import into it, a second one, and the tenant's own account.
func TestProcesses(t *testing.T) {
	t.Parallel()
	tenant := process(t, nil, "tenant", "--plan", "private-cloud-500", "--addr", "127.0.0.1:0", "--lost", "5%", "--json")
	stdout, err := tenant.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := tenant.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stdout)
	var env []string
	for len(env) < 5 && lines.Scan() {
		if v, ok := strings.CutPrefix(lines.Text(), "export "); ok {
			env = append(env, v)
		}
	}
	domain, _, _ := strings.Cut(env[0], ":")
	if len(env) != 5 || domain != "AUTH0_DOMAIN=http" {
		t.Fatalf("exports %q", env)
	}

	file := write(t, "users.ndjson", someUsers(200))
	for i := range 2 {
		var stderr bytes.Buffer
		// With the application's credentials, then with the token.
		use := []string{env[0], env[1], env[2], env[4]}
		if i == 1 {
			use = []string{env[0], env[3], env[4]}
		}
		cmd := process(t, use, "import", "--json", "--quiet", file)
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		var r importReport
		if status := exitStatus(t, err); status != exitOK {
			t.Errorf("import %d: exit status %d, %s", i, status, stderr.String())
		}
		// The second import follows within a second of the first: where the
		// answer to a conflict is lost, the user passes for its own.
		if err := json.Unmarshal(out, &r); err != nil || r.Created+r.Exists != 200 || r.Failed != 0 || r.Rejected != 0 || i == 0 && r.Exists != 0 || i == 1 && r.Exists < 150 {
			t.Errorf("import %d: %v, report %s", i, err, out)
		}
	}

	// Out again, over links to the tenant's own port.
	copied := filepath.Join(t.TempDir(), "copy.ndjson")
	export := process(t, []string{env[0], env[3], env[4]}, "export", "--quiet", copied)
	var stderr bytes.Buffer
	export.Stderr = &stderr
	if status := exitStatus(t, export.Run()); status != exitOK {
		t.Errorf("export: exit status %d, %s", status, stderr.String())
	}
	if data, err := os.ReadFile(copied); err != nil || bytes.Count(data, []byte("\n")) != 200 {
		t.Errorf("%v, %d users in the export", err, bytes.Count(data, []byte("\n")))
	}

	if err := tenant.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(stdoutRest(lines))
	if err != nil {
		t.Fatal(err)
	}
	if status := exitStatus(t, tenant.Wait()); status != exitOK {
		t.Errorf("the tenant's exit status is %d", status)
	}
	var report auth0test.Report
	if err := json.Unmarshal(rest, &report); err != nil || report.Users != 200 || report.Rejected != 0 || report.LostRequests+report.LostAnswers == 0 {
		t.Errorf("%v, report %s", err, rest)
	}
}

// stdoutRest returns what a scanner has left.
func stdoutRest(s *bufio.Scanner) io.Reader {
	var b bytes.Buffer
	for s.Scan() {
		b.Write(s.Bytes())
		b.WriteByte('\n')
	}
	return &b
}

func TestProcessInterrupted(t *testing.T) {
	t.Parallel()
	for _, twice := range []bool{false, true} {
		dir := t.TempDir()
		cmd := process(t, nil, "import", "--local", "--plan", "free", "--json", "-")
		cmd.Dir = dir
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		progress, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(in, someUsers(100)); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(progress)
		for lines.Scan() {
			if strings.Contains(lines.Text(), `"stage":"importing"`) {
				break
			}
		}
		for range map[bool]int{false: 1, true: 2}[twice] {
			if err := cmd.Process.Signal(os.Interrupt); err != nil && !errors.Is(err, os.ErrProcessDone) {
				t.Fatal(err)
			}
		}
		last := ""
		for lines.Scan() {
			last = lines.Text()
		}
		if status := exitStatus(t, cmd.Wait()); status != exitInterrupted {
			t.Errorf("exit status %d, want 130; stderr %s", status, &stderr)
		}
		var r importReport
		if err := json.Unmarshal([]byte(last), &r); err != nil || !r.Interrupted || r.Created == 0 || !regexp.MustCompile(`^headroom import --json --local --plan free (--skip|--done) .* -$`).MatchString(r.Resume) {
			t.Errorf("%v, report %s", err, last)
		}
		if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	}
}

func TestProcessExitStatus(t *testing.T) {
	t.Parallel()
	users := write(t, "users.ndjson", someUsers(2))
	bad := write(t, "bad.ndjson", someUsers(2)+"{}\n")
	for _, tt := range []struct {
		status int
		args   []string
	}{
		{exitOK, []string{"import", "--local", "--quiet", users}},
		{exitFailed, []string{"import", "--local", "--quiet", bad}},
		{exitUsage, []string{"import", "--local", "--plan", "none", users}},
		{exitUsage, []string{"import", users}}, // no tenant is named
		{exitUsage, []string{"nonsense"}},
		{exitOK, []string{"limits", "free"}},
	} {
		if status := exitStatus(t, process(t, nil, tt.args...).Run()); status != tt.status {
			t.Errorf("%v: exit status %d, want %d", tt.args, status, tt.status)
		}
	}
}
