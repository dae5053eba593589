//go:build race

package importer

// The race detector takes ten times the time and memory.
const (
	memoryUsers = 50_000
	memoryMost  = 512 << 20
)
