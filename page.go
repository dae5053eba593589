package auth0

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"net/url"
	"slices"
	"strconv"
)

// ErrLastPage is what Page.Next returns when there is no page after this one.
var ErrLastPage = errors.New("auth0: no page after the last one")

// Page is one page of a list. It is a plain value once returned: Next changes
// nothing in it, may be called any number of times and from several goroutines,
// and always asks for the same page.
type Page[T any] struct {
	// Items are the entries of this page, in the server's order.
	Items []T
	// Start is the index of the first item in the whole list, -1 when the
	// server did not say.
	Start int
	// Limit is the page size that the server applied, -1 when it did not say.
	Limit int
	// Total is the number of entries in the whole list, -1 when the server did
	// not say. Checkpoint paging never says.
	Total int
	// Cursor is where the next page starts, "" on the last page. Kept, it
	// resumes the list in another process: pass it with ResumeAt to the same
	// call with the same parameters.
	Cursor string

	next func(context.Context) (*Page[T], error)
}

// HasNext reports whether another page follows.
func (p *Page[T]) HasNext() bool { return p.next != nil }

// Next returns the page after p, or ErrLastPage.
func (p *Page[T]) Next(ctx context.Context) (*Page[T], error) {
	if p.next == nil {
		return nil, ErrLastPage
	}
	return p.next(ctx)
}

// All iterates over the items of p and of every page after it, asking for a
// page when the loop reaches it. An error ends the loop and comes with the zero
// T.
func (p *Page[T]) All(ctx context.Context) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for page := p; ; {
			for _, item := range page.Items {
				if !yield(item, nil) {
					return
				}
			}
			if !page.HasNext() {
				return
			}
			next, err := page.Next(ctx)
			if err != nil {
				var zero T
				yield(zero, err)
				return
			}
			page = next
		}
	}
}

// Paging describes how an operation pages. Generated code fills it from the API
// description.
type Paging struct {
	// Items is the field of the answer that holds the entries. Answers that are
	// a bare array are understood too.
	Items string
	// Offset is set for operations with page and per_page.
	Offset bool
	// Totals is set for operations with include_totals. It is then asked for,
	// unless the caller set it, because the total is what shows the last page
	// without a request too many.
	Totals bool
	// Checkpoint is set for operations with from and take. Where both ways are
	// offered, checkpoint is used unless the parameters speak of pages, totals,
	// sorting or a search, since it has no ceiling of 1,000 entries.
	Checkpoint bool
	// CursorField is the field of an entry to continue from, for checkpoint
	// answers that are a bare array (log_id of logs). Such lists use checkpoint
	// only when the caller sets from or take.
	CursorField string
	// Max is the largest page size, 0 when unknown. All uses it when the caller
	// sets no size.
	Max int
}

// List asks for one page. It is the body of generated list methods: path, args
// and opts are those of Call, params those of QueryOf and never changed.
func List[T any](ctx context.Context, c *Client, path string, args []string, params any, paging Paging, opts []RequestOption) (*Page[T], error) {
	query, err := QueryOf(params)
	if err != nil {
		return nil, err
	}
	l := &lister[T]{c: c, path: path, args: args, paging: paging, opts: opts}
	l.checkpoint = paging.usesCheckpoint(query)
	if cursor := newRequest(opts).cursor; cursor != "" {
		at, err := url.ParseQuery(cursor)
		if err != nil {
			return nil, errors.New("auth0: the cursor passed to ResumeAt is not one of this module's")
		}
		for k := range at {
			query.Set(k, at.Get(k))
		}
		l.checkpoint = at.Has("from")
	}
	if paging.Totals && !l.checkpoint && !query.Has("include_totals") {
		query.Set("include_totals", "true")
	}
	return l.page(ctx, query)
}

// All iterates over every entry of a list, one page at a time. It asks for
// nothing before the loop starts, and each loop starts afresh. An error ends
// the loop.
func All[T any](ctx context.Context, c *Client, path string, args []string, params any, paging Paging, opts []RequestOption) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var zero T
		query, err := QueryOf(params)
		if err != nil {
			yield(zero, err)
			return
		}
		if size := paging.sizeParam(query); size != "" && paging.Max > 0 && !query.Has(size) {
			query.Set(size, strconv.Itoa(paging.Max))
		}
		first, err := List[T](ctx, c, path, args, query, paging, opts)
		if err != nil {
			yield(zero, err)
			return
		}
		first.All(ctx)(yield)
	}
}

func (p Paging) usesCheckpoint(q url.Values) bool {
	switch {
	case !p.Checkpoint:
		return false
	case q.Has("from") || q.Has("take") || !p.Offset:
		return true
	case p.CursorField != "":
		return false
	}
	return !slices.ContainsFunc([]string{"page", "per_page", "include_totals", "sort", "q"}, q.Has)
}

func (p Paging) sizeParam(q url.Values) string {
	switch {
	case p.usesCheckpoint(q):
		return "take"
	case p.Offset:
		return "per_page"
	}
	return ""
}

type lister[T any] struct {
	c          *Client
	path       string
	args       []string
	paging     Paging
	opts       []RequestOption
	checkpoint bool
}

// page asks for the page that query describes. The query is kept by the page
// and not changed again.
func (l *lister[T]) page(ctx context.Context, query url.Values) (*Page[T], error) {
	envelope, err := Call[pageEnvelope[T]](ctx, l.c, "GET", l.path, l.args, query, nil,
		append(slices.Clip(l.opts), paged(l.paging)))
	if err != nil {
		return nil, err
	}
	p := &Page[T]{Items: envelope.items, Start: envelope.start, Limit: envelope.limit, Total: envelope.total}
	set, err := l.after(query, &envelope)
	if err != nil {
		return nil, err
	}
	if set == nil {
		return p, nil
	}
	p.Cursor = set.Encode()
	next := url.Values{}
	maps.Copy(next, query)
	maps.Copy(next, set)
	p.next = func(ctx context.Context) (*Page[T], error) { return l.page(ctx, next) }
	return p, nil
}

// smallestPage is the page size that every operation accepts. A server may cut
// a larger per_page down to it, so that only a page below it is surely short.
const smallestPage = 50

// after returns the parameters that the next page differs in, nil on the last
// page.
func (l *lister[T]) after(query url.Values, e *pageEnvelope[T]) (url.Values, error) {
	if l.checkpoint {
		from := e.next
		if from == "" && e.bare && l.paging.CursorField != "" && len(e.items) > 0 {
			if take, err := strconv.Atoi(query.Get("take")); err != nil || len(e.items) >= min(take, smallestPage) {
				from = e.lastCursor
			}
		}
		if from == "" {
			return nil, nil
		}
		if from == query.Get("from") {
			return nil, fmt.Errorf("auth0: GET %s: the server named the page it just sent as the next one", l.path)
		}
		return url.Values{"from": {from}}, nil
	}
	if !l.paging.Offset || len(e.items) == 0 {
		return nil, nil
	}
	page, perPage := 0, e.limit
	if s := query.Get("page"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			return nil, fmt.Errorf("auth0: GET %s: page %q is not a number", l.path, s)
		}
		page = n
	}
	if perPage <= 0 {
		if n, err := strconv.Atoi(query.Get("per_page")); err == nil {
			perPage = min(n, smallestPage)
		}
	}
	switch {
	case e.total >= 0:
		start := e.start
		if start < 0 {
			start = page * max(perPage, len(e.items))
		}
		if start+len(e.items) >= e.total {
			return nil, nil
		}
	case perPage <= 0 || len(e.items) < perPage:
		// Without a size asked for, the server's own size is not known: a page
		// below the smallest known default is the last one.
		if perPage > 0 || len(e.items) < smallestPage {
			return nil, nil
		}
	}
	set := url.Values{"page": {strconv.Itoa(page + 1)}}
	if size := query.Get("per_page"); size != "" {
		set.Set("per_page", size)
	}
	return set, nil
}

// pageEnvelope is the answer of a list, in any of its shapes: a bare array, or
// an object with the entries under one key.
type pageEnvelope[T any] struct {
	items               []T
	start, limit, total int
	next                string
	bare                bool
	lastCursor          string
}

// decodePage fills e from body. It walks the outer object by hand, so that the
// entries are decoded straight into their type without a copy of their text.
func (e *pageEnvelope[T]) decodePage(body []byte, paging *Paging, report func(Mismatch)) error {
	e.start, e.limit, e.total = -1, -1, -1
	trimmed := bytes.TrimLeft(body, " \t\r\n")
	if len(trimmed) == 0 {
		return nil
	}
	if trimmed[0] == '[' {
		e.bare = true
		if err := decodeJSON(body, &e.items, "", report); err != nil {
			return err
		}
		if paging.CursorField != "" && len(e.items) > 0 {
			e.lastCursor = lastCursorOf(body, paging.CursorField)
		}
		return nil
	}
	return e.decodeObject(body, paging.Items, report)
}

func (e *pageEnvelope[T]) decodeObject(body []byte, key string, report func(Mismatch)) error {
	fields, err := splitObject(body)
	if err != nil {
		return err
	}
	page, perPage := -1, -1
	for _, f := range fields {
		var into any
		switch f.name {
		case key:
			into = &e.items
		case "start":
			into = &e.start
		case "limit":
			into = &e.limit
		case "total":
			into = &e.total
		case "page":
			into = &page
		case "per_page":
			into = &perPage
		case "next":
			into = &e.next
		default:
			continue
		}
		if err := decodeJSON(f.value, into, f.name, report); err != nil {
			return err
		}
	}
	if e.limit < 0 {
		e.limit = perPage
	}
	if e.start < 0 && page >= 0 && e.limit > 0 {
		e.start = page * e.limit
	}
	return nil
}

// lastCursorOf returns a field of the last element of a JSON array.
func lastCursorOf(body []byte, field string) string {
	var items []json.RawMessage
	if json.Unmarshal(body, &items) != nil || len(items) == 0 {
		return ""
	}
	var last map[string]json.RawMessage
	if json.Unmarshal(items[len(items)-1], &last) != nil {
		return ""
	}
	var s string
	if json.Unmarshal(last[field], &s) != nil {
		return ""
	}
	return s
}
