//go:build !race

package importer

const (
	memoryUsers = 1_000_000
	memoryMost  = 64 << 20
)
