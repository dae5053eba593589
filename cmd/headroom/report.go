package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strings"
	"time"
)

// importReport is the outcome of an import, as --json prints it.
type importReport struct {
	Total      int      `json:"total"`      // users read, less those left out
	Created    int      `json:"created"`    // made by this run
	Exists     int      `json:"exists"`     // there before
	Failed     int      `json:"failed"`     // see the failures file
	Unfinished int      `json:"unfinished"` // called off before they were sent, or unknown
	Skipped    int      `json:"skipped"`    // left out by --skip, --done and --only
	Rejected   int      `json:"rejected"`   // answers with status 429
	ElapsedS   float64  `json:"elapsed_s"`
	Allowance  *float64 `json:"allowance_used"` // 0 to 1; null when no limit is known
	Plan       string   `json:"plan,omitempty"`

	Interrupted  bool   `json:"interrupted,omitempty"`
	FailuresFile string `json:"failures_file,omitempty"`
	Error        string `json:"error,omitempty"`
	Resume       string `json:"resume,omitempty"` // the command that does what this one left
	Retry        string `json:"retry,omitempty"`  // the command that tries the failed ones again
}

// report sums up a run that has ended.
func (j *importJob) report(elapsed time.Duration, rejected int, allowance float64) importReport {
	j.mu.Lock()
	defer j.mu.Unlock()
	r := importReport{
		Total: j.total, Created: j.created, Exists: j.exists, Failed: j.failed, Skipped: j.skipped,
		Unfinished: j.total - j.created - j.exists - j.failed,
		Rejected:   rejected, ElapsedS: math.Round(elapsed.Seconds()*1000) / 1000,
	}
	if !math.IsNaN(allowance) {
		a := math.Floor(allowance*1e4) / 1e4 // never up to a figure that was not reached
		r.Allowance = &a
	}
	if j.failures.made() {
		r.FailuresFile = j.failures.path
	}
	if j.abort != nil {
		r.Error = j.abort.Error()
	}
	return r
}

func (r *importReport) json(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(r)
}

func (r *importReport) text(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s in %.1f s: %d created, %d existed, %d failed", users(r.Total), r.ElapsedS, r.Created, r.Exists, r.Failed)
	if r.Unfinished > 0 {
		fmt.Fprintf(&b, ", %d not done", r.Unfinished)
	}
	if r.Skipped > 0 {
		fmt.Fprintf(&b, " (%d left out)", r.Skipped)
	}
	fmt.Fprintf(&b, "\n%d rejected", r.Rejected)
	if r.Allowance != nil {
		fmt.Fprintf(&b, ", %s of the allowance used", percent(*r.Allowance))
		if r.Plan != "" {
			fmt.Fprintf(&b, " (plan %s)", r.Plan)
		}
	}
	b.WriteByte('\n')
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

// percent writes a share rounded down: 99.96 % is not yet 100 %.
func percent(share float64) string {
	return fmt.Sprintf("%.1f %%", math.Floor(share*1e3+1e-9)/10)
}

func users(n int) string {
	if n == 1 {
		return "1 user"
	}
	return fmt.Sprintf("%d users", n)
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
