package importer

import (
	"bufio"
	"bytes"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

// sent renders what each row becomes: its JSON, or what is wrong with it.
func sent(t *testing.T, src *Source) []string {
	t.Helper()
	var got []string
	for r, err := range src.Records(Check{}) {
		switch {
		case err != nil:
			got = append(got, "error: "+err.Error())
		case len(r.Problems) > 0:
			got = append(got, "! "+r.Problems[0].Message)
		default:
			got = append(got, string(r.User))
		}
	}
	return got
}

func TestCSV(t *testing.T) {
	t.Parallel()
	const (
		remedy = "; mend the quotes and separators of the row (rule csv-syntax)"
		value  = "; write a value of the type that the column is for (rule csv-value)"
	)
	tests := []struct {
		name, in string
		mapping  []string // and what is set, behind "set "
		want     []string
	}{
		{"fields of their names", "email,email_verified,name\na@x.org,true,A\nb@x.org,0,\n,,C\n", nil, []string{
			`{"email":"a@x.org","email_verified":true,"name":"A"}`,
			`{"email":"b@x.org","email_verified":false}`,
			`! line 4: there is no email, username or phone_number; give the user an email, a username or a phone_number (rule identity)`,
		}},
		{"quotes", "email,name\r\n\"a@x.org\",\"A \"\"B\"\", C\nD\"\r\nb@x.org,é", nil, []string{
			`{"email":"a@x.org","name":"A \"B\", C\u000aD"}`, `{"email":"b@x.org","name":"é"}`,
		}},
		{"semicolons", "email;name\na@x.org;A, B\n", nil, []string{`{"email":"a@x.org","name":"A, B"}`}},
		{"tabs", "email\tname\na@x.org\tA, B\n", nil, []string{`{"email":"a@x.org","name":"A, B"}`}},
		{"titles of an export", "Id,Email,Given Name,Email Verified,Created At,Connection\nauth0|7,a@x.org,A,false,2024-01-31T00:00:00.000Z,c\n", nil, []string{
			`{"email":"a@x.org","email_verified":false,"given_name":"A","user_id":"7"}`,
		}},
		{"apostrophes of an export", "\"user_id\",\"email\",\"name\",\"created_at\"\n\"'auth0|7\",\"'a@x.org\",\"''t Hooft\",2024-01-31T00:00:00.000Z\n", nil, []string{
			`{"email":"a@x.org","name":"'t Hooft","user_id":"7"}`,
		}},
		{"apostrophes of a name", "email,name\na@x.org,'t Hooft\n", nil, []string{`{"email":"a@x.org","name":"'t Hooft"}`}},
		{"columns that no import takes", "email,identities[0].connection,last_login\na@x.org,c,x\n", nil, []string{`{"email":"a@x.org"}`}},
		{"blank lines", "\nemail\n\na@x.org\n\r\n\"\"\nb@x.org\n\n", nil, []string{
			`{"email":"a@x.org"}`,
			`! line 6: there is no email, username or phone_number; give the user an email, a username or a phone_number (rule identity)`,
			`{"email":"b@x.org"}`,
		}},
		{"mapping", "Mail,Plan,Seats,Beta,Roles,Tags,Raw,Zip,Note\na@x.org,gold,7,yes,admin;dev,\"a, b\",\"{\"\"a\"\": [1]}\",01234,x\n",
			[]string{"Mail=email", "Plan=user_metadata.plan", "Seats=app_metadata.limits.seats:number", "Beta=app_metadata.beta:bool", "Roles=app_metadata.roles[]", "Tags=user_metadata.tags[]", "Raw=app_metadata.raw:json", "Zip=user_metadata.zip:string", "Note="},
			[]string{`{"app_metadata":{"beta":true,"limits":{"seats":7},"raw":{"a":[1]},"roles":["admin","dev"]},"email":"a@x.org","user_metadata":{"plan":"gold","tags":["a","b"],"zip":"01234"}}`}},
		{"whole metadata and hashes", "email,user_metadata,algo,hash,enc,salt,len,mfa\na@x.org,\"{\"\"a\"\":1}\",scrypt," + bytesOf(32, "hex") + ",hex,s,32,\"[{\"\"phone\"\":{\"\"value\"\":\"\"+1\"\"}}]\"\n",
			[]string{"algo=custom_password_hash.algorithm", "hash=custom_password_hash.hash.value", "enc=custom_password_hash.hash.encoding", "salt=custom_password_hash.salt.value", "len=custom_password_hash.keylen", "mfa=mfa_factors"},
			[]string{`{"custom_password_hash":{"algorithm":"scrypt","hash":{"encoding":"hex","value":"` + bytesOf(32, "hex") + `"},"keylen":32,"salt":{"value":"s"}},"email":"a@x.org","mfa_factors":[{"phone":{"value":"+1"}}],"user_metadata":{"a":1}}`}},
		{"set in every row", "email,h,s\na@x.org," + bytesOf(16, "hex") + ",salt\nb@x.org,,\n",
			[]string{"h=custom_password_hash.hash.value", "s=custom_password_hash.salt.value", "set custom_password_hash.algorithm=md5", "set custom_password_hash.hash.encoding=hex", "set user_metadata.from=a=b"},
			[]string{
				`{"custom_password_hash":{"algorithm":"md5","hash":{"encoding":"hex","value":"` + bytesOf(16, "hex") + `"},"salt":{"value":"salt"}},"email":"a@x.org","user_metadata":{"from":"a=b"}}`,
				`{"email":"b@x.org","user_metadata":{"from":"a=b"}}`,
			}},
		{"set and a column", "email\na@x.org\n", []string{"set email=a@x.org"}, []string{"error: input: two columns of the CSV are for email, or it is set as well; map one of them to another field, or to none"}},
		{"set to nothing", "email\na@x.org\n", []string{"set name="}, []string{`error: "name=" does not say what to set; write FIELD=VALUE`}},
		{"set what is no field", "email\na@x.org\n", []string{"set nam=a"}, []string{`error: "nam" is not a field of a user`}},
		{"set in JSON", `{"email":"a@x.org"}`, []string{"set name=a"}, []string{"error: input: the input is JSON, and a mapping is for the columns of a CSV"}},
		{"rows that are wrong", "email,name\na@x.org\nb@x.org,B,B\nc@x.org,C \"c\"\n\"d@x.org\"d,D\n\"e\n\"e,E\nf@x.org,\xff\ng@x.org,G\n", nil, []string{
			"! line 2: the row has 1 cells and the heading 2" + remedy,
			"! line 3: the row has 3 cells and the heading 2" + remedy,
			"! line 4: there is a quote within a cell that does not begin with one" + remedy,
			"! line 5: there is text behind the closing quote of a cell" + remedy,
			"! line 6: there is text behind the closing quote of a cell" + remedy,
			"! line 8: name: the cell is not valid UTF-8; store the input as UTF-8 (rule utf8)",
			`{"email":"g@x.org","name":"G"}`,
		}},
		{"quote never closed", "email,name\na@x.org,A\nb@x.org,\"B\nc@x.org,C\n", nil, []string{
			`{"email":"a@x.org","name":"A"}`, "! line 3: the quote that opens on line 3 is never closed, and nothing behind it could be read" + remedy,
		}},
		{"row too long", "email,name\na@x.org,\"" + strings.Repeat("x", maxItem+1) + "\"\nb@x.org,B\n", nil, []string{
			"! line 2: the row that begins on line 2 is longer than 1048576 bytes; look for a missing line end or quote (rule too-long)", `{"email":"b@x.org","name":"B"}`,
		}},
		{"values of the wrong type", "email,email_verified,n,j\na@x.org,maybe,,\nb@x.org,,seven,\nc@x.org,,\"\"\"7\"\"\",\nd@x.org,,,{\ne@x.org,,-7.5,null\n",
			[]string{"n=app_metadata.n:number", "j=app_metadata.j:json"}, []string{
				"! line 2: email_verified: the cell is neither true nor false" + value,
				"! line 3: app_metadata.n: the cell is not valid JSON" + value,
				"! line 4: app_metadata.n: the cell is not a number" + value,
				"! line 5: app_metadata.j: the cell is not valid JSON" + value,
				`{"app_metadata":{"j":null,"n":-7.5},"email":"e@x.org"}`,
			}},
		{"heading without a field", "email,nme\na@x.org,A\n", nil, []string{
			`error: input: the CSV has a column "nme", and "nme" is not a field of a user; say what it is for with a mapping (nme=user_metadata.nme), or leave it out (nme=)`}},
		{"headings without a field", "E-Mail,Plan,name\na@x.org,A,N\n", []string{"Remarks=nickname"}, []string{
			`error: input: the CSV has columns that are no fields of a user: "E-Mail", "Plan"; say what each is for with a mapping (E-Mail=email,Plan=user_metadata.Plan), or leave it out (E-Mail=); ` +
				`the mapping names the column "Remarks", which the CSV does not have`}},
		{"a second column of addresses", "email,Mail\na@x.org,b@x.org\n", nil, []string{
			`error: input: the CSV has a column "Mail", and "Mail" is not a field of a user; say what it is for with a mapping (Mail=user_metadata.Mail), or leave it out (Mail=)`}},
		{"one field twice", "email,Email\na@x.org,A\n", nil, []string{"error: input: two columns of the CSV are for email, or it is set as well; map one of them to another field, or to none"}},
		{"a field and its part", "email,user_metadata,p\na@x.org,{},A\n", []string{"p=user_metadata.p"}, []string{"error: input: two columns of the CSV are for user_metadata, or it is set as well; map one of them to another field, or to none"}},
		{"heading with an open quote", "email,\"name\na@x.org,A\n", nil, []string{"error: input: the heading of the CSV: the quote that opens on line 1 is never closed, and nothing behind it could be read"}},
		{"mapping of no column", "email\na@x.org\n", []string{"Plan=user_metadata.plan"}, []string{`error: input: the mapping names the column "Plan", which the CSV does not have`}},
		{"mapping to no field", "email\na@x.org\n", []string{"x=usermetadata.plan"}, []string{`error: column "x": "usermetadata.plan" is not a field of a user`}},
		{"mapping to a part of a text", "email\na@x.org\n", []string{"x=email.plan"}, []string{`error: column "x": email has no parts`}},
		{"mapping to an empty part", "email\na@x.org\n", []string{"x=user_metadata."}, []string{`error: column "x": "user_metadata." is not a field of a user`}},
		{"mapping to no type", "email\na@x.org\n", []string{"x=user_metadata.a:int"}, []string{`error: column "x": "int" is not a type; write string, number, bool, json, or [] behind the name for a list`}},
		// Spreadsheets write headings without a name behind the last column.
		{"headings without a name", "email,name,,\na@x.org,A,,\n", nil, []string{
			`error: input: the CSV has a column "", and "" is not a field of a user; say what it is for with a mapping (=user_metadata.unnamed), or leave it out (=)`}},
		{"headings without a name left out", "email,name,,\na@x.org,A,,x\n", []string{"="}, []string{`{"email":"a@x.org","name":"A"}`}},
		{"heading without a name mapped", "email,\na@x.org,A\n", []string{"=user_metadata.unnamed"}, []string{`{"email":"a@x.org","user_metadata":{"unnamed":"A"}}`}},
		{"mapping without a field", "email\na@x.org\n", []string{"email"}, []string{`error: "email" does not say what a column is for; write COLUMN=FIELD`}},
		{"a column mapped twice", "email,x\na@x.org,A\n", []string{"x=name", "x=nickname"}, []string{`error: column "x" is mapped twice; say once what it is for`}},
		{"mapping of JSON", `{"email":"a@x.org"}`, []string{"a=email"}, []string{"error: input: the input is JSON, and a mapping is for the columns of a CSV"}},
		{"nothing but a heading", "email\n", nil, nil},
		{"nothing", "", []string{"a=email"}, nil},
		{"blank lines only", "\n\n", []string{"a=email"}, []string{"error: input: the CSV has no heading; name the columns in its first row"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			options := func(o ...SourceOption) []SourceOption {
				for _, pair := range tt.mapping {
					if set, ok := strings.CutPrefix(pair, "set "); ok {
						o = append(o, Set(set))
					} else {
						o = append(o, Mapping(pair))
					}
				}
				return o
			}
			same := func(how string, got []string) {
				t.Helper()
				if !slices.Equal(got, tt.want) {
					t.Errorf("%s: got\n  %s\nwant\n  %s", how, strings.Join(got, "\n  "), strings.Join(tt.want, "\n  "))
				}
			}
			same("plain", sent(t, Reader(strings.NewReader(tt.in), options()...)))
			same("gzipped", sent(t, Reader(zipped(t, tt.in), options()...)))
			same("byte by byte", sent(t, Reader(iotest.OneByteReader(strings.NewReader(tt.in)), options()...)))
			same("with a mark", sent(t, Reader(bytes.NewReader(append([]byte("\xef\xbb\xbf"), tt.in...)), options()...)))
		})
	}
}

// A CSV whose heading does not give it away is known by its name.
func TestCSVByName(t *testing.T) {
	t.Parallel()
	const in = "mail\na@x.org\n"
	for name, csv := range map[string]bool{"users.csv": true, "users.CSV": true, "users.tsv": true, "users.json": false, "users": false} {
		got := sent(t, Reader(strings.NewReader(in), Named(name)))
		isCSV := len(got) == 1 && strings.Contains(got[0], `the CSV has a column "mail"`)
		asLines := len(got) == 2 && strings.Contains(got[0], "line 1: not valid JSON") && strings.Contains(got[1], "line 2: not valid JSON")
		if isCSV != csv || asLines == csv {
			t.Errorf("%s: %q", name, got)
		}
	}
	got := sent(t, Reader(zipped(t, in), Named("users.csv.gz")))
	if len(got) != 1 || !strings.Contains(got[0], `the CSV has a column "mail"`) {
		t.Errorf("gzipped: %q", got)
	}
}

// A row that consists of separators does not fill the memory.
func TestCSVSeparators(t *testing.T) {
	t.Parallel()
	r, err := newTable(bufio.NewReader(strings.NewReader("email\n"+strings.Repeat(",", 8*maxItem)+"\na@x.org\n")), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if it, err := r.next(); err != nil || !it.broken || it.rule != ruleTooLong {
		t.Errorf("%+v, %v", it, err)
	}
	if cap(r.ends) > 2*maxItem {
		t.Errorf("%d cells were kept", cap(r.ends))
	}
	if it, err := r.next(); err != nil || string(it.raw) != `{"email":"a@x.org"}` {
		t.Errorf("%+v, %v", it, err)
	}
}

// A CSV without a heading begins with a user, whom the error does not name.
func TestCSVWithoutHeading(t *testing.T) {
	t.Parallel()
	for _, in := range []string{"ada@example.com,Ada\n", "+441632960000\n", "$2b$10$abc\n"} {
		got := strings.Join(sent(t, Reader(strings.NewReader(in), Named("users.csv"))), "\n")
		if want := "error: users.csv: column 1 of the CSV has a value in place of a heading; name the columns in its first row"; got != want {
			t.Errorf("%s; want %s", got, want)
		}
	}
}
