package main

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
)

// The description is one text file per tag in api/. A file is a list of entries; an entry begins at the left margin and its details
// are indented:
//
//	group users.roles UserRolesService       a service and the group it stands for
//	    "Roles of a user"                    our doc line
//
//	GET /users/{id} users Get                method, path, group, Go method
//	    "returns one user."                  our doc line, after the name of the method
//	    id get_users_by_id                   operationId of the reference
//	    life GA                              GA, EA, beta or deprecated
//	    scopes read:users ...                any one of them is enough
//	    query fields string                  a query parameter: name[!] type [repeat] [(limits)]
//	    body UserCreate                      the JSON body, "multipart NAME" for a form with a file
//	    returns User                         the answer; [User] a list, "page User users offset checkpoint totals" a paged one
//
//	type User out extra                      in: sent; out: received; extra: keeps unknown fields
//	    = GetUserResponseContent ...         the schemas it stands for, by which an import finds it again
//	    user_id! string (<=128 chars)        name[!][~] type; ! is required, ~ takes null; "empty" after it allows ""
//	    settings ClientSettings readonly EA "Our doc."
//
//	enum ClientAppType
//	    = ClientAppTypeEnum
//	    native
//	    regular_web RegularWeb               a value, and its Go name where the derived one does not do
//
//	union FormComponent inout by category type
//	    FIELD TEXT -> FormFieldText as Text  values of the discriminating properties, the type, the Go field
//	union LogStreamSink inout beside type    the properties are those of the object around it
//
// Types are string, int, float, bool, time, any, text (a string or a number), strings (a list of strings or one), bytes, the name
// of a type, [T] for a list, {T} for an object of T by name.

// API is the description as a whole.
type API struct {
	Files []*File
	types map[string]*Type
}

// File is what one tag holds.
type File struct {
	Tag    string
	Doc    string
	Groups []*Group
	Ops    []*Op
	Types  []*Type
}

// Group is a service.
type Group struct{ Name, Go, Doc string }

// Op is an operation.
type Op struct {
	Method, Path, Group, Go string
	Doc, ID, Life           string
	Scopes                  []string
	Query                   []*Field
	Body, Multipart         string
	Returns                 string
	Page                    *Page
	Stream                  bool
}

// Page is how an operation pages.
type Page struct {
	Item, Key                  string
	Cursor                     string // the field of an entry that the next checkpoint page starts from
	Offset, Checkpoint, Totals bool
}

// Type is a Go type to be.
type Type struct {
	Kind     string // type, enum or union
	Name     string
	Doc      string
	From     []string
	In, Out  bool
	Extra    bool
	Fields   []*Field
	Values   []Value
	By       []string
	Beside   bool
	Variants []Variant
}

// Field is a property or a query parameter.
type Field struct {
	Name, Type        string
	Go                string
	Required, Null    bool
	ReadOnly          bool
	Repeat            bool
	Empty             bool // although required, may be empty
	Life, Limits, Doc string
	Always            string
}

// Value is a value of an enum.
type Value struct{ Value, Go string }

// Variant is a variant of a union.
type Variant struct {
	When []string
	Type string
	Go   string
}

func (f *Field) line() string {
	var b strings.Builder
	b.WriteString(f.Name)
	if f.Required {
		b.WriteByte('!')
	}
	if f.Null {
		b.WriteByte('~')
	}
	b.WriteString(" " + f.Type)
	if f.Always != "" {
		fmt.Fprintf(&b, " =%s", f.Always)
	}
	if f.ReadOnly {
		b.WriteString(" readonly")
	}
	if f.Repeat {
		b.WriteString(" repeat")
	}
	if f.Empty {
		b.WriteString(" empty")
	}
	if f.Life != "" && f.Life != "GA" {
		b.WriteString(" " + f.Life)
	}
	if f.Go != "" {
		b.WriteString(" as " + f.Go)
	}
	if f.Limits != "" {
		fmt.Fprintf(&b, " (%s)", f.Limits)
	}
	if f.Doc != "" {
		fmt.Fprintf(&b, " %q", f.Doc)
	}
	return b.String()
}

func parseField(line string) (*Field, error) {
	f := new(Field)
	rest := line
	if i := strings.Index(rest, ` "`); i >= 0 {
		f.Doc = strings.Trim(rest[i+1:], `"`)
		rest = rest[:i]
	}
	if i := strings.Index(rest, " ("); i >= 0 {
		f.Limits = strings.Trim(rest[i+1:], "()")
		rest = rest[:i]
	}
	w := strings.Fields(rest)
	if len(w) < 2 {
		return nil, fmt.Errorf("a field needs a name and a type: %q", line)
	}
	f.Name, f.Null = strings.CutSuffix(w[0], "~")
	f.Name, f.Required = strings.CutSuffix(f.Name, "!")
	f.Type = w[1]
	for i := 2; i < len(w); i++ {
		switch {
		case w[i] == "readonly":
			f.ReadOnly = true
		case w[i] == "repeat":
			f.Repeat = true
		case w[i] == "empty":
			f.Empty = true
		case w[i] == "as" && i+1 < len(w):
			i++
			f.Go = w[i]
		case w[i][0] == '=':
			f.Always = w[i][1:]
		case w[i] == "EA" || w[i] == "beta" || w[i] == "deprecated":
			f.Life = w[i]
		default:
			return nil, fmt.Errorf("unknown word %q in %q", w[i], line)
		}
	}
	return f, nil
}

func (f *File) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n", f.Tag)
	if f.Doc != "" {
		fmt.Fprintf(&b, "# %s\n", f.Doc)
	}
	detail := func(format string, args ...any) {
		line := fmt.Sprintf(format, args...)
		if strings.TrimSpace(line) != "" {
			b.WriteString("    " + line + "\n")
		}
	}
	quoted := func(doc string) {
		if doc != "" {
			detail("\"%s\"", doc)
		}
	}
	for _, g := range f.Groups {
		fmt.Fprintf(&b, "\ngroup %s %s\n", g.Name, g.Go)
		quoted(g.Doc)
	}
	for _, o := range f.Ops {
		fmt.Fprintf(&b, "\n%s %s %s %s\n", o.Method, o.Path, o.Group, o.Go)
		quoted(o.Doc)
		detail("id %s", o.ID)
		detail("life %s", o.Life)
		if len(o.Scopes) > 0 {
			detail("scopes %s", strings.Join(o.Scopes, " "))
		}
		for _, q := range o.Query {
			detail("query %s", q.line())
		}
		if o.Body != "" {
			detail("body %s", o.Body)
		}
		if o.Multipart != "" {
			detail("multipart %s", o.Multipart)
		}
		switch {
		case o.Page != nil:
			s := "page " + o.Page.Item + " " + o.Page.Key
			if o.Page.Offset {
				s += " offset"
			}
			if o.Page.Checkpoint {
				s += " checkpoint"
			}
			if o.Page.Totals {
				s += " totals"
			}
			if o.Page.Cursor != "" {
				s += " cursor=" + o.Page.Cursor
			}
			detail("%s", s)
		case o.Stream:
			detail("stream %s", o.Returns)
		case o.Returns != "":
			detail("returns %s", o.Returns)
		}
	}
	for _, t := range f.Types {
		fmt.Fprintf(&b, "\n%s\n", t.head())
		quoted(t.Doc)
		line := ""
		for _, from := range t.From {
			if line != "" && len(line)+len(from) > 130 {
				detail("= %s", line)
				line = ""
			}
			line = strings.TrimSpace(line + " " + from)
		}
		if line != "" {
			detail("= %s", line)
		}
		for _, fl := range t.Fields {
			detail("%s", fl.line())
		}
		for _, v := range t.Values {
			detail("%s", strings.TrimSpace(orQuotes(v.Value)+" "+v.Go))
		}
		for _, v := range t.Variants {
			detail("%s -> %s as %s", strings.Join(v.When, " | "), v.Type, v.Go)
		}
	}
	return b.String()
}

// head is the line that an entry of a type begins with.
func (t *Type) head() string {
	head := t.Kind + " " + t.Name
	if t.Kind != "enum" {
		switch {
		case t.In && t.Out:
			head += " inout"
		case t.In:
			head += " in"
		default:
			head += " out"
		}
	}
	if t.Extra {
		head += " extra"
	}
	if len(t.By) > 0 {
		if t.Beside {
			head += " beside "
		} else {
			head += " by "
		}
		head += strings.Join(t.By, " ")
	}
	return head
}

func orQuotes(s string) string {
	if s == "" {
		return `""`
	}
	return s
}

var methods = map[string]bool{"GET": true, "POST": true, "PUT": true, "PATCH": true, "DELETE": true}

func parseFile(tag, text string) (*File, error) {
	f := &File{Tag: tag}
	var group *Group
	var op *Op
	var typ *Type
	sc := bufio.NewScanner(strings.NewReader(text))
	sc.Buffer(nil, 1<<20)
	n := 0
	fail := func(format string, args ...any) error {
		return fmt.Errorf("%s.txt:%d: %s", tag, n, fmt.Sprintf(format, args...))
	}
	for sc.Scan() {
		n++
		line := sc.Text()
		switch {
		case strings.TrimSpace(line) == "":
			continue
		case strings.HasPrefix(line, "#"):
			if n == 2 {
				f.Doc = strings.TrimSpace(line[1:])
			}
			continue
		}
		w := strings.Fields(line)
		if line[0] != ' ' {
			group, op, typ = nil, nil, nil
			switch {
			case w[0] == "group" && len(w) == 3:
				group = &Group{Name: w[1], Go: w[2]}
				f.Groups = append(f.Groups, group)
			case methods[w[0]] && len(w) == 4:
				op = &Op{Method: w[0], Path: w[1], Group: w[2], Go: w[3]}
				f.Ops = append(f.Ops, op)
			case (w[0] == "type" || w[0] == "enum" || w[0] == "union") && len(w) >= 2:
				typ = &Type{Kind: w[0], Name: w[1]}
				for i := 2; i < len(w); i++ {
					switch w[i] {
					case "in":
						typ.In = true
					case "out":
						typ.Out = true
					case "inout":
						typ.In, typ.Out = true, true
					case "extra":
						typ.Extra = true
					case "by", "beside":
						typ.Beside = w[i] == "beside"
						typ.By = w[i+1:]
						i = len(w)
					default:
						return nil, fail("unknown word %q", w[i])
					}
				}
				f.Types = append(f.Types, typ)
			default:
				return nil, fail("unknown entry %q", line)
			}
			continue
		}
		rest := strings.TrimSpace(line)
		after := func() string { return strings.TrimSpace(strings.TrimPrefix(rest, w[0])) }
		switch {
		case rest[0] == '"' && w[0] != `""`:
			doc := strings.Trim(rest, `"`)
			switch {
			case group != nil:
				group.Doc = doc
			case op != nil:
				op.Doc = doc
			case typ != nil:
				typ.Doc = doc
			}
		case op != nil:
			switch w[0] {
			case "id":
				op.ID = after()
			case "life":
				op.Life = after()
			case "scopes":
				op.Scopes = w[1:]
			case "query":
				q, err := parseField(after())
				if err != nil {
					return nil, fail("%v", err)
				}
				op.Query = append(op.Query, q)
			case "body":
				op.Body = after()
			case "multipart":
				op.Multipart = after()
			case "returns":
				op.Returns = after()
			case "stream":
				op.Returns, op.Stream = after(), true
			case "page":
				op.Page = &Page{Item: w[1], Key: w[2]}
				for _, x := range w[3:] {
					if c, ok := strings.CutPrefix(x, "cursor="); ok {
						op.Page.Cursor = c
						continue
					}
					switch x {
					case "offset":
						op.Page.Offset = true
					case "checkpoint":
						op.Page.Checkpoint = true
					case "totals":
						op.Page.Totals = true
					default:
						return nil, fail("unknown word %q", x)
					}
				}
			default:
				return nil, fail("unknown detail %q", w[0])
			}
		case typ != nil:
			switch {
			case w[0] == "=":
				typ.From = append(typ.From, w[1:]...)
			case typ.Kind == "enum":
				v := Value{Value: w[0]}
				if v.Value == `""` {
					v.Value = ""
				}
				if len(w) > 1 {
					v.Go = w[1]
				}
				typ.Values = append(typ.Values, v)
			case typ.Kind == "union":
				when, to, ok := strings.Cut(rest, "->")
				tw := strings.Fields(to)
				if !ok || len(tw) != 3 {
					return nil, fail("a variant reads VALUES -> TYPE as NAME")
				}
				v := Variant{Type: tw[0], Go: tw[2]}
				for x := range strings.SplitSeq(when, "|") {
					if x = strings.TrimSpace(x); x != "" {
						v.When = append(v.When, x)
					}
				}
				typ.Variants = append(typ.Variants, v)
			default:
				fl, err := parseField(rest)
				if err != nil {
					return nil, fail("%v", err)
				}
				typ.Fields = append(typ.Fields, fl)
			}
		default:
			return nil, fail("a detail without an entry")
		}
	}
	return f, sc.Err()
}

func (a *API) index() error {
	a.types = map[string]*Type{}
	for _, f := range a.Files {
		for _, t := range f.Types {
			if a.types[t.Name] != nil {
				return fmt.Errorf("%s.txt: type %s is described twice", f.Tag, t.Name)
			}
			a.types[t.Name] = t
		}
	}
	return nil
}

// readAPI reads the description from its directory.
func readAPI(dir string) (*API, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*.txt"))
	if err != nil {
		return nil, err
	}
	sort.Strings(names)
	a := new(API)
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		f, err := parseFile(strings.TrimSuffix(filepath.Base(name), ".txt"), string(b))
		if err != nil {
			return nil, err
		}
		a.Files = append(a.Files, f)
	}
	return a, a.index()
}

func (a *API) write(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	keep := map[string]bool{}
	for _, f := range a.Files {
		name := filepath.Join(dir, f.Tag+".txt")
		keep[name] = true
		if err := os.WriteFile(name, []byte(f.text()), 0o644); err != nil {
			return err
		}
	}
	names, err := filepath.Glob(filepath.Join(dir, "*.txt"))
	if err != nil {
		return err
	}
	for _, name := range names {
		if !keep[name] {
			if err := os.Remove(name); err != nil {
				return err
			}
		}
	}
	return nil
}
