package main

import (
	"encoding/json"
	"io"
	"os"

	"github.com/headroom-go/auth0/importer"
)

// failureLog writes failures to a file that it makes with the first of them. A
// line names the user and the reason, and nothing else of the record: no password,
// hash or metadata. It is not safe for concurrent use.
type failureLog struct {
	path  string
	again bool // continue the file of an earlier run in place of replacing it
	file  io.WriteCloser
	err   error // the first
}

// add writes one failure. After an error it writes no more.
func (l *failureLog) add(f importer.Failure) error {
	if l.err == nil {
		l.err = l.write(f)
	}
	return l.err
}

func (l *failureLog) write(f importer.Failure) error {
	if l.file == nil {
		how := os.O_TRUNC
		if l.again {
			how = os.O_APPEND
		}
		file, err := os.OpenFile(l.path, os.O_WRONLY|os.O_CREATE|how, 0o600)
		if err != nil {
			return err
		}
		_ = file.Chmod(0o600) // where the file was there before
		l.file = file
	}
	b, err := json.Marshal(f)
	if err != nil {
		return err
	}
	_, err = l.file.Write(append(b, '\n'))
	return err
}

// there reports whether an earlier run has left a file.
func (l *failureLog) there() bool {
	info, err := os.Stat(l.path)
	return err == nil && info.Size() > 0
}

// made reports whether there were failures.
func (l *failureLog) made() bool { return l.file != nil }

// close returns the first error of all.
func (l *failureLog) close() error {
	if l.file != nil {
		if err := l.file.Close(); l.err == nil {
			l.err = err
		}
	}
	return l.err
}
