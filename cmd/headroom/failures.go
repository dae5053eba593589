package main

import (
	"encoding/json"
	"io"
	"os"
)

// A failure is one line of the failures file. It names the user and the
// reason, and nothing else of the record: no password, hash or metadata.
type failure struct {
	Line   int    `json:"line"`   // of the import file
	Number int    `json:"number"` // position among the file's users, as --skip and --only count
	User   string `json:"user,omitempty"`
	Reason string `json:"reason"`
}

// failureLog writes failures to a file that it makes with the first of them.
// It is not safe for concurrent use.
type failureLog struct {
	path  string
	again bool // continue the file of an earlier run in place of replacing it
	file  io.WriteCloser
}

func (l *failureLog) add(f failure) error {
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

// made reports whether there were failures.
func (l *failureLog) made() bool { return l.file != nil }

func (l *failureLog) close() error {
	if l.file == nil {
		return nil
	}
	return l.file.Close()
}
