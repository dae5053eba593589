package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/headroom-go/auth0/auth0test"
	"github.com/headroom-go/auth0/ratelimit"
	"github.com/spf13/cobra"
)

type tenantFlags struct {
	plan        string
	addr        string
	latency     time.Duration
	jitter      time.Duration
	lost        share
	serverError share
	stale       share
	missing     share
	empty       share
	consumers   []string
	poisson     bool
	refill      choice[auth0test.Refill]
	reset       choice[auth0test.Reset]
	describe    choice[auth0test.Describe]
	retryAfter  bool
	skew        time.Duration
	connections []string
	seed        uint64
	json        bool
}

func newTenant(sys *system) *cobra.Command {
	f := tenantFlags{
		refill: newChoice[auth0test.Refill]("sliding", auth0test.RefillSliding, "ticking", auth0test.RefillTicking,
			"windows", auth0test.RefillWindows, "top-up", auth0test.RefillTopUp),
		reset: newChoice[auth0test.Reset]("next-token", auth0test.ResetNextToken, "full", auth0test.ResetFull, "window", auth0test.ResetWindow),
		describe: newChoice[auth0test.Describe]("emptier", auth0test.DescribeEmptier, "global", auth0test.DescribeGlobal,
			"endpoint", auth0test.DescribeEndpoint, "last", auth0test.DescribeLast),
	}
	cmd := &cobra.Command{
		Use:   "tenant",
		Short: "Run a simulated tenant that enforces a plan's rate limits",
		Long: `Run a simulated Auth0 tenant as a local server. It enforces the limits of a
published plan, keeps users, jobs and tokens in memory, and can be made to
misbehave. It prints the environment that points programs at it, for eval or to
paste, and on Ctrl-C what it accepted and rejected; GET ` + auth0test.ReportPath + `
answers the same as JSON at any time.

Its credentials are made up and the same everywhere: never let it be reached
from other machines.

Shares are given as 5% or 0.05. --latency and --jitter are for the way there and
back together. Half of the connections that --lost breaks break before the
tenant has acted, half after.`,
		Example: `  headroom tenant
  headroom tenant --plan free --addr 127.0.0.1:9090
  headroom tenant --latency 40ms --jitter 20ms --lost 5% --server-errors 1%
  headroom tenant --consumer 8/s
  headroom tenant --consumer "Write users=30/min" --plan essentials-professional`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd.Context(), sys) },
	}
	fs := cmd.Flags()
	fs.StringVar(&f.plan, "plan", localPlan, "plan to enforce, see headroom limits")
	fs.StringVar(&f.addr, "addr", "127.0.0.1:8080", "address to listen on; port 0 takes a free one")
	fs.DurationVar(&f.latency, "latency", 0, "time that a request and its answer spend on the way")
	fs.DurationVar(&f.jitter, "jitter", 0, "most that is added to the latency at random")
	fs.Var(&f.lost, "lost", "share of connections that break")
	fs.Var(&f.serverError, "server-errors", "share of requests answered with a 5xx, half of them acted on")
	fs.Var(&f.stale, "stale", "share of answers with outdated rate limit headers")
	fs.Var(&f.missing, "missing", "share of answers without rate limit headers")
	fs.Var(&f.empty, "empty", "share of every bucket that is missing at the start")
	fs.StringArrayVar(&f.consumers, "consumer", nil, "another consumer: RATE of the Management API limit, as 8/s, or BUCKET=RATE")
	fs.BoolVar(&f.poisson, "consumer-random", false, "space the requests of consumers at random in place of evenly")
	fs.Var(&f.refill, "refill", "how tokens come back: "+f.refill.names())
	fs.Var(&f.reset, "reset", "what x-ratelimit-reset announces: "+f.reset.names())
	fs.Var(&f.describe, "describe", "the bucket that headers speak of: "+f.describe.names())
	fs.BoolVar(&f.retryAfter, "retry-after", false, "send Retry-After with rejections")
	fs.DurationVar(&f.skew, "skew", 0, "how far the tenant's clock is ahead")
	fs.StringArrayVar(&f.connections, "connection", []string{auth0test.DefaultConnection}, "a connection of the tenant; may be repeated")
	fs.Uint64Var(&f.seed, "seed", 1, "decides everything random")
	fs.BoolVar(&f.json, "json", false, "print the final report as JSON")
	must(cmd.RegisterFlagCompletionFunc("plan", completeTenantPlan))
	for name, c := range map[string][]string{"refill": f.refill.order, "reset": f.reset.order, "describe": f.describe.order} {
		must(cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(c, cobra.ShellCompDirectiveNoFileComp)))
	}
	return cmd
}

func completeTenantPlan(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return ratelimit.Names(), cobra.ShellCompDirectiveNoFileComp
}

func (f *tenantFlags) run(ctx context.Context, sys *system) error {
	tenant, err := f.build()
	if err != nil {
		return err
	}
	listener, err := auth0test.Listen(ctx, f.addr)
	if err != nil {
		return fmt.Errorf("--addr: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	served := make(chan error, 1)
	go func() { served <- tenant.Serve(ctx, listener) }()

	interrupts, restore := sys.interrupts()
	defer restore()
	err = f.greet(sys.out, tenant, localURL(listener.Addr()))
	if err == nil {
		select {
		case err = <-served:
			return &exit{exitFailed, err}
		case <-interrupts:
		}
		restore() // a second Ctrl-C ends the process at once
	}
	cancel()
	if err = errors.Join(err, <-served); err != nil {
		return &exit{exitFailed, err}
	}
	return written(f.sum(sys.out, tenant.Report()))
}

func (f *tenantFlags) build() (*auth0test.Tenant, error) {
	plan, err := ratelimit.Named(f.plan)
	if err != nil {
		return nil, planError("--plan", err)
	}
	oneWay := auth0test.Delay{Base: f.latency / 2, Jitter: f.jitter / 2}
	o := auth0test.Options{
		Plan: plan, Seed: f.seed,
		Refill: f.refill.value(), Reset: f.reset.value(), Describe: f.describe.value(),
		Empty: float64(f.empty), RetryAfter: f.retryAfter,
		Faults: auth0test.Faults{
			Up: oneWay, Down: oneWay,
			LoseRequest: float64(f.lost) / 2, LoseAnswer: float64(f.lost) / 2,
			Fail: float64(f.serverError) / 2, FailAfter: float64(f.serverError) / 2,
			Stale: float64(f.stale), Missing: float64(f.missing), Skew: f.skew,
		},
	}
	if f.latency < 0 || f.jitter < 0 {
		return nil, errors.New("--latency and --jitter cannot be negative")
	}
	for _, c := range f.consumers {
		consumer, err := parseConsumer(plan, c)
		if err != nil {
			return nil, err
		}
		consumer.Poisson = f.poisson
		o.Consumers = append(o.Consumers, consumer)
	}
	for _, name := range f.connections {
		o.Connections = append(o.Connections, auth0test.Connection{Name: name})
	}
	tenant, err := auth0test.New(o)
	if err != nil {
		return nil, errors.New(strings.TrimPrefix(err.Error(), "auth0test: "))
	}
	return tenant, nil
}

// parseConsumer reads "8/s" and "BUCKET=30/min".
func parseConsumer(plan *ratelimit.Plan, s string) (auth0test.Consumer, error) {
	bucket, text, named := strings.Cut(s, "=")
	if !named {
		text = s
		wide := apiWide(plan, "management")
		if wide == nil {
			return auth0test.Consumer{}, fmt.Errorf("--consumer %q: plan %s has no limit of the whole Management API: give BUCKET=RATE", s, plan.Name)
		}
		bucket = wide.Name
	}
	rate, err := parseRate(text)
	if err != nil {
		return auth0test.Consumer{}, fmt.Errorf("--consumer %q: %w", s, err)
	}
	return auth0test.Consumer{Bucket: bucket, Rate: rate}, nil
}

func parseRate(s string) (ratelimit.Rate, error) {
	count, unit, ok := strings.Cut(s, "/")
	n, err := strconv.ParseInt(strings.TrimSpace(count), 10, 64)
	per := map[string]time.Duration{"s": time.Second, "min": time.Minute, "h": time.Hour, "day": 24 * time.Hour}[strings.TrimSpace(unit)]
	if !ok || err != nil || n < 1 || per == 0 {
		return ratelimit.Rate{}, fmt.Errorf("%q is not a rate such as 8/s, 30/min, 5/h or 1/day", s)
	}
	return ratelimit.Rate{Count: n, Per: per}, nil
}

// localURL is where a program on this machine reaches the listener.
func localURL(a net.Addr) string {
	host, port, err := net.SplitHostPort(a.String())
	if err != nil {
		return "http://" + a.String()
	}
	if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, port)
}

func (f *tenantFlags) greet(w io.Writer, tenant *auth0test.Tenant, url string) error {
	_, err := fmt.Fprintf(w, `# A simulated tenant of plan %s listens on %s. Ctrl-C ends it.
export AUTH0_DOMAIN=%s
export AUTH0_CLIENT_ID=%s
export AUTH0_CLIENT_SECRET=%s
export AUTH0_PLAN=%s
export AUTH0_TOKEN=%s
`, f.plan, url, shellWord(url), auth0test.DefaultClientID, auth0test.DefaultClientSecret, shellWord(f.plan), tenant.Token())
	return err
}

// sum prints what the tenant has seen.
func (f *tenantFlags) sum(w io.Writer, r auth0test.Report) error {
	if f.json {
		return writeJSON(w, r)
	}
	_, err := fmt.Fprintf(w, "\n%s: %d accepted, %d rejected; %d connections broken; %s\n",
		requests(int(r.Requests)), r.Accepted, r.Rejected, r.LostRequests+r.LostAnswers, users(r.Users))
	if err != nil || len(r.Buckets) == 0 {
		return err
	}
	t := newTable(w)
	t.row("BUCKET", "TAKEN", "OF", "USED", "BY OTHERS", "REJECTED")
	for _, b := range r.Buckets {
		t.row(b.Name, strconv.FormatInt(b.Taken, 10), strconv.FormatInt(b.Available, 10), percent(b.Used),
			strconv.FormatInt(b.Foreign, 10), strconv.FormatInt(b.Rejected, 10))
	}
	return t.flush()
}

// share is a flag that holds a share, given as 5% or 0.05.
type share float64

func (s *share) String() string { return strconv.FormatFloat(float64(*s)*100, 'g', -1, 64) + "%" }
func (s *share) Type() string   { return "share" }

func (s *share) Set(text string) error {
	number, percent := strings.CutSuffix(text, "%")
	v, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if percent {
		v /= 100
	}
	if err != nil || !(v >= 0 && v <= 1) {
		return errors.New("a share is given as 5% or 0.05, and is at most 100%")
	}
	*s = share(v)
	return nil
}

// choice is a flag with a few named values, the first of them the default.
type choice[T any] struct {
	chosen string
	order  []string
	values map[string]T
}

// newChoice takes names and values in turn.
func newChoice[T any](pairs ...any) choice[T] {
	c := choice[T]{values: map[string]T{}}
	for i := 0; i < len(pairs); i += 2 {
		name := pairs[i].(string)
		c.order = append(c.order, name)
		c.values[name] = pairs[i+1].(T)
	}
	c.chosen = c.order[0]
	return c
}

func (c *choice[T]) String() string { return c.chosen }
func (c *choice[T]) Type() string   { return "string" }
func (c *choice[T]) names() string  { return strings.Join(c.order, ", ") }
func (c *choice[T]) value() T       { return c.values[c.chosen] }

func (c *choice[T]) Set(s string) error {
	if _, ok := c.values[s]; !ok {
		return fmt.Errorf("one of %s is expected", c.names())
	}
	c.chosen = s
	return nil
}
