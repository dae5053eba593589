package auth0test

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// pageSize is how many entries a page holds where the caller does not say.
	pageSize = 50
	// pageMax is how many it holds at most, where the description has no bound.
	pageMax = 100
	// ceiling is how many entries of some lists can be paged through.
	ceiling = 1000
	// cursorKept is how long a checkpoint can be continued from.
	cursorKept = 24 * time.Hour
)

// ceiled reports whether a list ends at the ceiling. It counts what a page could
// hold, also where there are fewer entries.
func (o *operation) ceiled() bool {
	switch o.path {
	case "/users", "/logs", "/users/{id}/logs", "/connections", "/organizations", "/organizations/{id}/members", "/roles/{id}/users", "/device-credentials":
		return true
	}
	return false
}

// bare reports whether a list answers with pages to callers who do not say how
// they page. Groups are newer than that habit.
func (o *operation) bare() bool {
	return o.page.offset && o.path != "/groups" && o.path != "/users/{id}/groups"
}

// number reads a whole number from the query.
func (c *call) number(name string, otherwise int) (int, *answer) {
	raw := c.query.Get(name)
	if raw == "" {
		return otherwise, nil
	}
	least, most := 0, 1<<30
	if a := c.op.parameter(name); a != nil {
		least = int(a.min)
		if a.bounded {
			most = int(a.max)
		}
	}
	n, err := strconv.Atoi(raw)
	var what string
	switch {
	case err != nil:
		what = "Expected type integer but found type string"
	case n < least:
		what = fmt.Sprintf("Value %d is less than minimum %d", n, least)
	case n > most:
		what = fmt.Sprintf("Value %d is greater than maximum %d", n, most)
	default:
		return n, nil
	}
	bad := queryError(what, name)
	return 0, &bad
}

// cursor writes the checkpoint behind an entry.
func (c *call) cursor(at uint64) string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%d %d", at, c.now+cursorKept))
}

// from reads a checkpoint. Entries that came before it have been seen.
func (c *call) from() (uint64, *answer) {
	raw := c.query.Get("from")
	if raw == "" {
		return 0, nil
	}
	var at uint64
	var until time.Duration
	text, err := base64.RawURLEncoding.DecodeString(raw)
	if err == nil {
		_, err = fmt.Sscanf(string(text), "%d %d", &at, &until)
	}
	if err != nil || until < c.now {
		bad := queryError("The checkpoint is unknown or has expired", "from")
		return 0, &bad
	}
	return at, nil
}

// paged answers with a page of a list in whichever way the caller pages: a bare
// list, an object with totals, or one with the checkpoint of the next page. The
// entries are in the order of at, which grows with each new one.
func paged[T any](c *call, all []T, at func(T) uint64, show func(T) map[string]any) answer {
	if c.op.page.checkpoint && (c.query.Has("from") || c.query.Has("take") || !c.op.bare()) {
		return checkpoint(c, all, at, show)
	}
	page, bad := c.number("page", 0)
	if bad != nil {
		return *bad
	}
	perPage, bad := c.number("per_page", pageSize)
	if bad != nil {
		return *bad
	}
	if perPage == 0 {
		perPage = pageSize
	}
	if perPage = min(perPage, pageMax); c.op.ceiled() && page >= ceiling/perPage && (page+1)*perPage > ceiling {
		return failure(http.StatusBadRequest, "invalid_paging", "You can only page through the first 1000 records.")
	}
	sorted(c, all, show)
	first := min(page, len(all)) * perPage
	items := shown(c, all[min(first, len(all)):min(first+perPage, len(all))], show)
	switch {
	case !c.op.page.totals: // always has them, under other names
		return jsonAnswer(c.op.success(), map[string]any{"page": page, "per_page": perPage, "total": len(all), c.op.page.key: items})
	case c.query.Get("include_totals") != "true":
		return jsonAnswer(c.op.success(), items)
	}
	doc := map[string]any{"start": page * perPage, "limit": perPage, "total": len(all), c.op.page.key: items}
	if key := c.op.page.key; key == "users" && c.op.path == "/users" || key == "logs" {
		doc["length"] = len(items)
	}
	return jsonAnswer(c.op.success(), doc)
}

func checkpoint[T any](c *call, all []T, at func(T) uint64, show func(T) map[string]any) answer {
	take, bad := c.number("take", pageSize)
	if bad != nil {
		return *bad
	}
	from, bad := c.from()
	if bad != nil {
		return *bad
	}
	first, _ := slices.BinarySearchFunc(all, from+1, func(e T, n uint64) int { return cmp.Compare(at(e), n) })
	last := min(first+max(1, min(take, pageMax)), len(all))
	doc := map[string]any{c.op.page.key: shown(c, all[first:last], show)}
	if last < len(all) {
		doc["next"] = c.cursor(at(all[last-1]))
	}
	return jsonAnswer(c.op.success(), doc)
}

// shown returns the documents of some entries, as far as they are asked for.
func shown[T any](c *call, some []T, show func(T) map[string]any) []map[string]any {
	docs := make([]map[string]any, len(some))
	for i, e := range some {
		docs[i] = c.pick(show(e))
	}
	return docs
}

// sorted orders the entries as the sort parameter asks, such as name:-1. The
// list is the caller's own.
func sorted[T any](c *call, all []T, show func(T) map[string]any) {
	by, order, ok := strings.Cut(c.query.Get("sort"), ":")
	if !ok {
		return
	}
	type keyed struct {
		key   string
		entry T
	}
	keys := make([]keyed, len(all))
	for i, e := range all {
		keys[i] = keyed{strings.Join(lookup(show(e), by), ""), e}
	}
	slices.SortStableFunc(keys, func(a, b keyed) int {
		if order == "-1" {
			return cmp.Compare(b.key, a.key)
		}
		return cmp.Compare(a.key, b.key)
	})
	for i := range keys {
		all[i] = keys[i].entry
	}
}

// pick leaves the fields of a document that the fields and include_fields
// parameters ask for.
func (c *call) pick(doc map[string]any) map[string]any {
	list := c.query.Get("fields")
	if list == "" {
		return doc
	}
	named := make(map[string]bool)
	for f := range strings.SplitSeq(list, ",") {
		named[strings.TrimSpace(f)] = true
	}
	include := c.query.Get("include_fields") != "false"
	out := make(map[string]any)
	for k, v := range doc {
		if named[k] == include {
			out[k] = v
		}
	}
	return out
}
