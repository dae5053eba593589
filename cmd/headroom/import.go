package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

type importFlags struct {
	targetFlags
	connection string
	workers    int
	via        string
	skip       int
	done, only string
	failures   string
	json       bool
	quiet      bool
}

func newImport(sys *system) *cobra.Command {
	var f importFlags
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Create users from a file, at the full allowance of the tenant",
		Long: `Create the users of FILE in a tenant, one request per user, as fast as the
tenant's rate limits allow and no faster. FILE holds one JSON object per line
(NDJSON) or one JSON array of objects, plain or gzipped; - is standard input.
The objects are as POST /api/v2/users takes them. A user without a connection
of its own goes to --connection.

What is wrong with one user stops no other: the reasons go to the failures file,
with the user's line and address and without passwords. The file is made with
the first failure, readable by its owner only.

No user is created twice. Where the answer to a request is lost, or the tenant
answers with a server error, the user is looked for before anything is sent
again. A user found that way, or a conflict met after it, counts as created; a
conflict met otherwise counts as existing.

Ctrl-C finishes what is under way, reports, and prints the command that does the
rest without sending again what is done. A second Ctrl-C ends at once.

The application or token needs the scopes create:users and read:users.`,
		Example: `  headroom import --local testdata/users.ndjson
  headroom import users.ndjson --plan enterprise
  headroom import export.json.gz --connection Partners --workers 64
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
	fs.StringVar(&f.connection, "connection", "Username-Password-Authentication", "connection of users that name none")
	fs.IntVar(&f.workers, "workers", 32, "requests at a time, 1 to 1000")
	fs.StringVar(&f.via, "via", "users", "how users are created: users (one by one, POST /api/v2/users)")
	f.register(cmd)
	fs.IntVar(&f.skip, "skip", 0, "leave out the first N users of the file")
	fs.StringVar(&f.done, "done", "", "leave out these users, by position: 7,12-15")
	fs.StringVar(&f.only, "only", "", "import only these users, by position: 7,12-15")
	fs.StringVar(&f.failures, "failures", "", "file for users that failed (default FILE.failures.ndjson)")
	fs.BoolVar(&f.json, "json", false, "print the report as JSON")
	fs.BoolVar(&f.quiet, "quiet", false, "show no progress")
	must(cmd.RegisterFlagCompletionFunc("via", cobra.FixedCompletions([]string{"users"}, cobra.ShellCompDirectiveNoFileComp)))
	for _, name := range []string{"connection", "workers", "skip", "done", "only"} {
		must(cmd.RegisterFlagCompletionFunc(name, cobra.NoFileCompletions))
	}
	return cmd
}

const allowanceHelp = `

The report counts users in total, created, exists, failed, unfinished (stopped
before they were sent) and skipped, and answers with status 429 as rejected.
allowance_used is the share of what the limits allowed that was used, of the
limit that came closest to 1:

  requests / (burst + rate x seconds from the first request to the last)

With --local the simulated tenant measures it. Against a real tenant it follows
from what was answered and the limits that the throttle knows. It is then a
lower bound: answers that got lost, and what others had used up before or used
meanwhile, make it lower than it was.`

func (f *importFlags) run(sys *system, cmd *cobra.Command, path string) error {
	job := &importJob{connection: f.connection, workers: f.workers, skip: f.skip}
	var err error
	switch {
	case f.via != "users":
		return fmt.Errorf("--via %q is not known: users is", f.via)
	case f.workers < 1 || f.workers > 1000:
		return fmt.Errorf("--workers %d is not between 1 and 1000", f.workers)
	case f.skip < 0:
		return fmt.Errorf("--skip %d is negative", f.skip)
	case f.connection == "":
		return errors.New("--connection is empty: name the connection that users go to")
	}
	if job.done, err = parseRanges(f.done); err != nil {
		return fmt.Errorf("--done: %w", err)
	}
	if job.only, err = parseRanges(f.only); err != nil {
		return fmt.Errorf("--only: %w", err)
	}
	if job.failures, err = f.failureLog(path); err != nil {
		return err
	}
	in, total, err := openUsers(sys, path)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	if job.records, err = newRecordReader(in); err != nil {
		return fmt.Errorf("%s: %w", inputName(path), err)
	}
	target, err := f.connect(sys)
	if err != nil {
		return err
	}
	defer target.close()
	job.creator = &creator{api: target}
	target.gate.date = job.creator.tell

	interrupts, restore := sys.interrupts()
	defer restore()
	ctx, cancel := context.WithCancel(cmd.Context())
	defer cancel()
	stop, interrupted := make(chan struct{}), make(chan struct{})
	over := make(chan struct{})
	go func() {
		defer close(interrupted)
		select {
		case <-interrupts:
		case <-over:
			return
		}
		_, _ = fmt.Fprintf(sys.err, "\nfinishing %s under way; Ctrl-C again ends at once\n", requests(target.gate.traffic().inFlight))
		close(stop)
		select {
		case <-interrupts:
			restore() // a third one ends the process whatever happens
			cancel()
		case <-over:
		}
	}()
	view := f.progress(sys, job, target, total)
	err = job.run(ctx, stop, target.gate.halt)
	view.close()
	close(over)
	<-interrupted
	if e := job.failures.close(); e != nil && err == nil {
		err = fmt.Errorf("writing failures: %w", e)
	}

	report := f.report(job, target, cmd.Flags(), path)
	select {
	case <-stop:
		report.Interrupted = true
	default:
	}
	return f.finish(sys, report, err)
}

// finish prints the report and turns the outcome into an exit status.
func (f *importFlags) finish(sys *system, report importReport, err error) error {
	write := report.text
	if f.json {
		write = report.json
	}
	if e := write(sys.out); e != nil && err == nil {
		err = fmt.Errorf("writing the report: %w", e)
	}
	switch {
	case report.Interrupted:
		return &exit{exitInterrupted, err}
	case err != nil:
		return &exit{exitFailed, err}
	case report.Failed > 0:
		return &exit{status: exitFailed}
	}
	return nil
}

func requests(n int) string {
	if n == 1 {
		return "1 request"
	}
	return strconv.Itoa(n) + " requests"
}

func inputName(path string) string {
	if path == "-" {
		return "standard input"
	}
	return path
}

// openUsers opens the file and counts its users, -1 when they can be read only
// once.
func openUsers(sys *system, path string) (io.ReadCloser, int, error) {
	if path == "-" {
		return io.NopCloser(sys.in), -1, nil
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	info, err := file.Stat()
	if err == nil && info.IsDir() {
		err = fmt.Errorf("%s is a directory: name a file of users, or - for standard input", path)
	}
	if err != nil {
		_ = file.Close()
		return nil, 0, err
	}
	if !info.Mode().IsRegular() {
		return file, -1, nil
	}
	total := -1
	if rr, err := newRecordReader(file); err == nil {
		if n, err := rr.count(); err == nil {
			total = n // else the import itself meets the error, with the users before it done
		}
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		_ = file.Close()
		return nil, 0, err
	}
	return file, total, nil
}

func (f *importFlags) failureLog(path string) (*failureLog, error) {
	l := &failureLog{path: f.failures, again: f.skip > 0 || f.done != ""}
	if l.path == "" {
		l.path = path + ".failures.ndjson"
		if path == "-" {
			l.path = "stdin.failures.ndjson"
		}
	}
	if l.path == path {
		return nil, errors.New("--failures names the file of users itself: choose another")
	}
	return l, nil
}

// remaining returns how many of a file's users are to be imported.
func (j *importJob) remaining(total int) int {
	if total < 0 {
		return -1
	}
	n := 0
	for i := 1; i <= total; i++ {
		if !j.leavesOut(i) {
			n++
		}
	}
	return n
}

func (f *importFlags) progress(sys *system, job *importJob, target *target, total int) *progressView {
	if f.quiet {
		return nil
	}
	return showProgress(sys.err, sys.columns, job.remaining(total), func() progress {
		s, t := job.status(), target.gate.traffic()
		return progress{status: s, waiting: max(0, s.total-s.settled-t.inFlight), rejected: t.rejected}
	})
}

func (f *importFlags) report(job *importJob, target *target, flags *pflag.FlagSet, path string) importReport {
	allowance := math.NaN()
	traffic := target.gate.traffic()
	if traffic.sent > 0 {
		allowance = target.allowance()
	}
	report := job.report(job.status().elapsed, traffic.rejected, allowance)
	report.Plan = target.plan
	if report.Unfinished > 0 || job.early() {
		report.Resume = resumeCommand(job, flags, path)
	} else if report.Failed > 0 {
		report.Retry = retryCommand(job, flags, path)
	}
	return report
}

// resumeCommand is the command line that does what a run left.
func resumeCommand(job *importJob, flags *pflag.FlagSet, path string) string {
	job.mu.Lock()
	defer job.mu.Unlock()
	skip, rest := job.settled.prefix()
	var more []string
	if skip > 0 {
		more = append(more, "--skip", strconv.Itoa(skip))
	}
	if len(rest) > 0 {
		more = append(more, "--done", rest.String())
	}
	return commandLine(flags, []string{"skip", "done"}, more, path)
}

// retryCommand is the command line that tries failed users again, "" when they
// are too scattered for one.
func retryCommand(job *importJob, flags *pflag.FlagSet, path string) string {
	job.mu.Lock()
	defer job.mu.Unlock()
	list := job.failedAt.String()
	if len(list) > 2000 {
		return ""
	}
	return commandLine(flags, []string{"skip", "done", "only"}, []string{"--only", list}, path)
}

// commandLine repeats the flags that were given, without some and with more.
func commandLine(flags *pflag.FlagSet, without, more []string, path string) string {
	words := []string{"headroom", "import"}
	flags.Visit(func(fl *pflag.Flag) {
		if slices.Contains(without, fl.Name) {
			return
		}
		if fl.Value.Type() == "bool" {
			words = append(words, "--"+fl.Name+map[bool]string{true: "", false: "=" + fl.Value.String()}[fl.Value.String() == "true"])
			return
		}
		words = append(words, "--"+fl.Name, fl.Value.String())
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
