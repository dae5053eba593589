package management

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"
)

// fiftyUsers is a page of 50 users with two identities each, as a tenant would send it.
func fiftyUsers() []byte {
	var b bytes.Buffer
	b.WriteString(`{"start":0,"limit":50,"length":50,"total":5000,"users":[`)
	for i := range 50 {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"created_at":"2024-03-01T10:20:30.405Z","email":"user%d@example.com","email_verified":true,`+
			`"identities":[{"connection":"Username-Password-Authentication","provider":"auth0","user_id":"65e1%020d","isSocial":false},`+
			`{"connection":"google-oauth2","provider":"google-oauth2","user_id":"%021d","isSocial":true,"profileData":{"email":"user%d@gmail.com","email_verified":true,"name":"User %d","given_name":"User","family_name":"%d"}}],`+
			`"name":"User %d","nickname":"user%d","picture":"https://s.gravatar.com/avatar/%032d?s=480&r=pg","updated_at":"2026-08-01T10:20:30.405Z","user_id":"auth0|65e1%020d",`+
			`"user_metadata":{"theme":"dark","language":"en","favorites":["a","b","c"]},"app_metadata":{"plan":"gold","roles":["editor","admin"],"limits":{"seats":10,"projects":25}},`+
			`"last_ip":"203.0.113.%d","last_login":"2026-08-19T08:09:10.111Z","logins_count":%d}`, i, i, i, i, i, i, i, i, i, i, i, i*7)
	}
	b.WriteString(`]}`)
	return b.Bytes()
}

func BenchmarkDecodeUsers(b *testing.B) {
	page := fiftyUsers()
	b.SetBytes(int64(len(page)))
	b.ReportAllocs()
	for b.Loop() {
		var v struct {
			Users []User `json:"users"`
		}
		if err := json.Unmarshal(page, &v); err != nil || len(v.Users) != 50 || v.Users[49].Extra != nil {
			b.Fatal(len(v.Users), err)
		}
	}
}

// BenchmarkDecodeUsersFloor is what encoding/json takes for the same fields without keeping unknown ones.
func BenchmarkDecodeUsersFloor(b *testing.B) {
	type plain User
	page := fiftyUsers()
	b.SetBytes(int64(len(page)))
	b.ReportAllocs()
	for b.Loop() {
		var v struct {
			Users []plain `json:"users"`
		}
		if err := json.Unmarshal(page, &v); err != nil {
			b.Fatal(err)
		}
	}
}
