package importer

import (
	"errors"
	"os"
	"syscall"
	"unsafe"
)

// The flags of LockFileEx, and its error for a file that is locked.
const (
	lockImmediately = 1
	lockExclusive   = 2
	lockViolation   = syscall.Errno(33)
)

// lockFile keeps other processes from locking the file until this one closes it
// or ends. The byte that is locked lies beyond the end of any ledger, so that
// the file can be read meanwhile.
func lockFile(f *os.File) error {
	at := syscall.Overlapped{OffsetHigh: 1 << 30}
	lock := syscall.NewLazyDLL("kernel32.dll").NewProc("LockFileEx")
	ok, _, err := lock.Call(f.Fd(), lockImmediately|lockExclusive, 0, 1, 0, uintptr(unsafe.Pointer(&at)))
	if ok != 0 {
		return nil
	}
	if errors.Is(err, lockViolation) {
		return errLocked
	}
	return err
}
