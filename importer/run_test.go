package importer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headroom-go/auth0"
	"github.com/headroom-go/auth0/auth0test"
	"github.com/headroom-go/auth0/ratelimit"
)

// world is a simulated tenant and a client of it.
type world struct {
	t      *testing.T
	tenant *auth0test.Tenant
	client *auth0.Client

	mu       sync.Mutex
	failures []Failure
	statuses map[string]int // answers by method, path and status
}

// observer is a token of the tests' own, which never expires.
const observer = "observer"

func newWorld(t *testing.T, o auth0test.Options) *world {
	t.Helper()
	w := &world{t: t, statuses: make(map[string]int)}
	if o.Plan == nil && o.PlanName == "" {
		o.PlanName = "enterprise"
	}
	if o.Plan == nil {
		plan, err := ratelimit.Named(o.PlanName)
		if err != nil {
			t.Fatal(err)
		}
		o.Plan = plan
	}
	o.Tokens = append(o.Tokens, observer)
	o.Observe = func(e auth0test.Event) {
		w.mu.Lock()
		defer w.mu.Unlock()
		path := e.Path
		if i := strings.LastIndexByte(path, '/'); strings.HasPrefix(path, "/api/v2/jobs/job_") || strings.HasPrefix(path, "/api/v2/users/") {
			path = path[:i] + "/x"
		}
		w.statuses[fmt.Sprintf("%s %s %d", e.Method, path, e.Status)]++
	}
	tenant, err := auth0test.New(o)
	if err != nil {
		t.Fatal(err)
	}
	w.tenant = tenant
	w.client = w.newClient(o.Plan)
	return w
}

func (w *world) newClient(plan *ratelimit.Plan, opts ...auth0.Option) *auth0.Client {
	w.t.Helper()
	opts = append([]auth0.Option{
		auth0.WithClientSecret(auth0test.DefaultClientID, auth0test.DefaultClientSecret),
		auth0.WithOwnPlan(plan), auth0.WithHTTPClient(w.tenant.Client()),
	}, opts...)
	c, err := auth0.New(w.tenant.Domain(), opts...)
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// run imports, and must account for every user.
func (w *world) run(src *Source, o Options) (*Report, error) {
	w.t.Helper()
	o.Failed = func(f Failure) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.failures = append(w.failures, f)
	}
	r, err := Run(w.t.Context(), w.client, src, o)
	if r != nil {
		if sum := r.Created + r.Updated + r.Exists + r.Failed + r.Refused + r.Skipped + r.Unfinished; sum != r.Total {
			w.t.Errorf("the counts make %d, the total is %d: %+v", sum, r.Total, r)
		}
	}
	return r, err
}

// must is run for an import that must come to its end.
func (w *world) must(src *Source, o Options) *Report {
	w.t.Helper()
	r, err := w.run(src, o)
	if err != nil {
		w.t.Fatalf("Run: %v", err)
	}
	if r.Unfinished != 0 || r.Resume {
		w.t.Errorf("%d users are unfinished, resume %v", r.Unfinished, r.Resume)
	}
	return r
}

// users are n made-up users as NDJSON; edit may change each, and leaves it out
// by returning nil.
func users(n int, edit func(i int, u map[string]any) map[string]any) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	for i := 1; i <= n; i++ {
		u := map[string]any{
			"email": fmt.Sprintf("user%06d@example.com", i), "user_id": fmt.Sprintf("u%06d", i),
			"given_name": "Given", "family_name": fmt.Sprintf("Family %d", i), "email_verified": true,
			"app_metadata": map[string]any{"plan": "basic", "legacy_id": i},
		}
		if edit != nil {
			u = edit(i, u)
		}
		if u != nil {
			if err := e.Encode(u); err != nil {
				panic(err)
			}
		}
	}
	return b.String()
}

// input is a source over a text, which can be read again.
func input(t *testing.T, text string) *Source {
	t.Helper()
	return Users(func(yield func(any, error) bool) {
		for line := range strings.Lines(text) {
			if !yield(json.RawMessage(line), nil) {
				return
			}
		}
	})
}

// counts is what a report comes to.
func counts(r *Report) string {
	return fmt.Sprintf("%d created, %d updated, %d exist, %d failed, %d refused, %d skipped, %d unfinished",
		r.Created, r.Updated, r.Exists, r.Failed, r.Refused, r.Skipped, r.Unfinished)
}

func TestRunJobs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, jobOptions())
		var stages []Stage
		var last Progress
		src := input(t, users(5000, nil))
		r := w.must(src, Options{Progress: func(p Progress) {
			if len(stages) == 0 || stages[len(stages)-1] != p.Stage {
				stages = append(stages, p.Stage)
			}
			if p.Done < last.Done || p.Done != p.Created+p.Updated+p.Exists+p.Failed+p.Refused || p.JobsRunning > 2 {
				t.Errorf("progress went from %+v to %+v", last, p)
			}
			last = p
		}})
		if got, want := counts(r), "5000 created, 0 updated, 0 exist, 0 failed, 0 refused, 0 skipped, 0 unfinished"; got != want || r.Rejected != 0 || r.Via != ViaJobs {
			t.Errorf("%s by %s, %d rejected; want %s", got, r.Via, r.Rejected, want)
		}
		if got := w.tenant.Report(); got.Users != 5000 || got.Rejected != 0 || w.tenant.ImportPeak() != 2 {
			t.Errorf("the tenant has %d users, rejected %d, ran %d jobs at a time", got.Users, got.Rejected, w.tenant.ImportPeak())
		}
		if fmt.Sprint(stages) != "[checking importing done]" || last.Done != 5000 || last.Total != 5000 || last.JobsDone != 2 || last.JobsTotal != 2 || last.JobsRunning != 0 || last.InFlight != 0 || last.Waiting != 0 {
			t.Errorf("stages %v, at the end %+v", stages, last)
		}
		// 2,500 and more of them take 35 s and more, and a second for its end to be seen.
		end := r.Series[len(r.Series)-1]
		if len(r.Series) < 30 || len(r.Series) > mostSamples || end.Done != 5000 || end.At > r.Elapsed || r.SampleEvery != time.Second || len(end.Buckets) == 0 {
			t.Errorf("%d samples every %v, the last %+v", len(r.Series), r.SampleEvery, end)
		}
	})
}

// Series stay short however long the import takes.
func TestSeriesIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := jobOptions()
		o.JobTime = 100 * time.Minute
		w := newWorld(t, o)
		r := w.must(input(t, users(200, nil)), Options{chunkUsers: 100, MaxJobs: 1})
		if len(r.Series) > mostSamples || len(r.Series) < mostSamples/4 || r.SampleEvery < 20*time.Second {
			t.Errorf("%d samples every %v of %v", len(r.Series), r.SampleEvery, r.Elapsed)
		}
		for i := 1; i < len(r.Series)-1; i++ {
			if d := r.Series[i].At - r.Series[i-1].At; d < r.SampleEvery/2 || d > 2*r.SampleEvery {
				t.Errorf("samples %d and %d are %v apart, every is %v", i-1, i, d, r.SampleEvery)
			}
		}
	})
}

func TestRunChoice(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name       string
		skip       int
		done, only string
		want       []int
	}{
		{name: "skip", skip: 17, want: []int{18, 19, 20}},
		{name: "done", done: "1-18,20", want: []int{19}},
		{name: "only", only: "3,5-6", want: []int{3, 5, 6}},
		{name: "all three", skip: 4, done: "5,9", only: "3-10", want: []int{6, 7, 8, 10}},
	} {
		for _, once := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, once %v", tt.name, once), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t, jobOptions())
					text := users(20, func(i int, u map[string]any) map[string]any {
						if i == 6 {
							u["email"] = "nobody" // left out or refused, never both
						}
						return u
					})
					src := input(t, text)
					if once {
						src = Reader(strings.NewReader(text))
					}
					r := w.must(src, Options{Skip: tt.skip, Done: ranges(t, tt.done), Only: ranges(t, tt.only)})
					refused := 0
					for _, n := range tt.want {
						if n == 6 {
							refused = 1
						} else if w.status(fmt.Sprintf("/api/v2/users/auth0%%7Cu%06d", n)) != 200 {
							t.Errorf("user %d is not there", n)
						}
					}
					if r.Total != 20 || r.Skipped != 20-len(tt.want) || r.Created != len(tt.want)-refused || r.Refused != refused {
						t.Errorf("%s of %d", counts(r), r.Total)
					}
				})
			})
		}
	}
}

func TestStrict(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, jobOptions())
		text := users(20, func(i int, u map[string]any) map[string]any {
			if i%10 == 0 {
				u["email"] = "nobody"
			}
			return u
		})
		r, err := w.run(input(t, text), Options{Strict: true})
		if !errors.Is(err, ErrStrict) || !strings.Contains(err.Error(), "2 of 20") || r.Created != 0 || r.ByReason["email-form"] != 2 || len(w.failures) != 2 || w.failures[0].Kind != KindRefused {
			t.Errorf("%+v, %v, %v", r, w.failures, err)
		}
		if w.tenant.Report().Users != 0 {
			t.Errorf("something was sent")
		}
		// Whoever is left out cannot be in the way.
		if r := w.must(input(t, text), Options{Strict: true, Done: ranges(t, "10,20")}); r.Created != 18 {
			t.Error(counts(r))
		}
		if _, err := w.run(Reader(strings.NewReader(text)), Options{Strict: true}); err == nil {
			t.Error("an input that is read once cannot be checked first")
		}
	})
}

// An input that can be read once is imported all the same; users to be tried
// again are kept meanwhile, as far as there is room.
func TestRunOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := jobOptions()
		o.ImportFault = func(job, _ int) auth0test.JobFault {
			return auth0test.JobFault{Spoil: func(n int) string {
				if job == 1 && n < 7 {
					return "INTERNAL"
				}
				return ""
			}}
		}
		w := newWorld(t, o)
		text := users(250, func(i int, u map[string]any) map[string]any {
			if i == 99 {
				u["email"] = "user000098@example.com" // of the one before
			}
			return u
		})
		r := w.must(Reader(strings.NewReader(text)), Options{chunkUsers: 100})
		if r.Created != 249 || r.Refused != 1 || r.JobsCount != 4 || len(w.failures) != 1 || w.failures[0].Line != 99 {
			t.Errorf("%s in %d jobs, %+v", counts(r), r.JobsCount, w.failures)
		}
	})
}

// A run over once-only input that crashed is gone on with over the same input,
// and another one is refused.
func TestResumeOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, jobOptions())
		text := users(400, nil)
		o := Options{chunkUsers: 100, Ledger: filepath.Join(t.TempDir(), "ledger")}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(15*time.Second, cancel)
		if r, err := Run(ctx, w.client, Reader(strings.NewReader(text)), o); err == nil || r.Created != 200 {
			t.Fatalf("%s, %v", counts(r), err)
		}
		o.Resume = true
		if _, err := w.run(Reader(strings.NewReader(strings.ReplaceAll(text, "basic", "other"))), o); !errors.Is(err, ErrLedger) || !strings.Contains(err.Error(), "users 1 to 400 are not those") {
			t.Errorf("another input: %v", err)
		}
		if _, err := w.run(Reader(strings.NewReader(users(250, nil))), o); !errors.Is(err, ErrLedger) {
			t.Errorf("a shorter input: %v", err)
		}
		if r := w.must(Reader(strings.NewReader(text)), o); r.Created != 400 {
			t.Error(counts(r))
		}
	})
}

// Users whom an earlier run settled are passed over by their position, so that
// they have to be the same: those of another input would be lost without a word.
func TestResumeOnceSettled(t *testing.T) {
	t.Parallel()
	for _, via := range []Via{ViaUsers, ViaJobs} {
		t.Run(string(via), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, jobOptions())
				password := func(i int, u map[string]any) map[string]any {
					if via == ViaUsers {
						u["password"] = "Secret-word-1"
					}
					return u
				}
				text := users(400, password)
				other := strings.Replace(text, "user000003@", "stranger@", 1)
				if other == text {
					t.Fatal("the other input is the same")
				}
				o := Options{Via: via, chunkUsers: 100, Workers: 4, Ledger: filepath.Join(t.TempDir(), "ledger")}
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(15*time.Second, cancel)
				r, err := Run(ctx, w.client, Reader(strings.NewReader(text)), o)
				if err == nil || r.Created < 100 || r.Created > 399 {
					t.Fatalf("%s, %v", counts(r), err)
				}
				o.Resume = true
				refuse := func(what, text, says string) {
					t.Helper()
					there := w.tenant.Report().Users
					if r, err := w.run(Reader(strings.NewReader(text)), o); err == nil || !strings.Contains(err.Error(), says) || w.tenant.Report().Users > there {
						t.Errorf("%s: %s, %v, %d users more", what, counts(r), err, w.tenant.Report().Users-there)
					}
				}
				const another, fewer = "is of another import", "not accounted for: the input changed"
				refuse("under way, another user among those settled", other, another)
				open := fewer
				if via == ViaJobs {
					open = another // there are chunks that cannot be filled
				}
				refuse("under way, one user less", users(r.Created, password), open)
				refuse("under way, nobody", "", open)
				if r := w.must(Reader(strings.NewReader(text)), o); r.Created != 400 {
					t.Error(counts(r))
				}
				refuse("ended, another user", other, another)
				refuse("ended, one user more", text+users(401, func(i int, u map[string]any) map[string]any {
					if i < 401 {
						return nil
					}
					return u
				}), another)
				refuse("ended, one user less", users(399, password), fewer)
				if r := w.must(Reader(strings.NewReader(text)), o); r.Created != 400 || w.tenant.Report().Users != 400 {
					t.Errorf("%s, %d users", counts(r), w.tenant.Report().Users)
				}
			})
		})
	}
}

// A ledger goes with one import, and says what differs.
func TestResumeOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		opts := jobOptions()
		opts.Connections = []auth0test.Connection{{Name: DefaultConnection}, {Name: "Partners"}}
		w := newWorld(t, opts)
		o := Options{chunkUsers: 100, Ledger: filepath.Join(t.TempDir(), "ledger")}
		src := input(t, users(400, nil))
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(15*time.Second, cancel)
		if _, err := Run(ctx, w.client, src, o); err == nil {
			t.Fatal("it was not cancelled")
		}
		if _, err := w.run(src, o); !errors.Is(err, ErrLedger) || !strings.Contains(err.Error(), "--resume") {
			t.Errorf("without Resume: %v", err)
		}
		o.Resume = true
		yes := true
		for _, tt := range []struct {
			says string
			edit func(o *Options)
			src  *Source
		}{
			{"connection", func(o *Options) { o.Connection = "Partners" }, src},
			{"upsert", func(o *Options) { o.Upsert = true }, src},
			{"email_verified", func(o *Options) { o.EmailVerified = &yes }, src},
			{"way", func(o *Options) { o.Via = ViaUsers }, src},
			{"choice of users", func(o *Options) { o.Skip = 1 }, src},
			{"checksum", func(*Options) {}, input(t, users(399, nil))},
		} {
			o := o
			tt.edit(&o)
			if _, err := w.run(tt.src, o); !errors.Is(err, ErrLedger) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("another %s: %v", tt.says, err)
			}
		}
		if r := w.must(src, o); r.Created != 400 || !r.Resumed {
			t.Error(counts(r))
		}
		// Once it has ended, resuming says so and sends nothing.
		sent := w.tenant.Report().Requests
		if r := w.must(src, o); r.Created != 400 || w.tenant.Report().Requests > sent+1 {
			t.Errorf("%s, %d requests", counts(r), w.tenant.Report().Requests-sent)
		}
		// And the next import with it begins anew.
		o.Resume = false
		if r := w.must(src, o); r.Exists != 400 || r.Created != 0 {
			t.Error(counts(r))
		}
	})
}

func TestConnection(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := jobOptions()
		o.Connections = []auth0test.Connection{{ID: "con_0000000000000001", Name: DefaultConnection}, {ID: "con_0000000000000002", Name: "Partners"}, {Name: "sms", Strategy: "sms"}}
		w := newWorld(t, o)
		for name, want := range map[string]string{"": DefaultConnection, "Partners": "Partners", "con_0000000000000002": "Partners"} {
			r, err := w.run(input(t, users(2, nil)), Options{Connection: name})
			if err != nil || r.Connection != want || !strings.HasPrefix(r.ConnectionID, "con_") {
				t.Errorf("%q is %q (%s), %v; want %q", name, r.Connection, r.ConnectionID, err, want)
			}
		}
		for _, name := range []string{"Nobody's", "con_0000000000000009"} {
			if _, err := w.run(input(t, users(2, nil)), Options{Connection: name}); err == nil || !strings.Contains(err.Error(), "does not exist") {
				t.Errorf("%q: %v", name, err)
			}
		}
		if _, err := w.run(input(t, users(2, nil)), Options{Connection: "sms", Via: ViaJobs}); err == nil || !strings.Contains(err.Error(), "use single calls") {
			t.Errorf("jobs for sms: %v", err)
		}
		r, err := w.run(input(t, `{"phone_number":"+15550100","user_id":"p1"}`), Options{Connection: "sms"})
		if err != nil || r.Via != ViaUsers || r.Created != 1 {
			t.Errorf("sms: %v", err)
		}
	})
}

// Without read:connections a connection named by its id, or single calls, do.
func TestConnectionWithoutScope(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := jobOptions()
		o.Connections = []auth0test.Connection{{ID: "con_0000000000000001", Name: DefaultConnection}}
		o.CheckScopes = true
		o.Clients = []auth0test.Client{{ID: auth0test.DefaultClientID, Secret: auth0test.DefaultClientSecret, Scopes: []string{"create:users", "read:users"}}}
		w := newWorld(t, o)
		if r := w.must(input(t, users(3, nil)), Options{Connection: "con_0000000000000001"}); r.Created != 3 {
			t.Error(counts(r))
		}
		if r := w.must(input(t, `{"email":"z@example.com","password":"Secret-word-1"}`), Options{Via: ViaUsers}); r.Created != 1 {
			t.Error(counts(r))
		}
		if _, err := w.run(input(t, users(3, nil)), Options{}); err == nil || !strings.Contains(err.Error(), "read:connections") {
			t.Errorf("by name: %v", err)
		}
	})
}

func TestOptions(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		o    Options
		says string
	}{
		{Options{Via: "mail"}, `the way "mail" is not known`},
		{Options{Workers: 1001}, "1001 workers"},
		{Options{Workers: -1}, "-1 workers"},
		{Options{MaxJobs: -1}, "-1 jobs"},
		{Options{Skip: -1}, "-1 users"},
		{Options{Resume: true}, "Resume needs the Ledger"},
	} {
		r, err := Run(t.Context(), nil, input(t, ""), tt.o)
		if r != nil || err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%+v: %v, want %q", tt.o, err, tt.says)
		}
	}
}

// EmailVerified is set where users do not say, and only there.
func TestEmailVerified(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, jobOptions())
		yes := true
		w.must(input(t, `{"email":"a@example.com","user_id":"a"}
{"email":"b@example.com","user_id":"b","email_verified":false}`), Options{EmailVerified: &yes})
		for id, want := range map[string]bool{"auth0|a": true, "auth0|b": false} {
			user, err := auth0.Call[map[string]any](t.Context(), w.client, "GET", "/api/v2/users/{id}", []string{id}, nil, nil, nil)
			if err != nil || user["email_verified"] != want {
				t.Errorf("%s: %v, %v", id, user["email_verified"], err)
			}
		}
	})
}

// A disk that is full ends the import before anything more is sent, at whatever
// line, and the next run makes it whole.
func TestLedgerFullRun(t *testing.T) {
	t.Parallel()
	for writes := range 14 {
		t.Run(fmt.Sprint(writes), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, jobOptions())
				o := Options{chunkUsers: 50, Ledger: filepath.Join(t.TempDir(), "ledger")}
				text := users(200, func(i int, u map[string]any) map[string]any {
					if i%5 == 0 {
						u["password"] = "Secret-word-1"
					}
					return u
				})
				o.wrapLedger = func(f ledgerFile) ledgerFile { return &fullFile{ledgerFile: f, left: writes} }
				r, err := w.run(input(t, text), o)
				if !errors.Is(err, ErrLedger) || !errors.Is(err, errFull) {
					t.Fatalf("%v", err)
				}
				sent := w.statuses["POST /api/v2/jobs/users-imports 202"] + w.statuses["POST /api/v2/users 201"]
				if writes < 2 && sent > 0 {
					t.Errorf("%d requests were sent without a line in the ledger", sent)
				}
				if r != nil && r.Created+r.Unfinished != 200 {
					t.Error(counts(r))
				}
				o.wrapLedger, o.Resume = nil, true
				if r := w.must(input(t, text), o); r.Created != 200 {
					t.Errorf("%s after %d writes", counts(r), writes)
				}
			})
		})
	}
}

// fullFile takes so many writes and then half of one.
type fullFile struct {
	ledgerFile
	left int
}

func (f *fullFile) Write(b []byte) (int, error) {
	if f.left--; f.left < 0 {
		n, _ := f.ledgerFile.Write(b[:len(b)/2])
		return n, errFull
	}
	return f.ledgerFile.Write(b)
}

func TestReportText(t *testing.T) {
	t.Parallel()
	r := &Report{
		Total: 10, Created: 4, Exists: 1, Failed: 2, Refused: 1, Skipped: 1, Unfinished: 1, Via: ViaJobs, JobsCount: 3, Rejected: 2,
		Elapsed: 90*time.Second + 40*time.Millisecond, ByReason: map[string]int{"FORMAT email": 2, "email-form": 1}, Doubtful: []string{"job 1 was lost."},
	}
	var b bytes.Buffer
	if err := r.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	want := `10 users in 1m30s: 4 created, 1 existed, 2 failed, 1 refused before sending, 1 left out, 1 not done
by 3 import jobs, 2 rejected by a rate limit
Reasons:
       2  FORMAT email
       1  email-form
In doubt:
  job 1 was lost.
`
	if b.String() != want {
		t.Errorf("%s\nwant\n%s", b.String(), want)
	}
	b.Reset()
	if err := r.WriteJSON(&b); err != nil || strings.Count(b.String(), "\n") != 1 || !strings.HasPrefix(b.String(), `{"total":10,"created":4,"updated":0,"exists":1,"failed":2,"refused":1,"skipped":1,"unfinished":1,`) {
		t.Errorf("%s %v", b.String(), err)
	}
}

func TestForecast(t *testing.T) {
	t.Parallel()
	plan, err := ratelimit.Named("enterprise")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name  string
		in    Inspection
		o     Options
		plan  *ratelimit.Plan
		want  Via
		jobs  string
		calls string
	}{
		// 10 s and 20 ms for each of 2,500 users are 60 s a job; 40 jobs, 2 at a time.
		{"hashes", Inspection{Total: 100_000, NeedJob: 100_000, Jobs: 40}, Options{}, plan, ViaJobs, "20m0s", "not possible"},
		{"hashes, one job at a time", Inspection{Total: 100_000, NeedJob: 100_000, Jobs: 40}, Options{MaxJobs: 1}, plan, ViaJobs, "40m0s", "not possible"},
		// 50 at once, the other 1,600 at 16 a second.
		{"passwords", Inspection{Total: 1650, NeedUsers: 1650}, Options{}, plan, ViaUsers, "not possible", "1m40s"},
		{"passwords, plan not known", Inspection{Total: 1650, NeedUsers: 1650}, Options{}, nil, ViaUsers, "not possible", "1650 requests\n"},
		{"neither", Inspection{Total: 10, Jobs: 1}, Options{}, plan, ViaJobs, "10s", "10 requests"},
		{"by hand", Inspection{Total: 10, Jobs: 1}, Options{Via: ViaUsers}, plan, ViaUsers, "10s", "10 requests"},
	} {
		e := Forecast(&tt.in, tt.plan, tt.o)
		var b bytes.Buffer
		if err := e.WriteText(&b); err != nil {
			t.Fatal(err)
		}
		rows := strings.SplitAfter(b.String(), "\n")
		if e.Via != tt.want || e.Why == "" || !strings.Contains(rows[1], tt.jobs) || !strings.Contains(rows[2], tt.calls) {
			t.Errorf("%s: %s\n%s", tt.name, e.Via, b.String())
		}
	}
}

// Users that were to be tried again by a run that was stopped are tried by the
// next one, also if that makes no passes for it.
func TestResumeRetry(t *testing.T) {
	t.Parallel()
	for _, passes := range []int{0, -1} {
		t.Run(fmt.Sprint(passes), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				o := jobOptions()
				o.ImportFault = func(job, _ int) auth0test.JobFault {
					return auth0test.JobFault{Spoil: func(n int) string {
						if job == 1 && n < 5 {
							return "INTERNAL"
						}
						return ""
					}}
				}
				w := newWorld(t, o)
				stop := make(chan struct{})
				var once sync.Once
				src := input(t, users(200, nil))
				ledger := filepath.Join(t.TempDir(), "ledger")
				r, err := w.run(src, Options{chunkUsers: 100, Ledger: ledger, Stop: stop, Progress: func(p Progress) {
					if p.Stage == StageRetrying {
						once.Do(func() { close(stop) })
					}
				}})
				if err != nil || !r.Resume || r.Created != 195 || r.Unfinished != 5 {
					t.Fatalf("%s, %v", counts(r), err)
				}
				if r := w.must(src, Options{Ledger: ledger, Resume: true, RetryPasses: passes}); r.Created != 200 || r.JobsCount != 1 {
					t.Errorf("%s in %d jobs", counts(r), r.JobsCount)
				}
			})
		})
	}
}

// An input that changes while it is read is noticed: no user is lost in silence.
func TestInputChanges(t *testing.T) {
	t.Parallel()
	for _, n := range []int{150, 250} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, jobOptions())
				read := 0
				src := Users(func(yield func(any, error) bool) {
					size := 200
					if read++; read > 1 {
						size = n
					}
					for line := range strings.Lines(users(size, nil)) {
						if !yield(json.RawMessage(line), nil) {
							return
						}
					}
				})
				r, err := w.run(src, Options{Ledger: filepath.Join(t.TempDir(), "ledger")})
				if err == nil || !strings.Contains(err.Error(), "the input changed while it was read") || !r.Resume {
					t.Errorf("%s, %v", counts(r), err)
				}
			})
		})
	}
}

// A run over standard input that nobody writes to any more can be stopped.
func TestStopWhileReading(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, jobOptions())
		in, out := io.Pipe()
		go func() { _, _ = io.WriteString(out, users(150, withPassword)) }()
		stop := make(chan struct{})
		time.AfterFunc(time.Minute, func() { close(stop) })
		r, err := w.run(Reader(in), Options{Stop: stop, Ledger: filepath.Join(t.TempDir(), "ledger")})
		if err != nil || !r.Stopped || r.Created != 150 || r.Elapsed > time.Minute+grace {
			t.Errorf("%s in %v, %v", counts(r), r.Elapsed, err)
		}
		_ = out.Close()
	})
}

// Users who are tried again come from two jobs, the later of which may end first.
// A run that goes on after a crash in that pass finds them all the same.
func TestResumeOnceRetry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := jobOptions()
		o.ImportFault = func(job, _ int) auth0test.JobFault {
			f := auth0test.JobFault{Time: []time.Duration{time.Minute, 0, time.Hour, 0}[min(job, 4)-1]}
			if job <= 2 {
				f.Spoil = func(n int) string { return []string{"INTERNAL", ""}[min(n/3, 1)] }
			}
			return f
		}
		w := newWorld(t, o)
		text := users(200, nil)
		o2 := Options{chunkUsers: 100, Ledger: filepath.Join(t.TempDir(), "ledger")}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(10*time.Minute, cancel)
		if r, err := Run(ctx, w.client, Reader(strings.NewReader(text)), o2); !errors.Is(err, context.Canceled) || r.Created != 194 {
			t.Fatalf("%s, %v", counts(r), err)
		}
		o2.Resume = true
		if r := w.must(Reader(strings.NewReader(text)), o2); r.Created != 200 {
			t.Error(counts(r))
		}
	})
}

// A once-only input that has become shorter loses no user who was to be tried
// again, and leaves the ledger as good as it was.
func TestResumeOnceShorter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := jobOptions()
		o.ImportFault = func(job, users int) auth0test.JobFault {
			return auth0test.JobFault{Spoil: func(n int) string { return []string{"", "INTERNAL"}[n/99] }}
		}
		w := newWorld(t, o)
		stop := make(chan struct{})
		o2 := Options{Ledger: filepath.Join(t.TempDir(), "ledger"), Stop: stop}
		text := users(100, nil)
		last := users(101, func(i int, u map[string]any) map[string]any {
			if i < 101 {
				return nil
			}
			return u
		})
		// The input stays open, so that the run ends before the other try.
		in, out := io.Pipe()
		go func() {
			_, _ = io.WriteString(out, text+last)
		}()
		o2.chunkUsers = 100
		time.AfterFunc(time.Minute, func() { close(stop) })
		if r, err := w.run(Reader(in), o2); err != nil || r.Created != 99 || r.Unfinished < 1 {
			t.Fatalf("%s, %v", counts(r), err)
		}
		_ = out.Close()
		o2.Stop, o2.Resume = nil, true
		if r, err := w.run(Reader(strings.NewReader(users(99, nil))), o2); err == nil || errors.Is(err, ErrLedger) || !strings.Contains(err.Error(), "2 users are not accounted for") {
			t.Errorf("%s, %v", counts(r), err)
		}
		if r, err := w.run(Reader(strings.NewReader(text)), o2); err == nil || errors.Is(err, ErrLedger) || !strings.Contains(err.Error(), "1 user is not accounted for") {
			t.Errorf("%s, %v", counts(r), err)
		}
		if r := w.must(Reader(strings.NewReader(text+last)), o2); r.Created != 101 {
			t.Error(counts(r))
		}
	})
}

// The way that was chosen by hand holds in a run that goes on, and so does the
// lack of a choice: users whom only a call can carry are neither dropped nor added.
func TestResumeWay(t *testing.T) {
	t.Parallel()
	for _, first := range []Via{ViaAuto, ViaJobs} {
		t.Run(string(first), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, jobOptions())
				src := input(t, users(300, func(i int, u map[string]any) map[string]any {
					if i%3 == 0 {
						u["password"] = "Secret-word-1"
					}
					return u
				}))
				o := Options{Via: first, chunkUsers: 50, Ledger: filepath.Join(t.TempDir(), "ledger")}
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(5*time.Second, cancel)
				if r, err := Run(ctx, w.client, src, o); err == nil || r.Unfinished < 100 {
					t.Fatalf("%s, %v", counts(r), err)
				}
				o.Resume = true
				want := 200
				if o.Via = ViaAuto; first == ViaAuto {
					want, o.Via = 300, ViaJobs
					if _, err := w.run(src, o); !errors.Is(err, ErrLedger) || !strings.Contains(err.Error(), "its way is \"jobs, by auto\", now it is \"jobs\"") {
						t.Errorf("another way: %v", err)
					}
					o.Via = ViaAuto
				}
				if r := w.must(src, o); r.Created != want || r.Refused != 300-want {
					t.Error(counts(r))
				}
			})
		})
	}
}
