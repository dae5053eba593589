package auth0test

import (
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

const (
	// exportSegment begins the paths of files that exports have made.
	exportSegment = "__exports"
	// exportLinkLife is how long a link to such a file holds, from when the job
	// was asked about.
	exportLinkLife = time.Minute
	// csvFieldsMax is how many columns an export may have.
	csvFieldsMax = 30
)

// exportUsers begins an export of the users of a connection, or of all.
func (t *Tenant) exportUsers(c *call) answer {
	sent, bad := c.payload()
	if bad != nil {
		return *bad
	}
	j := &job{id: "job_" + t.newID(16), kind: jobExport, created: c.now, status: "pending", format: firstOf(text(sent["format"]), "json")}
	j.limit, _ = whole(sent["limit"])
	j.fields, _ = sent["fields"].([]any)
	if j.format == "csv" && len(j.fields) > csvFieldsMax {
		return bodyError(fmt.Sprintf("Array is too long (%d), maximum %d", len(j.fields), csvFieldsMax), "fields")
	}
	if id := text(sent["connection_id"]); id != "" {
		if j.con = t.connection(id, true); j.con == nil {
			return *missing(http.StatusBadRequest, "connection")
		}
	}
	j.ends = t.jobEnds(c.now, len(t.users.list))
	t.jobs = append(t.jobs, j)
	return jsonAnswer(c.op.success(), j.document(c.now))
}

// exported makes the file of an export: a line for each user, as JSON or CSV,
// compressed.
func (t *Tenant) exported(j *job) []byte {
	var names, titles []string
	for _, e := range j.fields {
		f, _ := e.(map[string]any)
		names, titles = append(names, text(f["name"])), append(titles, firstOf(text(f["export_as"]), text(f["name"])))
	}
	if names == nil && j.format == "csv" {
		names = []string{"user_id", "email", "name", "nickname", "created_at", "updated_at"}
		titles = names
	}
	var lines bytes.Buffer
	rows := [][]string{titles}
	n := int64(0)
	for _, u := range t.users.list {
		if j.con != nil && u.connection != j.con.Name || j.limit > 0 && n == j.limit {
			continue
		}
		n++
		if j.format == "csv" {
			row := make([]string, len(names))
			for i, name := range names {
				row[i] = strings.Join(lookup(u.doc, name), ",")
			}
			rows = append(rows, row)
			continue
		}
		doc := u.doc
		if names != nil {
			doc = make(map[string]any)
			for i, name := range names {
				if v := inDocument(u.doc, name); v != nil {
					doc[titles[i]] = v
				}
			}
		}
		lines.Write(mustJSON(doc))
		lines.WriteByte('\n')
	}
	if j.format == "csv" {
		_ = csv.NewWriter(&lines).WriteAll(rows) // a buffer takes all that is written
	}
	var file bytes.Buffer
	z := gzip.NewWriter(&file)
	_, _ = z.Write(lines.Bytes())
	_ = z.Close()
	return file.Bytes()
}

// inDocument returns what a dotted path leads to.
func inDocument(doc map[string]any, path string) any {
	name, rest, more := strings.Cut(path, ".")
	if inner, ok := doc[name].(map[string]any); ok && more {
		return inDocument(inner, rest)
	}
	if more {
		return nil
	}
	return doc[name]
}

// exportLink returns where the file of an export can be fetched for a while, by
// anybody who knows the link.
func (t *Tenant) exportLink(c *call, j *job) string {
	until := ceilSeconds(c.now + exportLinkLife)
	return fmt.Sprintf("%s://%s/%s/%s.%s.gz?expires=%d&signature=%s", c.scheme, c.host, exportSegment, j.id, j.format, until, t.exportSignature(j.id, until))
}

func (t *Tenant) exportSignature(id string, until int64) string {
	return digest(fmt.Sprintf("%x %s %d", t.key, id, until))
}

// export answers with the file of an export.
func (t *Tenant) export(c *call) answer {
	id, _, _ := strings.Cut(c.segs[1], ".")
	i := slices.IndexFunc(t.jobs, func(j *job) bool { return j.id == id && j.file != nil })
	var until int64
	_, err := fmt.Sscanf(c.query.Get("expires"), "%d", &until)
	if i < 0 || err != nil || c.query.Get("signature") != t.exportSignature(id, until) || ceilSeconds(c.now) > until {
		return answer{status: http.StatusForbidden, header: http.Header{"Content-Type": {"application/xml"}}, body: []byte("<Error><Code>AccessDenied</Code></Error>\n")}
	}
	return answer{status: http.StatusOK, header: http.Header{"Content-Type": {"application/gzip"}}, body: t.jobs[i].file}
}

// sendVerification begins to send the mail that verifies a user's address. No
// mail is sent.
func (t *Tenant) sendVerification(c *call) answer {
	sent, bad := c.payload()
	if bad != nil {
		return *bad
	}
	if bad := t.absent("user", text(sent["user_id"]), http.StatusBadRequest); bad != nil {
		return *bad
	}
	j := &job{id: "job_" + t.newID(16), kind: jobVerify, created: c.now, ends: t.jobEnds(c.now, 1), status: "pending"}
	t.jobs = append(t.jobs, j)
	return jsonAnswer(c.op.success(), j.document(c.now))
}
