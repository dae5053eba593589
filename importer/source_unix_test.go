//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package importer

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// What a named pipe carries is read from its first byte, and it is opened once.
func TestNamedPipe(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	src, err := File(path) // before anybody writes
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = os.WriteFile(path, []byte(users(3, nil)), 0) }()
	if src.Again() || src.Size() != -1 || len(sent(t, src)) != 3 {
		t.Errorf("again %v, size %d", src.Again(), src.Size())
	}
}
