// Command simulate holds package ratelimit to its scenarios in virtual time and
// prints what came of each, beside today's approaches.
//
//	go run ./internal/simulate                scenarios, ten seeds
//	go run ./internal/simulate -published     every limit of every published plan on three networks
//	go run ./internal/simulate -svg FILE      tokens over time of one run, as a picture
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"text/tabwriter"
)

func main() {
	seeds := flag.Int("seeds", 10, "runs of each scenario")
	plans := flag.Bool("published", false, "run every limit of every published plan")
	most := flag.Duration("most", 0, "length of the runs of limits above 50 a second, 0 for an hour in full")
	only := flag.String("only", "", "run only scenarios whose name contains this")
	svg := flag.String("svg", "", "write a picture of tokens over time to this file")
	alone := flag.Bool("alone", false, "leave the other approaches out")
	flag.Parse()
	debug.SetGCPercent(800) // runs make much garbage and keep little
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "simulate: unexpected argument %q; see -help\n", flag.Arg(0))
		os.Exit(2)
	}
	ok := true
	switch {
	case *svg != "":
		if err := picture(*svg); err != nil {
			fmt.Fprintln(os.Stderr, "simulate:", err)
			os.Exit(1)
		}
	case *plans:
		var list []*scenario
		for _, l := range published() {
			for _, n := range networks {
				list = append(list, on(l, n, *most))
			}
		}
		ok = table(pick(list, *only), *seeds, []approach{headroom})
	case *alone:
		ok = table(pick(scenarios(), *only), *seeds, []approach{headroom})
	default:
		ok = table(pick(scenarios(), *only), *seeds, approaches)
	}
	if !ok {
		os.Exit(1)
	}
}

// approach is a way of pacing under a name.
type approach struct {
	name string
	make func() client
}

var (
	headroom   = approach{"headroom", func() client { return &ours{} }}
	approaches = []approach{
		headroom,
		{"exact local bucket", func() client { return &exactLocal{} }},
		{"last header seen", func() client { return &lastHeader{} }},
		{"one in flight", func() client { return &oneInFlight{} }},
		{"sleep after 429", func() client { return &sleepAfter429{} }},
	}
)

func pick(list []*scenario, only string) []*scenario {
	var out []*scenario
	for _, sc := range list {
		if strings.Contains(sc.name, only) {
			out = append(out, sc)
		}
	}
	return out
}

// sum is what came of several runs of one scenario.
type sum struct {
	worst    float64 // least share of the allowance used in any run
	rejected float64 // mean of rejections an hour
	runs     int
}

func (s *sum) add(sc *scenario, r result) {
	used := r.used()
	if sc.short {
		// What is lost once counts against the hour, what is lost again and
		// again against the half in which it was.
		hour := r.allowance + int64(sc.limits[0].rate()*(1-r.hours)*3600)
		used = min(1-float64(r.allowance-r.own)/float64(hour), float64(r.late+1)/float64(r.lateAllowance))
	}
	if s.runs == 0 || used < s.worst {
		s.worst = used
	}
	n := float64(s.runs)
	s.rejected = (s.rejected*n + r.perHour()) / (n + 1)
	s.runs++
}

// met reports whether a scenario's goals were met.
func (s *sum) met(sc *scenario) bool { return s.worst >= sc.want && s.rejected <= sc.rejections }

// table runs every scenario with every approach, on all processors, and prints
// a line for each. It reports whether the first approach met all goals.
func table(list []*scenario, seeds int, with []approach) bool {
	cells := make([][]sum, len(list))
	var wg sync.WaitGroup
	slots := make(chan struct{}, runtime.GOMAXPROCS(0))
	done := make([]chan struct{}, len(list))
	for i, sc := range list {
		cells[i] = make([]sum, len(with))
		done[i] = make(chan struct{})
		slots <- struct{}{}
		wg.Add(1)
		go func() {
			defer func() { <-slots; close(done[i]); wg.Done() }()
			for j, a := range with {
				for seed := range uint64(seeds) {
					cells[i][j].add(sc, run(sc, a.make(), seed+1))
				}
			}
		}()
	}
	wg.Wait()
	var text strings.Builder
	text.WriteString("scenario")
	for _, a := range with {
		text.WriteString("\t" + a.name + "\t")
	}
	text.WriteString("\tgoal\n")
	ok := true
	for i, sc := range list {
		text.WriteString(sc.name)
		for j := range with {
			c := &cells[i][j]
			fmt.Fprintf(&text, "\t%.3f %%\t%.1f/h", 100*c.worst, c.rejected)
		}
		verdict := "met"
		if !cells[i][0].met(sc) {
			verdict, ok = "MISSED", false
		}
		text.WriteString("\t" + verdict + "\n")
	}
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	if _, err := io.WriteString(out, text.String()); err != nil {
		return false
	}
	if err := out.Flush(); err != nil {
		return false
	}
	fmt.Printf("\n%d seeds; the least share of the allowance used in any, and the mean of rejections an hour.\n", seeds)
	return ok
}
