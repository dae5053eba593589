package importer

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// A column is what becomes of the cells of a CSV column.
type column struct {
	path  []string // names from the user inward; none: left out
	kind  string   // of the value: "", "number", "bool", "json" or "list"
	text  bool     // a field of text
	fixed []byte   // what every row has, in place of a cell
}

// table reads users from CSV with a heading. Quotes are those of RFC 4180; a
// comma, a semicolon or a tab separates, whichever the heading uses most.
type table struct {
	in      *bufio.Reader
	line    int // of the next byte
	comma   byte
	columns []column // those of the heading, and behind them what every row has
	heading int      // how many are of the heading
	order   []int    // columns that are sent, so that those with a common beginning follow each other
	cells   [][]byte // of the row at hand
	ends    []int
	buf     []byte
	user    []byte
	open    []string // names of the objects that are open in user
	out     item
}

// newTable reads the heading. Mapping has what columns are for, by name, and
// fixed what every row has.
func newTable(in *bufio.Reader, mapping []mapped, fixed []column) (*table, error) {
	r := &table{in: in, line: 1, comma: ','}
	heading := firstLine(in)
	for _, c := range []byte(";\t") {
		if bytes.Count(heading, []byte{c}) > bytes.Count(heading, []byte{r.comma}) {
			r.comma = c
		}
	}
	what, _, err := r.row()
	for err == nil && what == "" && len(r.cells) == 0 { // blank lines
		what, _, err = r.row()
	}
	switch {
	case errors.Is(err, io.EOF):
		return nil, errors.New("the CSV has no heading; name the columns in its first row")
	case err != nil:
		return nil, err
	case what != "":
		return nil, fmt.Errorf("the heading of the CSV: %s", what)
	}
	used := make(map[string]bool)
	var strangers []string // columns that nothing is known of
	var stranger error     // the first of them
	for i, cell := range r.cells {
		name := string(bytes.TrimSpace(bytes.TrimPrefix(cell, []byte("'"))))
		if !utf8.ValidString(name) {
			return nil, fmt.Errorf("column %d of the CSV: the heading is not UTF-8", i+1)
		}
		if isEmail([]byte(name)) || isPhone([]byte(name)) || strings.HasPrefix(name, "$") {
			return nil, fmt.Errorf("column %d of the CSV has a value in place of a heading; name the columns in its first row", i+1)
		}
		c, err := columnOf(name, mapping, used)
		if err != nil {
			if stranger == nil {
				stranger = err
			}
			if !slices.Contains(strangers, name) { // a mapping is for all columns of a name
				strangers = append(strangers, name)
			}
			continue
		}
		r.columns = append(r.columns, c)
	}
	if err := r.unmapped(strangers, stranger, mapping, used); err != nil {
		return nil, err
	}
	r.heading = len(r.columns)
	r.columns = append(r.columns, fixed...)
	for i, c := range r.columns {
		if len(c.path) > 0 {
			r.order = append(r.order, i)
		}
	}
	slices.SortStableFunc(r.order, func(a, b int) int { return slices.Compare(r.columns[a].path, r.columns[b].path) })
	for i := 1; i < len(r.order); i++ {
		a, b := r.columns[r.order[i-1]].path, r.columns[r.order[i]].path
		if len(b) >= len(a) && slices.Equal(a, b[:len(a)]) {
			return nil, fmt.Errorf("two columns of the CSV are for %s, or it is set as well; map one of them to another field, or to none", strings.Join(a, "."))
		}
	}
	return r, nil
}

// unmapped says which columns nothing is known of, with a mapping to begin with,
// and which ones of the mapping are not there.
func (r *table) unmapped(names []string, first error, mapping []mapped, used map[string]bool) error {
	var says []string
	known := slices.ContainsFunc(r.columns, func(c column) bool { return len(c.path) == 1 && c.path[0] == "email" })
	var pairs, drops, quoted []string
	for _, name := range names {
		field := "user_metadata." + cmpOr(strings.ReplaceAll(name, ",", ""), "unnamed") // commas divide mappings
		if !known && isMail(name) {
			field, known = "email", true
		}
		pairs, drops, quoted = append(pairs, name+"="+field), append(drops, name+"="), append(quoted, fmt.Sprintf("%q", name))
	}
	switch len(names) {
	case 0:
	case 1:
		says = append(says, fmt.Sprintf("the CSV has a column %s, and %v; say what it is for with a mapping (%s), or leave it out (%s)", quoted[0], first, pairs[0], drops[0]))
	default:
		says = append(says, fmt.Sprintf("the CSV has columns that are no fields of a user: %s; say what each is for with a mapping (%s), or leave it out (%s)",
			strings.Join(quoted, ", "), strings.Join(pairs, ","), drops[0]))
	}
	for _, m := range mapping {
		if !used[m.column] {
			says = append(says, fmt.Sprintf("the mapping names the column %q, which the CSV does not have", m.column))
		}
	}
	if len(says) == 0 {
		return nil
	}
	return errors.New(strings.Join(says, "; "))
}

// isMail reports whether a column is called what people call e-mail addresses.
func isMail(name string) bool {
	name = strings.NewReplacer(" ", "", "-", "", "_", "", ".", "").Replace(strings.ToLower(name))
	return slices.Contains([]string{"mail", "email", "emailaddress", "mailaddress", "useremail", "primaryemail"}, name)
}

// A mapped column is one for which the caller has said what it is for.
type mapped struct {
	column string
	to     column
}

// parseMapping reads "column=field".
func parseMapping(pair string) (mapped, error) {
	name, field, ok := strings.Cut(pair, "=")
	if name = strings.TrimSpace(name); !ok {
		return mapped{}, fmt.Errorf("%q does not say what a column is for; write COLUMN=FIELD", pair)
	}
	if field = strings.TrimSpace(field); field == "" || field == "-" {
		return mapped{column: name}, nil
	}
	c, err := parseColumn(field)
	if err != nil {
		return mapped{}, fmt.Errorf("column %q: %w", name, err)
	}
	return mapped{name, c}, nil
}

// parseFixed reads "field=value".
func parseFixed(pair string) (column, error) {
	field, value, ok := strings.Cut(pair, "=")
	if !ok || value == "" {
		return column{}, fmt.Errorf("%q does not say what to set; write FIELD=VALUE", pair)
	}
	c, err := parseColumn(strings.TrimSpace(field))
	c.fixed = []byte(value)
	return c, err
}

// parseColumn reads a field with its type: "user_metadata.age:number".
func parseColumn(field string) (column, error) {
	path, kind, typed := strings.Cut(field, ":")
	if bare, list := strings.CutSuffix(path, "[]"); list && !typed {
		path, kind = bare, "list"
	} else if typed && !slices.Contains([]string{"string", "number", "bool", "json"}, kind) {
		return column{}, fmt.Errorf("%q is not a type; write string, number, bool, json, or [] behind the name for a list", kind)
	}
	c := column{path: strings.Split(path, "."), kind: kind}
	if kind == "string" {
		c.kind = ""
	}
	f := findField([]byte(c.path[0]))
	if f < 0 || slices.Contains(c.path, "") {
		return column{}, fmt.Errorf("%q is not a field of a user", field)
	}
	switch t := &fields[f]; {
	case len(c.path) > 1 && t.kind != kindObject:
		return column{}, fmt.Errorf("%s has no parts", t.name)
	case len(c.path) == 1 && t.kind == kindBoolean:
		c.kind = "bool"
	case len(c.path) == 1 && t.kind != kindString:
		c.kind = "json"
	case len(c.path) == 1:
		c.kind, c.text = "", true
	case f == fieldCustomHash && slices.Contains([]string{"keylen", "cost", "blockSize", "parallelization"}, c.path[1]):
		c.kind = "number"
	}
	return c, nil
}

// columnOf says what a column is for: what the mapping says, else the field of
// its name. Columns that only exports have are sent on for the checks to leave
// them out by name.
func columnOf(name string, mapping []mapped, used map[string]bool) (column, error) {
	for _, m := range mapping {
		if m.column == name {
			used[name] = true
			return m.to, nil
		}
	}
	plain := string(plainName([]byte(name)))
	if exported([]byte(plain)) || strings.HasPrefix(plain, "identities") || plain != name && plain == "connection" {
		return column{path: []string{name}}, nil
	}
	return parseColumn(plain)
}

func (r *table) next() (*item, error) {
	for {
		line := r.line
		r.out = item{line: line}
		what, k, err := r.row()
		switch {
		case err != nil && errors.Is(err, io.EOF):
			return nil, io.EOF
		case err != nil:
			return nil, fmt.Errorf("line %d: %w", r.line, err)
		case what != "":
			r.out.broken, r.out.rule, r.out.what = true, k, what
			return &r.out, nil
		case len(r.cells) == 0: // a blank line
			continue
		case len(r.cells) != r.heading:
			r.out.broken, r.out.rule = true, ruleCSV
			r.out.what = fmt.Sprintf("the row has %d cells and the heading %d", len(r.cells), r.heading)
			return &r.out, nil
		}
		r.build()
		return &r.out, nil
	}
}

// row reads a row into cells, none for a blank line. It returns what is wrong
// with the row, "" for nothing; the next row is still found then.
func (r *table) row() (what string, k rule, err error) {
	r.buf, r.ends, r.cells = r.buf[:0], r.ends[:0], r.cells[:0]
	const (
		cellStart = iota
		plain
		quoted
		afterQuote
		lost // the rest of the line is passed over
	)
	state, start, opened, begun, cr := cellStart, r.line, 0, false, false
	for {
		c, err := r.in.ReadByte()
		if err != nil && !errors.Is(err, io.EOF) {
			return "", 0, err
		}
		end := err != nil
		if end && !begun {
			return "", 0, io.EOF
		}
		begun = true
		if end && state == quoted {
			return fmt.Sprintf("the quote that opens on line %d is never closed, and nothing behind it could be read", opened), ruleCSV, nil
		}
		if c == '\n' && !end {
			r.line++
		}
		if (end || c == '\n') && state != quoted {
			if state == plain && len(r.buf) > 0 && r.buf[len(r.buf)-1] == '\r' {
				r.buf = r.buf[:len(r.buf)-1]
			}
			if len(r.ends) > 0 || state != plain && state != cellStart || len(r.buf) > 0 {
				r.ends = append(r.ends, len(r.buf))
			}
			break
		}
		switch state {
		case cellStart, plain:
			switch {
			case c == r.comma:
				r.ends = append(r.ends, len(r.buf))
				state = cellStart
			case c == '"' && state == cellStart:
				state, opened = quoted, r.line
			case c == '"':
				what, k, state = "there is a quote within a cell that does not begin with one", ruleCSV, lost
			default:
				r.buf = append(r.buf, c)
				state = plain
			}
		case quoted:
			if c == '"' {
				state, cr = afterQuote, false
			} else {
				r.buf = append(r.buf, c)
			}
		case afterQuote:
			switch {
			case c == '"' && !cr:
				r.buf = append(r.buf, c)
				state = quoted
			case c == r.comma && !cr:
				r.ends = append(r.ends, len(r.buf))
				state = cellStart
			case c == '\r' && !cr:
				cr = true
			default:
				what, k, state = "there is text behind the closing quote of a cell", ruleCSV, lost
			}
		}
		if len(r.buf)+len(r.ends) > maxItem {
			what, k = fmt.Sprintf("the row that begins on line %d is longer than %d bytes", start, maxItem), ruleTooLong
			r.buf, r.ends = r.buf[:0], r.ends[:0]
		}
	}
	if what != "" {
		return what, k, nil
	}
	from := 0
	for _, end := range r.ends {
		r.cells = append(r.cells, r.buf[from:end])
		from = end
	}
	return "", 0, nil
}

// build makes the user of the row at hand.
func (r *table) build() {
	r.user, r.open = append(r.user[:0], '{'), r.open[:0]
	marked, hashed := r.marked(), r.hashed()
	for _, i := range r.order {
		c := &r.columns[i]
		cell := c.fixed
		switch {
		case i < r.heading:
			cell = r.cells[i]
			if marked {
				cell = bytes.TrimPrefix(cell, []byte("'"))
			}
		case c.path[0] == customField && !hashed:
			continue
		}
		if len(cell) == 0 {
			continue
		}
		if !utf8.Valid(cell) {
			r.fail(c, ruleUTF8, "the cell is not valid UTF-8")
			return
		}
		r.enter(c.path[:len(c.path)-1])
		r.member(c.path[len(c.path)-1])
		if what := r.value(c.kind, cell); what != "" {
			r.fail(c, ruleCSVValue, what)
			return
		}
	}
	r.enter(nil)
	r.out.raw = append(r.user, '}')
	r.user = r.out.raw
}

func (r *table) fail(c *column, k rule, what string) {
	r.out.broken, r.out.rule, r.out.field, r.out.what = true, k, strings.Join(c.path, "."), what
}

// marked reports whether an export has put an apostrophe before each text, as
// Auth0 does so that spreadsheets take no text for a formula.
func (r *table) marked() bool {
	found := false
	for i, cell := range r.cells {
		if r.columns[i].text && len(cell) > 0 {
			if cell[0] != '\'' {
				return false
			}
			found = true
		}
	}
	return found
}

// hashed reports whether the row itself has a part of a custom_password_hash.
func (r *table) hashed() bool {
	for i, cell := range r.cells {
		if path := r.columns[i].path; len(cell) > 0 && len(path) > 0 && path[0] == customField {
			return true
		}
	}
	return false
}

// enter closes and opens objects until those of a path are open.
func (r *table) enter(path []string) {
	same := 0
	for same < len(path) && same < len(r.open) && path[same] == r.open[same] {
		same++
	}
	for range r.open[same:] {
		r.user = append(r.user, '}')
	}
	r.open = r.open[:same]
	for _, name := range path[same:] {
		r.member(name)
		r.user = append(r.user, '{')
		r.open = append(r.open, name)
	}
}

// member begins a member of the object that is open.
func (r *table) member(name string) {
	if r.user[len(r.user)-1] != '{' {
		r.user = append(r.user, ',')
	}
	r.user = appendString(r.user, []byte(name))
	r.user = append(r.user, ':')
}

// value appends the value of a cell. It returns what is wrong, "" for nothing.
func (r *table) value(kind string, cell []byte) (what string) {
	switch kind {
	case "bool":
		switch strings.ToLower(string(bytes.TrimSpace(cell))) {
		case "true", "t", "yes", "y", "1":
			r.user = append(r.user, "true"...)
		case "false", "f", "no", "n", "0":
			r.user = append(r.user, "false"...)
		default:
			return "the cell is neither true nor false"
		}
	case "number", "json":
		cell = bytes.TrimSpace(cell)
		if !json.Valid(cell) {
			return "the cell is not valid JSON"
		}
		if kind == "number" && kindOf(cell) != kindNumber {
			return "the cell is not a number"
		}
		r.user = append(r.user, cell...)
	case "list":
		separator := []byte(",")
		if bytes.IndexByte(cell, ';') >= 0 {
			separator = []byte(";")
		}
		for i, e := range bytes.Split(cell, separator) {
			r.user = append(r.user, "[,"[min(i, 1)])
			r.user = appendString(r.user, bytes.TrimSpace(e))
		}
		r.user = append(r.user, ']')
	default:
		r.user = appendString(r.user, cell)
	}
	return ""
}
