package ratelimit

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// drawsFrom returns the names of the buckets that a request such as
// "GET /a?b=c" draws from, in order.
func drawsFrom(p *Plan, request string, d Details) []string {
	method, target, _ := strings.Cut(request, " ")
	path, query, _ := strings.Cut(target, "?")
	r := p.Route(&Request{Method: method, Path: path, RawQuery: query, Details: d})
	var names []string
	for _, i := range r.Buckets[:r.N] {
		names = append(names, p.Buckets[i].Name)
	}
	return names
}

// wantDraws checks drawsFrom.
func wantDraws(t *testing.T, p *Plan, request string, d Details, want ...string) {
	t.Helper()
	if got := drawsFrom(p, request, d); !slices.Equal(got, want) {
		t.Errorf("%s: %s draws from %q, want %q", p.Name, request, got, want)
	}
}

// mustWith changes a published plan, and checks that the plan itself stays.
func mustWith(t *testing.T, name string, changes ...Change) *Plan {
	t.Helper()
	p := mustPlan(t, name)
	before := p.Text()
	changed, err := p.With(changes...)
	if err != nil {
		t.Fatal(err)
	}
	if p.Text() != before {
		t.Fatal("With changed the plan itself")
	}
	checkRoundTrip(t, changed)
	return changed
}

func TestOverrideBucket(t *testing.T) {
	t.Parallel()
	p := mustWith(t, "enterprise", OverrideBucket("Management API", 75, Rate{25, time.Second}))
	b, err := p.find("Management API")
	if err != nil || b.Burst != 75 || b.Rate != (Rate{25, time.Second}) {
		t.Errorf("overridden bucket is %+v, %v", b, err)
	}
	wantDraws(t, p, "GET /api/v2/roles", nil, "Management API")
	p = mustWith(t, "enterprise/burst-2x", OverrideBucket("Authentication API", 75, Rate{25, time.Second}))
	if b, _ := p.find("Authentication API"); b.Peak != (Peak{}) {
		t.Errorf("overridden bucket keeps the peak %v", b.Peak)
	}
}

func TestAddAndRemove(t *testing.T) {
	t.Parallel()
	p := mustWith(t, "enterprise",
		RemoveBucket("Read Clients (q)"),
		AddBucket(Bucket{
			Name: "Role reads", API: "management", Burst: 7, Rate: Rate{7, time.Second},
			Matches: []Match{{Method: "GET", Path: "/api/v2/roles/{id}", When: []Condition{
				{In: InBody, Name: "a", Equals: "b"}, {In: InQuery, Name: "q"},
			}}, {Method: "GET", Path: "/api/v2/roles"}},
		}),
		AddRequest("Role reads", "GET /api/v2/roles/{id}/users  GET /api/v2/roles/{id}/permissions?x ?"),
		RemoveRequest("Role reads", "GET /api/v2/roles"),
	)
	wantDraws(t, p, "GET /api/v2/clients?q=a", nil, "Management API")
	wantDraws(t, p, "GET /api/v2/roles", nil, "Management API")
	wantDraws(t, p, "GET /api/v2/roles/1/users", nil, "Management API", "Role reads")
	wantDraws(t, p, "GET /api/v2/roles/1/permissions?x", nil, "Management API", "Role reads")
	wantDraws(t, p, "GET /api/v2/roles/1?q", fields{"a": "b"}, "Management API", "Role reads")
	wantDraws(t, p, "GET /api/v2/roles/1?q", nil, "Management API")
	wantDraws(t, p, "GET /api/v2/roles/1", fields{"a": "b"}, "Management API")
}

func TestRemoveForgetsInstead(t *testing.T) {
	t.Parallel()
	p := mustWith(t, "essentials", Instead("Read Clients (q)", "Read Clients"), RemoveBucket("Read Clients"))
	wantDraws(t, p, "GET /api/v2/clients?q=a", nil, "Read Clients (q)")
}

// TestListedOutsideAPILevel is ambiguity 1.
func TestListedOutsideAPILevel(t *testing.T) {
	t.Parallel()
	wantDraws(t, mustPlan(t, "enterprise"), "GET /api/v2/organizations", nil, "Management API", "Read Organizations")
	p := mustWith(t, "enterprise", OutsideAPILevel("management"))
	wantDraws(t, p, "GET /api/v2/organizations", nil, "Read Organizations")
	wantDraws(t, p, "GET /api/v2/roles", nil, "Management API")
	wantDraws(t, p, "GET /userinfo", nil, "Authentication API", "User Info")
	// A limit on jobs is no row of the table.
	wantDraws(t, p, "POST /api/v2/jobs/users-imports", nil, "Management API", "Import jobs")
}

// TestFixedWindows is ambiguity 2.
func TestFixedWindows(t *testing.T) {
	t.Parallel()
	for _, b := range mustPlan(t, "enterprise").Buckets {
		if b.Window != 0 {
			t.Errorf("%s: window %v by default", b.Name, b.Window)
		}
	}
	for _, b := range mustWith(t, "enterprise", FixedWindows()).Buckets {
		if b.Window != b.Rate.Per || b.Concurrent > 0 != (b.Window == 0) {
			t.Errorf("%s: window %v at %v", b.Name, b.Window, b.Rate)
		}
	}
}

// TestSecondCeiling is ambiguity 3: what a full bucket and a second's refill let
// through is the published burst.
func TestSecondCeiling(t *testing.T) {
	t.Parallel()
	for _, name := range Names() {
		p := mustPlan(t, name)
		changed, err := p.With(SecondCeiling())
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, b := range p.Buckets {
			if b.Role != RoleGlobal || b.Burst < 2 {
				continue
			}
			c, err := changed.find(b.Name + " [one second]")
			if err != nil {
				t.Errorf("%s: %v", name, err)
			} else if c.Burst+c.Rate.Count != b.Burst || c.Rate.Per != time.Second || c.Burst < 1 ||
				float64(c.Rate.Count) < min(float64(b.Burst/2), float64(b.Rate.Count)/b.Rate.Per.Seconds()) {
				t.Errorf("%s: %s: ceiling %d at %v over %d at %v", name, b.Name, c.Burst, c.Rate, b.Burst, b.Rate)
			}
		}
	}
	wantDraws(t, mustWith(t, "enterprise", SecondCeiling()), "GET /api/v2/roles", nil, "Management API", "Management API [one second]")
}

// TestGroupMembership is ambiguities 4 and 5.
func TestGroupMembership(t *testing.T) {
	t.Parallel()
	p := mustPlan(t, "essentials")
	wantDraws(t, p, "GET /api/v2/users/auth0%7C1", nil, "Read Users")
	wantDraws(t, p, "GET /api/v2/organizations/o/members", nil, "Read Organization Members", "Read Members of an Organization")
	wantDraws(t, p, "GET /api/v2/organizations/o/invitations/i", nil, "Read Members of an Organization")
	p = mustWith(t, "essentials", ConfirmedOnly())
	wantDraws(t, p, "GET /api/v2/users/auth0%7C1", nil, "All other Endpoints Combined")
	wantDraws(t, p, "GET /api/v2/users", nil, "Read Users")
	wantDraws(t, p, "GET /api/v2/organizations/o/invitations/i", nil, "All other Endpoints Combined")
	wantDraws(t, p, "GET /authorize", nil, "Authentication API")
	wantDraws(t, p, "GET /u/mfa-push-challenge", nil, "Authentication API", "Universal login prompts (global)")
	p = mustWith(t, "essentials", RemoveRequest("Read Members of an Organization", "GET /api/v2/organizations/{id}/members"))
	wantDraws(t, p, "GET /api/v2/organizations/o/members", nil, "Read Organization Members")
}

// TestNarrowestOnly is ambiguity 6.
func TestNarrowestOnly(t *testing.T) {
	t.Parallel()
	p := mustPlan(t, "essentials")
	wantDraws(t, p, "GET /api/v2/clients?page=1&q=a", nil, "Read Clients", "Read Clients (q)")
	wantDraws(t, p, "GET /api/v2/clients", nil, "Read Clients")
	p = mustWith(t, "essentials", Instead("Read Clients (q)", "Read Clients"))
	wantDraws(t, p, "GET /api/v2/clients?q", nil, "Read Clients (q)")
	wantDraws(t, p, "GET /api/v2/clients", nil, "Read Clients")

	list, prompt := "GET /me/v1/authentication-methods?type=otp", "POST /u/mfa-push-challenge"
	p = mustPlan(t, "enterprise")
	wantDraws(t, p, list, nil, "Read Authentication Methods", "Read Authentication Methods (filtered)",
		"Read Authentication Methods [per user]", "Read Authentication Methods (filtered) [per user]")
	wantDraws(t, p, prompt, nil, "Authentication API", "Universal login prompts (global)",
		"Universal login prompts (per prompt) [POST]", "MFA push challenge prompt")
	p = mustWith(t, "enterprise", NarrowestOnly())
	wantDraws(t, p, list, nil, "Read Authentication Methods (filtered)", "Read Authentication Methods (filtered) [per user]")
	wantDraws(t, p, "GET /me/v1/authentication-methods", nil, "Read Authentication Methods", "Read Authentication Methods [per user]")
	wantDraws(t, p, prompt, nil, "Authentication API", "Universal login prompts (global)", "MFA push challenge prompt")
	wantDraws(t, p, "POST /u/login", nil, "Authentication API", "Universal login prompts (global)", "Universal login prompts (per prompt) [POST]")

	jag := fields{"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer"}
	wantDraws(t, mustPlan(t, "free"), "POST /oauth/token", jag,
		"Authentication API", "Get Token", "Cross App Access (ID-JAG exchange)", "Cross App Access (ID-JAG exchange) [its own page]")
	wantDraws(t, mustWith(t, "free", NarrowestOnly()), "POST /oauth/token", jag,
		"Authentication API", "Cross App Access (ID-JAG exchange)", "Cross App Access (ID-JAG exchange) [its own page]")
}

// TestNarrowestOnlyKeepsOne: rows that differ in the names of parameters alone, or
// overlap without one being the narrower, do not stand in for one another.
func TestNarrowestOnlyKeepsOne(t *testing.T) {
	t.Parallel()
	p, err := Parse("plan x\n[m]\nA  1  1/s  tenant  GET /x/{id}\nB  1  1/s  tenant  GET /x/{key}\n" +
		"C  1  1/s  tenant  GET /y/{id}/b\nD  1  1/s  tenant  GET /y/a/{id}\nE  1  1/s  tenant  * /x/*  GET /z\nF  1  1/s  tenant  GET /z?q  GET /x\n" +
		"G  1  1/s  tenant  GET /v?q\nH  1  1/s  ip  GET /v\n")
	if err != nil {
		t.Fatal(err)
	}
	if p, err = p.With(NarrowestOnly()); err != nil {
		t.Fatal(err)
	}
	wantDraws(t, p, "GET /x/1", nil, "A", "B")
	wantDraws(t, p, "GET /y/a/b", nil, "C", "D")
	wantDraws(t, p, "PUT /x/1", nil, "E")
	wantDraws(t, p, "GET /z?q", nil, "F")
	wantDraws(t, p, "GET /z", nil, "E")
	wantDraws(t, p, "GET /x", nil, "F")
	wantDraws(t, p, "GET /v?q", nil, "G", "H") // a counter of the tenant is none of an address
	if _, err := p.With(Instead("A", "B"), Instead("B", "C"), Instead("C", "A")); err == nil || !strings.Contains(err.Error(), "in a circle") {
		t.Errorf("a circle: %v", err)
	}
}

// TestSeparateCounters is ambiguity 7.
func TestSeparateCounters(t *testing.T) {
	t.Parallel()
	p := mustPlan(t, "essentials")
	wantDraws(t, p, "DELETE /api/v2/users/x", nil, "Write Users")
	wantDraws(t, p, "PATCH /api/v2/users/x", nil, "Write Users")
	before := len(p.Buckets)
	p = mustWith(t, "essentials", SeparateCounters())
	wantDraws(t, p, "PATCH /api/v2/users/x", nil, "Write Users")
	wantDraws(t, p, "DELETE /api/v2/users/x", nil, "Write Users [2]")
	merged := "Change Password + Reset Password with Universal Login"
	wantDraws(t, p, "POST /dbconnections/change_password", nil, "Authentication API", merged)
	wantDraws(t, p, "POST /u/reset-password/request/c", nil, "Authentication API", "Universal login prompts (global)", merged+" [2]")
	if len(p.Buckets) != before+2 {
		t.Errorf("%d buckets, want %d", len(p.Buckets), before+2)
	}
	p = mustWith(t, "free", SeparateCounters())
	wantDraws(t, p, "POST /u/reset-password/request/c", nil, "Authentication API", "Change Password [2]")
}

// TestTableOnly is ambiguities 10 and 11.
func TestTableOnly(t *testing.T) {
	t.Parallel()
	native := fields{
		"grant_type":         "urn:ietf:params:oauth:grant-type:token-exchange",
		"subject_token_type": "http://auth0.com/oauth/token-type/apple-authz-code",
	}
	row, page := "Native Social Login (Apple / Facebook Only)", "Native Social Login [its own page]"
	wantDraws(t, mustPlan(t, "enterprise"), "POST /oauth/token", native, "Authentication API", row, page)
	wantDraws(t, mustPlan(t, "enterprise"), "POST /bc-authorize", nil, "Authentication API", "CIBA requests of the tenant", "Back-Channel authorize (CIBA)")
	p := mustWith(t, "enterprise", TableOnly())
	wantDraws(t, p, "POST /oauth/token", native, "Authentication API", row)
	wantDraws(t, p, "POST /bc-authorize", nil, "Authentication API", "Back-Channel authorize (CIBA)")
}

func TestWithErrors(t *testing.T) {
	t.Parallel()
	p := mustPlan(t, "enterprise")
	second := Rate{1, time.Second}
	match := []Match{{Method: "GET", Path: "/a"}}
	for i, tt := range []struct {
		change Change
		want   string
	}{
		{OverrideBucket("Managements API", 1, second), `no bucket "Managements API"; the nearest name is "Management API"`},
		{OverrideBucket("Management API", 0, second), `bucket "Management API": burst 0`},
		{OverrideBucket("Management API", 1, Rate{}), `bucket "Management API": rate of 0`},
		{OverrideBucket("Import jobs", 1, second), "limits what is under way"},
		{RemoveBucket("x"), `no bucket "x"`},
		{AddBucket(Bucket{Name: "Management API"}), "is there already"},
		{AddBucket(Bucket{Name: "a", API: "x", Burst: 1, Rate: second}), `bucket "a": it has no requests`},
		{AddBucket(Bucket{Name: "", API: "x", Burst: 1, Rate: second, Matches: match}), "the name must be"},
		{AddBucket(Bucket{Name: "a  b", API: "x", Burst: 1, Rate: second, Matches: match}), "the name must be"},
		{AddBucket(Bucket{Name: "a", API: "x y", Burst: 1, Rate: second, Matches: match}), `API "x y"`},
		{AddBucket(Bucket{Name: "a", API: "x", Role: 9, Burst: 1, Rate: second, Matches: match}), "role 9"},
		{AddBucket(Bucket{Name: "a", API: "x", Key: 99, Burst: 1, Rate: second, Matches: match}), "key 99"},
		{AddBucket(Bucket{Name: "a", API: "x", Burst: 1, Rate: second, Concurrent: 2, Matches: match}), "set these to 0"},
		{AddBucket(Bucket{Name: "a", API: "x", Burst: 1, Rate: second, Window: -1, Matches: match}), "window"},
		{AddBucket(Bucket{Name: "a", API: "x", Burst: 1, Rate: second, Peak: Peak{Burst: 1}, Matches: match}), "peak: rate"},
		{AddBucket(Bucket{Name: "a", API: "x", Burst: 1, Rate: second, Instead: []string{"b"}, Matches: match}), `stands in for "b"`},
		{AddBucket(Bucket{Name: "a", API: "x", Burst: 1, Rate: second, Matches: []Match{{Method: "GET", Path: "/a", Part: 1}}}), "parts are numbered"},
		{AddBucket(Bucket{Name: "a", API: "x", Burst: 1, Rate: second, Matches: []Match{
			{Method: "GET", Path: "/a", When: []Condition{{In: InBody, Name: "x"}}},
		}}), `condition on "x"`},
		{AddBucket(Bucket{Name: "a", API: "x", Burst: 1, Rate: second, Matches: []Match{
			{Method: "GET", Path: "/a", When: []Condition{{In: InToken, Name: "$x", AnyWord: []string{"a"}}}},
		}}), `condition on "$x"`},
		{AddBucket(Bucket{Name: "a", API: "x", Burst: 1, Rate: second, Matches: []Match{
			{Method: "GET", Path: "/a", When: []Condition{{In: InPath, NoPrefix: []string{"/a"}}}},
		}}), `path prefix "/a"`},
		{AddBucket(Bucket{Name: "a", API: "x", Burst: 1, Rate: second, Matches: []Match{{Event: "e", Method: "GET"}}}), `event "e"`},
		{AddRequest("x", "GET /a"), `no bucket "x"`},
		{AddRequest("Management API", "GET"), "want a method and a path"},
		{AddRequest("Management API", "global GET /a"), "without a role"},
		{RemoveRequest("Management API", "GET /a"), `does not count "GET /a"`},
		{RemoveRequest("Read Organizations", "GET /api/v2/organizations"), "remove the bucket"},
		{RemoveRequest("x", "GET /a"), `no bucket "x"`},
		{Instead("x", "Management API"), `no bucket "x"`},
		{Instead("Management API", "x"), `no bucket "x"`},
		{Instead("Management API", "Management API"), "for itself"},
		{OutsideAPILevel(), "name at least one API"},
		{OutsideAPILevel("managements"), `the API "managements" has no API-level bucket`},
	} {
		changed, err := p.With(tt.change)
		if err == nil || changed != nil {
			t.Errorf("change %d: %v, %v, want an error with %q", i, changed, err, tt.want)
		} else if s := err.Error(); !strings.Contains(s, tt.want) || !strings.HasPrefix(s, "ratelimit: plan enterprise: ") {
			t.Errorf("change %d: %v, want %q", i, err, tt.want)
		}
	}
}

func TestWithTooManyBuckets(t *testing.T) {
	t.Parallel()
	var changes []Change
	for i := range 6 {
		changes = append(changes, AddBucket(Bucket{
			Name: fmt.Sprint("extra ", i), API: "management", Burst: 1, Rate: Rate{1, time.Second},
			Matches: []Match{{Method: "GET", Path: "/api/v2/roles"}},
		}))
	}
	if _, err := mustPlan(t, "enterprise").With(changes[:5]...); err != nil {
		t.Error(err)
	}
	_, err := mustPlan(t, "enterprise").With(changes...)
	if err == nil || !strings.Contains(err.Error(), "GET /api/v2/roles draws from 7 buckets; at most 6") {
		t.Errorf("a seventh bucket: %v", err)
	}
}
