package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headroom-go/auth0/auth0test"
	"github.com/headroom-go/auth0/importer"
	"github.com/headroom-go/auth0/ratelimit"
)

const sample = "../../testdata/users.ndjson"

// sampleUsers is how many users the sample holds.
const sampleUsers = 440

// console runs commands as a user would, against a tenant in memory.
type console struct {
	t       *testing.T
	tenant  *auth0test.Tenant
	env     map[string]string
	in      string
	base    http.RoundTripper // the tenant unless set
	signals chan os.Signal
}

func newConsole(t *testing.T, o auth0test.Options) *console {
	t.Helper()
	tenant, err := auth0test.New(o)
	if err != nil {
		t.Fatal(err)
	}
	c := &console{t: t, tenant: tenant, signals: make(chan os.Signal, 2)}
	c.env = map[string]string{"AUTH0_DOMAIN": tenant.Domain(), "AUTH0_TOKEN": tenant.Token()}
	c.env["AUTH0_PLAN"] = "private-cloud-10000" // as good as no limit
	if o.Plan != nil {
		c.env["AUTH0_PLAN"] = o.Plan.Name
	}
	return c
}

func (c *console) run(args ...string) (status int, out, err string) {
	var stdout, stderr bytes.Buffer
	base := c.base
	if base == nil {
		base = c.tenant
	}
	status = run(args, &system{
		in: strings.NewReader(c.in), out: &stdout, err: &stderr,
		getenv:     func(k string) string { return c.env[k] },
		base:       base,
		interrupts: func() (<-chan os.Signal, func()) { return c.signals, func() {} },
	})
	return status, stdout.String(), stderr.String()
}

// importJSON imports quietly and returns the report.
func (c *console) importJSON(wantStatus int, args ...string) importReport {
	c.t.Helper()
	if slices.Contains(args, sample) { // which is the same file for all tests
		args = append(args, "--ledger", filepath.Join(c.t.TempDir(), "ledger"))
	}
	status, out, stderr := c.run(append([]string{"import", "--json", "--quiet"}, args...)...)
	if status != wantStatus {
		c.t.Fatalf("exit status %d, want %d; stderr: %s", status, wantStatus, stderr)
	}
	return c.report(out)
}

func (c *console) report(out string) importReport {
	c.t.Helper()
	var r importReport
	lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
	d := json.NewDecoder(strings.NewReader(lines[len(lines)-1]))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil || r.Event != "report" {
		c.t.Fatalf("%v in report %q", err, out)
	}
	return r
}

// counts are the figures of a report that have to add up.
func (c *console) counts(r importReport, created, exists, failed int) {
	c.t.Helper()
	if r.Created != created || r.Exists != exists || r.Failed+r.Refused != failed || r.Unfinished != 0 || r.Total != created+exists+failed+r.Skipped {
		c.t.Errorf("%d users: %d created, %d existed, %d failed, %d refused, %d unfinished, %d skipped; want %d, %d, %d, 0",
			r.Total, r.Created, r.Exists, r.Failed, r.Refused, r.Unfinished, r.Skipped, created, exists, failed)
	}
}

func enterprise(t *testing.T) *ratelimit.Plan {
	t.Helper()
	p, err := ratelimit.Named("enterprise")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// nearby is a tenant 40 to 60 ms away.
func nearby() auth0test.Faults {
	d := auth0test.Delay{Base: 20 * time.Millisecond, Jitter: 10 * time.Millisecond}
	return auth0test.Faults{Up: d, Down: d}
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// someUsers returns n users as NDJSON.
func someUsers(n int) string {
	var b strings.Builder
	for i := 1; i <= n; i++ {
		fmt.Fprintf(&b, `{"email":"u%d@example.com","password":"secret-word-%d"}`+"\n", i, i)
	}
	return b.String()
}

// grace is how long an import that was told to stop waits for what is under way, and
// unansweredLimit how many users in a row may go without an answer, as documented.
const (
	grace           = 10 * time.Second
	unansweredLimit = 20
)

func TestImportUsesTheAllowance(t *testing.T) {
	t.Parallel()
	for _, workers := range []string{"32", "100"} {
		t.Run(workers+" workers", func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := newConsole(t, auth0test.Options{Plan: enterprise(t), Faults: nearby()})
				r := c.importJSON(exitOK, "--workers", workers, sample)
				c.counts(r, sampleUsers, 0, 0)
				if r.Rejected != 0 {
					t.Errorf("%d rejections", r.Rejected)
				}
				tenant := c.tenant.Report()
				b := tenant.Bucket("Management API")
				if b == nil || tenant.Users != sampleUsers || tenant.Rejected != 0 || b.Used < 0.99 {
					t.Errorf("the tenant reports %+v", tenant)
				}
				if r.Allowance == nil || *r.Allowance < 0.99 || *r.Allowance > 1 {
					t.Errorf("allowance_used %v, want at least 0.99", r.Allowance)
				}
				// 440 users less a burst of 50, at 16 a second: 24.4 s.
				if r.ElapsedS < 24.3 || r.ElapsedS > 25.2 {
					t.Errorf("%v s, want about 24.5", r.ElapsedS)
				}
			})
		})
	}
}

func TestImportLocal(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newConsole(t, auth0test.Options{})
		c.env = map[string]string{"AUTH0_DOMAIN": "must.not.be.used.example.com", "AUTH0_PLAN": "free"}
		r := c.importJSON(exitOK, "--local", sample)
		c.counts(r, sampleUsers, 0, 0)
		if r.Rejected != 0 || r.Allowance == nil || *r.Allowance < 0.99 || r.ElapsedS > 30 || r.Plan != "enterprise" {
			t.Errorf("report %+v", r)
		}
		if got := c.tenant.Report().Requests; got != 0 {
			t.Errorf("%d requests left the process", got)
		}
	})
}

func TestImportLosesAndDoublesNobody(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*auth0test.Faults){
		"lost connections": func(f *auth0test.Faults) { f.LoseRequest, f.LoseAnswer = 0.025, 0.025 },
		"refused":          func(f *auth0test.Faults) { f.Refuse = 0.05 },
		"server errors":    func(f *auth0test.Faults) { f.Fail, f.FailAfter = 0.03, 0.03 },
		"everything": func(f *auth0test.Faults) {
			f.LoseRequest, f.LoseAnswer, f.Refuse, f.Fail, f.FailAfter = 0.1, 0.1, 0.05, 0.05, 0.05
		},
	} {
		for seed := range uint64(3) {
			t.Run(fmt.Sprint(name, " ", seed), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					faults := nearby()
					change(&faults)
					c := newConsole(t, auth0test.Options{Plan: enterprise(t), Seed: seed, Faults: faults})
					failures := filepath.Join(t.TempDir(), "f.ndjson")
					r := c.importJSON(exitOK, "--failures", failures, sample)
					c.counts(r, sampleUsers, 0, 0)
					if got := c.tenant.Report(); got.Users != sampleUsers {
						t.Errorf("the tenant has %d users", got.Users)
					}
					// Again: everybody is there, and a lost conflict is no creation.
					time.Sleep(time.Minute)
					again := c.importJSON(exitOK, "--failures", failures, sample)
					c.counts(again, 0, sampleUsers, 0)
					if got := c.tenant.Report(); got.Users != sampleUsers {
						t.Errorf("the tenant has %d users", got.Users)
					}
					if _, err := os.Stat(failures); !os.IsNotExist(err) {
						t.Errorf("a failures file without failures: %v", err)
					}
				})
			})
		}
	}
}

func TestImportBadLines(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newConsole(t, auth0test.Options{Faults: nearby()})
		file := write(t, "users.ndjson", strings.Join([]string{
			`{"email":"a@example.com","password":"secret-word-1"}`,
			`{"email":"b@example.com","password":"secret-word-2"`,
			``,
			`{"email":"c@example.com","password":"secret-word-3","custom_password_hash":{"algorithm":"bcrypt","hash":{"value":"$2a$10$jIeJ0E4t.BaEHiXhUp7pm.1Va.ZSJV7uZMKk4WTsa2A0X0ONUvBHO"}}}`,
			`{"email":"not an address","password":"secret-word-5"}`,
			`{"email":"d@example.com","password":"secret-word-6","connection":"Nowhere"}`,
			`{"email":"e@example.com","password":"secret-word-7","nickname":""}`,
			`{"email":"a@example.com","password":"secret-word-8"}`,
			`{"email":"f@example.com","password":"secret-word-9","lost_login":"yesterday"}`,
			`{"email":"g@example.com","password":"secret-word-10"}`,
		}, "\n"))
		status, out, stderr := c.run("import", "--workers", "1", "--json", file)
		if status != exitFailed {
			t.Errorf("exit status %d, want 1", status)
		}
		r := c.report(out)
		c.counts(r, 2, 0, 7)
		if want := "headroom import --workers 1 --json --only 2-8 " + file; !sameWords(r.Retry, want) {
			t.Errorf("retry %q, want %q", r.Retry, want)
		}
		path := file + ".failures.ndjson"
		if r.FailuresFile != path {
			t.Errorf("failures in %q, want %q", r.FailuresFile, path)
		}
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("failures file: %v, %v", info.Mode(), err)
		}
		text, _ := os.ReadFile(path)
		for _, shown := range []string{string(text), out, stderr} {
			if strings.Contains(shown, "secret-word") || strings.Contains(shown, "jIeJ0E4t") || strings.Contains(shown, c.env["AUTH0_TOKEN"]) {
				t.Errorf("a secret is shown in %s", shown)
			}
		}
		got := readFailures(t, path)
		slices.SortFunc(got, func(a, b importer.Failure) int { return a.Number - b.Number }) // those refused come first
		for i, want := range []struct {
			line, number int
			user, reason string
		}{
			{2, 2, "", "not valid JSON"},
			{4, 3, "c@example.com", "only a call of its own can set it, and custom_password_hash only an import job"},
			{5, 4, "not an address", "not an e-mail address"},
			{6, 5, "d@example.com", `connection "Nowhere" does not exist`},
			{7, 6, "e@example.com", "nickname: it has 0 characters and takes 1 to 300"},
			{8, 7, "a@example.com", "the same as that of the user on line 1"},
			{9, 8, "f@example.com", "lost_login"},
		} {
			if i >= len(got) || got[i].Line != want.line || got[i].Number != want.number || got[i].User != want.user || !strings.Contains(got[i].Reason, want.reason) {
				t.Errorf("failure %d: %+v, want %+v", i, got, want)
			}
		}
		// A second try finds them as they were; the file is continued.
		r = c.importJSON(exitFailed, strings.Fields(r.Retry)[2:]...)
		c.counts(r, 0, 0, 7)
		if n := len(readFailures(t, path)); n != 14 || r.Skipped != 2 {
			t.Errorf("%d failures, %d skipped; want 14 and 2", n, r.Skipped)
		}
		// An import of the whole file replaces it.
		c.counts(c.importJSON(exitFailed, file), 0, 2, 7)
		if n := len(readFailures(t, path)); n != 7 {
			t.Errorf("%d failures, want 7", n)
		}
	})
}

func sameWords(a, b string) bool {
	count := map[string]int{}
	for w := range strings.FieldsSeq(a) {
		count[w]++
	}
	for w := range strings.FieldsSeq(b) {
		count[w]--
	}
	for _, n := range count {
		if n != 0 {
			return false
		}
	}
	return true
}

func readFailures(t *testing.T, path string) []importer.Failure {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var all []importer.Failure
	for line := range strings.Lines(string(data)) {
		var f importer.Failure
		d := json.NewDecoder(strings.NewReader(line))
		d.DisallowUnknownFields()
		if err := d.Decode(&f); err != nil {
			t.Fatal(err)
		}
		all = append(all, f)
	}
	return all
}

func TestImportInputs(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, text      string
		created, failed int
	}{
		{"empty", "", 0, 0},
		{"empty array", "[]", 0, 0},
		{"array", "[" + strings.ReplaceAll(strings.TrimSpace(someUsers(7)), "\n", ",\n") + "]", 7, 0},
		{"array cut off", "[" + strings.ReplaceAll(strings.TrimSpace(someUsers(7)), "\n", ",\n"), 7, 1},
		{"array with a broken user", strings.Replace("["+strings.ReplaceAll(strings.TrimSpace(someUsers(7)), "\n", ",\n")+"]", `"u3@example.com"`, `u3@example.com`, 1), 6, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				want := exitOK
				if tt.failed > 0 {
					want = exitFailed
				}
				c := newConsole(t, auth0test.Options{})
				c.counts(c.importJSON(want, write(t, "users.json", tt.text)), tt.created, 0, tt.failed)
				if n := c.tenant.Report().Users; n != tt.created {
					t.Errorf("the tenant has %d users, want %d", n, tt.created)
				}
				// And from standard input.
				c = newConsole(t, auth0test.Options{})
				c.in = tt.text
				c.counts(c.importJSON(want, "--failures", filepath.Join(t.TempDir(), "f"), "-"), tt.created, 0, tt.failed)
			})
		})
	}
}

// Ctrl-C at any moment, again and again: the printed commands finish the job,
// and nothing that is known to be created is sent again.
func TestImportInterruptedAndResumed(t *testing.T) {
	t.Parallel()
	for seed := range uint64(10) {
		for _, hard := range []bool{false, true} {
			t.Run(fmt.Sprint("seed ", seed, " hard ", hard), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					rnd := rand.New(rand.NewPCG(seed, 5))
					faults := nearby()
					faults.Down.Tail = 200 * time.Millisecond // many answers out of order
					c := newConsole(t, auth0test.Options{Seed: seed, Faults: faults})
					file := write(t, "users.ndjson", someUsers(500)+"{}\n"+strings.ReplaceAll(someUsers(100), "u", "v"))
					args := []string{"import", "--json", "--quiet", "--workers", "8", file}
					var created, exists, failed, runs int
					for ; ; runs++ {
						if runs > 100 {
							t.Fatal("the import never ends")
						}
						after := time.Duration(rnd.Int64N(int64(3 * time.Second)))
						signal := time.AfterFunc(after, func() {
							c.signals <- os.Interrupt
							if hard {
								time.Sleep(10 * time.Millisecond)
								c.signals <- os.Interrupt
							}
						})
						began := time.Now()
						status, out, stderr := c.run(args...)
						took := time.Since(began)
						signal.Stop()
						time.Sleep(20 * time.Millisecond) // for a second signal on its way
						for len(c.signals) > 0 {
							<-c.signals
						}
						r := c.report(out)
						created, exists, failed = r.Created, r.Exists, r.Failed+r.Refused // of all runs so far
						if r.Interrupted != (status == exitInterrupted) {
							t.Fatalf("exit status %d with report %+v", status, r)
						}
						if r.Interrupted && (took > after+grace || hard && took > after+10*time.Millisecond) {
							t.Errorf("interrupted after %v, ended after %v", after, took)
						}
						if r.Resume == "" {
							break
						}
						if !strings.Contains(stderr, "Ctrl-C again ends at once") {
							t.Errorf("stderr %q", stderr)
						}
						args = strings.Fields(r.Resume)[1:]
					}
					report := c.tenant.Report()
					if report.Users != 600 || failed != 1 || created+exists != 600 {
						t.Errorf("%d users; %d created, %d exist, %d failed", report.Users, created, exists, failed)
					}
					if n := report.ByStatus[http.StatusConflict]; int(n) < exists || !hard && n != 0 || int(n) > 8*runs {
						t.Errorf("%d users were sent again in %d runs, %d reported as existing", n, runs, exists)
					}
					if n := len(readFailures(t, file+".failures.ndjson")); n != 1 {
						t.Errorf("%d failures on file, want 1", n)
					}
					if runs < 2 {
						t.Errorf("%d interruptions: nothing was tested", runs)
					}
				})
			})
		}
	}
}

// A report counts users of all runs, and measures this one alone.
func TestImportResumedReport(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newConsole(t, auth0test.Options{Plan: enterprise(t), Faults: nearby()})
		file := write(t, "users.ndjson", "{}\n"+someUsers(300))
		dir := t.TempDir()
		html := filepath.Join(dir, "report.html")
		time.AfterFunc(5*time.Second, func() { c.signals <- os.Interrupt })
		first := c.importJSON(exitInterrupted, file)
		if first.Earlier != 0 || first.Created < 100 || first.Created > 140 || first.Allowance == nil { // 50 and 16 a second
			t.Fatalf("report %+v", first)
		}
		status, out, stderr := c.run("import", "--quiet", "--resume", "--report", html, "--report", filepath.Join(dir, "r.txt"), file)
		if want := fmt.Sprintf("301 users (%d of them by earlier runs) in ", first.Created+1); status != exitFailed || !strings.HasPrefix(out, want) {
			t.Errorf("exit status %d, %s, %s, want %s", status, out, stderr, want)
		}
		page, err := os.ReadFile(html)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"by single requests into ", "and its reason: <code>" + file + ".failures.ndjson</code>", fmt.Sprintf("%d of the users by earlier runs", first.Created+1)} {
			if !strings.Contains(string(page), want) {
				t.Errorf("the page lacks %q", want)
			}
		}
		took, rate := 0.0, 0.0
		if _, err := fmt.Sscanf(out[strings.Index(out, " in "):], " in %f s", &took); err != nil {
			t.Fatal(err)
		}
		m := regexp.MustCompile(`<dt>users a second</dt><dd>([0-9.]+)</dd>`).FindSubmatch(page)
		if m == nil {
			t.Fatal("no rate in the report")
		}
		if _, err := fmt.Sscan(string(m[1]), &rate); err != nil || math.Abs(rate*took-float64(300-first.Created)) > 2 {
			t.Errorf("%v users a second for %v s, want %d users; %v", rate, took, 300-first.Created, err)
		}
		// Once more there is nothing to do, and nothing to measure.
		r := c.importJSON(exitFailed, "--resume", file)
		if r.Earlier != 301 || r.Created != 300 || r.Allowance != nil {
			t.Errorf("report %+v", r)
		}
		if want := file + ".failures.ndjson"; r.FailuresFile != want || len(readFailures(t, want)) != 1 {
			t.Errorf("failures in %q, want %q", r.FailuresFile, want)
		}
		c.counts(c.importJSON(exitUsage, "--skip", "301", file), 0, 0, 0) // nothing was begun
		if _, err := os.Stat(filepath.Join(dir, "r.txt")); err != nil {
			t.Error(err)
		}
	})
}

// Of the plan auto, the report names the one that was recognised.
func TestImportRecognisedPlan(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newConsole(t, auth0test.Options{Plan: enterprise(t), Faults: nearby()})
		c.env["AUTH0_PLAN"] = ""
		if r := c.importJSON(exitOK, write(t, "users.ndjson", someUsers(100))); r.Plan != "auto: enterprise" {
			t.Errorf("plan %q", r.Plan)
		}
	})
}

// A plan that is not the tenant's is said to be so, and no share of its allowance
// is given.
func TestImportOtherPlan(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newConsole(t, auth0test.Options{Plan: enterprise(t), Faults: nearby()})
		file := write(t, "users.ndjson", someUsers(20))
		if r := c.importJSON(exitOK, file); r.PlanHint != "" || r.Allowance == nil {
			t.Errorf("of the tenant's own plan: %+v", r)
		}
		c.env["AUTH0_PLAN"] = "free" // 2 of the Management API, where enterprise has 50
		r := c.importJSON(exitOK, file)
		if !strings.Contains(r.PlanHint, "a limit of 50") || !strings.Contains(r.PlanHint, "plan free has 2.") || !strings.Contains(r.PlanHint, "--plan") || r.Allowance != nil {
			t.Errorf("of another plan: %+v", r)
		}
		c.env["AUTH0_PLAN"] = ""
		if r := c.importJSON(exitOK, file); r.PlanHint != "" {
			t.Errorf("of the plan auto: %+v", r)
		}
	})
}

// What waits for the limit when Ctrl-C comes is not sent any more.
func TestInterruptDoesNotWaitForTheLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		plan, err := ratelimit.Named("legacy-2020/free-or-trial") // 10 burst, 2 a second
		if err != nil {
			t.Fatal(err)
		}
		c := newConsole(t, auth0test.Options{Plan: plan, Faults: nearby()})
		time.AfterFunc(3*time.Second, func() { c.signals <- os.Interrupt })
		began := time.Now()
		r := c.importJSON(exitInterrupted, "--workers", "40", write(t, "users.ndjson", someUsers(100)))
		if d := time.Since(began); d > 3100*time.Millisecond {
			t.Errorf("the import ended %v after it began; Ctrl-C came after 3 s", d)
		}
		// 10 at once and 2 a second, less what finding the connection took.
		if users := c.tenant.Report().Users; r.Created != users || users < 12 || users > 15 || r.Created+r.Unfinished != 100 {
			t.Errorf("%d users, report %+v", users, r)
		}
	})
}

func TestImportJSONShape(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newConsole(t, auth0test.Options{Plan: enterprise(t), Faults: nearby()})
		status, out, stderr := c.run("import", "--json", "--quiet", write(t, "users.ndjson", someUsers(3)))
		if status != exitOK || stderr != "" || strings.Count(out, "\n") != 1 {
			t.Fatalf("exit status %d, stdout %q, stderr %q", status, out, stderr)
		}
		shape := regexp.MustCompile(`[0-9.]+`).ReplaceAllString(strings.TrimSpace(out), "N")
		want := `{"event":"report","total":N,"created":N,"updated":N,"exists":N,"failed":N,"refused":N,"unfinished":N,"skipped":N,` +
			`"rejected":N,"elapsed_s":N,"allowance_used":N,"plan":"enterprise","via":"users"}`
		if shape != want {
			t.Errorf("report %s, want %s", shape, want)
		}
	})
}

func TestImportText(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newConsole(t, auth0test.Options{Faults: nearby()})
		file := write(t, "users.ndjson", someUsers(200)+"{}\n")
		status, out, stderr := c.run("import", "--workers", "1", file)
		if status != exitFailed {
			t.Errorf("exit status %d", status)
		}
		for _, want := range []string{"201 users in ", "200 created, 0 existed, 0 failed, 1 refused before anything was sent\n0 rejected", "The reasons are in " + file + ".failures.ndjson.\n", "To try the failed ones again:\n  headroom import --workers 1 --only 201 " + file} {
			if !strings.Contains(out, want) {
				t.Errorf("report %q lacks %q", out, want)
			}
		}
		// 50 ms each with one worker: about 10 s, a line every 2.
		lines := strings.Split(strings.TrimSpace(stderr), "\n")
		if len(lines) < 4 || len(lines) > 6 {
			t.Fatalf("%d lines of progress: %q", len(lines), stderr)
		}
		for _, l := range lines {
			if !regexp.MustCompile(`^importing: \d+ of 201 users, (18|19|20)\.\d/s, 0:0\d left, [01] waiting, 0 rejected(, 1 refused)?$`).MatchString(l) {
				t.Errorf("progress line %q", l)
			}
		}
	})
}

func TestImportErrors(t *testing.T) {
	t.Parallel()
	users := someUsers(50)
	for _, tt := range []struct {
		name   string
		env    map[string]string
		args   []string
		status int
		want   string
	}{
		{"no file", nil, nil, exitUsage, "import needs one FILE"},
		{"two files", nil, []string{"a", "b"}, exitUsage, "import needs one FILE"},
		{"missing file", nil, []string{"does-not-exist.ndjson"}, exitUsage, "does-not-exist.ndjson: no such file"},
		{"directory", nil, []string{"."}, exitUsage, ". is a directory"},
		{"unknown flag", nil, []string{"-", "--wokers", "3"}, exitUsage, "unknown flag: --wokers"},
		{"workers", nil, []string{"-", "--workers", "0"}, exitUsage, "--workers 0 is not between 1 and 1000"},
		{"via", nil, []string{"-", "--via", "post"}, exitUsage, `--via "post" is not known`},
		{"skip", nil, []string{"-", "--skip", "-1"}, exitUsage, "--skip -1 is negative"},
		{"done", nil, []string{"-", "--done", "5-x"}, exitUsage, `--done: "5-x" is not a position`},
		{"reserve", nil, []string{"-", "--reserve", "1"}, exitUsage, "--reserve 1 is not between 0 and 0.9"},
		{"plan", nil, []string{"-", "--plan", "enterpris"}, exitUsage, "enterprise"},
		{"plan from the environment", map[string]string{"AUTH0_PLAN": "enterpris"}, []string{"-"}, exitUsage, "AUTH0_PLAN: "},
		{"local plan", nil, []string{"-", "--local", "--plan", "enterpris"}, exitUsage, "--plan: "},
		{"local and domain", nil, []string{"-", "--local", "--domain", "x.auth0.com"}, exitUsage, "--local and --domain exclude each other"},
		{"no domain", map[string]string{"AUTH0_DOMAIN": ""}, []string{"-"}, exitUsage, "set AUTH0_DOMAIN"},
		{"bad domain", nil, []string{"-", "--domain", "http://tenant.example.com"}, exitUsage, "use https"},
		{"no credentials", map[string]string{"AUTH0_TOKEN": ""}, []string{"-"}, exitUsage, "set AUTH0_TOKEN, or AUTH0_CLIENT_ID and AUTH0_CLIENT_SECRET"},
		{"wrong token", map[string]string{"AUTH0_TOKEN": "wrong-token-x"}, []string{"-"}, exitUsage, "check AUTH0_TOKEN (see"},
		{"wrong secret", map[string]string{"AUTH0_TOKEN": "", "AUTH0_CLIENT_ID": "headroom-test-client", "AUTH0_CLIENT_SECRET": "wrong-token-x"}, []string{"-"}, exitUsage, "check AUTH0_CLIENT_ID and AUTH0_CLIENT_SECRET (see"},
		{"no connection", nil, []string{"-", "--connection", "Nowhere"}, exitUsage, `connection "Nowhere" does not exist; name another`},
		{"no reach", nil, []string{"-", "--domain", "unreachable.example.com"}, exitFailed, "no such host"},
		{"no reach for a token", map[string]string{"AUTH0_TOKEN": "", "AUTH0_CLIENT_ID": "headroom-test-client", "AUTH0_CLIENT_SECRET": "wrong-token-x"}, []string{"-", "--domain", "unreachable.example.com"}, exitFailed, "no such host"},
		{"no directory for the report", nil, []string{"-", "--report", "none/r.html"}, exitUsage, "--report: open none/r.html: no such file or directory"},
		{"none chosen", nil, []string{"-", "--report", "r.html", "--only", "51-60"}, exitUsage, "--only leaves none of the 50 users of standard input to import"},
		{"none left", nil, []string{"-", "--skip", "40", "--done", "41-50"}, exitUsage, "--skip and --done leave none of the 50 users"},
		{"mapping of JSON", nil, []string{"-", "--map", "a=name"}, exitUsage, "--map is for the columns of a CSV"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := newConsole(t, auth0test.Options{Faults: nearby()})
				maps.Copy(c.env, tt.env)
				c.in = users
				c.base = reachable{c.tenant}
				status, out, stderr := c.run(append([]string{"import", "--quiet"}, tt.args...)...)
				if status != tt.status || !strings.HasPrefix(stderr, "headroom: ") || !strings.Contains(stderr, tt.want) || strings.Count(stderr, "\n") != 1 {
					t.Errorf("exit status %d, want %d; stderr %q, want %q in one line", status, tt.status, stderr, tt.want)
				}
				if strings.Contains(stderr+out, "wrong-token-x") || strings.Contains(stderr+out, "secret-word") {
					t.Errorf("a secret is shown: %s%s", stderr, out)
				}
				if n := c.tenant.Report().Users; n != 0 {
					t.Errorf("%d users were created", n)
				}
				if _, err := os.Stat("r.html"); err == nil {
					t.Error("a report of nothing was left")
				}
				if out != "" { // nothing was begun: there is nothing to sum up
					t.Errorf("stdout %q", out)
				}
			})
		})
	}
}

// reachable reaches all hosts but one.
type reachable struct{ http.RoundTripper }

func (r reachable) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Host == "unreachable.example.com" {
		return nil, &net.DNSError{Err: "no such host", Name: req.URL.Host, IsNotFound: true}
	}
	return r.RoundTripper.RoundTrip(req)
}

// A tenant that nobody reaches ends the import; it does not run through the file.
func TestImportTenantGone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newConsole(t, auth0test.Options{Faults: nearby()})
		time.AfterFunc(time.Second, func() { c.tenant.SetFaults(auth0test.Faults{Refuse: 1}) })
		file := write(t, "users.ndjson", someUsers(5000))
		status, out, stderr := c.run("import", "--json", "--quiet", "--workers", "4", file)
		r := c.report(out)
		if status != exitFailed || !strings.Contains(stderr, "users in a row without an answer") || r.Failed != 0 {
			t.Errorf("exit status %d, stderr %q, report %+v", status, stderr, r)
		}
		// Four at a time, 50 ms each, for a second.
		if r.Resume == "" || r.Created < 60 || r.Created > 80 || r.Created+r.Failed+r.Unfinished != 5000 {
			t.Errorf("report %+v", r)
		}
	})
}

// Reading from a terminal or a pipe that says nothing more does not keep Ctrl-C
// from ending the import.
func TestInterruptWhileReading(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newConsole(t, auth0test.Options{Faults: nearby()})
		in, feed := io.Pipe()
		go func() { _, _ = io.WriteString(feed, someUsers(3)) }()
		time.AfterFunc(5*time.Second, func() { c.signals <- os.Interrupt })
		var stdout, stderr bytes.Buffer
		status := run([]string{"import", "--json", "-"}, &system{
			in: in, out: &stdout, err: &stderr, base: c.tenant,
			getenv:     func(k string) string { return c.env[k] },
			interrupts: func() (<-chan os.Signal, func()) { return c.signals, func() {} },
		})
		_ = feed.Close() // ends the reader, which is still waiting
		r := c.report(stdout.String())
		c.counts(r, 3, 0, 0)
		if status != exitInterrupted || !strings.Contains(r.Resume, "--skip 3 -") || r.ElapsedS > 5.1 {
			t.Errorf("exit status %d, report %+v", status, r)
		}
	})
}

// Reasons that cannot be written down end the import: nobody would know them.
func TestFailuresFileCannotBeWritten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newConsole(t, auth0test.Options{Faults: nearby()})
		file := write(t, "users.ndjson", "{}\n"+someUsers(500))
		status, out, stderr := c.run("import", "--quiet", "--json", "--workers", "1", "--failures", filepath.Join(t.TempDir(), "none", "f"), file)
		// The ledger has the user as settled, and no later run says why.
		reason, last, _ := strings.Cut(stderr, "\n")
		if status != exitFailed || !strings.HasPrefix(last, "headroom: writing failures: ") ||
			!strings.HasPrefix(reason, `{"line":1,"number":1,"kind":"refused","code":"identity","reason":"line 1: there is no email`) {
			t.Errorf("exit status %d, stderr %q", status, stderr)
		}
		if r := c.report(out); r.Created > 1 || r.Resume == "" { // one may be on its way
			t.Errorf("report %+v", r)
		}
		if status, _, stderr := c.run("import", "--failures", file, file); status != exitUsage || !strings.Contains(stderr, "--failures names the file of users itself") {
			t.Errorf("exit status %d, stderr %q", status, stderr)
		}
	})
}
