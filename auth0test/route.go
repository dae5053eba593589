package auth0test

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// handlers are functions that answer operations, by method and path as the
// description heads them. A resource lives in one file; kinds of objects with
// nothing special about them get their handlers from store.go.
type handlers map[string]func(*Tenant, *call) answer

// handled returns the handlers of all resources.
func handled() handlers {
	all := handlers{}
	for _, h := range []handlers{
		userHandlers(), userLinkHandlers(), roleHandlers(), organizationHandlers(), clientHandlers(), connectionHandlers(),
		clientGrantHandlers(), logHandlers(), jobHandlers(),
	} {
		maps.Copy(all, h)
	}
	return all
}

// act carries out a request that the limits let pass, and logs it.
func (t *Tenant) act(c *call) answer {
	switch {
	case c.method == http.MethodPost && slices.Equal(c.segs, []string{"oauth", "token"}):
		a := t.issueToken(c)
		t.log(c, a)
		return a
	case c.method == http.MethodGet && len(c.segs) == 2 && c.segs[0] == exportSegment:
		return t.export(c)
	}
	c.op, c.params = describe().find(c)
	if c.op != nil {
		a := t.manage(c)
		t.log(c, a)
		return a
	}
	if first(c.segs) == "api" {
		if denied := t.authorize(c, nil); denied != nil {
			return *denied
		}
		return failure(http.StatusNotFound, "", "Not Found")
	}
	if strings.Contains(c.header.Get("Accept"), "text/html") {
		return answer{
			status: http.StatusNotFound,
			header: http.Header{"Content-Type": {"text/html; charset=utf-8"}},
			body:   []byte("<!DOCTYPE html>\n<html><head><title>Not Found</title></head><body><h1>Not Found</h1></body></html>\n"),
		}
	}
	return failure(http.StatusNotFound, "", "Not Found")
}

// manage carries out an operation of the Management API.
func (t *Tenant) manage(c *call) answer {
	if denied := t.authorize(c, c.op.scopes); denied != nil {
		return *denied
	}
	if bad := c.arguments(); bad != nil {
		return *bad
	}
	if q := c.query.Get("q"); q != "" {
		search, err := parseSearch(q)
		if err != nil {
			return failure(http.StatusBadRequest, "invalid_query_string", err.Error())
		}
		c.search = search
	}
	if c.op.serve == nil {
		return t.sample(c)
	}
	if noun := c.op.owner; noun != "" {
		if bad := t.absent(noun, c.argument(0), http.StatusNotFound); bad != nil {
			return *bad
		}
	}
	return c.op.serve(t, c)
}

// redirect sends a browser to a custom error page.
func redirect(page string) answer {
	target := page
	if u, err := url.Parse(page); err == nil {
		q := u.Query()
		q.Set("error", "too_many_requests")
		q.Set("error_description", globalExceeded)
		u.RawQuery = q.Encode()
		target = u.String()
	}
	return answer{status: http.StatusFound, header: http.Header{"Location": {target}}}
}
