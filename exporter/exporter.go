package exporter

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/headroom-go/auth0"
	"github.com/headroom-go/auth0/management"
)

// Format is how an export is written.
type Format string

// The formats of exports.
const (
	// NDJSON is one JSON object a line, the default. It is what imports read best.
	NDJSON Format = "ndjson"
	// CSV is comma-separated values with a header.
	CSV Format = "csv"
)

// csvFieldsMax is the published most of columns.
const csvFieldsMax = 30

// fieldNameMax is the longest name of a field, and of its column.
const fieldNameMax = 100

// Field is one field of an export.
type Field struct {
	// Name is the field of the user, dotted where it is within another, as in
	// user_metadata.plan or identities[0].connection.
	Name string
	// As is the name under which it is exported, Name when empty.
	As string
}

// Importable returns the fields of a user that an import takes, user_id first:
// what a copy of the users in another tenant needs. Passwords, their hashes and
// second factors are in no export.
func Importable() []Field {
	names := []string{
		"user_id", "email", "email_verified", "username", "phone_number", "phone_verified", "name", "given_name", "family_name",
		"nickname", "picture", "blocked", "user_metadata", "app_metadata",
	}
	fields := make([]Field, len(names))
	for i, name := range names {
		fields[i].Name = name
	}
	return fields
}

// Options say what is exported. The zero value exports all users of the tenant
// with the fields that Auth0 chooses.
type Options struct {
	// Connection is the name or the id (con_...) of the connection whose users
	// are exported; empty exports those of all connections.
	Connection string
	// Format is NDJSON when empty.
	Format Format
	// Fields are the fields of each user, at most 30 with CSV. None leaves the
	// choice to Auth0, whose choice has no metadata; see Importable.
	Fields []Field
	// Limit is the most users to export, 0 for all.
	Limit int
	// Download fetches the file. Nil is a plain client that takes its proxy from
	// the environment. Its transport must add no credentials, and must not be the
	// one that paces the tenant.
	Download *http.Client
	// Progress is told how far the export has come, from the goroutine that called,
	// after each poll of the job and at most some ten times a second during the
	// download. It must not block. May be nil.
	Progress func(Progress)
}

// The stages of an export, in their order.
const (
	StageExporting   = "exporting"   // the tenant makes the file
	StageDownloading = "downloading" // the file is fetched
	StageDone        = "done"
)

// Progress is how far an export has come.
type Progress struct {
	// Stage is one of the stages.
	Stage string
	// JobID is the job's id.
	JobID string
	// Percent is how much of the job is done, as the tenant tells, 0 to 100.
	Percent int
	// Left is how long the job takes yet, as the tenant tells; 0 when it does not.
	Left time.Duration
	// Users and Bytes have been written so far.
	Users, Bytes int64
	// Links is how many links have been used.
	Links int
	// Elapsed is the time since the call began.
	Elapsed time.Duration
}

// Result is a finished export.
type Result struct {
	// JobID is the id of the job, whose file can be downloaded again for 24 hours.
	JobID string
	// Users is how many users were written; the header of a CSV file is none.
	Users int64
	// Bytes is how many bytes were written.
	Bytes int64
	// Links is how many links the download took, 1 when nothing went wrong.
	Links int
	// Elapsed is how long it all took.
	Elapsed time.Duration
}

// Run exports users to w: Start, then Download. Where it fails, w may hold a part
// of the export; write to a temporary file to have all or nothing. The Result is
// not nil even then, and names the job once it was begun.
//
// Errors of the tenant are *auth0.Error. Needs the scope read:users, and
// read:connections where the connection is given by its name.
func Run(ctx context.Context, client *auth0.Client, w io.Writer, o Options) (*Result, error) {
	began := time.Now()
	job, err := Start(ctx, client, o)
	if err != nil {
		return &Result{Elapsed: time.Since(began)}, err
	}
	return download(ctx, client, job, w, o, began)
}

// Start begins an export job and returns its id without waiting for it. Options
// that are about the download have no effect. Where the answer to the request is
// lost, it is sent again: a second job does no harm.
func Start(ctx context.Context, client *auth0.Client, o Options) (string, error) {
	body, err := o.request()
	if err != nil {
		return "", err
	}
	api := management.New(client)
	if o.Connection != "" {
		id, err := connectionID(ctx, api, o.Connection)
		if err != nil {
			return "", err
		}
		body.ConnectionID = &id
	}
	job, err := api.Jobs.UsersExports.Create(ctx, body, auth0.Idempotent())
	if err != nil {
		return "", fmt.Errorf("exporter: beginning the export: %w", err)
	}
	if job.ID == "" {
		return "", errors.New("exporter: the tenant began an export and did not say under which id; begin another")
	}
	return job.ID, nil
}

// Download waits until an export job is over and writes its file to w,
// uncompressed. It can be called again for the same job, for 24 hours. Options
// that are about the job have no effect, but for Format, with which users are
// counted: give that of Start. The Result is not nil even where it fails.
func Download(ctx context.Context, client *auth0.Client, jobID string, w io.Writer, o Options) (*Result, error) {
	if jobID == "" {
		return &Result{}, errors.New("exporter: the job's id is empty; give the one that Start returned")
	}
	if _, err := o.request(); err != nil {
		return &Result{JobID: jobID}, err
	}
	return download(ctx, client, jobID, w, o, time.Now())
}

// request checks the options and makes the job's request of them.
func (o *Options) request() (management.JobUsersExportCreate, error) {
	var body management.JobUsersExportCreate
	var format management.JobFileFormat
	switch o.Format {
	case "", NDJSON:
		format = management.JobFileFormatJSON
	case CSV:
		format = management.JobFileFormatCsv
		if len(o.Fields) > csvFieldsMax {
			return body, fmt.Errorf("exporter: %d fields are too many for CSV, which holds %d; leave some out or export NDJSON", len(o.Fields), csvFieldsMax)
		}
	default:
		return body, fmt.Errorf("exporter: the format %q is not known; give ndjson or csv", o.Format)
	}
	body.Format = &format
	if o.Limit < 0 {
		return body, fmt.Errorf("exporter: the limit is %d; give how many users to export at most, or 0 for all", o.Limit)
	}
	if o.Limit > 0 {
		body.Limit = &o.Limit
	}
	titles := make(map[string]bool)
	for i, f := range o.Fields {
		field := management.JobUsersExportField{Name: f.Name}
		title := f.Name
		if f.As != "" {
			title, field.ExportAs = f.As, &o.Fields[i].As
		}
		switch {
		case strings.TrimSpace(f.Name) == "":
			return body, fmt.Errorf("exporter: field %d has no name", i+1)
		case len(f.Name) > fieldNameMax || len(f.As) > fieldNameMax:
			return body, fmt.Errorf("exporter: a name of field %d is longer than %d characters", i+1, fieldNameMax)
		case titles[title]:
			return body, fmt.Errorf("exporter: two fields are exported as %q; give one of them another name", title)
		}
		titles[title] = true
		body.Fields = append(body.Fields, field)
	}
	return body, nil
}

// connectionID returns the id of a connection that is given by its id or name.
func connectionID(ctx context.Context, api *management.API, given string) (string, error) {
	if isConnectionID(given) {
		return given, nil
	}
	page, err := api.Connections.List(ctx, &management.ConnectionListParams{Name: given, Fields: []string{"id", "name"}})
	if err != nil {
		return "", fmt.Errorf("exporter: looking up the connection %q: %w", given, err)
	}
	for _, c := range page.Items {
		if c.Name == given && c.ID != "" {
			return c.ID, nil
		}
	}
	return "", fmt.Errorf("exporter: the tenant has no connection %q; give the name of one that it has, or its id (con_...)", given)
}

// isConnectionID tells ids from names: con_ and 16 letters or digits.
func isConnectionID(s string) bool {
	rest, ok := strings.CutPrefix(s, "con_")
	return ok && len(rest) == 16 && strings.IndexFunc(rest, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	}) < 0
}

const (
	// firstPoll and lastPoll bound the time between two looks at a job.
	firstPoll = time.Second
	lastPoll  = 15 * time.Second
	// patience is how many tries in a row may bring nothing new, of looking at
	// the job or of downloading.
	patience = 5
)

// errJobFailed ends the wait for a job.
var errJobFailed = errors.New("the export failed")

// poll looks at the job until it is over, and returns the link to its file.
func poll(ctx context.Context, api *management.API, id string, look func(*management.Job)) (string, error) {
	delays := backoff.NewExponentialBackOff(backoff.WithInitialInterval(firstPoll), backoff.WithMaxInterval(lastPoll), backoff.WithMaxElapsedTime(0))
	for failures := 0; ; {
		job, err := api.Jobs.Get(ctx, id)
		switch {
		case err != nil:
			// The client has tried again already; a job that takes long deserves more.
			if failures++; failures == patience || !passes(ctx, err) {
				return "", fmt.Errorf("asking for its state: %w", err)
			}
		case job.Status == "failed":
			reason := ""
			if job.StatusDetails != "" {
				reason = ": " + job.StatusDetails
			}
			return "", fmt.Errorf("%w%s", errJobFailed, reason)
		case job.Status == "completed" && job.Location != "":
			look(job)
			return job.Location, nil
		case job.Status == "completed":
			if failures++; failures == patience {
				return "", errors.New("it is over and has no link to a file: is it an export?")
			}
		default:
			failures = 0
			look(job)
		}
		wait := delays.NextBackOff()
		if err == nil && job.TimeLeftSeconds > 0 {
			wait = min(wait, time.Duration(job.TimeLeftSeconds)*time.Second)
		}
		if err := pause(ctx, wait); err != nil {
			return "", err
		}
	}
}

// passes tells failures of the network and the server, which pass, from those
// that asking again does not change.
func passes(ctx context.Context, err error) bool {
	if ctx.Err() != nil {
		return false
	}
	e, ok := errors.AsType[*auth0.Error](err)
	return ok && (e.Status == 0 || e.Status >= http.StatusInternalServerError)
}

// pause waits for d or until the context ends.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
