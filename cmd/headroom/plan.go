package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/headroom-go/auth0"
	"github.com/headroom-go/auth0/importer"
	"github.com/headroom-go/auth0/ratelimit"
)

type planFlags struct {
	sourceFlags
	plan    string
	workers int
	jobs    int
	show    int
	json    bool
}

func newPlan(sys *system) *cobra.Command {
	var f planFlags
	cmd := &cobra.Command{
		Use:   "plan FILE",
		Short: "Say what an import would take, and which users it would refuse",
		Long: `Check the users of FILE as headroom import does, and say how many import jobs or
requests they take, how long that is at the limits of a plan, and which users would
be refused and why. Nothing is sent, and no tenant is needed. FILE is as for
headroom import; - is standard input.

The time is that of the requests. How long Auth0 works on an import job is its own
affair and published nowhere; what is assumed for it is said.

The exit status is 1 when any user would be refused.`,
		Example: `  headroom plan users.ndjson --plan enterprise
  headroom plan people.csv --map Mail=email --plan free --json
  zcat users.gz | headroom plan -`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("plan needs one FILE, or - for standard input; %d were given", len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(sys, cmd, args[0]) },
	}
	fs := cmd.Flags()
	f.register(cmd)
	fs.StringVar(&f.plan, "plan", "", "the tenant's plan, see headroom limits (default AUTH0_PLAN, or enterprise)")
	fs.IntVar(&f.workers, "workers", 32, "with single requests: how many at a time, 1 to 1000")
	fs.IntVar(&f.jobs, "jobs", 2, "with import jobs: how many at a time, 1 or 2")
	fs.IntVar(&f.show, "show", 20, "how many refused users to list, up to 1000")
	fs.BoolVar(&f.json, "json", false, "print JSON")
	must(cmd.RegisterFlagCompletionFunc("plan", completePlan))
	for _, name := range []string{"workers", "jobs", "show"} {
		must(cmd.RegisterFlagCompletionFunc(name, cobra.NoFileCompletions))
	}
	return cmd
}

// planReport is what --json prints.
type planReport struct {
	Plan      string             `json:"plan"`
	File      string             `json:"file"`
	Bytes     int64              `json:"bytes"`
	SHA256    string             `json:"sha256"`
	Total     int                `json:"total"`
	Refused   int                `json:"refused"`
	RefusedAt importer.Ranges    `json:"refused_at"` // their positions, as --skip and --only count
	ByRule    map[string]int     `json:"by_rule,omitempty"`
	Problems  []importer.Problem `json:"problems,omitempty"` // the first of them, see --show
	Dropped   map[string]int     `json:"dropped,omitempty"`  // users with a field that no import takes
	Kept      map[string]int     `json:"not_updated,omitempty"`
	NeedJob   int                `json:"need_job"`
	NeedUsers int                `json:"need_users"`
	Largest   int                `json:"largest"`
	Via       importer.Via       `json:"via"`
	Why       string             `json:"why"`
	Ways      []planWay          `json:"ways"`
	Estimate  *importer.Estimate `json:"-"`
}

type planWay struct {
	Via      importer.Via `json:"via"`
	Possible bool         `json:"possible"`
	Why      string       `json:"why,omitempty"`
	Jobs     int          `json:"jobs,omitempty"`
	Calls    int          `json:"calls,omitempty"`
	Seconds  float64      `json:"seconds"`
	Assumed  string       `json:"assumed,omitempty"`
}

func (f *planFlags) run(sys *system, cmd *cobra.Command, path string) error {
	if err := f.check(); err != nil {
		return err
	}
	switch {
	case f.workers < 1 || f.workers > 1000:
		return fmt.Errorf("--workers %d is not between 1 and 1000", f.workers)
	case f.jobs < 1 || f.jobs > 2:
		return fmt.Errorf("--jobs %d is neither 1 nor 2, the most that Auth0 runs at a time", f.jobs)
	case f.show < 0 || f.show > 1000:
		return fmt.Errorf("--show %d is not between 0 and 1000", f.show)
	}
	name, flag := f.plan, "--plan"
	if name == "" {
		name, flag = sys.getenv(auth0.EnvPlan), auth0.EnvPlan
	}
	if name == "" || name == "auto" && flag == auth0.EnvPlan {
		name = localPlan
	}
	plan, err := ratelimit.Named(name)
	if err != nil {
		return planError(flag, err)
	}
	src, err := f.input(sys, path)
	if err != nil {
		return err
	}
	report, err := f.inspect(cmd, src, plan)
	if err != nil {
		return plainError(err) // nothing was begun
	}
	if f.json {
		err = writeJSON(sys.out, report)
	} else {
		err = report.text(sys.out)
	}
	if err == nil && report.Refused > 0 {
		return &exit{status: exitFailed}
	}
	return written(err)
}

func (f *planFlags) inspect(cmd *cobra.Command, src *importer.Source, plan *ratelimit.Plan) (*planReport, error) {
	verified := f.emailVerified(cmd.Flags())
	i, err := importer.Inspect(cmd.Context(), src, importer.Check{
		Connection: f.connection, Upsert: f.upsert, Duplicates: true, EmailVerified: verified, Via: importer.Via(f.via),
	})
	if err != nil {
		return nil, err
	}
	e := importer.Forecast(i, plan, importer.Options{
		Connection: f.connection, Via: importer.Via(f.via), Upsert: f.upsert, EmailVerified: verified, Workers: f.workers, MaxJobs: f.jobs,
	})
	r := &planReport{
		Plan: plan.Name, File: i.Name, Bytes: i.Size, SHA256: i.SHA256, Total: i.Total, Refused: i.Refused.Count(), RefusedAt: i.Refused,
		ByRule: i.ByRule, Problems: i.Problems[:min(len(i.Problems), f.show)], Dropped: i.Dropped, Kept: i.NotUpdated,
		NeedJob: i.NeedJob, NeedUsers: i.NeedUsers, Largest: i.Largest, Via: e.Via, Why: e.Why, Estimate: e,
	}
	for _, w := range e.Ways {
		r.Ways = append(r.Ways, planWay{w.Via, w.Possible, w.Why, w.Jobs, w.Calls, milli(w.Duration), w.Assumed})
	}
	return r, nil
}

func (r *planReport) text(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %s, at the limits of plan %s:\n", r.File, size(r.Bytes), r.Plan)
	if err := r.Estimate.WriteText(&b); err != nil {
		return err
	}
	counts := func(head string, m map[string]int) {
		if len(m) == 0 {
			return
		}
		fmt.Fprintf(&b, "\n%s\n", head)
		for _, k := range byCount(m) {
			fmt.Fprintf(&b, "  %6d  %s\n", m[k], k)
		}
	}
	counts("Fields that no import takes, and that are left out, with the users who have them:", r.Dropped)
	counts("Fields that an upsert leaves as they are where the user exists, with the users who have them:", r.Kept)
	counts("Refused, by the rule that is broken:", r.ByRule)
	if r.Refused > 0 {
		fmt.Fprintf(&b, "Their positions: %s\n", shorten(r.RefusedAt.String(), 200))
	}
	if len(r.Problems) > 0 {
		b.WriteByte('\n')
		for _, p := range r.Problems {
			fmt.Fprintln(&b, p.Message)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// shorten cuts a list off behind a comma.
func shorten(s string, most int) string {
	if len(s) <= most {
		return s
	}
	s = s[:most]
	return s[:strings.LastIndexByte(s, ',')+1] + "..."
}
