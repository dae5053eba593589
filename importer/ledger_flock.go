//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package importer

import (
	"errors"
	"os"
	"syscall"
)

// lockFile keeps other processes from locking the file until this one closes it
// or ends.
func lockFile(f *os.File) error {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return errLocked
	}
	return err
}
