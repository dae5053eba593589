package importer_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/headroom-go/auth0/importer"
)

// A dump of a user table as CSV: hashes in one column, salts in another, and an
// algorithm that is the same for all.
func ExampleMapping() {
	const dump = `login;mail;sha;salt
ada;ada@example.com;0beec7b5ea3f0fdbc95d0d47f3c5bc275da8a33e;9f
grace;grace@example.com;;
`
	src := importer.Reader(strings.NewReader(dump),
		importer.Mapping("login=username", "mail=email", "sha=custom_password_hash.hash.value", "salt=custom_password_hash.salt.value"),
		importer.Set("custom_password_hash.algorithm=sha1", "custom_password_hash.hash.encoding=hex"),
	)
	for r, err := range src.Records(importer.Check{}) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(r.Number, string(r.User))
	}
	// Output:
	// 1 {"custom_password_hash":{"algorithm":"sha1","hash":{"encoding":"hex","value":"0beec7b5ea3f0fdbc95d0d47f3c5bc275da8a33e"},"salt":{"value":"9f"}},"email":"ada@example.com","username":"ada"}
	// 2 {"email":"grace@example.com","username":"grace"}
}

// What is in a file is known before anything is sent.
func ExampleInspect() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = os.RemoveAll(dir) }()
	path := filepath.Join(dir, "users.ndjson")
	users := `{"email":"ada@example.com","user_id":"auth0|1","created_at":"2024-01-31T09:00:00.000Z"}
{"email":"grace@example","password_hash":"5f4dcc3b5aa765d61d8327deb882cf99"}
{"email":"ADA@example.com"}
`
	if err := os.WriteFile(path, []byte(users), 0o600); err != nil {
		fmt.Println(err)
		return
	}
	src, err := importer.File(path)
	if err != nil {
		fmt.Println(err)
		return
	}
	in, err := importer.Inspect(context.Background(), src, importer.Check{Duplicates: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(in.Total, "users, refused:", in.Refused, "left out:", in.Dropped)
	for _, p := range in.Problems {
		fmt.Println(p.Message)
	}
	// Output:
	// 3 users, refused: 2-3 left out: map[created_at:1]
	// line 2: password_hash: not a bcrypt hash that begins with $2a$ or $2b$; write the 60 characters that bcrypt makes (rule bcrypt-form)
	// line 3: email: the same as that of the user on line 1; keep one of them (rule duplicate)
}
