package ratelimit

import (
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// readTable reads a table of testdata: its rows without the head.
func readTable(t *testing.T, name string) [][]string {
	t.Helper()
	text, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	var rows [][]string
	columns := -1
	for line := range strings.Lines(string(text)) {
		row := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if columns < 0 {
			columns = len(row)
			continue
		}
		if len(row) != columns {
			t.Fatalf("%s: row %d has %d columns, want %d", name, len(rows)+2, len(row), columns)
		}
		rows = append(rows, row)
	}
	return rows
}

// mustPlan returns a published plan.
func mustPlan(tb testing.TB, name string) *Plan {
	tb.Helper()
	p, err := Named(name)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

// holdsIn returns the names of the plans in which a published row holds.
func holdsIn(plan, holdsFor, row string) []string {
	var all []string
	for _, n := range Names() {
		if n == plan || strings.HasPrefix(n, plan+"/") {
			all = append(all, n)
		}
	}
	switch holdsFor {
	case "-", "all":
		return all
	case "production":
		if row == "Authentication API" { // the add-ons replace this row
			return []string{plan}
		}
		return slices.DeleteFunc(all, func(n string) bool { return strings.HasSuffix(n, "/non-production") })
	case "standard", "Enterprise (Production)", "Production (Paid)":
		return []string{plan}
	case "enterprise-startup":
		return []string{plan, plan + "/non-production"}
	}
	variant := map[string]string{
		"Enterprise (Non-production)": "non-production", "Non-Production (Paid)": "non-production",
		"Free or Trial": "free-or-trial", "Self Service (Paid)": "self-service",
	}[holdsFor]
	if variant == "" {
		variant = holdsFor
	}
	return []string{plan + "/" + variant}
}

// canonical writes a match in the notation of testdata/rows.tsv.
func canonical(m Match) string {
	if m.Event != "" {
		return "event " + m.Event
	}
	s := m.Method + " " + m.Path
	conditions := slices.Clone(m.When)
	slices.SortStableFunc(conditions, func(a, b Condition) int { return strings.Compare(a.Name, b.Name) })
	for _, c := range conditions {
		switch {
		case c.In == InQuery && c.Equals == "":
			s += " query:" + c.Name
		case c.In == InQuery:
			s += " query:" + c.Name + "=" + c.Equals
		case c.In == InBody && c.Equals != "":
			s += " body:" + c.Name + "=" + c.Equals
		case c.In == InBody:
			s += " body:" + c.Name + "!" + strings.Join(c.NoPrefix, ",")
		case c.In == InToken:
			s += " token:" + c.Name + "~" + strings.Join(c.AnyWord, ",")
		case c.In == InPath:
			s += " path!" + strings.Join(c.NoPrefix, ",")
		}
	}
	if m.Inferred {
		s += " inferred"
	}
	return s
}

// pageName drops what is ours from a bucket's name.
func pageName(name string) string {
	if i := strings.LastIndex(name, " ["); i >= 0 && strings.HasSuffix(name, "]") {
		return name[:i]
	}
	return name
}

func atoi(t *testing.T, s string) int64 {
	t.Helper()
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func periodOf(t *testing.T, s string) time.Duration {
	t.Helper()
	d, ok := map[string]time.Duration{"second": time.Second, "minute": time.Minute, "hour": time.Hour, "day": 24 * time.Hour}[s]
	if !ok {
		t.Fatalf("period %q", s)
	}
	return d
}

// publishedRow is a row of testdata/rows.tsv.
type publishedRow struct {
	plan, holdsFor, api, name, scope, role string
	burst                                  int64 // 0 where the page gives a rate alone
	rate                                   Rate
	key                                    string
	peak                                   Peak
	matches                                []string
}

func publishedRows(t *testing.T) []publishedRow {
	t.Helper()
	var rows []publishedRow
	for _, r := range readTable(t, "rows.tsv") {
		row := publishedRow{
			plan: r[0], holdsFor: r[1], api: r[2], name: r[3], scope: r[4], role: r[5],
			rate: Rate{Count: atoi(t, r[7]), Per: periodOf(t, r[8])}, key: r[9], matches: strings.Split(r[11], " ; "),
		}
		if r[6] != "-" {
			row.burst = atoi(t, r[6])
		}
		if r[10] != "-" {
			f := strings.Split(r[10], "/")
			row.peak = Peak{Burst: atoi(t, f[0]), Rate: Rate{Count: atoi(t, f[1]), Per: periodOf(t, f[2])}, Hours: int(atoi(t, f[3]))}
		}
		rows = append(rows, row)
	}
	return rows
}

// TestPublishedRows holds every published row against the tables: role, burst,
// rate, key, peak and requests, in each variant in which it holds; and it checks
// that the tables have nothing beside these rows.
func TestPublishedRows(t *testing.T) {
	t.Parallel()
	rows := publishedRows(t)
	if len(rows) != 684 {
		t.Fatalf("%d published rows, want 684", len(rows))
	}
	expected := map[string]int{} // matches by plan
	for _, row := range rows {
		for _, name := range holdsIn(row.plan, row.holdsFor, row.name) {
			expected[name] += len(row.matches)
			checkRow(t, mustPlan(t, name), row)
		}
	}
	for _, name := range Names() {
		got := 0
		for _, b := range mustPlan(t, name).Buckets {
			if !b.OtherPage {
				got += len(b.Matches)
			}
		}
		if got != expected[name] {
			t.Errorf("%s: its tables match %d requests, the published rows %d", name, got, expected[name])
		}
	}
}

// checkRow looks for the bucket of a published row.
func checkRow(t *testing.T, p *Plan, row publishedRow) {
	t.Helper()
	var found []*Bucket
	for i := range p.Buckets {
		b := &p.Buckets[i]
		if b.API == row.api && !b.OtherPage && pageName(b.Name) == row.name && hasRun(b.Matches, row.matches) &&
			(row.scope == "user") == strings.HasSuffix(b.Name, "[per user]") {
			found = append(found, b)
		}
	}
	if len(found) != 1 {
		t.Errorf("%s: %d buckets for the row %q (%s %s) with requests %q, want 1", p.Name, len(found), row.name, row.api, row.scope, row.matches)
		return
	}
	b := found[0]
	burst, key := row.burst, row.key
	if burst == 0 {
		burst = row.rate.Count
	}
	if strings.HasPrefix(row.holdsFor, "public-performance-burst") {
		// The page has the raised figure in this row; requests are paced by the base.
		burst = 100
		if row.peak.Burst != row.burst {
			t.Errorf("%s: %s: published burst %d and peak %d differ", p.Name, row.name, row.burst, row.peak.Burst)
		}
	}
	if row.name == "Universal login prompts (per prompt)" && key == "ip" {
		key = "ip+prompt" // the page says that each prompt has its own
	}
	if b.Role.String() != row.role || b.Burst != burst || b.Rate != row.rate || b.Key.String() != key || b.Peak != row.peak || b.Window != 0 || b.Concurrent != 0 {
		t.Errorf("%s: %s: %v, burst %d, %v, %v, peak %v; published: %s, burst %d, %v, %s, peak %v",
			p.Name, b.Name, b.Role, b.Burst, b.Rate, b.Key, b.Peak, row.role, burst, row.rate, key, row.peak)
	}
}

// hasRun reports whether want stands in matches, in one piece.
func hasRun(matches []Match, want []string) bool {
	for i := 0; i+len(want) <= len(matches); i++ {
		same := true
		for j := range want {
			same = same && canonical(matches[i+j]) == want[j]
		}
		if same {
			return true
		}
	}
	return false
}

// TestOtherPages holds the limits of other pages against what these publish.
func TestOtherPages(t *testing.T) {
	t.Parallel()
	common := []string{
		"One-time password challenge 50 50/h ip", "Delegation (legacy) 10 10/min ip+user", "CIBA requests of the tenant 500 500/min tenant",
		"Logins of one user 20 10/min ip+user", "Self-service ticket 6 6/min ip",
		"Self-service web app [per address] 50 50/min ip", "Self-service web app [per tenant] 90 90/min tenant",
		"Import jobs 2 at once tenant",
	}
	native := "Native Social Login [its own page] 500 50/min tenant"
	nativeFree := "Native Social Login [its own page] 30 30/min ip"
	myOrganization := func(read, write, readOne, writeOne int) []string {
		return []string{
			fmt.Sprintf("My Organization reads %d %d/s tenant", read, read),
			fmt.Sprintf("My Organization writes %d %d/s tenant", write, write),
			fmt.Sprintf("My Organization reads [per organization] %d %d/s organization", readOne, readOne),
			fmt.Sprintf("My Organization writes [per organization] %d %d/s organization", writeOne, writeOne),
		}
	}
	for _, name := range Names() {
		var want []string
		switch base, variant, _ := strings.Cut(name, "/"); {
		case base == "may-2020" || base == "legacy-2020":
			want = []string{"Import jobs 2 at once tenant"}
		case base == "free":
			want = slices.Concat(common, myOrganization(4, 2, 4, 2),
				[]string{nativeFree, "Cross App Access (ID-JAG exchange) [its own page] 150 150/min tenant"})
		case base == "essentials-professional":
			want = slices.Concat(common, myOrganization(8, 4, 4, 2),
				[]string{native, "Cross App Access (ID-JAG exchange) [its own page] 12 25/2s tenant"})
		case variant == "non-production":
			want = append(slices.Concat(common, myOrganization(40, 20, 8, 4)), nativeFree)
		case base == "enterprise" || base == "private-cloud-dev" || base == "private-cloud-100":
			want = append(slices.Concat(common, myOrganization(40, 20, 8, 4)), native)
		default:
			want = append(slices.Concat(common, myOrganization(160, 80, 16, 8)), native)
		}
		var got []string
		for _, b := range mustPlan(t, name).Buckets {
			if b.OtherPage {
				c := b.cells()
				if b.Concurrent == 0 {
					c[1] = strconv.FormatInt(b.Burst, 10)
				}
				got = append(got, strings.Join(c[:], " "))
			}
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s: limits of other pages:\n%s\nwant:\n%s", name, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	want := []string{
		"free", "essentials-professional",
		"enterprise", "enterprise/non-production", "enterprise/public-performance-burst-2x",
		"enterprise/public-performance-burst-3x", "enterprise/public-performance-burst-4x",
		"private-cloud-dev", "private-cloud-100", "private-cloud-500", "private-cloud-1500",
		"private-cloud-3000", "private-cloud-3000/30x-burst", "private-cloud-6000", "private-cloud-6000/60x-burst", "private-cloud-10000",
		"may-2020", "may-2020/non-production", "may-2020/self-service", "may-2020/free-or-trial",
		"legacy-2020", "legacy-2020/non-production", "legacy-2020/free-or-trial",
	}
	if got := Names(); !slices.Equal(got, want) {
		t.Errorf("Names() = %q, want %q", got, want)
	}
	for _, name := range want {
		p := mustPlan(t, name)
		if p.Name != name || p.Title == "" || p.AsOf == "" || p.Superseded != strings.Contains(name, "2020") {
			t.Errorf("%s: name %q, title %q, as of %q, superseded %v", name, p.Name, p.Title, p.AsOf, p.Superseded)
		}
	}
}

func TestNamedShortForms(t *testing.T) {
	t.Parallel()
	for short, long := range map[string]string{
		"essentials": "essentials-professional", "Professional": "essentials-professional", " enterprise ": "enterprise",
		"enterprise/production": "enterprise", "enterprise/burst-2x": "enterprise/public-performance-burst-2x",
		"enterprise/burst-4x": "enterprise/public-performance-burst-4x", "private-cloud-3000/burst": "private-cloud-3000/30x-burst",
		"private-cloud-3000/standard": "private-cloud-3000", "private-cloud-6000/burst": "private-cloud-6000/60x-burst",
		"may-2020/production": "may-2020", "legacy-2020/production": "legacy-2020",
	} {
		p := mustPlan(t, short)
		if p.Name != long {
			t.Errorf("Named(%q) is %q, want %q", short, p.Name, long)
		}
		if p != mustPlan(t, long) {
			t.Errorf("Named(%q) and Named(%q) are two plans, want one", short, long)
		}
	}
}

func TestNamedUnknown(t *testing.T) {
	t.Parallel()
	for name, near := range map[string]string{
		"enterprisse":               "enterprise",
		"enterprise/non-prod":       "enterprise/non-production",
		"enterprise/prod":           "enterprise/non-production",
		"private-cloud":             "private-cloud-100",
		"private-cloud-3000/bursts": "private-cloud-3000/burst",
		"fre":                       "free",
		"":                          "auto",
		"common":                    "Names lists all",
		"../plans/enterprise":       "Names lists all",
		strings.Repeat("x", 10_000): "Names lists all",
	} {
		p, err := Named(name)
		if err == nil {
			t.Errorf("Named(%q) is %q, want an error", name, p.Name)
		} else if !strings.Contains(err.Error(), near) {
			t.Errorf("Named(%q): %v, want mention of %q", name, err, near)
		}
	}
}

// TestPlanFileSize keeps what every program embeds small.
func TestPlanFileSize(t *testing.T) {
	t.Parallel()
	files, err := fs.Glob(planFiles, "plans/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	total := 0
	for _, name := range files {
		text, err := planFiles.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		total += len(text)
		for i, line := range strings.Split(string(text), "\n") {
			if strings.TrimRight(line, " ") != line || strings.ContainsAny(line, "\t\r") {
				t.Errorf("%s:%d: tab, carriage return or space at the end", name, i+1)
			}
		}
	}
	if total > 110_000 {
		t.Errorf("tables of %d bytes, want at most 110000", total)
	}
}

// TestAuto checks the careful plan against every bucket of every current plan.
func TestAuto(t *testing.T) {
	t.Parallel()
	auto := mustPlan(t, "auto")
	type request struct {
		api       string
		role      Role
		key       Key
		otherPage bool
		match     string
	}
	index := map[request]*Bucket{}
	for i := range auto.Buckets {
		b := &auto.Buckets[i]
		for _, m := range b.Matches {
			m.Inferred = false
			r := request{b.API, b.Role, b.Key, b.OtherPage, canonical(m)}
			if index[r] != nil {
				t.Errorf("%v is in %q and in %q", r, index[r].Name, b.Name)
			}
			index[r] = b
		}
	}
	type figures struct {
		burst int64
		rate  float64
		slots int
	}
	least := map[*Bucket]figures{}
	for _, name := range Names() {
		p := mustPlan(t, name)
		if p.Superseded {
			continue
		}
		for _, b := range p.Buckets {
			for _, m := range b.Matches {
				m.Inferred = false
				a := index[request{b.API, b.Role, b.Key, b.OtherPage, canonical(m)}]
				if a == nil {
					t.Errorf("%s: nothing in auto for %q of %q", name, canonical(m), b.Name)
					continue
				}
				f := figures{b.Burst, float64(b.Rate.Count) / float64(max(b.Rate.Per, 1)), b.Concurrent}
				if old, ok := least[a]; ok {
					f = figures{min(f.burst, old.burst), min(f.rate, old.rate), min(f.slots, old.slots)}
				}
				least[a] = f
			}
		}
	}
	for i := range auto.Buckets {
		b := &auto.Buckets[i]
		if got := (figures{b.Burst, float64(b.Rate.Count) / float64(max(b.Rate.Per, 1)), b.Concurrent}); got != least[b] {
			t.Errorf("%s: %v, want the least of all plans, %v", b.Name, got, least[b])
		}
		if b.Peak != (Peak{}) {
			t.Errorf("%s: has a peak", b.Name)
		}
	}
	for name, want := range map[string]string{
		"Management API": "2 at 2/s", "Authentication API": "20 at 300/min", "All other Endpoints Combined": "10 at 150/min",
		"Read Users": "40 at 500/min", "Global tenant limit for all SCIM connections": "5 at 5/s",
	} {
		b, err := auto.find(name)
		if err != nil {
			t.Error(err)
		} else if got := fmt.Sprint(b.Burst, " at ", b.Rate); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

// TestAutoJoinsGroups: a row that connects two groups leaves one, with the least
// figures of all three.
func TestAutoJoinsGroups(t *testing.T) {
	t.Parallel()
	row := func(burst, count int64, paths ...string) Bucket {
		b := Bucket{Name: "Row", API: "x", Burst: burst, Rate: Rate{count, time.Second}}
		for _, p := range paths {
			b.Matches = append(b.Matches, Match{Method: "GET", Path: p})
		}
		return b
	}
	var p Plan
	groups := map[string]int{}
	for _, b := range []Bucket{row(9, 9, "/a"), row(1, 8, "/b"), row(5, 5, "/c"), row(7, 7, "/b", "/a"), row(8, 8, "/b")} {
		p.addCareful(b, groups)
	}
	var got []string
	for _, b := range p.Buckets {
		got = append(got, fmt.Sprint(b.Burst, b.Rate, b.requestLines()))
	}
	want := []string{"1 7/s [GET /a GET /b]", "1 8/s []", "5 5/s [GET /c]"}
	if !slices.Equal(got, want) {
		t.Errorf("groups %q, want %q", got, want)
	}
}

func TestCandidates(t *testing.T) {
	t.Parallel()
	enterprise := []string{
		"enterprise", "enterprise/public-performance-burst-2x", "enterprise/public-performance-burst-3x", "enterprise/public-performance-burst-4x",
	}
	for _, tt := range []struct {
		request string
		limit   int64
		want    []string
	}{
		{"GET /api/v2/roles", 50, append(slices.Clone(enterprise), "private-cloud-100")},
		{"GET /api/v2/roles", 10, []string{"enterprise/non-production", "essentials-professional"}},
		{"GET /api/v2/roles", 2, []string{"free"}},
		{"GET /api/v2/roles", 7777, nil},
		{"GET /api/v2/users/auth0%7C1", 40, []string{"essentials-professional"}},
		{"GET /authorize", 25, []string{"essentials-professional"}},
		{"GET /authorize", 200, []string{"enterprise/public-performance-burst-2x"}},
		{"GET /authorize", 3000, []string{"private-cloud-3000/30x-burst", "private-cloud-3000", "private-cloud-6000/60x-burst"}},
		// Concurrency is no size of a bucket.
		{"POST /api/v2/jobs/users-imports", 2, []string{"free"}},
	} {
		method, path, _ := strings.Cut(tt.request, " ")
		var got []string
		for _, p := range Candidates(&Request{Method: method, Path: path}, tt.limit) {
			got = append(got, p.Name)
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("Candidates(%s, %d) = %q, want %q", tt.request, tt.limit, got, tt.want)
		}
	}
}
