package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"

	"github.com/spf13/cobra"
)

// system is what a command touches outside the process.
type system struct {
	in       io.Reader
	out, err io.Writer
	columns  int // width of the terminal that err is, 0 for none
	getenv   func(string) string
	base     http.RoundTripper // reaches tenants; nil is the network
	// interrupts delivers Ctrl-C until stop is called, which gives it its
	// usual meaning back.
	interrupts func() (c <-chan os.Signal, stop func())
}

// Exit statuses.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitInterrupted = 130 // 128 + SIGINT, as shells report it
)

// exit is an error that ends the program with a status of its own. Errors
// without one are about usage: flags, arguments and what they name.
type exit struct {
	status int
	err    error // nil: everything has been said
}

func (e *exit) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit status %d", e.status)
	}
	return e.err.Error()
}

func (e *exit) Unwrap() error { return e.err }

// run executes the command line and returns the exit status.
func run(args []string, sys *system) int {
	shared := *sys
	shared.err = &lockedWriter{w: sys.err}
	sys = &shared
	root := newRoot(sys)
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(context.Background())
	if err == nil {
		return exitOK
	}
	status, say := exitUsage, true
	if e := (*exit)(nil); errors.As(err, &e) {
		status, say = e.status, e.err != nil
	}
	if say {
		hint := ""
		if status == exitUsage {
			hint = fmt.Sprintf(" (see %s --help)", cmd.CommandPath())
		}
		_, _ = fmt.Fprintf(sys.err, "headroom: %s%s\n", oneLine(err.Error()), hint)
	}
	return status
}

// lockedWriter lets progress and messages share standard error.
type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

// oneLine folds a message onto one line.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

func newRoot(sys *system) *cobra.Command {
	root := &cobra.Command{
		Use:   "headroom",
		Short: "Work with Auth0 at the full allowance, without a single rejection",
		Long: `headroom works with an Auth0 tenant without tripping its rate limits: it knows
the limits of every published plan and sends no request before there is room
for it. It is not made by Auth0.

Environment:
  AUTH0_DOMAIN         the tenant, as in my-tenant.eu.auth0.com
  AUTH0_CLIENT_ID      application that gets tokens for the Management API
  AUTH0_CLIENT_SECRET  its secret
  AUTH0_TOKEN          a Management API token, in place of the application
  AUTH0_PLAN           the tenant's plan, as in --plan; default auto

Exit status:
  0    everything was done
  1    something failed: users, the tenant, the network
  2    nothing was begun: wrong flags, an unknown plan, a bad domain,
       wrong or no credentials, an unknown connection, a file that
       cannot be read, a ledger that is of another import
  130  interrupted`,
		Example: `  headroom import --local testdata/users.ndjson
  headroom plan users.ndjson --plan enterprise
  headroom import users.ndjson --plan enterprise
  headroom export users.ndjson
  headroom limits enterprise
  headroom tenant --plan enterprise`,
		Version:       version(),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetVersionTemplate("headroom {{.Version}}\n")
	root.SetIn(sys.in)
	root.SetOut(sys.out)
	root.SetErr(sys.err)
	root.AddCommand(newImport(sys), newPlan(sys), newExport(sys), newLimits(sys), newTenant(sys))
	return root
}

// version says what was built, from what the go command noted down.
func version() string {
	v, rev := "(devel)", ""
	if info, ok := debug.ReadBuildInfo(); ok {
		if info.Main.Version != "" {
			v = info.Main.Version
		}
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" && len(s.Value) >= 12 && v == "(devel)" {
				rev = " " + s.Value[:12]
			}
		}
	}
	return v + rev + " " + runtime.Version()
}
