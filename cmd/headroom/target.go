package main

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"strings"
	"time"

	"github.com/headroom-go/auth0"
	"github.com/headroom-go/auth0/auth0test"
	"github.com/headroom-go/auth0/ratelimit"
	"github.com/spf13/cobra"
)

// targetFlags choose the tenant that a command works on.
type targetFlags struct {
	plan    string
	domain  string
	local   bool
	reserve float64
}

// register adds the flags to a command, --local only where an empty tenant serves
// it.
func (f *targetFlags) register(cmd *cobra.Command, local bool) {
	fs := cmd.Flags()
	plan := "the tenant's plan, see headroom limits (default AUTH0_PLAN, or auto: recognised from answers%s)"
	if local {
		plan = fmt.Sprintf(plan, "; with --local enterprise")
		fs.BoolVar(&f.local, "local", false, "use a simulated tenant inside this process, which enforces --plan")
	} else {
		plan = fmt.Sprintf(plan, "")
	}
	fs.StringVar(&f.plan, "plan", "", plan)
	fs.StringVar(&f.domain, "domain", "", "the tenant's domain (default AUTH0_DOMAIN)")
	fs.Float64Var(&f.reserve, "reserve", 0, "share of every limit to leave to others, 0 to 0.9")
	must(cmd.RegisterFlagCompletionFunc("plan", completePlan))
	must(cmd.RegisterFlagCompletionFunc("domain", cobra.NoFileCompletions))
	must(cmd.RegisterFlagCompletionFunc("reserve", cobra.NoFileCompletions))
}

// A target is a tenant to work on.
type target struct {
	client    *auth0.Client
	meter     *meter
	plan      string         // its name as it was given
	access    string         // what the credentials came from
	allowance func() float64 // share of the allowance used so far, NaN when unknown
	close     func()
}

// planName names the plan for the report: of auto, the one that was recognised.
func (t *target) planName() string {
	if t.plan != "auto" {
		return t.plan
	}
	if l := t.client.Limiter(); l != nil {
		if name := l.Snapshot().Plan; name != "" && name != "auto" {
			return "auto: " + name
		}
	}
	return t.plan
}

// planHint says that the tenant shows another limit than the plan that was named
// has, with the remedy; "" when it does not. How fast such a bucket refills no
// table says, so that it is paced with care.
func (t *target) planHint() string {
	l := t.client.Limiter()
	if l == nil || t.plan == "auto" {
		return ""
	}
	for _, b := range l.Snapshot().Buckets {
		if b.API != "authentication" && b.Learned && b.LearnedBurst != b.Burst {
			return fmt.Sprintf("The tenant shows a limit of %d for %s, where plan %s has %d. It may be on another plan: name that one, or leave --plan and %s out to have it recognised.",
				b.LearnedBurst, b.Name, t.plan, b.Burst, auth0.EnvPlan)
		}
	}
	return ""
}

// explain says what to look at when the tenant turned the credentials down.
// scopes are those that the command needs.
func (t *target) explain(err error, scopes string) error {
	switch {
	case errors.Is(err, auth0.ErrUnauthorized) && t.access != "":
		return fmt.Errorf("%w; check %s", err, t.access)
	case errors.Is(err, auth0.ErrForbidden):
		return fmt.Errorf("%w; the application or token needs the scopes %s", err, scopes)
	}
	return err
}

// attemptTimeout bounds one request, its wait for room left out.
const attemptTimeout = 30 * time.Second

// localPlan is what a simulated tenant enforces unless told otherwise.
const localPlan = "enterprise"

func (f *targetFlags) connect(sys *system) (*target, error) {
	if !(f.reserve >= 0 && f.reserve <= 0.9) {
		return nil, fmt.Errorf("--reserve %v is not between 0 and 0.9", f.reserve)
	}
	if f.local {
		return f.connectLocal()
	}
	plan, flag := f.plan, "--plan"
	if plan == "" {
		plan, flag = sys.getenv(auth0.EnvPlan), auth0.EnvPlan
	}
	domain := f.domain
	if domain == "" {
		domain = sys.getenv(auth0.EnvDomain)
	}
	if domain == "" {
		return nil, errors.New("no tenant is named: set AUTH0_DOMAIN, give --domain, or try --local")
	}
	var access auth0.Option
	from := auth0.EnvToken
	id, secret := sys.getenv(auth0.EnvClientID), sys.getenv(auth0.EnvClientSecret)
	switch token := sys.getenv(auth0.EnvToken); {
	case token != "":
		access = auth0.WithToken(token)
	case id != "" && secret != "":
		access, from = auth0.WithClientSecret(id, secret), auth0.EnvClientID+" and "+auth0.EnvClientSecret
	default:
		return nil, errors.New("no credentials: set AUTH0_TOKEN, or AUTH0_CLIENT_ID and AUTH0_CLIENT_SECRET")
	}
	base := sys.base
	idle := func() {}
	if base == nil {
		tr := http.DefaultTransport.(*http.Transport).Clone()
		tr.MaxIdleConnsPerHost = tr.MaxIdleConns // all workers talk to one host
		base, idle = tr, tr.CloseIdleConnections
	}
	t, err := f.open(base, domain, plan, flag, access)
	if err != nil {
		return nil, err
	}
	t.close, t.access = idle, from
	t.allowance = func() float64 {
		traffic := t.meter.look()
		return allowanceUsed(t.client.Limiter().Snapshot(), traffic.lost, traffic.last.Sub(traffic.first))
	}
	return t, nil
}

// connectLocal makes a tenant in memory, some 40 to 60 ms away.
func (f *targetFlags) connectLocal() (*target, error) {
	if f.domain != "" {
		return nil, errors.New("--local and --domain exclude each other: a simulated tenant has a domain of its own")
	}
	name := f.plan
	if name == "" {
		name = localPlan
	}
	enforced := name
	if name == "auto" {
		enforced = localPlan // for the throttle to find out
	}
	plan, err := ratelimit.Named(enforced)
	if err != nil {
		return nil, planError("--plan", err)
	}
	oneWay := auth0test.Delay{Base: 20 * time.Millisecond, Jitter: 10 * time.Millisecond}
	tenant, err := auth0test.New(auth0test.Options{Plan: plan, Faults: auth0test.Faults{Up: oneWay, Down: oneWay}})
	if err != nil {
		return nil, &exit{exitFailed, err}
	}
	t, err := f.open(tenant, tenant.Domain(), name, "--plan", auth0.WithClientSecret(auth0test.DefaultClientID, auth0test.DefaultClientSecret))
	if err != nil {
		return nil, err
	}
	t.close = func() {}
	t.allowance = func() float64 { return tenantAllowance(tenant) }
	return t, nil
}

// open makes a client of the tenant whose requests pass the throttle, then a
// meter, then base.
func (f *targetFlags) open(base http.RoundTripper, domain, name, flag string, access auth0.Option) (*target, error) {
	if name == "" {
		name = "auto"
	}
	pace := auth0.WithPlan("auto")
	if name != "auto" {
		plan, err := ratelimit.Named(name)
		if err != nil {
			return nil, planError(flag, err)
		}
		pace = auth0.WithOwnPlan(plan)
	}
	meter := &meter{base: base}
	client, err := auth0.New(domain, access, pace,
		auth0.WithReserve(f.reserve),
		auth0.WithHTTPClient(&http.Client{Transport: meter}),
		auth0.WithAttemptTimeout(attemptTimeout),
		auth0.WithUserAgent("headroom-command"),
	)
	if err != nil {
		return nil, errors.New(strings.TrimPrefix(err.Error(), "auth0: "))
	}
	return &target{client: client, meter: meter, plan: name}, nil
}

// allowanceUsed is the share of what the limits allowed, of the limit that was
// used most; NaN when no limit is known. Requests whose answer was lost may not
// have arrived, and are not counted. d is the time from the first request to
// the last.
func allowanceUsed(s ratelimit.Snapshot, lost int, d time.Duration) float64 {
	used := math.NaN()
	for _, b := range s.Buckets {
		if b.API == "authentication" || b.Sent == 0 || b.Rate.Per <= 0 {
			continue
		}
		taken := max(0, float64(b.Sent-b.Rejected)-float64(lost))
		allowed := float64(b.Burst) + float64(b.Rate.Count)*d.Seconds()/b.Rate.Per.Seconds()
		if share := min(1, taken/allowed); math.IsNaN(used) || share > used {
			used = share
		}
	}
	return used
}

// tenantAllowance is the same share as a simulated tenant measures it.
func tenantAllowance(tenant *auth0test.Tenant) float64 {
	used := math.NaN()
	for _, b := range tenant.Report().Buckets {
		if b.API == "management" && b.Available > 0 && (math.IsNaN(used) || b.Used > used) {
			used = b.Used
		}
	}
	return used
}
