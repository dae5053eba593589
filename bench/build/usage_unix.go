//go:build unix

package build

import (
	"os"
	"runtime"
	"syscall"
)

// usage returns what a process that has ended took, with all processes that it
// started and waited for: the go command, its compilers and its linker.
func usage(s *os.ProcessState) Usage {
	u := Usage{Time: s.UserTime() + s.SystemTime()}
	if r, ok := s.SysUsage().(*syscall.Rusage); ok {
		u.Peak = int64(r.Maxrss) //nolint:unconvert // it is an int32 on some systems
		if runtime.GOOS != "darwin" && runtime.GOOS != "ios" {
			u.Peak *= 1024 // kilobytes everywhere but there
		}
	}
	return u
}
