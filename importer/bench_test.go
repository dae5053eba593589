package importer

import (
	"fmt"
	"strings"
	"testing"
)

// benchUsers is n users of about 200 bytes, as NDJSON or as a JSON array.
func benchUsers(n int, array bool) string {
	var b strings.Builder
	for i := range n {
		if array {
			b.WriteByte("[,"[min(i, 1)])
		}
		fmt.Fprintf(&b, `{"email":"user%d@example.com","user_id":"auth0|%024x","given_name":"Ada","name":"Ada L.","user_metadata":{"plan":"gold","tags":["a","b"]},"password_hash":"$2b$10$%s"}`+"\n", i, i, bcrypt53)
	}
	if array {
		b.WriteByte(']')
	}
	return b.String()
}

// One operation is one user, read and checked.
func BenchmarkCheck(b *testing.B) {
	csv := "email,user_id,given_name,password_hash\n" + strings.Repeat("user7@example.com,auth0|7,Ada,"+bcrypt10+"\n", 1000)
	for _, bb := range []struct {
		name, in string
		check    Check
	}{
		{"NDJSON", benchUsers(1000, false), Check{}},
		{"array", benchUsers(1000, true), Check{}},
		{"CSV", csv, Check{}},
		{"NDJSON and duplicates", benchUsers(1000, false), Check{Duplicates: true}},
	} {
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			for n := 0; n < b.N; {
				for r, err := range Reader(strings.NewReader(bb.in)).Records(bb.check) {
					if err != nil || len(r.Problems) > 0 {
						b.Fatal(err, r.Problems)
					}
					if n++; n == b.N {
						break
					}
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "users/s")
		})
	}
}
