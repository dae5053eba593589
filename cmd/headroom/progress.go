package main

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/headroom-go/auth0/importer"
)

// progressTick is how often a bar is drawn anew, progressLine how often a line
// is written where there is no terminal.
const (
	progressTick = 200 * time.Millisecond
	progressLine = 2 * time.Second
)

// A progressView shows how far an import has come, stage by stage: a bar for each
// on a terminal, lines elsewhere, for people or as JSON.
type progressView struct {
	every time.Duration
	begin func(importer.Progress) painter // the way a new stage is shown
	note  func(string)
	stop  chan struct{}
	done  chan struct{}

	mu    sync.Mutex
	now   importer.Progress
	at    time.Time // when now was told
	pace  pace
	paint painter // nil before the first stage
	noted string
}

// painter shows how far a stage has come.
type painter func(p importer.Progress, rate float64, last bool)

// showProgress draws a bar on a terminal, columns wide, and writes plain lines
// elsewhere, where columns is 0.
func showProgress(w io.Writer, columns int) *progressView {
	v := &progressView{every: progressLine, begin: func(importer.Progress) painter { return plainLines(w) }, note: func(s string) {
		_, _ = fmt.Fprintln(w, s)
	}}
	if columns > 0 {
		v.every = progressTick
		v.begin = func(p importer.Progress) painter { return bar(w, columns, p) }
		v.note = func(s string) { _, _ = fmt.Fprintf(w, "\r\x1b[K%s\n", s) }
	}
	return v.start()
}

// showEvents writes progress as lines of JSON.
func showEvents(w io.Writer) *progressView {
	v := &progressView{every: progressLine, begin: func(importer.Progress) painter { return jsonLines(w) }, note: func(string) {}}
	return v.start()
}

func (v *progressView) start() *progressView {
	v.stop, v.done = make(chan struct{}), make(chan struct{})
	go func() {
		defer close(v.done)
		t := time.NewTicker(v.every)
		defer t.Stop()
		for {
			select {
			case <-t.C:
				v.mu.Lock()
				v.draw(false)
				v.mu.Unlock()
			case <-v.stop:
				return
			}
		}
	}()
	return v
}

// show takes note of how far the import has come.
func (v *progressView) show(p importer.Progress) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if p.Stage != v.now.Stage && v.paint != nil {
		v.now = ended(v.now, p)
		v.draw(true)
		v.paint = nil
	}
	v.now, v.at = p, time.Now()
	if v.paint == nil && p.Stage != importer.StageDone {
		v.pace = pace{}
		v.pace.rate(p) // from here on
		v.paint = v.begin(p)
	}
	if p.Note != v.noted {
		if v.noted = p.Note; p.Note != "" {
			v.note(p.Note)
		}
	}
}

// ended is how a stage ended that was last told of as p, next being what was told
// of the stage after it.
func ended(p, next importer.Progress) importer.Progress {
	switch {
	case p.Stage != importer.StageChecking:
		next.Stage, next.Elapsed, next.Total = p.Stage, p.Elapsed, p.Total
		next.BytesRead, next.BytesTotal = p.BytesRead, p.BytesTotal
		return next
	case next.Stage != importer.StageDone && p.BytesTotal >= 0:
		p.BytesRead = p.BytesTotal // all of it was found to be readable
	}
	return p
}

// draw shows the stage as it is now. The caller holds the lock.
func (v *progressView) draw(last bool) {
	if v.paint == nil {
		return
	}
	p := v.now
	p.Elapsed += time.Since(v.at) // while nothing changes, time passes
	v.paint(p, v.pace.rate(p), last)
}

// close draws for the last time. A nil view shows nothing.
func (v *progressView) close() {
	if v == nil {
		return
	}
	close(v.stop)
	<-v.done
	v.mu.Lock()
	defer v.mu.Unlock()
	v.draw(true)
	v.paint = nil
}

// progressed is how far a stage has come, and of how much; -1 when nobody knows.
// While the input is checked it is bytes that count.
func progressed(p importer.Progress) (done, total int64) {
	if p.Stage == importer.StageChecking {
		return p.BytesRead, p.BytesTotal
	}
	if p.Total < 0 {
		return int64(p.Done), -1
	}
	return int64(p.Done), int64(p.Total - p.Skipped)
}

// pace measures the rate over the last few seconds: the start of an import
// runs on the burst and would make every forecast too short. Import jobs end all
// at once and are measured over the last minutes.
type pace struct {
	at     [25]time.Duration
	counts [25]int64
	n      int
}

const (
	paceSpan     = 5 * time.Second
	paceSpanJobs = 5 * time.Minute
)

func (p *pace) rate(now importer.Progress) float64 {
	span := paceSpan
	if now.Via == importer.ViaJobs {
		span = paceSpanJobs
	}
	done, _ := progressed(now)
	old := 0 // the oldest look within the span
	for i := max(0, p.n-len(p.at)); i < p.n; i++ {
		if k := i % len(p.at); now.Elapsed-p.at[k] <= span {
			old = i
			break
		}
	}
	from, count := time.Duration(0), int64(0)
	if p.n > 0 {
		from, count = p.at[old%len(p.at)], p.counts[old%len(p.at)]
	}
	last := (p.n - 1 + len(p.at)) % len(p.at)
	if p.n == 0 || now.Elapsed-p.at[last] >= span/time.Duration(len(p.at)) {
		p.at[p.n%len(p.at)], p.counts[p.n%len(p.at)] = now.Elapsed, done
		p.n++
	}
	if now.Elapsed <= from {
		return 0
	}
	return float64(done-count) / (now.Elapsed - from).Seconds()
}

// left returns how long a stage takes yet, and whether that can be said.
func left(p importer.Progress, rate float64) (time.Duration, bool) {
	done, total := progressed(p)
	if total < 0 || rate <= 0 {
		return 0, false
	}
	return time.Duration(float64(max(0, total-done)) / rate * float64(time.Second)), true
}

// details says what a count does not.
func details(p importer.Progress, rate float64) string {
	var b strings.Builder
	if p.Stage == importer.StageChecking {
		fmt.Fprintf(&b, "%s/s", size(int64(rate)))
	} else {
		fmt.Fprintf(&b, "%.1f/s", rate)
	}
	if d, known := left(p, rate); known {
		fmt.Fprintf(&b, ", %s left", clock(d))
	} else if _, total := progressed(p); total >= 0 {
		b.WriteString(", ? left")
	}
	if p.Stage != importer.StageChecking {
		if p.JobsDone > 0 || p.JobsRunning > 0 {
			fmt.Fprintf(&b, ", %s running, %d done", plural(p.JobsRunning, "job"), p.JobsDone)
			if p.JobsTotal >= 0 {
				fmt.Fprintf(&b, " of %d", p.JobsTotal)
			}
		}
		fmt.Fprintf(&b, ", %d waiting, %d rejected", p.Waiting, p.Rejected)
	}
	if p.Failed > 0 {
		fmt.Fprintf(&b, ", %d failed", p.Failed)
	}
	if p.Refused > 0 {
		fmt.Fprintf(&b, ", %d refused", p.Refused)
	}
	return b.String()
}

// clock formats a duration as 0:07 or 1:02:03.
func clock(d time.Duration) string {
	s := int64(d.Round(time.Second) / time.Second)
	if s >= 3600 {
		return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
	}
	return fmt.Sprintf("%d:%02d", s/60, s%60)
}

func plainLines(w io.Writer) painter {
	return func(p importer.Progress, rate float64, last bool) {
		if last {
			return // the report or the next stage says it
		}
		done, total := progressed(p)
		count, of := fmt.Sprintf("%d", done), ""
		if total >= 0 {
			of = fmt.Sprintf(" of %d", total)
		}
		if p.Stage == importer.StageChecking {
			if count = size(done); total >= 0 {
				of = " of " + size(total)
			}
		} else {
			of += " users"
		}
		_, _ = fmt.Fprintf(w, "%s: %s%s, %s\n", p.Stage, count, of, details(p, rate))
	}
}

func bar(w io.Writer, columns int, first importer.Progress) painter {
	_, total := progressed(first)
	width := max(5, min(40, columns-85))
	options := []progressbar.Option{
		progressbar.OptionSetWriter(w),
		progressbar.OptionSetWidth(width),
		progressbar.OptionSetElapsedTime(false),
		progressbar.OptionSetPredictTime(false), // from the mean since the start; see pace
		progressbar.OptionShowDescriptionAtLineEnd(),
		progressbar.OptionSetSpinnerChangeInterval(0), // drawn by our own ticker only
	}
	if first.Stage != importer.StageChecking {
		options = append(options, progressbar.OptionShowCount())
	}
	b := progressbar.NewOptions64(total, options...)
	return func(p importer.Progress, rate float64, last bool) {
		done, now := progressed(p)
		if now != total && now > 0 {
			b.ChangeMax64(now) // users who turn out to be left out
			total = now
		}
		// A line that wraps cannot be written over: what does not fit is left out.
		text := string(p.Stage) + ": " + details(p, rate)
		room := columns - width - len("100% ||  ")
		if p.Stage != importer.StageChecking {
			room -= len(fmt.Sprintf("(%d/%d) ", done, total))
		}
		b.Describe(text[:max(0, min(len(text), room-1))])
		_ = b.Set64(done)
		if last {
			_, _ = fmt.Fprintln(w)
		}
	}
}

// progressEvent is a line of progress as --json prints it.
type progressEvent struct {
	Event       string   `json:"event"` // "progress"
	Stage       string   `json:"stage"`
	ElapsedS    float64  `json:"elapsed_s"`
	Total       int      `json:"total"` // users; -1 when not known yet, as others below
	Done        int      `json:"done"`
	Created     int      `json:"created"`
	Updated     int      `json:"updated"`
	Exists      int      `json:"exists"`
	Failed      int      `json:"failed"`
	Refused     int      `json:"refused"`
	BytesRead   int64    `json:"bytes_read"`
	BytesTotal  int64    `json:"bytes_total"`
	Rate        float64  `json:"rate"`   // users a second; bytes while checking
	LeftS       *float64 `json:"left_s"` // null when nobody can say
	JobsRunning int      `json:"jobs_running"`
	JobsDone    int      `json:"jobs_done"`
	JobsTotal   int      `json:"jobs_total"`
	Waiting     int      `json:"waiting"`
	InFlight    int      `json:"in_flight"`
	Rejected    int64    `json:"rejected"`
	Note        string   `json:"note,omitempty"`
}

func jsonLines(w io.Writer) painter {
	return func(p importer.Progress, rate float64, _ bool) {
		e := progressEvent{
			Event: "progress", Stage: string(p.Stage), ElapsedS: milli(p.Elapsed),
			Total: p.Total, Done: p.Done, Created: p.Created, Updated: p.Updated, Exists: p.Exists, Failed: p.Failed, Refused: p.Refused,
			BytesRead: p.BytesRead, BytesTotal: p.BytesTotal, Rate: float64(int64(rate*10)) / 10,
			JobsRunning: p.JobsRunning, JobsDone: p.JobsDone, JobsTotal: p.JobsTotal,
			Waiting: p.Waiting, InFlight: p.InFlight, Rejected: p.Rejected, Note: p.Note,
		}
		if d, known := left(p, rate); known {
			s := milli(d)
			e.LeftS = &s
		}
		_ = writeLine(w, e) // progress that nobody can read any more ends nothing
	}
}
