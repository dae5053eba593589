package importer

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

const (
	// bcrypt hashes are 7 characters of version and cost, 22 of salt and 31 of hash.
	bcrypt53 = "abcdefghijklmnopqrstuu" + "ABCDEFGHIJKLMNOPQRSTUVWXYZ./012"
	bcrypt10 = "$2b$10$" + bcrypt53
)

// bytesOf returns n bytes in an encoding.
func bytesOf(n int, encoding string) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(251 - i)
	}
	switch encoding {
	case "hex":
		return fmt.Sprintf("%x", b)
	case "HEX":
		return fmt.Sprintf("%X", b)
	case "base64":
		return base64.StdEncoding.EncodeToString(b)
	case "base64url":
		return base64.RawURLEncoding.EncodeToString(b)
	case "phc":
		return base64.RawStdEncoding.EncodeToString(b)
	}
	panic(encoding)
}

// custom is a user with a custom_password_hash.
func custom(parts string) string {
	return `{"email":"a@x.org","custom_password_hash":{` + parts + `}}`
}

func customOf(algorithm, value, rest string) string {
	return custom(fmt.Sprintf(`"algorithm":%q,"hash":{"value":%q%s`, algorithm, value, rest))
}

func mfa(factors string) string { return `{"email":"a@x.org","mfa_factors":[` + factors + `]}` }

func digits(n int) string { return strings.Repeat("7", n) }

var yes = true

// ruleTest is a rule with users who break it and users who just do not.
type ruleTest struct {
	rule  string
	check Check
	field string // of those who break it
	bad   []string
	good  []string
}

func ruleTests() []ruleTest {
	factor := `{"phone":{"value":"+1"}}`
	manyFactors := func(n int) string { return mfa(strings.TrimSuffix(strings.Repeat(factor+",", n), ",")) }
	// A user of n bytes as it is sent.
	sized := func(n int) string {
		const frame = `{"email":"a@x.org","user_metadata":{"k":""}}`
		return strings.Replace(frame, `""`, `"`+strings.Repeat("x", n-len(frame))+`"`, 1)
	}
	forbiddenKeys := strings.Fields(`__tenant _id blocked clientID created_at email_verified email globalClientID global_client_id identities
		lastIP lastLogin loginsCount metadata multifactor_last_modified multifactor updated_at user_id`)
	tests := []ruleTest{
		{rule: "utf8", bad: []string{"{\"email\":\"\xff@x.org\"}", "{\"email\":\"a@x.org\",\"name\":\"\xc3\"}"}, good: []string{`{"email":"a@x.org","name":"é"}`}},
		{rule: "json", bad: []string{`{"email":"a@x.org"`, `{"email":"a@x.org",}`, `{"email":"a@x.org"} {}`, `{'email':'a@x.org'}`, `{"email":a@x.org}`, `{"email":"a@x.org","name":"\x"}`},
			good: []string{`{"email":"a@x.org","name":"\u0041"}`, "\t{ \"email\" : \"a@x.org\" } \r"}},
		{rule: "object", bad: []string{`null`, `7`, `"a@x.org"`, `true`}, good: []string{`{"email":"a@x.org"}`}},
		{rule: "too-long", bad: []string{`{"email":"a@x.org","user_metadata":{"k":"` + strings.Repeat("x", maxItem) + `"}}`},
			check: Check{Via: ViaUsers}, good: []string{sized(maxItem)}},
		{rule: "unknown-field", field: "emial", bad: []string{`{"email":"a@x.org","emial":"b"}`, `{"email":"a@x.org","emial":{"a":1}}`}, good: []string{`{"email":"a@x.org","emial":null}`}},
		{rule: "unknown-field", field: "Email ", bad: []string{`{"email":"a@x.org","Email ":"b"}`}, good: []string{`{"Email":"a@x.org"}`, `{"Given Name":"A","Email":"a@x.org"}`}},
		{rule: "field-twice", field: "email", bad: []string{`{"email":"a@x.org","email":"a@x.org"}`, `{"email":"a@x.org","em\u0061il":"a@x.org"}`, `{"email":"a@x.org","Email":"b@x.org"}`},
			good: []string{`{"email":"a@x.org","username":"a@x.org"}`}},
		{rule: "type", field: "email", bad: []string{`{"email":7,"username":"b"}`, `{"email":["a@x.org"],"username":"b"}`}, good: []string{`{"email":null,"username":"b"}`}},
		{rule: "type", field: "email_verified", bad: []string{`{"email":"a@x.org","email_verified":"true"}`, `{"email":"a@x.org","email_verified":1}`}, good: []string{`{"email":"a@x.org","email_verified":true}`}},
		{rule: "type", field: "user_metadata", bad: []string{`{"email":"a@x.org","user_metadata":[]}`, `{"email":"a@x.org","user_metadata":"{}"}`}, good: []string{`{"email":"a@x.org","user_metadata":{}}`}},
		{rule: "type", field: "mfa_factors", bad: []string{`{"email":"a@x.org","mfa_factors":{}}`}, good: []string{mfa(factor)}},
		{rule: "length", field: "user_id", bad: []string{`{"email":"a@x.org","user_id":"` + digits(256) + `"}`},
			good: []string{`{"email":"a@x.org","user_id":"` + digits(255) + `"}`, `{"email":"a@x.org","user_id":"auth0|` + digits(255) + `"}`}},
		{rule: "length", field: "username", bad: []string{`{"username":""}`, `{"username":"` + digits(129) + `"}`}, good: []string{`{"username":"u"}`, `{"username":"` + strings.Repeat("é", 128) + `"}`}},
		{rule: "length", field: "given_name", bad: []string{`{"email":"a@x.org","given_name":""}`, `{"email":"a@x.org","given_name":"` + digits(151) + `"}`},
			good: []string{`{"email":"a@x.org","given_name":"A"}`, `{"email":"a@x.org","given_name":"` + strings.Repeat("\\u00e9", 150) + `"}`}},
		{rule: "length", field: "family_name", bad: []string{`{"email":"a@x.org","family_name":"` + digits(151) + `"}`}, good: []string{`{"email":"a@x.org","family_name":"` + digits(150) + `"}`}},
		{rule: "length", field: "name", bad: []string{`{"email":"a@x.org","name":"` + digits(301) + `"}`}, good: []string{`{"email":"a@x.org","name":"` + digits(300) + `"}`}},
		{rule: "length", field: "nickname", bad: []string{`{"email":"a@x.org","nickname":"` + digits(301) + `"}`}, good: []string{`{"email":"a@x.org","nickname":"` + digits(300) + `"}`}},
		{rule: "length", field: "password", bad: []string{`{"email":"a@x.org","password":""}`}, good: []string{`{"email":"a@x.org","password":"p"}`}},
		{rule: "email-form", field: "email",
			bad: []string{`{"email":"a"}`, `{"email":"@x.org"}`, `{"email":"a@"}`, `{"email":"a@x.org "}`, `{"email":"a b@x.org"}`, `{"email":"a@x..org"}`, `{"email":"A <a@x.org>"}`, `{"email":"a@b@x.org"}`,
				`{"email":"a,b@x.org"}`, `{"email":".a@x.org"}`, `{"email":"a.@x.org"}`, `{"email":"a@x.org."}`, `{"email":""}`, `{"email":"a\u00a0b@x.org"}`, `{"email":"a\n@x.org"}`},
			good: []string{`{"email":"a@x.org"}`, `{"email":"a+b.c'd@x-y.co.uk"}`, `{"email":"\u00e9@xn--bcher-kva.example"}`, `{"email":"a@bücher.example"}`, `{"email":"A@X.ORG"}`, `{"email":"a@localhost"}`, `{"email":"a@x_y.org"}`,
				`{"email":"\"a b\"@x.org"}`, `{"email":"a@[192.0.2.1]"}`}},
		{rule: "phone-form", field: "phone_number", bad: []string{`{"phone_number":"12125550001"}`, `{"phone_number":"+"}`, `{"phone_number":"+1 212"}`, `{"phone_number":"+` + digits(16) + `"}`},
			good: []string{`{"phone_number":"+1"}`, `{"phone_number":"+` + digits(15) + `"}`}},
		{rule: "user-id-form", field: "user_id", bad: []string{`{"email":"a@x.org","user_id":"a b"}`, `{"email":"a@x.org","user_id":"auth0|\t"}`}, good: []string{`{"email":"a@x.org","user_id":"a|b-c_d.é"}`}},
		{rule: "picture-form", field: "picture", bad: []string{`{"email":"a@x.org","picture":"a.png"}`, `{"email":"a@x.org","picture":"http://[::1"}`}, good: []string{`{"email":"a@x.org","picture":"https://x.org/a.png"}`}},
		{rule: "identity", bad: []string{`{}`, `{"user_id":"7"}`, `{"email":null,"name":"A"}`}, good: []string{`{"username":"a"}`, `{"phone_number":"+1"}`}},
		{rule: "hash-exclusive", field: "password_hash",
			bad: []string{`{"email":"a@x.org","password_hash":"` + bcrypt10 + `","custom_password_hash":{"algorithm":"bcrypt","hash":{"value":"` + bcrypt10 + `"}}}`},
			good: []string{`{"email":"a@x.org","password_hash":"` + bcrypt10 + `"}`, `{"email":"a@x.org","password_hash":"` + bcrypt10 + `","custom_password_hash":null}`,
				`{"email":"a@x.org","password_hash":null,"custom_password_hash":{"algorithm":"bcrypt","hash":{"value":"` + bcrypt10 + `"}}}`}},
		{rule: "password-exclusive", field: "password",
			bad: []string{`{"email":"a@x.org","password":"p","password_hash":"` + bcrypt10 + `"}`, `{"email":"a@x.org","password":"p","mfa_factors":[` + factor + `]}`,
				`{"email":"a@x.org","password":"p","custom_password_hash":{"algorithm":"bcrypt","hash":{"value":"` + bcrypt10 + `"}}}`, `{"email":"a@x.org","password":"p","password_set_date":"2024-01-31T00:00:00Z"}`},
			good: []string{`{"email":"a@x.org","password":"p","password_hash":null}`}},
		{rule: "password-exclusive", field: "connection", bad: []string{`{"email":"a@x.org","connection":"other","password_hash":"` + bcrypt10 + `"}`},
			check: Check{Connection: "main"}, good: []string{`{"email":"a@x.org","connection":"main","password_hash":"` + bcrypt10 + `"}`}},
		{rule: "needs-job", field: "password_hash", check: Check{Via: ViaUsers}, bad: []string{`{"email":"a@x.org","password_hash":"` + bcrypt10 + `"}`}, good: []string{`{"email":"a@x.org","password":"p"}`, `{"email":"a@x.org"}`}},
		{rule: "needs-job", field: "mfa_factors", check: Check{Via: ViaUsers}, bad: []string{mfa(factor)}, good: []string{`{"email":"a@x.org","mfa_factors":null}`}},
		{rule: "needs-users", field: "password", check: Check{Via: ViaJobs}, bad: []string{`{"email":"a@x.org","password":"p"}`}, good: []string{`{"email":"a@x.org"}`, `{"email":"a@x.org","password_hash":"` + bcrypt10 + `"}`}},
		{rule: "needs-users", field: "connection", check: Check{Via: ViaJobs, Connection: "main"}, bad: []string{`{"email":"a@x.org","connection":"other"}`}, good: []string{`{"email":"a@x.org","connection":"main"}`}},
		{rule: "needs-users", field: "verify_email", check: Check{Via: ViaJobs}, bad: []string{`{"email":"a@x.org","verify_email":false}`}, good: []string{`{"email":"a@x.org","email_verified":false}`}},
		{rule: "needs-password", field: "password", check: Check{Via: ViaUsers, Passwords: true}, bad: []string{`{"email":"a@x.org"}`, `{"email":"a@x.org","password":null}`}, good: []string{`{"email":"a@x.org","password":"p"}`, `{"email":"a@x.org","connection":"email"}`}},
		{rule: "needs-password", field: "password", check: Check{Passwords: true}, bad: []string{`{"email":"a@x.org","verify_email":true}`}, good: []string{`{"email":"a@x.org","verify_email":true,"password":"p"}`, `{"email":"a@x.org"}`, `{"email":"a@x.org","verify_email":true,"connection":"email"}`}},
		{rule: "needs-password", field: "password", check: Check{Via: ViaUsers, Passwords: true, Connection: "main"}, bad: []string{`{"email":"a@x.org","connection":"main"}`}, good: []string{`{"email":"a@x.org","connection":"main","password":"p"}`}},
		{rule: "size", bad: []string{sized(maxUser + 1)}, good: []string{sized(maxUser)}},
		{rule: "size", check: Check{EmailVerified: &yes}, bad: []string{sized(maxUser - len(`,"email_verified":true`) + 1)}, good: []string{sized(maxUser - len(`,"email_verified":true`))}},
		{rule: "bcrypt-form", field: "password_hash",
			bad:  []string{`{"email":"a@x.org","password_hash":"` + bcrypt10[:59] + `"}`, `{"email":"a@x.org","password_hash":"` + bcrypt10 + `x"}`, `{"email":"a@x.org","password_hash":"$2y$10$` + bcrypt53 + `"}`, `{"email":"a@x.org","password_hash":"$2b$10$` + bcrypt53[:52] + `-"}`, `{"email":"a@x.org","password_hash":"$2b$1x$` + bcrypt53 + `"}`, `{"email":"a@x.org","password_hash":""}`},
			good: []string{`{"email":"a@x.org","password_hash":"$2a$10$` + bcrypt53 + `"}`, `{"email":"a@x.org","password_hash":"` + bcrypt10 + `"}`}},
		{rule: "bcrypt-cost", field: "password_hash", bad: []string{`{"email":"a@x.org","password_hash":"$2b$11$` + bcrypt53 + `"}`, `{"email":"a@x.org","password_hash":"$2a$09$` + bcrypt53 + `"}`},
			good: []string{`{"email":"a@x.org","password_hash":"` + bcrypt10 + `"}`, customOf("bcrypt", "$2b$11$"+bcrypt53, "}")}},
		{rule: "hash-field", field: "custom_password_hash.rounds", bad: []string{custom(`"algorithm":"bcrypt","hash":{"value":"` + bcrypt10 + `"},"rounds":7`)}, good: []string{customOf("bcrypt", bcrypt10, `,"rounds":7}`)}},
		{rule: "field-twice", field: "custom_password_hash.hash", bad: []string{custom(`"algorithm":"bcrypt","hash":{"value":"` + bcrypt10 + `"},"hash":{"value":"` + bcrypt10 + `"}`)}, good: []string{customOf("bcrypt", bcrypt10, `}`)}},
		{rule: "type", field: "custom_password_hash.hash", bad: []string{custom(`"algorithm":"bcrypt","hash":"` + bcrypt10 + `"`)}, good: []string{customOf("bcrypt", bcrypt10, `}`)}},
		{rule: "type", field: "custom_password_hash.hash.value", bad: []string{custom(`"algorithm":"bcrypt","hash":{"value":7}`)}, good: []string{customOf("bcrypt", bcrypt10, `}`)}},
		{rule: "type", field: "custom_password_hash.salt", bad: []string{customOf("md5", bytesOf(16, "hex"), `,"encoding":"hex"},"salt":"s"`)}, good: []string{customOf("md5", bytesOf(16, "hex"), `,"encoding":"hex"},"salt":{"value":"s"}`)}},
		{rule: "hash-algorithm", field: "custom_password_hash.algorithm", bad: []string{custom(`"hash":{"value":"x"}`), customOf("sha384", bytesOf(48, "hex"), `,"encoding":"hex"}`), customOf("MD5", bytesOf(16, "hex"), `,"encoding":"hex"}`)},
			good: []string{customOf("md5", bytesOf(16, "hex"), `,"encoding":"hex"}`)}},
		{rule: "hash-value", field: "custom_password_hash.hash.value",
			bad: []string{custom(`"algorithm":"md5"`), custom(`"algorithm":"md5","hash":{"encoding":"hex"}`), customOf("md5", "", `,"encoding":"hex"}`), customOf("md5", bytesOf(16, "hex")[1:]+"g", `,"encoding":"hex"}`),
				customOf("md5", bytesOf(16, "hex")[1:], `,"encoding":"hex"}`), customOf("md5", bytesOf(16, "base64")+"=", `,"encoding":"base64"}`), customOf("md5", bytesOf(15, "base64")+"====", `,"encoding":"base64"}`), customOf("md5", "+_"+bytesOf(16, "base64")[2:], `,"encoding":"base64"}`)},
			good: []string{customOf("md5", bytesOf(16, "HEX"), `,"encoding":"hex"}`), customOf("md5", bytesOf(16, "base64"), `,"encoding":"base64"}`), customOf("md5", bytesOf(16, "base64url"), `,"encoding":"base64"}`)}},
		{rule: "hash-encoding", field: "custom_password_hash.hash.encoding",
			bad: []string{customOf("md5", bytesOf(16, "hex"), `}`), customOf("md5", bytesOf(16, "hex"), `,"encoding":"utf8"}`), customOf("bcrypt", bcrypt10, `,"encoding":"hex"}`), customOf("argon2", "x", `,"encoding":"base64"}`),
				customOf("scrypt", bytesOf(32, "hex"), `},"keylen":32`), customOf("ldap", "{MD5}", `,"encoding":"hex"}`), customOf("pbkdf2", "x", `,"encoding":"hex"}`)},
			good: []string{customOf("bcrypt", bcrypt10, `,"encoding":"utf8"}`), customOf("bcrypt", bcrypt10, `}`), customOf("md5", bytesOf(16, "hex"), `,"encoding":"hex"}`)}},
		{rule: "salt-forbidden", field: "custom_password_hash.salt",
			bad: []string{customOf("argon2", "$argon2id$v=19$m=65536,t=2,p=1$"+bytesOf(16, "phc")+"$"+bytesOf(32, "phc"), `},"salt":{"value":"s"}`), customOf("pbkdf2", "$pbkdf2-sha512$i=1,l=64$"+bytesOf(8, "phc")+"$"+bytesOf(64, "phc"), `},"salt":{"value":"s"}`),
				customOf("ldap", "{MD5}"+bytesOf(16, "base64"), `},"salt":{"value":"s"}`)},
			good: []string{customOf("bcrypt", bcrypt10, `},"salt":{"value":"s"}`), customOf("sha1", bytesOf(20, "hex"), `,"encoding":"hex"},"salt":{"value":"s"}`)}},
		{rule: "salt-forbidden", field: "custom_password_hash.hash.salt", bad: []string{customOf("ldap", "{MD5}"+bytesOf(16, "base64"), `,"salt":"s"}`)}, good: []string{customOf("ldap", "{MD5}"+bytesOf(16, "base64"), `}`)}},
		{rule: "salt-value", field: "custom_password_hash.salt.value",
			bad:  []string{customOf("md5", bytesOf(16, "hex"), `,"encoding":"hex"},"salt":{}`), customOf("md5", bytesOf(16, "hex"), `,"encoding":"hex"},"salt":{"value":"abc","encoding":"hex"}`), customOf("md5", bytesOf(16, "hex"), `,"encoding":"hex"},"salt":{"value":"a","encoding":"base64"}`)},
			good: []string{customOf("md5", bytesOf(16, "hex"), `,"encoding":"hex"},"salt":{"value":"abcd","encoding":"hex"}`), customOf("md5", bytesOf(16, "hex"), `,"encoding":"hex"},"salt":{"value":"abc"}`), customOf("md5", bytesOf(16, "hex"), `,"encoding":"hex"},"salt":{"value":"abc","encoding":"utf8"}`)}},
		{rule: "salt-encoding", field: "custom_password_hash.salt.encoding", bad: []string{customOf("md5", bytesOf(16, "hex"), `,"encoding":"hex"},"salt":{"value":"a","encoding":"ascii"}`)}, good: []string{customOf("md5", bytesOf(16, "hex"), `,"encoding":"hex"},"salt":{"value":"YQ==","encoding":"base64"}`)}},
		{rule: "salt-position", field: "custom_password_hash.salt.position", bad: []string{customOf("md5", bytesOf(16, "hex"), `,"encoding":"hex"},"salt":{"value":"a","position":"before"}`)},
			good: []string{customOf("md5", bytesOf(16, "hex"), `,"encoding":"hex"},"salt":{"value":"a","position":"prefix"}`), customOf("md5", bytesOf(16, "hex"), `,"encoding":"hex"},"salt":{"value":"a","position":"suffix"}`)}},
		{rule: "password-encoding", field: "custom_password_hash.password.encoding", bad: []string{customOf("md5", bytesOf(16, "hex"), `,"encoding":"hex"},"password":{"encoding":"utf16"}`)},
			good: []string{customOf("md5", bytesOf(16, "hex"), `,"encoding":"hex"},"password":{"encoding":"utf16le"}`), customOf("md5", bytesOf(16, "hex"), `,"encoding":"hex"},"password":{"encoding":"ucs2"}`), customOf("md5", bytesOf(16, "hex"), `,"encoding":"hex"},"password":{}`)}},
		{rule: "scrypt-keylen", field: "custom_password_hash.keylen",
			bad:  []string{customOf("scrypt", bytesOf(32, "hex"), `,"encoding":"hex"}`), customOf("scrypt", bytesOf(32, "hex"), `,"encoding":"hex"},"keylen":0`), customOf("scrypt", bytesOf(32, "hex"), `,"encoding":"hex"},"keylen":"32"`), customOf("scrypt", bytesOf(32, "hex"), `,"encoding":"hex"},"keylen":32.5`)},
			good: []string{customOf("scrypt", bytesOf(32, "hex"), `,"encoding":"hex"},"keylen":32`), customOf("scrypt", bytesOf(1, "hex"), `,"encoding":"hex"},"keylen":1`)}},
		{rule: "scrypt-cost", field: "custom_password_hash.cost",
			bad:  []string{customOf("scrypt", bytesOf(32, "hex"), `,"encoding":"hex"},"keylen":32,"cost":1`), customOf("scrypt", bytesOf(32, "hex"), `,"encoding":"hex"},"keylen":32,"cost":4095`)},
			good: []string{customOf("scrypt", bytesOf(32, "hex"), `,"encoding":"hex"},"keylen":32,"cost":2`), customOf("scrypt", bytesOf(32, "hex"), `,"encoding":"hex"},"keylen":32,"cost":4096`)}},
		{rule: "scrypt-number", field: "custom_password_hash.blockSize", bad: []string{customOf("scrypt", bytesOf(32, "hex"), `,"encoding":"hex"},"keylen":32,"blockSize":0`)}, good: []string{customOf("scrypt", bytesOf(32, "hex"), `,"encoding":"hex"},"keylen":32,"blockSize":1`)}},
		{rule: "scrypt-number", field: "custom_password_hash.parallelization", bad: []string{customOf("scrypt", bytesOf(32, "hex"), `,"encoding":"hex"},"keylen":32,"parallelization":-1`)}, good: []string{customOf("scrypt", bytesOf(32, "hex"), `,"encoding":"hex"},"keylen":32,"parallelization":1`)}},
		{rule: "hmac-digest", field: "custom_password_hash.hash.digest",
			bad: []string{customOf("hmac", bytesOf(20, "hex"), `,"encoding":"hex","key":{"value":"k"}}`), customOf("hmac", bytesOf(20, "hex"), `,"encoding":"hex","digest":"sha3","key":{"value":"k"}}`)},
			good: []string{customOf("hmac", bytesOf(20, "hex"), `,"encoding":"hex","digest":"sha1","key":{"value":"k"}}`), customOf("hmac", bytesOf(64, "base64"), `,"encoding":"base64","digest":"whirlpool","key":{"value":"k"}}`),
				customOf("hmac", bytesOf(16, "hex"), `,"encoding":"hex","digest":"md4","key":{"value":"k"}}`), customOf("hmac", bytesOf(20, "hex"), `,"encoding":"hex","digest":"ripemd160","key":{"value":"k"}}`),
				customOf("hmac", bytesOf(28, "hex"), `,"encoding":"hex","digest":"sha224","key":{"value":"k"}}`), customOf("hmac", bytesOf(48, "hex"), `,"encoding":"hex","digest":"sha384","key":{"value":"k"}}`)}},
		{rule: "hmac-key", field: "custom_password_hash.hash.key.value",
			bad:  []string{customOf("hmac", bytesOf(20, "hex"), `,"encoding":"hex","digest":"sha1"}`), customOf("hmac", bytesOf(20, "hex"), `,"encoding":"hex","digest":"sha1","key":{}}`), customOf("hmac", bytesOf(20, "hex"), `,"encoding":"hex","digest":"sha1","key":{"value":"7","encoding":"hex"}}`)},
			good: []string{customOf("hmac", bytesOf(20, "hex"), `,"encoding":"hex","digest":"sha1","key":{"value":"736868","encoding":"hex"}}`), customOf("hmac", bytesOf(20, "hex"), `,"encoding":"hex","digest":"sha1","key":{"value":"7","encoding":"utf8"}}`)}},
		{rule: "hmac-key", field: "custom_password_hash.hash.key.encoding", bad: []string{customOf("hmac", bytesOf(20, "hex"), `,"encoding":"hex","digest":"sha1","key":{"value":"7","encoding":"latin1"}}`)}, good: []string{customOf("hmac", bytesOf(20, "hex"), `,"encoding":"hex","digest":"sha1","key":{"value":"Nw==","encoding":"base64"}}`)}},
		{rule: "argon2-phc", field: "custom_password_hash.hash.value",
			bad: []string{customOf("argon2", "$argon2id$v=19$m=65536,t=2,p=1$"+bytesOf(16, "phc"), `}`), customOf("argon2", "$argon2x$v=19$m=65536,t=2,p=1$"+bytesOf(16, "phc")+"$"+bytesOf(32, "phc"), `}`), customOf("argon2", "$argon2id$v=19$m=65536,t=2$"+bytesOf(16, "phc")+"$"+bytesOf(32, "phc"), `}`),
				customOf("argon2", "$argon2id$v=19$m=65536,t=2,p=1$"+bytesOf(16, "base64")+"$"+bytesOf(32, "phc"), `}`), customOf("argon2", "argon2id$v=19$m=65536,t=2,p=1$"+bytesOf(16, "phc")+"$"+bytesOf(32, "phc"), `}`), customOf("argon2", bcrypt10, `}`)},
			good: []string{customOf("argon2", "$argon2id$v=19$m=65536,t=2,p=1$"+bytesOf(16, "phc")+"$"+bytesOf(32, "phc"), `}`), customOf("argon2", "$argon2i$m=65536,t=2,p=1$"+bytesOf(16, "phc")+"$"+bytesOf(32, "phc"), `,"encoding":"utf8"}`),
				customOf("argon2", "$argon2d$v=16$m=8,t=1,p=1$"+bytesOf(8, "phc")+"$"+bytesOf(4, "phc"), `}`)}},
		{rule: "pbkdf2-phc", field: "custom_password_hash.hash.value",
			bad: []string{customOf("pbkdf2", "$pbkdf2-sha512$i=100000,l=64$"+bytesOf(8, "phc"), `}`), customOf("pbkdf2", "$pbkdf2-sha512$i=x,l=64$"+bytesOf(8, "phc")+"$"+bytesOf(64, "phc"), `}`), customOf("pbkdf2", "$pbkdf2-sha512$i=100000,l=64$"+bytesOf(8, "base64")+"$"+bytesOf(64, "phc"), `}`),
				customOf("pbkdf2", "$sha512$i=100000,l=64$"+bytesOf(8, "phc")+"$"+bytesOf(64, "phc"), `}`), customOf("pbkdf2", "$pbkdf2-sha512$100000$"+bytesOf(8, "phc")+"$"+bytesOf(64, "phc"), `}`)},
			good: []string{customOf("pbkdf2", "$pbkdf2-sha512$i=100000,l=64$"+bytesOf(8, "phc")+"$"+bytesOf(64, "phc"), `}`), customOf("pbkdf2", "$pbkdf2-sha512$"+bytesOf(8, "phc")+"$"+bytesOf(64, "phc"), `}`), customOf("pbkdf2", "$pbkdf2-md4$i=100000,l=16$"+bytesOf(8, "phc")+"$"+bytesOf(16, "phc"), `,"encoding":"utf8"}`)}},
		{rule: "pbkdf2-digest", field: "custom_password_hash.hash.value", bad: []string{customOf("pbkdf2", "$pbkdf2-sha3$i=1,l=64$"+bytesOf(8, "phc")+"$"+bytesOf(64, "phc"), `}`), customOf("pbkdf2", "$pbkdf2-$i=1,l=64$"+bytesOf(8, "phc")+"$"+bytesOf(64, "phc"), `}`)},
			good: []string{customOf("pbkdf2", "$pbkdf2-RSA-SHA1-2$i=1,l=64$"+bytesOf(8, "phc")+"$"+bytesOf(64, "phc"), `}`), customOf("pbkdf2", "$pbkdf2-sha256WithRSAEncryption$i=1,l=64$"+bytesOf(8, "phc")+"$"+bytesOf(64, "phc"), `}`), customOf("pbkdf2", "$pbkdf2-ssl3-md5$i=1,l=64$"+bytesOf(8, "phc")+"$"+bytesOf(64, "phc"), `}`)}},
		{rule: "ldap-form", field: "custom_password_hash.hash.value", bad: []string{customOf("ldap", bytesOf(16, "base64"), `}`), customOf("ldap", "{}"+bytesOf(16, "base64"), `}`), customOf("ldap", "{MD5}", `}`), customOf("ldap", "{MD5}?", `}`)},
			good: []string{customOf("ldap", "{MD5}"+bytesOf(16, "base64"), `}`), customOf("ldap", "{SSHA384}"+bytesOf(56, "base64"), `,"encoding":"utf8"}`)}},
		{rule: "ldap-scheme", field: "custom_password_hash.hash.value", bad: []string{customOf("ldap", "{CRYPT}"+bytesOf(16, "base64"), `}`), customOf("ldap", "{MD55}"+bytesOf(16, "base64"), `}`)},
			good: []string{customOf("ldap", "{smd5}"+bytesOf(20, "base64"), `}`), customOf("ldap", "{SHA}"+bytesOf(20, "base64"), `}`), customOf("ldap", "{ssha512}"+bytesOf(72, "base64"), `}`)}},
		{rule: "mfa-count", field: "mfa_factors", bad: []string{mfa(""), manyFactors(11)}, good: []string{manyFactors(1), manyFactors(10)}},
		{rule: "mfa-form", field: "mfa_factors[0]", bad: []string{mfa(`"+1"`), mfa(`{"sms":{"value":"+1"}}`), mfa(`{"phone":{"value":"+1"},"email":{"value":"a@x.org"}}`)}, good: []string{mfa(`{"email":{"value":"a@x.org"}},{"phone":{"value":"+1"}}`)}},
		{rule: "mfa-form", field: "mfa_factors[1].phone", bad: []string{mfa(factor + `,{"phone":"+1"}`), mfa(factor + `,{"phone":{}}`), mfa(factor + `,{"phone":{"value":"+1","x":1}}`), mfa(factor + `,{"phone":{"value":1}}`)}, good: []string{mfa(factor + `,{"phone":{"value":"+1"}}`)}},
		{rule: "mfa-totp", field: "mfa_factors[0].totp.secret", bad: []string{mfa(`{"totp":{"secret":"JBSWY3DP======"}}`), mfa(`{"totp":{"secret":"jbswy3dp"}}`), mfa(`{"totp":{"secret":""}}`), mfa(`{"totp":{"secret":"JBSWY3D1"}}`)}, good: []string{mfa(`{"totp":{"secret":"JBSWY3DPEHPK3PNP"}}`), mfa(`{"totp":{"secret":"AZ27"}}`)}},
		{rule: "mfa-phone", field: "mfa_factors[0].phone.value", bad: []string{mfa(`{"phone":{"value":"15551112233"}}`), mfa(`{"phone":{"value":"+` + digits(16) + `"}}`)}, good: []string{mfa(`{"phone":{"value":"+` + digits(15) + `"}}`)}},
		{rule: "mfa-email", field: "mfa_factors[0].email.value", bad: []string{mfa(`{"email":{"value":"a"}}`)}, good: []string{mfa(`{"email":{"value":"a@x.org"}}`)}},
	}
	for _, key := range forbiddenKeys {
		tests = append(tests, ruleTest{rule: "metadata-key", field: "app_metadata." + key, bad: []string{`{"email":"a@x.org","app_metadata":{"a":1,"` + key + `":1}}`},
			good: []string{`{"email":"a@x.org","app_metadata":{"` + key + `x":1}}`, `{"email":"a@x.org","app_metadata":{"a":{"` + key + `":1}}}`, `{"email":"a@x.org","user_metadata":{"` + key + `":1}}`}})
	}
	for algorithm, n := range map[string]int{"md4": 16, "md5": 16, "sha1": 20, "sha256": 32, "sha512": 64} {
		tests = append(tests, ruleTest{rule: "hash-length", field: "custom_password_hash.hash.value",
			bad:  []string{customOf(algorithm, bytesOf(n-1, "hex"), `,"encoding":"hex"}`), customOf(algorithm, bytesOf(n+1, "base64"), `,"encoding":"base64"}`)},
			good: []string{customOf(algorithm, bytesOf(n, "hex"), `,"encoding":"hex"}`), customOf(algorithm, bytesOf(n, "base64"), `,"encoding":"base64"}`)}})
	}
	tests = append(tests, ruleTest{rule: "hash-length", field: "custom_password_hash.hash.value",
		bad: []string{customOf("scrypt", bytesOf(32, "hex"), `,"encoding":"hex"},"keylen":64`), customOf("hmac", bytesOf(20, "hex"), `,"encoding":"hex","digest":"sha256","key":{"value":"k"}}`),
			customOf("pbkdf2", "$pbkdf2-sha512$i=1,l=32$"+bytesOf(8, "phc")+"$"+bytesOf(64, "phc"), `}`)},
		good: []string{customOf("scrypt", bytesOf(64, "hex"), `,"encoding":"hex"},"keylen":64`), customOf("hmac", bytesOf(32, "hex"), `,"encoding":"hex","digest":"sha256","key":{"value":"k"}}`)}})

	return tests
}

func TestRules(t *testing.T) {
	t.Parallel()
	shown := map[string]bool{
		// What concerns the input rather than one user is in the readers' tests, and
		// what concerns several users in TestInspectDuplicates.
		"array-syntax": true, "csv-syntax": true, "csv-value": true, "duplicate": true,
	}
	for _, tt := range ruleTests() {
		shown[tt.rule] = true
		for _, bad := range tt.bad {
			r := first(t, bad, tt.check)
			if len(r.Problems) != 1 || r.Problems[0].Rule != tt.rule || r.Problems[0].Field != tt.field {
				t.Errorf("%s %s: %.200s: problems %+v", tt.rule, tt.field, bad, r.Problems)
				continue
			}
			p := r.Problems[0]
			if p.Line != 2 || p.Number != 1 || !strings.HasPrefix(p.Message, "line 2: "+tt.field) || !strings.HasSuffix(p.Message, "(rule "+tt.rule+")") {
				t.Errorf("%s: message %q does not name line, field and rule", tt.rule, p.Message)
			}
		}
		for _, good := range tt.good {
			if r := first(t, good, tt.check); len(r.Problems) > 0 || r.User == nil {
				t.Errorf("%s %s: %.200s: refused: %+v", tt.rule, tt.field, good, r.Problems)
			}
		}
	}
	names := map[string]bool{}
	for r := range ruleCount {
		if name := ruleTexts[r].name; !shown[name] || ruleTexts[r].remedy == "" || names[name] {
			t.Errorf("rule %d, %q: not shown, without a remedy or with another's name", r, name)
		}
		names[ruleTexts[r].name] = true
	}
}

// first returns the record of a line of NDJSON, which comes behind a blank one.
func first(t *testing.T, line string, o Check) Record {
	t.Helper()
	var got []Record
	src := Reader(strings.NewReader("\n" + line + "\n"))
	for r, err := range src.Records(o) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, *r)
	}
	if len(got) != 1 {
		t.Fatalf("%.200s: %d records", line, len(got))
	}
	return got[0]
}

// What is sent: compact, without nulls, without what no import takes.
func TestRecordUser(t *testing.T) {
	t.Parallel()
	no := false
	tests := []struct {
		name, in string
		check    Check
		user     string
		record   Record // what identifies the user, and the ways
	}{
		{"compact", "{ \"email\" : \"A@x.org\",\t\"user_metadata\": { \"a b\" : [ 1 , \" \\\" \" ] } , \"phone_number\": null }", Check{},
			`{"email":"A@x.org","user_metadata":{"a b":[1," \" "]}}`, Record{Email: "A@x.org"}},
		{"numbers keep their digits", `{"email":"a@x.org","app_metadata":{"n":9007199254740993,"x":1.10}}`, Check{}, `{"email":"a@x.org","app_metadata":{"n":9007199254740993,"x":1.10}}`, Record{Email: "a@x.org"}},
		{"prefix of an id", `{"email":"a@x.org","user_id":"auth0|7"}`, Check{}, `{"email":"a@x.org","user_id":"7"}`, Record{Email: "a@x.org", UserID: "7"}},
		{"prefix once", `{"email":"a@x.org","user_id":"auth0|auth0|é\u003c"}`, Check{}, `{"email":"a@x.org","user_id":"auth0|é<"}`, Record{Email: "a@x.org", UserID: "auth0|é<"}},
		{"nothing but identity", `{"username":"u","phone_number":"+17"}`, Check{EmailVerified: &yes}, `{"username":"u","phone_number":"+17"}`, Record{Username: "u", Phone: "+17"}},
		{"email_verified set", `{"email":"a@x.org"}`, Check{EmailVerified: &yes}, `{"email":"a@x.org","email_verified":true}`, Record{Email: "a@x.org"}},
		{"email_verified kept", `{"email":"a@x.org","email_verified":true}`, Check{EmailVerified: &no}, `{"email":"a@x.org","email_verified":true}`, Record{Email: "a@x.org"}},
		{"email_verified null", `{"email_verified":null,"email":"a@x.org"}`, Check{EmailVerified: &no}, `{"email":"a@x.org","email_verified":false}`, Record{Email: "a@x.org"}},
		{"job", `{"email":"a@x.org","password_hash":"` + bcrypt10 + `"}`, Check{Via: ViaJobs}, `{"email":"a@x.org","password_hash":"` + bcrypt10 + `"}`, Record{Email: "a@x.org", NeedsJob: true}},
		{"password", `{"email":"a@x.org","password":"p"}`, Check{}, `{"email":"a@x.org","password":"p"}`, Record{Email: "a@x.org", NeedsUsers: true}},
		{"connection of its own", `{"connection":"other","email":"a@x.org"}`, Check{Connection: "main"}, `{"email":"a@x.org"}`, Record{Email: "a@x.org", NeedsUsers: true, Connection: "other"}},
		{"the import's connection", `{"email":"a@x.org","connection":"main"}`, Check{Connection: "main", Via: ViaJobs}, `{"email":"a@x.org"}`, Record{Email: "a@x.org"}},
		{"export", `{"created_at":"2024-01-31T00:00:00.000Z","email":"a@x.org","email_verified":true,"identities":[{"connection":"c","user_id":"7","provider":"auth0","isSocial":false}],"name":"A","updated_at":"x","user_id":"auth0|7","last_login":"x","last_ip":"192.0.2.1","logins_count":7,"locale":"de"}`, Check{},
			`{"email":"a@x.org","email_verified":true,"name":"A","user_id":"7"}`,
			Record{Email: "a@x.org", UserID: "7", Dropped: []string{"created_at", "identities", "updated_at", "last_login", "last_ip", "logins_count", "locale"}}},
		{"export of the dashboard", `{"Id":"auth0|7","Given Name":"A","Email Verified":true,"email":"a@x.org","Connection":"old","Created At":"x"}`, Check{Connection: "main"},
			`{"user_id":"7","given_name":"A","email_verified":true,"email":"a@x.org"}`, Record{Email: "a@x.org", UserID: "7", Dropped: []string{"Created At", "connection"}}},
	}
	for _, tt := range tests {
		r := first(t, tt.in, tt.check)
		if string(r.User) != tt.user || len(r.Problems) > 0 {
			t.Errorf("%s: sent %s, problems %+v; want %s", tt.name, r.User, r.Problems, tt.user)
		}
		if !json.Valid(r.User) {
			t.Errorf("%s: not valid JSON", tt.name)
		}
		got := Record{Email: r.Email, UserID: r.UserID, Username: r.Username, Phone: r.Phone, Connection: r.Connection, NeedsJob: r.NeedsJob, NeedsUsers: r.NeedsUsers, Dropped: r.Dropped}
		if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", tt.record) {
			t.Errorf("%s: record %+v, want %+v", tt.name, got, tt.record)
		}
	}
}

// Several faults of one user are all told, and none quotes a value.
func TestProblemsHideSecrets(t *testing.T) {
	t.Parallel()
	for _, in := range []string{
		`{"email":"a@x.org","password":"hunter-2-secret`,
		`{"email":"a@x.org","password":["hunter-2-secret"]}`,
		`{"email":"a@x.org","password":hunter-2-secret}`,
		`"hunter-2-secret"`,
		`{"email":"a@x.org","password_hash":"hunter-2-secret"}`,
		`{"email":"a@x.org","mfa_factors":[{"totp":{"secret":"hunter-2-secret"}},"hunter-2-secret"]}`,
		`{"email":"hunter-2-secret","username":"hunter-2-secret","phone_number":"hunter-2-secret","user_id":"hunter-2-secret ","picture":"hunter-2-secret"}`,
		customOf("hunter-2-secret", "hunter-2-secret", "}"),
		customOf("md5", "hunter-2-secret", `,"encoding":"hex"}`),
		customOf("md5", "hunter-2-secret", `,"encoding":"hunter-2-secret"}`),
		customOf("hmac", "hunter-2-secret", `,"encoding":"hex","digest":"hunter-2-secret","key":{"value":"hunter-2-secret","encoding":"hex"}},"salt":{"value":"hunter-2-secret","encoding":"base64"}`),
		customOf("ldap", "{hunter-2-secret}hunter-2-secret", "}"),
		customOf("pbkdf2", "$pbkdf2-hunter-2-secret$x$y", "}"),
	} {
		r := first(t, in, Check{})
		if len(r.Problems) == 0 {
			t.Errorf("%s: no problem", in)
		}
		for _, p := range r.Problems {
			if strings.Contains(p.Message+p.Field, "hunter") {
				t.Errorf("%s: %s", in, p.Message)
			}
		}
	}
	r := first(t, `{"email":"a","phone_number":"1","name":"","x":1,"app_metadata":{"_id":1}}`, Check{})
	var rules []string
	for _, p := range r.Problems {
		rules = append(rules, p.Rule)
	}
	if got, want := strings.Join(rules, " "), "email-form phone-form length metadata-key unknown-field"; got != want {
		t.Errorf("rules %s, want %s", got, want)
	}
	// Names of the input's making are cut, and their number is bounded.
	long := `{"email":"a@x.org","` + strings.Repeat("k", 1000) + "\\u001b[31m" + `":1`
	for i := range 100 {
		long += fmt.Sprintf(`,"k%d":1`, i)
	}
	r = first(t, long+"}", Check{})
	if len(r.Problems) != maxPerUser || len(r.Problems[0].Message) > 300 || strings.Contains(r.Problems[0].Message, "\x1b") {
		t.Errorf("%d problems, the first %q", len(r.Problems), r.Problems[0].Message)
	}
}
