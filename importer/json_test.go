package importer

import (
	"encoding/json"
	"testing"
)

// Each text is read back by encoding/json as it was.
func TestAppendString(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "a", `"`, `\`, `\"é` + "\u2028", "\x00\x01\n\r\t\x1f\x7f", "\U0001f600<&>"} {
		var back string
		if err := json.Unmarshal(appendString(nil, []byte(text)), &back); err != nil || back != text {
			t.Errorf("%q: read back %q, %v", text, back, err)
		}
	}
}
