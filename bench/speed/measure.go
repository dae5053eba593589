package speed

import (
	"flag"
	"fmt"
	"io"
	"strings"
	"testing"
	"text/tabwriter"
	"time"
)

// A Result is what one case came to.
type Result struct {
	Case
	Time   time.Duration // of an operation; of the processor where the case says so
	Allocs int64         // of an operation
	Bytes  int64         // of an operation
}

// Measure runs the cases one after the other, each for about d, and that n
// times over. It takes the best of each case: what else runs on a machine only
// ever adds time.
func Measure(cases []Case, d time.Duration, n int) ([]Result, error) {
	testing.Init()
	if err := flag.Set("test.benchtime", d.String()); err != nil {
		return nil, err
	}
	results := make([]Result, len(cases))
	for round := range n {
		for i, c := range cases {
			r := testing.Benchmark(c.Bench)
			if r.N == 0 {
				return nil, fmt.Errorf("%s, %s: the benchmark failed", c.What, c.Who)
			}
			t := time.Duration(r.NsPerOp())
			if cpu, ok := r.Extra[processorUnit]; ok {
				t = time.Duration(cpu)
			}
			if round == 0 || t < results[i].Time {
				results[i] = Result{Case: c, Time: t, Allocs: r.AllocsPerOp(), Bytes: r.AllocedBytesPerOp()}
			}
		}
	}
	return results, nil
}

// Print writes the results as a table in Markdown.
func Print(w io.Writer, results []Result) error {
	t := tabwriter.NewWriter(w, 0, 8, 1, ' ', 0)
	row := func(cells ...string) { _, _ = fmt.Fprintf(t, "| %s\t|\n", strings.Join(cells, "\t| ")) }
	row("what", "who", "time", "allocations", "bytes", "budget")
	row("---", "---", "---", "---", "---", "---")
	for _, r := range results {
		row(r.What, r.Who, r.Time.String(), fmt.Sprint(r.Allocs), fmt.Sprint(r.Bytes), r.verdict(results))
	}
	return t.Flush()
}

// verdict compares a result with its budget.
func (r *Result) verdict(all []Result) string {
	took, over := r.Time, ""
	for _, o := range all {
		if r.Over == "" || o.What != r.What || o.Who != r.Over {
			continue
		}
		if r.Times > 0 {
			ratio := float64(r.Time) / float64(o.Time)
			return fmt.Sprintf("%g of %s, %s (%.2f)", r.Times, o.Who, kept(ratio <= r.Times), ratio)
		}
		took, over = took-o.Time, "+"
	}
	if r.Budget == 0 {
		return ""
	}
	return fmt.Sprintf("%s%s, %s (%s%s)", over, r.Budget, kept(took <= r.Budget), over, took)
}

func kept(ok bool) string {
	if ok {
		return "kept"
	}
	return "missed"
}
