package importer

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/headroom-go/auth0"
	"github.com/headroom-go/auth0/auth0test"
	"github.com/headroom-go/auth0/ratelimit"
)

// childEnv holds what a child is to import, as JSON.
const childEnv = "IMPORTER_CRASH_CHILD"

// childJob is what a child is told.
type childJob struct {
	URL, Input, Ledger string
	Via                Via
	Upsert             bool
	Workers            int
	// Write is the write to the ledger at which something happens, from 1; 0 for
	// none. How is what: the process is killed before it, in the middle of it,
	// between it and its sync, or after both; or it fails, in part or before.
	Write int
	How   string
}

var ways = []string{"before", "half", "unsynced", "after", "error", "half error"}

// crashFile is a ledger's file that ends the process, or fails, at a write.
type crashFile struct {
	ledgerFile
	left int
	how  string
}

func kill() {
	if p, err := os.FindProcess(os.Getpid()); err == nil {
		_ = p.Kill()
	}
	select {} // until it is over
}

func (f *crashFile) Write(b []byte) (int, error) {
	f.left--
	if f.left != 0 {
		return f.ledgerFile.Write(b)
	}
	switch f.how {
	case "before":
		kill()
	case "half":
		_, _ = f.ledgerFile.Write(b[:len(b)/2])
		kill()
	case "unsynced":
		_, _ = f.ledgerFile.Write(b)
		kill()
	case "half error":
		n, _ := f.ledgerFile.Write(b[:len(b)/2])
		return n, syscall.ENOSPC
	case "error":
		return 0, syscall.ENOSPC
	}
	return f.ledgerFile.Write(b)
}

func (f *crashFile) Sync() error {
	err := f.ledgerFile.Sync()
	if f.left == 0 && f.how == "after" {
		kill()
	}
	return err
}

// crashChild imports in a process of its own. Its status is 0 when the import
// has come to its end, 3 when the ledger could not be written.
func crashChild() int {
	var job childJob
	if err := json.Unmarshal([]byte(os.Getenv(childEnv)), &job); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	src, err := File(job.Input)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	c, err := auth0.New(job.URL, auth0.WithToken("crash"), auth0.WithOwnPlan(&ratelimit.Plan{Name: "none"}))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	fmt.Println("ready")
	o := Options{
		Via: job.Via, Upsert: job.Upsert, Workers: job.Workers, Ledger: job.Ledger, Resume: true,
		chunkUsers: 12, firstPoll: 3 * time.Millisecond,
	}
	if job.Write > 0 {
		o.wrapLedger = func(f ledgerFile) ledgerFile { return &crashFile{ledgerFile: f, left: job.Write, how: job.How} }
	}
	r, err := Run(context.Background(), c, src, o)
	if r != nil {
		_ = r.WriteJSON(os.Stdout)
	}
	if err == nil {
		return 0
	}
	fmt.Fprintln(os.Stderr, err)
	if errors.Is(err, ErrLedger) {
		return 3
	}
	return 1
}

// crashWorld is a tenant on a port, with users from an hour ago.
type crashWorld struct {
	tenant *auth0test.Tenant
	shift  atomic.Int64
}

func newCrashWorld(t *testing.T, seed uint64) *crashWorld {
	t.Helper()
	w := &crashWorld{}
	w.shift.Store(int64(-time.Hour)) // the tenant's clock only ever goes forward
	tenant, err := auth0test.New(auth0test.Options{
		AnyToken: true, Seed: seed, JobTime: 8 * time.Millisecond, JobTimePerUser: 200 * time.Microsecond,
		ImportFault: func(job, users int) auth0test.JobFault {
			switch {
			case job%9 == 4:
				return auth0test.JobFault{Fail: true, Done: users / 2}
			case job%13 == 6:
				return auth0test.JobFault{Forget: true}
			}
			return auth0test.JobFault{}
		},
		Clock: func() time.Time { return time.Now().Add(time.Duration(w.shift.Load())) },
	})
	if err != nil {
		t.Fatal(err)
	}
	w.tenant = tenant
	return w
}

func (w *crashWorld) call(t *testing.T, method, path, body string) []byte {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "https://"+w.tenant.Domain()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := w.tenant.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil || resp.StatusCode >= 300 {
		t.Fatalf("%s %s: %d %s %v", method, path, resp.StatusCode, b, err)
	}
	return b
}

const (
	crashUsers = 600
	crashKills = 200
)

// What each user of a crash test is: every 50th breaks a rule, every 40th is in
// the tenant already.
func crashRefused(i int) bool { return i%50 == 7 }
func crashExists(i int) bool  { return i%40 == 3 && !crashRefused(i) }

// round imports one file with as many crashes as it takes, and returns how many
// there were.
func (w *crashWorld) round(t *testing.T, rng *rand.Rand, via Via, upsert bool, budget int) (kills, writeErrors int) {
	t.Helper()
	dir := t.TempDir()
	var want struct{ created, exists, refused int }
	text := users(crashUsers, func(i int, u map[string]any) map[string]any {
		if via == ViaUsers || via == ViaAuto && i%3 == 0 {
			u["password"] = fmt.Sprintf("Secret-%d-word", i)
		}
		switch {
		case crashRefused(i):
			u["email"] = "nobody at all"
			want.refused++
		case crashExists(i):
			want.exists++
			b, _ := json.Marshal(map[string]any{"connection": DefaultConnection, "password": "Other-1-word", "email": u["email"], "user_id": u["user_id"]})
			w.call(t, "POST", "/api/v2/users", string(b))
		default:
			want.created++
		}
		return u
	})
	w.shift.Store(0)
	s := httptest.NewUnstartedServer(w.tenant)
	s.Start()
	defer s.Close()
	job := childJob{
		URL: s.URL, Input: filepath.Join(dir, "users.ndjson"), Ledger: filepath.Join(dir, "ledger"),
		Via: via, Upsert: upsert, Workers: 4,
	}
	if err := os.WriteFile(job.Input, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for life := 1; ; life++ {
		if life > 4*crashKills {
			t.Fatalf("the import has not ended after %d lives", life)
		}
		delay := time.Duration(-1)
		job.Write, job.How = 0, ""
		if kills < budget {
			if rng.IntN(2) == 0 {
				delay = time.Duration(rng.Int64N(int64(70 * time.Millisecond)))
			} else {
				job.Write, job.How = 1+rng.IntN(12), ways[rng.IntN(len(ways))]
			}
		}
		status, out := runChild(t, job, delay)
		switch status {
		case -1:
			kills++
		case 3:
			writeErrors++
			if !strings.Contains(string(out), "no space left") {
				t.Fatalf("the ledger is refused: %s", out)
			}
		case 0:
			var r Report
			if err := json.Unmarshal(out, &r); err != nil {
				t.Fatalf("report %s: %v", out, err)
			}
			exists, updated := want.exists, 0
			if upsert {
				exists, updated = 0, want.exists
			}
			if r.Created != want.created || r.Exists != exists || r.Updated != updated || r.Refused != want.refused || r.Failed != 0 || r.Unfinished != 0 || r.Total != crashUsers {
				ledger, _ := os.ReadFile(job.Ledger)
				t.Errorf("via %s, upsert %v, %d kills: %s of %d; want %d created, %d updated, %d exist, %d refused; %v\n%s", via, upsert, kills, counts(&r), r.Total, want.created, updated, exists, want.refused, r.ByReason, ledger)
			}
			w.check(t)
			return kills, writeErrors
		default:
			t.Fatalf("the child ended with status %d: %s", status, out)
		}
	}
}

// check holds the tenant's users against what they must be.
func (w *crashWorld) check(t *testing.T) {
	t.Helper()
	want := make(map[string]bool)
	for i := 1; i <= crashUsers; i++ {
		if !crashRefused(i) {
			want[fmt.Sprintf("auth0|u%06d", i)] = true
		}
	}
	seen := 0
	for page := 0; ; page++ {
		var list []struct {
			UserID string `json:"user_id"`
		}
		if err := json.Unmarshal(w.call(t, "GET", fmt.Sprintf("/api/v2/users?per_page=100&page=%d", page), ""), &list); err != nil {
			t.Fatal(err)
		}
		for _, u := range list {
			if !want[u.UserID] {
				t.Errorf("%s is there and should not be, or twice", u.UserID)
			}
			delete(want, u.UserID)
			seen++
		}
		if len(list) < 100 {
			break
		}
	}
	if len(want) > 0 {
		t.Errorf("%d users are missing, %d are there", len(want), seen)
	}
}

// runChild runs one life of an import and kills it after delay, unless that is
// negative. Its status is -1 for one that was killed.
func runChild(t *testing.T, job childJob, delay time.Duration) (status int, out []byte) {
	t.Helper()
	text, err := json.Marshal(job)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0]) //nolint:gosec // its own binary
	cmd.Env = append(os.Environ(), childEnv+"="+string(text))
	var errs bytes.Buffer
	cmd.Stderr = &errs
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(pipe)
	if line, err := in.ReadString('\n'); err != nil || line != "ready\n" {
		_ = cmd.Wait()
		t.Fatalf("the child said %q, %v, %s", line, err, errs.String())
	}
	if delay >= 0 {
		timer := time.AfterFunc(delay, func() { _ = cmd.Process.Kill() })
		defer timer.Stop()
	}
	out, _ = io.ReadAll(in)
	err = cmd.Wait()
	if e := (*exec.ExitError)(nil); errors.As(err, &e) {
		if e.ExitCode() != 3 && e.ExitCode() >= 0 {
			t.Logf("stderr: %s", errs.String())
		}
		return e.ExitCode(), append(out, errs.Bytes()...)
	}
	if err != nil {
		t.Fatal(err)
	}
	return 0, out
}

// The importer is killed 200 times, at random moments and around the writes of
// its ledger, and its ledger's writes fail; each time another process resumes. Some
// jobs fail halfway, others are forgotten when they are over. At the end the
// tenant has every user once, and the counts are exact: what was created by a
// process that was killed counts as created, what was there before as existing.
func TestCrash(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 200))
	kills, writeErrors, rounds := 0, 0, 0
	kinds := []struct {
		via    Via
		upsert bool
	}{{ViaJobs, false}, {ViaUsers, false}, {ViaAuto, false}, {ViaJobs, true}, {ViaUsers, true}}
	began := time.Now()
	for kills < crashKills {
		kind := kinds[rounds%len(kinds)]
		w := newCrashWorld(t, uint64(rounds))
		k, e := w.round(t, rng, kind.via, kind.upsert, min(crashKills/len(kinds), crashKills-kills))
		kills, writeErrors, rounds = kills+k, writeErrors+e, rounds+1
		if t.Failed() {
			break
		}
	}
	t.Logf("%d kills and %d failed writes in %d imports, %v", kills, writeErrors, rounds, time.Since(began).Round(time.Millisecond))
}
