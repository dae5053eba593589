package ratelimit

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestPlanTextRoundTrip(t *testing.T) {
	t.Parallel()
	for _, name := range append(Names(), "auto") {
		checkRoundTrip(t, mustPlan(t, name))
	}
}

// checkRoundTrip writes a plan, reads it, and wants the same plan.
func checkRoundTrip(t *testing.T, p *Plan) {
	t.Helper()
	text := p.Text()
	again, err := Parse(text)
	if err != nil {
		t.Fatalf("%s: its text does not parse: %v\n%s", p.Name, err, text)
	}
	if again.Name != p.Name || again.Title != p.Title || again.AsOf != p.AsOf || again.Superseded != p.Superseded ||
		len(again.Buckets) != len(p.Buckets) {
		t.Fatalf("%s: read back as %q, %q, %q, %v, %d buckets, want %q, %q, %v, %d\n%s",
			p.Name, again.Name, again.Title, again.AsOf, again.Superseded, len(again.Buckets), p.Title, p.AsOf, p.Superseded, len(p.Buckets), text)
	}
	for i := range p.Buckets {
		if !reflect.DeepEqual(p.Buckets[i], again.Buckets[i]) {
			t.Fatalf("%s: %+v read back as %+v\n%s", p.Name, p.Buckets[i], again.Buckets[i], text)
		}
	}
}

const ownPlan = `
# A plan of one's own.
plan      acme
title     Acme's limits
as of     2026-01
alias     a, b
variant   live, default
variant   twice, of live, also x2
include   mfa
define    $otp  with grant_type=otp unless kind=urn:a|urn:b

[management]
name                  burst  sustained                          key     requests
All @live             50     16/s, windows of 1s                tenant  global * /api/v2/*
All @twice            50     16/s, peak 100 at 32/s 10h a month  tenant  global * /api/v2/*
Reads @live           -      25/2s                              ip      GET,HEAD /x/{id}?q&state=1  GET /y ?
Jobs                  3      at once                            tenant  POST /jobs
Writes                4      4/min                              tenant  POST /w
                                                                        + PATCH /w/{id} ?
Writes                4      4/min                              tenant  DELETE /w/{id}

[authentication, other pages]
Tokens                1      1/day   organization  POST /t $otp
                                                   POST /t claim scope=a|b ?
                      instead of Reads
All but               7      7/h     token-subject  catch-all * /* except /api/v2/|/me/
`

func TestParse(t *testing.T) {
	t.Parallel()
	p, err := Parse(ownPlan)
	if err != nil {
		t.Fatal(err)
	}
	if p.Name != "acme" || p.Title != "Acme's limits" || p.AsOf != "2026-01" {
		t.Errorf("head: %q, %q, %q", p.Name, p.Title, p.AsOf)
	}
	global := []Match{{Method: "*", Path: "/api/v2/*"}}
	want := []Bucket{
		{Name: "All", API: "management", Role: RoleGlobal, Burst: 50, Rate: Rate{16, time.Second}, Window: time.Second, Matches: global},
		{Name: "Reads", API: "management", Burst: 25, Rate: Rate{25, 2 * time.Second}, Key: KeyIP, Matches: []Match{
			{Method: "GET", Path: "/x/{id}", When: []Condition{{In: InQuery, Name: "q"}, {In: InQuery, Name: "state", Equals: "1"}}},
			{Method: "HEAD", Path: "/x/{id}", When: []Condition{{In: InQuery, Name: "q"}, {In: InQuery, Name: "state", Equals: "1"}}},
			{Method: "GET", Path: "/y", Inferred: true},
		}},
		{Name: "Jobs", API: "management", Concurrent: 3, Matches: []Match{{Method: "POST", Path: "/jobs"}}},
		{Name: "Writes", API: "management", Burst: 4, Rate: Rate{4, time.Minute}, Matches: []Match{
			{Method: "POST", Path: "/w"}, {Method: "PATCH", Path: "/w/{id}", Inferred: true, Part: 1}, {Method: "DELETE", Path: "/w/{id}", Part: 2},
		}},
		{Name: "Tokens", API: "authentication", OtherPage: true, Burst: 1, Rate: Rate{1, 24 * time.Hour}, Key: KeyOrganization,
			Instead: []string{"Reads"}, Matches: []Match{
				{Method: "POST", Path: "/t", When: []Condition{
					{In: InBody, Name: "grant_type", Equals: "otp"}, {In: InBody, Name: "kind", NoPrefix: []string{"urn:a", "urn:b"}},
				}},
				{Method: "POST", Path: "/t", Inferred: true, When: []Condition{{In: InToken, Name: "scope", AnyWord: []string{"a", "b"}}}},
			}},
		{Name: "All but", API: "authentication", OtherPage: true, Role: RoleCatchAll, Burst: 7, Rate: Rate{7, time.Hour}, Key: KeySubject,
			Matches: []Match{{Method: "*", Path: "/*", When: []Condition{{In: InPath, NoPrefix: []string{"/api/v2/", "/me/"}}}}}},
	}
	if len(p.Buckets) != len(want)+7 { // and those of the table mfa
		t.Fatalf("%d buckets, want %d:\n%s", len(p.Buckets), len(want)+7, p.Text())
	}
	for i := range want {
		if !reflect.DeepEqual(p.Buckets[i], want[i]) {
			t.Errorf("bucket %d is %+v, want %+v", i, p.Buckets[i], want[i])
		}
	}
	checkRoundTrip(t, p)

	// The variant that is not the default takes over the rows of the other.
	head, _, err := parseHead(ownPlan)
	if err != nil {
		t.Fatal(err)
	}
	v, ok := head.variantNamed("x2")
	if !ok {
		t.Fatal("no variant x2")
	}
	twice, err := parsePlan(ownPlan, v)
	if err != nil {
		t.Fatal(err)
	}
	all := Bucket{
		Name: "All", API: "management", Role: RoleGlobal, Burst: 50, Rate: Rate{16, time.Second},
		Peak: Peak{Burst: 100, Rate: Rate{32, time.Second}, Hours: 10}, Matches: global,
	}
	if twice.Name != "acme/twice" || len(twice.Buckets) != len(p.Buckets) || !reflect.DeepEqual(twice.Buckets[0], all) {
		t.Errorf("variant twice is %s with %d buckets, the first %+v", twice.Name, len(twice.Buckets), twice.Buckets[0])
	}
}

func TestParseErrors(t *testing.T) {
	t.Parallel()
	// Each text is put after a head of one line, in a section, unless it has
	// its own.
	for text, want := range map[string]string{
		"R  x  1/s  tenant  GET /a":                                    `line 3: R: burst "x"`,
		"R  0  1/s  tenant  GET /a":                                    `burst "0"`,
		"R  -1  1/s  tenant  GET /a":                                   "burst -1",
		"R  1  1/fortnight  tenant  GET /a":                            `period "fortnight"`,
		"R  1  0/s  tenant  GET /a":                                    `rate "0/s"`,
		"R  1  99999999999999999999/s  tenant  GET /a":                 "want a count and a period",
		"R  1  1/999999999999day  tenant  GET /a":                      "period",
		"R  1  1/60day  tenant  GET /a":                                "at most",
		"R  1  s  tenant  GET /a":                                      `rate "s"`,
		"R  1  1/s  everyone  GET /a":                                  `key "everyone": want one of tenant, ip,`,
		"R  1  1/s  tenant":                                            "no requests",
		"R  1  1/s":                                                    "3 columns, want 5",
		"R  1  1/s  tenant  global":                                    "no requests",
		"R  1  1/s  tenant  GET":                                       `"GET": want a method and a path`,
		"R  1  1/s  tenant  get /a":                                    `method "get"`,
		"R  1  1/s  tenant  GET a":                                     `path "a"`,
		"R  1  1/s  tenant  GET /a/{b}c":                               "braces must hold a whole segment",
		"R  1  1/s  tenant  GET /a/*/b":                                "whole last segment",
		"R  1  1/s  tenant  GET /a//b":                                 "empty or dot segment",
		"R  1  1/s  tenant  GET /a/../b":                               "empty or dot segment",
		"R  1  1/s  tenant  GET /%61":                                  "decoded segments",
		"R  1  1/s  tenant  GET /a?":                                   "want parameters such as",
		"R  1  1/s  tenant  GET /a with x":                             "with x: want NAME=VALUE",
		"R  1  1/s  tenant  GET /a with x=":                            "condition on \"x\"",
		"R  1  1/s  tenant  GET /a unless x=a||b":                      `value ""`,
		"R  1  1/s  tenant  GET /a except /b":                          `path prefix "/b"`,
		"R  1  1/s  tenant  GET /a maybe x=1":                          `method "maybe"`,
		"R  1  1/s  tenant  GET /a $x":                                 "$x is not defined",
		"R  1  1/s  tenant  + GET /a":                                  "+ stands between two requests",
		"R  1  1/s  tenant  GET /a +":                                  "+ stands between two requests",
		"R  1  1/s  tenant  event a b":                                 `"b": want a method and a path`,
		"R @v  1  1/s  tenant  GET /a":                                 "variant @v is not declared",
		"R  2000000000  1/s  tenant  GET /a":                           "burst 2000000000: want 1 to",
		"R  9  at once  tenant  GET /a\nR  8  at once  tenant  GET /a": "line 4: R: a row above has this name and other figures",
		"R  -  at once  tenant  GET /a":                                "at once: want a number",
		"R  1  1/s, windows of x  tenant  GET /a":                      `period "x"`,
		"R  1  1/s, peak 2  tenant  GET /a":                            "peak 200 at 200/s",
		"R  1  1/s, peak 2 at 2/s 999h a month  tenant  GET /a":        "peak of 999 hours",
		"R  1  1/s  tenant  GET /a\n  instead of S":                    `stands in for "S"`,
		"[other]\n  GET /a":                                            "line 4: it goes on with a row",
		"[a b]":                                                        "line 3: section",
		"[a":                                                           "section",
		"plan x\nwhat y\n[m]":                                          `line 2: "what": want plan, title`,
		"plan x\ntitle":                                                `nothing after "title"`,
		"plan x y":                                                     `plan name "x y"`,
		"title x":                                                      `the line "plan NAME" is missing`,
		"":                                                             `the line "plan NAME" is missing`,
		"plan x\nvariant a, b":                                         `"b" is neither`,
		"plan x\nvariant a/b":                                          `variant "a/b"`,
		"plan x\nvariant a\nvariant a":                                 "there twice",
		"plan x\nvariant a, default\nvariant b, default":               "two variants are the default",
		"plan x\nvariant a, of b":                                      "is of b, which is not",
		"plan x\ninclude nothing":                                      "no such shared table",
		"plan x\ninclude enterprise":                                   "a plan cannot be included",
		"plan x\ndefine x y":                                           "want $NAME and words",
		"plan x\ndefine $x y\ndefine $x z":                             "defined twice",
		"plan x\nR  1  1/s  tenant  GET /a":                            `line 2: "R"`,
	} {
		if !strings.HasPrefix(text, "plan") && !strings.HasPrefix(text, "title") && text != "" {
			text = "plan x\n[m]\n" + text
		}
		p, err := Parse(text)
		if err == nil {
			t.Errorf("%q parses as\n%s\nwant an error with %q", text, p.Text(), want)
		} else if !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
		if p != nil {
			t.Errorf("%q: a plan beside the error", text)
		}
	}
}

func TestParseTooManyBuckets(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	text.WriteString("plan x\n[m]\n")
	for i := range 7 {
		text.WriteString("R" + strings.Repeat("r", i) + "  1  1/s  tenant  GET /a\n")
	}
	_, err := Parse(text.String())
	if err == nil || !strings.Contains(err.Error(), "GET /a draws from 7 buckets; at most 6") {
		t.Errorf("seven buckets for one request: %v", err)
	}
}

func TestRateText(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Rate{
		"16/s": {16, time.Second}, "100/min": {100, time.Minute}, "50/h": {50, time.Hour}, "5/day": {5, 24 * time.Hour},
		"25/2s": {25, 2 * time.Second}, "1/90min": {1, 90 * time.Minute}, "3/100ms": {3, 100 * time.Millisecond},
		"1/us": {1, time.Microsecond}, "7/13ns": {7, 13 * time.Nanosecond},
	} {
		got, err := ParseRate(text)
		if err != nil || got != want || got.String() != text {
			t.Errorf("ParseRate(%q) = %+v (%v), %v, want %+v", text, got, got, err, want)
		}
	}
	if got := (Rate{60, 120 * time.Second}).String(); got != "60/2min" {
		t.Errorf("60 in 120 s is written %s, want 60/2min", got)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(ownPlan)
	for _, name := range []string{"plans/common.txt", "plans/prompts.txt", "plans/enterprise.txt", "plans/may-2020.txt"} {
		text, err := planFiles.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Add("plan x\n[m]\nR  1  1/s  tenant  GET,POST /a/{b}/* except /a/|/b/ claim scope=x|y ? + event z\n")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := Parse(text)
		if err != nil {
			if p != nil {
				t.Fatal("a plan beside an error")
			}
			return
		}
		checkRoundTrip(t, p)
		for _, b := range p.Buckets {
			for _, m := range b.Matches {
				if r := p.Route(&Request{Method: m.Method, Path: m.Path}); r.N < 0 || r.N > len(r.Buckets) {
					t.Fatalf("%d buckets", r.N)
				}
			}
		}
	})
}
