package ratelimit

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Parse reads a plan of one's own from a table in the form of the published
// ones in plans/*.txt. Above the first section stand lines of a word and what
// it says:
//
//	plan        acme                          the name; needed
//	title       Acme's own limits
//	as of       2026-08
//	alias       a, b                          other names
//	variant     production, default           rows marked @production belong to it
//	variant     twice, of production, also x  takes over the rows of production
//	include     common, prompts, mfa          shared tables of this package
//	define      $otp with grant_type=x        words that $otp stands for in requests
//
// A section begins with the API in brackets; "[authentication, other pages]"
// is for limits that are not in the plan's published table. Its rows have five
// columns with two or more spaces between them:
//
//	name           burst  sustained  key     requests
//	Management API 50     16/s       tenant  global * /api/v2/*
//
// In the column burst, - means that only a rate is known. A sustained rate is
// a count and s, min, h or day (25/2s for a longer period); ", windows of 1min"
// makes it come in fixed windows, ", peak 200 at 200/s 48h a month" says what a
// performance burst adds. "at once" makes the burst a limit on what is under
// way. Keys: tenant, ip, ip+email, ip+state, ip+prompt, ip+user, token-subject,
// session, connection, user, organization.
//
// Requests may go on in further lines that begin with space. Each is a method
// (or several with commas, or *) and a path, then conditions:
//
//	GET /clients?q                    with this query parameter (?q=x: of this value)
//	POST /t with grant_type=x         the form or JSON body has this value
//	POST /t unless kind=a|b           it has this field, not beginning with a or b
//	GET /u claim scope=a|b            the token's claim holds one of these words
//	* /* except /api/v2/|/me/         not these paths and what is below them
//	event mfa.otp.failure             no request, but an event
//
// A lone ? after a request marks a reading that the page does not settle, and a
// lone + before one the begin of what may be a counter of its own (as does a
// second row of the same name and figures). "global" or "catch-all" in front of
// the first request gives the bucket's role. A line "instead of NAME" lets
// requests of this row pass over the bucket NAME. Lines that begin with # are
// comments.
//
// Parse returns the plan's default variant. Errors name the line.
func Parse(text string) (*Plan, error) {
	head, _, err := parseHead(text)
	if err != nil {
		return nil, fmt.Errorf("ratelimit: plan: %w", err)
	}
	v, _ := head.variantNamed("")
	p, err := parsePlan(text, v)
	if err != nil {
		return nil, err
	}
	if err := p.validate(); err != nil {
		return nil, err
	}
	return p, nil
}

// atLine adds a line number, counted from 1, to an error.
func atLine(i int, format string, args ...any) error {
	return fmt.Errorf("line %d: %w", i+1, fmt.Errorf(format, args...))
}

// parseHead reads the lines above the first section and returns where that is.
func parseHead(text string) (*planHead, int, error) {
	h := &planHead{text: text}
	i := 0
	for line := range strings.SplitSeq(text, "\n") {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			break
		}
		if line != "" && line[0] != '#' {
			if err := h.parseLine(line); err != nil {
				return nil, 0, atLine(i, "%w", err)
			}
		}
		i++
	}
	defaults := 0
	for _, v := range h.variants {
		if !v.byName {
			defaults++
		}
		if of := v.of; of != "" && !slices.ContainsFunc(h.variants, func(o planVariant) bool { return o.name == of && o.of == "" }) {
			return nil, 0, fmt.Errorf("variant %s is of %s, which is not a variant that stands for itself", v.name, of)
		}
	}
	if defaults > 1 {
		return nil, 0, errors.New("two variants are the default")
	}
	return h, i, nil
}

// parseLine reads one line of a head.
func (h *planHead) parseLine(line string) error {
	word, rest, _ := strings.Cut(line, " ")
	rest = strings.TrimSpace(rest)
	if word == "as" {
		word, rest, _ = strings.Cut(rest, " ")
		word, rest = "as "+word, strings.TrimSpace(rest)
	}
	if rest == "" && word != "superseded" {
		return fmt.Errorf("nothing after %q", word)
	}
	switch word {
	case "plan":
		if !validPlanName(rest) {
			return fmt.Errorf("plan name %q: use letters, digits and -_./", rest)
		}
		h.name = rest
	case "title":
		h.title = rest
	case "as of":
		h.asOf = rest
	case "superseded":
		h.superseded = true
	case "alias":
		h.aliases = splitList(rest)
	case "include":
		h.includes = splitList(rest)
	case "define":
		words := strings.Fields(rest)
		if len(words) < 2 || len(words[0]) < 2 || words[0][0] != '$' {
			return fmt.Errorf("define %s: want $NAME and words", rest)
		}
		if _, ok := h.defines[words[0]]; ok {
			return fmt.Errorf("%s is defined twice", words[0])
		}
		if h.defines == nil {
			h.defines = map[string][]string{}
		}
		h.defines[words[0]] = words[1:]
	case "variant":
		v := planVariant{byName: true}
		for i, part := range splitList(rest) {
			what, name, _ := strings.Cut(part, " ")
			switch {
			case i == 0:
				v.name = part
			case part == "default":
				v.byName = false
			case what == "of" && v.of == "":
				v.of = name
			case what == "also":
				v.aliases = append(v.aliases, name)
			default:
				return fmt.Errorf("variant %s: %q is neither default, of VARIANT nor also NAME", v.name, part)
			}
		}
		if !validWord(v.name) || strings.ContainsAny(v.name, "/@") {
			return fmt.Errorf("variant %q: want one word without / and @", v.name)
		}
		if slices.ContainsFunc(h.variants, func(o planVariant) bool { return o.name == v.name }) {
			return fmt.Errorf("variant %s is there twice", v.name)
		}
		h.variants = append(h.variants, v)
	default:
		return fmt.Errorf("%q: want plan, title, as of, superseded, alias, variant, include, define or a section in brackets", word)
	}
	return nil
}

// splitList splits at commas and drops the space around.
func splitList(s string) []string {
	parts := strings.Split(s, ",")
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	return parts
}

// planRow is a row of a table before its variant is chosen.
type planRow struct {
	line     int
	table    string // the shared table it stands in, or ""
	variants []string
	requests []string // words
	bucket   Bucket
}

// fail adds the row's place to an error.
func (r *planRow) fail(err error) error {
	err = fmt.Errorf("line %d: %s: %w", r.line+1, r.bucket.Name, err)
	if r.table != "" {
		err = fmt.Errorf("include %s: %w", r.table, err)
	}
	return err
}

// parsePlan reads a table and returns one variant of it.
func parsePlan(text string, variant planVariant) (*Plan, error) {
	h, start, err := parseHead(text)
	if err != nil {
		return nil, fmt.Errorf("ratelimit: plan: %w", err)
	}
	if h.name == "" {
		return nil, errors.New("ratelimit: plan: the line \"plan NAME\" is missing")
	}
	fail := func(err error) error { return fmt.Errorf("ratelimit: plan %s: %w", h.name, err) }
	tables := []*planTable{{text: text, head: h, start: start}}
	for _, name := range h.includes {
		t, err := sharedTable(name)
		if err != nil {
			return nil, fail(err)
		}
		tables = append(tables, t)
	}
	defines := map[string][]string{}
	for _, t := range slices.Backward(tables) { // the plan's own come last and win
		maps.Copy(defines, t.head.defines)
	}
	var rows []planRow
	for _, t := range tables {
		more, err := t.rows(defines)
		if err != nil {
			return nil, fail(err)
		}
		rows = append(rows, more...)
	}
	p := &Plan{Name: h.fullName(variant), Title: h.title, AsOf: h.asOf, Superseded: h.superseded}
	if err := p.choose(rows, h, variant); err != nil {
		return nil, fail(err)
	}
	return p, nil
}

// planTable is a table, a plan's own or a shared one.
type planTable struct {
	name  string // of a shared table, or ""
	text  string
	head  *planHead
	start int // line of the first section
}

// sharedTable finds a table that plans include.
func sharedTable(name string) (*planTable, error) {
	text, err := planFiles.ReadFile("plans/" + name + ".txt")
	if err != nil {
		return nil, fmt.Errorf("include %s: there is no such shared table", name)
	}
	h, start, err := parseHead(string(text))
	if err == nil && h.name != "" {
		err = errors.New("a plan cannot be included")
	}
	if err != nil {
		return nil, fmt.Errorf("include %s: %w", name, err)
	}
	return &planTable{name: name, text: string(text), head: h, start: start}, nil
}

// rows reads the table's sections.
func (t *planTable) rows(defines map[string][]string) ([]planRow, error) {
	var rows []planRow
	var api string
	var otherPage bool
	i := -1
	for line := range strings.SplitSeq(t.text, "\n") {
		i++
		line = strings.TrimRight(line, " \t\r")
		switch {
		case i < t.start || line == "" || line[0] == '#' || isTableHead(line):
		case line[0] == '[':
			inside, ok := strings.CutSuffix(line[1:], "]")
			api, otherPage = strings.CutSuffix(inside, ", other pages")
			if !ok || !validWord(api) || strings.ContainsAny(api, ",]") {
				return nil, atLine(i, "section %q: want [API] or [API, other pages]", line)
			}
		case line[0] == ' ' || line[0] == '\t':
			if len(rows) == 0 {
				return nil, atLine(i, "it goes on with a row, but there is none above")
			}
			row := &rows[len(rows)-1]
			if other, ok := strings.CutPrefix(strings.TrimSpace(line), "instead of "); ok {
				row.bucket.Instead = append(row.bucket.Instead, strings.TrimSpace(other))
			} else {
				row.requests = append(row.requests, strings.Fields(line)...)
			}
		default:
			row, err := parseRow(line)
			if err != nil {
				return nil, atLine(i, "%w", err)
			}
			if api == "" {
				return nil, atLine(i, "the row stands in no section")
			}
			row.line, row.table = i, t.name
			row.bucket.API, row.bucket.OtherPage = api, otherPage
			rows = append(rows, row)
		}
	}
	for i := range rows {
		if err := rows[i].expand(defines); err != nil {
			return nil, rows[i].fail(err)
		}
		if err := rows[i].parseRequests(); err != nil {
			return nil, rows[i].fail(err)
		}
	}
	return rows, nil
}

// expand puts in the words that a word with $ stands for.
func (r *planRow) expand(defines map[string][]string) error {
	var words []string
	for _, w := range r.requests {
		if w[0] != '$' {
			words = append(words, w)
			continue
		}
		stands, ok := defines[w]
		if !ok {
			return fmt.Errorf("%s is not defined", w)
		}
		words = append(words, stands...)
	}
	r.requests = words
	return nil
}

// isTableHead reports whether a line names the columns.
func isTableHead(line string) bool {
	return slices.Equal(strings.Fields(line), []string{"name", "burst", "sustained", "key", "requests"})
}

// parseRow reads the columns of a row.
func parseRow(line string) (planRow, error) {
	var row planRow
	var cells []string
	for cell := range strings.SplitSeq(strings.ReplaceAll(line, "\t", "  "), "  ") {
		if cell = strings.TrimSpace(cell); cell != "" {
			cells = append(cells, cell)
		}
	}
	if len(cells) < 4 {
		return row, fmt.Errorf("%d columns, want 5 with two spaces between them: name, burst, sustained, key, requests", len(cells))
	}
	var words []string
	for w := range strings.SplitSeq(cells[0], " ") {
		if variant, ok := strings.CutPrefix(w, "@"); ok {
			row.variants = append(row.variants, variant)
		} else {
			words = append(words, w)
		}
	}
	b := &row.bucket
	b.Name = strings.Join(words, " ")
	if err := b.parseFigures(cells[1], cells[2]); err != nil {
		return row, fmt.Errorf("%s: %w", b.Name, err)
	}
	key := slices.Index(keyNames(), cells[3])
	if key < 0 {
		return row, fmt.Errorf("%s: key %q: want one of %s", b.Name, cells[3], strings.Join(keyNames(), ", "))
	}
	b.Key = Key(key)
	for _, cell := range cells[4:] {
		row.requests = append(row.requests, strings.Fields(cell)...)
	}
	return row, nil
}

// parseFigures reads the columns burst and sustained.
func (b *Bucket) parseFigures(burst, sustained string) error {
	count, err := strconv.ParseInt(burst, 10, 64)
	if burst == "-" {
		count, err = 0, nil
	} else if err == nil && count == 0 {
		err = strconv.ErrRange
	}
	if err != nil {
		return fmt.Errorf("burst %q: want a whole number from 1, or - where none is known", burst)
	}
	if sustained == "at once" {
		if count < 1 || count > maxPlanCount {
			return fmt.Errorf("%s at once: want a number from 1 to %d", burst, maxPlanCount)
		}
		b.Concurrent = int(count)
		return nil
	}
	parts := splitList(sustained)
	if b.Rate, err = ParseRate(parts[0]); err != nil {
		return err
	}
	if b.Burst = count; burst == "-" {
		b.Burst = b.Rate.Count
	}
	for _, part := range parts[1:] {
		if text, ok := strings.CutPrefix(part, "windows of "); ok && b.Window == 0 {
			if b.Window, err = parsePeriod(text); err != nil {
				return err
			}
		} else if err := b.Peak.parse(part); err != nil {
			return err
		}
	}
	return nil
}

// parse reads "peak 200 at 200/s 48h a month".
func (p *Peak) parse(s string) error {
	f := strings.Fields(s)
	err := fmt.Errorf("%q: want \"windows of 1min\" or \"peak 200 at 200/s 48h a month\"", s)
	if len(f) != 7 || f[0] != "peak" || f[2] != "at" || f[5] != "a" || f[6] != "month" || *p != (Peak{}) {
		return err
	}
	burst, errBurst := strconv.ParseInt(f[1], 10, 64)
	rate, errRate := ParseRate(f[3])
	hours, ok := strings.CutSuffix(f[4], "h")
	n, errHours := strconv.Atoi(hours)
	if errBurst != nil || errRate != nil || errHours != nil || !ok {
		return err
	}
	*p = Peak{Burst: burst, Rate: rate, Hours: n}
	return nil
}

// parseRequests reads the column requests.
func (r *planRow) parseRequests() error {
	words := r.requests
	b := &r.bucket
	if len(words) > 0 {
		switch words[0] {
		case "global":
			b.Role, words = RoleGlobal, words[1:]
		case "catch-all":
			b.Role, words = RoleCatchAll, words[1:]
		}
	}
	if len(words) == 0 {
		return errors.New("no requests in the last column")
	}
	part := 0
	for len(words) > 0 {
		if words[0] == "+" {
			if len(b.Matches) == 0 || len(words) == 1 {
				return errors.New("+ stands between two requests")
			}
			part++
			words = words[1:]
		}
		if len(words) == 1 {
			return fmt.Errorf("%q: want a method and a path", words[0])
		}
		methods, m := strings.Split(words[0], ","), Match{Path: words[1], Part: part}
		words = words[2:]
		if methods[0] == "event" {
			m.Event, m.Path, methods[0] = m.Path, "", ""
		} else if err := m.parseQuery(); err != nil {
			return err
		}
		for len(words) > 1 && m.Event == "" {
			c, ok, err := parseCondition(words[0], words[1])
			if err != nil {
				return err
			}
			if !ok {
				break
			}
			m.When = append(m.When, c)
			words = words[2:]
		}
		if len(words) > 0 && words[0] == "?" {
			m.Inferred = true
			words = words[1:]
		}
		for _, method := range methods {
			m.Method = method
			if err := m.validate(); err != nil {
				return err
			}
			b.Matches = append(b.Matches, m)
		}
	}
	return nil
}

// parseQuery turns "?q&prompt=none" at the end of the path into conditions.
func (m *Match) parseQuery() error {
	path, query, ok := strings.Cut(m.Path, "?")
	if !ok {
		return nil
	}
	m.Path = path
	for parameter := range strings.SplitSeq(query, "&") {
		name, value, given := strings.Cut(parameter, "=")
		if name == "" || given && value == "" {
			return fmt.Errorf("%s?%s: want parameters such as ?q or ?prompt=none", path, query)
		}
		m.When = append(m.When, Condition{In: InQuery, Name: name, Equals: value})
	}
	return nil
}

// parseCondition reads a condition of two words. ok is false if the first
// begins none.
func parseCondition(word, arg string) (c Condition, ok bool, err error) {
	name, value, given := strings.Cut(arg, "=")
	switch word {
	case "with":
		c = Condition{In: InBody, Name: name, Equals: value}
	case "unless":
		c = Condition{In: InBody, Name: name, NoPrefix: strings.Split(value, "|")}
	case "claim":
		c = Condition{In: InToken, Name: name, AnyWord: strings.Split(value, "|")}
	case "except":
		return Condition{In: InPath, NoPrefix: strings.Split(arg, "|")}, true, nil
	default:
		return c, false, nil
	}
	if !given {
		return c, true, fmt.Errorf("%s %s: want NAME=VALUE", word, arg)
	}
	return c, true, nil
}

// choose takes over the rows of one variant. Of rows with one name, those that
// are marked for the variant win over those of the variant that it is based on,
// and these over unmarked ones. Rows of one name that remain are one bucket.
func (p *Plan) choose(rows []planRow, h *planHead, variant planVariant) error {
	rank := func(r *planRow) int {
		switch {
		case variant.name != "" && slices.Contains(r.variants, variant.name):
			return 0
		case variant.of != "" && slices.Contains(r.variants, variant.of):
			return 1
		case len(r.variants) == 0:
			return 2
		}
		return 3
	}
	type rowName struct{ api, name string }
	best := map[rowName]int{}
	for i := range rows {
		r := &rows[i]
		for _, v := range r.variants {
			if !slices.ContainsFunc(h.variants, func(o planVariant) bool { return o.name == v }) {
				return r.fail(fmt.Errorf("variant @%s is not declared above", v))
			}
		}
		n := rowName{r.bucket.API, r.bucket.Name}
		if old, ok := best[n]; !ok || rank(r) < old {
			best[n] = rank(r)
		}
	}
	index := map[rowName]int{}
	for i := range rows {
		r := &rows[i]
		n := rowName{r.bucket.API, r.bucket.Name}
		if rank(r) == 3 || rank(r) != best[n] {
			continue
		}
		at, again := index[n]
		if !again {
			index[n] = len(p.Buckets)
			p.Buckets = append(p.Buckets, r.bucket)
			continue
		}
		if err := p.Buckets[at].join(&r.bucket); err != nil {
			return r.fail(err)
		}
	}
	return nil
}

// join adds a row of the same name and figures.
func (b *Bucket) join(row *Bucket) error {
	if b.Burst != row.Burst || b.Rate != row.Rate || b.Window != row.Window || b.Key != row.Key || b.Role != row.Role ||
		b.Concurrent != row.Concurrent || b.Peak != row.Peak || b.OtherPage != row.OtherPage {
		return errors.New("a row above has this name and other figures; tell them apart in brackets, as in \"Name [POST]\"")
	}
	part := b.Matches[len(b.Matches)-1].Part + 1
	for _, m := range row.Matches {
		m.Part += part
		b.Matches = append(b.Matches, m)
	}
	b.Instead = append(b.Instead, row.Instead...)
	return nil
}
