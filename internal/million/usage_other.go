//go:build !unix

package main

import (
	"errors"
	"os"
)

var errNotAsked = errors.New("this system is not asked for what a process has used: run it on Linux or macOS")

// usage reads what this process has used.
func usage() (used, error) { return used{}, errNotAsked }

// usageOf reads what a process that has ended had used.
func usageOf(*os.ProcessState) (used, error) { return used{}, errNotAsked }
