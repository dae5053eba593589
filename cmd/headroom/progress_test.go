package main

import (
	"bytes"
	"math"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headroom-go/auth0/ratelimit"
)

// The rate is that of the last seconds: a burst of 50 does not shorten the
// forecast for long.
func TestPace(t *testing.T) {
	t.Parallel()
	var p pace
	for i := range 200 {
		now := time.Duration(i) * 200 * time.Millisecond
		settled := 50 + int(16*now.Seconds())
		if i == 0 {
			settled = 0
		}
		rate := p.rate(progress{status: status{elapsed: now, settled: settled}})
		switch {
		case now == 0 && rate != 0:
			t.Errorf("rate %v at the start", rate)
		case now == 2*time.Second && rate != 41: // 82 in 2 s
			t.Errorf("rate %v after 2 s, want 41", rate)
		case now > 6*time.Second && (rate < 15.5 || rate > 16.5):
			t.Errorf("rate %v after %v, want 16", rate, now)
		}
	}
}

func TestDetails(t *testing.T) {
	t.Parallel()
	p := progress{status: status{settled: 120, failed: 3}, waiting: 31, rejected: 2}
	if got, want := details(p, 440, 16), "16.0/s, 0:20 left, 31 waiting, 2 rejected, 3 failed"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	p.failed = 0
	if got, want := details(p, -1, 0), "0.0/s, 31 waiting, 2 rejected"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := details(p, 440, 0), "0.0/s, ? left, 31 waiting, 2 rejected"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := clock(time.Hour+2*time.Minute+3600*time.Millisecond), "1:02:04"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestProgressOnATerminal(t *testing.T) {
	t.Parallel()
	for _, total := range []int{40, -1} {
		synctest.Test(t, func(t *testing.T) {
			var b bytes.Buffer
			began := time.Now()
			v := showProgress(&b, 80, total, func() progress {
				d := time.Since(began)
				return progress{status: status{elapsed: d, settled: int(10 * d.Seconds())}}
			})
			time.Sleep(4 * time.Second)
			v.close()
			frames := strings.Split(b.String(), "\r")
			last := strings.TrimSpace(frames[len(frames)-1])
			want := `^100% \|█+\| \(40/40\) 10\.0/s, 0:00 left, 0 waiting, 0 rejected$`
			if total < 0 {
				want = `\(40/-\) 10\.0/s, 0 waiting, 0 rejected$`
			}
			if !regexp.MustCompile(want).MatchString(last) {
				t.Errorf("the last frame is %q, want %s", last, want)
			}
			for _, f := range frames {
				if n := len([]rune(strings.TrimRight(f, " \n"))); n > 80 {
					t.Errorf("a frame of %d columns: %q", n, f)
				}
			}
		})
	}
}

func TestAllowanceUsed(t *testing.T) {
	t.Parallel()
	second := func(api string, burst, rate, sent int64) ratelimit.BucketState {
		return ratelimit.BucketState{API: api, Burst: burst, Rate: ratelimit.Rate{Count: rate, Per: time.Second}, Sent: sent}
	}
	minute := second("management", 10, 60, 60)
	minute.Rate.Per = time.Minute
	for _, tt := range []struct {
		name    string
		buckets []ratelimit.BucketState
		lost    int
		want    string
	}{
		{"full", []ratelimit.BucketState{second("management", 50, 16, 850)}, 0, "100.0 %"},          // 50 + 16*50
		{"half", []ratelimit.BucketState{second("management", 50, 16, 425)}, 0, "50.0 %"},           //
		{"lost", []ratelimit.BucketState{second("management", 50, 16, 850)}, 85, "90.0 %"},          //
		{"by the minute", []ratelimit.BucketState{minute}, 0, "100.0 %"},                            // 10 + 60*50/60
		{"two", []ratelimit.BucketState{second("management", 100, 100, 510), minute}, 0, "100.0 %"}, // the fuller one
		{"rounded down", []ratelimit.BucketState{second("management", 0, 200, 9999)}, 0, "99.9 %"},  // 0.9999
		{"tokens", []ratelimit.BucketState{second("authentication", 1, 1, 51), second("management", 50, 16, 425)}, 0, "50.0 %"},
	} {
		if got := percent(allowanceUsed(ratelimit.Snapshot{Buckets: tt.buckets}, tt.lost, 50*time.Second)); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
	if used := allowanceUsed(ratelimit.Snapshot{}, 0, time.Second); !math.IsNaN(used) {
		t.Errorf("%v without limits, want NaN", used)
	}
}
