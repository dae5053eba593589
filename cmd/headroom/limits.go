package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/headroom-go/auth0"
	"github.com/headroom-go/auth0/auth0test"
	"github.com/headroom-go/auth0/ratelimit"
	"github.com/spf13/cobra"
)

type limitsFlags struct {
	plan     string
	route    string
	fields   []string
	requests bool
	json     bool
}

func newLimits(sys *system) *cobra.Command {
	var f limitsFlags
	cmd := &cobra.Command{
		Use:   "limits [PLAN]",
		Short: "Show the published rate limits of a plan",
		Long: `Without a plan, list the plans. With one, list its limits: how many requests a
bucket holds (burst), how fast it fills again (rate), and whose requests share
it (key). With --route, list the buckets that one request draws from, in the
order in which they are checked.

The figures are Auth0's published ones. A tenant may have others: its answers
carry them in their x-ratelimit headers.`,
		Example: `  headroom limits
  headroom limits enterprise
  headroom limits enterprise/non-production --requests
  headroom limits --plan enterprise --route "POST /api/v2/users"
  headroom limits --plan enterprise --route "POST /oauth/token" --field grant_type=password`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: completePlanArg,
		RunE: func(_ *cobra.Command, args []string) error {
			return f.run(sys, args)
		},
	}
	fs := cmd.Flags()
	fs.StringVar(&f.plan, "plan", "", "plan, in place of the argument (default with --route: AUTH0_PLAN)")
	fs.StringVar(&f.route, "route", "", `one request, as in "GET /api/v2/users?q=x"`)
	fs.StringArrayVar(&f.fields, "field", nil, "with --route: a field of the request's body, NAME=VALUE, where a limit depends on it")
	fs.BoolVar(&f.requests, "requests", false, "list the requests that draw from each bucket")
	fs.BoolVar(&f.json, "json", false, "print JSON")
	must(cmd.RegisterFlagCompletionFunc("plan", completePlan))
	return cmd
}

func (f *limitsFlags) run(sys *system, args []string) error {
	name, flag := f.plan, "--plan"
	if len(args) == 1 {
		if name != "" && name != args[0] {
			return fmt.Errorf("the argument names plan %q and --plan %q: give one", args[0], name)
		}
		name, flag = args[0], "PLAN"
	}
	if f.route == "" {
		if len(f.fields) > 0 {
			return errors.New("--field describes a request: it goes with --route")
		}
		if name == "" {
			return written(f.listPlans(sys.out))
		}
	}
	if name == "" {
		name, flag = sys.getenv(auth0.EnvPlan), auth0.EnvPlan
	}
	if name == "" || name == "auto" {
		return errors.New("--route needs to know the plan: give --plan NAME, or run headroom limits for a list")
	}
	plan, err := ratelimit.Named(name)
	if err != nil {
		return planError(flag, err)
	}
	if f.route != "" {
		return f.showRoute(sys, plan)
	}
	return written(f.showPlan(sys.out, plan))
}

// written marks an error as one of output rather than usage.
func written(err error) error {
	if err != nil {
		return &exit{exitFailed, err}
	}
	return nil
}

func planError(flag string, err error) error {
	text := strings.TrimSuffix(strings.TrimPrefix(err.Error(), "ratelimit: "), "; ratelimit.Names lists all")
	return fmt.Errorf("%s: %s; headroom limits lists the plans", flag, text)
}

// limitBucket is a bucket as --json prints it.
type limitBucket struct {
	Name       string   `json:"name"`
	API        string   `json:"api"`
	Role       string   `json:"role"`
	Burst      int64    `json:"burst,omitempty"`
	Rate       *rate    `json:"rate,omitempty"`
	WindowS    float64  `json:"window_s,omitempty"`
	Key        string   `json:"key"`
	Concurrent int      `json:"concurrent,omitempty"`
	Peak       *peak    `json:"peak,omitempty"`
	OtherPage  bool     `json:"other_page,omitempty"`
	Requests   []string `json:"requests,omitempty"`
}

type rate struct {
	Count int64   `json:"count"`
	PerS  float64 `json:"per_s"`
}

type peak struct {
	Burst int64 `json:"burst"`
	Rate  rate  `json:"rate"`
	Hours int   `json:"hours_a_month"`
}

func asJSON(b *ratelimit.Bucket, requests bool) limitBucket {
	l := limitBucket{Name: b.Name, API: b.API, Role: b.Role.String(), Key: b.Key.String(), Concurrent: b.Concurrent, WindowS: b.Window.Seconds(), OtherPage: b.OtherPage}
	if b.Concurrent == 0 {
		l.Burst, l.Rate = b.Burst, &rate{b.Rate.Count, b.Rate.Per.Seconds()}
	}
	if b.Peak.Hours > 0 {
		l.Peak = &peak{b.Peak.Burst, rate{b.Peak.Rate.Count, b.Peak.Rate.Per.Seconds()}, b.Peak.Hours}
	}
	if requests {
		l.Requests = []string{}
		for i := range b.Matches {
			l.Requests = append(l.Requests, matchText(&b.Matches[i]))
		}
	}
	return l
}

// matchText writes which requests a match stands for.
func matchText(m *ratelimit.Match) string {
	if m.Event != "" {
		return "event " + m.Event
	}
	var b strings.Builder
	b.WriteString(m.Method + " " + m.Path)
	for i := range m.When {
		c := &m.When[i]
		b.WriteByte(' ')
		switch c.In {
		case ratelimit.InQuery:
			b.WriteString("?" + c.Name)
		case ratelimit.InToken:
			b.WriteString("token." + c.Name)
		default:
			b.WriteString(c.Name)
		}
		if c.Equals != "" {
			b.WriteString("=" + c.Equals)
		}
		if len(c.AnyWord) > 0 {
			b.WriteString(" with " + strings.Join(c.AnyWord, " or "))
		}
		if len(c.NoPrefix) > 0 {
			b.WriteString(" except " + strings.Join(c.NoPrefix, " "))
		}
	}
	return strings.ReplaceAll(b.String(), "  ", " ")
}

// writeLine writes a value as one line of JSON.
func writeLine(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// writeJSON writes a value as JSON for people.
func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

func (f *limitsFlags) listPlans(w io.Writer) error {
	type line struct {
		Name       string       `json:"name"`
		Management *limitBucket `json:"management"`
		Auth       *limitBucket `json:"authentication"`
		Buckets    int          `json:"buckets"`
	}
	lines := []line{}
	for _, name := range ratelimit.Names() {
		p, err := ratelimit.Named(name)
		if err != nil {
			return err
		}
		lines = append(lines, line{name, apiWide(p, "management"), apiWide(p, "authentication"), len(p.Buckets)})
	}
	if f.json {
		return writeJSON(w, lines)
	}
	t := newTable(w)
	t.row("PLAN", "MANAGEMENT API", "AUTHENTICATION API", "BUCKETS")
	for _, l := range lines {
		t.row(l.Name, short(l.Management), short(l.Auth), strconv.Itoa(l.Buckets))
	}
	return t.flush()
}

// apiWide returns the bucket that everything in an API draws from, or else
// everything without a bucket of its own.
func apiWide(p *ratelimit.Plan, api string) *limitBucket {
	for _, role := range []ratelimit.Role{ratelimit.RoleGlobal, ratelimit.RoleCatchAll} {
		for i := range p.Buckets {
			if b := &p.Buckets[i]; b.API == api && b.Role == role && b.Concurrent == 0 {
				l := asJSON(b, false)
				return &l
			}
		}
	}
	return nil
}

func short(b *limitBucket) string {
	if b == nil {
		return "-"
	}
	return fmt.Sprintf("%d burst, %s", b.Burst, formatRate(b.Rate, 0))
}

func (f *limitsFlags) showPlan(w io.Writer, p *ratelimit.Plan) error {
	buckets := make([]limitBucket, len(p.Buckets))
	for i := range p.Buckets {
		buckets[i] = asJSON(&p.Buckets[i], true)
	}
	if f.json {
		return writeJSON(w, struct {
			Plan    string        `json:"plan"`
			Title   string        `json:"title"`
			AsOf    string        `json:"as_of"`
			Buckets []limitBucket `json:"buckets"`
		}{p.Name, p.Title, p.AsOf, buckets})
	}
	if _, err := fmt.Fprintf(w, "%s, as published %s\n\n", p.Title, p.AsOf); err != nil {
		return err
	}
	// By API, each where its first bucket stands.
	order := map[string]int{}
	for i := range buckets {
		if _, ok := order[buckets[i].API]; !ok {
			order[buckets[i].API] = i
		}
	}
	slices.SortStableFunc(buckets, func(a, b limitBucket) int { return order[a.API] - order[b.API] })
	return f.table(w, buckets)
}

func (f *limitsFlags) table(w io.Writer, buckets []limitBucket) error {
	t := newTable(w)
	t.row("API", "BUCKET", "BURST", "RATE", "KEY", "COUNTS")
	for i := range buckets {
		b := &buckets[i]
		burst, rate := strconv.FormatInt(b.Burst, 10), formatRate(b.Rate, b.WindowS)
		if b.Concurrent > 0 {
			burst, rate = "-", fmt.Sprintf("%d at a time", b.Concurrent)
		}
		counts := roleCounts(b)
		if f.requests && len(b.Requests) > 0 {
			counts = b.Requests[0]
		}
		t.row(b.API, b.Name, burst, rate, b.Key, counts)
		if f.requests {
			for _, r := range b.Requests[min(1, len(b.Requests)):] {
				t.row("", "", "", "", "", r)
			}
		}
	}
	return t.flush()
}

// roleCounts says in a few words which requests a bucket counts.
func roleCounts(b *limitBucket) string {
	switch b.Role {
	case "global":
		return "every request"
	case "catch-all":
		return "requests without a bucket of their own"
	}
	if len(b.Requests) == 0 {
		return ""
	}
	// The first one, without its conditions; --requests shows them all.
	words := strings.SplitN(b.Requests[0], " ", 3)
	s := strings.Join(words[:min(2, len(words))], " ")
	if len(words) > 2 {
		s += " ..."
	}
	if more := len(b.Requests) - 1; more > 0 {
		s += fmt.Sprintf(" and %d more", more)
	}
	return s
}

func (f *limitsFlags) showRoute(sys *system, p *ratelimit.Plan) error {
	w := sys.out
	req, err := parseRoute(f.route, f.fields)
	if err != nil {
		return err
	}
	route := p.Route(req)
	if (route.Template == "" || strings.HasSuffix(route.Template, "*")) && unknownRoute(req) {
		_, _ = fmt.Fprintf(sys.err, "Note: no limit names %s, and the simulated tenant has no such call; is it spelt right?\n", f.route)
	}
	buckets := make([]limitBucket, 0, route.N)
	for _, i := range route.Buckets[:route.N] {
		buckets = append(buckets, asJSON(&p.Buckets[i], false))
	}
	if f.json {
		return written(writeJSON(w, struct {
			Plan    string        `json:"plan"`
			Route   string        `json:"route"`
			Buckets []limitBucket `json:"buckets"`
		}{p.Name, route.Template, buckets}))
	}
	if len(buckets) == 0 {
		_, err := fmt.Fprintf(w, "%s draws from no bucket of plan %s.\n", f.route, p.Name)
		return written(err)
	}
	t := newTable(w)
	t.row("API", "BUCKET", "BURST", "RATE", "KEY")
	for i := range buckets {
		b := &buckets[i]
		burst, rate := strconv.FormatInt(b.Burst, 10), formatRate(b.Rate, b.WindowS)
		if b.Concurrent > 0 {
			burst, rate = "-", fmt.Sprintf("%d at a time", b.Concurrent)
		}
		t.row(b.API, b.Name, burst, rate, b.Key)
	}
	return written(t.flush())
}

// unknownRoute reports whether the simulated tenant, which has every operation of
// the Management API and most of the Authentication API, knows nothing of a call.
func unknownRoute(r *ratelimit.Request) bool {
	tenant, err := auth0test.New(auth0test.Options{})
	if err != nil {
		return false
	}
	req, err := http.NewRequestWithContext(context.Background(), r.Method, "https://"+tenant.Domain()+r.Path, http.NoBody)
	if err != nil {
		return false
	}
	req.URL.RawQuery = r.RawQuery
	req.Header.Set("Authorization", "Bearer "+tenant.Token())
	resp, err := tenant.RoundTrip(req)
	if err != nil {
		return false
	}
	defer func() { _ = resp.Body.Close() }()
	var answer struct {
		Message string `json:"message"`
	}
	// What an operation does not find it calls by name.
	return resp.StatusCode == http.StatusNotFound && json.NewDecoder(resp.Body).Decode(&answer) == nil && answer.Message == http.StatusText(http.StatusNotFound)
}

// routeFields answers the router's questions about a body from --field.
type routeFields map[string]string

func (r routeFields) BodyField(name string) string { return r[name] }
func (routeFields) TokenClaim(string) string       { return "" }
func (routeFields) ClientIP() string               { return "" }

func parseRoute(route string, fields []string) (*ratelimit.Request, error) {
	method, target, ok := strings.Cut(strings.TrimSpace(route), " ")
	target = strings.TrimSpace(target)
	u, err := url.Parse(target)
	if !ok || err != nil || method != strings.ToUpper(method) || !strings.HasPrefix(u.Path, "/") {
		return nil, fmt.Errorf(`--route %q is not a method and a path, as in "POST /api/v2/users"`, route)
	}
	path, query, _ := strings.Cut(target, "?")
	if u.Host != "" { // a whole URL
		path, query = u.EscapedPath(), u.RawQuery
	}
	req := &ratelimit.Request{Method: method, Path: path, RawQuery: query}
	details := routeFields{}
	for _, f := range fields {
		name, value, ok := strings.Cut(f, "=")
		if !ok || name == "" {
			return nil, fmt.Errorf("--field %q is not NAME=VALUE", f)
		}
		details[name] = value
	}
	req.Details = details
	return req, nil
}

// formatRate writes a rate as 16/s, 500/min or 5/day.
func formatRate(r *rate, windowS float64) string {
	if r == nil {
		return "-"
	}
	s := ratelimit.Rate{Count: r.Count, Per: time.Duration(r.PerS * float64(time.Second))}.String()
	if windowS > 0 {
		s += fmt.Sprintf(", in windows of %v", time.Duration(windowS*float64(time.Second)))
	}
	return s
}

// table aligns columns.
type table struct{ w *tabwriter.Writer }

func newTable(w io.Writer) table { return table{tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)} }

func (t table) row(cells ...string) { _, _ = fmt.Fprintln(t.w, strings.Join(cells, "\t")) }

func (t table) flush() error { return t.w.Flush() }

// completePlan completes --plan.
func completePlan(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return append([]string{"auto"}, ratelimit.Names()...), cobra.ShellCompDirectiveNoFileComp
}

func completePlanArg(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return ratelimit.Names(), cobra.ShellCompDirectiveNoFileComp
}

// must panics on errors that only a mistake in this program can cause.
func must(err error) {
	if err != nil {
		panic(err)
	}
}
