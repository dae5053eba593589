package auth0test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/headroom-go/auth0/ratelimit"
)

const (
	// importMax is the largest import. Whether the published 500 KB are of the
	// file or of the whole body is not said; the tenant counts the body, which is
	// the stricter.
	importMax = 500 << 10
	// importTimeout ends a job that takes longer.
	importTimeout = 2 * time.Hour
	// importKept is how long a job can be asked about.
	importKept = 24 * time.Hour
	// importPath is the one operation whose jobs are bounded in number.
	importPath = "/api/v2/jobs/users-imports"
)

// The types of jobs.
const (
	jobImport = "users_import"
	jobExport = "users_export"
	jobVerify = "verification_email"
)

// job is work on users that takes its time.
type job struct {
	id, externalID string
	kind           string
	format         string // of an export
	limit          int64
	fields         []any
	file           []byte // that an export has made
	con            *Connection
	upsert         bool
	created, ends  time.Duration
	users          []map[string]any
	broken         string // why the job fails as a whole
	failed         bool   // it does, whether or not it says why
	fault          JobFault

	status  string // pending, completed or failed
	summary struct{ failed, updated, inserted, total int }
	errors  []any
}

func jobHandlers() handlers {
	return handlers{
		"POST /jobs/users-imports":      (*Tenant).importUsers,
		"POST /jobs/users-exports":      (*Tenant).exportUsers,
		"POST /jobs/verification-email": (*Tenant).sendVerification,
		"GET /jobs/{id}":                (*Tenant).getJob,
		"GET /jobs/{id}/errors":         (*Tenant).getJobErrors,
	}
}

// importJobs returns how many import jobs may be active, negative for any number.
func (t *Tenant) importJobs() int {
	if t.o.ImportJobs != 0 {
		return t.o.ImportJobs
	}
	segs := splitPath(importPath)
	for i := range t.buckets {
		b := &t.buckets[i]
		if b.Concurrent > 0 && slices.ContainsFunc(b.Matches, func(m ratelimit.Match) bool {
			_, ok := splitPattern(m.Path).match(segs)
			return ok && (m.Method == "*" || m.Method == http.MethodPost)
		}) {
			return b.Concurrent
		}
	}
	return 2
}

func (t *Tenant) importUsers(c *call) answer {
	if len(c.body) > importMax {
		return failure(http.StatusRequestEntityTooLarge, "", "Payload content length greater than maximum allowed: 512000")
	}
	media, params, err := mime.ParseMediaType(c.header.Get("Content-Type"))
	if err != nil || media != "multipart/form-data" || params["boundary"] == "" {
		return failure(http.StatusUnsupportedMediaType, "", "Unsupported Media Type")
	}
	file, fields, err := readImport(c.body, params["boundary"])
	if err != nil {
		return failure(http.StatusBadRequest, "", "Invalid multipart payload format")
	}
	switch {
	case fields["connection_id"] == "":
		return bodyError("Missing required property: connection_id", "")
	case file == nil:
		return bodyError("Missing required property: users", "")
	}
	for _, name := range []string{"upsert", "send_completion_email"} {
		if v := fields[name]; v != "" && v != "true" && v != "false" {
			return bodyError("Expected type boolean but found type string", name)
		}
	}
	con := t.connection(fields["connection_id"], true)
	if con == nil {
		return failure(http.StatusBadRequest, "inexistent_connection", "The connection does not exist.")
	}
	active := 0
	for _, j := range t.jobs {
		if j.kind == jobImport && j.status == "pending" {
			active++
		}
	}
	if most := t.importJobs(); most >= 0 && active >= most {
		a := FormImportJobs.answer()
		a.body = importJobsBody(most)
		return a
	}
	j := &job{
		id: "job_" + t.newID(16), kind: jobImport, externalID: fields["external_id"], con: con,
		upsert: fields["upsert"] == "true", created: c.now, status: "pending",
	}
	d := json.NewDecoder(bytes.NewReader(file))
	d.UseNumber()
	err = d.Decode(&j.users)
	if _, more := d.Token(); err != nil || !errors.Is(more, io.EOF) {
		j.users, j.broken = nil, "Failed to parse users file JSON when importing users. Make sure it is valid JSON."
	}
	j.ends = t.jobEnds(c.now, len(j.users))
	t.befall(j)
	t.peak(active + 1)
	t.jobs = append(t.jobs, j)
	return jsonAnswer(http.StatusAccepted, j.document(c.now))
}

// jobEnds returns when a job on so many users will have ended.
func (t *Tenant) jobEnds(now time.Duration, users int) time.Duration {
	return now + t.o.JobTime + time.Duration(users)*t.o.JobTimePerUser
}

// readImport takes the file and the fields out of a multipart body. The file is
// nil when there is none.
func readImport(body []byte, boundary string) (file []byte, fields map[string]string, err error) {
	fields = make(map[string]string)
	parts := multipart.NewReader(bytes.NewReader(body), boundary)
	for {
		p, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			return file, fields, nil
		}
		if err != nil {
			return nil, nil, err
		}
		v, err := io.ReadAll(p)
		if err != nil {
			return nil, nil, err
		}
		if p.FormName() == "users" {
			file = append([]byte{}, v...)
			continue
		}
		fields[p.FormName()] = string(v)
	}
}

func (j *job) document(now time.Duration) map[string]any {
	doc := map[string]any{
		"id": j.id, "type": j.kind, "status": j.status, "created_at": timestamp(j.created),
	}
	if j.con != nil {
		doc["connection_id"] = j.con.ID
	}
	if j.kind == jobExport {
		doc["format"] = j.format
		if j.fields != nil {
			doc["fields"] = j.fields
		}
		if j.limit > 0 {
			doc["limit"] = j.limit
		}
	}
	if j.externalID != "" {
		doc["external_id"] = j.externalID
	}
	switch j.status {
	case "completed":
		doc["percentage_done"], doc["time_left_seconds"] = 100, 0
		if j.kind != jobImport || j.fault.NoSummary {
			break
		}
		doc["summary"] = map[string]any{
			"failed": j.summary.failed, "updated": j.summary.updated,
			"inserted": j.summary.inserted, "total": j.summary.total,
		}
	case "failed":
		j.details(doc)
	default:
		if whole := j.ends - j.created; whole > 0 {
			doc["percentage_done"] = int(100 * (now - j.created) / whole)
			doc["time_left_seconds"] = ceilSeconds(j.ends - now)
		}
	}
	return doc
}

// settleJobs ends the jobs whose time has come, in the order in which it came.
func (t *Tenant) settleJobs(now time.Duration) {
	var due []*job
	for _, j := range t.jobs {
		if j.status == "pending" && j.ends <= now {
			due = append(due, j)
		}
	}
	slices.SortStableFunc(due, func(a, b *job) int { return cmp.Compare(a.ends, b.ends) })
	for _, j := range due {
		t.settle(j)
	}
	t.jobs = slices.DeleteFunc(t.jobs, func(j *job) bool {
		return j.created+importKept <= now || j.fault.Forget && j.status != "pending"
	})
}

// settle carries out a job.
func (t *Tenant) settle(j *job) {
	j.status = "completed"
	if j.failed || j.broken != "" {
		j.status = "failed" // after what it has carried out by then
	}
	if j.kind == jobExport {
		j.file = t.exported(j)
	}
	j.summary.total = len(j.users)
	here := make(map[string]bool) // names in this file
	for n, payload := range j.users {
		problem, updated := j.spoiled(n), false
		if problem == nil {
			// No server makes more than a hundred users in a millisecond.
			at := j.ends - time.Duration((len(j.users)-1-n)/100)*time.Millisecond
			problem, updated = t.importOne(j, payload, here, at)
		}
		switch {
		case problem != nil:
			j.summary.failed++
			j.errors = append(j.errors, map[string]any{"user": masked(payload), "errors": []any{problem}})
		case updated:
			j.summary.updated++
		default:
			j.summary.inserted++
		}
	}
	j.users = nil // with the hashes that they held
}

// importOne creates or updates one user at a time. It returns what was wrong,
// nil for nothing.
func (t *Tenant) importOne(j *job, payload map[string]any, here map[string]bool, at time.Duration) (problem map[string]any, updated bool) {
	fail := func(code, message, path string) (map[string]any, bool) {
		return map[string]any{"code": code, "message": message, "path": path}, false
	}
	if payload == nil {
		return fail("OBJECT_REQUIRED", "Expected type object but found type null", "")
	}
	props := append(userProperties(),
		property{name: "user_id", kind: "string", min: 0, max: 255, check: matches(`^\S*$`)},
		property{name: "password_hash", kind: "string", min: 1, max: 1 << 20, check: isBcrypt},
		property{name: "custom_password_hash", kind: "object"},
		property{name: "password_set_date", kind: "string", min: 1, max: 64},
	)
	rest := make(map[string]any)
	for k, v := range payload {
		if k != "mfa_factors" {
			rest[k] = v
		}
	}
	if w := check(rest, props, false, false); w != nil {
		code := "FORMAT"
		if strings.HasPrefix(w.what, "Expected type") {
			code = "INVALID_TYPE"
		} else if strings.HasPrefix(w.what, "Additional") {
			code = "ADDITIONAL_PROPERTIES"
		}
		return fail(code, w.what, w.property)
	}
	if factors, given := payload["mfa_factors"]; given {
		if list, ok := factors.([]any); !ok || len(list) < 1 || len(list) > 10 {
			return fail("MFA_FACTORS_FAILED", "Expected an array of 1 to 10 factors", "mfa_factors")
		}
	}
	if payload["password_hash"] != nil && payload["custom_password_hash"] != nil {
		return fail("NOT_PASSED", "password_hash and custom_password_hash exclude each other", "password_hash")
	}
	if payload["email"] == nil && payload["username"] == nil && payload["phone_number"] == nil {
		return fail("OBJECT_REQUIRED", "Missing required property: email", "email")
	}
	u := t.newUser(j.con, rest, at)
	for _, k := range append(u.names(), "id\n"+u.id) {
		if here[k] {
			return fail("DUPLICATED_USER", "The user is more than once in the file", "")
		}
		here[k] = true
	}
	email, _ := u.doc["email"].(string)
	if old := t.users.taken[nameKey(j.con.Name, "email", email)]; j.upsert && email != "" && old != nil {
		delete(rest, "email")
		for _, fixed := range []string{"user_id", "username", "phone_number", "phone_verified", "blocked"} {
			delete(rest, fixed)
		}
		t.apply(old, rest, false, at)
		return nil, true
	}
	if t.conflict(u) {
		return fail("CONFLICT", "The user already exists", "")
	}
	t.users.add(u)
	return nil, false
}

func isBcrypt(s string) string {
	if !strings.HasPrefix(s, "$2a$10$") && !strings.HasPrefix(s, "$2b$10$") || len(s) != 60 {
		return "Object didn't pass validation for format bcrypt"
	}
	return ""
}

// masked is a user as an error list shows it: without its hashes.
func masked(payload map[string]any) map[string]any {
	out := make(map[string]any, len(payload))
	for k, v := range payload {
		switch k {
		case "password", "password_hash", "custom_password_hash", "mfa_factors":
			v = "*****"
		}
		out[k] = v
	}
	return out
}

// findJob returns the job of a path, or the refusal.
func (t *Tenant) findJob(c *call) (*job, *answer) {
	for _, j := range t.jobs {
		if j.id == c.params["id"] {
			return j, nil
		}
	}
	a := failure(http.StatusNotFound, "inexistent_job", "The job does not exist.")
	return nil, &a
}

func (t *Tenant) getJob(c *call) answer {
	j, bad := t.findJob(c)
	if bad != nil {
		return *bad
	}
	doc := j.document(c.now)
	if j.file != nil {
		doc["location"] = t.exportLink(c, j)
	}
	return jsonAnswer(http.StatusOK, doc)
}

func (t *Tenant) getJobErrors(c *call) answer {
	j, bad := t.findJob(c)
	switch {
	case bad != nil:
		return *bad
	case j.fault.ForgetErrors && j.status != "pending":
		return failure(http.StatusNotFound, "inexistent_job", "The job does not exist.")
	case j.status == "failed":
		return jsonAnswer(http.StatusOK, j.document(c.now))
	}
	list := j.listed()
	if len(list) == 0 {
		return noContent()
	}
	return jsonAnswer(http.StatusOK, list)
}
