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
	"os"
	"runtime"
	"strings"
	"sync"
	"text/tabwriter"
)

func main() {
	seeds := flag.Int("seeds", 10, "runs of each scenario")
	plans := flag.Bool("published", false, "run every limit of every published plan")
	most := flag.Duration("most", 0, "length of runs above 50 a second, 0 for an hour")
	only := flag.String("only", "", "run only scenarios whose name contains this")
	svg := flag.String("svg", "", "write a picture of tokens over time to this file")
	alone := flag.Bool("alone", false, "leave the other approaches out")
	flag.Parse()
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
	used, worst, rejected float64 // mean and least share; mean rejections an hour
	runs                  int
}

func (s *sum) add(r result) {
	if s.runs == 0 || r.used() < s.worst {
		s.worst = r.used()
	}
	n := float64(s.runs)
	s.used = (s.used*n + r.used()) / (n + 1)
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
					cells[i][j].add(run(sc, a.make(), seed+1))
				}
			}
		}()
	}
	wg.Wait()
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprint(out, "scenario")
	for _, a := range with {
		fmt.Fprintf(out, "\t%s\t", a.name)
	}
	fmt.Fprint(out, "\tgoal\n")
	ok := true
	for i, sc := range list {
		fmt.Fprint(out, sc.name)
		for j := range with {
			c := &cells[i][j]
			fmt.Fprintf(out, "\t%.3f %%\t%.1f/h", 100*c.worst, c.rejected)
		}
		verdict := "met"
		if !cells[i][0].met(sc) {
			verdict, ok = "MISSED", false
		}
		fmt.Fprintf(out, "\t%s\n", verdict)
	}
	if err := out.Flush(); err != nil {
		fmt.Fprintln(os.Stderr, "simulate:", err)
		return false
	}
	fmt.Printf("\n%d seeds; the least share of the allowance used in any, and the mean of rejections an hour.\n", seeds)
	return ok
}
