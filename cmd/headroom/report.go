package main

import (
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/headroom-go/auth0/importer"
)

// importReport is the outcome of an import, as --json prints it.
type importReport struct {
	Event      string       `json:"event"` // "report"
	Total      int          `json:"total"` // users of the input
	Created    int          `json:"created"`
	Updated    int          `json:"updated"`           // there before, and updated for --upsert
	Exists     int          `json:"exists"`            // there before, and left as they were
	Failed     int          `json:"failed"`            // see the failures file
	Refused    int          `json:"refused"`           // never sent, since Auth0 would not take them; see the failures file
	Unfinished int          `json:"unfinished"`        // called off before they were sent, or unknown
	Skipped    int          `json:"skipped"`           // left out by --skip, --done and --only
	Earlier    int          `json:"earlier,omitempty"` // of all these, how many earlier runs had settled
	Rejected   int64        `json:"rejected"`          // answers of a rate limit
	ElapsedS   float64      `json:"elapsed_s"`
	Allowance  *float64     `json:"allowance_used"` // 0 to 1; null when no limit is known or it is not what bounds
	Plan       string       `json:"plan,omitempty"`
	PlanHint   string       `json:"plan_hint,omitempty"` // where the tenant's limits are not the plan's
	Via        importer.Via `json:"via,omitempty"`
	Jobs       int          `json:"jobs,omitempty"` // import jobs

	ByReason     map[string]int `json:"by_reason,omitempty"` // failures by code
	Doubtful     []string       `json:"doubtful,omitempty"`  // what was done where an answer was lost
	Interrupted  bool           `json:"interrupted,omitempty"`
	FailuresFile string         `json:"failures_file,omitempty"`
	Ledger       string         `json:"ledger,omitempty"`
	Error        string         `json:"error,omitempty"`
	Resume       string         `json:"resume,omitempty"` // the command that does what this one left
	Retry        string         `json:"retry,omitempty"`  // the command that tries the failed ones again

	sentBefore int // users by earlier runs, those refused left out
}

// newReport takes over what the importer found out, of which earlier runs with
// the same ledger had done what was there before.
func newReport(r *importer.Report, before *importer.Progress) importReport {
	return importReport{
		Earlier: before.Done, sentBefore: before.Done - before.Refused,
		Event: "report",
		Total: r.Total, Created: r.Created, Updated: r.Updated, Exists: r.Exists, Failed: r.Failed,
		Refused: r.Refused, Unfinished: r.Unfinished, Skipped: r.Skipped,
		Rejected: r.Rejected, ElapsedS: milli(r.Elapsed), Via: r.Via, Jobs: r.JobsCount,
		ByReason: r.ByReason, Doubtful: r.Doubtful, Error: r.Error,
	}
}

// milli returns seconds to the millisecond.
func milli(d time.Duration) float64 { return math.Round(d.Seconds()*1000) / 1000 }

// use notes the share of the allowance that was used, rounded down: never up to
// a figure that was not reached.
func (r *importReport) use(share float64) {
	if !math.IsNaN(share) {
		share = math.Floor(share*1e4) / 1e4
		r.Allowance = &share
	}
}

func (r *importReport) text(w io.Writer) error {
	var b strings.Builder
	b.WriteString(users(r.Total))
	if r.Earlier > 0 {
		fmt.Fprintf(&b, " (%d of them by earlier runs)", r.Earlier)
	}
	fmt.Fprintf(&b, " in %.1f s: %d created, ", r.ElapsedS, r.Created)
	if r.Updated > 0 {
		fmt.Fprintf(&b, "%d updated, ", r.Updated)
	}
	fmt.Fprintf(&b, "%d existed, %d failed", r.Exists, r.Failed)
	if r.Refused > 0 {
		fmt.Fprintf(&b, ", %d refused before anything was sent", r.Refused)
	}
	if r.Unfinished > 0 {
		fmt.Fprintf(&b, ", %d not done", r.Unfinished)
	}
	if r.Skipped > 0 {
		fmt.Fprintf(&b, " (%d left out)", r.Skipped)
	}
	b.WriteByte('\n')
	if r.Jobs > 0 {
		fmt.Fprintf(&b, "%s, ", plural(r.Jobs, "import job"))
	}
	fmt.Fprintf(&b, "%d rejected", r.Rejected)
	if r.Allowance != nil {
		fmt.Fprintf(&b, ", %s of the allowance used", percent(*r.Allowance))
		if r.Plan != "" {
			fmt.Fprintf(&b, " (plan %s)", r.Plan)
		}
	}
	b.WriteByte('\n')
	if r.PlanHint != "" {
		fmt.Fprintf(&b, "%s\n", r.PlanHint)
	}
	for _, reason := range byCount(r.ByReason) {
		fmt.Fprintf(&b, "  %6d  %s\n", r.ByReason[reason], reason)
	}
	for _, d := range r.Doubtful {
		fmt.Fprintf(&b, "  %s\n", d)
	}
	if r.FailuresFile != "" {
		fmt.Fprintf(&b, "The reasons are in %s.\n", r.FailuresFile)
	}
	if r.Retry != "" {
		fmt.Fprintf(&b, "To try the failed ones again:\n  %s\n", r.Retry)
	}
	if r.Resume != "" {
		fmt.Fprintf(&b, "To go on where this stopped:\n  %s\n", r.Resume)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// byCount returns the keys, those with the largest count first.
func byCount(counts map[string]int) []string {
	return slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		if counts[a] != counts[b] {
			return counts[b] - counts[a]
		}
		return strings.Compare(a, b)
	})
}

// percent writes a share rounded down: 99.96 % is not yet 100 %.
func percent(share float64) string {
	return fmt.Sprintf("%.1f %%", math.Floor(share*1e3+1e-9)/10)
}

func users(n int) string { return plural(n, "user") }

func requests(n int) string { return plural(n, "request") }

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// shellWord quotes s for a POSIX shell where it needs it.
func shellWord(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:,=@%+", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
