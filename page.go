package auth0

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
)

// ErrLastPage is what Page.Next returns when there is no page after this one.
var ErrLastPage = errors.New("auth0: no page after the last one")

// Page is one page of a list. It is a plain value once returned: Next changes
// nothing in it, may be called any number of times and from several goroutines,
// and always asks for the same page.
type Page[T any] struct {
	// Items are the entries of this page, in the server's order. Pointers among
	// them are never nil.
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

	next *pageAt
}

// Next returns the page after p, or ErrLastPage. Whether there is one, Cursor
// tells.
func (p *Page[T]) Next(ctx context.Context) (*Page[T], error) { return fetch[T](ctx, p.next) }

// AllFrom iterates over the items of p and of every page after it, asking for a
// page when the loop reaches it. An error ends the loop and comes with the zero
// T.
func AllFrom[T any](ctx context.Context, p *Page[T]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) { each(ctx, p, nil, yield) }
}

// The functions with a type parameter are as small as can be, and Page has but
// one method: the compiler makes one of each for every kind of entry, and of the
// methods once more in every package that uses the API. The entries of the
// management package are pointers, of which all kinds share one. What they have
// in common is in pageAt, which knows the entries as a pointer to a slice.

// fetch asks for a page.
func fetch[T any](ctx context.Context, at *pageAt) (*Page[T], error) {
	p := new(Page[T])
	h, err := at.get(ctx, &p.Items)
	if err != nil {
		return nil, err
	}
	p.Start, p.Limit, p.Total, p.Cursor, p.next = h.start, h.limit, h.total, h.cursor, h.next
	return p, nil
}

// each hands out the items of p and of every page after it. err is what asking
// for p ended with.
func each[T any](ctx context.Context, p *Page[T], err error, yield func(T, error) bool) {
	for err == nil {
		for i := range p.Items {
			if !yield(p.Items[i], nil) {
				return
			}
		}
		if p.next == nil {
			return
		}
		p, err = fetch[T](ctx, p.next)
	}
	var zero T
	yield(zero, err)
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
	return fetch[T](ctx, firstPage(c, path, args, params, paging, opts, false))
}

// All iterates over every entry of a list, one page at a time. It asks for
// nothing before the loop starts, and each loop starts afresh. An error ends
// the loop.
func All[T any](ctx context.Context, c *Client, path string, args []string, params any, paging Paging, opts []RequestOption) iter.Seq2[T, error] {
	first := firstPage(c, path, args, params, paging, opts, true)
	return func(yield func(T, error) bool) {
		p, err := fetch[T](ctx, first)
		each(ctx, p, err, yield)
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

// listing is a list and how it is asked for.
type listing struct {
	c      *Client
	path   string
	args   []string
	params any
	paging Paging
	opts   []RequestOption
	whole  bool // all pages are wanted: ask for large ones
}

// pageAt is a page of a list that can be asked for. It does not change.
type pageAt struct {
	*listing
	query      url.Values // nil for the first page, whose query is made of the parameters
	checkpoint bool
}

// firstPage returns the first page of a list. Inlined, it would be in every List
// and All.
//
//go:noinline
func firstPage(c *Client, path string, args []string, params any, paging Paging, opts []RequestOption, whole bool) *pageAt {
	return &pageAt{listing: &listing{c: c, path: path, args: args, params: params, paging: paging, opts: opts, whole: whole}}
}

// first returns the first page with its query.
func (l *listing) first(cursor string) (*pageAt, error) {
	query, err := QueryOf(l.params)
	if err != nil {
		return nil, err
	}
	at, err := url.ParseQuery(cursor)
	if cursor != "" && (err != nil || !at.Has("from") && !at.Has("page")) {
		return nil, errors.New("auth0: the cursor passed to ResumeAt is not one of this module's; pass the Cursor of a page")
	}
	// The number of a page counts pages of the size that the cursor is of.
	if l.whole && l.paging.Max > 0 && !at.Has("page") {
		if size := l.paging.sizeParam(query); size != "" && !query.Has(size) {
			query.Set(size, strconv.Itoa(l.paging.Max))
		}
	}
	first := &pageAt{listing: l, query: query, checkpoint: l.paging.usesCheckpoint(query)}
	if first.checkpoint && l.paging.Offset && !query.Has("take") {
		// Without it the operation answers with a page by offset, and no cursor.
		query.Set("take", strconv.Itoa(smallestPage))
	}
	if cursor != "" {
		for k := range at {
			query.Set(k, at.Get(k))
		}
		first.checkpoint = at.Has("from")
	}
	if l.paging.Totals && !first.checkpoint && !query.Has("include_totals") {
		query.Set("include_totals", "true")
	}
	return first, nil
}

// pageHead is what Page holds beside its items.
type pageHead struct {
	start, limit, total int
	cursor              string
	next                *pageAt
}

// get asks for the page and decodes its entries into the slice that items
// points to.
func (at *pageAt) get(ctx context.Context, items any) (pageHead, error) {
	if at == nil {
		return pageHead{}, ErrLastPage
	}
	r := newRequest(at.opts)
	if at.query == nil {
		var err error
		if at, err = at.first(r.cursor); err != nil {
			return pageHead{}, err
		}
	}
	s, err := at.c.send(ctx, http.MethodGet, at.path, at.args, at.query, nil, r, false)
	if err != nil {
		return pageHead{}, err
	}
	e := pageEnvelope{items: items}
	if err := s.unexpected(e.decode(s.body, &at.paging, s.report)); err != nil {
		return pageHead{}, err
	}
	h := pageHead{start: e.start, limit: e.limit, total: e.total}
	set, err := at.after(&e)
	if err != nil || set == nil {
		return h, err
	}
	h.cursor = set.Encode()
	next := make(url.Values, len(at.query)+len(set))
	maps.Copy(next, at.query)
	maps.Copy(next, set)
	h.next = &pageAt{listing: at.listing, query: next, checkpoint: at.checkpoint}
	return h, nil
}

// smallestPage is the page size that every operation accepts. A server may cut
// a larger per_page down to it, so that only a page below it is surely short.
const smallestPage = 50

// after returns the parameters that the next page differs in, nil on the last
// page.
func (at *pageAt) after(e *pageEnvelope) (url.Values, error) {
	query, n := at.query, e.count()
	if at.checkpoint {
		from := e.next
		if from == "" && e.bare && at.paging.CursorField != "" && n > 0 {
			if take, err := strconv.Atoi(query.Get("take")); err != nil || n >= min(take, smallestPage) {
				from = e.lastCursor
			}
		}
		if from == "" {
			return nil, nil
		}
		if from == query.Get("from") {
			return nil, fmt.Errorf("auth0: GET %s: the server named the page it just sent as the next one", at.path)
		}
		return url.Values{"from": {from}}, nil
	}
	if !at.paging.Offset || n == 0 {
		return nil, nil
	}
	page, perPage := 0, e.limit
	if s := query.Get("page"); s != "" {
		var err error
		if page, err = strconv.Atoi(s); err != nil {
			return nil, fmt.Errorf("auth0: GET %s: page %q is not a number", at.path, s)
		}
	}
	if perPage <= 0 {
		if asked, err := strconv.Atoi(query.Get("per_page")); err == nil {
			perPage = min(asked, smallestPage)
		}
	}
	switch {
	case e.total >= 0:
		start := e.start
		if start < 0 {
			start = page * max(perPage, n)
		}
		if start+n >= e.total {
			return nil, nil
		}
	case perPage <= 0 || n < perPage:
		// Without a size asked for, the server's own size is not known: a page
		// below the smallest known default is the last one.
		if perPage > 0 || n < smallestPage {
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
type pageEnvelope struct {
	items               any // a pointer to the slice of entries
	start, limit, total int
	next                string
	bare                bool
	lastCursor          string
}

// count returns the number of entries.
func (e *pageEnvelope) count() int { return reflect.ValueOf(e.items).Elem().Len() }

// decode fills e from body. It walks the outer object by hand, so that the
// entries are decoded straight into their type without a copy of their text.
func (e *pageEnvelope) decode(body []byte, paging *Paging, report func(Mismatch)) error {
	e.start, e.limit, e.total = -1, -1, -1
	trimmed := bytes.TrimLeft(body, " \t\r\n")
	if len(trimmed) == 0 {
		return nil
	}
	if trimmed[0] == '[' {
		e.bare = true
		if err := decodeItems(body, e.items, "", report); err != nil {
			return err
		}
		if paging.CursorField != "" && e.count() > 0 {
			e.lastCursor = lastCursorOf(body, paging.CursorField)
		}
		return nil
	}
	return e.decodeObject(body, paging.Items, report)
}

func (e *pageEnvelope) decodeObject(body []byte, key string, report func(Mismatch)) error {
	fields, err := splitObject(body)
	if err != nil {
		return err
	}
	page, perPage := -1.0, -1.0 // documented as numbers of any kind
	for _, f := range fields {
		var into any
		switch f.name {
		case key:
			if err := decodeItems(f.value, e.items, key, report); err != nil {
				return err
			}
			continue
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
		odd := false
		if err := decodeJSON(f.value, into, f.name, func(m Mismatch) { odd = true; report(m) }); err != nil {
			return err
		}
		if n, ok := into.(*int); ok && odd {
			*n = -1 // not told, which is not none
		}
	}
	if e.limit < 0 {
		e.limit = int(perPage)
	}
	if e.start < 0 && page >= 0 && e.limit > 0 {
		e.start = int(page) * e.limit
	}
	return nil
}

// decodeItems decodes the entries of a list into the slice that items points to.
// Entries with a method of their own are handed to it one by one: encoding/json
// would look for the end of each once more.
func decodeItems(data []byte, items any, path string, report func(Mismatch)) error {
	list := reflect.ValueOf(items).Elem()
	entry := list.Type().Elem()
	pointers := entry.Kind() == reflect.Pointer
	if pointers {
		entry = entry.Elem()
	}
	var err error
	if data = bytes.TrimSpace(data); kindOf(data) == "array" && reflect.PointerTo(entry).Implements(reflect.TypeFor[json.Unmarshaler]()) && json.Valid(data) {
		list.SetZero()
		for raw := range elements(data) {
			list.Grow(1)
			list.SetLen(list.Len() + 1)
			v := list.Index(list.Len() - 1)
			if pointers {
				v.Set(reflect.New(entry))
				v = v.Elem()
			}
			if kindOf(raw) == "null" {
				continue
			}
			if u, _ := reflect.TypeAssert[json.Unmarshaler](v.Addr()); u != nil {
				if err := u.UnmarshalJSON(raw); err != nil {
					piecewise(err, raw, v, path+"["+strconv.Itoa(list.Len()-1)+"]", report)
				}
			}
		}
	} else {
		err = decodeJSON(data, items, path, report)
	}
	for i := range list.Len() {
		if v := list.Index(i); pointers && v.IsNil() {
			v.Set(reflect.New(entry))
		}
	}
	return err
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
