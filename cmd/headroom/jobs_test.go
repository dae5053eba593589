package main

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
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
)

// jobTenant is a console whose tenant takes a minute for a job.
func jobTenant(t *testing.T) *console {
	t.Helper()
	return newConsole(t, auth0test.Options{Plan: enterprise(t), Faults: nearby(), JobTime: time.Minute})
}

// fatUsers returns n users with hashes, of whom a job takes some 570.
func fatUsers(n int) string {
	return strings.ReplaceAll(hashedUsers(n), `"nickname":`, `"app_metadata":{"filler":"`+strings.Repeat("x", 750)+`"},"nickname":`)
}

func TestImportByJobs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := jobTenant(t)
		dir := t.TempDir()
		file := filepath.Join(dir, "users.ndjson")
		// Users of some 900 bytes, 2.7 MB in all: six jobs.
		if err := os.WriteFile(file, []byte(fatUsers(3000)+"{}\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		page, all, text := filepath.Join(dir, "r.html"), filepath.Join(dir, "r.json"), filepath.Join(dir, "r.txt")
		status, out, stderr := c.run("import", "--json", "--connection", auth0test.DefaultConnection, "--report", page, "--report", all, "--report", text, file)
		r := c.report(out)
		c.counts(r, 3000, 0, 1)
		if status != exitFailed || stderr != "" || r.Via != importer.ViaJobs || r.Jobs != 6 || r.Rejected != 0 || r.Allowance != nil || r.ByReason["identity"] != 1 {
			t.Errorf("exit status %d, stderr %q, report %+v", status, stderr, r)
		}
		if got := c.tenant.Report(); got.Users != 3000 || got.Rejected != 0 {
			t.Errorf("the tenant has %d users and rejected %d", got.Users, got.Rejected)
		}
		// Six jobs of a minute, two at a time.
		if r.ElapsedS < 180 || r.ElapsedS > 180*1.1 {
			t.Errorf("%v s, want three minutes and what asking for them takes", r.ElapsedS)
		}
		running, stages := 0, map[string]bool{}
		for line := range strings.Lines(out) {
			var e progressEvent
			if err := json.Unmarshal([]byte(line), &e); err != nil {
				t.Fatal(err)
			}
			running, stages[e.Stage] = max(running, e.JobsRunning), true
		}
		if running != 2 || !stages["checking"] || !stages["importing"] {
			t.Errorf("%d jobs were shown at a time, stages %v", running, stages)
		}
		checkPage(t, page, c)
		var whole importer.Report
		if data, err := os.ReadFile(all); err != nil || json.Unmarshal(data, &whole) != nil || whole.Created != 3000 || len(whole.Jobs) != 6 || len(whole.Series) < 60 {
			t.Errorf("%v, report %+v", err, whole)
		}
		if data, err := os.ReadFile(text); err != nil || !strings.HasPrefix(string(data), "3001 users in ") || !strings.Contains(string(data), "\n6 import jobs, 0 rejected\n") {
			t.Errorf("%v, report %s", err, data)
		}
		// Again: everybody is there.
		r = c.importJSON(exitFailed, file)
		c.counts(r, 0, 3000, 1)
	})
}

// checkPage holds an HTML report to being whole, self-contained and without users.
func checkPage(t *testing.T, path string, c *console) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	page := string(data)
	for _, want := range []string{"<title>Import of 3001 users</title>", ">Users a second</h2>", ">Import jobs running</h2>", ">Level of the buckets", ">Failures by reason</h2>", "<td>identity</td><td class=\"n\">1</td>", "<dd>3000</dd>", "<td>completed</td>"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	if outside := regexp.MustCompile(`(?i)<script|<link|<img|<iframe|@import|url\(|https?://|src=`).FindString(page); outside != "" {
		t.Errorf("the page needs %q from elsewhere", outside)
	}
	if strings.Contains(page, "@example.com") || strings.Contains(page, bcryptHash) || strings.Contains(page, c.env["AUTH0_TOKEN"]) || strings.Contains(page, "ZgotmplZ") {
		t.Error("the page has users, secrets or values that the template refused")
	}
	// Three charts with points within their box, at least 50 each, and tags that close.
	for i, svg := range regexp.MustCompile(`(?s)<svg.*?</svg>`).FindAllString(page, -1) {
		points := regexp.MustCompile(`([\d.]+),([\d.]+)`).FindAllStringSubmatch(svg, -1)
		if len(points) < 50 {
			t.Errorf("chart %d has %d points", i, len(points))
		}
		for _, p := range points {
			var x, y float64
			if _, err := fmt.Sscan(p[1]+" "+p[2], &x, &y); err != nil || x < plotLeft-0.1 || x > plotLeft+plotWidth+0.1 || y < plotTop-0.1 || y > plotTop+plotHeight+0.1 {
				t.Fatalf("chart %d: point %s outside: %v", i, p[0], err)
			}
		}
		d := xml.NewDecoder(strings.NewReader(svg))
		for {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("chart %d: %v", i, err)
			}
		}
	}
	if n := strings.Count(page, "<svg"); n != 3 {
		t.Errorf("%d charts, want 3", n)
	}
}

func TestNice(t *testing.T) {
	t.Parallel()
	for v, want := range map[float64]float64{0: 1, 0.3: 0.4, 1: 1, 3: 4, 16: 20, 41: 50, 99: 100, 100: 100, 620: 800} {
		if got := nice(v); got < want*0.9999 || got > want*1.0001 {
			t.Errorf("nice(%v) is %v, want %v", v, got, want)
		}
	}
}

// A report of a run that ended before there was anything to draw.
func TestEmptyPage(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	if err := writeHTML(&b, &importReport{Error: "<b>broken</b>"}, &importer.Report{}); err != nil || strings.Contains(b.String(), "<svg") || !strings.Contains(b.String(), "&lt;b&gt;broken") {
		t.Errorf("%v, %s", err, b.String())
	}
}

func TestThroughput(t *testing.T) {
	t.Parallel()
	at := func(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
	// 50 users in the first second, 16 in the next, 8 in the half second that is left,
	// and 2 within no time, which say nothing.
	series := []importer.Sample{{}, {At: at(1), Done: 50}, {At: at(2), Done: 66}, {At: at(2.5), Done: 74}, {At: at(2.6), Done: 76}}
	want := []point{{0, 50}, {at(1), 50}, {at(1), 16}, {at(2), 16}, {at(2), 16}, {at(2.5), 16}}
	if got := sampleRates(series); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	// Two jobs of 100 users, from 1 s to 11 s and from 6 s to 11 s.
	began := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	r := &importer.Report{Created: 200, Elapsed: at(11), Jobs: []importer.JobReport{
		{Created: 100, Started: began.Add(at(1)), Ended: began.Add(at(11))}, {Created: 90, Failed: 10, Started: began.Add(at(6)), Ended: began.Add(at(11))},
	}}
	want = []point{{0, 0}, {at(1), 0}, {at(1), 10}, {at(6), 10}, {at(6), 30}, {at(11), 30}, {at(11), 20}, {at(11), 20}, {at(11), 0}}
	if got := jobRates(r, 0); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	r.Created = 300 // some by other ways
	if got := jobRates(r, 0); got != nil {
		t.Errorf("%v, want none", got)
	}
}

// Ctrl-C while jobs run, and --resume: nobody is lost or created twice.
func TestJobsInterruptedAndResumed(t *testing.T) {
	t.Parallel()
	for _, after := range []time.Duration{500 * time.Millisecond, 30 * time.Second, 90 * time.Second, 2 * time.Minute} {
		t.Run(after.String(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := jobTenant(t)
				file := write(t, "users.ndjson", fatUsers(3000))
				time.AfterFunc(after, func() { c.signals <- os.Interrupt })
				began := time.Now()
				r := c.importJSON(exitInterrupted, file)
				if d := time.Since(began); d > after+grace+time.Second {
					t.Errorf("interrupted after %v, ended after %v", after, d)
				}
				if r.Ledger != file+ledgerSuffix || !strings.HasSuffix(r.Resume, " --resume "+file) || r.Created+r.Unfinished != 3000 {
					t.Errorf("report %+v", r)
				}
				// Without --resume it says what to do.
				if status, _, stderr := c.run("import", "--quiet", file); status != exitUsage || !strings.Contains(stderr, "ledger") || !strings.Contains(stderr, "esume") {
					t.Errorf("exit status %d, stderr %q", status, stderr)
				}
				time.Sleep(3 * time.Minute) // the jobs have ended
				r = c.importJSON(exitOK, strings.Fields(r.Resume)[2:]...)
				c.counts(r, 3000, 0, 0)
				if got := c.tenant.Report().Users; got != 3000 {
					t.Errorf("the tenant has %d users", got)
				}
				if r.Resume != "" || r.Ledger != "" {
					t.Errorf("report %+v", r)
				}
			})
		})
	}
}

// A ledger of another file, tenant or option is not gone on with.
func TestResumeRefuses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := jobTenant(t)
		file := write(t, "users.ndjson", fatUsers(3000))
		time.AfterFunc(30*time.Second, func() { c.signals <- os.Interrupt })
		_ = c.importJSON(exitInterrupted, file)
		for _, more := range [][]string{{"--upsert"}, {"--connection", "con_0000000000000000"}, {"--skip", "3"}} {
			status, _, stderr := c.run(append([]string{"import", "--quiet", "--resume", file}, more...)...)
			if status == exitOK || strings.Count(stderr, "\n") != 1 {
				t.Errorf("%v: exit status %d, stderr %q", more, status, stderr)
			}
		}
		if err := os.WriteFile(file, []byte(fatUsers(2999)), 0o600); err != nil {
			t.Fatal(err)
		}
		if status, _, stderr := c.run("import", "--quiet", "--resume", file); status != exitUsage || !strings.Contains(stderr, "ledger") {
			t.Errorf("exit status %d, stderr %q", status, stderr)
		}
	})
}

func TestImportFlags(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		want string
		args []string
	}{
		{"--jobs 3 is neither 1 nor 2", []string{"u", "--jobs", "3"}},
		{"--resume needs --ledger FILE", []string{"-", "--resume"}},
		{"--resume has nothing to go on with", []string{"u", "--resume", "--local"}},
		{"--report r.pdf: the name has to end in .html, .json or .txt", []string{"u", "--report", "r.pdf"}},
		{"--ledger names the file of users itself", []string{"u", "--ledger", "u"}},
		{"--failures names the file of --ledger", []string{"u", "--failures", "u.headroom"}},
		{"--report names the file of --failures", []string{"u", "--report", "u.txt", "--failures", "u.txt"}},
		{"--only: ", []string{"u", "--only", "x"}},
	} {
		status, out, stderr := headroom(t, append([]string{"import"}, tt.args...)...)
		if status != exitUsage || out != "" || !strings.Contains(stderr, tt.want) || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%v: exit status %d, stdout %q, stderr %q; want %q in one line", tt.args, status, out, stderr, tt.want)
		}
	}
}

// --strict begins nothing when one user would be refused.
func TestImportStrict(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := jobTenant(t)
		file := write(t, "users.ndjson", someUsers(5)+"{}\n")
		r := c.importJSON(exitFailed, "--strict", file)
		if r.Created != 0 || r.Refused+r.Unfinished != 6 || r.ByReason["identity"] != 1 || r.Error == "" || r.Resume != "" || r.Retry != "" || c.tenant.Report().Users != 0 {
			t.Errorf("report %+v, %d users", r, c.tenant.Report().Users)
		}
		if got := readFailures(t, file+".failures.ndjson"); len(got) != 1 || got[0].Number != 6 || got[0].Kind != importer.KindRefused {
			t.Errorf("failures %+v", got)
		}
		_, _, stderr := c.run("import", "--quiet", "--strict", file)
		if want := "line 6: there is no email, username or phone_number"; !strings.HasPrefix(stderr, want) || !strings.Contains(stderr, "\nThe reasons are in "+file+".failures.ndjson.\nheadroom: ") {
			t.Errorf("stderr %q, want %q and the file", stderr, want)
		}
		// Mended, it goes without further ado.
		if err := os.WriteFile(file, []byte(someUsers(6)), 0o600); err != nil {
			t.Fatal(err)
		}
		c.counts(c.importJSON(exitOK, "--strict", file), 6, 0, 0)
	})
}

// A ledger is beside the file, but not for --local, standard input and where it is
// named empty.
func TestLedgerPlace(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		args []string
		want []string
	}{
		{nil, []string{"u.ndjson", "u.ndjson.headroom"}},
		{[]string{"--ledger", ""}, []string{"u.ndjson"}},
		{[]string{"--local"}, []string{"u.ndjson"}},
	} {
		synctest.Test(t, func(t *testing.T) {
			c := newConsole(t, auth0test.Options{})
			file := write(t, "u.ndjson", someUsers(2))
			c.counts(c.importJSON(exitOK, append(tt.args, file)...), 2, 0, 0)
			entries, err := os.ReadDir(filepath.Dir(file))
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, e := range entries {
				names = append(names, e.Name())
			}
			if !slices.Equal(names, tt.want) {
				t.Errorf("%v: %v, want %v", tt.args, names, tt.want)
			}
		})
	}
}

func TestEvenStep(t *testing.T) {
	t.Parallel()
	for end, want := range map[time.Duration]time.Duration{
		0: time.Second, 6 * time.Second: time.Second, 7 * time.Second: 2 * time.Second, 19 * time.Second: 5 * time.Second,
		100 * time.Second: 15 * time.Second, time.Hour: 10 * time.Minute, 7 * time.Hour: 2 * time.Hour, 240 * time.Hour: 48 * time.Hour,
	} {
		if got := evenStep(end); got != want {
			t.Errorf("a step of %v in %v, want %v", got, end, want)
		}
	}
}
