package importer

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/headroom-go/auth0/ratelimit"
)

const (
	// assumedJob and assumedUser are what a job and each of its users are taken
	// to last. Auth0 publishes neither.
	assumedJob  = 10 * time.Second
	assumedUser = 20 * time.Millisecond
	// pollsAJob is how many questions a job costs at most in that time: one after
	// a second, then less and less often.
	pollsAJob = 8
)

// Estimate is what an import will take, as far as that is known beforehand.
type Estimate struct {
	Via Via    `json:"via"` // the way that the import takes
	Why string `json:"why"`
	// Users is the number of users of the input, Refused those of them that will
	// not be sent.
	Users   int `json:"users"`
	Refused int `json:"refused"`
	// NeedJob and NeedUsers are the users that only a job, or only a single call,
	// can carry.
	NeedJob   int   `json:"need_job"`
	NeedUsers int   `json:"need_users"`
	Ways      []Way `json:"ways"`
}

// Way is what one of the ways takes.
type Way struct {
	Via      Via    `json:"via"`
	Possible bool   `json:"possible"`
	Why      string `json:"why,omitempty"` // why not
	Jobs     int    `json:"jobs"`
	Calls    int    `json:"calls"` // requests, with what jobs need to be asked about
	// Duration is the least time, 0 when it is not known: calls at the plan's
	// rates, jobs as many at a time as Options.MaxJobs says.
	Duration time.Duration `json:"duration"`
	// Assumed says what the duration rests on beside the plan.
	Assumed string `json:"assumed,omitempty"`
}

// Forecast says what an import of what was inspected takes by each way, and
// which way ViaAuto takes. A nil plan is one that is not known. Nothing is sent.
func Forecast(i *Inspection, plan *ratelimit.Plan, o Options) *Estimate {
	if err := o.check(); err != nil {
		return &Estimate{Via: o.Via, Why: err.Error()}
	}
	users := i.Total - i.Refused.Count()
	e := &Estimate{Users: i.Total, Refused: i.Refused.Count(), NeedJob: i.NeedJob, NeedUsers: i.NeedUsers}
	single := Way{Via: ViaUsers, Possible: i.NeedJob == 0 && i.WithoutPassword == 0, Calls: users}
	switch {
	case i.NeedJob > 0:
		single.Why = fmt.Sprintf("%s a password hash or second factors, which only a job can set", havePlural(i.NeedJob))
	case i.WithoutPassword > 0:
		single.Why = fmt.Sprintf("%s no password in clear text, and a single call for a database needs one", havePlural(i.WithoutPassword))
	}
	single.Duration = callTime(plan, http.MethodPost, "/api/v2/users", users)
	jobs := Way{Via: ViaJobs, Possible: i.NeedUsers < users || users == 0, Jobs: i.Jobs, Calls: i.Jobs*(2+pollsAJob) + i.NeedUsers}
	if !jobs.Possible {
		jobs.Why = "all users have a password in clear text or a connection of their own, which no job takes"
	}
	if i.Jobs > 0 {
		perJob := assumedJob + time.Duration((users-i.NeedUsers)/i.Jobs)*assumedUser
		rounds := (i.Jobs + o.MaxJobs - 1) / o.MaxJobs
		jobs.Duration = max(time.Duration(rounds)*perJob, callTime(plan, http.MethodPost, "/api/v2/users", i.NeedUsers))
		jobs.Assumed = fmt.Sprintf("%d jobs at a time, each %v and %v more for each user; Auth0 publishes no figure", o.MaxJobs, assumedJob, assumedUser)
	}
	e.Ways = []Way{jobs, single}
	switch {
	case o.Via != ViaAuto:
		e.Via, e.Why = o.Via, "it was chosen"
	case !jobs.Possible && users > 0:
		e.Via, e.Why = ViaUsers, jobs.Why
	case !single.Possible:
		e.Via, e.Why = ViaJobs, single.Why
	case users == 0:
		e.Via, e.Why = ViaJobs, "there is nobody to import"
	default:
		e.Via, e.Why = ViaJobs, fmt.Sprintf("%s no need of a single call", havePlural(users-i.NeedUsers))
	}
	return e
}

// havePlural begins a sentence about so many users.
func havePlural(n int) string {
	if n == 1 {
		return "1 user has"
	}
	return fmt.Sprintf("%d users have", n)
}

// callTime is how long n calls take at least under a plan, 0 when that is not
// known: the burst goes at once, the rest at the rate.
func callTime(plan *ratelimit.Plan, method, path string, n int) time.Duration {
	if plan == nil {
		return 0
	}
	var longest time.Duration
	route := plan.Route(&ratelimit.Request{Method: method, Path: path})
	for _, i := range route.Buckets[:route.N] {
		b := &plan.Buckets[i]
		if b.Concurrent > 0 || b.Rate.Count <= 0 {
			continue
		}
		if rest := int64(n) - b.Burst; rest > 0 {
			longest = max(longest, time.Duration(float64(rest)/float64(b.Rate.Count)*float64(b.Rate.Per)))
		}
	}
	return longest
}

// WriteText writes the estimate for people.
func (e *Estimate) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %d refused\n", plural(e.Users, "user"), e.Refused)
	for _, way := range e.Ways {
		name := "single calls"
		if way.Via == ViaJobs {
			name = "import jobs"
		}
		switch {
		case !way.Possible:
			fmt.Fprintf(&b, "  %-12s  not possible: %s\n", name, way.Why)
			continue
		case way.Via == ViaJobs:
			fmt.Fprintf(&b, "  %-12s  %s, about %s", name, plural(way.Jobs, "job"), plural(way.Calls, "request"))
		default:
			fmt.Fprintf(&b, "  %-12s  %s", name, plural(way.Calls, "request"))
		}
		if way.Duration > 0 {
			fmt.Fprintf(&b, ", %v at least", way.Duration.Round(time.Second))
		}
		if way.Assumed != "" {
			fmt.Fprintf(&b, " (%s)", way.Assumed)
		}
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "Way: %s, because %s.\n", e.Via, e.Why)
	_, err := io.WriteString(w, b.String())
	return err
}
