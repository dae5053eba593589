package ratelimit

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
)

// Limits on figures, wide of anything published, within which arithmetic on
// them stays exact.
const (
	maxPlanCount  = 10_000_000
	maxPlanPeriod = 31 * 24 * time.Hour
)

// validate reports what makes a plan unusable, naming the bucket.
func (p *Plan) validate() error {
	var errs []error
	seen := map[string]bool{}
	for i := range p.Buckets {
		b := &p.Buckets[i]
		if seen[b.Name] {
			errs = append(errs, fmt.Errorf("bucket %q is there twice; give one another name", b.Name))
		}
		seen[b.Name] = true
		if err := b.validate(); err != nil {
			errs = append(errs, fmt.Errorf("bucket %q: %w", b.Name, err))
		}
	}
	errs = append(errs, p.validateInstead()...)
	if len(p.Buckets) > maxRouteIndex {
		errs = append(errs, fmt.Errorf("%d buckets; at most %d fit", len(p.Buckets), maxRouteIndex))
	}
	if !validPlanName(p.Name) {
		errs = append(errs, fmt.Errorf("plan name %q: use letters, digits and -_./", p.Name))
	}
	for _, line := range []string{p.Title, p.AsOf} {
		if strings.TrimSpace(line) != line || strings.ContainsFunc(line, isControl) {
			errs = append(errs, fmt.Errorf("title and date must be single lines without space around them, not %q", line))
		}
	}
	if len(errs) == 0 {
		r := p.prepared()
		if r.err == nil {
			return nil
		}
		errs = append(errs, r.err)
	}
	return fmt.Errorf("ratelimit: plan %s: %w", p.Name, errors.Join(errs...))
}

// validateInstead checks that buckets stand in for others that exist, and not in
// a circle, in which each would keep the next away and none would count.
func (p *Plan) validateInstead() []error {
	var errs []error
	instead := map[string][]string{}
	for i := range p.Buckets {
		instead[p.Buckets[i].Name] = p.Buckets[i].Instead
	}
	for i := range p.Buckets {
		name := p.Buckets[i].Name
		reached := slices.Clone(p.Buckets[i].Instead)
		for j := 0; j < len(reached); j++ {
			if _, ok := instead[reached[j]]; !ok {
				errs = append(errs, fmt.Errorf("bucket %q stands in for %q, which the plan does not have", name, reached[j]))
			}
			for _, next := range instead[reached[j]] {
				if !slices.Contains(reached, next) {
					reached = append(reached, next)
				}
			}
		}
		if slices.Contains(reached, name) {
			errs = append(errs, fmt.Errorf("bucket %q stands in for itself in a circle over %q", name, reached))
		}
	}
	return errs
}

// validate reports what makes the bucket unusable.
func (b *Bucket) validate() error {
	switch {
	case !validBucketName(b.Name):
		return errors.New("the name must be one line of words separated by single spaces, not begin with # or [, and hold no word that begins with @")
	case !validWord(b.API) || strings.ContainsAny(b.API, ",]"):
		return fmt.Errorf("API %q: want one word, such as management", b.API)
	case b.Role > RoleCatchAll:
		return fmt.Errorf("role %d is unknown", b.Role)
	case b.Key > KeyOrganization:
		return fmt.Errorf("key %d is unknown", b.Key)
	case b.Concurrent < 0 || b.Concurrent > maxPlanCount:
		return fmt.Errorf("%d at a time: want 1 to %d, or 0 for a rate limit", b.Concurrent, maxPlanCount)
	case b.Concurrent > 0 && (b.Burst != 0 || b.Rate != Rate{} || b.Window != 0 || b.Peak != Peak{}):
		return errors.New("a limit on what is under way has no burst, rate, window or peak; set these to 0")
	}
	if b.Concurrent == 0 {
		if err := validFigures(b.Burst, b.Rate); err != nil {
			return err
		}
		if b.Window < 0 || b.Window > maxPlanPeriod {
			return fmt.Errorf("window %v: want 0 to %v", b.Window, maxPlanPeriod)
		}
		if b.Peak != (Peak{}) {
			if err := validFigures(b.Peak.Burst, b.Peak.Rate); err != nil {
				return fmt.Errorf("peak: %w", err)
			}
			if b.Peak.Hours < 0 || b.Peak.Hours > 744 {
				return fmt.Errorf("peak of %d hours in a month", b.Peak.Hours)
			}
		}
	}
	if len(b.Matches) == 0 {
		return errors.New("it has no requests; remove the bucket or say what draws from it")
	}
	part := 0
	for i := range b.Matches {
		m := &b.Matches[i]
		if err := m.validate(); err != nil {
			return err
		}
		if m.Part != part && (i == 0 || m.Part != part+1) {
			return fmt.Errorf("request %d is of part %d after part %d; parts are numbered from 0, in order", i+1, m.Part, part)
		}
		part = m.Part
	}
	return nil
}

// validFigures checks a burst and a rate.
func validFigures(burst int64, rate Rate) error {
	if burst < 1 || burst > maxPlanCount {
		return fmt.Errorf("burst %d: want 1 to %d", burst, maxPlanCount)
	}
	if rate.Count < 1 || rate.Count > maxPlanCount || rate.Per < 1 || rate.Per > maxPlanPeriod {
		return fmt.Errorf("rate of %d in %v: want 1 to %d in at most %v", rate.Count, rate.Per, maxPlanCount, maxPlanPeriod)
	}
	return nil
}

// validate reports what makes the match unusable.
func (m *Match) validate() error {
	if m.Event != "" {
		if m.Method != "" || m.Path != "" || len(m.When) > 0 || !validWord(m.Event) {
			return fmt.Errorf("event %q: want one word, and no method, path or condition beside it", m.Event)
		}
		return nil
	}
	if !validMethod(m.Method) {
		return fmt.Errorf("method %q: want capital letters, or * for any", m.Method)
	}
	if err := validPattern(m.Path); err != nil {
		return err
	}
	for i := range m.When {
		if err := m.When[i].validate(); err != nil {
			return fmt.Errorf("%s %s: %w", m.Method, m.Path, err)
		}
	}
	return nil
}

// validate reports what makes the condition unusable.
func (c *Condition) validate() error {
	kinds := 0
	for _, set := range []bool{c.Equals != "", c.NoPrefix != nil, c.AnyWord != nil} {
		if set {
			kinds++
		}
	}
	values := append(slices.Clone(c.NoPrefix), c.AnyWord...)
	if c.Equals != "" {
		values = append(values, c.Equals)
	}
	for _, v := range values {
		if !validWord(v) || strings.Contains(v, "|") {
			return fmt.Errorf("condition on %q: value %q must be one word without |", c.Name, v)
		}
	}
	ok := false
	switch c.In {
	case InQuery:
		ok = kinds == 0 || kinds == 1 && c.Equals != "" && !strings.ContainsAny(c.Equals, "&")
	case InBody:
		ok = kinds == 1 && (c.Equals != "" || len(c.NoPrefix) > 0)
	case InToken:
		ok = kinds == 1 && len(c.AnyWord) > 0
	case InPath:
		ok = kinds == 1 && len(c.NoPrefix) > 0 && c.Name == ""
		for _, prefix := range c.NoPrefix {
			if !strings.HasPrefix(prefix, "/") || !strings.HasSuffix(prefix, "/") || len(prefix) < 3 ||
				strings.ContainsAny(prefix, "{}*?%") || strings.Contains(prefix, "//") {
				return fmt.Errorf("path prefix %q: want whole segments between slashes, as in /api/v2/", prefix)
			}
		}
	}
	if !ok {
		return fmt.Errorf("condition on %q: a query parameter is there or equals a value, a body field equals one or lacks prefixes, a claim holds one of several words, a path lacks prefixes", c.Name)
	}
	if c.In != InPath && (!validWord(c.Name) || c.Name[0] == '$' || strings.ContainsAny(c.Name, "=|&?")) {
		return fmt.Errorf("condition on %q: the name must be one word without = | & ? that does not begin with $", c.Name)
	}
	return nil
}

// isControl reports whether a rune has no place in a line of text.
func isControl(r rune) bool {
	return r < ' ' || r == 0x7f || r == '\u0085' || r == '\ufffd' || r == '\u2028' || r == '\u2029'
}

// validWord reports whether s is a single word of printable text.
func validWord(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || isControl(r) })
}

// validMethod reports whether s is a method in capitals, or *.
func validMethod(s string) bool {
	return s == "*" || s != "" && !strings.ContainsFunc(s, func(r rune) bool { return r < 'A' || r > 'Z' })
}

// validPlanName reports whether s can name a plan.
func validPlanName(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-_./", r)
	})
}

// validBucketName reports whether s can stand in the first column of a table.
func validBucketName(s string) bool {
	if s == "" || s[0] == '#' || s[0] == '[' || strings.TrimSpace(s) != s || strings.Contains(s, "  ") || strings.ContainsFunc(s, isControl) {
		return false
	}
	return !slices.ContainsFunc(strings.Split(s, " "), func(w string) bool { return w[0] == '@' })
}

// validPattern checks the path of a match.
func validPattern(path string) error {
	if !strings.HasPrefix(path, "/") || !validWord(path) || strings.ContainsAny(path, "?%") {
		return fmt.Errorf("path %q: want decoded segments after slashes, without query", path)
	}
	if path == "/" {
		return nil
	}
	segments := strings.Split(path[1:], "/")
	for i, s := range segments {
		switch {
		case s == "" || s == "." || s == "..":
			return fmt.Errorf("path %q has an empty or dot segment", path)
		case len(s) > 100:
			return fmt.Errorf("path %q has a segment of more than 100 bytes", path)
		case s == "*" && i == len(segments)-1:
		case strings.Contains(s, "*"):
			return fmt.Errorf("path %q: * can only be the whole last segment", path)
		case strings.ContainsAny(s, "{}") && !isParameter(s):
			return fmt.Errorf("path %q: braces must hold a whole segment", path)
		}
	}
	return nil
}

// isParameter reports whether a segment of a pattern stands for any segment.
func isParameter(segment string) bool {
	return len(segment) > 2 && segment[0] == '{' && strings.IndexAny(segment[1:], "{}") == len(segment)-2 &&
		segment[len(segment)-1] == '}'
}
