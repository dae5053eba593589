// Package api holds the project's own description of the Management API: one
// text file for each tag, in the format that package internal/gen tells. The
// generator reads and writes the files where they lie; the simulated tenant
// answers from the copy that this package embeds.
package api

import "embed"

// Files are the description's files, TAG.txt.
//
//go:embed *.txt
var Files embed.FS
