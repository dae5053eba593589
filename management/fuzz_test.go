package management

import (
	"encoding/json"
	"reflect"
	"testing"
)

// FuzzUser decodes any text as a user: what encoding/json understands gives the same fields, nothing fails that is JSON, all that is not
// does, even if the method is called without encoding/json around it, and no unknown field is lost.
func FuzzUser(f *testing.F) {
	for _, s := range []string{
		`{}`, `null`, `[]`, `"text"`, ` { "a" : [ 1 , { "b" : "}" } ] , "user_id" : "u" } `, `{"\u0061":"\\\"","identities":[null,7,{}]}`,
		`{"email":{},"last_login":0,"app_metadata":[],"Extra":{"x":1}}`, `{"":"","é":"\ud83d\ude00"}`,
		`{"EMAIL":"folded","e\u006dail":"escaped","email":"a\tb\u00e9","name":"é","blocked":true,"logins_count":-12}`,
		`{"logins_count":1e2,"multifactor":["a","b\n",null],"created_at":"2026-01-02T03:04:05Z","updated_at":null,"name":"` + "\xff" + `"}`,
		`{"multifactor":[ "a" , "b" ],"email":"x","email":null,"blocked":false,"logins_count":12345678901234567890}`,
		`{"a":1,}`, `{"a"}`, `{"a":tru}`, `{"multifactor":[`, `{"multifactor":["a",]}`, `{"logins_count":01}`, `{"email":"a`, `{} x`, `{"a":1}}`, "{\"email\":\"a\x01\"}",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var u User
		if !json.Valid(b) {
			if misfit(u.UnmarshalJSON(b)) == nil {
				t.Fatalf("%s was taken for JSON", b)
			}
			return
		}
		odd := json.Unmarshal(b, &u)
		if err := misfit(odd); err != nil {
			t.Fatalf("%s: %v", b, err)
		}
		type plain User
		var p plain
		if err := json.Unmarshal(b, &p); (err == nil) != (odd == nil) {
			t.Fatalf("%s: %v, of encoding/json %v", b, odd, err)
		} else if p.Extra = u.Extra; err == nil && !reflect.DeepEqual(p, plain(u)) {
			t.Fatalf("%s: decoded\n%+v, by encoding/json\n%+v", b, u, p)
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
		`{"strategy":"auth0","options":{"a":}}`, `{"type":"http","sink":{"httpEndpoint":"x"}`, `{"options":nul}`, `{"strategy":"auth0","options":null}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var s LogStream
		var c Connection
		if !json.Valid(b) {
			if misfit(s.UnmarshalJSON(b)) == nil || misfit(c.UnmarshalJSON(b)) == nil {
				t.Fatalf("%s was taken for JSON", b)
			}
			return
		}
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
