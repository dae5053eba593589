package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

// TestMain runs the command itself where a test, or the command under test, has
// started this binary for that.
func TestMain(m *testing.M) {
	if os.Getenv("HEADROOM_RUN_MAIN") != "" {
		main()
		return
	}
	goleak.VerifyTestMain(m)
}

func TestMeasure(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := measure(3000, filepath.Join(t.TempDir(), "ledger"), &out); err != nil {
		t.Fatal(err)
	}
	// Users of some 300 bytes: 900,000 in all, and a job takes 512,000.
	for _, want := range []string{
		`users +3000\n`, `import jobs +2\n`, `created +3000\n`, `users in the tenant +3000, 0 of them sent twice\n`,
		`most resident memory +[1-9]\d*\.\d MiB\n`, `processor time +\d+\.\d s\n`,
	} {
		if !regexp.MustCompile(`(?m)^` + want).Match(out.Bytes()) {
			t.Errorf("no line %s in\n%s", want, out.String())
		}
	}
}

func TestGenerated(t *testing.T) {
	t.Parallel()
	n := 0
	for v, err := range generated(10) {
		var u struct {
			Email, UserID, Hash string
		}
		raw, ok := v.(json.RawMessage)
		if err != nil || !ok {
			t.Fatal(err, v)
		}
		if err := json.Unmarshal(raw, &u); err != nil || !strings.HasSuffix(u.Email, "000000"+string(rune('0'+n))+"@example.com") {
			t.Errorf("%v, %s", err, raw)
		}
		n++
	}
	if n != 10 {
		t.Errorf("%d users, want 10", n)
	}
}
