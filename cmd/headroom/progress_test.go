package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headroom-go/auth0/importer"
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
		rate := p.rate(importer.Progress{Stage: importer.StageImporting, Elapsed: now, Done: settled, Total: -1})
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

// Import jobs end at long intervals, and all their users at once.
func TestPaceOfJobs(t *testing.T) {
	t.Parallel()
	var p pace
	for i := range 5 * 600 { // ten minutes, with a job of 1,000 users each minute
		now := time.Duration(i) * 200 * time.Millisecond
		done := 1000 * int(now/time.Minute)
		rate := p.rate(importer.Progress{Stage: importer.StageImporting, Elapsed: now, Done: done, Total: -1, Via: importer.ViaJobs})
		// 1,000 a minute, over five minutes and a job more or less.
		if now > 6*time.Minute && (rate < 1000./60*4/5 || rate > 1000./60*6/5) {
			t.Fatalf("rate %v after %v, want about %v", rate, now, 1000./60)
		}
	}
}

func TestDetails(t *testing.T) {
	t.Parallel()
	importing := importer.Progress{Stage: importer.StageImporting, Done: 120, Total: 440, Waiting: 31, Rejected: 2}
	for _, tt := range []struct {
		change func(*importer.Progress)
		rate   float64
		want   string
	}{
		{func(*importer.Progress) {}, 16, "16.0/s, 0:20 left, 31 waiting, 2 rejected"}, // 320 users
		{func(p *importer.Progress) { p.Failed, p.Refused = 3, 4 }, 16, "16.0/s, 0:20 left, 31 waiting, 2 rejected, 3 failed, 4 refused"},
		{func(p *importer.Progress) { p.Skipped = 160 }, 16, "16.0/s, 0:10 left, 31 waiting, 2 rejected"}, // 160 users
		{func(p *importer.Progress) { p.Total = -1 }, 0, "0.0/s, 31 waiting, 2 rejected"},
		{func(*importer.Progress) {}, 0, "0.0/s, ? left, 31 waiting, 2 rejected"},
		{func(p *importer.Progress) { p.JobsRunning, p.JobsDone, p.JobsTotal = 2, 3, 9 }, 16, "16.0/s, 0:20 left, 2 jobs running, 3 done of 9, 31 waiting, 2 rejected"},
		{func(p *importer.Progress) { p.JobsRunning, p.JobsTotal = 1, -1 }, 16, "16.0/s, 0:20 left, 1 job running, 0 done, 31 waiting, 2 rejected"},
		{func(p *importer.Progress) {
			*p = importer.Progress{Stage: importer.StageChecking, BytesRead: 1e6, BytesTotal: 4e6, Total: -1, Refused: 1}
		}, 1e6, "1.0 MB/s, 0:03 left, 1 refused"},
	} {
		p := importing
		tt.change(&p)
		if got := details(p, tt.rate); got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
	if got, want := clock(time.Hour+2*time.Minute+3600*time.Millisecond), "1:02:04"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// run40 shows how 8 MB are checked in 2 s and 40 users are then imported in 4 s.
func run40(v *progressView, total int) {
	tick := func(d time.Duration, look func(time.Duration) importer.Progress) {
		for at := time.Duration(0); at <= d; at += 100 * time.Millisecond {
			v.show(look(at))
			time.Sleep(100 * time.Millisecond)
		}
	}
	time.Sleep(50 * time.Millisecond) // so that nothing happens at the moment of drawing
	tick(2*time.Second, func(at time.Duration) importer.Progress {
		return importer.Progress{Stage: importer.StageChecking, Elapsed: at, Total: -1, BytesRead: int64(4e6 * at.Seconds()), BytesTotal: 8e6}
	})
	tick(4*time.Second, func(at time.Duration) importer.Progress {
		p := importer.Progress{Stage: importer.StageImporting, Elapsed: 2*time.Second + at, Total: total, Done: int(10 * at.Seconds())}
		if at == time.Second {
			p.Note = "chunk 1 is in doubt"
		}
		return p
	})
	v.show(importer.Progress{Stage: importer.StageDone, Total: 40, Done: 40})
	v.close()
}

func TestProgressOnATerminal(t *testing.T) {
	t.Parallel()
	for _, total := range []int{40, -1} {
		synctest.Test(t, func(t *testing.T) {
			var b bytes.Buffer
			run40(showProgress(&b, 100), total)
			stages := strings.Split(strings.TrimRight(b.String(), "\n"), "\n")
			if len(stages) != 3 { // with the note
				t.Fatalf("%d lines: %q", len(stages), b.String())
			}
			want := []string{
				`^100% \|█+\| +checking: 3\.8 MB/s, 0:00 left$`,
				`chunk 1 is in doubt$`,
				`^100% \|█+\| \(40/40\) importing: 9\.8/s, 0:00 left, 0 waiting, 0 rejected$`,
			}
			if total < 0 {
				want[2] = `\(40/-\) importing: 9\.8/s, 0 waiting, 0 rejected$`
			}
			for i, w := range want {
				frames := strings.Split(stages[i], "\r")
				if last := strings.TrimSpace(frames[len(frames)-1]); !regexp.MustCompile(w).MatchString(last) {
					t.Errorf("the last frame of stage %d is %q, want %s", i, last, w)
				}
				for _, f := range frames {
					if n := len([]rune(strings.TrimRight(f, " \n"))); n > 100 {
						t.Errorf("a frame of %d columns: %q", n, f)
					}
				}
			}
		})
	}
}

// The importer tells at intervals: what a stage did after it last told is in what
// it tells of the next.
func TestProgressAtTheEndOfAStage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		stages := func(v *progressView) {
			for _, p := range []importer.Progress{
				{Stage: importer.StageChecking, Total: -1, BytesTotal: 8e6},
				{Stage: importer.StageImporting, Total: 40, BytesTotal: 8e6, JobsRunning: 1, JobsTotal: 1},
				{Stage: importer.StageRetrying, Total: 40, BytesTotal: 8e6, Done: 39, JobsDone: 1, JobsTotal: 2},
				{Stage: importer.StageDone, Total: 40, Done: 40, JobsDone: 2, JobsTotal: 2},
			} {
				v.show(p)
				time.Sleep(50 * time.Millisecond)
			}
			v.close()
		}
		var bars, events bytes.Buffer
		stages(showProgress(&bars, 120))
		lines := strings.Split(strings.TrimRight(bars.String(), "\n"), "\n")
		for i, want := range []string{`100% .*checking: `, ` 97% .*\(39/40\) importing: .* 0 jobs running, 1 done of 2`, `100% .*\(40/40\) retrying: .* 0 jobs running, 2 done of 2`} {
			frames := strings.Split(lines[i], "\r")
			if last := frames[len(frames)-1]; !regexp.MustCompile(want).MatchString(last) {
				t.Errorf("stage %d ends with %q, want %s", i, last, want)
			}
		}
		stages(showEvents(&events))
		var got []string
		for line := range strings.Lines(events.String()) {
			var e progressEvent
			if err := json.Unmarshal([]byte(line), &e); err != nil {
				t.Fatal(err)
			}
			got = append(got, fmt.Sprintf("%s %d %d", e.Stage, e.Done, e.BytesRead))
		}
		if want := []string{"checking 0 8000000", "importing 39 0", "retrying 40 0"}; !slices.Equal(got, want) {
			t.Errorf("events %q, want %q", got, want)
		}
	})
}

// A narrow terminal gets what fits on a line.
func TestProgressOnANarrowTerminal(t *testing.T) {
	t.Parallel()
	for _, columns := range []int{20, 40, 80} {
		synctest.Test(t, func(t *testing.T) {
			var b bytes.Buffer
			v := showProgress(&b, columns)
			for i := range 10 {
				v.show(importer.Progress{
					Stage: importer.StageImporting, Elapsed: time.Duration(i) * time.Second, Total: 1_000_000, Done: 100_000 * i, Waiting: 31,
					Failed: 1234, Refused: 1234, JobsRunning: 2, JobsDone: 100, JobsTotal: 591,
				})
				time.Sleep(time.Second)
			}
			v.close()
			longest := 0
			for f := range strings.FieldsFuncSeq(b.String(), func(r rune) bool { return r == '\r' || r == '\n' }) {
				longest = max(longest, len([]rune(strings.TrimRight(f, " "))))
			}
			// The bar and the count alone take 33.
			if longest >= max(columns, 34) {
				t.Errorf("a line of %d in %d columns: %q", longest, columns, b.String())
			}
		})
	}
}

func TestProgressLines(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var b bytes.Buffer
		run40(showProgress(&b, 0), 40)
		// At 2 s: 7.6 MB after 1.95 s. At 4 s: 18 users 1.85 s after the stage began.
		// At 6 s: 38 users after 3.85 s.
		want := `checking: 7.6 MB of 8.0 MB, 3.9 MB/s, 0:00 left
chunk 1 is in doubt
importing: 18 of 40 users, 9.7/s, 0:02 left, 0 waiting, 0 rejected
importing: 38 of 40 users, 9.9/s, 0:00 left, 0 waiting, 0 rejected
`
		if b.String() != want {
			t.Errorf("%s\nwant\n%s", b.String(), want)
		}
	})
}

func TestProgressEvents(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var b bytes.Buffer
		run40(showEvents(&b), 40)
		var stages []string
		for line := range strings.Lines(b.String()) {
			var e progressEvent
			d := json.NewDecoder(strings.NewReader(line))
			d.DisallowUnknownFields()
			if err := d.Decode(&e); err != nil || e.Event != "progress" {
				t.Fatalf("%v in %s", err, line)
			}
			stages = append(stages, fmt.Sprintf("%s %d", e.Stage, e.Done))
		}
		// Every two seconds, and at the end of each stage.
		if want := []string{"checking 0", "checking 0", "importing 18", "importing 38", "importing 40"}; !slices.Equal(stages, want) {
			t.Errorf("events %q, want %q", stages, want)
		}
	})
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
