// Command headroom works with an Auth0 tenant without tripping its rate limits:
// it imports users at the full allowance of the tenant's plan, says beforehand what
// that takes, exports them, shows the published limits, and runs a simulated tenant
// that enforces them.
//
//	headroom plan users.ndjson --plan enterprise
//	headroom import users.ndjson --plan enterprise
//	headroom export users.ndjson
//	headroom limits enterprise
//	headroom tenant --plan enterprise --addr 127.0.0.1:8080
//
// See headroom help and headroom help COMMAND.
package main

import (
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"golang.org/x/term"
)

func main() {
	if os.Getenv("GOGC") == "" {
		// An import of a million users keeps 20 MB and makes gigabytes of garbage:
		// half as much of it at a time stays well within 64 MiB.
		debug.SetGCPercent(50)
	}
	os.Exit(run(os.Args[1:], &system{
		in:      os.Stdin,
		out:     os.Stdout,
		err:     os.Stderr,
		columns: columns(os.Stderr),
		getenv:  os.Getenv,
		interrupts: func() (<-chan os.Signal, func()) {
			c := make(chan os.Signal, 2)
			signal.Notify(c, os.Interrupt, syscall.SIGTERM)
			return c, func() { signal.Stop(c) }
		},
	}))
}

// columns returns the width of a terminal, 0 for other files.
func columns(f *os.File) int {
	fd := int(f.Fd())
	if !term.IsTerminal(fd) {
		return 0
	}
	if w, _, err := term.GetSize(fd); err == nil && w > 0 {
		return w
	}
	return 80
}
