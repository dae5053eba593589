package ratelimit

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Text returns the plan as a table in the form that Parse reads. Parsing it
// gives the same plan.
func (p *Plan) Text() string {
	var out bytes.Buffer
	fmt.Fprintf(&out, "plan        %s\n", p.Name)
	if p.Title != "" {
		fmt.Fprintf(&out, "title       %s\n", p.Title)
	}
	if p.AsOf != "" {
		fmt.Fprintf(&out, "as of       %s\n", p.AsOf)
	}
	if p.Superseded {
		out.WriteString("superseded\n")
	}
	head := [4]string{"name", "burst", "sustained", "key"}
	var widths [4]int
	for i := range head {
		widths[i] = len(head[i])
		for j := range p.Buckets {
			widths[i] = max(widths[i], utf8.RuneCountInString(p.Buckets[j].cells()[i]))
		}
	}
	section := ""
	for i := range p.Buckets {
		b := &p.Buckets[i]
		if s := b.section(); s != section {
			section = s
			fmt.Fprintf(&out, "\n%s\n", section)
			writeCells(&out, head, widths)
			out.WriteString("requests\n")
		}
		writeCells(&out, b.cells(), widths)
		indent := widths[0] + widths[1] + widths[2] + widths[3] + 8
		for j, line := range b.requestLines() {
			if j > 0 {
				fmt.Fprintf(&out, "%*s", indent, "")
			}
			out.WriteString(line)
			out.WriteByte('\n')
		}
	}
	return out.String()
}

// section returns the line above the bucket's section.
func (b *Bucket) section() string {
	if b.OtherPage {
		return "[" + b.API + ", other pages]"
	}
	return "[" + b.API + "]"
}

// cells returns the columns in front of the requests.
func (b *Bucket) cells() [4]string {
	if b.Concurrent > 0 {
		return [4]string{b.Name, strconv.Itoa(b.Concurrent), "at once", b.Key.String()}
	}
	sustained := b.Rate.String()
	if b.Window > 0 {
		sustained += ", windows of " + formatPeriod(b.Window, true)
	}
	if b.Peak != (Peak{}) {
		sustained += fmt.Sprintf(", peak %d at %v %dh a month", b.Peak.Burst, b.Peak.Rate, b.Peak.Hours)
	}
	return [4]string{b.Name, strconv.FormatInt(b.Burst, 10), sustained, b.Key.String()}
}

// writeCells writes columns with two spaces after each.
func writeCells(out *bytes.Buffer, cells [4]string, widths [4]int) {
	for i, cell := range cells {
		fmt.Fprintf(out, "%-*s  ", widths[i], cell)
	}
}

// requestLines returns the column requests, line by line.
func (b *Bucket) requestLines() []string {
	var lines []string
	prefix := ""
	if b.Role != RoleEndpoint {
		prefix = b.Role.String() + " "
	}
	for i := 0; i < len(b.Matches); {
		m := &b.Matches[i]
		if i > 0 && m.Part != b.Matches[i-1].Part {
			prefix = "+ "
		}
		methods := []string{m.Method}
		for i++; i < len(b.Matches) && m.sameButMethod(&b.Matches[i]); i++ {
			methods = append(methods, b.Matches[i].Method)
		}
		lines = append(lines, m.lines(prefix+strings.Join(methods, ","))...)
		prefix = ""
	}
	for _, other := range b.Instead {
		lines = append(lines, "instead of "+other)
	}
	return lines
}

// sameButMethod reports whether two matches fit on one line.
func (m *Match) sameButMethod(o *Match) bool {
	return m.Event == "" && o.Event == "" && m.Path == o.Path && m.Inferred == o.Inferred && m.Part == o.Part &&
		m.Method != "*" && o.Method != "*" && slices.EqualFunc(m.When, o.When, Condition.equal)
}

// equal reports whether two conditions ask for the same.
func (c Condition) equal(o Condition) bool {
	return c.In == o.In && c.Name == o.Name && c.Equals == o.Equals && slices.Equal(c.NoPrefix, o.NoPrefix) && slices.Equal(c.AnyWord, o.AnyWord)
}

// lines writes a request after its methods. Conditions that would make a long line get their own.
func (m *Match) lines(methods string) []string {
	if m.Event != "" {
		return []string{methods + "event " + m.Event + m.mark()}
	}
	var query, rest []string
	for _, c := range m.When {
		switch {
		case c.In == InQuery && c.Equals == "":
			query = append(query, c.Name)
		case c.In == InQuery:
			query = append(query, c.Name+"="+c.Equals)
		case c.In == InPath:
			rest = append(rest, "except "+strings.Join(c.NoPrefix, "|"))
		case c.In == InToken:
			rest = append(rest, "claim "+c.Name+"="+strings.Join(c.AnyWord, "|"))
		case c.NoPrefix != nil:
			rest = append(rest, "unless "+c.Name+"="+strings.Join(c.NoPrefix, "|"))
		default:
			rest = append(rest, "with "+c.Name+"="+c.Equals)
		}
	}
	line := methods + " " + m.Path
	if query != nil {
		line += "?" + strings.Join(query, "&")
	}
	lines := []string{line}
	for _, r := range rest {
		if last := &lines[len(lines)-1]; len(*last)+len(r) < 72 {
			*last += " " + r
		} else {
			lines = append(lines, "  "+r)
		}
	}
	lines[len(lines)-1] += m.mark()
	return lines
}

// mark is what shows an inferred match.
func (m *Match) mark() string {
	if m.Inferred {
		return " ?"
	}
	return ""
}

// planUnits are the units of a rate, the largest first.
func planUnits() []planUnit {
	return []planUnit{
		{"day", 24 * time.Hour}, {"h", time.Hour}, {"min", time.Minute}, {"s", time.Second},
		{"ms", time.Millisecond}, {"us", time.Microsecond}, {"ns", time.Nanosecond},
	}
}

type planUnit struct {
	name string
	size time.Duration
}

// ParseRate reads a rate in the form that Rate.String writes: "16/s",
// "100/min", "50/h", "5/day", or "25/2s" for 25 in two seconds.
func ParseRate(s string) (Rate, error) {
	count, per, ok := strings.Cut(s, "/")
	n, err := strconv.ParseInt(count, 10, 64)
	if !ok || err != nil || n < 1 {
		return Rate{}, fmt.Errorf("rate %q: want a count and a period, such as 16/s, 100/min, 50/h, 5/day or 25/2s", s)
	}
	period, err := parsePeriod(per)
	if err != nil {
		return Rate{}, fmt.Errorf("rate %q: %w", s, err)
	}
	return Rate{Count: n, Per: period}, nil
}

// parsePeriod reads "s", "5min" and the like.
func parsePeriod(s string) (time.Duration, error) {
	digits := len(s) - len(strings.TrimLeft(s, "0123456789"))
	n := int64(1)
	if digits > 0 {
		n, _ = strconv.ParseInt(s[:digits], 10, 64)
	}
	for _, u := range planUnits() {
		if s[digits:] == u.name && n > 0 && n <= math.MaxInt64/int64(u.size) {
			return time.Duration(n) * u.size, nil
		}
	}
	return 0, fmt.Errorf("period %q: want s, min, h or day, with a number in front if it is more than one", s)
}

// formatPeriod is the reverse of parsePeriod. The number 1 is written only if
// asked for.
func formatPeriod(d time.Duration, one bool) string {
	for _, u := range planUnits() {
		if d%u.size != 0 || d <= 0 {
			continue
		}
		if d == u.size && !one {
			return u.name
		}
		return strconv.FormatInt(int64(d/u.size), 10) + u.name
	}
	return d.String()
}

// String returns the rate as the tables write it: "16/s", "100/min".
func (r Rate) String() string {
	return strconv.FormatInt(r.Count, 10) + "/" + formatPeriod(r.Per, false)
}

// keyNames returns the names of keys in the tables, in the order of the
// constants.
func keyNames() []string {
	return []string{
		"tenant", "ip", "ip+email", "ip+state", "token-subject", "session", "connection", "user", "ip+prompt", "ip+user", "organization",
	}
}

// String returns the key's name in the tables.
func (k Key) String() string {
	if int(k) < len(keyNames()) {
		return keyNames()[k]
	}
	return "Key(" + strconv.Itoa(int(k)) + ")"
}

// String returns "endpoint", "global" or "catch-all".
func (r Role) String() string {
	switch r {
	case RoleEndpoint:
		return "endpoint"
	case RoleGlobal:
		return "global"
	case RoleCatchAll:
		return "catch-all"
	}
	return "Role(" + strconv.Itoa(int(r)) + ")"
}
