package ratelimit

import (
	"cmp"
	"embed"
	"fmt"
	"io/fs"
	"slices"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Rate is a sustained rate: Count requests are granted in each period Per.
type Rate struct {
	Count int64
	Per   time.Duration
}

// Role says which requests a bucket counts.
type Role uint8

const (
	// RoleEndpoint marks a bucket of one group of endpoints.
	RoleEndpoint Role = iota
	// RoleGlobal marks a bucket of a whole API. A request that has a bucket of
	// its own draws from the global one as well.
	RoleGlobal
	// RoleCatchAll marks a bucket of everything in its API that draws from no
	// endpoint bucket of the same API. Buckets with Concurrent set are left out
	// of that account.
	RoleCatchAll
)

// Key says whose requests share one counter.
type Key uint8

// The keys that Auth0's published tables name. Where a request does not show
// an identity, all such requests share one counter, which is the careful side.
const (
	KeyTenant       Key = iota // one counter for the tenant
	KeyIP                      // one per calling address
	KeyIPEmail                 // one per calling address and e-mail in the body
	KeyIPState                 // one per calling address, login prompt and state parameter
	KeySubject                 // one per subject of the access token
	KeySession                 // one per login session, known by its mfa_token
	KeyConnection              // one per connection in the path
	KeyUser                    // one per user named in the body
	KeyIPPrompt                // one per calling address and login prompt
	KeyIPUser                  // one per calling address and user named in the body
	KeyOrganization            // one per organization of the access token
)

// Peak is a figure that a paid performance burst raises a bucket to for some
// hours of a month. Requests are paced by the bucket's own figures; a limiter
// takes up a raised one when answers begin to show it.
type Peak struct {
	Burst int64
	Rate  Rate
	Hours int // hours in a month
}

// Bucket describes one rate limit of a plan.
type Bucket struct {
	// Name is unique within its plan. It is the name that the published page
	// prints; what follows in square brackets is ours and tells apart rows of
	// one name.
	Name string
	// API is the family of endpoints: management, authentication, my-account,
	// my-organization, scim, universal-login, mfa.
	API  string
	Role Role
	// Burst is the bucket's size: the most requests at once. Where a page
	// prints a rate alone, Burst is the rate's count.
	Burst int64
	// Rate is the sustained rate.
	Rate Rate
	// Window is not zero when tokens come in whole lots at the end of fixed
	// windows of this length.
	Window time.Duration
	Key    Key
	// Concurrent is not zero for a limit on requests or jobs under way at a
	// time; Burst and Rate are then unused.
	Concurrent int
	// Peak holds the raised figures of a performance burst; zero without one.
	Peak Peak
	// OtherPage marks a limit that is published on a page other than the
	// plan's table.
	OtherPage bool
	// Instead names buckets that a request does not draw from when it draws
	// from this one.
	Instead []string
	// Matches are the requests that draw from the bucket.
	Matches []Match
}

// Match describes requests by method, path and conditions, or events that no
// request shows. Paths are compared after decoding, segment by segment.
type Match struct {
	Method string // "*" for any; GET stands for HEAD as well
	Path   string // segments in braces match any one segment; a last segment * matches the rest, nothing included
	// Event names what is counted in place of requests, such as
	// "mfa.otp.failure". Method, Path and When are then empty.
	Event string
	// When lists conditions that must all hold.
	When []Condition
	// Inferred marks a reading that the published page itself does not settle.
	Inferred bool
	// Part numbers the counters, from 0, that a row may have of its own where
	// the page merges several into one: see SeparateCounters.
	Part int
}

// Place is the part of a request that a Condition looks at.
type Place uint8

const (
	// InQuery looks at a parameter of the query.
	InQuery Place = iota
	// InBody looks at a field of a form or JSON body.
	InBody
	// InToken looks at a claim of the bearer token.
	InToken
	// InPath looks at the path; Name is empty.
	InPath
)

// Condition narrows a Match. The value in question must be there: a query
// parameter given, even if empty, and a field or claim not empty. Beyond that,
// what is set of Equals, NoPrefix and AnyWord must hold.
type Condition struct {
	In   Place
	Name string
	// Equals is the value wanted.
	Equals string
	// NoPrefix lists what the value must not begin with. In a path, prefixes
	// end with a slash, which is not needed for the path to match: /api/v2/
	// takes in /api/v2 and all below it.
	NoPrefix []string
	// AnyWord lists words of which the value, split at spaces, must hold one.
	AnyWord []string
}

// Plan is a set of buckets: the rate limits of one subscription. A plan that
// Named, Parse or With returned must not be changed; use With for another. It is
// safe for concurrent use.
type Plan struct {
	// Name is the name that Named knows, or that of a plan of one's own.
	Name string
	// Title is the plan's name as published.
	Title string
	// AsOf is the date of the published page, as far as it is known.
	AsOf string
	// Superseded marks limits that are no longer in force for any tenant.
	Superseded bool
	Buckets    []Bucket

	router atomic.Pointer[planRouter]
}

//go:embed plans/*.txt
var planFiles embed.FS

// planCache holds published plans by canonical name. It is no sync.Map, whose code
// the compiler would make anew in this package.
var planCache struct {
	sync.Mutex
	plans map[string]func() (*Plan, error)
}

// autoName is the plan for tenants whose plan is not known.
const autoName = "auto"

// Named returns a published plan by name: one that Names lists, a short form
// such as "essentials", "enterprise/burst-2x" or "enterprise/production", or
// "auto". A name that is not known gives an error that lists those near it, if any.
//
// "auto" is for a tenant whose plan is not known. It holds, for each group of
// requests that any current page limits, the smallest burst and the smallest
// rate among the current plans; see Candidates for how to find the plan.
//
// The tables are parsed once, when first asked for; all callers share one plan.
func Named(name string) (*Plan, error) {
	key := strings.ToLower(strings.TrimSpace(name))
	if key == autoName {
		return cachedPlan(key, newAutoPlan)
	}
	base, variant, _ := strings.Cut(key, "/")
	heads, err := planHeads(base)
	if err != nil {
		return nil, err
	}
	for _, h := range heads {
		if v, ok := h.variantNamed(variant); ok && h.is(base) {
			return cachedPlan(h.fullName(v), func() (*Plan, error) { return parsePlan(h.text, v) })
		}
	}
	return nil, unknownPlan(name)
}

// Names returns the names of all published plans with their variants, from the
// smallest current plan to the largest and then the superseded ones. "auto", which
// is not published, is not among them.
func Names() []string {
	heads, err := planHeads("")
	if err != nil {
		return nil
	}
	sort.SliceStable(heads, func(i, j int) bool { return heads[i].rank() < heads[j].rank() })
	var names []string
	for _, h := range heads {
		names = append(names, h.allNames()...)
	}
	return names
}

// Candidates returns the published plans in force in which a bucket that the
// request draws from has the size limit, or is raised to it by a performance
// burst: the plans that a tenant may be on when an answer shows that
// x-ratelimit-limit. The most careful come first, by the rate of that bucket.
// It reads every published table, and so is not for programs that name a plan.
func Candidates(r *Request, limit int64) []*Plan {
	type candidate struct {
		plan *Plan
		rate Rate
	}
	var found []candidate
	for _, name := range Names() {
		p, err := Named(name)
		if err != nil || p.Superseded {
			continue
		}
		route := p.Route(r)
		var slowest Rate
		for _, i := range route.Buckets[:route.N] {
			b := &p.Buckets[i]
			if b.Concurrent == 0 && (b.Burst == limit || b.Peak.Burst == limit) &&
				(slowest == Rate{} || b.Rate.compare(slowest) < 0) {
				slowest = b.Rate
			}
		}
		if slowest != (Rate{}) {
			found = append(found, candidate{p, slowest})
		}
	}
	sort.SliceStable(found, func(i, j int) bool { return found[i].rate.compare(found[j].rate) < 0 })
	plans := make([]*Plan, len(found))
	for i, c := range found {
		plans[i] = c.plan
	}
	return plans
}

// compare orders rates from slow to fast.
func (r Rate) compare(other Rate) int {
	// Counts are below 2^24 and periods below 2^52 ns in any valid plan, so
	// that floats tell apart all that differ by more than a rounding error.
	return cmp.Compare(float64(r.Count)*float64(other.Per), float64(other.Count)*float64(r.Per))
}

// cachedPlan returns the plan of a canonical name, made once by load.
func cachedPlan(name string, load func() (*Plan, error)) (*Plan, error) {
	planCache.Lock()
	f := planCache.plans[name]
	if f == nil {
		if planCache.plans == nil {
			planCache.plans = map[string]func() (*Plan, error){}
		}
		f = sync.OnceValues(load)
		planCache.plans[name] = f
	}
	planCache.Unlock()
	return f()
}

// planHead is the part of a table above its first section.
type planHead struct {
	text       string
	name       string
	title      string
	asOf       string
	superseded bool
	aliases    []string
	variants   []planVariant
	includes   []string
	defines    map[string][]string
}

// planVariant is a variant of a plan: an environment, an add-on, a tenant type.
type planVariant struct {
	name    string
	of      string // the variant whose rows it takes over
	aliases []string
	byName  bool // false for the one that the plan's bare name means
}

// is reports whether the head is that of the plan called base.
func (h *planHead) is(base string) bool { return h.name == base || slices.Contains(h.aliases, base) }

// variantNamed finds a variant by name or alias. "" is the default, which a
// plan without variants has too.
func (h *planHead) variantNamed(name string) (planVariant, bool) {
	for _, v := range h.variants {
		if name == "" && !v.byName || name != "" && (v.name == name || slices.Contains(v.aliases, name)) {
			return v, true
		}
	}
	return planVariant{}, name == ""
}

// fullName returns the canonical name of a variant.
func (h *planHead) fullName(v planVariant) string {
	if !v.byName {
		return h.name
	}
	return h.name + "/" + v.name
}

// allNames returns the canonical names of the plan and its variants.
func (h *planHead) allNames() []string {
	names := []string{h.name}
	for _, v := range h.variants {
		if v.byName {
			names = append(names, h.fullName(v))
		}
	}
	return names
}

// rank orders plans from small to large.
func (h *planHead) rank() int {
	order := []string{
		"free", "essentials-professional", "enterprise", "private-cloud-dev", "private-cloud-100", "private-cloud-500",
		"private-cloud-1500", "private-cloud-3000", "private-cloud-6000", "private-cloud-10000", "may-2020", "legacy-2020",
	}
	if i := slices.Index(order, h.name); i >= 0 {
		return i
	}
	return len(order)
}

// planHeads reads the heads of the embedded tables: that of the file called
// base if there is one, or else all of them.
func planHeads(base string) ([]*planHead, error) {
	files := []string{"plans/" + base + ".txt"}
	if _, err := fs.Stat(planFiles, files[0]); err != nil {
		if files, err = fs.Glob(planFiles, "plans/*.txt"); err != nil {
			return nil, err
		}
	}
	var heads []*planHead
	for _, file := range files {
		text, err := planFiles.ReadFile(file)
		if err != nil {
			return nil, err
		}
		h, _, err := parseHead(string(text))
		if err != nil {
			return nil, fmt.Errorf("ratelimit: %s: %w", file, err)
		}
		if h.name != "" { // a file without a name is for others to include
			heads = append(heads, h)
		}
	}
	return heads, nil
}

// unknownPlan returns the error for a name that no plan has.
func unknownPlan(name string) error {
	heads, err := planHeads("")
	if err != nil {
		return err
	}
	asked := strings.ToLower(strings.TrimSpace(name))
	type near struct {
		name     string
		distance int
	}
	candidates := []near{{autoName, editDistance(asked, autoName)}}
	for _, h := range heads {
		names := append(h.allNames(), h.aliases...)
		for _, v := range h.variants {
			for _, alias := range v.aliases {
				names = append(names, h.name+"/"+alias)
			}
		}
		for _, n := range names {
			d := editDistance(asked, n)
			if base, _, _ := strings.Cut(asked, "/"); base != "" && (strings.Contains(n, base) || h.is(base)) {
				d -= len(n) // a plan whose variant is misspelt, or a part of a name
			}
			candidates = append(candidates, near{n, d})
		}
	}
	sort.SliceStable(candidates, func(i, j int) bool { return candidates[i].distance < candidates[j].distance })
	var names []string
	for _, c := range candidates[:min(5, len(candidates))] {
		if c.distance <= max(1, min(len(asked), 30)/3) || asked == "" {
			names = append(names, c.name)
		}
	}
	if len(names) == 0 {
		return fmt.Errorf("ratelimit: no plan is called %q; ratelimit.Names lists all", name)
	}
	return fmt.Errorf("ratelimit: no plan is called %q; near it: %s", name, strings.Join(names, ", "))
}

// editDistance is the number of bytes to insert, delete or replace.
func editDistance(a, b string) int {
	if len(a) > 64 { // no name is that long; what matters then is only that it is far away
		a = a[:64]
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replace := diagonal
			if a[i] != b[j] {
				replace++
			}
			diagonal = row[j+1]
			row[j+1] = min(replace, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
