//go:build unix

package speed

import (
	"syscall"
	"time"
)

// processorTime returns the time that the process has had of all processors.
func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err) // it has no failure but a wrong argument
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
