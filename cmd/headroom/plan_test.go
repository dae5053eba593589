package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/headroom-go/auth0/auth0test"
	"github.com/headroom-go/auth0/importer"
)

// planOf runs headroom plan --json.
func planOf(t *testing.T, c *console, want int, args ...string) planReport {
	t.Helper()
	status, out, stderr := c.run(append([]string{"plan", "--json"}, args...)...)
	if status != want || stderr != "" {
		t.Fatalf("exit status %d, want %d; stderr %q", status, want, stderr)
	}
	var r planReport
	d := json.NewDecoder(strings.NewReader(out))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	return r
}

const bcryptHash = "$2a$10$jIeJ0E4t.BaEHiXhUp7pm.1Va.ZSJV7uZMKk4WTsa2A0X0ONUvBHO"

func hashedUsers(n int) string {
	return strings.ReplaceAll(someUsers(n), `"password":"secret-word-`, `"password_hash":"`+bcryptHash+`","nickname":"n`)
}

func TestPlan(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newConsole(t, auth0test.Options{})
		c.env = nil // no tenant is needed
		// 440 requests, 50 of which go at once, at 16 a second: 24.375 s.
		r := planOf(t, c, exitOK, "--plan", "enterprise", sample)
		if r.Total != sampleUsers || r.Refused != 0 || r.Via != importer.ViaUsers || len(r.Ways) != 2 || r.Ways[0].Possible || r.Ways[1].Calls != sampleUsers || r.Ways[1].Seconds != 24.375 {
			t.Errorf("%+v", r)
		}
		// Free: 10 at once, 2 a second: 215 s less what the second limit takes; at least that.
		if r := planOf(t, c, exitOK, "--plan", "free", sample); r.Ways[1].Seconds < 215 {
			t.Errorf("%+v", r.Ways)
		}
		// Users of more than 512,000 bytes together need two jobs.
		file := write(t, "hashes.ndjson", hashedUsers(5000))
		r = planOf(t, c, exitOK, file)
		if bytes := 5000 * len(`{"email":"u1000@example.com","password_hash":"","nickname":"n1000"},`+bcryptHash); r.Via != importer.ViaJobs || r.NeedJob != 5000 || r.Ways[0].Jobs != (bytes+509_999)/510_000 || r.Ways[1].Possible {
			t.Errorf("%d bytes: %+v", bytes, r)
		}
		if got := c.tenant.Report().Requests; got != 0 {
			t.Errorf("%d requests were sent", got)
		}
	})
}

func TestPlanRefused(t *testing.T) {
	t.Parallel()
	c := newConsole(t, auth0test.Options{})
	file := write(t, "users.ndjson", someUsers(2)+"{}\n"+hashedUsers(1)+someUsers(3)+`{"email":"x","password":"secret-word-x"}`+"\n")
	// {} is the third; the fourth to the sixth have addresses of the first two; the last has none.
	r := planOf(t, c, exitFailed, file)
	if r.Total != 8 || r.Refused != 5 || r.RefusedAt.String() != "3-6,8" || r.ByRule["duplicate"] != 3 || r.ByRule["email-form"] != 1 || len(r.Problems) != 5 {
		t.Errorf("%+v", r)
	}
	if r := planOf(t, c, exitFailed, "--show", "1", file); len(r.Problems) != 1 || r.Refused != 5 {
		t.Errorf("%+v", r)
	}
	status, out, _ := c.run("plan", file, "--plan", "free")
	for _, want := range []string{"at the limits of plan free:\n", "8 users, 5 refused\n", "       3  duplicate\n", "Their positions: 3-6,8\n", "line 8: email: not an e-mail address"} {
		if status != exitFailed || !strings.Contains(out, want) {
			t.Errorf("exit status %d; %q is not in\n%s", status, want, out)
		}
	}
	if strings.Contains(out, "secret-word") || strings.Contains(out, bcryptHash) {
		t.Errorf("a secret is shown: %s", out)
	}
	c.in = someUsers(1)
	if r := planOf(t, c, exitOK, "-"); r.Total != 1 || r.File != "standard input" {
		t.Errorf("%+v", r)
	}
	upsert := planOf(t, c, exitOK, "--upsert", write(t, "h.ndjson", hashedUsers(2)))
	if upsert.Kept["password_hash"] != 2 {
		t.Errorf("%+v", upsert)
	}
}

func TestPlanErrors(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write([]byte(someUsers(100))); err != nil || z.Close() != nil {
		t.Fatal(err)
	}
	zipped := b.String()
	csv := write(t, "u.csv", "email,Notes\na@example.com,x\n")
	for _, tt := range []struct {
		want   string
		status int
		args   []string
	}{
		{"plan needs one FILE", exitUsage, nil},
		{"no such file", exitUsage, []string{"missing.ndjson"}},
		{"is a directory", exitUsage, []string{"."}},
		{`--plan: no plan is called "fre"`, exitUsage, []string{sample, "--plan", "fre"}},
		{`--via "x" is not known`, exitUsage, []string{sample, "--via", "x"}},
		{"--workers 0 is not between", exitUsage, []string{sample, "--workers", "0"}},
		{"--jobs 3 is neither 1 nor 2", exitUsage, []string{sample, "--jobs", "3"}},
		{"--show -1 is not between", exitUsage, []string{sample, "--show", "-1"}},
		{"--connection is empty", exitUsage, []string{sample, "--connection", ""}},
		{"write --map COLUMN=FIELD", exitUsage, []string{csv, "--map", "Notes"}},
		{`the CSV has a column "Notes", and "Notes" is not a field of a user; say what it is for with --map (Notes=user_metadata.Notes), or leave it out (Notes=)`, exitUsage, []string{csv}},
		{`"Mail", "Plan"; say what each is for with --map (Mail=email,Plan=user_metadata.Plan)`, exitUsage, []string{write(t, "u.csv", "Mail;Plan\n")}},
		{"workbook.csv: this is not NDJSON, JSON or CSV in UTF-8", exitUsage, []string{write(t, "workbook.csv", "PK\x03\x04\x14\x00\x06\x00")}},
		{"this is not NDJSON, JSON or CSV in UTF-8", exitUsage, []string{write(t, "u.zst", "(\xb5/\xfd text\n")}},
		{"ends in .csv", exitUsage, []string{write(t, "people.txt", "Name,Login\n"+strings.Repeat("A,b\n", 19))}},
		{"u.gz: not a valid gzip file", exitUsage, []string{write(t, "u.gz", "\x1f\x8bno such thing")}},
		{"cut.gz: line 101: the gzip file is cut off", exitUsage, []string{write(t, "cut.gz", zipped[:len(zipped)-9])}},
		{"bad.gz: line 101: not a valid gzip file", exitUsage, []string{write(t, "bad.gz", zipped[:len(zipped)-8]+"12345678")}},
		{`--map names the column "Remarks"`, exitUsage, []string{csv, "--map", "Remarks=name,Notes="}},
	} {
		status, out, stderr := headroom(t, append([]string{"plan"}, tt.args...)...)
		if status != tt.status || out != "" || !strings.HasPrefix(stderr, "headroom: ") || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, tt.want) {
			t.Errorf("%v: exit status %d, stdout %q, stderr %q; want %q in one line", tt.args, status, out, stderr, tt.want)
		}
	}
}

// What a refusal of columns proposes is taken, commas in headings included.
func TestPlanMapsWhatItProposes(t *testing.T) {
	t.Parallel()
	csv := write(t, "u.csv", `email,"Last, first",Plan,`+"\n"+`a@example.com,"Lovelace, Ada",pro,`+"\n")
	_, _, stderr := headroom(t, "plan", csv)
	_, proposed, _ := strings.Cut(stderr, "with --map (")
	proposed, _, _ = strings.Cut(proposed, "), or leave it out (")
	if want := "Last, first=user_metadata.Last first,Plan=user_metadata.Plan,=user_metadata.unnamed"; proposed != want {
		t.Fatalf("proposed %q, want %q", proposed, want)
	}
	for _, mapping := range []string{proposed, "=,Plan=,Last, first=name", "Last, first=,Plan=user_metadata.plan,="} {
		if status, out, stderr := headroom(t, "plan", csv, "--map", mapping); status != exitOK || !strings.Contains(out, "1 user, 0 refused") {
			t.Errorf("--map %q: exit status %d, stdout %q, stderr %q", mapping, status, out, stderr)
		}
	}
}

func TestShorten(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{"1,2": "1,2", "1,22,333": "1,22,...", "1,22,3": "1,22,3"} {
		if got := shorten(in, 6); got != want {
			t.Errorf("shorten(%q) is %q, want %q", in, got, want)
		}
	}
}
