package authentication

import (
	"fmt"
	"io"
	"log/slog"
)

// redacted is embedded by what holds passwords, tokens or codes. No verb of fmt
// shows the fields of such a value, and no log does; encoding it still does, since
// that is how it travels.
type redacted[T any] struct{}

// String returns the name of the type.
func (redacted[T]) String() string { return fmt.Sprintf("%T[redacted]", *new(T)) }

// Format writes String, whatever the verb.
func (r redacted[T]) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, r.String()) }

// GoString is String.
func (r redacted[T]) GoString() string { return r.String() }

// LogValue is String.
func (r redacted[T]) LogValue() slog.Value { return slog.StringValue(r.String()) }
