package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/headroom-go/auth0"
	"github.com/headroom-go/auth0/importer"
)

// sourceFlags say what is imported and what it is held against.
type sourceFlags struct {
	connection string
	via        string
	upsert     bool
	verified   bool
	mapping    []string
}

func (f *sourceFlags) register(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.StringVar(&f.connection, "connection", importer.DefaultConnection, "name or id of the connection of users that name none")
	fs.StringVar(&f.via, "via", "auto", "how users are created: jobs (bulk import jobs), users (one by one), or auto")
	fs.BoolVar(&f.upsert, "upsert", false, "update users who exist, by their e-mail address, in place of reporting them")
	fs.BoolVar(&f.verified, "email-verified", false, "whether addresses are verified where a user does not say; --email-verified=false to say so")
	fs.StringArrayVar(&f.mapping, "map", nil, "for CSV: COLUMN=FIELD, as in Mail=email or Plan=app_metadata.plan; several with commas; FIELD:number, FIELD:bool and FIELD:json say what cells hold, FIELD[] that it is a list, and COLUMN= leaves it out")
	must(cmd.RegisterFlagCompletionFunc("via", cobra.FixedCompletions([]string{"auto", "jobs", "users"}, cobra.ShellCompDirectiveNoFileComp)))
	for _, name := range []string{"connection", "map"} {
		must(cmd.RegisterFlagCompletionFunc(name, cobra.NoFileCompletions))
	}
}

func (f *sourceFlags) check() error {
	switch {
	case f.connection == "":
		return errors.New("--connection is empty: name the connection that users go to")
	case !slices.Contains([]string{"auto", "jobs", "users"}, f.via):
		return fmt.Errorf("--via %q is not known: auto, jobs and users are", f.via)
	}
	return nil
}

// emailVerified is the value of --email-verified, nil when it was not given.
func (f *sourceFlags) emailVerified(flags *pflag.FlagSet) *bool {
	if !flags.Changed("email-verified") {
		return nil
	}
	return &f.verified
}

// input opens the input.
func (f *sourceFlags) input(sys *system, path string) (*importer.Source, error) {
	var o []importer.SourceOption
	for _, list := range f.mapping {
		pair := ""
		for part := range strings.SplitSeq(list, ",") {
			if pair += part; !strings.Contains(part, "=") { // the comma is one of the column's name
				pair += ","
				continue
			}
			o = append(o, importer.Mapping(strings.TrimSpace(pair)))
			pair = ""
		}
		if pair != "" {
			o = append(o, importer.Mapping(strings.TrimSuffix(pair, ",")))
		}
	}
	if path == "-" {
		return importer.Reader(sys.in, append(o, importer.Named("standard input"))...), nil
	}
	src, err := importer.File(path, o...)
	if err != nil {
		return nil, plainError(err)
	}
	return src, nil
}

type importFlags struct {
	targetFlags
	sourceFlags
	workers    int
	jobs       int
	completion bool
	ledger     string
	resume     bool
	strict     bool
	skip       int
	done, only string
	failures   string
	reports    []string
	json       bool
	quiet      bool
}

func newImport(sys *system) *cobra.Command {
	var f importFlags
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Bring users from a file into a tenant, at the full allowance of the tenant",
		Long: `Bring the users of FILE into a tenant, as fast as its limits allow and no faster.
FILE holds one JSON object per line (NDJSON), one JSON array of objects, or CSV
with a header, plain or gzipped; an export of another tenant is one of these. - is
standard input. docs/importing.md describes the fields and the kinds of hashes.

First every user is checked and nothing is sent: headroom plan FILE does only that.
Users whom Auth0 would refuse are left out, or with --strict nothing is begun. Then
the users go into the tenant in one of two ways:

  jobs   bulk import jobs of some hundred users each, two at a time. The only way
         for password hashes, second factors and users without a password.
  users  one request per user. The only way for passwords in clear text.

auto takes the way that each user needs.

What is wrong with one user stops no other: the reasons go to the failures file,
with the user's line and address and without passwords. The file is made with
the first failure, readable by its owner only. One of an earlier import is
replaced then, but with --resume, --only, --skip or --done it is continued.

No user is created twice. What was sent is written to a ledger before it is sent;
where an answer is lost, the users are looked for, and a chunk whose fate is
unknown is imported again, which creates nobody who is there. After a crash or
Ctrl-C, the same command with --resume goes on. Ctrl-C finishes what is under way;
a second one ends at once.

The application or token needs the scopes
` + importScopes + `.`,
		Example: `  headroom import --local testdata/users.ndjson
  headroom import users.ndjson --plan enterprise
  headroom import hashes.json.gz --connection Partners --report report.html
  headroom import people.csv --map Mail=email,Plan=app_metadata.plan --email-verified
  zcat users.gz | headroom import - --json --quiet`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("import needs one FILE, or - for standard input; %d were given", len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(sys, cmd, args[0]) },
	}
	cmd.Long += allowanceHelp
	fs := cmd.Flags()
	f.sourceFlags.register(cmd)
	fs.IntVar(&f.workers, "workers", 32, "with single requests: how many at a time, 1 to 1000")
	fs.IntVar(&f.jobs, "jobs", 2, "with import jobs: how many at a time, 1 or 2; 1 leaves one to others")
	fs.BoolVar(&f.completion, "send-completion-email", false, "have each import job mail every owner of the tenant")
	f.targetFlags.register(cmd, true)
	fs.StringVar(&f.ledger, "ledger", "", "file that --resume goes on with (default FILE"+ledgerSuffix+"; none for standard input and --local)")
	fs.BoolVar(&f.resume, "resume", false, "go on with the ledger of a run that was interrupted")
	fs.BoolVar(&f.strict, "strict", false, "begin nothing when any user would be refused")
	fs.IntVar(&f.skip, "skip", 0, "leave out the first N users of the file")
	fs.StringVar(&f.done, "done", "", "leave out these users, by position: 7,12-15")
	fs.StringVar(&f.only, "only", "", "import only these users, by position: 7,12-15")
	fs.StringVar(&f.failures, "failures", "", "file for users that failed (default FILE.failures.ndjson)")
	fs.StringArrayVar(&f.reports, "report", nil, "also write a report to this file, by its name: .html with charts, .json with everything, .txt")
	fs.BoolVar(&f.json, "json", false, "print the report as JSON, after lines of progress unless --quiet")
	fs.BoolVar(&f.quiet, "quiet", false, "show no progress")
	for _, name := range []string{"workers", "jobs", "skip", "done", "only"} {
		must(cmd.RegisterFlagCompletionFunc(name, cobra.NoFileCompletions))
	}
	return cmd
}

// importScopes are what the application or token needs.
const importScopes = "create:users, read:users and read:connections, and update:users for --upsert by single requests"

// ledgerSuffix makes a ledger's name of a file's.
const ledgerSuffix = ".headroom"

const allowanceHelp = `

The report counts every user once: created, updated, exists, failed, refused
(never sent), unfinished (stopped before it was sent) and skipped; and answers of
rate limits as rejected. With --resume, users of earlier runs count too, and
earlier is how many they are; time, rejections and allowance are of this run.
allowance_used, for single requests, is the share of what the limits allowed that
was used, of the limit that came closest to 1:

  requests / (burst + rate x seconds from the first request to the last)

With --local the simulated tenant measures it. Against a real tenant it follows
from what was answered and the limits that the throttle knows. It is then a
lower bound: answers that got lost, and what others had used up before or used
meanwhile, make it lower than it was.`

// options checks the flags and makes the importer's options of them.
func (f *importFlags) options(flags *pflag.FlagSet, path string) (importer.Options, error) {
	o := importer.Options{
		Connection: f.connection, Via: importer.Via(f.via), Upsert: f.upsert, SendCompletionEmail: f.completion,
		EmailVerified: f.emailVerified(flags), Workers: f.workers, MaxJobs: f.jobs, Ledger: f.ledger, Resume: f.resume, Strict: f.strict, Skip: f.skip,
	}
	if err := f.check(); err != nil {
		return o, err
	}
	switch {
	case f.workers < 1 || f.workers > 1000:
		return o, fmt.Errorf("--workers %d is not between 1 and 1000", f.workers)
	case f.jobs < 1 || f.jobs > 2:
		return o, fmt.Errorf("--jobs %d is neither 1 nor 2, the most that Auth0 runs at a time", f.jobs)
	case f.skip < 0:
		return o, fmt.Errorf("--skip %d is negative", f.skip)
	case f.resume && f.local:
		return o, errors.New("--resume has nothing to go on with: the tenant of --local ended with its process")
	case f.resume && path == "-" && f.ledger == "":
		return o, errors.New("--resume needs --ledger FILE: standard input has no ledger of its own")
	}
	var err error
	if o.Done, err = importer.ParseRanges(f.done); err != nil {
		return o, fmt.Errorf("--done: %w", err)
	}
	if o.Only, err = importer.ParseRanges(f.only); err != nil {
		return o, fmt.Errorf("--only: %w", err)
	}
	if !flags.Changed("ledger") && path != "-" && !f.local {
		o.Ledger = path + ledgerSuffix
	}
	files := map[string]string{path: "the file of users itself"}
	claim := func(flag, name string) error {
		if what := files[name]; what != "" {
			return fmt.Errorf("%s names %s: choose another", flag, what)
		}
		files[name] = "the file of " + flag
		return nil
	}
	if o.Ledger != "" {
		if err := claim("--ledger", o.Ledger); err != nil {
			return o, err
		}
	}
	if err := claim("--failures", f.failuresPath(path)); err != nil {
		return o, err
	}
	for _, name := range f.reports {
		if _, ok := reportForms[filepath.Ext(name)]; !ok {
			return o, fmt.Errorf("--report %s: the name has to end in .html, .json or .txt, which says how it is written", name)
		}
		if err := claim("--report", name); err != nil {
			return o, err
		}
	}
	return o, nil
}

func (f *importFlags) failuresPath(path string) string {
	switch {
	case f.failures != "":
		return f.failures
	case path == "-":
		return "stdin.failures.ndjson"
	}
	return path + ".failures.ndjson"
}

func (f *importFlags) run(sys *system, cmd *cobra.Command, path string) error {
	o, err := f.options(cmd.Flags(), path)
	if err != nil {
		return err
	}
	src, err := f.input(sys, path)
	if err != nil {
		return err
	}
	for _, name := range f.reports {
		if err := canWrite(name); err != nil {
			return fmt.Errorf("--report: %w", err)
		}
	}
	target, err := f.connect(sys)
	if err != nil {
		return err
	}
	defer target.close()

	interrupts, restore := sys.interrupts()
	defer restore()
	ctx, cancel := context.WithCancel(cmd.Context())
	defer cancel()
	stop, watched, over := make(chan struct{}), make(chan struct{}), make(chan struct{})
	halt := sync.OnceFunc(func() { close(stop) })
	interrupted := false
	var jobs atomic.Int64 // that run
	go func() {
		defer close(watched)
		select {
		case <-interrupts:
		case <-over:
			return
		}
		interrupted = true
		what := "stopping"
		if n := target.meter.look().inFlight; n > 0 {
			what = fmt.Sprintf("finishing %s under way", requests(n))
		}
		if n := int(jobs.Load()); n > 0 && o.Ledger == "" {
			what = fmt.Sprintf("waiting for %s: there is no ledger that could go on with them", plural(n, "import job"))
		}
		_, _ = fmt.Fprintf(sys.err, "\n%s; Ctrl-C again ends at once\n", what)
		halt()
		select {
		case <-interrupts:
			restore() // a third one ends the process whatever happens
			cancel()
		case <-over:
		}
	}()

	var view *progressView
	switch {
	case f.quiet:
	case f.json:
		view = showEvents(sys.out)
	default:
		view = showProgress(sys.err, sys.columns)
	}
	var before *importer.Progress // what earlier runs have done
	o.Progress = func(p importer.Progress) {
		if before == nil {
			before = &p
		}
		jobs.Store(int64(p.JobsRunning))
		if view != nil {
			view.show(p)
		}
	}
	failures := &failureLog{path: f.failuresPath(path), again: f.resume || f.skip > 0 || f.done != "" || f.only != ""}
	var first []importer.Failure     // some to show for --strict
	var unwritten []importer.Failure // that the file did not take
	o.Failed = func(e importer.Failure) {
		if len(first) < strictShown {
			first = append(first, e)
		}
		if failures.add(e) != nil {
			unwritten = append(unwritten, e)
			halt() // nobody would know the reasons
		}
	}
	o.Stop = stop
	outcome, err := importer.Run(ctx, target.client, src, o)
	view.close()
	close(over)
	<-watched
	if e := failures.close(); e != nil {
		err = fmt.Errorf("writing failures: %w", e)
		for _, f := range unwritten { // their users are settled: no later run would say why
			_ = writeLine(sys.err, f)
		}
	}
	if err == nil && !interrupted && outcome.Total > 0 && outcome.Skipped == outcome.Total {
		outcome, err = nil, fmt.Errorf("%s none of the %s of %s to import", f.choice(), users(outcome.Total), src.Name())
	}
	if outcome != nil && err != nil && outcome.Total == 0 && o.Ledger == "" && !interrupted {
		outcome = nil // the input was found to be unreadable
	}
	if outcome == nil {
		return f.notBegun(sys, cmd.Flags(), path, interrupted, target.explain(err, importScopes))
	}

	report := newReport(outcome, before)
	report.Plan, report.PlanHint = target.planName(), target.planHint()
	report.Interrupted = interrupted
	if report.PlanHint == "" && report.Created+report.Updated+report.Exists > before.Created+before.Updated+before.Exists && report.Jobs == 0 {
		report.use(target.allowance())
	}
	if failures.made() || failures.again && report.Failed+report.Refused > 0 && failures.there() {
		report.FailuresFile = failures.path
	}
	err = target.explain(err, importScopes)
	if err != nil {
		report.Error = err.Error()
	}
	switch {
	case errors.Is(err, importer.ErrStrict):
		// The file has to be mended first.
		showFirst(sys.err, first, report.Refused, report.FailuresFile)
	case outcome.Resume && o.Ledger != "":
		report.Ledger = o.Ledger
		report.Resume = commandLine("import", cmd.Flags(), []string{"resume"}, []string{"--resume"}, path)
	case outcome.Stopped || outcome.Unfinished > 0 || err != nil:
		report.Resume = resumeCommand(outcome, cmd.Flags(), path)
	default:
		report.Retry = retryCommand(outcome.FailedAt, cmd.Flags(), path)
	}
	for _, name := range f.reports {
		if e := writeReport(name, &report, outcome); e != nil && err == nil {
			err = fmt.Errorf("--report: %w", e)
		}
	}
	return f.finish(sys, report, err)
}

// notBegun ends an import that sent no user. There is nothing to count, but
// programs get their report.
func (f *importFlags) notBegun(sys *system, flags *pflag.FlagSet, path string, interrupted bool, err error) error {
	text := plainError(err)
	if f.json {
		report := importReport{Event: "report", Interrupted: interrupted, Error: text.Error()}
		if interrupted {
			report.Resume = commandLine("import", flags, nil, nil, path)
		}
		if e := writeLine(sys.out, report); e != nil {
			return &exit{exitFailed, fmt.Errorf("writing the report: %w", e)}
		}
	}
	switch {
	case interrupted:
		return &exit{exitInterrupted, errors.New("interrupted before any user was sent")}
	case mayPass(err):
		return &exit{exitFailed, text}
	}
	return &exit{exitUsage, text}
}

// plainError is an error of the importer in the words of this command.
func plainError(err error) error {
	return errors.New(strings.NewReplacer("with a mapping (", "with --map (", "the mapping names", "--map names", "a mapping is for", "--map is for", "; write COLUMN=", "; write --map COLUMN=").
		Replace(strings.TrimPrefix(err.Error(), "importer: ")))
}

// mayPass reports whether an error is of the network or of the tenant, so that
// the same command may do the next time.
func mayPass(err error) bool {
	e, ok := errors.AsType[*auth0.Error](err)
	return ok && (e.Status == 0 || e.Status >= 500 || errors.Is(err, auth0.ErrRateLimited))
}

// choice begins a sentence on what the flags that leave out users do.
func (f *importFlags) choice() string {
	var names []string
	for _, c := range []struct {
		name  string
		given bool
	}{{"--skip", f.skip > 0}, {"--done", f.done != ""}, {"--only", f.only != ""}} {
		if c.given {
			names = append(names, c.name)
		}
	}
	if len(names) == 1 {
		return names[0] + " leaves"
	}
	return strings.Join(names, " and ") + " leave"
}

// strictShown is how many reasons are shown for --strict.
const strictShown = 5

// showFirst shows the first reasons of all.
func showFirst(w io.Writer, first []importer.Failure, all int, path string) {
	for _, e := range first {
		_, _ = fmt.Fprintln(w, oneLine(e.Reason)) // which begins with the line
	}
	if all > len(first) {
		_, _ = fmt.Fprintf(w, "... and %d more\n", all-len(first))
	}
	if path != "" {
		_, _ = fmt.Fprintf(w, "The reasons are in %s.\n", path)
	}
}

// canWrite reports why a file cannot be written, and leaves everything as it was.
func canWrite(path string) error {
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() && !info.IsDir() {
		return nil // a pipe, which would be taken for closed
	}
	file, e := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o600)
	if e != nil {
		return e
	}
	if e := file.Close(); e != nil || err == nil {
		return e
	}
	return os.Remove(path)
}

// finish prints the report and turns the outcome into an exit status.
func (f *importFlags) finish(sys *system, report importReport, err error) error {
	write := report.text
	if f.json {
		write = func(w io.Writer) error { return writeLine(w, report) }
	}
	if e := write(sys.out); e != nil && err == nil {
		err = fmt.Errorf("writing the report: %w", e)
	}
	if err != nil {
		err = plainError(err)
	}
	switch {
	case report.Interrupted:
		return &exit{exitInterrupted, err}
	case err != nil:
		return &exit{exitFailed, err}
	case report.Failed+report.Refused > 0:
		return &exit{status: exitFailed}
	}
	return nil
}

// reportForms are the ways to write a report to a file, by the end of its name.
var reportForms = map[string]func(io.Writer, *importReport, *importer.Report) error{
	".txt":  func(w io.Writer, r *importReport, _ *importer.Report) error { return r.text(w) },
	".json": func(w io.Writer, _ *importReport, all *importer.Report) error { return all.WriteJSON(w) },
	".html": writeHTML,
}

func writeReport(path string, r *importReport, all *importer.Report) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	err = reportForms[filepath.Ext(path)](file, r, all)
	if e := file.Close(); err == nil {
		err = e
	}
	return err
}

// resumeCommand is the command line that does what a run without a ledger left.
func resumeCommand(r *importer.Report, flags *pflag.FlagSet, path string) string {
	skip, rest := r.Settled.Prefix()
	var more []string
	if skip > 0 {
		more = append(more, "--skip", strconv.Itoa(skip))
	}
	if rest.Count() > 0 {
		more = append(more, "--done", rest.String())
	}
	return commandLine("import", flags, []string{"skip", "done", "resume"}, more, path)
}

// retryCommand is the command line that tries failed users again, "" when there
// are none or they are too scattered for one.
func retryCommand(failed importer.Ranges, flags *pflag.FlagSet, path string) string {
	list := failed.String()
	if list == "" || len(list) > 2000 {
		return ""
	}
	return commandLine("import", flags, []string{"skip", "done", "only", "resume"}, []string{"--only", list}, path)
}

// commandLine repeats the flags that were given, without some and with more.
func commandLine(command string, flags *pflag.FlagSet, without, more []string, path string) string {
	words := []string{"headroom", command}
	flags.Visit(func(fl *pflag.Flag) {
		if slices.Contains(without, fl.Name) {
			return
		}
		switch list, isList := fl.Value.(pflag.SliceValue); {
		case isList:
			for _, v := range list.GetSlice() {
				words = append(words, "--"+fl.Name, v)
			}
		case fl.Value.Type() == "bool" && fl.Value.String() == "true":
			words = append(words, "--"+fl.Name)
		case fl.Value.Type() == "bool":
			words = append(words, "--"+fl.Name+"=false")
		default:
			words = append(words, "--"+fl.Name, fl.Value.String())
		}
	})
	words = append(words, more...)
	if strings.HasPrefix(path, "-") && path != "-" {
		words = append(words, "--")
	}
	words = append(words, path)
	for i, w := range words {
		words[i] = shellWord(w)
	}
	return strings.Join(words, " ")
}
