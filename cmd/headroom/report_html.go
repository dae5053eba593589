package main

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/headroom-go/auth0/importer"
)

//go:embed report.html
var reportPage string

// writeHTML writes a report as one page that needs nothing from elsewhere.
func writeHTML(w io.Writer, r *importReport, all *importer.Report) error {
	page, err := template.New("report").Funcs(template.FuncMap{"seconds": func(s float64) string {
		return clock(time.Duration(s * float64(time.Second)))
	}, "percent": percent, "size": func(n int) string { return size(int64(n)) }}).Parse(reportPage)
	if err != nil {
		return err
	}
	return page.Execute(w, newPage(r, all))
}

// htmlPage is what the template shows.
type htmlPage struct {
	*importReport
	All        *importer.Report
	Rate       string // users a second, over all
	Way        string
	Throughput *chart
	JobsChart  *chart // nil without jobs
	Levels     *chart
	Reasons    []reasonBar
}

// The size of charts in units of the SVG, and of the plot within.
const (
	chartWidth, chartHeight = 760, 220
	plotLeft, plotTop       = 56, 12
	plotWidth, plotHeight   = chartWidth - plotLeft - 12, chartHeight - plotTop - 28
)

// chart is a chart over time.
type chart struct {
	Title      string
	Summary    string // what it shows, for those who do not see it
	W, H       int
	X, Y, PW   int // the plot
	Bottom     int
	AxisX      []tick
	AxisY      []tick
	Lines      []line
	LegendNeed bool // there is more than one line
}

type tick struct {
	At   float64
	Text string
}

type line struct {
	Name   string
	Class  string // of its colour
	Points string // of a polyline
	Area   string // of a polygon below it, "" for none
	Max    string
}

// reasonBar is one bar of the failures by reason.
type reasonBar struct {
	Reason string
	Count  int
	Width  float64 // of 100
}

func newPage(r *importReport, all *importer.Report) *htmlPage {
	p := &htmlPage{importReport: r, All: all}
	done := r.Created + r.Updated + r.Exists + r.Failed - r.sentBefore
	if r.ElapsedS > 0 && done > 0 {
		p.Rate = fmt.Sprintf("%.1f", float64(done)/r.ElapsedS)
	}
	switch r.Via {
	case importer.ViaUsers:
		p.Way = "by single requests "
	case importer.ViaJobs:
		p.Way = "by import jobs "
	}
	p.Throughput = throughput(all, r.sentBefore)
	p.JobsChart = jobsRunning(all.Series)
	p.Levels = levels(all.Series)
	most := 1
	for _, n := range r.ByReason {
		most = max(most, n)
	}
	for _, reason := range byCount(r.ByReason) {
		n := r.ByReason[reason]
		p.Reasons = append(p.Reasons, reasonBar{reason, n, 100 * float64(n) / float64(most)})
	}
	return p
}

// point is a value at a time.
type point struct {
	at    time.Duration
	value float64
}

// throughput is how many users were done each second.
func throughput(all *importer.Report, before int) *chart {
	const name = "users a second"
	points := jobRates(all, before)
	if points == nil {
		points = sampleRates(all.Series)
	}
	return newChart("Users a second", map[string][]point{name: points}, []string{name}, 0, true)
}

// jobRates spreads the users of each job over the time that it took, since a job
// tells of them all at once. It is nil where not all users went by jobs that the
// report lists, or earlier runs brought before.
func jobRates(all *importer.Report, before int) []point {
	type step struct {
		at     time.Time
		change float64
	}
	var steps []step
	known := 0
	for _, j := range all.Jobs {
		d := j.Ended.Sub(j.Started).Seconds()
		if d <= 0 {
			return nil
		}
		done := j.Created + j.Updated + j.Exists + j.Failed
		known += done
		steps = append(steps, step{j.Started, float64(done) / d}, step{j.Ended, -float64(done) / d})
	}
	if len(steps) == 0 || known < all.Created+all.Updated+all.Exists+all.Failed-before {
		return nil
	}
	slices.SortStableFunc(steps, func(a, b step) int { return a.at.Compare(b.at) })
	began := steps[len(steps)-1].at.Add(-all.Elapsed) // the last job ends the run
	rate, points := 0.0, []point{{}}
	for _, s := range steps {
		at := max(0, s.at.Sub(began))
		points = append(points, point{at, max(0, rate)})
		rate += s.change
		points = append(points, point{at, max(0, rate)})
	}
	return points
}

// sampleRates is the rate between each two samples. The last one may come right
// behind another and says little alone.
func sampleRates(series []importer.Sample) []point {
	var points []point
	for i, from := 1, 0; i < len(series); i++ {
		d := series[i].At - series[from].At
		last := i == len(series)-1
		if short := d < time.Second/2; d <= 0 || short && (!last || points != nil) {
			continue
		}
		rate := float64(series[i].Done-series[from].Done) / d.Seconds()
		points = append(points, point{series[from].At, rate}, point{series[i].At, rate})
		from = i
	}
	return points
}

// jobsRunning is how many import jobs ran, nil when there were none.
func jobsRunning(series []importer.Sample) *chart {
	var points []point
	ran := false
	for i, s := range series {
		if i > 0 {
			points = append(points, point{s.At, float64(series[i-1].Jobs)})
		}
		points = append(points, point{s.At, float64(s.Jobs)})
		ran = ran || s.Jobs > 0
	}
	if !ran {
		return nil
	}
	return newChart("Import jobs running", map[string][]point{"jobs": points}, []string{"jobs"}, 2, true)
}

// levels is how full the buckets were, in percent of their burst.
func levels(series []importer.Sample) *chart {
	lines := make(map[string][]point)
	var order []string
	for _, s := range series {
		for _, b := range s.Buckets {
			if b.Burst <= 0 {
				continue
			}
			if _, seen := lines[b.Name]; !seen {
				order = append(order, b.Name)
			}
			lines[b.Name] = append(lines[b.Name], point{s.At, 100 * min(1, max(0, b.Level/b.Burst))})
		}
	}
	return newChart("Level of the buckets, % of the burst", lines, order, 100, false)
}

// lineColours is how many colours the page has for lines.
const lineColours = 6

// newChart draws lines in an order. most is the least that the vertical axis
// reaches. It is nil without two points.
func newChart(title string, lines map[string][]point, order []string, most float64, area bool) *chart {
	var end time.Duration
	enough := false
	for _, points := range lines {
		for _, p := range points {
			end, most = max(end, p.at), max(most, p.value)
		}
		enough = enough || len(points) > 1
	}
	if !enough || end <= 0 {
		return nil
	}
	top := nice(most)
	c := &chart{
		Title: title, W: chartWidth, H: chartHeight, X: plotLeft, Y: plotTop, PW: plotLeft + plotWidth, Bottom: plotTop + plotHeight,
		LegendNeed: len(order) > 1,
	}
	x := func(at time.Duration) float64 { return plotLeft + plotWidth*at.Seconds()/end.Seconds() }
	y := func(v float64) float64 { return plotTop + plotHeight*(1-v/top) }
	for i := range 5 {
		v := top * float64(i) / 4
		c.AxisY = append(c.AxisY, tick{y(v), strconv.FormatFloat(math.Round(v*1000)/1000, 'f', -1, 64)})
	}
	for at := time.Duration(0); at <= end; at += evenStep(end) {
		c.AxisX = append(c.AxisX, tick{x(at), clock(at)})
	}
	for i, name := range order {
		var b strings.Builder
		highest := 0.0
		for _, p := range lines[name] {
			fmt.Fprintf(&b, "%.1f,%.1f ", x(p.at), y(p.value))
			highest = max(highest, p.value)
		}
		l := line{Name: name, Class: "c" + strconv.Itoa(i%lineColours), Points: strings.TrimSpace(b.String()), Max: strconv.FormatFloat(math.Round(highest*10)/10, 'f', -1, 64)}
		if points := lines[name]; area && len(points) > 0 {
			l.Area = fmt.Sprintf("%.1f,%d %s %.1f,%d", x(points[0].at), c.Bottom, l.Points, x(points[len(points)-1].at), c.Bottom)
		}
		c.Lines = append(c.Lines, l)
		if c.Summary != "" {
			c.Summary += "; "
		}
		c.Summary += name + ", at most " + l.Max
	}
	c.Summary = title + " over " + clock(end) + ": " + c.Summary
	return c
}

// evenStep is the distance of labels on an axis of that time, of which there are
// seven at most.
func evenStep(end time.Duration) time.Duration {
	for _, s := range []int{1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1200, 1800, 3600, 7200, 4 * 3600, 6 * 3600, 12 * 3600} {
		if step := time.Duration(s) * time.Second; end/step < 7 {
			return step
		}
	}
	const day = 24 * time.Hour
	return (end / 7).Truncate(day) + day
}

// nice returns the next number of the form 1, 2, 4, 5 or 8 times a power of ten.
func nice(v float64) float64 {
	if v <= 0 {
		return 1
	}
	base := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{1, 2, 4, 5, 8, 10} {
		if m*base >= v {
			return m * base
		}
	}
	return 10 * base
}
