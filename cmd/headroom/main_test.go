package main

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// TestMain runs the command itself in place of the tests where a test has
// started its own binary for that.
func TestMain(m *testing.M) {
	if os.Getenv("HEADROOM_RUN_MAIN") != "" {
		main()
	}
	goleak.VerifyTestMain(m)
}
