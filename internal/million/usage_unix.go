//go:build unix

package main

import (
	"bufio"
	"errors"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// usage reads what this process has used. Linux keeps the peak of resident memory
// in /proc; elsewhere the system's own account has it.
func usage() (used, error) {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return used{}, err
	}
	u := usedOf(&r)
	file, err := os.Open("/proc/self/status")
	if err != nil {
		return u, nil // no Linux: what Getrusage says has to do
	}
	defer func() { _ = file.Close() }()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		if text, ok := strings.CutPrefix(lines.Text(), "VmHWM:"); ok {
			n, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(text, "kB")), 10, 64)
			if err != nil {
				return u, err
			}
			u.resident = n * 1024
		}
	}
	return u, lines.Err()
}

// usageOf reads what a process that has ended had used.
func usageOf(s *os.ProcessState) (used, error) {
	r, ok := s.SysUsage().(*syscall.Rusage)
	if !ok {
		return used{}, errors.New("the system does not say what the command has used")
	}
	return usedOf(r), nil
}

func usedOf(r *syscall.Rusage) used {
	u := used{
		resident: int64(r.Maxrss), //nolint:unconvert // it is an int32 on some systems
		cpu:      time.Duration(r.Utime.Nano() + r.Stime.Nano()),
	}
	if runtime.GOOS != "darwin" && runtime.GOOS != "ios" {
		u.resident *= 1024 // kibibytes everywhere but there
	}
	return u
}
