package importer

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headroom-go/auth0/auth0test"
)

// earlier puts users into the tenant an hour before the test goes on.
func (w *world) earlier(n int, which func(i int) bool) {
	w.t.Helper()
	text := users(n, func(i int, u map[string]any) map[string]any {
		if !which(i) {
			return nil
		}
		return map[string]any{"email": u["email"], "user_id": u["user_id"]}
	})
	if r, err := Run(w.t.Context(), w.client, input(w.t, text), Options{}); err != nil || r.Unfinished != 0 || r.Failed != 0 {
		w.t.Fatalf("users of an hour ago: %v", err)
	}
	time.Sleep(time.Hour)
	w.tenant.SetFaults(auth0test.Faults{})
	w.mu.Lock()
	clear(w.statuses)
	w.mu.Unlock()
}

// other is another program that keeps one of the two job slots busy with users
// of its own, until ctx ends.
func (w *world) other(ctx context.Context, connection string) {
	do := func(method, path, contentType string, body []byte) (int, []byte) {
		req, err := http.NewRequestWithContext(ctx, method, "https://"+w.tenant.Domain()+path, bytes.NewReader(body))
		if err != nil {
			return 0, nil
		}
		req.Header.Set("Authorization", "Bearer "+observer)
		req.Header.Set("Content-Type", contentType)
		resp, err := w.tenant.Client().Do(req)
		if err != nil {
			return 0, nil
		}
		b, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		return resp.StatusCode, b
	}
	for n := 0; ctx.Err() == nil; n++ {
		var b bytes.Buffer
		m := multipart.NewWriter(&b)
		_ = m.WriteField("connection_id", connection)
		f, _ := m.CreateFormFile("users", "users.json")
		_, _ = fmt.Fprintf(f, `[{"email":"other%d@example.org"}]`, n)
		_ = m.Close()
		status, answer := do("POST", "/api/v2/jobs/users-imports", m.FormDataContentType(), b.Bytes())
		var job struct{ ID, Status string }
		_ = json.Unmarshal(answer, &job)
		for status == http.StatusAccepted && job.Status == "pending" && sleep(ctx, nil, 2*time.Second) {
			if s, answer := do("GET", "/api/v2/jobs/"+job.ID, "", nil); s == http.StatusOK {
				_ = json.Unmarshal(answer, &job)
			}
		}
		sleep(ctx, nil, time.Second)
	}
}

// A tenth of the requests and a tenth of the answers are lost, one request in
// twenty is answered with 5xx, half of those after it was carried out, tokens
// live three minutes, and another program uses one of the two job slots: the
// import is complete, and counts each user for what it is.
func TestFaults(t *testing.T) {
	t.Parallel()
	const n = 1500
	exists := func(i int) bool { return i%60 == 3 }
	refused := func(i int) bool { return i%100 == 7 }
	for _, tt := range []struct {
		via    Via
		upsert bool
		seed   uint64
	}{
		{ViaJobs, false, 1}, {ViaJobs, false, 2}, {ViaJobs, false, 3}, {ViaJobs, true, 4}, {ViaUsers, false, 5}, {ViaUsers, true, 6}, {ViaAuto, false, 7},
	} {
		t.Run(fmt.Sprintf("%s upsert %v seed %d", tt.via, tt.upsert, tt.seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, auth0test.Options{
					Seed: tt.seed, JobTime: 20 * time.Second, JobTimePerUser: 10 * time.Millisecond, TokenLife: 3 * time.Minute,
					Connections: []auth0test.Connection{{Name: DefaultConnection}, {ID: "con_otherotherother1", Name: "Others"}},
				})
				w.earlier(n, exists)
				ctx, cancel := context.WithCancel(t.Context())
				var others sync.WaitGroup
				others.Go(func() { w.other(ctx, "con_otherotherother1") })
				time.Sleep(time.Second)
				f := auth0test.WAN()
				f.LoseRequest, f.LoseAnswer, f.Fail, f.FailAfter = 0.1, 0.1, 0.025, 0.025
				w.tenant.SetFaults(f)
				created, existing, bad := 0, 0, 0
				text := users(n, func(i int, u map[string]any) map[string]any {
					if tt.via == ViaUsers || tt.via == ViaAuto && i%4 == 0 {
						u["password"] = "Secret-word-1"
					}
					switch {
					case refused(i):
						u["email"] = "nobody"
						bad++
					case exists(i):
						existing++
					default:
						created++
					}
					return u
				})
				r := w.must(input(t, text), Options{Via: tt.via, Upsert: tt.upsert, chunkUsers: 100})
				want := fmt.Sprintf("%d created, 0 updated, %d exist, 0 failed, %d refused, 0 skipped, 0 unfinished", created, existing, bad)
				if tt.upsert {
					want = fmt.Sprintf("%d created, %d updated, 0 exist, 0 failed, %d refused, 0 skipped, 0 unfinished", created, existing, bad)
				}
				if got := counts(r); got != want {
					t.Errorf("%s; want %s\n%s", got, want, strings.Join(r.Doubtful, "\n"))
				}
				cancel()
				others.Wait()
				w.tenant.SetFaults(auth0test.Faults{})
				for i := 1; i <= n; i++ {
					if status := w.status(fmt.Sprintf("/api/v2/users/auth0%%7Cu%06d", i)); (status == http.StatusOK) == refused(i) {
						t.Errorf("user %d is answered with %d", i, status)
					}
				}
				if len(w.failures) != bad {
					t.Errorf("%d failures were told, want %d", len(w.failures), bad)
				}
				t.Logf("%v, %d jobs, %d doubts, %v", r.Elapsed, r.JobsCount, len(r.Doubtful), w.statuses)
			})
		})
	}
}

// status asks the tenant without any client in between.
func (w *world) status(path string) int {
	w.t.Helper()
	for {
		req, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, "https://"+w.tenant.Domain()+path, nil)
		if err != nil {
			w.t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+observer)
		resp, err := w.tenant.Client().Do(req)
		if err != nil {
			w.t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusTooManyRequests {
			return resp.StatusCode
		}
		time.Sleep(time.Second)
	}
}
