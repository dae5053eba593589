package management

import (
	"encoding/json"
	"testing"
)

// FuzzUser decodes any JSON as a user: nothing fails that is JSON, and no unknown field is lost.
func FuzzUser(f *testing.F) {
	for _, s := range []string{
		`{}`, `null`, `[]`, `"text"`, ` { "a" : [ 1 , { "b" : "}" } ] , "user_id" : "u" } `, `{"\u0061":"\\\"","identities":[null,7,{}]}`,
		`{"email":{},"last_login":0,"app_metadata":[],"Extra":{"x":1}}`, `{"":"","é":"\ud83d\ude00"}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if !json.Valid(b) {
			return
		}
		var u User
		if err := misfit(json.Unmarshal(b, &u)); err != nil {
			t.Fatalf("%s: %v", b, err)
		}
		out, err := json.Marshal(u)
		if err != nil {
			t.Fatalf("%s: %v", b, err)
		}
		var fields, got map[string]json.RawMessage
		if json.Unmarshal(b, &fields) != nil || fields == nil {
			return
		}
		if err := json.Unmarshal(out, &got); err != nil {
			t.Fatal(err)
		}
		for name := range u.Extra {
			if _, ok := fields[name]; !ok {
				t.Errorf("%s: %q comes from nowhere", b, name)
			}
			if _, ok := got[name]; !ok {
				t.Errorf("%s: %q is lost in %s", b, name, out)
			}
		}
	})
}

// FuzzUnion decodes any JSON as a log stream and as a connection, and encodes what came of it.
func FuzzUnion(f *testing.F) {
	for _, s := range []string{
		`{"type":"http","sink":{"httpEndpoint":"https://x"}}`, `{"type":"http","sink":[]}`, `{"sink":{"a":1}}`, `{"type":{"type":"http"},"sink":"s"}`,
		`{"strategy":"auth0","options":{"disable_signup":true,"mine":[1,2]}}`, `{"strategy":"custom","options":{"a":1}}`, `{"strategy":"custom","options":7}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if !json.Valid(b) {
			return
		}
		var s LogStream
		var c Connection
		for _, v := range []any{&s, &c} {
			if err := misfit(json.Unmarshal(b, v)); err != nil {
				t.Fatalf("%s: %v", b, err)
			}
			if _, err := json.Marshal(v); err != nil {
				t.Fatalf("%s: %v", b, err)
			}
		}
	})
}
