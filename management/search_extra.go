package management

import "strings"

// Search is a search of users, clients or logs in Lucene's syntax, put together so that values cannot change its meaning:
//
//	q := management.Where("email").Is(address).And(management.Where("logins_count").Between("1", "10"))
//	page, err := api.Users.List(ctx, &management.UserListParams{Query: string(q)})
type Search string

// SearchField is a field that a Search asks about.
type SearchField string

// Where starts a search with a field, such as email or app_metadata.plan.
func Where(field string) SearchField { return SearchField(escapeTerm(field)) }

// Is finds what has exactly this value.
func (f SearchField) Is(value string) Search { return Search(string(f) + ":" + quoteTerm(value)) }

// HasPrefix finds what has a value that begins so. The API wants three characters at least.
func (f SearchField) HasPrefix(prefix string) Search {
	return Search(string(f) + ":" + escapeTerm(prefix) + "*")
}

// Between finds values from one to another, both included; "*" leaves an end open. Times are written as in 2006-01-02T15:04:05.000Z.
func (f SearchField) Between(from, to string) Search {
	return Search(string(f) + ":[" + quoteEnd(from) + " TO " + quoteEnd(to) + "]")
}

// Exists finds what has the field at all.
func (f SearchField) Exists() Search { return Search("_exists_:" + string(f)) }

// And finds what both searches find. An empty one finds everything, and so is a start to add others to.
func (s Search) And(t Search) Search {
	switch {
	case s == "":
		return t
	case t == "":
		return s
	}
	return "(" + s + " AND " + t + ")"
}

// Or finds what either search finds.
func (s Search) Or(t Search) Search { return "(" + s + " OR " + t + ")" }

// Not finds what the search does not find.
func (s Search) Not() Search { return "(NOT " + s + ")" }

func quoteEnd(s string) string {
	if s == "*" {
		return s
	}
	return quoteTerm(s)
}

func quoteTerm(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// escapeTerm puts a backslash before every character that means something in a search.
func escapeTerm(s string) string {
	var b strings.Builder
	for _, r := range s {
		if strings.ContainsRune("+-&|!(){}[]^\"~*?:\\/ \t\n\r\u3000<>=", r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}
