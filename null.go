package auth0

import (
	"bytes"
	"encoding/json"
)

// Null is a field of a request that the API lets callers clear. It has three
// states: absent (the zero value: the field is not sent), null (the field is
// sent as null, which clears it) and a value.
//
// Declare such fields with the omitzero option, or absent is sent as null:
//
//	Picture auth0.Null[string] `json:"picture,omitzero"`
//
// A Null is a plain value: copies are independent, and it is as safe for
// concurrent use as a string is.
type Null[T any] struct {
	value T
	state nullState
}

type nullState uint8

const (
	nullAbsent nullState = iota
	nullNull
	nullValue
)

// NullOf returns a Null that holds v.
func NullOf[T any](v T) Null[T] { return Null[T]{value: v, state: nullValue} }

// NullValue returns a Null that is null: sent, it clears the field.
func NullValue[T any]() Null[T] { return Null[T]{state: nullNull} }

// ValueOf returns the value of a Null and true, or the zero value and false when
// it is absent or null. It is no method, because methods of a type with a
// parameter are compiled for every type that it is used with.
func ValueOf[T any](n Null[T]) (T, bool) { return n.value, n.state == nullValue }

// IsNull reports whether a Null is null. An absent one is not.
func IsNull[T any](n Null[T]) bool { return n.state == nullNull }

// IsZero reports whether n is absent. encoding/json asks it for fields with the
// omitzero option.
func (n Null[T]) IsZero() bool { return n.state == nullAbsent }

// MarshalJSON encodes the value, or null when there is none.
func (n Null[T]) MarshalJSON() ([]byte, error) {
	if n.state != nullValue {
		return []byte("null"), nil
	}
	return json.Marshal(n.value)
}

// UnmarshalJSON decodes null or a value. A field that is missing from the
// document is left absent, since encoding/json does not call it then.
func (n *Null[T]) UnmarshalJSON(data []byte) error {
	var v T
	state, err := unmarshalNull(data, &v)
	if err == nil {
		*n = Null[T]{value: v, state: state}
	}
	return err
}

func unmarshalNull(data []byte, v any) (nullState, error) {
	if bytes.Equal(bytes.TrimSpace(data), []byte("null")) {
		return nullNull, nil
	}
	return nullValue, json.Unmarshal(data, v)
}

// slot makes n a value and returns a pointer to it, for lenient to fill in part.
func (n *Null[T]) slot() any {
	n.state = nullValue
	return &n.value
}

// Ptr returns a pointer to a copy of v, for optional fields of requests. Since
// Go 1.26 new(v) does the same.
func Ptr[T any](v T) *T { return new(v) }
