package importer

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/headroom-go/auth0/ratelimit"
)

const (
	// mostJobs, mostDoubts and mostSamples bound what a report holds.
	mostJobs    = 1000
	mostDoubts  = 1000
	mostSamples = 600
	firstSample = time.Second
	tellEvery   = 100 * time.Millisecond
)

// Stage is what a run is busy with.
type Stage string

// The stages of a run, in their order. One without users to try again has no
// StageRetrying.
const (
	StageChecking  Stage = "checking"
	StageImporting Stage = "importing"
	StageRetrying  Stage = "retrying"
	StageDone      Stage = "done"
)

// Progress is how far a run is. Users count once, whatever runs before this one
// did for them.
type Progress struct {
	Stage   Stage
	Elapsed time.Duration
	// Total is the number of users of the input, those included that are left
	// out; -1 while it is not known.
	Total int
	// Done is the sum of the five counts after it.
	Done                                      int
	Created, Updated, Exists, Failed, Refused int
	// Skipped are the users that the options leave out.
	Skipped int
	// BytesRead is how far the input has been read in this stage, BytesTotal its
	// size, -1 when it is not known.
	BytesRead, BytesTotal int64
	// JobsRunning, JobsDone and JobsTotal count import jobs; JobsTotal is -1 when
	// it is not known, and jobs that have to be repeated add to it.
	JobsRunning, JobsDone, JobsTotal int
	// Waiting are requests that wait for the throttle, InFlight those sent whose
	// answer is still to come.
	Waiting, InFlight int
	// Rejected counts the requests of this run that a rate limit turned back.
	Rejected int64
	// Via is the way, ViaAuto until it is chosen.
	Via Via
	// Note says what is being waited for, or done about the last thing that was in
	// doubt.
	Note string
}

// Kind sorts failures by what there is to do.
type Kind string

const (
	// KindFix marks users that have to be changed before they can be imported.
	KindFix Kind = "fix"
	// KindRetry marks users that failed for reasons that may pass, and did not.
	KindRetry Kind = "retry"
	// KindRefused marks users that break a rule and were not sent.
	KindRefused Kind = "refused"
	// KindUnknown marks users of whom it could not be found out why they fail.
	KindUnknown Kind = "unknown"
)

// Failure is a user that was not imported. It names the user and the reason,
// and nothing else of the record: no password, hash or metadata.
type Failure struct {
	Line   int    `json:"line,omitempty"`  // of the input
	Number int    `json:"number"`          // position among the input's users
	User   string `json:"user,omitempty"`  // e-mail address, id, user name or number
	Kind   Kind   `json:"kind"`            // what there is to do
	Code   string `json:"code"`            // the rule or the tenant's code
	Field  string `json:"field,omitempty"` // the property at fault
	Reason string `json:"reason"`
}

// JobReport is one import job.
type JobReport struct {
	ID      string    `json:"id"`
	Chunk   int       `json:"chunk"`   // number of the part of the input, from 1
	Attempt int       `json:"attempt"` // from 1
	Status  string    `json:"status"`
	Users   int       `json:"users"`
	Bytes   int       `json:"bytes"`
	Created int       `json:"created"`
	Updated int       `json:"updated,omitempty"`
	Exists  int       `json:"exists,omitempty"`
	Failed  int       `json:"failed,omitempty"` // those included that are tried again
	Started time.Time `json:"started"`
	Ended   time.Time `json:"ended"`
}

// Sample is the state of a run at one moment.
type Sample struct {
	At       time.Duration `json:"at"` // since the beginning, in nanoseconds in JSON
	Done     int           `json:"done"`
	Failed   int           `json:"failed"` // those refused included
	Jobs     int           `json:"jobs"`   // running
	Rejected int64         `json:"rejected"`
	Buckets  []BucketLevel `json:"buckets,omitempty"`
}

// BucketLevel is the content of a rate limit's bucket as the throttle knows it.
type BucketLevel struct {
	Name  string  `json:"name"`
	Level float64 `json:"level"`
	Burst float64 `json:"burst"`
}

// Report is the outcome of a run. Every user is in exactly one of the seven
// counts that Total is the sum of, and users that earlier runs with the same
// ledger have settled count like those of this one.
type Report struct {
	Total      int `json:"total"`      // users of the input, as far as it was read
	Created    int `json:"created"`    // made by this import
	Updated    int `json:"updated"`    // there before, and changed (with Upsert)
	Exists     int `json:"exists"`     // there before, and left as they were
	Failed     int `json:"failed"`     // not imported, see Options.Failed
	Refused    int `json:"refused"`    // break a rule, and were not sent
	Skipped    int `json:"skipped"`    // left out by Skip, Done and Only
	Unfinished int `json:"unfinished"` // not begun, or not known yet

	Via          Via    `json:"via"`
	Connection   string `json:"connection"`
	ConnectionID string `json:"connection_id,omitempty"`
	Resumed      bool   `json:"resumed,omitempty"` // an earlier run was gone on with
	Stopped      bool   `json:"stopped,omitempty"` // by Options.Stop
	// Resume reports that something is left which a run with Options.Resume does.
	Resume bool `json:"resume,omitempty"`
	// Error is why the run ended early.
	Error string `json:"error,omitempty"`

	// Rejected counts the requests of this run that a rate limit turned back.
	Rejected int64         `json:"rejected"`
	Elapsed  time.Duration `json:"elapsed"` // nanoseconds in JSON

	// ByReason counts failed and refused users by code and field.
	ByReason map[string]int `json:"by_reason"`
	// Doubtful says what was done about each thing that was in doubt.
	Doubtful []string `json:"doubtful,omitempty"`
	// Jobs are the first 1,000 jobs of this run, JobsCount is the number of all.
	Jobs      []JobReport `json:"jobs,omitempty"`
	JobsCount int         `json:"jobs_count"`
	// Series are samples of the run, one each SampleEvery, 600 at most.
	Series      []Sample      `json:"series"`
	SampleEvery time.Duration `json:"sample_every"`

	// FailedAt are the failed and the refused users, for another run with Options.Only, and
	// Settled all whose fate is known, for one with Options.Done.
	FailedAt Ranges `json:"-"`
	Settled  Ranges `json:"-"`
}

// WriteJSON writes the report as one JSON object on one line.
func (r *Report) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(r)
}

// WriteText writes the report for people.
func (r *Report) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s in %s", plural(r.Total, "user"), r.Elapsed.Round(100*time.Millisecond))
	sep := ": "
	for _, c := range []struct {
		n      int
		what   string
		always bool
	}{
		{r.Created, "created", true}, {r.Updated, "updated", false}, {r.Exists, "existed", true}, {r.Failed, "failed", true},
		{r.Refused, "refused before sending", false}, {r.Skipped, "left out", false}, {r.Unfinished, "not done", false},
	} {
		if c.n > 0 || c.always {
			fmt.Fprintf(&b, "%s%d %s", sep, c.n, c.what)
			sep = ", "
		}
	}
	way := "single calls"
	if r.Via == ViaJobs {
		way = plural(r.JobsCount, "import job")
	}
	fmt.Fprintf(&b, "\nby %s, %d rejected by a rate limit\n", way, r.Rejected)
	if len(r.ByReason) > 0 {
		b.WriteString("Reasons:\n")
		for _, reason := range slices.SortedFunc(maps.Keys(r.ByReason), func(x, y string) int {
			if d := r.ByReason[y] - r.ByReason[x]; d != 0 {
				return d
			}
			return strings.Compare(x, y)
		}) {
			fmt.Fprintf(&b, "  %6d  %s\n", r.ByReason[reason], reason)
		}
	}
	if len(r.Doubtful) > 0 {
		b.WriteString("In doubt:\n")
		for _, d := range r.Doubtful {
			fmt.Fprintf(&b, "  %s\n", d)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func pluralAre(n int) string {
	if n == 1 {
		return "1 user is"
	}
	return fmt.Sprintf("%d users are", n)
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// report sums up the run.
func (r *run) report() *Report {
	r.outcomes.flush()
	r.mu.Lock()
	defer r.mu.Unlock()
	out := &Report{
		Via: r.via, Connection: r.connection.name, ConnectionID: r.connection.id, Resumed: r.resumed, Stopped: r.stopped,
		Rejected: max(0, r.rejections()-r.rejected), Elapsed: time.Since(r.began).Round(time.Millisecond),
		ByReason: make(map[string]int), Doubtful: r.doubtful, Jobs: r.jobs, JobsCount: r.jobsCount,
		Series: r.series.list, SampleEvery: r.series.every, Total: r.total, Skipped: r.skippedLocked(),
	}
	ended := false
	r.led.view(func(b *books) {
		out.Created, out.Updated, out.Exists, out.Failed, out.Refused = b.created, b.updated, b.exists, b.failed, b.refused
		out.FailedAt, out.Settled = b.failedAt.Clone(), b.settled.Clone()
		for reason, n := range b.reasons {
			out.ByReason[reason] += n
		}
		ended = b.ended
	})
	if r.strict > 0 {
		out.Refused, out.ByReason = r.strict, r.rules
	}
	if r.err != nil {
		out.Error = r.err.Error()
	}
	if r.trouble != "" && r.stopped {
		out.Doubtful = append(slices.Clip(out.Doubtful), "when the run was stopped the tenant did not answer: "+strings.TrimPrefix(r.trouble, "no answer, trying again: "))
	}
	sum := out.Created + out.Updated + out.Exists + out.Failed + out.Refused + out.Skipped
	out.Total = max(out.Total, sum)
	out.Unfinished = out.Total - sum
	out.Resume = !ended && r.led.path != "" && r.led.id != nil
	return out
}

// skippedLocked counts the users that are left out. r.mu is held.
func (r *run) skippedLocked() int {
	if r.inspection == nil {
		return r.skipped
	}
	if r.o.Skip == 0 && len(r.o.Done.spans)+len(r.o.Only.spans) == 0 {
		return 0
	}
	if r.skippedAll == nil {
		n := 0
		for i := 1; i <= r.inspection.Total; i++ {
			if r.o.leavesOut(i) {
				n++
			}
		}
		r.skippedAll = &n
	}
	return *r.skippedAll
}

// progress takes stock.
func (r *run) progress() Progress {
	r.mu.Lock()
	p := Progress{
		Stage: r.stage, Elapsed: time.Since(r.began), Total: -1, Skipped: r.skippedLocked(),
		BytesRead: r.src.Position(), BytesTotal: r.src.Size(),
		JobsRunning: r.running, JobsDone: r.jobsCount, JobsTotal: -1,
		Waiting: max(0, r.calls-r.away), InFlight: r.away, Rejected: max(0, r.rejections()-r.rejected), Via: r.via, Note: r.note,
	}
	if r.inspection != nil {
		p.Total = r.inspection.Total
		switch r.via {
		case ViaJobs:
			p.JobsTotal = max(r.inspection.Jobs, p.JobsDone+p.JobsRunning)
		case ViaUsers:
			p.JobsTotal = 0
		}
	}
	if p.Stage == StageDone {
		p.Total = r.total
	}
	r.mu.Unlock()
	if r.led != nil {
		r.led.view(func(b *books) {
			p.Created, p.Updated, p.Exists, p.Failed, p.Refused = b.created, b.updated, b.exists, b.failed, b.refused
		})
	}
	r.outcomes.pending(&p)
	p.Done = p.Created + p.Updated + p.Exists + p.Failed + p.Refused
	return p
}

// tell passes on the progress until the run is over, and then once more.
func (r *run) tell(over <-chan struct{}) {
	if r.o.Progress == nil {
		return
	}
	t := time.NewTicker(tellEvery)
	defer t.Stop()
	last := Progress{Total: -2}
	tell := func() {
		p := r.progress()
		same := p
		same.Elapsed = last.Elapsed
		if same != last {
			last = p
			r.o.Progress(p)
		}
	}
	tell()
	for {
		select {
		case <-over:
			tell()
			return
		case <-t.C:
			tell()
		}
	}
}

func (r *run) setStage(s Stage) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stage = s
}

// series are samples at even distances. When there are too many, every second
// one goes and the distance doubles.
type series struct {
	every time.Duration
	list  []Sample
}

// sample takes samples until the run is over.
func (r *run) sample(over <-chan struct{}) {
	t := time.NewTimer(firstSample)
	defer t.Stop()
	every := firstSample
	for {
		s := r.state()
		r.mu.Lock()
		r.series.every = every
		if r.series.list = append(r.series.list, s); len(r.series.list) >= mostSamples {
			kept := r.series.list[:0]
			for i := 0; i < mostSamples; i += 2 {
				kept = append(kept, r.series.list[i])
			}
			r.series.list = kept
			every *= 2
			r.series.every = every
		}
		r.mu.Unlock()
		t.Reset(every)
		select {
		case <-over:
			s := r.state()
			r.mu.Lock()
			r.series.list = append(r.series.list, s)
			r.mu.Unlock()
			return
		case <-t.C:
		}
	}
}

func (r *run) state() Sample {
	p := r.progress()
	s := Sample{At: p.Elapsed.Round(time.Millisecond), Done: p.Done, Failed: p.Failed + p.Refused, Jobs: p.JobsRunning, Rejected: p.Rejected}
	l := r.c.Limiter()
	if l == nil {
		return s
	}
	for _, b := range l.Snapshot().Buckets {
		if b.API == "management" && b.Concurrent == 0 {
			s.Buckets = append(s.Buckets, BucketLevel{b.Name, math.Round(b.Estimate*10) / 10, float64(b.Burst)})
		}
	}
	return s
}

// rejections is how many requests the limiter has seen turned back by buckets.
func (r *run) rejections() int64 {
	l := r.c.Limiter()
	if l == nil {
		return 0
	}
	var n int64
	for _, b := range l.Snapshot().Buckets {
		n += b.Rejected
	}
	return n
}

// planOf returns the plan that a limiter goes by, nil when it has none or is
// still to recognise it.
func planOf(l *ratelimit.Limiter) *ratelimit.Plan {
	if l == nil {
		return nil
	}
	name := l.Snapshot().Plan
	if name == "auto" {
		return nil
	}
	plan, err := ratelimit.Named(name)
	if err != nil {
		return nil // a plan of one's own
	}
	return plan
}
