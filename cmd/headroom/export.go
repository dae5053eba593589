package main

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/headroom-go/auth0/exporter"
)

type exportFlags struct {
	targetFlags
	connection string
	format     string
	fields     []string
	limit      int
	job        string
	json       bool
	quiet      bool
}

// tenantFields is the value of --fields that leaves the choice to the tenant.
const tenantFields = "tenant"

func newExport(sys *system) *cobra.Command {
	var f exportFlags
	cmd := &cobra.Command{
		Use:   "export [FILE]",
		Short: "Write the users of a tenant to a file",
		Long: `Write the users of a tenant, or of one connection, to FILE, or to standard output
without one or with -. An export job makes the file; its link lives for a minute,
and a fresh one is fetched whenever it has expired or the download broke.

FILE appears when it is whole, readable by its owner only, and replaces one that
is there. A name that ends in .csv means CSV, one that ends in .gz a compressed
file.

The fields are by default those that an import takes, so that the file can be
imported into another tenant as it is: headroom import FILE. No export holds
passwords, their hashes or second factors. --fields names others, each as NAME or
as NAME=COLUMN; --fields tenant leaves the choice to the tenant, which leaves out
metadata.

Ctrl-C ends it and prints the command that fetches the file of the same job, which
the tenant keeps for a day.

The application or token needs the scopes
` + exportScopes + `.`,
		Example: `  headroom export users.ndjson --connection Partners
  headroom export users.csv --fields user_id,email,user_metadata.plan=plan
  headroom export backup.ndjson.gz --plan enterprise
  headroom export | jq .email`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return fmt.Errorf("export writes one FILE; %d were given", len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			path := "-"
			if len(args) == 1 {
				path = args[0]
			}
			return f.run(sys, cmd, path)
		},
	}
	fs := cmd.Flags()
	fs.StringVar(&f.connection, "connection", "", "name or id of the connection whose users are exported (default all users)")
	fs.StringVar(&f.format, "format", "", "ndjson or csv (default by the name of FILE, else ndjson)")
	fs.StringSliceVar(&f.fields, "fields", nil, "fields of each user, as NAME or NAME=COLUMN (default what an import takes)")
	fs.IntVar(&f.limit, "limit", 0, "most users to export, 0 for all")
	fs.StringVar(&f.job, "job", "", "fetch the file of this export job in place of beginning one")
	f.register(cmd, false)
	fs.BoolVar(&f.json, "json", false, "print the report as JSON, after lines of progress unless --quiet")
	fs.BoolVar(&f.quiet, "quiet", false, "show no progress")
	must(cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions([]string{"ndjson", "csv"}, cobra.ShellCompDirectiveNoFileComp)))
	for _, name := range []string{"connection", "fields", "limit", "job"} {
		must(cmd.RegisterFlagCompletionFunc(name, cobra.NoFileCompletions))
	}
	return cmd
}

// exportScopes are what the application or token needs.
const exportScopes = "read:users, and read:connections where a connection is named"

// exportReport is the outcome of an export, as --json prints it.
type exportReport struct {
	Event    string  `json:"event"` // "report"
	Job      string  `json:"job,omitempty"`
	Users    int64   `json:"users"`
	Bytes    int64   `json:"bytes"` // before they were compressed
	Links    int     `json:"links"`
	ElapsedS float64 `json:"elapsed_s"`
	File     string  `json:"file,omitempty"`
	Error    string  `json:"error,omitempty"`
	Resume   string  `json:"resume,omitempty"` // the command that fetches the file of the same job
}

func (f *exportFlags) options(path string) (exporter.Options, error) {
	o := exporter.Options{Connection: f.connection, Format: exporter.Format(f.format), Limit: f.limit}
	name := strings.TrimSuffix(path, ".gz")
	switch {
	case f.format == "" && strings.EqualFold(filepath.Ext(name), ".csv"):
		o.Format = exporter.CSV
	case f.format == "":
		o.Format = exporter.NDJSON
	case f.format != "ndjson" && f.format != "csv":
		return o, fmt.Errorf("--format %q is not known: ndjson and csv are", f.format)
	}
	if f.limit < 0 {
		return o, fmt.Errorf("--limit %d is negative", f.limit)
	}
	switch {
	case len(f.fields) == 0:
		o.Fields = exporter.Importable()
	case len(f.fields) == 1 && f.fields[0] == tenantFields:
	default:
		for _, s := range f.fields {
			name, as, renamed := strings.Cut(s, "=")
			if name == "" || renamed && as == "" {
				return o, fmt.Errorf("--fields: %q is not NAME or NAME=COLUMN", s)
			}
			o.Fields = append(o.Fields, exporter.Field{Name: name, As: as})
		}
	}
	return o, nil
}

func (f *exportFlags) run(sys *system, cmd *cobra.Command, path string) error {
	o, err := f.options(path)
	if err != nil {
		return err
	}
	target, err := f.connect(sys)
	if err != nil {
		return err
	}
	defer target.close()
	if sys.base != nil {
		o.Download = &http.Client{Transport: sys.base}
	}
	out, err := createOutput(sys, path)
	if err != nil {
		return err
	}
	defer out.discard()

	interrupts, restore := sys.interrupts()
	defer restore()
	ctx, cancel := context.WithCancel(cmd.Context())
	over, watched := make(chan struct{}), make(chan struct{})
	interrupted := false
	go func() {
		defer close(watched)
		select {
		case <-interrupts:
			interrupted = true
			restore() // a second one ends the process whatever happens
			cancel()
		case <-over:
		}
	}()
	var view *exportView
	if !f.quiet {
		view = showExport(f.progressTo(sys, path))
		o.Progress = view.show
	}
	var r *exporter.Result
	if f.job != "" {
		r, err = exporter.Download(ctx, target.client, f.job, out, o)
	} else {
		r, err = exporter.Run(ctx, target.client, out, o)
	}
	begun := r.Bytes > 0 || r.JobID != "" && f.job == ""
	if err == nil {
		err = out.commit()
	} else {
		err = target.explain(err, exportScopes)
	}
	view.close()
	close(over)
	<-watched
	cancel()

	report := exportReport{Event: "report", Job: r.JobID, Users: r.Users, Bytes: r.Bytes, Links: r.Links, ElapsedS: math.Round(r.Elapsed.Seconds()*1000) / 1000}
	if err == nil {
		report.File = out.path
	} else {
		report.Error = strings.TrimPrefix(err.Error(), "exporter: ")
		if r.JobID != "" && f.job == "" {
			report.Resume = commandLine("export", cmd.Flags(), []string{"job"}, []string{"--job", r.JobID}, path)
		}
	}
	if e := f.print(sys, path, report); e != nil && err == nil {
		err = fmt.Errorf("writing the report: %w", e)
	}
	switch {
	case interrupted && err != nil:
		return &exit{exitInterrupted, errors.New("interrupted")}
	case err != nil && !begun && !mayPass(err):
		return errors.New(strings.TrimPrefix(err.Error(), "exporter: "))
	case err != nil:
		return &exit{exitFailed, errors.New(strings.TrimPrefix(err.Error(), "exporter: "))}
	}
	return nil
}

// progressTo returns where progress goes and how.
func (f *exportFlags) progressTo(sys *system, path string) (w io.Writer, columns int, asJSON bool) {
	if f.json && path != "-" {
		return sys.out, 0, true
	}
	return sys.err, sys.columns, f.json
}

// print writes the report: to standard error where the users are on standard output.
func (f *exportFlags) print(sys *system, path string, r exportReport) error {
	w := sys.out
	if path == "-" {
		w = sys.err
	}
	if f.json {
		return writeLine(w, r)
	}
	var b strings.Builder
	if r.Error == "" {
		fmt.Fprintf(&b, "%s in %.1f s, %s", users(int(r.Users)), r.ElapsedS, size(r.Bytes))
		if r.Links > 1 {
			fmt.Fprintf(&b, ", over %d links", r.Links)
		}
		if r.File != "" {
			fmt.Fprintf(&b, ": %s", r.File)
		}
		b.WriteByte('\n')
	} else if r.Resume != "" {
		fmt.Fprintf(&b, "To fetch the file of the same job, for a day:\n  %s\n", r.Resume)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// output is where users are written: standard output, or a file that appears
// under its name when it is whole.
type output struct {
	io.Writer
	path string // "" for standard output
	temp *os.File
	zip  *gzip.Writer
}

func createOutput(sys *system, path string) (*output, error) {
	if path == "-" {
		return &output{Writer: sys.out}, nil
	}
	info, err := os.Stat(path)
	switch {
	case err != nil: // there is none yet
	case info.IsDir():
		return nil, fmt.Errorf("%s is a directory: name a file", path)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is no regular file, which an export could replace: leave FILE out and redirect standard output", path)
	}
	// Only the owner may read what CreateTemp makes.
	temp, err := os.CreateTemp(filepath.Dir(path), ".headroom-export-*")
	if err != nil {
		return nil, fmt.Errorf("making a file beside %s: %w", path, err)
	}
	o := &output{Writer: temp, path: path, temp: temp}
	if strings.HasSuffix(path, ".gz") {
		o.zip = gzip.NewWriter(temp)
		o.Writer = o.zip
	}
	return o, nil
}

// commit gives the file its name once it is on the disk.
func (o *output) commit() error {
	if o.temp == nil {
		return nil
	}
	if o.zip != nil {
		if err := o.zip.Close(); err != nil {
			return err
		}
	}
	if err := o.temp.Sync(); err != nil {
		return err
	}
	if err := o.temp.Close(); err != nil {
		return err
	}
	if err := os.Rename(o.temp.Name(), o.path); err != nil {
		return err
	}
	o.temp = nil
	return nil
}

// discard removes a file that was not committed.
func (o *output) discard() {
	if o.temp != nil {
		_ = o.temp.Close()
		_ = os.Remove(o.temp.Name())
	}
}

// exportView shows how far an export has come: a line that is written over on a
// terminal, a line every two seconds elsewhere.
type exportView struct {
	w       io.Writer
	columns int
	json    bool

	mu    sync.Mutex
	shown time.Time
	stage string
}

func showExport(w io.Writer, columns int, asJSON bool) *exportView {
	return &exportView{w: w, columns: columns, json: asJSON}
}

func (v *exportView) show(p exporter.Progress) {
	v.mu.Lock()
	defer v.mu.Unlock()
	every := progressLine
	if v.columns > 0 {
		every = progressTick
	}
	if p.Stage == exporter.StageDone || p.Stage == v.stage && time.Since(v.shown) < every {
		return
	}
	v.shown, v.stage = time.Now(), p.Stage
	if v.json {
		_ = writeLine(v.w, struct { // progress that nobody can read any more ends nothing
			Event    string  `json:"event"`
			Stage    string  `json:"stage"`
			Job      string  `json:"job"`
			Percent  int     `json:"percent"`
			LeftS    float64 `json:"left_s"`
			Users    int64   `json:"users"`
			Bytes    int64   `json:"bytes"`
			Links    int     `json:"links"`
			ElapsedS float64 `json:"elapsed_s"`
		}{"progress", p.Stage, p.JobID, p.Percent, p.Left.Seconds(), p.Users, p.Bytes, p.Links, p.Elapsed.Seconds()})
		return
	}
	text := fmt.Sprintf("exporting, %d %%", p.Percent)
	if p.Left > 0 {
		text += ", " + clock(p.Left) + " left"
	}
	if p.Stage == exporter.StageDownloading {
		text = fmt.Sprintf("downloading, %s, %s", users(int(p.Users)), size(p.Bytes))
		if p.Links > 1 {
			text += fmt.Sprintf(", link %d", p.Links)
		}
	}
	if v.columns > 0 {
		_, _ = fmt.Fprintf(v.w, "\r\x1b[K%.*s", v.columns-1, text)
		return
	}
	_, _ = fmt.Fprintln(v.w, text)
}

// close ends the line on a terminal. A nil view shows nothing.
func (v *exportView) close() {
	if v == nil {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.columns > 0 && v.stage != "" {
		_, _ = fmt.Fprint(v.w, "\r\x1b[K")
	}
}

// size writes a number of bytes for people.
func size(n int64) string {
	switch {
	case n < 1000:
		return fmt.Sprintf("%d B", n)
	case n < 1e6:
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	case n < 1e9:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	}
	return fmt.Sprintf("%.1f GB", float64(n)/1e9)
}
