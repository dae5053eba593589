package auth0

// Null is a field of a request that the API lets callers clear. It has three
// states: absent (the zero value: the field is not sent), null (the field is
// sent as null, which clears it) and a value.
//
// Declare such fields with the omitzero option, or absent is sent as null:
//
//	Picture auth0.Null[string] `json:"picture,omitzero"`
//
// Null has no methods, because those of a type with a parameter are compiled
// anew for every type that it is used with, in every program. It is instead
// what encoding/json itself writes as it should be: nil for absent, a pointer to
// nil for null, and else a pointer to a pointer to the value. Reading a document,
// encoding/json leaves a field that is null there as absent.
//
// NullOf and NullValue make one, ValueOf and IsNull read one. Copies share the
// value that they point to, which nothing in this module changes; to change a
// field, give it another Null. Concurrent use is as safe as that of any pointer.
type Null[T any] **T

// NullOf returns a Null that holds v.
func NullOf[T any](v T) Null[T] { return new(new(v)) }

// NullValue returns a Null that is null: sent, it clears the field.
func NullValue[T any]() Null[T] { return new(*T) }

// ValueOf returns the value of a Null and true, or the zero value and false when
// it is absent or null.
func ValueOf[T any](n Null[T]) (T, bool) {
	if n == nil || *n == nil {
		var zero T
		return zero, false
	}
	return **n, true
}

// IsNull reports whether a Null is null. An absent one is not.
func IsNull[T any](n Null[T]) bool { return n != nil && *n == nil }

// Ptr returns a pointer to a copy of v, for optional fields of requests. Since
// Go 1.26 new(v) does the same.
func Ptr[T any](v T) *T { return new(v) }
