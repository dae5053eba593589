package importer

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// TestMain runs an import in place of the tests where a test has started its own
// binary for that.
func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		os.Exit(crashChild()) //nolint:forbidigo // a process of its own, with nothing deferred
	}
	if os.Getenv(memoryEnv) != "" {
		os.Exit(memoryChild()) //nolint:forbidigo // the same
	}
	goleak.VerifyTestMain(m)
}
