package auth0test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"mime/multipart"
	"strings"
	"testing"
	"time"

	"github.com/headroom-go/auth0/ratelimit"
)

// importFile submits an import job. Extra strings are field names and values in turn.
func importFile(t *testing.T, tenant *Tenant, users string, fields ...string) reply {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for i := 0; i+1 < len(fields); i += 2 {
		if err := w.WriteField(fields[i], fields[i+1]); err != nil {
			t.Fatal(err)
		}
	}
	if users != "" {
		f, err := w.CreateFormFile("users", "users.json")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte(users)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return send(t, tenant, "POST", "/api/v2/jobs/users-imports", b.String(), "Content-Type", w.FormDataContentType())
}

const testConnection = "con_0000000000000001"

func newImportTenant(t *testing.T, clock *clock, o Options) *Tenant {
	t.Helper()
	o.Clock, o.AnyToken = clock.Now, true
	o.Connections = []Connection{{ID: testConnection, Name: DefaultConnection}}
	return mustTenant(t, o)
}

func TestImportJob(t *testing.T) {
	t.Parallel()
	clock := newClock()
	tenant := newImportTenant(t, clock, Options{JobTime: 5 * time.Second, JobTimePerUser: 500 * time.Millisecond})
	users := `[
		{"email":"a@example.com","user_id":"1","password_hash":"$2b$10$` + strings.Repeat("x", 53) + `"},
		{"email":"B@example.com","user_metadata":{"n":1},"mfa_factors":[{"totp":{"secret":"ABC"}}]},
		{"email":"b@example.com"},
		{"email":"not an address","password_hash":"$2b$10$` + strings.Repeat("y", 53) + `"},
		{"email":"c@example.com","user_id":"auth0|9"},
		{"email":"d@example.com","password_hash":"md5"},
		{"email":"e@example.com","password_hash":"$2a$10$` + strings.Repeat("x", 53) + `","custom_password_hash":{"algorithm":"md5"}},
		{"email":"f@example.com","shoe_size":44},
		{"given_name":"Nobody"},
		{"email":"g@example.com","mfa_factors":[]}
	]`
	r := importFile(t, tenant, users, "connection_id", testConnection, "external_id", "batch-1", "send_completion_email", "false")
	doc := r.doc(t)
	id, _ := doc["id"].(string)
	if r.status != 202 || !strings.HasPrefix(id, "job_") || doc["status"] != "pending" || doc["type"] != "users_import" ||
		doc["connection_id"] != testConnection || doc["external_id"] != "batch-1" || doc["created_at"] != "2023-02-03T19:30:00.000Z" {
		t.Fatalf("created: %d %s", r.status, r.body)
	}
	// 5 s and 10 users of half a second each.
	clock.set(4 * time.Second)
	doc = send(t, tenant, "GET", "/api/v2/jobs/"+id, "").doc(t)
	if doc["status"] != "pending" || doc["percentage_done"] != 40.0 || doc["time_left_seconds"] != 6.0 {
		t.Errorf("after 4 s: %v", doc)
	}
	if r := send(t, tenant, "GET", "/api/v2/jobs/"+id+"/errors", ""); r.status != 204 {
		t.Errorf("errors of a job under way: %d %s", r.status, r.body)
	}
	if got := tenant.Report(); got.Users != 0 || got.ActiveJobs != 1 {
		t.Errorf("after 4 s: %d users, %d jobs", got.Users, got.ActiveJobs)
	}
	clock.set(10 * time.Second)
	doc = send(t, tenant, "GET", "/api/v2/jobs/"+id, "").doc(t)
	if doc["status"] != "completed" || fmt.Sprint(doc["summary"]) != "map[failed:7 inserted:3 total:10 updated:0]" {
		t.Errorf("after 10 s: %v", doc)
	}
	r = send(t, tenant, "GET", "/api/v2/jobs/"+id+"/errors", "")
	var failures []struct {
		User   map[string]any
		Errors []struct{ Code, Message, Path string }
	}
	if err := json.Unmarshal([]byte(r.body), &failures); err != nil || r.status != 200 {
		t.Fatalf("errors: %d %s %v", r.status, r.body, err)
	}
	var got []string
	for _, f := range failures {
		got = append(got, f.Errors[0].Code+" "+f.Errors[0].Path)
	}
	want := "[DUPLICATED_USER  FORMAT email FORMAT password_hash NOT_PASSED password_hash ADDITIONAL_PROPERTIES  OBJECT_REQUIRED email MFA_FACTORS_FAILED mfa_factors]"
	if fmt.Sprint(got) != want {
		t.Errorf("errors %v, want %s", got, want)
	}
	if failures[1].User["email"] != "not an address" || strings.Contains(r.body, "$2") {
		t.Errorf("the failed user is shown without its hash: %s", r.body)
	}
	// The prefix is put before any id; created users are real.
	for _, user := range []string{"auth0%7C1", "auth0%7Cauth0%7C9"} {
		if r := send(t, tenant, "GET", "/api/v2/users/"+user, ""); r.status != 200 || strings.Contains(r.body, "hash") {
			t.Errorf("%s: %d %s", user, r.status, r.body)
		}
	}
	// A job is forgotten after a day.
	clock.set(24 * time.Hour)
	fails(t, send(t, tenant, "GET", "/api/v2/jobs/"+id, ""), 404, "inexistent_job")
	fails(t, send(t, tenant, "GET", "/api/v2/jobs/"+id+"/errors", ""), 404, "inexistent_job")
}

func TestImportUpsert(t *testing.T) {
	t.Parallel()
	clock := newClock()
	tenant := newImportTenant(t, clock, Options{})
	create(t, tenant, `"email":"a@example.com","password":"x","user_id":"1","username":"ann","user_metadata":{"old":1},"given_name":"A"`)
	const file = `[{"email":"A@example.com","user_metadata":{"new":2},"given_name":"B","username":"other","user_id":"77"},{"email":"b@example.com"}]`
	for _, tt := range []struct{ upsert, summary, metadata, name string }{
		{"false", "map[failed:1 inserted:1 total:2 updated:0]", "map[old:1]", "A"},
		{"true", "map[failed:0 inserted:0 total:2 updated:2]", "map[new:2]", "B"}, // metadata is replaced
	} {
		id := importFile(t, tenant, file, "connection_id", testConnection, "upsert", tt.upsert).doc(t)["id"].(string)
		doc := send(t, tenant, "GET", "/api/v2/jobs/"+id, "").doc(t)
		if doc["status"] != "completed" || fmt.Sprint(doc["summary"]) != tt.summary {
			t.Errorf("upsert %s: %v, want %s", tt.upsert, doc, tt.summary)
		}
		user := send(t, tenant, "GET", "/api/v2/users/auth0%7C1", "").doc(t)
		if fmt.Sprint(user["user_metadata"]) != tt.metadata || user["given_name"] != tt.name || user["username"] != "ann" {
			t.Errorf("upsert %s: user %v", tt.upsert, user)
		}
	}
	// The first import failed one user, the second none.
	r := importFile(t, tenant, file, "connection_id", testConnection, "upsert", "true")
	if r := send(t, tenant, "GET", "/api/v2/jobs/"+r.doc(t)["id"].(string)+"/errors", ""); r.status != 204 || r.body != "" {
		t.Errorf("errors of a clean job: %d %q", r.status, r.body)
	}
}

func TestImportJobConcurrency(t *testing.T) {
	t.Parallel()
	three := bucket("Import jobs", 0, 0, 0, "POST", "/api/v2/jobs/users-imports")
	three.Concurrent = 3
	for _, tt := range []struct {
		o    Options
		most int
	}{{Options{}, 2}, {Options{Plan: plan(three)}, 3}, {Options{Plan: plan(three), ImportJobs: 1}, 1}, {Options{ImportJobs: -1}, 20}} {
		clock := newClock()
		tt.o.JobTime = time.Minute
		tenant := newImportTenant(t, clock, tt.o)
		submit := func(i int) reply {
			clock.set(time.Duration(i) * time.Second)
			return importFile(t, tenant, fmt.Sprintf(`[{"email":"u%d@example.com"}]`, i), "connection_id", testConnection)
		}
		for i := range tt.most {
			if r := submit(i); r.status != 202 {
				t.Errorf("job %d of %d: %d %s", i+1, tt.most, r.status, r.body)
			}
		}
		if tt.o.ImportJobs < 0 {
			continue
		}
		r := submit(tt.most)
		want := fmt.Sprintf("There are %d active import users jobs, please wait until some of them are finished and try again", tt.most)
		if doc := r.doc(t); r.status != 429 || doc["statusCode"] != 429.0 || doc["error"] != "Too Many Requests" || doc["message"] != want {
			t.Errorf("one more than %d: %d %s", tt.most, r.status, r.body)
		}
		report := tenant.Report()
		if report.Rejected != 1 || report.RejectedByForm["import_jobs"] != 1 || report.ActiveJobs != tt.most {
			t.Errorf("report %+v", report)
		}
		if r := submit(60); r.status != 202 { // the first is done
			t.Errorf("after the first has ended: %d %s", r.status, r.body)
		}
	}
}

// The limits count an import like any other request, before its own bound.
func TestImportDrawsFromBuckets(t *testing.T) {
	t.Parallel()
	clock := newClock()
	tenant := newImportTenant(t, clock, Options{JobTime: time.Minute, Plan: plan(global(ratelimit.Bucket{
		Name: "api", API: "management", Burst: 3, Rate: ratelimit.Rate{Count: 1, Per: time.Hour},
		Matches: []ratelimit.Match{{Method: "*", Path: "/api/v2/*"}},
	}))})
	for i, want := range []string{"202", "202", "import_jobs", "management"} {
		r := importFile(t, tenant, `[]`, "connection_id", testConnection)
		got := fmt.Sprint(r.status)
		if r.status == 429 {
			got = "management"
			if strings.Contains(r.body, "active import users jobs") {
				got = "import_jobs"
			}
		}
		if got != want {
			t.Errorf("request %d: %s, want %s", i+1, got, want)
		}
	}
}

func TestImportRefusals(t *testing.T) {
	t.Parallel()
	clock := newClock()
	tenant := newImportTenant(t, clock, Options{})
	con := []string{"connection_id", testConnection}
	fails(t, importFile(t, tenant, `[]`), 400, "invalid_body", "connection_id")
	fails(t, importFile(t, tenant, "", con...), 400, "invalid_body", "users")
	fails(t, importFile(t, tenant, `[]`, "connection_id", "con_none"), 400, "inexistent_connection")
	fails(t, importFile(t, tenant, `[]`, append(con, "upsert", "yes")...), 400, "invalid_body", "upsert")
	fails(t, importFile(t, tenant, `[`+strings.Repeat(" ", 512000)+`]`, con...), 413, "", "512000")
	fails(t, send(t, tenant, "POST", "/api/v2/jobs/users-imports", `{}`), 415, "")
	fails(t, send(t, tenant, "POST", "/api/v2/jobs/users-imports", "--b\r\nContent-Disposition: form-data; name=\"users\"\r\n\r\ncut", "Content-Type", "multipart/form-data; boundary=b"), 400, "")
	if got := tenant.Report(); got.ActiveJobs != 0 || got.Rejected != 0 {
		t.Errorf("report %+v", got)
	}
	// Just under the bound is accepted.
	if r := importFile(t, tenant, `[`+strings.Repeat(" ", 511000)+`]`, con...); r.status != 202 {
		t.Errorf("511 kB: %d %s", r.status, r.body)
	}
}

func TestImportJobsThatFailAsAWhole(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		file, details string
		o             Options
		at            time.Duration
	}{
		{`[{"email":"a@example.com"}`, "parse", Options{}, 0},
		{`{"email":"a@example.com"}`, "parse", Options{}, 0},
		{`[{"email":"a@example.com"}]`, "timed out", Options{JobTime: 3 * time.Hour}, 2 * time.Hour},
	} {
		clock := newClock()
		tenant := newImportTenant(t, clock, tt.o)
		id := importFile(t, tenant, tt.file, "connection_id", testConnection).doc(t)["id"].(string)
		clock.set(tt.at)
		for _, path := range []string{"", "/errors"} {
			doc := send(t, tenant, "GET", "/api/v2/jobs/"+id+path, "").doc(t)
			if details, _ := doc["status_details"].(string); doc["status"] != "failed" || !strings.Contains(details, tt.details) {
				t.Errorf("%s%s: %v", tt.file, path, doc)
			}
		}
		if got := tenant.Report().Users; got != 0 {
			t.Errorf("%d users were created", got)
		}
	}
}
