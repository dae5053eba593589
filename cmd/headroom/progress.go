package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
)

// A progressView shows how far an import has come, until it is stopped.
type progressView struct {
	stop chan struct{}
	done chan struct{}
}

// progressTick is how often a bar is drawn anew, progressLine how often a line
// is written where there is no terminal.
const (
	progressTick = 200 * time.Millisecond
	progressLine = 2 * time.Second
)

// showProgress draws a bar on a terminal, columns wide, and writes plain lines
// elsewhere, where columns is 0.
// total is the number of users to come, -1 when nobody knows.
func showProgress(w io.Writer, columns, total int, look func() progress) *progressView {
	v := &progressView{stop: make(chan struct{}), done: make(chan struct{})}
	draw, every := plainLines(w, total), progressLine
	terminal := columns > 0
	if terminal {
		draw, every = bar(w, columns, total), progressTick
	}
	go func() {
		defer close(v.done)
		t := time.NewTicker(every)
		defer t.Stop()
		var pace pace
		for {
			select {
			case <-t.C:
				p := look()
				draw(p, pace.rate(p), false)
			case <-v.stop:
				if terminal {
					p := look()
					draw(p, pace.rate(p), true)
				}
				return
			}
		}
	}()
	return v
}

// close draws for the last time and waits until that is done. A nil view shows
// nothing.
func (v *progressView) close() {
	if v == nil {
		return
	}
	close(v.stop)
	<-v.done
}

// progress is what the view shows.
type progress struct {
	status
	waiting  int // users whose request waits for room
	rejected int
}

// pace measures the rate over the last few seconds: the start of an import
// runs on the burst and would make every forecast too short.
type pace struct {
	at     [25]time.Duration
	counts [25]int
	n      int
}

const paceSpan = 5 * time.Second

func (p *pace) rate(now progress) float64 {
	old := 0 // the oldest look within the span
	for i := max(0, p.n-len(p.at)); i < p.n; i++ {
		if k := i % len(p.at); now.elapsed-p.at[k] <= paceSpan {
			old = i
			break
		}
	}
	from, count := time.Duration(0), 0
	if p.n > 0 {
		from, count = p.at[old%len(p.at)], p.counts[old%len(p.at)]
	}
	p.at[p.n%len(p.at)], p.counts[p.n%len(p.at)] = now.elapsed, now.settled
	p.n++
	if now.elapsed <= from {
		return 0
	}
	return float64(now.settled-count) / (now.elapsed - from).Seconds()
}

// details says what a count does not.
func details(p progress, total int, rate float64) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%.1f/s", rate)
	if total >= 0 {
		left := "?"
		if rate > 0 {
			left = clock(time.Duration(float64(max(0, total-p.settled)) / rate * float64(time.Second)))
		}
		fmt.Fprintf(&b, ", %s left", left)
	}
	fmt.Fprintf(&b, ", %d waiting, %d rejected", p.waiting, p.rejected)
	if p.failed > 0 {
		fmt.Fprintf(&b, ", %d failed", p.failed)
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

type drawFunc func(p progress, rate float64, last bool)

func plainLines(w io.Writer, total int) drawFunc {
	return func(p progress, rate float64, _ bool) {
		of := ""
		if total >= 0 {
			of = fmt.Sprintf(" of %d", total)
		}
		_, _ = fmt.Fprintf(w, "%d%s users, %s\n", p.settled, of, details(p, total, rate))
	}
}

func bar(w io.Writer, columns, total int) drawFunc {
	b := progressbar.NewOptions(total,
		progressbar.OptionSetWriter(w),
		progressbar.OptionSetWidth(max(5, min(40, columns-70))),
		progressbar.OptionShowCount(),
		progressbar.OptionSetElapsedTime(false),
		progressbar.OptionSetPredictTime(false), // from the mean since the start; see pace
		progressbar.OptionShowDescriptionAtLineEnd(),
		progressbar.OptionSetSpinnerChangeInterval(0), // drawn by our own ticker only
	)
	return func(p progress, rate float64, last bool) {
		b.Describe(details(p, total, rate))
		_ = b.Set(p.settled)
		if last {
			_, _ = fmt.Fprintln(w)
		}
	}
}
