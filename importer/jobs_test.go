package importer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
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

// jobOptions are a tenant whose jobs take 10 s and 10 ms for each user.
func jobOptions() auth0test.Options {
	return auth0test.Options{JobTime: 10 * time.Second, JobTimePerUser: 10 * time.Millisecond}
}

// What a job does wrong, and what the import makes of it: no user is lost, none
// counts twice, and the report says what was done.
func TestJobFaults(t *testing.T) {
	t.Parallel()
	const n = 300 // in jobs of 100
	exists := func(i int) bool { return i == 5 || i == 150 }
	tests := []struct {
		name  string
		fault func(job, users int) auth0test.JobFault // of the import's jobs, from 1
		// What of the 300, 2 of whom were there before, ends otherwise.
		failed  int
		kind    Kind
		jobs    int // that ended
		doubts  int
		says    string
		atLeast time.Duration
	}{
		{name: "nothing", jobs: 3},
		{
			name: "times out after two hours, with 40 of 100 users done",
			fault: func(job, _ int) auth0test.JobFault {
				if job == 1 {
					return auth0test.JobFault{Time: 3 * time.Hour, Done: 40}
				}
				return auth0test.JobFault{}
			},
			jobs: 5, doubts: 1, says: "It is created again in two parts", atLeast: 2 * time.Hour,
		},
		{
			name: "fails without saying why, once",
			fault: func(job, _ int) auth0test.JobFault {
				return auth0test.JobFault{Fail: job == 2, Done: 30}
			},
			jobs: 4, doubts: 1, says: "its job failed without saying why",
		},
		{
			name: "fails whenever it is larger than 40 users",
			fault: func(_, users int) auth0test.JobFault {
				return auth0test.JobFault{Fail: users > 40, Details: "Out of memory", Done: users / 2}
			},
			// 100: twice, then 50 + 50; 50: in its first attempt and the second, then 25 + 25.
			jobs: 3 * (2 + 2*(2+2)), doubts: 3 * (1 + 1 + 2*(1+1)), says: "its job failed: Out of memory",
		},
		{
			name: "is gone when it is over",
			fault: func(job, _ int) auth0test.JobFault {
				return auth0test.JobFault{Forget: job == 1}
			},
			jobs: 3, doubts: 1, says: "is gone: Auth0 forgets jobs after a day",
		},
		{
			name: "its errors are gone",
			fault: func(job, _ int) auth0test.JobFault {
				return auth0test.JobFault{ForgetErrors: job == 1}
			},
			jobs: 3, doubts: 1, says: "the errors of its job",
		},
		{
			name: "its list of errors is short of one",
			fault: func(job, _ int) auth0test.JobFault {
				return auth0test.JobFault{HideErrors: 1}
			},
			jobs: 3, doubts: 2, says: "The others of its 100 users are looked up",
		},
		{
			name: "its list of errors names users who were never sent",
			fault: func(job, _ int) auth0test.JobFault {
				return auth0test.JobFault{StrangeErrors: true}
			},
			jobs: 3, doubts: 2, says: "The others of its 100 users are looked up",
		},
		{
			name: "it has no summary",
			fault: func(job, _ int) auth0test.JobFault {
				return auth0test.JobFault{NoSummary: job == 2}
			},
			jobs: 3, doubts: 1, says: "its summary speaks of 0 inserted",
		},
		{
			name: "fails for ten users at first",
			fault: func(job, _ int) auth0test.JobFault {
				return auth0test.JobFault{Spoil: func(i int) string {
					if job == 1 && i < 10 {
						return "INTERNAL"
					}
					return ""
				}}
			},
			jobs: 4, // one more over the ten
		},
		{
			name: "fails for three users always",
			fault: func(job, users int) auth0test.JobFault {
				return auth0test.JobFault{Spoil: func(i int) string {
					if job == 3 && i < 3 || job > 3 {
						return "INTERNAL"
					}
					return ""
				}}
			},
			failed: 3, kind: KindRetry, jobs: 4,
		},
		{
			name: "refuses two users",
			fault: func(job, users int) auth0test.JobFault {
				return auth0test.JobFault{Spoil: func(i int) string {
					if job == 3 && i >= 98 {
						return "MAX_LENGTH"
					}
					return ""
				}}
			},
			failed: 2, kind: KindFix, jobs: 3,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				o := jobOptions()
				before := 0 // jobs of the users of an hour ago
				if tt.fault != nil {
					o.ImportFault = func(job, users int) auth0test.JobFault {
						if job <= before {
							return auth0test.JobFault{}
						}
						return tt.fault(job-before, users)
					}
				}
				w := newWorld(t, o)
				before = 1
				w.earlier(n, exists)
				r := w.must(input(t, users(n, nil)), Options{chunkUsers: 100, MaxJobs: 1})
				want := fmt.Sprintf("%d created, 0 updated, 2 exist, %d failed, 0 refused, 0 skipped, 0 unfinished", n-2-tt.failed, tt.failed)
				if got := counts(r); got != want {
					t.Errorf("%s; want %s\n%s", got, want, strings.Join(r.Doubtful, "\n"))
				}
				if users := w.tenant.Report().Users; users != n-tt.failed {
					t.Errorf("the tenant has %d users, want %d", users, n-tt.failed)
				}
				if r.JobsCount != tt.jobs || len(r.Doubtful) != tt.doubts {
					t.Errorf("%d jobs and %d doubts, want %d and %d:\n%s", r.JobsCount, len(r.Doubtful), tt.jobs, tt.doubts, strings.Join(r.Doubtful, "\n"))
				}
				if !strings.Contains(strings.Join(r.Doubtful, "\n"), tt.says) {
					t.Errorf("nothing says %q:\n%s", tt.says, strings.Join(r.Doubtful, "\n"))
				}
				if r.Elapsed < tt.atLeast {
					t.Errorf("it took %v, want %v at least", r.Elapsed, tt.atLeast)
				}
				if len(w.failures) != tt.failed {
					t.Errorf("%d failures were told, want %d", len(w.failures), tt.failed)
				}
				for _, f := range w.failures {
					if f.Kind != tt.kind || f.User == "" || f.Number == 0 {
						t.Errorf("failure %+v, want the kind %s, a user and a number", f, tt.kind)
					}
				}
			})
		})
	}
}

// A tenant all of whose jobs fail ends the import, which can be gone on with
// when the tenant is well again.
func TestJobsAllFail(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := jobOptions()
		broken := true
		o.ImportFault = func(int, int) auth0test.JobFault { return auth0test.JobFault{Fail: broken, Details: "No database"} }
		w := newWorld(t, o)
		ledger := filepath.Join(t.TempDir(), "ledger")
		r, err := w.run(input(t, users(300, nil)), Options{chunkUsers: 100, Ledger: ledger})
		if err == nil || !strings.Contains(err.Error(), "import jobs failed one after another: its job failed: No database") || r.Unfinished != 300 || !r.Resume {
			t.Fatalf("%v, %v", counts(r), err)
		}
		broken = false
		if r = w.must(input(t, users(300, nil)), Options{chunkUsers: 100, Ledger: ledger, Resume: true}); r.Created != 300 {
			t.Errorf("%s", counts(r))
		}
	})
}

// A job that failed as a whole may have a list of errors all the same: who is on
// it is accounted for by it, and the rest of the chunk goes on.
func TestJobsFailWithErrors(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, jobOptions())
		there := func(i int) bool { return i%20 == 7 || i > 480 } // some of each job, and all of the last
		w.earlier(500, there)
		plan, err := ratelimit.Named("enterprise")
		if err != nil {
			t.Fatal(err)
		}
		w.client = w.newClient(plan, auth0.WithHTTPClient(&http.Client{Transport: intercepted{w.tenant, func(req *http.Request) (*http.Response, error) {
			if !strings.Contains(req.URL.Path, "/jobs/job_") || strings.HasSuffix(req.URL.Path, "/errors") {
				return nil, nil
			}
			resp, err := w.tenant.RoundTrip(req)
			if err != nil {
				return nil, err
			}
			body, err := io.ReadAll(resp.Body)
			if !strings.Contains(string(body), `"failed":0`) {
				body = []byte(strings.ReplaceAll(string(body), `"completed"`, `"failed"`))
			}
			resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(body)), -1
			resp.Header.Del("Content-Length")
			return resp, err
		}}}))
		r := w.must(input(t, users(500, nil)), Options{chunkUsers: 20, Ledger: filepath.Join(t.TempDir(), "ledger")})
		// Those whom the failed jobs did create are found again by the jobs after them.
		if got, want := counts(r), "456 created, 0 updated, 44 exist, 0 failed, 0 refused, 0 skipped, 0 unfinished"; got != want {
			t.Errorf("%s, want %s", got, want)
		}
		// Twice for each of 24 chunks, once to no avail and once for the rest, whose
		// users are all there by then; once for the last one.
		if r.JobsCount != 2*24+1 || len(w.failures) != 0 {
			t.Errorf("%d jobs, failures %+v", r.JobsCount, w.failures)
		}
	})
}

// The run ends while jobs are under way and goes on two days later, when Auth0
// has forgotten them.
func TestJobsForgotten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := jobOptions()
		o.JobTime = time.Hour
		w := newWorld(t, o)
		w.earlier(400, func(i int) bool { return i == 100 })
		ledger := filepath.Join(t.TempDir(), "ledger")
		stop := make(chan struct{})
		time.AfterFunc(10*time.Minute, func() { close(stop) })
		r, err := w.run(input(t, users(400, nil)), Options{chunkUsers: 100, Ledger: ledger, Stop: stop})
		if err != nil || !r.Stopped || !r.Resume || r.Unfinished != 400 {
			t.Fatalf("%s, stopped %v, %v", counts(r), r.Stopped, err)
		}
		if r.Elapsed > 10*time.Minute+grace {
			t.Errorf("it took %v to stop", r.Elapsed-10*time.Minute)
		}
		time.Sleep(48 * time.Hour)
		if n := w.tenant.Report().Users; n != 200 {
			t.Fatalf("the tenant has %d users of the two jobs", n)
		}
		r = w.must(input(t, users(400, nil)), Options{chunkUsers: 100, Ledger: ledger, Resume: true})
		if r.Created != 399 || r.Exists != 1 || len(r.Doubtful) != 2 || !strings.Contains(r.Doubtful[0], "Of 3 users looked up 3 are there") {
			t.Errorf("%s: %q", counts(r), r.Doubtful)
		}
	})
}

// A run that goes on within the day asks for the jobs that it left, and creates
// none of them again.
func TestJobsLeftRunning(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := jobOptions()
		o.JobTime = time.Hour
		w := newWorld(t, o)
		ledger := filepath.Join(t.TempDir(), "ledger")
		stop := make(chan struct{})
		time.AfterFunc(10*time.Minute, func() { close(stop) })
		if _, err := w.run(input(t, users(400, nil)), Options{chunkUsers: 100, Ledger: ledger, Stop: stop}); err != nil {
			t.Fatal(err)
		}
		r := w.must(input(t, users(400, nil)), Options{chunkUsers: 100, Ledger: ledger, Resume: true})
		if r.Created != 400 || len(r.Doubtful) != 0 || w.statuses["POST /api/v2/jobs/users-imports 202"] != 4 {
			t.Errorf("%s, %q, %v", counts(r), r.Doubtful, w.statuses)
		}
	})
}

// Without a ledger a stop waits for the jobs that run, since nobody could ask for
// them later.
func TestStopWithoutLedger(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := jobOptions()
		o.JobTime = time.Hour
		w := newWorld(t, o)
		stop := make(chan struct{})
		time.AfterFunc(time.Minute, func() { close(stop) })
		r, err := w.run(input(t, users(400, nil)), Options{chunkUsers: 100, Stop: stop})
		if err != nil || r.Created != 200 || r.Unfinished != 200 || r.Settled.String() != "1-200" {
			t.Errorf("%s, settled %s, %v", counts(r), r.Settled, err)
		}
	})
}

// A run that is ended at once leaves what the next one finds out.
func TestJobsCancelled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, jobOptions())
		ledger := filepath.Join(t.TempDir(), "ledger")
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(5*time.Second, cancel)
		r, err := Run(ctx, w.client, input(t, users(300, nil)), Options{chunkUsers: 100, Ledger: ledger})
		if !errors.Is(err, context.Canceled) || r.Unfinished != 300 {
			t.Fatalf("%v, %v", r, err)
		}
		if r := w.must(input(t, users(300, nil)), Options{chunkUsers: 100, Ledger: ledger, Resume: true}); r.Created != 300 {
			t.Errorf("%s", counts(r))
		}
	})
}

// sniffer keeps the bodies of import jobs.
type sniffer struct {
	http.RoundTripper
	mu     sync.Mutex
	bodies [][]byte
	types  []string
}

func (s *sniffer) RoundTrip(req *http.Request) (*http.Response, error) {
	if strings.HasSuffix(req.URL.Path, "/users-imports") {
		b, err := io.ReadAll(req.Body)
		if err != nil {
			return nil, err
		}
		s.mu.Lock()
		s.bodies, s.types = append(s.bodies, b), append(s.types, req.Header.Get("Content-Type"))
		s.mu.Unlock()
		req = req.Clone(req.Context())
		req.Body = io.NopCloser(bytes.NewReader(b))
	}
	return s.RoundTripper.RoundTrip(req)
}

// Jobs are packed up to the limit: no body is larger than 512,000 bytes, and the
// next user would not have fitted within what is kept for the other parts.
func TestChunksAreFull(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, jobOptions())
		s := &sniffer{RoundTripper: w.tenant}
		plan, err := ratelimit.Named("enterprise")
		if err != nil {
			t.Fatal(err)
		}
		w.client = w.newClient(plan, auth0.WithHTTPClient(&http.Client{Transport: s}))
		text := users(6000, func(i int, u map[string]any) map[string]any {
			u["nickname"] = strings.Repeat("n", 1+i%290)
			return u
		})
		src := input(t, text)
		in, err := Inspect(t.Context(), src, Check{})
		if err != nil {
			t.Fatal(err)
		}
		r := w.must(src, Options{MaxJobs: 1, SendCompletionEmail: true})
		if r.Created != 6000 || len(s.bodies) != in.Jobs || r.JobsCount != in.Jobs {
			t.Errorf("%s in %d bodies and %d jobs; the inspection said %d", counts(r), len(s.bodies), r.JobsCount, in.Jobs)
		}
		const largest = 600 // bytes of one of these users at most
		for i, b := range s.bodies {
			if len(b) > 512_000 || i < len(s.bodies)-1 && len(b) < 512_000-1_000-largest {
				t.Errorf("body %d of %d has %d bytes", i, len(s.bodies), len(b))
			}
			if !bytes.Contains(b, []byte("name=\"send_completion_email\"\r\n\r\ntrue\r\n")) || !bytes.Contains(b, []byte("name=\"upsert\"\r\n\r\nfalse\r\n")) {
				t.Errorf("body %d has not the fields that were asked for", i)
			}
		}
	})
}

// A tenant with a lower limit than the published one gets smaller jobs.
func TestChunkTooLarge(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, jobOptions())
		plan, err := ratelimit.Named("enterprise")
		if err != nil {
			t.Fatal(err)
		}
		most := 200_000
		w.client = w.newClient(plan, auth0.WithHTTPClient(&http.Client{Transport: smallLimit{w.tenant, &most}}))
		if r := w.must(input(t, users(4000, nil)), Options{}); r.Created != 4000 {
			t.Errorf("%s", counts(r))
		}
		most = 10
		if r := w.must(input(t, users(2, func(i int, u map[string]any) map[string]any {
			return map[string]any{"email": fmt.Sprintf("new%d@example.com", i)}
		})), Options{}); r.Failed != 2 || r.ByReason["job_failed"] != 2 {
			t.Errorf("%s %v", counts(r), r.ByReason)
		}
	})
}

type smallLimit struct {
	http.RoundTripper
	most *int
}

func (s smallLimit) RoundTrip(req *http.Request) (*http.Response, error) {
	if strings.HasSuffix(req.URL.Path, "/users-imports") && req.ContentLength > int64(*s.most) {
		_ = req.Body.Close()
		return &http.Response{
			StatusCode: http.StatusRequestEntityTooLarge, Header: http.Header{"Content-Type": {"application/json"}},
			Body: io.NopCloser(strings.NewReader(`{"statusCode":413,"message":"Payload content length greater than maximum allowed"}`)), Request: req,
		}, nil
	}
	return s.RoundTripper.RoundTrip(req)
}

// What a server says of a user it refuses is passed on without the user's secrets.
func TestFailuresHoldNoSecrets(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := jobOptions()
		w := newWorld(t, o)
		plan, err := ratelimit.Named("enterprise")
		if err != nil {
			t.Fatal(err)
		}
		const hash = "$2b$10$C9hSjFzBhQzzW8Qv6n2xWeE5vXq8oJ4m4Zx5J7u4r0X0B1kq0e1aS"
		w.client = w.newClient(plan, auth0.WithHTTPClient(&http.Client{Transport: quoting{w.tenant, hash}}))
		o2 := Options{Ledger: filepath.Join(t.TempDir(), "ledger")}
		r := w.must(input(t, `{"email":"wyn@example.com","password_hash":"`+hash+`","picture":"urn:x:y"}`), o2)
		if r.Failed != 1 || len(w.failures) != 1 {
			t.Fatalf("%s %v", counts(r), w.failures)
		}
		b, err := os.ReadFile(o2.Ledger)
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal([]any{w.failures, r, string(b)})
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), hash) {
			t.Errorf("the hash is in %s", text)
		}
		if strings.Contains(string(b), "wyn") { // no letter of which is a hexadecimal digit
			t.Errorf("the ledger names the user: %s", b)
		}
		if f := w.failures[0]; f.User != "wyn@example.com" || f.Line != 0 || f.Number != 1 || f.Kind != KindFix || f.Code != "FORMAT" || f.Field != "picture" || !strings.Contains(f.Reason, "[redacted]") {
			t.Errorf("%+v", f)
		}
	})
}

// quoting puts a secret into the messages of error lists.
type quoting struct {
	http.RoundTripper
	secret string
}

func (q quoting) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := q.RoundTripper.RoundTrip(req)
	if err != nil || !strings.HasSuffix(req.URL.Path, "/errors") {
		return resp, err
	}
	b, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	b = bytes.ReplaceAll(b, []byte("Object didn't"), []byte("Object with "+q.secret+" didn't"))
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(b)), int64(len(b))
	return resp, err
}

// The next question comes when the job should end, and never sooner than is
// polite or later than fifteen seconds.
func TestUntil(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		wait, elapsed, guess, want time.Duration
	}{
		{time.Second, 0, 0, time.Second},                                            // nothing is known
		{15 * time.Second, time.Minute, 100 * time.Second, 15 * time.Second},        // 40 s left
		{15 * time.Second, time.Minute, 64 * time.Second, 4 * time.Second},          // 4 s left
		{15 * time.Second, time.Minute, 60*time.Second + 1, 100 * time.Millisecond}, // about now
		{15 * time.Second, 62 * time.Second, 60 * time.Second, time.Second},         // any moment
		{15 * time.Second, 2 * time.Minute, 60 * time.Second, 15 * time.Second},     // the guess was wrong
	} {
		if got := until(tt.wait, time.Second, tt.elapsed, tt.guess); got != tt.want {
			t.Errorf("until(%v, %v of %v) = %v, want %v", tt.wait, tt.elapsed, tt.guess, got, tt.want)
		}
	}
}

// A user whose id differs from another's in capitals only is not taken for it.
func TestErrorsMatchIDsExactly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := jobOptions()
		o.ImportFault = func(int, int) auth0test.JobFault {
			return auth0test.JobFault{Spoil: func(n int) string { return []string{"MAX_LENGTH", ""}[n] }}
		}
		w := newWorld(t, o)
		r := w.must(input(t, `{"email":"a@example.com","user_id":"abc"}`+"\n"+`{"email":"b@example.com","user_id":"ABC"}`), Options{})
		if r.Created != 1 || len(w.failures) != 1 || w.failures[0].User != "a@example.com" {
			t.Errorf("%s, %+v", counts(r), w.failures)
		}
	})
}

// intercepted answers some requests itself.
type intercepted struct {
	http.RoundTripper
	by func(*http.Request) (*http.Response, error)
}

func (i intercepted) RoundTrip(req *http.Request) (*http.Response, error) {
	if resp, err := i.by(req); resp != nil || err != nil {
		return resp, err
	}
	return i.RoundTripper.RoundTrip(req)
}

// A tenant that is not reached any more, or that never knows of a job, ends the
// run instead of keeping it busy for ever.
func TestJobsEndlessly(t *testing.T) {
	t.Parallel()
	missing := func(req *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: http.StatusNotFound, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(`{"statusCode":404}`)), Request: req}, nil
	}
	unreachable := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("no route to host") }}
	for _, tt := range []struct {
		name, in string
		by       func(*http.Request) (*http.Response, error)
		says     string
	}{
		{"unreachable", "/jobs/users-imports", unreachable.RoundTrip, "no answer from the tenant"},
		{"jobs unknown", "/jobs/job_", missing, "users 1 to 10 were sent 5 times"},
		{"errors unknown", "/errors", missing, "users 1 to 10 were sent 5 times"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, jobOptions())
				w.earlier(10, func(i int) bool { return i == 1 })
				plan, err := ratelimit.Named("enterprise")
				if err != nil {
					t.Fatal(err)
				}
				w.client = w.newClient(plan, auth0.WithHTTPClient(&http.Client{Transport: intercepted{w.tenant, func(req *http.Request) (*http.Response, error) {
					if strings.Contains(req.URL.Path, tt.in) {
						return tt.by(req)
					}
					return nil, nil
				}}}))
				ctx, cancel := context.WithTimeout(t.Context(), 6*time.Hour)
				defer cancel()
				o := Options{Ledger: filepath.Join(t.TempDir(), "ledger")}
				r, err := Run(ctx, w.client, input(t, users(10, nil)), o)
				if err == nil || !strings.Contains(err.Error(), tt.says) || r.Unfinished != 10 || r.Elapsed > time.Hour {
					t.Fatalf("%s in %v, %v", counts(r), r.Elapsed, err)
				}
				w.client = w.newClient(plan)
				o.Resume = true
				if r := w.must(input(t, users(10, nil)), o); r.Created != 9 || r.Exists != 1 {
					t.Errorf("%s", counts(r))
				}
			})
		})
	}
}

// Whom a failed job speaks of is not for the ledger, the log and the report.
func TestJobDetailsNameNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := jobOptions()
		o.ImportFault = func(job, _ int) auth0test.JobFault {
			return auth0test.JobFault{Fail: job == 1, Details: "Stopped at user000003@example.com"}
		}
		w := newWorld(t, o)
		o2 := Options{Ledger: filepath.Join(t.TempDir(), "ledger")}
		r := w.must(input(t, users(10, nil)), o2)
		b, err := os.ReadFile(o2.Ledger)
		if err != nil {
			t.Fatal(err)
		}
		if text := string(b) + strings.Join(r.Doubtful, "\n"); strings.Contains(text, "user000003") || strings.Count(text, "Stopped at [redacted]") != 2 {
			t.Error(text)
		}
	})
}

// A secret goes out of a text as it is, and as JSON writes it.
func TestScrub(t *testing.T) {
	t.Parallel()
	user := []byte(`{"email":"a@example.com","password":"pa\"ss\\word"}`)
	if got, want := scrub(`pa"ss\word of `+string(user), user), `[redacted] of {"email":"a@example.com","password":"[redacted]"}`; got != want {
		t.Errorf("%s; want %s", got, want)
	}
}

// The field that a failure names is one that users have: nothing else of a
// server's path is kept.
func TestPlainField(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"email": "email", "$.email": "$.email", "mfa_factors[0].totp.secret": "mfa_factors[0].totp.secret",
		"custom_password_hash.hash.value": "custom_password_hash.hash.value",
		"ada@example.com":                 "", "user_metadatax.a": "", "": "", "app_metadata['ada lovelace']": "app_metadata[adalovelace]",
	} {
		if got := plainField(path); got != want {
			t.Errorf("%q becomes %q, want %q", path, got, want)
		}
	}
}
