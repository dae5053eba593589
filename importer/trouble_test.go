package importer

import (
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headroom-go/auth0"
	"github.com/headroom-go/auth0/ratelimit"
)

// cut has a world's requests find no connection from a moment on.
func (w *world) cut(t *testing.T, after time.Duration) {
	t.Helper()
	var gone atomic.Bool
	gone.Store(after == 0)
	if after > 0 {
		time.AfterFunc(after, func() { gone.Store(true) })
	}
	plan, err := ratelimit.Named("enterprise")
	if err != nil {
		t.Fatal(err)
	}
	base := intercepted{w.tenant.Client().Transport, func(*http.Request) (*http.Response, error) {
		if gone.Load() {
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
		}
		return nil, nil
	}}
	w.client = w.newClient(plan, auth0.WithHTTPClient(&http.Client{Transport: base}), auth0.WithToken("observer"))
}

// A tenant that cannot be reached ends a run that has not begun: a mistyped domain
// is told of in seconds, with the reason.
func TestUnreachable(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, jobOptions())
		w.cut(t, 0)
		began := time.Now()
		r, err := w.run(input(t, users(10, nil)), Options{})
		if r != nil || err == nil || !strings.Contains(err.Error(), "connection refused") {
			t.Errorf("report %v, error %v", r, err)
		}
		// startPatience, and the attempts that were begun before it ended.
		if d := time.Since(began); d > 2*startPatience {
			t.Errorf("it took %v", d)
		}
	})
}

// A stop is heeded while nobody answers, and what is told meanwhile and afterwards
// has the reason.
func TestStopWhileUnanswered(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		after, stop time.Duration
		begun       bool
	}{
		"before anything began": {0, 3 * time.Second, false},
		"with jobs running":     {10 * time.Second, 5 * time.Minute, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				o := jobOptions()
				o.JobTime = time.Hour
				w := newWorld(t, o)
				w.cut(t, tt.after)
				stop := make(chan struct{})
				time.AfterFunc(tt.stop, func() { close(stop) })
				began, noted := time.Now(), false
				r, err := w.run(input(t, users(400, nil)), Options{
					chunkUsers: 100, Stop: stop, Ledger: filepath.Join(t.TempDir(), "ledger"),
					Progress: func(p Progress) { noted = noted || strings.Contains(p.Note, "connection refused") },
				})
				if d := time.Since(began); d < tt.stop || d > tt.stop+time.Second {
					t.Errorf("it ended after %v, and was told to after %v", d, tt.stop)
				}
				if !noted {
					t.Error("no note gave the reason")
				}
				if tt.begun != (r != nil) || tt.begun == (err != nil) {
					t.Fatalf("report %v, error %v", r, err)
				}
				var told string
				if err != nil {
					told = err.Error()
				} else {
					told = strings.Join(r.Doubtful, "\n")
				}
				if !strings.Contains(told, "connection refused") {
					t.Errorf("told %q", told)
				}
			})
		})
	}
}

// A stop is heeded while a long input is checked, with a ledger and without.
func TestStopWhileChecking(t *testing.T) {
	t.Parallel()
	for _, ledger := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, jobOptions())
			src := Users(func(yield func(any, error) bool) {
				for line := range strings.Lines(users(1000, nil)) {
					if time.Sleep(time.Second); !yield(json.RawMessage(line), nil) {
						return
					}
				}
			})
			stop := make(chan struct{})
			time.AfterFunc(30*time.Second, func() { close(stop) })
			o := Options{Stop: stop}
			if ledger {
				o.Ledger = filepath.Join(t.TempDir(), "ledger")
			}
			began := time.Now()
			r, err := w.run(src, o)
			if d := time.Since(began); d < 30*time.Second || d > 32*time.Second {
				t.Errorf("it ended after %v, and was told to after 30s", d)
			}
			if r != nil || err == nil || !strings.Contains(err.Error(), "stopped before all of them were checked") {
				t.Errorf("a report %v, error %v", r != nil, err)
			}
		})
	}
}

// FailedAt is for another try of all who did not get through, in whichever run.
func TestFailedAtHasTheRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := jobOptions()
		o.JobTime = time.Hour
		w := newWorld(t, o)
		ledger := filepath.Join(t.TempDir(), "ledger")
		text := users(300, func(i int, u map[string]any) map[string]any {
			if i == 1 || i == 250 {
				u["email"] = "nobody"
			}
			return u
		})
		stop := make(chan struct{})
		time.AfterFunc(time.Minute, func() { close(stop) })
		if _, err := w.run(input(t, text), Options{chunkUsers: 100, Ledger: ledger, Stop: stop, MaxJobs: 1}); err != nil {
			t.Fatal(err)
		}
		r := w.must(input(t, text), Options{chunkUsers: 100, Ledger: ledger, Resume: true})
		if r.Refused != 2 || r.FailedAt.String() != "1,250" {
			t.Errorf("%s, failed at %s", counts(r), r.FailedAt)
		}
	})
}
